/* SPDX-License-Identifier: Apache-2.0
 * dag_view.c - a fixed view of one tree: what it holds, and the edges around an entry.
 * Called by: dag_*.c, api_dag.c. May touch: the store, reading.
 * Never: leaves an iterator or a snapshot of the engine open. */
#include "dag_view.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "entry.h"
#include "ids.h"
#include "log.h"
#include "state.h"

/* -- Lists of facts ------------------------------------------------------------------------ */

weft_err wf_facts_add(struct wf_facts *facts, const struct wf_fact *fact)
{
    if (facts->count == facts->room) {
        uint32_t room = facts->room == 0 ? 16 : facts->room * 2;
        struct wf_fact *list = wf_realloc(facts->list, room * sizeof *list);
        if (list == NULL) return WEFT_NO_MEMORY;
        facts->list = list;
        facts->room = room;
    }
    facts->list[facts->count++] = *fact;
    return WEFT_OK;
}

int wf_fact_compare(const struct wf_fact *a, const struct wf_fact *b)
{
    if (a->height != b->height) return a->height < b->height ? -1 : 1;
    return weft_id_compare(&a->id, &b->id);
}

static int compare(const void *a, const void *b) { return wf_fact_compare(a, b); }

void wf_facts_sort(struct wf_facts *facts)
{
    uint32_t kept = 0;
    if (facts->count > 1) qsort(facts->list, facts->count, sizeof *facts->list, compare);
    for (uint32_t i = 0; i < facts->count; i++)
        if (i == 0 || !weft_id_equal(&facts->list[i].id, &facts->list[kept - 1].id))
            facts->list[kept++] = facts->list[i];
    facts->count = kept;
}

bool wf_facts_find(const struct wf_facts *sorted, const struct wf_fact *fact, uint32_t *at)
{
    uint32_t low = 0, high = sorted->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = wf_fact_compare(&sorted->list[middle], fact);
        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

void wf_facts_fini(struct wf_facts *facts)
{
    wf_free(facts->list);
    *facts = (struct wf_facts){0};
}

/* -- Opening -------------------------------------------------------------------------------- */

/* How many arrivals there are; of a store also its tips, of the same moment: what is a tip in it
 * only bodies say, so going back to them later would be dear. */
static weft_err read_view(struct wf_dag *dag)
{
    wf_kv_snapshot *snap;
    if (dag->name_len == 0) return wf_dag_read_counts(dag, NULL, &dag->upto_seq);
    weft_err err = wf_dag_kept_tips(dag, &dag->upto_seq);
    if (err != WEFT_NOT_FOUND) return err;
    err = wf_kv_snapshot_create(dag->store->kv, &snap);
    if (err != WEFT_OK) return err;
    err = wf_dag_read_counts(dag, snap, &dag->upto_seq);
    if (err == WEFT_OK) err = wf_dag_read_tips(dag, snap);
    wf_kv_snapshot_destroy(dag->store->kv, snap);
    dag->tips_known = err == WEFT_OK;
    return err;
}

static struct wf_dag *new_dag(wf_store *store, const weft_id *tree, uint64_t t)
{
    struct wf_dag *dag = wf_calloc(1, sizeof *dag);
    if (dag == NULL) return NULL;
    dag->store = store;
    dag->users = 1;
    dag->tree = *tree;
    dag->t = t;
    dag->until = UINT64_MAX;
    dag->bounds.apart = WEFT_DAG_APART_MAX;
    dag->bounds.found = WEFT_DIFF_ENTRIES_MAX;
    dag->bounds.waiting = WEFT_DAG_WAITING_MAX;
    wf_random(store->rt, dag->key, sizeof dag->key);
    return dag;
}

weft_err wf_dag_open(wf_store *store, const weft_id *tree, const char *name, struct wf_dag **out)
{
    wf_tree_info info;
    size_t len = name == NULL ? 0 : strlen(name);
    if (len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_TREE : err;
    struct wf_dag *dag = new_dag(store, tree, info.t);
    if (dag == NULL) return WEFT_NO_MEMORY;
    if (len > 0) memcpy(dag->name, name, len);
    dag->name_len = len;
    err = read_view(dag);
    /* The root, and with it the strategy, may have come a moment ago. */
    if (err == WEFT_OK) err = wf_store_tree(store, tree, &info);
    dag->strategy = info.strategy;
    if (err == WEFT_OK) {
        *out = dag;
        dag = NULL; /* the caller's now */
    }
    wf_dag_unref(dag);
    return err;
}

weft_err wf_dag_open_written(wf_store *store, const weft_id *tree, uint64_t t, struct wf_dag **out)
{
    struct wf_dag *dag = new_dag(store, tree, t);
    if (dag == NULL) return WEFT_NO_MEMORY;
    weft_err err = read_view(dag);
    if (err == WEFT_OK) *out = dag;
    else wf_dag_unref(dag);
    return err;
}

weft_err wf_dag_whole(const struct wf_dag *dag, struct wf_dag **out)
{
    struct wf_dag *whole = wf_calloc(1, sizeof *whole);
    if (whole == NULL) return WEFT_NO_MEMORY;
    whole->store = dag->store;
    whole->users = 1;
    whole->tree = dag->tree;
    whole->t = dag->t;
    whole->upto_seq = dag->upto_seq;
    whole->strategy = dag->strategy;
    whole->until = UINT64_MAX;
    whole->bounds.apart = dag->bounds.apart;
    whole->bounds.found = dag->bounds.found;
    whole->bounds.waiting = dag->bounds.waiting;
    memcpy(whole->key, dag->key, sizeof whole->key);
    *out = whole;
    return WEFT_OK;
}

struct wf_dag *wf_dag_ref(struct wf_dag *dag)
{
    dag->users++;
    return dag;
}

void wf_dag_unref(struct wf_dag *dag)
{
    if (dag == NULL || --dag->users > 0) return;
    wf_free(dag->tips);
    wf_free(dag->ids);
    wf_free(dag->entry);
    wf_facts_fini(&dag->up);
    wf_free(dag);
}

/* -- The budget of a call --------------------------------------------------------------------- */

void wf_dag_begin(struct wf_dag *dag)
{
    bool bounded = dag->budget != 0 && dag->budget < UINT64_MAX - dag->reads;
    dag->until = bounded ? dag->reads + dag->budget : UINT64_MAX;
}

bool wf_dag_spent(const struct wf_dag *dag) { return dag->reads >= dag->until; }

uint32_t wf_dag_turn(const struct wf_dag *dag, uint32_t most)
{
    if (wf_dag_spent(dag)) return 1;
    uint64_t left = dag->until - dag->reads;
    return left < most ? (uint32_t)left : most;
}

/* -- Facts ------------------------------------------------------------------------------------- */

weft_err wf_dag_look(struct wf_dag *dag, const weft_id *id, struct wf_fact *out, bool *member)
{
    wf_value value;
    struct wf_meta_record meta;
    dag->reads++;
    weft_err err = wf_kv_get(dag->store->kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return err;
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK && meta.t != dag->t) err = WEFT_TREE;
    if (err == WEFT_OK && meta.seq > dag->upto_seq) err = WEFT_NOT_FOUND;
    if (err == WEFT_OK) {
        *out = (struct wf_fact){*id, meta.gen, meta.height, meta.seq, 0};
        if (dag->name_len > 0)
            out->part = wf_names_find(meta.names, meta.names_len, dag->name, dag->name_len);
        *member = dag->name_len == 0 || out->part > 0;
    }
    wf_value_release(dag->store->kv, &value);
    return err;
}

weft_err wf_dag_fact(struct wf_dag *dag, const weft_id *id, struct wf_fact *out)
{
    struct wf_fact fact;
    bool member = false;
    weft_err err = wf_dag_look(dag, id, &fact, &member);
    if (err == WEFT_OK && !member) err = WEFT_NOT_FOUND;
    if (err == WEFT_OK) *out = fact;
    return err;
}

weft_err wf_dag_cut(struct wf_dag *dag, const weft_cut *cut, struct wf_facts *out, weft_id *missing,
                    uint32_t *missing_count)
{
    weft_err err = cut->count > WEFT_DAG_CUT_MAX ? WEFT_LIMIT : WEFT_OK;
    for (uint32_t i = 0; i < cut->count && err == WEFT_OK; i++) {
        struct wf_fact fact;
        err = wf_dag_fact(dag, &cut->ids[i], &fact);
        if (err == WEFT_OK) {
            err = wf_facts_add(out, &fact);
        } else if (err == WEFT_NOT_FOUND && missing != NULL) {
            missing[(*missing_count)++] = cut->ids[i];
            err = WEFT_OK;
        }
    }
    if (err == WEFT_OK) wf_facts_sort(out);
    return err;
}

/* -- Edges --------------------------------------------------------------------------------------- */

weft_err wf_dag_broken(const struct wf_dag *dag)
{
    if (wf_store_is_removed(dag->store, dag->t)) return WEFT_NOT_FOUND;
    return wf_mend_note(dag->store, dag->t,
                        wf_fail(WEFT_CORRUPT, "dag", "an entry that is named here is not stored"));
}

/* All parents of an entry, from its meta. */
static weft_err tree_parents(struct wf_dag *dag, const weft_id *id, uint32_t *count)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = wf_kv_get(dag->store->kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value);
    if (err == WEFT_NOT_FOUND) return wf_dag_broken(dag);
    if (err != WEFT_OK) return wf_mend_note(dag->store, dag->t, err);
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK && meta.parents_count > WEFT_ENTRY_UNION_PARENTS_MAX)
        err = wf_fail(WEFT_CORRUPT, "dag", "too many parents");
    if (err == WEFT_OK) {
        *count = meta.parents_count;
        if (*count > 0) memcpy(dag->ids, meta.parents, *count * sizeof *dag->ids);
    }
    wf_value_release(dag->store->kv, &value);
    return err;
}

/* The parents in the view's store, which only the entry's bytes tell. */
static weft_err store_parents(struct wf_dag *dag, const struct wf_fact *of, uint32_t *count)
{
    if (dag->entry == NULL && (dag->entry = wf_malloc(sizeof *dag->entry)) == NULL)
        return WEFT_NO_MEMORY;
    weft_buf *buf = NULL;
    weft_err err = wf_store_get_at(dag->store, dag->t, &(wf_place){of->gen, of->seq, of->id}, &buf);
    if (err == WEFT_OK) err = wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), dag->entry);
    const weft_entry_store *part = NULL;
    if (err == WEFT_OK) part = wf_entry_find_store(dag->entry, dag->name);
    *count = part == NULL ? 0 : part->parents_count;
    for (uint32_t i = 0; i < *count; i++) weft_entry_store_parent(part, i, &dag->ids[i]);
    weft_buf_unref(buf);
    return err;
}

weft_err wf_dag_parents(struct wf_dag *dag, const struct wf_fact *of, const struct wf_facts **out)
{
    if (dag->ids == NULL) {
        dag->ids = wf_malloc(WEFT_ENTRY_UNION_PARENTS_MAX * sizeof *dag->ids);
        if (dag->ids == NULL) return WEFT_NO_MEMORY;
    }
    uint32_t count = 0;
    dag->reads++;
    dag->up.count = 0;
    weft_err err = dag->name_len == 0 ? tree_parents(dag, &of->id, &count)
                                      : store_parents(dag, of, &count);
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++) {
        struct wf_fact fact;
        err = wf_dag_fact(dag, &dag->ids[i], &fact);
        if (err == WEFT_NOT_FOUND || err == WEFT_TREE) err = wf_dag_broken(dag);
        if (err == WEFT_OK) err = wf_facts_add(&dag->up, &fact);
    }
    if (err != WEFT_OK) return err;
    wf_facts_sort(&dag->up);
    *out = &dag->up;
    return WEFT_OK;
}

weft_err wf_dag_children(struct wf_dag *dag, const struct wf_fact *of, uint64_t after,
                         uint32_t room, struct wf_facts *out, bool *more)
{
    uint8_t prefix[WF_KEY_SEQ_BYTES], from[WF_KEY_CHILD_BYTES];
    wf_kv_iter *it;
    dag->reads++;
    wf_key_seq(prefix, dag->t, of->seq);
    wf_key_child(from, dag->t, of->seq, after + 1);
    weft_err err = wf_kv_iter_create(dag->store->kv, NULL, WF_CF_CHILD, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) return err;
    bool full = false;
    for (wf_kv_iter_seek(it, from, sizeof from); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        if (key_len != WF_KEY_CHILD_BYTES || len != WEFT_ID_BYTES) {
            err = wf_fail(WEFT_CORRUPT, "dag", "child: wrong length");
            err = wf_mend_note(dag->store, dag->t, err);
            break;
        }
        if (wf_get64(key + WF_KEY_SEQ_BYTES) > dag->upto_seq) break; /* they came later */
        full = room-- == 0;
        if (full) break;
        weft_id child;
        struct wf_fact fact;
        bool member;
        memcpy(child.bytes, value, sizeof child.bytes);
        err = wf_dag_look(dag, &child, &fact, &member);
        if (err == WEFT_NOT_FOUND || err == WEFT_TREE) err = wf_dag_broken(dag);
        if (err == WEFT_OK) err = wf_facts_add(out, &fact);
        if (err != WEFT_OK) break;
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err == WEFT_OK) *more = full;
    return err;
}
