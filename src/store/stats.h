/* SPDX-License-Identifier: Apache-2.0
 * stats.h - what a store counts, in one place.
 * Called by: api_store.c, tests. Any thread. Never: the writer's side, waits for it. */
#ifndef WF_STORE_STATS_H
#define WF_STORE_STATS_H

#include <weft/store.h>

#include "store.h"

void wf_store_stats_read(wf_store *store, weft_store_stats *out);
/* As text for Prometheus: writes what fits into `room` bytes, with a final zero, and returns
 * how long the whole is. */
size_t wf_store_stats_text(const weft_store_stats *stats, char *out, size_t room);

#endif
