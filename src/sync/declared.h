/* SPDX-License-Identifier: Apache-2.0
 * declared.h - trees that somebody keeps with a peer by a handle: tried until they were synced
 * once, and asked how they fare.
 * Called by: the engine's rooms, on its thread; the kind by api_sync_peer.c. */
#ifndef WF_DECLARED_H
#define WF_DECLARED_H

#include "engine_state.h"
#include "joining.h"

struct declared_key {
    weft_key peer;
    weft_id tree;
};
struct declared {
    struct wf_link link;
    struct declared_key key;
    uint32_t handles;
    uint32_t refs;          /* the handles', and of the try under way */
    bool gone;              /* out of the table */
    bool synced;            /* once since the first handle was opened */
    bool trying, unreached; /* an op is under way; the last dial to the peer failed */
    bool try_now;           /* and once more when that has ended */
    uint32_t attempts;
    weft_err last_error;
    int64_t last_sync_ms;
    struct list waits; /* ops, by their of_declared */
    weft_timer timer;
    struct wf_join_req *ask; /* what the peer is to be asked for yet; NULL: nothing (more) */
    bool joins;              /* it was or is to be asked: */
    weft_join_state join;    /* what became of it: PENDING until the peer was heard */
    weft_key join_key;
    uint8_t join_id[16]; /* of the one that waits over there */
};

void wf_declared_init(struct engine *e);
void wf_declared_fini(struct engine *e);
/* One more handle: tries at once if it was not synced yet. What is to be asked for is taken from
 * *ask, unless another handle has asked for something already. LIMIT, NO_MEMORY. */
weft_err wf_declared_open(struct engine *e, const weft_key *peer, const weft_id *tree,
                          struct wf_join_req **ask);
void wf_declared_on_note(struct engine *e, const struct wf_declared_note *note);
void wf_declared_status(struct engine *e, struct op *op);
void wf_declared_wait(struct engine *e, struct op *op);

/* What happened to whom it may concern. */
void wf_declared_synced(struct engine *e, const weft_key *peer, const weft_id *tree);
void wf_declared_failed(struct engine *e, const weft_key *peer, const weft_id *tree, weft_err err);
void wf_declared_reached(struct engine *e, const weft_key *peer, weft_err err); /* OK: it was */
void wf_declared_blocked(struct engine *e, const weft_key *peer);
/* The op of a try is over. */
void wf_declared_tried(struct engine *e, struct declared *d, weft_err err);
void wf_declared_answer(struct engine *e, struct declared *d, weft_err err); /* to all who wait */
void wf_declared_try(struct engine *e, struct declared *d);

/* declared_join.c: letting in comes first. */
/* Puts *ask (may be NULL) in the place of nothing, or of a request that was refused. */
void wf_djoin_set(struct declared *d, struct wf_join_req **ask);
/* A try is under way, and ends with wf_declared_tried. */
void wf_djoin_ask(struct engine *e, struct declared *d);
/* Why nothing is tried: AWAITING, or how the request has ended; OK: nothing is in the way. */
weft_err wf_djoin_stands(const struct declared *d);
void wf_declared_on_over(struct engine *e, const struct wf_join_over *over);

#endif
