/* SPDX-License-Identifier: Apache-2.0
 * harness.h - the four cases for peers whose user brings the threads.
 *
 * Before including it a peer defines
 *   PEER_NAME                       its default name
 *   typedef ... box;                a mailbox, received from by one thread
 *   typedef ... tx;                 a sending handle, used by one thread
 *   box *box_new(int kind, int producers)   kind: BOX_MPSC, BOX_PING, BOX_PONG
 *   void box_del(box *)
 *   tx *tx_open(box *to, int id, box *mine)  called in the sending thread;
 *                                   mine is the sender's own box in pingpong
 *   void tx_close(tx *)
 *   payload *tx_alloc(tx *)         a message to fill in
 *   void tx_send(tx *, payload *)   gives it away
 *   payload *box_recv(box *)        sleeps while empty
 *   void box_free(box *, payload *)
 *   void tx_forward(tx *, box *from, payload *)  sends on what box_recv gave
 * and, for ask, one of
 *   (nothing)                       the harness's futex one-shot in a request
 *   #define PEER_ONESHOT            its own: oneshot, oneshot_init,
 *                                   oneshot_put, oneshot_wait, oneshot_done
 *   #define PEER_ASK                its own request/reply: ask_setup,
 *                                   ask_serve, asker_open, ask, asker_close
 * PEER_THREAD(fn, arg) / PEER_JOIN may replace pthread_create / pthread_join.
 */
#ifndef MAILBOX_HARNESS_H
#define MAILBOX_HARNESS_H
#include "bench.h"

#ifndef PEER_THREAD
typedef pthread_t peer_thread;
static inline peer_thread peer_thread_start(void *(*fn)(void *), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, fn, arg)) die("pthread_create");
    return t;
}
static inline void peer_thread_join(peer_thread t) { pthread_join(t, NULL); }
#endif

static options opt;
static pthread_barrier_t gate;

/* ---- one-shot reply channel, by futex (0 empty, 1 full, 2 sleeping) ---- */
#if !defined PEER_ONESHOT && !defined PEER_ASK
typedef struct oneshot {
    uint32_t state;
    uint64_t value;
} oneshot;
static inline void oneshot_init(oneshot *o) { __atomic_store_n(&o->state, 0, __ATOMIC_RELAXED); }
static inline void oneshot_put(oneshot *o, uint64_t v)
{
    o->value = v;
    if (__atomic_exchange_n(&o->state, 1, __ATOMIC_ACQ_REL) == 2) futex_wake_word(&o->state, 1);
}
static inline uint64_t oneshot_wait(oneshot *o)
{
    uint32_t s = 0;
    if (__atomic_compare_exchange_n(&o->state, &s, 2, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) do
            futex_wait_word(&o->state, 2);
        while (__atomic_load_n(&o->state, __ATOMIC_ACQUIRE) != 1);
    return o->value;
}
static inline void oneshot_done(oneshot *o) { (void)o; }
#endif

/* ---- throughput ---- */
typedef struct worker {
    box *b;
    int id;
    uint64_t count, t0, t1;
    uint64_t *lat;
} worker;

static void *thr_consumer(void *arg)
{
    worker *w = (worker *)arg;
    uint64_t next[64] = {0};
    for (uint64_t i = 0; i < w->count; i++) {
        payload *p = box_recv(w->b);
        payload_verify(p, next, opt.producers);
        box_free(w->b, p);
    }
    w->t1 = now_ns();
    for (int i = 0; i < opt.producers; i++)
        if (next[i] != share(&opt, i)) die("messages lost");
    return NULL;
}

static void *thr_producer(void *arg)
{
    worker *w = (worker *)arg;
    tx *x = tx_open(w->b, w->id, NULL);
    pthread_barrier_wait(&gate);
    w->t0 = now_ns();
    for (uint64_t i = 0; i < w->count; i++) {
        payload *p = tx_alloc(x);
        payload_fill(p, (uint32_t)w->id, i, 0);
        tx_send(x, p);
    }
    pthread_barrier_wait(&gate); /* handles stay open until all was received */
    tx_close(x);
    return NULL;
}

/* ---- fanin-burst ---- */
static void *burst_consumer(void *arg)
{
    worker *w = (worker *)arg;
    uint64_t next[64] = {0};
    for (uint64_t i = 0; i < w->count; i++) {
        payload *p = box_recv(w->b);
        w->lat[i] = now_ns() - p->t;
        payload_verify(p, next, opt.producers);
        box_free(w->b, p);
    }
    w->t1 = now_ns();
    return NULL;
}

static void *burst_producer(void *arg)
{
    worker *w = (worker *)arg;
    tx *x = tx_open(w->b, w->id, NULL);
    pthread_barrier_wait(&gate);
    w->t0 = now_ns();
    for (uint64_t i = 0; i < w->count; i++) {
        if (i % BURST == 0) pause_ns(PAUSE_NS);
        payload *p = tx_alloc(x);
        payload_fill(p, (uint32_t)w->id, i, now_ns());
        tx_send(x, p);
    }
    pthread_barrier_wait(&gate);
    tx_close(x);
    return NULL;
}

static void run_flow(void *(*consumer)(void *), void *(*producer)(void *), int want_lat)
{
    worker c, w[64];
    peer_thread ct, pt[64];
    memset(&c, 0, sizeof c);
    memset(w, 0, sizeof w);
    c.b = box_new(BOX_MPSC, opt.producers);
    c.count = opt.messages;
    if (want_lat) {
        c.lat = (uint64_t *)malloc(opt.messages * sizeof *c.lat);
        memset(c.lat, 1, opt.messages * sizeof *c.lat);
    }
    pthread_barrier_init(&gate, NULL, (unsigned)opt.producers + 1);
    ct = peer_thread_start(consumer, &c);
    for (int i = 0; i < opt.producers; i++) {
        w[i].b = c.b;
        w[i].id = i;
        w[i].count = share(&opt, i);
        pt[i] = peer_thread_start(producer, &w[i]);
    }
    pause_ns(20000000); /* the consumer is asleep by now */
    pthread_barrier_wait(&gate);
    peer_thread_join(ct);
    pthread_barrier_wait(&gate);
    for (int i = 0; i < opt.producers; i++) peer_thread_join(pt[i]);
    uint64_t t0 = w[0].t0;
    for (int i = 1; i < opt.producers; i++)
        if (w[i].t0 < t0) t0 = w[i].t0;
    report(&opt, (double)(c.t1 - t0) / 1e9, c.lat, want_lat ? opt.messages : 0);
    box_del(c.b);
}

/* ---- pingpong: one message bounced N times ---- */
typedef struct bat {
    box *mine, *other;
    uint64_t t0, t1;
    uint64_t *lat;
} bat;

static void *pp_pong(void *arg)
{
    bat *b = (bat *)arg;
    tx *x = tx_open(b->other, 0, b->mine);
    pthread_barrier_wait(&gate);
    for (uint64_t i = 0; i < opt.messages; i++) {
        payload *p = box_recv(b->mine);
        if (p->seq != i) die("pingpong out of order");
        tx_forward(x, b->mine, p);
    }
    pthread_barrier_wait(&gate);
    tx_close(x);
    return NULL;
}

static void *pp_ping(void *arg)
{
    bat *b = (bat *)arg;
    tx *x = tx_open(b->other, 0, b->mine);
    pthread_barrier_wait(&gate);
    pause_ns(20000000);
    b->t0 = now_ns();
    uint64_t t = b->t0;
    payload *p = tx_alloc(x);
    payload_fill(p, 0, 0, 0);
    tx_send(x, p);
    for (uint64_t i = 0; i < opt.messages; i++) {
        p = box_recv(b->mine);
        uint64_t n = now_ns();
        b->lat[i] = n - t;
        t = n;
        if (i + 1 < opt.messages) {
            p->seq = i + 1;
            tx_forward(x, b->mine, p);
        } else box_free(b->mine, p);
    }
    b->t1 = t;
    pthread_barrier_wait(&gate);
    tx_close(x);
    return NULL;
}

static void run_pingpong(void)
{
    bat a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    a.mine = b.other = box_new(BOX_PING, 1);
    b.mine = a.other = box_new(BOX_PONG, 1);
    a.lat = (uint64_t *)malloc(opt.messages * sizeof *a.lat);
    memset(a.lat, 1, opt.messages * sizeof *a.lat);
    pthread_barrier_init(&gate, NULL, 2);
    peer_thread tb = peer_thread_start(pp_pong, &b), ta = peer_thread_start(pp_ping, &a);
    peer_thread_join(ta);
    peer_thread_join(tb);
    report(&opt, (double)(a.t1 - a.t0) / 1e9, a.lat, opt.messages);
    box_del(a.mine);
    box_del(b.mine);
}

/* ---- ask ---- */
#ifndef PEER_ASK
static box *ask_box;
typedef struct asker {
    tx *x;
    int id;
    uint64_t seq;
} asker;
static void ask_setup(int clients) { ask_box = box_new(BOX_MPSC, clients); }
static void ask_serve(uint64_t total)
{
    uint64_t next[64] = {0};
    for (uint64_t i = 0; i < total; i++) {
        payload *p = box_recv(ask_box);
        payload_verify(p, next, opt.producers);
        oneshot *o = (oneshot *)(uintptr_t)p->body[0];
        uint64_t q = p->body[1];
        box_free(ask_box, p);
        oneshot_put(o, q + 1);
    }
}
static void asker_open(asker *a, int id)
{
    a->x = tx_open(ask_box, id, NULL);
    a->id = id;
    a->seq = 0;
}
static uint64_t ask(asker *a, uint64_t q)
{
    oneshot o;
    oneshot_init(&o);
    payload *p = tx_alloc(a->x);
    payload_fill(p, (uint32_t)a->id, a->seq++, 0);
    p->body[0] = (uint64_t)(uintptr_t)&o;
    p->body[1] = q;
    tx_send(a->x, p);
    uint64_t v = oneshot_wait(&o);
    oneshot_done(&o);
    return v;
}
static void asker_close(asker *a) { tx_close(a->x); }
#endif

static void *ask_server_main(void *arg)
{
    worker *w = (worker *)arg;
    ask_serve(w->count);
    return NULL;
}

static void *ask_client_main(void *arg)
{
    worker *w = (worker *)arg;
    asker a;
    asker_open(&a, w->id);
    pthread_barrier_wait(&gate);
    w->t0 = now_ns();
    uint64_t t = w->t0;
    for (uint64_t i = 0; i < w->count; i++) {
        if (ask(&a, i * 3) != i * 3 + 1) die("wrong reply");
        uint64_t n = now_ns();
        w->lat[i] = n - t;
        t = n;
    }
    w->t1 = t;
    pthread_barrier_wait(&gate);
    asker_close(&a);
    return NULL;
}

static void run_ask(void)
{
    worker s, w[64];
    peer_thread st, ct[64];
    memset(&s, 0, sizeof s);
    memset(w, 0, sizeof w);
    uint64_t *lat = (uint64_t *)malloc(opt.messages * sizeof *lat), off = 0;
    memset(lat, 1, opt.messages * sizeof *lat);
    ask_setup(opt.producers);
    pthread_barrier_init(&gate, NULL, (unsigned)opt.producers + 1);
    s.count = opt.messages;
    st = peer_thread_start(ask_server_main, &s);
    for (int i = 0; i < opt.producers; i++) {
        w[i].id = i;
        w[i].count = share(&opt, i);
        w[i].lat = lat + off;
        off += w[i].count;
        ct[i] = peer_thread_start(ask_client_main, &w[i]);
    }
    pause_ns(20000000);
    pthread_barrier_wait(&gate);
    peer_thread_join(st);
    pthread_barrier_wait(&gate);
    for (int i = 0; i < opt.producers; i++) peer_thread_join(ct[i]);
    uint64_t t0 = w[0].t0, t1 = w[0].t1;
    for (int i = 1; i < opt.producers; i++) {
        if (w[i].t0 < t0) t0 = w[i].t0;
        if (w[i].t1 > t1) t1 = w[i].t1;
    }
    report(&opt, (double)(t1 - t0) / 1e9, lat, opt.messages);
}

int main(int argc, char **argv)
{
    options_parse(&opt, argc, argv, PEER_NAME);
#ifdef PEER_INIT
    PEER_INIT();
#endif
    if (!strcmp(opt.kase, "throughput")) run_flow(thr_consumer, thr_producer, 0);
    else if (!strcmp(opt.kase, "fanin-burst")) run_flow(burst_consumer, burst_producer, 1);
    else if (!strcmp(opt.kase, "pingpong")) run_pingpong();
    else if (!strcmp(opt.kase, "ask")) run_ask();
    else die("unknown case");
    return 0;
}
#endif
