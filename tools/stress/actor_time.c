/* SPDX-License-Identifier: Apache-2.0
 * actor_time.c - timer: many timers, none early, none lost; priority: system messages do not wait
 * behind a flood of others.
 * Called by: actor_run.c. May touch: its actors. Never: relies on a clock being exact. */
#include <stdlib.h>

#include "actor_flow.h"

/* -- timer --------------------------------------------------------------------------------- */

#define TIMERS 16u       /* of one actor */
#define LATE_NS WEFT_SEC /* a timer that is this far behind does not count its periods */

struct clock_timer {
    weft_timer timer; /* first */
    uint64_t base_ns, period_ns, periods;
    bool stopped;
};
struct clock_actor {
    struct work *w;
    struct meter *m;
    uint32_t live;
    uint64_t skipped;
    struct clock_timer timers[TIMERS];
};
struct clock_seat {
    struct work *w;
    uint32_t me;
};

static void on_clock(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct clock_actor *a = state;
    struct clock_timer *t = (struct clock_timer *)timer;
    struct work *w = a->w;
    uint64_t now = weft_now(self), due = t->base_ns + t->periods * t->period_ns;
    if (t->stopped) work_fault(w, "a timer fired after it was stopped");
    if (now < due) work_fault(w, "a timer fired %llu ns early", (unsigned long long)(due - now));
    t->periods += 1 + (uint64_t)missed;
    a->skipped += missed;
    if (t->base_ns + t->periods * t->period_ns + LATE_NS < now)
        work_fault(w, "a timer lost periods without saying so");
    work_done(w, a->m, due, due);
    if (!work_stopping(w)) return;
    weft_timer_stop(self, timer);
    t->stopped = true;
    if (--a->live == 0) work_producing(w, -1);
}

static weft_err clock_init(weft_self *self, void *state, void *arg)
{
    struct clock_actor *a = state;
    const struct clock_seat *seat = arg;
    a->w = seat->w;
    a->m = &seat->w->meters[seat->me];
    struct kit_rng rng = kit_rng_for(a->w->seed, 't', seat->me);
    for (uint32_t i = 0; i < TIMERS; i++) {
        struct clock_timer *t = &a->timers[i];
        t->period_ns = WEFT_MS + kit_rng_below(&rng, 9 * WEFT_MS);
        t->base_ns = weft_now(self) + kit_rng_below(&rng, t->period_ns);
        weft_err err = weft_timer_set(self, &t->timer, t->base_ns, t->period_ns, on_clock);
        if (err != WEFT_OK) return err;
        a->live++;
    }
    work_producing(a->w, 1);
    return WEFT_OK;
}

static weft_verdict clock_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    work_fault(((struct clock_actor *)state)->w, "a message came that nobody sent");
    return WEFT_DONE;
}

static void clock_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self, (void)reason;
    const struct clock_actor *a = state;
    __atomic_fetch_add((uint64_t *)a->w->own, a->skipped, __ATOMIC_RELAXED);
}

static void start_timer(struct work *w)
{
    w->own = kit_alloc(1, sizeof(uint64_t)); /* periods that were skipped */
    check_init(&w->check, 1, 1);
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        struct clock_seat seat = {w, i};
        weft_addr *addr;
        weft_spec spec = {.name = "clock",
                          .init = clock_init,
                          .handle = clock_handle,
                          .fini = clock_fini,
                          .arg = &seat,
                          .state_size = sizeof(struct clock_actor)};
        if (!work_spawn(w, &spec, &addr)) return;
        weft_addr_put(addr);
    }
}

static void end_timer(struct work *w)
{
    work_note(w, "periods skipped", *(uint64_t *)w->own);
    free(w->own);
    w->own = NULL;
}

const struct load load_timer = {.name = "timer",
                                .unit = "ticks",
                                .about = "16 periodic timers an actor, 1 to 10 ms; delay: lateness",
                                .shape = {.actors = 8},
                                .start = start_timer,
                                .judge = end_timer};

/* -- priority ------------------------------------------------------------------------------- */

struct flood { /* work.own; first: the senders' */
    struct flow flow;
    weft_addr *echo;
    uint64_t handled; /* atomic: user messages of the receiver */
    uint64_t mark;    /* atomic: `handled` when the reply before was under way */
    uint32_t marked;  /* atomic: 1: mark is there */
    struct hist user; /* delays of user messages; by the receiver */
};
struct flooded {
    struct work *w;
    struct flood *f;
    struct meter *m;
    weft_request req;
    uint64_t asked_ns, replied_at; /* `handled` when the last reply was handled */
    bool waiting;
};
static const weft_kind echo_kind = {0x6c02, "stress.echo", sizeof(weft_request), NULL};

static weft_verdict echo_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct flood *f = *(struct flood **)state;
    weft_reply((weft_request *)msg, WEFT_OK);
    /* Counted after the reply was queued: the count can only be too high, the check too mild. */
    __atomic_store_n(&f->mark, __atomic_load_n(&f->handled, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    __atomic_store_n(&f->marked, 1, __ATOMIC_RELEASE);
    return WEFT_KEPT;
}

static weft_err echo_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct flood **)state = arg;
    return WEFT_OK;
}

static void on_echo(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)req, (void)arg;
    struct flooded *d = state;
    d->waiting = false;
    if (err != WEFT_OK) {
        if (!work_stopping(d->w)) work_fault(d->w, "an ask failed: %s", weft_strerror(err));
        return;
    }
    d->replied_at = __atomic_load_n(&d->f->handled, __ATOMIC_RELAXED);
    work_done(d->w, d->m, d->asked_ns, d->asked_ns);
}

/* Asks again once the echo has said how far we were when it answered the last time. */
static void ask_again(weft_self *self, struct flooded *d)
{
    struct flood *f = d->f;
    if (d->waiting || work_stopping(d->w)) return;
    if (d->asked_ns != 0) {
        if (__atomic_load_n(&f->marked, __ATOMIC_ACQUIRE) == 0) return;
        uint64_t mark = __atomic_load_n(&f->mark, __ATOMIC_RELAXED);
        if (d->replied_at > mark + WEFT_TURN_MESSAGES)
            work_fault(d->w, "a reply waited behind %llu user messages",
                       (unsigned long long)(d->replied_at - mark));
        __atomic_store_n(&f->marked, 0, __ATOMIC_RELAXED);
    }
    weft_msg_init(&d->req.msg, &echo_kind);
    d->asked_ns = kit_now_ns();
    weft_err err = weft_ask(self, f->echo, &d->req, WEFT_NEVER, on_echo, NULL, NULL);
    if (err != WEFT_OK) work_fault(d->w, "an ask failed: %s", weft_strerror(err));
    else d->waiting = true;
}

static weft_verdict flooded_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct flooded *d = state;
    const struct load_msg *m = (const struct load_msg *)msg;
    check_received(&d->w->check, 0, m);
    if (work_measuring(d->w)) hist_add(&d->f->user, kit_now_ns() - m->sent_ns);
    __atomic_store_n(&d->f->handled, d->f->handled + 1, __ATOMIC_RELAXED);
    ask_again(self, d);
    return WEFT_DONE;
}

static weft_err flooded_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    struct work *w = arg;
    *(struct flooded *)state = (struct flooded){.w = w, .f = w->own, .m = &w->meters[0]};
    return WEFT_OK;
}

static void start_priority(struct work *w)
{
    struct flood *f = w->own = kit_alloc(1, sizeof *f);
    w->shape.actors = 1;
    f->flow.targets = kit_alloc(1, sizeof *f->flow.targets);
    check_init(&w->check, w->shape.producers, 1);
    weft_spec echo = {.name = "echo",
                      .init = echo_init,
                      .handle = echo_handle,
                      .arg = f,
                      .state_size = sizeof(struct flood *)};
    weft_spec flooded = {.name = "flooded",
                         .init = flooded_init,
                         .handle = flooded_handle,
                         .arg = w,
                         .state_size = sizeof(struct flooded)};
    if (!work_spawn(w, &echo, &f->echo)) return;
    if (!work_spawn(w, &flooded, &f->flow.targets[0])) return;
    f->flow.targets_count = 1;
    flow_spawn_senders(w, &f->flow, 1);
}

static void end_priority(struct work *w)
{
    struct flood *f = w->own;
    work_note(w, "user messages", f->handled);
    work_note(w, "user p50 ns", hist_percentile(&f->user, 0.5));
    work_note(w, "user p99 ns", hist_percentile(&f->user, 0.99));
    weft_addr_put(f->echo);
    flow_fini(&f->flow); /* and all of f: it begins with it */
    w->own = NULL;
}

const struct load load_priority = {
    .name = "priority",
    .unit = "replies",
    .about = "replies to an actor that is flooded: at most one turn of messages comes first",
    .shape = {.actors = 1, .producers = 2, .payload = 64},
    .start = start_priority,
    .judge = end_priority};
