/* SPDX-License-Identifier: Apache-2.0
 * dom_write.h - the dominators of the open batch's entries, and the pages that they fill.
 * Called by: writer.c, flush.c, trees.c, migrate.c (the store's thread). Never: a reader. */
#ifndef WF_DOM_WRITE_H
#define WF_DOM_WRITE_H

#include "dom.h"
#include "state.h"

/* The next arrival of the tree, whose parents are here. CORRUPT, IO, NO_MEMORY. */
weft_err wf_dom_add(wf_store *store, struct wf_tree *tree, const struct wf_dom_entry *entry);
/* The pages that it changed into the open batch, each once. */
void wf_dom_put(wf_store *store, const struct wf_tree *tree);
/* After the batch, which was written or not. */
void wf_dom_settle(wf_store *store, struct wf_tree *tree, bool written);
void wf_dom_drop(struct wf_tree *tree);            /* as if it had not been written */
size_t wf_dom_pending(const struct wf_tree *tree); /* bytes that wait to be put      */

/* The same for all trees that the open batch touches. */
void wf_doms_put(wf_store *store);
void wf_doms_settle(wf_store *store, bool written);
/* The engine may have something else now. */
void wf_doms_forget(wf_store *store);

#endif
