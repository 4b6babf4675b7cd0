/* SPDX-License-Identifier: Apache-2.0
 * mailbox.cpp - src/actor/mailbox.c and word.h, as they stand, on relacy's memory.
 * Called by: meson test (suite relacy). May touch: the rooms of src/actor it includes.
 * Never: a copy of the algorithm; what is checked is what is built. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.hpp"

#define WF_RELACY 1
#define _Alignof alignof
#define class class_ /* C has no such word */
#include "mailbox.c"
#undef class

using check::claim;

/* What mailbox.c asks of others. A wake is a number that orders nothing, so that no missing order
 * of the word can hide behind it. */
static rl::atomic<unsigned> *bell;

void wf_park_wake(struct wf_port *, uintptr_t *)
{
    if (check::weak != check::BROKEN) bell->fetch_add(1, rl::mo_relaxed, $);
}

/* Nobody looks on. */
uint64_t wf_hooks;
void wf_hooks_push(weft_addr *, weft_msg *, weft_msg *) {}

void wf_assert_failed(const char *, const char *, int)
{
    RL_ASSERT(!"WF_ASSERT");
    abort();
}

static void sleep_until_woken()
{
    while (bell->load(rl::mo_relaxed, $) == 0) rl::yield(1, $);
    bell->fetch_sub(1, rl::mo_relaxed, $);
}

/* A mailbox and what is bound to it. */
struct box {
    weft_addr addr;
    rl::atomic<uintptr_t> head;
    rl::atomic<uint64_t> credit;
    rl::atomic<unsigned> rings;

    void init(uint32_t capacity, uintptr_t first)
    {
        memset(&addr, 0, sizeof addr);
        wf_mailbox_init(&addr, NULL, capacity);
        shadow::unbind_all();
        shadow::bind(&addr.head, head, first);
        shadow::bind(&addr.credit, credit, (uint64_t)capacity);
        rings.store(0, rl::mo_relaxed, $);
        bell = &rings;
    }
};

struct letter {
    weft_msg msg; /* first */
    rl::var<int> bytes;
    unsigned from, number;
};

static void letter_init(struct letter &letter, unsigned from, unsigned number)
{
    memset(&letter.msg, 0, sizeof letter.msg);
    letter.from = from;
    letter.number = number;
}

/* -- Data, order and sleep -- */

struct pushes : rl::test_suite<pushes, 3> {
    enum { PRODUCERS = 2, EACH = 2 };
    box to;
    letter letters[PRODUCERS][EACH];

    void before() { to.init(WEFT_UNBOUNDED, WF_BOX_EMPTY); }

    void thread(unsigned index)
    {
        if (index == 0) return consume();
        for (unsigned n = 0; n < EACH; n++) {
            letter &letter = letters[index - 1][n];
            letter_init(letter, index - 1, n);
            letter.bytes($) = 7;
            RL_ASSERT(wf_mailbox_push(&to.addr, &letter.msg, &letter.msg) == WEFT_OK);
        }
    }

    void consume()
    {
        struct wf_lanes lanes;
        unsigned next[PRODUCERS] = {0}, handled = 0;
        memset(&lanes, 0, sizeof lanes);
        while (handled < PRODUCERS * EACH) {
            wf_mailbox_drain(&to.addr, &lanes);
            while (weft_msg *msg = wf_lane_pop(&lanes.user)) {
                letter *letter = (struct letter *)msg;
                RL_ASSERT(letter->bytes($) == 7);
                RL_ASSERT(letter->number == next[letter->from]++);
                handled++;
            }
            if (handled == PRODUCERS * EACH || !wf_word_park(&to.addr.head, WF_BOX_PARK_FUTEX))
                continue;
            sleep_until_woken();
            (void)wf_word_unpark(&to.addr.head, WF_BOX_PARK_FUTEX);
        }
    }
};

/* -- Close: a message is handed over, or stays the sender's, and that is known on both sides -- */

struct close_against_pushes : rl::test_suite<close_against_pushes, 3> {
    enum { PRODUCERS = 2, EACH = 2 };
    box to;
    letter letters[PRODUCERS][EACH];
    unsigned taken, refused;

    void before()
    {
        to.init(WEFT_UNBOUNDED, WF_BOX_EMPTY);
        taken = refused = 0;
    }

    void thread(unsigned index)
    {
        if (index == 0) return close();
        for (unsigned n = 0; n < EACH; n++) {
            letter &letter = letters[index - 1][n];
            letter_init(letter, index - 1, n);
            letter.bytes($) = 7;
            if (wf_mailbox_push(&to.addr, &letter.msg, &letter.msg) == WEFT_OK) continue;
            letter.bytes($) = 0; /* still ours */
            refused++;
        }
    }

    void take(struct wf_lanes &lanes)
    {
        while (weft_msg *msg = wf_lane_pop(&lanes.user)) {
            ((letter *)msg)->bytes($) = 8;
            taken++;
        }
    }

    void close()
    {
        struct wf_lanes lanes;
        memset(&lanes, 0, sizeof lanes);
        wf_mailbox_drain(&to.addr, &lanes);
        take(lanes);
        if (check::weak == check::BROKEN) {
            wf_mailbox_drain(&to.addr, &lanes);
            wf_store(&to.addr.head, WF_BOX_CLOSED, WF_RELEASE);
        } else {
            wf_mailbox_close(&to.addr, &lanes);
        }
        take(lanes);
    }

    void after() { RL_ASSERT(taken + refused == PRODUCERS * EACH); }
};

/* -- Credits: never more under way than there is room for, and none is lost -- */

struct credits : rl::test_suite<credits, 3> {
    enum { PRODUCERS = 2, EACH = 2, ROOM = 2 };
    box to;
    letter letters[PRODUCERS][EACH];
    unsigned under_way;

    void before()
    {
        to.init(ROOM, WF_BOX_EMPTY);
        under_way = 0;
    }

    bool take()
    {
        if (check::weak != check::BROKEN) return wf_mailbox_credit_take(&to.addr, 1);
        uint64_t seen = wf_load(&to.addr.credit, WF_RELAXED); /* looks, then stores */
        if (seen == 0) return false;
        wf_store(&to.addr.credit, seen - 1, WF_RELAXED);
        return true;
    }

    void thread(unsigned index)
    {
        if (index == 0) return consume();
        for (unsigned n = 0; n < EACH; n++) {
            letter &letter = letters[index - 1][n];
            letter_init(letter, index - 1, n);
            letter.bytes($) = 7;
            while (!take()) rl::yield(1, $);
            RL_ASSERT(++under_way <= ROOM);
            RL_ASSERT(wf_mailbox_push(&to.addr, &letter.msg, &letter.msg) == WEFT_OK);
        }
    }

    void consume()
    {
        struct wf_lanes lanes;
        memset(&lanes, 0, sizeof lanes);
        for (unsigned handled = 0; handled < PRODUCERS * EACH;) {
            wf_mailbox_drain(&to.addr, &lanes);
            while (weft_msg *msg = wf_lane_pop(&lanes.user)) {
                RL_ASSERT(((letter *)msg)->bytes($) == 7);
                handled++;
                under_way--;
                (void)wf_mailbox_settle(&to.addr, &lanes, 1);
            }
            if (wf_mailbox_is_empty(&to.addr, &lanes)) rl::yield(1, $);
        }
        (void)wf_mailbox_has_room(&to.addr, &lanes);
        RL_ASSERT(wf_load(&to.addr.credit, WF_RELAXED) == ROOM);
    }
};

/* -- The right to run: whoever takes PARK_RUN away runs the next turn, and sees the one before -- */

struct right_to_run : rl::test_suite<right_to_run, 3> {
    enum { PRODUCERS = 2, EACH = 2 };
    box to;
    letter letters[PRODUCERS][EACH];
    struct wf_lanes lanes;   /* the actor's own, whoever runs it */
    rl::var<unsigned> turns; /* stands for all that a turn writes */
    unsigned handled;
    struct wf_driver driver;
    struct wf_driver_ops ops;

    static right_to_run *here;

    void before()
    {
        to.init(WEFT_UNBOUNDED, WF_BOX_PARK_RUN);
        memset(&lanes, 0, sizeof lanes);
        memset(&ops, 0, sizeof ops);
        turns($) = 0;
        handled = 0;
        here = this;
        ops.ready = ready;
        driver.ops = &ops;
        to.addr.driver = &driver;
    }

    static void ready(struct wf_driver *, weft_addr *) { here->run(); }

    void run()
    {
        do {
            turns($) = turns($) + 1;
            wf_mailbox_drain(&to.addr, &lanes);
            while (weft_msg *msg = wf_lane_pop(&lanes.user)) {
                RL_ASSERT(((letter *)msg)->bytes($) == 7);
                handled++;
            }
        } while (!wf_word_park(&to.addr.head, WF_BOX_PARK_RUN));
        if (check::weak == check::BROKEN) turns($) = turns($) + 1; /* after the right is gone */
    }

    void thread(unsigned index)
    {
        if (index == 0) { /* a timer */
            if (wf_word_unpark(&to.addr.head, WF_BOX_PARK_RUN)) run();
            return;
        }
        for (unsigned n = 0; n < EACH; n++) {
            letter &letter = letters[index - 1][n];
            letter_init(letter, index - 1, n);
            letter.bytes($) = 7;
            RL_ASSERT(wf_mailbox_push(&to.addr, &letter.msg, &letter.msg) == WEFT_OK);
        }
    }

    void after() { RL_ASSERT(handled == PRODUCERS * EACH); }
};

right_to_run *right_to_run::here;

/* -- References: a producer that wakes late still meets the box; the last one frees it -- */

struct references : rl::test_suite<references, 3> {
    box to;
    letter letters[2];
    uint32_t refs_word;
    rl::atomic<uint32_t> refs;
    rl::var<int> alive; /* read by who uses the address, written by who frees it */

    void before()
    {
        to.init(WEFT_UNBOUNDED, WF_BOX_EMPTY);
        shadow::bind(&refs_word, refs, (uint32_t)3);
        alive($) = 1;
    }

    /* As weft_addr_put. */
    void put()
    {
        if (wf_sub(&refs_word, 1, WF_ACQ_REL) == 1) alive($) = 0;
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            struct wf_lanes lanes;
            memset(&lanes, 0, sizeof lanes);
            wf_mailbox_close(&to.addr, &lanes);
            RL_ASSERT(alive($) == 1);
            return put();
        }
        letter &letter = letters[index - 1];
        letter_init(letter, index, 0);
        letter.bytes($) = 7;
        if (check::weak == check::BROKEN) put(); /* gives back before it has done */
        (void)wf_mailbox_push(&to.addr, &letter.msg, &letter.msg);
        RL_ASSERT(alive($) == 1); /* the wake that follows the push */
        if (check::weak != check::BROKEN) put();
    }
};

static void all()
{
    claim<pushes>("messages arrive whole, once, in order, and none sleeps in the box");
    claim<pushes>("a push that releases nothing", check::NO_RELEASE, "DATA RACE");
    claim<pushes>("a take that acquires nothing", check::NO_ACQUIRE_TAKE, "DATA RACE");
    claim<pushes>("a push that does not wake", check::BROKEN, "LIVELOCK");
    claim<close_against_pushes>("a close takes what was sent, refuses the rest");
    claim<close_against_pushes>("a push that releases nothing, at a close", check::NO_RELEASE,
                                "DATA RACE");
    claim<close_against_pushes>("a close that acquires nothing", check::NO_ACQUIRE, "DATA RACE");
    claim<close_against_pushes>("a close by take and store", check::BROKEN, "ASSERT FAILED");
    claim<credits>("credits bound what is under way, and come back");
    claim<credits>("credit taken by a look and a store", check::BROKEN, "ASSERT FAILED");
    claim<right_to_run>("one right, one holder, who sees all turns before");
    claim<right_to_run>("a park that releases nothing", check::NO_RELEASE, "DATA RACE");
    claim<right_to_run>("an unpark that acquires nothing", check::NO_ACQUIRE, "DATA RACE");
    claim<right_to_run>("a touch after the park", check::BROKEN, "DATA RACE");
    claim<references>("the last reference frees, after all uses");
    claim<references>("a put that releases nothing", check::NO_RELEASE, "DATA RACE");
    claim<references>("a last put that acquires nothing", check::NO_ACQUIRE, "DATA RACE");
    claim<references>("a reference given back too early", check::BROKEN, "DATA RACE");
}

int main(int argc, char **argv) { return check::main_with(argc, argv, all); }
