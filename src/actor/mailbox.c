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
#include "self.h"

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

static uint32_t count_of(uint64_t cost) { return (uint32_t)cost; }
static uint32_t units_of(uint64_t cost) { return (uint32_t)(cost >> 32); }

/* 0: bytes are not counted. */
static uint32_t units_max(const weft_addr *box)
{
    if ((wf_load(&box->flags, WF_RELAXED) & WF_ADDR_BYTES) == 0) return 0;
    return box->self->ext->units_max; /* set before the address was given out */
}

void wf_mailbox_bound_bytes(weft_addr *box, size_t bytes)
{
    size_t units = bytes / WF_MAILBOX_UNIT + (bytes % WF_MAILBOX_UNIT != 0);
    uint32_t max = units > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)units;
    box->self->ext->units_max = max;
    box->flags |= WF_ADDR_BYTES;
    /* From here on messages are counted in any case; so many do not fit any memory. */
    if (box->capacity == WEFT_UNBOUNDED) box->capacity = WEFT_UNBOUNDED - 1;
    box->credit = (uint64_t)max << 32 | box->capacity;
}

uint64_t wf_mailbox_bytes_cost(const weft_addr *box, const weft_msg *msg)
{
    size_t units = msg->kind->size / WF_MAILBOX_UNIT + (msg->kind->size % WF_MAILBOX_UNIT != 0);
    /* Room comes back in halves; what is larger than that counts as a half, so that it can be
     * sent at all. */
    uint32_t half = units_max(box) / 2;
    if (units > half) units = half;
    return (uint64_t)(units == 0 ? 1 : units) << 32 | 1;
}

/* Relaxed everywhere: credits count, the word orders. A compare-and-swap, not a
 * subtraction that is undone, so that the count never lies to the consumer. */
bool wf_mailbox_credit_take(weft_addr *box, uint64_t cost)
{
    if (box->capacity == WEFT_UNBOUNDED) return true;
    uint64_t seen = wf_load(&box->credit, WF_RELAXED);
    do {
        if (count_of(seen) < count_of(cost) || units_of(seen) < units_of(cost)) return false;
    } while (!wf_cas_weak(&box->credit, &seen, seen - cost, WF_RELAXED));
    return true;
}

void wf_mailbox_credit_give(weft_addr *box, uint64_t cost)
{
    if (box->capacity == WEFT_UNBOUNDED || cost == 0) return;
    uint64_t after = wf_add(&box->credit, cost, WF_RELAXED) + cost;
    WF_ASSERT(count_of(after) <= box->capacity && units_of(after) <= units_max(box));
}

static void give_owed(weft_addr *box, struct wf_lanes *lanes)
{
    wf_mailbox_credit_give(box, (uint64_t)lanes->owed_units << 32 | lanes->owed);
    wf_store(&lanes->owed, 0, WF_RELAXED); /* read by weft_addr_stats */
    lanes->owed_units = 0;
}

bool wf_mailbox_settle(weft_addr *box, struct wf_lanes *lanes, uint64_t cost)
{
    if (box->capacity == WEFT_UNBOUNDED) return false;
    wf_store(&lanes->owed, lanes->owed + count_of(cost), WF_RELAXED);
    lanes->owed_units += units_of(cost);
    /* In halves, so that the line moves seldom. Who waits for room came when all was
     * taken and nothing owed, so a half is sure to come back, unless the wish of another
     * takes it home before; then all who wait are told at that time. Bytes that are stashed
     * do not come back, so the rest of a half has to do. */
    uint32_t units = units_max(box);
    bool half = lanes->owed >= box->capacity - box->capacity / 2 ||
                (units != 0 &&
                 lanes->owed_units + box->self->ext->stash_units >= units - units / 2);
    if (!half) return false;
    give_owed(box, lanes);
    return true;
}

bool wf_mailbox_has_room(weft_addr *box, struct wf_lanes *lanes)
{
    if (box->capacity == WEFT_UNBOUNDED) return true;
    give_owed(box, lanes);
    uint64_t credit = wf_load(&box->credit, WF_RELAXED);
    /* No message costs more than half of the bytes. */
    return count_of(credit) > 0 && units_of(credit) >= units_max(box) / 2;
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
