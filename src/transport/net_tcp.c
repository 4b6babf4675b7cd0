/* SPDX-License-Identifier: Apache-2.0
 * net_tcp.c - the network of the machine: TCP over IPv4 and IPv6 (net.h).
 * Called by: the transport manager and the resolver, through the table. May touch:
 * sockets, name look-ups. Never: blocks outside resolve; knows frames or keys. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc.h"
#include "log.h"
#include "net_tcp.h"

#define BACKLOG 256
#define HOST_BYTES_MAX 254u
#define DRAIN_ROUNDS 16u /* of what a closing socket still holds unread */

struct weft_sock {
    int fd;
    bool watched;
    uint32_t events;
    wf_net_ready ready;
    void *arg;
};

/* -- Addresses ------------------------------------------------------------------------- */

struct host_port {
    char host[HOST_BYTES_MAX];
    char port[6];
    bool bracketed; /* "[...]": a literal IPv6 address */
};

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '%';
}

static bool port_parse(const char *text, char out[6])
{
    unsigned value = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > 65535) return false;
    memcpy(out, text, len + 1);
    return true;
}

/* A literal address never asks a name server, so this is quick and cannot block. */
static weft_err literal(const struct host_port *hp, struct sockaddr_storage *out, socklen_t *len)
{
    struct addrinfo hints = {.ai_family = hp->bracketed ? AF_INET6 : AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(hp->host, hp->port, &hints, &list) != 0) return WEFT_ADDRESS;
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return WEFT_OK;
}

static weft_err parse(const char *address, struct host_port *out)
{
    struct sockaddr_storage sa;
    socklen_t sa_len;
    const char *colon = strrchr(address, ':');
    if (colon == NULL || !port_parse(colon + 1, out->port)) return WEFT_ADDRESS;
    const char *host = address;
    size_t len = (size_t)(colon - address);
    out->bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (out->bracketed) {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof out->host) return WEFT_ADDRESS;
    for (size_t i = 0; i < len; i++) {
        if (!host_char(host[i])) return WEFT_ADDRESS;
        if (!out->bracketed && (host[i] == ':' || host[i] == '%')) return WEFT_ADDRESS;
    }
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    return out->bracketed ? literal(out, &sa, &sa_len) : WEFT_OK;
}

static weft_err tcp_check(wf_net *net, const char *address)
{
    struct host_port hp;
    (void)net;
    return parse(address, &hp);
}

static void to_text(const struct sockaddr_storage *sa, socklen_t len,
                    char out[WEFT_ADDRESS_BYTES_MAX])
{
    char host[128], port[8];
    if (getnameinfo((const struct sockaddr *)sa, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        out[0] = '\0';
        return;
    }
    snprintf(out, WEFT_ADDRESS_BYTES_MAX, sa->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
             port);
}

static weft_err tcp_resolve(wf_net *net, const char *address, wf_endpoint *out, size_t room,
                            size_t *count)
{
    struct host_port hp;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    size_t n = 0;
    (void)net;
    if (parse(address, &hp) != WEFT_OK || strtol(hp.port, NULL, 10) == 0) return WEFT_ADDRESS;
    if (hp.bracketed) hints.ai_flags |= AI_NUMERICHOST;
    if (getaddrinfo(hp.host, hp.port, &hints, &list) != 0) return WEFT_UNREACHABLE;
    for (struct addrinfo *ai = list; ai != NULL && n < room; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof out[n].bytes) continue;
        memcpy(out[n].bytes, ai->ai_addr, ai->ai_addrlen);
        out[n++].len = ai->ai_addrlen;
    }
    freeaddrinfo(list);
    if (n == 0) return WEFT_UNREACHABLE;
    *count = n;
    return WEFT_OK;
}

/* -- Sockets --------------------------------------------------------------------------- */

static weft_err sock_create(int fd, wf_net_ready ready, void *arg, wf_sock **out)
{
    wf_sock *s = wf_calloc(1, sizeof *s);
    if (s == NULL) return WEFT_NO_MEMORY;
    s->fd = fd;
    s->ready = ready;
    s->arg = arg;
    *out = s;
    return WEFT_OK;
}

static weft_err open_fd(int family, int *out)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) return WEFT_LIMIT;
    if (fd < 0) return errno == EAFNOSUPPORT ? WEFT_UNREACHABLE : WEFT_NETWORK;
    *out = fd;
    return WEFT_OK;
}

static void no_delay(int fd)
{
    int on = 1; /* frames are coalesced above; a delay here would only add latency */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static weft_err bind_and_listen(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* "[::]" means IPv6 on every machine, whatever its default is. */
    if (sa->ss_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)sa, len) != 0 || listen(fd, BACKLOG) != 0) {
        if (errno == EADDRINUSE) return WEFT_EXISTS;
        return errno == EADDRNOTAVAIL ? WEFT_ADDRESS : WEFT_NETWORK;
    }
    return WEFT_OK;
}

static weft_err tcp_listen(wf_net *net, weft_self *self, const char *address, wf_net_ready ready,
                           void *arg, wf_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX])
{
    struct host_port hp;
    struct sockaddr_storage sa;
    socklen_t len;
    int fd = -1;
    wf_sock *s = NULL;
    (void)net;
    (void)self;
    weft_err err = parse(address, &hp);
    if (err == WEFT_OK && literal(&hp, &sa, &len) != WEFT_OK) err = WEFT_AGAIN;
    if (err == WEFT_OK) err = open_fd(sa.ss_family, &fd);
    if (err == WEFT_OK) err = bind_and_listen(fd, &sa, len);
    if (err == WEFT_OK) {
        len = sizeof sa;
        if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0) err = WEFT_NETWORK;
    }
    if (err == WEFT_OK) err = sock_create(fd, ready, arg, &s);
    if (err != WEFT_OK) {
        if (fd >= 0) (void)close(fd);
        return err;
    }
    to_text(&sa, len, bound);
    *out = s;
    return WEFT_OK;
}

/* Which of the name's addresses are this machine's, only the machine knows: the first that
 * can be bound to any port. */
static weft_err tcp_listen_name(wf_net *net, const char *address, char out[WEFT_ADDRESS_BYTES_MAX])
{
    struct host_port hp;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char host[128];
    weft_err err = parse(address, &hp);
    (void)net;
    if (err != WEFT_OK) return err;
    if (getaddrinfo(hp.host, NULL, &hints, &list) != 0) return WEFT_UNREACHABLE;
    err = WEFT_ADDRESS;
    for (struct addrinfo *ai = list; ai != NULL && err != WEFT_OK; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
            getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) ==
                0) {
            snprintf(out, WEFT_ADDRESS_BYTES_MAX, ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                     host, hp.port);
            err = WEFT_OK;
        }
        (void)close(fd);
    }
    freeaddrinfo(list);
    return err;
}

static weft_err accept_error(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return WEFT_LIMIT;
    case EBADF:
    case EINVAL:
    case ENOTSOCK: return WEFT_NETWORK;
    default: /* that one connection failed, or there is none: the listener is well */
        return WEFT_AGAIN;
    }
}

static weft_err tcp_accept(wf_net *net, weft_self *self, wf_sock *listener, wf_net_ready ready,
                           void *arg, wf_sock **out, char from[WEFT_ADDRESS_BYTES_MAX])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd;
    (void)net;
    (void)self;
    do {
        fd = accept4(listener->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return accept_error(errno);
    no_delay(fd);
    weft_err err = sock_create(fd, ready, arg, out);
    if (err != WEFT_OK) {
        (void)close(fd);
        return WEFT_LIMIT;
    }
    to_text(&sa, len, from);
    return WEFT_OK;
}

static weft_err tcp_dial(wf_net *net, weft_self *self, const wf_endpoint *to, wf_net_ready ready,
                         void *arg, wf_sock **out)
{
    struct sockaddr_storage sa;
    int fd, rc;
    wf_sock *s = NULL;
    (void)net;
    (void)self;
    WF_ASSERT(to->len <= sizeof sa);
    memcpy(&sa, to->bytes, to->len);
    weft_err err = open_fd(sa.ss_family, &fd);
    if (err != WEFT_OK) return err;
    no_delay(fd);
    rc = connect(fd, (const struct sockaddr *)&sa, to->len);
    if (rc != 0 && errno != EINPROGRESS && errno != EINTR)
        err = errno == EAGAIN || errno == EADDRNOTAVAIL ? WEFT_LIMIT : WEFT_UNREACHABLE;
    if (err == WEFT_OK) err = sock_create(fd, ready, arg, &s);
    if (err != WEFT_OK) {
        (void)close(fd);
        return err;
    }
    *out = s;
    return WEFT_OK;
}

static weft_err tcp_connected(wf_net *net, wf_sock *s)
{
    int error = 0;
    socklen_t len = sizeof error;
    struct sockaddr_storage sa;
    socklen_t sa_len = sizeof sa;
    (void)net;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) return WEFT_NETWORK;
    if (error != 0) return WEFT_UNREACHABLE;
    if (getpeername(s->fd, (struct sockaddr *)&sa, &sa_len) == 0) return WEFT_OK;
    return errno == ENOTCONN ? WEFT_AGAIN : WEFT_NETWORK;
}

static weft_err tcp_send(wf_net *net, wf_sock *s, const void *data, size_t len, size_t *moved)
{
    ssize_t n;
    (void)net;
    do {
        n = send(s->fd, data, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN || errno == ENOBUFS ? WEFT_AGAIN : WEFT_NETWORK;
    *moved = (size_t)n;
    return WEFT_OK;
}

static weft_err tcp_receive(wf_net *net, wf_sock *s, void *data, size_t room, size_t *moved)
{
    ssize_t n;
    (void)net;
    do {
        n = recv(s->fd, data, room, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN ? WEFT_AGAIN : WEFT_NETWORK;
    if (n == 0) return WEFT_END;
    *moved = (size_t)n;
    return WEFT_OK;
}

static void on_fd(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    wf_sock *s = arg;
    uint32_t told = 0;
    (void)fd;
    if (events & WEFT_FD_READ) told |= WF_NET_READ;
    if (events & WEFT_FD_WRITE) told |= WF_NET_WRITE;
    if (events & WEFT_FD_HANGUP) told |= s->events; /* whatever was waited for, it has ended */
    s->ready(self, state, s, told, s->arg);
}

static weft_err tcp_interest(wf_net *net, weft_self *self, wf_sock *s, uint32_t events)
{
    uint32_t wanted = (events & WF_NET_READ ? WEFT_FD_READ : 0u) |
                      (events & WF_NET_WRITE ? WEFT_FD_WRITE : 0u);
    (void)net;
    if (s->watched && s->events == events) return WEFT_OK;
    if (wanted == 0) {
        if (s->watched) (void)weft_fd_unwatch(self, s->fd); /* a hang-up would spin */
        s->watched = false;
    } else {
        weft_err err = weft_fd_watch(self, s->fd, wanted, on_fd, s);
        if (err != WEFT_OK) return err;
        s->watched = true;
    }
    s->events = events;
    return WEFT_OK;
}

/* -- Changing hands -------------------------------------------------------------------- */

void wf_net_tcp_take_fd(wf_net *net, weft_self *self, wf_sock *s, int *out)
{
    (void)net;
    if (s->watched) (void)weft_fd_unwatch(self, s->fd);
    *out = s->fd;
    wf_free(s);
}

weft_err wf_net_tcp_from_fd(wf_net *net, int fd, wf_net_ready ready, void *arg, wf_sock **out)
{
    (void)net;
    weft_err err = sock_create(fd, ready, arg, out);
    if (err == WEFT_OK) no_delay(fd); /* whoever had it may have wished otherwise */
    return err;
}

/* Unread bytes would turn the close into a reset, and a reset may overtake what was sent last. */
void wf_net_tcp_drain(wf_net *net, wf_sock *s)
{
    uint8_t sink[4096];
    (void)net;
    for (unsigned i = 0; i < DRAIN_ROUNDS; i++)
        if (recv(s->fd, sink, sizeof sink, MSG_DONTWAIT) <= 0) break;
}

void wf_net_tcp_hang_up(int fd) { (void)shutdown(fd, SHUT_RDWR); }

static void tcp_close(wf_net *net, weft_self *self, wf_sock *s)
{
    int fd;
    if (s == NULL) return;
    wf_net_tcp_drain(net, s);
    wf_net_tcp_take_fd(net, self, s, &fd);
    (void)close(fd);
}

static void tcp_destroy(wf_net *net) { wf_free(net); }

static const struct weft_net_ops tcp_ops = {
    .type = "tcp",
    .check = tcp_check,
    .resolve = tcp_resolve,
    .listen = tcp_listen,
    .listen_name = tcp_listen_name,
    .accept = tcp_accept,
    .dial = tcp_dial,
    .connected = tcp_connected,
    .send = tcp_send,
    .receive = tcp_receive,
    .interest = tcp_interest,
    .close = tcp_close,
    .destroy = tcp_destroy,
    .reach = wf_net_tcp_reach,
    .interfaces = wf_net_tcp_interfaces,
};

weft_err wf_net_tcp_create(wf_net **out)
{
    struct wf_net_tcp *net = wf_calloc(1, sizeof *net);
    if (net == NULL) return WEFT_NO_MEMORY;
    net->net.ops = &tcp_ops;
    *out = &net->net;
    return WEFT_OK;
}
