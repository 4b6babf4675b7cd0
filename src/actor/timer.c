/* SPDX-License-Identifier: Apache-2.0
 * timer.c - an actor's timers: a heap in the actor, no thread of their own.
 * Called by: the actor's thread. May touch: the actor's heap and its timers.
 * Never: a one-shot timer after its callback began. */
#include "hooks.h"
#include "log.h"
#include "self.h"

weft_err weft_timer_set_missed(weft_self *self, weft_timer *timer, weft_ns at, weft_ns every,
                               weft_missed missed, weft_on_timer fn)
{
    if (fn == NULL || (unsigned)missed > WEFT_MISSED_BURST) return WEFT_INVALID;
    if (wf_self_is_foreign(self, "weft_timer_set")) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    if (timer->heap_at != 0 && timer->owner != self) return WEFT_INVALID;
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    if (timer->heap_at == 0 && ext->timers.count >= WEFT_TIMERS_MAX) return WEFT_LIMIT;
    wf_heap_remove(&ext->timers, &timer->heap_at);
    uint64_t order = ++self->order;
    weft_err err = wf_heap_push(&ext->timers, (struct wf_due){.at = wf_due_at(ext, at),
                                                              .order = order,
                                                              .item = timer,
                                                              .place = &timer->heap_at});
    if (err != WEFT_OK) return err;
    timer->at = at;
    timer->every = every;
    timer->fn = fn;
    timer->order = order;
    timer->missed = (uint32_t)missed;
    timer->owner = self;
    return WEFT_OK;
}

weft_err weft_timer_set(weft_self *self, weft_timer *timer, weft_ns at, weft_ns every,
                        weft_on_timer fn)
{
    return weft_timer_set_missed(self, timer, at, every, WEFT_MISSED_SKIP, fn);
}

weft_err weft_timer_stop(weft_self *self, weft_timer *timer)
{
    if (wf_self_is_foreign(self, "weft_timer_stop")) return WEFT_INVALID;
    if (timer->heap_at == 0) return WEFT_OK;
    if (timer->owner != self) return WEFT_INVALID;
    wf_heap_remove(&self->ext->timers, &timer->heap_at);
    return WEFT_OK;
}

static weft_ns later(weft_ns at, weft_ns span)
{
    return at > WEFT_NEVER - span ? WEFT_NEVER : at + span;
}

/* When a periodic timer fires next; `passed` whole periods have gone by since it was due. */
static weft_ns next_at(const weft_timer *timer, weft_ns now, weft_ns passed)
{
    if (timer->missed == WEFT_MISSED_DELAY) return later(now, timer->every);
    if (timer->missed == WEFT_MISSED_BURST) return later(timer->at, timer->every);
    if (passed >= WEFT_NEVER / timer->every - 1) return WEFT_NEVER;
    return later(timer->at, (passed + 1) * timer->every);
}

/* Arms a periodic timer again and returns how many periods passed. A burst keeps its place in
 * the order, and so its calls go on in this turn, as long as `burst` lasts. */
static uint32_t rearm(weft_self *self, weft_timer *timer, weft_ns now, uint32_t *burst)
{
    weft_ns passed = (now - timer->at) / timer->every;
    bool goes_on = timer->missed == WEFT_MISSED_BURST && passed > 0 && *burst > 0;
    if (goes_on) (*burst)--;
    else timer->order = ++self->order;
    timer->at = next_at(timer, now, passed);
    weft_ns at = goes_on ? timer->at : wf_due_at(self->ext, timer->at);
    weft_err err = wf_heap_push(
        &self->ext->timers,
        (struct wf_due){.at = at, .order = timer->order, .item = timer, .place = &timer->heap_at});
    WF_ASSERT(err == WEFT_OK); /* we have just made room */
    return passed > UINT32_MAX ? UINT32_MAX : (uint32_t)passed;
}

void wf_timer_run(weft_self *self, weft_ns now)
{
    struct wf_ext *ext = self->ext;
    uint64_t newest = self->order;       /* what a callback sets waits for the next turn */
    uint32_t burst = WEFT_BURST_MAX - 1; /* calls beside each timer's first */
    for (;;) {
        const struct wf_due *due = wf_heap_top(&ext->timers);
        if (due == NULL || due->at > now || due->order > newest || wf_must_end(self)) return;
        weft_timer *timer = due->item;
        wf_heap_remove(&ext->timers, &timer->heap_at);
        uint32_t missed = timer->every == 0 ? 0 : rearm(self, timer, now, &burst);
        wf_count(&ext->ticks);
        wf_actor_trace(self, WF_TRACE_TIMER, "");
        struct wf_span span;
        wf_hook_note(self, WEFT_TRACE_TIMER, &wf_kind_timer);
        wf_span_begin(&span, self, &wf_kind_timer, NULL);
        timer->fn(self, self->state, timer, missed);
        wf_span_end(&span, self);
    }
}
