/* SPDX-License-Identifier: Apache-2.0
 * test_chaos.c - actors of all placements that send, ask, cancel, fail, restart and are stopped at
 * random, judged by their history. WEFT_CHAOS_SEED and WEFT_CHAOS_ROUNDS run others, or more.
 * Called by: the test runner, under ThreadSanitizer, AddressSanitizer, valgrind and lost time. */
#include "history.h"
#include "rig.h"

#include <weft/group.h>
#include <weft/log.h>
#include <weft/supervise.h>

#include <pthread.h>
#include <stdlib.h>

enum { ACTORS = 16, THREADS = 3, EACH = 1500, ROUNDS = 4, HOPS = 5, CHILDREN = 8 };

struct chaos;

struct actor {
    struct chaos *chaos;
    unsigned index;
    uint64_t chance;
    uint64_t asked, over, ticks, begun;
    uint64_t token;
    weft_addr *addr;
};

struct chaos {
    struct rig rig;
    uint64_t seed;
    weft_group *group;
    struct history history;
    struct actor actors[ACTORS];
};

struct rumour {
    weft_msg msg;
    unsigned from, to, hops;
    uint64_t number;
};

struct question {
    weft_request req;
};

static const weft_kind RUMOUR = {3, "rumour", sizeof(struct rumour), weft_free_msg};
static const weft_kind QUESTION = {4, "question", sizeof(struct question), weft_free_msg};

static uint64_t draw(uint64_t *chance, uint64_t below)
{
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    return (*chance >> 20) % below;
}

static struct rumour *rumour_new(struct chaos *chaos, unsigned from, unsigned to, unsigned hops,
                                 unsigned ahead)
{
    struct rumour *rumour = (struct rumour *)weft_new(&RUMOUR);
    cr_assert_not_null(rumour);
    rumour->from = from;
    rumour->to = to;
    rumour->hops = hops;
    rumour->number = history_next(&chaos->history, from, to) + ahead;
    return rumour;
}

/* Sends 1 to 3 rumours as one chain. */
static void spread(struct chaos *chaos, unsigned from, unsigned to, unsigned hops, unsigned n)
{
    struct rumour *rumours[3];
    for (unsigned i = 0; i < n; i++) {
        rumours[i] = rumour_new(chaos, from, to, hops, i);
        if (i > 0) rumours[i - 1]->msg.next = &rumours[i]->msg;
    }
    weft_addr *addr = chaos->actors[to].addr;
    weft_err err = n == 1 ? weft_send(addr, &rumours[0]->msg)
                          : weft_send_chain(addr, &rumours[0]->msg, &rumours[n - 1]->msg);
    if (err == WEFT_OK) {
        history_sent(&chaos->history, from, to, n);
        return;
    }
    cr_assert(err == WEFT_FULL || err == WEFT_CLOSED, "%s", weft_errname(err));
    for (unsigned i = 0; i < n; i++) weft_drop(&rumours[i]->msg);
}

/* -- The actors -- */

struct inside {
    struct actor *actor;
    weft_timer timer;
};

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self, (void)state, (void)err;
    ((struct actor *)arg)->over++;
    if (req != NULL) weft_drop(&req->msg);
}

static void ask(weft_self *self, struct actor *actor, unsigned to)
{
    weft_request *req = (weft_request *)weft_new(&QUESTION);
    cr_assert_not_null(req);
    weft_ns wait = 1000 + draw(&actor->chance, 200) * 1000;
    weft_err err = weft_ask(self, actor->chaos->actors[to].addr, req, weft_now(self) + wait,
                            on_reply, actor, &actor->token);
    if (err == WEFT_OK) actor->asked++;
    else weft_drop(&req->msg);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)timer, (void)missed;
    ((struct inside *)state)->actor->ticks++;
}

static weft_verdict act(weft_self *self, struct inside *inside, const struct rumour *rumour)
{
    struct actor *actor = inside->actor;
    unsigned to = (unsigned)draw(&actor->chance, ACTORS);
    uint64_t what = draw(&actor->chance, 1000);
    if (what < 2) return weft_fail(self, WEFT_INTERNAL);
    if (what < 150) ask(self, actor, to);
    else if (what < 200) (void)weft_ask_cancel(self, actor->token);
    else if (what < 300)
        (void)weft_timer_set(self, &inside->timer, weft_now(self) + draw(&actor->chance, 100000), 0,
                             on_tick);
    else if (rumour->hops > 0)
        spread(actor->chaos, actor->index, to, rumour->hops - 1, what < 350 ? 2 : 1);
    return WEFT_DONE;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct inside *inside = state;
    struct actor *actor = inside->actor;
    if (msg->kind == &QUESTION) {
        if (draw(&actor->chance, 8) == 0) return WEFT_DONE; /* the asker hears DROPPED */
        weft_reply((weft_request *)msg, WEFT_OK);
        return WEFT_KEPT;
    }
    struct rumour *rumour = (struct rumour *)msg;
    history_arrived(&actor->chaos->history, rumour->from, actor->index, rumour->number);
    return act(self, inside, rumour);
}

static weft_err begin(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct inside *)state)->actor = arg;
    ((struct actor *)arg)->begun++;
    return WEFT_OK;
}

static void letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct chaos *chaos = arg;
    (void)to;
    /* RESTARTING: it was in hand when the handler failed, so it has arrived already. */
    if (msg->kind == &RUMOUR && why != WEFT_RESTARTING) {
        struct rumour *rumour = (struct rumour *)msg;
        history_arrived(&chaos->history, rumour->from, rumour->to, rumour->number);
    }
    weft_drop(msg);
}

/* -- Who lives where -- */

static weft_spec spec_of(struct chaos *chaos, unsigned i)
{
    weft_spec spec = {.name = "chaos",
                      .arg = &chaos->actors[i],
                      .state_size = sizeof(struct inside),
                      .init = begin,
                      .handle = handle,
                      .mailbox = i % 4 == 0   ? WEFT_UNBOUNDED
                                 : i % 4 == 1 ? 3
                                              : 64};
    if (i % 2 == 1 && chaos->group != NULL) {
        spec.place = WEFT_PLACE_GROUP;
        spec.group = chaos->group;
    }
    return spec;
}

/* A parent whose children live on its thread, on their own, and in the group. */
static weft_err begin_parent(weft_self *self, void *state, void *arg)
{
    struct chaos *chaos = *(struct chaos **)arg;
    (void)state;
    for (unsigned i = ACTORS - CHILDREN; i < ACTORS; i++) {
        weft_spec spec = spec_of(chaos, i);
        if (i % 4 == 0) spec.place = WEFT_PLACE_PARENT;
        spec.restart = i % 3 == 0 ? WEFT_TRANSIENT : WEFT_PERMANENT;
        weft_err err = weft_spawn_child(self, &spec, &chaos->actors[i].addr);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

static weft_verdict idle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

static weft_addr *populate(struct chaos *chaos)
{
    static const weft_strategy strategies[] = {WEFT_ONE_FOR_ONE, WEFT_REST_FOR_ONE,
                                               WEFT_ONE_FOR_ALL};
    weft_addr *parent = NULL;
    weft_spec spec = {.name = "parent",
                      .arg = &chaos,
                      .init = begin_parent,
                      .handle = idle,
                      .strategy = strategies[chaos->seed % 3],
                      .intensity = WEFT_INTENSITY_MAX,
                      .backoff_min_ns = 1000,
                      .backoff_max_ns = 50000};
    for (unsigned i = 0; i < ACTORS - CHILDREN; i++) {
        weft_spec of = spec_of(chaos, i);
        cr_assert_eq(weft_spawn(chaos->rig.rt, &of, &chaos->actors[i].addr), WEFT_OK);
    }
    cr_assert_eq(weft_spawn(chaos->rig.rt, &spec, &parent), WEFT_OK);
    return parent;
}

/* -- The world outside -- */

struct outsider {
    pthread_t thread;
    struct chaos *chaos;
    unsigned index; /* as a sender */
    uint64_t chance;
};

static void wait_for_room(struct outsider *o, unsigned to)
{
    struct rumour *rumour = rumour_new(o->chaos, o->index, to, HOPS, 0);
    weft_ns until = weft_rt_after(o->chaos->rig.rt, 200000);
    weft_err err = weft_send_wait(o->chaos->actors[to].addr, &rumour->msg, until);
    if (err == WEFT_OK) history_sent(&o->chaos->history, o->index, to, 1);
    else weft_drop(&rumour->msg);
}

static void call(struct outsider *o, unsigned to)
{
    weft_request *req = (weft_request *)weft_new(&QUESTION), *out = NULL;
    bool taken = false;
    cr_assert_not_null(req);
    weft_ns until = weft_rt_after(o->chaos->rig.rt, draw(&o->chance, 100) * 1000);
    (void)weft_call(o->chaos->actors[to].addr, req, until, &out, &taken);
    if (out != NULL) weft_drop(&out->msg);
    else if (!taken) weft_drop(&req->msg);
}

static void *live(void *arg)
{
    struct outsider *o = arg;
    for (unsigned n = 0; n < EACH; n++) {
        unsigned to = (unsigned)draw(&o->chance, ACTORS);
        uint64_t what = draw(&o->chance, 1000);
        if (what < 2) (void)weft_stop(o->chaos->actors[to].addr, what == 0 ? WEFT_NOW : WEFT_DRAIN);
        else if (what < 30) wait_for_room(o, to);
        else if (what < 60) call(o, to);
        else spread(o->chaos, o->index, to, HOPS, what < 200 ? 3 : 1);
    }
    return NULL;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given == NULL ? otherwise : strtoull(given, NULL, 10);
}

static void run(uint64_t seed)
{
    struct chaos *chaos = calloc(1, sizeof *chaos);
    struct outsider outsiders[THREADS];
    uint64_t messages, asks = 0, begun = 0;
    cr_assert_not_null(chaos);
    chaos->seed = seed;
    chaos->rig = rig_open(false, 0);
    weft_rt_on_dead_letter(chaos->rig.rt, letter, chaos);
    weft_group_spec group = {.name = "chaos", .workers = 2};
    cr_assert_eq(weft_group_create(chaos->rig.rt, &group, &chaos->group), WEFT_OK);
    for (unsigned i = 0; i < ACTORS; i++)
        chaos->actors[i] = (struct actor){.chaos = chaos,
                                          .index = i,
                                          .chance = (seed * ACTORS + i + 1) *
                                                    UINT64_C(0x9e3779b97f4a7c15)};
    weft_addr *parent = populate(chaos);
    for (unsigned i = 0; i < THREADS; i++) {
        outsiders[i] = (struct outsider){.chaos = chaos,
                                         .index = ACTORS + i,
                                         .chance = (seed + i + 1) * UINT64_C(0xbf58476d1ce4e5b9)};
        cr_assert_eq(pthread_create(&outsiders[i].thread, NULL, live, &outsiders[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(outsiders[i].thread, NULL);
    cr_assert_eq(weft_rt_stop(chaos->rig.rt, rig_soon(&chaos->rig)), WEFT_OK, "seed %u",
                 (unsigned)seed);
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *actor = &chaos->actors[i];
        cr_assert_eq(actor->asked, actor->over, "seed %u: actor %u asked %u, heard %u",
                     (unsigned)seed, i, (unsigned)actor->asked, (unsigned)actor->over);
        asks += actor->asked;
        begun += actor->begun;
        weft_addr_put(actor->addr);
    }
    weft_addr_put(parent);
    cr_assert(history_holds(&chaos->history, &messages), "seed %u", (unsigned)seed);
    (void)fprintf(stderr, "# seed %u: %u messages, %u asks, %u restarts\n", (unsigned)seed,
                  (unsigned)messages, (unsigned)asks, (unsigned)begun - ACTORS);
    cr_assert_eq(weft_group_destroy(chaos->group), WEFT_OK);
    rig_close(&chaos->rig);
    free(chaos);
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

Test(chaos, each_message_arrives_once_in_order_or_is_accounted_for)
{
    uint64_t first = number_of("WEFT_CHAOS_SEED", 1),
             rounds = number_of("WEFT_CHAOS_ROUNDS", ROUNDS);
    weft_log_to(quiet, NULL, WEFT_LOG_OFF); /* failures are meant */
    for (uint64_t seed = first; seed < first + rounds; seed++) run(seed);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(chaos, a_message_that_is_lost_or_comes_twice_is_noticed)
{
    struct history *h = calloc(3, sizeof *h);
    uint64_t messages;
    cr_assert_not_null(h);
    for (unsigned i = 0; i < 3; i++) history_sent(&h[i], 0, 1, 2);
    history_arrived(&h[0], 0, 1, 0);
    history_arrived(&h[0], 0, 1, 1);
    cr_assert(history_holds(&h[0], &messages));
    cr_assert_eq(messages, 2);
    history_arrived(&h[1], 0, 1, 0);
    cr_assert_not(history_holds(&h[1], &messages), "one is missing");
    history_arrived(&h[2], 0, 1, 1);
    history_arrived(&h[2], 0, 1, 0);
    cr_assert_not(history_holds(&h[2], &messages), "they came in the wrong order");
    free(h);
}
