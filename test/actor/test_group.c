/* SPDX-License-Identifier: Apache-2.0
 * test_group.c - worker groups: fair turns, wakes across workers, timers, descriptors, memory.
 * Called by: the test runner. */
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/group.h>

#include "rig.h"
#include "worker.h"

static weft_group *group_open(struct rig *rig, uint32_t workers)
{
    weft_group *group = NULL;
    weft_group_spec spec = {.name = "test", .workers = workers};
    cr_assert_eq(weft_group_create(rig->rt, &spec, &group), WEFT_OK);
    return group;
}

static weft_addr *group_spawn_init(struct rig *rig, weft_group *group, rig_handle handle,
                                   weft_err (*init)(weft_self *, void *), void *data)
{
    struct rig_actor actor = {.data = data, .handle = handle, .init = init};
    weft_spec spec = {.name = "member",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = WEFT_UNBOUNDED,
                      .place = WEFT_PLACE_GROUP,
                      .group = group};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static weft_addr *group_spawn(struct rig *rig, weft_group *group, rig_handle handle, void *data)
{
    return group_spawn_init(rig, group, handle, NULL, data);
}

static void end_all(struct rig *rig, weft_addr **addrs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        weft_err err = weft_stop(addrs[i], WEFT_DRAIN);
        cr_assert(err == WEFT_OK || err == WEFT_CLOSED);
        (void)rig_join(rig, addrs[i]);
        weft_addr_put(addrs[i]);
    }
}

/* -- The plain things -- */

BOTH(group, a_member_answers_a_call)
{
    weft_group *group = group_open(rig, 2);
    weft_addr *addr = group_spawn(rig, group, rig_echo, NULL);
    for (uint64_t i = 0; i < 100; i++) cr_assert_eq(rig_call(rig, addr, i), WEFT_OK);
    end_all(rig, &addr, 1);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
}

static weft_err refuse(weft_self *self, void *data)
{
    (void)self;
    (void)data;
    return WEFT_AUTH;
}

BOTH(group, spawn_returns_the_error_of_init_and_leaves_nothing)
{
    weft_group *group = group_open(rig, 1);
    struct rig_actor actor = {.handle = rig_echo, .init = refuse};
    weft_spec spec = {.arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .place = WEFT_PLACE_GROUP,
                      .group = group};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_AUTH);
    cr_assert_null(addr);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
}

BOTH(group, destroy_is_busy_while_an_actor_lives)
{
    weft_group *group = group_open(rig, 2);
    weft_addr *addr = group_spawn(rig, group, rig_echo, NULL);
    cr_assert_eq(weft_group_destroy(group), WEFT_BUSY);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    end_all(rig, &addr, 1);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
}

BOTH(group, an_address_outlives_its_group)
{
    weft_group *group = group_open(rig, 2);
    weft_addr *addr = group_spawn(rig, group, rig_echo, NULL);
    (void)weft_addr_get(addr);
    end_all(rig, &addr, 1);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_CLOSED);
    cr_assert_str_eq(weft_addr_name(addr), "member");
    weft_addr_put(addr);
}

Test(group, the_runtime_ends_groups_that_are_left)
{
    struct rig rig = rig_open(false, 0);
    (void)group_open(&rig, 2);
    (void)group_open(&rig, 1);
    rig_close(&rig);
}

Test(group, a_bad_spec_is_refused)
{
    struct rig rig = rig_open(false, 0), other = rig_open(false, 0);
    weft_group *group = NULL;
    weft_addr *addr = NULL;
    weft_group_spec many = {.workers = WEFT_GROUP_WORKERS_MAX + 1};
    cr_assert_eq(weft_group_create(rig.rt, &many, &group), WEFT_INVALID);
    weft_group_spec small = {.workers = 1, .stack_bytes = 1};
    cr_assert_eq(weft_group_create(rig.rt, &small, &group), WEFT_INVALID);
    cr_assert_null(group);
    weft_spec spec = {.handle = rig_actor_handle, .place = WEFT_PLACE_GROUP};
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID); /* which group? */
    spec.group = group_open(&other, 1);
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID); /* another runtime's */
    cr_assert_eq(weft_group_destroy(spec.group), WEFT_OK);
    spec.group = group_open(&rig, 1);
    spec.place = WEFT_PLACE_THREAD;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID);
    spec.place = WEFT_PLACE_GROUP;
    spec.stack_bytes = 1 << 20; /* the thread is not its own */
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_UNSUPPORTED);
    rig_close(&other);
    rig_close(&rig);
}

/* -- Fair turns -- */

struct greedy {
    uint64_t turns; /* of its own messages */
    bool stop;
};

static weft_verdict greed(weft_self *self, void *data, weft_msg *msg)
{
    struct greedy *greedy = data;
    greedy->turns++;
    if (__atomic_load_n(&greedy->stop, __ATOMIC_RELAXED)) return WEFT_DONE;
    cr_assert_eq(weft_send(weft_self_addr(self), msg), WEFT_OK);
    return WEFT_KEPT;
}

/* What the greedy one had handled when this actor was told, and when it had its turn. */
struct waiter {
    struct greedy *greedy;
    uint64_t told, ran;
};

static weft_verdict note_turn(weft_self *self, void *data, weft_msg *msg)
{
    struct waiter *waiter = data;
    (void)self;
    (void)msg;
    waiter->ran = waiter->greedy->turns;
    return WEFT_DONE;
}

struct teller {
    struct waiter *waiters;
    weft_addr **to;
    unsigned count;
};

static weft_verdict tell_all(weft_self *self, void *data, weft_msg *msg)
{
    struct teller *teller = data;
    (void)self;
    (void)msg;
    for (unsigned i = 0; i < teller->count; i++) {
        teller->waiters[i].told = teller->waiters[i].greedy->turns;
        cr_assert_eq(weft_send(teller->to[i], &note_new(0, i)->msg), WEFT_OK);
    }
    return WEFT_DONE;
}

/* One worker, an actor that always has mail, and 99 that are told once: none of them waits for
 * more than two turns of the greedy one. */
Test(group, a_greedy_actor_leaves_the_others_their_turns)
{
    enum { OTHERS = 99 };
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 1);
    struct greedy greedy = {0};
    struct waiter waiters[OTHERS];
    weft_addr *addrs[OTHERS + 2];
    for (unsigned i = 0; i < OTHERS; i++) {
        waiters[i] = (struct waiter){.greedy = &greedy};
        addrs[i] = group_spawn(&rig, group, note_turn, &waiters[i]);
    }
    struct teller teller = {waiters, addrs, OTHERS};
    addrs[OTHERS] = group_spawn(&rig, group, tell_all, &teller);
    addrs[OTHERS + 1] = group_spawn(&rig, group, greed, &greedy);
    for (unsigned i = 0; i < 100; i++) /* several at once, so that its turns are full ones */
        cr_assert_eq(weft_send(addrs[OTHERS + 1], &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(weft_send(addrs[OTHERS], &note_new(0, 0)->msg), WEFT_OK);
    end_all(&rig, addrs, OTHERS + 1);
    __atomic_store_n(&greedy.stop, true, __ATOMIC_RELAXED);
    end_all(&rig, &addrs[OTHERS + 1], 1);
    for (unsigned i = 0; i < OTHERS; i++)
        cr_expect_leq(waiters[i].ran - waiters[i].told, 2 * WEFT_TURN_MESSAGES_MAX, "actor %u", i);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    rig_close(&rig);
}

/* -- Between workers -- */

struct relay {
    weft_addr *to;
    uint64_t left;
};

static weft_verdict pass_on(weft_self *self, void *data, weft_msg *msg)
{
    struct relay *relay = data;
    (void)self;
    if (relay->left-- == 0) return WEFT_DONE;
    cr_assert_eq(weft_send(relay->to, msg), WEFT_OK);
    return WEFT_KEPT;
}

/* Rings whose messages go round: every hop wakes a sleeping task, from whichever worker. */
static void rings(struct rig *rig, uint32_t workers)
{
    enum { RINGS = 4, EACH = 25, ALL = RINGS * EACH, LAPS = 200 };
    weft_group *group = group_open(rig, workers);
    struct relay *relays = calloc(ALL, sizeof *relays);
    weft_addr *addrs[ALL];
    for (unsigned i = 0; i < ALL; i++) {
        relays[i].left = LAPS;
        addrs[i] = group_spawn(rig, group, pass_on, &relays[i]);
    }
    for (unsigned i = 0; i < ALL; i++)
        relays[i].to = addrs[i % EACH == EACH - 1 ? i + 1 - EACH : i + 1];
    for (unsigned i = 0; i < RINGS; i++)
        cr_assert_eq(weft_send(addrs[i * EACH], &note_new(0, i)->msg), WEFT_OK);
    for (unsigned i = 0; i < RINGS; i++) { /* the first one drops it */
        weft_actor_stats stats;
        do {
            weft_addr_stats(addrs[i * EACH], &stats);
            if (rig->sim != NULL) (void)wf_sim_step(rig->sim);
            else (void)sched_yield();
        } while (stats.handled < LAPS + 1);
    }
    end_all(rig, addrs, ALL);
    for (unsigned i = 0; i < ALL; i++)
        cr_expect_eq(relays[i].left, i % EACH == 0 ? UINT64_MAX : 0, "actor %u", i);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    free(relays);
}

BOTH(group, rings_lose_nothing_on_one_worker) { rings(rig, 1); }
BOTH(group, rings_lose_nothing_on_two_workers) { rings(rig, 2); }
BOTH(group, rings_lose_nothing_on_five_workers) { rings(rig, 5); }

struct flood {
    weft_addr *to;
    uint64_t count;
};

static weft_verdict pour(weft_self *self, void *data, weft_msg *msg)
{
    struct flood *flood = data;
    (void)self;
    (void)msg;
    for (uint64_t i = 0; i < flood->count; i++)
        cr_assert_eq(weft_send(flood->to, &note_new((uint64_t)(uintptr_t)data, i)->msg), WEFT_OK);
    return WEFT_DONE;
}

struct sink {
    const struct flood *first;
    uint64_t next[16], wrong;
};

static weft_verdict drink(weft_self *self, void *data, weft_msg *msg)
{
    struct sink *sink = data;
    const struct note *note = (struct note *)msg;
    size_t from = (size_t)((const struct flood *)(uintptr_t)note->from - sink->first);
    (void)self;
    if (note->number != sink->next[from]++) sink->wrong++;
    return WEFT_DONE;
}

BOTH(group, each_sender_is_heard_in_its_order)
{
    enum { SENDERS = 16, COUNT = 500, ROUNDS = 4 };
    weft_group *group = group_open(rig, 3);
    struct flood floods[SENDERS];
    struct sink sink = {.first = floods};
    weft_addr *addrs[SENDERS + 1];
    addrs[SENDERS] = group_spawn(rig, group, drink, &sink);
    for (unsigned i = 0; i < SENDERS; i++) {
        floods[i] = (struct flood){addrs[SENDERS], COUNT};
        addrs[i] = group_spawn(rig, group, pour, &floods[i]);
        cr_assert_eq(weft_send(addrs[i], &note_new(0, 0)->msg), WEFT_OK);
    }
    end_all(rig, addrs, SENDERS + 1);
    cr_expect_eq(sink.wrong, 0);
    for (unsigned i = 0; i < SENDERS; i++) cr_expect_eq(sink.next[i], COUNT);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
}

/* -- Who is woken runs where it was woken -- */

struct couple {
    weft_addr *other;
    const struct wf_worker *first, *second; /* where they had their turns */
};

static weft_verdict second_turn(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    (void)msg;
    ((struct couple *)data)->second = wf_worker_current();
    return WEFT_DONE;
}

static weft_verdict first_turn(weft_self *self, void *data, weft_msg *msg)
{
    struct couple *couple = data;
    (void)self;
    couple->first = wf_worker_current();
    cr_assert_eq(weft_send(couple->other, msg), WEFT_OK);
    return WEFT_KEPT;
}

Test(group, who_is_woken_runs_next_on_the_same_worker)
{
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 2);
    for (unsigned n = 0; n < 20; n++) {
        struct couple couple = {0};
        weft_addr *addrs[2]; /* born on different workers, and asleep */
        addrs[0] = group_spawn(&rig, group, first_turn, &couple);
        addrs[1] = couple.other = group_spawn(&rig, group, second_turn, &couple);
        cr_assert_eq(weft_send(addrs[0], &note_new(0, n)->msg), WEFT_OK);
        end_all(&rig, addrs, 2);
        cr_expect_not_null(couple.first);
        cr_expect_eq(couple.first, couple.second);
    }
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    rig_close(&rig);
}

/* -- A handler that computes for long: what waits behind it moves -- */

static weft_verdict compute(weft_self *self, void *data, weft_msg *msg)
{
    weft_ns until = weft_now(self) + 200000;
    (void)data;
    while (weft_now(self) < until) {}
    if (((struct note *)msg)->number-- == 0) return WEFT_DONE;
    cr_assert_eq(weft_send(weft_self_addr(self), msg), WEFT_OK);
    return WEFT_KEPT;
}

static weft_verdict start_computing(weft_self *self, void *data, weft_msg *msg)
{
    weft_addr **to = data;
    (void)self;
    (void)msg;
    for (unsigned i = 0; i < 8; i++) cr_assert_eq(weft_send(to[i], &note_new(0, 20)->msg), WEFT_OK);
    return WEFT_DONE;
}

Test(group, what_waits_for_long_goes_to_a_worker_that_sleeps)
{
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 2);
    weft_group_stats stats;
    weft_addr *addrs[9];
    for (unsigned i = 0; i < 8; i++) addrs[i] = group_spawn(&rig, group, compute, NULL);
    addrs[8] = group_spawn(&rig, group, start_computing, addrs);
    do { /* both sleep, then one task makes all the others ready on its worker */
        cr_assert_eq(weft_send(addrs[8], &note_new(0, 0)->msg), WEFT_OK);
        for (unsigned i = 0; i < 8; i++) {
            weft_actor_stats each;
            do {
                weft_addr_stats(addrs[i], &each);
                (void)sched_yield();
            } while (each.handled % 21 != 0 || each.handled == 0);
        }
        weft_group_stats_get(group, &stats);
    } while (stats.handed_over == 0);
    cr_assert_eq(stats.workers, 2);
    cr_assert_eq(stats.actors, 9);
    end_all(&rig, addrs, 9);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    rig_close(&rig);
}

/* -- Timers -- */

struct ticker {
    weft_timer timer;
    weft_addr *tell;
    unsigned left;
};

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct ticker *ticker = ((struct rig_actor *)state)->data;
    (void)missed;
    if (--ticker->left > 0) return;
    cr_assert_eq(weft_timer_stop(self, timer), WEFT_OK);
    (void)weft_stop(weft_self_addr(self), WEFT_NOW);
}

static weft_err tick_init(weft_self *self, void *data)
{
    struct ticker *ticker = data;
    return weft_timer_set(self, &ticker->timer, weft_now(self) + WEFT_MS, WEFT_MS, on_tick);
}

BOTH(group, timers_of_many_members_fire)
{
    enum { COUNT = 200 };
    weft_group *group = group_open(rig, 2);
    struct ticker *tickers = calloc(COUNT, sizeof *tickers);
    weft_addr *addrs[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        tickers[i].left = 1 + i % 5;
        addrs[i] = group_spawn_init(rig, group, rig_echo, tick_init, &tickers[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) { /* each ends by its timer */
        cr_expect_eq(rig_join(rig, addrs[i]), WEFT_OK);
        weft_addr_put(addrs[i]);
        cr_expect_eq(tickers[i].left, 0);
    }
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    free(tickers);
}

/* Asks with deadlines that do not come, from members that several workers run: their nodes stay
 * behind on workers they left, and the group ends with all of them. */
struct asker {
    weft_addr *to;
    struct query query;
    unsigned left;
    weft_err err;
};

static void ask_next(weft_self *self, struct asker *asker);

static void on_answer(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct asker *asker = arg;
    (void)state;
    (void)req;
    asker->err = err;
    if (err == WEFT_OK && --asker->left > 0) ask_next(self, asker);
    else (void)weft_stop(weft_self_addr(self), WEFT_NOW);
}

static void ask_next(weft_self *self, struct asker *asker)
{
    cr_assert_eq(weft_ask(self, asker->to, &asker->query.req, weft_now(self) + 1000 * WEFT_SEC,
                          on_answer, asker, NULL),
                 WEFT_OK);
}

static weft_verdict ask_begin(weft_self *self, void *data, weft_msg *msg)
{
    (void)msg;
    ask_next(self, data);
    return WEFT_DONE;
}

BOTH(group, asks_with_far_deadlines_cross_workers)
{
    enum { ASKERS = 40, ASKS = 300 };
    weft_group *group = group_open(rig, 3);
    struct asker *askers = calloc(ASKERS, sizeof *askers);
    weft_addr *addrs[ASKERS], *servers[3];
    for (unsigned i = 0; i < 3; i++) servers[i] = group_spawn(rig, group, rig_echo, NULL);
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i].to = servers[i % 3];
        askers[i].left = ASKS;
        weft_msg_init(&askers[i].query.req.msg, &QUERY); /* always answered: never dropped */
        addrs[i] = group_spawn(rig, group, ask_begin, &askers[i]);
        cr_assert_eq(weft_send(addrs[i], &note_new(0, 0)->msg), WEFT_OK);
    }
    for (unsigned i = 0; i < ASKERS; i++) {
        (void)rig_join(rig, addrs[i]);
        weft_addr_put(addrs[i]);
        cr_expect_eq(askers[i].err, WEFT_OK);
        cr_expect_eq(askers[i].left, 0);
    }
    end_all(rig, servers, 3);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    free(askers);
}

/* -- Descriptors -- */

struct reader {
    int fd;
    unsigned got;
};

static void on_readable(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct reader *reader = arg;
    char byte = 0;
    (void)state;
    (void)events;
    if (read(fd, &byte, 1) == 1 && ++reader->got == 10)
        (void)weft_stop(weft_self_addr(self), WEFT_NOW);
}

static weft_err watch_init(weft_self *self, void *data)
{
    struct reader *reader = data;
    return weft_fd_watch(self, reader->fd, WEFT_FD_READ, on_readable, reader);
}

/* -- What ended actors leave behind -- */

enum {
    FAR = 96,
    LEFT = 20
}; /* fewer than 16 of each worker may stay, and one that is just ending */

struct far {
    weft_timer timers[FAR];
    weft_addr *addrs[FAR];
    unsigned spawned;
};

static void on_far(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)state, (void)timer, (void)missed;
}

static weft_err set_far(weft_self *self, void *data)
{
    struct far *far = data;
    return weft_timer_set(self, &far->timers[far->spawned], weft_now(self) + 3600 * WEFT_SEC, 0,
                          on_far);
}

/* They run here, beside the one who stops them, and end here. */
static weft_verdict stop_far(weft_self *self, void *data, weft_msg *msg)
{
    struct far *far = data;
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    for (unsigned i = 0; i < FAR; i++) (void)weft_stop(far->addrs[i], WEFT_DRAIN);
    return WEFT_DONE;
}

static uint32_t deadlines_of(weft_group *group, unsigned worker)
{
    return wf_load(&group->workers[worker].armed, WF_RELAXED);
}

static bool has_many_left(weft_group *group)
{
    return deadlines_of(group, 0) > LEFT || deadlines_of(group, 1) > LEFT;
}

/* No timer of the actors is due for an hour, and nobody sends: the worker whose heap they have
 * left sleeps, and is woken to let them go. */
Test(group, the_far_timers_of_ended_actors_do_not_wait_for_mail)
{
    struct rig rig = rig_open(false, 0);
    static struct far far;
    weft_group *group = group_open(&rig, 2);
    for (; far.spawned < FAR; far.spawned++)
        far.addrs[far.spawned] = group_spawn_init(&rig, group, rig_echo, set_far, &far);
    weft_addr *stopper = group_spawn(&rig, group, stop_far, &far);
    for (unsigned i = 0; i < FAR; i++) cr_assert_eq(rig_call(&rig, far.addrs[i], 1), WEFT_OK);
    cr_assert_eq(rig_call(&rig, stopper, 1), WEFT_OK);
    while (deadlines_of(group, 0) + deadlines_of(group, 1) < FAR ||
           wf_load(&group->idle, WF_RELAXED) != 3)
        sched_yield();
    wf_store(&group->idle, 0, WF_RELAXED); /* so that nobody is woken to share the work */
    cr_assert_eq(weft_send(stopper, &note_new(0, 0)->msg), WEFT_OK);
    for (unsigned i = 0; i < FAR; i++) {
        cr_assert_eq(rig_join(&rig, far.addrs[i]), WEFT_OK);
        weft_addr_put(far.addrs[i]);
    }
    weft_ns until = rig_soon(&rig);
    while (has_many_left(group) && weft_rt_now(rig.rt) < until) sched_yield();
    cr_assert_leq(deadlines_of(group, 0), LEFT);
    cr_assert_leq(deadlines_of(group, 1), LEFT);
    weft_addr_put(stopper);
    rig_close(&rig);
}

Test(group, members_hear_of_their_descriptors)
{
    enum { COUNT = 20 };
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 2);
    struct reader readers[COUNT] = {0};
    weft_addr *addrs[COUNT];
    int ends[COUNT][2];
    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(pipe(ends[i]), 0);
        readers[i].fd = ends[i][0];
        addrs[i] = group_spawn_init(&rig, group, rig_echo, watch_init, &readers[i]);
    }
    for (unsigned n = 0; n < 10; n++) {
        for (unsigned i = 0; i < COUNT; i++) cr_assert_eq(write(ends[i][1], "x", 1), 1);
        if (n < 9) cr_assert_eq(rig_call(&rig, addrs[n], n), WEFT_OK); /* mail is heard beside */
    }
    for (unsigned i = 0; i < COUNT; i++) {
        cr_expect_eq(rig_join(&rig, addrs[i]), WEFT_OK);
        cr_expect_eq(readers[i].got, 10);
        weft_addr_put(addrs[i]);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    rig_close(&rig);
}

static weft_verdict close_watched(weft_self *self, void *data, weft_msg *msg)
{
    struct reader *reader = data;
    if (msg->kind == &QUERY) return rig_echo(self, data, msg);
    close(reader->fd); /* a mistake: still watched, and a duplicate keeps it ready */
    return WEFT_STOP;
}

Test(group, a_closed_descriptor_of_an_ended_actor_keeps_nobody_awake)
{
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 1);
    int ends[2][2];
    weft_group_stats before, after;
    for (int i = 0; i < 2; i++) cr_assert_eq(pipe(ends[i]), 0);
    struct reader bad = {.fd = ends[0][0]}, good = {.fd = ends[1][0]};
    int copy = dup(bad.fd);
    weft_addr *stays = group_spawn_init(&rig, group, rig_echo, watch_init, &good);
    weft_addr *ends_first = group_spawn_init(&rig, group, close_watched, watch_init, &bad);
    cr_assert_eq(rig_call(&rig, ends_first, 1), WEFT_OK);
    cr_assert_eq(weft_send(ends_first, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(&rig, ends_first), WEFT_OK);
    cr_assert_eq(write(ends[0][1], "x", 1), 1);
    weft_group_stats_get(group, &before);
    weft_ns until = weft_rt_after(rig.rt, 50 * WEFT_MS);
    while (weft_rt_now(rig.rt) < until) sched_yield();
    weft_group_stats_get(group, &after);
    cr_assert_leq(after.parks - before.parks, 5);
    weft_addr_put(ends_first);
    weft_addr_put(stays);
    cr_assert_eq(weft_rt_stop(rig.rt, rig_soon(&rig)), WEFT_OK);
    close(copy);
    close(ends[0][1]);
    for (int i = 0; i < 2; i++) close(ends[1][i]);
    rig_close(&rig);
}

/* -- Many -- */

static size_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

Test(group, a_hundred_thousand_idle_actors_cost_512_bytes_each)
{
    enum { COUNT = 100000 };
    (void)mallopt(M_PERTURB, 0); /* meson has malloc touch what nobody uses */
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 2);
    weft_addr **addrs = calloc(COUNT, sizeof *addrs);
    memset(addrs, 1, COUNT * sizeof *addrs); /* its pages are there before */
    weft_spec spec = {.name = "light",
                      .state_size = 64,
                      .handle = rig_actor_handle,
                      .place = WEFT_PLACE_GROUP,
                      .group = group};
    size_t before = resident_bytes();
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(weft_spawn(rig.rt, &spec, &addrs[i]), WEFT_OK);
    size_t each = (resident_bytes() - before) / COUNT;
#if WF_POOL
    cr_expect_leq(each, 512, "%zu bytes each", each);
#else
    (void)each; /* what checks memory counts its own, too, and takes each from the heap */
#endif
    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(weft_stop(addrs[i], WEFT_NOW), WEFT_OK);
        weft_addr_put(addrs[i]);
    }
    free(addrs);
    rig_close(&rig);
}

/* A worker with nothing to do sleeps: its group takes no turns and parks once. */
Test(group, an_idle_group_does_nothing)
{
    struct rig rig = rig_open(false, 0);
    weft_group *group = group_open(&rig, 2);
    weft_addr *addrs[50];
    weft_group_stats before, after;
    for (unsigned i = 0; i < 50; i++) {
        addrs[i] = group_spawn(&rig, group, rig_echo, NULL);
        cr_assert_eq(rig_call(&rig, addrs[i], i), WEFT_OK);
    }
    do { /* until both sleep */
        (void)sched_yield();
        weft_group_stats_get(group, &before);
    } while (__builtin_popcountll(__atomic_load_n(&group->idle, __ATOMIC_RELAXED)) != 2 ||
             __atomic_load_n(&group->workers[0].inbox, __ATOMIC_RELAXED) != WF_BOX_PARK_FUTEX ||
             __atomic_load_n(&group->workers[1].inbox, __ATOMIC_RELAXED) != WF_BOX_PARK_FUTEX);
    weft_ns until = weft_rt_now(rig.rt) + 200 * WEFT_MS;
    while (weft_rt_now(rig.rt) < until) (void)sched_yield();
    weft_group_stats_get(group, &after);
    cr_expect_eq(after.turns, before.turns);
    cr_expect_leq(after.parks, before.parks + 2);
    end_all(&rig, addrs, 50);
    cr_assert_eq(weft_group_destroy(group), WEFT_OK);
    rig_close(&rig);
}
