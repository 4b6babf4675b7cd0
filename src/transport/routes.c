/* SPDX-License-Identifier: Apache-2.0
 * routes.c - the named transports: which there are, and which of them takes an address.
 * Called by: manager.c (requests), dial.c, serve.c. May touch: the table of transports,
 * sorted by name. Never: connections; they keep their network until they end. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"
#include "net_tcp.h"

struct wf_transport *wf_route_named(struct wf_manager *m, const char *name)
{
    for (uint32_t i = 0; i < m->transports_count; i++)
        if (strncmp(m->transports[i]->name, name, WEFT_ACTOR_NAME_BYTES_MAX) == 0)
            return m->transports[i];
    return NULL;
}

weft_err wf_route(struct wf_manager *m, const char *address, struct wf_transport **out,
                  const char **rest)
{
    const char *end = memchr(address, 0, WEFT_ADDRESS_BYTES_MAX);
    const char *colon = end == NULL ? NULL : strchr(address, ':');
    weft_err err = WEFT_NO_TRANSPORT;
    if (colon == NULL || colon == address) return WEFT_ADDRESS;
    for (uint32_t i = 0; i < m->transports_count; i++) {
        struct wf_transport *t = m->transports[i];
        const struct weft_net_ops *ops = t->net->net->ops;
        size_t len = (size_t)(colon - address);
        if (strlen(ops->type) != len || memcmp(ops->type, address, len) != 0) continue;
        if (ops->check(t->net->net, colon + 1) != WEFT_OK) {
            err = WEFT_ADDRESS;
            continue;
        }
        *out = t;
        *rest = colon + 1;
        return WEFT_OK;
    }
    return err;
}

static weft_err insert(struct wf_manager *m, const struct wf_tp_add *req, struct wf_tp_net *net)
{
    struct wf_transport *t = wf_calloc(1, sizeof *t);
    if (t == NULL) return WEFT_NO_MEMORY;
    t->m = m;
    t->net = net;
    memcpy(t->name, req->name, sizeof t->name);
    memcpy(t->listen, req->listen, sizeof t->listen);
    uint32_t at = m->transports_count++;
    while (at > 0 && strcmp(m->transports[at - 1]->name, t->name) > 0) {
        m->transports[at] = m->transports[at - 1];
        at--;
    }
    m->transports[at] = t;
    return WEFT_OK;
}

weft_verdict wf_route_add(struct wf_manager *m, struct wf_tp_add *req)
{
    weft_err err = WEFT_INVALID;
    struct wf_tp_net *net = NULL;
    if (req->net == NULL || req->name[0] == '\0' ||
        memchr(req->name, 0, sizeof req->name) == NULL ||
        memchr(req->listen, 0, sizeof req->listen) == NULL)
        goto done;
    err = WEFT_ADDRESS;
    if (req->listen[0] != '\0' && req->net->ops->check(req->net, req->listen) != WEFT_OK) goto done;
    struct wf_transport *old = wf_route_named(m, req->name);
    err = WEFT_LIMIT;
    if (old == NULL && m->transports_count == WEFT_TRANSPORTS_MAX) goto done;
    err = WEFT_NO_MEMORY;
    net = wf_calloc(1, sizeof *net);
    if (net == NULL) goto done;
    net->net = req->net;
    wf_counter_set(&net->refs, 1);
    err = WEFT_OK;
    if (m->interfaces[0] != '\0' && req->net->ops->interfaces != NULL)
        req->net->ops->interfaces(req->net, m->interfaces);
    if (old != NULL) { /* its connections keep the old network until they end */
        (void)wf_listen_stop(old);
        wf_tp_net_put(old->net);
        old->net = net;
        memcpy(old->listen, req->listen, sizeof old->listen);
    } else {
        err = insert(m, req, net);
    }
    if (err == WEFT_OK) {
        req->net = NULL;
        net = NULL;
    }
done:
    wf_free(net);
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static void forget(struct wf_transport *t)
{
    (void)wf_listen_stop(t);
    wf_tp_net_put(t->net);
    wf_free(t);
}

weft_verdict wf_route_remove(struct wf_manager *m, struct wf_tp_remove *req)
{
    req->name[sizeof req->name - 1] = '\0';
    struct wf_transport *t = wf_route_named(m, req->name);
    uint32_t at = 0;
    if (t != NULL) {
        while (m->transports[at] != t) at++;
        m->transports_count--;
        for (; at < m->transports_count; at++) m->transports[at] = m->transports[at + 1];
        forget(t);
    }
    weft_reply(&req->req, t == NULL ? WEFT_NOT_FOUND : WEFT_OK);
    return WEFT_KEPT;
}

/* False: it does not fit, and nobody could dial it. */
static bool with_scheme(const struct wf_transport *t, const char *address,
                        char out[WEFT_ADDRESS_BYTES_MAX])
{
    int n = snprintf(out, WEFT_ADDRESS_BYTES_MAX, "%s:%s", t->net->net->ops->type, address);
    if (n > 0 && (size_t)n < WEFT_ADDRESS_BYTES_MAX) return true;
    out[0] = '\0';
    return false;
}

static size_t bound_of(const struct wf_transport *t, char (*out)[WEFT_ADDRESS_BYTES_MAX],
                       size_t room)
{
    if (room == 0 || wf_net_tcp_is_wildcard(t->bound)) return 0;
    memcpy(out[0], t->bound, sizeof t->bound);
    return 1;
}

size_t wf_route_reach(const struct wf_transport *t, bool all, char (*out)[WEFT_ADDRESS_BYTES_MAX],
                      size_t room)
{
    const struct weft_net_ops *ops = t->net->net->ops;
    size_t found = 0, kept = 0;
    if (t->listener == NULL) return 0;
    if (ops->reach == NULL) {
        found = bound_of(t, out, room);
    } else {
        weft_err err = ops->reach(t->net->net, t->bound, all, out, room, &found);
        if (err != WEFT_OK) {
            wf_log(WEFT_LOG_WARN, "transport", "name=%s cannot say where it is reached: %s",
                   t->name, weft_errname(err));
            return 0;
        }
    }
    for (size_t i = 0; i < found && i < room; i++) {
        char address[WEFT_ADDRESS_BYTES_MAX];
        snprintf(address, sizeof address, "%s", out[i]);
        if (with_scheme(t, address, out[kept])) kept++;
    }
    return kept;
}

/* Each that runs has room for one, however many the others before it have. */
static void list_hints(struct wf_manager *m, struct wf_tp_addresses *req)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < m->transports_count; i++) left += m->transports[i]->listener != NULL;
    for (uint32_t i = 0; i < m->transports_count; i++) {
        size_t room = WEFT_TICKET_HINTS_MAX - req->hints_count;
        if (m->transports[i]->listener == NULL) continue;
        left--;
        room = room > left ? room - left : 1;
        if (req->hints_count == WEFT_TICKET_HINTS_MAX) break;
        req->hints_count += (uint32_t)wf_route_reach(m->transports[i], true,
                                                     &req->hints[req->hints_count], room);
    }
}

weft_verdict wf_route_list(struct wf_manager *m, struct wf_tp_addresses *req)
{
    req->count = req->hints_count = 0;
    if (req->all) list_hints(m, req);
    for (uint32_t i = 0; i < m->transports_count; i++) {
        const struct wf_transport *t = m->transports[i];
        size_t at = req->count;
        req->items[at].address[0] = req->items[at].listen[0] = '\0';
        bool told = t->listener != NULL && with_scheme(t, t->bound, req->items[at].address);
        if (!told && !req->all) continue;
        memcpy(req->items[at].name, t->name, sizeof t->name);
        snprintf(req->items[at].type, sizeof req->items[at].type, "%s", t->net->net->ops->type);
        if (t->listen[0] != '\0') (void)with_scheme(t, t->listen, req->items[at].listen);
        req->count++;
    }
    weft_reply(&req->req, WEFT_OK);
    return WEFT_KEPT;
}

void wf_route_fini(struct wf_manager *m)
{
    while (m->transports_count > 0) forget(m->transports[--m->transports_count]);
}
