/* SPDX-License-Identifier: Apache-2.0
 * kv.c - calls through the table of an engine, and what all engines share.
 * Called by: the store and its tools, any thread. May touch: the tables.
 * Never: knows an engine by name, or what a key means. */
#include "kv.h"

const char *const wf_cf_names[WF_CF_COUNT] = {
    [WF_CF_ENTRY] = "entry", [WF_CF_META] = "meta",   [WF_CF_GEN] = "gen",
    [WF_CF_ARR] = "arr",     [WF_CF_CHILD] = "child", [WF_CF_TIP] = "tip",
    [WF_CF_PEER] = "peer",   [WF_CF_TREE] = "tree",   [WF_CF_POLICY] = "policy",
};

weft_err wf_kv_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                   size_t key_len, wf_value *out)
{
    return kv->ops->get(kv, snap, cf, key, key_len, out);
}

weft_err wf_kv_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                         size_t key_len, size_t count, wf_value *out, weft_err *errs)
{
    if (kv->ops->multi_get != NULL)
        return kv->ops->multi_get(kv, snap, cf, keys, key_len, count, out, errs);
    const uint8_t *key = keys;
    for (size_t i = 0; i < count; i++, key += key_len)
        errs[i] = kv->ops->get(kv, snap, cf, key, key_len, &out[i]);
    return WEFT_OK;
}

void wf_value_release(wf_kv *kv, wf_value *value) { kv->ops->release(kv, value); }

weft_err wf_kv_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    return kv->ops->write(kv, batch, sync);
}

weft_err wf_kv_failed(wf_kv *kv) { return kv->ops->failed == NULL ? WEFT_OK : kv->ops->failed(kv); }

weft_err wf_kv_reopen(wf_kv *kv)
{
    return kv->ops->reopen == NULL ? WEFT_UNSUPPORTED : kv->ops->reopen(kv);
}

weft_err wf_kv_sync(wf_kv *kv) { return kv->ops->sync(kv); }

weft_err wf_kv_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    return kv->ops->snapshot_create(kv, out);
}

void wf_kv_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap)
{
    if (snap != NULL) kv->ops->snapshot_destroy(kv, snap);
}

weft_err wf_kv_checkpoint(wf_kv *kv, const char *dir) { return kv->ops->checkpoint(kv, dir); }

uint64_t wf_kv_memory(wf_kv *kv) { return kv->ops->memory(kv); }

void wf_kv_close(wf_kv *kv)
{
    if (kv != NULL) kv->ops->close(kv);
}

weft_err wf_kv_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *prefix,
                           size_t prefix_len, wf_kv_iter **out)
{
    wf_kv_iter *it;
    weft_err err = kv->ops->iter_create(kv, snap, cf, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    it->kv = kv;
    *out = it;
    return WEFT_OK;
}

void wf_kv_iter_destroy(wf_kv_iter *it)
{
    if (it != NULL) it->ops->iter_destroy(it);
}

void wf_kv_iter_first(wf_kv_iter *it) { it->ops->iter_first(it); }

void wf_kv_iter_last(wf_kv_iter *it) { it->ops->iter_last(it); }

void wf_kv_iter_seek(wf_kv_iter *it, const void *key, size_t key_len)
{
    it->ops->iter_seek(it, key, key_len);
}

void wf_kv_iter_seek_back(wf_kv_iter *it, const void *key, size_t key_len)
{
    it->ops->iter_seek_back(it, key, key_len);
}

void wf_kv_iter_next(wf_kv_iter *it) { it->ops->iter_next(it); }

void wf_kv_iter_prev(wf_kv_iter *it) { it->ops->iter_prev(it); }

bool wf_kv_iter_valid(const wf_kv_iter *it) { return it->ops->iter_valid(it); }

const uint8_t *wf_kv_iter_key(const wf_kv_iter *it, size_t *len)
{
    return it->ops->iter_key(it, len);
}

const uint8_t *wf_kv_iter_value(const wf_kv_iter *it, size_t *len)
{
    return it->ops->iter_value(it, len);
}

weft_err wf_kv_iter_err(const wf_kv_iter *it) { return it->ops->iter_err(it); }
