/* SPDX-License-Identifier: Apache-2.0
 * many.c - count, fjthrput: one actor floods others; skynet: a tree of a million actors.
 * Called by: main.c. May touch: its actors. Never: has more messages under way than mailboxes
 * hold. */
#include <math.h>
#include <stdlib.h>

#include "savina.h"

static const weft_kind room_kind = {4, "savina.room", sizeof(weft_msg), NULL};
static const weft_kind work_kind = {5, "savina.work", sizeof(weft_msg), weft_free_msg};
static const weft_kind go_kind = {6, "savina.go", sizeof(weft_msg), weft_free_msg};

/* -- count, fjthrput ------------------------------------------------------------------------- */

#define FORKS 60u

struct flood {
    weft_addr *to[FORKS];
    uint32_t count;
    uint64_t each; /* messages to every one                     */
    bool computes; /* the receivers do some arithmetic          */
    uint64_t begin;
    struct drain {
        uint64_t got, end;
        double sum;
        _Alignas(64) char pad; /* each is written by another actor */
    } drains[FORKS];
};
struct source {
    struct flood *f;
    uint64_t sent; /* rounds to all                             */
    uint32_t at;   /* the next in this round                    */
    weft_msg *held;
    weft_msg room;
};

/* Round and round to all receivers; one that is full is waited for. */
static weft_verdict on_source(weft_self *self, void *state, weft_msg *msg)
{
    struct source *s = state;
    struct flood *f = s->f;
    weft_verdict done = msg->kind == &room_kind ? WEFT_KEPT : WEFT_DONE;
    if (f->begin == 0) f->begin = savina_now_ns();
    for (; s->sent < f->each; s->sent++, s->at = 0)
        for (; s->at < f->count; s->at++) {
            if (s->held == NULL) s->held = weft_new(&work_kind);
            savina_check(s->held != NULL, "out of memory");
            weft_err err = weft_send(f->to[s->at], s->held);
            if (err == WEFT_FULL) {
                weft_msg_init(&s->room, &room_kind);
                err = weft_notify_credit(self, f->to[s->at], &s->room);
                savina_check(err == WEFT_OK, "no word of room");
                return done;
            }
            savina_check(err == WEFT_OK, "a send failed");
            s->held = NULL;
        }
    weft_stop(weft_self_addr(self), WEFT_NOW);
    return done;
}

static weft_err source_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct source *)state)->f = arg;
    return WEFT_OK;
}

struct drain_seat {
    struct flood *f;
    struct drain *drain;
};

static weft_err drain_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct drain_seat *)state = *(const struct drain_seat *)arg;
    return WEFT_OK;
}

static weft_verdict on_drain(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    const struct drain_seat *seat = state;
    struct drain *d = seat->drain;
    if (seat->f->computes) { /* that of the suite */
        double sine = sin(37.2);
        d->sum += sine * sine;
    }
    if (++d->got < seat->f->each) return WEFT_DONE;
    d->end = savina_now_ns();
    return WEFT_STOP;
}

static void flood(struct savina *s, struct flood *f, struct result *out)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct drain_seat seat = {f, &f->drains[i]};
        f->to[i] = savina_spawn(s, (weft_spec){.name = "drain",
                                               .handle = on_drain,
                                               .init = drain_init,
                                               .arg = &seat,
                                               .mailbox = s->mailbox,
                                               .state_size = sizeof seat});
    }
    weft_addr *source = savina_spawn(s, (weft_spec){.name = "source",
                                                    .handle = on_source,
                                                    .init = source_init,
                                                    .arg = f,
                                                    .state_size = sizeof(struct source)});
    savina_check(weft_send(source, weft_new(&go_kind)) == WEFT_OK, "a send failed");
    savina_await(source);
    uint64_t end = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        savina_await(f->to[i]);
        savina_check(f->drains[i].got == f->each, "messages are missing");
        if (f->drains[i].end > end) end = f->drains[i].end;
    }
    *out = (struct result){f->each * f->count, end - f->begin, "messages"};
}

static void run_count(struct savina *s, struct result *out)
{
    struct flood f = {.count = 1, .each = s->size};
    flood(s, &f, out);
}

static void run_fjthrput(struct savina *s, struct result *out)
{
    struct flood f = {.count = FORKS, .each = s->size / FORKS + 1, .computes = true};
    flood(s, &f, out);
}

/* -- skynet: every actor has ten children, down to the leaves, which say their number -------- */

#define BRANCHES 10u

struct sum {
    weft_msg msg;
    uint64_t value;
};
static const weft_kind sum_kind = {7, "savina.sum", sizeof(struct sum), weft_free_msg};

struct skynet {
    struct savina *s;
    weft_addr *waiter; /* of the root's sum */
    uint64_t begin, end, total;
};
struct node {
    struct skynet *net;
    weft_addr *parent; /* counted */
    uint64_t first, size, sum;
    uint32_t waiting;
};

static void tell(struct node *n)
{
    struct sum *sum = (struct sum *)weft_new(&sum_kind);
    savina_check(sum != NULL, "out of memory");
    sum->value = n->sum;
    savina_check(weft_send(n->parent, &sum->msg) == WEFT_OK, "a sum was not sent");
    weft_addr_put(n->parent);
    n->parent = NULL;
}

static weft_verdict on_node(weft_self *self, void *state, weft_msg *msg);

static weft_err node_init(weft_self *self, void *state, void *arg)
{
    struct node *n = state;
    *n = *(const struct node *)arg;
    if (n->size > 1) return WEFT_OK;
    n->sum = n->first; /* a leaf has nothing to wait for */
    tell(n);
    weft_stop(weft_self_addr(self), WEFT_NOW);
    return WEFT_OK;
}

static weft_addr *node_spawn(struct skynet *net, weft_addr *parent, uint64_t first, uint64_t size)
{
    struct node n = {net, weft_addr_get(parent), first, size, 0, BRANCHES};
    return savina_spawn(net->s, (weft_spec){.name = "node",
                                            .handle = on_node,
                                            .init = node_init,
                                            .arg = &n,
                                            .state_size = sizeof n});
}

static weft_verdict on_node(weft_self *self, void *state, weft_msg *msg)
{
    struct node *n = state;
    if (msg->kind == &go_kind) {
        uint64_t size = n->size / BRANCHES;
        for (uint64_t i = 0; i < BRANCHES; i++) {
            weft_addr *child = node_spawn(n->net, weft_self_addr(self), n->first + i * size, size);
            if (size > 1)
                savina_check(weft_send(child, weft_new(&go_kind)) == WEFT_OK, "a send failed");
            weft_addr_put(child);
        }
        return WEFT_DONE;
    }
    n->sum += ((const struct sum *)msg)->value;
    if (--n->waiting > 0) return WEFT_DONE;
    tell(n);
    return WEFT_STOP;
}

static weft_err waiter_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct skynet **)state = arg;
    return WEFT_OK;
}

static weft_verdict on_total(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct skynet *net = *(struct skynet **)state;
    net->total = ((const struct sum *)msg)->value;
    net->end = savina_now_ns();
    return WEFT_STOP;
}

static void run_skynet(struct savina *s, struct result *out)
{
    struct skynet net = {.s = s};
    uint64_t leaves = 1, actors = 1;
    while (leaves * BRANCHES <= s->size) {
        leaves *= BRANCHES;
        actors += leaves;
    }
    net.waiter = savina_spawn(s, (weft_spec){.name = "waiter",
                                             .handle = on_total,
                                             .init = waiter_init,
                                             .arg = &net,
                                             .state_size = sizeof(struct skynet *)});
    net.begin = savina_now_ns();
    weft_addr *root = node_spawn(&net, net.waiter, 0, leaves);
    savina_check(weft_send(root, weft_new(&go_kind)) == WEFT_OK, "a send failed");
    weft_addr_put(root);
    savina_await(net.waiter);
    savina_check(net.total == leaves * (leaves - 1) / 2, "the sum is wrong");
    *out = (struct result){actors, net.end - net.begin, "actors"};
}

const struct program savina_count = {
    .name = "count", .about = "one actor floods another", .size = 4000000, .run = run_count};
const struct program savina_fjthrput = {.name = "fjthrput",
                                        .about = "one actor floods 60, which compute a little",
                                        .size = 4000000,
                                        .run = run_fjthrput};
const struct program savina_skynet = {.name = "skynet",
                                      .about = "a tree of actors, ten children each, adds up",
                                      .size = 1000000,
                                      .threads = 1000,
                                      .run = run_skynet};
