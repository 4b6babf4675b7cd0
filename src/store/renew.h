/* SPDX-License-Identifier: Apache-2.0
 * renew.h - a damaged store of RocksDB becomes a new one in its own directory, made of what can
 * be read; the old one stays beside it until nothing is missing any more.
 * Called by: weft.c while a node opens, tests; one thread, nobody has the store open.
 * Never: removes what can be read and is not in the new store. */
#ifndef WF_RENEW_H
#define WF_RENEW_H

#include "store.h"

/* In the directory DIR of the store: DIR/renewed.part is the new one in the making, DIR/renewed
 * and then DIR/renewing the finished one while files change places, DIR/damaged-N the old one. */

enum wf_renewed {
    WF_RENEWED_ROWS,   /* each row as it was: arrivals, epochs and marks go on, and of an entry
                        * whose bytes are lost everything else is known                    */
    WF_RENEWED_SALVAGE /* bodies through the door (salvage.h): what stands on a lost one waits */
};
typedef struct wf_renewal {
    enum wf_renewed how;
    uint64_t missing; /* WF_RENEWED_ROWS: entries whose bytes are lost, and nothing else */
    uint64_t
        left_out; /* WF_RENEWED_SALVAGE: entries that cannot stand in the new store; _ROWS: those
                        * of the shelf whose bytes are lost */
    uint64_t shelved; /* of them, on its shelf (shelf.h); the others are in the old one only */
    bool keep;        /* more may be there that nobody can name: the operator removes it   */
} wf_renewal;

typedef struct wf_renew_options {
    uint64_t memory_bytes; /* as in wf_kv_rocksdb_options                          */
    bool opens;            /* it opened just now for writing: no log has lost anything */
} wf_renew_options;

/* Makes the new store and puts it in the place of the old one, durably; of one that was interrupted
 * while files changed places only the rest is done, and `out` is left as it is. LOCKED: somebody has
 * it open. UNSUPPORTED: it is LMDB's. CORRUPT: nothing can be saved. NO_SPACE, IO, NO_MEMORY, VERSION: the
 * old store is as it was, or, once files change places, is nobody's to open until that has come to its
 * end. `out` may be NULL. */
weft_err wf_renew(const char *dir, weft_rt *rt, const wf_renew_options *options, wf_renewal *out);

/* Goes on where a renewal was interrupted while files changed places; before any opening. OK
 * also when there was none. CORRUPT: the place of the old files is gone. LOCKED, IO, NO_SPACE. */
weft_err wf_renew_resume(const char *dir);

/* Of an open store, before it has an actor: entries without bytes are put into quarantine, so
 * that peers are asked for them, and old stores are removed of which nothing is missing any
 * more, but for those that the operator is to remove. Costs one look for a name while there is no old store. IO, CORRUPT, NO_MEMORY. */
weft_err wf_renew_settle(wf_store *store, const char *dir);

#endif
