/* SPDX-License-Identifier: Apache-2.0
 * check.c - reads a whole store and holds all of it against each other.
 * Called by: weft-stress, weft-fsck, tests; any thread, best on a store at rest. May
 * touch: the engine (reads, through one snapshot). Never: repairs, or trusts an index
 * because another one agrees with it: bodies are the truth. */
#include "check.h"

#include "alloc.h"
#include "crypto.h"
#include "entry.h"
#include "log.h"
#include "shelf.h"

#define PROGRESS_ENTRIES 1024u

weft_err wf_check_get(struct wf_check *c, enum wf_cf cf, const void *key, size_t len, wf_value *out,
                      bool *found, bool *told)
{
    weft_err err = wf_kv_get(c->kv, c->snap, cf, key, len, out);
    *found = err == WEFT_OK;
    *told = err == WEFT_CORRUPT;
    if (*told) wf_check_fail(c, WF_CHECK_UNREADABLE, cf, "its record cannot be read");
    return err == WEFT_NOT_FOUND || err == WEFT_CORRUPT ? WEFT_OK : err;
}

weft_err wf_check_expect(struct wf_check *c, enum wf_cf cf, const void *key, size_t key_len,
                         const void *want, size_t len)
{
    wf_value value;
    bool found, told;
    weft_err err = wf_check_get(c, cf, key, key_len, &value, &found, &told);
    if (err != WEFT_OK || told) return err;
    if (!found) {
        wf_check_fail(c, WF_CHECK_INDEX, cf, "its record is missing");
        return WEFT_OK;
    }
    if (value.len < len || memcmp(value.data, want, len) != 0)
        wf_check_fail(c, WF_CHECK_INDEX, cf, "its record says something else");
    wf_value_release(c->kv, &value);
    return WEFT_OK;
}

/* -- One entry ------------------------------------------------------------------------------ */

/* Does `child` say that the entry at hand builds on the parent? */
static weft_err check_child(struct wf_check *c, const struct wf_meta_record *parent)
{
    uint8_t key[WF_KEY_CHILD_BYTES];
    wf_key_child(key, parent->t, parent->seq, c->at.seq);
    return wf_check_expect(c, WF_CF_CHILD, key, sizeof key, c->at.id.bytes, WEFT_ID_BYTES);
}

static weft_err check_parent(struct wf_check *c, const weft_id *id, uint64_t *gen)
{
    struct wf_meta_record parent;
    wf_value value;
    bool found, told;
    c->children++;
    weft_err err = wf_check_get(c, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value, &found, &told);
    if (err != WEFT_OK || told) return err;
    bool good = found && wf_meta_read(value.data, value.len, &parent) == WEFT_OK &&
                parent.t == c->at.t; /* one of another tree is as good as none */
    if (found) wf_value_release(c->kv, &value);
    if (!good) {
        wf_check_fail(c, WF_CHECK_PARENT, WF_CF_META, "a parent is missing");
        return WEFT_OK;
    }
    if (parent.gen >= *gen) *gen = parent.gen + 1;
    return check_child(c, &parent);
}

/* The parents that the body names, against `meta` and `child`. */
static weft_err check_parents(struct wf_check *c, const struct wf_meta_record *meta)
{
    uint32_t count = 0;
    uint64_t gen = 0, before = c->report->missing_parents;
    weft_err err = WEFT_OK;
    if (!c->entry->is_root)
        err = wf_entry_union_parents(c->entry, c->parents, WEFT_ENTRY_UNION_PARENTS_MAX, &count);
    if (err != WEFT_OK) return err;
    c->parents_count = count;
    if (count != meta->parents_count ||
        memcmp(meta->parents, c->parents, count * sizeof *c->parents) != 0)
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_META, "it names other parents");
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++)
        err = check_parent(c, &c->parents[i], &gen);
    bool all = c->report->missing_parents == before;
    if (err == WEFT_OK && (all ? gen != meta->gen : gen > meta->gen))
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_META, "it has another generation");
    return err;
}

/* The policy that holds after the entry: there, and what its hash leads to. */
static weft_err check_policy(struct wf_check *c, uint32_t number)
{
    uint8_t key[WF_KEY_POLICY_HASH_BYTES], want[4];
    wf_value value;
    bool found, told;
    if (number == c->policy) return WEFT_OK; /* nearly always */
    key[0] = WF_POLICY_NUMBER;
    wf_put32(key + 1, number);
    weft_err err = wf_check_get(c, WF_CF_POLICY, key, WF_KEY_POLICY_BYTES, &value, &found, &told);
    if (err != WEFT_OK || told) return err;
    if (!found) {
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_POLICY, "its policy is missing");
        return WEFT_OK;
    }
    key[0] = WF_POLICY_HASH;
    wf_blake2b_256(value.data, value.len, key + 1);
    wf_value_release(c->kv, &value);
    wf_put32(want, number);
    c->policy = number;
    return wf_check_expect(c, WF_CF_POLICY, key, sizeof key, want, sizeof want);
}

static weft_err check_indexes(struct wf_check *c, const struct wf_meta_record *meta)
{
    uint8_t gen[WF_KEY_GEN_BYTES], number[WF_GEN_BYTES], arr[WF_KEY_SEQ_BYTES];
    wf_key_gen(gen, meta->t, meta->gen, &c->at.id);
    wf_put64(number, meta->seq);
    weft_err err = wf_check_expect(c, WF_CF_GEN, gen, sizeof gen, number, sizeof number);
    if (err != WEFT_OK) return err;
    wf_key_seq(arr, meta->t, meta->seq);
    err = wf_check_expect(c, WF_CF_ARR, arr, sizeof arr, c->at.id.bytes, WEFT_ID_BYTES);
    return err == WEFT_OK ? check_policy(c, meta->policy) : err;
}

static weft_err check_body(struct wf_check *c, const wf_value *body,
                           const struct wf_meta_record *meta)
{
    weft_id hash;
    wf_blake2b_256(body->data, body->len, hash.bytes);
    if (!weft_id_equal(&hash, &c->at.id)) {
        wf_check_fail(c, WF_CHECK_ID, WF_CF_ENTRY, "its bytes do not hash to its id");
        return WEFT_OK; /* nothing that it says counts */
    }
    if (weft_entry_decode(body->data, body->len, c->entry) != WEFT_OK) {
        wf_check_fail(c, WF_CHECK_BYTES, WF_CF_ENTRY, "its bytes are malformed");
        return WEFT_OK;
    }
    if (c->options->signatures && weft_entry_verify(c->entry) != WEFT_OK)
        wf_check_fail(c, WF_CHECK_SIGNATURE, WF_CF_ENTRY, "its signature does not verify");
    if (!weft_id_equal(&c->trees[meta->t - 1], &c->entry->tree) ||
        !weft_key_equal(&meta->author, &c->entry->author) || meta->height != c->entry->height)
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_META, "it has another tree, author or height");
    weft_err err = check_parents(c, meta);
    if (err == WEFT_OK) err = check_indexes(c, meta);
    if (err == WEFT_OK) err = wf_check_subs(c, meta);
    if (err == WEFT_OK) err = wf_check_dominators(c, meta);
    return err == WEFT_OK ? wf_check_tips(c, meta) : err;
}

static weft_err check_entry(struct wf_check *c, const struct wf_meta_record *meta)
{
    c->report->entries++;
    if (meta->t == 0 || meta->t > c->trees_count || c->lives[meta->t - 1] != WF_CHECK_LIVES) {
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_META, "there is no tree of this number");
        return WEFT_OK;
    }
    struct wf_totals *totals = &c->totals[meta->t - 1];
    totals->count++;
    if (meta->gen > totals->max_gen) totals->max_gen = meta->gen;
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_value body;
    bool found, told;
    wf_key_seq(key, meta->t, meta->seq);
    weft_err err = wf_check_get(c, WF_CF_ENTRY, key, sizeof key, &body, &found, &told);
    if (err != WEFT_OK || told) return err;
    if (!found) {
        wf_check_fail(c, WF_CHECK_BYTES, WF_CF_ENTRY, "its bytes are missing");
        return WEFT_OK;
    }
    err = check_body(c, &body, meta);
    wf_value_release(c->kv, &body);
    return err;
}

/* -- The whole ---------------------------------------------------------------------------------- */

/* Ranges that were stepped over are faults of the family. */
static void tell_gaps(struct wf_check *c, const struct wf_scan *scan, uint64_t *told)
{
    for (; *told < scan->gaps; (*told)++)
        wf_check_fail_of(c, WF_CHECK_UNREADABLE, scan->cf, 0, 1, "a range of keys cannot be read");
}

static weft_err each_meta(struct wf_check *c)
{
    struct wf_scan scan;
    uint64_t told = 0;
    weft_err err;
    wf_scan_init(&scan, c->kv, c->snap, WF_CF_META, false);
    while ((err = wf_scan_next(&scan)) == WEFT_OK) {
        struct wf_meta_record meta;
        tell_gaps(c, &scan, &told);
        c->entries++;
        c->at = (wf_check_fault){0};
        if (scan.key_len == WEFT_ID_BYTES) memcpy(c->at.id.bytes, scan.key, WEFT_ID_BYTES);
        if (scan.key_len != WEFT_ID_BYTES ||
            wf_meta_read(scan.value, scan.value_len, &meta) != WEFT_OK) {
            wf_check_fail(c, WF_CHECK_INDEX, WF_CF_META, "its record is malformed");
            continue;
        }
        if (wf_check_is_going(c, meta.t)) {
            c->entries--;
            continue;
        }
        c->at.t = meta.t;
        c->at.seq = meta.seq;
        err = check_entry(c, &meta);
        if (err != WEFT_OK) break;
        if (c->options->progress != NULL && c->entries % PROGRESS_ENTRIES == 0)
            c->options->progress(c->options->arg, c->entries, c->of_all);
    }
    tell_gaps(c, &scan, &told);
    c->gaps = told > 0;
    c->at = (wf_check_fault){0};
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

bool wf_check_is_going(const struct wf_check *c, uint64_t t)
{
    return t > 0 && t <= c->trees_count && c->lives[t - 1] == WF_CHECK_GOING;
}

/* *whole false: there is more that could not be read. */
static weft_err count_keys(struct wf_check *c, enum wf_cf cf, uint64_t *out, bool *whole)
{
    struct wf_scan scan;
    uint64_t count = 0, told = 0;
    weft_err err;
    wf_scan_init(&scan, c->kv, c->snap, cf, false);
    while ((err = wf_scan_next(&scan)) == WEFT_OK) {
        bool shelf = (cf == WF_CF_ENTRY || cf == WF_CF_CHILD) &&
                     wf_shelf_is_row(scan.key, scan.key_len);
        bool going = scan.key_len >= 8 && wf_check_is_going(c, wf_get64(scan.key));
        count += !shelf && !going;
        if (shelf) err = wf_check_shelf_row(c, cf, &scan);
        if (err != WEFT_OK) break;
    }
    tell_gaps(c, &scan, &told);
    *out = count;
    *whole = told == 0;
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

static void expect_count(struct wf_check *c, enum wf_check_kind kind, enum wf_cf cf, uint64_t found,
                         uint64_t want)
{
    if (found == want) return;
    wf_check_fail_of(c, kind, cf, 0, found > want ? found - want : want - found,
                     "%llu records, the entries ask for %llu", (unsigned long long)found,
                     (unsigned long long)want);
}

weft_err wf_check_count(struct wf_check *c, enum wf_cf cf, uint64_t want)
{
    uint64_t found;
    bool whole;
    weft_err err = count_keys(c, cf, &found, &whole);
    if (err == WEFT_OK && found > want) expect_count(c, WF_CHECK_INDEX, cf, found, want);
    return err; /* of one that is missing it was told before */
}

/* Each index has what the bodies ask for (checked above) and no more. */
static weft_err check_sizes(struct wf_check *c)
{
    static const enum wf_cf per_entry[] = {WF_CF_ENTRY, WF_CF_GEN, WF_CF_ARR};
    bool bodies = c->report->bad_bytes + c->report->bad_ids == 0, whole;
    uint64_t found, tips = c->named_tips;
    for (unsigned i = 0; i < sizeof per_entry / sizeof *per_entry; i++) {
        enum wf_cf cf = per_entry[i];
        weft_err err = count_keys(c, cf, &found, &whole);
        if (err != WEFT_OK) return err;
        if (!whole || c->gaps) continue; /* that is what was told */
        /* A body that is missing was counted when its entry was looked at. */
        if (cf == WF_CF_ENTRY && found < c->entries) continue;
        expect_count(c, WF_CHECK_INDEX, cf, found, c->entries);
    }
    for (uint64_t t = 0; t < c->trees_count; t++) tips += c->totals[t].tips;
    weft_err err = count_keys(c, WF_CF_TIP, &found, &whole);
    if (err == WEFT_OK && bodies && !c->gaps && found > tips)
        expect_count(c, WF_CHECK_TIP, WF_CF_TIP, found, tips);
    if (err != WEFT_OK) return err;
    bool known = bodies && !c->gaps;
    err = wf_check_count(c, WF_CF_CHILD, known ? c->children : UINT64_MAX);
    wf_check_shelf(c);
    return err == WEFT_OK ? wf_check_count(c, WF_CF_SUB, known ? c->subs : UINT64_MAX) : err;
}

/* The newest arrival is the one that the counts name. */
static weft_err check_last(struct wf_check *c, uint64_t t, const wf_tree_info *info)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_value value;
    if (info->seq == 0) return WEFT_OK;
    wf_key_seq(key, t, info->seq);
    weft_err err = wf_kv_get(c->kv, c->snap, WF_CF_ARR, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND || err == WEFT_CORRUPT) return WEFT_OK; /* told already */
    if (err != WEFT_OK) return err;
    if (value.len < sizeof info->last_id8 ||
        memcmp(value.data, info->last_id8, sizeof info->last_id8) != 0)
        wf_check_fail_of(c, WF_CHECK_INDEX, WF_CF_TREE, t, 1, "another arrival is the last");
    wf_value_release(c->kv, &value);
    return WEFT_OK;
}

static weft_err check_count(struct wf_check *c, uint64_t t, bool bodies)
{
    const struct wf_totals *want = &c->totals[t - 1];
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_key_tree(key, WF_TREE_COUNTS, t);
    wf_value value;
    wf_tree_info info = {0};
    weft_err err = wf_kv_get(c->kv, c->snap, WF_CF_TREE, key, sizeof key, &value);
    if (err == WEFT_OK) {
        err = wf_counts_read(value.data, value.len, &info);
        wf_value_release(c->kv, &value);
    }
    if (err == WEFT_NOT_FOUND && want->count == 0) return WEFT_OK; /* made since the snapshot */
    if (err == WEFT_NOT_FOUND || err == WEFT_CORRUPT)
        wf_check_fail_of(c, WF_CHECK_INDEX, WF_CF_TREE, t, 1, "the counts of a tree are %s",
                         err == WEFT_CORRUPT ? "malformed" : "missing");
    else if (err != WEFT_OK) return err;
    else if (info.count != want->count || info.seq != want->count || info.max_gen != want->max_gen)
        wf_check_fail_of(c, WF_CHECK_INDEX, WF_CF_TREE, t, 1,
                         "counts: %llu entries, there are %llu", (unsigned long long)info.count,
                         (unsigned long long)want->count);
    else if (bodies && info.tips != want->tips)
        wf_check_fail_of(c, WF_CHECK_TIP, WF_CF_TREE, t, 1, "counts: %llu tips, there are %llu",
                         (unsigned long long)info.tips, (unsigned long long)want->tips);
    else return check_last(c, t, &info);
    return WEFT_OK;
}

static weft_err check_counts(struct wf_check *c)
{
    bool bodies = c->report->bad_bytes + c->report->bad_ids == 0;
    weft_err err = WEFT_OK;
    for (uint64_t t = 1; t <= c->trees_count && err == WEFT_OK && !c->gaps; t++)
        err = check_count(c, t, bodies);
    return err;
}

/* What the snapshot says of a tree that was removed, before it or after it. */
static weft_err look_at_removed(struct wf_check *c, uint64_t t, enum wf_check_life *out)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    weft_id tree;
    bool gone = false;
    wf_key_tree(key, WF_TREE_REMOVED, t);
    weft_err err = wf_kv_get(c->kv, c->snap, WF_CF_TREE, key, sizeof key, &value);
    if (err == WEFT_OK) {
        err = wf_removed_read(value.data, value.len, &tree, &gone);
        wf_value_release(c->kv, &value);
    }
    *out = gone ? WF_CHECK_GONE : WF_CHECK_GOING;
    return err == WEFT_NOT_FOUND || err == WEFT_CORRUPT ? WEFT_OK : err;
}

static weft_err look_at_lives(struct wf_check *c)
{
    weft_err err = WEFT_OK;
    c->lives = wf_calloc(c->trees_count + 1, sizeof *c->lives);
    if (c->lives == NULL) return WEFT_NO_MEMORY;
    for (uint64_t t = 1; t <= c->trees_count && err == WEFT_OK; t++)
        if (wf_store_is_removed(c->store, t)) err = look_at_removed(c, t, &c->lives[t - 1]);
    return err;
}

/* After the snapshot: a tree is in the table before anything of it is written. */
static weft_err list_trees(struct wf_check *c)
{
    wf_rwlock_read(c->store->lock);
    const struct wf_trees *trees = &c->store->trees;
    c->trees = wf_calloc(trees->count + 1, sizeof *c->trees);
    if (c->trees != NULL) {
        c->trees_count = trees->count;
        for (uint32_t i = 0; i < trees->count; i++) {
            c->trees[i] = trees->list[i]->now.tree;
            c->of_all += trees->list[i]->pub.count;
        }
    }
    wf_rwlock_give(c->store->lock);
    return c->trees == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

weft_err wf_store_check_with(wf_store *store, const struct wf_check_options *options,
                             wf_check_report *out)
{
    wf_check_report report = {0};
    struct wf_check c = {.store = store, .kv = store->kv, .report = &report, .options = options};
    weft_err err = wf_kv_snapshot_create(store->kv, &c.snap);
    if (err == WEFT_OK) err = list_trees(&c);
    if (err == WEFT_OK) err = look_at_lives(&c);
    if (err != WEFT_OK) goto done;
    err = WEFT_NO_MEMORY;
    c.totals = wf_calloc(c.trees_count + 1, sizeof *c.totals);
    c.entry = wf_malloc(sizeof *c.entry);
    c.child = wf_malloc(sizeof *c.child);
    c.parents = wf_malloc(WEFT_ENTRY_UNION_PARENTS_MAX * sizeof *c.parents);
    if (c.totals == NULL || c.entry == NULL || c.child == NULL || c.parents == NULL) goto done;
    err = each_meta(&c);
    if (err == WEFT_OK) err = check_sizes(&c);
    if (err == WEFT_OK) err = check_counts(&c);
    if (err == WEFT_OK) err = wf_check_made(&c);
    if (err == WEFT_OK) *out = report;
done:
    wf_kv_snapshot_destroy(store->kv, c.snap);
    wf_free(c.trees);
    wf_free(c.lives);
    wf_free(c.parents);
    wf_free(c.entry);
    wf_free(c.child);
    wf_free(c.totals);
    return err;
}

weft_err wf_store_check(wf_store *store, bool signatures, wf_check_report *out)
{
    struct wf_check_options options = {.signatures = signatures};
    return wf_store_check_with(store, &options, out);
}
