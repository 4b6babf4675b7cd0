/* SPDX-License-Identifier: Apache-2.0
 * store_dir.c - the directory that a store lives in, whichever engine it has.
 * Called by: the engines on disk, kv_disk.c, weft-fsck. May touch: names in the directory,
 * its marker, the file system's figures. Never: opens, reads or changes the database. */
#include "store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"

#define MARKER "WEFT-STORE"
#define MARKER_TEXT "This directory is a weft store.\n"
#define PATH_BYTES_MAX 4096
#define OPEN_ROOM_BYTES (UINT64_C(4) << 20) /* for what every opening writes */

static weft_err from_errno(int number)
{
    return number == ENOSPC || number == EDQUOT ? WEFT_NO_SPACE : WEFT_IO;
}

static bool path_join(char out[PATH_BYTES_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return len > 0 && len < PATH_BYTES_MAX;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

struct seen {
    bool anything, marker;
    bool current, data;   /* of RocksDB: its root file, tables or logs */
    bool database, table; /* of LMDB: its one file, its table of readers */
    bool whole, moving;   /* a store that is to take the place of this one; on its way in */
};

static weft_err look_at_names(const char *dir, struct seen *seen)
{
    DIR *handle = opendir(dir);
    if (handle == NULL) {
        if (errno == ENOENT) return WEFT_OK; /* as good as empty */
        if (errno == ENOTDIR)
            return wf_fail(WEFT_NOT_STORE, "store", "path=%s is not a directory", dir);
        return wf_fail(WEFT_IO, "store", "open directory path=%s: %s", dir, strerror(errno));
    }
    struct dirent *item;
    while ((item = readdir(handle)) != NULL) {
        const char *name = item->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        seen->anything = true;
        if (strcmp(name, MARKER) == 0) seen->marker = true;
        if (strcmp(name, "CURRENT") == 0) seen->current = true;
        if (strcmp(name, WF_STORE_DIR_WHOLE) == 0) seen->whole = true;
        if (strcmp(name, WF_STORE_DIR_MOVING) == 0) seen->moving = true;
        if (strcmp(name, "data.mdb") == 0) seen->database = true;
        if (strcmp(name, "lock.mdb") == 0) seen->table = true;
        if (ends_with(name, ".sst") || ends_with(name, ".log")) seen->data = true;
    }
    closedir(handle);
    return WEFT_OK;
}

weft_err wf_store_dir_look(const char *dir, struct wf_store_dir *out)
{
    struct seen seen = {0};
    weft_err err = look_at_names(dir, &seen);
    if (err != WEFT_OK) return err;
    if (seen.anything && !seen.marker)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has other things in it", dir);
    /* What would be written to the old one now would leave with it. */
    if (seen.whole || (seen.moving && !seen.current))
        return wf_fail(WEFT_CORRUPT, "store",
                       "path=%s is half renewed: a node that opens it goes on", dir);
    /* Without CURRENT the engine would start afresh and delete what is there. Only
     * before the first log file was written is that what the user wants. */
    if (seen.data && !seen.current)
        return wf_fail(WEFT_CORRUPT, "store", "path=%s has lost its file CURRENT", dir);
    if (seen.table && !seen.database)
        return wf_fail(WEFT_CORRUPT, "store", "path=%s has lost its file data.mdb", dir);
    if (seen.current && seen.database)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has files of two engines", dir);
    *out = (struct wf_store_dir){.is_store = seen.marker,
                                 .complete = seen.current || seen.database,
                                 .engine = seen.current    ? WF_ENGINE_ROCKSDB
                                           : seen.database ? WF_ENGINE_LMDB
                                                           : WF_ENGINE_AUTO};
    return WEFT_OK;
}

weft_err wf_store_dir_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return wf_fail(WEFT_IO, "store", "open path=%s: %s", dir, strerror(errno));
    int failed = fsync(fd);
    int number = errno;
    close(fd);
    if (failed != 0)
        return wf_fail(from_errno(number), "store", "sync path=%s: %s", dir, strerror(number));
    return WEFT_OK;
}

weft_err wf_store_dir_mark(const char *dir)
{
    char path[PATH_BYTES_MAX];
    if (!path_join(path, dir, MARKER))
        return wf_fail(WEFT_INVALID, "store", "the path is too long");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return wf_fail(from_errno(errno), "store", "create path=%s: %s", path, strerror(errno));
    ssize_t wrote;
    do wrote = write(fd, MARKER_TEXT, sizeof MARKER_TEXT - 1);
    while (wrote < 0 && errno == EINTR);
    int failed = wrote != (ssize_t)(sizeof MARKER_TEXT - 1) || fsync(fd) != 0;
    int number = errno;
    close(fd);
    if (failed)
        return wf_fail(from_errno(number), "store", "write path=%s: %s", path, strerror(number));
    return wf_store_dir_sync(dir);
}

weft_err wf_store_dir_create(const char *dir)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return wf_fail(from_errno(errno), "store", "create path=%s: %s", dir, strerror(errno));
    return wf_store_dir_mark(dir);
}

void wf_store_dir_note_damage(const char *dir)
{
    char path[PATH_BYTES_MAX];
    if (!path_join(path, dir, WF_STORE_DIR_DAMAGED)) return;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

bool wf_store_dir_is_damaged(const char *dir)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    return path_join(path, dir, WF_STORE_DIR_DAMAGED) && stat(path, &info) == 0;
}

bool wf_store_dir_has_current(const char *dir)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    return path_join(path, dir, "CURRENT") && stat(path, &info) == 0;
}

/* Is less of the volume free than one part of the floor in so many? */
static bool is_below(const char *dir, uint64_t floor_bytes, uint64_t parts)
{
    struct statvfs info;
    if (statvfs(dir, &info) != 0) return false; /* the write itself will tell */
    uint64_t all = (uint64_t)info.f_blocks * info.f_frsize;
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (all == 0) return false; /* a file system that does not say */
    /* A small volume keeps a quarter: the absolute floor would be all of it. */
    return free_bytes < (floor_bytes < all / 4 ? floor_bytes : all / 4) / parts;
}

bool wf_store_dir_is_full(const char *dir, uint64_t floor_bytes)
{
    return is_below(dir, floor_bytes, 1);
}

bool wf_store_dir_refuses(const char *dir, uint64_t floor_bytes, bool makes_room)
{
    return is_below(dir, floor_bytes, makes_room ? 2 : 1);
}

static uint64_t bytes_of_files(const char *dir, const char *end)
{
    uint64_t sum = 0;
    DIR *handle = opendir(dir);
    if (handle == NULL) return 0;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        struct stat info;
        if (ends_with(item->d_name, end) && fstatat(dirfd(handle), item->d_name, &info, 0) == 0 &&
            S_ISREG(info.st_mode))
            sum += (uint64_t)info.st_size;
    }
    closedir(handle);
    return sum;
}

uint64_t wf_store_dir_bytes(const char *dir) { return bytes_of_files(dir, ""); }

uint64_t wf_store_dir_log_bytes(const char *dir) { return bytes_of_files(dir, ".log"); }

/* Of a directory that is not there yet its parent's volume counts. */
static int volume_of(const char *dir, struct statvfs *out)
{
    char parent[PATH_BYTES_MAX];
    int failed = statvfs(dir, out);
    if (failed == 0 || errno != ENOENT || !path_join(parent, dir, "..")) return failed;
    char *end = parent + strlen(dir);
    while (end > parent && end[-1] == '/') end--;
    while (end > parent && end[-1] != '/') end--;
    memcpy(end, ".", 2);
    return statvfs(parent, out);
}

bool wf_store_dir_is_small(const char *dir, uint64_t floor_bytes)
{
    struct statvfs info;
    if (volume_of(dir, &info) != 0) return false;
    uint64_t all = (uint64_t)info.f_blocks * info.f_frsize;
    return all > 0 && all / 4 < floor_bytes;
}

weft_err wf_store_dir_has_room(const char *dir)
{
    struct statvfs info;
    if (volume_of(dir, &info) != 0) return WEFT_OK; /* the opening itself will tell */
    uint64_t all = (uint64_t)info.f_blocks * info.f_frsize;
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (all == 0) return WEFT_OK; /* a file system that does not say */
    uint64_t logs = wf_store_dir_log_bytes(dir);
    uint64_t need = (OPEN_ROOM_BYTES < all / 8 ? OPEN_ROOM_BYTES : all / 8) + logs + logs / 8;
    if (free_bytes >= need) return WEFT_OK;
    return wf_fail(WEFT_NO_SPACE, "store", "path=%s has %llu KiB of room, opening it needs %llu",
                   dir, (unsigned long long)(free_bytes >> 10), (unsigned long long)(need >> 10));
}

/* Such a lock does not know its process; who took it wrote its number into the file. */
static int written_holder(int fd)
{
    char text[24] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
    return (int)strtol(text, NULL, 10);
}

int wf_store_dir_holder(const char *dir)
{
    char path[PATH_BYTES_MAX];
    if (!path_join(path, dir, "LOCK")) return 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return 0;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int failed = fcntl(fd, F_GETLK, &lock), holder = (int)lock.l_pid;
    if (failed != 0 || lock.l_type == F_UNLCK) holder = 0;
    else if (holder == -1) holder = written_holder(fd); /* a lock of an open file: LMDB's */
    close(fd);
    return holder;
}
