/* SPDX-License-Identifier: Apache-2.0
 * idlog.h - the newest ids that passed between us and a peer, each with a number.
 * Called by: queue. May touch: its own memory. Never: holds more than its bound; the
 * oldest goes first, which costs at most a copy on the wire. */
#ifndef WF_IDLOG_H
#define WF_IDLOG_H

#include <weft/id.h>

#include "table.h"

struct wf_idlog {
    struct wf_table ids;
    uint64_t max; /* largest number in it */
};

void wf_idlog_init(struct wf_idlog *log, const uint8_t salt[16]);
void wf_idlog_fini(struct wf_idlog *log);
/* Remembers, or renumbers, an id. Forgets the oldest at WEFT_HOLDERS_MAX, and does
 * nothing when memory is short. */
void wf_idlog_put(struct wf_idlog *log, const weft_id *id, uint64_t number);
/* The number of an id; 0: not there. */
uint64_t wf_idlog_get(const struct wf_idlog *log, const weft_id *id);
/* All ids, ascending; `out` has room for them. Returns how many. */
uint32_t wf_idlog_copy(const struct wf_idlog *log, weft_id *out);
void wf_idlog_clear(struct wf_idlog *log);

#endif
