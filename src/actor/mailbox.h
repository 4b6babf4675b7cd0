/* SPDX-License-Identifier: Apache-2.0
 * mailbox.h - the many-producer, one-consumer mailbox: one tagged word.
 * Data, sleep and close are transitions of that word, so they have one total
 * order and no wake-up can be lost between them. Any thread pushes; everything
 * else belongs to the one consumer. Called by: send.c, ask.c, actor.c, call.c. */
#ifndef WF_MAILBOX_H
#define WF_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/actor.h>

#include "port.h"

/* Values of the word. Everything else is the newest message, 8-byte aligned. */
#define WF_BOX_EMPTY ((uintptr_t)0)
#define WF_BOX_PARK_FUTEX ((uintptr_t)1) /* the consumer sleeps on this word   */
#define WF_BOX_PARK_FD ((uintptr_t)2)    /* the consumer sleeps in its poll    */
#define WF_BOX_CLOSED ((uintptr_t)3)     /* final                              */

/* weft_msg.flags */
#define WF_MSG_SYSTEM 1u /* travels in the system lane                         */
#define WF_MSG_CREDIT 2u /* asks the receiver to send it to .ctx once it has room */

#define WF_CACHE_LINE 64

struct wf_lane {
    weft_msg *first, *last;
    uint64_t count;
};

struct wf_mailbox {
    /* Producers. */
    uintptr_t head;
    char pad_head[WF_CACHE_LINE - sizeof(uintptr_t)];

    /* Bounded mailboxes: what may still be sent. Producers take, the consumer returns. */
    uint32_t credit;
    char pad_credit[WF_CACHE_LINE - sizeof(uint32_t)];

    /* Never changes after init, but poll: written by the consumer before it first
     * parks with PARK_FD, read by a producer that has taken that tag away. */
    struct wf_port *port;
    struct wf_loop *loop; /* NULL: a plain thread's */
    struct wf_poll *poll;
    uint32_t capacity; /* WEFT_UNBOUNDED: no credit is counted */
    uint32_t spin_max_ns;
    char pad_fixed[WF_CACHE_LINE];

    /* The consumer's own. */
    struct wf_lane system, user;
    struct wf_lane waiters; /* WF_MSG_CREDIT messages: who wants to hear of room */
    uint32_t owed;          /* handled, not yet returned to credit */
    uint32_t spin_hit_ns;   /* how long a spin that paid took lately  */
    uint32_t spin_skipped;  /* idles since the last spin              */
    uint32_t spin_probe_every;
    uint64_t parks, spins;
};

void wf_mailbox_init(struct wf_mailbox *mb, struct wf_port *port, struct wf_loop *loop,
                     uint32_t capacity, uint32_t spin_max_ns);

/* Any thread. Takes `n` credits or none. */
bool wf_mailbox_credit_take(struct wf_mailbox *mb, uint32_t n);
/* Any thread. Gives credits back that were taken and not used. */
void wf_mailbox_credit_give(struct wf_mailbox *mb, uint32_t n);
/* Any thread. Pushes a chain whose links run from the *newest* to the oldest, and
 * wakes the consumer if it slept. CLOSED: the chain is still the caller's. */
weft_err wf_mailbox_push(struct wf_mailbox *mb, weft_msg *newest, weft_msg *oldest);
/* Any thread. A hint: true is final, false may be outdated. */
bool wf_mailbox_is_closed(const struct wf_mailbox *mb);

/* Consumer. Takes everything and sorts it into the two lanes. */
void wf_mailbox_drain(struct wf_mailbox *mb);
/* Consumer. Nothing in the lanes nor in the word. */
bool wf_mailbox_is_empty(const struct wf_mailbox *mb);
/* Consumer. One user message is done with: true if credits were returned, so that
 * those who wait for room want to hear of it. */
bool wf_mailbox_settle(struct wf_mailbox *mb);
/* Consumer. Returns all owed credits; true if there is room now. */
bool wf_mailbox_has_room(struct wf_mailbox *mb);

/* Consumer. EMPTY -> `tag`; false if there is mail. */
bool wf_mailbox_park_begin(struct wf_mailbox *mb, uintptr_t tag);
/* Consumer, after any wake: takes the tag away if no producer did. */
void wf_mailbox_park_end(struct wf_mailbox *mb, uintptr_t tag);
/* Consumer. Spins a little if that paid lately, then sleeps until there is mail or
 * `deadline`. May return early. */
void wf_mailbox_park(struct wf_mailbox *mb, weft_ns deadline);
/* The same for a consumer that watches descriptors: what became ready is in `out`. */
unsigned wf_mailbox_park_fd(struct wf_mailbox *mb, weft_ns deadline, struct wf_ready *out,
                            unsigned max);

/* Consumer. No push succeeds any more; what was queued is in the lanes. */
void wf_mailbox_close(struct wf_mailbox *mb);

weft_msg *wf_lane_pop(struct wf_lane *lane); /* NULL when empty */
void wf_lane_append(struct wf_lane *lane, weft_msg *msg);

#endif
