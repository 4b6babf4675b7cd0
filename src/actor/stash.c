/* SPDX-License-Identifier: Apache-2.0
 * stash.c - messages that an actor put back for later.
 * Called by: the actor's thread. May touch: the actor's stash and lanes.
 * Never: gives a message's credit back; that waits until it is handled. */
#include "log.h"
#include "self.h"

static uint32_t bound(const weft_self *self)
{
    if (self->ext->stash_max != 0) return self->ext->stash_max;
    uint32_t half = self->addr->capacity / 2;
    if (self->addr->overflow == WEFT_DROP_OLD) half /= 2; /* its capacity is doubled: spawn.c */
    return half < WEFT_STASH_DEFAULT ? half : WEFT_STASH_DEFAULT;
}

/* Of bytes, as of messages, half is left for what the actor waits for. */
static uint32_t units_of(const weft_self *self, const weft_msg *msg)
{
    if (msg->flags & WF_MSG_SYSTEM) return 0; /* it took no credit */
    return (uint32_t)(wf_mailbox_cost(self->addr, msg) >> 32);
}

bool wf_stash_put(weft_self *self, weft_msg *msg)
{
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL || ext->stash.count >= bound(self)) return false;
    uint32_t units = units_of(self, msg);
    if (units > ext->units_max / 2 - ext->stash_units) return false;
    ext->stash_units += units;
    wf_lane_append(&ext->stash, msg);
    wf_count(&ext->more.stashed);
    return true;
}

uint32_t weft_stashed(const weft_self *self)
{
    return self->ext == NULL ? 0 : (uint32_t)self->ext->stash.count;
}

uint32_t weft_unstash(weft_self *self, uint32_t max)
{
    if (wf_self_is_foreign(self, "weft_unstash") || self->ext == NULL) return 0;
    struct wf_lane user = {0}, system = {0};
    uint32_t n = 0, users = 0;
    for (weft_msg *msg; n < max && (msg = wf_lane_pop(&self->ext->stash)) != NULL; n++) {
        bool is_system = (msg->flags & WF_MSG_SYSTEM) != 0;
        self->ext->stash_units -= units_of(self, msg);
        wf_lane_append(is_system ? &system : &user, msg);
        users += !is_system;
    }
    wf_lane_put_before(&self->lanes.user, &user);
    wf_lane_put_before(&self->lanes.system, &system);
    if (self->stopping) self->drain_left += users; /* they were in before the stop */
    return n;
}

void wf_stash_fini(weft_self *self)
{
    if (self->ext == NULL) return;
    weft_msg *msg;
    while ((msg = wf_lane_pop(&self->ext->stash)) != NULL)
        wf_dead_letter(self->addr, msg, WEFT_CLOSED);
}
