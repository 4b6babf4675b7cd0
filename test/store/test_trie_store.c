/* SPDX-License-Identifier: Apache-2.0
 * test_trie_store.c - the trie that the writer keeps, against one built from nothing; what
 * is read from it, what that costs, and what failures leave.
 * Called by: meson test. May touch: the engine behind the store's back. Never: a disk. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "store_kit.h"
#include "trie_kit.h"
#include "writer.h"

static weft_keypair *author;
static sk_node node; /* lends its runtime */

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
}

static void teardown(void)
{
    sk_node_close(&node);
    weft_keypair_destroy(author);
}

TestSuite(trie_store, .init = setup, .fini = teardown);

/* -- A store that takes a history in some order ------------------------------------------- */

struct shop {
    wf_kv *kv, *inner;
    wf_store *store;
    const sk_dag *dag;
    uint32_t *order; /* of the entries: parents before children */
    struct wf_trie_key *keys;
    uint32_t count; /* keys of what was written, ascending */
};

static void open_store(struct shop *s)
{
    cr_assert_eq(wf_store_open(s->kv, node.rt, &s->store), WEFT_OK);
}

/* A random order that has parents first. */
static void shuffle(struct shop *s, uint64_t seed)
{
    const sk_dag *dag = s->dag;
    kit_random r = {seed};
    uint64_t *rank = calloc(dag->count, sizeof *rank);
    for (uint32_t i = 1; i < dag->count; i++) {
        rank[i] = kit_next(&r) >> 20;
        for (uint32_t p = 0; p < dag->parents_count[i]; p++)
            if (rank[dag->parents[i][p]] >= rank[i])
                rank[i] = rank[dag->parents[i][p]] + 1 + kit_below(&r, 1u << 30);
    }
    for (uint32_t i = 0; i < dag->count; i++) { /* ascending by (rank, i) */
        uint32_t at = i;
        for (; at > 0 && rank[s->order[at - 1]] > rank[i]; at--) s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
    free(rank);
}

/* seed 0: in the order in which it was made. */
static void shop_open(struct shop *s, const sk_dag *dag, uint64_t seed)
{
    *s = (struct shop){.dag = dag};
    s->order = calloc(dag->count, sizeof *s->order);
    s->keys = calloc(dag->count, sizeof *s->keys);
    for (uint32_t i = 0; i < dag->count; i++) s->order[i] = i;
    if (seed != 0) shuffle(s, seed);
    cr_assert_eq(wf_kv_memory_open(&s->inner), WEFT_OK);
    s->kv = kv_faulty_create(s->inner);
    open_store(s);
}

static void shop_close(struct shop *s)
{
    wf_store_close(s->store);
    free(s->order);
    free(s->keys);
}

/* The next `count` entries into the open batch. */
static void add(struct shop *s, uint32_t count)
{
    for (uint32_t i = s->count; i < s->count + count; i++) {
        uint32_t which = s->order[i];
        struct wf_add add = {.bytes = weft_buf_bytes(s->dag->bufs[which]),
                             .len = (uint32_t)weft_buf_len(s->dag->bufs[which]),
                             .id = s->dag->ids[which],
                             .create_tree = true};
        weft_err err = wf_writer_add(s->store, &add);
        cr_assert_eq(err, WEFT_OK, "entry %u: %s", i, weft_errname(err));
    }
}

static void was_written(struct shop *s, uint32_t count)
{
    for (uint32_t i = s->count; i < s->count + count; i++)
        s->keys[i] = (struct wf_trie_key){s->dag->gens[s->order[i]], s->dag->ids[s->order[i]]};
    s->count += count;
    tk_sort(s->keys, s->count);
}

static weft_err flush(struct shop *s)
{
    weft_err err = wf_writer_flush(s->store, true);
    wf_writer_clear(s->store);
    return err;
}

static void write_next(struct shop *s, uint32_t count)
{
    add(s, count);
    cr_assert_eq(flush(s), WEFT_OK);
    was_written(s, count);
}

static void write_all(struct shop *s, uint32_t batch)
{
    while (s->count < s->dag->count) {
        uint32_t left = s->dag->count - s->count;
        write_next(s, left < batch ? left : batch);
    }
}

/* -- What must be there --------------------------------------------------------------------- */

static void expect_root(struct shop *s)
{
    struct wf_trie_slot got, want;
    wf_tree_info info;
    tk_slot(s->keys, s->count, 0, &want);
    cr_assert_eq(wf_store_trie_root(s->store, 1, &got, &info), WEFT_OK);
    cr_assert_eq(info.count, s->count);
    tk_expect_slot(&got, &want, "the root");
}

/* Record by record what a building from nothing makes of the keys, and nothing else. */
static void expect_rebuilt(struct shop *s)
{
    struct tk_records records;
    uint8_t root[32];
    uint32_t found = 0;
    wf_kv_iter *it;
    tk_build(s->keys, s->count, 1, &records, root);
    for (uint32_t i = 0; i < records.count; i++) {
        const struct tk_record *record = &records.list[i];
        wf_value value;
        weft_err err = wf_kv_get(s->kv, NULL, WF_CF_TRIE, record->key, record->key_len, &value);
        cr_assert_eq(err, WEFT_OK, "record %u is missing", i);
        cr_assert_eq(value.len, record->len);
        cr_assert_arr_eq(value.data, record->value, record->len, "record %u", i);
        wf_value_release(s->kv, &value);
    }
    cr_assert_eq(wf_kv_iter_create(s->kv, NULL, WF_CF_TRIE, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) found++;
    wf_kv_iter_destroy(it);
    cr_assert_eq(found, records.count, "%u records, %u belong there", found, records.count);
    tk_records_free(&records);
    expect_root(s);
}

static void expect_ranges(struct shop *s, uint64_t seed)
{
    kit_random r = {seed};
    uint64_t max_gen = s->keys[s->count - 1].gen;
    wf_trie_view *view;
    wf_tree_info info;
    cr_assert_eq(wf_trie_view_open(s->store, 1, &info, &view), WEFT_OK);
    for (unsigned i = 0; i < 64; i++) {
        struct wf_trie_slot got, want;
        uint64_t lo = kit_next(&r) % (max_gen + 2), hi = lo + kit_next(&r) % (max_gen + 2);
        if (i % 16 == 0) hi = UINT64_MAX;
        if (i % 16 == 1) lo = 0;
        tk_range(s->keys, s->count, lo, hi, &want);
        cr_assert_eq(wf_trie_view_range(view, lo, hi, &got), WEFT_OK);
        tk_expect_slot(&got, &want, "a range");
    }
    wf_trie_view_close(view);
}

/* -- The same as from nothing --------------------------------------------------------------- */

static void compare_with_rebuilt(enum sk_shape shape)
{
    static const uint32_t batches[] = {1, 7, 100, 1000};
    sk_dag *dag = sk_dag_create(shape, 700, author, 11);
    for (unsigned i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct shop s;
        shop_open(&s, dag, i);
        for (unsigned round = 0; s.count < dag->count; round++) {
            uint32_t left = dag->count - s.count;
            write_next(&s, left < batches[i] ? left : batches[i]);
            if (batches[i] > 1 || round % 50 == 0) expect_root(&s);
        }
        expect_rebuilt(&s);
        expect_ranges(&s, 5 + i);
        shop_close(&s);
    }
    sk_dag_destroy(dag);
}

Test(trie_store, a_chain_in_any_batches_is_as_if_built_at_once) { compare_with_rebuilt(SK_CHAIN); }
Test(trie_store, a_wide_history_is_as_if_built_at_once) { compare_with_rebuilt(SK_WIDE); }
Test(trie_store, a_star_is_as_if_built_at_once) { compare_with_rebuilt(SK_STAR); }
Test(trie_store, a_scattered_history_is_as_if_built_at_once) { compare_with_rebuilt(SK_MERGES); }

Test(trie_store, a_store_that_is_opened_again_goes_on_from_what_it_wrote)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 600, author, 3);
    struct shop s;
    shop_open(&s, dag, 4);
    while (s.count < dag->count) {
        write_next(&s, 60);
        s.kv = wf_store_detach(s.store);
        open_store(&s);
        expect_root(&s);
    }
    expect_rebuilt(&s);
    shop_close(&s);
    sk_dag_destroy(dag);
}

Test(trie_store, equal_sets_have_one_root_and_unequal_ones_differ_where_they_do)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, 500, author, 9);
    struct shop a, b;
    struct wf_trie_slot x, y;
    wf_tree_info info;
    shop_open(&a, dag, 0);
    shop_open(&b, dag, 77);
    write_all(&a, 13);
    write_next(&b, 499);
    cr_assert_eq(wf_store_trie_root(a.store, 1, &x, &info), WEFT_OK);
    cr_assert_eq(wf_store_trie_root(b.store, 1, &y, &info), WEFT_OK);
    cr_assert_neq(memcmp(x.digest, y.digest, sizeof x.digest), 0);
    uint64_t missing = dag->gens[b.order[499]];
    cr_assert_eq(wf_store_range(a.store, 1, missing, missing + 1, &x), WEFT_OK);
    cr_assert_eq(wf_store_range(b.store, 1, missing, missing + 1, &y), WEFT_OK);
    cr_assert_neq(memcmp(x.digest, y.digest, sizeof x.digest), 0);
    cr_assert_eq(wf_store_range(a.store, 1, 0, missing, &x), WEFT_OK);
    cr_assert_eq(wf_store_range(b.store, 1, 0, missing, &y), WEFT_OK);
    tk_expect_slot(&x, &y, "what lies before");
    write_next(&b, 1);
    cr_assert_eq(wf_store_trie_root(a.store, 1, &x, &info), WEFT_OK);
    cr_assert_eq(wf_store_trie_root(b.store, 1, &y, &info), WEFT_OK);
    tk_expect_slot(&x, &y, "the same entries in another order");
    shop_close(&a);
    shop_close(&b);
    sk_dag_destroy(dag);
}

Test(trie_store, two_trees_of_one_batch_have_a_root_each)
{
    sk_dag *one = sk_dag_create(SK_WIDE, 90, author, 1),
           *two = sk_dag_create(SK_STAR, 90, author, 2);
    struct shop s, other;
    shop_open(&s, one, 0);
    shop_open(&other, two, 0);
    wf_store_close(other.store);
    other.store = s.store;
    for (uint32_t i = 0; i < 3; i++) {
        add(&s, 30);
        add(&other, 30);
        cr_assert_eq(flush(&s), WEFT_OK);
        was_written(&s, 30);
        was_written(&other, 30);
    }
    struct wf_trie_slot got, want;
    wf_tree_info info;
    expect_root(&s);
    tk_slot(other.keys, other.count, 0, &want);
    cr_assert_eq(wf_store_trie_root(s.store, 2, &got, &info), WEFT_OK);
    tk_expect_slot(&got, &want, "the other tree");
    shop_close(&s);
    free(other.order);
    free(other.keys);
    sk_dag_destroy(one);
    sk_dag_destroy(two);
}

/* -- Parts ------------------------------------------------------------------------------------- */

Test(trie_store, a_prefix_splits_into_what_follows_it)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 900, author, 6);
    struct shop s;
    kit_random r = {8};
    shop_open(&s, dag, 0);
    write_all(&s, 300);
    for (unsigned round = 0; round < 200; round++) {
        struct wf_trie_prefix prefix = {0, s.keys[kit_below(&r, s.count)]};
        struct wf_trie_slot got[16], want[16] = {0};
        prefix.depth = kit_below(&r, 8);
        for (uint32_t from = 0, to; from < s.count; from = to) {
            to = from + 1;
            if (!wf_trie_in(&prefix, &s.keys[from])) continue;
            unsigned digit = wf_trie_digit(&s.keys[from], prefix.depth);
            struct wf_trie_prefix part = {prefix.depth + 1, s.keys[from]};
            while (to < s.count && wf_trie_in(&part, &s.keys[to])) to++;
            tk_slot(s.keys + from, to - from, part.depth, &want[digit]);
        }
        cr_assert_eq(wf_store_range_split(s.store, 1, &prefix, got), WEFT_OK);
        for (unsigned i = 0; i < 16; i++) tk_expect_slot(&got[i], &want[i], "a part");
    }
    struct wf_trie_prefix whole = {wf_trie_digits(&s.keys[0]), s.keys[0]};
    struct wf_trie_slot out[16];
    cr_assert_eq(wf_store_range_split(s.store, 1, &whole, out), WEFT_INVALID);
    shop_close(&s);
    sk_dag_destroy(dag);
}

Test(trie_store, a_tree_without_entries_has_the_digest_zero)
{
    struct wf_follow *follow;
    struct wf_trie_slot slot = {.count = 1}, parts[16];
    struct wf_trie_prefix all = {0};
    wf_tree_info info;
    weft_id tree = kit_id(9), zero = {{0}};
    wf_kv *kv;
    wf_store *store;
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    cr_assert_eq(wf_store_trie_root(store, 1, &slot, &info), WEFT_NOT_FOUND);
    cr_assert_eq(wf_store_range(store, 1, 0, 5, &slot), WEFT_NOT_FOUND);
    follow = wf_follow_create(&tree, NULL, 0);
    follow->follow = true;
    cr_assert_eq(wf_writer_follow(store, follow), WEFT_OK);
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
    weft_drop(&follow->req.msg);
    cr_assert_eq(wf_store_trie_root(store, 1, &slot, &info), WEFT_OK);
    cr_assert_eq(slot.count, 0);
    cr_assert_arr_eq(slot.digest, zero.bytes, sizeof zero.bytes);
    cr_assert_eq(wf_store_range(store, 1, 0, 5, &slot), WEFT_OK);
    cr_assert_eq(slot.count, 0);
    cr_assert_eq(wf_store_range_split(store, 1, &all, parts), WEFT_OK);
    for (unsigned i = 0; i < 16; i++) cr_assert_eq(parts[i].count, 0);
    wf_store_close(store);
}

/* -- What it costs ------------------------------------------------------------------------------ */

static uint64_t most_reads_of_a_range(const sk_dag *dag)
{
    struct shop s;
    kit_random r = {1};
    uint64_t most = 0;
    shop_open(&s, dag, 0);
    write_all(&s, 500);
    uint64_t max_gen = s.keys[s.count - 1].gen;
    for (unsigned i = 0; i < 200; i++) {
        struct wf_trie_slot slot;
        uint64_t lo = kit_next(&r) % (max_gen + 1), hi = lo + 1 + kit_next(&r) % (max_gen + 1);
        uint64_t before = kv_faulty_reads(s.kv);
        cr_assert_eq(wf_store_range(s.store, 1, lo, hi, &slot), WEFT_OK);
        uint64_t reads = kv_faulty_reads(s.kv) - before;
        if (reads > most) most = reads;
    }
    uint64_t before = kv_faulty_reads(s.kv);
    struct wf_trie_slot root;
    wf_tree_info info;
    cr_assert_eq(wf_store_trie_root(s.store, 1, &root, &info), WEFT_OK);
    cr_assert_eq(kv_faulty_reads(s.kv), before, "the root is kept");
    shop_close(&s);
    return most;
}

/* Two for counts and top, two nodes for each digit of a gen, and two buckets key by key. */
Test(trie_store, a_range_costs_reads_by_the_digits_of_gen_and_not_by_entries)
{
    for (enum sk_shape shape = SK_CHAIN; shape <= SK_WIDE; shape++) {
        sk_dag *small = sk_dag_create(shape, 2000, author, 3);
        sk_dag *large = sk_dag_create(shape, 20000, author, 3);
        uint64_t least = most_reads_of_a_range(small), most = most_reads_of_a_range(large);
        cr_assert_leq(least, 2 + 2 * 4 + 2 * (WF_TRIE_BUCKET + 2), "%llu reads",
                      (unsigned long long)least);
        cr_assert_leq(most, 2 + 2 * 6 + 2 * (WF_TRIE_BUCKET + 2), "%llu reads",
                      (unsigned long long)most);
        sk_dag_destroy(small);
        sk_dag_destroy(large);
    }
}

/* -- Failures -------------------------------------------------------------------------------------- */

Test(trie_store, a_read_that_fails_while_a_batch_is_written_leaves_no_trace)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 400, author, 3);
    struct shop s;
    shop_open(&s, dag, 5);
    write_next(&s, 340);
    sk_quiet(true);
    uint64_t nth = 1;
    for (;; nth++) {
        s.kv = wf_store_detach(s.store);
        open_store(&s);
        add(&s, 60);
        kv_faulty_fail_at(s.kv, nth, WEFT_IO);
        weft_err err = flush(&s);
        bool met = kv_faulty_met(s.kv);
        kv_faulty_fail_at(s.kv, 0, WEFT_OK);
        cr_assert_eq(err, met ? WEFT_IO : WEFT_OK, "read %llu", (unsigned long long)nth);
        if (!met) break;
        expect_root(&s);
    }
    cr_assert_gt(nth, 20, "the batch was to read");
    was_written(&s, 60);
    expect_rebuilt(&s);
    sk_quiet(false);
    shop_close(&s);
    sk_dag_destroy(dag);
}

Test(trie_store, want_of_memory_while_a_batch_is_written_leaves_no_trace)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 260, author, 3);
    uint64_t nth = 1, asked;
    sk_quiet(true);
    do {
        struct shop s;
        shop_open(&s, dag, 5);
        write_next(&s, 100);
        s.kv = wf_store_detach(s.store);
        open_store(&s);
        add(&s, 160);
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = flush(&s);
        asked = wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        if (err == WEFT_OK) was_written(&s, 160);
        expect_root(&s);
        if (wf_kv_failed(s.inner) == WEFT_OK) { /* else the engine was short: test_kv_memory.c */
            if (err != WEFT_OK) write_next(&s, 160);
            expect_rebuilt(&s);
        }
        shop_close(&s);
    } while (asked >= nth++); /* until the failure was not met */
    cr_assert_gt(nth, 5);
    sk_quiet(false);
    sk_dag_destroy(dag);
}

Test(trie_store, a_batch_that_was_refused_leaves_no_trace)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, 260, author, 3);
    struct shop s;
    shop_open(&s, dag, 0);
    write_next(&s, 200);
    sk_quiet(true);
    add(&s, 60);
    wf_kv_memory_fail_at(s.inner, 1, WEFT_NO_SPACE, false);
    cr_assert_eq(flush(&s), WEFT_NO_SPACE);
    expect_root(&s);
    write_next(&s, 60);
    expect_rebuilt(&s);
    sk_quiet(false);
    shop_close(&s);
    sk_dag_destroy(dag);
}

/* The engine keeps the batch whose writing failed: what a reload finds is where it goes on. */
Test(trie_store, a_batch_that_landed_after_all_is_in_the_root)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, 300, author, 3);
    struct shop s;
    shop_open(&s, dag, 0);
    write_next(&s, 200);
    sk_quiet(true);
    add(&s, 60);
    wf_kv_memory_fail_at(s.inner, 1, WEFT_IO, true);
    cr_assert_eq(flush(&s), WEFT_IO);
    expect_root(&s);
    wf_kv_memory_fail_at(s.inner, 0, WEFT_OK, false);
    cr_assert_eq(wf_kv_reopen(s.inner), WEFT_OK);
    cr_assert_eq(wf_store_reload(s.store), WEFT_OK);
    was_written(&s, 60);
    expect_root(&s);
    write_next(&s, 40);
    expect_rebuilt(&s);
    sk_quiet(false);
    shop_close(&s);
    sk_dag_destroy(dag);
}

/* -- Damage ------------------------------------------------------------------------------------------ */

static void remove_records(struct shop *s, bool tops)
{
    wf_batch *batch;
    wf_kv_iter *it;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(s->kv, NULL, WF_CF_TRIE, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if ((key[8] == WF_TRIE_TOP) == tops) wf_batch_delete(batch, WF_CF_TRIE, key, len);
    }
    wf_kv_iter_destroy(it);
    cr_assert_gt(wf_batch_count(batch), 0);
    cr_assert_eq(wf_kv_write(s->inner, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

static void damaged(bool tops)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, 300, author, 3);
    struct shop s;
    struct wf_trie_slot slot;
    wf_tree_info info;
    weft_buf *body;
    shop_open(&s, dag, 0);
    write_next(&s, 200);
    s.kv = wf_store_detach(s.store);
    remove_records(&s, tops);
    open_store(&s);
    sk_quiet(true);
    add(&s, 60);
    cr_assert_eq(flush(&s), WEFT_CORRUPT, "nothing is built on what is damaged");
    cr_assert_eq(wf_store_trie_root(s.store, 1, &slot, &info), tops ? WEFT_CORRUPT : WEFT_OK);
    cr_assert_eq(wf_store_range(s.store, 1, 3, 9, &slot), WEFT_CORRUPT);
    sk_quiet(false);
    cr_assert_eq(wf_store_get(s.store, &dag->ids[100], &body), WEFT_OK);
    weft_buf_unref(body);
    shop_close(&s);
    sk_dag_destroy(dag);
}

Test(trie_store, without_its_top_a_trie_answers_corrupt_and_entries_can_be_read) { damaged(true); }
Test(trie_store, without_its_nodes_a_trie_answers_corrupt_and_entries_can_be_read)
{
    damaged(false);
}

/* -- Readers while the writer writes ------------------------------------------------------------------- */

Test(trie_store, a_view_stays_as_it_was_opened)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, 400, author, 3);
    struct shop s;
    wf_trie_view *view;
    wf_tree_info info;
    struct wf_trie_slot before, after, want;
    shop_open(&s, dag, 0);
    write_next(&s, 200);
    cr_assert_eq(wf_trie_view_open(s.store, 1, &info, &view), WEFT_OK);
    tk_range(s.keys, s.count, 2, 1000, &want);
    tk_slot(s.keys, s.count, 0, &before);
    write_next(&s, 200);
    cr_assert_eq(wf_trie_view_range(view, 2, 1000, &after), WEFT_OK);
    tk_expect_slot(&after, &want, "the range");
    wf_trie_view_root(view, &after);
    tk_expect_slot(&after, &before, "the root");
    wf_trie_view_close(view);
    expect_ranges(&s, 3);
    shop_close(&s);
    sk_dag_destroy(dag);
}

struct reader {
    wf_store *store;
    atomic_bool stop;
    uint64_t rounds, wrong;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    do {
        wf_trie_view *view;
        wf_tree_info info, now;
        struct wf_trie_slot slot, root;
        bool good = wf_trie_view_open(r->store, 1, &info, &view) == WEFT_OK;
        if (good) {
            good = wf_trie_view_range(view, 1, UINT64_MAX, &slot) == WEFT_OK &&
                   slot.count + 1 == info.count;
            wf_trie_view_close(view);
        }
        good = good && wf_store_trie_root(r->store, 1, &root, &now) == WEFT_OK &&
               root.count == now.count;
        r->wrong += !good;
        r->rounds++;
    } while (!atomic_load(&r->stop) && r->rounds < 100000);
    return NULL;
}

Test(trie_store, readers_see_whole_batches_while_the_writer_writes)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 1000, author, 3);
    struct shop s;
    shop_open(&s, dag, 0);
    wf_store_close(s.store); /* without the counting of reads, which is for one thread */
    cr_assert_eq(wf_kv_memory_open(&s.kv), WEFT_OK);
    open_store(&s);
    write_next(&s, 50);
    struct reader reader = {.store = s.store};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, read_on, &reader), 0);
    while (s.count < dag->count) write_next(&s, 10);
    atomic_store(&reader.stop, true);
    pthread_join(thread, NULL);
    cr_assert_gt(reader.rounds, 0);
    cr_assert_eq(reader.wrong, 0);
    expect_rebuilt(&s);
    shop_close(&s);
    sk_dag_destroy(dag);
}
