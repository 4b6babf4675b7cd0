/* SPDX-License-Identifier: Apache-2.0
 * trie_write.h - the open batch's entries on their way into the tries of their trees.
 * Called by: flush.c, trees.c, store.c (the store's thread). Never: a reader. */
#ifndef WF_TRIE_WRITE_H
#define WF_TRIE_WRITE_H

#include "state.h"

/* Puts the records that the fresh entries change into the open batch, each once, and moves
 * trie_now of their trees. CORRUPT: what is there already contradicts itself. IO, NO_MEMORY. */
weft_err wf_trie_update(wf_store *store);
/* What the engine has is not what was put: a batch failed, or the engine was opened again. */
void wf_trie_forget(struct wf_trie *trie);        /* NULL is fine */
size_t wf_trie_bytes(const struct wf_trie *trie); /* of memory; NULL is fine */
void wf_trie_destroy(struct wf_trie *trie);       /* NULL is fine */
/* The top as the engine has it; all zero: there is none, or none that can be read. IO. */
weft_err wf_trie_load(wf_kv *kv, uint64_t t, struct wf_trie_slot *out);

#endif
