/* SPDX-License-Identifier: Apache-2.0
 * kit.c - time, chance, memory, signals and words for the tools.
 * Called by: all of tools/. May touch: standard error, the clock, signal handlers.
 * Never: weft, files, other processes. */
#include "kit.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *kit_program = "weft";

/* Written by the handler, read by any thread; whole, in no order. */
static int caught;

static int caught_now(void) { return __atomic_load_n(&caught, __ATOMIC_RELAXED); }

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t kit_now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

uint64_t kit_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

uint64_t kit_process_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void kit_sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000u),
                          .tv_nsec = (long)(at_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        if (caught_now() != 0) return;
}

double kit_seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0.0;
}

void *kit_alloc(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) {
        kit_say("out of memory");
        exit(EXIT_HARNESS);
    }
    return memory;
}

void *kit_grow(void *items, size_t *room, size_t need, size_t size)
{
    if (need <= *room) return items;
    size_t more = *room < 64 ? 64 : *room * 2;
    if (more < need) more = need;
    void *grown = reallocarray(items, more, size);
    if (grown == NULL) {
        kit_say("out of memory");
        exit(EXIT_HARNESS);
    }
    *room = more;
    return grown;
}

char *kit_copy(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = kit_alloc(len, 1);
    memcpy(copy, text, len);
    return copy;
}

uint64_t kit_rng_next(struct kit_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t kit_rng_below(struct kit_rng *rng, uint64_t bound)
{
    return kit_rng_next(rng) % bound; /* the bias is far below what a test could see */
}

void kit_rng_fill(struct kit_rng *rng, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        uint64_t word = kit_rng_next(rng);
        size_t part = len < sizeof word ? len : sizeof word;
        memcpy(at, &word, part);
        at += part;
        len -= part;
    }
}

struct kit_rng kit_rng_for(uint64_t seed, uint64_t purpose, uint64_t number)
{
    struct kit_rng rng = {seed};
    rng.state = kit_rng_next(&rng) ^ purpose;
    rng.state = kit_rng_next(&rng) ^ number;
    return rng;
}

static void on_signal(int number) { __atomic_store_n(&caught, number, __ATOMIC_RELAXED); }

void kit_signals_catch(void)
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: waits must end */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

int kit_signal(void)
{
    int number = caught_now();
    if (number == SIGINT) return EXIT_INT;
    return number == SIGTERM ? EXIT_TERM : 0;
}

void kit_say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", kit_program, line);
}

const char *kit_commas(uint64_t value, char out[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%llu", (unsigned long long)value);
    char *at = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) *at++ = ',';
        *at++ = plain[i];
    }
    *at = '\0';
    return out;
}

void kit_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kit_unhex(const char *text, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < len; i++) {
        int high = digit(text[2 * i]);
        int low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
