/* SPDX-License-Identifier: Apache-2.0
 * gate.c - answers in their order, held while the subscriber of the gate is asked.
 * Called by: the store actor's rooms (one thread). May touch: the desk.
 * Never: waits; asks twice at a time; takes a failed ask for an answer, but for the end of the
 * asked one. */
#include "gate.h"

#include "alloc.h"
#include "desk.h"
#include "log.h"

#define AGAIN_NS WEFT_MS

/* -- Answers ----------------------------------------------------------------------------- */

bool wf_gate_reserve(struct wf_gate_state *gate, uint32_t more)
{
    struct wf_answers *held = &gate->held;
    if (gate->given > 0) { /* those that are away make room */
        held->count -= gate->given;
        memmove(held->list, held->list + gate->given, held->count * sizeof *held->list);
        gate->given = 0;
    }
    return wf_answers_reserve(held, more);
}

static void give(const struct wf_answer *answer)
{
    if (answer->msg->kind == &wf_ingest_kind) {
        struct wf_ingest *frame = (struct wf_ingest *)answer->msg;
        frame->err = answer->err;
        wf_desk_result_take(frame);
    } else {
        weft_reply((weft_request *)answer->msg, answer->err);
    }
}

static bool is_open(const struct wf_desk *desk)
{
    const struct wf_gate_state *gate = &desk->gate;
    return gate->held.count == gate->given && gate->heard == desk->store->narrowed.number;
}

static void hold(struct wf_desk *desk, const struct wf_answer *answer)
{
    struct wf_answers *held = &desk->gate.held;
    WF_ASSERT(held->count < held->room);
    held->list[held->count] = *answer;
    held->list[held->count++].need = desk->store->narrowed.number;
}

void wf_gate_answer(struct wf_desk *desk, const struct wf_answer *answer)
{
    if (is_open(desk)) give(answer);
    else hold(desk, answer);
}

void wf_gate_result_take(struct wf_desk *desk, struct wf_ingest *frame)
{
    const struct wf_answer answer = {.msg = &frame->msg, .err = frame->err};
    if (is_open(desk) || !wf_desk_reserve(desk)) wf_desk_result_take(frame);
    else hold(desk, &answer);
}

/* Replies run no code of ours, so nothing is added meanwhile. */
static void give_heard(struct wf_gate_state *gate)
{
    struct wf_answers *held = &gate->held;
    while (gate->given < held->count && held->list[gate->given].need <= gate->heard)
        give(&held->list[gate->given++]);
    if (gate->given == held->count) gate->given = held->count = 0;
}

/* -- Asking -------------------------------------------------------------------------------- */

static void on_again(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)timer;
    (void)missed;
    desk->self = self;
    wf_gate_look(desk);
}

static void on_heard(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    struct wf_gate_state *gate = &desk->gate;
    (void)err; /* whatever it is: the asked one has answered, or its sessions have ended with it */
    (void)arg;
    desk->self = self;
    gate->asking = false;
    if (req == NULL) return; /* this actor ends */
    gate->ask = (struct wf_gate *)req;
    gate->heard = gate->asked;
    give_heard(gate);
    wf_gate_look(desk);
}

static weft_err send(struct wf_desk *desk)
{
    struct wf_gate_state *gate = &desk->gate;
    struct wf_narrowed *narrowed = &desk->store->narrowed;
    if (gate->ask == NULL) gate->ask = (struct wf_gate *)weft_new(&wf_gate_kind);
    if (gate->ask == NULL) return WEFT_NO_MEMORY;
    gate->ask->all = narrowed->all;
    gate->ask->count = narrowed->count;
    memcpy(gate->ask->trees, narrowed->trees, narrowed->count * sizeof narrowed->trees[0]);
    weft_err err = weft_ask(desk->self, gate->to, &gate->ask->req, WEFT_NEVER, on_heard, NULL,
                            NULL);
    if (err != WEFT_OK) return err;
    gate->ask = NULL;
    gate->asking = true;
    gate->asked = narrowed->number;
    return WEFT_OK;
}

static void forget_narrowed(struct wf_narrowed *narrowed)
{
    narrowed->all = false;
    narrowed->count = 0;
}

void wf_gate_look(struct wf_desk *desk)
{
    struct wf_gate_state *gate = &desk->gate;
    struct wf_narrowed *narrowed = &desk->store->narrowed;
    if (gate->asking || gate->ended || gate->heard == narrowed->number) return;
    weft_err err = gate->to == NULL ? WEFT_CLOSED : send(desk);
    if (err != WEFT_OK && err != WEFT_CLOSED) { /* its mailbox is full, or memory is short */
        wf_log(WEFT_LOG_DEBUG, "store", "the gate is asked again soon err=%s", weft_errname(err));
        weft_timer_set(desk->self, &gate->again, weft_now(desk->self) + AGAIN_NS, 0, on_again);
        return;
    }
    forget_narrowed(narrowed);
    if (err == WEFT_OK) return;
    gate->heard = narrowed->number; /* nobody has anything under way */
    give_heard(gate);
}

void wf_gate_subscribe_take(struct wf_desk *desk, struct wf_gate_sub *sub)
{
    struct wf_gate_state *gate = &desk->gate;
    weft_addr_put(gate->to);
    gate->to = sub->to;
    sub->to = NULL;
    weft_drop(&sub->msg);
}

/* -- The end --------------------------------------------------------------------------------- */

void wf_gate_end(struct wf_desk *desk)
{
    desk->gate.ended = true;
    weft_timer_stop(desk->self, &desk->gate.again);
}

void wf_gate_refuse(struct wf_desk *desk)
{
    struct wf_gate_state *gate = &desk->gate;
    for (; gate->given < gate->held.count; gate->given++) {
        gate->held.list[gate->given].err = WEFT_CLOSED;
        give(&gate->held.list[gate->given]);
    }
}

void wf_gate_fini(struct wf_gate_state *gate)
{
    wf_answers_fini(&gate->held, gate->given);
    if (gate->ask != NULL) weft_drop(&gate->ask->req.msg);
    weft_addr_put(gate->to);
    *gate = (struct wf_gate_state){0};
}
