/* SPDX-License-Identifier: Apache-2.0
 * store.c - opening and closing a store: its format, its parts.
 * Called by: weft.c, tests, tools. May touch: the engine, through kv.h.
 * Never: entries (writer.c adds them, find.c reads them). */
#include "alloc.h"
#include "block.h"
#include "damage.h"
#include "log.h"
#include "migrate.h"
#include "trie_write.h"

static weft_err judge_format(uint32_t format)
{
    if (format >= WF_FORMAT_OLDEST && format <= WF_FORMAT_REMOVED) return WEFT_OK;
    return wf_fail(WEFT_VERSION, "store", "format=%u is %s than %u", format,
                   format > WF_FORMAT_REMOVED ? "newer" : "older",
                   format > WF_FORMAT_REMOVED ? WF_FORMAT_REMOVED : WF_FORMAT_OLDEST);
}

static weft_err read_format(wf_store *store, bool *found)
{
    static const uint8_t key[1] = {WF_TREE_FORMAT};
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TREE, key, sizeof key, &value);
    *found = err != WEFT_NOT_FOUND;
    if (err != WEFT_OK) return *found ? err : WEFT_OK;
    err = wf_format_read(value.data, value.len, &store->format);
    wf_value_release(store->kv, &value);
    if (err == WEFT_OK) err = judge_format(store->format);
    if (err == WEFT_OK && store->format == WF_FORMAT_REMOVED) {
        store->format = WF_FORMAT_VERSION;
        store->has_removed = true;
    }
    return err;
}

static weft_err is_empty(wf_store *store, bool *out)
{
    *out = true;
    for (unsigned cf = 0; cf < WF_CF_COUNT && *out; cf++) {
        wf_kv_iter *it;
        weft_err err = wf_kv_iter_create(store->kv, NULL, (enum wf_cf)cf, NULL, 0, &it);
        if (err != WEFT_OK) return err;
        wf_kv_iter_first(it);
        *out = !wf_kv_iter_valid(it);
        err = wf_kv_iter_err(it);
        wf_kv_iter_destroy(it);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

static weft_err write_format(wf_store *store)
{
    store->format = WF_FORMAT_VERSION;
    wf_format_put(store->batch, store->format);
    weft_err err = wf_kv_write(store->kv, store->batch, true);
    wf_batch_clear(store->batch);
    return err;
}

static weft_err check_format(wf_store *store)
{
    bool found, empty;
    weft_err err = read_format(store, &found);
    if (err != WEFT_OK || found) return err;
    err = is_empty(store, &empty);
    if (err != WEFT_OK) return err;
    if (!empty) return wf_fail(WEFT_CORRUPT, "store", "the format record is missing");
    err = write_format(store);
    if (err != WEFT_INVALID) return err; /* which is the answer to who only reads */
    return wf_fail(WEFT_NOT_STORE, "store", "nothing is in it: its creation did not end");
}

static void free_parts(wf_store *store)
{
    if (store->desk != NULL) store->desk_free(store->desk);
    wf_trees_fini(&store->trees);
    wf_tips_clear(&store->tips);
    wf_briefs_fini(&store->briefs);
    wf_policies_fini(&store->policies);
    wf_trie_destroy(store->trie);
    wf_dom_cache_fini(&store->doms);
    for (uint32_t i = 0; i < store->fresh_count; i++) weft_buf_unref(store->fresh[i].holder);
    wf_batch_destroy(store->batch);
    wf_rwlock_destroy(store->lock);
    wf_damage_destroy(store->damage);
    wf_places_fini(&store->places);
    wf_free(store->fresh);
    wf_free(store->arena);
    wf_free(store->touched);
    wf_free(store->parents);
    wf_free(store->entry);
    wf_free(store->scratch);
    wf_free(store);
}

static bool is_removed(void *arg, uint64_t t) { return wf_store_is_removed(arg, t); }

static weft_err create_parts(wf_store *store)
{
    uint64_t secret;
    wf_random(store->rt, &secret, sizeof secret);
    wf_briefs_init(&store->briefs, secret);
    store->briefs.is_removed = is_removed;
    store->briefs.arg = store;
    wf_tips_init(&store->tips, secret);
    store->lock = wf_rwlock_create();
    store->entry = wf_malloc(sizeof *store->entry);
    if (store->lock == NULL || store->entry == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_damage_create(&store->damage);
    if (err == WEFT_OK) err = wf_places_init(&store->places);
    return err == WEFT_OK ? wf_batch_create(&store->batch) : err;
}

weft_err wf_store_open(wf_kv *kv, weft_rt *rt, wf_store **out)
{
    return wf_store_open_with(kv, rt, NULL, out);
}

weft_err wf_store_open_with(wf_kv *kv, weft_rt *rt, const wf_store_options *options, wf_store **out)
{
    static const wf_store_options plain;
    wf_store *store = wf_calloc(1, sizeof *store);
    if (store == NULL) return WEFT_NO_MEMORY;
    store->kv = kv;
    store->rt = rt;
    weft_err err = create_parts(store);
    if (err == WEFT_OK) err = check_format(store);
    if (err == WEFT_OK) err = wf_policies_init(&store->policies, kv);
    if (err == WEFT_OK) err = wf_trees_load(store);
    if (err == WEFT_OK && store->format != WF_FORMAT_VERSION) {
        err = wf_store_migrate(store, options == NULL ? &plain : options);
        if (err == WEFT_OK) err = wf_trees_load(store); /* with what was made of them */
    }
    if (err == WEFT_OK) err = wf_store_restored(store);
    if (err == WEFT_OK) {
        wf_trees_free_gone(store);
        wf_trees_keep(store);
        *out = store;
        store = NULL;
    }
    if (store != NULL) free_parts(store); /* the engine stays the caller's */
    return err;
}

wf_kv *wf_store_detach(wf_store *store)
{
    wf_kv *kv = store->kv;
    free_parts(store);
    return kv;
}

void wf_store_close(wf_store *store)
{
    if (store != NULL) wf_kv_close(wf_store_detach(store));
}

wf_kv *wf_store_kv(wf_store *store) { return store->kv; }

uint32_t wf_store_format(const wf_store *store) { return store->format; }

void wf_store_counters_read(wf_store *store, struct wf_store_counters *out)
{
    *out = (struct wf_store_counters){
        .batches = wf_counter_get(&store->counters.batches),
        .synced = wf_counter_get(&store->counters.synced),
        .entries = wf_counter_get(&store->counters.entries),
        .known = wf_counter_get(&store->counters.known),
        .refused = wf_counter_get(&store->counters.refused),
        .pending_now = wf_counter_get(&store->counters.pending_now),
        .pending_bytes = wf_counter_get(&store->counters.pending_bytes),
        .write_ns = wf_counter_get(&store->counters.write_ns),
        .healed = wf_counter_get(&store->counters.healed),
        .damaged = wf_damage_count(store),
        .outages = wf_counter_get(&store->counters.outages),
        .commits = wf_counter_get(&store->counters.commits),
        .synced_commits = wf_counter_get(&store->counters.synced_commits),
        .sync_ns = wf_counter_get(&store->counters.sync_ns),
        .mended = wf_counter_get(&store->counters.mended),
        .shelved = wf_counter_get(&store->counters.shelved),
        .unshelved = wf_counter_get(&store->counters.unshelved),
    };
}
