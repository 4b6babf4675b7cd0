/* SPDX-License-Identifier: Apache-2.0
 * map.h - the last-writer-wins nested map: operations as bytes, and what they resolve to.
 * Called by: settings.c, policy.c, view.c, api_map_edit.c. May touch: its arguments, the heap.
 * Never: a clock, a store, a hash table: equal histories give equal bytes in any order.
 *
 * A payload is a list of operations on paths. The map that a set of payloads, each
 * with the (gen, id) of its entry, resolves to does not depend on the order in which
 * they are met: setting or deleting a path removes what is below it and older,
 * setting below a leaf removes the older leaf. docs/entry.md fixes both encodings. */
#ifndef WF_MAP_H
#define WF_MAP_H

#include <weft/map.h>

/* -- Values and paths ------------------------------------------------------------- */

/* The public ones: types in their one form, paths of 1 to WEFT_MAP_PATH_MAX components. */
typedef weft_map_value wf_map_value;
typedef weft_map_path wf_map_path;

/* Component by component, by bytes; a path comes before those below it. */
int wf_map_path_compare(const wf_map_path *a, const wf_map_path *b);
/* True when `path` begins with `above` and is longer. */
bool wf_map_path_below(const wf_map_path *path, const wf_map_path *above);

/* -- Operations: what one entry's payload holds ------------------------------------- */

typedef struct wf_map_op {
    wf_map_path path;
    bool set;           /* false: delete */
    wf_map_value value; /* of a set      */
} wf_map_op;

/* Writes the payload of `count` operations, ascending by path without repeats, to
 * `out`. INVALID (order, a value or path out of its bounds), LIMIT (does not fit in
 * `room`, or too many). */
weft_err wf_map_ops_encode(const wf_map_op *ops, uint32_t count, uint8_t *out, size_t room,
                           size_t *len);

/* Reads a payload; each operation is handed to `fn` in order and points into the
 * bytes. What fn returns other than OK ends the walk and is returned. All or nothing
 * is the caller's to arrange: check first with fn NULL. SYNTAX, NOT_CANONICAL (also
 * order and repeats), BAD_ENTRY (bounds). Allocates nothing. */
weft_err wf_map_ops_each(const void *payload, size_t len,
                         weft_err (*fn)(void *arg, const wf_map_op *op), void *arg);

/* -- Resolved maps: immutable, sorted by path, tombstones kept ------------------------ */

typedef struct wf_stamp { /* when: the entry's place in the order of all replicas */
    uint64_t gen;
    weft_id id;
} wf_stamp;
int wf_stamp_compare(const wf_stamp *a, const wf_stamp *b);

typedef struct wf_map_record {
    wf_map_path path;
    bool set;           /* the newest operation on the path: set or delete      */
    wf_map_value value; /* of a set                                             */
    wf_stamp at;        /* when that was                                        */
    bool was_set;       /* some operation set it; then set_at is the newest one */
    wf_stamp set_at;
} wf_map_record;

typedef struct wf_map wf_map; /* opaque, immutable: any thread may read */

/* The map of no payload at all. NO_MEMORY. */
weft_err wf_map_create_empty(wf_map **out);
/* The map of one payload at `at`. Errors of wf_map_ops_each, NO_MEMORY. */
weft_err wf_map_create(const void *payload, size_t len, const wf_stamp *at, wf_map **out);
/* The least map that knows what both know: associative, commutative, idempotent.
 * NO_MEMORY. */
weft_err wf_map_join(const wf_map *a, const wf_map *b, wf_map **out);
void wf_map_destroy(wf_map *map); /* NULL is fine */

/* One byte string per map. *out is the caller's. NO_MEMORY. */
weft_err wf_map_encode(const wf_map *map, weft_buf **out);
/* Reads it back. SYNTAX, NOT_CANONICAL, NO_MEMORY. */
weft_err wf_map_decode(const void *bytes, size_t len, wf_map **out);

/* Records, tombstones and hidden ones included, ascending by path. */
uint32_t wf_map_count(const wf_map *map);
const wf_map_record *wf_map_at(const wf_map *map, uint32_t i);
/* The record of exactly `path`. NULL: nothing was ever written there. */
const wf_map_record *wf_map_find(const wf_map *map, const wf_map_path *path);
/* Whether anything was ever written at `path`. */
bool wf_map_has(const wf_map *map, const wf_map_path *path);
/* Whether the i-th record is a leaf that readers see. */
bool wf_map_visible(const wf_map *map, uint32_t i);
/* The value that readers see at `path`; points into the map. NOT_FOUND. */
weft_err wf_map_get(const wf_map *map, const wf_map_path *path, wf_map_value *out);

#endif
