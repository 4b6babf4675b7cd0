/* SPDX-License-Identifier: Apache-2.0
 * store_copy.c - copies of the directory of a store, and how to open a RocksDB store that is
 * damaged. Called by: weft-fsck, api_store.c. May touch: copies, and the originals reading;
 * RocksDB's repair. Never: changes the original. */
#include "store_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "kv_rocksdb_logs.h"
#include "log.h"
#include "store.h"
#include "store_dir.h"

#define PATH_BYTES_MAX 4096
#define COPY_BYTES (256u << 10)
#define COPY_MEMORY_BYTES (UINT64_C(8) << 20) /* for one record */
#define FIRST_SEED_NUMBER 900000001ull        /* of a table: above all that a store comes to */

static weft_err fail_errno(const char *what, const char *path, int number)
{
    weft_err err = number == ENOSPC || number == EDQUOT ? WEFT_NO_SPACE : WEFT_IO;
    return wf_fail(err, "store", "%s path=%s: %s", what, path, strerror(number));
}

static weft_err join(char out[PATH_BYTES_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    if (len > 0 && len < PATH_BYTES_MAX) return WEFT_OK;
    return wf_fail(WEFT_INVALID, "store", "the path is too long");
}

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_table(const char *name) { return ends_with(name, ".sst"); }

/* Keys of devices, locks and what others put there stay behind. */
bool wf_store_dir_is_of_database(const char *name)
{
    return is_table(name) || strcmp(name, "data.mdb") == 0 || /* LMDB's only file */
           ends_with(name, ".log") || begins_with(name, "MANIFEST-") ||
           begins_with(name, "OPTIONS-") || strcmp(name, "CURRENT") == 0 ||
           strcmp(name, "IDENTITY") == 0;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static weft_err each_name(const char *dir, weft_err (*fn)(void *arg, const char *name), void *arg)
{
    DIR *handle = opendir(dir);
    if (handle == NULL) return fail_errno("open directory", dir, errno);
    weft_err err = WEFT_OK;
    for (struct dirent *item; err == WEFT_OK && (item = readdir(handle)) != NULL;)
        if (!is_dots(item->d_name)) err = fn(arg, item->d_name);
    closedir(handle);
    return err;
}

static weft_err sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0) return fail_errno("open", path, errno);
    int failed = fsync(fd), number = errno;
    close(fd);
    return failed == 0 ? WEFT_OK : fail_errno("sync", path, number);
}

static weft_err sync_parent(const char *path)
{
    char parent[PATH_BYTES_MAX];
    weft_err err = join(parent, path, "");
    if (err != WEFT_OK) return err;
    char *end = parent + strlen(path);
    while (end > parent && end[-1] == '/') end--;
    while (end > parent && end[-1] != '/') end--;
    memcpy(end, ".", 2);
    return sync_path(parent, O_DIRECTORY);
}

bool wf_store_dir_exists(const char *dir)
{
    struct stat info;
    return lstat(dir, &info) == 0;
}

/* -- Copying and removing ---------------------------------------------------------------------- */

static weft_err pour(int in, int out, uint8_t *buffer, const char *path)
{
    for (;;) {
        ssize_t got = read(in, buffer, COPY_BYTES);
        if (got == 0) return fsync(out) == 0 ? WEFT_OK : fail_errno("sync", path, errno);
        if (got < 0) return fail_errno("read", path, errno);
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = write(out, buffer + done, (size_t)(got - done));
            if (wrote <= 0) return fail_errno("write", path, wrote == 0 ? ENOSPC : errno);
            done += wrote;
        }
    }
}

static weft_err copy_bytes(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    if (in < 0) return fail_errno("open", from, errno);
    weft_err err = WEFT_NO_MEMORY;
    uint8_t *buffer = wf_malloc(COPY_BYTES);
    if (buffer == NULL) goto done;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    err = out < 0 ? fail_errno("create", to, errno) : pour(in, out, buffer, to);
done:
    if (out >= 0) close(out);
    close(in);
    wf_free(buffer);
    return err;
}

struct ends {
    const char *from, *to;
};

static weft_err copy_one(void *arg, const char *name)
{
    const struct ends *ends = arg;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    if (!wf_store_dir_is_of_database(name)) return WEFT_OK;
    weft_err err = join(from, ends->from, name);
    if (err == WEFT_OK) err = join(to, ends->to, name);
    if (err != WEFT_OK) return err;
    /* A table never changes, so two directories may share it. */
    if (is_table(name) && link(from, to) == 0) return WEFT_OK;
    return copy_bytes(from, to);
}

weft_err wf_store_dir_copy(const char *from, const char *to)
{
    struct ends ends = {from, to};
    if (wf_store_dir_exists(to)) return WEFT_EXISTS;
    if (!wf_store_dir_exists(from))
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s is not there", from);
    weft_err err = wf_store_dir_create(to);
    if (err == WEFT_OK) err = each_name(from, copy_one, &ends);
    if (err == WEFT_OK) err = sync_path(to, O_DIRECTORY);
    if (err != WEFT_OK) (void)wf_store_dir_remove(to);
    return err;
}

static weft_err remove_file(void *arg, const char *name)
{
    char path[PATH_BYTES_MAX];
    weft_err err = join(path, arg, name);
    if (err != WEFT_OK || unlink(path) == 0 || errno == ENOENT) return err;
    return fail_errno("remove", path, errno);
}

/* RocksDB makes directories one level deep. */
static weft_err remove_any(void *arg, const char *name)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    weft_err err = join(path, arg, name);
    if (err != WEFT_OK) return err;
    if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return remove_file(arg, name);
    err = each_name(path, remove_file, path);
    if (err == WEFT_OK && rmdir(path) != 0) err = fail_errno("remove", path, errno);
    return err;
}

weft_err wf_store_dir_remove(const char *dir)
{
    if (!wf_store_dir_exists(dir)) return WEFT_OK;
    char path[PATH_BYTES_MAX];
    weft_err err = join(path, dir, "");
    if (err == WEFT_OK) err = each_name(path, remove_any, path);
    if (err == WEFT_OK && rmdir(dir) != 0) err = fail_errno("remove", dir, errno);
    return err;
}

weft_err wf_store_dir_rename(const char *from, const char *to)
{
    if (wf_store_dir_exists(to)) return WEFT_EXISTS;
    if (rename(from, to) != 0) return fail_errno("rename", from, errno);
    return sync_parent(to);
}

/* -- Checkpoints ---------------------------------------------------------------------------------- */

weft_err wf_copy_make(const char *dir)
{
    wf_kv_disk_options options = {.memory_bytes = COPY_MEMORY_BYTES};
    wf_kv *kv = NULL;
    weft_err err = wf_kv_disk_open(dir, &options, &kv);
    if (err == WEFT_OK) err = wf_copy_mark(kv);
    wf_kv_close(kv);
    return err;
}

weft_err wf_copy_checkpoint(wf_kv *kv, const char *dir)
{
    char part[PATH_BYTES_MAX];
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') len--;
    int all = snprintf(part, sizeof part, "%.*s.part", (int)len, dir);
    if (all <= 0 || (size_t)all >= sizeof part) return WEFT_INVALID;
    if (wf_store_dir_exists(dir)) return WEFT_EXISTS;
    if (wf_store_dir_exists(part)) {
        wf_log(WEFT_LOG_WARN, "store", "path=%s is a checkpoint that did not end: remove it", part);
        return WEFT_EXISTS;
    }
    weft_err err = wf_kv_checkpoint(kv, part);
    if (err == WEFT_UNSUPPORTED) return err;
    if (err == WEFT_OK) err = wf_copy_make(part);
    if (err == WEFT_OK) err = wf_store_dir_rename(part, dir);
    if (err != WEFT_OK) (void)wf_store_dir_remove(part);
    return err;
}

/* -- What is damaged ----------------------------------------------------------------------------- */

/* A MANIFEST that ends too early names fewer families and tables than there are, and the engine takes
 * that for all: what is there would be passed over without a word. */
weft_err wf_kv_rocksdb_open_salvage(const char *dir, wf_kv **out)
{
    wf_kv_rocksdb_options options = {.read_only = true, .salvage = true};
    wf_kv *kv = NULL;
    weft_err err = wf_store_dir_check_manifest(dir);
    if (err == WEFT_OK) err = wf_kv_rocksdb_open(dir, &options, &kv);
    if (err != WEFT_OK) return err;
    if (!wf_kv_rocksdb_has_families(kv)) {
        wf_kv_close(kv);
        return wf_fail(WEFT_CORRUPT, "store", "path=%s lacks families of keys", dir);
    }
    *out = kv;
    return WEFT_OK;
}

static weft_err note_manifest(void *arg, const char *name)
{
    unsigned long long *newest = arg;
    if (!begins_with(name, "MANIFEST-")) return WEFT_OK;
    unsigned long long number = strtoull(name + 9, NULL, 10);
    if (number > *newest) *newest = number;
    return WEFT_OK;
}

/* CURRENT is one line: the manifest that counts. Lost, it is the newest one. */
static weft_err point_at_newest(const char *dir)
{
    char path[PATH_BYTES_MAX], text[64];
    unsigned long long newest = 0;
    weft_err err = each_name(dir, note_manifest, &newest);
    if (err == WEFT_OK && newest == 0)
        err = wf_fail(WEFT_CORRUPT, "store", "path=%s has no manifest", dir);
    if (err == WEFT_OK) err = join(path, dir, "CURRENT");
    if (err != WEFT_OK) return err;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno("create", path, errno);
    int len = snprintf(text, sizeof text, "MANIFEST-%06llu\n", newest);
    if (write(fd, text, (size_t)len) != len) err = fail_errno("write", path, errno);
    close(fd);
    return err;
}

/* A table of each family, with one key that means nothing. */
static weft_err make_seed(const char *dir)
{
    wf_kv_rocksdb_options options = {.create = true, .memory_bytes = 8 << 20};
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    weft_err err = wf_kv_rocksdb_open(dir, &options, &kv);
    if (err == WEFT_OK) err = wf_batch_create(&batch);
    for (unsigned cf = 0; err == WEFT_OK && cf < WF_CF_COUNT; cf++)
        wf_batch_put(batch, (enum wf_cf)cf, "\0", 1, "", 0);
    if (err == WEFT_OK) err = wf_kv_write(kv, batch, true);
    wf_batch_destroy(batch);
    wf_kv_close(kv); /* which writes the tables */
    return err;
}

struct seeding {
    const char *from, *to;
    unsigned long long next;
};

static weft_err seed_one(void *arg, const char *name)
{
    struct seeding *s = arg;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX], number[32];
    if (!is_table(name)) return WEFT_OK;
    snprintf(number, sizeof number, "%06llu.sst", s->next++);
    weft_err err = join(from, s->from, name);
    if (err == WEFT_OK) err = join(to, s->to, number);
    return err == WEFT_OK ? copy_bytes(from, to) : err;
}

/* A repair learns the families from tables, and what a log holds for a family that it does
 * not know is lost. A young store has nothing but a log: so each family gets a table. */
static weft_err seed_families(const char *dir)
{
    char seed[PATH_BYTES_MAX];
    int len = snprintf(seed, sizeof seed, "%s.families", dir);
    if (len < 0 || (size_t)len >= sizeof seed) return WEFT_INVALID;
    struct seeding s = {seed, dir, FIRST_SEED_NUMBER};
    weft_err err = make_seed(seed);
    if (err == WEFT_OK) err = each_name(seed, seed_one, &s);
    weft_err removed = wf_store_dir_remove(seed);
    return err == WEFT_OK ? removed : err;
}

static weft_err repair(const char *dir)
{
    weft_err err = seed_families(dir);
    if (err != WEFT_OK) return err;
    char *text = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_info_log_level(options, 4);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_repair_db(options, dir, &text);
    rocksdb_options_destroy(options);
    if (text == NULL) return WEFT_OK;
    err = wf_fail(WEFT_CORRUPT, "store", "repair path=%s: %s", dir, text);
    rocksdb_free(text);
    return err;
}

struct losing {
    const char *dir;
    bool lossy;
};

static weft_err note_log(void *arg, const char *name)
{
    struct stat info;
    char path[PATH_BYTES_MAX];
    struct losing *l = arg;
    if (!ends_with(name, ".log")) return WEFT_OK;
    weft_err err = join(path, l->dir, name);
    if (err == WEFT_OK && (stat(path, &info) != 0 || info.st_size > 0)) l->lossy = true;
    return err;
}

static weft_err note_table(void *arg, const char *name)
{
    struct losing *l = arg;
    if (is_table(name)) l->lossy = true;
    return WEFT_OK;
}

/* A repair goes on after a log that it could not make a table of, and says nothing; tables that it
 * cannot read go to `lost`. */
static weft_err repair_counting(const char *dir, bool *lossy)
{
    char lost[PATH_BYTES_MAX];
    struct losing l = {dir, false};
    weft_err err = join(lost, dir, "lost");
    if (err == WEFT_OK) err = each_name(dir, note_log, &l);
    if (err == WEFT_OK) err = repair(dir);
    if (err == WEFT_OK && wf_store_dir_exists(lost)) err = each_name(lost, note_table, &l);
    *lossy = *lossy || l.lossy;
    return err;
}

/* Another format, or short memory, is no damage. */
static bool is_damage(weft_err err) { return err == WEFT_CORRUPT || err == WEFT_IO; }

weft_err wf_kv_rocksdb_open_damaged(const char *copy, wf_kv **out, const char **how, bool *lossy)
{
    uint64_t lost = 0;
    bool unused;
    weft_err err = wf_store_dir_mark(copy);
    if (err == WEFT_OK) err = wf_store_dir_spare_records(copy, &lost);
    if (err != WEFT_OK) return err;
    if (lossy == NULL) lossy = &unused;
    *lossy = lost > 0;
    *how = "as it is";
    err = wf_kv_rocksdb_open_salvage(copy, out);
    if (err == WEFT_NOT_STORE) err = WEFT_CORRUPT; /* it has lost its CURRENT */
    if (!is_damage(err)) return err;
    *how = "with its newest manifest";
    if (point_at_newest(copy) == WEFT_OK) {
        err = wf_kv_rocksdb_open_salvage(copy, out);
        if (!is_damage(err)) return err;
    }
    *how = "from its tables and logs";
    err = repair_counting(copy, lossy);
    const wf_kv_rocksdb_options options = {.read_only = true, .salvage = true};
    return err == WEFT_OK ? wf_kv_rocksdb_open(copy, &options, out) : err;
}
