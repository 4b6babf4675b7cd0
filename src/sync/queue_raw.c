/* SPDX-License-Identifier: Apache-2.0
 * queue_raw.c - exactly these entries to exactly this peer (C01), and its word for it.
 * Called by: queue.c, queue_result.c. May touch: raw sends.
 * Never: filters what the peer may have; sends what it may not read. */
#include "access.h"
#include "alloc.h"
#include "queue_state.h"

static struct q_stream *stream_of(struct queue *q, const struct q_raw *raw)
{
    struct q_stream *st = wf_q_stream_find(q, raw->conn, raw->stream);
    return st != NULL && st->raw == raw ? st : NULL;
}

static void raw_put(struct q_raw *raw)
{
    if (raw->req == NULL && raw->flights == 0) wf_free(raw);
}

static void raw_answer(struct q_stream *st, struct q_raw *raw, weft_err err)
{
    struct wf_q_raw *req = raw->req;
    if (st != NULL) st->raw = NULL;
    raw->req = NULL;
    if (req != NULL) weft_reply(&req->req, err);
}

void wf_raw_end(struct queue *q, struct q_stream *st, weft_err err)
{
    (void)q;
    struct q_raw *raw = st->raw;
    if (raw == NULL) return;
    raw_answer(st, raw, err);
    raw_put(raw);
}

static void raw_more(struct queue *q, struct q_raw *raw);

static void on_flown(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct queue *q = state;
    struct q_raw *raw = arg;
    raw->flights--;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (raw->req != NULL && err != WEFT_OK) raw_answer(stream_of(q, raw), raw, err);
    if (raw->req != NULL) raw_more(q, raw);
    raw_put(raw);
}

static weft_err raw_frame(struct queue *q, struct q_raw *raw)
{
    struct wf_entries_builder b = {0};
    weft_buf *frame = NULL;
    struct wf_q_raw *req = raw->req;
    uint32_t next = raw->next;
    size_t bytes = 0;
    if (!wf_access_may_read(q->table, &req->tree, &req->peer)) return WEFT_FORBIDDEN;
    weft_err err = wf_entries_begin(&b, WF_F_ENTRIES, raw->stream, WF_ENTRIES_RAW, 0);
    if (err != WEFT_OK) return err;
    for (; next < req->count; next++) {
        size_t len = weft_buf_len(req->entries[next]);
        if (next > raw->next && bytes + len > WEFT_FRAME_PAYLOAD_BYTES) break;
        err = wf_entries_add(&b, weft_buf_bytes(req->entries[next]), len);
        if (err == WEFT_FULL && next > raw->next) break;
        if (err != WEFT_OK) goto done;
        bytes += len;
    }
    err = wf_entries_finish(&b, NULL, &frame);
    if (err != WEFT_OK) goto done;
    struct wf_tp_bulk *bulk = wf_tp_new(&wf_tp_bulk_kind);
    err = WEFT_NO_MEMORY;
    if (bulk == NULL) goto done;
    bulk->conn = raw->conn;
    bulk->stream = raw->stream;
    bulk->frame = frame;
    frame = NULL;
    err = weft_ask(q->self, q->table->transport, &bulk->req, WEFT_NEVER, on_flown, raw, NULL);
    if (err != WEFT_OK) {
        weft_drop(&bulk->req.msg);
        goto done;
    }
    wf_counter_add(&q->table->counters->entries_sent, next - raw->next);
    raw->flights++;
    raw->frames++;
    raw->next = next;
done:
    wf_entries_abort(&b);
    weft_buf_unref(frame);
    return err;
}

static void raw_more(struct queue *q, struct q_raw *raw)
{
    while (raw->next < raw->req->count && raw->flights < WEFT_PUSH_FRAMES_MAX) {
        weft_err err = raw_frame(q, raw);
        if (err == WEFT_OK) continue;
        raw_answer(stream_of(q, raw), raw, err);
        return;
    }
    if (raw->next == raw->req->count && raw->acked >= raw->frames)
        raw_answer(stream_of(q, raw), raw, WEFT_OK);
}

void wf_raw_on_ack(struct queue *q, struct q_stream *st, const struct wf_ack *ack)
{
    struct q_raw *raw = st->raw;
    raw->acked = ack->n;
    if (ack->code != WF_W_OK) raw_answer(st, raw, wf_wire_err(ack->code));
    else raw_more(q, raw);
    raw_put(raw);
}

weft_verdict wf_raw_on_request(struct queue *q, struct wf_q_raw *req)
{
    struct q_stream *st = wf_q_stream_find(q, req->conn, req->stream);
    struct q_raw *raw = NULL;
    weft_err err = WEFT_CLOSED;
    if (st == NULL || st->raw != NULL) goto done;
    err = WEFT_NO_MEMORY;
    raw = wf_calloc(1, sizeof *raw);
    if (raw == NULL) goto done;
    raw->req = req;
    raw->conn = req->conn;
    raw->stream = req->stream;
    st->raw = raw;
    raw_more(q, raw);
    raw_put(raw);
    return WEFT_KEPT;
done:
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}
