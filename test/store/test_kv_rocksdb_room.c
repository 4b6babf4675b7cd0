/* SPDX-License-Identifier: Apache-2.0
 * test_kv_rocksdb_room.c - stores that are opened on a nearly full disk: one after the other,
 * and nobody waits for ever.
 * Called by: the test runner. May touch: a directory of its own, the lock of the volume below it.
 * Never: fills the disk; a log without blocks makes it look nearly full. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <weft/log.h>

#include "kv_kit.h"
#include "kv_rocksdb_room.h"

#define LONG (60 * WEFT_SEC) /* nothing here waits as long */

static struct {
    int held; /* our lock; -1: none */
    bool gives_back;
    uint32_t waits;
    char last[512];
} seen;

static void listen_to(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    snprintf(seen.last, sizeof seen.last, "%s", line);
    if (strstr(line, "waits for another store") == NULL) return;
    seen.waits++;
    if (!seen.gives_back) return;
    wf_room_give(seen.held);
    seen.held = -1;
}

/* The room is enough for one opening, and not so much that nobody would count. */
static void setup(void)
{
    char path[128];
    struct statvfs info;
    kk_setup();
    cr_assert_eq(mkdir(kk_dir, 0700), 0);
    cr_assert_eq(statvfs(kk_dir, &info), 0);
    snprintf(path, sizeof path, "%s/000001.log", kk_dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)(info.f_bavail * info.f_frsize / 16)), 0);
    close(fd);
    seen.held = -1;
    weft_log_to(listen_to, NULL, WEFT_LOG_WARN);
    cr_assert_eq(wf_room_take(kk_dir, LONG, &seen.held), WEFT_OK);
    cr_assert_geq(seen.held, 0, "the disk does not look full");
    seen.waits = 0; /* for other tests at this moment, which have the same lock */
}

static void teardown(void)
{
    wf_room_give(seen.held);
    kk_teardown();
}

TestSuite(kv_rocksdb_room, .init = setup, .fini = teardown, .timeout = 60);

Test(kv_rocksdb_room, an_opening_waits_no_longer_than_it_may)
{
    int other = -1;
    cr_expect_eq(wf_room_take(kk_dir, 30 * WEFT_MS, &other), WEFT_BUSY);
    cr_expect_eq(other, -1);
    cr_expect_eq(seen.waits, 1);
}

Test(kv_rocksdb_room, the_log_names_the_folder_whose_lock_somebody_has)
{
    char folder[256] = "";
    struct stat named, locked;
    int other = -1;
    cr_assert_eq(wf_room_take(kk_dir, 30 * WEFT_MS, &other), WEFT_BUSY);
    cr_assert_eq(sscanf(seen.last, "path=%255s is locked", folder), 1, "%s", seen.last);
    cr_assert_eq(stat(folder, &named), 0, "%s", folder);
    cr_assert_eq(fstat(seen.held, &locked), 0);
    cr_expect(named.st_dev == locked.st_dev && named.st_ino == locked.st_ino, "%s", folder);
}

Test(kv_rocksdb_room, an_opening_goes_on_when_the_one_before_it_is_over)
{
    int other = -1;
    seen.gives_back = true;
    cr_assert_eq(wf_room_take(kk_dir, LONG, &other), WEFT_OK);
    cr_expect_geq(other, 0);
    cr_expect_eq(seen.waits, 1);
    wf_room_give(other);
}

Test(kv_rocksdb_room, an_opening_in_place_does_not_wait)
{
    int other = -1;
    cr_expect_eq(wf_room_take(kk_dir, 0, &other), WEFT_AGAIN);
    cr_expect_eq(seen.waits, 0);
}
