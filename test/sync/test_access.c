/* SPDX-License-Identifier: Apache-2.0
 * test_access.c - who may read a tree of a node, in small worlds: by its settings, by keys that are
 * proven, and by them no longer.
 * WEFT_SIM_SEEDS sets how many worlds lose a right, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <weft/access.h>

#include "alloc.h"
#include "crypto.h"
#include "frame.h"
#include "keyring.h"
#include "kv_faulty.h"
#include "map.h"
#include "raw.h"
#include "settings.h"
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

/* One entry of settings by the world's author. */
static weft_request *settings(struct world *w, const weft_id *tree, const weft_key *who,
                              weft_right right)
{
    struct wf_settings_text text;
    wf_map_op op;
    wf_grant grant = {right, right >= WEFT_RIGHT_WRITE ? 10u : 0u};
    uint8_t bytes[512];
    size_t len;
    weft_buf *payload = NULL;
    wf_settings_grant(who, &grant, &text, &op);
    cr_assert_eq(wf_map_ops_encode(&op, 1, bytes, sizeof bytes, &len), WEFT_OK);
    cr_assert_eq(weft_buf_create_copy(bytes, len, &payload), WEFT_OK);
    struct wf_settings_commit *commit = wf_settings_commit_create(tree, w->author, payload);
    weft_buf_unref(payload);
    cr_assert_not_null(commit);
    return &commit->req;
}

/* On node i: it is durable, and the gate has heard of it. */
static weft_err say(struct world *w, uint32_t i, const weft_id *tree, const weft_key *who,
                    weft_right right)
{
    return wf_node_call(node(w, i), node(w, i)->table.store, settings(w, tree, who, right), CALL,
                        NULL);
}

/* A tree of node 0 that has no list of readers; node 1 wants it from there. */
static weft_id tree_without_list(struct world *w, weft_right everyone)
{
    weft_root_spec root = {.everyone = everyone, .everyone_priority = 10, .entropy = {33}};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 1), &tree, key(w, 0), 1, CALL), WEFT_OK);
    return tree;
}

static weft_err fetch(struct world *w, const weft_id *tree)
{
    return weft_sync_tree(node(w, 1), key(w, 0), tree, CALL, NULL);
}

static uint64_t entries(struct world *w, uint32_t i, const weft_id *tree)
{
    weft_tree_info info;
    return weft_tree_info_get(node(w, i), tree, &info) == WEFT_OK ? info.entries : 0;
}

static uint32_t proven(struct world *w, uint32_t at, const weft_key *peer)
{
    weft_key keys[WEFT_PROVEN_KEYS_MAX];
    return wf_keyring_get(node(w, at)->table.keyring, peer, keys);
}

/* -- By the settings -------------------------------------------------------------------- */

Test(access, a_reader_by_settings_syncs)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_without_list(w, WEFT_RIGHT_NONE);
    cr_expect_eq(fetch(w, &tree), WEFT_TREE);
    cr_expect_eq(entries(w, 1, &tree), 0);
    cr_assert_eq(say(w, 0, &tree, key(w, 1), WEFT_RIGHT_READ), WEFT_OK);
    cr_expect_eq(fetch(w, &tree), WEFT_OK);
    cr_expect_eq(entries(w, 1, &tree), 2);
    world_destroy(w);
}

Test(access, a_writer_by_the_star_commits_on_both)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_without_list(w, WEFT_RIGHT_WRITE);
    cr_assert_eq(fetch(w, &tree), WEFT_OK);
    for (uint32_t i = 0; i < 2; i++) {
        weft_keypair *user = pair_of((uint8_t)(60 + i), NULL);
        weft_writer *writer = NULL;
        cr_assert_eq(weft_writer_open(node(w, i), &tree, user, &writer), WEFT_OK);
        cr_expect_eq(weft_commit(writer, "log", "x", 1, CALL, NULL), WEFT_OK);
        weft_writer_close(writer);
        weft_keypair_destroy(user);
    }
    cr_expect_eq(fetch(w, &tree), WEFT_OK);
    cr_expect_eq(entries(w, 0, &tree), 3);
    cr_expect_eq(entries(w, 1, &tree), 3);
    world_destroy(w);
}

/* -- By a proven key -------------------------------------------------------------------- */

Test(access, a_user_key_that_was_proven_reads_and_one_that_was_not_does_not)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_without_list(w, WEFT_RIGHT_NONE);
    weft_key of_user;
    weft_keypair *user = pair_of(50, &of_user);
    cr_assert_eq(say(w, 0, &tree, &of_user, WEFT_RIGHT_READ), WEFT_OK);
    cr_expect_eq(fetch(w, &tree), WEFT_TREE, "it has the right, and nobody knows that");
    cr_expect_eq(proven(w, 0, key(w, 1)), 0);
    cr_assert_eq(weft_tree_use_key(node(w, 1), &tree, user), WEFT_OK);
    cr_expect_eq(fetch(w, &tree), WEFT_OK);
    cr_expect_eq(proven(w, 0, key(w, 1)), 1);
    cr_expect_eq(entries(w, 1, &tree), 2);
    cr_assert_eq(say(w, 0, &tree, &of_user, WEFT_RIGHT_NONE), WEFT_OK);
    cr_expect_eq(fetch(w, &tree), WEFT_TREE, "the proof stands, the right is gone");
    weft_keypair_destroy(user);
    world_destroy(w);
}

Test(access, a_key_is_shown_to_related_peers_by_itself_and_again_after_a_loss)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = tree_without_list(w, WEFT_RIGHT_NONE);
    weft_key of_user;
    weft_keypair *user = pair_of(50, &of_user);
    cr_assert_eq(say(w, 0, &tree, &of_user, WEFT_RIGHT_READ), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node(w, 1), key(w, 0), &tree, CALL), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, 1, &tree), 0);
    cr_assert_eq(weft_tree_use_key(node(w, 1), &tree, user), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, 1, &tree), 2, "nobody had to ask");
    cr_expect_eq(proven(w, 0, key(w, 1)), 1);
    wf_net_hub_kill(w->hub->hub, w->nodes[1].host);
    world_run(w, 20 * WEFT_MS);
    cr_expect_eq(proven(w, 0, key(w, 1)), 0, "what was proven ends with the connection");
    world_run(w, 10 * WEFT_SEC);
    cr_expect_eq(proven(w, 0, key(w, 1)), 1);
    weft_keypair_destroy(user);
    world_destroy(w);
}

/* Frames of the new kind that node 0 sends. */
static void count_new(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                      uint32_t type)
{
    (void)to;
    (void)tree;
    if (from == 0 && type >= WF_F_PROVE && type <= WF_F_JOINED) (*(uint32_t *)w->judge_arg)++;
}

Test(access, an_older_peer_without_the_capability_is_never_sent_a_proof)
{
    for (uint32_t old = 0; old < 2; old++) {
        struct world *w = world_create(5, WORLD_CHAIN, 2, old ? WORLD_OLD : WORLD_PLAIN);
        weft_keypair *user = pair_of(50, NULL);
        uint32_t sent = 0;
        w->judge = count_new;
        w->judge_arg = &sent;
        cr_assert_eq(weft_tree_use_key(node(w, 0), &w->tree, user), WEFT_OK);
        world_run(w, WEFT_SEC);
        cr_assert_eq(world_commit(w, 0), WEFT_OK);
        cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
        cr_expect(world_equal(w));
        cr_expect_eq(sent, old ? 0 : 1);
        weft_keypair_destroy(user);
        world_destroy(w);
    }
}

Test(access, a_key_is_used_or_nothing_has_changed)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_keypair *user = pair_of(50, NULL);
    cr_expect_eq(weft_tree_use_key(NULL, &w->tree, user), WEFT_INVALID);
    cr_expect_eq(weft_tree_use_key(node(w, 0), NULL, user), WEFT_INVALID);
    weft_err err = WEFT_NO_MEMORY;
    for (uint64_t nth = 1; err != WEFT_OK; nth++) {
        cr_assert_lt(nth, 20);
        (void)wf_alloc_fail_at(nth, 0);
        err = weft_tree_use_key(node(w, 0), &w->tree, user);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err == WEFT_OK || err == WEFT_NO_MEMORY);
    }
    cr_expect_eq(weft_tree_use_key(node(w, 0), &w->tree, NULL), WEFT_OK);
    weft_keypair_destroy(user);
    world_destroy(w);
}

/* -- Proofs of a peer that does as it likes --------------------------------------------- */

#define VICTIM 1u
#define IDENTITY 700u

struct play {
    struct world *w;
    weft_rt *rt;
    struct raw raw;
    weft_key self; /* the raw peer's */
};

static bool told_to_go(const struct play *p) { return p->raw.seen.close_code != UINT64_MAX; }

static void up(struct play *p, const char *to)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS};
    wf_net *net;
    cr_assert_eq(wf_net_mem_create(p->w->hub->hub, p->rt, "x", &net), WEFT_OK);
    raw_start(&p->raw, p->rt, net, to, IDENTITY, RAW_SECURE);
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

static void play_up(struct play *p, uint64_t seed)
{
    struct wf_identity id;
    memset(p, 0, sizeof *p);
    rig_identity(IDENTITY, &id);
    p->self = id.key;
    free(id.arg);
    p->w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(wf_sim_rt_create(p->w->sim, &p->rt), WEFT_OK);
}

static void play_down(struct play *p)
{
    cr_assert_eq(weft_rt_stop(p->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    world_destroy(p->w);
}

static void send_frame(struct play *p, weft_buf *frame)
{
    cr_assert_not_null(frame);
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++) data[i] = (uint8_t)(body >> (24 - 8 * i));
    raw_frames(&p->raw, data, weft_buf_len(frame));
    weft_buf_unref(frame);
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

static void prove(struct play *p, uint8_t user, uint32_t stream, struct claim claim)
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
    send_frame(p, wf_prove_encode(&frame));
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

/* -- What a right that is gone lets through --------------------------------------------- */

struct watch {
    weft_id tree;
    weft_key reader;
    uint32_t from;
    bool lost; /* whoever took the right away was answered */
    uint64_t before, after;
};

/* Of a tree's content, ids included, to who may have lost the right. */
static void watch(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                  uint32_t type)
{
    struct watch *o = w->judge_arg;
    bool content = type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_IDS;
    if (from != o->from || !content || tree == NULL || !weft_id_equal(tree, &o->tree)) return;
    if (!weft_key_equal(to, &o->reader)) return;
    if (o->lost) o->after++;
    else o->before++;
}

enum how { BY_SETTINGS, BY_LIST, BY_UNFOLLOW, HOWS };

static weft_err take_away(struct world *w, enum how how)
{
    if (how == BY_LIST) return weft_tree_follow(node(w, 0), &w->tree, NULL, 0, CALL);
    if (how == BY_UNFOLLOW) return weft_tree_unfollow(node(w, 0), &w->tree, CALL);
    return say(w, 0, &w->tree, key(w, 1), WEFT_RIGHT_NONE);
}

struct answer {
    int calls;
    weft_err err;
};

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    struct answer *answer = arg;
    (void)result;
    answer->calls++;
    answer->err = err;
}

/* Ten megabytes are on their way over a slow network, by a command or by live push, when the
 * right goes. */
static void lose_midway(uint64_t seed)
{
    bool push = seed / HOWS % 2 == 1;
    struct world *w = world_create(seed, WORLD_CHAIN, 2, push ? WORLD_PLAIN : WORLD_NO_PUSH);
    const wf_net_faults slow = {.delay_min = 50 * WEFT_MS, .delay_max = 80 * WEFT_MS};
    struct watch o = {.tree = w->tree, .reader = *key(w, 1)};
    struct answer answer = {0};
    if (push) world_faults(w, &slow);
    /* The larger ones take the network several delays: they are half out when the right goes. */
    size_t each = world_below(w, 2) == 0 ? 250000 : 1000000, count = 10000000 / each;
    for (size_t i = 0; i < count; i++) cr_assert_eq(world_commit_bytes(w, 0, each), WEFT_OK);
    world_faults(w, &slow);
    w->judge = watch;
    w->judge_arg = &o;
    if (!push)
        cr_assert_eq(
            weft_sync_tree_async(node(w, 1), key(w, 0), &w->tree, CALL, on_answer, &answer),
            WEFT_OK);
    world_run(w, 600 * WEFT_MS + world_below(w, 1000) * WEFT_MS);
    cr_assert_eq(take_away(w, (enum how)(seed % HOWS)), WEFT_OK, "seed %lu", seed);
    o.lost = true;
    world_run(w, 10 * WEFT_SEC);
    cr_expect_gt(o.before, 0, "seed %lu: nothing was on its way", seed);
    cr_expect_eq(o.after, 0, "seed %lu: %lu pieces came after the answer", seed, o.after);
    cr_expect_lt(world_info(w, 1).entries, 1 + count, "seed %lu: all of it was through", seed);
    cr_expect(push || (answer.calls == 1 && answer.err == WEFT_TREE), "seed %lu: %s", seed,
              weft_errname(answer.err));
    world_destroy(w);
}

Test(access, a_revoked_reader_gets_no_frame_after_the_answer)
{
    for (uint64_t i = 0; i < world_seeds(12); i++) lose_midway(world_first_seed(1) + i);
}

Test(access, the_commit_is_answered_after_the_streams_are_closed)
{
    struct world *w = world_create(21, WORLD_CHAIN, 2, WORLD_PLAIN);
    uint32_t heard;
    world_run(w, WEFT_SEC);
    weft_addr **place = &node(w, 0)->table.transport;
    weft_addr *transport = world_mute(w, 0, place, &heard);
    cr_expect_eq(say(w, 0, &w->tree, key(w, 1), WEFT_RIGHT_NONE), WEFT_TIMED_OUT);
    cr_expect_gt(heard, 0);
    cr_expect_not(wf_store_may_read(node(w, 0)->table.wf_store, &w->tree, key(w, 1)),
                  "it holds already");
    world_unmute(w, 0, place, transport); /* what it kept is answered */
    cr_expect_eq(say(w, 0, &w->tree, key(w, 1), WEFT_RIGHT_READ), WEFT_OK);
    world_destroy(w);
}

static void on_said(void *arg, weft_err err, weft_request *request)
{
    struct answer *answer = arg;
    answer->calls++;
    answer->err = err;
    if (request != NULL) weft_drop(&request->msg);
}

Test(access, a_node_that_closes_while_a_right_is_taken_away_answers)
{
    for (uint64_t seed = 22; seed < 42; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
        struct answer answer = {0};
        cr_assert_eq(wf_node_ask(node(w, 0), node(w, 0)->table.store,
                                 settings(w, &w->tree, key(w, 1), WEFT_RIGHT_NONE), CALL, on_said,
                                 &answer),
                     WEFT_OK);
        if (seed % 4 != 0) world_run(w, world_below(w, 2000) * UINT64_C(1000));
        world_destroy(w); /* closes its nodes: neither may wait for ever */
        cr_expect_eq(answer.calls, 1, "seed %lu", seed);
        cr_expect(answer.err == WEFT_OK || answer.err == WEFT_CLOSED, "seed %lu: %s", seed,
                  weft_errname(answer.err));
    }
}

Test(access, a_session_begins_again_when_the_right_comes_back)
{
    struct world *w = world_create(23, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(say(w, 0, &w->tree, key(w, 1), WEFT_RIGHT_NONE), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    cr_expect_not(world_equal(w));
    cr_assert_eq(say(w, 0, &w->tree, key(w, 1), WEFT_RIGHT_READ), WEFT_OK);
    cr_expect(world_converges(w, 130 * WEFT_SEC), "the back-off ends after 64 s");
    world_destroy(w);
}

/* Watches node 1, which passes on: from the ACK of the revocation on. */
static void watch_relay(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                        uint32_t type)
{
    struct watch *o = w->judge_arg;
    if (from == 1 && type == WF_F_ACK && weft_key_equal(to, key(w, 0)) &&
        !wf_store_may_read(node(w, 1)->table.wf_store, &o->tree, &o->reader))
        o->lost = true;
    watch(w, from, to, tree, type);
}

/* Node 2 lags behind node 1 when the revocation comes there from node 0. */
static void relay(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 3, WORLD_PLAIN);
    struct watch o = {.tree = w->tree, .reader = *key(w, 2), .from = 1};
    const wf_net_faults slow = {.delay_min = 30 * WEFT_MS, .delay_max = 50 * WEFT_MS};
    world_run(w, WEFT_SEC);
    w->judge = watch_relay;
    w->judge_arg = &o;
    world_faults(w, &slow);
    for (unsigned i = 0; i < 24; i++) cr_assert_eq(world_commit_bytes(w, 0, 250000), WEFT_OK);
    world_run(w, 500 * WEFT_MS);
    world_cut(w, 1, 2, true);
    world_run(w, 8 * WEFT_SEC);
    cr_assert_eq(world_info(w, 1).entries, world_info(w, 0).entries, "seed %lu", seed);
    world_cut(w, 1, 2, false);
    world_run(w, world_below(w, 400) * WEFT_MS);
    cr_assert_eq(say(w, 0, &w->tree, key(w, 2), WEFT_RIGHT_NONE), WEFT_OK);
    world_run(w, 20 * WEFT_SEC);
    cr_expect(o.lost, "seed %lu: node 1 has not acknowledged it", seed);
    cr_expect_gt(o.before, 0, "seed %lu", seed);
    cr_expect_eq(o.after, 0, "seed %lu: %lu pieces", seed, o.after);
    cr_expect_lt(world_info(w, 2).entries, world_info(w, 1).entries, "seed %lu", seed);
    world_destroy(w);
}

Test(access, a_relay_revokes_for_its_peers_before_it_acknowledges)
{
    for (uint64_t seed = 24; seed < 32; seed++) relay(seed);
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

/* A frame of the transport's own comes beside an answer now and then: there bytes say nothing. Who
 * asks answers no ping, so he comes again; the numbers of his streams are all of one length. */
Test(access, of_ten_thousand_probes_of_each_kind_none_costs_more_or_less)
{
    struct probing x;
    struct probed as, of;
    uint64_t differ = 0, others = 0;
    probing_up(&x, 33);
    for (uint32_t i = 0; i < 10000 * PROBED; i++) {
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
