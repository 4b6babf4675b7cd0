/* SPDX-License-Identifier: Apache-2.0
 * history_save.h - what is remembered of syncs, from the store and to it.
 * Called by: peers_*.c. */
#ifndef WF_HISTORY_SAVE_H
#define WF_HISTORY_SAVE_H

#include "history.h"
#include "store_actor.h"

/* Reads all records; damaged ones are passed over. NO_MEMORY, IO. */
weft_err wf_history_from(struct wf_history *h, wf_store *store);
/* What has to be written now, as one request that nobody has sent yet; NULL: nothing, or memory is
 * short. What is in it counts as saved. As long as h->changed is set there is more. */
struct wf_records *wf_history_batch(struct wf_history *h);

#endif
