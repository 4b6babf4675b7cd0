/* SPDX-License-Identifier: Apache-2.0
 * delay.c - lost time after atomic operations, in builds that look for races (-Ddelays=true).
 * Called by: the names of atomic.h, any thread. May touch: its own counters.
 * Never: in a build for users; it has no part in what the runtime does. */
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#include "atomic.h"

#define SPIN_ONE_IN 64u    /* about how often an operation is followed by a pause ... */
#define SPIN_MAX 512u      /* ... of so many looks elsewhere at most: 0 to 10 us      */
#define YIELD_ONE_IN 1024u /* ... and by giving the processor away                    */

static uint64_t threads; /* relaxed: only numbers them */
static _Thread_local uint64_t state;

/* The seed fixes each thread's pauses, not what the kernel makes of them: 1, or the number that
 * the environment gives as WEFT_DELAY_SEED. It is not printed, for a program that promises to be
 * quiet must be so in these builds too. */
static uint64_t first_state(void)
{
    const char *given = getenv("WEFT_DELAY_SEED");
    uint64_t seed = given == NULL ? 1 : strtoull(given, NULL, 10);
    uint64_t number = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
    return (seed ^ (number + 1) * UINT64_C(0x9e3779b97f4a7c15)) | 1u;
}

void wf_delay(void)
{
    if (state == 0) state = first_state();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    uint64_t drawn = state >> 16;
    if (drawn % YIELD_ONE_IN == 0) {
        (void)sched_yield();
    } else if (drawn % SPIN_ONE_IN == 1) {
        for (uint64_t n = drawn / YIELD_ONE_IN % SPIN_MAX; n > 0; n--) {
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#else
            __asm__ volatile("" ::: "memory");
#endif
        }
    }
}
