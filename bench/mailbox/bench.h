/* SPDX-License-Identifier: Apache-2.0
 * bench.h - what every C and C++ peer of the mailbox benchmark shares:
 * arguments, clock, the 64-byte payload and its check, percentiles, the JSON
 * line.  A peer includes "harness.h" (which includes this) unless its library
 * owns the threads (CAF). */
#ifndef MAILBOX_BENCH_H
#define MAILBOX_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 1000, PAUSE_NS = 1000000 };

typedef struct payload {
    uint32_t from; /* producer number */
    uint32_t kind;
    uint64_t seq; /* per producer, from 0 */
    uint64_t t;   /* send time, where the case wants one */
    uint64_t body[4];
    uint64_t check;
} payload;

typedef struct options {
    const char *peer;
    const char *kase;
    int producers;
    uint64_t messages;
} options;

static inline void die(const char *why)
{
    fprintf(stderr, "FAILED: %s (errno %d %s)\n", why, errno, strerror(errno));
    _exit(1);
}

static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void pause_ns(long ns)
{
    struct timespec ts;
    ts.tv_sec = 0;
    ts.tv_nsec = ns;
    nanosleep(&ts, NULL);
}

static inline uint64_t check_of(uint32_t from, uint64_t seq)
{
    return (seq * 0x9e3779b97f4a7c15u) ^ ((uint64_t)from << 40);
}

static inline void payload_fill(payload *p, uint32_t from, uint64_t seq, uint64_t t)
{
    p->from = from;
    p->kind = 1;
    p->seq = seq;
    p->t = t;
    p->body[0] = seq;
    p->body[1] = seq + 1;
    p->body[2] = seq + 2;
    p->body[3] = seq + 3;
    p->check = check_of(from, seq);
}

/* next[] holds the sequence number expected from each producer */
static inline void payload_verify(const payload *p, uint64_t *next, int producers)
{
    if (p->from >= (uint32_t)producers) die("unknown producer");
    if (p->seq != next[p->from]) die("per-producer order broken");
    if (p->check != check_of(p->from, p->seq) || p->body[3] != p->seq + 3) die("payload torn");
    next[p->from]++;
}

/* producer i sends share(i) of the N messages */
static inline uint64_t share(const options *o, int i)
{
    uint64_t q = o->messages / (uint64_t)o->producers, r = o->messages % (uint64_t)o->producers;
    return q + ((uint64_t)i < r ? 1 : 0);
}

static inline void options_parse(options *o, int argc, char **argv, const char *peer)
{
    o->peer = peer;
    o->kase = argc > 1 ? argv[1] : "throughput";
    o->producers = 1;
    o->messages = 1000000;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--producers")) o->producers = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--messages")) o->messages = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--name")) o->peer = argv[i + 1];
    }
    if (o->producers < 1 || o->producers > 64 || o->messages < 1) die("bad arguments");
}

static inline int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static inline void report(const options *o, double seconds, uint64_t *lat, uint64_t n)
{
    printf("{\"peer\":\"%s\",\"case\":\"%s\",\"producers\":%d,\"messages\":%llu,\"seconds\":%.6f,"
           "\"msgs_per_sec\":%.0f,",
           o->peer, o->kase, o->producers, (unsigned long long)o->messages, seconds,
           (double)o->messages / seconds);
    if (lat && n) {
        qsort(lat, n, sizeof *lat, cmp_u64);
        printf("\"p50_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu}\n",
               (unsigned long long)lat[n / 2], (unsigned long long)lat[n * 99 / 100],
               (unsigned long long)lat[n * 999 / 1000]);
    } else printf("\"p50_ns\":null,\"p99_ns\":null,\"p999_ns\":null}\n");
    fflush(stdout);
}

static inline void futex_wait_word(uint32_t *w, uint32_t val)
{
    syscall(SYS_futex, w, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0);
}
static inline void futex_wake_word(uint32_t *w, int n)
{
    syscall(SYS_futex, w, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

#endif
