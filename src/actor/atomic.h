/* SPDX-License-Identifier: Apache-2.0
 * atomic.h - the atomic operations of the lock-free rooms, under one set of names.
 * Whoever checks these rooms (a delay after every operation, a model of the memory) binds
 * the names here and nowhere else.
 * Called by: word.h, mailbox.c and the other rooms of src/actor that share words. */
#ifndef WF_ATOMIC_H
#define WF_ATOMIC_H

#include <stdbool.h>

#ifdef WF_RELACY
#include "relacy_atomic.hpp" /* test/relacy: every order of memory that the standard allows */
#else

#define WF_RELAXED __ATOMIC_RELAXED
#define WF_ACQUIRE __ATOMIC_ACQUIRE
#define WF_RELEASE __ATOMIC_RELEASE
#define WF_ACQ_REL __ATOMIC_ACQ_REL
#define WF_SEQ_CST __ATOMIC_SEQ_CST /* of wf_counter only, whose users know no orders */

#ifdef WF_DELAYS
/* delay.c: loses time after an operation, seldom much, so that others come in between. */
void wf_delay(void);
#define WF_ATOMIC(type, operation)            \
    __extension__({                           \
        __typeof__(type) result_ = operation; \
        wf_delay();                           \
        result_;                              \
    })
#define wf_store(p, v, order) (__atomic_store_n((p), (v), (order)), wf_delay())
#else
#define WF_ATOMIC(type, operation) operation
#define wf_store(p, v, order) __atomic_store_n((p), (v), (order))
#endif

#define wf_load(p, order) WF_ATOMIC(*(p), __atomic_load_n((p), (order)))
#define wf_xchg(p, v, order) WF_ATOMIC(*(p), __atomic_exchange_n((p), (v), (order)))
/* Returns what was there before. */
#define wf_add(p, v, order) WF_ATOMIC(*(p), __atomic_fetch_add((p), (v), (order)))
#define wf_sub(p, v, order) WF_ATOMIC(*(p), __atomic_fetch_sub((p), (v), (order)))
#define wf_or(p, v, order) WF_ATOMIC(*(p), __atomic_fetch_or((p), (v), (order)))
#define wf_and(p, v, order) WF_ATOMIC(*(p), __atomic_fetch_and((p), (v), (order)))
/* *seen == *p: stores v and is true; else *seen becomes *p. It fails relaxed. The weak form
 * may fail for no reason and belongs into a loop. */
#define wf_cas(p, seen, v, order) \
    WF_ATOMIC(bool, __atomic_compare_exchange_n((p), (seen), (v), false, (order), __ATOMIC_RELAXED))
#define wf_cas_weak(p, seen, v, order) \
    WF_ATOMIC(bool, __atomic_compare_exchange_n((p), (seen), (v), true, (order), __ATOMIC_RELAXED))
/* The same as wf_cas, for a loser who goes on with what the winner left: it fails with `failed`. */
#define wf_cas_or(p, seen, v, order, failed) \
    WF_ATOMIC(bool, __atomic_compare_exchange_n((p), (seen), (v), false, (order), (failed)))

#endif
#endif
