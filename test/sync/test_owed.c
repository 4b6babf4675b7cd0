/* SPDX-License-Identifier: Apache-2.0
 * test_owed.c - what a node owes its peers: what was committed and they have not acknowledged, for
 * how long it is tried, and when it is owed no more. In the simulator.
 * Called by: the test runner. May touch: the engine of a node behind its back.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>
#include <weft/dag.h>
#include <weft/history.h>

#include "world.h"

#define CALL (20 * WEFT_SEC)
#define HOURS_2 (UINT64_C(7200) * WEFT_SEC) /* some hundred tries, 64 to 80 s apart */

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_id commit(struct world *w, uint32_t at)
{
    cr_assert_eq(world_commit(w, at), WEFT_OK);
    return w->acked[w->acked_count - 1];
}

/* Entries that `at` has and `to` has not said to have. */
static uint64_t waits(struct world *w, uint32_t at, uint32_t to)
{
    weft_pair_info pair;
    cr_assert_eq(weft_pair_get(node(w, at), key(w, to), &w->tree, CALL, &pair), WEFT_OK);
    return world_info(w, at).arrivals - pair.acked_seq;
}

/* -- Tried for ever -------------------------------------------------------------------------- */

Test(owed, a_peer_that_is_away_for_hours_gets_all_of_it)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    world_kill(w, 1);
    (void)commit(w, 0);
    weft_result r;
    world_run(w, HOURS_2);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures, 1, "it is still tried");
    world_start(w, 1);
    cr_expect(world_converges(w, 90 * WEFT_SEC), "one back-off and nobody's word");
    world_run(w, WEFT_SEC); /* for what it says of that */
    cr_expect_eq(waits(w, 0, 1), 0);
    world_destroy(w);
}

Test(owed, what_was_written_before_there_was_anybody_goes_by_itself)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {9}};
    weft_tree_info info;
    weft_id tree;
    weft_writer *writer = NULL;
    world_kill(w, 1);
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_remove_transport(node(w, 0), "mem", CALL), WEFT_OK);
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer), WEFT_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(weft_commit(writer, "log", "x", 1, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
    world_start(w, 1);
    cr_assert_eq(weft_tree_follow(node(w, 1), &tree, key(w, 0), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node(w, 0), key(w, 1), &tree, CALL), WEFT_OK);
    world_run(w, 300 * WEFT_SEC);
    cr_assert_eq(weft_tree_info_get(node(w, 1), &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 0, "there is no way");
    cr_assert_eq(weft_add_transport_mem(node(w, 0), "mem", w->hub, w->nodes[0].host,
                                        w->nodes[0].listen, CALL),
                 WEFT_OK);
    world_run(w, 90 * WEFT_SEC); /* one back-off and nobody's word */
    cr_assert_eq(weft_tree_info_get(node(w, 1), &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 4);
    world_destroy(w);
}

/* -- What is owed ---------------------------------------------------------------------------- */

Test(owed, how_much_waits_for_a_peer_is_told)
{
    struct world *w = world_create(3, WORLD_STAR, 3, WORLD_PLAIN);
    cr_expect_eq(waits(w, 0, 1), 0);
    world_kill(w, 2);
    for (uint32_t i = 0; i < 7; i++) (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(waits(w, 0, 1), 0);
    cr_expect_eq(waits(w, 0, 2), 7);
    world_start(w, 2);
    cr_assert(world_converges(w, 90 * WEFT_SEC));
    world_run(w, WEFT_SEC);
    cr_expect_eq(waits(w, 0, 2), 0);
    world_destroy(w);
}

static bool is_pushed(struct world *w)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(node(w, 0), &stats), WEFT_OK);
    return stats.entries_sent > 1; /* the first was the root */
}

Test(owed, what_a_broken_connection_took_along_is_owed_still)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_not(is_pushed(w));
    world_cut(w, 0, 1, true);
    (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_assert(is_pushed(w), "sent, and on its way for ever");
    cr_expect_eq(waits(w, 0, 1), 1);
    world_kill(w, 1); /* the connection ends, and nobody is there to ask how far it came */
    world_run(w, 200 * WEFT_SEC);
    cr_expect_eq(waits(w, 0, 1), 1);
    weft_result r;
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures + r.new_failures, 1);
    world_cut(w, 0, 1, false);
    world_start(w, 1);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_OK);
    cr_expect(world_equal(w));
    world_destroy(w);
}

Test(owed, to_somebody_who_is_blocked_nothing_is)
{
    for (int how = 0; how < 2; how++) {
        struct world *w = world_create(5, WORLD_STAR, 3, WORLD_PLAIN);
        weft_result r;
        world_kill(w, 2);
        (void)commit(w, 0);
        cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK, "it is owed");
        if (how == 0)
            cr_assert_eq(weft_peer_set_status(node(w, 0), key(w, 2), WEFT_PEER_BLOCKED, CALL),
                         WEFT_OK);
        else cr_assert_eq(weft_peer_remove(node(w, 0), key(w, 2), CALL), WEFT_OK);
        cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_OK);
        cr_expect_eq(r.retry_failures + r.new_failures, 0);
        (void)commit(w, 0);
        cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_OK, "nor what comes later");
        cr_assert_eq(weft_peer_set_status(node(w, 0), key(w, 2), WEFT_PEER_ACTIVE, CALL), WEFT_OK);
        if (how == 1)
            cr_assert_eq(weft_peer_relate(node(w, 0), key(w, 2), &w->tree, CALL), WEFT_OK);
        cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK, "now it is again");
        world_destroy(w);
    }
}

Test(owed, a_flush_tells_new_failures_from_those_of_retries)
{
    struct world *w = world_create(10, WORLD_STAR, 3, WORLD_PLAIN);
    weft_result r;
    world_kill(w, 2);
    (void)commit(w, 0);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r),
                 WEFT_NETWORK); /* from now on it is in back-off */
    world_kill(w, 1);
    (void)commit(w, 0); /* nobody has tried to reach 1 yet */
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures, 1);
    cr_expect_eq(r.new_failures, 1);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures, 2);
    cr_expect_eq(r.new_failures, 0);
    world_destroy(w);
}

Test(owed, what_cannot_be_read_is_no_success_of_a_flush)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_result r;
    world_kill(w, 1);
    weft_id id = commit(w, 0);
    (void)commit(w, 0);
    world_spoil(w, 0, &id);
    world_start(w, 1);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures + r.new_failures, 1);
    cr_expect_eq(waits(w, 0, 1), 2);
    cr_expect_eq(world_info(w, 1).entries, 1, "what stands on it is not sent without it");
    world_destroy(w);
}

/* A child of the tree's root, stored nowhere. */
static weft_buf *child_of_root(struct world *w)
{
    weft_buf *buf = NULL;
    weft_id id;
    weft_entry_spec spec = {.tree = w->tree, .parents = &w->tree, .parents_count = 1, .height = 1};
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, &id), WEFT_OK);
    return buf;
}

Test(owed, what_a_peer_cannot_store_is_no_success)
{
    struct world *w = world_create(8, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_buf *buf = child_of_root(w);
    weft_result r;
    wf_kv_memory_fail_at(w->nodes[1].kv, 1, WEFT_NO_SPACE, true);
    weft_err err = weft_send_entries(node(w, 0), key(w, 1), &buf, 1, CALL, &r);
    cr_expect_neq(err, WEFT_OK, "it was not stored there");
    (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(waits(w, 0, 1), 1, "it was sent, and is not there");
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(world_info(w, 1).entries, 1);
    wf_kv_memory_fail_at(w->nodes[1].kv, 0, WEFT_OK, false);
    cr_expect(world_converges(w, 200 * WEFT_SEC), "and it is tried on");
    cr_expect_eq(weft_send_entries(node(w, 0), key(w, 1), &buf, 1, CALL, &r), WEFT_OK);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_OK);
    weft_buf_unref(buf);
    world_destroy(w);
}

Test(owed, a_peer_that_says_nothing_keeps_no_other_waiting)
{
    struct world *w = world_create(9, WORLD_STAR, 4, WORLD_PLAIN);
    world_cut(w, 0, 1, true); /* its connection stands, and nothing comes of it */
    (void)commit(w, 0);
    world_run(w, 10 * WEFT_MS);
    cr_expect_eq(world_info(w, 2).entries, 2);
    cr_expect_eq(world_info(w, 3).entries, 2);
    struct weft_result r;
    weft_ns begin = wf_sim_now(w->sim);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, WEFT_SEC, &r), WEFT_TIMED_OUT);
    cr_expect_eq(weft_sync_with_peer(node(w, 0), key(w, 2), CALL, &r), WEFT_OK);
    cr_expect_lt(wf_sim_now(w->sim) - begin, WEFT_SEC + 100 * WEFT_MS);
    for (uint32_t i = 0; i < 40; i++) { /* also when its connection has been given up */
        (void)commit(w, 0);
        world_run(w, 10 * WEFT_MS);
        cr_expect_eq(world_info(w, 2).entries, 3 + i);
        world_run(w, 5 * WEFT_SEC);
    }
    cr_expect_eq(world_info(w, 1).entries, 1);
    world_cut(w, 0, 1, false);
    cr_expect(world_converges(w, 200 * WEFT_SEC));
    world_destroy(w);
}

/* -- No more than that ----------------------------------------------------------------------- */

static uint64_t sent(struct world *w, uint32_t at)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(node(w, at), &stats), WEFT_OK);
    return stats.entries_sent;
}

Test(owed, a_commit_at_old_parents_is_one_entry)
{
    struct world *w = world_create(7, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id old = commit(w, 0);
    for (uint32_t i = 0; i < 300; i++) (void)commit(w, 0);
    cr_assert(world_converges(w, CALL));
    world_run(w, WEFT_SEC);
    uint64_t before[2] = {sent(w, 0), sent(w, 1)};
    const weft_cut at = {.ids = &old, .count = 1};
    cr_assert_eq(weft_commit_at(node(w, 0), w->author, &w->tree, &at, "log", "x", 1, CALL, NULL),
                 WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect(world_equal(w));
    (void)commit(w, 1); /* joins both tips */
    world_run(w, WEFT_SEC);
    cr_expect(world_equal(w));
    cr_expect_eq(sent(w, 0) - before[0], 1, "none of the history above its parents");
    cr_expect_eq(sent(w, 1) - before[1], 1);
    world_destroy(w);
}
