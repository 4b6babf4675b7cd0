/* SPDX-License-Identifier: Apache-2.0
 * gate.h - holds an actor inside a callback until the test lets it go.
 * Called by: test_stats.c, test_watchdog.c, on threads only. */
#ifndef GATE_H
#define GATE_H

#include <semaphore.h>

#include "rig.h"

struct gate {
    sem_t entered, open;
};

static inline void gate_init(struct gate *gate)
{
    cr_assert_eq(sem_init(&gate->entered, 0, 0), 0);
    cr_assert_eq(sem_init(&gate->open, 0, 0), 0);
}

static inline void gate_wait(sem_t *sem)
{
    while (sem_wait(sem) != 0) {}
}

/* The actor's side: says that it is in, and stays. */
static inline void gate_stay(struct gate *gate)
{
    sem_post(&gate->entered);
    gate_wait(&gate->open);
}

static const weft_kind GATE = {3, "gate", sizeof(weft_msg), weft_free_msg};

static inline weft_verdict gate_handle(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    if (msg->kind == &GATE) gate_stay(data);
    return rig_echo(self, data, msg);
}

static inline void gate_send(weft_addr *to)
{
    weft_msg *msg = weft_new(&GATE);
    cr_assert_not_null(msg);
    cr_assert_eq(weft_send(to, msg), WEFT_OK);
}

/* Time passes, and nobody sleeps. */
static inline void gate_let_pass(weft_rt *rt, weft_ns span)
{
    weft_ns until = weft_rt_after(rt, span);
    while (weft_rt_now(rt) < until) {}
}

#endif
