/* SPDX-License-Identifier: Apache-2.0
 * rt.c - a runtime: the list of its actors, their ordered stop.
 * Called by: any thread. May touch: the lists, under their lock.
 * Never: frees an address whose thread may still run. */
#include <stdio.h>

#include "alloc.h"
#include "block.h"
#include "child.h"
#include "hooks.h"
#include "leaks.h"
#include "log.h"
#include "pool.h"
#include "roster.h"

weft_err wf_rt_create_on(struct wf_port *port, weft_rt **out)
{
    weft_err err = WEFT_NO_MEMORY;
    weft_rt *rt = wf_calloc(1, sizeof *rt);
    if (rt == NULL) return err;
    rt->port = port;
    rt->lock = wf_lock_create();
    rt->join_lock = wf_lock_create();
    if (rt->lock == NULL || rt->join_lock == NULL) goto done;
    err = wf_roster_create(&rt->roster);
    if (err != WEFT_OK) goto done;
    wf_leaks_begin();
    *out = rt;
    rt = NULL;
    err = WEFT_OK;
done:
    if (rt != NULL) {
        wf_lock_destroy(rt->lock);
        wf_lock_destroy(rt->join_lock);
        wf_free(rt);
    }
    return err;
}

weft_err weft_rt_create(weft_rt **out) { return wf_rt_create_on(wf_port_machine(), out); }

static void list_remove(weft_rt *rt, weft_addr *addr)
{
    if (addr->prev == NULL) rt->first = addr->next;
    else addr->prev->next = addr->next;
    if (addr->next == NULL) rt->last = addr->prev;
    else addr->next->prev = addr->prev;
    addr->prev = addr->next = NULL;
}

bool wf_rt_add(weft_rt *rt, weft_addr *addr)
{
    wf_lock_take(rt->lock);
    bool open = !rt->stopping;
    if (open) {
        (void)weft_addr_get(addr);
        addr->prev = rt->last;
        if (rt->last == NULL) rt->first = addr;
        else rt->last->next = addr;
        rt->last = addr;
        wf_stats_spawned(rt, addr);
    }
    wf_lock_give(rt->lock);
    return open;
}

bool wf_rt_hold(weft_rt *rt, size_t bytes)
{
    size_t seen = wf_load(&rt->memory, WF_RELAXED);
    do {
        size_t most = wf_load(&rt->memory_max, WF_RELAXED);
        if (most != 0 && (seen >= most || bytes > most - seen)) {
            (void)wf_add(&rt->spawns_refused, 1, WF_RELAXED);
            return false;
        }
    } while (!wf_cas_weak(&rt->memory, &seen, seen + bytes, WF_RELAXED));
    return true;
}

void wf_rt_let_go(weft_rt *rt, const weft_addr *addr)
{
    const struct wf_ext *ext = addr->self->ext;
    size_t bytes = wf_block_bytes(addr) + (ext == NULL ? 0 : sizeof *ext);
    if (ext != NULL && ext->child != NULL)
        bytes += ext->child->block_count * ext->child->state_bytes;
    (void)wf_sub(&rt->memory, bytes, WF_RELAXED);
}

void weft_rt_memory_limit(weft_rt *rt, size_t bytes)
{
    wf_store(&rt->memory_max, bytes, WF_RELAXED);
}

void weft_rt_memory(weft_rt *rt, weft_memory *out)
{
    *out = (weft_memory){.actors = wf_load(&rt->memory, WF_RELAXED),
                         .actors_refused = wf_load(&rt->spawns_refused, WF_RELAXED),
                         .pools = wf_pool_bytes(),
                         .pools_refused = wf_pool_refused()};
}

void wf_rt_ended(weft_rt *rt, weft_addr *addr)
{
    wf_lock_take(rt->lock);
    list_remove(rt, addr);
    wf_stats_ended(rt, addr);
    addr->next = rt->gone;
    if (rt->gone != NULL) rt->gone->prev = addr;
    rt->gone = addr;
    wf_lock_give(rt->lock);
}

/* Joins the thread of one ended actor and gives the runtime's reference back. The
 * caller holds join_lock and a reference of its own. */
static void join_one(weft_rt *rt, weft_addr *addr)
{
    if (addr->joined != 0) return;
    /* An actor is among the gone a moment before its end is told, and until then it touches its
     * address. Who reaps has not waited for it as a joiner has. Acquire: pairs with [END]. */
    while (wf_load(&addr->ended, WF_ACQUIRE) == 0)
        rt->port->ops->wait(rt->port, &addr->ended, 0, WEFT_NEVER);
    if (addr->home != NULL) addr->driver->ops->join(addr->driver, addr);
    wf_lock_take(rt->lock);
    if (addr->prev == NULL) rt->gone = addr->next;
    else addr->prev->next = addr->next;
    if (addr->next != NULL) addr->next->prev = addr->prev;
    addr->prev = addr->next = NULL;
    wf_lock_give(rt->lock);
    wf_rt_let_go(rt, addr);
    /* [JOINED] release: whoever sees it needs neither thread nor runtime any more. */
    wf_store(&addr->joined, 1, WF_RELEASE);
    weft_addr_put(addr);
}

void wf_rt_join(weft_rt *rt, weft_addr *addr)
{
    wf_lock_take(rt->join_lock);
    join_one(rt, addr);
    wf_lock_give(rt->join_lock);
}

void wf_rt_reap(weft_rt *rt)
{
    wf_lock_take(rt->join_lock);
    for (;;) {
        wf_lock_take(rt->lock);
        weft_addr *addr = rt->gone == NULL ? NULL : weft_addr_get(rt->gone);
        wf_lock_give(rt->lock);
        if (addr == NULL) break;
        join_one(rt, addr);
        weft_addr_put(addr);
    }
    wf_lock_give(rt->join_lock);
}

void wf_rt_forget_all(weft_rt *rt)
{
    while (rt->first != NULL) {
        weft_addr *addr = rt->first;
        list_remove(rt, addr);
        addr->self->reason = WEFT_CANCELED;
        addr->exit_state = WF_HOOK_OVER;
        addr->ended = 1;
        addr->joined = 1;
        wf_rt_let_go(rt, addr);
        weft_addr_put(addr);
    }
}

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
};

static void name_stragglers(weft_rt *rt, weft_ns waited)
{
    size_t room = 0, count = 0, unnamed = 0, untold = 0;
    wf_lock_take(rt->lock);
    for (weft_addr *addr = rt->last; addr != NULL; addr = addr->prev) room++;
    wf_lock_give(rt->lock); /* there may be fewer from here on, not more: it is stopping */
    struct late *late = wf_calloc(room == 0 ? 1 : room, sizeof *late);
    wf_lock_take(rt->lock);
    for (weft_addr *addr = rt->last; addr != NULL; addr = addr->prev) {
        const weft_kind *kind = NULL;
        if (is_untold(addr)) untold++;
        else if (!note_straggler(rt, addr, waited, &kind)) continue;
        else if (late == NULL || count == room) unnamed++;
        else late[count++] = (struct late){.addr = weft_addr_get(addr), .kind = kind};
    }
    wf_lock_give(rt->lock);
    for (size_t i = 0; i < count; i++) {
        log_straggler(late[i].addr, late[i].kind);
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
static weft_err stop_one(weft_rt *rt, weft_addr *addr, weft_ns grace, weft_ns deadline)
{
    weft_ns begin = wf_port_now(rt->port);
    (void)weft_stop(addr, WEFT_DRAIN); /* CLOSED: it is ending by itself */
    if (grace == 0) return wf_addr_wait_end(addr, deadline);
    for (weft_stop_mode mode = WEFT_DRAIN;; mode = WEFT_NOW) {
        if (mode == WEFT_NOW) (void)weft_stop(addr, WEFT_NOW);
        weft_ns until = weft_rt_after(rt, grace);
        weft_err err = wf_addr_wait_end(addr, until < deadline ? until : deadline);
        if (err == WEFT_OK || until >= deadline) return err;
        if (mode == WEFT_NOW) break;
    }
    wf_rt_report(rt, addr, wf_port_now(rt->port) - begin);
    return WEFT_TIMED_OUT;
}

weft_err weft_rt_stop(weft_rt *rt, weft_ns deadline)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    weft_ns grace;
    weft_addr *addr;
    while ((addr = next_to_stop(rt, &grace)) != NULL) {
        weft_ns begin = wf_port_now(rt->port);
        weft_err err = stop_one(rt, addr, grace, deadline);
        weft_addr_put(addr);
        if (err != WEFT_OK && wf_port_now(rt->port) >= deadline) {
            name_stragglers(rt, wf_port_now(rt->port) - begin);
            return err;
        }
    }
    wf_rt_reap(rt);
    return WEFT_OK;
}

weft_err weft_rt_stop_report(weft_rt *rt, weft_ns deadline, weft_straggler *list, size_t room,
                             size_t *count)
{
    weft_straggler none;
    if (wf_self_current() != NULL) return WEFT_DEADLK;
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
    weft_err err = weft_rt_stop(rt, deadline);
    wf_lock_take(rt->lock);
    rt->stragglers = NULL;
    *count = rt->straggler_count;
    wf_lock_give(rt->lock);
    return err;
}

weft_err weft_rt_destroy(weft_rt *rt)
{
    if (rt == NULL) return WEFT_OK;
    wf_lock_take(rt->lock);
    bool busy = rt->first != NULL;
    wf_lock_give(rt->lock);
    if (busy) return WEFT_BUSY;
    wf_rt_reap(rt);
    wf_group_destroy_all(rt);
    wf_stats_fini(rt);
    wf_class_forget_all(rt);
    wf_roster_put(rt->roster);
    wf_lock_destroy(rt->lock);
    wf_lock_destroy(rt->join_lock);
    wf_free(rt);
    wf_leaks_end();
    return WEFT_OK;
}

weft_ns weft_rt_now(weft_rt *rt) { return wf_port_now(rt->port); }

weft_ns weft_rt_after(weft_rt *rt, weft_ns timeout)
{
    weft_ns now = wf_port_now(rt->port);
    return timeout > WEFT_NEVER - now ? WEFT_NEVER : now + timeout;
}

void weft_rt_on_dead_letter(weft_rt *rt, weft_on_dead_letter fn, void *arg)
{
    rt->dead_fn = fn;
    rt->dead_arg = arg;
}

int64_t wf_wall_ms(weft_rt *rt) { return rt->port->ops->wall_ms(rt->port); }

void wf_random(weft_rt *rt, void *out, size_t len) { rt->port->ops->random(rt->port, out, len); }

unsigned wf_cpu_count(weft_rt *rt) { return rt->port->ops->cpu_count(rt->port); }
