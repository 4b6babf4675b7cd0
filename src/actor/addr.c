/* SPDX-License-Identifier: Apache-2.0
 * addr.c - addresses: counted, safe from any thread, outliving their actors.
 * Called by: any thread. May touch: the address; waits for the end of an actor.
 * Never: the actor's state. */
#include <string.h>

#include "alloc.h"
#include "child.h"
#include "log.h"
#include "park.h"
#include "pool.h"

const weft_kind wf_kind_stop = {.id = 0, .name = "weft.stop", .size = sizeof(weft_msg)};

/* One block: two lines of address, four of self, then the state, aligned for any type. */
#define SELF_AT (2 * WF_CACHE_LINE)
#define STATE_AT (SELF_AT + 4 * WF_CACHE_LINE)
#define SIZE_BEFORE ((size_t)16)

static_assert(WEFT_POOL_BYTES_MAX / WF_CACHE_LINE <= UINT8_MAX, "weft_self.lines holds it");
static_assert(SIZE_BEFORE > sizeof(size_t), "the last byte says how far the block was moved");

/* Beyond what is pooled, the byte before the block says how far it was moved to begin on a
 * cache line. */
static unsigned char *block_get(size_t bytes, uint8_t *flags)
{
    *flags = bytes <= WEFT_POOL_BYTES_MAX ? WF_ADDR_POOLED : 0;
    if (*flags != 0) {
        unsigned char *block = wf_pool_get(bytes);
        if (block != NULL) memset(block, 0, bytes);
        return block;
    }
    unsigned char *raw = wf_calloc(1, bytes + WF_CACHE_LINE);
    if (raw == NULL) return NULL;
    size_t moved = WF_CACHE_LINE - (uintptr_t)raw % WF_CACHE_LINE;
    raw[moved - 1] = (unsigned char)moved;
    /* The heap aligns to 16, so there is room for the size, too. */
    memcpy(raw + moved - SIZE_BEFORE, &bytes, sizeof bytes);
    return raw + moved;
}

size_t wf_block_bytes(const weft_addr *addr)
{
    size_t bytes = (size_t)addr->self->lines * WF_CACHE_LINE;
    if ((addr->flags & WF_ADDR_POOLED) == 0)
        memcpy(&bytes, (const unsigned char *)addr - SIZE_BEFORE, sizeof bytes);
    return bytes;
}

weft_addr *wf_block_create(size_t state_bytes)
{
    uint8_t flags = 0;
    if (state_bytes > SIZE_MAX - STATE_AT - 2 * WF_CACHE_LINE) return NULL;
    size_t lines = (STATE_AT + state_bytes + WF_CACHE_LINE - 1) / WF_CACHE_LINE;
    unsigned char *block = block_get(lines * WF_CACHE_LINE, &flags);
    if (block == NULL) return NULL;
    weft_addr *addr = (weft_addr *)(void *)block;
    weft_self *self = (weft_self *)(void *)(block + SELF_AT);
    addr->refs = 1;
    addr->flags = flags;
    addr->self = self;
    self->addr = addr;
    self->lines = flags == 0 ? 0 : (uint8_t)lines;
    self->state = block + STATE_AT;
    weft_msg_init(&self->stop_msg, &wf_kind_stop);
    return addr;
}

static void block_destroy(weft_addr *addr)
{
    unsigned char *block = (unsigned char *)addr;
    /* Never started: its driver keeps nothing of it. */
    if (addr->home != NULL) addr->driver->ops->forget(addr->driver, addr);
    wf_class_put(addr->self->class);
    wf_ext_fini(addr->self);
    if (addr->flags & WF_ADDR_POOLED) wf_pool_put(block);
    else wf_free(block - block[-1]);
}

weft_addr *weft_addr_get(weft_addr *addr)
{
    /* Relaxed: the caller's own reference orders it. */
    uint32_t before = wf_add(&addr->refs, 1, WF_RELAXED);
    WF_ASSERT(before > 0 && before < UINT32_MAX);
    return addr;
}

void weft_addr_put(weft_addr *addr)
{
    if (addr == NULL) return;
    /* [REF] release: our use happens-before the free; acquire: the last one sees all. */
    uint32_t before = wf_sub(&addr->refs, 1, WF_ACQ_REL);
    WF_ASSERT(before > 0);
    if (before > 1) return;
    WF_ASSERT(addr->self == NULL || addr->joined != 0);
    if (addr->poll != NULL) addr->port->ops->poll_close(addr->port, addr->poll);
    if (addr->self == NULL) wf_caller_destroy(addr);
    else block_destroy(addr);
}

const char *weft_addr_name(const weft_addr *addr)
{
    return addr->self == NULL ? "caller" : addr->self->class->name;
}

/* A parent that waits for its children has to look again. */
static weft_err make_haste(weft_addr *addr)
{
    /* Acquire: pair with the releases in wf_ext and where a supervisor is made. */
    struct wf_ext *ext = wf_load(&addr->self->ext, WF_ACQUIRE);
    struct wf_supervisor *sup = ext == NULL ? NULL : wf_load(&ext->super, WF_ACQUIRE);
    return sup == NULL ? WEFT_OK : wf_push_control(addr, &sup->haste);
}

weft_err weft_stop(weft_addr *addr, weft_stop_mode mode)
{
    if (wf_mailbox_is_closed(addr)) return WEFT_CLOSED;
    uint32_t wanted = mode == WEFT_NOW ? 1u + WEFT_NOW : 1u + WEFT_DRAIN;
    uint32_t seen = wf_load(&addr->stop_mode, WF_RELAXED);
    do {
        if (seen >= wanted) return WEFT_OK;
    } while (!wf_cas_weak(&addr->stop_mode, &seen, wanted, WF_RELAXED));
    /* The first one sends the message; a raise is seen by the actor as it drains. */
    return seen == 0 ? wf_push_system(addr, &addr->self->stop_msg) : make_haste(addr);
}

/* An end that is near costs less to look for than to sleep for: a stop in order waits for each
 * of many actors in turn. */
static void look_for_end(const weft_addr *addr)
{
    struct wf_port *port = addr->port;
    if (!port->may_spin) return;
    weft_ns begin = wf_port_now(port);
    do {
        for (unsigned i = 0; i < WF_SPIN_CHECKS; i++) {
            if (wf_load(&addr->ended, WF_RELAXED) != 0) return;
            wf_relax();
        }
    } while (wf_port_now(port) - begin < WF_SPIN_NS);
}

weft_err wf_addr_wait_end(weft_addr *addr, weft_ns deadline)
{
    struct wf_port *port = addr->port;
    /* Acquire: pairs with [JOINED]; the runtime may be gone, and is not needed. */
    if (wf_load(&addr->joined, WF_ACQUIRE) == WF_JOIN_DONE) return WEFT_OK;
    if (deadline > 0) look_for_end(addr);
    /* Acquire: pairs with [END]. */
    while (wf_load(&addr->ended, WF_ACQUIRE) == 0) {
        if (wf_port_now(port) >= deadline) return WEFT_TIMED_OUT;
        port->ops->wait(port, &addr->ended, 0, deadline);
    }
    wf_rt_join(addr);
    return WEFT_OK;
}

weft_err weft_join(weft_addr *addr, weft_ns deadline, weft_err *reason)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    weft_err err = wf_addr_wait_end(addr, deadline);
    if (err == WEFT_OK && reason != NULL) *reason = addr->self->reason;
    return err;
}

weft_err weft_on_exit(weft_addr *addr, void (*fn)(void *arg, weft_addr *addr, weft_err reason),
                      void *arg)
{
    weft_self *self = addr->self;
    uint32_t seen = WF_HOOK_NONE;
    if (fn == NULL) return WEFT_INVALID;
    /* The place first, then the fields: of several callers one may write them. */
    if (wf_cas(&addr->exit_state, &seen, WF_HOOK_TAKEN, WF_RELAXED)) {
        self->exit_fn = fn;
        self->exit_arg = arg;
        seen = WF_HOOK_TAKEN;
        /* Release: pairs with [HOOK], which reads the two fields. */
        if (wf_cas(&addr->exit_state, &seen, WF_HOOK_SET, WF_RELEASE)) return WEFT_OK;
    }
    /* Acquire: pairs with [HOOK]; the reason. */
    if (wf_load(&addr->exit_state, WF_ACQUIRE) != WF_HOOK_OVER) return WEFT_EXISTS;
    fn(arg, addr, self->reason);
    return WEFT_OK;
}
