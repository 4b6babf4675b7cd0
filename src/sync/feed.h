/* SPDX-License-Identifier: Apache-2.0
 * feed.h - a change feed: a place in a tree's order of arrival and what is read from there.
 * Called by: api_feed.c (weft_feed_next), notify_feed.c (callbacks); one thread at a time.
 * Touches the feed and reads of the store. Never: waits. */
#ifndef WF_FEED_H
#define WF_FEED_H

#include <weft/feed.h>

#include "store.h"

#define WF_FEED_PAGE 64u

struct wf_feeds;

struct weft_feed {
    weft_node *node;
    wf_store *store;
    uint64_t t;
    weft_id tree;
    uint8_t epoch[16], at_id8[8];
    uint64_t at; /* the last arrival that was given or passed over */
    bool local, remote;
    char named[WEFT_STORE_NAME_BYTES_MAX + 1]; /* "": all */
    uint8_t named_len;
    uint32_t page_at, page_count;
    wf_arrival page[WF_FEED_PAGE];
    weft_buf *held;  /* of the last event */
    weft_on_feed fn; /* notify's once it is set */
    void *arg;
    struct wf_feeds *home; /* notify's list, to be touched on its thread only */
};

/* `options` not NULL. NOT_FOUND, INVALID, NO_MEMORY, IO. */
weft_err wf_feed_create(wf_store *store, const weft_id *tree, const weft_feed_options *options,
                        weft_feed **out);
void wf_feed_destroy(weft_feed *feed); /* NULL is fine */
/* Looks at one arrival. OK: an event. AGAIN: one was passed over. END: nothing new is durable.
 * IO, NO_MEMORY, CORRUPT (an index): where it stands has not changed. */
weft_err wf_feed_step(weft_feed *feed, weft_feed_event *out);
/* Is there something durable behind arrival `at`? */
bool wf_feed_has_news(const weft_feed *feed, uint64_t at);

#endif
