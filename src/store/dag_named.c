/* SPDX-License-Identifier: Apache-2.0
 * dag_named.c - the highest entries, of a tree or of a named store, at or below a cut.
 * Called by: api_dag.c, api_dag_commit.c. May touch: the store, reading.
 * Never: recurses, keeps more than marks, the answer and a frontier. */
#include <string.h>

#include "alloc.h"
#include "dag_heap.h"
#include "dag_walk.h"

#define CHILDREN 256u /* read at once */
#define CHUNK 256u    /* places of a list read at once */

/* -- Of the whole tree --------------------------------------------------------------------------- */

enum { NAMED = 1, BELOW = 2 }; /* marks */

/* Down from the cut to its lowest gen: what comes out with the mark of the cut alone has
 * nothing of the cut above it. */
struct peaks {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    struct wf_dag_heap heap;
    uint64_t low;
    struct wf_facts found;
    uint32_t at;
    bool known;
};

static weft_err find_peaks(struct peaks *p)
{
    while (p->heap.marked[NAMED] > 0) {
        struct wf_fact fact;
        uint32_t marks;
        const struct wf_facts *parents;
        weft_err err = WEFT_OK;
        if (wf_dag_spent(p->dag)) return WEFT_AGAIN;
        wf_dag_heap_pop(&p->heap, &fact, &marks);
        if (marks == NAMED) err = wf_facts_add(&p->found, &fact);
        if (err != WEFT_OK || p->heap.marked[NAMED] == 0) return err;
        err = wf_dag_parents(p->dag, &fact, &parents);
        for (uint32_t i = 0; err == WEFT_OK && i < parents->count; i++)
            if (parents->list[i].gen >= p->low)
                err = wf_dag_heap_push(&p->heap, &parents->list[i], BELOW);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

static weft_err next_peak(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct peaks *p = (struct peaks *)walk;
    if (!p->known) {
        weft_err err = find_peaks(p);
        if (err != WEFT_OK) return err;
        wf_facts_sort(&p->found);
        p->known = true;
    }
    if (p->at == p->found.count) return WEFT_END;
    *out = p->found.list[p->at++];
    return WEFT_OK;
}

static void destroy_peaks(struct wf_dag_walk *walk)
{
    struct peaks *p = (struct peaks *)walk;
    wf_dag_heap_fini(&p->heap);
    wf_facts_fini(&p->found);
    wf_free(p);
}

static weft_err create_peaks(struct wf_dag *dag, const struct wf_facts *cut,
                             struct wf_dag_walk **out)
{
    struct peaks *p = wf_calloc(1, sizeof *p);
    if (p == NULL) return WEFT_NO_MEMORY;
    p->walk = (struct wf_dag_walk){next_peak, destroy_peaks};
    p->dag = dag;
    p->low = UINT64_MAX;
    wf_dag_heap_init(&p->heap, WF_HIGHEST_GEN, dag->bounds.waiting);
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < cut->count && err == WEFT_OK; i++) {
        if (cut->list[i].gen < p->low) p->low = cut->list[i].gen;
        err = wf_dag_heap_push(&p->heap, &cut->list[i], NAMED);
    }
    if (err == WEFT_OK) {
        *out = &p->walk;
        return WEFT_OK;
    }
    destroy_peaks(&p->walk);
    return err;
}

/* -- Of a named store ------------------------------------------------------------------------------ */

/* What is below the cut is marked first. Where less lies outside than inside, a highest
 * entry is a tip of the view that is inside, or a parent of something outside without a
 * child inside. Else one pass goes down the arrivals inside: children come after their
 * parents, so whatever nobody has named yet is a highest one. Either pass goes down the
 * store's own list instead where that is shorter, in which parents come last as well. */
/* The view's store from (gen, id) downwards, as long as that is the shorter way. */
struct listed {
    wf_place *chunk; /* NULL: the arrivals are looked at one after the other */
    uint32_t at, count;
    uint64_t left; /* more than so many, and the arrivals are fewer */
    uint64_t gen;
    weft_id id;
    bool begun, dry;
};

struct named {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    struct wf_dag *whole; /* the same view of the whole tree */
    struct wf_dag_mark *mark;
    const struct wf_dag_bits *inside;
    uint64_t top_gen; /* of the cut */
    enum { MARKING, TIPS, OUTSIDE, CHOOSING, DESCENDING, KNOWN } phase;
    uint32_t tip;             /* looked at so far                            */
    uint64_t seq;             /* the arrival to look at                      */
    struct listed list;       /* or what the store lists                     */
    struct wf_dag_bits named; /* as a parent, by what was looked at          */
    struct wf_facts maybe;    /* parents of what is outside                  */
    uint32_t choosing;        /* of them: has it a child inside?             */
    bool begun;
    uint64_t after; /* children up to this arrival have been looked at */
    struct wf_facts children;
    struct wf_facts found;
    uint32_t at;
};

static weft_err add_found(struct named *n, const struct wf_fact *fact)
{
    return n->found.count >= WEFT_DAG_TIPS_MAX ? WEFT_LIMIT : wf_facts_add(&n->found, fact);
}

/* Looks at `wanted` arrivals, or at what the store lists, if that are fewer. */
static weft_err begin_pass(struct named *n, uint64_t wanted, bool from_cut)
{
    n->seq = n->dag->upto_seq;
    n->list = (struct listed){.left = wanted, .gen = n->top_gen + 1, .begun = from_cut};
    if (!wf_store_lists_named(n->dag->store)) return WEFT_OK;
    n->list.chunk = wf_malloc(CHUNK * sizeof *n->list.chunk);
    return n->list.chunk == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

static void end_list(struct named *n)
{
    wf_free(n->list.chunk);
    n->list.chunk = NULL;
}

static weft_err step_mark(struct named *n)
{
    uint64_t inside = 0;
    n->whole->reads = n->dag->reads;
    n->whole->until = n->dag->until;
    weft_err err = wf_dag_mark_step(n->mark, wf_dag_turn(n->dag, UINT32_MAX));
    n->dag->reads = n->whole->reads;
    if (err == WEFT_OK) err = wf_dag_bits_create(n->dag->upto_seq, &n->named);
    if (err != WEFT_OK) return err;
    n->inside = wf_dag_mark_bits(n->mark);
    for (uint64_t word = 0; word <= n->dag->upto_seq / 64; word++)
        for (uint64_t bits = n->inside->words[word]; bits != 0; bits &= bits - 1) inside++;
    n->phase = inside < n->dag->upto_seq / 2 ? DESCENDING : TIPS;
    return n->phase == TIPS ? begin_pass(n, n->dag->upto_seq - inside, false)
                            : begin_pass(n, inside, true);
}

static weft_err step_tips(struct named *n)
{
    struct wf_fact fact;
    if (n->tip == n->dag->tips_count) {
        n->phase = OUTSIDE;
        return WEFT_OK;
    }
    weft_err err = wf_dag_fact(n->dag, &n->dag->tips[n->tip], &fact);
    if (err == WEFT_OK && wf_dag_bits_has(n->inside, fact.seq)) err = add_found(n, &fact);
    if (err == WEFT_OK) n->tip++;
    return err;
}

static weft_err fill_list(struct named *n)
{
    struct listed *l = &n->list;
    wf_gen_walk *walk;
    weft_err err = wf_gen_walk_create_named(n->dag->store, n->dag->t, n->dag->name, true, l->gen,
                                            l->begun ? &l->id : NULL, &walk);
    if (err != WEFT_OK) return err;
    l->at = l->count = 0;
    uint32_t most = l->left < CHUNK ? (uint32_t)l->left + 1 : CHUNK;
    for (uint32_t room = wf_dag_turn(n->dag, most); room > 0; room--) {
        n->dag->reads++;
        err = wf_gen_walk_next(walk, &l->chunk[l->count]);
        if (err != WEFT_OK) break;
        l->gen = l->chunk[l->count].gen;
        l->id = l->chunk[l->count].id;
        l->begun = true;
        l->count++;
    }
    wf_gen_walk_destroy(walk);
    l->dry = err == WEFT_END;
    return l->dry ? WEFT_OK : err;
}

/* One step down the list. At its end there is no arrival left to look at. Where it turns out
 * to be the longer way the arrivals are begun with after all: what both meet was marked by
 * the first and is found again by the second. */
static weft_err next_listed(struct named *n, bool inside, struct wf_fact *out, bool *member)
{
    struct listed *l = &n->list;
    if (l->at < l->count) {
        const wf_place *place = &l->chunk[l->at++];
        bool wanted = place->seq <= n->dag->upto_seq &&
                      wf_dag_bits_has(n->inside, place->seq) == inside;
        weft_err err = wanted ? wf_dag_look(n->dag, &place->id, out, member) : WEFT_OK;
        return err == WEFT_NOT_FOUND ? wf_dag_broken(n->dag) : err;
    }
    if (l->dry) {
        end_list(n);
        n->seq = 0;
    } else if (l->left < l->count) {
        end_list(n);
        n->found.count = inside ? 0 : n->found.count;
    } else {
        l->left -= l->count;
        return fill_list(n);
    }
    return WEFT_OK;
}

/* The next arrival down that is inside, or outside, and its parents in the store. *member
 * false: it is at the end, or does not write the store. */
static weft_err next_arrival(struct named *n, bool inside, struct wf_fact *out, bool *member,
                             const struct wf_facts **parents)
{
    wf_arrival arrival;
    *member = false;
    if (n->list.chunk != NULL) {
        weft_err err = next_listed(n, inside, out, member);
        return err == WEFT_OK && *member ? wf_dag_parents(n->dag, out, parents) : err;
    }
    while (n->seq > 0 && wf_dag_bits_has(n->inside, n->seq) != inside) n->seq--;
    if (n->seq == 0) return WEFT_OK;
    n->dag->reads++;
    weft_err err = wf_store_arrival(n->dag->store, n->dag->t, n->seq, &arrival);
    if (err == WEFT_OK) err = wf_dag_look(n->dag, &arrival.id, out, member);
    if (err == WEFT_NOT_FOUND) err = wf_dag_broken(n->dag);
    if (err == WEFT_OK && *member) err = wf_dag_parents(n->dag, out, parents);
    if (err == WEFT_OK) n->seq--;
    return err;
}

static weft_err step_outside(struct named *n)
{
    struct wf_fact fact;
    const struct wf_facts *parents;
    bool member;
    weft_err err = next_arrival(n, false, &fact, &member, &parents);
    for (uint32_t i = 0; err == WEFT_OK && member && i < parents->count; i++) {
        const struct wf_fact *parent = &parents->list[i];
        if (!wf_dag_bits_has(n->inside, parent->seq)) continue;
        if (wf_dag_bits_has(&n->named, parent->seq)) continue;
        wf_dag_bits_set(&n->named, parent->seq);
        err = n->maybe.count >= WEFT_DAG_TIPS_MAX ? WEFT_LIMIT : wf_facts_add(&n->maybe, parent);
    }
    if (err == WEFT_OK && n->seq == 0) n->phase = CHOOSING;
    return err;
}

/* Has one of the children at hand, inside, this parent in the store? */
static weft_err any_follows(struct named *n, const struct wf_fact *parent, bool *out)
{
    *out = false;
    for (uint32_t i = 0; i < n->children.count && !*out; i++) {
        const struct wf_facts *parents;
        uint32_t at;
        if (!wf_dag_bits_has(n->inside, n->children.list[i].seq)) continue;
        weft_err err = wf_dag_parents(n->dag, &n->children.list[i], &parents);
        if (err != WEFT_OK) return err;
        *out = wf_facts_find(parents, parent, &at);
    }
    return WEFT_OK;
}

static weft_err step_choosing(struct named *n)
{
    bool more, follows;
    if (n->choosing == n->maybe.count) {
        n->phase = KNOWN;
        return WEFT_OK;
    }
    const struct wf_fact *one = &n->maybe.list[n->choosing];
    n->children.count = 0;
    weft_err err = wf_dag_children(n->dag, one, n->begun ? n->after : one->seq,
                                   wf_dag_turn(n->dag, CHILDREN), &n->children, &more);
    if (err == WEFT_OK) err = any_follows(n, one, &follows);
    if (err != WEFT_OK) return err;
    n->begun = more && !follows;
    if (n->begun) {
        n->after = n->children.list[n->children.count - 1].seq;
        return WEFT_OK;
    }
    n->choosing++;
    return follows ? WEFT_OK : add_found(n, one);
}

static weft_err step_descending(struct named *n)
{
    struct wf_fact fact;
    const struct wf_facts *parents;
    bool member;
    weft_err err = next_arrival(n, true, &fact, &member, &parents);
    if (err == WEFT_OK && member && !wf_dag_bits_has(&n->named, fact.seq))
        err = add_found(n, &fact);
    for (uint32_t i = 0; err == WEFT_OK && member && i < parents->count; i++)
        wf_dag_bits_set(&n->named, parents->list[i].seq);
    if (err == WEFT_OK && n->seq == 0) n->phase = KNOWN;
    return err;
}

static weft_err next_named(struct wf_dag_walk *walk, struct wf_fact *out)
{
    static weft_err (*const steps[])(struct named *) = {[MARKING] = step_mark,
                                                        [TIPS] = step_tips,
                                                        [OUTSIDE] = step_outside,
                                                        [CHOOSING] = step_choosing,
                                                        [DESCENDING] = step_descending};
    struct named *n = (struct named *)walk;
    while (n->phase != KNOWN) {
        if (wf_dag_spent(n->dag)) return WEFT_AGAIN;
        weft_err err = steps[n->phase](n);
        if (err != WEFT_OK && err != WEFT_AGAIN) return err;
        if (n->phase == KNOWN) wf_facts_sort(&n->found);
    }
    if (n->at == n->found.count) return WEFT_END;
    *out = n->found.list[n->at++];
    return WEFT_OK;
}

static void destroy_named(struct wf_dag_walk *walk)
{
    struct named *n = (struct named *)walk;
    end_list(n);
    wf_dag_mark_destroy(n->mark);
    wf_dag_unref(n->whole);
    wf_dag_bits_fini(&n->named);
    wf_facts_fini(&n->maybe);
    wf_facts_fini(&n->children);
    wf_facts_fini(&n->found);
    wf_free(n);
}

/* Takes `whole`, also when it fails. */
static weft_err create_named(struct wf_dag *dag, struct wf_dag *whole, const struct wf_facts *cut,
                             struct wf_dag_walk **out)
{
    struct named *n = wf_calloc(1, sizeof *n);
    if (n == NULL) {
        wf_dag_unref(whole);
        return WEFT_NO_MEMORY;
    }
    n->walk = (struct wf_dag_walk){next_named, destroy_named};
    n->dag = dag;
    n->whole = whole;
    for (uint32_t i = 0; i < cut->count; i++)
        if (cut->list[i].gen > n->top_gen) n->top_gen = cut->list[i].gen;
    weft_err err = wf_dag_mark_create(whole, cut, &n->mark);
    if (err == WEFT_OK) {
        *out = &n->walk;
        return WEFT_OK;
    }
    destroy_named(&n->walk);
    return err;
}

/* -- Either ---------------------------------------------------------------------------------------- */

weft_err wf_dag_tips_at_create(struct wf_dag *dag, const weft_cut *cut, struct wf_dag_walk **out)
{
    struct wf_facts facts = {0};
    struct wf_dag *whole = NULL;
    weft_err err = wf_dag_whole(dag, &whole);
    if (err == WEFT_OK) err = wf_dag_cut(whole, cut, &facts, NULL, NULL);
    if (err == WEFT_OK && dag->name_len > 0 && facts.count > 0) {
        err = create_named(dag, whole, &facts, out);
        whole = NULL; /* it has been taken */
    } else if (err == WEFT_OK) {
        err = create_peaks(dag, &facts, out);
    }
    wf_dag_unref(whole);
    wf_facts_fini(&facts);
    return err;
}
