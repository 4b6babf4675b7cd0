/* SPDX-License-Identifier: Apache-2.0
 * api_feed.c - public calls about change feeds.
 * Called by: users (weft/feed.h). May touch: the feed of its caller, messages to notify.
 * Never: a feed whose function is called, but to close it. */
#include "feed.h"
#include "node_internal.h"
#include "notify.h"
#include "notify_feed.h"
#include "self.h"

/* Callbacks of the node run on notify's thread: there a feed can be touched, not asked for. */
static bool on_notify(const weft_node *node)
{
    weft_self *self = wf_self_current();
    return self != NULL && weft_self_addr(self) == node->table.notify;
}

static struct wf_notify_feed *message(weft_feed *feed, enum wf_feed_what what)
{
    struct wf_notify_feed *msg = (struct wf_notify_feed *)weft_new(&wf_notify_feed_kind);
    if (msg == NULL) return NULL;
    msg->what = what;
    msg->feed = feed;
    return msg;
}

static weft_err ask(weft_node *node, struct wf_notify_feed *msg, weft_ns timeout)
{
    if (msg == NULL) return WEFT_NO_MEMORY;
    return wf_node_call(node, node->table.notify, &msg->req, timeout, NULL);
}

weft_err weft_feed_open(weft_node *node, const weft_id *tree, const weft_feed_options *options,
                        weft_feed **out)
{
    static const weft_feed_options all;
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_feed *feed = NULL;
    weft_err err = wf_feed_create(node->table.wf_store, tree, options == NULL ? &all : options,
                                  &feed);
    if (err != WEFT_OK) return err;
    feed->node = node;
    err = ask(node, message(feed, WF_FEED_OPEN), WEFT_NEVER);
    if (err == WEFT_OK) *out = feed;
    else wf_feed_destroy(feed);
    return err;
}

/* An event, or END. AGAIN: the deadline has passed, and there is more that may be passed over. A
 * call without time looks at some arrivals too, so that whoever calls again gets on. */
static weft_err step_until(weft_feed *feed, weft_ns deadline, weft_feed_event *out)
{
    for (uint32_t i = 1;; i++) {
        weft_err err = wf_feed_step(feed, out);
        if (err != WEFT_AGAIN) return err;
        if (i % WEFT_FEED_TURN == 0 && weft_rt_now(feed->node->rt) >= deadline) return WEFT_AGAIN;
    }
}

weft_err weft_feed_next(weft_feed *feed, weft_ns timeout, weft_feed_event *out)
{
    if (feed == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(feed->node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    if (feed->fn != NULL) return WEFT_BUSY;
    weft_node *node = feed->node;
    weft_ns deadline = weft_rt_after(node->rt, timeout);
    bool closed = false; /* notify has ended: what the store wrote before that is looked for once */
    for (;;) {
        weft_err err = step_until(feed, deadline, out);
        if (err != WEFT_END) return err;
        if (closed) return WEFT_CLOSED;
        weft_ns now = weft_rt_now(node->rt);
        weft_ns left = deadline == WEFT_NEVER ? WEFT_NEVER : deadline > now ? deadline - now : 0;
        if (left == 0) return wf_counter_get(&node->stopping) != 0 ? WEFT_CLOSED : WEFT_TIMED_OUT;
        struct wf_notify_feed *msg = message(feed, WF_FEED_WAIT);
        if (msg == NULL) return WEFT_NO_MEMORY;
        msg->at = feed->at;
        err = ask(node, msg, left);
        closed = err == WEFT_CLOSED;
        if (err != WEFT_OK && !closed) return err;
    }
}

weft_err weft_feed_start(weft_feed *feed, weft_on_feed fn, void *arg)
{
    if (feed == NULL || fn == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(feed->node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    struct wf_notify_feed *msg = message(feed, WF_FEED_START);
    if (msg == NULL) return WEFT_NO_MEMORY;
    msg->fn = fn;
    msg->arg = arg;
    return ask(feed->node, msg, WEFT_NEVER);
}

weft_err weft_feed_close(weft_feed *feed)
{
    if (feed == NULL || !wf_node_is_ours(feed->node)) return WEFT_OK; /* it is the parent's */
    if (on_notify(feed->node)) {
        wf_feeds_part(feed->home, feed);
        return WEFT_OK;
    }
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = ask(feed->node, message(feed, WF_FEED_CLOSE), WEFT_NEVER);
    /* CLOSED: notify has ended, and with it what it called. NOT_FOUND: it never knew it. */
    if (err != WEFT_OK && err != WEFT_CLOSED && err != WEFT_NOT_FOUND) return err;
    wf_feed_destroy(feed);
    return WEFT_OK;
}
