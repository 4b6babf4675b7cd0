/* SPDX-License-Identifier: Apache-2.0
 * conn.c - the life of a connection: handshake, HELLO, up, closing; its deadlines.
 * Called by: manager.c, dial.c, conn_in.c, conn_send.c. May touch: one connection and,
 * for the rule of two connections, its rivals. Never: what frames carry. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"

#define LINGER_NS (2 * WEFT_SEC) /* for the CLOSE to be read */
#define LOOK_NS WEFT_SEC

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* -- Beginning ------------------------------------------------------------------------------ */

weft_err wf_conn_create(struct wf_manager *m, struct wf_tp_net *net, bool dialled,
                        struct wf_conn **out)
{
    uint32_t most = WEFT_CONNECTIONS_MAX - (dialled ? 0 : WEFT_CONNECTIONS_DIALLED_MIN);
    if (m->conns_count >= most) return WEFT_LIMIT;
    if (!dialled && m->debt_frames >= WEFT_FRAMES_HELD_ENDED_MAX) return WEFT_LIMIT;
    struct wf_conn *c = wf_calloc(1, sizeof *c);
    if (c == NULL) return WEFT_NO_MEMORY;
    c->down = (struct wf_tp_down *)weft_new(&wf_tp_down_kind);
    if (c->down == NULL) {
        wf_free(c);
        return WEFT_NO_MEMORY;
    }
    while (m->conns[m->slot_hint] != NULL) m->slot_hint = (m->slot_hint + 1) % WEFT_CONNECTIONS_MAX;
    c->slot = m->slot_hint;
    c->id = ++m->conn_serial * WEFT_CONNECTIONS_MAX + c->slot; /* the serial makes it unique */
    m->conns[c->slot] = c;
    m->conns_count++;
    c->m = m;
    c->net = wf_tp_net_ref(net);
    c->dialled = dialled;
    c->state = WF_CONN_DIALLING;
    c->in_since = c->armed_at = WEFT_NEVER;
    c->began = c->last_in = weft_now(m->self);
    c->credit_out.window = WEFT_WINDOW_BYTES;
    wf_credit_in_init(&c->credit_in, &m->pool, WEFT_ACCOUNT_PEER_BYTES);
    *out = c;
    return WEFT_OK;
}

static void arm_at(struct wf_conn *c, weft_ns at)
{
    if (c->armed_at <= at || c->m->ending) return; /* it comes early and looks again */
    c->armed_at = at;
    if (weft_timer_set(c->m->self, &c->timer, at, 0, on_timer) != WEFT_OK) {
        c->armed_at = WEFT_NEVER;
        wf_conn_doom(c, WEFT_NO_MEMORY, "no timer");
    }
}

void wf_conn_arm(struct wf_conn *c) { arm_at(c, weft_now(c->m->self) + LOOK_NS); }

weft_err wf_conn_begin(struct wf_conn *c, const weft_key *expected)
{
    uint8_t message[WF_NOISE_HANDSHAKE_MAX];
    size_t len;
    struct wf_manager *m = c->m;
    weft_err err = wf_noise_create(&m->options.identity, m->noise_static, c->dialled, expected,
                                   &c->noise);
    if (err != WEFT_OK) return err;
    c->state = WF_CONN_HANDSHAKE;
    c->began = weft_now(m->self);
    arm_at(c, c->began + WEFT_HANDSHAKE_TIMEOUT_NS);
    if (c->dialled) {
        err = wf_noise_write(c->noise, message, &len);
        if (err == WEFT_OK) err = wf_conn_raw(c, message, len);
        if (err != WEFT_OK) return err;
        wf_manager_flush_later(m, c);
    }
    wf_conn_interest(c);
    return WEFT_OK;
}

struct wf_conn *wf_conn_rival(struct wf_manager *m, const weft_key *key,
                              const struct wf_conn * not )
{
    if (m->conns_count == 0) return NULL;
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX; i++) {
        struct wf_conn *c = m->conns[i];
        if (c != NULL && c != not &&wf_conn_open(c) && weft_key_equal(&c->key, key)) return c;
    }
    return NULL;
}

/* Of two connections between two keys, the one dialled by the lower key stays. */
static bool dialled_by_lower(const struct wf_conn *c, const weft_key *peer)
{
    bool we_are_lower = weft_key_compare(&c->m->options.identity.key, peer) < 0;
    return c->dialled == we_are_lower;
}

/* Everyone who wanted `loser` gets `winner`. */
static void replace(struct wf_conn *loser, struct wf_conn *winner)
{
    while (loser->waiters != NULL) wf_dial_wait_for(loser->waiters, winner);
    if (loser->dial != NULL) {
        loser->dial->proved = true;
        wf_dial_wait_for(loser->dial, winner);
    }
    wf_conn_close(loser, WEFT_OK, "replaced");
}

static weft_err may_connect(const struct wf_manager *m, const weft_key *key)
{
    const struct wf_transport_options *o = &m->options;
    if (o->may_connect == NULL) return WEFT_OK;
    return o->may_connect(o->may_connect_arg, key, weft_now(m->self));
}

/* We know the responder's key and have not yet shown ours. */
static weft_err dialler_decides(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    weft_key key;
    wf_noise_peer(c->noise, &key);
    if (weft_key_equal(&key, &m->options.identity.key)) return WEFT_INVALID; /* ourselves */
    weft_err err = may_connect(m, &key);
    if (err != WEFT_OK) return err;
    struct wf_conn *rival = wf_conn_rival(m, &key, c);
    /* One that we dialled ourselves stands, so another is of no use; of crossing ones the
     * rule decides. Either way the other side never learns of this one. */
    if (rival != NULL && (rival->dialled || dialled_by_lower(rival, &key))) {
        c->dial->proved = true;
        wf_dial_wait_for(c->dial, rival);
        return WEFT_EXISTS;
    }
    return WEFT_OK;
}

/* The initiator has proven its key to us. */
static weft_err acceptor_decides(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    if (weft_key_equal(&c->key, &m->options.identity.key)) return WEFT_INVALID;
    return may_connect(m, &c->key);
}

/* Without the port: one who comes often is still one. */
size_t wf_conn_host_len(const char *observed)
{
    const char *colon = strrchr(observed, ':');
    return colon == NULL ? strlen(observed) : (size_t)(colon - observed);
}

/* A key costs nothing, an address does. Who replaces its own connection is not refused: the
 * old one has ended by now. NULL: there is room. */
static const char *crowded(const struct wf_conn *c)
{
    const struct wf_manager *m = c->m;
    size_t len = wf_conn_host_len(c->observed);
    uint32_t all = 0, near = 0;
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX; i++) {
        const struct wf_conn *o = m->conns[i];
        if (o == NULL || o == c || o->dialled || !wf_conn_open(o)) continue;
        all++;
        near += wf_conn_host_len(o->observed) == len && memcmp(o->observed, c->observed, len) == 0;
    }
    if (near >= WEFT_CONNECTIONS_PER_ADDRESS_MAX) return "too many connections from one address";
    return all >= WEFT_CONNECTIONS_ACCEPTED_MAX ? "too many connections" : NULL;
}

static weft_err put_hello(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    struct wf_hello *h = wf_calloc(1, sizeof *h);
    if (h == NULL) return WEFT_NO_MEMORY;
    h->ver_min = WF_VERSION_MIN;
    h->ver_max = WF_VERSION_MAX;
    h->caps = m->options.caps;
    memcpy(h->name, m->node_name, sizeof h->name);
    for (uint32_t i = 0; i < m->transports_count; i++) {
        const struct wf_transport *t = m->transports[i];
        /* What else the machine's interfaces say is for who is given a ticket, and not for all. */
        h->listens_count += (uint32_t)wf_route_reach(t, false, &h->listens[h->listens_count],
                                                     WEFT_ADDRESSES_PER_PEER_MAX -
                                                         h->listens_count);
    }
    weft_err err = wf_frame_put_hello(&c->urgent, h);
    wf_free(h);
    return err;
}

static void handshake_counted(struct wf_conn *c)
{
    if (!c->in_accepted) return;
    c->in_accepted = false;
    c->m->handshakes--;
}

static weft_err proven(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    wf_noise_peer(c->noise, &c->key);
    handshake_counted(c);
    if (!c->dialled) {
        weft_err err = acceptor_decides(c);
        if (err != WEFT_OK) return err;
        c->state = WF_CONN_HELLO; /* from here on a close is an authenticated one */
        struct wf_conn *rival = wf_conn_rival(m, &c->key, c);
        if (rival != NULL && rival->dialled && dialled_by_lower(rival, &c->key)) {
            wf_conn_close(c, WEFT_OK, "replaced");
            return WEFT_OK;
        }
        /* A second one by the same dialler: it has lost the first, or it would not dial. */
        if (rival != NULL) replace(rival, c);
        const char *refused = crowded(c);
        if (refused != NULL) {
            wf_conn_close(c, WEFT_BUSY, refused);
            return WEFT_OK;
        }
    }
    c->state = WF_CONN_HELLO;
    weft_err err = put_hello(c);
    if (err == WEFT_OK) wf_conn_poke(c);
    return err;
}

weft_err wf_conn_handshake(struct wf_conn *c, const uint8_t *data, size_t len)
{
    uint8_t message[WF_NOISE_HANDSHAKE_MAX];
    size_t out_len;
    if (wf_noise_my_turn(c->noise)) return WEFT_PROTOCOL; /* it speaks out of turn */
    weft_err err = wf_noise_read(c->noise, data, len);
    if (err != WEFT_OK) return err;
    c->heard = true;
    if (c->dialled) {
        err = dialler_decides(c);
        if (err != WEFT_OK) return err;
    }
    if (wf_noise_my_turn(c->noise)) {
        err = wf_noise_write(c->noise, message, &out_len);
        if (err == WEFT_OK) err = wf_conn_raw(c, message, out_len);
        if (err != WEFT_OK) return err;
        wf_manager_flush_later(c->m, c);
    }
    return wf_noise_done(c->noise) ? proven(c) : WEFT_OK;
}

static weft_err tell_up(struct wf_conn *c, const struct wf_hello *hello)
{
    struct wf_tp_up *up = (struct wf_tp_up *)weft_new(&wf_tp_up_kind);
    if (up == NULL) return WEFT_NO_MEMORY;
    up->conn = c->id;
    up->key = c->key;
    up->dialled = c->dialled;
    wf_noise_channel(c->noise, up->channel);
    memcpy(up->transport, c->transport, sizeof up->transport);
    memcpy(up->address, c->address, sizeof up->address);
    memcpy(up->peer_name, hello->name, sizeof up->peer_name);
    up->caps = hello->caps;
    up->listens_count = hello->listens_count;
    memcpy(up->listens, hello->listens, sizeof up->listens);
    wf_manager_tell(c->m->options.events_to, &up->msg);
    return WEFT_OK;
}

void wf_conn_hello(struct wf_conn *c, const struct wf_hello *hello)
{
    struct wf_manager *m = c->m;
    uint64_t version = hello->ver_max < WF_VERSION_MAX ? hello->ver_max : WF_VERSION_MAX;
    if (version < WF_VERSION_MIN || version < hello->ver_min) {
        (void)wf_frame_put_err(&c->urgent, 0, WF_W_VERSION, "no common version");
        wf_conn_close(c, WEFT_PEER_VERSION, "no common version");
        return;
    }
    struct wf_conn *rival = wf_conn_rival(m, &c->key, c);
    if (rival != NULL) {
        if (rival->state == WF_CONN_UP && rival->dialled != c->dialled &&
            dialled_by_lower(rival, &c->key)) {
            replace(c, rival);
            return;
        }
        if (rival->dialled == c->dialled || dialled_by_lower(c, &c->key)) replace(rival, c);
    }
    weft_err err = tell_up(c, hello);
    if (err != WEFT_OK) {
        wf_conn_close(c, err, "no memory");
        return;
    }
    c->state = WF_CONN_UP;
    c->ping_at = weft_now(m->self);
    m->connections++;
    wf_conn_arm(c);
    wf_manager_flush_later(m, c);
    while (c->waiters != NULL) wf_dial_answer(c->waiters, WEFT_OK, c);
    if (c->dial != NULL) wf_dial_answer(c->dial, WEFT_OK, c);
    wf_dial_came_up(m, c);
}

/* -- Readiness ------------------------------------------------------------------------------ */

void wf_conn_interest(struct wf_conn *c)
{
    uint32_t events = c->paused ? 0 : WF_NET_READ;
    if (c->state == WF_CONN_DEAD || c->sock == NULL) return;
    if (c->state == WF_CONN_DIALLING) events = WF_NET_WRITE;
    else if (wf_bytes_len(&c->out) > 0) events |= WF_NET_WRITE;
    if (events == c->interest) return;
    if (c->net->net->ops->interest(c->net->net, c->m->self, c->sock, events) != WEFT_OK)
        wf_conn_doom(c, WEFT_NETWORK, "the socket cannot be watched");
    c->interest = events;
}

static void on_connected(struct wf_conn *c)
{
    weft_err err = c->net->net->ops->connected(c->net->net, c->sock);
    if (err == WEFT_AGAIN) return;
    if (err == WEFT_OK) {
        const struct wf_tp_dial *req = c->dial->req;
        err = wf_conn_begin(c, req->expect ? &req->key : NULL);
    }
    if (err != WEFT_OK) wf_conn_drop(c, err, "the dial failed");
}

void wf_conn_ready(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct wf_conn *c = arg;
    struct wf_manager *m = c->m;
    (void)self;
    (void)state;
    (void)sock;
    if (c->state == WF_CONN_DIALLING) {
        on_connected(c);
    } else {
        if (events & WF_NET_WRITE) wf_conn_flush(c);
        if (c->state != WF_CONN_DEAD && (events & WF_NET_READ)) wf_conn_receive(c);
    }
    wf_manager_reap(m);
}

/* -- Ending --------------------------------------------------------------------------------- */

static void tell_down(struct wf_conn *c, weft_err why, const char *text)
{
    struct wf_tp_down *down = c->down;
    c->down = NULL;
    down->conn = c->id;
    down->key = c->key;
    down->why = why;
    snprintf(down->text, sizeof down->text, "%s", text);
    wf_manager_tell(c->m->options.events_to, &down->msg);
}

/* What becomes of the dials that counted on `c`. An orderly end before UP means that the
 * other side keeps another connection to us: they are answered with that one. */
static void disappoint(struct wf_conn *c, enum wf_conn_state was, weft_err why)
{
    struct wf_manager *m = c->m;
    struct wf_dial *dial = c->dial;
    bool other = was == WF_CONN_HELLO && why == WEFT_OK && !m->ending;
    struct wf_conn *rival = other ? wf_conn_rival(m, &c->key, c) : NULL;
    weft_err answer = why == WEFT_OK ? WEFT_UNREACHABLE : why;
    while (c->waiters != NULL) {
        if (rival != NULL) wf_dial_wait_for(c->waiters, rival);
        else if (other) wf_dial_hope(c->waiters, &c->key);
        else wf_dial_answer(c->waiters, answer, NULL);
    }
    c->dial = NULL;
    if (dial == NULL) return;
    dial->conn = NULL;
    dial->proved |= other;
    if (rival != NULL) wf_dial_wait_for(dial, rival);
    else if (other) wf_dial_hope(dial, &c->key);
    else wf_dial_failed(dial, answer);
}

/* Takes the connection out of everything that belongs to those above. */
static void detach(struct wf_conn *c, enum wf_conn_state next, weft_err why, const char *text)
{
    struct wf_manager *m = c->m;
    enum wf_conn_state was = c->state;
    c->state = next; /* first: whoever is told of it may look */
    if (was < WF_CONN_HELLO && why != WEFT_EXISTS) m->handshakes_failed++;
    handshake_counted(c);
    wf_send_drop_cur(c);
    wf_stream_free_all(c);
    uint64_t debt = wf_credit_in_end(&c->credit_in);
    if (debt > 0 || c->held > 0) wf_manager_debt(m, c->id, debt, c->held);
    c->held = 0;
    c->paused = false; /* what is still to come is only waited for */
    if (was == WF_CONN_UP) tell_down(c, why, text);
    disappoint(c, was, why);
    if (m->pool.first != NULL) wf_stream_grants(m); /* its loans are free for others */
}

static void die(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    c->state = WF_CONN_DEAD;
    if (c->sock != NULL) c->net->net->ops->close(c->net->net, m->self, c->sock);
    c->sock = NULL;
    c->dead_next = m->dead;
    m->dead = c;
}

void wf_conn_doom(struct wf_conn *c, weft_err why, const char *text)
{
    if (c->doom != WEFT_OK) return;
    c->doom = why;
    c->doom_text = text;
    wf_manager_flush_later(c->m, c);
}

void wf_conn_drop(struct wf_conn *c, weft_err why, const char *text)
{
    if (c->state == WF_CONN_DEAD) return;
    if (c->state != WF_CONN_LINGER) detach(c, WF_CONN_DEAD, why, text);
    die(c);
}

void wf_conn_close(struct wf_conn *c, weft_err why, const char *text)
{
    if (!wf_conn_open(c)) {
        if (c->state != WF_CONN_LINGER) wf_conn_drop(c, why, text);
        return;
    }
    /* What is begun is encrypted now: nobody watches over it later. */
    wf_send_drop_cur(c);
    if (wf_send_finish_cur(c) != WEFT_OK) {
        wf_conn_drop(c, WEFT_NO_MEMORY, "no memory");
        return;
    }
    detach(c, WF_CONN_LINGER, why, text);
    c->doom = WEFT_OK;
    c->began = weft_now(c->m->self);
    if (wf_frame_put_close(&c->urgent, 0, wf_wire_code_of(why), text) != WEFT_OK) {
        die(c);
        return;
    }
    c->armed_at = WEFT_NEVER;
    arm_at(c, c->began + LINGER_NS);
    wf_manager_flush_later(c->m, c);
}

void wf_conn_breach(struct wf_conn *c, weft_err why, const char *text)
{
    const struct wf_transport_options *o = &c->m->options;
    if (why != WEFT_OK && wf_conn_open(c) && o->on_breach != NULL)
        o->on_breach(o->may_connect_arg, &c->key, why, weft_now(c->m->self));
    wf_conn_close(c, why, text);
}

void wf_conn_free(struct wf_conn *c)
{
    struct wf_manager *m = c->m;
    WF_ASSERT(c->state == WF_CONN_DEAD && m->conns[c->slot] == c);
    weft_timer_stop(m->self, &c->timer);
    m->conns[c->slot] = NULL;
    m->conns_count--;
    m->total.wire_in += c->wire_in;
    m->total.wire_out += c->wire_out;
    m->total.frames_in += c->frames_in;
    m->total.frames_out += c->frames_out;
    if (c->cur != NULL) wf_out_free(c->cur, WEFT_CLOSED);
    wf_frame_in_fini(&c->frame);
    wf_bytes_fini(&c->in);
    wf_bytes_fini(&c->later);
    wf_bytes_fini(&c->out);
    wf_bytes_fini(&c->urgent);
    wf_noise_destroy(c->noise);
    weft_drop(c->down == NULL ? NULL : &c->down->msg);
    wf_tp_net_put(c->net);
    wf_free(c);
}

/* -- The clock ------------------------------------------------------------------------------ */

/* A message that has begun must come on, at no less than a kilobyte a second. */
static bool too_slow(const struct wf_conn *c, weft_ns now)
{
    if (c->in_since == WEFT_NEVER || now - c->in_since < WEFT_FRAME_TIMEOUT_NS) return false;
    return c->in_bytes < (now - c->in_since) / WEFT_SEC * 1024;
}

static void ping(struct wf_conn *c, weft_ns now)
{
    uint8_t token[8];
    if (c->ping_out || now - c->ping_at < WEFT_PING_INTERVAL_NS) return;
    c->ping_token++;
    memcpy(token, &c->ping_token, sizeof token); /* opaque: it only comes back */
    if (wf_frame_put_ping(&c->urgent, false, token) != WEFT_OK) return; /* the next look tries */
    c->ping_out = true;
    c->ping_at = now;
    wf_conn_poke(c);
}

/* We do not read it, so nothing can be said against it but that it lasts. */
static void look_at_paused(struct wf_conn *c, weft_ns now)
{
    if (now - c->paused_since >= WEFT_IDLE_TIMEOUT_NS) {
        wf_conn_close(c, WEFT_TIMED_OUT, "what it sent is not consumed");
        return;
    }
    (void)wf_stream_tick(c, now);
    if (c->state == WF_CONN_UP) arm_at(c, now + LOOK_NS);
}

static void look(struct wf_conn *c, weft_ns now)
{
    bool unsent = wf_bytes_len(&c->out) > 0;
    if (unsent && now - c->last_out >= WEFT_IDLE_TIMEOUT_NS) {
        wf_conn_close(c, WEFT_TIMED_OUT, "the peer does not read");
    } else if (c->paused) {
        look_at_paused(c, now);
    } else if (c->ping_out && now - c->ping_at >= WEFT_PING_TIMEOUT_NS) {
        wf_conn_close(c, WEFT_TIMED_OUT, "no answer to a ping");
    } else if (now - c->last_in >= WEFT_IDLE_TIMEOUT_NS) {
        wf_conn_close(c, WEFT_TIMED_OUT, "silent");
    } else if (too_slow(c, now)) {
        wf_conn_close(c, WEFT_TIMED_OUT, "a message takes too long");
    } else {
        bool watch = wf_stream_tick(c, now);
        if (c->state != WF_CONN_UP) return;
        ping(c, now);
        weft_ns next = c->ping_at + (c->ping_out ? WEFT_PING_TIMEOUT_NS : WEFT_PING_INTERVAL_NS);
        if (watch || unsent || c->in_since != WEFT_NEVER) {
            next = now + LOOK_NS;
        } else { /* nothing is under way: nothing need be held */
            wf_bytes_trim(&c->in);
            wf_bytes_trim(&c->out);
            wf_bytes_trim(&c->urgent);
        }
        arm_at(c, next);
    }
}

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_conn *c = (struct wf_conn *)((char *)timer - offsetof(struct wf_conn, timer));
    struct wf_manager *m = c->m;
    weft_ns now = weft_now(self);
    (void)state;
    (void)missed;
    c->armed_at = WEFT_NEVER;
    switch (c->state) {
    case WF_CONN_DIALLING:
    case WF_CONN_HANDSHAKE:
    case WF_CONN_HELLO:
        if (now - c->began >= WEFT_HANDSHAKE_TIMEOUT_NS)
            wf_conn_drop(c, WEFT_TIMED_OUT, "the handshake takes too long");
        else arm_at(c, c->began + WEFT_HANDSHAKE_TIMEOUT_NS);
        break;
    case WF_CONN_UP: look(c, now); break;
    case WF_CONN_LINGER: die(c); break;
    case WF_CONN_DEAD: break;
    }
    wf_manager_reap(m);
}
