/* SPDX-License-Identifier: Apache-2.0
 * api_history.c - public calls about what is remembered of peers (weft/history.h).
 * Called by: users. May touch: messages to the peer manager.
 * Never: the registry itself. */
#include <weft/history.h>

#include <string.h>

#include "node_internal.h"

static weft_err make(enum wf_peer_op op, const weft_key *peer, struct wf_peer_req **out)
{
    struct wf_peer_req *req = wf_peer_req_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    if (peer != NULL) req->peer = *peer;
    *out = req;
    return WEFT_OK;
}

/* Takes req. *out is the answered request, also when it failed; NULL: there is none. */
static weft_err ask(weft_node *node, struct wf_peer_req *req, weft_ns timeout,
                    struct wf_peer_req **out)
{
    weft_request *answer = NULL;
    *out = NULL;
    if (wf_in_actor()) {
        weft_drop(&req->req.msg);
        return WEFT_DEADLK;
    }
    weft_err err = wf_node_call(node, node->table.peers, &req->req, timeout, &answer);
    *out = (struct wf_peer_req *)answer;
    return err;
}

static bool is_of_type(const char *address, const char *type)
{
    if (type == NULL) return true;
    size_t len = strlen(type);
    return strncmp(address, type, len) == 0 && address[len] == ':';
}

weft_err weft_peer_addresses(weft_node *node, const weft_key *peer, const char *type,
                             weft_ns timeout, weft_address_info *out, size_t *count)
{
    struct wf_peer_req *req;
    if (node == NULL || peer == NULL || count == NULL || (out == NULL && *count != 0))
        return WEFT_INVALID;
    weft_err err = make(WF_PEER_ADDRESSES, peer, &req);
    if (err != WEFT_OK) return err;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK) {
        size_t room = *count, all = 0;
        for (uint32_t i = 0; i < req->count; i++) {
            if (!is_of_type(req->about[i].text, type)) continue;
            if (all < room) out[all] = req->about[i];
            all++;
        }
        *count = all < room ? all : room;
        err = all > room ? WEFT_LIMIT : WEFT_OK;
    }
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}
