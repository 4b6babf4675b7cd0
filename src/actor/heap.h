/* SPDX-License-Identifier: Apache-2.0
 * heap.h - a binary heap of things that are due, ordered by (at, order).
 * Each thing stores its own 1-based place (0: not in a heap), so that it can be
 * taken out from the middle. Called by: timer.c, ask.c, sim.c. One thread. */
#ifndef WF_HEAP_H
#define WF_HEAP_H

#include <stdint.h>

#include <weft/actor.h>

struct wf_due {
    weft_ns at;
    uint64_t order; /* decides between equal times */
    void *item;
    uint32_t *place; /* inside the item */
};

struct wf_heap {
    struct wf_due *slots;
    uint32_t count, room;
};

/* Makes room for `count` items, so that pushes up to there cannot fail. NO_MEMORY. */
weft_err wf_heap_reserve(struct wf_heap *heap, uint32_t count);
/* Adds an item that is in no heap. NO_MEMORY. */
weft_err wf_heap_push(struct wf_heap *heap, struct wf_due due);
/* Takes the item out whose place is *place; nothing if that is 0. */
void wf_heap_remove(struct wf_heap *heap, uint32_t *place);
/* The earliest, or NULL. Valid until the heap changes. */
const struct wf_due *wf_heap_top(const struct wf_heap *heap);
/* When the earliest is due, or WEFT_NEVER. */
weft_ns wf_heap_next(const struct wf_heap *heap);
void wf_heap_fini(struct wf_heap *heap);

#endif
