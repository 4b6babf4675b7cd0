/* SPDX-License-Identifier: Apache-2.0
 * hostile.c - raw clients and a wire tap, below everything that weft would allow.
 * Called by: script.c. May touch: sockets of its own, one thread for each tap.
 * Never: weft; addresses other than the demo's own nodes. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"

#define PATIENCE_NS UINT64_C(10000000000)
#define TICK_MS 20
#define RECORD_MAX (4u << 20) /* of a copy: what comes after it is carried only */

static int dial(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    char host[64];
    unsigned port;
    if (sscanf(address, "tcp:%63[0-9.]:%u", host, &port) != 2 || port > UINT16_MAX ||
        inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return -1;
    to.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends what fits before the other side hangs up. */
static void push(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

bool hostile_send(const char *address, const void *bytes, size_t len, size_t *answered)
{
    int fd = dial(address);
    if (fd < 0) return false;
    push(fd, bytes, len);
    uint64_t give_up = kit_now_ns() + PATIENCE_NS;
    bool ended = false;
    size_t got_all = 0;
    uint8_t room[4096];
    while (!ended && kit_now_ns() < give_up && kit_signal() == 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) <= 0) continue;
        ssize_t got = recv(fd, room, sizeof room, 0);
        ended = got <= 0;
        if (got > 0) got_all += (size_t)got;
    }
    close(fd);
    if (answered != NULL) *answered = got_all;
    return ended;
}

struct tap {
    pthread_t thread;
    pthread_mutex_t lock; /* guards the rest */
    int listener;
    bool stop, repeat, ended; /* ended: the node hung up */
    uint8_t *sent;
    size_t sent_len, sent_room;
    char address[256];
};

/* The last whole record in the copy: two bytes of length, big-endian, then the rest. */
static bool last_record(const struct tap *tap, size_t *at, size_t *len)
{
    size_t from = 0;
    bool found = false;
    while (tap->sent_len - from >= 2) {
        size_t size = 2u + ((size_t)tap->sent[from] << 8 | tap->sent[from + 1]);
        if (tap->sent_len - from < size) break;
        *at = from;
        *len = size;
        found = true;
        from += size;
    }
    return found;
}

static void keep(struct tap *tap, const uint8_t *bytes, size_t len)
{
    pthread_mutex_lock(&tap->lock);
    if (tap->sent_len + len <= RECORD_MAX) {
        tap->sent = kit_grow(tap->sent, &tap->sent_room, tap->sent_len + len, 1);
        memcpy(tap->sent + tap->sent_len, bytes, len);
        tap->sent_len += len;
    }
    pthread_mutex_unlock(&tap->lock);
}

/* Does what it was told since the last look. false: stop. */
static bool told(struct tap *tap, int node)
{
    size_t at, len;
    pthread_mutex_lock(&tap->lock);
    bool go_on = !tap->stop;
    if (tap->repeat && last_record(tap, &at, &len)) {
        push(node, tap->sent + at, len);
        tap->repeat = false;
    }
    pthread_mutex_unlock(&tap->lock);
    return go_on;
}

static void carry(struct tap *tap, int dialler, int node)
{
    static const size_t room = 65536;
    uint8_t *bytes = kit_alloc(room, 1);
    bool open = true;
    while (told(tap, node) && open) {
        struct pollfd p[2] = {{.fd = dialler, .events = POLLIN}, {.fd = node, .events = POLLIN}};
        if (poll(p, 2, TICK_MS) <= 0) continue;
        for (int i = 0; i < 2 && open; i++) {
            if (p[i].revents == 0) continue;
            ssize_t got = recv(p[i].fd, bytes, room, 0);
            open = got > 0;
            if (!open && i == 1) {
                pthread_mutex_lock(&tap->lock);
                tap->ended = true;
                pthread_mutex_unlock(&tap->lock);
            }
            if (!open) break;
            if (i == 0) keep(tap, bytes, (size_t)got);
            push(i == 0 ? node : dialler, bytes, (size_t)got);
        }
    }
    free(bytes);
}

static void *tap_main(void *arg)
{
    struct tap *tap = arg;
    int dialler = -1, node = -1;
    while (dialler < 0 && told(tap, -1)) {
        struct pollfd p = {.fd = tap->listener, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) > 0) dialler = accept4(tap->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    if (dialler >= 0) node = dial(tap->address);
    if (node >= 0) carry(tap, dialler, node);
    if (dialler >= 0) close(dialler);
    if (node >= 0) close(node);
    return NULL;
}

struct tap *tap_open(const char *address, char *out_address, size_t out_len)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof own;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) != 0) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    struct tap *tap = kit_alloc(1, sizeof *tap);
    tap->listener = fd;
    pthread_mutex_init(&tap->lock, NULL);
    snprintf(tap->address, sizeof tap->address, "%s", address);
    snprintf(out_address, out_len, "tcp:127.0.0.1:%u", ntohs(own.sin_port));
    if (pthread_create(&tap->thread, NULL, tap_main, tap) == 0) return tap;
    close(fd);
    free(tap);
    return NULL;
}

bool tap_repeat(struct tap *tap)
{
    uint64_t give_up = kit_now_ns() + PATIENCE_NS;
    pthread_mutex_lock(&tap->lock);
    tap->repeat = true;
    while (!tap->ended && kit_now_ns() < give_up && kit_signal() == 0) {
        pthread_mutex_unlock(&tap->lock);
        kit_sleep_until(kit_now_ns() + 5000000);
        pthread_mutex_lock(&tap->lock);
    }
    bool ended = tap->ended && !tap->repeat;
    pthread_mutex_unlock(&tap->lock);
    return ended;
}

size_t tap_record(struct tap *tap, const uint8_t **out)
{
    pthread_mutex_lock(&tap->lock);
    *out = tap->sent;
    size_t len = tap->sent_len;
    pthread_mutex_unlock(&tap->lock);
    return len;
}

void tap_close(struct tap *tap)
{
    if (tap == NULL) return;
    pthread_mutex_lock(&tap->lock);
    tap->stop = true;
    pthread_mutex_unlock(&tap->lock);
    pthread_join(tap->thread, NULL);
    close(tap->listener);
    pthread_mutex_destroy(&tap->lock);
    free(tap->sent);
    free(tap);
}
