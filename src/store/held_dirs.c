/* SPDX-License-Identifier: Apache-2.0
 * held_dirs.c - the directories in which this process has a store of RocksDB (held_dirs.h).
 * Called by: kv_rocksdb.c, renew_files.c; any thread. May touch: its list, under the lock of the process;
 * facts of names. Never: opens a file; waits for another process. */
#include "held_dirs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "lock.h"
#include "log.h"

struct wf_held_dir {
    dev_t device;
    ino_t inode;
    struct wf_held_dir *next;
};

static struct wf_held_dir *first;

static bool is_held(const struct stat *info)
{
    const struct wf_held_dir *at = first;
    while (at != NULL && (at->device != info->st_dev || at->inode != info->st_ino)) at = at->next;
    return at != NULL;
}

weft_err wf_dir_hold(const char *dir, struct wf_held_dir **out)
{
    struct stat info;
    if (stat(dir, &info) != 0)
        return wf_fail(WEFT_IO, "store", "look at path=%s: %s", dir, strerror(errno));
    struct wf_held_dir *held = wf_malloc(sizeof *held);
    if (held == NULL) return WEFT_NO_MEMORY;
    *held = (struct wf_held_dir){.device = info.st_dev, .inode = info.st_ino};
    wf_process_lock_take();
    bool taken = is_held(&info);
    if (!taken) {
        held->next = first;
        first = held;
    }
    wf_process_lock_give();
    if (taken) {
        wf_free(held);
        return wf_fail(WEFT_LOCKED, "store", "path=%s is open in this process already", dir);
    }
    *out = held;
    return WEFT_OK;
}

void wf_dir_let_go(struct wf_held_dir *held)
{
    if (held == NULL) return;
    wf_process_lock_take();
    struct wf_held_dir **link = &first;
    while (*link != held) link = &(*link)->next;
    *link = held->next;
    wf_process_lock_give();
    wf_free(held);
}
