/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_read.c - values, snapshots and iterators of RocksDB.
 * Called by: kv_rocksdb.c (its table); any thread. May touch: RocksDB, reading.
 * Never: copies a value; what is out keeps its block in the cache. */
#include <string.h>

#include "alloc.h"
#include "kv_rocksdb_state.h"

#define MULTI_GET_CHUNK 64u

struct snapshot {
    const rocksdb_snapshot_t *rocks;
    rocksdb_readoptions_t *read;
};

struct iter {
    wf_kv_iter base;
    struct wf_rocks *owner;
    rocksdb_iterator_t *rocks;
    rocksdb_readoptions_t *read;
    size_t prefix_len, upper_len;
    uint8_t *upper; /* the first key after the prefix; inside bytes */
    uint8_t bytes[];
};

/* -- Reading ------------------------------------------------------------------------ */

static weft_err value_out(rocksdb_pinnableslice_t *slice, wf_value *out)
{
    if (slice == NULL) return WEFT_NOT_FOUND;
    size_t len;
    const char *data = rocksdb_pinnableslice_value(slice, &len);
    *out = (wf_value){.data = (const uint8_t *)data, .len = len, .pin = slice};
    return WEFT_OK;
}

static const rocksdb_readoptions_t *read_options(struct wf_rocks *r, const wf_kv_snapshot *snap)
{
    return snap == NULL ? r->read : ((const struct snapshot *)snap)->read;
}

weft_err wf_rocks_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                      size_t key_len, wf_value *out)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(r->db, read_options(r, snap),
                                                           r->handles[cf], key, key_len, &text);
    if (text != NULL) return wf_rocks_fail(r, "read", text);
    return value_out(slice, out);
}

weft_err wf_rocks_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                            size_t key_len, size_t count, wf_value *out, weft_err *errs)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    if (count == 1) { /* what it sets up for many is not worth it */
        errs[0] = wf_rocks_get(kv, snap, cf, keys, key_len, out);
        return WEFT_OK;
    }
    for (size_t from = 0; from < count; from += MULTI_GET_CHUNK) {
        size_t n = count - from < MULTI_GET_CHUNK ? count - from : MULTI_GET_CHUNK;
        const char *key_list[MULTI_GET_CHUNK];
        size_t sizes[MULTI_GET_CHUNK];
        rocksdb_pinnableslice_t *slices[MULTI_GET_CHUNK] = {NULL};
        char *texts[MULTI_GET_CHUNK] = {NULL};
        for (size_t i = 0; i < n; i++) {
            key_list[i] = (const char *)keys + (from + i) * key_len;
            sizes[i] = key_len;
        }
        rocksdb_batched_multi_get_cf(r->db, read_options(r, snap), r->handles[cf], n, key_list,
                                     sizes, slices, texts, false);
        for (size_t i = 0; i < n; i++) {
            errs[from + i] = texts[i] == NULL ? value_out(slices[i], &out[from + i])
                                              : wf_rocks_fail(r, "read", texts[i]);
        }
    }
    return WEFT_OK;
}

void wf_rocks_release(wf_kv *kv, wf_value *value)
{
    (void)kv;
    if (value->pin != NULL) rocksdb_pinnableslice_destroy(value->pin);
    *value = (wf_value){0};
}

/* -- Snapshots and iterators ---------------------------------------------------------- */

weft_err wf_rocks_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    struct snapshot *snap = wf_calloc(1, sizeof *snap);
    if (snap == NULL) return WEFT_NO_MEMORY;
    snap->rocks = rocksdb_create_snapshot(r->db);
    snap->read = wf_rocks_read_options(true);
    rocksdb_readoptions_set_snapshot(snap->read, snap->rocks);
    *out = (wf_kv_snapshot *)snap;
    return WEFT_OK;
}

void wf_rocks_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque)
{
    struct snapshot *snap = (struct snapshot *)opaque;
    rocksdb_readoptions_destroy(snap->read);
    rocksdb_release_snapshot(wf_rocks_of(kv)->db, snap->rocks);
    wf_free(snap);
}

/* A long walk must not empty the cache; a short one should find its block there. */
static bool walks_are_long(enum wf_cf cf, size_t prefix_len)
{
    return prefix_len == 0 || cf == WF_CF_GEN || cf == WF_CF_ARR || cf == WF_CF_SUB;
}

/* The first key after all that begin with `prefix`: its last byte that can grow,
 * grown by one. Length 0: there is none. */
static size_t make_upper(uint8_t *upper, const void *prefix, size_t len)
{
    if (len > 0) memcpy(upper, prefix, len);
    while (len > 0 && upper[len - 1] == 0xff) len--;
    if (len > 0) upper[len - 1]++;
    return len;
}

weft_err wf_rocks_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                              const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    struct iter *it = wf_calloc(1, sizeof *it + 2 * prefix_len);
    if (it == NULL) return WEFT_NO_MEMORY;
    it->base.ops = kv->ops;
    it->owner = r;
    it->prefix_len = prefix_len;
    if (prefix_len > 0) memcpy(it->bytes, prefix, prefix_len);
    it->upper = it->bytes + prefix_len;
    it->upper_len = make_upper(it->upper, prefix, prefix_len);
    it->read = wf_rocks_read_options(!walks_are_long(cf, prefix_len));
    if (snap != NULL)
        rocksdb_readoptions_set_snapshot(it->read, ((const struct snapshot *)snap)->rocks);
    if (it->prefix_len > 0)
        rocksdb_readoptions_set_iterate_lower_bound(it->read, (const char *)it->bytes, prefix_len);
    if (it->upper_len > 0)
        rocksdb_readoptions_set_iterate_upper_bound(it->read, (const char *)it->upper,
                                                    it->upper_len);
    it->rocks = rocksdb_create_iterator_cf(r->db, it->read, r->handles[cf]);
    *out = &it->base;
    return WEFT_OK;
}

void wf_rocks_iter_destroy(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    rocksdb_iter_destroy(it->rocks);
    rocksdb_readoptions_destroy(it->read);
    wf_free(it);
}

void wf_rocks_iter_first(wf_kv_iter *base)
{
    rocksdb_iter_seek_to_first(((struct iter *)base)->rocks);
}

void wf_rocks_iter_last(wf_kv_iter *base)
{
    rocksdb_iter_seek_to_last(((struct iter *)base)->rocks);
}

void wf_rocks_iter_seek(wf_kv_iter *base, const void *key, size_t key_len)
{
    rocksdb_iter_seek(((struct iter *)base)->rocks, key, key_len);
}

void wf_rocks_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    size_t common = key_len < it->upper_len ? key_len : it->upper_len;
    int order = common == 0 ? 0 : memcmp(key, it->upper, common);
    bool past = it->upper_len > 0 && (order > 0 || (order == 0 && key_len >= it->upper_len));
    if (past) rocksdb_iter_seek_to_last(it->rocks);
    else rocksdb_iter_seek_for_prev(it->rocks, key, key_len);
}

void wf_rocks_iter_next(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (rocksdb_iter_valid(it->rocks)) rocksdb_iter_next(it->rocks);
}

void wf_rocks_iter_prev(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (rocksdb_iter_valid(it->rocks)) rocksdb_iter_prev(it->rocks);
}

bool wf_rocks_iter_valid(const wf_kv_iter *base)
{
    return rocksdb_iter_valid(((const struct iter *)base)->rocks) != 0;
}

const uint8_t *wf_rocks_iter_key(const wf_kv_iter *base, size_t *len)
{
    return (const uint8_t *)rocksdb_iter_key(((const struct iter *)base)->rocks, len);
}

const uint8_t *wf_rocks_iter_value(const wf_kv_iter *base, size_t *len)
{
    return (const uint8_t *)rocksdb_iter_value(((const struct iter *)base)->rocks, len);
}

weft_err wf_rocks_iter_err(const wf_kv_iter *base)
{
    const struct iter *it = (const struct iter *)base;
    char *text = NULL;
    rocksdb_iter_get_error(it->rocks, &text);
    return text == NULL ? WEFT_OK : wf_rocks_fail(it->owner, "walk", text);
}
