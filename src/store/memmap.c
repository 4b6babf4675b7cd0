/* SPDX-License-Identifier: Apache-2.0
 * memmap.c - an ordered map whose keys remember their older values (a skip list).
 * Called by: kv_memory.c alone, which holds its lock around every call.
 * May touch: its own nodes. Never: takes a lock, knows of views or durability. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "memmap.h"

void wf_memmap_init(struct wf_memmap *map, uint64_t seed)
{
    memset(map, 0, sizeof *map);
    map->random = seed * 2 + 1; /* never zero: the generator would stay there */
}

const uint8_t *wf_mem_key(const struct wf_mem_node *node)
{
    return (const uint8_t *)&node->next[node->levels];
}

void wf_mem_value_unref(struct wf_mem_value *value)
{
    if (value != NULL && wf_counter_sub(&value->refs, 1) == 0) wf_free(value);
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
    wf_free(node);
}

void wf_memmap_fini(struct wf_memmap *map)
{
    for (struct wf_mem_node *node = map->head[0], *next; node != NULL; node = next) {
        next = node->next[0];
        free_node(map, node);
    }
    memset(map, 0, sizeof *map);
}

static int compare(const struct wf_mem_node *node, const void *key, size_t len)
{
    size_t common = node->key_len < len ? node->key_len : len;
    int order = memcmp(wf_mem_key(node), key, common);
    if (order != 0) return order;
    return (node->key_len > len) - (node->key_len < len);
}

/* For each level the last node with a key < `key` (NULL: the head). */
static void find_before(const struct wf_memmap *map, const void *key, size_t len,
                        struct wf_mem_node *before[WF_MEMMAP_LEVELS])
{
    struct wf_mem_node *at = NULL, *last = map->tail[0];
    if (last != NULL && compare(last, key, len) < 0) { /* keys that grow cost one look */
        memcpy(before, map->tail, sizeof map->tail);
        return;
    }
    struct wf_mem_node *not_before = NULL; /* compared already, one level above */
    for (unsigned level = WF_MEMMAP_LEVELS; level-- > 0;) {
        for (;;) {
            struct wf_mem_node *next = at == NULL ? map->head[level] : at->next[level];
            if (next == NULL || next == not_before) break;
            if (compare(next, key, len) >= 0) {
                not_before = next;
                break;
            }
            at = next;
        }
        before[level] = at;
    }
}

static struct wf_mem_node *after(const struct wf_memmap *map, const struct wf_mem_node *before)
{
    return before == NULL ? map->head[0] : before->next[0];
}

struct wf_mem_node *wf_memmap_at_or_after(const struct wf_memmap *map, const void *key, size_t len)
{
    struct wf_mem_node *before[WF_MEMMAP_LEVELS];
    find_before(map, key, len, before);
    return after(map, before[0]);
}

struct wf_mem_node *wf_memmap_at_or_before(const struct wf_memmap *map, const void *key, size_t len,
                                           bool strict)
{
    struct wf_mem_node *before[WF_MEMMAP_LEVELS];
    find_before(map, key, len, before);
    struct wf_mem_node *node = after(map, before[0]);
    if (!strict && node != NULL && compare(node, key, len) == 0) return node;
    return before[0];
}

struct wf_mem_node *wf_memmap_last(const struct wf_memmap *map) { return map->tail[0]; }

/* One level in four is one higher. The seed is fixed, so that equal runs build
 * equal lists. */
static uint8_t draw_levels(struct wf_memmap *map)
{
    map->random ^= map->random << 13;
    map->random ^= map->random >> 7;
    map->random ^= map->random << 17;
    uint64_t bits = map->random >> 16;
    uint8_t levels = 1;
    while (levels < WF_MEMMAP_LEVELS && (bits & 3) == 0) {
        levels++;
        bits >>= 2;
    }
    return levels;
}

static void insert(struct wf_memmap *map, struct wf_mem_node *node,
                   struct wf_mem_node *before[WF_MEMMAP_LEVELS])
{
    for (unsigned level = 0; level < node->levels; level++) {
        struct wf_mem_node **link = before[level] == NULL ? &map->head[level]
                                                          : &before[level]->next[level];
        node->next[level] = *link;
        *link = node;
        if (node->next[level] == NULL) map->tail[level] = node;
    }
    node->prev = before[0];
    if (node->next[0] != NULL) node->next[0]->prev = node;
    map->bytes += sizeof *node + node->key_len;
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

static weft_err make_value(const void *data, size_t len, struct wf_mem_value **out)
{
    *out = NULL;
    if (len == 0) return WEFT_OK;
    struct wf_mem_value *value = wf_malloc(sizeof *value + len);
    if (value == NULL) return WEFT_NO_MEMORY;
    wf_counter_set(&value->refs, 1);
    value->len = len;
    memcpy(value->data, data, len);
    *out = value;
    return WEFT_OK;
}

static weft_err make_node(struct wf_memmap *map, const void *key, size_t key_len,
                          struct wf_mem_node **out)
{
    uint8_t levels = draw_levels(map);
    struct wf_mem_node *node = wf_malloc(sizeof *node + levels * sizeof(struct wf_mem_node *) +
                                         key_len);
    if (node == NULL) return WEFT_NO_MEMORY;
    memset(node, 0, sizeof *node);
    node->levels = levels;
    node->key_len = (uint16_t)key_len;
    memcpy(&node->next[levels], key, key_len);
    *out = node;
    return WEFT_OK;
}

weft_err wf_memmap_push(struct wf_memmap *map, const void *key, size_t key_len, const void *value,
                        size_t value_len, bool deleted, uint64_t seq, struct wf_mem_node **out)
{
    struct wf_mem_node *before[WF_MEMMAP_LEVELS];
    find_before(map, key, key_len, before);
    struct wf_mem_node *node = after(map, before[0]);
    bool fresh = node == NULL || compare(node, key, key_len) != 0;
    if (fresh && deleted) {
        *out = NULL;
        return WEFT_OK;
    }
    struct wf_mem_value *bytes;
    weft_err err = make_value(value, value_len, &bytes);
    if (err != WEFT_OK) return err;
    if (fresh) {
        err = make_node(map, key, key_len, &node);
    } else {
        WF_ASSERT(node->seq <= seq);
        if (node->seq == seq) drop_value(map, node->value);
        else err = push_older(map, node);
    }
    if (err != WEFT_OK) {
        wf_mem_value_unref(bytes);
        return err;
    }
    node->seq = seq;
    node->value = bytes;
    node->deleted = deleted;
    if (bytes != NULL) map->bytes += sizeof *bytes + bytes->len;
    if (fresh) insert(map, node, before);
    *out = node;
    return WEFT_OK;
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
    struct wf_mem_node *before[WF_MEMMAP_LEVELS];
    find_before(map, wf_mem_key(node), node->key_len, before);
    for (unsigned level = 0; level < node->levels; level++) {
        struct wf_mem_node **link = before[level] == NULL ? &map->head[level]
                                                          : &before[level]->next[level];
        WF_ASSERT(*link == node);
        *link = node->next[level];
        if (node->next[level] == NULL) map->tail[level] = before[level];
    }
    if (node->next[0] != NULL) node->next[0]->prev = node->prev;
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
