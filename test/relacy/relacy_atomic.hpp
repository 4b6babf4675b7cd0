/* SPDX-License-Identifier: Apache-2.0
 * relacy_atomic.hpp - the names of src/actor/atomic.h bound to relacy's memory, which gives a thread
 * every value that the standard allows it to see.
 * Called by: atomic.h under WF_RELACY. May touch: the words that a test has bound; any other is a
 * counter or a hint, on which no data hangs, and stays a plain word.
 * Never: orders anything by itself. */
#ifndef WF_RELACY_ATOMIC_HPP
#define WF_RELACY_ATOMIC_HPP

#include <stddef.h>
#include <stdint.h>

#include <relacy/relacy.hpp>

namespace shadow
{

/* An order may be weakened while the program runs: that is how a mutant is made. */
enum { RELAXED, ACQUIRE, RELEASE, ACQ_REL, ORDERS };
static rl::memory_order order_of[ORDERS] = {rl::mo_relaxed, rl::mo_acquire, rl::mo_release,
                                            rl::mo_acq_rel};

/* The runtime's structs keep their layout: each word of theirs stands for an atomic of the test. */
struct binding {
    const void *word;
    void *atomic;
};
enum { BINDINGS = 16 };
static binding bindings[BINDINGS];
static size_t bound;

static inline void unbind_all() { bound = 0; }

template <typename T> static void bind(const T *word, rl::atomic<T> &atomic, T value)
{
    RL_ASSERT(bound < BINDINGS);
    bindings[bound].word = word;
    bindings[bound].atomic = &atomic;
    bound++;
    atomic.store(value, rl::mo_relaxed, $);
}

/* NULL: not bound. */
template <typename T> static rl::atomic<T> *of(const T *word)
{
    for (size_t i = 0; i < bound; i++)
        if (bindings[i].word == word) return static_cast<rl::atomic<T> *>(bindings[i].atomic);
    return NULL;
}

template <typename T> static T load(const T *p, rl::memory_order order)
{
    return of(p) == NULL ? *p : of(p)->load(order, $);
}

template <typename T, typename V> static void store(T *p, V v, rl::memory_order order)
{
    if (of(p) == NULL) *p = static_cast<T>(v);
    else of(p)->store(static_cast<T>(v), order, $);
}

/* Who points to what never changes is no word of a mailbox, and is never bound. */
template <typename T, typename V> static void store(const T **p, V v, rl::memory_order)
{
    *p = (const T *)v;
}

template <typename T, typename V> static T xchg(T *p, V v, rl::memory_order order)
{
    return of(p)->exchange(static_cast<T>(v), order, $);
}

template <typename T, typename V> static T add(T *p, V v, rl::memory_order order)
{
    return of(p)->fetch_add(static_cast<T>(v), order, $);
}

template <typename T, typename V> static T sub(T *p, V v, rl::memory_order order)
{
    return of(p)->fetch_sub(static_cast<T>(v), order, $);
}

template <typename T, typename V> static bool cas(T *p, T *seen, V v, rl::memory_order order)
{
    return of(p)->compare_exchange_strong(*seen, static_cast<T>(v), order, $, rl::mo_relaxed, $);
}

template <typename T, typename V> static bool cas_weak(T *p, T *seen, V v, rl::memory_order order)
{
    return of(p)->compare_exchange_weak(*seen, static_cast<T>(v), order, $, rl::mo_relaxed, $);
}

} // namespace shadow

#define WF_RELAXED shadow::order_of[shadow::RELAXED]
#define WF_ACQUIRE shadow::order_of[shadow::ACQUIRE]
#define WF_RELEASE shadow::order_of[shadow::RELEASE]
#define WF_ACQ_REL shadow::order_of[shadow::ACQ_REL]

#define wf_load(p, order) shadow::load((p), (order))
#define wf_store(p, v, order) shadow::store((p), (v), (order))
#define wf_xchg(p, v, order) shadow::xchg((p), (v), (order))
#define wf_add(p, v, order) shadow::add((p), (v), (order))
#define wf_sub(p, v, order) shadow::sub((p), (v), (order))
#define wf_cas(p, seen, v, order) shadow::cas((p), (seen), (v), (order))
#define wf_cas_weak(p, seen, v, order) shadow::cas_weak((p), (seen), (v), (order))

#endif
