/* SPDX-License-Identifier: Apache-2.0
 * test_flight.c - the flight recorder: rings that turn over, and what a dying process tells.
 * Called by: the test runner. Crashes happen in child processes. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#include <weft/trace.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* its own handlers come after ours and choose the end */
#else
#define SANITIZED 0
#endif

static char text[1 << 16];

static bool has(const char *part) { return strstr(text, part) != NULL; }

/* Runs `child` with a pipe and keeps what it wrote; returns how it ended. */
static int run(void (*child)(int fd))
{
    int ends[2], status = 0;
    size_t len = 0;
    ssize_t got;
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)close(ends[0]);
        if (SANITIZED) (void)close(2); /* its report is expected */
        child(ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], text + len, sizeof text - 1 - len)) > 0) len += (size_t)got;
    text[len] = '\0';
    (void)close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static const weft_kind SELL = {7, "shop.sell", sizeof(struct note), weft_free_msg};

/* Not NULL, which UndefinedBehaviorSanitizer would see before the machine does. */
static volatile int *volatile nowhere = (volatile int *)64;

static weft_verdict fault(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    if (msg->kind == &SELL) *nowhere = 1;
    return WEFT_DONE;
}

static weft_verdict give_up(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    abort();
}

static void die_in(weft_verdict (*handle)(weft_self *, void *, weft_msg *), int fd)
{
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    weft_spec spec = {.name = "shop", .handle = handle};
    if (weft_flight_start(16, fd) != WEFT_OK || weft_rt_create(&rt) != WEFT_OK) _exit(3);
    if (weft_spawn(rt, &spec, &addr) != WEFT_OK) _exit(3);
    weft_msg *msg = weft_new(&NOTE);
    if (weft_send(addr, msg) != WEFT_OK) _exit(3);
    msg = weft_new(&SELL);
    if (weft_send(addr, msg) != WEFT_OK) _exit(3);
    (void)weft_join(addr, WEFT_NEVER, NULL);
}

static void die_of_a_fault(int fd) { die_in(fault, fd); }

Test(flight, a_fault_names_the_message_in_hand)
{
    int status = run(die_of_a_fault);
    if (!SANITIZED) cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%x", status);
    cr_assert(has("weft flight recorder: SIGSEGV\n"), "%s", text);
    const char *here = strstr(text, " (this one): in hand actor=");
    cr_assert_not_null(here, "%s", text);
    cr_assert_eq(strncmp(strstr(here, " name="), " name=shop kind=shop.sell\n", 26), 0, "%s", text);
    cr_assert(has("begin actor="));
    cr_assert(has("end of flight recorder\n"));
}

static int former_fd;

static void former(int sig)
{
    static const char line[] = "the former handler\n";
    (void)sig;
    (void)!write(former_fd, line, sizeof line - 1);
}

static void die_of_an_abort(int fd)
{
    struct sigaction action = {.sa_handler = former};
    former_fd = fd;
    (void)sigaction(SIGABRT, &action, NULL);
    die_in(give_up, fd);
}

Test(flight, the_former_handler_has_its_turn)
{
    int status = run(die_of_an_abort);
    if (!SANITIZED) cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%x", status);
    const char *dump = strstr(text, "weft flight recorder: SIGABRT\n");
    cr_assert_not_null(dump, "%s", text);
    cr_assert_not_null(strstr(dump, "end of flight recorder\nthe former handler\n"), "%s", text);
}

static void stop_and_look(int fd)
{
    struct sigaction before, after;
    (void)sigaction(SIGSEGV, NULL, &before);
    if (weft_flight_start(8, fd) != WEFT_OK) _exit(1);
    if (weft_flight_start(8, fd) != WEFT_EXISTS) _exit(2);
    weft_flight_stop();
    weft_flight_stop();
    (void)sigaction(SIGSEGV, NULL, &after);
    _exit(before.sa_handler == after.sa_handler ? 0 : 4);
}

Test(flight, a_stop_puts_the_handlers_back) { cr_assert_eq(run(stop_and_look), 0); }

static void turn_over(int fd)
{
    struct rig rig = rig_open(true, 1);                /* all in this thread: one ring */
    if (weft_flight_start(5, -1) != WEFT_OK) _exit(1); /* eight */
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    for (unsigned i = 0; i < 20; i++) (void)weft_send(addr, &note_new(0, i)->msg);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    weft_flight_dump(fd);
    weft_addr_put(addr);
    rig_close(&rig);
    weft_flight_stop();
    _exit(0);
}

Test(flight, a_ring_keeps_the_newest)
{
    unsigned begins = 0, ends = 0;
    cr_assert_eq(run(turn_over), 0);
    for (const char *at = text; (at = strstr(at, " begin actor=")) != NULL; at++) begins++;
    for (const char *at = text; (at = strstr(at, " end actor=")) != NULL; at++) ends++;
    cr_assert_eq(begins, 4, "%s", text);
    cr_assert_eq(ends, 4);
    cr_assert(has(": in hand nothing\n"));
}

static void *one_thread(void *arg)
{
    weft_addr *addr = arg;
    (void)weft_send(addr, &note_new(0, 0)->msg);
    return NULL;
}

static void many_threads(int fd)
{
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    weft_spec spec = {.name = "sink", .handle = fault};
    if (weft_flight_start(8, -1) != WEFT_OK || weft_rt_create(&rt) != WEFT_OK) _exit(1);
    if (weft_spawn(rt, &spec, &addr) != WEFT_OK) _exit(2);
    for (unsigned i = 0; i < 50; i++) { /* one after the other */
        pthread_t thread;
        if (pthread_create(&thread, NULL, one_thread, addr) != 0) _exit(3);
        pthread_join(thread, NULL);
    }
    weft_flight_dump(fd);
    (void)weft_rt_stop(rt, weft_rt_after(rt, 20 * WEFT_SEC));
    weft_addr_put(addr);
    (void)weft_rt_destroy(rt);
    _exit(0);
}

Test(flight, rings_of_ended_threads_are_used_again)
{
    cr_assert_eq(run(many_threads), 0);
    cr_assert(has("thread 1: ") || has("thread 1 (this one): "));
    cr_assert_not(has("thread 4"), "%s", text);
}

Test(flight, a_ring_has_a_size)
{
    cr_assert_eq(weft_flight_start(0, -1), WEFT_INVALID);
    cr_assert_eq(weft_flight_start(WEFT_FLIGHT_EVENTS_MAX + 1, -1), WEFT_INVALID);
}
