/* SPDX-License-Identifier: Apache-2.0
 * peer_weft_bounce.c - pingpong and ask: messages that come back.
 * Called by: peer_weft.c. May touch: its actors and threads.
 * Never: has more than one question of a client under way. */
#include "peer_weft.h"

/* -- pingpong: one message bounced N times ------------------------------------------------------ */

static struct {
    weft_addr *ping, *pong;
    uint64_t begin, last, count; /* by ping */
    struct item own;
} bats;

static weft_verdict on_pong(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state;
    check(weft_send(bats.ping, msg), "weft_send");
    return WEFT_KEPT;
}

/* The first message is the service. */
static weft_verdict on_ping(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    struct item *item = (struct item *)msg;
    uint64_t now = now_ns();
    if (bats.begin == 0) {
        bats.begin = bats.last = now;
    } else {
        if (item->p.seq != bats.count) die("pingpong out of order");
        peer.lat[bats.count++] = now - bats.last;
        bats.last = now;
    }
    if (bats.count == peer.o.messages) {
        weft_stop(weft_self_addr(self), WEFT_NOW);
        return WEFT_DONE;
    }
    item->p.seq = bats.count;
    check(weft_send(bats.pong, msg), "weft_send");
    return WEFT_KEPT;
}

void pingpong_setup(weft_self *host)
{
    bats.ping = spawn(host, (weft_spec){.name = "ping", .handle = on_ping});
    bats.pong = spawn(host, (weft_spec){.name = "pong", .handle = on_pong});
}

void pingpong_run(void)
{
    struct item *item = peer.own_messages ? &bats.own : (struct item *)weft_new(&heap_item);
    if (item == NULL) die("weft_new");
    if (peer.own_messages) weft_msg_init(&item->msg, &own_item);
    payload_fill(&item->p, 0, 0, 0);
    check(weft_send(bats.ping, &item->msg), "weft_send");
    check(weft_join(bats.ping, WEFT_NEVER, NULL), "weft_join");
    report(&peer.o, (double)(bats.last - bats.begin) / 1e9, peer.lat, peer.o.messages);
    weft_addr_put(bats.ping);
    weft_addr_put(bats.pong);
}

/* -- ask ------------------------------------------------------------------------------------------ */

struct query {
    weft_request req;
    payload p; /* body[1]: the question; body[2]: the answer */
};
static const weft_kind heap_query = {5, "query", sizeof(struct query), weft_free_msg};
static const weft_kind own_query = {6, "own query", sizeof(struct query), NULL};

static weft_addr *server;
static struct client {
    int id;
    uint64_t seq, count, begin, last, *lat;
    struct query own;
    weft_addr *addr;
    pthread_t thread;
} clients[PRODUCERS_MAX];
static pthread_barrier_t gate;

static weft_verdict on_query(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct query *q = (struct query *)msg;
    payload_verify(&q->p, state, peer.o.producers);
    q->p.body[2] = q->p.body[1] + 1;
    weft_reply(&q->req, WEFT_OK);
    return WEFT_KEPT;
}

/* Every question is a request of its own: a new one, or the client's own, begun anew. */
static struct query *query_new(struct client *c)
{
    struct query *q = peer.own_messages ? &c->own : (struct query *)weft_new(&heap_query);
    if (q == NULL) die("weft_new");
    if (peer.own_messages) weft_msg_init(&q->req.msg, &own_query);
    payload_fill(&q->p, (uint32_t)c->id, c->seq, 0);
    q->p.body[1] = c->seq * 3;
    return q;
}

static void answered(struct client *c, struct query *q)
{
    if (q->p.body[2] != c->seq * 3 + 1) die("wrong reply");
    if (!peer.own_messages) weft_drop(&q->req.msg);
    uint64_t now = now_ns();
    c->lat[c->seq++] = now - c->last;
    c->last = now;
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static void ask_next(weft_self *self, struct client *c)
{
    check(weft_ask(self, server, &query_new(c)->req, WEFT_NEVER, on_reply, NULL, NULL), "weft_ask");
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)arg;
    struct client *c = *(struct client **)state;
    check(err, "an ask failed");
    answered(c, (struct query *)req);
    if (c->seq == c->count) weft_stop(weft_self_addr(self), WEFT_NOW);
    else ask_next(self, c);
}

static weft_err client_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct client **)state = arg;
    return WEFT_OK;
}

static weft_verdict on_go(weft_self *self, void *state, weft_msg *msg)
{
    (void)msg;
    struct client *c = *(struct client **)state;
    c->begin = c->last = now_ns();
    ask_next(self, c);
    return WEFT_DONE;
}

static void *client_thread(void *arg)
{
    struct client *c = arg;
    pthread_barrier_wait(&gate);
    c->begin = c->last = now_ns();
    while (c->seq < c->count) {
        weft_request *answer = NULL;
        check(weft_call(server, &query_new(c)->req, WEFT_NEVER, &answer, NULL), "weft_call");
        answered(c, (struct query *)answer);
    }
    return NULL;
}

void ask_setup(weft_self *host)
{
    uint64_t at = 0;
    server = spawn(host, (weft_spec){.name = "server",
                                     .handle = on_query,
                                     .state_size = PRODUCERS_MAX * sizeof(uint64_t)});
    pthread_barrier_init(&gate, NULL, (unsigned)peer.o.producers + 1);
    for (int i = 0; i < peer.o.producers; i++) {
        struct client *c = &clients[i];
        *c = (struct client){.id = i, .count = share(&peer.o, i), .lat = peer.lat + at};
        at += c->count;
        if (!peer.client_threads)
            c->addr = spawn(host, (weft_spec){.name = "client",
                                              .handle = on_go,
                                              .init = client_init,
                                              .arg = c,
                                              .state_size = sizeof c});
        else if (pthread_create(&c->thread, NULL, client_thread, c) != 0) die("pthread_create");
    }
}

void ask_run(void)
{
    uint64_t begin = UINT64_MAX, end = 0;
    if (peer.client_threads) pthread_barrier_wait(&gate);
    for (int i = 0; i < peer.o.producers && !peer.client_threads; i++) send_go(clients[i].addr);
    for (int i = 0; i < peer.o.producers; i++) {
        struct client *c = &clients[i];
        if (peer.client_threads) pthread_join(c->thread, NULL);
        else check(weft_join(c->addr, WEFT_NEVER, NULL), "weft_join");
        weft_addr_put(c->addr);
        if (c->begin < begin) begin = c->begin;
        if (c->last > end) end = c->last;
    }
    report(&peer.o, (double)(end - begin) / 1e9, peer.lat, peer.o.messages);
    weft_addr_put(server);
}
