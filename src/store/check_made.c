/* SPDX-License-Identifier: Apache-2.0
 * check_made.c - what is made of the entries and could be made again: the lists of named
 * stores, tries, sketches. Is it what they make of it?
 * Called by: check.c. May touch: the engine (reads).
 * Never: trusts a digest: every node of a trie is made anew. */
#include "check.h"
#include "trie_build.h"

weft_err wf_check_subs(struct wf_check *c, const struct wf_meta_record *meta)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX], number[WF_GEN_BYTES];
    weft_err err = WEFT_OK;
    if (c->store->format < WF_FORMAT_VERSION) return WEFT_OK;
    wf_put64(number, meta->seq);
    for (uint32_t s = 0; s < c->entry->stores_count && err == WEFT_OK; s++) {
        const weft_entry_store *part = &c->entry->stores[s];
        size_t len = wf_key_sub(key, meta->t, part->name, part->name_len, meta->gen, &c->at.id);
        c->subs++;
        err = wf_check_expect(c, WF_CF_SUB, key, len, number, sizeof number);
    }
    return err;
}

/* -- Of a tree --------------------------------------------------------------------------------- */

static weft_err expect_record(struct wf_check *c, enum wf_cf cf, const uint8_t *key, size_t key_len,
                              const uint8_t *want, size_t len)
{
    wf_value value;
    bool found, told;
    weft_err err = wf_check_get(c, cf, key, key_len, &value, &found, &told);
    if (err != WEFT_OK || told) return err;
    const char *what = cf == WF_CF_SKETCH ? "the sketch" : "a node of the trie";
    if (!found) {
        wf_check_fail_of(c, WF_CHECK_INDEX, cf, c->at.t, 1, "%s is missing", what);
        return WEFT_OK;
    }
    if (value.len != len || memcmp(value.data, want, len) != 0)
        wf_check_fail_of(c, WF_CHECK_INDEX, cf, c->at.t, 1, "%s says something else", what);
    wf_value_release(c->kv, &value);
    return WEFT_OK;
}

static weft_err on_node(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                        size_t value_len)
{
    struct wf_check *c = arg;
    c->nodes++;
    return expect_record(c, WF_CF_TRIE, key, key_len, value, value_len);
}

/* The order of the tree, which was held against the bodies before. */
static weft_err read_order(struct wf_check *c, struct wf_trie_build *build,
                           struct wf_sketch *sketch, uint64_t *count)
{
    uint8_t prefix[8];
    wf_kv_iter *it;
    wf_put64(prefix, c->at.t);
    weft_err err = wf_kv_iter_create(c->kv, c->snap, WF_CF_GEN, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t len;
        weft_id id;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != WF_KEY_GEN_BYTES) continue;
        memcpy(id.bytes, key + 16, sizeof id.bytes);
        wf_sketch_add(sketch, &id);
        err = wf_trie_build_add(build, wf_get64(key + 8), &id);
        (*count)++;
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err check_tree(struct wf_check *c)
{
    uint8_t root[32], key[WF_KEY_SKETCH_BYTES], want[WF_SKETCH_BYTES];
    struct wf_sketch sketch = {0};
    struct wf_trie_build *build;
    uint64_t count = 0;
    weft_err err = wf_trie_build_create(c->at.t, on_node, c, &build);
    if (err != WEFT_OK) return err;
    err = read_order(c, build, &sketch, &count);
    if (err == WEFT_OK) err = wf_trie_build_end(build, root);
    wf_trie_build_destroy(build);
    if (err == WEFT_CORRUPT) {
        wf_check_fail_of(c, WF_CHECK_UNREADABLE, WF_CF_GEN, c->at.t, 1,
                         "the order of a tree cannot be read");
        return WEFT_OK;
    }
    if (err != WEFT_OK || count == 0) return err;
    c->sketches++;
    wf_key_sketch(key, c->at.t);
    wf_sketch_write(&sketch, want);
    return expect_record(c, WF_CF_SKETCH, key, sizeof key, want, sizeof want);
}

/* Made of a wrong order they would all be wrong, and that was told of the order. */
weft_err wf_check_made(struct wf_check *c)
{
    weft_err err = WEFT_OK;
    if (c->store->format < WF_FORMAT_VERSION || c->gaps || c->order_faults > 0) return WEFT_OK;
    for (uint64_t t = 1; t <= c->trees_count && err == WEFT_OK; t++) {
        if (wf_check_is_going(c, t)) continue;
        c->at.t = t;
        err = check_tree(c);
        if (err == WEFT_OK) err = wf_check_pages(c, t);
    }
    c->at.t = 0;
    if (err == WEFT_OK) err = wf_check_count(c, WF_CF_TRIE, c->nodes);
    if (err == WEFT_OK) err = wf_check_count(c, WF_CF_DOM, c->pages);
    return err == WEFT_OK ? wf_check_count(c, WF_CF_SKETCH, c->sketches) : err;
}
