/* SPDX-License-Identifier: Apache-2.0
 * test_transports_saved.c - what a node's store remembers of its transports.
 * Called by: the test runner. May touch: directories and threads of its own, the loopback
 * interface. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/net.h>
#include <weft/node.h>
#include <weft/ticket.h>
#ifdef WF_HTTP
#include <weft/http.h>
#endif

#include "kv_kit.h"
#include "log.h"
#include "node_internal.h"
#include "records.h"

#define CALL (20 * WEFT_SEC)
#define ANY "tcp:127.0.0.1:0"

struct party {
    weft_node *node;
};

static struct party party(void)
{
    struct party p = {0};
    cr_assert_eq(weft_node_open(&(weft_node_options){.verifiers = 1}, &p.node), WEFT_OK);
    return p;
}

static void add(weft_node *node, const char *name, const char *listen)
{
    cr_assert_eq(weft_add_transport(node, name, listen, CALL), WEFT_OK);
}

TestSuite(transports_saved, .init = kk_setup, .fini = kk_teardown);

static weft_node *open_at(bool restore)
{
    weft_node *node = NULL;
    weft_node_options o = {.dir = kk_dir, .verifiers = 1, .restore_transports = restore};
    cr_assert_eq(weft_node_open(&o, &node), WEFT_OK);
    return node;
}

Test(transports_saved, one_that_was_added_is_added_again_and_not_started)
{
    weft_node *node = open_at(true);
    weft_transport_info list[2];
    size_t count = 2;
    add(node, "net", ANY);
    add(node, "client", NULL);
    cr_assert_eq(weft_start_server(node, "net", CALL), WEFT_OK);
    weft_node_close(node);
    node = open_at(true);
    cr_assert_eq(weft_transport_list(node, CALL, list, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(list[0].name, "client");
    cr_expect_str_eq(list[0].listen, "");
    cr_expect_str_eq(list[1].name, "net");
    cr_expect_str_eq(list[1].listen, ANY);
    cr_expect_str_eq(list[1].bound, "", "not started");
    cr_expect_eq(weft_start_server(node, NULL, CALL), WEFT_OK);
    weft_node_close(node);
}

Test(transports_saved, without_the_option_nothing_is_remembered_and_nothing_comes_back)
{
    weft_node *node = open_at(false);
    size_t count = 0;
    add(node, "net", ANY);
    cr_expect_eq(weft_transport_saved(node, NULL, &count), WEFT_OK);
    weft_node_close(node);
    node = open_at(true);
    cr_expect_eq(weft_transport_list(node, CALL, NULL, &count), WEFT_OK, "none");
    add(node, "net", ANY);
    weft_node_close(node);
    node = open_at(false);
    cr_expect_eq(weft_transport_list(node, CALL, NULL, &count), WEFT_OK, "not asked for");
    weft_node_close(node);
}

Test(transports_saved, a_removed_one_does_not_come_back)
{
    weft_node *node = open_at(true);
    size_t count = 0;
    add(node, "net", ANY);
    weft_node_close(node);
    node = open_at(false);
    cr_expect_eq(weft_remove_transport(node, "net", CALL), WEFT_OK, "it is only remembered");
    cr_expect_eq(weft_remove_transport(node, "net", CALL), WEFT_NOT_FOUND);
    weft_node_close(node);
    node = open_at(true);
    cr_expect_eq(weft_transport_list(node, CALL, NULL, &count), WEFT_OK);
    weft_node_close(node);
}

static const weft_transport_config sample = {.name = "loft",
                                             .type = "pigeon",
                                             .listen = "pigeon:roof:1",
                                             .state_len = 3,
                                             .state = {1, 0, 2}};

Test(transports_saved, a_configuration_reads_back_whole)
{
    weft_node *node = open_at(false);
    weft_transport_config *got = calloc(2, sizeof *got);
    size_t count = 2;
    cr_assert_eq(weft_transport_save(node, &sample, CALL), WEFT_OK);
    weft_node_close(node);
    node = open_at(true); /* nobody makes that network but its author */
    cr_assert_eq(weft_transport_load(node, "loft", "pigeon", got), WEFT_OK);
    cr_expect_eq(memcmp(got, &sample, sizeof sample), 0);
    cr_expect_eq(weft_transport_load(node, "roof", "pigeon", got), WEFT_NOT_FOUND);
    cr_assert_eq(weft_transport_saved(node, got, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect_str_eq(got[0].name, "loft");
    count = 0;
    cr_expect_eq(weft_transport_saved(node, NULL, &count), WEFT_LIMIT);
    free(got);
    weft_node_close(node);
}

Test(transports, what_is_saved_of_another_type_is_refused)
{
    struct party a = party();
    weft_transport_config *got = calloc(1, sizeof *got), other = sample;
    strcpy(other.type, "owl");
    strcpy(other.listen, "owl:tree");
    got->state_len = 77;
    cr_assert_eq(weft_transport_save(a.node, &sample, CALL), WEFT_OK);
    cr_expect_eq(weft_transport_save(a.node, &sample, CALL), WEFT_OK, "the same again");
    cr_expect_eq(weft_transport_save(a.node, &other, CALL), WEFT_EXISTS);
    cr_expect_eq(weft_transport_load(a.node, "loft", "owl", got), WEFT_INVALID);
    cr_expect_eq(got->state_len, 77, "untouched");
    cr_expect_eq(weft_transport_load(a.node, "loft", "pigeon", got), WEFT_OK);
    free(got);
    weft_node_close(a.node);
}

struct saver {
    weft_node *node;
    const char *type;
    pthread_barrier_t *start;
    pthread_t thread;
    uint32_t saved, refused;
};

static void *save_all(void *arg)
{
    struct saver *s = arg;
    weft_transport_config *config = calloc(1, sizeof *config);
    strcpy(config->type, s->type);
    for (uint32_t i = 0; i < WEFT_TRANSPORTS_SAVED_MAX; i++) {
        snprintf(config->name, sizeof config->name, "n%u", i);
        (void)pthread_barrier_wait(s->start);
        weft_err err = weft_transport_save(s->node, config, CALL);
        s->saved += err == WEFT_OK;
        s->refused += err == WEFT_EXISTS;
    }
    free(config);
    return NULL;
}

Test(transports, of_two_that_are_saved_at_once_under_a_name_one_is_refused)
{
    struct party a = party();
    pthread_barrier_t start;
    struct saver savers[2] = {{a.node, "owl", &start, 0, 0, 0},
                              {a.node, "pigeon", &start, 0, 0, 0}};
    cr_assert_eq(pthread_barrier_init(&start, NULL, 2), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&savers[i].thread, NULL, save_all, &savers[i]), 0);
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_join(savers[i].thread, NULL), 0);
    cr_expect_eq(savers[0].saved + savers[1].saved, WEFT_TRANSPORTS_SAVED_MAX);
    cr_expect_eq(savers[0].refused + savers[1].refused, WEFT_TRANSPORTS_SAVED_MAX);
    weft_transport_config more = {.name = "more", .type = "owl"};
    cr_expect_eq(weft_transport_save(a.node, &more, CALL), WEFT_LIMIT);
    (void)pthread_barrier_destroy(&start);
    weft_node_close(a.node);
}

#ifdef WF_HTTP
Test(transports_saved, http_comes_back_with_its_options_when_it_is_asked_for)
{
    static const char *const proxies[] = {"127.0.0.1", "::1"};
    const weft_http_options options = {.proxies = proxies, .proxies_count = 2};
    weft_node *node = open_at(true);
    weft_transport_info list[3];
    size_t count = 3;
    cr_expect_eq(weft_http_save(node, "web", "http:127.0.0.1:0/x", &options, CALL), WEFT_OK);
    cr_expect_eq(weft_http_save(node, "client", NULL, NULL, CALL), WEFT_OK);
    cr_expect_eq(weft_transport_save(node, &sample, CALL), WEFT_OK, "of another network");
    weft_node_close(node);
    node = open_at(true);
    cr_expect_eq(weft_transport_list(node, CALL, list, &count), WEFT_OK);
    cr_expect_eq(count, 0, "not by itself");
    cr_expect_eq(weft_http_restore(node, CALL), WEFT_OK);
    count = 3;
    cr_assert_eq(weft_transport_list(node, CALL, list, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(list[0].name, "client");
    cr_expect_str_eq(list[0].listen, "");
    cr_expect_str_eq(list[1].name, "web");
    cr_expect_str_eq(list[1].listen, "http:127.0.0.1:0/x");
    cr_expect_str_eq(list[1].bound, "", "not started");
    weft_transport_config *saved = calloc(1, sizeof *saved);
    cr_assert_eq(weft_transport_load(node, "web", "http", saved), WEFT_OK);
    cr_expect_eq(saved->state_len, 26);
    cr_expect_eq(memcmp(saved->state, "proxy 127.0.0.1\nproxy ::1\n", 26), 0);
    saved->state[25] = '!';
    cr_assert_eq(weft_transport_save(node, saved, CALL), WEFT_OK);
    cr_assert_eq(weft_remove_transport(node, "client", CALL), WEFT_OK);
    weft_log_to(NULL, NULL, WEFT_LOG_ERROR); /* what is left out is told to the log */
    cr_expect_eq(weft_http_restore(node, CALL), WEFT_CORRUPT);
    free(saved);
    weft_node_close(node);
}

Test(transports_saved, http_comes_back_with_its_public_address_and_tickets_name_it)
{
    static const char *const proxies[] = {"127.0.0.1"};
    const weft_http_options options = {
        .proxies = proxies, .proxies_count = 1, .public_address = "http:node.example:80/weft"};
    weft_node *node = open_at(true);
    weft_id tree = {{1}};
    weft_ticket ticket;
    cr_expect_eq(weft_http_save(node, "web", "http:127.0.0.1:0", &options, CALL), WEFT_OK);
    weft_node_close(node);
    node = open_at(true);
    cr_expect_eq(weft_http_restore(node, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(node, "web", CALL), WEFT_OK);
    cr_assert_eq(weft_ticket_create(node, &tree, CALL, &ticket), WEFT_OK);
    cr_assert_eq(ticket.hints_count, 1);
    cr_expect_str_eq(ticket.hints[0], "http:node.example:80/weft");
    weft_node_close(node);
}

Test(transports, http_that_cannot_be_is_not_saved)
{
    struct party a = party();
    static const char *const bad[] = {"127.0.0.1\nproxy ::1"};
    const weft_http_options options = {.proxies = bad, .proxies_count = 1},
                            many = {.proxies = bad, .proxies_count = WEFT_HTTP_PROXIES_MAX + 1};
    size_t count = 0;
    cr_expect_eq(weft_http_save(NULL, "web", NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_http_save(a.node, NULL, NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_http_save(a.node, "", NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_http_save(a.node, "web", "tcp:127.0.0.1:0", NULL, CALL), WEFT_ADDRESS);
    cr_expect_eq(weft_http_save(a.node, "web", "http:127.0.0.1", NULL, CALL), WEFT_ADDRESS);
    cr_expect_eq(weft_http_save(a.node, "web", NULL, &options, CALL), WEFT_INVALID);
    cr_expect_eq(weft_http_save(a.node, "web", NULL, &many, CALL), WEFT_LIMIT);
    cr_expect_eq(weft_http_save_async(a.node, "web", NULL, NULL, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_http_restore(NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_http_restore(a.node, CALL), WEFT_OK, "there is none");
    cr_expect_eq(weft_transport_saved(a.node, NULL, &count), WEFT_OK);
    weft_node_close(a.node);
}
#endif

static void put_record(weft_node *node, const void *value, uint32_t len)
{
    struct wf_record_put *put = wf_record_create(len);
    put->cf = WF_CF_PEER;
    put->key[0] = WF_REC_TRANSPORT;
    memcpy(put->key + 1, "loft", 4);
    put->key_len = 5;
    memcpy(put->value, value, len);
    cr_assert_eq(wf_node_call(node, node->table.store, &put->req, CALL, NULL), WEFT_OK);
}

Test(transports_saved, a_damaged_configuration_is_CORRUPT_and_stops_nobody)
{
    static const char *const bad[] = {
        "",                            /* nothing at all                  */
        "\x94\x02\xa1x\xc4\0\xc4\0",   /* another version                 */
        "\x94\x01\xa1X\xc4\0\xc4\0",   /* no type                         */
        "\x94\x01\xa1x\xc4\1y\xc4\0",  /* an address of another type      */
        "\x94\x01\xa1x\xc4\0\xc4\2 ",  /* cut short                       */
        "\x94\x01\xa1x\xc4\0\xc4\0  ", /* and too long                    */
    };
    static const uint32_t len[] = {0, 8, 8, 9, 9, 10};
    weft_node *node = open_at(false);
    weft_transport_config *got = calloc(1, sizeof *got);
    size_t count = 0;
    for (size_t i = 0; i < sizeof len / sizeof len[0]; i++) {
        put_record(node, bad[i], len[i]);
        cr_expect_eq(weft_transport_load(node, "loft", "x", got), WEFT_CORRUPT, "%zu", i);
        cr_expect_eq(weft_transport_saved(node, NULL, &count), WEFT_OK, "left out");
    }
    weft_node_close(node);
    node = open_at(true);
    cr_expect_eq(weft_transport_save(node, &sample, CALL), WEFT_OK, "it is replaced");
    cr_expect_eq(weft_transport_load(node, "loft", "pigeon", got), WEFT_OK);
    free(got);
    weft_node_close(node);
}

Test(transports, only_so_many_are_remembered)
{
    struct party a = party();
    weft_transport_config one = sample;
    for (unsigned i = 0; i < WEFT_TRANSPORTS_SAVED_MAX; i++) {
        snprintf(one.name, sizeof one.name, "number %u", i);
        cr_assert_eq(weft_transport_save(a.node, &one, CALL), WEFT_OK);
    }
    cr_expect_eq(weft_transport_save(a.node, &one, CALL), WEFT_OK, "one of them");
    cr_expect_eq(weft_transport_save(a.node, &sample, CALL), WEFT_LIMIT);
    weft_node_close(a.node);
}
