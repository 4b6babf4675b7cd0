/* SPDX-License-Identifier: Apache-2.0
 * peer czmq: every thread is a zactor; frames over inproc PUSH/PULL, the
 * zactor-style pipe (zsys_create_pipe) in pingpong, REQ/REP in ask. */
#include "bench.h"
#include "box_kinds.h"
#include <czmq.h>
#define PEER_NAME "czmq-zactor"

typedef struct box {
    zsock_t *s;
    int kind;
    zframe_t *f;
} box;
typedef struct tx {
    zsock_t *s;
    int shared;
    zframe_t *f;
} tx;

static void czinit(void) { zsys_handler_set(NULL); }
#define PEER_INIT czinit

static zsock_t *pipe_b;
static box *box_new(int kind, int producers)
{
    (void)producers;
    box *b = (box *)calloc(1, sizeof *b);
    b->kind = kind;
    if (kind == BOX_MPSC) b->s = zsock_new_pull("@inproc://box");
    else if (kind == BOX_PING) b->s = zsys_create_pipe(&pipe_b);
    else b->s = pipe_b;
    if (!b->s) die("zsock");
    return b;
}
static void box_del(box *b)
{
    zsock_destroy(&b->s);
    free(b);
}
static tx *tx_open(box *to, int id, box *mine)
{
    (void)id;
    tx *x = (tx *)calloc(1, sizeof *x);
    if (to->kind == BOX_MPSC) x->s = zsock_new_push(">inproc://box");
    else {
        x->s = mine->s;
        x->shared = 1;
    }
    return x;
}
static void tx_close(tx *x)
{
    if (!x->shared) zsock_destroy(&x->s);
    free(x);
}
static payload *tx_alloc(tx *x)
{
    x->f = zframe_new(NULL, sizeof(payload));
    return (payload *)zframe_data(x->f);
}
static void tx_send(tx *x, payload *p)
{
    (void)p;
    if (zframe_send(&x->f, x->s, 0)) die("zframe_send");
}
static payload *box_recv(box *b)
{
    b->f = zframe_recv(b->s);
    if (!b->f) die("zframe_recv");
    return (payload *)zframe_data(b->f);
}
static void box_free(box *b, payload *p) { (void)p, zframe_destroy(&b->f); }
static void tx_forward(tx *x, box *from, payload *p)
{
    (void)p;
    if (zframe_send(&from->f, x->s, 0)) die("zframe_send");
}

#define PEER_ASK 1
static zsock_t *ask_sock;
typedef struct asker {
    zsock_t *s;
} asker;
static void ask_setup(int clients)
{
    (void)clients;
    ask_sock = zsock_new_rep("@inproc://ask");
}
static void ask_serve(uint64_t total)
{
    for (uint64_t i = 0; i < total; i++) {
        zframe_t *f = zframe_recv(ask_sock);
        if (!f) die("rep recv");
        ((payload *)zframe_data(f))->body[1]++;
        if (zframe_send(&f, ask_sock, 0)) die("rep send");
    }
    zsock_set_linger(ask_sock, -1); /* the last reply still has to leave */
    zsock_destroy(&ask_sock);
}
static void asker_open(asker *a, int id) { (void)id, a->s = zsock_new_req(">inproc://ask"); }
static uint64_t ask(asker *a, uint64_t q)
{
    zframe_t *f = zframe_new(NULL, sizeof(payload));
    payload *p = (payload *)zframe_data(f);
    payload_fill(p, 0, q, 0);
    p->body[1] = q;
    if (zframe_send(&f, a->s, 0)) die("req send");
    f = zframe_recv(a->s);
    if (!f) die("req recv");
    uint64_t v = ((payload *)zframe_data(f))->body[1];
    zframe_destroy(&f);
    return v;
}
static void asker_close(asker *a) { zsock_destroy(&a->s); }

#define PEER_THREAD 1
typedef struct act {
    void *(*fn)(void *);
    void *arg;
    zactor_t *z;
} act;
typedef act *peer_thread;
static void act_main(zsock_t *pipe, void *arg)
{
    act *a = (act *)arg;
    zsock_signal(pipe, 0); /* zactor_new returns */
    a->fn(a->arg);
    zsock_signal(pipe, 7);        /* ended: what peer_thread_join waits for */
    char *term = zstr_recv(pipe); /* zactor_destroy sends $TERM */
    zstr_free(&term);
}
static peer_thread peer_thread_start(void *(*fn)(void *), void *arg)
{
    act *a = (act *)calloc(1, sizeof *a);
    a->fn = fn;
    a->arg = arg;
    a->z = zactor_new(act_main, a);
    if (!a->z) die("zactor_new");
    return a;
}
static void peer_thread_join(peer_thread a)
{
    if (zsock_wait(a->z) != 7) die("zactor end");
    zactor_destroy(&a->z);
    free(a);
}
#include "harness.h"
