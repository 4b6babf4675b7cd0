/* SPDX-License-Identifier: Apache-2.0
 * roster.h - what a runtime knows by name: its actors' names and its topics.
 * Called by: registry.c, topic.c, rt.c, end.c, kill.c. Any thread. */
#ifndef WF_ROSTER_H
#define WF_ROSTER_H

#include <weft/topic.h>

#include "lock.h"
#include "lookup.h"

/* weft_addr.flags: read-modify-writes of one byte, so that a registration and the end of its
 * actor come one after the other and the later one sees the earlier. */
#define WF_ADDR_NAMED 1u   /* has names, or will have as soon as the lock is free */
#define WF_ADDR_UNNAMED 2u /* ended: no name is taken any more                 */

/* Counted: a topic may outlive its runtime. */
struct wf_roster {
    uint32_t refs;
    wf_rwlock *lock;         /* the three tables                         */
    struct wf_lookup names;  /* struct name, by its text                 */
    struct wf_lookup owners; /* struct owner, by its actor               */
    struct wf_lookup topics; /* weft_topic, by its name                  */
};

/* The hash of a name, or 0 if it is none: NULL, empty or too long. */
uint64_t wf_name_hash(const char *name);

weft_err wf_roster_create(struct wf_roster **out); /* NO_MEMORY */
struct wf_roster *wf_roster_get(struct wf_roster *roster);
void wf_roster_put(struct wf_roster *roster);

/* The actor ends: its names are free again; its subscriptions are over. On its thread, or
 * when it will never run again. */
void wf_names_forget(weft_rt *rt, weft_addr *addr);
void wf_subscriptions_end(weft_self *self);

#endif
