/* SPDX-License-Identifier: Apache-2.0
 * conn_send.c - what leaves a connection: chooses frames, packs them into records,
 * encrypts, sends. Called by: manager.c, conn.c. May touch: the connection's sending
 * half, its streams' lanes, the socket. Never: waits, or allocates for a record. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"

/* From here on a piece of a frame is encrypted where it lies instead of being copied
 * together with its neighbours. */
#define DIRECT_BYTES (8u << 10)
#define RECORD_ROOM (WF_RECORD_HEAD + WEFT_RECORD_BYTES_MAX)

void wf_out_free(struct wf_out *o, weft_err answer)
{
    weft_buf_unref(o->frame);
    if (o->req != NULL) weft_reply(&o->req->req, answer);
    wf_free(o);
}

void wf_send_drop_cur(struct wf_conn *c)
{
    if (c->cur == NULL || c->cur->req == NULL) return;
    weft_reply(&c->cur->req->req, WEFT_CLOSED);
    c->cur->req = NULL;
}

/* -- Which frame is next ---------------------------------------------------------------- */

/* Takes the first frame of the lane, if its credit is there. One that needs none does not pass
 * those before it that wait for theirs: a DONE that came before its STATE would be an offence. */
static struct wf_out *take(struct wf_lane *lane)
{
    struct wf_stream *s = lane->stream;
    struct wf_conn *c = s->conn;
    struct wf_out *o = lane->first;
    wf_stream_unlist(lane);
    if (lane->bulk && !o->charged && s->lanes[0].first != NULL) return NULL; /* listed with them */
    if (o->charged && !wf_credit_out_fits(&c->credit_out, &s->out, o->len)) {
        wf_stream_ask(s);
        if (s->stuck_since == WEFT_NEVER) s->stuck_since = weft_now(c->m->self);
        wf_conn_arm(c);
        return NULL; /* out of the list until credit comes */
    }
    lane->first = o->next;
    if (lane->first == NULL) lane->last = NULL;
    else wf_stream_list(lane); /* behind the others: one frame each in turn */
    if (o->req == NULL) c->control_bytes -= o->len + WEFT_OUTBOUND_FRAME_COST;
    if (o->charged) {
        wf_credit_out_take(&c->credit_out, &s->out, o->len);
        s->queued -= o->len;
        s->stuck_since = WEFT_NEVER;
        wf_stream_ask(s); /* early, so that the pipeline does not run dry */
    }
    if (lane->first == NULL) wf_stream_idle(s);
    return o;
}

static struct wf_out *next_frame(struct wf_conn *c)
{
    if (c->state != WF_CONN_UP) return NULL;
    for (unsigned i = 0; i < 2; i++) {
        while (c->ready_first[i] != NULL) {
            struct wf_out *o = take(c->ready_first[i]);
            if (o != NULL) return o;
        }
    }
    return NULL;
}

static void frame_done(struct wf_conn *c)
{
    struct wf_out *o = c->cur;
    c->cur = NULL;
    c->cur_at = 0;
    c->frames_out++;
    wf_out_free(o, WEFT_OK);
}

/* -- Records -------------------------------------------------------------------------------- */

static weft_err seal(struct wf_conn *c, const uint8_t *plain, size_t len)
{
    uint8_t *to;
    size_t sealed = len + WF_NOISE_TAG_BYTES;
    if (wf_bytes_len(&c->out) == 0) c->last_out = weft_now(c->m->self);
    weft_err err = wf_bytes_reserve(&c->out, WF_RECORD_HEAD + sealed, &to);
    if (err != WEFT_OK) return err;
    to[0] = (uint8_t)(sealed >> 8);
    to[1] = (uint8_t)sealed;
    err = wf_noise_encrypt(c->noise, plain, len, to + WF_RECORD_HEAD);
    if (err != WEFT_OK) return err;
    wf_bytes_added(&c->out, WF_RECORD_HEAD + sealed);
    return WEFT_OK;
}

weft_err wf_conn_raw(struct wf_conn *c, const uint8_t *data, size_t len)
{
    uint8_t head[WF_RECORD_HEAD] = {(uint8_t)(len >> 8), (uint8_t)len};
    WF_ASSERT(len > 0 && len <= WEFT_RECORD_BYTES_MAX);
    weft_err err = wf_bytes_append(&c->out, head, sizeof head);
    return err == WEFT_OK ? wf_bytes_append(&c->out, data, len) : err;
}

/* `n` more bytes of the frame under way, just before they are encrypted. */
static const uint8_t *piece(struct wf_conn *c, size_t n)
{
    const struct wf_transport_options *o = &c->m->options;
    const uint8_t *from = weft_buf_bytes(c->cur->frame) + c->cur_at;
    if (o->on_encrypt != NULL) {
        const struct wf_stream *s = c->cur_at == 0 ? wf_stream_find(c, c->cur->stream) : NULL;
        if (c->cur_at == 0) c->cur_named = s != NULL && s->registered;
        if (c->cur_at == 0 && c->cur_named) c->cur_id = s->cookie_id;
        o->on_encrypt(o->on_encrypt_arg, &c->key, c->cur_named ? &c->cur_id : NULL, c->cur->type);
    }
    c->cur_at += (uint32_t)n;
    return from;
}

/* Makes one record of what waits. END: nothing does. */
static weft_err make_record(struct wf_conn *c)
{
    uint8_t *plain = c->m->plain;
    size_t fill = 0;
    while (fill < WF_NOISE_PLAIN_MAX) {
        size_t room = WF_NOISE_PLAIN_MAX - fill;
        if (c->cur == NULL && wf_bytes_len(&c->urgent) > 0) {
            size_t n = wf_bytes_len(&c->urgent) < room ? wf_bytes_len(&c->urgent) : room;
            memcpy(plain + fill, wf_bytes_front(&c->urgent), n);
            wf_bytes_take(&c->urgent, n);
            fill += n;
            continue;
        }
        if (c->cur == NULL) c->cur = next_frame(c);
        if (c->cur == NULL && wf_bytes_len(&c->urgent) > 0) continue; /* it asked for credit */
        if (c->cur == NULL) break;
        size_t left = c->cur->len - c->cur_at;
        if (fill == 0 && left >= DIRECT_BYTES) {
            size_t n = left < room ? left : room;
            weft_err err = seal(c, piece(c, n), n);
            if (err != WEFT_OK) return err;
            if (n == left) frame_done(c);
            return WEFT_OK;
        }
        if (left >= DIRECT_BYTES && left > room) break; /* what is gathered goes first */
        size_t n = left < room ? left : room;
        memcpy(plain + fill, piece(c, n), n);
        fill += n;
        if (n == left) frame_done(c);
    }
    return fill > 0 ? seal(c, plain, fill) : WEFT_END;
}

weft_err wf_send_finish_cur(struct wf_conn *c)
{
    while (c->cur != NULL) {
        size_t left = c->cur->len - c->cur_at;
        size_t n = left < WF_NOISE_PLAIN_MAX ? left : WF_NOISE_PLAIN_MAX;
        weft_err err = seal(c, piece(c, n), n);
        if (err != WEFT_OK) return err;
        if (n == left) frame_done(c);
    }
    wf_manager_flush_later(c->m, c);
    return WEFT_OK;
}

/* Every look at the clock asks whether that goes on. */
static weft_err send_some(struct wf_conn *c)
{
    wf_net *net = c->net->net;
    while (wf_bytes_len(&c->out) > 0) {
        size_t moved = 0;
        weft_err err = net->ops->send(net, c->sock, wf_bytes_front(&c->out), wf_bytes_len(&c->out),
                                      &moved);
        if (err != WEFT_OK) return err;
        wf_bytes_take(&c->out, moved);
        c->wire_out += moved;
        c->last_out = weft_now(c->m->self);
    }
    return WEFT_OK;
}

void wf_conn_flush(struct wf_conn *c)
{
    if (c->state == WF_CONN_DIALLING || c->state == WF_CONN_DEAD) return;
    if (c->doom != WEFT_OK) {
        wf_conn_close(c, c->doom, c->doom_text);
        return;
    }
    bool secure = wf_conn_open(c) || (c->state == WF_CONN_LINGER && wf_noise_done(c->noise));
    for (;;) {
        weft_err err = WEFT_OK;
        while (secure && err == WEFT_OK && wf_bytes_len(&c->out) + RECORD_ROOM <= WF_OUT_BYTES)
            err = make_record(c);
        bool more = err == WEFT_OK && secure;
        if (err == WEFT_OK || err == WEFT_END) err = send_some(c);
        if (err == WEFT_AGAIN) break;
        if (err != WEFT_OK) {
            /* The reason may be waiting to be read: an authenticated CLOSE. */
            wf_conn_receive(c);
            wf_conn_drop(c, err, "the connection broke while sending");
            return;
        }
        if (!more) break;
    }
    if (c->doom != WEFT_OK) wf_conn_close(c, c->doom, c->doom_text);
    else wf_conn_interest(c);
    if (c->state == WF_CONN_UP && wf_bytes_len(&c->out) > 0) wf_conn_arm(c);
}

void wf_conn_poke(struct wf_conn *c)
{
    if (wf_bytes_len(&c->urgent) > WF_URGENT_BYTES)
        wf_conn_doom(c, WEFT_BUSY, "the peer does not read");
    wf_manager_flush_later(c->m, c);
}
