/* SPDX-License-Identifier: Apache-2.0
 * test_kv_rocksdb_logs.c - a wrong length or type in a log is refused before anything is deleted.
 * Called by: meson test. May touch: directories of its own, their files' bytes.
 * Never: a directory that it did not make. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv_kit.h"
#include "kv_rocksdb_logs.h"
#include "store_copy.h"

static char *const dir = kk_dir;
static char path[400];
#define BLOCK 32768u
static uint8_t bytes[4 * BLOCK]; /* of the file at path */
static size_t len;

TestSuite(kv_rocksdb_logs, .init = kk_setup, .fini = kk_teardown);

static bool is_named(const char *name, const char *part) { return strstr(name, part) != NULL; }

/* The largest file whose name has this part. */
static void find_file(const char *part)
{
    DIR *handle = opendir(dir);
    cr_assert_not_null(handle);
    off_t largest = 0;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        char name[400];
        struct stat info;
        if (!is_named(item->d_name, part)) continue;
        snprintf(name, sizeof name, "%s/%s", dir, item->d_name);
        if (stat(name, &info) != 0 || info.st_size <= largest) continue;
        largest = info.st_size;
        memcpy(path, name, sizeof path);
    }
    closedir(handle);
    cr_assert(largest > 0 && largest < (off_t)sizeof bytes);
    int fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, bytes, sizeof bytes), (ssize_t)largest);
    close(fd);
    len = (size_t)largest;
}

static void put_byte(size_t at, uint8_t byte)
{
    int fd = open(path, O_WRONLY);
    cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Where the record behind the one at `at` begins: none crosses the end of a block. */
static size_t next_record(size_t at)
{
    at += 7u + bytes[at + 4] + ((size_t)bytes[at + 5] << 8);
    return BLOCK - at % BLOCK < 7 ? at + BLOCK - at % BLOCK : at;
}

/* Turns bits of a byte of each record's head in turn. How many records there are. */
static unsigned expect_all_refused(size_t byte, uint8_t bits)
{
    unsigned records = 0;
    for (size_t at = 0; at + 7 <= len; records++, at = next_record(at)) {
        wf_kv *kv = NULL;
        wf_kv_rocksdb_options options = {.create = true, .memory_bytes = 16 << 20};
        put_byte(at + byte, bytes[at + byte] ^ bits);
        weft_err err = wf_kv_rocksdb_open(dir, &options, &kv);
        cr_assert_eq(err, WEFT_CORRUPT, "record at %zu: %s", at, weft_errname(err));
        put_byte(at + byte, bytes[at + byte]);
    }
    return records;
}

/* All records then reach past the end of the file. */
static unsigned expect_lengths_refused(void) { return expect_all_refused(5, 0x80); }

/* Types 1 to 4 become 5 to 8 (but for 4), those of a recycled log. */
static unsigned expect_types_refused(void) { return expect_all_refused(6, 0x04); }

static void expect_whole(void)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "b"), "2");
    wf_kv_close(kv);
}

static void write_two(void)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    kk_put(kv, WF_CF_ENTRY, "b", "2", true);
    wf_kv_close(kv);
}

Test(kv_rocksdb_logs, a_wrong_length_in_the_manifest_never_makes_an_empty_store)
{
    write_two();
    find_file("MANIFEST-");
    cr_assert_gt(expect_lengths_refused(), 10);
    expect_whole();
}

Test(kv_rocksdb_logs, a_type_of_a_recycled_log_in_the_manifest_never_makes_an_empty_store)
{
    write_two();
    find_file("MANIFEST-");
    cr_assert_gt(expect_types_refused(), 10);
    expect_whole();
}

static void put_large(wf_kv *kv, const char *key)
{
    static char value[2 * BLOCK];
    memset(value, 'v', sizeof value - 1);
    kk_put(kv, WF_CF_ENTRY, key, value, true);
}

/* The large ones make a log of several blocks, whose records have several parts. */
static void die_with(bool large)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        wf_kv *kv = kk_open(&kk_rocksdb, dir);
        kk_put(kv, WF_CF_ENTRY, "a", "1", true);
        if (large) put_large(kv, "large");
        kk_put(kv, WF_CF_ENTRY, "b", "2", true);
        _exit(0); /* as if killed: nothing is closed */
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

static void die_with_two(void) { die_with(false); }

Test(kv_rocksdb_logs, a_wrong_length_in_the_log_is_no_torn_write)
{
    die_with_two();
    find_file(".log");
    cr_assert_geq(expect_lengths_refused(), 2);
    expect_whole();
}

Test(kv_rocksdb_logs, a_type_of_a_recycled_log_in_the_log_is_no_end)
{
    die_with_two();
    find_file(".log");
    cr_assert_geq(expect_types_refused(), 2);
    expect_whole();
}

Test(kv_rocksdb_logs, a_torn_write_at_any_byte_of_the_last_record_still_opens)
{
    die_with_two();
    find_file(".log");
    size_t last = 0;
    for (size_t at = 0; at + 7 <= len; at += 7u + bytes[at + 4] + ((size_t)bytes[at + 5] << 8))
        last = at;
    for (size_t end = last + 1; end < len; end += 5) {
        cr_assert_eq(truncate(path, (off_t)end), 0);
        wf_kv_rocksdb_options options = {.read_only = true, .memory_bytes = 16 << 20};
        wf_kv *kv = NULL;
        weft_err err = wf_kv_rocksdb_open(dir, &options, &kv);
        cr_assert_eq(err, WEFT_OK, "cut at %zu of %zu: %s", end, len, weft_errname(err));
        cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
        cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "b"), "(none)");
        wf_kv_close(kv);
        int fd = open(path, O_WRONLY); /* whole again */
        cr_assert_eq(pwrite(fd, bytes, len, 0), (ssize_t)len);
        close(fd);
    }
    expect_whole();
}

/* Parts of a record: the first, a middle and the last one, in blocks of their own. */
Test(kv_rocksdb_logs, a_type_of_a_recycled_log_is_no_end_in_any_block)
{
    die_with(true);
    find_file(".log");
    cr_assert_gt(len, 2 * BLOCK);
    unsigned parts = 0, lasts = 0;
    for (size_t at = 0; at + 7 <= len; parts++, at = next_record(at)) {
        static const uint8_t bits[] = {0x04, 0x01, 0x02}; /* 1 to 3; the last part: 5, 6 */
        bool is_last = bytes[at + 6] == 4;
        lasts += is_last;
        for (unsigned i = is_last ? 1 : 0; i < (is_last ? 3u : 1u); i++) {
            wf_kv *kv = NULL;
            wf_kv_rocksdb_options options = {.create = true, .memory_bytes = 16 << 20};
            put_byte(at + 6, bytes[at + 6] ^ bits[i]);
            weft_err err = wf_kv_rocksdb_open(dir, &options, &kv);
            cr_assert_eq(err, WEFT_CORRUPT, "part at %zu: %s", at, weft_errname(err));
            put_byte(at + 6, bytes[at + 6]);
        }
    }
    cr_expect_geq(parts, 5);
    cr_expect_geq(lasts, 1);
    expect_whole();
}

/* -- Records in the middle of a block ---------------------------------------------------------------- */

#define KEYS 9u

static void key_of(unsigned i, char out[8]) { snprintf(out, 8, "key-%u", i); }

/* As a kill leaves it, but for the damage: one record for each key, all in one block. */
static void leave_log(void)
{
    char copy[80], key[8];
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    for (unsigned i = 0; i < KEYS; i++) {
        key_of(i, key);
        kk_put(kv, WF_CF_META, key, "a value that nobody else has", true);
    }
    snprintf(copy, sizeof copy, "%s.killed", dir);
    cr_assert_eq(wf_store_dir_copy(dir, copy), WEFT_OK);
    wf_kv_close(kv);
    kk_dir_remove(dir);
    cr_assert_eq(wf_store_dir_rename(copy, dir), WEFT_OK);
    find_file(".log");
}

static void expect_all_but(unsigned lost)
{
    wf_kv_rocksdb_options options = {.read_only = true, .salvage = true, .memory_bytes = 16 << 20};
    wf_kv *kv = NULL;
    cr_assert_eq(wf_kv_rocksdb_open(dir, &options, &kv), WEFT_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[8];
        key_of(i, key);
        bool here = strcmp(kk_get(kv, NULL, WF_CF_META, key), "(none)") != 0;
        cr_expect_eq(here, i != lost, "%s, of which %u is damaged", key, lost);
    }
    wf_kv_close(kv);
}

/* Head (checksum, length, type) and bytes: whatever is wrong with the record, it alone is lost. */
Test(kv_rocksdb_logs, a_damaged_record_does_not_take_the_rest_of_its_block_along)
{
    static const size_t places[] = {1, 4, 5, 6, 20};
    for (unsigned p = 0; p < sizeof places / sizeof *places; p++) {
        unsigned nth = 3;
        size_t at = 0;
        leave_log();
        cr_expect_not(wf_store_dir_has_bad_record(dir), "the end of a log is no damage");
        for (unsigned i = 0; i < nth; i++) at = next_record(at);
        put_byte(at + places[p], bytes[at + places[p]] ^ 1u);
        cr_expect(wf_store_dir_has_bad_record(dir), "place %zu", places[p]);
        cr_assert_eq(wf_store_dir_spare_records(dir, NULL), WEFT_OK);
        cr_expect_not(wf_store_dir_has_bad_record(dir));
        expect_all_but(nth);
        kk_dir_remove(dir);
    }
}
