/* SPDX-License-Identifier: Apache-2.0
 * test_removal_disk.c - what every engine must give when a tree leaves: all of its rows and no
 * other, its room on the disk, and a half-way state that an opening, a copy and a renewal bear.
 * Called by: meson test. May touch: a directory of its own. Never: an actor. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "kv_kit.h"
#include "removal.h"
#include "removal_kit.h"
#include "renew_files.h"
#include "store_kit.h"
#include "writer.h"

enum { GOING = 160, KEPT = 40, BODY_BYTES = 48 << 10 };

static const struct kk_engine *under;
static weft_keypair *author;
static sk_node node; /* lends its runtime */
static sk_dag *kept;
static weft_id going_tree, going_ids[3 * GOING];
static struct rm_rows kept_rows, others;
static wf_store *store;
static struct wf_removal removal;

static void setup(void)
{
    kk_setup();
    author = kit_pair(1);
    kept = sk_dag_create(SK_MERGES, KEPT, author, 4);
    sk_node_open(&node, 1);
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(kept);
    weft_keypair_destroy(author);
    kk_teardown();
}

TestSuite(removal_memory, .init = setup, .fini = teardown);
TestSuite(removal_rocksdb, .init = setup, .fini = teardown);
TestSuite(removal_lmdb, .init = setup, .fini = teardown);

static void run(const struct kk_engine *engine, void (*claim)(void))
{
    under = engine;
    kk_need(engine);
    claim();
}

#define ON_DISK(name)                                       \
    static void name(void);                                 \
    Test(removal_rocksdb, name) { run(&kk_rocksdb, name); } \
    Test(removal_lmdb, name) { run(&kk_lmdb, name); }       \
    static void name(void)
#define EVERYWHERE(name)                                    \
    static void name(void);                                 \
    Test(removal_memory, name) { run(&kk_memory, name); }   \
    Test(removal_rocksdb, name) { run(&kk_rocksdb, name); } \
    Test(removal_lmdb, name) { run(&kk_lmdb, name); }       \
    static void name(void)

/* -- A store of two trees, by turns ----------------------------------------------------- */

static void open_store(const char *dir)
{
    cr_assert_eq(wf_store_open(kk_open(under, dir), node.rt, &store), WEFT_OK);
}

static void put(const weft_id *id, weft_buf *buf)
{
    struct wf_add add = {.holder = buf,
                         .bytes = weft_buf_bytes(buf),
                         .len = (uint32_t)weft_buf_len(buf),
                         .id = *id,
                         .create_tree = true};
    weft_err err = wf_writer_add(store, &add);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
}

static void write(bool sync)
{
    cr_assert_eq(wf_writer_flush(store, sync), WEFT_OK);
    wf_writer_clear(store);
}

static void put_going(uint32_t i)
{
    static uint8_t payload[BODY_BYTES];
    kit_random r = {i + 1};
    kit_fill(&r, payload, sizeof payload);
    weft_buf *buf;
    if (i == 0) {
        buf = sk_root(author, 9, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_WRITE, &going_ids[0]);
        going_tree = going_ids[0];
    } else {
        sk_entry spec = {.tree = going_tree,
                         .parents = &going_ids[i - 1],
                         .parents_count = 1,
                         .height = i,
                         .payload = payload,
                         .payload_len = sizeof payload};
        buf = sk_build(&spec, author, &going_ids[i]);
    }
    put(&going_ids[i], buf);
    weft_buf_unref(buf);
}

static void fill(void)
{
    const weft_key peer = {{3}};
    const wf_mark mark = {.seq = 1};
    open_store(kk_dir);
    for (uint32_t i = 0; i < GOING; i++) {
        put_going(i);
        if (i % 4 == 0) put(&kept->ids[i / 4], kept->bufs[i / 4]);
        if (i % 16 == 15) write(false);
    }
    for (uint64_t t = 1; t <= 2; t++)
        cr_assert_eq(wf_writer_cursor(store, &peer, t, &mark), WEFT_OK);
    write(true);
    kept_rows = rm_rows_of(wf_store_kv(store), 2);
    others = rm_rows_of(wf_store_kv(store), 0);
}

static void reopen(void)
{
    if (!under->on_disk) return;
    wf_store_close(store);
    wf_removal_fini(&removal);
    open_store(kk_dir);
}

static void take_out(void)
{
    struct wf_remove *remove = wf_remove_create(&going_tree);
    cr_assert_eq(wf_writer_remove(store, remove), WEFT_OK);
    write(true);
    weft_drop(&remove->req.msg);
}

static bool step(uint32_t keys)
{
    bool more = false;
    cr_assert_eq(wf_removal_step(store, &removal, keys, &more), WEFT_OK);
    return more;
}

static void expect_kept(void)
{
    struct rm_rows now = rm_rows_of(wf_store_kv(store), 2),
                   rest = rm_rows_of(wf_store_kv(store), 0);
    cr_expect(rm_same(&now, &kept_rows), "another tree has other rows than before");
    cr_expect(rm_same(&rest, &others), "records or policies have changed");
    sk_expect_dag(store, kept, NULL);
}

static void expect_sound(void)
{
    wf_tree_info info;
    wf_meta_brief brief;
    cr_expect_eq(wf_store_tree(store, &going_tree, &info), WEFT_NOT_FOUND);
    for (uint32_t i = 0; i < GOING; i++)
        cr_expect_eq(wf_store_meta_brief(store, &going_ids[i], &brief), WEFT_NOT_FOUND);
    expect_kept();
    sk_expect_clean(store);
}

/* -- Claims -------------------------------------------------------------------------------- */

EVERYWHERE(all_rows_of_the_tree_go_and_no_other)
{
    fill();
    take_out();
    while (step(512)) continue;
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    expect_sound();
    reopen();
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    expect_sound();
    wf_removal_fini(&removal);
    wf_store_close(store);
}

ON_DISK(each_opening_goes_on_where_the_last_one_was)
{
    bool more = true;
    fill();
    take_out();
    for (uint32_t i = 0; more; i++) {
        if (i % 16 == 15) { /* it begins again with what is left */
            expect_sound();
            reopen();
        }
        more = step(200);
        cr_assert_lt(i, 100);
    }
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    reopen();
    expect_sound();
    wf_removal_fini(&removal);
    wf_store_close(store);
}

static uint64_t disk_bytes(void)
{
    wf_kv_stats stats;
    wf_kv_stats_read(wf_store_kv(store), &stats);
    return stats.disk_bytes;
}

/* RocksDB gives it back to the disk, LMDB uses it again. */
ON_DISK(the_room_comes_back)
{
    fill();
    reopen(); /* all of it is in tables */
    const uint64_t before = disk_bytes();
    cr_assert_gt(before, (uint64_t)GOING * BODY_BYTES);
    take_out();
    while (step(512)) continue;
    cr_assert_eq(removal.done, 1);
    if (wf_kv_keeps_room(wf_store_kv(store))) {
        wf_removal_reclaim(wf_store_kv(store), 1);
        expect_sound();
        reopen();
        cr_expect_lt(disk_bytes(), before / 4);
    } else {
        for (uint32_t i = 0; i < GOING; i++) {
            put_going(i);
            if (i % 16 == 15) write(false);
        }
        write(true);
        cr_expect_lt(disk_bytes(), before + before / 4);
        expect_kept();
    }
    wf_removal_fini(&removal);
    wf_store_close(store);
}

/* What a compaction has sorted goes by whole files, unread. */
Test(removal_rocksdb, files_that_nobody_shares_go_before_the_first_slice)
{
    under = &kk_rocksdb;
    fill();
    for (uint32_t i = GOING; i < 3 * GOING; i++) { /* more than one file holds */
        put_going(i);
        if (i % 16 == 15) write(false);
    }
    reopen();
    wf_removal_reclaim(wf_store_kv(store), 1);
    const uint64_t before = disk_bytes();
    cr_assert_gt(before, (uint64_t)GOING * BODY_BYTES);
    take_out();
    cr_assert(step(512));
    cr_expect_lt(disk_bytes(), before / 2);
    expect_sound();
    while (step(512)) continue;
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    reopen();
    expect_sound();
    wf_removal_fini(&removal);
    wf_store_close(store);
}

/* -- Copies -------------------------------------------------------------------------------- */

static void finish_and_judge(void)
{
    while (step(512)) continue;
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    expect_sound();
    wf_removal_fini(&removal);
    wf_store_close(store);
}

ON_DISK(a_checkpoint_in_the_middle_goes_on_by_itself)
{
    char copy[80];
    fill();
    take_out();
    for (uint32_t i = 0; i < 3; i++) (void)step(40);
    snprintf(copy, sizeof copy, "%s.copy", kk_dir);
    cr_assert_eq(wf_kv_checkpoint(wf_store_kv(store), copy), WEFT_OK);
    finish_and_judge();
    wf_kv *kv = kk_open(under, copy);
    cr_assert_eq(wf_copy_mark(kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    kept_rows = rm_rows_of(kv, 2); /* its epoch is a new one */
    finish_and_judge();
    kk_dir_remove(copy);
}

/* Row by row, and what is left of the tree is missed by nobody. */
Test(removal_rocksdb, a_renewal_in_the_middle_misses_nothing_of_what_goes)
{
    char to[80];
    uint64_t missing = 1;
    wf_kv *fresh;
    under = &kk_rocksdb;
    fill();
    take_out();
    for (uint32_t i = 0; i < 3; i++) (void)step(40); /* some bodies have no arrival any more */
    wf_batch *batch;
    uint8_t key[WF_KEY_SEQ_BYTES];
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_key_seq(key, 1, GOING - 1); /* and one that has is lost */
    wf_batch_delete(batch, WF_CF_ENTRY, key, sizeof key);
    cr_assert_eq(wf_kv_write(wf_store_kv(store), batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    snprintf(to, sizeof to, "%s.fresh", kk_dir);
    cr_assert_eq(kk_try(under, to, true, false, &fresh), WEFT_OK);
    cr_assert_eq(wf_renew_copy(wf_store_kv(store), fresh, node.rt, &missing, NULL, NULL), WEFT_OK);
    cr_expect_eq(missing, 0);
    wf_store_close(store);
    wf_removal_fini(&removal);
    cr_assert_eq(wf_store_open(fresh, node.rt, &store), WEFT_OK);
    expect_sound();
    finish_and_judge();
    kk_dir_remove(to);
}
