/* SPDX-License-Identifier: Apache-2.0
 * restore.c - a copy of a store becomes a store of its own when it is first opened.
 * Called by: store.c, at the end of an opening, before any other thread sees the store.
 * May touch: the records of trees. Never: entries, indexes, what peers told us. */
#include <string.h>

#include "block.h"
#include "log.h"
#include "state.h"

static const uint8_t copied_key[1] = {WF_TREE_COPIED};

static weft_err is_copy(wf_store *store, bool *out)
{
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TREE, copied_key, sizeof copied_key, &value);
    if (err == WEFT_OK) wf_value_release(store->kv, &value);
    *out = err == WEFT_OK;
    return err == WEFT_NOT_FOUND ? WEFT_OK : err;
}

/* A peer's mark in the arrivals of the original says nothing about those of the copy, which
 * may lack the newest of them and will number others in their place: under a new epoch the
 * peer's mark is void, and so is what it sent "because it came from us". */
weft_err wf_store_restored(wf_store *store)
{
    bool copy;
    weft_err err = is_copy(store, &copy);
    if (err != WEFT_OK || !copy) return err;
    for (uint32_t i = 0; i < store->trees.count; i++) {
        struct wf_tree *tree = store->trees.list[i];
        uint8_t key[WF_KEY_TREE_BYTES], record[WF_TREE_RECORD_BYTES];
        if (tree->life != WF_TREE_LIVES) continue;
        wf_random(store->rt, tree->now.epoch, sizeof tree->now.epoch);
        wf_key_tree(key, WF_TREE_RECORD, tree->now.t);
        wf_tree_write(&tree->now, record);
        wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, record, sizeof record);
    }
    wf_batch_delete(store->batch, WF_CF_TREE, copied_key, sizeof copied_key);
    err = wf_kv_write(store->kv, store->batch, true);
    wf_batch_clear(store->batch);
    for (uint32_t i = 0; i < store->trees.count; i++) {
        struct wf_tree *tree = store->trees.list[i];
        if (tree->life != WF_TREE_LIVES) continue;
        if (err == WEFT_OK) tree->pub = tree->now;
        else tree->now = tree->pub;
    }
    /* Who only reads leaves the copy to whoever opens it next. */
    return err == WEFT_INVALID ? WEFT_OK : err;
}

weft_err wf_copy_mark(wf_kv *kv)
{
    wf_batch *batch;
    weft_err err = wf_batch_create(&batch);
    if (err != WEFT_OK) return err;
    wf_batch_put(batch, WF_CF_TREE, copied_key, sizeof copied_key, "", 0);
    err = wf_kv_write(kv, batch, true);
    wf_batch_destroy(batch);
    return err;
}
