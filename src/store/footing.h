/* SPDX-License-Identifier: Apache-2.0
 * footing.h - the height of a new entry, and what it stands on so that it has one.
 * In trees by time whoever may write chooses heights: one entry at the end of all heights, or in a
 * year that no clock shows, would take every later entry up there and in the end leave none for it.
 * So those that are built here stand beside it as long as there is anything else to stand on.
 * Called by: api_writer.c, api_dag_commit.c (any thread), compose.c (the writer).
 * Never: decides what may come in: the door knows no clock. */
#ifndef WF_FOOTING_H
#define WF_FOOTING_H

#include "store.h"

/* An entry on its way to the store, which cannot be read there yet. */
struct wf_footing_own {
    weft_id id;
    uint64_t height;
};

/* Of an entry above what has at most the height `top`. LIMIT: there is none. */
weft_err wf_height_above(weft_rt *rt, weft_height strategy, uint64_t top, uint64_t *out);
/* Too high to stand on if there is anything else. */
bool wf_height_is_far(weft_rt *rt, weft_height strategy, uint64_t height);
/* Takes those that are too high out of `count` ids, at most WEFT_ENTRY_PARENTS_MAX, all of the tree
 * (name NULL) or of the named store. If none would be left, the nearest of their ancestors that are low enough
 * take their place; if WEFT_FOOTING_LOOKS_MAX looks find none, only the end of heights counts as too high. A named store may have none left.
 * `own` may be NULL. NO_MEMORY, CORRUPT, IO. */
weft_err wf_footing_lower(wf_store *store, weft_height strategy, const char *name,
                          const struct wf_footing_own *own, weft_id *ids, size_t *count);

#endif
