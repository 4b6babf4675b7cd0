/* SPDX-License-Identifier: Apache-2.0
 * store_copy.h - copies of the directory of a store, whichever engine it has, and how to
 * open a RocksDB store that is damaged. Called by: weft-fsck, api_store.c; any thread, one per directory.
 * Never: changes the original. */
#ifndef WF_STORE_COPY_H
#define WF_STORE_COPY_H

#include "kv.h"

/* Copies the store in `from`, which nobody writes to, to `to`, which must not be there:
 * tables by hard link where that is possible, everything else by its bytes. EXISTS,
 * NOT_STORE, IO, NO_SPACE: then nothing is left of `to`. */
weft_err wf_store_dir_copy(const char *from, const char *to);
/* Removes a copy with everything in it. A directory that is not there is fine. IO. */
weft_err wf_store_dir_remove(const char *dir);
/* Gives a finished copy its name, durably. EXISTS: `to` is there. IO. */
weft_err wf_store_dir_rename(const char *from, const char *to);
bool wf_store_dir_exists(const char *dir);
/* Is a file of this name one of the engine's, which a copy has, too? Not its lock. */
bool wf_store_dir_is_of_database(const char *name);

/* Says of a directory that it is a copy, durably: who opens it first gives it new epochs
 * (restore.c). NOT_STORE, CORRUPT, LOCKED, IO, NO_SPACE. */
weft_err wf_copy_make(const char *dir);
/* A copy of what `kv` holds, under a name that is not there before it is whole: until then
 * it is DIR.part. EXISTS: either is there. UNSUPPORTED: memory. IO, NO_SPACE. */
weft_err wf_copy_checkpoint(wf_kv *kv, const char *dir);

/* Opens a store to read what can be read, and changes nothing. CORRUPT also where a
 * part of its MANIFEST would be taken for all of it. IO, NOT_STORE. */
weft_err wf_kv_rocksdb_open_salvage(const char *dir, wf_kv **out);
/* Opens a copy, which is changed by it, although its CURRENT, its MANIFEST or a log is
 * damaged: as it is; else with the newest manifest; else with the tables and logs that are
 * left, whatever the manifest said. *how says which in words. Only for reading.
 * *lossy: something may have been in the original that is not here, and nobody can say what: a record
 * of a log, or what a repair put aside. May be NULL. CORRUPT, IO: also that did not help. */
weft_err wf_kv_rocksdb_open_damaged(const char *copy, wf_kv **out, const char **how, bool *lossy);

#endif
