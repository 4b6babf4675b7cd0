/* SPDX-License-Identifier: Apache-2.0
 * test_credit.c - bounded mailboxes: FULL at the bound, news of room, waiting.
 * Called by: the test runner. */
#include "rig.h"

#include "block.h"

#include <pthread.h>

/* Counts notes; answers queries; note number 99 stops it. */
struct counter {
    uint64_t notes, systems, next;
    bool in_order;
};

static weft_verdict count(weft_self *self, void *data, weft_msg *msg)
{
    struct counter *counter = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    struct note *note = (struct note *)msg;
    counter->in_order = (counter->notes == 0 || counter->in_order) && note->number == counter->next;
    counter->next++;
    counter->notes++;
    return WEFT_DONE;
}

Test(credit, a_message_that_is_refused_keeps_its_link)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *to = rig_spawn(&rig, rig_echo, NULL, 1);
    struct note *first = note_new(0, 0), *second = note_new(0, 1), *third = note_new(0, 2);
    second->msg.next = &third->msg; /* its sender's list of what waits */
    cr_assert_eq(weft_send(to, &first->msg), WEFT_OK);
    cr_assert_eq(weft_send(to, &second->msg), WEFT_FULL);
    cr_assert_eq(second->msg.next, &third->msg);
    weft_drop(&second->msg);
    weft_drop(&third->msg);
    weft_addr_put(to);
    rig_close(&rig);
}

Test(credit, a_full_mailbox_leaves_the_message_with_its_sender)
{
    struct rig rig = rig_open(true, 5);
    struct counter counter = {0};
    weft_addr *addr = rig_spawn(&rig, count, &counter, 3);
    for (unsigned i = 0; i < 3; i++) cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
    struct note *more = note_new(0, 3);
    cr_assert_eq(weft_send(addr, &more->msg), WEFT_FULL);
    cr_assert_eq(more->number, 3);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(counter.notes, 3);
    cr_assert_eq(weft_send(addr, &more->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(counter.notes, 4);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(credit, system_messages_need_no_room)
{
    struct rig rig = rig_open(true, 5);
    struct counter counter = {0};
    weft_addr *addr = rig_spawn(&rig, count, &counter, 1);
    cr_assert_eq(weft_send(addr, &note_new(0, 1)->msg), WEFT_OK);
    cr_assert_eq(wf_send_system(addr, &note_new(0, 0)->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(counter.notes, 2);
    cr_assert(counter.in_order, "the system lane goes first");
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_msg *chain(struct note **notes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) notes[i] = note_new(0, i);
    for (unsigned i = 0; i + 1 < n; i++) notes[i]->msg.next = &notes[i + 1]->msg;
    return &notes[0]->msg;
}

Test(credit, a_chain_is_taken_whole_or_not_at_all)
{
    struct rig rig = rig_open(true, 5);
    struct counter counter = {0};
    struct note *notes[5];
    weft_addr *addr = rig_spawn(&rig, count, &counter, 4);
    weft_msg *first = chain(notes, 5);
    cr_assert_eq(weft_send_chain(addr, first, &notes[4]->msg), WEFT_FULL);
    for (unsigned i = 0; i < 4; i++) cr_assert_eq(notes[i]->msg.next, &notes[i + 1]->msg);
    cr_assert_eq(weft_send_chain(addr, first, &notes[3]->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(counter.notes, 4);
    cr_assert(counter.in_order);
    weft_drop(&notes[4]->msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(credit, a_chain_refused_by_a_closed_mailbox_keeps_its_order)
{
    struct rig rig = rig_open(true, 5);
    struct note *notes[3];
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 8);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    weft_msg *first = chain(notes, 3);
    cr_assert_eq(weft_send_chain(addr, first, &notes[2]->msg), WEFT_CLOSED);
    cr_assert_eq(notes[0]->msg.next, &notes[1]->msg);
    cr_assert_eq(notes[1]->msg.next, &notes[2]->msg);
    cr_assert_null(notes[2]->msg.next);
    for (unsigned i = 0; i < 3; i++) weft_drop(&notes[i]->msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(credit, a_refused_part_of_a_longer_list_stays_in_it)
{
    struct rig rig = rig_open(true, 5);
    struct note *notes[4];
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 2);
    weft_msg *first = chain(notes, 4);
    cr_assert_eq(weft_send_chain(addr, first, &notes[2]->msg), WEFT_FULL);
    cr_expect_eq(notes[2]->msg.next, &notes[3]->msg);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(weft_send_chain(addr, first, &notes[2]->msg), WEFT_CLOSED);
    cr_expect_eq(notes[2]->msg.next, &notes[3]->msg);
    for (unsigned i = 0; i < 4; i++) weft_drop(&notes[i]->msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(credit, a_chain_whose_last_is_not_behind_its_first_is_refused)
{
    struct rig rig = rig_open(true, 5);
    struct counter counter = {0};
    struct note *notes[3], *other = note_new(0, 3);
    weft_addr *addr = rig_spawn(&rig, count, &counter, 8);
    weft_msg *first = chain(notes, 3);
    cr_expect_eq(weft_send_chain(addr, first, &other->msg), WEFT_INVALID);
    cr_expect_eq(weft_send_chain(addr, first, &notes[2]->msg), WEFT_OK, "it is as it was");
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_expect_eq(counter.notes, 3);
    weft_drop(&other->msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- An actor that is told of room instead of waiting for it -- */

enum { FLOW = 5000 };

struct flow {
    weft_addr *to;
    uint64_t sent;
    unsigned full, told;
    bool closed;
};

static const weft_kind ROOM = {4, "room", sizeof(weft_msg), weft_free_msg};

static weft_verdict flow_on(weft_self *self, void *data, weft_msg *msg)
{
    struct flow *flow = data;
    flow->told += msg->kind == &ROOM;
    while (flow->sent < FLOW) {
        struct note *note = note_new(0, flow->sent);
        weft_err err = weft_send(flow->to, &note->msg);
        if (err == WEFT_OK) {
            flow->sent++;
            continue;
        }
        weft_drop(&note->msg);
        flow->closed = err == WEFT_CLOSED;
        if (err == WEFT_CLOSED) return WEFT_STOP;
        flow->full++;
        weft_msg *room = weft_new(&ROOM);
        err = weft_notify_credit(self, flow->to, room);
        if (err != WEFT_OK) weft_drop(room);
        flow->closed = err == WEFT_CLOSED;
        return flow->closed ? WEFT_STOP : WEFT_DONE;
    }
    return WEFT_STOP;
}

static void flows(struct rig *rig, uint32_t room)
{
    struct counter counter = {0};
    struct flow flow = {.to = rig_spawn(rig, count, &counter, room)};
    weft_addr *addr = rig_spawn(rig, flow_on, &flow, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(weft_stop(flow.to, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, flow.to), WEFT_OK);
    cr_assert_eq(counter.notes, FLOW);
    cr_assert(counter.in_order);
    cr_assert(flow.told > 0 && flow.told == flow.full);
    weft_addr_put(addr);
    weft_addr_put(flow.to);
}

BOTH(credit, news_of_room_carries_everything_through_a_mailbox_of_one) { flows(rig, 1); }
BOTH(credit, news_of_room_carries_everything_through_a_mailbox_of_five) { flows(rig, 5); }

/* Stops when it gets its first note, with the waiter still waiting. */
static weft_verdict stop_first(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data, (void)msg;
    return WEFT_STOP;
}

BOTH(credit, a_waiter_is_told_when_the_receiver_closes)
{
    struct flow flow = {.to = rig_spawn(rig, stop_first, NULL, 1)};
    weft_addr *addr = rig_spawn(rig, flow_on, &flow, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert(flow.closed);
    weft_addr_put(addr);
    weft_addr_put(flow.to);
}

/* -- send_wait: plain threads -- */

BOTH(send_wait, waits_for_room_and_sends)
{
    struct counter counter = {0};
    weft_addr *addr = rig_spawn(rig, count, &counter, 2);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(weft_send_wait(addr, &note_new(0, i)->msg, rig_soon(rig)), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(counter.notes, 1000);
    cr_assert(counter.in_order);
    weft_addr_put(addr);
}

static weft_verdict gate(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)msg;
    while (__atomic_load_n((int *)data, __ATOMIC_ACQUIRE) == 0) {}
    return WEFT_DONE;
}

Test(send_wait, times_out_and_keeps_the_message)
{
    struct rig rig = rig_open(false, 0);
    int open = 0;
    weft_addr *addr = rig_spawn(&rig, gate, &open, 1);
    weft_err err;
    do { /* until the first is being handled and the second is queued */
        struct note *note = note_new(0, 0);
        err = weft_send(addr, &note->msg);
        if (err != WEFT_OK) weft_drop(&note->msg);
    } while (err == WEFT_OK);
    struct note *note = note_new(0, 0);
    cr_assert_eq(weft_send_wait(addr, &note->msg, weft_rt_after(rig.rt, 2 * WEFT_MS)),
                 WEFT_TIMED_OUT);
    weft_drop(&note->msg);
    __atomic_store_n(&open, 1, __ATOMIC_RELEASE);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- Several plain threads through a narrow mailbox: each note once, in order -- */

enum { THREADS = 4, PER_THREAD = 2000 };

struct sender {
    pthread_t thread;
    struct rig *rig;
    weft_addr *to;
    uint64_t from;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (uint64_t i = 0; i < PER_THREAD; i++) {
        struct note *note = note_new(s->from, i);
        if (weft_send_wait(s->to, &note->msg, rig_soon(s->rig)) != WEFT_OK) {
            weft_drop(&note->msg);
            return s;
        }
    }
    return NULL;
}

struct history {
    uint64_t next[THREADS], total;
    bool bad;
};

static weft_verdict check_history(weft_self *self, void *data, weft_msg *msg)
{
    struct history *history = data;
    struct note *note = (struct note *)msg;
    (void)self;
    history->bad |= note->from >= THREADS || note->number != history->next[note->from];
    history->next[note->from]++;
    history->total++;
    return WEFT_DONE;
}

Test(send_wait, many_threads_share_a_narrow_mailbox_without_loss)
{
    struct rig rig = rig_open(false, 0);
    struct history history = {0};
    struct sender senders[THREADS];
    weft_addr *addr = rig_spawn(&rig, check_history, &history, 4);
    for (unsigned i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){.rig = &rig, .to = addr, .from = i};
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(senders[i].thread, &failed);
        cr_assert_null(failed);
    }
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(history.total, (uint64_t)THREADS * PER_THREAD);
    cr_assert_not(history.bad);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- News of room reaches all who wait, whoever's wish brought the room -- */

struct wishes {
    weft_addr *to;
    unsigned notes, told;
};

static weft_verdict wish_at_each_note(weft_self *self, void *data, weft_msg *msg)
{
    struct wishes *wishes = data;
    if (((struct note *)msg)->from == 1) { /* news that its own wish brought: it does not care */
        wishes->told++;
        return WEFT_DONE;
    }
    if (++wishes->notes < 3)
        cr_assert_eq(weft_notify_credit(self, weft_self_addr(self), &note_new(1, 0)->msg), WEFT_OK);
    return WEFT_DONE;
}

static weft_err wish_once(weft_self *self, void *data)
{
    struct wishes *wishes = data;
    return weft_notify_credit(self, wishes->to, &note_new(1, 0)->msg);
}

static weft_verdict count_news(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)msg;
    ((struct wishes *)data)->told++;
    return WEFT_DONE;
}

/* Two wishes take the credits home one by one, so that the half that would tell is never
 * reached: who waited before them must hear of it all the same. */
Test(credit, one_wish_does_not_hide_the_room_from_those_who_wait)
{
    struct rig rig = rig_open(true, 5);
    struct wishes busy = {0}, waiting = {0};
    weft_addr *to = rig_spawn(&rig, wish_at_each_note, &busy, 3);
    for (unsigned i = 0; i < 3; i++) cr_assert_eq(weft_send(to, &note_new(0, i)->msg), WEFT_OK);
    waiting.to = to;
    weft_addr *waiter = rig_spawn_init(&rig, count_news, wish_once, &waiting, 0);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(busy.notes, 3);
    cr_assert_eq(busy.told, 2);
    cr_assert_eq(waiting.told, 1);
    weft_addr_put(waiter);
    weft_addr_put(to);
    rig_close(&rig);
}
