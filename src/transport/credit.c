/* SPDX-License-Identifier: Apache-2.0
 * credit.c - the arithmetic of windows and loans (credit.h).
 * Called by: the rooms of a connection. May touch: the structs it is given.
 * Never: sends, allocates, reads a clock. */
#include "credit.h"

#include <assert.h>

#include "log.h"

static_assert(WEFT_OPENING_STREAM_BYTES <= WEFT_OPENING_PEER_BYTES &&
                  WEFT_OPENING_PEER_BYTES <= WEFT_OPENING_NODE_BYTES &&
                  WEFT_OPENING_NODE_BYTES <= WEFT_ACCOUNT_NODE_BYTES / 4,
              "an ask always fits into an empty share, and most is left to known streams");

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* -- The sender's side ------------------------------------------------------------------- */

bool wf_credit_out_fits(const struct wf_credit_out *out, const struct wf_credit_out_stream *s,
                        uint64_t bytes)
{
    return s->loan + (s->asked ? 0 : out->window) >= bytes;
}

void wf_credit_out_take(struct wf_credit_out *out, struct wf_credit_out_stream *s, uint64_t bytes)
{
    WF_ASSERT(wf_credit_out_fits(out, s, bytes));
    uint64_t from_loan = least(s->loan, bytes);
    s->loan -= from_loan;
    out->window -= bytes - from_loan;
}

bool wf_credit_out_ask(const struct wf_credit_out *out, struct wf_credit_out_stream *s,
                       uint64_t head, uint64_t queued, uint64_t *need, uint64_t *back)
{
    if (head == 0) return false;
    WF_ASSERT(head <= WF_CREDIT_NEED_MAX && queued >= head);
    bool stuck = !wf_credit_out_fits(out, s, head);
    bool soon = s->loan >= head && s->loan <= s->granted / 2 && queued > s->loan;
    if (stuck ? s->asked && s->loan == 0 : s->asked || !soon) return false;
    /* Who waits may not sit on what others wait for: a stuck stream holds no loan, so
     * whoever holds one can send, and its bytes come back. */
    *back = stuck ? s->loan : 0;
    s->loan -= *back;
    *need = 0;
    if (!s->asked) {
        *need = least(queued, WEFT_LOAN_BYTES);
        if (*need < head) *need = head;
    }
    s->asked = true;
    return true;
}

bool wf_credit_out_give_back(struct wf_credit_out_stream *s, uint64_t *back)
{
    if (s->loan == 0) return false;
    *back = s->loan;
    s->loan = s->granted = 0;
    return true;
}

bool wf_credit_out_credit(struct wf_credit_out *out, struct wf_credit_out_stream *s, uint64_t bytes)
{
    if (s == NULL) {
        if (bytes > WEFT_WINDOW_BYTES - out->window) return false;
        out->window += bytes;
        return true;
    }
    if (!s->asked || bytes > WF_CREDIT_NEED_MAX) return false;
    s->loan += bytes;
    s->granted = s->loan;
    s->asked = false;
    return true;
}

/* -- The receiver's side ------------------------------------------------------------------ */

void wf_credit_in_init(struct wf_credit_in *in, struct wf_credit_pool *pool, uint64_t limit)
{
    *in = (struct wf_credit_in){.pool = pool, .window = WEFT_WINDOW_BYTES, .limit = limit};
    WF_ASSERT(limit >= WF_CREDIT_NEED_MAX && pool->limit >= limit); /* else one could starve */
}

bool wf_credit_in_take(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes)
{
    uint64_t from_loan = least(s->loan, bytes);
    if (bytes - from_loan > in->window) return false;
    s->loan -= from_loan;
    s->loan_used += from_loan;
    in->window -= bytes - from_loan;
    s->window_used += bytes - from_loan;
    return true;
}

static void opening_less(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes)
{
    WF_ASSERT(bytes <= s->opening && bytes <= in->opening && bytes <= in->pool->opening);
    s->opening -= bytes;
    in->opening -= bytes;
    in->pool->opening -= bytes;
}

static void unlend(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes)
{
    WF_ASSERT(bytes <= in->lent && bytes <= in->pool->lent);
    in->lent -= bytes;
    in->pool->lent -= bytes;
    opening_less(in, s, least(bytes, s->opening));
}

void wf_credit_in_known(struct wf_credit_in *in, struct wf_credit_in_stream *s)
{
    s->unknown = false;
    opening_less(in, s, s->opening);
}

void wf_credit_in_release(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t bytes)
{
    uint64_t to_window = least(bytes, s->window_used);
    uint64_t to_loan = least(bytes - to_window, s->loan_used);
    s->window_used -= to_window;
    in->owed += to_window;
    s->loan_used -= to_loan;
    unlend(in, s, to_loan);
}

static void pool_remove(struct wf_credit_in *in)
{
    struct wf_credit_pool *pool = in->pool;
    if (!in->waiting) return;
    if (in->prev != NULL) in->prev->next = in->next;
    else pool->first = in->next;
    if (in->next != NULL) in->next->prev = in->prev;
    else pool->last = in->prev;
    in->prev = in->next = NULL;
    in->waiting = false;
}

static void pool_append(struct wf_credit_in *in)
{
    struct wf_credit_pool *pool = in->pool;
    if (in->waiting) return;
    in->prev = pool->last;
    in->next = NULL;
    if (pool->last != NULL) pool->last->next = in;
    else pool->first = in;
    pool->last = in;
    in->waiting = true;
}

static void ask_remove(struct wf_credit_in *in, struct wf_credit_in_stream *s)
{
    if (s->need == 0) return;
    if (s->ask_prev != NULL) s->ask_prev->ask_next = s->ask_next;
    else in->ask_first = s->ask_next;
    if (s->ask_next != NULL) s->ask_next->ask_prev = s->ask_prev;
    else in->ask_last = s->ask_prev;
    s->ask_prev = s->ask_next = NULL;
    s->need = 0;
    if (in->ask_first == NULL) pool_remove(in);
}

bool wf_credit_in_ask(struct wf_credit_in *in, struct wf_credit_in_stream *s, uint64_t need,
                      uint64_t back)
{
    uint64_t most = s->unknown ? WEFT_OPENING_STREAM_BYTES : WF_CREDIT_NEED_MAX;
    if (back > s->loan || need > most || (need > 0 && s->need > 0)) return false;
    s->loan -= back;
    unlend(in, s, back);
    if (need == 0) return true;
    s->need = need;
    s->ask_prev = in->ask_last;
    s->ask_next = NULL;
    if (in->ask_last != NULL) in->ask_last->ask_next = s;
    else in->ask_first = s;
    in->ask_last = s;
    pool_append(in);
    return true;
}

struct wf_credit_in_stream *wf_credit_pool_grant(struct wf_credit_pool *pool,
                                                 struct wf_credit_in **in, uint64_t *bytes)
{
    bool opening_full = false;
    for (struct wf_credit_in *c = pool->first; c != NULL; c = c->next) {
        struct wf_credit_in_stream *s = c->ask_first;
        uint64_t need = s->need;
        if (c->lent + need > c->limit) continue; /* its own account is full; others go on */
        if (s->unknown) {
            if (c->opening + need > WEFT_OPENING_PEER_BYTES) continue;
            /* The first that does not fit is not passed by, but by those who are known. */
            opening_full |= pool->opening + need > WEFT_OPENING_NODE_BYTES;
            if (opening_full) continue;
        }
        /* Whole needs only: half a grant could never be used, and many of them would fill
         * the account for ever. The first in line waits for its room, so it comes. */
        if (pool->lent + need > pool->limit) return NULL;
        ask_remove(c, s);
        c->lent += need;
        pool->lent += need;
        s->loan += need;
        if (s->unknown) {
            s->opening += need;
            c->opening += need;
            pool->opening += need;
        }
        if (c->waiting) { /* one grant each in turn */
            pool_remove(c);
            pool_append(c);
        }
        *in = c;
        *bytes = need;
        return s;
    }
    return NULL;
}

uint64_t wf_credit_in_window_back(struct wf_credit_in *in)
{
    uint64_t back = in->owed;
    bool blocked = in->ask_first != NULL;
    if (back == 0 || (back < WEFT_WINDOW_BYTES / 2 && !blocked)) return 0;
    in->owed = 0;
    in->window += back;
    return back;
}

bool wf_credit_in_idle(const struct wf_credit_in_stream *s)
{
    return s->loan == 0 && s->loan_used == 0 && s->window_used == 0 && s->need == 0;
}

void wf_credit_in_stream_end(struct wf_credit_in *in, struct wf_credit_in_stream *s)
{
    ask_remove(in, s);
    unlend(in, s, s->loan);
    s->loan = 0;
    opening_less(in, s, s->opening); /* what was used and is not released becomes a debt */
}

uint64_t wf_credit_in_end(struct wf_credit_in *in)
{
    WF_ASSERT(in->ask_first == NULL);
    pool_remove(in);
    uint64_t left = in->lent;
    in->lent = 0;
    return left;
}

void wf_credit_pool_return(struct wf_credit_pool *pool, uint64_t bytes)
{
    WF_ASSERT(bytes <= pool->lent);
    pool->lent -= bytes;
}
