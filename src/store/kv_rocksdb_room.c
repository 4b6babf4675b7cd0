/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_room.c - room on the disk for an opening, and who may have it.
 * Called by: kv_rocksdb.c. May touch: names in the directory, figures of the file system, a
 * lock on its uppermost folder. Never: creates anything; opens the database. */
#include "kv_rocksdb_room.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "store_dir.h"

#define PATH_BYTES_MAX 4096
#define PLENTY_BYTES (UINT64_C(1) << 30) /* nobody counts openings at once, but for their logs */
#define PLENTY_LOGS 32u
#define LEVELS_MAX 256 /* of folders above a store */

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

/* The uppermost folder of the volume that may be read: whoever opens a store there comes to
 * the same one. -1: none. The caller closes it. */
static int volume_folder(const char *at)
{
    struct stat here, above;
    int held = -1, fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &here) != 0) goto done;
    for (int level = 0; level < LEVELS_MAX; level++) {
        int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (readable >= 0) {
            if (held >= 0) close(held);
            held = readable;
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

/* A file system without such locks is no worse off than without us. */
static weft_err lock_volume(const char *at, bool wait, int *out)
{
    int failed, fd = volume_folder(at);
    if (fd < 0) return WEFT_OK;
    failed = flock(fd, LOCK_EX | LOCK_NB);
    if (failed != 0 && errno == EWOULDBLOCK && wait) {
        wf_log(WEFT_LOG_WARN, "store",
               "little room on the disk: waits until another store on it has been opened");
        do failed = flock(fd, LOCK_EX);
        while (failed != 0 && errno == EINTR);
    }
    bool busy = failed != 0 && errno == EWOULDBLOCK;
    if (failed == 0) *out = fd;
    else close(fd);
    return busy ? WEFT_AGAIN : WEFT_OK;
}

weft_err wf_room_take(const char *dir, bool wait, int *out)
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
