/* SPDX-License-Identifier: Apache-2.0
 * engine_over.c - what a session's success or end means to everybody else.
 * Called by: engine_effect.c. May touch: sessions, notes to queue, peers and notify.
 * Never: leaves somebody waiting for a session that is gone. */
#include <stddef.h>
#include <string.h>

#include "declared.h"
#include "engine_state.h"
#include "log.h"

static void bump(wf_counter *counter) { wf_counter_add(counter, 1); }

/* What passed since we last told the peer manager; and that a sync has ended which began then. */
static void note_peer(struct engine *e, struct esession *es, enum wf_peer_news what, weft_err err,
                      const weft_ns *since)
{
    struct wf_peer_note *note = wf_e_note_peer(&es->s.peer, what, err);
    if (note == NULL) return;
    uint64_t bytes_sent = es->bytes_sent + es->bytes_pushed;
    note->sync = since != NULL;
    note->tree = es->s.tree;
    note->took_ns = since == NULL ? 0 : weft_now(e->self) - *since;
    note->bytes_sent = bytes_sent - es->told_bytes_sent;
    note->bytes_received = es->bytes_received - es->told_bytes_received;
    es->told_bytes_sent = bytes_sent;
    es->told_bytes_received = es->bytes_received;
    uint64_t sent = es->s.sent + es->s.pushed;
    note->sent = sent - es->told_sent;
    note->received = es->s.received - es->told_received;
    es->told_sent = sent;
    es->told_received = es->s.received;
    wf_e_send(e, e->table->peers, &note->msg);
}

/* Ends the wants that this session has fulfilled: those that began before `since`. */
static void fulfil(struct engine *e, struct esession *es, uint64_t since)
{
    struct item *next;
    for (struct item *at = es->wants.first; at != NULL; at = next) {
        struct want *want = (struct want *)((char *)at - offsetof(struct want, of_session));
        next = at->next;
        if (want->began > since) continue;
        wf_list_remove(&want->of_session);
        wf_want_done(e, want, WEFT_OK, es);
    }
    if (es->wants.first != NULL && es->s.phase == WF_S_LIVE && es->s.live)
        wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_BARRIER}, NULL);
}

void wf_over_synced(struct engine *e, struct esession *es)
{
    const struct wf_session *s = &es->s;
    es->synced_at = weft_now(e->self);
    wf_lean_synced(e, es);
    bump(&e->table->counters->sessions_ok);
    if (s->flags & WF_OPEN_EXACT) bump(&e->table->counters->sessions_exact);
    wf_e_note_pair(e, &s->peer, &s->tree, WF_Q_WORKED, s->ours.seq);
    wf_e_event(e, &(weft_event){.kind = WEFT_EV_SYNC_DONE,
                                .tree = s->tree,
                                .peer = s->peer,
                                .sent = s->sent,
                                .received = s->received});
    note_peer(e, es, WF_NOTE_SYNCED, WEFT_OK, &es->started);
    wf_declared_synced(e, &s->peer, &s->tree);
    fulfil(e, es, es->began);
}

void wf_over_round(struct engine *e, struct esession *es)
{
    note_peer(e, es, WF_NOTE_SYNCED, WEFT_OK, &es->round_started);
    wf_declared_synced(e, &es->s.peer, &es->s.tree);
    fulfil(e, es, es->round_began);
}

/* -- The end ------------------------------------------------------------------------- */

static void tell_peer(struct engine *e, const struct esession *es,
                      const struct wf_session_effect *x)
{
    bool plain = x->wire == WF_W_OK;
    struct wf_err_frame end = {.stream = es->s.stream, .code = x->wire};
    wf_e_control(e, es->key.conn, es->s.stream, wf_err_encode(plain ? WF_F_CLOSE : WF_F_ERR, &end));
}

static void close_stream(struct engine *e, struct esession *es)
{
    if (es->jobs > 0) {
        struct wf_job_cancel *cancel = (struct wf_job_cancel *)weft_new(&wf_job_cancel_kind);
        if (cancel != NULL) {
            cancel->conn = es->key.conn;
            cancel->stream = es->s.stream;
            wf_e_send(e, e->table->reader, &cancel->msg);
        }
    }
    if (!es->streaming) return;
    es->streaming = false;
    struct wf_q_stream *queue = wf_q_new(&wf_q_stream_kind);
    if (queue != NULL) {
        queue->conn = es->key.conn;
        queue->stream = es->s.stream;
        wf_e_send(e, e->table->queue, &queue->msg);
    }
    struct wf_tp_stream *transport = wf_tp_new(&wf_tp_stream_kind);
    if (transport == NULL) return;
    transport->conn = es->key.conn;
    transport->stream = es->s.stream;
    wf_e_send(e, e->table->transport, &transport->req.msg);
}

/* Whoever still waits begins anew where that can help, once; else it has failed. */
static void pass_on_wants(struct engine *e, struct esession *es, const struct wf_session_effect *x)
{
    struct esession *other = NULL;
    struct conn *c = es->conn;
    if (x->again && !c->gone) (void)wf_es_open(e, c, &es->s.tree, WF_OPEN_EXACT, &other);
    bool lost = c->gone || x->err == WEFT_CLOSED || x->err == WEFT_CANCELED || x->err == WEFT_OK ||
                x->healed;
    while (es->wants.first != NULL) {
        struct want *want = (struct want *)((char *)es->wants.first -
                                            offsetof(struct want, of_session));
        wf_list_remove(&want->of_session);
        if (other != NULL) {
            wf_want_attach(e, want, other);
        } else if (lost && want->tries == 0) {
            /* It ended for reasons that are not the want's, such as a crossing dial. */
            want->tries += x->err != WEFT_OK;
            wf_want_start(e, want);
        } else {
            wf_want_done(e, want, x->err == WEFT_OK ? WEFT_CLOSED : x->err, es);
        }
    }
}

static void tell_failed(struct engine *e, struct esession *es, weft_err err)
{
    const struct wf_session *s = &es->s;
    bump(&e->table->counters->sessions_failed);
    if (!es->conn->gone) wf_e_note_pair(e, &s->peer, &s->tree, WF_Q_FAILED, 0);
    wf_e_event(e, &(weft_event){
                      .kind = WEFT_EV_SYNC_FAILED, .tree = s->tree, .peer = s->peer, .err = err});
    note_peer(e, es, WF_NOTE_SYNC_FAILED, err, &es->started);
    wf_declared_failed(e, &s->peer, &s->tree, err);
}

void wf_over_ended(struct engine *e, struct esession *es, const struct wf_session_effect *x)
{
    struct wf_session *s = &es->s;
    struct conn *c = es->conn;
    bool raw = (s->flags & WF_OPEN_RAW) != 0;
    /* What an exact session lacks is not what ids or cursors have misled anybody about: the peer
     * goes by what we said is here, and maybe we know it only in part. */
    if ((s->flags & WF_OPEN_EXACT) && x->err == WEFT_PENDING)
        (void)wf_mend_note(e->table->wf_store, 0, WEFT_CORRUPT);
    wf_table_remove(&e->sessions, &es->link);
    if (es->by_tree) wf_table_remove(&e->trees, &es->tree_link);
    wf_list_remove(&es->of_conn);
    wf_heal_session_ended(e, es);
    if (x->tell && !c->gone) tell_peer(e, es, x);
    close_stream(e, es);
    if (x->penalty && !c->gone) wf_econn_close(e, c, x->err, "the peer broke the protocol");
    if (es->raw != NULL) {
        struct op *op = es->raw;
        es->raw = NULL;
        wf_cmd_raw_ended(e, op, x->err, s->sent);
    }
    bool quiet = x->err == WEFT_OK || x->err == WEFT_CANCELED || x->err == WEFT_CLOSED;
    if (!raw && !quiet) tell_failed(e, es, x->err);
    else if (!raw && s->sent + s->pushed + s->received > es->told_sent + es->told_received)
        note_peer(e, es, WF_NOTE_SYNCED, WEFT_OK, NULL);
    if (!raw) pass_on_wants(e, es, x);
    wf_es_put(e, es); /* what the tables held */
}
