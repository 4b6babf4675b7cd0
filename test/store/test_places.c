/* SPDX-License-Identifier: Apache-2.0
 * test_places.c - places that are remembered: they speed reads up and never make them wrong.
 * Called by: meson test. May touch: the table, bodies behind the store's back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "layout.h"
#include "places.h"
#include "state.h"
#include "store_kit.h"

#define ENTRIES 20u

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_CHAIN, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, ENTRIES, true, NULL), WEFT_OK);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(places, .init = setup, .fini = teardown);

static weft_err get(uint32_t i)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get(node.store, &dag->ids[i], &buf);
    if (err == WEFT_OK) cr_expect_arr_eq(weft_buf_bytes(buf), weft_buf_bytes(dag->bufs[i]), 40);
    weft_buf_unref(buf);
    return err;
}

static void forget(void)
{
    wf_places_fini(&node.store->places);
    memset(&node.store->places, 0, sizeof node.store->places);
    cr_assert_eq(wf_places_init(&node.store->places), WEFT_OK);
}

/* From now on the nth read fails. */
static void fail_at(uint64_t nth)
{
    if (node.store->kv == node.kv) node.store->kv = kv_faulty_create(node.kv);
    kv_faulty_fail_at(node.store->kv, nth, WEFT_IO);
}

static void end_failures(void)
{
    free(node.store->kv);
    node.store->kv = node.kv;
}

static bool met(void) { return kv_faulty_met(node.store->kv); }

Test(places, a_place_that_was_read_saves_a_look_up)
{
    forget();
    cr_expect_eq(get(3), WEFT_OK);
    fail_at(2);
    cr_expect_eq(get(3), WEFT_OK);
    cr_expect_not(met(), "one read");
    cr_expect_eq(get(4), WEFT_IO, "of this one nothing is known: its facts are read first");
    end_failures();
}

Test(places, a_place_that_was_written_saves_a_look_up)
{
    fail_at(4);
    for (uint32_t i = 7; i < 10; i++) cr_expect_eq(get(i), WEFT_OK);
    cr_expect_not(met(), "three reads");
    end_failures();
}

Test(places, a_read_that_fails_at_a_known_place_is_made_the_long_way)
{
    fail_at(1);
    cr_expect_eq(get(7), WEFT_OK);
    cr_expect(met());
    end_failures();
}

/* -- Wrong ones ----------------------------------------------------------------------------- */

Test(places, a_wrong_place_is_found_out_and_is_no_damage)
{
    for (uint32_t i = 0; i < ENTRIES; i++)
        wf_places_note(&node.store->places, &dag->ids[i], 1, (i + 1) % ENTRIES + 1);
    for (uint32_t i = 0; i < ENTRIES; i++) cr_expect_eq(get(i), WEFT_OK);
    struct wf_store_counters counters;
    wf_store_counters_read(node.store, &counters);
    cr_expect_eq(counters.damaged, 0);
}

Test(places, a_place_of_another_tree_or_beyond_the_end_is_found_out)
{
    wf_places_note(&node.store->places, &dag->ids[3], 65536, 4);
    cr_expect_eq(get(3), WEFT_OK);
    wf_places_note(&node.store->places, &dag->ids[3], 1, 4000000000u);
    cr_expect_eq(get(3), WEFT_OK);
}

Test(places, an_entry_that_is_not_there_is_not_found_at_anothers_place)
{
    weft_id other = dag->ids[3]; /* the same slot and tag */
    weft_buf *buf;
    other.bytes[10] ^= 1;
    uint64_t t, seq;
    cr_assert(wf_places_guess(&node.store->places, &other, &t, &seq));
    cr_expect_eq(wf_store_get(node.store, &other, &buf), WEFT_NOT_FOUND);
}

Test(places, a_damaged_body_at_a_known_place_is_noted_as_ever)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[2048];
    size_t len = weft_buf_len(dag->bufs[7]);
    wf_batch *batch;
    memcpy(body, weft_buf_bytes(dag->bufs[7]), len);
    body[len / 2] ^= 1;
    wf_key_seq(key, 1, 8);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    cr_expect_eq(get(7), WEFT_CORRUPT);
    struct wf_store_counters counters;
    wf_store_counters_read(node.store, &counters);
    cr_expect_eq(counters.damaged, 1);
}

/* -- The table ------------------------------------------------------------------------------- */

Test(places, what_is_noted_is_guessed)
{
    uint64_t t, seq;
    forget();
    cr_expect_not(wf_places_guess(&node.store->places, &dag->ids[1], &t, &seq));
    const uint64_t trees[] = {1, 2, 65536}, seqs[] = {1, 4096, 4097, 1000000, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 5; k++) {
            wf_places_note(&node.store->places, &dag->ids[1], trees[i], seqs[k]);
            cr_assert(wf_places_guess(&node.store->places, &dag->ids[1], &t, &seq));
            cr_expect(t == trees[i] && seq == seqs[k]);
        }
    }
    wf_places_note(&node.store->places, &dag->ids[2], 1, UINT64_C(1) << 32);
    cr_expect_not(wf_places_guess(&node.store->places, &dag->ids[2], &t, &seq), "too far away");
}

Test(places, the_table_grows_with_the_tree_and_has_a_bound)
{
    forget();
    cr_expect_eq(wf_places_bytes(&node.store->places), 0);
    wf_places_note(&node.store->places, &dag->ids[1], 1, 100);
    size_t small = wf_places_bytes(&node.store->places);
    cr_expect_lt(small, 64 << 10);
    wf_places_note(&node.store->places, &dag->ids[1], 1, UINT32_MAX);
    size_t large = wf_places_bytes(&node.store->places);
    cr_expect_gt(large, 2 << 20);
    cr_expect_lt(large, 3 << 20);
    wf_places_note(&node.store->places, &dag->ids[1], 1, 100);
    cr_expect_eq(wf_places_bytes(&node.store->places), large);
}

Test(places, without_memory_nothing_is_remembered_and_all_is_found)
{
    forget();
    (void)wf_alloc_fail_at(2, 1); /* the small table is made, the large one is not */
    uint64_t t, seq;
    wf_places_note(&node.store->places, &dag->ids[1], 1, 2);
    wf_places_note(&node.store->places, &dag->ids[1], 1, 100000);
    (void)wf_alloc_fail_at(0, 0);
    cr_expect(wf_places_guess(&node.store->places, &dag->ids[1], &t, &seq),
              "the small one is kept");
    cr_expect_eq(get(1), WEFT_OK);
}
