/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb_none.c - stands for the LMDB engine in a build without LMDB.
 * Called by: kv_disk.c. May touch: nothing. Never: pretends. */
#include "kv.h"
#include "log.h"

weft_err wf_kv_lmdb_open(const char *dir, const wf_kv_lmdb_options *options, wf_kv **out)
{
    (void)options;
    (void)out;
    return wf_fail(WEFT_UNSUPPORTED, "store", "path=%s: this build has no LMDB", dir);
}

bool wf_kv_lmdb_is_built(void) { return false; }
