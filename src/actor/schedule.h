/* SPDX-License-Identifier: Apache-2.0
 * schedule.h - who runs next in the simulator: uniform choice, or PCT.
 * Pure: no clock, no memory of its own, all chance from numbers that it is given.
 * Called by: sim.c. One thread. */
#ifndef WF_SCHEDULE_H
#define WF_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/testing.h>

/* What the schedule keeps in each candidate; zero at birth. */
struct wf_turn {
    uint64_t priority;
    uint32_t deal; /* of which deal the priority is; 0: none yet */
};

struct wf_schedule {
    weft_schedule kind;
    uint64_t *rng;         /* UNIFORM: the world's stream; PCT: `own` */
    uint64_t own;          /* apart, so that the changes do not depend on the actors */
    uint32_t depth, steps; /* PCT: depth - 1 changes over `steps` choices */
    uint32_t step, deal;
    uint32_t changes[WEFT_SIM_DEPTH_MAX - 1]; /* at which choices */
};

/* 64 bits of the stream at *rng, and a number of 0 .. bound-1. */
uint64_t wf_chance(uint64_t *rng);
uint64_t wf_chance_below(uint64_t *rng, uint64_t bound);

/* Depth and steps that are 0 are drawn from the seed. `world` is the stream that a UNIFORM
 * schedule shares with the world. INVALID: a field of the spec is out of its range. */
weft_err wf_schedule_init(struct wf_schedule *schedule, const weft_sim_spec *spec, uint64_t *world);

/* Which of `count` > 0 candidates runs now. The order of the list must not depend on
 * addresses. */
uint32_t wf_schedule_pick(struct wf_schedule *schedule, struct wf_turn *const *ready,
                          uint32_t count);

/* True if an event that is due waits while one of the candidates runs; false if there are none. */
bool wf_schedule_waits(struct wf_schedule *schedule, struct wf_turn *event,
                       struct wf_turn *const *ready, uint32_t count);

#endif
