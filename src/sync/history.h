/* SPDX-License-Identifier: Apache-2.0
 * history.h - the syncs that are remembered of each peer, and what they come to for each tree, in
 * memory; and the bytes of their records. Pure: no messages, no clock, no disk.
 * Called by: peers_*.c. May touch: nothing else. Never: asks, sends. */
#ifndef WF_HISTORY_H
#define WF_HISTORY_H

#include <weft/history.h>

struct wf_past { /* one sync */
    weft_sync_record record;
    bool saved;
    struct wf_past *older, *newer; /* of all */
    struct wf_past *peer_older, *peer_newer;
    struct wf_past_peer *of;
};
/* What the syncs of a tree with a peer come to. */
struct wf_past_pair {
    weft_id tree;
    int64_t last_ms; /* the last that succeeded */
    uint64_t last_count, sent, received, ok, failed;
    weft_ns mean_ns; /* of those that succeeded */
    bool dirty;
};
struct wf_past_peer {
    weft_key peer;
    uint32_t count;
    struct wf_past *oldest, *newest;
    struct wf_past_pair *pairs; /* ascending by tree */
    uint32_t pairs_count, pairs_room;
};
#define WF_PAST_KEY_BYTES 48u /* of a record's key, behind its prefix */
struct wf_past_gone {         /* a record that is to be removed */
    uint8_t key[WF_PAST_KEY_BYTES];
};
struct wf_history {
    struct wf_past_peer **peers; /* ascending by key */
    uint32_t peers_count, peers_room;
    uint32_t count, pairs_count;
    struct wf_past *oldest, *newest;
    uint64_t number; /* of the newest ever */
    bool changed;    /* something is to be written */
    struct wf_past_gone *gone;
    uint32_t gone_count, gone_room;
};

void wf_history_fini(struct wf_history *h);
struct wf_past_peer *wf_history_peer(const struct wf_history *h,
                                     const weft_key *peer); /* or NULL */
struct wf_past_pair *wf_history_pair(const struct wf_history *h, const weft_key *peer,
                                     const weft_id *tree); /* or NULL */

/* A sync that has ended just now: gets its number, and what is beyond the bounds goes, the oldest
 * first. Adds to the pair. NO_MEMORY: maybe the sums were told and the sync was not. */
weft_err wf_history_add(struct wf_history *h, const weft_sync_record *record);
/* Those of a peer, newest first, at most `room`. */
uint32_t wf_history_list(const struct wf_history *h, const weft_key *peer, weft_sync_record *out,
                         uint32_t room);
/* Takes out what began before; returns how many. */
uint32_t wf_history_trim(struct wf_history *h, int64_t before_ms);

/* -- Records: of a sync, and of a pair ----------------------------------------------------- */
#define WF_PAST_RECORD_MAX 128u
void wf_past_key(const weft_sync_record *record, uint8_t out[WF_PAST_KEY_BYTES]);
size_t wf_past_encode(const weft_sync_record *record, uint8_t out[WF_PAST_RECORD_MAX]);
size_t wf_past_pair_encode(const struct wf_past_pair *pair, uint8_t out[WF_PAST_RECORD_MAX]);
weft_err wf_past_decode(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
                        weft_sync_record *out); /* CORRUPT */
weft_err wf_past_pair_decode(const uint8_t *value, size_t len, struct wf_past_pair *pair);
/* Puts in what was read, in any order; wf_history_loaded puts it into its own. CORRUPT, NO_MEMORY. */
weft_err wf_history_load(struct wf_history *h, const uint8_t *key, size_t key_len,
                         const uint8_t *value, size_t len);
weft_err wf_history_load_pair(struct wf_history *h, const weft_key *peer, const weft_id *tree,
                              const uint8_t *value, size_t len);
weft_err wf_history_loaded(struct wf_history *h); /* NO_MEMORY */

#endif
