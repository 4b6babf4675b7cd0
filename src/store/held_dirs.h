/* SPDX-License-Identifier: Apache-2.0
 * held_dirs.h - the directories in which this process has a store of RocksDB, by whatever name each
 * was called. Called by: kv_rocksdb.c, renew_files.c; any thread. Never: touches a file.
 *
 * RocksDB knows by the text of its path what this process has open, and its lock is one of the process: a
 * second opening by another path is given it once more, and whoever closes another handle of the file
 * LOCK lets go of it. So nobody touches that file who has not got the directory here first. */
#ifndef WF_HELD_DIRS_H
#define WF_HELD_DIRS_H

#include <weft/err.h>

struct wf_held_dir;

/* LOCKED: this process has it. NO_MEMORY, IO (it is not there). */
weft_err wf_dir_hold(const char *dir, struct wf_held_dir **out);
void wf_dir_let_go(struct wf_held_dir *held); /* NULL is fine */

#endif
