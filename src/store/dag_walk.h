/* SPDX-License-Identifier: Apache-2.0
 * dag_walk.h - queries that go on step by step: what iterators are made of.
 * Called by: api_dag.c, and the rooms among each other. May touch: the store, reading.
 * Never: recurses, reads more than the call's budget by more than one turn. */
#ifndef WF_DAG_WALK_H
#define WF_DAG_WALK_H

#include "dag_view.h"

/* A walk borrows its view. next: OK, END; AGAIN when the budget is spent. After a failure
 * or LIMIT it may only be destroyed. */
struct wf_dag_walk {
    weft_err (*next)(struct wf_dag_walk *walk, struct wf_fact *out);
    void (*destroy)(struct wf_dag_walk *walk);
};
void wf_dag_walk_destroy(struct wf_dag_walk *walk); /* NULL is fine */

/* -- Marks: one bit for each arrival of the view ------------------------------------------ */
struct wf_dag_bits {
    uint64_t *words;
    uint64_t count; /* bits 0 .. count-1; 0 stands for no arrival */
};
weft_err wf_dag_bits_create(uint64_t upto_seq, struct wf_dag_bits *out); /* LIMIT, NO_MEMORY */
void wf_dag_bits_fini(struct wf_dag_bits *bits);
static inline bool wf_dag_bits_has(const struct wf_dag_bits *bits, uint64_t seq)
{
    return seq < bits->count && (bits->words[seq / 64] >> (seq % 64) & 1) != 0;
}
static inline void wf_dag_bits_set(struct wf_dag_bits *bits, uint64_t seq)
{
    bits->words[seq / 64] |= UINT64_C(1) << (seq % 64);
}

/* Marks what is at or below a cut (dag_mark.c). */
struct wf_dag_mark;
/* `cut` is sorted and copied. */
weft_err wf_dag_mark_create(struct wf_dag *dag, const struct wf_facts *cut,
                            struct wf_dag_mark **out);
weft_err wf_dag_mark_step(struct wf_dag_mark *mark, uint32_t budget); /* OK: done; AGAIN */
const struct wf_dag_bits *wf_dag_mark_bits(const struct wf_dag_mark *mark);
void wf_dag_mark_destroy(struct wf_dag_mark *mark); /* NULL is fine */

/* -- Walks ---------------------------------------------------------------------------------- */
/* The view's entries in order, none above height `top`; only arrivals marked in `keep` and
 * not in `but`, which are borrowed (NULL: all; none). dag_order.c. */
weft_err wf_dag_order_create(struct wf_dag *dag, uint64_t top, const struct wf_dag_bits *keep,
                             const struct wf_dag_bits *but, struct wf_dag_walk **out);
/* The cut and what is below it. Sorted; taken on OK. */
weft_err wf_dag_below_take(struct wf_dag *dag, struct wf_facts *cut, struct wf_dag_walk **out);
/* What is at or below `to` and not at or below `from`. Both sorted; taken on OK. dag_paint.c */
weft_err wf_dag_between_take(struct wf_dag *dag, struct wf_facts *from, struct wf_facts *to,
                             struct wf_dag_walk **out);
/* What is above `base` and at or below the cut, which is sorted; taken on OK. dag_base.c */
weft_err wf_dag_path_take(struct wf_dag *dag, const struct wf_fact *base, struct wf_facts *cut,
                          struct wf_dag_walk **out);
/* The highest entries of the view at or below a cut of the tree, in order, whatever the
 * entries of the cut write. NOT_FOUND, TREE, LIMIT (naming them). dag_named.c */
weft_err wf_dag_tips_at_create(struct wf_dag *dag, const weft_cut *cut, struct wf_dag_walk **out);
/* These entries. Taken on OK. */
weft_err wf_dag_list_take(struct wf_facts *facts, struct wf_dag_walk **out);

/* -- Reachability (dag_reach.c) ---------------------------------------------------------------- */
struct wf_dag_reach;
/* Neither cut is empty; both sorted; taken on OK. */
weft_err wf_dag_reach_take(struct wf_dag *dag, struct wf_facts *from, struct wf_facts *targets,
                           struct wf_dag_reach **out);
/* OK: *out says whether all targets are at or below `from`; AGAIN. */
weft_err wf_dag_reach_step(struct wf_dag_reach *reach, bool *out);
void wf_dag_reach_destroy(struct wf_dag_reach *reach); /* NULL is fine */

/* -- The merge base (dag_base.c) ----------------------------------------------------------------- */
struct wf_dag_base;
/* `cut` is not empty; sorted. LIMIT. */
weft_err wf_dag_base_create(struct wf_dag *dag, const struct wf_facts *cut,
                            struct wf_dag_base **out);
/* OK: *out is the nearest entry that every way down passes; NOT_FOUND: none; AGAIN; LIMIT. */
weft_err wf_dag_base_step(struct wf_dag_base *base, weft_id *out);
void wf_dag_base_destroy(struct wf_dag_base *base); /* NULL is fine */

/* -- Iterators (dag_iter.c) ---------------------------------------------------------------------- */
/* Takes the walk, also when it fails; the view is counted. */
weft_err wf_dag_iter_create(struct wf_dag *dag, struct wf_dag_walk *walk, weft_iter **out);
/* Of ids in their order, looked up one by one: in the view, or anywhere in `store` if dag
 * is NULL. `ids` (from wf_malloc) is taken on OK. */
weft_err wf_dag_ids_iter_take(struct wf_dag *dag, wf_store *store, weft_id *ids, uint32_t count,
                              weft_iter **out);

#endif
