/* SPDX-License-Identifier: Apache-2.0
 * test_park.c - how long a thread looks for mail before it sleeps, by a clock that only looks
 * move.
 * Called by: the test runner. Never: sleeps. */
#include <criterion/criterion.h>

#include <weft/actor.h>

#include "park.h"
#include "port.h"

#define TICK 50u /* each look at the clock takes so long */

static weft_ns clock_now, comes_at;
static uintptr_t word;

static weft_ns look_at_clock(struct wf_port *port)
{
    (void)port;
    clock_now += TICK;
    if (clock_now >= comes_at) word = 8; /* a message: no tag */
    return clock_now;
}

static struct wf_port_ops ops;
static struct wf_port port;
static struct wf_parker parker;

static void open_parker(void)
{
    ops = *wf_port_machine()->ops;
    ops.mono_ns = look_at_clock;
    port = *wf_port_machine();
    port.ops = &ops;
    port.may_spin = true;
    clock_now = WEFT_SEC;
    word = 0;
    wf_parker_init(&parker, &port, 0);
    parker.turns_rest = UINT32_MAX; /* spins by themselves: looks at the clock move it */
}

/* Looks once for something that comes after `in`; returns how long it looked. */
static weft_ns look(weft_ns in, bool *hit)
{
    weft_ns begin = clock_now;
    word = 0;
    comes_at = in == WEFT_NEVER ? WEFT_NEVER : clock_now + in;
    *hit = wf_spin(&parker, &word, WEFT_NEVER);
    return clock_now - begin;
}

static weft_ns miss(void)
{
    bool hit = true;
    weft_ns spent = look(WEFT_NEVER, &hit);
    cr_assert_not(hit);
    return spent;
}

/* Idles until it looks again; returns how many did not. */
static unsigned until_probe(weft_ns *spent)
{
    unsigned n = 0;
    while ((*spent = miss()) < WF_SPIN_NS / 2) cr_assert_lt(++n, 1000);
    return n;
}

TestSuite(spin, .init = open_parker);

Test(spin, what_comes_in_time_is_noticed_and_counted)
{
    bool hit = false;
    weft_ns spent = look(3000, &hit);
    cr_assert(hit);
    cr_assert_leq(spent, 3000 + 4 * TICK);
    cr_assert_eq(parker.spins, 1);
}

Test(spin, each_miss_halves_the_look_until_there_is_none)
{
    weft_ns last = miss();
    cr_assert_geq(last, WF_SPIN_NS);
    unsigned n = 0;
    while (last > 0) {
        weft_ns next = miss();
        cr_assert_leq(next, last / 2 + 4 * TICK);
        last = next;
        cr_assert_lt(++n, 16);
    }
    cr_assert_eq(parker.spins, 0);
}

Test(spin, is_tried_again_at_length_and_more_rarely_while_that_fails)
{
    weft_ns spent = 0;
    unsigned gaps[8];
    while (miss() > 0) {}
    for (int i = 0; i < 8; i++) {
        gaps[i] = until_probe(&spent);
        cr_assert_geq(spent, WF_SPIN_NS, "the whole of it");
    }
    cr_assert_leq(gaps[0], 32);
    cr_assert_geq(gaps[2], 2 * gaps[1]);
    cr_assert_eq(gaps[7], gaps[6], "there is a bound");
    cr_assert_leq(gaps[7], 256);
}

Test(spin, a_probe_that_pays_brings_it_back)
{
    weft_ns spent = 0;
    bool hit = false;
    while (miss() > 0) {}
    (void)until_probe(&spent);
    for (int n = 0; !hit; n++) {
        cr_assert_lt(n, 100);
        (void)look(2000, &hit);
    }
    cr_assert_geq(miss(), 2000, "the next idle looks again");
}

Test(spin, ends_with_the_deadline)
{
    word = 0;
    comes_at = WEFT_NEVER;
    weft_ns begin = clock_now;
    cr_assert_not(wf_spin(&parker, &word, clock_now + 1000));
    cr_assert_leq(clock_now - begin, 1000 + 4 * TICK);
}

#define SPINS_PROBE 256u /* idles: one of them tries to look again */

static unsigned turns, comes_with_turn;
static weft_ns turn_takes;

static void count_turn(struct wf_port *of)
{
    (void)of;
    clock_now += turn_takes;
    if (++turns == comes_with_turn) word = 8;
}

static void open_with_turns(void)
{
    open_parker();
    parker.turns_rest = 0;
    ops.yield = count_turn;
    turns = comes_with_turn = 0;
    turn_takes = 0;
}

TestSuite(turns, .init = open_with_turns);

Test(turns, are_given_to_others_before_a_sleep_and_then_no_more)
{
    (void)miss();
    cr_assert_eq(turns, WF_SPIN_YIELDS);
}

Test(turns, that_bring_mail_are_counted_as_a_spin_is)
{
    bool hit = false;
    comes_with_turn = 3;
    (void)look(WEFT_NEVER, &hit);
    cr_assert(hit);
    cr_assert_eq(turns, 3);
    cr_assert_eq(parker.spins, 1);
}

/* Looks for something that comes with the next turn; returns how long that took. */
static weft_ns look_for_a_turn(bool *hit)
{
    comes_with_turn = turns + 1;
    weft_ns spent = look(WEFT_NEVER, hit);
    comes_with_turn = 0;
    return spent;
}

Test(turns, are_given_also_where_looking_does_not_pay)
{
    bool hit = false;
    for (unsigned n = 0; look_for_a_turn(&hit) > 4 * TICK; n++) cr_assert_lt(n, 16);
    for (unsigned n = 0; n < SPINS_PROBE; n++) {
        (void)look_for_a_turn(&hit);
        cr_assert(hit);
    }
}

/* Idles that find nothing until turns are given; returns how many had none. */
static unsigned until_turns(void)
{
    unsigned n = 0, before = turns;
    for (; turns == before; n++) {
        (void)miss();
        cr_assert_leq(n, 2 * WF_TURN_MISS_LAST);
    }
    return n - 1;
}

Test(turns, that_bring_nothing_get_rarer_up_to_a_bound)
{
    cr_expect_eq(until_turns(), 0);
    cr_expect_eq(until_turns(), 0);
    for (unsigned want = 1; want <= WF_TURN_MISS_LAST; want *= 2) cr_expect_eq(until_turns(), want);
    cr_expect_eq(until_turns(), WF_TURN_MISS_LAST);
}

Test(turns, that_bring_something_again_are_given_each_time)
{
    bool hit = false;
    for (int i = 0; i < 8; i++) (void)until_turns();
    for (unsigned n = 0; !hit; n++) {
        cr_assert_leq(n, WF_TURN_MISS_LAST);
        (void)look_for_a_turn(&hit);
    }
    cr_expect_eq(until_turns(), 0);
    cr_expect_eq(until_turns(), 0);
    cr_expect_eq(until_turns(), 1);
}

Test(turns, are_not_given_when_a_timer_is_near)
{
    word = 0;
    comes_at = WEFT_NEVER;
    cr_assert_not(wf_spin(&parker, &word, clock_now + 1000));
    cr_assert_eq(turns, 0);
}

Test(turns, that_bring_nothing_any_more_make_it_look_again)
{
    bool hit = false;
    for (unsigned n = 0; look_for_a_turn(&hit) > 4 * TICK; n++) cr_assert_lt(n, 16);
    (void)miss();
    cr_assert_geq(miss(), WF_SPIN_NS);
}

Test(turns, are_not_given_when_a_timer_is_near_and_looking_does_not_pay)
{
    bool hit = false;
    for (unsigned n = 0; look_for_a_turn(&hit) > 4 * TICK; n++) cr_assert_lt(n, 16);
    turns = 0;
    word = 0;
    cr_assert_not(wf_spin(&parker, &word, clock_now + WF_SPIN_NS / 2));
    cr_assert_eq(turns, 0);
}

/* An idle that finds nothing, at a time when spins pay: it gives turns unless they rest. */
static void idle(void)
{
    bool hit = false;
    (void)look(1000, &hit);
    cr_assert_geq(miss(), WF_SPIN_NS / 8);
}

/* Idles until a turn is given, which takes long; returns how many idles had none before. */
static unsigned until_long_turn(void)
{
    unsigned n = 0, before = turns;
    turn_takes = 3 * WEFT_MS;
    for (idle(); turns == before; idle()) cr_assert_leq(++n, WF_TURN_REST_LAST);
    turn_takes = 0;
    cr_expect_eq(turns, before + 1, "the others of this idle are not given either");
    return n;
}

/* Idles until a turn is given, which takes so long and brings something. */
static void until_turn_with_mail(weft_ns takes)
{
    bool hit = false;
    unsigned before = turns;
    turn_takes = takes;
    comes_with_turn = turns + 1;
    for (unsigned n = 0; turns == before; n++) {
        (void)look(1000, &hit);
        (void)look(WEFT_NEVER, &hit);
        cr_assert_leq(n, WF_TURN_REST_LAST);
    }
    cr_assert(hit);
    turn_takes = comes_with_turn = 0;
}

Test(turns, that_take_a_time_slice_are_not_given_for_a_while)
{
    (void)until_long_turn();
    for (unsigned i = 0; i < WF_TURN_REST_FIRST; i++) idle();
    cr_expect_eq(turns, 1);
    idle();
    cr_expect_eq(turns, 1 + WF_SPIN_YIELDS);
}

Test(turns, that_take_long_again_rest_twice_as_long_up_to_a_bound)
{
    (void)until_long_turn();
    for (unsigned want = WF_TURN_REST_FIRST; want <= WF_TURN_REST_LAST; want *= 2)
        cr_expect_eq(until_long_turn(), want);
    cr_expect_eq(until_long_turn(), WF_TURN_REST_LAST);
}

Test(turns, that_pay_make_the_next_rest_short)
{
    for (int i = 0; i < 4; i++) (void)until_long_turn();
    for (unsigned i = 0; i < WF_TURNS_PAID; i++) until_turn_with_mail(1000);
    (void)until_long_turn();
    cr_expect_eq(until_long_turn(), WF_TURN_REST_FIRST);
}

Test(turns, that_pay_between_those_that_take_long_do_not)
{
    for (int i = 0; i < 4; i++) (void)until_long_turn();
    for (unsigned i = 0; i < 3 * WF_TURNS_PAID; i++)
        until_turn_with_mail(i % (WF_TURNS_PAID / 2) == 0 ? 3 * WEFT_MS : 1000);
    (void)until_long_turn();
    cr_expect_eq(until_long_turn(), WF_TURN_REST_LAST);
}

Test(turns, that_took_long_some_time_ago_are_forgotten)
{
    for (int i = 0; i < 4; i++) (void)until_long_turn();
    clock_now += 2 * WF_TURN_FORGET_NS;
    (void)until_long_turn();
    cr_expect_eq(until_long_turn(), WF_TURN_REST_FIRST);
}
