/* SPDX-License-Identifier: Apache-2.0
 * test_ask.c - asks: one callback each, whatever happens to the request.
 * Called by: the test runner. */
#include "rig.h"

/* What an asking actor is told to do and what came of it. */
struct asker {
    weft_addr *callee;
    weft_ns timeout; /* 0: never */
    unsigned callbacks;
    weft_err err;
    bool got_request;
    uint64_t number;
    uint64_t token;
    weft_err ask_err;
    uint64_t cancel; /* 1: cancel at once */
    weft_err cancel_err, again_err;
    bool stop_after;
};

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct asker *asker = arg;
    (void)state;
    asker->callbacks++;
    asker->err = err;
    asker->got_request = req != NULL;
    if (req != NULL) {
        asker->number = ((struct query *)req)->number;
        weft_drop(&req->msg);
    }
    if (asker->stop_after) cr_assert_eq(weft_stop(weft_self_addr(self), WEFT_DRAIN), WEFT_OK);
}

static void ask(weft_self *self, struct asker *asker)
{
    struct query *query = query_new(41);
    weft_ns deadline = asker->timeout == 0 ? WEFT_NEVER : weft_now(self) + asker->timeout;
    asker->ask_err = weft_ask(self, asker->callee == NULL ? weft_self_addr(self) : asker->callee,
                              &query->req, deadline, on_reply, asker, &asker->token);
    if (asker->ask_err != WEFT_OK) weft_drop(&query->req.msg);
    if (asker->cancel != 0) {
        asker->cancel_err = weft_ask_cancel(self, asker->token);
        asker->again_err = weft_ask_cancel(self, asker->token);
    }
}

/* A note makes it ask; queries are answered, so that it can ask itself. */
static weft_verdict asker_handle(weft_self *self, void *data, weft_msg *msg)
{
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    ask(self, data);
    return WEFT_DONE;
}

/* Runs one ask to its end: the callback stops the asker. */
static void run(struct rig *rig, struct asker *asker)
{
    asker->stop_after = true;
    weft_addr *addr = rig_spawn(rig, asker_handle, asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(asker->callbacks, 1);
    weft_addr_put(addr);
}

/* Notes who asked, by its name, and answers. */
static weft_verdict note_asker(weft_self *self, void *data, weft_msg *msg)
{
    const weft_request *req = &((struct query *)msg)->req;
    const weft_addr *asker = weft_asker(req);
    *(const char **)data = asker == NULL ? "nobody" : weft_addr_name(asker);
    if (asker != NULL) cr_assert_neq(asker, weft_self_addr(self));
    return rig_echo(self, NULL, msg);
}

BOTH(ask, tells_the_callee_who_asks)
{
    const char *seen = NULL;
    struct asker asker = {.callee = rig_spawn(rig, note_asker, &seen, 0)};
    run(rig, &asker);
    cr_assert_str_eq(seen, "rig");
    cr_assert_eq(rig_call(rig, asker.callee, 1), WEFT_OK);
    weft_addr_put(asker.callee);
}

Test(ask, by_a_plain_thread_and_a_tell_have_no_asker)
{
    struct rig rig = rig_open(false, 0);
    const char *seen = NULL;
    weft_addr *callee = rig_spawn(&rig, note_asker, &seen, 0);
    struct query *query = query_new(1);
    weft_request *answer = NULL;
    cr_assert_eq(weft_call(callee, &query->req, rig_soon(&rig), &answer, NULL), WEFT_OK);
    cr_assert_str_eq(seen, "nobody");
    cr_assert_null(weft_asker(answer)); /* it is over */
    answer->asker = callee;             /* what an idle request says is not looked at */
    cr_assert_null(weft_asker(answer));
    answer->asker = NULL;
    weft_drop(&answer->msg);
    weft_addr_put(callee);
    rig_close(&rig);
}

BOTH(ask, a_reply_brings_the_request_back)
{
    struct asker asker = {.callee = rig_spawn(rig, rig_echo, NULL, 0), .timeout = 20 * WEFT_SEC};
    run(rig, &asker);
    cr_assert_eq(asker.err, WEFT_OK);
    cr_assert_eq(asker.number, 42);
    weft_addr_put(asker.callee);
}

BOTH(ask, an_actor_may_ask_itself)
{
    struct asker asker = {.timeout = 20 * WEFT_SEC};
    run(rig, &asker);
    cr_assert_eq(asker.err, WEFT_OK);
    cr_assert_eq(asker.number, 42);
}

static weft_verdict drop_all(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data, (void)msg;
    return WEFT_DONE;
}

BOTH(ask, a_dropped_request_answers_dropped)
{
    struct asker asker = {.callee = rig_spawn(rig, drop_all, NULL, 0)};
    run(rig, &asker);
    cr_assert_eq(asker.err, WEFT_DROPPED);
    cr_assert(asker.got_request);
    weft_addr_put(asker.callee);
}

static weft_verdict refuse(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data;
    weft_reply((weft_request *)msg, WEFT_FORBIDDEN);
    return WEFT_KEPT;
}

BOTH(ask, the_callees_error_arrives)
{
    struct asker asker = {.callee = rig_spawn(rig, refuse, NULL, 0)};
    run(rig, &asker);
    cr_assert_eq(asker.err, WEFT_FORBIDDEN);
    weft_addr_put(asker.callee);
}

/* Keeps one request until a note tells it to answer. */
struct keeper {
    weft_request *kept;
    bool abandoned;
    weft_ns deadline;
};

static weft_verdict keep(weft_self *self, void *data, weft_msg *msg)
{
    struct keeper *keeper = data;
    (void)self;
    if (msg->kind == &QUERY && keeper->kept == NULL) {
        keeper->kept = (weft_request *)msg;
        keeper->deadline = weft_deadline(keeper->kept);
        return WEFT_KEPT;
    }
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (keeper->kept != NULL) {
        keeper->abandoned = weft_abandoned(keeper->kept);
        weft_reply(keeper->kept, WEFT_OK);
    }
    return WEFT_DONE;
}

BOTH(ask, a_silent_callee_times_out_and_its_late_reply_is_dropped_and_counted)
{
    struct keeper keeper = {0};
    struct asker asker = {.callee = rig_spawn(rig, keep, &keeper, 0), .timeout = WEFT_MS};
    asker.stop_after = true;
    weft_addr *addr = rig_spawn(rig, asker_handle, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(asker.err, WEFT_TIMED_OUT);
    cr_assert_not(asker.got_request);
    cr_assert_eq(weft_send(asker.callee, &note_new(0, 0)->msg), WEFT_OK); /* reply now */
    cr_assert_eq(rig_call(rig, asker.callee, 1), WEFT_OK);
    cr_assert(keeper.abandoned);
    cr_assert(keeper.deadline != WEFT_NEVER);
    cr_assert_eq(asker.callbacks, 1);
    weft_actor_stats stats;
    weft_addr_stats(addr, &stats);
    cr_assert_eq(stats.dropped, 1);
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
}

BOTH(ask, cancel_calls_back_at_once_and_only_once)
{
    struct keeper keeper = {0};
    struct asker asker = {.callee = rig_spawn(rig, keep, &keeper, 0), .cancel = 1};
    run(rig, &asker);
    cr_assert_eq(asker.err, WEFT_CANCELED);
    cr_assert_eq(asker.cancel_err, WEFT_OK);
    cr_assert_eq(asker.again_err, WEFT_NOT_FOUND);
    cr_assert_eq(rig_call(rig, asker.callee, 0), WEFT_OK);
    cr_assert_eq(weft_send(asker.callee, &note_new(0, 0)->msg), WEFT_OK); /* frees what it kept */
    cr_assert_eq(rig_call(rig, asker.callee, 0), WEFT_OK);
    cr_assert_eq(asker.callbacks, 1);
    weft_addr_put(asker.callee);
}

BOTH(ask, a_closed_callee_leaves_the_request_with_the_asker)
{
    struct asker asker = {.callee = rig_spawn(rig, rig_echo, NULL, 0)};
    cr_assert_eq(weft_stop(asker.callee, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, asker.callee), WEFT_OK);
    weft_addr *addr = rig_spawn(rig, asker_handle, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(asker.ask_err, WEFT_CLOSED);
    cr_assert_eq(asker.callbacks, 0);
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
}

/* Stops at its first note: what is queued behind it never gets handled. */
static weft_verdict stop_at_note(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data;
    return msg->kind == &NOTE ? WEFT_STOP : WEFT_DONE;
}

Test(ask, a_request_queued_at_close_answers_closed)
{
    struct rig rig = rig_open(true, 7);
    weft_addr *callee = rig_spawn(&rig, stop_at_note, NULL, 0);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    bool taken = false;
    /* Nothing runs between the two, so the query waits behind the note. */
    cr_assert_eq(weft_send(callee, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(weft_call(callee, &query->req, WEFT_NEVER, &out, &taken), WEFT_CLOSED);
    cr_assert(taken);
    cr_assert_eq(out, &query->req);
    weft_drop(&out->msg);
    weft_addr_put(callee);
    rig_close(&rig);
}

BOTH(ask, an_asker_that_ends_hears_canceled_before_its_fini)
{
    struct keeper keeper = {0};
    struct asker asker = {.callee = rig_spawn(rig, keep, &keeper, 0)};
    weft_addr *addr = rig_spawn(rig, asker_handle, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(asker.callbacks, 1);
    cr_assert_eq(asker.err, WEFT_CANCELED);
    cr_assert_eq(weft_send(asker.callee, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, asker.callee, 0), WEFT_OK);
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
}

/* Asks again from each callback, always with a deadline that has passed. */
static void on_late_again(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct asker *asker = arg;
    (void)state;
    if (req != NULL) weft_drop(&req->msg);
    asker->callbacks++;
    if (err == WEFT_CANCELED) return;
    struct query *query = query_new(0);
    asker->ask_err = weft_ask(self, asker->callee, &query->req, 0, on_late_again, asker, NULL);
    if (asker->ask_err != WEFT_OK) weft_drop(&query->req.msg);
}

static weft_verdict ask_late(weft_self *self, void *data, weft_msg *msg)
{
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    on_late_again(self, NULL, WEFT_OK, NULL, data);
    return WEFT_DONE;
}

BOTH(ask, deadlines_in_the_past_do_not_starve_the_mailbox)
{
    struct asker asker = {.callee = rig_spawn(rig, drop_all, NULL, WEFT_UNBOUNDED)};
    weft_addr *addr = rig_spawn(rig, ask_late, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(rig_call(rig, addr, i), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_gt(asker.callbacks, 1);
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
}

static weft_verdict stash_all(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data, (void)msg;
    return WEFT_STASH;
}

static void on_other_late(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state;
    if (req != NULL) weft_drop(&req->msg);
    if (err == WEFT_TIMED_OUT) ((struct asker *)arg)->err = err;
}

static weft_verdict ask_late_and_one(weft_self *self, void *data, weft_msg *msg)
{
    struct asker *asker = data;
    struct query *query = query_new(0);
    cr_assert_eq(
        weft_ask(self, asker->callee, &query->req, weft_now(self), on_other_late, asker, NULL),
        WEFT_OK);
    return ask_late(self, data, msg);
}

Test(ask, deadlines_in_the_past_do_not_starve_another)
{
    struct rig rig = rig_open(true, 1);
    struct asker asker = {.callee = rig_spawn(&rig, stash_all, NULL, WEFT_UNBOUNDED)};
    weft_addr *addr = rig_spawn(&rig, ask_late_and_one, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    for (int i = 0; i < 20; i++) cr_assert(wf_sim_step(rig.sim));
    cr_assert_gt(asker.callbacks, 2);
    cr_assert_eq(asker.err, WEFT_TIMED_OUT, "the other deadline has passed, too");
    weft_addr_put(addr);
    weft_addr_put(asker.callee);
    rig_close(&rig);
}

/* -- A request embedded in the asker's state outlives the asker -- */

struct embedded {
    struct query query;
    weft_addr *callee;
};

static const weft_kind EMBEDDED = {3, "embedded", sizeof(struct query), NULL};

static void ignore_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state, (void)err, (void)req, (void)arg;
}

static weft_err embedded_init(weft_self *self, void *state, void *arg)
{
    struct embedded *e = state;
    weft_msg_init(&e->query.req.msg, &EMBEDDED);
    return weft_ask(self, arg, &e->query.req, WEFT_NEVER, ignore_reply, NULL, NULL);
}

static weft_verdict keep_embedded(weft_self *self, void *data, weft_msg *msg)
{
    struct keeper *keeper = data;
    if (msg->kind == &EMBEDDED) {
        keeper->kept = (weft_request *)msg;
        return WEFT_KEPT;
    }
    return keep(self, data, msg);
}

BOTH(ask, an_embedded_request_stays_valid_until_the_callee_is_done)
{
    struct keeper keeper = {0};
    weft_addr *callee = rig_spawn(rig, keep_embedded, &keeper, 0), *addr = NULL;
    weft_spec spec = {.name = "embedded",
                      .arg = callee,
                      .state_size = sizeof(struct embedded),
                      .init = embedded_init,
                      .handle = drop_all};
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    weft_addr_put(addr); /* the request's reference keeps the state */
    cr_assert_eq(weft_send(callee, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, callee, 0), WEFT_OK);
    cr_assert(keeper.abandoned);
    weft_addr_put(callee);
}

/* -- Timeouts against replies, on threads: one callback each, nothing leaks -- */

enum { RACES = 3000 };

struct race {
    weft_addr *callee;
    unsigned asked, over;
};

static void on_race(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static void race_next(weft_self *self, struct race *race)
{
    struct query *query = query_new(race->asked++);
    /* About as long as a reply takes, so that either may win. */
    weft_ns deadline = weft_now(self) + 1000 + (race->asked % 64) * 500;
    cr_assert_eq(weft_ask(self, race->callee, &query->req, deadline, on_race, race, NULL), WEFT_OK);
}

static void on_race(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct race *race = arg;
    (void)state;
    cr_assert_eq(req != NULL, err == WEFT_OK);
    if (req != NULL) weft_drop(&req->msg);
    race->over++;
    if (race->asked < RACES) race_next(self, race);
    else cr_assert_eq(weft_stop(weft_self_addr(self), WEFT_DRAIN), WEFT_OK);
}

static weft_verdict race_start(weft_self *self, void *data, weft_msg *msg)
{
    (void)msg;
    race_next(self, data);
    return WEFT_DONE;
}

Test(ask, a_deadline_against_a_reply_gives_one_callback)
{
    struct rig rig = rig_open(false, 0);
    struct race race = {.callee = rig_spawn(&rig, rig_echo, NULL, WEFT_UNBOUNDED)};
    weft_addr *addr = rig_spawn(&rig, race_start, &race, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(race.over, RACES);
    weft_addr_put(addr);
    weft_addr_put(race.callee);
    rig_close(&rig);
}
