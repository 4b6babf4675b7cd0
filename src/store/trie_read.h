/* SPDX-License-Identifier: Apache-2.0
 * trie_read.h - what the rooms of the trie read alike.
 * Called by: trie_read.c, trie_write.c. Never: anybody else. */
#ifndef WF_TRIE_READ_H
#define WF_TRIE_READ_H

#include "trie.h"

/* The first keys of tree `t` with the prefix, at most `room`, from an iterator over its `gen`.
 * IO, CORRUPT. */
weft_err wf_trie_scan(wf_kv_iter *it, uint64_t t, const struct wf_trie_prefix *prefix,
                      struct wf_trie_key *out, unsigned room, unsigned *found);
/* The node of the prefix; `value` is its record, to be released. NOT_FOUND, CORRUPT, IO. */
weft_err wf_trie_node_get(wf_kv *kv, const wf_kv_snapshot *snap, uint64_t t,
                          const struct wf_trie_prefix *prefix, wf_value *value,
                          struct wf_trie_node *out);

#endif
