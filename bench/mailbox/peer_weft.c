/* SPDX-License-Identifier: Apache-2.0
 * peer_weft.c - weft's actors in the four cases of the mailbox benchmark.
 * Called by: driver.py, as the other peers. May touch: weft's public headers, bench.h.
 * Never: anything that a user of the library could not do.
 *
 *     peer-weft CASE --producers P --messages N --name NAME [--place own] [--message heap|own]
 *               [--mailbox N] [--batch N] [--client actor|thread]
 *
 * --place own: the receiver is an actor on a thread of its own, the senders of throughput and
 * fanin-burst are plain threads. --message heap: each message is a new one from the library's
 * pool, freed by the receiver; own: the message is a part of its sender's memory, used again
 * once the receiver has handled it. --mailbox 0: unbounded. --client thread: in ask the
 * clients are plain threads that wait in weft_call. */
#include "bench.h"

#include <sched.h>
#include <stdbool.h>
#include <weft/actor.h>

#define PRODUCERS_MAX 64
#define RING 4096u /* messages that a sender owns, with --message own; above any mailbox used */

static struct {
    options o;
    bool own_messages, client_threads;
    uint32_t mailbox, batch;
} cfg;
static weft_rt *rt;
static pthread_barrier_t gate;
static uint64_t *lat; /* NULL: the case has no latencies */

static void check(weft_err err, const char *what)
{
    if (err != WEFT_OK) die(what);
}

static weft_addr *spawn(weft_spec spec)
{
    weft_addr *addr = NULL;
    spec.mailbox = cfg.mailbox;
    check(weft_spawn(rt, &spec, &addr), "weft_spawn");
    return addr;
}

static void latencies(void)
{
    lat = malloc(cfg.o.messages * sizeof *lat);
    if (lat == NULL) die("memory");
    memset(lat, 1, cfg.o.messages * sizeof *lat); /* its pages are touched before the clock runs */
}

/* -- throughput, fanin-burst ------------------------------------------------------------------- */

struct item {
    weft_msg msg;
    payload p;
};
static const weft_kind heap_item = {1, "item", sizeof(struct item), weft_free_msg};
static const weft_kind own_item = {2, "own item", sizeof(struct item), NULL};

static struct lane {   /* one for each producer, on lines of its own */
    uint64_t done;     /* written by the receiver: so many of its messages were handled */
    uint64_t pad[15];  /* and no line is shared with the next                */
    uint64_t seen, t0; /* written by the producer                            */
    struct item *ring; /* --message own                                      */
    uint64_t pad2[13];
} lanes[PRODUCERS_MAX];

struct sink {
    uint64_t next[PRODUCERS_MAX], got;
};
static weft_addr *sink;
static uint64_t sink_end;

static weft_verdict on_item(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct sink *s = state;
    struct item *item = (struct item *)msg;
    uint32_t from = item->p.from;
    if (lat != NULL) lat[s->got] = now_ns() - item->p.t;
    payload_verify(&item->p, s->next, cfg.o.producers);
    bool last = ++s->got == cfg.o.messages;
    if (last) sink_end = now_ns();
    /* From the store on the message is its producer's again. */
    if (cfg.own_messages) __atomic_store_n(&lanes[from].done, s->next[from], __ATOMIC_RELEASE);
    if (last) weft_stop(weft_self_addr(self), WEFT_NOW);
    return cfg.own_messages ? WEFT_KEPT : WEFT_DONE;
}

static void on_sink_end(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    const struct sink *s = state;
    if (reason != WEFT_OK) die("the receiver failed");
    for (int i = 0; i < cfg.o.producers; i++)
        if (s->next[i] != share(&cfg.o, i)) die("messages lost");
}

/* The message number `seq` of a producer. NULL: its memory is still in use. */
static struct item *item_new(struct lane *lane, uint64_t seq)
{
    if (!cfg.own_messages) {
        struct item *item = (struct item *)weft_new(&heap_item);
        if (item == NULL) die("weft_new");
        return item;
    }
    if (seq - lane->seen >= RING) lane->seen = __atomic_load_n(&lane->done, __ATOMIC_ACQUIRE);
    if (seq - lane->seen >= RING) return NULL;
    struct item *item = &lane->ring[seq % RING];
    weft_msg_init(&item->msg, &own_item);
    return item;
}

static void *producer_thread(void *arg)
{
    int id = (int)(intptr_t)arg;
    struct lane *lane = &lanes[id];
    uint64_t count = share(&cfg.o, id);
    pthread_barrier_wait(&gate);
    lane->t0 = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        if (lat != NULL && i % BURST == 0) pause_ns(PAUSE_NS);
        struct item *item = item_new(lane, i);
        while (item == NULL) {
            sched_yield();
            item = item_new(lane, i);
        }
        payload_fill(&item->p, (uint32_t)id, i, lat == NULL ? 0 : now_ns());
        weft_err err = weft_send(sink, &item->msg);
        if (err == WEFT_FULL) err = weft_send_wait(sink, &item->msg, WEFT_NEVER);
        check(err, "weft_send");
    }
    return NULL;
}

static void run_flow(void)
{
    pthread_t thread[PRODUCERS_MAX];
    int p = cfg.o.producers;
    sink = spawn((weft_spec){
        .name = "sink", .handle = on_item, .fini = on_sink_end, .state_size = sizeof(struct sink)});
    pthread_barrier_init(&gate, NULL, (unsigned)p + 1);
    for (int i = 0; i < p; i++) {
        if (cfg.own_messages) lanes[i].ring = calloc(RING, sizeof(struct item));
        if (cfg.own_messages && lanes[i].ring == NULL) die("memory");
        if (pthread_create(&thread[i], NULL, producer_thread, (void *)(intptr_t)i) != 0)
            die("pthread_create");
    }
    pause_ns(20000000); /* the receiver is asleep by now */
    pthread_barrier_wait(&gate);
    check(weft_join(sink, WEFT_NEVER, NULL), "weft_join");
    for (int i = 0; i < p; i++) pthread_join(thread[i], NULL);
    uint64_t begin = lanes[0].t0;
    for (int i = 1; i < p; i++)
        if (lanes[i].t0 < begin) begin = lanes[i].t0;
    report(&cfg.o, (double)(sink_end - begin) / 1e9, lat, lat == NULL ? 0 : cfg.o.messages);
    for (int i = 0; i < p; i++) free(lanes[i].ring);
    weft_addr_put(sink);
}

/* -- pingpong: one message bounced N times ------------------------------------------------------ */

static struct {
    weft_addr *ping, *pong;
    uint64_t begin, last, count;
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
        lat[bats.count++] = now - bats.last;
        bats.last = now;
    }
    if (bats.count == cfg.o.messages) {
        weft_stop(weft_self_addr(self), WEFT_NOW);
        return WEFT_DONE;
    }
    item->p.seq = bats.count;
    check(weft_send(bats.pong, msg), "weft_send");
    return WEFT_KEPT;
}

static void run_pingpong(void)
{
    latencies();
    bats.ping = spawn((weft_spec){.name = "ping", .handle = on_ping});
    bats.pong = spawn((weft_spec){.name = "pong", .handle = on_pong});
    struct item *item = cfg.own_messages ? &bats.own : (struct item *)weft_new(&heap_item);
    if (item == NULL) die("weft_new");
    if (cfg.own_messages) weft_msg_init(&item->msg, &own_item);
    payload_fill(&item->p, 0, 0, 0);
    pause_ns(20000000);
    check(weft_send(bats.ping, &item->msg), "weft_send");
    check(weft_join(bats.ping, WEFT_NEVER, NULL), "weft_join");
    report(&cfg.o, (double)(bats.last - bats.begin) / 1e9, lat, cfg.o.messages);
    weft_addr_put(bats.ping);
    weft_addr_put(bats.pong);
}

/* -- ask ------------------------------------------------------------------------------------------ */

struct query {
    weft_request req;
    payload p; /* body[1]: the question; body[2]: the answer */
};
static const weft_kind heap_query = {3, "query", sizeof(struct query), weft_free_msg};
static const weft_kind own_query = {4, "own query", sizeof(struct query), NULL};
static const weft_kind go = {5, "go", sizeof(weft_msg), weft_free_msg};
static weft_addr *server;

struct client {
    int id;
    uint64_t seq, count, begin, last, *lat;
    struct query own;
};
static struct client clients[PRODUCERS_MAX];

static weft_verdict on_query(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct query *q = (struct query *)msg;
    payload_verify(&q->p, state, cfg.o.producers);
    q->p.body[2] = q->p.body[1] + 1;
    weft_reply(&q->req, WEFT_OK);
    return WEFT_KEPT;
}

static struct query *query_new(struct client *c)
{
    struct query *q = cfg.own_messages ? &c->own : (struct query *)weft_new(&heap_query);
    if (q == NULL) die("weft_new");
    if (cfg.own_messages) weft_msg_init(&q->req.msg, &own_query);
    payload_fill(&q->p, (uint32_t)c->id, c->seq, 0);
    q->p.body[1] = c->seq * 3;
    return q;
}

static void answered(struct client *c, struct query *q)
{
    if (q->p.body[2] != c->seq * 3 + 1) die("wrong reply");
    if (!cfg.own_messages) weft_drop(&q->req.msg);
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

static void run_ask(void)
{
    int p = cfg.o.producers;
    weft_addr *addr[PRODUCERS_MAX];
    pthread_t thread[PRODUCERS_MAX];
    uint64_t at = 0;
    latencies();
    server = spawn((weft_spec){
        .name = "server", .handle = on_query, .state_size = PRODUCERS_MAX * sizeof(uint64_t)});
    pthread_barrier_init(&gate, NULL, (unsigned)p + 1);
    for (int i = 0; i < p; i++) {
        clients[i] = (struct client){.id = i, .count = share(&cfg.o, i), .lat = lat + at};
        at += clients[i].count;
        if (!cfg.client_threads)
            addr[i] = spawn((weft_spec){.name = "client",
                                        .handle = on_go,
                                        .init = client_init,
                                        .arg = &clients[i],
                                        .state_size = sizeof(struct client *)});
        else if (pthread_create(&thread[i], NULL, client_thread, &clients[i]) != 0)
            die("pthread_create");
    }
    pause_ns(20000000);
    if (cfg.client_threads) pthread_barrier_wait(&gate);
    else
        for (int i = 0; i < p; i++) check(weft_send(addr[i], weft_new(&go)), "weft_send");
    uint64_t begin = UINT64_MAX, end = 0;
    for (int i = 0; i < p; i++) {
        if (cfg.client_threads) pthread_join(thread[i], NULL);
        else check(weft_join(addr[i], WEFT_NEVER, NULL), "weft_join");
        if (!cfg.client_threads) weft_addr_put(addr[i]);
        if (clients[i].begin < begin) begin = clients[i].begin;
        if (clients[i].last > end) end = clients[i].last;
    }
    report(&cfg.o, (double)(end - begin) / 1e9, lat, cfg.o.messages);
    weft_addr_put(server);
}

/* -- main ------------------------------------------------------------------------------------------ */

static void own_options(int argc, char **argv)
{
    cfg.mailbox = WEFT_UNBOUNDED;
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--mailbox") == 0) cfg.mailbox = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--message") == 0) cfg.own_messages = strcmp(value, "own") == 0;
        else if (strcmp(argv[i], "--client") == 0)
            cfg.client_threads = strcmp(value, "thread") == 0;
    }
    if (cfg.mailbox == 0) cfg.mailbox = WEFT_UNBOUNDED;
}

int main(int argc, char **argv)
{
    options_parse(&cfg.o, argc, argv, "weft");
    own_options(argc, argv);
    check(weft_rt_create(&rt), "weft_rt_create");
    if (strcmp(cfg.o.kase, "throughput") == 0) {
        run_flow();
    } else if (strcmp(cfg.o.kase, "fanin-burst") == 0) {
        latencies();
        run_flow();
    } else if (strcmp(cfg.o.kase, "pingpong") == 0) {
        run_pingpong();
    } else if (strcmp(cfg.o.kase, "ask") == 0) {
        run_ask();
    } else {
        die("unknown case");
    }
    check(weft_rt_stop(rt, WEFT_NEVER), "weft_rt_stop");
    check(weft_rt_destroy(rt), "weft_rt_destroy");
    free(lat);
    return 0;
}
