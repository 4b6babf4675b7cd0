/* SPDX-License-Identifier: Apache-2.0
 * test_asks.c - the table of pending asks: its order, its tokens, its price.
 * Called by: the test runner. */
#include "alloc.h"
#include "asks.h"
#include "rig.h"
#include "self.h"

#include <time.h>

enum { MANY = 100000 };

static void add(struct wf_asks *asks, weft_request *req)
{
    cr_assert_eq(wf_asks_add(asks, req, true), WEFT_OK);
    cr_assert_neq(req->token, 0);
}

Test(asks, stay_in_the_order_of_asking_wherever_one_is_taken_out)
{
    struct wf_asks asks = {0};
    static weft_request reqs[5];
    for (int i = 0; i < 5; i++) add(&asks, &reqs[i]);
    wf_asks_remove(&asks, &reqs[2]);
    wf_asks_remove(&asks, &reqs[0]);
    wf_asks_remove(&asks, &reqs[4]);
    add(&asks, &reqs[0]);
    cr_assert_eq(asks.oldest, &reqs[1]);
    cr_assert_eq(reqs[1].next_pending, &reqs[3]);
    cr_assert_eq(reqs[3].next_pending, &reqs[0]);
    cr_assert_eq(asks.newest, &reqs[0]);
    cr_assert_eq(asks.count, 3);
    while (asks.oldest != NULL) wf_asks_remove(&asks, asks.oldest);
    wf_asks_fini(&asks);
}

Test(asks, an_old_token_leads_to_nothing_although_its_place_is_used_again)
{
    struct wf_asks asks = {0};
    static weft_request first, second;
    add(&asks, &first);
    uint64_t old = first.token;
    cr_assert_eq(wf_asks_find(&asks, old), &first);
    wf_asks_remove(&asks, &first);
    cr_assert_null(wf_asks_find(&asks, old));
    add(&asks, &second);
    cr_assert_null(wf_asks_find(&asks, old));
    cr_assert_eq(wf_asks_find(&asks, second.token), &second);
    cr_assert_eq(asks.room, 8, "the place was used again");
    wf_asks_remove(&asks, &second);
    wf_asks_fini(&asks);
}

Test(asks, made_up_tokens_lead_to_nothing)
{
    struct wf_asks asks = {0};
    static weft_request req;
    cr_assert_null(wf_asks_find(&asks, 0));
    cr_assert_null(wf_asks_find(&asks, 1));
    add(&asks, &req);
    cr_assert_null(wf_asks_find(&asks, 0));
    cr_assert_null(wf_asks_find(&asks, 2));
    cr_assert_null(wf_asks_find(&asks, UINT64_MAX));
    cr_assert_null(wf_asks_find(&asks, req.token + (UINT64_C(1) << 32)));
    wf_asks_remove(&asks, &req);
    wf_asks_fini(&asks);
}

Test(asks, who_wants_no_token_costs_no_memory)
{
    struct wf_asks asks = {0};
    static weft_request req;
    (void)wf_alloc_fail_at(1, 1);
    weft_err without = wf_asks_add(&asks, &req, false);
    wf_asks_remove(&asks, &req);
    weft_err with = wf_asks_add(&asks, &req, true);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(without, WEFT_OK);
    cr_assert_eq(with, WEFT_NO_MEMORY);
    cr_assert_eq(asks.count, 0);
    wf_asks_fini(&asks);
}

Test(asks, tokens_and_requests_agree_over_a_long_random_life)
{
    struct wf_asks asks = {0};
    static weft_request reqs[64];
    uint64_t tokens[64] = {0}, x = 4711;
    bool in[64] = {false};
    for (int i = 0; i < 200000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        unsigned k = (unsigned)(x % 64);
        cr_assert_eq(wf_asks_find(&asks, tokens[k]), in[k] ? &reqs[k] : NULL);
        if (in[k]) {
            wf_asks_remove(&asks, &reqs[k]);
        } else {
            add(&asks, &reqs[k]);
            tokens[k] = reqs[k].token;
        }
        in[k] = !in[k];
    }
    cr_assert_eq(asks.room, 64);
    while (asks.oldest != NULL) wf_asks_remove(&asks, asks.oldest);
    wf_asks_fini(&asks);
}

/* -- With actors -- */

struct crowd {
    weft_addr *callee;
    uint64_t *tokens;
    unsigned canceled, wrong;
};

static void on_over(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct crowd *crowd = arg;
    (void)self, (void)state;
    if (err == WEFT_CANCELED && req == NULL) crowd->canceled++;
    else crowd->wrong++;
}

/* Asks, and then cancels the oldest first, which a walk from the newest finds last. */
static weft_verdict ask_and_cancel(weft_self *self, void *data, weft_msg *msg)
{
    struct crowd *crowd = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(weft_ask(self, crowd->callee, &query_new(0)->req, WEFT_NEVER, on_over, crowd,
                              &crowd->tokens[i]),
                     WEFT_OK);
    for (int i = 0; i < MANY; i++) cr_assert_eq(weft_ask_cancel(self, crowd->tokens[i]), WEFT_OK);
    return WEFT_DONE;
}

Test(asks, to_cancel_each_of_100000_costs_a_step_each)
{
    struct rig rig = rig_open(true, 1);
    struct crowd crowd = {.callee = rig_spawn(&rig, rig_echo, NULL, WEFT_UNBOUNDED),
                          .tokens = calloc(MANY, sizeof(uint64_t))};
    weft_addr *asker = rig_spawn(&rig, ask_and_cancel, &crowd, 0);
    clock_t begin = clock();
    cr_assert_eq(weft_send(asker, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(&rig, asker, 0), WEFT_OK);
    cr_assert_eq(crowd.canceled, MANY);
    cr_assert_eq(crowd.wrong, 0);
    /* Half of 10^10 steps of a walk would take many times that. */
    cr_assert_lt((clock() - begin) / CLOCKS_PER_SEC, 6);
    weft_addr_put(asker);
    weft_addr_put(crowd.callee);
    rig_close(&rig);
    free(crowd.tokens);
}

/* -- What it costs in memory -- */

struct round {
    weft_addr *callee;
    struct query query; /* embedded: the same for all asks */
    unsigned left;
    uint64_t token;
    uint64_t allocations;
};

static void ask_again(weft_self *self, struct round *round);

static void on_round(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)state, (void)req;
    struct round *round = arg;
    cr_assert_eq(err, WEFT_OK);
    if (round->left == 1000) (void)wf_alloc_fail_at(0, 0); /* the tables have their size now */
    if (--round->left > 0) ask_again(self, round);
    else round->allocations = wf_alloc_fail_at(0, 0);
}

static void ask_again(weft_self *self, struct round *round)
{
    static const weft_kind embedded = {2, "query", sizeof(struct query), NULL};
    round->query.req.msg.kind = &embedded;
    cr_assert_eq(weft_ask(self, round->callee, &round->query.req, weft_now(self) + WEFT_SEC * 60,
                          on_round, round, &round->token),
                 WEFT_OK);
}

static weft_verdict begin_rounds(weft_self *self, void *data, weft_msg *msg)
{
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    ask_again(self, data);
    return WEFT_DONE;
}

static weft_verdict answer(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)data;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

Test(asks, a_send_and_an_ask_ask_for_no_memory)
{
    struct rig rig = rig_open(true, 1);
    wf_misuse_checks = false; /* the request is the test's, which outlives all */
    struct round round = {.callee = rig_spawn(&rig, answer, NULL, 0), .left = 1001};
    weft_addr *asker = rig_spawn(&rig, begin_rounds, &round, 0);
    cr_assert_eq(weft_send(asker, &note_new(0, 0)->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(round.left, 0);
    cr_assert_eq(round.allocations, 0, "in 1000 asks");
    weft_addr_put(asker);
    weft_addr_put(round.callee);
    rig_close(&rig);
}
