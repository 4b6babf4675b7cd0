/* SPDX-License-Identifier: Apache-2.0
 * test_overflow.c - a full mailbox that refuses, drops the new or drops the old.
 * Called by: the test runner. In the simulator nobody runs between two sends, so a mailbox is
 * as full as a test wants it. */
#include "block.h"
#include "rig.h"

#include <pthread.h>

enum { ROOM = 64 };

struct sink {
    unsigned count;
    uint64_t numbers[ROOM];
    unsigned system;
};

static weft_verdict take(weft_self *self, void *data, weft_msg *msg)
{
    struct sink *sink = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (sink->count < ROOM) sink->numbers[sink->count] = ((struct note *)msg)->number;
    sink->count++;
    return WEFT_DONE;
}

struct letters {
    unsigned count;
    weft_err why;
    uint64_t first, last;
};

static void on_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct letters *letters = arg;
    (void)to;
    uint64_t number = ((struct note *)msg)->number;
    if (letters->count++ == 0) letters->first = number;
    letters->last = number;
    letters->why = why;
    weft_drop(msg);
}

static weft_addr *spawn_sink(struct rig *rig, struct sink *sink, weft_overflow overflow,
                             uint32_t mailbox)
{
    struct rig_actor actor = {.data = sink, .handle = take};
    weft_spec spec = {.name = "sink",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = mailbox,
                      .overflow = overflow};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

/* Sends 0 .. n-1 and returns how many were taken. */
static unsigned send_all(weft_addr *to, unsigned n)
{
    unsigned taken = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct note *note = note_new(0, i);
        weft_err err = weft_send(to, &note->msg);
        if (err == WEFT_OK) taken++;
        else weft_drop(&note->msg);
    }
    return taken;
}

static uint64_t overflow_of(weft_addr *addr)
{
    weft_actor_stats stats;
    weft_addr_stats(addr, &stats);
    return stats.overflow;
}

static void settle(struct rig *rig) { wf_sim_run_until(rig->sim, wf_sim_now(rig->sim) + WEFT_SEC); }

Test(overflow, reject_answers_full_and_drops_nothing)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct letters letters = {0};
    weft_rt_on_dead_letter(rig.rt, on_letter, &letters);
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_REJECT, 4);
    cr_assert_eq(send_all(addr, 10), 4);
    settle(&rig);
    cr_assert_eq(sink.count, 4);
    cr_assert_eq(letters.count, 0);
    cr_assert_eq(overflow_of(addr), 0);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, drop_new_answers_ok_and_keeps_the_oldest)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct letters letters = {0};
    weft_rt_on_dead_letter(rig.rt, on_letter, &letters);
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_DROP_NEW, 4);
    cr_assert_eq(send_all(addr, 10), 10);
    cr_assert_eq(letters.count, 6, "at once, on the sender's thread");
    cr_assert_eq(letters.why, WEFT_FULL);
    cr_assert_eq(letters.first, 4);
    cr_assert_eq(letters.last, 9);
    settle(&rig);
    cr_assert_eq(sink.count, 4);
    for (uint64_t i = 0; i < 4; i++) cr_assert_eq(sink.numbers[i], i);
    cr_assert_eq(overflow_of(addr), 6);
    cr_assert_eq(send_all(addr, 2), 2, "and there is room again");
    settle(&rig);
    cr_assert_eq(sink.count, 6);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, drop_old_answers_ok_and_keeps_the_newest)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct letters letters = {0};
    weft_rt_on_dead_letter(rig.rt, on_letter, &letters);
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_DROP_OLD, 4);
    cr_assert_eq(send_all(addr, 7), 7);
    settle(&rig);
    cr_assert_eq(sink.count, 4);
    for (uint64_t i = 0; i < 4; i++) cr_assert_eq(sink.numbers[i], 3 + i);
    cr_assert_eq(letters.count, 3);
    cr_assert_eq(letters.why, WEFT_FULL);
    cr_assert_eq(letters.first, 0);
    cr_assert_eq(letters.last, 2);
    cr_assert_eq(overflow_of(addr), 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, drop_old_refuses_beyond_twice_the_mailbox_and_recovers)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_DROP_OLD, 4);
    for (int round = 0; round < 50; round++) {
        cr_assert_eq(send_all(addr, 20), 8, "round %d", round);
        settle(&rig);
        cr_assert_eq(sink.count, 4u * (unsigned)(round + 1));
    }
    cr_assert_eq(overflow_of(addr), 200);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, a_drain_does_not_wait_for_what_was_dropped)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_DROP_OLD, 2);
    cr_assert_eq(send_all(addr, 4), 4);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(sink.count, 2);
    weft_addr_put(addr);
    rig_close(&rig);
}

struct bursty {
    unsigned count;
    uint64_t last;
};

/* Its first note makes it send itself two more. */
static weft_verdict send_two(weft_self *self, void *data, weft_msg *msg)
{
    struct bursty *bursty = data;
    bursty->last = ((struct note *)msg)->number;
    if (bursty->count++ > 0) return WEFT_DONE;
    for (uint64_t i = 10; i < 12; i++)
        cr_assert_eq(weft_send(weft_self_addr(self), &note_new(0, i)->msg), WEFT_OK);
    return WEFT_DONE;
}

Test(overflow, what_a_drain_waited_for_and_was_dropped_is_not_made_up_by_later_mail)
{
    struct rig rig = rig_open(true, 1);
    struct bursty bursty = {0};
    struct rig_actor actor = {.data = &bursty, .handle = send_two};
    weft_spec spec = {.name = "bursty",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = 2,
                      .overflow = WEFT_DROP_OLD};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(send_all(addr, 2), 2);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK); /* for two */
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(bursty.count, 1, "the second gave way to the two");
    cr_assert_eq(bursty.last, 0);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- Asks, chains, the system lane -- */

struct asker {
    weft_addr *callee;
    weft_err ask_err, err;
    unsigned callbacks;
};

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct asker *asker = arg;
    (void)self, (void)state;
    asker->callbacks++;
    asker->err = err;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_verdict fill_and_ask(weft_self *self, void *data, weft_msg *msg)
{
    struct asker *asker = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    (void)send_all(asker->callee, 20);
    asker->ask_err = weft_ask(self, asker->callee, &query_new(1)->req, WEFT_NEVER, on_reply, asker,
                              NULL);
    return WEFT_DONE;
}

Test(overflow, a_dropped_ask_answers_dropped)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct asker asker = {.callee = spawn_sink(&rig, &sink, WEFT_DROP_NEW, 4)};
    weft_addr *addr = rig_spawn(&rig, fill_and_ask, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    settle(&rig);
    cr_assert_eq(asker.ask_err, WEFT_OK);
    cr_assert_eq(asker.callbacks, 1);
    cr_assert_eq(asker.err, WEFT_DROPPED);
    cr_assert_eq(overflow_of(asker.callee), 17);
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
    rig_close(&rig);
}

Test(overflow, a_chain_without_room_is_dropped_whole_and_in_order)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct letters letters = {0};
    weft_rt_on_dead_letter(rig.rt, on_letter, &letters);
    weft_addr *addr = spawn_sink(&rig, &sink, WEFT_DROP_NEW, 4);
    cr_assert_eq(send_all(addr, 3), 3);
    weft_msg *first = &note_new(0, 10)->msg, *last = &note_new(0, 11)->msg;
    first->next = last;
    cr_assert_eq(weft_send_chain(addr, first, last), WEFT_OK);
    cr_assert_eq(letters.count, 2);
    cr_assert_eq(letters.first, 10);
    cr_assert_eq(letters.last, 11);
    settle(&rig);
    cr_assert_eq(sink.count, 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, the_system_lane_is_never_dropped_nor_refused)
{
    struct rig rig = rig_open(true, 1);
    for (int policy = WEFT_REJECT; policy <= WEFT_DROP_OLD; policy++) {
        struct sink sink = {0};
        weft_addr *addr = spawn_sink(&rig, &sink, (weft_overflow)policy, 4);
        (void)send_all(addr, 20);
        for (int i = 0; i < 10; i++)
            cr_assert_eq(wf_send_system(addr, &note_new(0, 100)->msg), WEFT_OK);
        settle(&rig);
        cr_assert_eq(sink.count, 14, "policy %d", policy);
        weft_addr_put(addr);
    }
    rig_close(&rig);
}

Test(overflow, a_closed_receiver_answers_closed_under_each_policy)
{
    struct rig rig = rig_open(true, 1);
    for (int policy = WEFT_REJECT; policy <= WEFT_DROP_OLD; policy++) {
        struct sink sink = {0};
        weft_addr *addr = spawn_sink(&rig, &sink, (weft_overflow)policy, 2);
        (void)send_all(addr, 20); /* no credit is left */
        cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
        cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
        struct note *note = note_new(0, 0);
        cr_assert_eq(weft_send(addr, &note->msg), WEFT_CLOSED);
        weft_drop(&note->msg);
        weft_addr_put(addr);
    }
    rig_close(&rig);
}

Test(overflow, an_unknown_policy_is_refused)
{
    struct rig rig = rig_open(true, 1);
    weft_spec spec = {.name = "x", .handle = take, .overflow = (weft_overflow)3};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID);
    rig_close(&rig);
}

/* -- Bytes: a note is one unit of 64, a large one 16 -- */

struct large {
    struct note note;
    char text[1024 - sizeof(struct note)];
};

static const weft_kind LARGE = {3, "large", sizeof(struct large), weft_free_msg};

static weft_addr *spawn_bytes(struct rig *rig, struct sink *sink, uint32_t mailbox, size_t bytes)
{
    struct rig_actor actor = {.data = sink, .handle = take};
    weft_spec spec = {.name = "sink",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = mailbox,
                      .mailbox_bytes = bytes};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static weft_err send_large(weft_addr *to)
{
    weft_msg *msg = weft_new(&LARGE);
    weft_err err = weft_send(to, msg);
    if (err != WEFT_OK) weft_drop(msg);
    return err;
}

Test(overflow, a_bound_of_bytes_counts_what_messages_are)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_bytes(&rig, &sink, WEFT_UNBOUNDED, 40 * 64);
    cr_assert_eq(send_large(addr), WEFT_OK);
    cr_assert_eq(send_large(addr), WEFT_OK);
    cr_assert_eq(send_large(addr), WEFT_FULL, "two are 32 of 40");
    cr_assert_eq(send_all(addr, 10), 8);
    settle(&rig);
    cr_assert_eq(sink.count, 10);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, the_bound_of_messages_holds_beside_that_of_bytes)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_bytes(&rig, &sink, 3, 1 << 20);
    cr_assert_eq(send_all(addr, 10), 3);
    settle(&rig);
    cr_assert_eq(sink.count, 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, one_larger_than_the_bound_can_be_sent_and_bytes_come_back_for_ever)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_bytes(&rig, &sink, 0, 10 * 64);
    for (unsigned round = 0; round < 100; round++) {
        unsigned large = 0;
        while (send_large(addr) == WEFT_OK) large++;
        cr_assert(large >= 1 && large <= 2, "each is half of the bound");
        (void)send_all(addr, 10);
        settle(&rig);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}

struct waiter {
    weft_addr *to;
    unsigned told;
    const struct sink *sink;
    unsigned handled; /* by the receiver, when it was told */
};

/* A note makes it ask for room; the same note tells it. */
static weft_verdict wait_for_room(weft_self *self, void *data, weft_msg *msg)
{
    struct waiter *waiter = data;
    struct note *note = (struct note *)msg;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (note->number++ > 0) {
        waiter->told++;
        waiter->handled = waiter->sink->count;
        return WEFT_DONE;
    }
    return weft_notify_credit(self, waiter->to, msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

Test(overflow, who_waits_for_bytes_is_told_when_half_of_them_are_free)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    struct waiter waiter = {.to = spawn_bytes(&rig, &sink, 0, 40 * 64), .sink = &sink};
    weft_addr *addr = rig_spawn(&rig, wait_for_room, &waiter, 0);
    while (send_large(waiter.to) == WEFT_OK) {}
    (void)send_all(waiter.to, 3); /* 5 of 40 are left, so there is some room */
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    settle(&rig);
    cr_assert_eq(waiter.told, 1);
    cr_assert_geq(waiter.handled, 2, "one large one is less than half");
    cr_assert_eq(send_large(waiter.to), WEFT_OK);
    settle(&rig);
    weft_addr_put(addr);
    weft_addr_put(waiter.to);
    rig_close(&rig);
}

Test(overflow, a_chain_pays_for_all_its_bytes_or_stays)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_addr *addr = spawn_bytes(&rig, &sink, 0, 40 * 64);
    weft_msg *chain[3];
    for (int i = 0; i < 3; i++) chain[i] = weft_new(&LARGE);
    chain[0]->next = chain[1];
    chain[1]->next = chain[2];
    cr_assert_eq(weft_send_chain(addr, chain[0], chain[2]), WEFT_FULL, "48 of 40");
    cr_assert_eq(chain[0]->next, chain[1]);
    cr_assert_eq(weft_send_chain(addr, chain[0], chain[1]), WEFT_OK);
    cr_assert_eq(weft_send(addr, chain[2]), WEFT_FULL);
    weft_drop(chain[2]);
    settle(&rig);
    cr_assert_eq(sink.count, 2);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, what_bytes_cannot_do_is_refused)
{
    struct rig rig = rig_open(true, 1);
    struct sink sink = {0};
    weft_outbox box;
    weft_addr *addr = spawn_bytes(&rig, &sink, 0, 4096), *none = NULL;
    weft_spec spec = {
        .name = "x", .handle = take, .mailbox_bytes = 4096, .overflow = WEFT_DROP_OLD};
    cr_assert_eq(weft_outbox_init(&box, addr, 1), WEFT_UNSUPPORTED);
    cr_assert_eq(weft_spawn(rig.rt, &spec, &none), WEFT_UNSUPPORTED);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- On threads: each message is handled or a dead letter, whatever the pace -- */

enum { SENDERS = 3, EACH = 20000 };

struct sender {
    pthread_t thread;
    weft_addr *to;
    unsigned taken;
};

static void *flood(void *arg)
{
    struct sender *sender = arg;
    sender->taken = send_all(sender->to, EACH);
    return NULL;
}

static void count_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    (void)to, (void)why;
    __atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_RELAXED);
    weft_drop(msg);
}

static void account(weft_overflow policy)
{
    struct rig rig = rig_open(false, 0);
    struct sink sink = {0};
    unsigned letters = 0;
    weft_rt_on_dead_letter(rig.rt, count_letter, &letters);
    weft_addr *addr = spawn_sink(&rig, &sink, policy, 16);
    struct sender senders[SENDERS];
    unsigned taken = 0;
    for (int s = 0; s < SENDERS; s++) {
        senders[s] = (struct sender){.to = addr};
        cr_assert_eq(pthread_create(&senders[s].thread, NULL, flood, &senders[s]), 0);
    }
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(senders[s].thread, NULL);
        taken += senders[s].taken;
    }
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    if (policy == WEFT_DROP_NEW) cr_assert_eq(taken, SENDERS * EACH);
    cr_assert_eq(sink.count + letters, taken);
    cr_assert_eq(overflow_of(addr), letters);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(overflow, drop_new_accounts_for_every_message_on_threads) { account(WEFT_DROP_NEW); }
Test(overflow, drop_old_accounts_for_every_message_on_threads) { account(WEFT_DROP_OLD); }
