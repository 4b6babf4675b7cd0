/* SPDX-License-Identifier: Apache-2.0
 * api_history.c - public calls about what is remembered of peers (weft/history.h).
 * Called by: users. May touch: messages to the peer manager and the queue,
 * reads of the store.
 * Never: the registry itself. */
#include <weft/history.h>

#include <string.h>

#include "api_async.h"
#include "queue.h"

static weft_err make(const weft_node *node, enum wf_peer_op op, const weft_key *peer,
                     struct wf_peer_req **out)
{
    if (node == NULL) return WEFT_INVALID;
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

/* Takes req. */
static weft_err begin(weft_node *node, struct wf_peer_req *req, wf_api_tell tell, wf_api_done done,
                      void *arg)
{
    return wf_api_later(node, node->table.peers, &req->req, WEFT_NEVER, tell, done, arg);
}

/* -- Addresses -------------------------------------------------------------------------------- */

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
    if (peer == NULL || count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_ADDRESSES, peer, &req);
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

static void tell_addresses(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_peer_req *req = (const struct wf_peer_req *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_addresses)done)(arg, err, ok ? req->about : NULL, ok ? req->count : 0);
}

weft_err weft_peer_addresses_async(weft_node *node, const weft_key *peer, weft_on_addresses done,
                                   void *arg)
{
    struct wf_peer_req *req;
    weft_err err = peer == NULL ? WEFT_INVALID : make(node, WF_PEER_ADDRESSES, peer, &req);
    return err != WEFT_OK ? err : begin(node, req, tell_addresses, (wf_api_done)done, arg);
}

/* -- Syncs ------------------------------------------------------------------------------------ */

/* Hands a list over into the caller's room. */
static weft_err hand_over(const void *from, size_t size, size_t have, void *out, size_t *count)
{
    size_t take = have < *count ? have : *count;
    if (take != 0) memcpy(out, from, take * size);
    weft_err err = have > *count ? WEFT_LIMIT : WEFT_OK;
    *count = take;
    return err;
}

weft_err weft_history(weft_node *node, const weft_key *peer, weft_ns timeout, weft_sync_record *out,
                      size_t *count)
{
    struct wf_peer_req *req;
    if (peer == NULL || count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_HISTORY, peer, &req);
    if (err != WEFT_OK) return err;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK) err = hand_over(req->syncs, sizeof *out, req->count, out, count);
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

static void tell_syncs(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_peer_req *req = (const struct wf_peer_req *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_syncs)done)(arg, err, ok ? req->syncs : NULL, ok ? req->count : 0);
}

weft_err weft_history_async(weft_node *node, const weft_key *peer, weft_on_syncs done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = peer == NULL ? WEFT_INVALID : make(node, WF_PEER_HISTORY, peer, &req);
    return err != WEFT_OK ? err : begin(node, req, tell_syncs, (wf_api_done)done, arg);
}

static weft_err make_trim(const weft_node *node, int64_t before_ms, struct wf_peer_req **out)
{
    weft_err err = make(node, WF_PEER_TRIM, NULL, out);
    if (err == WEFT_OK) (*out)->before_ms = before_ms;
    return err;
}

weft_err weft_history_trim(weft_node *node, int64_t before_ms, weft_ns timeout, uint64_t *removed)
{
    struct wf_peer_req *req;
    weft_err err = make_trim(node, before_ms, &req);
    if (err != WEFT_OK) return err;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK && removed != NULL) *removed = req->count;
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

static void tell_count(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_peer_req *req = (const struct wf_peer_req *)request;
    ((weft_on_count)done)(arg, err, err == WEFT_OK ? req->count : 0);
}

weft_err weft_history_trim_async(weft_node *node, int64_t before_ms, weft_on_count done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make_trim(node, before_ms, &req);
    return err != WEFT_OK ? err : begin(node, req, tell_count, (wf_api_done)done, arg);
}

weft_err weft_peers_with_history(weft_node *node, weft_ns timeout, weft_key *out, size_t *count)
{
    struct wf_peer_req *req;
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_REMEMBERED, NULL, &req);
    if (err != WEFT_OK) return err;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK) err = hand_over(req->keys, sizeof *out, req->count, out, count);
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

static void tell_keys(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_peer_req *req = (const struct wf_peer_req *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_keys)done)(arg, err, ok ? req->keys : NULL, ok ? req->count : 0);
}

weft_err weft_peers_with_history_async(weft_node *node, weft_on_keys done, void *arg)
{
    struct wf_peer_req *req;
    weft_err err = make(node, WF_PEER_REMEMBERED, NULL, &req);
    return err != WEFT_OK ? err : begin(node, req, tell_keys, (wf_api_done)done, arg);
}

/* -- A pair ----------------------------------------------------------------------------------- */

/* Up to where the peer has acknowledged our arrivals: the queue knows. */
static weft_err ask_acked(weft_node *node, const weft_key *peer, const weft_id *tree,
                          weft_ns timeout, uint64_t *out)
{
    struct wf_q_pairs *pairs = wf_q_new(&wf_q_pairs_kind);
    if (pairs == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_node_call(node, node->table.queue, &pairs->req, timeout,
                                (weft_request **)&pairs);
    for (uint32_t i = 0; err == WEFT_OK && i < pairs->count; i++)
        if (weft_key_equal(&pairs->pairs[i].peer, peer) &&
            weft_id_equal(&pairs->pairs[i].tree, tree))
            *out = pairs->pairs[i].acked_seq;
    if (pairs != NULL) weft_drop(&pairs->req.msg);
    return err;
}

weft_err weft_pair_get(weft_node *node, const weft_key *peer, const weft_id *tree, weft_ns timeout,
                       weft_pair_info *out)
{
    struct wf_peer_req *req;
    wf_tree_info info;
    wf_mark mark;
    weft_pair_info found = {0};
    if (peer == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = make(node, WF_PEER_PAIR, peer, &req);
    if (err != WEFT_OK) return err;
    req->tree = *tree;
    err = ask(node, req, timeout, &req);
    if (err == WEFT_OK) found = req->pair;
    if (req != NULL) weft_drop(&req->req.msg);
    if (err == WEFT_OK) err = wf_store_tree(node->table.wf_store, tree, &info);
    if (err == WEFT_OK) err = ask_acked(node, peer, tree, timeout, &found.acked_seq);
    if (err != WEFT_OK) return err;
    err = wf_store_cursor(node->table.wf_store, peer, info.t, &mark);
    if (err == WEFT_OK) found.their_seq = mark.seq;
    if (err == WEFT_OK || err == WEFT_NOT_FOUND) *out = found;
    return err == WEFT_NOT_FOUND ? WEFT_OK : err;
}
