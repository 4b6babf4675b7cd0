/* SPDX-License-Identifier: Apache-2.0
 * ask.c - asks: the request is its own reply box, its state says whose it is.
 * Called by: an actor's thread (ask, cancel, deadlines), any thread (reply).
 * May touch: requests it owns by their state. Never: a request after its state
 * made it the other side's. */
#include "hooks.h"
#include "log.h"
#include "self.h"

/* Moves a request from ASKED to `to`; exactly one of the two sides succeeds.
 * [REQ] release: our accesses happen-before the other side's, which either swaps
 * too, or receives the request through the mailbox. acquire: the loser frees. */
static bool settle(weft_request *req, enum wf_request_state to)
{
    uint32_t seen = WF_REQ_ASKED;
    return wf_cas_or(&req->msg.state, &seen, (uint32_t)to, WF_ACQ_REL, WF_ACQUIRE);
}

bool wf_request_abandon(weft_request *req) { return settle(req, WF_REQ_ABANDONED); }

static weft_err pending_add(weft_self *self, struct wf_ext *ext, weft_request *req,
                            weft_ns deadline, bool with_token)
{
    weft_err err = wf_asks_add(&ext->asks, req, with_token);
    if (err != WEFT_OK) return err;
    req->heap_at = 0;
    if (deadline == WEFT_NEVER) return WEFT_OK;
    err = wf_heap_push(&ext->deadlines, (struct wf_due){.at = wf_due_at(ext, deadline),
                                                        .order = ++self->order,
                                                        .item = req,
                                                        .place = &req->heap_at});
    if (err != WEFT_OK) wf_asks_remove(&ext->asks, req);
    return err;
}

static void pending_remove(struct wf_ext *ext, weft_request *req)
{
    wf_asks_remove(&ext->asks, req);
    wf_heap_remove(&ext->deadlines, &req->heap_at);
}

weft_err weft_ask(weft_self *self, weft_addr *to, weft_request *req, weft_ns deadline,
                  weft_on_reply fn, void *arg, uint64_t *token)
{
    if (fn == NULL || wf_self_is_foreign(self, "weft_ask")) return WEFT_INVALID;
    if (wf_load(&req->msg.state, WF_RELAXED) != WF_REQ_IDLE)
        return wf_misuse_in_flight(to, &req->msg);
    if (wf_may_dangle(self, req, deadline)) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    if (!wf_msg_claim(to, &req->msg)) return WEFT_INVALID;
    weft_err err = pending_add(self, ext, req, deadline, token != NULL);
    if (err != WEFT_OK) {
        wf_msg_release(&req->msg);
        return err;
    }
    req->deadline = deadline;
    req->fn = fn;
    req->arg = arg;
    req->err = WEFT_OK;
    req->asker = weft_addr_get(self->addr);
    uint64_t handle = req->token; /* the request may be gone once it is sent */
    /* Still private: weft_send publishes it. */
    wf_store(&req->msg.state, WF_REQ_ASKED, WF_RELAXED);
    err = wf_send_claimed(to, &req->msg);
    if (err != WEFT_OK) {
        wf_msg_release(&req->msg);
        wf_store(&req->msg.state, WF_REQ_IDLE, WF_RELAXED);
        pending_remove(self->ext, req);
        req->asker = NULL;
        weft_addr_put(self->addr);
        return err;
    }
    if (token != NULL) *token = handle;
    return WEFT_OK;
}

/* An ask that was given up has come to rest. An asker has an ext; a plain thread's box
 * counts nothing. */
static void count_late(weft_addr *asker, bool embedded)
{
    if (asker->self == NULL) return;
    struct wf_ext *ext = asker->self->ext;
    (void)wf_add(&ext->late, 1, WF_RELAXED);
    /* [REST] release: the callee's last use of the request, see wf_ask_embedded. */
    if (embedded) (void)wf_sub(&ext->embedded, 1, WF_RELEASE);
}

bool wf_ask_embedded(const weft_self *self)
{
    /* Acquire: pairs with [REST]. */
    return self->ext != NULL && wf_load(&self->ext->embedded, WF_ACQUIRE) != 0;
}

/* The one callback of an ask whose reply did not come. */
static void give_up(weft_self *self, weft_request *req, weft_err why, bool silent)
{
    weft_on_reply fn = req->fn;
    void *arg = req->arg;
    pending_remove(self->ext, req);
    /* If the reply is on its way already the request will come back to us, or be
     * dropped by its sender once we are closed; an empty fn says that it is late.
     * It must be set before the swap: after it the request may be the callee's. */
    req->fn = NULL;
    if (req->msg.kind->drop == NULL) (void)wf_add(&self->ext->embedded, 1, WF_RELAXED);
    (void)wf_request_abandon(req);
    wf_actor_trace(self, WF_TRACE_ASK_OVER, weft_errname(why));
    if (!silent) fn(self, self->state, why, NULL, arg);
}

weft_err weft_ask_cancel(weft_self *self, uint64_t token)
{
    if (wf_self_is_foreign(self, "weft_ask_cancel")) return WEFT_INVALID;
    weft_request *req = self->ext == NULL ? NULL : wf_asks_find(&self->ext->asks, token);
    if (req == NULL) return WEFT_NOT_FOUND;
    give_up(self, req, WEFT_CANCELED, false);
    return WEFT_OK;
}

void wf_ask_cancel_all(weft_self *self, bool silent)
{
    struct wf_ext *ext = self->ext;
    if (ext == NULL) return;
    while (ext->asks.oldest != NULL) give_up(self, ext->asks.oldest, WEFT_CANCELED, silent);
    wf_heap_fini(&ext->deadlines);
}

void wf_ask_run_deadlines(weft_self *self, weft_ns now)
{
    struct wf_ext *ext = self->ext;
    uint64_t newest = self->order; /* what a callback adds waits for the next turn */
    for (;;) {
        const struct wf_due *due = wf_heap_top(&ext->deadlines);
        if (due == NULL || due->at > now || due->order > newest || wf_must_end(self)) return;
        struct wf_span span;
        wf_span_begin(&span, self, &wf_kind_timeout, NULL);
        give_up(self, due->item, WEFT_TIMED_OUT, false);
        wf_span_end(&span, self);
    }
}

void wf_ask_replied(weft_self *self, weft_request *req)
{
    weft_on_reply fn = req->fn;
    void *arg = req->arg;
    weft_addr *asker = req->asker;
    WF_ASSERT(asker == self->addr);
    req->asker = NULL;
    wf_store(&req->msg.state, WF_REQ_IDLE, WF_RELAXED); /* ours alone again */
    if (fn == NULL) {
        count_late(asker, req->msg.kind->drop == NULL);
        weft_drop(&req->msg);
    } else {
        pending_remove(self->ext, req);
        fn(self, self->state, (weft_err)req->err, req, arg);
    }
    weft_addr_put(asker); /* never the last: the runtime holds one while we run */
}

/* False if nobody waits, and then the request is the caller's to free. */
bool wf_request_answer(weft_request *req, weft_err err)
{
    if (wf_load(&req->msg.state, WF_RELAXED) == WF_REQ_IDLE) return false;
    weft_addr *asker = req->asker; /* the reference is the holder's to use */
    req->err = err;
    bool asked = settle(req, WF_REQ_REPLIED);
    if (asked) {
        /* The push may wake and so touch the mailbox after the asker has the request
         * and has given our reference back: hold one of our own. */
        (void)weft_addr_get(asker);
        bool sent = wf_push_system(asker, &req->msg) == WEFT_OK;
        if (sent) {
            weft_addr_put(asker);
            return true;
        }
        weft_addr_put(asker);
    }
    /* ABANDONED, or its asker has ended. */
    void (*drop)(weft_msg *) = req->msg.kind->drop;
    wf_store(&req->msg.state, WF_REQ_IDLE, WF_RELAXED);
    req->asker = NULL;
    if (drop != NULL) drop(&req->msg);
    count_late(asker, drop == NULL); /* from here on it is the asker's memory again */
    weft_addr_put(asker);            /* which lives as long as this reference       */
    return true;
}

void weft_reply(weft_request *req, weft_err err)
{
    if (wf_msg_given(&req->msg)) {
        wf_misuse_given(&req->msg);
        return;
    }
    if (!wf_request_answer(req, err) && req->msg.kind->drop != NULL) req->msg.kind->drop(&req->msg);
}

weft_addr *weft_asker(const weft_request *req)
{
    /* An idle one may never have been asked with, and holds nothing. Relaxed: until we answer it
     * only goes from ASKED to ABANDONED, and the reference stays with the request either way. */
    if (wf_load(&req->msg.state, WF_RELAXED) == WF_REQ_IDLE) return NULL;
    weft_addr *asker = req->asker; /* a plain thread's box is for replies only */
    return asker == NULL || asker->self == NULL ? NULL : asker;
}

weft_ns weft_deadline(const weft_request *req) { return req->deadline; }

bool weft_abandoned(const weft_request *req)
{
    /* Relaxed: a hint that saves work; the swap in weft_reply decides. */
    return wf_load(&req->msg.state, WF_RELAXED) == WF_REQ_ABANDONED;
}
