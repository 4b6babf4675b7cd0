/* SPDX-License-Identifier: Apache-2.0
 * keys.c - the key file of a node: one line, for its owner alone.
 * Called by: weft.c and programs, when a node opens. May touch: the key file and its directory.
 * Never: overwrites a file, follows a symbolic link to the file, logs a secret. */
#include <weft/entry.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "crypto.h"
#include "ids.h"
#include "log.h"

static const char line_prefix[] = "weft-key-1 ed25519 ";
enum {
    SEED_BYTES = 32,
    PREFIX_LEN = sizeof line_prefix - 1,
    LINE_LEN = PREFIX_LEN + 2 * SEED_BYTES + 1 /* the line end */
};

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

/* Reads up to `room` bytes; more in the file shows as a full buffer. */
static ssize_t read_all(int fd, char *out, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t n = read(fd, out + len, room - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

weft_err weft_keypair_load(const char *path, weft_keypair **out)
{
    char line[LINE_LEN + 1];
    uint8_t seed[SEED_BYTES];
    int fd = -1;
    weft_err err = open_and_check(path, &fd);
    if (err != WEFT_OK) return err;

    ssize_t len = read_all(fd, line, sizeof line);
    if (len < 0) {
        err = wf_fail(WEFT_KEY_FILE, "keys", "the key file %s cannot be read: %s", path,
                      strerror(errno));
    } else if (len != LINE_LEN || line[LINE_LEN - 1] != '\n' ||
               memcmp(line, line_prefix, PREFIX_LEN) != 0 ||
               wf_hex_read(line + PREFIX_LEN, SEED_BYTES, seed) != WEFT_OK) {
        err = wf_fail(WEFT_KEY_FILE, "keys",
                      "the key file %s is not one line \"%s\" and 64 lower-case hex digits", path,
                      line_prefix);
    } else {
        err = weft_keypair_from_seed(seed, out);
    }
    close(fd);
    wf_crypto_wipe(line, sizeof line);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

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

/* A new file's name is on disk only when its directory is. */
static weft_err sync_directory_of(const char *path)
{
    char *dir = wf_strdup(path);
    if (dir == NULL) return WEFT_NO_MEMORY;
    char *slash = strrchr(dir, '/');
    const char *name = slash == NULL ? "." : slash == dir ? "/" : dir;
    if (slash != NULL && slash != dir) *slash = '\0';

    weft_err err = WEFT_IO;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) == 0) err = WEFT_OK;
    if (fd >= 0) close(fd);
    wf_free(dir);
    return err;
}

weft_err weft_keypair_save(const weft_keypair *pair, const char *path)
{
    char line[LINE_LEN];
    uint8_t seed[SEED_BYTES];

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST) return WEFT_EXISTS;
    if (fd < 0) {
        return wf_fail(WEFT_IO, "keys", "the key file %s cannot be created: %s", path,
                       strerror(errno));
    }
    wf_keypair_seed(pair, seed);
    memcpy(line, line_prefix, PREFIX_LEN);
    wf_hex_write(seed, SEED_BYTES, line + PREFIX_LEN);
    line[LINE_LEN - 1] = '\n';

    /* The mode of open is cut by the umask, which may be stricter than we can read back. */
    weft_err err = fchmod(fd, 0600) == 0 ? write_all(fd, line, LINE_LEN) : WEFT_IO;
    if (err == WEFT_OK && fsync(fd) != 0) err = WEFT_IO;
    if (close(fd) != 0 && err == WEFT_OK) err = WEFT_IO;
    if (err == WEFT_OK) err = sync_directory_of(path);
    int why = errno;
    wf_crypto_wipe(line, sizeof line);
    wf_crypto_wipe(seed, sizeof seed);
    if (err != WEFT_OK) {
        (void)unlink(path); /* ours since O_EXCL; half a key would look like a broken one */
        return wf_fail(err, "keys", "the key file %s cannot be written: %s", path, strerror(why));
    }
    return WEFT_OK;
}
