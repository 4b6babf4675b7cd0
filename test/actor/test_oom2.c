/* SPDX-License-Identifier: Apache-2.0
 * test_oom2.c - every allocation of the whole runtime fails, once or from there on: the call that needed
 * it says so, or what it did without is counted; nothing leaks, and the runtime can be stopped.
 * Called by: the test runner (leaks are for the sanitizer and valgrind to see). */
#include "alloc.h"
#include "rig.h"

#include <weft/buf.h>
#include <weft/group.h>
#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/topic.h>

/* What one life has; every step that fails leaves its error in `err`, the first one wins. */
struct life {
    struct rig rig;
    weft_group *group;
    weft_addr *callee;
    weft_topic *topic;
    weft_timer timer;
    weft_err err;
    unsigned events, begun, replies;
    bool failed;
};

static void step(struct life *life, weft_err err)
{
    if (life->err == WEFT_OK) life->err = err;
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state, (void)err;
    ((struct life *)arg)->replies++;
    if (req != NULL) weft_drop(&req->msg);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)state, (void)timer, (void)missed;
}

static void ask(weft_self *self, struct life *life, bool cancel)
{
    weft_request *req = (weft_request *)weft_new(&QUERY);
    uint64_t token = 0;
    if (req == NULL) {
        step(life, WEFT_NO_MEMORY);
        return;
    }
    weft_err err = weft_ask(self, life->callee, req, weft_now(self) + WEFT_SEC, on_reply, life,
                            &token);
    step(life, err);
    if (err != WEFT_OK) weft_drop(&req->msg);
    else if (cancel) step(life, weft_ask_cancel(self, token));
}

static void tell_all(weft_self *self, struct life *life)
{
    uint32_t delivered = 0, dropped = 0;
    step(life, weft_topic_subscribe(self, life->topic, 4));
    weft_buf *payload = NULL;
    step(life, weft_buf_create_copy("news", 4, &payload));
    weft_err err = weft_topic_publish(life->topic, payload, &delivered, &dropped);
    weft_buf_unref(payload);
    step(life, err);
    if (dropped > 0) step(life, WEFT_NO_MEMORY); /* counted, which is the answer here */
}

static weft_err child_begin(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct life **)state = arg;
    ((struct life *)arg)->begun++;
    return WEFT_OK;
}

/* Fails at its first message, so that it is started again. */
static weft_verdict child_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct life *life = *(struct life **)state;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (life->failed) return WEFT_DONE;
    life->failed = true;
    return weft_fail(self, WEFT_INTERNAL);
}

static void family(weft_self *self, struct life *life)
{
    weft_addr *child = NULL;
    uint64_t tag;
    weft_spec spec = {.name = "child",
                      .arg = life,
                      .state_size = sizeof(struct life *),
                      .init = child_begin,
                      .handle = child_handle,
                      .restart = WEFT_PERMANENT};
    weft_err err = weft_spawn_child(self, &spec, &child);
    step(life, err);
    if (err != WEFT_OK) return;
    err = weft_monitor(self, child, &tag);
    step(life, err);
    if (err == WEFT_OK) step(life, weft_demonitor(self, tag));
    step(life, weft_monitor(self, child, NULL));
    err = weft_link(self, child);
    step(life, err);
    if (err == WEFT_OK) step(life, weft_unlink(self, child));
    weft_msg *note = weft_new(&NOTE);
    if (note == NULL) step(life, WEFT_NO_MEMORY);
    else if (weft_send(child, note) != WEFT_OK) weft_drop(note);
    weft_addr_put(child);
}

static weft_verdict work(weft_self *self, void *state, weft_msg *msg)
{
    struct life *life = *(struct life **)state;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (msg->kind == &weft_kind_event) life->events++;
    if (msg->kind != &NOTE) return WEFT_DONE;
    step(life, weft_timer_set(self, &life->timer, weft_now(self) + 1000, 0, on_tick));
    ask(self, life, true);
    ask(self, life, false);
    step(life, weft_register(weft_self_rt(self), "worker", weft_self_addr(self)));
    tell_all(self, life);
    family(self, life);
    return WEFT_DONE;
}

static weft_err work_begin(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct life **)state = arg;
    return WEFT_OK;
}

static weft_err spawn(struct life *life, const char *name, weft_addr **out)
{
    weft_spec spec = {.name = name,
                      .arg = life,
                      .state_size = sizeof(struct life *),
                      .init = work_begin,
                      .handle = work};
    if (life->group != NULL) {
        spec.place = WEFT_PLACE_GROUP;
        spec.group = life->group;
    }
    return weft_spawn(life->rig.rt, &spec, out);
}

/* Waits for the answer to a question, which is behind all that was sent before. */
static weft_err question(weft_addr *to, struct rig *rig)
{
    weft_request *req = (weft_request *)weft_new(&QUERY), *out = NULL;
    bool taken = false;
    if (req == NULL) return WEFT_NO_MEMORY;
    weft_err err = weft_call(to, req, rig_soon(rig), &out, &taken);
    if (out != NULL) weft_drop(&out->msg);
    else if (!taken) weft_drop(&req->msg);
    return err;
}

static weft_err begin(struct life *life, bool simulated, weft_addr **worker)
{
    struct rig *rig = &life->rig;
    weft_err err = simulated ? wf_sim_create(3, &rig->sim) : WEFT_OK;
    if (err == WEFT_OK)
        err = simulated ? wf_sim_rt_create(rig->sim, &rig->rt) : weft_rt_create(&rig->rt);
    weft_group_spec group = {.workers = 2};
    if (err == WEFT_OK) err = weft_group_create(rig->rt, &group, &life->group);
    if (err == WEFT_OK) err = weft_topic_open_ref(rig->rt, "news", &life->topic);
    if (err == WEFT_OK) err = spawn(life, "callee", &life->callee);
    if (err == WEFT_OK) err = spawn(life, "worker", worker);
    return err;
}

/* A whole life. Whatever it answers, nothing may be left of it. */
static weft_err live(bool simulated)
{
    struct life life = {0};
    weft_addr *worker = NULL;
    weft_err err = begin(&life, simulated, &worker);
    weft_msg *note = err == WEFT_OK ? weft_new(&NOTE) : NULL;
    if (err == WEFT_OK) err = note == NULL ? WEFT_NO_MEMORY : weft_send(worker, note);
    if (err == WEFT_OK) err = question(worker, &life.rig);
    if (err == WEFT_OK && simulated) { /* time for the child to be started again */
        wf_sim_run_until(life.rig.sim, wf_sim_now(life.rig.sim) + WEFT_SEC);
        cr_assert(life.err != WEFT_OK || life.begun == 2, "%u", life.begun);
    }
    if (life.rig.rt != NULL) cr_assert_eq(weft_rt_stop(life.rig.rt, WEFT_NEVER), WEFT_OK);
    if (err == WEFT_OK) err = life.err;
    weft_topic_put(life.topic);
    weft_addr_put(worker);
    weft_addr_put(life.callee);
    cr_assert_eq(weft_group_destroy(life.group), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(life.rig.rt), WEFT_OK);
    wf_sim_destroy(life.rig.sim);
    return err;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

/* On threads the order of allocations is the machine's, so there the n-th is now this one and now
 * that one; every answer but "out of memory" and success is wrong all the same. */
static void sweep(bool simulated, int persistent)
{
    unsigned refused = 0;
    weft_log_to(quiet, NULL, WEFT_LOG_OFF);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(live(simulated), WEFT_OK); /* this thread keeps a reply box from here on */
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(live(simulated), WEFT_OK);
    uint64_t sites = wf_alloc_fail_at(0, 0);
    cr_assert_gt(sites, 20);
    for (uint64_t n = 1; n <= sites; n++) {
        (void)wf_alloc_fail_at(n, persistent);
        weft_err err = live(simulated);
        (void)wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "allocation %u of %u: %s", (unsigned)n,
                  (unsigned)sites, weft_errname(err));
        refused += err == WEFT_NO_MEMORY;
    }
    cr_assert_gt(refused, sites / 2, "%u of %u", refused, (unsigned)sites);
    cr_assert_eq(live(simulated), WEFT_OK, "and it works after");
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(oom2, each_allocation_of_a_whole_life_fails_in_the_simulator) { sweep(true, 0); }
Test(oom2, each_and_all_after_it_fail_in_the_simulator) { sweep(true, 1); }
Test(oom2, each_allocation_of_a_whole_life_fails_on_threads) { sweep(false, 0); }
Test(oom2, each_and_all_after_it_fail_on_threads) { sweep(false, 1); }
