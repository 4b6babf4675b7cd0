/* SPDX-License-Identifier: Apache-2.0
 * sim.c - the port bound to one thread, one seed and a virtual clock.
 * Called by: users' tests (weft/testing.h), ours (sim.h), src/actor through the table.
 * May touch: its own world. Never: threads, the machine's clock or chance, the
 * order of addresses. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>

#include "alloc.h"
#include "log.h"
#include "schedule.h"
#include "self.h"

#define SIM_BEGIN_NS WEFT_SEC              /* zero stays "no time"                        */
#define SIM_WALL_MS INT64_C(1700000000000) /* an arbitrary day                           */
#define SIM_STILL_STEPS 100000u            /* so many steps in one instant are a busy loop: */
#define SIM_CREEP_NS 1000u                 /* then each costs time, and timers come again   */
#define SIM_LINE_BYTES 256                 /* of a trace: names are bounded, kinds are cut */

/* An actor, seen from here; its address keeps it in `home`. */
struct sim_task {
    struct wf_turn turn; /* first: the schedule hands it back */
    weft_addr *addr;
    weft_group *group;    /* counted, or NULL                     */
    uint32_t heap_at;     /* place among those asleep with a deadline */
    uint32_t runnable_at; /* 1-based place among the runnable         */
    bool running;         /* its turn is on the stack                 */
};

struct weft_sim {
    struct wf_port port; /* first: the port hands it back */
    struct wf_driver driver;
    uint64_t rng;
    uint64_t digest;
    uint64_t steps;
    weft_write trace; /* NULL: nobody reads it */
    void *trace_arg;
    weft_ns now;
    int64_t wall_off_ms;     /* how far the wall clock is from where it would be */
    uint32_t still;          /* steps since the clock moved */
    struct wf_heap sleepers; /* tasks with a deadline, and events */
    struct wf_schedule schedule;
    struct wf_turn **runnable; /* of tasks */
    uint32_t runnable_count, runnable_room;
    uint32_t tasks, events; /* alive: there is always room for all of them */
    uint32_t born;
};

struct sim_event {
    struct wf_turn turn;
    void (*fn)(void *arg);
    void *arg;
    uint32_t heap_at;
};

/* -- Chance and trace --------------------------------------------------------------- */

uint64_t weft_sim_random(weft_sim *sim) { return wf_chance(&sim->rng); }

uint64_t weft_sim_below(weft_sim *sim, uint64_t bound) { return wf_chance_below(&sim->rng, bound); }

static void mix(weft_sim *sim, uint64_t value)
{
    sim->digest = (sim->digest ^ value) * UINT64_C(0x100000001b3);
    sim->digest ^= sim->digest >> 29;
}

/* "1.000000500 store#3 user store.put\n" */
static void write_line(weft_sim *sim, const weft_addr *task, uint32_t what, const char *name)
{
    static const char *const words[] = {
        [WF_TRACE_BEGIN] = "begin",     [WF_TRACE_USER] = "user",     [WF_TRACE_SYSTEM] = "system",
        [WF_TRACE_REPLY] = "reply",     [WF_TRACE_ASK_OVER] = "over", [WF_TRACE_TIMER] = "timer",
        [WF_TRACE_STOP] = "stop",       [WF_TRACE_END] = "end",       [WF_TRACE_EVENT] = "event",
        [WF_TRACE_RESTART] = "restart", [WF_TRACE_FAIL] = "fail",     [WF_TRACE_KILL] = "kill"};
    char line[SIM_LINE_BYTES], who[WEFT_ACTOR_NAME_BYTES_MAX + 16] = "-";
    WF_ASSERT(what < sizeof words / sizeof *words && words[what] != NULL);
    if (task != NULL) snprintf(who, sizeof who, "%s#%" PRIu32, weft_addr_name(task), task->number);
    int n = snprintf(line, sizeof line, "%" PRIu64 ".%09" PRIu64 " %s %s %.100s",
                     sim->now / WEFT_SEC, sim->now % WEFT_SEC, who, words[what], name);
    while (n > 0 && line[n - 1] == ' ') n--;
    line[n++] = '\n';
    sim->trace(sim->trace_arg, line, (size_t)n);
}

static void sim_trace(struct wf_port *port, const weft_addr *task, uint32_t what, const char *name)
{
    weft_sim *sim = (weft_sim *)port;
    mix(sim, sim->now);
    mix(sim, task == NULL ? 0 : task->number);
    mix(sim, what);
    for (const char *c = name; *c != '\0'; c++) mix(sim, (unsigned char)*c);
    if (sim->trace != NULL) write_line(sim, task, what, name);
}

uint64_t weft_sim_digest(weft_sim *sim) { return sim->digest; }

/* -- Who runs next --------------------------------------------------------------------- */

/* Makes room for everything alive and one more, so that waking never allocates. */
static weft_err reserve(weft_sim *sim)
{
    if (sim->tasks + 1 > sim->runnable_room) {
        uint32_t room = sim->runnable_room == 0 ? 16 : sim->runnable_room * 2;
        struct wf_turn **list = wf_realloc(sim->runnable, room * sizeof *list);
        if (list == NULL) return WEFT_NO_MEMORY;
        sim->runnable = list;
        sim->runnable_room = room;
    }
    return wf_heap_reserve(&sim->sleepers, sim->tasks + sim->events + 1);
}

static void runnable_add(weft_sim *sim, struct sim_task *task)
{
    if (task->runnable_at != 0) return;
    WF_ASSERT(sim->runnable_count < sim->runnable_room);
    sim->runnable[sim->runnable_count++] = &task->turn;
    task->runnable_at = sim->runnable_count;
}

static void runnable_remove(weft_sim *sim, struct sim_task *task)
{
    if (task->runnable_at == 0) return;
    struct sim_task *last = (struct sim_task *)sim->runnable[--sim->runnable_count];
    sim->runnable[task->runnable_at - 1] = &last->turn;
    last->runnable_at = task->runnable_at;
    task->runnable_at = 0;
}

static void sleep_until(weft_sim *sim, weft_ns at, void *item, uint32_t *place)
{
    weft_err err = wf_heap_push(
        &sim->sleepers,
        (struct wf_due){.at = at, .order = weft_sim_random(sim), .item = item, .place = place});
    WF_ASSERT(err == WEFT_OK); /* reserved when it was born */
}

static void wake_task(weft_sim *sim, struct sim_task *task)
{
    wf_heap_remove(&sim->sleepers, &task->heap_at);
    if (!task->running) runnable_add(sim, task);
}

static void run_task(weft_sim *sim, struct sim_task *task)
{
    weft_addr *addr = task->addr;
    weft_ns wake_at = WEFT_NEVER;
    task->running = true;
    (void)wf_word_unpark(&addr->head, WF_BOX_PARK_RUN);
    enum wf_step step = wf_actor_step(addr, &wake_at);
    if (step == WF_STEP_ENDED) {
        sim->tasks--; /* the task may be gone */
        return;
    }
    task->running = false;
    if (step == WF_STEP_MORE || !wf_word_park(&addr->head, WF_BOX_PARK_RUN))
        runnable_add(sim, task);
    else if (wake_at != WEFT_NEVER) sleep_until(sim, wake_at, task, &task->heap_at);
}

/* Events carry a tag in the low bit of their pointer, tasks do not. */
static void *tagged(struct sim_event *event) { return (void *)((uintptr_t)event | 1u); }

static struct sim_event *event_of(void *item)
{
    uintptr_t word = (uintptr_t)item;
    return (word & 1u) ? (struct sim_event *)(word & ~(uintptr_t)1) : NULL;
}

static void run_event(weft_sim *sim, struct sim_event *event)
{
    wf_heap_remove(&sim->sleepers, &event->heap_at);
    sim->events--;
    sim_trace(&sim->port, NULL, WF_TRACE_EVENT, "");
    weft_self *before = wf_self_enter(NULL);
    event->fn(event->arg);
    wf_self_enter(before);
    wf_free(event);
}

static void pass_time(weft_sim *sim, weft_ns to)
{
    if (to > sim->now) {
        sim->now = to;
        sim->still = 0;
    }
}

/* One event not later than `limit`; false if there is none. */
static bool step_until(weft_sim *sim, weft_ns limit)
{
    if (sim->runnable_count == 0) {
        weft_ns next = wf_heap_next(&sim->sleepers);
        if (next == WEFT_NEVER || next > limit) return false;
        pass_time(sim, next);
    }
    sim->steps++;
    if (++sim->still > SIM_STILL_STEPS) sim->now += SIM_CREEP_NS;
    const struct wf_due *due;
    while ((due = wf_heap_top(&sim->sleepers)) != NULL && due->at <= sim->now) {
        struct sim_event *event = event_of(due->item);
        if (event == NULL) {
            wake_task(sim, due->item);
            continue;
        }
        if (wf_schedule_waits(&sim->schedule, &event->turn, sim->runnable, sim->runnable_count))
            break; /* of what happens in one instant, chance decides what is first */
        run_event(sim, event);
        return true;
    }
    uint32_t picked = wf_schedule_pick(&sim->schedule, sim->runnable, sim->runnable_count);
    struct sim_task *task = (struct sim_task *)sim->runnable[picked];
    runnable_remove(sim, task);
    run_task(sim, task);
    return true;
}

/* -- The port ------------------------------------------------------------------------------ */

static weft_ns sim_mono(struct wf_port *port) { return ((weft_sim *)port)->now; }

static int64_t sim_wall(struct wf_port *port)
{
    weft_sim *sim = (weft_sim *)port;
    return SIM_WALL_MS + sim->wall_off_ms + (int64_t)(sim->now / WEFT_MS);
}

void wf_sim_wall_shift(wf_sim *sim, int64_t ms) { sim->wall_off_ms = ms; }

static void sim_bytes(struct wf_port *port, void *out, size_t len)
{
    unsigned char *at = out;
    while (len > 0) {
        uint64_t word = weft_sim_random((weft_sim *)port);
        for (unsigned i = 0; i < 8 && len > 0; i++, len--, word >>= 8)
            *at++ = (unsigned char)word; /* byte by byte: equal on every machine */
    }
}

static unsigned sim_cpus(struct wf_port *port)
{
    (void)port;
    return 2;
}

static void sim_wait(struct wf_port *port, uint32_t *word, uint32_t seen, weft_ns deadline)
{
    weft_sim *sim = (weft_sim *)port;
    WF_ASSERT(wf_self_current() == NULL); /* actors do not block */
    while (*word == seen && sim->now < deadline) {
        if (step_until(sim, deadline)) continue;
        WF_ASSERT(deadline != WEFT_NEVER); /* else this world would wait for ever */
        pass_time(sim, deadline);
    }
}

static void sim_wake(struct wf_port *port, uint32_t *word)
{
    (void)port; /* whoever waits looks at the word after every step */
    (void)word;
}

static weft_err sim_poll_open(struct wf_port *port, struct wf_poll **out)
{
    (void)port;
    (void)out;
    return WEFT_UNSUPPORTED;
}

static weft_addr *sim_take_box(struct wf_port *port)
{
    (void)port;
    return NULL;
}

static bool sim_keep_box(struct wf_port *port, weft_addr *box)
{
    (void)port, (void)box;
    return false;
}

static void sim_yield(struct wf_port *port) { (void)step_until((weft_sim *)port, WEFT_NEVER); }

static bool sim_on_thread_end(struct wf_port *port, void (*fn)(void *arg), void *arg)
{
    (void)port, (void)fn, (void)arg;
    return false; /* the thread is the test's */
}

/* Without a poll none of the other calls about descriptors is ever made. */
static const struct wf_port_ops sim_ops = {
    .mono_ns = sim_mono,
    .wall_ms = sim_wall,
    .random = sim_bytes,
    .cpu_count = sim_cpus,
    .yield = sim_yield,
    .on_thread_end = sim_on_thread_end,
    .wait = sim_wait,
    .wake = sim_wake,
    .wake_one = sim_wake,
    .poll_open = sim_poll_open,
    .take_box = sim_take_box,
    .keep_box = sim_keep_box,
    .trace = sim_trace,
};

/* -- The driver: all placements run here alike ------------------------------------------------- */

static weft_sim *sim_of(struct wf_driver *driver) { return driver->port->sim; }

static weft_err sim_start(struct wf_driver *driver, weft_addr *addr, const weft_spec *spec)
{
    weft_sim *sim = sim_of(driver);
    struct sim_task *task = reserve(sim) != WEFT_OK ? NULL : wf_calloc(1, sizeof *task);
    if (task == NULL) return WEFT_NO_MEMORY;
    if (spec->group != NULL && !wf_group_enter(spec->group)) {
        wf_free(task);
        return WEFT_CLOSED;
    }
    task->addr = addr;
    task->group = spec->group;
    addr->home = task;
    addr->number = ++sim->born;
    sim->tasks++;
    run_task(sim, task); /* its init, inline: the spawner waits for nothing else */
    return WEFT_OK;
}

static void sim_ready(struct wf_driver *driver, weft_addr *addr)
{
    wake_task(sim_of(driver), addr->home);
}

static void sim_task_free(struct wf_driver *driver, weft_addr *addr)
{
    struct sim_task *task = addr->home;
    (void)driver;
    if (task->group != NULL) {
        wf_group_leave(task->group);
        wf_group_put(task->group);
    }
    wf_free(task);
    addr->home = NULL; /* an address may outlive this world, and must not look for it then */
}

static const struct wf_driver_ops sim_driver_ops = {
    .start = sim_start, .ready = sim_ready, .join = sim_task_free, .forget = sim_task_free};

/* -- The world --------------------------------------------------------------------------------- */

weft_err weft_sim_create(const weft_sim_spec *spec, weft_sim **out)
{
    weft_sim *sim = wf_calloc(1, sizeof *sim);
    if (sim == NULL) return WEFT_NO_MEMORY;
    sim->port = (struct wf_port){
        .ops = &sim_ops, .sim = sim, .own = &sim->driver, .turn_messages = 1};
    sim->driver = (struct wf_driver){.ops = &sim_driver_ops, .port = &sim->port};
    sim->rng = spec->seed;
    sim->digest = UINT64_C(0xcbf29ce484222325);
    sim->now = SIM_BEGIN_NS;
    sim->trace = spec->trace;
    sim->trace_arg = spec->trace_arg;
    weft_err err = wf_schedule_init(&sim->schedule, spec, &sim->rng);
    if (err != WEFT_OK) {
        wf_free(sim);
        return err;
    }
    *out = sim;
    return WEFT_OK;
}

void weft_sim_destroy(weft_sim *sim)
{
    if (sim == NULL) return;
    WF_ASSERT(sim->tasks == 0); /* runtimes first */
    const struct wf_due *due;
    while ((due = wf_heap_top(&sim->sleepers)) != NULL) {
        struct sim_event *event = event_of(due->item);
        WF_ASSERT(event != NULL);
        wf_heap_remove(&sim->sleepers, &event->heap_at);
        wf_free(event);
    }
    wf_heap_fini(&sim->sleepers);
    wf_free(sim->runnable);
    wf_free(sim);
}

weft_err weft_sim_rt_create(weft_sim *sim, weft_rt **out)
{
    return wf_rt_create_on(&sim->port, out);
}

weft_ns weft_sim_now(weft_sim *sim) { return sim->now; }

/* Inside an actor a step would run others, or the same one again, in the midst of its turn. */
bool weft_sim_step(weft_sim *sim)
{
    return wf_self_current() == NULL && step_until(sim, WEFT_NEVER);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void weft_sim_run_until(weft_sim *sim, weft_ns until)
{
    (void)weft_sim_run_while_not(sim, never, NULL, until);
}

bool weft_sim_run_while_not(weft_sim *sim, bool (*done)(void *arg), void *arg, weft_ns until)
{
    if (wf_self_current() != NULL) return false;
    while (!done(arg)) {
        if (sim->now >= until && sim->runnable_count == 0 &&
            wf_heap_next(&sim->sleepers) > sim->now)
            return false;
        if (sim->now > until) return false;
        if (step_until(sim, until)) continue;
        if (until != WEFT_NEVER) pass_time(sim, until);
        return done(arg);
    }
    return true;
}

weft_err weft_sim_at(weft_sim *sim, weft_ns at, void (*fn)(void *arg), void *arg)
{
    struct sim_event *event = wf_calloc(1, sizeof *event);
    if (event == NULL) return WEFT_NO_MEMORY;
    if (reserve(sim) != WEFT_OK) {
        wf_free(event);
        return WEFT_NO_MEMORY;
    }
    event->fn = fn;
    event->arg = arg;
    sim->events++;
    sleep_until(sim, at < sim->now ? sim->now : at, tagged(event), &event->heap_at);
    return WEFT_OK;
}

uint64_t wf_sim_steps(const weft_sim *sim) { return sim->steps; }

weft_sim *wf_sim_of(weft_rt *rt) { return rt->port->sim; }

bool wf_sim_is_running(const weft_addr *addr)
{
    return ((const struct sim_task *)addr->home)->running;
}

void wf_sim_wake(weft_sim *sim, weft_addr *addr) { wake_task(sim, addr->home); }

void wf_sim_forget(weft_sim *sim, weft_addr *addr)
{
    struct sim_task *task = addr->home;
    wf_heap_remove(&sim->sleepers, &task->heap_at);
    runnable_remove(sim, task);
    sim->tasks--;
    sim_task_free(&sim->driver, addr);
}
