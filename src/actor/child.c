/* SPDX-License-Identifier: Apache-2.0
 * child.c - a parent and its children: carries events into super.c and its effects out.
 * Called by: actor.c, spawn.c, stop.c, end.c, kill.c, on the thread of the actor concerned.
 * May touch: this actor, its own supervisor, its children by message only.
 * Never: allocates after a child was made; decides. */
#include "child.h"

#include "alloc.h"
#include "log.h"

static const weft_kind child_kinds[WF_CHILD_MESSAGES] = {
    [WF_CHILD_EXIT] = {WF_CHILD_EXIT, "weft.exit", sizeof(weft_msg), NULL},
    [WF_CHILD_READY] = {WF_CHILD_READY, "weft.ready", sizeof(weft_msg), NULL},
    [WF_CHILD_GONE] = {WF_CHILD_GONE, "weft.gone", sizeof(weft_msg), NULL},
    [WF_CHILD_HALT] = {WF_CHILD_HALT, "weft.halt", sizeof(weft_msg), NULL},
    [WF_CHILD_RESTART] = {WF_CHILD_RESTART, "weft.restart", sizeof(weft_msg), NULL},
};

static const weft_kind kind_haste = {0, "weft.haste", sizeof(weft_msg), NULL};

static struct wf_child *child_of(const weft_self *self)
{
    return self->ext == NULL ? NULL : self->ext->child;
}

static struct wf_supervisor *super_of(const weft_self *self)
{
    return self->ext == NULL ? NULL : self->ext->super;
}

/* -- Making ------------------------------------------------------------------------ */

static weft_ns or_default(weft_ns value, weft_ns usual) { return value == 0 ? usual : value; }

static struct wf_super_rules rules_of(const weft_spec *spec)
{
    struct wf_super_rules rules = {.strategy = spec->strategy,
                                   .intensity = spec->intensity == 0 ? 3 : spec->intensity,
                                   .period = or_default(spec->period_ns, 5 * WEFT_SEC),
                                   .backoff_min = or_default(spec->backoff_min_ns, 10 * WEFT_MS),
                                   .backoff_max = or_default(spec->backoff_max_ns, 10 * WEFT_SEC)};
    return rules;
}

static bool has_rules(const weft_spec *spec)
{
    return spec->strategy != WEFT_ONE_FOR_ONE || spec->intensity != 0 || spec->period_ns != 0 ||
           spec->backoff_min_ns != 0 || spec->backoff_max_ns != 0;
}

static uint32_t depth_of(const weft_self *self)
{
    const struct wf_child *child = child_of(self);
    return child == NULL ? 0 : child->depth;
}

weft_err wf_family_check(const weft_self *parent, const weft_spec *spec)
{
    struct wf_super_rules rules = rules_of(spec);
    if ((unsigned)spec->restart > WEFT_PERMANENT || (unsigned)spec->strategy > WEFT_ONE_FOR_ALL)
        return WEFT_INVALID;
    if (rules.intensity > WEFT_INTENSITY_MAX || rules.backoff_min > rules.backoff_max)
        return WEFT_INVALID;
    if (parent == NULL) /* nobody would restart it */
        return spec->restart == WEFT_TEMPORARY ? WEFT_OK : WEFT_INVALID;
    if (parent->phase != WF_PHASE_NEW && parent->phase != WF_PHASE_RUNNING) return WEFT_CLOSED;
    const struct wf_supervisor *sup = super_of(parent);
    if (sup != NULL && sup->super.count >= WEFT_CHILDREN_MAX) return WEFT_LIMIT;
    return depth_of(parent) < WEFT_TREE_DEPTH_MAX ? WEFT_OK : WEFT_LIMIT;
}

static weft_err supervisor_create(weft_self *self, const weft_spec *spec)
{
    struct wf_super_rules rules = rules_of(spec);
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    struct wf_supervisor *sup = wf_calloc(1, sizeof *sup + rules.intensity * sizeof *sup->restarts);
    if (sup == NULL) return WEFT_NO_MEMORY;
    wf_super_init(&sup->super, &rules, sup->restarts);
    weft_msg_init(&sup->haste, &kind_haste);
    /* Release: weft_stop reads it on other threads. */
    wf_store(&ext->super, sup, WF_RELEASE);
    return WEFT_OK;
}

static weft_err child_create(weft_self *self, weft_self *parent, const weft_spec *spec)
{
    struct wf_ext *ext = wf_ext(self);
    struct wf_child *child = ext == NULL ? NULL : wf_calloc(1, sizeof *child);
    if (child == NULL) return WEFT_NO_MEMORY;
    child->node.restart = spec->restart;
    child->node.grace = or_default(spec->grace_ns, 5 * WEFT_SEC);
    child->addr = self->addr;
    child->parent = weft_addr_get(parent->addr);
    child->depth = depth_of(parent) + 1;
    child->state_bytes = spec->state_size;
    for (int i = 0; i < WF_CHILD_MESSAGES; i++) weft_msg_init(&child->msg[i], &child_kinds[i]);
    ext->child = child;
    return WEFT_OK;
}

weft_err wf_family_init(weft_self *self, weft_self *parent, const weft_spec *spec)
{
    weft_err err = WEFT_OK;
    if (has_rules(spec)) err = supervisor_create(self, spec);
    if (err == WEFT_OK && parent != NULL) err = child_create(self, parent, spec);
    if (err != WEFT_OK || parent != NULL || spec->grace_ns == 0) return err;
    if (wf_ext(self) == NULL) return WEFT_NO_MEMORY;
    self->ext->grace = spec->grace_ns;
    return WEFT_OK;
}

void wf_family_fini(struct wf_ext *ext)
{
    struct wf_child *child = ext->child;
    if (child != NULL) {
        for (uint32_t i = 0; i < child->block_count; i++) wf_free(child->blocks[i]);
        weft_addr_put(child->parent); /* it was never started */
        wf_free(child);
    }
    wf_free(ext->super);
    wf_free(ext->monitors);
}

/* -- Events and effects ----------------------------------------------------------------- */

weft_err wf_push_control(weft_addr *to, weft_msg *msg)
{
    msg->flags = WF_MSG_SYSTEM | WF_MSG_CONTROL;
    return wf_mailbox_push(to, msg, msg);
}

/* A child that is closed already says GONE by itself. */
static void tell(struct wf_child *child, enum wf_child_message what)
{
    (void)wf_push_control(child->addr, &child->msg[what]);
}

static void report(weft_self *self, struct wf_child *child)
{
    weft_ns now = wf_port_now(self->port);
    wf_rt_report(self->rt, child->addr, now > child->told ? now - child->told : 0);
}

static void apply(weft_self *self, struct wf_supervisor *sup, const struct wf_super_effect *effect)
{
    struct wf_child *child = (struct wf_child *)effect->child;
    switch (effect->what) {
    case WF_SUPER_RESTART: tell(child, WF_CHILD_RESTART); break;
    case WF_SUPER_HALT: tell(child, WF_CHILD_HALT); break;
    case WF_SUPER_CHILD:
        if (child->told == 0) child->told = wf_port_now(self->port);
        (void)weft_stop(child->addr, effect->mode);
        break;
    case WF_SUPER_REPORT: report(self, child); break;
    case WF_SUPER_LATE:
        wf_log(WEFT_LOG_WARN, self->class->name, "a restart waits for one that does not halt: %s",
               weft_addr_name(child->addr));
        break;
    case WF_SUPER_FAIL:
        wf_log(WEFT_LOG_ERROR, self->class->name, "more restarts than allowed");
        wf_actor_fail(self, WEFT_LIMIT);
        break;
    case WF_SUPER_DONE: sup->over = true; break;
    }
}

static void step(weft_self *self, struct wf_super_event event)
{
    struct wf_supervisor *sup = super_of(self);
    struct wf_super_effects effects;
    event.now = wf_port_now(self->port);
    for (;;) {
        wf_super_step(&sup->super, &event, &effects);
        for (uint32_t i = 0; i < effects.count; i++) apply(self, sup, &effects.list[i]);
        if (wf_super_next(&sup->super) > event.now) return;
        event = (struct wf_super_event){.what = WF_SUPER_DUE, .now = event.now};
    }
}

/* A failure moves its wait by chance. */
static struct wf_super_event failure(weft_self *self, enum wf_super_what what,
                                     struct wf_child *child, weft_err err)
{
    struct wf_super_event event = {.what = what, .child = &child->node, .err = err};
    weft_self_random(self, &event.random, sizeof event.random);
    return event;
}

static void child_is_gone(weft_self *self, struct wf_child *child)
{
    step(self, (struct wf_super_event){.what = WF_SUPER_GONE, .child = &child->node});
    weft_addr_put(child->addr);
}

static struct wf_child *sender_of(weft_msg *msg)
{
    weft_msg *all = msg - msg->kind->id;
    return (struct wf_child *)(void *)((char *)all - offsetof(struct wf_child, msg));
}

static bool is_child_kind(const weft_kind *kind)
{
    for (int i = 0; i < WF_CHILD_MESSAGES; i++)
        if (kind == &child_kinds[i]) return true;
    return false;
}

static void on_child_message(weft_self *self, weft_msg *msg)
{
    struct wf_child *child = sender_of(msg);
    switch ((enum wf_child_message)msg->kind->id) {
    case WF_CHILD_EXIT: step(self, failure(self, WF_SUPER_EXITED, child, WEFT_OK)); break;
    case WF_CHILD_READY:
        if (child->ready_err != WEFT_OK)
            step(self, failure(self, WF_SUPER_READY, child, child->ready_err));
        else step(self, (struct wf_super_event){.what = WF_SUPER_READY, .child = &child->node});
        break;
    case WF_CHILD_GONE: child_is_gone(self, child); break;
    case WF_CHILD_HALT: wf_child_halt(self); break;
    case WF_CHILD_RESTART: wf_child_again(self); break;
    case WF_CHILD_MESSAGES: break;
    }
}

bool wf_child_control(weft_self *self, weft_msg *msg)
{
    if (is_child_kind(msg->kind)) on_child_message(self, msg);
    else if (msg->kind == &weft_kind_down) return wf_down_arrived(self, (weft_down *)msg);
    else if (msg->kind == &wf_kind_cancel)
        wf_down_canceled(self, (weft_down *)(void *)((char *)msg - offsetof(weft_down, cancel)));
    else if (msg->kind == &wf_kind_link) wf_link_opened(self, msg);
    return true; /* haste only had to wake us */
}

void wf_control_closed(weft_self *self, weft_msg *msg)
{
    if (is_child_kind(msg->kind)) {
        if (msg->kind->id == WF_CHILD_GONE) child_is_gone(self, sender_of(msg));
        return;
    }
    if (!wf_child_control(self, msg)) weft_drop(msg);
}

/* -- A parent --------------------------------------------------------------------------- */

weft_err weft_spawn_child(weft_self *parent, const weft_spec *spec, weft_addr **out)
{
    weft_addr *addr = NULL;
    weft_err err = WEFT_OK;
    if (wf_self_is_foreign(parent, "weft_spawn_child")) return WEFT_INVALID;
    if (parent->phase != WF_PHASE_NEW && parent->phase != WF_PHASE_RUNNING) return WEFT_CLOSED;
    if (super_of(parent) == NULL) {
        err = supervisor_create(parent, &(weft_spec){.strategy = WEFT_ONE_FOR_ONE});
        if (err != WEFT_OK) return err;
    }
    err = wf_spawn(parent->rt, parent, spec, &addr);
    if (err != WEFT_OK) return err;
    step(parent,
         (struct wf_super_event){.what = WF_SUPER_SPAWNED, .child = &addr->self->ext->child->node});
    if (out != NULL) *out = weft_addr_get(addr);
    return WEFT_OK; /* the reference of the spawn is the parent's */
}

void wf_children_stop(weft_self *self, weft_stop_mode mode)
{
    struct wf_supervisor *sup = super_of(self);
    if (sup == NULL || (sup->super.stopping && (sup->over || sup->super.mode >= mode))) return;
    step(self, (struct wf_super_event){.what = WF_SUPER_STOP, .mode = mode});
}

bool wf_children_over(const weft_self *self)
{
    const struct wf_supervisor *sup = super_of(self);
    return sup == NULL || sup->over;
}

void wf_children_again(weft_self *self)
{
    struct wf_supervisor *sup = super_of(self);
    if (sup == NULL) return;
    sup->over = false;
    wf_super_again(&sup->super);
}

weft_ns wf_children_due(const weft_self *self)
{
    const struct wf_supervisor *sup = super_of(self);
    return sup == NULL ? WEFT_NEVER : wf_super_next(&sup->super);
}

void wf_children_run(weft_self *self, weft_ns now)
{
    if (wf_children_due(self) <= now) step(self, (struct wf_super_event){.what = WF_SUPER_DUE});
}

void wf_children_forget(weft_self *self)
{
    struct wf_supervisor *sup = super_of(self);
    while (sup != NULL && sup->super.first != NULL) {
        struct wf_child *child = (struct wf_child *)sup->super.first;
        sup->super.first = child->node.next;
        weft_addr_put(child->addr);
    }
}

/* -- A child ------------------------------------------------------------------------------ */

bool wf_child_restarts(const weft_self *self)
{
    const struct wf_child *child = child_of(self);
    if (child == NULL || child->never || child->parent == NULL) return false;
    if (wf_load(&self->addr->stop_mode, WF_RELAXED) != 0) return false; /* from outside */
    if (wf_mailbox_is_closed(child->parent)) return false;
    if (child->halting || child->starting) return true;
    if (child->node.restart == WEFT_PERMANENT) return true;
    return child->node.restart == WEFT_TRANSIENT && self->reason != WEFT_OK;
}

void wf_child_gone(weft_self *self)
{
    struct wf_child *child = child_of(self);
    if (child == NULL || child->parent == NULL) return;
    weft_addr *parent = child->parent;
    child->parent = NULL;
    /* Once it is pushed our parent may give its reference back; the runtime's is left. */
    if (!child->never) (void)wf_push_control(parent, &child->msg[WF_CHILD_GONE]);
    weft_addr_put(parent);
}
