/* SPDX-License-Identifier: Apache-2.0
 * test_restore.c - a copy of a store is given new epochs once, whatever happens meanwhile.
 * Called by: meson test. May touch: the engine behind the store's back, directories of its
 * own. Never: a peer. */
#include <criterion/criterion.h>
#include <string.h>

#include "crypto.h"
#include "kv_kit.h"
#include "layout.h"
#include "store_kit.h"
#include "writer.h"

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, 40, author, 3);
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 40, true, NULL), WEFT_OK);
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(restore, .init = setup, .fini = teardown);

static wf_tree_info tree_of(wf_store *store)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_OK);
    return info;
}

static bool same_epoch(const wf_tree_info *a, const wf_tree_info *b)
{
    return memcmp(a->epoch, b->epoch, sizeof a->epoch) == 0;
}

static bool is_marked(wf_kv *kv)
{
    const uint8_t key = WF_TREE_COPIED;
    wf_value value;
    weft_err err = wf_kv_get(kv, NULL, WF_CF_TREE, &key, 1, &value);
    if (err == WEFT_OK) wf_value_release(kv, &value);
    return err == WEFT_OK;
}

Test(restore, a_copy_has_new_epochs_and_everything_else)
{
    wf_tree_info before = tree_of(node.store);
    cr_assert_eq(wf_copy_mark(node.kv), WEFT_OK);
    sk_node_crash(&node, 0);
    wf_tree_info after = tree_of(node.store);
    cr_assert(!same_epoch(&before, &after));
    memcpy(after.epoch, before.epoch, sizeof after.epoch);
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "only the epoch is new");
    sk_expect_dag(node.store, dag, NULL);
    sk_expect_clean(node.store);
}

Test(restore, the_new_epochs_stay)
{
    cr_assert_eq(wf_copy_mark(node.kv), WEFT_OK);
    sk_node_crash(&node, 0);
    wf_tree_info first = tree_of(node.store);
    cr_assert(!is_marked(node.kv));
    sk_node_crash(&node, 0);
    wf_tree_info second = tree_of(node.store);
    cr_assert(same_epoch(&first, &second));
}

Test(restore, a_store_that_is_no_copy_keeps_its_epochs)
{
    wf_tree_info before = tree_of(node.store);
    sk_node_crash(&node, 0);
    wf_tree_info after = tree_of(node.store);
    cr_assert(same_epoch(&before, &after));
}

/* The batch is one: either all epochs are new and the mark is gone, or nothing happened. */
Test(restore, a_failed_write_leaves_a_copy_that_can_be_opened_again)
{
    wf_tree_info before = tree_of(node.store);
    cr_assert_eq(wf_copy_mark(node.kv), WEFT_OK);
    wf_store *again = NULL;
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, false);
    sk_quiet(true);
    cr_assert_eq(wf_store_open(node.kv, node.rt, &again), WEFT_IO);
    sk_quiet(false);
    cr_assert(is_marked(node.kv));
    sk_node_crash(&node, 0);
    wf_tree_info after = tree_of(node.store);
    cr_assert(!same_epoch(&before, &after));
    cr_assert(!is_marked(node.kv));
}

/* -- On a disk ------------------------------------------------------------------------------- */

static wf_tree_info open_and_close(const char *dir, bool read_only)
{
    wf_kv_rocksdb_options options = {.memory_bytes = 16 << 20, .read_only = read_only};
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    cr_assert_eq(wf_kv_rocksdb_open(dir, &options, &kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    wf_tree_info info = tree_of(store);
    wf_store_close(store);
    return info;
}

Test(restore, who_only_reads_leaves_the_copy_as_it_is)
{
    char dir[64];
    kk_dir_create(dir);
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[0]),
                         .len = (uint32_t)weft_buf_len(dag->bufs[0]),
                         .id = dag->ids[0],
                         .create_tree = true};
    cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
    wf_tree_info before = tree_of(store);
    cr_assert_eq(wf_copy_mark(kv), WEFT_OK);
    wf_store_close(store);
    wf_tree_info read = open_and_close(dir, true);
    cr_assert(same_epoch(&before, &read));
    wf_tree_info written = open_and_close(dir, false);
    cr_assert(!same_epoch(&before, &written));
    read = open_and_close(dir, true);
    cr_assert(same_epoch(&written, &read));
    kk_dir_remove(dir);
}
