/* SPDX-License-Identifier: Apache-2.0
 * spawn.c - starting an actor and waiting until its init has returned.
 * Called by: any thread. May touch: the new actor until it starts.
 * Never: leaves a thread behind when it fails. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "self.h"

static weft_err check(const weft_spec *spec)
{
    if (spec->handle == NULL) return WEFT_INVALID;
    if (spec->name != NULL && strlen(spec->name) > WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_INVALID;
    if (spec->mailbox != WEFT_UNBOUNDED && spec->mailbox > WEFT_MAILBOX_MAX) return WEFT_INVALID;
    if (spec->state_size > SIZE_MAX - sizeof(weft_self)) return WEFT_NO_MEMORY;
    return WEFT_OK;
}

static weft_err build(weft_rt *rt, const weft_spec *spec, weft_addr **out)
{
    weft_addr *addr = NULL;
    const char *name = spec->name == NULL ? "actor" : spec->name;
    uint32_t mailbox = spec->mailbox == 0 ? WEFT_MAILBOX_DEFAULT : spec->mailbox;
    weft_err err = wf_addr_create(rt->port, name, mailbox, spec->spin_max_ns, &addr);
    if (err != WEFT_OK) return err;
    weft_self *self = wf_calloc(1, sizeof *self + spec->state_size);
    if (self == NULL) {
        weft_addr_put(addr);
        return WEFT_NO_MEMORY;
    }
    self->addr = addr;
    self->rt = rt;
    self->port = rt->port;
    self->init = spec->init;
    self->handle = spec->handle;
    self->fini = spec->fini;
    self->arg = spec->arg;
    self->loop = (struct wf_loop){.step = wf_actor_step,
                                  .main = wf_actor_main,
                                  .box = &addr->box,
                                  .name = addr->name,
                                  .stack_bytes = spec->stack_bytes,
                                  .wake_at = WEFT_NEVER};
    addr->self = self;
    addr->rt = rt;
    addr->box.loop = &self->loop;
    *out = addr;
    return WEFT_OK;
}

weft_err weft_spawn(weft_rt *rt, const weft_spec *spec, weft_addr **out)
{
    weft_addr *addr = NULL;
    weft_err err = check(spec);
    if (err != WEFT_OK) return err;
    wf_rt_reap(rt); /* threads that ended meanwhile are not kept */
    err = build(rt, spec, &addr);
    if (err != WEFT_OK) return err;
    if (!wf_rt_add(rt, addr)) {
        addr->joined = 1; /* no thread was ever made */
        weft_addr_put(addr);
        return WEFT_CLOSED;
    }
    err = rt->port->ops->start(rt->port, &addr->self->loop);
    if (err != WEFT_OK) {
        addr->self->loop.step = NULL; /* says to wf_rt_join that there is no thread */
        wf_mailbox_close(&addr->box);
        wf_rt_ended(rt, addr);
        /* Release: as [END]; a stop of the runtime may wait for it already. */
        __atomic_store_n(&addr->ended, 1, __ATOMIC_RELEASE);
        rt->port->ops->wake(rt->port, &addr->ended);
        wf_rt_join(rt, addr);
        weft_addr_put(addr);
        return wf_fail(err, "spawn", "no thread for %s", spec->name == NULL ? "actor" : spec->name);
    }
    /* Acquire: pairs with [START]. */
    while (__atomic_load_n(&addr->started, __ATOMIC_ACQUIRE) == 0)
        rt->port->ops->wait(rt->port, &addr->started, 0, WEFT_NEVER);
    err = addr->init_err;
    if (err != WEFT_OK) {
        weft_err gone = wf_addr_wait_end(addr, WEFT_NEVER);
        WF_ASSERT(gone == WEFT_OK);
        weft_addr_put(addr);
        return err;
    }
    *out = addr;
    return WEFT_OK;
}
