/* SPDX-License-Identifier: Apache-2.0
 * sim.h - the simulator as weft's own tests use it: weft/testing.h by shorter names.
 * Called by: tests, and by the in-memory network for its delays. */
#ifndef WF_SIM_H
#define WF_SIM_H

#include <stdint.h>

#include <weft/testing.h>

#include "log.h"

typedef weft_sim wf_sim;

static inline weft_err wf_sim_create(uint64_t seed, wf_sim **out)
{
    weft_sim_spec spec = {.seed = seed};
    return weft_sim_create(&spec, out);
}

static inline void wf_sim_destroy(wf_sim *sim) { weft_sim_destroy(sim); }

static inline weft_err wf_sim_rt_create(wf_sim *sim, weft_rt **out)
{
    return weft_sim_rt_create(sim, out);
}

static inline weft_ns wf_sim_now(wf_sim *sim) { return weft_sim_now(sim); }

static inline uint64_t wf_sim_random(wf_sim *sim) { return weft_sim_random(sim); }

static inline uint64_t wf_sim_below(wf_sim *sim, uint64_t bound)
{
    return weft_sim_below(sim, bound);
}

static inline bool wf_sim_step(wf_sim *sim) { return weft_sim_step(sim); }

static inline void wf_sim_run_until(wf_sim *sim, weft_ns until) { weft_sim_run_until(sim, until); }

static inline bool wf_sim_run_while_not(wf_sim *sim, bool (*done)(void *arg), void *arg,
                                        weft_ns until)
{
    return weft_sim_run_while_not(sim, done, arg, until);
}

static inline weft_err wf_sim_at(wf_sim *sim, weft_ns at, void (*fn)(void *arg), void *arg)
{
    return weft_sim_at(sim, at, fn, arg);
}

static inline uint64_t wf_sim_trace(wf_sim *sim) { return weft_sim_digest(sim); }

/* How many turns and events ran so far. */
uint64_t wf_sim_steps(const wf_sim *sim);

/* Sets the wall clock of the world's machines so far from where it would be; not added up. */
void wf_sim_wall_shift(wf_sim *sim, int64_t ms);

/* The world that `rt` belongs to; NULL on the machine. */
wf_sim *wf_sim_of(weft_rt *rt);

static inline void wf_sim_kill(weft_rt *rt)
{
    weft_err err = weft_sim_kill(rt);
    WF_ASSERT(err == WEFT_OK);
}

#endif
