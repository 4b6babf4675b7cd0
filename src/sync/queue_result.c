/* SPDX-License-Identifier: Apache-2.0
 * queue_result.c - what became of frames: theirs here (ACK, counts, told to sync), ours
 * there (their ACKs).
 * Called by: queue.c. May touch: streams, counters. Never: decides about sessions. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "queue_state.h"
#include "verify.h"

void wf_q_stream_on_note(struct queue *q, const struct wf_q_stream *note)
{
    struct q_stream *st = wf_q_stream_find(q, note->conn, note->stream);
    if (note->refused) {
        wf_q_stream_applied(q, note->conn, note->stream);
        return;
    }
    if (!note->open) {
        if (st != NULL) wf_q_stream_over(q, st);
        return;
    }
    if (st == NULL) st = wf_q_stream_add(q, note);
    if (st == NULL) return; /* no ACK goes out: the session's deadline ends it */
    st->our_seq = note->our_seq;
    st->tips_told = note->tips_told;
    /* What the peer says counts; what we remember is a hint. */
    if (note->has_peer_seq && st->pair != NULL) st->pair->acked_seq = note->peer_seq;
}

/* -- Theirs, here -------------------------------------------------------------------- */

static bool had_been_told(const struct q_stream *st, const struct wf_ingest_entry *e,
                          const struct wf_bulk_note *note)
{
    if (st->tips_told && e->seq <= st->our_seq) return true;
    if (weft_key_equal(&e->known_from.peer, &note->peer)) return true;
    uint64_t n = st->pair == NULL ? 0 : wf_idlog_get(&st->pair->told, &e->id);
    return n != 0 && n <= note->seen;
}

/* Damaged bodies that came again: asked for, so neither duplicates nor redundant. */
static uint32_t count_healed(const struct wf_ingest *in)
{
    uint32_t healed = 0;
    for (uint32_t i = 0; i < in->count; i++) healed += in->entries[i].result == WF_IN_HEALED;
    return healed;
}

/* Counts copies, and remembers what the peer holds so that it is not pushed back. */
static void look_at_known(struct queue *q, const struct q_stream *st, const struct wf_ingest *in,
                          const struct wf_bulk_note *note)
{
    struct wf_node_counters *c = q->table->counters;
    uint32_t seen = in->stored + in->known + in->pending;
    for (uint32_t i = 0; i < in->count && i < seen; i++) {
        const struct wf_ingest_entry *e = &in->entries[i];
        if (e->result != WF_IN_KNOWN) continue;
        /* Raw entries were asked for, or sent without looking. */
        bool duplicate = !in->raw && had_been_told(st, e, note);
        wf_counter_add(duplicate ? &c->duplicates : &c->redundant, 1);
        struct q_pair *p = st->pair;
        if (p != NULL && (!p->live || e->seq > p->pos.seq)) wf_idlog_put(&p->held, &e->id, e->seq);
    }
}

static void send_ack(struct queue *q, const struct q_stream *st, const struct wf_ingest *in)
{
    weft_err err = in->err == WEFT_OK && in->raw && in->pending > 0 ? WEFT_PENDING : in->err;
    struct wf_ack ack = {.stream = (uint32_t)st->key.stream,
                         .n = st->n,
                         .seq = st->mark_seq,
                         .stored = in->stored,
                         .known = in->known,
                         .code = wf_wire_code_of(err)};
    wf_queue_control(q, st->key.conn, (uint32_t)st->key.stream, wf_ack_encode(&ack));
}

void wf_q_stream_break(struct queue *q, struct q_stream *st, weft_err err)
{
    struct wf_q_applied *applied = st->spare;
    if (applied == NULL) return; /* it knows */
    st->spare = NULL;
    applied->conn = st->key.conn;
    applied->stream = (uint32_t)st->key.stream;
    applied->err = err;
    wf_queue_send_system(q, q->table->sync, &applied->msg);
}

static void tell_sync(struct queue *q, struct q_stream *st, struct wf_ingest *in,
                      const struct wf_bulk_note *note)
{
    struct wf_q_applied *applied = wf_q_new(&wf_q_applied_kind);
    if (applied == NULL) {
        wf_q_stream_break(q, st, WEFT_NO_MEMORY);
        return;
    }
    applied->conn = in->conn;
    applied->stream = in->stream;
    applied->peer = note->peer;
    applied->tree = in->tree;
    applied->n = in->n;
    applied->type = note->type;
    applied->err = in->err;
    applied->done = note->done;
    applied->bytes = (uint32_t)in->frame_bytes;
    applied->stored = in->stored;
    applied->known = in->known;
    applied->healed = in->err == WEFT_OK && in->known > 0 ? count_healed(in) : 0;
    applied->stored_in_stream = st->stored;
    applied->tree_seq = in->tree_seq;
    applied->missing_count = in->missing_count;
    applied->missing = in->missing;
    in->missing = NULL;
    in->missing_count = 0;
    wf_queue_send_system(q, q->table->sync, &applied->msg);
}

static void release(struct queue *q, uint64_t conn, uint32_t stream, uint32_t bytes)
{
    struct wf_tp_release *msg = wf_tp_new(&wf_tp_release_kind);
    if (msg == NULL) return;
    msg->conn = conn;
    msg->stream = stream;
    msg->bytes = bytes;
    wf_queue_send(q, q->table->transport, &msg->msg);
}

weft_verdict wf_result_on_ingest(struct queue *q, struct wf_ingest *in)
{
    struct wf_bulk_note *note = in->cookie;
    struct wf_node_counters *c = q->table->counters;
    struct q_stream *st = wf_q_stream_find(q, in->conn, in->stream);
    if (note == NULL) return WEFT_DONE;
    if (note->type != 0) release(q, in->conn, in->stream, note->frame_bytes);
    else wf_q_stream_applied(q, in->conn, in->stream);
    wf_counter_add(&c->entries_received, in->stored);
    /* What a verifier refused was counted there. */
    if (in->verdict == WEFT_OK && (in->err == WEFT_BAD_ENTRY || in->err == WEFT_FORBIDDEN))
        wf_counter_add(&c->refused, 1);
    if (st != NULL && note->type != 0) {
        st->n = in->n;
        st->stored += in->stored;
        if (in->has_mark && in->err == WEFT_OK) st->mark_seq = in->mark.seq;
        look_at_known(q, st, in, note);
        send_ack(q, st, in);
        tell_sync(q, st, in, note);
    }
    return WEFT_DONE;
}

/* -- Ours, there --------------------------------------------------------------------- */

void wf_result_on_ack(struct queue *q, const struct wf_q_ack *msg)
{
    struct q_stream *st = wf_q_stream_find(q, msg->conn, msg->ack.stream);
    wf_tree_info info;
    release(q, msg->conn, msg->ack.stream, 0);
    if (st == NULL) return;
    if (st->raw != NULL) {
        wf_raw_on_ack(q, st, &msg->ack);
        return;
    }
    if (st->pair == NULL || msg->ack.seq == 0) return;
    if (wf_store_tree(q->table->wf_store, &st->pair->key.tree, &info) != WEFT_OK) return;
    wf_pair_acked(q, st->pair, msg->ack.seq < info.seq ? msg->ack.seq : info.seq);
}
