/* SPDX-License-Identifier: Apache-2.0
 * peer zmq: libzmq inproc, PUSH/PULL (PAIR in pingpong, REQ/REP in ask),
 * default high-water mark of 1000; -DNOHWM: unlimited. */
#include "bench.h"
#include "box_kinds.h"
#include <zmq.h>
#ifdef NOHWM
#define PEER_NAME "zmq-nohwm"
#else
#define PEER_NAME "zmq"
#endif

typedef struct box {
    void *s;
    int kind;
    zmq_msg_t m;
} box;
typedef struct tx {
    void *s;
    int shared;
    zmq_msg_t m;
} tx;

static void *ctx;
static void zinit(void) { ctx = zmq_ctx_new(); }
#define PEER_INIT zinit

static void *zopen(int type)
{
    void *s = zmq_socket(ctx, type);
    int hwm = 0;
#ifdef NOHWM
    zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(s, ZMQ_RCVHWM, &hwm, sizeof hwm);
#endif
    (void)hwm;
    if (!s) die("zmq_socket");
    return s;
}
static box *box_new(int kind, int producers)
{
    (void)producers;
    box *b = (box *)calloc(1, sizeof *b);
    b->kind = kind;
    b->s = zopen(kind == BOX_MPSC ? ZMQ_PULL : ZMQ_PAIR);
    if (kind == BOX_PONG ? zmq_connect(b->s, "inproc://pair")
                         : zmq_bind(b->s, kind == BOX_PING ? "inproc://pair" : "inproc://box"))
        die("zmq bind/connect");
    return b;
}
static void box_del(box *b) { (void)b; }
static tx *tx_open(box *to, int id, box *mine)
{
    (void)id;
    tx *x = (tx *)calloc(1, sizeof *x);
    if (to->kind == BOX_MPSC) {
        x->s = zopen(ZMQ_PUSH);
        if (zmq_connect(x->s, "inproc://box")) die("zmq_connect");
    } else {
        x->s = mine->s;
        x->shared = 1;
    }
    return x;
}
static void tx_close(tx *x)
{
    if (!x->shared) zmq_close(x->s);
    free(x);
}
static payload *tx_alloc(tx *x)
{
    zmq_msg_init_size(&x->m, sizeof(payload));
    return (payload *)zmq_msg_data(&x->m);
}
static void tx_send(tx *x, payload *p)
{
    (void)p;
    if (zmq_msg_send(&x->m, x->s, 0) < 0) die("zmq_msg_send");
}
static payload *box_recv(box *b)
{
    zmq_msg_init(&b->m);
    if (zmq_msg_recv(&b->m, b->s, 0) < 0) die("zmq_msg_recv");
    return (payload *)zmq_msg_data(&b->m);
}
static void box_free(box *b, payload *p) { (void)p, zmq_msg_close(&b->m); }
static void tx_forward(tx *x, box *from, payload *p)
{
    (void)p;
    if (zmq_msg_send(&from->m, x->s, 0) < 0) die("zmq_msg_send");
}

#define PEER_ASK 1
static void *ask_sock;
typedef struct asker {
    void *s;
} asker;
static void ask_setup(int clients)
{
    (void)clients;
    ask_sock = zopen(ZMQ_REP);
    if (zmq_bind(ask_sock, "inproc://ask")) die("zmq_bind");
}
static void ask_serve(uint64_t total)
{
    for (uint64_t i = 0; i < total; i++) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, ask_sock, 0) < 0) die("rep recv");
        ((payload *)zmq_msg_data(&m))->body[1]++;
        if (zmq_msg_send(&m, ask_sock, 0) < 0) die("rep send");
    }
}
static void asker_open(asker *a, int id)
{
    (void)id;
    a->s = zopen(ZMQ_REQ);
    if (zmq_connect(a->s, "inproc://ask")) die("req connect");
}
static uint64_t ask(asker *a, uint64_t q)
{
    zmq_msg_t m;
    zmq_msg_init_size(&m, sizeof(payload));
    payload *p = (payload *)zmq_msg_data(&m);
    payload_fill(p, 0, q, 0);
    p->body[1] = q;
    if (zmq_msg_send(&m, a->s, 0) < 0) die("req send");
    zmq_msg_init(&m);
    if (zmq_msg_recv(&m, a->s, 0) < 0) die("req recv");
    uint64_t v = ((payload *)zmq_msg_data(&m))->body[1];
    zmq_msg_close(&m);
    return v;
}
static void asker_close(asker *a) { zmq_close(a->s); }
#include "harness.h"
