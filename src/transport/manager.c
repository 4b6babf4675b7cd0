/* SPDX-License-Identifier: Apache-2.0
 * manager.c - the transport actor: what the layers above ask for, and what dead
 * connections left. Called by: weft.c (spawn), the scheduler (handlers). May touch: the
 * manager's state. Never: blocks, or waits for an answer in a handler. */
#include "manager.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "log.h"

#define DEBT_NS (60 * WEFT_SEC) /* then the bytes of a dead connection are forgotten */

/* -- Small services for the other rooms --------------------------------------------------- */

void wf_manager_tell(weft_addr *to, weft_msg *msg)
{
    if (wf_send_system(to, msg) != WEFT_OK) weft_drop(msg); /* it has ended: nobody to tell */
}

struct wf_conn *wf_manager_conn(struct wf_manager *m, uint64_t id)
{
    struct wf_conn *c = m->conns[id % WEFT_CONNECTIONS_MAX];
    return c != NULL && c->id == id && c->state == WF_CONN_UP ? c : NULL;
}

static void on_flush(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_manager *m = state;
    (void)self;
    (void)timer;
    (void)missed;
    struct wf_conn *list = m->dirty;
    m->dirty = NULL;
    while (list != NULL) {
        struct wf_conn *c = list;
        list = c->dirty_next;
        c->dirty = false;
        wf_conn_flush(c);
    }
    wf_manager_reap(m);
}

/* Once for all that happens in a turn: many small frames become one record. */
void wf_manager_flush_later(struct wf_manager *m, struct wf_conn *c)
{
    if (c->dirty || c->state == WF_CONN_DEAD || m->ending) return;
    if (m->dirty == NULL &&
        weft_timer_set(m->self, &m->flush, weft_now(m->self), 0, on_flush) != WEFT_OK)
        (void)wf_fail(WEFT_LIMIT, "transport", "no timer is left for sending");
    c->dirty = true;
    c->dirty_next = m->dirty;
    m->dirty = c;
}

void wf_manager_reap(struct wf_manager *m)
{
    while (m->dead != NULL) {
        struct wf_conn *c = m->dead;
        m->dead = c->dead_next;
        if (c->dirty) {
            struct wf_conn **at = &m->dirty;
            while (*at != NULL && *at != c) at = &(*at)->dirty_next;
            if (*at == c) *at = c->dirty_next;
        }
        wf_conn_free(c);
    }
}

/* -- Bytes that dead connections left with us ---------------------------------------------- */

static void debts_return(struct wf_manager *m, struct wf_debt **at, uint64_t bytes, uint32_t frames)
{
    struct wf_debt *d = *at;
    if (bytes > d->bytes) bytes = d->bytes;
    if (frames > d->frames) frames = d->frames;
    d->bytes -= bytes;
    d->frames -= frames;
    m->debt_frames -= frames;
    wf_credit_pool_return(&m->pool, bytes);
    if (d->bytes > 0 || d->frames > 0) return;
    *at = d->next;
    wf_free(d);
}

static void on_debt_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_manager *m = state;
    weft_ns now = weft_now(self), next = WEFT_NEVER;
    (void)missed;
    for (struct wf_debt **at = &m->debts; *at != NULL;) {
        struct wf_debt *d = *at;
        if (d->until <= now) {
            debts_return(m, at, d->bytes, d->frames);
            continue;
        }
        if (d->until < next) next = d->until;
        at = &d->next;
    }
    if (next != WEFT_NEVER) (void)weft_timer_set(self, timer, next, 0, on_debt_timer);
    wf_stream_grants(m);
}

void wf_manager_debt(struct wf_manager *m, uint64_t conn, uint64_t bytes, uint32_t frames)
{
    struct wf_debt *d = wf_calloc(1, sizeof *d);
    if (d == NULL) { /* then it is forgotten at once */
        wf_credit_pool_return(&m->pool, bytes);
        return;
    }
    d->conn = conn;
    d->bytes = bytes;
    d->frames = frames;
    m->debt_frames += frames;
    d->until = weft_now(m->self) + DEBT_NS;
    d->next = m->debts;
    m->debts = d;
    if (d->next == NULL) (void)weft_timer_set(m->self, &m->debt_timer, d->until, 0, on_debt_timer);
}

static void release_dead(struct wf_manager *m, const struct wf_tp_release *r)
{
    for (struct wf_debt **at = &m->debts; *at != NULL; at = &(*at)->next) {
        if ((*at)->conn != r->conn) continue;
        debts_return(m, at, r->bytes, 1);
        if (m->pool.first != NULL) wf_stream_grants(m);
        return;
    }
}

/* -- Requests ----------------------------------------------------------------------------------- */

static weft_verdict on_stream(struct wf_manager *m, struct wf_tp_stream *req)
{
    struct wf_conn *c = wf_manager_conn(m, req->conn);
    weft_err err = WEFT_CLOSED;
    if (c != NULL && req->open) err = wf_stream_register(c, req);
    else if (c != NULL) err = wf_stream_end(c, req->stream);
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static void length_word(weft_buf *frame)
{
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++)
        data[i] = (uint8_t)(body >> (8 * (WF_FRAME_HEAD - 1 - i)));
}

/* Queues one frame; on OK the buffer is taken. INVALID: it is no frame of that stream. */
static weft_err queue_frame(struct wf_manager *m, uint64_t conn, uint32_t number, weft_buf *frame,
                            struct wf_tp_bulk *req)
{
    struct wf_conn *c = wf_manager_conn(m, conn);
    struct wf_stream *s = NULL;
    uint64_t type;
    uint32_t stream;
    size_t len = frame == NULL ? 0 : weft_buf_len(frame);
    if (c == NULL) return WEFT_CLOSED;
    if (len <= WF_FRAME_HEAD || len - WF_FRAME_HEAD > WEFT_MESSAGE_BYTES_MAX ||
        wf_frame_head(weft_buf_bytes(frame) + WF_FRAME_HEAD, len - WF_FRAME_HEAD, &type, &stream) !=
            WEFT_OK ||
        stream != number)
        return WEFT_INVALID;
    /* It may have been made under rights that the peer has lost since. */
    bool tells = wf_frame_in_place(type) || wf_frame_charged(type);
    if (tells && wf_stream_was_ended(c, number)) return WEFT_CLOSED;
    weft_err err = wf_stream_get(c, number, &s);
    if (err != WEFT_OK) return err;
    if (number % 2 == (c->dialled ? 1u : 0u) && number > c->own_stream) c->own_stream = number;
    if (wf_stream_was_ours(c, number)) wf_credit_in_known(&c->credit_in, &s->in);
    struct wf_out *o = wf_calloc(1, sizeof *o);
    err = WEFT_NO_MEMORY;
    if (o == NULL) goto done;
    o->frame = frame;
    o->req = req;
    o->len = (uint32_t)len;
    o->stream = number;
    o->type = (uint32_t)type;
    o->charged = wf_frame_charged(type);
    length_word(frame);
    err = wf_stream_queue(s, o, wf_frame_in_place(type));
    if (err == WEFT_OK) {
        wf_manager_flush_later(m, c);
        return WEFT_OK;
    }
    wf_free(o);
done:
    wf_stream_idle(s);
    return err;
}

static weft_verdict on_bulk(struct wf_manager *m, struct wf_tp_bulk *req)
{
    struct wf_conn *c = wf_manager_conn(m, req->conn);
    weft_err err = queue_frame(m, req->conn, req->stream, req->frame, req);
    if (err == WEFT_OK) {
        req->frame = NULL; /* the queue's now; the reply comes when it is encrypted */
        return WEFT_KEPT;
    }
    /* What follows on the stream must not arrive as if nothing were missing. */
    if (err == WEFT_NO_MEMORY || err == WEFT_LIMIT)
        wf_conn_close(c, err, "a bulk frame could not be queued");
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static weft_verdict on_send(struct wf_manager *m, struct wf_tp_send *req)
{
    struct wf_conn *c = wf_manager_conn(m, req->conn);
    weft_err err = queue_frame(m, req->conn, req->stream, req->frame, NULL);
    if (err == WEFT_OK) req->frame = NULL;
    if (err == WEFT_NO_MEMORY || err == WEFT_LIMIT)
        wf_conn_close(c, err, "a control frame could not be queued");
    else if (err == WEFT_OK && c->control_bytes > WEFT_OUTBOUND_CONTROL_BYTES)
        wf_conn_close(c, WEFT_BUSY, "the peer does not read");
    return WEFT_DONE;
}

static weft_verdict on_release(struct wf_manager *m, const struct wf_tp_release *r)
{
    struct wf_conn *c = wf_manager_conn(m, r->conn);
    if (c == NULL) {
        release_dead(m, r);
        return WEFT_DONE;
    }
    if (r->bytes > 0) wf_stream_release(c, r->stream, r->bytes);
    wf_conn_released(c);
    return WEFT_DONE;
}

static weft_verdict on_close(struct wf_manager *m, struct wf_tp_close *r)
{
    struct wf_conn *c = wf_manager_conn(m, r->conn);
    r->text[sizeof r->text - 1] = '\0';
    if (c != NULL) wf_conn_breach(c, r->why, r->text);
    return WEFT_DONE;
}

static weft_verdict on_part(struct wf_manager *m, struct wf_tp_part *req)
{
    req->text[sizeof req->text - 1] = '\0';
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX; i++) {
        struct wf_conn *c = m->conns[i];
        if (c != NULL && wf_conn_open(c) && weft_key_equal(&c->key, &req->key))
            wf_conn_close(c, req->why, req->text);
    }
    weft_reply(&req->req, WEFT_OK);
    return WEFT_KEPT;
}

static weft_verdict on_stats(struct wf_manager *m, struct wf_tp_stats *req)
{
    weft_err err = WEFT_OK;
    req->wire_in = req->wire_out = req->frames_in = req->frames_out = 0;
    req->rtt_ns = 0;
    req->connections = m->connections;
    req->handshakes_failed = m->handshakes_failed;
    const struct wf_conn *one = req->conn == 0 ? NULL : wf_manager_conn(m, req->conn);
    if (req->conn != 0 && one == NULL) err = WEFT_CLOSED;
    if (req->conn == 0) {
        req->wire_in = m->total.wire_in;
        req->wire_out = m->total.wire_out;
        req->frames_in = m->total.frames_in;
        req->frames_out = m->total.frames_out;
    }
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX; i++) {
        const struct wf_conn *c = m->conns[i];
        if (c == NULL || (req->conn != 0 && c != one)) continue;
        req->wire_in += c->wire_in;
        req->wire_out += c->wire_out;
        req->frames_in += c->frames_in;
        req->frames_out += c->frames_out;
        if (c == one) req->rtt_ns = c->rtt_ns;
    }
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static weft_verdict dispatch(struct wf_manager *m, weft_msg *msg)
{
    const weft_kind *k = msg->kind;
    if (k == &wf_tp_bulk_kind) return on_bulk(m, (struct wf_tp_bulk *)msg);
    if (k == &wf_tp_send_kind) return on_send(m, (struct wf_tp_send *)msg);
    if (k == &wf_tp_release_kind) return on_release(m, (struct wf_tp_release *)msg);
    if (k == &wf_tp_stream_kind) return on_stream(m, (struct wf_tp_stream *)msg);
    if (k == &wf_tp_dial_kind) return wf_dial_start(m, (struct wf_tp_dial *)msg);
    if (k == &wf_tp_close_kind) return on_close(m, (struct wf_tp_close *)msg);
    if (k == &wf_tp_add_kind) return wf_route_add(m, (struct wf_tp_add *)msg);
    if (k == &wf_tp_remove_kind) return wf_route_remove(m, (struct wf_tp_remove *)msg);
    if (k == &wf_tp_server_kind) return wf_serve(m, (struct wf_tp_server *)msg);
    if (k == &wf_tp_addresses_kind) return wf_route_list(m, (struct wf_tp_addresses *)msg);
    if (k == &wf_tp_part_kind) return on_part(m, (struct wf_tp_part *)msg);
    if (k == &wf_tp_stats_kind) return on_stats(m, (struct wf_tp_stats *)msg);
    return WEFT_DONE;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct wf_manager *m = state;
    if (wf_net_wake(self, state, msg)) return WEFT_KEPT;
    weft_verdict verdict = dispatch(m, msg);
    wf_manager_reap(m);
    return verdict;
}

/* -- Life -------------------------------------------------------------------------------------- */

static void options_release(struct wf_transport_options *o)
{
    weft_addr_put(o->events_to);
    weft_addr_put(o->resolver);
    for (uint32_t i = 0; i < o->verifiers_count; i++) weft_addr_put(o->verifiers[i]);
    wf_free((void *)(uintptr_t)o->verifiers);
}

static weft_err options_hold(struct wf_manager *m, const struct wf_transport_options *from)
{
    weft_addr **verifiers = wf_calloc(from->verifiers_count + 1u, sizeof(weft_addr *));
    if (verifiers == NULL) return WEFT_NO_MEMORY;
    m->options = *from;
    for (uint32_t i = 0; i < from->verifiers_count; i++)
        verifiers[i] = weft_addr_get(from->verifiers[i]);
    m->options.verifiers = verifiers;
    (void)weft_addr_get(from->events_to);
    (void)weft_addr_get(from->resolver);
    if (from->node_name != NULL) snprintf(m->node_name, sizeof m->node_name, "%s", from->node_name);
    if (from->interfaces != NULL)
        snprintf(m->interfaces, sizeof m->interfaces, "%s", from->interfaces);
    return WEFT_OK;
}

static void memory_free(struct wf_manager *m)
{
    wf_free(m->conns);
    wf_free(m->read_room);
    wf_free(m->plain);
    wf_noise_static_destroy(m->noise_static);
    options_release(&m->options);
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct wf_manager *m = state;
    m->self = self;
    weft_err err = options_hold(m, arg);
    if (err != WEFT_OK) return err;
    m->pool.limit = WEFT_ACCOUNT_NODE_BYTES;
    m->conns = wf_calloc(WEFT_CONNECTIONS_MAX, sizeof(struct wf_conn *));
    m->read_room = wf_malloc(WF_RECORD_HEAD + WEFT_RECORD_BYTES_MAX + WF_READ_BYTES);
    m->plain = wf_malloc(WF_NOISE_PLAIN_MAX);
    err = WEFT_NO_MEMORY;
    if (m->conns != NULL && m->read_room != NULL && m->plain != NULL)
        err = wf_noise_static_create(&m->options.identity, &m->noise_static);
    if (err != WEFT_OK) memory_free(m); /* fini does not run */
    return err;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    struct wf_manager *m = state;
    (void)self;
    (void)reason;
    m->ending = true;
    for (uint32_t i = 0; i < m->transports_count; i++) (void)wf_listen_stop(m->transports[i]);
    wf_dial_fini(m);
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX; i++) {
        struct wf_conn *c = m->conns[i];
        if (c == NULL) continue;
        wf_conn_close(c, WEFT_CLOSED, "shutting down");
        if (c->state == WF_CONN_LINGER) wf_conn_flush(c); /* what fits; nobody waits for more */
        wf_conn_drop(c, WEFT_CLOSED, "shutting down");
    }
    wf_manager_reap(m);
    wf_route_fini(m);
    while (m->debts != NULL) debts_return(m, &m->debts, m->debts->bytes, m->debts->frames);
    weft_timer_stop(m->self, &m->flush);
    weft_timer_stop(m->self, &m->debt_timer);
    weft_timer_stop(m->self, &m->listen_timer);
    WF_ASSERT(m->conns_count == 0 && m->dials == NULL && m->pool.lent == 0);
    memory_free(m);
}

weft_err wf_transport_spawn(weft_rt *rt, const struct wf_transport_options *options,
                            weft_addr **out)
{
    weft_spec spec = {.name = "transport",
                      .arg = (void *)(uintptr_t)options,
                      .state_size = sizeof(struct wf_manager),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
