/* SPDX-License-Identifier: Apache-2.0
 * evidence.h - the bytes that a node left behind: its store on disk, or what a node in
 * memory wrote down before it ended. */
#ifndef STRESS_EVIDENCE_H
#define STRESS_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/id.h>

struct evidence; /* opaque */

/* Opens what node `index` left in `dir`. OK, or why not (CORRUPT, NOT_STORE, IO ...). */
weft_err evidence_open(const char *dir, uint32_t index, bool memory_store, struct evidence **out);
void evidence_close(struct evidence *ev); /* NULL is fine */
/* Calls fn for every stored entry. `key` is the id under which it is stored; NULL where
 * entries are stored without one. Bytes are valid during the call. */
weft_err evidence_each(struct evidence *ev,
                       weft_err (*fn)(void *arg, const weft_id *key, const uint8_t *bytes,
                                      size_t len),
                       void *arg);
/* Calls fn for every tip of the tree that the store's index names. UNSUPPORTED: there
 * is no index. */
weft_err evidence_tips(struct evidence *ev, weft_err (*fn)(void *arg, const weft_id *tip),
                       void *arg);
/* Calls fn for every record of an index, in the order of their keys. UNSUPPORTED: there
 * are no indexes. */
enum evidence_family { EVIDENCE_META, EVIDENCE_GEN, EVIDENCE_ARR, EVIDENCE_CHILD, EVIDENCE_TIP };
weft_err evidence_scan(struct evidence *ev, enum evidence_family family,
                       weft_err (*fn)(void *arg, const uint8_t *key, size_t key_len,
                                      const uint8_t *value, size_t len),
                       void *arg);
/* Deletes the bytes of one entry, as a broken store would: the indexes still name it. */
weft_err evidence_lose(const char *dir, uint32_t index, bool memory_store, const weft_id *id);

/* Makes the store say that a later version wrote it. */
weft_err evidence_age(const char *dir, uint32_t index);
/* Where the store of a node is; free the text. */
char *evidence_store_path(const char *dir, uint32_t index);

#endif
