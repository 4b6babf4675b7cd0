/* SPDX-License-Identifier: Apache-2.0
 * api_command.h - how the rooms of the public API ask the engine for a command.
 * Called by: api_command.c, api_net.c, api_sync_peer.c, api_ticket.c. Never: included by a layer. */
#ifndef WF_API_COMMAND_H
#define WF_API_COMMAND_H

#include "engine.h"
#include "node_internal.h"

/* Copies a text that fits (INVALID); NULL leaves `out` as it is. */
weft_err wf_api_text(char *out, size_t room, const char *text);
weft_err wf_api_make(weft_node *node, enum wf_cmd_op op, struct wf_cmd **out);

/* Takes cmd. *out (may be NULL) is the answered command, also when it failed. */
weft_err wf_api_call(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, struct wf_cmd **out);
/* The same, for its result alone. */
weft_err wf_api_call_result(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, weft_result *out);

struct wf_completion { /* one of the first three */
    weft_on_result result;
    weft_on_servers servers;
    weft_on_ids ids;
    void *arg;
};
/* Takes cmd, also when it fails. */
weft_err wf_api_begin_how(weft_node *node, struct wf_cmd *cmd, weft_ns timeout,
                          struct wf_completion how);
weft_err wf_api_begin(weft_node *node, struct wf_cmd *cmd, weft_ns timeout, weft_on_result done,
                      void *arg);

#endif
