/* SPDX-License-Identifier: Apache-2.0
 * test_renew.c - a damaged store becomes a new one in its place: nothing that can be read is lost,
 * what is lost is known by name, and no interruption leaves half of each.
 * Called by: meson test. May touch: a directory of its own, bytes of the files in it.
 * Never: the rooms of a renewal other than through their headers. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/node.h>

#include "alloc.h"
#include "damage.h"
#include "kv_faulty.h"
#include "kv_kit.h"
#include "layout.h"
#include "renew_files.h"
#include "store_copy.h"
#include "store_dir.h"
#include "store_kit.h"
#include "writer.h"

#define ENTRIES 400u
#define BATCH 40u
#define PATH_BYTES 512

static weft_keypair *author;
static sk_node node; /* lends its runtime */
static sk_dag *dag;
static char dir[64];
static wf_renewal done;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    kk_dir_create(dir);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    kk_dir_remove(dir);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(renew, .init = setup, .fini = teardown);

/* -- A store, and what is done to it ------------------------------------------------------------ */

static wf_store *open_store(void)
{
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), node.rt, &store), WEFT_OK);
    return store;
}

static void put_again(wf_store *store, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    }
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
}

/* Batches of 40 entries. `closed` false: as a kill leaves it, all of it in the log. */
static void make_store(bool closed)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%s.killed", dir);
    wf_store *store = open_store();
    for (uint32_t i = 0; i < ENTRIES; i += BATCH) put_again(store, i, i + BATCH);
    if (!closed) cr_assert_eq(wf_store_dir_copy(dir, copy), WEFT_OK);
    wf_store_close(store);
    if (closed) return;
    kk_dir_remove(dir);
    cr_assert_eq(wf_store_dir_rename(copy, dir), WEFT_OK);
}

static void path_of(char out[PATH_BYTES], const char *name)
{
    snprintf(out, PATH_BYTES, "%s/%s", dir, name);
}

static uint32_t flip_in_files(const char *end, const void *bytes, size_t len)
{
    return kk_flip(dir, end, bytes, len);
}

static void flip_body(uint32_t i)
{
    cr_assert_eq(flip_in_files(".sst", weft_buf_bytes(dag->bufs[i]), weft_buf_len(dag->bufs[i])),
                 1);
}

static bool is_there(const char *name)
{
    char path[PATH_BYTES];
    path_of(path, name);
    return wf_store_dir_exists(path);
}

static weft_err renew(bool opens)
{
    const wf_renew_options options = {.opens = opens};
    return wf_renew(dir, node.rt, &options, &done);
}

static uint32_t unreadable(wf_store *store)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        weft_buf *buf = NULL;
        count += wf_store_get(store, &dag->ids[i], &buf) != WEFT_OK;
        weft_buf_unref(buf);
    }
    return count;
}

/* -- Bodies ---------------------------------------------------------------------------------------- */

Test(renew, a_bad_block_of_bodies_costs_those_bodies_and_nothing_else)
{
    make_store(true);
    flip_body(7);
    wf_store *store = open_store();
    uint32_t bad = unreadable(store);
    wf_tree_info before, after;
    cr_assert_eq(wf_store_tree_by_number(store, 1, &before), WEFT_OK);
    wf_store_close(store);
    cr_assert(bad > 0 && bad < ENTRIES / 2);
    cr_expect(is_there("DAMAGED"), "whoever met it has said so");
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_ROWS);
    cr_expect_eq(done.missing, bad);
    cr_expect_not(is_there("DAMAGED"));

    store = open_store();
    cr_assert_eq(wf_store_tree_by_number(store, 1, &after), WEFT_OK);
    cr_expect_arr_eq(&after, &before, sizeof after, "arrivals and the epoch go on");
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect_eq(wf_damage_count(store), bad, "they are asked of peers before anybody reads them");
    cr_expect_eq(unreadable(store), bad);
    cr_expect(is_there("damaged-1"));
    put_again(store, 0, ENTRIES);
    cr_expect_eq(wf_damage_count(store), 0);
    sk_expect_clean(store);
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect_not(is_there("damaged-1"), "nothing is missing any more");
    wf_store_close(store);
    store = open_store(); /* no table has the bad block */
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    wf_store_close(store);
}

Test(renew, a_body_that_was_healed_above_its_bad_block_is_kept)
{
    make_store(true);
    flip_body(7);
    wf_store *store = open_store();
    uint32_t bad = unreadable(store);
    put_again(store, 7, 8);
    wf_store_close(store);
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect_eq(done.missing, bad - 1);
    store = open_store();
    cr_expect_eq(unreadable(store), bad - 1);
    wf_store_close(store);
}

/* Fails one read of a copy by rows. 0: none; answers how many there are. */
static uint64_t copy_with_failure(uint64_t nth, weft_err failure, weft_err *out)
{
    uint64_t missing = 0;
    wf_kv *from = kv_faulty_create(kk_open(&kk_rocksdb, dir));
    wf_kv *to = kk_open(&kk_memory, NULL);
    kv_faulty_fail_at(from, nth, failure);
    *out = wf_renew_copy(from, to, node.rt, &missing, NULL, NULL);
    cr_expect(*out != WEFT_OK || missing == 0, "read %d: it is there", (int)nth);
    uint64_t reads = kv_faulty_reads(from);
    wf_kv_close(to);
    wf_kv_close(from);
    return reads;
}

/* What a disk or a limit refuses once is no proof that the bytes are lost. */
Test(renew, a_body_that_could_not_be_read_now_is_not_called_lost)
{
    weft_err err;
    uint32_t ended = 0;
    make_store(true);
    uint64_t reads = copy_with_failure(0, WEFT_OK, &err);
    cr_assert_eq(err, WEFT_OK);
    for (uint64_t back = 0; back < 6; back++) { /* the last are bodies */
        (void)copy_with_failure(reads - back, WEFT_IO, &err);
        ended += err == WEFT_IO;
    }
    cr_expect_gt(ended, 0);
}

/* -- Indexes --------------------------------------------------------------------------------------- */

/* Turns a bit in the value of a row, wherever that lies. */
static void flip_row(enum wf_cf cf, const void *key, size_t key_len)
{
    uint8_t bytes[2048];
    wf_value value;
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    cr_assert_eq(wf_kv_get(kv, NULL, cf, key, key_len, &value), WEFT_OK);
    size_t len = value.len;
    cr_assert_leq(len, sizeof bytes);
    memcpy(bytes, value.data, len);
    wf_value_release(kv, &value);
    wf_kv_close(kv);
    cr_assert_geq(flip_in_files(".sst", bytes, len), 1);
}

static void expect_whole(void)
{
    wf_store *store = open_store();
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    cr_expect_eq(wf_renew_settle(store, dir), WEFT_OK);
    wf_store_close(store);
    cr_expect_not(is_there("damaged-1"), "there is nothing to wait for");
}

Test(renew, what_is_made_of_the_entries_is_made_again)
{
    uint8_t key[WF_KEY_SKETCH_BYTES];
    make_store(true);
    wf_key_sketch(key, 1);
    flip_row(WF_CF_SKETCH, key, sizeof key);
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_ROWS);
    cr_expect_eq(done.missing, 0);
    expect_whole();
}

Test(renew, facts_that_cannot_be_read_come_from_the_bodies)
{
    make_store(true);
    flip_row(WF_CF_META, dag->ids[100].bytes, WEFT_ID_BYTES);
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_SALVAGE);
    cr_expect_eq(done.left_out, 0);
    expect_whole();
}

/* A record in the second half, behind those of the families, gets the type of one of a recycled
 * log, with which the file would end. */
static void make_leftover(const char *path)
{
    uint8_t head[7];
    struct stat info;
    off_t at = 0;
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && fstat(fd, &info) == 0 && info.st_size < 32768);
    while (pread(fd, head, sizeof head, at) == (ssize_t)sizeof head && at < info.st_size / 2)
        at += 7 + (head[4] | head[5] << 8);
    head[6] |= 4;
    cr_assert_eq(pwrite(fd, &head[6], 1, at + 6), 1);
    close(fd);
}

static void damage_manifest(void)
{
    char path[PATH_BYTES];
    DIR *listing = opendir(dir);
    for (struct dirent *item; (item = readdir(listing)) != NULL;)
        if (strncmp(item->d_name, "MANIFEST-", 9) == 0) path_of(path, item->d_name);
    closedir(listing);
    make_leftover(path);
}

Test(renew, a_manifest_that_seems_to_end_early_hides_no_table)
{
    make_store(true);
    wf_store_close(open_store()); /* no log is left that has it once more */
    damage_manifest();
    cr_assert_eq(renew(false), WEFT_OK);
    cr_expect_eq(done.missing + done.left_out, 0);
    expect_whole();
}

/* A log that the copy has not may have been in the old store: `opens` was a hope. */
Test(renew, a_store_that_opens_in_a_copy_only_gets_new_epochs)
{
    wf_tree_info before, after;
    make_store(true);
    wf_store *store = open_store();
    cr_assert_eq(wf_store_tree_by_number(store, 1, &before), WEFT_OK);
    wf_store_close(store);
    damage_manifest();
    cr_assert_eq(renew(true), WEFT_OK);
    cr_assert_eq(done.how, WF_RENEWED_ROWS);
    store = open_store();
    cr_assert_eq(wf_store_tree_by_number(store, 1, &after), WEFT_OK);
    cr_expect_arr_neq(after.epoch, before.epoch, sizeof after.epoch);
    wf_store_close(store);
}

/* -- A log that has lost a batch -------------------------------------------------------------------- */

Test(renew, what_a_log_lost_keeps_the_old_store_until_the_operator_removes_it)
{
    wf_kv *kv = NULL;
    make_store(false);
    const weft_buf *body = dag->bufs[3 * BATCH];
    cr_assert_eq(flip_in_files(".log", weft_buf_bytes(body), weft_buf_len(body)), 1);
    cr_assert_eq(kk_try(&kk_rocksdb, dir, false, false, &kv), WEFT_CORRUPT);
    cr_assert_eq(renew(false), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_SALVAGE);
    cr_expect_gt(done.left_out, 0);
    cr_expect_eq(done.shelved, done.left_out, "what stands on it waits in the new store");

    wf_store *store = open_store();
    uint32_t lost = unreadable(store);
    cr_expect_eq(lost - done.left_out, BATCH, "and what was in the batch itself, none besides");
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect(is_there("damaged-1"));
    put_again(store, 0, ENTRIES); /* as a session would */
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect(is_there("damaged-1"), "nobody can say what else was in the record");
    cr_expect(done.keep);
    sk_expect_clean(store);
    wf_store_close(store);
}

/* All arrives again, and the old store stays. */
static void expect_kept(void)
{
    cr_expect(done.keep);
    wf_store *store = open_store();
    put_again(store, 0, ENTRIES);
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect(is_there("damaged-1"));
    wf_store_close(store);
}

/* No entry stands on it, and no record follows that would show that there was one. */
Test(renew, the_last_record_of_a_log_is_missed_too)
{
    make_store(false);
    const weft_buf *body = dag->bufs[ENTRIES - 1];
    cr_assert_eq(flip_in_files(".log", weft_buf_bytes(body), weft_buf_len(body)), 1);
    cr_assert_eq(renew(false), WEFT_OK);
    cr_expect_eq(done.left_out, 0);
    expect_kept();
}

Test(renew, bodies_that_a_salvage_cannot_read_keep_the_old_store)
{
    make_store(true);
    flip_row(WF_CF_META, dag->ids[100].bytes, WEFT_ID_BYTES);
    flip_body(ENTRIES - 1);
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_SALVAGE);
    expect_kept();
}

Test(renew, a_log_that_went_through_a_repair_keeps_the_old_store)
{
    make_store(false);
    damage_manifest();
    cr_assert_eq(renew(false), WEFT_OK);
    expect_kept();
}

/* -- Who may, and when ------------------------------------------------------------------------------- */

Test(renew, a_store_that_is_open_is_left_alone)
{
    make_store(true);
    wf_store *store = open_store();
    cr_expect_eq(renew(true), WEFT_LOCKED, "in this process");
    cr_expect_eq(unreadable(store), 0);
    wf_store_close(store);
    expect_whole();
}

Test(renew, a_node_does_it_when_it_is_asked_to)
{
    weft_node *n = NULL;
    weft_tree_info info;
    weft_node_options options = {.dir = dir, .device = author};
    make_store(false);
    const weft_buf *body = dag->bufs[ENTRIES - BATCH];
    cr_assert_eq(flip_in_files(".log", weft_buf_bytes(body), weft_buf_len(body)), 1);
    cr_assert_eq(weft_node_open(&options, &n), WEFT_CORRUPT);
    cr_expect_not(is_there("damaged-1"));
    options.renew = true;
    cr_assert_eq(weft_node_open(&options, &n), WEFT_OK);
    cr_assert_eq(weft_tree_info_get(n, &dag->tree, &info), WEFT_OK);
    cr_expect_geq(info.entries, ENTRIES / 2);
    weft_node_close(n);
}

/* Each database has one of its own. */
static void identity_of(char out[64])
{
    char path[PATH_BYTES];
    memset(out, 0, 64);
    path_of(path, "IDENTITY");
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0 && read(fd, out, 63) > 0);
    close(fd);
}

/* Which a copy of each row, or a salvage, would take along. */
Test(renew, a_record_that_says_something_wrong_is_no_damage_of_the_store)
{
    char path[PATH_BYTES], before[64], after[64];
    weft_node *n = NULL;
    const weft_node_options options = {.dir = dir, .renew = true};
    make_store(true);
    path_of(path, "device.key");
    cr_assert_eq(weft_keypair_save(author, path), WEFT_OK);
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    kk_put(kv, WF_CF_PEER, "\x85", "short", true); /* the key of the node */
    wf_kv_close(kv);
    identity_of(before);
    cr_expect_eq(weft_node_open(&options, &n), WEFT_CORRUPT);
    identity_of(after);
    cr_expect_str_eq(after, before, "it is the same database");
}

/* -- Interruptions ------------------------------------------------------------------------------------- */

/* The first `count` files of the database, by the order of the directory, go elsewhere. False:
 * there are fewer. */
static bool move_some(const char *from, const char *to, uint32_t count)
{
    char old[2 * PATH_BYTES], new[2 * PATH_BYTES];
    uint32_t moved = 0;
    DIR *listing = opendir(from);
    for (struct dirent *item; moved < count && (item = readdir(listing)) != NULL;) {
        if (!wf_store_dir_is_of_database(item->d_name) || strcmp(item->d_name, "CURRENT") == 0)
            continue;
        snprintf(old, sizeof old, "%s/%.200s", from, item->d_name);
        snprintf(new, sizeof new, "%s/%.200s", to, item->d_name);
        cr_assert_eq(rename(old, new), 0);
        moved++;
    }
    closedir(listing);
    return moved == count;
}

static void move_current(const char *from, const char *to)
{
    char old[2 * PATH_BYTES], new[2 * PATH_BYTES];
    snprintf(old, sizeof old, "%s/CURRENT", from);
    snprintf(new, sizeof new, "%s/CURRENT", to);
    cr_assert_eq(rename(old, new), 0);
}

/* As a renewal leaves it that was killed after so many files had changed places. */
static bool interrupt(bool entering, uint32_t count)
{
    char aside[PATH_BYTES], new[PATH_BYTES];
    make_store(true);
    path_of(aside, "damaged-1");
    path_of(new, entering ? "renewing" : "renewed");
    cr_assert_eq(wf_store_dir_copy(dir, new), WEFT_OK);
    cr_assert_eq(wf_store_dir_create(aside), WEFT_OK);
    move_current(dir, aside);
    if (!entering) return move_some(dir, aside, count);
    (void)move_some(dir, aside, UINT32_MAX);
    return move_some(new, dir, count);
}

static void expect_resumed(bool entering)
{
    bool more = true;
    for (uint32_t count = 0; more; count += 5) {
        wf_kv *kv = NULL;
        more = interrupt(entering, count);
        cr_assert_neq(kk_try(&kk_rocksdb, dir, true, false, &kv), WEFT_OK, "half of each opens");
        cr_assert_eq(wf_renew_resume(dir), WEFT_OK);
        cr_assert_eq(wf_renew_resume(dir), WEFT_OK, "nothing is left to do");
        expect_whole();
        kk_dir_remove(dir);
    }
}

Test(renew, a_kill_while_the_old_files_leave_is_made_good) { expect_resumed(false); }

Test(renew, a_kill_while_the_new_files_enter_is_made_good) { expect_resumed(true); }

Test(renew, an_interrupted_one_says_so_when_the_place_of_the_old_files_is_gone)
{
    char aside[PATH_BYTES];
    (void)interrupt(false, 0);
    path_of(aside, "damaged-1");
    kk_dir_remove(aside);
    cr_expect_eq(wf_renew_resume(dir), WEFT_CORRUPT);
    cr_expect_eq(renew(false), WEFT_CORRUPT);
    cr_assert(is_there("renewed"), "the new one waits");
    cr_assert_eq(wf_store_dir_create(aside), WEFT_OK, "as the log asks for");
    cr_expect_eq(wf_renew_resume(dir), WEFT_OK);
    expect_whole();
}

/* The old files go where the renewal meant them to, whatever else lies there. */
Test(renew, a_number_that_is_free_again_is_taken_again)
{
    char path[PATH_BYTES];
    make_store(true);
    flip_body(7);
    snprintf(path, sizeof path, "%s/damaged-%u", dir, WEFT_STORE_ASIDES_MAX);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(renew(true), WEFT_OK);
    cr_expect(is_there("damaged-1/IDENTITY"));
    wf_store_close(open_store());
}

Test(renew, an_allocation_that_fails_leaves_the_old_store)
{
    make_store(true);
    flip_body(7);
    for (uint64_t n = 1; n < 2000; n = 2 * n + 1) {
        (void)wf_alloc_fail_at(n, 0);
        weft_err err = renew(true);
        (void)wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        if (err == WEFT_OK) break;
        cr_assert_not(is_there("renewed.part"));
        cr_assert_not(is_there("damaged-1"));
    }
    wf_store *store = open_store();
    cr_expect_lt(unreadable(store), ENTRIES / 2);
    wf_store_close(store);
}
