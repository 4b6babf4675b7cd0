/* SPDX-License-Identifier: Apache-2.0
 * misuse.c - naming those who use a message that they have given away.
 * Called by: send.c, ask.c, call.c, msg.c, actor.c, when one finds such a message. May touch: the list of actors, under
 * its lock. Never: the message, but for its head. */
#include <stdio.h>
#include <stdlib.h>

#include "hooks.h"
#include "log.h"
#include "self.h"

bool wf_misuse_aborts = WF_DEBUG;

/* "name #number", or what is known of it. */
static void describe(weft_rt *rt, uint32_t number, char *out, size_t room)
{
    bool found = false;
    if (number == 0) {
        (void)snprintf(out, room, "a plain thread");
        return;
    }
    if (rt != NULL) {
        wf_lock_take(rt->lock);
        const weft_addr *addr = rt->first;
        while (addr != NULL && (addr->number & WF_FROM_MAX) != number) addr = addr->next;
        found = addr != NULL;
        if (found) (void)snprintf(out, room, "%s #%u", weft_addr_name(addr), number);
        wf_lock_give(rt->lock);
    }
    if (!found) (void)snprintf(out, room, "actor #%u, which has ended", number);
}

weft_err wf_misuse_in_flight(weft_addr *to, const weft_msg *msg)
{
    char first[WEFT_ACTOR_NAME_BYTES_MAX + 24], second[sizeof first];
    const weft_self *self = wf_self_current();
    weft_rt *rt = self != NULL ? self->rt : NULL;
    /* A plain thread's: the receiver's runtime, which is there until its threads are joined. */
    if (rt == NULL && wf_load(&to->joined, WF_ACQUIRE) == 0) rt = to->rt;
    describe(rt, wf_load(&msg->flags, WF_RELAXED) >> WF_MSG_FROM_SHIFT, first, sizeof first);
    describe(rt, self == NULL ? 0 : self->addr->number & WF_FROM_MAX, second, sizeof second);
    weft_err err = wf_fail(WEFT_INVALID, "send", "%s is in flight already: sent by %s, again by %s",
                           msg->kind->name, first, second);
    if (wf_misuse_aborts) abort();
    return err;
}

void wf_misuse_given(const weft_msg *msg)
{
    const weft_self *self = wf_self_current();
    (void)wf_fail(WEFT_INVALID, "drop",
                  "%s was sent or answered, and then dropped or answered again by %s",
                  msg->kind->name, self == NULL ? "a plain thread" : weft_addr_name(self->addr));
    if (wf_misuse_aborts) abort();
}
