/* SPDX-License-Identifier: Apache-2.0
 * queue_push.c - live push: what was just stored goes out in the same turn; whoever is
 * further behind is caught up by the reader.
 * Called by: queue.c and its rooms. May touch: pairs, frames.
 * Never: pushes to who may not read, or what the peer is known to hold. */
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "log.h"
#include "queue_state.h"
#include "tracks.h"

/* A PUSH frame at transport. */
struct flight {
    struct q_pair *pair; /* counted */
    uint32_t life;
    uint32_t count;
    weft_id ids[WEFT_RECENT_ENTRIES];
};

static struct q_pair *pair_ref(struct q_pair *p)
{
    p->refs++;
    return p;
}

/* -- Waiting for a point ------------------------------------------------------------- */

static void wait_answer(struct q_wait *wait, weft_err err)
{
    weft_reply(&wait->req->req, err);
    wf_free(wait);
}

/* Sends the DONE frames of barriers whose point was passed. */
static void waits_run(struct queue *q, struct q_pair *p)
{
    while (p->waits != NULL && p->waits->seq <= p->pos.seq && !p->job) {
        struct q_wait *wait = p->waits;
        p->waits = wait->next;
        if (p->waits == NULL) p->waits_end = &p->waits;
        struct wf_done done = {.stream = p->stream, .round = wait->req->round, .mark = p->pos};
        weft_buf *frame = wf_done_encode(&done);
        weft_err err = frame == NULL ? WEFT_NO_MEMORY : WEFT_OK;
        wf_queue_control(q, p->conn, p->stream, frame);
        if (p->pos.seq > p->need_seq) p->need_seq = p->pos.seq;
        wait->req->sent = p->pushed;
        wait->req->bytes = p->pushed_bytes;
        wait_answer(wait, err);
    }
}

static void waits_fail(struct q_pair *p)
{
    while (p->waits != NULL) {
        struct q_wait *wait = p->waits;
        p->waits = wait->next;
        wait_answer(wait, WEFT_CLOSED);
    }
    p->waits_end = &p->waits;
}

/* -- Moving on ----------------------------------------------------------------------- */

/* All up to (seq, id) needs no frame any more. */
static void move_to(struct queue *q, struct q_pair *p, uint64_t seq, const uint8_t id8[8])
{
    p->pos.seq = seq;
    memcpy(p->pos.id8, id8, 8);
    if (p->held.max <= seq && p->held.ids.count > 0) wf_idlog_clear(&p->held);
    /* With nothing on the wire that is not acknowledged, what was skipped is, too. */
    if (p->acked_seq >= p->need_seq) wf_pair_acked(q, p, p->need_seq);
}

/* Sync is to begin anew from what the peer acknowledged. */
static void give_up(struct queue *q, struct q_pair *p, weft_err err)
{
    struct q_stream *st = wf_q_stream_find(q, p->conn, p->stream);
    wf_push_end(q, p);
    if (st != NULL && err != WEFT_CANCELED) wf_q_stream_break(q, st, err);
}

static void on_flown(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct queue *q = state;
    struct flight *flight = arg;
    struct q_pair *p = flight->pair;
    const struct wf_tp_bulk *bulk = (const struct wf_tp_bulk *)req;
    if (flight->life == p->life) {
        p->flights--;
        for (uint32_t i = 0; err == WEFT_OK && bulk != NULL && i < flight->count; i++)
            wf_idlog_put(&p->told, &flight->ids[i], bulk->n);
        if (err == WEFT_OK) wf_push_more(q, p);
        else give_up(q, p, err); /* the position is past what did not go out */
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_free(flight);
    wf_pair_put(q, p);
}

/* Hands a finished frame to transport. Takes `frame` and `flight`. */
static weft_err fly(struct queue *q, struct q_pair *p, weft_buf *frame, struct flight *flight)
{
    weft_err err = WEFT_NO_MEMORY;
    struct wf_tp_bulk *bulk = wf_tp_new(&wf_tp_bulk_kind);
    if (bulk == NULL) goto done;
    bulk->conn = p->conn;
    bulk->stream = p->stream;
    bulk->frame = frame;
    size_t bytes = weft_buf_len(frame);
    frame = NULL;
    flight->pair = pair_ref(p);
    flight->life = p->life;
    /* Transport answers every frame, and none of them for ever: credit has a deadline. */
    err = weft_ask(q->self, q->table->transport, &bulk->req, WEFT_NEVER, on_flown, flight, NULL);
    if (err != WEFT_OK) {
        p->refs--;
        weft_drop(&bulk->req.msg);
        goto done;
    }
    p->flights++;
    p->pushed += flight->count;
    p->pushed_bytes += bytes;
    wf_counter_add(&q->table->counters->entries_sent, flight->count);
    flight = NULL;
done:
    weft_buf_unref(frame);
    wf_free(flight);
    return err;
}

static bool may_read(struct queue *q, const struct q_pair *p)
{
    return wf_access_may_read(q->table, &p->key.tree, &p->key.peer);
}

static bool peer_has(const struct q_pair *p, const struct q_recent *e)
{
    /* Frames without a mark (of exact sessions, or asked for) tell no epoch. What live push
     * looks at came after OPEN, so it came from the peer as it is now. */
    static const uint8_t untold[sizeof p->peer_epoch];
    if (weft_key_equal(&e->source.peer, &p->key.peer) &&
        (memcmp(e->source.epoch, p->peer_epoch, sizeof p->peer_epoch) == 0 ||
         memcmp(e->source.epoch, untold, sizeof untold) == 0))
        return true;
    return wf_idlog_get(&p->held, &e->id) != 0;
}

static uint64_t taken_from(struct queue *q, const struct q_pair *p)
{
    const struct q_stream *st = wf_q_stream_find(q, p->conn, p->stream);
    return st == NULL ? 0 : st->n;
}

/* -- From what was just stored ------------------------------------------------------- */

/* Is all that the pair has not pushed among the recent entries? */
static bool covers(const struct q_pair *p)
{
    const struct q_tree *t = p->tree;
    return t->recent_count > 0 && p->pos.seq + 1 >= t->recent[0].seq &&
           p->pos.seq < t->recent[t->recent_count - 1].seq;
}

/* One frame from the pair's position on, and the position that it ends at. Nothing is sent
 * when the peer has all of it. */
static weft_err frame_from_recent(struct queue *q, struct q_pair *p)
{
    const struct q_tree *t = p->tree;
    struct flight *flight = wf_calloc(1, sizeof *flight);
    struct wf_entries_builder b = {0};
    weft_buf *frame = NULL;
    wf_mark mark = p->pos;
    if (flight == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_entries_begin(&b, WF_F_PUSH, p->stream, 0, taken_from(q, p));
    if (err != WEFT_OK) goto done;
    size_t bytes = 0;
    for (uint32_t i = 0; i < t->recent_count; i++) {
        const struct q_recent *e = &t->recent[i];
        if (e->seq <= mark.seq) continue;
        if (!peer_has(p, e)) {
            bool full = flight->count == WEFT_RECENT_ENTRIES ||
                        bytes + e->len > WEFT_FRAME_PAYLOAD_BYTES;
            if (flight->count > 0 && full) break;
            err = wf_entries_add(&b, e->bytes, e->len);
            if (err == WEFT_FULL && flight->count > 0) break;
            if (err != WEFT_OK) goto done;
            bytes += e->len;
            flight->ids[flight->count++] = e->id;
        }
        mark.seq = e->seq;
        memcpy(mark.id8, e->id.bytes, sizeof mark.id8);
    }
    err = WEFT_OK;
    if (flight->count > 0) {
        err = wf_entries_finish(&b, &mark, &frame);
        if (err == WEFT_OK) {
            err = fly(q, p, frame, flight);
            flight = NULL;
        }
        if (err == WEFT_OK) p->need_seq = mark.seq;
    }
    if (err == WEFT_OK) move_to(q, p, mark.seq, mark.id8);
done:
    wf_entries_abort(&b);
    wf_free(flight);
    return err;
}

/* -- By the reader ------------------------------------------------------------------- */

struct chase {
    struct q_pair *pair; /* counted */
    uint32_t life;
};

static void on_caught_up(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct queue *q = state;
    struct chase *chase = arg;
    struct q_pair *p = chase->pair;
    const struct wf_job *job = (const struct wf_job *)req;
    if (chase->life == p->life) {
        p->job = false;
        if (err == WEFT_OK && job != NULL) {
            p->pushed += job->entries;
            p->pushed_bytes += job->bytes;
            if (job->entries > 0 && job->reached.seq > p->need_seq) p->need_seq = job->reached.seq;
            if (job->reached.seq > p->pos.seq) move_to(q, p, job->reached.seq, job->reached.id8);
            wf_push_more(q, p);
        } else {
            give_up(q, p, err == WEFT_FORBIDDEN ? WEFT_TREE : err);
        }
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_free(chase);
    wf_pair_put(q, p);
}

static void copy_held(const struct q_pair *p, struct wf_job *job)
{
    if (p->held.ids.count == 0) return;
    job->held = wf_calloc(p->held.ids.count, sizeof *job->held);
    if (job->held != NULL) job->held_count = wf_idlog_copy(&p->held, job->held);
}

/* `live` is given for the first time: it says what the peer told of its set. */
static void catch_up(struct queue *q, struct q_pair *p, const struct wf_q_live *live)
{
    struct chase *chase = wf_calloc(1, sizeof *chase);
    struct wf_job *job = chase == NULL ? NULL : wf_job_create(WF_JOB_PUSH);
    if (job == NULL) {
        wf_free(chase);
        return;
    }
    job->conn = p->conn;
    job->stream = p->stream;
    job->peer = p->key.peer;
    job->tree = p->key.tree;
    job->seen = taken_from(q, p);
    job->cursor = p->pos;
    job->skip_source = true;
    memcpy(job->peer_epoch, p->peer_epoch, sizeof job->peer_epoch);
    job->upto_seq = UINT64_MAX;
    copy_held(p, job);
    if (live != NULL) {
        job->theirs.tips_complete = false;
        job->theirs.tips_count = live->tips_count;
        job->theirs.tip_bytes = live->tip_bytes;
        memcpy(job->theirs.tips, live->tips, sizeof live->tips);
    }
    chase->pair = pair_ref(p);
    chase->life = p->life;
    weft_err err = weft_ask(q->self, q->table->reader, &job->req, WEFT_NEVER, on_caught_up, chase,
                            NULL);
    if (err == WEFT_OK) {
        p->job = true;
        return;
    }
    p->refs--;
    wf_free(chase);
    weft_drop(&job->req.msg);
}

/* -- The rooms' doors ---------------------------------------------------------------- */

static bool on_commit(struct queue *q, const weft_id *tree)
{
    return wf_tracks_on_commit(q->table->tracks, tree);
}

void wf_push_more(struct queue *q, struct q_pair *p)
{
    wf_tree_info info;
    if (!p->live || p->job || p->gone) return;
    if (p->waits == NULL && !on_commit(q, &p->key.tree)) return; /* until somebody asks */
    if (wf_store_tree(q->table->wf_store, &p->key.tree, &info) != WEFT_OK) return;
    if (p->pos.seq < info.seq && !may_read(q, p)) {
        give_up(q, p, WEFT_TREE);
        return;
    }
    while (covers(p) && p->flights < WEFT_PUSH_FRAMES_MAX) {
        if (!may_read(q, p)) {
            give_up(q, p, WEFT_TREE);
            return;
        }
        if (frame_from_recent(q, p) != WEFT_OK) break;
    }
    /* What is newer than the recent entries is on its way here with the next bell. */
    bool far = p->pos.seq < info.seq && !covers(p) &&
               (p->tree->recent_count == 0 ||
                p->pos.seq < p->tree->recent[p->tree->recent_count - 1].seq);
    if (far && p->flights < WEFT_PUSH_FRAMES_MAX) catch_up(q, p, NULL);
    waits_run(q, p);
}

void wf_push_ring(struct queue *q, const struct wf_stored *bell)
{
    for (uint32_t i = 0; i < bell->trees_count; i++) {
        struct q_tree *t = (struct q_tree *)wf_table_find(&q->trees, bell->trees[i].tree.bytes);
        if (t == NULL) continue;
        wf_q_tree_is(q, t, bell->trees[i].t);
        if (on_commit(q, &t->tree)) wf_recent_add(q, t, bell, &bell->trees[i]);
        else wf_recent_clear(q, t); /* the reader has it when it is asked for */
        for (struct q_pair *p = t->first; p != NULL; p = p->next) wf_push_more(q, p);
        wf_recent_trim(q, t);
    }
    if (!bell->more_trees) return;
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next)
        wf_push_more(q, (struct q_pair *)at);
}

void wf_push_on_tracks(struct queue *q, const struct wf_tracks_changed *changed)
{
    (void)changed; /* of one tree or of several: who has nothing to push does not */
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next)
        wf_push_more(q, (struct q_pair *)at);
}

void wf_push_end(struct queue *q, struct q_pair *p)
{
    waits_fail(p);
    if (!p->live) return;
    p->live = false;
    p->job = false;
    p->flights = 0;
    p->life++;
    wf_idlog_clear(&p->held);
    wf_idlog_clear(&p->told);
    wf_counter_sub(&q->table->counters->live_pairs, 1);
}

void wf_push_begin(struct queue *q, const struct wf_q_live *live)
{
    const struct q_stream *st = wf_q_stream_find(q, live->conn, live->stream);
    if (st == NULL || st->pair == NULL) return; /* it has ended already */
    struct q_pair *p = st->pair;
    if (p->gone) return;
    wf_tree_info info;
    const bool here = wf_store_tree(q->table->wf_store, &p->key.tree, &info) == WEFT_OK;
    if (here) wf_q_tree_is(q, p->tree, info.t);
    wf_push_end(q, p); /* of an older session */
    p->live = true;
    p->conn = live->conn;
    p->stream = live->stream;
    p->pos = live->from;
    p->need_seq = live->from.seq;
    p->pushed = 0;
    p->pushed_bytes = 0;
    memcpy(p->peer_epoch, live->peer_epoch, sizeof p->peer_epoch);
    wf_counter_add(&q->table->counters->live_pairs, 1);
    if (here && info.seq > p->pos.seq && on_commit(q, &p->key.tree) && may_read(q, p))
        catch_up(q, p, live);
    wf_push_more(q, p);
}

weft_verdict wf_push_on_barrier(struct queue *q, struct wf_q_barrier *req)
{
    struct q_stream *st = wf_q_stream_find(q, req->conn, req->stream);
    struct q_pair *p = st == NULL ? NULL : st->pair;
    wf_tree_info info;
    weft_err err = WEFT_CLOSED;
    if (p == NULL || !p->live || p->conn != req->conn || p->stream != req->stream) goto done;
    err = wf_store_tree(q->table->wf_store, &p->key.tree, &info);
    if (err != WEFT_OK) goto done;
    struct q_wait *wait = wf_calloc(1, sizeof *wait);
    err = WEFT_NO_MEMORY;
    if (wait == NULL) goto done;
    wait->req = req;
    wait->seq = info.seq;
    *p->waits_end = wait;
    p->waits_end = &wait->next;
    wf_push_more(q, p);
    return WEFT_KEPT;
done:
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}
