/* SPDX-License-Identifier: Apache-2.0
 * memmap.h - an ordered map whose keys remember their older values.
 * Called by: kv_memory.c alone, which holds its lock around every call.
 * Never: takes a lock, knows of views, batches or durability. */
#ifndef WF_MEMMAP_H
#define WF_MEMMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#include "lock.h"
#include "memtree.h"

/* The bytes of one version; counted because readers keep them in place. */
struct wf_mem_value {
    wf_counter refs;
    uint32_t len;
    uint32_t offset; /* from the start of the allocation that it lies in */
    uint8_t data[];
};

struct wf_mem_older { /* a version that a newer one replaced */
    struct wf_mem_older *older;
    struct wf_mem_value *value;
    uint64_t seq;
    bool deleted;
};

/* A key. The first value that it ever has lies behind the key, in one allocation; the
 * count of that value then counts the node too. */
struct wf_mem_node {
    uint64_t seq;               /* of the newest version                        */
    struct wf_mem_value *value; /* of the newest version; NULL: no bytes         */
    struct wf_mem_older *older; /* descending by seq                             */
    uint16_t key_len;
    bool has_inner; /* a value lies behind the key                   */
    bool deleted;   /* the newest version is a removal               */
    bool listed;    /* the engine has it on its list of work         */
    uint8_t key[];
};

struct wf_memmap {
    struct wf_memtree tree; /* of the nodes; for reading, call it directly */
    uint64_t bytes;         /* of nodes and versions; the tree counts its own */
    uint64_t older;         /* older versions of all keys */
};

void wf_memmap_init(struct wf_memmap *map);
void wf_memmap_fini(struct wf_memmap *map);
uint64_t wf_memmap_bytes(const struct wf_memmap *map);

static inline const uint8_t *wf_mem_key(const struct wf_mem_node *node) { return node->key; }

/* Makes (value, deleted) the version of `key` at `seq`, which is not below the
 * newest; a version of the same seq is replaced. Removing a key that is not there
 * does nothing: *out is NULL then. NO_MEMORY: nothing changed. */
weft_err wf_memmap_push(struct wf_memmap *map, const void *key, size_t key_len, const void *value,
                        size_t value_len, bool deleted, uint64_t seq, struct wf_mem_node **out);
/* Takes back every version above `seq`. False when none is left: remove the node. */
bool wf_memmap_pop(struct wf_memmap *map, struct wf_mem_node *node, uint64_t seq);
/* Frees each older version for which `needed(arg, seq, newer_seq)` is false. */
void wf_memmap_trim(struct wf_memmap *map, struct wf_mem_node *node,
                    bool (*needed)(void *arg, uint64_t seq, uint64_t newer_seq), void *arg);
void wf_memmap_remove(struct wf_memmap *map, struct wf_mem_node *node);

/* The value of `node` as of `seq`; false when it has none. */
bool wf_mem_read(const struct wf_mem_node *node, uint64_t seq, struct wf_mem_value **out);
void wf_mem_value_unref(struct wf_mem_value *value); /* NULL is fine */

#endif
