/* SPDX-License-Identifier: Apache-2.0
 * roles_read.c - those who want a tree that they may not read, or may not read any more: all that
 * they are sent is decrypted and looked through.
 * Called by: main.c. May touch: peers, the victim by asking. Never: the right that they lack. */
#include <stdio.h>
#include <string.h>

#include "hostile.h"

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static bool is_over(void *arg) { return ((ht_peer *)arg)->over || ((ht_peer *)arg)->ended; }

/* A reader of another tree (number 1) is waited for until it has that one. */
static void enough(ht_peer *p)
{
    p->over = p->number == 0 || p->frames[WF_F_ENTRIES] > 0;
    p->wake_at = ht_now() + 200 * WEFT_MS;
}

/* -- A forbidden tree --------------------------------------------------------------------- */

static uint32_t pieces_in(const struct wf_bytes *heard, const void *what, size_t len)
{
    uint32_t found = 0;
    for (size_t at = 0; at + 8 <= len; at++)
        found += memmem(heard->data + heard->start, wf_bytes_len(heard), (const uint8_t *)what + at,
                        8) != NULL;
    return found;
}

static void want_others(ht_peer *p, uint32_t stream)
{
    const ht_answer *born = &((ht_run *)p->arg)->born;
    weft_id ids[2] = {born->tips[HT_FORBIDDEN], born->trees[HT_FORBIDDEN]};
    struct wf_want want = {.stream = stream, .count = 2, .ids = ids[0].bytes};
    ht_peer_say(p, wf_want_encode(&want));
}

static void pry(ht_peer *p)
{
    const ht_answer *born = &((ht_run *)p->arg)->born;
    static const uint32_t flags[] = {0, WF_OPEN_SUBSCRIBE, WF_OPEN_EXACT, WF_OPEN_RAW};
    for (uint32_t i = 0; i < 4; i++) {
        struct wf_open open = {
            .stream = 1 + 2 * i, .tree = born->trees[HT_FORBIDDEN], .flags = flags[i]};
        if (flags[i] != WF_OPEN_RAW) { /* tips that it claims to have */
            open.own.count = 3;
            open.own.max_gen = 2;
            open.own.tips_count = 1;
            open.own.tip_bytes = flags[i] == WF_OPEN_EXACT ? 32 : 8;
            memcpy(open.own.tips, born->tips[HT_FORBIDDEN].bytes, open.own.tip_bytes);
        }
        ht_peer_say(p, wf_open_encode(&open));
    }
    ht_peer_say(p, wf_trees_req_encode(9));
    struct wf_open mine = {.stream = 11, .tree = born->trees[HT_LISTED], .own.tips_complete = true};
    ht_peer_say(p, wf_open_encode(&mine)); /* readers get this one, and ask there for others */
    p->wake_at = ht_now() + WEFT_SEC;
}

static void on_pried(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)body;
    (void)len;
    if (type == WF_F_STATE && stream == 11) want_others(p, 11);
    p->step += stream < 9 && (type == WF_F_STATE || type == WF_F_ENTRIES);
}

void ht_forbidden(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = pry, .frame = on_pried, .tick = enough};
    const ht_answer *born = &run->born;
    uint32_t refused = 0, served = 0, found = 0, wanted = ht_amount(run, 4, 40);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        struct wf_bytes heard = {0};
        bool reads = i % 2 == 1; /* another tree */
        weft_keypair *pair = reads ? ht_pair(HT_READER, 10 + i % 40)
                                   : ht_pair(HT_STRANGER, 4000 + i);
        ht_peer *p = ht_peer_dial(run->born.port, 1 + i, pair, &manner, run);
        p->heard = &heard;
        p->number = reads;
        (void)ht_loop(after(10), is_over, p);
        refused += p->step == 0 && p->frames[WF_F_ERR] > 0;
        served += reads && p->frames[WF_F_ENTRIES] > 0;
        bytes += p->plain_in;
        found += pieces_in(&heard, HT_MARK, strlen(HT_MARK));
        found += pieces_in(&heard, &born->trees[HT_FORBIDDEN], sizeof(weft_id));
        found += pieces_in(&heard, &born->tips[HT_FORBIDDEN], sizeof(weft_id));
        ht_peer_free(p);
        wf_bytes_fini(&heard);
    }
    if (refused != wanted) ht_bad(line, "of %u only %u were refused", wanted, refused);
    if (served != wanted / 2)
        ht_bad(line, "only %u of %u got the tree that they may read", served, wanted / 2);
    if (found > 0) ht_bad(line, "%u pieces of the forbidden tree were sent", found);
    ht_ok(line,
          "%u strangers and readers of another tree asked in every way: %llu bytes decrypted, 0 of "
          "the "
          "forbidden tree",
          wanted, (unsigned long long)bytes);
}

/* -- A revoked reader --------------------------------------------------------------------- */

#define REVOKED 50u /* the reader's number */
#define LATER 20u

static bool pushed(void *arg)
{
    const ht_peer *p = arg;
    return p->ended || p->frames[WF_F_PUSH] + p->frames[WF_F_ENTRIES] > p->step;
}

static bool is_told(void *arg)
{
    const ht_peer *p = arg;
    return p->ended || p->err_code == WF_W_TREE;
}

static bool done_came(void *arg)
{
    const ht_peer *p = arg;
    return p->ended || p->frames[WF_F_DONE] > 0;
}

static void subscribe(ht_peer *p)
{
    struct wf_open open = {.stream = 1,
                           .tree = ((ht_run *)p->arg)->born.trees[HT_FORBIDDEN],
                           .flags = WF_OPEN_SUBSCRIBE,
                           .own.tips_complete = true};
    ht_peer_say(p, wf_open_encode(&open));
}

static void on_subscribed(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body,
                          size_t len)
{
    struct wf_done theirs, ours = {.stream = stream, .round = 1, .clean = true};
    if (type != WF_F_DONE || wf_done_decode(body, len, &theirs) != WEFT_OK) return;
    ours.round = theirs.round;
    ours.mark = theirs.mark;
    memcpy(ours.root, theirs.root, sizeof ours.root);
    ours.count = theirs.count;
    ht_peer_say(p, wf_done_encode(&ours)); /* "and I have it all" */
}

static weft_err right(ht_run *run, weft_right what)
{
    ht_ask ask = {.op = HT_RIGHT, .tree = HT_FORBIDDEN, .count = REVOKED, .right = what};
    return (weft_err)ht_node_call(&run->victim, &ask)->err;
}

void ht_revoked(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {.depth = HT_SECURE, .up = subscribe, .frame = on_subscribed};
    uint32_t rounds = ht_amount(run, 2, 20), found = 0, before = 0, told = 0;
    for (uint32_t i = 0; i < rounds && !line->bad; i++) {
        struct wf_bytes heard = {0};
        char later[64];
        if (right(run, WEFT_RIGHT_READ) != WEFT_OK) ht_bad(line, "the right could not be given");
        ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_READER, REVOKED), &manner, run);
        p->heard = &heard;
        (void)ht_loop(after(5), done_came, p);
        p->step = (uint32_t)(p->frames[WF_F_PUSH] + p->frames[WF_F_ENTRIES]);
        ht_ask more = {.op = HT_COMMIT, .tree = HT_FORBIDDEN, .count = 1};
        (void)ht_node_call(&run->victim, &more);
        (void)ht_loop(after(5), pushed, p);
        before += pieces_in(&heard, HT_MARK, strlen(HT_MARK)) > 0 && pushed(p);
        if (right(run, WEFT_RIGHT_NONE) != WEFT_OK) ht_bad(line, "the right could not be taken");
        more.count = LATER;
        (void)ht_node_call(&run->victim, &more);
        (void)ht_loop(after(5), is_told, p);
        ht_pass(300 * WEFT_MS);
        /* The entries that were written since, by their payloads. */
        uint32_t first = HT_FEW_ENTRIES + i * (LATER + 1) + 1;
        for (uint32_t n = first; n < first + LATER; n++) {
            int len = snprintf(later, sizeof later, "%s%u.%u", HT_MARK, (unsigned)HT_FORBIDDEN, n);
            found += memmem(heard.data + heard.start, wf_bytes_len(&heard), later, (size_t)len) !=
                     NULL;
        }
        told += p->err_code == WF_W_TREE;
        ht_peer_free(p);
        wf_bytes_fini(&heard);
    }
    if (before != rounds)
        ht_bad(line, "only %u of %u readers were pushed to while they had the right", before,
               rounds);
    if (found > 0) ht_bad(line, "%u entries were sent after the right was taken away", found);
    if (told != rounds) ht_bad(line, "only %u of %u sessions were ended", told, rounds);
    run->born = *ht_facts(run);
    ht_ok(line,
          "%u times a right to read was taken away in the middle of live push: %u entries were "
          "written after "
          "it, 0 sent",
          rounds, rounds * LATER);
}
