/* SPDX-License-Identifier: Apache-2.0
 * kv_faulty.c - an engine whose reads fail and whose writes wait on request, around another.
 * Called by: tests of what reads the store. May touch: its own engine and iterators.
 * Never: more than one thread at a time while a failure is awaited. */
#include "kv_faulty.h"

#include <stdlib.h>

#include "lock.h"
#include "log.h"

struct faulty {
    wf_kv base;
    wf_kv *inner;
    wf_counter reads;
    uint64_t left; /* reads until the failure; 0: none is awaited */
    weft_err err;
    bool met;
    void (*on_write)(void *arg);
    void *on_write_arg;
};

struct faulty_iter {
    wf_kv_iter base;
    struct faulty *f;
    wf_kv_iter *inner;
    weft_err err;
};

static struct faulty *faulty_of(wf_kv *kv) { return (struct faulty *)kv; }
static struct faulty_iter *iter_of(wf_kv_iter *it) { return (struct faulty_iter *)it; }

static const struct faulty_iter *iter_seen(const wf_kv_iter *it)
{
    return (const struct faulty_iter *)it;
}

/* Counts a read. */
static weft_err read_err(struct faulty *f)
{
    wf_counter_add(&f->reads, 1);
    if (f->left == 0 || --f->left > 0) return WEFT_OK;
    f->met = true;
    return f->err;
}

static weft_err faulty_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                           size_t key_len, wf_value *out)
{
    weft_err err = read_err(faulty_of(kv));
    return err != WEFT_OK ? err : wf_kv_get(faulty_of(kv)->inner, snap, cf, key, key_len, out);
}

static void faulty_release(wf_kv *kv, wf_value *value)
{
    wf_value_release(faulty_of(kv)->inner, value);
}

static weft_err faulty_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct faulty *f = faulty_of(kv);
    if (f->on_write != NULL) f->on_write(f->on_write_arg);
    return wf_kv_write(f->inner, batch, sync);
}

static weft_err faulty_sync(wf_kv *kv) { return wf_kv_sync(faulty_of(kv)->inner); }

static weft_err faulty_failed(wf_kv *kv) { return wf_kv_failed(faulty_of(kv)->inner); }

static weft_err faulty_reopen(wf_kv *kv) { return wf_kv_reopen(faulty_of(kv)->inner); }

static weft_err faulty_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct faulty *f = faulty_of(kv);
    weft_err err = f->err == WEFT_CORRUPT ? WEFT_OK : read_err(f); /* it reads no block */
    return err != WEFT_OK ? err : wf_kv_snapshot_create(f->inner, out);
}

static void faulty_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap)
{
    wf_kv_snapshot_destroy(faulty_of(kv)->inner, snap);
}

static weft_err faulty_checkpoint(wf_kv *kv, const char *dir)
{
    weft_err err = read_err(faulty_of(kv));
    return err != WEFT_OK ? err : wf_kv_checkpoint(faulty_of(kv)->inner, dir);
}

static uint64_t faulty_memory(wf_kv *kv) { return wf_kv_memory(faulty_of(kv)->inner); }

static void faulty_close(wf_kv *kv)
{
    wf_kv_close(faulty_of(kv)->inner);
    free(kv);
}

/* -- Iterators -------------------------------------------------------------------------- */

static weft_err faulty_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                                   const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct faulty *f = faulty_of(kv);
    weft_err err = read_err(f);
    if (err != WEFT_OK) return err;
    struct faulty_iter *it = calloc(1, sizeof *it);
    if (it == NULL) return WEFT_NO_MEMORY;
    err = wf_kv_iter_create(f->inner, snap, cf, prefix, prefix_len, &it->inner);
    if (err != WEFT_OK) {
        free(it);
        return err;
    }
    it->base.ops = kv->ops;
    it->f = f;
    *out = &it->base;
    return WEFT_OK;
}

static void faulty_iter_destroy(wf_kv_iter *it)
{
    wf_kv_iter_destroy(iter_of(it)->inner);
    free(it);
}

/* True: the step is to be made. */
static bool step(wf_kv_iter *it)
{
    weft_err err = read_err(iter_of(it)->f);
    if (err != WEFT_OK) iter_of(it)->err = err;
    return iter_of(it)->err == WEFT_OK;
}

static void faulty_iter_first(wf_kv_iter *it)
{
    if (step(it)) wf_kv_iter_first(iter_of(it)->inner);
}

static void faulty_iter_last(wf_kv_iter *it)
{
    if (step(it)) wf_kv_iter_last(iter_of(it)->inner);
}

static void faulty_iter_seek(wf_kv_iter *it, const void *key, size_t key_len)
{
    if (step(it)) wf_kv_iter_seek(iter_of(it)->inner, key, key_len);
}

static void faulty_iter_seek_back(wf_kv_iter *it, const void *key, size_t key_len)
{
    if (step(it)) wf_kv_iter_seek_back(iter_of(it)->inner, key, key_len);
}

static void faulty_iter_next(wf_kv_iter *it)
{
    if (step(it)) wf_kv_iter_next(iter_of(it)->inner);
}

static void faulty_iter_prev(wf_kv_iter *it)
{
    if (step(it)) wf_kv_iter_prev(iter_of(it)->inner);
}

static bool faulty_iter_valid(const wf_kv_iter *it)
{
    return iter_seen(it)->err == WEFT_OK && wf_kv_iter_valid(iter_seen(it)->inner);
}

static const uint8_t *faulty_iter_key(const wf_kv_iter *it, size_t *len)
{
    return wf_kv_iter_key(iter_seen(it)->inner, len);
}

static const uint8_t *faulty_iter_value(const wf_kv_iter *it, size_t *len)
{
    return wf_kv_iter_value(iter_seen(it)->inner, len);
}

static weft_err faulty_iter_err(const wf_kv_iter *it)
{
    return iter_seen(it)->err != WEFT_OK ? iter_seen(it)->err
                                         : wf_kv_iter_err(iter_seen(it)->inner);
}

static const struct wf_kv_ops faulty_ops = {
    .name = "faulty",
    .get = faulty_get,
    .release = faulty_release,
    .write = faulty_write,
    .sync = faulty_sync,
    .snapshot_create = faulty_snapshot_create,
    .snapshot_destroy = faulty_snapshot_destroy,
    .checkpoint = faulty_checkpoint,
    .memory = faulty_memory,
    .close = faulty_close,
    .iter_create = faulty_iter_create,
    .iter_destroy = faulty_iter_destroy,
    .iter_first = faulty_iter_first,
    .iter_last = faulty_iter_last,
    .iter_seek = faulty_iter_seek,
    .iter_seek_back = faulty_iter_seek_back,
    .iter_next = faulty_iter_next,
    .iter_prev = faulty_iter_prev,
    .iter_valid = faulty_iter_valid,
    .iter_key = faulty_iter_key,
    .iter_value = faulty_iter_value,
    .iter_err = faulty_iter_err,
    .failed = faulty_failed,
    .reopen = faulty_reopen,
};

/* -- From outside ----------------------------------------------------------------------- */

wf_kv *kv_faulty_create(wf_kv *inner)
{
    struct faulty *f = calloc(1, sizeof *f);
    WF_ASSERT(f != NULL);
    f->base.ops = &faulty_ops;
    f->inner = inner;
    return &f->base;
}

void kv_faulty_fail_at(wf_kv *kv, uint64_t nth, weft_err err)
{
    struct faulty *f = faulty_of(kv);
    f->left = nth;
    f->err = err;
    f->met = false;
}

uint64_t kv_faulty_reads(const wf_kv *kv)
{
    return wf_counter_get(&((const struct faulty *)kv)->reads);
}

bool kv_faulty_met(const wf_kv *kv) { return ((const struct faulty *)kv)->met; }

void kv_faulty_on_write(wf_kv *kv, void (*fn)(void *arg), void *arg)
{
    struct faulty *f = faulty_of(kv);
    f->on_write = fn;
    f->on_write_arg = arg;
}
