/* SPDX-License-Identifier: Apache-2.0
 * weft/stats.h - what the runtime counts, and the watchdog for stalled actors.
 *
 * Counters only grow; they are exact after weft_join and approximate before. Times, turns
 * and wakes are 0 unless they are measured (weft_rt_measure). */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds of the monotonic clock (virtual in the simulator). Deadlines are
 * absolute; WEFT_NEVER is the deadline that does not come. */
typedef uint64_t weft_ns;
#define WEFT_NEVER UINT64_MAX

typedef struct weft_rt weft_rt; /* weft/actor.h */

/* Counters of one actor since its spawn. */
typedef struct weft_actor_stats {
    uint64_t handled; /* user messages                                   */
    uint64_t system;  /* system messages                                 */
    uint64_t dropped; /* dead letters and late replies                   */
    uint64_t parks;   /* times its own thread went to sleep; 0 for actors of a group
                       * (weft_group_stats has its workers') or on a parent's thread */
    uint64_t spins;   /* times a spin saved such a sleep                 */
    uint64_t timer_ticks;
    uint64_t overflow;     /* messages that its overflow policy dropped       */
    uint64_t stashed;      /* messages put back by WEFT_STASH                 */
    uint64_t restarts;     /* by its parent                                   */
    uint64_t wakes;        /* measured: times that mail found it idle         */
    uint64_t turns;        /* measured: times it was given the processor      */
    uint32_t depth;        /* user messages queued, stashed or in hand; in an unbounded mailbox
                         * without those that came since its turn began   */
    uint32_t depth_max;    /* most of them at the beginning of a turn         */
    weft_ns wait_max;      /* measured: between a send and its handling       */
    weft_ns wait_sum;      /* measured: the same, of all user messages        */
    weft_ns busy;          /* measured: inside callbacks that have returned   */
    weft_ns oldest;        /* measured: how long the oldest user message it has taken in has
                         * been waiting, one in hand included; 0: none     */
    weft_err last_failure; /* WEFT_OK: it never failed                     */
} weft_actor_stats;

/* Switches the measuring of times on or off: one reading of the clock for each send and two for
 * each callback. Off by default. An actor's first measured callback allocates; without memory
 * it is not measured. Any thread, at any time. */
void weft_rt_measure(weft_rt *rt, bool on);

/* All actors of one name, alive and ended. */
typedef struct weft_class_stats {
    const char *name;     /* valid as long as the runtime                     */
    uint32_t actors;      /* alive now                                        */
    weft_actor_stats sum; /* depth_max, wait_max, oldest: the largest; last_failure: of one of
                           * them; depth and oldest: of those alive           */
} weft_class_stats;

/* Writes the sums of at most `room` classes, in the order of their names' bytes, and returns how
 * many there are. Beyond WEFT_CLASSES_MAX, actors count in the class "(others)". `out` may be NULL
 * when `room` is 0. Spawning waits meanwhile: about 20 ns per actor alive. Any thread. */
size_t weft_stats_classes(weft_rt *rt, weft_class_stats *out, size_t room);

/* Memory, in bytes. What actors and handlers allocate by themselves, threads' stacks and what
 * timers, asks, watches, children and topics need is not in it. */
typedef struct weft_memory {
    size_t actors;           /* of this runtime: addresses, states and what an actor has beside
                              * its mailbox once it needs it; until it has been joined      */
    uint64_t actors_refused; /* spawns that weft_rt_memory_limit refused                */
    size_t pools; /* of the process: what all threads' pools hold for messages, and for actors
                   * of up to WEFT_POOL_BYTES_MAX, in use or not, and larger messages in use.
                   * 0 in a build without pools (-Dpool=disabled)                       */
    uint64_t pools_refused; /* requests that weft_pool_limit refused                    */
} weft_memory;
void weft_rt_memory(weft_rt *rt, weft_memory *out); /* any thread */

/* Bounds weft_memory.actors: a spawn that would exceed it answers LIMIT. 0: no bound, as at
 * first. Actors that live go on, and may still grow by what they need. Any thread. */
void weft_rt_memory_limit(weft_rt *rt, size_t bytes);

/* Bounds weft_memory.pools, for the whole process, because a message is made before anybody
 * knows for which runtime: beyond it weft_new returns NULL, and a spawn may answer NO_MEMORY.
 * Pools grow by 64 KiB for each size and thread; what one thread's pool keeps free another's
 * cannot use. 0: no bound, as at first. UNSUPPORTED without pools. Any thread. */
weft_err weft_pool_limit(size_t bytes);

/* Writes the same in the text exposition format of Prometheus, version 0.0.4 (content type
 * "text/plain; version=0.0.4"), one sample per class with the label `class`, then those of weft_memory, and returns the
 * bytes needed, as snprintf does: what does not fit is cut, and the text ends with a zero if
 * `room` is not 0. Times are in seconds. 0: out of memory. Any thread. */
size_t weft_stats_prometheus(weft_rt *rt, char *out, size_t room);

/* An actor that has been inside one callback for too long. Texts are valid during the call. */
typedef struct weft_stall {
    const char *actor;  /* its name                                         */
    const char *kind;   /* of the message in hand, or weft.init, weft.fini, weft.timer, weft.fd,
                         * weft.timeout                                     */
    const char *sender; /* name of who sent it; "" for a plain thread or the runtime; "?" if it has
                         * ended                                            */
    weft_ns age;        /* how long the watchdog has seen it there: the callback began at most a
                         * quarter of the limit earlier                     */
    uint32_t depth;     /* user messages that wait behind it (weft_actor_stats) */
} weft_stall;

/* Starts a thread that looks four times per `limit` (1 ms at least) what each actor of this
 * runtime has in hand, and calls `fn` on that thread once for each callback that takes longer.
 * It only reports. `fn` NULL: a line in the log, WARN, facility "watchdog". Costs no clock and
 * no atomic read-modify-write on the actors' threads. EXISTS: it runs already. INVALID,
 * NO_MEMORY, UNSUPPORTED in the simulator. weft_rt_destroy stops it. */
weft_err weft_watchdog_start(weft_rt *rt, weft_ns limit, void (*fn)(void *arg, const weft_stall *),
                             void *arg);
/* No call of `fn` runs after it returns OK. Idempotent. DEADLK from inside `fn`: it goes on. */
weft_err weft_watchdog_stop(weft_rt *rt);

#ifdef __cplusplus
}
#endif
#endif
