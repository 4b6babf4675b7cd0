/* SPDX-License-Identifier: Apache-2.0
 * timer.c - an actor's timers: a heap in the actor, no thread of their own.
 * Called by: the actor's thread. May touch: the actor's heap and its timers.
 * Never: a one-shot timer after its callback began. */
#include "hooks.h"
#include "log.h"
#include "self.h"

weft_err weft_timer_set(weft_self *self, weft_timer *timer, weft_ns at, weft_ns every,
                        weft_on_timer fn)
{
    if (fn == NULL) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    if (timer->heap_at != 0 && timer->owner != self) return WEFT_INVALID;
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    if (timer->heap_at == 0 && ext->timers.count >= WEFT_TIMERS_MAX) return WEFT_LIMIT;
    wf_heap_remove(&ext->timers, &timer->heap_at);
    uint64_t order = ++self->order;
    weft_err err = wf_heap_push(
        &ext->timers,
        (struct wf_due){.at = at, .order = order, .item = timer, .place = &timer->heap_at});
    if (err != WEFT_OK) return err;
    timer->at = at;
    timer->every = every;
    timer->fn = fn;
    timer->order = order;
    timer->owner = self;
    return WEFT_OK;
}

weft_err weft_timer_stop(weft_self *self, weft_timer *timer)
{
    if (timer->heap_at == 0) return WEFT_OK;
    if (timer->owner != self) return WEFT_INVALID;
    wf_heap_remove(&self->ext->timers, &timer->heap_at);
    return WEFT_OK;
}

/* Arms a periodic timer for its next multiple after `now`; returns how many passed. */
static uint32_t rearm(weft_self *self, weft_timer *timer, weft_ns now)
{
    weft_ns missed = (now - timer->at) / timer->every;
    weft_ns step = WEFT_NEVER;
    if (missed < WEFT_NEVER / timer->every - 1) step = (missed + 1) * timer->every;
    timer->at = timer->at > WEFT_NEVER - step ? WEFT_NEVER : timer->at + step;
    timer->order = ++self->order;
    weft_err err = wf_heap_push(&self->ext->timers, (struct wf_due){.at = timer->at,
                                                                    .order = timer->order,
                                                                    .item = timer,
                                                                    .place = &timer->heap_at});
    WF_ASSERT(err == WEFT_OK); /* we have just made room */
    return missed > UINT32_MAX ? UINT32_MAX : (uint32_t)missed;
}

void wf_timer_run(weft_self *self, weft_ns now)
{
    struct wf_ext *ext = self->ext;
    uint64_t newest = self->order; /* what a callback sets waits for the next turn */
    for (;;) {
        const struct wf_due *due = wf_heap_top(&ext->timers);
        if (due == NULL || due->at > now || due->order > newest) return;
        weft_timer *timer = due->item;
        wf_heap_remove(&ext->timers, &timer->heap_at);
        uint32_t missed = timer->every == 0 ? 0 : rearm(self, timer, now);
        wf_count(&ext->ticks);
        wf_actor_trace(self, WF_TRACE_TIMER, "");
        struct wf_span span;
        wf_hook_note(self, WEFT_TRACE_TIMER, &wf_kind_timer);
        wf_span_begin(&span, self, &wf_kind_timer, NULL);
        timer->fn(self, self->state, timer, missed);
        wf_span_end(&span, self);
    }
}
