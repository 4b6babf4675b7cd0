/* SPDX-License-Identifier: Apache-2.0
 * full.c - a disk that fills up under a store and has room again: commits are refused, reads
 * go on, nothing is lost, and the same process commits again afterwards.
 * Called by: main.c. May touch: a tmpfs that only this process and its children see.
 * Never: fills anybody else's disk. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define PHASE_NS (60 * WEFT_SEC)
#define OWN_KIB 1600u /* that a store may give back by itself meanwhile: an old log */

/* A quarter of the small ones is less than the engine may write beside a batch: there its own
 * writing may meet the end of the disk, and the store is opened again when there is room. */
static const struct volume {
    const char *name;
    uint32_t mib;
    bool ext4;        /* in a file, by a loop device; else a tmpfs */
    uint32_t commits; /* of each lane and phase */
    bool waits;       /* commits may be refused until it is open again */
} volumes[] = {{"64 MiB tmpfs", 64, false, 30, false},
               {"8 MiB tmpfs", 8, false, 4, true},
               {"12 MiB ext4", 12, true, 4, true}};
#define VOLUMES (sizeof volumes / sizeof *volumes)

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

/* Of so small a volume a quarter is kept free: below it writes are refused. */
static uint32_t floor_kib(int fd)
{
    struct statvfs info;
    if (fstatvfs(fd, &info) != 0) tt_die("statvfs");
    return (uint32_t)((uint64_t)info.f_blocks * info.f_frsize >> 12);
}

/* Lets the victim commit once more; `full`: the disk is filled, before it begins or (`race`)
 * while it does so. False: `why`. */
static bool phase(tt_torture *t, tt_child *c, int ballast, bool full, bool race, char *why)
{
    uint32_t kept = floor_kib(ballast);
    c->was_read = false;
    c->failed = 0;
    c->acked = 0;
    if (race) leave_room(ballast, kept + 200); /* the rest while it commits */
    else if (full) leave_room(ballast, tt_below(t, kept - OWN_KIB));
    /* What a journal has not yet is no room yet. */
    if (!full && (ftruncate(ballast, 0) != 0 || syncfs(ballast) != 0)) tt_die("the ballast");
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

/* What is done on all volumes. */
struct sum {
    uint32_t lives[VOLUMES], refused, acked, reopened;
};

/* With room again. */
static bool free_phase(tt_torture *t, const struct volume *v, tt_child *c, int ballast,
                       struct sum *sum, char *why)
{
    uint64_t until = tt_now() + PHASE_NS;
    bool good = phase(t, c, ballast, false, false, why);
    sum->reopened += !good && v->waits && c->fail_err == WEFT_NO_SPACE;
    while (!good && v->waits && !c->ended && c->failed > 0 && c->fail_err == WEFT_NO_SPACE &&
           tt_now() < until) {
        tt_sleep_until(tt_now() + 50 * WEFT_MS);
        good = phase(t, c, ballast, false, false, why);
    }
    return good;
}

/* One process that meets a full disk three times. */
static bool one_life(tt_torture *t, const struct volume *v, const char *dir, int ballast,
                     struct sum *sum, char *why)
{
    tt_ledger ledger = {0};
    tt_plan plan = {
        .dir = dir, .lanes = TT_LANES, .commits = v->commits, .refill = true, .small = true};
    tt_child c;
    tt_child_start(t, &plan, &ledger, NULL, &c);
    tt_child_listen(&c, tt_now() + PHASE_NS, has_read);
    bool good = c.was_read && c.failed == 0;
    if (!good) snprintf(why, 200, "with all its room it committed nothing");
    for (int i = 0; good && i < 3; i++) {
        good = phase(t, &c, ballast, true, i == 1, why);
        sum->refused += c.failed;
        good = good && free_phase(t, v, &c, ballast, sum, why);
        sum->acked += good ? c.acked : 0;
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

/* -- Volumes ------------------------------------------------------------------------------------ */

static bool mount_ext4(tt_torture *t, const struct volume *v, const char *at)
{
    char image[160];
    tt_path(image, sizeof image, t->dir, "full.disk");
    int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)v->mib << 20) != 0) tt_die(image);
    close(fd);
    const char *make[] = {"mkfs.ext4", "-q", "-F", "-m", "0", image, NULL};
    const char *use[] = {"mount", "-oloop", image, at, NULL};
    return tt_run(t, make) == 0 && tt_run(t, use) == 0;
}

static bool mount_one(tt_torture *t, const struct volume *v, const char *at)
{
    char size[32];
    if (v->ext4) return mount_ext4(t, v, at);
    snprintf(size, sizeof size, "size=%um", v->mib);
    return mount("tmpfs", at, "tmpfs", 0, size) == 0;
}

/* A life on a new volume. */
static enum tt_outcome live_on(tt_torture *t, uint32_t i, struct sum *sum, char *why)
{
    char mount_at[160], dir[176], path[176], what[200] = "";
    tt_path(mount_at, sizeof mount_at, t->dir, "full");
    tt_path(dir, sizeof dir, mount_at, "store");
    tt_path(path, sizeof path, mount_at, "ballast");
    tt_dir_make(mount_at);
    if (!mount_one(t, &volumes[i], mount_at)) return TT_SKIP;
    int ballast = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ballast < 0) tt_die(path);
    bool good = one_life(t, &volumes[i], dir, ballast, sum, what);
    close(ballast);
    /* The mount belongs to a victim until its last thread is gone. */
    for (int n = 0; umount(mount_at) != 0 && n < 100; n++) tt_sleep_until(tt_now() + 10 * WEFT_MS);
    sum->lives[i] += good;
    if (!good) snprintf(why, 260, "%s, after %u lives: %s", volumes[i].name, sum->lives[i], what);
    return good ? TT_OK : TT_BAD;
}

void tt_full(tt_torture *t, const tt_work *work, tt_line *line)
{
    char why[260] = "", lives[200];
    struct sum sum = {.refused = 0};
    enum tt_outcome last = TT_OK;
    size_t at = 0;
    if (!tt_mounts_private()) {
        tt_skip(line, "no mounts are allowed here");
        return;
    }
    for (uint32_t done = 0; last != TT_BAD && tt_go_on(t, done, work->rounds, work->least); done++)
        for (uint32_t i = 0; i < VOLUMES && last != TT_BAD; i++) last = live_on(t, i, &sum, why);
    for (size_t i = 0; i < VOLUMES; i++)
        at += (size_t)snprintf(lives + at, sizeof lives - at, "%s%u on %s", i == 0 ? "" : ", ",
                               sum.lives[i], volumes[i].name);
    if (last == TT_BAD) tt_bad(line, "%s", why);
    else if (sum.acked == 0) tt_skip(line, "no mounts are allowed here");
    else
        tt_ok(line,
              "lives: %s; the disk full 3 times in each, %u commits refused, %u acknowledged "
              "after it in the same process (%u times opened again before), 0 lost",
              lives, sum.refused, sum.acked, sum.reopened);
}
