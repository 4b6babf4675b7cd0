/* SPDX-License-Identifier: Apache-2.0
 * http_server.c - those who come: accepted by TCP, upgraded by libmicrohttpd, then the owner's.
 * Called by: net_http.c, the actor's watch and timers, the library. May touch: the library, whose
 * one descriptor is watched; it has no thread. Never: calls the owner; the kick does that. */
#include <microhttpd.h>
#include <string.h>

#include "alloc.h"
#include "http_state.h"
#include "log.h"

#define ACCEPTS_PER_TURN 64u
#define RUNS_PER_TURN 16u
#define RETRY_NS (100 * WEFT_MS)           /* when TCP could not accept */
#define CONNECTION_BYTES ((size_t)8 << 10) /* of the library, for one head */

static weft_net *tcp_of(const struct http_net *net) { return net->tcp; }

/* -- The clock: heads that do not come, listeners that could not accept ------------------------ */

static void look_again(struct http_net *net);

static void hang_up(struct http_sock *s)
{
    if (s->hung_up) return;
    s->hung_up = true;
    wf_net_tcp_hang_up(s->fd); /* the library finds the end, and closes it */
}

static void on_clock(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct http_net *net = (struct http_net *)((char *)timer - offsetof(struct http_net, clock));
    weft_ns now = weft_now(self);
    (void)state;
    (void)missed;
    for (struct http_sock *s = net->heads.first; s != NULL && s->deadline <= now; s = s->next)
        hang_up(s);
    for (struct http_sock *l = net->listeners.first; l != NULL; l = l->next) {
        if (!l->paused) continue;
        l->paused = false;
        (void)wf_http_listen_interest(l);
    }
    wf_http_run(net);
    look_again(net);
}

static void look_again(struct http_net *net)
{
    weft_ns at = WEFT_NEVER, now = weft_now(net->self);
    for (const struct http_sock *s = net->heads.first; s != NULL; s = s->next) {
        if (s->hung_up) continue;
        at = s->deadline;
        break; /* the oldest is the first */
    }
    for (const struct http_sock *l = net->listeners.first; l != NULL; l = l->next)
        if (l->paused && now + RETRY_NS < at) at = now + RETRY_NS;
    if (at != WEFT_NEVER) (void)weft_timer_set(net->self, &net->clock, at, 0, on_clock);
}

/* -- What the library tells ------------------------------------------------------------------------ */

static struct http_sock *sock_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_net *net = cls;
    struct http_sock *s = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            c, MHD_CONNECTION_INFO_CONNECTION_FD);
        for (s = net->heads.first; s != NULL; s = s->next)
            if (!s->started && info != NULL && s->fd == info->connect_fd) break;
        if (s != NULL) s->started = true;
        *context = s;
        return;
    }
    if (s == NULL) return;
    WF_ASSERT(s->state == HTTP_HEAD || s->state == HTTP_LEFT); /* an upgraded one is ours to end */
    wf_http_list_remove(s->state == HTTP_HEAD ? &net->heads : &net->left, s);
    wf_http_sock_free(s);
    *context = NULL;
}

/* Of all lines of that name: has one `token`? And the last line. */
struct lines {
    const char *name, *token;
    bool has;
    const char *last;
    size_t last_len;
};

static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    struct lines *l = cls;
    (void)kind;
    if (value == NULL || strcasecmp(name, l->name) != 0) return MHD_YES;
    l->last = value;
    l->last_len = strlen(value);
    l->has |= l->token != NULL && wf_http_has_token(value, l->last_len, l->token);
    return MHD_YES;
}

static bool asks_for(struct MHD_Connection *c, const char *name, const char *token)
{
    struct lines l = {.name = name, .token = token};
    (void)MHD_get_connection_values(c, MHD_HEADER_KIND, on_line, &l);
    return l.has;
}

static size_t host_len(const char *from)
{
    const char *colon = strrchr(from, ':');
    return colon == NULL ? strlen(from) : (size_t)(colon - from);
}

static bool is_proxy(const struct http_net *net, const char *from)
{
    size_t len = host_len(from);
    if (len > 1 && from[0] == '[') {
        from++;
        len -= 2;
    }
    for (uint32_t i = 0; i < net->proxies_count; i++)
        if (strlen(net->proxies[i]) == len && memcmp(net->proxies[i], from, len) == 0) return true;
    return false;
}

static void believe(struct http_sock *s, struct MHD_Connection *c)
{
    struct lines l = {.name = "X-Forwarded-For"};
    if (!is_proxy(s->net, s->from)) return;
    (void)MHD_get_connection_values(c, MHD_HEADER_KIND, on_line, &l);
    if (l.last != NULL) (void)wf_http_forwarded(l.last, l.last_len, s->from);
}

static void on_upgrade(void *cls, struct MHD_Connection *c, void *request, const char *early,
                       size_t early_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *upgrade)
{
    struct http_net *net = cls;
    struct http_sock *s = sock_of(c);
    (void)request;
    bool wanted = s != NULL && s->state == HTTP_HEAD && s->listener != NULL && !s->hung_up;
    weft_err err = wanted ? wf_http_early(s, early, early_len) : WEFT_CLOSED;
    if (err == WEFT_OK) err = wf_net_tcp_from_fd(tcp_of(net), fd, wf_http_on_tcp, s, &s->tcp);
    if (err != WEFT_OK) { /* the library closes it, and on_connection frees what is ours */
        (void)MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
        return;
    }
    wf_http_list_remove(&net->heads, s);
    s->state = HTTP_READY;
    s->upgrade = upgrade;
    wf_http_list_add(&s->listener->upgraded, s);
    wf_http_kick(s->listener);
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *name,
                           const char *value)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (r == NULL) return MHD_NO;
    bool good = MHD_add_response_header(r, "Connection", "close") == MHD_YES;
    if (name != NULL) good &= MHD_add_response_header(r, name, value) == MHD_YES;
    enum MHD_Result said = good ? MHD_queue_response(c, status, r) : MHD_NO;
    MHD_destroy_response(r);
    return said;
}

static enum MHD_Result upgrade_to_us(struct http_net *net, struct MHD_Connection *c)
{
    struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgrade, net);
    if (r == NULL) return MHD_NO;
    enum MHD_Result said = MHD_add_response_header(r, "Upgrade", WF_HTTP_PROTOCOL);
    if (said == MHD_YES) said = MHD_queue_response(c, MHD_HTTP_SWITCHING_PROTOCOLS, r);
    MHD_destroy_response(r);
    return said;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **request)
{
    struct http_net *net = cls;
    struct http_sock *s = sock_of(c);
    (void)data;
    if (s == NULL || s->listener == NULL || s->state != HTTP_HEAD) return MHD_NO;
    if (*request == NULL) { /* the head alone: nothing may be said yet */
        *request = net;
        return MHD_YES;
    }
    if (*data_len != 0) { /* a body is read away until the clock ends it */
        *data_len = 0;
        return MHD_YES;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info == NULL || info->header_size > WEFT_HTTP_HEAD_BYTES_MAX)
        return say(c, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, NULL, NULL);
    if (strcmp(url, s->listener->path) != 0) return say(c, MHD_HTTP_NOT_FOUND, NULL, NULL);
    if (strcmp(method, "GET") != 0) return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "Allow", "GET");
    if (strcmp(version, "HTTP/1.1") != 0 || !asks_for(c, "Connection", "upgrade") ||
        !asks_for(c, "Upgrade", WF_HTTP_PROTOCOL))
        return say(c, MHD_HTTP_UPGRADE_REQUIRED, "Upgrade", WF_HTTP_PROTOCOL);
    believe(s, c);
    return upgrade_to_us(net, c);
}

/* -- Letting it work ----------------------------------------------------------------------------------- */

/* It is told of each connection in its lists; one that never got there was closed by it. */
static void forget_unstarted(struct http_net *net)
{
    for (struct http_sock *s = net->heads.first, *next; s != NULL; s = next) {
        next = s->next;
        if (s->started) continue;
        wf_http_list_remove(&net->heads, s);
        wf_http_sock_free(s);
    }
}

void wf_http_run(struct http_net *net)
{
    net->run_again = net->daemon != NULL;
    for (unsigned i = 0; net->run_again && i < RUNS_PER_TURN; i++) {
        MHD_UNSIGNED_LONG_LONG wait = 1;
        (void)MHD_run(net->daemon);
        net->run_again = MHD_get_timeout(net->daemon, &wait) == MHD_YES && wait == 0;
    }
    forget_unstarted(net);
    if (net->run_again && net->self != NULL) wf_http_kick_arm(net);
}

static void on_epoll(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    (void)self;
    (void)state;
    (void)fd;
    (void)events;
    wf_http_run(arg);
}

static weft_err start_library(struct http_net *net)
{
    if (net->daemon == NULL) {
        net->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_UPGRADE,
                                       0, NULL, NULL, on_request, net, MHD_OPTION_CONNECTION_LIMIT,
                                       (unsigned)(WEFT_CONNECTIONS_MAX + WEFT_HTTP_PENDING_MAX),
                                       MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
                                       MHD_OPTION_NOTIFY_CONNECTION, on_connection, net,
                                       MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
        if (net->daemon == NULL) return WEFT_NETWORK;
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(net->daemon,
                                                               MHD_DAEMON_INFO_EPOLL_FD);
        net->epoll_fd = info == NULL ? -1 : info->epoll_fd;
    }
    if (net->watched) return WEFT_OK;
    weft_err err = weft_fd_watch(net->self, net->epoll_fd, WEFT_FD_READ, on_epoll, net);
    net->watched = err == WEFT_OK;
    return err;
}

void wf_http_rest(struct http_net *net)
{
    if (net->watched) (void)weft_fd_unwatch(net->self, net->epoll_fd);
    net->watched = false;
}

void wf_http_end(struct http_net *net)
{
    if (net->daemon != NULL) MHD_stop_daemon(net->daemon); /* closes what it still has */
    net->daemon = NULL;
    forget_unstarted(net);
    WF_ASSERT(net->heads.count == 0 && net->left.count == 0 && net->listeners.count == 0);
}

/* -- Accepting --------------------------------------------------------------------------------------------- */

static bool same_host(const struct http_sock *a, const struct http_sock *b)
{
    size_t len = host_len(a->from);
    return len == host_len(b->from) && memcmp(a->from, b->from, len) == 0;
}

static uint32_t heads_from(const struct http_net *net, const struct http_sock *like)
{
    uint32_t count = 0;
    for (const struct http_sock *s = net->heads.first; s != NULL; s = s->next)
        count += !s->hung_up && same_host(s, like);
    return count;
}

/* As the transport does with handshakes: who comes takes the place of the oldest of its own
 * address if that has its share, else of the oldest of the address that has the most. Proxies
 * bring many, and have no share. */
static void make_room(struct http_net *net, const struct http_sock *fresh)
{
    bool own = !is_proxy(net, fresh->from) &&
               heads_from(net, fresh) >= WEFT_HTTP_PENDING_PER_ADDRESS_MAX;
    uint32_t waiting = 0, most = 0;
    struct http_sock *out = NULL;
    for (const struct http_sock *s = net->heads.first; s != NULL; s = s->next)
        waiting += !s->hung_up;
    if (!own && waiting < WEFT_HTTP_PENDING_MAX) return;
    for (struct http_sock *s = net->heads.first; s != NULL; s = s->next) {
        if (s->hung_up || (own && !same_host(s, fresh))) continue;
        uint32_t of_it = own ? 1 : heads_from(net, s);
        if (of_it <= most) continue; /* of equals the first is the oldest */
        most = of_it;
        out = s;
    }
    if (out != NULL) hang_up(out);
}

/* Takes the socket. */
static void take_in(struct http_sock *listener, weft_sock *tcp, const char *from)
{
    struct http_net *net = listener->net;
    struct sockaddr nobody = {.sa_family = AF_UNSPEC}; /* the library need not know who it is */
    int fd;
    struct http_sock *s = wf_http_sock_create(net, HTTP_HEAD, NULL, NULL);
    if (s == NULL) {
        tcp_of(net)->ops->close(tcp_of(net), net->self, tcp);
        return;
    }
    wf_net_tcp_take_fd(tcp_of(net), net->self, tcp, &fd);
    memcpy(s->from, from, sizeof s->from);
    make_room(net, s);
    s->fd = fd;
    s->listener = listener;
    s->deadline = weft_now(net->self) + net->head_timeout;
    wf_http_list_add(&net->heads, s);
    if (MHD_add_connection(net->daemon, fd, &nobody, sizeof nobody) == MHD_YES) return;
    wf_http_list_remove(&net->heads, s); /* it was closed */
    wf_http_sock_free(s);
}

static void no_owner(weft_self *self, void *state, weft_sock *sock, uint32_t events, void *arg)
{
    (void)self;
    (void)state;
    (void)sock;
    (void)events;
    (void)arg;
}

static void on_incoming(weft_self *self, void *state, weft_sock *sock, uint32_t events, void *arg)
{
    struct http_sock *listener = arg;
    struct http_net *net = listener->net;
    (void)state;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        char from[WEFT_ADDRESS_BYTES_MAX];
        weft_sock *tcp = NULL;
        weft_err err = tcp_of(net)->ops->accept(tcp_of(net), self, sock, no_owner, NULL, &tcp,
                                                from);
        if (err == WEFT_OK) {
            take_in(listener, tcp, from);
            continue;
        }
        if (err != WEFT_AGAIN) { /* the queue of the machine holds them */
            listener->paused = true;
            (void)wf_http_listen_interest(listener);
        }
        break;
    }
    wf_http_run(net);
    look_again(net);
}

/* -- Listeners --------------------------------------------------------------------------------------------- */

weft_err wf_http_listen(struct http_net *net, const char *address, weft_net_ready ready, void *arg,
                        struct http_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX])
{
    struct wf_http_address a;
    char tcp_bound[WEFT_ADDRESS_BYTES_MAX];
    weft_err err = wf_http_address_read(address, &a);
    if (err != WEFT_OK) return err;
    struct http_sock *s = wf_http_sock_create(net, HTTP_LISTENER, ready, arg);
    if (s == NULL) return WEFT_NO_MEMORY;
    err = tcp_of(net)->ops->listen(tcp_of(net), net->self, a.host_port, on_incoming, s, &s->tcp,
                                   tcp_bound);
    if (err == WEFT_OK) err = wf_http_address_write(tcp_bound, a.path, bound);
    if (err == WEFT_OK) err = start_library(net);
    if (err != WEFT_OK) {
        tcp_of(net)->ops->close(tcp_of(net), net->self, s->tcp);
        wf_http_sock_free(s);
        if (net->users == 0) wf_http_rest(net);
        return err;
    }
    memcpy(s->path, a.path, sizeof s->path);
    wf_http_list_add(&net->listeners, s);
    *out = s;
    return WEFT_OK;
}

weft_err wf_http_listen_interest(struct http_sock *listener)
{
    struct http_net *net = listener->net;
    uint32_t events = listener->paused ? 0 : listener->interest & WEFT_NET_READ;
    return tcp_of(net)->ops->interest(tcp_of(net), net->self, listener->tcp, events);
}

void wf_http_hand_back(struct http_sock *s)
{
    struct http_net *net = s->net;
    int fd; /* stays the library's */
    wf_net_tcp_drain(tcp_of(net), s->tcp);
    wf_net_tcp_take_fd(tcp_of(net), net->self, s->tcp, &fd);
    s->tcp = NULL;
    s->state = HTTP_LEFT;
    s->listener = NULL;
    s->interest = 0;
    wf_http_list_add(&net->left, s);
    (void)MHD_upgrade_action(s->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    wf_http_run(net);
}

void wf_http_listen_close(struct http_sock *listener)
{
    struct http_net *net = listener->net;
    tcp_of(net)->ops->close(tcp_of(net), net->self, listener->tcp);
    wf_http_list_remove(&net->listeners, listener);
    for (struct http_sock *s = net->heads.first; s != NULL; s = s->next) {
        if (s->listener != listener) continue;
        s->listener = NULL;
        hang_up(s);
    }
    while (listener->upgraded.first != NULL) {
        struct http_sock *s = listener->upgraded.first;
        wf_http_list_remove(&listener->upgraded, s);
        wf_http_hand_back(s);
    }
    wf_http_run(net);
    wf_http_sock_free(listener);
}
