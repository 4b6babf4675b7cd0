/* SPDX-License-Identifier: Apache-2.0
 * removal.h - a tree leaves the store: at once for everybody, its rows little by little.
 * Called by: store_actor.c, reap.c (the writer), salvage.c, renew_copy.c. Never: a peer, a clock.
 *
 * One durable batch takes the tree's record away and puts down that it was removed: from then on it
 * is absent for everybody, after a crash too. What is stored below its number is deleted in slices,
 * each a batch of its own, and begun again at the next opening. Who takes the tree up anew gets another
 * number, and a new epoch, so nothing that peers or this store remember of the old arrivals is taken
 * for one of the new. The number is free once nothing of the tree is left and the store was opened
 * again: until then views, walks, feeds and streams may have it. `meta` alone has no number in its key:
 * a record there that names a removed tree is not here, and a slice deletes it only if it still
 * names that tree. */
#ifndef WF_REMOVAL_H
#define WF_REMOVAL_H

#include "state.h"

/* The writer, with no batch open: takes the tree out, with the records of the message. The batch
 * is to be written before anything else is added. NOT_FOUND: there is none. INVALID, NO_MEMORY. */
weft_err wf_writer_remove(wf_store *store, const struct wf_remove *remove);

/* How far the deletion has come; zero: from the beginning. */
struct wf_removal {
    uint64_t t; /* 0: no tree is chosen */
    unsigned stage;
    uint8_t from[WF_KEY_SUB_BYTES_MAX]; /* the next key is this one or behind it */
    size_t from_len;
    wf_batch *batch; /* NULL: not made yet */
    uint64_t done;   /* the last tree of which nothing is here any more; 0: none */
};
void wf_removal_fini(struct wf_removal *removal);
/* The writer: looks at `keys` rows at most, deletes what is to go, and writes that. *more false:
 * nothing of any removed tree is here any more, but for those of which some is damaged: they are told
 * of, left, and tried again after the next opening. On an error nothing has moved, and it is to be
 * called again: NO_MEMORY, NO_SPACE, IO, and what a failed engine answers. */
weft_err wf_removal_step(wf_store *store, struct wf_removal *removal, uint32_t keys, bool *more);
bool wf_removal_is_due(const wf_store *store); /* the writer: some tree is going */

/* Has the engine give back the room that the rows of tree `t` took. Long; any thread. */
void wf_removal_reclaim(wf_kv *kv, uint64_t t);

/* Does the engine say of this number that its tree was removed, and that some of it may be left? Two
 * rows do, in two families: one that can be read is enough. */
bool wf_removed_is(wf_kv *kv, uint64_t t);

#endif
