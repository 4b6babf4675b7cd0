/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_stats.c - what the engine on disk tells of its memory, its files and itself.
 * Called by: kv.c through the table, any thread. May touch: RocksDB's properties, the names and
 * sizes of files in the directory. Never: waits for a write. */
#include <stdio.h>
#include <string.h>

#include "kv_rocksdb_state.h"
#include "store_dir.h"

uint64_t wf_rocks_memtables(struct wf_rocks *r)
{
    uint64_t sum = 0;
    for (unsigned i = 0; r->db != NULL && i < WF_ROCKS_FAMILIES; i++) {
        uint64_t bytes = 0;
        rocksdb_property_int_cf(r->db, r->handles[i], "rocksdb.cur-size-all-mem-tables", &bytes);
        sum += bytes;
    }
    return sum;
}

uint64_t wf_rocks_memory(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    return rocksdb_cache_get_usage(r->cache) + wf_rocks_memtables(r);
}

void wf_rocks_stats(wf_kv *kv, wf_kv_stats *out)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    out->cache_bytes = rocksdb_cache_get_usage(r->cache);
    out->memtable_bytes = wf_rocks_memtables(r);
    out->disk_bytes = wf_store_dir_bytes(r->dir);
}

/* Of each family its levels and compactions; what the whole database did is in each of them. */
size_t wf_rocks_text(wf_kv *kv, char *out, size_t room)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    size_t len = 0;
    for (unsigned i = 0; r->db != NULL && i < WF_ROCKS_FAMILIES; i++) {
        char *text = rocksdb_property_value_cf(r->db, r->handles[i],
                                               "rocksdb.cfstats-no-file-histogram");
        size_t more = text == NULL ? 0 : strlen(text);
        if (len < room) (void)snprintf(out + len, room - len, "%s", text == NULL ? "" : text);
        len += more;
        rocksdb_free(text);
    }
    return len;
}
