/* SPDX-License-Identifier: Apache-2.0
 * standing_read.c - all that the settings of a tree say, read by their list; and whether one entry
 * counts.
 * Called by: rights_make.c, weft.c's callers through store.h. May touch: the store, reading.
 * Never: keeps anything of the engine between two calls. */
#include "alloc.h"
#include "entry.h"
#include "standing.h"
#include "state.h"

/* A body that is damaged says what its policy remembers of it. */
static weft_err take_in(struct wf_standing *s, const wf_place *place, weft_entry *room)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get_at(s->store, s->t, place, &buf);
    if (err == WEFT_OK && wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), room) != WEFT_OK)
        err = WEFT_CORRUPT;
    if (err == WEFT_OK) err = wf_standing_take_in(s, place, room);
    else if (err == WEFT_CORRUPT) err = wf_standing_take_in_unread(s, place);
    weft_buf_unref(buf);
    return err;
}

weft_err wf_standing_read(struct wf_standing *s, uint64_t upto)
{
    wf_gen_walk *walk = NULL;
    weft_entry *room = wf_malloc(sizeof *room);
    if (room == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_gen_walk_create_named(s->store, s->t, WF_SETTINGS_NAME, false, 0, NULL,
                                            &walk);
    while (err == WEFT_OK) {
        wf_place place;
        err = wf_gen_walk_next(walk, &place);
        if (err == WEFT_OK && place.seq <= upto) err = take_in(s, &place, room);
    }
    if (err == WEFT_END && walk != NULL) err = WEFT_OK;
    wf_gen_walk_destroy(walk);
    wf_free(room);
    return err;
}

/* -- One entry -------------------------------------------------------------------------------- */

/* In a tree of which somebody was revoked. */
static weft_err judge(wf_store *store, const wf_meta *meta, const weft_id *id, bool settings,
                      bool *out)
{
    wf_tree_info info;
    struct wf_standing *s = NULL;
    const wf_place place = {meta->gen, meta->seq, *id};
    uint64_t left = UINT64_MAX;
    bool changed, is_out = false;
    weft_err err = wf_store_tree_by_number(store, meta->t, &info);
    if (err == WEFT_OK) err = wf_standing_create(store, meta->t, &info.tree, &s);
    if (err == WEFT_OK) err = wf_standing_read(s, info.seq);
    if (err == WEFT_OK) err = wf_standing_settle(s, &changed);
    if (err == WEFT_OK)
        err = wf_standing_leaves_out(s, &place, &meta->author, settings, &left, &is_out);
    wf_standing_destroy(s);
    if (err == WEFT_OK) *out = !is_out;
    return err;
}

weft_err wf_store_counts(wf_store *store, const weft_id *id, bool *out)
{
    bool settings = false;
    wf_meta *meta = wf_malloc(sizeof *meta);
    if (meta == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_store_meta(store, id, meta);
    if (err == WEFT_OK)
        err = wf_store_writes(store, id, WF_SETTINGS_NAME, sizeof WF_SETTINGS_NAME - 1, &settings);
    if (err != WEFT_OK) goto done;
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, meta->t);
    const bool all = tree != NULL && tree->rights_err == WEFT_OK &&
                     (tree->rights == NULL || !tree->rights->revocations);
    wf_rwlock_give(store->lock);
    if (all) *out = true;
    else err = judge(store, meta, id, settings, out);
done:
    wf_free(meta);
    return err;
}
