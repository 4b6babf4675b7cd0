/* SPDX-License-Identifier: Apache-2.0
 * lock.h - a mutex and a few atomics for the few structures that threads share.
 * The layers above may not include <pthread.h> or <stdatomic.h>; what little they
 * share between threads they share through this room.
 * Called by: kv_memory.c, net_mem.c, weft.c and the like. */
#ifndef WF_LOCK_H
#define WF_LOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wf_lock wf_lock; /* opaque: a mutex */
wf_lock *wf_lock_create(void);  /* NULL when memory is short */
void wf_lock_destroy(wf_lock *lock);
void wf_lock_take(wf_lock *lock);
void wf_lock_give(wf_lock *lock);

/* The one lock of the process, for lists that are the process's: for a few instructions, and no
 * other lock is taken under it. */
void wf_process_lock_take(void);
void wf_process_lock_give(void);

/* Readers beside each other, a writer alone. */
typedef struct wf_rwlock wf_rwlock;
wf_rwlock *wf_rwlock_create(void);
void wf_rwlock_destroy(wf_rwlock *lock);
void wf_rwlock_read(wf_rwlock *lock);
void wf_rwlock_write(wf_rwlock *lock);
void wf_rwlock_give(wf_rwlock *lock);

/* A counter that any thread may move; all operations are sequentially
 * consistent, meant for reference counts and statistics, not for hot paths. */
typedef struct wf_counter {
    uint64_t value;
} wf_counter;
uint64_t wf_counter_add(wf_counter *c, uint64_t n); /* returns the new value */
uint64_t wf_counter_sub(wf_counter *c, uint64_t n); /* returns the new value */
uint64_t wf_counter_get(const wf_counter *c);
void wf_counter_set(wf_counter *c, uint64_t v);

#endif
