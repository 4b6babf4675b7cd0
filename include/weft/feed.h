/* SPDX-License-Identifier: Apache-2.0
 * weft/feed.h - change feeds: what arrives in one tree, each entry once, with a cursor
 * that outlives the process.
 *
 * A feed reads the order of arrival at this node, which is that of no other node. It tells
 * of an entry once the disk has it, and of what came while nobody listened when it is opened
 * with the cursor of before. Reading costs what is new, whatever the tree holds.
 *
 * Two forms: weft_feed_next waits for one event, on a thread of yours and at its pace;
 * weft_feed_start has a function called on the node's notify thread. A feed of the first
 * form that nobody reads costs nothing and holds nobody up.
 *
 * Threads: a feed belongs to one thread at a time; different feeds to any threads. Close
 * feeds before weft_node_close. In an actor every call but weft_feed_cursor answers DEADLK,
 * unless it says otherwise. */
#ifndef WEFT_FEED_H
#define WEFT_FEED_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_feed weft_feed;

/* Where a feed stands: the tree, its life in this store and an arrival. Keep it as it is. */
#define WEFT_CURSOR_BYTES 64
typedef struct weft_cursor {
    uint8_t bytes[WEFT_CURSOR_BYTES];
} weft_cursor;

typedef struct weft_feed_options {
    const weft_cursor *after; /* go on behind it; NULL: what arrives from now on        */
    bool from_start;          /* `after` is NULL: from the first arrival on             */
    bool local_only;          /* only what was committed at this node                   */
    bool remote_only;         /* only what came from peers; both set: INVALID           */
    const char *store;        /* only what writes this named store; NULL: all; copied   */
} weft_feed_options;

typedef struct weft_feed_event {
    uint64_t seq; /* arrival number within the tree, ascending; skips what is filtered away */
    weft_id id;
    bool local;      /* committed at this node                                      */
    weft_key peer;   /* else: who it came from                                      */
    weft_buf *entry; /* its bytes, the feed's until the next call on it; weft_buf_ref to
                      * keep them. NULL: `err` says why                             */
    weft_err err;    /* OK, or CORRUPT: the stored bytes do not verify; they are asked for from
                      * peers, and weft_get has them once they came                 */
} weft_feed_event;

/* Opens a feed of a tree that is here. `options` may be NULL. NOT_FOUND: no such tree, or the
 * cursor's history is not that of this store (it was salvaged, restored, or another's): begin
 * again from the start. INVALID: a cursor of another tree, a name that no store may have.
 * LIMIT: WEFT_FEEDS_MAX are open. CLOSED: the node stops. FULL, NO_MEMORY, IO. */
weft_err weft_feed_open(weft_node *node, const weft_id *tree, const weft_feed_options *options,
                        weft_feed **out);

/* The next event; waits for one at most `timeout` ns (0: looks, WEFT_NEVER: no limit). TIMED_OUT
 * means that nothing is here. AGAIN: the time has passed with arrivals that are filtered away,
 * and more are here; the feed stands behind those that it looked at (WEFT_FEED_TURN at least, also
 * with no time at all), so call again. OK, TIMED_OUT, AGAIN, CLOSED (the node stops and all before
 * was given), FULL, IO, NO_MEMORY: nothing is skipped, call again. CORRUPT: what comes next is not in the order of arrival, which
 * weft-fsck(1) finds. BUSY: weft_feed_start was called. */
weft_err weft_feed_next(weft_feed *feed, weft_ns timeout, weft_feed_event *out);

/* Where the feed stands: behind the last event that weft_feed_next returned, or that the
 * function was called with, also from inside it. Write it down once the event was dealt
 * with: opened with it, a feed goes on with the next one. Events that were filtered away
 * since are passed over too. Any thread that owns the feed; in actors too. */
void weft_feed_cursor(const weft_feed *feed, weft_cursor *out);

/* From now on `fn` is called with each event, on the node's notify thread, in their order; it
 * must not block, for all callbacks of the node run there. May close feeds. What the disk
 * refuses to read is tried again later. BUSY: it was called before. */
typedef void (*weft_on_feed)(void *arg, weft_feed *feed, const weft_feed_event *event);
weft_err weft_feed_start(weft_feed *feed, weft_on_feed fn, void *arg);

/* Ends it. After it returns `fn` does not run any more; inside a callback of the node: not
 * after the one that runs. DEADLK (in another actor), NO_MEMORY, FULL (callbacks hold up
 * WEFT_MAILBOX_DEFAULT calls of the node): it is still open. NULL is fine. */
weft_err weft_feed_close(weft_feed *feed);

#ifdef __cplusplus
}
#endif
#endif
