/* SPDX-License-Identifier: Apache-2.0
 * actor_crash.c - crash: children that fail under load and are started again by their parent.
 * Called by: actor_run.c. May touch: its actors.
 * Never: lets a child count a message that it failed on: that one is a dead letter. */
#include <stdlib.h>
#include <weft/log.h>
#include <weft/supervise.h>

#include "actor_flow.h"

#define MEAN_MESSAGES 400u /* of one life */
#define BACKOFF_NS WEFT_MS

struct victim_seat { /* what outlives a child's lives; by the child alone */
    struct work *w;
    uint32_t me;
    uint64_t lives, failures, handled, failed_ns;
    struct kit_rng rng;
};
struct crash { /* work.own; first: the senders' */
    struct flow flow;
    struct victim_seat *seats;
};
struct victim {
    struct victim_seat *seat;
    uint64_t left; /* messages until it fails */
};

static weft_err victim_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    struct victim *v = state;
    struct victim_seat *seat = arg;
    if (v->seat != NULL || v->left != 0) work_fault(seat->w, "a new life began with an old state");
    v->seat = seat;
    v->left = 1 + kit_rng_below(&seat->rng, 2 * MEAN_MESSAGES);
    if (seat->lives++ > 0)
        work_done(seat->w, &seat->w->meters[seat->me], seat->failed_ns, seat->failed_ns);
    return WEFT_OK;
}

static weft_verdict victim_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct victim *v = state;
    struct victim_seat *seat = v->seat;
    if (--v->left == 0 && !work_stopping(seat->w)) {
        seat->failures++;
        seat->failed_ns = kit_now_ns();
        return weft_fail(self, WEFT_CORRUPT);
    }
    check_received(&seat->w->check, seat->me, (const struct load_msg *)msg);
    seat->handled++;
    return WEFT_DONE;
}

static weft_verdict parent_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

static weft_err parent_init(weft_self *self, void *state, void *arg)
{
    (void)state;
    struct work *w = arg;
    struct crash *c = w->own;
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        struct victim_seat *seat = &c->seats[i];
        *seat = (struct victim_seat){.w = w, .me = i, .rng = kit_rng_for(w->seed, 'c', i)};
        weft_spec spec = {.name = "victim",
                          .init = victim_init,
                          .handle = victim_handle,
                          .arg = seat,
                          .restart = WEFT_PERMANENT,
                          .state_size = sizeof(struct victim)};
        work_place(w, &spec);
        weft_err err = weft_spawn_child(self, &spec, &c->flow.targets[i]);
        if (err != WEFT_OK) return err;
        c->flow.targets_count++;
    }
    return WEFT_OK;
}

/* Restarts are what this is about, so there is no bound that a run could meet: many are allowed,
 * in a time that is short. */
static void start_crash(struct work *w)
{
    struct crash *c = w->own = kit_alloc(1, sizeof *c);
    c->flow.targets = kit_alloc(w->shape.actors, sizeof(weft_addr *));
    c->seats = kit_alloc(w->shape.actors, sizeof *c->seats);
    check_init(&w->check, w->shape.producers, w->shape.actors);
    weft_addr *parent;
    weft_log_level_for("victim", WEFT_LOG_OFF); /* that they fail is no news */
    weft_spec spec = {.name = "parent",
                      .init = parent_init,
                      .handle = parent_handle,
                      .arg = w,
                      .intensity = WEFT_INTENSITY_MAX,
                      .period_ns = BACKOFF_NS,
                      .backoff_min_ns = BACKOFF_NS,
                      .backoff_max_ns = BACKOFF_NS};
    if (!work_spawn(w, &spec, &parent)) return;
    weft_addr_put(parent);
    flow_spawn_senders(w, &c->flow, w->shape.actors);
}

static void end_crash(struct work *w)
{
    struct crash *c = w->own;
    uint64_t failures = 0, lives = 0, handled = 0;
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        failures += c->seats[i].failures;
        lives += c->seats[i].lives;
        handled += c->seats[i].handled;
    }
    /* The last failure of each may have been too late for another life. */
    if (lives > failures + w->shape.actors || lives < failures)
        work_fault(w, "%llu failures and %llu lives of %u children", (unsigned long long)failures,
                   (unsigned long long)lives, w->shape.actors);
    work_note(w, "failures", failures);
    work_note(w, "messages handled", handled);
    free(c->seats);
    flow_fini(&c->flow); /* and all of c: it begins with it */
    w->own = NULL;
}

const struct load load_crash = {.name = "crash",
                                .unit = "restarts",
                                .about = "children fail under load and are started again",
                                .shape = {.actors = 4, .producers = 2, .payload = 64},
                                .may_die = true,
                                .start = start_crash,
                                .judge = end_crash};
