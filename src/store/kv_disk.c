/* SPDX-License-Identifier: Apache-2.0
 * kv_disk.c - which engine a directory has, or shall have, and opens that one.
 * Called by: weft.c, the copies, weft-fsck, tools. May touch: the directory, by its rooms.
 * Never: knows more of an engine than its name. */
#include "kv.h"
#include "log.h"
#include "store_dir.h"

weft_err wf_kv_disk_open(const char *dir, const wf_kv_disk_options *options, wf_kv **out)
{
    wf_kv_disk_options plain = {0};
    if (options == NULL) options = &plain;
    enum wf_engine engine = options->engine;
    if (engine == WF_ENGINE_AUTO) {
        struct wf_store_dir found;
        weft_err err = wf_store_dir_look(dir, &found);
        if (err != WEFT_OK) return err;
        engine = found.engine;
    }
    if (engine == WF_ENGINE_LMDB) {
        wf_kv_lmdb_options lmdb = {.create = options->create, .read_only = options->read_only};
        return wf_kv_lmdb_open(dir, &lmdb, out);
    }
    wf_kv_rocksdb_options rocksdb = {.memory_bytes = options->memory_bytes,
                                     .create = options->create,
                                     .read_only = options->read_only,
                                     .salvage = options->salvage};
    return wf_kv_rocksdb_open(dir, &rocksdb, out);
}
