/* SPDX-License-Identifier: Apache-2.0
 * test_stats.c - counters say what happened, for one actor and for all of a name.
 * Called by: the test runner. */
#include <stdio.h>
#include <string.h>

#include "gate.h"

#include <fcntl.h>
#include <unistd.h>
#include <weft/stats.h>
#include <weft/trace.h>

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

static weft_verdict ignore_too(weft_self *self, void *state, weft_msg *msg)
{
    return ignore(self, state, msg);
}

static weft_addr *spawn(struct rig *rig, const char *name)
{
    weft_spec spec = {.name = name, .handle = ignore};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static void send_notes(weft_addr *to, unsigned count)
{
    for (unsigned i = 0; i < count; i++) cr_assert_eq(weft_send(to, &note_new(0, i)->msg), WEFT_OK);
}

static void finish(struct rig *rig, weft_addr *addr)
{
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
}

static weft_actor_stats stats_of(weft_addr *addr)
{
    weft_actor_stats stats;
    weft_addr_stats(addr, &stats);
    return stats;
}

BOTH(stats, sums_equal_what_was_sent)
{
    weft_addr *first = spawn(rig, "worker"), *second = spawn(rig, "worker");
    weft_addr *other = spawn(rig, "other");
    weft_class_stats classes[4];
    send_notes(first, 30);
    send_notes(second, 12);
    send_notes(other, 5);
    finish(rig, first);
    cr_assert_eq(weft_stats_classes(rig->rt, classes, 4), 2);
    cr_assert_str_eq(classes[0].name, "other");
    cr_assert_str_eq(classes[1].name, "worker");
    cr_assert_eq(classes[1].actors, 1);
    finish(rig, second);
    finish(rig, other);
    cr_assert_eq(weft_stats_classes(rig->rt, classes, 4), 2);
    cr_assert_eq(classes[1].actors, 0);
    cr_assert_eq(classes[1].sum.handled, 42);
    cr_assert_eq(classes[1].sum.system, 2);
    cr_assert_eq(classes[0].sum.handled, 5);
    weft_addr_put(first);
    weft_addr_put(second);
    weft_addr_put(other);
}

Test(stats, one_name_is_one_class_whatever_its_functions)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *first = spawn(&rig, "worker"), *second = NULL;
    weft_spec spec = {.name = "worker", .handle = ignore_too};
    weft_class_stats class;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &second), WEFT_OK);
    cr_assert_eq(weft_stats_classes(rig.rt, &class, 1), 1);
    cr_assert_eq(class.actors, 2);
    weft_addr_put(first);
    weft_addr_put(second);
    rig_close(&rig);
}

Test(stats, a_short_table_takes_the_first_names)
{
    struct rig rig = rig_open(true, 1);
    static const char *const names[] = {"m", "z", "a", "k"};
    weft_class_stats classes[2];
    for (unsigned i = 0; i < 4; i++) weft_addr_put(spawn(&rig, names[i]));
    cr_assert_eq(weft_stats_classes(rig.rt, classes, 2), 4);
    cr_assert_str_eq(classes[0].name, "a");
    cr_assert_str_eq(classes[1].name, "k");
    weft_addr_put(spawn(&rig, "b")); /* after the first look, too */
    cr_assert_eq(weft_stats_classes(rig.rt, classes, 2), 5);
    cr_assert_str_eq(classes[1].name, "b");
    cr_assert_eq(weft_stats_classes(rig.rt, NULL, 0), 5);
    rig_close(&rig);
}

Test(stats, names_beyond_the_bound_count_as_others)
{
    struct rig rig = rig_open(true, 1);
    static weft_class_stats classes[WEFT_CLASSES_MAX + 1];
    char name[16];
    for (unsigned i = 0; i < WEFT_CLASSES_MAX + 2; i++) {
        snprintf(name, sizeof name, "n%05u", i);
        weft_addr *addr = spawn(&rig, name);
        if (i > WEFT_CLASSES_MAX) {
            send_notes(addr, 3);
            finish(&rig, addr);
        }
        weft_addr_put(addr);
    }
    cr_assert_eq(weft_stats_classes(rig.rt, classes, WEFT_CLASSES_MAX + 1), WEFT_CLASSES_MAX + 1);
    cr_assert_str_eq(classes[WEFT_CLASSES_MAX].name, "(others)");
    cr_assert_eq(classes[WEFT_CLASSES_MAX].actors, 1);
    cr_assert_eq(classes[WEFT_CLASSES_MAX].sum.handled, 3);
    rig_close(&rig);
}

Test(stats, depth_counts_what_is_queued)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = spawn(&rig, "worker");
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim)); /* its first turn is over */
    send_notes(addr, 7);
    cr_assert_eq(stats_of(addr).depth, 7);
    finish(&rig, addr);
    cr_assert_eq(stats_of(addr).depth, 0);
    cr_assert_eq(stats_of(addr).depth_max, 7);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, depth_is_known_while_a_handler_runs)
{
    struct rig rig = rig_open(false, 0);
    struct gate gate;
    gate_init(&gate);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    gate_send(addr);
    gate_wait(&gate.entered);
    send_notes(addr, 9);
    uint32_t depth = stats_of(addr).depth;
    cr_assert(depth == 9 || depth == 10, "%u", depth); /* the one in hand may count */
    sem_post(&gate.open);
    finish(&rig, addr);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, times_are_measured_on_request)
{
    struct rig rig = rig_open(false, 0);
    struct gate gate;
    gate_init(&gate);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    gate_send(addr);
    gate_wait(&gate.entered);
    send_notes(addr, 1);
    gate_let_pass(rig.rt, 2 * WEFT_MS);
    cr_assert_geq(stats_of(addr).oldest, 2 * WEFT_MS);
    sem_post(&gate.open);
    finish(&rig, addr);
    weft_actor_stats stats = stats_of(addr);
    cr_assert_geq(stats.busy, 2 * WEFT_MS);
    cr_assert_geq(stats.wait_max, 2 * WEFT_MS);
    cr_assert_geq(stats.wait_sum, stats.wait_max);
    cr_assert_eq(stats.oldest, 0);
    cr_assert_geq(stats.turns, 1);
    weft_class_stats class;
    cr_assert_eq(weft_stats_classes(rig.rt, &class, 1), 1);
    cr_assert_eq(class.sum.wait_max, stats.wait_max);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, nothing_is_measured_unasked)
{
    struct rig rig = rig_open(false, 0);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    weft_rt_measure(rig.rt, false);
    weft_ns busy = stats_of(addr).busy; /* of its init */
    send_notes(addr, 100);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
    cr_assert_eq(stats_of(addr).busy, busy);
    cr_assert_eq(stats_of(addr).wait_sum, 0);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, one_runtime_is_measured_beside_another)
{
    struct rig rig = rig_open(true, 1), other = rig_open(true, 2);
    weft_rt_measure(other.rt, true);
    weft_addr *addr = spawn(&rig, "worker");
    send_notes(addr, 3);
    finish(&rig, addr);
    cr_assert_eq(stats_of(addr).turns, 0);
    weft_addr_put(addr);
    rig_close(&other);
    rig_close(&rig);
}

Test(stats, an_idle_actor_is_woken_by_mail)
{
    struct rig rig = rig_open(true, 1);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = spawn(&rig, "worker");
    for (unsigned i = 0; i < 5; i++) {
        send_notes(addr, 3);
        wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    }
    cr_assert_eq(stats_of(addr).wakes, 5);
    finish(&rig, addr);
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_verdict send_to_myself(weft_self *self, void *data, weft_msg *msg)
{
    struct note *note = (struct note *)msg;
    (void)data;
    if (note->number > 0)
        cr_assert_eq(weft_send(weft_self_addr(self), &note_new(0, note->number - 1)->msg), WEFT_OK);
    return WEFT_DONE;
}

Test(stats, what_is_done_does_not_age)
{
    struct rig rig = rig_open(true, 1);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = spawn(&rig, "worker");
    send_notes(addr, 1);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(stats_of(addr).handled, 1);
    cr_assert_eq(stats_of(addr).oldest, 0);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, mail_during_a_turn_wakes_nobody)
{
    struct rig rig = rig_open(true, 1);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = rig_spawn(&rig, send_to_myself, NULL, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 4)->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    cr_assert_eq(stats_of(addr).handled, 5);
    cr_assert_eq(stats_of(addr).wakes, 1);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stats, a_plain_threads_calls_are_handled_too)
{
    struct rig rig = rig_open(false, 0);
    weft_rt_measure(rig.rt, true);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(rig_call(&rig, addr, i), WEFT_OK);
    cr_assert_eq(stats_of(addr).handled, 10);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- All of it, for the sanitizers -- */

static void count_event(void *arg, const weft_trace_event *event)
{
    (void)event;
    __atomic_fetch_add((uint64_t *)arg, 1, __ATOMIC_RELAXED);
}

static void ignore_stall(void *arg, const weft_stall *stall)
{
    (void)arg;
    (void)stall;
}

struct hop {
    weft_addr *next;
};

/* Passes a note on until it has made its hops. */
static weft_verdict pass_on(weft_self *self, void *data, weft_msg *msg)
{
    struct hop *hop = data;
    (void)self;
    if (((struct note *)msg)->number-- == 0 || hop->next == NULL) return WEFT_DONE;
    return weft_send(hop->next, msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

Test(stats, all_that_looks_on_may_look_at_once)
{
    struct rig rig = rig_open(false, 0);
    uint64_t events = 0;
    weft_class_stats class;
    char text[256];
    struct hop hops[3] = {{NULL}};
    weft_addr *addrs[3];
    int nowhere = open("/dev/null", O_WRONLY);
    weft_trace_to(rig.rt, count_event, &events);
    cr_assert_eq(weft_flight_start(32, -1), WEFT_OK);
    cr_assert_eq(weft_watchdog_start(rig.rt, WEFT_MS, ignore_stall, NULL), WEFT_OK);
    for (unsigned i = 0; i < 3; i++) {
        addrs[i] = rig_spawn(&rig, pass_on, &hops[i], 0);
        if (i > 0) hops[i].next = addrs[i - 1];
    }
    for (unsigned i = 0; i < 200; i++) {
        weft_rt_measure(rig.rt, i % 2 == 0);
        cr_assert_eq(weft_send_wait(addrs[2], &note_new(0, 2)->msg, rig_soon(&rig)), WEFT_OK);
        (void)weft_stats_classes(rig.rt, &class, 1);
        (void)weft_stats_prometheus(rig.rt, text, sizeof text);
        if (i % 20 == 0) weft_flight_dump(nowhere);
    }
    for (unsigned i = 3; i-- > 0;) finish(&rig, addrs[i]);
    weft_flight_stop();
    (void)weft_stats_classes(rig.rt, &class, 1);
    cr_assert_eq(class.sum.handled, 600);
    /* SEND, BEGIN and END of each hop; SPAWN, init and EXIT of each actor; its stop. */
    cr_assert_geq(events, 3 * 600 + 3 * 5);
    for (unsigned i = 0; i < 3; i++) weft_addr_put(addrs[i]);
    rig_close(&rig);
    (void)close(nowhere);
}
