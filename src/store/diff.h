/* SPDX-License-Identifier: Apache-2.0
 * diff.h - what a peer lacks that holds the closure of some entries of ours.
 *
 * The missing entries are closed upwards: whatever builds on a missing entry is
 * missing too. So the walk goes down from our tips, and an entry is missing if the
 * peer named neither it nor, through any child that is not missing, anything above
 * it. It touches the missing entries, their parents and the edges between, and
 * nothing else: its cost is that of the difference, whatever the shape of the rest.
 * Called by: the reader's jobs, dag_*.c. May touch: the store, reading. Never: recurses. */
#ifndef WF_DIFF_H
#define WF_DIFF_H

#include "store.h"

typedef struct wf_diff wf_diff;

/* What of tree `t`, among the arrivals up to `upto_seq`, is not in the closure of the
 * `count` entries at `held`, which must be stored. At most `max` may be missing.
 * `key`: any 16 bytes that peers cannot know. NO_MEMORY. */
weft_err wf_diff_create(wf_store *store, uint64_t t, uint64_t upto_seq, const weft_id *held,
                        uint32_t count, uint32_t max, const uint8_t key[16], wf_diff **out);
void wf_diff_destroy(wf_diff *diff); /* NULL is fine */
/* Goes on for about `budget` index reads. OK: finished; AGAIN: not yet; LIMIT: more
 * than `max` are missing, or too many wait to be looked at; IO ... */
weft_err wf_diff_step(wf_diff *diff, uint32_t budget);
/* After OK: the missing entries, ascending by (gen, id). */
uint32_t wf_diff_count(const wf_diff *diff);
void wf_diff_at(const wf_diff *diff, uint32_t i, wf_place *out);
uint64_t wf_diff_reads(const wf_diff *diff); /* index reads so far */

#endif
