/* SPDX-License-Identifier: Apache-2.0
 * heap.c - a binary heap of things that are due, ordered by (at, order).
 * Called by: timer.c, ask.c, sim.c, one thread each. May touch: the items' places.
 * Never: looks into an item, orders by address. */
#include "heap.h"

#include "alloc.h"
#include "log.h"

#define HEAP_ROOM_FIRST 8u

static bool before(const struct wf_due *a, const struct wf_due *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct wf_heap *heap, uint32_t i, struct wf_due due)
{
    heap->slots[i] = due;
    *due.place = i + 1;
}

static void rise(struct wf_heap *heap, uint32_t i, struct wf_due due)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!before(&due, &heap->slots[parent])) break;
        put(heap, i, heap->slots[parent]);
        i = parent;
    }
    put(heap, i, due);
}

static void sink(struct wf_heap *heap, uint32_t i, struct wf_due due)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && before(&heap->slots[child + 1], &heap->slots[child]))
            child++;
        if (!before(&heap->slots[child], &due)) break;
        put(heap, i, heap->slots[child]);
        i = child;
    }
    put(heap, i, due);
}

weft_err wf_heap_reserve(struct wf_heap *heap, uint32_t count)
{
    if (count <= heap->room) return WEFT_OK;
    uint32_t room = heap->room == 0 ? HEAP_ROOM_FIRST : heap->room;
    while (room < count) room *= 2;
    struct wf_due *slots = wf_realloc(heap->slots, room * sizeof *slots);
    if (slots == NULL) return WEFT_NO_MEMORY;
    heap->slots = slots;
    heap->room = room;
    return WEFT_OK;
}

weft_err wf_heap_push(struct wf_heap *heap, struct wf_due due)
{
    WF_ASSERT(*due.place == 0);
    weft_err err = wf_heap_reserve(heap, heap->count + 1);
    if (err != WEFT_OK) return err;
    rise(heap, heap->count++, due);
    return WEFT_OK;
}

void wf_heap_remove(struct wf_heap *heap, uint32_t *place)
{
    if (*place == 0) return;
    uint32_t i = *place - 1;
    WF_ASSERT(i < heap->count && heap->slots[i].place == place);
    *place = 0;
    struct wf_due last = heap->slots[--heap->count];
    if (i == heap->count) return;
    if (i > 0 && before(&last, &heap->slots[(i - 1) / 2])) rise(heap, i, last);
    else sink(heap, i, last);
}

const struct wf_due *wf_heap_top(const struct wf_heap *heap)
{
    return heap->count == 0 ? NULL : &heap->slots[0];
}

weft_ns wf_heap_next(const struct wf_heap *heap)
{
    return heap->count == 0 ? WEFT_NEVER : heap->slots[0].at;
}

void wf_heap_fini(struct wf_heap *heap)
{
    while (heap->count > 0) wf_heap_remove(heap, heap->slots[0].place);
    wf_free(heap->slots);
    heap->slots = NULL;
    heap->room = 0;
}
