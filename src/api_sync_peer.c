/* SPDX-License-Identifier: Apache-2.0
 * api_sync_peer.c - handles of trees that are kept with a peer (weft/ticket.h).
 * Called by: users. May touch: messages to the engine.
 * Never: tries anything; the engine does (sync/declared.c). */
#include <weft/ticket.h>

#include <string.h>

#include "alloc.h"
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

weft_err weft_sync_peer_open(weft_node *node, const weft_sync_peer_spec *spec, weft_ns timeout,
                             weft_sync_peer **out)
{
    struct wf_cmd *cmd;
    if (node == NULL || spec == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = check(node, spec);
    if (err != WEFT_OK) return err;
    weft_sync_peer *handle = wf_calloc(1, sizeof *handle);
    if (handle == NULL) return WEFT_NO_MEMORY;
    err = make_declare(node, spec, &cmd);
    if (err != WEFT_OK) goto done;
    err = wf_api_call(node, cmd, timeout, &cmd);
    if (err == WEFT_OK) {
        *handle = (weft_sync_peer){node, spec->peer, spec->tree, cmd->end};
        cmd->end = NULL;
        *out = handle;
        handle = NULL;
    }
    if (cmd != NULL) weft_drop(&cmd->req.msg);
done:
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

static weft_err ask(weft_sync_peer *handle, enum wf_cmd_op op, weft_ns timeout, struct wf_cmd **out)
{
    struct wf_cmd *cmd = wf_cmd_create(op);
    if (cmd == NULL) return WEFT_NO_MEMORY;
    cmd->peer = handle->peer;
    cmd->has_peer = true;
    cmd->tree = handle->tree;
    return wf_api_call(handle->node, cmd, timeout, out);
}

weft_err weft_sync_peer_status(weft_sync_peer *handle, weft_ns timeout, weft_sync_status *out)
{
    struct wf_cmd *cmd = NULL;
    if (handle == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = ask(handle, WF_CMD_DECLARED_STATUS, timeout, &cmd);
    if (err == WEFT_OK) *out = cmd->status;
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    return err;
}

weft_err weft_sync_peer_wait(weft_sync_peer *handle, weft_ns timeout)
{
    return handle == NULL ? WEFT_INVALID : ask(handle, WF_CMD_DECLARED_WAIT, timeout, NULL);
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
