/* SPDX-License-Identifier: Apache-2.0
 * api_net_named.c - public calls about the transports that a node has: listed, removed, started
 * again (weft/net.h).
 * Called by: users. May touch: messages to transport, and to the store about what is saved.
 * Never: a network. */
#include <string.h>

#include "alloc.h"
#include "api_async.h"
#include "api_command.h"
#include "api_net.h"
#include "transport.h"

/* Takes req. */
static weft_err ask(weft_node *node, weft_request *req, weft_ns timeout, weft_request **out)
{
    if (out != NULL) *out = NULL;
    if (!wf_in_actor()) return wf_node_call(node, node->table.transport, req, timeout, out);
    weft_drop(&req->msg);
    return WEFT_DEADLK;
}

static weft_err make_list(const weft_node *node, struct wf_tp_addresses **out)
{
    if (node == NULL) return WEFT_INVALID;
    struct wf_tp_addresses *req = wf_tp_new(&wf_tp_addresses_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->all = true;
    *out = req;
    return WEFT_OK;
}

static weft_err list(weft_node *node, weft_ns timeout, struct wf_tp_addresses **out)
{
    struct wf_tp_addresses *req;
    *out = NULL;
    weft_err err = make_list(node, &req);
    return err != WEFT_OK ? err : ask(node, &req->req, timeout, (weft_request **)out);
}

static void describe(const struct wf_tp_addresses *all, size_t count, weft_transport_info *out)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(out[i].name, all->items[i].name, sizeof out[i].name);
        memcpy(out[i].type, all->items[i].type, sizeof out[i].type);
        memcpy(out[i].listen, all->items[i].listen, sizeof out[i].listen);
        memcpy(out[i].bound, all->items[i].address, sizeof out[i].bound);
    }
}

weft_err weft_transport_list(weft_node *node, weft_ns timeout, weft_transport_info *out,
                             size_t *count)
{
    struct wf_tp_addresses *all;
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = list(node, timeout, &all);
    if (err == WEFT_OK) {
        size_t take = all->count < *count ? all->count : *count;
        describe(all, take, out);
        err = all->count > *count ? WEFT_LIMIT : WEFT_OK;
        *count = take;
    }
    if (all != NULL) weft_drop(&all->req.msg);
    return err;
}

static void tell_list(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_tp_addresses *all = (const struct wf_tp_addresses *)request;
    size_t count = err == WEFT_OK ? all->count : 0;
    weft_transport_info *list = err == WEFT_OK ? wf_calloc(count + 1, sizeof *list) : NULL;
    if (err == WEFT_OK && list == NULL) err = WEFT_NO_MEMORY;
    if (err == WEFT_OK) describe(all, count, list);
    ((weft_on_transports)done)(arg, err, list, err == WEFT_OK ? count : 0);
    wf_free(list);
}

weft_err weft_transport_list_async(weft_node *node, weft_on_transports done, void *arg)
{
    struct wf_tp_addresses *req;
    weft_err err = make_list(node, &req);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.transport, &req->req, WEFT_NEVER, tell_list,
                        (wf_api_done)done, arg);
}

bool weft_server_running(weft_node *node, const char *name)
{
    struct wf_tp_addresses *all;
    bool running = false;
    weft_err err = list(node, WEFT_NEVER, &all);
    for (uint32_t i = 0; err == WEFT_OK && i < all->count; i++)
        running |= all->items[i].address[0] != '\0' &&
                   (name == NULL || strcmp(all->items[i].name, name) == 0);
    if (all != NULL) weft_drop(&all->req.msg);
    return running;
}

static weft_err make_remove(weft_node *node, const char *name, struct wf_tp_remove **out)
{
    if (node == NULL || name == NULL || name[0] == '\0') return WEFT_INVALID;
    struct wf_tp_remove *req = wf_tp_new(&wf_tp_remove_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_api_text(req->name, sizeof req->name, name);
    if (err != WEFT_OK) weft_drop(&req->req.msg);
    else *out = req;
    return err;
}

/* Of the one that was there and the one that was saved either may be missing. */
static weft_err of_both(weft_err removed, weft_err forgotten)
{
    return forgotten == WEFT_NOT_FOUND ? removed : forgotten;
}

weft_err weft_remove_transport(weft_node *node, const char *name, weft_ns timeout)
{
    struct wf_tp_remove *req;
    weft_err err = make_remove(node, name, &req);
    if (err != WEFT_OK) return err;
    weft_ns end = weft_rt_after(node->rt, timeout);
    err = ask(node, &req->req, timeout, NULL);
    if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    struct wf_record_put *put = wf_saved_forget(name);
    if (put == NULL) return WEFT_NO_MEMORY;
    return of_both(err,
                   wf_node_call(node, node->table.store, &put->req, wf_api_rest(node, end), NULL));
}

struct removing {
    weft_node *node;
    struct wf_record_put *put; /* forgets the saved one */
    weft_err removed;
    weft_on_result done;
    void *arg;
};

static void removing_end(struct removing *r, weft_err err)
{
    static const weft_result nothing;
    r->done(r->arg, err, &nothing);
    if (r->put != NULL) weft_drop(&r->put->req.msg);
    wf_free(r);
}

static void tell_forgotten(wf_api_done unused, void *arg, weft_err err, weft_request *request)
{
    struct removing *r = arg;
    (void)unused;
    (void)request;
    removing_end(r, of_both(r->removed, err));
}

static void tell_removed(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    struct removing *r = arg;
    (void)request;
    r->removed = err;
    if (err == WEFT_OK || err == WEFT_NOT_FOUND) {
        struct wf_record_put *put = r->put;
        r->put = NULL; /* taken, whatever comes of it */
        err = wf_api_later(r->node, r->node->table.store, &put->req, WEFT_NEVER, tell_forgotten,
                           done, r);
        if (err == WEFT_OK) return;
    }
    removing_end(r, err);
}

weft_err weft_remove_transport_async(weft_node *node, const char *name, weft_on_result done,
                                     void *arg)
{
    struct wf_tp_remove *req;
    weft_err err = done == NULL ? WEFT_INVALID : make_remove(node, name, &req);
    if (err != WEFT_OK) return err;
    struct removing *r = wf_calloc(1, sizeof *r);
    if (r != NULL) *r = (struct removing){node, wf_saved_forget(name), WEFT_OK, done, arg};
    if (r == NULL || r->put == NULL) {
        weft_drop(&req->req.msg);
        wf_free(r);
        return WEFT_NO_MEMORY;
    }
    err = wf_api_later(node, node->table.transport, &req->req, WEFT_NEVER, tell_removed,
                       (wf_api_done)done, r);
    if (err != WEFT_OK) {
        weft_drop(&r->put->req.msg);
        wf_free(r);
    }
    return err;
}

static weft_err make_restart(weft_node *node, const char *name, struct wf_tp_server **out)
{
    if (node == NULL || name == NULL || name[0] == '\0') return WEFT_INVALID;
    struct wf_tp_server *req = wf_tp_new(&wf_tp_server_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->start = req->again = true;
    weft_err err = wf_api_text(req->name, sizeof req->name, name);
    if (err != WEFT_OK) weft_drop(&req->req.msg);
    else *out = req;
    return err;
}

weft_err weft_transport_restart(weft_node *node, const char *name, weft_ns timeout)
{
    struct wf_tp_server *req;
    weft_err err = make_restart(node, name, &req);
    return err != WEFT_OK ? err : ask(node, &req->req, timeout, NULL);
}

weft_err weft_transport_restart_async(weft_node *node, const char *name, weft_on_result done,
                                      void *arg)
{
    struct wf_tp_server *req;
    weft_err err = done == NULL ? WEFT_INVALID : make_restart(node, name, &req);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.transport, &req->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}
