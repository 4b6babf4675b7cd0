/* SPDX-License-Identifier: Apache-2.0
 * test_misuse.c - mistakes that can be seen are answered by an error and harm nothing.
 * Called by: the test runner. What a spec may not say stands beside what it may. */
#include "rig.h"
#include "self.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <weft/group.h>
#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/testing.h>
#include <weft/topic.h>

static char lines[8192];

static void keep_lines(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level;
    size_t used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%s: %s\n", facility, line);
}

/* A rig in which a message in flight is an answer, also in a debug build. */
static struct rig open_rig(void)
{
    wf_misuse_aborts = wf_misuse_checks = false;
    lines[0] = '\0';
    weft_log_to(keep_lines, NULL, WEFT_LOG_ERROR);
    return rig_open(true, 1);
}

static void on_alarm(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)state, (void)timer, (void)missed;
}

struct hand {
    unsigned handled;
    weft_addr *to;
    weft_msg *again; /* what it sends when it gets a note */
    weft_err err;
};

static weft_verdict on_note(weft_self *self, void *data, weft_msg *msg)
{
    struct hand *hand = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    hand->handled++;
    if (hand->again != NULL) hand->err = weft_send(hand->to, hand->again);
    return WEFT_DONE;
}

static weft_addr *spawn_named(struct rig *rig, const char *name, struct hand *hand)
{
    struct rig_actor actor = {.data = hand, .handle = on_note};
    weft_spec spec = {.name = name,
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static void settle(struct rig *rig) { wf_sim_run_until(rig->sim, wf_sim_now(rig->sim) + WEFT_SEC); }

/* -- A message in flight -- */

Test(misuse, a_message_in_flight_cannot_be_sent_again_by_any_call)
{
    struct rig rig = open_rig();
    struct hand hand = {0};
    weft_addr *addr = spawn_named(&rig, "hand", &hand);
    struct query *query = query_new(0);
    weft_msg *msg = &query->req.msg, *other = &note_new(0, 0)->msg;
    weft_outbox box;
    weft_request *out = NULL;
    bool taken = true;
    cr_assert_eq(weft_send(addr, msg), WEFT_OK);
    cr_assert_eq(weft_send(addr, msg), WEFT_INVALID);
    cr_assert_eq(weft_send_wait(addr, msg, WEFT_NEVER), WEFT_INVALID);
    cr_assert_eq(weft_call(addr, &query->req, WEFT_NEVER, &out, &taken), WEFT_INVALID);
    cr_assert_not(taken);
    cr_assert_eq(weft_outbox_init(&box, addr, 4), WEFT_OK);
    cr_assert_eq(weft_outbox_send(&box, msg), WEFT_INVALID);
    cr_assert_eq(box.count, 0);
    cr_assert_eq(weft_send_chain(addr, msg, msg), WEFT_INVALID);
    /* And the rest of a chain with one such in it is still the sender's. */
    other->next = msg;
    weft_msg *queued_next = msg->next;
    cr_assert_eq(weft_send_chain(addr, other, msg), WEFT_INVALID);
    cr_assert_eq(msg->next, queued_next);
    cr_assert_eq(weft_send(addr, other), WEFT_OK);
    settle(&rig);
    cr_assert_eq(hand.handled, 1);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Sends the message that it handles to the other one, so many times. */
static weft_verdict pass_on(weft_self *self, void *data, weft_msg *msg)
{
    struct hand *hand = data;
    (void)self;
    if (++hand->handled == 10) return WEFT_DONE;
    hand->err = weft_send(hand->to, msg);
    return hand->err == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

Test(misuse, a_message_that_was_handed_out_can_be_sent_on)
{
    struct rig rig = open_rig();
    struct hand hands[2] = {{0}, {0}};
    weft_addr *one = rig_spawn(&rig, pass_on, &hands[0], 0);
    weft_addr *two = rig_spawn(&rig, pass_on, &hands[1], 0);
    hands[0].to = two;
    hands[1].to = one;
    cr_assert_eq(weft_send(one, &note_new(0, 0)->msg), WEFT_OK);
    settle(&rig);
    cr_assert_eq(hands[0].handled, 10);
    cr_assert_eq(hands[1].handled, 9);
    weft_addr_put(one);
    weft_addr_put(two);
    rig_close(&rig);
}

Test(misuse, a_staged_message_is_in_flight)
{
    struct rig rig = open_rig();
    struct hand hand = {0};
    weft_addr *addr = spawn_named(&rig, "hand", &hand);
    weft_outbox box;
    weft_msg *msg = &note_new(0, 0)->msg;
    cr_assert_eq(weft_outbox_init(&box, addr, 4), WEFT_OK);
    cr_assert_eq(weft_outbox_send(&box, msg), WEFT_OK);
    cr_assert_eq(weft_outbox_send(&box, msg), WEFT_INVALID);
    cr_assert_eq(weft_send(addr, msg), WEFT_INVALID);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_OK);
    settle(&rig);
    cr_assert_eq(hand.handled, 1);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Sends its message to the one who is stuck in init, and so keeps it queued. */
static weft_err send_twice(weft_self *self, void *data)
{
    struct hand *hand = data;
    (void)self;
    hand->err = weft_send(hand->to, hand->again);
    return WEFT_OK;
}

Test(misuse, both_senders_are_named)
{
    struct rig rig = open_rig();
    struct hand quiet = {0};
    weft_addr *to = spawn_named(&rig, "quiet", &quiet);
    weft_msg *msg = &note_new(0, 0)->msg;
    struct rig_actor actor = {.handle = on_note, .init = send_twice};
    weft_spec spec = {.arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    struct hand hands[2] = {{.to = to, .again = msg}, {.to = to, .again = msg}};
    weft_addr *addrs[2];
    for (int i = 0; i < 2; i++) { /* a spawn runs the init of this one and nobody else */
        spec.name = i == 0 ? "careful" : "careless";
        actor.data = &hands[i];
        cr_assert_eq(weft_spawn(rig.rt, &spec, &addrs[i]), WEFT_OK);
    }
    cr_assert_eq(quiet.handled, 0);
    cr_assert_eq(hands[0].err, WEFT_OK);
    cr_assert_eq(hands[1].err, WEFT_INVALID);
    cr_assert(strstr(lines, "note is in flight already: sent by careful #2, again by careless #3"),
              "%s", lines);
    cr_assert_eq(weft_send(to, msg), WEFT_INVALID);
    cr_assert(strstr(lines, "sent by careful #2, again by a plain thread"), "%s", lines);
    settle(&rig);
    cr_assert_eq(quiet.handled, 1);
    weft_addr_put(addrs[0]);
    weft_addr_put(addrs[1]);
    weft_addr_put(to);
    rig_close(&rig);
}

static void on_answer(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state, (void)err, (void)arg;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_err ask_in_init(weft_self *self, void *data)
{
    struct hand *hand = data;
    weft_ns never = WEFT_NEVER;
    hand->err = weft_ask(self, hand->to, (weft_request *)hand->again, never, on_answer, NULL, NULL);
    return WEFT_OK;
}

static weft_err notify_in_init(weft_self *self, void *data)
{
    struct hand *hand = data;
    hand->err = weft_notify_credit(self, hand->to, hand->again);
    return WEFT_OK;
}

static weft_addr *spawn_init(struct rig *rig, const char *name, struct hand *hand,
                             weft_err (*init)(weft_self *, void *))
{
    struct rig_actor actor = {.data = hand, .handle = on_note, .init = init};
    weft_spec spec = {.name = name,
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

Test(misuse, who_asks_with_a_request_under_way_is_named)
{
    struct rig rig = open_rig();
    struct hand quiet = {0};
    weft_addr *to = spawn_named(&rig, "quiet", &quiet);
    struct query *query = query_new(0);
    struct hand first = {.to = to, .again = &query->req.msg}, second = first, third = first;
    weft_addr *careful = spawn_init(&rig, "careful", &first, ask_in_init);
    weft_addr *careless = spawn_init(&rig, "careless", &second, ask_in_init);
    cr_assert_eq(first.err, WEFT_OK);
    cr_assert_eq(second.err, WEFT_INVALID);
    cr_assert(strstr(lines, "query is in flight already: sent by careful #2, again by careless #3"),
              "%s", lines);
    weft_addr *eager = spawn_init(&rig, "eager", &third, notify_in_init);
    cr_assert_eq(third.err, WEFT_INVALID);
    cr_assert(strstr(lines, "again by eager #4"), "%s", lines);
    weft_request *out = NULL;
    cr_assert_eq(weft_call(to, &query->req, WEFT_NEVER, &out, NULL), WEFT_INVALID);
    cr_assert(strstr(lines, "sent by careful #2, again by a plain thread"), "%s", lines);
    settle(&rig);
    weft_addr_put(careful);
    weft_addr_put(careless);
    weft_addr_put(eager);
    weft_addr_put(to);
    rig_close(&rig);
}

Test(misuse, a_debug_build_aborts, .signal = SIGABRT)
{
    struct rig rig = open_rig();
    struct hand hand = {0};
    weft_addr *addr = spawn_named(&rig, "hand", &hand);
    weft_msg *msg = &note_new(0, 0)->msg;
    wf_misuse_aborts = true;
    (void)weft_send(addr, msg);
    (void)weft_send(addr, msg);
}

/* -- A request that nobody can free -- */

static const weft_kind OWN = {4, "own", sizeof(weft_request), NULL};

/* Asks with a request of its own: in its state, or at `elsewhere`. */
struct owner_of_request {
    weft_addr *to;
    weft_request *elsewhere;
    weft_ns deadline;
    weft_err *err;
    weft_request mine;
};

static weft_err ask_with_own(weft_self *self, void *state, void *arg)
{
    struct owner_of_request *o = state;
    *o = *(struct owner_of_request *)arg;
    weft_request *req = o->elsewhere == NULL ? &o->mine : o->elsewhere;
    weft_msg_init(&req->msg, &OWN);
    *o->err = weft_ask(self, o->to, req, o->deadline, on_answer, NULL, NULL);
    return WEFT_OK;
}

static weft_verdict drop_all(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

/* What an ask answers with a request there, to one who drops it. */
static weft_err asks_with(struct rig *rig, weft_request *elsewhere, weft_ns deadline)
{
    weft_addr *to = rig_spawn(rig, drop_all, NULL, 0), *addr = NULL;
    weft_err err = WEFT_INTERNAL;
    struct owner_of_request o = {
        .to = to, .elsewhere = elsewhere, .deadline = deadline, .err = &err};
    weft_spec spec = {.name = "owner",
                      .arg = &o,
                      .state_size = sizeof o,
                      .init = ask_with_own,
                      .handle = drop_all};
    lines[0] = '\0';
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    settle(rig);
    weft_addr_put(addr);
    weft_addr_put(to);
    return err;
}

Test(misuse, an_ask_that_may_outlive_its_request_is_named)
{
    struct rig rig = open_rig();
    weft_request req;
    wf_misuse_checks = true;
    cr_assert_eq(asks_with(&rig, &req, weft_rt_after(rig.rt, WEFT_SEC)), WEFT_INVALID);
    cr_assert(strstr(lines, "own has no drop and is no part of the state of owner"), "%s", lines);
    cr_assert_eq(asks_with(&rig, &req, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(asks_with(&rig, NULL, weft_rt_after(rig.rt, WEFT_SEC)), WEFT_OK, "in the state");
    cr_assert_str_empty(lines);
    rig_close(&rig);
}

Test(misuse, a_call_that_may_outlive_its_request_is_named)
{
    struct rig rig = open_rig();
    weft_request req, *out = NULL;
    bool taken = true;
    weft_addr *to = rig_spawn(&rig, drop_all, NULL, 0);
    weft_msg_init(&req.msg, &OWN);
    wf_misuse_checks = true;
    cr_assert_eq(weft_call(to, &req, rig_soon(&rig), &out, &taken), WEFT_INVALID);
    cr_assert_not(taken);
    cr_assert(strstr(lines, "the state of a plain thread"), "%s", lines);
    cr_assert_eq(weft_call(to, &req, WEFT_NEVER, &out, &taken), WEFT_DROPPED);
    weft_addr_put(to);
    rig_close(&rig);
}

Test(misuse, a_debug_build_aborts_for_a_request_that_may_be_outlived, .signal = SIGABRT)
{
    struct rig rig = open_rig();
    weft_request req;
    wf_misuse_checks = wf_misuse_aborts = true;
    (void)asks_with(&rig, &req, weft_rt_after(rig.rt, WEFT_SEC));
}

/* -- An actor used outside its callbacks -- */

struct lent {
    weft_self *self;
    weft_timer timer;
    weft_topic *topic;
};

static weft_err lend(weft_self *self, void *data)
{
    struct lent *lent = data;
    lent->self = self;
    return weft_timer_set(self, &lent->timer, weft_now(self) + 3600 * WEFT_SEC, 0, on_alarm);
}

static void on_ready(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    (void)self, (void)state, (void)fd, (void)events, (void)arg;
}

/* All calls that change an actor; what each answers is told by its name. */
static void use_all(struct lent *lent, weft_addr *other, weft_err (*expect)(const char *, weft_err))
{
    weft_self *self = lent->self;
    struct query *query = query_new(0);
    weft_msg *note = &note_new(0, 0)->msg;
    weft_spec spec = {.handle = drop_all};
#define USE(call) (void)expect(#call, call)
    USE(weft_ask(self, other, &query->req, WEFT_NEVER, on_answer, NULL, NULL));
    USE(weft_ask_cancel(self, 1));
    USE(weft_notify_credit(self, other, note));
    USE(weft_timer_set(self, &lent->timer, 1, 0, on_alarm));
    USE(weft_timer_stop(self, &lent->timer));
    USE(weft_fd_watch(self, 0, WEFT_FD_READ, on_ready, NULL));
    USE(weft_fd_unwatch(self, 0));
    USE(weft_spawn_child(self, &spec, NULL));
    USE(weft_monitor(self, other, NULL));
    USE(weft_demonitor(self, 1));
    USE(weft_link(self, other));
    USE(weft_unlink(self, other));
    USE(weft_topic_subscribe(self, lent->topic, 1));
    USE(weft_topic_unsubscribe(self, lent->topic));
#undef USE
    cr_assert_eq(weft_unstash(self, 1), 0);
    weft_trap_exits(self, true);
    weft_exit(self, WEFT_IO);
    weft_drop(&query->req.msg);
    weft_drop(note);
}

static unsigned refused;

static weft_err is_refused(const char *call, weft_err err)
{
    cr_assert_eq(err, WEFT_INVALID, "%s: %s", call, weft_errname(err));
    refused++;
    return err;
}

struct borrower {
    struct lent *lent;
    weft_addr *other;
};

static weft_verdict borrow(weft_self *self, void *data, weft_msg *msg)
{
    struct borrower *borrower = data;
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    use_all(borrower->lent, borrower->other, is_refused);
    return WEFT_DONE;
}

Test(misuse, an_actor_used_outside_its_callbacks_is_named)
{
    struct rig rig = open_rig();
    struct lent lent = {0};
    cr_assert_eq(weft_topic_open_ref(rig.rt, "news", &lent.topic), WEFT_OK);
    weft_addr *other = rig_spawn(&rig, drop_all, NULL, 0);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, lend, &lent, 0);
    struct borrower borrower = {&lent, other};
    weft_addr *by = rig_spawn(&rig, borrow, &borrower, 0);
    wf_misuse_checks = true;
    use_all(&lent, other, is_refused);
    cr_assert_eq(refused, 14);
    cr_assert(strstr(lines, "weft_ask: rig is used outside its callbacks, by a plain thread"), "%s",
              lines);
    lines[0] = '\0';
    cr_assert_eq(weft_send(by, &note_new(0, 0)->msg), WEFT_OK);
    settle(&rig);
    cr_assert_eq(refused, 28);
    cr_assert(strstr(lines, "by rig"), "%s", lines);
    wf_misuse_checks = false;
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK, "and it lives on");
    weft_topic_put(lent.topic);
    weft_addr_put(by);
    weft_addr_put(addr);
    weft_addr_put(other);
    rig_close(&rig);
}

Test(misuse, a_debug_build_aborts_for_an_actor_used_elsewhere, .signal = SIGABRT)
{
    struct rig rig = open_rig();
    struct lent lent = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, lend, &lent, 0);
    wf_misuse_checks = wf_misuse_aborts = true;
    (void)weft_timer_stop(lent.self, &lent.timer);
    weft_addr_put(addr);
}

/* -- A message that was given away -- */

struct giver {
    weft_addr *to; /* NULL: the message is answered, else sent on to it */
    weft_verdict verdict;
    bool twice;
    unsigned handled;
};

static weft_verdict give_away(weft_self *self, void *data, weft_msg *msg)
{
    struct giver *giver = data;
    (void)self;
    giver->handled++;
    if (giver->to != NULL) cr_assert_eq(weft_send(giver->to, msg), WEFT_OK);
    else weft_reply((weft_request *)msg, WEFT_OK);
    if (giver->twice) weft_reply((weft_request *)msg, WEFT_IO);
    return giver->verdict;
}

static void gives_away(weft_verdict verdict, bool on, bool twice)
{
    struct rig rig = open_rig();
    struct giver giver = {.verdict = verdict, .twice = twice};
    giver.to = on ? rig_spawn(&rig, rig_echo, NULL, 0) : NULL;
    weft_addr *addr = rig_spawn(&rig, give_away, &giver, 0);
    struct query *query = query_new(5);
    weft_request *out = NULL;
    cr_assert_eq(weft_call(addr, &query->req, rig_soon(&rig), &out, NULL), WEFT_OK);
    cr_assert_eq(out, &query->req, "the answer is whole");
    cr_assert_eq(query->number, on ? 6 : 5);
    weft_drop(&out->msg);
    cr_assert(strstr(lines, "query was sent or answered, and then"), "%s", lines);
    cr_assert(strstr(lines, "again by rig"), "%s", lines);
    weft_addr_put(addr);
    weft_addr_put(giver.to);
    rig_close(&rig);
    cr_assert_eq(giver.handled, 1);
}

Test(misuse, what_was_answered_is_not_dropped) { gives_away(WEFT_DONE, false, false); }
Test(misuse, what_was_sent_on_is_not_dropped) { gives_away(WEFT_DONE, true, false); }
Test(misuse, what_was_answered_is_not_put_back) { gives_away(WEFT_STASH, false, false); }
Test(misuse, a_failure_after_an_answer_leaves_the_answer) { gives_away(WEFT_FAIL, false, false); }
Test(misuse, the_second_of_two_answers_is_none) { gives_away(WEFT_KEPT, false, true); }

/* -- Waiting for oneself, ending twice -- */

struct inside {
    weft_addr *other;
    weft_err join, join_other, call, wait, rt_stop, rt_report, rt_now, group, stop[3];
    weft_group *its_group;
    weft_sim *sim;
    bool stepped, run;
};

static bool is_never(void *arg)
{
    (void)arg;
    return false;
}

static weft_verdict misuse_all(weft_self *self, void *data, weft_msg *msg)
{
    struct inside *in = data;
    weft_addr *me = weft_self_addr(self);
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    in->join = weft_join(me, WEFT_NEVER, NULL);
    in->join_other = weft_join(in->other, WEFT_NEVER, NULL);
    in->call = weft_call(in->other, &query->req, WEFT_NEVER, &out, NULL);
    in->wait = weft_send_wait(in->other, &query->req.msg, WEFT_NEVER);
    size_t count = 99;
    in->rt_stop = weft_rt_stop(weft_self_rt(self), WEFT_NEVER);
    in->rt_report = weft_rt_stop_report(weft_self_rt(self), WEFT_NEVER, NULL, 0, &count);
    in->rt_now = weft_rt_stop_now(weft_self_rt(self), WEFT_NEVER, NULL, 0, NULL);
    in->group = weft_group_destroy(in->its_group);
    in->stepped = weft_sim_step(in->sim);
    in->run = weft_sim_run_while_not(in->sim, is_never, NULL, WEFT_NEVER);
    weft_drop(&query->req.msg);
    in->stop[0] = weft_stop(me, WEFT_DRAIN);
    in->stop[1] = weft_stop(me, WEFT_DRAIN);
    in->stop[2] = weft_stop(me, WEFT_NOW);
    return WEFT_DONE;
}

Test(misuse, an_actor_does_not_block_and_may_be_stopped_twice)
{
    struct rig rig = open_rig();
    struct hand hand = {0};
    struct inside in = {.other = spawn_named(&rig, "hand", &hand)};
    cr_assert_eq(weft_group_create(rig.rt, &(weft_group_spec){.workers = 1}, &in.its_group),
                 WEFT_OK);
    in.sim = rig.sim;
    weft_addr *addr = rig_spawn(&rig, misuse_all, &in, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(in.join, WEFT_DEADLK);
    cr_assert_eq(in.join_other, WEFT_DEADLK);
    cr_assert_eq(in.call, WEFT_DEADLK);
    cr_assert_eq(in.wait, WEFT_DEADLK);
    cr_assert_eq(in.rt_stop, WEFT_DEADLK);
    cr_assert_eq(in.rt_report, WEFT_DEADLK);
    cr_assert_eq(in.rt_now, WEFT_DEADLK);
    cr_assert_eq(in.group, WEFT_DEADLK);
    cr_assert_not(in.stepped);
    cr_assert_not(in.run);
    for (int i = 0; i < 3; i++) cr_assert_eq(in.stop[i], WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_CLOSED, "after the end");
    cr_assert_eq(weft_join(addr, WEFT_NEVER, NULL), WEFT_OK, "again");
    weft_msg *note = &note_new(0, 0)->msg;
    cr_assert_eq(weft_send(addr, note), WEFT_CLOSED);
    weft_drop(note);
    weft_addr_put(addr);
    weft_addr_put(in.other);
    rig_close(&rig);
}

/* -- A timer of another actor -- */

struct owner {
    weft_timer *timer;
    weft_err set, stop;
    unsigned ticks;
};

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct owner *owner = ((struct rig_actor *)state)->data;
    (void)self, (void)timer, (void)missed;
    owner->ticks++;
}

static weft_verdict use_timer(weft_self *self, void *data, weft_msg *msg)
{
    struct owner *owner = data;
    (void)msg;
    owner->set = weft_timer_set(self, owner->timer, weft_now(self) + WEFT_MS, 0, on_tick);
    if (owner->set != WEFT_OK) owner->stop = weft_timer_stop(self, owner->timer);
    return WEFT_DONE;
}

Test(misuse, the_timer_of_another_actor_is_left_alone)
{
    struct rig rig = open_rig();
    static weft_timer timer;
    struct owner first = {.timer = &timer}, second = {.timer = &timer};
    weft_addr *one = rig_spawn(&rig, use_timer, &first, 0);
    weft_addr *two = rig_spawn(&rig, use_timer, &second, 0);
    cr_assert_eq(weft_send(one, &note_new(0, 0)->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    cr_assert_eq(first.set, WEFT_OK);
    cr_assert_eq(weft_send(two, &note_new(0, 0)->msg), WEFT_OK);
    settle(&rig);
    cr_assert_eq(second.set, WEFT_INVALID);
    cr_assert_eq(second.stop, WEFT_INVALID);
    cr_assert_eq(first.ticks, 1);
    cr_assert_eq(second.ticks, 0);
    weft_addr_put(one);
    weft_addr_put(two);
    rig_close(&rig);
}

/* -- Specs -- */

Test(misuse, a_spec_out_of_its_range_starts_nothing)
{
    struct rig rig = open_rig();
    char long_name[WEFT_ACTOR_NAME_BYTES_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const weft_spec bad[] = {
        {.name = "no handler"},
        {.name = long_name, .handle = on_note},
        {.handle = on_note, .mailbox = WEFT_MAILBOX_MAX + 1},
        {.handle = on_note, .overflow = (weft_overflow)-1},
        {.handle = on_note, .mailbox = 2, .stash = 2},
        {.handle = on_note, .restart = WEFT_PERMANENT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weft_addr *addr = (weft_addr *)&rig;
        cr_assert_eq(weft_spawn(rig.rt, &bad[i], &addr), WEFT_INVALID, "spec %zu", i);
        cr_assert_eq(addr, (weft_addr *)&rig, "out changes on success only");
    }
    rig_close(&rig);
}

Test(misuse, a_stack_that_is_too_small_starts_nothing)
{
    struct rig rig = rig_open(false, 0);
    weft_spec spec = {.name = "small", .handle = on_note, .stack_bytes = 1};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_INVALID);
    cr_assert_null(addr);
    rig_close(&rig);
}
