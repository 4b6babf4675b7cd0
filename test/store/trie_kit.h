/* SPDX-License-Identifier: Apache-2.0
 * trie_kit.h - a plain model of the trie: digests of a sorted list of keys, by definition.
 * Called by: test_trie*.c. Never: the product. */
#ifndef TRIE_KIT_H
#define TRIE_KIT_H

#include "entry_kit.h"
#include "trie.h"

void tk_sort(struct wf_trie_key *keys, uint32_t count);
/* The digits of a key, one a byte. Returns how many. */
unsigned tk_digits(const struct wf_trie_key *key, uint8_t out[WF_TRIE_DIGITS]);
/* Of sorted keys that share their first `depth` digits. */
void tk_slot(const struct wf_trie_key *keys, uint32_t count, unsigned depth,
             struct wf_trie_slot *out);
void tk_range(const struct wf_trie_key *keys, uint32_t count, uint64_t lo, uint64_t hi,
              struct wf_trie_slot *out);
void tk_expect_slot(const struct wf_trie_slot *got, const struct wf_trie_slot *want,
                    const char *what);

/* Record by record, what wf_trie_build puts. */
struct tk_records {
    uint32_t count, room;
    struct tk_record {
        size_t key_len, len;
        uint8_t key[WF_KEY_TRIE_BYTES_MAX], value[WF_TRIE_NODE_BYTES_MAX];
    } * list;
};
/* The trie of sorted keys. */
void tk_build(const struct wf_trie_key *keys, uint32_t count, uint64_t t, struct tk_records *out,
              uint8_t root[32]);
void tk_records_free(struct tk_records *records);

#endif
