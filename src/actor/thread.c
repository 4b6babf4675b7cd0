/* SPDX-License-Identifier: Apache-2.0
 * thread.c - the driver of actors that have a thread of their own.
 * Called by: spawn.c, rt.c, addr.c through the table. May touch: the actor's thread.
 * Never: runs two actors; the thread sleeps on the mailbox's word itself. */
#include "alloc.h"
#include "log.h"
#include "park.h"
#include "self.h"

struct own_thread {
    weft_addr *task;
    struct wf_parker parker;
    uintptr_t thread;
};

static void thread_main(void *arg)
{
    struct own_thread *own = arg;
    weft_addr *task = own->task;
    weft_self *self = task->self;
    for (;;) {
        weft_ns wake_at = WEFT_NEVER;
        enum wf_step step = wf_actor_step(task, &wake_at);
        if (step == WF_STEP_ENDED) return;
        if (step == WF_STEP_MORE) continue;
        struct wf_ext *ext = self->ext;
        if (ext == NULL || ext->watch_count == 0) {
            wf_park(&own->parker, &task->head, wake_at);
        } else {
            ext->ready_count = wf_park_fd(&own->parker, &task->head, task->poll, wake_at,
                                          ext->ready, WF_READY_MAX);
            self->polled = true;
        }
    }
}

static weft_err start(struct wf_driver *driver, weft_addr *task, const weft_spec *spec)
{
    struct own_thread *own = wf_calloc(1, sizeof *own);
    if (own == NULL) return WEFT_NO_MEMORY;
    struct wf_thread_spec how = {.name = task->self->class->name, .stack_bytes = spec->stack_bytes};
    own->task = task;
    wf_parker_init(&own->parker, driver->port, spec->spin_max_ns);
    task->home = own;
    weft_err err = driver->port->ops->thread_start(driver->port, &how, thread_main, own,
                                                   &own->thread);
    if (err != WEFT_OK) {
        task->home = NULL;
        wf_free(own);
    }
    return err;
}

/* Nobody parks here with PARK_RUN. */
static void ready(struct wf_driver *driver, weft_addr *task)
{
    (void)driver;
    (void)task;
    WF_ASSERT(false);
}

static void join(struct wf_driver *driver, weft_addr *task)
{
    struct own_thread *own = task->home;
    driver->port->ops->thread_join(driver->port, own->thread);
}

static void forget(struct wf_driver *driver, weft_addr *task)
{
    (void)driver;
    wf_free(task->home);
}

static void count(struct wf_driver *driver, weft_addr *task, weft_actor_stats *out)
{
    const struct own_thread *own = task->home;
    (void)driver;
    out->parks += wf_load(&own->parker.parks, WF_RELAXED);
    out->spins += wf_load(&own->parker.spins, WF_RELAXED);
}

static const struct wf_driver_ops thread_ops = {
    .start = start, .ready = ready, .join = join, .forget = forget, .count = count};

void wf_threads_init(struct wf_driver *driver, struct wf_port *port)
{
    *driver = (struct wf_driver){.ops = &thread_ops, .port = port};
}
