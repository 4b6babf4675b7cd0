/* SPDX-License-Identifier: Apache-2.0
 * check.c - reads a whole store and holds all of it against each other.
 * Called by: weft-stress, weft-fsck, tests; any thread, best on a store at rest. May
 * touch: the engine (reads, through one snapshot). Never: repairs, or trusts an index
 * because another one agrees with it: bodies are the truth. */
#include "alloc.h"
#include "crypto.h"
#include "entry.h"
#include "log.h"
#include "state.h"

struct check {
    wf_store *store;
    wf_kv *kv;
    wf_kv_snapshot *snap;
    wf_check_report *report;
    bool signatures;
    weft_entry *entry;
    weft_id *parents;
    weft_id *trees; /* their ids by local number, from 1 */
    uint64_t trees_count;
    uint64_t entries, children, named_tips; /* found in bodies */
};

/* Counts of one tree, as its `meta` records give them. */
struct totals {
    uint64_t count, max_gen, tips;
};

static weft_err get(struct check *c, enum wf_cf cf, const void *key, size_t len, wf_value *out)
{
    return wf_kv_get(c->kv, c->snap, cf, key, len, out);
}

/* Is the key there? A failure of the engine ends the check. */
static weft_err has(struct check *c, enum wf_cf cf, const void *key, size_t len, bool *out)
{
    wf_value value;
    weft_err err = get(c, cf, key, len, &value);
    if (err == WEFT_OK) wf_value_release(c->kv, &value);
    *out = err == WEFT_OK;
    return err == WEFT_NOT_FOUND ? WEFT_OK : err;
}

static weft_err expect(struct check *c, enum wf_cf cf, const void *key, size_t len, bool there,
                       uint64_t *fault)
{
    bool found;
    weft_err err = has(c, cf, key, len, &found);
    if (err == WEFT_OK && found != there) (*fault)++;
    return err;
}

/* The value of an index must be there and begin with these bytes. */
static weft_err expect_value(struct check *c, enum wf_cf cf, const void *key, size_t key_len,
                             const void *want, size_t len)
{
    wf_value value;
    weft_err err = get(c, cf, key, key_len, &value);
    if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    if (err != WEFT_OK || value.len < len || memcmp(value.data, want, len) != 0)
        c->report->bad_indexes++;
    if (err == WEFT_OK) wf_value_release(c->kv, &value);
    return WEFT_OK;
}

/* -- One entry ------------------------------------------------------------------------------ */

static weft_err children_of(struct check *c, const struct wf_meta_record *meta, wf_kv_iter **out)
{
    uint8_t prefix[WF_KEY_SEQ_BYTES];
    wf_key_seq(prefix, meta->t, meta->seq);
    return wf_kv_iter_create(c->kv, c->snap, WF_CF_CHILD, prefix, sizeof prefix, out);
}

static weft_err has_children(struct check *c, const struct wf_meta_record *meta, bool *out)
{
    wf_kv_iter *it;
    weft_err err = children_of(c, meta, &it);
    if (err != WEFT_OK) return err;
    wf_kv_iter_first(it);
    *out = wf_kv_iter_valid(it);
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

/* Does a child of `id` name it as a parent within the store `name`? */
static weft_err is_followed_in(struct check *c, const weft_id *id,
                               const struct wf_meta_record *meta, const weft_entry_store *part,
                               bool *out)
{
    *out = false;
    weft_entry *child = wf_malloc(sizeof *child);
    if (child == NULL) return WEFT_NO_MEMORY;
    wf_kv_iter *it;
    weft_err err = children_of(c, meta, &it);
    if (err != WEFT_OK) goto done;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && !*out; wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        uint8_t at[WF_KEY_SEQ_BYTES];
        wf_value value;
        if (len != WF_KEY_CHILD_BYTES) continue; /* counted where the child itself is looked at */
        wf_key_seq(at, meta->t, wf_get64(key + WF_KEY_SEQ_BYTES));
        if (get(c, WF_CF_ENTRY, at, sizeof at, &value) != WEFT_OK) continue; /* likewise */
        if (wf_entry_parse(value.data, value.len, child) == WEFT_OK)
            for (uint32_t s = 0; s < child->stores_count && !*out; s++) {
                const weft_entry_store *other = &child->stores[s];
                if (other->name_len != part->name_len ||
                    memcmp(other->name, part->name, part->name_len) != 0)
                    continue;
                for (uint32_t i = 0; i < other->parents_count && !*out; i++) {
                    weft_id parent;
                    weft_entry_store_parent(other, i, &parent);
                    *out = weft_id_equal(&parent, id);
                }
            }
        wf_value_release(c->kv, &value);
    }
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
done:
    wf_free(child);
    return err;
}

static weft_err check_tips(struct check *c, const weft_id *id, const struct wf_meta_record *meta,
                           struct totals *totals)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX];
    bool followed;
    weft_err err = has_children(c, meta, &followed);
    if (err != WEFT_OK) return err;
    if (!followed) totals->tips++;
    size_t len = wf_key_tip(key, meta->t, NULL, 0, id);
    err = expect(c, WF_CF_TIP, key, len, !followed, &c->report->bad_tips);
    for (uint32_t s = 0; s < c->entry->stores_count && err == WEFT_OK; s++) {
        const weft_entry_store *part = &c->entry->stores[s];
        err = is_followed_in(c, id, meta, part, &followed);
        if (err != WEFT_OK) return err;
        if (!followed) c->named_tips++;
        len = wf_key_tip(key, meta->t, part->name, part->name_len, id);
        err = expect(c, WF_CF_TIP, key, len, !followed, &c->report->bad_tips);
    }
    return err;
}

/* Does `child` say that `id` builds on the parent? */
static weft_err check_child(struct check *c, const struct wf_meta_record *parent, uint64_t seq,
                            const weft_id *id)
{
    uint8_t key[WF_KEY_CHILD_BYTES];
    wf_key_child(key, parent->t, parent->seq, seq);
    return expect_value(c, WF_CF_CHILD, key, sizeof key, id->bytes, WEFT_ID_BYTES);
}

/* The parents that the body names, against `meta` and `child`; *max_gen of theirs. */
static weft_err check_parents(struct check *c, const weft_id *id, const struct wf_meta_record *meta,
                              uint64_t *gen)
{
    uint32_t count = 0;
    weft_err err = WEFT_OK;
    if (!c->entry->is_root)
        err = wf_entry_union_parents(c->entry, c->parents, WEFT_ENTRY_UNION_PARENTS_MAX, &count);
    if (err != WEFT_OK) return err;
    if (count != meta->parents_count ||
        memcmp(meta->parents, c->parents, count * sizeof *c->parents) != 0)
        c->report->bad_indexes++;
    *gen = 0;
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++) {
        struct wf_meta_record parent;
        wf_value value;
        c->children++;
        err = get(c, WF_CF_META, c->parents[i].bytes, WEFT_ID_BYTES, &value);
        if (err == WEFT_NOT_FOUND) {
            c->report->missing_parents++;
            err = WEFT_OK;
            continue;
        }
        if (err != WEFT_OK) return err;
        bool found = wf_meta_read(value.data, value.len, &parent) == WEFT_OK &&
                     parent.t == meta->t; /* one of another tree is as good as none */
        wf_value_release(c->kv, &value);
        if (!found) {
            c->report->missing_parents++;
            continue;
        }
        if (parent.gen >= *gen) *gen = parent.gen + 1;
        err = check_child(c, &parent, meta->seq, id);
    }
    return err;
}

static weft_err check_indexes(struct check *c, const weft_id *id, const struct wf_meta_record *meta)
{
    uint8_t gen[WF_KEY_GEN_BYTES], number[WF_GEN_BYTES], arr[WF_KEY_SEQ_BYTES];
    wf_key_gen(gen, meta->t, meta->gen, id);
    wf_put64(number, meta->seq);
    weft_err err = expect_value(c, WF_CF_GEN, gen, sizeof gen, number, sizeof number);
    if (err != WEFT_OK) return err;
    wf_key_seq(arr, meta->t, meta->seq);
    return expect_value(c, WF_CF_ARR, arr, sizeof arr, id->bytes, WEFT_ID_BYTES);
}

static weft_err check_body(struct check *c, const weft_id *id, const wf_value *body,
                           const struct wf_meta_record *meta, struct totals *totals)
{
    weft_id hash;
    wf_blake2b_256(body->data, body->len, hash.bytes);
    if (!weft_id_equal(&hash, id)) {
        c->report->bad_ids++;
        return WEFT_OK; /* nothing that it says counts */
    }
    if (weft_entry_decode(body->data, body->len, c->entry) != WEFT_OK) {
        c->report->bad_bytes++;
        return WEFT_OK;
    }
    if (c->signatures && weft_entry_verify(c->entry) != WEFT_OK) c->report->bad_signatures++;
    if (!weft_id_equal(&c->trees[meta->t - 1], &c->entry->tree) ||
        !weft_key_equal(&meta->author, &c->entry->author) || meta->height != c->entry->height)
        c->report->bad_indexes++;
    uint64_t gen;
    weft_err err = check_parents(c, id, meta, &gen);
    if (err != WEFT_OK) return err;
    if (gen != meta->gen) c->report->bad_indexes++;
    err = check_indexes(c, id, meta);
    return err == WEFT_OK ? check_tips(c, id, meta, totals) : err;
}

static weft_err check_entry(struct check *c, const weft_id *id, const struct wf_meta_record *meta,
                            struct totals *totals)
{
    c->report->entries++;
    if (meta->t == 0 || meta->t > c->trees_count) {
        c->report->bad_indexes++;
        return WEFT_OK;
    }
    totals = &totals[meta->t - 1];
    totals->count++;
    if (meta->gen > totals->max_gen) totals->max_gen = meta->gen;
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_value body;
    wf_key_seq(key, meta->t, meta->seq);
    weft_err err = get(c, WF_CF_ENTRY, key, sizeof key, &body);
    if (err == WEFT_CORRUPT || err == WEFT_NOT_FOUND) {
        c->report->bad_bytes++;
        return WEFT_OK;
    }
    if (err != WEFT_OK) return err;
    err = check_body(c, id, &body, meta, totals);
    wf_value_release(c->kv, &body);
    return err;
}

/* -- The whole ---------------------------------------------------------------------------------- */

static weft_err each_meta(struct check *c, struct totals *totals)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(c->kv, c->snap, WF_CF_META, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *data = wf_kv_iter_value(it, &len);
        struct wf_meta_record meta;
        weft_id id;
        c->entries++;
        if (key_len != WEFT_ID_BYTES || wf_meta_read(data, len, &meta) != WEFT_OK) {
            c->report->bad_indexes++;
            continue;
        }
        memcpy(id.bytes, key, WEFT_ID_BYTES);
        err = check_entry(c, &id, &meta, totals);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err count_keys(struct check *c, enum wf_cf cf, uint64_t *out)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(c->kv, c->snap, cf, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    *out = 0;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) (*out)++;
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static uint64_t distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

/* Each index has what the bodies ask for (checked above) and no more. */
static weft_err check_sizes(struct check *c, const struct totals *totals)
{
    static const enum wf_cf per_entry[] = {WF_CF_ENTRY, WF_CF_GEN, WF_CF_ARR};
    uint64_t found, tips = c->named_tips;
    for (unsigned i = 0; i < sizeof per_entry / sizeof *per_entry; i++) {
        weft_err err = count_keys(c, per_entry[i], &found);
        if (err != WEFT_OK) return err;
        /* A body that is missing was counted when its entry was looked at. */
        if (per_entry[i] == WF_CF_ENTRY && found < c->entries) continue;
        c->report->bad_indexes += distance(found, c->entries);
    }
    for (uint64_t t = 0; t < c->trees_count; t++) tips += totals[t].tips;
    bool bodies = c->report->bad_bytes + c->report->bad_ids == 0;
    weft_err err = count_keys(c, WF_CF_TIP, &found);
    if (err == WEFT_OK && bodies && found > tips) c->report->bad_tips += found - tips;
    if (err == WEFT_OK) err = count_keys(c, WF_CF_CHILD, &found);
    if (err == WEFT_OK && bodies && found > c->children)
        c->report->bad_indexes += found - c->children;
    return err;
}

static weft_err check_counts(struct check *c, const struct totals *totals)
{
    bool bodies = c->report->bad_bytes + c->report->bad_ids == 0;
    for (uint64_t t = 1; t <= c->trees_count; t++) {
        uint8_t key[WF_KEY_TREE_BYTES];
        wf_key_tree(key, WF_TREE_COUNTS, t);
        wf_value value;
        wf_tree_info info = {0};
        weft_err err = get(c, WF_CF_TREE, key, sizeof key, &value);
        if (err == WEFT_OK) {
            err = wf_counts_read(value.data, value.len, &info);
            wf_value_release(c->kv, &value);
        }
        if (err != WEFT_OK && err != WEFT_NOT_FOUND && err != WEFT_CORRUPT) return err;
        const struct totals *want = &totals[t - 1];
        if (err == WEFT_NOT_FOUND && want->count == 0) continue; /* made since the snapshot */
        if (err != WEFT_OK || info.count != want->count || info.seq != want->count ||
            info.max_gen != want->max_gen)
            c->report->bad_indexes++;
        else if (bodies && info.tips != want->tips) c->report->bad_tips++;
    }
    return WEFT_OK;
}

/* After the snapshot: a tree is in the table before anything of it is written. */
static weft_err list_trees(struct check *c)
{
    wf_rwlock_read(c->store->lock);
    const struct wf_trees *trees = &c->store->trees;
    c->trees = wf_calloc(trees->count + 1, sizeof *c->trees);
    if (c->trees != NULL) {
        c->trees_count = trees->count;
        for (uint32_t i = 0; i < trees->count; i++) c->trees[i] = trees->list[i]->now.tree;
    }
    wf_rwlock_give(c->store->lock);
    return c->trees == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

weft_err wf_store_check_with(wf_store *store, const struct wf_check_options *options,
                             wf_check_report *out)
{
    wf_check_report report = {0};
    struct check c = {
        .store = store, .kv = store->kv, .report = &report, .signatures = options->signatures};
    struct totals *totals = NULL;
    weft_err err = wf_kv_snapshot_create(store->kv, &c.snap);
    if (err == WEFT_OK) err = list_trees(&c);
    if (err != WEFT_OK) goto done;
    err = WEFT_NO_MEMORY;
    totals = wf_calloc(c.trees_count + 1, sizeof *totals);
    c.entry = wf_malloc(sizeof *c.entry);
    c.parents = wf_malloc(WEFT_ENTRY_UNION_PARENTS_MAX * sizeof *c.parents);
    if (totals == NULL || c.entry == NULL || c.parents == NULL) goto done;
    err = each_meta(&c, totals);
    if (err == WEFT_OK) err = check_sizes(&c, totals);
    if (err == WEFT_OK) err = check_counts(&c, totals);
    if (err == WEFT_OK) *out = report;
done:
    wf_kv_snapshot_destroy(store->kv, c.snap);
    wf_free(c.trees);
    wf_free(c.parents);
    wf_free(c.entry);
    wf_free(totals);
    return err;
}

weft_err wf_store_check(wf_store *store, bool signatures, wf_check_report *out)
{
    struct wf_check_options options = {.signatures = signatures};
    return wf_store_check_with(store, &options, out);
}
