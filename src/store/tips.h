/* SPDX-License-Identifier: Apache-2.0
 * tips.h - the tips of trees and of named stores that were asked for lately, in memory.
 * In the engine each commit leaves two deleted keys among the tips, and a walk over few tips
 * passes all of those until they are compacted away; a writer asks for tips with every commit.
 * Called by: tips_read.c (readers, any thread), flush.c, trees.c (the writer).
 * Never: the engine.
 *
 * All calls are made under store->lock: those that say "writer" for writing. A set is that of
 * what is published, so it belongs to the tree's `pub` of the same moment. */
#ifndef WF_TIPS_H
#define WF_TIPS_H

#include "kv.h"
#include "store.h"

struct wf_tip_set {
    size_t prefix_len;
    uint8_t *prefix; /* of its keys in the family `tip` */
    uint32_t count, room;
    weft_id *ids; /* ascending */
};

struct wf_tips {
    struct wf_tip_set
        *slots[WEFT_STORE_TIPS_SETS]; /* by the prefix' hash; a newcomer takes the place */
    uint64_t secret;                  /* names are the peers' choice, their slots are not */
    uint64_t version;                 /* moves when all is forgotten                      */
    uint32_t sets, rooms;             /* ids that there is room for                       */
};

void wf_tips_init(struct wf_tips *tips, uint64_t secret);
void wf_tips_clear(struct wf_tips *tips); /* writer; frees all */
/* NULL: it is not here. */
const struct wf_tip_set *wf_tips_find(const struct wf_tips *tips, const uint8_t *prefix,
                                      size_t prefix_len);
/* Where the id stands in the set, or would. */
uint32_t wf_tips_place(const struct wf_tip_set *set, const weft_id *id, bool *there);
/* Writer's lock: keeps a whole set that was read from the engine, which must be that of what is
 * published now: in cyclic order, the lowest at `lowest` (or 0 if that is `count`). `version`: of
 * before the reading; if all was forgotten since then, or memory is short, nothing is done. */
void wf_tips_keep(struct wf_tips *tips, uint64_t version, const uint8_t *prefix, size_t prefix_len,
                  const weft_id *ids, size_t count, size_t lowest);
/* Writer: what a batch that is written does to the sets. */
void wf_tips_publish(struct wf_tips *tips, const wf_batch *batch);
size_t wf_tips_bytes(const struct wf_tips *tips);

#endif
