/* SPDX-License-Identifier: Apache-2.0
 * kv_kit.c - an engine under test, whichever it is, in a directory of its own.
 * Called by: test_kv*.c, test_store_rocksdb.c. May touch: directories below /tmp.
 * Never: an engine other than through kv.h. */
#include "kv_kit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/log.h>

#define MAP_BYTES (UINT64_C(4) << 30) /* of LMDB: sanitizers keep shadows of addresses */

const struct kk_engine kk_memory = {"memory", false, WF_ENGINE_AUTO},
                       kk_rocksdb = {"rocksdb", true, WF_ENGINE_ROCKSDB},
                       kk_lmdb = {"lmdb", true, WF_ENGINE_LMDB};

void kk_need(const struct kk_engine *engine)
{
    if (engine == &kk_lmdb && !wf_kv_lmdb_is_built()) cr_skip_test("this build has no LMDB");
}

void kk_dir_create(char out[64])
{
    strcpy(out, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(out));
    rmdir(out); /* the engine makes it */
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

void kk_dir_remove(const char *dir) { nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static bool flip_in(int folder, const char *name, const void *bytes, size_t len)
{
    struct stat st;
    int fd = openat(folder, name, O_RDWR);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *all = malloc((size_t)st.st_size + 1);
    cr_assert_eq(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    uint8_t *at = memmem(all, (size_t)st.st_size, bytes, len);
    if (at != NULL) {
        uint8_t flipped = at[len / 2] ^ 1u;
        cr_assert_eq(pwrite(fd, &flipped, 1, (off_t)(at - all) + (off_t)(len / 2)), 1);
    }
    free(all);
    close(fd);
    return at != NULL;
}

uint32_t kk_flip(const char *dir, const char *end, const void *bytes, size_t len)
{
    uint32_t flipped = 0;
    DIR *listing = opendir(dir);
    cr_assert_not_null(listing);
    for (struct dirent *item; (item = readdir(listing)) != NULL;) {
        size_t name = strlen(item->d_name), tail = strlen(end);
        if (name <= tail || strcmp(item->d_name + name - tail, end) != 0) continue;
        flipped += flip_in(dirfd(listing), item->d_name, bytes, len);
    }
    closedir(listing);
    return flipped;
}

char kk_dir[64], kk_last_line[512];

static void keep_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* actors log, too */
    pthread_mutex_lock(&lock);
    snprintf(kk_last_line, sizeof kk_last_line, "%s", line);
    pthread_mutex_unlock(&lock);
}

void kk_setup(void)
{
    kk_dir_create(kk_dir);
    kk_last_line[0] = '\0';
    weft_log_to(keep_line, NULL, WEFT_LOG_WARN);
}

void kk_teardown(void)
{
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    kk_dir_remove(kk_dir);
}

weft_err kk_try(const struct kk_engine *engine, const char *dir, bool create, bool read_only,
                wf_kv **out)
{
    wf_kv_rocksdb_options rocksdb = {
        .create = create, .read_only = read_only, .memory_bytes = 16 << 20};
    wf_kv_lmdb_options lmdb = {.create = create, .read_only = read_only, .map_bytes = MAP_BYTES};
    return engine == &kk_lmdb ? wf_kv_lmdb_open(dir, &lmdb, out)
                              : wf_kv_rocksdb_open(dir, &rocksdb, out);
}

wf_kv *kk_open(const struct kk_engine *engine, const char *dir)
{
    wf_kv *kv = NULL;
    weft_err err = engine->on_disk ? kk_try(engine, dir, true, false, &kv) : wf_kv_memory_open(&kv);
    cr_assert_eq(err, WEFT_OK, "open %s: %s", engine->name, weft_errname(err));
    return kv;
}

static void write_one(wf_kv *kv, enum wf_cf cf, const char *key, const char *value, bool sync)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (value == NULL) wf_batch_delete(batch, cf, key, strlen(key));
    else wf_batch_put(batch, cf, key, strlen(key), value, strlen(value));
    weft_err err = wf_kv_write(kv, batch, sync);
    cr_assert_eq(err, WEFT_OK, "write: %s", weft_errname(err));
    wf_batch_destroy(batch);
}

void kk_put(wf_kv *kv, enum wf_cf cf, const char *key, const char *value, bool sync)
{
    write_one(kv, cf, key, value, sync);
}

void kk_delete(wf_kv *kv, enum wf_cf cf, const char *key) { write_one(kv, cf, key, NULL, false); }

const char *kk_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const char *key)
{
    static char text[256];
    wf_value value;
    weft_err err = wf_kv_get(kv, snap, cf, key, strlen(key), &value);
    if (err == WEFT_NOT_FOUND) return "(none)";
    cr_assert_eq(err, WEFT_OK, "get: %s", weft_errname(err));
    cr_assert_lt(value.len, sizeof text);
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    wf_value_release(kv, &value);
    return text;
}

const char *kk_keys(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const char *prefix,
                    bool backwards)
{
    static char text[4096];
    size_t at = 0;
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, snap, cf, prefix, strlen(prefix), &it), WEFT_OK);
    if (backwards) wf_kv_iter_last(it);
    else wf_kv_iter_first(it);
    while (wf_kv_iter_valid(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        cr_assert_lt(at + len + 2, sizeof text);
        if (at > 0) text[at++] = ' ';
        memcpy(text + at, key, len);
        at += len;
        if (backwards) wf_kv_iter_prev(it);
        else wf_kv_iter_next(it);
    }
    cr_assert_eq(wf_kv_iter_err(it), WEFT_OK);
    wf_kv_iter_destroy(it);
    text[at] = '\0';
    return text;
}
