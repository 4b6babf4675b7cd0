/* SPDX-License-Identifier: Apache-2.0
 * dom_cache.h - pages of dominators that are likely to be asked for again, as they were written.
 * Called by: dom_write.c, store.c, flush.c. Touches its own memory only. Never: an engine; the
 * only copy of anything. */
#ifndef WF_DOM_CACHE_H
#define WF_DOM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/limits.h>

struct wf_dom_cached {
    uint64_t t, number; /* t 0: none */
    uint32_t len;
    uint8_t bytes[WEFT_STORE_DOM_BYTES];
};
struct wf_dom_cache { /* zero: empty */
    struct wf_dom_cached *slots;
    uint32_t room; /* a power of two */
};
void wf_dom_cache_fini(struct wf_dom_cache *cache);
void wf_dom_cache_clear(struct wf_dom_cache *cache); /* keeps the memory */
size_t wf_dom_cache_bytes(const struct wf_dom_cache *cache);
/* NULL: not here. Until the next put. */
const struct wf_dom_cached *wf_dom_cache_get(const struct wf_dom_cache *cache, uint64_t t,
                                             uint64_t number);
/* Takes the place of whatever was there, also of a shorter one of the same number if it is
 * too long itself. Without memory nothing is kept. */
void wf_dom_cache_put(struct wf_dom_cache *cache, uint64_t t, uint64_t number, const uint8_t *page,
                      size_t len);

#endif
