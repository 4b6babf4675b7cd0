/* SPDX-License-Identifier: Apache-2.0
 * reader.c - the reader: the actor that looks things up and streams entries.
 * Called by: weft.c (spawn), sync, queue and api_read.c (messages). May touch: the store, reading.
 * Never: writes, waits for a reply; works on one task for longer than a slice. */
#include "reader.h"

#include "job.h"
#include "log.h"

/* -- Tasks -------------------------------------------------------------------------------- */

static const weft_kind step_kind = {.id = 0x5325,
                                    .name = "reader.step",
                                    .size = sizeof(struct wf_task),
                                    .drop = NULL}; /* embedded in its task */

void wf_task_add(struct reader *r, struct wf_task *task, const struct wf_task_ops *ops)
{
    weft_msg_init(&task->step, &step_kind);
    task->ops = ops;
    task->prev = r->newest;
    if (r->newest == NULL) r->oldest = task;
    else r->newest->next = task;
    r->newest = task;
}

void wf_task_remove(struct reader *r, struct wf_task *task)
{
    WF_ASSERT(!task->queued);
    if (task->prev == NULL) r->oldest = task->next;
    else task->prev->next = task->next;
    if (task->next == NULL) r->newest = task->prev;
    else task->next->prev = task->prev;
    task->prev = task->next = NULL;
}

weft_err wf_task_again(weft_self *self, struct wf_task *task)
{
    if (task->queued) return WEFT_OK;
    weft_err err = weft_send(weft_self_addr(self), &task->step);
    if (err == WEFT_OK) task->queued = true;
    return err == WEFT_OK ? WEFT_OK : WEFT_CLOSED;
}

/* -- Messages ----------------------------------------------------------------------------- */

static void on_look(weft_self *self, struct reader *r, struct wf_look *look)
{
    if (weft_abandoned(&look->req)) weft_reply(&look->req, WEFT_CANCELED);
    else if (look->op == WF_LOOK_MATCH) wf_match_start(self, r, look);
    else wf_look_answer(r, look);
}

/* Here and not in sync: each is larger than the frame that it came in. */
static void release(const struct reader *r, const struct wf_job_bits *bits)
{
    struct wf_tp_release *msg = wf_tp_new(&wf_tp_release_kind);
    if (msg == NULL) return;
    msg->conn = bits->conn;
    msg->stream = bits->stream;
    msg->bytes = bits->frame_bytes;
    if (weft_send(r->table->transport, &msg->msg) != WEFT_OK) weft_drop(&msg->msg);
}

static void on_bits(weft_self *self, struct reader *r, const struct wf_job_bits *bits)
{
    struct wf_task *task = r->oldest;
    release(r, bits);
    while (task != NULL &&
           !(wf_feed_is(task, bits->conn, bits->stream) && wf_feed_bits(self, task, bits)))
        task = task->next; /* after true the task may be gone */
}

static void on_cancel(weft_self *self, struct reader *r, const struct wf_job_cancel *cancel)
{
    struct wf_task *after;
    for (struct wf_task *task = r->oldest; task != NULL; task = after) {
        after = task->next; /* cancelling may free it */
        if (wf_feed_is(task, cancel->conn, cancel->stream)) wf_feed_cancel(self, task);
    }
}

static void on_wire(struct reader *r, const struct wf_node_table *table)
{
    r->table = table;
    r->walk_max = table->walk_entries_max != 0 ? table->walk_entries_max : WEFT_DIFF_ENTRIES_MAX;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct reader *r = state;
    if (msg->kind == &wf_wire_kind) on_wire(r, ((struct wf_wire *)msg)->table);
    if (r->table == NULL) return WEFT_DONE;
    if (msg->kind == &step_kind) {
        struct wf_task *task = (struct wf_task *)msg;
        task->queued = false;
        task->ops->run(self, r, task);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_look_kind) {
        on_look(self, r, (struct wf_look *)msg);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_read_kind) {
        struct wf_read *read = (struct wf_read *)msg;
        weft_reply(&read->req, weft_abandoned(&read->req) ? WEFT_CANCELED
                                                          : read->run(r->table->wf_store, read));
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_job_kind) {
        wf_feed_start(self, r, (struct wf_job *)msg);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_job_bits_kind) on_bits(self, r, (struct wf_job_bits *)msg);
    if (msg->kind == &wf_job_cancel_kind) on_cancel(self, r, (struct wf_job_cancel *)msg);
    return WEFT_DONE;
}

/* -- The actor ---------------------------------------------------------------------------- */

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct reader *r = state;
    (void)arg;
    weft_self_random(self, r->key, sizeof r->key);
    return WEFT_OK;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    struct reader *r = state;
    (void)self;
    (void)reason;
    while (r->oldest != NULL) {
        struct wf_task *task = r->oldest;
        task->queued = false; /* the mailbox is empty by now */
        task->ops->abort(r, task);
    }
}

weft_err wf_reader_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "reader",
                      .state_size = sizeof(struct reader),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED}; /* bounded by the sessions there may be */
    return weft_spawn(rt, &spec, out);
}
