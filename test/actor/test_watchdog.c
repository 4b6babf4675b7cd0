/* SPDX-License-Identifier: Apache-2.0
 * test_watchdog.c - a callback that does not end is told of once, by name.
 * Called by: the test runner. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "gate.h"

#include <weft/group.h>
#include <weft/log.h>
#include <weft/stats.h>

#define LIMIT (4 * WEFT_MS)

/* What was told of stalls in one kind of callback: on a busy machine any other may be held up
 * for as long, and is rightly told of. */
struct told {
    const char *about;
    sem_t come;
    unsigned count;
    char actor[80], kind[80], sender[80];
    weft_ns age;
    uint32_t depth;
};

static void keep(void *arg, const weft_stall *stall)
{
    struct told *told = arg;
    if (strcmp(stall->kind, told->about) != 0) return;
    told->count++;
    snprintf(told->actor, sizeof told->actor, "%s", stall->actor);
    snprintf(told->kind, sizeof told->kind, "%s", stall->kind);
    snprintf(told->sender, sizeof told->sender, "%s", stall->sender);
    told->age = stall->age;
    told->depth = stall->depth;
    sem_post(&told->come);
}

static struct rig open_watched(struct told *told, struct gate *gate)
{
    struct rig rig = rig_open(false, 0);
    *told = (struct told){.about = "gate"};
    cr_assert_eq(sem_init(&told->come, 0, 0), 0);
    gate_init(gate);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, keep, told), WEFT_OK);
    return rig;
}

Test(watchdog, a_stall_is_named)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    gate_send(addr);
    gate_wait(&gate.entered);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    gate_wait(&told.come);
    cr_assert_str_eq(told.actor, "rig");
    cr_assert_str_eq(told.kind, "gate");
    cr_assert_str_eq(told.sender, "");
    cr_assert_geq(told.age, LIMIT);
    sem_post(&gate.open);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watchdog, a_stall_is_told_of_once_and_the_next_again)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    for (unsigned i = 1; i <= 2; i++) {
        gate_send(addr);
        gate_wait(&gate.entered);
        gate_wait(&told.come);
        gate_let_pass(rig.rt, 4 * LIMIT);
        weft_watchdog_stop(rig.rt); /* so that `told` is ours to read */
        cr_assert_eq(told.count, i);
        sem_post(&gate.open); /* a new watchdog knows nothing of what was told before */
        cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
        cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, keep, &told), WEFT_OK);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watchdog, an_actor_of_a_group_is_named)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    weft_group *group = NULL;
    cr_assert_eq(weft_group_create(rig.rt, &(weft_group_spec){.workers = 1}, &group), WEFT_OK);
    weft_addr *addrs[2];
    for (unsigned i = 0; i < 2; i++) { /* two of one worker: the seat says which */
        struct rig_actor actor = {.data = &gate, .handle = gate_handle};
        weft_spec spec = {.name = i == 0 ? "first" : "second",
                          .arg = &actor,
                          .state_size = sizeof actor,
                          .init = rig_actor_init,
                          .handle = rig_actor_handle,
                          .place = WEFT_PLACE_GROUP,
                          .group = group};
        cr_assert_eq(weft_spawn(rig.rt, &spec, &addrs[i]), WEFT_OK);
        cr_assert_eq(rig_call(&rig, addrs[i], 1), WEFT_OK);
    }
    cr_assert_eq(rig_call(&rig, addrs[0], 1), WEFT_OK);
    gate_send(addrs[1]);
    gate_wait(&told.come);
    cr_assert_str_eq(told.actor, "second");
    sem_post(&gate.open);
    for (unsigned i = 0; i < 2; i++) weft_addr_put(addrs[i]);
    rig_close(&rig);
}

struct push {
    weft_addr *to;
};

static weft_verdict push_gate(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    (void)msg;
    gate_send(((struct push *)data)->to);
    return WEFT_DONE;
}

Test(watchdog, the_sender_is_named)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    struct push push = {.to = rig_spawn(&rig, gate_handle, &gate, 64)};
    struct rig_actor pusher = {.data = &push, .handle = push_gate};
    weft_spec spec = {.name = "pusher",
                      .arg = &pusher,
                      .state_size = sizeof pusher,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    gate_wait(&told.come);
    cr_assert_str_eq(told.sender, "pusher");
    sem_post(&gate.open);
    weft_addr_put(addr);
    weft_addr_put(push.to);
    rig_close(&rig);
}

Test(watchdog, without_memory_it_does_not_start_and_what_it_cannot_keep_it_tells_later)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK); /* its thread has a seat from here on */
    weft_msg *msg = weft_new(&GATE);
    cr_assert_not_null(msg);
    cr_assert_eq(weft_watchdog_stop(rig.rt), WEFT_OK);
    weft_err err = WEFT_NO_MEMORY;
    for (uint64_t nth = 1; err == WEFT_NO_MEMORY; nth++) {
        (void)wf_alloc_fail_at(nth, 1);
        err = weft_watchdog_start(rig.rt, LIMIT, keep, &told);
        cr_assert_lt(nth, 10);
        if (nth == 1) cr_assert_eq(err, WEFT_NO_MEMORY);
    }
    cr_assert_eq(err, WEFT_OK);
    cr_assert_eq(weft_send(addr, msg), WEFT_OK);
    gate_wait(&gate.entered);
    gate_let_pass(rig.rt, 4 * LIMIT); /* it looks, and has no memory for what it sees */
    cr_assert_eq(sem_trywait(&told.come), -1);
    (void)wf_alloc_fail_at(0, 0);
    gate_wait(&told.come);
    cr_assert_str_eq(told.actor, "rig");
    sem_post(&gate.open);
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_err stay_in_init(weft_self *self, void *data)
{
    (void)self;
    gate_stay(data);
    return WEFT_OK;
}

struct pair {
    struct told *told;
    struct gate *gate;
};

static void *let_go(void *arg)
{
    struct pair *pair = arg;
    gate_wait(&pair->told->come);
    sem_post(&pair->gate->open);
    return NULL;
}

Test(watchdog, an_init_is_watched_too)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    told.about = "weft.init"; /* no callback runs yet */
    struct pair pair = {&told, &gate};
    pthread_t helper;
    cr_assert_eq(pthread_create(&helper, NULL, let_go, &pair), 0);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, stay_in_init, &gate, 0);
    pthread_join(helper, NULL);
    cr_assert_str_eq(told.kind, "weft.init");
    weft_addr_put(addr);
    rig_close(&rig);
}

static char logged[600];
static sem_t log_come;

static void keep_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    if (level == WEFT_LOG_WARN && strcmp(facility, "watchdog") == 0 &&
        strstr(line, "kind=gate") != NULL) {
        snprintf(logged, sizeof logged, "%s", line);
        sem_post(&log_come);
    }
}

Test(watchdog, without_a_function_it_logs)
{
    struct rig rig = rig_open(false, 0);
    struct gate gate;
    gate_init(&gate);
    cr_assert_eq(sem_init(&log_come, 0, 0), 0);
    weft_log_to(keep_line, NULL, WEFT_LOG_WARN);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, NULL, NULL), WEFT_OK);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    gate_send(addr);
    gate_wait(&log_come);
    cr_assert_not_null(strstr(logged, "actor=rig kind=gate from=\"\" age="));
    sem_post(&gate.open);
    weft_addr_put(addr);
    rig_close(&rig);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(watchdog, there_is_one_per_runtime)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, keep, &told), WEFT_EXISTS);
    weft_watchdog_stop(rig.rt);
    weft_watchdog_stop(rig.rt);
    cr_assert_eq(weft_watchdog_start(rig.rt, WEFT_MS - 1, keep, &told), WEFT_INVALID);
    (void)wf_alloc_fail_at(1, 0);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, keep, &told), WEFT_NO_MEMORY);
    (void)wf_alloc_fail_at(0, 0);
    rig_close(&rig);
}

struct stopper {
    weft_rt *rt;
    weft_err err;
    sem_t tried;
};

static void stop_inside(void *arg, const weft_stall *stall)
{
    struct stopper *stopper = arg;
    if (strcmp(stall->kind, "gate") != 0) return;
    stopper->err = weft_watchdog_stop(stopper->rt);
    sem_post(&stopper->tried);
}

Test(watchdog, does_not_wait_for_itself)
{
    struct rig rig = rig_open(false, 0);
    struct gate gate;
    struct stopper stopper = {.rt = rig.rt};
    gate_init(&gate);
    cr_assert_eq(sem_init(&stopper.tried, 0, 0), 0);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, stop_inside, &stopper), WEFT_OK);
    weft_addr *addr = rig_spawn(&rig, gate_handle, &gate, 64);
    gate_send(addr);
    gate_wait(&stopper.tried);
    cr_assert_eq(stopper.err, WEFT_DEADLK);
    sem_post(&gate.open);
    cr_assert_eq(weft_watchdog_stop(rig.rt), WEFT_OK);
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_verdict pass_round(weft_self *self, void *data, weft_msg *msg)
{
    weft_ns *until = data;
    if (weft_now(self) >= *until) return WEFT_DONE;
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

Test(watchdog, many_short_callbacks_are_no_stall)
{
    struct told told;
    struct gate gate;
    struct rig rig = open_watched(&told, &gate);
    weft_watchdog_stop(rig.rt);
    told.about = "note";
    /* Long enough that no callback of a few instructions is held up so long by the machine. */
    const weft_ns limit = 200 * WEFT_MS;
    cr_assert_eq(weft_watchdog_start(rig.rt, limit, keep, &told), WEFT_OK);
    weft_ns until = weft_rt_after(rig.rt, 2 * limit);
    weft_addr *addr = rig_spawn(&rig, pass_round, &until, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    gate_let_pass(rig.rt, 2 * limit);
    weft_addr_put(addr);
    rig_close(&rig);
    cr_assert_eq(told.count, 0);
}

Test(watchdog, another_runtimes_actors_are_not_its_own)
{
    struct told told, other_told;
    struct gate gate, other_gate;
    struct rig rig = open_watched(&told, &gate);
    struct rig other = open_watched(&other_told, &other_gate);
    weft_addr *addr = rig_spawn(&other, gate_handle, &other_gate, 64);
    gate_send(addr);
    gate_wait(&other_told.come);
    gate_let_pass(rig.rt, 2 * LIMIT);
    sem_post(&other_gate.open);
    weft_addr_put(addr);
    rig_close(&other);
    rig_close(&rig);
    cr_assert_eq(told.count, 0);
}

Test(watchdog, the_simulator_has_none)
{
    struct rig rig = rig_open(true, 1);
    cr_assert_eq(weft_watchdog_start(rig.rt, LIMIT, NULL, NULL), WEFT_UNSUPPORTED);
    weft_watchdog_stop(rig.rt);
    rig_close(&rig);
}
