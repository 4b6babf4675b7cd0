/* SPDX-License-Identifier: Apache-2.0
 * store_dir.h - the directory that a store lives in, whichever engine it has.
 * Called by: kv_rocksdb.c, store_copy.c, kv_lmdb*.c, kv_disk.c, weft-fsck.
 * Never: opens, reads or changes the database. */
#ifndef WF_STORE_DIR_H
#define WF_STORE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "kv.h"

/* What stands there before the engine looks at it. A store is known by its marker
 * file; nothing is changed in a directory that has other things in it. */
struct wf_store_dir {
    bool is_store;         /* false: it may be made into one (missing or empty) */
    bool complete;         /* the database was created wholly once              */
    enum wf_engine engine; /* that made it; AUTO: not complete          */
};
/* NOT_STORE (something else is there), CORRUPT (a store without its root file), IO. */
weft_err wf_store_dir_look(const char *dir, struct wf_store_dir *out);
/* Makes the directory (not its parents) and its marker, durably. IO, NO_SPACE. */
weft_err wf_store_dir_create(const char *dir);
weft_err wf_store_dir_mark(const char *dir); /* the marker only */
weft_err wf_store_dir_sync(const char *dir); /* its names */

/* Names in it of a renewal that changes files (renew.h): the new store while the old one leaves, and
 * while it enters. With the first, or with the second and without CURRENT, the directory is CORRUPT to
 * all but renew.h. */
#define WF_STORE_DIR_WHOLE "renewed"
#define WF_STORE_DIR_MOVING "renewing"

/* A file that says: the engine has met a block that it could not read. It lies there until the
 * store is renewed (renew.h). */
#define WF_STORE_DIR_DAMAGED "DAMAGED"
void wf_store_dir_note_damage(const char *dir); /* as well as it can */
bool wf_store_dir_is_damaged(const char *dir);

/* Is RocksDB's root file there? Says nothing in the log. */
bool wf_store_dir_has_current(const char *dir);

/* Is there less room than a write, its compaction and its log may need? */
bool wf_store_dir_is_full(const char *dir, uint64_t floor_bytes);
/* Is it too full for a write? For one that makes room only half of the floor is kept, in which what
 * the engine has in memory can still be written to tables. */
bool wf_store_dir_refuses(const char *dir, uint64_t floor_bytes, bool makes_room);
/* Is the whole volume so small that not the floor but a quarter of it is kept free? */
bool wf_store_dir_is_small(const char *dir, uint64_t floor_bytes);
/* Is there room to open the database for writing, which writes its logs again as tables?
 * One that runs out of room meanwhile ends the process. NO_SPACE; reads names only. */
weft_err wf_store_dir_has_room(const char *dir);
/* What all files take, and what the logs of the database do; 0 where nothing is. */
uint64_t wf_store_dir_bytes(const char *dir);
uint64_t wf_store_dir_log_bytes(const char *dir);
/* The process that holds the database's lock, 0 when it cannot be told. Not to be called
 * while this process itself holds that of a RocksDB store: closing the file would let go of it. */
int wf_store_dir_holder(const char *dir);

#endif
