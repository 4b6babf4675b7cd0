/* SPDX-License-Identifier: Apache-2.0
 * test_write_ahead.c - a batch that is written while the disk still has the one before: what is
 * said of either, and when.
 * Called by: meson test. May touch: the store actor, in the simulator.
 * Never: a real thread (test_store_rocksdb.c and the torture do). */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "desk.h"
#include "store_kit.h"

#define ENTRIES 120u
#define SEEDS 30u

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

/* -- A disk that takes its time: it stands where the child that waits for it would ---------- */

static struct {
    wf_kv *kv;
    weft_request *held; /* who waits for it */
    bool slow;          /* it answers only when it is told to */
    bool early;         /* it has all long before it answers */
    bool has;
    weft_err err;
} disk;

static const weft_kind ask_kind = {
    .id = 0x7a01, .name = "disk.ask", .size = sizeof(weft_request), .drop = weft_free_msg};

static void disk_sync(void)
{
    if (!disk.has) disk.err = wf_kv_sync(disk.kv);
    disk.has = true;
}

static void disk_answer(void)
{
    weft_request *held = disk.held;
    if (held == NULL) return;
    disk_sync();
    disk.held = NULL;
    weft_reply(held, disk.err);
}

static weft_verdict disk_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    disk.held = (weft_request *)msg;
    disk.has = false;
    if (disk.early) disk_sync();
    if (!disk.slow) disk_answer();
    return WEFT_KEPT;
}

static void disk_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)state;
    (void)reason;
    disk_answer();
}

static void put_disk(uint64_t seed)
{
    weft_spec spec = {.name = "disk", .handle = disk_handle, .fini = disk_fini};
    struct wf_desk *desk = node.store->desk;
    memset(&disk, 0, sizeof disk);
    disk.kv = node.kv;
    disk.slow = true;
    disk.early = seed % 2 == 0;
    cr_assert_eq(weft_spawn(node.rt, &spec, &desk->syncer), WEFT_OK);
    desk->sync_req = (weft_request *)weft_new(&ask_kind);
    cr_assert_not_null(desk->sync_req);
}

/* From now on it is quick; until nothing is left to do. */
static void finish(void)
{
    disk.slow = false;
    disk_answer();
    sk_node_settle(&node);
}

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_CHAIN, ENTRIES, author, 3);
    sk_node_open_herd(&node, 1, 2);
}

static void teardown(void)
{
    disk.slow = false;
    disk_answer();
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(write_ahead, .init = setup, .fini = teardown);

static void again(uint64_t seed)
{
    disk.slow = false;
    disk_answer();
    sk_node_close(&node);
    sk_node_open_herd(&node, seed, 2);
    put_disk(seed);
}

static uint64_t count_here(void) { return sk_count(&node, &dag->tree); }

static void ask(uint32_t from, uint32_t count, enum wf_durability level)
{
    sk_ask_each(&node, dag, from, count, level);
}

static bool is_ahead(void)
{
    const struct wf_desk *desk = node.store->desk;
    return desk->syncing && desk->written.count > 0;
}

static void first_ten(void)
{
    ask(0, 10, WF_SYNCED);
    while (disk.held == NULL) cr_assert(wf_sim_step(node.sim));
}

/* Entries 0 to 9 with the disk, 10 to 19 written, nobody answered yet. */
static void two_under_way(uint64_t seed)
{
    again(seed);
    first_ten();
    ask(10, 10, WF_SYNCED);
    while (node.store->desk->written.count < 10) cr_assert(wf_sim_step(node.sim));
    cr_assert_eq(node.store->desk->owed.count, 10);
    cr_assert_eq(node.sink.replies_count, 0);
}

static void subscribe(void)
{
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
}

/* What the bells that came told of the tree so far; they go back. */
static uint64_t hear(uint64_t told)
{
    for (uint32_t i = 0; i < node.sink.bells_count; i++) {
        struct wf_stored *bell = node.sink.bells[i];
        for (uint32_t j = 0; j < bell->trees_count; j++) {
            cr_assert_eq(bell->trees[j].from_seq, told, "nothing twice, nothing left out");
            told = bell->trees[j].to_seq;
        }
        for (uint32_t j = 0; j < bell->entries_count; j++)
            cr_assert_leq(bell->entries[j].seq, told);
        cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    }
    node.sink.bells_count = 0;
    return told;
}

/* A step, in which the disk may come to its end. */
static void step(kit_random *r)
{
    wf_sim_step(node.sim);
    if (kit_below(r, 30) == 0) disk_answer();
}

/* A power cut, if `keep` is 0. Who is killed with asks under way leaves their memory. */
static void crash(size_t keep)
{
#ifdef __SANITIZE_ADDRESS__
    finish();
#endif
    sk_node_crash(&node, keep);
    disk.held = NULL;
}

/* -- Two batches under way ----------------------------------------------------------------- */

Test(write_ahead, the_disk_goes_on_at_once_with_what_was_written_meanwhile)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        two_under_way(seed);
        disk_answer();
        while (node.sink.replies_count == 0) cr_assert(wf_sim_step(node.sim));
        cr_assert(node.store->desk->syncing);
        cr_assert_eq(node.store->desk->owed.count, 10);
        cr_assert_eq(wf_store_durable(node.store, 1), 10);
        finish();
        cr_assert_eq(sk_good_replies(&node), 20);
        for (uint32_t i = 0; i < 20; i++) cr_assert_eq(node.sink.replies[i].seq, i + 1, "in order");
        cr_assert_eq(wf_store_durable(node.store, 1), 20);
        cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
        sk_expect_clean(node.store);
    }
}

Test(write_ahead, each_batch_is_counted_with_its_own_sync)
{
    struct wf_store_counters counters;
    two_under_way(1);
    finish();
    wf_store_counters_read(node.store, &counters);
    cr_assert_eq(counters.batches, 2);
    cr_assert_eq(counters.synced, 2);
    cr_assert_eq(wf_counter_get(&node.store->counters.synced_commits), 20);
}

Test(write_ahead, what_comes_after_both_gathers_on)
{
    two_under_way(1);
    ask(20, 10, WF_SYNCED);
    while (node.store->desk->answers.count < 10) cr_assert(wf_sim_step(node.sim));
    sk_node_settle(&node);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 2);
    disk_answer();
    sk_node_settle(&node);
    cr_assert_eq(sk_good_replies(&node), 10);
    cr_assert_eq(node.store->desk->owed.count, 10);
    cr_assert_eq(node.store->desk->written.count, 10);
    finish();
    cr_assert_eq(sk_good_replies(&node), 30);
}

Test(write_ahead, whoever_need_not_wait_for_the_disk_is_answered_when_it_is_written)
{
    again(1);
    first_ten();
    ask(10, 10, WF_SYNCED);
    ask(20, 1, WF_WRITTEN);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.replies_count, 1);
    cr_assert_eq(node.sink.replies[0].seq, 21);
    cr_assert_eq(wf_store_durable(node.store, 1), 0);
    finish();
    cr_assert_eq(sk_good_replies(&node), 21);
}

static void ask_large(weft_self *self, void *arg)
{
    sk_ask(&node, self, &((struct wf_commit *)arg)->req);
}

/* Two are under way, and then comes one that fills the next batch: this thread waits for all. */
static void fill_a_batch(void)
{
    static uint8_t payload[900000];
    weft_id ids[7];
    weft_buf *bufs[7];
    struct wf_commit *large = wf_commit_create(7);
    two_under_way(1);
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
    sk_node_do(&node, ask_large, large);
    while (node.sink.replies_count == 0) cr_assert(wf_sim_step(node.sim));
}

Test(write_ahead, a_batch_that_is_full_meanwhile_answers_all_before_it_first)
{
    fill_a_batch();
    cr_assert_not_null(disk.held, "nobody waited for that");
    finish();
    cr_assert_eq(sk_good_replies(&node), 21);
    for (uint32_t i = 0; i < 20; i++) cr_assert_eq(node.sink.replies[i].seq, i + 1, "in order");
    cr_assert_eq(node.sink.replies[20].seq, 27, "and the last is the last");
    cr_assert_eq(wf_store_durable(node.store, 1), 27);
    sk_expect_clean(node.store);
}

/* -- Crashes -------------------------------------------------------------------------------- */

Test(write_ahead, a_crash_at_any_step_keeps_what_was_acknowledged)
{
    uint32_t ahead = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        kit_random r = {seed};
        again(seed);
        first_ten();
        for (uint32_t i = 10; i < 60; i += 10) {
            ask(i, 10, WF_SYNCED);
            for (uint32_t steps = kit_below(&r, 60); steps > 0; steps--) step(&r);
        }
        ahead += is_ahead();
        uint32_t acked = sk_good_replies(&node);
        crash(kit_below(&r, 3));
        cr_assert_geq(count_here(), acked, "seed %llu", (unsigned long long)seed);
        sk_expect_clean(node.store);
    }
    cr_assert_gt(ahead, 10, "else nothing was tested: %u", ahead);
}

Test(write_ahead, neither_bells_nor_the_store_tell_of_more_than_the_disk_has)
{
    uint32_t ahead = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        kit_random r = {seed};
        uint64_t told = 0;
        again(seed);
        subscribe();
        for (uint32_t i = 0; i < 60; i += 10) {
            ask(i, 10, WF_SYNCED);
            for (uint32_t steps = kit_below(&r, 60); steps > 0; steps--) {
                step(&r);
                told = hear(told);
            }
        }
        ahead += is_ahead();
        uint64_t durable = wf_store_durable(node.store, 1);
        cr_assert_leq(told, durable);
        cr_assert_leq(sk_good_replies(&node), durable);
        crash(0);
        cr_assert_geq(count_here(), durable, "seed %llu", (unsigned long long)seed);
    }
    cr_assert_gt(ahead, 10, "else nothing was tested: %u", ahead);
}

/* There is always something written that the disk does not have. */
Test(write_ahead, bells_ring_on_while_commits_never_pause)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t told = 0;
        again(seed);
        subscribe();
        first_ten();
        for (uint32_t sent = 10; sent < ENTRIES; sent += 10) {
            ask(sent, 10, WF_SYNCED);
            while (!is_ahead()) cr_assert(wf_sim_step(node.sim));
            disk_answer();
            while (node.sink.replies_count < sent) cr_assert(wf_sim_step(node.sim));
            sk_node_settle(&node);
            cr_assert_lt(node.store->durable, node.store->published);
            told = hear(told);
            cr_assert_eq(told, sent);
            cr_assert_eq(wf_store_durable(node.store, 1), sent);
            sk_node_settle(&node); /* the bell is back */
        }
        finish();
        cr_assert_eq(hear(told), ENTRIES, "and in the end of all");
        sk_node_settle(&node);
        for (uint32_t i = 0; i < ENTRIES; i++) cr_assert_eq(node.sink.replies[i].seq, i + 1);
    }
}

/* -- When that fails ------------------------------------------------------------------------- */

Test(write_ahead, a_sync_that_fails_is_the_answer_of_both)
{
    sk_quiet(true);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        two_under_way(2 * seed + 1); /* the disk has neither */
        ;
        wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
        finish();
        sk_node_settle(&node);
        cr_assert_eq(node.sink.replies_count, 20);
        cr_assert_eq(sk_good_replies(&node), 0);
        cr_assert_eq(wf_store_durable(node.store, 1), 0);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        for (uint32_t i = 0; i < 30; i++)
            cr_assert_eq(sk_commit(&node, dag->bufs + i, dag->ids + i, 1, true, NULL), WEFT_OK);
        cr_assert_eq(wf_store_durable(node.store, 1), 30);
        sk_expect_clean(node.store);
    }
    sk_quiet(false);
}

/* Somebody else has waited for the same batches meanwhile, and was told that they are durable. */
Test(write_ahead, a_disk_that_fails_a_sync_that_nobody_waits_for_any_more_stops_the_store)
{
    sk_quiet(true);
    fill_a_batch();
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    disk.slow = false;
    disk_answer();
    while (node.store->desk->syncing) cr_assert(wf_sim_step(node.sim));
    cr_assert_eq(node.store->desk->failed, WEFT_IO);
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
    for (uint32_t i = 20; i < 30; i++)
        cr_assert_eq(sk_commit(&node, dag->bufs + i, dag->ids + i, 1, true, NULL), WEFT_OK);
    sk_expect_clean(node.store);
    sk_quiet(false);
}

Test(write_ahead, a_sync_that_failed_once_is_tried_again_for_both)
{
    sk_quiet(true);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        two_under_way(2 * seed + 1); /* the disk has neither */
        ;
        wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_MEMORY, false);
        finish();
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
        cr_assert_eq(node.sink.replies_count, 20);
        cr_assert_eq(sk_good_replies(&node), 0);
        cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
        cr_assert_eq(wf_store_durable(node.store, 1), 20);
    }
    sk_quiet(false);
}

/* The first has its sync; the second is written into an engine that fails. */
Test(write_ahead, a_write_that_fails_meanwhile_answers_all_and_the_store_goes_on)
{
    sk_quiet(true);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        again(seed);
        first_ten();
        wf_kv_memory_fail_at(node.kv, 1 + seed % 3, WEFT_IO, true);
        ask(10, 10, WF_SYNCED);
        for (uint64_t i = seed % 20; i > 0; i--) wf_sim_step(node.sim);
        finish();
        cr_assert_eq(node.sink.replies_count, 20);
        uint64_t good = sk_good_replies(&node);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        cr_assert_geq(count_here(), good);
        for (uint32_t i = 0; i < 30; i++)
            cr_assert_eq(sk_commit(&node, dag->bufs + i, dag->ids + i, 1, true, NULL), WEFT_OK);
        cr_assert_eq(wf_store_durable(node.store, 1), 30);
        sk_expect_clean(node.store);
    }
    sk_quiet(false);
}

Test(write_ahead, a_stop_meanwhile_answers_nobody_falsely)
{
    for (uint64_t seed = 1; seed <= 2 * SEEDS; seed++) {
        two_under_way(seed);
        if (seed % 3 == 0) disk_answer();
        for (uint64_t i = seed % 8; i > 0; i--) wf_sim_step(node.sim);
        cr_assert_eq(weft_stop(node.addr, WEFT_DRAIN), WEFT_OK);
        sk_node_settle(&node);
        cr_assert_eq(node.sink.replies_count, 20);
        uint32_t good = sk_good_replies(&node);
        disk_answer(); /* which nobody waits for any more */
        cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
        crash(0);
        cr_assert_geq(count_here(), good);
    }
}

Test(write_ahead, without_memory_everybody_is_answered_once_and_rightly)
{
    sk_quiet(true);
    for (uint64_t nth = 1; nth <= 60; nth++) {
        again(nth);
        first_ten();
        ask(10, 100, WF_SYNCED);
        while (node.asked < 110) wf_sim_step(node.sim);
        wf_alloc_fail_at(nth, 1);
        sk_node_settle(&node);
        finish();
        wf_alloc_fail_at(0, 0);
        cr_assert_eq(node.sink.replies_count, 110);
        uint32_t good = sk_good_replies(&node);
        crash(0);
        cr_assert_geq(count_here(), good);
        sk_expect_clean(node.store);
    }
    sk_quiet(false);
}
