/* SPDX-License-Identifier: Apache-2.0
 * api_net.c - public calls about named transports and their servers (weft/net.h, weft/node.h).
 * Called by: users. May touch: messages to the engine and to transport, new networks.
 * Never: a network once it is handed over. */
#include <string.h>

#include "api_command.h"
#include "api_net.h"
#include "transport.h"

/* -- C04: transports ----------------------------------------------------------------------- */

/* Takes `net` always. `listen` has the type of the network before it, or is NULL. */
static weft_err make_add(weft_node *node, const char *name, wf_net *net, const char *listen,
                         struct wf_cmd **out)
{
    struct wf_cmd *cmd = NULL;
    weft_err err = name == NULL || name[0] == '\0' ? WEFT_INVALID : WEFT_OK;
    if (err == WEFT_OK && listen != NULL) {
        size_t len = strlen(net->ops->type);
        err = WEFT_ADDRESS;
        if (strncmp(listen, net->ops->type, len) == 0 && listen[len] == ':')
            err = net->ops->check(net, listen + len + 1);
        listen += err == WEFT_OK ? len + 1 : 0;
    }
    if (err == WEFT_OK) err = wf_api_make(node, WF_CMD_ADD_TRANSPORT, &cmd);
    if (err == WEFT_OK) err = wf_api_text(cmd->name, sizeof cmd->name, name);
    if (err == WEFT_OK) err = wf_api_text(cmd->text, sizeof cmd->text, listen);
    if (err != WEFT_OK) {
        if (cmd != NULL) weft_drop(&cmd->req.msg);
        net->ops->destroy(net);
        return err;
    }
    cmd->net = net;
    *out = cmd;
    return WEFT_OK;
}

static weft_err make_add_tcp(weft_node *node, const char *name, const char *listen,
                             struct wf_cmd **out)
{
    wf_net *net = NULL;
    weft_err err = node == NULL ? WEFT_INVALID : wf_net_tcp_create(&net);
    if (err == WEFT_OK) err = make_add(node, name, net, listen, out);
    if (err != WEFT_OK || !node->remember) return err;
    err = wf_saved_record(name, "tcp", listen, NULL, 0, &(*out)->record);
    if (err != WEFT_OK) weft_drop(&(*out)->req.msg);
    return err;
}

weft_err weft_add_transport(weft_node *node, const char *name, const char *listen, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_tcp(node, name, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_call(node, cmd, timeout, NULL);
}

weft_err weft_add_transport_async(weft_node *node, const char *name, const char *listen,
                                  weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_tcp(node, name, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

static weft_err make_add_mem(weft_node *node, const char *name, weft_hub *hub, const char *host,
                             const char *listen, struct wf_cmd **out)
{
    if (node == NULL || hub == NULL || host == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED; /* the hub has a lock too */
    wf_net *net = NULL;
    weft_err err = wf_net_mem_create(hub->hub, node->rt, host, &net);
    return err != WEFT_OK ? err : make_add(node, name, net, listen, out);
}

weft_err weft_add_transport_mem(weft_node *node, const char *name, weft_hub *hub, const char *host,
                                const char *listen, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_mem(node, name, hub, host, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_call(node, cmd, timeout, NULL);
}

weft_err weft_add_transport_mem_async(weft_node *node, const char *name, weft_hub *hub,
                                      const char *host, const char *listen, weft_on_result done,
                                      void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_mem(node, name, hub, host, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

/* -- Networks of the user ------------------------------------------------------------------- */

weft_err weft_net_tcp_create(weft_net **out)
{
    return out == NULL ? WEFT_INVALID : wf_net_tcp_create(out);
}

bool wf_type_fits(const char *type, size_t len)
{
    if (len == 0 || len >= WEFT_TRANSPORT_TYPE_BYTES_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        char c = type[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
        if (!fits) return false;
    }
    return true;
}

static bool whole(const struct weft_net_ops *ops)
{
    return ops->check != NULL && ops->resolve != NULL && ops->listen != NULL &&
           ops->accept != NULL && ops->dial != NULL && ops->connected != NULL &&
           ops->send != NULL && ops->receive != NULL && ops->interest != NULL &&
           ops->close != NULL && ops->type != NULL &&
           wf_type_fits(ops->type, strnlen(ops->type, WEFT_TRANSPORT_TYPE_BYTES_MAX));
}

/* Takes `net` always; one that cannot be destroyed is nobody's. */
static weft_err make_add_net(weft_node *node, const char *name, weft_net *net, const char *listen,
                             struct wf_cmd **out)
{
    if (net == NULL || net->ops == NULL || net->ops->destroy == NULL) return WEFT_INVALID;
    if (node != NULL && whole(net->ops)) return make_add(node, name, net, listen, out);
    net->ops->destroy(net);
    return WEFT_INVALID;
}

weft_err weft_add_transport_net(weft_node *node, const char *name, weft_net *net,
                                const char *listen, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_net(node, name, net, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_call(node, cmd, timeout, NULL);
}

weft_err weft_add_transport_net_async(weft_node *node, const char *name, weft_net *net,
                                      const char *listen, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_add_net(node, name, net, listen, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

/* -- C05 to C08: servers --------------------------------------------------------------------- */

static weft_err make_named(weft_node *node, enum wf_cmd_op op, const char *name,
                           struct wf_cmd **out)
{
    weft_err err = wf_api_make(node, op, out);
    if (err != WEFT_OK) return err;
    err = wf_api_text((*out)->name, sizeof(*out)->name, name);
    if (err != WEFT_OK) weft_drop(&(*out)->req.msg);
    return err;
}

weft_err weft_start_server(weft_node *node, const char *name, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make_named(node, WF_CMD_START_SERVER, name, &cmd);
    return err != WEFT_OK ? err : wf_api_call(node, cmd, timeout, NULL);
}

weft_err weft_start_server_async(weft_node *node, const char *name, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_named(node, WF_CMD_START_SERVER, name, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

weft_err weft_stop_server(weft_node *node, const char *name, weft_ns timeout)
{
    struct wf_cmd *cmd;
    weft_err err = make_named(node, WF_CMD_STOP_SERVER, name, &cmd);
    return err != WEFT_OK ? err : wf_api_call(node, cmd, timeout, NULL);
}

weft_err weft_stop_server_async(weft_node *node, const char *name, weft_on_result done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = make_named(node, WF_CMD_STOP_SERVER, name, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

weft_err weft_server_address(weft_node *node, const char *name, weft_ns timeout,
                             char out[WEFT_ADDRESS_BYTES_MAX])
{
    struct wf_cmd *cmd;
    weft_result result;
    if (name == NULL || out == NULL) return WEFT_INVALID;
    weft_err err = make_named(node, WF_CMD_SERVER_ADDRESS, name, &cmd);
    if (err == WEFT_OK) err = wf_api_call_result(node, cmd, timeout, &result);
    if (err == WEFT_OK) memcpy(out, result.text, WEFT_ADDRESS_BYTES_MAX);
    return err;
}

weft_err weft_server_address_async(weft_node *node, const char *name, weft_on_result done,
                                   void *arg)
{
    struct wf_cmd *cmd;
    if (name == NULL) return WEFT_INVALID;
    weft_err err = make_named(node, WF_CMD_SERVER_ADDRESS, name, &cmd);
    return err != WEFT_OK ? err : wf_api_begin(node, cmd, WEFT_NEVER, done, arg);
}

weft_err weft_server_addresses(weft_node *node, weft_ns timeout, weft_server *out, size_t *count)
{
    struct wf_cmd *cmd;
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = wf_api_make(node, WF_CMD_SERVER_ADDRESSES, &cmd);
    if (err != WEFT_OK) return err;
    err = wf_api_call(node, cmd, timeout, &cmd);
    if (err == WEFT_OK) {
        size_t take = cmd->count < *count ? cmd->count : *count;
        if (take != 0) memcpy(out, cmd->servers, take * sizeof *out);
        err = cmd->count > *count ? WEFT_LIMIT : WEFT_OK;
        *count = take;
    }
    if (cmd != NULL) weft_drop(&cmd->req.msg);
    return err;
}

weft_err weft_server_addresses_async(weft_node *node, weft_on_servers done, void *arg)
{
    struct wf_cmd *cmd;
    weft_err err = wf_api_make(node, WF_CMD_SERVER_ADDRESSES, &cmd);
    if (err != WEFT_OK) return err;
    return wf_api_begin_how(node, cmd, WEFT_NEVER,
                            (struct wf_completion){.servers = done, .arg = arg});
}
