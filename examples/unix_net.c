/* SPDX-License-Identifier: Apache-2.0
 * unix_net.c - how a network is written: Unix sockets with names that are in no folder.
 * Called by: the transport's thread, through the table. May touch: sockets.
 * Never: blocks; knows what the bytes mean. */
#include "unix_net.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64u
#define DRAIN_ROUNDS 16

struct weft_sock {
    int fd;
    bool refused; /* a dial that found nobody: told by connected(), once it is waited for */
    bool watched;
    uint32_t events;
    weft_net_ready ready;
    void *arg;
};

/* -- Addresses ------------------------------------------------------------------------ */

static weft_err parse(const char *address, char name[NAME_MAX_BYTES], unsigned *number)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strspn(address, letters), digits = 0;
    if (len == 0 || len >= NAME_MAX_BYTES || address[len] != ':') return WEFT_ADDRESS;
    *number = 0;
    for (const char *at = address + len + 1; *at != '\0'; at++, digits++) {
        if (*at < '0' || *at > '9' || digits == 5) return WEFT_ADDRESS;
        *number = *number * 10 + (unsigned)(*at - '0');
    }
    if (digits == 0 || *number > 65535) return WEFT_ADDRESS;
    memcpy(name, address, len);
    name[len] = '\0';
    return WEFT_OK;
}

/* A name that begins with a zero byte is in no folder, and gone with its last socket. */
static socklen_t place(const char *name, unsigned number, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    int len = snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "weft/%s:%u", name, number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static weft_err un_check(weft_net *net, const char *address)
{
    char name[NAME_MAX_BYTES];
    unsigned number;
    (void)net;
    return parse(address, name, &number);
}

static weft_err un_resolve(weft_net *net, const char *address, weft_endpoint *out, size_t room,
                           size_t *count)
{
    char name[NAME_MAX_BYTES];
    unsigned number;
    struct sockaddr_un at;
    (void)net;
    if (parse(address, name, &number) != WEFT_OK || number == 0 || room == 0) return WEFT_ADDRESS;
    out[0].len = place(name, number, &at);
    memcpy(out[0].bytes, &at, out[0].len);
    *count = 1;
    return WEFT_OK;
}

/* -- Sockets ---------------------------------------------------------------------------- */

static weft_err open_fd(int *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno == EMFILE || errno == ENFILE ? WEFT_LIMIT : WEFT_NETWORK;
    *out = fd;
    return WEFT_OK;
}

/* Takes the descriptor, also when it fails. */
static weft_err sock_create(int fd, weft_net_ready ready, void *arg, weft_sock **out)
{
    weft_sock *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)close(fd);
        return WEFT_NO_MEMORY;
    }
    s->fd = fd;
    s->ready = ready;
    s->arg = arg;
    *out = s;
    return WEFT_OK;
}

static weft_err bind_one(int fd, const char *name, unsigned *number)
{
    struct sockaddr_un at;
    unsigned first = *number == 0 ? 1 : *number, last = *number == 0 ? 65535 : *number;
    for (unsigned n = first; n <= last; n++) {
        socklen_t len = place(name, n, &at);
        if (bind(fd, (const struct sockaddr *)&at, len) == 0) {
            *number = n;
            return listen(fd, 128) == 0 ? WEFT_OK : WEFT_NETWORK;
        }
        if (errno != EADDRINUSE) return WEFT_NETWORK;
    }
    return WEFT_EXISTS;
}

static weft_err un_listen(weft_net *net, weft_self *self, const char *address, weft_net_ready ready,
                          void *arg, weft_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX])
{
    char name[NAME_MAX_BYTES];
    unsigned number;
    int fd;
    (void)net;
    (void)self;
    weft_err err = parse(address, name, &number);
    if (err == WEFT_OK) err = open_fd(&fd);
    if (err != WEFT_OK) return err;
    err = bind_one(fd, name, &number);
    if (err != WEFT_OK) {
        (void)close(fd);
        return err;
    }
    snprintf(bound, WEFT_ADDRESS_BYTES_MAX, "%s:%u", name, number);
    return sock_create(fd, ready, arg, out);
}

/* Who comes has no address; its process is the next best thing to count by. */
static void who(int fd, char from[WEFT_ADDRESS_BYTES_MAX])
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    snprintf(from, WEFT_ADDRESS_BYTES_MAX, "process-%ld:0", (long)peer.pid);
}

static weft_err un_accept(weft_net *net, weft_self *self, weft_sock *listener, weft_net_ready ready,
                          void *arg, weft_sock **out, char from[WEFT_ADDRESS_BYTES_MAX])
{
    (void)net;
    (void)self;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno == EMFILE || errno == ENFILE ? WEFT_LIMIT : WEFT_AGAIN;
    who(fd, from);
    return sock_create(fd, ready, arg, out) == WEFT_OK ? WEFT_OK : WEFT_LIMIT;
}

static weft_err un_dial(weft_net *net, weft_self *self, const weft_endpoint *to,
                        weft_net_ready ready, void *arg, weft_sock **out)
{
    struct sockaddr_un at;
    int fd;
    (void)net;
    (void)self;
    memcpy(&at, to->bytes, to->len);
    weft_err err = open_fd(&fd);
    if (err != WEFT_OK) return err;
    bool refused = connect(fd, (const struct sockaddr *)&at, to->len) != 0;
    err = sock_create(fd, ready, arg, out);
    if (err == WEFT_OK) (*out)->refused = refused;
    return err;
}

static weft_err un_connected(weft_net *net, weft_sock *s)
{
    (void)net;
    return s->refused ? WEFT_UNREACHABLE : WEFT_OK;
}

static weft_err un_send(weft_net *net, weft_sock *s, const void *data, size_t len, size_t *moved)
{
    (void)net;
    ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? WEFT_AGAIN : WEFT_NETWORK;
    *moved = (size_t)n;
    return WEFT_OK;
}

static weft_err un_receive(weft_net *net, weft_sock *s, void *data, size_t room, size_t *moved)
{
    (void)net;
    ssize_t n = recv(s->fd, data, room, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? WEFT_AGAIN : WEFT_NETWORK;
    if (n == 0) return WEFT_END;
    *moved = (size_t)n;
    return WEFT_OK;
}

/* -- Readiness ---------------------------------------------------------------------------- */

static void on_fd(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    weft_sock *s = arg;
    uint32_t told = 0;
    (void)fd;
    if (events & WEFT_FD_READ) told |= WEFT_NET_READ;
    if (events & WEFT_FD_WRITE) told |= WEFT_NET_WRITE;
    if (events & WEFT_FD_HANGUP) told |= s->events; /* whatever was waited for, it has ended */
    s->ready(self, state, s, told, s->arg);         /* last: `s` may be gone now */
}

static weft_err un_interest(weft_net *net, weft_self *self, weft_sock *s, uint32_t events)
{
    uint32_t wanted = (events & WEFT_NET_READ ? WEFT_FD_READ : 0u) |
                      (events & WEFT_NET_WRITE ? WEFT_FD_WRITE : 0u);
    (void)net;
    if (wanted != 0) {
        weft_err err = weft_fd_watch(self, s->fd, wanted, on_fd, s);
        if (err != WEFT_OK) return err;
    } else if (s->watched) {
        (void)weft_fd_unwatch(self, s->fd);
    }
    s->watched = wanted != 0;
    s->events = events;
    return WEFT_OK;
}

static void un_close(weft_net *net, weft_self *self, weft_sock *s)
{
    char sink[4096];
    (void)net;
    if (s == NULL) return;
    if (s->watched) (void)weft_fd_unwatch(self, s->fd);
    /* A socket that is closed with bytes unread takes back what it has sent. */
    for (int i = 0; i < DRAIN_ROUNDS; i++)
        if (recv(s->fd, sink, sizeof sink, MSG_DONTWAIT) <= 0) break;
    (void)close(s->fd);
    free(s);
}

static void un_destroy(weft_net *net) { free(net); }

static const struct weft_net_ops ops = {
    .type = "unix",
    .check = un_check,
    .resolve = un_resolve,
    .listen = un_listen,
    .accept = un_accept,
    .dial = un_dial,
    .connected = un_connected,
    .send = un_send,
    .receive = un_receive,
    .interest = un_interest,
    .close = un_close,
    .destroy = un_destroy,
};

weft_err unix_net_create(weft_net **out)
{
    weft_net *net = calloc(1, sizeof *net);
    if (net == NULL) return WEFT_NO_MEMORY;
    net->ops = &ops;
    *out = net;
    return WEFT_OK;
}
