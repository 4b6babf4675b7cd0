/* SPDX-License-Identifier: Apache-2.0
 * test_life.c - spawn, stop, join, exit: an actor from its init to its end.
 * Called by: the test runner. */
#include "port.h"
#include "rig.h"
#include "self.h"

#include "block.h"
#include "log.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* -- Spawn -- */

static weft_err init_fails(weft_self *self, void *state, void *arg)
{
    (void)self, (void)state, (void)arg;
    return WEFT_FORBIDDEN;
}

static void fini_counts(weft_self *self, void *state, weft_err reason)
{
    (void)self, (void)reason;
    ++**(unsigned **)state;
}

static weft_err init_pointer(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

BOTH(spawn, returns_the_error_of_init_and_leaves_no_actor)
{
    weft_addr *addr = NULL;
    weft_spec spec = {.name = "bad", .init = init_fails, .handle = rig_echo};
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_FORBIDDEN);
    cr_assert_null(addr);
    cr_assert_eq(weft_rt_destroy(NULL), WEFT_OK);
}

BOTH(spawn, refuses_a_spec_out_of_range)
{
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 2];
    weft_addr *addr = NULL;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(weft_spawn(rig->rt, &(weft_spec){.name = "no handler"}, &addr), WEFT_INVALID);
    cr_assert_eq(weft_spawn(rig->rt, &(weft_spec){.name = name, .handle = rig_echo}, &addr),
                 WEFT_INVALID);
    cr_assert_eq(weft_spawn(rig->rt,
                            &(weft_spec){.handle = rig_echo, .mailbox = WEFT_MAILBOX_MAX + 1},
                            &addr),
                 WEFT_INVALID);
    cr_assert_null(addr);
}

static weft_verdict spawn_one(weft_self *self, void *data, weft_msg *msg)
{
    (void)msg;
    weft_spec spec = {.name = "child", .handle = rig_echo};
    cr_assert_eq(weft_spawn(weft_self_rt(self), &spec, data), WEFT_OK);
    return WEFT_STOP;
}

BOTH(spawn, works_from_inside_an_actor)
{
    weft_addr *child = NULL, *parent = rig_spawn(rig, spawn_one, &child, 0);
    cr_assert_eq(weft_send(parent, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, parent), WEFT_OK);
    cr_assert_eq(rig_call(rig, child, 1), WEFT_OK);
    weft_addr_put(child);
    weft_addr_put(parent);
}

/* -- The forbidden calls inside an actor -- */

struct waits {
    weft_err call, send_wait, join, stop;
    bool taken;
};

static weft_verdict try_to_wait(weft_self *self, void *data, weft_msg *msg)
{
    struct waits *waits = data;
    weft_addr *me = weft_self_addr(self);
    struct query *query = query_new(0);
    weft_request *out = NULL;
    waits->call = weft_call(me, &query->req, WEFT_NEVER, &out, &waits->taken);
    weft_drop(&query->req.msg);
    waits->send_wait = weft_send_wait(me, msg, WEFT_NEVER);
    waits->join = weft_join(me, WEFT_NEVER, NULL);
    waits->stop = weft_rt_stop(weft_self_rt(self), WEFT_NEVER);
    return WEFT_STOP;
}

BOTH(life, calls_that_wait_answer_deadlk_inside_an_actor)
{
    struct waits waits = {0};
    weft_addr *addr = rig_spawn(rig, try_to_wait, &waits, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(waits.call, WEFT_DEADLK);
    cr_assert_not(waits.taken);
    cr_assert_eq(waits.send_wait, WEFT_DEADLK);
    cr_assert_eq(waits.join, WEFT_DEADLK);
    cr_assert_eq(waits.stop, WEFT_DEADLK);
    weft_addr_put(addr);
}

/* -- Stop -- */

static weft_verdict count_notes(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    if (msg->kind == &NOTE) ++*(unsigned *)data;
    return msg->kind == &QUERY ? rig_echo(self, NULL, msg) : WEFT_DONE;
}

BOTH(stop, drain_handles_what_is_queued_and_then_ends)
{
    unsigned handled = 0;
    weft_addr *addr = rig_spawn(rig, count_notes, &handled, 0);
    for (unsigned i = 0; i < 500; i++) cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(handled, 500);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_CLOSED);
    weft_addr_put(addr);
}

/* Sends itself a note for each note: a drain must not wait for those. */
static weft_verdict breed(weft_self *self, void *data, weft_msg *msg)
{
    ++*(unsigned *)data;
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

BOTH(stop, drain_does_not_wait_for_later_mail)
{
    unsigned handled = 0;
    weft_addr *addr = rig_spawn(rig, breed, &handled, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert(handled >= 1);
    weft_addr_put(addr);
}

struct letters {
    unsigned count;
    weft_addr *to;
};

static void on_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct letters *letters = arg;
    cr_assert_eq(why, WEFT_CLOSED);
    letters->count++;
    letters->to = to;
    weft_drop(msg);
}

Test(stop, now_turns_what_is_queued_into_dead_letters)
{
    struct rig rig = rig_open(true, 3);
    unsigned handled = 0;
    struct letters letters = {0};
    weft_rt_on_dead_letter(rig.rt, on_letter, &letters);
    weft_addr *addr = rig_spawn(&rig, count_notes, &handled, 0);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    weft_actor_stats stats;
    weft_addr_stats(addr, &stats);
    cr_assert_eq(handled, 0);
    cr_assert_eq(letters.count, 10);
    cr_assert_eq(letters.to, addr);
    cr_assert_eq(stats.dropped, 10);
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_verdict raise_stop(weft_self *self, void *data, weft_msg *msg)
{
    (void)msg;
    if (++*(unsigned *)data == 3) cr_assert_eq(weft_stop(weft_self_addr(self), WEFT_NOW), WEFT_OK);
    return WEFT_DONE;
}

Test(stop, now_wins_over_a_drain_under_way)
{
    struct rig rig = rig_open(true, 3);
    unsigned handled = 0;
    weft_addr *addr = rig_spawn(&rig, raise_stop, &handled, 0);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(handled, 3);
    weft_addr_put(addr);
    rig_close(&rig);
}

BOTH(stop, sends_after_the_end_answer_closed_and_keep_the_message)
{
    struct note *note = note_new(0, 0);
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(weft_send(addr, &note->msg), WEFT_CLOSED);
    cr_assert_eq(wf_send_system(addr, &note->msg), WEFT_CLOSED);
    cr_assert_eq(rig_call(rig, addr, 0), WEFT_CLOSED);
    weft_drop(&note->msg);
    weft_addr_put(addr);
}

/* -- Exit reasons and hooks -- */

static weft_verdict fail_as_told(weft_self *self, void *data, weft_msg *msg)
{
    (void)msg;
    weft_err reason = *(weft_err *)data;
    return reason == WEFT_OK ? WEFT_FAIL : weft_fail(self, reason);
}

static void silent(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)level, (void)facility, (void)line;
    ++*(unsigned *)arg;
}

static void fails_with(struct rig *rig, weft_err told, weft_err expected)
{
    unsigned lines = 0;
    weft_log_to(silent, &lines, WEFT_LOG_WARN);
    weft_addr *addr = rig_spawn(rig, fail_as_told, &told, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), expected);
    cr_assert_eq(lines, 1, "a failure is logged once");
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
}

BOTH(exit, fail_without_a_reason_is_internal) { fails_with(rig, WEFT_OK, WEFT_INTERNAL); }
BOTH(exit, fail_carries_the_given_reason) { fails_with(rig, WEFT_CORRUPT, WEFT_CORRUPT); }

static void on_exit_count(void *arg, weft_addr *addr, weft_err reason)
{
    (void)addr;
    *(weft_err *)arg = reason;
}

BOTH(exit, the_hook_runs_with_the_reason)
{
    weft_err told = WEFT_BUSY, heard = WEFT_INVALID;
    weft_log_to(silent, &(unsigned){0}, WEFT_LOG_OFF);
    weft_addr *addr = rig_spawn(rig, fail_as_told, &told, 0);
    cr_assert_eq(weft_on_exit(addr, NULL, &heard), WEFT_INVALID);
    cr_assert_eq(weft_on_exit(addr, on_exit_count, &heard), WEFT_OK);
    cr_assert_eq(weft_on_exit(addr, on_exit_count, &heard), WEFT_EXISTS);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_BUSY);
    cr_assert_eq(heard, WEFT_BUSY);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
}

BOTH(exit, a_hook_set_after_the_end_runs_at_once)
{
    weft_err heard = WEFT_INVALID;
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(weft_on_exit(addr, on_exit_count, &heard), WEFT_OK);
    cr_assert_eq(heard, WEFT_OK);
    weft_addr_put(addr);
}

/* -- Failing where there is no verdict -- */

struct quitter {
    weft_err reason;
    weft_timer timer[2];
    weft_addr *to;
    unsigned calls;
    int pipe[2];
};

static void quit_on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct quitter *quitter = ((struct rig_actor *)state)->data;
    (void)timer, (void)missed;
    quitter->calls++;
    weft_exit(self, quitter->reason);
    weft_exit(self, WEFT_CORRUPT); /* the first counts */
}

static weft_err quit_soon(weft_self *self, void *data)
{
    struct quitter *quitter = data;
    weft_ns at = weft_now(self) + WEFT_MS;
    (void)weft_timer_set(self, &quitter->timer[0], at, 0, quit_on_timer);
    return weft_timer_set(self, &quitter->timer[1], at, 0, quit_on_timer);
}

BOTH(exit, a_timer_fails_its_actor_and_no_callback_follows)
{
    struct quitter quitter = {.reason = WEFT_BUSY};
    weft_log_to(silent, &(unsigned){0}, WEFT_LOG_OFF);
    weft_addr *addr = rig_spawn_init(rig, rig_echo, quit_soon, &quitter, 0);
    cr_assert_eq(rig_join(rig, addr), WEFT_BUSY);
    cr_assert_eq(quitter.calls, 1);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
}

static void quit_on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct quitter *quitter = arg;
    (void)state, (void)err;
    quitter->calls++;
    if (req != NULL) weft_drop(&req->msg);
    weft_exit(self, quitter->reason);
}

static weft_err ask_twice(weft_self *self, void *data)
{
    struct quitter *quitter = data;
    weft_err err = WEFT_OK;
    for (int i = 0; i < 2 && err == WEFT_OK; i++)
        err = weft_ask(self, quitter->to, &query_new(0)->req, WEFT_NEVER, quit_on_reply, data,
                       NULL);
    return err;
}

BOTH(exit, a_reply_fails_its_actor)
{
    struct quitter quitter = {.reason = WEFT_IO, .to = rig_spawn(rig, rig_echo, NULL, 0)};
    weft_log_to(silent, &(unsigned){0}, WEFT_LOG_OFF);
    weft_addr *addr = rig_spawn_init(rig, rig_echo, ask_twice, &quitter, 0);
    cr_assert_eq(rig_join(rig, addr), WEFT_IO);
    cr_assert_eq(quitter.calls, 2, "each ask has its callback");
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
    weft_addr_put(quitter.to);
}

static weft_verdict reply_and_quit(weft_self *self, void *data, weft_msg *msg)
{
    struct quitter *quitter = data;
    quitter->calls++;
    weft_reply((weft_request *)msg, WEFT_OK);
    weft_exit(self, quitter->reason);
    return WEFT_KEPT;
}

BOTH(exit, a_handler_that_has_replied_fails)
{
    struct quitter quitter = {.reason = WEFT_BUSY};
    weft_log_to(silent, &(unsigned){0}, WEFT_LOG_OFF);
    weft_addr *addr = rig_spawn(rig, reply_and_quit, &quitter, 0);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_BUSY);
    cr_assert_eq(quitter.calls, 1);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
}

BOTH(exit, without_an_error_it_is_a_stop)
{
    struct quitter quitter = {.reason = WEFT_OK};
    unsigned lines = 0;
    weft_log_to(silent, &lines, WEFT_LOG_WARN);
    weft_addr *addr = rig_spawn(rig, reply_and_quit, &quitter, 0);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(lines, 0);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
}

static void quit_on_fd(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct quitter *quitter = arg;
    (void)state, (void)fd, (void)events;
    quitter->calls++;
    weft_exit(self, quitter->reason);
}

static weft_err watch_in_init(weft_self *self, void *data)
{
    struct quitter *quitter = data;
    return weft_fd_watch(self, quitter->pipe[0], WEFT_FD_READ, quit_on_fd, data);
}

Test(exit, a_descriptor_fails_its_actor)
{
    struct rig rig = rig_open(false, 0);
    struct quitter quitter = {.reason = WEFT_IO};
    cr_assert_eq(pipe(quitter.pipe), 0);
    weft_log_to(silent, &(unsigned){0}, WEFT_LOG_OFF);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_in_init, &quitter, 0);
    cr_assert_eq(write(quitter.pipe[1], "x", 1), 1);
    cr_assert_eq(rig_join(&rig, addr), WEFT_IO);
    cr_assert_eq(quitter.calls, 1);
    for (int i = 0; i < 2; i++) close(quitter.pipe[i]);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Two threads that come to one address at a time. */
enum { DOORS = 3000 };

struct rival {
    weft_addr **addrs;
    unsigned *arrived; /* by address; shared by both */
    weft_err answer[DOORS];
    weft_err heard;
};

static void *hang_hooks(void *arg)
{
    struct rival *rival = arg;
    for (int i = 0; i < DOORS; i++) {
        (void)__atomic_fetch_add(&rival->arrived[i], 1, __ATOMIC_ACQ_REL);
        while (__atomic_load_n(&rival->arrived[i], __ATOMIC_ACQUIRE) < 2) sched_yield();
        rival->answer[i] = weft_on_exit(rival->addrs[i], on_exit_count, &rival->heard);
    }
    return NULL;
}

Test(exit, of_two_hooks_at_once_one_is_set_and_the_other_is_refused)
{
    struct rig rig = rig_open(true, 1); /* they live on while nobody drives them */
    static weft_addr *addrs[DOORS];
    static unsigned arrived[DOORS];
    static struct rival rivals[2];
    pthread_t other;
    for (int i = 0; i < DOORS; i++) addrs[i] = rig_spawn(&rig, rig_echo, NULL, 0);
    for (int i = 0; i < 2; i++)
        rivals[i] = (struct rival){.addrs = addrs, .arrived = arrived, .heard = WEFT_INVALID};
    cr_assert_eq(pthread_create(&other, NULL, hang_hooks, &rivals[1]), 0);
    (void)hang_hooks(&rivals[0]);
    cr_assert_eq(pthread_join(other, NULL), 0);
    for (int i = 0; i < DOORS; i++) {
        weft_err one = rivals[0].answer[i], two = rivals[1].answer[i];
        cr_assert(one == WEFT_OK ? two == WEFT_EXISTS : one == WEFT_EXISTS && two == WEFT_OK);
        weft_addr_put(addrs[i]);
    }
    for (int i = 0; i < 2; i++) cr_assert_eq(rivals[i].heard, WEFT_INVALID, "it lives");
    rig_close(&rig);
}

BOTH(exit, fini_runs_once_before_join_returns)
{
    unsigned finis = 0;
    weft_addr *addr = NULL;
    weft_spec spec = {.arg = &finis,
                      .state_size = sizeof(void *),
                      .init = init_pointer,
                      .fini = fini_counts,
                      .handle = rig_echo};
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(finis, 0);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(finis, 1);
    weft_addr_put(addr);
}

/* -- Join and the runtime's stop -- */

BOTH(join, times_out_while_the_actor_runs_and_may_be_called_again)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_join(addr, weft_rt_after(rig->rt, WEFT_MS), NULL), WEFT_TIMED_OUT);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    weft_addr_put(addr);
}

struct order {
    unsigned *next, *slot;
};

static weft_err init_order(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct order *)state = *(struct order *)arg;
    return WEFT_OK;
}

static void fini_order(weft_self *self, void *state, weft_err reason)
{
    struct order *order = state;
    (void)self, (void)reason;
    *order->slot = (*order->next)++;
}

Test(runtime, stop_ends_actors_in_reverse_order_of_spawning)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        struct rig rig = rig_open(simulated, 1);
        unsigned next = 0, ended[4];
        for (int i = 0; i < 4; i++) {
            struct order order = {&next, &ended[i]};
            weft_addr *addr = NULL;
            weft_spec spec = {.arg = &order,
                              .state_size = sizeof order,
                              .init = init_order,
                              .fini = fini_order,
                              .handle = rig_echo};
            cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
            weft_addr_put(addr); /* the runtime keeps it alive */
        }
        rig_close(&rig);
        for (unsigned i = 0; i < 4; i++) cr_assert_eq(ended[i], 3 - i);
    }
}

Test(runtime, destroy_is_busy_while_an_actor_runs)
{
    struct rig rig = rig_open(false, 0);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_rt_destroy(rig.rt), WEFT_BUSY);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Holds its thread until told to go on: a straggler. */
static weft_verdict hold(weft_self *self, void *data, weft_msg *msg)
{
    (void)self, (void)msg;
    while (__atomic_load_n((int *)data, __ATOMIC_ACQUIRE) == 0) {}
    return WEFT_DONE;
}

static void keep_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)level, (void)facility;
    snprintf(arg, 200, "%s", line);
}

Test(runtime, a_stop_past_its_deadline_names_the_straggler_and_may_be_repeated)
{
    struct rig rig = rig_open(false, 0);
    int go = 0;
    char line[200] = "";
    weft_log_to(keep_line, line, WEFT_LOG_WARN);
    weft_addr *addr = rig_spawn(&rig, hold, &go, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(weft_rt_stop(rig.rt, weft_rt_after(rig.rt, WEFT_MS)), WEFT_TIMED_OUT);
    cr_assert_not_null(strstr(line, "actor=rig"));
    __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
    weft_addr_put(addr);
    rig_close(&rig);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(runtime, a_stopped_runtime_spawns_no_more)
{
    struct rig rig = rig_open(false, 0);
    weft_addr *addr = NULL;
    cr_assert_eq(weft_rt_stop(rig.rt, rig_soon(&rig)), WEFT_OK);
    cr_assert_eq(weft_spawn(rig.rt, &(weft_spec){.handle = rig_echo}, &addr), WEFT_CLOSED);
    rig_close(&rig);
}

/* A port on which one thread, once it slept for an end, is late until it is let go. */
static struct {
    struct wf_port_ops ops;
    struct wf_port port;
    unsigned asleep, let_go;
} late;

static _Thread_local bool is_late;

static void wait_late(struct wf_port *port, uint32_t *word, uint32_t seen, weft_ns deadline)
{
    if (is_late) __atomic_store_n(&late.asleep, 1, __ATOMIC_RELEASE);
    wf_port_machine()->ops->wait(port, word, seen, deadline);
    while (is_late && __atomic_load_n(&late.let_go, __ATOMIC_ACQUIRE) == 0) sched_yield();
}

static void *join_late(void *addr)
{
    static weft_err reason = WEFT_INTERNAL;
    is_late = true;
    return weft_join(addr, WEFT_NEVER, &reason) == WEFT_OK ? &reason : NULL;
}

Test(runtime, may_be_destroyed_before_a_thread_that_joins_has_woken_up)
{
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    pthread_t other;
    void *reason = NULL;
    late.ops = *wf_port_machine()->ops;
    late.ops.wait = wait_late;
    late.port = *wf_port_machine();
    late.port.ops = &late.ops;
    late.asleep = late.let_go = 0;
    cr_assert_eq(wf_rt_create_on(&late.port, &rt), WEFT_OK);
    weft_spec spec = {.name = "awaited", .handle = rig_echo};
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(pthread_create(&other, NULL, join_late, addr), 0);
    while (__atomic_load_n(&late.asleep, __ATOMIC_ACQUIRE) == 0) sched_yield();
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    __atomic_store_n(&late.let_go, 1, __ATOMIC_RELEASE);
    cr_assert_eq(pthread_join(other, &reason), 0);
    cr_assert_not_null(reason);
    cr_expect_eq(*(weft_err *)reason, WEFT_OK);
    weft_addr_put(addr);
}

Test(runtime, an_address_is_safe_after_its_runtime_is_gone)
{
    struct rig rig = rig_open(false, 0);
    weft_err reason = WEFT_INTERNAL, heard = WEFT_INTERNAL;
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    weft_msg msg;
    rig_close(&rig);
    weft_msg_init(&msg, &NOTE);
    cr_assert_eq(weft_send(addr, &msg), WEFT_CLOSED);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_CLOSED);
    cr_assert_eq(weft_join(addr, 0, &reason), WEFT_OK);
    cr_assert_eq(reason, WEFT_OK);
    cr_assert_eq(weft_on_exit(addr, on_exit_count, &heard), WEFT_OK);
    weft_addr_put(addr);
}

/* -- An idle actor costs nothing; signals stay with the application -- */

Test(life, an_idle_actor_does_not_wake)
{
    struct rig rig = rig_open(false, 0);
    weft_actor_stats first, then;
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0),
              *other = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    do { /* until it sleeps */
        cr_assert_eq(rig_call(&rig, other, 0), WEFT_OK);
        weft_addr_stats(addr, &first);
    } while (first.parks == 0 && first.spins < 1000);
    cr_assert_eq(weft_join(addr, weft_rt_after(rig.rt, 50 * WEFT_MS), NULL), WEFT_TIMED_OUT);
    weft_addr_stats(addr, &first);
    cr_assert_eq(weft_join(addr, weft_rt_after(rig.rt, 50 * WEFT_MS), NULL), WEFT_TIMED_OUT);
    weft_addr_stats(addr, &then);
    cr_assert_eq(first.parks, then.parks);
    weft_addr_put(addr);
    weft_addr_put(other);
    rig_close(&rig);
}

static weft_verdict report_mask(weft_self *self, void *data, weft_msg *msg)
{
    if (msg->kind == &NOTE) pthread_sigmask(SIG_SETMASK, NULL, data);
    return rig_echo(self, NULL, msg);
}

Test(life, an_actors_thread_blocks_the_applications_signals)
{
    struct rig rig = rig_open(false, 0);
    sigset_t mask;
    weft_addr *addr = rig_spawn(&rig, report_mask, &mask, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(sigismember(&mask, SIGTERM), 1);
    cr_assert_eq(sigismember(&mask, SIGCHLD), 1);
    cr_assert_eq(sigismember(&mask, SIGSEGV), 0);
    weft_addr_put(addr);
    rig_close(&rig);
}
