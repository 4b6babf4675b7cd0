/* SPDX-License-Identifier: Apache-2.0
 * stop.c - between the last turn of a life and its end, or the next life.
 * Called by: actor.c, once an actor handles nothing any more; child.c. May touch: this actor.
 * Never: waits; an actor whose children still stop has turns in which it only serves them. */
#include <string.h>

#include "alloc.h"
#include "child.h"
#include "hooks.h"
#include "log.h"

void wf_actor_fail(weft_self *self, weft_err reason)
{
    if (reason != WEFT_OK) {
        self->failed = true;
        self->reason = reason;
    }
    self->stopping = true;
    self->drain_left = 0;
}

static bool stop_is_now(const weft_self *self)
{
    /* Relaxed: the word is a hint until the message that was sent with it arrives. */
    return wf_load(&self->addr->stop_mode, WF_RELAXED) == 1 + WEFT_NOW;
}

weft_err wf_drop_answer(void)
{
    const weft_self *self = wf_self_current();
    bool restarts = self != NULL && self->phase == WF_PHASE_ENDING && wf_child_restarts(self);
    return restarts ? WEFT_RESTARTING : WEFT_DROPPED;
}

void wf_stop_begin(weft_self *self)
{
    struct wf_child *child = self->ext == NULL ? NULL : self->ext->child;
    if (child != NULL && !self->born && !child->starting) child->never = true;
    self->phase = WF_PHASE_ENDING;
    if (self->failed || !self->born)
        wf_log(self->failed ? WEFT_LOG_ERROR : WEFT_LOG_INFO, self->class->name, "%s reason=%s",
               self->born ? "failed" : "init failed", weft_errname(self->reason));
    if (self->failed && self->ext != NULL)
        wf_store(&self->ext->more.last_failure, self->reason, WF_RELAXED);
    /* Asks first: their callbacks still need the state. After a failed init the
     * state is half-built, so they stay silent and no timer is touched. */
    wf_actor_clear(self, !self->born);
    wf_children_stop(self, stop_is_now(self) ? WEFT_NOW : WEFT_DRAIN);
}

/* -- What still arrives --------------------------------------------------------------- */

/* While a restart is ahead everything that is for `handle` waits for the next life. */
static void serve_system(weft_self *self, weft_msg *msg)
{
    weft_addr *addr = self->addr;
    if (msg->flags & WF_MSG_CONTROL) {
        if (wf_child_control(self, msg)) return;
    } else if (msg == &self->stop_msg) {
        return; /* stop_mode says it */
    } else if (msg->flags & WF_MSG_CREDIT) {
        wf_credit_wanted(addr, msg);
        return;
    } else if (wf_load(&msg->state, WF_RELAXED) == WF_REQ_REPLIED) {
        wf_ask_replied(self, (weft_request *)msg); /* its ask is over: counted as late */
        return;
    }
    if (wf_child_restarts(self)) wf_lane_append(&self->ext->child->kept, msg);
    else if (msg->flags & WF_MSG_CONTROL) wf_control_closed(self, msg);
    else wf_dead_letter(addr, msg, WEFT_CLOSED);
}

static void serve(weft_self *self)
{
    weft_msg *msg;
    wf_mailbox_drain(self->addr, &self->lanes);
    wf_overflow_trim(self);
    wf_depth_taken(self);
    while (self->phase != WF_PHASE_RUNNING && (msg = wf_lane_pop(&self->lanes.system)) != NULL) {
        wf_count(&self->stats.system);
        serve_system(self, msg);
    }
    if (self->phase == WF_PHASE_RUNNING || wf_child_restarts(self)) return;
    /* Nobody will handle these: their senders need not wait for our children. */
    while ((msg = wf_lane_pop(&self->lanes.user)) != NULL) {
        uint64_t cost = wf_mailbox_cost(self->addr, msg);
        wf_dead_letter(self->addr, msg, WEFT_CLOSED);
        if (wf_mailbox_settle(self->addr, &self->lanes, cost)) wf_credit_tell(self->addr);
    }
    if (stop_is_now(self)) wf_children_stop(self, WEFT_NOW);
}

/* -- The end of a life ---------------------------------------------------------------- */

void wf_actor_fini(weft_self *self)
{
    struct wf_span span;
    if (!self->born) return;
    self->born = false;
    if (self->class->fini == NULL) return;
    wf_span_begin(&span, self, &wf_kind_fini, NULL);
    self->class->fini(self, self->state, self->reason);
    wf_span_end(&span, self);
}

/* False: the parent has ended meanwhile. */
static bool halt(weft_self *self)
{
    struct wf_child *child = self->ext->child;
    enum wf_child_message word = child->starting ? WF_CHILD_READY : WF_CHILD_EXIT;
    wf_actor_fini(self);
    if (word == WF_CHILD_READY) child->ready_err = self->reason;
    child->halting = child->starting = false;
    self->phase = WF_PHASE_RESTARTING;
    return wf_push_control(child->parent, &child->msg[word]) == WEFT_OK;
}

static enum wf_step end(weft_self *self)
{
    self->phase = WF_PHASE_ENDING;
    if (self->ext != NULL && self->ext->child != NULL) {
        struct wf_lane *kept = &self->ext->child->kept;
        weft_msg *msg;
        while ((msg = wf_lane_pop(kept)) != NULL) wf_lane_append(&self->lanes.system, msg);
    }
    /* The joiner does not wait for a thread that runs others too: what the end still touches
     * after it was announced, lives by a reference of our own. */
    weft_addr *task = weft_addr_get(self->addr);
    wf_worker_forget(task);
    wf_actor_end(self); /* nothing of the actor may be touched after it */
    weft_addr_put(task);
    return WF_STEP_ENDED;
}

enum wf_step wf_stop_step(weft_self *self, weft_ns *wake_at)
{
    serve(self);
    if (self->phase == WF_PHASE_RUNNING) return WF_STEP_MORE;
    wf_children_run(self, wf_port_now(self->port));
    if (self->phase == WF_PHASE_ENDING && wf_children_over(self)) {
        if (!wf_child_restarts(self) || !halt(self)) return end(self);
    } else if (self->phase == WF_PHASE_RESTARTING && !wf_child_restarts(self)) {
        return end(self);
    }
    *wake_at = self->phase == WF_PHASE_ENDING ? wf_children_due(self) : WEFT_NEVER;
    bool quiet = self->lanes.system.first == NULL &&
                 wf_load(&self->addr->head, WF_RELAXED) == WF_BOX_EMPTY;
    return quiet ? WF_STEP_IDLE : WF_STEP_MORE;
}

/* -- The next life ---------------------------------------------------------------------- */

void wf_child_halt(weft_self *self)
{
    if (self->phase != WF_PHASE_RUNNING || self->stopping) return; /* it ends by itself */
    self->ext->child->halting = true;
    self->reason = WEFT_CANCELED;
    wf_actor_fail(self, WEFT_OK);
}

/* The state of before, zeroed; a fresh one while a callee holds a request that is embedded in
 * it, because that request will still be written to. */
static weft_err renew_state(weft_self *self)
{
    struct wf_child *child = self->ext->child;
    if (!wf_ask_embedded(self)) {
        memset(self->state, 0, child->state_bytes);
        return WEFT_OK;
    }
    if (child->block_count == WEFT_RESTART_BLOCKS_MAX) return WEFT_LIMIT;
    void *fresh = wf_calloc(1, child->state_bytes == 0 ? 1 : child->state_bytes);
    if (fresh == NULL) return WEFT_NO_MEMORY;
    child->blocks[child->block_count++] = fresh;
    (void)wf_add(&self->rt->memory, child->state_bytes, WF_RELAXED);
    self->state = fresh;
    return WEFT_OK;
}

void wf_child_again(weft_self *self)
{
    struct wf_child *child = self->ext->child;
    if (self->phase != WF_PHASE_RESTARTING || !wf_child_restarts(self)) return;
    self->stopping = self->failed = false;
    self->drain_left = 0;
    self->reason = self->fail_reason = WEFT_OK;
    self->phase = WF_PHASE_NEW;
    child->starting = true;
    wf_children_again(self);
    wf_count(&self->ext->more.restarts);
    wf_actor_trace(self, WF_TRACE_RESTART, self->class->name);
    wf_hook_note(self, WEFT_TRACE_RESTART, NULL);
    weft_err err = renew_state(self);
    if (err == WEFT_OK && self->class->init != NULL) {
        struct wf_span span;
        wf_span_begin(&span, self, &wf_kind_init, NULL);
        err = self->class->init(self, self->state, self->arg);
        wf_span_end(&span, self);
    }
    if (err != WEFT_OK) {
        self->reason = err;
        wf_stop_begin(self);
        return;
    }
    self->born = true;
    self->phase = WF_PHASE_RUNNING;
    child->starting = false;
    child->ready_err = WEFT_OK;
    /* What came for this life is before what comes now. */
    weft_msg *msg;
    while ((msg = wf_lane_pop(&self->lanes.system)) != NULL) wf_lane_append(&child->kept, msg);
    self->lanes.system = child->kept;
    child->kept = (struct wf_lane){0};
    (void)weft_unstash(self, UINT32_MAX); /* what the last life put back is older still */
    (void)wf_push_control(child->parent, &child->msg[WF_CHILD_READY]); /* CLOSED: it stops us */
}
