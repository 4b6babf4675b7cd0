/* SPDX-License-Identifier: Apache-2.0
 * order.h - frames of a stream in the order in which its sender numbered them.
 * Verification runs in parallel, so they reach the store in any order.
 * Called by: the store actor's rooms. Never: looks into a frame. */
#ifndef WF_ORDER_H
#define WF_ORDER_H

#include "store_actor.h"

struct wf_stream {
    struct wf_stream *next; /* hash chain */
    struct wf_stream *older, *newer;
    uint64_t conn, next_n;
    uint32_t stream;
    struct wf_ingest *parked; /* ascending by n, linked through msg.next */
    uint64_t parked_since_ns;
    /* What is still open of the frames applied so far: no cursor passes it. */
    bool broken;      /* something was refused or left the pool             */
    uint32_t pending; /* its entries in the pool                            */
    bool has_held;    /* a mark that waits until pending is zero            */
    wf_mark held;
    weft_key held_peer;
    uint64_t held_t;
};

struct wf_order {
    struct wf_stream **buckets;        /* made when first needed */
    struct wf_stream *oldest, *newest; /* all, in the order of their first frames */
    uint32_t count;
};

void wf_order_fini(struct wf_order *order); /* drops what is parked */

/* The stream of a frame, made if it is new. LIMIT, NO_MEMORY. */
weft_err wf_order_stream(struct wf_order *order, uint64_t conn, uint32_t stream,
                         struct wf_stream **out);
struct wf_stream *wf_order_find(struct wf_order *order, uint64_t conn, uint32_t stream); /* NULL */
/* Keeps a frame until those before it have come. INVALID: its number was there. */
weft_err wf_stream_park_take(struct wf_stream *stream, struct wf_ingest *frame, uint64_t now);
/* The parked frame whose turn it is, or (`any`) the next one whatever its number. */
struct wf_ingest *wf_stream_next(struct wf_stream *stream, bool any);
/* Forgets a stream that has nothing parked. */
void wf_order_forget(struct wf_order *order, struct wf_stream *stream);

#endif
