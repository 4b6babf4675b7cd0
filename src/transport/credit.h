/* SPDX-License-Identifier: Apache-2.0
 * credit.h - who may send how much: the arithmetic of windows and loans, both sides.
 * docs/wire.md, "Credit", has the rules. Pure: no clock, no memory, no I/O.
 * Called by: streams.c, conn_send.c, conn_in.c, manager.c. */
#ifndef WF_CREDIT_H
#define WF_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/limits.h>

/* The most that one BLOCKED may ask for: the largest frame with its length word. */
#define WF_CREDIT_NEED_MAX (WEFT_MESSAGE_BYTES_MAX + 4u)

/* -- The sender's side ------------------------------------------------------------------- */

struct wf_credit_out { /* of a connection */
    uint64_t window;
};
struct wf_credit_out_stream {
    uint64_t loan;
    uint64_t granted; /* the loan's size when it came: half of it is the time to ask again */
    bool asked;
};

/* While an ask is under way only the loan counts: the answer may be on its way already,
 * and the receiver could not know which part of a frame we took from the window. */
bool wf_credit_out_fits(const struct wf_credit_out *out, const struct wf_credit_out_stream *s,
                        uint64_t bytes);
/* Charges a frame that fits: its loan first, the window for the rest. */
void wf_credit_out_take(struct wf_credit_out *out, struct wf_credit_out_stream *s, uint64_t bytes);
/* `head`: the next frame that waits (0: none), `queued`: all that wait. True: BLOCKED
 * must be sent with these values; they are booked already. */
bool wf_credit_out_ask(const struct wf_credit_out *out, struct wf_credit_out_stream *s,
                       uint64_t head, uint64_t queued, uint64_t *need, uint64_t *back);
/* Nothing waits any more: gives the loan back. True: BLOCKED[0, back] must be sent. */
bool wf_credit_out_give_back(struct wf_credit_out_stream *s, uint64_t *back);
/* CREDIT arrived; `s` NULL for the window. False: more than there can be, or unasked. */
bool wf_credit_out_credit(struct wf_credit_out *out, struct wf_credit_out_stream *s,
                          uint64_t bytes);

/* -- The receiver's side ------------------------------------------------------------------ */

struct wf_credit_in;

struct wf_credit_in_stream {
    uint64_t loan;                   /* granted, not used                */
    uint64_t loan_used, window_used; /* arrived, not released            */
    uint64_t need;                   /* asked for; 0: nothing            */
    uint64_t opening;                /* of loan and loan_used: lent while nobody here knew it */
    bool unknown;                    /* nobody here has agreed to it: wf_credit_in_known */
    struct wf_credit_in_stream *ask_prev, *ask_next;
};
struct wf_credit_in { /* of a connection: the peer's account */
    struct wf_credit_pool *pool;
    uint64_t window; /* what the sender may still use             */
    uint64_t owed;   /* released, not yet given back              */
    uint64_t lent, limit;
    uint64_t opening; /* of lent: WEFT_OPENING_PEER_BYTES at most */
    struct wf_credit_in_stream *ask_first, *ask_last;
    struct wf_credit_in *prev, *next; /* among those with an ask  */
    bool waiting;
};
struct wf_credit_pool { /* the node's account */
    uint64_t lent, limit;
    uint64_t opening; /* of lent: WEFT_OPENING_NODE_BYTES at most */
    struct wf_credit_in *first, *last;
};

void wf_credit_in_init(struct wf_credit_in *in, struct wf_credit_pool *pool, uint64_t limit);
/* A charged frame arrives. False: it exceeds what was granted. */
bool wf_credit_in_take(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes);
/* Its bytes were consumed. More than arrived is cut. */
void wf_credit_in_release(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes);
/* Somebody here has agreed to the stream, or opened it: it may borrow like any other. Until
 * then it shares a small part of the accounts with all that only wish to be known, so that
 * keys that cost nothing cannot borrow what those who are known need. */
void wf_credit_in_known(struct wf_credit_in *in, struct wf_credit_in_stream *s);
/* BLOCKED arrived: `back` returns from the loan; `need`, unless 0, is asked for and will be
 * granted exactly once. False: more comes back than was lent, more is asked than a frame
 * can be (WEFT_OPENING_STREAM_BYTES: on an unknown stream), or an ask is under way already. */
bool wf_credit_in_ask(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t need,
                      uint64_t back);
/* The next grant, booked, as long as there is one; NULL else. Send CREDIT[*bytes]. */
struct wf_credit_in_stream *wf_credit_pool_grant(struct wf_credit_pool *pool,
                                                 struct wf_credit_in **in, uint64_t *bytes);
/* What CREDIT[0] should give back now; booked. 0: nothing yet. */
uint64_t wf_credit_in_window_back(struct wf_credit_in *in);
bool wf_credit_in_idle(const struct wf_credit_in_stream *s); /* nothing lent, used or asked */
/* Forgets the stream's ask and takes its unused loan back (the connection has ended). */
void wf_credit_in_stream_end(struct wf_credit_in *in, struct wf_credit_in_stream *s);
/* After all its streams: the connection is gone. Returns what was lent and is not
 * released; it stays booked in the pool until wf_credit_pool_return. */
uint64_t wf_credit_in_end(struct wf_credit_in *in);
void wf_credit_pool_return(struct wf_credit_pool *pool, uint64_t bytes);

#endif
