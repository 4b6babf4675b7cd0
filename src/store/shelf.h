/* SPDX-License-Identifier: Apache-2.0
 * shelf.h - entries that are on this disk but cannot stand yet: what a salvage found above
 * something that is lost. They are no part of their tree: nobody sees, counts or sends them.
 * Called by: salvage.c (puts them there), writer.c and unshelve.c (take them away), the sync
 * layer's match (peers need not send them). Never: judges an entry; that is the door's.
 *
 * Rows, beside those of trees, under a tree number that no tree gets:
 *   entry   ff x 8, tree, id           peer (32), epoch (16), canonical bytes
 *   child   ff x 8, tree, parent, id   (empty), one for each of its parents
 * An entry's rows come in one batch and go in the batch that stores it. */
#ifndef WF_SHELF_H
#define WF_SHELF_H

#include "store.h"

struct wf_add;
struct wf_tree;

#define WF_KEY_SHELF_BYTES (8u + 2u * WEFT_ID_BYTES)      /* of `entry` */
#define WF_KEY_SHELF_WAIT_BYTES (8u + 3u * WEFT_ID_BYTES) /* of `child` */
#define WF_SHELF_SOURCE_BYTES 48u

/* Is this key, of `entry` or `child`, one of the shelf's? */
bool wf_shelf_is_row(const uint8_t *key, size_t len);
void wf_key_shelf(uint8_t out[WF_KEY_SHELF_BYTES], const weft_id *tree, const weft_id *id);
void wf_key_shelf_wait(uint8_t out[WF_KEY_SHELF_WAIT_BYTES], const weft_id *tree,
                       const weft_id *parent, const weft_id *id);

/* A row of `entry`. bytes points into the value. */
struct wf_shelved {
    weft_id tree, id;
    wf_source source;
    const uint8_t *bytes;
    uint32_t len;
};
/* CORRUPT: it is none, or the bytes are not those of its id. */
weft_err wf_shelf_read(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
                       struct wf_shelved *out);
/* Its rows, into a batch. `entry` is room to decode it, `parents` for
 * WEFT_SHELF_PARENTS_MAX. LIMIT: it names more of them. SYNTAX..: as wf_entry_parse. */
weft_err wf_shelf_rows(wf_batch *batch, const struct wf_shelved *item, weft_entry *entry,
                       weft_id *parents);

/* -- Of an open store --------------------------------------------------------------------- */

/* Puts an entry there, in the open batch: add->bytes, add->id and add->source, verified by the
 * caller. LIMIT, NO_MEMORY. */
weft_err wf_shelf_put(wf_store *store, const struct wf_add *add);
/* Is anything there at all? */
weft_err wf_shelf_any(wf_store *store, bool *out);
/* Entries of a tree that are there. What cannot be read is not counted. IO, NO_MEMORY. */
weft_err wf_shelf_count(wf_store *store, const weft_id *tree, uint64_t *out);
/* The writer stores this entry, from wherever: if it is on the shelf, it leaves that with the
 * same batch. IO, NO_MEMORY. */
weft_err wf_shelf_leave(wf_store *store, struct wf_tree *tree, const weft_id *id,
                        const weft_id *parents, uint32_t parents_count);
/* Takes away what is of no use, in the open batch, which is to be written before anything else is
 * asked of the shelf. IO, NO_MEMORY. */
weft_err wf_shelf_drop(wf_store *store, struct wf_tree *tree, const weft_id *id);
/* The tree is removed with the open batch: so is all of it that is there. What cannot be read
 * stays. IO, NO_MEMORY. */
weft_err wf_shelf_clear(wf_store *store, const weft_id *tree);
/* Puts an entry of the shelf through the door. As wf_writer_add; NOT_FOUND: it is not there;
 * BAD_ID: its bytes are damaged. */
weft_err wf_shelf_try(wf_store *store, const weft_id *tree, const weft_id *id, uint64_t now,
                      struct wf_add *add);

/* Where a walk over the shelf goes on; zero: at the beginning. */
struct wf_shelf_at {
    uint8_t key[WF_KEY_SHELF_WAIT_BYTES];
    bool begun;
};
/* Calls fn for entries of `tree` that wait for `parent` (NULL: for any; then once for each of its
 * parents), for at most `most` rows. AGAIN: there are more. What fn says if it is not OK; IO,
 * CORRUPT, NO_MEMORY. Any thread. */
weft_err wf_shelf_each(wf_store *store, const weft_id *tree, const weft_id *parent,
                       struct wf_shelf_at *at, uint32_t most,
                       weft_err (*fn)(void *arg, const weft_id *id), void *arg);

#endif
