/* SPDX-License-Identifier: Apache-2.0
 * outbox.c - staged sends: many messages, one compare-and-swap.
 * Called by: one thread for each outbox, an actor's or a plain one. May touch: the messages
 * it holds, the receiver's mailbox. Never: allocates, blocks, reorders. */
#include "log.h"
#include "self.h"

/* Held newest first, as the mailbox wants them: nothing is turned round to be sent. `first`
 * is the oldest, `last` the newest, and each message's link leads to the one before it. */

static void stage(weft_outbox *box, weft_msg *msg)
{
    msg->next = box->last;
    box->last = msg;
    if (box->first == NULL) box->first = msg;
    box->count++;
}

weft_err weft_outbox_init(weft_outbox *box, weft_addr *to, uint32_t batch)
{
    if (batch == 0 || batch > WEFT_OUTBOX_BATCH_MAX) return WEFT_INVALID;
    /* Room comes back in halves, so a larger batch might wait for more than will come. */
    uint32_t half = to->capacity / 2;
    if (to->capacity != WEFT_UNBOUNDED && batch > (half == 0 ? 1 : half)) return WEFT_INVALID;
    if ((wf_load(&to->flags, WF_RELAXED) & WF_ADDR_BYTES) != 0) return WEFT_UNSUPPORTED;
    *box = (weft_outbox){.to = to, .batch = batch};
    return WEFT_OK;
}

weft_err weft_outbox_flush(weft_outbox *box)
{
    if (box->count == 0) return WEFT_OK;
    weft_err err = wf_send_staged(box->to, box->last, box->first, box->count);
    if (err != WEFT_OK) return err;
    box->first = box->last = NULL;
    box->count = 0;
    return WEFT_OK;
}

weft_err weft_outbox_send(weft_outbox *box, weft_msg *msg)
{
    if (!wf_msg_claim(box->to, msg)) return WEFT_INVALID;
    stage(box, msg);
    if (box->count < box->batch) return WEFT_OK;
    weft_err err = weft_outbox_flush(box);
    if (err == WEFT_OK) return WEFT_OK;
    box->last = msg->next; /* the caller's again */
    box->count--;
    if (box->count == 0) box->first = NULL;
    wf_msg_release(msg);
    return err;
}

weft_msg *weft_outbox_take(weft_outbox *box)
{
    weft_msg *first = NULL, *msg = box->last;
    while (msg != NULL) {
        weft_msg *older = msg->next;
        wf_msg_release(msg);
        msg->next = first;
        first = msg;
        msg = older;
    }
    box->first = box->last = NULL;
    box->count = 0;
    return first;
}
