/* SPDX-License-Identifier: Apache-2.0
 * dag_order.c - the entries of a view in the order (height, id), all or marked ones.
 * Called by: api_dag.c, dag_paint.c. May touch: the store, reading.
 * Never: keeps more than the frontier, leaves an iterator of the engine open. */
#include <string.h>

#include "alloc.h"
#include "dag_heap.h"
#include "dag_walk.h"

#define CHUNK 256u /* places of the gen index read at once */

/* Where heights are incremental, the door makes height equal gen, and the gen index is the
 * order. Where they are timestamps, a child is still higher than its parents: the lowest
 * of all that hang on what was shown is the lowest of all. */
struct order {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    uint64_t top;
    const struct wf_dag_bits *keep, *but;
    /* By gen. */
    struct wf_fact *chunk;
    uint32_t at, count;
    bool begun, dry;
    uint64_t gen; /* the last place that was read */
    weft_id id;
    /* By timestamp. */
    struct wf_dag_heap heap;
    struct wf_facts children;
    struct wf_fact open; /* its children are being put into the heap */
    uint64_t after;      /* those that arrived up to here are in it  */
    bool opening;
};

static bool wanted(const struct order *o, uint64_t seq)
{
    if (o->keep != NULL && !wf_dag_bits_has(o->keep, seq)) return false;
    return o->but == NULL || !wf_dag_bits_has(o->but, seq);
}

/* Has the view's store an order of its own? */
static bool is_listed(const struct wf_dag *dag)
{
    return dag->name_len > 0 && wf_store_lists_named(dag->store);
}

/* -- By gen ---------------------------------------------------------------------------------- */

static weft_err fill(struct order *o)
{
    wf_gen_walk *walk;
    const weft_id *after = o->begun ? &o->id : NULL;
    weft_err err = is_listed(o->dag)
                       ? wf_gen_walk_create_named(o->dag->store, o->dag->t, o->dag->name, false,
                                                  o->gen, after, &walk)
                       : wf_gen_walk_create(o->dag->store, o->dag->t, o->gen, after, &walk);
    if (err != WEFT_OK) return err;
    o->at = o->count = 0;
    for (uint32_t left = wf_dag_turn(o->dag, CHUNK); left > 0; left--) {
        wf_place place;
        o->dag->reads++;
        err = wf_gen_walk_next(walk, &place);
        if (err != WEFT_OK) break;
        o->begun = true;
        o->gen = place.gen;
        o->id = place.id;
        if (place.seq <= o->dag->upto_seq)
            o->chunk[o->count++] = (struct wf_fact){place.id, place.gen, place.gen, place.seq, 0};
    }
    wf_gen_walk_destroy(walk);
    o->dry = err == WEFT_END;
    return o->dry ? WEFT_OK : err;
}

static weft_err next_by_gen(struct order *o, struct wf_fact *out)
{
    struct wf_dag *dag = o->dag;
    for (;;) {
        if (o->at == o->count) {
            if (o->dry) return WEFT_END;
            if (wf_dag_spent(dag)) return WEFT_AGAIN;
            weft_err err = fill(o);
            if (err != WEFT_OK) return err;
            continue;
        }
        struct wf_fact fact = o->chunk[o->at];
        if (fact.height > o->top) return WEFT_END;
        /* What is marked is of the view's store; the rest has to be asked, if it was not
         * listed by it. */
        bool member = true, asked = dag->name_len > 0 && !is_listed(dag);
        if (asked && wanted(o, fact.seq) && o->keep == NULL) {
            if (wf_dag_spent(dag)) return WEFT_AGAIN;
            weft_err err = wf_dag_look(dag, &fact.id, &fact, &member);
            if (err != WEFT_OK) return err;
        }
        o->at++;
        if (!member || !wanted(o, fact.seq)) continue;
        *out = fact;
        return WEFT_OK;
    }
}

/* -- By timestamp ------------------------------------------------------------------------------ */

static weft_err put_root(struct order *o)
{
    struct wf_fact root;
    bool member;
    weft_err err = wf_dag_look(o->dag, &o->dag->tree, &root, &member);
    o->begun = true;
    if (err == WEFT_NOT_FOUND) return WEFT_OK; /* a tree that is only followed yet */
    return err == WEFT_OK ? wf_dag_heap_push(&o->heap, &root, 0) : err;
}

static weft_err put_children(struct order *o)
{
    o->children.count = 0;
    weft_err err = wf_dag_children(o->dag, &o->open, o->after, wf_dag_turn(o->dag, CHUNK),
                                   &o->children, &o->opening);
    for (uint32_t i = 0; i < o->children.count && err == WEFT_OK; i++) {
        const struct wf_fact *child = &o->children.list[i];
        o->after = child->seq;
        if (child->height <= o->top) err = wf_dag_heap_push(&o->heap, child, 0);
    }
    return err;
}

static weft_err next_by_height(struct order *o, struct wf_fact *out)
{
    weft_err err = o->begun ? WEFT_OK : put_root(o);
    while (err == WEFT_OK) {
        uint32_t mark;
        bool member = true;
        if (o->opening) {
            if (wf_dag_spent(o->dag)) return WEFT_AGAIN;
            err = put_children(o);
            continue;
        }
        if (o->heap.count == 0) return WEFT_END;
        if (o->dag->name_len > 0 && wf_dag_spent(o->dag)) return WEFT_AGAIN;
        wf_dag_heap_pop(&o->heap, &o->open, &mark);
        o->opening = true;
        o->after = o->open.seq; /* children come after their parents */
        if (!wanted(o, o->open.seq)) continue;
        if (o->keep == NULL && o->dag->name_len > 0) {
            struct wf_fact same;
            err = wf_dag_look(o->dag, &o->open.id, &same, &member);
        }
        if (err != WEFT_OK || !member) continue;
        *out = o->open;
        return WEFT_OK;
    }
    return err;
}

/* -- The walk ------------------------------------------------------------------------------------ */

static weft_err next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct order *o = (struct order *)walk;
    if (o->dag->strategy == WEFT_HEIGHT_INCREMENTAL) return next_by_gen(o, out);
    return next_by_height(o, out);
}

static void destroy(struct wf_dag_walk *walk)
{
    struct order *o = (struct order *)walk;
    wf_free(o->chunk);
    wf_dag_heap_fini(&o->heap);
    wf_facts_fini(&o->children);
    wf_free(o);
}

weft_err wf_dag_order_create(struct wf_dag *dag, uint64_t top, const struct wf_dag_bits *keep,
                             const struct wf_dag_bits *but, struct wf_dag_walk **out)
{
    struct order *o = wf_calloc(1, sizeof *o);
    if (o == NULL) return WEFT_NO_MEMORY;
    o->walk = (struct wf_dag_walk){next, destroy};
    o->dag = dag;
    o->top = top;
    o->keep = keep;
    o->but = but;
    wf_dag_heap_init(&o->heap, WF_LOWEST_HEIGHT, dag->bounds.waiting);
    o->chunk = wf_malloc(CHUNK * sizeof *o->chunk);
    if (o->chunk == NULL) {
        destroy(&o->walk);
        return WEFT_NO_MEMORY;
    }
    *out = &o->walk;
    return WEFT_OK;
}

void wf_dag_walk_destroy(struct wf_dag_walk *walk)
{
    if (walk != NULL) walk->destroy(walk);
}

/* -- Below a cut ---------------------------------------------------------------------------------- */

struct below {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    struct wf_facts cut;
    struct wf_dag_mark *mark;
    struct wf_dag_walk *order; /* NULL: marking goes on */
};

static weft_err below_next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct below *b = (struct below *)walk;
    if (b->cut.count == 0) return WEFT_END;
    while (b->order == NULL) {
        if (wf_dag_spent(b->dag)) return WEFT_AGAIN;
        weft_err err = wf_dag_mark_step(b->mark, wf_dag_turn(b->dag, UINT32_MAX));
        if (err == WEFT_AGAIN) continue;
        if (err != WEFT_OK) return err;
        uint64_t top = b->cut.list[b->cut.count - 1].height;
        err = wf_dag_order_create(b->dag, top, wf_dag_mark_bits(b->mark), NULL, &b->order);
        if (err != WEFT_OK) return err;
    }
    return b->order->next(b->order, out);
}

static void below_destroy(struct wf_dag_walk *walk)
{
    struct below *b = (struct below *)walk;
    wf_dag_walk_destroy(b->order);
    wf_dag_mark_destroy(b->mark);
    wf_facts_fini(&b->cut);
    wf_free(b);
}

weft_err wf_dag_below_take(struct wf_dag *dag, struct wf_facts *cut, struct wf_dag_walk **out)
{
    struct below *b = wf_calloc(1, sizeof *b);
    if (b == NULL) return WEFT_NO_MEMORY;
    b->walk = (struct wf_dag_walk){below_next, below_destroy};
    b->dag = dag;
    weft_err err = cut->count == 0 ? WEFT_OK : wf_dag_mark_create(dag, cut, &b->mark);
    if (err != WEFT_OK) {
        below_destroy(&b->walk);
        return err;
    }
    b->cut = *cut;
    *cut = (struct wf_facts){0};
    *out = &b->walk;
    return WEFT_OK;
}

/* -- A list ------------------------------------------------------------------------------------------ */

struct listed {
    struct wf_dag_walk walk;
    struct wf_facts facts;
    uint32_t at;
};

static weft_err list_next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct listed *l = (struct listed *)walk;
    if (l->at == l->facts.count) return WEFT_END;
    *out = l->facts.list[l->at++];
    return WEFT_OK;
}

static void list_destroy(struct wf_dag_walk *walk)
{
    struct listed *l = (struct listed *)walk;
    wf_facts_fini(&l->facts);
    wf_free(l);
}

weft_err wf_dag_list_take(struct wf_facts *facts, struct wf_dag_walk **out)
{
    struct listed *l = wf_calloc(1, sizeof *l);
    if (l == NULL) return WEFT_NO_MEMORY;
    l->walk = (struct wf_dag_walk){list_next, list_destroy};
    l->facts = *facts;
    *facts = (struct wf_facts){0};
    *out = &l->walk;
    return WEFT_OK;
}
