/* SPDX-License-Identifier: Apache-2.0
 * penalties.h - the keys that are refused for a time because they broke the rules, in memory only
 * and readable from any thread.
 * Called by: peers_actor.c, for transport's hooks (notes, asks), and peers_look.c.
 * May touch: its own memory under its lock. Never: messages, clocks: the caller says when. */
#ifndef WF_PENALTIES_H
#define WF_PENALTIES_H

#include <weft/actor.h>
#include <weft/id.h>

struct wf_penalties;
struct wf_penalties *wf_penalties_create(void); /* NULL when memory is short */
void wf_penalties_destroy(struct wf_penalties *all);

/* Is it an offence when we end a connection for this? What the network, a clock, short memory, a
 * full house or another version may cause is none. */
bool wf_penalties_is_offence(weft_err why);
/* The key did one. The first in WEFT_PENALTY_MEMORY_NS is only remembered; each further one refuses
 * the key for 1, 2, 4 ... WEFT_PENALTY_MAX_NS. Beyond WEFT_PENALTIES_MAX keys the one whose last
 * offence is the oldest is forgotten, and without memory this one. False: it was not remembered. */
bool wf_penalties_note(struct wf_penalties *all, const weft_key *key, weft_ns now);
/* How long it is refused yet; 0: it is not. */
weft_ns wf_penalties_left(struct wf_penalties *all, const weft_key *key, weft_ns now);

#endif
