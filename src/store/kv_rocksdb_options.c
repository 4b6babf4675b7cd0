/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_options.c - how RocksDB keeps each family, and within how much memory.
 * Called by: kv_rocksdb.c, once for each engine. May touch: RocksDB's options.
 * Never: a file. */
#include <weft/limits.h>

#include "kv_rocksdb_state.h"
#include "store_dir.h"

static void set_tables(struct wf_rocks *r, rocksdb_options_t *options, bool bloom)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, r->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_block_size(table, 8 << 10);
    rocksdb_block_based_options_set_format_version(table, 5);
    if (bloom) /* the table takes the policy over */
        rocksdb_block_based_options_set_filter_policy(table,
                                                      rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

/* What is asked by key and is often not there: only `meta`. */
static bool wants_bloom(unsigned family) { return family == WF_CF_META; }

static void set_sizes(rocksdb_options_t *options, uint64_t write_buffers)
{
    rocksdb_options_set_db_write_buffer_size(options, write_buffers);
    rocksdb_options_set_write_buffer_size(options, write_buffers / 2);
    rocksdb_options_set_max_write_buffer_number(options, 3);
    rocksdb_options_set_arena_block_size(options, 256 << 10);
    rocksdb_options_set_max_total_wal_size(options, 2 * write_buffers);
    rocksdb_options_set_max_open_files(options, 256);
    rocksdb_options_set_target_file_size_base(options, 16 << 20);
    rocksdb_options_set_max_bytes_for_level_base(options, 64 << 20);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, 8);
}

/* Rules learned by experiment: a torn tail of the log is tolerated and nothing else;
 * RocksDB's own log may abort the process on a full disk, so it is off but for fatal
 * errors; checks are on wherever there are any. Only a salvage wants what is left. It verifies
 * the logs' sizes all the same: with that off RocksDB 7.8 wants to write what its MANIFEST says of
 * logs anew, and who only reads has nothing to write with, which ends the process. On a small
 * volume no room is taken before it is needed: a log that is begun would take a write buffer's, a
 * MANIFEST 4 MiB, and with a few of them the volume counts as full. */
static rocksdb_options_t *make_options(struct wf_rocks *r, unsigned family, uint64_t write_buffers,
                                       bool create, char **text)
{
    static const char strict[] = "track_and_verify_wals_in_manifest=true;"
                                 "paranoid_file_checks=true;max_bgerror_resume_count=3";
    static const char small[] = "track_and_verify_wals_in_manifest=true;"
                                "paranoid_file_checks=true;max_bgerror_resume_count=3;"
                                "allow_fallocate=false";
    static const char lenient[] = "track_and_verify_wals_in_manifest=true";
    rocksdb_options_t *base = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(base, create);
    rocksdb_options_set_create_missing_column_families(base, create);
    rocksdb_options_set_wal_recovery_mode(base, r->salvage ? 3 : 0);
    rocksdb_options_set_paranoid_checks(base, !r->salvage);
    rocksdb_options_set_info_log_level(base, 4);
    rocksdb_options_set_max_log_file_size(base, 1 << 20);
    rocksdb_options_set_keep_log_file_num(base, 2);
    rocksdb_options_set_stats_dump_period_sec(base, 0);
    rocksdb_options_set_stats_persist_period_sec(base, 0);
    rocksdb_options_set_compression(base, rocksdb_no_compression);
    rocksdb_options_set_allow_concurrent_memtable_write(base, 0); /* there is one writer */
    rocksdb_options_set_enable_write_thread_adaptive_yield(base, 0);
    set_sizes(base, write_buffers);
    if (family == WF_CF_META) { /* asked for every entry that arrives */
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(base, 0.05);
        rocksdb_options_set_memtable_whole_key_filtering(base, 1);
    }
    set_tables(r, base, wants_bloom(family));
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_get_options_from_string(base,
                                    r->salvage ? lenient
                                    : r->small ? small
                                               : strict,
                                    options, text);
    rocksdb_options_destroy(base);
    return options;
}

rocksdb_readoptions_t *wf_rocks_read_options(bool fill_cache)
{
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(read, 1);
    rocksdb_readoptions_set_fill_cache(read, fill_cache);
    return read;
}

weft_err wf_rocks_prepare(struct wf_rocks *r, uint64_t memory_bytes, bool create)
{
    if (memory_bytes == 0) memory_bytes = WEFT_STORE_MEMORY_BYTES;
    if (memory_bytes < WEFT_STORE_MEMORY_BYTES_MIN) memory_bytes = WEFT_STORE_MEMORY_BYTES_MIN;
    uint64_t write_buffers = memory_bytes / 3;
    r->floor_bytes = 4 * (write_buffers / 2);
    if (r->floor_bytes < WEFT_STORE_FREE_FLOOR_BYTES) r->floor_bytes = WEFT_STORE_FREE_FLOOR_BYTES;
    r->small = wf_store_dir_is_small(r->dir, r->floor_bytes);
    /* Not with a strict limit: a shard of such a cache is smaller than the largest entry,
     * and then not only its reads fail but also the flush that checks the new table. */
    r->cache = rocksdb_cache_create_lru(memory_bytes - write_buffers);
    r->read = wf_rocks_read_options(true);
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    r->unsynced = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    for (unsigned i = 0; i < WF_ROCKS_FAMILIES; i++) {
        char *text = NULL;
        r->options[i] = make_options(r, i, write_buffers, create, &text);
        if (text != NULL) return wf_rocks_fail(r, "options", text);
    }
    return WEFT_OK;
}
