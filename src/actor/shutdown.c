/* SPDX-License-Identifier: Apache-2.0
 * shutdown.c - the ordered stop of a whole runtime, and the report of who was in the way.
 * Called by: plain threads; child.c reports who overran its grace. May touch: the runtime's list
 * of actors, under its lock. Never: waits inside an actor, logs under a lock. */
#include <stdio.h>

#include "alloc.h"
#include "child.h"
#include "log.h"

/* Under rt->lock. False: it was named already. What it has in hand goes to *kind. */
static bool note_straggler(weft_rt *rt, weft_addr *addr, weft_ns waited, const weft_kind **kind)
{
    struct wf_ext *ext = wf_load(&addr->self->ext, WF_ACQUIRE);
    if (ext != NULL && ext->lost) return false;
    if (ext != NULL) ext->lost = true;
    /* It goes on meanwhile: this is what it had in hand a moment ago. */
    *kind = wf_load(&addr->self->in_hand, WF_RELAXED);
    if (rt->stragglers == NULL) return true;
    if (rt->straggler_count < rt->straggler_room) {
        weft_straggler *out = &rt->stragglers[rt->straggler_count];
        *out = (weft_straggler){.waited = waited, .kind = *kind == NULL ? NULL : (*kind)->name};
        snprintf(out->name, sizeof out->name, "%s", weft_addr_name(addr));
    }
    rt->straggler_count++;
    return true;
}

/* Never under a lock: the sink may ask the runtime. */
static void log_straggler(weft_addr *addr, const weft_kind *kind)
{
    wf_log(WEFT_LOG_WARN, "rt", "did not stop in time actor=%s kind=%s", weft_addr_name(addr),
           kind == NULL ? "-" : kind->name);
}

void wf_rt_report(weft_rt *rt, weft_addr *addr, weft_ns waited)
{
    const weft_kind *kind = NULL;
    wf_lock_take(rt->lock);
    bool noted = note_straggler(rt, addr, waited, &kind);
    wf_lock_give(rt->lock);
    if (noted) log_straggler(addr, kind);
}

/* Nobody has told it to stop yet, because others before it did not. */
static bool is_untold(weft_addr *addr)
{
    return wf_load(&addr->stop_mode, WF_RELAXED) == 0 && !wf_mailbox_is_closed(addr);
}

struct late {
    weft_addr *addr; /* counted */
    const weft_kind *kind;
    bool named;
};

/* At the deadline. With NOW all that are left are told by it; with DRAIN who was not reached goes on. */
static void name_stragglers(weft_rt *rt, weft_stop_mode mode, weft_ns waited)
{
    size_t room = 0, count = 0, unnamed = 0, untold = 0;
    wf_lock_take(rt->lock);
    for (weft_addr *addr = rt->last; addr != NULL; addr = addr->prev) room++;
    wf_lock_give(rt->lock); /* there may be fewer from here on, not more: it is stopping */
    struct late *late = wf_calloc(room == 0 ? 1 : room, sizeof *late);
    wf_lock_take(rt->lock);
    for (weft_addr *addr = rt->last; addr != NULL; addr = addr->prev) {
        const weft_kind *kind = NULL;
        bool told = !is_untold(addr), named = told && note_straggler(rt, addr, waited, &kind);
        if (!told) untold++;
        if (!named && mode == WEFT_DRAIN) continue;
        if (late != NULL && count < room)
            late[count++] = (struct late){weft_addr_get(addr), kind, named};
        else if (named) unnamed++;
    }
    wf_lock_give(rt->lock);
    for (size_t i = 0; i < count; i++) {
        if (late[i].named) log_straggler(late[i].addr, late[i].kind);
        if (mode == WEFT_NOW) (void)weft_stop(late[i].addr, WEFT_NOW); /* CLOSED: it has ended */
        weft_addr_put(late[i].addr);
    }
    wf_free(late);
    if (unnamed + untold > 0)
        wf_log(WEFT_LOG_WARN, "rt", "did not stop in time, besides: unnamed=%zu never_told=%zu",
               unnamed, untold);
}

/* The last spawned without a parent that was not reported yet; else any that is left. A
 * reference, or NULL. Its grace is in *grace. */
static weft_addr *next_to_stop(weft_rt *rt, weft_ns *grace)
{
    *grace = 0;
    wf_lock_take(rt->lock);
    rt->stopping = true;
    weft_addr *addr = rt->last;
    for (; addr != NULL; addr = addr->prev) {
        /* Acquire: pairs with the release in wf_ext. */
        const struct wf_ext *ext = wf_load(&addr->self->ext, WF_ACQUIRE);
        if (ext == NULL) break;
        if (ext->child != NULL || ext->lost) continue;
        *grace = ext->grace;
        break;
    }
    if (addr == NULL) addr = rt->last;
    if (addr != NULL) (void)weft_addr_get(addr);
    wf_lock_give(rt->lock);
    return addr;
}

/* OK: it has ended. TIMED_OUT: it is left behind, or the deadline has passed. */
static weft_err stop_one(weft_rt *rt, weft_addr *addr, weft_stop_mode mode, weft_ns grace,
                         weft_ns deadline)
{
    weft_ns begin = wf_port_now(rt->port);
    for (;; mode = WEFT_NOW) {
        (void)weft_stop(addr, mode); /* CLOSED: it is ending by itself */
        if (grace == 0) return wf_addr_wait_end(addr, deadline);
        weft_ns until = weft_rt_after(rt, grace);
        weft_err err = wf_addr_wait_end(addr, until < deadline ? until : deadline);
        if (err == WEFT_OK || until >= deadline) return err;
        if (mode == WEFT_NOW) break;
    }
    wf_rt_report(rt, addr, wf_port_now(rt->port) - begin);
    return WEFT_TIMED_OUT;
}

static weft_err stop_each(weft_rt *rt, weft_stop_mode mode, weft_ns deadline)
{
    weft_ns grace;
    weft_addr *addr;
    while ((addr = next_to_stop(rt, &grace)) != NULL) {
        weft_ns begin = wf_port_now(rt->port);
        weft_err err = stop_one(rt, addr, mode, grace, deadline);
        weft_addr_put(addr);
        if (err != WEFT_OK && wf_port_now(rt->port) >= deadline) {
            name_stragglers(rt, mode, wf_port_now(rt->port) - begin);
            return err;
        }
    }
    wf_rt_reap(rt);
    return WEFT_OK;
}

static weft_err stop_all(weft_rt *rt, weft_stop_mode mode, weft_ns deadline)
{
    (void)wf_add(&rt->stops, 1, WF_RELAXED); /* for weft_sim_kill */
    weft_err err = stop_each(rt, mode, deadline);
    (void)wf_sub(&rt->stops, 1, WF_RELAXED);
    return err;
}

static weft_err stop_reported(weft_rt *rt, weft_stop_mode mode, weft_ns deadline,
                              weft_straggler *list, size_t room, size_t *count)
{
    weft_straggler none;
    wf_lock_take(rt->lock);
    rt->stragglers = list == NULL ? &none : list;
    rt->straggler_room = list == NULL ? 0 : room;
    rt->straggler_count = 0;
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        /* Acquire: pairs with the release in wf_ext. */
        struct wf_ext *ext = wf_load(&addr->self->ext, WF_ACQUIRE);
        if (ext != NULL) ext->lost = false; /* named by an earlier stop: named again */
    }
    wf_lock_give(rt->lock);
    weft_err err = stop_all(rt, mode, deadline);
    wf_lock_take(rt->lock);
    rt->stragglers = NULL;
    if (count != NULL) *count = rt->straggler_count;
    wf_lock_give(rt->lock);
    return err;
}

weft_err weft_rt_stop(weft_rt *rt, weft_ns deadline)
{
    return wf_self_current() != NULL ? WEFT_DEADLK : stop_all(rt, WEFT_DRAIN, deadline);
}

weft_err weft_rt_stop_report(weft_rt *rt, weft_ns deadline, weft_straggler *list, size_t room,
                             size_t *count)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    return stop_reported(rt, WEFT_DRAIN, deadline, list, room, count);
}

weft_err weft_rt_stop_now(weft_rt *rt, weft_ns deadline, weft_straggler *list, size_t room,
                          size_t *count)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    return stop_reported(rt, WEFT_NOW, deadline, list, room, count);
}
