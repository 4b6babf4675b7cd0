/* SPDX-License-Identifier: Apache-2.0
 * compose.c - an entry of settings that stands on all that is here.
 * Called by: store_actor.c, on the store's thread. May touch: the engine (reads).
 * Never: puts anything into the batch, says who may. */
#include "compose.h"

#include <stdlib.h>

#include "alloc.h"
#include "block.h"
#include "entry.h"
#include "log.h"

#define TIPS_LOOK WEFT_ENTRY_UNION_PARENTS_MAX /* tips that are chosen from */

struct parent {
    weft_id id;
    uint64_t gen;
};

struct parents {
    struct parent *list;
    weft_id *ids; /* the chosen ones */
    uint32_t count;
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
static weft_err look_up(wf_store *store, struct parents *p, uint64_t *height)
{
    for (uint32_t i = 0; i < p->count; i++) {
        wf_meta_brief meta;
        weft_err err = wf_store_meta_brief(store, &p->ids[i], &meta);
        if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_CORRUPT : err;
        p->list[i] = (struct parent){p->ids[i], meta.gen};
        if (meta.height > *height) *height = meta.height;
    }
    return WEFT_OK;
}

/* Name NULL: the tips of the tree. */
static weft_err find_parents(wf_store *store, uint64_t t, const char *name, struct parents *p,
                             uint64_t *height)
{
    size_t count;
    bool complete;
    p->list = wf_malloc(TIPS_LOOK * sizeof *p->list);
    p->ids = wf_malloc(TIPS_LOOK * sizeof *p->ids);
    if (p->list == NULL || p->ids == NULL) return WEFT_NO_MEMORY;
    weft_err err = name == NULL
                       ? wf_store_tips(store, t, p->ids, TIPS_LOOK, &count, &complete)
                       : wf_store_named_tips(store, t, name, p->ids, TIPS_LOOK, &count, &complete);
    if (err != WEFT_OK) return err;
    p->count = (uint32_t)count;
    err = look_up(store, p, height);
    if (err != WEFT_OK || p->count <= WEFT_ENTRY_PARENTS_MAX) return err;
    qsort(p->list, p->count, sizeof *p->list, compare_parents);
    p->count = WEFT_ENTRY_PARENTS_MAX; /* the others stay tips */
    for (uint32_t i = 0; i < p->count; i++) p->ids[i] = p->list[i].id;
    return WEFT_OK;
}

static weft_err next_height(wf_store *store, weft_height strategy, uint64_t *height)
{
    ++*height;
    if (strategy == WEFT_HEIGHT_TIMESTAMP) {
        int64_t now = wf_wall_ms(store->rt);
        if (now > 0 && (uint64_t)now > *height) *height = (uint64_t)now;
    }
    return *height > WEFT_HEIGHT_MAX ? WEFT_LIMIT : WEFT_OK;
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
    err = find_parents(store, info.t, NULL, &all, &height);
    if (err == WEFT_OK) err = find_parents(store, info.t, WF_SETTINGS_NAME, &named, &height);
    if (err == WEFT_OK) err = next_height(store, info.strategy, &height);
    if (err == WEFT_OK) {
        weft_store_part part = {.name = WF_SETTINGS_NAME,
                                .parents = named.ids,
                                .parents_count = named.count,
                                .payload = weft_buf_bytes(payload),
                                .payload_len = weft_buf_len(payload)};
        weft_entry_spec spec = {.tree = *tree,
                                .parents = all.ids,
                                .parents_count = all.count,
                                .height = height,
                                .stores = &part,
                                .stores_count = 1};
        err = weft_entry_build(&spec, admin, out, id);
    }
    parents_fini(&all);
    parents_fini(&named);
    return err;
}
