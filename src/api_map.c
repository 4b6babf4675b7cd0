/* SPDX-License-Identifier: Apache-2.0
 * api_map.c - public maps: what the entries of a named store resolve to.
 * Called by: users (weft/map.h). May touch: reads of the store.
 * Never: a message to an actor, a write. One thread at a time per weft_map. */
#include <weft/map.h>

#include "alloc.h"
#include "block.h"
#include "map_codec.h"
#include "node_internal.h"
#include "view.h"

struct reading {
    wf_view *view; /* NULL: none */
    struct wf_view_source source;
};

struct weft_map {
    uint64_t born;   /* wf_fork_count() then                                      */
    weft_rt *rt;     /* of the node, which outlives it                            */
    uint64_t budget; /* of one refresh                                            */
    struct reading now;
    struct reading next; /* takes its place when it has everything: others are revoked */
};

static void end_reading(struct reading *r)
{
    wf_view_source_fini(&r->source);
    wf_view_destroy(r->view);
    r->view = NULL;
}

static weft_err new_view(weft_map *map, wf_view **out)
{
    uint64_t seed;
    wf_random(map->rt, &seed, sizeof seed);
    return wf_view_create(seed, WEFT_MAP_VIEW_BYTES, out);
}

weft_err weft_map_open(weft_node *node, const weft_id *tree, const char *store, weft_map **out)
{
    if (node == NULL || tree == NULL || store == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_map *map = wf_calloc(1, sizeof *map);
    if (map == NULL) return WEFT_NO_MEMORY;
    map->born = wf_fork_count();
    map->rt = node->rt;
    weft_err err = new_view(map, &map->now.view);
    if (err == WEFT_OK)
        err = wf_view_source_init(node->table.wf_store, tree, store, &map->now.source);
    if (err == WEFT_OK) *out = map;
    else weft_map_close(map);
    return err;
}

weft_err weft_map_open_at(weft_node *node, const weft_id *tree, const char *store,
                          const weft_cut *cut, weft_map **out)
{
    weft_map *map = NULL;
    if (cut == NULL || out == NULL || (cut->ids == NULL && cut->count > 0)) return WEFT_INVALID;
    weft_err err = weft_map_open(node, tree, store, &map);
    if (err == WEFT_OK) err = wf_view_source_fix(&map->now.source, tree, cut);
    if (err == WEFT_OK) *out = map;
    else weft_map_close(map);
    return err;
}

void weft_map_close(weft_map *map)
{
    if (map == NULL) return;
    end_reading(&map->now);
    end_reading(&map->next);
    wf_free(map);
}

/* Begins anew, and knows who is revoked. */
static weft_err renew(weft_map *map, struct reading *stale)
{
    struct reading fresh = {.view = NULL};
    weft_err err = new_view(map, &fresh.view);
    if (err == WEFT_OK) err = wf_view_source_renew(&stale->source, &fresh.source);
    if (err != WEFT_OK) {
        wf_view_destroy(fresh.view);
        return err;
    }
    end_reading(&map->next);
    map->next = fresh;
    return WEFT_OK;
}

static weft_err read_within(weft_map *map, uint64_t *read)
{
    for (uint64_t left = map->budget;;) {
        struct reading *r = map->next.view != NULL ? &map->next : &map->now;
        const uint64_t before = r->source.looked;
        r->source.budget = left;
        weft_err err = wf_view_source_read(&r->source, r->view, read);
        const uint64_t looked = r->source.looked - before;
        if (!r->source.stale) return err;
        err = renew(map, r);
        if (err != WEFT_OK) return err;
        if (left == 0) continue; /* there is no budget */
        if (looked >= left) return WEFT_AGAIN;
        left -= looked;
    }
}

weft_err weft_map_refresh(weft_map *map, uint64_t *entries_read)
{
    uint64_t read = 0;
    if (entries_read != NULL) *entries_read = 0;
    if (map == NULL) return WEFT_INVALID;
    if (map->born != wf_fork_count()) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = read_within(map, &read);
    if (map->next.view != NULL && (err == WEFT_OK || err == WEFT_CORRUPT)) {
        end_reading(&map->now);
        map->now = map->next;
        map->next = (struct reading){.view = NULL};
    }
    if (entries_read != NULL) *entries_read = read;
    return err;
}

void weft_map_budget(weft_map *map, uint64_t places)
{
    if (map != NULL) map->budget = places;
}

weft_err weft_map_get(const weft_map *map, const weft_map_path *path, weft_map_value *out)
{
    weft_map_item item;
    if (map == NULL || path == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_map_path_valid(path)) return WEFT_INVALID;
    weft_err err = wf_view_get(map->now.view, path, &item);
    if (err == WEFT_OK) *out = item.value;
    return err;
}

static bool range_valid(const weft_map_path *prefix, const weft_map_path *after)
{
    return (prefix == NULL || wf_map_path_valid(prefix)) &&
           (after == NULL || wf_map_path_valid(after));
}

weft_err weft_map_each(const weft_map *map, const weft_map_path *prefix,
                       weft_err (*fn)(void *arg, const weft_map_item *item), void *arg)
{
    struct wf_view_walk walk;
    weft_map_item item;
    if (map == NULL || fn == NULL || !range_valid(prefix, NULL)) return WEFT_INVALID;
    weft_err err = WEFT_OK;
    wf_view_walk_begin(map->now.view, prefix, NULL, &walk);
    while (err == WEFT_OK && wf_view_walk_next(&walk, &item)) err = fn(arg, &item);
    return err;
}

weft_err weft_map_next(const weft_map *map, const weft_map_path *prefix, const weft_map_path *after,
                       weft_map_item *out)
{
    struct wf_view_walk walk;
    weft_map_item item;
    if (map == NULL || out == NULL || !range_valid(prefix, after)) return WEFT_INVALID;
    wf_view_walk_begin(map->now.view, prefix, after, &walk);
    if (!wf_view_walk_next(&walk, &item)) return WEFT_END;
    *out = item; /* `after` may point into it */
    return WEFT_OK;
}

void weft_map_info_get(const weft_map *map, weft_map_info *out)
{
    const struct wf_view_source *source = &map->now.source;
    const uint64_t settings = source->settings_holes.count + map->next.source.settings_holes.count;
    *out = (weft_map_info){.arrivals = source->seq,
                           .entries = source->entries,
                           .skipped = source->skipped,
                           .left_out = source->left_out,
                           .damaged = source->holes.count + settings,
                           .paths = wf_view_paths(map->now.view),
                           .bytes = wf_view_bytes(map->now.view)};
}
