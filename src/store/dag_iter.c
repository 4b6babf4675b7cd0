/* SPDX-License-Identifier: Apache-2.0
 * dag_iter.c - iterators: a walk, its view, and the entry that it gave last.
 * Called by: api_dag.c, users (weft/dag.h). May touch: the store, reading.
 * Never: goes on after a failure. One thread at a time. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "dag_walk.h"
#include "fork.h"

struct weft_iter {
    uint64_t born; /* wf_fork_count() then */
    struct wf_dag_walk *walk;
    struct wf_dag *dag; /* counted; NULL: it is about all trees */
    wf_store *store;
    struct wf_fact last;
    bool has_last;
    weft_err err; /* not OK: it has ended so */
};

weft_err wf_dag_iter_create(struct wf_dag *dag, struct wf_dag_walk *walk, weft_iter **out)
{
    weft_iter *it = wf_calloc(1, sizeof *it);
    if (it == NULL) {
        wf_dag_walk_destroy(walk);
        return WEFT_NO_MEMORY;
    }
    it->born = wf_fork_count();
    it->walk = walk;
    it->dag = wf_dag_ref(dag);
    it->store = dag->store;
    *out = it;
    return WEFT_OK;
}

weft_err weft_iter_next(weft_iter *it, weft_position *out)
{
    if (it == NULL || out == NULL) return WEFT_INVALID;
    if (it->born != wf_fork_count()) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    if (it->err != WEFT_OK) return it->err;
    struct wf_fact fact;
    if (it->dag != NULL) wf_dag_begin(it->dag);
    weft_err err = it->walk->next(it->walk, &fact);
    if (err == WEFT_OK) {
        it->last = fact;
        it->has_last = true;
        *out = (weft_position){fact.id, fact.gen, fact.height, fact.seq};
    } else if (err != WEFT_AGAIN) {
        it->err = err; /* END too: it stays at its end */
    }
    return err;
}

weft_err weft_iter_entry(weft_iter *it, weft_buf **out)
{
    if (it == NULL || out == NULL || !it->has_last) return WEFT_INVALID;
    if (it->born != wf_fork_count()) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    if (it->dag == NULL) return wf_store_get(it->store, &it->last.id, out);
    wf_place place = {it->last.gen, it->last.seq, it->last.id};
    return wf_store_get_at(it->store, it->dag->t, &place, out);
}

void weft_iter_close(weft_iter *it)
{
    if (it == NULL) return;
    wf_dag_walk_destroy(it->walk);
    wf_dag_unref(it->dag);
    wf_free(it);
}

/* -- Of a list of ids ------------------------------------------------------------------------- */

struct named {
    struct wf_dag_walk walk;
    struct wf_dag *dag;
    wf_store *store;
    weft_id *ids;
    uint32_t count, at;
};

static weft_err next(struct wf_dag_walk *walk, struct wf_fact *out)
{
    struct named *n = (struct named *)walk;
    wf_meta_brief meta;
    if (n->at == n->count) return WEFT_END;
    const weft_id *id = &n->ids[n->at];
    weft_err err = n->dag != NULL ? wf_dag_fact(n->dag, id, out)
                                  : wf_store_meta_brief(n->store, id, &meta);
    if (err != WEFT_OK) return err;
    if (n->dag == NULL) *out = (struct wf_fact){*id, meta.gen, meta.height, meta.seq, 0};
    n->at++;
    return WEFT_OK;
}

static void destroy(struct wf_dag_walk *walk)
{
    struct named *n = (struct named *)walk;
    wf_free(n->ids);
    wf_free(n);
}

weft_err wf_dag_ids_iter_take(struct wf_dag *dag, wf_store *store, weft_id *ids, uint32_t count,
                              weft_iter **out)
{
    struct named *n = wf_calloc(1, sizeof *n);
    weft_iter *it = wf_calloc(1, sizeof *it);
    if (n == NULL || it == NULL) {
        wf_free(n);
        wf_free(it);
        return WEFT_NO_MEMORY;
    }
    *n = (struct named){{next, destroy}, dag, store, ids, count, 0};
    it->born = wf_fork_count();
    it->walk = &n->walk;
    it->dag = dag == NULL ? NULL : wf_dag_ref(dag);
    it->store = store;
    *out = it;
    return WEFT_OK;
}
