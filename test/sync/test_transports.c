/* SPDX-License-Identifier: Apache-2.0
 * test_transports.c - named transports of whole nodes: added, replaced, restarted,
 * made of a user's own network, and failing as weft/testing.h lets them.
 * Called by: the test runner. May touch: the loopback interface. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <weft/net.h>
#include <weft/node.h>
#include <weft/testing.h>
#ifdef WF_HTTP
#include <weft/http.h>
#endif

#include "alloc.h"
#include "log.h"
#include "node_internal.h"
#include "unix_net.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define ANY "tcp:127.0.0.1:0"

struct party {
    weft_node *node;
    weft_key key;
};

static struct party party(void)
{
    struct party p = {0};
    cr_assert_eq(weft_node_open(&(weft_node_options){.verifiers = 1}, &p.node), WEFT_OK);
    weft_node_key(p.node, &p.key);
    return p;
}

static void add(weft_node *node, const char *name, const char *listen)
{
    cr_assert_eq(weft_add_transport(node, name, listen, CALL), WEFT_OK);
}

static void address_of(weft_node *node, const char *name, char out[WEFT_ADDRESS_BYTES_MAX])
{
    cr_assert_eq(weft_server_address(node, name, CALL, out), WEFT_OK);
}

static void serve(weft_node *node, const char *name, const char *listen,
                  char out[WEFT_ADDRESS_BYTES_MAX])
{
    add(node, name, listen);
    cr_assert_eq(weft_start_server(node, name, CALL), WEFT_OK);
    address_of(node, name, out);
}

/* A tree at `from` that everybody may read and write, with one entry beside its root. */
static weft_id tree_at(weft_node *from)
{
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_id tree;
    cr_assert_eq(weft_keypair_create(&author), WEFT_OK);
    cr_assert_eq(weft_tree_create(from, author, &spec, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(from, &tree, author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "log", "x", 1, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    return tree;
}

/* `to` gets the tree from the peer at `address`, and nothing else. */
static weft_err take(struct party *to, const struct party *from, const char *address,
                     const weft_id *tree)
{
    weft_err err = weft_connect(to->node, address, &from->key, CALL, NULL);
    if (err == WEFT_OK) err = weft_tree_follow(to->node, tree, &from->key, 1, CALL);
    if (err == WEFT_OK) err = weft_sync_tree(to->node, &from->key, tree, CALL, NULL);
    return err;
}

static uint64_t entries(weft_node *node, const weft_id *tree)
{
    weft_tree_info info = {0};
    cr_expect_eq(weft_tree_info_get(node, tree, &info), WEFT_OK);
    return info.entries;
}

/* -- Adding, replacing, removing --------------------------------------------------------- */

Test(transports, are_listed_by_name_with_what_they_are)
{
    struct party a = party();
    weft_transport_info list[3];
    size_t count = 3;
    add(a.node, "second", NULL);
    add(a.node, "first", ANY);
    cr_expect(!weft_server_running(a.node, NULL));
    cr_assert_eq(weft_start_server(a.node, "first", CALL), WEFT_OK);
    cr_assert_eq(weft_transport_list(a.node, CALL, list, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(list[0].name, "first");
    cr_expect_str_eq(list[0].type, "tcp");
    cr_expect_str_eq(list[0].listen, ANY);
    cr_expect_eq(strncmp(list[0].bound, "tcp:127.0.0.1:", 14), 0);
    cr_expect_str_neq(list[0].bound, ANY);
    cr_expect_str_eq(list[1].name, "second");
    cr_expect_str_eq(list[1].listen, "");
    cr_expect_str_eq(list[1].bound, "");
    cr_expect(weft_server_running(a.node, NULL) && weft_server_running(a.node, "first"));
    cr_expect(!weft_server_running(a.node, "second") && !weft_server_running(a.node, "third"));
    count = 1;
    cr_expect_eq(weft_transport_list(a.node, CALL, list, &count), WEFT_LIMIT);
    cr_expect_eq(count, 1);
    weft_node_close(a.node);
}

Test(transports, without_a_transport_for_it_no_address_is_dialled)
{
    struct party a = party();
    cr_expect_eq(weft_connect(a.node, "tcp:127.0.0.1:1", NULL, CALL, NULL), WEFT_NO_TRANSPORT);
    add(a.node, "net", NULL);
    cr_expect_eq(weft_connect(a.node, "unix:here:1", NULL, CALL, NULL), WEFT_NO_TRANSPORT);
    cr_expect_eq(weft_connect(a.node, "tcp:127.0.0.1:1", NULL, CALL, NULL), WEFT_UNREACHABLE);
    weft_node_close(a.node);
}

Test(transports, without_any_there_is_nothing_to_flush)
{
    struct party a = party();
    weft_result result;
    (void)tree_at(a.node);
    cr_expect_eq(weft_flush(a.node, CALL, &result), WEFT_OK);
    cr_expect_eq(result.retry_failures + result.new_failures, 0);
    cr_expect_eq(weft_start_server(a.node, NULL, CALL), WEFT_OK, "all of none");
    weft_node_close(a.node);
}

Test(transports, replacing_a_running_one_stops_its_listener_and_leaves_its_connections)
{
    struct party a = party(), b = party(), c = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_node_stats stats;
    serve(a.node, "net", ANY, address);
    add(b.node, "net", NULL);
    add(c.node, "net", NULL);
    weft_id tree = tree_at(a.node);
    cr_assert_eq(weft_connect(b.node, address, &a.key, CALL, NULL), WEFT_OK);
    add(a.node, "net", NULL);
    cr_expect(!weft_server_running(a.node, "net"));
    cr_expect_eq(weft_connect(c.node, address, NULL, CALL, NULL), WEFT_UNREACHABLE);
    cr_assert_eq(weft_tree_follow(b.node, &tree, &a.key, 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(b.node, &a.key, &tree, CALL, NULL), WEFT_OK);
    cr_expect_eq(entries(b.node, &tree), 2);
    cr_assert_eq(weft_node_stats_get(b.node, &stats), WEFT_OK);
    cr_expect_eq(stats.connections, 1, "still the one of before");
    weft_node_close(c.node);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, a_removed_one_listens_no_more_and_dials_no_more)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    serve(a.node, "net", ANY, address);
    add(b.node, "net", NULL);
    cr_expect_eq(weft_remove_transport(a.node, "nets", CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_remove_transport(a.node, "net", CALL), WEFT_OK);
    cr_expect_eq(weft_remove_transport(a.node, "net", CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_start_server(a.node, "net", CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_connect(b.node, address, NULL, CALL, NULL), WEFT_UNREACHABLE);
    cr_expect_eq(weft_connect(a.node, address, NULL, CALL, NULL), WEFT_NO_TRANSPORT);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

/* -- Servers ------------------------------------------------------------------------------- */

Test(transports, all_start_though_one_fails)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_log_to(NULL, NULL, WEFT_LOG_ERROR); /* the failing one is told to the log */
    serve(a.node, "net", ANY, address);
    add(b.node, "1 taken", address);
    add(b.node, "2 free", ANY);
    add(b.node, "3 taken", address);
    cr_expect_eq(weft_start_server(b.node, NULL, CALL), WEFT_OK);
    cr_expect(weft_server_running(b.node, "2 free"));
    cr_expect(!weft_server_running(b.node, "1 taken") && !weft_server_running(b.node, "3 taken"));
    cr_assert_eq(weft_remove_transport(b.node, "2 free", CALL), WEFT_OK);
    cr_expect_eq(weft_start_server(b.node, NULL, CALL), WEFT_EXISTS, "none started");
    cr_expect(!weft_server_running(b.node, NULL));
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, nobody_is_let_in_before_that_is_asked_for)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX], free_again[WEFT_ADDRESS_BYTES_MAX];
    weft_server servers[2];
    size_t count = 2;
    serve(a.node, "net", ANY, address);
    serve(b.node, "net", ANY, free_again);
    cr_assert_eq(weft_remove_transport(b.node, "net", CALL), WEFT_OK);
    add(b.node, "net", free_again); /* it could listen there, and does not */
    add(b.node, "client", NULL);
    cr_expect_eq(weft_connect(a.node, free_again, &b.key, CALL, NULL), WEFT_UNREACHABLE);
    cr_expect_eq(weft_start_server(b.node, "client", CALL), WEFT_OK, "it has nothing to do");
    cr_expect_not(weft_server_running(b.node, NULL));
    cr_assert_eq(weft_server_addresses(b.node, CALL, servers, &count), WEFT_OK);
    cr_expect_eq(count, 0);
    weft_id tree = tree_at(a.node);
    cr_expect_eq(take(&b, &a, address, &tree), WEFT_OK, "dialling needs no server");
    cr_expect_eq(entries(b.node, &tree), 2);
    cr_assert_eq(weft_start_server(b.node, "net", CALL), WEFT_OK);
    cr_expect_eq(weft_connect(a.node, free_again, &b.key, CALL, NULL), WEFT_OK);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, stop_and_start_100_times_on_one_port)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX], now[WEFT_ADDRESS_BYTES_MAX];
    serve(a.node, "net", ANY, address);
    add(a.node, "fixed", address);
    add(b.node, "net", NULL);
    cr_assert_eq(weft_remove_transport(a.node, "net", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(a.node, "fixed", CALL), WEFT_OK);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(weft_stop_server(a.node, "fixed", CALL), WEFT_OK);
        if (i % 10 == 0) /* stopped means that nobody listens, not that it is about to be so */
            cr_expect_eq(weft_connect(b.node, address, NULL, CALL, NULL), WEFT_UNREACHABLE);
        cr_assert_eq(weft_start_server(a.node, "fixed", CALL), WEFT_OK, "time %d", i);
    }
    address_of(a.node, "fixed", now);
    cr_expect_str_eq(now, address);
    cr_expect_eq(weft_connect(b.node, address, &a.key, CALL, NULL), WEFT_OK);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, a_restart_keeps_the_port_and_the_connections)
{
    struct party a = party(), b = party(), c = party();
    char address[WEFT_ADDRESS_BYTES_MAX], now[WEFT_ADDRESS_BYTES_MAX];
    weft_node_stats stats;
    serve(a.node, "net", ANY, address);
    add(b.node, "net", NULL);
    add(c.node, "net", NULL);
    cr_assert_eq(weft_connect(b.node, address, &a.key, CALL, NULL), WEFT_OK);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(weft_transport_restart(a.node, "net", CALL), WEFT_OK, "time %d", i);
    address_of(a.node, "net", now);
    cr_expect_str_eq(now, address);
    cr_assert_eq(weft_node_stats_get(b.node, &stats), WEFT_OK);
    cr_expect_eq(stats.connections, 1);
    cr_expect_eq(weft_connect(c.node, address, &a.key, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_transport_restart(a.node, "none", CALL), WEFT_NOT_FOUND);
    cr_assert_eq(weft_stop_server(a.node, "net", CALL), WEFT_OK);
    cr_expect_eq(weft_transport_restart(a.node, "net", CALL), WEFT_OK, "one that does not run");
    cr_expect(weft_server_running(a.node, "net"));
    weft_node_close(c.node);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

/* -- From one to the other ------------------------------------------------------------------ */

Test(transports, what_came_by_tcp_is_served_over_memory)
{
    struct party a = party(), b = party(), c = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_hub *hub = NULL;
    cr_assert_eq(weft_hub_create(&hub), WEFT_OK);
    serve(a.node, "net", ANY, address);
    add(b.node, "net", NULL);
    cr_assert_eq(weft_add_transport_mem(b.node, "near", hub, "b", "mem:b:1", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(b.node, "near", CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport_mem(c.node, "near", hub, "c", NULL, CALL), WEFT_OK);
    weft_id tree = tree_at(a.node);
    cr_assert_eq(take(&b, &a, address, &tree), WEFT_OK);
    cr_assert_eq(take(&c, &b, "mem:b:1", &tree), WEFT_OK);
    cr_expect_eq(entries(c.node, &tree), 2);
    weft_node_close(c.node);
    weft_node_close(b.node);
    weft_node_close(a.node);
    weft_hub_destroy(hub);
}

Test(transports, a_network_of_the_user_carries_a_sync)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_net *net_a = NULL, *net_b = NULL;
    cr_assert_eq(unix_net_create(&net_a), WEFT_OK);
    cr_assert_eq(unix_net_create(&net_b), WEFT_OK);
    cr_assert_eq(weft_add_transport_net(a.node, "own", net_a, "unix:weft-test:0", CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport_net(b.node, "own", net_b, NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(a.node, "own", CALL), WEFT_OK);
    address_of(a.node, "own", address);
    weft_id tree = tree_at(a.node);
    cr_expect_eq(take(&b, &a, address, &tree), WEFT_OK);
    cr_expect_eq(entries(b.node, &tree), 2);
    cr_expect_eq(weft_peer_add_address(b.node, &a.key, "pigeon:loft", CALL), WEFT_OK,
                 "its network may come later");
    weft_node_close(b.node);
    weft_node_close(a.node);
}

#ifdef WF_HTTP
static void add_http(weft_node *node, const char *listen)
{
    cr_assert_eq(weft_add_transport_http(node, "web", listen, NULL, CALL), WEFT_OK);
}

Test(transports, what_came_by_tcp_is_served_over_http)
{
    struct party a = party(), b = party(), c = party();
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_peer_info info;
    serve(a.node, "net", ANY, address);
    add(b.node, "net", NULL);
    add_http(b.node, "http:127.0.0.1:0/some/where");
    add_http(c.node, NULL);
    weft_id tree = tree_at(a.node);
    cr_assert_eq(take(&b, &a, address, &tree), WEFT_OK);
    cr_assert_eq(weft_start_server(b.node, "web", CALL), WEFT_OK);
    address_of(b.node, "web", address);
    cr_expect_not_null(strstr(address, "/some/where"));
    cr_assert_eq(take(&c, &b, address, &tree), WEFT_OK);
    cr_expect_eq(entries(c.node, &tree), 2);
    cr_assert_eq(weft_peer_get(c.node, &b.key, CALL, &info), WEFT_OK);
    cr_expect_str_eq(info.addresses[0], address);
    address[strlen(address) - 1] = 'x'; /* another path: it is asked, and says 404 */
    cr_expect_eq(weft_connect(a.node, address, NULL, CALL, NULL), WEFT_NO_TRANSPORT);
    add_http(a.node, NULL);
    cr_expect_eq(weft_connect(a.node, address, NULL, CALL, NULL), WEFT_UNREACHABLE);
    weft_node_close(c.node);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, an_http_server_stops_and_starts_on_one_port)
{
    struct party a = party(), b = party();
    char address[WEFT_ADDRESS_BYTES_MAX], now[WEFT_ADDRESS_BYTES_MAX];
    weft_node_stats stats;
    add_http(a.node, "http:127.0.0.1:0");
    add_http(b.node, NULL);
    cr_assert_eq(weft_start_server(a.node, "web", CALL), WEFT_OK);
    address_of(a.node, "web", address);
    cr_assert_eq(weft_connect(b.node, address, &a.key, CALL, NULL), WEFT_OK);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(weft_transport_restart(a.node, "web", CALL), WEFT_OK, "time %d", i);
    address_of(a.node, "web", now);
    cr_expect_str_eq(now, address);
    cr_assert_eq(weft_node_stats_get(b.node, &stats), WEFT_OK);
    cr_expect_eq(stats.connections, 1, "restarts leave what is up alone");
    weft_node_close(b.node);
    b = party();
    add_http(b.node, NULL);
    cr_expect_eq(weft_connect(b.node, address, &a.key, CALL, NULL), WEFT_OK);
    weft_node_close(b.node);
    weft_node_close(a.node);
}

Test(transports, http_is_added_as_any_other)
{
    struct party a = party();
    weft_transport_info list[1];
    size_t count = 1;
    cr_expect_eq(weft_add_transport_http(a.node, "web", "tcp:127.0.0.1:0", NULL, CALL),
                 WEFT_ADDRESS);
    cr_expect_eq(weft_add_transport_http(a.node, "web", "http:127.0.0.1:0/ ", NULL, CALL),
                 WEFT_ADDRESS);
    cr_expect_eq(weft_add_transport_http(NULL, "web", NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_add_transport_http_async(a.node, "web", NULL, NULL, NULL, NULL),
                 WEFT_INVALID);
    add_http(a.node, "http:127.0.0.1:0");
    cr_assert_eq(weft_transport_list(a.node, CALL, list, &count), WEFT_OK);
    cr_expect_str_eq(list[0].type, "http");
    cr_expect_str_eq(list[0].listen, "http:127.0.0.1:0");
    cr_expect_eq(weft_peer_register(a.node, &(weft_key){{7}}, NULL, CALL), WEFT_OK);
    cr_expect_eq(weft_peer_add_address(a.node, &(weft_key){{7}}, "http:x:1/y", CALL), WEFT_OK);
    cr_expect_eq(weft_peer_add_address(a.node, &(weft_key){{7}}, "http:x/y", CALL), WEFT_ADDRESS);
    weft_node_close(a.node);
}
#endif

static unsigned destroyed;
static void count_destroy(weft_net *net)
{
    destroyed++;
    (void)net;
}

Test(transports, a_network_that_cannot_be_added_is_destroyed_once)
{
    struct party a = party();
    weft_net *model = NULL;
    cr_assert_eq(unix_net_create(&model), WEFT_OK);
    struct weft_net_ops ops = *model->ops, lacking = ops, badly_named = ops;
    ops.destroy = lacking.destroy = badly_named.destroy = count_destroy;
    lacking.accept = NULL;
    badly_named.type = "Unix";
    weft_net good = {&ops}, less = {&lacking}, named = {&badly_named};
    cr_expect_eq(weft_add_transport_net(a.node, "own", &less, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_add_transport_net(a.node, "own", &named, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_add_transport_net(a.node, NULL, &good, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_add_transport_net(a.node, "own", &good, "tcp:127.0.0.1:0", CALL),
                 WEFT_ADDRESS);
    cr_expect_eq(weft_add_transport_net(a.node, "own", &good, "unix:no number", CALL),
                 WEFT_ADDRESS);
    cr_expect_eq(destroyed, 5);
    cr_expect_eq(weft_add_transport_net(a.node, "own", &good, "unix:a:1", CALL), WEFT_OK);
    cr_expect_eq(destroyed, 5, "it is the node's now");
    weft_node_close(a.node);
    cr_expect_eq(destroyed, 6);
    model->ops->destroy(model);
}

/* -- Arguments, memory, callers ------------------------------------------------------------------ */

static const weft_transport_config sample = {.name = "loft", .type = "pigeon"};

Test(transports, wrong_arguments_are_invalid)
{
    struct party a = party();
    weft_transport_config bad = sample;
    size_t count = 1;
    cr_expect_eq(weft_net_tcp_create(NULL), WEFT_INVALID);
    cr_expect_eq(weft_add_transport_net(a.node, "n", NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_remove_transport(a.node, "", CALL), WEFT_INVALID);
    cr_expect_eq(weft_remove_transport(NULL, "n", CALL), WEFT_INVALID);
    cr_expect_eq(weft_transport_restart(a.node, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_transport_restart_async(a.node, "n", NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_transport_list(a.node, CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_transport_list(a.node, CALL, NULL, NULL), WEFT_INVALID);
    cr_expect(!weft_server_running(NULL, NULL));
    cr_expect_eq(weft_transport_saved(a.node, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_transport_load(a.node, "loft", NULL, &bad), WEFT_INVALID);
    cr_expect_eq(weft_transport_save(a.node, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_transport_save(NULL, &bad, CALL), WEFT_INVALID);
    strcpy(bad.listen, "owl:tree");
    cr_expect_eq(weft_transport_save(a.node, &bad, CALL), WEFT_INVALID, "another type's address");
    bad = sample;
    bad.state_len = WEFT_TRANSPORT_STATE_BYTES_MAX + 1;
    cr_expect_eq(weft_transport_save(a.node, &bad, CALL), WEFT_INVALID);
    bad = sample;
    memset(bad.name, 'x', sizeof bad.name);
    cr_expect_eq(weft_transport_save(a.node, &bad, CALL), WEFT_INVALID, "a name without an end");
    weft_node_close(a.node);
}

static weft_err inside(weft_self *self, void *state, void *arg)
{
    weft_node *node = arg;
    weft_net *net = NULL;
    weft_transport_config config = sample;
    size_t count = 0;
    (void)self;
    (void)state;
    bool all = unix_net_create(&net) == WEFT_OK &&
               weft_add_transport_net(node, "n", net, NULL, CALL) == WEFT_DEADLK &&
               weft_remove_transport(node, "n", CALL) == WEFT_DEADLK &&
               weft_transport_restart(node, "n", CALL) == WEFT_DEADLK &&
               weft_transport_list(node, CALL, NULL, &count) == WEFT_DEADLK &&
               !weft_server_running(node, NULL) &&
               weft_transport_save(node, &config, CALL) == WEFT_DEADLK &&
               weft_transport_load(node, "loft", "pigeon", &config) == WEFT_DEADLK &&
               weft_transport_saved(node, NULL, &count) == WEFT_DEADLK;
    return all ? WEFT_OK : WEFT_INTERNAL;
}

static weft_verdict nothing(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(transports, blocking_calls_from_an_actor_are_refused)
{
    struct party a = party();
    weft_addr *actor = NULL;
    weft_spec spec = {.name = "guest", .arg = a.node, .init = inside, .handle = nothing};
    cr_expect_eq(weft_spawn(a.node->rt, &spec, &actor), WEFT_OK);
    weft_addr_put(actor);
    weft_node_close(a.node);
}

static weft_node *lonely(struct world *w) { return w->nodes[0].node; }

/* `call` with each of its allocations failing once; the last time none does. */
static void each_allocation(struct world *w, weft_err (*call)(weft_node *node))
{
    weft_err err = WEFT_NO_MEMORY;
    unsigned nth = 1;
    for (; err == WEFT_NO_MEMORY && nth < 200; nth++) {
        wf_alloc_fail_at(nth, 0);
        err = call(lonely(w));
        wf_alloc_fail_at(0, 0);
        world_run(w, 10 * WEFT_SEC); /* a store that could not write takes again */
    }
    cr_expect_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_expect_gt(nth, 2);
}

static weft_err call_save(weft_node *node) { return weft_transport_save(node, &sample, CALL); }
static weft_err call_list(weft_node *node)
{
    weft_transport_info list[4];
    size_t count = 4;
    return weft_transport_list(node, CALL, list, &count);
}
static weft_err call_load(weft_node *node)
{
    weft_transport_config *got = calloc(1, sizeof *got);
    weft_err err = weft_transport_load(node, "loft", "pigeon", got);
    free(got);
    return err;
}
static weft_err call_restart(weft_node *node) { return weft_transport_restart(node, "mem", CALL); }
static weft_err call_add(weft_node *node)
{
    weft_net *net = NULL;
    weft_err err = weft_net_tcp_create(&net);
    return err == WEFT_OK ? weft_add_transport_net(node, "tcp", net, NULL, CALL) : err;
}

Test(transports, short_memory_fails_a_call_and_nothing_else)
{
    struct world *w = world_create(1, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_log_to(NULL, NULL, WEFT_LOG_ERROR);
    each_allocation(w, call_save);
    each_allocation(w, call_load);
    each_allocation(w, call_list);
    each_allocation(w, call_add);
    each_allocation(w, call_restart);
    cr_expect(weft_server_running(lonely(w), NULL));
    cr_expect_eq(weft_remove_transport(lonely(w), "loft", CALL), WEFT_OK);
    world_destroy(w);
}

static void on_result(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    *(weft_err *)arg = err;
}

Test(transports, a_restart_may_be_asked_for_and_heard_of_later)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_err heard = WEFT_INTERNAL;
    weft_net *net = NULL;
    cr_assert_eq(weft_transport_restart_async(lonely(w), "none", on_result, &heard), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard, WEFT_NOT_FOUND);
    cr_assert_eq(weft_net_tcp_create(&net), WEFT_OK);
    cr_assert_eq(weft_add_transport_net_async(lonely(w), "own", net, NULL, on_result, &heard),
                 WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard, WEFT_OK);
    world_destroy(w);
}

/* -- A hub that fails ---------------------------------------------------------------------------- */

static void see(void *arg, const uint8_t *data, size_t len)
{
    (void)data;
    *(uint64_t *)arg += len;
}

Test(transports, a_hub_that_is_cut_carries_nothing_until_it_is_healed)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_PLAIN);
    const char *a = w->nodes[0].host, *b = w->nodes[1].host;
    uint64_t seen = 0;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    cr_assert_eq(weft_hub_cut(w->hub, a, b, true), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect(!world_converges(w, 10 * WEFT_SEC));
    cr_assert_eq(weft_hub_tap(w->hub, see, &seen), WEFT_OK);
    cr_assert_eq(weft_hub_cut(w->hub, a, b, false), WEFT_OK);
    cr_expect(world_converges(w, 120 * WEFT_SEC));
    cr_expect_gt(seen, 0);
    cr_assert_eq(weft_hub_tap(w->hub, NULL, NULL), WEFT_OK);
    world_destroy(w);
}

Test(transports, a_hub_breaks_and_refuses_as_it_is_told)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_net_faults all = {.dial_fail_ppm = 1000000}, bad = {.drop_ppm = 1000001},
                    worse = {.delay_min = 2, .delay_max = 1};
    cr_expect_eq(weft_hub_faults(w->hub, &bad), WEFT_INVALID);
    cr_expect_eq(weft_hub_faults(w->hub, &worse), WEFT_INVALID);
    cr_expect_eq(weft_hub_faults(NULL, &all), WEFT_INVALID);
    cr_expect_eq(weft_hub_cut(w->hub, NULL, "b", true), WEFT_INVALID);
    cr_assert_eq(weft_hub_faults(w->hub, &all), WEFT_OK);
    cr_assert_eq(weft_hub_kill(w->hub, w->nodes[0].host), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(weft_connect(w->nodes[1].node, w->nodes[0].listen, NULL, CALL, NULL),
                 WEFT_UNREACHABLE);
    cr_assert_eq(weft_hub_faults(w->hub, NULL), WEFT_OK);
    cr_expect_eq(weft_connect(w->nodes[1].node, w->nodes[0].listen, NULL, CALL, NULL), WEFT_OK);
    world_destroy(w);
}
