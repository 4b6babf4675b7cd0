/* SPDX-License-Identifier: Apache-2.0
 * test_history_sync.c - what nodes in small worlds remember of their syncs.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/history.h>

#include "block.h"
#include "records.h"
#include "world.h"

#define CALL (30 * WEFT_SEC)
#define ROOM 64u

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_sync_record got[ROOM];

static size_t history(struct world *w, uint32_t at, uint32_t of)
{
    size_t count = ROOM;
    memset(got, 0, sizeof got);
    cr_assert_eq(weft_history(node(w, at), key(w, of), CALL, got, &count), WEFT_OK);
    return count;
}

static weft_pair_info pair(struct world *w, uint32_t at, uint32_t of)
{
    weft_pair_info info;
    cr_assert_eq(weft_pair_get(node(w, at), key(w, of), &w->tree, CALL, &info), WEFT_OK);
    return info;
}

static void sync_once(struct world *w)
{
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
    world_run(w, WEFT_SEC);
}

/* The newest of those that carried something. */
static const weft_sync_record *carried(struct world *w, uint32_t at, uint32_t of)
{
    size_t count = history(w, at, of);
    for (size_t i = 0; i < count; i++)
        if (got[i].sent + got[i].received > 0) return &got[i];
    cr_assert_fail("nothing was carried");
    return NULL;
}

Test(history_sync, a_sync_is_remembered_on_both_sides_with_what_it_carried)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    sync_once(w);
    for (uint32_t i = 0; i < 5; i++) cr_assert_eq(world_commit_bytes(w, 0, 1000), WEFT_OK);
    int64_t now = wf_wall_ms(w->nodes[0].rt);
    sync_once(w);
    const weft_sync_record *r = carried(w, 0, 1);
    cr_expect_eq(r->err, WEFT_OK);
    cr_expect(weft_id_equal(&r->tree, &w->tree) && weft_key_equal(&r->peer, key(w, 1)));
    cr_expect_eq(r->sent, 5);
    cr_expect_eq(r->received, 0);
    cr_expect(r->bytes_sent > 5000 && r->bytes_sent < 10000, "%lu", r->bytes_sent);
    cr_expect_geq(r->began_ms, now);
    cr_expect_gt(r->took_ns, 0);
    uint64_t bytes = r->bytes_sent;
    r = carried(w, 1, 0);
    cr_expect_eq(r->received, 5);
    cr_expect_eq(r->sent, 0);
    cr_expect_lt(r->bytes_received > bytes ? r->bytes_received - bytes : bytes - r->bytes_received,
                 100, "%lu %lu", r->bytes_received, bytes);
    world_destroy(w);
}

Test(history_sync, a_failure_is_remembered_too)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_root_spec root = {.entropy = {66}};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, 1), w->author, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 0), &tree, key(w, 1), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &tree, CALL, NULL), WEFT_TREE);
    cr_assert_geq(history(w, 0, 1), 1);
    cr_expect_eq(got[0].err, WEFT_TREE);
    cr_expect(weft_id_equal(&got[0].tree, &tree));
    weft_pair_info info;
    cr_assert_eq(weft_pair_get(node(w, 0), key(w, 1), &tree, CALL, &info), WEFT_OK);
    cr_expect_eq(info.syncs_failed, 1);
    cr_expect_eq(info.success, 0.0);
    cr_expect_eq(info.last_sync_ms, 0);
    world_destroy(w);
}

Test(history_sync, what_is_not_followed_leaves_no_trace)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    sync_once(w);
    size_t before = history(w, 1, 0);
    for (uint8_t i = 0; i < 5; i++) {
        weft_id tree = {{9, i}};
        cr_assert_eq(weft_tree_follow(node(w, 0), &tree, key(w, 1), 1, CALL), WEFT_OK);
        cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &tree, CALL, NULL), WEFT_TREE);
    }
    world_run(w, WEFT_SEC);
    cr_expect_eq(history(w, 1, 0), before);
    world_destroy(w);
}

static weft_err count_record(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                             size_t value_len)
{
    (void)key;
    (void)key_len;
    (void)value;
    (void)value_len;
    ++*(uint32_t *)arg;
    return WEFT_OK;
}

static uint32_t records(struct world *w, uint32_t at)
{
    const uint8_t prefix = WF_REC_HISTORY;
    uint32_t count = 0;
    cr_assert_eq(wf_store_record_each(node(w, at)->table.wf_store, WF_CF_PEER, &prefix, 1,
                                      count_record, &count),
                 WEFT_OK);
    return count;
}

Test(history_sync, it_is_kept_over_a_restart_and_trimmed_for_good)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    uint64_t removed = 0;
    weft_key keys[2];
    size_t count = 2;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(world_commit(w, 0), WEFT_OK);
        sync_once(w);
    }
    world_run(w, 10 * WEFT_SEC); /* it is saved */
    cr_assert_eq(weft_stop_server(node(w, 1), NULL, CALL), WEFT_OK);
    size_t before = history(w, 0, 1);
    uint64_t newest = got[0].number;
    weft_pair_info sums = pair(w, 0, 1), after;
    cr_assert_geq(before, 3);
    world_kill(w, 0);
    world_start(w, 0);
    cr_assert_eq(history(w, 0, 1), before);
    cr_expect_eq(got[0].number, newest);
    cr_expect_eq(carried(w, 0, 1)->sent, 1);
    after = pair(w, 0, 1);
    cr_expect_eq(after.syncs_ok, sums.syncs_ok);
    cr_expect_eq(after.took_ns_mean, sums.took_ns_mean);
    cr_expect_eq(weft_peers_with_history(node(w, 0), CALL, keys, &count), WEFT_OK);
    cr_expect_eq(count, 1);
    cr_expect(weft_key_equal(&keys[0], key(w, 1)));
    cr_assert_eq(weft_history_trim(node(w, 0), INT64_MAX, CALL, &removed), WEFT_OK);
    cr_expect_eq(removed, before);
    cr_expect_eq(records(w, 0), 0);
    world_kill(w, 0);
    world_start(w, 0);
    cr_expect_eq(history(w, 0, 1), 0);
    count = 2;
    cr_expect_eq(weft_peers_with_history(node(w, 0), CALL, keys, &count), WEFT_OK);
    cr_expect_eq(count, 0);
    cr_expect_eq(pair(w, 0, 1).syncs_ok, sums.syncs_ok, "sums stay");
    world_destroy(w);
}

Test(history_sync, a_pair_says_what_the_two_stores_hold)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    for (uint32_t i = 0; i < 4; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    for (uint32_t i = 0; i < 3; i++) cr_assert_eq(world_commit(w, 1), WEFT_OK);
    sync_once(w);
    cr_assert(world_equal(w));
    for (uint32_t at = 0; at < 2; at++) {
        weft_pair_info info = pair(w, at, 1 - at);
        cr_expect_eq(info.acked_seq, world_info(w, at).arrivals, "node %u", at);
        cr_expect_eq(info.their_seq, world_info(w, 1 - at).arrivals, "node %u", at);
        cr_expect_eq(info.sent, at == 0 ? 5 : 3, "node %u: with the root", at);
        cr_expect_eq(info.received, at == 0 ? 3 : 5, "node %u", at);
        cr_expect_eq(info.success, 1.0, "node %u", at);
        cr_expect_gt(info.took_ns_mean, 0);
        cr_expect_gt(info.last_sync_ms, 0);
    }
    world_destroy(w);
}

Test(history_sync, arguments_and_who_is_unknown)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_key stranger = {{3}};
    weft_id absent = {{4}};
    weft_pair_info info;
    size_t count = 0;
    sync_once(w);
    cr_expect_eq(weft_history(node(w, 0), key(w, 1), CALL, NULL, &count), WEFT_LIMIT);
    cr_expect_eq(weft_history(node(w, 0), &stranger, CALL, NULL, &count), WEFT_NOT_FOUND);
    cr_expect_eq(weft_history(NULL, key(w, 1), CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_history(node(w, 0), NULL, CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_history(node(w, 0), key(w, 1), CALL, got, NULL), WEFT_INVALID);
    count = 1;
    cr_expect_eq(weft_history(node(w, 0), key(w, 1), CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_peers_with_history(NULL, CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_peers_with_history(node(w, 0), CALL, NULL, &count), WEFT_INVALID);
    count = 0;
    cr_expect_eq(weft_peers_with_history(node(w, 0), CALL, NULL, &count), WEFT_LIMIT);
    cr_expect_eq(weft_history_trim(NULL, 0, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_history_trim(node(w, 0), 0, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_pair_get(NULL, key(w, 1), &w->tree, CALL, &info), WEFT_INVALID);
    cr_expect_eq(weft_pair_get(node(w, 0), NULL, &w->tree, CALL, &info), WEFT_INVALID);
    cr_expect_eq(weft_pair_get(node(w, 0), key(w, 1), NULL, CALL, &info), WEFT_INVALID);
    cr_expect_eq(weft_pair_get(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_pair_get(node(w, 0), &stranger, &w->tree, CALL, &info), WEFT_NOT_FOUND);
    cr_expect_eq(weft_pair_get(node(w, 0), key(w, 1), &absent, CALL, &info), WEFT_NOT_FOUND);
    world_destroy(w);
}
