/* SPDX-License-Identifier: Apache-2.0
 * roles_auth.c - those who want to know what they may not, a signature that they may not have,
 * or the attention that a proof costs.
 * Called by: main.c. May touch: peers. Never: the right that they lack. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "hostile.h"

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static bool is_over(void *arg) { return ((ht_peer *)arg)->over || ((ht_peer *)arg)->ended; }

static void enough(ht_peer *p) { p->over = true; }

/* -- A signature for an entry ------------------------------------------------------------- */

/* What an entry's author signs, short enough to be said in every field. */
static struct {
    uint8_t bytes[160];
    size_t len;
} bait;

static void make_bait(const ht_run *run)
{
    weft_keypair *author = ht_pair(HT_VICTIM, 0); /* its own key: so that only it could sign */
    weft_buf *buf = NULL;
    weft_id id;
    weft_entry_spec spec = {.tree = run->born.trees[HT_LISTED],
                            .parents = &run->born.trees[HT_LISTED],
                            .parents_count = 1,
                            .height = 1};
    if (weft_entry_build(&spec, author, &buf, &id) != WEFT_OK) ht_die("an entry");
    bait.len = weft_buf_len(buf) - 66;
    memcpy(bait.bytes, weft_buf_bytes(buf), bait.len);
    weft_buf_unref(buf);
    weft_keypair_destroy(author);
}

static void offer_bait(ht_peer *p)
{
    struct wf_hello hello = {.ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS};
    struct wf_open open = {.stream = 1, .own.tips_complete = true};
    struct wf_join_ask join = {.stream = 3, .key = p->key, .right = 1, .meta = bait.bytes};
    struct wf_want want = {.stream = 5, .count = (uint32_t)bait.len / 32, .ids = bait.bytes};
    struct wf_prove prove = {.stream = 7};
    struct wf_err_frame err = {.stream = 9, .code = WF_W_BUSY};
    for (size_t i = 0; i < 60; i++) hello.name[i] = (char)('a' + bait.bytes[i] % 26);
    ht_peer_hello(p, &hello);
    for (size_t at = 0; at + 8 <= bait.len; at += 8) {
        uint64_t token;
        memcpy(&token, bait.bytes + at, 8);
        ht_peer_ping(p, token);
    }
    memcpy(open.tree.bytes, bait.bytes, 32);
    memcpy(open.own.root, bait.bytes + 32, 32);
    memcpy(open.own.epoch, bait.bytes + 64, 16);
    ht_peer_say(p, wf_open_encode(&open));
    memcpy(join.tree.bytes, bait.bytes, 32);
    memcpy(join.name, "bait", 5);
    join.meta_len = (uint32_t)bait.len;
    memcpy(join.sig, bait.bytes, sizeof join.sig);
    if (p->number % 2 == 0) ht_peer_say(p, wf_want_encode(&want));
    ht_peer_say(p, wf_err_encode(WF_F_ERR, &err));
    ht_peer_say(p, wf_trees_req_encode(11));
    memcpy(prove.key.bytes, bait.bytes, 32);
    memcpy(prove.sig, bait.bytes + 32, 64);
    if (p->number % 3 == 1) ht_peer_say(p, wf_prove_encode(&prove));
    if (p->number % 3 == 2) ht_peer_say(p, wf_join_encode(&join));
    p->wake_at = ht_now() + 300 * WEFT_MS;
}

static bool is_signature(const ht_peer *p, const uint8_t *at)
{
    return wf_verify(&p->other, WF_PURPOSE_ENTRY, bait.bytes, bait.len, at) == WEFT_OK;
}

void ht_oracle(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .mute = true, .up = offer_bait, .tick = enough};
    uint32_t tried = 0, good = 0;
    uint64_t bytes = 0;
    make_bait(run);
    weft_keypair *device = ht_pair(HT_VICTIM, 0);
    uint8_t true_one[WEFT_SIGNATURE_BYTES];
    if (wf_sign(device, WF_PURPOSE_ENTRY, bait.bytes, bait.len, true_one) != WEFT_OK)
        ht_die("sign");
    weft_keypair_destroy(device);
    for (uint32_t i = 0; i < ht_amount(run, 6, 60); i++) {
        struct wf_bytes heard = {0};
        ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 900 + i), &manner,
                                  NULL);
        p->number = i;
        p->heard = &heard;
        (void)ht_loop(after(5), is_over, p);
        if (!p->secure || !is_signature(p, true_one))
            ht_bad(line, "the search itself finds nothing");
        good += is_signature(p, p->proof);
        size_t len = wf_bytes_len(&heard);
        for (size_t at = 0; at + 64 <= len; at++, tried++)
            good += is_signature(p, wf_bytes_front(&heard) + at);
        bytes += len;
        tried++;
        ht_peer_free(p);
        wf_bytes_fini(&heard);
    }
    if (tried < 100) ht_bad(line, "only %u places were looked at", tried);
    if (good > 0) ht_bad(line, "%u signatures for an entry in what the node said", good);
    ht_ok(line,
          "an entry's signed bytes said in every field: %llu bytes in answer, %u places tried, "
          "none is a "
          "signature for it",
          (unsigned long long)bytes, tried);
}

/* -- Is the tree here? -------------------------------------------------------------------- */

enum probe { FORBIDDEN, NOT_MINE, ABSENT, PROBES };
struct probing {
    ht_run *run;
    uint32_t wanted, done, stream;
    uint64_t asked_at, bytes_before;
    double sum[PROBES], squares[PROBES];
    uint32_t count[PROBES], differ;
    uint8_t first[256]; /* of the answers, without the stream's number */
    size_t first_len;
};

static void probe(ht_peer *p)
{
    static const enum ht_tree trees[] = {[FORBIDDEN] = HT_FORBIDDEN, [NOT_MINE] = HT_SHARED};
    struct probing *x = p->arg;
    enum probe kind = (enum probe)(x->done % PROBES);
    struct wf_open open = {.stream = x->stream, .own.tips_complete = true};
    if (kind == ABSENT)
        for (size_t i = 0; i < sizeof open.tree.bytes; i++)
            open.tree.bytes[i] = (uint8_t)ht_random();
    else open.tree = x->run->born.trees[trees[kind]];
    x->asked_at = ht_now();
    ht_peer_say(p, wf_open_encode(&open));
}

/* The number of a stream is 1, 2, 3 or 5 bytes long: what stands behind it is compared. */
static void compare(struct probing *x, const uint8_t *body, size_t len)
{
    size_t skip = 2 + (body[2] < 0x80 ? 1u : body[2] == 0xcc ? 2u : body[2] == 0xcd ? 3u : 5u);
    if (x->first_len == 0) {
        x->first_len = len - skip;
        memcpy(x->first, body + skip, x->first_len);
    }
    x->differ += len - skip != x->first_len || memcmp(body + skip, x->first, x->first_len) != 0;
}

static void on_probed(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    struct probing *x = p->arg;
    if (type != WF_F_ERR || stream != x->stream) {
        x->differ += type == WF_F_STATE;
        return;
    }
    double took = (double)(ht_now() - x->asked_at) / 1e3;
    enum probe kind = (enum probe)(x->done % PROBES);
    compare(x, body, len);
    if (took < 5000) { /* somebody else had the processor */
        x->sum[kind] += took;
        x->squares[kind] += took * took;
        x->count[kind]++;
    }
    x->stream += 2;
    if (++x->done == x->wanted) p->over = true;
    else if (p->window > 1000) probe(p);
    else p->wake_at = ht_now() + WEFT_MS; /* until the window is back */
}

static double effect(const struct probing *x, enum probe a, enum probe b)
{
    double mean_a = x->sum[a] / x->count[a], mean_b = x->sum[b] / x->count[b];
    double var_a = x->squares[a] / x->count[a] - mean_a * mean_a;
    double var_b = x->squares[b] / x->count[b] - mean_b * mean_b;
    return fabs(mean_a - mean_b) / sqrt((var_a + var_b) / 2 + 1e-9);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#define TIMES 9u
void ht_timing(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = probe, .frame = on_probed, .tick = probe};
    double forbidden[TIMES], foreign[TIMES], took[PROBES] = {0};
    uint32_t done = 0, times = ht_amount(run, 1, TIMES);
    size_t size = 0;
    for (uint32_t i = 0; i < times && !line->bad; i++) {
        struct probing x = {.run = run, .wanted = ht_amount(run, 300, 1200), .stream = 1};
        ht_peer *p = ht_peer_dial(run->born.port, 1, ht_pair(HT_STRANGER, 2000), &manner, &x);
        (void)ht_loop(after(run->fast ? 5 : 30), is_over, p);
        ht_peer_free(p);
        if (x.done != x.wanted)
            ht_bad(line, "only %u of %u probes were answered", x.done, x.wanted);
        if (x.differ > 0) ht_bad(line, "%u answers differ", x.differ);
        forbidden[i] = effect(&x, FORBIDDEN, ABSENT);
        foreign[i] = effect(&x, NOT_MINE, ABSENT);
        for (uint32_t k = 0; k < PROBES; k++) took[k] += x.sum[k] / x.count[k] / times;
        done += x.done;
        size = x.first_len;
    }
    /* The median of several runs: somebody else's work falls into one of them. */
    qsort(forbidden, times, sizeof *forbidden, by_size);
    qsort(foreign, times, sizeof *foreign, by_size);
    double d = forbidden[times / 2], e = foreign[times / 2];
    if (!run->fast && (d > 0.2 || e > 0.2)) /* small by convention */
        ht_bad(line, "time tells: %.1f, %.1f and %.1f us, effect sizes %.2f and %.2f", took[0],
               took[1], took[2], d, e);
    ht_ok(line,
          "%u probes of a forbidden, a foreign and an absent tree: equal answers of %zu bytes; "
          "%.0f, %.0f and "
          "%.0f us, effect sizes %.2f and %.2f",
          done, size, took[0], took[1], took[2], d, e);
}

/* -- Proofs ------------------------------------------------------------------------------- */

static void sign_proof(ht_peer *p, struct wf_prove *prove, uint32_t n)
{
    uint8_t text[WF_PROVE_TEXT_BYTES];
    weft_keypair *pair = ht_pair(HT_FORGER, 100 + n);
    weft_keypair_public(pair, &prove->key);
    wf_prove_text(p->channel, &p->key, &p->other, prove->stream, text);
    if (wf_sign(pair, WF_PURPOSE_ACCESS, text, sizeof text, prove->sig) != WEFT_OK) ht_die("sign");
    weft_keypair_destroy(pair);
}

enum { OTHERS_CHANNEL, TOO_MANY, WRONG_STREAM, JOINS, PROOFS };
#define ASKS 24u
static void throw_proofs(ht_peer *p)
{
    struct wf_prove prove = {.stream = 1};
    switch (p->number % PROOFS) {
    case OTHERS_CHANNEL: /* a good proof, for another connection */
        p->channel[0] ^= 1;
        sign_proof(p, &prove, p->number);
        ht_peer_say(p, wf_prove_encode(&prove));
        break;
    case TOO_MANY: /* good ones, but more keys than there may be */
        for (uint32_t i = 0; i <= WEFT_PROVEN_KEYS_MAX; i++, prove.stream += 2) {
            sign_proof(p, &prove, i);
            ht_peer_say(p, wf_prove_encode(&prove));
        }
        break;
    case WRONG_STREAM:
        prove.stream = 2;
        sign_proof(p, &prove, 0);
        ht_peer_say(p, wf_prove_encode(&prove));
        break;
    default:
        for (uint32_t i = 0; i < ASKS; i++) {
            struct wf_join_ask join = {
                .stream = 1 + 2 * i, .key = p->key, .name = "me", .right = 3};
            uint8_t text[WF_JOIN_TEXT_MAX];
            size_t len;
            join.tree = ((ht_run *)((ht_crew *)p->arg)->arg)->born.trees[HT_FORBIDDEN];
            wf_join_text(p->channel, &p->key, &p->other, &join, text, &len);
            if (wf_sign(p->pair, WF_PURPOSE_ACCESS, text, len, join.sig) != WEFT_OK) ht_die("sign");
            ht_peer_say(p, wf_join_encode(&join));
        }
        break;
    }
}

static struct {
    uint32_t ended[PROOFS], of[PROOFS], busy, joins_told, granted;
} proofs;

static void judge_proofs(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    uint32_t kind = p->number % PROOFS;
    proofs.of[kind]++;
    proofs.ended[kind] += p->ended;
    proofs.busy += !p->ended && kind != JOINS && p->err_code == WF_W_BUSY;
    if (kind == JOINS) proofs.joins_told += (uint32_t)p->frames[WF_F_ERR];
    proofs.granted += (uint32_t)(p->frames[WF_F_JOINED] + p->frames[WF_F_STATE]);
}

static void on_proof_answered(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body,
                              size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    if (type != WF_F_ERR) return;
    if (p->number % PROOFS == JOINS ? p->frames[WF_F_ERR] == ASKS : p->err_code == WF_W_BUSY)
        p->over = true;
}

static ht_peer *begin_proofs(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = throw_proofs, .frame = on_proof_answered};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 3000 + i), &manner, crew);
    p->number = i;
    return p;
}

void ht_proofs(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = PROOFS * ht_amount(run, 10, 250),
                    .width = 16,
                    .patience = 10 * WEFT_SEC,
                    .begin = begin_proofs,
                    .judge = judge_proofs,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    memset(&proofs, 0, sizeof proofs);
    uint64_t busy = ht_processor(run->victim.pid);
    (void)ht_crew_run(&crew, after(run->fast ? 15 : 240));
    busy = ht_processor(run->victim.pid) - busy;
    uint32_t ended = 0, of = 0;
    for (uint32_t kind = 0; kind < JOINS; kind++) {
        if (proofs.ended[kind] == 0) ht_bad(line, "kind %u: none ended its connection", kind);
        ended += proofs.ended[kind];
        of += proofs.of[kind];
    }
    if (ended + proofs.busy != of)
        ht_bad(line, "of %u false proofs %u ended their connection, %u heard BUSY", of, ended,
               proofs.busy);
    if (proofs.joins_told == 0) ht_bad(line, "no JOIN was answered");
    if (proofs.granted > 0) ht_bad(line, "%u got what they asked for", proofs.granted);
    ht_unchanged(run, &before, line);
    ht_still_serves(run, line);
    ht_ok(line,
          "%u connections with proofs for another connection, too many, out of order, and 24 JOINs "
          "each: all "
          "refused, %.1f ms of the node for one",
          crew.over, (double)busy / 1e6 / crew.over);
}
