/* SPDX-License-Identifier: Apache-2.0
 * kit.h - what every room of the tools needs: time, chance, memory, signals, words.
 * Called by: all of tools/. May touch: standard error, the clock.
 * Never: weft, files, other processes. */
#ifndef STRESS_KIT_H
#define STRESS_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; docs of the tools list them with --help. */
enum {
    EXIT_PASS = 0,
    EXIT_HARNESS = 1, /* the harness or its environment failed, or nothing was tested */
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_UNREACHABLE = 4, /* a peer cannot be reached, or a deadline passed               */
    EXIT_BROKEN = 5,      /* an invariant does not hold                                   */
    EXIT_REFUSED = 6,
    EXIT_CORRUPT = 7,
    EXIT_VERSION = 8,
    EXIT_INT = 130,
    EXIT_TERM = 143
};

/* CLOCK_MONOTONIC, the same for all processes of one machine. */
uint64_t kit_now_ns(void);
/* Time on a core: of this thread, of all threads of this process. */
uint64_t kit_thread_cpu_ns(void);
uint64_t kit_process_cpu_ns(void);
void kit_sleep_until(uint64_t at_ns);
double kit_seconds(uint64_t from_ns, uint64_t to_ns);

/* Zeroed memory. A tool that has none left says so and ends with EXIT_HARNESS. */
void *kit_alloc(size_t count, size_t size);
/* Makes room for `need` items; *room is in items. */
void *kit_grow(void *items, size_t *room, size_t need, size_t size);
char *kit_copy(const char *text);

/* SplitMix64: equal seeds give equal runs. For drawing only, never for secrets. */
struct kit_rng {
    uint64_t state;
};
uint64_t kit_rng_next(struct kit_rng *rng);
uint64_t kit_rng_below(struct kit_rng *rng, uint64_t bound); /* bound > 0 */
void kit_rng_fill(struct kit_rng *rng, void *out, size_t len);
/* A generator of its own for every (seed, purpose, number). */
struct kit_rng kit_rng_for(uint64_t seed, uint64_t purpose, uint64_t number);

/* From now on SIGINT and SIGTERM are only noted, and SIGPIPE is ignored. */
void kit_signals_catch(void);
/* 0, or the exit code that the signal asks for. */
int kit_signal(void);

/* One line to standard error: "<program>: text". Set the program once, in main. */
extern const char *kit_program;
void kit_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* 1234567 as "1,234,567". */
const char *kit_commas(uint64_t value, char out[32]);
void kit_hex(const uint8_t *bytes, size_t len, char *out); /* and a NUL */
/* Exactly 2 * len lower-case digits; false otherwise. */
bool kit_unhex(const char *text, size_t len, uint8_t *out);

#endif
