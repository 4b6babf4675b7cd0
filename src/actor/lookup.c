/* SPDX-License-Identifier: Apache-2.0
 * lookup.c - a hash table of things that carry their own hash.
 * Called by: registry.c, topic.c, under their lock. May touch: the slots.
 * Never: the items but for their hash; shrinks; leaves a grave behind a removed item. */
#include "lookup.h"

#include "alloc.h"
#include "log.h"

#define ROOM_FIRST 16u

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
uint64_t wf_lookup_hash(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32; /* the slot is taken from the low bits */
}

static uint32_t home_of(const struct wf_lookup *lookup, uint64_t hash)
{
    return (uint32_t)hash & (lookup->room - 1);
}

static uint32_t after(const struct wf_lookup *lookup, uint32_t at)
{
    return (at + 1) & (lookup->room - 1);
}

struct wf_lookup_item *wf_lookup_find(const struct wf_lookup *lookup, uint64_t hash,
                                      wf_lookup_same same, const void *key)
{
    if (lookup->room == 0) return NULL;
    for (uint32_t at = home_of(lookup, hash); lookup->slots[at] != NULL; at = after(lookup, at)) {
        struct wf_lookup_item *item = lookup->slots[at];
        if (item->hash == hash && same(item, key)) return item;
    }
    return NULL;
}

static void place(struct wf_lookup *lookup, struct wf_lookup_item *item)
{
    uint32_t at = home_of(lookup, item->hash);
    while (lookup->slots[at] != NULL) at = after(lookup, at);
    lookup->slots[at] = item;
}

weft_err wf_lookup_reserve(struct wf_lookup *lookup)
{
    if (lookup->count + 1 <= lookup->room / 2) return WEFT_OK; /* at most half full */
    struct wf_lookup more = {.count = lookup->count,
                             .room = lookup->room == 0 ? ROOM_FIRST : lookup->room * 2};
    more.slots = wf_calloc(more.room, sizeof *more.slots);
    if (more.slots == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < lookup->room; i++)
        if (lookup->slots[i] != NULL) place(&more, lookup->slots[i]);
    wf_free(lookup->slots);
    *lookup = more;
    return WEFT_OK;
}

void wf_lookup_add(struct wf_lookup *lookup, struct wf_lookup_item *item)
{
    WF_ASSERT(lookup->count < lookup->room / 2);
    place(lookup, item);
    lookup->count++;
}

/* The hole is filled by the next item of its run that may stand there, and so on until a
 * run ends: finding never has to look past a hole. */
void wf_lookup_remove(struct wf_lookup *lookup, struct wf_lookup_item *item)
{
    uint32_t hole = home_of(lookup, item->hash);
    while (lookup->slots[hole] != item) {
        WF_ASSERT(lookup->slots[hole] != NULL);
        hole = after(lookup, hole);
    }
    for (uint32_t at = after(lookup, hole); lookup->slots[at] != NULL; at = after(lookup, at)) {
        uint32_t home = home_of(lookup, lookup->slots[at]->hash);
        uint32_t to_hole = (at - hole) & (lookup->room - 1);
        uint32_t to_home = (at - home) & (lookup->room - 1);
        if (to_home < to_hole) continue; /* its home is behind the hole */
        lookup->slots[hole] = lookup->slots[at];
        hole = at;
    }
    lookup->slots[hole] = NULL;
    lookup->count--;
}

void wf_lookup_fini(struct wf_lookup *lookup)
{
    wf_free(lookup->slots);
    *lookup = (struct wf_lookup){.slots = NULL};
}
