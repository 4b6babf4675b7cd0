/* SPDX-License-Identifier: Apache-2.0
 * peer urcu: liburcu's wait-free concurrent queue, drained by splice, with a
 * futex that only a send to an empty queue looks at.  -DSPIN=n: looks at the
 * empty queue n more times, pausing, before it sleeps. */
#include "bench.h"
#include "box_kinds.h"
#ifdef SPIN
#define PEER_NAME "urcu-wfcq-spin"
#else
#define PEER_NAME "urcu-wfcq"
#define SPIN 0
#endif
#include <sched.h>
#include <urcu/uatomic.h>
#include <urcu/wfcqueue.h>

typedef struct node {
    payload p;
    struct cds_wfcq_node link;
} node;

typedef struct box {
    struct cds_wfcq_tail tail __attribute__((aligned(64)));
    struct __cds_wfcq_head head __attribute__((aligned(64)));
    struct cds_wfcq_tail ltail __attribute__((aligned(64)));
    struct __cds_wfcq_head lhead;
    uint32_t sleeping __attribute__((aligned(64)));
} box;
typedef box tx;

static box *box_new(int kind, int producers)
{
    (void)kind, (void)producers;
    box *b = (box *)aligned_alloc(64, sizeof *b);
    __cds_wfcq_init(&b->head, &b->tail);
    __cds_wfcq_init(&b->lhead, &b->ltail);
    b->sleeping = 0;
    return b;
}
static void box_del(box *b) { free(b); }
static tx *tx_open(box *to, int id, box *mine) { return (void)id, (void)mine, to; }
static void tx_close(tx *x) { (void)x; }
static payload *tx_alloc(tx *x) { return (void)x, &((node *)malloc(sizeof(node)))->p; }
static void tx_send(tx *b, payload *p)
{
    node *n = (node *)p;
    cds_wfcq_node_init(&n->link);
    if (!cds_wfcq_enqueue(&b->head, &b->tail, &n->link) && uatomic_read(&b->sleeping)) {
        uatomic_set(&b->sleeping, 0);
        futex_wake_word(&b->sleeping, 1);
    }
}
static payload *box_recv(box *b)
{
    for (;;) {
        struct cds_wfcq_node *l = __cds_wfcq_dequeue_nonblocking(&b->lhead, &b->ltail);
        if (l == CDS_WFCQ_WOULDBLOCK) {
            sched_yield(); /* a sender was preempted between its two stores */
            continue;
        }
        if (l) return &caa_container_of(l, node, link)->p;
        enum cds_wfcq_ret r = __cds_wfcq_splice_nonblocking(&b->lhead, &b->ltail, &b->head,
                                                            &b->tail);
        if (r == CDS_WFCQ_RET_WOULDBLOCK) sched_yield();
        if (r != CDS_WFCQ_RET_SRC_EMPTY) continue;
        int spin = SPIN;
        for (; spin > 0 && cds_wfcq_empty(&b->head, &b->tail); spin--) caa_cpu_relax();
        if (spin > 0) continue;
        uatomic_set(&b->sleeping, 1);
        cmm_smp_mb();
        if (cds_wfcq_empty(&b->head, &b->tail))
            while (uatomic_read(&b->sleeping)) futex_wait_word(&b->sleeping, 1);
        else uatomic_set(&b->sleeping, 0);
    }
}
static void box_free(box *b, payload *p) { (void)b, free(p); }
static void tx_forward(tx *x, box *from, payload *p) { (void)from, tx_send(x, p); }
#include "harness.h"
