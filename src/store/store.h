/* SPDX-License-Identifier: Apache-2.0
 * store.h - the DAG store: entries, their indexes, trees, records.
 * Reading: any thread. Writing: the store actor alone (store_actor.h).
 * Called by: store_actor.c (writes), the sync layer's reader and verify actors,
 * weft.c, tools (reads). Never: sockets, peers' connections, sync. */
#ifndef WF_STORE_H
#define WF_STORE_H

#include <weft/access.h>
#include <weft/actor.h>
#include <weft/entry.h>

#include "kv.h"
#include "sketch.h"

typedef struct wf_store wf_store;

/* Opens the store in `kv` (taken on OK) or lays out a new one if it is empty.
 * One of an older format is brought to this one first, if the engine writes.
 * `rt` gives randomness (epochs) and the wall clock. VERSION (a newer format, or one too
 * old), CORRUPT, IO, NO_SPACE, NO_MEMORY. */
weft_err wf_store_open(wf_kv *kv, weft_rt *rt, wf_store **out);
typedef struct wf_store_options {
    /* While a store of an older format is brought to this one, once a second and at the end:
     * records read, of how many. On the thread that opens. NULL: nobody is told. */
    void (*progress)(void *arg, uint64_t done, uint64_t of_all);
    void *arg;
    uint64_t migration_bytes; /* of one batch of it; 0: 4 MiB */
} wf_store_options;
/* `options` may be NULL. */
weft_err wf_store_open_with(wf_kv *kv, weft_rt *rt, const wf_store_options *options,
                            wf_store **out);
/* The format of what is open: an older one only if the engine only reads. */
uint32_t wf_store_format(const wf_store *store);
void wf_store_close(wf_store *store); /* closes the engine too; NULL is fine */
/* Frees the store and gives its engine back open: for an opening that failed later on,
 * and for the simulator, whose memory engine outlives a crash of the node. */
wf_kv *wf_store_detach(wf_store *store);
wf_kv *wf_store_kv(wf_store *store);

/* -- What a tree is here, as last published by the writer --------------------- */
typedef struct wf_tree_info {
    weft_id tree;
    uint64_t t;        /* local tree number                                  */
    bool has_root;     /* false: followed, nothing arrived yet               */
    bool followed;     /* offered to and accepted from peers                 */
    uint8_t epoch[16]; /* new whenever the tree is created in a store        */
    uint64_t count;    /* entries                                            */
    uint64_t max_gen;
    uint64_t seq;        /* of the last arrival; 0: none                       */
    uint8_t last_id8[8]; /* of the arrival at seq; zero when seq is 0          */
    uint64_t tips;       /* number of tree tips                                */
    weft_height strategy;
    uint64_t shelved; /* entries that wait on the shelf (shelf.h): no part of the tree   */
} wf_tree_info;
weft_err wf_store_tree(wf_store *store, const weft_id *tree, wf_tree_info *out); /* NOT_FOUND */
/* The last arrival of tree `t` that a power cut cannot take; below `seq` of the above while
 * what was written is not synced yet. 0: none. */
uint64_t wf_store_durable(wf_store *store, uint64_t t);
weft_err wf_store_tree_by_number(wf_store *store, uint64_t t, wf_tree_info *out);
/* Was the tree of this number removed? Of it nothing is here, whatever rows of it are there yet.
 * Any thread; one load while none was. Who reads several rows asks this after that, or after it
 * has taken its view: rows go only once this is true. */
bool wf_store_is_removed(wf_store *store, uint64_t t);
/* The answer of a read of tree `t` (0: of which one is not known) that has met facts, an order,
 * children or tips; it is returned. If it is CORRUPT all of these are looked through soon, and put
 * right (mend.h); if the tree was removed meanwhile it becomes NOT_FOUND. Any thread. */
weft_err wf_mend_note(wf_store *store, uint64_t t, weft_err err);
/* The highest number of a tree; some below it may have been removed. */
uint64_t wf_store_trees_max(wf_store *store);
/* All trees in the order of their local numbers; `*count` in: room, out: filled;
 * LIMIT when there are more. */
weft_err wf_store_trees(wf_store *store, wf_tree_info *out, size_t *count);

/* -- Who may read a tree: rights.h ------------------------------------------------- */
/* Is the tree followed, and may one of `keys` (at most WEFT_PROVEN_KEYS_MAX + 1) read it: a key
 * that the tree's settings do not revoke, and to which they give Read or more, itself or as
 * everyone, or that is in the list given by follow? As published; memory only, so any actor may
 * ask. A tree that is unknown or not followed costs the same steps as one that is forbidden.
 * Nobody may read while the rights are not known, because memory was short or the disk failed. */
bool wf_store_may_read_as(wf_store *store, const weft_id *tree, const weft_key *keys,
                          uint32_t count);
bool wf_store_may_read(wf_store *store, const weft_id *tree, const weft_key *key); /* one */
/* What the settings of the tree that count (standing.h) say now, to show: the door judges each
 * entry by its own ancestry. TREE: it is unknown. NO_MEMORY, IO, CORRUPT: why the rights are not known. */
struct wf_right_now {
    weft_right right; /* of the key, its own or everyone's: the stronger one  */
    uint32_t priority;
    bool own;     /* a grant of at least Read names it                    */
    bool listed;  /* it is in the list given by follow                    */
    bool revoked; /* then right is NONE, and neither "*" nor the list helps */
};
weft_err wf_store_right(wf_store *store, const weft_id *tree, const weft_key *key,
                        struct wf_right_now *out);
/* Who was granted something or was revoked: everyone first, then by key. `*count` in: room, out:
 * filled; LIMIT: then it is how many there are. TREE, and as above. */
weft_err wf_store_grants(wf_store *store, const weft_id *tree, weft_grant *out, size_t *count);
/* What `key` itself was granted; NOT_FOUND: nothing. TREE, and as above. */
weft_err wf_store_grant(wf_store *store, const weft_id *tree, const weft_key *key, weft_grant *out);

/* Tree tips, ascending by id, at most `room`; *complete false: there are more. */
weft_err wf_store_tips(wf_store *store, uint64_t t, weft_id *out, size_t room, size_t *count,
                       bool *complete);
/* Tips of one named store within the tree. */
weft_err wf_store_named_tips(wf_store *store, uint64_t t, const char *name, weft_id *out,
                             size_t room, size_t *count, bool *complete);
/* Of the tree (name NULL) or of a named store, in cyclic order from the first that is not below
 * `from`: as many as there is room for, whatever their number. */
weft_err wf_store_tips_from(wf_store *store, uint64_t t, const char *name, const weft_id *from,
                            weft_id *out, size_t room, size_t *count, bool *complete);
/* BLAKE2b-256 over all tree tip ids in ascending order (the root digest of
 * protocol version 1, which knows no trie), with the info that it belongs to. */
weft_err wf_store_root_digest(wf_store *store, uint64_t t, uint8_t out[32], wf_tree_info *info);

/* -- Digests of a tree's entries (trie.h) -------------------------------------------- */
/* They depend on the set of entries alone: not on the order or the batches in which they came,
 * and not on anything of this store. */
struct wf_trie_slot { /* a set of entries */
    uint64_t count;
    uint8_t digest[32]; /* zero: none */
};
struct wf_trie_key { /* an entry, in the order of its tree */
    uint64_t gen;
    weft_id id;
};
struct wf_trie_prefix { /* the entries that begin with the first `depth` digits of a key */
    unsigned depth;     /* 0: all of the tree                                         */
    struct wf_trie_key key;
};
/* All entries, as last published, with the info that they belong to. Reads nothing. CORRUPT:
 * the index is damaged. VERSION, as of the others: the store is of an older format and only
 * read. */
weft_err wf_store_trie_root(wf_store *store, uint64_t t, struct wf_trie_slot *out,
                            wf_tree_info *info);
/* Those of lo <= gen < hi; their digest also says which gens were asked for. At most two reads
 * per digit of the highest gen and some. CORRUPT, IO, NO_MEMORY. */
weft_err wf_store_range(wf_store *store, uint64_t t, uint64_t lo, uint64_t hi,
                        struct wf_trie_slot *out);
/* Those with a prefix, by the digit that follows; all sixteen are set. One read, or one range
 * of at most 33 keys. */
weft_err wf_store_range_split(wf_store *store, uint64_t t, const struct wf_trie_prefix *prefix,
                              struct wf_trie_slot out[16]);
/* Several questions about one state, which is that of the info: one snapshot of the engine, in
 * which the batches are whole. One thread at a time; close it soon. */
typedef struct wf_trie_view wf_trie_view;
weft_err wf_trie_view_open(wf_store *store, uint64_t t, wf_tree_info *info, wf_trie_view **out);
void wf_trie_view_root(const wf_trie_view *view, struct wf_trie_slot *out);
weft_err wf_trie_view_range(wf_trie_view *view, uint64_t lo, uint64_t hi, struct wf_trie_slot *out);
weft_err wf_trie_view_split(wf_trie_view *view, const struct wf_trie_prefix *prefix,
                            struct wf_trie_slot out[16]);
void wf_trie_view_close(wf_trie_view *view); /* NULL is fine */

/* The tree's sketch as last written: sketch.h. A hint: a difference that it gives away is to
 * be looked up. NOT_FOUND; VERSION: the store is of
 * an older format and only read; IO, CORRUPT. */
weft_err wf_store_sketch(wf_store *store, uint64_t t, uint8_t out[WF_SKETCH_BYTES]);

/* -- Entries ------------------------------------------------------------------------ */
typedef struct wf_meta {
    uint64_t t, gen, seq, height;
    weft_key author;
    uint32_t policy;
    uint32_t parents_count;                        /* tree and store parents together */
    weft_id parents[WEFT_ENTRY_UNION_PARENTS_MAX]; /* ascending                      */
} wf_meta;
/* The facts of a stored entry, without parents: cheap. NOT_FOUND. */
typedef struct wf_meta_brief {
    uint64_t t, gen, seq, height;
} wf_meta_brief;
weft_err wf_store_meta(wf_store *store, const weft_id *id,
                       wf_meta *out); /* large: not on a stack */
weft_err wf_store_meta_brief(wf_store *store, const weft_id *id, wf_meta_brief *out);
/* Of many at once, which costs an engine less: errs[i] is what the call above would answer. */
void wf_store_meta_briefs(wf_store *store, const weft_id *ids, size_t count, wf_meta_brief *out,
                          weft_err *errs);
/* Does the entry write the named store? NOT_FOUND. */
weft_err wf_store_writes(wf_store *store, const weft_id *id, const char *name, size_t name_len,
                         bool *out);
/* Does the entry count, or is it left out because its author was revoked (standing.h)? Reads the
 * settings of a tree of which somebody was. NOT_FOUND, LIMIT, IO, CORRUPT, NO_MEMORY. */
weft_err wf_store_counts(wf_store *store, const weft_id *id, bool *out);
/* Calls fn for each parent (tree and store parents together, ascending). */
weft_err wf_store_parents(wf_store *store, const weft_id *id, wf_meta_brief *meta,
                          weft_err (*fn)(void *arg, const weft_id *parent), void *arg);
/* Where an entry stands: in the order of its tree and among the arrivals. */
typedef struct wf_place {
    uint64_t gen, seq;
    weft_id id;
} wf_place;
/* The canonical bytes, re-hashed: CORRUPT if they do not match. *out is a new
 * reference. NOT_FOUND. */
weft_err wf_store_get(wf_store *store, const weft_id *id, weft_buf **out);
/* The same for an entry of tree `t` whose place (seq and id) is known, which spares a
 * look-up. CORRUPT also when nothing is there. */
weft_err wf_store_get_at(wf_store *store, uint64_t t, const wf_place *place, weft_buf **out);
/* The same into the caller's memory: *len in: room, out: size; LIMIT when it does
 * not fit (then *len is the size needed). */
weft_err wf_store_get_into(wf_store *store, uint64_t t, const wf_place *place, uint8_t *out,
                           size_t *len);
/* The entry of tree `t` whose id begins with these 8 bytes. NOT_FOUND; LIMIT when
 * several do. */
weft_err wf_store_find_short(wf_store *store, uint64_t t, const uint8_t id8[8], weft_id *out);

/* Who an entry came from: a peer and the epoch of the tree over there. All zero:
 * committed here. */
typedef struct wf_source {
    weft_key peer;
    uint8_t epoch[16];
} wf_source;

/* -- Walks. Each is a fixed view; destroy it soon. -------------------------------------- */
typedef struct wf_gen_walk wf_gen_walk; /* ascending (gen, id): parents first */
/* Strictly after (gen, id); NULL id with gen 0: from the start. */
weft_err wf_gen_walk_create(wf_store *store, uint64_t t, uint64_t gen, const weft_id *id,
                            wf_gen_walk **out);
weft_err wf_gen_walk_next(wf_gen_walk *walk, wf_place *out); /* END */
/* Descending (gen, id) from the top. */
weft_err wf_gen_walk_create_down(wf_store *store, uint64_t t, wf_gen_walk **out);
/* Of the entries that write one named store: strictly after (gen, id), or before it if
 * `down`; NULL id: from that end. VERSION: the store has no such list. CORRUPT: also
 * while it is made again. INVALID: the name. */
weft_err wf_gen_walk_create_named(wf_store *store, uint64_t t, const char *name, bool down,
                                  uint64_t gen, const weft_id *id, wf_gen_walk **out);
bool wf_store_lists_named(
    const wf_store *store); /* false: of an older format, only read; or they are
                                                    * being made again                       */
void wf_gen_walk_destroy(wf_gen_walk *walk);

typedef struct wf_arrival {
    uint64_t seq;
    weft_id id;
    wf_source source;
    uint64_t source_seq; /* the sender's seq in its frame's mark; 0: unknown */
} wf_arrival;
typedef struct wf_arr_walk wf_arr_walk; /* ascending seq, strictly after `seq` */
weft_err wf_arr_walk_create(wf_store *store, uint64_t t, uint64_t seq, wf_arr_walk **out);
weft_err wf_arr_walk_next(wf_arr_walk *walk, wf_arrival *out); /* END */
void wf_arr_walk_destroy(wf_arr_walk *walk);
weft_err wf_store_arrival(wf_store *store, uint64_t t, uint64_t seq,
                          wf_arrival *out); /* NOT_FOUND */

/* Children of the entry of tree `t` that arrived as `seq`, in the order of their own
 * arrival `child_seq`. */
weft_err wf_store_children(wf_store *store, uint64_t t, uint64_t seq,
                           weft_err (*fn)(void *arg, const weft_id *child, uint64_t child_seq),
                           void *arg);

/* -- Records: small values of the layers above, in `peer` and `tree` ----------------------- */
/* Key and value are the caller's own; keys carry a prefix byte >= 0x80 chosen by the
 * layer above (the store's own keys in those families are below). NOT_FOUND, LIMIT. */
weft_err wf_store_record_get(wf_store *store, enum wf_cf cf, const void *key, size_t key_len,
                             uint8_t *out, size_t *len);
weft_err wf_store_record_each(wf_store *store, enum wf_cf cf, const void *prefix, size_t prefix_len,
                              weft_err (*fn)(void *arg, const uint8_t *key, size_t key_len,
                                             const uint8_t *value, size_t value_len),
                              void *arg);

/* The mark of how much of a peer's arrivals we hold (PROTOCOL section 2: upto). */
typedef struct wf_mark {
    uint8_t epoch[16];
    uint64_t seq;
    uint8_t id8[8];
    bool partial; /* of the arrivals up to seq, only those up to (gen, id) */
    uint64_t gen;
    weft_id id;
} wf_mark;
/* The cursor into `peer` for the tree, as stored with its entries. NOT_FOUND. */
weft_err wf_store_cursor(wf_store *store, const weft_key *peer, uint64_t t, wf_mark *out);

/* Called at the end of wf_store_open: a copy that is opened for the first time becomes a
 * store of its own, with new epochs. OK also when it is none, and when the engine only
 * reads: then it stays a copy. */
weft_err wf_store_restored(wf_store *store);
/* Says of a closed store's engine that it holds a copy. Durable when it returns. */
weft_err wf_copy_mark(wf_kv *kv);

/* -- Checking a whole store (weft-stress, weft-fsck) ------------------------------------------- */
typedef struct wf_check_report {
    uint64_t entries, bad_bytes, bad_ids, bad_signatures, missing_parents, bad_tips, bad_indexes;
    uint64_t shelved; /* entries that wait on the shelf (shelf.h), which is no fault */
} wf_check_report;
/* What is wrong; each is counted in the report. */
enum wf_check_kind {
    WF_CHECK_BYTES,     /* a body is missing or does not decode       */
    WF_CHECK_ID,        /* a body does not hash to its id             */
    WF_CHECK_SIGNATURE, /* its author did not sign it                 */
    WF_CHECK_PARENT,    /* a parent is missing                        */
    WF_CHECK_TIP,       /* a tip that is none, or one that is missing */
    WF_CHECK_INDEX,     /* an index or a count says something else    */
    WF_CHECK_UNREADABLE /* the engine cannot read a range of keys     */
};
typedef struct wf_check_fault {
    enum wf_check_kind kind;
    enum wf_cf cf;
    uint64_t t, seq; /* 0: not known       */
    weft_id id;      /* zero: not known    */
    char what[96];   /* for people to read */
} wf_check_fault;
struct wf_check_options {
    bool signatures;
    void (*fault)(void *arg, const wf_check_fault *fault);          /* may be NULL */
    void (*progress)(void *arg, uint64_t entries, uint64_t of_all); /* may be NULL */
    void *arg;
};
/* Reads every entry of every tree from the engine and checks bytes, id, signature
 * (if `signatures`), parents, gen, tips and indexes against each other. OK also
 * when something is wrong: look at the report. IO, NO_MEMORY. */
weft_err wf_store_check_with(wf_store *store, const struct wf_check_options *options,
                             wf_check_report *out);
weft_err wf_store_check(wf_store *store, bool signatures, wf_check_report *out);
uint64_t wf_check_faults(const wf_check_report *report); /* of all kinds */
const char *wf_check_kind_name(enum wf_check_kind kind);

#endif
