/* SPDX-License-Identifier: Apache-2.0
 * peer mutex: the list, mutex and condition variable a C programmer writes by
 * hand.  With -DSWAP the consumer takes the whole list under one lock. */
#include "bench.h"
#include "box_kinds.h"
#ifdef SWAP
#define PEER_NAME "mutex-swap"
#else
#define PEER_NAME "mutex"
#endif

typedef struct node {
    payload p;
    struct node *next;
} node;

typedef struct box {
    pthread_mutex_t m;
    pthread_cond_t c;
    node *head, *tail;
    node *mine; /* SWAP: taken, not yet handed out */
} box;
typedef box tx;

static box *box_new(int kind, int producers)
{
    (void)kind, (void)producers;
    box *b = (box *)calloc(1, sizeof *b);
    pthread_mutex_init(&b->m, NULL);
    pthread_cond_init(&b->c, NULL);
    return b;
}
static void box_del(box *b)
{
    pthread_mutex_destroy(&b->m);
    pthread_cond_destroy(&b->c);
    free(b);
}
static tx *tx_open(box *to, int id, box *mine) { return (void)id, (void)mine, to; }
static void tx_close(tx *x) { (void)x; }
static payload *tx_alloc(tx *x) { return (void)x, &((node *)malloc(sizeof(node)))->p; }
static void tx_send(tx *b, payload *p)
{
    node *n = (node *)p;
    n->next = NULL;
    pthread_mutex_lock(&b->m);
    if (b->tail) b->tail->next = n;
    else b->head = n;
    b->tail = n;
    pthread_mutex_unlock(&b->m);
    pthread_cond_signal(&b->c);
}
static payload *box_recv(box *b)
{
    node *n;
#ifdef SWAP
    if (!b->mine) {
        pthread_mutex_lock(&b->m);
        while (!b->head) pthread_cond_wait(&b->c, &b->m);
        b->mine = b->head;
        b->head = b->tail = NULL;
        pthread_mutex_unlock(&b->m);
    }
    n = b->mine;
    b->mine = n->next;
#else
    pthread_mutex_lock(&b->m);
    while (!b->head) pthread_cond_wait(&b->c, &b->m);
    n = b->head;
    b->head = n->next;
    if (!b->head) b->tail = NULL;
    pthread_mutex_unlock(&b->m);
#endif
    return &n->p;
}
static void box_free(box *b, payload *p) { (void)b, free(p); }
static void tx_forward(tx *x, box *from, payload *p) { (void)from, tx_send(x, p); }

#define PEER_ONESHOT 1
typedef struct oneshot {
    pthread_mutex_t m;
    pthread_cond_t c;
    int full;
    uint64_t value;
} oneshot;
static void oneshot_init(oneshot *o)
{
    pthread_mutex_init(&o->m, NULL);
    pthread_cond_init(&o->c, NULL);
    o->full = 0;
}
static void oneshot_put(oneshot *o, uint64_t v)
{
    pthread_mutex_lock(&o->m);
    o->value = v;
    o->full = 1;
    pthread_cond_signal(&o->c);
    pthread_mutex_unlock(&o->m);
}
static uint64_t oneshot_wait(oneshot *o)
{
    pthread_mutex_lock(&o->m);
    while (!o->full) pthread_cond_wait(&o->c, &o->m);
    uint64_t v = o->value;
    pthread_mutex_unlock(&o->m);
    return v;
}
static void oneshot_done(oneshot *o)
{
    pthread_cond_destroy(&o->c);
    pthread_mutex_destroy(&o->m);
}
#include "harness.h"
