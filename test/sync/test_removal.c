/* SPDX-License-Identifier: Apache-2.0
 * test_removal.c - a node lets go of a tree and takes it up again, in small worlds: what its peers
 * are sent, what is left, and that syncing goes on as with a tree that was never here.
 * WEFT_SIM_SEEDS sets how many worlds lose their node meanwhile, WEFT_SIM_SEED the first.
 * Called by: the test runner. May touch: a directory of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <weft/access.h>
#include <weft/feed.h>
#include <weft/join.h>

#include "alloc.h"
#include "kv_kit.h"
#include "lone.h"
#include "records.h"
#include "removal_kit.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }
static wf_store *store(struct world *w, uint32_t i) { return node(w, i)->table.wf_store; }

static weft_err let_go(struct world *w, uint32_t i)
{
    return weft_tree_remove(node(w, i), &w->tree, CALL);
}

static bool is_here(struct world *w, uint32_t i)
{
    weft_tree_info info;
    weft_err err = weft_tree_info_get(node(w, i), &w->tree, &info);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND, "%s", weft_errname(err));
    return err == WEFT_OK;
}

/* Followed and filled by the other node; with a writer, as the world gave one before. */
static void take_up(struct world *w, uint32_t i)
{
    cr_assert_eq(weft_tree_follow(node(w, i), &w->tree, key(w, 1 - i), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, i), key(w, 1 - i), &w->tree, CALL, NULL), WEFT_OK);
    weft_writer_close(w->nodes[i].writer);
    w->nodes[i].writer = NULL;
    cr_assert_eq(weft_writer_open(node(w, i), &w->tree, w->author, &w->nodes[i].writer), WEFT_OK);
}

static void commit_some(struct world *w)
{
    for (uint32_t i = 0; i < 6; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
    cr_assert(world_converges(w, 300 * WEFT_SEC));
}

/* -- Gone and back ---------------------------------------------------------------------- */

static void goes_and_comes_back(uint64_t seed, uint32_t kind, uint32_t who)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, kind);
    commit_some(w);
    for (uint32_t round = 0; round < 3; round++) {
        wf_tree_info before, after;
        cr_assert_eq(wf_store_tree(store(w, who), &w->tree, &before), WEFT_OK);
        cr_assert_eq(let_go(w, who), WEFT_OK);
        cr_assert_not(is_here(w, who));
        if (round != 1) world_run(w, WEFT_SEC); /* else it is taken up while the old one goes */
        cr_assert_eq(world_commit(w, 1 - who), WEFT_OK);
        if (round == 2) world_run(w, 90 * WEFT_SEC);
        if (round != 1) cr_assert(rm_is_gone(w->nodes[who].kv, before.t));
        cr_assert_not(is_here(w, who));
        take_up(w, who);
        cr_assert_eq(wf_store_tree(store(w, who), &w->tree, &after), WEFT_OK);
        cr_assert_neq(memcmp(before.epoch, after.epoch, sizeof after.epoch), 0);
        cr_assert(world_equal(w), "all of it is here again");
        commit_some(w);
        world_run(w, 10 * WEFT_SEC);
        cr_assert(rm_is_gone(w->nodes[who].kv, before.t));
        cr_assert_eq(world_lost(w), 0);
        cr_assert_eq(world_damage(w), 0);
    }
    world_destroy(w);
}

Test(removal, a_tree_that_is_taken_up_again_comes_whole_and_syncing_goes_on)
{
    for (uint32_t who = 0; who <= 1; who++) goes_and_comes_back(1 + who, WORLD_NO_PUSH, who);
}

Test(removal, the_same_with_entries_pushed_at_once)
{
    for (uint32_t who = 0; who <= 1; who++) goes_and_comes_back(3 + who, WORLD_PLAIN, who);
}

/* A second node learns by exact numbers what the first one has: they must not be those of old. */
Test(removal, what_is_committed_later_is_told_after_a_restart_of_either)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_PLAIN);
    commit_some(w);
    cr_assert_eq(let_go(w, 1), WEFT_OK);
    take_up(w, 1);
    for (uint32_t who = 0; who <= 1; who++) {
        world_kill(w, who);
        cr_assert_eq(world_commit(w, 1 - who), WEFT_OK);
        world_start(w, who);
        cr_assert(world_converges(w, 200 * WEFT_SEC));
    }
    cr_assert_eq(world_damage(w), 0);
    world_destroy(w);
}

/* -- Its peers ---------------------------------------------------------------------------- */

static void count_frames(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                         uint32_t type)
{
    bool content = type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_IDS;
    (void)to;
    if (from == 1 && content && tree != NULL && weft_id_equal(tree, &w->tree))
        ++*(uint32_t *)w->judge_arg;
}

Test(removal, nothing_of_it_is_sent_once_it_is_answered)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    uint32_t sent = 0;
    commit_some(w);
    for (uint32_t i = 0; i < 20; i++) cr_assert_eq(world_commit(w, 1), WEFT_OK);
    w->judge = count_frames;
    w->judge_arg = &sent;
    cr_assert_eq(let_go(w, 1), WEFT_OK);
    sent = 0;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 120 * WEFT_SEC);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_TREE);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &w->tree, CALL, NULL), WEFT_TREE);
    cr_expect_eq(sent, 0);
    cr_expect_not(is_here(w, 1));
    cr_expect(is_here(w, 0), "the peer keeps what it has");
    w->judge = NULL;
    take_up(w, 1);
    cr_expect(world_converges(w, 120 * WEFT_SEC));
    world_destroy(w);
}

/* -- What was said about it ----------------------------------------------------------------- */

static bool has_record(struct world *w, uint8_t prefix)
{
    uint8_t at[33] = {prefix}, value[64];
    size_t len = sizeof value;
    memcpy(at + 1, w->tree.bytes, sizeof w->tree.bytes);
    weft_err err = wf_store_record_get(store(w, 1), WF_CF_PEER, at, sizeof at, value, &len);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
    return err == WEFT_OK;
}

Test(removal, settings_of_all_principals_and_the_door_for_requests_go_too)
{
    static const weft_key alice = {{0xa1}};
    static const weft_sync_settings on = {.enabled = true, .on_commit = true};
    struct world *w = world_create(7, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings s;
    cr_assert_eq(weft_settings_put(node(w, 1), &w->tree, &alice, &on, CALL), WEFT_OK);
    cr_assert_eq(weft_join_mode_set(node(w, 1), &w->tree, WEFT_JOIN_ASK, NULL, 0, 0, CALL),
                 WEFT_OK);
    cr_assert(has_record(w, WF_REC_JOIN_MODE));
    cr_assert_eq(let_go(w, 1), WEFT_OK);
    cr_expect_not(has_record(w, WF_REC_JOIN_MODE));
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, &alice, CALL, &s), WEFT_NOT_FOUND);
    cr_expect_eq(weft_settings_combined(node(w, 1), &w->tree, CALL, &s), WEFT_NOT_FOUND);
    take_up(w, 1);
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, &alice, CALL, &s), WEFT_NOT_FOUND);
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, NULL, CALL, &s), WEFT_OK);
    cr_expect_not(has_record(w, WF_REC_JOIN_MODE));
    world_kill(w, 1);
    world_start(w, 1);
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, &alice, CALL, &s), WEFT_NOT_FOUND);
    world_destroy(w);
}

/* -- Who reads and writes it ------------------------------------------------------------------ */

Test(removal, its_feeds_and_writers_are_told_and_other_trees_do_not_notice)
{
    struct world *w = world_create(8, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    const weft_root_spec spec = {.entropy = {9}, .height = WEFT_HEIGHT_INCREMENTAL};
    weft_feed *feed = NULL, *other_feed = NULL;
    weft_feed_event event;
    weft_cursor cursor;
    weft_id other, ids[4];
    size_t count = 4;
    cr_assert_eq(weft_tree_create(node(w, 1), w->author, &spec, CALL, &other), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    const weft_feed_options all = {.from_start = true};
    cr_assert_eq(weft_feed_open(node(w, 1), &w->tree, &all, &feed), WEFT_OK);
    cr_assert_eq(weft_feed_open(node(w, 1), &other, &all, &other_feed), WEFT_OK);
    cr_assert_eq(weft_feed_next(feed, 0, &event), WEFT_OK);
    weft_feed_cursor(feed, &cursor);
    cr_assert_eq(let_go(w, 1), WEFT_OK);
    cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_TREE);
    cr_expect_eq(weft_feed_next(feed, CALL, &event), WEFT_TREE);
    cr_expect_eq(weft_feed_next(other_feed, 0, &event), WEFT_OK);
    cr_expect_eq(world_commit(w, 1), WEFT_TREE);
    cr_expect_eq(weft_tree_tips(node(w, 1), &w->tree, ids, &count), WEFT_NOT_FOUND);
    count = 4;
    cr_expect_eq(weft_tree_list(node(w, 1), ids, &count), WEFT_OK);
    cr_expect_eq(count, 1);
    cr_expect(weft_id_equal(&ids[0], &other));
    weft_feed_close(feed);
    feed = NULL;
    take_up(w, 1);
    const weft_feed_options after = {.after = &cursor};
    cr_expect_eq(weft_feed_open(node(w, 1), &w->tree, &after, &feed), WEFT_NOT_FOUND);
    weft_feed_close(other_feed);
    world_destroy(w);
}

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    *(weft_err *)arg = err;
}

Test(removal, calls_say_what_is_wrong)
{
    struct world *w = world_create(9, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    const weft_id none = {{1}};
    weft_err err = WEFT_INTERNAL;
    cr_expect_eq(weft_tree_remove(NULL, &w->tree, CALL), WEFT_INVALID);
    cr_expect_eq(weft_tree_remove(node(w, 1), NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_tree_remove_async(NULL, &w->tree, on_answer, &err), WEFT_INVALID);
    cr_expect_eq(weft_tree_remove_async(node(w, 1), NULL, on_answer, &err), WEFT_INVALID);
    cr_expect_eq(weft_tree_remove_async(node(w, 1), &w->tree, NULL, &err), WEFT_INVALID);
    cr_expect_eq(weft_tree_remove(node(w, 1), &none, CALL), WEFT_NOT_FOUND);
    cr_assert_eq(weft_tree_remove_async(node(w, 1), &w->tree, on_answer, &err), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(err, WEFT_OK);
    cr_expect_eq(let_go(w, 1), WEFT_NOT_FOUND);
    world_destroy(w);
}

static weft_err said;

static weft_err inside(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    said = let_go(arg, 1);
    return WEFT_OK;
}

static weft_verdict nothing(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(removal, a_call_from_inside_an_actor_answers_deadlk)
{
    struct world *w = world_create(10, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_addr *addr = NULL;
    const weft_spec spec = {.name = "inside", .arg = w, .init = inside, .handle = nothing};
    cr_assert_eq(weft_spawn(w->nodes[1].rt, &spec, &addr), WEFT_OK);
    weft_addr_put(addr);
    world_run(w, WEFT_SEC);
    cr_expect_eq(said, WEFT_DEADLK);
    cr_expect(is_here(w, 1));
    world_destroy(w);
}

/* -- Crashes and short memory ----------------------------------------------------------------- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

Test(removal, a_node_that_dies_meanwhile_has_the_tree_or_has_it_not)
{
    uint64_t seeds = number_from("WEFT_SIM_SEEDS", 40), first = number_from("WEFT_SIM_SEED", 100);
    uint32_t stayed = 0, went = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2,
                                       seed % 2 ? WORLD_PLAIN : WORLD_NO_PUSH);
        weft_err err = WEFT_INTERNAL;
        commit_some(w);
        cr_assert_eq(weft_tree_remove_async(node(w, 1), &w->tree, on_answer, &err), WEFT_OK);
        if (seed % 3 != 0) world_run(w, world_below(w, 200) * (WEFT_MS / 100));
        world_kill(w, 1);
        bool answered = err == WEFT_OK;
        world_start(w, 1);
        bool here = is_here(w, 1);
        cr_assert(!(here && answered), "seed %llu: an answered removal is undone",
                  (unsigned long long)seed);
        stayed += here;
        went += !here;
        world_run(w, 5 * WEFT_SEC); /* until it is connected again */
        if (!here) take_up(w, 1);
        commit_some(w);
        world_run(w, 10 * WEFT_SEC);
        cr_assert_eq(world_damage(w), 0, "seed %llu", (unsigned long long)seed);
        world_destroy(w);
    }
    cr_log_info("%u stayed, %u went", stayed, went);
    if (seeds >= 40) cr_assert(stayed > 0 && went > 0);
}

Test(removal, any_one_allocation_may_fail)
{
    uint64_t asked = UINT64_MAX;
    uint32_t failed = 0;
    struct world *w = world_create(11, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    static const weft_key alice = {{0xa1}};
    static const weft_sync_settings on = {.enabled = true, .on_commit = true};
    commit_some(w);
    weft_log_to(NULL, NULL, WEFT_LOG_ERROR);
    for (uint64_t nth = 1; asked >= nth; nth++) {
        cr_assert_eq(weft_settings_put(node(w, 1), &w->tree, &alice, &on, CALL), WEFT_OK);
        cr_assert_eq(weft_join_mode_set(node(w, 1), &w->tree, WEFT_JOIN_ASK, NULL, 0, 0, CALL),
                     WEFT_OK);
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = let_go(w, 1);
        asked = wf_alloc_fail_at(0, 0) + 1; /* fewer: it was not met */
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        cr_assert_eq(is_here(w, 1), err != WEFT_OK);
        failed += err != WEFT_OK;
        if (err != WEFT_OK) cr_assert_eq(let_go(w, 1), WEFT_OK);
        take_up(w, 1);
        cr_assert(world_converges(w, 120 * WEFT_SEC));
    }
    cr_assert_geq(failed, 5);
    world_run(w, 10 * WEFT_SEC);
    cr_assert_eq(world_damage(w), 0);
    world_destroy(w);
}

/* -- On a disk and on threads ------------------------------------------------------------------- */

/* Its room is given back on a thread of its own, which an end of the node does not wait for. */
Test(removal, a_node_on_a_disk_removes_a_tree_closes_and_opens_without_it)
{
    char dir[64];
    struct lone l;
    weft_node *node = NULL;
    weft_tree_info info;
    kk_dir_create(dir);
    const weft_node_options options = {.dir = dir};
    lone_open(&l, &options, NULL);
    lone_commit(&l, 300, NULL);
    cr_assert_eq(weft_tree_remove(l.node, &l.tree, CALL), WEFT_OK);
    cr_expect_eq(weft_tree_info_get(l.node, &l.tree, &info), WEFT_NOT_FOUND);
    lone_close(&l);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    size_t count = 0;
    cr_expect_eq(weft_tree_list(node, NULL, &count), WEFT_OK);
    cr_expect_eq(weft_tree_info_get(node, &l.tree, &info), WEFT_NOT_FOUND);
    weft_node_close(node);
    kk_dir_remove(dir);
}
