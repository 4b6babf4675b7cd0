/* SPDX-License-Identifier: Apache-2.0
 * explore.c - a test run in many worlds, and the switch that makes memory short.
 * Called by: users' tests (weft/testing.h). May touch: the worlds it creates.
 * Never: goes on after a failure, whose world is the one to look at. */
#include <inttypes.h>

#include "alloc.h"
#include "log.h"
#include "sim.h"

static bool run(weft_explore *found, uint64_t seed, weft_schedule schedule,
                bool (*test)(weft_sim *sim, void *arg), void *arg)
{
    static const char *const names[] = {
        [WEFT_SCHEDULE_UNIFORM] = "uniform", [WEFT_SCHEDULE_PCT] = "pct"};
    weft_sim_spec spec = {.seed = seed, .schedule = schedule};
    weft_sim *sim = NULL;
    bool fine = false;
    if (weft_sim_create(&spec, &sim) == WEFT_OK) {
        fine = test(sim, arg);
        found->runs++;
        found->steps += wf_sim_steps(sim);
        weft_sim_destroy(sim);
    }
    if (fine) return true;
    found->failed = true;
    found->seed = seed;
    found->schedule = schedule;
    wf_log(WEFT_LOG_ERROR, "explore", "failed: seed %" PRIu64 " schedule %s", seed,
           names[schedule]);
    return false;
}

weft_explore weft_sim_explore(uint64_t first, uint64_t count,
                              bool (*test)(weft_sim *sim, void *arg), void *arg)
{
    weft_explore found = {.failed = false};
    for (uint64_t i = 0; i < count; i++) {
        if (!run(&found, first + i, WEFT_SCHEDULE_UNIFORM, test, arg)) break;
        if (!run(&found, first + i, WEFT_SCHEDULE_PCT, test, arg)) break;
    }
    return found;
}

void weft_test_alloc_fail_at(uint64_t nth, bool persistent)
{
    (void)wf_alloc_fail_at(nth, persistent);
}
