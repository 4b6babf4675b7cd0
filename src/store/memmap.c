/* SPDX-License-Identifier: Apache-2.0
 * memmap.c - an ordered map whose keys remember their older values.
 * Called by: kv_memory.c alone, which holds its lock around every call.
 * May touch: its own nodes. Never: takes a lock, knows of views or durability. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "memmap.h"

void wf_memmap_init(struct wf_memmap *map) { memset(map, 0, sizeof *map); }

uint64_t wf_memmap_bytes(const struct wf_memmap *map) { return map->bytes + map->tree.bytes; }

void wf_mem_value_unref(struct wf_mem_value *value)
{
    if (value == NULL || wf_counter_sub(&value->refs, 1) > 0) return;
    wf_free((uint8_t *)value - value->offset);
}

static size_t inner_offset(size_t key_len)
{
    size_t align = _Alignof(struct wf_mem_value);
    return (sizeof(struct wf_mem_node) + key_len + align - 1) / align * align;
}

static struct wf_mem_value *inner_value(struct wf_mem_node *node)
{
    return (struct wf_mem_value *)((uint8_t *)node + inner_offset(node->key_len));
}

static void drop_value(struct wf_memmap *map, struct wf_mem_value *value)
{
    if (value == NULL) return;
    map->bytes -= sizeof *value + value->len;
    wf_mem_value_unref(value);
}

static void free_older(struct wf_memmap *map, struct wf_mem_older *old)
{
    map->older--;
    map->bytes -= sizeof *old;
    wf_free(old);
}

static void free_node(struct wf_memmap *map, struct wf_mem_node *node)
{
    for (struct wf_mem_older *old = node->older, *older; old != NULL; old = older) {
        older = old->older;
        drop_value(map, old->value);
        free_older(map, old);
    }
    drop_value(map, node->value);
    map->bytes -= sizeof *node + node->key_len;
    if (node->has_inner) wf_mem_value_unref(inner_value(node)); /* readers may keep it */
    else wf_free(node);
}

static void free_each(void *arg, struct wf_mem_node *node) { free_node(arg, node); }

void wf_memmap_fini(struct wf_memmap *map)
{
    wf_memtree_each(&map->tree, free_each, map);
    wf_memtree_fini(&map->tree);
    WF_ASSERT(map->bytes == 0 && map->older == 0);
}

/* Moves the newest version to the older ones. */
static weft_err push_older(struct wf_memmap *map, struct wf_mem_node *node)
{
    struct wf_mem_older *old = wf_malloc(sizeof *old);
    if (old == NULL) return WEFT_NO_MEMORY;
    *old = (struct wf_mem_older){node->older, node->value, node->seq, node->deleted};
    node->older = old;
    node->value = NULL;
    map->older++;
    map->bytes += sizeof *old;
    return WEFT_OK;
}

static void fill_value(struct wf_mem_value *value, const void *data, size_t len, size_t offset)
{
    wf_counter_set(&value->refs, 1);
    value->len = (uint32_t)len;
    value->offset = (uint32_t)offset;
    memcpy(value->data, data, len);
}

static weft_err make_value(const void *data, size_t len, struct wf_mem_value **out)
{
    *out = NULL;
    if (len == 0) return WEFT_OK;
    struct wf_mem_value *value = wf_malloc(sizeof *value + len);
    if (value == NULL) return WEFT_NO_MEMORY;
    fill_value(value, data, len, 0);
    *out = value;
    return WEFT_OK;
}

/* A new key with its first version. */
static weft_err add_node(struct wf_memmap *map, const struct wf_tree_place *place, const void *key,
                         size_t key_len, const void *data, size_t len, uint64_t seq,
                         struct wf_mem_node **out)
{
    size_t offset = inner_offset(key_len);
    struct wf_mem_node *node = wf_malloc(len == 0 ? sizeof *node + key_len
                                                  : offset + sizeof(struct wf_mem_value) + len);
    if (node == NULL) return WEFT_NO_MEMORY;
    *node = (struct wf_mem_node){.seq = seq, .key_len = (uint16_t)key_len, .has_inner = len > 0};
    memcpy(node->key, key, key_len);
    weft_err err = wf_memtree_add(&map->tree, node, place);
    if (err != WEFT_OK) {
        wf_free(node);
        return err;
    }
    map->bytes += sizeof *node + key_len;
    if (len > 0) {
        node->value = inner_value(node);
        fill_value(node->value, data, len, offset);
        wf_counter_add(&node->value->refs, 1); /* one for the version, one for the node */
        map->bytes += sizeof *node->value + len;
    }
    *out = node;
    return WEFT_OK;
}

static weft_err replace(struct wf_memmap *map, struct wf_mem_node *node, const void *data,
                        size_t len, bool deleted, uint64_t seq)
{
    WF_ASSERT(node->seq <= seq);
    struct wf_mem_value *value;
    weft_err err = make_value(data, len, &value);
    if (err != WEFT_OK) return err;
    if (node->seq == seq) drop_value(map, node->value);
    else err = push_older(map, node);
    if (err != WEFT_OK) {
        wf_mem_value_unref(value);
        return err;
    }
    node->seq = seq;
    node->value = value;
    node->deleted = deleted;
    if (value != NULL) map->bytes += sizeof *value + len;
    return WEFT_OK;
}

weft_err wf_memmap_push(struct wf_memmap *map, const void *key, size_t key_len, const void *value,
                        size_t value_len, bool deleted, uint64_t seq, struct wf_mem_node **out)
{
    WF_ASSERT(key_len <= UINT16_MAX && value_len <= UINT32_MAX);
    struct wf_tree_place place;
    struct wf_mem_node *node = wf_memtree_find(&map->tree, key, key_len, &place);
    weft_err err = WEFT_OK;
    if (node != NULL) err = replace(map, node, value, value_len, deleted, seq);
    else if (!deleted) err = add_node(map, &place, key, key_len, value, value_len, seq, &node);
    if (err == WEFT_OK) *out = node;
    return err;
}

bool wf_memmap_pop(struct wf_memmap *map, struct wf_mem_node *node, uint64_t seq)
{
    while (node->seq > seq) {
        struct wf_mem_older *old = node->older;
        if (old == NULL) return false;
        drop_value(map, node->value);
        node->value = old->value;
        node->seq = old->seq;
        node->deleted = old->deleted;
        node->older = old->older;
        free_older(map, old);
    }
    return true;
}

void wf_memmap_trim(struct wf_memmap *map, struct wf_mem_node *node,
                    bool (*needed)(void *arg, uint64_t seq, uint64_t newer_seq), void *arg)
{
    struct wf_mem_older **link = &node->older;
    uint64_t newer = node->seq;
    while (*link != NULL) {
        struct wf_mem_older *old = *link;
        uint64_t seq = old->seq;
        if (needed(arg, seq, newer)) {
            link = &old->older;
        } else {
            *link = old->older;
            drop_value(map, old->value);
            free_older(map, old);
        }
        newer = seq;
    }
}

void wf_memmap_remove(struct wf_memmap *map, struct wf_mem_node *node)
{
    wf_memtree_remove(&map->tree, node);
    free_node(map, node);
}

bool wf_mem_read(const struct wf_mem_node *node, uint64_t seq, struct wf_mem_value **out)
{
    if (node->seq <= seq) {
        *out = node->value;
        return !node->deleted;
    }
    for (const struct wf_mem_older *old = node->older; old != NULL; old = old->older) {
        if (old->seq > seq) continue;
        *out = old->value;
        return !old->deleted;
    }
    return false;
}
