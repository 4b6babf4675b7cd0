/* SPDX-License-Identifier: Apache-2.0
 * criterion_fork_runner.h - what the two halves of the fork runner share.
 * Called by: criterion_fork_runner.c and criterion_fork_asserts.c, nobody else. */
#ifndef WF_CRITERION_FORK_RUNNER_H
#define WF_CRITERION_FORK_RUNNER_H

#include <criterion/criterion.h>

void wf_fork_runner_fail(void); /* count one failed assert of the running test; any thread */

#endif
