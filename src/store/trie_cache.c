/* SPDX-License-Identifier: Apache-2.0
 * trie_cache.c - records by their keys, each in the one place where its key hashes to.
 * Called by: trie_write.c (the store's thread). May touch: its own memory.
 * Never: an engine; fails. */
#include "trie_cache.h"

#include "alloc.h"
#include "log.h"

#define ROOM_FIRST 64u

struct slot {
    uint16_t key_len, len; /* key_len 0: empty */
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    uint8_t value[];
};

static size_t slot_bytes(const struct wf_trie_cache *cache)
{
    return (sizeof(struct slot) + cache->value_bytes + 7) / 8 * 8;
}

static struct slot *slot_at(const struct wf_trie_cache *cache, uint32_t at)
{
    return (struct slot *)(void *)(cache->slots + at * slot_bytes(cache));
}

/* Whoever makes two keys meet makes us read one of them again. */
static uint32_t place(const struct wf_trie_cache *cache, const void *key, size_t len)
{
    const uint8_t *at = key;
    uint64_t hash = len;
    while (len > 0) {
        uint64_t word = 0;
        size_t part = len < sizeof word ? len : sizeof word;
        memcpy(&word, at, part);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        at += part;
        len -= part;
    }
    return (uint32_t)(hash >> 32) & (cache->room - 1);
}

void wf_trie_cache_init(struct wf_trie_cache *cache, uint32_t room_max, uint32_t value_bytes)
{
    *cache = (struct wf_trie_cache){.room_max = room_max, .value_bytes = value_bytes};
}

void wf_trie_cache_fini(struct wf_trie_cache *cache)
{
    wf_free(cache->slots);
    cache->slots = NULL;
    cache->room = cache->used = 0;
}

size_t wf_trie_cache_bytes(const struct wf_trie_cache *cache)
{
    return cache->room * slot_bytes(cache);
}

void wf_trie_cache_clear(struct wf_trie_cache *cache)
{
    for (uint32_t i = 0; i < cache->room; i++) slot_at(cache, i)->key_len = 0;
    cache->used = 0;
}

const uint8_t *wf_trie_cache_get(const struct wf_trie_cache *cache, const void *key, size_t key_len,
                                 size_t *len)
{
    if (cache->room == 0) return NULL;
    const struct slot *slot = slot_at(cache, place(cache, key, key_len));
    if (slot->key_len != key_len || memcmp(slot->key, key, key_len) != 0) return NULL;
    *len = slot->len;
    return slot->value;
}

static void fill(struct wf_trie_cache *cache, const void *key, size_t key_len, const void *value,
                 size_t len)
{
    struct slot *slot = slot_at(cache, place(cache, key, key_len));
    if (slot->key_len == 0) cache->used++;
    slot->key_len = (uint16_t)key_len;
    slot->len = (uint16_t)len;
    memcpy(slot->key, key, key_len);
    memcpy(slot->value, value, len);
}

/* A small store has a small cache. */
static void grow(struct wf_trie_cache *cache)
{
    struct wf_trie_cache more = *cache;
    more.room = cache->room == 0 ? ROOM_FIRST : cache->room * 4;
    if (more.room > cache->room_max) more.room = cache->room_max;
    more.used = 0;
    more.slots = wf_calloc(more.room, slot_bytes(cache));
    if (more.slots == NULL) return;
    for (uint32_t i = 0; i < cache->room; i++) {
        const struct slot *slot = slot_at(cache, i);
        if (slot->key_len > 0) fill(&more, slot->key, slot->key_len, slot->value, slot->len);
    }
    wf_free(cache->slots);
    *cache = more;
}

void wf_trie_cache_put(struct wf_trie_cache *cache, const void *key, size_t key_len,
                       const void *value, size_t len)
{
    WF_ASSERT(key_len > 0 && key_len <= WF_KEY_TRIE_BYTES_MAX && len <= cache->value_bytes);
    if (cache->used >= cache->room / 2 && cache->room < cache->room_max) grow(cache);
    if (cache->room > 0) fill(cache, key, key_len, value, len);
}
