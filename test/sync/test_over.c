/* SPDX-License-Identifier: Apache-2.0
 * test_over.c - what nodes do with each other does not depend on the transport between them: each
 * claim holds over TCP, HTTP, memory and a network that a user has written.
 * Called by: the test runner. May touch: the loopback interface, sockets of this machine. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/net.h>
#include <weft/node.h>
#ifdef WF_HTTP
#include <weft/http.h>
#endif

#include "unix_net.h"

#define CALL (20 * WEFT_SEC)

enum over {
    TCP,
    MEM,
    UNIX,
#ifdef WF_HTTP
    HTTP,
#endif
    OVERS
};
static const char *const over_name[] = {"tcp", "mem", "unix", "http"};

/* What a node hears, for a test that waits. */
struct ear {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    unsigned events;
};

struct party {
    weft_node *node;
    weft_key key;
    struct ear ear;
};

static void on_event(void *arg, const weft_event *event)
{
    struct ear *ear = arg;
    (void)event;
    pthread_mutex_lock(&ear->lock);
    ear->events++;
    pthread_cond_signal(&ear->heard);
    pthread_mutex_unlock(&ear->lock);
}

struct two {
    enum over over;
    weft_hub *hub;
    struct party a, b;
    weft_keypair *author;
    weft_id tree;
    char address[WEFT_ADDRESS_BYTES_MAX]; /* of a */
};

static weft_err add(struct two *t, struct party *p, const char *host, bool listens)
{
    char listen[WEFT_ADDRESS_BYTES_MAX];
    const char *type = over_name[t->over];
    bool sockets = t->over != MEM && t->over != UNIX;
    snprintf(listen, sizeof listen, "%s:%s-%ld:0", type, host, (long)getpid());
    if (sockets) snprintf(listen, sizeof listen, "%s:127.0.0.1:0", type);
    const char *at = listens ? listen : NULL;
    if (t->over == TCP) return weft_add_transport(p->node, "net", at, CALL);
    if (t->over == MEM) {
        snprintf(listen, sizeof listen, "mem:%s:0", host);
        return weft_add_transport_mem(p->node, "net", t->hub, host, at, CALL);
    }
#ifdef WF_HTTP
    if (t->over == HTTP) return weft_add_transport_http(p->node, "net", at, NULL, CALL);
#endif
    weft_net *net = NULL;
    weft_err err = unix_net_create(&net);
    return err == WEFT_OK ? weft_add_transport_net(p->node, "net", net, at, CALL) : err;
}

static void party_open(struct party *p)
{
    uint64_t handle;
    pthread_mutex_init(&p->ear.lock, NULL);
    pthread_cond_init(&p->ear.heard, NULL);
    cr_assert_eq(weft_node_open(&(weft_node_options){.verifiers = 1}, &p->node), WEFT_OK);
    weft_node_key(p->node, &p->key);
    cr_assert_eq(weft_subscribe(p->node, on_event, &p->ear, &handle), WEFT_OK);
}

/* `a` listens and has a tree that both follow; `b` is connected to it. */
static void two_open(struct two *t, enum over over)
{
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    memset(t, 0, sizeof *t);
    t->over = over;
    cr_assert_eq(weft_hub_create(&t->hub), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&t->author), WEFT_OK);
    party_open(&t->a);
    party_open(&t->b);
    cr_assert_eq(add(t, &t->a, "a", true), WEFT_OK, "%s", over_name[over]);
    cr_assert_eq(add(t, &t->b, "b", false), WEFT_OK, "%s", over_name[over]);
    cr_assert_eq(weft_start_server(t->a.node, "net", CALL), WEFT_OK, "%s", over_name[over]);
    cr_assert_eq(weft_server_address(t->a.node, "net", CALL, t->address), WEFT_OK);
    cr_assert_eq(weft_tree_create(t->a.node, t->author, &spec, CALL, &t->tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(t->a.node, &t->tree, &t->b.key, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(t->b.node, &t->tree, &t->a.key, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_connect(t->b.node, t->address, &t->a.key, CALL, NULL), WEFT_OK, "%s",
                 t->address);
    cr_assert_eq(weft_peer_relate(t->b.node, &t->a.key, &t->tree, CALL), WEFT_OK);
}

static void two_close(struct two *t)
{
    weft_node_close(t->b.node);
    weft_node_close(t->a.node);
    weft_keypair_destroy(t->author);
    weft_hub_destroy(t->hub);
}

static void commit(struct two *t, struct party *p, unsigned count)
{
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(p->node, &t->tree, t->author, &writer), WEFT_OK);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(weft_commit(writer, "log", &i, sizeof i, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
}

static uint64_t entries(struct party *p, const weft_id *tree)
{
    weft_tree_info info = {0};
    cr_assert_eq(weft_tree_info_get(p->node, tree, &info), WEFT_OK);
    return info.entries;
}

/* Woken by the node's own events; false after a patience that no machine needs. */
static bool grows_to(struct party *p, const weft_id *tree, uint64_t want)
{
    struct timespec until;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    for (;;) {
        pthread_mutex_lock(&p->ear.lock);
        unsigned seen = p->ear.events;
        pthread_mutex_unlock(&p->ear.lock);
        if (entries(p, tree) >= want) return true;
        pthread_mutex_lock(&p->ear.lock);
        while (rc == 0 && p->ear.events == seen)
            rc = pthread_cond_timedwait(&p->ear.heard, &p->ear.lock, &until);
        pthread_mutex_unlock(&p->ear.lock);
        if (rc != 0) return entries(p, tree) >= want;
    }
}

Test(over, a_commit_is_pushed_both_ways_by_itself)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct two t;
        weft_node_stats stats;
        two_open(&t, o);
        cr_assert_eq(weft_sync_tree(t.b.node, &t.a.key, &t.tree, CALL, NULL), WEFT_OK);
        commit(&t, &t.a, 5);
        cr_expect(grows_to(&t.b, &t.tree, 6), "%s", over_name[o]);
        commit(&t, &t.b, 5);
        cr_expect(grows_to(&t.a, &t.tree, 11), "%s", over_name[o]);
        cr_assert_eq(weft_node_stats_get(t.a.node, &stats), WEFT_OK);
        cr_expect_eq(stats.duplicates + stats.redundant, 0, "%s", over_name[o]);
        two_close(&t);
    }
}

Test(over, a_large_entry_passes_whole)
{
    static uint8_t payload[900 << 10];
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 31 + (i >> 9));
    for (enum over o = 0; o < OVERS; o++) {
        struct two t;
        weft_writer *writer = NULL;
        weft_tree_info a, b;
        two_open(&t, o);
        cr_assert_eq(weft_writer_open(t.a.node, &t.tree, t.author, &writer), WEFT_OK);
        cr_assert_eq(weft_commit(writer, "log", payload, sizeof payload, CALL, NULL), WEFT_OK);
        weft_writer_close(writer);
        cr_assert_eq(weft_sync_tree(t.b.node, &t.a.key, &t.tree, CALL, NULL), WEFT_OK, "%s",
                     over_name[o]);
        cr_assert_eq(weft_tree_info_get(t.a.node, &t.tree, &a), WEFT_OK);
        cr_assert_eq(weft_tree_info_get(t.b.node, &t.tree, &b), WEFT_OK);
        cr_expect_eq(b.entries, 2);
        cr_expect_arr_eq(a.root_digest, b.root_digest, sizeof a.root_digest);
        two_close(&t);
    }
}

Test(over, a_peer_whose_server_restarts_is_found_at_its_address)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct two t;
        char now[WEFT_ADDRESS_BYTES_MAX];
        two_open(&t, o);
        cr_assert_eq(weft_transport_restart(t.a.node, "net", CALL), WEFT_OK, "%s", over_name[o]);
        cr_assert_eq(weft_server_address(t.a.node, "net", CALL, now), WEFT_OK);
        cr_expect_str_eq(now, t.address);
        weft_node_close(t.b.node);
        party_open(&t.b);
        cr_assert_eq(add(&t, &t.b, "b", false), WEFT_OK);
        cr_expect_eq(weft_connect(t.b.node, t.address, &t.a.key, CALL, NULL), WEFT_OK, "%s",
                     over_name[o]);
        two_close(&t);
    }
}
