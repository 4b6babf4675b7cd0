/* SPDX-License-Identifier: Apache-2.0
 * api_peer.c - public calls about peers and relations.
 * Called by: users (weft/node.h). May touch: messages to the peer manager.
 * Never: the registry itself. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "api_net.h"

/* Asks the peer manager; *out (may be NULL) is the answered request. */
static weft_err ask(weft_node *node, struct wf_peer_req *req, weft_ns timeout,
                    struct wf_peer_req **out)
{
    weft_request *answer = NULL;
    if (wf_in_actor()) {
        weft_drop(&req->req.msg);
        if (out != NULL) *out = NULL;
        return WEFT_DEADLK;
    }
    weft_err err = wf_node_call(node, node->table.peers, &req->req, timeout,
                                out == NULL ? NULL : &answer);
    if (out != NULL) *out = (struct wf_peer_req *)answer;
    return err;
}

static weft_err make(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                     struct wf_peer_req **out)
{
    if (node == NULL) return WEFT_INVALID;
    struct wf_peer_req *req = wf_peer_req_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    if (peer != NULL) req->peer = *peer;
    *out = req;
    return WEFT_OK;
}

/* -- Answering asynchronously ------------------------------------------------------------ */

struct completion {
    weft_on_result changed;
    weft_on_peer row;
    weft_on_keys keys;
    weft_on_ids ids;
    void *arg;
};

static void on_done(void *arg, weft_err err, weft_request *request)
{
    struct completion c = *(struct completion *)arg;
    wf_free(arg);
    static const weft_result nothing;
    struct wf_peer_req *req = (struct wf_peer_req *)request;
    bool ok = err == WEFT_OK && req != NULL;
    if (c.changed != NULL) c.changed(c.arg, err, &nothing);
    else if (c.row != NULL) c.row(c.arg, err, ok ? &req->info : NULL);
    else if (c.keys != NULL) c.keys(c.arg, err, ok ? req->keys : NULL, ok ? req->count : 0);
    else c.ids(c.arg, err, ok ? req->ids : NULL, ok ? req->count : 0);
    if (req != NULL) weft_drop(&req->req.msg);
}

/* Takes req, also when it fails. */
static weft_err begin(weft_node *node, struct wf_peer_req *req, struct completion how)
{
    bool nobody = how.changed == NULL && how.row == NULL && how.keys == NULL && how.ids == NULL;
    struct completion *c = nobody ? NULL : wf_malloc(sizeof *c);
    if (c == NULL) {
        weft_drop(&req->req.msg);
        return nobody ? WEFT_INVALID : WEFT_NO_MEMORY;
    }
    *c = how;
    weft_err err = wf_node_ask(node, node->table.peers, &req->req, WEFT_NEVER, on_done, c);
    if (err != WEFT_OK) wf_free(c);
    return err;
}

static weft_err begin_change(weft_node *node, struct wf_peer_req *req, weft_on_result done,
                             void *arg)
{
    return begin(node, req, (struct completion){.changed = done, .arg = arg});
}

/* -- Changes -------------------------------------------------------------------------------- */

static weft_err make_register(weft_node *node, const weft_key *peer, const char *name,
                              struct wf_peer_req **out)
{
    if (peer == NULL || (name != NULL && strlen(name) >= WEFT_ACTOR_NAME_BYTES_MAX))
        return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_REGISTER, peer, out);
    if (err == WEFT_OK && name != NULL) memcpy((*out)->text, name, strlen(name));
    return err;
}

weft_err weft_peer_register(weft_node *node, const weft_key *peer, const char *name,
                            weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_register(node, peer, name, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_register_async(weft_node *node, const weft_key *peer, const char *name,
                                  weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_register(node, peer, name, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

static weft_err make_remove(weft_node *node, const weft_key *peer, struct wf_peer_req **out)
{
    return peer == NULL ? WEFT_INVALID : make(node, WF_PEER_REMOVE, peer, out);
}

weft_err weft_peer_remove(weft_node *node, const weft_key *peer, weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_remove(node, peer, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_remove_async(weft_node *node, const weft_key *peer, weft_on_result done,
                                void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_remove(node, peer, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

static weft_err make_status(weft_node *node, const weft_key *peer, weft_peer_status status,
                            struct wf_peer_req **out)
{
    if (peer == NULL || (unsigned)status > WEFT_PEER_BLOCKED) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_STATUS, peer, out);
    if (err == WEFT_OK) (*out)->status = status;
    return err;
}

weft_err weft_peer_set_status(weft_node *node, const weft_key *peer, weft_peer_status status,
                              weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_status(node, peer, status, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_set_status_async(weft_node *node, const weft_key *peer, weft_peer_status status,
                                    weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_status(node, peer, status, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

/* host:port, as TCP has it; `len` bytes of the text. */
static weft_err check_host_port(const char *text, size_t len)
{
    char copy[WEFT_ADDRESS_BYTES_MAX];
    wf_net *net = NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    weft_err err = wf_net_tcp_create(&net);
    if (err != WEFT_OK) return err;
    err = net->ops->check(net, copy);
    net->ops->destroy(net);
    return err;
}

/* Has the text the form "type:address"? The transport of that type may come later, and has the
 * last word then; what is known of weft's own types is told at once. */
static weft_err check_address(const char *address)
{
    if (address == NULL) return WEFT_INVALID;
    if (strlen(address) >= WEFT_ADDRESS_BYTES_MAX) return WEFT_ADDRESS;
    const char *colon = strchr(address, ':');
    if (colon == NULL || !wf_type_fits(address, (size_t)(colon - address))) return WEFT_ADDRESS;
    const char *rest = colon + 1;
    for (const char *at = rest; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f) return WEFT_ADDRESS;
    if (strncmp(address, "tcp:", 4) == 0) return check_host_port(rest, strlen(rest));
    if (strncmp(address, "http:", 5) == 0) return check_host_port(rest, strcspn(rest, "/"));
    return *rest != '\0' ? WEFT_OK : WEFT_ADDRESS;
}

weft_err wf_api_check_address(const char *address) { return check_address(address); }

static weft_err make_address(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                             const char *address, struct wf_peer_req **out)
{
    if (peer == NULL) return WEFT_INVALID;
    weft_err err = check_address(address);
    if (err == WEFT_OK) err = make(node, op, peer, out);
    if (err == WEFT_OK) memcpy((*out)->text, address, strlen(address));
    return err;
}

weft_err weft_peer_add_address(weft_node *node, const weft_key *peer, const char *address,
                               weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_address(node, WF_PEER_ADD_ADDRESS, peer, address, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_add_address_async(weft_node *node, const weft_key *peer, const char *address,
                                     weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_address(node, WF_PEER_ADD_ADDRESS, peer, address, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

weft_err weft_peer_remove_address(weft_node *node, const weft_key *peer, const char *address,
                                  weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_address(node, WF_PEER_REMOVE_ADDRESS, peer, address, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_remove_address_async(weft_node *node, const weft_key *peer, const char *address,
                                        weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_address(node, WF_PEER_REMOVE_ADDRESS, peer, address, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

static weft_err make_relate(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                            const weft_id *tree, struct wf_peer_req **out)
{
    if (peer == NULL || tree == NULL) return WEFT_INVALID;
    weft_err err = make(node, op, peer, out);
    if (err == WEFT_OK) (*out)->tree = *tree;
    return err;
}

weft_err weft_peer_relate(weft_node *node, const weft_key *peer, const weft_id *tree,
                          weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_relate(node, WF_PEER_RELATE, peer, tree, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_relate_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                                weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_relate(node, WF_PEER_RELATE, peer, tree, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

weft_err weft_peer_unrelate(weft_node *node, const weft_key *peer, const weft_id *tree,
                            weft_ns timeout)
{
    struct wf_peer_req *req;
    weft_err err = make_relate(node, WF_PEER_UNRELATE, peer, tree, &req);
    return err != WEFT_OK ? err : ask(node, req, timeout, NULL);
}

weft_err weft_peer_unrelate_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                                  weft_on_result done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_relate(node, WF_PEER_UNRELATE, peer, tree, &req);
    return err != WEFT_OK ? err : begin_change(node, req, done, arg);
}

/* -- Look-ups ----------------------------------------------------------------------------------- */

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

/* Asynchronous look-ups: `tree` and `peer` may be NULL where the look-up needs none. */
static weft_err begin_look(weft_node *node, enum wf_peer_op op, const weft_key *peer,
                           const weft_id *tree, struct completion how)
{
    struct wf_peer_req *req;
    weft_err err = make(node, op, peer, &req);
    if (err != WEFT_OK) return err;
    if (tree != NULL) req->tree = *tree;
    return begin(node, req, how);
}

weft_err weft_peer_get_async(weft_node *node, const weft_key *peer, weft_on_peer done, void *arg)
{
    if (peer == NULL) return WEFT_INVALID;
    return begin_look(node, WF_PEER_GET, peer, NULL, (struct completion){.row = done, .arg = arg});
}

weft_err weft_peer_list_async(weft_node *node, weft_on_keys done, void *arg)
{
    return begin_look(node, WF_PEER_LIST, NULL, NULL,
                      (struct completion){.keys = done, .arg = arg});
}

weft_err weft_peer_trees_async(weft_node *node, const weft_key *peer, weft_on_ids done, void *arg)
{
    if (peer == NULL) return WEFT_INVALID;
    return begin_look(node, WF_PEER_TREES, peer, NULL,
                      (struct completion){.ids = done, .arg = arg});
}

weft_err weft_tree_peers_async(weft_node *node, const weft_id *tree, weft_on_keys done, void *arg)
{
    if (tree == NULL) return WEFT_INVALID;
    return begin_look(node, WF_PEER_TREE_PEERS, NULL, tree,
                      (struct completion){.keys = done, .arg = arg});
}
