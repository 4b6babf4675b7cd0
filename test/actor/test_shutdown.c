/* SPDX-License-Identifier: Apache-2.0
 * test_shutdown.c - the ordered stop: who first, how long, and who was in the way.
 * Called by: the test runner. */
#include <unistd.h>

#include "family.h"
#include "self.h"
#include <weft/log.h>

static void three(struct family *f, struct rig *rig)
{
    static const char *const names[] = {"a", "b", "c"};
    family_init(f, rig);
    for (int i = 0; i < 3; i++) (void)family_kid(f, names[i], WEFT_PERMANENT);
}

PLACES(shutdown, children_stop_before_their_parent_last_spawned_first)
{
    struct family f;
    three(&f, rig);
    family_start(&f);
    cr_assert_eq(weft_stop(f.addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, f.addr), WEFT_OK);
    JOURNAL_IS(&f, "c OK, b OK, a OK, boss OK");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(shutdown, children_drain_what_was_queued)
{
    struct family f;
    three(&f, rig);
    family_start(&f);
    for (uint64_t i = 1; i <= 5; i++) tell(f.kid[0].addr, i);
    cr_assert_eq(weft_stop(f.addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, f.addr), WEFT_OK);
    cr_assert_eq(f.kid[0].sum, 12345);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(shutdown, of_the_runtime_goes_through_the_trees)
{
    struct family f;
    three(&f, rig);
    family_start(&f);
    cr_assert_eq(weft_rt_stop(rig->rt, rig_soon(rig)), WEFT_OK);
    JOURNAL_IS(&f, "c OK, b OK, a OK, boss OK");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(shutdown, a_parent_that_fails_stops_its_children_first)
{
    struct family f;
    three(&f, rig);
    family_start(&f);
    tell(f.addr, TELL_FAIL);
    cr_assert_eq(rig_join(rig, f.addr), WEFT_IO);
    JOURNAL_IS(&f, "c OK, b OK, a OK, boss IO");
    cr_assert_eq(family_end(&f), WEFT_IO);
}

/* -- At once -------------------------------------------------------------------------------- */

struct letters {
    wf_lock *lock;
    unsigned count;
};

static void count_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct letters *letters = arg;
    (void)to;
    cr_expect_eq(why, WEFT_CLOSED);
    wf_lock_take(letters->lock);
    letters->count++;
    wf_lock_give(letters->lock);
    weft_drop(msg);
}

enum { NOTES = 300 };

/* What was handled and what was not are all there was. */
PLACES(shutdown, now_keeps_the_order_and_handles_nothing_more)
{
    struct family f;
    struct letters letters = {.lock = wf_lock_create()};
    uint64_t handled = 0;
    weft_rt_on_dead_letter(rig->rt, count_letter, &letters);
    three(&f, rig);
    family_start(&f);
    for (int i = 0; i < 3; i++)
        for (uint64_t n = 0; n < NOTES; n++) tell(f.kid[i].addr, n);
    weft_straggler list[1];
    size_t count = 99;
    cr_assert_eq(weft_rt_stop_now(rig->rt, rig_soon(rig), list, 1, &count), WEFT_OK);
    cr_assert_eq(count, 0);
    JOURNAL_IS(&f, "c OK, b OK, a OK, boss OK");
    for (int i = 0; i < 3; i++) handled += f.kid[i].handled;
    cr_assert_eq(handled + letters.count, 3 * NOTES);
    if (rig->sim != NULL) cr_assert_lt(handled, 3 * NOTES, "there was not the time for all");
    cr_assert_eq(family_end(&f), WEFT_OK);
    wf_lock_destroy(letters.lock);
}

/* -- A failed init -------------------------------------------------------------------------- */

static weft_err init_after_children(weft_self *self, void *state, void *arg)
{
    weft_err err = boss_init(self, state, arg);
    return err == WEFT_OK ? WEFT_IO : err;
}

PLACES(shutdown, an_init_that_fails_takes_the_children_it_made_along)
{
    struct family f;
    three(&f, rig);
    weft_spec spec = family_spec(&f);
    spec.init = init_after_children;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &f.addr), WEFT_IO);
    JOURNAL_IS(&f, "a up, b up, c up, boss up, c OK, b OK, a OK");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(rig_join(rig, f.kid[i].addr), WEFT_OK);
        weft_addr_put(f.kid[i].addr);
    }
    wf_lock_destroy(f.journal.lock);
}

/* -- While children still drain --------------------------------------------------------------- */

#define LOAD 500

/* A boss whose one kid has much to drain, at the moment when the boss begins to wait for it. */
static void wait_in_drain(struct family *f, struct rig *rig)
{
    family_init(f, rig);
    struct kid *kid = family_kid(f, "a", WEFT_PERMANENT);
    family_start(f);
    for (uint64_t i = 0; i < LOAD; i++) tell(kid->addr, i);
    cr_assert_eq(weft_stop(f->addr, WEFT_DRAIN), WEFT_OK);
    while (f->addr->self->phase != WF_PHASE_ENDING) cr_assert(wf_sim_step(rig->sim));
    cr_assert_lt(kid->handled, LOAD);
}

Test(shutdown, drains_all_within_the_grace)
{
    struct rig rig = rig_open(true, 1);
    struct family f;
    wait_in_drain(&f, &rig);
    cr_assert_eq(rig_join(&rig, f.addr), WEFT_OK);
    cr_assert_eq(f.kid[0].handled, LOAD);
    cr_assert_eq(family_end(&f), WEFT_OK);
    rig_close(&rig);
}

Test(shutdown, raised_to_now_reaches_the_children)
{
    struct rig rig = rig_open(true, 1);
    struct family f;
    wait_in_drain(&f, &rig);
    cr_assert_eq(weft_stop(f.addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(&rig, f.addr), WEFT_OK);
    cr_assert_lt(f.kid[0].handled, LOAD);
    cr_assert_eq(family_end(&f), WEFT_OK);
    rig_close(&rig);
}

Test(shutdown, answers_closed_while_the_children_drain)
{
    struct rig rig = rig_open(true, 1);
    struct family f;
    wait_in_drain(&f, &rig);
    cr_assert_eq(rig_call(&rig, f.addr, 1), WEFT_CLOSED);
    cr_assert_lt(f.kid[0].handled, LOAD);
    cr_assert_eq(family_end(&f), WEFT_OK);
    rig_close(&rig);
}

/* -- Grace ------------------------------------------------------------------------------------ */

/* A handler that is stuck until somebody opens the gate, and says when it is. */
struct gate {
    int fd[2], inside[2];
};

static struct gate gate;

static void gate_open(void *arg, weft_addr *addr, weft_err reason)
{
    (void)addr;
    (void)reason;
    cr_assert_eq(write(((struct gate *)arg)->fd[1], "x", 1), 1);
}

static void gate_wait(void)
{
    char byte;
    cr_assert_eq(write(gate.inside[1], "x", 1), 1);
    cr_assert_eq(read(gate.fd[0], &byte, 1), 1);
}

static void gate_make(void)
{
    cr_assert_eq(pipe(gate.fd), 0);
    cr_assert_eq(pipe(gate.inside), 0);
}

/* Returns once somebody waits at the gate. */
static void gate_entered(void)
{
    char byte;
    cr_assert_eq(read(gate.inside[0], &byte, 1), 1);
}

static void gate_close(void)
{
    for (int i = 0; i < 2; i++) {
        close(gate.fd[i]);
        close(gate.inside[i]);
    }
}

static weft_verdict stuck(weft_self *self, struct kid *kid, weft_msg *msg)
{
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    kid->handled++;
    if (kid->handled == 1) gate_wait();
    return WEFT_DONE;
}

static void open_stuck(struct family *f, struct rig *rig)
{
    gate_make();
    three(f, rig);
    f->kid[1].spec.grace_ns = WEFT_MS;
    f->kid[1].handle = stuck;
    family_start(f);
    tell(f->kid[1].addr, 1);
    tell(f->kid[1].addr, 2);
    gate_entered();
}

static void close_stuck(struct family *f)
{
    cr_assert_eq(family_end(f), WEFT_OK);
    gate_close();
}

Test(shutdown, leaves_behind_and_reports_who_overruns_its_grace_twice)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    weft_straggler list[2];
    size_t count = 99;
    open_stuck(&f, &rig);
    cr_assert_eq(weft_on_exit(f.addr, gate_open, &gate), WEFT_OK); /* the boss does not wait */
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), list, 2, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0].name, "b");
    cr_assert_geq(list[0].waited, 2 * WEFT_MS);
    cr_assert_str_eq(list[0].kind, NOTE.name);
    close_stuck(&f);
    rig_close(&rig);
}

Test(shutdown, names_who_still_runs_at_the_deadline)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    weft_straggler list[1];
    size_t count = 99;
    open_stuck(&f, &rig);
    cr_assert_eq(weft_stop(f.addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, f.addr), WEFT_OK);
    /* A child tells its parent a moment before its own end is complete. */
    for (int i = 0; i < 3; i += 2) cr_assert_eq(rig_join(&rig, f.kid[i].addr), WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, weft_rt_after(rig.rt, WEFT_MS), list, 1, &count),
                 WEFT_TIMED_OUT);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0].name, "b");
    gate_open(&gate, NULL, WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), list, 1, &count), WEFT_OK);
    cr_assert_eq(count, 0);
    close_stuck(&f);
    rig_close(&rig);
}

Test(shutdown, report_counts_beyond_its_room)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    size_t count = 99;
    open_stuck(&f, &rig);
    cr_assert_eq(weft_on_exit(f.addr, gate_open, &gate), WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), NULL, 0, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    close_stuck(&f);
    rig_close(&rig);
}

/* A sink that asks the runtime what it thinks of its actors. */
static void ask_the_runtime(void *arg, weft_log_level level, const char *facility, const char *line)
{
    weft_class_stats classes[8];
    (void)level, (void)facility, (void)line;
    cr_assert_gt(weft_stats_classes((weft_rt *)arg, classes, 8), 0);
}

Test(shutdown, a_sink_may_ask_the_runtime_of_what_it_reports, .timeout = 60)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    size_t count = 99;
    open_stuck(&f, &rig);
    weft_log_to(ask_the_runtime, rig.rt, WEFT_LOG_WARN);
    cr_assert_eq(weft_rt_stop_report(rig.rt, weft_rt_after(rig.rt, WEFT_MS), NULL, 0, &count),
                 WEFT_TIMED_OUT);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    gate_open(&gate, NULL, WEFT_OK);
    cr_assert_eq(weft_rt_stop(rig.rt, rig_soon(&rig)), WEFT_OK);
    close_stuck(&f);
    rig_close(&rig);
}

static weft_verdict stay_at_gate(weft_self *self, void *data, weft_msg *msg)
{
    if (msg->kind != &NOTE) return rig_echo(self, data, msg);
    gate_wait();
    return WEFT_DONE;
}

Test(shutdown, the_report_at_the_deadline_leaves_out_who_was_never_told)
{
    struct rig rig = rig_open(false, 0);
    weft_straggler list[4];
    weft_addr *addr[3];
    size_t count = 99;
    gate_make();
    for (int i = 0; i < 3; i++) addr[i] = rig_spawn(&rig, stay_at_gate, NULL, 0);
    cr_assert_eq(weft_send(addr[2], &note_new(0, 0)->msg), WEFT_OK);
    gate_entered();
    cr_assert_eq(weft_rt_stop_report(rig.rt, weft_rt_after(rig.rt, WEFT_MS), list, 4, &count),
                 WEFT_TIMED_OUT);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0].kind, NOTE.name);
    gate_open(&gate, NULL, WEFT_OK);
    for (int i = 0; i < 3; i++) weft_addr_put(addr[i]);
    rig_close(&rig);
    gate_close();
}

/* Others held the line: with NOW they are told at the deadline all the same. */
Test(shutdown, now_tells_all_by_the_deadline)
{
    struct rig rig = rig_open(false, 0);
    weft_addr *addr[3];
    size_t count = 99;
    gate_make();
    for (int i = 0; i < 3; i++) addr[i] = rig_spawn(&rig, stay_at_gate, NULL, 0);
    cr_assert_eq(weft_send(addr[2], &note_new(0, 0)->msg), WEFT_OK);
    gate_entered();
    cr_assert_eq(weft_rt_stop(rig.rt, weft_rt_after(rig.rt, WEFT_MS)), WEFT_TIMED_OUT);
    for (int i = 0; i < 2; i++) cr_assert_eq(rig_call(&rig, addr[i], 1), WEFT_OK);
    cr_assert_eq(weft_rt_stop_now(rig.rt, weft_rt_after(rig.rt, WEFT_MS), NULL, 0, &count),
                 WEFT_TIMED_OUT);
    cr_assert_eq(count, 1);
    for (int i = 0; i < 2; i++) cr_assert_eq(rig_join(&rig, addr[i]), WEFT_OK);
    gate_open(&gate, NULL, WEFT_OK);
    cr_assert_eq(weft_rt_stop_now(rig.rt, rig_soon(&rig), NULL, 0, &count), WEFT_OK);
    cr_assert_eq(count, 0);
    for (int i = 0; i < 3; i++) weft_addr_put(addr[i]);
    rig_close(&rig);
    gate_close();
}

/* The one of that name in the report, or NULL. */
static const weft_straggler *reported(const weft_straggler *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

Test(shutdown, report_tells_who_hangs_from_who_waits_for_it)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    weft_straggler list[4];
    size_t count = 99;
    gate_make();
    three(&f, &rig);
    f.kid[1].handle = stuck; /* its grace is 5 s: it is still told to drain */
    family_start(&f);
    tell(f.kid[1].addr, 1);
    gate_entered();
    do { /* until its parent has come round to telling it */
        cr_assert_eq(weft_rt_stop_report(rig.rt, weft_rt_after(rig.rt, WEFT_MS), list, 4, &count),
                     WEFT_TIMED_OUT);
        cr_assert_leq(count, 4);
    } while (reported(list, count, "b") == NULL);
    cr_assert_str_eq(reported(list, count, "b")->kind, NOTE.name);
    cr_assert_null(reported(list, count, "boss")->kind);
    gate_open(&gate, NULL, WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), list, 4, &count), WEFT_OK);
    close_stuck(&f);
    rig_close(&rig);
}

static void stuck_fini(weft_self *self, struct kid *kid)
{
    (void)self;
    (void)kid;
    gate_wait();
}

Test(shutdown, report_names_a_fini_that_hangs)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    weft_straggler list[4];
    size_t count = 99;
    gate_make();
    three(&f, &rig);
    f.kid[1].fini = stuck_fini;
    family_start(&f);
    cr_assert_eq(weft_stop(f.kid[1].addr, WEFT_NOW), WEFT_OK);
    gate_entered();
    cr_assert_eq(weft_rt_stop_report(rig.rt, weft_rt_after(rig.rt, WEFT_MS), list, 4, &count),
                 WEFT_TIMED_OUT);
    cr_assert_str_eq(reported(list, count, "b")->kind, "weft.fini");
    gate_open(&gate, NULL, WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), list, 4, &count), WEFT_OK);
    close_stuck(&f);
    rig_close(&rig);
}

static weft_verdict stuck_root(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    gate_wait();
    return WEFT_DONE;
}

Test(shutdown, a_root_with_a_grace_does_not_hold_up_the_others)
{
    struct rig rig = rig_open(false, 0);
    weft_straggler list[1];
    size_t count = 99;
    weft_addr *other = rig_spawn(&rig, rig_echo, NULL, 0), *root;
    weft_spec spec = {.name = "root", .handle = stuck_root, .grace_ns = WEFT_MS};
    gate_make();
    cr_assert_eq(weft_spawn(rig.rt, &spec, &root), WEFT_OK);
    tell(root, 1);
    gate_entered();
    cr_assert_eq(weft_on_exit(other, gate_open, &gate), WEFT_OK);
    cr_assert_eq(weft_rt_stop_report(rig.rt, rig_soon(&rig), list, 1, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(list[0].name, "root");
    weft_addr_put(other);
    weft_addr_put(root);
    gate_close();
    rig_close(&rig);
}

/* The boss fails, is started again by its parent and goes on while an old child is stuck. */
static weft_err top_init(weft_self *self, void *data)
{
    struct family *family = data;
    weft_spec spec = family_spec(family);
    spec.restart = WEFT_PERMANENT;
    return weft_spawn_child(self, &spec, &family->addr);
}

Test(shutdown, a_parent_may_live_again_while_a_child_of_before_is_stuck)
{
    struct rig rig = rig_open(false, 0);
    struct family f;
    gate_make();
    three(&f, &rig);
    f.kid[1].spec.grace_ns = WEFT_MS;
    f.kid[1].handle = stuck;
    weft_addr *top = rig_spawn_init(&rig, rig_echo, top_init, &f, 0);
    weft_addr *before = weft_addr_get(f.kid[1].addr);
    tell(before, 1);
    gate_entered();
    tell(f.addr, TELL_FAIL);
    cr_assert_eq(rig_call(&rig, f.addr, 1), WEFT_OK);
    cr_assert_eq(f.lives, 2);
    gate_open(&gate, NULL, WEFT_OK); /* its end reaches the boss of now */
    cr_assert_eq(rig_join(&rig, before), WEFT_OK);
    cr_assert_eq(rig_call(&rig, f.addr, 1), WEFT_OK);
    weft_addr_put(before);
    cr_assert_eq(weft_stop(top, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, top), WEFT_OK);
    weft_addr_put(top);
    close_stuck(&f);
    rig_close(&rig);
}

/* -- At random ---------------------------------------------------------------------------------- */

static weft_verdict unruly(weft_self *self, struct kid *kid, weft_msg *msg)
{
    uint8_t dice;
    (void)kid;
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    weft_self_random(self, &dice, 1);
    if (dice % 16 == 0) return weft_fail(self, WEFT_IO);
    if (dice % 16 == 1) return WEFT_STOP;
    return WEFT_DONE;
}

/* Failures, stops from outside and the end of all, in any order: whatever happens, the runtime
 * stops, and what the sanitizers see is the point of it. */
static void random_history(struct rig *rig, unsigned seed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct family f;
    family_init(&f, rig);
    f.boss.strategy = (weft_strategy)(seed % 3);
    f.boss.intensity = 1 + seed % 20;
    f.boss.backoff_min_ns = 1 + seed % 1000;
    for (unsigned i = 0; i < 5; i++) {
        struct kid *kid = family_kid(&f, names[i], (weft_restart)((seed + i) % 3));
        kid->handle = unruly;
    }
    family_start(&f);
    for (unsigned n = 0; n < 60; n++) {
        tell(f.kid[n % 5].addr, n);
        if (rig->sim != NULL && n % 2 == 0) (void)wf_sim_step(rig->sim);
    }
    if (seed % 4 == 0) (void)weft_stop(f.kid[seed % 5].addr, WEFT_NOW);
    if (seed % 4 == 1) (void)rig_call(rig, f.kid[seed % 5].addr, 1);
    (void)weft_stop(f.addr, seed % 2 == 0 ? WEFT_NOW : WEFT_DRAIN);
    weft_err reason = rig_join(rig, f.addr);
    cr_assert(reason == WEFT_OK || reason == WEFT_LIMIT);
    for (int i = 0; i < f.kids; i++) cr_assert_neq(rig_join(rig, f.kid[i].addr), WEFT_TIMED_OUT);
    (void)family_end(&f);
}

Test(shutdown, random_families_end_in_the_simulator)
{
    for (unsigned seed = 0; seed < 500; seed++) {
        struct rig rig = rig_open(true, seed);
        random_history(&rig, seed);
        rig_close(&rig);
    }
}

Test(shutdown, random_families_end_on_threads)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        struct rig rig = rig_open(false, 0);
        random_history(&rig, seed);
        rig_close(&rig);
    }
}
