/* SPDX-License-Identifier: Apache-2.0
 * compose.c - an entry of settings that stands on all that is here.
 * Called by: store_actor.c, on the store's thread. May touch: the engine (reads).
 * Never: puts anything into the batch, says who may. */
#include "compose.h"

#include <stdlib.h>

#include "alloc.h"
#include "block.h"
#include "entry.h"
#include "footing.h"
#include "log.h"

#define TIPS_LOOK WEFT_ENTRY_UNION_PARENTS_MAX /* tips that are chosen from */

struct parent {
    weft_id id;
    uint64_t gen;
};

struct parents {
    struct parent *list;
    weft_id *ids; /* the chosen ones */
    size_t count;
    uint64_t t;
};

/* The highest first. */
static int compare_parents(const void *a, const void *b)
{
    const struct parent *x = a, *y = b;
    if (x->gen != y->gen) return x->gen > y->gen ? -1 : 1;
    return memcmp(y->id.bytes, x->id.bytes, sizeof x->id.bytes);
}

static void parents_fini(struct parents *p)
{
    wf_free(p->list);
    wf_free(p->ids);
}

/* *height grows to that of the highest one. */
static weft_err look_up(wf_store *store, const struct parents *p, uint64_t *height)
{
    for (size_t i = 0; i < p->count; i++) {
        wf_meta_brief meta;
        weft_err err = wf_store_meta_brief(store, &p->ids[i], &meta);
        if (err == WEFT_NOT_FOUND) return wf_mend_note(store, p->t, WEFT_CORRUPT); /* it is a tip */
        if (err != WEFT_OK) return err;
        if (meta.height > *height) *height = meta.height;
    }
    return WEFT_OK;
}

/* Tips and how high they stand, which their keys and values say. */
static weft_err read_list(wf_store *store, wf_kv_iter *it, size_t prefix_len, struct parents *p)
{
    uint32_t count = 0;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && count < TIPS_LOOK; wf_kv_iter_next(it)) {
        size_t len, value_len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        const uint8_t *value = wf_kv_iter_value(it, &value_len);
        if (len != prefix_len + WEFT_ID_BYTES) continue;
        if (value_len != WF_GEN_BYTES)
            return wf_mend_note(store, p->t, wf_fail(WEFT_CORRUPT, "store", "tip: wrong length"));
        memcpy(p->list[count].id.bytes, key + prefix_len, WEFT_ID_BYTES);
        p->list[count++].gen = wf_get64(value);
    }
    p->count = count;
    return wf_mend_note(store, p->t, wf_kv_iter_err(it));
}

/* More than an entry may have as parents: the highest of those that are looked at. */
static weft_err choose_parents(wf_store *store, uint64_t t, const char *name, struct parents *p)
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, t, name, name == NULL ? 0 : strlen(name), NULL);
    wf_kv_iter *it;
    p->list = wf_malloc(TIPS_LOOK * sizeof *p->list);
    if (p->list == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_TIP, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    err = read_list(store, it, prefix_len, p);
    wf_kv_iter_destroy(it);
    if (err != WEFT_OK) return err;
    qsort(p->list, p->count, sizeof *p->list, compare_parents);
    if (p->count > WEFT_ENTRY_PARENTS_MAX) p->count = WEFT_ENTRY_PARENTS_MAX; /* others stay tips */
    for (size_t i = 0; i < p->count; i++) p->ids[i] = p->list[i].id;
    return WEFT_OK;
}

/* Name NULL: the tips of the tree. */
static weft_err find_parents(wf_store *store, uint64_t t, const char *name, struct parents *p)
{
    bool complete = true;
    p->t = t;
    p->ids = wf_malloc(WEFT_ENTRY_PARENTS_MAX * sizeof *p->ids);
    if (p->ids == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_store_tips_from(store, t, name, NULL, p->ids, WEFT_ENTRY_PARENTS_MAX,
                                      &p->count, &complete);
    if (err == WEFT_OK && !complete) err = choose_parents(store, t, name, p);
    return err;
}

/* Both kinds of parents are known: the entry's height, above both. */
static weft_err find_height(wf_store *store, weft_height strategy, struct parents *all,
                            struct parents *named, uint64_t *height)
{
    uint64_t top = 0;
    weft_err err = look_up(store, all, &top);
    if (err == WEFT_OK) err = look_up(store, named, &top);
    if (err == WEFT_OK && wf_height_is_far(store->rt, strategy, top)) {
        top = 0;
        err = wf_footing_lower(store, strategy, NULL, NULL, all->ids, &all->count);
        if (err == WEFT_OK)
            err = wf_footing_lower(store, strategy, WF_SETTINGS_NAME, NULL, named->ids,
                                   &named->count);
        if (err == WEFT_OK) err = look_up(store, all, &top);
        if (err == WEFT_OK) err = look_up(store, named, &top);
    }
    return err == WEFT_OK ? wf_height_above(store->rt, strategy, top, height) : err;
}

weft_err wf_compose_settings(wf_store *store, const weft_id *tree, const weft_keypair *admin,
                             const weft_buf *payload, weft_buf **out, weft_id *id)
{
    struct parents all = {0}, named = {0};
    wf_tree_info info;
    uint64_t height = 0;
    WF_ASSERT(!wf_writer_is_open(store)); /* its tips would be missing */
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK || !info.followed || !info.has_root) return WEFT_TREE;
    err = find_parents(store, info.t, NULL, &all);
    if (err == WEFT_OK) err = find_parents(store, info.t, WF_SETTINGS_NAME, &named);
    if (err == WEFT_OK) err = find_height(store, info.strategy, &all, &named, &height);
    if (err == WEFT_OK) {
        weft_store_part part = {.name = WF_SETTINGS_NAME,
                                .parents = named.ids,
                                .parents_count = (uint32_t)named.count,
                                .payload = weft_buf_bytes(payload),
                                .payload_len = weft_buf_len(payload)};
        weft_entry_spec spec = {.tree = *tree,
                                .parents = all.ids,
                                .parents_count = (uint32_t)all.count,
                                .height = height,
                                .stores = &part,
                                .stores_count = 1};
        err = weft_entry_build(&spec, admin, out, id);
    }
    parents_fini(&all);
    parents_fini(&named);
    return err;
}
