/* SPDX-License-Identifier: Apache-2.0
 * lookup.h - a hash table of things that carry their own hash: open addressing, one
 * pointer a slot. For finding only: nobody walks it, so its order is nobody's matter.
 * Called by: registry.c, topic.c. Whoever calls holds the lock. */
#ifndef WF_LOOKUP_H
#define WF_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

/* The first member of whatever is looked up. */
struct wf_lookup_item {
    uint64_t hash;
};

struct wf_lookup {
    struct wf_lookup_item **slots;
    uint32_t count, room; /* room: 0 or a power of two */
};

typedef bool (*wf_lookup_same)(const struct wf_lookup_item *item, const void *key);

uint64_t wf_lookup_hash(const void *bytes, size_t len);

/* The item of that hash for which same(item, key), or NULL. */
struct wf_lookup_item *wf_lookup_find(const struct wf_lookup *lookup, uint64_t hash,
                                      wf_lookup_same same, const void *key);
/* Makes room for one more, so that the next add cannot fail. NO_MEMORY. */
weft_err wf_lookup_reserve(struct wf_lookup *lookup);
/* Adds an item that is not in it; its hash is set, and there is room. */
void wf_lookup_add(struct wf_lookup *lookup, struct wf_lookup_item *item);
/* Takes out an item that is in it. */
void wf_lookup_remove(struct wf_lookup *lookup, struct wf_lookup_item *item);
/* Frees the slots; the items are the caller's. */
void wf_lookup_fini(struct wf_lookup *lookup);

#endif
