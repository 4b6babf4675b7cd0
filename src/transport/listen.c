/* SPDX-License-Identifier: Apache-2.0
 * listen.c - listeners, and what becomes of those who come: how many handshakes may be
 * pending, in all and from one address. Called by: manager.c, the network's readiness.
 * May touch: named transports, new connections. Never: what a connection does later. */
#include <stdio.h>
#include <string.h>

#include "manager.h"

#define ACCEPTS_PER_TURN 64u
#define LISTEN_RETRY_NS (100 * WEFT_MS) /* when descriptors or slots ran out */

static bool same_host(const struct wf_conn *a, const struct wf_conn *b)
{
    size_t len = wf_conn_host_len(a->observed);
    return len == wf_conn_host_len(b->observed) && memcmp(a->observed, b->observed, len) == 0;
}

static uint32_t from_host(struct wf_conn *const *waiting, uint32_t count, const struct wf_conn *c)
{
    uint32_t of_it = 0;
    for (uint32_t i = 0; i < count; i++) of_it += same_host(waiting[i], c);
    return of_it;
}

/* Places for handshakes are few, and whoever says nothing has one for five seconds: so the next
 * one that comes takes that of another. An address that has its share gives its own; else the
 * address with the most of them gives way, so that one who comes once does not make room for
 * those who come often. Of one address it is the one that waits longest. */
static void make_room(struct wf_manager *m, const struct wf_conn *c)
{
    struct wf_conn *waiting[WEFT_PENDING_HANDSHAKES_MAX], *out = NULL;
    uint32_t count = 0, most = 0;
    if (m->handshakes == 0) return;
    for (uint32_t i = 0; i < WEFT_CONNECTIONS_MAX && count < WEFT_PENDING_HANDSHAKES_MAX; i++)
        if (m->conns[i] != NULL && m->conns[i]->in_accepted) waiting[count++] = m->conns[i];
    bool own = from_host(waiting, count, c) >= WEFT_PENDING_HANDSHAKES_PER_ADDRESS_MAX;
    if (!own && m->handshakes < WEFT_PENDING_HANDSHAKES_MAX) return;
    for (uint32_t i = 0; i < count; i++) {
        struct wf_conn *w = waiting[i];
        if (own && !same_host(w, c)) continue;
        uint32_t of_it = own ? 1 : from_host(waiting, count, w);
        if (of_it < most || (of_it == most && w->id >= out->id)) continue;
        most = of_it;
        out = w; /* the ids of later ones are greater */
    }
    wf_conn_drop(out, WEFT_LIMIT, "its place went to another handshake");
}

static void accepted(struct wf_transport *t, struct wf_conn *c, wf_sock *sock, const char *from)
{
    struct wf_manager *m = t->m;
    wf_net *net = t->net->net;
    c->sock = sock;
    snprintf(c->observed, sizeof c->observed, "%s", from);
    make_room(m, c);
    int n = snprintf(c->address, sizeof c->address, "%s:%s", net->ops->type, from);
    if (n < 0 || (size_t)n >= sizeof c->address) c->address[0] = '\0'; /* too long to be dialled */
    memcpy(c->transport, t->name, sizeof c->transport);
    c->in_accepted = true;
    m->handshakes++;
    weft_err err = wf_conn_begin(c, NULL);
    if (err != WEFT_OK) wf_conn_drop(c, err, "the handshake could not begin");
}

static void on_listen_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_manager *m = state;
    (void)timer;
    (void)missed;
    for (uint32_t i = 0; i < m->transports_count; i++) {
        struct wf_transport *t = m->transports[i];
        if (t->listener == NULL || !t->paused) continue;
        t->paused = false;
        (void)t->net->net->ops->interest(t->net->net, self, t->listener, WF_NET_READ);
    }
}

static void pause_listener(struct wf_transport *t)
{
    t->paused = true;
    (void)t->net->net->ops->interest(t->net->net, t->m->self, t->listener, 0);
    (void)weft_timer_set(t->m->self, &t->m->listen_timer, weft_now(t->m->self) + LISTEN_RETRY_NS, 0,
                         on_listen_timer);
}

static void on_incoming(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct wf_transport *t = arg;
    struct wf_manager *m = state;
    wf_net *net = t->net->net;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        char from[WEFT_ADDRESS_BYTES_MAX];
        wf_sock *fresh = NULL;
        struct wf_conn *c = NULL;
        /* The connection first: a socket needs somebody to belong to. */
        weft_err err = wf_conn_create(m, t->net, false, &c);
        if (err == WEFT_OK) err = net->ops->accept(net, self, sock, wf_conn_ready, c, &fresh, from);
        if (err == WEFT_OK) {
            accepted(t, c, fresh, from);
            continue;
        }
        if (c != NULL) wf_conn_drop(c, WEFT_EXISTS, "nobody came");
        if (err != WEFT_AGAIN) pause_listener(t); /* the queue of the machine holds them */
        break;
    }
    wf_manager_reap(m);
}

weft_err wf_listen_start(struct wf_transport *t, const char *at)
{
    wf_net *net = t->net->net;
    weft_self *self = t->m->self;
    if (t->listener != NULL) return WEFT_EXISTS;
    if (at[0] == '\0') return WEFT_OK; /* a client only */
    weft_err err = net->ops->listen(net, self, at, on_incoming, t, &t->listener, t->bound);
    if (err != WEFT_OK) return err;
    err = net->ops->interest(net, self, t->listener, WF_NET_READ);
    if (err == WEFT_OK) return WEFT_OK;
    net->ops->close(net, self, t->listener);
    t->listener = NULL;
    return err;
}

weft_err wf_listen_stop(struct wf_transport *t)
{
    if (t->listener == NULL) return WEFT_NOT_FOUND;
    t->net->net->ops->close(t->net->net, t->m->self, t->listener);
    t->listener = NULL;
    t->paused = false;
    return WEFT_OK;
}
