/* SPDX-License-Identifier: Apache-2.0
 * roles_join.c - strangers that ask to be let into trees, more of them than may wait, and into
 * trees of which they must not learn.
 * Called by: main.c. May touch: peers, the victim by asking. Never: a good reason. */
#include <stdio.h>
#include <string.h>

#include "crypto.h"
#include "hostile.h"

#define EACH 10u /* keys with which one device asks: more than may wait for it */

struct asking { /* of a peer, by its number */
    uint32_t pending, refused, busy, granted;
};

static struct {
    struct asking of[256];
    uint32_t differ, alone; /* alone: it asked before the others */
    uint8_t first[64];      /* the refusal of a tree, behind the number of its stream */
    size_t first_len;
} joins;

/* Streams below 40 are of the tree that may be asked for; then one that nobody may, one of others
 * and one that is not there. */
static void ask_for(ht_peer *p, uint32_t stream, const weft_id *tree, uint32_t n)
{
    struct wf_join_ask join = {.stream = stream, .tree = *tree, .name = "a friend", .right = 3};
    uint8_t text[WF_JOIN_TEXT_MAX];
    size_t len;
    weft_keypair *pair = ht_pair(HT_FORGER, 1000 + p->number * EACH + n);
    weft_keypair_public(pair, &join.key);
    wf_join_text(p->channel, &p->key, &p->other, &join, text, &len);
    if (wf_sign(pair, WF_PURPOSE_ACCESS, text, len, join.sig) != WEFT_OK) ht_die("sign");
    weft_keypair_destroy(pair);
    ht_peer_say(p, wf_join_encode(&join));
}

static void ask_in(ht_peer *p)
{
    const ht_answer *born = &((ht_run *)((ht_crew *)p->arg)->arg)->born;
    weft_id absent = {{9, 9, 9}};
    ask_for(p, 1, &born->trees[HT_FORBIDDEN], 0);
    ask_for(p, 3, &born->trees[HT_SHARED], 0);
    ask_for(p, 5, &absent, 0);
    for (uint32_t i = 0; i < EACH; i++) ask_for(p, 7 + 2 * i, &born->trees[HT_ASKED], i);
    p->wake_at = ht_now() + 2 * WEFT_SEC;
}

static void compare(const uint8_t *body, size_t len)
{
    if (joins.first_len == 0) {
        joins.first_len = len - 3;
        memcpy(joins.first, body + 3, len - 3);
    }
    joins.differ += len - 3 != joins.first_len || memcmp(body + 3, joins.first, len - 3) != 0;
}

static void on_joined(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    struct asking *a = &joins.of[p->number];
    struct wf_joined joined;
    if (type == WF_F_JOINED && wf_joined_decode(body, len, &joined) == WEFT_OK) {
        a->pending += joined.state == 1;
        a->granted += joined.state != 1;
    } else if (type == WF_F_ERR && stream < 7 && p->err_code == WF_W_TREE) {
        compare(body, len);
        a->refused++;
    } else if (type == WF_F_ERR) {
        a->busy += p->err_code == WF_W_BUSY;
    }
    p->over = a->pending + a->granted + a->refused + a->busy == EACH + 3;
}

static void enough(ht_peer *p) { p->over = true; }

/* The first one finds the node with time for all of its keys. */
static ht_peer *begin_asking(ht_crew *crew, uint32_t n)
{
    uint32_t i = joins.alone + n;
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = ask_in, .frame = on_joined, .tick = enough};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 7000 + i), &manner, crew);
    p->number = i;
    return p;
}

void ht_joins(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 24, 200),
                    .width = 4,
                    .patience = 5 * WEFT_SEC,
                    .begin = begin_asking,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    struct asking all = {0};
    uint32_t most = 0;
    memset(&joins, 0, sizeof joins);
    ht_crew first = crew;
    first.wanted = 1;
    (void)ht_crew_run(&first, ht_now() + 10 * WEFT_SEC);
    joins.alone = 1;
    (void)ht_crew_run(&crew, ht_now() + (run->fast ? 15 : 240) * WEFT_SEC);
    for (uint32_t i = 0; i <= crew.wanted; i++) {
        const struct asking *a = &joins.of[i];
        all.pending += a->pending;
        all.refused += a->refused;
        all.busy += a->busy;
        all.granted += a->granted;
        if (a->pending > most) most = a->pending;
    }
    uint64_t waiting = ht_facts(run)->joins;
    if (all.granted > 0) ht_bad(line, "%u were let in", all.granted);
    if (most > WEFT_JOINS_PER_PEER_MAX) ht_bad(line, "%u requests of one device wait", most);
    if (waiting > WEFT_JOINS_MAX || waiting != all.pending)
        ht_bad(line, "%llu requests wait, %u were told so", (unsigned long long)waiting,
               all.pending);
    if (most < WEFT_JOINS_PER_PEER_MAX || waiting < WEFT_JOINS_MAX || all.busy == 0)
        ht_bad(line, "the bounds were not reached: %u of one, %llu in all, %u heard BUSY", most,
               (unsigned long long)waiting, all.busy);
    if (all.refused == 0 || joins.differ > 0)
        ht_bad(line, "of %u refusals %u differ", all.refused, joins.differ);
    (void)ht_node_call(&run->victim, &(ht_ask){.op = HT_REJECT});
    ht_unchanged(run, &before, line);
    ht_still_serves(run, line);
    ht_ok(line,
          "%u devices asked with %u keys each: %llu requests wait (%u of one at most), %u heard "
          "BUSY, nobody was "
          "let in; of closed, foreign and absent trees %u equal refusals",
          crew.wanted + 1, EACH, (unsigned long long)waiting, most, all.busy, all.refused);
}
