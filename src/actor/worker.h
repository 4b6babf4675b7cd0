/* SPDX-License-Identifier: Apache-2.0
 * worker.h - a thread with a queue of actors that may run.
 * An actor with a thread of its own is the only task of its worker and sleeps on its mailbox,
 * until it hosts children. A group has several workers.
 *
 * The rule of this room: an idle task has PARK_RUN in its word. Whoever takes that tag away
 * holds the one right to schedule the task, and with it `home`, `run_next`, `pinned` and
 * everything of the actor, until the worker that runs it parks it again.
 * Called by: thread.c, group.c. */
#ifndef WF_WORKER_H
#define WF_WORKER_H

#include "park.h"
#include "self.h"
#include "wake.h"

struct wf_worker {
    uintptr_t inbox; /* tagged word: tasks made ready by other threads */
    char pad_inbox[WF_CACHE_LINE - sizeof(uintptr_t)];
    uint32_t dead;  /* nodes here whose actors have ended; others add, a hint */
    uint32_t sweep; /* 1: so many that they are to be let go; others set it   */
    char pad_dead[WF_CACHE_LINE - 2 * sizeof(uint32_t)];

    /* The worker's thread. */
    weft_addr *slot;         /* runs next: made ready by the task that ran last */
    weft_addr *first, *last; /* the queue                                       */
    uint32_t queued;
    uint32_t slot_runs;  /* in a row                                        */
    uint32_t since_look; /* turns since inbox, timers, descriptors were looked at */
    uint32_t tasks;      /* own thread: that live here                      */
    bool stopped;        /* group: the inbox was closed                     */
    bool hosting;        /* own thread: there are or were children          */
    bool outlives;       /* own thread: its actor has ended before others here */
    weft_addr *mark;     /* queued at `mark_at` and has not run since       */
    weft_ns mark_at;
    struct wf_wake *timers;
    uint32_t armed; /* nodes in it: others read it, relaxed */
    uint32_t watched;
    struct wf_poll *poll; /* tasks' polls are nested in it, from the first on */
    struct wf_parker parker;

    /* Fixed. */
    struct wf_port *port;
    weft_group *group; /* NULL: an own thread    */
    weft_addr *owner;  /* NULL: a group's worker */
    uint32_t index;    /* in its group           */
    uintptr_t thread;

    uint64_t turns, handed_over; /* written here, read anywhere: relaxed */
};

/* The worker whose thread this is, or NULL. */
struct wf_worker *wf_worker_current(void);
/* Says that this thread is the worker's; NULL: no worker's any more. */
void wf_worker_enter(struct wf_worker *worker);

/* Runs tasks until the worker is stopped, or an own thread has none left. */
void wf_worker_main(struct wf_worker *worker);
/* What becomes of a task after a turn: it is queued, parked, or gone. */
void wf_worker_settle(struct wf_worker *worker, weft_addr *task, enum wf_step step,
                      weft_ns wake_at);
/* Runs a new task's init here and now, whoever's thread this is, and leaves it parked or ready
 * at its home. LIMIT: too many inits within inits; nothing was run. */
weft_err wf_worker_begin(weft_addr *task);
/* The driver's `ready`. */
void wf_worker_ready(struct wf_driver *driver, weft_addr *task);
/* Pushes a chain of tasks, newest first, to a worker's inbox; wakes it if it sleeps. */
void wf_worker_push(struct wf_worker *worker, weft_addr *newest, weft_addr *oldest);
/* Ends a group's worker that has no live task. Any thread. */
void wf_worker_stop(struct wf_worker *worker);
/* After its thread is gone. */
void wf_worker_fini(struct wf_worker *worker);

/* group.c: what the workers of a group share. */
struct weft_group {
    struct wf_driver driver; /* first: the driver hands it back */
    weft_rt *rt;
    weft_group *next;  /* rt->lock                           */
    uint32_t refs;     /* its creator's, and one of each address */
    uint32_t actors;   /* started and not yet joined: rt->lock */
    bool closed;       /* rt->lock                           */
    uint32_t spawned;  /* from outside, in turn to each worker: relaxed */
    uint32_t spinning; /* 1: one of the workers is. A hint   */
    uint64_t idle;     /* a bit for each worker that sleeps or spins. A hint */
    uint32_t count;    /* 0 in the simulator, which runs all placements alike */
    struct wf_worker *workers;
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 1];
};

#endif
