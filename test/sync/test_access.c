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
#include "keyring.h"
#include "map.h"
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
