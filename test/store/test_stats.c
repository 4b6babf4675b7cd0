/* SPDX-License-Identifier: Apache-2.0
 * test_stats.c - every figure of a store's statistics, moved by what it counts.
 * Called by: meson test. May touch: the memory engine's failures, bodies behind the store's
 * back, a RocksDB store in a directory of its own. Never: a clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "kv_kit.h"
#include "layout.h"
#include "stats.h"
#include "store_kit.h"

#define ENTRIES 40u

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_CHAIN, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(stats, .init = setup, .fini = teardown);

static weft_store_stats now(void)
{
    weft_store_stats stats;
    wf_store_stats_read(node.store, &stats);
    return stats;
}

static weft_err commit(uint32_t from, uint32_t count)
{
    return sk_commit(&node, dag->bufs + from, dag->ids + from, count, true, NULL);
}

/* A frame of entries from a peer. */
static void receive(uint32_t from, uint32_t count, bool raw)
{
    static uint32_t stream;
    struct wf_ingest *frame = sk_frame(&node, 3, 1, &dag->tree, dag->bufs + from, dag->ids + from,
                                       count);
    frame->stream = ++stream;
    frame->raw = raw;
    (void)sk_ingest(&node, frame);
}

/* -- What was done ------------------------------------------------------------------------- */

Test(stats, entries_are_told_by_who_made_them)
{
    cr_assert_eq(commit(0, 10), WEFT_OK);
    receive(10, 5, false);
    cr_expect_eq(now().entries, 15);
    cr_expect_eq(now().commits, 10);
}

Test(stats, what_comes_again_is_known)
{
    cr_assert_eq(commit(0, 10), WEFT_OK);
    receive(5, 5, false);
    cr_expect_eq(now().known, 5);
    cr_expect_eq(now().entries, 10);
}

Test(stats, what_the_door_refuses_is_counted)
{
    weft_id id;
    cr_assert_eq(commit(0, 10), WEFT_OK);
    sk_entry wrong = {.tree = dag->tree, .parents = &dag->ids[9], .parents_count = 1, .height = 99};
    weft_buf *buf = sk_build(&wrong, author, &id);
    struct wf_ingest *frame = sk_frame(&node, 3, 1, &dag->tree, &buf, &id, 1);
    (void)sk_ingest(&node, frame);
    cr_expect_eq(now().refused, 1);
    weft_buf_unref(buf);
}

Test(stats, writes_and_those_that_waited_for_the_disk)
{
    weft_store_stats before = now();
    cr_assert_eq(commit(0, 4), WEFT_OK);
    cr_assert_eq(commit(4, 4), WEFT_OK);
    weft_store_stats after = now();
    cr_expect_eq(after.synced - before.synced, 2);
    cr_expect_eq(after.batches - before.batches, 2);
    cr_expect_eq(after.commits_per_batch, 4);
}

Test(stats, a_write_that_waits_for_nobody_is_no_synced_one)
{
    struct wf_commit *lazy = wf_commit_create(1);
    weft_request *back = NULL;
    lazy->entries[0] = weft_buf_ref(dag->bufs[0]);
    lazy->ids[0] = dag->ids[0];
    lazy->create_trees = true;
    lazy->durability = WF_WRITTEN;
    weft_store_stats before = now();
    cr_assert_eq(weft_call(node.addr, &lazy->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    cr_expect_eq(now().batches - before.batches, 1);
    cr_expect_eq(now().synced, before.synced);
}

/* -- Trouble ------------------------------------------------------------------------------- */

static void put_body(uint32_t i, uint8_t flip)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[2048];
    size_t len = weft_buf_len(dag->bufs[i]);
    wf_batch *batch;
    memcpy(body, weft_buf_bytes(dag->bufs[i]), len);
    body[len / 2] ^= flip;
    wf_key_seq(key, 1, i + 1);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(stats, a_damaged_body_is_counted_until_it_is_healed)
{
    weft_buf *buf = NULL;
    cr_assert_eq(commit(0, 10), WEFT_OK);
    put_body(7, 1);
    cr_expect_eq(now().damaged, 0, "nobody has looked yet");
    cr_assert_eq(wf_store_get(node.store, &dag->ids[7], &buf), WEFT_CORRUPT);
    cr_expect_eq(now().damaged, 1);
    cr_expect_eq(now().healed, 0);
    receive(7, 1, true);
    cr_expect_eq(now().damaged, 0);
    cr_expect_eq(now().healed, 1);
}

Test(stats, each_time_that_writes_were_refused_is_an_outage)
{
    cr_assert_eq(commit(0, 5), WEFT_OK);
    for (uint32_t i = 1; i <= 2; i++) {
        wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
        cr_assert_eq(commit(5 * i, 5), WEFT_IO);
        cr_expect_eq(now().outages, i);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        sk_node_settle(&node);
        cr_assert_eq(commit(5 * i, 5), WEFT_OK);
    }
    cr_expect_eq(now().outages, 2);
}

/* -- Waiting ------------------------------------------------------------------------------- */

Test(stats, entries_without_their_parents_are_pending_with_their_bytes)
{
    cr_assert_eq(commit(0, 5), WEFT_OK);
    receive(8, 2, true);
    weft_store_stats stats = now();
    cr_expect_eq(stats.pending, 2);
    cr_expect_geq(stats.pending_bytes, weft_buf_len(dag->bufs[8]) + weft_buf_len(dag->bufs[9]));
    cr_assert_eq(commit(5, 3), WEFT_OK);
    cr_expect_eq(now().pending, 0, "they were stored");
    cr_expect_eq(now().pending_bytes, 0);
}

/* -- What readers hold --------------------------------------------------------------------- */

Test(stats, iterators_snapshots_and_values_are_told_apart)
{
    wf_kv_iter *it[2];
    wf_kv_snapshot *snap;
    wf_value value;
    cr_assert_eq(commit(0, 5), WEFT_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(wf_kv_iter_create(node.kv, NULL, WF_CF_GEN, NULL, 0, &it[i]), WEFT_OK);
    cr_assert_eq(wf_kv_snapshot_create(node.kv, &snap), WEFT_OK);
    cr_assert_eq(wf_kv_get(node.kv, NULL, WF_CF_META, dag->ids[2].bytes, 32, &value), WEFT_OK);
    weft_store_stats stats = now();
    cr_expect_eq(stats.iterators, 2);
    cr_expect_eq(stats.snapshots, 1);
    cr_expect_eq(stats.values, 1);
    wf_value_release(node.kv, &value);
    wf_kv_snapshot_destroy(node.kv, snap);
    for (int i = 0; i < 2; i++) wf_kv_iter_destroy(it[i]);
    stats = now();
    cr_expect_eq(stats.iterators + stats.snapshots + stats.values, 0);
}

Test(stats, iterators_that_a_crash_took_away_count_no_more)
{
    wf_kv_iter *it;
    cr_assert_eq(commit(0, 5), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, WF_CF_GEN, NULL, 0, &it), WEFT_OK);
    wf_kv_memory_crash(node.kv, 0);
    cr_expect_eq(now().iterators, 0);
    wf_kv_iter_destroy(it);
    cr_expect_eq(now().iterators, 0);
}

/* -- Memory --------------------------------------------------------------------------------- */

Test(stats, memory_grows_with_what_is_kept_and_the_sum_has_all)
{
    weft_key readers[64];
    weft_store_stats before = now();
    cr_assert_eq(commit(0, ENTRIES), WEFT_OK);
    weft_store_stats after = now();
    cr_expect_gt(after.writer_bytes, before.writer_bytes);
    cr_expect_gt(after.memtable_bytes, before.memtable_bytes);
    cr_expect_gt(after.tree_bytes, before.tree_bytes);
    cr_expect_eq(before.reader_bytes, 0);
    cr_expect_gt(after.reader_bytes, 0);
    for (uint32_t i = 0; i < 64; i++) memset(&readers[i], (int)i, sizeof readers[i]);
    before = now();
    cr_assert_eq(sk_follow(&node, &dag->tree, true, readers, 64), WEFT_OK);
    cr_expect_eq(now().tree_bytes - before.tree_bytes, sizeof readers);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, readers, 1), WEFT_OK);
    receive(38, 2, true); /* known: nothing waits */
    after = now();
    cr_expect_eq(after.tree_bytes - before.tree_bytes, sizeof readers[0]);
    cr_expect_eq(after.memory_bytes, after.cache_bytes + after.memtable_bytes + after.writer_bytes +
                                         after.reader_bytes + after.tree_bytes +
                                         after.pending_bytes);
}

Test(stats, readers_are_counted_when_a_store_is_opened)
{
    weft_key readers[8] = {{{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{6}}, {{7}}, {{8}}};
    cr_assert_eq(commit(0, 5), WEFT_OK);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, readers, 8), WEFT_OK);
    uint64_t before = now().tree_bytes;
    sk_node_crash(&node, SIZE_MAX);
    cr_expect_eq(now().tree_bytes, before);
}

Test(stats, a_store_on_disk_has_a_cache_and_files_and_tells_of_its_levels)
{
    char dir[64], text[65536];
    wf_kv_stats stats;
    kk_dir_create(dir);
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    kk_put(kv, WF_CF_META, "key", "value", true);
    wf_kv_stats_read(kv, &stats);
    cr_expect_gt(stats.memtable_bytes, 0);
    cr_expect_gt(stats.disk_bytes, 0);
    cr_expect_eq(stats.cache_bytes + stats.memtable_bytes, wf_kv_memory(kv));
    size_t len = wf_kv_text(kv, text, sizeof text);
    cr_expect(len > 0 && len < sizeof text && strlen(text) == len);
    cr_expect_not_null(strstr(text, "Compaction"));
    cr_expect_eq(wf_kv_text(kv, text, 11), len, "the length of the whole");
    cr_expect_eq(strlen(text), 10);
    wf_kv_close(kv);
    kv = kk_open(&kk_rocksdb, dir);
    cr_expect_str_eq(kk_get(kv, NULL, WF_CF_META, "key"), "value");
    wf_kv_stats_read(kv, &stats);
    cr_expect_gt(stats.cache_bytes, 0, "the block that was read");
    wf_kv_close(kv);
    kk_dir_remove(dir);
}

/* -- Text ----------------------------------------------------------------------------------- */

Test(stats, each_figure_has_its_line_for_prometheus)
{
    char text[16384];
    weft_store_stats stats = {.entries = 7,
                              .write_ns = UINT64_C(12000000345),
                              .sync_ns_mean = 5,
                              .outages = 3,
                              .memory_bytes = UINT64_MAX};
    size_t len = wf_store_stats_text(&stats, text, sizeof text);
    cr_assert_eq(len, strlen(text));
    cr_expect_not_null(strstr(text, "\n# TYPE weft_store_entries_total counter\n"));
    cr_expect_not_null(strstr(text, "\nweft_store_entries_total 7\n"));
    cr_expect_not_null(strstr(text, "\nweft_store_write_seconds_total 12.000000345\n"));
    cr_expect_not_null(strstr(text, "\nweft_store_sync_seconds_mean 0.000000005\n"));
    cr_expect_not_null(strstr(text, "\nweft_store_outages_total 3\n"));
    cr_expect_not_null(strstr(text, "\nweft_store_memory_bytes 18446744073709551615\n"));
    cr_expect_eq(wf_store_stats_text(&stats, text, 9), len);
    cr_expect_str_eq(text, "# HELP w");
    cr_expect_eq(wf_store_stats_text(&stats, NULL, 0), len);
}
