/* SPDX-License-Identifier: Apache-2.0
 * kill.c - faults of a simulated world: an actor that fails, a runtime whose actors vanish where
 * they stand.
 * Called by: users' tests (weft/testing.h), ours (sim.h). May touch: everything of that runtime.
 * Never: runs a fini, a callback or a hook of those that vanish. */
#include "child.h"
#include "log.h"
#include "roster.h"
#include "sim.h"

static void vanish_lane(weft_addr *addr, struct wf_lane *lane)
{
    weft_msg *msg;
    while ((msg = wf_lane_pop(lane)) != NULL) {
        uint32_t state = wf_load(&msg->state, WF_RELAXED);
        if (state == WF_REQ_IDLE && !(msg->flags & (WF_MSG_CREDIT | WF_MSG_CONTROL)) &&
            msg != &addr->self->stop_msg)
            weft_drop(msg);
        else wf_dead_letter(addr, msg, WEFT_CLOSED); /* askers of other runtimes hear CLOSED */
    }
}

/* Nobody kills the ground it stands on. */
static weft_err check(weft_rt *rt)
{
    if (rt->port->sim == NULL) return WEFT_INVALID;
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next)
        if (wf_sim_is_running(addr)) return WEFT_DEADLK;
    return rt->stops > 0 ? WEFT_BUSY : WEFT_OK;
}

weft_err weft_sim_kill(weft_rt *rt)
{
    weft_err err = rt == NULL ? WEFT_OK : check(rt);
    if (err != WEFT_OK || rt == NULL) return err;
    wf_sim *sim = rt->port->sim;
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next)
        wf_actor_trace(addr->self, WF_TRACE_KILL, "");
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next)
        wf_monitors_leave(addr->self);
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        wf_sim_forget(sim, addr);
        addr->self->phase = WF_PHASE_ENDED;
        addr->self->reason = WEFT_CANCELED;
        wf_ask_cancel_all(addr->self, true);
        wf_names_forget(rt, addr);
        wf_subscriptions_end(addr->self);
        wf_mailbox_close(addr, &addr->self->lanes);
        if (addr->self->ext == NULL) continue;
        addr->self->ext->timers.count = 0; /* the timers are in memory that vanishes too */
        wf_heap_fini(&addr->self->ext->timers);
    }
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        vanish_lane(addr, &addr->self->lanes.system);
        if (addr->self->ext != NULL) vanish_lane(addr, &addr->self->ext->stash);
        vanish_lane(addr, &addr->self->lanes.user);
        vanish_lane(addr, &addr->self->lanes.waiters);
        if (addr->self->ext != NULL && addr->self->ext->child != NULL)
            vanish_lane(addr, &addr->self->ext->child->kept);
    }
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        wf_children_forget(addr->self);
        wf_monitors_end(addr->self); /* watchers in other runtimes hear of it */
        wf_child_gone(addr->self);
    }
    wf_rt_forget_all(rt);
    err = weft_rt_destroy(rt);
    WF_ASSERT(err == WEFT_OK);
    return WEFT_OK;
}

weft_err weft_sim_fail(weft_addr *addr, weft_err reason)
{
    weft_self *self = addr->self;
    if (reason == WEFT_OK || self == NULL) return WEFT_INVALID;
    if (wf_mailbox_is_closed(addr)) return WEFT_CLOSED; /* and its world may be gone */
    if (self->port->sim == NULL) return WEFT_INVALID;
    if (self->phase != WF_PHASE_NEW && self->phase != WF_PHASE_RUNNING)
        return wf_child_restarts(self) ? WEFT_RESTARTING : WEFT_CLOSED;
    wf_actor_trace(self, WF_TRACE_FAIL, weft_errname(reason));
    if (!self->failed) wf_actor_fail(self, reason);
    wf_sim_wake(self->port->sim, addr);
    return WEFT_OK;
}
