/* SPDX-License-Identifier: Apache-2.0
 * test_aside.c - work on a thread of its own, and a caller that speaks meanwhile.
 * Called by: meson test. May touch: the machine's threads. Never: relies on how long a nap is. */
#include <criterion/criterion.h>

#include "block.h"
#include "lock.h"
#include "log.h"

static wf_counter ticks, over;

static void tick(void *arg)
{
    (void)arg;
    cr_assert_eq(wf_counter_get(&over), 0, "the work goes on");
    wf_counter_add(&ticks, 1);
}

static void wait_for_ticks(void *arg)
{
    while (wf_counter_get(&ticks) < *(const uint64_t *)arg) wf_nap(WEFT_MS);
}

Test(aside, the_caller_speaks_while_the_work_goes_on)
{
    uint64_t three = 3;
    wf_run_aside(wait_for_ticks, &three, WEFT_MS, tick, NULL);
    cr_expect_geq(wf_counter_get(&ticks), 3);
}

static void fail(void *arg) { *(weft_err *)arg = wf_fail(WEFT_CORRUPT, "aside", "a reason"); }

Test(aside, what_failed_there_is_told_here)
{
    weft_err err = WEFT_OK;
    weft_log_to(NULL, NULL, WEFT_LOG_ERROR);
    wf_run_aside(fail, &err, WEFT_NEVER / 2, tick, NULL);
    cr_expect_str_eq(weft_err_detail(err), "a reason err=WEFT_CORRUPT");
}

static void end(void *arg)
{
    wf_nap(WEFT_MS);
    wf_counter_set(&over, 1);
    *(int *)arg = 7;
}

Test(aside, what_the_work_did_is_there_when_it_returns)
{
    int made = 0;
    wf_run_aside(end, &made, WEFT_NEVER / 2, tick, NULL);
    cr_expect_eq(made, 7);
    cr_expect_eq(wf_counter_get(&ticks), 0, "it was not due yet");
}
