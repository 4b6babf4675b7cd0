/* SPDX-License-Identifier: Apache-2.0
 * test_peers.c - the calls about peers, their addresses and the trees that are shared with them, as a
 * user sees them. In the simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "block.h"
#include "keyset.h"
#include "records.h"
#include "store_actor.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static uint64_t entries(struct world *w, uint32_t i, const weft_id *tree)
{
    weft_tree_info info;
    return weft_tree_info_get(node(w, i), tree, &info) == WEFT_OK ? info.entries : 0;
}

static weft_peer_info info_of(struct world *w, uint32_t at, const weft_key *peer)
{
    weft_peer_info info;
    cr_assert_eq(weft_peer_get(node(w, at), peer, CALL, &info), WEFT_OK);
    return info;
}

/* -- Syncing with one -------------------------------------------------------------------- */

Test(peers, a_tree_that_fails_stops_no_other_and_is_the_answer)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id first = {{0}}, last;
    first.bytes[31] = 1;
    memset(last.bytes, 0xff, sizeof last.bytes);
    world_run(w, 2 * WEFT_SEC);
    const weft_id *strange[] = {&first, &last}; /* of which the peer knows nothing */
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(weft_tree_follow(node(w, 0), strange[i], key(w, 1), 1, CALL), WEFT_OK);
        cr_assert_eq(weft_peer_relate(node(w, 0), key(w, 1), strange[i], CALL), WEFT_OK);
    }
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_not(world_equal(w));
    cr_expect_eq(weft_sync_with_peer(node(w, 0), key(w, 1), CALL, NULL), WEFT_TREE);
    cr_expect(world_equal(w), "the one between them was synced");
    world_destroy(w);
}

Test(peers, what_is_committed_in_a_tree_goes_to_the_peers_of_that_tree_alone)
{
    struct world *w = world_create(2, WORLD_STAR, 3, WORLD_PLAIN);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {7}};
    weft_id mine;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &mine), WEFT_OK);
    for (uint32_t i = 1; i < 3; i++) /* both would take it, and may */
        cr_assert_eq(weft_tree_follow(node(w, i), &mine, key(w, 0), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node(w, 0), key(w, 1), &mine, CALL), WEFT_OK);
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node(w, 0), &mine, w->author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "log", "x", 1, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 2 * WEFT_SYNC_INTERVAL_NS);
    cr_expect_eq(entries(w, 1, &mine), 2);
    cr_expect_eq(entries(w, 2, &mine), 0);
    cr_expect(world_equal(w), "the tree that all three share");
    world_destroy(w);
}

/* -- Who is known ------------------------------------------------------------------------ */

Test(peers, of_somebody_unknown_nothing_is_changed)
{
    struct world *w = world_create(3, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_node *n = node(w, 0);
    weft_key nobody = {{7}}, keys[1];
    weft_peer_info info;
    weft_id ids[1];
    size_t count = 1;
    cr_expect_eq(weft_peer_set_status(n, &nobody, WEFT_PEER_ACTIVE, CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_relate(n, &nobody, &w->tree, CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_unrelate(n, &nobody, &w->tree, CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_add_address(n, &nobody, "tcp:127.0.0.1:1", CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_remove_address(n, &nobody, "tcp:127.0.0.1:1", CALL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_get(n, &nobody, CALL, &info), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_trees(n, &nobody, CALL, ids, &count), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_remove(n, &nobody, CALL), WEFT_OK, "that is never an error");
    count = 1;
    cr_expect_eq(weft_peer_list(n, CALL, keys, &count), WEFT_OK);
    cr_expect_eq(count, 0);
    cr_expect_eq(weft_peer_register(n, &nobody, NULL, CALL), WEFT_OK, "it left nothing");
    world_destroy(w);
}

Test(peers, relations_are_told_from_both_sides_and_said_twice_are_one)
{
    struct world *w = world_create(4, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_node *n = node(w, 0);
    weft_key a = {{1}}, b = {{2}}, keys[3];
    weft_id one = {{1}}, two = {{2}}, ids[3];
    size_t count = 3;
    cr_assert_eq(weft_peer_register(n, &a, NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_register(n, &b, NULL, CALL), WEFT_OK);
    for (int i = 0; i < 2; i++) { /* a tree need not be here */
        cr_expect_eq(weft_peer_relate(n, &a, &two, CALL), WEFT_OK);
        cr_expect_eq(weft_peer_relate(n, &a, &one, CALL), WEFT_OK);
        cr_expect_eq(weft_peer_relate(n, &b, &two, CALL), WEFT_OK);
    }
    cr_assert_eq(weft_peer_trees(n, &a, CALL, ids, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect(weft_id_equal(&ids[0], &one) && weft_id_equal(&ids[1], &two));
    cr_expect_eq(info_of(w, 0, &a).trees_count, 2);
    count = 3;
    cr_assert_eq(weft_tree_peers(n, &two, CALL, keys, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect(weft_key_equal(&keys[0], &a) && weft_key_equal(&keys[1], &b));
    count = 1;
    cr_expect_eq(weft_tree_peers(n, &two, CALL, keys, &count), WEFT_LIMIT);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(weft_peer_unrelate(n, &a, &two, CALL), WEFT_OK, "also when it is not");
    count = 3;
    cr_assert_eq(weft_tree_peers(n, &two, CALL, keys, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect(weft_key_equal(&keys[0], &b));
    cr_assert_eq(weft_peer_set_status(n, &b, WEFT_PEER_BLOCKED, CALL), WEFT_OK);
    count = 3;
    cr_assert_eq(weft_tree_peers(n, &two, CALL, keys, &count), WEFT_OK);
    cr_expect_eq(count, 0, "it is still related, and blocked");
    count = 3;
    cr_assert_eq(weft_peer_list(n, CALL, keys, &count), WEFT_OK);
    cr_expect(count == 1 && weft_key_equal(&keys[0], &a));
    world_destroy(w);
}

Test(peers, an_address_that_is_removed_is_gone_and_the_others_keep_their_order)
{
    struct world *w = world_create(5, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_node *n = node(w, 0);
    weft_key a = {{1}};
    cr_assert_eq(weft_peer_register(n, &a, NULL, CALL), WEFT_OK);
    static const char *const all[] = {"tcp:127.0.0.1:3", "tcp:127.0.0.1:1", "tcp:127.0.0.1:2"};
    for (int i = 0; i < 3; i++) cr_assert_eq(weft_peer_add_address(n, &a, all[i], CALL), WEFT_OK);
    cr_expect_eq(weft_peer_remove_address(n, &a, all[1], CALL), WEFT_OK);
    cr_expect_eq(weft_peer_remove_address(n, &a, all[1], CALL), WEFT_NOT_FOUND);
    weft_peer_info info = info_of(w, 0, &a);
    cr_assert_eq(info.addresses_count, 2);
    cr_expect_str_eq(info.addresses[0], all[0]);
    cr_expect_str_eq(info.addresses[1], all[2]);
    cr_expect_eq(weft_peer_add_address(n, &a, all[1], CALL), WEFT_OK);
    cr_expect_str_eq(info_of(w, 0, &a).addresses[2], all[1]);
    world_destroy(w);
}

/* -- What is written of one --------------------------------------------------------------- */

Test(peers, the_times_of_the_last_contact_and_of_the_last_success_are_written)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id strange = {{9}};
    world_run(w, 5 * WEFT_SEC);
    weft_peer_info before = info_of(w, 0, key(w, 1));
    cr_expect_eq(before.connection, WEFT_CONNECTED);
    cr_expect_gt(before.first_seen_ms, 0);
    cr_expect_geq(before.last_seen_ms, before.first_seen_ms);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
    weft_peer_info after = info_of(w, 0, key(w, 1));
    cr_expect_gt(after.last_success_ms, before.last_success_ms);
    cr_expect_geq(after.last_seen_ms, after.last_success_ms);
    cr_expect_gt(after.syncs_ok, before.syncs_ok);
    cr_expect_eq(after.entries_sent, before.entries_sent + 1);
    cr_expect_gt(after.bytes_sent, before.bytes_sent);
    cr_expect_eq(after.first_seen_ms, before.first_seen_ms);
    world_run(w, 5 * WEFT_SEC);
    cr_assert_eq(weft_tree_follow(node(w, 0), &strange, key(w, 1), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &strange, CALL, NULL), WEFT_TREE);
    before = after;
    after = info_of(w, 0, key(w, 1));
    cr_expect_eq(after.syncs_failed, before.syncs_failed + 1);
    cr_expect_eq(after.last_error, WEFT_TREE);
    cr_expect_eq(after.last_success_ms, before.last_success_ms, "that was none");
    world_kill(w, 1);
    world_run(w, 200 * WEFT_SEC);
    after = info_of(w, 0, key(w, 1));
    cr_expect_neq(after.connection, WEFT_CONNECTED);
    cr_expect_gt(after.failures, 0);
    world_destroy(w);
}

Test(peers, a_name_that_was_given_here_is_not_what_the_peer_calls_itself)
{
    struct world *w = world_create(7, WORLD_STAR, 3, WORLD_PLAIN);
    cr_assert_eq(weft_peer_register(node(w, 1), key(w, 2), "bob", CALL), WEFT_OK);
    cr_assert_eq(weft_connect(node(w, 1), w->nodes[2].listen, key(w, 2), CALL, NULL), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(info_of(w, 1, key(w, 2)).connection, WEFT_CONNECTED);
    cr_expect_str_eq(info_of(w, 1, key(w, 2)).name, "bob");
    weft_peer_info unnamed = info_of(w, 1, key(w, 0));
    cr_expect_str_eq(unnamed.name, w->nodes[0].host, "nobody has named it");
    world_destroy(w);
}

/* -- What is left of records ----------------------------------------------------------------- */

static void restart(struct world *w)
{
    cr_assert_eq(wf_kv_sync(w->nodes[0].kv), WEFT_OK);
    world_kill(w, 0);
    world_start(w, 0);
}

/* Two bytes that are no record, into the store of node 0. */
static void damage(struct world *w, uint8_t prefix, const weft_key *peer, uint32_t key_len)
{
    struct wf_record_put *put = wf_record_create(2);
    put->cf = WF_CF_PEER;
    put->key[0] = prefix;
    memcpy(put->key + 1, peer->bytes, sizeof peer->bytes);
    put->key_len = 1 + key_len;
    memcpy(put->value, "\xdc\x01", 2);
    cr_assert_eq(wf_node_call(node(w, 0), node(w, 0)->table.store, &put->req, CALL, NULL), WEFT_OK);
}

static uint64_t damaged(struct world *w)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(node(w, 0), &stats), WEFT_OK);
    return stats.peers_damaged;
}

static size_t record_len(struct world *w, const weft_key *peer)
{
    uint8_t record[33] = {WF_REC_PEER}, bytes[4096];
    size_t len = sizeof bytes;
    memcpy(record + 1, peer->bytes, sizeof peer->bytes);
    cr_assert_eq(wf_store_record_get(node(w, 0)->table.wf_store, WF_CF_PEER, record, sizeof record,
                                     bytes, &len),
                 WEFT_OK);
    return len;
}

Test(peers, whose_record_is_damaged_is_kept_out_until_it_is_registered_again)
{
    struct world *w = world_create(21, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_peer_info info;
    cr_assert_eq(weft_peer_register(node(w, 0), &(weft_key){{9}}, "other", CALL), WEFT_OK);
    damage(w, WF_REC_PEER, key(w, 1), 32);
    restart(w); /* it opens */
    cr_expect_eq(damaged(w), 1);
    cr_expect_str_eq(info_of(w, 0, &(weft_key){{9}}).name, "other");
    cr_expect_eq(weft_peer_get(node(w, 0), key(w, 1), CALL, &info), WEFT_NOT_FOUND);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, 200 * WEFT_SEC);
    cr_expect_not(world_equal(w), "it may have been blocked");
    restart(w);
    cr_expect_eq(record_len(w, key(w, 1)), 2, "it is still there to be looked at");
    cr_assert_eq(weft_peer_register(node(w, 0), key(w, 1), "again", CALL), WEFT_OK);
    cr_expect(world_converges(w, 90 * WEFT_SEC), "its trees are known yet");
    cr_expect_eq(weft_peer_register(node(w, 0), key(w, 1), "x", CALL), WEFT_EXISTS);
    restart(w);
    cr_expect_eq(damaged(w), 0);
    cr_expect_str_eq(info_of(w, 0, key(w, 1)).name, "again");
    world_destroy(w);
}

Test(peers, whose_record_is_damaged_stay_blocked_whatever_else_is_changed_of_them)
{
    struct world *w = world_create(25, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_node *n;
    damage(w, WF_REC_PEER, key(w, 1), 32);
    restart(w);
    n = node(w, 0);
    cr_assert_eq(weft_peer_add_address(n, key(w, 1), w->nodes[1].listen, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(n, key(w, 1), &(weft_id){{3}}, CALL), WEFT_OK);
    cr_expect_eq(weft_peer_register(n, key(w, 1), "x", CALL), WEFT_EXISTS);
    restart(w);
    n = node(w, 0);
    cr_expect_eq(damaged(w), 0, "its record is anew");
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, 200 * WEFT_SEC);
    cr_expect_not(world_equal(w), "and blocked");
    cr_assert_eq(weft_peer_set_status(n, key(w, 1), WEFT_PEER_ACTIVE, CALL), WEFT_OK);
    cr_expect(world_converges(w, 90 * WEFT_SEC));
    world_destroy(w);
}

Test(peers, what_is_damaged_beside_them_is_left_aside)
{
    static const uint8_t prefixes[] = {WF_REC_PEER, WF_REC_RELATION, WF_REC_EXACT, WF_REC_ACKED};
    struct world *w = world_create(22, WORLD_CHAIN, 2, WORLD_PLAIN);
    for (size_t i = 0; i < sizeof prefixes; i++) damage(w, prefixes[i], key(w, 1), 31);
    damage(w, WF_REC_RELATION, &(weft_key){{9}}, 64); /* of nobody */
    damage(w, WF_REC_ACKED, &(weft_key){{9}}, 64);
    restart(w);
    cr_expect_eq(damaged(w), sizeof prefixes + 2, "%lu", damaged(w));
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_expect(world_converges(w, 90 * WEFT_SEC));
    world_destroy(w);
}

/* -- Who is known by more than having come ---------------------------------------------------- */

static bool known(struct world *w, const weft_key *peer)
{
    return wf_keyset_has(node(w, 0)->table.known, peer);
}

/* Node 2 comes to node 0, who has never heard of it, for this tree. */
static void come(struct world *w, const weft_id *tree)
{
    cr_assert_eq(weft_connect(node(w, 2), w->nodes[0].listen, NULL, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 2), tree, key(w, 0), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 2), key(w, 0), tree, CALL, NULL), WEFT_OK);
    (void)info_of(w, 0, key(w, 2)); /* it is registered */
}

Test(peers, that_came_by_everybodys_right_are_known_once_somebody_names_them)
{
    struct world *w = world_create(23, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ, .entropy = {7}};
    weft_id open;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &open), WEFT_OK);
    come(w, &open);
    cr_expect(known(w, key(w, 1)), "by hand");
    cr_expect_not(known(w, key(w, 2)));
    world_run(w, 10 * WEFT_SEC);
    restart(w);
    (void)info_of(w, 0, key(w, 2));
    cr_expect_not(known(w, key(w, 2)), "after a restart");
    cr_expect_eq(weft_peer_register(node(w, 0), key(w, 2), "x", CALL), WEFT_EXISTS);
    cr_expect(known(w, key(w, 2)));
    world_run(w, 10 * WEFT_SEC);
    restart(w);
    cr_expect(known(w, key(w, 2)), "it stays so");
    world_destroy(w);
}

Test(peers, that_came_by_a_right_of_their_own_are_known)
{
    struct world *w = world_create(24, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_key readers[] = {*key(w, 1), *key(w, 2)};
    cr_assert_eq(weft_tree_follow(node(w, 0), &w->tree, readers, 2, CALL), WEFT_OK);
    come(w, &w->tree);
    cr_expect(known(w, key(w, 2)));
    world_destroy(w);
}
