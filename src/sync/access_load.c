/* SPDX-License-Identifier: Apache-2.0
 * access_load.c - the access actor's state as the store has it: sync settings, and the keys of the
 * node's own settings.
 * Called by: access_actor.c, access_change.c. May touch: the actor's state, the store (reads).
 * Never: writes. */
#include <string.h>

#include "access_state.h"
#include "alloc.h"
#include "records.h"

/* -- The node's settings ---------------------------------------------------------------- */

uint32_t wf_acc_key_at(const struct access *a, const char *key, bool *found)
{
    uint32_t lo = 0, hi = a->keys_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (strcmp(a->keys[mid], key) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < a->keys_count && strcmp(a->keys[lo], key) == 0;
    return lo;
}

weft_err wf_acc_keys_reserve(struct access *a)
{
    if (a->keys_count < a->keys_room) return WEFT_OK;
    uint32_t room = a->keys_room == 0 ? 4 : a->keys_room * 2;
    char **keys = wf_realloc(a->keys, room * sizeof(*keys));
    if (keys == NULL) return WEFT_NO_MEMORY;
    a->keys = keys;
    a->keys_room = room;
    return WEFT_OK;
}

/* They come in the order of their bytes, which is that of strcmp. */
static weft_err load_key(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct access *a = arg;
    (void)value;
    if (key_len < 2 || key_len > 1 + WEFT_SETTING_KEY_BYTES_MAX ||
        value_len > WEFT_SETTING_VALUE_BYTES_MAX || memchr(key + 1, 0, key_len - 1) != NULL ||
        a->keys_count == WEFT_SETTINGS_MAX)
        return WEFT_CORRUPT;
    weft_err err = wf_acc_keys_reserve(a);
    char *text = err == WEFT_OK ? wf_calloc(1, key_len) : NULL;
    if (text == NULL) return WEFT_NO_MEMORY;
    memcpy(text, key + 1, key_len - 1);
    a->keys[a->keys_count++] = text;
    return WEFT_OK;
}

/* -- Sync settings ---------------------------------------------------------------------- */

static weft_err load_row(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct access *a = arg;
    struct wf_track_row *row;
    weft_err err = wf_track_row_decode(key, key_len, value, value_len, &row);
    if (err != WEFT_OK) return err;
    err = wf_track_rows_add_take(&a->rows, row);
    if (err != WEFT_OK) wf_free(row);
    return err;
}

/* The trees whose entries wait for a command; *out is the caller's. */
static weft_err waiting(const struct wf_track_rows *rows, weft_id **out, uint32_t *count)
{
    uint32_t n = 0;
    *out = NULL;
    *count = 0;
    if (rows->count == 0) return WEFT_OK;
    weft_id *trees = wf_malloc(rows->count * sizeof *trees);
    if (trees == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < rows->count; i++) {
        const weft_id *tree = &rows->rows[i]->tree;
        if (i > 0 && weft_id_equal(tree, &rows->rows[i - 1]->tree)) continue;
        if (!wf_track_rows_sum(rows, NULL, tree).on_commit) trees[n++] = *tree;
    }
    *out = trees;
    *count = n;
    return WEFT_OK;
}

bool wf_acc_publish_interval(struct access *a)
{
    return wf_tracks_set_interval(a->table->tracks, wf_track_rows_interval(&a->rows) * WEFT_SEC);
}

/* -- The whole -------------------------------------------------------------------------- */

void wf_acc_unload(struct access *a)
{
    for (uint32_t i = 0; i < a->keys_count; i++) wf_free(a->keys[i]);
    wf_free(a->keys);
    wf_track_rows_fini(&a->rows);
    a->keys = NULL;
    a->keys_count = a->keys_room = 0;
}

weft_err wf_acc_load(struct access *a)
{
    struct access fresh = {.table = a->table};
    const uint8_t rows = WF_REC_TRACK, keys = WF_REC_SETTING;
    wf_store *store = a->table->wf_store;
    weft_id *trees = NULL;
    uint32_t count = 0;
    weft_err err = wf_store_record_each(store, WF_CF_PEER, &rows, 1, load_row, &fresh);
    if (err == WEFT_OK) err = wf_store_record_each(store, WF_CF_PEER, &keys, 1, load_key, &fresh);
    if (err == WEFT_OK) err = waiting(&fresh.rows, &trees, &count);
    if (err != WEFT_OK) {
        wf_acc_unload(&fresh);
        return err;
    }
    wf_acc_unload(a);
    a->rows = fresh.rows;
    a->keys = fresh.keys;
    a->keys_count = fresh.keys_count;
    a->keys_room = fresh.keys_room;
    a->stale = false;
    wf_tracks_replace_take(a->table->tracks, trees, count);
    (void)wf_acc_publish_interval(a);
    return WEFT_OK;
}
