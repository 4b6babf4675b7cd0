/* SPDX-License-Identifier: Apache-2.0
 * atomic.h - the atomic operations of the lock-free rooms, under one set of names.
 * Whoever checks these rooms (a delay after every operation, a model of the memory) binds
 * the names here and nowhere else.
 * Called by: word.h, mailbox.c and the other rooms of src/actor that share words. */
#ifndef WF_ATOMIC_H
#define WF_ATOMIC_H

#include <stdbool.h>

#define WF_RELAXED __ATOMIC_RELAXED
#define WF_ACQUIRE __ATOMIC_ACQUIRE
#define WF_RELEASE __ATOMIC_RELEASE
#define WF_ACQ_REL __ATOMIC_ACQ_REL

#define wf_load(p, order) __atomic_load_n((p), (order))
#define wf_store(p, v, order) __atomic_store_n((p), (v), (order))
#define wf_xchg(p, v, order) __atomic_exchange_n((p), (v), (order))
/* Returns what was there before. */
#define wf_add(p, v, order) __atomic_fetch_add((p), (v), (order))
#define wf_sub(p, v, order) __atomic_fetch_sub((p), (v), (order))
/* *seen == *p: stores v and is true; else *seen becomes *p. It fails relaxed. The weak form
 * may fail for no reason and belongs into a loop. */
#define wf_cas(p, seen, v, order) \
    __atomic_compare_exchange_n((p), (seen), (v), false, (order), __ATOMIC_RELAXED)
#define wf_cas_weak(p, seen, v, order) \
    __atomic_compare_exchange_n((p), (seen), (v), true, (order), __ATOMIC_RELAXED)

#endif
