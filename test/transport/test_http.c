/* SPDX-License-Identifier: Apache-2.0
 * test_http.c - the texts of the network over HTTP, what its server says to whom, and where the
 * stream begins. Called by: the test runner. May touch: the loopback interface. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#ifdef WF_HTTP
#include "alloc.h"
#include "http_state.h"

#define HELD (200 * WEFT_MS) /* that a head may take where a test waits for that */
#define PATIENCE 20000       /* ms until a test gives up */

/* -- Texts ---------------------------------------------------------------------------------- */

Test(http, an_address_has_a_path_or_the_usual_one)
{
    static const char *const good[][3] = {{"a:1", "a:1", "/weft"},
                                          {"a:1/", "a:1", "/"},
                                          {"[::1]:8/x/y-z_~.:@", "[::1]:8", "/x/y-z_~.:@"}};
    static const char *const bad[] = {"a:1/ x", "a:1/%41",         "a:1/?x",
                                      "a:1/#x", "a:1/\r\nHost: b", "a:1/\x80"};
    struct wf_http_address a;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char back[WEFT_ADDRESS_BYTES_MAX];
        cr_assert_eq(wf_http_address_read(good[i][0], &a), WEFT_OK, "%s", good[i][0]);
        cr_expect_str_eq(a.host_port, good[i][1]);
        cr_expect_str_eq(a.path, good[i][2]);
        cr_assert_eq(wf_http_address_write(a.host_port, a.path, back), WEFT_OK);
        cr_expect_str_eq(back, good[i][0]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(wf_http_address_read(bad[i], &a), WEFT_ADDRESS, "%s", bad[i]);
    char lengthy[300];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    cr_expect_eq(wf_http_address_read(lengthy, &a), WEFT_ADDRESS);
}

Test(http, a_token_is_found_whole_in_a_list_and_in_any_case)
{
    static const struct {
        const char *list;
        bool has;
    } t[] = {{"upgrade", true},   {"keep-alive, Upgrade", true}, {" ,\tUPGRADE ,x", true},
             {"upgraded", false}, {"up grade", false},           {"", false},
             {",,", false},       {"x-upgrade", false}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect_eq(wf_http_has_token(t[i].list, strlen(t[i].list), "upgrade"), t[i].has, "\"%s\"",
                     t[i].list);
}

Test(http, of_a_forwarded_list_the_last_address_counts)
{
    static const char *const good[][2] = {{"1.2.3.4", "1.2.3.4:0"},
                                          {"9.9.9.9, 1.2.3.4", "1.2.3.4:0"},
                                          {"1.2.3.4:567", "1.2.3.4:0"},
                                          {"2001:db8::1", "[2001:db8::1]:0"},
                                          {"x, [2001:db8::1]:80 ", "[2001:db8::1]:0"}};
    static const char *const bad[] = {"",        " ",    "1.2.3.4,",  "unknown",
                                      "_hidden", "[::1", "1.2.3.4\n", "a:b:zz"};
    char out[WEFT_ADDRESS_BYTES_MAX] = "as it was";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(!wf_http_forwarded(bad[i], strlen(bad[i]), out), "\"%s\"", bad[i]);
    cr_expect_str_eq(out, "as it was");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(wf_http_forwarded(good[i][0], strlen(good[i][0]), out), "\"%s\"", good[i][0]);
        cr_expect_str_eq(out, good[i][1]);
    }
}

/* -- The answer to a dial ------------------------------------------------------------------ */

static const char golden[] = "HTTP/1.1 101 Switching Protocols\r\n"
                             "Date: Mon, 23 Nov 2026 06:00:00 GMT\r\n"
                             "Connection: Upgrade\r\n"
                             "Upgrade: weft/1\r\n"
                             "\r\n";

static weft_err reply(const char *text, size_t len, size_t *used, unsigned *status)
{
    *used = 0;
    *status = 0;
    return wf_http_reply_read((const uint8_t *)text, len, used, status);
}

Test(http, an_answer_is_waited_for_until_its_last_byte_and_what_follows_is_the_stream)
{
    char text[256];
    size_t used, whole = sizeof golden - 1;
    unsigned status;
    memcpy(text, golden, whole);
    memcpy(text + whole, "first", 5);
    for (size_t len = 0; len < whole; len++)
        cr_expect_eq(reply(text, len, &used, &status), WEFT_AGAIN, "%zu", len);
    for (size_t more = 0; more <= 5; more++) {
        cr_expect_eq(reply(text, whole + more, &used, &status), WEFT_OK);
        cr_expect_eq(used, whole);
    }
}

static weft_err whole_reply(const char *text)
{
    size_t used;
    unsigned status;
    return reply(text, strlen(text), &used, &status);
}

Test(http, answers_before_the_answer_are_passed_over)
{
    char text[512];
    snprintf(text, sizeof text, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n%s",
             golden);
    size_t used;
    unsigned status;
    cr_expect_eq(reply(text, strlen(text), &used, &status), WEFT_OK);
    cr_expect_eq(used, strlen(text));
}

Test(http, another_answer_is_unreachable_and_says_which)
{
    size_t used;
    unsigned status;
    static const char text[] =
        "HTTP/1.1 502 Bad Gateway\r\nServer: x\r\nContent-Length: 9\r\n\r\n<html>";
    cr_expect_eq(reply(text, sizeof text - 1, &used, &status), WEFT_UNREACHABLE);
    cr_expect_eq(status, 502);
}

Test(http, what_is_no_answer_or_no_upgrade_to_us_is_refused)
{
    static const char *const bad[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: weft/1\r\n\r\n",
        "HTTP/2 101 x\r\n\r\n",
        "HTTP/1.1 1x1 x\r\n\r\n",
        "HTTP/1.1 1011 x\r\nConnection: upgrade\r\nUpgrade: weft/1\r\n\r\n",
        "HTTP/1.1 001 x\r\n\r\n",
        "HTTP/1.1 101 x\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: close\r\nUpgrade: weft/1\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: weft/12\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade:\r\n weft/1\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection : upgrade\r\nUpgrade: weft/1\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\nUpgrade: weft/1\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: weft/1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: weft/1\r\nTransfer-Encoding: x\r\n\r\n",
        "HTTP/1.1 101 x\r\n: upgrade\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: up\001grade\r\nUpgrade: weft/1\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(whole_reply(bad[i]), WEFT_PROTOCOL, "%zu: %s", i, bad[i]);
}

Test(http, an_answer_that_does_not_end_is_too_long)
{
    static char text[WEFT_HTTP_HEAD_BYTES_MAX + 64];
    size_t used;
    unsigned status;
    memset(text, 'x', sizeof text);
    memcpy(text, "HTTP/1.1 200 ", 13);
    cr_expect_eq(reply(text, WEFT_HTTP_HEAD_BYTES_MAX - 1, &used, &status), WEFT_AGAIN);
    cr_expect_eq(reply(text, WEFT_HTTP_HEAD_BYTES_MAX, &used, &status), WEFT_LIMIT);
    for (size_t at = 0; at + 25 <= sizeof text; at += 25) /* nor do any that come before it */
        memcpy(text + at, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    cr_expect_eq(reply(text, WEFT_HTTP_HEAD_BYTES_MAX, &used, &status), WEFT_LIMIT);
}

/* -- The server, as a client with a socket meets it --------------------------------------------- */

struct served {
    weft_rt *rt;
    struct rig_node n;
    char address[WEFT_ADDRESS_BYTES_MAX];
    uint16_t port;
};

static void serve_with(struct served *s, const weft_http_options *options, weft_ns held)
{
    weft_net *net = NULL;
    cr_assert_eq(weft_rt_create(&s->rt), WEFT_OK);
    rig_start(&s->n, s->rt, &(struct rig_options){.identity = 1, .release = true});
    cr_assert_eq(wf_net_http_create(options, held, &net), WEFT_OK);
    cr_assert_eq(rig_add(&s->n, "web", net, "127.0.0.1:0"), WEFT_OK);
    cr_assert_eq(rig_server(&s->n, "web", true), WEFT_OK);
    rig_address(&s->n, s->address);
    s->port = (uint16_t)strtoul(strrchr(s->address, ':') + 1, NULL, 10);
}

static void serve(struct served *s)
{
    static const weft_http_options none;
    serve_with(s, &none, 600 * WEFT_SEC); /* no head is late on any machine */
}

static void end(struct served *s)
{
    rig_stop(&s->n);
    cr_assert_eq(weft_rt_stop(s->rt, weft_rt_after(s->rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(s->rt), WEFT_OK);
}

static int client(const struct served *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    size_t len = strlen(text);
    cr_assert_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* All that comes until `least` bytes are there, or the end; false: the patience is over. */
static bool get(int fd, char *out, size_t room, size_t least, size_t *len, bool *ended)
{
    *len = 0;
    *ended = false;
    while (*len < least && !*ended) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, PATIENCE) <= 0) return false;
        ssize_t n = recv(fd, out + *len, room - 1 - *len, 0);
        if (n > 0) *len += (size_t)n;
        else *ended = true;
        if (*len == room - 1) break;
    }
    out[*len] = '\0';
    return true;
}

/* The whole conversation: what is said to `text` until the server hangs up. */
static void said_to(const struct served *s, const char *text, char out[1024])
{
    size_t len;
    bool ended;
    int fd = client(s);
    put(fd, text);
    cr_assert(get(fd, out, 1024, 1024, &len, &ended), "the server does not hang up: %s", out);
    cr_expect(ended);
    (void)close(fd);
}

#define HEAD "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: weft/1\r\n"

Test(http, a_request_that_is_no_upgrade_is_told_so_and_closed)
{
    static const struct {
        const char *request, *begins, *has;
    } t[] = {
        {"GET /other HTTP/1.1\r\n" HEAD "\r\n", "HTTP/1.1 404 ", "Connection: close"},
        {"GET /weft/ HTTP/1.1\r\n" HEAD "\r\n", "HTTP/1.1 404 ", "Connection: close"},
        {"GET /weft HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 426 ", "Upgrade: weft/1"},
        {"GET /weft HTTP/1.1\r\nHost: x\r\nUpgrade: weft/1\r\n\r\n", "HTTP/1.1 426 ", "weft/1"},
        {"GET /weft HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "HTTP/1.1 426 ", "Upgrade: weft/1"},
        {"GET /weft HTTP/1.0\r\n" HEAD "\r\n", "HTTP/1.", " 426 "},
        {"HEAD /weft HTTP/1.1\r\n" HEAD "\r\n", "HTTP/1.1 405 ", "Allow: GET"},
        {"POST /weft HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 405 ", "GET"},
        {"GET /weft HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: weft/1\r\n\r\n", "HTTP/1.1 400 ",
         ""},
    };
    struct served s;
    char out[1024];
    serve(&s);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        said_to(&s, t[i].request, out);
        cr_expect_eq(strncmp(out, t[i].begins, strlen(t[i].begins)), 0, "%zu: %s", i, out);
        cr_expect_not_null(strstr(out, t[i].has), "%zu: %s", i, out);
    }
    end(&s);
}

Test(http, what_is_not_http_is_hung_up_on)
{
    struct served s;
    char out[1024];
    serve(&s);
    said_to(&s, "SSH-2.0-OpenSSH_9.2\r\n\r\n", out);
    cr_expect_null(strstr(out, " 101 "));
    end(&s);
}

Test(http, a_head_that_is_too_long_is_refused)
{
    struct served s;
    static char request[WEFT_HTTP_HEAD_BYTES_MAX + 1024];
    char out[1024];
    serve(&s);
    int n = snprintf(request, sizeof request, "GET /weft HTTP/1.1\r\n" HEAD "X: ");
    memset(request + n, 'x', WEFT_HTTP_HEAD_BYTES_MAX);
    strcpy(request + n + WEFT_HTTP_HEAD_BYTES_MAX, "\r\n\r\n");
    said_to(&s, request, out);
    cr_expect_eq(strncmp(out, "HTTP/1.1 431 ", 13), 0, "%s", out);
    end(&s);
}

Test(http, an_upgraded_connection_is_a_stream_of_records)
{
    struct served s;
    char out[1024];
    size_t len;
    bool ended;
    serve(&s);
    int fd = client(&s);
    /* One byte after the other, and the first bytes of the stream behind the head: a record of
     * three bytes that is no handshake, on which the node hangs up. */
    static const char request[] = "GET /weft HTTP/1.1\r\n" HEAD "\r\n";
    const size_t last = sizeof request - 2; /* comes together with those bytes */
    for (size_t i = 0; i < last; i++) cr_assert_eq(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
    cr_assert_eq(send(fd, "\n\0\003abc", 6, MSG_NOSIGNAL), 6);
    cr_assert(get(fd, out, sizeof out, sizeof out, &len, &ended));
    cr_expect(ended);
    cr_expect_eq(strncmp(out, "HTTP/1.1 101 ", 13), 0, "%s", out);
    cr_expect_not_null(strstr(out, "\r\nUpgrade: weft/1\r\n"));
    cr_expect_not_null(strstr(out, "\r\nConnection: Upgrade\r\n"));
    (void)close(fd);
    struct wf_tp_stats stats;
    rig_stats(&s.n, 0, &stats);
    cr_expect_eq(stats.handshakes_failed, 1, "the node has seen it");
    cr_expect_eq(stats.wire_in, 5, "and the bytes that came with the head");
    end(&s);
}

Test(http, a_head_that_does_not_come_is_hung_up_on)
{
    static const weft_http_options none;
    struct served s;
    char out[1024];
    size_t len;
    bool ended;
    serve_with(&s, &none, HELD);
    int silent = client(&s), slow = client(&s), half = client(&s);
    put(slow, "GET /weft HTTP/1.1\r\nHost: x\r\nX: ");
    put(half, "POST /weft HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc");
    cr_expect(get(silent, out, sizeof out, sizeof out, &len, &ended) && ended && len == 0);
    cr_expect(get(slow, out, sizeof out, sizeof out, &len, &ended) && ended && len == 0);
    cr_expect(get(half, out, sizeof out, sizeof out, &len, &ended) && ended);
    (void)close(silent);
    (void)close(slow);
    (void)close(half);
    /* It still serves, if the machine lets a head come in that time: it finds itself. */
    weft_err err = WEFT_UNREACHABLE;
    for (int i = 0; i < 100 && err == WEFT_UNREACHABLE; i++)
        err = rig_dial(&s.n, s.address, NULL, NULL);
    cr_expect_eq(err, WEFT_INVALID, "%s", weft_errname(err));
    end(&s);
}

/* Is the connection still there? Its request is made whole, and answered. */
static bool alive(int fd)
{
    char out[256];
    size_t len;
    bool ended;
    if (send(fd, "X: y\r\n\r\n", 8, MSG_NOSIGNAL) != 8) return false;
    return get(fd, out, sizeof out, 13, &len, &ended) && strncmp(out, "HTTP/1.1 404 ", 13) == 0;
}

static void crowd(const struct served *s, int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fds[i] = client(s);
        put(fds[i], "GET /other HTTP/1.1\r\nHost: x\r\n");
    }
}

static void leave(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) (void)close(fds[i]);
}

Test(http, of_one_address_only_the_last_few_requests_are_waited_for)
{
    struct served s;
    int fds[WEFT_HTTP_PENDING_PER_ADDRESS_MAX + 2];
    const unsigned count = sizeof fds / sizeof fds[0];
    char out[16];
    size_t len;
    bool ended;
    serve(&s);
    crowd(&s, fds, count);
    cr_expect(get(fds[0], out, sizeof out, sizeof out, &len, &ended) && ended && len == 0);
    cr_expect(get(fds[1], out, sizeof out, sizeof out, &len, &ended) && ended && len == 0);
    for (unsigned i = 2; i < count; i++) cr_expect(alive(fds[i]), "%u", i);
    leave(fds, count);
    end(&s);
}

Test(http, those_who_say_nothing_do_not_keep_others_out)
{
    struct served s;
    struct rig_node b;
    weft_net *net = NULL;
    int fds[3 * WEFT_HTTP_PENDING_PER_ADDRESS_MAX];
    const unsigned count = sizeof fds / sizeof fds[0];
    serve(&s);
    rig_start(&b, s.rt, &(struct rig_options){.identity = 2, .release = true});
    cr_assert_eq(weft_net_http_create(NULL, &net), WEFT_OK);
    cr_assert_eq(rig_add(&b, "web", net, ""), WEFT_OK);
    for (unsigned i = 0; i < count; i++) fds[i] = client(&s);
    cr_expect_eq(rig_dial(&b, s.address, &s.n.identity.key, NULL), WEFT_OK);
    leave(fds, count);
    rig_stop(&b);
    end(&s);
}

Test(http, a_proxy_may_bring_more_but_not_without_end)
{
    static const char *const proxies[] = {"::1", "127.0.0.1"};
    struct served s;
    static int fds[WEFT_HTTP_PENDING_MAX + 1];
    const unsigned count = sizeof fds / sizeof fds[0];
    char out[16];
    size_t len;
    bool ended;
    serve_with(&s, &(weft_http_options){.proxies = proxies, .proxies_count = 2}, 600 * WEFT_SEC);
    crowd(&s, fds, count);
    cr_expect(get(fds[0], out, sizeof out, sizeof out, &len, &ended) && ended && len == 0);
    for (unsigned i = 1; i < count; i++) cr_expect(alive(fds[i]), "%u", i);
    leave(fds, count);
    end(&s);
}

/* -- Who has come ------------------------------------------------------------------------------- */

/* An actor with nothing but a listener: says from where the first one came that was upgraded. */
struct guest {
    weft_request req;
    const weft_http_options *options;
    const char *line;
    weft_net *net;
    char from[WEFT_ADDRESS_BYTES_MAX];
};
static const weft_kind guest_kind = {7, "guest", sizeof(struct guest), weft_free_msg};

struct porter {
    struct guest *g;
    weft_sock *listener, *guest;
    int fd;
};

static void on_guest(weft_self *self, void *state, weft_sock *sock, uint32_t events, void *arg)
{
    (void)self;
    (void)state;
    (void)sock;
    (void)events;
    (void)arg;
}

static void on_door(weft_self *self, void *state, weft_sock *sock, uint32_t events, void *arg)
{
    struct porter *p = state;
    struct guest *g = p->g;
    weft_net *net = g->net;
    (void)events;
    (void)arg;
    if (net->ops->accept(net, self, sock, on_guest, NULL, &p->guest, g->from) != WEFT_OK) return;
    net->ops->close(net, self, p->guest);
    net->ops->close(net, self, p->listener);
    net->ops->destroy(net);
    (void)close(p->fd);
    weft_reply(&g->req, WEFT_OK);
}

static weft_verdict porter_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct porter *p = state;
    char bound[WEFT_ADDRESS_BYTES_MAX];
    struct served s = {.rt = NULL};
    struct guest *g = p->g = (struct guest *)msg;
    cr_assert_eq(wf_net_http_create(g->options, 600 * WEFT_SEC, &g->net), WEFT_OK);
    weft_net *net = g->net;
    cr_assert_eq(
        net->ops->listen(net, self, "127.0.0.1:0/door", on_door, NULL, &p->listener, bound),
        WEFT_OK);
    cr_expect_not_null(strstr(bound, "/door"), "%s", bound);
    cr_assert_eq(net->ops->interest(net, self, p->listener, WEFT_NET_READ), WEFT_OK);
    s.port = (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
    p->fd = client(&s);
    put(p->fd, "GET /door HTTP/1.1\r\n" HEAD);
    put(p->fd, g->line);
    put(p->fd, "\r\n");
    return WEFT_KEPT;
}

static void came_from(const weft_http_options *options, const char *line,
                      char out[WEFT_ADDRESS_BYTES_MAX])
{
    weft_rt *rt;
    weft_addr *porter;
    weft_request *answer = NULL;
    weft_spec spec = {
        .name = "porter", .state_size = sizeof(struct porter), .handle = porter_handle};
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(weft_spawn(rt, &spec, &porter), WEFT_OK);
    struct guest *g = (struct guest *)weft_new(&guest_kind);
    g->options = options;
    g->line = line;
    cr_assert_eq(weft_call(porter, &g->req, weft_rt_after(rt, 20 * WEFT_SEC), &answer, NULL),
                 WEFT_OK);
    memcpy(out, ((struct guest *)answer)->from, WEFT_ADDRESS_BYTES_MAX);
    weft_drop(&answer->msg);
    weft_addr_put(porter);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

Test(http, only_a_listed_proxy_is_believed_where_somebody_comes_from)
{
    static const char *const here[] = {"127.0.0.1"}, *const there[] = {"127.0.0.2"};
    static const char line[] = "X-Forwarded-For: 9.9.9.9, 8.8.8.8\r\nX-Forwarded-For: 1.2.3.4\r\n";
    const weft_http_options none = {0}, listed = {.proxies = here, .proxies_count = 1},
                            other = {.proxies = there, .proxies_count = 1};
    char out[WEFT_ADDRESS_BYTES_MAX];
    came_from(&listed, line, out);
    cr_expect_str_eq(out, "1.2.3.4:0");
    came_from(&none, line, out);
    cr_expect_eq(strncmp(out, "127.0.0.1:", 10), 0, "%s", out);
    came_from(&other, line, out);
    cr_expect_eq(strncmp(out, "127.0.0.1:", 10), 0, "%s", out);
    came_from(&listed, "X-Forwarded-For: unknown\r\n", out);
    cr_expect_eq(strncmp(out, "127.0.0.1:", 10), 0, "%s", out);
    came_from(&listed, "", out);
    cr_expect_eq(strncmp(out, "127.0.0.1:", 10), 0, "%s", out);
}

/* -- Short memory ------------------------------------------------------------------------------- */

/* Makes, listens, dials itself and lets go, with the nth allocation of that failing. */
struct attempt {
    weft_request req;
    uint64_t nth;
    weft_err err;
};
static const weft_kind attempt_kind = {8, "attempt", sizeof(struct attempt), weft_free_msg};

static weft_verdict attempt_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct attempt *a = (struct attempt *)msg;
    weft_net *net = NULL;
    weft_sock *listener = NULL, *dialled = NULL;
    weft_endpoint to;
    size_t count;
    char bound[WEFT_ADDRESS_BYTES_MAX] = "";
    (void)state;
    (void)wf_alloc_fail_at(a->nth, 0);
    a->err = weft_net_http_create(NULL, &net);
    if (a->err == WEFT_OK)
        a->err = net->ops->listen(net, self, "127.0.0.1:0", on_guest, NULL, &listener, bound);
    if (a->err == WEFT_OK) a->err = net->ops->resolve(net, bound, &to, 1, &count);
    if (a->err == WEFT_OK) a->err = net->ops->interest(net, self, listener, WEFT_NET_READ);
    if (a->err == WEFT_OK) a->err = net->ops->dial(net, self, &to, on_guest, NULL, &dialled);
    (void)wf_alloc_fail_at(0, 0);
    if (dialled != NULL) net->ops->close(net, self, dialled);
    if (listener != NULL) net->ops->close(net, self, listener);
    if (net != NULL) net->ops->destroy(net);
    weft_reply(&a->req, WEFT_OK);
    return WEFT_KEPT;
}

Test(http, short_memory_is_an_answer_and_leaves_nothing_behind)
{
    weft_rt *rt;
    weft_addr *actor;
    weft_spec spec = {.name = "attempt", .handle = attempt_handle};
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 0;
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(weft_spawn(rt, &spec, &actor), WEFT_OK);
    while (err == WEFT_NO_MEMORY && nth < 100) {
        struct attempt *a = (struct attempt *)weft_new(&attempt_kind);
        weft_request *answer = NULL;
        a->nth = ++nth;
        cr_assert_eq(weft_call(actor, &a->req, weft_rt_after(rt, 20 * WEFT_SEC), &answer, NULL),
                     WEFT_OK);
        err = ((struct attempt *)answer)->err;
        weft_drop(&answer->msg);
    }
    cr_expect_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_expect_gt(nth, 6);
    weft_addr_put(actor);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

static size_t reach(const weft_http_options *options, const char *bound,
                    char first[WEFT_ADDRESS_BYTES_MAX])
{
    char out[4][WEFT_ADDRESS_BYTES_MAX] = {""};
    size_t count = 99;
    weft_net *net;
    cr_assert_eq(weft_net_http_create(options, &net), WEFT_OK);
    cr_assert_eq(net->ops->reach(net, bound, false, out, 4, &count), WEFT_OK);
    memcpy(first, out[0], sizeof out[0]);
    net->ops->destroy(net);
    return count;
}

Test(http, where_it_is_reached_behind_a_proxy_is_what_was_said_or_nothing)
{
    const char *proxies[] = {"127.0.0.1"}, *said = "http:node.example:80/weft";
    char first[WEFT_ADDRESS_BYTES_MAX];
    weft_net *net = NULL;
    cr_expect_eq(reach(&(weft_http_options){0}, "127.0.0.1:8080/x", first), 1);
    cr_expect_str_eq(first, "127.0.0.1:8080/x");
    cr_expect_eq(reach(&(weft_http_options){.proxies = proxies, .proxies_count = 1},
                       "127.0.0.1:8080/x", first),
                 0);
    cr_expect_eq(
        reach(&(weft_http_options){.proxies = proxies, .proxies_count = 1, .public_address = said},
              "127.0.0.1:8080/x", first),
        1);
    cr_expect_str_eq(first, "node.example:80/weft");
    cr_expect_eq(reach(&(weft_http_options){.public_address = said}, "0.0.0.0:80/x", first), 1);
    cr_expect_str_eq(first, "node.example:80/weft");
    cr_expect_eq(reach(&(weft_http_options){0}, "0.0.0.0:8080/x", first), 0);
    static const char *const bad[] = {"node.example:80", "tcp:node.example:80", "http:", "http:x",
                                      "http:node.example:80/a b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(weft_net_http_create(&(weft_http_options){.public_address = bad[i]}, &net),
                     WEFT_ADDRESS, "%s", bad[i]);
    cr_expect_null(net);
}

Test(http, names_the_interfaces_that_were_said)
{
    char out[4][WEFT_ADDRESS_BYTES_MAX];
    size_t count = 99;
    weft_net *net;
    cr_assert_eq(weft_net_http_create(&(weft_http_options){0}, &net), WEFT_OK);
    net->ops->interfaces(net, "lo");
    cr_assert_eq(net->ops->reach(net, "0.0.0.0:8080/x", true, out, 4, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect_str_eq(out[0], "127.0.0.1:8080/x");
    net->ops->destroy(net);
}

Test(http, too_many_proxies_and_empty_ones_are_refused)
{
    static const char *many[WEFT_HTTP_PROXIES_MAX + 1];
    const char *empty[] = {""};
    weft_net *net = NULL;
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) many[i] = "::1";
    cr_expect_eq(
        weft_net_http_create(
            &(weft_http_options){.proxies = many, .proxies_count = WEFT_HTTP_PROXIES_MAX + 1},
            &net),
        WEFT_LIMIT);
    cr_expect_eq(
        weft_net_http_create(&(weft_http_options){.proxies = empty, .proxies_count = 1}, &net),
        WEFT_INVALID);
    cr_expect_eq(weft_net_http_create(&(weft_http_options){.proxies_count = 1}, &net),
                 WEFT_INVALID);
    cr_expect_eq(weft_net_http_create(NULL, NULL), WEFT_INVALID);
    cr_expect_null(net);
}
#else
Test(http, is_not_in_this_build) { cr_skip("libmicrohttpd was not found"); }
#endif
