/* SPDX-License-Identifier: Apache-2.0
 * layout.h - the keys and records of the store, as bytes (DESIGN section 5).
 * Called by: the store's rooms. Touches only its arguments. Never: an engine.
 *
 * Integers are big-endian, t is the local number of a tree.
 *   entry   t seq                   canonical bytes
 *   meta    id                      struct wf_meta_record
 *   gen     t gen id                seq
 *   arr     t seq                   id [peer epoch [source_seq]]
 *   child   t parent's seq, seq     id of the child
 *   tip     t 0 id                  gen        tips of the tree
 *           t len name id           gen        tips of a named store
 *   peer    01 peer t               wf_mark    how much of the peer's arrivals is here
 *   tree    01                      format
 *           02 t                    tree record
 *           03 t                    counts
 *           04 t                    keys of readers
 *           06                      (empty) a copy that was never opened: restore.c
 *           07 t                    id, state: the tree was removed (removal.h)
 *   policy  01 number               canonical bytes
 *           02 hash                 number
 *   trie    t depth prefix          a node (trie.h): its prefix is depth digits, packed
 *           t ff                    the top: count, digest
 *   sketch  t                       64 cells
 *   sub     t len name gen id       seq        entries that write a named store
 *   dom     t page                  dominators of sixteen arrivals (dom.h)
 * Keys of `peer` and `tree` from 80 upwards belong to the layers above.
 *
 * Only `meta` is sorted by ids, which are hashes. Everything large lies in the order of
 * its arrival, so that a new entry goes to the end, a file is written once and never
 * merged with others, and who reads in arrival order reads the disk in order. */
#ifndef WF_LAYOUT_H
#define WF_LAYOUT_H

#include <string.h>

#include "store.h"

#define WF_FORMAT_VERSION 3u
/* The same, of which a tree was removed: older code would take what is left of it for a tree. */
#define WF_FORMAT_REMOVED 4u
#define WF_FORMAT_OLDEST 2u /* that is still read: migrate.c, salvage.c */
/* A store of this number has entries and what cannot be made of them; the next opening makes the
 * rest, whatever is there of it. */
#define WF_FORMAT_MADE_LATER 2u

#define WF_KEY_GEN_BYTES 48u
#define WF_GEN_BYTES 8u
#define WF_KEY_SEQ_BYTES 16u
#define WF_DOM_PAGE 16u /* arrivals to a record of `dom` */
#define WF_KEY_CHILD_BYTES 24u
#define WF_KEY_TIP_BYTES_MAX (9u + WEFT_STORE_NAME_BYTES_MAX + 32u)
#define WF_KEY_CURSOR_BYTES 41u
#define WF_KEY_TREE_BYTES 9u
#define WF_KEY_POLICY_BYTES 5u
#define WF_KEY_POLICY_HASH_BYTES 33u
#define WF_TRIE_DIGITS (1u + 2u * (WF_GEN_BYTES + WEFT_ID_BYTES)) /* of an entry, at most */
#define WF_TRIE_KEY_BYTES ((WF_TRIE_DIGITS + 1u) / 2u)
#define WF_TRIE_TOP 0xffu /* in the place of a depth */
#define WF_KEY_TRIE_BYTES_MAX (9u + WF_TRIE_KEY_BYTES)
#define WF_KEY_SKETCH_BYTES 8u
#define WF_KEY_SUB_BYTES_MAX (9u + WEFT_STORE_NAME_BYTES_MAX + WF_GEN_BYTES + WEFT_ID_BYTES)
#define WF_ARR_BYTES_MAX 88u
#define WF_MARK_BYTES 73u

enum {
    WF_TREE_FORMAT = 1,
    WF_TREE_RECORD = 2,
    WF_TREE_COUNTS = 3,
    WF_TREE_READERS = 4,
    WF_TREE_COPIED = 6,
    WF_TREE_REMOVED = 7
};
enum { WF_PEER_CURSOR = 1, WF_PEER_REMOVED = 2 };
enum { WF_POLICY_NUMBER = 1, WF_POLICY_HASH = 2 };
#define WF_UPPER_KEYS 0x80u

static inline uint8_t *wf_put32(uint8_t *at, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8) at[i] = (uint8_t)v;
    return at + 4;
}

static inline uint8_t *wf_put64(uint8_t *at, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8) at[i] = (uint8_t)v;
    return at + 8;
}

static inline uint8_t *wf_put_bytes(uint8_t *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

static inline uint32_t wf_get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t wf_get64(const uint8_t *at)
{
    return (uint64_t)wf_get32(at) << 32 | wf_get32(at + 4);
}

void wf_key_gen(uint8_t out[WF_KEY_GEN_BYTES], uint64_t t, uint64_t gen, const weft_id *id);
/* Of `entry` and `arr`. */
void wf_key_seq(uint8_t out[WF_KEY_SEQ_BYTES], uint64_t t, uint64_t seq);
/* Of `dom`: the page of an arrival. */
void wf_key_dom(uint8_t out[WF_KEY_SEQ_BYTES], uint64_t t, uint64_t seq);
void wf_key_child(uint8_t out[WF_KEY_CHILD_BYTES], uint64_t t, uint64_t parent_seq, uint64_t seq);
/* name_len 0: a tip of the tree. id NULL: the prefix of all tips. Returns the length. */
size_t wf_key_tip(uint8_t out[WF_KEY_TIP_BYTES_MAX], uint64_t t, const void *name, size_t name_len,
                  const weft_id *id);
/* The node whose prefix is the first `depth` digits of `of`. Returns the length. */
size_t wf_key_trie(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t, unsigned depth,
                   const uint8_t of[WF_TRIE_KEY_BYTES]);
size_t wf_key_trie_top(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t);
void wf_key_sketch(uint8_t out[WF_KEY_SKETCH_BYTES], uint64_t t);
/* id NULL: the prefix of all entries of the store. Returns the length. */
size_t wf_key_sub(uint8_t out[WF_KEY_SUB_BYTES_MAX], uint64_t t, const void *name, size_t name_len,
                  uint64_t gen, const weft_id *id);
void wf_key_cursor(uint8_t out[WF_KEY_CURSOR_BYTES], const weft_key *peer, uint64_t t);
/* The record `tree 01`. */
void wf_format_put(wf_batch *batch, uint32_t format);
weft_err wf_format_read(const void *data, size_t len, uint32_t *out); /* CORRUPT */
void wf_key_tree(uint8_t out[WF_KEY_TREE_BYTES], uint8_t kind, uint64_t t);
/* In `peer`, while some of it may be left: the tree of this number was removed. WF_TREE_REMOVED in
 * `tree` says so, too; a salvage believes either, so that one damaged block does not bring it back. */
void wf_key_removed(uint8_t out[WF_KEY_TREE_BYTES], uint64_t t);

/* `meta` without its parents and names: those follow as bytes. */
struct wf_meta_record {
    uint64_t t, gen, seq, height;
    weft_key author;
    uint32_t policy;
    uint32_t parents_count;
    const uint8_t *parents; /* parents_count ids, ascending                       */
    const uint8_t *names;   /* stores that the entry writes: (length, bytes) each */
    uint32_t names_len;
};
size_t wf_meta_bytes(const struct wf_meta_record *meta);
void wf_meta_write(const struct wf_meta_record *meta, uint8_t *out);
/* Points into `data`. CORRUPT. */
weft_err wf_meta_read(const void *data, size_t len, struct wf_meta_record *out);
/* Which of the names of a record is `name`, from 1? 0: none of them. */
uint32_t wf_names_find(const uint8_t *names, size_t names_len, const void *name, size_t name_len);
static inline bool wf_names_have(const uint8_t *names, size_t names_len, const void *name,
                                 size_t name_len)
{
    return wf_names_find(names, names_len, name, name_len) > 0;
}

size_t wf_arrival_write(const wf_arrival *arrival, uint8_t out[WF_ARR_BYTES_MAX]);
weft_err wf_arrival_read(const void *key, size_t key_len, const void *data, size_t len,
                         wf_arrival *out); /* CORRUPT */

void wf_mark_write(const wf_mark *mark, uint8_t out[WF_MARK_BYTES]);
weft_err wf_mark_read(const void *data, size_t len, wf_mark *out); /* CORRUPT */

#define WF_TREE_RECORD_BYTES 50u
void wf_tree_write(const wf_tree_info *info, uint8_t out[WF_TREE_RECORD_BYTES]);
weft_err wf_tree_read(const void *data, size_t len, wf_tree_info *out); /* CORRUPT */
/* Of `tree 07`: CORRUPT. */
#define WF_REMOVED_BYTES 33u
void wf_removed_write(const weft_id *tree, bool gone, uint8_t out[WF_REMOVED_BYTES]);
weft_err wf_removed_read(const void *data, size_t len, weft_id *tree, bool *gone);
#define WF_COUNTS_BYTES 40u
void wf_counts_write(const wf_tree_info *info, uint8_t out[WF_COUNTS_BYTES]);
weft_err wf_counts_read(const void *data, size_t len, wf_tree_info *out); /* CORRUPT */

#endif
