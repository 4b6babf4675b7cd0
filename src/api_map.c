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

struct weft_map {
    uint64_t born; /* wf_fork_count() then */
    wf_view *view;
    struct wf_view_source source;
};

weft_err weft_map_open(weft_node *node, const weft_id *tree, const char *store, weft_map **out)
{
    if (node == NULL || tree == NULL || store == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_map *map = wf_calloc(1, sizeof *map);
    if (map == NULL) return WEFT_NO_MEMORY;
    map->born = wf_fork_count();
    uint64_t seed;
    wf_random(node->rt, &seed, sizeof seed);
    weft_err err = wf_view_create(seed, WEFT_MAP_VIEW_BYTES, &map->view);
    if (err == WEFT_OK) err = wf_view_source_init(node->table.wf_store, tree, store, &map->source);
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
    if (err == WEFT_OK) err = wf_view_source_fix(&map->source, tree, cut);
    if (err == WEFT_OK) *out = map;
    else weft_map_close(map);
    return err;
}

void weft_map_close(weft_map *map)
{
    if (map == NULL) return;
    wf_view_source_fini(&map->source);
    wf_view_destroy(map->view);
    wf_free(map);
}

weft_err weft_map_refresh(weft_map *map, uint64_t *entries_read)
{
    uint64_t read = 0;
    if (entries_read != NULL) *entries_read = 0;
    if (map == NULL) return WEFT_INVALID;
    if (map->born != wf_fork_count()) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = wf_view_source_read(&map->source, map->view, &read);
    if (entries_read != NULL) *entries_read = read;
    return err;
}

void weft_map_budget(weft_map *map, uint64_t places)
{
    if (map != NULL) map->source.budget = places;
}

weft_err weft_map_get(const weft_map *map, const weft_map_path *path, weft_map_value *out)
{
    weft_map_item item;
    if (map == NULL || path == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_map_path_valid(path)) return WEFT_INVALID;
    weft_err err = wf_view_get(map->view, path, &item);
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
    wf_view_walk_begin(map->view, prefix, NULL, &walk);
    while (err == WEFT_OK && wf_view_walk_next(&walk, &item)) err = fn(arg, &item);
    return err;
}

weft_err weft_map_next(const weft_map *map, const weft_map_path *prefix, const weft_map_path *after,
                       weft_map_item *out)
{
    struct wf_view_walk walk;
    weft_map_item item;
    if (map == NULL || out == NULL || !range_valid(prefix, after)) return WEFT_INVALID;
    wf_view_walk_begin(map->view, prefix, after, &walk);
    if (!wf_view_walk_next(&walk, &item)) return WEFT_END;
    *out = item; /* `after` may point into it */
    return WEFT_OK;
}

void weft_map_info_get(const weft_map *map, weft_map_info *out)
{
    *out = (weft_map_info){.arrivals = map->source.seq,
                           .entries = map->source.entries,
                           .skipped = map->source.skipped,
                           .damaged = map->source.holes_count,
                           .paths = wf_view_paths(map->view),
                           .bytes = wf_view_bytes(map->view)};
}
