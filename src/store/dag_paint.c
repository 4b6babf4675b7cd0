/* SPDX-License-Identifier: Apache-2.0
 * dag_paint.c - what is at or below one cut and not at or below another.
 * Called by: api_dag.c. May touch: the store, reading.
 * Never: recurses, reads the history below the difference if it can be helped. */
#include <string.h>

#include "alloc.h"
#include "dag_heap.h"
#include "dag_walk.h"
#include "diff.h"

enum { TO = 1, FROM = 2 }; /* colours, which go down to the parents */

/* Entries that a walk downwards has yet to look at, and what it has found. */
struct descent {
    struct wf_dag_heap heap;
    struct wf_facts found;
};

/* Two ways of asking take turns, and the first that ends has answered.
 * Painting goes down from both cuts until nothing waits that only `to` reached: as far as
 * the lowest entry of the difference. Comparing first finds what the view has beyond
 * `from`, which is closed upwards, and goes down from `to` inside of that only: cheap when
 * `from` is near the tips, however deep an old branch hangs.
 * When both find too much, everything below each cut is marked, one bit for each. */
struct between {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    struct wf_facts from, to;
    enum { RACING, LISTED, MARKING, ORDERED } phase;
    bool painting, comparing; /* still in the race */
    bool compares_next;
    struct descent paint, inner;
    wf_diff *diff;          /* what is beyond `from`, until it is known */
    uint64_t diff_reads;    /* of it, that were counted                 */
    struct wf_facts beyond; /* by (gen, id): height is gen here */
    const struct wf_facts *list;
    uint32_t at;
    struct wf_dag_mark *below_from, *below_to;
    struct wf_dag_walk *order;
};

static void descent_fini(struct descent *d)
{
    wf_dag_heap_fini(&d->heap);
    wf_facts_fini(&d->found);
}

/* -- Painting ---------------------------------------------------------------------------------- */

static weft_err push_all(struct wf_dag_heap *heap, const struct wf_facts *facts, uint32_t colours)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < facts->count && err == WEFT_OK; i++)
        err = wf_dag_heap_push(heap, &facts->list[i], colours);
    return err;
}

static weft_err paint(struct between *b, uint64_t until)
{
    struct descent *d = &b->paint;
    while (d->heap.marked[TO] > 0) {
        struct wf_fact fact;
        uint32_t colours;
        const struct wf_facts *parents;
        if (b->dag->reads >= until) return WEFT_AGAIN;
        /* All its children were higher and have been looked at: its colours are final. */
        wf_dag_heap_pop(&d->heap, &fact, &colours);
        weft_err err = WEFT_OK;
        if (colours == TO && d->found.count >= b->dag->bounds.found) err = WEFT_LIMIT;
        else if (colours == TO) err = wf_facts_add(&d->found, &fact);
        if (err == WEFT_OK) err = wf_dag_parents(b->dag, &fact, &parents);
        if (err == WEFT_OK) err = push_all(&d->heap, parents, colours);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

/* -- Comparing ----------------------------------------------------------------------------------- */

static weft_err push_beyond(struct between *b, const struct wf_facts *facts)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < facts->count && err == WEFT_OK; i++) {
        struct wf_fact by_gen = facts->list[i];
        uint32_t at;
        by_gen.height = by_gen.gen;
        if (wf_facts_find(&b->beyond, &by_gen, &at))
            err = wf_dag_heap_push(&b->inner.heap, &facts->list[i], TO);
    }
    return err;
}

static weft_err find_beyond(struct between *b, uint64_t until)
{
    weft_err err = wf_diff_step(b->diff, (uint32_t)(until - b->dag->reads));
    b->dag->reads += wf_diff_reads(b->diff) - b->diff_reads;
    b->diff_reads = wf_diff_reads(b->diff);
    for (uint32_t i = 0; err == WEFT_OK && i < wf_diff_count(b->diff); i++) {
        wf_place place;
        wf_diff_at(b->diff, i, &place);
        err = wf_facts_add(&b->beyond,
                           &(struct wf_fact){place.id, place.gen, place.gen, place.seq, 0});
    }
    if (err != WEFT_OK) return err;
    wf_diff_destroy(b->diff);
    b->diff = NULL;
    return push_beyond(b, &b->to);
}

static weft_err compare(struct between *b, uint64_t until)
{
    weft_err err = b->diff == NULL ? WEFT_OK : find_beyond(b, until);
    while (err == WEFT_OK && b->inner.heap.count > 0) {
        struct wf_fact fact;
        uint32_t colours;
        const struct wf_facts *parents;
        if (b->dag->reads >= until) return WEFT_AGAIN;
        wf_dag_heap_pop(&b->inner.heap, &fact, &colours);
        err = wf_facts_add(&b->inner.found, &fact);
        if (err == WEFT_OK) err = wf_dag_parents(b->dag, &fact, &parents);
        if (err == WEFT_OK) err = push_beyond(b, parents);
    }
    return err;
}

static void stop_comparing(struct between *b)
{
    wf_diff_destroy(b->diff);
    b->diff = NULL;
    wf_facts_fini(&b->beyond);
    b->comparing = false;
}

/* -- The race -------------------------------------------------------------------------------------- */

static weft_err begin_marking(struct between *b)
{
    descent_fini(&b->paint);
    descent_fini(&b->inner);
    b->phase = MARKING;
    weft_err err = wf_dag_mark_create(b->dag, &b->to, &b->below_to);
    if (err == WEFT_OK && b->from.count > 0)
        err = wf_dag_mark_create(b->dag, &b->from, &b->below_from);
    return err;
}

static weft_err race(struct between *b)
{
    if (!b->painting && !b->comparing) return begin_marking(b);
    uint64_t until = b->dag->reads + wf_dag_turn(b->dag, WEFT_DAG_TURN_READS);
    bool compares = b->comparing && (b->compares_next || !b->painting);
    weft_err err = compares ? compare(b, until) : paint(b, until);
    b->compares_next = !compares;
    if (err == WEFT_AGAIN) return WEFT_OK;
    if (err == WEFT_LIMIT) {
        if (compares) stop_comparing(b);
        else b->painting = false;
        return WEFT_OK;
    }
    if (err != WEFT_OK) return err;
    struct wf_facts *found = compares ? &b->inner.found : &b->paint.found;
    wf_facts_sort(found);
    b->list = found;
    b->phase = LISTED;
    stop_comparing(b);
    return WEFT_OK;
}

static weft_err mark(struct between *b)
{
    uint32_t budget = wf_dag_turn(b->dag, UINT32_MAX);
    weft_err err = wf_dag_mark_step(b->below_to, budget);
    if (err != WEFT_OK) return err;
    if (wf_dag_spent(b->dag)) return WEFT_AGAIN;
    if (b->below_from != NULL) err = wf_dag_mark_step(b->below_from, wf_dag_turn(b->dag, budget));
    if (err != WEFT_OK) return err;
    b->phase = ORDERED;
    const struct wf_dag_bits *but = b->below_from == NULL ? NULL : wf_dag_mark_bits(b->below_from);
    return wf_dag_order_create(b->dag, b->to.list[b->to.count - 1].height,
                               wf_dag_mark_bits(b->below_to), but, &b->order);
}

/* -- The walk ---------------------------------------------------------------------------------------- */

static weft_err next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct between *b = (struct between *)walk;
    if (b->to.count == 0) return WEFT_END;
    while (b->phase != LISTED && b->phase != ORDERED) {
        weft_err err;
        if (wf_dag_spent(b->dag)) return WEFT_AGAIN;
        err = b->phase == RACING ? race(b) : mark(b);
        if (err != WEFT_OK && err != WEFT_AGAIN) return err;
    }
    if (b->phase == ORDERED) return b->order->next(b->order, out);
    if (b->at == b->list->count) return WEFT_END;
    *out = b->list->list[b->at++];
    return WEFT_OK;
}

static void destroy(struct wf_dag_walk *walk)
{
    struct between *b = (struct between *)walk;
    wf_dag_walk_destroy(b->order);
    wf_dag_mark_destroy(b->below_from);
    wf_dag_mark_destroy(b->below_to);
    stop_comparing(b);
    descent_fini(&b->paint);
    descent_fini(&b->inner);
    wf_facts_fini(&b->from);
    wf_facts_fini(&b->to);
    wf_free(b);
}

static weft_err begin_comparing(struct between *b, const struct wf_facts *from)
{
    weft_id *ids = wf_malloc(from->count * sizeof *ids);
    if (ids == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < from->count; i++) ids[i] = from->list[i].id;
    weft_err err = wf_diff_create(b->dag->store, b->dag->t, b->dag->upto_seq, ids, from->count,
                                  b->dag->bounds.found, b->dag->key, &b->diff);
    wf_free(ids);
    return err;
}

static weft_err begin(struct between *b, const struct wf_facts *from, const struct wf_facts *to)
{
    wf_dag_heap_init(&b->paint.heap, WF_HIGHEST_GEN, b->dag->bounds.waiting);
    wf_dag_heap_init(&b->inner.heap, WF_HIGHEST_GEN, b->dag->bounds.waiting);
    weft_err err = push_all(&b->paint.heap, to, TO);
    if (err == WEFT_OK) err = push_all(&b->paint.heap, from, FROM);
    b->painting = err == WEFT_OK;
    if (err != WEFT_OK && err != WEFT_LIMIT) return err;
    /* The difference walk knows the edges of the whole tree only; beyond nothing is all. */
    b->comparing = b->dag->name_len == 0 && from->count > 0;
    return b->comparing ? begin_comparing(b, from) : WEFT_OK;
}

weft_err wf_dag_between_take(struct wf_dag *dag, struct wf_facts *from, struct wf_facts *to,
                             struct wf_dag_walk **out)
{
    struct between *b = wf_calloc(1, sizeof *b);
    if (b == NULL) return WEFT_NO_MEMORY;
    b->walk = (struct wf_dag_walk){next, destroy};
    b->dag = dag;
    weft_err err = begin(b, from, to);
    if (err != WEFT_OK) {
        destroy(&b->walk);
        return err;
    }
    b->from = *from;
    b->to = *to;
    *from = *to = (struct wf_facts){0};
    *out = &b->walk;
    return WEFT_OK;
}
