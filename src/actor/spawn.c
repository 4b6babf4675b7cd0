/* SPDX-License-Identifier: Apache-2.0
 * spawn.c - starting an actor and waiting until its init has returned.
 * Called by: any thread. May touch: the new actor until it starts.
 * Never: leaves a thread behind when it fails. */
#include <string.h>

#include "alloc.h"
#include "child.h"
#include "hooks.h"
#include "log.h"

static uint32_t capacity_of(const weft_spec *spec)
{
    return spec->mailbox == 0 ? WEFT_MAILBOX_DEFAULT : spec->mailbox;
}

/* What senders and the stash need to know and a plain actor does not. */
static weft_err build_ext(weft_rt *rt, const weft_spec *spec, weft_addr *addr)
{
    addr->overflow = (uint8_t)spec->overflow;
    if (spec->overflow == WEFT_REJECT && spec->stash == 0 && spec->mailbox_bytes == 0)
        return WEFT_OK;
    struct wf_ext *ext = wf_ext(addr->self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    ext->stash_max = spec->stash;
    ext->dead_fn = rt->dead_fn;
    ext->dead_arg = rt->dead_arg;
    if (spec->mailbox_bytes != 0) wf_mailbox_bound_bytes(addr, spec->mailbox_bytes);
    return WEFT_OK;
}

static weft_err check_place(weft_rt *rt, const weft_self *parent, const weft_spec *spec)
{
    if ((spec->place == WEFT_PLACE_GROUP) != (spec->group != NULL)) return WEFT_INVALID;
    if (spec->place == WEFT_PLACE_THREAD) {
        bool small = spec->stack_bytes != 0 && spec->stack_bytes < rt->port->stack_least;
        return small ? WEFT_INVALID : WEFT_OK;
    }
    if (spec->group != NULL && wf_group_rt(spec->group) != rt) return WEFT_INVALID;
    if (spec->place == WEFT_PLACE_PARENT && parent == NULL) return WEFT_INVALID;
    if (spec->place > WEFT_PLACE_GROUP) return WEFT_INVALID;
    /* The thread is somebody else's. */
    bool own = spec->thread != NULL || spec->stack_bytes != 0 || spec->spin_max_ns != 0;
    return own ? WEFT_UNSUPPORTED : WEFT_OK;
}

static weft_err check(weft_rt *rt, const weft_self *parent, const weft_spec *spec)
{
    if (spec->handle == NULL) return WEFT_INVALID;
    if (spec->name != NULL && strlen(spec->name) > WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_INVALID;
    if (spec->mailbox != WEFT_UNBOUNDED && spec->mailbox > WEFT_MAILBOX_MAX) return WEFT_INVALID;
    if ((unsigned)spec->overflow > WEFT_DROP_OLD) return WEFT_INVALID;
    if (spec->stash > capacity_of(spec) / 2) return WEFT_INVALID;
    if (spec->mailbox_bytes != 0 && spec->overflow == WEFT_DROP_OLD) return WEFT_UNSUPPORTED;
    return check_place(rt, parent, spec);
}

static struct wf_driver *driver_of(weft_rt *rt, const weft_self *parent, const weft_spec *spec)
{
    if (rt->port->sim != NULL || spec->place == WEFT_PLACE_THREAD) return rt->port->own;
    return spec->place == WEFT_PLACE_PARENT ? parent->addr->driver : wf_group_driver(spec->group);
}

static void never_started(weft_rt *rt, weft_addr *addr)
{
    wf_rt_let_go(rt, addr);
    addr->joined = WF_JOIN_DONE;
    weft_addr_put(addr);
}

static weft_err build(weft_rt *rt, weft_self *parent, const weft_spec *spec, weft_addr **out)
{
    struct wf_class *class = wf_class_get(rt, spec);
    weft_addr *addr = class == NULL ? NULL : wf_block_create(spec->state_size);
    if (addr == NULL) {
        wf_class_put(class);
        return WEFT_NO_MEMORY;
    }
    addr->self->class = class;
    if (!wf_rt_hold(rt, wf_block_bytes(addr))) {
        addr->joined = WF_JOIN_DONE; /* no thread was ever made */
        weft_addr_put(addr);
        return WEFT_LIMIT;
    }
    uint32_t capacity = capacity_of(spec);
    /* The actor drops what is beyond the capacity when it takes its mail in; until then
     * senders may be ahead by as much again. */
    if (spec->overflow == WEFT_DROP_OLD && capacity != WEFT_UNBOUNDED) capacity *= 2;
    wf_mailbox_init(addr, rt->port, capacity);
    addr->driver = driver_of(rt, parent, spec);
    addr->place = (uint8_t)spec->place;
    addr->rt = rt;
    addr->number = wf_actor_number();
    weft_self *self = addr->self;
    self->rt = rt;
    self->port = rt->port;
    self->arg = spec->arg;
    weft_err err = build_ext(rt, spec, addr);
    if (err == WEFT_OK) err = wf_family_init(self, parent, spec);
    if (err != WEFT_OK) {
        never_started(rt, addr);
        return err;
    }
    *out = addr;
    return WEFT_OK;
}

weft_err wf_spawn(weft_rt *rt, weft_self *parent, const weft_spec *spec, weft_addr **out)
{
    weft_addr *addr = NULL;
    weft_err err = check(rt, parent, spec);
    if (err == WEFT_OK) err = wf_family_check(parent, spec);
    if (err != WEFT_OK) return err;
    wf_rt_reap(rt); /* threads that ended meanwhile are not kept */
    err = build(rt, parent, spec, &addr);
    if (err != WEFT_OK) return err;
    if (!wf_rt_add(rt, addr)) {
        never_started(rt, addr);
        return WEFT_CLOSED;
    }
    err = addr->driver->ops->start(addr->driver, addr, spec);
    if (err != WEFT_OK) {
        wf_mailbox_close(addr, &addr->self->lanes);
        wf_rt_ended(rt, addr);
        /* Release: as [END]; a stop of the runtime may wait for it already. */
        wf_store(&addr->ended, 1, WF_RELEASE);
        rt->port->ops->wake(rt->port, &addr->ended);
        wf_rt_join(addr);
        (void)wf_fail(err, "spawn", "not started: %s", weft_addr_name(addr));
        weft_addr_put(addr);
        return err;
    }
    /* Acquire: pairs with [START]. */
    while (wf_load(&addr->started, WF_ACQUIRE) == 0)
        rt->port->ops->wait(rt->port, &addr->started, 0, WEFT_NEVER);
    err = addr->init_err;
    if (err != WEFT_OK) {
        /* Its children, if it has made some, may need this thread to stop. */
        bool waits = wf_self_current() == NULL || addr->self->ext == NULL ||
                     addr->self->ext->super == NULL;
        weft_err gone = waits ? wf_addr_wait_end(addr, WEFT_NEVER) : WEFT_OK;
        WF_ASSERT(gone == WEFT_OK);
        weft_addr_put(addr);
        return err;
    }
    *out = addr;
    return WEFT_OK;
}

weft_err weft_spawn(weft_rt *rt, const weft_spec *spec, weft_addr **out)
{
    return wf_spawn(rt, NULL, spec, out);
}
