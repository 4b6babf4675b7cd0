/* SPDX-License-Identifier: Apache-2.0
 * fork.h - has this process been forked since?
 * A child has the memory of its parent and none of its threads, and a lock that one of them
 * held stays locked there. So whoever makes such a thing remembers the count, and answers
 * FORKED where it differs. Called by: weft.c, api_*.c, dag_iter.c. */
#ifndef WF_FORK_H
#define WF_FORK_H

#include <stdint.h>

/* Forks since the first call. Of fork() alone: a vfork, a posix_spawn or a bare system call
 * does not count, and may not call weft either. Any thread. */
uint64_t wf_fork_count(void);

#endif
