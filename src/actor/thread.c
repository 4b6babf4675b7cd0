/* SPDX-License-Identifier: Apache-2.0
 * thread.c - the driver of actors that have a thread of their own, and of the children that
 * such an actor hosts on it.
 * Called by: spawn.c, rt.c, addr.c through the table. May touch: the actor's worker.
 * Never: runs an actor on another thread than its first. */
#include "alloc.h"
#include "log.h"
#include "worker.h"

static void thread_main(void *arg)
{
    struct wf_worker *w = arg;
    weft_addr *task = w->owner;
    weft_self *self = task->self;
    wf_worker_enter(w);
    for (;;) {
        weft_ns wake_at = WEFT_NEVER;
        enum wf_step step = wf_actor_step(task, &wake_at);
        if (step == WF_STEP_ENDED && !w->hosting) return;
        if (w->hosting) { /* from now on its mailbox is one of several */
            if (step == WF_STEP_ENDED) w->tasks--;
            else wf_worker_settle(w, task, step, wake_at);
            wf_worker_main(w);
            if (w->outlives) wf_actor_over(task);
            return;
        }
        if (step == WF_STEP_MORE) continue;
        struct wf_ext *ext = self->ext;
        if (ext == NULL || ext->watch_count == 0) {
            wf_park(&w->parker, &task->head, wake_at);
        } else {
            ext->ready_count = wf_park_fd(&w->parker, &task->head, task->poll, wake_at, ext->ready,
                                          WF_READY_MAX);
            self->polled = true;
        }
    }
}

static weft_err start_own(struct wf_driver *driver, weft_addr *task, const weft_spec *spec)
{
    struct wf_worker *w = wf_calloc(1, sizeof *w);
    if (w == NULL) return WEFT_NO_MEMORY;
    struct wf_thread_spec how = {.name = task->self->class->name, .stack_bytes = spec->stack_bytes};
    if (spec->thread != NULL) {
        how.cpus = spec->thread->cpus;
        how.cpus_bytes = spec->thread->cpus_bytes;
        how.policy = spec->thread->policy;
        how.priority = spec->thread->priority;
    }
    w->owner = task;
    w->tasks = 1;
    w->port = driver->port;
    wf_parker_init(&w->parker, driver->port, spec->spin_max_ns);
    task->home = w;
    task->pinned = 1;
    weft_err err = driver->port->ops->thread_start(driver->port, &how, thread_main, w, &w->thread);
    if (err != WEFT_OK) {
        task->home = NULL;
        wf_free(w);
    }
    return err;
}

/* The spawner is the parent, in one of its callbacks: this is the thread to live on. */
static weft_err start_hosted(weft_addr *task)
{
    struct wf_worker *w = wf_worker_current();
    WF_ASSERT(w != NULL && w->owner != NULL);
    w->hosting = true;
    w->tasks++;
    task->pinned = 1;
    task->home = w;
    (void)weft_addr_get(w->owner); /* whoever wakes the task touches the worker */
    weft_err err = wf_worker_begin(task);
    if (err != WEFT_OK) {
        w->tasks--;
        task->home = NULL;
        weft_addr_put(w->owner);
    }
    return err;
}

static weft_err start(struct wf_driver *driver, weft_addr *task, const weft_spec *spec)
{
    return task->place == WEFT_PLACE_PARENT ? start_hosted(task) : start_own(driver, task, spec);
}

static bool is_owner(const weft_addr *task)
{
    return ((const struct wf_worker *)task->home)->owner == task;
}

static void join(struct wf_driver *driver, weft_addr *task)
{
    struct wf_worker *w = task->home;
    if (is_owner(task)) driver->port->ops->thread_join(driver->port, w->thread);
}

static void forget(struct wf_driver *driver, weft_addr *task)
{
    struct wf_worker *w = task->home;
    (void)driver;
    if (!is_owner(task)) {
        weft_addr_put(w->owner);
        return;
    }
    wf_worker_fini(w);
    wf_free(w);
}

static void count(struct wf_driver *driver, weft_addr *task, weft_actor_stats *out)
{
    const struct wf_worker *w = task->home;
    (void)driver;
    if (w == NULL || w->owner != task) return; /* never started, or the sleep is not its own */
    out->parks += wf_load(&w->parker.parks, WF_RELAXED);
    out->spins += wf_load(&w->parker.spins, WF_RELAXED);
}

static const struct wf_driver_ops thread_ops = {
    .start = start, .ready = wf_worker_ready, .join = join, .forget = forget, .count = count};

void wf_threads_init(struct wf_driver *driver, struct wf_port *port)
{
    *driver = (struct wf_driver){.ops = &thread_ops, .port = port};
}
