/* SPDX-License-Identifier: Apache-2.0
 * api_settings.c - public calls about who tracks a tree, and about the node's own settings
 * (weft/access.h).
 * Called by: users. May touch: messages to the access actor; reads of the store.
 * Never: decides what settings come to. */
#include <string.h>

#include <weft/access.h>

#include "access_actor.h"
#include "alloc.h"
#include "api_async.h"
#include "records.h"

static weft_err make(weft_node *node, enum wf_access_op op, const weft_id *tree,
                     const weft_key *principal, struct wf_access_req **out)
{
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_access_req *req = wf_access_req_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    if (tree != NULL) req->tree = *tree;
    if (principal != NULL) req->principal = *principal;
    *out = req;
    return WEFT_OK;
}

/* Takes `req`; *out (may be NULL) is the answered one. */
static weft_err ask(weft_node *node, struct wf_access_req *req, weft_ns timeout,
                    struct wf_access_req **out)
{
    weft_request *answer = NULL;
    if (wf_in_actor()) {
        weft_drop(&req->req.msg);
        return WEFT_DEADLK;
    }
    weft_err err = wf_node_call(node, node->table.access, &req->req, timeout,
                                out == NULL ? NULL : &answer);
    if (out != NULL) *out = (struct wf_access_req *)answer;
    return err;
}

/* Takes `req`. */
static weft_err begin(weft_node *node, struct wf_access_req *req, weft_on_result done, void *arg)
{
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

static void tell_settings(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_access_req *req = (const struct wf_access_req *)request;
    ((weft_on_settings)done)(arg, err, err == WEFT_OK ? &req->settings : NULL);
}

static weft_err begin_look(weft_node *node, struct wf_access_req *req, weft_on_settings done,
                           void *arg)
{
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, tell_settings,
                        (wf_api_done)done, arg);
}

static weft_err ask_settings(weft_node *node, struct wf_access_req *req, weft_ns timeout,
                             weft_sync_settings *out)
{
    struct wf_access_req *answer = NULL;
    weft_err err = ask(node, req, timeout, &answer);
    if (err == WEFT_OK) *out = answer->settings;
    weft_drop(answer == NULL ? NULL : &answer->req.msg);
    return err;
}

/* -- Trees ------------------------------------------------------------------------------ */

static weft_err make_put(weft_node *node, const weft_id *tree, const weft_key *principal,
                         const weft_sync_settings *settings, struct wf_access_req **out)
{
    if (tree == NULL || settings == NULL) return WEFT_INVALID;
    weft_err err = make(node, WF_ACC_PUT, tree, principal, out);
    if (err == WEFT_OK) (*out)->settings = *settings;
    return err;
}

weft_err weft_settings_put(weft_node *node, const weft_id *tree, const weft_key *principal,
                           const weft_sync_settings *settings, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_put(node, tree, principal, settings, &req);
    return err == WEFT_OK ? ask(node, req, timeout, NULL) : err;
}

weft_err weft_settings_put_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                 const weft_sync_settings *settings, weft_on_result done, void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_put(node, tree, principal, settings, &req);
    return err == WEFT_OK ? begin(node, req, done, arg) : err;
}

static weft_err make_enable(weft_node *node, const weft_id *tree, const weft_key *principal,
                            bool on, struct wf_access_req **out)
{
    weft_err err = tree == NULL ? WEFT_INVALID : make(node, WF_ACC_ENABLE, tree, principal, out);
    if (err == WEFT_OK) (*out)->on = on;
    return err;
}

weft_err weft_settings_enable(weft_node *node, const weft_id *tree, const weft_key *principal,
                              bool on, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_enable(node, tree, principal, on, &req);
    return err == WEFT_OK ? ask(node, req, timeout, NULL) : err;
}

weft_err weft_settings_enable_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                    bool on, weft_on_result done, void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_enable(node, tree, principal, on, &req);
    return err == WEFT_OK ? begin(node, req, done, arg) : err;
}

/* A request about a tree and nothing more. */
static weft_err make_of(weft_node *node, enum wf_access_op op, const weft_id *tree,
                        const weft_key *principal, struct wf_access_req **out)
{
    return tree == NULL ? WEFT_INVALID : make(node, op, tree, principal, out);
}

weft_err weft_settings_remove(weft_node *node, const weft_id *tree, const weft_key *principal,
                              weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_of(node, WF_ACC_REMOVE, tree, principal, &req);
    return err == WEFT_OK ? ask(node, req, timeout, NULL) : err;
}

weft_err weft_settings_remove_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                    weft_on_result done, void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_of(node, WF_ACC_REMOVE, tree, principal, &req);
    return err == WEFT_OK ? begin(node, req, done, arg) : err;
}

weft_err weft_settings_get(weft_node *node, const weft_id *tree, const weft_key *principal,
                           weft_ns timeout, weft_sync_settings *out)
{
    struct wf_access_req *req;
    weft_err err = out == NULL ? WEFT_INVALID : make_of(node, WF_ACC_GET, tree, principal, &req);
    return err == WEFT_OK ? ask_settings(node, req, timeout, out) : err;
}

weft_err weft_settings_get_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                 weft_on_settings done, void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_of(node, WF_ACC_GET, tree, principal, &req);
    return err == WEFT_OK ? begin_look(node, req, done, arg) : err;
}

weft_err weft_settings_combined(weft_node *node, const weft_id *tree, weft_ns timeout,
                                weft_sync_settings *out)
{
    struct wf_access_req *req;
    weft_err err = out == NULL ? WEFT_INVALID : make_of(node, WF_ACC_COMBINED, tree, NULL, &req);
    return err == WEFT_OK ? ask_settings(node, req, timeout, out) : err;
}

weft_err weft_settings_combined_async(weft_node *node, const weft_id *tree, weft_on_settings done,
                                      void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_of(node, WF_ACC_COMBINED, tree, NULL, &req);
    return err == WEFT_OK ? begin_look(node, req, done, arg) : err;
}

/* -- Principals ------------------------------------------------------------------------- */

static weft_err make_sync(weft_node *node, const weft_key *principal, const weft_tracked *list,
                          uint32_t count, struct wf_access_req **out)
{
    if (node == NULL || (list == NULL && count != 0)) return WEFT_INVALID;
    if (count > WEFT_TRACKS_MAX) return WEFT_LIMIT;
    struct wf_access_req *req;
    weft_err err = make(node, WF_ACC_SYNC, NULL, principal, &req);
    if (err != WEFT_OK) return err;
    if (count > 0) req->tracked = wf_memdup(list, count * sizeof *list);
    if (count > 0 && req->tracked == NULL) {
        weft_drop(&req->req.msg);
        return WEFT_NO_MEMORY;
    }
    req->tracked_count = count;
    *out = req;
    return WEFT_OK;
}

weft_err weft_principal_sync(weft_node *node, const weft_key *principal, const weft_tracked *list,
                             uint32_t count, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_sync(node, principal, list, count, &req);
    return err == WEFT_OK ? ask(node, req, timeout, NULL) : err;
}

weft_err weft_principal_sync_async(weft_node *node, const weft_key *principal,
                                   const weft_tracked *list, uint32_t count, weft_on_result done,
                                   void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_sync(node, principal, list, count, &req);
    return err == WEFT_OK ? begin(node, req, done, arg) : err;
}

weft_err weft_principal_trees(weft_node *node, const weft_key *principal, weft_ns timeout,
                              weft_id *out, size_t *count)
{
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    struct wf_access_req *req, *answer = NULL;
    weft_err err = make(node, WF_ACC_TREES, NULL, principal, &req);
    if (err == WEFT_OK) err = ask(node, req, timeout, &answer);
    if (err == WEFT_OK) {
        size_t n = answer->count < *count ? answer->count : *count;
        if (n > 0) memcpy(out, answer->ids, n * sizeof *out);
        if (answer->count > *count) err = WEFT_LIMIT;
        *count = n;
    }
    weft_drop(answer == NULL ? NULL : &answer->req.msg);
    return err;
}

static void tell_trees(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_access_req *req = (const struct wf_access_req *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_ids)done)(arg, err, ok ? req->ids : NULL, ok ? req->count : 0);
}

weft_err weft_principal_trees_async(weft_node *node, const weft_key *principal, weft_on_ids done,
                                    void *arg)
{
    struct wf_access_req *req;
    weft_err err = make(node, WF_ACC_TREES, NULL, principal, &req);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, tell_trees,
                        (wf_api_done)done, arg);
}

/* -- The node's own settings ------------------------------------------------------------ */

static bool key_fits(const char *key, size_t *len)
{
    if (key == NULL) return false;
    *len = strnlen(key, WEFT_SETTING_KEY_BYTES_MAX + 1);
    return *len > 0 && *len <= WEFT_SETTING_KEY_BYTES_MAX;
}

static weft_err make_set(weft_node *node, const char *key, const char *value,
                         struct wf_access_req **out)
{
    size_t key_len, len = 0;
    if (node == NULL || !key_fits(key, &key_len)) return WEFT_INVALID;
    if (value != NULL) len = strnlen(value, WEFT_SETTING_VALUE_BYTES_MAX + 1);
    if (len > WEFT_SETTING_VALUE_BYTES_MAX) return WEFT_INVALID;
    weft_err err = make(node, WF_ACC_SETTING, NULL, NULL, out);
    if (err != WEFT_OK) return err;
    memcpy((*out)->key, key, key_len);
    (*out)->on = value != NULL;
    if (value != NULL) memcpy((*out)->value, value, len);
    return WEFT_OK;
}

weft_err weft_setting_set(weft_node *node, const char *key, const char *value, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_set(node, key, value, &req);
    return err == WEFT_OK ? ask(node, req, timeout, NULL) : err;
}

weft_err weft_setting_set_async(weft_node *node, const char *key, const char *value,
                                weft_on_result done, void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_set(node, key, value, &req);
    return err == WEFT_OK ? begin(node, req, done, arg) : err;
}

weft_err weft_setting_get(weft_node *node, const char *key, char *out, size_t *len)
{
    size_t key_len, got = WEFT_SETTING_VALUE_BYTES_MAX;
    if (node == NULL || len == NULL || (out == NULL && *len != 0) || !key_fits(key, &key_len))
        return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    uint8_t name[1 + WEFT_SETTING_KEY_BYTES_MAX] = {WF_REC_SETTING};
    char value[WEFT_SETTING_VALUE_BYTES_MAX + 1] = {0};
    memcpy(name + 1, key, key_len);
    weft_err err = wf_store_record_get(node->table.wf_store, WF_CF_PEER, name, 1 + key_len,
                                       (uint8_t *)value, &got);
    if (err != WEFT_OK) return err == WEFT_LIMIT ? WEFT_CORRUPT : err;
    if (got + 1 > *len) err = WEFT_LIMIT;
    else memcpy(out, value, got + 1);
    *len = got + 1;
    return err;
}
