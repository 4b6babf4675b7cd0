/* SPDX-License-Identifier: Apache-2.0
 * savina.h - what the programs share: where actors run, the clock, the verdict. */
#ifndef BENCH_SAVINA_H
#define BENCH_SAVINA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/actor.h>
#include <weft/group.h>

struct savina {
    weft_rt *rt;
    weft_group *group; /* NULL: every actor on a thread of its own */
    uint64_t size;     /* of the program: messages, hops, actors   */
    uint32_t mailbox;  /* of those that are flooded                */
};
struct result {
    uint64_t ops;     /* what is counted per second */
    uint64_t ns;      /* how long they took         */
    const char *unit; /* of one of them             */
};
struct program {
    const char *name, *about;
    uint64_t size;    /* default */
    uint64_t threads; /* most that it can be with an actor a thread; 0: any */
    void (*run)(struct savina *, struct result *out);
};
extern const struct program savina_pingpong, savina_threadring, savina_count, savina_fjthrput,
    savina_big, savina_skynet;

uint64_t savina_now_ns(void);
/* Says what and ends the process: a program whose result is wrong has no figure. */
void savina_check(bool good, const char *what);
/* Spawns where actors are to run. */
weft_addr *savina_spawn(struct savina *s, weft_spec spec);
/* Waits until the actor has ended, and gives its address back. */
void savina_await(weft_addr *addr);

#endif
