/* SPDX-License-Identifier: Apache-2.0
 * rt.c - a runtime: the lists of its actors, the joining of their threads.
 * Called by: any thread. May touch: the lists, under their lock.
 * Never: frees an address whose thread may still run. */
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
    if (rt->lock == NULL) goto done;
    err = wf_roster_create(&rt->roster);
    if (err != WEFT_OK) goto done;
    wf_leaks_begin();
    *out = rt;
    rt = NULL;
    err = WEFT_OK;
done:
    if (rt != NULL) {
        wf_lock_destroy(rt->lock);
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

/* True: the join is the caller's to do. False: it is done, and the runtime may be gone. */
static bool join_take(weft_addr *addr)
{
    uint32_t seen = WF_JOIN_NONE;
    /* Acquire: pairs with [JOINED]. */
    if (wf_cas_or(&addr->joined, &seen, WF_JOIN_TAKEN, WF_ACQUIRE, WF_ACQUIRE)) return true;
    while (seen != WF_JOIN_DONE) {
        if (seen == WF_JOIN_TAKEN &&
            !wf_cas_or(&addr->joined, &seen, WF_JOIN_AWAITED, WF_ACQUIRE, WF_ACQUIRE))
            continue;
        addr->port->ops->wait(addr->port, &addr->joined, WF_JOIN_AWAITED, WEFT_NEVER);
        seen = wf_load(&addr->joined, WF_ACQUIRE);
    }
    return false;
}

void wf_rt_join(weft_addr *addr)
{
    struct wf_port *port = addr->port;
    /* An actor is among the gone a moment before its end is told, and until then it touches its
     * address. Who reaps has not waited for it as a joiner has. Acquire: pairs with [END]. */
    while (wf_load(&addr->ended, WF_ACQUIRE) == 0)
        port->ops->wait(port, &addr->ended, 0, WEFT_NEVER);
    if (!join_take(addr)) return;
    weft_rt *rt = addr->rt;
    if (addr->home != NULL) addr->driver->ops->join(addr->driver, addr);
    wf_rt_let_go(rt, addr);
    wf_lock_take(rt->lock);
    if (addr->prev == NULL) rt->gone = addr->next;
    else addr->prev->next = addr->next;
    if (addr->next != NULL) addr->next->prev = addr->prev;
    addr->prev = addr->next = NULL;
    wf_lock_give(rt->lock); /* from here on nothing of the runtime */
    /* [JOINED] release: whoever sees it needs neither thread nor runtime any more. */
    bool awaited = wf_xchg(&addr->joined, WF_JOIN_DONE, WF_ACQ_REL) == WF_JOIN_AWAITED;
    if (awaited) port->ops->wake(port, &addr->joined);
    weft_addr_put(addr);
}

void wf_rt_reap(weft_rt *rt)
{
    for (;;) {
        wf_lock_take(rt->lock);
        weft_addr *addr = rt->gone == NULL ? NULL : weft_addr_get(rt->gone);
        wf_lock_give(rt->lock);
        if (addr == NULL) return;
        wf_rt_join(addr);
        weft_addr_put(addr);
    }
}

void wf_rt_forget_all(weft_rt *rt)
{
    while (rt->first != NULL) {
        weft_addr *addr = rt->first;
        list_remove(rt, addr);
        addr->self->reason = WEFT_CANCELED;
        addr->exit_state = WF_HOOK_OVER;
        addr->ended = 1;
        addr->joined = WF_JOIN_DONE;
        wf_rt_let_go(rt, addr);
        weft_addr_put(addr);
    }
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

void wf_nap(weft_ns ns)
{
    struct wf_port *port = wf_port_machine();
    weft_ns until = wf_port_now(port) + ns;
    uint32_t word = 0; /* ours alone: nobody wakes us */
    while (wf_port_now(port) < until) port->ops->wait(port, &word, 0, until);
}
