/* SPDX-License-Identifier: Apache-2.0
 * loop.c - one thread with one epoll, on which all hostile peers and proxies live.
 * Called by: peer.c, proxy.c, nodes.c, the roles. May touch: descriptors.
 * Never: waits for one of them alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile.h"

#define EVENTS 256
#define TICK_MS 5
#define EVERY_MAX 8u

static int all = -1;
static struct epoll_event ready[EVENTS];
static int ready_count, ready_at;
static struct {
    void (*fn)(void *arg);
    void *arg;
} every[EVERY_MAX];
static uint32_t every_count;

void ht_every(void (*fn)(void *arg), void *arg)
{
    if (every_count == EVERY_MAX) ht_die("too many that are called");
    every[every_count].fn = fn;
    every[every_count++].arg = arg;
}

void ht_watch(ht_item *item, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = item};
    if (all < 0) all = epoll_create1(EPOLL_CLOEXEC);
    if (all < 0) ht_die("epoll");
    if (item->events == (events | EPOLLERR)) return;
    int op = item->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(all, op, item->fd, &event) != 0) ht_die("epoll_ctl");
    item->events = events | EPOLLERR; /* never 0: it is watched */
}

void ht_close(ht_item *item)
{
    if (item->fd < 0) return;
    for (int i = ready_at; i < ready_count; i++) /* what was told of it already is void */
        if (ready[i].data.ptr == item) ready[i].data.ptr = NULL;
    close(item->fd);
    item->fd = -1;
    item->events = 0;
}

static void turn(int timeout_ms)
{
    if (all < 0) all = epoll_create1(EPOLL_CLOEXEC);
    ready_count = epoll_wait(all, ready, EVENTS, timeout_ms);
    for (ready_at = 0; ready_at < ready_count;) {
        ht_item *item = ready[ready_at].data.ptr;
        uint32_t events = ready[ready_at++].events;
        if (item != NULL) item->ready(item, events);
    }
    ready_count = ready_at = 0;
}

bool ht_loop(uint64_t until, bool (*done)(void *arg), void *arg)
{
    static uint64_t ticked;
    while (done == NULL || !done(arg)) {
        uint64_t now = ht_now();
        if (now >= until) return false;
        if (now - ticked >= TICK_MS * WEFT_MS) {
            ticked = now;
            for (uint32_t i = 0; i < every_count; i++) every[i].fn(every[i].arg);
        }
        turn(until - now < TICK_MS * WEFT_MS ? 1 : TICK_MS);
    }
    return true;
}

void ht_pass(uint64_t time) { (void)ht_loop(ht_now() + time, NULL, NULL); }

static struct sockaddr_in local(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
}

int ht_dial(uint16_t port, uint32_t from)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) ht_die("socket");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (from != 0) {
        struct sockaddr_in a = local(UINT32_C(0x7f100000) + (from & 0xffff), 0);
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0) ht_die("bind");
    }
    struct sockaddr_in to = local(INADDR_LOOPBACK, port);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

int ht_listen(uint16_t *port, bool everywhere)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = local(everywhere ? INADDR_ANY : INADDR_LOOPBACK, 0);
    socklen_t len = sizeof at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        ht_die("listen");
    *port = ntohs(at.sin_port);
    return fd;
}
