/* SPDX-License-Identifier: Apache-2.0
 * engine_frame.c - what peers say: control frames, and what became of bulk.
 * Called by: engine.c. May touch: sessions through their events.
 * Never: keeps a frame's bytes; lets a malformed frame pass. */
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "engine_state.h"
#include "log.h"

static void step(struct engine *e, const struct wf_tp_frame *f, struct wf_session_event *ev)
{
    struct esession *es = wf_es_by_stream(e, f->conn, f->stream);
    if (es != NULL) wf_es_run(e, es, ev, f);
    /* Otherwise it is late: the session has ended here. */
}

/* -- OPEN ---------------------------------------------------------------------------- */

/* The peer's streams have its parity, and none is used twice. They come about in their order, but
 * not quite: an OPEN gets its number before its summary is made, and may wait for credit. */
bool wf_e_stream_fits(const struct conn *c, uint32_t stream)
{
    if (stream == 0 || stream % 2 != (c->up->dialled ? 0u : 1u)) return false;
    if (stream > c->peer_stream) return true;
    uint32_t at = stream / 2 % STREAMS_BACK;
    return (c->peer_stream - stream) / 2 < STREAMS_BACK &&
           (c->peer_used[at / 64] >> (at % 64) & 1u) == 0;
}

void wf_e_stream_used(struct conn *c, uint32_t stream)
{
    uint32_t next = c->peer_stream / 2 + 1, now = stream / 2;
    if (stream > c->peer_stream) {
        if (c->peer_stream == 0) next = now;
        if (now - next >= STREAMS_BACK) next = now - STREAMS_BACK + 1;
        for (; next <= now; next++)
            c->peer_used[next % STREAMS_BACK / 64] &= ~(UINT64_C(1) << (next % 64));
        c->peer_stream = stream;
    }
    c->peer_used[now % STREAMS_BACK / 64] |= UINT64_C(1) << (now % 64);
}

void wf_e_refuse(struct engine *e, struct conn *c, uint32_t stream, weft_err why, uint32_t ms)
{
    struct wf_err_frame bad = {.stream = stream, .code = wf_wire_code_of(why), .retry_ms = ms};
    wf_e_control(e, c->id, stream, wf_err_encode(WF_F_ERR, &bad));
}

/* Both opened at once: the session of the lower key counts. False: theirs is answered. */
static bool gives_way(struct engine *e, struct conn *c, const struct wf_open *open)
{
    struct esession *ours = wf_es_by_tree(e, c, &open->tree);
    if (ours == NULL) return true;
    bool crossing = ours->s.opener && ours->s.phase == WF_S_OPENED;
    if (crossing && weft_key_compare(&e->table->self, &c->peer->key) < 0) {
        struct wf_err_frame close = {.stream = open->stream, .code = WF_W_OK};
        wf_e_control(e, c->id, open->stream, wf_err_encode(WF_F_CLOSE, &close));
        return false;
    }
    return true; /* wf_es_accept takes over what waits for ours */
}

static void on_open(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    struct wf_open open;
    if (wf_open_decode(f->bytes, f->len, &open) != WEFT_OK || !wf_e_stream_fits(c, open.stream)) {
        wf_econn_close(e, c, WEFT_PROTOCOL, "OPEN");
        return;
    }
    wf_e_stream_used(c, open.stream);
    if (open.stream == c->refused_stream) return; /* it was told so already */
    if (!wf_es_room(e, c)) {
        wf_e_refuse(e, c, open.stream, WEFT_BUSY, 2000);
        return;
    }
    if ((open.flags & WF_OPEN_RAW) == 0 && !gives_way(e, c, &open)) return;
    wf_es_accept(e, c, &open);
}

/* -- TREES_REQ ----------------------------------------------------------------------- */

struct offers {
    struct conn *conn; /* counted */
    uint32_t stream;
};

/* What the peer may read now: it may have lost a right since the reader looked. */
static void send_offers(struct engine *e, struct conn *c, uint32_t stream, struct wf_look *look)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < look->trees_count && count < WEFT_IDS_PER_MESSAGE_MAX; i++)
        if (wf_access_may_read(e->table, &look->trees[i], &c->peer->key))
            look->trees[count++] = look->trees[i];
    struct wf_trees trees = {.stream = stream, .count = count, .ids = (const uint8_t *)look->trees};
    wf_e_control(e, c->id, stream, wf_trees_encode(&trees));
}

static void on_offers(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct offers *o = arg;
    struct wf_look *look = (struct wf_look *)req;
    struct conn *c = o->conn;
    e->order++;
    c->peer->offers--;
    e->offers--;
    wf_peer_settle(e, c->peer);
    if (!c->gone && err == WEFT_OK) send_offers(e, c, o->stream, look);
    else if (!c->gone) wf_e_refuse(e, c, o->stream, err, 0);
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_econn_put(e, c);
    wf_free(o);
}

static void on_trees_req(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    bool room = c->peer->offers < WEFT_OFFERS_UNDER_WAY_MAX && e->offers < WEFT_OFFERS_NODE_MAX;
    struct offers *o = room ? wf_calloc(1, sizeof *o) : NULL;
    struct wf_look *look = o == NULL ? NULL : wf_look_create(WF_LOOK_OFFERS);
    if (look != NULL) {
        *o = (struct offers){c, f->stream};
        look->peer = c->peer->key;
        c->refs++;
        c->peer->offers++;
        e->offers++;
        if (wf_e_ask(e, e->table->reader, &look->req, on_offers, o)) return;
        c->peer->offers--;
        e->offers--;
        wf_econn_put(e, c);
    }
    wf_free(o);
    wf_e_refuse(e, c, f->stream, WEFT_BUSY, 1000);
}

/* -- Frames of sessions -------------------------------------------------------------- */

static weft_err on_state(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_state state;
    weft_err err = wf_state_decode(f->bytes, f->len, &state);
    if (err == WEFT_OK) step(e, f, &(struct wf_session_event){.kind = WF_E_STATE, .state = &state});
    return err;
}

static weft_err on_ids(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_ids ids;
    weft_err err = wf_ids_decode(f->bytes, f->len, &ids);
    const struct esession *es = wf_es_by_stream(e, f->conn, f->stream);
    if (err != WEFT_OK || es == NULL) return err;
    /* Short ids in an exact session could drop data. */
    bool exact = (es->s.flags & WF_OPEN_EXACT) != 0;
    if (ids.id_bytes != (exact ? WEFT_ID_BYTES : 8u)) return WEFT_PROTOCOL;
    step(e, f, &(struct wf_session_event){.kind = WF_E_IDS});
    return WEFT_OK;
}

static weft_err on_bits(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_bits bits;
    weft_err err = wf_bits_decode(f->bytes, f->len, &bits);
    if (err == WEFT_OK) step(e, f, &(struct wf_session_event){.kind = WF_E_BITS, .bits = &bits});
    return err;
}

static weft_err on_want(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_want want;
    weft_err err = wf_want_decode(f->bytes, f->len, &want);
    if (err == WEFT_OK) step(e, f, &(struct wf_session_event){.kind = WF_E_WANT});
    return err;
}

static weft_err on_result(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_result result;
    weft_err err = wf_result_decode(f->bytes, f->len, &result);
    if (err == WEFT_OK)
        step(e, f,
             &(struct wf_session_event){
                 .kind = WF_E_RESULT, .code = result.code, .round = result.round});
    return err;
}

static weft_err on_end(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    struct wf_err_frame end;
    weft_err err = wf_err_decode(f->bytes, f->len, &end);
    if (err == WEFT_OK && end.code == WF_W_BUSY) wf_prove_on_busy(c, f->stream);
    if (err == WEFT_OK)
        step(e, f,
             &(struct wf_session_event){
                 .kind = WF_E_PEER_ENDED, .code = end.code, .round = f->type});
    return err;
}

static weft_err on_ack(struct engine *e, const struct wf_tp_frame *f)
{
    struct wf_ack ack;
    weft_err err = wf_ack_decode(f->bytes, f->len, &ack);
    struct esession *es = wf_es_by_stream(e, f->conn, f->stream);
    if (err != WEFT_OK || es == NULL) return err;
    struct wf_q_ack *msg = wf_q_new(&wf_q_ack_kind);
    if (msg == NULL) return WEFT_OK;
    msg->peer = f->key;
    msg->conn = f->conn;
    msg->ack = ack;
    e->passed_on = true;
    wf_e_send(e, e->table->queue, &msg->msg);
    wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_PROGRESS}, NULL);
    return WEFT_OK;
}

static void dispatch(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    weft_err err = WEFT_OK;
    switch (f->type) {
    case WF_F_OPEN: on_open(e, c, f); break;
    case WF_F_TREES_REQ: on_trees_req(e, c, f); break;
    case WF_F_STATE: err = on_state(e, f); break;
    case WF_F_IDS: err = on_ids(e, f); break;
    case WF_F_BITS: err = on_bits(e, f); break;
    case WF_F_WANT: err = on_want(e, f); break;
    case WF_F_RESULT: err = on_result(e, f); break;
    case WF_F_CLOSE:
    case WF_F_ERR: err = on_end(e, c, f); break;
    case WF_F_ACK: err = on_ack(e, f); break;
    case WF_F_PROVE: wf_prove_on_frame(e, c, f); break;
    case WF_F_JOIN: wf_join_on_frame(e, c, f); break;
    case WF_F_JOINED: wf_joined_on_frame(e, c, f); break;
    case WF_F_TREES: break; /* an answer that came too late */
    default: err = WEFT_PROTOCOL; break;
    }
    if (err != WEFT_OK) wf_econn_close(e, c, WEFT_PROTOCOL, "malformed frame");
}

void wf_e_release(struct engine *e, uint64_t conn, uint32_t stream, uint32_t bytes)
{
    struct wf_tp_release *release = wf_tp_new(&wf_tp_release_kind);
    if (release == NULL) return; /* the connection ends in its time */
    release->conn = conn;
    release->stream = stream;
    release->bytes = bytes;
    wf_e_send(e, e->table->transport, &release->msg);
}

void wf_e_on_frame(struct engine *e, struct wf_tp_frame *f)
{
    struct conn *c = wf_econn_find(e, f->conn);
    struct session_key key = {f->conn, f->stream};
    struct wf_link *link = c == NULL ? NULL : wf_table_find(&e->requests, &key);
    e->passed_on = false;
    if (link != NULL)
        wf_cmd_request_answer(e, (struct op *)((char *)link - offsetof(struct op, by_stream)), f);
    else if (c != NULL) dispatch(e, c, f);
    if (!e->passed_on) wf_e_release(e, f->conn, f->stream, f->frame_bytes);
}

void wf_e_on_applied(struct engine *e, const struct wf_q_applied *applied)
{
    struct esession *es = wf_es_by_stream(e, applied->conn, applied->stream);
    if (es == NULL) return;
    es->bytes_received += applied->bytes;
    wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_APPLIED, .applied = applied}, applied);
    if (applied->healed > 0) wf_heal_on_applied(e, applied->conn, applied->stream, applied->healed);
}
