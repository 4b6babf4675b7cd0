/* SPDX-License-Identifier: Apache-2.0
 * mailbox.h - the many-producer, one-consumer mailbox: an address and its consumer's lanes.
 * Any thread pushes to the address; the lanes belong to the one consumer.
 * Called by: send.c, ask.c, actor.c, end.c, call.c. */
#ifndef WF_MAILBOX_H
#define WF_MAILBOX_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/actor.h>

#include "port.h"
#include "word.h"

/* weft_msg.flags */
#define WF_MSG_SYSTEM 1u    /* travels in the system lane                         */
#define WF_MSG_CREDIT 2u    /* asks the receiver to send it to .ctx once it has room */
#define WF_MSG_QUEUED 4u    /* the runtime's: sent, staged or kept, not yet handed out  */
#define WF_MSG_CONTROL 8u   /* between runtimes of actors: parents, children, monitors */
#define WF_MSG_TIMED 16u    /* .ctx says when it was sent                         */
#define WF_MSG_FROM_SHIFT 8 /* from this bit on: the number of the actor that sent it, or 0 */

#define WF_CACHE_LINE 64

struct wf_lane {
    weft_msg *first, *last;
    uint64_t count;
};

/* The consumer's own. */
struct wf_lanes {
    struct wf_lane system, user;
    struct wf_lane waiters; /* WF_MSG_CREDIT messages: who wants to hear of room */
    uint32_t owed;          /* handled, not yet returned to credit */
    uint32_t owed_units;    /* the same of bytes, in units         */
    uint32_t depth_max;
    uint32_t depth_base; /* `handled` once what was taken in is done; relaxed */
};

#define WF_ADDR_POOLED 4u /* its memory came from the pool; 1 and 2: roster.h */
#define WF_ADDR_NESTED 8u /* its poll is nested in its worker's */
#define WF_ADDR_BYTES 16u /* bytes are counted */
#define WF_MAILBOX_UNIT 64u

/* Who joins. TAKEN: the runtime lives until the one who took it is done. AWAITED: and somebody
 * sleeps until then. */
enum wf_join { WF_JOIN_NONE, WF_JOIN_DONE, WF_JOIN_TAKEN, WF_JOIN_AWAITED };

/* Two cache lines: what every sender needs, and what is needed seldom. */
struct weft_addr {
    uintptr_t head;  /* the tagged word                                           */
    uint64_t credit; /* bounded: what may still be sent, as a cost. Senders take, the consumer
                        * returns in halves. Beside `head` on purpose: a sender
                        * needs both                                                */
    uint32_t refs;
    uint32_t capacity;        /* WEFT_UNBOUNDED: no credit is counted                      */
    struct wf_driver *driver; /* NULL: a plain thread's reply box                   */
    void *home;               /* the driver's: where the task runs                  */
    weft_addr *run_next;      /* whoever holds the right to schedule the task       */
    struct wf_port *port;
    uint32_t number;  /* for traces                                         */
    uint8_t place;    /* weft_place                                         */
    uint8_t pinned;   /* it stays where it is                               */
    uint8_t overflow; /* weft_overflow                                      */
    uint8_t flags;    /* WF_ADDR_* */

    weft_rt *rt;            /* until joined               */
    weft_self *self;        /* NULL: a plain thread's reply box */
    weft_addr *prev, *next; /* rt->lock */
    struct wf_poll *poll;   /* written by the consumer before it first parks with PARK_FD, read
                             * by a producer that has taken that tag away */
    uint32_t stop_mode;     /* 0, or 1 + weft_stop_mode; only grows              */
    uint32_t started;       /* waited on: 1 once init has returned               */
    uint32_t ended;         /* waited on: 1 once nothing of the actor runs       */
    uint32_t joined;        /* wf_join: DONE once the thread is gone, the runtime may be too */
    uint32_t exit_state;    /* wf_exit_hook                                      */
    weft_err init_err;      /* before `started`                                  */
};

static_assert(sizeof(void *) != 8 || sizeof(weft_addr) == 2 * WF_CACHE_LINE,
              "an address is two cache lines");

void wf_mailbox_init(weft_addr *box, struct wf_port *port, uint32_t capacity);
/* Before the first send: the mailbox has room for `bytes`, not 0, too. */
void wf_mailbox_bound_bytes(weft_addr *box, size_t bytes);

/* What messages cost: in the low 32 bits how many they are, in the high 32 bits, only where
 * bytes are counted too (WF_ADDR_BYTES), how many units of 64 bytes. */
uint64_t wf_mailbox_bytes_cost(const weft_addr *box, const weft_msg *msg);
static inline uint64_t wf_mailbox_cost(const weft_addr *box, const weft_msg *msg)
{
    if ((wf_load(&box->flags, WF_RELAXED) & WF_ADDR_BYTES) == 0) return 1;
    return wf_mailbox_bytes_cost(box, msg);
}

/* Any thread. Takes the credits for `cost` or none. */
bool wf_mailbox_credit_take(weft_addr *box, uint64_t cost);
/* Any thread. Gives credits back that were taken and not used. */
void wf_mailbox_credit_give(weft_addr *box, uint64_t cost);
/* Any thread. Pushes a chain whose links run from the *newest* to the oldest, and
 * wakes the consumer if it slept. CLOSED: the chain is still the caller's. */
weft_err wf_mailbox_push(weft_addr *box, weft_msg *newest, weft_msg *oldest);
/* Any thread. A hint: true is final, false may be outdated. */
bool wf_mailbox_is_closed(const weft_addr *box);

/* Consumer. Takes everything and sorts it into the two lanes. */
void wf_mailbox_drain(weft_addr *box, struct wf_lanes *lanes);
/* Consumer. Nothing in the lanes nor in the word. */
bool wf_mailbox_is_empty(const weft_addr *box, const struct wf_lanes *lanes);
/* Consumer. A user message that cost so much is done with: true if credits were returned, so that
 * those who wait for room want to hear of it. */
bool wf_mailbox_settle(weft_addr *box, struct wf_lanes *lanes, uint64_t cost);
/* Consumer. Returns all owed credits; true if there is room now. */
bool wf_mailbox_has_room(weft_addr *box, struct wf_lanes *lanes);
/* Consumer. No push succeeds any more; what was queued is in the lanes. */
void wf_mailbox_close(weft_addr *box, struct wf_lanes *lanes);

weft_msg *wf_lane_pop(struct wf_lane *lane); /* NULL when empty */
void wf_lane_append(struct wf_lane *lane, weft_msg *msg);
/* All of `more`, in its order, before what is in `lane`. */
void wf_lane_put_before(struct wf_lane *lane, const struct wf_lane *more);

#endif
