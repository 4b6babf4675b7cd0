/* SPDX-License-Identifier: Apache-2.0
 * dom_write.c - the dominators of the open batch's entries, and the pages that they fill.
 * Called by: writer.c, flush.c, trees.c, migrate.c (the store's thread). May touch: the
 * engine (reads), the open batch. Never: keeps a tree's pages when its batch is over, but in
 * a cache. */
#include "dom_write.h"

#include "alloc.h"
#include "log.h"

/* What is new, and the page that it goes on with. */
struct wf_dom_tail {
    uint64_t first; /* arrival of the first record, which begins a page */
    uint32_t count, ends_room;
    uint32_t *ends; /* of each record */
    uint8_t *bytes;
    size_t len, room;
};

/* -- Pages as they were written ------------------------------------------------------------- */

static uint64_t number_of(uint64_t seq) { return (seq - 1) / WF_DOM_PAGE; }

/* The page of an arrival from the cache or the engine: *value is to be released if it has data. */
static weft_err page_of(wf_store *store, uint64_t t, uint64_t seq, wf_value *value,
                        const uint8_t **page, size_t *len)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    const struct wf_dom_cached *kept = wf_dom_cache_get(&store->doms, t, number_of(seq));
    *value = (wf_value){0};
    if (kept != NULL) {
        *page = kept->bytes;
        *len = kept->len;
        return WEFT_OK;
    }
    wf_key_dom(key, t, seq);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_DOM, key, sizeof key, value);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "store", "dominators are missing");
    if (err != WEFT_OK) return err;
    wf_dom_cache_put(&store->doms, t, number_of(seq), value->data, value->len);
    *page = value->data;
    *len = value->len;
    return WEFT_OK;
}

/* -- The tail ---------------------------------------------------------------------------------- */

void wf_dom_drop(struct wf_tree *tree)
{
    if (tree->dom == NULL) return;
    wf_free(tree->dom->ends);
    wf_free(tree->dom->bytes);
    wf_free(tree->dom);
    tree->dom = NULL;
}

static weft_err append(struct wf_dom_tail *tail, const uint8_t *record, size_t len)
{
    if (tail->count == tail->ends_room) {
        uint32_t room = tail->ends_room == 0 ? 2 * WF_DOM_PAGE : 2 * tail->ends_room;
        uint32_t *ends = wf_realloc(tail->ends, room * sizeof *ends);
        if (ends == NULL) return WEFT_NO_MEMORY;
        tail->ends = ends;
        tail->ends_room = room;
    }
    if (tail->room - tail->len < len) {
        size_t room = 2 * (tail->len + len) + 256;
        uint8_t *bytes = wf_realloc(tail->bytes, room);
        if (bytes == NULL) return WEFT_NO_MEMORY;
        tail->bytes = bytes;
        tail->room = room;
    }
    memcpy(tail->bytes + tail->len, record, len);
    tail->len += len;
    tail->ends[tail->count++] = (uint32_t)tail->len;
    return WEFT_OK;
}

/* The records that the last page has already: exactly those before `seq`. */
static weft_err take_over(wf_store *store, uint64_t t, struct wf_dom_tail *tail, uint64_t seq)
{
    wf_value value;
    const uint8_t *page, *record;
    size_t len, at = 0, record_len;
    weft_err err = page_of(store, t, tail->first, &value, &page, &len);
    if (err != WEFT_OK) return err;
    while ((err = wf_dom_next(page, len, &at, &record, &record_len)) == WEFT_OK) {
        err = append(tail, record, record_len);
        if (err != WEFT_OK) break;
    }
    if (value.data != NULL) wf_value_release(store->kv, &value);
    if (err == WEFT_NO_MEMORY) return err;
    return err == WEFT_END && tail->first + tail->count == seq
               ? WEFT_OK
               : wf_fail(WEFT_CORRUPT, "store", "the last page of dominators is not as it was");
}

static weft_err begin_tail(wf_store *store, struct wf_tree *tree, uint64_t seq)
{
    tree->dom = wf_calloc(1, sizeof *tree->dom);
    if (tree->dom == NULL) return WEFT_NO_MEMORY;
    tree->dom->first = seq - (seq - 1) % WF_DOM_PAGE;
    weft_err err = tree->dom->first == seq ? WEFT_OK
                                           : take_over(store, tree->now.t, tree->dom, seq);
    if (err != WEFT_OK) wf_dom_drop(tree);
    return err;
}

/* -- An entry -------------------------------------------------------------------------------- */

struct reading {
    wf_store *store;
    struct wf_tree *tree;
};

static weft_err get(void *arg, struct wf_dom_at at, struct wf_dom *out)
{
    const struct reading *r = arg;
    const struct wf_dom_tail *tail = r->tree->dom;
    wf_value value = {0};
    const uint8_t *page;
    size_t len;
    if (at.seq >= tail->first) {
        uint64_t i = at.seq - tail->first;
        WF_ASSERT(i < tail->count); /* parents have arrived */
        uint32_t from = i == 0 ? 0 : tail->ends[i - 1];
        return wf_dom_decode(tail->bytes + from, tail->ends[i] - from, at, out);
    }
    weft_err err = page_of(r->store, r->tree->now.t, at.seq, &value, &page, &len);
    if (err != WEFT_OK) return err;
    err = wf_dom_find(page, len, at, out);
    if (value.data != NULL) wf_value_release(r->store->kv, &value);
    return err;
}

static weft_err find(void *arg, const weft_id *parent, const weft_entry_store *store,
                     struct wf_dom_at *out)
{
    const struct reading *r = arg;
    struct wf_brief *brief;
    weft_err err = wf_briefs_find(&r->store->briefs, r->store->kv, parent, &brief);
    if (err == WEFT_NOT_FOUND) err = WEFT_CORRUPT;
    if (err != WEFT_OK) return err;
    uint32_t part = store == NULL ? 0
                                  : wf_names_find(wf_brief_names(brief), brief->names_len,
                                                  store->name, store->name_len);
    bool here = brief->seq > 0 && brief->seq < r->tree->dom->first + r->tree->dom->count;
    if (brief->t != r->tree->now.t || !here || (store != NULL && part == 0))
        return wf_fail(WEFT_CORRUPT, "store", "a parent is not where it belongs");
    *out = (struct wf_dom_at){brief->seq, part};
    return WEFT_OK;
}

weft_err wf_dom_add(wf_store *store, struct wf_tree *tree, const struct wf_dom_entry *entry)
{
    uint8_t record[WF_DOM_RECORD_BYTES_MAX];
    size_t len;
    struct reading reading = {store, tree};
    struct wf_dom_source source = {get, find, &reading};
    weft_err err = tree->dom == NULL ? begin_tail(store, tree, entry->seq) : WEFT_OK;
    if (err != WEFT_OK) return err;
    WF_ASSERT(entry->seq == tree->dom->first + tree->dom->count);
    err = wf_dom_record(&source, entry, record, &len);
    return err == WEFT_OK ? append(tree->dom, record, len) : err;
}

/* -- The batch ---------------------------------------------------------------------------------- */

static void each_page(wf_store *store, const struct wf_tree *tree,
                      void (*fn)(wf_store *store, uint64_t t, uint64_t seq, const uint8_t *page,
                                 size_t len))
{
    const struct wf_dom_tail *tail = tree->dom;
    uint32_t from = 0;
    if (tail == NULL) return;
    for (uint32_t i = 0; i < tail->count; i += WF_DOM_PAGE) {
        uint32_t last = tail->count - i < WF_DOM_PAGE ? tail->count - 1 : i + WF_DOM_PAGE - 1;
        fn(store, tree->now.t, tail->first + i, tail->bytes + from, tail->ends[last] - from);
        from = tail->ends[last];
    }
}

static void put_page(wf_store *store, uint64_t t, uint64_t seq, const uint8_t *page, size_t len)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_dom(key, t, seq);
    wf_batch_put(store->batch, WF_CF_DOM, key, sizeof key, page, len);
}

static void keep_page(wf_store *store, uint64_t t, uint64_t seq, const uint8_t *page, size_t len)
{
    wf_dom_cache_put(&store->doms, t, number_of(seq), page, len);
}

void wf_dom_put(wf_store *store, const struct wf_tree *tree) { each_page(store, tree, put_page); }

void wf_dom_settle(wf_store *store, struct wf_tree *tree, bool written)
{
    if (written) each_page(store, tree, keep_page);
    wf_dom_drop(tree);
}

size_t wf_dom_pending(const struct wf_tree *tree) { return tree->dom == NULL ? 0 : tree->dom->len; }

void wf_doms_put(wf_store *store)
{
    for (uint32_t i = 0; i < store->touched_count; i++)
        wf_dom_put(store, wf_trees_at(&store->trees, store->touched[i]));
}

void wf_doms_settle(wf_store *store, bool written)
{
    for (uint32_t i = 0; i < store->touched_count; i++)
        wf_dom_settle(store, wf_trees_at(&store->trees, store->touched[i]), written);
}

void wf_doms_forget(wf_store *store) { wf_dom_cache_clear(&store->doms); }
