/* SPDX-License-Identifier: Apache-2.0
 * send.c - sending, and hearing of room after FULL.
 * Called by: any thread. May touch: the message, the receiver's mailbox.
 * Never: allocates, blocks, touches a message after it was taken. */
#include "block.h"
#include "log.h"
#include "self.h"

/* Inline here: these two are in the path of each message. */
static inline bool claim(weft_addr *to, weft_msg *msg)
{
    /* Relaxed: for its rightful owner nobody else writes it. */
    if ((wf_load(&msg->flags, WF_RELAXED) & WF_MSG_QUEUED) != 0)
        return wf_misuse_in_flight(to, msg) == WEFT_OK;
    const weft_self *self = wf_self_current();
    msg->flags = WF_MSG_QUEUED | (self == NULL ? 0 : self->addr->number << WF_MSG_FROM_SHIFT);
    return true;
}

bool wf_msg_claim(weft_addr *to, weft_msg *msg) { return claim(to, msg); }

static inline weft_err staged(weft_addr *to, weft_msg *newest, weft_msg *oldest, uint64_t cost)
{
    if (!wf_mailbox_credit_take(to, cost)) return wf_overflow(to, newest);
    weft_err err = wf_mailbox_push(to, newest, oldest);
    if (err == WEFT_OK) return WEFT_OK;
    oldest->next = NULL; /* the push had tried it on */
    wf_mailbox_credit_give(to, cost);
    return err;
}

weft_err wf_send_staged(weft_addr *to, weft_msg *newest, weft_msg *oldest, uint64_t cost)
{
    return staged(to, newest, oldest, cost);
}

static inline weft_err send_claimed(weft_addr *to, weft_msg *msg)
{
    weft_msg *next = msg->next; /* its sender may keep a list of what waits for room */
    msg->next = NULL;
    weft_err err = staged(to, msg, msg, wf_mailbox_cost(to, msg));
    if (err != WEFT_OK) msg->next = next;
    return err;
}

weft_err wf_send_claimed(weft_addr *to, weft_msg *msg) { return send_claimed(to, msg); }

weft_err wf_send_or_drop(weft_addr *to, weft_msg *msg, bool *dropped)
{
    *dropped = false;
    if (!claim(to, msg)) return WEFT_INVALID;
    uint64_t cost = wf_mailbox_cost(to, msg);
    weft_err err;
    if (wf_mailbox_credit_take(to, cost)) {
        err = wf_mailbox_push(to, msg, msg);
        if (err != WEFT_OK) wf_mailbox_credit_give(to, cost);
    } else {
        err = wf_overflow(to, msg);
        *dropped = err == WEFT_OK;
    }
    if (err == WEFT_OK) return WEFT_OK;
    msg->next = NULL; /* the push had tried it on */
    wf_msg_release(msg);
    return err;
}

weft_err weft_send(weft_addr *to, weft_msg *msg)
{
    if (!claim(to, msg)) return WEFT_INVALID;
    weft_err err = send_claimed(to, msg);
    if (err != WEFT_OK) wf_msg_release(msg);
    return err;
}

/* Turns a chain round in place and returns its new first message. */
static weft_msg *turn_round(weft_msg *first)
{
    weft_msg *done = NULL;
    while (first != NULL) {
        weft_msg *next = first->next;
        first->next = done;
        done = first;
        first = next;
    }
    return done;
}

/* The messages from `first` to before `end` are the caller's again. */
static void release_until(weft_msg *first, const weft_msg *end)
{
    for (; first != end; first = first->next) wf_msg_release(first);
}

weft_err weft_send_chain(weft_addr *to, weft_msg *first, weft_msg *last)
{
    uint64_t cost = 0;
    uint32_t n = 0;
    for (weft_msg *msg = first;; msg = msg->next) {
        WF_ASSERT(n < WEFT_MAILBOX_MAX);
        /* `last` is not behind `first`, or one of them is in flight. */
        if (msg == NULL || !wf_msg_claim(to, msg)) {
            release_until(first, msg);
            return WEFT_INVALID;
        }
        cost += wf_mailbox_cost(to, msg);
        n++;
        if (msg == last) break;
    }
    weft_msg *next = last->next; /* as in weft_send */
    last->next = NULL;
    (void)turn_round(first);
    weft_err err = wf_send_staged(to, last, first, cost);
    if (err != WEFT_OK) {
        (void)turn_round(last);
        release_until(first, NULL);
        last->next = next;
    }
    return err;
}

weft_err wf_push_system(weft_addr *to, weft_msg *msg)
{
    msg->flags = WF_MSG_SYSTEM | WF_MSG_QUEUED;
    return wf_mailbox_push(to, msg, msg);
}

weft_err wf_send_system(weft_addr *to, weft_msg *msg)
{
    if (!wf_msg_claim(to, msg)) return WEFT_INVALID;
    msg->flags |= WF_MSG_SYSTEM;
    weft_msg *next = msg->next; /* as in weft_send */
    weft_err err = wf_mailbox_push(to, msg, msg);
    if (err != WEFT_OK) {
        wf_msg_release(msg);
        msg->next = next;
    }
    return err;
}

/* The message itself travels to `to`, which keeps it until there is room and then
 * sends it on: nothing is allocated and nothing can fail. */
weft_err weft_notify_credit(weft_self *self, weft_addr *to, weft_msg *when_room)
{
    if (wf_self_is_foreign(self, "weft_notify_credit")) return WEFT_INVALID;
    if (!wf_msg_claim(to, when_room)) return WEFT_INVALID;
    when_room->ctx = weft_addr_get(self->addr);
    when_room->flags |= WF_MSG_SYSTEM | WF_MSG_CREDIT;
    weft_msg *next = when_room->next; /* as in weft_send */
    weft_err err = wf_mailbox_push(to, when_room, when_room);
    if (err != WEFT_OK) {
        wf_msg_release(when_room);
        when_room->next = next;
        when_room->ctx = NULL;
        weft_addr_put(self->addr);
    }
    return err;
}

void wf_credit_deliver(weft_msg *msg)
{
    weft_addr *waiter = msg->ctx;
    msg->ctx = NULL;
    if (wf_push_system(waiter, msg) != WEFT_OK) {
        wf_msg_release(msg);
        weft_drop(msg);
    }
    weft_addr_put(waiter);
}

void wf_credit_wanted(weft_addr *addr, weft_msg *msg)
{
    struct wf_lanes *lanes = &addr->self->lanes;
    wf_lane_append(&lanes->waiters, msg);
    /* News for all: had we told this one alone, those who waited before it might wait for
     * a half that never comes together, because its first credits went home here. */
    if (wf_mailbox_has_room(addr, lanes)) wf_credit_tell(addr);
}

void wf_credit_tell(weft_addr *addr)
{
    /* All of them: one that no longer cares must not keep the others waiting. */
    weft_msg *msg;
    while ((msg = wf_lane_pop(&addr->self->lanes.waiters)) != NULL) wf_credit_deliver(msg);
}
