/* SPDX-License-Identifier: Apache-2.0
 * lock.c - mutexes and counters for the few structures that threads share.
 * Called by: rt.c and the layers above. May touch: POSIX thread locks.
 * Never: waits for anything but the lock. */
#include "lock.h"

#include <pthread.h>

#include "alloc.h"
#include "atomic.h"
#include "log.h"

struct wf_lock {
    pthread_mutex_t mutex;
};

struct wf_rwlock {
    pthread_rwlock_t lock;
};

/* A lock call fails only when its caller broke the rules. */
static void sure(int rc) { WF_ASSERT(rc == 0); }

wf_lock *wf_lock_create(void)
{
    wf_lock *lock = wf_malloc(sizeof *lock);
    if (lock == NULL) return NULL;
    if (pthread_mutex_init(&lock->mutex, NULL) != 0) {
        wf_free(lock);
        return NULL;
    }
    return lock;
}

void wf_lock_destroy(wf_lock *lock)
{
    if (lock == NULL) return;
    sure(pthread_mutex_destroy(&lock->mutex));
    wf_free(lock);
}

void wf_lock_take(wf_lock *lock) { sure(pthread_mutex_lock(&lock->mutex)); }

void wf_lock_give(wf_lock *lock) { sure(pthread_mutex_unlock(&lock->mutex)); }

static pthread_mutex_t of_process = PTHREAD_MUTEX_INITIALIZER;

void wf_process_lock_take(void) { sure(pthread_mutex_lock(&of_process)); }

void wf_process_lock_give(void) { sure(pthread_mutex_unlock(&of_process)); }

wf_rwlock *wf_rwlock_create(void)
{
    wf_rwlock *lock = wf_malloc(sizeof *lock);
    if (lock == NULL) return NULL;
    if (pthread_rwlock_init(&lock->lock, NULL) != 0) {
        wf_free(lock);
        return NULL;
    }
    return lock;
}

void wf_rwlock_destroy(wf_rwlock *lock)
{
    if (lock == NULL) return;
    sure(pthread_rwlock_destroy(&lock->lock));
    wf_free(lock);
}

void wf_rwlock_read(wf_rwlock *lock) { sure(pthread_rwlock_rdlock(&lock->lock)); }

void wf_rwlock_write(wf_rwlock *lock) { sure(pthread_rwlock_wrlock(&lock->lock)); }

void wf_rwlock_give(wf_rwlock *lock) { sure(pthread_rwlock_unlock(&lock->lock)); }

uint64_t wf_counter_add(wf_counter *c, uint64_t n) { return wf_add(&c->value, n, WF_SEQ_CST) + n; }

uint64_t wf_counter_sub(wf_counter *c, uint64_t n) { return wf_sub(&c->value, n, WF_SEQ_CST) - n; }

uint64_t wf_counter_get(const wf_counter *c) { return wf_load(&c->value, WF_SEQ_CST); }

void wf_counter_set(wf_counter *c, uint64_t v) { wf_store(&c->value, v, WF_SEQ_CST); }
