/* SPDX-License-Identifier: Apache-2.0
 * trie.h - the Merkle trie of a tree's entries: what it is, and its records as bytes.
 * Called by: the rooms of the trie, migrate.c, check.c, tests. Touches only its arguments.
 * Never: an engine (trie_write.c and trie_read.c have it).
 *
 * An entry's digits are: one that says how many digits its gen has, less one; those; the 64
 * of its id. Their order is that of (gen, id), and a long history needs no more levels than
 * its gen has digits. A prefix that more than WF_TRIE_BUCKET entries share is a node; what
 * fewer share is a bucket, which has no record: its entries are a range of the family `gen`.
 *   bucket  H(00, gen8 id of each, ascending)
 *   node    H(01, count8, bitmap2, digests of the children, ascending)
 *   range   H(02, lo8, hi8, digests of the shortest prefixes inside, ascending, count8)
 *   nothing 32 zero bytes
 * H is BLAKE2b-256. */
#ifndef WF_TRIE_H
#define WF_TRIE_H

#include "layout.h"

#define WF_TRIE_BUCKET 32u
#define WF_TRIE_DIGEST_BYTES 32u

int wf_trie_compare(const struct wf_trie_key *a, const struct wf_trie_key *b);
unsigned wf_trie_digits(const struct wf_trie_key *key); /* how many it has */
unsigned wf_trie_digit(const struct wf_trie_key *key, unsigned at);
/* How many digits two different keys share. */
unsigned wf_trie_common(const struct wf_trie_key *a, const struct wf_trie_key *b);

bool wf_trie_in(const struct wf_trie_prefix *prefix, const struct wf_trie_key *key);
/* The lowest key with the prefix. */
void wf_trie_lowest(const struct wf_trie_prefix *prefix, struct wf_trie_key *out);
/* The prefix that is one digit longer. */
void wf_trie_longer(const struct wf_trie_prefix *prefix, unsigned digit,
                    struct wf_trie_prefix *out);
/* The first and the last gen that keys with the prefix can have. */
void wf_trie_gens(const struct wf_trie_prefix *prefix, uint64_t *first, uint64_t *last);
size_t wf_trie_record_key(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t,
                          const struct wf_trie_prefix *prefix);

struct wf_trie_node { /* what lies below a prefix, by the next digit */
    struct wf_trie_slot slots[16];
};
#define WF_TRIE_NODE_BYTES_MAX (3u + 16u * (8u + WF_TRIE_DIGEST_BYTES))
#define WF_TRIE_TOP_BYTES (8u + WF_TRIE_DIGEST_BYTES)

/* Bitmap of the digits, width of a count in bytes, then count and digest of each. */
size_t wf_trie_node_write(const struct wf_trie_node *node, uint8_t out[WF_TRIE_NODE_BYTES_MAX]);
weft_err wf_trie_node_read(const void *data, size_t len, struct wf_trie_node *out); /* CORRUPT */
void wf_trie_top_write(const struct wf_trie_slot *top, uint8_t out[WF_TRIE_TOP_BYTES]);
weft_err wf_trie_top_read(const void *data, size_t len, struct wf_trie_slot *out); /* CORRUPT */

/* `count` <= WF_TRIE_BUCKET keys in their order. */
void wf_trie_bucket_slot(const struct wf_trie_key *keys, unsigned count, struct wf_trie_slot *out);
uint64_t wf_trie_node_count(const struct wf_trie_node *node);
void wf_trie_node_slot(const struct wf_trie_node *node, struct wf_trie_slot *out);

#endif
