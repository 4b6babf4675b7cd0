/* SPDX-License-Identifier: Apache-2.0
 * send.c - sending, and hearing of room after FULL.
 * Called by: any thread. May touch: the message, the receiver's mailbox.
 * Never: allocates, blocks, touches a message after it was taken. */
#include "block.h"
#include "log.h"
#include "self.h"

weft_err weft_send(weft_addr *to, weft_msg *msg)
{
    if (!wf_mailbox_credit_take(to, 1)) return wf_mailbox_is_closed(to) ? WEFT_CLOSED : WEFT_FULL;
    msg->flags = 0;
    weft_err err = wf_mailbox_push(to, msg, msg);
    if (err != WEFT_OK) wf_mailbox_credit_give(to, 1);
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

weft_err weft_send_chain(weft_addr *to, weft_msg *first, weft_msg *last)
{
    uint32_t n = 1;
    first->flags = 0;
    for (weft_msg *msg = first; msg != last; n++) {
        msg = msg->next;
        WF_ASSERT(msg != NULL && n < WEFT_MAILBOX_MAX);
        msg->flags = 0;
    }
    last->next = NULL;
    if (!wf_mailbox_credit_take(to, n)) return wf_mailbox_is_closed(to) ? WEFT_CLOSED : WEFT_FULL;
    (void)turn_round(first);
    weft_err err = wf_mailbox_push(to, last, first);
    if (err != WEFT_OK) {
        first->next = NULL;
        (void)turn_round(last);
        wf_mailbox_credit_give(to, n);
    }
    return err;
}

weft_err wf_push_system(weft_addr *to, weft_msg *msg)
{
    msg->flags = WF_MSG_SYSTEM;
    return wf_mailbox_push(to, msg, msg);
}

weft_err wf_send_system(weft_addr *to, weft_msg *msg) { return wf_push_system(to, msg); }

/* The message itself travels to `to`, which keeps it until there is room and then
 * sends it on: nothing is allocated and nothing can fail. */
weft_err weft_notify_credit(weft_self *self, weft_addr *to, weft_msg *when_room)
{
    when_room->ctx = weft_addr_get(self->addr);
    when_room->flags = WF_MSG_SYSTEM | WF_MSG_CREDIT;
    weft_err err = wf_mailbox_push(to, when_room, when_room);
    if (err != WEFT_OK) {
        when_room->ctx = NULL;
        weft_addr_put(self->addr);
    }
    return err;
}

void wf_credit_deliver(weft_msg *msg)
{
    weft_addr *waiter = msg->ctx;
    msg->ctx = NULL;
    if (wf_push_system(waiter, msg) != WEFT_OK) weft_drop(msg);
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
