/* SPDX-License-Identifier: Apache-2.0
 * group.c - worker groups: their threads, and the driver of the actors in them.
 * Called by: any thread; spawn.c, rt.c, addr.c through the driver's table.
 * May touch: the group's workers before they start and after they have ended.
 * Never: runs an actor, but for its init. */
#include <weft/group.h>

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "log.h"
#include "worker.h"

/* -- The driver --------------------------------------------------------------------- */

static weft_group *group_of(struct wf_driver *driver) { return (weft_group *)driver; }

static weft_err start(struct wf_driver *driver, weft_addr *task, const weft_spec *spec)
{
    weft_group *group = group_of(driver);
    struct wf_worker *w = wf_worker_current();
    (void)spec;
    if (!wf_group_enter(group)) return WEFT_CLOSED;
    /* One of ours spawns beside itself: the two will talk. */
    if (w == NULL || w->group != group)
        w = &group->workers[wf_add(&group->spawned, 1, WF_RELAXED) % group->count];
    wf_store(&task->home, (void *)w, WF_RELAXED);
    weft_err err = wf_worker_begin(task);
    if (err == WEFT_OK) return WEFT_OK;
    task->home = NULL;
    wf_group_leave(group);
    wf_group_put(group);
    return err;
}

static void join(struct wf_driver *driver, weft_addr *task)
{
    (void)task;
    wf_group_leave(group_of(driver));
}

static void forget(struct wf_driver *driver, weft_addr *task)
{
    (void)task;
    wf_group_put(group_of(driver));
}

static const struct wf_driver_ops group_ops = {
    .start = start, .ready = wf_worker_ready, .join = join, .forget = forget};

weft_rt *wf_group_rt(const weft_group *group) { return group->rt; }

struct wf_driver *wf_group_driver(weft_group *group) { return &group->driver; }

/* -- Who is in it ------------------------------------------------------------------------ */

bool wf_group_enter(weft_group *group)
{
    wf_lock_take(group->rt->lock);
    bool open = !group->closed;
    if (open) {
        group->actors++;
        (void)wf_add(&group->refs, 1, WF_RELAXED);
    }
    wf_lock_give(group->rt->lock);
    return open;
}

void wf_group_leave(weft_group *group)
{
    wf_lock_take(group->rt->lock);
    group->actors--;
    wf_lock_give(group->rt->lock);
}

void wf_group_put(weft_group *group)
{
    /* [REFS] as for addresses. */
    if (wf_sub(&group->refs, 1, WF_ACQ_REL) > 1) return;
    for (uint32_t i = 0; i < group->count; i++) wf_worker_fini(&group->workers[i]);
    wf_free(group->workers);
    wf_free(group);
}

/* -- Begin and end -------------------------------------------------------------------------- */

static void worker_main(void *arg)
{
    wf_worker_enter(arg);
    wf_worker_main(arg);
    wf_worker_enter(NULL);
}

static weft_err start_worker(weft_group *group, const weft_group_spec *spec, uint32_t index)
{
    struct wf_worker *w = &group->workers[index];
    struct wf_port *port = group->driver.port;
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 16];
    struct wf_thread_spec how = {.name = name, .stack_bytes = spec->stack_bytes};
    /* The kernel shows 15 bytes: keep the number in them. */
    (void)snprintf(name, sizeof name, "%.12s/%u", group->name, (unsigned)index);
    if (spec->thread != NULL) {
        how.cpus = spec->thread->cpus;
        how.cpus_bytes = spec->thread->cpus_bytes;
        how.policy = spec->thread->policy;
        how.priority = spec->thread->priority;
    }
    w->port = port;
    w->group = group;
    w->index = index;
    wf_parker_init(&w->parker, port, spec->spin_max_ns);
    w->parker.call = &w->sweep;
    return port->ops->thread_start(port, &how, worker_main, w, &w->thread);
}

static void stop_workers(weft_group *group, uint32_t count)
{
    struct wf_port *port = group->driver.port;
    for (uint32_t i = 0; i < count; i++) wf_worker_stop(&group->workers[i]);
    for (uint32_t i = 0; i < count; i++) port->ops->thread_join(port, group->workers[i].thread);
}

static weft_err check(weft_rt *rt, const weft_group_spec *spec)
{
    if (spec->name != NULL && strlen(spec->name) > WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_INVALID;
    if (spec->workers > WEFT_GROUP_WORKERS_MAX) return WEFT_INVALID;
    if (spec->stack_bytes != 0 && spec->stack_bytes < rt->port->stack_least) return WEFT_INVALID;
    return WEFT_OK;
}

static weft_err build(weft_rt *rt, const weft_group_spec *spec, weft_group **out)
{
    unsigned cpus = wf_cpu_count(rt);
    if (cpus > WEFT_GROUP_WORKERS_MAX) cpus = WEFT_GROUP_WORKERS_MAX;
    weft_group *group = wf_calloc(1, sizeof *group);
    if (group == NULL) return WEFT_NO_MEMORY;
    group->refs = 1;
    group->rt = rt;
    group->driver = (struct wf_driver){.ops = &group_ops, .port = rt->port};
    (void)snprintf(group->name, sizeof group->name, "%s",
                   spec->name == NULL ? "group" : spec->name);
    if (rt->port->sim == NULL) {
        group->count = spec->workers == 0 ? cpus : spec->workers;
        group->workers = wf_calloc(group->count, sizeof *group->workers);
        if (group->workers == NULL) {
            wf_free(group);
            return WEFT_NO_MEMORY;
        }
    }
    *out = group;
    return WEFT_OK;
}

static weft_err publish(weft_rt *rt, weft_group *group)
{
    weft_err err = WEFT_OK;
    wf_lock_take(rt->lock);
    if (rt->stopping) err = WEFT_CLOSED;
    else if (rt->group_count >= WEFT_GROUPS_MAX) err = WEFT_LIMIT;
    if (err == WEFT_OK) {
        rt->group_count++;
        group->next = rt->groups;
        rt->groups = group;
    }
    wf_lock_give(rt->lock);
    return err;
}

weft_err weft_group_create(weft_rt *rt, const weft_group_spec *spec, weft_group **out)
{
    weft_group *group = NULL;
    weft_err err = check(rt, spec);
    if (err == WEFT_OK) err = build(rt, spec, &group);
    if (err != WEFT_OK) return err;
    uint32_t started = 0;
    while (err == WEFT_OK && started < group->count) {
        err = start_worker(group, spec, started);
        if (err == WEFT_OK) started++;
    }
    if (err == WEFT_OK) err = publish(rt, group);
    if (err != WEFT_OK) {
        stop_workers(group, started);
        wf_group_put(group);
        return err;
    }
    *out = group;
    return WEFT_OK;
}

/* Out of the runtime's list; false while actors live in it. */
static bool withdraw(weft_group *group)
{
    weft_rt *rt = group->rt;
    wf_lock_take(rt->lock);
    bool free = group->actors == 0;
    if (free) {
        weft_group **link = &rt->groups;
        while (*link != group) link = &(*link)->next;
        *link = group->next;
        rt->group_count--;
        group->closed = true;
    }
    wf_lock_give(rt->lock);
    return free;
}

weft_err weft_group_destroy(weft_group *group)
{
    if (group == NULL) return WEFT_OK;
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    wf_rt_reap(group->rt); /* who has ended and was not joined */
    if (!withdraw(group)) return WEFT_BUSY;
    stop_workers(group, group->count);
    wf_group_put(group);
    return WEFT_OK;
}

void wf_group_destroy_all(weft_rt *rt)
{
    while (rt->groups != NULL) {
        weft_group *group = rt->groups;
        group->actors = 0; /* a killed world's actors were not joined */
        bool gone = withdraw(group);
        WF_ASSERT(gone);
        stop_workers(group, group->count);
        wf_group_put(group);
    }
}

void weft_group_stats_get(weft_group *group, weft_group_stats *out)
{
    weft_group_stats stats = {.workers = group->count};
    for (uint32_t i = 0; i < group->count; i++) {
        const struct wf_worker *w = &group->workers[i];
        stats.turns += wf_load(&w->turns, WF_RELAXED);
        stats.handed_over += wf_load(&w->handed_over, WF_RELAXED);
        stats.parks += wf_load(&w->parker.parks, WF_RELAXED);
        stats.spins += wf_load(&w->parker.spins, WF_RELAXED);
    }
    wf_lock_take(group->rt->lock);
    stats.actors = group->actors;
    wf_lock_give(group->rt->lock);
    *out = stats;
}
