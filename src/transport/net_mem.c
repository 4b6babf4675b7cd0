/* SPDX-License-Identifier: Apache-2.0
 * net_mem.c - a network inside the process (net.h): bounded pipes between named hosts.
 * Called by: the transport manager through the table, tests through the hub.
 * May touch: memory shared between actors, under one lock. Never: sockets. */
#include "net_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "log.h"

#define PORT_FIRST 49152u /* for "host:0" and for diallers */

static void bell_drop(weft_msg *msg)
{
    struct mem_bell *bell = (struct mem_bell *)msg;
    wf_lock_take(bell->hub->lock);
    bell->ringing = false;
    wf_lock_give(bell->hub->lock);
}

static const weft_kind bell_kind = {
    .id = 0x6e65742eu, .name = "net.mem.ready", .size = sizeof(struct mem_bell), .drop = bell_drop};

/* -- Readiness (under the lock) -------------------------------------------------------- */

static uint32_t readiness(const wf_sock *s)
{
    uint32_t r = 0;
    switch (s->state) {
    case MEM_LISTENER: return s->backlog != NULL ? WF_NET_READ : 0u;
    case MEM_DIALLING: return 0;
    case MEM_REFUSED: return WF_NET_READ | WF_NET_WRITE;
    case MEM_OPEN: break;
    }
    const struct mem_pipe *in = &s->link->pipe[1 - s->side], *out = &s->link->pipe[s->side];
    if (in->len > 0 || in->ended || s->link->broken) r |= WF_NET_READ;
    if (out->len + out->flying < MEM_PIPE_BYTES || s->link->broken ||
        s->link->side[1 - s->side] == NULL)
        r |= WF_NET_WRITE;
    return r;
}

static void ready_remove(wf_sock *s)
{
    struct mem_net *net = s->net;
    if (!s->queued) return;
    if (s->ready_prev != NULL) s->ready_prev->ready_next = s->ready_next;
    else net->ready_first = s->ready_next;
    if (s->ready_next != NULL) s->ready_next->ready_prev = s->ready_prev;
    else net->ready_last = s->ready_prev;
    s->ready_prev = s->ready_next = NULL;
    s->queued = false;
}

static void ready_append(wf_sock *s)
{
    struct mem_net *net = s->net;
    if (s->queued) return;
    s->ready_prev = net->ready_last;
    s->ready_next = NULL;
    if (net->ready_last != NULL) net->ready_last->ready_next = s;
    else net->ready_first = s;
    net->ready_last = s;
    s->queued = true;
}

/* False: the owner has ended and will never hear it. */
static bool ring(struct mem_net *net)
{
    if (net->bell->ringing) return true;
    if (net->owner == NULL) return false;
    net->bell->ringing = true;
    if (wf_send_system(net->owner, &net->bell->msg) == WEFT_OK) return true;
    net->bell->ringing = false;
    return false;
}

void mem_wake(wf_sock *sock)
{
    if (sock == NULL || (readiness(sock) & sock->interest) == 0) return;
    ready_append(sock);
    (void)ring(sock->net);
}

static wf_sock *next_ready(struct mem_bell *bell, uint32_t *told)
{
    wf_sock *found = NULL;
    wf_lock_take(bell->hub->lock);
    while (bell->net != NULL && (found = bell->net->ready_first) != NULL) {
        ready_remove(found);
        *told = readiness(found) & found->interest;
        if (*told == 0) continue;
        ready_append(found); /* level-triggered: looked at again, and dropped if it was served */
        break;
    }
    wf_lock_give(bell->hub->lock);
    return found;
}

bool wf_net_wake(weft_self *self, void *state, weft_msg *msg)
{
    uint32_t told = 0, rounds = 0;
    if (msg->kind != &bell_kind) return false;
    struct mem_bell *bell = (struct mem_bell *)msg;
    wf_lock_take(bell->hub->lock);
    bell->ringing = false;
    for (wf_sock *s = bell->net != NULL ? bell->net->ready_first : NULL; s != NULL;
         s = s->ready_next)
        rounds++;
    wf_lock_give(bell->hub->lock);
    while (rounds-- > 0) {
        wf_sock *s = next_ready(bell, &told);
        if (s == NULL) break;
        s->ready(self, state, s, told, s->arg); /* may close `s`, or any other */
    }
    wf_lock_take(bell->hub->lock);
    if (bell->net != NULL && bell->net->ready_first != NULL) (void)ring(bell->net);
    wf_lock_give(bell->hub->lock);
    return true;
}

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

static wf_sock *listener_find(wf_net_hub *hub, const char *name)
{
    for (struct mem_net *net = hub->nets; net != NULL; net = net->next)
        for (wf_sock *s = net->socks; s != NULL; s = s->next)
            if (s->state == MEM_LISTENER && strcmp(s->name, name) == 0) return s;
    return NULL;
}

/* -- Sockets --------------------------------------------------------------------------- */

static wf_sock *sock_create(struct mem_net *net, enum mem_state state, wf_net_ready ready,
                            void *arg)
{
    wf_sock *s = wf_calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->net = net;
    s->state = state;
    s->ready = ready;
    s->arg = arg;
    s->next = net->socks;
    if (s->next != NULL) s->next->prev = s;
    net->socks = s;
    return s;
}

static void link_free(struct mem_link *link)
{
    if (link == NULL) return;
    wf_free(link->pipe[0].ring);
    wf_free(link->pipe[1].ring);
    wf_free(link);
}

static struct mem_link *link_create(void)
{
    struct mem_link *link = wf_calloc(1, sizeof *link);
    if (link == NULL) return NULL;
    for (unsigned i = 0; i < 2; i++) {
        link->pipe[i].ring = wf_malloc(MEM_PIPE_BYTES);
        if (link->pipe[i].ring == NULL) {
            link_free(link);
            return NULL;
        }
    }
    return link;
}

/* One side lets go. What it sent still arrives; what comes for it is lost. */
static void leave(wf_net_hub *hub, wf_sock *s)
{
    struct mem_link *link = s->link;
    link->side[s->side] = NULL;
    s->link = NULL;
    if (link->side[1 - s->side] == NULL) {
        mem_forget_link(hub, link);
        link_free(link);
        return;
    }
    if (hub->sim != NULL && !link->broken) {
        mem_fly_end(hub, link, s->side);
    } else {
        link->pipe[s->side].ended = true;
        mem_wake(link->side[1 - s->side]);
    }
}

static void sock_free(wf_net_hub *hub, wf_sock *s)
{
    ready_remove(s);
    if (s->state == MEM_DIALLING) mem_forget_dial(hub, s);
    if (s->link != NULL) leave(hub, s);
    while (s->backlog != NULL) { /* never accepted: their diallers see the end */
        wf_sock *waiting = s->backlog;
        s->backlog = waiting->backlog_next;
        sock_free(hub, waiting);
    }
    if (s->prev != NULL) s->prev->next = s->next;
    else s->net->socks = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
    wf_free(s);
}

void mem_break(struct mem_link *link)
{
    link->broken = true;
    for (unsigned i = 0; i < 2; i++) {
        link->pipe[i].len = 0; /* as after a reset: what was not read is gone */
        mem_wake(link->side[i]);
    }
}

void mem_join(wf_net_hub *hub, wf_sock *dialler)
{
    struct mem_link *link = NULL;
    wf_sock *l = listener_find(hub, dialler->name), *s = NULL;
    dialler->state = MEM_REFUSED;
    if (l == NULL || l->backlog_count >= MEM_BACKLOG_MAX) goto done;
    if (mem_cut_between(hub, dialler->net->host, l->net->host)) goto done;
    link = link_create();
    if (link == NULL) goto done;
    s = sock_create(l->net, MEM_OPEN, NULL, NULL);
    if (s == NULL || !ring(l->net)) { /* no ring: the listener's process is gone */
        if (s != NULL) sock_free(hub, s);
        link_free(link);
        goto done;
    }
    snprintf(s->from, sizeof s->from, "%s:%u", dialler->net->host, hub->next_port);
    if (++hub->next_port > 65535) hub->next_port = PORT_FIRST;
    memcpy(link->host[0], dialler->net->host, MEM_HOST_BYTES);
    memcpy(link->host[1], l->net->host, MEM_HOST_BYTES);
    link->side[0] = dialler;
    link->side[1] = s;
    dialler->link = s->link = link;
    s->side = 1;
    dialler->state = MEM_OPEN;
    if (l->backlog == NULL) l->backlog = s;
    else l->backlog_end->backlog_next = s;
    l->backlog_end = s;
    l->backlog_count++;
    mem_wake(l);
done:
    mem_wake(dialler);
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
    if (strcmp(host, net->host) != 0) goto done;
    for (;;) {
        uint32_t chosen = port;
        if (port == 0) {
            chosen = hub->next_port;
            if (++hub->next_port > 65535) hub->next_port = PORT_FIRST;
        }
        snprintf(name, sizeof name, "%s:%u", host, chosen);
        wf_sock *taken = listener_find(hub, name);
        if (taken == NULL) break;
        if (taken->net->killed && taken->net != net) {
            sock_free(hub, taken); /* of a process that died */
        } else if (port != 0) {
            err = WEFT_EXISTS;
            goto done;
        }
    }
    err = WEFT_NO_MEMORY;
    wf_sock *s = sock_create(net, MEM_LISTENER, ready, arg);
    if (s == NULL) goto done;
    memcpy(s->name, name, sizeof s->name);
    snprintf(bound, WEFT_ADDRESS_BYTES_MAX, "%s", name);
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
    wf_sock *s = sock_create(net, MEM_DIALLING, ready, arg);
    if (s == NULL) goto done;
    snprintf(s->name, sizeof s->name, "%.*s", (int)to->len, (const char *)to->bytes);
    err = WEFT_OK;
    if (net->sim != NULL) err = mem_fly_dial(net->hub, s);
    else mem_join(net->hub, s);
    if (err != WEFT_OK) sock_free(net->hub, s);
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

static void ring_put(struct mem_pipe *p, const uint8_t *data, size_t len)
{
    size_t to = (p->at + p->len) % MEM_PIPE_BYTES;
    size_t first = len < MEM_PIPE_BYTES - to ? len : MEM_PIPE_BYTES - to;
    memcpy(p->ring + to, data, first);
    memcpy(p->ring, data + first, len - first);
    p->len += len;
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
        err = mem_fly(net->hub, link, s->side, data, len);
    } else {
        ring_put(p, data, len);
        mem_wake(link->side[1 - s->side]);
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
    mem_wake(link->side[1 - s->side]);
done:
    wf_lock_give(net->hub->lock);
    return err;
}

static weft_err mem_interest(wf_net *base, weft_self *self, wf_sock *s, uint32_t events)
{
    struct mem_net *net = own(base, self);
    s->interest = events;
    mem_wake(s);
    wf_lock_give(net->hub->lock);
    return WEFT_OK;
}

static void mem_close(wf_net *base, weft_self *self, wf_sock *s)
{
    (void)self;
    if (s == NULL) return;
    struct mem_net *net = (struct mem_net *)base;
    wf_lock_take(net->hub->lock);
    sock_free(net->hub, s);
    wf_lock_give(net->hub->lock);
}

static void net_free(wf_net_hub *hub, struct mem_net *net)
{
    while (net->socks != NULL) sock_free(hub, net->socks);
    for (struct mem_net **at = &hub->nets; *at != NULL; at = &(*at)->next) {
        if (*at != net) continue;
        *at = net->next;
        break;
    }
    net->bell->net = NULL;
    weft_addr_put(net->owner);
    wf_free(net);
}

static void mem_destroy(wf_net *base)
{
    struct mem_net *net = (struct mem_net *)base;
    if (net == NULL) return;
    wf_net_hub *hub = net->hub;
    wf_lock_take(hub->lock);
    net_free(hub, net);
    wf_lock_give(hub->lock);
}

static const struct wf_net_ops mem_ops = {
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
};

/* -- The hub --------------------------------------------------------------------------- */

weft_err wf_net_hub_create(wf_net_hub **out)
{
    wf_net_hub *hub = wf_calloc(1, sizeof *hub);
    if (hub == NULL) return WEFT_NO_MEMORY;
    hub->lock = wf_lock_create();
    if (hub->lock == NULL) {
        wf_free(hub);
        return WEFT_NO_MEMORY;
    }
    hub->next_port = PORT_FIRST;
    hub->pump_at = WEFT_NEVER;
    *out = hub;
    return WEFT_OK;
}

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
    weft_msg_init(&bell->msg, &bell_kind);
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

void wf_net_hub_destroy(wf_net_hub *hub)
{
    if (hub == NULL) return;
    while (hub->nets != NULL) /* of processes that were killed */
        net_free(hub, hub->nets);
    while (hub->bells != NULL) {
        struct mem_bell *bell = hub->bells;
        hub->bells = bell->next;
        wf_free(bell);
    }
    while (hub->cuts != NULL) {
        struct mem_cut *cut = hub->cuts;
        hub->cuts = cut->next;
        wf_free(cut);
    }
    WF_ASSERT(hub->flying == NULL && hub->held == NULL); /* they went with their links */
    wf_lock_destroy(hub->lock);
    wf_free(hub);
}

void wf_net_hub_kill(wf_net_hub *hub, const char *host)
{
    wf_lock_take(hub->lock);
    for (struct mem_net *net = hub->nets; net != NULL; net = net->next) {
        if (strcmp(net->host, host) != 0) continue;
        net->killed = true;
        for (wf_sock *s = net->socks; s != NULL; s = s->next)
            if (s->link != NULL) mem_break(s->link);
    }
    wf_lock_give(hub->lock);
}

void wf_net_hub_tap(wf_net_hub *hub, void (*fn)(void *arg, const uint8_t *data, size_t len),
                    void *arg)
{
    wf_lock_take(hub->lock);
    hub->tap = fn;
    hub->tap_arg = arg;
    wf_lock_give(hub->lock);
}
