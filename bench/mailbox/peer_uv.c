/* SPDX-License-Identifier: Apache-2.0
 * peer libuv: each receiver is a loop; senders append to a mutex-guarded list
 * and call uv_async_send; the callback takes the whole list.  Replies in ask
 * use libuv's own semaphore. */
#include "bench.h"
#include "box_kinds.h"
#include <uv.h>
#define PEER_NAME "libuv"

typedef struct node {
    payload p;
    struct node *next;
} node;
typedef struct box {
    uv_mutex_t m;
    node *head, *tail;
    uv_loop_t loop;
    uv_async_t async;
    node *mine;
} box;
typedef box tx;

static void on_async(uv_async_t *h)
{
    box *b = (box *)h->data;
    uv_mutex_lock(&b->m);
    b->mine = b->head;
    b->head = b->tail = NULL;
    uv_mutex_unlock(&b->m);
}
static box *box_new(int kind, int producers)
{
    (void)kind, (void)producers;
    box *b = (box *)calloc(1, sizeof *b);
    uv_mutex_init(&b->m);
    uv_loop_init(&b->loop);
    uv_async_init(&b->loop, &b->async, on_async);
    b->async.data = b;
    return b;
}
static void box_del(box *b) { (void)b; }
static tx *tx_open(box *to, int id, box *mine) { return (void)id, (void)mine, to; }
static void tx_close(tx *x) { (void)x; }
static payload *tx_alloc(tx *x) { return (void)x, &((node *)malloc(sizeof(node)))->p; }
static void tx_send(tx *b, payload *p)
{
    node *n = (node *)p;
    n->next = NULL;
    uv_mutex_lock(&b->m);
    if (b->tail) b->tail->next = n;
    else b->head = n;
    b->tail = n;
    uv_mutex_unlock(&b->m);
    uv_async_send(&b->async);
}
static payload *box_recv(box *b)
{
    while (!b->mine) uv_run(&b->loop, UV_RUN_ONCE);
    node *n = b->mine;
    b->mine = n->next;
    return &n->p;
}
static void box_free(box *b, payload *p) { (void)b, free(p); }
static void tx_forward(tx *x, box *from, payload *p) { (void)from, tx_send(x, p); }

#define PEER_ONESHOT 1
typedef struct oneshot {
    uv_sem_t s;
    uint64_t value;
} oneshot;
static void oneshot_init(oneshot *o) { uv_sem_init(&o->s, 0); }
static void oneshot_put(oneshot *o, uint64_t v)
{
    o->value = v;
    uv_sem_post(&o->s);
}
static uint64_t oneshot_wait(oneshot *o)
{
    uv_sem_wait(&o->s);
    return o->value;
}
static void oneshot_done(oneshot *o) { uv_sem_destroy(&o->s); }
#include "harness.h"
