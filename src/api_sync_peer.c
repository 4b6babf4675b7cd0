/* SPDX-License-Identifier: Apache-2.0
 * api_sync_peer.c - handles of trees that are kept with a peer (weft/ticket.h).
 * Called by: users. May touch: messages to the engine.
 * Never: tries anything; the engine does (sync/declared.c). */
#include <weft/ticket.h>

#include <string.h>

#include "alloc.h"
#include "api_async.h"
#include "api_command.h"
#include "joining.h"

struct weft_sync_peer {
    weft_node *node;
    weft_key peer;
    weft_id tree;
    struct wf_declared_note *end; /* made when it was opened, so that its end cannot fail */
};

static weft_err check(const weft_node *node, const weft_sync_peer_spec *spec)
{
    if (weft_key_equal(&spec->peer, &node->table.self)) return WEFT_INVALID;
    if (spec->name != NULL && strlen(spec->name) >= WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_INVALID;
    if (spec->addresses == NULL && spec->addresses_count != 0) return WEFT_INVALID;
    if (spec->addresses_count > WEFT_ADDRESSES_PER_PEER_MAX) return WEFT_LIMIT;
    weft_err err = spec->join == NULL ? WEFT_OK : wf_api_check_join(spec->join);
    for (uint32_t i = 0; err == WEFT_OK && i < spec->addresses_count; i++)
        err = wf_api_check_address(spec->addresses[i]);
    return err;
}

static weft_err make_declare(weft_node *node, const weft_sync_peer_spec *spec, struct wf_cmd **out)
{
    struct wf_cmd *cmd = wf_cmd_create(WF_CMD_DECLARE);
    if (cmd == NULL) return WEFT_NO_MEMORY;
    cmd->peer = spec->peer;
    cmd->has_peer = true;
    cmd->tree = spec->tree;
    cmd->home = weft_addr_get(node->table.sync);
    cmd->end = (struct wf_declared_note *)weft_new(&wf_declared_note_kind);
    cmd->addresses = wf_calloc(spec->addresses_count + 1u, sizeof *cmd->addresses);
    weft_err err = cmd->end == NULL || cmd->addresses == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    if (err == WEFT_OK && spec->join != NULL)
        err = wf_api_make_join(node, &spec->peer, spec->join, &cmd->ask);
    if (err != WEFT_OK) {
        weft_drop(&cmd->req.msg);
        return err;
    }
    if (cmd->ask != NULL) cmd->ask->tree = spec->tree;
    cmd->end->peer = spec->peer;
    cmd->end->tree = spec->tree;
    cmd->end->end = true;
    if (spec->name != NULL) memcpy(cmd->text, spec->name, strlen(spec->name));
    for (; cmd->addresses_count < spec->addresses_count; cmd->addresses_count++) {
        const char *address = spec->addresses[cmd->addresses_count];
        memcpy(cmd->addresses[cmd->addresses_count], address, strlen(address));
    }
    *out = cmd;
    return WEFT_OK;
}

/* A handle, not the caller's yet, and the command that makes it one. */
static weft_err make_handle(weft_node *node, const weft_sync_peer_spec *spec,
                            weft_sync_peer **handle, struct wf_cmd **cmd)
{
    if (node == NULL || spec == NULL) return WEFT_INVALID;
    weft_err err = check(node, spec);
    if (err != WEFT_OK) return err;
    weft_sync_peer *made = wf_calloc(1, sizeof *made);
    if (made == NULL) return WEFT_NO_MEMORY;
    *made = (weft_sync_peer){node, spec->peer, spec->tree, NULL};
    err = make_declare(node, spec, cmd);
    if (err == WEFT_OK) *handle = made;
    else wf_free(made);
    return err;
}

weft_err weft_sync_peer_open(weft_node *node, const weft_sync_peer_spec *spec, weft_ns timeout,
                             weft_sync_peer **out)
{
    struct wf_cmd *cmd;
    weft_sync_peer *handle = NULL;
    weft_err err = out == NULL ? WEFT_INVALID : make_handle(node, spec, &handle, &cmd);
    if (err != WEFT_OK) return err;
    err = wf_api_call(node, cmd, timeout, &cmd);
    if (err == WEFT_OK) {
        handle->end = cmd->end;
        cmd->end = NULL;
        *out = handle;
        handle = NULL;
    }
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    wf_free(handle);
    return err;
}

struct opening {
    weft_sync_peer *handle;
    weft_on_sync_peer done;
    void *arg;
};

static void tell_opened(wf_api_done unused, void *arg, weft_err err, weft_request *request)
{
    struct opening o = *(struct opening *)arg;
    struct wf_cmd *cmd = (struct wf_cmd *)request;
    (void)unused;
    wf_free(arg);
    if (err == WEFT_OK) {
        o.handle->end = cmd->end;
        cmd->end = NULL;
    } else {
        wf_free(o.handle); /* one that was declared all the same ends with the command */
        o.handle = NULL;
    }
    o.done(o.arg, err, o.handle);
}

weft_err weft_sync_peer_open_async(weft_node *node, const weft_sync_peer_spec *spec,
                                   weft_on_sync_peer done, void *arg)
{
    struct wf_cmd *cmd;
    weft_sync_peer *handle = NULL;
    weft_err err = done == NULL ? WEFT_INVALID : make_handle(node, spec, &handle, &cmd);
    if (err != WEFT_OK) return err;
    struct opening *o = wf_malloc(sizeof *o);
    if (o == NULL) {
        weft_drop(&cmd->req.msg);
        wf_free(handle);
        return WEFT_NO_MEMORY;
    }
    *o = (struct opening){handle, done, arg};
    err = wf_api_later(node, node->table.sync, &cmd->req, WEFT_NEVER, tell_opened,
                       (wf_api_done)done, o);
    if (err == WEFT_OK) return WEFT_OK;
    wf_free(o);
    wf_free(handle);
    return err;
}

void weft_sync_peer_close(weft_sync_peer *handle)
{
    if (handle == NULL || !wf_node_is_ours(handle->node)) return;
    if (weft_send(handle->node->table.sync, &handle->end->msg) != WEFT_OK)
        weft_drop(&handle->end->msg); /* the engine has ended, and all of its handles */
    wf_free(handle);
}

static weft_err make(const weft_sync_peer *handle, enum wf_cmd_op op, struct wf_cmd **out)
{
    struct wf_cmd *cmd = handle == NULL ? NULL : wf_cmd_create(op);
    if (cmd == NULL) return handle == NULL ? WEFT_INVALID : WEFT_NO_MEMORY;
    cmd->peer = handle->peer;
    cmd->has_peer = true;
    cmd->tree = handle->tree;
    *out = cmd;
    return WEFT_OK;
}

weft_err weft_sync_peer_status(weft_sync_peer *handle, weft_ns timeout, weft_sync_status *out)
{
    struct wf_cmd *cmd = NULL;
    weft_err err = out == NULL ? WEFT_INVALID : make(handle, WF_CMD_DECLARED_STATUS, &cmd);
    if (err == WEFT_OK) err = wf_api_call(handle->node, cmd, timeout, &cmd);
    if (err == WEFT_OK) *out = cmd->status;
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    return err;
}

static void tell_status(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_cmd *cmd = (const struct wf_cmd *)request;
    ((weft_on_sync_status)done)(arg, err, err == WEFT_OK ? &cmd->status : NULL);
}

weft_err weft_sync_peer_status_async(weft_sync_peer *handle, weft_on_sync_status done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make(handle, WF_CMD_DECLARED_STATUS, &cmd);
    if (err != WEFT_OK) return err;
    weft_node *node = handle->node;
    return wf_api_later(node, node->table.sync, &cmd->req, WEFT_NEVER, tell_status,
                        (wf_api_done)done, arg);
}

weft_err weft_sync_peer_wait(weft_sync_peer *handle, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make(handle, WF_CMD_DECLARED_WAIT, &cmd);
    return err != WEFT_OK ? err : wf_api_call(handle->node, cmd, timeout, NULL);
}

weft_err weft_sync_peer_wait_async(weft_sync_peer *handle, weft_ns timeout, weft_on_result done,
                                   void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make(handle, WF_CMD_DECLARED_WAIT, &cmd);
    if (err != WEFT_OK) return err;
    weft_node *node = handle->node;
    return wf_api_later(node, node->table.sync, &cmd->req, timeout, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

weft_err weft_sync_peer_add_address(weft_sync_peer *handle, const char *address, weft_ns timeout)
{
    if (handle == NULL || address == NULL) return WEFT_INVALID;
    weft_node *node = handle->node;
    weft_err err = weft_peer_add_address(node, &handle->peer, address, timeout);
    if (err != WEFT_OK) return err;
    struct wf_declared_note *note = (struct wf_declared_note *)weft_new(&wf_declared_note_kind);
    if (note == NULL) return WEFT_OK; /* it is tried when its time comes */
    note->peer = handle->peer;
    note->tree = handle->tree;
    if (weft_send(node->table.sync, &note->msg) != WEFT_OK) weft_drop(&note->msg);
    return WEFT_OK;
}

void weft_sync_peer_key(const weft_sync_peer *handle, weft_key *out) { *out = handle->peer; }

void weft_sync_peer_tree(const weft_sync_peer *handle, weft_id *out) { *out = handle->tree; }
