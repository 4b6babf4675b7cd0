/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_order.c - puts operations with random keys into the order of their keys.
 * Called by: kv_rocksdb.c. May touch: its own list; keys, reading.
 * Never: changes the order of operations on one key. */
#include "kv_rocksdb_order.h"

#include "alloc.h"

enum { ORDERED_FIRST = 1024, ORDERED_MAX = 1u << 16 };

void wf_op_order_fini(struct wf_op_order *order)
{
    wf_free(order->items);
    *order = (struct wf_op_order){0};
}

bool wf_op_order_keep(struct wf_op_order *order, const wf_batch_op *op)
{
    if (order->count == ORDERED_MAX) return false;
    if (order->count == order->room) {
        uint32_t room = order->room == 0 ? ORDERED_FIRST : order->room * 2;
        struct wf_ordered *items = wf_realloc(order->items, room * sizeof *items);
        if (items == NULL) return false;
        order->items = items;
        order->room = room;
    }
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < op->key_len ? op->key[i] : 0);
    order->items[order->count++] = (struct wf_ordered){prefix, *op};
    return true;
}

/* Equal prefixes fall back on where the operation lies in the batch, which is its age. */
static bool before(const struct wf_ordered *a, const struct wf_ordered *b)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix;
    return a->op.key < b->op.key;
}

static void sift_down(struct wf_ordered *items, uint32_t at, uint32_t count)
{
    struct wf_ordered moving = items[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(&items[child], &items[child + 1])) child++;
        if (!before(&moving, &items[child])) break;
        items[at] = items[child];
    }
    items[at] = moving;
}

/* Heap sort: in place, and no keys that a peer can choose make it slow. */
void wf_op_order_sort(struct wf_op_order *order)
{
    for (uint32_t i = order->count / 2; i-- > 0;) sift_down(order->items, i, order->count);
    for (uint32_t end = order->count; end-- > 1;) {
        struct wf_ordered largest = order->items[0];
        order->items[0] = order->items[end];
        order->items[end] = largest;
        sift_down(order->items, 0, end);
    }
}
