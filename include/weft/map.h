/* SPDX-License-Identifier: Apache-2.0
 * weft/map.h - a nested map that many nodes write: the last writer of a path wins.
 *
 * A map is a named store of a tree whose payloads are operations on paths (docs/entry.md
 * fixes their bytes, section 5). Nobody creates one: whoever commits the first edit under a
 * name does, and two nodes that do so without knowing of each other have made one map. An edit
 * is committed whole. All nodes that hold the same entries see the same map, in whatever order
 * these came: take the edits in the order (gen, id), in which ancestors come first, and
 *     deleting a path takes away what stands there and below,
 *     setting one does the same, takes away the leaves above, and puts a leaf there.
 * So an edit that was made with another one in sight wins over it; of two that did not know of
 * each other the one with the longer history wins (gen: edges of the longest way down to the
 * root), of two equal ones that with the greater id: on every node the same one, path by path.
 * (With more than WEFT_ENTRY_PARENTS_MAX tips an edit cannot name all that it saw, and may lose
 * against those that it had to leave out.) Deleted paths are remembered for ever.
 *
 * Two kinds of entries have no effect on any node; weft_map_info counts them:
 *   - whose payload is no list of operations: malformed, too deep, a path twice, too many;
 *   - whose author was revoked. A *revocation* of a key is an entry, not the root, that grants it
 *     `none` or less than it had, or deletes its grant. With it stays what is among its ancestors,
 *     what it still permits, and what stands on a grant that was made with the revocation in
 *     sight. All else by the key is left out, whenever it arrives: above all what it writes beside
 *     the revocation, and what others write by nothing but a grant that it made there. Grants and
 *     revocations count by the same rule, but a revocation is void only because of those that are
 *     stronger: by a key with a stronger right among the entry's ancestors. Two that are equally
 *     strong revoke each other. docs/entry.md, section 6, has the whole rule; weft_entry_counts
 *     (weft/access.h) asks it of one entry. A map of `_settings` leaves nothing out: it shows what
 *     the door goes by.
 *
 * A weft_map is what one thread at a time knows of it, in memory: it shows what it read until
 * the next weft_map_refresh. Close it before the node. Calls that may wait for the disk answer
 * DEADLK from inside an actor; the others may be made there. Each may answer INVALID, and where
 * it says nothing else, NO_MEMORY. */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H

#include <string.h>

#include <weft/dag.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Values ------------------------------------------------------------------------------ */

typedef enum weft_map_type {
    WEFT_MAP_NIL,
    WEFT_MAP_BOOL,
    WEFT_MAP_UINT,  /* zero and above                       */
    WEFT_MAP_INT,   /* below zero                           */
    WEFT_MAP_FLOAT, /* binary64; not NaN, of which are many */
    WEFT_MAP_STR,   /* UTF-8 (RFC 3629)                     */
    WEFT_MAP_BIN
} weft_map_type;

typedef struct weft_map_value {
    weft_map_type type;
    union {
        bool truth;
        uint64_t uint;
        int64_t sint;
        double real;
        struct {
            const void *data; /* borrowed; a str has no NUL at its end */
            size_t len;
        } bytes;
    } as;
} weft_map_value;

static inline weft_map_value weft_map_nil(void)
{
    weft_map_value v;
    memset(&v, 0, sizeof v);
    return v;
}
static inline weft_map_value weft_map_bool(bool truth)
{
    weft_map_value v = weft_map_nil();
    v.type = WEFT_MAP_BOOL;
    v.as.truth = truth;
    return v;
}
static inline weft_map_value weft_map_uint(uint64_t number)
{
    weft_map_value v = weft_map_nil();
    v.type = WEFT_MAP_UINT;
    v.as.uint = number;
    return v;
}
/* Reads back as WEFT_MAP_UINT unless it is below zero: a number has one form. */
static inline weft_map_value weft_map_int(int64_t number)
{
    weft_map_value v = weft_map_uint((uint64_t)number);
    if (number >= 0) return v;
    v.type = WEFT_MAP_INT;
    v.as.sint = number;
    return v;
}
static inline weft_map_value weft_map_float(double number)
{
    weft_map_value v = weft_map_nil();
    v.type = WEFT_MAP_FLOAT;
    v.as.real = number;
    return v;
}
static inline weft_map_value weft_map_bin(const void *data, size_t len)
{
    weft_map_value v = weft_map_nil();
    v.type = WEFT_MAP_BIN;
    v.as.bytes.data = data;
    v.as.bytes.len = len;
    return v;
}
static inline weft_map_value weft_map_str(const char *utf8, size_t len)
{
    weft_map_value v = weft_map_bin(utf8, len);
    v.type = WEFT_MAP_STR;
    return v;
}
static inline weft_map_value weft_map_text(const char *utf8) /* that ends with a NUL */
{
    return weft_map_str(utf8, strlen(utf8));
}
/* Whether the value is an integer that fits, and which. */
static inline bool weft_map_as_int(const weft_map_value *value, int64_t *out)
{
    if (value->type == WEFT_MAP_INT) *out = value->as.sint;
    else if (value->type == WEFT_MAP_UINT && value->as.uint <= INT64_MAX)
        *out = (int64_t)value->as.uint;
    else return false;
    return true;
}

/* -- Paths --------------------------------------------------------------------------------- */

/* Paths are compared component by component, by bytes; one comes before those below it. */
typedef struct weft_map_path {
    uint32_t depth; /* 1 .. WEFT_MAP_PATH_MAX */
    struct {
        const char *text; /* borrowed; UTF-8, not NUL-terminated */
        uint32_t len;     /* 1 .. WEFT_MAP_COMPONENT_BYTES_MAX */
    } part[WEFT_MAP_PATH_MAX];
} weft_map_path;

/* The path of these texts, after the last of which stands a NULL. It borrows them. Too many
 * give a path of no components, which every call refuses as INVALID. */
weft_map_path weft_map_path_of(const char *const *texts);
/* In C: a pointer to such a path for the enclosing block, WEFT_MAP_PATH("users", name). */
#define WEFT_MAP_PATH(...) \
    ((const weft_map_path[1]){weft_map_path_of((const char *const[]){__VA_ARGS__, NULL})})
int weft_map_path_compare(const weft_map_path *a, const weft_map_path *b);

/* -- Edits: what one entry does to the map ---------------------------------------------------- */

typedef struct weft_map_edit weft_map_edit; /* one thread at a time */

weft_err weft_map_edit_create(weft_map_edit **out);
void weft_map_edit_destroy(weft_map_edit *edit); /* NULL is fine */
/* They take effect in the order of these calls, as what they come to: setting or deleting a
 * path drops what the edit had to do there and below, so what is set and deleted again was never
 * set. Texts and bytes are copied. INVALID: a path or value out of its bounds, or not UTF-8, or
 * NaN. LIMIT: WEFT_MAP_OPS_MAX operations, or more bytes than an entry may have. On an error the
 * edit is as it was. */
weft_err weft_map_edit_set(weft_map_edit *edit, const weft_map_path *path, weft_map_value value);
weft_err weft_map_edit_delete(weft_map_edit *edit, const weft_map_path *path);
void weft_map_edit_clear(weft_map_edit *edit);
uint32_t weft_map_edit_count(const weft_map_edit *edit); /* operations in it */

/* Commits the edit to the named store `store` and leaves it as it is, so that it can be tried
 * again. Durable when it returns OK; a refresh on this node shows it. INVALID: nothing is in
 * the edit. Otherwise it answers what weft_commit does. */
weft_err weft_map_commit(weft_writer *writer, const char *store, const weft_map_edit *edit,
                         weft_ns timeout, weft_id *out_id);
/* The payload that it would be, a new reference: for weft_commit_async, weft_commit_at and
 * entries of more than one store. */
weft_err weft_map_edit_encode(const weft_map_edit *edit, weft_buf **out);

/* -- Reading ----------------------------------------------------------------------------------- */

typedef struct weft_map weft_map;

/* Opens the map that the entries of the store `store` make. It is empty until the first
 * weft_map_refresh, which reads them all, at a cost that the rest of the tree has no part in.
 * TREE: no such tree is here. */
weft_err weft_map_open(weft_node *node, const weft_id *tree, const char *store, weft_map **out);
/* The map as it was at a past cut: what the entries at or below it make, and it stays so. The
 * cut may name any entries of the tree. Reads what weft_dag_below does. NOT_FOUND, TREE (an
 * entry that is named), LIMIT. */
weft_err weft_map_open_at(weft_node *node, const weft_id *tree, const char *store,
                          const weft_cut *cut, weft_map **out);
void weft_map_close(weft_map *map); /* NULL is fine */

/* Takes in what has arrived since and writes the store, each entry once and whole or not at
 * all. To find them it looks up each arrival of the tree, or, where these are more than the map
 * has entries (so at first, and after a long pause), goes through the list of the store's entries.
 * *entries_read (may be NULL) says how many were read, whatever the answer. What was handed out
 * before is void.
 * CORRUPT: bodies of entries are damaged; everything else is in, and each refresh tries them
 * again, so that one after they are healed answers OK. AGAIN: the budget is used up; repeated,
 * it goes on. LIMIT: the map would need more than WEFT_MAP_VIEW_BYTES. After these two, and
 * after NO_MEMORY and IO, it shows what it had taken in: what arrived up to some arrival, and
 * of what came after it perhaps what stands up to some place in the order (gen, id).
 * When a key is revoked that the map has entries of, or is not any more because another
 * revocation made that void, the map is read anew through the store's list, and this answers as a
 * first refresh would; until one answers OK or CORRUPT the map shows
 * what it did before, and the two may have WEFT_MAP_VIEW_BYTES each. With more revocations than
 * WEFT_MAP_REVOCATIONS_MAX in the tree, more words than WEFT_STANDING_WORDS_MAX that its settings
 * say of keys, or more than WEFT_STANDING_PAIRS_MAX of them to be asked which is below which, the
 * answer is LIMIT.
 * When to call it: after a commit, and when weft_subscribe tells that the tree grew. */
weft_err weft_map_refresh(weft_map *map, uint64_t *entries_read);
/* So many arrivals, places of lists (`_settings` has one, too) and entries below revocations may
 * one refresh look up from now on; 0, as at first: as many as there are. */
void weft_map_budget(weft_map *map, uint64_t places);

/* The value at the path, which points into the map. NOT_FOUND: no leaf is there. */
weft_err weft_map_get(const weft_map *map, const weft_map_path *path, weft_map_value *out);

typedef struct weft_map_item { /* a leaf; points into the map */
    weft_map_path path;
    weft_map_value value;
    uint64_t gen; /* of the entry that set it */
    weft_id entry;
} weft_map_item;
/* Calls fn for the leaf at `prefix` and all below it, in the order of paths; NULL: all. What
 * fn returns other than OK ends the walk and is returned. fn must not refresh or close it. */
weft_err weft_map_each(const weft_map *map, const weft_map_path *prefix,
                       weft_err (*fn)(void *arg, const weft_map_item *item), void *arg);
/* The first of those leaves whose path comes after `after` (NULL: the first of all), which
 * itself need not be there: so a walk may go on after a refresh, from a path that was kept.
 * END: there is none. */
weft_err weft_map_next(const weft_map *map, const weft_map_path *prefix, const weft_map_path *after,
                       weft_map_item *out);

typedef struct weft_map_info {
    uint64_t arrivals; /* of the tree: the map has all that arrived up to this one       */
    uint64_t entries;  /* taken in                                                       */
    uint64_t skipped;  /* that write the store, but not operations                       */
    uint64_t left_out; /* that write the store, and do not count: somebody was revoked   */
    uint64_t damaged;  /* that write it or settings, and whose bodies could not be read  */
    uint64_t paths;    /* kept, also of deleted and hidden leaves and of their branches  */
    uint64_t bytes;    /* of memory for them; at most WEFT_MAP_VIEW_BYTES                */
} weft_map_info;
void weft_map_info_get(const weft_map *map, weft_map_info *out);

#ifdef __cplusplus
}
#endif
#endif
