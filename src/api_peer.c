/* SPDX-License-Identifier: Apache-2.0
 * api_peer.c - public calls about peers and relations.
 * Called by: users (weft/node.h). May touch: messages to the peer manager.
 * Never: the registry itself. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "node_internal.h"

/* Asks the peer manager; *out (may be NULL) is the answered request. */
static weft_err ask(weft_node *node, struct wf_peer_req *req, weft_ns timeout,
                    struct wf_peer_req **out)
{
    weft_request *answer = NULL;
    weft_err err = wf_node_call(node, node->table.peers, &req->req, timeout,
                                out == NULL ? NULL : &answer);
    if (out != NULL) *out = (struct wf_peer_req *)answer;
    return err;
}

static weft_err make(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                     struct wf_peer_req **out)
{
    if (node == NULL) return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    struct wf_peer_req *req = wf_peer_req_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    if (peer != NULL) req->peer = *peer;
    *out = req;
    return WEFT_OK;
}

weft_err weft_peer_register(weft_node *node, const weft_key *peer, const char *name,
                            weft_ns timeout)
{
    struct wf_peer_req *req;
    if (peer == NULL || (name != NULL && strlen(name) >= WEFT_ACTOR_NAME_BYTES_MAX))
        return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_REGISTER, peer, &req);
    if (err != WEFT_OK) return err;
    if (name != NULL) memcpy(req->text, name, strlen(name));
    return ask(node, req, timeout, NULL);
}

weft_err weft_peer_remove(weft_node *node, const weft_key *peer, weft_ns timeout)
{
    struct wf_peer_req *req;
    if (peer == NULL) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_REMOVE, peer, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_set_status(weft_node *node, const weft_key *peer, weft_peer_status status,
                              weft_ns timeout)
{
    struct wf_peer_req *req;
    if (peer == NULL || (unsigned)status > WEFT_PEER_BLOCKED) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_STATUS, peer, &req);
    if (err != WEFT_OK) return err;
    req->status = status;
    return ask(node, req, timeout, NULL);
}

/* Has the text a scheme that some transport knows, and the form that it wants? */
static weft_err check_address(const char *address)
{
    if (address == NULL) return WEFT_INVALID;
    if (strlen(address) >= WEFT_ADDRESS_BYTES_MAX) return WEFT_ADDRESS;
    if (strncmp(address, "mem:", 4) == 0) return address[4] != '\0' ? WEFT_OK : WEFT_ADDRESS;
    if (strncmp(address, "tcp:", 4) != 0) return WEFT_ADDRESS;
    wf_net *net = NULL;
    weft_err err = wf_net_tcp_create(&net);
    if (err != WEFT_OK) return err;
    err = net->ops->check(net, address + 4);
    net->ops->destroy(net);
    return err;
}

static weft_err change_address(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                               const char *address, weft_ns timeout)
{
    struct wf_peer_req *req;
    if (peer == NULL) return WEFT_INVALID;
    weft_err err = check_address(address);
    if (err == WEFT_OK) err = make(node, op, peer, &req);
    if (err != WEFT_OK) return err;
    memcpy(req->text, address, strlen(address));
    return ask(node, req, timeout, NULL);
}

weft_err weft_peer_add_address(weft_node *node, const weft_key *peer, const char *address,
                               weft_ns timeout)
{
    return change_address(node, WF_PEER_ADD_ADDRESS, peer, address, timeout);
}

weft_err weft_peer_remove_address(weft_node *node, const weft_key *peer, const char *address,
                                  weft_ns timeout)
{
    return change_address(node, WF_PEER_REMOVE_ADDRESS, peer, address, timeout);
}

weft_err weft_peer_get(weft_node *node, const weft_key *peer, weft_ns timeout, weft_peer_info *out)
{
    struct wf_peer_req *req;
    if (peer == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_GET, peer, &req);
    if (err != WEFT_OK) return err;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK) *out = req->info;
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

/* Hands a list over into the caller's room. */
static weft_err hand_over(const void *from, size_t size, size_t have, void *out, size_t *count)
{
    size_t room = *count;
    size_t take = have < room ? have : room;
    if (take != 0) memcpy(out, from, take * size);
    *count = take;
    return have > room ? WEFT_LIMIT : WEFT_OK;
}

static weft_err list(weft_node *node, enum wf_peer_op op, const weft_key *peer, const weft_id *tree,
                     weft_ns timeout, void *out, size_t *count)
{
    struct wf_peer_req *req;
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = make(node, op, peer, &req);
    if (err != WEFT_OK) return err;
    if (tree != NULL) req->tree = *tree;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK)
        err = op == WF_PEER_TREES ? hand_over(req->ids, sizeof(weft_id), req->count, out, count)
                                  : hand_over(req->keys, sizeof(weft_key), req->count, out, count);
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

weft_err weft_peer_list(weft_node *node, weft_ns timeout, weft_key *out, size_t *count)
{
    return list(node, WF_PEER_LIST, NULL, NULL, timeout, out, count);
}

weft_err weft_peer_trees(weft_node *node, const weft_key *peer, weft_ns timeout, weft_id *out,
                         size_t *count)
{
    if (peer == NULL) return WEFT_INVALID;
    return list(node, WF_PEER_TREES, peer, NULL, timeout, out, count);
}

weft_err weft_tree_peers(weft_node *node, const weft_id *tree, weft_ns timeout, weft_key *out,
                         size_t *count)
{
    if (tree == NULL) return WEFT_INVALID;
    return list(node, WF_PEER_TREE_PEERS, NULL, tree, timeout, out, count);
}

static weft_err relate(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                       const weft_id *tree, weft_ns timeout)
{
    struct wf_peer_req *req;
    if (peer == NULL || tree == NULL) return WEFT_INVALID;
    weft_err err = make(node, op, peer, &req);
    if (err != WEFT_OK) return err;
    req->tree = *tree;
    return ask(node, req, timeout, NULL);
}

weft_err weft_peer_relate(weft_node *node, const weft_key *peer, const weft_id *tree,
                          weft_ns timeout)
{
    return relate(node, WF_PEER_RELATE, peer, tree, timeout);
}

weft_err weft_peer_unrelate(weft_node *node, const weft_key *peer, const weft_id *tree,
                            weft_ns timeout)
{
    return relate(node, WF_PEER_UNRELATE, peer, tree, timeout);
}
