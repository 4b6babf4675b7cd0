/* SPDX-License-Identifier: Apache-2.0
 * call.c - the blocking forms for plain threads: call and send_wait.
 * Called by: threads that are not actors. May touch: a counted reply box, so that
 * a late reply meets a closed mailbox and never a dead stack.
 * Never: waits inside an actor. */
#include "alloc.h"
#include "log.h"
#include "park.h"
#include "self.h"

static const weft_kind kind_room = {
    .id = 0, .name = "weft.room", .size = sizeof(weft_msg), .drop = weft_free_msg};

#define SEND_YIELDS 4u /* tries before a sender that found no room sleeps */

/* Where a plain thread hears answers: an address without an actor. */
struct caller {
    weft_addr addr; /* first: the address is the caller */
    struct wf_lanes lanes;
    struct wf_parker parker;
};

static struct wf_lanes *lanes_of(weft_addr *box) { return &((struct caller *)box)->lanes; }

void wf_caller_destroy(weft_addr *box) { wf_free(box); }

static weft_err box_open(struct wf_port *port, weft_addr **out)
{
    weft_addr *box = port->ops->take_box(port);
    if (box == NULL) {
        struct caller *caller = wf_calloc(1, sizeof *caller);
        if (caller == NULL) return WEFT_NO_MEMORY;
        box = &caller->addr;
        box->refs = 1;
        wf_mailbox_init(box, port, WEFT_UNBOUNDED);
        wf_parker_init(&caller->parker, port, 0);
    }
    *out = box;
    return WEFT_OK;
}

/* `owed`: something may still be sent to the box. Then it is closed for good, and what
 * comes late meets a closed mailbox; else the thread keeps it for its next call. */
static void box_done(weft_addr *box, bool owed)
{
    weft_msg *msg;
    if (!owed && box->port->ops->keep_box(box->port, box)) return;
    wf_mailbox_close(box, lanes_of(box));
    while ((msg = wf_lane_pop(&lanes_of(box)->system)) != NULL) weft_drop(msg); /* news of room */
    weft_addr_put(box);
}

/* The next message of the box, or NULL once `deadline` has passed. */
static weft_msg *box_wait(weft_addr *box, weft_ns deadline)
{
    for (;;) {
        wf_mailbox_drain(box, lanes_of(box));
        weft_msg *msg = wf_lane_pop(&lanes_of(box)->system);
        if (msg != NULL || wf_port_now(box->port) >= deadline) return msg;
        wf_park(&((struct caller *)box)->parker, &box->head, deadline);
    }
}

static weft_err call_send(weft_addr *to, weft_addr *box, weft_request *req, weft_ns deadline)
{
    if (!wf_msg_claim(to, &req->msg)) return WEFT_INVALID;
    req->deadline = deadline;
    req->fn = NULL;
    req->err = WEFT_OK;
    req->asker = weft_addr_get(box);
    /* Still private: weft_send publishes it. */
    wf_store(&req->msg.state, WF_REQ_ASKED, WF_RELAXED);
    weft_err err = wf_send_claimed(to, &req->msg);
    if (err == WEFT_OK) return WEFT_OK;
    wf_msg_release(&req->msg);
    wf_store(&req->msg.state, WF_REQ_IDLE, WF_RELAXED);
    req->asker = NULL;
    weft_addr_put(box);
    return err;
}

weft_err weft_call(weft_addr *to, weft_request *req, weft_ns deadline, weft_request **out,
                   bool *taken)
{
    bool ignored, owed = false;
    weft_addr *box = NULL;
    taken = taken == NULL ? &ignored : taken;
    *taken = false;
    *out = NULL;
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    if (wf_load(&req->msg.state, WF_RELAXED) != WF_REQ_IDLE)
        return wf_misuse_in_flight(to, &req->msg);
    if (wf_may_dangle(NULL, req, deadline)) return WEFT_INVALID;
    if (wf_mailbox_is_closed(to)) return WEFT_CLOSED; /* its port may be gone: a simulator's */
    weft_err err = box_open(to->port, &box);
    if (err != WEFT_OK) return err;
    err = call_send(to, box, req, deadline);
    if (err != WEFT_OK) goto done;
    *taken = owed = true;
    weft_msg *msg = box_wait(box, deadline);
    if (msg == NULL && wf_request_abandon(req)) {
        err = WEFT_TIMED_OUT; /* the callee has it */
        goto done;
    }
    if (msg == NULL) /* the callee won the race: the reply is only a push away */
        msg = box_wait(box, WEFT_NEVER);
    WF_ASSERT(msg == &req->msg);
    wf_store(&msg->state, WF_REQ_IDLE, WF_RELAXED);
    req->asker = NULL;
    weft_addr_put(box);
    err = (weft_err)req->err;
    *out = req;
    owed = false;
done:
    box_done(box, owed);
    return err;
}

/* Asks `to` for news of room. CLOSED: `room` is still the caller's. */
static weft_err room_ask(weft_addr *to, weft_addr *box, weft_msg *room)
{
    room->ctx = weft_addr_get(box);
    room->flags = WF_MSG_SYSTEM | WF_MSG_CREDIT | WF_MSG_QUEUED;
    weft_err err = wf_mailbox_push(to, room, room);
    if (err == WEFT_OK) return WEFT_OK;
    room->ctx = NULL;
    room->flags = 0;
    weft_addr_put(box);
    return err;
}

/* Waits and tries in turns; the news of room come and go in one message. */
static weft_err wait_and_send(weft_addr *to, weft_addr *box, weft_msg *msg, weft_ns deadline,
                              weft_msg **room)
{
    for (;;) {
        weft_err err = room_ask(to, box, *room);
        if (err != WEFT_OK) return err;
        weft_msg *news = box_wait(box, deadline);
        bool late = news == NULL;
        WF_ASSERT(late || news == *room);
        if (late) *room = NULL; /* the receiver has it still */
        err = weft_send(to, msg);
        if (err == WEFT_FULL && late) return WEFT_TIMED_OUT;
        if (err != WEFT_FULL || late) return err;
    }
}

weft_err weft_send_wait(weft_addr *to, weft_msg *msg, weft_ns deadline)
{
    if (wf_self_current() != NULL) return WEFT_DEADLK;
    weft_err err = weft_send(to, msg);
    /* The receiver is at work, so room is often a moment away, and a sleep is not. */
    for (unsigned i = 0; i < SEND_YIELDS && err == WEFT_FULL && to->port->sim == NULL; i++) {
        to->port->ops->yield(to->port);
        err = weft_send(to, msg);
    }
    if (err != WEFT_FULL) return err;
    weft_addr *box = NULL;
    err = box_open(to->port, &box);
    if (err != WEFT_OK) return err;
    weft_msg *room = weft_new(&kind_room);
    bool owed = false;
    if (room == NULL) {
        err = WEFT_NO_MEMORY;
    } else {
        err = wait_and_send(to, box, msg, deadline, &room);
        owed = room == NULL;
    }
    weft_drop(room);
    box_done(box, owed);
    return err;
}
