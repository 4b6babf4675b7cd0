/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_logs.h - the engine's log files, looked at before the engine does.
 * Called by: kv_rocksdb.c, store_copy.c. Never: changes a file. */
#ifndef WF_KV_ROCKSDB_LOGS_H
#define WF_KV_ROCKSDB_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

/* The engine takes a record that reaches past the end of its file for a torn write and forgets
 * it and all that follows. In a MANIFEST that can be the list of all tables, which it then
 * deletes. If such a record is whole and only its length is wrong, this answers CORRUPT; and also if
 * a record anywhere is whole but for its type, which says that it is left over from another log: the
 * engine would end there as well. OK also for what cannot be read here: the engine will say so. */
weft_err wf_store_dir_check_logs(const char *dir);
weft_err wf_store_dir_check_manifest(const char *dir); /* of these alone */

/* Of a record whose bytes are damaged the engine's reader drops the rest of its block of 32 KiB, too,
 * and with that whole batches that were acknowledged. Has a log such a record with sound ones behind it?
 * Only *.log. False also for what cannot be read. */
bool wf_store_dir_has_bad_record(const char *dir);
/* Has one of its logs a record, or the end of a block, that no reader gives out, wherever it stands?
 * A torn end is one. True also for what cannot be read. */
bool wf_store_dir_has_lost_record(const char *dir);
/* In a copy: gives such a record a type that nobody knows, and a checksum, so that it alone is passed
 * over when damaged records are left out. *lost: how many records, or ends of blocks, no reader gives
 * out any more, also where nothing follows them: a torn end is one, for it may have been whole. May be
 * NULL. IO, NO_MEMORY. */
weft_err wf_store_dir_spare_records(const char *dir, uint64_t *lost);

#endif
