/* SPDX-License-Identifier: Apache-2.0
 * held.h - what of the closure of some entries lies above a place in the order, or
 * arrived after some other: the entries that a peer holds beyond that point.
 * Called by: the reader's jobs. May touch: the store, reading. Never: recurses. */
#ifndef WF_HELD_H
#define WF_HELD_H

#include "store.h"

typedef struct wf_held wf_held;

/* The closure of the `count` stored entries at `tips`, as far as it is above
 * (gen, id): at most `max` besides the tips. `key`: any 16 bytes that peers cannot know.
 * NO_MEMORY. */
weft_err wf_held_create(wf_store *store, uint64_t gen, const weft_id *id, const weft_id *tips,
                        uint32_t count, uint32_t max, const uint8_t key[16], wf_held **out);
/* The same as far as it arrived here after `seq`: what is below an earlier arrival arrived
 * earlier, too, so the walk costs no more than that. */
weft_err wf_held_create_since(wf_store *store, uint64_t seq, const weft_id *tips, uint32_t count,
                              uint32_t max, const uint8_t key[16], wf_held **out);
void wf_held_destroy(wf_held *held); /* NULL is fine */
/* OK: finished; AGAIN: not yet; LIMIT: more than `max`; IO ... */
weft_err wf_held_step(wf_held *held, uint32_t budget);
bool wf_held_has(const wf_held *held, const weft_id *id); /* after OK */

#endif
