/* SPDX-License-Identifier: Apache-2.0
 * full.c - a disk that fills up under a store and has room again: commits are refused, reads
 * go on, nothing is lost, and the same process commits again afterwards.
 * Called by: main.c. May touch: a tmpfs that only this process and its children see.
 * Never: fills anybody else's disk. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define SIZE_OPTION "size=64m"
#define COMMITS 30u /* of each lane and phase */
#define PHASE_NS (60 * WEFT_SEC)
#define FLOOR_KIB 16384u /* a quarter of so small a volume; below it writes are refused */
#define ROOM_MAX_KIB 15000u

static bool has_read(const tt_child *c) { return c->was_read; }

/* Leaves `kib` of the volume free, by a file that the store does not look at. */
static void leave_room(int fd, uint32_t kib)
{
    struct statvfs info;
    if (fstatvfs(fd, &info) != 0) tt_die("statvfs");
    off_t held = lseek(fd, 0, SEEK_END);
    off_t grow = (off_t)(info.f_bavail * info.f_frsize) - ((off_t)kib << 10);
    if (grow > 0 && posix_fallocate(fd, held, grow) != 0 && kib > 0) tt_die("the ballast");
}

/* Lets the victim commit once more; `full`: the disk is filled, before it begins or (`race`)
 * while it does so. False: `why`. */
static bool phase(tt_torture *t, tt_child *c, int ballast, bool full, bool race, char *why)
{
    c->was_read = false;
    c->failed = 0;
    c->acked = 0;
    if (race) leave_room(ballast, FLOOR_KIB + 200); /* the rest while it commits */
    else if (full) leave_room(ballast, tt_below(t, ROOM_MAX_KIB));
    if (!full && ftruncate(ballast, 0) != 0) tt_die("the ballast");
    if (write(c->go, "g", 1) != 1) return snprintf(why, 200, "it ended before its time"), false;
    if (race) leave_room(ballast, 0);
    tt_child_listen(c, tt_now() + PHASE_NS, has_read);
    if (!c->was_read) snprintf(why, 200, "%s", c->ended ? "it ended" : "it hung");
    else if (c->read.unread > 0) snprintf(why, 200, "%u entries cannot be read", c->read.unread);
    else if (full && !race && c->failed == 0) snprintf(why, 200, "a full disk refused nothing");
    else if (full && !race && c->fail_err != WEFT_NO_SPACE)
        snprintf(why, 200, "a full disk answered %s", weft_errname(c->fail_err));
    else if (!full && (c->failed > 0 || c->acked == 0))
        snprintf(why, 200, "with room again a commit answered %s", weft_errname(c->fail_err));
    else return true;
    return false;
}

/* One process that meets a full disk three times. */
static bool one_life(tt_torture *t, const char *dir, int ballast, uint32_t *refused,
                     uint32_t *acked, char *why)
{
    tt_ledger ledger = {0};
    tt_plan plan = {.dir = dir, .lanes = TT_LANES, .commits = COMMITS, .refill = true};
    tt_child c;
    tt_child_start(t, &plan, &ledger, NULL, &c);
    tt_child_listen(&c, tt_now() + PHASE_NS, has_read);
    bool good = c.was_read && c.failed == 0;
    if (!good) snprintf(why, 200, "with all its room it committed nothing");
    for (int i = 0; good && i < 3; i++) {
        good = phase(t, &c, ballast, true, i == 1, why);
        *refused += c.failed;
        good = good && phase(t, &c, ballast, false, false, why);
        *acked += good ? c.acked : 0;
    }
    close(c.go); /* nothing more is wanted: it closes the store */
    c.go = -1;
    bool ended = tt_child_wait(&c, PHASE_NS);
    if (good && (!ended || !WIFEXITED(c.status) || WEXITSTATUS(c.status) != 0))
        good = false, snprintf(why, 200, "it did not end well: status 0x%x", (unsigned)c.status);
    if (ftruncate(ballast, 0) != 0) tt_die("the ballast");
    if (good) good = tt_look(t, dir, &ledger, true, why);
    return good;
}

void tt_full(tt_torture *t, const tt_work *work, tt_line *line)
{
    char mount_at[160], dir[176], path[176], why[200] = "";
    uint32_t done = 0, refused = 0, acked = 0;
    tt_path(mount_at, sizeof mount_at, t->dir, "full");
    tt_path(dir, sizeof dir, mount_at, "store");
    tt_path(path, sizeof path, mount_at, "ballast");
    tt_dir_make(mount_at);
    if (!tt_mounts_private() || mount("tmpfs", mount_at, "tmpfs", 0, SIZE_OPTION) != 0) {
        tt_skip(line, "no mounts are allowed here");
        return;
    }
    int ballast = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ballast < 0) tt_die(path);
    bool good = true;
    while (good && tt_go_on(t, done, work->rounds, work->least)) {
        tt_dir_remove(dir);
        good = one_life(t, dir, ballast, &refused, &acked, why);
        done += good;
    }
    close(ballast);
    umount(mount_at);
    if (!good) tt_bad(line, "after %u lives: %s", done, why);
    else
        tt_ok(line,
              "%u lives, the disk full 3 times in each, %u commits refused, %u acknowledged "
              "after it in the same process, 0 lost",
              done, refused, acked);
}
