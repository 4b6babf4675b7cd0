/* SPDX-License-Identifier: Apache-2.0
 * group.c - ten thousand actors on a few threads.
 *
 * A ring: each actor knows the next one and passes a token on, 50 times around. An actor of a
 * worker group has no thread; it costs some hundred bytes and gets a turn when it has mail. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/actor.h>
#include <weft/group.h>

enum { ACTORS = 10000, ROUNDS = 50 };

struct token {
    weft_msg msg;
    uint64_t hops;
};

static const weft_kind TOKEN = {1, "token", sizeof(struct token), weft_free_msg};

/* The actors of the ring, by number; written before the token is sent. */
static weft_addr *ring[ACTORS];

static weft_err member_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(size_t *)state = (size_t)((weft_addr **)arg - ring); /* whose place in the ring is ours */
    return WEFT_OK;
}

static weft_verdict member_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct token *token = (struct token *)msg;
    (void)self;
    if (++token->hops == (uint64_t)ACTORS * ROUNDS) {
        printf("%" PRIu64 " hops\n", token->hops);
        return WEFT_STOP; /* main waits for this one's end */
    }
    return weft_send(ring[(*(size_t *)state + 1) % ACTORS], msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

static weft_err build(weft_rt *rt, weft_group *group)
{
    weft_spec spec = {.name = "member",
                      .state_size = sizeof(size_t),
                      .init = member_init,
                      .handle = member_handle,
                      .mailbox = 2,
                      .place = WEFT_PLACE_GROUP,
                      .group = group};
    weft_err err = WEFT_OK;
    for (size_t i = 0; i < ACTORS && err == WEFT_OK; i++) {
        spec.arg = &ring[i];
        err = weft_spawn(rt, &spec, &ring[i]);
    }
    return err;
}

int main(void)
{
    weft_rt *rt = NULL;
    weft_group *group = NULL;
    weft_err reason = WEFT_INTERNAL, err = weft_rt_create(&rt);
    weft_group_spec spec = {.name = "ring", .workers = 2}; /* 0: one for each processor */
    if (err == WEFT_OK) err = weft_group_create(rt, &spec, &group);
    if (err == WEFT_OK) err = build(rt, group);
    weft_msg *token = err == WEFT_OK ? weft_new(&TOKEN) : NULL;
    if (token != NULL && weft_send(ring[0], token) != WEFT_OK) weft_drop(token);
    /* The last hop is the last one's. */
    if (err == WEFT_OK)
        err = weft_join(ring[ACTORS - 1], weft_rt_after(rt, 30 * WEFT_SEC), &reason);
    if (rt != NULL) weft_rt_stop(rt, WEFT_NEVER);
    for (size_t i = 0; i < ACTORS; i++) weft_addr_put(ring[i]);
    weft_group_destroy(group);
    weft_rt_destroy(rt);
    if (err != WEFT_OK) fprintf(stderr, "group: %s\n", weft_strerror(err));
    return err == WEFT_OK && reason == WEFT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
