/* SPDX-License-Identifier: Apache-2.0
 * main.c - six programs of the Savina suite (Imam and Sarkar, AGERE 2014) and skynet on weft.
 * Called by: people, bench/run.sh. May touch: weft's public headers.
 * Never: prints the figure of a run whose result is wrong.
 *
 *     bench-savina [PROGRAM...] [--place group|thread] [--workers N] [--size N] [--rounds N]
 *
 * Prints the median of the rounds. Without a program: all that the place can run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "savina.h"

#define ROUNDS_MAX 101

static const struct program *const programs[] = {&savina_pingpong, &savina_threadring,
                                                 &savina_count,    &savina_fjthrput,
                                                 &savina_big,      &savina_skynet};
#define PROGRAMS (sizeof programs / sizeof *programs)

uint64_t savina_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void savina_check(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "bench-savina: %s\n", what);
    exit(1);
}

weft_addr *savina_spawn(struct savina *s, weft_spec spec)
{
    weft_addr *addr = NULL;
    spec.place = s->group == NULL ? WEFT_PLACE_THREAD : WEFT_PLACE_GROUP;
    spec.group = s->group;
    savina_check(weft_spawn(s->rt, &spec, &addr) == WEFT_OK, "an actor cannot be spawned");
    return addr;
}

void savina_await(weft_addr *addr)
{
    weft_err reason = WEFT_INTERNAL;
    savina_check(weft_join(addr, WEFT_NEVER, &reason) == WEFT_OK, "an actor cannot be joined");
    savina_check(reason == WEFT_OK, "an actor failed");
    weft_addr_put(addr);
}

struct options {
    bool threads;
    uint32_t workers;
    uint64_t size;
    int rounds;
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void run_once(const struct program *p, const struct options *o, struct result *out)
{
    struct savina s = {.size = o->size == 0 ? p->size : o->size, .mailbox = 1024};
    savina_check(weft_rt_create(&s.rt) == WEFT_OK, "no runtime");
    weft_group_spec spec = {.name = "savina", .workers = o->workers};
    if (!o->threads) savina_check(weft_group_create(s.rt, &spec, &s.group) == WEFT_OK, "no group");
    if (o->threads && p->threads != 0 && s.size > p->threads) s.size = p->threads;
    p->run(&s, out);
    savina_check(weft_rt_stop(s.rt, WEFT_NEVER) == WEFT_OK, "the runtime does not stop");
    savina_check(weft_group_destroy(s.group) == WEFT_OK, "the group is busy");
    savina_check(weft_rt_destroy(s.rt) == WEFT_OK, "the runtime is busy");
}

static void run(const struct program *p, const struct options *o)
{
    double rate[ROUNDS_MAX], cpu = cpu_seconds();
    uint64_t ops = 0;
    struct result result = {0};
    for (int i = 0; i < o->rounds; i++) {
        run_once(p, o, &result);
        rate[i] = (double)result.ops / ((double)result.ns / 1e9);
        ops += result.ops;
    }
    cpu = cpu_seconds() - cpu;
    qsort(rate, (size_t)o->rounds, sizeof *rate, by_value);
    double median = rate[o->rounds / 2];
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("%-10s %-6s workers=%-2u %s=%llu per_s=%.0f (%.0f to %.0f) ns=%.1f cpu_ns=%.1f "
           "peak_mib=%ld\n",
           p->name, o->threads ? "thread" : "group", o->threads ? 0 : o->workers, result.unit,
           (unsigned long long)result.ops, median, rate[0], rate[o->rounds - 1], 1e9 / median,
           cpu * 1e9 / (double)ops, use.ru_maxrss / 1024);
    fflush(stdout);
}

static const struct program *find(const char *name)
{
    for (size_t i = 0; i < PROGRAMS; i++)
        if (strcmp(programs[i]->name, name) == 0) return programs[i];
    return NULL;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench-savina [PROGRAM...] [--place group|thread] [--workers N] "
                    "[--size N] [--rounds N]\n");
    for (size_t i = 0; i < PROGRAMS; i++)
        fprintf(stderr, "  %-10s %s (--size %llu)\n", programs[i]->name, programs[i]->about,
                (unsigned long long)programs[i]->size);
    return 2;
}

int main(int argc, char **argv)
{
    struct options o = {.workers = 1, .rounds = 5};
    const struct program *chosen[PROGRAMS];
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strncmp(argv[i], "--", 2) != 0) {
            if (count == PROGRAMS || find(argv[i]) == NULL) return usage();
            chosen[count++] = find(argv[i]);
            continue;
        }
        if (strcmp(argv[i], "--place") == 0) o.threads = strcmp(value, "thread") == 0;
        else if (strcmp(argv[i], "--workers") == 0) o.workers = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--size") == 0) o.size = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0) o.rounds = atoi(value);
        else return usage();
        i++;
    }
    if (o.rounds < 1 || o.rounds > ROUNDS_MAX) return usage();
    for (size_t i = 0; count == 0 && i < PROGRAMS; i++) run(programs[i], &o);
    for (size_t i = 0; i < count; i++) run(chosen[i], &o);
    return 0;
}
