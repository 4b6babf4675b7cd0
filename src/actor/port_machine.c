/* SPDX-License-Identifier: Apache-2.0
 * port_machine.c - the port bound to this machine: POSIX threads, futex, epoll.
 * Called by: src/actor through the table. May touch: the kernel.
 * Never: decides anything; an interrupted or spurious wake is the caller's loop's. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "atomic.h"
#include "driver.h"
#include "log.h"
#include "port.h"

static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread's name fits a word");

#define NS_PER_SEC UINT64_C(1000000000)
#define POLL_BATCH 64u
#define AT_END_MAX 4u
#define CPUS_MAX (1 << 18)    /* more than any kernel counts */
#define THREAD_NAME_BYTES 16u /* the kernel's bound, with the final zero */

struct wf_poll {
    int epoll;
    int bell; /* an eventfd, edge-triggered: it rings without ever being read */
};

/* -- Time, chance ------------------------------------------------------------- */

static weft_ns mono_ns(struct wf_port *port)
{
    struct timespec now;
    (void)port;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    WF_ASSERT(rc == 0);
    return (weft_ns)now.tv_sec * NS_PER_SEC + (weft_ns)now.tv_nsec;
}

static int64_t wall_ms(struct wf_port *port)
{
    struct timespec now;
    (void)port;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    WF_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000 + (int64_t)now.tv_nsec / 1000000;
}

static void random_bytes(struct wf_port *port, void *out, size_t len)
{
    (void)port;
    unsigned char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) continue;
        WF_ASSERT(got > 0); /* the kernel's source cannot fail after boot */
        at += got;
        len -= (size_t)got;
    }
}

static unsigned cpu_count(struct wf_port *port)
{
    int count = 0;
    (void)port;
    /* The kernel refuses a set that is smaller than its own, so try larger ones. */
    for (int room = CPU_SETSIZE; room <= CPUS_MAX && count == 0; room *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)room);
        if (set == NULL) break;
        bool fits = sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)room), set) == 0;
        if (fits) count = CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)room), set);
        CPU_FREE(set);
    }
    return count > 0 ? (unsigned)count : 1;
}

static struct timespec to_timespec(weft_ns ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_SEC),
                             .tv_nsec = (long)(ns % NS_PER_SEC)};
}

/* -- Threads -------------------------------------------------------------------- */

struct birth {
    void (*main)(void *arg);
    void *arg;
    bool batch;
    char name[THREAD_NAME_BYTES];
};

static void *thread_main(void *arg)
{
    struct birth birth = *(struct birth *)arg;
    wf_free(arg);
    (void)pthread_setname_np(pthread_self(), birth.name); /* for people only */
    if (birth.batch) { /* attributes do not take this policy; the kernel gives it to anybody */
        struct sched_param param = {0};
        (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
    }
    birth.main(birth.arg);
    return NULL;
}

/* Signals are the application's: none is handled on an actor's thread, except
 * those that tell of a fault in the thread itself. */
static void signals_to_block(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigfillset(set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) sigdelset(set, faults[i]);
}

static weft_err set_cpus(pthread_attr_t *attr, const struct wf_thread_spec *spec)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < 8 * spec->cpus_bytes; i++) {
        if ((spec->cpus[i / 8] >> (i % 8) & 1) == 0) continue;
        if (i >= CPU_SETSIZE) return WEFT_INVALID;
        CPU_SET(i, &set);
    }
    if (CPU_COUNT(&set) == 0) return WEFT_INVALID;
    return pthread_attr_setaffinity_np(attr, sizeof set, &set) == 0 ? WEFT_OK : WEFT_NO_MEMORY;
}

static weft_err set_policy(pthread_attr_t *attr, const struct wf_thread_spec *spec)
{
    static const int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH};
    struct sched_param param = {.sched_priority = spec->priority};
    if (spec->policy < 0 || (size_t)spec->policy >= sizeof policies / sizeof policies[0])
        return WEFT_INVALID;
    int policy = policies[spec->policy];
    if (policy == SCHED_BATCH) policy = SCHED_OTHER; /* from there the thread goes on itself */
    if (spec->priority < sched_get_priority_min(policy) ||
        spec->priority > sched_get_priority_max(policy))
        return WEFT_INVALID;
    if (pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED) != 0 ||
        pthread_attr_setschedpolicy(attr, policy) != 0 ||
        pthread_attr_setschedparam(attr, &param) != 0)
        return WEFT_FORBIDDEN;
    return WEFT_OK;
}

static weft_err set_up(pthread_attr_t *attr, const struct wf_thread_spec *spec)
{
    weft_err err = WEFT_OK;
    if (spec->stack_bytes != 0) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        size_t bytes = (spec->stack_bytes + page - 1) / page * page;
        if (pthread_attr_setstacksize(attr, bytes) != 0) return WEFT_INVALID;
    }
    if (spec->cpus != NULL) err = set_cpus(attr, spec);
    if (err == WEFT_OK && (spec->policy != 0 || spec->priority != 0)) err = set_policy(attr, spec);
    return err;
}

/* What pthread_create says of a set of CPUs or a policy that was asked for. */
static weft_err from_create(int rc, const struct wf_thread_spec *spec)
{
    if (rc == EPERM) return WEFT_FORBIDDEN;
    return rc == EINVAL && spec->cpus != NULL ? WEFT_INVALID : WEFT_NO_MEMORY;
}

static weft_err thread_start(struct wf_port *port, const struct wf_thread_spec *spec,
                             void (*main)(void *arg), void *arg, uintptr_t *out)
{
    pthread_attr_t attr;
    sigset_t block, before;
    pthread_t thread;
    (void)port;
    struct birth *birth = wf_calloc(1, sizeof *birth);
    if (birth == NULL) return WEFT_NO_MEMORY;
    birth->main = main;
    birth->arg = arg;
    birth->batch = spec->policy == WEFT_SCHED_BATCH;
    strncpy(birth->name, spec->name, sizeof birth->name - 1);
    if (pthread_attr_init(&attr) != 0) {
        wf_free(birth);
        return WEFT_NO_MEMORY;
    }
    weft_err err = set_up(&attr, spec);
    if (err != WEFT_OK) goto done;
    signals_to_block(&block);
    /* The new thread inherits the mask, so there is no moment without it. */
    (void)pthread_sigmask(SIG_SETMASK, &block, &before);
    int rc = pthread_create(&thread, &attr, thread_main, birth);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        err = from_create(rc, spec);
        goto done;
    }
    birth = NULL; /* the thread's now */
    *out = (uintptr_t)thread;
done:
    wf_free(birth);
    (void)pthread_attr_destroy(&attr);
    return err;
}

static void thread_join(struct wf_port *port, uintptr_t thread)
{
    (void)port;
    int rc = pthread_join((pthread_t)thread, NULL);
    WF_ASSERT(rc == 0);
}

static void yield(struct wf_port *port)
{
    (void)port;
    (void)sched_yield();
}

/* -- What a plain thread keeps ------------------------------------------------------ */

static pthread_key_t box_key;
static bool box_key_made;

static void box_drop(void *box) { weft_addr_put(box); }

static weft_addr *take_box(struct wf_port *port)
{
    (void)port;
    weft_addr *box = box_key_made ? pthread_getspecific(box_key) : NULL;
    if (box != NULL) (void)pthread_setspecific(box_key, NULL);
    return box;
}

static bool keep_box(struct wf_port *port, weft_addr *box)
{
    (void)port;
    return box_key_made && pthread_getspecific(box_key) == NULL &&
           pthread_setspecific(box_key, box) == 0;
}

static pthread_key_t end_key;
static bool end_key_made;
static _Thread_local struct {
    void (*fn)(void *arg);
    void *arg;
} at_end[AT_END_MAX];

static void run_at_end(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < AT_END_MAX; i++) {
        void (*fn)(void *arg) = at_end[i].fn;
        at_end[i].fn = NULL; /* first: it may ask to be called again */
        if (fn != NULL) fn(at_end[i].arg);
    }
}

static bool on_thread_end(struct wf_port *port, void (*fn)(void *arg), void *arg)
{
    (void)port;
    size_t i = 0;
    while (i < AT_END_MAX && at_end[i].fn != NULL && at_end[i].fn != fn) i++;
    if (i == AT_END_MAX || !end_key_made || pthread_setspecific(end_key, &at_end) != 0)
        return false;
    at_end[i].fn = fn;
    at_end[i].arg = arg;
    return true;
}

/* -- Sleeping -------------------------------------------------------------------- */

static void wait_word(struct wf_port *port, uint32_t *word, uint32_t seen, weft_ns deadline)
{
    struct timespec until = to_timespec(deadline);
    (void)port;
    /* The bitset form takes an absolute time of the monotonic clock. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
                  deadline == WEFT_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void wake_word(struct wf_port *port, uint32_t *word)
{
    (void)port;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wake_one(struct wf_port *port, uint32_t *word)
{
    (void)port;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* -- Descriptors -------------------------------------------------------------------- */

static weft_err from_errno(int code)
{
    switch (code) {
    case ENOMEM: return WEFT_NO_MEMORY;
    case EMFILE:
    case ENFILE:
    case ENOSPC: return WEFT_LIMIT;
    default: return WEFT_INVALID;
    }
}

static void poll_close(struct wf_port *port, struct wf_poll *poll)
{
    (void)port;
    if (poll->epoll >= 0) (void)close(poll->epoll);
    if (poll->bell >= 0) (void)close(poll->bell);
    wf_free(poll);
}

/* No descriptor has this number, so the bell's events are told apart by it. */
#define BELL UINT64_MAX

static weft_err poll_open(struct wf_port *port, struct wf_poll **out)
{
    struct wf_poll *poll = wf_malloc(sizeof *poll);
    if (poll == NULL) return WEFT_NO_MEMORY;
    poll->epoll = epoll_create1(EPOLL_CLOEXEC);
    poll->bell = poll->epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ring = {.events = EPOLLIN | EPOLLET, .data = {.u64 = BELL}};
    if (poll->bell < 0 || epoll_ctl(poll->epoll, EPOLL_CTL_ADD, poll->bell, &ring) != 0) {
        weft_err err = from_errno(errno);
        poll_close(port, poll);
        return err;
    }
    *out = poll;
    return WEFT_OK;
}

static weft_err poll_set(struct wf_port *port, struct wf_poll *poll, bool known,
                         const struct wf_ready *what)
{
    struct epoll_event event = {
        .data = {.u64 = (uint64_t)what->generation << 32 | (uint32_t)what->fd}};
    (void)port;
    if (what->events & WEFT_FD_READ) event.events |= (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP;
    if (what->events & WEFT_FD_WRITE) event.events |= (uint32_t)EPOLLOUT;
    if (epoll_ctl(poll->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, what->fd, &event) == 0)
        return WEFT_OK;
    /* The caller closed the descriptor under a watch and the number came back: the
     * kernel forgot it, or kept it for a duplicate. */
    if ((known && errno == ENOENT) || (!known && errno == EEXIST)) {
        if (epoll_ctl(poll->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, what->fd, &event) == 0)
            return WEFT_OK;
    }
    return from_errno(errno);
}

static void poll_clear(struct wf_port *port, struct wf_poll *poll, int fd)
{
    (void)port;
    (void)epoll_ctl(poll->epoll, EPOLL_CTL_DEL, fd, NULL); /* fails if it was closed: fine */
}

static weft_err poll_nest(struct wf_port *port, struct wf_poll *outer, struct wf_poll *inner,
                          uint64_t key)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = key}};
    (void)port;
    WF_ASSERT(key != BELL);
    if (epoll_ctl(outer->epoll, EPOLL_CTL_ADD, inner->epoll, &event) == 0) return WEFT_OK;
    return from_errno(errno);
}

static void poll_unnest(struct wf_port *port, struct wf_poll *outer, struct wf_poll *inner)
{
    struct epoll_event none = {0};
    (void)port;
    (void)epoll_ctl(outer->epoll, EPOLL_CTL_DEL, inner->epoll, &none);
}

static int poll_kernel(int epoll, struct epoll_event *events, int max, weft_ns deadline)
{
    if (deadline == 0) return epoll_wait(epoll, events, max, 0);
    if (deadline == WEFT_NEVER) return epoll_wait(epoll, events, max, -1);
    weft_ns now = mono_ns(NULL);
    weft_ns left = deadline > now ? deadline - now : 0;
    struct timespec span = to_timespec(left);
    static uint32_t refused; /* 1: not by this kernel, or not to this process. Relaxed: a hint */
    if (wf_load(&refused, WF_RELAXED) == 0) {
        int count = epoll_pwait2(epoll, events, max, &span, NULL);
        /* Filters of system calls answer EPERM to those they do not know. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
        wf_store(&refused, 1, WF_RELAXED);
    }
    /* A kernel before 5.11 counts in milliseconds: round up, so as not to spin. */
    weft_ns ms = left / 1000000 + (left % 1000000 != 0);
    return epoll_wait(epoll, events, max, ms > INT_MAX ? INT_MAX : (int)ms);
}

static uint32_t from_epoll(uint32_t events)
{
    uint32_t out = 0;
    if (events & ((uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP)) out |= WEFT_FD_READ;
    if (events & (uint32_t)EPOLLOUT) out |= WEFT_FD_WRITE;
    if (events & ((uint32_t)EPOLLHUP | (uint32_t)EPOLLERR))
        out |= WEFT_FD_HANGUP | WEFT_FD_READ | WEFT_FD_WRITE; /* whoever tries will learn why */
    return out;
}

static unsigned poll_wait(struct wf_port *port, struct wf_poll *poll, struct wf_ready *out,
                          unsigned max, weft_ns deadline)
{
    struct epoll_event events[POLL_BATCH];
    (void)port;
    int count = poll_kernel(poll->epoll, events, (int)(max < POLL_BATCH ? max : POLL_BATCH),
                            deadline);
    unsigned n = 0;
    for (int i = 0; i < count; i++) { /* -1: interrupted, which is an early return */
        uint64_t data = events[i].data.u64;
        if (data == BELL) continue;
        out[n++] = (struct wf_ready){.fd = (int)(uint32_t)data,
                                     .generation = (uint32_t)(data >> 32),
                                     .events = from_epoll(events[i].events)};
    }
    return n;
}

static void poll_wake(struct wf_port *port, struct wf_poll *poll)
{
    const uint64_t one = 1;
    (void)port;
    /* Never full in a lifetime; each write is an edge, so the bell is never read. */
    while (write(poll->bell, &one, sizeof one) < 0 && errno == EINTR) {}
}

static const struct wf_port_ops machine_ops = {
    .mono_ns = mono_ns,
    .wall_ms = wall_ms,
    .random = random_bytes,
    .cpu_count = cpu_count,
    .thread_start = thread_start,
    .thread_join = thread_join,
    .on_thread_end = on_thread_end,
    .yield = yield,
    .wait = wait_word,
    .wake = wake_word,
    .wake_one = wake_one,
    .poll_open = poll_open,
    .poll_set = poll_set,
    .poll_clear = poll_clear,
    .poll_wait = poll_wait,
    .poll_wake = poll_wake,
    .poll_close = poll_close,
    .poll_nest = poll_nest,
    .poll_unnest = poll_unnest,
    .take_box = take_box,
    .keep_box = keep_box,
    .trace = NULL,
};

static struct wf_port machine;
static struct wf_driver own_threads;

static void machine_init(void)
{
    box_key_made = pthread_key_create(&box_key, box_drop) == 0;
    end_key_made = pthread_key_create(&end_key, run_at_end) == 0;
    machine = (struct wf_port){.ops = &machine_ops,
                               .own = &own_threads,
                               .stack_least = (size_t)sysconf(_SC_THREAD_STACK_MIN),
                               .turn_messages = WEFT_TURN_MESSAGES,
                               .may_spin = cpu_count(NULL) > 1};
    wf_threads_init(&own_threads, &machine);
}

struct wf_port *wf_port_machine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, machine_init);
    return &machine;
}
