/* SPDX-License-Identifier: Apache-2.0
 * peer nng: inproc, push0/pull0 (pair0 in pingpong, req0/rep0 in ask). */
#include "bench.h"
#include "box_kinds.h"
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#define PEER_NAME "nng"

typedef struct box {
    nng_socket s;
    int kind;
    nng_msg *m;
} box;
typedef struct tx {
    nng_socket s;
    int shared;
    nng_msg *m;
} tx;

static void ok(int rc, const char *what)
{
    if (rc) {
        fprintf(stderr, "%s: %s\n", what, nng_strerror(rc));
        die(what);
    }
}
static box *box_new(int kind, int producers)
{
    (void)producers;
    box *b = (box *)calloc(1, sizeof *b);
    b->kind = kind;
    if (kind == BOX_MPSC) {
        ok(nng_pull0_open(&b->s), "pull0");
        ok(nng_listen(b->s, "inproc://box", NULL, 0), "listen");
    } else {
        ok(nng_pair0_open(&b->s), "pair0");
        if (kind == BOX_PING) ok(nng_listen(b->s, "inproc://pair", NULL, 0), "listen");
        else ok(nng_dial(b->s, "inproc://pair", NULL, 0), "dial");
    }
    return b;
}
static void box_del(box *b) { nng_close(b->s); }
static tx *tx_open(box *to, int id, box *mine)
{
    (void)id;
    tx *x = (tx *)calloc(1, sizeof *x);
    if (to->kind == BOX_MPSC) {
        ok(nng_push0_open(&x->s), "push0");
        ok(nng_dial(x->s, "inproc://box", NULL, 0), "dial");
    } else {
        x->s = mine->s;
        x->shared = 1;
    }
    return x;
}
static void tx_close(tx *x)
{
    if (!x->shared) nng_close(x->s);
    free(x);
}
static payload *tx_alloc(tx *x)
{
    ok(nng_msg_alloc(&x->m, sizeof(payload)), "alloc");
    return (payload *)nng_msg_body(x->m);
}
static void tx_send(tx *x, payload *p) { (void)p, ok(nng_sendmsg(x->s, x->m, 0), "send"); }
static payload *box_recv(box *b)
{
    ok(nng_recvmsg(b->s, &b->m, 0), "recv");
    return (payload *)nng_msg_body(b->m);
}
static void box_free(box *b, payload *p) { (void)p, nng_msg_free(b->m); }
static void tx_forward(tx *x, box *from, payload *p)
{
    (void)p, ok(nng_sendmsg(x->s, from->m, 0), "send");
}

#define PEER_ASK 1
static nng_socket ask_sock;
typedef struct asker {
    nng_socket s;
} asker;
static void ask_setup(int clients)
{
    (void)clients;
    ok(nng_rep0_open(&ask_sock), "rep0");
    ok(nng_listen(ask_sock, "inproc://ask", NULL, 0), "listen");
}
static void ask_serve(uint64_t total)
{
    for (uint64_t i = 0; i < total; i++) {
        nng_msg *m;
        ok(nng_recvmsg(ask_sock, &m, 0), "rep recv");
        ((payload *)nng_msg_body(m))->body[1]++;
        ok(nng_sendmsg(ask_sock, m, 0), "rep send");
    }
}
static void asker_open(asker *a, int id)
{
    (void)id;
    ok(nng_req0_open(&a->s), "req0");
    ok(nng_dial(a->s, "inproc://ask", NULL, 0), "dial");
}
static uint64_t ask(asker *a, uint64_t q)
{
    nng_msg *m;
    ok(nng_msg_alloc(&m, sizeof(payload)), "alloc");
    payload *p = (payload *)nng_msg_body(m);
    payload_fill(p, 0, q, 0);
    p->body[1] = q;
    ok(nng_sendmsg(a->s, m, 0), "req send");
    ok(nng_recvmsg(a->s, &m, 0), "req recv");
    uint64_t v = ((payload *)nng_msg_body(m))->body[1];
    nng_msg_free(m);
    return v;
}
static void asker_close(asker *a) { nng_close(a->s); }
#include "harness.h"
