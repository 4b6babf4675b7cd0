/* SPDX-License-Identifier: Apache-2.0
 * test_removal_again.c - numbers of removed trees come back, and nobody who had the old tree takes
 * the new one for it.
 * Called by: meson test. May touch: a store and its engine. Never: a real thread or disk. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "removal.h"
#include "removal_kit.h"
#include "salvage.h"
#include "store_kit.h"
#include "writer.h"

enum { TREES = 3, COUNT = 12 };

static weft_keypair *author;
static sk_node lender; /* of a runtime */
static sk_dag *dags[TREES];
static wf_kv *kv;
static wf_store *store;

static void setup(void)
{
    author = kit_pair(1);
    for (uint32_t i = 0; i < TREES; i++) dags[i] = sk_dag_create(SK_MERGES, COUNT, author, 3 + i);
    sk_node_open(&lender, 1);
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, lender.rt, &store), WEFT_OK);
}

static void teardown(void)
{
    wf_store_close(store);
    sk_node_close(&lender);
    for (uint32_t i = 0; i < TREES; i++) sk_dag_destroy(dags[i]);
    weft_keypair_destroy(author);
}

TestSuite(removal_again, .init = setup, .fini = teardown);

static void reopen(void)
{
    cr_assert_eq(wf_store_detach(store), kv);
    cr_assert_eq(wf_store_open(kv, lender.rt, &store), WEFT_OK);
}

static weft_err add(const sk_dag *dag, uint32_t i)
{
    struct wf_add add = {.holder = dag->bufs[i],
                         .bytes = weft_buf_bytes(dag->bufs[i]),
                         .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                         .id = dag->ids[i],
                         .create_tree = true};
    return wf_writer_add(store, &add);
}

static weft_err end_batch(void)
{
    weft_err err = wf_writer_flush(store, true);
    wf_writer_clear(store);
    return err;
}

static void put(const sk_dag *dag)
{
    for (uint32_t i = 0; i < COUNT; i++) cr_assert_eq(add(dag, i), WEFT_OK);
    cr_assert_eq(end_batch(), WEFT_OK);
}

static void take_out(const sk_dag *dag)
{
    struct wf_remove *remove = wf_remove_create(&dag->tree);
    cr_assert_eq(wf_writer_remove(store, remove), WEFT_OK);
    cr_assert_eq(end_batch(), WEFT_OK);
    weft_drop(&remove->req.msg);
}

/* At most so many slices. */
static void reap(uint32_t slices)
{
    struct wf_removal removal = {0};
    bool more = true;
    for (uint32_t i = 0; more && i < slices; i++)
        cr_assert_eq(wf_removal_step(store, &removal, 8, &more), WEFT_OK);
    wf_removal_fini(&removal);
}

static wf_tree_info info_of(const sk_dag *dag)
{
    wf_tree_info info = {0};
    (void)wf_store_tree(store, &dag->tree, &info);
    return info;
}

static uint64_t number(const sk_dag *dag) { return info_of(dag).t; }

/* Three trees, the second of which has been here and is wholly gone. */
static void gap(void)
{
    for (uint32_t i = 0; i < TREES; i++) put(dags[i]);
    take_out(dags[1]);
    reap(UINT32_MAX);
    cr_assert(rm_is_gone(kv, 2));
}

static void expect_sound(const sk_dag *dag)
{
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
}

/* -- When a number is free ---------------------------------------------------------------- */

Test(removal_again, a_number_is_free_at_the_next_opening_and_not_before)
{
    put(dags[0]);
    const wf_tree_info before = info_of(dags[0]);
    take_out(dags[0]);
    reap(UINT32_MAX);
    put(dags[1]);
    cr_expect_eq(number(dags[1]), 2);
    reopen();
    put(dags[2]);
    cr_expect_eq(number(dags[2]), before.t);
    cr_expect_eq(wf_store_trees_max(store), 2);
    cr_expect_neq(memcmp(info_of(dags[2]).epoch, before.epoch, sizeof before.epoch), 0);
    cr_expect_not(wf_store_is_removed(store, before.t));
    for (uint32_t round = 0; round < 2; round++) {
        cr_expect_not(wf_removed_is(kv, before.t), "nothing says so any more");
        expect_sound(dags[1]);
        expect_sound(dags[2]);
        reopen();
    }
    wf_meta_brief brief;
    for (uint32_t i = 0; i < COUNT; i++)
        cr_expect_eq(wf_store_meta_brief(store, &dags[0]->ids[i], &brief), WEFT_NOT_FOUND);
}

Test(removal_again, a_number_is_not_free_while_anything_of_its_tree_is_left)
{
    put(dags[0]);
    take_out(dags[0]);
    for (uint32_t slices = 0; !rm_is_gone(kv, 1); slices++) {
        reap(slices);
        reopen();
        if (rm_is_gone(kv, 1)) break;
        cr_assert_eq(add(dags[1], 0), WEFT_OK);
        cr_expect_eq(wf_trees_find(&store->trees, &dags[1]->tree)->now.t, 2, "%u slices", slices);
        store->poison = WEFT_CANCELED; /* it was only to see the number */
        cr_assert_eq(end_batch(), WEFT_CANCELED);
    }
    put(dags[1]);
    cr_expect_eq(number(dags[1]), 1);
    expect_sound(dags[1]);
}

Test(removal_again, the_lowest_number_is_given_first_and_then_new_ones)
{
    gap();
    take_out(dags[0]);
    reap(UINT32_MAX);
    reopen();
    cr_assert_eq(wf_trees_room(&store->trees), WEFT_TREES_MAX - 1);
    put(dags[1]);
    put(dags[0]);
    cr_expect_eq(number(dags[1]), 1);
    cr_expect_eq(number(dags[0]), 2);
    cr_expect_eq(number(dags[2]), 3);
    for (uint32_t i = 0; i < TREES; i++) expect_sound(dags[i]);
    reopen();
    for (uint32_t i = 0; i < TREES; i++) expect_sound(dags[i]);
}

Test(removal_again, trees_that_come_and_go_do_not_use_numbers_up)
{
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < TREES; i++) put(dags[i]);
        for (uint32_t i = 0; i < TREES; i++) take_out(dags[(i + round) % TREES]);
        reap(UINT32_MAX);
        reopen();
    }
    cr_expect_eq(wf_store_trees_max(store), TREES);
    cr_expect_eq(wf_trees_room(&store->trees), WEFT_TREES_MAX);
    sk_expect_clean(store);
}

/* -- Failures ------------------------------------------------------------------------------- */

static void expect_free_still(void)
{
    wf_tree_info info;
    cr_expect(rm_is_gone(kv, 2));
    cr_expect(wf_store_is_removed(store, 2));
    cr_expect_eq(wf_store_tree(store, &dags[1]->tree, &info), WEFT_NOT_FOUND);
    cr_expect_eq(wf_store_tree_by_number(store, 2, &info), WEFT_NOT_FOUND);
    expect_sound(dags[0]);
    expect_sound(dags[2]);
}

Test(removal_again, a_batch_that_was_refused_leaves_the_number_free)
{
    gap();
    reopen();
    for (uint32_t round = 0; round < 2; round++) {
        wf_kv_memory_fail_at(kv, 1, WEFT_NO_SPACE, false);
        for (uint32_t i = 0; i < COUNT; i++) cr_assert_eq(add(dags[1], i), WEFT_OK);
        cr_assert_eq(end_batch(), WEFT_NO_SPACE);
        expect_free_still();
        if (round == 1) reopen();
    }
    put(dags[1]);
    cr_expect_eq(number(dags[1]), 2);
    for (uint32_t i = 0; i < TREES; i++) expect_sound(dags[i]);
}

/* The memory engine keeps a batch whose write failed when it is opened again, and a crash forgets
 * it. */
Test(removal_again, a_batch_that_failed_has_given_the_number_or_has_not)
{
    for (uint32_t there = 0; there <= 1; there++) {
        if (there == 0) gap();
        reopen();
        wf_kv_memory_fail_at(kv, 1, WEFT_IO, true);
        for (uint32_t i = 0; i < COUNT; i++) cr_assert_eq(add(dags[1], i), WEFT_OK);
        cr_assert_eq(end_batch(), WEFT_IO);
        if (there) wf_kv_memory_fail_at(kv, 0, WEFT_OK, false);
        else wf_kv_memory_crash(kv, 0);
        cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
        cr_assert_eq(wf_store_reload(store), WEFT_OK);
        if (!there) expect_free_still();
        cr_expect_eq(store->rights_unknown, 0);
    }
    cr_assert_eq(number(dags[1]), 2);
    for (uint32_t i = 0; i < TREES; i++) expect_sound(dags[i]);
    take_out(dags[1]);
    reap(UINT32_MAX);
    cr_expect(rm_is_gone(kv, 2));
    reopen();
    put(dags[1]);
    cr_expect_eq(number(dags[1]), 2);
}

Test(removal_again, short_memory_leaves_the_number_free_or_gives_it)
{
    uint32_t failed = 0;
    sk_quiet(true);
    gap();
    for (uint64_t nth = 1;; nth++) {
        wf_kv_memory_fail_at(kv, 0, WEFT_OK, false); /* as an engine that was opened again */
        reopen();
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = add(dags[1], 0);
        weft_err end = end_batch();
        bool met = wf_alloc_fail_at(0, 0) >= nth;
        bool here = number(dags[1]) != 0;
        cr_assert(here ? err == WEFT_OK && end == WEFT_OK : met, "allocation %llu: %s, %s",
                  (unsigned long long)nth, weft_errname(err), weft_errname(end));
        if (here) cr_assert_eq(number(dags[1]), 2);
        else expect_free_still();
        failed += !here;
        if (!met) break;
        if (!here) continue;
        take_out(dags[1]);
        reap(UINT32_MAX);
    }
    cr_expect_geq(failed, 3);
    sk_quiet(false);
}

/* -- Who had the old one ---------------------------------------------------------------------- */

/* A session had begun with the old tree: what it sends is of no use to the new one, and its mark
 * would say that the new one has what only the old one had. */
Test(removal_again, a_frame_for_the_old_tree_is_not_taken_for_the_new_one)
{
    sk_node node;
    const wf_mark mark = {.seq = COUNT};
    wf_mark kept;
    sk_node_open(&node, 2);
    cr_assert_eq(sk_commit(&node, dags[0]->bufs, dags[0]->ids, COUNT, true, NULL), WEFT_OK);
    wf_tree_info before, after;
    cr_assert_eq(wf_store_tree(node.store, &dags[0]->tree, &before), WEFT_OK);
    struct wf_remove *remove = wf_remove_create(&dags[0]->tree);
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &remove->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    cr_assert_eq(sk_follow(&node, &dags[0]->tree, true, NULL, 0), WEFT_OK);
    cr_assert_eq(wf_store_tree(node.store, &dags[0]->tree, &after), WEFT_OK);
    for (uint32_t late = 0; late <= 1; late++) {
        struct wf_ingest *frame = sk_frame(&node, (uint8_t)(1 + late), 1, &dags[0]->tree,
                                           dags[0]->bufs, dags[0]->ids, late == 0 ? COUNT : 1);
        frame->t = late ? before.t : after.t;
        frame->has_mark = true;
        frame->mark = mark;
        frame = sk_ingest(&node, frame);
        weft_key peer = frame->source.peer;
        cr_expect_eq(frame->err, late ? WEFT_TREE : WEFT_OK);
        cr_expect_eq(frame->stored, late ? 0 : COUNT);
        cr_expect_eq(wf_store_cursor(node.store, &peer, after.t, &kept),
                     late ? WEFT_NOT_FOUND : WEFT_OK);
    }
    sk_node_close(&node);
}

/* -- A salvage ------------------------------------------------------------------------------- */

static size_t read_row(enum wf_cf cf, const uint8_t *key, uint8_t out[64])
{
    wf_value value;
    if (wf_kv_get(kv, NULL, cf, key, WF_KEY_TREE_BYTES, &value) != WEFT_OK) return 0;
    size_t len = value.len;
    cr_assert_leq(len, 64);
    memcpy(out, value.data, len);
    wf_value_release(kv, &value);
    return len;
}

/* Of a store whose log is damaged that batch may be lost, and what came after it is there. */
Test(removal_again, a_salvage_without_the_batch_that_gave_the_number_again_keeps_the_new_tree)
{
    static const enum wf_cf cfs[] = {WF_CF_TREE, WF_CF_PEER};
    uint8_t keys[2][WF_KEY_TREE_BYTES], rows[2][64], record[WF_KEY_TREE_BYTES];
    size_t lens[2];
    wf_kv *to;
    wf_batch *batch;
    wf_salvage_report report;
    gap();
    reopen();
    wf_key_tree(keys[0], WF_TREE_REMOVED, 2);
    wf_key_removed(keys[1], 2);
    for (uint32_t i = 0; i < 2; i++) lens[i] = read_row(cfs[i], keys[i], rows[i]);
    cr_assert_gt(lens[0], 0);
    put(dags[1]);
    cr_assert_eq(number(dags[1]), 2);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (uint32_t i = 0; i < 2; i++)
        if (lens[i] > 0) wf_batch_put(batch, cfs[i], keys[i], sizeof keys[i], rows[i], lens[i]);
    wf_key_tree(record, WF_TREE_RECORD, 2);
    wf_batch_delete(batch, WF_CF_TREE, record, sizeof record);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
    cr_assert_eq(wf_salvage(kv, to, lender.rt, NULL, &report), WEFT_OK);
    cr_expect_eq(report.kept, TREES * COUNT);
    wf_kv_close(to);
}
