/* SPDX-License-Identifier: Apache-2.0
 * test_stress.c - many threads and actors at once, judged by what arrived.
 * Called by: the test runner, and under ThreadSanitizer and AddressSanitizer. */
#include "rig.h"

#include <pthread.h>

/* -- Producers against one actor that may be stopped at any time: what was taken was
 * handled or became a dead letter, each once -- */

enum { PRODUCERS = 4, EACH = 4000, ROUNDS = 6 };

struct tally {
    uint64_t handled, letters, next[PRODUCERS];
    bool bad;
};

static void note_it(struct tally *tally, const struct note *note)
{
    tally->bad |= note->number != tally->next[note->from];
    tally->next[note->from] = note->number + 1;
}

static weft_verdict tally_handle(weft_self *self, void *data, weft_msg *msg)
{
    struct tally *tally = data;
    (void)self;
    tally->handled++;
    note_it(tally, (struct note *)msg);
    return WEFT_DONE;
}

static void tally_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct tally *tally = arg;
    (void)to, (void)why;
    tally->letters++;
    note_it(tally, (struct note *)msg); /* dead letters come in order too, after the handled */
    weft_drop(msg);
}

struct producer {
    pthread_t thread;
    weft_addr *to;
    uint64_t from, taken;
    bool chains;
};

static weft_err produce_one(struct producer *p)
{
    struct note *note = note_new(p->from, p->taken);
    weft_err err = weft_send(p->to, &note->msg);
    if (err == WEFT_OK) p->taken++;
    else weft_drop(&note->msg);
    return err;
}

static weft_err produce_chain(struct producer *p)
{
    struct note *notes[3];
    for (unsigned i = 0; i < 3; i++) {
        notes[i] = note_new(p->from, p->taken + i);
        if (i > 0) notes[i - 1]->msg.next = &notes[i]->msg;
    }
    weft_err err = weft_send_chain(p->to, &notes[0]->msg, &notes[2]->msg);
    if (err == WEFT_OK) p->taken += 3;
    else
        for (unsigned i = 0; i < 3; i++) weft_drop(&notes[i]->msg);
    return err;
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    while (p->taken < EACH) {
        weft_err err = p->chains ? produce_chain(p) : produce_one(p);
        if (err == WEFT_CLOSED) break;
        if (err == WEFT_FULL) sched_yield();
    }
    return NULL;
}

static void producers_against_stop(unsigned round)
{
    struct rig rig = rig_open(false, 0);
    struct tally tally = {0};
    struct producer producers[PRODUCERS];
    uint64_t taken = 0;
    weft_rt_on_dead_letter(rig.rt, tally_letter, &tally);
    weft_addr *addr = rig_spawn(&rig, tally_handle, &tally, round % 2 == 0 ? 32 : WEFT_UNBOUNDED);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.to = addr, .from = i, .chains = i % 2 == 1};
        cr_assert_eq(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    weft_actor_stats stats;
    do { /* let some of it through, more in each round */
        weft_addr_stats(addr, &stats);
        sched_yield();
    } while (stats.handled < 500 * round);
    cr_assert_eq(weft_stop(addr, round % 3 == 0 ? WEFT_NOW : WEFT_DRAIN), WEFT_OK);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        taken += producers[i].taken;
    }
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(tally.handled + tally.letters, taken);
    cr_assert_not(tally.bad);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stress, what_was_taken_is_handled_or_a_dead_letter)
{
    for (unsigned round = 0; round < ROUNDS; round++) producers_against_stop(round);
}

/* -- A ring of actors that ask each other while it is torn down -- */

enum { RING = 8, RING_ROUNDS = 8 };

struct ring {
    weft_addr *next;
    uint64_t asked, over;
};

static void on_ring(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static void ring_ask(weft_self *self, struct ring *ring)
{
    struct query *query = query_new(ring->asked);
    weft_ns deadline = weft_now(self) + 1000 + ring->asked % 128 * 1000;
    weft_err err = weft_ask(self, ring->next, &query->req, deadline, on_ring, ring, NULL);
    if (err == WEFT_OK) ring->asked++;
    else weft_drop(&query->req.msg);
}

static void on_ring(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct ring *ring = arg;
    (void)state;
    ring->over++;
    if (req != NULL) weft_drop(&req->msg);
    if (err != WEFT_CLOSED) ring_ask(self, ring); /* CANCELED: refused, we are ending */
}

static weft_verdict ring_handle(weft_self *self, void *data, weft_msg *msg)
{
    struct ring *ring = data;
    if (msg->kind == &NOTE) {
        for (int i = 0; i < 4; i++) ring_ask(self, ring);
        return WEFT_DONE;
    }
    return ((struct query *)msg)->number % 16 == 3 ? WEFT_DONE : rig_echo(self, NULL, msg);
}

Test(stress, asks_end_once_each_while_the_ring_is_torn_down)
{
    for (unsigned round = 0; round < RING_ROUNDS; round++) {
        struct rig rig = rig_open(false, 0);
        struct ring ring[RING] = {{0}};
        weft_addr *addrs[RING];
        for (unsigned i = 0; i < RING; i++) addrs[i] = rig_spawn(&rig, ring_handle, &ring[i], 0);
        for (unsigned i = 0; i < RING; i++) ring[i].next = addrs[(i + 1) % RING];
        for (unsigned i = 0; i < RING; i++)
            cr_assert_eq(weft_send(addrs[i], &note_new(0, 0)->msg), WEFT_OK);
        for (unsigned i = 0; i < 20 * round; i++) {
            /* Only to let some of it happen: where time is short the mailboxes fill with asks
             * that were given up, and a full one is a right answer. */
            weft_err err = rig_call(&rig, addrs[i % RING], 0);
            cr_assert(err == WEFT_OK || err == WEFT_FULL, "%s", weft_errname(err));
        }
        for (unsigned i = 0; i < RING; i++)
            cr_assert_eq(weft_stop(addrs[i], i % 2 == 0 ? WEFT_NOW : WEFT_DRAIN), WEFT_OK);
        for (unsigned i = 0; i < RING; i++) cr_assert_eq(rig_join(&rig, addrs[i]), WEFT_OK);
        for (unsigned i = 0; i < RING; i++) {
            cr_assert_eq(ring[i].asked, ring[i].over);
            weft_addr_put(addrs[i]);
        }
        rig_close(&rig);
    }
}

/* -- Spawning and ending from many threads -- */

static void *spawn_and_stop(void *arg)
{
    struct rig *rig = arg;
    for (unsigned i = 0; i < 60; i++) {
        weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
        if (i % 3 != 0) cr_assert_eq(rig_call(rig, addr, i), WEFT_OK);
        cr_assert_eq(weft_stop(addr, i % 2 == 0 ? WEFT_NOW : WEFT_DRAIN), WEFT_OK);
        if (i % 4 != 0) cr_assert_eq(rig_join(rig, addr), WEFT_OK);
        weft_addr_put(addr);
    }
    return NULL;
}

Test(stress, actors_come_and_go_from_many_threads)
{
    struct rig rig = rig_open(false, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, spawn_and_stop, &rig), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    rig_close(&rig);
}
