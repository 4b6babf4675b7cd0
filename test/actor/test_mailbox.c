/* SPDX-License-Identifier: Apache-2.0
 * test_mailbox.c - the tagged word: order, lanes, credit, sleep, close.
 * Called by: the test runner. */
#include "mailbox.h"
#include "park.h"
#include "rig.h"

#include <pthread.h>

/* A mailbox by itself: where senders push, and what its consumer has. */
struct box {
    weft_addr addr;
    struct wf_lanes in;
    struct wf_parker parker;
};

static void open_box_spin(struct box *box, uint32_t room, uint32_t spin)
{
    memset(box, 0, sizeof *box);
    wf_mailbox_init(&box->addr, wf_port_machine(), room);
    wf_parker_init(&box->parker, wf_port_machine(), spin);
}

static void open_box(struct box *box, uint32_t room) { open_box_spin(box, room, 0); }

static weft_err push(struct box *box, weft_msg *msg, uint32_t flags)
{
    msg->flags = flags;
    return wf_mailbox_push(&box->addr, msg, msg);
}

Test(mailbox, drain_gives_messages_in_the_order_of_sending)
{
    struct box mb;
    weft_msg msgs[5] = {0};
    open_box(&mb, WEFT_UNBOUNDED);
    for (int i = 0; i < 3; i++) cr_assert_eq(push(&mb, &msgs[i], 0), WEFT_OK);
    wf_mailbox_drain(&mb.addr, &mb.in);
    for (int i = 3; i < 5; i++) cr_assert_eq(push(&mb, &msgs[i], 0), WEFT_OK);
    wf_mailbox_drain(&mb.addr, &mb.in);
    cr_assert_eq(mb.in.user.count, 5);
    for (int i = 0; i < 5; i++) cr_assert_eq(wf_lane_pop(&mb.in.user), &msgs[i]);
    cr_assert_null(wf_lane_pop(&mb.in.user));
}

Test(mailbox, drain_sorts_system_messages_into_their_own_lane)
{
    struct box mb;
    weft_msg msgs[4] = {0};
    open_box(&mb, WEFT_UNBOUNDED);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(push(&mb, &msgs[i], i % 2 == 0 ? 0 : WF_MSG_SYSTEM), WEFT_OK);
    wf_mailbox_drain(&mb.addr, &mb.in);
    cr_assert_eq(wf_lane_pop(&mb.in.system), &msgs[1]);
    cr_assert_eq(wf_lane_pop(&mb.in.system), &msgs[3]);
    cr_assert_eq(wf_lane_pop(&mb.in.user), &msgs[0]);
    cr_assert_eq(wf_lane_pop(&mb.in.user), &msgs[2]);
}

Test(mailbox, close_hands_over_what_is_queued_and_refuses_the_rest)
{
    struct box mb;
    weft_msg early = {0}, late = {0};
    open_box(&mb, WEFT_UNBOUNDED);
    cr_assert_eq(push(&mb, &early, 0), WEFT_OK);
    wf_mailbox_close(&mb.addr, &mb.in);
    cr_assert_eq(push(&mb, &late, 0), WEFT_CLOSED);
    cr_assert_eq(wf_lane_pop(&mb.in.user), &early);
    cr_assert_null(wf_lane_pop(&mb.in.user));
}

Test(mailbox, credit_is_exact_and_comes_back_in_halves)
{
    struct box mb;
    open_box(&mb, 4);
    cr_assert(wf_mailbox_credit_take(&mb.addr, 3));
    cr_assert_not(wf_mailbox_credit_take(&mb.addr, 2));
    cr_assert(wf_mailbox_credit_take(&mb.addr, 1));
    cr_assert_not(wf_mailbox_credit_take(&mb.addr, 1));
    cr_assert_not(wf_mailbox_settle(&mb.addr, &mb.in, 1)); /* one handled: nothing returned yet */
    cr_assert_not(wf_mailbox_credit_take(&mb.addr, 1));
    cr_assert(wf_mailbox_settle(&mb.addr, &mb.in, 1)); /* two: both come back */
    cr_assert(wf_mailbox_credit_take(&mb.addr, 2));
    cr_assert_not(wf_mailbox_credit_take(&mb.addr, 1));
}

Test(mailbox, park_begin_refuses_when_there_is_mail)
{
    struct box mb;
    weft_msg msg = {0};
    open_box(&mb, WEFT_UNBOUNDED);
    cr_assert_eq(push(&mb, &msg, 0), WEFT_OK);
    cr_assert_not(wf_word_park(&mb.addr.head, WF_BOX_PARK_FUTEX));
}

Test(mailbox, park_ends_at_its_deadline)
{
    struct box mb;
    open_box(&mb, WEFT_UNBOUNDED);
    weft_ns deadline = wf_port_now(mb.addr.port) + 2 * WEFT_MS;
    while (wf_port_now(mb.addr.port) < deadline) wf_park(&mb.parker, &mb.addr.head, deadline);
    cr_assert(wf_mailbox_is_empty(&mb.addr, &mb.in));
    cr_assert_eq(mb.addr.head, WF_BOX_EMPTY);
}

/* -- Several producers: each message once, each producer's in its order -- */

enum { PRODUCERS = 4, EACH = 20000 };

struct producer {
    pthread_t thread;
    struct box *mb;
    struct note *notes;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < EACH; i++) {
        while (!wf_mailbox_credit_take(&p->mb->addr, 1)) sched_yield();
        if (wf_mailbox_push(&p->mb->addr, &p->notes[i].msg, &p->notes[i].msg) != WEFT_OK) return p;
    }
    return NULL;
}

/* Consumes until all have arrived; a gap, a double or a swap fails the test. */
static void consume_all(struct box *mb, bool with_poll)
{
    uint64_t next[PRODUCERS] = {0}, got = 0;
    struct wf_ready ready[4];
    while (got < (uint64_t)PRODUCERS * EACH) {
        wf_mailbox_drain(&mb->addr, &mb->in);
        weft_msg *msg = wf_lane_pop(&mb->in.user);
        if (msg == NULL && with_poll)
            (void)wf_park_fd(&mb->parker, &mb->addr.head, mb->addr.poll, WEFT_NEVER, ready, 4);
        else if (msg == NULL) wf_park(&mb->parker, &mb->addr.head, WEFT_NEVER);
        if (msg == NULL) continue;
        struct note *note = (struct note *)msg;
        cr_assert_eq(note->number, next[note->from]);
        next[note->from]++;
        got++;
        (void)wf_mailbox_settle(&mb->addr, &mb->in, 1);
    }
    cr_assert(wf_mailbox_is_empty(&mb->addr, &mb->in));
}

static void stress(uint32_t room, uint32_t spin, bool with_poll)
{
    struct box mb;
    struct producer producers[PRODUCERS];
    open_box_spin(&mb, room, spin);
    if (with_poll) cr_assert_eq(mb.addr.port->ops->poll_open(mb.addr.port, &mb.addr.poll), WEFT_OK);
    for (unsigned p = 0; p < PRODUCERS; p++) {
        producers[p].mb = &mb;
        producers[p].notes = calloc(EACH, sizeof(struct note));
        for (uint64_t i = 0; i < EACH; i++) {
            producers[p].notes[i].from = p;
            producers[p].notes[i].number = i;
        }
        cr_assert_eq(pthread_create(&producers[p].thread, NULL, produce, &producers[p]), 0);
    }
    consume_all(&mb, with_poll);
    for (unsigned p = 0; p < PRODUCERS; p++) {
        void *failed = NULL;
        pthread_join(producers[p].thread, &failed);
        cr_assert_null(failed);
        free(producers[p].notes);
    }
    if (with_poll) mb.addr.port->ops->poll_close(mb.addr.port, mb.addr.poll);
}

Test(mailbox, many_producers_keep_their_order_and_lose_nothing)
{
    stress(WEFT_UNBOUNDED, 0, false);
}
Test(mailbox, a_bound_loses_nothing) { stress(16, 0, false); }
Test(mailbox, without_spinning_every_wake_arrives) { stress(1, UINT32_MAX, false); }
Test(mailbox, a_sleep_in_the_poll_hears_every_wake) { stress(2, UINT32_MAX, true); }

/* -- Close against pushes: taken or refused, never lost -- */

struct racer {
    pthread_t thread;
    struct box *mb;
    weft_msg *msgs;
    int taken;
};

enum { RACE_MSGS = 64, RACE_ROUNDS = 300 };

static void *race(void *arg)
{
    struct racer *r = arg;
    while (r->taken < RACE_MSGS) {
        weft_msg *msg = &r->msgs[r->taken];
        if (wf_mailbox_push(&r->mb->addr, msg, msg) != WEFT_OK) break;
        r->taken++;
    }
    return NULL;
}

Test(mailbox, close_against_pushes_loses_none_that_was_taken)
{
    for (int round = 0; round < RACE_ROUNDS; round++) {
        struct box mb;
        struct racer racers[2];
        open_box(&mb, WEFT_UNBOUNDED);
        for (int i = 0; i < 2; i++) {
            racers[i] = (struct racer){.mb = &mb, .msgs = calloc(RACE_MSGS, sizeof(weft_msg))};
            cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        if (round % 3 != 0)
            while (__atomic_load_n(&mb.addr.head, __ATOMIC_RELAXED) == WF_BOX_EMPTY) sched_yield();
        if (round % 2 != 0) wf_mailbox_drain(&mb.addr, &mb.in);
        wf_mailbox_close(&mb.addr, &mb.in);
        for (int i = 0; i < 2; i++) pthread_join(racers[i].thread, NULL);
        cr_assert_eq(mb.in.user.count, (uint64_t)(racers[0].taken + racers[1].taken));
        for (int i = 0; i < 2; i++) free(racers[i].msgs);
    }
}
