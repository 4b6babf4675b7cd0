/* SPDX-License-Identifier: Apache-2.0
 * roles_server.c - where the node dials: a server that answers with what was not asked for, and
 * servers that are not who they should be.
 * Called by: main.c. May touch: servers of hostile peers, the victim by asking.
 * Never: dials itself. */
#include <stdio.h>
#include <string.h>

#include "hostile.h"

/* -- A server that answers with another tree ---------------------------------------------- */

/* The last one says nothing that counts, so it costs the node's patience: long runs only. */
enum evil { OTHER_TREE, FLIPPED, BEFORE_STATE, TWO_STATES, UNKNOWN_STREAM, OTHER_STREAM, EVILS };

struct evil_answer {
    ht_run *run;
    enum evil evil;
    bool closed;
};

static weft_buf *entry_frame(struct evil_answer *e, uint32_t stream, bool other, bool flip)
{
    weft_keypair *author = ht_pair(HT_AUTHOR, 0);
    const ht_answer *born = &e->run->born;
    uint32_t tree = other ? HT_SHARED : HT_LISTED;
    weft_id id;
    weft_buf *buf = NULL, *frame = NULL;
    struct wf_entries_builder b;
    weft_store_part part = {.name = "log", .payload = "evil", .payload_len = 4};
    weft_entry_spec spec = {.tree = born->trees[tree],
                            .parents = &born->trees[tree],
                            .parents_count = 1,
                            .height = 1,
                            .stores = &part,
                            .stores_count = 1};
    if (weft_entry_build(&spec, author, &buf, &id) != WEFT_OK) ht_die("an entry");
    if (flip) weft_buf_data(buf)[weft_buf_len(buf) - 1] ^= 1;
    if (wf_entries_begin(&b, WF_F_ENTRIES, stream, 0, 0) != WEFT_OK ||
        wf_entries_add(&b, weft_buf_bytes(buf), weft_buf_len(buf)) != WEFT_OK ||
        wf_entries_finish(&b, NULL, &frame) != WEFT_OK)
        ht_die("a frame");
    weft_buf_unref(buf);
    weft_keypair_destroy(author);
    return frame;
}

static void answer_open(ht_peer *p, uint32_t stream)
{
    struct evil_answer *e = p->arg;
    struct wf_state state = {
        .stream = stream,
        .plan = WF_PLAN_CLOSURE,
        .own = {.count = 900, .max_gen = 899, .seq = 900, .tips_complete = false}};
    memset(state.own.epoch, 7, sizeof state.own.epoch);
    state.own.tips_count = 1;
    state.own.tip_bytes = 8;
    memset(state.own.tips, 0x5a, 8);
    if (e->evil == OTHER_STREAM) state.stream += 2;
    if (e->evil == UNKNOWN_STREAM) {
        ht_peer_say(p, entry_frame(e, stream + 2, true, false));
        return;
    }
    if (e->evil != BEFORE_STATE) ht_peer_say(p, wf_state_encode(&state));
    if (e->evil == TWO_STATES) ht_peer_say(p, wf_state_encode(&state));
    if (e->evil == OTHER_STREAM) return;
    ht_peer_say(p, entry_frame(e, stream, e->evil != FLIPPED, e->evil == FLIPPED));
}

static void on_asked(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    struct evil_answer *e = p->arg;
    (void)body;
    (void)len;
    if (type == WF_F_OPEN) answer_open(p, stream);
    if (type == WF_F_CLOSE && stream == 0) e->closed = true;
}

static void on_end(ht_peer *p) { ((struct evil_answer *)p->arg)->closed = true; }

void ht_evil_server(ht_run *run, ht_line *line)
{
    static const char *const names[EVILS] = {"another tree",      "a turned signature",
                                             "before STATE",      "two STATEs",
                                             "an unknown stream", "another stream"};
    static const ht_manner manner = {.depth = HT_SECURE, .frame = on_asked, .end = on_end};
    ht_answer before = *ht_facts(run);
    uint32_t closed = 0, wanted = ht_amount(run, OTHER_STREAM, EVILS);
    for (uint32_t i = 0; i < wanted; i++) {
        struct evil_answer e = {.run = run, .evil = (enum evil)i};
        ht_server s = {
            .whose = HT_READER, .number = run->readers - 1 - i, .manner = &manner, .arg = &e};
        ht_server_open(&s);
        ht_ask ask = {.op = HT_REACH, .tree = HT_LISTED, .key = ht_key(HT_READER, s.number)};
        snprintf(ask.address, sizeof ask.address, "tcp:127.0.0.1:%u", s.port);
        const ht_answer *a = ht_node_call(&run->victim, &ask);
        if (a->err == WEFT_OK) ht_bad(line, "%s: taken as a good answer", names[i]);
        closed += e.closed;
        if (!e.closed && i != OTHER_STREAM) ht_bad(line, "%s: the connection stands", names[i]);
        ht_server_close(&s);
        if (s.proven == 0) ht_bad(line, "%s: it was never reached", names[i]);
    }
    ht_same_store(run, &before, line);
    ht_ok(line, "%u evil answers to a sync: 0 entries stored, %u connections closed", wanted,
          closed);
}

/* -- False addresses ---------------------------------------------------------------------- */

#define IMPOSTORS 7u

static void refuse(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    struct wf_err_frame no = {.stream = stream, .code = WF_W_TREE};
    (void)body;
    (void)len;
    if (type == WF_F_OPEN) ht_peer_say(p, wf_err_encode(WF_F_ERR, &no));
}

/* The connection to it is lost, and it may be looked for again. */
static void lose_connection(ht_run *run, ht_server *good)
{
    uint64_t up = ht_facts(run)->connections;
    for (uint32_t i = 0; i < sizeof good->peers / sizeof *good->peers; i++) {
        good->proven += good->peers[i] != NULL && good->peers[i]->secure;
        ht_peer_free(good->peers[i]);
        good->peers[i] = NULL;
    }
    for (uint32_t i = 0; i < 50 && ht_facts(run)->connections >= up; i++) ht_pass(100 * WEFT_MS);
}

/* Many more addresses than a peer may have, offered for one that nobody knows yet. */
static void offer_many(ht_run *run, ht_line *line, uint32_t count, uint32_t *again)
{
    static const ht_manner manner = {.depth = HT_SECURE, .frame = refuse};
    ht_server impostors = {
        .whose = HT_STRANGER, .number = 820, .everywhere = true, .manner = &manner};
    ht_server good = {.whose = HT_READER, .number = 41, .manner = &manner};
    ht_ask ask = {.op = HT_OFFER, .tree = HT_LISTED, .count = count, .key = ht_key(HT_READER, 41)};
    ht_server_open(&impostors);
    ht_server_open(&good);
    ask.right = impostors.port;
    snprintf(ask.address, sizeof ask.address, "tcp:127.0.0.1:%u", good.port);
    const ht_answer *a = ht_node_call(&run->victim, &ask);
    if (a->err != WEFT_TREE) /* it was reached, and has no such tree */
        ht_bad(line, "the true address of %u was not found: %s", count,
               weft_strerror((weft_err)a->err));
    if (a->count > 0)
        ht_bad(line, "%llu impostors were taken for it", (unsigned long long)a->count);
    if (a->tries != WEFT_ADDRESSES_PER_PEER_MAX - 1) /* and the one that has worked */
        ht_bad(line, "%llu addresses were kept", (unsigned long long)a->tries);
    uint32_t dials = impostors.came, reached = good.came;
    if (dials < count / 2) ht_bad(line, "only %u impostors of %u were dialled", dials, count);
    lose_connection(run, &good);
    ask.op = HT_REACH;
    ask.count = 0;
    ask.address[0] = '\0';
    (void)ht_node_call(&run->victim, &ask);
    *again = impostors.came - dials;
    if (good.came == reached) ht_bad(line, "it was not looked for again, of %u", count);
    if (*again > 2) ht_bad(line, "%u of %u impostors were tried first", *again, count);
    ht_server_close(&good);
    ht_server_close(&impostors);
    if (good.proven == 0) ht_bad(line, "the true address of %u was not reached", count);
    if (impostors.proven > 0) ht_bad(line, "%u impostors were shown the key", impostors.proven);
    if (impostors.most > 34)
        ht_bad(line, "an impostor got %llu bytes", (unsigned long long)impostors.most);
}

void ht_poison(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {.depth = HT_SECURE, .frame = refuse};
    ht_server servers[IMPOSTORS + 1];
    uint64_t most = 0;
    uint32_t tries = 0, again = 0, proven = 0, offered = ht_amount(run, 96, 1000), later = 0;
    ht_ask ask = {.op = HT_REACH, .tree = HT_LISTED, .key = ht_key(HT_READER, 40)};
    for (uint32_t i = 0; i <= IMPOSTORS; i++) { /* the true one is the last */
        bool is_true = i == IMPOSTORS;
        servers[i] = (ht_server){.whose = is_true ? HT_READER : HT_STRANGER,
                                 .number = is_true ? 40 : 800 + i,
                                 .manner = &manner};
        ht_server_open(&servers[i]);
        size_t at = strlen(ask.address);
        snprintf(ask.address + at, sizeof ask.address - at, "tcp:127.0.0.1:%u ", servers[i].port);
    }
    ask.count = 1;
    (void)ht_node_call(&run->victim, &ask);
    for (uint32_t i = 0; i < IMPOSTORS; i++) tries += servers[i].came;
    uint32_t reached = servers[IMPOSTORS].came;
    lose_connection(run, &servers[IMPOSTORS]);
    ask.count = 0;
    ask.address[0] = '\0';
    (void)ht_node_call(&run->victim, &ask);
    if (servers[IMPOSTORS].came == reached) ht_bad(line, "it was not looked for again");
    for (uint32_t i = 0; i <= IMPOSTORS; i++) {
        ht_server_close(&servers[i]);
        if (i == IMPOSTORS) break;
        again += servers[i].came;
        proven += servers[i].proven;
        if (servers[i].most > most) most = servers[i].most;
    }
    again -= tries;
    if (again > 2)
        ht_bad(line, "%u impostors were tried before the address that had worked", again);
    if (servers[IMPOSTORS].proven == 0) ht_bad(line, "the true address was not found");
    if (proven > 0) ht_bad(line, "%u impostors were shown the node's key", proven);
    if (most > 34) ht_bad(line, "an impostor got %llu bytes", (unsigned long long)most);
    offer_many(run, line, offered, &later);
    ht_ok(
        line,
        "%u impostors before the true address: %u dials, %llu bytes for one at most, 0 after the "
        "handshake; the "
        "true one was reached, and the next time after %u dials of others; %u offered for one, by "
        "tickets and by hand: the same, after %u",
        IMPOSTORS, tries, (unsigned long long)most, again, offered, later);
}
