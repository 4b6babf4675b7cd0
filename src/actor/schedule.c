/* SPDX-License-Identifier: Apache-2.0
 * schedule.c - who runs next in the simulator: uniform choice, or PCT.
 * Called by: sim.c. May touch: its own numbers and the candidates' turns.
 * Never: a clock, memory, the order of addresses.
 *
 * PCT is the scheduler of Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized
 * Scheduler with Probabilistic Guarantees of Finding Bugs" (ASPLOS 2010): everybody has a
 * random priority, the highest runs, and at depth - 1 random steps whoever would run falls
 * below all others. With n actors and k steps a bug that takes `depth` orderings is met with
 * a probability of at least 1 / (n k^(depth-1)) in each run, however unlikely a uniform
 * choice makes it. */
#include "schedule.h"

#include "log.h"

#define HIGH (UINT64_C(1) << 63) /* above all that fell */
#define DEPTH_DRAWN 4u           /* 1 .. 4 */
#define STEPS_FIRST 16u          /* 16 .. 4096 in powers of two, ... */
#define STEPS_POWERS 9u          /* ... since nobody said how long the run is */

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
uint64_t wf_chance(uint64_t *rng)
{
    uint64_t z = *rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t wf_chance_below(uint64_t *rng, uint64_t bound)
{
    WF_ASSERT(bound > 0);
    uint64_t uneven = UINT64_MAX % bound + 1; /* draws above the last multiple are refused */
    uint64_t draw;
    do {
        draw = wf_chance(rng);
    } while (uneven != bound && draw > UINT64_MAX - uneven);
    return draw % bound;
}

/* Everybody gets a new priority when next looked at, and the changes new places. Runs longer
 * than `steps` are dealt anew again and again, so that nobody starves for ever. */
static void deal(struct wf_schedule *schedule)
{
    schedule->deal++;
    schedule->step = 0;
    for (uint32_t i = 0; i + 1 < schedule->depth; i++)
        schedule->changes[i] = 1 + (uint32_t)wf_chance_below(schedule->rng, schedule->steps);
}

weft_err wf_schedule_init(struct wf_schedule *schedule, const weft_sim_spec *spec, uint64_t *world)
{
    if (spec->schedule != WEFT_SCHEDULE_UNIFORM && spec->schedule != WEFT_SCHEDULE_PCT)
        return WEFT_INVALID;
    if (spec->depth > WEFT_SIM_DEPTH_MAX) return WEFT_INVALID;
    *schedule = (struct wf_schedule){.kind = spec->schedule, .rng = world, .own = ~spec->seed};
    if (spec->schedule == WEFT_SCHEDULE_UNIFORM) return WEFT_OK;
    schedule->rng = &schedule->own;
    uint32_t depth = 1 + (uint32_t)wf_chance_below(schedule->rng, DEPTH_DRAWN);
    uint32_t steps = STEPS_FIRST << wf_chance_below(schedule->rng, STEPS_POWERS);
    schedule->depth = spec->depth == 0 ? depth : spec->depth;
    schedule->steps = spec->steps == 0 ? steps : spec->steps;
    deal(schedule);
    return WEFT_OK;
}

static uint64_t priority(struct wf_schedule *schedule, struct wf_turn *turn)
{
    if (turn->deal != schedule->deal) {
        turn->deal = schedule->deal;
        turn->priority = HIGH | wf_chance(schedule->rng);
    }
    return turn->priority;
}

static uint32_t highest(struct wf_schedule *schedule, struct wf_turn *const *ready, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < count; i++)
        if (priority(schedule, ready[i]) > priority(schedule, ready[best])) best = i;
    return best;
}

uint32_t wf_schedule_pick(struct wf_schedule *schedule, struct wf_turn *const *ready,
                          uint32_t count)
{
    WF_ASSERT(count > 0);
    if (schedule->kind == WEFT_SCHEDULE_UNIFORM)
        return (uint32_t)wf_chance_below(schedule->rng, count);
    if (schedule->step == schedule->steps) deal(schedule);
    schedule->step++;
    uint32_t best = highest(schedule, ready, count);
    for (uint32_t i = 0; i + 1 < schedule->depth; i++) {
        if (schedule->changes[i] != schedule->step) continue;
        ready[best]->priority = i; /* below HIGH, and below or above those that fell before */
        best = highest(schedule, ready, count);
    }
    return best;
}

bool wf_schedule_waits(struct wf_schedule *schedule, struct wf_turn *event,
                       struct wf_turn *const *ready, uint32_t count)
{
    if (count == 0) return false;
    if (schedule->kind == WEFT_SCHEDULE_UNIFORM) return wf_chance_below(schedule->rng, 2) == 0;
    return priority(schedule, ready[highest(schedule, ready, count)]) > priority(schedule, event);
}
