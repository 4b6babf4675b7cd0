/* SPDX-License-Identifier: Apache-2.0
 * gate.h - the answers of the store in their order, held while somebody is asked who may have
 * frames on their way that a batch has just forbidden.
 * Called by: the store actor's rooms (one thread). Never: waits; gives an answer before those
 * that came before it.
 *
 * A batch by which somebody may read a tree no longer is published first, so that nothing new is
 * framed for them. Then the subscriber is asked (store_actor.h), and the answers of that batch
 * and of all later ones are held until it has said that nothing of before can leave any more. One
 * queue, so the results of a stream keep their order. It has room before an answer is taken on,
 * so that holding one never needs memory. */
#ifndef WF_GATE_H
#define WF_GATE_H

#include "answers.h"
#include "state.h"

struct wf_gate_state {
    weft_addr *to;          /* who is asked; NULL: nobody                    */
    struct wf_gate *ask;    /* NULL: it is with `to`, or not made            */
    bool asking, ended;     /* ended: this actor ends, nobody is asked       */
    uint64_t asked, heard;  /* numbers of narrowings (rights.h)              */
    struct wf_answers held; /* in their order; the first `given` are away    */
    uint32_t given;
    weft_timer again; /* after an ask that could not be sent */
};

struct wf_desk;
/* Takes the message. */
void wf_gate_subscribe_take(struct wf_desk *desk, struct wf_gate_sub *sub);
/* Room to hold `more` answers beside those that are held. */
bool wf_gate_reserve(struct wf_gate_state *gate, uint32_t more);
/* What was published since may have narrowed: asks, unless it does already. */
void wf_gate_look(struct wf_desk *desk);
/* Gives an answer that is true, or holds it. Its room was reserved. */
void wf_gate_answer(struct wf_desk *desk, const struct wf_answer *answer);
/* A result that needs no batch: behind what is held. Takes the frame. */
void wf_gate_result_take(struct wf_desk *desk, struct wf_ingest *frame);
/* The actor ends: nobody is asked any more. Then, after its last batch: what is held is answered
 * CLOSED, since nobody said that it is true. */
void wf_gate_end(struct wf_desk *desk);
void wf_gate_refuse(struct wf_desk *desk);
void wf_gate_fini(struct wf_gate_state *gate); /* drops what is held */

#endif
