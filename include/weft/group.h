/* SPDX-License-Identifier: Apache-2.0
 * weft/group.h - worker groups: many light actors on a few threads.
 *
 * An actor that is spawned with WEFT_PLACE_GROUP has no thread: the group's workers give it a
 * turn when it has mail, a timer is due or a watched descriptor is ready. Handlers are the
 * same as elsewhere and never run on two threads at once. A turn serves what was queued when
 * it began, WEFT_TURN_MESSAGES_MAX messages or about WEFT_TURN_NS at most; then the next actor
 * has its turn. An actor that another one of the same worker wakes runs next, on that worker,
 * without the kernel. Work that waits for more than 50 us goes to a worker that sleeps.
 *
 * A handler that computes for long delays the actors of its worker, and one that blocks stops
 * them: such an actor belongs on a thread of its own. Actors that watch descriptors all live
 * on the group's first worker. In the simulator a group has no threads, and its actors run in
 * the simulator's order like all others. */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise it; copied. */
typedef struct weft_group_spec {
    const char *name;               /* of the threads, with "/0", "/1" ...; NULL: "group" */
    uint32_t workers;               /* 0: as many as CPUs that the process may use; at most
                           * WEFT_GROUP_WORKERS_MAX, else INVALID               */
    size_t stack_bytes;             /* of each thread; 0: the platform's default          */
    uint32_t spin_max_ns;           /* as in weft_spec; one worker of the group spins at most */
    const weft_thread_spec *thread; /* how the threads are made; NULL: inherit  */
} weft_group_spec;

/* Starts the threads of a group. *out is the caller's, to end with weft_group_destroy. Any
 * thread. NO_MEMORY, INVALID, FORBIDDEN (the threads' policy), LIMIT (WEFT_GROUPS_MAX), CLOSED
 * once the runtime is stopping. */
weft_err weft_group_create(weft_rt *rt, const weft_group_spec *spec, weft_group **out);

/* Ends the threads and frees the group; waits for them. BUSY while actors live in it: stop and
 * join them first. DEADLK from inside an actor. NULL is fine. weft_rt_destroy does the same for
 * the groups that are left. */
weft_err weft_group_destroy(weft_group *group);

typedef struct weft_group_stats {
    uint64_t turns;       /* given to actors                          */
    uint64_t handed_over; /* actors that waited and went to a sleeper */
    uint64_t parks;       /* times a worker went to sleep             */
    uint64_t spins;       /* times a spin saved a sleep               */
    uint32_t workers;
    uint32_t actors; /* that were started and not yet joined     */
} weft_group_stats;

/* Any thread; approximate while actors run. */
void weft_group_stats_get(weft_group *group, weft_group_stats *out);

#ifdef __cplusplus
}
#endif
#endif
