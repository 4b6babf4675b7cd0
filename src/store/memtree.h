/* SPDX-License-Identifier: Apache-2.0
 * memtree.h - keys in order: a B+-tree with wide nodes over records of a map.
 * Called by: memmap.c, and kv_memory.c for reading; under the engine's lock.
 * Never: frees a record, looks at its versions, takes a lock. */
#ifndef WF_MEMTREE_H
#define WF_MEMTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

struct wf_mem_node; /* memmap.h: a key and its versions */
struct wf_tree_page;
struct wf_tree_leaf;

/* Reading may go on in many threads at once; add and remove are alone. */
struct wf_memtree {
    struct wf_tree_page *root; /* NULL: empty */
    struct wf_tree_leaf *first, *last;
    uint64_t changes; /* moves with every add and remove: places are stale then */
    uint64_t bytes;   /* of the pages */
};

/* Where a key stands; good until the tree changes. */
struct wf_tree_place {
    struct wf_tree_leaf *leaf;
    uint64_t changes;
    unsigned slot;
};

void wf_memtree_init(struct wf_memtree *tree);
/* Frees the pages; the records are the caller's: empty them first with each. */
void wf_memtree_fini(struct wf_memtree *tree);
void wf_memtree_each(struct wf_memtree *tree, void (*fn)(void *arg, struct wf_mem_node *node),
                     void *arg);

/* The record with this key; NULL: none. */
struct wf_mem_node *wf_memtree_get(const struct wf_memtree *tree, const void *key, size_t len);
/* The same, with the place where the key is or belongs: what an add asks first. */
struct wf_mem_node *wf_memtree_find(const struct wf_memtree *tree, const void *key, size_t len,
                                    struct wf_tree_place *place);
/* The key must not be there yet; `place` is what find answered, and the tree has not
 * changed since. NO_MEMORY: no key is lost or added. */
weft_err wf_memtree_add(struct wf_memtree *tree, struct wf_mem_node *node,
                        const struct wf_tree_place *place);
void wf_memtree_remove(struct wf_memtree *tree, const struct wf_mem_node *node);

/* First record with a key >= `key`; last with one <= `key` (< if `strict`); the last
 * of all; the neighbours of `node`, whose place may be stale. NULL: none, and *place
 * is of no use. */
struct wf_mem_node *wf_memtree_at_or_after(const struct wf_memtree *tree, const void *key,
                                           size_t len, struct wf_tree_place *place);
struct wf_mem_node *wf_memtree_at_or_before(const struct wf_memtree *tree, const void *key,
                                            size_t len, bool strict, struct wf_tree_place *place);
struct wf_mem_node *wf_memtree_last(const struct wf_memtree *tree, struct wf_tree_place *place);
struct wf_mem_node *wf_memtree_next(const struct wf_memtree *tree, const struct wf_mem_node *node,
                                    struct wf_tree_place *place);
struct wf_mem_node *wf_memtree_prev(const struct wf_memtree *tree, const struct wf_mem_node *node,
                                    struct wf_tree_place *place);

#endif
