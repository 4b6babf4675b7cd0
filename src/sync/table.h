/* SPDX-License-Identifier: Apache-2.0
 * table.h - a hash table whose members carry their own links and which is walked in
 * the order of insertion, so that no run depends on hashes or addresses.
 * Called by: engine, queue; one thread each. May touch: the members' links.
 * Never: owns a member. The hash is keyed, because peers choose the keys. */
#ifndef WF_TABLE_H
#define WF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

/* The first field of a member, or any other: `key` is `offset` bytes behind it. */
struct wf_link {
    struct wf_link *chain;       /* same slot */
    struct wf_link *prev, *next; /* order of insertion */
    uint64_t hash;
};

struct wf_table {
    struct wf_link **slots; /* a power of two of them; NULL: empty */
    size_t room, count;
    struct wf_link *first, *last;
    size_t key_offset, key_len;
    uint8_t salt[16];
};

/* The key of a member are the `key_len` bytes at `key_offset` behind its link. */
void wf_table_init(struct wf_table *table, size_t key_offset, size_t key_len,
                   const uint8_t salt[16]);
void wf_table_fini(struct wf_table *table); /* the members are the caller's */
struct wf_link *wf_table_find(const struct wf_table *table, const void *key);
/* Adds a member whose key is not there yet. NO_MEMORY. */
weft_err wf_table_add(struct wf_table *table, struct wf_link *link);
/* Takes a member out. */
void wf_table_remove(struct wf_table *table, struct wf_link *link);

#endif
