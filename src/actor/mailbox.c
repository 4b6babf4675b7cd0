/* SPDX-License-Identifier: Apache-2.0
 * mailbox.c - the mailbox: credits, pushes, and the consumer's two lanes.
 * Called by: every sender (push, credit) and the one consumer (the rest).
 * May touch: the messages' next, flags; the driver to wake the consumer.
 * Never: allocates, frees or looks into a message. */
#include "mailbox.h"

#include "driver.h"
#include "hooks.h"
#include "log.h"
#include "park.h"

static_assert(sizeof(weft_msg) == 32 || sizeof(void *) != 8, "the header is four words");
static_assert(_Alignof(weft_msg) >= 8, "tags need the three low bits of a message's address");

void wf_mailbox_init(weft_addr *box, struct wf_port *port, uint32_t capacity)
{
    box->head = WF_BOX_EMPTY;
    box->port = port;
    box->capacity = capacity;
    box->credit = capacity;
}

/* -- Credit ------------------------------------------------------------------ */

/* Relaxed everywhere: credits count, the word orders. A compare-and-swap, not a
 * subtraction that is undone, so that the count never lies to the consumer. */
bool wf_mailbox_credit_take(weft_addr *box, uint32_t n)
{
    if (box->capacity == WEFT_UNBOUNDED) return true;
    uint64_t seen = wf_load(&box->credit, WF_RELAXED);
    do {
        if (seen < n) return false;
    } while (!wf_cas_weak(&box->credit, &seen, seen - n, WF_RELAXED));
    return true;
}

void wf_mailbox_credit_give(weft_addr *box, uint32_t n)
{
    if (box->capacity == WEFT_UNBOUNDED || n == 0) return;
    uint64_t before = wf_add(&box->credit, n, WF_RELAXED);
    WF_ASSERT(before + n <= box->capacity);
}

bool wf_mailbox_settle(weft_addr *box, struct wf_lanes *lanes)
{
    if (box->capacity == WEFT_UNBOUNDED) return false;
    wf_store(&lanes->owed, lanes->owed + 1, WF_RELAXED); /* read by weft_addr_stats */
    /* In halves, so that the line moves seldom. Who waits for room came when all was
     * taken and nothing owed, so a half is sure to come back, unless the wish of another
     * takes it home before; then all who wait are told at that time. */
    if (lanes->owed < box->capacity - box->capacity / 2) return false;
    wf_mailbox_credit_give(box, lanes->owed);
    wf_store(&lanes->owed, 0, WF_RELAXED);
    return true;
}

bool wf_mailbox_has_room(weft_addr *box, struct wf_lanes *lanes)
{
    if (box->capacity == WEFT_UNBOUNDED) return true;
    wf_mailbox_credit_give(box, lanes->owed);
    wf_store(&lanes->owed, 0, WF_RELAXED);
    return wf_load(&box->credit, WF_RELAXED) > 0;
}

/* -- Producers ----------------------------------------------------------------- */

weft_err wf_mailbox_push(weft_addr *box, weft_msg *newest, weft_msg *oldest)
{
    __builtin_prefetch(&box->head, 1);
    wf_hook_push(box, newest, oldest);
    uintptr_t seen = wf_word_push(&box->head, newest, (void **)&oldest->next);
    if (!wf_word_is_tag(seen) || seen == WF_BOX_EMPTY) return WEFT_OK;
    if (seen == WF_BOX_CLOSED) return WEFT_CLOSED;
    /* Our swap took the tag away, so this wake is ours alone. The caller's address
     * keeps the mailbox and its poll alive meanwhile. */
    if (seen == WF_BOX_PARK_RUN) box->driver->ops->ready(box->driver, box);
    else if (seen == WF_BOX_PARK_FUTEX) wf_park_wake(box->port, &box->head);
    else box->port->ops->poll_wake(box->port, box->poll);
    return WEFT_OK;
}

bool wf_mailbox_is_closed(const weft_addr *box)
{
    return wf_load(&box->head, WF_RELAXED) == WF_BOX_CLOSED;
}

/* -- The consumer ----------------------------------------------------------------- */

weft_msg *wf_lane_pop(struct wf_lane *lane)
{
    weft_msg *msg = lane->first;
    if (msg == NULL) return NULL;
    lane->first = msg->next;
    if (lane->first == NULL) lane->last = NULL;
    lane->count--;
    msg->next = NULL;
    msg->flags &= ~WF_MSG_QUEUED;
    return msg;
}

void wf_lane_append(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = NULL;
    msg->flags |= WF_MSG_QUEUED;
    if (lane->last == NULL) lane->first = msg;
    else lane->last->next = msg;
    lane->last = msg;
    lane->count++;
}

void wf_lane_put_before(struct wf_lane *lane, const struct wf_lane *more)
{
    if (more->first == NULL) return;
    more->last->next = lane->first;
    lane->first = more->first;
    if (lane->last == NULL) lane->last = more->last;
    lane->count += more->count;
}

static void lane_prepend(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = lane->first;
    lane->first = msg;
    if (lane->last == NULL) lane->last = msg;
    lane->count++;
}

static void lane_join(struct wf_lane *lane, const struct wf_lane *more)
{
    if (more->first == NULL) return;
    if (lane->last == NULL) lane->first = more->first;
    else lane->last->next = more->first;
    lane->last = more->last;
    lane->count += more->count;
}

/* `word` holds the newest first: turning it round gives the order of sending, and
 * sorting while we touch each message anyway gives priority for nothing. */
static void take_in(struct wf_lanes *lanes, uintptr_t word)
{
    struct wf_lane system = {0}, user = {0};
    weft_msg *msg = wf_word_is_tag(word) ? NULL : (weft_msg *)word;
    while (msg != NULL) {
        weft_msg *older = msg->next;
        lane_prepend(msg->flags & WF_MSG_SYSTEM ? &system : &user, msg);
        msg = older;
    }
    lane_join(&lanes->system, &system);
    lane_join(&lanes->user, &user);
}

void wf_mailbox_drain(weft_addr *box, struct wf_lanes *lanes)
{
    take_in(lanes, wf_word_take(&box->head));
}

bool wf_mailbox_is_empty(const weft_addr *box, const struct wf_lanes *lanes)
{
    return lanes->system.first == NULL && lanes->user.first == NULL &&
           wf_load(&box->head, WF_RELAXED) == WF_BOX_EMPTY;
}

void wf_mailbox_close(weft_addr *box, struct wf_lanes *lanes)
{
    take_in(lanes, wf_word_close(&box->head));
}
