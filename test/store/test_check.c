/* SPDX-License-Identifier: Apache-2.0
 * test_check.c - the check finds each kind of damage, and none where there is none.
 * Called by: meson test. May touch: the engine behind the store's back.
 * Never: a disk. */
#include <criterion/criterion.h>
#include <string.h>

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
