/* SPDX-License-Identifier: Apache-2.0
 * dom_cache.c - pages of dominators, each in the one place that its number leads to.
 * Called by: dom_write.c, store.c, flush.c (the store's thread). May touch: its own memory.
 * Never: an engine; fails. */
#include "dom_cache.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

#define ROOM_FIRST 64u

/* The last pages of one tree never meet, and those of two trees not all. */
static struct wf_dom_cached *place(const struct wf_dom_cache *cache, uint64_t t, uint64_t number)
{
    uint64_t at = number + (t * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    return &cache->slots[at & (cache->room - 1)];
}

void wf_dom_cache_fini(struct wf_dom_cache *cache)
{
    wf_free(cache->slots);
    *cache = (struct wf_dom_cache){0};
}

void wf_dom_cache_clear(struct wf_dom_cache *cache)
{
    for (uint32_t i = 0; i < cache->room; i++) cache->slots[i].t = 0;
}

size_t wf_dom_cache_bytes(const struct wf_dom_cache *cache)
{
    return cache->room * sizeof *cache->slots;
}

const struct wf_dom_cached *wf_dom_cache_get(const struct wf_dom_cache *cache, uint64_t t,
                                             uint64_t number)
{
    WF_ASSERT(t != 0);
    if (cache->room == 0) return NULL;
    const struct wf_dom_cached *at = place(cache, t, number);
    return at->t == t && at->number == number ? at : NULL;
}

/* A small store has a small cache. */
static void grow(struct wf_dom_cache *cache)
{
    struct wf_dom_cache more = {.room = cache->room == 0 ? ROOM_FIRST : 4 * cache->room};
    if (more.room > WEFT_STORE_DOM_PAGES) more.room = WEFT_STORE_DOM_PAGES;
    more.slots = wf_calloc(more.room, sizeof *more.slots);
    if (more.slots == NULL) return;
    for (uint32_t i = 0; i < cache->room; i++) {
        const struct wf_dom_cached *at = &cache->slots[i];
        if (at->t != 0) *place(&more, at->t, at->number) = *at;
    }
    wf_free(cache->slots);
    *cache = more;
}

void wf_dom_cache_put(struct wf_dom_cache *cache, uint64_t t, uint64_t number, const uint8_t *page,
                      size_t len)
{
    if (cache->room == 0) grow(cache);
    if (cache->room == 0) return;
    struct wf_dom_cached *at = place(cache, t, number);
    bool same = at->t == t && at->number == number;
    if (at->t != 0 && !same && cache->room < WEFT_STORE_DOM_PAGES) {
        grow(cache);
        at = place(cache, t, number);
        same = at->t == t && at->number == number;
    }
    if (len > sizeof at->bytes) {
        if (same) at->t = 0;
        return;
    }
    at->t = t;
    at->number = number;
    at->len = (uint32_t)len;
    memcpy(at->bytes, page, len);
}
