/* SPDX-License-Identifier: Apache-2.0
 * migrate.c - stores of older formats become stores of this one.
 * Called by: store.c, before any other thread sees the store. May touch: the engine.
 * Never: changes entries, or anything that the older format knows, but for its number. */
#include "migrate.h"

#include "alloc.h"
#include "crypto.h"
#include "dom_write.h"
#include "entry.h"
#include "log.h"
#include "trie_build.h"

#define BATCH_BYTES (UINT64_C(4) << 20)

struct migration {
    wf_store *store;
    const wf_store_options *options;
    uint32_t to;
    bool again;            /* the store has this format, and lost what is made */
    uint64_t done, of_all; /* records read */
    weft_ns said;
};

/* -- Batches, and what is told meanwhile ---------------------------------------------------- */

static weft_err write_batch(struct migration *m, bool sync)
{
    weft_err err = wf_batch_err(m->store->batch);
    if (err == WEFT_OK) err = wf_kv_write(m->store->kv, m->store->batch, sync);
    wf_batch_clear(m->store->batch);
    return err;
}

static uint64_t batch_bytes(const struct migration *m)
{
    return m->options->migration_bytes == 0 ? BATCH_BYTES : m->options->migration_bytes;
}

/* Not synced: the log keeps their order, and the last one is. */
static weft_err write_if_full(struct migration *m)
{
    return wf_batch_bytes(m->store->batch) < batch_bytes(m) ? WEFT_OK : write_batch(m, false);
}

static void tell(struct migration *m, bool always)
{
    weft_ns now = weft_rt_now(m->store->rt);
    if (!always && now - m->said < WEFT_SEC) return;
    m->said = now;
    if (m->again)
        wf_log(WEFT_LOG_INFO, "store", "indexes are made again: %llu of %llu",
               (unsigned long long)m->done, (unsigned long long)m->of_all);
    else
        wf_log(WEFT_LOG_INFO, "store", "format %u becomes %u: %llu of %llu", m->store->format,
               m->to, (unsigned long long)m->done, (unsigned long long)m->of_all);
    if (m->options->progress != NULL) m->options->progress(m->options->arg, m->done, m->of_all);
}

static weft_err did_one(struct migration *m)
{
    m->done++;
    tell(m, false);
    return write_if_full(m);
}

/* -- 2 to 3: trie, sketch, sub, dom ------------------------------------------------------------ */

/* What a migration left that was killed, or what is damaged. */
static weft_err empty_family(struct migration *m, enum wf_cf cf)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_clear(m->store->kv, cf);
    if (err != WEFT_UNSUPPORTED) return err;
    err = wf_kv_iter_create(m->store->kv, NULL, cf, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        wf_batch_delete(m->store->batch, cf, key, len);
        err = write_if_full(m);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err put_node(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct migration *m = arg;
    wf_batch_put(m->store->batch, WF_CF_TRIE, key, key_len, value, value_len);
    return write_if_full(m);
}

static void put_sketch(struct migration *m, uint64_t t, const struct wf_sketch *sketch)
{
    uint8_t key[WF_KEY_SKETCH_BYTES], value[WF_SKETCH_BYTES];
    wf_key_sketch(key, t);
    wf_sketch_write(sketch, value);
    wf_batch_put(m->store->batch, WF_CF_SKETCH, key, sizeof key, value, sizeof value);
}

/* Every entry of the tree, in the order of the trie. */
static weft_err read_order(struct migration *m, uint64_t t, struct wf_trie_build *build,
                           struct wf_sketch *sketch)
{
    static const weft_id first; /* a walk behind it has no end that a gap could spoil */
    wf_gen_walk *walk;
    wf_place place;
    weft_err err = wf_gen_walk_create(m->store, t, 0, &first, &walk);
    if (err != WEFT_OK) return err;
    while ((err = wf_gen_walk_next(walk, &place)) == WEFT_OK) {
        wf_sketch_add(sketch, &place.id);
        err = wf_trie_build_add(build, place.gen, &place.id);
        if (err == WEFT_OK) err = did_one(m);
        if (err != WEFT_OK) break;
    }
    wf_gen_walk_destroy(walk);
    return err == WEFT_END ? WEFT_OK : err;
}

static weft_err make_tree(struct migration *m, const wf_tree_info *info)
{
    struct wf_trie_build *build;
    struct wf_sketch sketch = {0};
    uint8_t root[32];
    if (info->count == 0) return WEFT_OK; /* as the writer leaves it */
    weft_err err = wf_trie_build_create(info->t, put_node, m, &build);
    if (err != WEFT_OK) return err;
    err = read_order(m, info->t, build, &sketch);
    if (err == WEFT_OK) err = wf_trie_build_end(build, root);
    if (err == WEFT_OK) put_sketch(m, info->t, &sketch);
    wf_trie_build_destroy(build);
    return err;
}

static weft_err put_subs(struct migration *m, const struct wf_meta_record *meta, const weft_id *id,
                         uint32_t *stores)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX], number[WF_GEN_BYTES];
    wf_put64(number, meta->seq);
    *stores = 0;
    for (size_t at = 0; at < meta->names_len; ++*stores) {
        size_t len = meta->names[at++];
        if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX || len > meta->names_len - at ||
            *stores == WEFT_ENTRY_STORES_MAX)
            return wf_fail(WEFT_CORRUPT, "store", "meta: names do not fit");
        size_t key_len = wf_key_sub(key, meta->t, meta->names + at, len, meta->gen, id);
        wf_batch_put(m->store->batch, WF_CF_SUB, key, key_len, number, sizeof number);
        at += len;
    }
    return WEFT_OK;
}

/* The parents within its stores, which only the body says. One that is damaged ends no
 * migration: what is not known of it then is not known of what builds on it either. */
static weft_err add_dominators(struct migration *m, struct wf_tree *tree, const weft_id *id,
                               const struct wf_meta_record *meta, uint32_t stores)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_value body = {0};
    weft_id hash;
    weft_entry *entry = m->store->entry;
    struct wf_dom_entry add = {.seq = meta->seq,
                               .parents = m->store->parents,
                               .parents_count = meta->parents_count,
                               .stores_count = stores};
    memcpy(m->store->parents, meta->parents, meta->parents_count * sizeof *m->store->parents);
    wf_key_seq(key, meta->t, meta->seq);
    weft_err err = wf_kv_get(m->store->kv, NULL, WF_CF_ENTRY, key, sizeof key, &body);
    bool lost = err == WEFT_NOT_FOUND || err == WEFT_CORRUPT;
    if (err != WEFT_OK && !lost) return err;
    if (!lost) {
        wf_blake2b_256(body.data, body.len, hash.bytes);
        if (weft_id_equal(&hash, id) && wf_entry_parse(body.data, body.len, entry) == WEFT_OK &&
            entry->stores_count == stores)
            add.stores = entry->stores;
    }
    err = wf_dom_add(m->store, tree, &add);
    if (!lost) wf_value_release(m->store->kv, &body);
    return err;
}

/* The next batch reads again what this one has put. */
static weft_err write_dominators(struct migration *m, struct wf_tree *tree)
{
    wf_dom_put(m->store, tree);
    weft_err err = write_batch(m, false);
    wf_dom_settle(m->store, tree, err == WEFT_OK);
    return err;
}

static weft_err take_arrival(struct migration *m, struct wf_tree *tree, const weft_id *id,
                             uint64_t seq)
{
    struct wf_meta_record meta;
    wf_value value;
    uint32_t stores;
    weft_err err = wf_kv_get(m->store->kv, NULL, WF_CF_META, id->bytes, sizeof id->bytes, &value);
    if (err == WEFT_NOT_FOUND)
        return wf_fail(WEFT_CORRUPT, "store", "the facts of an entry are missing");
    if (err != WEFT_OK) return err;
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK && (meta.t != tree->now.t || meta.seq != seq))
        err = wf_fail(WEFT_CORRUPT, "store", "an arrival and its entry disagree");
    if (err == WEFT_OK) err = put_subs(m, &meta, id, &stores);
    if (err == WEFT_OK) err = add_dominators(m, tree, id, &meta, stores);
    wf_value_release(m->store->kv, &value);
    return err;
}

/* Every entry of the tree, in the order of its arrival. */
static weft_err make_by_arrival(struct migration *m, struct wf_tree *tree)
{
    wf_arr_walk *walk;
    wf_arrival arrival;
    uint64_t seq = 0;
    weft_err err = wf_arr_walk_create(m->store, tree->now.t, 0, &walk);
    if (err != WEFT_OK) return err;
    while ((err = wf_arr_walk_next(walk, &arrival)) == WEFT_OK) {
        if (arrival.seq != ++seq) err = wf_fail(WEFT_CORRUPT, "store", "arrivals have a gap");
        if (err == WEFT_OK) err = take_arrival(m, tree, &arrival.id, seq);
        if (err == WEFT_OK && wf_dom_pending(tree) >= batch_bytes(m))
            err = write_dominators(m, tree);
        if (err == WEFT_OK) err = did_one(m);
        if (err != WEFT_OK) break;
    }
    wf_arr_walk_destroy(walk);
    return err == WEFT_END ? write_dominators(m, tree) : err;
}

static weft_err make_lists(struct migration *m)
{
    weft_id *room = wf_malloc(WEFT_ENTRY_UNION_PARENTS_MAX * sizeof *room);
    if (room == NULL) return WEFT_NO_MEMORY;
    wf_free(m->store->parents);
    m->store->parents = room;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < m->store->trees.count && err == WEFT_OK; i++) {
        struct wf_tree *tree = m->store->trees.list[i];
        if (tree->life != WF_TREE_LIVES) continue;
        err = make_by_arrival(m, tree);
        wf_dom_drop(tree);
    }
    return err;
}

static weft_err two_to_three(struct migration *m)
{
    static const enum wf_cf fresh[] = {WF_CF_TRIE, WF_CF_SKETCH, WF_CF_SUB, WF_CF_DOM};
    weft_err err = WEFT_OK;
    for (unsigned i = 0; i < sizeof fresh / sizeof *fresh && err == WEFT_OK; i++)
        err = empty_family(m, fresh[i]);
    if (err == WEFT_OK) err = write_batch(m, false);
    const struct wf_trees *trees = &m->store->trees;
    for (uint32_t i = 0; i < trees->count; i++) m->of_all += 2 * trees->list[i]->pub.count;
    for (uint32_t i = 0; i < trees->count && err == WEFT_OK; i++)
        if (trees->list[i]->life == WF_TREE_LIVES) err = make_tree(m, &trees->list[i]->pub);
    return err == WEFT_OK ? make_lists(m) : err;
}

/* -- The steps --------------------------------------------------------------------------------- */

static const struct {
    uint32_t from, to;
    weft_err (*run)(struct migration *m);
} steps[] = {{2, 3, two_to_three}};

/* An engine that only reads says so to any write: this one would change nothing. */
static weft_err can_write(struct migration *m, bool *out)
{
    wf_format_put(m->store->batch, m->store->format);
    weft_err err = write_batch(m, false);
    *out = err != WEFT_INVALID;
    return err == WEFT_INVALID ? WEFT_OK : err;
}

weft_err wf_store_make_again(wf_store *store)
{
    static const wf_store_options plain;
    struct migration m = {.store = store,
                          .options = &plain,
                          .to = WF_FORMAT_VERSION,
                          .again = true,
                          .said = weft_rt_now(store->rt)};
    wf_format_put(store->batch, WF_FORMAT_MADE_LATER);
    weft_err err = write_batch(&m, true);
    if (err == WEFT_OK) err = two_to_three(&m);
    if (err == WEFT_OK) {
        wf_format_put(store->batch, store->has_removed ? WF_FORMAT_REMOVED : WF_FORMAT_VERSION);
        err = write_batch(&m, true);
    }
    wf_batch_clear(store->batch);
    return err;
}

static weft_err run_step(wf_store *store, const wf_store_options *options, unsigned at, bool *more)
{
    struct migration m = {
        .store = store, .options = options, .to = steps[at].to, .said = weft_rt_now(store->rt)};
    weft_err err = can_write(&m, more);
    if (err != WEFT_OK || !*more) return err;
    err = steps[at].run(&m);
    if (err == WEFT_OK) {
        bool last = m.to == WF_FORMAT_VERSION && store->has_removed;
        wf_format_put(store->batch, last ? WF_FORMAT_REMOVED : m.to);
        err = write_batch(&m, true);
    }
    wf_batch_clear(store->batch);
    if (err != WEFT_OK)
        return wf_fail(err, "store", "format %u could not be made of %u", m.to, store->format);
    tell(&m, true);
    store->format = m.to;
    return WEFT_OK;
}

weft_err wf_store_migrate(wf_store *store, const wf_store_options *options)
{
    weft_err err = WEFT_OK;
    bool more = true;
    while (err == WEFT_OK && more && store->format != WF_FORMAT_VERSION) {
        unsigned at = 0, count = sizeof steps / sizeof *steps;
        while (at < count && steps[at].from != store->format) at++;
        WF_ASSERT(at < count); /* the opening has refused the others */
        err = run_step(store, options, at, &more);
    }
    return err;
}
