/* SPDX-License-Identifier: Apache-2.0
 * api_dag_commit.c - commits above parents that the caller chooses.
 * Called by: users (weft/dag.h), on any thread. May touch: reads of the store, messages to
 * it. Never: the newest tips, a writer's state. */
#include <weft/dag.h>

#include <string.h>

#include "alloc.h"
#include "dag_walk.h"
#include "footing.h"
#include "node_internal.h"

/* What the entry will stand on. */
struct ground {
    struct wf_dag *dag;    /* of the store               */
    struct wf_dag *whole;  /* of the tree                */
    struct wf_facts facts; /* the parents                */
    struct wf_facts named; /* the store's tips at them   */
    weft_id *ids;          /* the same: parents first    */
    uint32_t named_count;  /* of the last ids            */
    uint64_t height;       /* of an entry on it          */
};

static void ground_fini(struct ground *g)
{
    wf_facts_fini(&g->facts);
    wf_facts_fini(&g->named);
    wf_free(g->ids);
    wf_dag_unref(g->whole);
    wf_dag_unref(g->dag);
}

static weft_err find_named(struct ground *g, const weft_cut *parents)
{
    struct wf_dag_walk *walk = NULL;
    struct wf_fact fact;
    weft_err err = wf_dag_tips_at_create(g->dag, parents, &walk);
    while (err == WEFT_OK && (err = walk->next(walk, &fact)) == WEFT_OK)
        err = wf_facts_add(&g->named, &fact);
    wf_dag_walk_destroy(walk);
    return err == WEFT_END ? WEFT_OK : err;
}

static weft_err find_ground(struct ground *g, weft_node *node, const weft_id *tree,
                            const weft_cut *parents, const char *store)
{
    weft_err err = wf_dag_open(node->table.wf_store, tree, store, &g->dag);
    if (err == WEFT_OK) err = wf_dag_whole(g->dag, &g->whole);
    if (err == WEFT_OK) err = wf_dag_cut(g->whole, parents, &g->facts, NULL, NULL);
    if (err == WEFT_OK && g->facts.count > WEFT_ENTRY_PARENTS_MAX) err = WEFT_LIMIT;
    if (err == WEFT_OK) err = find_named(g, parents);
    if (err != WEFT_OK) return err;
    /* More than an entry may name: the highest ones; the others stay tips. */
    uint32_t named = g->named.count, count = g->facts.count;
    g->named_count = named < WEFT_ENTRY_PARENTS_MAX ? named : WEFT_ENTRY_PARENTS_MAX;
    g->ids = wf_malloc((count + g->named_count) * sizeof *g->ids);
    if (g->ids == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) g->ids[i] = g->facts.list[i].id;
    for (uint32_t i = 0; i < g->named_count; i++)
        g->ids[count + i] = g->named.list[named - g->named_count + i].id;
    /* The store's tips lie at or below the parents, so these are the highest. */
    return wf_height_above(node->rt, g->dag->strategy, g->facts.list[count - 1].height, &g->height);
}

weft_err weft_commit_at(weft_node *node, const weft_keypair *author, const weft_id *tree,
                        const weft_cut *parents, const char *store, const void *payload, size_t len,
                        weft_ns timeout, weft_id *out_id)
{
    if (node == NULL || author == NULL || tree == NULL || parents == NULL || store == NULL ||
        (payload == NULL && len != 0))
        return WEFT_INVALID;
    if (parents->ids == NULL || parents->count == 0) return WEFT_INVALID;
    if (store[0] == 0 || store[0] == '_') return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    struct ground g = {0};
    struct wf_commit *commit = NULL;
    weft_err err = find_ground(&g, node, tree, parents, store);
    if (err != WEFT_OK) goto done;
    commit = wf_commit_create(1);
    if (commit == NULL) {
        err = WEFT_NO_MEMORY;
        goto done;
    }
    weft_store_part part = {.name = store,
                            .parents = g.ids + g.facts.count,
                            .parents_count = g.named_count,
                            .payload = payload,
                            .payload_len = len};
    weft_entry_spec spec = {.tree = *tree,
                            .parents = g.ids,
                            .parents_count = g.facts.count,
                            .height = g.height,
                            .stores = &part,
                            .stores_count = 1};
    err = weft_entry_build(&spec, author, &commit->entries[0], &commit->ids[0]);
    if (err != WEFT_OK) {
        weft_drop(&commit->req.msg);
        goto done;
    }
    weft_id id = commit->ids[0];
    err = wf_node_call(node, node->table.store, &commit->req, timeout, NULL);
    if (err == WEFT_OK && out_id != NULL) *out_id = id;
done:
    ground_fini(&g);
    return err;
}
