/* SPDX-License-Identifier: Apache-2.0
 * api_ticket.c - public calls that make tickets of a node, and follow them (weft/ticket.h).
 * Called by: users. May touch: messages to engine and transport.
 * Never: dials; the engine does (sync/commands_ticket.c). */
#include <weft/access.h>
#include <weft/join.h>
#include <weft/ticket.h>

#include <string.h>

#include "alloc.h"
#include "api_command.h"
#include "transport.h"

/* -- Made of a node ----------------------------------------------------------------------- */

/* Does it say where, or only that it is somewhere on the machine? */
static bool names_an_address(const char *address)
{
    const char *rest = strchr(address, ':') + 1;
    return strncmp(rest, "0.0.0.0:", 8) != 0 && strncmp(rest, "[::]:", 5) != 0;
}

/* NO_TRANSPORT: there is none, and *out is a ticket all the same. */
static weft_err make_ticket(weft_node *node, const weft_id *tree, weft_ns timeout, weft_ticket *out)
{
    if (wf_in_actor()) return WEFT_DEADLK;
    struct wf_tp_addresses *all = wf_tp_new(&wf_tp_addresses_kind);
    if (all == NULL) return WEFT_NO_MEMORY;
    all->all = true;
    weft_err err = wf_node_call(node, node->table.transport, &all->req, timeout,
                                (weft_request **)&all);
    if (err == WEFT_OK) {
        *out = (weft_ticket){.tree = *tree, .has_server = true, .server = node->table.self};
        for (uint32_t i = 0; i < all->count && out->hints_count < WEFT_TICKET_HINTS_MAX; i++)
            if (all->items[i].address[0] != '\0' && names_an_address(all->items[i].address))
                memcpy(out->hints[out->hints_count++], all->items[i].address,
                       WEFT_ADDRESS_BYTES_MAX);
        if (all->count == 0) err = WEFT_NO_TRANSPORT;
    }
    if (all != NULL) weft_drop(&all->req.msg);
    return err;
}

weft_err weft_ticket_create(weft_node *node, const weft_id *tree, weft_ns timeout, weft_ticket *out)
{
    weft_ticket ticket;
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = make_ticket(node, tree, timeout, &ticket);
    if (err == WEFT_NO_TRANSPORT) err = WEFT_OK; /* it names the tree and the key */
    if (err == WEFT_OK) *out = ticket;
    return err;
}

/* How long it is until then. */
static weft_ns rest_of(weft_node *node, weft_ns end)
{
    weft_ns now = weft_rt_now(node->rt);
    return end == WEFT_NEVER ? end : end > now ? end - now : 0;
}

static weft_err enable(weft_node *node, const weft_id *tree, const weft_key *principal,
                       weft_ns timeout)
{
    static const weft_sync_settings fresh = {.enabled = true, .on_commit = true};
    weft_err err = weft_settings_enable(node, tree, principal, true, timeout);
    if (err == WEFT_NOT_FOUND) err = weft_settings_put(node, tree, principal, &fresh, timeout);
    return err;
}

weft_err weft_share(weft_node *node, const weft_id *tree, const weft_key *principal,
                    weft_ns timeout, weft_ticket *out)
{
    weft_tree_info info;
    weft_ticket ticket;
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = weft_tree_info_get(node, tree, &info);
    if (err == WEFT_OK && !info.has_root) err = WEFT_NOT_FOUND;
    if (err != WEFT_OK) return err;
    weft_ns end = weft_rt_after(node->rt, timeout);
    err = make_ticket(node, tree, timeout, &ticket);
    /* The last step is the only one that changes anything. */
    if (err == WEFT_OK) err = enable(node, tree, principal, rest_of(node, end));
    if (err == WEFT_OK) *out = ticket;
    return err;
}

/* -- Followed ----------------------------------------------------------------------------- */

static weft_err make_sync(weft_node *node, enum wf_cmd_op op, const weft_ticket *ticket,
                          struct wf_cmd **out)
{
    size_t len = 0;
    if (node == NULL || ticket == NULL) return WEFT_INVALID;
    if (weft_ticket_write(ticket, NULL, &len) == WEFT_INVALID) return WEFT_INVALID;
    if (ticket->hints_count == 0) return WEFT_ADDRESS;
    if (!ticket->has_server) return WEFT_PEER_KEY;
    if (weft_key_equal(&ticket->server, &node->table.self)) return WEFT_INVALID;
    struct wf_cmd *cmd = wf_cmd_create(op);
    if (cmd == NULL) return WEFT_NO_MEMORY;
    cmd->peer = ticket->server;
    cmd->has_peer = true;
    cmd->tree = ticket->tree;
    cmd->ticket = wf_memdup(ticket, sizeof *ticket);
    if (cmd->ticket == NULL) {
        weft_drop(&cmd->req.msg);
        return WEFT_NO_MEMORY;
    }
    *out = cmd;
    return WEFT_OK;
}

weft_err weft_sync_with_ticket(weft_node *node, const weft_ticket *ticket, weft_ns timeout,
                               weft_result *out)
{
    struct wf_cmd *cmd;
    weft_err err = make_sync(node, WF_CMD_TICKET, ticket, &cmd);
    return err != WEFT_OK ? err : wf_api_call_result(node, cmd, timeout, out);
}

weft_err weft_sync_with_ticket_async(weft_node *node, const weft_ticket *ticket, weft_ns timeout,
                                     weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_sync(node, WF_CMD_TICKET, ticket, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, timeout, done, arg);
}

weft_err weft_tree_join_with_ticket(weft_node *node, const weft_ticket *ticket,
                                    const weft_join_spec *spec, weft_ns timeout,
                                    weft_join_outcome *out)
{
    struct wf_cmd *cmd;
    weft_result found;
    weft_err err = wf_api_check_join(spec);
    if (err == WEFT_OK) err = make_sync(node, WF_CMD_TICKET_CONNECT, ticket, &cmd);
    if (err != WEFT_OK) return err;
    weft_join_spec ask = *spec;
    ask.tree = ticket->tree;
    if (!wf_node_is_ours(node)) {
        weft_drop(&cmd->req.msg);
        return WEFT_FORKED;
    }
    weft_ns end = weft_rt_after(node->rt, timeout);
    err = wf_api_call_result(node, cmd, timeout, &found);
    if (err != WEFT_OK) return err;
    /* Empty: the server is connected, and had called us. */
    const char *address = found.text[0] != '\0' ? found.text : ticket->hints[0];
    return weft_tree_join(node, address, &ticket->server, &ask, rest_of(node, end), out);
}
