/* SPDX-License-Identifier: Apache-2.0
 * test_timer.c - timers of an actor, mostly in virtual time.
 * Called by: the test runner. */
#include "rig.h"

#define TIMERS 200

struct clock {
    weft_timer timers[TIMERS];
    weft_ns fired_at[TIMERS];
    unsigned fired, order[TIMERS * 2];
    uint32_t missed;
    unsigned stop_at;
    weft_ns first, every;
    weft_ns at[TIMERS];
    unsigned count;
    bool rearm_now;
};

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct rig_actor *actor = state;
    struct clock *clock = actor->data;
    unsigned i = (unsigned)(timer - clock->timers);
    clock->fired_at[i] = weft_now(self);
    if (clock->fired < TIMERS * 2) clock->order[clock->fired] = i;
    __atomic_fetch_add(&clock->fired, 1, __ATOMIC_RELAXED); /* a test may look at it meanwhile */
    clock->missed = missed;
    if (clock->fired == clock->stop_at) weft_timer_stop(self, timer);
    if (clock->rearm_now) cr_assert_eq(weft_timer_set(self, timer, 0, 0, on_tick), WEFT_OK);
}

static weft_err set_one(weft_self *self, void *data)
{
    struct clock *clock = data;
    clock->first = weft_now(self) + 10 * WEFT_MS;
    weft_err err = weft_timer_set(self, &clock->timers[0], clock->first, clock->every, on_tick);
    cr_assert_eq(clock->fired, 0, "never inside the call");
    return err;
}

static weft_addr *start(struct rig *rig, struct clock *clock, weft_err (*init)(weft_self *, void *))
{
    return rig_spawn_init(rig, rig_echo, init, clock, 0);
}

static void run_for(struct rig *rig, weft_ns span)
{
    wf_sim_run_until(rig->sim, wf_sim_now(rig->sim) + span);
}

Test(timer, a_one_shot_fires_once_at_its_time)
{
    struct rig rig = rig_open(true, 1);
    struct clock clock = {0};
    weft_addr *addr = start(&rig, &clock, set_one);
    run_for(&rig, 10 * WEFT_MS - 1);
    cr_assert_eq(clock.fired, 0);
    run_for(&rig, WEFT_SEC);
    cr_assert_eq(clock.fired, 1);
    cr_assert_eq(clock.fired_at[0], clock.first);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(timer, a_periodic_one_fires_at_each_multiple)
{
    struct rig rig = rig_open(true, 1);
    struct clock clock = {.every = 5 * WEFT_MS};
    weft_addr *addr = start(&rig, &clock, set_one);
    run_for(&rig, 30 * WEFT_MS); /* at 10, 15, 20, 25, 30 */
    cr_assert_eq(clock.fired, 5);
    cr_assert_eq(clock.missed, 0);
    cr_assert_eq(clock.fired_at[0], clock.first + 20 * WEFT_MS);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(timer, a_stopped_one_does_not_fire_any_more)
{
    struct rig rig = rig_open(true, 1);
    struct clock clock = {.every = WEFT_MS, .stop_at = 3};
    weft_addr *addr = start(&rig, &clock, set_one);
    run_for(&rig, WEFT_SEC);
    cr_assert_eq(clock.fired, 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Arms all, then moves the last in front, then stops every third. */
static weft_err set_many(weft_self *self, void *data)
{
    struct clock *clock = data;
    weft_ns now = weft_now(self);
    for (unsigned i = 0; i < TIMERS; i++) {
        clock->at[i] = now + 1 + (i * 7919 % 50) * WEFT_MS;
        cr_assert_eq(weft_timer_set(self, &clock->timers[i], clock->at[i], 0, on_tick), WEFT_OK);
    }
    clock->at[TIMERS - 1] = now + 1;
    cr_assert_eq(weft_timer_set(self, &clock->timers[TIMERS - 1], now + 1, 0, on_tick), WEFT_OK);
    for (unsigned i = 0; i < TIMERS; i += 3) {
        weft_timer_stop(self, &clock->timers[i]);
        weft_timer_stop(self, &clock->timers[i]); /* idempotent */
    }
    return WEFT_OK;
}

Test(timer, many_fire_in_the_order_of_their_times_and_then_of_arming)
{
    struct rig rig = rig_open(true, 1);
    struct clock clock = {0};
    weft_addr *addr = start(&rig, &clock, set_many);
    run_for(&rig, WEFT_SEC);
    cr_assert_eq(clock.fired, TIMERS - (TIMERS + 2) / 3);
    for (unsigned i = 1; i < clock.fired; i++) {
        unsigned a = clock.order[i - 1], b = clock.order[i];
        cr_assert(clock.at[a] < clock.at[b] || (clock.at[a] == clock.at[b] && a < b));
        cr_assert_eq(clock.fired_at[b], clock.at[b]);
        cr_assert_neq(b % 3, 0);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Notes that it fired where the others do not. */
static void on_other(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct clock *clock = ((struct rig_actor *)state)->data;
    (void)self, (void)timer, (void)missed;
    clock->order[TIMERS]++;
}

static weft_err set_past(weft_self *self, void *data)
{
    struct clock *clock = data;
    clock->rearm_now = true;
    return weft_timer_set(self, &clock->timers[0], 0, 0, on_tick);
}

PLACES(timer, one_that_rearms_itself_for_the_past_does_not_starve_the_mailbox)
{
    struct clock clock = {0};
    weft_addr *addr = start(rig, &clock, set_past);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(rig_call(rig, addr, i), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert(clock.fired >= 1);
    weft_addr_put(addr);
}

static weft_err set_past_and_one(weft_self *self, void *data)
{
    struct clock *clock = data;
    cr_assert_eq(weft_timer_set(self, &clock->timers[1], weft_now(self), 0, on_other), WEFT_OK);
    return set_past(self, data);
}

Test(timer, one_that_rearms_itself_for_the_past_does_not_starve_another)
{
    struct rig rig = rig_open(true, 1);
    struct clock clock = {0};
    weft_addr *addr = start(&rig, &clock, set_past_and_one);
    for (int i = 0; i < 10; i++) cr_assert(wf_sim_step(rig.sim));
    cr_assert_gt(clock.fired, 1);
    cr_assert_eq(clock.order[TIMERS], 1, "the other one was due, too");
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Sends itself the note for ever; ends once its timer has fired. */
static weft_verdict feed_itself(weft_self *self, void *data, weft_msg *msg)
{
    struct clock *clock = data;
    if (clock->fired > 0) return WEFT_STOP;
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

PLACES(timer, a_mailbox_that_is_never_empty_does_not_starve_it)
{
    struct clock clock = {0};
    weft_addr *addr = rig_spawn_init(rig, feed_itself, set_one, &clock, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(clock.fired, 1);
    weft_addr_put(addr);
}

static weft_err set_too_many(weft_self *self, void *data)
{
    weft_timer *timers = data;
    weft_timer one = {0};
    for (unsigned i = 0; i < WEFT_TIMERS_MAX; i++)
        cr_assert_eq(weft_timer_set(self, &timers[i], WEFT_NEVER - i, 0, on_tick), WEFT_OK);
    cr_assert_eq(weft_timer_set(self, &one, 1, 0, on_tick), WEFT_LIMIT);
    cr_assert_eq(weft_timer_set(self, &timers[0], WEFT_NEVER, 0, on_tick), WEFT_OK);
    cr_assert_eq(weft_timer_set(self, &timers[0], WEFT_NEVER, 0, NULL), WEFT_INVALID);
    return WEFT_OK;
}

Test(timer, the_bound_is_an_answer)
{
    struct rig rig = rig_open(true, 1);
    weft_timer *timers = calloc(WEFT_TIMERS_MAX, sizeof *timers);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, set_too_many, timers, 0);
    weft_addr_put(addr);
    rig_close(&rig);
    free(timers);
}

/* Blocks its own turn past several periods: what SKIP is about. */
static weft_verdict dawdle(weft_self *self, void *data, weft_msg *msg)
{
    struct clock *clock = data;
    if (msg->kind == &NOTE)
        while (weft_now(self) < clock->first + 6 * WEFT_MS) {}
    return rig_echo(self, NULL, msg);
}

Test(timer, missed_ticks_are_skipped_and_counted)
{
    struct rig rig = rig_open(false, 0);
    struct clock clock = {.every = 2 * WEFT_MS, .stop_at = 1};
    weft_addr *addr = rig_spawn_init(&rig, dawdle, set_one, &clock, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    while (__atomic_load_n(&clock.fired, __ATOMIC_RELAXED) == 0)
        cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(clock.fired, 1);
    cr_assert_geq(clock.missed, 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(timer, on_the_machine_it_is_never_early)
{
    struct rig rig = rig_open(false, 0);
    struct clock clock = {.every = WEFT_MS, .stop_at = 5};
    weft_addr *addr = start(&rig, &clock, set_one);
    weft_actor_stats stats;
    do {
        cr_assert_eq(weft_join(addr, weft_rt_after(rig.rt, WEFT_MS), NULL), WEFT_TIMED_OUT);
        weft_addr_stats(addr, &stats);
    } while (stats.timer_ticks < 5);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert(clock.fired_at[0] >= clock.first + 4 * WEFT_MS);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- What becomes of missed ticks: a timer that was due 7 ms ago, every 2 ms -- */

struct missed {
    weft_timer timer;
    weft_missed policy;
    weft_ns begin, every, ago;
    unsigned fired, stop_at;
    weft_ns at[256];
    uint32_t owed[256];
    unsigned heard_at; /* how many calls before its own note was handled */
    bool again;
};

static void on_missed(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct missed *m = ((struct rig_actor *)state)->data;
    if (m->fired < 256) {
        m->at[m->fired] = weft_now(self) - m->begin;
        m->owed[m->fired] = missed;
    }
    if (m->fired++ == 0)
        cr_assert_eq(weft_send(weft_self_addr(self), &note_new(0, 0)->msg), WEFT_OK);
    if (m->fired == m->stop_at && m->again)
        cr_assert_eq(weft_timer_set(self, timer, weft_now(self) + WEFT_SEC, 0, on_missed), WEFT_OK);
    else if (m->fired == m->stop_at) cr_assert_eq(weft_timer_stop(self, timer), WEFT_OK);
}

static weft_err set_missed(weft_self *self, void *data)
{
    struct missed *m = data;
    m->begin = weft_now(self);
    return weft_timer_set_missed(self, &m->timer, m->begin - m->ago, m->every, m->policy,
                                 on_missed);
}

static weft_verdict hear_note(weft_self *self, void *data, weft_msg *msg)
{
    struct missed *m = data;
    if (msg->kind == &NOTE) m->heard_at = m->fired;
    return rig_echo(self, NULL, msg);
}

static void run_missed(struct missed *m)
{
    struct rig rig = rig_open(true, 1);
    if (m->every == 0) m->every = 2 * WEFT_MS;
    if (m->ago == 0) m->ago = 7 * WEFT_MS;
    weft_addr *addr = rig_spawn_init(&rig, hear_note, set_missed, m, 0);
    run_for(&rig, 4 * WEFT_MS);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(timer, skip_calls_once_and_goes_on_at_the_next_multiple)
{
    struct missed m = {.policy = WEFT_MISSED_SKIP};
    run_missed(&m);
    cr_assert_eq(m.fired, 3);
    cr_assert_eq(m.owed[0], 3);
    cr_assert_eq(m.at[0], 0);
    cr_assert_eq(m.at[1], WEFT_MS);
    cr_assert_eq(m.at[2], 3 * WEFT_MS);
    cr_assert_eq(m.owed[1], 0);
}

Test(timer, delay_calls_once_and_goes_on_a_period_later)
{
    struct missed m = {.policy = WEFT_MISSED_DELAY};
    run_missed(&m);
    cr_assert_eq(m.fired, 3);
    cr_assert_eq(m.owed[0], 3);
    cr_assert_eq(m.at[0], 0);
    cr_assert_eq(m.at[1], 2 * WEFT_MS);
    cr_assert_eq(m.at[2], 4 * WEFT_MS);
}

Test(timer, burst_calls_for_each_and_says_how_many_are_owed)
{
    struct missed m = {.policy = WEFT_MISSED_BURST};
    run_missed(&m);
    cr_assert_eq(m.fired, 6);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(m.at[i], 0);
        cr_assert_eq(m.owed[i], 3 - i);
    }
    cr_assert_eq(m.at[4], WEFT_MS);
    cr_assert_eq(m.owed[4], 0);
    cr_assert_eq(m.heard_at, 4, "all in one turn, before its own note");
}

Test(timer, a_long_burst_lets_messages_in_after_64_calls)
{
    struct missed m = {.policy = WEFT_MISSED_BURST, .ago = 399 * WEFT_MS};
    run_missed(&m);
    cr_assert_eq(m.fired, 202);
    cr_assert_eq(m.heard_at, WEFT_BURST_MAX);
    cr_assert_eq(m.owed[0], 199);
    cr_assert_eq(m.owed[63], 136);
    cr_assert_eq(m.owed[64], 135, "none is lost between two turns");
}

/* Far behind, and with another timer that is due later. */
struct behind {
    struct missed missed; /* first: on_missed finds it */
    struct clock clock;
};

static void on_behind(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct behind *b = ((struct rig_actor *)state)->data;
    (void)self, (void)timer, (void)missed;
    b->clock.fired_at[0] = b->missed.fired;
}

static weft_err set_behind(weft_self *self, void *data)
{
    struct behind *b = data;
    cr_assert_eq(weft_timer_set(self, &b->clock.timers[0], weft_now(self), 0, on_behind), WEFT_OK);
    return set_missed(self, &b->missed);
}

Test(timer, a_long_burst_lets_other_timers_in_after_64_calls)
{
    struct rig rig = rig_open(true, 1);
    struct behind b = {
        .missed = {.policy = WEFT_MISSED_BURST, .every = 2 * WEFT_MS, .ago = 399 * WEFT_MS}};
    weft_addr *addr = rig_spawn_init(&rig, hear_note, set_behind, &b, 0);
    run_for(&rig, 4 * WEFT_MS);
    cr_assert_eq(b.clock.fired_at[0], WEFT_BURST_MAX);
    cr_assert_eq(b.missed.fired, 202, "and none is lost");
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(timer, a_burst_ends_when_its_callback_stops_it)
{
    struct missed m = {.policy = WEFT_MISSED_BURST, .stop_at = 2};
    run_missed(&m);
    cr_assert_eq(m.fired, 2);
}

Test(timer, a_burst_ends_when_its_callback_sets_it_anew)
{
    struct missed m = {.policy = WEFT_MISSED_BURST, .stop_at = 2, .again = true};
    run_missed(&m);
    cr_assert_eq(m.fired, 2);
}

Test(timer, a_period_that_reaches_beyond_time_fires_once)
{
    for (int policy = WEFT_MISSED_SKIP; policy <= WEFT_MISSED_BURST; policy++) {
        struct missed m = {.policy = (weft_missed)policy, .every = WEFT_NEVER - 1, .ago = 1};
        run_missed(&m);
        cr_assert_eq(m.fired, 1);
    }
}

static weft_err set_unknown(weft_self *self, void *data)
{
    return weft_timer_set_missed(self, data, 1, 1, (weft_missed)3, on_tick) == WEFT_INVALID
               ? WEFT_OK
               : WEFT_INTERNAL;
}

Test(timer, an_unknown_policy_is_refused)
{
    struct rig rig = rig_open(true, 1);
    weft_timer timer = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, set_unknown, &timer, 0);
    weft_addr_put(addr);
    rig_close(&rig);
}
