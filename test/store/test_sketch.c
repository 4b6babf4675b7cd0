/* SPDX-License-Identifier: Apache-2.0
 * test_sketch.c - a set of entries has one sketch, and two that differ by little give away
 * what they differ by. Called by: meson test. May touch: the memory engine.
 * Never: a disk. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "layout.h"
#include "store_kit.h"

/* The n-th id of docs/store.md: BLAKE2b-256 of n as 8 bytes. */
static weft_id nth(uint64_t n)
{
    uint8_t bytes[8];
    weft_id id;
    wf_put64(bytes, n);
    wf_blake2b_256(bytes, sizeof bytes, id.bytes);
    return id;
}

static void digest_of(const struct wf_sketch *sketch, char out[65])
{
    uint8_t bytes[WF_SKETCH_BYTES], hash[32];
    wf_sketch_write(sketch, bytes);
    wf_blake2b_256(bytes, sizeof bytes, hash);
    for (unsigned i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static struct wf_sketch sketch_of(uint64_t from, uint64_t to)
{
    struct wf_sketch sketch = {0};
    for (uint64_t n = from; n < to; n++) {
        weft_id id = nth(n);
        wf_sketch_add(&sketch, &id);
    }
    return sketch;
}

/* Worked out by a program that shares no code with this one: sketch_other.py. */
Test(sketch, the_golden_sets_have_their_cells)
{
    static const struct {
        uint64_t entries;
        const char *digest;
    } golden[] = {{1, "b47d1c64e1277775aaea94079c1ebb72f2339f2cc7ddf0452c1781b2fa053f62"},
                  {2, "a6df604373f1a58bfcb3014e31b9769e3e2e206f4dcdb13b11cd48b56f20f048"},
                  {100, "40e02d4c6e26a62bf2d2b57a0540a00bc463daf5f6a26bc9d3849f935cb1b4b7"},
                  {10000, "70b641aedcb500b1c4f8e67ed169490fa84428449b18b8a20acdda4dbe1ac071"}};
    char digest[65];
    for (unsigned i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct wf_sketch sketch = sketch_of(0, golden[i].entries);
        digest_of(&sketch, digest);
        cr_expect_str_eq(digest, golden[i].digest, "%lu entries", (unsigned long)golden[i].entries);
    }
}

Test(sketch, an_id_is_in_the_first_cell_and_in_seven_of_the_others_on_average)
{
    struct wf_sketch sketch = sketch_of(0, 10000);
    uint64_t all = 0;
    cr_assert_eq(sketch.cells[0].count, 10000);
    for (uint32_t i = 0; i < WF_SKETCH_CELLS; i++) {
        all += sketch.cells[i].count;
        double want = 10000.0 / (1 + i / 2.0);
        cr_expect(sketch.cells[i].count > want * 0.8 && sketch.cells[i].count < want * 1.2,
                  "cell %u: %u", i, sketch.cells[i].count);
    }
    cr_expect(all > 70000 && all < 80000, "%lu", (unsigned long)all);
}

Test(sketch, bytes_become_the_same_cells_again)
{
    struct wf_sketch sketch = sketch_of(0, 1000), back;
    uint8_t bytes[WF_SKETCH_BYTES];
    wf_sketch_write(&sketch, bytes);
    cr_assert_eq(wf_sketch_read(bytes, sizeof bytes, &back), WEFT_OK);
    cr_assert_eq(memcmp(&sketch, &back, sizeof back), 0);
    sk_quiet(true);
    cr_assert_eq(wf_sketch_read(bytes, sizeof bytes - 1, &back), WEFT_CORRUPT);
}

/* -- Differences ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool same_ids(uint64_t *found, uint32_t count, uint64_t from, uint64_t to)
{
    uint64_t want[WF_SKETCH_CELLS];
    if (count != to - from) return false;
    for (uint64_t n = from; n < to; n++) {
        weft_id id = nth(n);
        want[n - from] = wf_get64(id.bytes);
    }
    qsort(found, count, sizeof *found, compare);
    qsort(want, count, sizeof *want, compare);
    return memcmp(found, want, count * sizeof *found) == 0;
}

/* Over 1,000 common entries, `mine` on one side and `others` on the other. */
static bool finds(uint64_t seed, uint32_t mine, uint32_t others)
{
    uint64_t first = seed * 1000000, middle = first + 1000, end = middle + mine;
    struct wf_sketch a = sketch_of(first, end), b = sketch_of(first, middle);
    struct wf_sketch more = sketch_of(end, end + others), none = {0};
    struct wf_sketch_ids ids;
    wf_sketch_subtract(&none, &more); /* less what is less is more */
    wf_sketch_subtract(&b, &none);
    wf_sketch_subtract(&a, &b);
    if (!wf_sketch_peel(&a, &ids)) return false;
    cr_assert(same_ids(ids.mine, ids.mine_count, middle, end));
    cr_assert(same_ids(ids.others, ids.others_count, end, end + others));
    return true;
}

Test(sketch, equal_sets_differ_by_nothing) { cr_assert(finds(1, 0, 0)); }

/* Whatever it finds is exactly the difference; and up to 24 entries it nearly always does. */
Test(sketch, a_small_difference_is_found_exactly)
{
    uint32_t found[4] = {0};
    static const uint32_t sizes[4] = {1, 16, 24, 40};
    for (unsigned s = 0; s < 4; s++)
        for (uint64_t seed = 1; seed <= 50; seed++) {
            uint32_t mine = (uint32_t)(seed % (sizes[s] + 1));
            found[s] += finds(seed, mine, sizes[s] - mine);
        }
    cr_expect_eq(found[0], 50);
    cr_expect_eq(found[1], 50);
    cr_expect_geq(found[2], 49, "%u of 50", found[2]);
    cr_expect_geq(found[3], 20, "%u of 50", found[3]);
}

Test(sketch, a_large_difference_is_known_to_be_one)
{
    struct wf_sketch sketch = sketch_of(0, 500);
    struct wf_sketch_ids ids;
    cr_assert(!wf_sketch_peel(&sketch, &ids));
}

/* Cells that somebody made up may have no end, but the search has one. */
Test(sketch, made_up_cells_end_the_search)
{
    kit_random r = {1};
    for (unsigned i = 0; i < 200; i++) {
        struct wf_sketch sketch;
        struct wf_sketch_ids ids;
        kit_fill(&r, &sketch, sizeof sketch);
        struct wf_sketch one = sketch_of(i, i + 1);
        for (uint32_t k = 0; k < WF_SKETCH_CELLS; k++)
            if (kit_below(&r, 2) == 0) sketch.cells[k] = one.cells[0]; /* single everywhere */
        cr_assert(!wf_sketch_peel(&sketch, &ids));
        cr_assert_leq(ids.mine_count + ids.others_count, WF_SKETCH_CELLS);
    }
}

/* -- Of a store -------------------------------------------------------------------------------- */

static weft_keypair *author;
static sk_node node;

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    weft_keypair_destroy(author);
}

TestSuite(sketch_store, .init = setup, .fini = teardown);

static void expect_sketch(const sk_dag *dag, uint32_t entries)
{
    struct wf_sketch want = {0};
    uint8_t bytes[WF_SKETCH_BYTES], stored[WF_SKETCH_BYTES];
    wf_tree_info info;
    for (uint32_t i = 0; i < entries; i++) wf_sketch_add(&want, &dag->ids[i]);
    wf_sketch_write(&want, bytes);
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    cr_assert_eq(wf_store_sketch(node.store, info.t, stored), WEFT_OK);
    cr_assert_eq(memcmp(bytes, stored, sizeof bytes), 0, "after %u entries", entries);
}

/* All shapes, in batches of any size, with a restart in between. */
Test(sketch_store, batches_make_the_cells_of_the_whole)
{
    kit_random r = {7};
    for (int shape = 0; shape < SK_SHAPES; shape++) {
        sk_dag *dag = sk_dag_create((enum sk_shape)shape, 150, author, (uint64_t)shape + 1);
        for (uint32_t done = 0, n; done < dag->count; done += n) {
            n = 1 + kit_below(&r, 40);
            if (n > dag->count - done) n = dag->count - done;
            cr_assert_eq(sk_commit(&node, dag->bufs + done, dag->ids + done, n, true, NULL),
                         WEFT_OK);
            expect_sketch(dag, done + n);
            if (kit_below(&r, 4) == 0) sk_node_crash(&node, 0);
        }
        sk_dag_destroy(dag);
    }
    sk_expect_clean(node.store);
}

/* An entry that comes twice is in the set once. */
Test(sketch_store, what_is_known_changes_nothing)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 30, author, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    expect_sketch(dag, 20);
    cr_assert_eq(sk_commit(&node, dag->bufs + 10, dag->ids + 10, 20, true, NULL), WEFT_OK);
    expect_sketch(dag, 30);
    sk_dag_destroy(dag);
}

Test(sketch_store, a_failed_batch_leaves_no_trace)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 60, author, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    sk_quiet(true);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_SPACE, false);
    cr_assert_eq(sk_commit(&node, dag->bufs + 20, dag->ids + 20, 20, true, NULL), WEFT_NO_SPACE);
    expect_sketch(dag, 20);
    cr_assert_eq(sk_commit(&node, dag->bufs + 20, dag->ids + 20, 40, true, NULL), WEFT_OK);
    expect_sketch(dag, 60);
    sk_expect_clean(node.store);
    sk_dag_destroy(dag);
}

/* After a write of unknown outcome the store is opened again in place and reads its cells
 * anew: the failed batch is there, and its entries are not counted twice. */
Test(sketch_store, a_reload_reads_the_cells_again)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 60, author, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    sk_quiet(true);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    cr_assert_eq(sk_commit(&node, dag->bufs + 20, dag->ids + 20, 20, true, NULL), WEFT_IO);
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
    cr_assert_eq(sk_commit(&node, dag->bufs + 20, dag->ids + 20, 40, true, NULL), WEFT_OK);
    expect_sketch(dag, 60);
    sk_expect_clean(node.store);
    sk_dag_destroy(dag);
}

/* It is a hint: the check finds it wrong, a salvage makes it anew, and commits go on. */
Test(sketch_store, a_damaged_one_stops_no_commit)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 40, author, 1);
    uint8_t key[WF_KEY_SKETCH_BYTES], stored[WF_SKETCH_BYTES];
    wf_check_report report;
    wf_batch *batch;
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    wf_key_sketch(key, 1);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_SKETCH, key, sizeof key, "short", 5);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    sk_node_crash(&node, 0);
    sk_quiet(true);
    cr_assert_eq(wf_store_sketch(node.store, 1, stored), WEFT_CORRUPT);
    cr_assert_eq(sk_commit(&node, dag->bufs + 20, dag->ids + 20, 20, true, NULL), WEFT_OK);
    cr_assert_eq(wf_store_check(node.store, false, &report), WEFT_OK);
    cr_assert_eq(wf_check_faults(&report), 1);
    sk_dag_destroy(dag);
}

Test(sketch_store, a_tree_that_is_only_followed_has_empty_cells)
{
    weft_id tree = kit_id(9);
    wf_tree_info info;
    static const uint8_t none[WF_SKETCH_BYTES];
    uint8_t stored[WF_SKETCH_BYTES];
    cr_assert_eq(sk_follow(&node, &tree, true, NULL, 0), WEFT_OK);
    cr_assert_eq(wf_store_tree(node.store, &tree, &info), WEFT_OK);
    cr_assert_eq(wf_store_sketch(node.store, info.t, stored), WEFT_OK);
    cr_assert_eq(memcmp(stored, none, sizeof none), 0);
    cr_assert_eq(wf_store_sketch(node.store, info.t + 1, stored), WEFT_NOT_FOUND);
}
