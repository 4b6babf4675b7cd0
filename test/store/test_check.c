/* SPDX-License-Identifier: Apache-2.0
 * test_check.c - the check finds each kind of damage, and none where there is none.
 * Called by: meson test. May touch: the engine behind the store's back.
 * Never: a disk. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "kv_faulty.h"
#include "layout.h"
#include "store_kit.h"

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, 40, author, 3);
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 40, true, NULL), WEFT_OK);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(check, .init = setup, .fini = teardown);

static void damage(enum wf_cf cf, const void *key, size_t key_len, const void *value, size_t len)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (value == NULL) wf_batch_delete(batch, cf, key, key_len);
    else wf_batch_put(batch, cf, key, key_len, value, len);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

static wf_check_report check(void)
{
    wf_check_report report;
    cr_assert_eq(wf_store_check(node.store, true, &report), WEFT_OK);
    return report;
}

/* The faults as they were told. */
static struct told {
    wf_check_fault list[64];
    uint32_t count;
    uint64_t progress;
} told;

static void on_fault(void *arg, const wf_check_fault *fault)
{
    struct told *t = arg;
    if (t->count < 64) t->list[t->count] = *fault;
    t->count++;
}

static void on_progress(void *arg, uint64_t entries, uint64_t of_all)
{
    cr_assert_leq(entries, of_all);
    ((struct told *)arg)->progress = entries;
}

static uint64_t tell(void)
{
    struct wf_check_options options = {true, on_fault, on_progress, &told};
    wf_check_report report;
    told = (struct told){0};
    cr_assert_eq(wf_store_check_with(node.store, &options, &report), WEFT_OK);
    return wf_check_faults(&report);
}

/* Among the faults is this one, of entry `entry` (-1: of none). */
static void expect_told(enum wf_check_kind kind, enum wf_cf cf, int entry)
{
    for (uint32_t i = 0; i < told.count && i < 64; i++) {
        const wf_check_fault *f = &told.list[i];
        if (f->kind != kind || f->cf != cf) continue;
        cr_assert_gt(strlen(f->what), 0);
        if (entry < 0) return;
        if (weft_id_equal(&f->id, &dag->ids[entry]) && f->t == 1 && f->seq == (uint64_t)entry + 1)
            return;
    }
    cr_assert(false, "no fault of kind %s in family %s among %u", wf_check_kind_name(kind),
              wf_cf_names[cf], told.count);
}

Test(check, a_sound_store_has_no_faults)
{
    wf_check_report report = check();
    cr_assert_eq(report.entries, 40);
    cr_assert_eq(report.bad_bytes + report.bad_ids + report.bad_signatures +
                     report.missing_parents + report.bad_tips + report.bad_indexes,
                 0);
}

Test(check, a_flipped_body_is_found_and_not_given_out)
{
    uint8_t body[2048];
    size_t len = weft_buf_len(dag->bufs[7]);
    memcpy(body, weft_buf_bytes(dag->bufs[7]), len);
    body[len / 2] ^= 1;
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_seq(key, 1, 8); /* entry 7 arrived as the eighth */
    damage(WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(check().bad_ids, 1);
    weft_buf *buf = NULL;
    cr_assert_eq(wf_store_get(node.store, &dag->ids[7], &buf), WEFT_CORRUPT);
    cr_assert_null(buf);
    cr_assert_eq(
        wf_store_get_into(node.store, 1, &(wf_place){.seq = 8, .id = dag->ids[7]}, body, &len),
        WEFT_CORRUPT);
}

Test(check, a_missing_body_is_found)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_seq(key, 1, 8);
    damage(WF_CF_ENTRY, key, sizeof key, NULL, 0);
    cr_assert_eq(check().bad_bytes, 1);
    weft_buf *buf = NULL;
    cr_assert_eq(wf_store_get(node.store, &dag->ids[7], &buf), WEFT_CORRUPT);
}

Test(check, a_missing_parent_is_found)
{
    uint32_t children = 0;
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t p = 0; p < dag->parents_count[i]; p++) children += dag->parents[i][p] == 1;
    cr_assert_gt(children, 0);
    damage(WF_CF_META, dag->ids[1].bytes, 32, NULL, 0);
    wf_check_report report = check();
    cr_assert_eq(report.missing_parents, children);
    cr_assert_gt(report.bad_indexes, 0, "and its body and indexes are too many");
}

Test(check, a_wrong_tip_is_found)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX];
    size_t len = wf_key_tip(key, 1, NULL, 0, &dag->ids[0]);
    damage(WF_CF_TIP, key, len, "\0\0\0\0\0\0\0\0", 8);
    cr_assert_gt(check().bad_tips, 0);
    damage(WF_CF_TIP, key, len, NULL, 0);
    cr_assert_eq(check().bad_tips, 0);
    weft_id tips[40];
    uint32_t count = sk_dag_tips(dag, NULL, tips);
    cr_assert_gt(count, 0);
    len = wf_key_tip(key, 1, NULL, 0, &tips[0]);
    damage(WF_CF_TIP, key, len, NULL, 0);
    cr_assert_gt(check().bad_tips, 0, "a tip that is missing");
}

Test(check, a_wrong_tip_of_a_named_store_is_found)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX];
    weft_id tips[40];
    size_t count, len;
    bool complete;
    cr_assert_eq(wf_store_named_tips(node.store, 1, "main", tips, 40, &count, &complete), WEFT_OK);
    len = wf_key_tip(key, 1, "main", 4, &tips[0]);
    damage(WF_CF_TIP, key, len, NULL, 0);
    cr_assert_gt(check().bad_tips, 0);
}

Test(check, a_gen_that_disagrees_is_found)
{
    uint8_t key[WF_KEY_GEN_BYTES];
    wf_key_gen(key, 1, dag->gens[9], &dag->ids[9]);
    damage(WF_CF_GEN, key, sizeof key, NULL, 0);
    cr_assert_gt(check().bad_indexes, 0);
    damage(WF_CF_GEN, key, sizeof key, "\0\0\0\0\0\0\0\x0a", 8);
    cr_assert_eq(check().bad_indexes, 0);
    damage(WF_CF_GEN, key, sizeof key, "\0\0\0\0\0\0\0\x0b", 8);
    cr_assert_eq(check().bad_indexes, 1, "another's arrival");
    wf_key_gen(key, 1, dag->gens[9] + 1, &dag->ids[9]);
    damage(WF_CF_GEN, key, sizeof key, "", 0);
    cr_assert_gt(check().bad_indexes, 0);
}

Test(check, an_arrival_that_disagrees_is_found)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_seq(key, 1, 9);
    damage(WF_CF_ARR, key, sizeof key, dag->ids[20].bytes, 32);
    cr_assert_gt(check().bad_indexes, 0);
}

Test(check, a_child_that_is_missing_or_too_many_is_found)
{
    uint8_t key[WF_KEY_CHILD_BYTES];
    wf_key_child(key, 1, dag->parents[9][0] + 1, 10);
    damage(WF_CF_CHILD, key, sizeof key, NULL, 0);
    cr_assert_gt(check().bad_indexes + check().bad_tips, 0);
    damage(WF_CF_CHILD, key, sizeof key, dag->ids[8].bytes, 32);
    cr_assert_eq(check().bad_indexes, 1, "it names another entry");
    damage(WF_CF_CHILD, key, sizeof key, dag->ids[9].bytes, 32);
    cr_assert_eq(check().bad_indexes, 0);
    wf_key_child(key, 1, 10, 1);
    damage(WF_CF_CHILD, key, sizeof key, dag->ids[0].bytes, 32);
    cr_assert_gt(check().bad_indexes + check().bad_tips, 0);
}

Test(check, counts_that_disagree_are_found)
{
    uint8_t key[WF_KEY_TREE_BYTES], value[WF_COUNTS_BYTES];
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    info.tips++;
    wf_counts_write(&info, value);
    damage(WF_CF_TREE, key, sizeof key, value, sizeof value);
    cr_assert_eq(check().bad_tips, 1);
    info.tips--;
    info.count++;
    wf_counts_write(&info, value);
    damage(WF_CF_TREE, key, sizeof key, value, sizeof value);
    cr_assert_eq(check().bad_indexes, 1);
}

/* -- Faults by name ----------------------------------------------------------------------------- */

Test(check, a_fault_in_each_family_is_told_by_kind_family_and_entry)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX], zero[64] = {0};
    size_t len;
    wf_key_seq(key, 1, 8);
    damage(WF_CF_ENTRY, key, WF_KEY_SEQ_BYTES, zero, sizeof zero);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_ID, WF_CF_ENTRY, 7);
    damage(WF_CF_ENTRY, key, WF_KEY_SEQ_BYTES, NULL, 0);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_BYTES, WF_CF_ENTRY, 7);
    wf_key_seq(key, 1, 10);
    damage(WF_CF_ARR, key, WF_KEY_SEQ_BYTES, zero, 32);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_ARR, 9);
    wf_key_gen(key, 1, dag->gens[11], &dag->ids[11]);
    damage(WF_CF_GEN, key, WF_KEY_GEN_BYTES, zero, 8);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_GEN, 11);
    wf_key_child(key, 1, dag->parents[12][0] + 1, 13);
    damage(WF_CF_CHILD, key, WF_KEY_CHILD_BYTES, zero, 32);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_CHILD, 12);
    len = wf_key_tip(key, 1, NULL, 0, &dag->ids[0]);
    damage(WF_CF_TIP, key, len, zero, 8);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_TIP, WF_CF_TIP, 0);
    damage(WF_CF_META, dag->ids[1].bytes, 32, zero, 5);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_META, -1);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    damage(WF_CF_TREE, key, WF_KEY_TREE_BYTES, NULL, 0);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_TREE, -1);
}

Test(check, a_tip_of_another_generation_is_told)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX];
    size_t len = wf_key_tip(key, 1, NULL, 0, &dag->ids[39]);
    damage(WF_CF_TIP, key, len, "\0\0\0\0\0\0\0\x7f", 8);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_TIP, WF_CF_TIP, 39);
}

Test(check, a_policy_that_is_missing_or_another_is_told)
{
    const uint8_t key[WF_KEY_POLICY_BYTES] = {WF_POLICY_NUMBER, 0, 0, 0, 1};
    damage(WF_CF_POLICY, key, sizeof key, "x", 1);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_POLICY, -1);
    damage(WF_CF_POLICY, key, sizeof key, NULL, 0);
    cr_assert_gt(tell(), 0);
    expect_told(WF_CHECK_INDEX, WF_CF_POLICY, -1);
}

Test(check, another_last_arrival_is_told)
{
    uint8_t key[WF_KEY_TREE_BYTES], value[WF_COUNTS_BYTES];
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    info.last_id8[0] ^= 1;
    wf_counts_write(&info, value);
    damage(WF_CF_TREE, key, sizeof key, value, sizeof value);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_INDEX, WF_CF_TREE, -1);
}

/* A body that hashes to its id and that its author did not sign: someone made both. */
Test(check, a_signature_that_does_not_verify_is_told)
{
    uint8_t body[2048], key[WF_KEY_SEQ_BYTES];
    size_t len = weft_buf_len(dag->bufs[39]);
    memcpy(body, weft_buf_bytes(dag->bufs[39]), len);
    body[len - 1] ^= 1;
    weft_id id;
    wf_blake2b_256(body, len, id.bytes);
    wf_value meta;
    cr_assert_eq(wf_kv_get(node.kv, NULL, WF_CF_META, dag->ids[39].bytes, 32, &meta), WEFT_OK);
    damage(WF_CF_META, id.bytes, 32, meta.data, meta.len);
    wf_value_release(node.kv, &meta);
    damage(WF_CF_META, dag->ids[39].bytes, 32, NULL, 0);
    wf_key_seq(key, 1, 40);
    damage(WF_CF_ENTRY, key, sizeof key, body, len);
    wf_check_report report = check();
    cr_assert_eq(report.bad_signatures, 1);
    cr_assert_eq(wf_store_check(node.store, false, &report), WEFT_OK);
    cr_assert_eq(report.bad_signatures, 0, "nobody asked");
}

/* -- What is made of the entries ---------------------------------------------------------------- */

/* Each record of the family in turn: gone, with a bit flipped, with a byte less. */
static void spoil_each(enum wf_cf cf, uint32_t *records)
{
    uint8_t keys[64][160], values[64][1024], bad[1024];
    size_t key_lens[64], lens[64];
    uint32_t count = 0;
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it), count++) {
        cr_assert_lt(count, 64);
        const uint8_t *key = wf_kv_iter_key(it, &key_lens[count]);
        const uint8_t *value = wf_kv_iter_value(it, &lens[count]);
        memcpy(keys[count], key, key_lens[count]);
        memcpy(values[count], value, lens[count]);
    }
    wf_kv_iter_destroy(it);
    for (uint32_t i = 0; i < count; i++) {
        damage(cf, keys[i], key_lens[i], NULL, 0);
        cr_assert_gt(tell(), 0, "%s: record %u is missing", wf_cf_names[cf], i);
        expect_told(WF_CHECK_INDEX, cf, -1);
        memcpy(bad, values[i], lens[i]);
        bad[lens[i] / 2] ^= 4;
        damage(cf, keys[i], key_lens[i], bad, lens[i]);
        cr_assert_gt(tell(), 0, "%s: record %u is another", wf_cf_names[cf], i);
        expect_told(WF_CHECK_INDEX, cf, -1);
        damage(cf, keys[i], key_lens[i], values[i], lens[i] - 1);
        cr_assert_gt(tell(), 0, "%s: record %u is too short", wf_cf_names[cf], i);
        expect_told(WF_CHECK_INDEX, cf, -1);
        damage(cf, keys[i], key_lens[i], values[i], lens[i]);
    }
    cr_assert_eq(tell(), 0);
    *records = count;
}

Test(check, each_node_of_a_trie_is_made_anew_and_compared)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    uint8_t of[WF_TRIE_KEY_BYTES] = {0x12, 0x34};
    uint32_t records;
    spoil_each(WF_CF_TRIE, &records);
    cr_assert_geq(records, 2, "a node and the top");
    damage(WF_CF_TRIE, key, wf_key_trie(key, 1, 4, of), "x", 1);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_INDEX, WF_CF_TRIE, -1);
}

Test(check, each_sketch_is_made_anew_and_compared)
{
    uint8_t key[WF_KEY_SKETCH_BYTES];
    uint32_t records;
    spoil_each(WF_CF_SKETCH, &records);
    cr_assert_eq(records, 1);
    wf_key_sketch(key, 2);
    damage(WF_CF_SKETCH, key, sizeof key, "x", 1);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_INDEX, WF_CF_SKETCH, -1);
}

Test(check, the_list_of_a_named_store_is_that_of_the_bodies)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX], seq[WF_GEN_BYTES];
    uint32_t records;
    spoil_each(WF_CF_SUB, &records);
    cr_assert_eq(records, 40, "the root writes its settings");
    wf_put64(seq, 1);
    size_t len = wf_key_sub(key, 1, "main", 4, 0, &dag->ids[0]);
    damage(WF_CF_SUB, key, len, seq, sizeof seq);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_INDEX, WF_CF_SUB, -1);
}

Test(check, the_dominators_of_each_entry_are_what_those_of_its_parents_make_them)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    uint32_t records;
    spoil_each(WF_CF_DOM, &records);
    cr_assert_eq(records, 3, "pages of sixteen");
    wf_key_dom(key, 1, 100);
    damage(WF_CF_DOM, key, sizeof key, "x", 1);
    cr_assert_eq(tell(), 1);
    expect_told(WF_CHECK_INDEX, WF_CF_DOM, -1);
}

/* Whichever read it is that the engine answers with CORRUPT: the check ends, and tells. */
Test(check, a_record_that_cannot_be_read_is_a_fault_and_not_the_end)
{
    wf_kv *faulty = kv_faulty_create(node.kv);
    wf_store *plain = node.store;
    cr_assert_eq(wf_store_open(faulty, node.rt, &node.store), WEFT_OK);
    uint64_t nth = 0, unreadable = 0;
    do {
        kv_faulty_fail_at(faulty, ++nth, WEFT_CORRUPT);
        uint64_t faults = tell();
        if (!kv_faulty_met(faulty)) cr_assert_eq(faults, 0);
        for (uint32_t i = 0; i < told.count && i < 64; i++)
            unreadable += told.list[i].kind == WF_CHECK_UNREADABLE;
    } while (kv_faulty_met(faulty));
    cr_assert_gt(nth, 500, "all of them were tried");
    cr_assert_gt(unreadable, nth / 4, "some are noticed by what is missing then");
    (void)wf_store_detach(node.store);
    node.store = plain;
    free(faulty); /* without the engine in it, which is the node's */
}

/* A disk that fails says nothing about what is on it. */
Test(check, a_disk_that_fails_ends_the_check)
{
    wf_kv *faulty = kv_faulty_create(node.kv);
    wf_store *through = NULL;
    cr_assert_eq(wf_store_open(faulty, node.rt, &through), WEFT_OK);
    for (uint64_t nth = 1; nth <= 400; nth += 7) {
        wf_check_report report = {.entries = 7};
        kv_faulty_fail_at(faulty, nth, WEFT_IO);
        cr_assert_eq(wf_store_check(through, false, &report), WEFT_IO, "read %llu",
                     (unsigned long long)nth);
        cr_assert_eq(report.entries, 7, "an output changes on success only");
    }
    (void)wf_store_detach(through);
    free(faulty);
}

Test(check, each_allocation_that_fails_is_no_memory)
{
    for (uint64_t nth = 1;; nth++) {
        wf_check_report report;
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = wf_store_check(node.store, false, &report);
        (void)wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) {
            cr_assert_gt(nth, 5);
            break;
        }
        cr_assert_eq(err, WEFT_NO_MEMORY);
    }
}
