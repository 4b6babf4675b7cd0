/* SPDX-License-Identifier: Apache-2.0
 * tracks.h - what the sync settings of all trees come to, for those who act on them.
 * Called by: the access actor (writes), engine and queue (read). Any thread.
 * May touch: its own memory under its lock. Never: messages, the store. */
#ifndef WF_TRACKS_H
#define WF_TRACKS_H

#include <weft/id.h>
#include <weft/stats.h>

struct wf_tracks;
struct wf_tracks *wf_tracks_create(void); /* NULL when memory is short */
void wf_tracks_destroy(struct wf_tracks *tracks);

/* The shortest interval that is asked for; 0: none is. NULL: 0. */
weft_ns wf_tracks_interval(struct wf_tracks *tracks);
/* Are entries of the tree pushed as soon as they are stored? Unknown, or NULL: true. */
bool wf_tracks_on_commit(struct wf_tracks *tracks, const weft_id *tree);

/* Room for `more` trees whose entries wait, so that setting them cannot fail. NO_MEMORY. */
weft_err wf_tracks_reserve(struct wf_tracks *tracks, uint32_t more);
/* True if it was otherwise before. Its room was reserved. */
bool wf_tracks_set(struct wf_tracks *tracks, const weft_id *tree, bool on_commit);
/* All of them anew, ascending; taken. */
void wf_tracks_replace_take(struct wf_tracks *tracks, weft_id *waiting, uint32_t count);
bool wf_tracks_set_interval(struct wf_tracks *tracks, weft_ns interval);

#endif
