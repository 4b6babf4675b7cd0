/* SPDX-License-Identifier: Apache-2.0
 * overflow.c - what becomes of a message for which a bounded mailbox has no room.
 * Called by: senders that got no credit, any thread; the actor, after it took its mail in.
 * May touch: the message, the counter of the actor. Never: the system lane. */
#include <weft/topic.h>

#include "log.h"
#include "self.h"

/* The sender's thread or the actor's. The runtime may be gone while its addresses are in
 * use, so the hook was copied when the actor was made. */
static void drop(weft_addr *to, weft_msg *msg)
{
    struct wf_ext *ext = to->self->ext; /* made at the spawn, lives as long as the address */
    (void)wf_add(&ext->more.overflow, 1, WF_RELAXED);
    if (wf_load(&msg->state, WF_RELAXED) != WF_REQ_IDLE)
        weft_reply((weft_request *)msg, WEFT_DROPPED);
    else if (ext->dead_fn != NULL) ext->dead_fn(ext->dead_arg, to, msg, WEFT_FULL);
    else weft_drop(msg);
}

weft_err wf_overflow(weft_addr *to, weft_msg *newest)
{
    if (wf_mailbox_is_closed(to)) return WEFT_CLOSED;
    if (to->overflow != WEFT_DROP_NEW) return WEFT_FULL;
    weft_msg *first = NULL;
    while (newest != NULL) { /* the oldest is dropped first */
        weft_msg *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    while (first != NULL) {
        weft_msg *msg = first;
        first = msg->next;
        msg->next = NULL;
        wf_msg_release(msg);
        drop(to, msg);
    }
    return WEFT_OK;
}

void wf_overflow_trim(weft_self *self)
{
    weft_addr *addr = self->addr;
    if (addr->overflow != WEFT_DROP_OLD || addr->capacity == WEFT_UNBOUNDED) return;
    /* The credit is for twice what the mailbox keeps: see spawn.c. */
    while (self->lanes.user.count > addr->capacity / 2) {
        weft_msg *msg = wf_lane_pop(&self->lanes.user);
        if (self->drain_left > 0) self->drain_left--; /* a stop does not wait for it any more */
        if (msg->kind == &weft_kind_event) wf_event_trimmed(self, msg);
        drop(addr, msg);
        if (wf_mailbox_settle(addr, &self->lanes, 1)) wf_credit_tell(addr);
    }
}
