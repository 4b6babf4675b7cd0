/* SPDX-License-Identifier: Apache-2.0
 * api_http.c - public calls about HTTP (weft/http.h).
 * Called by: users. May touch: a new network, until it is handed over.
 * Never: a node but through weft/net.h. */
#include <weft/http.h>

#include "http_state.h"

weft_err weft_net_http_create(const weft_http_options *options, weft_net **out)
{
    static const weft_http_options none;
    if (out == NULL) return WEFT_INVALID;
    return wf_net_http_create(options == NULL ? &none : options, WEFT_HTTP_TIMEOUT_NS, out);
}

weft_err weft_add_transport_http(weft_node *node, const char *name, const char *listen,
                                 const weft_http_options *options, weft_ns timeout)
{
    weft_net *net;
    weft_err err = weft_net_http_create(options, &net);
    return err != WEFT_OK ? err : weft_add_transport_net(node, name, net, listen, timeout);
}

weft_err weft_add_transport_http_async(weft_node *node, const char *name, const char *listen,
                                       const weft_http_options *options, weft_on_result done,
                                       void *arg)
{
    weft_net *net;
    weft_err err = weft_net_http_create(options, &net);
    return err != WEFT_OK ? err : weft_add_transport_net_async(node, name, net, listen, done, arg);
}
