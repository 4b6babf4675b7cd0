/* SPDX-License-Identifier: Apache-2.0
 * test_group_commit.c - whom the disk is waited for, on which thread, and what each level of
 * durability promises and what it does not.
 * Called by: meson test. May touch: the store actor, in the simulator.
 * Never: a real thread (test_store_rocksdb.c and the torture do). */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "desk.h"
#include "store_kit.h"

#define ENTRIES 120u

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_CHAIN, ENTRIES, author, 3);
    sk_node_open_herd(&node, 1, 2);
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(group_commit, .init = setup, .fini = teardown);

static void again(uint64_t seed, uint32_t herd)
{
    sk_node_close(&node);
    sk_node_open_herd(&node, seed, herd);
}

static uint64_t count_here(void) { return sk_count(&node, &dag->tree); }

static void ask(uint32_t from, uint32_t count, enum wf_durability level)
{
    sk_ask_each(&node, dag, from, count, level);
}

/* Until `replies` are there, or nothing is left to do now. */
static void step_until(uint32_t replies)
{
    for (int i = 0; i < 10000 && node.sink.replies_count < replies; i++) wf_sim_step(node.sim);
}

static void step_until_syncing(void)
{
    for (int i = 0; i < 10000 && !node.store->desk->syncing; i++) wf_sim_step(node.sim);
    cr_assert(node.store->desk->syncing);
}

/* -- The disk is waited for elsewhere ------------------------------------------------------ */

Test(group_commit, a_herd_is_answered_in_order_once_the_disk_has_it)
{
    ask(0, 40, WF_SYNCED);
    while (node.sink.replies_count < 40) {
        uint32_t before = node.sink.replies_count;
        cr_assert(wf_sim_step(node.sim));
        /* What was answered in this step is durable; a crash here would keep it. */
        if (node.sink.replies_count == before) continue;
        for (uint32_t i = before; i < node.sink.replies_count; i++) {
            cr_assert_eq(node.sink.replies[i].err, WEFT_OK);
            cr_assert_eq(node.sink.replies[i].seq, i + 1);
        }
    }
    sk_node_settle(&node);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    cr_assert_not_null(node.store->desk->syncer);
    sk_expect_clean(node.store);
}

Test(group_commit, whoever_commits_alone_waits_for_no_other_thread)
{
    again(1, 0);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(sk_commit(&node, dag->bufs + i, dag->ids + i, 1, true, NULL), WEFT_OK);
    cr_assert_null(node.store->desk->syncer);
}

Test(group_commit, what_comes_while_the_disk_is_waited_for_is_one_batch)
{
    struct wf_store_counters before, after;
    ask(0, 10, WF_SYNCED);
    step_until_syncing();
    wf_store_counters_read(node.store, &before);
    ask(10, 30, WF_SYNCED);
    sk_node_settle(&node);
    wf_store_counters_read(node.store, &after);
    cr_assert_eq(sk_good_replies(&node), 40);
    cr_assert_leq(after.batches - before.batches, 2, "%llu",
                  (unsigned long long)(after.batches - before.batches));
}

Test(group_commit, a_crash_at_any_step_keeps_what_was_acknowledged)
{
    uint32_t overlapped = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        kit_random r = {seed};
        again(seed, 1 + (uint32_t)(seed % 4));
        uint32_t asked = 0, acked = 0;
        while (asked < ENTRIES) {
            uint32_t count = 1 + kit_below(&r, 12);
            if (count > ENTRIES - asked) count = ENTRIES - asked;
            ask(asked, count, WF_SYNCED);
            asked += count;
            for (uint32_t steps = kit_below(&r, 60); steps > 0; steps--) wf_sim_step(node.sim);
            if (kit_below(&r, 4) != 0) continue;
            for (int i = 0; i < 40 && !node.store->desk->syncing; i++) wf_sim_step(node.sim);
            overlapped += node.store->desk->syncing;
#ifdef __SANITIZE_ADDRESS__
            sk_node_settle(&node); /* who is killed with asks under way leaves their memory */
#endif
            acked += sk_good_replies(&node);
            sk_node_crash(&node, kit_below(&r, 3));
            cr_assert_geq(count_here(), acked, "seed %llu", (unsigned long long)seed);
            sk_expect_clean(node.store);
            acked = asked = (uint32_t)count_here();
        }
        sk_node_settle(&node);
        cr_assert_eq(acked + sk_good_replies(&node), ENTRIES);
        sk_expect_dag(node.store, dag, NULL);
    }
    cr_assert_gt(overlapped, 10, "else nothing was tested");
}

Test(group_commit, bells_ring_only_for_what_the_disk_has)
{
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
    ask(0, 20, WF_SYNCED);
    step_until_syncing();
    cr_assert_eq(node.sink.bells_count, 0);
    cr_assert_gt(wf_kv_memory_unsynced(node.kv), 0);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 1);
}

Test(group_commit, a_batch_that_is_full_meanwhile_answers_those_before_it_first)
{
    static uint8_t payload[900000];
    weft_id ids[7];
    weft_buf *bufs[7];
    struct wf_commit *large = wf_commit_create(7);
    ask(0, 2, WF_SYNCED);
    step_until_syncing();
    for (uint32_t i = 0; i < 7; i++) {
        payload[0] = (uint8_t)i;
        sk_entry e = {.tree = dag->tree,
                      .parents = i == 0 ? &dag->ids[1] : &ids[i - 1],
                      .parents_count = 1,
                      .height = dag->heights[1] + 1 + i,
                      .payload = payload,
                      .payload_len = sizeof payload};
        bufs[i] = sk_build(&e, author, &ids[i]);
        large->entries[i] = bufs[i];
        large->ids[i] = ids[i];
    }
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &large->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    cr_assert_eq(node.sink.replies_count, 2, "they came first");
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    weft_drop(&back->msg);
    sk_node_settle(&node);
    sk_expect_clean(node.store);
}

/* -- When that fails ----------------------------------------------------------------------------- */

Test(group_commit, a_disk_that_fails_meanwhile_stops_the_store_which_then_goes_on)
{
    sk_quiet(true);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_OK);
    ask(1, 10, WF_SYNCED);
    step_until_syncing();
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    ask(11, 10, WF_SYNCED); /* in the next batch, or refused */
    sk_node_settle(&node);
    cr_assert_eq(node.sink.replies_count, 20);
    cr_assert_eq(sk_good_replies(&node), 0, "nobody may be told that it is durable");
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_IO);
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
    for (uint32_t i = 1; i < 40; i++)
        cr_assert_eq(sk_commit(&node, dag->bufs + i, dag->ids + i, 1, true, NULL), WEFT_OK);
    cr_assert_eq(count_here(), 40);
    sk_expect_clean(node.store);
    sk_quiet(false);
}

Test(group_commit, a_sync_that_failed_once_is_tried_again)
{
    sk_quiet(true);
    ask(0, 10, WF_SYNCED);
    step_until_syncing();
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_MEMORY, false);
    step_until(10);
    cr_assert_eq(sk_good_replies(&node), 0);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    cr_assert_eq(count_here(), 10, "they are there all the same");
    cr_assert_eq(sk_commit(&node, dag->bufs + 10, dag->ids + 10, 1, true, NULL), WEFT_OK);
    sk_quiet(false);
}

Test(group_commit, a_stop_meanwhile_answers_nobody_falsely)
{
    for (uint32_t steps = 0; steps < 60; steps++) {
        again(steps + 1, 2);
        ask(0, 30, WF_SYNCED);
        for (uint32_t i = 0; i < steps; i++) wf_sim_step(node.sim);
        cr_assert_eq(weft_stop(node.addr, WEFT_DRAIN), WEFT_OK);
        sk_node_settle(&node);
        cr_assert_eq(node.sink.replies_count, 30);
        uint32_t good = sk_good_replies(&node);
        cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
        sk_node_crash(&node, 0);
        cr_assert_geq(count_here(), good);
    }
}

Test(group_commit, without_memory_for_the_other_thread_this_one_waits)
{
    sk_quiet(true);
    for (uint64_t nth = 1; nth <= 40; nth++) {
        again(nth, 2);
        ask(0, 1, WF_SYNCED);
        sk_node_settle(&node);
        ask(1, 20, WF_SYNCED);
        for (int i = 0; i < 3; i++) wf_sim_step(node.sim);
        wf_alloc_fail_at(nth, 1);
        sk_node_settle(&node);
        wf_alloc_fail_at(0, 0);
        cr_assert_eq(node.sink.replies_count, 21);
        uint32_t good = sk_good_replies(&node);
        sk_node_crash(&node, 0);
        cr_assert_geq(count_here(), good);
        sk_expect_clean(node.store);
    }
    sk_quiet(false);
}

/* -- Levels -------------------------------------------------------------------------------------- */

/* Of how many schedules is it there after `level` answered and then `keep` of the unsynced
 * batches survive? SIZE_MAX is a kill -9, 0 a power cut. */
#define SCHEDULES 20u
static uint32_t left_of(enum wf_durability level, size_t keep)
{
    uint32_t left = 0;
    for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
        again(seed, 0);
        cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_OK);
        ask(1, 1, level);
        step_until(1);
        cr_assert_eq(sk_good_replies(&node), 1);
        sk_node_crash(&node, keep);
        sk_expect_clean(node.store);
        left += count_here() == 2;
    }
    return left;
}

Test(group_commit, synced_survives_a_power_cut)
{
    cr_assert_eq(left_of(WF_SYNCED, 0), SCHEDULES);
    cr_assert_eq(left_of(WF_SYNCED, SIZE_MAX), SCHEDULES);
}

Test(group_commit, written_survives_a_kill_and_not_a_power_cut)
{
    cr_assert_eq(left_of(WF_WRITTEN, SIZE_MAX), SCHEDULES);
    cr_assert_eq(left_of(WF_WRITTEN, 0), 0, "else it would be the same as synced");
}

Test(group_commit, memory_need_not_survive_a_kill)
{
    cr_assert_lt(left_of(WF_MEMORY, SIZE_MAX), SCHEDULES, "else it would be the same as written");
    cr_assert_eq(left_of(WF_MEMORY, 0), 0);
}

Test(group_commit, all_levels_are_durable_soon)
{
    for (uint32_t level = WF_SYNCED; level <= WF_MEMORY; level++) {
        again(7, 0);
        ask(0, 5, (enum wf_durability)level);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
        cr_assert_eq(sk_good_replies(&node), 5);
        sk_node_crash(&node, 0);
        cr_assert_eq(count_here(), 5);
    }
}

/* An entry that waited for its parent is synced with it, though nobody waits for that. */
Test(group_commit, what_was_synced_for_nobody_is_known_to_be_durable)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 3, true, NULL), WEFT_OK);
    struct wf_ingest *orphan = sk_frame(&node, 3, 1, &dag->tree, dag->bufs + 4, dag->ids + 4, 1);
    orphan->raw = true;
    cr_assert_eq(sk_ingest(&node, orphan)->pending, 1);
    ask(3, 3, WF_WRITTEN);
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 6);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    cr_expect_eq(wf_store_durable(node.store, 1), 6);
    ask(6, 1, WF_WRITTEN);
    sk_node_settle(&node);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    cr_expect_eq(wf_kv_memory_unsynced(node.kv), 0);
}

Test(group_commit, memory_is_no_way_around_the_door)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_OK);
    ask(5, 1, WF_MEMORY); /* without its parents */
    step_until(1);
    cr_assert_eq(node.sink.replies[0].err, WEFT_PENDING);
}

Test(group_commit, whoever_need_not_wait_for_the_disk_does_not)
{
    ask(0, 5, WF_SYNCED);
    ask(5, 1, WF_WRITTEN);
    step_until_syncing();
    cr_assert_eq(node.store->desk->owed.count, 5);
    step_until(1);
    cr_assert_eq(node.sink.replies[0].seq, 6, "the one that was only to be written");
}

Test(group_commit, an_empty_synced_commit_makes_all_before_it_durable)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_OK);
    ask(1, 5, WF_WRITTEN);
    ask(6, 5, WF_MEMORY);
    step_until(5);
    struct wf_commit *nothing = wf_commit_create(0);
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &nothing->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    sk_node_crash(&node, 0);
    cr_assert_eq(count_here(), 11);
}
