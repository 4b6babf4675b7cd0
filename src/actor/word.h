/* SPDX-License-Identifier: Apache-2.0
 * word.h - the tagged word: a list of pushed nodes, or the sleep or the end of their taker.
 * Data, sleep and close are transitions of one word, so they have one total order and no
 * wake-up can be lost between them. Any thread pushes and unparks; the rest is the taker's.
 * Called by: mailbox.c (messages), the workers (runnable actors). Never: waits. */
#ifndef WF_WORD_H
#define WF_WORD_H

#include <stdint.h>

#include "atomic.h"

/* Values of the word. Everything else is the newest node, 8-byte aligned. */
#define WF_BOX_EMPTY ((uintptr_t)0)
#define WF_BOX_PARK_FUTEX ((uintptr_t)1) /* the taker sleeps on this word          */
#define WF_BOX_PARK_FD ((uintptr_t)2)    /* the taker sleeps in its poll           */
#define WF_BOX_CLOSED ((uintptr_t)3)     /* final                                  */
#define WF_BOX_PARK_RUN \
    ((uintptr_t)4) /* nobody runs this actor: whoever takes the tag
                                          * away owns the one right to schedule it */
#define WF_BOX_TAG_MAX WF_BOX_PARK_RUN

static inline bool wf_word_is_tag(uintptr_t word) { return word <= WF_BOX_TAG_MAX; }

/* Any thread. Pushes a chain whose links run from the newest to the oldest; `oldest_next` is
 * where the oldest keeps its link. Returns what was there before: WF_BOX_CLOSED means that it
 * was refused; a park tag means that the wake is the caller's, and the caller's alone. */
static inline uintptr_t wf_word_push(uintptr_t *word, void *newest, void **oldest_next)
{
    uintptr_t seen = wf_load(word, WF_RELAXED);
    do {
        if (seen == WF_BOX_CLOSED) return seen;
        *oldest_next = wf_word_is_tag(seen) ? (void *)0 : (void *)seen; /* still private */
        /* [PUSH] release: the chain's bytes happen-before [TAKE] and [CLOSE]; later pushes
         * are read-modify-writes and continue the release sequence.
         * acquire: pairs with [PARK]: what the taker wrote before it slept. */
    } while (!wf_cas_weak(word, &seen, (uintptr_t)newest, WF_ACQ_REL));
    return seen;
}

/* Taker, awake. Takes everything, newest first; EMPTY if there was nothing. */
static inline uintptr_t wf_word_take(uintptr_t *word)
{
    if (wf_load(word, WF_RELAXED) == WF_BOX_EMPTY) return WF_BOX_EMPTY;
    /* [TAKE] acquire: pairs with [PUSH]. */
    return wf_xchg(word, WF_BOX_EMPTY, WF_ACQUIRE);
}

/* Taker. EMPTY -> `tag`; false if something was pushed meanwhile. */
static inline bool wf_word_park(uintptr_t *word, uintptr_t tag)
{
    uintptr_t seen = WF_BOX_EMPTY;
    /* [PARK] release: all that the taker wrote happens-before whoever takes the tag away.
     * acquire: what an earlier [UNPARK] wrote. */
    return wf_cas(word, &seen, tag, WF_ACQ_REL);
}

/* Any thread. `tag` -> EMPTY; true: the tag was ours to take away, and with it whatever
 * right it stands for. */
static inline bool wf_word_unpark(uintptr_t *word, uintptr_t tag)
{
    uintptr_t seen = tag;
    /* [UNPARK] acquire: pairs with [PARK]; release: the next taker sees what we wrote. */
    return wf_cas(word, &seen, WF_BOX_EMPTY, WF_ACQ_REL);
}

/* Taker, awake. No push succeeds any more; returns what was queued, newest first. */
static inline uintptr_t wf_word_close(uintptr_t *word)
{
    /* [CLOSE] acquire: pairs with [PUSH]. A push is before it, and then in what we return, or
     * after it, and then told CLOSED: nothing slips behind. */
    return wf_xchg(word, WF_BOX_CLOSED, WF_ACQ_REL);
}

#endif
