/* SPDX-License-Identifier: Apache-2.0
 * batch_order.c - puts the operations of a batch into the order of their keys.
 * Called by: the engines' writes. May touch: its own lists; keys, reading.
 * Never: changes the order of operations on one key. */
#include "batch_order.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

enum { ROOM_FIRST = 256, ROOM_MAX = 1u << 15 };

void wf_batch_order_fini(struct wf_batch_order *order)
{
    wf_free(order->items);
    wf_free(order->spare);
    *order = (struct wf_batch_order){0};
}

size_t wf_batch_order_bytes(const struct wf_batch_order *order)
{
    return 2 * order->room * sizeof *order->items;
}

static bool grow(struct wf_batch_order *order)
{
    uint32_t room = order->room == 0 ? ROOM_FIRST : order->room * 2;
    if (room > ROOM_MAX) return false;
    struct wf_ordered *items = wf_realloc(order->items, room * sizeof *items);
    if (items == NULL) return false;
    order->items = items;
    struct wf_ordered *spare = wf_realloc(order->spare, room * sizeof *spare);
    if (spare == NULL) return false;
    order->spare = spare;
    order->room = room;
    return true;
}

/* -- Sorting one family ------------------------------------------------------------------ */

static size_t common(const struct wf_ordered *a, const struct wf_ordered *b, size_t most)
{
    size_t at = 0;
    while (at < most && a->key[at] == b->key[at]) at++;
    return at;
}

static uint64_t rank_of(const struct wf_ordered *item, size_t from)
{
    uint64_t rank = 0;
    for (size_t i = from; i < from + 8; i++)
        rank = rank << 8 | (i < item->key_len ? item->key[i] : 0);
    return rank;
}

static bool is_after(const struct wf_ordered *a, const struct wf_ordered *b)
{
    if (a->rank != b->rank) return a->rank > b->rank;
    size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->key, b->key, len);
    return order != 0 ? order > 0 : a->key_len > b->key_len;
}

/* Ranks all; false: they are in order already, as keys that ascend by themselves are. */
static bool rank(struct wf_ordered *items, uint32_t count)
{
    size_t shared = items[0].key_len;
    bool sorted = true;
    for (uint32_t i = 1; i < count; i++) {
        if (items[i].key_len < shared) shared = items[i].key_len;
        shared = common(&items[0], &items[i], shared);
    }
    for (uint32_t i = 0; i < count; i++) {
        items[i].rank = rank_of(&items[i], shared);
        sorted = sorted && (i == 0 || !is_after(&items[i - 1], &items[i]));
    }
    return !sorted;
}

static void merge(const struct wf_ordered *from, uint32_t middle, uint32_t end,
                  struct wf_ordered *to)
{
    for (uint32_t a = 0, b = middle; a < middle || b < end;) {
        bool second = a == middle || (b < end && is_after(&from[a], &from[b]));
        *to++ = second ? from[b++] : from[a++];
    }
}

/* Merges from the bottom: no keys that a peer can choose make it slow, and equal keys stay as
 * they came. Returns where the sorted ones are: in `items` or in `spare`. */
static struct wf_ordered *sort(struct wf_ordered *items, struct wf_ordered *spare, uint32_t count)
{
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t at = 0; at < count; at += 2 * width) {
            uint32_t left = count - at, end = left < 2 * width ? left : 2 * width;
            uint32_t middle = width < end ? width : end;
            bool apart = middle < end && is_after(&items[at + middle - 1], &items[at + middle]);
            if (apart) merge(items + at, middle, end, spare + at);
            else memcpy(spare + at, items + at, end * sizeof *items);
        }
        struct wf_ordered *swap = items;
        items = spare;
        spare = swap;
    }
    return items;
}

/* -- All of them ----------------------------------------------------------------------------- */

static weft_err give(const struct wf_ordered *items, uint32_t count,
                     weft_err (*fn)(void *arg, const wf_batch_op *op), void *arg)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++) {
        const struct wf_ordered *item = &items[i];
        wf_batch_op op = {.cf = (enum wf_cf)item->cf,
                          .is_delete = item->is_delete != 0,
                          .key = item->key,
                          .key_len = item->key_len,
                          .value = item->key + item->key_len,
                          .value_len = item->value_len};
        err = fn(arg, &op);
    }
    return err;
}

static weft_err give_kept(struct wf_batch_order *order,
                          weft_err (*fn)(void *arg, const wf_batch_op *op), void *arg)
{
    uint32_t ends[WF_CF_COUNT] = {0};
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < order->count; i++) ends[order->items[i].cf]++;
    for (unsigned cf = 0, at = 0; cf < WF_CF_COUNT; cf++) {
        uint32_t count = ends[cf];
        ends[cf] = at;
        at += count;
    }
    for (uint32_t i = 0; i < order->count; i++)
        order->spare[ends[order->items[i].cf]++] = order->items[i];
    for (unsigned cf = 0; cf < WF_CF_COUNT && err == WEFT_OK; cf++) {
        uint32_t from = cf == 0 ? 0 : ends[cf - 1], count = ends[cf] - from;
        struct wf_ordered *items = order->spare + from;
        if (count > 1 && rank(items, count)) items = sort(items, order->items + from, count);
        err = give(items, count, fn, arg);
    }
    order->count = 0;
    return err;
}

/* By itself, as it is numbered in the order of arrival; and its values are the largest. */
static bool ascends(enum wf_cf cf) { return cf == WF_CF_ENTRY || cf == WF_CF_ARR; }

struct walk {
    struct wf_batch_order *order;
    weft_err (*fn)(void *arg, const wf_batch_op *op);
    void *arg;
};

static weft_err keep(void *arg, const wf_batch_op *op)
{
    struct walk *walk = arg;
    struct wf_batch_order *order = walk->order;
    if (ascends(op->cf)) return walk->fn(walk->arg, op);
    WF_ASSERT(op->value == op->key + op->key_len);
    if (order->count == order->room && !grow(order)) { /* what is kept is older: it goes first */
        weft_err err = give_kept(order, walk->fn, walk->arg);
        if (err != WEFT_OK) return err;
        if (order->room == 0) return walk->fn(walk->arg, op);
    }
    order->items[order->count++] = (struct wf_ordered){.key = op->key,
                                                       .value_len = (uint32_t)op->value_len,
                                                       .key_len = (uint16_t)op->key_len,
                                                       .cf = (uint8_t)op->cf,
                                                       .is_delete = op->is_delete};
    return WEFT_OK;
}

weft_err wf_batch_each_ordered(const wf_batch *batch, struct wf_batch_order *order,
                               weft_err (*fn)(void *arg, const wf_batch_op *op), void *arg)
{
    struct walk walk = {order, fn, arg};
    order->count = 0;
    weft_err err = wf_batch_each(batch, keep, &walk);
    return err == WEFT_OK ? give_kept(order, fn, arg) : err;
}
