/* SPDX-License-Identifier: Apache-2.0
 * raw_engine.h - RocksDB without weft: the same options, families, keys and bytes.
 * Called by: store_raw.c. Never: the store layer's engine. */
#ifndef WF_BENCH_RAW_ENGINE_H
#define WF_BENCH_RAW_ENGINE_H

#include "kv.h"

struct raw;

/* A new, empty database in `dir` with the options and families that the closed store in
 * `like` was opened with; the process ends with a sentence if anything fails, here and below. */
struct raw *raw_open(const char *dir, const char *like);
void raw_close(struct raw *raw); /* flushes nothing */
/* Builds RocksDB's batch from `batch` and writes it, as a program without weft would. */
void raw_write(struct raw *raw, const wf_batch *batch, bool sync);
/* Bytes of the value; 0: not there. The value is touched. With `hash` (32 bytes): BLAKE2b-256 of
 * the value is put there, as everybody has to who checks what he reads. */
size_t raw_get(struct raw *raw, enum wf_cf cf, const void *key, size_t key_len, uint8_t *hash);

#endif
