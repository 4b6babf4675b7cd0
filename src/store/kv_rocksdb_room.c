/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_room.c - room on the disk for an opening, and who may have it.
 * Called by: kv_rocksdb.c. May touch: names in the directory, figures of the file system, a
 * lock on its uppermost folder. Never: creates anything; opens the database; waits for ever. */
#include "kv_rocksdb_room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "block.h"
#include "log.h"
#include "store_dir.h"

#define PATH_BYTES_MAX 4096
#define PLENTY_BYTES (UINT64_C(1) << 30) /* nobody counts openings at once, but for their logs */
#define PLENTY_LOGS 32u
#define LEVELS_MAX 256u       /* of folders above a store    */
#define NAP_NS (10 * WEFT_MS) /* until the lock is tried anew */

/* The directory, or its parent while it is not there yet. */
static bool existing(const char *dir, char out[PATH_BYTES_MAX])
{
    struct stat info;
    size_t len = strlen(dir);
    if (len + 2 >= PATH_BYTES_MAX) return false;
    memcpy(out, dir, len + 1);
    if (stat(dir, &info) == 0) return true;
    while (len > 0 && out[len - 1] == '/') len--;
    while (len > 0 && out[len - 1] != '/') len--;
    memcpy(out + len, ".", 2);
    return stat(out, &info) == 0;
}

static bool has_plenty(const char *dir, const char *at)
{
    struct statvfs info;
    if (statvfs(at, &info) != 0 || info.f_blocks == 0) return true; /* it does not say */
    uint64_t room = (uint64_t)info.f_bavail * info.f_frsize;
    return room >= PLENTY_BYTES + PLENTY_LOGS * wf_store_dir_log_bytes(dir);
}

/* The uppermost folder of the volume that may be read, *levels up: whoever opens a store
 * there comes to the same one. -1: none. The caller closes it. */
static int volume_folder(const char *at, unsigned *levels)
{
    struct stat here, above;
    int held = -1, fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &here) != 0) goto done;
    for (unsigned level = 0; level < LEVELS_MAX; level++) {
        int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (readable >= 0) {
            if (held >= 0) close(held);
            held = readable;
            *levels = level;
        }
        int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (up < 0) break;
        close(fd);
        fd = up;
        if (fstat(fd, &above) != 0 || above.st_dev != here.st_dev || above.st_ino == here.st_ino)
            break;
        here = above;
    }
done:
    if (fd >= 0) close(fd);
    return held;
}

/* The folder `level` levels above `at`, for people. */
static void name_folder(const char *at, unsigned level, char out[PATH_BYTES_MAX])
{
    if (realpath(at, out) == NULL) memcpy(out, "?", 2);
    for (; level > 0; level--) {
        char *slash = strrchr(out, '/');
        if (slash != NULL) slash[slash == out] = '\0'; /* the root's stays */
    }
}

static bool is_taken(int fd) { return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

/* Whoever has the lock need not be opening a store: it may be anybody's, and for ever. */
static bool stays_taken(int fd, weft_ns wait)
{
    for (weft_ns waited = 0; waited < wait; waited += NAP_NS) {
        wf_nap(NAP_NS);
        if (!is_taken(fd)) return false;
    }
    return true;
}

/* A file system without such locks is no worse off than without us. */
static weft_err lock_volume(const char *at, weft_ns wait, int *out)
{
    char name[PATH_BYTES_MAX];
    unsigned level = 0;
    int fd = volume_folder(at, &level);
    if (fd < 0) return WEFT_OK;
    bool taken = is_taken(fd);
    if (taken && wait > 0) {
        name_folder(at, level, name);
        wf_log(WEFT_LOG_WARN, "store",
               "path=%s is locked and has little room: waits for another store to be opened", name);
        taken = stays_taken(fd, wait);
    }
    if (!taken) {
        *out = fd;
        return WEFT_OK;
    }
    close(fd);
    if (wait == 0) return WEFT_AGAIN;
    return wf_fail(WEFT_BUSY, "store", "path=%s is locked by another process since %llu s", name,
                   (unsigned long long)(wait / WEFT_SEC));
}

weft_err wf_room_take(const char *dir, weft_ns wait, int *out)
{
    char at[PATH_BYTES_MAX];
    int held = -1;
    weft_err err = WEFT_OK;
    if (existing(dir, at) && !has_plenty(dir, at)) err = lock_volume(at, wait, &held);
    if (err == WEFT_OK) err = wf_store_dir_has_room(dir);
    if (err == WEFT_OK) *out = held;
    else wf_room_give(held);
    return err;
}

void wf_room_give(int held)
{
    if (held >= 0) close(held); /* and with it the lock */
}
