/* SPDX-License-Identifier: Apache-2.0
 * test_addresses.c - what nodes in small worlds remember of how to reach their peers.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/history.h>

#include "world.h"

#define CALL (30 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_address_info found[WEFT_ADDRESSES_PER_PEER_MAX];

static size_t addresses(struct world *w, uint32_t at, uint32_t of, const char *type)
{
    size_t count = WEFT_ADDRESSES_PER_PEER_MAX;
    memset(found, 0, sizeof found);
    cr_assert_eq(weft_peer_addresses(node(w, at), key(w, of), type, CALL, found, &count), WEFT_OK);
    return count;
}

Test(addresses, where_a_peer_calls_from_is_no_address)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    for (uint32_t at = 0; at < 2; at++) {
        cr_assert_eq(addresses(w, at, 1 - at, NULL), 1, "node %u", at);
        cr_expect_str_eq(found[0].text, w->nodes[1 - at].listen);
        cr_expect_gt(found[0].told_ms, 0);
    }
    world_destroy(w);
}

Test(addresses, what_worked_is_noted_and_outlives_a_restart)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    cr_assert_eq(addresses(w, 0, 1, NULL), 1);
    cr_expect(found[0].by_hand, "that is how the world introduces them");
    int64_t worked = found[0].worked_ms;
    cr_expect_gt(worked, 0);
    world_run(w, 10 * WEFT_SEC); /* the row is saved */
    world_kill(w, 0);
    cr_assert_eq(weft_shutdown(node(w, 1), CALL), WEFT_OK); /* nobody is there now */
    world_start(w, 0);
    cr_assert_eq(addresses(w, 0, 1, NULL), 1);
    cr_expect(found[0].by_hand);
    cr_expect_eq(found[0].worked_ms, worked);
    world_destroy(w);
}

Test(addresses, are_told_by_their_type)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    size_t count = 1;
    weft_key stranger = {{3}};
    cr_assert_eq(weft_peer_add_address(node(w, 0), key(w, 1), "tcp:127.0.0.1:5", CALL), WEFT_OK);
    cr_expect_eq(addresses(w, 0, 1, NULL), 2);
    cr_expect_eq(addresses(w, 0, 1, "mem"), 1);
    cr_expect_eq(addresses(w, 0, 1, "me"), 0);
    cr_assert_eq(addresses(w, 0, 1, "tcp"), 1);
    cr_expect_str_eq(found[0].text, "tcp:127.0.0.1:5");
    cr_expect(found[0].by_hand && found[0].worked_ms == 0);
    cr_expect_eq(weft_peer_addresses(node(w, 0), key(w, 1), NULL, CALL, found, &count), WEFT_LIMIT);
    cr_expect_eq(count, 1);
    cr_expect_eq(weft_peer_addresses(node(w, 0), &stranger, NULL, CALL, found, &count),
                 WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_addresses(NULL, key(w, 1), NULL, CALL, found, &count), WEFT_INVALID);
    cr_expect_eq(weft_peer_addresses(node(w, 0), NULL, NULL, CALL, found, &count), WEFT_INVALID);
    cr_expect_eq(weft_peer_addresses(node(w, 0), key(w, 1), NULL, CALL, found, NULL), WEFT_INVALID);
    cr_expect_eq(weft_peer_addresses(node(w, 0), key(w, 1), NULL, CALL, NULL, &count),
                 WEFT_INVALID);
    world_destroy(w);
}

/* -- How dials fare --------------------------------------------------------------------- */

Test(addresses, a_dial_that_fails_is_counted_and_says_why)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_key absent = {{5}};
    weft_peer_info info;
    cr_assert_eq(weft_peer_register(node(w, 0), &absent, NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(node(w, 0), &absent, "mem:nobody:1", CALL), WEFT_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        cr_expect_eq(weft_sync_tree(node(w, 0), &absent, &w->tree, CALL, NULL), WEFT_UNREACHABLE);
        cr_assert_eq(weft_peer_get(node(w, 0), &absent, CALL, &info), WEFT_OK);
        cr_expect_eq(info.attempts, n);
        cr_expect_eq(info.failures, n);
        cr_expect_eq(info.last_error, WEFT_UNREACHABLE);
        cr_expect_eq(info.connection, WEFT_CONN_FAILED);
    }
    world_destroy(w);
}

static uint64_t connections(struct world *w)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(node(w, 0), &stats), WEFT_OK);
    return stats.connections;
}

Test(addresses, an_inactive_peer_is_left_alone_by_timers_and_not_by_commands)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    world_run(w, WEFT_SEC);
    for (uint32_t at = 0; at < 2; at++)
        cr_assert_eq(weft_peer_set_status(node(w, at), key(w, 1 - at), WEFT_PEER_INACTIVE, CALL),
                     WEFT_OK);
    wf_net_hub_kill(w->hub->hub, w->nodes[0].host);
    world_run(w, 20 * 60 * WEFT_SEC);
    cr_expect_eq(connections(w), 0);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
    cr_expect_eq(connections(w), 1);
    world_destroy(w);
}
