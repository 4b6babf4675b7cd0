/* SPDX-License-Identifier: Apache-2.0
 * test_removal_hard.c - a tree leaves a store whose disk is nearly full, fails, or has damaged what
 * is to go.
 * Called by: meson test. May touch: the store actor, engines, a volume of its own.
 * Never: a real thread. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kv_faulty.h"
#include "kv_kit.h"
#include "removal.h"
#include "removal_kit.h"
#include "salvage.h"
#include "shelf.h"
#include "store_kit.h"
#include "writer.h"

enum { COUNT = 14 };

static weft_keypair *author;
static sk_node node; /* in some tests it only lends its runtime */
static sk_dag *dag, *other, *kept;

static void setup(void)
{
    kk_setup();
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, COUNT, author, 3);
    other = sk_dag_create(SK_WIDE, COUNT, author, 4);
    kept = sk_dag_create(SK_CHAIN, COUNT, author, 5);
    sk_node_open(&node, 1);
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(dag);
    sk_dag_destroy(other);
    sk_dag_destroy(kept);
    weft_keypair_destroy(author);
    kk_teardown();
}

TestSuite(removal_hard, .init = setup, .fini = teardown);

static weft_err ask_removal(const weft_id *tree)
{
    struct wf_remove *remove = wf_remove_create(tree);
    weft_request *back = NULL;
    weft_err err = weft_call(node.addr, &remove->req, WEFT_NEVER, &back, NULL);
    weft_drop(&back->msg);
    return err;
}

static void wait_long(void) { wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 130 * WEFT_SEC); }

static weft_err commit(const sk_dag *of, uint32_t from, uint32_t count)
{
    return sk_commit(&node, of->bufs + from, of->ids + from, count, true, NULL);
}

/* -- A disk that is nearly full ------------------------------------------------------------- */

Test(removal_hard, a_nearly_full_disk_lets_a_tree_go_and_all_of_its_rows)
{
    cr_assert_eq(commit(dag, 0, COUNT), WEFT_OK);
    cr_assert_eq(commit(kept, 0, 5), WEFT_OK);
    wf_kv_memory_full(node.kv, true);
    cr_assert_eq(commit(kept, 5, 1), WEFT_NO_SPACE);
    cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
    sk_node_settle(&node);
    cr_expect(rm_is_gone(node.kv, 1));
    cr_expect_eq(commit(kept, 5, 1), WEFT_NO_SPACE, "which is for those who take room");
    wf_kv_memory_full(node.kv, false);
    cr_expect_eq(commit(kept, 5, COUNT - 5), WEFT_OK);
    sk_expect_dag(node.store, kept, NULL);
    sk_expect_clean(node.store);
}

/* What waits in the open batch is refused, and does not take the removal with it. */
Test(removal_hard, what_is_refused_before_it_does_not_refuse_it)
{
    cr_assert_eq(commit(dag, 0, 6), WEFT_OK);
    wf_kv_memory_full(node.kv, true);
    sk_send(&node, sk_frame(&node, 9, 1, &dag->tree, dag->bufs + 6, dag->ids + 6, 1));
    cr_expect_eq(ask_removal(&dag->tree), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 1);
    cr_expect_eq(node.sink.results[0]->err, WEFT_NO_SPACE);
    cr_expect(rm_is_gone(node.kv, 1));
    sk_expect_clean(node.store);
}

/* A disk without any room fails the write itself, of which nobody knows then what is there. */
Test(removal_hard, a_disk_that_is_full_leaves_the_tree_or_takes_it_and_writes_go_on)
{
    uint32_t here = 0;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        wf_tree_info info;
        sk_node_close(&node);
        sk_node_open(&node, nth);
        cr_assert_eq(commit(dag, 0, COUNT), WEFT_OK);
        wf_kv_memory_fail_at(node.kv, nth, WEFT_NO_SPACE, true);
        weft_err err = ask_removal(&dag->tree);
        cr_expect_eq(err, nth == 1 ? WEFT_NO_SPACE : WEFT_OK);
        sk_node_settle(&node);
        if (nth % 2) wf_kv_memory_crash(node.kv, 0); /* what failed is not there */
        else wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        wait_long();
        if (wf_store_tree(node.store, &dag->tree, &info) == WEFT_OK) {
            cr_expect_eq(nth, 1, "what was answered holds");
            sk_expect_dag(node.store, dag, NULL);
            here++;
        } else {
            cr_expect(rm_is_gone(node.kv, 1), "write %llu", (unsigned long long)nth);
        }
        cr_expect_eq(commit(kept, 0, COUNT), WEFT_OK);
        sk_expect_clean(node.store);
    }
    cr_expect_eq(here, 1);
}

/* Slices are not synced: those that the disk did not keep have to be deleted once more, though the
 * deletion had come further. */
Test(removal_hard, slices_that_a_failed_disk_forgot_are_deleted_again)
{
    for (uint64_t nth = 3; nth <= 9; nth += 2) {
        sk_node_close(&node);
        sk_node_open(&node, nth);
        cr_assert_eq(commit(dag, 0, COUNT), WEFT_OK);
        cr_assert_eq(commit(kept, 0, COUNT), WEFT_OK);
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        cr_assert_eq(ask_removal(&dag->tree), WEFT_OK);
        sk_node_settle(&node);
        cr_assert_gt(wf_kv_memory_unsynced(node.kv), 0);
        wf_kv_memory_crash(node.kv, 0);
        wait_long();
        cr_expect(rm_is_gone(node.kv, 1), "%llu rows are left",
                  (unsigned long long)rm_rows_of(node.kv, 1).count);
        sk_expect_clean(node.store);
        sk_expect_dag(node.store, kept, NULL);
    }
}

/* -- A small volume ---------------------------------------------------------------------------- */

enum { BIG = 150, BODY_BYTES = 48 << 10, VOLUME_MIB = 64, FLOOR_MIB = VOLUME_MIB / 4 };

static wf_store *store;
static char at[96];
static int ballast;

static void mount_volume(void)
{
    cr_assert_eq(mkdir(kk_dir, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", kk_dir, "tmpfs", 0, "size=64m") != 0)
        cr_skip_test("no mounts here");
    snprintf(at, sizeof at, "%s/ballast", kk_dir);
    ballast = open(at, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(ballast, 0);
    snprintf(at, sizeof at, "%s/store", kk_dir);
}

static uint64_t free_kib(void)
{
    struct statvfs info;
    cr_assert_eq(fstatvfs(ballast, &info), 0);
    return info.f_bavail * info.f_frsize >> 10;
}

static void leave_room(uint64_t kib)
{
    off_t held = lseek(ballast, 0, SEEK_END), grow = (off_t)(free_kib() << 10) - (off_t)(kib << 10);
    if (grow < 0) cr_assert_eq(ftruncate(ballast, held + grow), 0);
    else cr_assert_eq(posix_fallocate(ballast, held, grow), 0);
}

static weft_err end_batch(void)
{
    weft_err err = wf_writer_flush(store, true);
    wf_writer_clear(store);
    return err;
}

static weft_err put(const sk_dag *of, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct wf_add add = {.holder = of->bufs[i],
                             .bytes = weft_buf_bytes(of->bufs[i]),
                             .len = (uint32_t)weft_buf_len(of->bufs[i]),
                             .id = of->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    }
    return end_batch();
}

static weft_id put_big(void)
{
    static uint8_t payload[BODY_BYTES];
    weft_id root, last;
    weft_buf *buf = sk_root(author, 9, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_WRITE, &root);
    last = root;
    for (uint32_t i = 0; i < BIG; i++) {
        struct wf_add add = {.holder = buf,
                             .bytes = weft_buf_bytes(buf),
                             .len = (uint32_t)weft_buf_len(buf),
                             .id = last,
                             .create_tree = true};
        kit_random r = {i + 1};
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
        if (i % 8 == 7) cr_assert_eq(end_batch(), WEFT_OK);
        weft_buf_unref(buf);
        kit_fill(&r, payload, sizeof payload);
        sk_entry spec = {.tree = root,
                         .parents = &(weft_id){{0}},
                         .parents_count = 1,
                         .height = i + 1,
                         .payload = payload,
                         .payload_len = sizeof payload};
        const weft_id parent = last;
        spec.parents = &parent;
        buf = sk_build(&spec, author, &last);
    }
    weft_buf_unref(buf);
    cr_assert_eq(end_batch(), WEFT_OK);
    return root;
}

static weft_err take_out(const weft_id *tree)
{
    struct wf_remove *remove = wf_remove_create(tree);
    weft_err err = wf_writer_remove(store, remove);
    if (err == WEFT_OK) err = end_batch();
    weft_drop(&remove->req.msg);
    return err;
}

static void reap(void)
{
    struct wf_removal removal = {0};
    for (bool more = true; more;)
        cr_assert_eq(wf_removal_step(store, &removal, 512, &more), WEFT_OK);
    wf_removal_fini(&removal);
}

static void write_row(wf_kv *kv, enum wf_cf cf, const void *key, size_t key_len, const void *value,
                      size_t len)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (value == NULL) wf_batch_delete(batch, cf, key, key_len);
    else wf_batch_put(batch, cf, key, key_len, value, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* In the room of its floor the engine deletes, and then there is room for others. */
static void makes_room(const struct kk_engine *engine)
{
    wf_tree_info info;
    kk_need(engine);
    mount_volume();
    cr_assert_eq(wf_store_open(kk_open(engine, at), node.rt, &store), WEFT_OK);
    const weft_id big = put_big();
    cr_assert_eq(put(kept, 0, 4), WEFT_OK);
    wf_store_close(store); /* all of it is in tables */
    cr_assert_eq(wf_store_open(kk_open(engine, at), node.rt, &store), WEFT_OK);
    wf_removal_reclaim(wf_store_kv(store), 1); /* nothing is moved later */
    leave_room((FLOOR_MIB / 2 << 10) - 64);
    cr_expect_eq(take_out(&big), WEFT_NO_SPACE, "half of the floor is kept from all");
    cr_expect_eq(wf_store_tree(store, &big, &info), WEFT_OK, "and it is here as before");
    leave_room((FLOOR_MIB - 2) << 10);
    cr_assert_eq(put(kept, 4, 5), WEFT_NO_SPACE);
    cr_assert_eq(take_out(&big), WEFT_OK);
    reap();
    cr_expect(rm_is_gone(wf_store_kv(store), 1));
    if (wf_kv_keeps_room(wf_store_kv(store))) wf_removal_reclaim(wf_store_kv(store), 1);
    else leave_room((FLOOR_MIB + 1) << 10); /* LMDB's own file does not shrink, it is used again */
    cr_expect_eq(put(kept, 4, COUNT), WEFT_OK, "%lu KiB are free", (unsigned long)free_kib());
    sk_expect_dag(store, kept, NULL);
    sk_expect_clean(store);
    wf_store_close(store);
}

Test(removal_hard, room_is_made_on_a_nearly_full_volume_of_rocksdb) { makes_room(&kk_rocksdb); }

Test(removal_hard, room_is_made_on_a_nearly_full_volume_of_lmdb) { makes_room(&kk_lmdb); }

/* A log stays while any family has something in memory that only the log has. */
Test(removal_hard, room_is_made_of_the_logs_of_rocksdb)
{
    enum { ROWS = 48, ROW_BYTES = 64 << 10 };
    static uint8_t value[ROW_BYTES];
    const wf_kv_disk_options options = {
        .engine = WF_ENGINE_ROCKSDB, .create = true, .memory_bytes = 96 << 20};
    wf_kv *kv;
    kk_need(&kk_rocksdb);
    mount_volume();
    cr_assert_eq(wf_kv_disk_open(at, &options, &kv), WEFT_OK);
    kk_put(kv, WF_CF_META, "of another tree", "1", true);
    for (uint32_t deletes = 0; deletes <= 1; deletes++)
        for (uint64_t i = 0; i < ROWS; i++) {
            uint8_t key[WF_KEY_SEQ_BYTES];
            wf_key_seq(key, 1, i);
            write_row(kv, WF_CF_ENTRY, key, sizeof key, deletes ? NULL : value, sizeof value);
        }
    leave_room((FLOOR_MIB - 2) << 10);
    const uint64_t before = free_kib();
    /* The engine's own threads may be late with the files. */
    for (uint32_t i = 0; i < 500 && free_kib() <= before + 2048; i++) wf_removal_reclaim(kv, 1);
    cr_expect_gt(free_kib(), before + 2048);
    cr_expect_str_eq(kk_get(kv, NULL, WF_CF_META, "of another tree"), "1");
    wf_kv_close(kv);
}

/* -- Damage ------------------------------------------------------------------------------------ */

static wf_kv *faulty;

static void open_damaged(void)
{
    wf_kv *inner;
    cr_assert_eq(wf_kv_memory_open(&inner), WEFT_OK);
    faulty = kv_faulty_create(inner);
    cr_assert_eq(wf_store_open(faulty, node.rt, &store), WEFT_OK);
    cr_assert_eq(put(dag, 0, COUNT), WEFT_OK);
    cr_assert_eq(put(other, 0, COUNT), WEFT_OK);
    cr_assert_eq(put(kept, 0, COUNT), WEFT_OK);
    cr_assert_eq(take_out(&dag->tree), WEFT_OK);
    cr_assert_eq(take_out(&other->tree), WEFT_OK);
}

/* Whatever cannot be read of one, the other one goes; and the next opening finds the rest. */
Test(removal_hard, a_damaged_tree_does_not_keep_another_one_from_going)
{
    uint32_t stuck = 0;
    for (uint64_t nth = 1;; nth++) {
        open_damaged();
        kv_faulty_fail_at(faulty, nth, WEFT_CORRUPT);
        reap();
        bool met = kv_faulty_met(faulty);
        kv_faulty_fail_at(faulty, 0, WEFT_OK);
        uint32_t gone = rm_is_gone(faulty, 1) + rm_is_gone(faulty, 2);
        cr_assert_eq(gone, met ? 1 : 2, "read %llu", (unsigned long long)nth);
        if (met) cr_assert_not_null(strstr(kk_last_line, "is damaged"), "it is told");
        sk_expect_clean(store);
        stuck += met;
        cr_assert_eq(wf_store_detach(store), faulty);
        cr_assert_eq(wf_store_open(faulty, node.rt, &store), WEFT_OK);
        cr_assert_neq(wf_removal_is_due(store), gone == 2);
        reap();
        cr_assert(rm_is_gone(faulty, 1) && rm_is_gone(faulty, 2));
        sk_expect_dag(store, kept, NULL);
        sk_expect_clean(store);
        wf_store_close(store);
        if (!met) break;
    }
    cr_expect_geq(stuck, 40);
}

Test(removal_hard, a_check_says_what_keeps_a_tree_from_going)
{
    wf_check_report report;
    open_damaged();
    write_row(faulty, WF_CF_META, dag->ids[3].bytes, WEFT_ID_BYTES, "?", 1);
    cr_assert_eq(wf_store_check(store, false, &report), WEFT_OK);
    cr_expect_geq(report.bad_indexes, 1);
    reap();
    cr_expect_not(rm_is_gone(faulty, 1), "nobody knows whether that row is its");
    cr_expect(rm_is_gone(faulty, 2));
    wf_store_close(store);
}

/* -- A salvage --------------------------------------------------------------------------------- */

static void expect_only_kept(wf_kv *to, uint64_t t)
{
    wf_store *saved;
    wf_tree_info info;
    cr_assert_eq(wf_store_open(to, node.rt, &saved), WEFT_OK);
    cr_expect_eq(wf_store_tree(saved, &dag->tree, &info), WEFT_NOT_FOUND, "%llu",
                 (unsigned long long)t);
    cr_expect_eq(wf_store_tree(saved, &other->tree, &info), WEFT_NOT_FOUND);
    sk_expect_dag(saved, kept, NULL);
    wf_store_close(saved);
}

/* Either row that says so may be lost, in the middle of the deletion, too. */
Test(removal_hard, a_salvage_does_not_bring_a_tree_back_whose_row_is_lost)
{
    wf_salvage_report report;
    for (uint32_t lost = 0; lost < 2; lost++) {
        uint8_t key[WF_KEY_TREE_BYTES];
        wf_kv *to;
        struct wf_removal removal = {0};
        bool more;
        open_damaged();
        for (uint32_t i = 0; i < 3 * lost; i++)
            cr_assert_eq(wf_removal_step(store, &removal, 8, &more), WEFT_OK);
        wf_removal_fini(&removal);
        wf_key_tree(key, WF_TREE_REMOVED, 1);
        if (lost == 1) wf_key_removed(key, 1);
        write_row(faulty, lost == 0 ? WF_CF_TREE : WF_CF_PEER, key, sizeof key, NULL, 0);
        cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
        cr_assert_eq(wf_salvage(faulty, to, node.rt, NULL, &report), WEFT_OK);
        cr_expect_eq(report.kept, COUNT);
        cr_expect_eq(report.shelved, 0);
        expect_only_kept(to, lost);
        wf_store_close(store);
    }
}

Test(removal_hard, a_salvage_brings_no_tree_back_for_one_row_that_it_cannot_read)
{
    wf_salvage_report report;
    open_damaged();
    for (uint64_t nth = 1;; nth++) {
        wf_kv *to;
        wf_store *saved;
        wf_tree_info info;
        cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
        kv_faulty_fail_at(faulty, nth, WEFT_CORRUPT);
        cr_assert_eq(wf_salvage(faulty, to, node.rt, NULL, &report), WEFT_OK);
        bool met = kv_faulty_met(faulty);
        kv_faulty_fail_at(faulty, 0, WEFT_OK);
        cr_assert_eq(wf_store_open(to, node.rt, &saved), WEFT_OK);
        cr_assert_eq(wf_store_tree(saved, &dag->tree, &info), WEFT_NOT_FOUND, "read %llu",
                     (unsigned long long)nth);
        cr_assert_eq(wf_store_tree(saved, &other->tree, &info), WEFT_NOT_FOUND);
        wf_store_close(saved);
        if (!met) break;
    }
    wf_store_close(store);
}

/* -- A batch that takes its tree along ----------------------------------------------------------- */

/* Two entries on the shelf that wait for the root, with bytes that are not theirs. */
static void put_bad_on_shelf(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        weft_id id;
        uint8_t key[WF_KEY_SHELF_BYTES], value[512];
        sk_entry spec = {
            .tree = dag->tree, .parents = dag->ids, .parents_count = 1, .height = 1 + i};
        weft_buf *buf = sk_build(&spec, author, &id);
        struct wf_add add = {
            .bytes = weft_buf_bytes(buf), .len = (uint32_t)weft_buf_len(buf), .id = id};
        wf_value row;
        cr_assert_eq(wf_shelf_put(node.store, &add), WEFT_OK);
        cr_assert_eq(wf_writer_flush(node.store, true), WEFT_OK);
        wf_writer_clear(node.store);
        wf_key_shelf(key, &dag->tree, &id);
        cr_assert_eq(wf_kv_get(node.kv, NULL, WF_CF_ENTRY, key, sizeof key, &row), WEFT_OK);
        const size_t len = row.len;
        cr_assert(len > 0 && len <= sizeof value);
        memcpy(value, row.data, len);
        value[len - 1] ^= 1;
        wf_value_release(node.kv, &row);
        write_row(node.kv, WF_CF_ENTRY, key, sizeof key, value, len);
        weft_buf_unref(buf);
    }
    sk_node_crash(&node, 0);
}

/* Its root is in the open batch, which is written to drop the first of the two, and refused: the
 * tree is not there any more when the second would be looked at. */
Test(removal_hard, a_dropped_entry_of_the_shelf_may_take_its_tree_along)
{
    put_bad_on_shelf();
    wf_kv_memory_full(node.kv, true);
    cr_assert_eq(commit(dag, 0, 1), WEFT_NO_SPACE);
    cr_assert_eq(sk_count(&node, &dag->tree), 0);
    wf_kv_memory_full(node.kv, false);
    wait_long();
    cr_assert_eq(commit(dag, 0, COUNT), WEFT_OK);
    sk_node_settle(&node);
    sk_expect_dag(node.store, dag, NULL);
}

struct beginning {
    struct wf_follow *follow;
    struct wf_ingest *frame;
};

static void begin(weft_self *self, void *arg)
{
    struct beginning *both = arg;
    sk_ask(&node, self, &both->follow->req);
    cr_assert_eq(weft_send(node.addr, &both->frame->msg), WEFT_OK);
}

/* The same where the tree is followed in the batch that a frame's root is added to. */
Test(removal_hard, a_frame_may_lose_its_tree_with_the_batch)
{
    put_bad_on_shelf();
    struct beginning both = {wf_follow_create(&dag->tree, NULL, 0),
                             sk_frame(&node, 5, 1, &dag->tree, dag->bufs, dag->ids, 1)};
    both.follow->follow = true;
    both.frame->has_mark = true;
    both.frame->mark.seq = 1;
    wf_kv_memory_full(node.kv, true);
    sk_node_do(&node, begin, &both);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 1);
    cr_expect_eq(node.sink.results[0]->err, WEFT_NO_SPACE);
    cr_expect_eq(node.sink.results[0]->tree_seq, 0);
    wf_kv_memory_full(node.kv, false);
    wait_long();
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    struct wf_ingest *frame = sk_frame(&node, 6, 1, &dag->tree, dag->bufs, dag->ids, COUNT);
    cr_expect_eq(sk_ingest(&node, frame)->stored, COUNT);
}
