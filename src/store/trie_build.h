/* SPDX-License-Identifier: Apache-2.0
 * trie_build.h - the records of a tree's trie, made at once from its keys in their order.
 * Called by: migrate.c (writes them), check.c (holds them against those that are there),
 * trie_write.c (the part of a trie below a prefix).
 * Never: touches an engine, keeps more than one way down the trie.
 *
 * What comes out is byte for byte what the writer makes of the same entries, in whatever
 * batches they came: the trie of a set is one. */
#ifndef WF_TRIE_BUILD_H
#define WF_TRIE_BUILD_H

#include "trie.h"

struct wf_trie_build;

/* A record of the family `trie`. OK goes on; anything else ends the building. */
typedef weft_err wf_trie_put(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                             size_t value_len);

weft_err wf_trie_build_create(uint64_t t, wf_trie_put *put, void *arg,
                              struct wf_trie_build **out); /* NO_MEMORY */
/* In ascending order of (gen, id), each once. CORRUPT: not so; or what `put` answered. */
weft_err wf_trie_build_add(struct wf_trie_build *build, uint64_t gen, const weft_id *id);
/* Puts what is left, the top last. `root`: the digest, as wf_store_trie_root gives it.
 * Without any entry nothing was put and the root is zero. */
weft_err wf_trie_build_end(struct wf_trie_build *build, uint8_t root[32]);
size_t wf_trie_build_bytes(void);                        /* of memory, each */
void wf_trie_build_destroy(struct wf_trie_build *build); /* NULL is fine */

/* -- The writer's way in: one subtree after another with the same builder -------------------- */

/* What was begun is forgotten. All keys to come share their first `base` digits. */
void wf_trie_build_begin(struct wf_trie_build *build, uint64_t t, unsigned base);
/* Puts what is left, but no top. `out`: what lies below the prefix. */
weft_err wf_trie_build_finish(struct wf_trie_build *build, struct wf_trie_slot *out);
/* Is told of each bucket as it is closed; `keys` end with the call. */
typedef void wf_trie_bucket(void *arg, const struct wf_trie_prefix *prefix,
                            const struct wf_trie_key *keys, unsigned count);
void wf_trie_build_watch(struct wf_trie_build *build, wf_trie_bucket *fn);

#endif
