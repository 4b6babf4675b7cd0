/* SPDX-License-Identifier: Apache-2.0
 * end.c - how an actor ends, on its own thread, in one fixed order.
 * Called by: stop.c, after the last turn and the end of all children. May touch: the
 * actor, what is left in its mailbox. Never: leaves an ask without its answer. */
#include "child.h"
#include "hooks.h"
#include "roster.h"

void wf_dead_letter(weft_addr *addr, weft_msg *msg, weft_err why)
{
    weft_self *self = addr->self;
    weft_rt *rt = self->rt;
    uint32_t state = wf_load(&msg->state, WF_RELAXED);
    if (msg == &self->stop_msg) return;
    if (msg->flags & WF_MSG_CONTROL) {
        wf_control_closed(self, msg);
        return;
    }
    if (msg->flags & WF_MSG_CREDIT) {
        wf_credit_deliver(msg); /* its next send answers CLOSED */
    } else if (state == WF_REQ_REPLIED) {
        wf_ask_replied(self, (weft_request *)msg); /* its ask is over: counted as late */
    } else if (state != WF_REQ_IDLE) {
        weft_reply((weft_request *)msg, why);
    } else {
        wf_count(&self->stats.dropped);
        (void)wf_add(&rt->dead_letters, 1, WF_RELAXED);
        if (rt->dead_fn != NULL) rt->dead_fn(rt->dead_arg, addr, msg, why);
        else weft_drop(msg);
    }
}

static void empty_mailbox(weft_addr *addr)
{
    struct wf_lanes *lanes = &addr->self->lanes;
    weft_msg *msg;
    wf_mailbox_close(addr, lanes);
    while ((msg = wf_lane_pop(&lanes->system)) != NULL) wf_dead_letter(addr, msg, WEFT_CLOSED);
    wf_stash_fini(addr->self);
    while ((msg = wf_lane_pop(&lanes->user)) != NULL) wf_dead_letter(addr, msg, WEFT_CLOSED);
    wf_credit_tell(addr);
}

static void run_exit_hook(weft_addr *addr)
{
    weft_self *self = addr->self;
    /* [HOOK] acquire: pairs with the release in weft_on_exit; release: `reason`. */
    if (wf_xchg(&addr->exit_state, WF_HOOK_OVER, WF_ACQ_REL) == WF_HOOK_SET)
        self->exit_fn(self->exit_arg, addr, self->reason);
}

void wf_actor_over(weft_addr *addr)
{
    struct wf_port *port = addr->port;
    wf_rt_ended(addr->rt, addr);
    /* [END] release: everything the actor did happens-before the joiner's acquire. The
     * runtime's reference lives until the thread is joined, so the wake is safe. */
    wf_store(&addr->ended, 1, WF_RELEASE);
    port->ops->wake(port, &addr->ended);
}

void wf_actor_end(weft_self *self)
{
    weft_addr *addr = self->addr;
    wf_names_forget(self->rt, addr);
    wf_subscriptions_end(self);
    wf_monitors_leave(self);
    empty_mailbox(addr); /* before fini: what is queued may point into the state */
    wf_actor_fini(self);
    wf_hook_note(self, WEFT_TRACE_EXIT, NULL);
    run_exit_hook(addr);
    wf_children_forget(self);
    wf_monitors_end(self);
    wf_child_gone(self);
    wf_actor_trace(self, WF_TRACE_END, weft_errname(self->reason));
    self->phase = WF_PHASE_ENDED;
    if (!wf_worker_outlives(addr)) wf_actor_over(addr);
}
