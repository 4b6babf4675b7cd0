/* SPDX-License-Identifier: Apache-2.0
 * migrate.c - stores of older formats become stores of this one.
 * Called by: store.c, before any other thread sees the store. May touch: the engine.
 * Never: entries, or anything that the older format knows, but for its number. */
#include "migrate.h"

#include "log.h"
#include "trie_build.h"

#define BATCH_BYTES (UINT64_C(4) << 20)

struct migration {
    wf_store *store;
    const wf_store_options *options;
    uint32_t to;
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

/* Not synced: the log keeps their order, and the last one is. */
static weft_err write_if_full(struct migration *m)
{
    uint64_t most = m->options->migration_bytes == 0 ? BATCH_BYTES : m->options->migration_bytes;
    return wf_batch_bytes(m->store->batch) < most ? WEFT_OK : write_batch(m, false);
}

static void tell(struct migration *m, bool always)
{
    weft_ns now = weft_rt_now(m->store->rt);
    if (!always && now - m->said < WEFT_SEC) return;
    m->said = now;
    wf_log(WEFT_LOG_INFO, "store", "format %u becomes %u: %llu of %llu", m->store->format, m->to,
           (unsigned long long)m->done, (unsigned long long)m->of_all);
    if (m->options->progress != NULL) m->options->progress(m->options->arg, m->done, m->of_all);
}

static weft_err did_one(struct migration *m)
{
    m->done++;
    tell(m, false);
    return write_if_full(m);
}

/* -- 2 to 3: trie, sketch, sub ----------------------------------------------------------------- */

/* What a migration left that was killed. */
static weft_err empty_family(struct migration *m, enum wf_cf cf)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(m->store->kv, NULL, cf, NULL, 0, &it);
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
    wf_gen_walk *walk;
    wf_place place;
    weft_err err = wf_gen_walk_create(m->store, t, 0, NULL, &walk);
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

static weft_err put_subs(struct migration *m, const struct wf_meta_record *meta, const weft_id *id)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX], number[WF_GEN_BYTES];
    wf_put64(number, meta->seq);
    for (size_t at = 0; at < meta->names_len;) {
        size_t len = meta->names[at++];
        if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX || len > meta->names_len - at)
            return wf_fail(WEFT_CORRUPT, "store", "meta: names do not fit");
        size_t key_len = wf_key_sub(key, meta->t, meta->names + at, len, meta->gen, id);
        wf_batch_put(m->store->batch, WF_CF_SUB, key, key_len, number, sizeof number);
        at += len;
    }
    return WEFT_OK;
}

static weft_err make_subs(struct migration *m)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(m->store->kv, NULL, WF_CF_META, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        struct wf_meta_record meta;
        weft_id id;
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        if (key_len != sizeof id.bytes) err = wf_fail(WEFT_CORRUPT, "store", "meta: wrong key");
        if (err == WEFT_OK) err = wf_meta_read(value, len, &meta);
        if (err != WEFT_OK) break;
        memcpy(id.bytes, key, sizeof id.bytes);
        err = put_subs(m, &meta, &id);
        if (err == WEFT_OK) err = did_one(m);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err two_to_three(struct migration *m)
{
    static const enum wf_cf fresh[] = {WF_CF_TRIE, WF_CF_SKETCH, WF_CF_SUB};
    weft_err err = WEFT_OK;
    for (unsigned i = 0; i < sizeof fresh / sizeof *fresh && err == WEFT_OK; i++)
        err = empty_family(m, fresh[i]);
    if (err == WEFT_OK) err = write_batch(m, false);
    const struct wf_trees *trees = &m->store->trees;
    for (uint32_t i = 0; i < trees->count; i++) m->of_all += 2 * trees->list[i]->pub.count;
    for (uint32_t i = 0; i < trees->count && err == WEFT_OK; i++)
        err = make_tree(m, &trees->list[i]->pub);
    return err == WEFT_OK ? make_subs(m) : err;
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

static weft_err run_step(wf_store *store, const wf_store_options *options, unsigned at, bool *more)
{
    struct migration m = {
        .store = store, .options = options, .to = steps[at].to, .said = weft_rt_now(store->rt)};
    weft_err err = can_write(&m, more);
    if (err != WEFT_OK || !*more) return err;
    err = steps[at].run(&m);
    if (err == WEFT_OK) {
        wf_format_put(store->batch, m.to);
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
