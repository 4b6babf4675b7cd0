/* SPDX-License-Identifier: Apache-2.0
 * dom.h - the trees of dominators: which entry do all ways down from an entry pass first?
 *
 * Of a tree, and of each named store in it, that is the nearest entry that all parents stand
 * on in that same tree of dominators (nothing arrives before its parents), or the empty base,
 * on which all beginnings stand. Each entry keeps its dominator, its depth, and one jump further
 * down, whose length follows from the depth alone (skew-binary numbers, as in Myers, "An
 * applicative random-access stack", 1983). So two entries meet after a number of steps that is
 * the logarithm of their depths, and what never changes of an entry is written once.
 * Called by: dom_write.c, dag_base.c, check_dom.c. May touch: the engine (reads).
 * Never: writes; knows an id. */
#ifndef WF_DOM_H
#define WF_DOM_H

#include "layout.h"

/* An entry by its arrival, in a tree of dominators: part 0 is that of the whole tree, part s
 * that of the s-th of the stores that the entry writes. seq 0: the empty base. */
struct wf_dom_at {
    uint64_t seq;
    uint32_t part;
};
struct wf_dom {
    struct wf_dom_at at, up, jump;
    uint64_t depth; /* of the empty base 0, and of what is not known (migrate.c) */
};

typedef weft_err (*wf_dom_get)(void *arg, struct wf_dom_at at, struct wf_dom *out);

uint64_t wf_dom_jump_depth(uint64_t depth); /* where the jump from there leads */

/* Brings one or both closer to the nearest one that both stand on; at most two reads. Not
 * when they have met. CORRUPT: they contradict each other, or one is not known. */
weft_err wf_dom_step(wf_dom_get get, void *arg, struct wf_dom *a, struct wf_dom *b);
static inline bool wf_dom_met(const struct wf_dom *a, const struct wf_dom *b)
{
    return a->at.seq == b->at.seq;
}

/* -- Records: of each entry one, with all its parts; WF_DOM_PAGE arrivals to a page -------- */

#define WF_DOM_RECORD_BYTES_MAX (2u + (1u + WEFT_ENTRY_STORES_MAX) * 32u)

/* What a record is made of. */
struct wf_dom_entry {
    uint64_t seq;
    const weft_id *parents; /* tree and store parents together */
    uint32_t parents_count;
    const weft_entry_store *stores; /* NULL: lost with the entry's bytes */
    uint32_t stores_count;
};
struct wf_dom_source {
    wf_dom_get get;
    /* The parent in the tree (store NULL) or in the store. */
    weft_err (*find)(void *arg, const weft_id *parent, const weft_entry_store *store,
                     struct wf_dom_at *out);
    void *arg;
};
/* What the source answers; CORRUPT. */
weft_err wf_dom_record(const struct wf_dom_source *source, const struct wf_dom_entry *entry,
                       uint8_t out[WF_DOM_RECORD_BYTES_MAX], size_t *len);

/* The record at `*at` of a page, and moves *at behind it. END; CORRUPT. */
weft_err wf_dom_next(const uint8_t *page, size_t len, size_t *at, const uint8_t **record,
                     size_t *record_len);
weft_err wf_dom_decode(const uint8_t *record, size_t len, struct wf_dom_at at,
                       struct wf_dom *out); /* CORRUPT */
weft_err wf_dom_find(const uint8_t *page, size_t len, struct wf_dom_at at,
                     struct wf_dom *out); /* CORRUPT */
/* One read. */
weft_err wf_dom_read(wf_kv *kv, const wf_kv_snapshot *snap, uint64_t t, struct wf_dom_at at,
                     struct wf_dom *out);

#endif
