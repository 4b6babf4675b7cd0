/* SPDX-License-Identifier: Apache-2.0
 * dag_heap.h - a binary heap of entries that a walk has yet to look at.
 * Called by: dag_*.c. May touch: the heap. Never: reads the store, recurses.
 *
 * An entry may be put in many times, once for each edge to it; they come out together.
 * So a walk that goes strictly down (or up) needs no set of what it has seen. */
#ifndef WF_DAG_HEAP_H
#define WF_DAG_HEAP_H

#include "dag_view.h"

enum wf_dag_first { WF_HIGHEST_GEN, WF_LOWEST_GEN, WF_LOWEST_HEIGHT }; /* and then by id */

#define WF_DAG_MARKS 4u /* marks are two bits */
struct wf_dag_heap {
    struct wf_dag_waiting {
        struct wf_fact fact;
        uint32_t mark;
    } * items;
    uint32_t count, room, max;
    uint32_t marked[WF_DAG_MARKS]; /* how many wait with this mark */
    enum wf_dag_first first;
};

void wf_dag_heap_init(struct wf_dag_heap *heap, enum wf_dag_first first, uint32_t max);
void wf_dag_heap_fini(struct wf_dag_heap *heap);
/* LIMIT: `max` wait. NO_MEMORY. */
weft_err wf_dag_heap_push(struct wf_dag_heap *heap, const struct wf_fact *fact, uint32_t mark);
/* Takes the first one and all that are equal; *mark: theirs together. Not when empty. */
void wf_dag_heap_pop(struct wf_dag_heap *heap, struct wf_fact *out, uint32_t *mark);

#endif
