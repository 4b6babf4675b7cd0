/* SPDX-License-Identifier: Apache-2.0
 * raw_engine.h - an engine without weft: the same options, families, keys and bytes.
 * Called by: store_raw.c. Never: the store layer's engine. */
#ifndef WF_BENCH_RAW_ENGINE_H
#define WF_BENCH_RAW_ENGINE_H

#include "kv.h"

struct raw;

/* The process ends with a sentence if any of these fails. */
struct raw_engine {
    const char *name;
    /* A new, empty database in `dir`; of RocksDB with the options and families that the closed
     * store in `like` was opened with, of LMDB with the flags that weft gives it. */
    struct raw *(*open)(const char *dir, const char *like);
    void (*close)(struct raw *raw); /* flushes nothing */
    /* Builds the engine's batch from `batch` and writes it, as a program without weft would. Without
     * `sync` RocksDB's log is not synced; of LMDB the pages are and the root that names them is
     * not, which is what weft asks of it. */
    void (*write)(struct raw *raw, const wf_batch *batch, bool sync);
    /* Around the look-ups of one entry: LMDB reads in transactions, and one is enough for them. */
    void (*read_begin)(struct raw *raw);
    void (*read_end)(struct raw *raw);
    /* Bytes of the value; 0: not there. The value is touched. With `hash` (32 bytes): BLAKE2b-256
     * of the value is put there, as everybody has to who checks what he reads. */
    size_t (*get)(struct raw *raw, enum wf_cf cf, const void *key, size_t key_len, uint8_t *hash);
};

extern const struct raw_engine raw_rocksdb;
/* NULL in a build without LMDB. */
extern const struct raw_engine *const raw_lmdb;

#endif
