/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_order.h - puts the operations of a batch whose keys are random into the
 * order of their keys. RocksDB's memtable begins the search for a key where the one
 * before ended, so that neighbours cost a fraction of strangers.
 * Called by: kv_rocksdb.c. Never: changes the order of operations on one key. */
#ifndef WF_KV_ROCKSDB_ORDER_H
#define WF_KV_ROCKSDB_ORDER_H

#include "kv.h"

struct wf_ordered {
    uint64_t prefix; /* the key's first eight bytes, as a number */
    wf_batch_op op;
};
struct wf_op_order {
    struct wf_ordered *items;
    uint32_t count, room;
};

void wf_op_order_fini(struct wf_op_order *order);
/* False when memory is short or the list is full: apply what is kept, in order, then `op`. */
bool wf_op_order_keep(struct wf_op_order *order, const wf_batch_op *op);
/* Ascending by prefix, equal ones as they came. */
void wf_op_order_sort(struct wf_op_order *order);

#endif
