/* SPDX-License-Identifier: Apache-2.0
 * test_store.c - what goes in comes out: tips, gens, digests, records, crashes.
 * Called by: meson test. May touch: the store through its actor, in the simulator.
 * Never: a real disk (test_store_rocksdb.c does). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "store_kit.h"

static weft_keypair *author;

static void setup(void)
{
    author = kit_pair(1);
}

static void teardown(void)
{
    weft_keypair_destroy(author);
}

TestSuite(store, .init = setup, .fini = teardown);

Test(store, a_committed_history_reads_back_as_it_was)
{
    sk_node node;
    for (enum sk_shape shape = 0; shape < SK_SHAPES; shape++) {
        sk_node_open(&node, 1);
        sk_dag *dag = sk_dag_create(shape, 120, author, 7);
        uint64_t seq = 0;
        weft_err err = sk_commit(&node, dag->bufs, dag->ids, dag->count, true, &seq);
        cr_assert_eq(err, WEFT_OK, "%s: %s", sk_shape_names[shape], weft_errname(err));
        cr_assert_eq(seq, dag->count);
        sk_expect_dag(node.store, dag, NULL);
        weft_buf *buf;
        for (uint32_t i = 0; i < dag->count; i++) {
            cr_assert_eq(wf_store_get(node.store, &dag->ids[i], &buf), WEFT_OK);
            cr_assert_eq(weft_buf_len(buf), weft_buf_len(dag->bufs[i]));
            cr_assert_arr_eq(weft_buf_bytes(buf), weft_buf_bytes(dag->bufs[i]), weft_buf_len(buf));
            weft_buf_unref(buf);
        }
        sk_dag_destroy(dag);
        sk_node_close(&node);
    }
}
