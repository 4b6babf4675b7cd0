/* SPDX-License-Identifier: Apache-2.0
 * test_shelf.c - what a salvage finds above something lost is saved, stays unseen, and stands as
 * soon as that is here again, whatever fails on the way.
 * Called by: meson test. May touch: rows of the engines that it made.
 * Never: a real thread or disk. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "kv_kit.h"
#include "renew_files.h"
#include "salvage.h"
#include "shelf.h"
#include "store_kit.h"
#include "writer.h"

#define ENTRIES 160u

static weft_keypair *author;
static sk_node lender; /* of a runtime */
static sk_node node;   /* on a salvaged store */
static sk_dag *dag;
static bool lost[ENTRIES], given[ENTRIES], stands[ENTRIES];
static wf_salvage_report report;

static void begin(enum sk_shape shape, uint64_t seed)
{
    dag = sk_dag_create(shape, ENTRIES, author, seed);
    memset(lost, 0, sizeof lost);
    memset(given, 0, sizeof given);
}

static void end(void)
{
    sk_dag_destroy(dag);
    dag = NULL;
}

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&lender, 1);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&lender);
    weft_keypair_destroy(author);
}

TestSuite(shelf, .init = setup, .fini = teardown);

/* -- Stores ------------------------------------------------------------------------------------ */

static void change(wf_kv *kv, enum wf_cf cf, const void *key, size_t key_len, const void *value,
                   size_t len)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (value == NULL) wf_batch_delete(batch, cf, key, key_len);
    else wf_batch_put(batch, cf, key, key_len, value, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

static void put(wf_store *store, uint32_t i)
{
    struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[i]),
                         .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                         .id = dag->ids[i],
                         .create_tree = true};
    memset(add.source.peer.bytes, i % 2 == 0 ? 0 : 7, sizeof add.source.peer.bytes);
    cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
}

static void write_out(wf_store *store)
{
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
}

/* All of the history but the bodies that are lost. */
static wf_kv *damaged(void)
{
    wf_kv *kv = kk_open(&kk_memory, NULL);
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kv, lender.rt, &store), WEFT_OK);
    for (uint32_t i = 0; i < ENTRIES; i++) put(store, i);
    write_out(store);
    cr_assert_eq(wf_store_detach(store), kv);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint8_t key[WF_KEY_SEQ_BYTES];
        wf_key_seq(key, 1, i + 1);
        if (lost[i]) change(kv, WF_CF_ENTRY, key, sizeof key, NULL, 0);
    }
    return kv;
}

/* Takes `from`. */
static wf_kv *salvaged(wf_kv *from, uint32_t shelf_entries)
{
    wf_kv *to = kk_open(&kk_memory, NULL);
    wf_salvage_options options = {.shelf_entries = shelf_entries};
    cr_assert_eq(wf_salvage(from, to, lender.rt, &options, &report), WEFT_OK);
    wf_kv_close(from);
    return to;
}

static void lose(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) lost[i] = true;
}

/* -- The model ----------------------------------------------------------------------------------- */

/* An entry stands if its bytes are here and all its parents stand. Returns how many wait that were
 * saved. */
static uint32_t model(void)
{
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        stands[i] = !lost[i] || given[i];
        for (uint32_t p = 0; p < dag->parents_count[i]; p++)
            stands[i] = stands[i] && stands[dag->parents[i][p]];
        waiting += !lost[i] && !stands[i];
    }
    return waiting;
}

static uint64_t shelved(wf_store *store)
{
    wf_tree_info info = {0};
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_OK);
    return info.shelved;
}

/* The store is as the model has it, in every index, and so is the shelf. */
static void expect_model(wf_store *store)
{
    uint32_t waiting = model();
    wf_check_report found;
    sk_expect_dag(store, dag, stands);
    cr_assert_eq(wf_store_check(store, true, &found), WEFT_OK);
    cr_assert_eq(wf_check_faults(&found), 0);
    cr_assert_eq(found.shelved, waiting);
    cr_assert_eq(shelved(store), waiting);
    struct wf_store_counters counters;
    wf_store_counters_read(store, &counters);
    cr_assert_eq(counters.shelved, waiting);
}

static uint64_t frames;

/* One entry from a peer. */
static void give(uint32_t i)
{
    struct wf_ingest *frame = sk_frame(&node, 9, ++frames, &dag->tree, &dag->bufs[i], &dag->ids[i],
                                       1);
    weft_err err = sk_ingest(&node, frame)->err;
    cr_assert(err == WEFT_OK || err == WEFT_PENDING, "%s", weft_errname(err));
    given[i] = true;
}

static void open_node(wf_kv *kv)
{
    frames = 0;
    sk_node_open_kv(&node, 5, kv);
}

static void give_all(void)
{
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (lost[i]) give(i);
    sk_node_settle(&node);
}

/* -- Saved, unseen, standing again ------------------------------------------------------------------- */

Test(shelf, what_stands_on_a_lost_entry_is_saved_and_not_seen)
{
    begin(SK_WIDE, 3);
    lose(40, 50);
    wf_kv *kv = salvaged(damaged(), 0);
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kv, lender.rt, &store), WEFT_OK);
    expect_model(store);
    cr_expect_gt(report.shelved, 50);
    cr_expect_eq(report.shelved, report.orphans);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        weft_buf *buf = NULL;
        weft_err err = wf_store_get(store, &dag->ids[i], &buf);
        cr_expect_eq(err, stands[i] ? WEFT_OK : WEFT_NOT_FOUND);
        weft_buf_unref(buf);
    }
    wf_store_close(store);
    end();
}

Test(shelf, only_what_is_lost_has_to_come)
{
    begin(SK_WIDE, 3);
    lose(40, 50);
    open_node(salvaged(damaged(), 0));
    give_all();
    expect_model(node.store);
    struct wf_store_counters counters;
    wf_store_counters_read(node.store, &counters);
    cr_expect_eq(counters.entries - counters.unshelved, 10);
    cr_expect_eq(counters.unshelved, report.shelved);
    cr_expect_eq(counters.known, 0, "it came from nobody");
    cr_expect_eq(counters.commits, 0, "what was committed here before counts no second time");
    wf_arrival arrival;
    bool some = false;
    for (uint64_t seq = 1; wf_store_arrival(node.store, 1, seq, &arrival) == WEFT_OK; seq++)
        some |= seq > ENTRIES / 2 && arrival.source.peer.bytes[0] == 7;
    cr_expect(some, "who they came from is still known");
    sk_node_close(&node);
    end();
}

Test(shelf, all_of_a_tree_waits_for_its_root)
{
    begin(SK_MERGES, 4);
    lose(0, 1);
    open_node(salvaged(damaged(), 0));
    cr_expect_eq(report.shelved, ENTRIES - 1);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    cr_expect_eq(shelved(node.store), ENTRIES - 1);
    give_all();
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

/* In whatever order what is lost comes, children before parents too. */
Test(shelf, nothing_of_it_stands_before_its_parents)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        kit_random r = {seed};
        uint32_t order[ENTRIES], count = 0;
        begin((enum sk_shape)(seed % SK_SHAPES), seed);
        for (uint32_t i = 1; i < ENTRIES; i++) lost[i] = kit_below(&r, 12) == 0;
        for (uint32_t i = 1; i < ENTRIES; i++)
            if (lost[i]) order[count++] = i;
        for (uint32_t i = count; i > 1; i--) {
            uint32_t other = kit_below(&r, i), keep = order[other];
            order[other] = order[i - 1];
            order[i - 1] = keep;
        }
        open_node(salvaged(damaged(), 0));
        expect_model(node.store);
        for (uint32_t i = 0; i < count; i++) {
            give(order[i]);
            expect_model(node.store);
        }
        cr_assert_eq(model(), 0);
        sk_node_close(&node);
        end();
    }
}

/* As a batch that ended between the two leaves it: what they wait for is stored, and nobody looked. */
static wf_kv *left_behind(uint32_t from, uint32_t to)
{
    wf_store *store = NULL;
    lose(from, to);
    wf_kv *kv = salvaged(damaged(), 0);
    cr_assert_eq(wf_store_open(kv, lender.rt, &store), WEFT_OK);
    for (uint32_t i = from; i < to; i++) put(store, i);
    write_out(store);
    cr_assert_eq(shelved(store), report.shelved);
    for (uint32_t i = from; i < to; i++) given[i] = true;
    return wf_store_detach(store);
}

Test(shelf, an_opening_takes_what_can_stand)
{
    begin(SK_CHAIN, 5);
    open_node(left_behind(40, 42));
    sk_node_settle(&node);
    expect_model(node.store);
    sk_node_crash(&node, 0);
    sk_node_settle(&node);
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

Test(shelf, what_is_not_followed_waits_until_it_is)
{
    begin(SK_CHAIN, 5);
    lose(40, 41);
    open_node(salvaged(damaged(), 0));
    cr_assert_eq(sk_follow(&node, &dag->tree, false, NULL, 0), WEFT_OK);
    cr_assert_eq(sk_commit(&node, &dag->bufs[40], &dag->ids[40], 1, false, NULL), WEFT_OK);
    sk_node_settle(&node);
    cr_expect_eq(shelved(node.store), ENTRIES - 41);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    sk_node_settle(&node);
    given[40] = true;
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

/* -- What goes wrong ------------------------------------------------------------------------------------ */

/* How many of the saved ones are in the store or on the shelf. */
static uint64_t still_saved(void)
{
    uint64_t count = shelved(node.store);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        wf_meta_brief brief;
        count += !lost[i] && wf_store_meta_brief(node.store, &dag->ids[i], &brief) == WEFT_OK;
    }
    return count;
}

/* Sends all that is lost, without caring for the answers. */
static void try_to_give(void)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!lost[i]) continue;
        sk_send(&node, sk_frame(&node, 9, ++frames, &dag->tree, &dag->bufs[i], &dag->ids[i], 1));
        sk_node_settle(&node);
    }
    sk_sink_clear(&node);
}

Test(shelf, a_crash_at_any_write_loses_nothing_of_it)
{
    uint32_t writes = 0;
    begin(SK_WIDE, 6);
    lose(60, 64);
    for (uint64_t nth = 1;; nth++) {
        open_node(salvaged(damaged(), 0));
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        try_to_give();
        bool met = wf_kv_failed(node.kv) != WEFT_OK;
        size_t keep = nth % (1 + wf_kv_memory_unsynced(node.kv));
        sk_node_crash(&node, keep);
        frames = 0;
        sk_node_settle(&node);
        cr_assert_eq(still_saved(), ENTRIES - 4, "write %d", (int)nth);
        sk_expect_clean(node.store);
        give_all();
        expect_model(node.store);
        sk_node_close(&node);
        if (!met) break;
        writes++;
    }
    cr_expect_geq(writes, 2);
    end();
}

Test(shelf, a_failed_write_is_made_good_without_a_restart)
{
    begin(SK_WIDE, 6);
    lose(60, 64);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memset(given, 0, sizeof given);
        open_node(salvaged(damaged(), 0));
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        try_to_give();
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        for (int i = 0; i < 60; i++) sk_node_settle(&node);
        cr_assert_eq(still_saved(), ENTRIES - 4);
        for (uint32_t i = 60; i < 64; i++) {
            weft_err err = sk_commit(&node, &dag->bufs[i], &dag->ids[i], 1, false, NULL);
            cr_assert_eq(err, WEFT_OK);
            given[i] = true;
        }
        sk_node_settle(&node);
        expect_model(node.store);
        sk_node_close(&node);
    }
    end();
}

/* Nothing arrives that would make anybody look: neither when the disk is back after a while, nor
 * when a batch alone was refused. */
Test(shelf, a_look_at_it_that_failed_is_made_again)
{
    for (int once = 0; once < 2; once++) {
        begin(SK_CHAIN, 5);
        open_node(left_behind(40, 42));
        wf_kv_memory_fail_at(node.kv, 1, once ? WEFT_NO_SPACE : WEFT_IO, !once);
        for (int i = 0; i < 5; i++) sk_node_settle(&node);
        if (!once) cr_assert_eq(shelved(node.store), report.shelved);
        if (!once) wf_kv_memory_crash(node.kv, 0); /* it works again, and lost that batch */
        for (int i = 0; i < 60; i++) sk_node_settle(&node);
        expect_model(node.store);
        sk_node_close(&node);
        end();
    }
}

Test(shelf, an_allocation_that_fails_costs_time_at_most)
{
    begin(SK_WIDE, 7);
    lose(60, 64);
    uint64_t all = 0;
    for (uint64_t nth = 0; nth <= all; nth += 1 + nth / 4) { /* 0: none, to count them */
        memset(given, 0, sizeof given);
        open_node(salvaged(damaged(), 0));
        struct wf_ingest *sent = sk_frame(&node, 9, ++frames, &dag->tree, dag->bufs + 60,
                                          dag->ids + 60, 4);
        (void)wf_alloc_fail_at(nth, 0);
        sk_send(&node, sent);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_MS);
        uint64_t asked = wf_alloc_fail_at(0, 0);
        if (nth == 0) all = asked;
        for (int i = 0; i < 3; i++) sk_node_settle(&node);
        sk_sink_clear(&node);
        cr_assert_eq(still_saved(), ENTRIES - 4, "allocation %d", (int)nth);
        for (uint32_t i = 60; i < 64; i++) {
            weft_err err = sk_commit(&node, &dag->bufs[i], &dag->ids[i], 1, false, NULL);
            cr_assert_eq(err, WEFT_OK);
            given[i] = true;
        }
        sk_node_settle(&node);
        expect_model(node.store);
        sk_node_close(&node);
    }
    cr_expect_gt(all, 20);
    end();
}

/* One bit of its bytes. */
static void damage(wf_kv *kv, uint32_t i)
{
    uint8_t key[WF_KEY_SHELF_BYTES];
    wf_value value;
    wf_key_shelf(key, &dag->tree, &dag->ids[i]);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, key, sizeof key, &value), WEFT_OK);
    uint8_t *bytes = malloc(value.len);
    size_t len = value.len;
    memcpy(bytes, value.data, len);
    wf_value_release(kv, &value);
    bytes[len - 9] ^= 1;
    change(kv, WF_CF_ENTRY, key, sizeof key, bytes, len);
    free(bytes);
}

Test(shelf, a_damaged_one_is_dropped_and_comes_from_a_peer)
{
    begin(SK_CHAIN, 8);
    lose(100, 101);
    wf_kv *kv = salvaged(damaged(), 0);
    damage(kv, 120);
    open_node(kv);
    wf_check_report found;
    cr_assert_eq(wf_store_check(node.store, false, &found), WEFT_OK);
    cr_expect_eq(wf_check_faults(&found), 1, "which the check finds");
    give(100);
    sk_node_settle(&node);
    cr_expect_eq(shelved(node.store), ENTRIES - 121);
    lost[120] = true;
    expect_model(node.store);
    give(120);
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

Test(shelf, rows_that_belong_to_nothing_are_a_fault)
{
    uint8_t key[WF_KEY_SHELF_WAIT_BYTES];
    wf_check_report found;
    begin(SK_CHAIN, 8);
    lose(100, 101);
    open_node(salvaged(damaged(), 0));
    wf_key_shelf_wait(key, &dag->tree, &dag->ids[100], &dag->ids[101]);
    change(node.kv, WF_CF_CHILD, key, sizeof key, NULL, 0);
    cr_assert_eq(wf_store_check(node.store, false, &found), WEFT_OK);
    cr_expect_eq(found.bad_indexes, 1, "one is missing");
    change(node.kv, WF_CF_CHILD, key, sizeof key, "", 0);
    wf_key_shelf_wait(key, &dag->tree, &dag->ids[3], &dag->ids[4]);
    change(node.kv, WF_CF_CHILD, key, sizeof key, "", 0);
    cr_assert_eq(wf_store_check(node.store, false, &found), WEFT_OK);
    cr_expect_eq(found.bad_indexes, 1, "one is too much");
    sk_node_close(&node);
    end();
}

/* -- Bounds, marks, further renewals ---------------------------------------------------------------------- */

Test(shelf, a_full_one_takes_the_lower_part_and_peers_send_the_rest)
{
    begin(SK_CHAIN, 9);
    lose(40, 41);
    open_node(salvaged(damaged(), 20));
    cr_expect_eq(report.shelved, 20);
    cr_expect_eq(report.orphans, ENTRIES - 41);
    lose(61, ENTRIES);
    expect_model(node.store);
    give(40);
    expect_model(node.store);
    give_all();
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

/* Entry i from a peer that `leans` was told so, with a mark; expects that to be kept and
 * acknowledged, or neither. */
static void give_marked(uint32_t i, bool leans, bool keeps)
{
    static const weft_key peer = {.bytes = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
                                            9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}};
    wf_mark mark;
    struct wf_ingest *frame = sk_frame(&node, 9, ++frames, &dag->tree, &dag->bufs[i], &dag->ids[i],
                                       1);
    frame->leans = leans;
    frame->has_mark = true;
    frame->mark.seq = i;
    struct wf_ingest *done = sk_ingest(&node, frame);
    cr_assert_eq(done->err, WEFT_OK);
    cr_expect_eq(done->has_mark, keeps, "acknowledged");
    cr_expect_eq(wf_store_cursor(node.store, &peer, 1, &mark), keeps ? WEFT_OK : WEFT_NOT_FOUND);
}

/* A peer passes over what is on the shelf: a mark would say that it is here. */
Test(shelf, no_mark_is_kept_while_something_waits)
{
    begin(SK_CHAIN, 10);
    lose(40, 42);
    open_node(salvaged(damaged(), 0));
    give_marked(40, true, false);
    give_marked(41, true, true);
    sk_node_close(&node);
    end();
}

/* That peer passes over nothing. */
Test(shelf, a_mark_of_who_was_not_told_of_it_is_kept)
{
    begin(SK_CHAIN, 10);
    lose(40, 42);
    open_node(salvaged(damaged(), 0));
    give_marked(40, false, true);
    cr_expect_gt(shelved(node.store), 0);
    sk_node_close(&node);
    end();
}

/* Else the peer that has passed over it would never send it. */
Test(shelf, no_mark_is_kept_after_something_was_dropped)
{
    begin(SK_CHAIN, 13);
    lose(ENTRIES - 2, ENTRIES - 1);
    wf_kv *kv = salvaged(damaged(), 0);
    damage(kv, ENTRIES - 1);
    open_node(kv);
    cr_assert_eq(shelved(node.store), 1);
    give_marked(ENTRIES - 2, true, false);
    cr_assert_eq(shelved(node.store), 0);
    sk_node_close(&node);
    end();
}

static weft_id named;
static uint32_t named_count;

static weft_err name(void *arg, const weft_id *id)
{
    (void)arg;
    named = *id;
    named_count++;
    return WEFT_OK;
}

/* The old store is kept until that one is here. */
Test(shelf, what_a_copy_cannot_read_of_it_is_named)
{
    uint64_t missing = 0;
    begin(SK_CHAIN, 14);
    lose(40, 41);
    wf_kv *from = salvaged(damaged(), 0), *to = kk_open(&kk_memory, NULL);
    damage(from, 100);
    named_count = 0;
    cr_assert_eq(wf_renew_copy(from, to, lender.rt, &missing, name, NULL), WEFT_OK);
    wf_kv_close(from);
    cr_expect_eq(named_count, 1);
    cr_expect(weft_id_equal(&named, &dag->ids[100]));
    lost[100] = true;
    open_node(to);
    expect_model(node.store);
    sk_node_close(&node);
    end();
}

/* Whichever read meets a bad block: a walk would end there, and say nothing of what is behind it. */
Test(shelf, a_bad_block_hides_nothing_behind_it_from_a_copy)
{
    uint64_t missing = 0, reads = 0;
    begin(SK_CHAIN, 15);
    lose(ENTRIES - 20, ENTRIES - 19);
    for (uint64_t back = 0; back < 30; back += 3) { /* the last reads are of the shelf */
        wf_kv *from = kv_faulty_create(salvaged(damaged(), 0)), *to = kk_open(&kk_memory, NULL);
        if (back > 0) kv_faulty_fail_at(from, reads - back, WEFT_CORRUPT);
        named_count = 0;
        weft_err err = wf_renew_copy(from, to, lender.rt, &missing, name, NULL);
        if (back == 0) reads = kv_faulty_reads(from);
        wf_kv_close(from);
        cr_assert(err == WEFT_OK || err == WEFT_CORRUPT);
        wf_store *store = NULL;
        wf_check_report found;
        cr_assert_eq(wf_store_open(to, lender.rt, &store), WEFT_OK);
        if (err == WEFT_OK) {
            cr_assert_eq(wf_store_check(store, false, &found), WEFT_OK);
            cr_expect_eq(found.shelved + named_count, 19, "%d reads before the last", (int)back);
        }
        wf_store_close(store);
    }
    end();
}

Test(shelf, another_renewal_of_either_kind_keeps_it)
{
    for (int rows = 0; rows < 2; rows++) {
        uint64_t missing = 0;
        begin(SK_WIDE, 11);
        lose(40, 50);
        wf_kv *from = salvaged(damaged(), 0), *to = kk_open(&kk_memory, NULL);
        uint64_t before = report.shelved;
        if (rows) {
            cr_assert_eq(wf_renew_copy(from, to, lender.rt, &missing, name, NULL), WEFT_OK);
            wf_kv_close(from);
        } else {
            wf_kv_close(to);
            to = salvaged(from, 0);
            cr_expect_eq(report.shelved, before);
        }
        open_node(to);
        expect_model(node.store);
        give_all();
        expect_model(node.store);
        sk_node_close(&node);
        end();
    }
}

Test(shelf, an_entry_with_very_many_parents_is_left_to_peers)
{
    enum { PARENTS = WEFT_SHELF_PARENTS_MAX };
    weft_id *ids = calloc(PARENTS, sizeof *ids), id;
    weft_id other = {{3}};
    begin(SK_STAR, 12);
    for (uint32_t i = 0; i < PARENTS; i++) {
        ids[i] = dag->ids[1];
        ids[i].bytes[31] = (uint8_t)i;
    }
    sk_entry spec = {.tree = dag->tree,
                     .parents = ids,
                     .parents_count = PARENTS,
                     .height = 2,
                     .store_parents = &other,
                     .store_parents_count = 1};
    weft_buf *buf = sk_build(&spec, author, &id);
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kk_open(&kk_memory, NULL), lender.rt, &store), WEFT_OK);
    struct wf_add add = {
        .bytes = weft_buf_bytes(buf), .len = (uint32_t)weft_buf_len(buf), .id = id};
    cr_expect_eq(wf_shelf_put(store, &add), WEFT_LIMIT);
    cr_expect_not(wf_writer_is_open(store), "nothing of it is there");
    wf_store_close(store);
    weft_buf_unref(buf);
    free(ids);
    end();
}
