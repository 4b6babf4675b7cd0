/* SPDX-License-Identifier: Apache-2.0
 * weft/stats.h - what the runtime counts.
 *
 * Counters only grow; they are exact after weft_join and approximate before. A counter that
 * needs a clock is 0 unless times are measured. */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <stdint.h>

#include <weft/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds of the monotonic clock (virtual in the simulator). Deadlines are
 * absolute; WEFT_NEVER is the deadline that does not come. */
typedef uint64_t weft_ns;
#define WEFT_NEVER UINT64_MAX

/* Counters of one actor since its spawn. */
typedef struct weft_actor_stats {
    uint64_t handled; /* user messages                                   */
    uint64_t system;  /* system messages                                 */
    uint64_t dropped; /* dead letters and late replies                   */
    uint64_t parks;   /* times it went to sleep                          */
    uint64_t spins;   /* times a spin saved a sleep                      */
    uint64_t timer_ticks;
    uint64_t overflow;          /* messages that its overflow policy dropped   */
    uint64_t stashed;           /* messages put back by WEFT_STASH             */
    uint64_t restarts;          /* by its parent                               */
    uint64_t wakes;             /* times it was woken by somebody else         */
    uint64_t turns;             /* times it was given the processor            */
    uint32_t depth, depth_max;  /* user messages taken in and not yet handled  */
    weft_ns wait_max, wait_sum; /* between a send and its handling             */
    weft_ns busy;               /* inside callbacks                            */
    weft_ns oldest;             /* how long the message in hand has waited     */
    weft_err last_failure;      /* WEFT_OK: it never failed                    */
} weft_actor_stats;

#ifdef __cplusplus
}
#endif
#endif
