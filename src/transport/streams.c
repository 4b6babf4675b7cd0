/* SPDX-License-Identifier: Apache-2.0
 * streams.c - the streams of a connection: what waits on them, what they may send and
 * what was lent to them. Called by: manager.c, conn.c, conn_in.c, conn_send.c.
 * May touch: streams and credit. Never: sockets, keys, the bytes of frames. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"

#define GIVE_BACK_NS (5 * WEFT_SEC) /* a loan that nothing waits for goes back */

struct wf_stream *wf_stream_find(struct wf_conn *c, uint32_t number)
{
    if (c->buckets == NULL) return NULL;
    struct wf_stream *s = c->buckets[number % WF_STREAM_BUCKETS];
    while (s != NULL && s->number != number) s = s->chain;
    return s;
}

weft_err wf_stream_get(struct wf_conn *c, uint32_t number, struct wf_stream **out)
{
    struct wf_stream *s = wf_stream_find(c, number);
    if (s == NULL) {
        if (c->streams_count >= WF_STREAMS_MAX) return WEFT_LIMIT;
        if (c->buckets == NULL) c->buckets = wf_calloc(WF_STREAM_BUCKETS, sizeof *c->buckets);
        if (c->buckets == NULL) return WEFT_NO_MEMORY;
        s = wf_calloc(1, sizeof *s);
        if (s == NULL) return WEFT_NO_MEMORY;
        s->conn = c;
        s->number = number;
        s->stuck_since = s->quiet_since = s->loan_since = WEFT_NEVER;
        /* The answer to what we have asked may be long, and so may what was under way when
         * we ended a stream. */
        s->in.unknown = !wf_stream_was_ours(c, number) && !wf_stream_was_ended(c, number);
        s->lanes[0].stream = s->lanes[1].stream = s;
        s->lanes[1].bulk = true;
        s->chain = c->buckets[number % WF_STREAM_BUCKETS];
        c->buckets[number % WF_STREAM_BUCKETS] = s;
        s->prev = c->streams_last;
        if (s->prev != NULL) s->prev->next = s;
        else c->streams = s;
        c->streams_last = s;
        c->streams_count++;
    }
    *out = s;
    return WEFT_OK;
}

static void unlink_and_free(struct wf_stream *s)
{
    struct wf_conn *c = s->conn;
    struct wf_stream **at = &c->buckets[s->number % WF_STREAM_BUCKETS];
    while (*at != s) at = &(*at)->chain;
    *at = s->chain;
    if (s->prev != NULL) s->prev->next = s->next;
    else c->streams = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
    else c->streams_last = s->prev;
    c->streams_count--;
    wf_stream_unlist(&s->lanes[0]);
    wf_stream_unlist(&s->lanes[1]);
    weft_drop(s->ending == NULL ? NULL : &s->ending->msg);
    wf_free(s);
}

void wf_stream_idle(struct wf_stream *s)
{
    if (s->registered || s->lanes[0].first != NULL || s->lanes[1].first != NULL) return;
    if (s->out.loan > 0 || s->out.asked || !wf_credit_in_idle(&s->in)) return;
    unlink_and_free(s);
}

/* -- Registration ------------------------------------------------------------------------ */

bool wf_stream_was_ours(const struct wf_conn *c, uint32_t number)
{
    return number != 0 && number % 2 == (c->dialled ? 1u : 0u) && number <= c->own_stream;
}

bool wf_stream_was_ended(const struct wf_conn *c, uint32_t number)
{
    for (uint32_t i = 0; i < c->ended_count; i++)
        if (c->ended[i] == number) return true;
    return false;
}

weft_err wf_stream_register(struct wf_conn *c, struct wf_tp_stream *req)
{
    struct wf_stream *s = NULL;
    if (wf_stream_was_ended(c, req->stream)) return WEFT_EXISTS; /* numbers are not used twice */
    if (c->registered_count >= WEFT_SESSIONS_PER_CONNECTION_MAX) return WEFT_LIMIT;
    if (c->ended == NULL) c->ended = wf_calloc(WF_ENDED_STREAMS, sizeof *c->ended);
    if (c->ended == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_stream_get(c, req->stream, &s);
    if (err != WEFT_OK) return err;
    if (s->registered) return WEFT_EXISTS;
    s->ending = (struct wf_tp_bulk_in *)weft_new(&wf_tp_bulk_in_kind);
    if (s->ending == NULL) {
        wf_stream_idle(s);
        return WEFT_NO_MEMORY;
    }
    s->registered = true;
    wf_credit_in_known(&c->credit_in, &s->in);
    s->cookie = req->cookie;
    s->cookie_id = req->cookie_id;
    s->cookie_bit = req->cookie_bit;
    c->registered_count++;
    return WEFT_OK;
}

/* The verifiers hear the end behind all that arrived before it. */
static void unregister(struct wf_stream *s)
{
    struct wf_conn *c = s->conn;
    struct wf_manager *m = c->m;
    struct wf_tp_bulk_in *end = s->ending;
    if (!s->registered) return;
    s->registered = false;
    s->ending = NULL;
    c->registered_count--;
    end->conn = c->id;
    end->key = c->key;
    end->stream = s->number;
    end->n = ++s->n;
    end->end = true;
    end->cookie = s->cookie;
    end->cookie_id = s->cookie_id;
    end->arrived_ns = weft_now(m->self);
    if (m->options.verifiers_count == 0) {
        weft_drop(&end->msg);
        return;
    }
    wf_manager_tell(m->options.verifiers[end->n % m->options.verifiers_count], &end->msg);
}

void wf_stream_give_back(struct wf_stream *s)
{
    uint64_t back;
    struct wf_conn *c = s->conn;
    s->quiet_since = WEFT_NEVER;
    if (!wf_credit_out_give_back(&s->out, &back)) return;
    if (wf_frame_put_blocked(&c->urgent, s->number, 0, back) == WEFT_OK) wf_conn_poke(c);
    else wf_conn_doom(c, WEFT_NO_MEMORY, "no memory");
}

weft_err wf_stream_end(struct wf_conn *c, uint32_t number)
{
    struct wf_stream *s = wf_stream_find(c, number);
    if (s == NULL) return WEFT_NOT_FOUND;
    if (c->cur != NULL && c->cur->stream == number) {
        /* Who ends the stream may do so because the peer has lost a right: nothing of it is
         * encrypted any more once that is answered. */
        wf_send_drop_cur(c);
        if (wf_send_finish_cur(c) != WEFT_OK) {
            wf_conn_drop(c, WEFT_NO_MEMORY, "no memory");
            return WEFT_CLOSED;
        }
    }
    wf_stream_drop_queue(s, true);
    if (!s->registered) { /* an OPEN, say, that had no answer yet */
        if (s->queued == 0) wf_stream_give_back(s);
        wf_stream_idle(s);
        return WEFT_NOT_FOUND;
    }
    unregister(s);
    c->ended[c->ended_at] = number;
    c->ended_at = (c->ended_at + 1) % WF_ENDED_STREAMS;
    if (c->ended_count < WF_ENDED_STREAMS) c->ended_count++;
    if (s->queued == 0) wf_stream_give_back(s);
    wf_stream_idle(s);
    return WEFT_OK;
}

void wf_stream_free_all(struct wf_conn *c)
{
    while (c->streams != NULL) {
        struct wf_stream *s = c->streams;
        wf_stream_drop_queue(s, false);
        unregister(s);
        wf_credit_in_stream_end(&c->credit_in, &s->in);
        unlink_and_free(s);
    }
    wf_free(c->buckets);
    wf_free(c->ended);
    c->buckets = NULL;
    c->ended = NULL;
    c->ended_count = 0;
}

/* -- Waiting and sending ------------------------------------------------------------------- */

void wf_stream_list(struct wf_lane *lane)
{
    struct wf_conn *c = lane->stream->conn;
    unsigned i = lane->bulk ? 1 : 0;
    if (lane->listed) return;
    lane->prev = c->ready_last[i];
    lane->next = NULL;
    if (lane->prev != NULL) lane->prev->next = lane;
    else c->ready_first[i] = lane;
    c->ready_last[i] = lane;
    lane->listed = true;
}

void wf_stream_unlist(struct wf_lane *lane)
{
    struct wf_conn *c = lane->stream->conn;
    unsigned i = lane->bulk ? 1 : 0;
    if (!lane->listed) return;
    if (lane->prev != NULL) lane->prev->next = lane->next;
    else c->ready_first[i] = lane->next;
    if (lane->next != NULL) lane->next->prev = lane->prev;
    else c->ready_last[i] = lane->prev;
    lane->prev = lane->next = NULL;
    lane->listed = false;
}

weft_err wf_stream_queue(struct wf_stream *s, struct wf_out *o, bool in_place)
{
    struct wf_lane *lane = &s->lanes[in_place ? 1 : 0];
    if (s->send_dead) return WEFT_CLOSED;
    o->next = NULL;
    if (lane->last != NULL) lane->last->next = o;
    else lane->first = o;
    lane->last = o;
    if (o->charged) s->queued += o->len;
    if (o->req == NULL) s->conn->control_bytes += o->len + WEFT_OUTBOUND_FRAME_COST;
    /* One that waits for credit stays out of the list; what is behind it waits, too. */
    if (lane->first == o) wf_stream_list(lane);
    s->quiet_since = WEFT_NEVER;
    return WEFT_OK;
}

static void drop_lane(struct wf_lane *lane, bool charged_only)
{
    struct wf_stream *s = lane->stream;
    struct wf_out *kept = NULL, **kept_end = &kept;
    struct wf_out *o = lane->first;
    lane->first = lane->last = NULL;
    while (o != NULL) {
        struct wf_out *next = o->next;
        if (charged_only && !lane->bulk && !o->charged) {
            o->next = NULL;
            *kept_end = o;
            kept_end = &o->next;
            lane->last = o;
        } else {
            if (o->charged) s->queued -= o->len;
            if (o->req == NULL) s->conn->control_bytes -= o->len + WEFT_OUTBOUND_FRAME_COST;
            wf_out_free(o, WEFT_CLOSED);
        }
        o = next;
    }
    lane->first = kept;
    if (kept != NULL) wf_stream_list(lane);
    else wf_stream_unlist(lane);
}

void wf_stream_drop_queue(struct wf_stream *s, bool charged_only)
{
    drop_lane(&s->lanes[0], charged_only);
    drop_lane(&s->lanes[1], charged_only);
    s->stuck_since = WEFT_NEVER;
}

void wf_stream_unstick(struct wf_stream *s)
{
    for (unsigned i = 0; i < 2; i++)
        if (s->lanes[i].first != NULL) wf_stream_list(&s->lanes[i]);
}

static uint64_t head_of(const struct wf_lane *lane)
{
    return lane->first != NULL && lane->first->charged ? lane->first->len : 0;
}

void wf_stream_ask(struct wf_stream *s)
{
    uint64_t need, back, control = head_of(&s->lanes[0]), bulk = head_of(&s->lanes[1]);
    struct wf_conn *c = s->conn;
    if (!wf_credit_out_ask(&c->credit_out, &s->out, control > bulk ? control : bulk, s->queued,
                           &need, &back))
        return;
    if (wf_frame_put_blocked(&c->urgent, s->number, need, back) != WEFT_OK)
        wf_conn_doom(c, WEFT_NO_MEMORY, "no memory");
}

/* -- What we lend -------------------------------------------------------------------------- */

static struct wf_conn *conn_of(struct wf_credit_in *in)
{
    return (struct wf_conn *)((char *)in - offsetof(struct wf_conn, credit_in));
}

static struct wf_stream *stream_of(struct wf_credit_in_stream *in)
{
    return (struct wf_stream *)((char *)in - offsetof(struct wf_stream, in));
}

void wf_stream_grants(struct wf_manager *m)
{
    struct wf_credit_in *in;
    uint64_t bytes;
    struct wf_credit_in_stream *granted;
    while ((granted = wf_credit_pool_grant(&m->pool, &in, &bytes)) != NULL) {
        struct wf_conn *c = conn_of(in);
        struct wf_stream *s = stream_of(granted);
        s->loan_since = weft_now(m->self);
        wf_conn_arm(c);
        if (wf_frame_put_credit(&c->urgent, s->number, bytes, true) != WEFT_OK)
            wf_conn_doom(c, WEFT_NO_MEMORY, "no memory");
        else wf_conn_poke(c);
    }
}

void wf_stream_release(struct wf_conn *c, uint32_t number, uint32_t bytes)
{
    struct wf_stream *s = wf_stream_find(c, number);
    if (s == NULL) return;
    wf_credit_in_release(&c->credit_in, &s->in, bytes);
    uint64_t back = wf_credit_in_window_back(&c->credit_in);
    if (back > 0 && wf_frame_put_credit(&c->urgent, 0, back, false) != WEFT_OK) {
        wf_conn_doom(c, WEFT_NO_MEMORY, "no memory");
        return;
    }
    if (back > 0) wf_conn_poke(c);
    wf_stream_idle(s);
    if (c->m->pool.first != NULL) wf_stream_grants(c->m);
}

/* -- The clock ------------------------------------------------------------------------------ */

/* False: the connection was closed. */
static bool tick_send(struct wf_stream *s, weft_ns now)
{
    struct wf_conn *c = s->conn;
    if (s->stuck_since != WEFT_NEVER && now - s->stuck_since >= WEFT_CREDIT_TIMEOUT_NS) {
        if (s->number == 0) {
            wf_conn_close(c, WEFT_TIMED_OUT, "no credit");
            return false;
        }
        wf_stream_drop_queue(s, false);
        s->send_dead = true;
        wf_conn_tell_close(c, s->number, WEFT_LIMIT, "no credit");
        if (wf_frame_put_err(&c->urgent, s->number, WF_W_LIMIT, "no credit") != WEFT_OK)
            return true;
        wf_conn_poke(c);
    }
    if (s->queued > 0 || s->out.loan == 0) return true;
    if (s->quiet_since == WEFT_NEVER) s->quiet_since = now;
    else if (now - s->quiet_since >= GIVE_BACK_NS) wf_stream_give_back(s);
    return true;
}

static bool tick_receive(struct wf_stream *s, weft_ns now)
{
    struct wf_conn *c = s->conn;
    if (s->in.loan == 0) s->loan_since = WEFT_NEVER;
    if (s->loan_since == WEFT_NEVER || now - s->loan_since < WEFT_CREDIT_TIMEOUT_NS) return true;
    if (!s->registered) { /* an ended stream's sender owes it back since long */
        wf_conn_close(c, WEFT_LIMIT, "a loan was kept");
        return false;
    }
    s->loan_since = now;
    wf_conn_tell_close(c, s->number, WEFT_LIMIT, "a loan was not used");
    if (wf_frame_put_err(&c->urgent, s->number, WF_W_LIMIT, "a loan was not used") == WEFT_OK)
        wf_conn_poke(c);
    return true;
}

/* While we do not read, the peer can neither use a loan nor give credit. A stream that nobody
 * here knows has no such grace: who floods us must not keep a loan by that. */
static void excuse(struct wf_conn *c, weft_ns now)
{
    for (struct wf_stream *s = c->streams; s != NULL; s = s->next) {
        if (s->stuck_since != WEFT_NEVER) s->stuck_since = now;
        if (s->registered && s->loan_since != WEFT_NEVER) s->loan_since = now;
    }
}

bool wf_stream_tick(struct wf_conn *c, weft_ns now)
{
    bool watch = false;
    if (c->paused) excuse(c, now);
    for (struct wf_stream *s = c->streams, *next; s != NULL; s = next) {
        next = s->next;
        if (!tick_send(s, now) || !tick_receive(s, now)) return false;
        watch |= s->stuck_since != WEFT_NEVER || s->in.loan > 0 || s->out.loan > 0 || s->out.asked;
        wf_stream_idle(s);
    }
    return watch;
}
