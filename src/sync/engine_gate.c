/* SPDX-License-Identifier: Apache-2.0
 * engine_gate.c - the gate: a right was taken away, and nothing that was framed under it may
 * leave any more before whoever took it hears that it is done.
 * Called by: engine.c. May touch: sessions, which it ends; asks to transport.
 * Never: waits for the network: what counts is the moment of encryption. */
#include <stddef.h>
#include <string.h>

#include "access.h"
#include "engine_state.h"
#include "log.h"

#define AGAIN_NS (20 * WEFT_MS) /* while memory is short */

static void go_on(struct engine *e);

static void end_if_done(struct engine *e)
{
    if (e->gate == NULL || e->gate_left > 0 || !e->gate_fenced) return;
    struct wf_gate *gate = e->gate;
    e->gate = NULL;
    weft_reply(&gate->req, WEFT_OK);
}

static void on_ended(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)err; /* whatever it is: the stream is over, or was never */
    (void)arg;
    struct engine *e = state;
    e->order++;
    e->gate_left--;
    weft_drop(req == NULL ? NULL : &req->msg);
    end_if_done(e);
}

static void on_again(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct engine *e = state;
    e->order++;
    go_on(e);
}

/* Has transport end a stream, and answer when nothing of it leaves any more. False: not now. */
static bool ask_end(struct engine *e, uint64_t conn, uint32_t stream)
{
    struct wf_tp_stream *end = wf_tp_new(&wf_tp_stream_kind);
    if (end == NULL) return false;
    end->conn = conn;
    end->stream = stream;
    weft_err err = weft_ask(e->self, e->table->transport, &end->req, WEFT_NEVER, on_ended, NULL,
                            NULL);
    if (err == WEFT_OK) e->gate_left++;
    else weft_drop(&end->req.msg);
    return err == WEFT_OK || err == WEFT_CLOSED; /* closed: nothing leaves at all */
}

/* Ends the sessions that were marked: what transport has of them it drops, and takes no more. The
 * last question is about no stream: what ended before the gate was asked stands before it. */
static void go_on(struct engine *e)
{
    bool done = true;
    while (e->gated.first != NULL) {
        struct esession *es = (struct esession *)((char *)e->gated.first -
                                                  offsetof(struct esession, of_gate));
        done = ask_end(e, es->key.conn, es->s.stream);
        if (!done) break;
        wf_list_remove(&es->of_gate);
        wf_es_stop(e, es, WEFT_TREE, true, WF_W_TREE);
        wf_es_put(e, es);
    }
    if (done && !e->gate_fenced) done = e->gate_fenced = ask_end(e, 0, 0);
    if (done) end_if_done(e);
    else (void)weft_timer_set(e->self, &e->gate_again, weft_now(e->self) + AGAIN_NS, 0, on_again);
}

static bool concerns(const struct wf_gate *gate, const weft_id *tree)
{
    bool is = gate->all;
    for (uint32_t i = 0; !is && i < gate->count; i++) is = weft_id_equal(&gate->trees[i], tree);
    return is;
}

/* Of a tree that was removed since it began, or was and is taken up again by another number. */
static bool is_of_another(const struct engine *e, const struct esession *es)
{
    static const uint8_t untold[sizeof es->s.ours.epoch];
    wf_tree_info info;
    if (memcmp(es->s.ours.epoch, untold, sizeof untold) == 0) return false;
    return wf_store_tree(e->table->wf_store, &es->s.tree, &info) != WEFT_OK ||
           memcmp(es->s.ours.epoch, info.epoch, sizeof info.epoch) != 0;
}

weft_verdict wf_gate_on_ask(struct engine *e, struct wf_gate *gate)
{
    if (e->gate != NULL) { /* the store asks one thing at a time */
        weft_reply(&gate->req, WEFT_BUSY);
        return WEFT_KEPT;
    }
    e->gate = gate;
    e->gate_fenced = false;
    /* Marked first: ending one may begin others, and those are judged by the rights of now. */
    for (struct wf_link *at = e->sessions.first; at != NULL; at = at->next) {
        struct esession *es = (struct esession *)((char *)at - offsetof(struct esession, link));
        if (!concerns(gate, &es->s.tree)) continue;
        if (wf_access_may_read(e->table, &es->s.tree, &es->s.peer) && !is_of_another(e, es))
            continue;
        es->refs++;
        wf_list_add(&e->gated, &es->of_gate);
    }
    go_on(e);
    return WEFT_KEPT;
}

void wf_gate_stop(struct engine *e)
{
    struct wf_gate *gate = e->gate;
    while (e->gated.first != NULL) {
        struct esession *es = (struct esession *)((char *)e->gated.first -
                                                  offsetof(struct esession, of_gate));
        wf_list_remove(&es->of_gate);
        wf_es_stop(e, es, WEFT_TREE, false, WF_W_OK);
        wf_es_put(e, es);
    }
    e->gate = NULL;
    if (gate != NULL) weft_reply(&gate->req, WEFT_CLOSED);
}
