/* SPDX-License-Identifier: Apache-2.0
 * peer moodycamel: BlockingConcurrentQueue, payload by value, a producer token
 * for each sender.  -DBULK: the consumer takes up to 64 at once. */
#include "bench.h"
#include "box_kinds.h"
#include <concurrentqueue/blockingconcurrentqueue.h>
#ifdef BULK
#define PEER_NAME "moodycamel-bulk"
#else
#define PEER_NAME "moodycamel"
#endif

typedef moodycamel::BlockingConcurrentQueue<payload> queue;
struct box {
    queue q;
    moodycamel::ConsumerToken tok;
    payload got[64];
    size_t at, n;
    box() : q(), tok(q), at(0), n(0) {}
};
struct tx {
    queue *q;
    moodycamel::ProducerToken tok;
    payload p;
    explicit tx(box *b) : q(&b->q), tok(b->q) {}
};

static box *box_new(int, int) { return new box; }
static void box_del(box *b) { delete b; }
static tx *tx_open(box *to, int, box *) { return new tx(to); }
static void tx_close(tx *x) { delete x; }
static payload *tx_alloc(tx *x) { return &x->p; }
static void tx_send(tx *x, payload *p)
{
    if (!x->q->enqueue(x->tok, *p)) die("enqueue");
}
static payload *box_recv(box *b)
{
#ifdef BULK
    if (b->at == b->n) {
        b->at = 0;
        b->n = b->q.wait_dequeue_bulk(b->tok, b->got, 64);
    }
    return &b->got[b->at++];
#else
    b->q.wait_dequeue(b->tok, b->got[0]);
    return &b->got[0];
#endif
}
static void box_free(box *, payload *) {}
static void tx_forward(tx *x, box *, payload *p) { tx_send(x, p); }
#include "harness.h"
