/* SPDX-License-Identifier: Apache-2.0
 * view.h - what a growing set of payloads resolves to, and where the payloads come from.
 * Called by: api_map.c. May touch: the heap; view_source.c the store, reading.
 * Never: depends on the order of payloads, shares a view between threads.
 *
 * The same rules as map.h, held so that one more payload costs what it says and not what
 * is there: each path is a node of a tree of trees, and knows besides its newest operation
 * when anything below it was last set. */
#ifndef WF_VIEW_H
#define WF_VIEW_H

#include "map.h"
#include "standing.h"

/* -- The view ---------------------------------------------------------------------------- */

typedef struct wf_view wf_view;

/* `seed` is chance that no author of payloads knows. NO_MEMORY. */
weft_err wf_view_create(uint64_t seed, size_t bytes_max, wf_view **out);
void wf_view_destroy(wf_view *view); /* NULL is fine */

/* Takes in the payload of the entry at `at`, whole or not at all; again does no harm. Errors
 * of wf_map_ops_each. LIMIT, NO_MEMORY: readers see no change. */
weft_err wf_view_apply(wf_view *view, const void *payload, size_t len, const wf_stamp *at);

uint64_t wf_view_paths(const wf_view *view);
size_t wf_view_bytes(const wf_view *view);
/* The leaf that readers see at `path`. NOT_FOUND. */
weft_err wf_view_get(const wf_view *view, const wf_map_path *path, weft_map_item *out);

/* The leaves at and below `prefix` and after `after`, ascending. Either may be NULL. */
struct wf_view_node;
struct wf_view_walk {
    const struct wf_view_node *top, *at; /* at: the next to look at; NULL: none */
};
void wf_view_walk_begin(const wf_view *view, const wf_map_path *prefix, const wf_map_path *after,
                        struct wf_view_walk *out);
bool wf_view_walk_next(struct wf_view_walk *walk, weft_map_item *out); /* false: the end */

/* -- Where its payloads come from -------------------------------------------------------------- */

struct wf_view_holes { /* entries whose bodies could not be read */
    wf_place *list;
    uint32_t count, room;
};

struct wf_view_source {
    wf_store *store;
    weft_id tree;
    uint64_t t;
    char name[WEFT_STORE_NAME_BYTES_MAX + 1];
    size_t name_len;
    uint64_t seq;     /* what arrived up to this one is in               */
    uint64_t budget;  /* places that one call may look up; 0: all        */
    uint64_t looked;  /* places looked up so far                         */
    bool by_arrivals; /* never by the list: for tests                    */
    struct {
        bool under_way, begun, given_up;
        bool prepared;    /* `_settings` were, and the store is next             */
        bool settings;    /* of the store `_settings`, which is gone through first */
        uint64_t upto;    /* arrivals that count                         */
        uint64_t top_gen; /* none of them is above                       */
        uint64_t steps;   /* after which it is given up                  */
        uint64_t gen;     /* the last place that is done with, if begun  */
        weft_id id;
    } list;
    wf_place *page; /* room for some of its places                       */
    bool fixed;     /* then only those marked here, up to `upto`         */
    struct wf_dag_bits only;
    uint64_t upto, top_gen;
    struct wf_view_holes holes, settings_holes;
    weft_entry *entry; /* room for a decoded one */
    uint64_t entries, skipped, left_out;
    struct wf_standing *standing; /* NULL: nothing is left out                           */
    bool stale;                   /* others are revoked than when the view was begun     */
};

/* TREE, INVALID (name). *out is filled on OK; fini takes a zeroed one, too. */
weft_err wf_view_source_init(wf_store *store, const weft_id *tree, const char *name,
                             struct wf_view_source *out);
/* A source for a new view in the place of a stale one, of which it takes what it knows of
 * revocations; the old one may only be ended. NO_MEMORY: nothing has changed. */
weft_err wf_view_source_renew(struct wf_view_source *old, struct wf_view_source *out);
/* From now on only what is at or below the cut. NOT_FOUND, TREE, LIMIT. */
weft_err wf_view_source_fix(struct wf_view_source *source, const weft_id *tree,
                            const weft_cut *cut);
void wf_view_source_fini(struct wf_view_source *source);
/* Takes in what has arrived since and writes the store: looks up each arrival, or goes through
 * the list of the store's entries where that is shorter. *read counts the bodies that were read,
 * whatever the answer. What revocations leave out is not taken in; AGAIN with `stale`: what was
 * taken in before is not what is left now, so a new view has to begin. AGAIN (budget); CORRUPT: there are holes; errors of
 * wf_view_apply that are not the payload's. */
weft_err wf_view_source_read(struct wf_view_source *source, wf_view *view, uint64_t *read);

#endif
