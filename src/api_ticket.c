/* SPDX-License-Identifier: Apache-2.0
 * api_ticket.c - public calls that make tickets of a node, and follow them (weft/ticket.h).
 * Called by: users. May touch: messages to engine and transport.
 * Never: dials; the engine does (sync/commands_ticket.c). */
#include <weft/access.h>
#include <weft/join.h>
#include <weft/ticket.h>

#include <string.h>

#include "alloc.h"
#include "api_async.h"
#include "api_command.h"
#include "joining.h"
#include "transport.h"

/* -- Made of a node ----------------------------------------------------------------------- */

/* NO_TRANSPORT: there is none, and *out is a ticket all the same. */
static weft_err ticket_of(const weft_node *node, const weft_id *tree,
                          const struct wf_tp_addresses *all, weft_ticket *out)
{
    *out = (weft_ticket){.tree = *tree, .has_server = true, .server = node->table.self};
    out->hints_count = all->hints_count;
    memcpy(out->hints, all->hints, all->hints_count * sizeof all->hints[0]);
    return all->count == 0 ? WEFT_NO_TRANSPORT : WEFT_OK;
}

static struct wf_tp_addresses *make_addresses(void)
{
    struct wf_tp_addresses *all = wf_tp_new(&wf_tp_addresses_kind);
    if (all != NULL) all->all = true;
    return all;
}

/* As ticket_of. */
static weft_err make_ticket(weft_node *node, const weft_id *tree, weft_ns timeout, weft_ticket *out)
{
    if (wf_in_actor()) return WEFT_DEADLK;
    struct wf_tp_addresses *all = make_addresses();
    if (all == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_node_call(node, node->table.transport, &all->req, timeout,
                                (weft_request **)&all);
    if (err == WEFT_OK) err = ticket_of(node, tree, all, out);
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

/* Of who has no settings for a tree that is to be shared. */
static const weft_sync_settings fresh = {.enabled = true, .on_commit = true};

static weft_err enable(weft_node *node, const weft_id *tree, const weft_key *principal,
                       weft_ns timeout)
{
    weft_err err = weft_settings_enable(node, tree, principal, true, timeout);
    if (err == WEFT_NOT_FOUND) err = weft_settings_put(node, tree, principal, &fresh, timeout);
    return err;
}

/* Is there something to share? No read of the disk. */
static weft_err has_root(const weft_node *node, const weft_id *tree)
{
    wf_tree_info info;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    weft_err err = wf_store_tree(node->table.wf_store, tree, &info);
    return err == WEFT_OK && !info.has_root ? WEFT_NOT_FOUND : err;
}

weft_err weft_share(weft_node *node, const weft_id *tree, const weft_key *principal,
                    weft_ns timeout, weft_ticket *out)
{
    weft_ticket ticket;
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = has_root(node, tree);
    if (err != WEFT_OK) return err;
    weft_ns end = weft_rt_after(node->rt, timeout);
    err = make_ticket(node, tree, timeout, &ticket);
    /* The last step is the only one that changes anything. */
    if (err == WEFT_OK) err = enable(node, tree, principal, wf_api_rest(node, end));
    if (err == WEFT_OK) *out = ticket;
    return err;
}

/* -- The same, asynchronously: on the notify thread from answer to answer --------------------- */

struct sharing {
    weft_node *node;
    weft_id tree;
    bool enables; /* it is to be shared, and not only named */
    bool has_principal;
    weft_key principal;
    weft_ticket ticket;
    weft_on_ticket done;
    void *arg;
};

static void shared(struct sharing *s, weft_err err)
{
    const weft_on_ticket done = s->done;
    done(s->arg, err, err == WEFT_OK ? &s->ticket : NULL);
    wf_free(s);
}

static void on_put(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    shared(arg, err);
}

static void on_enabled(void *arg, weft_err err, const weft_result *result)
{
    struct sharing *s = arg;
    (void)result;
    if (err == WEFT_NOT_FOUND) {
        err = weft_settings_put_async(s->node, &s->tree, s->has_principal ? &s->principal : NULL,
                                      &fresh, on_put, s);
        if (err == WEFT_OK) return;
    }
    shared(s, err);
}

static void tell_addresses(wf_api_done unused, void *arg, weft_err err, weft_request *request)
{
    struct sharing *s = arg;
    (void)unused;
    if (err == WEFT_OK)
        err = ticket_of(s->node, &s->tree, (const struct wf_tp_addresses *)request, &s->ticket);
    if (err == WEFT_NO_TRANSPORT && !s->enables) err = WEFT_OK;
    if (err == WEFT_OK && s->enables) {
        err = weft_settings_enable_async(s->node, &s->tree, s->has_principal ? &s->principal : NULL,
                                         true, on_enabled, s);
        if (err == WEFT_OK) return;
    }
    shared(s, err);
}

static weft_err begin_ticket(weft_node *node, const struct sharing *as)
{
    if (as->done == NULL) return WEFT_INVALID;
    struct sharing *s = wf_memdup(as, sizeof *as);
    struct wf_tp_addresses *all = s == NULL ? NULL : make_addresses();
    if (all == NULL) {
        wf_free(s);
        return WEFT_NO_MEMORY;
    }
    weft_err err = wf_api_later(node, node->table.transport, &all->req, WEFT_NEVER, tell_addresses,
                                (wf_api_done)as->done, s);
    if (err != WEFT_OK) wf_free(s);
    return err;
}

weft_err weft_ticket_create_async(weft_node *node, const weft_id *tree, weft_on_ticket done,
                                  void *arg)
{
    if (node == NULL || tree == NULL) return WEFT_INVALID;
    struct sharing s = {.node = node, .tree = *tree, .done = done, .arg = arg};
    return begin_ticket(node, &s);
}

weft_err weft_share_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                          weft_on_ticket done, void *arg)
{
    if (node == NULL || tree == NULL) return WEFT_INVALID;
    weft_err err = has_root(node, tree);
    if (err != WEFT_OK) return err;
    struct sharing s = {.node = node, .tree = *tree, .enables = true, .done = done, .arg = arg};
    s.has_principal = principal != NULL;
    if (principal != NULL) s.principal = *principal;
    return begin_ticket(node, &s);
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

/* What to ask for, with the ticket's tree; nobody is dialled for a spec that cannot be asked. */
static weft_err make_connect(weft_node *node, const weft_ticket *ticket, const weft_join_spec *spec,
                             struct wf_cmd **out)
{
    weft_err err = wf_api_check_join(spec);
    if (err == WEFT_OK) err = make_sync(node, WF_CMD_TICKET_CONNECT, ticket, out);
    if (err != WEFT_OK || wf_node_is_ours(node)) return err;
    weft_drop(&(*out)->req.msg);
    return WEFT_FORKED;
}

/* Where the server is. Nowhere: it is connected, and had called us. */
static const char *where(const weft_ticket *ticket, const weft_result *found)
{
    return found->text[0] != '\0' ? found->text : ticket->hints[0];
}

weft_err weft_tree_join_with_ticket(weft_node *node, const weft_ticket *ticket,
                                    const weft_join_spec *spec, weft_ns timeout,
                                    weft_join_outcome *out)
{
    struct wf_cmd *cmd;
    weft_result found;
    weft_err err = make_connect(node, ticket, spec, &cmd);
    if (err != WEFT_OK) return err;
    weft_join_spec ask = *spec;
    ask.tree = ticket->tree;
    weft_ns end = weft_rt_after(node->rt, timeout);
    err = wf_api_call_result(node, cmd, timeout, &found);
    if (err != WEFT_OK) return err;
    return weft_tree_join(node, where(ticket, &found), &ticket->server, &ask,
                          wf_api_rest(node, end), out);
}

struct joining {
    weft_node *node;
    struct wf_join_req *ask; /* with a copy of all that the spec points to */
    weft_ns end;
    weft_on_join done;
    void *arg;
    char hint[WEFT_ADDRESS_BYTES_MAX];
};

static void joined(struct joining *j, weft_err err, const weft_join_outcome *outcome)
{
    j->done(j->arg, err, outcome);
    if (j->ask != NULL) weft_drop(&j->ask->req.msg);
    wf_free(j);
}

static void tell_outcome(wf_api_done unused, void *arg, weft_err err, weft_request *request)
{
    const struct wf_join_req *req = (const struct wf_join_req *)request;
    bool said = req != NULL && (err == WEFT_OK || err == WEFT_AWAITING);
    (void)unused;
    joined(arg, err, said ? &req->outcome : NULL);
}

static void on_connected(void *arg, weft_err err, const weft_result *found)
{
    struct joining *j = arg;
    if (err == WEFT_OK) {
        struct wf_join_req *ask = j->ask;
        memcpy(ask->address, found->text[0] != '\0' ? found->text : j->hint, sizeof ask->address);
        j->ask = NULL; /* taken, whatever comes of it */
        err = wf_api_later(j->node, j->node->table.access, &ask->req, wf_api_rest(j->node, j->end),
                           tell_outcome, (wf_api_done)j->done, j);
        if (err == WEFT_OK) return;
    }
    joined(j, err, NULL);
}

weft_err weft_tree_join_with_ticket_async(weft_node *node, const weft_ticket *ticket,
                                          const weft_join_spec *spec, weft_ns timeout,
                                          weft_on_join done, void *arg)
{
    struct wf_cmd *cmd;
    if (done == NULL) return WEFT_INVALID;
    weft_err err = make_connect(node, ticket, spec, &cmd);
    if (err != WEFT_OK) return err;
    struct joining *j = wf_calloc(1, sizeof *j);
    err = j == NULL ? WEFT_NO_MEMORY : wf_api_make_join(node, &ticket->server, spec, &j->ask);
    if (err != WEFT_OK) {
        weft_drop(&cmd->req.msg);
        wf_free(j);
        return err;
    }
    j->ask->tree = ticket->tree;
    j->node = node;
    j->end = weft_rt_after(node->rt, timeout);
    j->done = done;
    j->arg = arg;
    memcpy(j->hint, ticket->hints[0], sizeof j->hint);
    err = wf_api_begin(node, cmd, timeout, on_connected, j);
    if (err == WEFT_OK) return WEFT_OK;
    weft_drop(&j->ask->req.msg);
    wf_free(j);
    return err;
}
