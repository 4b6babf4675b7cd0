/* SPDX-License-Identifier: Apache-2.0
 * ping_pong.c - two actors that send one message back and forth.
 *
 * The message is a plain struct whose first member is weft_msg. It is allocated
 * once, in main's stack frame, and travels by pointer: sending copies nothing.
 * Exit code 0 says that every round trip arrived. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/actor.h>

#define ROUNDS_DEFAULT UINT64_C(100000)

struct ball {
    weft_msg msg;        /* must come first                   */
    weft_addr *next;     /* to whom pong sends it             */
    uint64_t left, done; /* round trips                       */
};

/* No `drop`: the ball belongs to main, not to the runtime. */
static const weft_kind BALL = {.id = 1, .name = "ball", .size = sizeof(struct ball)};

/* Pong sends the ball back to where it came from ... */
static weft_verdict pong_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct ball *ball = (struct ball *)msg;
    (void)self;
    (void)state;
    /* KEPT: the message is not the runtime's to drop, we passed it on. */
    return weft_send(ball->next, msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

/* ... and ping counts and serves again until all rounds are played. */
static weft_verdict ping_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct ball *ball = (struct ball *)msg;
    weft_addr *pong = *(weft_addr **)state;
    if (ball->next == NULL) ball->next = weft_self_addr(self); /* the first serve comes from main */
    else ball->done++;
    if (ball->left == 0) return WEFT_STOP;
    ball->left--;
    return weft_send(pong, msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

static weft_err ping_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(weft_addr **)state = arg;
    return WEFT_OK;
}

static int play(weft_rt *rt, uint64_t rounds)
{
    weft_addr *ping = NULL, *pong = NULL;
    struct ball ball = {.left = rounds};
    weft_err err = weft_spawn(rt, &(weft_spec){.name = "pong", .handle = pong_handle}, &pong);
    if (err == WEFT_OK)
        err = weft_spawn(rt,
                         &(weft_spec){.name = "ping",
                                      .init = ping_init,
                                      .arg = pong,
                                      .state_size = sizeof(weft_addr *),
                                      .handle = ping_handle},
                         &ping);
    if (err == WEFT_OK) {
        weft_ns begin = weft_rt_now(rt);
        weft_msg_init(&ball.msg, &BALL);
        err = weft_send(ping, &ball.msg);
        if (err == WEFT_OK) err = weft_join(ping, weft_rt_after(rt, 60 * WEFT_SEC), NULL);
        weft_ns took = weft_rt_now(rt) - begin;
        printf("%" PRIu64 " round trips, %.0f per second\n", ball.done,
               (double)ball.done * 1e9 / (double)(took > 0 ? took : 1));
    }
    if (err != WEFT_OK) fprintf(stderr, "ping_pong: %s\n", weft_strerror(err));
    err = weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC));
    weft_addr_put(ping);
    weft_addr_put(pong);
    return err == WEFT_OK && ball.done == rounds ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : ROUNDS_DEFAULT;
    weft_rt *rt = NULL;
    if (weft_rt_create(&rt) != WEFT_OK) return EXIT_FAILURE;
    int code = play(rt, rounds);
    return weft_rt_destroy(rt) == WEFT_OK ? code : EXIT_FAILURE;
}
