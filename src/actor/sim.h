/* SPDX-License-Identifier: Apache-2.0
 * sim.h - the simulator: whole programs of actors in one thread, from one seed.
 * A runtime created here has a virtual clock that jumps to the next event, a
 * seeded source of randomness and a seeded choice of who runs next. The blocking
 * calls of plain threads (weft_call, weft_join, weft_spawn) run the world until
 * they are satisfied. One thread only.
 * Called by: tests, and by the in-memory network for its delays. */
#ifndef WF_SIM_H
#define WF_SIM_H

#include <stdint.h>

#include <weft/actor.h>

typedef struct wf_sim wf_sim;

weft_err wf_sim_create(uint64_t seed, wf_sim **out);
void wf_sim_destroy(wf_sim *sim); /* after its runtimes were destroyed */

/* A runtime in this world; several may share one world and its clock. */
weft_err wf_sim_rt_create(wf_sim *sim, weft_rt **out);

weft_ns wf_sim_now(wf_sim *sim);
uint64_t wf_sim_random(wf_sim *sim);                /* 64 bits of the seed's stream */
uint64_t wf_sim_below(wf_sim *sim, uint64_t bound); /* 0 .. bound-1                 */

/* Runs one event. False when nothing is runnable and no timer is armed. */
bool wf_sim_step(wf_sim *sim);
/* Runs until the clock reaches `until` or nothing is left to do. */
void wf_sim_run_until(wf_sim *sim, weft_ns until);
/* Runs until `done(arg)` or the clock reaches `until`; true if done. */
bool wf_sim_run_while_not(wf_sim *sim, bool (*done)(void *arg), void *arg, weft_ns until);

/* Runs fn(arg) in the world at virtual time `at`, outside any actor. NO_MEMORY. */
weft_err wf_sim_at(wf_sim *sim, weft_ns at, void (*fn)(void *arg), void *arg);

/* The world that `rt` belongs to; NULL on the machine. */
wf_sim *wf_sim_of(weft_rt *rt);

/* A crash of one runtime: its actors vanish where they stand, no fini runs, what
 * was in their mailboxes is freed through kind->drop, and the runtime is
 * destroyed. For `kill -9` of a simulated node. Not from inside one of its own actors.
 * What only their states pointed to stays allocated: whoever kills frees it, or keeps
 * it where the test can find it. Asks of other runtimes that were queued answer CLOSED. */
void wf_sim_kill(weft_rt *rt);

/* A digest of all that happened so far: equal seeds give equal traces. */
uint64_t wf_sim_trace(wf_sim *sim);

#endif
