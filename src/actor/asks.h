/* SPDX-License-Identifier: Apache-2.0
 * asks.h - the asks of one actor that wait for their answers.
 * In the order of asking, and found by token in one step, so that to cancel one of many
 * costs what it costs to cancel one. Called by: ask.c. One thread. */
#ifndef WF_ASKS_H
#define WF_ASKS_H

#include <stdint.h>

#include <weft/actor.h>

/* Where a token leads. */
struct wf_ask_slot {
    weft_request *req;   /* NULL: free                                           */
    uint32_t generation; /* how often it was used: an old token leads to nothing */
    uint32_t next_free;  /* 1-based; 0: none                                     */
};

struct wf_asks {
    weft_request *oldest, *newest; /* linked through prev and next_pending */
    struct wf_ask_slot *slots;
    uint32_t count; /* asks that wait                 */
    uint32_t room;  /* slots there are                */
    uint32_t used;  /* slots that were used ever      */
    uint32_t free;  /* 1-based, of the first free one */
};

/* Adds a request that waits; req->token leads to it if `with_token`, else it is 0. LIMIT
 * (WEFT_ASKS_MAX), NO_MEMORY. */
weft_err wf_asks_add(struct wf_asks *asks, weft_request *req, bool with_token);
/* Takes out one that is in. Its token leads nowhere from now on. */
void wf_asks_remove(struct wf_asks *asks, weft_request *req);
/* The request of a token, or NULL if its ask is over. */
weft_request *wf_asks_find(const struct wf_asks *asks, uint64_t token);
void wf_asks_fini(struct wf_asks *asks); /* none may wait */

#endif
