/* SPDX-License-Identifier: Apache-2.0
 * dag_tips.c - the tips of a view, which are looked for when somebody asks for them.
 * A tree may have as many tips as entries, and most questions need none of them.
 * Called by: dag_view.c, api_dag.c. May touch: the store, reading.
 * Never: leaves an iterator or a snapshot of the engine open. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dag_view.h"
#include "idset.h"
#include "log.h"
#include "state.h"

static weft_err add(struct wf_dag *dag, const weft_id *id)
{
    if (dag->tips_count == WEFT_DAG_TIPS_MAX) return WEFT_LIMIT;
    if (dag->tips_count == dag->tips_room) {
        uint32_t room = dag->tips_room == 0 ? 16 : dag->tips_room * 2;
        weft_id *tips = wf_realloc(dag->tips, room * sizeof *tips);
        if (tips == NULL) return WEFT_NO_MEMORY;
        dag->tips = tips;
        dag->tips_room = room;
    }
    dag->tips[dag->tips_count++] = *id;
    return WEFT_OK;
}

weft_err wf_dag_read_tips(struct wf_dag *dag, const wf_kv_snapshot *snap)
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, dag->t, dag->name, dag->name_len, NULL);
    wf_kv_iter *it;
    dag->tips_count = 0;
    weft_err err = wf_kv_iter_create(dag->store->kv, snap, WF_CF_TIP, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t len;
        weft_id id;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != prefix_len + WEFT_ID_BYTES) continue;
        memcpy(id.bytes, key + prefix_len, WEFT_ID_BYTES);
        err = add(dag, &id);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

weft_err wf_dag_kept_tips(struct wf_dag *dag, uint64_t *seq)
{
    wf_tree_info info;
    weft_id *tips;
    uint32_t count;
    weft_err err = wf_store_kept_tips(dag->store, dag->t, dag->name, dag->name_len, &tips, &count,
                                      &info);
    if (err != WEFT_OK) return err;
    wf_free(dag->tips);
    dag->tips = tips;
    dag->tips_count = count;
    dag->tips_room = count;
    dag->tips_known = true;
    *seq = info.seq;
    return WEFT_OK;
}

weft_err wf_dag_read_counts(struct wf_dag *dag, const wf_kv_snapshot *snap, uint64_t *seq)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    wf_tree_info counts = {0};
    wf_key_tree(key, WF_TREE_COUNTS, dag->t);
    weft_err err = wf_kv_get(dag->store->kv, snap, WF_CF_TREE, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "store", "a tree has no counts");
    if (err != WEFT_OK) return err;
    err = wf_counts_read(value.data, value.len, &counts);
    wf_value_release(dag->store->kv, &value);
    if (err == WEFT_OK) *seq = counts.seq;
    return err;
}

/* -- What was a tip when the view was opened ----------------------------------------------------- */

static int compare(const void *a, const void *b) { return weft_id_compare(a, b); }

/* The tips are those of now, by id; this entry came after the view. */
static void forget(const struct wf_dag *dag, bool *gone, const weft_id *id)
{
    const weft_id *at = NULL;
    if (dag->tips_count > 0) at = bsearch(id, dag->tips, dag->tips_count, sizeof *at, compare);
    if (at != NULL) gone[at - dag->tips] = true;
}

struct back {
    struct wf_dag *dag;
    struct wf_idset were; /* tips of the view that are none any more */
};

/* A parent in the view was a tip of it if none of its children is in the view. */
static weft_err was_tip(void *arg, const weft_id *id)
{
    struct back *back = arg;
    struct wf_facts children = {0};
    struct wf_fact fact;
    uint32_t at;
    bool flag = false;
    weft_err err = wf_dag_fact(back->dag, id, &fact);
    if (err == WEFT_NOT_FOUND) return WEFT_OK; /* it came later too */
    if (err == WEFT_OK) err = wf_dag_children(back->dag, &fact, fact.seq, 1, &children, &flag);
    if (err == WEFT_OK && children.count == 0) err = wf_idset_add(&back->were, id, &at, &flag);
    wf_facts_fini(&children);
    return err;
}

static weft_err go_over_later_ones(struct back *back, uint64_t seq, bool *gone)
{
    struct wf_dag *dag = back->dag;
    weft_err err = WEFT_OK;
    for (uint64_t at = dag->upto_seq + 1; at <= seq && err == WEFT_OK; at++) {
        wf_arrival arrival;
        err = wf_store_arrival(dag->store, dag->t, at, &arrival);
        if (err == WEFT_OK) {
            forget(dag, gone, &arrival.id);
            err = wf_store_parents(dag->store, &arrival.id, NULL, was_tip, back);
        }
        if (err == WEFT_NOT_FOUND) err = wf_fail(WEFT_CORRUPT, "dag", "an arrival is missing");
    }
    return err;
}

/* From the tips of now, at arrival `seq`, back to those of the view. */
static weft_err go_back(struct wf_dag *dag, uint64_t seq)
{
    struct back back = {.dag = dag};
    uint32_t kept = 0;
    bool *gone = wf_calloc((size_t)dag->tips_count + 1, sizeof *gone);
    if (gone == NULL) return WEFT_NO_MEMORY;
    wf_idset_init(&back.were, WEFT_DAG_TIPS_MAX, dag->key);
    weft_err err = go_over_later_ones(&back, seq, gone);
    for (uint32_t i = 0; i < dag->tips_count; i++)
        if (!gone[i]) dag->tips[kept++] = dag->tips[i];
    dag->tips_count = kept;
    for (uint32_t i = 0; i < back.were.count && err == WEFT_OK; i++)
        err = add(dag, &back.were.ids[i]);
    if (dag->tips_count > 1) qsort(dag->tips, dag->tips_count, sizeof *dag->tips, compare);
    wf_idset_fini(&back.were);
    wf_free(gone);
    return err;
}

static weft_err read_now(struct wf_dag *dag, uint64_t *seq)
{
    wf_kv_snapshot *snap;
    weft_err err = wf_kv_snapshot_create(dag->store->kv, &snap);
    if (err != WEFT_OK) return err;
    err = wf_dag_read_counts(dag, snap, seq);
    if (err == WEFT_OK) err = wf_dag_read_tips(dag, snap);
    wf_kv_snapshot_destroy(dag->store->kv, snap);
    return err;
}

weft_err wf_dag_tips(struct wf_dag *dag)
{
    uint64_t seq = 0;
    if (dag->tips_known) return WEFT_OK;
    weft_err err = wf_dag_kept_tips(dag, &seq);
    /* The view may be of a batch that is written and not published yet. */
    bool behind = err == WEFT_OK && seq < dag->upto_seq;
    if (err == WEFT_NOT_FOUND || behind) err = read_now(dag, &seq);
    dag->tips_known = false; /* those of now are */
    if (err == WEFT_OK && seq > dag->upto_seq) err = go_back(dag, seq);
    dag->tips_known = err == WEFT_OK;
    return err;
}
