/* SPDX-License-Identifier: Apache-2.0
 * weft/testing.h - a deterministic world to test your own actors in.
 *
 * The same actors that run on threads run here in one thread, from one seed, with a
 * virtual clock: a runtime from weft_sim_rt_create is used like one from
 * weft_rt_create. Everything that differs from run to run on a machine - who runs next,
 * what weft_self_random gives, when a timer meets a message - follows from the seed, so
 * a failing run is repeated by its seed and its schedule.
 *
 *     static bool nothing_is_lost(weft_sim *sim, void *arg)
 *     {
 *         weft_rt *rt;
 *         if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return false;
 *         ... spawn, send, weft_sim_run_until(sim, weft_sim_now(sim) + WEFT_SEC), look ...
 *         weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC));
 *         weft_rt_destroy(rt);
 *         return it_was_fine;
 *     }
 *     weft_explore found = weft_sim_explore(1, 1000, nothing_is_lost, NULL);
 *
 * A turn handles one user message, so that others may run between any two. Blocking
 * calls of plain threads (weft_call, weft_send_wait, weft_join, weft_rt_stop, weft_spawn)
 * run the world until they are satisfied; with WEFT_NEVER in a world where nothing is
 * left to do they would wait for ever, and abort. All placements of an actor run alike.
 * The clock moves only when nobody can run; a world that stays busy in one instant for
 * 100,000 steps creeps on by a microsecond a step.
 *
 * File descriptors are the one thing that has no simulation: weft_fd_watch answers
 * UNSUPPORTED. One thread only: all calls here, and all calls of weft/actor.h on its
 * runtimes, are for the thread that created the world. */
#ifndef WEFT_TESTING_H
#define WEFT_TESTING_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/actor.h>
#include <weft/trace.h> /* weft_write */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_sim weft_sim; /* opaque: one world, one clock, any number of runtimes */

/* Who runs next, of those that have something to do. */
typedef enum weft_schedule {
    WEFT_SCHEDULE_UNIFORM, /* each with the same probability, at every step         */
    WEFT_SCHEDULE_PCT      /* the one of the highest random priority; at few random steps
                            * it falls below all others. Finds what needs one actor to
                            * be late for long, which a uniform choice hardly ever does.
                            * (Burckhardt and others, "A Randomized Scheduler with
                            * Probabilistic Guarantees of Finding Bugs", ASPLOS 2010)  */
} weft_schedule;

/* A world. Zero-initialise it; seed, schedule, depth and steps decide all that happens. */
typedef struct weft_sim_spec {
    uint64_t seed;
    weft_schedule schedule;
    uint32_t depth;   /* PCT: how many orderings the bug may take, 1 .. WEFT_SIM_DEPTH_MAX:
                     * depth - 1 changes of priority. 0: drawn from the seed, 1 .. 4   */
    uint32_t steps;   /* PCT: about how many steps a run has; the changes lie within, and
                     * longer runs are dealt new priorities every `steps` steps.
                     * 0: drawn from the seed, 16 .. 4096                            */
    weft_write trace; /* called with one line for each thing that happens, ended by a
                       * newline: the time in seconds, the actor as name#number (or -),
                       * what (begin, user, system, reply, over, timer, stop, end,
                       * restart, fail, kill, event) and of which kind. Two runs are the same if and only if
                       * their lines are. NULL: no trace                              */
    void *trace_arg;
} weft_sim_spec;

/* Creates a world. The spec is copied. NO_MEMORY, INVALID (schedule or depth). */
weft_err weft_sim_create(const weft_sim_spec *spec, weft_sim **out);
/* Ends it; events that have not run are forgotten. Destroy its runtimes first: one that
 * still has actors is a bug and aborts. NULL is fine. */
void weft_sim_destroy(weft_sim *sim);

/* Creates a runtime in this world, the caller's (weft_rt_destroy). Several share the clock
 * and the seed, like several processes that can only exchange messages. NO_MEMORY. */
weft_err weft_sim_rt_create(weft_sim *sim, weft_rt **out);

/* Does one thing: a turn of an actor, or an event. False when there is nothing to do, now
 * or later, and inside an actor, where it does nothing; the same for the next two. */
bool weft_sim_step(weft_sim *sim);
/* Runs all that happens until `until`, and sets the clock to it; with WEFT_NEVER, until
 * nothing is left. */
void weft_sim_run_until(weft_sim *sim, weft_ns until);
/* Runs until `done(arg)`, which is asked before each step, or the clock reaches `until`;
 * true if done. */
bool weft_sim_run_while_not(weft_sim *sim, bool (*done)(void *arg), void *arg, weft_ns until);

/* Calls fn(arg) once at the virtual time `at` (now, if that has passed), outside any actor
 * as if by a plain thread: for what comes from outside, and for faults. NO_MEMORY. */
weft_err weft_sim_at(weft_sim *sim, weft_ns at, void (*fn)(void *arg), void *arg);

/* -- Faults. Plan them with weft_sim_at, or inject them where the test stands ---------- */

/* Crashes a runtime, as kill -9 ends a process, and frees it (no weft_rt_destroy after it). Its
 * actors vanish where they stand: no handler, callback or fini runs any more, and neither does
 * the dead-letter hook. From outside it looks like an end: sends answer CLOSED, weft_join answers
 * OK with the reason CANCELED, and whoever in another runtime of this world asked, watches or is
 * linked to one of them hears CLOSED or of its end. Messages in their mailboxes are dropped
 * through their kinds; its groups are gone; addresses and topics that you hold stay yours to put
 * back. What only the actors' states pointed to is not freed: keep it where the test can find
 * it, or leave it to the end of the process. A request that such a state held is never answered:
 * whoever waits for one needs a deadline. To go on as after a crash, create a runtime and spawn
 * again, with what you let survive as their `arg`. NULL is fine. INVALID: a runtime of no
 * simulation. DEADLK from inside one of its own actors, BUSY while weft_rt_stop (_report, _now) of
 * it runs: then nothing is done. */
weft_err weft_sim_kill(weft_rt *rt);

/* Makes one actor fail with `reason` at its next turn, before that handles anything, as if its
 * last callback had called weft_exit: asks are cancelled, fini runs, links and monitors hear of
 * it, and whoever supervises it decides about a restart. INVALID: `reason` is WEFT_OK, or an
 * actor of no simulation. CLOSED: it has ended or is about to. RESTARTING: it is between two
 * lives. */
weft_err weft_sim_fail(weft_addr *addr, weft_err reason);

weft_ns weft_sim_now(weft_sim *sim);                    /* begins at one second            */
uint64_t weft_sim_random(weft_sim *sim);                /* 64 bits of the seed's stream    */
uint64_t weft_sim_below(weft_sim *sim, uint64_t bound); /* 0 .. bound-1, even; bound > 0   */

/* A digest of all that happened so far. Equal specs give equal digests at equal points; if
 * they do not, something in the actors does not come from the seed (an address, the
 * machine's clock, memory that was not set). */
uint64_t weft_sim_digest(weft_sim *sim);

/* Makes the nth allocation from now fail (1: the next one), and all after it if
 * `persistent`; 0 switches it off. Counts the allocations of weft itself, in the whole
 * process: for tests that have one thread. */
void weft_test_alloc_fail_at(uint64_t nth, bool persistent);

/* -- A network that fails. The hubs of weft/node.h, for nodes of one world or on threads ----- */

typedef struct weft_hub weft_hub;

/* In a world only. Rates are parts per million of the segments. A stream that loses, repeats,
 * swaps or flips a segment is a broken network: the secure channel must notice. `reset` breaks a
 * connection as TCP would. */
typedef struct weft_net_faults {
    weft_ns delay_min, delay_max;
    uint32_t drop_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm, reset_ppm, dial_fail_ppm;
    size_t segment_max; /* largest piece delivered at once; 0: any */
} weft_net_faults;

/* From now on; NULL: none any more, and no delay. INVALID: a rate above a million, or a delay
 * that ends before it begins. FORKED; the same for the next three. */
weft_err weft_hub_faults(weft_hub *hub, const weft_net_faults *faults);
/* Cuts or heals a pair of hosts, both directions: dials fail, and in a world bytes are held back
 * until it is healed. NO_MEMORY. */
weft_err weft_hub_cut(weft_hub *hub, const char *host_a, const char *host_b, bool cut);
/* Breaks all connections of a host, as when its process dies; its listeners may be taken over. */
weft_err weft_hub_kill(weft_hub *hub, const char *host);
/* Each piece of bytes passes `fn` (NULL: nobody's) when it is sent, on the sender's thread and
 * under the hub's lock: it may not call anything of the hub. */
weft_err weft_hub_tap(weft_hub *hub, void (*fn)(void *arg, const uint8_t *data, size_t len),
                      void *arg);

/* What an exploration found. */
typedef struct weft_explore {
    bool failed;
    uint64_t seed;          /* of the run that failed, and ...                                */
    weft_schedule schedule; /* ... its schedule: {.seed, .schedule} repeats it       */
    uint64_t runs;          /* worlds that were run                                  */
    uint64_t steps;         /* things that they did, in all                          */
} weft_explore;

/* Runs `test` in a new world for each of the seeds first .. first+count-1, under both
 * schedules with depth and steps drawn from the seed. Stops at the first that returns
 * false, or for which memory is short, and logs "seed N schedule S" at ERROR. `test` must
 * stop and destroy its runtimes, also when it returns false. To look at the failure, run
 * `test` once more in a world of that seed and schedule, with a trace. */
weft_explore weft_sim_explore(uint64_t first, uint64_t count,
                              bool (*test)(weft_sim *sim, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
