/* SPDX-License-Identifier: Apache-2.0
 * first_actor.c - the smallest whole program with an actor. */
#include <stdio.h>
#include <weft/actor.h>

struct hello {
    weft_msg msg; /* every message begins with it */
    const char *name;
};
static const weft_kind HELLO = {1, "hello", sizeof(struct hello), weft_free_msg};

static weft_verdict greet(weft_self *self, void *state, weft_msg *msg)
{
    unsigned *greeted = state; /* only this actor ever sees it: no lock */
    (void)self;
    printf("%u. Hello, %s!\n", ++*greeted, ((struct hello *)msg)->name);
    return WEFT_DONE; /* the runtime frees the message */
}

int main(void)
{
    weft_rt *rt;
    weft_addr *greeter;
    weft_spec spec = {.name = "greeter", .handle = greet, .state_size = sizeof(unsigned)};
    if (weft_rt_create(&rt) != WEFT_OK || weft_spawn(rt, &spec, &greeter) != WEFT_OK) return 1;
    for (int i = 0; i < 3; i++) {
        struct hello *hello = (struct hello *)weft_new(&HELLO);
        if (hello == NULL) return 1;
        hello->name = (const char *[]){"Ada", "Grace", "Barbara"}[i];
        if (weft_send(greeter, &hello->msg) != WEFT_OK) weft_drop(&hello->msg); /* still ours */
    }
    weft_addr_put(greeter);
    weft_rt_stop(rt, WEFT_NEVER); /* what is queued is handled, then every actor ends */
    return weft_rt_destroy(rt) == WEFT_OK ? 0 : 1;
}
