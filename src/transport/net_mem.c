/* SPDX-License-Identifier: Apache-2.0
 * net_mem.c - a network inside the process (net.h): bounded pipes between named hosts.
 * Called by: the transport manager through the table, tests through the hub.
 * May touch: memory shared between actors, under one lock. Never: sockets. */
#include "net_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "log.h"

#define EVERYWHERE "0.0.0.0" /* listens on all that its host has, as TCP does */

/* -- Addresses ------------------------------------------------------------------------- */

static weft_err split(const char *address, char host[MEM_HOST_BYTES], uint32_t *port)
{
    const char *colon = strchr(address, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);
    if (len == 0 || len >= MEM_HOST_BYTES) return WEFT_ADDRESS;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') return WEFT_ADDRESS;
    unsigned long value = strtoul(colon + 1, NULL, 10);
    if (value > 65535) return WEFT_ADDRESS;
    memcpy(host, address, len);
    host[len] = '\0';
    *port = (uint32_t)value;
    return WEFT_OK;
}

static weft_err mem_check(wf_net *net, const char *address)
{
    char host[MEM_HOST_BYTES];
    uint32_t port;
    (void)net;
    return split(address, host, &port);
}

static weft_err mem_resolve(wf_net *net, const char *address, wf_endpoint *out, size_t room,
                            size_t *count)
{
    char host[MEM_HOST_BYTES];
    uint32_t port;
    (void)net;
    if (split(address, host, &port) != WEFT_OK || port == 0 || room == 0) return WEFT_ADDRESS;
    out[0].len = (uint32_t)snprintf((char *)out[0].bytes, sizeof out[0].bytes, "%s:%u", host, port);
    *count = 1;
    return WEFT_OK;
}

/* -- The table ------------------------------------------------------------------------- */

static struct mem_net *own(wf_net *base, weft_self *self)
{
    struct mem_net *net = (struct mem_net *)base;
    wf_lock_take(net->hub->lock);
    if (net->owner == NULL) net->owner = weft_addr_get(weft_self_addr(self));
    return net;
}

static weft_err mem_listen(wf_net *base, weft_self *self, const char *address, wf_net_ready ready,
                           void *arg, wf_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX])
{
    char host[MEM_HOST_BYTES], name[MEM_NAME_BYTES];
    uint32_t port;
    weft_err err = split(address, host, &port);
    if (err != WEFT_OK) return err;
    struct mem_net *net = own(base, self);
    wf_net_hub *hub = net->hub;
    err = WEFT_ADDRESS;
    if (strcmp(host, net->host) != 0 && strcmp(host, EVERYWHERE) != 0) goto done;
    for (;;) {
        uint32_t chosen = port;
        if (port == 0) {
            chosen = hub->next_port;
            if (++hub->next_port > 65535) hub->next_port = MEM_PORT_FIRST;
        }
        snprintf(name, sizeof name, "%s:%u", net->host, (uint16_t)chosen);
        wf_sock *taken = wf_mem_listener(hub, name);
        if (taken == NULL) break;
        if (taken->net->killed && taken->net != net) {
            wf_mem_sock_free(hub, taken); /* of a process that died */
        } else if (port != 0) {
            err = WEFT_EXISTS;
            goto done;
        }
    }
    err = WEFT_NO_MEMORY;
    wf_sock *s = wf_mem_sock_create(net, MEM_LISTENER, ready, arg);
    if (s == NULL) goto done;
    memcpy(s->name, name, sizeof s->name);
    snprintf(bound, WEFT_ADDRESS_BYTES_MAX, "%s%s", host, strchr(name, ':'));
    *out = s;
    err = WEFT_OK;
done:
    wf_lock_give(hub->lock);
    return err;
}

static weft_err mem_accept(wf_net *base, weft_self *self, wf_sock *listener, wf_net_ready ready,
                           void *arg, wf_sock **out, char from[WEFT_ADDRESS_BYTES_MAX])
{
    struct mem_net *net = own(base, self);
    weft_err err = WEFT_AGAIN;
    wf_sock *s = listener->backlog;
    if (s != NULL) {
        listener->backlog = s->backlog_next;
        s->backlog_next = NULL;
        listener->backlog_count--;
        s->ready = ready;
        s->arg = arg;
        snprintf(from, WEFT_ADDRESS_BYTES_MAX, "%s", s->from);
        *out = s;
        err = WEFT_OK;
    }
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_dial(wf_net *base, weft_self *self, const wf_endpoint *to, wf_net_ready ready,
                         void *arg, wf_sock **out)
{
    struct mem_net *net = own(base, self);
    weft_err err = WEFT_NO_MEMORY;
    wf_sock *s = wf_mem_sock_create(net, MEM_DIALLING, ready, arg);
    if (s == NULL) goto done;
    snprintf(s->name, sizeof s->name, "%.*s", (int)to->len, (const char *)to->bytes);
    err = WEFT_OK;
    if (net->sim != NULL) err = wf_mem_fly_dial(net->hub, s);
    else wf_mem_join(net->hub, s);
    if (err != WEFT_OK) wf_mem_sock_free(net->hub, s);
    else *out = s;
done:
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_connected(wf_net *base, wf_sock *s)
{
    struct mem_net *net = (struct mem_net *)base;
    wf_lock_take(net->hub->lock);
    weft_err err = s->state == MEM_OPEN      ? WEFT_OK
                   : s->state == MEM_REFUSED ? WEFT_UNREACHABLE
                                             : WEFT_AGAIN;
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_send(wf_net *base, wf_sock *s, const void *data, size_t len, size_t *moved)
{
    struct mem_net *net = (struct mem_net *)base;
    weft_err err = WEFT_NETWORK;
    wf_lock_take(net->hub->lock);
    struct mem_link *link = s->link;
    if (link == NULL || link->broken || link->side[1 - s->side] == NULL) goto done;
    struct mem_pipe *p = &link->pipe[s->side];
    size_t room = MEM_PIPE_BYTES - p->len - p->flying;
    err = WEFT_AGAIN;
    if (room == 0 || len == 0) goto done;
    if (len > room) len = room;
    if (net->hub->tap != NULL) net->hub->tap(net->hub->tap_arg, data, len);
    err = WEFT_OK;
    if (net->sim != NULL) {
        err = wf_mem_fly(net->hub, link, s->side, data, len);
    } else {
        wf_mem_put(p, data, len);
        wf_mem_wake(link->side[1 - s->side]);
    }
    if (err == WEFT_OK) *moved = len;
done:
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_receive(wf_net *base, wf_sock *s, void *data, size_t room, size_t *moved)
{
    struct mem_net *net = (struct mem_net *)base;
    weft_err err = WEFT_NETWORK;
    wf_lock_take(net->hub->lock);
    struct mem_link *link = s->link;
    if (link == NULL || link->broken) goto done;
    struct mem_pipe *p = &link->pipe[1 - s->side];
    err = p->ended ? WEFT_END : WEFT_AGAIN;
    if (p->len == 0 || room == 0) goto done;
    size_t len = p->len < room ? p->len : room;
    size_t first = len < MEM_PIPE_BYTES - p->at ? len : MEM_PIPE_BYTES - p->at;
    memcpy(data, p->ring + p->at, first);
    memcpy((uint8_t *)data + first, p->ring, len - first);
    p->at = (p->at + len) % MEM_PIPE_BYTES;
    p->len -= len;
    *moved = len;
    err = WEFT_OK;
    wf_mem_wake(link->side[1 - s->side]);
done:
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_interest(wf_net *base, weft_self *self, wf_sock *s, uint32_t events)
{
    struct mem_net *net = own(base, self);
    s->interest = events;
    wf_mem_wake(s);
    wf_lock_give(net->hub->lock);
    return WEFT_OK;
}

static void mem_close(wf_net *base, weft_self *self, wf_sock *s)
{
    (void)self;
    if (s == NULL) return;
    struct mem_net *net = (struct mem_net *)base;
    wf_lock_take(net->hub->lock);
    wf_mem_sock_free(net->hub, s);
    wf_lock_give(net->hub->lock);
}

/* The one interface of a host has its name. */
static weft_err mem_reach(wf_net *base, const char *bound, bool all,
                          char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count)
{
    const struct mem_net *net = (const struct mem_net *)base;
    bool everywhere = strncmp(bound, EVERYWHERE ":", sizeof EVERYWHERE) == 0;
    *count = room > 0 && (all || !everywhere) ? 1 : 0;
    if (*count > 0) snprintf(out[0], WEFT_ADDRESS_BYTES_MAX, "%s%s", net->host, strchr(bound, ':'));
    return WEFT_OK;
}

static void mem_destroy(wf_net *base)
{
    struct mem_net *net = (struct mem_net *)base;
    if (net == NULL) return;
    wf_net_hub *hub = net->hub;
    wf_lock_take(hub->lock);
    wf_mem_net_free(hub, net);
    wf_lock_give(hub->lock);
}

static const struct weft_net_ops mem_ops = {
    .type = "mem",
    .check = mem_check,
    .resolve = mem_resolve,
    .listen = mem_listen,
    .accept = mem_accept,
    .dial = mem_dial,
    .connected = mem_connected,
    .send = mem_send,
    .receive = mem_receive,
    .interest = mem_interest,
    .close = mem_close,
    .destroy = mem_destroy,
    .reach = mem_reach,
};

weft_err wf_net_mem_create(wf_net_hub *hub, weft_rt *rt, const char *host, wf_net **out)
{
    struct mem_net *net = NULL;
    struct mem_bell *bell = NULL;
    if (host[0] == '\0' || strlen(host) >= MEM_HOST_BYTES || strchr(host, ':') != NULL)
        return WEFT_ADDRESS;
    net = wf_calloc(1, sizeof *net);
    bell = wf_calloc(1, sizeof *bell);
    if (net == NULL || bell == NULL) {
        wf_free(net);
        wf_free(bell);
        return WEFT_NO_MEMORY;
    }
    weft_msg_init(&bell->msg, &wf_mem_bell_kind);
    bell->hub = hub;
    bell->net = net;
    net->net.ops = &mem_ops;
    net->hub = hub;
    net->sim = wf_sim_of(rt);
    net->bell = bell;
    snprintf(net->host, sizeof net->host, "%s", host);
    wf_lock_take(hub->lock);
    WF_ASSERT(hub->nets == NULL || hub->sim == net->sim); /* one hub, one world */
    hub->sim = net->sim;
    bell->next = hub->bells;
    hub->bells = bell;
    net->next = hub->nets;
    hub->nets = net;
    wf_lock_give(hub->lock);
    *out = &net->net;
    return WEFT_OK;
}
