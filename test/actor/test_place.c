/* SPDX-License-Identifier: Apache-2.0
 * test_place.c - where an actor runs: its thread's name, CPUs, policy, stack; its parent's thread.
 * Called by: the test runner. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/group.h>
#include <weft/log.h>

#include "gate.h"
#include "rig.h"
#include "self.h"
#include "worker.h"
#include <weft/supervise.h>

/* -- A thread of its own -- */

struct seen {
    char name[16];
    cpu_set_t cpus;
    int policy, priority;
    pthread_t thread;
    size_t stack;
};

static weft_verdict look_around(weft_self *self, void *data, weft_msg *msg)
{
    struct seen *seen = data;
    struct sched_param param;
    cr_assert_eq(pthread_getname_np(pthread_self(), seen->name, sizeof seen->name), 0);
    cr_assert_eq(pthread_getaffinity_np(pthread_self(), sizeof seen->cpus, &seen->cpus), 0);
    cr_assert_eq(pthread_getschedparam(pthread_self(), &seen->policy, &param), 0);
    seen->priority = param.sched_priority;
    seen->thread = pthread_self();
    pthread_attr_t attr;
    cr_assert_eq(pthread_getattr_np(pthread_self(), &attr), 0);
    cr_assert_eq(pthread_attr_getstacksize(&attr, &seen->stack), 0);
    (void)pthread_attr_destroy(&attr);
    return rig_echo(self, data, msg);
}

static weft_err place(struct rig *rig, struct seen *seen, weft_spec *spec)
{
    struct rig_actor actor = {.data = seen, .handle = look_around};
    weft_addr *addr = NULL;
    spec->name = "an-actor-with-a-long-name";
    spec->arg = &actor;
    spec->state_size = sizeof actor;
    spec->init = rig_actor_init;
    spec->handle = rig_actor_handle;
    weft_err err = weft_spawn(rig->rt, spec, &addr);
    if (err != WEFT_OK) return err;
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    (void)rig_join(rig, addr);
    weft_addr_put(addr);
    return WEFT_OK;
}

Test(place, a_thread_bears_the_name_of_its_actor)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    weft_spec spec = {0};
    cr_assert_eq(place(&rig, &seen, &spec), WEFT_OK);
    cr_assert_str_eq(seen.name, "an-actor-with-a"); /* what the kernel keeps of it */
    rig_close(&rig);
}

Test(place, a_thread_runs_where_its_spec_says)
{
    struct rig rig = rig_open(false, 0);
    struct seen all = {0}, one = {0};
    weft_spec spec = {0};
    cr_assert_eq(place(&rig, &all, &spec), WEFT_OK);
    unsigned last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &all.cpus)) last--;
    uint8_t cpus[CPU_SETSIZE / 8] = {0};
    cpus[last / 8] = (uint8_t)(1u << (last % 8));
    weft_thread_spec how = {.cpus = cpus, .cpus_bytes = sizeof cpus};
    spec.thread = &how;
    cr_assert_eq(place(&rig, &one, &spec), WEFT_OK);
    cr_expect_eq(CPU_COUNT(&one.cpus), 1);
    cr_expect(CPU_ISSET(last, &one.cpus));
    rig_close(&rig);
}

Test(place, nobody_is_tied_to_a_processor_unasked)
{
    struct rig rig = rig_open(false, 0);
    struct seen own = {0}, member = {0};
    weft_spec spec = {0};
    cpu_set_t here;
    weft_group *group = NULL;
    cr_assert_eq(pthread_getaffinity_np(pthread_self(), sizeof here, &here), 0);
    cr_assert_eq(place(&rig, &own, &spec), WEFT_OK);
    cr_expect(CPU_EQUAL(&own.cpus, &here));
    cr_assert_eq(weft_group_create(rig.rt, &(weft_group_spec){.workers = 2}, &group), WEFT_OK);
    spec.place = WEFT_PLACE_GROUP;
    spec.group = group;
    for (int i = 0; i < 2; i++) { /* one on each worker */
        cr_assert_eq(place(&rig, &member, &spec), WEFT_OK);
        cr_expect(CPU_EQUAL(&member.cpus, &here));
    }
    rig_close(&rig);
}

Test(place, cpus_that_are_not_there_are_refused)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    uint8_t none[4] = {0}, far[CPU_SETSIZE / 8] = {0}, beyond[CPU_SETSIZE / 8 + 1] = {0};
    far[sizeof far - 1] = 0x80;
    beyond[sizeof beyond - 1] = 1;
    weft_thread_spec how = {.cpus = none, .cpus_bytes = sizeof none};
    weft_spec spec = {.thread = &how};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    how = (weft_thread_spec){.cpus = far, .cpus_bytes = sizeof far};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    how = (weft_thread_spec){.cpus = beyond, .cpus_bytes = sizeof beyond};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    rig_close(&rig);
}

Test(place, a_thread_has_the_policy_of_its_spec)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    weft_thread_spec how = {.policy = WEFT_SCHED_BATCH};
    weft_spec spec = {.thread = &how};
    cr_assert_eq(place(&rig, &seen, &spec), WEFT_OK);
    cr_expect_eq(seen.policy, SCHED_BATCH);
    /* Whether real time is allowed here is the machine's to say: never anything else. */
    how = (weft_thread_spec){.policy = WEFT_SCHED_FIFO, .priority = 1};
    weft_err err = place(&rig, &seen, &spec);
    if (err == WEFT_OK) {
        cr_expect(seen.policy == SCHED_FIFO && seen.priority == 1);
    } else {
        cr_expect_eq(err, WEFT_FORBIDDEN);
    }
    how.priority = 0;
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    how = (weft_thread_spec){.policy = 9};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    rig_close(&rig);
}

Test(place, a_thread_has_the_stack_of_its_spec)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    weft_spec spec = {.stack_bytes = (size_t)48 << 20}; /* the usual is 8 MiB */
    cr_assert_eq(place(&rig, &seen, &spec), WEFT_OK);
    cr_assert_geq(seen.stack, (size_t)48 << 20);
    spec.stack_bytes = (size_t)1 << 20;
    cr_assert_eq(place(&rig, &seen, &spec), WEFT_OK);
    cr_assert_lt(seen.stack, (size_t)40 << 20);
    rig_close(&rig);
}

Test(place, a_stack_below_the_least_is_refused)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    long least = sysconf(_SC_THREAD_STACK_MIN);
    weft_spec spec = {.stack_bytes = 1};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    spec.stack_bytes = (size_t)least - 1;
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    spec.stack_bytes = (size_t)least + 65536;
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_OK);
    rig_close(&rig);
}

/* Threads with nothing to do sleep until they are woken: none of them looks around. */
Test(place, a_hundred_idle_threads_stay_asleep)
{
    enum { COUNT = 100 };
    struct rig rig = rig_open(false, 0);
    weft_addr *addrs[COUNT];
    uint64_t before[COUNT];
    weft_actor_stats stats;
    for (unsigned i = 0; i < COUNT; i++) addrs[i] = rig_spawn(&rig, rig_echo, NULL, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(rig_call(&rig, addrs[i], i), WEFT_OK);
        while (__atomic_load_n(&addrs[i]->head, __ATOMIC_RELAXED) != WF_BOX_PARK_FUTEX)
            (void)sched_yield();
        weft_addr_stats(addrs[i], &stats);
        before[i] = stats.parks;
    }
    weft_ns until = weft_rt_now(rig.rt) + 200 * WEFT_MS;
    while (weft_rt_now(rig.rt) < until) (void)sched_yield();
    for (unsigned i = 0; i < COUNT; i++) {
        weft_addr_stats(addrs[i], &stats);
        cr_expect_leq(stats.parks, before[i] + 1, "actor %u", i); /* the count follows the tag */
        weft_addr_put(addrs[i]);
    }
    rig_close(&rig);
}

/* -- The parent's thread -- */

enum { CHILDREN = 10 };

struct family {
    struct seen parent, child[CHILDREN];
    struct rig_actor actors[CHILDREN];
    weft_addr *addrs[CHILDREN];
    weft_timer timer;
    unsigned ticks;
    int fd;
    unsigned got;
    weft_err err; /* what a child's init answers */
};

static weft_err have_children(weft_self *self, void *data)
{
    struct family *family = data;
    for (unsigned i = 0; i < CHILDREN; i++) {
        family->actors[i] = (struct rig_actor){&family->child[i], look_around, NULL};
        weft_spec spec = {.name = "child",
                          .arg = &family->actors[i],
                          .state_size = sizeof(struct rig_actor),
                          .init = rig_actor_init,
                          .handle = rig_actor_handle,
                          .place = WEFT_PLACE_PARENT};
        weft_err err = weft_spawn_child(self, &spec, &family->addrs[i]);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

static weft_verdict parent_handle(weft_self *self, void *data, weft_msg *msg)
{
    return look_around(self, &((struct family *)data)->parent, msg);
}

static void end_family(struct rig *rig, struct family *family, weft_addr *parent)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        cr_assert_eq(weft_stop(family->addrs[i], WEFT_DRAIN), WEFT_OK);
        cr_expect_eq(rig_join(rig, family->addrs[i]), WEFT_OK);
    }
    cr_assert_eq(weft_stop(parent, WEFT_DRAIN), WEFT_OK);
    cr_expect_eq(rig_join(rig, parent), WEFT_OK);
    weft_addr_put(parent);
    /* An address of a child outlives the parent's, and with it the thread's memory. */
    for (unsigned i = 0; i < CHILDREN; i++) {
        cr_expect_eq(rig_call(rig, family->addrs[i], 1), WEFT_CLOSED);
        weft_addr_put(family->addrs[i]);
    }
}

BOTH(place, children_run_on_the_thread_of_their_parent)
{
    struct family family = {0};
    weft_addr *parent = rig_spawn_init(rig, parent_handle, have_children, &family, 0);
    for (unsigned n = 0; n < 50; n++) {
        cr_assert_eq(rig_call(rig, parent, n), WEFT_OK);
        for (unsigned i = 0; i < CHILDREN; i++)
            cr_assert_eq(rig_call(rig, family.addrs[i], n), WEFT_OK);
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        cr_expect(pthread_equal(family.child[i].thread, family.parent.thread));
    if (rig->sim == NULL) cr_expect_not(pthread_equal(family.parent.thread, pthread_self()));
    end_family(rig, &family, parent);
}

/* The parent's own timers and descriptors go on when its thread is shared. */
static void tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)timer, (void)missed;
    struct family *family = ((struct rig_actor *)state)->data;
    (void)__atomic_add_fetch(&family->ticks, 1, __ATOMIC_RELAXED);
}

static void on_byte(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct family *family = arg;
    char byte = 0;
    (void)self, (void)state, (void)events;
    if (read(fd, &byte, 1) == 1) (void)__atomic_add_fetch(&family->got, 1, __ATOMIC_RELAXED);
}

static weft_err watch_then_have_children(weft_self *self, void *data)
{
    struct family *family = data;
    weft_err err = weft_fd_watch(self, family->fd, WEFT_FD_READ, on_byte, family);
    if (err == WEFT_OK)
        err = weft_timer_set(self, &family->timer, weft_now(self) + WEFT_MS, WEFT_MS, tick);
    return err == WEFT_OK ? have_children(self, data) : err;
}

Test(place, a_host_keeps_its_timers_and_descriptors)
{
    struct rig rig = rig_open(false, 0);
    struct family family = {0};
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    family.fd = ends[0];
    weft_addr *parent = rig_spawn_init(&rig, parent_handle, watch_then_have_children, &family, 0);
    for (unsigned n = 0; n < 20; n++) {
        unsigned ticks = __atomic_load_n(&family.ticks, __ATOMIC_RELAXED);
        cr_assert_eq(write(ends[1], "x", 1), 1);
        cr_assert_eq(rig_call(&rig, family.addrs[n % CHILDREN], n), WEFT_OK);
        while (__atomic_load_n(&family.got, __ATOMIC_RELAXED) <= n) (void)sched_yield();
        while (__atomic_load_n(&family.ticks, __ATOMIC_RELAXED) == ticks) (void)sched_yield();
    }
    end_family(&rig, &family, parent);
    close(ends[0]);
    close(ends[1]);
    rig_close(&rig);
}

static weft_err refuse(weft_self *self, void *data)
{
    (void)self;
    return ((struct family *)data)->err;
}

static weft_err have_a_bad_child(weft_self *self, void *data)
{
    struct family *family = data;
    struct rig_actor actor = {family, rig_echo, refuse};
    weft_spec spec = {.arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .place = WEFT_PLACE_PARENT};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn_child(self, &spec, &addr), WEFT_AUTH);
    cr_assert_null(addr);
    return WEFT_OK;
}

BOTH(place, a_child_whose_init_fails_leaves_the_parent_alone)
{
    struct family family = {.err = WEFT_AUTH};
    weft_addr *parent = rig_spawn_init(rig, parent_handle, have_a_bad_child, &family, 0);
    cr_assert_eq(rig_call(rig, parent, 1), WEFT_OK);
    cr_assert_eq(weft_stop(parent, WEFT_DRAIN), WEFT_OK);
    cr_expect_eq(rig_join(rig, parent), WEFT_OK);
    weft_addr_put(parent);
}

Test(place, the_parents_thread_needs_a_parent)
{
    struct rig rig = rig_open(false, 0);
    struct seen seen = {0};
    weft_spec spec = {.place = WEFT_PLACE_PARENT};
    cr_expect_eq(place(&rig, &seen, &spec), WEFT_INVALID);
    rig_close(&rig);
}

/* Inits within inits have a bound, because they share one stack. */
struct deep {
    unsigned left, depth;
    weft_err err;
};

static weft_err nest(weft_self *self, void *data)
{
    struct deep *deep = data;
    if (deep->left-- == 0) return WEFT_OK;
    struct rig_actor actor = {deep, rig_echo, nest};
    weft_spec spec = {.arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .place = WEFT_PLACE_PARENT};
    weft_addr *addr = NULL;
    weft_err err = weft_spawn_child(self, &spec, &addr);
    if (err != WEFT_OK) deep->err = err;
    else deep->depth++;
    weft_addr_put(addr);
    return WEFT_OK;
}

Test(place, inits_within_inits_have_a_bound)
{
    struct rig rig = rig_open(false, 0);
    struct deep deep = {.left = 1000};
    weft_log_to(NULL, NULL, WEFT_LOG_OFF); /* the refusal is logged */
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, nest, &deep, 0);
    cr_expect_eq(deep.err, WEFT_LIMIT);
    cr_expect_eq(deep.depth, WEFT_TREE_DEPTH_MAX);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- A thread that outlives its actor -- */

/* boss (own thread) <- guest (on the boss's thread) <- stuck (own thread, held at a gate) */
static struct {
    struct gate gate;
    sem_t boss_over, done;
    weft_addr *stuck;
} host;

static weft_err guest_init(weft_self *self, void *state, void *arg)
{
    struct rig_actor actor = {.data = &host.gate, .handle = gate_handle};
    weft_spec spec = {.name = "stuck", .arg = &actor, .state_size = sizeof actor};
    (void)state;
    (void)arg;
    spec.init = rig_actor_init;
    spec.handle = rig_actor_handle;
    spec.grace_ns = WEFT_NEVER / 4;
    return weft_spawn_child(self, &spec, &host.stuck);
}

static weft_err host_init(weft_self *self, void *data)
{
    weft_spec spec = {.name = "guest", .init = guest_init, .handle = rig_echo};
    (void)data;
    spec.place = WEFT_PLACE_PARENT;
    spec.grace_ns = WEFT_MS;
    return weft_spawn_child(self, &spec, NULL);
}

static void say_over(void *arg, weft_addr *addr, weft_err reason)
{
    (void)arg, (void)addr, (void)reason;
    sem_post(&host.boss_over);
}

/* If the claim is untrue the test must end all the same. */
static void *open_late(void *unused)
{
    struct timespec until;
    (void)unused;
    cr_assert_eq(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += 20;
    while (sem_timedwait(&host.done, &until) != 0 && errno == EINTR) {}
    sem_post(&host.gate.open);
    return NULL;
}

Test(place, waiting_for_a_host_ends_at_its_deadline_while_a_guest_is_stuck)
{
    struct rig rig = rig_open(false, 0);
    pthread_t late;
    gate_init(&host.gate);
    cr_assert_eq(sem_init(&host.boss_over, 0, 0), 0);
    cr_assert_eq(sem_init(&host.done, 0, 0), 0);
    weft_addr *boss = rig_spawn_init(&rig, rig_echo, host_init, NULL, 0);
    cr_assert_eq(weft_on_exit(boss, say_over, NULL), WEFT_OK);
    gate_send(host.stuck);
    gate_wait(&host.gate.entered);
    cr_assert_eq(pthread_create(&late, NULL, open_late, NULL), 0);
    cr_assert_eq(weft_stop(boss, WEFT_DRAIN), WEFT_OK);
    gate_wait(&host.boss_over);
    cr_assert_eq(weft_join(boss, weft_rt_after(rig.rt, 100 * WEFT_MS), NULL), WEFT_TIMED_OUT);
    /* Nor does anybody else wait for it. */
    weft_addr *other = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(rig_call(&rig, other, 1), WEFT_OK);
    cr_assert_eq(sem_trywait(&host.gate.open), -1);
    sem_post(&host.done);
    cr_assert_eq(rig_join(&rig, boss), WEFT_OK);
    cr_assert_eq(pthread_join(late, NULL), 0);
    weft_addr_put(other);
    weft_addr_put(boss);
    weft_addr_put(host.stuck);
    rig_close(&rig);
}
