/* SPDX-License-Identifier: Apache-2.0
 * net_mem_hub.c - the shared half of the in-memory network: connections, who is ready,
 * and the hub that joins the nets. Called by: net_mem.c, net_mem_sim.c, tests.
 * May touch: memory shared between actors, under the hub's lock. Never: sockets. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "log.h"
#include "net_mem.h"

static void bell_drop(weft_msg *msg)
{
    struct mem_bell *bell = (struct mem_bell *)msg;
    wf_lock_take(bell->hub->lock);
    bell->ringing = false;
    wf_lock_give(bell->hub->lock);
}

const weft_kind wf_mem_bell_kind = {
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

void wf_mem_wake(wf_sock *sock)
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
    if (msg->kind != &wf_mem_bell_kind) return false;
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

/* -- Sockets --------------------------------------------------------------------------- */

wf_sock *wf_mem_sock_create(struct mem_net *net, enum mem_state state, wf_net_ready ready,
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
        wf_mem_forget_link(hub, link);
        link_free(link);
        return;
    }
    if (hub->sim != NULL && !link->broken) {
        wf_mem_fly_end(hub, link, s->side);
    } else {
        link->pipe[s->side].ended = true;
        wf_mem_wake(link->side[1 - s->side]);
    }
}

void wf_mem_sock_free(wf_net_hub *hub, wf_sock *s)
{
    ready_remove(s);
    if (s->state == MEM_DIALLING) wf_mem_forget_dial(hub, s);
    if (s->link != NULL) leave(hub, s);
    while (s->backlog != NULL) { /* never accepted: their diallers see the end */
        wf_sock *waiting = s->backlog;
        s->backlog = waiting->backlog_next;
        wf_mem_sock_free(hub, waiting);
    }
    if (s->prev != NULL) s->prev->next = s->next;
    else s->net->socks = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
    wf_free(s);
}

void wf_mem_break(struct mem_link *link)
{
    link->broken = true;
    for (unsigned i = 0; i < 2; i++) {
        link->pipe[i].len = 0; /* as after a reset: what was not read is gone */
        wf_mem_wake(link->side[i]);
    }
}

wf_sock *wf_mem_listener(wf_net_hub *hub, const char *name)
{
    for (struct mem_net *net = hub->nets; net != NULL; net = net->next)
        for (wf_sock *s = net->socks; s != NULL; s = s->next)
            if (s->state == MEM_LISTENER && strcmp(s->name, name) == 0) return s;
    return NULL;
}

void wf_mem_put(struct mem_pipe *p, const uint8_t *data, size_t len)
{
    size_t to = (p->at + p->len) % MEM_PIPE_BYTES;
    size_t first = len < MEM_PIPE_BYTES - to ? len : MEM_PIPE_BYTES - to;
    memcpy(p->ring + to, data, first);
    memcpy(p->ring, data + first, len - first);
    p->len += len;
}

void wf_mem_join(wf_net_hub *hub, wf_sock *dialler)
{
    struct mem_link *link = NULL;
    wf_sock *l = wf_mem_listener(hub, dialler->name), *s = NULL;
    dialler->state = MEM_REFUSED;
    if (l == NULL || l->backlog_count >= MEM_BACKLOG_MAX) goto done;
    if (wf_mem_cut_between(hub, dialler->net->host, l->net->host)) goto done;
    link = link_create();
    if (link == NULL) goto done;
    s = wf_mem_sock_create(l->net, MEM_OPEN, NULL, NULL);
    if (s == NULL || !ring(l->net)) { /* no ring: the listener's process is gone */
        if (s != NULL) wf_mem_sock_free(hub, s);
        link_free(link);
        goto done;
    }
    snprintf(s->from, sizeof s->from, "%s:%u", dialler->net->host, hub->next_port);
    if (++hub->next_port > 65535) hub->next_port = MEM_PORT_FIRST;
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
    wf_mem_wake(l);
done:
    wf_mem_wake(dialler);
}

void wf_mem_net_free(wf_net_hub *hub, struct mem_net *net)
{
    while (net->socks != NULL) wf_mem_sock_free(hub, net->socks);
    for (struct mem_net **at = &hub->nets; *at != NULL; at = &(*at)->next) {
        if (*at != net) continue;
        *at = net->next;
        break;
    }
    net->bell->net = NULL;
    weft_addr_put(net->owner);
    wf_free(net);
}

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
    hub->next_port = MEM_PORT_FIRST;
    hub->pump_at = WEFT_NEVER;
    *out = hub;
    return WEFT_OK;
}

void wf_net_hub_destroy(wf_net_hub *hub)
{
    if (hub == NULL) return;
    while (hub->nets != NULL) /* of processes that were killed */
        wf_mem_net_free(hub, hub->nets);
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
            if (s->link != NULL) wf_mem_break(s->link);
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
