/* SPDX-License-Identifier: Apache-2.0
 * api_async.c - what the asynchronous calls of the public API have in common.
 * Called by: the rooms api_*.c. May touch: messages to notify, which asks and tells.
 * Never: knows what is asked. */
#include "api_async.h"

#include "alloc.h"

struct later {
    wf_api_tell tell;
    wf_api_done done;
    void *arg;
};

static void on_done(void *arg, weft_err err, weft_request *request)
{
    const struct later l = *(struct later *)arg;
    wf_free(arg);
    l.tell(l.done, l.arg, err, request);
    if (request != NULL) weft_drop(&request->msg);
}

weft_err wf_api_later(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                      wf_api_tell tell, wf_api_done done, void *arg)
{
    struct later *l = done == NULL ? NULL : wf_malloc(sizeof *l);
    if (l == NULL) {
        weft_drop(&req->msg);
        return done == NULL ? WEFT_INVALID : WEFT_NO_MEMORY;
    }
    *l = (struct later){tell, done, arg};
    weft_err err = wf_node_ask(node, to, req, timeout, on_done, l);
    if (err != WEFT_OK) wf_free(l);
    return err;
}

void wf_api_tell_nothing(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    static const weft_result nothing;
    (void)request;
    ((weft_on_result)done)(arg, err, &nothing);
}

weft_ns wf_api_rest(weft_node *node, weft_ns end)
{
    weft_ns now = weft_rt_now(node->rt);
    return end == WEFT_NEVER ? end : end > now ? end - now : 0;
}
