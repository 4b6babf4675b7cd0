/* SPDX-License-Identifier: Apache-2.0
 * test_node.c - the public node, as a user meets it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weft/access.h>
#include <weft/history.h>
#include <weft/node.h>

#define TIMEOUT (20 * WEFT_SEC)

static weft_keypair *author_of(uint8_t number)
{
    uint8_t seed[32] = {number};
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    return pair;
}

static weft_node *memory_node(uint8_t number)
{
    weft_keypair *device = author_of(number);
    weft_node_options options = {.device = device};
    weft_node *node = NULL;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_keypair_destroy(device);
    return node;
}

static weft_id tree_for(weft_node *node, weft_keypair *author, weft_right everyone)
{
    weft_root_spec spec = {.everyone = everyone, .everyone_priority = 10};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node, author, &spec, TIMEOUT, &tree), WEFT_OK);
    return tree;
}

/* Only its author writes it, and who is on the list reads it. */
static weft_id tree_on(weft_node *node, weft_keypair *author)
{
    return tree_for(node, author, WEFT_RIGHT_NONE);
}

static char *temp_dir(char out[64])
{
    strcpy(out, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(out));
    return out;
}

static void remove_dir(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

/* Waits until `node` holds `entries` of `tree`: woken by the node's own events. */
struct watch {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    unsigned events;
};

static void on_growth(void *arg, const weft_event *event)
{
    struct watch *w = arg;
    if (event->kind != WEFT_EV_ENTRIES) return;
    pthread_mutex_lock(&w->lock);
    w->events++;
    pthread_cond_signal(&w->grown);
    pthread_mutex_unlock(&w->lock);
}

static bool holds(weft_node *node, const weft_id *tree, uint64_t entries)
{
    weft_tree_info info;
    return weft_tree_info_get(node, tree, &info) == WEFT_OK && info.entries >= entries;
}

static bool wait_for(weft_node *node, const weft_id *tree, uint64_t entries)
{
    struct watch w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    uint64_t handle;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    cr_assert_eq(weft_subscribe(node, on_growth, &w, &handle), WEFT_OK);
    int rc = 0;
    unsigned seen = 0;
    while (rc == 0 && !holds(node, tree, entries)) {
        pthread_mutex_lock(&w.lock);
        while (rc == 0 && w.events == seen) rc = pthread_cond_timedwait(&w.grown, &w.lock, &until);
        seen = w.events;
        pthread_mutex_unlock(&w.lock);
    }
    cr_assert_eq(weft_unsubscribe(node, handle), WEFT_OK);
    return holds(node, tree, entries);
}

Test(node, opens_in_memory_and_closes)
{
    weft_node *node = NULL;
    cr_assert_eq(weft_node_open(NULL, &node), WEFT_OK);
    weft_key key;
    weft_node_key(node, &key);
    weft_node_close(node);
}

Test(node, commit_is_there_to_read)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = tree_on(node, author), id;
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "notes", "hello", 5, TIMEOUT, &id), WEFT_OK);
    weft_buf *buf = NULL;
    cr_assert_eq(weft_get(node, &id, &buf), WEFT_OK);
    weft_entry *entry = malloc(sizeof *entry);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), entry), WEFT_OK);
    cr_assert_eq(entry->stores_count, 1);
    cr_assert_eq(entry->stores[0].payload_len, 5);
    cr_assert_eq(memcmp(entry->stores[0].payload, "hello", 5), 0);
    free(entry);
    weft_buf_unref(buf);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    weft_node_close(node);
}

static weft_err count_entries(void *arg, const weft_entry *entry)
{
    (void)entry;
    ++*(unsigned *)arg;
    return WEFT_OK;
}

Test(node, commits_of_one_writer_are_a_chain)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = tree_on(node, author);
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(weft_commit(writer, "notes", &i, sizeof i, TIMEOUT, NULL), WEFT_OK);
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node, &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 21);
    cr_expect_eq(info.tips, 1);
    cr_expect_eq(info.max_gen, 20);
    unsigned walked = 0;
    cr_assert_eq(weft_tree_walk(node, &tree, count_entries, &walked), WEFT_OK);
    cr_expect_eq(walked, 21);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    weft_node_close(node);
}

Test(node, two_writers_make_siblings_that_the_next_commit_joins)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9), *other = author_of(10);
    weft_id tree = tree_for(node, author, WEFT_RIGHT_WRITE);
    weft_writer *a = NULL, *b = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &a), WEFT_OK);
    cr_assert_eq(weft_writer_open(node, &tree, other, &b), WEFT_OK);
    cr_assert_eq(weft_commit(a, "notes", "a", 1, TIMEOUT, NULL), WEFT_OK);
    cr_assert_eq(weft_commit(b, "notes", "b", 1, TIMEOUT, NULL), WEFT_OK);
    cr_assert_eq(weft_commit(a, "notes", "c", 1, TIMEOUT, NULL), WEFT_OK);
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node, &tree, &info), WEFT_OK);
    cr_expect_eq(info.tips, 1);
    weft_writer_close(a);
    weft_writer_close(b);
    weft_keypair_destroy(author);
    weft_keypair_destroy(other);
    weft_node_close(node);
}

Test(node, a_name_of_wefts_own_is_refused)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = tree_on(node, author);
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
    cr_expect_eq(weft_commit(writer, "_settings", "x", 1, TIMEOUT, NULL), WEFT_INVALID);
    cr_expect_eq(weft_commit(writer, "", "x", 1, TIMEOUT, NULL), WEFT_INVALID);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    weft_node_close(node);
}

Test(node, a_writer_for_an_unknown_tree_is_refused)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = {{1}};
    weft_writer *writer = NULL;
    cr_expect_eq(weft_writer_open(node, &tree, author, &writer), WEFT_TREE);
    weft_keypair_destroy(author);
    weft_node_close(node);
}

Test(node, an_entry_with_a_flipped_signature_is_refused)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = tree_on(node, author), id;
    weft_entry_spec spec = {.tree = tree, .parents = &tree, .parents_count = 1, .height = 1};
    weft_buf *buf = NULL;
    cr_assert_eq(weft_entry_build(&spec, author, &buf, &id), WEFT_OK);
    weft_buf_data(buf)[weft_buf_len(buf) - 1] ^= 1;
    uint32_t applied = 7;
    weft_err err = weft_add(node, &buf, 1, false, TIMEOUT, &applied);
    cr_expect_eq(err, WEFT_BAD_SIGNATURE);
    cr_expect_eq(applied, 0);
    weft_buf_unref(buf);
    weft_keypair_destroy(author);
    weft_node_close(node);
}

/* -- First run, refusals ---------------------------------------------------------------- */

Test(node, first_run_makes_a_key_that_stays)
{
    char dir[64];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL;
    weft_key first, again;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_node_key(node, &first);
    weft_node_close(node);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_node_key(node, &again);
    weft_node_close(node);
    cr_expect(weft_key_equal(&first, &again));
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/device.key", dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    remove_dir(dir);
}

Test(node, a_store_in_use_without_its_key_is_refused)
{
    char dir[64], path[128];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL;
    weft_keypair *author = author_of(9);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    (void)tree_on(node, author);
    weft_node_close(node);
    snprintf(path, sizeof path, "%s/device.key", dir);
    cr_assert_eq(unlink(path), 0);
    node = NULL;
    cr_expect_eq(weft_node_open(&options, &node), WEFT_KEY_FILE);
    cr_expect_null(node);
    weft_keypair_destroy(author);
    remove_dir(dir);
}

Test(node, a_key_file_open_to_others_is_refused)
{
    char dir[64], path[128];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_node_close(node);
    snprintf(path, sizeof path, "%s/device.key", dir);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_expect_eq(weft_node_open(&options, &node), WEFT_KEY_FILE);
    remove_dir(dir);
}

Test(node, a_directory_that_is_not_a_store_is_refused_and_left_alone)
{
    char dir[64], path[128];
    weft_node_options options = {.dir = temp_dir(dir)};
    snprintf(path, sizeof path, "%s/letter.txt", dir);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    weft_node *node = NULL;
    cr_expect_eq(weft_node_open(&options, &node), WEFT_NOT_STORE);
    snprintf(path, sizeof path, "test \"$(ls -A '%s')\" = letter.txt", dir);
    cr_expect_eq(system(path), 0);
    remove_dir(dir);
}

Test(node, a_store_in_use_is_refused)
{
    char dir[64];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL, *second = NULL;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    cr_expect_eq(weft_node_open(&options, &second), WEFT_LOCKED);
    weft_node_close(node);
    remove_dir(dir);
}

Test(node, commits_survive_a_reopen)
{
    char dir[64];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL;
    weft_keypair *author = author_of(9);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_id tree = tree_on(node, author), id;
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "notes", "hello", 5, TIMEOUT, &id), WEFT_OK);
    weft_writer_close(writer);
    weft_node_close(node);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_buf *buf = NULL;
    cr_expect_eq(weft_get(node, &id, &buf), WEFT_OK);
    weft_buf_unref(buf);
    weft_node_close(node);
    weft_keypair_destroy(author);
    remove_dir(dir);
}

/* -- Peers ---------------------------------------------------------------------------------- */

Test(node, a_peer_is_registered_once)
{
    weft_node *node = memory_node(1);
    weft_key peer = {{7}};
    cr_expect_eq(weft_peer_register(node, &peer, "seven", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_register(node, &peer, "seven", TIMEOUT), WEFT_EXISTS);
    weft_peer_info info;
    cr_assert_eq(weft_peer_get(node, &peer, TIMEOUT, &info), WEFT_OK);
    cr_expect_str_eq(info.name, "seven");
    cr_expect_eq(info.status, WEFT_PEER_ACTIVE);
    cr_expect_eq(info.connection, WEFT_DISCONNECTED);
    weft_node_close(node);
}

Test(node, a_removed_peer_reads_as_absent_and_stays_blocked)
{
    weft_node *node = memory_node(1);
    weft_key peer = {{7}}, stranger = {{8}};
    weft_id tree = {{1}};
    weft_peer_info info;
    cr_assert_eq(weft_peer_register(node, &peer, NULL, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node, &peer, &tree, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_remove(node, &peer, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_remove(node, &stranger, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_get(node, &peer, TIMEOUT, &info), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_register(node, &peer, NULL, TIMEOUT), WEFT_EXISTS);
    cr_expect_eq(weft_peer_set_status(node, &peer, WEFT_PEER_ACTIVE, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_get(node, &peer, TIMEOUT, &info), WEFT_OK);
    cr_expect_eq(info.trees_count, 0);
    weft_node_close(node);
}

Test(node, addresses_are_checked_and_keep_their_order)
{
    weft_node *node = memory_node(1);
    weft_key peer = {{7}};
    cr_assert_eq(weft_peer_register(node, &peer, NULL, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_add_address(node, &peer, "127.0.0.1:1", TIMEOUT), WEFT_ADDRESS);
    cr_expect_eq(weft_peer_add_address(node, &peer, "tcp:nonsense", TIMEOUT), WEFT_ADDRESS);
    cr_expect_eq(weft_peer_add_address(node, &peer, "tcp:127.0.0.1:99999", TIMEOUT), WEFT_ADDRESS);
    cr_expect_eq(weft_peer_add_address(node, &peer, "tcp:127.0.0.1:2", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_add_address(node, &peer, "tcp:[::1]:1", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_peer_add_address(node, &peer, "tcp:127.0.0.1:2", TIMEOUT), WEFT_OK);
    weft_peer_info info;
    cr_assert_eq(weft_peer_get(node, &peer, TIMEOUT, &info), WEFT_OK);
    cr_assert_eq(info.addresses_count, 2);
    cr_expect_str_eq(info.addresses[0], "tcp:127.0.0.1:2");
    cr_expect_str_eq(info.addresses[1], "tcp:[::1]:1");
    cr_expect_eq(weft_peer_remove_address(node, &peer, "tcp:127.0.0.1:3", TIMEOUT), WEFT_NOT_FOUND);
    weft_node_close(node);
}

Test(node, peers_and_relations_survive_a_reopen)
{
    char dir[64];
    weft_node_options options = {.dir = temp_dir(dir)};
    weft_node *node = NULL;
    weft_key peer = {{7}}, blocked = {{8}};
    weft_id tree = {{1}}, got;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    cr_assert_eq(weft_peer_register(node, &peer, "seven", TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_register(node, &blocked, "eight", TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node, &peer, &tree, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_remove(node, &blocked, TIMEOUT), WEFT_OK);
    weft_node_close(node);
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    size_t count = 1;
    cr_expect_eq(weft_peer_trees(node, &peer, TIMEOUT, &got, &count), WEFT_OK);
    cr_expect_eq(count, 1);
    cr_expect(weft_id_equal(&got, &tree));
    weft_peer_info info;
    cr_expect_eq(weft_peer_get(node, &blocked, TIMEOUT, &info), WEFT_NOT_FOUND);
    weft_node_close(node);
    remove_dir(dir);
}

/* -- Two nodes ----------------------------------------------------------------------------------- */

struct pair {
    weft_node *a, *b;
    weft_key key_a, key_b;
    weft_keypair *author;
    weft_id tree;
};

/* A has a tree; B follows it, knows A's address and is related. */
static void pair_open(struct pair *p, const char *listen)
{
    p->a = memory_node(1);
    p->b = memory_node(2);
    p->author = author_of(9);
    weft_node_key(p->a, &p->key_a);
    weft_node_key(p->b, &p->key_b);
    p->tree = tree_on(p->a, p->author);
    cr_assert_eq(weft_tree_follow(p->a, &p->tree, &p->key_b, 1, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_tree_follow(p->b, &p->tree, &p->key_a, 1, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_add_transport(p->a, "net", listen, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_add_transport(p->b, "net", NULL, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_start_server(p->a, "net", TIMEOUT), WEFT_OK);
    char address[WEFT_ADDRESS_BYTES_MAX];
    cr_assert_eq(weft_server_address(p->a, "net", TIMEOUT, address), WEFT_OK);
    cr_assert_eq(weft_peer_register(p->b, &p->key_a, "a", TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(p->b, &p->key_a, address, TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_relate(p->b, &p->key_a, &p->tree, TIMEOUT), WEFT_OK);
}

static void pair_close(struct pair *p)
{
    weft_node_close(p->b);
    weft_node_close(p->a);
    weft_keypair_destroy(p->author);
}

static void commit_on(weft_node *node, struct pair *p, int count)
{
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &p->tree, p->author, &writer), WEFT_OK);
    for (int i = 0; i < count; i++)
        cr_assert_eq(weft_commit(writer, "notes", &i, sizeof i, TIMEOUT, NULL), WEFT_OK);
    weft_writer_close(writer);
}

static void expect_equal(struct pair *p, uint64_t entries)
{
    weft_tree_info a, b;
    cr_assert_eq(weft_tree_info_get(p->a, &p->tree, &a), WEFT_OK);
    cr_assert_eq(weft_tree_info_get(p->b, &p->tree, &b), WEFT_OK);
    cr_expect_eq(a.entries, entries);
    cr_expect_eq(b.entries, entries);
    cr_expect_eq(memcmp(a.root_digest, b.root_digest, 32), 0);
}

Test(node, sync_tree_brings_a_history_over_tcp)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    commit_on(p.a, &p, 50);
    weft_result result;
    cr_assert_eq(weft_sync_tree(p.b, &p.key_a, &p.tree, TIMEOUT, &result), WEFT_OK);
    expect_equal(&p, 51);
    pair_close(&p);
}

Test(node, live_commits_travel_both_ways)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    cr_assert_eq(weft_sync_tree(p.b, &p.key_a, &p.tree, TIMEOUT, NULL), WEFT_OK);
    commit_on(p.a, &p, 5);
    cr_expect(wait_for(p.b, &p.tree, 6));
    commit_on(p.b, &p, 5);
    cr_expect(wait_for(p.a, &p.tree, 11));
    expect_equal(&p, 11);
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(p.a, &stats), WEFT_OK);
    cr_expect_eq(stats.duplicates + stats.redundant, 0);
    pair_close(&p);
}

Test(node, a_stranger_gets_the_same_answer_as_for_an_unknown_tree)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    cr_assert_eq(weft_tree_follow(p.a, &p.tree, NULL, 0, TIMEOUT), WEFT_OK); /* no readers */
    weft_id nowhere = {{3}};
    cr_assert_eq(weft_tree_follow(p.b, &nowhere, &p.key_a, 1, TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_sync_tree(p.b, &p.key_a, &p.tree, TIMEOUT, NULL), WEFT_TREE);
    cr_expect_eq(weft_sync_tree(p.b, &p.key_a, &nowhere, TIMEOUT, NULL), WEFT_TREE);
    pair_close(&p);
}

Test(node, connect_refuses_another_key_than_the_expected_one)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    char address[WEFT_ADDRESS_BYTES_MAX];
    cr_assert_eq(weft_server_address(p.a, "net", TIMEOUT, address), WEFT_OK);
    weft_key other = {{5}};
    cr_expect_eq(weft_connect(p.b, address, &other, TIMEOUT, NULL), WEFT_PEER_KEY);
    pair_close(&p);
}

Test(node, connect_to_nobody_is_unreachable)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    cr_expect_eq(weft_connect(p.b, "tcp:127.0.0.1:1", NULL, TIMEOUT, NULL), WEFT_UNREACHABLE);
    cr_expect_eq(weft_connect(p.b, "pigeon:loft", NULL, TIMEOUT, NULL), WEFT_NO_TRANSPORT);
    pair_close(&p);
}

Test(node, a_blocked_peer_is_refused)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    cr_assert_eq(weft_peer_register(p.a, &p.key_b, "b", TIMEOUT), WEFT_OK);
    cr_assert_eq(weft_peer_remove(p.a, &p.key_b, TIMEOUT), WEFT_OK);
    cr_expect_neq(weft_sync_tree(p.b, &p.key_a, &p.tree, 3 * WEFT_SEC, NULL), WEFT_OK);
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(p.b, &p.tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 0);
    pair_close(&p);
}

Test(node, offers_name_only_what_the_peer_may_read)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    (void)tree_on(p.a, p.author); /* another one, without readers */
    weft_id offers[4];
    size_t count = 4;
    cr_assert_eq(weft_peer_offers(p.b, &p.key_a, TIMEOUT, offers, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect(weft_id_equal(&offers[0], &p.tree));
    pair_close(&p);
}

Test(node, an_entry_that_is_not_here_is_not_found)
{
    weft_node *node = memory_node(1);
    weft_id id = {{1}};
    weft_buf *buf = NULL;
    cr_expect_eq(weft_get(node, &id, &buf), WEFT_NOT_FOUND);
    cr_expect_null(buf);
    weft_node_close(node);
}

Test(node, servers_start_once_and_stop)
{
    weft_node *node = memory_node(1);
    char address[WEFT_ADDRESS_BYTES_MAX];
    cr_expect_eq(weft_start_server(node, "none", TIMEOUT), WEFT_NOT_FOUND);
    cr_assert_eq(weft_add_transport(node, "net", "tcp:127.0.0.1:0", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_server_address(node, "net", TIMEOUT, address), WEFT_NOT_FOUND);
    cr_expect_eq(weft_start_server(node, "net", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_start_server(node, "net", TIMEOUT), WEFT_EXISTS);
    cr_expect_eq(weft_server_address(node, "net", TIMEOUT, address), WEFT_OK);
    cr_expect_eq(strncmp(address, "tcp:127.0.0.1:", 14), 0);
    cr_expect_eq(weft_stop_server(node, "net", TIMEOUT), WEFT_OK);
    cr_expect_eq(weft_stop_server(node, "net", TIMEOUT), WEFT_NOT_FOUND);
    cr_expect_eq(weft_stop_server(node, NULL, TIMEOUT), WEFT_OK);
    weft_node_close(node);
}

/* -- Calls from inside an actor --------------------------------------------------------------------- */

static weft_err inside(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    weft_node *node = arg;
    weft_key peer = {{7}};
    weft_id tree = {{1}};
    weft_tree_info info;
    size_t none = 0;
    bool all = weft_sync_with_peer(node, &peer, TIMEOUT, NULL) == WEFT_DEADLK &&
               weft_flush(node, TIMEOUT, NULL) == WEFT_DEADLK &&
               weft_peer_register(node, &peer, NULL, TIMEOUT) == WEFT_DEADLK &&
               weft_peer_addresses(node, &peer, NULL, TIMEOUT, NULL, &none) == WEFT_DEADLK &&
               weft_tree_follow(node, &tree, NULL, 0, TIMEOUT) == WEFT_DEADLK &&
               weft_tree_info_get(node, &tree, &info) == WEFT_DEADLK &&
               weft_tree_use_key(node, &tree, NULL) == WEFT_DEADLK &&
               weft_shutdown(node, TIMEOUT) == WEFT_DEADLK;
    return all ? WEFT_OK : WEFT_INTERNAL;
}

static weft_verdict nothing(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(node, blocking_calls_from_inside_an_actor_answer_deadlk)
{
    weft_node *node = memory_node(1);
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    weft_spec spec = {.name = "inside", .arg = node, .init = inside, .handle = nothing};
    cr_expect_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    weft_node_close(node);
}

/* -- Events and asynchronous forms ------------------------------------------------------------------- */

struct seen {
    int entries, local;
    uint64_t seq;
};

static void on_event(void *arg, const weft_event *event)
{
    struct seen *seen = arg;
    if (event->kind != WEFT_EV_ENTRIES) return;
    seen->entries++;
    if (event->local) seen->local++;
    seen->seq = event->seq;
}

Test(node, a_subscriber_hears_local_commits_and_nothing_after_it_left)
{
    weft_node *node = memory_node(1);
    weft_keypair *author = author_of(9);
    weft_id tree = tree_on(node, author);
    struct seen seen = {0};
    uint64_t handle = 0;
    cr_assert_eq(weft_subscribe(node, on_event, &seen, &handle), WEFT_OK);
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(weft_commit(writer, "notes", &i, sizeof i, TIMEOUT, NULL), WEFT_OK);
    cr_assert_eq(weft_unsubscribe(node, handle), WEFT_OK); /* behind what was told so far */
    cr_expect_eq(weft_unsubscribe(node, handle), WEFT_NOT_FOUND);
    cr_expect_geq(seen.entries, 1);
    cr_expect_eq(seen.entries, seen.local);
    int heard = seen.entries;
    cr_assert_eq(weft_commit(writer, "notes", "x", 1, TIMEOUT, NULL), WEFT_OK);
    weft_writer_close(writer);
    weft_node_close(node);
    cr_expect_eq(seen.entries, heard);
    weft_keypair_destroy(author);
}

struct answers {
    int count;
    weft_err last;
};

static void on_result(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    struct answers *answers = arg;
    answers->count++;
    answers->last = err;
}

Test(node, every_begun_command_is_answered_once_also_when_the_node_closes)
{
    weft_node *node = memory_node(1);
    weft_key peer = {{7}};
    struct answers answers = {0};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(weft_sync_with_peer_async(node, &peer, TIMEOUT, on_result, &answers), WEFT_OK);
    weft_node_close(node);
    cr_expect_eq(answers.count, 10);
    cr_expect_neq(answers.last, WEFT_OK);
}

Test(node, shutdown_during_traffic_ends_in_time)
{
    struct pair p;
    pair_open(&p, "tcp:127.0.0.1:0");
    commit_on(p.a, &p, 200);
    struct answers answers = {0};
    cr_assert_eq(weft_sync_tree_async(p.b, &p.key_a, &p.tree, TIMEOUT, on_result, &answers),
                 WEFT_OK);
    cr_expect_eq(weft_shutdown(p.b, 5 * WEFT_SEC), WEFT_OK);
    cr_expect_eq(weft_shutdown(p.a, 5 * WEFT_SEC), WEFT_OK);
    pair_close(&p);
    cr_expect_eq(answers.count, 1);
}

struct looked {
    pthread_mutex_t lock;
    pthread_cond_t came;
    int answers;
    weft_err last;
    size_t count;
};

static void looked_at(struct looked *l, weft_err err, size_t count)
{
    pthread_mutex_lock(&l->lock);
    l->answers++;
    l->last = err;
    l->count = count;
    pthread_cond_signal(&l->came);
    pthread_mutex_unlock(&l->lock);
}

static void on_change(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    looked_at(arg, err, 0);
}

static void on_row(void *arg, weft_err err, const weft_peer_info *info)
{
    looked_at(arg, err, info == NULL ? 0 : info->trees_count);
}

static void on_keys(void *arg, weft_err err, const weft_key *keys, size_t count)
{
    (void)keys;
    looked_at(arg, err, count);
}

static void on_ids(void *arg, weft_err err, const weft_id *ids, size_t count)
{
    (void)ids;
    looked_at(arg, err, count);
}

static void on_servers(void *arg, weft_err err, const weft_server *servers, size_t count)
{
    (void)servers;
    looked_at(arg, err, count);
}

/* The answer to the call that was just begun. */
static weft_err next_answer(struct looked *l, weft_err begun)
{
    static int seen;
    cr_assert_eq(begun, WEFT_OK);
    pthread_mutex_lock(&l->lock);
    while (l->answers == seen) pthread_cond_wait(&l->came, &l->lock);
    seen = l->answers;
    weft_err err = l->last;
    pthread_mutex_unlock(&l->lock);
    return err;
}

Test(node, peers_can_be_managed_asynchronously)
{
    weft_node *node = memory_node(1);
    weft_key peer = {{7}};
    weft_id tree = {{1}};
    struct looked l = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, WEFT_OK, 0};
    cr_expect_eq(next_answer(&l, weft_peer_get_async(node, &peer, on_row, &l)), WEFT_NOT_FOUND);
    cr_expect_eq(next_answer(&l, weft_peer_register_async(node, &peer, "p", on_change, &l)),
                 WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_register_async(node, &peer, "p", on_change, &l)),
                 WEFT_EXISTS);
    cr_expect_eq(
        next_answer(&l, weft_peer_add_address_async(node, &peer, "tcp:127.0.0.1:1", on_change, &l)),
        WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_relate_async(node, &peer, &tree, on_change, &l)),
                 WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_get_async(node, &peer, on_row, &l)), WEFT_OK);
    cr_expect_eq(l.count, 1);
    cr_expect_eq(next_answer(&l, weft_peer_trees_async(node, &peer, on_ids, &l)), WEFT_OK);
    cr_expect_eq(l.count, 1);
    cr_expect_eq(next_answer(&l, weft_tree_peers_async(node, &tree, on_keys, &l)), WEFT_OK);
    cr_expect_eq(l.count, 1);
    cr_expect_eq(next_answer(&l, weft_peer_unrelate_async(node, &peer, &tree, on_change, &l)),
                 WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_remove_address_async(node, &peer, "tcp:127.0.0.1:1",
                                                                on_change, &l)),
                 WEFT_OK);
    cr_expect_eq(
        next_answer(&l, weft_peer_set_status_async(node, &peer, WEFT_PEER_INACTIVE, on_change, &l)),
        WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_remove_async(node, &peer, on_change, &l)), WEFT_OK);
    cr_expect_eq(next_answer(&l, weft_peer_list_async(node, on_keys, &l)), WEFT_OK);
    cr_expect_eq(l.count, 0);
    cr_expect_eq(next_answer(&l, weft_server_addresses_async(node, on_servers, &l)), WEFT_OK);
    cr_expect_eq(weft_peer_get_async(node, &peer, NULL, &l), WEFT_INVALID);
    weft_node_close(node);
}
