/* SPDX-License-Identifier: Apache-2.0
 * park.h - how a thread waits for a tagged word: it spins while that pays, then sleeps.
 * Called by: thread.c, call.c, worker.c; one thread for each parker; addr.c for its spin. */
#ifndef WF_PARK_H
#define WF_PARK_H

#include <stdint.h>

#include <weft/actor.h>

#include "port.h"

#define WF_SPIN_NS WEFT_SPIN_NS
#define WF_SPIN_CHECKS 8u /* looks at a word between looks at the clock      */
#define WF_SPIN_YIELDS WEFT_SPIN_YIELDS
#define WF_TURN_LONG_NS 1000000u /* a turn that another program kept, not a thread that talks */
#define WF_TURN_REST_FIRST 2u    /* idles without turns after one of those, twice as many ... */
#define WF_TURN_REST_LAST 1024u  /* ... after each further one, and at most                   */
#define WF_TURNS_PAID 1024u      /* turns that paid since a long one make the next rest short */
#define WF_TURN_FORGET_NS UINT64_C(100000000) /* so does as much time since then            */
#define WF_TURN_MISS_LAST 64u /* idles without turns after some that brought nothing, at most */

/* Tells the processor that this thread only looks. */
static inline void wf_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct wf_parker {
    struct wf_port *port;
    uint32_t spin_max_ns;
    uint32_t spin_hit_ns;  /* how long a spin that paid took lately */
    uint32_t spin_skipped; /* idles since the last spin             */
    uint32_t spin_probe_every;
    uint32_t turns_rest;      /* idles to come without turns           */
    uint32_t turns_rest_next; /* how many, after the next long turn   */
    uint32_t turns_paid;      /* since the last long turn             */
    uint32_t turns_miss;      /* how many, after turns that bring nothing */
    bool turns_pay;           /* the last one brought something          */
    weft_ns turn_long;        /* when that ended                      */
    uint64_t parks, spins;    /* written by its thread, read anywhere  */
    /* What else may call the thread, or NULL: looked at once the word is parked. Who sets it
     * passes the word by with a read-modify-write afterwards, so one of the two sees the other. */
    const uint32_t *call;
};

/* `spin_max_ns` as in weft_spec. */
void wf_parker_init(struct wf_parker *parker, struct wf_port *port, uint32_t spin_max_ns);
/* Spins a little if that paid lately, gives turns away if that did; true if something came. */
bool wf_spin(struct wf_parker *parker, const uintptr_t *word, weft_ns deadline);
/* Sleeps until there is something in the word or `deadline`. May return early. */
void wf_sleep(struct wf_parker *parker, uintptr_t *word, weft_ns deadline);
/* The two of them: spins a little if that paid lately, then sleeps until there is something in the word or
 * `deadline`. May return early. */
void wf_park(struct wf_parker *parker, uintptr_t *word, weft_ns deadline);
/* The same for a thread that watches descriptors: what became ready is in `out`. */
unsigned wf_park_fd(struct wf_parker *parker, uintptr_t *word, struct wf_poll *poll,
                    weft_ns deadline, struct wf_ready *out, unsigned max);
/* Wakes the one sleeper of a word whose PARK_FUTEX the caller took away. */
void wf_park_wake(struct wf_port *port, uintptr_t *word);

#endif
