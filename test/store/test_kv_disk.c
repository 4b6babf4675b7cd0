/* SPDX-License-Identifier: Apache-2.0
 * test_kv_disk.c - what each engine on disk must do: open again, or refuse to; bear a kill, a
 * full disk, a second process. Called by: meson test. May touch: directories of its own.
 * Never: a directory that it did not make; what only one engine has. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv_kit.h"

static const struct kk_engine *under; /* the test that runs */
static char *const dir = kk_dir;

TestSuite(disk_rocksdb, .init = kk_setup, .fini = kk_teardown);
TestSuite(disk_lmdb, .init = kk_setup, .fini = kk_teardown);

static void run(const struct kk_engine *engine, void (*claim)(void))
{
    under = engine;
    kk_need(engine);
    claim();
}

/* One claim, judged on both. */
#define CLAIM(name)                                      \
    static void name(void);                              \
    Test(disk_rocksdb, name) { run(&kk_rocksdb, name); } \
    Test(disk_lmdb, name) { run(&kk_lmdb, name); }       \
    static void name(void)

/* The file without which a directory has no database any more. */
static const char *root_file(void) { return under == &kk_lmdb ? "data.mdb" : "CURRENT"; }

static void expect_refusal(bool create, weft_err want)
{
    wf_kv *kv = NULL;
    weft_err err = kk_try(under, dir, create, false, &kv);
    cr_assert_eq(err, want, "%s", weft_errname(err));
    cr_assert_null(kv);
}

CLAIM(what_was_written_is_there_after_opening_again)
{
    wf_kv *kv = kk_open(under, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    kk_put(kv, WF_CF_POLICY, "b", "2", false);
    wf_kv_close(kv);
    cr_assert_eq(kk_try(under, dir, false, false, &kv), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_POLICY, "b"), "2");
    wf_kv_close(kv);
}

/* Runs `work` in a process that ends as if killed: nothing is closed or flushed. */
static void in_a_process_that_dies(void (*work)(wf_kv *kv))
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        wf_kv *kv = NULL;
        if (kk_try(under, dir, true, false, &kv) != WEFT_OK) _exit(1);
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

CLAIM(a_killed_process_loses_nothing_that_was_synced)
{
    in_a_process_that_dies(write_hundred);
    wf_kv *kv = kk_open(under, dir);
    cr_assert_str_neq(kk_get(kv, NULL, WF_CF_ENTRY, "000"), "(none)");
    cr_assert_str_neq(kk_get(kv, NULL, WF_CF_ENTRY, "099"), "(none)");
    wf_kv_close(kv);
}

static void write_unsynced(wf_kv *kv)
{
    for (int i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "%03d", i);
        kk_put(kv, WF_CF_ENTRY, key, "written", false);
    }
}

CLAIM(a_killed_process_loses_nothing_that_was_written)
{
    in_a_process_that_dies(write_unsynced);
    wf_kv *kv = kk_open(under, dir);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "000"), "written");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "099"), "written");
    wf_kv_close(kv);
}

CLAIM(a_store_that_is_open_is_locked_within_the_process)
{
    wf_kv *kv = kk_open(under, dir);
    expect_refusal(true, WEFT_LOCKED);
    cr_assert_not_null(strstr(kk_last_line, "in this process"), "%s", kk_last_line);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    wf_kv_close(kv);
}

/* A second opening would write over what the first one has. */
CLAIM(a_store_that_is_open_is_locked_by_whatever_path)
{
    char other[80];
    wf_kv *kv = kk_open(under, dir), *second = NULL;
    snprintf(other, sizeof other, "%s/.", dir);
    cr_expect_eq(kk_try(under, other, true, false, &second), WEFT_LOCKED);
    wf_kv_close(second);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    wf_kv_close(kv);
    cr_assert_eq(kk_try(under, other, true, false, &second), WEFT_OK, "it was let go of");
    wf_kv_close(second);
}

CLAIM(a_store_that_another_process_has_names_its_holder)
{
    int ready[2], done[2];
    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(done), 0);
    pid_t child = fork();
    if (child == 0) {
        wf_kv *kv = NULL;
        char byte = kk_try(under, dir, true, false, &kv) == WEFT_OK ? '1' : '0';
        close(done[1]);
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        if (read(done[0], &byte, 1) < 0) _exit(1); /* until the parent closes it */
        _exit(0);
    }
    char byte = '?', want[32];
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, '1');
    expect_refusal(true, WEFT_LOCKED);
    snprintf(want, sizeof want, "process %d", (int)child);
    cr_assert_not_null(strstr(kk_last_line, want), "%s", kk_last_line);
    close(done[1]);
    close(done[0]);
    waitpid(child, NULL, 0);
}

static unsigned count_names(void)
{
    DIR *handle = opendir(dir);
    unsigned count = 0;
    while (readdir(handle) != NULL) count++;
    closedir(handle);
    return count;
}

CLAIM(a_directory_with_other_things_is_left_as_it_is)
{
    cr_assert_eq(mkdir(dir, 0700), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/letter.txt", dir);
    FILE *file = fopen(path, "w");
    fclose(file);
    unsigned before = count_names();
    expect_refusal(true, WEFT_NOT_STORE);
    cr_assert_eq(count_names(), before);
}

CLAIM(nothing_is_made_where_nothing_is_unless_asked)
{
    expect_refusal(false, WEFT_NOT_STORE);
    cr_assert_neq(access(dir, F_OK), 0);
}

CLAIM(an_empty_directory_becomes_a_store)
{
    cr_assert_eq(mkdir(dir, 0700), 0);
    wf_kv *kv = kk_open(under, dir);
    wf_kv_close(kv);
}

CLAIM(a_store_without_its_root_file_is_not_begun_anew)
{
    wf_kv *kv = kk_open(under, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    wf_kv_close(kv);
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, root_file());
    cr_assert_eq(unlink(path), 0);
    expect_refusal(true, WEFT_CORRUPT);
}

CLAIM(a_store_opened_for_reading_takes_no_writes)
{
    wf_kv *kv = kk_open(under, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    wf_kv_close(kv);
    cr_assert_eq(kk_try(under, dir, false, true, &kv), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, "b", 1, "1", 1);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_INVALID);
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

CLAIM(a_checkpoint_opens_as_a_store_of_its_own)
{
    wf_kv *kv = kk_open(under, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", false);
    char copy[80];
    snprintf(copy, sizeof copy, "%s-copy", dir);
    cr_assert_eq(wf_kv_checkpoint(kv, copy), WEFT_OK);
    cr_assert_lt(wf_kv_checkpoint(kv, copy), 0, "it must not exist");
    kk_put(kv, WF_CF_ENTRY, "a", "2", false);
    wf_kv_close(kv);
    kv = kk_open(under, copy);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    wf_kv_close(kv);
    kk_dir_remove(copy);
}

/* A volume of its own needs a mount; where that is not allowed there is nothing to see. */
static void small_volume(const char *size)
{
    cr_assert_eq(mkdir(dir, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, size) != 0)
        cr_skip_test("no mounts here");
}

/* Leaves `kib` of the volume free, by a file that the engine does not look at. */
static void leave_room(int fd, uint64_t kib)
{
    struct statvfs info;
    cr_assert_eq(fstatvfs(fd, &info), 0);
    off_t held = lseek(fd, 0, SEEK_END);
    off_t grow = (off_t)(info.f_bavail * info.f_frsize) - (off_t)(kib << 10);
    if (grow < 0) cr_assert_eq(ftruncate(fd, held + grow), 0);
    else cr_assert_eq(posix_fallocate(fd, held, grow), 0);
}

static weft_err open_large(const char *path, wf_kv **out)
{
    wf_kv_disk_options options = {
        .engine = under->engine, .create = true, .memory_bytes = 96 << 20};
    return wf_kv_disk_open(path, &options, out);
}

/* An engine that meets the end of the disk while it opens may end the process. */
CLAIM(a_full_disk_refuses_to_open_and_never_aborts)
{
    char sub[80], path[96];
    small_volume("size=64m");
    snprintf(sub, sizeof sub, "%s/store", dir);
    snprintf(path, sizeof path, "%s/ballast", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    for (int old = 0; old < 2; old++) { /* a new store, then one with a log to be read again */
        static uint8_t value[64 << 10];
        wf_kv *kv = NULL;
        for (uint64_t kib = 4; kib < 3000; kib += kib / 4 + 4) {
            leave_room(fd, kib);
            weft_err err = open_large(sub, &kv);
            cr_assert_eq(err, WEFT_NO_SPACE, "%lu KiB: %s", (unsigned long)kib, weft_errname(err));
            cr_assert_not_null(strstr(kk_last_line, "of room"), "%s", kk_last_line);
            cr_assert_eq(access(sub, F_OK), old - 1, "a refusal changes nothing");
        }
        leave_room(fd, 40 << 10);
        pid_t child = old ? -1 : fork();
        if (child != 0) {
            if (child > 0) cr_assert_eq(waitpid(child, NULL, 0), child);
            continue;
        }
        kv = kk_open(under, sub);
        for (char c = 'a'; c <= 'z'; c++) {
            wf_batch *batch;
            cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
            wf_batch_put(batch, WF_CF_ENTRY, &c, 1, value, sizeof value);
            cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
            wf_batch_destroy(batch);
        }
        _exit(0); /* as if killed */
    }
    wf_kv *kv = kk_open(under, sub);
    wf_value found;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, "z", 1, &found), WEFT_OK);
    wf_value_release(kv, &found);
    wf_kv_close(kv);
    close(fd);
    umount(dir);
}

CLAIM(a_nearly_full_disk_is_an_answer_and_takes_nothing_back)
{
    small_volume("size=24m");
    wf_kv *kv = kk_open(under, dir);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    char path[96];
    snprintf(path, sizeof path, "%s/ballast", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(posix_fallocate(fd, 0, 8 << 20), 0);
    static uint8_t value[64 << 10];
    weft_err err = WEFT_OK;
    int acked = 0;
    for (; acked < 1000 && err == WEFT_OK; acked++) {
        char key[8];
        snprintf(key, sizeof key, "%04d", acked);
        memset(value, acked, sizeof value);
        wf_batch_clear(batch);
        wf_batch_put(batch, WF_CF_ENTRY, key, 4, value, sizeof value);
        err = wf_kv_write(kv, batch, true);
    }
    acked--;
    cr_assert_eq(err, WEFT_NO_SPACE, "%s", weft_errname(err));
    cr_assert_not_null(strstr(kk_last_line, "nearly full"), "before the disk says it: %s",
                       kk_last_line);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_NO_SPACE);
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK, "nothing was touched");
    cr_assert_gt(acked, 20);
    cr_assert_eq(ftruncate(fd, 0), 0);
    close(fd);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK, "there is room again");
    wf_kv_close(kv);
    kv = kk_open(under, dir);
    for (int i = 0; i < acked; i++) {
        char key[8];
        snprintf(key, sizeof key, "%04d", i);
        wf_value found;
        cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, key, 4, &found), WEFT_OK, "%d", i);
        wf_value_release(kv, &found);
    }
    wf_kv_close(kv);
    wf_batch_destroy(batch);
    umount(dir);
}

static weft_err put_large(wf_kv *kv, char key, bool sync)
{
    static uint8_t value[64 << 10];
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    memset(value, key, sizeof value);
    wf_batch_put(batch, WF_CF_ENTRY, &key, 1, value, sizeof value);
    weft_err err = wf_kv_write(kv, batch, sync);
    wf_batch_destroy(batch);
    return err;
}

static void expect_large(wf_kv *kv, char key)
{
    wf_value found;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, &key, 1, &found), WEFT_OK, "%c", key);
    cr_assert_eq(found.len, 64 << 10);
    cr_assert_eq(found.data[found.len - 1], key);
    wf_value_release(kv, &found);
}

/* A file that may not grow is a disk that fails, and one that works when it may again. */
CLAIM(a_write_that_failed_is_cured_by_opening_again_in_place)
{
    struct rlimit before, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    wf_kv *kv = kk_open(under, dir);
    char acked = 'a';
    cr_assert_eq(put_large(kv, acked, true), WEFT_OK);
    small = before;
    small.rlim_cur = 300 << 10;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    weft_err err = WEFT_OK;
    for (; err == WEFT_OK && acked < 'z'; acked++) err = put_large(kv, (char)(acked + 1), true);
    cr_assert_eq(err, WEFT_IO, "%s", weft_errname(err));
    cr_assert_eq(wf_kv_failed(kv), WEFT_IO);
    cr_assert_eq(put_large(kv, 'Z', true), WEFT_IO, "until it is opened again");
    for (char key = 'a'; key < acked; key++) expect_large(kv, key);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK);
    for (char key = 'a'; key < acked; key++) expect_large(kv, key);
    cr_assert_eq(put_large(kv, 'Z', true), WEFT_OK);
    wf_kv_close(kv);
    kv = kk_open(under, dir);
    expect_large(kv, 'Z');
    wf_kv_close(kv);
}

CLAIM(an_engine_that_cannot_be_opened_again_says_so_until_it_can)
{
    char current[96], away[96];
    snprintf(current, sizeof current, "%s/%s", dir, root_file());
    snprintf(away, sizeof away, "%s/AWAY", dir);
    wf_kv *kv = kk_open(under, dir);
    cr_assert_eq(put_large(kv, 'a', true), WEFT_OK);
    cr_assert_eq(rename(current, away), 0);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_CORRUPT, "its root file is gone");
    expect_large(kv, 'a'); /* so nothing was done */
    int fd = open(current, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, "MANIFEST-999999\n", 16), 16);
    close(fd);
    weft_err err = wf_kv_reopen(kv);
    cr_assert_lt(err, 0);
    wf_value value;
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, "a", 1, &value), err, "it is closed now");
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_ENTRY, NULL, 0, &it), err);
    cr_assert_eq(rename(away, current), 0);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
    expect_large(kv, 'a');
    cr_assert_eq(put_large(kv, 'b', true), WEFT_OK);
    wf_kv_close(kv);
}

/* -- Several stores on one volume ------------------------------------------------------ */

/* Writes values of 64 KiB. False: one was not taken. */
static bool write_values(wf_kv *kv, int count)
{
    static uint8_t value[64 << 10];
    weft_err err = WEFT_OK;
    for (int i = 0; err == WEFT_OK && i < count; i++) {
        wf_batch *batch = NULL;
        memset(value, i, sizeof value);
        err = wf_batch_create(&batch);
        if (err == WEFT_OK) wf_batch_put(batch, WF_CF_ENTRY, &i, sizeof i, value, sizeof value);
        if (err == WEFT_OK) err = wf_kv_write(kv, batch, true);
        wf_batch_destroy(batch);
    }
    return err == WEFT_OK;
}

/* A store that was left as if by a kill: what it has is in its log. */
static void leave_log(const char *at, int count)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        wf_kv *kv = NULL;
        wf_kv_rocksdb_options options = {.create = true, .memory_bytes = 96 << 20};
        bool good = wf_kv_rocksdb_open(at, &options, &kv) == WEFT_OK && write_values(kv, count);
        _exit(good ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the store could not be made: %s", at);
}

/* In a process of its own, once the pipe is closed; its status is how the opening went. */
static pid_t open_at_once(const char *at, const int start[2])
{
    char byte;
    pid_t child = fork();
    if (child != 0) return child;
    close(start[1]);
    if (read(start[0], &byte, 1) != 0) _exit(9);
    wf_kv *kv = NULL;
    weft_err err = wf_kv_rocksdb_open(at, &(wf_kv_rocksdb_options){.memory_bytes = 96 << 20}, &kv);
    _exit(err == WEFT_OK ? 0 : err == WEFT_NO_SPACE ? 1 : 2);
}

/* There is room for one of them: both see it, and one has it. */
Test(disk_rocksdb, stores_that_open_at_the_same_moment_do_not_share_their_room)
{
    enum { STORES = 6, ROUNDS = 4, VALUES = 100 };
    char at[STORES][80], path[96];
    int opened = 0;
    small_volume("size=288m"); /* each log lays 18 MiB of it aside */
    snprintf(path, sizeof path, "%s/ballast", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    for (int i = 0; i < STORES; i++) snprintf(at[i], sizeof at[i], "%s/store%d", dir, i);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[STORES];
        int start[2], status;
        cr_assert_eq(ftruncate(fd, 0), 0);
        for (int i = 0; i < STORES; i++) {
            kk_dir_remove(at[i]);
            leave_log(at[i], VALUES);
        }
        leave_room(fd, (12u + (unsigned)round) << 10); /* each needs 11 MiB */
        cr_assert_eq(pipe(start), 0);
        for (int i = 0; i < STORES; i++) children[i] = open_at_once(at[i], start);
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < STORES; i++) {
            cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
            cr_assert(WIFEXITED(status), "round %d: signal %d", round, WTERMSIG(status));
            cr_assert_leq(WEXITSTATUS(status), 1, "round %d: neither opened nor NO_SPACE", round);
            opened += WEXITSTATUS(status) == 0;
        }
    }
    cr_expect_geq(opened, ROUNDS, "one of each round finds room");
    for (int i = 0; i < STORES; i++) { /* whatever happened, all is there */
        cr_assert_eq(ftruncate(fd, 0), 0);
        wf_kv *kv = kk_open(&kk_rocksdb, at[i]);
        wf_value found;
        int last = VALUES - 1;
        cr_expect_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, &last, sizeof last, &found), WEFT_OK);
        wf_value_release(kv, &found);
        wf_kv_close(kv);
    }
    close(fd);
    umount(dir);
}

Test(disk_rocksdb, whoever_opens_again_in_place_waits_for_no_other_opening)
{
    small_volume("size=64m");
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    int other = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(other, 0);
    cr_assert_eq(flock(other, LOCK_EX), 0, "somebody opens a store on this volume");
    cr_expect_eq(wf_kv_reopen(kv), WEFT_AGAIN);
    cr_expect_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1", "nothing was done");
    close(other);
    cr_expect_eq(wf_kv_reopen(kv), WEFT_OK);
    cr_expect_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    wf_kv_close(kv);
    umount(dir);
}
