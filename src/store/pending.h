/* SPDX-License-Identifier: Apache-2.0
 * pending.h - entries that wait for parents: a bounded pool in memory.
 * Called by: the store actor's rooms. May touch: its own items.
 * Never: the engine, a tip, a cursor: losing the pool is harmless. */
#ifndef WF_PENDING_H
#define WF_PENDING_H

#include "store.h"

struct wf_pending_peer;

struct wf_pending_item {
    weft_id id, tree;
    weft_id waits_for; /* the first parent that was not here */
    wf_source source;
    uint64_t source_seq, conn, taken_ns, expires_ns;
    uint32_t stream;
    weft_buf *buf; /* counted: a copy, so that no whole frame is kept */
    /* -- the pool's own: */
    struct wf_pending_peer *peer;
    struct wf_pending_item *older, *newer;           /* of all           */
    struct wf_pending_item *peer_older, *peer_newer; /* of its peer      */
    struct wf_pending_item *next_id, *next_wait;     /* hash chains      */
};

struct wf_pending_wait { /* a bucket by waits_for, in order of arrival */
    struct wf_pending_item *first, *last;
};

struct wf_pending {
    struct wf_pending_item *oldest, *newest;
    struct wf_pending_item **by_id; /* buckets; made when first needed */
    struct wf_pending_wait *by_wait;
    struct wf_pending_peer **peers;
    uint64_t secret, bytes;
    uint32_t count;
    uint64_t ttl_ns;
    /* An item left without being stored: too old, or pushed out. */
    void (*dropped)(void *arg, const struct wf_pending_item *item);
    void *arg;
};

void wf_pending_init(struct wf_pending *pool, uint64_t secret,
                     void (*dropped)(void *arg, const struct wf_pending_item *item), void *arg);
void wf_pending_fini(struct wf_pending *pool);

struct wf_pending_item *wf_pending_find(const struct wf_pending *pool, const weft_id *id);
/* Copies `bytes` and what *like says into the pool; the oldest of this peer, then of
 * all, go when there is no room. EXISTS, LIMIT (too large for any room), NO_MEMORY. */
weft_err wf_pending_put(struct wf_pending *pool, const struct wf_pending_item *like,
                        const uint8_t *bytes, size_t len, uint64_t now);
/* Takes out the oldest that waits for `parent`; the caller ends it with
 * wf_pending_item_free or gives it back. NULL: none. */
struct wf_pending_item *wf_pending_take(struct wf_pending *pool, const weft_id *parent);
/* Gives back an item that waits for another parent now; its age stays. */
void wf_pending_return(struct wf_pending *pool, struct wf_pending_item *item);
void wf_pending_item_free(struct wf_pending_item *item);
/* Drops what is too old. Returns when the next one will be, WEFT_NEVER: none waits. */
uint64_t wf_pending_expire(struct wf_pending *pool, uint64_t now);
void wf_pending_clear(struct wf_pending *pool); /* drops all */

#endif
