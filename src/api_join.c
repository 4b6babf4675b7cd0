/* SPDX-License-Identifier: Apache-2.0
 * api_join.c - public calls about joining trees (weft/join.h).
 * Called by: users. May touch: messages to the actor `access`.
 * Never: decides about a request. */
#include <weft/join.h>

#include <string.h>

#include "alloc.h"
#include "api_async.h"
#include "joining.h"
#include "utf8.h"

/* -- Making and answering --------------------------------------------------------------- */

/* A request with a copy of the pair, if there is one. */
static weft_err make(weft_node *node, enum wf_join_op op, const weft_keypair *pair,
                     struct wf_join_req **out)
{
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_join_req *req = wf_join_req_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    weft_err err = pair == NULL ? WEFT_OK : wf_join_pair_copy(pair, &req->pair);
    if (err == WEFT_OK) *out = req;
    else weft_drop(&req->req.msg);
    return err;
}

/* Takes req. *out (may be NULL) is the answered request, also when it failed. */
static weft_err call(weft_node *node, struct wf_join_req *req, weft_ns timeout,
                     struct wf_join_req **out)
{
    weft_request *answer = NULL;
    if (out != NULL) *out = NULL;
    if (wf_in_actor()) {
        weft_drop(&req->req.msg);
        return WEFT_DEADLK;
    }
    weft_err err = wf_node_call(node, node->table.access, &req->req, timeout,
                                out == NULL ? NULL : &answer);
    if (out != NULL) *out = (struct wf_join_req *)answer;
    return err;
}

static void tell_join(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_join_req *req = (const struct wf_join_req *)request;
    bool said = req != NULL && (err == WEFT_OK || err == WEFT_AWAITING);
    ((weft_on_join)done)(arg, err, said ? &req->outcome : NULL);
}

static void tell_joins(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_join_req *req = (const struct wf_join_req *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_joins)done)(arg, err, ok ? req->joins : NULL, ok ? req->count : 0);
}

/* Takes req, also when it fails. */
static weft_err begin(weft_node *node, struct wf_join_req *req, weft_on_result done, void *arg)
{
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

static weft_err begin_join(weft_node *node, struct wf_join_req *req, weft_ns timeout,
                           weft_on_join done, void *arg)
{
    return wf_api_later(node, node->table.access, &req->req, timeout, tell_join, (wf_api_done)done,
                        arg);
}

static weft_err begin_look(weft_node *node, struct wf_join_req *req, weft_on_joins done, void *arg)
{
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, tell_joins,
                        (wf_api_done)done, arg);
}

/* -- Where the tree is served ----------------------------------------------------------- */

static weft_err make_mode(weft_node *node, const weft_id *tree, weft_join_mode mode,
                          const weft_keypair *admin, weft_right right, uint32_t priority,
                          struct wf_join_req **out)
{
    bool automatic = mode == WEFT_JOIN_AUTO;
    if (tree == NULL || (unsigned)mode > WEFT_JOIN_AUTO) return WEFT_INVALID;
    if (automatic &&
        (admin == NULL || right == WEFT_RIGHT_NONE || (unsigned)right > WEFT_RIGHT_ADMIN))
        return WEFT_INVALID;
    weft_err err = make(node, WF_JOIN_MODE, automatic ? admin : NULL, out);
    if (err != WEFT_OK) return err;
    (*out)->tree = *tree;
    (*out)->mode = mode;
    (*out)->right = right;
    (*out)->priority = priority;
    return WEFT_OK;
}

weft_err weft_join_mode_set(weft_node *node, const weft_id *tree, weft_join_mode mode,
                            const weft_keypair *admin, weft_right right, uint32_t priority,
                            weft_ns timeout)
{
    struct wf_join_req *req;
    weft_err err = make_mode(node, tree, mode, admin, right, priority, &req);
    return err != WEFT_OK ? err : call(node, req, timeout, NULL);
}

weft_err weft_join_mode_set_async(weft_node *node, const weft_id *tree, weft_join_mode mode,
                                  const weft_keypair *admin, weft_right right, uint32_t priority,
                                  weft_on_result done, void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_mode(node, tree, mode, admin, right, priority, &req);
    return err != WEFT_OK ? err : begin(node, req, done, arg);
}

static weft_err make_list(weft_node *node, weft_join_state state, struct wf_join_req **out)
{
    if ((unsigned)state > WEFT_JOIN_EXPIRED) return WEFT_INVALID;
    weft_err err = make(node, WF_JOIN_LIST, NULL, out);
    if (err == WEFT_OK) (*out)->state = state;
    return err;
}

weft_err weft_join_list(weft_node *node, weft_join_state state, weft_ns timeout,
                        weft_join_request *out, size_t *count)
{
    struct wf_join_req *req;
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = make_list(node, state, &req);
    if (err != WEFT_OK) return err;
    err = call(node, req, timeout, &req);
    if (err == WEFT_OK) {
        size_t take = req->count < *count ? req->count : *count;
        if (take != 0) memcpy(out, req->joins, take * sizeof *out);
        err = req->count > *count ? WEFT_LIMIT : WEFT_OK;
        *count = take;
    }
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

weft_err weft_join_list_async(weft_node *node, weft_join_state state, weft_on_joins done, void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_list(node, state, &req);
    return err != WEFT_OK ? err : begin_look(node, req, done, arg);
}

static weft_err make_get(weft_node *node, const uint8_t id[16], struct wf_join_req **out)
{
    weft_err err = id == NULL ? WEFT_INVALID : make(node, WF_JOIN_GET, NULL, out);
    if (err == WEFT_OK) memcpy((*out)->id, id, sizeof(*out)->id);
    return err;
}

weft_err weft_join_get(weft_node *node, const uint8_t id[16], weft_ns timeout,
                       weft_join_request *out)
{
    struct wf_join_req *req;
    weft_err err = out == NULL ? WEFT_INVALID : make_get(node, id, &req);
    if (err != WEFT_OK) return err;
    err = call(node, req, timeout, &req);
    if (err == WEFT_OK) *out = req->joins[0];
    if (req != NULL) weft_drop(&req->req.msg);
    return err;
}

weft_err weft_join_get_async(weft_node *node, const uint8_t id[16], weft_on_joins done, void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_get(node, id, &req);
    return err != WEFT_OK ? err : begin_look(node, req, done, arg);
}

static weft_err make_decision(weft_node *node, enum wf_join_op op, const uint8_t id[16],
                              const weft_keypair *admin, struct wf_join_req **out)
{
    if (id == NULL || admin == NULL) return WEFT_INVALID;
    weft_err err = make(node, op, admin, out);
    if (err == WEFT_OK) memcpy((*out)->id, id, sizeof(*out)->id);
    return err;
}

static weft_err decide(weft_node *node, enum wf_join_op op, const uint8_t id[16],
                       const weft_keypair *admin, weft_ns timeout)
{
    struct wf_join_req *req;
    weft_err err = make_decision(node, op, id, admin, &req);
    return err != WEFT_OK ? err : call(node, req, timeout, NULL);
}

static weft_err begin_decision(weft_node *node, enum wf_join_op op, const uint8_t id[16],
                               const weft_keypair *admin, weft_on_result done, void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_decision(node, op, id, admin, &req);
    if (err != WEFT_OK) return err;
    return begin(node, req, done, arg);
}

weft_err weft_join_approve(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                           weft_ns timeout)
{
    return decide(node, WF_JOIN_APPROVE, id, admin, timeout);
}

weft_err weft_join_approve_async(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                                 weft_on_result done, void *arg)
{
    return begin_decision(node, WF_JOIN_APPROVE, id, admin, done, arg);
}

weft_err weft_join_reject(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                          weft_ns timeout)
{
    return decide(node, WF_JOIN_REJECT, id, admin, timeout);
}

weft_err weft_join_reject_async(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                                weft_on_result done, void *arg)
{
    return begin_decision(node, WF_JOIN_REJECT, id, admin, done, arg);
}

/* -- Where somebody wants in ------------------------------------------------------------ */

weft_err wf_api_check_join(const weft_join_spec *spec)
{
    if (spec == NULL || spec->name == NULL || (spec->meta == NULL && spec->meta_len != 0))
        return WEFT_INVALID;
    size_t len = strnlen(spec->name, WEFT_KEY_NAME_BYTES_MAX + 1);
    if (len == 0 || len > WEFT_KEY_NAME_BYTES_MAX ||
        !wf_utf8_valid((const uint8_t *)spec->name, len))
        return WEFT_INVALID;
    return (unsigned)spec->right > WEFT_RIGHT_ADMIN || spec->meta_len > WEFT_JOIN_META_BYTES_MAX
               ? WEFT_INVALID
               : WEFT_OK;
}

weft_err wf_api_make_join(weft_node *node, const weft_key *server, const weft_join_spec *spec,
                          struct wf_join_req **out)
{
    weft_err err = wf_api_check_join(spec);
    if (err == WEFT_OK) err = make(node, WF_JOIN_ASK, spec->key, out);
    if (err != WEFT_OK) return err;
    struct wf_join_req *req = *out;
    req->tree = spec->tree;
    req->right = spec->right;
    req->priority = spec->right >= WEFT_RIGHT_WRITE ? spec->priority : 0;
    memcpy(req->name, spec->name, strlen(spec->name));
    req->has_server = server != NULL;
    if (server != NULL) req->server = *server;
    req->key = node->table.self;
    if (req->pair != NULL) weft_keypair_public(req->pair, &req->key);
    req->meta_len = (uint32_t)spec->meta_len;
    if (spec->meta_len > 0) memcpy(req->meta, spec->meta, spec->meta_len);
    return WEFT_OK;
}

static weft_err make_ask(weft_node *node, const char *address, const weft_key *server,
                         const weft_join_spec *spec, struct wf_join_req **out)
{
    if (address == NULL) return WEFT_INVALID;
    size_t len = strnlen(address, WEFT_ADDRESS_BYTES_MAX);
    weft_err err = wf_api_check_join(spec);
    if (err != WEFT_OK) return err;
    if (len == 0 || len == WEFT_ADDRESS_BYTES_MAX) return WEFT_ADDRESS;
    err = wf_api_make_join(node, server, spec, out);
    if (err == WEFT_OK) memcpy((*out)->address, address, len);
    return err;
}

static weft_err call_outcome(weft_node *node, struct wf_join_req *req, weft_ns timeout,
                             weft_join_outcome *out)
{
    weft_err err = call(node, req, timeout, &req);
    if (req == NULL) return err;
    if (out != NULL && (err == WEFT_OK || err == WEFT_AWAITING)) *out = req->outcome;
    weft_drop(&req->req.msg);
    return err;
}

weft_err weft_tree_join(weft_node *node, const char *address, const weft_key *server,
                        const weft_join_spec *spec, weft_ns timeout, weft_join_outcome *out)
{
    struct wf_join_req *req;
    weft_err err = make_ask(node, address, server, spec, &req);
    return err != WEFT_OK ? err : call_outcome(node, req, timeout, out);
}

weft_err weft_tree_join_async(weft_node *node, const char *address, const weft_key *server,
                              const weft_join_spec *spec, weft_ns timeout, weft_on_join done,
                              void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_ask(node, address, server, spec, &req);
    if (err != WEFT_OK) return err;
    return begin_join(node, req, timeout, done, arg);
}

static weft_err make_check(weft_node *node, const weft_id *tree, const weft_key *key,
                           struct wf_join_req **out)
{
    weft_err err = tree == NULL ? WEFT_INVALID : make(node, WF_JOIN_CHECK, NULL, out);
    if (err != WEFT_OK) return err;
    (*out)->tree = *tree;
    (*out)->key = key != NULL ? *key : node->table.self;
    return WEFT_OK;
}

weft_err weft_tree_join_check(weft_node *node, const weft_id *tree, const weft_key *key,
                              weft_ns timeout, weft_join_outcome *out)
{
    struct wf_join_req *req;
    weft_err err = make_check(node, tree, key, &req);
    return err != WEFT_OK ? err : call_outcome(node, req, timeout, out);
}

weft_err weft_tree_join_check_async(weft_node *node, const weft_id *tree, const weft_key *key,
                                    weft_ns timeout, weft_on_join done, void *arg)
{
    struct wf_join_req *req;
    weft_err err = make_check(node, tree, key, &req);
    return err != WEFT_OK ? err : begin_join(node, req, timeout, done, arg);
}
