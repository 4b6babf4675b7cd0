/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb_dir.h - the files of an LMDB store, and its lock: LMDB itself lets any number in.
 * Called by: kv_lmdb.c alone. Never: reads or changes what is in the database. */
#ifndef WF_KV_LMDB_DIR_H
#define WF_KV_LMDB_DIR_H

#include <stdbool.h>

#include <weft/err.h>

#define WF_LMDB_DATA_NEW "data.new" /* a database that is being made */

/* One open engine that writes, also within a process. LOCKED: the log says whose it is. */
weft_err wf_lmdb_dir_lock(const char *dir, int *out_fd);
void wf_lmdb_dir_unlock(int fd);
/* LOCKED: this process has it open. LMDB's own locks do not bear a second handle. */
weft_err wf_lmdb_dir_may_read(const char *dir);
/* Before the database is opened. CORRUPT: it is empty, and LMDB would begin it anew. Gives
 * LMDB's table of readers its room, if it may write: it is used through memory, where a full
 * disk is a signal. *has_table: there is one. */
weft_err wf_lmdb_dir_prepare(const char *dir, bool may_write, bool *has_table);
/* A file that was cut is as long again as `bytes`: what is read beyond the end of one in memory
 * is a signal, and so it is a page of zeros, which LMDB refuses. */
weft_err wf_lmdb_dir_extend(const char *dir, unsigned long long bytes);
bool wf_lmdb_dir_has_database(const char *dir);
weft_err wf_lmdb_dir_remove_new(const char *dir);  /* what a kill left of data.new */
weft_err wf_lmdb_dir_publish_new(const char *dir); /* it is whole: data.new becomes data.mdb */
/* A new directory for a copy. IO: it is there. */
weft_err wf_lmdb_dir_create_copy(const char *dir);
weft_err wf_lmdb_dir_finish_copy(const char *dir); /* makes it durable */

#endif
