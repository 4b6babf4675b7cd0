/* SPDX-License-Identifier: Apache-2.0
 * actor_token.c - pingpong, ring: few messages, each passed on by whoever gets it.
 * Called by: actor_run.c. May touch: its actors. Never: has two of them hold one token. */
#include <stdlib.h>

#include "actor.h"

struct token_actor {
    struct work *w;
    struct meter *m;
    uint32_t me;
};
struct tokens { /* work.own */
    weft_addr **actors;
    uint32_t count;
    uint64_t *begun_ns; /* of each pair's round trip; by its first actor */
};
struct seat {
    struct work *w;
    uint32_t me;
};

static weft_err actor_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    const struct seat *seat = arg;
    *(struct token_actor *)state = (struct token_actor){seat->w, &seat->w->meters[seat->me],
                                                        seat->me};
    return WEFT_OK;
}

static weft_verdict pass_on(struct token_actor *a, struct load_msg *m, uint32_t to)
{
    struct work *w = a->w;
    const struct tokens *t = w->own;
    if (work_stopping(w)) {
        work_producing(w, -1);
        return WEFT_DONE;
    }
    work_reuse(w, m, a->me, to);
    weft_err err = work_send(w, t->actors[to], m);
    if (err == WEFT_OK) return WEFT_KEPT;
    work_fault(w, "a token cannot be passed on: %s", weft_strerror(err));
    return WEFT_DONE;
}

/* An even actor and the next odd one are a pair; the even one counts its round trips. */
static weft_verdict on_ball(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct token_actor *a = state;
    struct load_msg *m = (struct load_msg *)msg;
    uint64_t *begun = &((struct tokens *)a->w->own)->begun_ns[a->me];
    check_received(&a->w->check, a->me, m);
    if (a->me % 2 == 0) {
        work_done(a->w, a->m, *begun, *begun);
        *begun = kit_now_ns();
    }
    return pass_on(a, m, a->me ^ 1);
}

static weft_verdict on_hop(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct token_actor *a = state;
    struct load_msg *m = (struct load_msg *)msg;
    check_received(&a->w->check, a->me, m);
    work_done(a->w, a->m, m->sent_ns, m->sent_ns);
    return pass_on(a, m, (a->me + 1) % a->w->shape.actors);
}

static bool spawn_all(struct work *w, weft_verdict (*handle)(weft_self *, void *, weft_msg *))
{
    struct tokens *t = w->own = kit_alloc(1, sizeof *t);
    t->actors = kit_alloc(w->shape.actors, sizeof *t->actors);
    t->begun_ns = kit_alloc(w->shape.actors, sizeof *t->begun_ns);
    check_init(&w->check, w->shape.actors + 1, w->shape.actors); /* and who throws in */
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        struct seat seat = {w, i};
        weft_spec spec = {.name = w->load->name,
                          .handle = handle,
                          .init = actor_init,
                          .arg = &seat,
                          .state_size = sizeof(struct token_actor)};
        if (!work_spawn(w, &spec, &t->actors[i])) return false;
        t->count++;
    }
    return true;
}

static void throw_in(struct work *w, uint32_t to)
{
    struct load_msg *m = work_message(w, w->shape.actors, to, 0);
    if (m == NULL) return;
    work_producing(w, 1);
    if (work_send(w, ((struct tokens *)w->own)->actors[to], m) == WEFT_OK) return;
    work_fault(w, "a token cannot be thrown in");
    weft_drop(&m->msg);
}

static void start_pingpong(struct work *w)
{
    w->shape.actors += w->shape.actors % 2;
    if (!spawn_all(w, on_ball)) return;
    for (uint32_t i = 0; i < w->shape.actors; i += 2) throw_in(w, i);
}

static void start_ring(struct work *w)
{
    if (w->shape.actors < 2) w->shape.actors = 2;
    if (!spawn_all(w, on_hop)) return;
    for (uint32_t i = 0; i < w->shape.producers; i++) throw_in(w, i % w->shape.actors);
}

static void end_tokens(struct work *w)
{
    struct tokens *t = w->own;
    for (uint32_t i = 0; t != NULL && i < t->count; i++) weft_addr_put(t->actors[i]);
    if (t != NULL) free(t->actors);
    if (t != NULL) free(t->begun_ns);
    free(t);
    w->own = NULL;
}

const struct load load_pingpong = {.name = "pingpong",
                                   .unit = "round trips",
                                   .about = "pairs of actors bounce one message each",
                                   .shape = {.actors = 2, .producers = 1, .payload = 64},
                                   .start = start_pingpong,
                                   .judge = end_tokens};
const struct load load_ring = {.name = "ring",
                               .unit = "hops",
                               .about = "tokens go round a ring of actors",
                               .shape = {.actors = 16, .producers = 1, .payload = 64},
                               .start = start_ring,
                               .judge = end_tokens};
