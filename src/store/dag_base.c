/* SPDX-License-Identifier: Apache-2.0
 * dag_base.c - the entry that all ways down from a cut pass, and the ways up from an entry.
 * Called by: api_dag.c. May touch: the store, reading.
 * Never: recurses; a path looks below its base only if what is above it does not fit its bounds. */
#include <string.h>

#include "alloc.h"
#include "dag_heap.h"
#include "dag_walk.h"
#include "dom.h"
#include "log.h"
#include "remake.h"

/* -- The merge base ---------------------------------------------------------------------------- */

/* The nearest entry that all of a cut stand on in the tree of dominators (dom.h): two of them
 * are brought together, then what they have met at and the next one. */
struct wf_dag_base {
    struct wf_dag *dag;
    struct wf_facts cut;
    uint32_t taken; /* of the cut, the highest first, into `met` or `other` */
    struct wf_dom met, other;
};

weft_err wf_dag_base_create(struct wf_dag *dag, const struct wf_facts *cut,
                            struct wf_dag_base **out)
{
    if (wf_store_format(dag->store) < WF_FORMAT_VERSION) return WEFT_VERSION;
    struct wf_dag_base *b = wf_calloc(1, sizeof *b);
    if (b == NULL) return WEFT_NO_MEMORY;
    b->dag = dag;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < cut->count && err == WEFT_OK; i++)
        err = wf_facts_add(&b->cut, &cut->list[i]);
    if (err == WEFT_OK) {
        *out = b;
        b = NULL; /* the caller's now */
    }
    wf_dag_base_destroy(b);
    return err;
}

static weft_err read_dom(void *arg, struct wf_dom_at at, struct wf_dom *out)
{
    struct wf_dag *dag = arg;
    dag->reads++;
    uint64_t mark = wf_made_mark(dag->store);
    return wf_made_note(dag->store, dag->t, mark,
                        wf_dom_read(wf_store_kv(dag->store), NULL, dag->t, at, out));
}

static weft_err take_next(struct wf_dag_base *b)
{
    const struct wf_fact *next = &b->cut.list[b->cut.count - 1 - b->taken];
    weft_err err = read_dom(b->dag, (struct wf_dom_at){next->seq, next->part}, &b->other);
    if (err != WEFT_OK) return err;
    if (b->other.depth == 0)
        return wf_fail(WEFT_CORRUPT, "dag", "the way down from an entry was lost with its bytes");
    if (b->taken++ == 0) b->met = b->other;
    return WEFT_OK;
}

static weft_err name_base(struct wf_dag_base *b, uint64_t seq, weft_id *out)
{
    wf_arrival arrival;
    if (seq == 0) return WEFT_NOT_FOUND;
    for (uint32_t i = 0; i < b->cut.count; i++) { /* often one of them is below all others */
        if (b->cut.list[i].seq != seq) continue;
        *out = b->cut.list[i].id;
        return WEFT_OK;
    }
    b->dag->reads++;
    weft_err err = wf_store_arrival(b->dag->store, b->dag->t, seq, &arrival);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "dag", "an arrival is missing");
    if (err == WEFT_OK) *out = arrival.id;
    return err;
}

weft_err wf_dag_base_step(struct wf_dag_base *b, weft_id *out)
{
    if (b->cut.count == 1) {
        *out = b->cut.list[0].id;
        return WEFT_OK;
    }
    uint64_t lowest = b->dag->name_len == 0 ? 1 : 0; /* a tree has one root */
    for (;;) {
        weft_err err;
        bool together = wf_dom_met(&b->met, &b->other);
        bool more = b->taken < b->cut.count && (b->taken == 0 || b->met.depth > lowest);
        if (wf_dag_spent(b->dag)) return WEFT_AGAIN;
        if (!together) err = wf_dom_step(read_dom, b->dag, &b->met, &b->other);
        else if (more) err = take_next(b);
        else return name_base(b, b->met.at.seq, out);
        if (err != WEFT_OK) return err;
    }
}

void wf_dag_base_destroy(struct wf_dag_base *b)
{
    if (b == NULL) return;
    wf_facts_fini(&b->cut);
    wf_free(b);
}

/* -- Paths ----------------------------------------------------------------------------------------- */

/* Those of gen `low` or more. */
static weft_err push_all(struct wf_dag_heap *heap, const struct wf_facts *facts, uint64_t low)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < facts->count && err == WEFT_OK; i++)
        if (facts->list[i].gen >= low) err = wf_dag_heap_push(heap, &facts->list[i], 0);
    return err;
}

/* Down from the cut to the base's gen, all of which is kept; then up in order, in which
 * parents come first: an entry is on a way if a parent is the base or on a way. When the
 * way down finds too much, what is below the cut is marked, and the order goes up in it. */
struct path {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    struct wf_facts cut;
    struct wf_fact base;
    enum { DESCENDING, LISTED, MARKING, ORDERED } phase;
    struct wf_dag_heap heap;
    struct wf_facts found;
    bool *on_way; /* beside found */
    uint32_t at;
    struct wf_dag_mark *mark;
    struct wf_dag_bits reached; /* by arrival: the base and what is on a way */
    struct wf_dag_walk *order;
};

static void end_descent(struct path *p)
{
    wf_dag_heap_fini(&p->heap);
    wf_facts_fini(&p->found);
}

static weft_err begin_marking(struct path *p)
{
    end_descent(p);
    p->phase = MARKING;
    weft_err err = wf_dag_bits_create(p->dag->upto_seq, &p->reached);
    if (err != WEFT_OK) return err;
    wf_dag_bits_set(&p->reached, p->base.seq);
    return wf_dag_mark_create(p->dag, &p->cut, &p->mark);
}

/* OK: all of it is found. */
static weft_err descend(struct path *p)
{
    while (p->heap.count > 0) {
        struct wf_fact fact;
        uint32_t mark;
        const struct wf_facts *parents;
        if (wf_dag_spent(p->dag)) return WEFT_AGAIN;
        wf_dag_heap_pop(&p->heap, &fact, &mark);
        if (p->found.count >= p->dag->bounds.found) return WEFT_LIMIT;
        weft_err err = wf_facts_add(&p->found, &fact);
        if (err == WEFT_OK) err = wf_dag_parents(p->dag, &fact, &parents);
        if (err == WEFT_OK) err = push_all(&p->heap, parents, p->base.gen + 1);
        if (err != WEFT_OK) return err;
    }
    wf_facts_sort(&p->found);
    p->on_way = wf_calloc((size_t)p->found.count + 1, sizeof *p->on_way);
    if (p->on_way == NULL) return WEFT_NO_MEMORY;
    p->phase = LISTED;
    return WEFT_OK;
}

static bool leads_on(const struct path *p, const struct wf_fact *parent)
{
    uint32_t at;
    if (weft_id_equal(&parent->id, &p->base.id)) return true;
    if (p->phase == ORDERED) return wf_dag_bits_has(&p->reached, parent->seq);
    return wf_facts_find(&p->found, parent, &at) && p->on_way[at];
}

static weft_err is_on_way(struct path *p, const struct wf_fact *fact, bool *out)
{
    const struct wf_facts *parents;
    weft_err err = wf_dag_parents(p->dag, fact, &parents);
    if (err != WEFT_OK) return err;
    *out = false;
    for (uint32_t i = 0; i < parents->count && !*out; i++) *out = leads_on(p, &parents->list[i]);
    return WEFT_OK;
}

static weft_err next_listed(struct path *p, struct wf_fact *out)
{
    while (p->at < p->found.count) {
        if (wf_dag_spent(p->dag)) return WEFT_AGAIN;
        weft_err err = is_on_way(p, &p->found.list[p->at], &p->on_way[p->at]);
        if (err != WEFT_OK) return err;
        if (!p->on_way[p->at++]) continue;
        *out = p->found.list[p->at - 1];
        return WEFT_OK;
    }
    return WEFT_END;
}

static weft_err next_ordered(struct path *p, struct wf_fact *out)
{
    for (;;) {
        struct wf_fact fact;
        bool on_way = false;
        if (wf_dag_spent(p->dag)) return WEFT_AGAIN;
        weft_err err = p->order->next(p->order, &fact);
        if (err == WEFT_OK && fact.gen > p->base.gen) err = is_on_way(p, &fact, &on_way);
        if (err != WEFT_OK) return err;
        if (!on_way) continue;
        wf_dag_bits_set(&p->reached, fact.seq);
        *out = fact;
        return WEFT_OK;
    }
}

static weft_err begin_order(struct path *p)
{
    weft_err err = wf_dag_mark_step(p->mark, wf_dag_turn(p->dag, UINT32_MAX));
    if (err != WEFT_OK) return err;
    p->phase = ORDERED;
    return wf_dag_order_create(p->dag, p->cut.list[p->cut.count - 1].height,
                               wf_dag_mark_bits(p->mark), NULL, &p->order);
}

static weft_err next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct path *p = (struct path *)walk;
    if (p->cut.count == 0) return WEFT_END;
    while (p->phase == DESCENDING || p->phase == MARKING) {
        if (wf_dag_spent(p->dag)) return WEFT_AGAIN;
        weft_err err = p->phase == DESCENDING ? descend(p) : begin_order(p);
        if (err == WEFT_LIMIT && p->phase == DESCENDING) err = begin_marking(p);
        if (err != WEFT_OK && err != WEFT_AGAIN) return err;
    }
    return p->phase == LISTED ? next_listed(p, out) : next_ordered(p, out);
}

static void destroy(struct wf_dag_walk *walk)
{
    struct path *p = (struct path *)walk;
    wf_dag_walk_destroy(p->order);
    wf_dag_mark_destroy(p->mark);
    wf_dag_bits_fini(&p->reached);
    end_descent(p);
    wf_free(p->on_way);
    wf_facts_fini(&p->cut);
    wf_free(p);
}

weft_err wf_dag_path_take(struct wf_dag *dag, const struct wf_fact *base, struct wf_facts *cut,
                          struct wf_dag_walk **out)
{
    struct path *p = wf_calloc(1, sizeof *p);
    if (p == NULL) return WEFT_NO_MEMORY;
    p->walk = (struct wf_dag_walk){next, destroy};
    p->dag = dag;
    p->base = *base;
    p->cut = *cut;
    wf_dag_heap_init(&p->heap, WF_HIGHEST_GEN, dag->bounds.waiting);
    weft_err err = push_all(&p->heap, cut, base->gen + 1);
    if (err == WEFT_LIMIT) err = begin_marking(p);
    if (err != WEFT_OK) {
        p->cut = (struct wf_facts){0}; /* still the caller's */
        destroy(&p->walk);
        return err;
    }
    *cut = (struct wf_facts){0};
    *out = &p->walk;
    return WEFT_OK;
}
