/* SPDX-License-Identifier: Apache-2.0
 * renew_files.c - how the files of a new store and of a damaged one change places, whatever
 * interrupts it. Called by: renew.c, weft.c. May touch: names in the directory of a store.
 * Never: opens a database; removes a file of one that is in use. */
#include "renew_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/limits.h>

#include "log.h"
#include "store_copy.h"
#include "store_dir.h"

#define PART "renewed.part"
#define ASIDE "damaged-"
#define LIST "left-out"
#define PLACE "place" /* in the new store: the number of the old one's */

static weft_err fail(const char *what, const char *path)
{
    weft_err err = errno == ENOSPC || errno == EDQUOT ? WEFT_NO_SPACE : WEFT_IO;
    return wf_fail(err, "store", "%s path=%s: %s", what, path, strerror(errno));
}

weft_err wf_renew_path(char out[WF_RENEW_PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(out, WF_RENEW_PATH_BYTES, "%s/%s", dir, name);
    if (len > 0 && len < WF_RENEW_PATH_BYTES) return WEFT_OK;
    return wf_fail(WEFT_INVALID, "store", "the path is too long");
}

/* -- Nobody else ------------------------------------------------------------------------------ */

/* A lock of the open file, not of the process, so closing another file does not let go of it. It does let
 * go of one of the engine's in this process, which nobody has: the directory is held first. */
static weft_err lock_file(const char *dir, int *out)
{
    char path[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(path, dir, "LOCK");
    if (err != WEFT_OK) return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail("open", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        err = errno == EAGAIN || errno == EACCES
                  ? wf_fail(WEFT_LOCKED, "store", "path=%s is in use", dir)
                  : fail("lock", path);
        close(fd);
        return err;
    }
    *out = fd;
    return WEFT_OK;
}

weft_err wf_renew_lock(const char *dir, struct wf_renew_lock *out)
{
    struct wf_renew_lock lock = {.fd = -1};
    weft_err err = wf_dir_hold(dir, &lock.held);
    if (err == WEFT_OK) err = lock_file(dir, &lock.fd);
    if (err == WEFT_OK) *out = lock;
    else wf_dir_let_go(lock.held);
    return err;
}

void wf_renew_unlock(struct wf_renew_lock *lock)
{
    if (lock->held == NULL) return;
    struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(lock->fd, F_OFD_SETLK, &none); /* a forked child may hold the open file, too */
    close(lock->fd);
    wf_dir_let_go(lock->held);
    lock->held = NULL;
}

/* -- Old stores -------------------------------------------------------------------------------- */

static unsigned number_of(const char *name)
{
    size_t len = strlen(ASIDE);
    char *end;
    if (strncmp(name, ASIDE, len) != 0 || name[len] < '1' || name[len] > '9') return 0;
    unsigned long number = strtoul(name + len, &end, 10);
    return *end == '\0' && number <= WEFT_STORE_ASIDES_MAX ? (unsigned)number : 0;
}

unsigned wf_renew_newest(const char *dir)
{
    unsigned newest = 0;
    DIR *handle = opendir(dir);
    if (handle == NULL) return 0;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        unsigned number = number_of(item->d_name);
        if (number > newest) newest = number;
    }
    closedir(handle);
    return newest;
}

static weft_err aside_of(char out[WF_RENEW_PATH_BYTES], const char *dir, unsigned number)
{
    char name[32];
    snprintf(name, sizeof name, "%s%u", ASIDE, number);
    return wf_renew_path(out, dir, name);
}

static weft_err write_file(const char *dir, const char *name, const void *bytes, size_t len)
{
    char path[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(path, dir, name);
    if (err != WEFT_OK) return err;
    FILE *file = fopen(path, "we");
    if (file == NULL) return fail("create", path);
    bool good = fwrite(bytes, 1, len, file) == len && fflush(file) == 0 && fsync(fileno(file)) == 0;
    err = good ? WEFT_OK : fail("write", path);
    if (fclose(file) != 0 && err == WEFT_OK) err = fail("write", path);
    return err;
}

/* The first number that nothing has. */
static weft_err free_aside(char out[WF_RENEW_PATH_BYTES], const char *dir, unsigned *number)
{
    for (*number = 1; *number <= WEFT_STORE_ASIDES_MAX; ++*number) {
        weft_err err = aside_of(out, dir, *number);
        if (err != WEFT_OK || !wf_store_dir_exists(out)) return err;
    }
    return wf_fail(WEFT_CORRUPT, "store", "path=%s has %u damaged stores beside it already", dir,
                   WEFT_STORE_ASIDES_MAX);
}

/* A new directory for the old files, with the list of what is nowhere else. */
static weft_err make_aside(const char *dir, const weft_id *ids, uint64_t count, unsigned *number)
{
    char path[WF_RENEW_PATH_BYTES];
    weft_err err = free_aside(path, dir, number);
    if (err == WEFT_OK) err = wf_store_dir_create(path);
    if (err == WEFT_OK && count > 0) err = write_file(path, LIST, ids, count * sizeof *ids);
    if (err == WEFT_OK) err = wf_store_dir_sync(path);
    if (err == WEFT_OK) err = wf_store_dir_sync(dir);
    return err;
}

weft_err wf_renew_left_out(const char *dir, unsigned number,
                           weft_err (*fn)(void *arg, const weft_id *id), void *arg)
{
    char aside[WF_RENEW_PATH_BYTES], path[WF_RENEW_PATH_BYTES];
    weft_id id;
    weft_err err = aside_of(aside, dir, number);
    if (err == WEFT_OK) err = wf_renew_path(path, aside, LIST);
    if (err != WEFT_OK) return err;
    FILE *file = fopen(path, "re");
    if (file == NULL) return errno == ENOENT ? WEFT_OK : fail("open", path);
    while (err == WEFT_OK && fread(&id, sizeof id, 1, file) == 1) err = fn(arg, &id);
    if (err == WEFT_OK && ferror(file)) err = fail("read", path);
    fclose(file);
    return err;
}

weft_err wf_renew_forget(const char *dir, unsigned number)
{
    char path[WF_RENEW_PATH_BYTES];
    weft_err err = aside_of(path, dir, number);
    return err == WEFT_OK ? wf_store_dir_remove(path) : err;
}

/* -- Changing places --------------------------------------------------------------------------- */

static bool moves(const char *name)
{
    return wf_store_dir_is_of_database(name) || strcmp(name, WF_STORE_DIR_DAMAGED) == 0;
}

static weft_err move(const char *from_dir, const char *to_dir, const char *name)
{
    char from[WF_RENEW_PATH_BYTES], to[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(from, from_dir, name);
    if (err == WEFT_OK) err = wf_renew_path(to, to_dir, name);
    if (err != WEFT_OK || rename(from, to) == 0) return err;
    if (errno == ENOENT && !wf_store_dir_exists(from)) return WEFT_OK;
    return fail("rename", from);
}

/* All but CURRENT. Until a pass finds none: a directory that changes may be listed in part. */
static weft_err move_files(const char *from, const char *to)
{
    weft_err err = WEFT_OK;
    for (bool more = true; more && err == WEFT_OK;) {
        more = false;
        DIR *handle = opendir(from);
        if (handle == NULL) return fail("open directory", from);
        for (struct dirent *item; err == WEFT_OK && (item = readdir(handle)) != NULL;) {
            if (!moves(item->d_name) || strcmp(item->d_name, "CURRENT") == 0) continue;
            err = move(from, to, item->d_name);
            more = true;
        }
        closedir(handle);
    }
    if (err == WEFT_OK) err = wf_store_dir_sync(to);
    return err == WEFT_OK ? wf_store_dir_sync(from) : err;
}

/* Where the old files go. The new store says it; one that does not was made when it was the newest. */
static weft_err find_aside(char out[WF_RENEW_PATH_BYTES], const char *dir, const char *whole)
{
    char path[WF_RENEW_PATH_BYTES];
    unsigned number = wf_renew_newest(dir);
    uint8_t said;
    weft_err err = wf_renew_path(path, whole, PLACE);
    if (err != WEFT_OK) return err;
    FILE *file = fopen(path, "re");
    if (file == NULL && errno != ENOENT) return fail("open", path);
    if (file != NULL) {
        if (fread(&said, 1, 1, file) == 1) number = said;
        fclose(file);
    }
    err = aside_of(out, dir, number);
    if (err != WEFT_OK || wf_store_dir_exists(out)) return err;
    return wf_fail(WEFT_CORRUPT, "store",
                   "path=%s is gone, to which the old files go: make that directory again", out);
}

/* While both stores are on their way there is no CURRENT, without which nothing opens. */
static weft_err old_leaves(const char *dir, const char *whole, const char *moving)
{
    char aside[WF_RENEW_PATH_BYTES];
    weft_err err = find_aside(aside, dir, whole);
    if (err == WEFT_OK) err = move(dir, aside, "CURRENT");
    if (err == WEFT_OK) err = wf_store_dir_sync(aside);
    if (err == WEFT_OK) err = wf_store_dir_sync(dir);
    if (err == WEFT_OK) err = move_files(dir, aside);
    if (err == WEFT_OK && rename(whole, moving) != 0) err = fail("rename", whole);
    return err == WEFT_OK ? wf_store_dir_sync(dir) : err;
}

static weft_err new_enters(const char *dir, const char *moving)
{
    weft_err err = move_files(moving, dir);
    if (err == WEFT_OK) err = move(moving, dir, "CURRENT");
    if (err == WEFT_OK) err = wf_store_dir_sync(dir);
    return err == WEFT_OK ? wf_store_dir_remove(moving) : err;
}

static weft_err change_places(const char *dir)
{
    char whole[WF_RENEW_PATH_BYTES], moving[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(whole, dir, WF_STORE_DIR_WHOLE);
    if (err == WEFT_OK) err = wf_renew_path(moving, dir, WF_STORE_DIR_MOVING);
    if (err == WEFT_OK && wf_store_dir_exists(whole)) err = old_leaves(dir, whole, moving);
    if (err == WEFT_OK && wf_store_dir_exists(moving)) err = new_enters(dir, moving);
    return err;
}

weft_err wf_renew_swap(const char *dir, const weft_id *left_out, uint64_t count, unsigned *number)
{
    char part[WF_RENEW_PATH_BYTES], whole[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(part, dir, PART);
    if (err == WEFT_OK) err = wf_renew_path(whole, dir, WF_STORE_DIR_WHOLE);
    if (err == WEFT_OK) err = make_aside(dir, left_out, count, number);
    const uint8_t place = (uint8_t)*number;
    if (err == WEFT_OK) err = write_file(part, PLACE, &place, sizeof place);
    if (err == WEFT_OK) err = wf_store_dir_sync(part);
    if (err == WEFT_OK) err = wf_store_dir_rename(part, whole);
    /* Else each try that the disk refuses would take a number for good. */
    if (err != WEFT_OK && *number > 0 && *number <= WEFT_STORE_ASIDES_MAX &&
        !wf_store_dir_exists(whole))
        (void)wf_renew_forget(dir, *number);
    return err == WEFT_OK ? change_places(dir) : err;
}

bool wf_renew_is_half(const char *dir)
{
    char whole[WF_RENEW_PATH_BYTES], moving[WF_RENEW_PATH_BYTES], current[WF_RENEW_PATH_BYTES];
    if (wf_renew_path(whole, dir, WF_STORE_DIR_WHOLE) != WEFT_OK ||
        wf_renew_path(moving, dir, WF_STORE_DIR_MOVING) != WEFT_OK ||
        wf_renew_path(current, dir, "CURRENT") != WEFT_OK)
        return false;
    return wf_store_dir_exists(whole) ||
           (wf_store_dir_exists(moving) && !wf_store_dir_exists(current));
}

weft_err wf_renew_resume(const char *dir)
{
    char whole[WF_RENEW_PATH_BYTES], moving[WF_RENEW_PATH_BYTES];
    char copy[WF_RENEW_PATH_BYTES];
    struct wf_renew_lock lock = {0};
    weft_err err = wf_renew_path(whole, dir, WF_STORE_DIR_WHOLE);
    if (err == WEFT_OK) err = wf_renew_path(moving, dir, WF_STORE_DIR_MOVING);
    if (err == WEFT_OK) err = wf_renew_path(copy, dir, WF_RENEW_COPY);
    if (err != WEFT_OK || (!wf_store_dir_exists(whole) && !wf_store_dir_exists(moving))) return err;
    err = wf_renew_lock(dir, &lock);
    if (err == WEFT_OK) err = change_places(dir);
    if (err == WEFT_OK) err = wf_store_dir_remove(copy); /* it has the tables of the old one, too */
    wf_renew_unlock(&lock);
    return err;
}
