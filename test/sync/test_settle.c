/* SPDX-License-Identifier: Apache-2.0
 * test_settle.c - a connection breaks while what came over it is still to be written: the next
 * session begins once it is, so that nothing comes a second time.
 * Called by: the test runner. May touch: threads, a directory of its own. Never: sleeps. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lone.h"
#include "node_internal.h"

#define CALL (60 * WEFT_SEC)
#define IN_VAIN (300 * WEFT_MS) /* a call that cannot succeed */
#define COMMITS 50

static char dir[64];
static weft_keypair *keys[3]; /* of A, of B, of the author */
static weft_node *a, *b;
static weft_key key_a, key_b;
static weft_id tree;
static char address[WEFT_ADDRESS_BYTES_MAX];

static void open_a(void)
{
    weft_node_options options = {.device = keys[0], .dir = dir};
    cr_assert_eq(weft_node_open(&options, &a), WEFT_OK);
    weft_node_key(a, &key_a);
    cr_assert_eq(weft_add_transport(a, "net", NULL, CALL), WEFT_OK);
}

static void open_b(void)
{
    weft_node_options options = {.device = keys[1]};
    cr_assert_eq(wf_node_open_kv(&options, gate_kv_create(), &b),
                 WEFT_OK); /* its writer waits there */
    weft_node_key(b, &key_b);
    cr_assert_eq(weft_add_transport(b, "net", "tcp:127.0.0.1:0", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(b, "net", CALL), WEFT_OK);
    cr_assert_eq(weft_server_address(b, "net", CALL, address), WEFT_OK);
}

static void setup(void)
{
    strcpy(dir, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        cr_assert_eq(weft_keypair_from_seed(seed, &keys[i]), WEFT_OK);
    }
    open_a();
    open_b();
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    cr_assert_eq(weft_tree_create(a, keys[2], &spec, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(a, &tree, &key_b, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(b, &tree, &key_a, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_register(a, &key_b, "b", CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(a, &key_b, address, CALL), WEFT_OK);
}

static void teardown(void)
{
    char command[128];
    weft_node_close(b);
    weft_node_close(a);
    for (int i = 0; i < 3; i++) weft_keypair_destroy(keys[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

static void commit_some(void)
{
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(a, &tree, keys[2], &writer), WEFT_OK);
    for (int i = 0; i < COMMITS; i++)
        cr_assert_eq(weft_commit(writer, "notes", &i, sizeof i, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
}

TestSuite(settle, .init = setup, .fini = teardown);

Test(settle, what_came_before_the_connection_broke_comes_no_second_time)
{
    weft_node_stats stats;
    weft_tree_info info;
    cr_assert_eq(weft_sync_tree(a, &key_b, &tree, CALL, NULL), WEFT_OK);
    gate_set(true);
    commit_some(); /* which live push brings to B, where they wait for the disk */
    gate_wait_met();
    weft_node_close(a);
    open_a();
    cr_assert_eq(weft_sync_tree(a, &key_b, &tree, IN_VAIN, NULL), WEFT_TIMED_OUT, "B is at it");
    gate_set(false);
    cr_assert_eq(weft_sync_tree(a, &key_b, &tree, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_tree_info_get(b, &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, COMMITS + 1u);
    cr_assert_eq(weft_node_stats_get(b, &stats), WEFT_OK);
    cr_expect_eq(stats.duplicates, 0, "%lu came although A had them", stats.duplicates);
    cr_expect_eq(stats.redundant, 0);
    cr_expect_eq(stats.entries_received, COMMITS + 1u);
}
