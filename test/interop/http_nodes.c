/* SPDX-License-Identifier: Apache-2.0
 * http_nodes.c - three nodes for nginx.py: one serves, over HTTP and TCP; one reaches it through
 * what stands before the HTTP port; one over TCP, to compare. Public headers alone.
 * Called by: nginx.py, as: http_nodes ENTRIES BYTES; it prints "port N" and reads the port of the
 * proxy, prints "reload" and reads a line when that is done. Speaks TAP.
 * May touch: memory, the loopback interface. Never: the disk. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/http.h>
#include <weft/node.h>

#define CALL (60 * WEFT_SEC)

static unsigned number, failures;

static void claim(bool good, const char *what)
{
    printf("%sok %u - %s\n", good ? "" : "not ", ++number, what);
    (void)fflush(stdout);
    failures += !good;
}

/* What the claims stand on. */
static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    printf("Bail out! %s: %s\n", what, weft_strerror(err));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- What a node hears ---------------------------------------------------------------------- */

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    unsigned up, down, any;
};

static void on_event(void *arg, const weft_event *event)
{
    struct ear *ear = arg;
    pthread_mutex_lock(&ear->lock);
    ear->up += event->kind == WEFT_EV_PEER_UP;
    ear->down += event->kind == WEFT_EV_PEER_DOWN;
    ear->any++;
    pthread_cond_signal(&ear->heard);
    pthread_mutex_unlock(&ear->lock);
}

struct member {
    weft_node *node;
    weft_key key;
    struct ear ear;
};

static uint64_t entries(struct member *m, const weft_id *tree)
{
    weft_tree_info info = {0};
    return weft_tree_info_get(m->node, tree, &info) == WEFT_OK ? info.entries : 0;
}

/* Until the member holds so many entries and its connection was lost and found so often. */
static bool wait_for(struct member *m, const weft_id *tree, uint64_t want, unsigned down)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    int rc = 0;
    bool there = false;
    while (rc == 0) {
        pthread_mutex_lock(&m->ear.lock);
        unsigned seen = m->ear.any;
        bool again = m->ear.down >= down && m->ear.up > down;
        pthread_mutex_unlock(&m->ear.lock);
        there = again && entries(m, tree) >= want;
        if (there) break;
        pthread_mutex_lock(&m->ear.lock);
        while (rc == 0 && m->ear.any == seen)
            rc = pthread_cond_timedwait(&m->ear.heard, &m->ear.lock, &until);
        pthread_mutex_unlock(&m->ear.lock);
    }
    return there;
}

static void open_member(struct member *m)
{
    uint64_t handle;
    pthread_mutex_init(&m->ear.lock, NULL);
    pthread_cond_init(&m->ear.heard, NULL);
    must(weft_node_open(NULL, &m->node), "open");
    weft_node_key(m->node, &m->key);
    must(weft_subscribe(m->node, on_event, &m->ear, &handle), "subscribe");
}

/* -- Committing -------------------------------------------------------------------------------- */

static void commit(weft_node *node, const weft_id *tree, const weft_keypair *author, unsigned count,
                   size_t bytes)
{
    weft_writer *writer;
    char *payload = calloc(1, bytes);
    if (payload == NULL) must(WEFT_NO_MEMORY, "payload");
    must(weft_writer_open(node, tree, author, &writer), "writer");
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < bytes; at++) payload[at] = (char)(at * 31 + i * 7 + (at >> 8));
        must(weft_commit(writer, "log", payload, bytes, CALL, NULL), "commit");
    }
    weft_writer_close(writer);
    free(payload);
}

/* -- The claims ---------------------------------------------------------------------------------- */

struct stage {
    struct member server, web, tcp;
    weft_keypair *author;
    weft_id tree;
    unsigned count;
    size_t bytes;
};

static void serve(struct stage *s, char tcp[WEFT_ADDRESS_BYTES_MAX])
{
    static const char *const nginx[] = {"127.0.0.1"};
    const weft_http_options options = {.proxies = nginx, .proxies_count = 1};
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    char web[WEFT_ADDRESS_BYTES_MAX];
    must(weft_keypair_create(&s->author), "key pair");
    open_member(&s->server);
    open_member(&s->web);
    open_member(&s->tcp);
    weft_node *node = s->server.node;
    must(weft_add_transport_http(node, "web", "http:127.0.0.1:0/weft", &options, CALL), "http");
    must(weft_add_transport(node, "net", "tcp:127.0.0.1:0", CALL), "tcp");
    must(weft_start_server(node, NULL, CALL), "listen");
    must(weft_server_address(node, "web", CALL, web), "address");
    must(weft_server_address(node, "net", CALL, tcp), "address");
    must(weft_add_transport_http(s->web.node, "web", NULL, NULL, CALL), "http client");
    must(weft_add_transport(s->tcp.node, "net", NULL, CALL), "tcp client");
    must(weft_tree_create(node, s->author, &root, CALL, &s->tree), "tree");
    commit(node, &s->tree, s->author, s->count, s->bytes);
    printf("port %s\n", strrchr(web, ':') + 1);
    (void)fflush(stdout);
}

/* All of the tree; the seconds that it took. */
static weft_err take(struct stage *s, struct member *m, const char *address, double *seconds)
{
    weft_err err = weft_connect(m->node, address, &s->server.key, CALL, NULL);
    double began = now();
    if (err == WEFT_OK) err = weft_tree_follow(m->node, &s->tree, &s->server.key, 1, CALL);
    if (err == WEFT_OK) err = weft_peer_relate(m->node, &s->server.key, &s->tree, CALL);
    if (err == WEFT_OK) err = weft_sync_tree(m->node, &s->server.key, &s->tree, CALL, NULL);
    *seconds = now() - began;
    return err;
}

static void rate(const struct stage *s, const char *over, double seconds)
{
    double mb = (double)s->count * (double)s->bytes / 1e6;
    printf("# %s: %u entries of %zu bytes in %.2f s, %.0f entries/s, %.1f MB/s\n", over, s->count,
           s->bytes, seconds, s->count / seconds, mb / seconds);
}

static bool line(char *out, int room) { return fgets(out, room, stdin) != NULL; }

static void play(struct stage *s)
{
    char tcp[WEFT_ADDRESS_BYTES_MAX], said[64], address[128];
    double web_s, tcp_s;
    serve(s, tcp);
    if (!line(said, sizeof said)) must(WEFT_END, "the proxy's port");
    snprintf(address, sizeof address, "http:127.0.0.1:%d/weft", atoi(said));
    weft_err err = take(s, &s->web, address, &web_s);
    uint64_t all = s->count + 1u;
    claim(err == WEFT_OK && entries(&s->web, &s->tree) == all, "a tree comes through the proxy");
    rate(s, "http through the proxy", web_s);
    err = take(s, &s->tcp, tcp, &tcp_s);
    claim(err == WEFT_OK && entries(&s->tcp, &s->tree) == all, "and over TCP");
    rate(s, "tcp", tcp_s);
    commit(s->web.node, &s->tree, s->author, 100, s->bytes);
    all += 100;
    claim(wait_for(&s->server, &s->tree, all, 0), "what is committed behind the proxy comes back");

    unsigned half = s->count / 4;
    commit(s->server.node, &s->tree, s->author, half, s->bytes);
    printf("reload\n");
    (void)fflush(stdout);
    if (!line(said, sizeof said)) must(WEFT_END, "the word that it is done");
    commit(s->server.node, &s->tree, s->author, half, s->bytes);
    all += 2u * half;
    claim(wait_for(&s->web, &s->tree, all, 1), "a proxy that is reloaded is dialled again");
    weft_tree_info a, b;
    must(weft_tree_info_get(s->server.node, &s->tree, &a), "info");
    must(weft_tree_info_get(s->web.node, &s->tree, &b), "info");
    claim(a.entries == all && memcmp(a.root_digest, b.root_digest, sizeof a.root_digest) == 0,
          "both hold the same in the end");
}

int main(int argc, char **argv)
{
    static struct stage s;
    s.count = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
    s.bytes = argc > 2 ? (size_t)atoi(argv[2]) : 256;
    play(&s);
    printf("1..%u\n", number);
    (void)fflush(stdout);
    weft_node_close(s.tcp.node);
    weft_node_close(s.web.node);
    weft_node_close(s.server.node);
    weft_keypair_destroy(s.author);
    return failures > 0;
}
