/* SPDX-License-Identifier: Apache-2.0
 * dial.c - requests to connect: which transport, which addresses, one attempt after the
 * other until one proves the key. Called by: manager.c, conn.c. May touch: dials and the
 * connections that they begin. Never: blocks; names are looked up by the resolver. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"

static void attempt(struct wf_dial *d);

static void unwait(struct wf_dial *d)
{
    if (d->waits == NULL) return;
    struct wf_dial **at = &d->waits->waiters;
    while (*at != d) at = &(*at)->waits_next;
    *at = d->waits_next;
    d->waits = NULL;
    d->waits_next = NULL;
}

static void release(struct wf_dial *d)
{
    struct wf_manager *m = d->m;
    WF_ASSERT(d->req == NULL && d->conn == NULL && d->waits == NULL && !d->resolving);
    weft_timer_stop(m->self, &d->timer);
    weft_timer_stop(m->self, &d->hope);
    if (d->prev != NULL) d->prev->next = d->next;
    else m->dials = d->next;
    if (d->next != NULL) d->next->prev = d->prev;
    wf_tp_net_put(d->net);
    wf_free(d);
}

void wf_dial_answer(struct wf_dial *d, weft_err err, const struct wf_conn *c)
{
    struct wf_tp_dial *req = d->req;
    struct wf_conn *attempted = d->conn;
    struct wf_manager *m = d->m;
    if (req != NULL && c != NULL) {
        req->conn = c->id;
        req->key = c->key;
        req->proved = d->proved || attempted == c;
    }
    d->req = NULL;
    d->conn = NULL;
    unwait(d);
    if (attempted != NULL) attempted->dial = NULL;
    if (req != NULL) weft_reply(&req->req, err);
    if (attempted != NULL && attempted != c) wf_conn_drop(attempted, WEFT_CANCELED, "not needed");
    if (d->resolving)
        (void)weft_ask_cancel(m->self, d->token); /* on_resolved ends it, before this returns */
    else release(d);
}

void wf_dial_wait_for(struct wf_dial *d, struct wf_conn *c)
{
    if (d->conn != NULL) {
        d->conn->dial = NULL;
        d->conn = NULL;
    }
    unwait(d);
    if (d->req->expect && !weft_key_equal(&d->req->key, &c->key)) {
        wf_dial_answer(d, WEFT_PEER_KEY, NULL);
    } else if (c->state == WF_CONN_UP) {
        wf_dial_answer(d, WEFT_OK, c);
    } else {
        d->waits = c;
        d->waits_next = c->waiters;
        c->waiters = d;
    }
}

/* Which of two failures tells the caller more. */
static weft_err more_telling(weft_err a, weft_err b)
{
    static const weft_err order[] = {
        WEFT_PEER_KEY, WEFT_BLOCKED, WEFT_PENALISED, WEFT_INVALID,   WEFT_PEER_VERSION, WEFT_AUTH,
        WEFT_PROTOCOL, WEFT_SYNTAX,  WEFT_LIMIT,     WEFT_NO_MEMORY, WEFT_TIMED_OUT};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (a == order[i] || b == order[i]) return order[i];
    return a != WEFT_OK ? a : b;
}

void wf_dial_failed(struct wf_dial *d, weft_err why)
{
    d->conn = NULL;
    d->worst = more_telling(d->worst, why);
    attempt(d);
}

static void attempt(struct wf_dial *d)
{
    struct wf_manager *m = d->m;
    while (d->at < d->count && d->conn == NULL) {
        struct wf_conn *c = NULL;
        const wf_endpoint *to = &d->endpoints[d->at++];
        weft_err err = wf_conn_create(m, d->net, true, &c);
        if (err == WEFT_OK) {
            memcpy(c->address, d->req->address, sizeof c->address);
            memcpy(c->transport, d->transport, sizeof c->transport);
            err = d->net->net->ops->dial(d->net->net, m->self, to, wf_conn_ready, c, &c->sock);
            if (err != WEFT_OK) wf_conn_drop(c, err, "the dial failed");
        }
        if (err == WEFT_OK) {
            c->dial = d;
            d->conn = c;
            wf_conn_interest(c);
            wf_conn_arm(c);
        } else {
            d->worst = more_telling(d->worst, err);
        }
    }
    if (d->conn != NULL) return;
    weft_err worst = d->worst;
    /* What only this side's network knows is said in the caller's words. */
    if (worst == WEFT_OK || worst == WEFT_NETWORK) worst = WEFT_UNREACHABLE;
    if (worst == WEFT_SYNTAX) worst = WEFT_PROTOCOL;
    wf_dial_answer(d, worst, NULL);
}

static void on_resolved(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct wf_dial *d = arg;
    struct wf_resolve *r = (struct wf_resolve *)req;
    struct wf_manager *m = d->m;
    (void)self;
    (void)state;
    d->resolving = false;
    if (d->req == NULL) { /* answered already; whoever did that is not done with us */
        release(d);
        weft_drop(r == NULL ? NULL : &r->req.msg);
        return;
    }
    if (err == WEFT_CLOSED || err == WEFT_CANCELED) {
        wf_dial_answer(d, WEFT_CLOSED, NULL); /* this actor or the resolver is ending */
    } else if (err != WEFT_OK || r == NULL) {
        wf_dial_answer(d, err == WEFT_ADDRESS ? WEFT_ADDRESS : WEFT_UNREACHABLE, NULL);
    } else {
        d->count = r->count;
        memcpy(d->endpoints, r->endpoints, sizeof d->endpoints);
        attempt(d);
    }
    weft_drop(r == NULL ? NULL : &r->req.msg);
    wf_manager_reap(m);
}

static void on_hope_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_dial *d = (struct wf_dial *)((char *)timer - offsetof(struct wf_dial, hope));
    struct wf_manager *m = d->m;
    (void)self;
    (void)state;
    (void)missed;
    wf_dial_answer(d, WEFT_UNREACHABLE, NULL);
    wf_manager_reap(m);
}

void wf_dial_hope(struct wf_dial *d, const weft_key *key)
{
    weft_ns at = weft_now(d->m->self) + WEFT_HANDSHAKE_TIMEOUT_NS;
    d->conn = NULL;
    unwait(d);
    d->hoping = true;
    d->hoped = *key;
    if (weft_timer_set(d->m->self, &d->hope, at, 0, on_hope_timer) != WEFT_OK)
        wf_dial_answer(d, WEFT_UNREACHABLE, NULL);
}

void wf_dial_came_up(struct wf_manager *m, struct wf_conn *c)
{
    for (struct wf_dial *d = m->dials, *next; d != NULL; d = next) {
        next = d->next;
        if (d->hoping && weft_key_equal(&d->hoped, &c->key)) wf_dial_answer(d, WEFT_OK, c);
    }
}

static void on_deadline(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_dial *d = (struct wf_dial *)((char *)timer - offsetof(struct wf_dial, timer));
    struct wf_manager *m = d->m;
    (void)self;
    (void)state;
    (void)missed;
    if (d->req != NULL) wf_dial_answer(d, WEFT_TIMED_OUT, NULL);
    wf_manager_reap(m);
}

static weft_err resolve(struct wf_dial *d, const char *rest)
{
    struct wf_manager *m = d->m;
    struct wf_resolve *r = (struct wf_resolve *)weft_new(&wf_resolve_kind);
    if (r == NULL) return WEFT_NO_MEMORY;
    r->net = wf_tp_net_ref(d->net);
    snprintf(r->address, sizeof r->address, "%s", rest);
    /* It always answers, though a name server may let it wait; the dial has its own clock. */
    weft_err err = weft_ask(m->self, m->options.resolver, &r->req, WEFT_NEVER, on_resolved, d,
                            &d->token);
    if (err != WEFT_OK) weft_drop(&r->req.msg);
    d->resolving = err == WEFT_OK;
    return err;
}

weft_verdict wf_dial_start(struct wf_manager *m, struct wf_tp_dial *req)
{
    struct wf_transport *t;
    const char *rest;
    struct wf_dial *d = NULL;
    weft_err err = wf_route(m, req->address, &t, &rest);
    if (err != WEFT_OK) goto failed;
    d = wf_calloc(1, sizeof *d);
    err = WEFT_NO_MEMORY;
    if (d == NULL) goto failed;
    d->m = m;
    d->req = req;
    d->net = wf_tp_net_ref(t->net);
    memcpy(d->transport, t->name, sizeof d->transport);
    d->next = m->dials;
    if (d->next != NULL) d->next->prev = d;
    m->dials = d;
    struct wf_conn *known = req->expect ? wf_conn_rival(m, &req->key, NULL) : NULL;
    if (known != NULL) {
        wf_dial_wait_for(d, known);
        return WEFT_KEPT;
    }
    err = resolve(d, rest);
    if (err == WEFT_OK && weft_deadline(&req->req) != WEFT_NEVER)
        (void)weft_timer_set(m->self, &d->timer, weft_deadline(&req->req), 0, on_deadline);
    if (err != WEFT_OK) wf_dial_answer(d, err == WEFT_CLOSED ? WEFT_UNREACHABLE : err, NULL);
    return WEFT_KEPT;
failed:
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

void wf_dial_fini(struct wf_manager *m)
{
    while (m->dials != NULL) {
        struct wf_dial *d = m->dials;
        wf_dial_answer(d, WEFT_CLOSED, NULL);
    }
}
