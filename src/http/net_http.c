/* SPDX-License-Identifier: Apache-2.0
 * net_http.c - a network of connections that were HTTP before: the table (weft/net.h).
 * Called by: the transport manager and the resolver, through the table. May touch: sockets of
 * TCP, through its table. Never: the descriptors below them, HTTP itself. */
#include <string.h>

#include "alloc.h"
#include "http_state.h"

void wf_http_list_add(struct http_list *list, struct http_sock *s)
{
    s->prev = list->last;
    s->next = NULL;
    if (list->last != NULL) list->last->next = s;
    else list->first = s;
    list->last = s;
    list->count++;
}

void wf_http_list_remove(struct http_list *list, struct http_sock *s)
{
    if (s->prev != NULL) s->prev->next = s->next;
    else list->first = s->next;
    if (s->next != NULL) s->next->prev = s->prev;
    else list->last = s->prev;
    s->prev = s->next = NULL;
    list->count--;
}

/* -- Sockets -------------------------------------------------------------------------------- */

struct http_sock *wf_http_sock_create(struct http_net *net, enum http_state state,
                                      weft_net_ready ready, void *arg)
{
    struct http_sock *s = wf_calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->net = net;
    s->state = state;
    s->ready = ready;
    s->arg = arg;
    s->fd = -1;
    return s;
}

static void unkick(struct http_sock *s)
{
    struct http_net *net = s->net;
    struct http_sock **at = &net->kick_first, *before = NULL;
    if (!s->kicked) return;
    while (*at != s) {
        before = *at;
        at = &before->kick_next;
    }
    *at = s->kick_next;
    if (net->kick_last == s) net->kick_last = before;
    s->kick_next = NULL;
    s->kicked = false;
}

void wf_http_sock_free(struct http_sock *s)
{
    unkick(s);
    wf_free(s->early);
    wf_free(s->asking);
    wf_free(s);
}

weft_err wf_http_early(struct http_sock *s, const void *data, size_t len)
{
    if (len == 0) return WEFT_OK;
    s->early = wf_memdup(data, len);
    if (s->early == NULL) return WEFT_NO_MEMORY;
    s->early_at = 0;
    s->early_len = len;
    return WEFT_OK;
}

/* -- Telling what TCP does not know ------------------------------------------------------------ */

static uint32_t to_tell(const struct http_sock *s)
{
    uint32_t events = 0;
    switch (s->state) {
    case HTTP_LISTENER: events = s->upgraded.first != NULL ? WEFT_NET_READ : 0u; break;
    case HTTP_OPEN: events = s->early != NULL ? WEFT_NET_READ : 0u; break;
    case HTTP_FAILED: events = WEFT_NET_READ | WEFT_NET_WRITE; break;
    case HTTP_HEAD:
    case HTTP_READY:
    case HTTP_DIAL:
    case HTTP_ASK:
    case HTTP_ANSWER:
    case HTTP_LEFT: break;
    }
    return events & s->interest;
}

static void queue(struct http_sock *s)
{
    struct http_net *net = s->net;
    if (s->kicked) return;
    s->kicked = true;
    s->kick_next = NULL;
    if (net->kick_last != NULL) net->kick_last->kick_next = s;
    else net->kick_first = s;
    net->kick_last = s;
}

/* One at a time, since whoever is told may close all others and the network with them. */
static void on_kick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct http_net *net = (struct http_net *)((char *)timer - offsetof(struct http_net, kick));
    struct http_sock *s;
    uint32_t events = 0;
    (void)missed;
    if (net->run_again) wf_http_run(net);
    while ((s = net->kick_first) != NULL) {
        unkick(s);
        events = to_tell(s);
        if (events != 0) break;
    }
    if (s == NULL) return;
    queue(s); /* level-triggered: looked at again, and left out if it was served */
    wf_http_kick_arm(net);
    s->ready(self, state, (weft_sock *)s, events, s->arg);
}

void wf_http_kick_arm(struct http_net *net)
{
    (void)weft_timer_set(net->self, &net->kick, weft_now(net->self), 0, on_kick);
}

void wf_http_kick(struct http_sock *s)
{
    if (to_tell(s) == 0) return;
    queue(s);
    wf_http_kick_arm(s->net);
}

void wf_http_on_tcp(weft_self *self, void *state, weft_sock *tcp, uint32_t events, void *arg)
{
    struct http_sock *s = arg;
    (void)tcp;
    s->ready(self, state, (weft_sock *)s, events & s->interest, s->arg);
}

/* -- The table ------------------------------------------------------------------------------------ */

static weft_err http_check(weft_net *base, const char *address)
{
    const struct http_net *net = (const struct http_net *)base;
    struct wf_http_address a;
    weft_err err = wf_http_address_read(address, &a);
    return err != WEFT_OK ? err : net->tcp->ops->check(net->tcp, a.host_port);
}

/* An endpoint is one of TCP, the text that is to be asked for, and the length of the first. */
static weft_err http_resolve(weft_net *base, const char *address, weft_endpoint *out, size_t room,
                             size_t *count)
{
    const struct http_net *net = (const struct http_net *)base;
    struct wf_http_address a;
    size_t len = strlen(address), n = 0;
    weft_err err = wf_http_address_read(address, &a);
    if (err == WEFT_OK) err = net->tcp->ops->resolve(net->tcp, a.host_port, out, room, &n);
    if (err != WEFT_OK) return err;
    for (size_t i = 0; i < n; i++) {
        uint32_t tcp = out[i].len;
        if (tcp > UINT8_MAX || tcp + len + 1 > sizeof out[i].bytes) return WEFT_ADDRESS;
        memcpy(out[i].bytes + tcp, address, len);
        out[i].bytes[tcp + len] = (uint8_t)tcp;
        out[i].len = (uint32_t)(tcp + len + 1);
    }
    *count = n;
    return WEFT_OK;
}

static void use(struct http_net *net, weft_self *self)
{
    net->self = self;
    net->users++;
}

static weft_err http_listen(weft_net *base, weft_self *self, const char *address,
                            weft_net_ready ready, void *arg, weft_sock **out,
                            char bound[WEFT_ADDRESS_BYTES_MAX])
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *s = NULL;
    net->self = self;
    weft_err err = wf_http_listen(net, address, ready, arg, &s, bound);
    if (err != WEFT_OK) return err;
    use(net, self);
    *out = (weft_sock *)s;
    return WEFT_OK;
}

static weft_err http_listen_name(weft_net *base, const char *address,
                                 char out[WEFT_ADDRESS_BYTES_MAX])
{
    const struct http_net *net = (const struct http_net *)base;
    struct wf_http_address a;
    char literal[WEFT_ADDRESS_BYTES_MAX];
    weft_err err = wf_http_address_read(address, &a);
    if (err == WEFT_OK) err = net->tcp->ops->listen_name(net->tcp, a.host_port, literal);
    return err != WEFT_OK ? err : wf_http_address_write(literal, a.path, out);
}

static weft_err http_accept(weft_net *base, weft_self *self, weft_sock *sock, weft_net_ready ready,
                            void *arg, weft_sock **out, char from[WEFT_ADDRESS_BYTES_MAX])
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *listener = (struct http_sock *)sock, *s = listener->upgraded.first;
    if (s == NULL) return WEFT_AGAIN;
    wf_http_list_remove(&listener->upgraded, s);
    s->state = HTTP_OPEN;
    s->listener = NULL;
    s->ready = ready;
    s->arg = arg;
    memcpy(from, s->from, sizeof s->from);
    use(net, self);
    *out = (weft_sock *)s;
    return WEFT_OK;
}

static weft_err http_dial(weft_net *base, weft_self *self, const weft_endpoint *to,
                          weft_net_ready ready, void *arg, weft_sock **out)
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *s = NULL;
    net->self = self;
    weft_err err = wf_http_dial(net, to, ready, arg, &s);
    if (err != WEFT_OK) return err;
    use(net, self);
    *out = (weft_sock *)s;
    return WEFT_OK;
}

static weft_err http_connected(weft_net *base, weft_sock *sock)
{
    const struct http_sock *s = (const struct http_sock *)sock;
    (void)base;
    if (s->state == HTTP_OPEN) return WEFT_OK;
    return s->state == HTTP_FAILED ? WEFT_UNREACHABLE : WEFT_AGAIN;
}

static weft_err http_send(weft_net *base, weft_sock *sock, const void *data, size_t len,
                          size_t *moved)
{
    struct http_net *net = (struct http_net *)base;
    const struct http_sock *s = (const struct http_sock *)sock;
    if (s->state != HTTP_OPEN) return s->state == HTTP_FAILED ? WEFT_NETWORK : WEFT_AGAIN;
    return net->tcp->ops->send(net->tcp, s->tcp, data, len, moved);
}

static weft_err http_receive(weft_net *base, weft_sock *sock, void *data, size_t room,
                             size_t *moved)
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *s = (struct http_sock *)sock;
    if (s->state != HTTP_OPEN) return s->state == HTTP_FAILED ? WEFT_NETWORK : WEFT_AGAIN;
    if (s->early == NULL || room == 0)
        return net->tcp->ops->receive(net->tcp, s->tcp, data, room, moved);
    size_t n = s->early_len - s->early_at;
    if (n > room) n = room;
    memcpy(data, s->early + s->early_at, n);
    s->early_at += n;
    if (s->early_at == s->early_len) {
        wf_free(s->early);
        s->early = NULL;
    }
    *moved = n;
    return WEFT_OK;
}

static weft_err http_interest(weft_net *base, weft_self *self, weft_sock *sock, uint32_t events)
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *s = (struct http_sock *)sock;
    weft_err err = WEFT_OK;
    s->interest = events;
    if (s->state == HTTP_LISTENER) err = wf_http_listen_interest(s);
    else if (s->state == HTTP_OPEN) err = net->tcp->ops->interest(net->tcp, self, s->tcp, events);
    if (err == WEFT_OK) wf_http_kick(s);
    return err;
}

static void http_close(weft_net *base, weft_self *self, weft_sock *sock)
{
    struct http_net *net = (struct http_net *)base;
    struct http_sock *s = (struct http_sock *)sock;
    if (s == NULL) return;
    if (s->state == HTTP_LISTENER) {
        wf_http_listen_close(s);
    } else if (s->upgrade != NULL) {
        wf_http_hand_back(s);
    } else {
        net->tcp->ops->close(net->tcp, self, s->tcp);
        wf_http_sock_free(s);
    }
    if (--net->users > 0) return;
    wf_http_rest(net);
    weft_timer_stop(self, &net->kick);
    weft_timer_stop(self, &net->clock);
    net->self = NULL;
}

static void http_destroy(weft_net *base)
{
    struct http_net *net = (struct http_net *)base;
    wf_http_end(net);
    net->tcp->ops->destroy(net->tcp);
    wf_free(net);
}

/* Behind a proxy only who set it up knows what is dialled. */
static weft_err http_reach(weft_net *base, const char *bound, bool all,
                           char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count)
{
    const struct http_net *net = (const struct http_net *)base;
    struct wf_http_address a;
    size_t found = 0, kept = 0;
    *count = 0;
    if (net->public_address[0] != '\0' && room > 0) {
        memcpy(out[0], net->public_address, sizeof net->public_address);
        *count = 1;
    }
    if (net->public_address[0] != '\0' || net->proxies_count > 0) return WEFT_OK;
    weft_err err = wf_http_address_read(bound, &a);
    if (err == WEFT_OK) err = wf_net_tcp_reach(net->tcp, a.host_port, all, out, room, &found);
    for (size_t i = 0; err == WEFT_OK && i < found; i++) {
        char address[WEFT_ADDRESS_BYTES_MAX];
        memcpy(address, out[i], sizeof address);
        if (wf_http_address_write(address, a.path, out[kept]) == WEFT_OK) kept++;
    }
    *count = kept;
    return err;
}

static void http_interfaces(weft_net *base, const char *interfaces)
{
    struct http_net *net = (struct http_net *)base;
    wf_net_tcp_interfaces(net->tcp, interfaces);
}

static const struct weft_net_ops http_ops = {
    .type = "http",
    .check = http_check,
    .resolve = http_resolve,
    .listen = http_listen,
    .listen_name = http_listen_name,
    .accept = http_accept,
    .dial = http_dial,
    .connected = http_connected,
    .send = http_send,
    .receive = http_receive,
    .interest = http_interest,
    .close = http_close,
    .destroy = http_destroy,
    .reach = http_reach,
    .interfaces = http_interfaces,
};

/* ADDRESS: nobody could dial it. */
static weft_err take_public(struct http_net *net, const char *address)
{
    static const char scheme[] = "http:";
    size_t len = strlen(address);
    if (strncmp(address, scheme, sizeof scheme - 1) != 0 || len >= sizeof net->public_address)
        return WEFT_ADDRESS;
    const char *rest = address + sizeof scheme - 1;
    memcpy(net->public_address, rest, strlen(rest) + 1);
    return http_check(&net->net, rest);
}

weft_err wf_net_http_create(const weft_http_options *options, weft_ns head_timeout, weft_net **out)
{
    if (options->proxies_count > WEFT_HTTP_PROXIES_MAX) return WEFT_LIMIT;
    if (options->proxies_count > 0 && options->proxies == NULL) return WEFT_INVALID;
    struct http_net *net = wf_calloc(1, sizeof *net);
    weft_err err = net == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < options->proxies_count; i++) {
        const char *proxy = options->proxies[i];
        size_t len = proxy == NULL ? 0 : strlen(proxy);
        if (len == 0 || len >= sizeof net->proxies[i]) err = WEFT_INVALID;
        else memcpy(net->proxies[net->proxies_count++], proxy, len);
    }
    if (err == WEFT_OK) err = weft_net_tcp_create(&net->tcp);
    if (err == WEFT_OK && options->public_address != NULL)
        err = take_public(net, options->public_address);
    if (err != WEFT_OK) {
        if (net != NULL && net->tcp != NULL) net->tcp->ops->destroy(net->tcp);
        wf_free(net);
        return err;
    }
    net->net.ops = &http_ops;
    net->head_timeout = head_timeout;
    net->epoll_fd = -1;
    *out = &net->net;
    return WEFT_OK;
}
