/* SPDX-License-Identifier: Apache-2.0
 * peer_weft_flow.c - throughput and fanin-burst: many senders, one receiver.
 * Called by: peer_weft.c. May touch: its actors and threads.
 * Never: uses a message again before its receiver has said that it is done with it. */
#include "peer_weft.h"

#include <sched.h>

#define RING 4096u /* messages that a sender owns, with --message own        */
#define UNBROKEN \
    1024u /* messages of a sending actor to a mailbox without bound before the
                        * receiver, on the same thread maybe, has a turn         */

static struct lane {            /* one for each sender */
    _Alignas(64) uint64_t done; /* by the receiver: so many of its messages were handled  */
    uint64_t pad[15];           /* the lines below are the sender's alone                 */
    uint64_t seen, t0;          /* what it knows of `done`; when it began                 */
    struct item *ring;          /* with --message own                                     */
    weft_outbox outbox;
    uint64_t pad2[16];
} lanes[PRODUCERS_MAX];

static weft_addr *sink, *sources[PRODUCERS_MAX];
static uint64_t sink_end;
static pthread_t threads[PRODUCERS_MAX];
static pthread_barrier_t gate;

/* -- The receiver ------------------------------------------------------------------------------ */

struct sink {
    uint64_t next[PRODUCERS_MAX], got;
};

static weft_verdict on_item(weft_self *self, void *state, weft_msg *msg)
{
    struct sink *s = state;
    struct item *item = (struct item *)msg;
    uint32_t from = item->p.from;
    if (peer.lat != NULL) peer.lat[s->got] = now_ns() - item->p.t;
    payload_verify(&item->p, s->next, peer.o.producers);
    if (++s->got == peer.o.messages) {
        sink_end = now_ns();
        weft_stop(weft_self_addr(self), WEFT_NOW);
    }
    if (!peer.own_messages) return WEFT_DONE;
    /* From this store on the message is its sender's again. */
    __atomic_store_n(&lanes[from].done, s->next[from], __ATOMIC_RELEASE);
    return WEFT_KEPT;
}

static void on_sink_end(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    const struct sink *s = state;
    check(reason, "the receiver failed");
    for (int i = 0; i < peer.o.producers; i++)
        if (s->next[i] != share(&peer.o, i)) die("messages lost");
}

/* -- Messages ------------------------------------------------------------------------------------ */

/* The message number `seq` of a sender, filled in. NULL: its memory is still in use. */
static struct item *item_new(int id, uint64_t seq)
{
    struct lane *lane = &lanes[id];
    struct item *item;
    if (peer.own_messages) {
        if (seq - lane->seen >= RING) lane->seen = __atomic_load_n(&lane->done, __ATOMIC_ACQUIRE);
        if (seq - lane->seen >= RING) return NULL;
        item = &lane->ring[seq % RING];
        weft_msg_init(&item->msg, &own_item);
    } else {
        item = (struct item *)weft_new(&heap_item);
        if (item == NULL) die("weft_new");
    }
    payload_fill(&item->p, (uint32_t)id, seq, peer.lat == NULL ? 0 : now_ns());
    return item;
}

static weft_err put(struct lane *lane, struct item *item)
{
    return peer.batch == 0 ? weft_send(sink, &item->msg)
                           : weft_outbox_send(&lane->outbox, &item->msg);
}

/* -- Senders on plain threads --------------------------------------------------------------------- */

/* Sends what an outbox holds, with waiting: the first one waits for room, the rest tries to go
 * as one. */
static void drain_outbox(weft_outbox *box)
{
    weft_msg *msg = weft_outbox_take(box), *last = msg;
    while (last != NULL && last->next != NULL) last = last->next;
    while (msg != NULL) {
        weft_msg *next = msg->next;
        check(weft_send_wait(sink, msg, WEFT_NEVER), "weft_send_wait");
        msg = next;
        if (msg != NULL && weft_send_chain(sink, msg, last) == WEFT_OK) return;
    }
}

static void put_wait(struct lane *lane, struct item *item)
{
    weft_err err = put(lane, item);
    if (err == WEFT_FULL && peer.batch == 0) err = weft_send_wait(sink, &item->msg, WEFT_NEVER);
    if (err == WEFT_FULL) {
        drain_outbox(&lane->outbox);
        err = put(lane, item);
    }
    check(err, "a send failed");
}

static void *source_thread(void *arg)
{
    int id = (int)(intptr_t)arg;
    struct lane *lane = &lanes[id];
    uint64_t count = share(&peer.o, id);
    pthread_barrier_wait(&gate);
    lane->t0 = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        if (peer.lat != NULL && i % BURST == 0) {
            if (weft_outbox_flush(&lane->outbox) != WEFT_OK) drain_outbox(&lane->outbox);
            pause_ns(PAUSE_NS);
        }
        struct item *item = item_new(id, i);
        while (item == NULL) { /* own messages: the receiver is behind by a whole ring */
            if (weft_outbox_flush(&lane->outbox) != WEFT_OK) drain_outbox(&lane->outbox);
            sched_yield();
            item = item_new(id, i);
        }
        put_wait(lane, item);
    }
    if (weft_outbox_flush(&lane->outbox) != WEFT_OK) drain_outbox(&lane->outbox);
    /* As in harness.h: a thread that ends takes the processor that the receiver may wait for. */
    pthread_barrier_wait(&gate);
    return NULL;
}

/* -- Senders that are actors ------------------------------------------------------------------------ */

struct source {
    int id;
    uint64_t next, count;
    struct item *held; /* refused */
    weft_msg room;     /* comes when there is room, or as a message to itself */
    weft_timer pause;
    bool paused;
};
static const weft_kind room_kind = {4, "room", sizeof(weft_msg), NULL};

static void come_back(weft_self *self, struct source *s, bool full)
{
    weft_msg_init(&s->room, &room_kind);
    check(full ? weft_notify_credit(self, sink, &s->room)
               : weft_send(weft_self_addr(self), &s->room),
          "a sender cannot go on");
}

static void on_pause(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* Sends until something stops it; each way of being stopped calls it again. */
static void pump(weft_self *self, struct source *s)
{
    struct lane *lane = &lanes[s->id];
    for (uint32_t n = 0; s->next < s->count; n++, s->next++) {
        if (peer.lat != NULL && s->next % BURST == 0 && !s->paused) {
            if (weft_outbox_flush(&lane->outbox) != WEFT_OK) {
                come_back(self, s, true);
                return;
            }
            s->paused = true;
            check(weft_timer_set(self, &s->pause, weft_now(self) + PAUSE_NS, 0, on_pause), "timer");
            return;
        }
        s->paused = false;
        if (s->held == NULL) s->held = item_new(s->id, s->next);
        if (s->held == NULL || (n == UNBROKEN && peer.mailbox == WEFT_UNBOUNDED)) {
            come_back(self, s, false);
            return;
        }
        weft_err err = put(lane, s->held);
        if (err == WEFT_FULL) {
            come_back(self, s, true);
            return;
        }
        check(err, "a send failed");
        s->held = NULL;
    }
    if (weft_outbox_flush(&lane->outbox) == WEFT_FULL) come_back(self, s, true);
}

static void on_pause(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)timer, (void)missed;
    pump(self, state);
}

static weft_verdict on_source(weft_self *self, void *state, weft_msg *msg)
{
    struct source *s = state;
    bool begin = msg->kind == &go_kind;
    if (begin) lanes[s->id].t0 = now_ns();
    pump(self, s);
    return begin ? WEFT_DONE : WEFT_KEPT;
}

static weft_err source_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    struct source *s = state;
    s->id = (int)(intptr_t)arg;
    s->count = share(&peer.o, s->id);
    return WEFT_OK;
}

/* -- The cases -------------------------------------------------------------------------------------- */

void flow_setup(weft_self *host)
{
    sink = spawn(host, (weft_spec){.name = "sink",
                                   .handle = on_item,
                                   .fini = on_sink_end,
                                   .mailbox = peer.mailbox,
                                   .state_size = sizeof(struct sink)});
    pthread_barrier_init(&gate, NULL, (unsigned)peer.o.producers + 1);
    for (int i = 0; i < peer.o.producers; i++) {
        if (peer.own_messages) {
            lanes[i].ring = malloc(RING * sizeof(struct item));
            if (lanes[i].ring == NULL) die("memory");
            memset(lanes[i].ring, 1, RING * sizeof(struct item)); /* pages are touched early */
        }
        if (peer.batch != 0)
            check(weft_outbox_init(&lanes[i].outbox, sink, peer.batch), "weft_outbox_init");
        void *id = (void *)(intptr_t)i;
        if (peer.producer_actors)
            sources[i] = spawn(host, (weft_spec){.name = "source",
                                                 .handle = on_source,
                                                 .init = source_init,
                                                 .arg = id,
                                                 .state_size = sizeof(struct source)});
        else if (pthread_create(&threads[i], NULL, source_thread, id) != 0) die("pthread_create");
    }
}

void flow_run(void)
{
    int p = peer.o.producers;
    if (!peer.producer_actors) pthread_barrier_wait(&gate);
    else
        for (int i = 0; i < p; i++) send_go(sources[i]);
    check(weft_join(sink, WEFT_NEVER, NULL), "weft_join");
    if (!peer.producer_actors) pthread_barrier_wait(&gate);
    uint64_t begin = UINT64_MAX;
    for (int i = 0; i < p; i++) {
        if (!peer.producer_actors) pthread_join(threads[i], NULL);
        weft_addr_put(sources[i]);
        if (lanes[i].t0 < begin) begin = lanes[i].t0;
    }
    report(&peer.o, (double)(sink_end - begin) / 1e9, peer.lat,
           peer.lat == NULL ? 0 : peer.o.messages);
    weft_addr_put(sink);
    for (int i = 0; i < p; i++) free(lanes[i].ring);
}
