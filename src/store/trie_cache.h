/* SPDX-License-Identifier: Apache-2.0
 * trie_cache.h - records that are likely to be asked for again, by their keys.
 * Called by: trie_write.c. Touches its own memory only. Never: an engine; the only copy of
 * anything. */
#ifndef WF_TRIE_CACHE_H
#define WF_TRIE_CACHE_H

#include "layout.h"

struct wf_trie_cache {
    struct wf_trie_kept **heads; /* of short lists: keys that hash to the same number */
    uint32_t room, count, hand;  /* heads, a power of two; records; the next head to be looked at */
    size_t bytes, bytes_max;     /* of the records */
};
void wf_trie_cache_init(struct wf_trie_cache *cache, size_t bytes_max);
void wf_trie_cache_fini(struct wf_trie_cache *cache);
void wf_trie_cache_clear(struct wf_trie_cache *cache);
size_t wf_trie_cache_bytes(const struct wf_trie_cache *cache); /* of memory */
/* NULL: not here. Until the next put. */
const uint8_t *wf_trie_cache_get(struct wf_trie_cache *cache, const void *key, size_t key_len,
                                 size_t *len);
/* What was not asked for lately makes room. Without memory nothing is kept. */
void wf_trie_cache_put(struct wf_trie_cache *cache, const void *key, size_t key_len,
                       const void *value, size_t len);

#endif
