/* SPDX-License-Identifier: Apache-2.0
 * api_command.c - the commands of the sync engine, blocking and asynchronous; how they are asked.
 * Called by: users (weft/node.h). May touch: messages to the engine.
 * Never: decides anything; it checks arguments and waits. */
#include <string.h>

#include "alloc.h"
#include "api_command.h"
#include "engine.h"

/* -- Making and answering ---------------------------------------------------------- */

weft_err wf_api_text(char *out, size_t room, const char *text)
{
    if (text == NULL) return WEFT_OK;
    size_t len = strlen(text);
    if (len >= room) return WEFT_INVALID;
    memcpy(out, text, len);
    return WEFT_OK;
}

weft_err wf_api_make(weft_node *node, enum wf_cmd_op op, struct wf_cmd **out)
{
    if (node == NULL) return WEFT_INVALID;
    struct wf_cmd *cmd = wf_cmd_create(op);
    if (cmd == NULL) return WEFT_NO_MEMORY;
    *out = cmd;
    return WEFT_OK;
}

weft_err wf_api_call(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, struct wf_cmd **out)
{
    if (wf_in_actor()) {
        weft_drop(&cmd->req.msg);
        if (out != NULL) *out = NULL;
        return WEFT_DEADLK;
    }
    weft_request *answer = NULL;
    weft_err err = wf_node_call(node, node->table.sync, &cmd->req, timeout,
                                out == NULL ? NULL : &answer);
    if (out != NULL) *out = (struct wf_cmd *)answer;
    return err;
}

weft_err wf_api_call_result(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, weft_result *out)
{
    weft_err err = wf_api_call(node, cmd, timeout, &cmd);
    if (cmd == NULL) return err;
    if (out != NULL) {
        *out = cmd->result;
        out->message = NULL;
    }
    weft_drop(&cmd->req.msg);
    return err;
}

static void on_done(void *arg, weft_err err, weft_request *request)
{
    struct wf_completion c = *(struct wf_completion *)arg;
    wf_free(arg);
    static const weft_result nothing;
    struct wf_cmd *cmd = (struct wf_cmd *)request;
    bool ok = err == WEFT_OK && cmd != NULL;
    if (ok) cmd->result.message = cmd->message;
    if (c.servers != NULL) c.servers(c.arg, err, ok ? cmd->servers : NULL, ok ? cmd->count : 0);
    else if (c.ids != NULL) c.ids(c.arg, err, ok ? cmd->ids : NULL, ok ? cmd->count : 0);
    else c.result(c.arg, err, cmd == NULL ? &nothing : &cmd->result);
    if (cmd != NULL) weft_drop(&cmd->req.msg);
}

weft_err wf_api_begin_how(weft_node *node, struct wf_cmd *cmd, weft_ns timeout,
                          struct wf_completion how)
{
    bool nobody = how.result == NULL && how.servers == NULL && how.ids == NULL;
    struct wf_completion *c = nobody ? NULL : wf_malloc(sizeof *c);
    if (c == NULL) {
        weft_drop(&cmd->req.msg);
        return nobody ? WEFT_INVALID : WEFT_NO_MEMORY;
    }
    *c = how;
    weft_err err = wf_node_ask(node, node->table.sync, &cmd->req, timeout, on_done, c);
    if (err != WEFT_OK) wf_free(c);
    return err;
}

weft_err wf_api_begin(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, weft_on_result done,
                      void *arg)
{
    return wf_api_begin_how(node, cmd, timeout, (struct wf_completion){.result = done, .arg = arg});
}

/* -- C01: exactly these entries ------------------------------------------------------ */

static weft_err make_send(weft_node *node, const weft_key *peer, weft_buf *const *entries,
                          uint32_t count, struct wf_cmd **out)
{
    if (peer == NULL || entries == NULL || count == 0) return WEFT_INVALID;
    if (count > WEFT_IDS_PER_MESSAGE_MAX) return WEFT_LIMIT;
    struct wf_cmd *cmd;
    weft_err err = wf_api_make(node, WF_CMD_SEND_ENTRIES, &cmd);
    if (err != WEFT_OK) return err;
    cmd->peer = *peer;
    cmd->has_peer = true;
    cmd->entries = wf_calloc(count, sizeof(weft_buf *));
    if (cmd->entries == NULL) {
        weft_drop(&cmd->req.msg);
        return WEFT_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        cmd->entries[cmd->entries_count++] = weft_buf_ref(entries[i]);
    *out = cmd;
    return WEFT_OK;
}

weft_err weft_send_entries(weft_node *node, const weft_key *peer, weft_buf *const *entries,
                           uint32_t count, weft_ns timeout, weft_result *out)
{
    struct wf_cmd *cmd;
    weft_err err = make_send(node, peer, entries, count, &cmd);
    return err != WEFT_OK ? err : wf_api_call_result(node, cmd, timeout, out);
}

weft_err weft_send_entries_async(weft_node *node, const weft_key *peer, weft_buf *const *entries,
                                 uint32_t count, weft_ns timeout, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_send(node, peer, entries, count, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

/* -- C02 and one tree ------------------------------------------------------------------- */

static weft_err make_sync(weft_node *node, const weft_key *peer, const weft_id *tree,
                          struct wf_cmd **out)
{
    if (peer == NULL) return WEFT_INVALID;
    weft_err err = wf_api_make(node, tree == NULL ? WF_CMD_SYNC_PEER : WF_CMD_SYNC_TREE, out);
    if (err != WEFT_OK) return err;
    (*out)->peer = *peer;
    (*out)->has_peer = true;
    if (tree != NULL) (*out)->tree = *tree;
    return WEFT_OK;
}

weft_err weft_sync_with_peer(weft_node *node, const weft_key *peer, weft_ns timeout,
                             weft_result *out)
{
    struct wf_cmd *cmd;
    weft_err err = make_sync(node, peer, NULL, &cmd);
    return err != WEFT_OK ? err : wf_api_call_result(node, cmd, timeout, out);
}

weft_err weft_sync_with_peer_async(weft_node *node, const weft_key *peer, weft_ns timeout,
                                   weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_sync(node, peer, NULL, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

weft_err weft_sync_tree(weft_node *node, const weft_key *peer, const weft_id *tree, weft_ns timeout,
                        weft_result *out)
{
    struct wf_cmd *cmd;
    if (tree == NULL) return WEFT_INVALID;
    weft_err err = make_sync(node, peer, tree, &cmd);
    return err != WEFT_OK ? err : wf_api_call_result(node, cmd, timeout, out);
}

weft_err weft_sync_tree_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                              weft_ns timeout, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    if (tree == NULL) return WEFT_INVALID;
    weft_err err = make_sync(node, peer, tree, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

/* -- C09, C10: by address ------------------------------------------------------------------------ */

static weft_err make_addressed(weft_node *node, enum wf_cmd_op op, const char *address,
                               struct wf_cmd **out)
{
    if (address == NULL) return WEFT_INVALID;
    weft_err err = wf_api_make(node, op, out);
    if (err != WEFT_OK) return err;
    err = wf_api_text((*out)->text, sizeof(*out)->text, address);
    if (err == WEFT_OK) return WEFT_OK;
    weft_drop(&(*out)->req.msg);
    return WEFT_ADDRESS;
}

static weft_err make_connect(weft_node *node, const char *address, const weft_key *expect,
                             struct wf_cmd **out)
{
    weft_err err = make_addressed(node, WF_CMD_CONNECT, address, out);
    if (err != WEFT_OK || expect == NULL) return err;
    (*out)->has_peer = true;
    (*out)->peer = *expect;
    return WEFT_OK;
}

weft_err weft_connect(weft_node *node, const char *address, const weft_key *expect, weft_ns timeout,
                      weft_key *out)
{
    struct wf_cmd *cmd;
    weft_result result;
    weft_err err = make_connect(node, address, expect, &cmd);
    if (err == WEFT_OK) err = wf_api_call_result(node, cmd, timeout, &result);
    if (err == WEFT_OK && out != NULL) *out = result.peer;
    return err;
}

weft_err weft_connect_async(weft_node *node, const char *address, const weft_key *expect,
                            weft_ns timeout, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_connect(node, address, expect, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

static weft_err make_request(weft_node *node, const char *address, const void *message, size_t len,
                             struct wf_cmd **out)
{
    if (message == NULL || len == 0 || len > WEFT_MESSAGE_BYTES_MAX) return WEFT_INVALID;
    weft_err err = make_addressed(node, WF_CMD_SEND_REQUEST, address, out);
    if (err != WEFT_OK) return err;
    err = weft_buf_create_copy(message, len, &(*out)->message);
    if (err != WEFT_OK) weft_drop(&(*out)->req.msg);
    return err;
}

weft_err weft_send_request(weft_node *node, const char *address, const void *message, size_t len,
                           weft_ns timeout, weft_buf **out)
{
    struct wf_cmd *cmd;
    if (out == NULL) return WEFT_INVALID;
    weft_err err = make_request(node, address, message, len, &cmd);
    if (err != WEFT_OK) return err;
    err = wf_api_call(node, cmd, timeout, &cmd);
    if (err == WEFT_OK) *out = weft_buf_ref(cmd->message);
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    return err;
}

weft_err weft_send_request_async(weft_node *node, const char *address, const void *message,
                                 size_t len, weft_ns timeout, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_request(node, address, message, len, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

/* -- C11 and offers -------------------------------------------------------------------------------- */

weft_err weft_flush(weft_node *node, weft_ns timeout, weft_result *out)
{
    struct wf_cmd *cmd;
    weft_err err = wf_api_make(node, WF_CMD_FLUSH, &cmd);
    return err != WEFT_OK ? err : wf_api_call_result(node, cmd, timeout, out);
}

weft_err weft_flush_async(weft_node *node, weft_ns timeout, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = wf_api_make(node, WF_CMD_FLUSH, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

weft_err weft_peer_offers(weft_node *node, const weft_key *peer, weft_ns timeout, weft_id *out,
                          size_t *count)
{
    struct wf_cmd *cmd;
    if (peer == NULL || count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = wf_api_make(node, WF_CMD_OFFERS, &cmd);
    if (err != WEFT_OK) return err;
    cmd->peer = *peer;
    cmd->has_peer = true;
    err = wf_api_call(node, cmd, timeout, &cmd);
    if (err == WEFT_OK) {
        size_t take = cmd->count < *count ? cmd->count : *count;
        if (take != 0) memcpy(out, cmd->ids, take * sizeof *out);
        err = cmd->count > *count ? WEFT_LIMIT : WEFT_OK;
        *count = take;
    }
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    return err;
}

weft_err weft_peer_offers_async(weft_node *node, const weft_key *peer, weft_ns timeout,
                                weft_on_ids done, void *arg)
{
    struct wf_cmd *cmd;
    if (peer == NULL) return WEFT_INVALID;
    weft_err err = wf_api_make(node, WF_CMD_OFFERS, &cmd);
    if (err != WEFT_OK) return err;
    cmd->peer = *peer;
    cmd->has_peer = true;
    return wf_api_begin_how(node, cmd, timeout, (struct wf_completion){.ids = done, .arg = arg});
}
