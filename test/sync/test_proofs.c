/* SPDX-License-Identifier: Apache-2.0
 * test_proofs.c - proofs of keys, requests to join and questions by a peer that does as it likes: which of
 * them are looked at, and what that costs.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "frame.h"
#include "keyring.h"
#include "kv_faulty.h"
#include "raw.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_keypair *pair_of(uint8_t number, weft_key *out)
{
    uint8_t seed[32] = {number, 0x55};
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    if (out != NULL) weft_keypair_public(pair, out);
    return pair;
}

static uint32_t proven(struct world *w, uint32_t at, const weft_key *peer)
{
    weft_key keys[WEFT_PROVEN_KEYS_MAX];
    return wf_keyring_get(node(w, at)->table.keyring, peer, keys);
}

#define VICTIM 1u
#define IDENTITY 700u

struct play {
    struct world *w;
    weft_rt *rt;
    struct raw raw;
    weft_key self; /* the raw peer's */
    unsigned identity;
};

static bool told_to_go(const struct play *p) { return p->raw.seen.close_code != UINT64_MAX; }

static void up(struct play *p, const char *to)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS};
    wf_net *net;
    cr_assert_eq(wf_net_mem_create(p->w->hub->hub, p->rt, "x", &net), WEFT_OK);
    raw_start(&p->raw, p->rt, net, to, p->identity, RAW_SECURE);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert(p->raw.seen.secure);
    cr_assert_eq(wf_frame_put_hello(&b, &h), WEFT_OK);
    raw_frames(&p->raw, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert(p->raw.seen.hello && !told_to_go(p));
}

static void down(struct play *p)
{
    raw_stop(&p->raw, p->rt);
    world_run(p->w, 100 * WEFT_MS);
}

/* As long as a key that has broken the rules may be refused for it. */
static void serve_penalty(struct play *p) { world_run(p->w, WEFT_PENALTY_MAX_NS); }

static void play_as(struct play *p, unsigned identity)
{
    struct wf_identity id;
    rig_identity(identity, &id);
    p->identity = identity;
    p->self = id.key;
    free(id.arg);
}

static void play_up(struct play *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    play_as(p, IDENTITY);
    p->w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(wf_sim_rt_create(p->w->sim, &p->rt), WEFT_OK);
}

static void play_down(struct play *p)
{
    cr_assert_eq(weft_rt_stop(p->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    world_destroy(p->w);
}

/* Takes the frame. */
static void put_frame(struct wf_bytes *out, weft_buf *frame)
{
    cr_assert_not_null(frame);
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++) data[i] = (uint8_t)(body >> (24 - 8 * i));
    cr_assert_eq(wf_bytes_append(out, data, weft_buf_len(frame)), WEFT_OK);
    weft_buf_unref(frame);
}

static void send_frame(struct play *p, weft_buf *frame)
{
    struct wf_bytes b = {0};
    put_frame(&b, frame);
    raw_frames(&p->raw, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
    world_run(p->w, 20 * WEFT_MS);
}

/* What a signature says; what fits is the default. */
struct claim {
    const uint8_t *channel; /* NULL: this one */
    bool swapped;           /* as if the victim had proven it to us */
    uint32_t stream;        /* 0: that of the frame */
    enum wf_purpose purpose;
    bool flipped;
};

static weft_buf *proof_of(struct play *p, uint8_t user, uint32_t stream, struct claim claim)
{
    struct wf_prove frame = {.stream = stream};
    uint8_t text[WF_PROVE_TEXT_BYTES];
    weft_keypair *pair = pair_of(user, &frame.key);
    const weft_key *victim = key(p->w, VICTIM);
    wf_prove_text(claim.channel != NULL ? claim.channel : p->raw.seen.channel,
                  claim.swapped ? victim : &p->self, claim.swapped ? &p->self : victim,
                  claim.stream != 0 ? claim.stream : stream, text);
    cr_assert_eq(wf_sign(pair, claim.purpose, text, sizeof text, frame.sig), WEFT_OK);
    if (claim.flipped) frame.sig[7] ^= 1;
    weft_keypair_destroy(pair);
    return wf_prove_encode(&frame);
}

static void prove(struct play *p, uint8_t user, uint32_t stream, struct claim claim)
{
    send_frame(p, proof_of(p, user, stream, claim));
}

static const struct claim fits = {.purpose = WF_PURPOSE_ACCESS};

Test(access, a_proof_for_another_connection_is_refused)
{
    struct play p;
    uint8_t before[64];
    play_up(&p, 11);
    up(&p, "n1:1");
    prove(&p, 50, 1, fits);
    cr_expect_not(told_to_go(&p));
    cr_expect_eq(proven(p.w, VICTIM, &p.self), 1);
    memcpy(before, p.raw.seen.channel, sizeof before);
    down(&p);
    cr_expect_eq(proven(p.w, VICTIM, &p.self), 0);
    const struct claim wrong[] = {
        {.purpose = WF_PURPOSE_ACCESS, .channel = before},
        {.purpose = WF_PURPOSE_ACCESS, .swapped = true},
        {.purpose = WF_PURPOSE_ACCESS, .stream = 3},
        {.purpose = WF_PURPOSE_ACCESS, .flipped = true},
        {.purpose = WF_PURPOSE_ENTRY},
        {.purpose = WF_PURPOSE_NOISE_STATIC},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        up(&p, "n1:1");
        prove(&p, 50, 1, wrong[i]);
        cr_expect_eq(p.raw.seen.close_code, WF_W_AUTH, "%zu", i);
        cr_expect_eq(proven(p.w, VICTIM, &p.self), 0, "%zu", i);
        down(&p);
        serve_penalty(&p);
    }
    play_down(&p);
}

Test(access, a_proof_comes_on_a_new_stream_of_its_sender)
{
    const uint32_t streams[] = {0, 2, 5}; /* the dialler's are odd; 5: used already */
    struct play p;
    play_up(&p, 12);
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct wf_open open = {.stream = 5, .tree = {{9}}, .own.tips_complete = true};
        up(&p, "n1:1");
        send_frame(&p, wf_open_encode(&open));
        prove(&p, 50, streams[i], fits);
        cr_expect_eq(p.raw.seen.close_code, WF_W_FRAME, "stream %u", streams[i]);
        down(&p);
        serve_penalty(&p);
    }
    play_down(&p);
}

Test(access, streams_are_opened_in_any_order_and_none_twice)
{
    struct play p;
    const struct {
        uint32_t stream;
        bool fits;
    } opened[] = {{5, true}, {1, true}, {3, true}, {4999, true}, {905, true}, {905, false}};
    play_up(&p, 17);
    up(&p, "n1:1");
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++) {
        struct wf_open open = {
            .stream = opened[i].stream, .tree = {{9}}, .own.tips_complete = true};
        send_frame(&p, wf_open_encode(&open));
        cr_expect_eq(told_to_go(&p), !opened[i].fits, "%zu", i);
    }
    cr_expect_eq(p.raw.seen.close_code, WF_W_FRAME);
    down(&p);
    up(&p, "n1:1");
    struct wf_open late = {.stream = 8193, .tree = {{9}}, .own.tips_complete = true};
    send_frame(&p, wf_open_encode(&late));
    cr_expect_not(told_to_go(&p));
    late.stream = 1; /* so far back nobody remembers what was used */
    send_frame(&p, wf_open_encode(&late));
    cr_expect_eq(p.raw.seen.close_code, WF_W_FRAME);
    down(&p);
    play_down(&p);
}

Test(access, too_many_proofs_cost_the_connection)
{
    struct play p;
    play_up(&p, 13);
    up(&p, "n1:1");
    for (uint32_t i = 0; i < WEFT_PROVEN_KEYS_MAX; i++)
        prove(&p, (uint8_t)(50 + i), 1 + 2 * i, fits);
    cr_expect_not(told_to_go(&p));
    cr_expect_eq(proven(p.w, VICTIM, &p.self), WEFT_PROVEN_KEYS_MAX);
    prove(&p, 99, 101, fits);
    cr_expect_eq(p.raw.seen.close_code, WF_W_LIMIT);
    cr_expect_eq(proven(p.w, VICTIM, &p.self), 0);
    down(&p);
    play_down(&p);
}

Test(access, proofs_are_looked_at_no_faster_than_is_paid_for)
{
    const struct claim wrong = {.purpose = WF_PURPOSE_ACCESS, .flipped = true};
    struct play p;
    play_up(&p, 14);
    up(&p, "n1:1");
    for (uint32_t i = 0; i < WEFT_PROOFS_PER_CONNECTION; i++) prove(&p, 50, 1 + 2 * i, fits);
    cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 0);
    prove(&p, 50, 101, wrong);
    cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 1);
    cr_expect_eq(p.raw.seen.err_code, WF_W_BUSY);
    struct wf_open open = {.stream = 101, .tree = p.w->tree, .own.tips_complete = true};
    send_frame(&p, wf_open_encode(&open));
    cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 1, "it was told so already");
    cr_expect_not(told_to_go(&p), "the signature was not looked at");
    world_run(p.w, WEFT_PROOF_EVERY_NS);
    prove(&p, 50, 103, wrong);
    cr_expect_eq(p.raw.seen.close_code, WF_W_AUTH, "now it was");
    down(&p);
    play_down(&p);
}

/* So many proofs that a connection may not have more, and nobody gets to do anything meanwhile. */
static void blast(struct play *p)
{
    struct wf_bytes all = {0};
    for (uint32_t i = 0; i < WEFT_PROOFS_PER_CONNECTION; i++)
        put_frame(&all, proof_of(p, 50, 1 + 2 * i, fits));
    raw_frames(&p->raw, wf_bytes_front(&all), wf_bytes_len(&all));
    wf_bytes_fini(&all);
}

/* All but the first are strangers. `open`: they have read that tree, as everybody may. */
static void flood(uint64_t seed, bool open)
{
    enum { ALL = WEFT_PROOFS_NODE / WEFT_PROOFS_PER_CONNECTION + 3 };
    struct play p[ALL];
    uint64_t refused = 0;
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ, .entropy = {7}};
    weft_id tree;
    play_up(&p[0], seed);
    cr_assert_eq(weft_peer_register(node(p[0].w, VICTIM), &p[0].self, "x", CALL), WEFT_OK);
    cr_assert_eq(weft_tree_create(node(p[0].w, VICTIM), p[0].w->author, &root, CALL, &tree),
                 WEFT_OK);
    for (unsigned i = 0; i < ALL; i++) {
        if (i > 0) {
            p[i] = (struct play){.w = p[0].w, .rt = p[0].rt};
            play_as(&p[i], IDENTITY + i);
        }
        up(&p[i], "n1:1");
        if (i == 0 || !open) continue;
        struct wf_open ask = {.stream = 101, .tree = tree, .own.tips_complete = true};
        weft_peer_info info;
        send_frame(&p[i], wf_open_encode(&ask));
        cr_assert_eq(weft_peer_get(node(p[0].w, VICTIM), &p[i].self, CALL, &info), WEFT_OK);
    }
    for (unsigned i = 1; i < ALL; i++) blast(&p[i]);
    world_run(p[0].w, 5 * WEFT_MS);
    blast(&p[0]);
    world_run(p[0].w, 20 * WEFT_MS);
    for (unsigned i = 1; i < ALL; i++) refused += p[i].raw.seen.frames[WF_F_ERR];
    cr_expect_gt(refused, 0, "it was no flood");
    cr_expect_eq(p[0].raw.seen.frames[WF_F_ERR], 0, "%lu were refused",
                 p[0].raw.seen.frames[WF_F_ERR]);
    cr_expect_eq(proven(p[0].w, VICTIM, &p[0].self), 1);
    for (unsigned i = 0; i < ALL; i++) down(&p[i]);
    play_down(&p[0]);
}

Test(access, strangers_leave_a_part_of_the_proofs_to_who_is_known) { flood(18, false); }

Test(access, strangers_of_an_open_tree_leave_a_part_of_the_proofs_to_who_is_known)
{
    flood(19, true);
}

static weft_buf *join_to(struct play *p, const weft_key *to, uint32_t stream, const weft_id *tree,
                         bool wrong)
{
    struct wf_join_ask join = {.stream = stream, .tree = *tree, .name = "x", .right = 1};
    uint8_t text[WF_JOIN_TEXT_MAX];
    size_t len;
    weft_keypair *pair = pair_of(50, &join.key);
    wf_join_text(p->raw.seen.channel, &p->self, to, &join, text, &len);
    cr_assert_eq(wf_sign(pair, WF_PURPOSE_ACCESS, text, len, join.sig), WEFT_OK);
    if (wrong) join.right = 2; /* not what was signed */
    weft_keypair_destroy(pair);
    return wf_join_encode(&join);
}

static weft_buf *join_of(struct play *p, uint32_t stream, const weft_id *tree, bool wrong)
{
    return join_to(p, key(p->w, VICTIM), stream, tree, wrong);
}

Test(access, who_asks_to_join_hears_the_same_of_every_tree)
{
    struct play p;
    weft_id absent = {{9}};
    play_up(&p, 16);
    up(&p, "n1:1");
    for (uint32_t i = 0; i < 2; i++) {
        p.raw.seen.err_code = 0;
        send_frame(&p, join_of(&p, 1 + 2 * i, i == 0 ? &absent : &p.w->tree, false));
        cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 1 + i);
        cr_expect_eq(p.raw.seen.err_code, WF_W_TREE);
    }
    cr_expect_eq(proven(p.w, VICTIM, &p.self), 0, "it has not passed");
    send_frame(&p, join_of(&p, 9, &p.w->tree, true));
    cr_expect_eq(p.raw.seen.close_code, WF_W_AUTH);
    down(&p);
    play_down(&p);
}

/* The node shows a key of its own, and hears that it was too busy, or that the right is missing. */
Test(access, a_key_that_was_not_looked_at_is_shown_again)
{
    for (unsigned busy = 0; busy < 2; busy++) {
        struct play p;
        play_up(&p, 15);
        weft_node *victim = node(p.w, VICTIM);
        weft_keypair *user = pair_of(50, NULL);
        weft_key readers[2] = {*key(p.w, 0), p.self};
        cr_assert_eq(weft_tree_follow(victim, &p.w->tree, readers, 2, CALL), WEFT_OK);
        cr_assert_eq(weft_peer_register(victim, &p.self, "x", CALL), WEFT_OK);
        cr_assert_eq(weft_peer_relate(victim, &p.self, &p.w->tree, CALL), WEFT_OK);
        cr_assert_eq(weft_tree_use_key(victim, &p.w->tree, user), WEFT_OK);
        up(&p, "n1:1");
        world_run(p.w, WEFT_SEC);
        cr_expect_eq(p.raw.seen.frames[WF_F_PROVE], 1);
        cr_expect_eq(p.raw.seen.frames[WF_F_OPEN], 1);
        struct wf_err_frame no = {.stream = 2, .code = busy ? WF_W_BUSY : WF_W_TREE};
        send_frame(&p, wf_err_encode(WF_F_ERR, &no));
        world_run(p.w, 20 * WEFT_SEC);
        cr_expect_geq(p.raw.seen.frames[WF_F_OPEN], 2);
        cr_expect_eq(p.raw.seen.frames[WF_F_PROVE], busy ? 2 : 1);
        weft_keypair_destroy(user);
        down(&p);
        play_down(&p);
    }
}

/* -- Absent, disabled, forbidden -------------------------------------------------------- */

/* A node of its own whose reads are counted, in the world's network. */
struct counted {
    weft_rt *rt;
    wf_kv *kv;
    weft_node *node;
    weft_keypair *device;
};

static void counted_up(struct counted *c, struct world *w)
{
    wf_kv *memory = NULL;
    cr_assert_eq(wf_sim_rt_create(w->sim, &c->rt), WEFT_OK);
    cr_assert_eq(wf_kv_memory_open(&memory), WEFT_OK);
    c->kv = kv_faulty_create(memory);
    c->device = pair_of(77, NULL);
    weft_node_options options = {.rt = c->rt, .device = c->device, .verifiers = 1};
    cr_assert_eq(wf_node_open_kv(&options, c->kv, &c->node), WEFT_OK);
    cr_assert_eq(weft_add_transport_mem(c->node, "mem", w->hub, "n9", "mem:n9:1", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(c->node, NULL, CALL), WEFT_OK);
}

static void counted_down(struct counted *c)
{
    weft_node_close(c->node);
    cr_assert_eq(weft_rt_stop(c->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(c->rt), WEFT_OK);
    weft_keypair_destroy(c->device);
}

/* Asks such a node for a tree that is nowhere, one that may not be read, one that is not served. */
enum { ABSENT, FORBIDDEN, DISABLED, PROBED };
struct probing {
    struct play p;
    struct counted c;
    weft_key self;
    weft_id trees[PROBED];
    uint32_t stream;
};
struct probed {
    uint64_t reads, bytes;
    bool other; /* and something that was no answer came */
};

static void probing_up(struct probing *x, uint64_t seed)
{
    *x = (struct probing){.trees = {{{9}}}, .stream = 1};
    play_up(&x->p, seed);
    counted_up(&x->c, x->p.w);
    weft_node_key(x->c.node, &x->self);
    for (unsigned i = FORBIDDEN; i < PROBED; i++) {
        weft_root_spec root = {.entropy = {(uint8_t)i}};
        cr_assert_eq(weft_tree_create(x->c.node, x->p.w->author, &root, CALL, &x->trees[i]),
                     WEFT_OK);
    }
    cr_assert_eq(weft_tree_unfollow(x->c.node, &x->trees[DISABLED], CALL), WEFT_OK);
    up(&x->p, "n9:1");
}

/* What the transport says of its own accord. */
static uint64_t others_of(const struct raw_seen *seen)
{
    return seen->frames[WF_F_CREDIT] + seen->frames[WF_F_PING];
}

/* By OPEN, or by a JOIN. */
static struct probed probe(struct probing *x, const weft_id *tree, bool join, weft_ns rest)
{
    const struct wf_open open = {.stream = x->stream, .tree = *tree, .own.tips_complete = true};
    const struct raw_seen *seen = &x->p.raw.seen;
    uint64_t errors = seen->frames[WF_F_ERR], others = others_of(seen);
    uint64_t reads = kv_faulty_reads(x->c.kv), bytes = seen->bytes_in;
    send_frame(&x->p,
               join ? join_to(&x->p, &x->self, open.stream, tree, false) : wf_open_encode(&open));
    x->stream += 2;
    world_run(x->p.w, rest);
    if (seen->frames[WF_F_ERR] != errors + 1 || seen->err_code != WF_W_TREE)
        cr_assert_fail("stream %u: another answer", open.stream);
    return (struct probed){kv_faulty_reads(x->c.kv) - reads, seen->bytes_in - bytes,
                           others_of(seen) != others};
}

/* The first round reads things that are in memory after it. */
static void cost_the_same(uint64_t seed, bool join)
{
    struct probing x;
    struct probed of[PROBED];
    probing_up(&x, seed);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < PROBED; i++) of[i] = probe(&x, &x.trees[i], join, 200 * WEFT_MS);
        for (uint32_t i = FORBIDDEN; round > 0 && i < PROBED; i++) {
            cr_expect_eq(of[i].reads, of[ABSENT].reads, "of kind %u", i);
            cr_expect_eq(of[i].bytes, of[ABSENT].bytes, "of kind %u", i);
        }
    }
    down(&x.p);
    counted_down(&x.c);
    play_down(&x.p);
}

Test(access, absent_disabled_and_forbidden_cost_the_same_reads) { cost_the_same(31, false); }

Test(access, absent_disabled_and_forbidden_cost_the_same_to_who_asks_to_join)
{
    cost_the_same(32, true);
}

/* The amount is for the count alone; a sanitizer sees the same in fewer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PROBES_EACH = 1000 };
#else
enum { PROBES_EACH = 10000 };
#endif

/* A frame of the transport's own comes beside an answer now and then: there bytes say nothing. Who
 * asks answers no ping, so he comes again; the numbers of his streams are all of one length. */
Test(access, of_ten_thousand_probes_of_each_kind_none_costs_more_or_less)
{
    struct probing x;
    struct probed as, of;
    uint64_t differ = 0, others = 0;
    probing_up(&x, 33);
    for (uint32_t i = 0; i < PROBES_EACH * PROBED; i++) {
        if (i % 1000 == 0) down(&x.p), up(&x.p, "n9:1"), x.stream = 1001;
        of = probe(&x, &x.trees[i % PROBED], false, 0);
        if (i < PROBED) as = of; /* reads what is in memory after it */
        differ += i >= PROBED && (of.reads != as.reads || (!of.other && of.bytes != as.bytes));
        others += of.other;
    }
    cr_expect_eq(differ, 0, "%lu differ from %lu reads and %lu bytes", differ, as.reads, as.bytes);
    cr_expect_lt(others, 1000);
    down(&x.p);
    counted_down(&x.c);
    play_down(&x.p);
}
