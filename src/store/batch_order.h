/* SPDX-License-Identifier: Apache-2.0
 * batch_order.h - the operations of a batch, family by family in the order of their keys; first
 * those of families whose keys ascend by themselves, as they come.
 * Called by: the engines' writes; one thread. Touches its own lists; keys, reading.
 * Never: changes the order of operations on one key.
 *
 * A memtable and a B+ tree both look for a key from where the one before was found, or find
 * its neighbours in the processor's cache: in order a key costs a fraction of one by chance. */
#ifndef WF_BATCH_ORDER_H
#define WF_BATCH_ORDER_H

#include "kv.h"

struct wf_ordered { /* one operation */
    uint64_t rank;  /* eight bytes of the key, from where those of its family differ */
    const uint8_t *key;
    uint32_t value_len; /* the value lies behind the key */
    uint16_t key_len;
    uint8_t cf, is_delete;
};
struct wf_batch_order { /* zero: nothing yet. Kept between batches for its memory */
    struct wf_ordered *items, *spare;
    uint32_t count, room;
};

void wf_batch_order_fini(struct wf_batch_order *order);
size_t wf_batch_order_bytes(const struct wf_batch_order *order); /* of memory */
/* As wf_batch_each, but for the order. A batch too large for the list goes in several parts,
 * each in its order; without memory for one it goes as it is. */
weft_err wf_batch_each_ordered(const wf_batch *batch, struct wf_batch_order *order,
                               weft_err (*fn)(void *arg, const wf_batch_op *op), void *arg);

#endif
