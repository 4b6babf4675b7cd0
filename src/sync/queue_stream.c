/* SPDX-License-Identifier: Apache-2.0
 * queue_stream.c - streams, from their session's beginning until the last of what came on
 * them is applied; and who waits for that.
 * Called by: queue.c and its rooms. May touch: streams, pairs.
 * Never: looks into a frame, waits for a stream for ever. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "queue_state.h"

static struct q_stream *find(struct queue *q, uint64_t conn, uint32_t stream)
{
    struct stream_key key = {conn, stream};
    return (struct q_stream *)wf_table_find(&q->streams, &key);
}

struct q_stream *wf_q_stream_find(struct queue *q, uint64_t conn, uint32_t stream)
{
    struct q_stream *st = find(q, conn, stream);
    return st == NULL || st->over ? NULL : st;
}

struct q_stream *wf_q_stream_add(struct queue *q, const struct wf_q_stream *note)
{
    struct q_stream *st = wf_calloc(1, sizeof *st);
    if (st == NULL) return NULL;
    st->key = (struct stream_key){note->conn, note->stream};
    st->pair = wf_pair_need(q, &note->peer, &note->tree);
    st->spare = wf_q_new(&wf_q_applied_kind);
    if (st->spare == NULL || wf_table_add(&q->streams, &st->link) != WEFT_OK) {
        if (st->spare != NULL) weft_drop(&st->spare->msg);
        wf_free(st);
        return NULL;
    }
    if (st->pair != NULL) {
        st->pair->refs++;
        st->pair->streams++;
        st->pair->tree->streams++;
    }
    return st;
}

/* -- Who waits ----------------------------------------------------------------------------- */

static void settle_answer(struct queue *q, struct q_settle **link, weft_err err)
{
    struct q_settle *settle = *link;
    struct q_pair *p = settle->pair;
    *link = settle->next;
    if (*link == NULL) q->settles_end = link;
    weft_reply(&settle->req->req, err);
    wf_free(settle);
    wf_pair_put(q, p);
}

static void on_late(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)missed;
    struct queue *q = state;
    while (q->settles != NULL && q->settles->until <= weft_now(self)) {
        wf_log(WEFT_LOG_WARN, "queue", "what an ended stream brought is not applied yet");
        settle_answer(q, &q->settles, WEFT_OK);
    }
    if (q->settles != NULL) (void)weft_timer_set(self, timer, q->settles->until, 0, on_late);
}

weft_verdict wf_settle_on_request(struct queue *q, struct wf_q_settle *req)
{
    struct q_pair *p = wf_pair_find(q, &req->peer, &req->tree);
    struct q_settle *settle = p == NULL || p->tails == 0 ? NULL : wf_calloc(1, sizeof *settle);
    if (settle == NULL) { /* short of memory: it costs copies */
        weft_reply(&req->req, WEFT_OK);
        return WEFT_KEPT;
    }
    *settle = (struct q_settle){.req = req, .pair = p, .until = weft_now(q->self) + WEFT_SETTLE_NS};
    p->refs++;
    if (q->settles == NULL) {
        q->settles_end = &q->settles;
        (void)weft_timer_set(q->self, &q->settle, settle->until, 0, on_late);
    }
    *q->settles_end = settle;
    q->settles_end = &settle->next;
    return WEFT_KEPT;
}

static void settle_all(struct queue *q, const struct q_pair *p)
{
    struct q_settle **link = &q->settles;
    while (*link != NULL) {
        if ((*link)->pair == p) settle_answer(q, link, WEFT_OK);
        else link = &(*link)->next;
    }
}

/* -- The end ------------------------------------------------------------------------------- */

static void remove_it(struct queue *q, struct q_stream *st)
{
    struct q_pair *p = st->pair;
    wf_table_remove(&q->streams, &st->link);
    if (p != NULL) {
        if (st->over && --p->tails == 0) settle_all(q, p);
        wf_pair_put(q, p);
    }
    wf_free(st);
}

void wf_q_stream_over(struct queue *q, struct q_stream *st)
{
    struct q_pair *p = st->pair;
    wf_raw_end(q, st, WEFT_CLOSED);
    if (st->spare != NULL) weft_drop(&st->spare->msg);
    st->spare = NULL;
    if (p != NULL) {
        if (p->live && p->conn == st->key.conn && p->stream == st->key.stream) wf_push_end(q, p);
        p->streams--;
        if (p->tree != NULL && --p->tree->streams == 0) wf_recent_clear(q, p->tree);
        p->tails++;
    }
    st->over = true;
    if (st->applied) remove_it(q, st);
}

void wf_q_stream_applied(struct queue *q, uint64_t conn, uint32_t stream)
{
    struct q_stream *st = find(q, conn, stream);
    if (st == NULL) return;
    st->applied = true;
    if (st->over) remove_it(q, st);
}

void wf_q_stream_drop_all(struct queue *q)
{
    while (q->settles != NULL) settle_answer(q, &q->settles, WEFT_CLOSED);
    while (q->streams.first != NULL) {
        struct q_stream *st = (struct q_stream *)q->streams.first;
        st->applied = true;
        if (st->over) remove_it(q, st);
        else wf_q_stream_over(q, st);
    }
}
