/* SPDX-License-Identifier: Apache-2.0
 * trie_cache.h - records that are likely to be asked for again, by their keys.
 * Called by: trie_write.c. Touches its own memory only. Never: an engine; the only copy of
 * anything. */
#ifndef WF_TRIE_CACHE_H
#define WF_TRIE_CACHE_H

#include "layout.h"

struct wf_trie_cache {
    uint8_t *slots;
    uint32_t room, used; /* slots; room is a power of two */
    uint32_t room_max;
    uint32_t value_bytes; /* of the longest value */
};
void wf_trie_cache_init(struct wf_trie_cache *cache, uint32_t room_max, uint32_t value_bytes);
void wf_trie_cache_fini(struct wf_trie_cache *cache);
void wf_trie_cache_clear(struct wf_trie_cache *cache); /* keeps the memory */
size_t wf_trie_cache_bytes(const struct wf_trie_cache *cache);
/* NULL: not here. Until the next put. */
const uint8_t *wf_trie_cache_get(const struct wf_trie_cache *cache, const void *key, size_t key_len,
                                 size_t *len);
/* Takes the place of whatever was there. Without memory nothing is kept. */
void wf_trie_cache_put(struct wf_trie_cache *cache, const void *key, size_t key_len,
                       const void *value, size_t len);

#endif
