/* SPDX-License-Identifier: Apache-2.0
 * conn_in.c - what arrives on a connection: records, frames, and where they go.
 * Called by: conn.c. May touch: the connection's receiving half, its streams' credit.
 * Never: looks into a frame that belongs to the layers above beyond the bounded scan. */
#include <stdio.h>
#include <string.h>

#include "cursor.h"
#include "log.h"
#include "manager.h"

#define SECURE_MIN (WF_NOISE_TAG_BYTES + 1u) /* an empty record says nothing */

/* -- Upwards ------------------------------------------------------------------------------ */

/* One more is with those above. A peer that sends faster than they consume is read no
 * further: that is a bound on every mailbox that its frames can fill, whatever they are. */
static void hold(struct wf_conn *c)
{
    c->held++;
    if (c->held < WEFT_FRAMES_HELD_MAX || c->paused) return;
    c->paused = true;
    c->paused_since = weft_now(c->m->self);
    c->in_since = WEFT_NEVER;
    wf_conn_interest(c);
    wf_conn_arm(c);
}

static weft_err to_owner(struct wf_conn *c, uint32_t type, uint32_t stream, weft_buf *body,
                         uint32_t charged)
{
    struct wf_tp_frame *f = (struct wf_tp_frame *)weft_new(&wf_tp_frame_kind);
    if (f == NULL) return WEFT_NO_MEMORY;
    f->conn = c->id;
    f->key = c->key;
    f->stream = stream;
    f->type = type;
    f->buf = weft_buf_ref(body);
    f->bytes = weft_buf_bytes(body);
    f->len = weft_buf_len(body);
    f->frame_bytes = charged;
    hold(c);
    wf_manager_tell(c->m->options.events_to, &f->msg);
    return WEFT_OK;
}

static weft_err to_verifier(struct wf_conn *c, struct wf_stream *s, uint32_t type, weft_buf *body,
                            uint32_t charged)
{
    struct wf_manager *m = c->m;
    struct wf_tp_bulk_in *b = (struct wf_tp_bulk_in *)weft_new(&wf_tp_bulk_in_kind);
    if (b == NULL) return WEFT_NO_MEMORY;
    b->conn = c->id;
    b->key = c->key;
    b->stream = s->number;
    b->n = ++s->n;
    b->type = type;
    b->cookie = s->cookie;
    b->cookie_id = s->cookie_id;
    b->cookie_bit = s->cookie_bit;
    b->buf = weft_buf_ref(body);
    b->bytes = weft_buf_bytes(body);
    b->len = weft_buf_len(body);
    b->frame_bytes = charged;
    b->arrived_ns = weft_now(m->self);
    if (m->options.verifiers_count == 0) return weft_drop(&b->msg), WEFT_UNSUPPORTED;
    hold(c);
    wf_manager_tell(m->options.verifiers[b->n % m->options.verifiers_count], &b->msg);
    return WEFT_OK;
}

void wf_conn_tell_close(struct wf_conn *c, uint32_t stream, weft_err why, const char *text)
{
    weft_buf *body;
    if (wf_frame_make_close(stream, wf_wire_code_of(why), text, &body) != WEFT_OK) return;
    (void)to_owner(c, WF_F_CLOSE, stream, body, 0);
    weft_buf_unref(body);
}

/* -- The transport's own frames ------------------------------------------------------------- */

/* `loan`: for one stream; else the window, which is everybody's. */
static weft_err on_credit(struct wf_conn *c, uint32_t stream, uint64_t bytes, bool loan)
{
    struct wf_stream *s = loan ? wf_stream_find(c, stream) : NULL;
    if (bytes == 0) return WEFT_PROTOCOL;        /* it says nothing and makes work */
    if (loan && s == NULL) return WEFT_PROTOCOL; /* who has asked is still there */
    if (!wf_credit_out_credit(&c->credit_out, s == NULL ? NULL : &s->out, bytes))
        return WEFT_PROTOCOL;
    if (s != NULL) {
        wf_stream_unstick(s);
        if (!s->registered && s->queued == 0) wf_stream_give_back(s);
        wf_stream_idle(s);
    } else {
        for (s = c->streams; s != NULL; s = s->next) wf_stream_unstick(s);
    }
    wf_conn_arm(c);
    wf_manager_flush_later(c->m, c);
    return WEFT_OK;
}

static weft_err on_blocked(struct wf_conn *c, uint32_t stream, uint64_t need, uint64_t back)
{
    struct wf_stream *s;
    weft_err err = wf_stream_get(c, stream, &s);
    if (err != WEFT_OK) return err;
    if (!wf_credit_in_ask(&c->credit_in, &s->in, need, back)) return WEFT_LIMIT;
    uint64_t window = wf_credit_in_window_back(&c->credit_in);
    if (window > 0) {
        err = wf_frame_put_credit(&c->urgent, 0, window, false);
        if (err != WEFT_OK) return err;
        wf_conn_poke(c);
    }
    wf_stream_idle(s);
    wf_stream_grants(c->m);
    return WEFT_OK;
}

static void on_pong(struct wf_conn *c, const uint8_t token[8])
{
    uint64_t value;
    memcpy(&value, token, sizeof value);
    if (!c->ping_out || value != c->ping_token) return;
    c->ping_out = false;
    uint64_t rtt = weft_now(c->m->self) - c->ping_at;
    c->rtt_ns = c->rtt_ns == 0 ? rtt : (7 * c->rtt_ns + rtt) / 8;
}

static void on_peer_close(struct wf_conn *c, const uint8_t *body, size_t len)
{
    uint64_t code;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
    if (wf_frame_get_close(body, len, &code, text) != WEFT_OK) {
        wf_conn_breach(c, WEFT_SYNTAX, "a malformed CLOSE");
        return;
    }
    wf_conn_drop(c, wf_wire_err(code), text[0] != '\0' ? text : "closed by the peer");
}

/* True: it was one of the transport's. */
static bool own_frame(struct wf_conn *c, uint64_t type, uint32_t stream, const uint8_t *body,
                      size_t len)
{
    uint64_t a, b;
    bool loan;
    uint8_t token[8];
    weft_err err = WEFT_SYNTAX;
    switch (type) {
    case WF_F_CREDIT:
        err = wf_frame_get_credit(body, len, &a, &loan);
        if (err == WEFT_OK) err = on_credit(c, stream, a, loan);
        break;
    case WF_F_BLOCKED:
        err = wf_frame_get_blocked(body, len, &a, &b);
        if (err == WEFT_OK) err = on_blocked(c, stream, a, b);
        break;
    case WF_F_PING:
        err = wf_frame_get_ping(body, len, token);
        if (err == WEFT_OK) err = wf_frame_put_ping(&c->urgent, true, token);
        if (err == WEFT_OK) wf_conn_poke(c);
        break;
    case WF_F_PONG:
        err = wf_frame_get_ping(body, len, token);
        if (err == WEFT_OK) on_pong(c, token);
        break;
    case WF_F_HELLO: /* a second one */ break;
    case WF_F_CLOSE:
        if (stream != 0) return false;
        on_peer_close(c, body, len);
        return true;
    default: return false;
    }
    if (err != WEFT_OK) wf_conn_breach(c, err, "a malformed frame of the transport");
    return true;
}

static void first_frame(struct wf_conn *c, uint64_t type, const uint8_t *body, size_t len)
{
    struct wf_hello hello;
    uint64_t code;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
    if (type == WF_F_HELLO && wf_frame_get_hello(body, len, &hello) == WEFT_OK) {
        wf_conn_hello(c, &hello);
    } else if (type == WF_F_CLOSE) {
        on_peer_close(c, body, len);
    } else if (type == WF_F_ERR && wf_frame_get_close(body, len, &code, text) == WEFT_OK) {
        wf_conn_drop(c, code == WF_W_OK ? WEFT_PROTOCOL : wf_wire_err(code), "refused by the peer");
    } else {
        wf_conn_breach(c, WEFT_PROTOCOL, "the first frame is not HELLO");
    }
}

/* -- Frames --------------------------------------------------------------------------------- */

/* Type and stream are known, the rest may still be on its way: whatever can be refused
 * is refused before it costs memory. */
static weft_err admit(struct wf_conn *c)
{
    struct wf_frame_in *f = &c->frame;
    struct wf_stream *s = NULL;
    uint32_t whole = f->len + WF_FRAME_HEAD;
    c->frame_refused = false;
    if (c->state != WF_CONN_UP) return f->len <= WF_FRAME_UNCHARGED_MAX ? WEFT_OK : WEFT_PROTOCOL;
    if (!wf_frame_known(f->type) && f->type < WF_FRAME_SKIPPABLE) return WEFT_SYNTAX;
    if (wf_frame_is_bulk(f->type)) {
        s = wf_stream_find(c, f->stream);
        if (s == NULL || !s->registered) {
            if (!wf_stream_was_ended(c, f->stream)) return WEFT_PROTOCOL;
            c->frame_refused = true; /* it was under way when we ended the stream */
        }
    }
    if (!wf_frame_charged(f->type))
        return f->len <= WF_FRAME_UNCHARGED_MAX ? WEFT_OK : WEFT_PROTOCOL;
    weft_err err = wf_stream_get(c, f->stream, &s);
    if (err != WEFT_OK) return err;
    if (!wf_credit_in_take(&c->credit_in, &s->in, whole)) return WEFT_LIMIT;
    /* Only a stream that somebody here has agreed to may go on with its loan by using it: one
     * key that nobody knows could else keep what all peers share for ever. */
    if (s->registered) s->loan_since = weft_now(c->m->self);
    return WEFT_OK;
}

static void whole_frame(struct wf_conn *c)
{
    uint64_t type = c->frame.type;
    uint32_t stream = c->frame.stream;
    uint32_t charged = wf_frame_charged(type) ? c->frame.len + WF_FRAME_HEAD : 0;
    bool refused = c->frame_refused;
    weft_buf *body = wf_frame_in_take(&c->frame);
    const uint8_t *bytes = weft_buf_bytes(body);
    size_t len = weft_buf_len(body);
    weft_err err = WEFT_OK;
    c->frames_in++;
    if (refused || type >= WF_FRAME_SKIPPABLE) {
        if (c->state == WF_CONN_UP && charged > 0) wf_stream_release(c, stream, charged);
        goto done;
    }
    err = wf_scan(bytes, len, WF_FRAME_DEPTH_MAX, 2 * len);
    if (err != WEFT_OK) goto done;
    if (c->state == WF_CONN_HELLO) {
        first_frame(c, type, bytes, len);
    } else if (own_frame(c, type, stream, bytes, len)) {
        /* done */
    } else if (wf_frame_is_bulk(type)) {
        struct wf_stream *s = wf_stream_find(c, stream);
        if (s != NULL && s->registered) err = to_verifier(c, s, (uint32_t)type, body, charged);
        else if (charged > 0) /* the owner ended it while the frame arrived */
            wf_stream_release(c, stream, charged);
    } else {
        err = to_owner(c, (uint32_t)type, stream, body, charged);
    }
done:
    weft_buf_unref(body);
    if (err != WEFT_OK) wf_conn_breach(c, err, "a malformed frame");
}

static const char *refusal(weft_err err)
{
    switch (err) {
    case WEFT_LIMIT: return "more than was granted";
    case WEFT_SYNTAX: return "an unknown or malformed frame";
    case WEFT_NO_MEMORY: return "no memory";
    default: return "a frame that may not come here";
    }
}

/* Returns how many bytes it took: all but when reading has to pause. */
static size_t plain_bytes(struct wf_conn *c, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && wf_conn_open(c) && !c->paused) {
        size_t used = 0;
        if (c->doom != WEFT_OK) return len; /* it ends with this turn: no more answers pile up */
        bool known = c->frame.head_known;
        weft_err err = wf_frame_in_feed(&c->frame, data + at, len - at, &used);
        at += used;
        if (err == WEFT_OK && !known) err = admit(c);
        if (err != WEFT_OK && err != WEFT_AGAIN) wf_conn_breach(c, err, refusal(err));
        else if (wf_frame_in_whole(&c->frame)) whole_frame(c);
    }
    return at;
}

/* -- Records -------------------------------------------------------------------------------- */

/* Handles the whole records of `data`; returns how many bytes they took. */
static size_t records(struct wf_conn *c, uint8_t *data, size_t len)
{
    size_t at = 0;
    while (len - at >= WF_RECORD_HEAD && !c->paused &&
           (wf_conn_open(c) || c->state == WF_CONN_HANDSHAKE)) {
        size_t record = (size_t)data[at] << 8 | data[at + 1];
        uint8_t *body = data + at + WF_RECORD_HEAD;
        bool secure = c->state != WF_CONN_HANDSHAKE;
        if (secure ? record < SECURE_MIN : record == 0 || record > WF_NOISE_HANDSHAKE_MAX) {
            wf_conn_drop(c, WEFT_AUTH, "a record of an impossible size");
            break;
        }
        if (len - at - WF_RECORD_HEAD < record) break;
        at += WF_RECORD_HEAD + record;
        if (!secure) {
            weft_err err = wf_conn_handshake(c, body, record);
            if (err != WEFT_OK) wf_conn_drop(c, err, "the handshake failed");
            continue;
        }
        if (wf_noise_decrypt(c->noise, body, record, body) != WEFT_OK) {
            wf_conn_drop(c, WEFT_AUTH, "a record does not decrypt");
            break;
        }
        size_t plain = record - WF_NOISE_TAG_BYTES, used = plain_bytes(c, body, plain);
        if (!c->paused || used == plain) continue;
        if (wf_bytes_append(&c->later, body + used, plain - used) != WEFT_OK)
            wf_conn_drop(c, WEFT_NO_MEMORY, "no memory");
    }
    return at;
}

static void ended(struct wf_conn *c, weft_err err)
{
    if (c->state == WF_CONN_LINGER) wf_conn_drop(c, WEFT_OK, "closed");
    else if (c->state == WF_CONN_HANDSHAKE && (!c->dialled || !wf_conn_heard(c)))
        wf_conn_drop(c, WEFT_UNREACHABLE, "closed before the handshake");
    else if (c->state != WF_CONN_UP) wf_conn_drop(c, WEFT_AUTH, "refused by the peer");
    else if (err == WEFT_END) wf_conn_drop(c, WEFT_NETWORK, "ended without CLOSE");
    else wf_conn_drop(c, err, "the connection broke");
}

/* Marks since when something incomplete is here (slow senders are measured by it). */
static void measure(struct wf_conn *c, uint64_t frames_before, size_t received)
{
    bool partial = wf_bytes_len(&c->in) > 0 || wf_frame_in_begun(&c->frame);
    if (!partial || c->paused) {
        c->in_since = WEFT_NEVER;
    } else if (c->in_since == WEFT_NEVER || c->frames_in != frames_before) {
        c->in_since = weft_now(c->m->self);
        c->in_bytes = 0;
        wf_conn_arm(c);
    } else {
        c->in_bytes += received;
    }
}

/* What was received before a pause; else it is less than a record, and nothing happens. */
static size_t receive_held(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    size_t held = wf_bytes_len(&c->in), used;
    if (held > 0) memcpy(m->read_room, wf_bytes_front(&c->in), held);
    wf_bytes_take(&c->in, held);
    if (c->state == WF_CONN_LINGER) return 0;
    used = records(c, m->read_room, held);
    memmove(m->read_room, m->read_room + used, held - used);
    return held - used;
}

void wf_conn_receive(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    wf_net *net = c->net->net;
    uint64_t frames_before = c->frames_in;
    size_t total = 0;
    weft_err err = WEFT_OK;
    if (c->paused) return;
    bool lingers = c->state == WF_CONN_LINGER;
    size_t held = receive_held(c);
    if (c->state == WF_CONN_DEAD || (c->state == WF_CONN_LINGER && !lingers)) return;
    while (total < WF_READ_BYTES && !c->paused) {
        size_t moved = 0;
        err = net->ops->receive(net, c->sock, m->read_room + held, WF_READ_BYTES, &moved);
        if (err != WEFT_OK) break;
        total += moved;
        c->wire_in += moved;
        c->last_in = weft_now(m->self);
        if (c->state == WF_CONN_LINGER) continue; /* only the end matters now */
        size_t used = records(c, m->read_room, held + moved);
        held = held + moved - used;
        if (c->state == WF_CONN_DEAD || c->state == WF_CONN_LINGER) return;
        memmove(m->read_room, m->read_room + used, held);
        if (moved < WF_READ_BYTES / 2) break; /* most likely all there was; else we hear again */
    }
    if (err == WEFT_OK || err == WEFT_AGAIN) {
        if (c->state == WF_CONN_LINGER) return;
        if (wf_bytes_append(&c->in, m->read_room, held) != WEFT_OK)
            wf_conn_drop(c, WEFT_NO_MEMORY, "no memory");
        else measure(c, frames_before, total);
    } else {
        ended(c, err);
    }
}

void wf_conn_released(struct wf_conn *c)
{
    weft_ns now = weft_now(c->m->self);
    if (c->held > 0) c->held--;
    if (!c->paused || c->held > WEFT_FRAMES_HELD_MAX / 2) return;
    c->paused = false;
    c->last_in = now; /* its silence was ours */
    if (c->ping_out) c->ping_at = now;
    wf_bytes_take(&c->later, plain_bytes(c, wf_bytes_front(&c->later), wf_bytes_len(&c->later)));
    if (!c->paused) wf_bytes_trim(&c->later);
    if (!wf_conn_open(c)) return;
    wf_conn_receive(c); /* what is here already, too */
    if (wf_conn_open(c)) wf_conn_interest(c);
}
