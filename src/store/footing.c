/* SPDX-License-Identifier: Apache-2.0
 * footing.c - heights of new entries (footing.h), and entries that are too high to stand on.
 * Called by: api_writer.c, api_dag_commit.c, compose.c. May touch: the engine (reads), the clock.
 * Never: writes; refuses an entry. */
#include "footing.h"

#include <string.h>

#include "alloc.h"
#include "block.h"
#include "ids.h"
#include "idset.h"
#include "state.h"

struct footing {
    wf_store *store;
    const char *name;
    const struct wf_footing_own *own;
    uint64_t ceiling;    /* the highest that is stood on */
    uint32_t looks;      /* at ancestors, that are left  */
    struct wf_idset far; /* what is too high, and whose parents are looked at one after the other */
    weft_id *out;
    size_t count;
};

weft_err wf_height_above(weft_rt *rt, weft_height strategy, uint64_t top, uint64_t *out)
{
    uint64_t height = top + 1;
    if (strategy == WEFT_HEIGHT_TIMESTAMP) {
        int64_t now = wf_wall_ms(rt);
        if (now > 0 && (uint64_t)now > height) height = (uint64_t)now;
    }
    if (height > WEFT_HEIGHT_MAX) return WEFT_LIMIT;
    *out = height;
    return WEFT_OK;
}

static uint64_t ceiling_of(weft_rt *rt, weft_height strategy)
{
    int64_t now = strategy == WEFT_HEIGHT_TIMESTAMP ? wf_wall_ms(rt) : 0;
    uint64_t end = WEFT_HEIGHT_MAX - 1;
    return now > 0 && (uint64_t)now < end - WEFT_HEIGHT_AHEAD_MS
               ? (uint64_t)now + WEFT_HEIGHT_AHEAD_MS
               : end;
}

bool wf_height_is_far(weft_rt *rt, weft_height strategy, uint64_t height)
{
    return height > ceiling_of(rt, strategy);
}

static weft_err height_of(const struct footing *f, const weft_id *id, uint64_t *height)
{
    wf_meta_brief meta;
    weft_err err = wf_store_meta_brief(f->store, id, &meta);
    if (err == WEFT_OK) *height = meta.height;
    if (err != WEFT_NOT_FOUND) return err;
    if (f->own == NULL || !weft_id_equal(id, &f->own->id)) return WEFT_CORRUPT;
    *height = f->own->height;
    return WEFT_OK;
}

static weft_err keep_lower(struct footing *f, const weft_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t height;
        weft_err err = height_of(f, &ids[i], &height);
        if (err != WEFT_OK) return err;
        if (height <= f->ceiling) f->out[f->count++] = ids[i];
    }
    return WEFT_OK;
}

static weft_err take_parent(void *arg, const weft_id *parent)
{
    struct footing *f = arg;
    uint64_t height;
    uint32_t at;
    bool writes = true, added;
    if (f->looks == 0) return WEFT_OK;
    f->looks--;
    if (f->count == WEFT_ENTRY_PARENTS_MAX)
        f->count = wf_ids_sort_unique(f->out, (uint32_t)f->count);
    if (f->count == WEFT_ENTRY_PARENTS_MAX) return WEFT_OK; /* enough */
    weft_err err = height_of(f, parent, &height);
    if (err == WEFT_OK && height > f->ceiling) {
        err = wf_idset_add(&f->far, parent, &at, &added);
        return err == WEFT_LIMIT ? WEFT_OK : err;
    }
    if (err == WEFT_OK && f->name != NULL)
        err = wf_store_writes(f->store, parent, f->name, strlen(f->name), &writes);
    if (err == WEFT_OK && writes) f->out[f->count++] = *parent;
    return err;
}

/* Each stands higher than its parents, so further down there are some that are low enough; but who
 * can write one entry of a far future can write a chain of them. */
static weft_err take_ancestors(struct footing *f, const weft_id *ids, size_t count)
{
    uint8_t key[16];
    weft_err err = WEFT_OK;
    wf_random(f->store->rt, key, sizeof key);
    wf_idset_init(&f->far, WEFT_FOOTING_LOOKS_MAX, key);
    f->looks = WEFT_FOOTING_LOOKS_MAX;
    for (size_t i = 0; i < count && err == WEFT_OK; i++) {
        uint32_t at;
        bool added;
        err = wf_idset_add(&f->far, &ids[i], &at, &added);
    }
    for (uint32_t i = 0; i < f->far.count && err == WEFT_OK; i++) {
        wf_meta_brief meta;
        const weft_id id = f->far.ids[i]; /* the set grows */
        err = wf_store_parents(f->store, &id, &meta, take_parent, f);
        if (err == WEFT_NOT_FOUND) err = WEFT_OK; /* `own` */
    }
    wf_idset_fini(&f->far);
    f->count = wf_ids_sort_unique(f->out, (uint32_t)f->count);
    return err;
}

weft_err wf_footing_lower(wf_store *store, weft_height strategy, const char *name,
                          const struct wf_footing_own *own, weft_id *ids, size_t *count)
{
    const uint64_t ceilings[] = {ceiling_of(store->rt, strategy), WEFT_HEIGHT_MAX - 1};
    struct footing f = {.store = store, .name = name, .own = own, .out = ids};
    if (*count == 0) return WEFT_OK;
    weft_id *all = wf_memdup(ids, *count * sizeof *ids);
    if (all == NULL) return WEFT_NO_MEMORY;
    weft_err err = WEFT_OK;
    for (size_t i = 0; i < 2 && err == WEFT_OK && f.count == 0; i++) {
        f.ceiling = ceilings[i];
        err = keep_lower(&f, all, *count);
        if (err == WEFT_OK && f.count == 0) err = take_ancestors(&f, all, *count);
    }
    wf_free(all);
    *count = f.count;
    return err;
}
