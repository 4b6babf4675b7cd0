/* SPDX-License-Identifier: Apache-2.0
 * actors.c - the runtime below the engine, alone: threads that send to one actor.
 * Called by: script.c. May touch: a runtime of its own, threads of its own.
 * Never: nodes. */
#include <pthread.h>
#include <stdlib.h>

#include "demo.h"

#define SENDERS 4u

struct note { /* sender -> counter */
    weft_msg msg;
    uint32_t sender;
    uint64_t number; /* 1, 2, 3 ... of this sender */
};
static const weft_kind note_kind = {1, "demo.note", sizeof(struct note), weft_free_msg};

struct counter { /* the actor's state: only its handler touches it until it has ended */
    uint64_t *out;
    uint64_t last[SENDERS];
};

enum { RECEIVED, BROKEN, FIGURES };

static weft_err counter_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct counter *)state)->out = arg;
    return WEFT_OK;
}

static weft_verdict counter_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct counter *counter = state;
    const struct note *note = (const struct note *)msg;
    if (note->number != counter->last[note->sender] + 1) counter->out[BROKEN]++;
    counter->last[note->sender] = note->number;
    counter->out[RECEIVED]++;
    return WEFT_DONE;
}

struct sender {
    pthread_t thread;
    weft_addr *to;
    uint32_t index;
    uint64_t count;
    weft_err err;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (uint64_t i = 1; i <= s->count && s->err == WEFT_OK; i++) {
        struct note *note = (struct note *)weft_new(&note_kind);
        if (note == NULL) {
            s->err = WEFT_NO_MEMORY;
            break;
        }
        note->sender = s->index;
        note->number = i;
        s->err = weft_send_wait(s->to, &note->msg, WEFT_NEVER);
        if (s->err != WEFT_OK) weft_drop(&note->msg);
    }
    return NULL;
}

int demo_actors(struct demo *d)
{
    uint64_t figures[FIGURES] = {0}, each = d->fast ? 250000 : 1000000;
    struct sender senders[SENDERS];
    weft_spec spec = {.name = "counter",
                      .arg = figures,
                      .state_size = sizeof(struct counter),
                      .init = counter_init,
                      .handle = counter_handle};
    weft_rt *rt = NULL;
    weft_addr *counter = NULL;
    weft_err err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = weft_spawn(rt, &spec, &counter);
    if (err != WEFT_OK) {
        snprintf(d->why, sizeof d->why, "an actor cannot be started: %s", weft_strerror(err));
        weft_rt_destroy(rt);
        return EXIT_HARNESS;
    }
    uint64_t begun = kit_now_ns();
    uint32_t started = 0;
    for (; started < SENDERS; started++) {
        senders[started] = (struct sender){.to = counter, .index = started, .count = each};
        if (pthread_create(&senders[started].thread, NULL, send_all, &senders[started]) != 0) break;
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(senders[i].thread, NULL);
        if (senders[i].err != WEFT_OK) err = senders[i].err;
    }
    weft_stop(counter, WEFT_DRAIN);
    weft_join(counter, WEFT_NEVER, NULL);
    uint64_t ended = kit_now_ns(), sent = SENDERS * each;
    weft_addr_put(counter);
    weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    char n[32];
    demo_line(
        d, err == WEFT_OK && figures[RECEIVED] == sent && figures[BROKEN] == 0,
        "[6/7] below all this: %s messages from %u threads to one actor, %.1f million a second, "
        "lost %llu, out of order %llu",
        kit_commas(sent, n), SENDERS, (double)sent / kit_seconds(begun, ended) / 1e6,
        (unsigned long long)(sent - figures[RECEIVED]), (unsigned long long)figures[BROKEN]);
    return EXIT_PASS;
}
