/* SPDX-License-Identifier: Apache-2.0
 * notify.h - the actor on which the callbacks of plain threads run: completions of
 * asynchronous calls and the event feed. Bounded and coalescing: it never holds the
 * engine up. Called by: weft.c (asks, subscriptions), sync (events), store (doorbell). */
#ifndef WF_NOTIFY_H
#define WF_NOTIFY_H

#include <weft/node.h>

#include "feed.h"
#include "nodes.h"

weft_err wf_notify_spawn(weft_rt *rt, weft_addr **out);

extern const weft_kind wf_notify_event_kind, wf_notify_sub_kind, wf_notify_ask_kind,
    wf_notify_feed_kind;

/* sync -> notify */
struct wf_notify_event {
    weft_msg msg;
    weft_event event; /* bytes NULL */
};
/* weft.c asks notify: add or remove a subscriber */
struct wf_notify_sub {
    weft_request req;
    bool add;
    uint64_t handle; /* out of add, in of remove */
    weft_on_event fn;
    void *arg;
};
/* weft.c -> notify: ask `to` with `request` until `deadline`, then call done on this
 * thread with the reply (NULL when the callee kept it). done owns the request. */
struct wf_notify_ask {
    weft_msg msg;
    weft_addr *to; /* counted */
    weft_request *request;
    weft_ns deadline;
    void (*done)(void *arg, weft_err err, weft_request *request);
    void *arg;
};

/* api_feed.c asks notify about a change feed. WAIT is answered when there is something durable
 * behind arrival `at`. */
enum wf_feed_what { WF_FEED_OPEN, WF_FEED_START, WF_FEED_WAIT, WF_FEED_CLOSE };
struct wf_notify_feed {
    weft_request req;
    enum wf_feed_what what;
    weft_feed *feed;
    uint64_t at;
    weft_on_feed fn;
    void *arg;
};

#endif
