/* SPDX-License-Identifier: Apache-2.0
 * api_dag.c - public questions about the history of a tree.
 * Called by: users (weft/dag.h). May touch: reads of the store.
 * Never: a message to an actor, a write. One thread at a time per weft_dag. */
#include <weft/dag.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dag_walk.h"
#include "ids.h"
#include "node_internal.h"

struct weft_dag {
    uint64_t born; /* wf_fork_count() then */
    struct wf_dag *view;
    /* A question that used up its budget, and what was asked. */
    struct wf_dag_reach *reach;
    struct wf_dag_base *base;
    weft_id *asked; /* ids of `from` or of the cut, then of the targets */
    uint32_t asked_from, asked_targets;
};

weft_err weft_dag_open(weft_node *node, const weft_id *tree, const char *store, weft_dag **out)
{
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_dag *dag = wf_calloc(1, sizeof *dag);
    if (dag == NULL) return WEFT_NO_MEMORY;
    dag->born = wf_fork_count();
    weft_err err = store != NULL && store[0] == 0 ? WEFT_INVALID : WEFT_OK;
    if (err == WEFT_OK) err = wf_dag_open(node->table.wf_store, tree, store, &dag->view);
    if (err != WEFT_OK) {
        wf_free(dag);
        return err;
    }
    *out = dag;
    return WEFT_OK;
}

static void forget_question(weft_dag *dag)
{
    wf_dag_reach_destroy(dag->reach);
    wf_dag_base_destroy(dag->base);
    wf_free(dag->asked);
    dag->reach = NULL;
    dag->base = NULL;
    dag->asked = NULL;
}

void weft_dag_close(weft_dag *dag)
{
    if (dag == NULL) return;
    forget_question(dag);
    wf_dag_unref(dag->view);
    wf_free(dag);
}

void weft_dag_budget(weft_dag *dag, uint64_t reads)
{
    if (dag != NULL) dag->view->budget = reads;
}

/* -- Iterators --------------------------------------------------------------------------------- */

/* What each query asks first. */
static weft_err may_ask(const weft_dag *dag, const void *a, const void *b)
{
    if (dag == NULL || a == NULL || b == NULL) return WEFT_INVALID;
    if (dag->born != wf_fork_count()) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    wf_dag_begin(dag->view);
    return WEFT_OK;
}

static bool cut_valid(const weft_cut *cut) { return cut->ids != NULL || cut->count == 0; }

weft_err weft_dag_place(weft_dag *dag, const weft_id *id, weft_position *out)
{
    struct wf_fact fact;
    weft_err err = may_ask(dag, id, out);
    if (err == WEFT_OK) err = wf_dag_fact(dag->view, id, &fact);
    if (err == WEFT_OK) *out = (weft_position){fact.id, fact.gen, fact.height, fact.seq};
    return err;
}

weft_err weft_dag_parents(weft_dag *dag, const weft_id *id, weft_iter **out)
{
    struct wf_fact fact;
    const struct wf_facts *parents = NULL;
    struct wf_facts list = {0};
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, id, out);
    if (err == WEFT_OK) err = wf_dag_fact(dag->view, id, &fact);
    if (err == WEFT_OK) err = wf_dag_parents(dag->view, &fact, &parents);
    for (uint32_t i = 0; err == WEFT_OK && i < parents->count; i++)
        err = wf_facts_add(&list, &parents->list[i]);
    if (err == WEFT_OK) err = wf_dag_list_take(&list, &walk);
    wf_facts_fini(&list);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

weft_err weft_dag_tips(weft_dag *dag, weft_iter **out)
{
    weft_err err = may_ask(dag, out, out);
    if (err == WEFT_OK) err = wf_dag_tips(dag->view);
    if (err != WEFT_OK) return err;
    struct wf_dag *view = dag->view;
    weft_id *ids = wf_malloc((view->tips_count + 1) * sizeof *ids);
    if (ids == NULL) return WEFT_NO_MEMORY;
    if (view->tips_count > 0) memcpy(ids, view->tips, view->tips_count * sizeof *ids);
    err = wf_dag_ids_iter_take(view, view->store, ids, view->tips_count, out);
    if (err != WEFT_OK) wf_free(ids);
    return err;
}

weft_err weft_dag_all(weft_dag *dag, weft_iter **out)
{
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, out, out);
    if (err == WEFT_OK) err = wf_dag_order_create(dag->view, UINT64_MAX, NULL, NULL, &walk);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

weft_err weft_dag_below(weft_dag *dag, const weft_cut *cut, weft_iter **out)
{
    struct wf_facts facts = {0};
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, cut, out);
    if (err == WEFT_OK && !cut_valid(cut)) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_dag_cut(dag->view, cut, &facts, NULL, NULL);
    if (err == WEFT_OK) err = wf_dag_below_take(dag->view, &facts, &walk);
    wf_facts_fini(&facts);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

weft_err weft_dag_between(weft_dag *dag, const weft_cut *from, const weft_cut *to, weft_iter **out)
{
    struct wf_facts lower = {0}, upper = {0};
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, from, to);
    if (err == WEFT_OK && (out == NULL || !cut_valid(from) || !cut_valid(to))) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_dag_cut(dag->view, from, &lower, NULL, NULL);
    if (err == WEFT_OK) err = wf_dag_cut(dag->view, to, &upper, NULL, NULL);
    if (err == WEFT_OK) err = wf_dag_between_take(dag->view, &lower, &upper, &walk);
    wf_facts_fini(&lower);
    wf_facts_fini(&upper);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

weft_err weft_dag_path(weft_dag *dag, const weft_id *base, const weft_cut *to, weft_iter **out)
{
    struct wf_fact lower;
    struct wf_facts upper = {0};
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, to, out);
    if (err == WEFT_OK && !cut_valid(to)) err = WEFT_INVALID;
    if (err == WEFT_OK && base != NULL) err = wf_dag_fact(dag->view, base, &lower);
    if (err == WEFT_OK) err = wf_dag_cut(dag->view, to, &upper, NULL, NULL);
    if (err == WEFT_OK && base == NULL) err = wf_dag_below_take(dag->view, &upper, &walk);
    else if (err == WEFT_OK) err = wf_dag_path_take(dag->view, &lower, &upper, &walk);
    wf_facts_fini(&upper);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

weft_err weft_dag_tips_at(weft_dag *dag, const weft_cut *cut, weft_iter **out)
{
    struct wf_dag_walk *walk = NULL;
    weft_err err = may_ask(dag, cut, out);
    if (err == WEFT_OK && !cut_valid(cut)) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_dag_tips_at_create(dag->view, cut, &walk);
    return err == WEFT_OK ? wf_dag_iter_create(dag->view, walk, out) : err;
}

/* -- The merge base -------------------------------------------------------------------------------- */

static weft_err begin_base(weft_dag *dag, const weft_cut *cut)
{
    struct wf_facts facts = {0};
    weft_err err = wf_dag_cut(dag->view, cut, &facts, NULL, NULL);
    if (err == WEFT_OK && (dag->asked = wf_malloc(cut->count * sizeof *dag->asked)) == NULL)
        err = WEFT_NO_MEMORY;
    if (err == WEFT_OK) err = wf_dag_base_create(dag->view, &facts, &dag->base);
    wf_facts_fini(&facts);
    if (err != WEFT_OK) return err;
    memcpy(dag->asked, cut->ids, cut->count * sizeof *dag->asked);
    dag->asked_from = cut->count;
    wf_dag_begin(dag->view); /* naming them costs no budget */
    return WEFT_OK;
}

weft_err weft_dag_merge_base(weft_dag *dag, const weft_cut *cut, weft_id *out)
{
    weft_id base;
    weft_err err = may_ask(dag, cut, out);
    if (err != WEFT_OK) return err;
    if (cut->ids == NULL || cut->count == 0) return WEFT_INVALID;
    bool goes_on = dag->base != NULL && dag->asked_from == cut->count &&
                   memcmp(dag->asked, cut->ids, cut->count * sizeof *cut->ids) == 0;
    if (!goes_on) {
        forget_question(dag);
        err = begin_base(dag, cut);
    }
    if (err == WEFT_OK) err = wf_dag_base_step(dag->base, &base);
    if (err == WEFT_AGAIN) return err;
    forget_question(dag);
    if (err == WEFT_OK) *out = base;
    return err;
}

/* -- Reachability -------------------------------------------------------------------------------- */

static bool asked_before(const weft_dag *dag, const weft_cut *from, const weft_cut *targets)
{
    if (dag->reach == NULL) return false;
    return dag->asked_from == from->count && dag->asked_targets == targets->count &&
           memcmp(dag->asked, from->ids, from->count * sizeof *from->ids) == 0 &&
           memcmp(dag->asked + from->count, targets->ids, targets->count * sizeof *targets->ids) ==
               0;
}

static void tell_missing(weft_id *all, uint32_t found, weft_id *missing, size_t *count)
{
    found = wf_ids_sort_unique(all, found);
    for (size_t i = 0; count != NULL && missing != NULL && i < *count && i < found; i++)
        missing[i] = all[i];
    if (count != NULL) *count = found;
}

/* Begins a question. *known false: something is not here. */
static weft_err begin_question(weft_dag *dag, const weft_cut *from, const weft_cut *targets,
                               bool *known, weft_id *missing, size_t *count)
{
    struct wf_facts lower = {0}, upper = {0};
    weft_id *lost = NULL, *asked = NULL;
    uint32_t lost_count = 0;
    weft_err err = from->count > WEFT_DAG_CUT_MAX || targets->count > WEFT_DAG_CUT_MAX ? WEFT_LIMIT
                                                                                       : WEFT_OK;
    if (err != WEFT_OK) return err;
    uint32_t all = from->count + targets->count;
    err = WEFT_NO_MEMORY;
    lost = wf_malloc(all * sizeof *lost);
    asked = wf_malloc(all * sizeof *asked);
    if (lost == NULL || asked == NULL) goto done;
    memcpy(asked, from->ids, from->count * sizeof *asked);
    memcpy(asked + from->count, targets->ids, targets->count * sizeof *asked);
    err = wf_dag_cut(dag->view, from, &upper, lost, &lost_count);
    if (err == WEFT_OK) err = wf_dag_cut(dag->view, targets, &lower, lost, &lost_count);
    if (err != WEFT_OK) goto done;
    *known = lost_count == 0;
    if (!*known) {
        tell_missing(lost, lost_count, missing, count);
        goto done;
    }
    err = wf_dag_reach_take(dag->view, &upper, &lower, &dag->reach);
    if (err != WEFT_OK) goto done;
    dag->asked = asked;
    asked = NULL; /* the view's now */
    dag->asked_from = from->count;
    dag->asked_targets = targets->count;
done:
    wf_facts_fini(&lower);
    wf_facts_fini(&upper);
    wf_free(lost);
    wf_free(asked);
    return err;
}

weft_err weft_dag_reaches(weft_dag *dag, const weft_cut *from, const weft_cut *targets,
                          weft_reach *out, weft_id *missing, size_t *count)
{
    weft_err err = may_ask(dag, from, targets);
    if (err != WEFT_OK) return err;
    if (out == NULL || !cut_valid(from) || !cut_valid(targets)) return WEFT_INVALID;
    if (missing != NULL && count == NULL) return WEFT_INVALID;
    bool known = true, reached = targets->count == 0;
    if (targets->count > 0 && from->count > 0) {
        if (!asked_before(dag, from, targets)) {
            forget_question(dag);
            err = begin_question(dag, from, targets, &known, missing, count);
            if (err == WEFT_OK) wf_dag_begin(dag->view); /* naming them costs no budget */
        }
        if (err == WEFT_OK && known) err = wf_dag_reach_step(dag->reach, &reached);
        if (err == WEFT_AGAIN) return err;
        forget_question(dag);
        if (err != WEFT_OK) return err;
    }
    if (known && count != NULL) *count = 0;
    *out = !known ? WEFT_REACH_UNKNOWN : reached ? WEFT_REACH_YES : WEFT_REACH_NO;
    return WEFT_OK;
}

/* -- All trees -------------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b) { return weft_id_compare(a, b); }

static weft_err list_roots(wf_store *store, weft_id **out, uint32_t *out_count)
{
    weft_err err = WEFT_LIMIT;
    wf_tree_info *infos = NULL;
    size_t count = 0;
    for (size_t room = 64; err == WEFT_LIMIT && room <= 2 * WEFT_TREES_MAX; room *= 4) {
        wf_free(infos);
        infos = wf_malloc(room * sizeof *infos);
        count = room;
        err = infos == NULL ? WEFT_NO_MEMORY : wf_store_trees(store, infos, &count);
    }
    weft_id *ids = NULL;
    if (err == WEFT_OK && (ids = wf_malloc((count + 1) * sizeof *ids)) == NULL)
        err = WEFT_NO_MEMORY;
    uint32_t roots = 0;
    for (size_t i = 0; err == WEFT_OK && i < count; i++)
        if (infos[i].has_root) ids[roots++] = infos[i].tree;
    wf_free(infos);
    if (err != WEFT_OK) return err;
    if (roots > 1) qsort(ids, roots, sizeof *ids, compare_ids);
    *out = ids;
    *out_count = roots;
    return WEFT_OK;
}

weft_err weft_roots(weft_node *node, weft_iter **out)
{
    if (node == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_id *ids = NULL;
    uint32_t count = 0;
    weft_err err = list_roots(node->table.wf_store, &ids, &count);
    if (err != WEFT_OK) return err;
    err = wf_dag_ids_iter_take(NULL, node->table.wf_store, ids, count, out);
    if (err != WEFT_OK) wf_free(ids);
    return err;
}
