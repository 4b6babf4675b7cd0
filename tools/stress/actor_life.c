/* SPDX-License-Identifier: Apache-2.0
 * actor_life.c - spawn: actors begin, get one message, end and are joined, over and over.
 * Called by: actor_run.c. May touch: threads of its own, the actors they spawn.
 * Never: leaves a thread behind. */
#include <pthread.h>
#include <stdlib.h>

#include "actor.h"

struct lives { /* work.own */
    struct breeder *breeders;
    uint32_t count;
    uint64_t begun, ended; /* atomics: inits and finis that ran */
};
struct breeder { /* a plain thread */
    struct work *w;
    uint32_t me;
    pthread_t thread;
    uint64_t lives;
};
struct mortal {
    struct breeder *by;
    uint32_t got;
};

static struct lives *lives_of(struct breeder *b) { return b->w->own; }

static weft_err mortal_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    struct mortal *m = state;
    m->by = arg;
    __atomic_fetch_add(&lives_of(m->by)->begun, 1, __ATOMIC_RELAXED);
    return WEFT_OK;
}

/* Its number as a receiver is 0, as that of all; the pair is the breeder's alone, whose actors live
 * one after the other. */
static weft_verdict mortal_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct mortal *m = state;
    m->got++;
    check_received(&m->by->w->check, 0, (const struct load_msg *)msg);
    return WEFT_DONE;
}

static void mortal_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    const struct mortal *m = state;
    __atomic_fetch_add(&lives_of(m->by)->ended, 1, __ATOMIC_RELAXED);
    if (reason != WEFT_OK) work_fault(m->by->w, "an actor ended with %s", weft_strerror(reason));
    if (m->got > 1) work_fault(m->by->w, "an actor got %u messages instead of one", m->got);
}

static bool live_once(struct breeder *b)
{
    struct work *w = b->w;
    uint64_t begun_ns = kit_now_ns();
    weft_addr *addr;
    weft_spec spec = {.name = "mortal",
                      .init = mortal_init,
                      .handle = mortal_handle,
                      .fini = mortal_fini,
                      .arg = b,
                      .state_size = sizeof(struct mortal)};
    if (!work_spawn(w, &spec, &addr)) return false;
    struct load_msg *m = work_message(w, b->me, 0, 0);
    weft_err err = m == NULL ? WEFT_NO_MEMORY : work_send(w, addr, m), reason = WEFT_INTERNAL;
    if (err != WEFT_OK && m != NULL) weft_drop(&m->msg);
    weft_err stop = weft_stop(addr, WEFT_DRAIN);
    weft_err join = weft_join(addr, weft_rt_after(w->rt, 10 * WEFT_SEC), &reason);
    weft_addr_put(addr);
    if (err != WEFT_OK || stop != WEFT_OK || join != WEFT_OK || reason != WEFT_OK) {
        work_fault(w, "a life failed: send %s, stop %s, join %s, reason %s", weft_strerror(err),
                   weft_strerror(stop), weft_strerror(join), weft_strerror(reason));
        return false;
    }
    b->lives++;
    work_done(w, &w->meters[b->me], begun_ns, begun_ns);
    return true;
}

static void *breed(void *arg)
{
    struct breeder *b = arg;
    while (!work_stopping(b->w) && live_once(b)) {}
    work_producing(b->w, -1);
    return NULL;
}

static void start_spawn(struct work *w)
{
    struct lives *l = w->own = kit_alloc(1, sizeof *l);
    l->breeders = kit_alloc(w->shape.producers, sizeof *l->breeders);
    check_init(&w->check, w->shape.producers, 1);
    for (uint32_t i = 0; i < w->shape.producers; i++) {
        struct breeder *b = &l->breeders[i];
        *b = (struct breeder){.w = w, .me = i};
        work_producing(w, 1);
        if (pthread_create(&b->thread, NULL, breed, b) != 0) {
            work_producing(w, -1);
            work_fault(w, "a thread cannot be started");
            return;
        }
        l->count++;
    }
}

static void end_spawn(struct work *w)
{
    struct lives *l = w->own;
    uint64_t lives = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        pthread_join(l->breeders[i].thread, NULL);
        lives += l->breeders[i].lives;
    }
    if (l->begun != l->ended || l->begun != lives)
        work_fault(w, "%llu actors began, %llu ended, %llu were joined",
                   (unsigned long long)l->begun, (unsigned long long)l->ended,
                   (unsigned long long)lives);
    free(l->breeders);
    free(l);
    w->own = NULL;
}

const struct load load_spawn = {.name = "spawn",
                                .unit = "lives",
                                .about = "spawn, one message, stop, join, on plain threads",
                                .shape = {.producers = 2, .payload = 64},
                                .start = start_spawn,
                                .judge = end_spawn};
