/* SPDX-License-Identifier: Apache-2.0
 * notify_feed.c - the change feeds that notify knows: who waits for news of which, and the
 * ones whose functions it calls.
 * Called by: notify_actor.c. May touch: the seats, feeds that were started.
 * Never: reads for a feed that its owner reads, or lets one feed keep the others waiting. */
#include "notify_feed.h"

#include "log.h"

#define AGAIN_NS (100 * WEFT_MS) /* until a disk that refused is read again */

static void on_turn(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static struct wf_feed_seat *seat_of(struct wf_feeds *feeds, const weft_feed *feed)
{
    for (uint32_t i = 0; i < feeds->count; i++)
        if (feeds->seats[i].feed == feed) return &feeds->seats[i];
    return NULL;
}

static void answer(struct wf_feed_seat *seat, weft_err err)
{
    struct wf_notify_feed *waiting = seat->waiting;
    seat->waiting = NULL;
    if (waiting != NULL) weft_reply(&waiting->req, err);
}

static void leave(struct wf_feeds *feeds, struct wf_feed_seat *seat)
{
    answer(seat, WEFT_CLOSED);
    struct wf_feed_seat *end = &feeds->seats[feeds->count--];
    for (struct wf_feed_seat *at = seat; at + 1 < end; at++) at[0] = at[1];
}

/* Those that a callback closed: nobody else holds them. */
static void sweep(struct wf_feeds *feeds)
{
    for (uint32_t i = feeds->count; i-- > 0;) {
        weft_feed *feed = feeds->seats[i].feed;
        if (!feeds->seats[i].closing) continue;
        leave(feeds, &feeds->seats[i]);
        wf_feed_destroy(feed);
    }
}

void wf_feeds_part(struct wf_feeds *feeds, const weft_feed *feed)
{
    struct wf_feed_seat *seat = seat_of(feeds, feed);
    if (seat != NULL) seat->closing = true;
}

static void turn_at(weft_self *self, struct wf_feeds *feeds, weft_ns when)
{
    weft_timer_set(self, &feeds->turn, when, 0, on_turn);
}

/* -- Messages --------------------------------------------------------------------------------- */

static weft_err open_seat(struct wf_feeds *feeds, weft_feed *feed)
{
    sweep(feeds);
    if (feeds->count == WEFT_FEEDS_MAX) return WEFT_LIMIT;
    feeds->seats[feeds->count++] = (struct wf_feed_seat){.feed = feed};
    feed->home = feeds;
    return WEFT_OK;
}

static weft_err start(weft_self *self, struct wf_feeds *feeds, const struct wf_notify_feed *msg)
{
    if (msg->feed->fn != NULL) return WEFT_BUSY;
    msg->feed->arg = msg->arg;
    msg->feed->fn = msg->fn;
    turn_at(self, feeds, weft_now(self));
    return WEFT_OK;
}

/* Looks after the message came: what is made durable later rings the bell. */
static void wait(struct wf_feed_seat *seat, struct wf_notify_feed *msg)
{
    answer(seat, WEFT_TIMED_OUT); /* whoever asked before does not wait any more */
    seat->waiting = msg;
    if (wf_feed_has_news(seat->feed, msg->at)) answer(seat, WEFT_OK);
}

void wf_feeds_take(weft_self *self, struct wf_feeds *feeds, struct wf_notify_feed *msg)
{
    struct wf_feed_seat *seat = seat_of(feeds, msg->feed);
    weft_err err = WEFT_NOT_FOUND;
    switch (msg->what) {
    case WF_FEED_OPEN: err = open_seat(feeds, msg->feed); break;
    case WF_FEED_START:
        if (seat != NULL) err = start(self, feeds, msg);
        break;
    case WF_FEED_WAIT:
        if (seat == NULL) break;
        wait(seat, msg);
        return;
    case WF_FEED_CLOSE:
        if (seat == NULL) break;
        leave(feeds, seat);
        err = WEFT_OK;
        break;
    }
    weft_reply(&msg->req, err);
}

/* -- News ---------------------------------------------------------------------------------------- */

void wf_feeds_rung(weft_self *self, struct wf_feeds *feeds)
{
    bool due = false;
    for (uint32_t i = 0; i < feeds->count; i++) {
        struct wf_feed_seat *seat = &feeds->seats[i];
        if (seat->waiting != NULL && wf_feed_has_news(seat->feed, seat->waiting->at))
            answer(seat, WEFT_OK);
        due |= !seat->closing && seat->feed->fn != NULL;
    }
    if (due) turn_at(self, feeds, weft_now(self));
}

/* OK: it may have more. END: not now. Else the disk refuses. */
static weft_err give_turn(const struct wf_feed_seat *seat)
{
    weft_feed *feed = seat->feed;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < WEFT_FEED_TURN && !seat->closing; i++) {
        weft_feed_event event;
        err = wf_feed_step(feed, &event);
        if (err == WEFT_OK) feed->fn(feed->arg, feed, &event);
        else if (err != WEFT_AGAIN) return err;
    }
    return seat->closing ? WEFT_END : WEFT_OK;
}

static void on_turn(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_feeds *feeds = (struct wf_feeds *)((char *)timer - offsetof(struct wf_feeds, turn));
    weft_ns next = WEFT_NEVER;
    (void)state;
    (void)missed;
    for (uint32_t i = 0; i < feeds->count; i++) {
        struct wf_feed_seat *seat = &feeds->seats[i];
        if (seat->closing || seat->feed->fn == NULL) continue;
        weft_err err = give_turn(seat), before = seat->err;
        seat->err = err == WEFT_END ? WEFT_OK : err;
        if (err == WEFT_END || err == WEFT_TREE) continue; /* removed: nothing comes any more */
        if (err != WEFT_OK && err != before)
            wf_log(WEFT_LOG_WARN, "sync", "a change feed cannot be read now: %s",
                   weft_strerror(err));
        weft_ns at = weft_now(self) + (err == WEFT_OK ? 0 : AGAIN_NS);
        if (at < next) next = at;
    }
    sweep(feeds);
    if (next != WEFT_NEVER) turn_at(self, feeds, next);
}

/* Owners may be closing their feeds at this moment: theirs are not touched. */
void wf_feeds_end(struct wf_feeds *feeds)
{
    sweep(feeds);
    for (uint32_t i = 0; i < feeds->count; i++) answer(&feeds->seats[i], WEFT_CLOSED);
}
