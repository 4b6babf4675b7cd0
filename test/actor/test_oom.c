/* SPDX-License-Identifier: Apache-2.0
 * test_oom.c - every allocation fails once: a clean error, no leak, and it works after.
 * Called by: the test runner (leaks are the sanitizer's to see). */
#include "alloc.h"
#include "rig.h"

#include <weft/log.h>

struct work {
    unsigned replies;
    weft_addr *callee;
    weft_timer timer;
    weft_err asked;
};

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state;
    ((struct work *)arg)->replies += err == WEFT_OK;
    if (req != NULL) weft_drop(&req->msg);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)state, (void)timer, (void)missed;
}

static weft_verdict ask_once(weft_self *self, void *data, weft_msg *msg)
{
    struct work *work = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    work->asked = weft_timer_set(self, &work->timer, weft_now(self) + WEFT_MS, 0, on_tick);
    struct query *query = work->asked == WEFT_OK ? (struct query *)weft_new(&QUERY) : NULL;
    if (query == NULL) {
        work->asked = WEFT_NO_MEMORY;
        return WEFT_DONE;
    }
    work->asked = weft_ask(self, work->callee, &query->req, weft_now(self) + 20 * WEFT_SEC,
                           on_reply, work, NULL);
    if (work->asked != WEFT_OK) weft_drop(&query->req.msg);
    return WEFT_DONE;
}

/* A whole small life. Returns the first error; whatever it is, nothing may be left. */
static weft_err life(bool simulated)
{
    wf_sim *sim = NULL;
    weft_rt *rt = NULL;
    weft_addr *callee = NULL, *asker = NULL;
    struct work work = {0};
    struct rig_actor actor = {.data = &work, .handle = ask_once};
    weft_spec spec = {.name = "x",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    weft_err err = simulated ? wf_sim_create(1, &sim) : WEFT_OK;
    if (err == WEFT_OK) err = simulated ? wf_sim_rt_create(sim, &rt) : weft_rt_create(&rt);
    if (err == WEFT_OK) err = weft_spawn(rt, &spec, &callee);
    work.callee = callee;
    if (err == WEFT_OK) err = weft_spawn(rt, &spec, &asker);
    weft_msg *note = err == WEFT_OK ? weft_new(&NOTE) : NULL;
    if (err == WEFT_OK && note == NULL) err = WEFT_NO_MEMORY;
    if (err == WEFT_OK) err = weft_send(asker, note);
    weft_request *query = err == WEFT_OK ? (weft_request *)weft_new(&QUERY) : NULL, *out = NULL;
    if (err == WEFT_OK && query == NULL) err = WEFT_NO_MEMORY;
    bool taken = false;
    if (err == WEFT_OK) err = weft_call(asker, query, WEFT_NEVER, &out, &taken);
    if (out != NULL) weft_drop(&out->msg);
    else if (query != NULL && !taken) weft_drop(&query->msg);
    if (err == WEFT_OK) err = work.asked;
    if (rt != NULL) cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    weft_addr_put(asker);
    weft_addr_put(callee);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    wf_sim_destroy(sim);
    return err;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

static void sweep(bool simulated, int persistent)
{
    weft_log_to(quiet, NULL, WEFT_LOG_OFF);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(life(simulated), WEFT_OK); /* this thread keeps a reply box from here on */
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(life(simulated), WEFT_OK);
    uint64_t sites = wf_alloc_fail_at(0, 0);
    cr_assert_gt(sites, 8);
    for (uint64_t n = 1; n <= sites; n++) {
        (void)wf_alloc_fail_at(n, persistent);
        weft_err err = life(simulated);
        (void)wf_alloc_fail_at(0, 0);
        cr_assert_eq(err, WEFT_NO_MEMORY, "allocation %u of %u", (unsigned)n, (unsigned)sites);
        cr_assert_eq(life(simulated), WEFT_OK, "after allocation %u", (unsigned)n);
    }
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(oom, each_allocation_fails_once_in_the_simulator) { sweep(true, 0); }
Test(oom, each_allocation_and_all_after_it_fail_in_the_simulator) { sweep(true, 1); }
Test(oom, each_allocation_fails_once_on_threads) { sweep(false, 0); }
Test(oom, each_allocation_and_all_after_it_fail_on_threads) { sweep(false, 1); }
