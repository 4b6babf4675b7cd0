/* SPDX-License-Identifier: Apache-2.0
 * test_stash.c - messages put back for later: order, bound, credit, the end.
 * Called by: the test runner. */
#include "rig.h"

enum { ROOM = 256 };

struct keeper {
    bool open; /* handle what comes; else put it back */
    unsigned seen;
    uint64_t order[ROOM];
    uint32_t take, taken; /* how many a key hands out, and did */
    uint32_t stashed;
};

#define KEY 1000u /* a note with this number unlocks */

static weft_verdict lock(weft_self *self, void *data, weft_msg *msg)
{
    struct keeper *keeper = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    uint64_t number = ((struct note *)msg)->number;
    if (number == KEY) {
        keeper->open = true;
        keeper->taken += weft_unstash(self, keeper->take);
    } else if (!keeper->open) {
        return WEFT_STASH;
    }
    if (keeper->seen < ROOM) keeper->order[keeper->seen++] = number;
    keeper->stashed = weft_stashed(self);
    return WEFT_DONE;
}

static weft_addr *spawn_lock(struct rig *rig, struct keeper *keeper, uint32_t mailbox,
                             uint32_t stash)
{
    struct rig_actor actor = {.data = keeper, .handle = lock};
    weft_spec spec = {.name = "lock",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = mailbox,
                      .stash = stash};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static void send(weft_addr *to, uint64_t number)
{
    struct note *note = note_new(0, number);
    weft_err err = weft_send(to, &note->msg);
    cr_assert_eq(err, WEFT_OK, "note %u: %s", (unsigned)number, weft_errname(err));
}

BOTH(stash, comes_back_the_oldest_first_and_before_what_is_queued)
{
    struct keeper keeper = {.take = UINT32_MAX};
    weft_addr *addr = spawn_lock(rig, &keeper, 0, 0);
    for (uint64_t i = 0; i < 5; i++) send(addr, i);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(keeper.seen, 0);
    weft_msg *chain[3] = {&note_new(0, KEY)->msg, &note_new(0, 5)->msg, &note_new(0, 6)->msg};
    chain[0]->next = chain[1];
    chain[1]->next = chain[2];
    cr_assert_eq(weft_send_chain(addr, chain[0], chain[2]), WEFT_OK);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(keeper.taken, 5);
    cr_assert_eq(keeper.seen, 8);
    cr_assert_eq(keeper.order[0], KEY);
    for (uint64_t i = 0; i < 7; i++) cr_assert_eq(keeper.order[1 + i], i);
    weft_actor_stats stats;
    weft_addr_stats(addr, &stats);
    cr_assert_eq(stats.stashed, 5);
    weft_addr_put(addr);
}

BOTH(stash, hands_out_as_many_as_asked_for)
{
    struct keeper keeper = {.take = 2};
    weft_addr *addr = spawn_lock(rig, &keeper, 0, 0);
    for (uint64_t i = 0; i < 5; i++) send(addr, i);
    send(addr, KEY);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(keeper.taken, 2);
    cr_assert_eq(keeper.stashed, 3);
    cr_assert_eq(keeper.seen, 3);
    cr_assert_eq(keeper.order[1], 0);
    cr_assert_eq(keeper.order[2], 1);
    weft_addr_put(addr);
}

struct letters {
    unsigned count;
    weft_err why;
    uint64_t numbers;
};

static void on_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct letters *letters = arg;
    (void)to;
    letters->count++;
    letters->why = why;
    letters->numbers = letters->numbers * 10 + ((struct note *)msg)->number;
    weft_drop(msg);
}

BOTH(stash, one_more_than_its_bound_is_a_dead_letter)
{
    struct keeper keeper = {0};
    static struct letters letters;
    weft_rt_on_dead_letter(rig->rt, on_letter, &letters);
    weft_addr *addr = spawn_lock(rig, &keeper, 100, 3);
    for (uint64_t i = 1; i <= 5; i++) send(addr, i);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(letters.count, 2);
    cr_assert_eq(letters.why, WEFT_LIMIT);
    cr_assert_eq(letters.numbers, 45);
    /* Here and not at the end: the rest are letters too. */
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(letters.why, WEFT_CLOSED);
    cr_assert_eq(letters.numbers, 45123);
    weft_addr_put(addr);
}

BOTH(stash, is_half_the_mailbox_where_the_old_are_dropped_too)
{
    struct keeper keeper = {.take = 0};
    struct rig_actor actor = {.data = &keeper, .handle = lock};
    weft_spec spec = {.name = "lock",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = 16,
                      .overflow = WEFT_DROP_OLD};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    for (uint64_t i = 0; i < 12; i++) {
        send(addr, i);
        cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    }
    send(addr, KEY);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(keeper.stashed, 8);
    weft_addr_put(addr);
}

BOTH(stash, a_message_put_back_keeps_its_place_in_the_mailbox)
{
    static struct keeper keeper = {.take = UINT32_MAX}; /* its mail is handled at the very end */
    weft_addr *addr = spawn_lock(rig, &keeper, 8, 4);
    for (uint64_t i = 0; i < 4; i++) send(addr, i);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK); /* four are put back, and none returned */
    unsigned room = 0;
    for (;; room++) { /* the handler may be quick: what it returns is four at a time */
        struct note *note = note_new(0, KEY + 1);
        weft_err err = rig->sim == NULL ? WEFT_FULL : weft_send(addr, &note->msg);
        if (err == WEFT_OK) continue;
        weft_drop(&note->msg);
        break;
    }
    if (rig->sim != NULL) cr_assert_eq(room, 3, "8 less 4, less the query's, not yet returned");
    weft_addr_put(addr);
}

BOTH(stash, put_back_and_taken_out_for_ever_the_credit_stays_exact)
{
    struct keeper keeper = {.take = UINT32_MAX};
    weft_addr *addr = spawn_lock(rig, &keeper, 16, 8);
    for (int round = 0; round < 200; round++) {
        for (uint64_t i = 0; i < 3; i++) send(addr, i);
        send(addr, KEY);
        cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
        cr_assert_eq(keeper.stashed, 0);
        keeper.open = false; /* nobody runs: it has answered and has no mail */
    }
    weft_addr_put(addr);
}

/* Puts the query back once, and so its asker hears CLOSED at the end. */
static weft_verdict put_back(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data, (void)msg;
    return WEFT_STASH;
}

static void stop_now(void *arg) { (void)weft_stop(arg, WEFT_NOW); }

Test(stash, an_ask_that_is_put_back_at_the_end_answers_closed)
{
    struct rig rig = rig_open(true, 3);
    weft_addr *addr = rig_spawn(&rig, put_back, NULL, 0);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    cr_assert_eq(wf_sim_at(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC, stop_now, addr), WEFT_OK);
    cr_assert_eq(weft_call(addr, &query->req, WEFT_NEVER, &out, NULL), WEFT_CLOSED);
    cr_assert_eq(out, &query->req);
    weft_drop(&out->msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stash, a_drain_serves_what_is_handed_out_meanwhile)
{
    struct rig rig = rig_open(true, 3);
    struct keeper keeper = {.take = UINT32_MAX};
    weft_addr *addr = spawn_lock(&rig, &keeper, 0, 0);
    for (uint64_t i = 0; i < 3; i++) send(addr, i);
    send(addr, KEY);
    send(addr, 3);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(keeper.seen, 5);
    cr_assert_eq(keeper.order[4], 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(stash, more_than_half_the_mailbox_is_refused)
{
    struct rig rig = rig_open(true, 3);
    weft_spec spec = {.name = "x", .handle = put_back, .mailbox = 8, .stash = 5};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID);
    spec.stash = 4;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- Bytes -- */

struct parcel {
    weft_msg msg;
    char bytes[1248];
};
static const weft_kind PARCEL = {4, "parcel", sizeof(struct parcel), weft_free_msg};

/* Puts parcels back until it hears a note. */
static weft_verdict wait_for_note(weft_self *self, void *data, weft_msg *msg)
{
    struct keeper *keeper = data;
    if (msg->kind == &PARCEL && !keeper->open) return WEFT_STASH;
    if (msg->kind == &NOTE) {
        keeper->open = true;
        keeper->taken = weft_unstash(self, UINT32_MAX);
    }
    keeper->seen++;
    return WEFT_DONE;
}

static weft_err send_parcel(weft_addr *to)
{
    weft_msg *msg = weft_new(&PARCEL);
    weft_err err = weft_send(to, msg);
    if (err != WEFT_OK) weft_drop(msg);
    return err;
}

Test(stash, holds_half_of_the_bytes_so_that_others_get_in)
{
    struct rig rig = rig_open(true, 1);
    struct keeper keeper = {0};
    struct rig_actor actor = {.data = &keeper, .handle = wait_for_note};
    weft_spec spec = {.name = "waits",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox_bytes = 4096};
    weft_addr *addr = NULL;
    weft_actor_stats stats;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
    for (int i = 0; i < 20; i++) { /* of the first, 20 of 64 units are put back; never two */
        cr_assert_eq(send_parcel(addr), WEFT_OK, "parcel %d", i);
        wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    }
    weft_addr_stats(addr, &stats);
    cr_assert_eq(stats.stashed, 1);
    cr_assert_eq(stats.dropped, 19);
    send(addr, 1);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(keeper.taken, 1);
    cr_assert_eq(keeper.seen, 2);
    for (int i = 0; i < 20; i++) { /* and the bytes come back for ever */
        cr_assert_eq(send_parcel(addr), WEFT_OK);
        wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}
