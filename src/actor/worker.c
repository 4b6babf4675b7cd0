/* SPDX-License-Identifier: Apache-2.0
 * worker.c - running many actors on one thread, with fair turns.
 * Called by: thread.c, group.c; wf_worker_ready by every sender.
 * May touch: tasks it holds the right to. Never: a task after it was parked or has ended. */
#include "worker.h"

#include "log.h"
#include "pool.h"

#define SLOT_RUNS 4u      /* in a row, before one of the queue has a turn  */
#define LOOK_TURNS 16u    /* turns between looks at inbox, timers, descriptors */
#define DELAY_NS 50000u   /* waiting in the queue so long is worth waking another worker */
#define HAND_OVER_MAX 64u /* tasks at once */
#define POLL_MAX 64u
#define SWEEP_LEAST 16u /* fewer nodes of ended actors stay until their time */

static _Thread_local struct wf_worker *current;
static _Thread_local unsigned inits; /* within one another, on this thread */

struct wf_worker *wf_worker_current(void) { return current; }

void wf_worker_enter(struct wf_worker *worker) { current = worker; }

/* -- The queue ----------------------------------------------------------------------- */

static void enqueue(struct wf_worker *w, weft_addr *task)
{
    task->run_next = NULL;
    if (w->last == NULL) w->first = task;
    else w->last->run_next = task;
    w->last = task;
    w->queued++;
}

static weft_addr *dequeue(struct wf_worker *w)
{
    weft_addr *task = w->first;
    if (task == NULL) return NULL;
    w->first = task->run_next;
    if (w->first == NULL) w->last = NULL;
    w->queued--;
    if (w->mark == task) w->mark = NULL;
    return task;
}

static void take_inbox(struct wf_worker *w)
{
    uintptr_t word = wf_word_take(&w->inbox);
    weft_addr *task = wf_word_is_tag(word) ? NULL : (weft_addr *)word, *oldest = NULL;
    if (word == WF_BOX_CLOSED) w->stopped = true;
    while (task != NULL) { /* newest first: turn round */
        weft_addr *older = task->run_next;
        task->run_next = oldest;
        oldest = task;
        task = older;
    }
    while (oldest != NULL) {
        task = oldest;
        oldest = task->run_next;
        enqueue(w, task);
    }
}

static weft_addr *next_task(struct wf_worker *w)
{
    weft_addr *task = w->slot;
    if (task != NULL && (w->first == NULL || w->slot_runs < SLOT_RUNS)) {
        w->slot = NULL;
        w->slot_runs++;
        return task;
    }
    w->slot_runs = 0;
    if (w->first == NULL) take_inbox(w);
    return dequeue(w);
}

/* -- Who runs it --------------------------------------------------------------------------- */

/* A task may come to `w` if a wake node is left for its deadlines there. */
static bool has_node(const struct wf_worker *w, const weft_addr *task)
{
    const struct wf_ext *ext = task->self->ext;
    if (ext == NULL) return true;
    for (unsigned i = 0; i + 1 < WF_WAKES; i++) { /* the last one is for pinned tasks */
        /* Acquire: pairs with [NODE]. */
        const struct wf_worker *at = wf_load(&ext->wakes[i].worker, WF_ACQUIRE);
        if (at == NULL || at == w) return true;
    }
    return false;
}

static bool may_come(const struct wf_worker *w, const weft_addr *task)
{
    return w->group != NULL && task->driver == &w->group->driver && !task->pinned &&
           has_node(w, task);
}

void wf_worker_push(struct wf_worker *worker, weft_addr *newest, weft_addr *oldest)
{
    struct wf_port *port = worker->port;
    uintptr_t seen = wf_word_push(&worker->inbox, newest, (void **)&oldest->run_next);
    /* The address that the caller holds keeps the worker's memory, not its thread. */
    if (seen == WF_BOX_PARK_FUTEX) wf_park_wake(port, &worker->inbox);
    else if (seen == WF_BOX_PARK_FD) port->ops->poll_wake(port, worker->poll);
    WF_ASSERT(seen != WF_BOX_CLOSED); /* only a worker without tasks is stopped */
}

void wf_worker_ready(struct wf_driver *driver, weft_addr *task)
{
    struct wf_worker *w = current;
    (void)driver;
    if (w == NULL || (task->home != w && !may_come(w, task))) {
        wf_worker_push(task->home, task, task);
        return;
    }
    wf_store(&task->home, (void *)w, WF_RELAXED);
    if (w->slot != NULL) enqueue(w, w->slot);
    w->slot = task;
}

static bool goes(const struct wf_worker *w, const weft_addr *task, unsigned taken)
{
    return taken < HAND_OVER_MAX && may_come(w, task);
}

/* Gives the older half of the queue to a worker that sleeps. Nothing is lost if the hint lies:
 * who holds a task runs it. */
static void hand_over(struct wf_worker *w)
{
    weft_group *group = w->group;
    uint64_t idle = wf_load(&group->idle, WF_RELAXED) & ~(UINT64_C(1) << w->index);
    if (idle == 0 || w->queued == 0) return;
    unsigned index = (unsigned)__builtin_ctzll(idle), taken = 0;
    struct wf_worker *to = &group->workers[index];
    weft_addr *newest = NULL, *oldest = NULL, **link = &w->first, *last = NULL;
    for (uint32_t i = (w->queued + 1) / 2; i > 0; i--) {
        weft_addr *task = *link;
        if (!goes(to, task, taken)) {
            last = task;
            link = &task->run_next;
            continue;
        }
        *link = task->run_next;
        if (w->last == task) w->last = last;
        if (w->mark == task) w->mark = NULL;
        wf_store(&task->home, (void *)to, WF_RELAXED);
        task->run_next = newest;
        newest = task;
        if (oldest == NULL) oldest = task;
        taken++;
    }
    if (taken == 0) return;
    w->queued -= taken;
    /* The next hand-over goes to somebody else, unless this one sleeps again. */
    (void)wf_and(&group->idle, ~(UINT64_C(1) << index), WF_RELAXED);
    wf_store(&w->handed_over, w->handed_over + taken, WF_RELAXED);
    wf_worker_push(to, newest, oldest);
}

/* -- Deadlines of idle tasks ------------------------------------------------------------------ */

/* Nodes are lazy: one that fires early only costs a turn, so an earlier one is left alone. */
static void arm(struct wf_worker *w, weft_addr *task, weft_ns at)
{
    struct wf_wake *wakes = task->self->ext->wakes, *node = NULL;
    for (unsigned i = 0; i < WF_WAKES; i++) {
        /* Acquire: pairs with [NODE]; the other worker has let go of a free node. */
        struct wf_worker *there = wf_load(&wakes[i].worker, WF_ACQUIRE);
        if (there == w) {
            if (wakes[i].at <= at) return;
            node = &wakes[i];
            break;
        }
        if (there == NULL && node == NULL) node = &wakes[i];
    }
    WF_ASSERT(node != NULL); /* or the task would not have come here */
    if (node->worker == w) {
        wf_wake_remove(&w->timers, node);
    } else {
        node->task = weft_addr_get(task);
        wf_store(&node->worker, w, WF_RELAXED);
        wf_store(&w->armed, w->armed + 1, WF_RELAXED);
    }
    node->at = at;
    wf_wake_push(&w->timers, node);
}

/* Takes a node out of our heap; returns its task, with the node's reference. */
static weft_addr *disarm(struct wf_worker *w, struct wf_wake *node)
{
    weft_addr *task = node->task;
    wf_wake_remove(&w->timers, node);
    wf_store(&w->armed, w->armed - 1, WF_RELAXED);
    /* [NODE] release: we are done with the node, whoever runs the task may use it. */
    wf_store(&node->worker, NULL, WF_RELEASE);
    return task;
}

static void fire(struct wf_worker *w, weft_ns now)
{
    while (w->timers != NULL && w->timers->at <= now) {
        weft_addr *task = disarm(w, w->timers);
        /* False: it is awake, and looks at its deadlines itself before it parks. */
        if (wf_word_unpark(&task->head, WF_BOX_PARK_RUN)) {
            if (task->home == w) enqueue(w, task);
            else wf_worker_push(task->home, task, task);
        }
        weft_addr_put(task);
    }
}

/* Actors end with nodes in other workers' heaps. Once half are such, they are let go. */
static void sweep(struct wf_worker *w)
{
    uint32_t dead = wf_load(&w->dead, WF_RELAXED);
    bool enough = dead >= SWEEP_LEAST && dead >= w->armed / 2;
    if (!enough && wf_load(&w->sweep, WF_RELAXED) == 0) return;
    wf_store(&w->dead, 0, WF_RELAXED);
    wf_store(&w->sweep, 0, WF_RELAXED);
    struct wf_wake *keep = NULL, *node;
    while ((node = w->timers) != NULL) {
        if (wf_mailbox_is_closed(node->task)) {
            weft_addr_put(disarm(w, node));
            continue;
        }
        wf_wake_remove(&w->timers, node);
        node->next = keep;
        keep = node;
    }
    while ((node = keep) != NULL) {
        keep = node->next;
        wf_wake_push(&w->timers, node);
    }
}

/* A node of ours stays in the heap of `there`. If its thread sleeps, it is woken only once there is
 * enough to let go that it pays. */
static void leave_node(struct wf_worker *there)
{
    struct wf_port *port = there->port;
    uint32_t dead = wf_add(&there->dead, 1, WF_RELAXED) + 1;
    if (dead < SWEEP_LEAST || dead < wf_load(&there->armed, WF_RELAXED) / 2) return;
    wf_store(&there->sweep, 1, WF_RELAXED);
    /* [CALL] release: pairs with the park. Either that comes later and then sees our word in
     * `sweep`, or it was before, and then we see its tag. */
    uintptr_t seen = wf_add(&there->inbox, 0, WF_ACQ_REL);
    if (seen == WF_BOX_PARK_FUTEX && wf_word_unpark(&there->inbox, seen))
        wf_park_wake(port, &there->inbox);
    else if (seen == WF_BOX_PARK_FD && wf_word_unpark(&there->inbox, seen))
        port->ops->poll_wake(port, there->poll);
}

void wf_worker_forget(weft_addr *task)
{
    struct wf_ext *ext = task->self->ext;
    for (unsigned i = 0; ext != NULL && i < WF_WAKES; i++) {
        struct wf_worker *there = wf_load(&ext->wakes[i].worker, WF_ACQUIRE);
        if (there == NULL) continue;
        if (there == current) weft_addr_put(disarm(there, &ext->wakes[i]));
        else leave_node(there);
    }
    /* It ends where it watched. A descriptor that was closed while watched, and has a duplicate,
     * keeps the inner poll ready: its key must not come out after the task is gone. */
    if (wf_load(&task->flags, WF_RELAXED) & WF_ADDR_NESTED)
        current->port->ops->poll_unnest(current->port, current->poll, task->poll);
}

bool wf_worker_outlives(const weft_addr *task)
{
    struct wf_worker *w = current;
    if (w == NULL || w->owner != task || w->tasks < 2) return false;
    w->outlives = true;
    return true;
}

/* -- Descriptors ------------------------------------------------------------------------------- */

/* Tasks that watch descriptors live on the worker that polls: the group's first, or the own
 * thread. False: the task went there, or could not. */
static bool watch(struct wf_worker *w, weft_addr *task)
{
    weft_self *self = task->self;
    if (self->ext == NULL || self->ext->watch_count == 0) return true;
    if (wf_load(&task->flags, WF_RELAXED) & WF_ADDR_NESTED) return true;
    if (w->index != 0) {
        task->pinned = 1;
        wf_store(&task->home, (void *)&w->group->workers[0], WF_RELAXED);
        wf_worker_push(task->home, task, task);
        return false;
    }
    weft_err err = WEFT_OK;
    if (w->poll == NULL) err = w->port->ops->poll_open(w->port, &w->poll);
    if (err == WEFT_OK)
        err = w->port->ops->poll_nest(w->port, w->poll, task->poll, (uint64_t)(uintptr_t)task);
    if (err != WEFT_OK) { /* it would be deaf: better that it ends and says why */
        wf_actor_fail(self, err);
        enqueue(w, task);
        return false;
    }
    task->pinned = 1;
    (void)wf_or(&task->flags, WF_ADDR_NESTED, WF_RELAXED);
    w->watched++;
    return true;
}

/* Events for polls that are nested in ours. No task runs before all of them were served, and
 * tasks that watch end here, so every key is alive. */
static void serve(struct wf_worker *w, const struct wf_ready *ready, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t key = (uint64_t)ready[i].generation << 32 | (uint32_t)ready[i].fd;
        weft_addr *task = (weft_addr *)(uintptr_t)key;
        if (wf_word_unpark(&task->head, WF_BOX_PARK_RUN)) enqueue(w, task);
    }
}

/* -- Turns -------------------------------------------------------------------------------------- */

void wf_worker_settle(struct wf_worker *w, weft_addr *task, enum wf_step step, weft_ns wake_at)
{
    if (step == WF_STEP_MORE) {
        enqueue(w, task);
        return;
    }
    if (wake_at != WEFT_NEVER) arm(w, task, wake_at);
    if (!watch(w, task)) return;
    /* After a successful park nothing of the task is ours any more. */
    if (!wf_word_park(&task->head, WF_BOX_PARK_RUN)) enqueue(w, task);
}

/* What is queued for one task is served in one go, up to a bound: the backlog of one that is
 * given less falls out of the cache. Between slices it hears of stops and timers. */
static enum wf_step run_slices(struct wf_worker *w, weft_addr *task, weft_ns *wake_at)
{
    enum wf_step step = wf_actor_step(task, wake_at);
    if (step != WF_STEP_MORE) return step;
    weft_ns begin = wf_port_now(w->port);
    w->since_look = LOOK_TURNS; /* after this */
    for (uint32_t n = WEFT_TURN_MESSAGES; n < WEFT_TURN_MESSAGES_MAX; n += WEFT_TURN_MESSAGES) {
        step = wf_actor_step(task, wake_at);
        if (step != WF_STEP_MORE || wf_port_now(w->port) - begin >= WEFT_TURN_NS) break;
    }
    return step;
}

static void run(struct wf_worker *w, weft_addr *task)
{
    weft_ns wake_at = WEFT_NEVER;
    bool nested = (wf_load(&task->flags, WF_RELAXED) & WF_ADDR_NESTED) != 0;
    enum wf_step step = run_slices(w, task, &wake_at);
    wf_store(&w->turns, w->turns + 1, WF_RELAXED);
    if (step != WF_STEP_ENDED) {
        wf_worker_settle(w, task, step, wake_at);
        return;
    }
    if (w->owner != NULL) w->tasks--;
    if (nested) w->watched--;
}

/* Hands over if what was queued at one look still waits 50 us later. */
static void balance(struct wf_worker *w, weft_ns now)
{
    if (w->group == NULL || w->group->count == 1) return;
    if (w->mark == NULL) {
        w->mark = w->last;
        w->mark_at = now;
    } else if (now - w->mark_at >= DELAY_NS) {
        w->mark = NULL;
        hand_over(w);
    }
}

static void look(struct wf_worker *w)
{
    w->since_look = 0;
    take_inbox(w);
    if (w->timers == NULL && w->watched == 0 && w->queued == 0) return;
    weft_ns now = wf_port_now(w->port);
    fire(w, now);
    if (w->watched > 0) {
        struct wf_ready ready[POLL_MAX];
        serve(w, ready, w->port->ops->poll_wait(w->port, w->poll, ready, POLL_MAX, 0));
    }
    balance(w, now);
}

/* -- Sleep ----------------------------------------------------------------------------------------- */

/* One spinner in a group is enough: it is the one that work is handed to. */
static bool spin(struct wf_worker *w, weft_ns deadline)
{
    if (w->group == NULL) return wf_spin(&w->parker, &w->inbox, deadline);
    if (wf_load(&w->group->spinning, WF_RELAXED) != 0 ||
        wf_xchg(&w->group->spinning, 1, WF_RELAXED) != 0)
        return false;
    bool hit = wf_spin(&w->parker, &w->inbox, deadline);
    wf_store(&w->group->spinning, 0, WF_RELAXED);
    return hit;
}

static void sleep_until(struct wf_worker *w, weft_ns deadline)
{
    if (w->watched == 0) {
        if (!spin(w, deadline)) wf_sleep(&w->parker, &w->inbox, deadline);
        return;
    }
    struct wf_ready ready[POLL_MAX];
    serve(w, ready, wf_park_fd(&w->parker, &w->inbox, w->poll, deadline, ready, POLL_MAX));
}

static void idle(struct wf_worker *w)
{
    uint64_t bit = UINT64_C(1) << w->index;
    w->mark = NULL;
    wf_pool_flush();
    sweep(w);
    weft_ns deadline = w->timers == NULL ? WEFT_NEVER : w->timers->at;
    if (w->group != NULL) (void)wf_or(&w->group->idle, bit, WF_RELAXED);
    sleep_until(w, deadline);
    if (w->group != NULL) (void)wf_and(&w->group->idle, ~bit, WF_RELAXED);
    if (w->timers != NULL) fire(w, wf_port_now(w->port));
    take_inbox(w);
}

void wf_worker_main(struct wf_worker *w)
{
    for (;;) {
        weft_addr *task = next_task(w);
        if (task != NULL) {
            run(w, task);
            if (++w->since_look >= LOOK_TURNS) look(w);
        } else if (w->stopped || (w->owner != NULL && w->tasks == 0)) {
            break;
        } else {
            idle(w);
        }
    }
    while (w->timers != NULL) weft_addr_put(disarm(w, w->timers));
}

/* -- Begin and end ----------------------------------------------------------------------------------- */

weft_err wf_worker_begin(weft_addr *task)
{
    if (inits >= WEFT_TREE_DEPTH_MAX) return WEFT_LIMIT;
    weft_ns wake_at = WEFT_NEVER;
    inits++;
    enum wf_step step = wf_actor_step(task, &wake_at);
    inits--;
    if (step == WF_STEP_ENDED) {
        if (current != NULL && current == task->home && current->owner != NULL) current->tasks--;
        return WEFT_OK;
    }
    const struct wf_ext *ext = task->self->ext;
    bool plain = step == WF_STEP_IDLE && wake_at == WEFT_NEVER &&
                 (ext == NULL || ext->watch_count == 0);
    /* Deadlines and descriptors are its worker's to look after: it has a turn there first. */
    if (!plain || !wf_word_park(&task->head, WF_BOX_PARK_RUN)) wf_worker_ready(task->driver, task);
    return WEFT_OK;
}

void wf_worker_stop(struct wf_worker *worker)
{
    struct wf_port *port = worker->port;
    uintptr_t seen = wf_word_close(&worker->inbox);
    WF_ASSERT(wf_word_is_tag(seen));
    if (seen == WF_BOX_PARK_FUTEX) wf_park_wake(port, &worker->inbox);
    else if (seen == WF_BOX_PARK_FD) port->ops->poll_wake(port, worker->poll);
}

void wf_worker_fini(struct wf_worker *worker)
{
    if (worker->poll != NULL) worker->port->ops->poll_close(worker->port, worker->poll);
}
