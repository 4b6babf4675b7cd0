/* SPDX-License-Identifier: Apache-2.0
 * test_async.c - the asynchronous forms of calls about trees, entries, rights, settings, joining,
 * tickets, kept trees, history and transports: begun from anywhere, also inside an actor, and answered once. In the simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <weft/access.h>
#include <weft/feed.h>
#include <weft/history.h>
#include <weft/net.h>
#include <weft/store.h>
#include <weft/ticket.h>

#include "alloc.h"
#include "join_kit.h"

/* -- Who is told ------------------------------------------------------------------------ */

static struct told {
    uint32_t calls;
    weft_err err;
    size_t count;
    bool has; /* a result came with it */
    weft_id id;
    uint8_t request[16];
    weft_sync_settings settings;
    weft_ticket ticket;
    weft_join_outcome outcome;
    weft_sync_peer *handle;
    weft_sync_status status;
    weft_transport_info transport;
    weft_buf *entry; /* the test's */
    weft_right right;
} told;

static void tell(weft_err err, bool has, size_t count)
{
    told.calls++;
    told.err = err;
    told.has = has;
    told.count = count;
}

static void on_nothing(void *arg, weft_err err, const weft_result *result)
{
    (void)arg;
    tell(err, result != NULL, 0);
}

static void on_count(void *arg, weft_err err, uint64_t count)
{
    (void)arg;
    tell(err, true, count);
}

static void on_info(void *arg, weft_err err, const weft_tree_info *info)
{
    (void)arg;
    tell(err, info != NULL, info != NULL ? info->entries : 0);
}

static void on_entry(void *arg, weft_err err, weft_buf *entry)
{
    (void)arg;
    tell(err, entry != NULL, 1);
    weft_buf_unref(told.entry);
    told.entry = entry == NULL ? NULL : weft_buf_ref(entry);
}

static void on_grants(void *arg, weft_err err, const weft_grant *grants, size_t count)
{
    (void)arg;
    tell(err, grants != NULL, count);
    if (count > 0) told.right = grants[0].right;
}

static void on_right(void *arg, weft_err err, weft_right right, uint32_t priority)
{
    (void)arg;
    tell(err, true, priority);
    told.right = right;
}

static void on_tree(void *arg, weft_err err, const weft_id *tree)
{
    (void)arg;
    tell(err, tree != NULL, 1);
    if (tree != NULL) told.id = *tree;
}

static void on_ids(void *arg, weft_err err, const weft_id *ids, size_t count)
{
    (void)arg;
    tell(err, ids != NULL, count);
    if (count > 0) told.id = ids[0];
}

static void on_keys(void *arg, weft_err err, const weft_key *keys, size_t count)
{
    (void)arg;
    tell(err, keys != NULL, count);
}

static void on_settings(void *arg, weft_err err, const weft_sync_settings *settings)
{
    (void)arg;
    tell(err, settings != NULL, 1);
    if (settings != NULL) told.settings = *settings;
}

static void on_joins(void *arg, weft_err err, const weft_join_request *requests, size_t count)
{
    (void)arg;
    tell(err, requests != NULL, count);
    if (count > 0) memcpy(told.request, requests[0].id, sizeof told.request);
}

static void on_join(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    (void)arg;
    tell(err, outcome != NULL, 1);
    if (outcome != NULL) told.outcome = *outcome;
}

static void on_ticket(void *arg, weft_err err, const weft_ticket *ticket)
{
    (void)arg;
    tell(err, ticket != NULL, 1);
    if (ticket != NULL) told.ticket = *ticket;
}

static void on_handle(void *arg, weft_err err, weft_sync_peer *handle)
{
    (void)arg;
    tell(err, handle != NULL, 1);
    told.handle = handle;
}

static void on_status(void *arg, weft_err err, const weft_sync_status *status)
{
    (void)arg;
    tell(err, status != NULL, 1);
    if (status != NULL) told.status = *status;
}

static void on_syncs(void *arg, weft_err err, const weft_sync_record *syncs, size_t count)
{
    (void)arg;
    tell(err, syncs != NULL, count);
}

static void on_addresses(void *arg, weft_err err, const weft_address_info *list, size_t count)
{
    (void)arg;
    tell(err, list != NULL, count);
}

static void on_transports(void *arg, weft_err err, const weft_transport_info *list, size_t count)
{
    (void)arg;
    tell(err, list != NULL, count);
    if (count > 0) told.transport = list[0];
}

/* -- A world ---------------------------------------------------------------------------- */

static struct world *w;
static weft_id closed; /* at node 0: nobody else may read it, and who asks waits */
static weft_sync_peer *kept;

static void setup(void)
{
    w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    closed = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_sync_peer_spec spec = {.peer = *key(w, 1), .tree = w->tree};
    cr_assert_eq(weft_sync_peer_open(node(w, 0), &spec, CALL, &kept), WEFT_OK);
    world_run(w, 2 * WEFT_SEC);
    memset(&told, 0, sizeof told);
}

static void forget(void)
{
    weft_sync_peer_close(told.handle);
    weft_buf_unref(told.entry);
    told.handle = NULL;
    told.entry = NULL;
}

static void teardown(void)
{
    forget();
    weft_sync_peer_close(kept);
    world_destroy(w);
}

TestSuite(async, .init = setup, .fini = teardown);

/* Nothing before the world goes on, then one answer. */
static weft_err answered(weft_err begun)
{
    cr_assert_eq(begun, WEFT_OK, "%s", weft_errname(begun));
    cr_assert_eq(told.calls, 0, "it must not be called at once");
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(told.calls, 1);
    told.calls = 0;
    return told.err;
}

static weft_ticket ticket_of(const weft_id *tree)
{
    weft_ticket t;
    cr_assert_eq(weft_ticket_create(node(w, 0), tree, CALL, &t), WEFT_OK);
    return t;
}

/* -- What is told ----------------------------------------------------------------------- */

Test(async, a_tree_is_created_followed_and_let_go)
{
    weft_root_spec root = {.entropy = {9}};
    weft_tree_info info;
    cr_expect_eq(answered(weft_tree_create_async(node(w, 0), w->author, &root, on_tree, NULL)),
                 WEFT_OK);
    weft_id tree = told.id;
    cr_assert_eq(weft_tree_info_get(node(w, 0), &tree, &info), WEFT_OK);
    cr_expect(info.has_root && info.followed);
    cr_expect_eq(
        answered(weft_tree_follow_async(node(w, 1), &tree, key(w, 0), 1, on_nothing, NULL)),
        WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &tree, CALL, NULL), WEFT_TREE, "no reader");
    cr_expect_eq(
        answered(weft_tree_follow_async(node(w, 0), &tree, key(w, 1), 1, on_nothing, NULL)),
        WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &tree, CALL, NULL), WEFT_OK);
    cr_expect_eq(answered(weft_tree_unfollow_async(node(w, 0), &tree, on_nothing, NULL)), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &tree, CALL, NULL), WEFT_TREE);
    cr_expect_eq(answered(weft_store_sync_async(node(w, 0), on_nothing, NULL)), WEFT_OK);
}

/* Two entries on the root of the world's tree, the second broken if `bad`. */
static void two_entries(weft_buf *out[2], bool bad)
{
    weft_id above = w->tree;
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t text[8] = {(uint8_t)i, 77};
        weft_store_part part = {.name = "log", .payload = text, .payload_len = sizeof text};
        weft_entry_spec spec = {.tree = w->tree,
                                .parents = &above,
                                .parents_count = 1,
                                .height = i + 1,
                                .stores = &part,
                                .stores_count = 1};
        cr_assert_eq(weft_entry_build(&spec, w->author, &out[i], &above), WEFT_OK);
    }
    if (bad) weft_buf_data(out[1])[weft_buf_len(out[1]) - 1] ^= 1; /* of its signature */
}

Test(async, of_entries_the_good_ones_before_a_bad_one_are_added)
{
    weft_buf *bufs[2];
    two_entries(bufs, true);
    cr_expect_eq(answered(weft_add_async(node(w, 0), bufs, 2, false, on_count, NULL)),
                 WEFT_BAD_SIGNATURE);
    cr_expect_eq(told.count, 1);
    cr_expect_eq(weft_add_async(node(w, 0), &bufs[1], 1, false, on_count, NULL), WEFT_BAD_SIGNATURE,
                 "at once: nothing was begun");
    weft_buf_unref(bufs[0]);
    weft_buf_unref(bufs[1]);
    two_entries(bufs, false);
    cr_expect_eq(answered(weft_add_async(node(w, 0), bufs, 2, false, on_count, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 2);
    cr_expect_eq(weft_add_async(node(w, 0), bufs, 0, false, on_count, NULL), WEFT_INVALID);
    weft_buf_unref(bufs[0]);
    weft_buf_unref(bufs[1]);
}

Test(async, settings_are_put_looked_at_and_removed)
{
    weft_node *n = node(w, 0);
    weft_key alice = {{0xa1}};
    weft_sync_settings s = {.enabled = true, .has_interval = true, .interval_s = 40}, none = {0};
    weft_tracked list[1] = {{w->tree, s}};
    char value[4];
    size_t len = sizeof value;
    cr_expect_eq(answered(weft_settings_put_async(n, &closed, &alice, &s, on_nothing, NULL)),
                 WEFT_OK);
    cr_expect_eq(answered(weft_settings_get_async(n, &closed, &alice, on_settings, NULL)), WEFT_OK);
    cr_expect(told.settings.enabled && told.settings.interval_s == 40);
    cr_expect_eq(answered(weft_settings_enable_async(n, &closed, &alice, false, on_nothing, NULL)),
                 WEFT_OK);
    cr_expect_eq(answered(weft_settings_combined_async(n, &closed, on_settings, NULL)), WEFT_OK);
    cr_expect(told.settings.enabled && told.settings.on_commit, "the node itself has it so");
    cr_expect_eq(answered(weft_principal_trees_async(n, &alice, on_ids, NULL)), WEFT_OK);
    cr_expect(told.count == 1 && weft_id_equal(&told.id, &closed));
    cr_expect_eq(answered(weft_settings_remove_async(n, &closed, &alice, on_nothing, NULL)),
                 WEFT_OK);
    cr_expect_eq(answered(weft_settings_get_async(n, &closed, &alice, on_settings, NULL)),
                 WEFT_NOT_FOUND);
    cr_expect_not(told.has);
    cr_expect_eq(answered(weft_principal_sync_async(n, &alice, list, 1, on_nothing, NULL)),
                 WEFT_OK);
    cr_expect_eq(answered(weft_principal_trees_async(n, &alice, on_ids, NULL)), WEFT_OK);
    cr_expect(told.count == 1 && weft_id_equal(&told.id, &w->tree));
    cr_expect_eq(answered(weft_setting_set_async(n, "k", "v", on_nothing, NULL)), WEFT_OK);
    cr_expect_eq(weft_setting_get(n, "k", value, &len), WEFT_OK);
    none.has_interval = true;
    cr_expect_eq(answered(weft_settings_put_async(n, &closed, &alice, &none, on_nothing, NULL)),
                 WEFT_INVALID, "an interval of zero");
}

Test(async, a_request_to_join_is_listed_looked_at_and_asked_after)
{
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &closed, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_expect_eq(answered(weft_join_list_async(node(w, 0), WEFT_JOIN_PENDING, on_joins, NULL)),
                 WEFT_OK);
    cr_expect(told.count == 1 && memcmp(told.request, said.id, sizeof said.id) == 0);
    cr_expect_eq(answered(weft_join_get_async(node(w, 0), said.id, on_joins, NULL)), WEFT_OK);
    cr_expect(told.count == 1 && memcmp(told.request, said.id, sizeof said.id) == 0);
    cr_expect_eq(answered(weft_join_get_async(node(w, 0), w->tree.bytes, on_joins, NULL)),
                 WEFT_NOT_FOUND);
    cr_expect_not(told.has);
    cr_expect_eq(
        answered(weft_tree_join_check_async(node(w, 1), &closed, NULL, CALL, on_join, NULL)),
        WEFT_AWAITING);
    cr_expect(told.has && told.outcome.state == WEFT_JOIN_PENDING);
    cr_expect_eq(answered(weft_join_mode_set_async(node(w, 0), &closed, WEFT_JOIN_CLOSED, NULL,
                                                   WEFT_RIGHT_NONE, 0, on_nothing, NULL)),
                 WEFT_OK);
    weft_keypair *other = join_pair(50, NULL);
    cr_expect_eq(join_ask_as(w, 1, &closed, other, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    weft_keypair_destroy(other);
}

Test(async, a_ticket_is_made_shared_and_joined_by)
{
    weft_node *n = node(w, 0);
    weft_key alice = {{0xa1}};
    weft_id absent = {{3}};
    weft_join_spec spec = {.name = "Ada", .right = WEFT_RIGHT_READ};
    cr_expect_eq(answered(weft_ticket_create_async(n, &closed, on_ticket, NULL)), WEFT_OK);
    cr_expect(told.ticket.hints_count == 1 && weft_id_equal(&told.ticket.tree, &closed));
    cr_expect_eq(weft_share_async(n, &absent, &alice, on_ticket, NULL), WEFT_NOT_FOUND);
    for (uint32_t i = 0; i < 2; i++) { /* without settings, and with */
        cr_expect_eq(answered(weft_share_async(n, &closed, &alice, on_ticket, NULL)), WEFT_OK);
        cr_expect_eq(answered(weft_settings_get_async(n, &closed, &alice, on_settings, NULL)),
                     WEFT_OK);
        cr_expect(told.settings.enabled && told.settings.on_commit == (i == 0));
        weft_sync_settings off = {0};
        cr_assert_eq(weft_settings_put(n, &closed, &alice, &off, CALL), WEFT_OK);
    }
    weft_ticket ticket = ticket_of(&closed);
    cr_expect_eq(
        answered(weft_tree_join_with_ticket_async(node(w, 1), &ticket, &spec, CALL, on_join, NULL)),
        WEFT_AWAITING);
    cr_expect(told.has && told.outcome.state == WEFT_JOIN_PENDING);
    cr_assert_eq(weft_join_approve(n, told.outcome.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(
        answered(weft_tree_join_with_ticket_async(node(w, 1), &ticket, &spec, CALL, on_join, NULL)),
        WEFT_OK);
    cr_expect_eq(join_entries(w, 1, &closed), 2);
    strcpy(ticket.hints[0], "mem:nobody:1");
    weft_sync_peer_close(kept); /* before its node is gone */
    kept = NULL;
    world_kill(w, 0);
    cr_expect_eq(
        answered(weft_tree_join_with_ticket_async(node(w, 1), &ticket, &spec, CALL, on_join, NULL)),
        WEFT_UNREACHABLE);
    cr_expect_not(told.has);
    world_start(w, 0);
}

Test(async, a_node_without_a_transport_shares_nothing_and_makes_a_ticket)
{
    weft_sync_settings s;
    cr_assert_eq(weft_remove_transport(node(w, 0), "mem", CALL), WEFT_OK);
    cr_expect_eq(answered(weft_ticket_create_async(node(w, 0), &closed, on_ticket, NULL)), WEFT_OK);
    cr_expect_eq(told.ticket.hints_count, 0);
    cr_expect_eq(answered(weft_share_async(node(w, 0), &closed, key(w, 1), on_ticket, NULL)),
                 WEFT_NO_TRANSPORT);
    cr_expect_not(told.has);
    cr_expect_eq(weft_settings_get(node(w, 0), &closed, key(w, 1), CALL, &s), WEFT_NOT_FOUND);
}

Test(async, a_tree_is_kept_with_a_peer_by_a_handle)
{
    weft_sync_peer_spec spec = {.peer = *key(w, 0), .tree = closed};
    cr_assert_eq(weft_tree_follow(node(w, 0), &closed, key(w, 1), 1, CALL), WEFT_OK);
    cr_expect_eq(answered(weft_sync_peer_open_async(node(w, 1), &spec, on_handle, NULL)), WEFT_OK);
    weft_sync_peer *handle = told.handle;
    cr_assert_not_null(handle);
    cr_expect_eq(answered(weft_sync_peer_wait_async(handle, CALL, on_nothing, NULL)), WEFT_OK);
    cr_expect_eq(answered(weft_sync_peer_status_async(handle, on_status, NULL)), WEFT_OK);
    cr_expect(told.status.has_local_data && told.status.last_sync_ms > 0);
    weft_sync_peer_close(handle);
    spec.peer = *key(w, 1);
    cr_expect_eq(weft_sync_peer_open_async(node(w, 1), &spec, on_handle, NULL), WEFT_INVALID);
    spec.peer = (weft_key){{8}};
    cr_assert_eq(weft_peer_register(node(w, 1), &spec.peer, NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_remove(node(w, 1), &spec.peer, CALL), WEFT_OK);
    cr_expect_eq(answered(weft_sync_peer_open_async(node(w, 1), &spec, on_handle, NULL)),
                 WEFT_BLOCKED);
    cr_expect_null(told.handle);
    weft_sync_status s;
    spec.peer = (weft_key){{9}};
    cr_assert_eq(weft_sync_peer_open(node(w, 1), &spec, CALL, &handle), WEFT_OK);
    cr_assert_eq(weft_sync_peer_wait_async(handle, WEFT_SEC, on_nothing, NULL), WEFT_OK);
    cr_expect_eq(answered(WEFT_OK), WEFT_TIMED_OUT);
    cr_expect_eq(weft_sync_peer_status(handle, CALL, &s), WEFT_OK);
    weft_sync_peer_close(handle);
}

Test(async, what_is_remembered_of_peers_is_told_and_forgotten)
{
    weft_node *n = node(w, 0);
    cr_expect_eq(answered(weft_peer_addresses_async(n, key(w, 1), on_addresses, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 1);
    cr_expect_eq(answered(weft_history_async(n, key(w, 1), on_syncs, NULL)), WEFT_OK);
    size_t syncs = told.count;
    cr_expect_gt(syncs, 0);
    cr_expect_eq(answered(weft_peers_with_history_async(n, on_keys, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 1);
    cr_expect_eq(answered(weft_history_trim_async(n, INT64_MAX, on_count, NULL)), WEFT_OK);
    cr_expect_geq(told.count, syncs);
    cr_expect_eq(answered(weft_history_async(n, &(weft_key){{7}}, on_syncs, NULL)), WEFT_NOT_FOUND);
    cr_expect_not(told.has);
}

Test(async, transports_are_listed_saved_and_removed)
{
    weft_node *n = node(w, 0);
    static weft_transport_config config = {.name = "loft", .type = "pigeon"};
    size_t count = 0;
    cr_expect_eq(answered(weft_transport_list_async(n, on_transports, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 1);
    cr_expect_str_eq(told.transport.type, "mem");
    cr_expect_str_eq(told.transport.bound, w->nodes[0].listen);
    cr_expect_eq(answered(weft_transport_save_async(n, &config, on_nothing, NULL)), WEFT_OK);
    strcpy(config.type, "owl");
    cr_expect_eq(answered(weft_transport_save_async(n, &config, on_nothing, NULL)), WEFT_EXISTS);
    cr_expect_eq(weft_transport_saved(n, NULL, &count), WEFT_LIMIT);
    cr_expect_eq(answered(weft_remove_transport_async(n, "loft", on_nothing, NULL)), WEFT_OK,
                 "it is only remembered");
    cr_expect_eq(weft_transport_saved(n, NULL, &count), WEFT_OK);
    cr_expect_eq(answered(weft_remove_transport_async(n, "loft", on_nothing, NULL)),
                 WEFT_NOT_FOUND);
    cr_expect_eq(answered(weft_remove_transport_async(n, told.transport.name, on_nothing, NULL)),
                 WEFT_OK);
    cr_expect_eq(answered(weft_transport_list_async(n, on_transports, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 0);
}

Test(async, what_is_stored_is_read)
{
    weft_node *n = node(w, 0);
    weft_id absent = {{3}};
    weft_key admin;
    weft_buf *same = NULL;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_eq(answered(weft_tree_list_async(n, on_ids, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 2);
    cr_expect_eq(answered(weft_tree_info_get_async(n, &w->tree, on_info, NULL)), WEFT_OK);
    cr_expect_eq(told.count, 2, "entries");
    cr_expect_eq(answered(weft_tree_info_get_async(n, &absent, on_info, NULL)), WEFT_NOT_FOUND);
    cr_expect_not(told.has);
    cr_expect_eq(answered(weft_tree_tips_async(n, &w->tree, on_ids, NULL)), WEFT_OK);
    cr_expect(told.count == 1 && weft_id_equal(&told.id, &w->acked[0]));
    cr_expect_eq(answered(weft_get_async(n, &w->acked[0], on_entry, NULL)), WEFT_OK);
    cr_assert_eq(weft_get(n, &w->acked[0], &same), WEFT_OK);
    cr_expect_eq(weft_buf_len(same), weft_buf_len(told.entry));
    cr_expect_eq(memcmp(weft_buf_bytes(same), weft_buf_bytes(told.entry), weft_buf_len(same)), 0);
    weft_buf_unref(same);
    cr_expect_eq(answered(weft_get_async(n, &absent, on_entry, NULL)), WEFT_NOT_FOUND);
    cr_expect_not(told.has);
    weft_keypair_public(w->author, &admin);
    cr_expect_eq(answered(weft_grant_list_async(n, &closed, on_grants, NULL)), WEFT_OK);
    cr_expect(told.count == 1 && told.right == WEFT_RIGHT_ADMIN);
    cr_expect_eq(answered(weft_grant_list_async(n, &absent, on_grants, NULL)), WEFT_TREE);
    cr_expect_eq(answered(weft_right_of_async(n, &closed, &admin, on_right, NULL)), WEFT_OK);
    cr_expect_eq(told.right, WEFT_RIGHT_ADMIN);
    cr_expect_eq(answered(weft_right_of_async(n, &closed, key(w, 1), on_right, NULL)), WEFT_OK);
    cr_expect_eq(told.right, WEFT_RIGHT_NONE);
}

static void on_event(void *arg, const weft_event *event)
{
    *(uint32_t *)arg += event->kind == WEFT_EV_ENTRIES;
}

Test(async, who_subscribed_hears_until_it_is_told_that_it_is_over)
{
    uint32_t heard = 0;
    cr_expect_eq(answered(weft_subscribe_async(node(w, 0), on_event, &heard, on_count, NULL)),
                 WEFT_OK);
    uint64_t handle = told.count;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard, 1);
    cr_expect_eq(answered(weft_unsubscribe_async(node(w, 0), handle, on_nothing, NULL)), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard, 1);
    cr_expect_eq(answered(weft_unsubscribe_async(node(w, 0), handle, on_nothing, NULL)),
                 WEFT_NOT_FOUND);
    cr_expect_eq(weft_subscribe_async(node(w, 0), NULL, NULL, on_count, NULL), WEFT_INVALID);
}

static void end_it(void *arg, const weft_event *event)
{
    (void)event;
    if (*(uint64_t *)arg != 0)
        (void)weft_unsubscribe_async(node(w, 0), *(uint64_t *)arg, on_nothing, NULL);
    *(uint64_t *)arg = 0;
}

Test(async, a_subscriber_may_end_itself)
{
    uint64_t handle = 0;
    cr_expect_eq(answered(weft_subscribe_async(node(w, 0), end_it, &handle, on_count, NULL)),
                 WEFT_OK);
    handle = told.count;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(told.calls, 1);
    cr_expect_eq(told.err, WEFT_OK);
}

static void read_it(void *arg, weft_feed *feed, const weft_feed_event *event)
{
    (void)feed;
    *(weft_err *)arg = weft_get_async(node(w, 0), &event->id, on_entry, NULL);
}

Test(async, a_callback_may_read)
{
    weft_feed *feed = NULL;
    weft_err begun = WEFT_INTERNAL;
    cr_assert_eq(weft_feed_open(node(w, 0), &w->tree, NULL, &feed), WEFT_OK);
    cr_assert_eq(weft_feed_start(feed, read_it, &begun), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, 2 * WEFT_SEC);
    cr_expect_eq(begun, WEFT_OK);
    cr_expect_eq(told.calls, 1);
    cr_expect(told.err == WEFT_OK && told.entry != NULL);
    cr_expect_eq(weft_feed_close(feed), WEFT_OK);
}

Test(async, more_grants_and_tips_than_were_expected_are_all_read)
{
    enum { MANY = 100 };
    weft_grant *grants = calloc(MANY, sizeof *grants);
    weft_tree_info before;
    for (uint32_t i = 0; i < MANY; i++) {
        grants[i].key.bytes[0] = (uint8_t)i;
        grants[i].key.bytes[1] = 1;
        grants[i].right = WEFT_RIGHT_READ;
    }
    cr_assert_eq(weft_grant_put(node(w, 0), &closed, w->author, grants, MANY, CALL, NULL), WEFT_OK);
    free(grants);
    cr_expect_eq(answered(weft_grant_list_async(node(w, 0), &closed, on_grants, NULL)), WEFT_OK);
    cr_expect_eq(told.count, MANY + 1);
    cr_assert_eq(weft_tree_info_get(node(w, 0), &w->tree, &before), WEFT_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        weft_buf *entry;
        weft_id id;
        weft_store_part part = {.name = "log", .payload = &i, .payload_len = sizeof i};
        weft_entry_spec spec = {.tree = w->tree,
                                .parents = &w->tree,
                                .parents_count = 1,
                                .height = 1,
                                .stores = &part,
                                .stores_count = 1};
        cr_assert_eq(weft_entry_build(&spec, w->author, &entry, &id), WEFT_OK);
        cr_assert_eq(weft_add(node(w, 0), &entry, 1, true, CALL, NULL), WEFT_OK);
        weft_buf_unref(entry);
    }
    cr_expect_eq(answered(weft_tree_tips_async(node(w, 0), &w->tree, on_ids, NULL)), WEFT_OK);
    cr_expect_eq(told.count, MANY);
}

/* -- Each of them ----------------------------------------------------------------------- */

enum { CALLS = 35 };

/* The nth call, with somebody who is told or nobody. */
static weft_err begin_tree(unsigned which, bool who)
{
    weft_node *n = node(w, 0);
    static const weft_sync_settings s = {.enabled = true};
    static const weft_key alice = {{0xa1}};
    weft_root_spec root = {.entropy = {(uint8_t)which, 66}};
    weft_tracked list[1] = {{closed, s}};
    weft_on_result done = who ? on_nothing : NULL;
    switch (which) {
    case 0: return weft_tree_create_async(n, w->author, &root, who ? on_tree : NULL, NULL);
    case 1: return weft_tree_follow_async(n, &w->tree, key(w, 1), 1, done, NULL);
    case 2: return weft_tree_unfollow_async(n, &closed, done, NULL);
    case 3: return weft_settings_put_async(n, &closed, &alice, &s, done, NULL);
    case 4: return weft_settings_enable_async(n, &closed, NULL, true, done, NULL);
    case 5: return weft_settings_remove_async(n, &closed, &alice, done, NULL);
    case 6: return weft_settings_get_async(n, &closed, NULL, who ? on_settings : NULL, NULL);
    case 7: return weft_settings_combined_async(n, &closed, who ? on_settings : NULL, NULL);
    case 8: return weft_principal_sync_async(n, &alice, list, 1, done, NULL);
    case 9: return weft_principal_trees_async(n, NULL, who ? on_ids : NULL, NULL);
    case 10: return weft_setting_set_async(n, "k", "v", done, NULL);
    case 11:
        return weft_join_mode_set_async(n, &closed, WEFT_JOIN_AUTO, w->author, WEFT_RIGHT_READ, 0,
                                        done, NULL);
    case 12: return weft_join_list_async(n, WEFT_JOIN_PENDING, who ? on_joins : NULL, NULL);
    default: return weft_join_get_async(n, w->tree.bytes, who ? on_joins : NULL, NULL);
    }
}

static void ignore_event(void *arg, const weft_event *event)
{
    (void)arg;
    (void)event;
}

static weft_err begin_call(unsigned which, bool who)
{
    weft_node *n = node(w, 0);
    static const weft_transport_config config = {.name = "n", .type = "own"};
    weft_sync_peer_spec peer = {.peer = {{9}}, .tree = w->tree};
    weft_ticket ticket = {
        .tree = {{4}}, .has_server = true, .server = *key(w, 1), .hints_count = 1};
    weft_join_spec ask = {.name = "Ada"};
    weft_on_result done = who ? on_nothing : NULL;
    strcpy(ticket.hints[0], w->nodes[1].listen);
    switch (which) {
    case 14: return weft_tree_join_check_async(n, &w->tree, NULL, CALL, who ? on_join : NULL, NULL);
    case 15: return weft_ticket_create_async(n, &closed, who ? on_ticket : NULL, NULL);
    case 16: return weft_share_async(n, &closed, key(w, 1), who ? on_ticket : NULL, NULL);
    case 17:
        return weft_tree_join_with_ticket_async(n, &ticket, &ask, CALL, who ? on_join : NULL, NULL);
    case 18: return weft_sync_peer_open_async(n, &peer, who ? on_handle : NULL, NULL);
    case 19: return weft_sync_peer_status_async(kept, who ? on_status : NULL, NULL);
    case 20: return weft_sync_peer_wait_async(kept, CALL, done, NULL);
    case 21: return weft_peer_addresses_async(n, key(w, 1), who ? on_addresses : NULL, NULL);
    case 22: return weft_history_async(n, key(w, 1), who ? on_syncs : NULL, NULL);
    case 23: return weft_transport_list_async(n, who ? on_transports : NULL, NULL);
    case 24: return weft_transport_save_async(n, &config, done, NULL);
    case 25: return weft_remove_transport_async(n, "nobody", done, NULL);
    case 26: return weft_store_sync_async(n, done, NULL);
    case 27: return weft_tree_info_get_async(n, &w->tree, who ? on_info : NULL, NULL);
    case 28: return weft_tree_list_async(n, who ? on_ids : NULL, NULL);
    case 29: return weft_tree_tips_async(n, &w->tree, who ? on_ids : NULL, NULL);
    case 30: return weft_get_async(n, &w->tree, who ? on_entry : NULL, NULL);
    case 31: return weft_grant_list_async(n, &closed, who ? on_grants : NULL, NULL);
    case 32: return weft_right_of_async(n, &closed, key(w, 1), who ? on_right : NULL, NULL);
    case 33: return weft_subscribe_async(n, ignore_event, NULL, who ? on_count : NULL, NULL);
    case 34: return weft_unsubscribe_async(n, 12345, done, NULL);
    default: return begin_tree(which, who);
    }
}

/* Is it what such a call may answer? One asks another node, which may be who has no memory. */
static bool is_fine(unsigned which, weft_err err)
{
    bool other = which == 17 && (err == WEFT_TIMED_OUT || err == WEFT_NETWORK || err == WEFT_BUSY);
    return err == WEFT_OK || err == WEFT_NOT_FOUND || err == WEFT_TREE || other;
}

Test(async, nobody_to_tell_is_refused)
{
    for (unsigned which = 0; which < CALLS; which++)
        cr_expect_eq(begin_call(which, false), WEFT_INVALID, "call %u", which);
    world_run(w, WEFT_SEC);
    cr_expect_eq(told.calls, 0);
}

static weft_err inside(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    bool all = true;
    for (unsigned which = 0; which < CALLS; which++)
        if (begin_call(which, true) != WEFT_OK) {
            *(unsigned *)arg = which;
            all = false;
        }
    return all ? WEFT_BUSY : WEFT_INTERNAL;
}

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(async, all_of_them_begin_inside_an_actor)
{
    unsigned refused = CALLS;
    weft_spec spec = {.name = "inside", .init = inside, .handle = ignore, .arg = &refused};
    weft_addr *addr;
    cr_expect_eq(weft_spawn(w->nodes[0].rt, &spec, &addr), WEFT_BUSY, "call %u", refused);
    world_run(w, 20 * WEFT_SEC);
    cr_expect_eq(told.calls, CALLS, "each is answered once");
    forget();
}

static bool is_told(struct world *world)
{
    (void)world;
    return told.calls > 0;
}

Test(async, any_one_allocation_may_fail)
{
    for (unsigned which = 0; which < CALLS; which++) {
        uint32_t failed = 0;
        for (uint64_t nth = 1;; nth++) {
            cr_assert_lt(nth, 2000, "call %u", which);
            (void)wf_alloc_fail_at(nth, 0);
            weft_err begun = begin_call(which, true), err = begun;
            if (begun == WEFT_OK) (void)world_until(w, is_told, CALL + WEFT_SEC);
            bool met = wf_alloc_fail_at(0, 0) >= nth;
            world_run(w, WEFT_SEC);
            cr_assert_eq(told.calls, begun == WEFT_OK, "call %u, %lu", which, nth);
            if (begun == WEFT_OK) err = told.err;
            cr_assert(is_fine(which, err) || err == WEFT_NO_MEMORY, "call %u, %lu: %s", which, nth,
                      weft_errname(err));
            failed += err == WEFT_NO_MEMORY;
            if (which == 33 && err == WEFT_OK) /* there is room for few */
                (void)weft_unsubscribe(node(w, 0), told.count);
            told.calls = 0;
            forget();
            if (!met || nth > 40) break; /* what comes later is not the call's */
        }
        cr_expect_gt(failed, 0, "call %u", which);
    }
}

Test(async, what_was_begun_is_answered_when_the_node_closes)
{
    for (unsigned which = 0; which < CALLS; which++)
        cr_assert_eq(begin_call(which, true), WEFT_OK, "call %u", which);
    cr_assert_eq(weft_shutdown(node(w, 0), 10 * WEFT_SEC), WEFT_OK);
    cr_expect_eq(told.calls, CALLS);
    forget();
}
