/* SPDX-License-Identifier: Apache-2.0
 * test_kv_rocksdb.c - what only RocksDB has: its log, its tables, its checksums.
 * Called by: meson test. May touch: directories of its own, their files' bytes.
 * Never: a directory that it did not make; what LMDB can, too (test_kv_disk.c). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/log.h>

#include "kv_kit.h"

static char *const dir = kk_dir;

TestSuite(kv_rocksdb_only, .init = kk_setup, .fini = kk_teardown);

static weft_err open_it(bool create, bool read_only, wf_kv **out)
{
    wf_kv_rocksdb_options options = {
        .create = create, .read_only = read_only, .memory_bytes = 16 << 20};
    return wf_kv_rocksdb_open(dir, &options, out);
}

static void expect_refusal(bool create, weft_err want)
{
    wf_kv *kv = NULL;
    weft_err err = open_it(create, false, &kv);
    cr_assert_eq(err, want, "%s", weft_errname(err));
    cr_assert_null(kv);
}

Test(kv_rocksdb_only, the_largest_entry_can_be_flushed_and_read_with_a_small_cache)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    size_t len = 1 << 20;
    uint8_t *data = malloc(len);
    memset(data, 7, len);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (char c = 'a'; c < 'm'; c++) wf_batch_put(batch, WF_CF_ENTRY, &c, 1, data, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    wf_kv_close(kv);
    cr_assert_str_eq(kk_last_line, "", "%s", kk_last_line);
    kv = kk_open(&kk_rocksdb, dir);
    wf_value values[12];
    weft_err errs[12];
    cr_assert_eq(wf_kv_multi_get(kv, NULL, WF_CF_ENTRY, "abcdefghijkl", 1, 12, values, errs), 0);
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(errs[i], WEFT_OK);
        cr_assert_eq(values[i].len, len);
        wf_value_release(kv, &values[i]);
    }
    wf_kv_close(kv);
    free(data);
}

/* Runs `work` in a process that ends as if killed: nothing is closed or flushed. */
static void in_a_process_that_dies(void (*work)(wf_kv *kv))
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        wf_kv *kv = NULL;
        if (open_it(true, false, &kv) != WEFT_OK) _exit(1);
        work(kv);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

static void write_hundred(wf_kv *kv)
{
    for (int i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "%03d", i);
        kk_put(kv, WF_CF_ENTRY, key, "some bytes that are long enough to be hit", true);
    }
}

static void newest_log(char out[128])
{
    DIR *handle = opendir(dir);
    cr_assert_not_null(handle);
    char best[32] = "";
    struct dirent *item;
    while ((item = readdir(handle)) != NULL) {
        size_t len = strlen(item->d_name);
        if (len > 4 && len < sizeof best && strcmp(item->d_name + len - 4, ".log") == 0 &&
            strcmp(item->d_name, best) > 0)
            strcpy(best, item->d_name);
    }
    closedir(handle);
    cr_assert_str_neq(best, "");
    snprintf(out, 128, "%s/%s", dir, best);
}

static long file_size(const char *path)
{
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    return (long)info.st_size;
}

static void flip_byte(const char *path, long offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x40;
    cr_assert_eq(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* All logs together. */
static long log_bytes(void)
{
    char path[320];
    long sum = 0;
    DIR *handle = opendir(dir);
    cr_assert_not_null(handle);
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        size_t len = strlen(item->d_name);
        if (len <= 4 || strcmp(item->d_name + len - 4, ".log") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        sum += file_size(path);
    }
    closedir(handle);
    return sum;
}

Test(kv_rocksdb_only, a_close_leaves_no_log_to_be_read_again)
{
    in_a_process_that_dies(write_hundred);
    cr_assert_gt(log_bytes(), 4000, "a kill does");
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    write_hundred(kv);
    wf_kv_close(kv);
    cr_expect_lt(log_bytes(), 100);
    kv = kk_open(&kk_rocksdb, dir);
    cr_expect_str_neq(kk_get(kv, NULL, WF_CF_ENTRY, "099"), "(none)");
    wf_kv_close(kv);
}

static bool said_how_much, said_that_it_is_over;

static void look_for_progress(void *arg, weft_log_level level, const char *facility,
                              const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    unsigned kib;
    const char *what = strstr(line, ": reading ");
    if (what != NULL && sscanf(what, ": reading %u KiB of log again", &kib) == 1)
        said_how_much = kib >= 2048;
    if (strstr(line, ": the log is read") != NULL) said_that_it_is_over = said_how_much;
}

static void write_two_mebibytes(wf_kv *kv)
{
    static char value[64 << 10];
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 33; i++) {
        char key[8];
        snprintf(key, sizeof key, "%03d", i);
        kk_put(kv, WF_CF_ENTRY, key, value, false);
    }
}

Test(kv_rocksdb_only, how_much_log_has_to_be_read_again_is_said_before_and_that_it_is_over_after)
{
    in_a_process_that_dies(write_two_mebibytes);
    weft_log_to(look_for_progress, NULL, WEFT_LOG_INFO);
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    cr_expect(said_how_much);
    cr_expect(said_that_it_is_over);
    said_how_much = said_that_it_is_over = false;
    wf_kv_close(kv);
    kv = kk_open(&kk_rocksdb, dir);
    cr_expect_not(said_how_much, "there is none any more");
    wf_kv_close(kv);
}

Test(kv_rocksdb_only, a_flipped_byte_in_the_log_is_refused_as_corrupt)
{
    in_a_process_that_dies(write_hundred);
    char log[128];
    newest_log(log);
    flip_byte(log, file_size(log) / 2);
    expect_refusal(false, WEFT_CORRUPT);
}

Test(kv_rocksdb_only, a_torn_tail_of_the_log_costs_only_the_last_batch)
{
    in_a_process_that_dies(write_hundred);
    char log[128];
    newest_log(log);
    cr_assert_eq(truncate(log, file_size(log) - 7), 0);
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    cr_assert_str_neq(kk_get(kv, NULL, WF_CF_ENTRY, "098"), "(none)");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "099"), "(none)");
    wf_kv_close(kv);
}

Test(kv_rocksdb_only, a_flipped_byte_in_a_table_is_found_when_it_is_read)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    write_hundred(kv);
    wf_kv_close(kv); /* flushes to a table */
    DIR *handle = opendir(dir);
    struct dirent *item;
    long largest = 0;
    char table[512] = "";
    while ((item = readdir(handle)) != NULL) {
        char path[512];
        size_t len = strlen(item->d_name);
        if (len <= 4 || strcmp(item->d_name + len - 4, ".sst") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        if (file_size(path) <= largest) continue;
        largest = file_size(path);
        strcpy(table, path);
    }
    closedir(handle);
    flip_byte(table, 100);
    if (open_it(false, false, &kv) != WEFT_OK) return; /* found at once */
    wf_value value;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, "000", 3, &value), WEFT_CORRUPT);
    wf_kv_close(kv);
}

static unsigned said_of_blocks;

static void count_blocks(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    said_of_blocks += strstr(line, "block checksum mismatch") != NULL;
}

/* A scan would fill the log with one block, which it meets at each of its steps. */
Test(kv_rocksdb_only, one_damaged_block_is_said_once_however_often_it_is_read)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    wf_value value;
    kk_put(kv, WF_CF_ENTRY, "k", "a value that can be found in the file", true);
    wf_kv_close(kv);
    cr_assert_eq(kk_flip(dir, ".sst", "a value that can be found", 25), 1);
    kv = kk_open(&kk_rocksdb, dir);
    weft_log_to(count_blocks, NULL, WEFT_LOG_ERROR);
    for (int i = 0; i < 5; i++) {
        weft_err err = wf_kv_get(kv, NULL, WF_CF_ENTRY, "k", 1, &value);
        cr_expect_eq(err, WEFT_CORRUPT);
        cr_expect_neq(strstr(weft_err_detail(err), "block checksum"), NULL,
                      "each who asks is told");
    }
    cr_expect_eq(said_of_blocks, 1);
    wf_kv_close(kv);
}

static unsigned count_names(void)
{
    DIR *handle = opendir(dir);
    unsigned count = 0;
    while (readdir(handle) != NULL) count++;
    closedir(handle);
    return count;
}

Test(kv_rocksdb_only, a_database_of_somebody_else_is_left_as_it_is)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    char *text = NULL;
    rocksdb_t *db = rocksdb_open(options, dir, &text);
    cr_assert_null(text);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
    unsigned before = count_names();
    expect_refusal(true, WEFT_NOT_STORE);
    cr_assert_eq(count_names(), before);
}

Test(kv_rocksdb_only, families_of_a_newer_version_are_refused)
{
    wf_kv_close(kk_open(&kk_rocksdb, dir));
    rocksdb_options_t *options = rocksdb_options_create();
    char *text = NULL;
    size_t count;
    char **names = rocksdb_list_column_families(options, dir, &count, &text);
    cr_assert_null(text);
    const rocksdb_options_t *all[16];
    rocksdb_column_family_handle_t *handles[16];
    cr_assert_leq(count, 16);
    for (size_t i = 0; i < count; i++) all[i] = options;
    rocksdb_t *db = rocksdb_open_column_families(options, dir, (int)count,
                                                 (const char *const *)names, all, handles, &text);
    cr_assert_null(text);
    rocksdb_column_family_handle_t *more = rocksdb_create_column_family(db, options, "later",
                                                                        &text);
    cr_assert_null(text);
    rocksdb_column_family_handle_destroy(more);
    for (size_t i = 0; i < count; i++) rocksdb_column_family_handle_destroy(handles[i]);
    rocksdb_close(db);
    rocksdb_list_column_families_destroy(names, count);
    rocksdb_options_destroy(options);
    expect_refusal(true, WEFT_VERSION);
}
