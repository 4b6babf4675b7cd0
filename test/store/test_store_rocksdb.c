/* SPDX-License-Identifier: Apache-2.0
 * test_store_rocksdb.c - the store on a disk, with real threads, under RocksDB and under LMDB: it
 * is there again.
 * Called by: meson test. May touch: directories of its own. Never: the simulator. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto.h"
#include "kv_kit.h"
#include "lock.h"
#include "store_kit.h"

static const struct kk_engine *under; /* the test that runs */
static char dir[64];
static weft_rt *rt;
static wf_store *store;
static weft_addr *addr;
static uint32_t herd; /* of the store actor's options */

static void open_store(void)
{
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(wf_store_open(kk_open(under, dir), rt, &store), WEFT_OK);
    struct wf_store_actor_options options = {.store = store, .sync = true, .herd = herd};
    cr_assert_eq(wf_store_actor_spawn(rt, &options, &addr), WEFT_OK);
}

static void close_store(void)
{
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 30 * WEFT_SEC)), WEFT_OK);
    wf_store_close(store);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

static weft_keypair *author;

static void setup(void)
{
    cr_assert_eq(wf_crypto_init(), WEFT_OK);
    author = kit_pair(1);
    kk_dir_create(dir);
}

static void teardown(void)
{
    kk_dir_remove(dir);
    weft_keypair_destroy(author);
}

TestSuite(store_rocksdb, .init = setup, .fini = teardown);
TestSuite(store_lmdb, .init = setup, .fini = teardown);

static void run(const struct kk_engine *engine, void (*claim)(void))
{
    kk_need(engine);
    under = engine;
    claim();
}

/* One claim, judged on both engines. */
#define CLAIM(name)                                       \
    static void name(void);                               \
    Test(store_rocksdb, name) { run(&kk_rocksdb, name); } \
    Test(store_lmdb, name) { run(&kk_lmdb, name); }       \
    static void name(void)

static weft_err commit(const sk_dag *dag, uint32_t from, uint32_t count)
{
    struct wf_commit *msg = wf_commit_create(count);
    msg->create_trees = true;
    for (uint32_t i = 0; i < count; i++) {
        msg->entries[i] = weft_buf_ref(dag->bufs[from + i]);
        msg->ids[i] = dag->ids[from + i];
    }
    weft_request *back = NULL;
    weft_err err = weft_call(addr, &msg->req, weft_rt_after(rt, 30 * WEFT_SEC), &back, NULL);
    if (back != NULL) weft_drop(&back->msg);
    return err;
}

CLAIM(a_history_is_there_after_closing_and_opening)
{
    for (enum sk_shape shape = 0; shape < SK_SHAPES; shape++) {
        sk_dag *dag = sk_dag_create(shape, 300, author, shape + 1);
        open_store();
        cr_assert_eq(commit(dag, 0, 200), WEFT_OK);
        close_store();
        open_store();
        cr_assert_eq(commit(dag, 200, 100), WEFT_OK);
        sk_expect_dag(store, dag, NULL);
        sk_expect_clean(store);
        close_store();
        sk_dag_destroy(dag);
    }
}

CLAIM(commits_acknowledged_before_a_kill_are_there)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 200, author, 4);
    int acks[2];
    cr_assert_eq(pipe(acks), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        open_store();
        for (uint32_t i = 0; i < 200; i++) {
            uint8_t byte = (uint8_t)i;
            if (commit(dag, i, 1) != WEFT_OK || write(acks[1], &byte, 1) != 1) _exit(1);
            if (i == 120) kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    close(acks[1]);
    uint32_t acked = 0;
    uint8_t byte;
    while (read(acks[0], &byte, 1) == 1) acked++;
    close(acks[0]);
    waitpid(child, NULL, 0);
    cr_assert_eq(acked, 121);
    open_store();
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_OK);
    cr_assert_geq(info.count, acked);
    bool have[200] = {false};
    for (uint32_t i = 0; i < info.count; i++) have[i] = true;
    sk_expect_dag(store, dag, have);
    sk_expect_clean(store);
    close_store();
    sk_dag_destroy(dag);
}

/* -- Readers beside the writer --------------------------------------------------------------- */

struct reading {
    const sk_dag *dag;
    wf_counter stop, wrong, rounds;
};

/* The digest and the counts that come with it are of one moment: in a chain, the tips
 * are one and its digest is that of the entry at seq. */
static void *read_digests(void *arg)
{
    struct reading *r = arg;
    while (wf_counter_get(&r->stop) == 0) {
        uint8_t digest[32], want[32];
        wf_tree_info info;
        weft_err err = wf_store_root_digest(store, 1, digest, &info);
        if (err == WEFT_NOT_FOUND) continue;
        if (err != WEFT_OK || info.tips != 1) {
            wf_counter_add(&r->wrong, 1);
            continue;
        }
        wf_blake2b_256(r->dag->ids[info.seq - 1].bytes, 32, want);
        if (memcmp(digest, want, 32) != 0) wf_counter_add(&r->wrong, 1);
        wf_counter_add(&r->rounds, 1);
    }
    return NULL;
}

CLAIM(a_digest_and_its_counts_are_of_one_moment)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 300, author, 1);
    open_store();
    struct reading reading = {.dag = dag};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_digests, &reading), 0);
    for (uint32_t i = 0; i < 300; i += 2) cr_assert_eq(commit(dag, i, 2), WEFT_OK);
    wf_counter_set(&reading.stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(wf_counter_get(&reading.wrong), 0);
    cr_assert_gt(wf_counter_get(&reading.rounds), 0);
    close_store();
    sk_dag_destroy(dag);
}

/* -- Many writers ---------------------------------------------------------------------------- */

#define LANES 6u

struct lane {
    const sk_dag *dag;
    uint32_t me;
    wf_counter failed;
};

static void *commit_lane(void *arg)
{
    struct lane *l = arg;
    for (uint32_t i = 1 + l->me; i < l->dag->count; i += LANES)
        if (commit(l->dag, i, 1) != WEFT_OK) wf_counter_add(&l->failed, 1);
    return NULL;
}

CLAIM(commits_of_many_threads_are_taken_while_the_disk_is_waited_for)
{
    sk_dag *dag = sk_dag_create(SK_STAR, 1 + 30 * LANES, author, 6);
    struct wf_store_counters counters;
    struct lane lanes[LANES];
    pthread_t threads[LANES];
    herd = 2;
    open_store();
    cr_assert_eq(commit(dag, 0, 1), WEFT_OK);
    for (uint32_t i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.dag = dag, .me = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, commit_lane, &lanes[i]), 0);
    }
    for (uint32_t i = 0; i < LANES; i++) pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < LANES; i++) cr_assert_eq(wf_counter_get(&lanes[i].failed), 0);
    wf_store_counters_read(store, &counters);
    cr_assert_eq(counters.entries, dag->count);
    cr_assert_eq(counters.synced, counters.batches, "each was waited for");
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    close_store();
    sk_dag_destroy(dag);
}

/* -- A disk that fails --------------------------------------------------------------------------- */

/* What is read is right, or it is said that the disk does not answer. */
static void *read_first(void *arg)
{
    struct reading *r = arg;
    while (wf_counter_get(&r->stop) == 0) {
        weft_buf *got = NULL;
        weft_err err = wf_store_get(store, &r->dag->ids[0], &got);
        if (err == WEFT_OK) wf_counter_add(&r->rounds, 1);
        else if (err != WEFT_IO) wf_counter_add(&r->wrong, 1);
        weft_buf_unref(got);
        sched_yield();
    }
    return NULL;
}

/* A file that may not grow is a disk that fails, and one that works when it may again. */
CLAIM(a_store_beside_readers_takes_commits_again_when_its_disk_does)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 300, author, 1);
    struct rlimit before, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 16 << 10;
    signal(SIGXFSZ, SIG_IGN);
    open_store();
    cr_assert_eq(commit(dag, 0, 100), WEFT_OK);
    struct reading reading = {.dag = dag};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_first, &reading), 0);
    sk_quiet(true);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint32_t acked = 100;
    weft_err err = WEFT_OK;
    for (; err == WEFT_OK && acked < 200; acked++) err = commit(dag, acked, 1);
    cr_assert_eq(err, WEFT_IO, "%s", weft_errname(err));
    /* The same one: an engine that opens without writing has opened again meanwhile. */
    cr_assert_eq(commit(dag, acked - 1, 1), WEFT_IO, "the disk is still broken");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    weft_ns deadline = weft_rt_after(rt, 60 * WEFT_SEC);
    while ((err = commit(dag, 99, 1)) == WEFT_IO && weft_rt_now(rt) < deadline) sched_yield();
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert_eq(commit(dag, 0, 300), WEFT_OK);
    sk_quiet(false);
    wf_counter_set(&reading.stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(wf_counter_get(&reading.wrong), 0);
    cr_assert_gt(wf_counter_get(&reading.rounds), 0);
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    close_store();
    sk_dag_destroy(dag);
}
