/* SPDX-License-Identifier: Apache-2.0
 * dag_reach.c - is every entry of one cut at or below another cut?
 * Called by: api_dag.c. May touch: the store, reading.
 * Never: recurses, looks below the lowest target or above the highest start. */
#include <string.h>

#include "alloc.h"
#include "dag_heap.h"
#include "dag_walk.h"
#include "log.h"

#define CHILDREN 256u /* read at once */

/* Down from the start over parents and up from one target after the other over children
 * take turns; the first that is certain answers. The way up is for whole trees only: the
 * children of a named store would have to be told from others by their bodies. When too
 * much waits on both, everything below the start is marked, one bit for each. */
struct wf_dag_reach {
    struct wf_dag *dag;
    struct wf_facts from, targets;
    bool *met; /* beside each target: it is at or below the start */
    uint32_t unmet;
    uint64_t low, high; /* gens between which all ways lie */
    bool going_down, going_up, ups_turn;
    struct wf_dag_heap down;
    struct wf_dag_heap up; /* from targets.list[target] */
    uint32_t target;
    struct wf_facts children;
    struct wf_fact open; /* its children are being put into `up` */
    uint64_t after;
    bool opening;
    struct wf_dag_mark *mark; /* NULL: not begun */
};

enum answer { OPEN, YES, NO };

static void meet(struct wf_dag_reach *r, uint32_t target)
{
    if (r->met[target]) return;
    r->met[target] = true;
    r->unmet--;
}

/* -- Down ---------------------------------------------------------------------------------------- */

static weft_err step_down(struct wf_dag_reach *r, uint64_t until, enum answer *out)
{
    while (r->down.count > 0) {
        struct wf_fact fact;
        uint32_t mark, at;
        const struct wf_facts *parents;
        if (r->dag->reads >= until) return WEFT_AGAIN;
        wf_dag_heap_pop(&r->down, &fact, &mark);
        if (wf_facts_find(&r->targets, &fact, &at)) meet(r, at);
        if (r->unmet == 0) {
            *out = YES;
            return WEFT_OK;
        }
        if (fact.gen == r->low) continue;
        weft_err err = wf_dag_parents(r->dag, &fact, &parents);
        for (uint32_t i = 0; err == WEFT_OK && i < parents->count; i++)
            if (parents->list[i].gen >= r->low)
                err = wf_dag_heap_push(&r->down, &parents->list[i], 0);
        if (err != WEFT_OK) return err;
    }
    *out = NO; /* everything that could be one was looked at */
    return WEFT_OK;
}

/* -- Up ------------------------------------------------------------------------------------------ */

static weft_err put_children(struct wf_dag_reach *r)
{
    r->children.count = 0;
    weft_err err = wf_dag_children(r->dag, &r->open, r->after, wf_dag_turn(r->dag, CHILDREN),
                                   &r->children, &r->opening);
    for (uint32_t i = 0; i < r->children.count && err == WEFT_OK; i++) {
        const struct wf_fact *child = &r->children.list[i];
        r->after = child->seq;
        if (child->gen <= r->high) err = wf_dag_heap_push(&r->up, child, 0);
    }
    return err;
}

/* OK: this target was met, or it is certain that it cannot be (*out NO). */
static weft_err climb(struct wf_dag_reach *r, uint64_t until, enum answer *out)
{
    while (r->opening || r->up.count > 0) {
        weft_err err;
        uint32_t mark, at;
        if (r->dag->reads >= until) return WEFT_AGAIN;
        if (r->opening) {
            err = put_children(r);
            if (err != WEFT_OK) return err;
            continue;
        }
        wf_dag_heap_pop(&r->up, &r->open, &mark);
        if (wf_facts_find(&r->from, &r->open, &at)) {
            meet(r, r->target);
            return WEFT_OK;
        }
        r->opening = r->open.gen < r->high;
        r->after = r->open.seq;
    }
    *out = NO;
    return WEFT_OK;
}

static weft_err step_up(struct wf_dag_reach *r, uint64_t until, enum answer *out)
{
    for (;;) {
        bool begun = r->opening || r->up.count > 0;
        if (!begun) { /* the next target that is not met */
            while (r->target < r->targets.count && r->met[r->target]) r->target++;
            if (r->target == r->targets.count) break;
            weft_err err = wf_dag_heap_push(&r->up, &r->targets.list[r->target], 0);
            if (err != WEFT_OK) return err;
        }
        weft_err err = climb(r, until, out);
        if (err != WEFT_OK || *out == NO) return err;
        r->up.count = r->up.marked[0] = 0;
        r->opening = false;
    }
    *out = YES;
    return WEFT_OK;
}

/* -- By marks --------------------------------------------------------------------------------------- */

static weft_err step_mark(struct wf_dag_reach *r, enum answer *out)
{
    weft_err err = WEFT_OK;
    if (r->mark == NULL) err = wf_dag_mark_create(r->dag, &r->from, &r->mark);
    if (err == WEFT_OK) err = wf_dag_mark_step(r->mark, wf_dag_turn(r->dag, UINT32_MAX));
    if (err != WEFT_OK) return err;
    const struct wf_dag_bits *bits = wf_dag_mark_bits(r->mark);
    *out = YES;
    for (uint32_t i = 0; i < r->targets.count; i++)
        if (!wf_dag_bits_has(bits, r->targets.list[i].seq)) *out = NO;
    return WEFT_OK;
}

/* -- The query ---------------------------------------------------------------------------------------- */

static weft_err one_turn(struct wf_dag_reach *r, enum answer *out)
{
    uint64_t until = r->dag->reads + wf_dag_turn(r->dag, WEFT_DAG_TURN_READS);
    bool up = r->going_up && (r->ups_turn || !r->going_down);
    weft_err err;
    if (!r->going_up && !r->going_down) return step_mark(r, out);
    err = up ? step_up(r, until, out) : step_down(r, until, out);
    r->ups_turn = !up;
    if (err == WEFT_LIMIT) {
        if (up) r->going_up = false;
        else r->going_down = false;
        wf_dag_heap_fini(up ? &r->up : &r->down);
        err = WEFT_AGAIN;
    }
    return err;
}

weft_err wf_dag_reach_step(struct wf_dag_reach *r, bool *out)
{
    for (;;) {
        enum answer answer = OPEN;
        if (wf_dag_spent(r->dag)) return WEFT_AGAIN;
        weft_err err = one_turn(r, &answer);
        if (err == WEFT_AGAIN) continue;
        if (err != WEFT_OK) return err;
        WF_ASSERT(answer != OPEN);
        *out = answer == YES;
        return WEFT_OK;
    }
}

static weft_err begin(struct wf_dag_reach *r, const struct wf_facts *from,
                      const struct wf_facts *targets)
{
    weft_err err = WEFT_OK;
    wf_dag_heap_init(&r->down, WF_HIGHEST_GEN, r->dag->bounds.waiting);
    wf_dag_heap_init(&r->up, WF_LOWEST_GEN, r->dag->bounds.waiting);
    r->met = wf_calloc(targets->count, sizeof *r->met);
    if (r->met == NULL) return WEFT_NO_MEMORY;
    r->unmet = targets->count;
    r->low = UINT64_MAX;
    for (uint32_t i = 0; i < targets->count; i++)
        if (targets->list[i].gen < r->low) r->low = targets->list[i].gen;
    for (uint32_t i = 0; i < from->count; i++)
        if (from->list[i].gen > r->high) r->high = from->list[i].gen;
    for (uint32_t i = 0; i < from->count && err == WEFT_OK; i++)
        if (from->list[i].gen >= r->low) err = wf_dag_heap_push(&r->down, &from->list[i], 0);
    r->going_down = err == WEFT_OK;
    r->going_up = r->dag->name_len == 0;
    return err == WEFT_LIMIT ? WEFT_OK : err;
}

weft_err wf_dag_reach_take(struct wf_dag *dag, struct wf_facts *from, struct wf_facts *targets,
                           struct wf_dag_reach **out)
{
    struct wf_dag_reach *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    r->dag = dag;
    weft_err err = begin(r, from, targets);
    if (err != WEFT_OK) {
        wf_dag_reach_destroy(r);
        return err;
    }
    r->from = *from;
    r->targets = *targets;
    *from = *targets = (struct wf_facts){0};
    *out = r;
    return WEFT_OK;
}

void wf_dag_reach_destroy(struct wf_dag_reach *r)
{
    if (r == NULL) return;
    wf_facts_fini(&r->from);
    wf_facts_fini(&r->targets);
    wf_free(r->met);
    wf_dag_heap_fini(&r->down);
    wf_dag_heap_fini(&r->up);
    wf_facts_fini(&r->children);
    wf_dag_mark_destroy(r->mark);
    wf_free(r);
}
