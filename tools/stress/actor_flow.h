/* SPDX-License-Identifier: Apache-2.0
 * actor_flow.h - actors that send as fast as they are let, or at a rate. */
#ifndef STRESS_ACTOR_FLOW_H
#define STRESS_ACTOR_FLOW_H

#include "actor.h"

struct flow {            /* in work.own of the workloads that use it; zeroed */
    weft_addr **targets; /* by number of the receiver */
    uint32_t targets_count;
    bool random;    /* each message to any but oneself, else to all in turn */
    uint32_t ready; /* atomic: `targets` is complete */
};
struct flow_sender { /* the first member of a sender's state; zeroed */
    struct work *w;
    struct flow *flow;
    struct meter *m;
    uint32_t me; /* number as a sender */
    uint32_t turn;
    struct kit_rng rng;
    struct load_msg *held; /* refused, to be sent again */
    weft_timer tick;
    weft_msg room;
    uint64_t due_ns, period_ns;
};
struct flow_seat { /* arg of an actor's init; must outlive its start */
    struct work *w;
    struct flow *flow;
    uint32_t from, to; /* number as a sender and as a receiver; UINT32_MAX: it is none */
    uint32_t meter;
};

extern const weft_kind flow_room; /* a sender's handler passes these to flow_on_room */
void flow_send_begin(weft_self *self, struct flow_sender *s, const struct flow_seat *seat);
void flow_on_room(weft_self *self, struct flow_sender *s);
/* Spawns w->shape.producers actors that only send; numbers as senders from 0, meters from
 * `first_meter`. */
void flow_spawn_senders(struct work *w, struct flow *flow, uint32_t first_meter);
/* Gives back the addresses. */
void flow_fini(struct flow *flow);

#endif
