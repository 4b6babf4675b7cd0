/* SPDX-License-Identifier: Apache-2.0
 * kv_kit.h - an engine under test, whichever it is, in a directory of its own.
 * Called by: test_kv*.c, test_store_rocksdb.c. Never: the product. */
#ifndef KV_KIT_H
#define KV_KIT_H

#include "kv.h"

struct kk_engine {
    const char *name;
    bool on_disk;
    enum wf_engine engine;
};
extern const struct kk_engine kk_memory, kk_rocksdb, kk_lmdb;

/* Skips the test if this build has no such engine. */
void kk_need(const struct kk_engine *engine);

/* .init and .fini of suites whose engines are on disk: kk_dir is a directory that the engine makes
 * and that is removed, and what weft logs from WARN on (refusals are expected) is said to nobody
 * but kk_last_line. */
extern char kk_dir[64], kk_last_line[512];
void kk_setup(void);
void kk_teardown(void);

/* A new directory for this test; removed by kk_dir_remove. */
void kk_dir_create(char out[64]);
void kk_dir_remove(const char *dir);
/* Turns a bit of these bytes, where they are first, in each file whose name ends so: of how many. */
uint32_t kk_flip(const char *dir, const char *end, const void *bytes, size_t len);
/* Opens the engine; `dir` is ignored in memory. Ends the test on failure. */
wf_kv *kk_open(const struct kk_engine *engine, const char *dir);
/* The same of an engine on disk, with its answer. */
weft_err kk_try(const struct kk_engine *engine, const char *dir, bool create, bool read_only,
                wf_kv **out);

/* Text keys and values, one operation a call. */
void kk_put(wf_kv *kv, enum wf_cf cf, const char *key, const char *value, bool sync);
void kk_delete(wf_kv *kv, enum wf_cf cf, const char *key);
/* The value as text, "(none)" if there is none. Static, overwritten by the next call. */
const char *kk_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const char *key);
/* All keys of a prefix joined by blanks, forwards or backwards; static likewise. */
const char *kk_keys(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const char *prefix,
                    bool backwards);

#endif
