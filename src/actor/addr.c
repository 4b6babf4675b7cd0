/* SPDX-License-Identifier: Apache-2.0
 * addr.c - addresses: counted, safe from any thread, outliving their actors.
 * Called by: any thread. May touch: the address; waits for the end of an actor.
 * Never: the actor's state. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "self.h"

const weft_kind wf_kind_stop = {.id = 0, .name = "weft.stop", .size = sizeof(weft_msg)};

weft_err wf_addr_create(struct wf_port *port, const char *name, uint32_t mailbox,
                        uint32_t spin_max_ns, weft_addr **out)
{
    weft_addr *addr = wf_calloc(1, sizeof *addr);
    if (addr == NULL) return WEFT_NO_MEMORY;
    addr->refs = 1;
    memcpy(addr->name, name, strlen(name) + 1);
    weft_msg_init(&addr->stop_msg, &wf_kind_stop);
    wf_mailbox_init(&addr->box, port, NULL, mailbox, spin_max_ns);
    *out = addr;
    return WEFT_OK;
}

weft_addr *weft_addr_get(weft_addr *addr)
{
    /* Relaxed: the caller's own reference orders it. */
    uint32_t before = __atomic_fetch_add(&addr->refs, 1, __ATOMIC_RELAXED);
    WF_ASSERT(before > 0 && before < UINT32_MAX);
    return addr;
}

void weft_addr_put(weft_addr *addr)
{
    if (addr == NULL) return;
    /* [REF] release: our use happens-before the free; acquire: the last one sees all. */
    uint32_t before = __atomic_fetch_sub(&addr->refs, 1, __ATOMIC_ACQ_REL);
    WF_ASSERT(before > 0);
    if (before > 1) return;
    WF_ASSERT(addr->self == NULL || addr->joined != 0);
    if (addr->box.poll != NULL) addr->box.port->ops->poll_close(addr->box.port, addr->box.poll);
    wf_free(addr->self);
    wf_free(addr);
}

const char *weft_addr_name(const weft_addr *addr) { return addr->name; }

weft_err weft_stop(weft_addr *addr, weft_stop_mode mode)
{
    if (wf_mailbox_is_closed(&addr->box)) return WEFT_CLOSED;
    uint32_t wanted = mode == WEFT_NOW ? 1u + WEFT_NOW : 1u + WEFT_DRAIN;
    uint32_t seen = __atomic_load_n(&addr->stop_mode, __ATOMIC_RELAXED);
    do {
        if (seen >= wanted) return WEFT_OK;
    } while (!__atomic_compare_exchange_n(&addr->stop_mode, &seen, wanted, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    /* The first one sends the message; a raise is seen by the actor as it drains. */
    return seen == 0 ? wf_push_system(addr, &addr->stop_msg) : WEFT_OK;
}

weft_err wf_addr_wait_end(weft_addr *addr, weft_ns deadline)
{
    struct wf_port *port = addr->box.port;
    /* Acquire: pairs with [JOINED]; the runtime may be gone, and is not needed. */
    if (__atomic_load_n(&addr->joined, __ATOMIC_ACQUIRE) != 0) return WEFT_OK;
    /* Acquire: pairs with [END]. */
    while (__atomic_load_n(&addr->ended, __ATOMIC_ACQUIRE) == 0) {
        if (wf_port_now(port) >= deadline) return WEFT_TIMED_OUT;
        port->ops->wait(port, &addr->ended, 0, deadline);
    }
    wf_rt_join(addr->rt, addr);
    return WEFT_OK;
}

weft_err weft_join(weft_addr *addr, weft_ns deadline, weft_err *reason)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    weft_err err = wf_addr_wait_end(addr, deadline);
    if (err == WEFT_OK && reason != NULL) *reason = addr->reason;
    return err;
}

weft_err weft_on_exit(weft_addr *addr, void (*fn)(void *arg, weft_addr *addr, weft_err reason),
                      void *arg)
{
    uint32_t seen = __atomic_load_n(&addr->exit_state, __ATOMIC_ACQUIRE);
    if (seen == WF_HOOK_SET) return WEFT_EXISTS;
    if (seen == WF_HOOK_NONE) {
        addr->exit_fn = fn;
        addr->exit_arg = arg;
        /* Release: pairs with [HOOK], which reads the two fields. */
        if (__atomic_compare_exchange_n(&addr->exit_state, &seen, WF_HOOK_SET, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return WEFT_OK;
    }
    fn(arg, addr, addr->reason);
    return WEFT_OK;
}

void weft_addr_stats(weft_addr *addr, weft_actor_stats *out)
{
    weft_actor_stats stats = {0};
    weft_self *self = addr->self;
    if (self != NULL) {
        stats.handled = __atomic_load_n(&self->stats.handled, __ATOMIC_RELAXED);
        stats.system = __atomic_load_n(&self->stats.system, __ATOMIC_RELAXED);
        stats.dropped = __atomic_load_n(&self->stats.dropped, __ATOMIC_RELAXED);
        stats.timer_ticks = __atomic_load_n(&self->stats.timer_ticks, __ATOMIC_RELAXED);
    }
    stats.dropped += __atomic_load_n(&addr->late, __ATOMIC_RELAXED);
    stats.parks = __atomic_load_n(&addr->box.parks, __ATOMIC_RELAXED);
    stats.spins = __atomic_load_n(&addr->box.spins, __ATOMIC_RELAXED);
    *out = stats;
}
