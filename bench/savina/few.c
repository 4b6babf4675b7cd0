/* SPDX-License-Identifier: Apache-2.0
 * few.c - pingpong, threadring, big: messages that are passed on and come back.
 * Called by: main.c. May touch: its actors. Never: allocates a message while the clock runs. */
#include <stdlib.h>
#include <string.h>

#include "savina.h"

static const weft_kind token_kind = {1, "savina.token", sizeof(weft_msg), NULL};

struct shared { /* by the actors of one run */
    weft_addr **actors;
    uint64_t count;      /* of them                                       */
    uint64_t left;       /* hops to go; by whoever holds the token        */
    uint64_t begin, end; /* by whoever holds the token                    */
    weft_msg token;
};
struct member {
    struct shared *all;
    uint64_t me;
};

static weft_err member_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    memcpy(state, arg, sizeof(struct member));
    return WEFT_OK;
}

/* Who gets the token next is the one with the next number. The last one to hold it ends. */
static weft_verdict on_token(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    const struct member *m = state;
    struct shared *all = m->all;
    if (all->begin == 0) all->begin = savina_now_ns();
    if (all->left == 0) {
        all->end = savina_now_ns();
        return WEFT_STOP;
    }
    all->left--;
    uint64_t next = m->me + 1 == all->count ? 0 : m->me + 1;
    savina_check(weft_send(all->actors[next], msg) == WEFT_OK, "a token was not passed on");
    return WEFT_KEPT;
}

static void ring(struct savina *s, uint64_t actors, uint64_t hops, struct shared *all)
{
    *all = (struct shared){.left = hops};
    all->actors = calloc(actors, sizeof(weft_addr *));
    savina_check(all->actors != NULL, "out of memory");
    for (; all->count < actors; all->count++) {
        struct member m = {all, all->count};
        all->actors[m.me] = savina_spawn(s, (weft_spec){.name = "member",
                                                        .handle = on_token,
                                                        .init = member_init,
                                                        .arg = &m,
                                                        .state_size = sizeof m});
    }
    weft_msg_init(&all->token, &token_kind);
    savina_check(weft_send(all->actors[0], &all->token) == WEFT_OK, "a send failed");
    uint64_t last = hops % actors;
    savina_await(weft_addr_get(all->actors[last]));
    for (uint64_t i = 0; i < actors; i++) {
        weft_stop(all->actors[i], WEFT_NOW);
        savina_await(all->actors[i]);
    }
    free(all->actors);
    savina_check(all->left == 0, "hops are missing");
}

static void run_pingpong(struct savina *s, struct result *out)
{
    struct shared all;
    ring(s, 2, 2 * s->size, &all);
    *out = (struct result){s->size, all.end - all.begin, "round_trips"};
}

static void run_threadring(struct savina *s, struct result *out)
{
    struct shared all;
    ring(s, 100, s->size, &all);
    *out = (struct result){s->size, all.end - all.begin, "hops"};
}

/* -- big: many actors, each has one ping under way to another, drawn at random -------------- */

#define BIG_ACTORS 120u

struct ping {
    weft_msg msg;
    uint32_t from;
};
static const weft_kind ping_kind = {2, "savina.ping", sizeof(struct ping), NULL};
static const weft_kind start_kind = {3, "savina.start", sizeof(weft_msg), weft_free_msg};

struct crowd {
    weft_addr *actors[BIG_ACTORS];
    uint64_t pings;    /* of each                              */
    uint64_t finished; /* atomic: those that had all answers   */
    uint64_t begin, end;
};
struct person {
    struct crowd *all;
    uint32_t me;
    uint64_t left, rng;
    struct ping ping;
};

static void ping_next(struct person *p)
{
    p->rng = p->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t to = (uint32_t)(p->rng >> 33) % (BIG_ACTORS - 1);
    if (to >= p->me) to++;
    weft_msg_init(&p->ping.msg, &ping_kind);
    p->ping.from = p->me;
    savina_check(weft_send(p->all->actors[to], &p->ping.msg) == WEFT_OK, "a ping was not sent");
}

static weft_verdict on_ping(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct person *p = state;
    if (msg->kind == &start_kind) {
        ping_next(p);
        return WEFT_DONE;
    }
    struct ping *ping = (struct ping *)msg;
    if (ping->from != p->me) { /* the answer is the ping itself */
        savina_check(weft_send(p->all->actors[ping->from], msg) == WEFT_OK, "no pong was sent");
        return WEFT_KEPT;
    }
    if (--p->left > 0) {
        ping_next(p);
    } else if (__atomic_add_fetch(&p->all->finished, 1, __ATOMIC_ACQ_REL) == BIG_ACTORS) {
        p->all->end = savina_now_ns();
        for (uint32_t i = 0; i < BIG_ACTORS; i++) weft_stop(p->all->actors[i], WEFT_NOW);
    }
    return WEFT_KEPT;
}

static weft_err person_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    const struct member *seat = arg;
    *(struct person *)state = (struct person){.all = (struct crowd *)seat->all,
                                              .me = (uint32_t)seat->me,
                                              .left = ((struct crowd *)seat->all)->pings,
                                              .rng = seat->me + 1};
    return WEFT_OK;
}

static void run_big(struct savina *s, struct result *out)
{
    struct crowd all = {.pings = s->size / BIG_ACTORS + 1};
    for (uint32_t i = 0; i < BIG_ACTORS; i++) {
        struct member seat = {(struct shared *)&all, i};
        all.actors[i] = savina_spawn(s, (weft_spec){.name = "person",
                                                    .handle = on_ping,
                                                    .init = person_init,
                                                    .arg = &seat,
                                                    .state_size = sizeof(struct person)});
    }
    all.begin = savina_now_ns();
    for (uint32_t i = 0; i < BIG_ACTORS; i++)
        savina_check(weft_send(all.actors[i], weft_new(&start_kind)) == WEFT_OK, "a send failed");
    for (uint32_t i = 0; i < BIG_ACTORS; i++) savina_await(all.actors[i]);
    savina_check(all.finished == BIG_ACTORS, "pings were not answered");
    *out = (struct result){all.pings * BIG_ACTORS, all.end - all.begin, "pings"};
}

const struct program savina_pingpong = {.name = "pingpong",
                                        .about = "one message between two actors",
                                        .size = 1000000,
                                        .run = run_pingpong};
const struct program savina_threadring = {.name = "threadring",
                                          .about = "one message round 100 actors",
                                          .size = 2000000,
                                          .run = run_threadring};
const struct program savina_big = {.name = "big",
                                   .about = "120 actors ping each other at random",
                                   .size = 2400000,
                                   .run = run_big};
