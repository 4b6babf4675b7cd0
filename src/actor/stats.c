/* SPDX-License-Identifier: Apache-2.0
 * stats.c - the counters of actors, and their sums by name.
 * Called by: users on any thread; rt.c, class.c under rt->lock. May touch: counters, reading;
 * what a runtime wants of the hooks. Never: an actor that may be gone. */
#include <string.h>

#include "driver.h"
#include "hooks.h"
#include "lock.h"
#include "self.h"

/* -- One actor --------------------------------------------------------------------------- */

static uint32_t depth_of(weft_addr *addr)
{
    weft_self *self = addr->self;
    if (wf_mailbox_is_closed(addr)) return 0;
    uint32_t base = wf_load(&self->lanes.depth_base, WF_RELAXED);
    uint32_t depth = base - (uint32_t)wf_load(&self->stats.handled, WF_RELAXED);
    if (depth > UINT32_MAX / 2) depth = 0; /* the three words are read one after another */
    if (addr->capacity == WEFT_UNBOUNDED) return depth;
    /* Credits know of those that were not taken in yet, too. */
    uint32_t free = (uint32_t)wf_load(&addr->credit, WF_RELAXED);
    uint32_t owed = wf_load(&self->lanes.owed, WF_RELAXED);
    uint32_t taken = addr->capacity - free - owed;
    return taken <= addr->capacity && taken > depth ? taken : depth;
}

static void read_more(weft_addr *addr, const struct wf_ext *ext, weft_actor_stats *out)
{
    const weft_actor_stats *more = &ext->more;
    out->timer_ticks = wf_load(&ext->ticks, WF_RELAXED);
    out->dropped += wf_load(&ext->late, WF_RELAXED);
    out->overflow = wf_load(&more->overflow, WF_RELAXED);
    out->stashed = wf_load(&more->stashed, WF_RELAXED);
    out->restarts = wf_load(&more->restarts, WF_RELAXED);
    out->wakes = wf_load(&more->wakes, WF_RELAXED);
    out->turns = wf_load(&more->turns, WF_RELAXED);
    out->wait_max = wf_load(&more->wait_max, WF_RELAXED);
    out->wait_sum = wf_load(&more->wait_sum, WF_RELAXED);
    out->busy = wf_load(&more->busy, WF_RELAXED);
    out->last_failure = wf_load(&more->last_failure, WF_RELAXED);
    weft_ns since = wf_load(&ext->oldest_at, WF_RELAXED);
    if (since == 0 || wf_mailbox_is_closed(addr)) return;
    weft_ns now = wf_port_now(addr->port);
    out->oldest = now > since ? now - since : 0;
}

void weft_addr_stats(weft_addr *addr, weft_actor_stats *out)
{
    weft_actor_stats stats = {0};
    weft_self *self = addr->self;
    if (self != NULL) {
        stats.handled = wf_load(&self->stats.handled, WF_RELAXED);
        stats.system = wf_load(&self->stats.system, WF_RELAXED);
        stats.dropped = wf_load(&self->stats.dropped, WF_RELAXED);
        stats.depth = depth_of(addr);
        stats.depth_max = wf_load(&self->lanes.depth_max, WF_RELAXED);
        /* Acquire: pairs with the release in wf_ext. */
        const struct wf_ext *ext = wf_load(&self->ext, WF_ACQUIRE);
        if (ext != NULL) read_more(addr, ext, &stats);
        /* Once it has no home its driver may be gone. */
        if (wf_load(&addr->home, WF_RELAXED) != NULL && addr->driver->ops->count != NULL)
            addr->driver->ops->count(addr->driver, addr, &stats);
    }
    *out = stats;
}

/* -- Classes ------------------------------------------------------------------------------- */

#define LARGER(a, b) ((a) > (b) ? (a) : (b))

static void add(weft_actor_stats *sum, const weft_actor_stats *one)
{
    sum->handled += one->handled;
    sum->system += one->system;
    sum->dropped += one->dropped;
    sum->parks += one->parks;
    sum->spins += one->spins;
    sum->timer_ticks += one->timer_ticks;
    sum->overflow += one->overflow;
    sum->stashed += one->stashed;
    sum->restarts += one->restarts;
    sum->wakes += one->wakes;
    sum->turns += one->turns;
    sum->depth += one->depth;
    sum->depth_max = LARGER(sum->depth_max, one->depth_max);
    sum->wait_max = LARGER(sum->wait_max, one->wait_max);
    sum->wait_sum += one->wait_sum;
    sum->busy += one->busy;
    sum->oldest = LARGER(sum->oldest, one->oldest);
    if (one->last_failure != WEFT_OK) sum->last_failure = one->last_failure;
}

static struct wf_class_sums *sums_of(weft_rt *rt, const weft_addr *addr)
{
    struct wf_class *class = addr->self->class;
    return class->listed ? &class->sums : &rt->others;
}

void wf_stats_spawned(weft_rt *rt, weft_addr *addr) { sums_of(rt, addr)->alive++; }

void wf_stats_ended(weft_rt *rt, weft_addr *addr)
{
    struct wf_class_sums *sums = sums_of(rt, addr);
    weft_actor_stats last;
    weft_addr_stats(addr, &last);
    last.depth = 0;
    last.oldest = 0;
    add(&sums->gone, &last);
    sums->alive--;
}

/* Classes are only added, at the front of one list; those since the last look are put into
 * their place in the other, which is sorted. */
static void sort_in(weft_rt *rt)
{
    for (struct wf_class *class = rt->newest_class; class != rt->sorted_to; class = class->older) {
        struct wf_class **at = &rt->by_name;
        while (*at != NULL && strcmp((*at)->name, class->name) < 0) at = &(*at)->by_name;
        class->by_name = *at;
        *at = class;
    }
    rt->sorted_to = rt->newest_class;
}

static void sum_up(weft_rt *rt)
{
    for (struct wf_class *class = rt->by_name; class != NULL; class = class->by_name)
        class->sums.sum = class->sums.gone;
    rt->others.sum = rt->others.gone;
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        weft_actor_stats one;
        weft_addr_stats(addr, &one);
        add(&sums_of(rt, addr)->sum, &one);
    }
}

/* `count` are written; of one name there is one. */
static size_t put(weft_class_stats *out, size_t room, size_t count, const char *name,
                  const struct wf_class_sums *sums, bool same)
{
    if (!same && count < room) out[count] = (weft_class_stats){.name = name};
    if (!same) count++;
    if (count > room) return count;
    out[count - 1].actors += sums->alive;
    add(&out[count - 1].sum, &sums->sum);
    return count;
}

size_t weft_stats_classes(weft_rt *rt, weft_class_stats *out, size_t room)
{
    size_t count = 0;
    const char *last = NULL;
    wf_lock_take(rt->lock);
    sort_in(rt);
    sum_up(rt);
    for (struct wf_class *class = rt->by_name; class != NULL; class = class->by_name) {
        bool same = last != NULL && strcmp(last, class->name) == 0;
        count = put(out, room, count, class->name, &class->sums, same);
        last = class->name;
    }
    if (rt->class_count >= WEFT_CLASSES_MAX)
        count = put(out, room, count, "(others)", &rt->others, false);
    wf_lock_give(rt->lock);
    return count;
}

/* -- What a runtime wants -------------------------------------------------------------------- */

void wf_stats_class(weft_rt *rt, struct wf_class *class)
{
    wf_store(&class->hooks, rt->hooks, WF_RELAXED);
    class->trace_fn = rt->trace_fn;
    class->trace_arg = rt->trace_arg;
    class->simulated = rt->port->sim != NULL;
}

/* A class keeps the hook that it was made with, so that those who use it need no lock. One that
 * does not know today's hook tells nothing. */
static uint64_t hooks_for(const weft_rt *rt, const struct wf_class *class)
{
    bool known = class->trace_fn == rt->trace_fn && class->trace_arg == rt->trace_arg;
    return known ? rt->hooks : rt->hooks & ~WF_HOOK_TRACE;
}

/* Under rt->lock. Classes that no table lists are found through their actors. */
static void want(weft_rt *rt, uint64_t which, bool on)
{
    bool before = (rt->hooks & which) != 0;
    if (on != before) rt->hooks ^= which;
    for (struct wf_class *class = rt->newest_class; class != NULL; class = class->older)
        wf_store(&class->hooks, hooks_for(rt, class), WF_RELAXED);
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next)
        wf_store(&addr->self->class->hooks, hooks_for(rt, addr->self->class), WF_RELAXED);
    if (on && !before) wf_hooks_want(which);
    if (!on && before) wf_hooks_unwant(which);
}

void weft_rt_measure(weft_rt *rt, bool on)
{
    wf_lock_take(rt->lock);
    want(rt, WF_HOOK_MEASURE, on);
    wf_lock_give(rt->lock);
}

void weft_trace_to(weft_rt *rt, void (*fn)(void *arg, const weft_trace_event *event), void *arg)
{
    wf_lock_take(rt->lock);
    rt->trace_fn = fn;
    rt->trace_arg = arg;
    want(rt, WF_HOOK_TRACE, fn != NULL);
    wf_lock_give(rt->lock);
}

void wf_stats_fini(weft_rt *rt)
{
    (void)weft_watchdog_stop(rt);
    wf_lock_take(rt->lock);
    want(rt, WF_HOOK_MEASURE, false);
    want(rt, WF_HOOK_TRACE, false);
    wf_lock_give(rt->lock);
}
