/* SPDX-License-Identifier: Apache-2.0
 * job.c - a stream of entries: slices, frames, back-pressure, its end.
 * Called by: reader.c. May touch: the store (reading), transport (messages).
 * Never: decides which entries are sent (the sources do), sends to a peer that may not
 * read any more. */
#include "job.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

#define ROOM_WANTED 1024u

/* -- Its end ------------------------------------------------------------------------------ */

static void stream_free(struct wf_feed *s)
{
    if (s->framing) wf_entries_abort(&s->frame);
    if (s->slice_end != NULL) s->slice_end(s);
    wf_order_drop_diff(s);
    wf_held_destroy(s->held);
    wf_page_destroy(s->serving);
    wf_page_destroy(s->ahead);
    wf_free(s);
}

static void answer(struct wf_feed *s, weft_err err)
{
    struct wf_job *job = s->job;
    if (job == NULL) return;
    s->job = NULL;
    weft_reply(&job->req, err);
}

/* Frees it once nothing refers to it: no frame at transport, no step in the mailbox. */
static void settle(struct wf_feed *s)
{
    if (s->done && s->frames_out == 0) answer(s, s->err);
    if (s->job != NULL || s->frames_out > 0 || s->task.queued) return;
    wf_task_remove(s->reader, &s->task);
    stream_free(s);
}

static void finish(struct wf_feed *s, weft_err err)
{
    s->done = true;
    if (s->err == WEFT_OK) s->err = err;
    if (s->err != WEFT_OK) answer(s, s->err); /* what is out cannot change it any more */
}

/* -- Frames ------------------------------------------------------------------------------- */

static void on_sent(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct wf_feed *s = arg;
    (void)state;
    if (req != NULL) weft_drop(&req->msg); /* NULL: the reader itself ends */
    s->frames_out--;
    if (err != WEFT_OK) finish(s, err < WEFT_OK ? err : WEFT_CLOSED);
    if (!s->done && wf_task_again(self, &s->task) != WEFT_OK) finish(s, WEFT_CLOSED);
    settle(s);
}

/* Read permission is judged when a frame is made, by the newest list of readers. */
static weft_err may_send(const struct wf_feed *s)
{
    wf_tree_info info;
    weft_err err = wf_plan_authorise(s->reader->table, &s->job->tree, &s->job->peer, &info);
    return err == WEFT_TREE ? WEFT_FORBIDDEN : err;
}

static weft_err send_frame(weft_self *self, struct wf_feed *s)
{
    const struct wf_node_table *table = s->reader->table;
    weft_buf *buf = NULL;
    uint32_t count = s->frame.count;
    weft_err err = may_send(s);
    if (err != WEFT_OK) return err;
    err = wf_entries_finish(&s->frame, s->marks && s->marked ? &s->covered : NULL, &buf);
    if (err != WEFT_OK) return err;
    s->framing = false;
    s->job->bytes += weft_buf_len(buf);
    s->job->entries += count;
    if (s->marked) s->job->reached = s->covered;

    struct wf_tp_bulk *bulk = wf_tp_new(&wf_tp_bulk_kind);
    if (bulk == NULL) {
        weft_buf_unref(buf);
        return WEFT_NO_MEMORY;
    }
    bulk->conn = s->job->conn;
    bulk->stream = s->job->stream;
    bulk->frame = buf;
    /* No deadline: transport closes a stream that gets no credit, and answers then. */
    err = weft_ask(self, table->transport, &bulk->req, WEFT_NEVER, on_sent, s, NULL);
    if (err != WEFT_OK) {
        weft_drop(&bulk->req.msg);
        return WEFT_CLOSED;
    }
    s->frames_out++;
    (void)wf_counter_add(&table->counters->entries_sent, count);
    return WEFT_OK;
}

/* Copies the item's bytes from the store into the frame. FULL: send what is there first. */
static weft_err add_item(struct wf_feed *s)
{
    weft_err err = WEFT_OK;
    size_t want = ROOM_WANTED;
    if (!s->framing) {
        err = wf_entries_begin(&s->frame, s->type, s->job->stream, s->flags, s->job->seen);
        if (err != WEFT_OK) return err;
        s->framing = true;
    }
    size_t used = wf_entries_bytes(&s->frame);
    if (s->frame.count > 0 && used + WEFT_FRAMED_ENTRY_BYTES_MIN > WEFT_FRAME_PAYLOAD_BYTES)
        return WEFT_FULL;
    /* The first may be as large as it likes; the others only fill the frame up. */
    size_t most = s->frame.count == 0 ? WEFT_ENTRY_BYTES_MAX : WEFT_FRAME_PAYLOAD_BYTES - used;
    for (;;) {
        uint8_t *at;
        size_t room;
        err = wf_entries_room(&s->frame, want, &at, &room);
        if (err != WEFT_OK) return err;
        size_t len = room < most ? room : most;
        err = wf_store_get_into(s->reader->table->wf_store, s->info.t, &s->item, at, &len);
        if (err == WEFT_OK) {
            wf_entries_wrote(&s->frame, len);
            return WEFT_OK;
        }
        if (err != WEFT_LIMIT) break;
        if (len > most) return WEFT_FULL;
        want = len;
    }
    return err;
}

/* -- Slices ------------------------------------------------------------------------------- */

/* Sends one frame, or goes on until the slice is used up. END, AGAIN, PENDING, failures. */
static weft_err pump(weft_self *self, struct wf_feed *s)
{
    for (;;) {
        weft_err err = s->has_item ? WEFT_OK : s->next(self, s);
        if (err == WEFT_END || err == WEFT_PENDING) {
            /* Nothing to wait for with a frame in hand: the peer may as well have it. */
            if (s->framing && s->frame.count > 0) {
                weft_err sent = send_frame(self, s);
                if (sent != WEFT_OK) return sent;
            }
            return err;
        }
        if (err != WEFT_OK) return err;
        s->has_item = true;
        err = add_item(s);
        if (err == WEFT_FULL) {
            err = send_frame(self, s);
            return err == WEFT_OK ? WEFT_AGAIN : err;
        }
        if (err == WEFT_CORRUPT && s->job->op == WF_JOB_FETCH) { /* the others are asked for too */
            s->has_item = false;
            if (wf_feed_spent(s, 2)) return WEFT_AGAIN;
            continue;
        }
        if (err != WEFT_OK) return err;
        s->has_item = false;
        s->covered = s->item_mark;
        s->marked = true;
        if (wf_feed_spent(s, 2)) return WEFT_AGAIN;
    }
}

static void run(weft_self *self, struct reader *r, struct wf_task *task)
{
    struct wf_feed *s = (struct wf_feed *)task;
    (void)r;
    if (!s->done && s->job != NULL && weft_abandoned(&s->job->req)) finish(s, WEFT_CANCELED);
    if (!s->done && s->frames_out < WEFT_JOB_FRAMES_MAX) {
        s->reads = 0;
        weft_err err = pump(self, s);
        s->slice_end(s);
        if (err == WEFT_AGAIN) err = wf_task_again(self, task);
        else if (err == WEFT_PENDING) err = WEFT_OK;
        else finish(s, err == WEFT_END ? WEFT_OK : err);
        if (err == WEFT_CLOSED) finish(s, WEFT_CLOSED);
        if (s->done && s->job != NULL && s->marked) s->job->reached = s->covered;
    }
    settle(s);
}

static void abort_task(struct reader *r, struct wf_task *task)
{
    struct wf_feed *s = (struct wf_feed *)task;
    answer(s, WEFT_CLOSED);
    wf_task_remove(r, task);
    stream_free(s);
}

static const struct wf_task_ops ops = {run, abort_task};

/* -- From outside ------------------------------------------------------------------------- */

static weft_err init_op(struct wf_feed *s)
{
    switch (s->job->op) {
    case WF_JOB_CURSOR:
    case WF_JOB_PUSH: return wf_feed_init_arrivals(s);
    case WF_JOB_CLOSURE: return wf_feed_init_order(s);
    case WF_JOB_RESUME: return wf_feed_init_resume(s);
    case WF_JOB_IDS: return wf_feed_init_ids(s);
    case WF_JOB_FETCH: return wf_feed_init_fetch(s);
    }
    return WEFT_INVALID;
}

void wf_feed_start(weft_self *self, struct reader *r, struct wf_job *job)
{
    wf_tree_info info;
    weft_err err = wf_plan_authorise(r->table, &job->tree, &job->peer, &info);
    struct wf_feed *s = NULL;
    if (err == WEFT_OK && (s = wf_calloc(1, sizeof *s)) == NULL) err = WEFT_NO_MEMORY;
    if (err != WEFT_OK) {
        weft_reply(&job->req, err);
        return;
    }
    s->reader = r;
    s->job = job;
    s->info = info;
    s->type = job->op == WF_JOB_PUSH ? WF_F_PUSH : WF_F_ENTRIES;
    s->marks = !job->exact && job->op != WF_JOB_FETCH;
    wf_task_add(r, &s->task, &ops);
    err = init_op(s);
    if (err == WEFT_OK) err = wf_task_again(self, &s->task);
    if (err != WEFT_OK) finish(s, err);
    settle(s);
}

bool wf_feed_is(const struct wf_task *task, uint64_t conn, uint32_t stream)
{
    const struct wf_feed *s = (const struct wf_feed *)task;
    return task->ops == &ops && s->job != NULL && s->job->conn == conn && s->job->stream == stream;
}

bool wf_feed_bits(weft_self *self, struct wf_task *task, const struct wf_job_bits *bits)
{
    struct wf_feed *s = (struct wf_feed *)task;
    if (s->job->op != WF_JOB_IDS) return false;
    weft_err err = wf_ids_bits(s, bits);
    if (err == WEFT_OK) err = wf_task_again(self, task);
    if (err != WEFT_OK) finish(s, err);
    settle(s);
    return true;
}

void wf_feed_cancel(weft_self *self, struct wf_task *task)
{
    struct wf_feed *s = (struct wf_feed *)task;
    (void)self;
    if (!s->done || s->job != NULL) finish(s, WEFT_CANCELED);
    settle(s);
}
