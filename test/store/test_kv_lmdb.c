/* SPDX-License-Identifier: Apache-2.0
 * test_kv_lmdb.c - what only LMDB has: its one file, its table of readers, its old pages.
 * Called by: meson test, of builds with LMDB. May touch: directories of its own, their files'
 * bytes. Never: a directory that it did not make; what RocksDB can, too (test_kv_disk.c). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/limits.h>

#include "kv_kit.h"

#define READERS 300 /* more than the engine keeps for later */

static char *const dir = kk_dir;

TestSuite(kv_lmdb_only, .init = kk_setup, .fini = kk_teardown);

static void file_of(char out[96], const char *name) { snprintf(out, 96, "%s/%s", dir, name); }

static void expect_refusal(bool read_only, weft_err want)
{
    wf_kv *kv = NULL;
    weft_err err = kk_try(&kk_lmdb, dir, true, read_only, &kv);
    cr_assert_eq(err, want, "%s", weft_errname(err));
    cr_assert_null(kv);
}

Test(kv_lmdb_only, a_value_and_an_iterator_outlive_the_snapshot_that_they_were_read_from)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    wf_kv_snapshot *snap;
    wf_kv_iter *it;
    wf_value value;
    size_t len;
    kk_put(kv, WF_CF_TIP, "a", "old", true);
    cr_assert_eq(wf_kv_snapshot_create(kv, &snap), WEFT_OK);
    cr_assert_eq(wf_kv_get(kv, snap, WF_CF_TIP, "a", 1, &value), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(kv, snap, WF_CF_TIP, NULL, 0, &it), WEFT_OK);
    wf_kv_snapshot_destroy(kv, snap);
    for (int i = 0; i < 100; i++) kk_put(kv, WF_CF_TIP, "a", "new", false);
    wf_kv_iter_first(it);
    cr_assert(wf_kv_iter_valid(it));
    cr_assert_arr_eq(wf_kv_iter_value(it, &len), "old", 3);
    cr_assert_arr_eq(value.data, "old", 3);
    wf_kv_iter_destroy(it);
    wf_value_release(kv, &value);
    wf_kv_close(kv);
}

Test(kv_lmdb_only, hundreds_of_views_are_open_beside_each_other)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    wf_kv_iter *its[READERS];
    for (int i = 0; i < READERS; i++) {
        char key[8];
        snprintf(key, sizeof key, "%03d", i);
        kk_put(kv, WF_CF_TIP, key, "x", false);
        cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &its[i]), WEFT_OK);
    }
    for (int i = 0; i < READERS; i++) { /* each sees what there was when it was made */
        char want[8];
        size_t len;
        snprintf(want, sizeof want, "%03d", i);
        wf_kv_iter_last(its[i]);
        cr_assert(wf_kv_iter_valid(its[i]));
        cr_assert_arr_eq(wf_kv_iter_key(its[i], &len), want, 3);
        wf_kv_iter_destroy(its[i]);
    }
    wf_kv_close(kv);
}

/* The head of the table takes a few of its places. */
Test(kv_lmdb_only, one_view_more_than_the_table_has_room_for_is_LIMIT)
{
    static wf_kv_iter *its[WEFT_STORE_LMDB_READERS];
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    unsigned made = 0;
    weft_err err;
    while ((err = wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &its[made])) == WEFT_OK) made++;
    cr_expect_eq(err, WEFT_LIMIT, "%s", weft_errname(err));
    cr_expect_geq(made, WEFT_STORE_LMDB_READERS - 8);
    wf_kv_iter_destroy(its[--made]);
    cr_expect_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &its[made++]), WEFT_OK);
    while (made > 0) wf_kv_iter_destroy(its[--made]);
    wf_kv_close(kv);
}

/* Old values take room as long as somebody may look at them, and no longer. */
Test(kv_lmdb_only, pages_that_nobody_sees_are_written_again)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    static char text[40000];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 20; i++) kk_put(kv, WF_CF_TIP, "a", text, false);
    uint64_t before = wf_kv_memory(kv);
    for (int i = 0; i < 300; i++) kk_put(kv, WF_CF_TIP, "a", text, false);
    cr_assert_leq(wf_kv_memory(kv), before, "12 MB went through it");
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &it), WEFT_OK);
    for (int i = 0; i < 300; i++) kk_put(kv, WF_CF_TIP, "a", text, false);
    cr_assert_gt(wf_kv_memory(kv), before + (10 << 20), "one view keeps all that came after it");
    wf_kv_iter_destroy(it);
    wf_kv_close(kv);
}

Test(kv_lmdb_only, a_key_that_lmdb_cannot_have_is_refused_and_nothing_else)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    static const char key[600];
    wf_batch *batch;
    wf_value value;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "1", 1);
    wf_batch_put(batch, WF_CF_TIP, key, sizeof key, "1", 1);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_INVALID);
    wf_batch_destroy(batch);
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "(none)", "a batch is all or nothing");
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_TIP, "", 0, &value), WEFT_NOT_FOUND);
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    wf_kv_close(kv);
}

Test(kv_lmdb_only, the_end_of_its_addresses_is_an_answer_and_takes_nothing_back)
{
    wf_kv_lmdb_options options = {.create = true, .map_bytes = 1 << 20};
    wf_kv *kv = NULL;
    cr_assert_eq(wf_kv_lmdb_open(dir, &options, &kv), WEFT_OK);
    static uint8_t value[64 << 10];
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    weft_err err = WEFT_OK;
    char key = 'a';
    for (; err == WEFT_OK && key < 'z'; key++) {
        wf_batch_clear(batch);
        wf_batch_put(batch, WF_CF_ENTRY, &key, 1, value, sizeof value);
        err = wf_kv_write(kv, batch, true);
    }
    cr_assert_eq(err, WEFT_NO_SPACE, "%s", weft_errname(err));
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK, "nothing was touched");
    wf_kv_close(kv);
    kv = kk_open(&kk_lmdb, dir); /* with more of them */
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_value found;
    for (char c = 'a'; c < key; c++) {
        cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, &c, 1, &found), WEFT_OK, "%c", c);
        wf_value_release(kv, &found);
    }
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

Test(kv_lmdb_only, a_database_of_somebody_else_is_left_as_it_is)
{
    MDB_env *env;
    cr_assert_eq(mkdir(dir, 0700), 0);
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_open(env, dir, 0, 0600), 0);
    mdb_env_close(env);
    expect_refusal(false, WEFT_NOT_STORE);
    char path[96];
    file_of(path, "WEFT-STORE");
    cr_assert_neq(access(path, F_OK), 0);
}

Test(kv_lmdb_only, families_of_a_newer_version_are_refused)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi more;
    wf_kv_close(kk_open(&kk_lmdb, dir));
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(env, 1), 0);
    cr_assert_eq(mdb_env_open(env, dir, 0, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "of tomorrow", MDB_CREATE, &more), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    expect_refusal(false, WEFT_VERSION);
    expect_refusal(true, WEFT_VERSION);
}

Test(kv_lmdb_only, what_a_kill_left_of_a_new_database_is_no_store_yet)
{
    wf_kv_close(kk_open(&kk_lmdb, dir));
    char whole[96], part[96], table[96];
    file_of(whole, "data.mdb");
    file_of(part, "data.new");
    file_of(table, "lock.mdb");
    cr_assert_eq(rename(whole, part), 0);
    cr_assert_eq(truncate(part, 5000), 0);
    cr_assert_eq(unlink(table), 0); /* it comes after the database has its name */
    wf_kv *kv = NULL;
    cr_assert_eq(kk_try(&kk_lmdb, dir, false, false, &kv), WEFT_NOT_STORE);
    kv = kk_open(&kk_lmdb, dir);
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    cr_assert_neq(access(part, F_OK), 0);
    wf_kv_close(kv);
}

/* LMDB would begin an empty file anew, and read beyond the end of a cut one. */
Test(kv_lmdb_only, a_file_that_was_cut_is_an_answer_at_any_length)
{
    char path[96];
    struct stat info;
    file_of(path, "data.mdb");
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    for (int i = 0; i < 300; i++) {
        char key[8], value[200];
        snprintf(key, sizeof key, "%03d", i);
        memset(value, 'v', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        kk_put(kv, WF_CF_ENTRY, key, value, false);
    }
    wf_kv_close(kv);
    cr_assert_eq(stat(path, &info), 0);
    for (off_t left = info.st_size - 4096; left > 8192; left -= 8 * 4096) {
        cr_assert_eq(truncate(path, left), 0);
        kv = NULL;
        if (kk_try(&kk_lmdb, dir, true, false, &kv) != WEFT_OK) continue;
        for (int i = 0; i < 300; i++) {
            char key[8];
            wf_value value;
            snprintf(key, sizeof key, "%03d", i);
            weft_err err = wf_kv_get(kv, NULL, WF_CF_ENTRY, key, 3, &value);
            if (err == WEFT_OK) wf_value_release(kv, &value);
        }
        wf_kv_close(kv);
    }
    for (off_t left = 4000; left >= 0; left -= 4000) {
        cr_assert_eq(truncate(path, left), 0);
        expect_refusal(false, WEFT_CORRUPT);
        cr_assert_eq(stat(path, &info), 0);
        cr_assert_eq(info.st_size, left, "nothing was begun there");
    }
}

/* Zeroes the page that has these bytes. */
static void wipe_page_of(const char *bytes)
{
    static uint8_t pages[4 << 20];
    char path[96];
    file_of(path, "data.mdb");
    int fd = open(path, O_RDWR);
    ssize_t len = read(fd, pages, sizeof pages);
    cr_assert(len > 0 && len < (ssize_t)sizeof pages);
    const uint8_t *at = memmem(pages, (size_t)len, bytes, strlen(bytes));
    cr_assert_not_null(at);
    off_t page = (at - pages) / 4096 * 4096;
    cr_assert_eq(pwrite(fd, (uint8_t[4096]){0}, 4096, page), 4096);
    close(fd);
}

/* LMDB gives a transaction up that has met such a page, in words of its own. */
Test(kv_lmdb_only, what_a_view_reads_after_a_damaged_page_is_damage_and_no_failing_disk)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    wf_kv_snapshot *snap;
    wf_value value;
    kk_put(kv, WF_CF_TIP, "a", "what is on the page that will be lost", true);
    kk_put(kv, WF_CF_ARR, "b", "what is on another one", true);
    wf_kv_close(kv);
    wipe_page_of("what is on the page that will be lost");
    kv = kk_open(&kk_lmdb, dir);
    cr_assert_eq(wf_kv_snapshot_create(kv, &snap), WEFT_OK);
    cr_expect_eq(wf_kv_get(kv, snap, WF_CF_TIP, "a", 1, &value), WEFT_CORRUPT);
    cr_expect_eq(wf_kv_get(kv, snap, WF_CF_ARR, "b", 1, &value), WEFT_CORRUPT);
    wf_kv_snapshot_destroy(kv, snap);
    cr_expect_str_eq(kk_get(kv, NULL, WF_CF_ARR, "b"), "what is on another one");
    wf_kv_close(kv);
}

Test(kv_lmdb_only, one_process_reads_while_another_writes_but_not_the_same_twice)
{
    wf_kv *kv = kk_open(&kk_lmdb, dir), *second = NULL;
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    expect_refusal(true, WEFT_LOCKED);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        bool read = kk_try(&kk_lmdb, dir, false, true, &second) == WEFT_OK &&
                    strcmp(kk_get(second, NULL, WF_CF_TIP, "a"), "1") == 0;
        _exit(read ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    kk_put(kv, WF_CF_TIP, "a", "2", true);
    wf_kv_close(kv);
}

Test(kv_lmdb_only, a_copy_that_is_only_read_gets_no_file_more)
{
    char copy[80], table[96];
    wf_kv *kv = kk_open(&kk_lmdb, dir);
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    snprintf(copy, sizeof copy, "%s-copy", dir);
    snprintf(table, sizeof table, "%s/lock.mdb", copy);
    cr_assert_eq(wf_kv_checkpoint(kv, copy), WEFT_OK);
    wf_kv_close(kv);
    cr_assert_eq(kk_try(&kk_lmdb, copy, false, true, &kv), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "1");
    wf_kv_close(kv);
    cr_assert_neq(access(table, F_OK), 0);
    kk_dir_remove(copy);
}
