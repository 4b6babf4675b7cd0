/* SPDX-License-Identifier: Apache-2.0
 * actor.c - the life of an actor: one turn after another.
 * Called by: the drivers, on the thread that runs the actor.
 * May touch: this actor. Never: another actor but through its mailbox; blocks. */
#include "block.h"
#include "child.h"
#include "hooks.h"

static _Thread_local weft_self *current;

weft_self *wf_self_current(void) { return current; }

weft_self *wf_self_enter(weft_self *self)
{
    weft_self *before = current;
    current = self;
    return before;
}

bool wf_in_actor(void) { return current != NULL; }

void wf_actor_trace(weft_self *self, enum wf_trace what, const char *name)
{
    if (self->port->ops->trace != NULL)
        self->port->ops->trace(self->port, self->addr, (uint32_t)what, name);
}

/* False if the message is put back: then its credit stays taken. */
static bool on_verdict(weft_self *self, weft_msg *msg, weft_verdict verdict)
{
    if (verdict == WEFT_KEPT) return true;
    bool given = wf_msg_given(msg);
    if (given) wf_misuse_given(msg);
    if (verdict == WEFT_FAIL)
        wf_actor_fail(self, self->fail_reason == WEFT_OK ? WEFT_INTERNAL : self->fail_reason);
    if (verdict == WEFT_STOP) wf_actor_fail(self, WEFT_OK);
    if (given) return true;
    if (verdict == WEFT_STASH) {
        if (wf_stash_put(self, msg)) return false;
        wf_dead_letter(self->addr, msg, WEFT_LIMIT);
    } else if (verdict == WEFT_FAIL && wf_child_restarts(self)) {
        wf_dead_letter(self->addr, msg, WEFT_RESTARTING); /* the next life does not handle it */
    } else {
        weft_drop(msg);
    }
    return true;
}

static void on_stop(weft_self *self)
{
    wf_actor_trace(self, WF_TRACE_STOP, "");
    if (self->stopping) return;
    self->stopping = true;
    /* What is queued now was sent before the stop; later mail is not waited for. */
    self->drain_left = (uint32_t)self->lanes.user.count;
}

static void on_system(weft_self *self, weft_msg *msg)
{
    struct wf_span span;
    wf_count(&self->stats.system);
    if ((msg->flags & WF_MSG_CONTROL) && wf_child_control(self, msg)) return;
    if (msg == &self->stop_msg) {
        on_stop(self);
    } else if (msg->flags & WF_MSG_CREDIT) {
        wf_credit_wanted(self->addr, msg);
    } else if (wf_load(&msg->state, WF_RELAXED) == WF_REQ_REPLIED) {
        wf_actor_trace(self, WF_TRACE_REPLY, msg->kind->name);
        wf_span_begin(&span, self, msg->kind, msg);
        wf_ask_replied(self, (weft_request *)msg);
        wf_span_end(&span, self);
    } else {
        wf_actor_trace(self, WF_TRACE_SYSTEM, msg->kind->name);
        wf_span_begin(&span, self, msg->kind, msg);
        weft_verdict verdict = self->class->handle(self, self->state, msg);
        wf_span_end(&span, self);
        (void)on_verdict(self, msg, verdict);
    }
}

/* A stop that was raised to NOW wins over the rest of a drain. */
bool wf_must_end(const weft_self *self)
{
    if (!self->stopping) return false;
    if (self->drain_left == 0) return true;
    return wf_load(&self->addr->stop_mode, WF_RELAXED) == 1 + WEFT_NOW;
}

static void run_messages(weft_self *self)
{
    struct wf_lanes *lanes = &self->lanes;
    weft_msg *msg;
    while (!wf_must_end(self) && (msg = wf_lane_pop(&lanes->system)) != NULL) on_system(self, msg);
    for (uint32_t n = 0; n < self->port->turn_messages && !wf_must_end(self); n++) {
        msg = wf_lane_pop(&lanes->user);
        if (msg == NULL) return;
        if (self->drain_left > 0) self->drain_left--;
        wf_count(&self->stats.handled);
        wf_actor_trace(self, WF_TRACE_USER, msg->kind->name);
        uint64_t cost = wf_mailbox_cost(self->addr, msg); /* it may be gone afterwards */
        struct wf_span span;
        wf_span_begin(&span, self, msg->kind, msg);
        weft_verdict verdict = self->class->handle(self, self->state, msg);
        wf_span_end(&span, self);
        if (!on_verdict(self, msg, verdict)) continue;
        if (wf_mailbox_settle(self->addr, lanes, cost)) wf_credit_tell(self->addr);
    }
}

static void run_due(weft_self *self)
{
    if (wf_ext_next(self) == WEFT_NEVER) return;
    weft_ns now = wf_port_now(self->port);
    self->ext->due_now = now;
    wf_timer_run(self, now);
    if (!wf_must_end(self)) wf_ask_run_deadlines(self, now);
    self->ext->due_now = 0;
    if (!wf_must_end(self)) wf_children_run(self, now);
}

void wf_actor_clear(weft_self *self, bool silent)
{
    wf_ask_cancel_all(self, silent);
    struct wf_ext *ext = self->ext;
    if (ext == NULL) return;
    if (silent) ext->timers.count = 0;
    while (ext->timers.count > 0) wf_heap_remove(&ext->timers, wf_heap_top(&ext->timers)->place);
    wf_heap_fini(&ext->timers);
    wf_watch_fini(self);
}

static void begin(weft_self *self)
{
    weft_addr *addr = self->addr;
    wf_actor_trace(self, WF_TRACE_BEGIN, self->class->name);
    wf_hook_note(self, WEFT_TRACE_SPAWN, NULL);
    struct wf_span span;
    wf_span_begin(&span, self, &wf_kind_init, NULL);
    weft_err err = self->class->init == NULL ? WEFT_OK
                                             : self->class->init(self, self->state, self->arg);
    wf_span_end(&span, self);
    if (err == WEFT_OK) {
        self->phase = WF_PHASE_RUNNING;
        self->born = true;
    } else {
        self->reason = err;
        wf_actor_fail(self, WEFT_OK); /* failed, but no failure: the spawner hears of it */
    }
    addr->init_err = err;
    /* [START] release: init's effects happen-before the spawner's acquire. */
    wf_store(&addr->started, 1, WF_RELEASE);
    self->port->ops->wake(self->port, &addr->started);
}

static void turn(weft_self *self)
{
    wf_hook_turn(self);
    wf_mailbox_drain(self->addr, &self->lanes);
    wf_overflow_trim(self);
    wf_depth_taken(self);
    run_messages(self);
    if (!wf_must_end(self)) run_due(self);
    if (!wf_must_end(self)) wf_watch_run(self);
}

enum wf_step wf_actor_step(weft_addr *task, weft_ns *wake_at)
{
    weft_self *self = task->self;
    weft_self *before = wf_self_enter(self);
    if (self->phase == WF_PHASE_NEW) begin(self);
    else if (self->phase == WF_PHASE_RUNNING) turn(self);
    enum wf_step step = WF_STEP_MORE;
    bool lives = self->phase == WF_PHASE_NEW || self->phase == WF_PHASE_RUNNING;
    if (lives && wf_must_end(self)) {
        wf_stop_begin(self);
        lives = false;
    }
    if (!lives) {
        step = wf_stop_step(self, wake_at); /* ENDED: nothing of it may be touched any more */
    } else if (wf_mailbox_is_empty(task, &self->lanes)) {
        *wake_at = wf_ext_next(self);
        wf_hook_idle(self);
        step = WF_STEP_IDLE;
    }
    wf_self_enter(before);
    return step;
}

weft_ns weft_now(weft_self *self) { return wf_port_now(self->port); }

weft_addr *weft_self_addr(weft_self *self) { return self->addr; }

weft_rt *weft_self_rt(weft_self *self) { return self->rt; }

void weft_self_random(weft_self *self, void *out, size_t len)
{
    self->port->ops->random(self->port, out, len);
}

weft_verdict weft_fail(weft_self *self, weft_err reason)
{
    if (wf_self_is_foreign(self, "weft_fail")) return WEFT_FAIL;
    self->fail_reason = reason;
    return WEFT_FAIL;
}

void weft_exit(weft_self *self, weft_err reason)
{
    if (wf_self_is_foreign(self, "weft_exit")) return;
    bool lives = self->phase == WF_PHASE_NEW || self->phase == WF_PHASE_RUNNING;
    if (lives && !self->failed) wf_actor_fail(self, reason);
}
