/* SPDX-License-Identifier: Apache-2.0
 * bells.h - doorbells: who is told which trees grew, and by what.
 * Called by: the store actor's rooms. Never: tells of what is not durable yet, waits
 * for a subscriber, or counts on a bell that is away. */
#ifndef WF_BELLS_H
#define WF_BELLS_H

#include "state.h"

struct wf_bell_tree { /* of one subscriber, by local tree number */
    uint64_t told;    /* the last arrival that it heard of */
    bool grew;
};

struct wf_subscriber {
    struct wf_subscriber *next;
    weft_addr *addr;
    struct wf_stored *bell; /* NULL: it is with the subscriber */
    struct wf_bell_tree *trees;
    uint32_t *grown; /* local numbers of trees that grew, in that order */
    uint32_t trees_room, grown_count;
    bool lost;          /* memory was short: it has to look at all trees,      */
    uint64_t lost_at;   /* and once more when the disk has this batch; it was  */
    uint64_t lost_told; /* told so last when the disk had come to that one     */
    bool at_once;       /* its bell is to ring, with news or without     */
    weft_err told_err;  /* what it heard of the store's writing, and     */
    uint64_t told_outages;
};

struct wf_bells {
    struct wf_subscriber *subscribers;                    /* in the order of their first bell */
    struct wf_stored_entry recent[WEFT_DOORBELL_ENTRIES]; /* the newest, a ring */
    uint32_t first, count;
    size_t bytes;
    weft_err store_err; /* why writes are refused; OK: they are taken */
    uint64_t outages;   /* how often they were refused so far         */
};

void wf_bells_fini(struct wf_bells *bells);
/* A bell came, for the first time or back. Needs no memory: a subscriber for whose trees there is
 * none hears that it has to look at all of them. */
void wf_bells_take(struct wf_bells *bells, const wf_store *store, struct wf_stored *bell);
/* The batch that was just written grew trees: gather it. */
void wf_bells_gather(struct wf_bells *bells, const wf_store *store);
/* Rings the bells that are here and have something to tell: of what was gathered and is durable
 * now, and whether writes are taken. */
void wf_bells_ring(struct wf_bells *bells, const wf_store *store);
/* The store was read again from the engine, where everything is durable: what is there and
 * was not told yet is told once, without its bytes. */
void wf_bells_reset(struct wf_bells *bells, const wf_store *store);

/* The next ring reaches everybody whose bell is here, with news or without. */
void wf_bells_call(struct wf_bells *bells);

#endif
