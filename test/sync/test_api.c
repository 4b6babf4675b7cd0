/* SPDX-License-Identifier: Apache-2.0
 * test_api.c - the calls of weft/node.h that other tests do not need: asynchronous forms,
 * lists, events, timers, what a failed actor leads to. In the simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <weft/store.h>

#include "alloc.h"
#include "layout.h"
#include "records.h"
#include "transport.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

struct answer {
    int calls;
    weft_err err;
    size_t count;
    weft_result result;
    uint8_t type; /* of the message that came */
    char first[WEFT_ADDRESS_BYTES_MAX];
};

static void on_result(void *arg, weft_err err, const weft_result *result)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    a->result = *result;
    a->type = result->message == NULL ? 0 : weft_buf_bytes(result->message)[1];
}

static void on_ids(void *arg, weft_err err, const weft_id *ids, size_t count)
{
    struct answer *a = arg;
    (void)ids;
    a->calls++;
    a->err = err;
    a->count = count;
}

static void on_servers(void *arg, weft_err err, const weft_server *servers, size_t count)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    a->count = count;
    if (count > 0) memcpy(a->first, servers[0].address, sizeof a->first);
}

/* Nothing before the world goes on, then one answer. */
static weft_err answered(struct world *w, struct answer *a, weft_err begun)
{
    cr_assert_eq(begun, WEFT_OK);
    cr_assert_eq(a->calls, 0, "it must not be called at once");
    world_run(w, WEFT_SEC);
    cr_assert_eq(a->calls, 1);
    a->calls = 0;
    return a->err;
}

/* -- Durability --------------------------------------------------------------------------- */

static weft_err put(struct world *w)
{
    return weft_commit(w->nodes[0].writer, "log", "x", 1, CALL, NULL);
}

Test(api, a_writer_says_how_durable_its_commits_are)
{
    struct world *w = world_create(1, WORLD_CHAIN, 1, WORLD_PLAIN);
    cr_assert_eq(world_commit(w, 0), WEFT_OK); /* opens the writer */
    weft_writer *writer = w->nodes[0].writer;
    wf_kv *kv = w->nodes[0].kv;
    cr_expect_eq(weft_writer_durability(writer, (weft_durability)7), WEFT_INVALID);
    cr_expect_eq(put(w), WEFT_OK);
    cr_expect_eq(wf_kv_memory_unsynced(kv), 0, "synced is what nobody asked for");
    cr_expect_eq(weft_writer_durability(writer, WEFT_WRITTEN), WEFT_OK);
    cr_expect_eq(put(w), WEFT_OK);
    cr_expect_gt(wf_kv_memory_unsynced(kv), 0);
    cr_expect_eq(weft_store_sync(node(w, 0), CALL), WEFT_OK);
    cr_expect_eq(wf_kv_memory_unsynced(kv), 0);
    cr_expect_eq(weft_writer_durability(writer, WEFT_SYNCED), WEFT_OK);
    cr_expect_eq(put(w), WEFT_OK);
    cr_expect_eq(wf_kv_memory_unsynced(kv), 0);
    world_destroy(w);
}

Test(api, a_writer_whose_last_commit_was_lost_begins_again_from_the_tips)
{
    struct world *w = world_create(1, WORLD_CHAIN, 1, WORLD_PLAIN);
    cr_assert_eq(world_commit(w, 0), WEFT_OK); /* opens the writer */
    cr_expect_eq(put(w), WEFT_OK);
    uint64_t entries = world_info(w, 0).entries;
    cr_expect_eq(weft_writer_durability(w->nodes[0].writer, WEFT_MEMORY), WEFT_OK);
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_NO_SPACE, false);
    cr_expect_eq(put(w), WEFT_OK, "nobody knows yet");
    world_run(w, WEFT_SEC);
    cr_expect_eq(world_info(w, 0).entries, entries, "this is what the level does not promise");
    cr_expect_eq(weft_writer_durability(w->nodes[0].writer, WEFT_SYNCED), WEFT_OK);
    cr_expect_eq(put(w), WEFT_OK);
    cr_expect_eq(world_info(w, 0).entries, entries + 1);
    world_destroy(w);
}

/* -- Asynchronous forms ------------------------------------------------------------------ */

Test(api, servers_asynchronously)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_node *n = node(w, 0);
    struct answer a = {0};
    weft_server servers[3];
    size_t count = 3;
    cr_expect_eq(weft_add_transport_async(n, "x", "udp:1", on_result, &a), WEFT_ADDRESS);
    cr_expect_eq(answered(w, &a, weft_add_transport_async(n, "x", NULL, on_result, &a)), WEFT_OK);
    cr_expect_eq(answered(w, &a,
                          weft_add_transport_mem_async(n, "a second", w->hub, "n0", "mem:n0:0",
                                                       on_result, &a)),
                 WEFT_OK);
    cr_expect_eq(answered(w, &a, weft_server_address_async(n, "a second", on_result, &a)),
                 WEFT_NOT_FOUND, "it is not started by that");
    cr_expect_eq(answered(w, &a, weft_start_server_async(n, "a second", on_result, &a)), WEFT_OK);
    cr_expect_eq(answered(w, &a, weft_server_address_async(n, "a second", on_result, &a)), WEFT_OK);
    cr_expect_eq(strncmp(a.result.text, "mem:n0:", 7), 0, "%s", a.result.text);
    cr_assert_eq(weft_server_addresses(n, CALL, servers, &count), WEFT_OK);
    cr_assert_eq(count, 2, "what listens, by name");
    cr_expect_str_eq(servers[0].name, "a second");
    cr_expect_str_eq(servers[0].address, a.result.text);
    cr_expect_str_eq(servers[1].address, "mem:n0:1");
    count = 1;
    cr_expect_eq(weft_server_addresses(n, CALL, servers, &count), WEFT_LIMIT);
    cr_expect_eq(count, 1);
    cr_expect_eq(answered(w, &a, weft_server_addresses_async(n, on_servers, &a)), WEFT_OK);
    cr_expect_eq(a.count, 2);
    cr_expect_str_eq(a.first, servers[0].address);
    cr_expect_eq(answered(w, &a, weft_stop_server_async(n, "a second", on_result, &a)), WEFT_OK);
    cr_expect_eq(answered(w, &a, weft_stop_server_async(n, "a second", on_result, &a)),
                 WEFT_NOT_FOUND);
    cr_expect_eq(answered(w, &a, weft_stop_server_async(n, NULL, on_result, &a)), WEFT_OK);
    cr_expect_eq(answered(w, &a, weft_server_addresses_async(n, on_servers, &a)), WEFT_OK);
    cr_expect_eq(a.count, 0, "all were stopped");
    cr_expect_eq(answered(w, &a, weft_start_server_async(n, NULL, on_result, &a)), WEFT_OK);
    cr_expect_eq(answered(w, &a, weft_server_addresses_async(n, on_servers, &a)), WEFT_OK);
    cr_expect_eq(a.count, 2, "all were started");
    world_destroy(w);
}

Test(api, requests_and_offers_asynchronously)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    const uint8_t trees_req[] = {0x92, WF_F_TREES_REQ, 0x00};
    struct answer a = {0};
    cr_expect_eq(answered(w, &a,
                          weft_send_request_async(node(w, 0), w->nodes[1].listen, trees_req,
                                                  sizeof trees_req, CALL, on_result, &a)),
                 WEFT_OK);
    cr_expect_eq(a.type, WF_F_TREES);
    cr_expect_eq(answered(w, &a, weft_peer_offers_async(node(w, 0), key(w, 1), CALL, on_ids, &a)),
                 WEFT_OK);
    cr_expect_eq(a.count, 1);
    world_destroy(w);
}

static weft_buf *child_of(struct world *w, const weft_id *tree, const weft_id *parent,
                          uint64_t height, const char *store, uint32_t number, weft_id *id)
{
    weft_buf *buf = NULL;
    weft_store_part part = {.name = store, .payload = &number, .payload_len = sizeof number};
    weft_entry_spec spec = {.tree = *tree,
                            .parents = parent,
                            .parents_count = 1,
                            .height = height,
                            .stores = &part,
                            .stores_count = 1};
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, id), WEFT_OK);
    return buf;
}

static void send_to_several_trees(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {8}};
    weft_id trees[2] = {w->tree}, ids[4], parents[2];
    weft_buf *bufs[4], *got = NULL;
    struct answer a = {0};
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &trees[1]), WEFT_OK);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(weft_tree_follow(node(w, i), &trees[1], key(w, 1 - i), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &trees[1], CALL, NULL), WEFT_OK);
    memcpy(parents, trees, sizeof parents);
    for (uint32_t i = 0; i < 4; i++) { /* in turn */
        bufs[i] = child_of(w, &trees[i % 2], &parents[i % 2], 1 + i / 2, "s", i, &ids[i]);
        parents[i % 2] = ids[i];
    }
    cr_expect_eq(
        answered(w, &a,
                 weft_send_entries_async(node(w, 0), key(w, 1), bufs, 4, CALL, on_result, &a)),
        WEFT_OK);
    cr_expect_eq(a.result.sent, 4);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(weft_get(node(w, 1), &ids[i], &got), WEFT_OK, "entry %d", i);
        weft_buf_unref(got);
        weft_buf_unref(bufs[i]);
    }
    world_destroy(w);
}

Test(api, entries_of_several_trees_are_sent_at_once)
{
    for (uint64_t seed = 3; seed < 23; seed++) send_to_several_trees(seed);
}

/* -- Lists ----------------------------------------------------------------------------------- */

Test(api, lists_of_peers_trees_and_tips)
{
    struct world *w = world_create(4, WORLD_STAR, 3, WORLD_PLAIN);
    weft_key keys[3];
    weft_id ids[3], tree;
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {8}};
    size_t count = 3;
    cr_assert_eq(weft_peer_list(node(w, 0), CALL, keys, &count), WEFT_OK);
    cr_assert_eq(count, 2);
    cr_expect_lt(weft_key_compare(&keys[0], &keys[1]), 0, "by key");
    count = 1;
    cr_expect_eq(weft_peer_list(node(w, 0), CALL, keys, &count), WEFT_LIMIT);
    count = 3;
    cr_assert_eq(weft_tree_list(node(w, 0), ids, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &tree), WEFT_OK);
    count = 1;
    cr_expect_eq(weft_tree_list(node(w, 0), ids, &count), WEFT_LIMIT);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    count = 3;
    cr_assert_eq(weft_tree_tips(node(w, 0), &w->tree, ids, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect(weft_id_equal(&ids[0], &w->acked[0]));
    world_destroy(w);
}

Test(api, an_unrelated_tree_is_not_synced_any_more)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id ids[1];
    size_t count = 1;
    cr_assert_eq(weft_peer_unrelate(node(w, 0), key(w, 1), &w->tree, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_unrelate(node(w, 1), key(w, 0), &w->tree, CALL), WEFT_OK);
    cr_expect_eq(weft_peer_trees(node(w, 0), key(w, 1), CALL, ids, &count), WEFT_OK);
    cr_expect_eq(count, 0);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 2 * WEFT_SYNC_INTERVAL_NS);
    cr_expect_not(world_equal(w));
    world_destroy(w);
}

Test(api, a_tree_that_is_not_followed_any_more_is_not_served)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(weft_tree_unfollow(node(w, 1), &w->tree, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_TREE);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &w->tree, CALL, NULL), WEFT_TREE);
    cr_assert_eq(weft_tree_follow(node(w, 1), &w->tree, key(w, 0), 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
    cr_expect(world_equal(w));
    world_destroy(w);
}

/* -- Events, failures ------------------------------------------------------------------------ */

struct events {
    int count[WEFT_EV_STORE + 1];
    weft_event last[WEFT_EV_STORE + 1];
};

static void on_event(void *arg, const weft_event *event)
{
    struct events *e = arg;
    e->count[event->kind]++;
    e->last[event->kind] = *event;
}

Test(api, a_subscriber_hears_of_peers_and_syncs)
{
    struct world *w = world_create(9, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    struct events e = {0};
    uint64_t handle;
    weft_id unknown = {{3}};
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(weft_subscribe(node(w, 0), on_event, &e, &handle), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_OK);
    world_run(w, WEFT_MS);
    cr_expect_eq(e.count[WEFT_EV_SYNC_STARTED], 1);
    cr_expect_eq(e.count[WEFT_EV_SYNC_DONE], 1);
    cr_expect_eq(e.last[WEFT_EV_SYNC_DONE].sent, 1);
    cr_expect_eq(e.last[WEFT_EV_SYNC_DONE].received, 2);
    cr_expect(weft_id_equal(&e.last[WEFT_EV_SYNC_DONE].tree, &w->tree));
    cr_expect(weft_key_equal(&e.last[WEFT_EV_SYNC_DONE].peer, key(w, 1)));
    cr_assert_eq(weft_tree_follow(node(w, 0), &unknown, key(w, 1), 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &unknown, CALL, NULL), WEFT_TREE);
    world_run(w, WEFT_MS); /* the feed comes after the answer */
    cr_expect_eq(e.count[WEFT_EV_SYNC_FAILED], 1);
    cr_expect_eq(e.last[WEFT_EV_SYNC_FAILED].err, WEFT_TREE);
    wf_net_hub_kill(w->hub->hub, w->nodes[1].host);
    world_run(w, 2 * WEFT_SEC);
    cr_expect_eq(e.count[WEFT_EV_PEER_DOWN], 1);
    cr_expect_eq(e.last[WEFT_EV_PEER_DOWN].err, WEFT_NETWORK);
    cr_expect_eq(e.count[WEFT_EV_PEER_UP], 1, "dialled again");
    cr_expect(weft_key_equal(&e.last[WEFT_EV_PEER_UP].peer, key(w, 1)));
    cr_assert_eq(weft_unsubscribe(node(w, 0), handle), WEFT_OK);
    world_destroy(w);
}

Test(api, a_store_whose_disk_failed_and_came_back_says_both_and_its_node_goes_on)
{
    struct world *w = world_create(10, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct events e = {0};
    uint64_t handle;
    cr_assert_eq(weft_subscribe(node(w, 0), on_event, &e, &handle), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_NO_SPACE, true);
    cr_expect_eq(world_commit(w, 0), WEFT_NO_SPACE, "the answer says why");
    world_run(w, WEFT_SEC);
    cr_expect_eq(e.count[WEFT_EV_STORE], 1);
    cr_expect_eq(e.last[WEFT_EV_STORE].err, WEFT_NO_SPACE);
    cr_expect_eq(world_commit(w, 0), WEFT_NO_SPACE, "refused");
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    wf_kv_memory_fail_at(w->nodes[0].kv, 0, WEFT_OK, false);
    world_run(w, 2 * WEFT_SEC);
    cr_expect_eq(e.count[WEFT_EV_STORE], 2);
    cr_expect_eq(e.last[WEFT_EV_STORE].err, WEFT_OK);
    cr_expect_eq(e.count[WEFT_EV_STOPPED], 0);
    cr_expect_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 2 * WEFT_SYNC_INTERVAL_NS);
    cr_expect(world_equal(w), "what came meanwhile comes again");
    world_destroy(w);
}

/* A tree that was published is gone from the disk: nobody goes on from that. */
static void lose_the_tree(wf_kv *kv)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_batch *batch;
    wf_kv_memory_crash(kv, 0);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    wf_batch_delete(batch, WF_CF_TREE, key, sizeof key);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(api, a_store_that_cannot_go_on_stops_its_node_in_order_and_says_so)
{
    struct world *w = world_create(10, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct events e = {0};
    struct answer a = {0};
    uint64_t handle;
    cr_assert_eq(weft_subscribe(node(w, 0), on_event, &e, &handle), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_IO, true);
    cr_expect_eq(world_commit(w, 0), WEFT_IO);
    lose_the_tree(w->nodes[0].kv);
    world_run(w, WEFT_SEC);
    cr_expect_eq(e.count[WEFT_EV_STOPPED], 1);
    cr_expect_eq(e.last[WEFT_EV_STOPPED].err, WEFT_CORRUPT);
    cr_expect_eq(world_commit(w, 0), WEFT_CLOSED);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL), WEFT_CLOSED);
    cr_expect_eq(answered(w, &a, weft_flush_async(node(w, 0), CALL, on_result, &a)), WEFT_CLOSED);
    weft_node_stats s;
    cr_assert_eq(weft_node_stats_get(node(w, 1), &s), WEFT_OK);
    cr_expect_eq(s.connections, 0, "its peer was told");
    cr_expect_eq(weft_shutdown(node(w, 0), WEFT_SEC), WEFT_OK);
    world_destroy(w);
}

/* -- Timers ---------------------------------------------------------------------------------- */

static void run_until(struct world *w, weft_ns at)
{
    cr_assert_lt(wf_sim_now(w->sim), at);
    wf_sim_run_until(w->sim, at);
}

Test(api, the_periodic_sync_comes_at_its_time_and_not_before)
{
    struct world *w = world_create(11, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    world_run(w, 2 * WEFT_SEC); /* what follows from the relation itself is over */
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    run_until(w, WEFT_SYNC_INTERVAL_NS - 5 * WEFT_SEC);
    cr_expect_not(world_equal(w), "a tick at the start, or of another timer");
    run_until(w, WEFT_SYNC_INTERVAL_NS + 5 * WEFT_SEC);
    cr_expect(world_equal(w));
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    run_until(w, 2 * WEFT_SYNC_INTERVAL_NS - 5 * WEFT_SEC);
    cr_expect_not(world_equal(w));
    run_until(w, 2 * WEFT_SYNC_INTERVAL_NS + 5 * WEFT_SEC);
    cr_expect(world_equal(w), "in both directions");
    world_destroy(w);
}

Test(api, a_changed_interval_is_taken_up_by_the_settings_tick)
{
    struct world *w = world_create(12, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    world_run(w, 2 * WEFT_SEC);
    node(w, 0)->table.timers.sync_interval = 10 * WEFT_SEC;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    run_until(w, WEFT_SETTINGS_TICK_NS - 5 * WEFT_SEC);
    cr_expect_not(world_equal(w));
    run_until(w, WEFT_SETTINGS_TICK_NS + 5 * WEFT_SEC);
    cr_expect_not(world_equal(w), "the new period begins with the change");
    run_until(w, WEFT_SETTINGS_TICK_NS + 15 * WEFT_SEC);
    cr_expect(world_equal(w));
    world_destroy(w);
}

/* -- What is kept over a restart ------------------------------------------------------------- */

Test(api, the_exact_mode_outlives_a_restart_and_ends_with_one_exact_session)
{
    struct world *w = world_create(13, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct wf_record_put *put = wf_record_create(1);
    put->cf = WF_CF_PEER;
    put->key[0] = WF_REC_EXACT;
    memcpy(put->key + 1, key(w, 1)->bytes, 32);
    memcpy(put->key + 33, w->tree.bytes, 32);
    put->key_len = 65;
    put->value[0] = 1;
    cr_assert_eq(wf_node_call(node(w, 0), node(w, 0)->table.store, &put->req, CALL, NULL), WEFT_OK);
    for (uint64_t exact = 1; exact < 3; exact++) {
        weft_node_stats s;
        cr_assert_eq(wf_kv_sync(w->nodes[0].kv), WEFT_OK);
        world_kill(w, 0);
        world_start(w, 0);
        world_run(w, 100 * WEFT_SEC);
        cr_assert_eq(weft_node_stats_get(node(w, 0), &s), WEFT_OK);
        cr_expect_eq(s.sessions_exact, exact == 1 ? 1u : 0u, "%lu exact after restart %lu",
                     s.sessions_exact, exact);
        cr_expect_geq(s.sessions_ok, 1u);
    }
    world_destroy(w);
}
