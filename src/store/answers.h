/* SPDX-License-Identifier: Apache-2.0
 * answers.h - messages that wait for their answers, in order.
 * Called by: group_commit.c, gate.c (one thread). May touch: the heap. Never: answers. */
#ifndef WF_ANSWERS_H
#define WF_ANSWERS_H

#include <weft/actor.h>

struct wf_answer { /* a message whose work is in a batch, or needed none */
    weft_msg *msg;
    weft_err err;
    bool sync;     /* true: only what is durable may be said to be OK     */
    uint64_t need; /* held: until the gate has heard of this narrowing    */
};

struct wf_answers {
    struct wf_answer *list;
    uint32_t count, room;
};

/* Room for `more`; false: there is no memory. */
bool wf_answers_reserve(struct wf_answers *answers, uint32_t more);
void wf_answers_swap(struct wf_answers *a, struct wf_answers *b);
/* Drops those from number `from` on, and frees. */
void wf_answers_fini(struct wf_answers *answers, uint32_t from);

#endif
