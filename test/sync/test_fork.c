/* SPDX-License-Identifier: Apache-2.0
 * test_fork.c - a process that has a node forks: the child is refused by each call, harms
 * nothing, and the parent goes on.
 * Called by: the test runner. May touch: directories and children of its own.
 * Never: the simulator, which has no threads to lose. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/access.h>
#include <weft/dag.h>
#include <weft/feed.h>
#include <weft/history.h>
#include <weft/join.h>
#include <weft/keys.h>
#include <weft/map.h>
#include <weft/net.h>
#include <weft/store.h>
#include <weft/testing.h>
#ifdef WF_HTTP
#include <weft/http.h>
#endif
#include <weft/ticket.h>

#include "fork.h"
#include "kv_kit.h"
#include "lone.h"
#include "node_internal.h"

#define CALL (20 * WEFT_SEC)

static char dir[64];
static struct lone l;
static weft_id last;
static weft_key self;
static weft_dag *dag;
static weft_iter *iter;
static weft_hub *hub;
static weft_sync_peer *kept;
static weft_feed *feed;
static weft_map *map;

static void setup(void)
{
    kk_dir_create(dir);
    lone_open(&l, &(weft_node_options){.dir = dir, .verifiers = 1}, NULL);
    weft_node_key(l.node, &self);
    lone_commit(&l, 5, &last);
    cr_assert_eq(weft_dag_open(l.node, &l.tree, NULL, &dag), WEFT_OK);
    cr_assert_eq(weft_dag_all(dag, &iter), WEFT_OK);
    cr_assert_eq(weft_hub_create(&hub), WEFT_OK);
    weft_sync_peer_spec spec = {.peer = {{1}}, .tree = l.tree};
    cr_assert_eq(weft_sync_peer_open(l.node, &spec, CALL, &kept), WEFT_OK);
    cr_assert_eq(weft_feed_open(l.node, &l.tree, NULL, &feed), WEFT_OK);
    cr_assert_eq(weft_map_open(l.node, &l.tree, "log", &map), WEFT_OK);
}

static void teardown(void)
{
    if (l.node != NULL) weft_sync_peer_close(kept);
    if (l.node != NULL) (void)weft_feed_close(feed);
    weft_map_close(map);
    weft_iter_close(iter);
    weft_dag_close(dag);
    lone_close(&l);
    weft_hub_destroy(hub);
    kk_dir_remove(dir);
}

TestSuite(fork, .init = setup, .fini = teardown);

/* -- What the child says -------------------------------------------------------------------- */

#define ROOM 4096
static char said[ROOM];

static void expect(weft_err err, const char *call)
{
    size_t at = strlen(said);
    if (err != WEFT_FORKED)
        snprintf(said + at, ROOM - at, "%s answers %s\n", call, weft_errname(err));
}
#define FORKED(call) expect(call, #call)

/* Runs `work` in a child, which leaves without a word to anybody. */
static void in_a_child(void (*work)(void))
{
    int words[2];
    cr_assert_eq(pipe(words), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        said[0] = '\0';
        work();
        size_t len = strlen(said);
        _exit(write(words[1], said, len) == (ssize_t)len ? 0 : 1);
    }
    close(words[1]);
    char heard[ROOM];
    size_t len = 0;
    for (ssize_t got; (got = read(words[0], heard + len, ROOM - 1 - len)) > 0;) len += (size_t)got;
    heard[len] = '\0';
    close(words[0]);
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the child did not end by itself");
    cr_assert_eq(len, 0, "%s", heard);
}

static void on_commit(void *arg, weft_err err, const weft_id *id)
{
    (void)arg;
    (void)err;
    (void)id;
}

static void on_event(void *arg, const weft_event *event)
{
    (void)arg;
    (void)event;
}

static weft_err on_entry(void *arg, const weft_entry *entry)
{
    (void)arg;
    (void)entry;
    return WEFT_OK;
}

static void on_result(void *arg, weft_err err, const weft_result *result)
{
    (void)arg;
    (void)err;
    (void)result;
}

static void on_join(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    (void)arg;
    (void)err;
    (void)outcome;
}

static void call_trees(void)
{
    weft_root_spec spec = {.height = WEFT_HEIGHT_INCREMENTAL};
    weft_id id;
    weft_tree_info info;
    weft_buf *buf = NULL;
    uint64_t handle;
    size_t count = 1;
    weft_writer *other = NULL;
    weft_store_stats stats;
    weft_map *another = NULL;
    weft_join_request request = {.id = {1}};
    weft_join_spec join = {.tree = l.tree, .name = "x"};
    FORKED(weft_tree_create(l.node, l.author, &spec, CALL, &id));
    FORKED(weft_tree_follow(l.node, &l.tree, NULL, 0, CALL));
    FORKED(weft_tree_unfollow(l.node, &l.tree, CALL));
    FORKED(weft_tree_remove(l.node, &l.tree, CALL));
    FORKED(weft_tree_remove_async(l.node, &l.tree, on_result, NULL));
    FORKED(weft_tree_use_key(l.node, &l.tree, l.author));
    FORKED(weft_join_mode_set(l.node, &l.tree, WEFT_JOIN_ASK, NULL, WEFT_RIGHT_NONE, 0, CALL));
    FORKED(weft_join_list(l.node, WEFT_JOIN_PENDING, CALL, &request, &count));
    FORKED(weft_join_get(l.node, request.id, CALL, &request));
    FORKED(weft_join_approve(l.node, request.id, l.author, CALL));
    FORKED(weft_join_approve_async(l.node, request.id, l.author, on_result, NULL));
    FORKED(weft_join_reject(l.node, request.id, l.author, CALL));
    FORKED(weft_join_reject_async(l.node, request.id, l.author, on_result, NULL));
    FORKED(weft_tree_join(l.node, "tcp:127.0.0.1:1", NULL, &join, CALL, NULL));
    FORKED(weft_tree_join_async(l.node, "tcp:127.0.0.1:1", NULL, &join, CALL, on_join, NULL));
    FORKED(weft_tree_join_check(l.node, &l.tree, NULL, CALL, NULL));
    weft_grant grant = {.right = WEFT_RIGHT_READ};
    weft_right right;
    FORKED(weft_grant_put(l.node, &l.tree, l.author, &grant, 1, CALL, &id));
    FORKED(weft_grant_put_async(l.node, &l.tree, l.author, &grant, 1, on_result, NULL));
    FORKED(weft_grant_replace(l.node, &l.tree, l.author, &self, &grant.key, CALL, &id));
    FORKED(weft_grant_list(l.node, &l.tree, &grant, &count));
    FORKED(weft_right_of(l.node, &l.tree, &self, &right, NULL));
    static weft_sync_settings settings;
    char text[8];
    FORKED(weft_settings_put(l.node, &l.tree, NULL, &settings, CALL));
    FORKED(weft_settings_enable(l.node, &l.tree, NULL, true, CALL));
    FORKED(weft_settings_remove(l.node, &l.tree, NULL, CALL));
    FORKED(weft_settings_get(l.node, &l.tree, NULL, CALL, &settings));
    FORKED(weft_settings_combined(l.node, &l.tree, CALL, &settings));
    FORKED(weft_principal_sync(l.node, NULL, NULL, 0, CALL));
    FORKED(weft_principal_trees(l.node, NULL, CALL, &id, &count));
    FORKED(weft_setting_set(l.node, "k", "v", CALL));
    FORKED(weft_setting_get(l.node, "k", text, &count));
    FORKED(weft_entry_counts(l.node, &last, &grant.revoked));
    FORKED(weft_tree_info_get(l.node, &l.tree, &info));
    FORKED(weft_tree_range_digest(l.node, &l.tree, 0, 9, id.bytes, NULL));
    FORKED(weft_tree_list(l.node, &id, &count));
    FORKED(weft_tree_tips(l.node, &l.tree, &id, &count));
    FORKED(weft_tree_walk(l.node, &l.tree, on_entry, NULL));
    FORKED(weft_get(l.node, &last, &buf));
    FORKED(weft_add(l.node, &buf, 1, true, CALL, NULL));
    FORKED(weft_writer_open(l.node, &l.tree, l.author, &other));
    FORKED(weft_commit(l.writer, "log", "x", 1, CALL, NULL));
    FORKED(weft_commit_async(l.writer, "log", "x", 1, on_commit, NULL, NULL));
    FORKED(weft_subscribe(l.node, on_event, NULL, &handle));
    FORKED(weft_unsubscribe(l.node, 1));
    FORKED(weft_store_checkpoint(l.node, "there"));
    FORKED(weft_store_sync(l.node, CALL));
    FORKED(weft_store_stats_get(l.node, &stats));
    FORKED(weft_map_open(l.node, &l.tree, "log", &another));
    FORKED(weft_shutdown(l.node, CALL));
    weft_keypair *before = NULL, *now = NULL;
    weft_node_options where = {.dir = dir};
    FORKED(weft_device_rotate(&where, &before, &now));
}

static void call_dag(void)
{
    weft_cut cut = {&last, 1};
    weft_position position;
    weft_iter *other = NULL;
    weft_dag *view = NULL;
    weft_reach reach;
    weft_buf *buf = NULL;
    weft_id id;
    FORKED(weft_dag_open(l.node, &l.tree, NULL, &view));
    FORKED(weft_dag_place(dag, &last, &position));
    FORKED(weft_dag_parents(dag, &last, &other));
    FORKED(weft_dag_tips(dag, &other));
    FORKED(weft_dag_all(dag, &other));
    FORKED(weft_dag_below(dag, &cut, &other));
    FORKED(weft_dag_between(dag, &cut, &cut, &other));
    FORKED(weft_dag_path(dag, NULL, &cut, &other));
    FORKED(weft_dag_tips_at(dag, &cut, &other));
    FORKED(weft_dag_merge_base(dag, &cut, &id));
    FORKED(weft_dag_reaches(dag, &cut, &cut, &reach, NULL, NULL));
    FORKED(weft_iter_next(iter, &position));
    FORKED(weft_roots(l.node, &other));
    FORKED(weft_commit_at(l.node, l.author, &l.tree, &cut, "log", "x", 1, CALL, NULL));
    (void)buf;
}

static void call_peers(void)
{
    weft_peer_info info;
    weft_id id;
    weft_key key = self;
    size_t count = 1;
    key.bytes[0] ^= 1;
    FORKED(weft_peer_register(l.node, &key, "n", CALL));
    FORKED(weft_peer_remove(l.node, &key, CALL));
    FORKED(weft_peer_set_status(l.node, &key, WEFT_PEER_INACTIVE, CALL));
    FORKED(weft_peer_add_address(l.node, &key, "tcp:127.0.0.1:1", CALL));
    FORKED(weft_peer_remove_address(l.node, &key, "tcp:127.0.0.1:1", CALL));
    FORKED(weft_peer_get(l.node, &key, CALL, &info));
    FORKED(weft_peer_list(l.node, CALL, &key, &count));
    FORKED(weft_peer_relate(l.node, &key, &l.tree, CALL));
    FORKED(weft_peer_unrelate(l.node, &key, &l.tree, CALL));
    FORKED(weft_peer_trees(l.node, &key, CALL, &id, &count));
    FORKED(weft_tree_peers(l.node, &l.tree, CALL, &key, &count));
    weft_address_info about;
    count = 1;
    FORKED(weft_peer_addresses(l.node, &key, NULL, CALL, &about, &count));
    weft_sync_record sync;
    weft_pair_info pair;
    FORKED(weft_history(l.node, &key, CALL, &sync, &count));
    FORKED(weft_history_trim(l.node, 0, CALL, NULL));
    FORKED(weft_peers_with_history(l.node, CALL, &key, &count));
    FORKED(weft_pair_get(l.node, &key, &l.tree, CALL, &pair));
    FORKED(weft_peer_register_async(l.node, &key, "n", on_result, NULL));
}

static void call_tickets(void)
{
    weft_ticket ticket = {.hints = {"tcp:127.0.0.1:1"}, .hints_count = 1, .has_server = true};
    weft_sync_peer_spec spec = {.peer = {{2}}, .tree = l.tree};
    weft_sync_peer *other = NULL;
    weft_sync_status status;
    weft_result result;
    FORKED(weft_sync_with_ticket(l.node, &ticket, CALL, &result));
    FORKED(weft_sync_with_ticket_async(l.node, &ticket, CALL, on_result, NULL));
    weft_join_spec join = {.name = "n"};
    FORKED(weft_tree_join_with_ticket(l.node, &ticket, &join, CALL, NULL));
    FORKED(weft_share(l.node, &l.tree, NULL, CALL, &ticket));
    FORKED(weft_ticket_create(l.node, &l.tree, CALL, &ticket));
    FORKED(weft_sync_peer_open(l.node, &spec, CALL, &other));
    FORKED(weft_sync_peer_status(kept, CALL, &status));
    FORKED(weft_sync_peer_add_address(kept, "tcp:127.0.0.1:1", CALL));
    FORKED(weft_sync_peer_wait(kept, CALL));
    weft_sync_peer_close(kept);
    FORKED(weft_sync_peer_status(kept, CALL, &status)); /* nothing was freed */
}

static void call_commands(void)
{
    weft_node_stats stats;
    weft_result result;
    weft_server server;
    weft_buf *buf = NULL;
    weft_key key = self;
    weft_id id;
    char address[WEFT_ADDRESS_BYTES_MAX];
    size_t count = 1;
    key.bytes[0] ^= 1;
    FORKED(weft_sync_with_peer(l.node, &key, CALL, &result));
    FORKED(weft_sync_with_peer_async(l.node, &key, CALL, on_result, NULL));
    FORKED(weft_sync_tree(l.node, &key, &l.tree, CALL, &result));
    FORKED(weft_add_transport(l.node, "t", "tcp:127.0.0.1:0", CALL));
    FORKED(weft_add_transport_mem(l.node, "m", hub, "a", "mem:a:1", CALL));
    FORKED(weft_start_server(l.node, NULL, CALL));
    FORKED(weft_stop_server(l.node, NULL, CALL));
    FORKED(weft_server_address(l.node, "t", CALL, address));
    FORKED(weft_server_addresses(l.node, CALL, &server, &count));
    FORKED(weft_connect(l.node, "tcp:127.0.0.1:1", NULL, CALL, &key));
    FORKED(weft_send_request(l.node, "tcp:127.0.0.1:1", "x", 1, CALL, &buf));
    FORKED(weft_flush(l.node, CALL, &result));
    FORKED(weft_flush_async(l.node, CALL, on_result, NULL));
    FORKED(weft_peer_offers(l.node, &key, CALL, &id, &count));
    FORKED(weft_node_stats_get(l.node, &stats));
}

static void call_transports(void)
{
    weft_transport_config config = {.name = "n", .type = "tcp"};
    weft_net *net = NULL;
    size_t count = 0;
    if (weft_net_tcp_create(&net) == WEFT_OK)
        FORKED(weft_add_transport_net(l.node, "n", net, NULL, CALL));
#ifdef WF_HTTP
    FORKED(weft_add_transport_http(l.node, "n", NULL, NULL, CALL));
    FORKED(weft_add_transport_http_async(l.node, "n", NULL, NULL, on_result, NULL));
    FORKED(weft_http_save(l.node, "n", NULL, NULL, CALL));
    FORKED(weft_http_save_async(l.node, "n", NULL, NULL, on_result, NULL));
    FORKED(weft_http_restore(l.node, CALL));
#endif
    FORKED(weft_remove_transport(l.node, "n", CALL));
    FORKED(weft_transport_restart(l.node, "n", CALL));
    FORKED(weft_transport_restart_async(l.node, "n", on_result, NULL));
    FORKED(weft_transport_list(l.node, CALL, NULL, &count));
    FORKED(weft_transport_save(l.node, &config, CALL));
    FORKED(weft_transport_load(l.node, "n", "tcp", &config));
    FORKED(weft_transport_saved(l.node, NULL, &count));
    FORKED(weft_hub_faults(hub, NULL));
    FORKED(weft_hub_cut(hub, "a", "b", true));
    FORKED(weft_hub_kill(hub, "a"));
    FORKED(weft_hub_tap(hub, NULL, NULL));
}

static void on_any(void) {}
#define TELL(type) ((type)on_any) /* nobody is called */

static void call_async(void)
{
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    static weft_sync_settings settings;
    static weft_transport_config config = {.name = "n", .type = "own"};
    weft_ticket ticket = {.hints = {"tcp:127.0.0.1:1"}, .hints_count = 1, .has_server = true};
    weft_sync_peer_spec spec = {.peer = {{2}}, .tree = l.tree};
    weft_join_spec join = {.name = "n"};
    uint8_t id[16] = {0};
    FORKED(weft_tree_create_async(l.node, l.author, &root, TELL(weft_on_tree), NULL));
    FORKED(weft_tree_follow_async(l.node, &l.tree, NULL, 0, on_result, NULL));
    FORKED(weft_tree_unfollow_async(l.node, &l.tree, on_result, NULL));
    FORKED(weft_settings_put_async(l.node, &l.tree, NULL, &settings, on_result, NULL));
    FORKED(weft_settings_enable_async(l.node, &l.tree, NULL, true, on_result, NULL));
    FORKED(weft_settings_remove_async(l.node, &l.tree, NULL, on_result, NULL));
    FORKED(weft_settings_get_async(l.node, &l.tree, NULL, TELL(weft_on_settings), NULL));
    FORKED(weft_settings_combined_async(l.node, &l.tree, TELL(weft_on_settings), NULL));
    FORKED(weft_principal_sync_async(l.node, NULL, NULL, 0, on_result, NULL));
    FORKED(weft_principal_trees_async(l.node, NULL, TELL(weft_on_ids), NULL));
    FORKED(weft_setting_set_async(l.node, "k", "v", on_result, NULL));
    FORKED(weft_join_mode_set_async(l.node, &l.tree, WEFT_JOIN_ASK, NULL, 0, 0, on_result, NULL));
    FORKED(weft_join_list_async(l.node, WEFT_JOIN_PENDING, TELL(weft_on_joins), NULL));
    FORKED(weft_join_get_async(l.node, id, TELL(weft_on_joins), NULL));
    FORKED(weft_tree_join_check_async(l.node, &l.tree, NULL, CALL, on_join, NULL));
    FORKED(weft_ticket_create_async(l.node, &l.tree, TELL(weft_on_ticket), NULL));
    FORKED(weft_share_async(l.node, &l.tree, NULL, TELL(weft_on_ticket), NULL));
    FORKED(weft_tree_join_with_ticket_async(l.node, &ticket, &join, CALL, on_join, NULL));
    FORKED(weft_sync_peer_open_async(l.node, &spec, TELL(weft_on_sync_peer), NULL));
    FORKED(weft_sync_peer_status_async(kept, TELL(weft_on_sync_status), NULL));
    FORKED(weft_sync_peer_wait_async(kept, CALL, on_result, NULL));
    FORKED(weft_peer_addresses_async(l.node, &self, TELL(weft_on_addresses), NULL));
    FORKED(weft_history_async(l.node, &self, TELL(weft_on_syncs), NULL));
    FORKED(weft_history_trim_async(l.node, 0, TELL(weft_on_count), NULL));
    FORKED(weft_peers_with_history_async(l.node, TELL(weft_on_keys), NULL));
    FORKED(weft_transport_list_async(l.node, TELL(weft_on_transports), NULL));
    FORKED(weft_transport_save_async(l.node, &config, on_result, NULL));
    FORKED(weft_remove_transport_async(l.node, "n", on_result, NULL));
    FORKED(weft_store_sync_async(l.node, on_result, NULL));
    FORKED(weft_subscribe_async(l.node, on_event, NULL, TELL(weft_on_count), NULL));
    FORKED(weft_unsubscribe_async(l.node, 1, on_result, NULL));
    FORKED(weft_tree_info_get_async(l.node, &l.tree, TELL(weft_on_tree_info), NULL));
    FORKED(weft_tree_list_async(l.node, TELL(weft_on_ids), NULL));
    FORKED(weft_tree_tips_async(l.node, &l.tree, TELL(weft_on_ids), NULL));
    FORKED(weft_get_async(l.node, &last, TELL(weft_on_entry), NULL));
    FORKED(weft_grant_list_async(l.node, &l.tree, TELL(weft_on_grants), NULL));
    FORKED(weft_right_of_async(l.node, &l.tree, &self, TELL(weft_on_right), NULL));
}

static void call_peers_and_commands_async(void)
{
    weft_key key = {{2}};
    weft_buf *buf = NULL;
    if (weft_buf_create_copy("x", 1, &buf) != WEFT_OK) return; /* the others still speak */
    FORKED(weft_peer_remove_async(l.node, &key, on_result, NULL));
    FORKED(weft_peer_set_status_async(l.node, &key, WEFT_PEER_INACTIVE, on_result, NULL));
    FORKED(weft_peer_add_address_async(l.node, &key, "tcp:127.0.0.1:1", on_result, NULL));
    FORKED(weft_peer_remove_address_async(l.node, &key, "tcp:127.0.0.1:1", on_result, NULL));
    FORKED(weft_peer_relate_async(l.node, &key, &l.tree, on_result, NULL));
    FORKED(weft_peer_unrelate_async(l.node, &key, &l.tree, on_result, NULL));
    FORKED(weft_peer_get_async(l.node, &key, TELL(weft_on_peer), NULL));
    FORKED(weft_peer_list_async(l.node, TELL(weft_on_keys), NULL));
    FORKED(weft_peer_trees_async(l.node, &key, TELL(weft_on_ids), NULL));
    FORKED(weft_tree_peers_async(l.node, &l.tree, TELL(weft_on_keys), NULL));
    FORKED(weft_send_entries(l.node, &key, &buf, 1, CALL, NULL));
    FORKED(weft_send_entries_async(l.node, &key, &buf, 1, CALL, on_result, NULL));
    FORKED(weft_sync_tree_async(l.node, &key, &l.tree, CALL, on_result, NULL));
    FORKED(weft_add_transport_async(l.node, "t", NULL, on_result, NULL));
    FORKED(weft_add_transport_mem_async(l.node, "m", hub, "a", NULL, on_result, NULL));
    FORKED(weft_start_server_async(l.node, NULL, on_result, NULL));
    FORKED(weft_stop_server_async(l.node, NULL, on_result, NULL));
    FORKED(weft_server_address_async(l.node, "t", on_result, NULL));
    FORKED(weft_server_addresses_async(l.node, TELL(weft_on_servers), NULL));
    FORKED(weft_connect_async(l.node, "tcp:127.0.0.1:1", NULL, CALL, on_result, NULL));
    FORKED(weft_send_request_async(l.node, "tcp:127.0.0.1:1", "x", 1, CALL, on_result, NULL));
    FORKED(weft_peer_offers_async(l.node, &key, CALL, TELL(weft_on_ids), NULL));
    weft_buf_unref(buf);
}

static void call_what_was_open(void)
{
    weft_feed_event event;
    weft_feed *other = NULL;
    weft_map *past = NULL;
    weft_cut cut = {&last, 1};
    FORKED(weft_feed_open(l.node, &l.tree, NULL, &other));
    FORKED(weft_feed_next(feed, 0, &event));
    FORKED(weft_feed_start(feed, TELL(weft_on_feed), NULL));
    FORKED(weft_map_open_at(l.node, &l.tree, "log", &cut, &past));
    FORKED(weft_map_refresh(map, NULL));
    (void)weft_feed_close(feed); /* is the parent's */
    FORKED(weft_feed_next(feed, 0, &event));
}

static void call_all(void)
{
    call_async();
    call_peers_and_commands_async();
    call_what_was_open();
    call_trees();
    call_dag();
    call_peers();
    call_commands();
    call_transports();
    call_tickets();
}

static void close_all(void)
{
    weft_iter_close(iter);
    weft_dag_close(dag);
    weft_writer_close(l.writer);
    weft_node_close(l.node);
    weft_node_close(l.node); /* nothing was freed */
    FORKED(weft_node_stats_get(l.node, &(weft_node_stats){0}));
}

static void open_anew(void)
{
    char path[96];
    weft_node *other = NULL;
    snprintf(path, sizeof path, "%s/other", dir);
    FORKED(weft_node_open(&(weft_node_options){.dir = path}, &other));
    FORKED(weft_node_open(&(weft_node_options){.dir = dir}, &other));
}

/* -- Claims --------------------------------------------------------------------------------------- */

/* The parent commits beside its child and after it, and its store is whole. */
static void expect_parent_well(void)
{
    lone_commit(&l, 20, &last);
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(l.node, &l.tree, &info), WEFT_OK);
    cr_assert_eq(info.entries, 26);
    weft_position position;
    cr_assert_eq(weft_iter_next(iter, &position), WEFT_OK);
    weft_iter_close(iter);
    weft_dag_close(dag);
    weft_writer_close(l.writer);
    weft_sync_peer_close(kept);
    cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    weft_node_close(l.node);
    iter = NULL;
    dag = NULL;
    l.writer = NULL;
    l.node = NULL;
    weft_rt *rt;
    wf_store *store;
    wf_check_report r;
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), rt, &store), WEFT_OK);
    cr_assert_eq(wf_store_check(store, true, &r), WEFT_OK);
    cr_assert_eq(r.entries, 26);
    cr_assert_eq(r.bad_bytes + r.bad_ids + r.bad_signatures + r.missing_parents + r.bad_tips +
                     r.bad_indexes,
                 0);
    wf_store_close(store);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

Test(fork, each_call_in_a_child_is_refused_and_the_parent_goes_on)
{
    in_a_child(call_all);
    expect_parent_well();
}

Test(fork, what_a_child_closes_stays_open_in_the_parent)
{
    in_a_child(close_all);
    expect_parent_well();
}

Test(fork, a_child_opens_no_store_on_disk_whose_engine_it_has_no_threads_of)
{
    in_a_child(open_anew);
    expect_parent_well();
}

static void count_one(void)
{
    if (wf_fork_count() == 0) snprintf(said, sizeof said, "not counted");
}

Test(fork, a_fork_is_counted_in_the_child_alone)
{
    uint64_t before = wf_fork_count();
    in_a_child(count_one);
    cr_assert_eq(wf_fork_count(), before);
}
