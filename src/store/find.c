/* SPDX-License-Identifier: Apache-2.0
 * find.c - reading entries and their facts.
 * Called by: any thread. May touch: the engine (reads), the table of damaged bodies.
 * Never: the writer's side. */
#include "alloc.h"
#include "crypto.h"
#include "damage.h"
#include "log.h"
#include "state.h"

#define BRIEFS_CHUNK 64u

/* -- Facts ---------------------------------------------------------------------------- */

/* NOT_FOUND: it stands there of a tree that was removed. */
static weft_err meta_of(wf_store *store, const wf_value *value, struct wf_meta_record *meta)
{
    weft_err err = wf_meta_read(value->data, value->len, meta);
    if (err == WEFT_OK && wf_store_is_removed(store, meta->t)) err = WEFT_NOT_FOUND;
    return wf_mend_note(store, 0, err);
}

/* The `meta` of an entry; the caller releases `value`. */
static weft_err meta_get(wf_store *store, const weft_id *id, wf_value *value,
                         struct wf_meta_record *meta)
{
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, value);
    if (err != WEFT_OK) return wf_mend_note(store, 0, err);
    err = meta_of(store, value, meta);
    if (err != WEFT_OK) wf_value_release(store->kv, value);
    return err;
}

weft_err wf_store_meta(wf_store *store, const weft_id *id, wf_meta *out)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = meta_get(store, id, &value, &meta);
    if (err != WEFT_OK) return err;
    out->t = meta.t;
    out->gen = meta.gen;
    out->seq = meta.seq;
    out->height = meta.height;
    out->author = meta.author;
    out->policy = meta.policy;
    out->parents_count = meta.parents_count;
    memcpy(out->parents, meta.parents, (size_t)meta.parents_count * WEFT_ID_BYTES);
    wf_value_release(store->kv, &value);
    return WEFT_OK;
}

weft_err wf_store_meta_brief(wf_store *store, const weft_id *id, wf_meta_brief *out)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = meta_get(store, id, &value, &meta);
    if (err != WEFT_OK) return err;
    *out = (wf_meta_brief){meta.t, meta.gen, meta.seq, meta.height};
    wf_value_release(store->kv, &value);
    return WEFT_OK;
}

void wf_store_meta_briefs(wf_store *store, const weft_id *ids, size_t count, wf_meta_brief *out,
                          weft_err *errs)
{
    for (size_t from = 0; from < count; from += BRIEFS_CHUNK) {
        size_t n = count - from < BRIEFS_CHUNK ? count - from : BRIEFS_CHUNK;
        wf_value values[BRIEFS_CHUNK];
        weft_err err = wf_kv_multi_get(store->kv, NULL, WF_CF_META, ids + from, WEFT_ID_BYTES, n,
                                       values, errs + from);
        for (size_t i = 0; i < n; i++) {
            if (err != WEFT_OK) errs[from + i] = err;
            if (wf_mend_note(store, 0, errs[from + i]) != WEFT_OK) continue;
            struct wf_meta_record meta;
            errs[from + i] = meta_of(store, &values[i], &meta);
            if (errs[from + i] == WEFT_OK)
                out[from + i] = (wf_meta_brief){meta.t, meta.gen, meta.seq, meta.height};
            wf_value_release(store->kv, &values[i]);
        }
    }
}

weft_err wf_store_writes(wf_store *store, const weft_id *id, const char *name, size_t name_len,
                         bool *out)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = meta_get(store, id, &value, &meta);
    if (err != WEFT_OK) return err;
    *out = wf_names_have(meta.names, meta.names_len, name, name_len);
    wf_value_release(store->kv, &value);
    return WEFT_OK;
}

weft_err wf_store_parents(wf_store *store, const weft_id *id, wf_meta_brief *out,
                          weft_err (*fn)(void *arg, const weft_id *parent), void *arg)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = meta_get(store, id, &value, &meta);
    if (err != WEFT_OK) return err;
    if (out != NULL) *out = (wf_meta_brief){meta.t, meta.gen, meta.seq, meta.height};
    for (uint32_t i = 0; i < meta.parents_count && err == WEFT_OK; i++) {
        weft_id parent;
        memcpy(parent.bytes, meta.parents + (size_t)i * WEFT_ID_BYTES, WEFT_ID_BYTES);
        err = fn(arg, &parent);
    }
    wf_value_release(store->kv, &value);
    return err;
}

/* -- Bodies ---------------------------------------------------------------------------- */

/* Told once: from now on the body is in quarantine, until a peer's copy heals it. */
static weft_err body_fail(wf_store *store, uint64_t t, const wf_place *place, uint64_t era,
                          const char *what)
{
    char text[WEFT_ID_TEXT_BYTES];
    if (wf_store_is_removed(store, t)) return WEFT_NOT_FOUND; /* that is why */
    weft_id_text(&place->id, text);
    wf_damage_note(store, t, place, era);
    return wf_fail(WEFT_CORRUPT, "store", "the bytes of an entry %s id=%s", what, text);
}

static bool is_body_of(const wf_value *value, const weft_id *id)
{
    weft_id hash;
    wf_blake2b_256(value->data, value->len, hash.bytes);
    return weft_id_equal(&hash, id);
}

/* The bytes of an entry as the engine has them, which must be those of its id. */
static weft_err body_get(wf_store *store, uint64_t t, const wf_place *place, wf_value *value)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    uint64_t era = wf_damage_era(store);
    if (wf_store_is_removed(store, t)) return WEFT_NOT_FOUND;
    if (wf_damage_has(store, t, place->seq)) return WEFT_CORRUPT;
    wf_key_seq(key, t, place->seq);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_ENTRY, key, sizeof key, value);
    if (err == WEFT_NOT_FOUND) return body_fail(store, t, place, era, "are missing");
    if (err == WEFT_CORRUPT) return body_fail(store, t, place, era, "cannot be read");
    if (err != WEFT_OK) return err;
    if (is_body_of(value, &place->id)) return WEFT_OK;
    wf_value_release(store->kv, value);
    return body_fail(store, t, place, era, "do not hash to its id:");
}

/* The bytes from where they were found before. Whatever is there instead, or fails, is looked
 * into by the long way: only there a body is known to be the one that should be there. */
static bool body_guess(wf_store *store, const weft_id *id, wf_value *value)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    uint64_t t, seq;
    if (!wf_places_guess(&store->places, id, &t, &seq) || wf_damage_has(store, t, seq))
        return false;
    wf_key_seq(key, t, seq);
    if (wf_kv_get(store->kv, NULL, WF_CF_ENTRY, key, sizeof key, value) != WEFT_OK) return false;
    if (is_body_of(value, id) && !wf_store_is_removed(store, t)) return true;
    wf_value_release(store->kv, value);
    return false;
}

weft_err wf_store_get(wf_store *store, const weft_id *id, weft_buf **out)
{
    wf_value value;
    if (!body_guess(store, id, &value)) {
        wf_meta_brief meta;
        weft_err err = wf_store_meta_brief(store, id, &meta);
        if (err == WEFT_OK)
            err = body_get(store, meta.t, &(wf_place){meta.gen, meta.seq, *id}, &value);
        if (err != WEFT_OK) return err;
        wf_places_note(&store->places, id, meta.t, meta.seq);
    }
    weft_err err = weft_buf_create_copy(value.data, value.len, out);
    wf_value_release(store->kv, &value);
    return err;
}

weft_err wf_store_get_at(wf_store *store, uint64_t t, const wf_place *place, weft_buf **out)
{
    wf_value value;
    weft_err err = body_get(store, t, place, &value);
    if (err != WEFT_OK) return err;
    err = weft_buf_create_copy(value.data, value.len, out);
    wf_value_release(store->kv, &value);
    return err;
}

weft_err wf_store_get_into(wf_store *store, uint64_t t, const wf_place *place, uint8_t *out,
                           size_t *len)
{
    wf_value value;
    weft_err err = body_get(store, t, place, &value);
    if (err != WEFT_OK) return err;
    if (value.len > *len) err = WEFT_LIMIT;
    else memcpy(out, value.data, value.len);
    *len = value.len;
    wf_value_release(store->kv, &value);
    return err;
}

weft_err wf_store_find_short(wf_store *store, uint64_t t, const uint8_t id8[8], weft_id *out)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_META, id8, 8, &it);
    if (err != WEFT_OK) return err;
    weft_id found;
    unsigned hits = 0;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && hits < 2; wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        if (key_len != WEFT_ID_BYTES || len < 8 || wf_get64(value) != t) continue;
        memcpy(found.bytes, key, WEFT_ID_BYTES);
        hits++;
    }
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err != WEFT_OK) return err;
    if (hits != 1) return hits == 0 ? WEFT_NOT_FOUND : WEFT_LIMIT;
    *out = found;
    return WEFT_OK;
}

/* -- Counts ------------------------------------------------------------------------------ */

weft_err wf_counts_at(wf_store *store, const wf_kv_snapshot *snap, wf_tree_info *info)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_key_tree(key, WF_TREE_COUNTS, info->t);
    wf_value value;
    weft_err err = wf_kv_get(store->kv, snap, WF_CF_TREE, key, sizeof key, &value);
    if (err != WEFT_OK) return err;
    err = wf_counts_read(value.data, value.len, info);
    wf_value_release(store->kv, &value);
    return err;
}
