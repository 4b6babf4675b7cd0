/* SPDX-License-Identifier: Apache-2.0
 * dag_heap.c - a binary heap of entries that a walk has yet to look at.
 * Called by: dag_*.c. May touch: the heap's memory.
 * Never: reads the store, recurses. */
#include "dag_heap.h"

#include "alloc.h"
#include "log.h"

void wf_dag_heap_init(struct wf_dag_heap *heap, enum wf_dag_first first, uint32_t max)
{
    *heap = (struct wf_dag_heap){.first = first, .max = max};
}

void wf_dag_heap_fini(struct wf_dag_heap *heap)
{
    wf_free(heap->items);
    *heap = (struct wf_dag_heap){.first = heap->first, .max = heap->max};
}

static bool before(const struct wf_dag_heap *heap, const struct wf_fact *a, const struct wf_fact *b)
{
    uint64_t x = heap->first == WF_LOWEST_HEIGHT ? a->height : a->gen;
    uint64_t y = heap->first == WF_LOWEST_HEIGHT ? b->height : b->gen;
    bool down = heap->first == WF_HIGHEST_GEN;
    if (x != y) return down ? x > y : x < y;
    int order = weft_id_compare(&a->id, &b->id);
    return down ? order > 0 : order < 0;
}

weft_err wf_dag_heap_push(struct wf_dag_heap *heap, const struct wf_fact *fact, uint32_t mark)
{
    WF_ASSERT(mark < WF_DAG_MARKS);
    if (heap->count >= heap->max) return WEFT_LIMIT;
    if (heap->count == heap->room) {
        uint32_t room = heap->room == 0 ? 64 : heap->room * 2;
        struct wf_dag_waiting *items = wf_realloc(heap->items, room * sizeof *items);
        if (items == NULL) return WEFT_NO_MEMORY;
        heap->items = items;
        heap->room = room;
    }
    uint32_t at = heap->count++;
    for (; at > 0 && before(heap, fact, &heap->items[(at - 1) / 2].fact); at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = (struct wf_dag_waiting){*fact, mark};
    heap->marked[mark]++;
    return WEFT_OK;
}

static void remove_first(struct wf_dag_heap *heap)
{
    struct wf_dag_waiting last = heap->items[--heap->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t next = 2 * at + 1;
        if (next >= heap->count) break;
        if (next + 1 < heap->count &&
            before(heap, &heap->items[next + 1].fact, &heap->items[next].fact))
            next++;
        if (!before(heap, &heap->items[next].fact, &last.fact)) break;
        heap->items[at] = heap->items[next];
        at = next;
    }
    if (heap->count > 0) heap->items[at] = last;
}

void wf_dag_heap_pop(struct wf_dag_heap *heap, struct wf_fact *out, uint32_t *mark)
{
    WF_ASSERT(heap->count > 0);
    *out = heap->items[0].fact;
    *mark = 0;
    do {
        *mark |= heap->items[0].mark;
        heap->marked[heap->items[0].mark]--;
        remove_first(heap);
    } while (heap->count > 0 && weft_id_equal(&heap->items[0].fact.id, &out->id));
}
