/* SPDX-License-Identifier: Apache-2.0
 * test_watch.c - descriptors in an actor's own loop.
 * Called by: the test runner. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct reader {
    int fds[2]; /* a pipe */
    unsigned bytes, calls;
    uint32_t events;
    unsigned stop_at; /* ends after so many bytes */
    bool unwatch_first, hangup;
    void *arg;
};

static void on_ready(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct rig_actor *actor = state;
    struct reader *r = actor->data;
    char byte;
    __atomic_fetch_add(&r->calls, 1, __ATOMIC_RELAXED); /* a test may look at it meanwhile */
    r->events |= events;
    r->arg = arg;
    if (r->unwatch_first) cr_assert_eq(weft_fd_unwatch(self, fd), WEFT_OK);
    ssize_t got = read(fd, &byte, 1); /* one only: level-triggered means that we are called again */
    if (got == 1) r->bytes++;
    if (got == 0) {
        r->hangup = true;
        cr_assert_eq(weft_fd_unwatch(self, fd), WEFT_OK);
    }
    if (r->hangup || r->bytes == r->stop_at)
        cr_assert_eq(weft_stop(weft_self_addr(self), WEFT_DRAIN), WEFT_OK);
}

static weft_err watch_pipe(weft_self *self, void *data)
{
    struct reader *r = data;
    cr_assert_eq(pipe2(r->fds, O_CLOEXEC | O_NONBLOCK), 0);
    return weft_fd_watch(self, r->fds[0], WEFT_FD_READ, on_ready, r);
}

static void close_pipe(struct reader *r)
{
    for (int i = 0; i < 2; i++)
        if (r->fds[i] >= 0) close(r->fds[i]);
}

Test(watch, a_ready_descriptor_calls_until_it_is_empty)
{
    struct rig rig = rig_open(false, 0);
    struct reader r = {.stop_at = 5};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    cr_assert_eq(write(r.fds[1], "abcde", 5), 5);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(r.bytes, 5);
    cr_assert_eq(r.calls, 5);
    cr_assert_eq(r.events, WEFT_FD_READ);
    cr_assert_eq(r.arg, &r);
    close_pipe(&r);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watch, a_hangup_is_reported)
{
    struct rig rig = rig_open(false, 0);
    struct reader r = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    close(r.fds[1]);
    r.fds[1] = -1;
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert(r.hangup);
    cr_assert(r.events & WEFT_FD_HANGUP);
    close_pipe(&r);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watch, after_unwatch_nothing_is_called)
{
    struct rig rig = rig_open(false, 0);
    struct reader r = {.unwatch_first = true};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    cr_assert_eq(write(r.fds[1], "ab", 2), 2);
    while (__atomic_load_n(&r.calls, __ATOMIC_RELAXED) == 0)
        cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(r.calls, 1);
    close_pipe(&r);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watch, mail_wakes_an_actor_that_sleeps_in_its_poll)
{
    struct rig rig = rig_open(false, 0);
    struct reader r = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    for (unsigned i = 0; i < 500; i++) cr_assert_eq(rig_call(&rig, addr, i), WEFT_OK);
    cr_assert_eq(r.calls, 0);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    close_pipe(&r);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watch, an_actor_idle_in_its_poll_does_not_wake)
{
    struct rig rig = rig_open(false, 0);
    struct reader r = {0};
    weft_actor_stats first, then;
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    for (unsigned i = 0; i < 10; i++) cr_assert_eq(rig_call(&rig, addr, i), WEFT_OK);
    cr_assert_eq(weft_join(addr, weft_rt_after(rig.rt, 50 * WEFT_MS), NULL), WEFT_TIMED_OUT);
    weft_addr_stats(addr, &first);
    cr_assert_eq(weft_join(addr, weft_rt_after(rig.rt, 50 * WEFT_MS), NULL), WEFT_TIMED_OUT);
    weft_addr_stats(addr, &then);
    cr_assert_gt(first.parks, 0);
    cr_assert_eq(first.parks, then.parks);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    close_pipe(&r);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* Two pipes are ready in one batch; the first callback unwatches the other. */
struct pair {
    int a[2], b[2];
    unsigned calls;
};

static void on_either(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct pair *pair = arg;
    (void)state, (void)events;
    __atomic_fetch_add(&pair->calls, 1, __ATOMIC_RELAXED); /* the test looks at it meanwhile */
    cr_assert_eq(weft_fd_unwatch(self, pair->a[0]), WEFT_OK);
    cr_assert_eq(weft_fd_unwatch(self, pair->b[0]), WEFT_OK);
    cr_assert(fd == pair->a[0] || fd == pair->b[0]);
}

static weft_err watch_pair(weft_self *self, void *data)
{
    struct pair *pair = data;
    cr_assert_eq(pipe2(pair->a, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(pair->b, O_CLOEXEC), 0);
    cr_assert_eq(write(pair->a[1], "x", 1), 1);
    cr_assert_eq(write(pair->b[1], "x", 1), 1);
    cr_assert_eq(weft_fd_watch(self, pair->a[0], WEFT_FD_READ, on_either, pair), WEFT_OK);
    return weft_fd_watch(self, pair->b[0], WEFT_FD_READ, on_either, pair);
}

Test(watch, unwatch_kills_events_of_the_same_batch)
{
    struct rig rig = rig_open(false, 0);
    struct pair pair = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pair, &pair, 0);
    while (__atomic_load_n(&pair.calls, __ATOMIC_RELAXED) == 0)
        cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(rig_call(&rig, addr, 0), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_eq(pair.calls, 1);
    for (int i = 0; i < 2; i++) {
        close(pair.a[i]);
        close(pair.b[i]);
    }
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_err bad_watches(weft_self *self, void *data)
{
    int fds[2];
    (void)data;
    cr_assert_eq(weft_fd_watch(self, -1, WEFT_FD_READ, on_ready, NULL), WEFT_INVALID);
    cr_assert_eq(weft_fd_watch(self, 0, WEFT_FD_READ, NULL, NULL), WEFT_INVALID);
    cr_assert_eq(weft_fd_watch(self, 0, 1u << 9, on_ready, NULL), WEFT_INVALID);
    cr_assert_eq(weft_fd_watch(self, 1 << 30, WEFT_FD_READ, on_ready, NULL), WEFT_LIMIT);
    cr_assert_eq(weft_fd_unwatch(self, 3), WEFT_NOT_FOUND);
    cr_assert_eq(weft_fd_unwatch(self, -3), WEFT_NOT_FOUND);
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    close(fds[1]);
    cr_assert_eq(weft_fd_watch(self, fds[0], WEFT_FD_READ, on_ready, NULL), WEFT_INVALID);
    return WEFT_OK;
}

Test(watch, bad_arguments_are_refused)
{
    struct rig rig = rig_open(false, 0);
    weft_addr_put(rig_spawn_init(&rig, rig_echo, bad_watches, NULL, 0));
    rig_close(&rig);
}

static weft_err watch_unsupported(weft_self *self, void *data)
{
    (void)data;
    cr_assert_eq(weft_fd_watch(self, 0, WEFT_FD_READ, on_ready, NULL), WEFT_UNSUPPORTED);
    return WEFT_OK;
}

Test(watch, the_simulator_has_no_descriptors)
{
    struct rig rig = rig_open(true, 0);
    weft_addr_put(rig_spawn_init(&rig, rig_echo, watch_unsupported, NULL, 0));
    rig_close(&rig);
}

/* A timer fires on time although the actor sleeps in its poll. */
struct both {
    struct reader reader;
    weft_timer timer;
    weft_ns at, fired;
};

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct rig_actor *actor = state;
    struct both *both = actor->data;
    (void)timer, (void)missed;
    both->fired = weft_now(self);
    cr_assert_eq(weft_stop(weft_self_addr(self), WEFT_DRAIN), WEFT_OK);
}

static weft_err watch_and_time(weft_self *self, void *data)
{
    struct both *both = data;
    both->at = weft_now(self) + 2 * WEFT_MS;
    weft_err err = watch_pipe(self, &both->reader);
    return err != WEFT_OK ? err : weft_timer_set(self, &both->timer, both->at, 0, on_timer);
}

Test(watch, a_timer_ends_the_sleep_in_the_poll)
{
    struct rig rig = rig_open(false, 0);
    struct both both = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_and_time, &both, 0);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert(both.fired >= both.at);
    close_pipe(&both.reader);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(watch, no_descriptor_is_left_open_at_the_end)
{
    int before = dup(0), after;
    close(before);
    struct rig rig = rig_open(false, 0);
    struct reader r = {0};
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_pipe, &r, 0);
    weft_addr_put(addr);
    rig_close(&rig);
    close_pipe(&r);
    after = dup(0);
    close(after);
    cr_assert_eq(before, after);
}

/* False: the system does not let us filter. */
static bool forbid(unsigned call)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static weft_err watch_and_wait(weft_self *self, void *data)
{
    struct both *both = data;
    both->at = weft_now(self) + 50 * WEFT_MS;
    weft_err err = watch_pipe(self, &both->reader);
    return err != WEFT_OK ? err : weft_timer_set(self, &both->timer, both->at, 0, on_timer);
}

Test(watch, sleeps_also_where_a_filter_forbids_the_finer_wait)
{
#ifdef SYS_epoll_pwait2
    if (!forbid(SYS_epoll_pwait2)) return;
#endif
    struct rig rig = rig_open(false, 0);
    struct both both = {0};
    weft_actor_stats stats;
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, watch_and_wait, &both, 0);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert(both.fired >= both.at);
    weft_addr_stats(addr, &stats);
    cr_assert_leq(stats.parks, 10);
    close_pipe(&both.reader);
    weft_addr_put(addr);
    rig_close(&rig);
}
