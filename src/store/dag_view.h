/* SPDX-License-Identifier: Apache-2.0
 * dag_view.h - a fixed view of one tree, or of one named store in it, for queries.
 * Called by: dag_*.c, api_dag.c. May touch: the store, reading.
 * Never: an engine's iterator or snapshot between two calls. One thread at a time.
 *
 * An entry's facts never change and its seq is above those of its parents. So whatever
 * arrives later, the first upto_seq arrivals stay one closed history: the view is that
 * number and the tips of then. */
#ifndef WF_DAG_VIEW_H
#define WF_DAG_VIEW_H

#include <weft/dag.h>

#include "kv.h"
#include "store.h"

struct wf_fact {
    weft_id id;
    uint64_t gen, height, seq;
    uint32_t part; /* of its stores, which one is the view's, from 1; of a tree 0 */
};

/* A growing list of facts. */
struct wf_facts {
    struct wf_fact *list;
    uint32_t count, room;
};
weft_err wf_facts_add(struct wf_facts *facts, const struct wf_fact *fact); /* NO_MEMORY */
void wf_facts_sort(struct wf_facts *facts); /* by (height, id), without repeats */
bool wf_facts_find(const struct wf_facts *sorted, const struct wf_fact *fact, uint32_t *at);
void wf_facts_fini(struct wf_facts *facts);
int wf_fact_compare(const struct wf_fact *a, const struct wf_fact *b); /* (height, id) */

struct wf_dag {
    wf_store *store;
    uint32_t users; /* who opened it, and its iterators */
    weft_id tree;
    uint64_t t, upto_seq;
    weft_height strategy;
    char name[WEFT_STORE_NAME_BYTES_MAX + 1]; /* "": the whole tree */
    size_t name_len;
    weft_id *tips; /* ascending; of a tree only after wf_dag_tips */
    uint32_t tips_count, tips_room;
    bool tips_known;
    struct {              /* from limits.h; tests choose smaller ones                      */
        uint32_t apart;   /* entries of a difference walk that finds what is below  */
        uint32_t found;   /* between two cuts, before everything is marked instead  */
        uint32_t waiting; /* edges in a heap                                        */
    } bounds;
    uint8_t key[16];    /* of sets of ids: nobody can choose what collides */
    uint64_t budget;    /* reads that one call may do; 0: any number       */
    uint64_t reads;     /* done so far                                     */
    uint64_t until;     /* the call under way may read until then          */
    weft_id *ids;       /* room for the parents of one entry               */
    weft_entry *entry;  /* room for one decoded entry                      */
    struct wf_facts up; /* the parents that wf_dag_parents returned        */
};

/* `name` NULL or "": the whole tree. TREE, INVALID (name), LIMIT (a store with too many tips). */
weft_err wf_dag_open(wf_store *store, const weft_id *tree, const char *name, struct wf_dag **out);
/* All of tree `t` that is written, also when nobody has published it yet: to reach in and to mark,
 * which do not ask for its strategy. */
weft_err wf_dag_open_written(wf_store *store, const weft_id *tree, uint64_t t, struct wf_dag **out);
/* Fills tips[]. Of a tree that has grown since it reads what came, with its parents. LIMIT. */
weft_err wf_dag_tips(struct wf_dag *dag);
/* dag_tips.c for dag_view.c: the tips of now; the newest arrival. */
weft_err wf_dag_read_tips(struct wf_dag *dag, const wf_kv_snapshot *snap);
/* Both at once, and what was to be known is. NOT_FOUND: they are not kept in memory. */
weft_err wf_dag_kept_tips(struct wf_dag *dag, uint64_t *seq);
weft_err wf_dag_read_counts(struct wf_dag *dag, const wf_kv_snapshot *snap, uint64_t *seq);
/* The same arrivals, whatever they write; without tips, and with reads of its own. */
weft_err wf_dag_whole(const struct wf_dag *dag, struct wf_dag **out);
struct wf_dag *wf_dag_ref(struct wf_dag *dag);
void wf_dag_unref(struct wf_dag *dag); /* the last one frees it; NULL is fine */

void wf_dag_begin(struct wf_dag *dag);       /* a call begins: it has its budget */
bool wf_dag_spent(const struct wf_dag *dag); /* it is used up: AGAIN             */
/* Reads that one turn may do now: at least 1, at most `most`. */
uint32_t wf_dag_turn(const struct wf_dag *dag, uint32_t most);

/* Facts of an entry of the view. NOT_FOUND, also when it came later; TREE. */
weft_err wf_dag_fact(struct wf_dag *dag, const weft_id *id, struct wf_fact *out);
/* The same for any entry of the tree; *member: does it write the view's store? */
weft_err wf_dag_look(struct wf_dag *dag, const weft_id *id, struct wf_fact *out, bool *member);
/* What is named by something of the view is not stored. NOT_FOUND: its tree was removed meanwhile.
 * CORRUPT, logged. */
weft_err wf_dag_broken(const struct wf_dag *dag);
/* Facts of a cut, sorted. Ids that are not here: with `missing` NULL, NOT_FOUND; otherwise
 * missing[] (room for cut->count) holds them. LIMIT, TREE. */
weft_err wf_dag_cut(struct wf_dag *dag, const weft_cut *cut, struct wf_facts *out, weft_id *missing,
                    uint32_t *missing_count);
/* Parents in the view's graph, by (height, id). *out is valid until the next call. */
weft_err wf_dag_parents(struct wf_dag *dag, const struct wf_fact *of, const struct wf_facts **out);
/* Children in the whole tree whatever they write, of the view's arrivals, in the order of
 * their arrival and after arrival `after`: appended to `out`, at most `room`. *more: there
 * may be others after the last one. */
weft_err wf_dag_children(struct wf_dag *dag, const struct wf_fact *of, uint64_t after,
                         uint32_t room, struct wf_facts *out, bool *more);

#endif
