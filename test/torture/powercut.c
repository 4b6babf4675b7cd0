/* SPDX-License-Identifier: Apache-2.0
 * powercut.c - power cuts: a store on a file system of its own, whose disk is copied in the
 * middle of its work; the copy has what had reached the disk, and no page cache.
 * Called by: main.c. May touch: a mount that only this process and its children see.
 * Never: flushes what the victim did not. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define IMAGE_BYTES (INT64_C(96) << 20)
#define OPEN_TIMEOUT_NS (60 * WEFT_SEC)
#define CUTS_PER_STORE 10u
#define CONTROLS_MORE 9u /* while none has lost anything */

struct disk {
    tt_torture *t;
    char image[160], copy[160], mount[160], store[176];
    bool mounted;
};

static int run(struct disk *d, const char *a, const char *b, const char *c, const char *e,
               const char *f)
{
    const char *argv[] = {a, b, c, e, f, NULL};
    return tt_run(d->t, argv);
}

static bool make_image(struct disk *d)
{
    int fd = open(d->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, IMAGE_BYTES) != 0) tt_die(d->image);
    close(fd);
    return run(d, "mkfs.ext4", "-q", "-F", d->image, NULL) == 0;
}

/* commit=300: the journal does not write by itself what nobody synced. */
static bool mount_image(struct disk *d)
{
    d->mounted = run(d, "mount", "-oloop,commit=300", d->image, d->mount, NULL) == 0;
    return d->mounted;
}

static void unmount(struct disk *d)
{
    /* The mount belongs to a victim until its last thread is gone. */
    for (int i = 0; d->mounted && i < 100; i++) {
        d->mounted = umount(d->mount) != 0;
        if (d->mounted) tt_sleep_until(tt_now() + 10 * WEFT_MS);
    }
}

/* Waits until the disk has nothing in flight: a copy of what moves is no moment of any disk. */
static void await_idle(const struct disk *d)
{
    struct stat info;
    char path[80];
    if (stat(d->mount, &info) != 0) tt_die(d->mount);
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/inflight", major(info.st_dev),
             minor(info.st_dev));
    for (int i = 0, idle = 0; i < 500 && idle < 3; i++) {
        unsigned reads = 0, writes = 0;
        FILE *file = fopen(path, "r");
        if (file == NULL) return;
        bool known = fscanf(file, "%u %u", &reads, &writes) == 2;
        fclose(file);
        idle = known && reads + writes == 0 ? idle + 1 : 0;
        tt_sleep_until(tt_now() + WEFT_MS);
    }
}

enum end { CUT, ENDED, WRONG }; /* ENDED: cut, with nothing left to commit */

/* Lives on the mounted disk until its power is cut; the image is then what the disk had. */
static enum end live_and_cut(struct disk *d, tt_ledger *ledger, enum wf_durability level,
                             uint64_t *acked, uint32_t *lost, char *why)
{
    tt_plan plan = {.dir = d->store,
                    .level = level,
                    .herd = tt_below(d->t, 2) * 2,
                    .lanes = TT_LANES,
                    .commits = TT_COMMITS_MAX};
    tt_child c;
    plan.leave = TT_DROP; /* what reaches its end is cut as well: nothing was closed */
    plan.whole = true;
    tt_child_start(d->t, &plan, ledger, NULL, &c);
    tt_child_listen(&c, tt_now() + OPEN_TIMEOUT_NS, tt_child_said);
    tt_child_listen(&c, tt_now() + (20 + tt_below(d->t, 131)) * WEFT_MS, NULL);
    kill(c.pid, SIGSTOP);
    await_idle(d);
    bool copied = run(d, "cp", "--sparse=never", d->image, d->copy, NULL) == 0;
    tt_child_kill(&c);
    *acked += c.acked;
    *lost += c.open ? c.last.verdict.lost : 0;
    unmount(d);
    if (!copied || d->mounted || rename(d->copy, d->image) != 0)
        return snprintf(why, 200, "the disk could not be copied"), WRONG;
    if (c.open && !tt_verdict_good(&c.last.verdict)) tt_verdict_text(&c.last.verdict, why, 200);
    else if (c.last.what == TT_NO_OPEN || c.last.what == TT_NO_VERDICT)
        snprintf(why, 200, "refused: %s", weft_errname(c.last.err));
    else if (c.failed > 0) snprintf(why, 200, "a commit failed: %s", weft_errname(c.fail_err));
    else if (!c.open) snprintf(why, 200, "it did not open");
    else return WIFEXITED(c.status) ? ENDED : CUT;
    return WRONG;
}

/* After a cut: what the disk had is mounted and judged. */
static bool judge(struct disk *d, tt_ledger *ledger, char *why)
{
    if (!mount_image(d)) return snprintf(why, 200, "the disk cannot be mounted again"), false;
    bool good = tt_look(d->t, d->store, ledger, true, why);
    unmount(d);
    return good;
}

/* A new disk, cut `cuts` times. False: `why`. */
static bool one_disk(struct disk *d, uint32_t cuts, enum wf_durability level, uint32_t *done,
                     uint64_t *acked, char *why)
{
    tt_ledger ledger = {0};
    uint32_t lost = 0;
    enum end end = CUT;
    if (!make_image(d)) return snprintf(why, 200, "no file system could be made"), false;
    for (uint32_t i = 0; end == CUT && i < cuts; i++) {
        if (!mount_image(d)) return snprintf(why, 200, "the disk cannot be mounted"), false;
        end = live_and_cut(d, &ledger, level, acked, &lost, why);
        if (end == WRONG || !judge(d, &ledger, why)) return false;
        (*done)++;
    }
    why[0] = '\0';
    return true;
}

/* Only root, and only with loop devices. */
static const char *why_not(struct disk *d)
{
    if (geteuid() != 0) return "disks can be mounted by root only";
    if (!tt_has_program("mkfs.ext4")) return "there is no mkfs.ext4";
    if (!tt_mounts_private()) return "no mounts are allowed here";
    if (!make_image(d)) return "no file system could be made";
    if (!mount_image(d)) return "no loop devices here";
    unmount(d);
    return NULL;
}

void tt_powercut(tt_torture *t, const tt_work *work, tt_line *line)
{
    struct disk d = {.t = t};
    char why[200] = "";
    uint32_t cuts = 0, controls = 0, lost = 0, ignored = 0;
    uint64_t acked = 0, unsynced = 0;
    tt_path(d.image, sizeof d.image, t->dir, "disk");
    tt_path(d.copy, sizeof d.copy, t->dir, "disk.copy");
    tt_path(d.mount, sizeof d.mount, t->dir, "mount");
    tt_path(d.store, sizeof d.store, d.mount, "store");
    tt_dir_make(d.mount);
    const char *no = why_not(&d);
    if (no != NULL) {
        tt_skip(line, "%s", no);
        return;
    }
    /* One must lose, or a cut proves nothing. A kernel may have written back in time, though. */
    for (; controls < work->extra || (lost == 0 && controls < work->extra + CONTROLS_MORE);
         controls++) {
        lost += !one_disk(&d, 1, WF_WRITTEN, &ignored, &unsynced, why);
        unmount(&d);
    }
    why[0] = '\0';
    while (tt_go_on(t, cuts, work->rounds, work->least)) {
        uint32_t now = work->rounds - cuts < CUTS_PER_STORE ? work->rounds - cuts : CUTS_PER_STORE;
        if (!one_disk(&d, now, WF_SYNCED, &cuts, &acked, why)) break;
    }
    unmount(&d);
    if (why[0] != '\0') tt_bad(line, "after %u cuts: %s", cuts, why);
    else if (lost == 0) tt_bad(line, "%u controls that were only written lost nothing", controls);
    else
        tt_ok(line,
              "%u cuts, %llu commits acknowledged, 0 lost, 0 torn; only written, %u of %u lost",
              cuts, (unsigned long long)acked, lost, controls);
}
