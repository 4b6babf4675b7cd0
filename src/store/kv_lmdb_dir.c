/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb_dir.c - the files of an LMDB store, and its lock.
 * Called by: kv_lmdb.c alone. May touch: DIR/LOCK, names, lengths and room of the others.
 * Never: reads or changes what is in the database. */
#include "kv_lmdb_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/limits.h>

#include "log.h"
#include "store_dir.h"

#define PATH_BYTES_MAX 4096
/* LMDB takes as many readers as its table has room for, 64 bytes each. */
#define TABLE_BYTES (64 * (off_t)WEFT_STORE_LMDB_READERS)
#define HEADER_BYTES_MIN 4096 /* a database begins with two pages */

static weft_err join(char out[PATH_BYTES_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    if (len > 0 && len < PATH_BYTES_MAX) return WEFT_OK;
    return wf_fail(WEFT_INVALID, "store", "the path is too long");
}

static weft_err fail_errno(const char *what, const char *path, int number)
{
    weft_err err = number == ENOSPC || number == EDQUOT ? WEFT_NO_SPACE : WEFT_IO;
    return wf_fail(err, "store", "%s path=%s: %s", what, path, strerror(number));
}

/* -- The lock ----------------------------------------------------------------------- */

static weft_err refuse(const char *dir)
{
    int holder = wf_store_dir_holder(dir);
    if (holder == (int)getpid())
        return wf_fail(WEFT_LOCKED, "store", "path=%s is open in this process already", dir);
    if (holder == 0) return wf_fail(WEFT_LOCKED, "store", "path=%s is in use", dir);
    return wf_fail(WEFT_LOCKED, "store", "path=%s is in use by process %d", dir, holder);
}

/* The lock belongs to the open file and not to the process, so a second handle of this one
 * meets it too, and whoever asks who it is takes nothing away by closing the file. Such a lock
 * does not know its process: that stands in the file. */
weft_err wf_lmdb_dir_lock(const char *dir, int *out_fd)
{
    char path[PATH_BYTES_MAX], text[24];
    weft_err err = join(path, dir, "LOCK");
    if (err != WEFT_OK) return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno("open", path, errno);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        int number = errno;
        close(fd);
        return number == EAGAIN || number == EACCES ? refuse(dir)
                                                    : fail_errno("lock", path, number);
    }
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* On a full disk the file may stay empty; the lock holds, without a name. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        wf_log(WEFT_LOG_WARN, "store", "path=%s cannot be written: the lock has no name", path);
    *out_fd = fd;
    return WEFT_OK;
}

void wf_lmdb_dir_unlock(int fd)
{
    if (fd < 0) return;
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(fd, F_OFD_SETLK, &lock); /* a forked child may hold the open file, too */
    close(fd);
}

weft_err wf_lmdb_dir_may_read(const char *dir)
{
    return wf_store_dir_holder(dir) == (int)getpid() ? refuse(dir) : WEFT_OK;
}

/* -- The files ---------------------------------------------------------------------- */

static weft_err make_table(const char *dir)
{
    char path[PATH_BYTES_MAX];
    weft_err err = join(path, dir, "lock.mdb");
    if (err != WEFT_OK) return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno("open", path, errno);
    struct stat info;
    bool there = fstat(fd, &info) == 0 && info.st_size >= TABLE_BYTES;
    int number = there ? 0 : posix_fallocate(fd, 0, TABLE_BYTES);
    close(fd);
    return number == 0 ? WEFT_OK : fail_errno("make room", path, number);
}

weft_err wf_lmdb_dir_prepare(const char *dir, bool may_write, bool *has_table)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    weft_err err = join(path, dir, "data.mdb");
    if (err != WEFT_OK) return err;
    if (stat(path, &info) != 0) return fail_errno("open", path, errno);
    if (info.st_size < HEADER_BYTES_MIN)
        return wf_fail(WEFT_CORRUPT, "store", "path=%s is cut to %lld bytes", path,
                       (long long)info.st_size);
    if (may_write) err = make_table(dir);
    if (err == WEFT_OK) err = join(path, dir, "lock.mdb");
    if (err == WEFT_OK) *has_table = stat(path, &info) == 0;
    return err;
}

weft_err wf_lmdb_dir_extend(const char *dir, unsigned long long bytes)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    weft_err err = join(path, dir, "data.mdb");
    if (err != WEFT_OK) return err;
    if (stat(path, &info) == 0 && (unsigned long long)info.st_size >= bytes) return WEFT_OK;
    return truncate(path, (off_t)bytes) == 0 ? WEFT_OK : fail_errno("extend", path, errno);
}

bool wf_lmdb_dir_has_database(const char *dir)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    return join(path, dir, "data.mdb") == WEFT_OK && stat(path, &info) == 0;
}

weft_err wf_lmdb_dir_remove_new(const char *dir)
{
    char path[PATH_BYTES_MAX];
    weft_err err = join(path, dir, WF_LMDB_DATA_NEW);
    if (err != WEFT_OK || unlink(path) == 0 || errno == ENOENT) return err;
    return fail_errno("remove", path, errno);
}

weft_err wf_lmdb_dir_publish_new(const char *dir)
{
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    weft_err err = join(from, dir, WF_LMDB_DATA_NEW);
    if (err == WEFT_OK) err = join(to, dir, "data.mdb");
    if (err == WEFT_OK && rename(from, to) != 0) err = fail_errno("rename", from, errno);
    return err == WEFT_OK ? wf_store_dir_sync(dir) : err;
}

weft_err wf_lmdb_dir_create_copy(const char *dir)
{
    return mkdir(dir, 0700) == 0 ? WEFT_OK : fail_errno("create", dir, errno);
}

weft_err wf_lmdb_dir_finish_copy(const char *dir)
{
    char path[PATH_BYTES_MAX];
    weft_err err = join(path, dir, "data.mdb");
    if (err != WEFT_OK) return err;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return fail_errno("open", path, errno);
    int failed = fchmod(fd, 0600) != 0 || fsync(fd) != 0, number = errno;
    close(fd);
    return failed ? fail_errno("sync", path, number) : wf_store_dir_mark(dir);
}
