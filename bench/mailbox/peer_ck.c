/* SPDX-License-Identifier: Apache-2.0
 * peer ck: concurrencykit.  Default: ck_ring's MPSC mode, 1024 slots of
 * pointers, senders sleep when full.  -DFIFO: ck_fifo_spsc with its enqueue
 * spinlock (0.7 has no ck_fifo_mpsc, and ck_fifo_mpmc needs a safe-memory-
 * reclamation scheme around it). */
#include "bench.h"
#include "box_kinds.h"
#include <ck_fifo.h>
#include <ck_pr.h>
#include <ck_ring.h>
#include <sched.h>
#ifdef FIFO
#define PEER_NAME "ck-fifo"
#else
#define PEER_NAME "ck-ring"
#endif

typedef struct box {
#ifdef FIFO
    ck_fifo_spsc_t fifo;
#else
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
    uint32_t full __attribute__((aligned(64))); /* senders asleep */
#endif
    uint32_t sleeping __attribute__((aligned(64)));
} box;
typedef box tx;

static box *box_new(int kind, int producers)
{
    (void)kind, (void)producers;
    box *b = (box *)aligned_alloc(64, (sizeof *b + 63) / 64 * 64);
    memset(b, 0, sizeof *b);
#ifdef FIFO
    ck_fifo_spsc_init(&b->fifo, (ck_fifo_spsc_entry_t *)malloc(sizeof(ck_fifo_spsc_entry_t)));
#else
    ck_ring_init(&b->ring, 1024);
    b->slots = (ck_ring_buffer_t *)malloc(1024 * sizeof *b->slots);
#endif
    return b;
}
static void box_del(box *b) { free(b); }
static tx *tx_open(box *to, int id, box *mine) { return (void)id, (void)mine, to; }
static void tx_close(tx *x) { (void)x; }
static payload *tx_alloc(tx *x) { return (void)x, (payload *)malloc(sizeof(payload)); }

static inline void wake(uint32_t *w, int n)
{
    if (ck_pr_load_32(w)) {
        ck_pr_store_32(w, 0);
        futex_wake_word(w, n);
    }
}
#ifdef FIFO
static void tx_send(tx *b, payload *p)
{
    ck_fifo_spsc_enqueue_lock(&b->fifo);
    ck_fifo_spsc_entry_t *e = ck_fifo_spsc_recycle(&b->fifo);
    if (!e) e = (ck_fifo_spsc_entry_t *)malloc(sizeof *e);
    ck_fifo_spsc_enqueue(&b->fifo, e, p);
    ck_fifo_spsc_enqueue_unlock(&b->fifo);
    ck_pr_fence_memory();
    wake(&b->sleeping, 1);
}
static bool take(box *b, void *p) { return ck_fifo_spsc_dequeue(&b->fifo, p); }
static void took(box *b) { (void)b; }
#else
static void tx_send(tx *b, payload *p)
{
    while (!ck_ring_enqueue_mpsc(&b->ring, b->slots, p)) {
        ck_pr_store_32(&b->full, 1);
        ck_pr_fence_memory();
        if (ck_ring_size(&b->ring) >= ck_ring_capacity(&b->ring) - 1) futex_wait_word(&b->full, 1);
    }
    ck_pr_fence_memory();
    wake(&b->sleeping, 1);
}
static bool take(box *b, void *p) { return ck_ring_dequeue_mpsc(&b->ring, b->slots, p); }
static void took(box *b)
{
    if (ck_pr_load_32(&b->full) && ck_ring_size(&b->ring) < 512) wake(&b->full, 64);
}
#endif
static payload *box_recv(box *b)
{
    payload *p = NULL;
    while (!take(b, &p)) {
        ck_pr_store_32(&b->sleeping, 1);
        ck_pr_fence_memory();
        if (take(b, &p)) {
            ck_pr_store_32(&b->sleeping, 0);
            break;
        }
        futex_wait_word(&b->sleeping, 1);
    }
    took(b);
    return p;
}
static void box_free(box *b, payload *p) { (void)b, free(p); }
static void tx_forward(tx *x, box *from, payload *p) { (void)from, tx_send(x, p); }
#include "harness.h"
