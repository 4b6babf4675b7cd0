/* SPDX-License-Identifier: Apache-2.0
 * backpressure.c - what is fast waits for what is slow: two ways, and no queue grows.
 *
 * 1. Told of room:  source -> counter     FULL at once, and a message when there is room
 * 2. A window:      feeder -> square -> sum -> feeder     32 requests that go round
 *
 * Nobody blocks inside an actor and nothing is dropped. A plain thread has it simpler: it
 * calls weft_send_wait. */
#include <inttypes.h>
#include <stdio.h>

#include <weft/actor.h>

enum { NUMBERS = 100000, ROOM = 16, WINDOW = 32 };

/* -- 1. Told of room ------------------------------------------------------------------- */

static const weft_kind ITEM = {1, "item", sizeof(weft_msg), weft_free_msg};
static const weft_kind GO_ON = {2, "go_on", sizeof(weft_msg), NULL}; /* no drop: it is embedded */

struct source {
    weft_addr *to;
    weft_msg *in_hand; /* what there was no room for */
    weft_msg go_on;    /* comes back once there is   */
    uint64_t sent, waits;
};

static weft_err source_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct source *)state)->to = arg;
    return WEFT_OK;
}

/* GO_ON, from main or because there is room: sends until there is none. */
static weft_verdict source_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct source *source = state;
    (void)msg;
    for (; source->sent < NUMBERS; source->sent++) {
        weft_msg *item = source->in_hand == NULL ? weft_new(&ITEM) : source->in_hand;
        if (item == NULL) return weft_fail(self, WEFT_NO_MEMORY);
        weft_err err = weft_send(source->to, item);
        source->in_hand = err == WEFT_OK ? NULL : item; /* not sent: it is still ours */
        if (err == WEFT_OK) continue;
        source->waits++;
        weft_msg_init(&source->go_on, &GO_ON);
        if (err == WEFT_FULL) err = weft_notify_credit(self, source->to, &source->go_on);
        return err == WEFT_OK ? WEFT_KEPT : weft_fail(self, err);
    }
    printf("source: %" PRIu64 " sent, waited %s\n", source->sent,
           source->waits > 0 ? "for room" : "never");
    return WEFT_STOP;
}

static void source_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self, (void)reason;
    weft_drop(((struct source *)state)->in_hand);
}

static weft_err keep_pointer(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

static weft_verdict counter_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    ++*(*(uint64_t **)state); /* main reads it after the join */
    return WEFT_DONE;
}

static weft_err told_of_room(weft_rt *rt, uint64_t *count)
{
    static weft_msg first; /* as GO_ON has no drop, it must outlive its journey */
    weft_addr *counter = NULL, *source = NULL;
    weft_spec counter_spec = {.name = "counter",
                              .arg = count,
                              .state_size = sizeof(void *),
                              .init = keep_pointer,
                              .handle = counter_handle,
                              .mailbox = ROOM};
    weft_err err = weft_spawn(rt, &counter_spec, &counter);
    weft_spec source_spec = {.name = "source",
                             .arg = counter,
                             .state_size = sizeof(struct source),
                             .init = source_init,
                             .handle = source_handle,
                             .fini = source_fini};
    if (err == WEFT_OK) err = weft_spawn(rt, &source_spec, &source);
    weft_msg_init(&first, &GO_ON);
    if (err == WEFT_OK) err = weft_send(source, &first);
    if (err == WEFT_OK) err = weft_join(source, weft_rt_after(rt, 60 * WEFT_SEC), NULL);
    if (err == WEFT_OK) err = weft_stop(counter, WEFT_DRAIN);
    if (err == WEFT_OK) err = weft_join(counter, weft_rt_after(rt, 60 * WEFT_SEC), NULL);
    weft_addr_put(source);
    weft_addr_put(counter);
    return err;
}

/* -- 2. A window: the answer to a request is the leave to send the next ------------------ */

struct work {
    weft_request req;
    uint64_t value;
};

static const weft_kind WORK = {3, "work", sizeof(struct work), NULL}; /* lives in the feeder */

struct feeder {
    weft_addr *square;
    struct work works[WINDOW]; /* all that is ever on its way */
    uint64_t next, done;
};

static void feeder_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static weft_err feed(weft_self *self, struct feeder *feeder, struct work *work)
{
    work->value = ++feeder->next;
    /* WEFT_NEVER: whoever has an embedded request always gives it back, if only by ending. */
    return weft_ask(self, feeder->square, &work->req, WEFT_NEVER, feeder_reply, NULL, NULL);
}

static weft_err feeder_init(weft_self *self, void *state, void *arg)
{
    struct feeder *feeder = state;
    weft_err err = WEFT_OK;
    feeder->square = arg;
    for (int i = 0; i < WINDOW && err == WEFT_OK; i++) {
        weft_msg_init(&feeder->works[i].req.msg, &WORK);
        err = feed(self, feeder, &feeder->works[i]);
    }
    return err;
}

static void feeder_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct feeder *feeder = state;
    (void)arg;
    if (err == WEFT_OK && ++feeder->done < NUMBERS) {
        if (feeder->next < NUMBERS) err = feed(self, feeder, (struct work *)req);
        if (err == WEFT_OK) return;
    }
    weft_stop(weft_self_addr(self), WEFT_NOW);
}

static weft_verdict square_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct work *work = (struct work *)msg;
    (void)self;
    work->value *= work->value;
    /* Passed on as it is: the same bytes, and the feeder still waits for the answer. */
    return weft_send(*(weft_addr **)state, msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

static weft_verdict sum_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    *(*(uint64_t **)state) += ((struct work *)msg)->value;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

static weft_verdict no_messages(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

static weft_err window(weft_rt *rt, uint64_t *total)
{
    weft_addr *sum = NULL, *square = NULL, *feeder = NULL;
    weft_spec spec = {.name = "sum",
                      .arg = total,
                      .state_size = sizeof(void *),
                      .init = keep_pointer,
                      .handle = sum_handle,
                      .mailbox = 2 * WINDOW}; /* room comes back in halves: so never full */
    weft_err err = weft_spawn(rt, &spec, &sum);
    spec.name = "square";
    spec.arg = sum;
    spec.handle = square_handle;
    if (err == WEFT_OK) err = weft_spawn(rt, &spec, &square);
    weft_spec feeder_spec = {.name = "feeder",
                             .arg = square,
                             .state_size = sizeof(struct feeder),
                             .init = feeder_init,
                             .handle = no_messages};
    if (err == WEFT_OK) err = weft_spawn(rt, &feeder_spec, &feeder);
    if (err == WEFT_OK) err = weft_join(feeder, weft_rt_after(rt, 60 * WEFT_SEC), NULL);
    weft_addr_put(feeder);
    weft_addr_put(square);
    weft_addr_put(sum);
    return err;
}

int main(void)
{
    weft_rt *rt = NULL;
    uint64_t count = 0, total = 0, n = NUMBERS;
    weft_err err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = told_of_room(rt, &count);
    if (err == WEFT_OK) err = window(rt, &total);
    if (rt != NULL) weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    printf("counted %" PRIu64 ", sum of squares %" PRIu64 "\n", count, total);
    if (err != WEFT_OK) fprintf(stderr, "backpressure: %s\n", weft_strerror(err));
    return err == WEFT_OK && count == n && total == n * (n + 1) * (2 * n + 1) / 6 ? 0 : 1;
}
