/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_room.h - room on the disk for an opening: a database that runs out of it
 * meanwhile ends the process.
 * Called by: kv_rocksdb.c. Never: opens, reads or changes the database. */
#ifndef WF_KV_ROCKSDB_ROOM_H
#define WF_KV_ROCKSDB_ROOM_H

#include <weft/actor.h>

/* Is there room to open the database in `dir` for writing, which writes its logs again as
 * tables? Two that open on the same volume both see the same room; so where it is scarce
 * this waits until nobody else of any process opens a store there, and nobody does until
 * *out is given back. BUSY: somebody did for `wait` ns, and the log names the folder whose lock
 * it has; AGAIN: likewise when `wait` is 0. NO_SPACE. Then nothing is held. Reads names only. */
weft_err wf_room_take(const char *dir, weft_ns wait, int *out);
void wf_room_give(int held);

#endif
