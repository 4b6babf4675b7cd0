/* SPDX-License-Identifier: Apache-2.0
 * sketches.h - the sketch of each tree: kept by the writer, written with its batches.
 * Called by: writer.c, flush.c, trees.c (the store's thread). Never: a reader's thread,
 * which reads what was written (wf_store_sketch). */
#ifndef WF_SKETCHES_H
#define WF_SKETCHES_H

#include "state.h"

/* Notes an entry that the open batch adds to a touched tree. NO_MEMORY, IO. */
weft_err wf_sketches_add(wf_store *store, struct wf_tree *tree, const weft_id *id);
/* Into the batch, once for each tree that it touches. */
void wf_sketches_put(wf_store *store);
/* After the batch. Failed: what it changed is read again by the next one. */
void wf_sketches_settle(wf_store *store, bool written);
/* The engine may have something else for this tree now. */
void wf_sketches_forget(wf_store *store, struct wf_tree *tree);

#endif
