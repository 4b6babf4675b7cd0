/* SPDX-License-Identifier: Apache-2.0
 * test_removal.c - a tree leaves the store, and nothing else does: in the simulator, through
 * crashes, failed writes and short memory.
 * Called by: meson test. May touch: the store actor, its engine. Never: a real thread. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "removal.h"
#include "removal_kit.h"
#include "salvage.h"
#include "shelf.h"
#include "store_kit.h"
#include "writer.h"

enum { COUNT = 40, KEPT = 25 };

static weft_keypair *author;
static sk_node node;
static sk_dag *dag, *kept; /* what goes, and what stays */
static uint64_t number, kept_number;
static struct rm_rows kept_rows, others;

static wf_tree_info tree_of(wf_store *store, const sk_dag *of)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store, &of->tree, &info), WEFT_OK);
    return info;
}

static void fill(void)
{
    const weft_key peer = {{7}};
    const wf_mark mark = {.seq = 3};
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, COUNT, true, NULL), WEFT_OK);
    cr_assert_eq(sk_commit(&node, kept->bufs, kept->ids, KEPT, true, NULL), WEFT_OK);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, &peer, 1), WEFT_OK);
    cr_assert_eq(sk_follow(&node, &kept->tree, true, &peer, 1), WEFT_OK);
    number = tree_of(node.store, dag).t;
    kept_number = tree_of(node.store, kept).t;
    for (uint8_t i = 0; i < 3; i++) { /* one frame each: both trees have marks of three peers */
        struct wf_ingest *frame = sk_frame(&node, i + 1, 1, &dag->tree, dag->bufs, dag->ids, 1);
        frame->has_mark = true;
        frame->mark = mark;
        cr_assert_eq(sk_ingest(&node, frame)->err, WEFT_OK);
        frame = sk_frame(&node, i + 11, 1, &kept->tree, kept->bufs, kept->ids, 1);
        frame->has_mark = true;
        frame->mark = mark;
        cr_assert_eq(sk_ingest(&node, frame)->err, WEFT_OK);
    }
    sk_node_settle(&node);
    kept_rows = rm_rows_of(node.kv, kept_number);
    others = rm_rows_of(node.kv, 0);
}

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, COUNT, author, 3);
    kept = sk_dag_create(SK_WIDE, KEPT, author, 4);
    fill();
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(dag);
    sk_dag_destroy(kept);
    weft_keypair_destroy(author);
}

TestSuite(removal, .init = setup, .fini = teardown);

static weft_err ask_removal(const weft_id *tree)
{
    struct wf_remove *remove = wf_remove_create(tree);
    if (remove == NULL) return WEFT_NO_MEMORY;
    weft_request *back = NULL;
    bool taken = false;
    weft_err err = weft_call(node.addr, &remove->req, WEFT_NEVER, &back, &taken);
    if (back != NULL) weft_drop(&back->msg);
    else if (!taken) weft_drop(&remove->req.msg);
    return err;
}

/* Nobody sees anything of it, whatever rows there are yet. */
static void expect_absent(wf_store *store)
{
    wf_tree_info info, all[4];
    size_t count = 4;
    weft_buf *buf;
    wf_gen_walk *walk;
    wf_trie_view *view;
    weft_id tip;
    bool complete;
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_NOT_FOUND);
    cr_assert_eq(wf_store_tree_by_number(store, number, &info), WEFT_NOT_FOUND);
    cr_assert_eq(wf_store_trees(store, all, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(wf_gen_walk_create(store, number, 0, NULL, &walk), WEFT_NOT_FOUND);
    cr_assert_eq(wf_trie_view_open(store, number, &info, &view), WEFT_NOT_FOUND);
    cr_assert_eq(wf_store_tips(store, number, &tip, 1, &count, &complete), WEFT_NOT_FOUND);
    for (uint32_t i = 0; i < dag->count; i++) {
        wf_place place = {dag->gens[i], i + 1, dag->ids[i]};
        wf_meta_brief brief;
        cr_assert_eq(wf_store_get(store, &dag->ids[i], &buf), WEFT_NOT_FOUND, "entry %u", i);
        cr_assert_eq(wf_store_meta_brief(store, &dag->ids[i], &brief), WEFT_NOT_FOUND);
        cr_assert_eq(wf_store_get_at(store, number, &place, &buf), WEFT_NOT_FOUND);
    }
    struct wf_store_counters counters;
    wf_store_counters_read(store, &counters);
    cr_assert_eq(counters.damaged, 0, "nothing is asked of peers");
}

static void expect_kept(void)
{
    struct rm_rows now = rm_rows_of(node.kv, kept_number), rest = rm_rows_of(node.kv, 0);
    cr_assert(rm_same(&now, &kept_rows), "another tree has other rows than before");
    cr_assert(rm_same(&rest, &others), "records or policies have changed");
    sk_expect_dag(node.store, kept, NULL);
}

static void expect_gone(void)
{
    expect_absent(node.store);
    cr_assert(rm_is_gone(node.kv, number), "%llu rows are left",
              (unsigned long long)rm_rows_of(node.kv, number).count);
    expect_kept();
    sk_expect_clean(node.store);
}

/* -- What it does --------------------------------------------------------------------------- */

Test(removal, a_removed_tree_is_absent_at_once_and_its_rows_go)
{
    cr_assert_geq(rm_rows_of(node.kv, number).count, 7 * COUNT);
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    expect_absent(node.store);
    expect_kept();
    sk_expect_clean(node.store);
    sk_node_settle(&node);
    expect_gone();
    sk_node_crash(&node, 0);
    expect_gone();
    cr_assert_eq(ask_removal(&dag->tree), WEFT_NOT_FOUND);
}

Test(removal, older_code_refuses_the_store_from_then_on_and_not_before)
{
    const uint8_t key = WF_TREE_FORMAT;
    wf_value value;
    uint32_t before, after;
    cr_assert_eq(wf_kv_get(node.kv, NULL, WF_CF_TREE, &key, 1, &value), WEFT_OK);
    cr_assert_eq(wf_format_read(value.data, value.len, &before), WEFT_OK);
    wf_value_release(node.kv, &value);
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    cr_assert_eq(wf_kv_get(node.kv, NULL, WF_CF_TREE, &key, 1, &value), WEFT_OK);
    cr_assert_eq(wf_format_read(value.data, value.len, &after), WEFT_OK);
    wf_value_release(node.kv, &value);
    cr_expect_eq(before, WF_FORMAT_VERSION);
    cr_expect_eq(after, WF_FORMAT_REMOVED);
    cr_expect_eq(wf_store_format(node.store), WF_FORMAT_VERSION);
}

Test(removal, what_the_open_batch_has_of_the_tree_is_written_first_and_goes_with_it)
{
    weft_id id;
    sk_entry spec = {.tree = dag->tree, .parents = &dag->ids[0], .parents_count = 1, .height = 1};
    weft_buf *buf = sk_build(&spec, author, &id), *found;
    sk_send(&node, sk_frame(&node, 9, 1, &dag->tree, &buf, &id, 1));
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    cr_assert_eq(wf_store_get(node.store, &id, &found), WEFT_NOT_FOUND);
    sk_node_settle(&node);
    expect_gone();
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_TREE, "and no more comes");
    weft_buf_unref(buf);
}

/* A stream of before may end after it. */
Test(removal, no_mark_is_written_for_a_tree_that_is_not_here)
{
    const weft_key peer = {{5}};
    const wf_mark mark = {.seq = 9};
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(wf_writer_cursor(node.store, &peer, number, &mark), WEFT_OK);
    cr_assert_not(wf_writer_is_open(node.store));
}

Test(removal, records_are_in_its_batch_and_a_bad_one_is_refused_with_all_of_it)
{
    const uint8_t key = 0x90;
    uint8_t value[4];
    for (uint8_t good = 0; good <= 1; good++) {
        struct wf_remove *remove = wf_remove_create(&dag->tree);
        remove->records = wf_calloc(1, sizeof(*remove->records));
        remove->records_count = 1;
        remove->records[0] = wf_record_create(1);
        remove->records[0]->cf = WF_CF_PEER;
        remove->records[0]->key[0] = good ? key : 0x10;
        remove->records[0]->key_len = 1;
        weft_request *back = NULL;
        size_t len = sizeof value;
        cr_assert_eq(weft_call(node.addr, &remove->req, WEFT_NEVER, &back, NULL),
                     good ? WEFT_OK : WEFT_INVALID);
        weft_drop(&back->msg);
        cr_assert_eq(wf_store_record_get(node.store, WF_CF_PEER, &key, 1, value, &len),
                     good ? WEFT_OK : WEFT_NOT_FOUND);
        if (!good) sk_expect_dag(node.store, dag, NULL);
    }
    expect_absent(node.store);
}

static void put_on_shelf(const sk_dag *of)
{
    const weft_id lost = {{0x77}};
    weft_id id;
    sk_entry spec = {.tree = of->tree, .parents = &lost, .parents_count = 1, .height = 9};
    weft_buf *buf = sk_build(&spec, author, &id);
    struct wf_add add = {
        .bytes = weft_buf_bytes(buf), .len = (uint32_t)weft_buf_len(buf), .id = id};
    cr_assert_eq(wf_shelf_put(node.store, &add), WEFT_OK);
    cr_assert_eq(wf_writer_flush(node.store, true), WEFT_OK);
    wf_writer_clear(node.store);
    weft_buf_unref(buf);
}

Test(removal, what_waits_on_the_shelf_for_the_tree_goes_with_it)
{
    uint64_t count;
    put_on_shelf(dag);
    put_on_shelf(kept);
    sk_node_crash(&node, 0);
    cr_assert_eq(tree_of(node.store, dag).shelved, 1);
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    cr_expect_eq(wf_shelf_count(node.store, &dag->tree, &count), WEFT_OK);
    cr_expect_eq(count, 0);
    cr_expect_eq(wf_shelf_count(node.store, &kept->tree, &count), WEFT_OK);
    cr_expect_eq(count, 1);
    cr_expect_eq(wf_counter_get(&node.store->counters.shelved), 1);
    sk_node_settle(&node);
    expect_gone();
}

/* -- Taken up again --------------------------------------------------------------------------- */

static void take_up_again(uint8_t peer)
{
    struct wf_ingest *frame;
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    frame = sk_frame(&node, peer, 1, &dag->tree, dag->bufs, dag->ids, COUNT);
    frame = sk_ingest(&node, frame);
    cr_assert_eq(frame->err, WEFT_OK, "%s", weft_errname(frame->err));
    cr_assert_eq(frame->stored, COUNT);
}

Test(removal, a_tree_that_is_taken_up_again_is_a_new_one_also_while_the_old_one_goes)
{
    for (uint32_t late = 0; late <= 1; late++) {
        wf_tree_info before = tree_of(node.store, dag);
        uint64_t t = before.t;
        cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
        if (late) sk_node_settle(&node);
        take_up_again((uint8_t)(30 + late));
        wf_tree_info after = tree_of(node.store, dag);
        cr_assert_neq(after.t, t);
        cr_assert_neq(memcmp(after.epoch, before.epoch, sizeof before.epoch), 0);
        sk_expect_dag(node.store, dag, NULL);
        sk_node_settle(&node);
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        expect_kept();
        cr_assert(rm_is_gone(node.kv, t));
    }
    sk_node_crash(&node, 0);
    sk_expect_dag(node.store, dag, NULL);
    sk_expect_clean(node.store);
}

/* -- Slices ----------------------------------------------------------------------------------- */

/* The actor has nothing to do meanwhile, so a slice comes when the test says so. */
static void take_out_by_hand(void)
{
    struct wf_remove *remove = wf_remove_create(&dag->tree);
    cr_assert_eq(wf_writer_remove(node.store, remove), WEFT_OK);
    cr_assert_eq(wf_writer_flush(node.store, true), WEFT_OK);
    wf_writer_clear(node.store);
    weft_drop(&remove->req.msg);
}

static void put_all_by_hand(void)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        struct wf_add add = {.holder = dag->bufs[i],
                             .bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(node.store, &add), WEFT_OK);
        cr_assert_not(add.known);
    }
    cr_assert_eq(wf_writer_flush(node.store, true), WEFT_OK);
    wf_writer_clear(node.store);
}

static void again(void)
{
    sk_node_close(&node);
    fill();
}

/* With what the old one has left, and with what a slice is about to delete. */
Test(removal, taken_up_again_between_any_two_slices_it_is_whole)
{
    uint32_t steps = 0, before = 0;
    for (bool more = true; more; before++) {
        struct wf_removal removal = {0};
        again();
        take_out_by_hand();
        for (steps = 0; steps < before && more; steps++)
            cr_assert_eq(wf_removal_step(node.store, &removal, 16, &more), WEFT_OK);
        put_all_by_hand();
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        for (bool left = more; left;)
            cr_assert_eq(wf_removal_step(node.store, &removal, 16, &left), WEFT_OK);
        wf_removal_fini(&removal);
        cr_assert(rm_is_gone(node.kv, number));
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        expect_kept();
    }
    cr_assert_geq(before, 20);
}

/* By hand, a row at a time: between any two of them nothing is seen and nothing is wrong. */
Test(removal, between_any_two_slices_the_store_is_sound)
{
    struct wf_removal removal = {0};
    bool more = true;
    uint32_t steps = 0;
    take_out_by_hand();
    while (more) {
        uint64_t before = rm_rows_of(node.kv, number).count;
        cr_assert_eq(wf_removal_step(node.store, &removal, 7, &more), WEFT_OK);
        cr_assert_leq(before - rm_rows_of(node.kv, number).count, 14, "a slice is bounded");
        sk_expect_clean(node.store);
        expect_absent(node.store);
        expect_kept();
        steps++;
    }
    cr_assert_geq(steps, 6 * COUNT / 7);
    wf_removal_fini(&removal);
    expect_gone();
}

Test(removal, a_salvage_of_what_is_left_does_not_bring_the_tree_back)
{
    struct wf_removal removal = {0};
    wf_salvage_report report;
    bool more = true;
    take_out_by_hand();
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(wf_removal_step(node.store, &removal, 7, &more), WEFT_OK);
    wf_removal_fini(&removal);
    wf_kv *to;
    wf_store *saved;
    cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
    cr_assert_eq(wf_salvage(node.kv, to, node.rt, NULL, &report), WEFT_OK);
    cr_assert_eq(report.kept, KEPT);
    cr_assert_eq(wf_store_open(to, node.rt, &saved), WEFT_OK);
    wf_meta_brief brief;
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(wf_store_meta_brief(saved, &dag->ids[i], &brief), WEFT_NOT_FOUND);
    sk_expect_dag(saved, kept, NULL);
    wf_store_close(saved);
}

/* -- Crashes and failures --------------------------------------------------------------------- */

/* Whole, or on its way out; nothing between. Settles. */
static bool expect_one_of_both(void)
{
    wf_tree_info info;
    sk_expect_clean(node.store);
    bool here = wf_store_tree(node.store, &dag->tree, &info) == WEFT_OK;
    if (here) {
        sk_expect_dag(node.store, dag, NULL);
    } else {
        expect_absent(node.store);
        sk_node_settle(&node);
        expect_gone();
    }
    expect_kept();
    return here;
}

/* The engine stops at the n-th write, and the process with it; of what was not synced any number
 * of batches is left. */
Test(removal, a_crash_at_any_write_leaves_the_tree_or_takes_it)
{
    bool met = true;
    uint32_t removed = 0, stayed = 0;
    sk_quiet(true);
    for (uint64_t nth = 1; met; nth++) {
        size_t left = 0;
        for (size_t keep = 0; keep <= left; keep++) {
            again();
            wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
            weft_err err = ask_removal(&dag->tree);
            sk_node_settle(&node);
            met = !rm_is_gone(node.kv, number);
            left = wf_kv_memory_unsynced(node.kv);
            sk_node_crash(&node, keep);
            bool here = expect_one_of_both();
            cr_assert(!here || err != WEFT_OK, "write %llu: an answered removal is undone",
                      (unsigned long long)nth);
            stayed += here;
            removed += !here;
        }
    }
    sk_quiet(false);
    cr_assert_geq(stayed, 1);
    cr_assert_geq(removed, 10);
}

/* The floor of a disk refuses a batch and nothing else. */
Test(removal, a_refused_slice_is_tried_again)
{
    sk_quiet(true);
    for (uint64_t nth = 1; nth <= 12; nth++) {
        again();
        wf_kv_memory_fail_at(node.kv, nth, WEFT_NO_SPACE, false);
        weft_err err = ask_removal(&dag->tree);
        cr_assert_eq(err, nth == 1 ? WEFT_NO_SPACE : WEFT_OK);
        if (nth == 1) sk_expect_dag(node.store, dag, NULL);
        if (nth == 1) cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 130 * WEFT_SEC);
        expect_gone();
    }
    sk_quiet(false);
}

/* A failed engine is opened again, in place. */
Test(removal, it_goes_on_when_the_engine_was_opened_again)
{
    sk_quiet(true);
    for (uint64_t nth = 1; nth <= 12; nth++) {
        again();
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        (void)ask_removal(&dag->tree);
        sk_node_settle(&node);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 130 * WEFT_SEC);
        (void)expect_one_of_both();
    }
    sk_quiet(false);
}

Test(removal, short_memory_leaves_the_tree_or_takes_it)
{
    uint64_t asked = UINT64_MAX;
    uint32_t failed = 0;
    sk_quiet(true);
    for (uint64_t nth = 1; asked >= nth; nth++) {
        again();
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = ask_removal(&dag->tree);
        sk_node_settle(&node);
        asked = wf_alloc_fail_at(0, 0) + 1; /* fewer: it was not met */
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 130 * WEFT_SEC);
        bool here = expect_one_of_both();
        cr_assert_eq(here, err != WEFT_OK);
        failed += here;
    }
    sk_quiet(false);
    cr_assert_geq(failed, 2);
}
