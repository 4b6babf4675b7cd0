/* SPDX-License-Identifier: Apache-2.0
 * driver.h - who runs an actor's turns, as one table of functions.
 * Bound to a thread of its own in thread.c, to one thread and a seed in sim.c.
 * Called by: spawn.c, rt.c, mailbox.c, addr.c. A task is an actor, seen from its driver. */
#ifndef WF_DRIVER_H
#define WF_DRIVER_H

#include <weft/actor.h>

enum wf_step {
    WF_STEP_MORE, /* run me again                           */
    WF_STEP_IDLE, /* nothing to do before *wake_at or mail  */
    WF_STEP_ENDED /* never run me again                     */
};

struct wf_driver;

struct wf_driver_ops {
    /* Runs the first turn (init), or lets it run; `spec` is valid during the call. NO_MEMORY,
     * FORBIDDEN, INVALID: nothing of the task was run. */
    weft_err (*start)(struct wf_driver *driver, weft_addr *task, const weft_spec *spec);
    /* The caller took PARK_RUN away, so it holds the one right to schedule the task, and an
     * address. Any thread, lock-free, never fails. */
    void (*ready)(struct wf_driver *driver, weft_addr *task);
    /* After `ended`: returns once nothing of ours touches the task any more. Once for each. */
    void (*join)(struct wf_driver *driver, weft_addr *task);
    /* The last address was given back: frees what start kept for the task. */
    void (*forget)(struct wf_driver *driver, weft_addr *task);
    /* Adds to *out what was counted outside the actor (parks, spins). Any thread. NULL: these
     * are not the actor's own. */
    void (*count)(struct wf_driver *driver, weft_addr *task, weft_actor_stats *out);
};

struct wf_driver {
    const struct wf_driver_ops *ops;
    struct wf_port *port;
};

/* thread.c: actors that have a thread of their own. */
void wf_threads_init(struct wf_driver *driver, struct wf_port *port);

#endif
