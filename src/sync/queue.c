/* SPDX-License-Identifier: Apache-2.0
 * queue.c - the queue's thread: live push, acknowledgements, back-off.
 * Called by: weft.c (spawn), the scheduler (handlers). May touch: struct queue, the
 * store for reads of what it publishes in memory. Never: waits for the disk, sockets. */
#include "queue.h"

#include <stddef.h>

#include "alloc.h"
#include "block.h"
#include "log.h"
#include "queue_state.h"

static void drop_applied(weft_msg *msg)
{
    wf_free(((struct wf_q_applied *)msg)->missing);
    weft_free_msg(msg);
}

static void drop_raw(weft_msg *msg)
{
    struct wf_q_raw *raw = (struct wf_q_raw *)msg;
    for (uint32_t i = 0; raw->entries != NULL && i < raw->count; i++)
        weft_buf_unref(raw->entries[i]);
    wf_free(raw->entries);
    weft_free_msg(msg);
}

static void drop_pairs(weft_msg *msg)
{
    wf_free(((struct wf_q_pairs *)msg)->pairs);
    weft_free_msg(msg);
}

const weft_kind wf_q_live_kind = {0x5401, "queue.live", sizeof(struct wf_q_live), weft_free_msg};
const weft_kind wf_q_ack_kind = {0x5402, "queue.ack", sizeof(struct wf_q_ack), weft_free_msg};
const weft_kind wf_q_stream_kind = {0x5403, "queue.stream", sizeof(struct wf_q_stream),
                                    weft_free_msg};
const weft_kind wf_q_applied_kind = {0x5404, "queue.applied", sizeof(struct wf_q_applied),
                                     drop_applied};
const weft_kind wf_q_barrier_kind = {0x5405, "queue.barrier", sizeof(struct wf_q_barrier),
                                     weft_free_msg};
const weft_kind wf_q_raw_kind = {0x5406, "queue.raw", sizeof(struct wf_q_raw), drop_raw};
const weft_kind wf_q_pairs_kind = {0x5407, "queue.pairs", sizeof(struct wf_q_pairs), drop_pairs};
const weft_kind wf_q_note_kind = {0x5408, "queue.note", sizeof(struct wf_q_note), weft_free_msg};
const weft_kind wf_q_settle_kind = {0x540a, "queue.settle", sizeof(struct wf_q_settle),
                                    weft_free_msg};
const weft_kind wf_q_retry_kind = {0x5409, "queue.retry", sizeof(struct wf_q_note), weft_free_msg};

void *wf_q_new(const weft_kind *kind) { return weft_new(kind); }

struct wf_q_raw *wf_q_raw_create(uint32_t count)
{
    struct wf_q_raw *raw = wf_q_new(&wf_q_raw_kind);
    if (raw == NULL) return NULL;
    raw->entries = wf_calloc(count == 0 ? 1 : count, sizeof(weft_buf *));
    if (raw->entries == NULL) {
        weft_drop(&raw->req.msg);
        return NULL;
    }
    raw->count = count;
    return raw;
}

/* -- Sending ------------------------------------------------------------------------- */

void wf_queue_send(struct queue *q, weft_addr *to, weft_msg *msg)
{
    (void)q;
    if (msg == NULL) return;
    weft_err err = weft_send(to, msg);
    if (err == WEFT_OK) return;
    if (err != WEFT_CLOSED)
        wf_log(WEFT_LOG_WARN, "queue", "lost=%s err=%s", msg->kind->name, weft_errname(err));
    weft_drop(msg);
}

void wf_queue_send_system(struct queue *q, weft_addr *to, weft_msg *msg)
{
    (void)q;
    if (msg != NULL && wf_send_system(to, msg) != WEFT_OK) weft_drop(msg);
}

void wf_queue_control(struct queue *q, uint64_t conn, uint32_t stream, weft_buf *frame)
{
    struct wf_tp_send *send = frame == NULL ? NULL : wf_tp_new(&wf_tp_send_kind);
    if (send == NULL) {
        /* The peer's deadline ends the session; it begins anew from its cursor. */
        wf_log(WEFT_LOG_WARN, "queue", "out of memory: a frame is not sent");
        weft_buf_unref(frame);
        return;
    }
    send->conn = conn;
    send->stream = stream;
    send->frame = frame;
    wf_queue_send(q, q->table->transport, &send->msg);
}

/* -- The actor ----------------------------------------------------------------------- */

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct queue *q = state;
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next)
        wf_push_more(q, (struct q_pair *)at);
    wf_pair_save(q);
}

static weft_verdict on_wire(weft_self *self, struct queue *q, const struct wf_wire *wire)
{
    q->table = wire->table;
    weft_err err = wf_pair_load(q);
    if (err != WEFT_OK)
        return weft_fail(self, wf_fail(err, "queue", "the positions cannot be read"));
    struct wf_stored *bell = wf_stored_create(weft_self_addr(self));
    if (bell == NULL) return weft_fail(self, WEFT_NO_MEMORY);
    wf_queue_send_system(q, q->table->store, &bell->msg);
    weft_ns every = q->table->timers.queue_tick;
    err = weft_timer_set(self, &q->tick, weft_now(self) + every, every, on_tick);
    return err == WEFT_OK ? WEFT_DONE : weft_fail(self, err);
}

static weft_verdict on_stored(struct queue *q, struct wf_stored *bell)
{
    wf_push_ring(q, bell);
    wf_stored_clear(bell);
    wf_queue_send_system(q, q->table->store, &bell->msg);
    return WEFT_KEPT;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct queue *q = state;
    const weft_kind *kind = msg->kind;
    if (kind == &wf_wire_kind) return on_wire(self, q, (struct wf_wire *)msg);
    if (q->table == NULL) return WEFT_DONE;
    if (kind == &wf_ingest_kind) return wf_result_on_ingest(q, (struct wf_ingest *)msg);
    if (kind == &wf_stored_kind) return on_stored(q, (struct wf_stored *)msg);
    if (kind == &wf_q_ack_kind) wf_result_on_ack(q, (struct wf_q_ack *)msg);
    else if (kind == &wf_q_stream_kind) wf_q_stream_on_note(q, (struct wf_q_stream *)msg);
    else if (kind == &wf_q_live_kind) wf_push_begin(q, (struct wf_q_live *)msg);
    else if (kind == &wf_q_note_kind) wf_pair_on_note(q, (struct wf_q_note *)msg);
    else if (kind == &wf_q_barrier_kind) return wf_push_on_barrier(q, (struct wf_q_barrier *)msg);
    else if (kind == &wf_tracks_changed_kind) wf_push_on_tracks(q, (struct wf_tracks_changed *)msg);
    else if (kind == &wf_q_raw_kind) return wf_raw_on_request(q, (struct wf_q_raw *)msg);
    else if (kind == &wf_q_pairs_kind) return wf_pair_on_list(q, (struct wf_q_pairs *)msg);
    else if (kind == &wf_q_settle_kind) return wf_settle_on_request(q, (struct wf_q_settle *)msg);
    return WEFT_DONE;
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)arg;
    struct queue *q = state;
    q->self = self;
    weft_self_random(self, q->salt, sizeof q->salt);
    wf_table_init(&q->pairs, offsetof(struct q_pair, key), sizeof(struct pair_key), q->salt);
    wf_table_init(&q->trees, offsetof(struct q_tree, tree), sizeof(weft_id), q->salt);
    wf_table_init(&q->streams, offsetof(struct q_stream, key), sizeof(struct stream_key), q->salt);
    return WEFT_OK;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    struct queue *q = state;
    if (q->table != NULL) wf_pair_save(q);
    wf_q_stream_drop_all(q);
    wf_pair_drop_all(q);
    wf_table_fini(&q->pairs);
    wf_table_fini(&q->trees);
    wf_table_fini(&q->streams);
}

weft_err wf_queue_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "queue",
                      .state_size = sizeof(struct queue),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
