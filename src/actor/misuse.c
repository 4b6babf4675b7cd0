/* SPDX-License-Identifier: Apache-2.0
 * misuse.c - naming those who use a message that they have given away, or what is not theirs.
 * Called by: whoever finds such a use. May touch: the list of actors, under its lock. Never: the
 * message, but for its head. */
#include <stdio.h>
#include <stdlib.h>

#include "child.h"
#include "hooks.h"
#include "log.h"

bool wf_misuse_aborts = WF_DEBUG;
bool wf_misuse_checks = WF_DEBUG;

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

void wf_misuse_foreign(const weft_self *self, const char *call)
{
    const weft_self *here = wf_self_current();
    (void)wf_fail(WEFT_INVALID, "self", "%s: %s is used outside its callbacks, by %s", call,
                  weft_addr_name(self->addr),
                  here == NULL ? "a plain thread" : weft_addr_name(here->addr));
    if (wf_misuse_aborts) abort();
}

/* The state of an asker, the first or one after a restart, stays until the callee lets go. */
static bool is_of_state(const weft_self *self, const void *what)
{
    uintptr_t at = (uintptr_t)what, block = (uintptr_t)self->addr, state = (uintptr_t)self->state;
    if (at >= block && at - block < wf_block_bytes(self->addr)) return true;
    const struct wf_child *child = self->ext == NULL ? NULL : self->ext->child;
    return child != NULL && at >= state && at - state < child->state_bytes;
}

bool wf_misuse_dangles(const weft_self *asker, const weft_request *req)
{
    if (asker != NULL && is_of_state(asker, req)) return false;
    (void)wf_fail(WEFT_INVALID, "ask",
                  "%s has no drop and is no part of the state of %s, which asks with it until a "
                  "deadline: the callee may hold it after that",
                  req->msg.kind->name,
                  asker == NULL ? "a plain thread" : weft_addr_name(asker->addr));
    if (wf_misuse_aborts) abort();
    return true;
}
