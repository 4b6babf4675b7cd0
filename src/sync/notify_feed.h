/* SPDX-License-Identifier: Apache-2.0
 * notify_feed.h - the change feeds that notify knows: who waits for news of which, and the
 * ones whose functions it calls.
 * Called by: notify_actor.c. Never: holds the engine up. */
#ifndef WF_NOTIFY_FEED_H
#define WF_NOTIFY_FEED_H

#include "feed.h"
#include "notify.h"

struct wf_feeds { /* notify's */
    struct wf_feed_seat {
        weft_feed *feed;
        struct wf_notify_feed *waiting; /* to be answered when something came; NULL */
        bool closing;                   /* by a callback: the feed is notify's now    */
        weft_err err;                   /* why it could not be read, which was said once */
    } seats[WEFT_FEEDS_MAX];            /* in the order of opening */
    uint32_t count;
    weft_timer turn; /* set: a turn of the functions is due */
};

/* A message of api_feed.c; answers it or keeps it until there is news. */
void wf_feeds_take(weft_self *self, struct wf_feeds *feeds, struct wf_notify_feed *msg);
/* Trees grew, and that is durable. */
void wf_feeds_rung(weft_self *self, struct wf_feeds *feeds);
/* A callback closed it: it is freed when that one has returned. */
void wf_feeds_part(struct wf_feeds *feeds, const weft_feed *feed);
/* notify or the store ends: answers who waits. The feeds stay their owners'. */
void wf_feeds_end(struct wf_feeds *feeds);

#endif
