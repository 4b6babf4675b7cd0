/* SPDX-License-Identifier: Apache-2.0
 * join_asking.h - one question about joining that this node asks elsewhere: what its two rooms share.
 * Called by: join_asking.c (asks), join_said.c (follows the answer). Only the actor `access` touches
 * any of it. */
#ifndef WF_JOIN_ASKING_H
#define WF_JOIN_ASKING_H

#include "join_desk.h"

struct asking { /* one after the other: ask, follow, relate, forget, sync */
    struct wf_join_desk *desk;
    struct wf_join_req *req; /* who waits; NULL: nobody */
    struct wf_asked_row row;
    struct wf_joined said;
    bool again;    /* of a request that was made before */
    bool kept;     /* the row in the desk is that of what was said */
    bool replaced; /* `before` was the desk's row until what was said took its place */
    struct wf_asked_row before;
    struct wf_join_over *over; /* made with it, so that its end cannot go untold; NULL: told */
};

/* join_said.c */
/* Goes on with what was said, to the end, at which the question is answered and freed. */
void wf_asking_settle(struct asking *a);
void wf_asking_finish(struct asking *a, weft_err err);
/* The next step; if it cannot be asked that is the end. `req` NULL: memory is short. */
void wf_asking_step(struct asking *a, weft_addr *to, weft_request *req, weft_ns deadline,
                    weft_on_reply fn);
weft_ns wf_asking_deadline(const struct asking *a);

#endif
