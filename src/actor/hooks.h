/* SPDX-License-Identifier: Apache-2.0
 * hooks.h - what the rooms of the runtime tell to those who look on: the measuring of times,
 * the trace, the flight recorder, the watchdog. With nobody looking each call is one relaxed
 * load, and around a callback two relaxed stores. Called by: mailbox.c, actor.c, timer.c, watch.c, ask.c, end.c, rt.c, class.c. */
#ifndef WF_HOOKS_H
#define WF_HOOKS_H

#include <weft/trace.h>

#include "atomic.h"
#include "probes.h"
#include "self.h"
#include "track.h"

/* How many runtimes of the process want each of them: four counters in one word. */
#define WF_HOOK_MEASURE UINT64_C(0xffff)
#define WF_HOOK_TRACE (UINT64_C(0xffff) << 16)
#define WF_HOOK_FLIGHT (UINT64_C(0xffff) << 32)
#define WF_HOOK_WATCH (UINT64_C(0xffff) << 48)
#define WF_HOOK_CLOCK (WF_HOOK_MEASURE | WF_HOOK_TRACE | WF_HOOK_FLIGHT)
extern uint64_t wf_hooks;

#define WF_FROM_MAX UINT32_C(0xffffff) /* of a sender's number in weft_msg.flags */

/* Any thread. One more, or one fewer, wants `which`. */
void wf_hooks_want(uint64_t which);
void wf_hooks_unwant(uint64_t which);

/* The number of the next actor of the process; its low 24 bits are never 0. */
uint32_t wf_actor_number(void);

/* Callbacks that handle no message. */
extern const weft_kind wf_kind_init, wf_kind_fini, wf_kind_timer, wf_kind_fd, wf_kind_timeout;

/* A callback that runs. */
struct wf_span {
    uint64_t on; /* what was wanted at its begin; 0: the rest is unset */
    struct wf_track *track;
    const weft_kind *kind;
    const void *msg;
    weft_ns began;
    struct wf_seat before;
};

void wf_hooks_push(weft_addr *to, weft_msg *newest, weft_msg *oldest);
void wf_hooks_begin(struct wf_span *span, weft_self *self, const weft_kind *kind,
                    const weft_msg *msg);
void wf_hooks_end(struct wf_span *span, weft_self *self);
void wf_hooks_note(weft_self *self, weft_trace_what what, const weft_kind *kind);
void wf_hooks_turn(weft_self *self);
void wf_hooks_idle(weft_self *self);

static inline bool wf_hooks_any(void)
{
    return __builtin_expect(wf_load(&wf_hooks, WF_RELAXED) != 0, 0);
}

/* The chain is still the sender's: it is about to be pushed. */
static inline void wf_hook_push(weft_addr *to, weft_msg *newest, weft_msg *oldest)
{
    WF_PROBE_SEND(to->number, newest->kind->name, newest);
    if (wf_hooks_any()) wf_hooks_push(to, newest, oldest);
}

/* Around each callback; `msg` may be NULL. */
static inline void wf_span_begin(struct wf_span *span, weft_self *self, const weft_kind *kind,
                                 const weft_msg *msg)
{
    span->on = 0;
    /* Always, not only while somebody looks: who hangs has begun before anybody asks. A kind is a
     * static object, so whoever reads this may follow it, however far we are by then. */
    wf_store(&self->in_hand, kind, WF_RELAXED);
    WF_PROBE_BEGIN(self->addr->number, self->class->name, kind->name, msg);
    if (wf_hooks_any()) wf_hooks_begin(span, self, kind, msg);
}

static inline void wf_span_end(struct wf_span *span, weft_self *self)
{
    WF_PROBE_END(self->addr->number, self->class->name);
    wf_store(&self->in_hand, NULL, WF_RELAXED);
    if (__builtin_expect(span->on != 0, 0)) wf_hooks_end(span, self);
}

/* SPAWN, EXIT, RESTART, TIMER. */
static inline void wf_hook_note(weft_self *self, weft_trace_what what, const weft_kind *kind)
{
    /* `what` is a constant where this is called, so at most one of the three is left. */
    if (what == WEFT_TRACE_SPAWN) WF_PROBE_SPAWN(self->addr->number, self->class->name);
    if (what == WEFT_TRACE_EXIT) WF_PROBE_EXIT(self->addr->number, self->class->name);
    if (what == WEFT_TRACE_RESTART) WF_PROBE_RESTART(self->addr->number, self->class->name);
    if (wf_hooks_any()) wf_hooks_note(self, what, kind);
}

/* A turn begins; and: it ended with nothing left to do. */
static inline void wf_hook_turn(weft_self *self)
{
    if (wf_hooks_any()) wf_hooks_turn(self);
}

static inline void wf_hook_idle(weft_self *self)
{
    if (wf_hooks_any()) wf_hooks_idle(self);
}

/* After a drain: what is queued now. */
static inline void wf_depth_taken(weft_self *self)
{
    uint32_t count = (uint32_t)self->lanes.user.count;
    wf_store(&self->lanes.depth_base, (uint32_t)self->stats.handled + count, WF_RELAXED);
    if (count > self->lanes.depth_max) wf_store(&self->lanes.depth_max, count, WF_RELAXED);
}

/* stats.c. Under rt->lock: a new class takes over what its runtime wants; an actor begins; it has
 * ended and its counters go to its class. */
void wf_stats_class(weft_rt *rt, struct wf_class *class);
void wf_stats_spawned(weft_rt *rt, weft_addr *addr);
void wf_stats_ended(weft_rt *rt, weft_addr *addr);
/* The runtime is being destroyed: nothing is wanted for it any more. */
void wf_stats_fini(weft_rt *rt);

/* flight.c */
void wf_flight_record(struct wf_track *track, const weft_trace_event *event, const weft_kind *kind);

#endif
