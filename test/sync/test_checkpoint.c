/* SPDX-License-Identifier: Apache-2.0
 * test_checkpoint.c - copies of a store in use, and what peers make of a node that came back
 * from one. Called by: the test runner. May touch: directories of its own.
 * Never: sleeps. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <weft/store.h>

#include "kv_kit.h"
#include "lock.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

/* -- A node that comes back from an old copy ------------------------------------------------- */

static wf_kv *copy_of(wf_kv *from)
{
    wf_kv *to = NULL;
    wf_batch *batch = NULL;
    cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) {
        wf_kv_iter *it;
        cr_assert_eq(wf_kv_iter_create(from, NULL, (enum wf_cf)cf, NULL, 0, &it), WEFT_OK);
        for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
            size_t key_len, len;
            const uint8_t *key = wf_kv_iter_key(it, &key_len);
            const uint8_t *value = wf_kv_iter_value(it, &len);
            wf_batch_put(batch, (enum wf_cf)cf, key, key_len, value, len);
        }
        wf_kv_iter_destroy(it);
    }
    cr_assert_eq(wf_kv_write(to, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    return to;
}

static void commit_on_all(struct world *w, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds * w->count; i++)
        cr_assert_eq(world_commit(w, i % w->count), WEFT_OK);
    cr_assert(world_converges(w, 600 * WEFT_SEC));
}

/* What it had committed itself since the copy comes back from its peers, although they know
 * that it had it; and what it commits now takes the arrival numbers of then. */
Test(checkpoint, a_node_that_comes_back_from_an_old_copy_ends_equal_to_its_peers)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world *w = world_create(seed, seed % 2 == 0 ? WORLD_CHAIN : WORLD_MESH, 3,
                                       seed > 2 ? WORLD_NO_PUSH : WORLD_PLAIN);
        commit_on_all(w, 4);
        wf_kv *copy = copy_of(w->nodes[0].kv);
        cr_assert_eq(wf_copy_mark(copy), WEFT_OK);
        commit_on_all(w, 6);
        world_kill(w, 0);
        wf_kv_close(w->nodes[0].kv);
        w->nodes[0].kv = copy;
        world_start(w, 0);
        for (int i = 0; i < 9; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
        cr_assert(world_converges(w, 1200 * WEFT_SEC), "seed %llu", (unsigned long long)seed);
        cr_assert_eq(world_lost(w), 0);
        cr_assert_eq(world_damage(w), 0);
        world_destroy(w);
    }
}

/* Nothing is left out as what "came from you", so that no session fails for what is missing. */
Test(checkpoint, one_sync_brings_back_what_a_copy_lacks)
{
    struct world *w = world_create(7, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    commit_on_all(w, 2);
    wf_kv *copy = copy_of(w->nodes[0].kv);
    cr_assert_eq(wf_copy_mark(copy), WEFT_OK);
    for (int i = 0; i < 5; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(weft_sync_tree(w->nodes[0].node, &w->nodes[1].key, &w->tree, CALL, NULL), WEFT_OK);
    cr_assert(world_equal(w));
    world_kill(w, 0);
    wf_kv_close(w->nodes[0].kv);
    w->nodes[0].kv = copy;
    world_start(w, 0);
    cr_assert(!world_equal(w));
    weft_err err = weft_sync_tree(w->nodes[0].node, &w->nodes[1].key, &w->tree, CALL, NULL);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert(world_equal(w));
    weft_node_stats s = world_stats(w);
    cr_expect_eq(s.duplicates, 0);
    cr_expect_eq(s.sessions_exact, 0, "without the new epoch two sessions fail before that helps");
    world_destroy(w);
}

/* -- The call ------------------------------------------------------------------------------------ */

static weft_node *open_node(const char *dir, const weft_keypair *device)
{
    weft_node *node = NULL;
    weft_node_options options = {.dir = dir, .device = device};
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    return node;
}

struct committing {
    weft_writer *writer;
    wf_counter stop, count, failed;
};

static void *commit_on(void *arg)
{
    struct committing *c = arg;
    while (wf_counter_get(&c->stop) == 0) {
        weft_err err = weft_commit(c->writer, "log", "x", 1, WEFT_NEVER, NULL);
        wf_counter_add(err == WEFT_OK ? &c->count : &c->failed, 1);
    }
    return NULL;
}

static weft_tree_info info_of(weft_node *node, const weft_id *tree)
{
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node, tree, &info), WEFT_OK);
    return info;
}

Test(checkpoint, a_copy_taken_while_commits_go_on_is_a_sound_store_of_one_moment)
{
    char dir[64], copy[80];
    const uint8_t seed[32] = {5};
    weft_keypair *pair = NULL;
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {8}};
    weft_id tree;
    struct committing c = {0};
    pthread_t thread;
    kk_dir_create(dir);
    snprintf(copy, sizeof copy, "%s.checkpoint/", dir);
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    weft_node *node = open_node(dir, pair);
    cr_assert_eq(weft_tree_create(node, pair, &root, WEFT_NEVER, &tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(node, &tree, pair, &c.writer), WEFT_OK);
    cr_assert_eq(pthread_create(&thread, NULL, commit_on, &c), 0);
    while (wf_counter_get(&c.count) < 20) sched_yield();
    uint64_t before = wf_counter_get(&c.count);
    cr_assert_eq(weft_store_checkpoint(node, copy), WEFT_OK);
    uint64_t after = info_of(node, &tree).entries;
    cr_expect_eq(weft_store_checkpoint(node, copy), WEFT_EXISTS);
    wf_counter_set(&c.stop, 1);
    pthread_join(thread, NULL);
    cr_expect_eq(wf_counter_get(&c.failed), 0);
    weft_writer_close(c.writer);
    weft_node_close(node);

    node = open_node(copy, pair);
    uint64_t entries = info_of(node, &tree).entries;
    cr_expect(entries > before && entries <= after, "%llu of %llu to %llu",
              (unsigned long long)entries, (unsigned long long)before, (unsigned long long)after);
    wf_check_report report;
    cr_assert_eq(wf_store_check(node->table.wf_store, true, &report), WEFT_OK);
    cr_expect_eq(wf_check_faults(&report), 0);
    cr_expect_eq(report.entries, entries);
    weft_node_close(node);
    weft_keypair_destroy(pair);
    kk_dir_remove(copy);
    kk_dir_remove(dir);
}

Test(checkpoint, what_cannot_be_copied_is_refused)
{
    weft_node *node = NULL;
    cr_assert_eq(weft_node_open(NULL, &node), WEFT_OK);
    cr_expect_eq(weft_store_checkpoint(node, "/tmp/weft-test-nowhere"), WEFT_UNSUPPORTED);
    cr_expect_eq(weft_store_checkpoint(node, ""), WEFT_INVALID);
    cr_expect_eq(weft_store_checkpoint(node, NULL), WEFT_INVALID);
    cr_expect_eq(weft_store_checkpoint(NULL, "/tmp/weft-test-nowhere"), WEFT_INVALID);
    weft_node_close(node);
}

/* A kill before the copy says that it is one leaves DIR.part, never DIR. */
Test(checkpoint, what_a_kill_left_is_not_taken_for_a_copy)
{
    char dir[64], copy[80], part[96];
    const uint8_t seed[32] = {5};
    weft_keypair *pair = NULL;
    kk_dir_create(dir);
    snprintf(copy, sizeof copy, "%s.checkpoint", dir);
    snprintf(part, sizeof part, "%s.part", copy);
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    weft_node *node = open_node(dir, pair);
    cr_assert_eq(wf_kv_checkpoint(wf_store_kv(node->table.wf_store), part), WEFT_OK);
    cr_expect_eq(weft_store_checkpoint(node, copy), WEFT_EXISTS);
    kk_dir_remove(part);
    cr_expect_eq(weft_store_checkpoint(node, copy), WEFT_OK);
    weft_node_close(node);
    weft_keypair_destroy(pair);
    kk_dir_remove(copy);
    kk_dir_remove(dir);
}
