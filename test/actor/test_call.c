/* SPDX-License-Identifier: Apache-2.0
 * test_call.c - the blocking call of plain threads.
 * Called by: the test runner. */
#include "rig.h"

#include <pthread.h>

BOTH(call, returns_the_answered_request)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    struct query *query = query_new(7);
    weft_request *out = NULL;
    bool taken = false;
    cr_assert_eq(weft_call(addr, &query->req, rig_soon(rig), &out, &taken), WEFT_OK);
    cr_assert(taken);
    cr_assert_eq(out, &query->req);
    cr_assert_eq(query->number, 8);
    weft_drop(&out->msg);
    weft_addr_put(addr);
}

BOTH(call, a_request_may_be_called_with_again)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    struct query *query = query_new(0);
    for (unsigned i = 0; i < 100; i++) {
        weft_request *out = NULL;
        cr_assert_eq(weft_call(addr, &query->req, rig_soon(rig), &out, NULL), WEFT_OK);
    }
    cr_assert_eq(query->number, 100);
    weft_drop(&query->req.msg);
    weft_addr_put(addr);
}

/* Keeps the first query and answers it when the second comes. */
struct late {
    weft_request *kept;
    bool abandoned;
};

static weft_verdict answer_late(weft_self *self, void *data, weft_msg *msg)
{
    struct late *late = data;
    if (late->kept == NULL) {
        late->kept = (weft_request *)msg;
        return WEFT_KEPT;
    }
    late->abandoned = weft_abandoned(late->kept);
    weft_reply(late->kept, WEFT_OK);
    return rig_echo(self, NULL, msg);
}

BOTH(call, a_reply_after_the_deadline_touches_nobody)
{
    struct late late = {0};
    weft_addr *addr = rig_spawn(rig, answer_late, &late, 0);
    struct query *query = query_new(0);
    weft_request *out = &query->req;
    bool taken = false;
    weft_ns deadline = weft_rt_after(rig->rt, WEFT_MS);
    cr_assert_eq(weft_call(addr, &query->req, deadline, &out, &taken), WEFT_TIMED_OUT);
    cr_assert(taken);
    cr_assert_null(out);
    cr_assert(weft_rt_now(rig->rt) >= deadline);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    cr_assert(late.abandoned);
    weft_addr_put(addr);
}

static weft_verdict drop_it(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data, (void)msg;
    return WEFT_DONE;
}

BOTH(call, a_dropped_request_answers_dropped)
{
    weft_addr *addr = rig_spawn(rig, drop_it, NULL, 0);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    cr_assert_eq(weft_call(addr, &query->req, WEFT_NEVER, &out, NULL), WEFT_DROPPED);
    cr_assert_eq(out, &query->req);
    weft_drop(&out->msg);
    weft_addr_put(addr);
}

Test(call, a_full_mailbox_leaves_the_request_with_the_caller)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 1);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    bool taken = true;
    cr_assert_eq(weft_call(addr, &query->req, WEFT_NEVER, &out, &taken), WEFT_FULL);
    cr_assert_not(taken);
    cr_assert_null(out);
    weft_drop(&query->req.msg);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Hands each query to the actor behind it: the reply goes straight to the caller. */
static weft_verdict forward(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    return weft_send(data, msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

BOTH(call, a_forwarded_request_is_answered_by_the_last)
{
    weft_addr *last = rig_spawn(rig, rig_echo, NULL, 0), *first = rig_spawn(rig, forward, last, 0);
    struct query *query = query_new(1);
    weft_request *out = NULL;
    cr_assert_eq(weft_call(first, &query->req, rig_soon(rig), &out, NULL), WEFT_OK);
    cr_assert_eq(query->number, 2);
    weft_drop(&out->msg);
    weft_addr_put(first);
    weft_addr_put(last);
}

/* -- Several callers with tight deadlines: every request is answered or freed -- */

enum { CALLERS = 4, CALLS = 1500 };

struct caller {
    pthread_t thread;
    struct rig *rig;
    weft_addr *to;
    unsigned answered, late;
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    for (unsigned i = 0; i < CALLS; i++) {
        struct query *query = query_new(i);
        weft_request *out = NULL;
        bool taken = false;
        weft_ns deadline = weft_rt_after(c->rig->rt, i % 2 == 0 ? 20 * WEFT_SEC : 2000 * (i % 40));
        weft_err err = weft_call(c->to, &query->req, deadline, &out, &taken);
        if (err == WEFT_OK && query->number == i + 1) c->answered++;
        if (err == WEFT_TIMED_OUT) c->late++;
        if (out != NULL) weft_drop(&out->msg);
        else if (!taken) weft_drop(&query->req.msg);
    }
    return NULL;
}

Test(call, many_callers_with_tight_deadlines_get_one_answer_each)
{
    struct rig rig = rig_open(false, 0);
    struct caller callers[CALLERS];
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, WEFT_UNBOUNDED);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.rig = &rig, .to = addr};
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        cr_assert_eq(callers[i].answered + callers[i].late, CALLS);
        cr_assert(callers[i].answered >= CALLS / 2);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(call, an_address_whose_simulator_is_gone_is_closed)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    bool taken = true;
    rig_close(&rig);
    cr_assert_eq(weft_call(addr, &query->req, WEFT_NEVER, &out, &taken), WEFT_CLOSED);
    cr_assert_not(taken);
    cr_assert_eq(weft_send_wait(addr, &query->req.msg, WEFT_NEVER), WEFT_CLOSED);
    weft_drop(&query->req.msg);
    weft_addr_put(addr);
}
