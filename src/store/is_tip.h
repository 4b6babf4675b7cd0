/* SPDX-License-Identifier: Apache-2.0
 * is_tip.h - whether entries are tips of their tree: kept with their facts once it was asked.
 * Called by: the writer alone. Never: changes what is a tip. */
#ifndef WF_IS_TIP_H
#define WF_IS_TIP_H

#include "briefs.h"
#include "state.h"

/* Is this entry, which the cache of facts just gave, a tip until now? IO, CORRUPT, LIMIT. */
weft_err wf_is_tip(wf_store *store, struct wf_brief *parent, bool *out);
/* Asks of `count` entries at once, which costs an engine less: wf_is_tip then knows it. What fails
 * is left to that. */
void wf_is_tip_look(wf_store *store, const weft_id *parents, uint32_t count);

#endif
