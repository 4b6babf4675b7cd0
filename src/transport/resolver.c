/* SPDX-License-Identifier: Apache-2.0
 * resolver.c - the actor that looks names up, the only one here that may wait.
 * Called by: weft.c (spawn), the scheduler. May touch: networks, through resolve alone.
 * Never: sockets, connections. */
#include "manager.h"

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    if (msg->kind != &wf_resolve_kind) return WEFT_DONE;
    struct wf_resolve *r = (struct wf_resolve *)msg;
    if (weft_abandoned(&r->req)) return WEFT_DONE;
    wf_net *net = r->net->net;
    weft_err err = r->to_listen ? net->ops->listen_name(net, r->address, r->literal)
                                : net->ops->resolve(net, r->address, r->endpoints,
                                                    WF_DIAL_ENDPOINTS_MAX, &r->count);
    weft_reply(&r->req, err);
    return WEFT_KEPT;
}

weft_err wf_resolver_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "resolver", .handle = handle, .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
