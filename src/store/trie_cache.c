/* SPDX-License-Identifier: Apache-2.0
 * trie_cache.c - records by their keys, in short lists, within a number of bytes.
 * Called by: trie_write.c (the store's thread). May touch: its own memory.
 * Never: an engine; fails. */
#include "trie_cache.h"

#include "alloc.h"
#include "log.h"

#define ROOM_FIRST 64u
#define ROOM_MAX 16384u
#define LIST_MAX 4u /* whoever makes more keys meet makes us read one of them again */
#define GRAIN 256u  /* a bucket that grows by a key stays where it is, nearly always */

struct wf_trie_kept {
    struct wf_trie_kept *next;
    uint32_t room; /* of bytes */
    uint16_t key_len, len;
    bool used;       /* since the hand was here */
    uint8_t bytes[]; /* key, value */
};

static size_t bytes_of(const struct wf_trie_kept *kept) { return sizeof *kept + kept->room; }

static struct wf_trie_kept **head_of(const struct wf_trie_cache *cache, const void *key, size_t len)
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
    return &cache->heads[(uint32_t)(hash >> 32) & (cache->room - 1)];
}

/* -- Life ---------------------------------------------------------------------------------- */

void wf_trie_cache_init(struct wf_trie_cache *cache, size_t bytes_max)
{
    *cache = (struct wf_trie_cache){.bytes_max = bytes_max};
}

static void drop(struct wf_trie_cache *cache, struct wf_trie_kept **link)
{
    struct wf_trie_kept *kept = *link;
    *link = kept->next;
    cache->bytes -= bytes_of(kept);
    cache->count--;
    wf_free(kept);
}

void wf_trie_cache_clear(struct wf_trie_cache *cache)
{
    for (uint32_t i = 0; i < cache->room; i++)
        while (cache->heads[i] != NULL) drop(cache, &cache->heads[i]);
}

void wf_trie_cache_fini(struct wf_trie_cache *cache)
{
    wf_trie_cache_clear(cache);
    wf_free(cache->heads);
    wf_trie_cache_init(cache, cache->bytes_max);
}

size_t wf_trie_cache_bytes(const struct wf_trie_cache *cache)
{
    return cache->room * sizeof(struct wf_trie_kept *) + cache->bytes;
}

/* -- Asking --------------------------------------------------------------------------------- */

static struct wf_trie_kept **find(const struct wf_trie_cache *cache, const void *key,
                                  size_t key_len)
{
    struct wf_trie_kept **link = head_of(cache, key, key_len);
    for (; *link != NULL; link = &(*link)->next)
        if ((*link)->key_len == key_len && memcmp((*link)->bytes, key, key_len) == 0) break;
    return link;
}

const uint8_t *wf_trie_cache_get(struct wf_trie_cache *cache, const void *key, size_t key_len,
                                 size_t *len)
{
    struct wf_trie_kept *kept = cache->room == 0 ? NULL : *find(cache, key, key_len);
    if (kept == NULL) return NULL;
    kept->used = true;
    *len = kept->len;
    return kept->bytes + key_len;
}

/* -- Keeping -------------------------------------------------------------------------------- */

/* A small store has a small cache. */
static void grow(struct wf_trie_cache *cache)
{
    struct wf_trie_cache more = *cache;
    more.room = cache->room == 0 ? ROOM_FIRST : cache->room * 4;
    more.heads = wf_calloc(more.room, sizeof(struct wf_trie_kept *));
    if (more.heads == NULL) return;
    for (uint32_t i = 0; i < cache->room; i++) {
        for (struct wf_trie_kept *kept = cache->heads[i], *next; kept != NULL; kept = next) {
            struct wf_trie_kept **head = head_of(&more, kept->bytes, kept->key_len);
            next = kept->next;
            kept->next = *head;
            *head = kept;
        }
    }
    wf_free(cache->heads);
    more.hand = 0;
    *cache = more;
}

/* The clock: goes round until it has dropped enough of what was not used since the last time. */
static void make_room(struct wf_trie_cache *cache, size_t need)
{
    while (cache->count > 0 && cache->bytes + need > cache->bytes_max) {
        struct wf_trie_kept **link = &cache->heads[cache->hand];
        cache->hand = (cache->hand + 1) & (cache->room - 1);
        while (*link != NULL) {
            if (!(*link)->used) {
                drop(cache, link);
                continue;
            }
            (*link)->used = false;
            link = &(*link)->next;
        }
    }
}

/* A new record at the head of its list; NULL: nothing is kept. */
static struct wf_trie_kept *insert(struct wf_trie_cache *cache, const void *key, size_t key_len,
                                   size_t len)
{
    if (cache->count >= cache->room && cache->room < ROOM_MAX) grow(cache);
    if (cache->room == 0) return NULL;
    uint32_t room = (uint32_t)((key_len + len + GRAIN - 1) / GRAIN * GRAIN), in_list = 0;
    make_room(cache, sizeof(struct wf_trie_kept) + room);
    struct wf_trie_kept *kept = wf_malloc(sizeof *kept + room);
    if (kept == NULL) return NULL;
    struct wf_trie_kept **head = head_of(cache, key, key_len), **link = head;
    while (*link != NULL && ++in_list < LIST_MAX) link = &(*link)->next;
    if (*link != NULL) drop(cache, link); /* the last of a full list */
    *kept = (struct wf_trie_kept){.next = *head, .room = room, .key_len = (uint16_t)key_len};
    memcpy(kept->bytes, key, key_len);
    *head = kept;
    cache->count++;
    cache->bytes += bytes_of(kept);
    return kept;
}

void wf_trie_cache_put(struct wf_trie_cache *cache, const void *key, size_t key_len,
                       const void *value, size_t len)
{
    WF_ASSERT(key_len > 0 && key_len <= WF_KEY_TRIE_BYTES_MAX && len <= UINT16_MAX);
    struct wf_trie_kept **link = cache->room == 0 ? NULL : find(cache, key, key_len);
    struct wf_trie_kept *kept = link == NULL ? NULL : *link;
    if (kept != NULL && kept->room < key_len + len) {
        drop(cache, link);
        kept = NULL;
    }
    if (kept == NULL) kept = insert(cache, key, key_len, len);
    if (kept == NULL) return;
    memcpy(kept->bytes + key_len, value, len);
    kept->len = (uint16_t)len;
    kept->used = true;
}
