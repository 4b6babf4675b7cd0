/* SPDX-License-Identifier: Apache-2.0
 * msg.c - creating and dropping messages.
 * Called by: any thread. May touch: messages that the caller owns.
 * Never: a message that was sent. */
#include <string.h>

#include "log.h"
#include "pool.h"
#include "self.h"

weft_msg *weft_new(const weft_kind *kind)
{
    WF_ASSERT(kind->drop != NULL && kind->size >= sizeof(weft_msg));
    weft_msg *msg = wf_pool_get(kind->size);
    if (msg == NULL) return NULL;
    memset(msg, 0, kind->size);
    msg->kind = kind;
    return msg;
}

void weft_msg_init(weft_msg *msg, const weft_kind *kind)
{
    memset(msg, 0, sizeof *msg);
    msg->kind = kind;
}

void weft_free_msg(weft_msg *msg) { wf_pool_put(msg); }

void weft_drop(weft_msg *msg)
{
    if (msg == NULL) return;
    if (wf_load(&msg->state, WF_RELAXED) != WF_REQ_IDLE) {
        /* Only requests leave IDLE; the answer frees it if nobody waits. */
        weft_reply((weft_request *)msg, wf_drop_answer());
        return;
    }
    if (msg->kind->drop != NULL) msg->kind->drop(msg);
}
