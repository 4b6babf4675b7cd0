/* SPDX-License-Identifier: Apache-2.0
 * secret_file.c - small files for their owner alone: read with suspicion, written whole or not.
 * Called by: keys.c, keystore.c. May touch: the file, the one beside it, their directory.
 * Never: follows a symbolic link to the file, logs what is in it. */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "crypto.h"
#include "log.h"

#define BESIDE ".new"
enum { TRIES_MAX = 1000, EXPECT_BYTES_MAX = 256 };

/* -- Reading ----------------------------------------------------------------------------- */

/* A link is refused because the modes that are checked below would be those of the
 * target, while whoever may write the link's directory could change the target. */
static weft_err open_and_check(const char *path, int *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return WEFT_NOT_FOUND;
    if (fd < 0 && errno == ELOOP) {
        return wf_fail(WEFT_KEY_FILE, "keys", "the key file %s is a symbolic link", path);
    }
    if (fd < 0) {
        return wf_fail(WEFT_KEY_FILE, "keys", "the key file %s cannot be opened: %s", path,
                       strerror(errno));
    }
    struct stat st;
    weft_err err = WEFT_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err = wf_fail(WEFT_KEY_FILE, "keys", "the key file %s is not a regular file", path);
    } else if (st.st_uid != geteuid()) {
        err = wf_fail(WEFT_KEY_FILE, "keys", "the key file %s belongs to another user", path);
    } else if ((st.st_mode & 0777) != 0600 && (st.st_mode & 0777) != 0400) {
        err = wf_fail(WEFT_KEY_FILE, "keys", "the key file %s has mode %03o; run chmod 600 on it",
                      path, (unsigned)st.st_mode & 0777u);
    }
    if (err != WEFT_OK) {
        close(fd);
        return err;
    }
    *out = fd;
    return WEFT_OK;
}

weft_err wf_secret_read(const char *path, void *out, size_t room, size_t *len)
{
    int fd = -1;
    size_t got = 0;
    weft_err err = open_and_check(path, &fd);
    if (err != WEFT_OK) return err;
    while (got < room) {
        ssize_t n = read(fd, (char *)out + got, room - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            err = wf_fail(WEFT_KEY_FILE, "keys", "the key file %s cannot be read: %s", path,
                          strerror(errno));
        }
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(fd);
    *len = got;
    return err;
}

/* -- Writing ------------------------------------------------------------------------------- */

static weft_err write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return WEFT_IO;
        data += n;
        len -= (size_t)n;
    }
    return WEFT_OK;
}

/* A name is on disk only when its directory is. */
static weft_err sync_directory_of(char *path)
{
    char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? "." : slash == path ? "/" : path;
    if (slash != NULL && slash != path) *slash = '\0';
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (slash != NULL) *slash = '/';
    weft_err err = fd >= 0 && fsync(fd) == 0 ? WEFT_OK : WEFT_IO;
    int why = errno;
    if (fd >= 0) close(fd);
    errno = why;
    return err;
}

/* Opens the file beside and locks it. Another writer may have renamed it while we waited: then
 * it is the file itself by now, and must not be touched. */
static weft_err open_beside(const char *beside, int *out)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        struct stat mine, named;
        int fd = open(beside, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0) return WEFT_IO;
        int failed;
        do failed = flock(fd, LOCK_EX);
        while (failed != 0 && errno == EINTR);
        bool same = failed == 0 && fstat(fd, &mine) == 0 && S_ISREG(mine.st_mode) &&
                    mine.st_uid == geteuid() && mine.st_nlink == 1 && lstat(beside, &named) == 0 &&
                    mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
        /* The mode of open is cut by the umask, which may be stricter than we can read back. */
        if (same && fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0) {
            *out = fd;
            return WEFT_OK;
        }
        int why = errno;
        close(fd);
        errno = why;
        if (failed != 0 || same) return WEFT_IO;
    }
    errno = EBUSY;
    return WEFT_IO;
}

/* Is the file still what the writer believes it to be? Logs unless it is EXISTS. */
static weft_err check_present(const char *path, const void *expect, size_t expect_len)
{
    uint8_t now[EXPECT_BYTES_MAX];
    size_t len = 0;
    struct stat st;
    if (expect == NULL) {
        if (lstat(path, &st) == 0) return WEFT_EXISTS;
        return errno == ENOENT ? WEFT_OK
                               : wf_fail(WEFT_IO, "keys", "the key file %s cannot be created: %s",
                                         path, strerror(errno));
    }
    WF_ASSERT(expect_len <= sizeof now);
    weft_err err = wf_secret_read(path, now, expect_len, &len);
    bool same = err == WEFT_OK && len == expect_len && memcmp(now, expect, expect_len) == 0;
    wf_crypto_wipe(now, sizeof now);
    if (same || (err != WEFT_OK && err != WEFT_NOT_FOUND)) return err;
    return wf_fail(WEFT_KEY_FILE, "keys", "the key file %s was changed by somebody else", path);
}

static int rename_to(const char *beside, const char *path, bool fresh)
{
    if (!fresh) return rename(beside, path);
    int failed = renameat2(AT_FDCWD, beside, AT_FDCWD, path, RENAME_NOREPLACE);
    /* Some file systems cannot: that nothing has the name was looked at a moment ago. */
    if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) failed = rename(beside, path);
    return failed;
}

weft_err wf_secret_write(const char *path, const void *expect, size_t expect_len, const void *data,
                         size_t len, bool *there)
{
    int fd = -1;
    *there = false;
    weft_err err = check_present(path, expect, expect_len); /* and again under the lock */
    if (err != WEFT_OK) return err;
    char *beside = wf_malloc(strlen(path) + sizeof BESIDE);
    if (beside == NULL) return WEFT_NO_MEMORY;
    memcpy(beside, path, strlen(path));
    memcpy(beside + strlen(path), BESIDE, sizeof BESIDE);

    err = open_beside(beside, &fd);
    if (err != WEFT_OK) {
        err = wf_fail(err, "keys", "the file %s cannot be created: %s", beside, strerror(errno));
        goto done;
    }
    err = check_present(path, expect, expect_len);
    if (err != WEFT_OK) {
        (void)unlink(beside);
        goto done;
    }
    err = write_all(fd, data, len);
    if (err == WEFT_OK && fsync(fd) != 0) err = WEFT_IO;
    if (err == WEFT_OK && rename_to(beside, path, expect == NULL) != 0)
        err = errno == EEXIST ? WEFT_EXISTS : WEFT_IO;
    *there = err == WEFT_OK;
    if (err == WEFT_OK) err = sync_directory_of(beside);
    if (err == WEFT_OK) goto done;
    int why = errno;
    if (!*there) (void)unlink(beside); /* ours as long as it is locked */
    else if (expect == NULL) {
        (void)unlink(path); /* nothing was there, and nobody has heard of it */
        *there = false;
    }
    if (err != WEFT_EXISTS)
        err = wf_fail(err, "keys", "the key file %s cannot be written: %s", path, strerror(why));
done:
    if (fd >= 0) close(fd); /* and gives the lock back */
    wf_free(beside);
    return err;
}
