/* SPDX-License-Identifier: Apache-2.0
 * sketches.c - the sketch of each tree: kept by the writer, written with its batches.
 * Called by: the writer's rooms; wf_store_sketch by any thread. May touch: the engine
 * (reads), the open batch. Never: recomputes one from the entries (check.c does). */
#include "sketches.h"

#include "alloc.h"
#include "log.h"

static weft_err read_sketch(wf_store *store, uint64_t t, struct wf_sketch *out)
{
    uint8_t key[WF_KEY_SKETCH_BYTES];
    wf_value value;
    wf_key_sketch(key, t);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_SKETCH, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND) {
        *out = (struct wf_sketch){0};
        return WEFT_OK;
    }
    if (err != WEFT_OK) return err;
    err = wf_sketch_read(value.data, value.len, out);
    wf_value_release(store->kv, &value);
    return err;
}

static weft_err load(wf_store *store, struct wf_tree *tree)
{
    struct wf_sketch *sketch = wf_malloc(sizeof *sketch);
    if (sketch == NULL) return WEFT_NO_MEMORY;
    weft_err err = read_sketch(store, tree->now.t, sketch);
    if (err == WEFT_CORRUPT) { /* nothing depends on a hint, so no commit shall fail for it */
        wf_log(WEFT_LOG_WARN, "store", "the sketch of tree %llu is damaged: it begins anew",
               (unsigned long long)tree->now.t);
        *sketch = (struct wf_sketch){0};
        err = WEFT_OK;
    }
    if (err != WEFT_OK) {
        wf_free(sketch);
        return err;
    }
    tree->sketch = sketch;
    store->sketches_kept++;
    return WEFT_OK;
}

weft_err wf_sketches_add(wf_store *store, struct wf_tree *tree, const weft_id *id)
{
    WF_ASSERT(tree->touched);
    weft_err err = tree->sketch == NULL ? load(store, tree) : WEFT_OK;
    if (err != WEFT_OK) return err;
    wf_sketch_add(tree->sketch, id);
    tree->sketch_changed = true;
    return WEFT_OK;
}

void wf_sketches_put(wf_store *store)
{
    uint8_t key[WF_KEY_SKETCH_BYTES], value[WF_SKETCH_BYTES];
    for (uint32_t i = 0; i < store->touched_count; i++) {
        const struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (!tree->sketch_changed) continue;
        wf_key_sketch(key, tree->now.t);
        wf_sketch_write(tree->sketch, value);
        wf_batch_put(store->batch, WF_CF_SKETCH, key, sizeof key, value, sizeof value);
    }
}

void wf_sketches_settle(wf_store *store, bool written)
{
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        bool drop = tree->sketch_changed &&
                    (!written || store->sketches_kept > WEFT_STORE_SKETCHES);
        tree->sketch_changed = false;
        if (drop) wf_sketches_forget(store, tree);
    }
}

void wf_sketches_forget(wf_store *store, struct wf_tree *tree)
{
    if (tree->sketch == NULL) return;
    wf_free(tree->sketch);
    tree->sketch = NULL;
    tree->sketch_changed = false;
    store->sketches_kept--;
}

weft_err wf_store_sketch(wf_store *store, uint64_t t, uint8_t out[WF_SKETCH_BYTES])
{
    wf_tree_info info;
    struct wf_sketch sketch;
    if (store->format < WF_FORMAT_VERSION) return WEFT_VERSION;
    weft_err err = wf_store_tree_by_number(store, t, &info);
    if (err == WEFT_OK) err = read_sketch(store, t, &sketch);
    if (err == WEFT_OK) wf_sketch_write(&sketch, out);
    return err;
}
