/* SPDX-License-Identifier: Apache-2.0
 * actors.c - what actors cost beside messages: memory, CPU when idle, allocations, begin and end.
 * Linked with wrapped malloc, calloc, aligned_alloc and realloc, so that calls can be counted.
 *
 *     bench-actors [--seconds N] [--actors N] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weft/actor.h>
#include <weft/group.h>

#define STATE_BYTES 64u

/* -- Counting ----------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static uint64_t allocations;

static void count(void) { __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED); }

void *__wrap_malloc(size_t size)
{
    count();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    count();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    count();
    return __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    count();
    return __real_aligned_alloc(align, size);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "bench-actors: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

static uint64_t rss_bytes(void)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &size, &pages) != 2) check(WEFT_IO, "statm");
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static weft_rt *runtime(uint32_t workers, weft_group **group)
{
    weft_rt *rt = NULL;
    check(weft_rt_create(&rt), "runtime");
    weft_group_spec spec = {.name = "bench", .workers = workers};
    if (workers > 0) check(weft_group_create(rt, &spec, group), "group");
    return rt;
}

static void end(weft_rt *rt)
{
    check(weft_rt_stop(rt, WEFT_NEVER), "stop");
    check(weft_rt_destroy(rt), "destroy");
}

/* -- Actors --------------------------------------------------------------------------------- */

struct note {
    weft_msg msg;
    uint64_t left;
};
static const weft_kind note_kind = {1, "note", sizeof(struct note), NULL};
static const weft_kind ask_kind = {2, "ask", sizeof(weft_request), NULL};

struct asker {
    weft_addr *to;
    weft_request req;
    uint64_t left;
};

static weft_verdict idle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

/* Sends what it gets to itself. */
static weft_verdict echo(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    if (msg->kind == &ask_kind) {
        weft_reply((weft_request *)msg, WEFT_OK);
        return WEFT_KEPT;
    }
    if (((struct note *)msg)->left-- == 0) return WEFT_STOP;
    check(weft_send(weft_self_addr(self), msg), "send");
    return WEFT_KEPT;
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct asker *a = state;
    check(err, "ask");
    (void)req;
    weft_msg_init(&a->req.msg, &ask_kind);
    if (a->left-- == 0) weft_stop(weft_self_addr(self), WEFT_NOW);
    else check(weft_ask(self, a->to, &a->req, WEFT_NEVER, on_reply, arg, NULL), "ask");
}

static weft_verdict ask_first(weft_self *self, void *state, weft_msg *msg)
{
    struct asker *a = state;
    (void)msg;
    weft_msg_init(&a->req.msg, &ask_kind);
    check(weft_ask(self, a->to, &a->req, WEFT_NEVER, on_reply, NULL, NULL), "ask");
    return WEFT_DONE;
}

static weft_err asker_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct asker *)state = *(const struct asker *)arg;
    return WEFT_OK;
}

static weft_addr *spawn(weft_rt *rt, weft_group *group, weft_spec spec)
{
    weft_addr *addr = NULL;
    spec.place = group == NULL ? WEFT_PLACE_THREAD : WEFT_PLACE_GROUP;
    spec.group = group;
    check(weft_spawn(rt, &spec, &addr), "spawn");
    return addr;
}

/* Of `messages` sends or asks; the first ones, which fill tables, do not count. */
static void measure_allocations(const char *what, uint32_t workers, bool asks)
{
    enum { MESSAGES = 1000000 };
    weft_group *group = NULL;
    weft_rt *rt = runtime(workers, &group);
    struct note note[2];
    weft_addr *server = spawn(rt, group, (weft_spec){.name = "echo", .handle = echo});
    uint64_t before = 0;
    for (int pass = 0; pass < 2; pass++) { /* the second one is measured */
        struct asker asker = {.to = server, .left = MESSAGES};
        weft_addr *from = !asks ? spawn(rt, group, (weft_spec){.name = "echo", .handle = echo})
                                : spawn(rt, group,
                                        (weft_spec){.name = "asker",
                                                    .handle = ask_first,
                                                    .init = asker_init,
                                                    .arg = &asker,
                                                    .state_size = sizeof asker});
        weft_msg_init(&note[pass].msg, &note_kind);
        note[pass].left = MESSAGES;
        before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
        check(weft_send(from, &note[pass].msg), "send");
        check(weft_join(from, WEFT_NEVER, NULL), "join");
        before = __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
        weft_addr_put(from);
    }
    printf("allocations in %d %s, %s: %" PRIu64 "\n", MESSAGES, what,
           workers == 0 ? "own threads" : "worker group", before);
    weft_addr_put(server);
    end(rt);
}

/* -- Memory, begin and end -------------------------------------------------------------------- */

static void measure_many(uint32_t workers, uint32_t actors)
{
    weft_group *group = NULL;
    weft_rt *rt = runtime(workers, &group);
    weft_addr **all = calloc(actors, sizeof *all);
    check(all == NULL ? WEFT_NO_MEMORY : WEFT_OK, "memory");
    memset(all, 1, actors * sizeof *all); /* its pages are not those of actors */
    uint64_t rss = rss_bytes(), begin = now_ns();
    for (uint32_t i = 0; i < actors; i++)
        all[i] = spawn(rt, group,
                       (weft_spec){.name = "idle", .handle = idle, .state_size = STATE_BYTES});
    uint64_t spawned = now_ns();
    uint64_t each = (rss_bytes() - rss) / actors;
    uint64_t stopping = now_ns();
    for (uint32_t i = 0; i < actors; i++) check(weft_stop(all[i], WEFT_NOW), "stop");
    for (uint32_t i = 0; i < actors; i++) check(weft_join(all[i], WEFT_NEVER, NULL), "join");
    uint64_t ended = now_ns();
    for (uint32_t i = 0; i < actors; i++) weft_addr_put(all[i]);
    printf("%u actors, %s, state %u bytes: rss_bytes_each=%" PRIu64
           " spawns_per_s=%.0f stops_and_joins_per_s=%.0f\n",
           actors, workers == 0 ? "own threads" : "worker group", STATE_BYTES, each,
           actors / ((double)(spawned - begin) / 1e9), actors / ((double)(ended - stopping) / 1e9));
    free(all);
    end(rt);
}

/* The runtime ends them one by one, the last spawned first. */
static void measure_ordered_stop(uint32_t actors)
{
    weft_group *group = NULL;
    weft_rt *rt = runtime(1, &group);
    for (uint32_t i = 0; i < actors; i++)
        weft_addr_put(spawn(rt, group, (weft_spec){.name = "idle", .handle = idle}));
    uint64_t begin = now_ns();
    end(rt);
    printf("%u actors, worker group: ordered_stops_per_s=%.0f\n", actors,
           actors / ((double)(now_ns() - begin) / 1e9));
}

/* -- Idle ---------------------------------------------------------------------------------------- */

static void measure_idle(int seconds)
{
    enum { ACTORS = 100 };
    weft_group *group = NULL;
    weft_rt *rt = runtime(1, &group);
    for (int i = 0; i < ACTORS; i++)
        weft_addr_put(spawn(rt, NULL, (weft_spec){.name = "idle", .handle = idle}));
    struct timespec settle = {.tv_nsec = 200000000}, span = {.tv_sec = seconds};
    struct rusage before, after;
    nanosleep(&settle, NULL);
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&span, NULL);
    getrusage(RUSAGE_SELF, &after);
    double cpu_us = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec +
                             after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
                        1e6 +
                    (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                             after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    /* One sleep is this thread's own. */
    printf("%d idle actors on own threads and a group: seconds=%d cpu_us=%.0f wakes=%ld\n", ACTORS,
           seconds, cpu_us, after.ru_nvcsw - before.ru_nvcsw - 1);
    end(rt);
}

int main(int argc, char **argv)
{
    int seconds = 10;
    uint32_t actors = 100000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) seconds = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--actors") == 0) actors = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    if (seconds < 1 || actors < 1) {
        fprintf(stderr, "usage: bench-actors [--seconds N] [--actors N]\n");
        return 2;
    }
    measure_many(1, actors); /* first: no memory is left over from others */
    measure_many(0, actors < 1000 ? actors : 1000);
    measure_ordered_stop(actors);
    for (uint32_t workers = 0; workers < 2; workers++) {
        measure_allocations("intrusive sends", workers, false);
        measure_allocations("intrusive asks", workers, true);
    }
    measure_idle(seconds);
    return 0;
}
