/* SPDX-License-Identifier: Apache-2.0
 * fork.c - how many forks lie between this process and the one that asked first.
 * Called by: whoever has threads or locks that a child does not inherit, any thread.
 * May touch: its counter. Never: anything else after a fork, which may have come at any time. */
#include "fork.h"

#include <pthread.h>

#include "atomic.h"

static uint64_t forks;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In the child, before fork() returns there: its only thread. */
static void in_child(void) { wf_store(&forks, wf_load(&forks, WF_RELAXED) + 1, WF_RELAXED); }

/* Without memory for it a fork goes unseen; there is nothing better to be done. */
static void watch(void) { (void)pthread_atfork(NULL, NULL, in_child); }

uint64_t wf_fork_count(void)
{
    (void)pthread_once(&once, watch);
    return wf_load(&forks, WF_RELAXED);
}
