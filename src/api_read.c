/* SPDX-License-Identifier: Apache-2.0
 * api_read.c - reads of the store for who may not wait for the disk: asked of the reader, told on the
 * notify thread.
 * Called by: users (weft/node.h, weft/access.h). May touch: messages to the reader; the store, in
 * what the reader runs.
 * Never: walks; what takes long is read on the thread of who wants it. */
#include <weft/access.h>

#include "alloc.h"
#include "api_async.h"
#include "reader.h"

enum { TREES_FIRST = 64 };

static weft_err begin(weft_node *node, weft_err (*run)(wf_store *store, struct wf_read *read),
                      const weft_id *id, const weft_key *key, wf_api_tell tell, wf_api_done done,
                      void *arg)
{
    if (node == NULL) return WEFT_INVALID;
    struct wf_read *read = wf_read_create(run);
    if (read == NULL) return WEFT_NO_MEMORY;
    if (id != NULL) read->id = *id;
    if (key != NULL) read->key = *key;
    return wf_api_later(node, node->table.reader, &read->req, WEFT_NEVER, tell, done, arg);
}

/* Room for so many, and what is there already goes. */
static weft_err make_room(struct wf_read *read, size_t count, size_t size)
{
    wf_free(read->list);
    read->list = wf_calloc(count + 1, size);
    return read->list == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

static void tell_ids(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_read *read = (const struct wf_read *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_ids)done)(arg, err, ok ? read->list : NULL, ok ? read->count : 0);
}

/* -- Trees ------------------------------------------------------------------------------ */

static weft_err read_info(wf_store *store, struct wf_read *read)
{
    weft_err err = make_room(read, 1, sizeof(weft_tree_info));
    return err != WEFT_OK ? err : wf_api_tree_info(store, &read->id, read->list);
}

static void tell_info(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_read *read = (const struct wf_read *)request;
    ((weft_on_tree_info)done)(arg, err, err == WEFT_OK ? read->list : NULL);
}

weft_err weft_tree_info_get_async(weft_node *node, const weft_id *tree, weft_on_tree_info done,
                                  void *arg)
{
    if (tree == NULL) return WEFT_INVALID;
    return begin(node, read_info, tree, NULL, tell_info, (wf_api_done)done, arg);
}

static weft_err read_trees(wf_store *store, struct wf_read *read)
{
    wf_tree_info *infos = NULL;
    size_t got = 0;
    weft_err err = WEFT_LIMIT;
    for (size_t room = TREES_FIRST; err == WEFT_LIMIT; room *= 4) {
        wf_free(infos);
        infos = wf_malloc(room * sizeof *infos);
        if (infos == NULL) return WEFT_NO_MEMORY;
        got = room;
        err = wf_store_trees(store, infos, &got);
    }
    if (err == WEFT_OK) err = make_room(read, got, sizeof(weft_id));
    for (size_t i = 0; err == WEFT_OK && i < got; i++)
        ((weft_id *)read->list)[read->count++] = infos[i].tree;
    wf_free(infos);
    return err;
}

weft_err weft_tree_list_async(weft_node *node, weft_on_ids done, void *arg)
{
    return begin(node, read_trees, NULL, NULL, tell_ids, (wf_api_done)done, arg);
}

/* More may come while we look; then there is to be room for twice as many. */
static weft_err read_tips(wf_store *store, struct wf_read *read)
{
    wf_tree_info info;
    bool complete = false;
    weft_err err = wf_store_tree(store, &read->id, &info);
    if (err == WEFT_OK && info.tips > WEFT_IDS_PER_MESSAGE_MAX) err = WEFT_LIMIT;
    size_t room = err != WEFT_OK || info.tips < TREES_FIRST ? TREES_FIRST : (size_t)info.tips;
    while (err == WEFT_OK && !complete) {
        if (room > WEFT_IDS_PER_MESSAGE_MAX) return WEFT_LIMIT;
        err = make_room(read, room, sizeof(weft_id));
        if (err == WEFT_OK)
            err = wf_store_tips(store, info.t, read->list, room, &read->count, &complete);
        room *= 2;
    }
    return err;
}

weft_err weft_tree_tips_async(weft_node *node, const weft_id *tree, weft_on_ids done, void *arg)
{
    if (tree == NULL) return WEFT_INVALID;
    return begin(node, read_tips, tree, NULL, tell_ids, (wf_api_done)done, arg);
}

/* -- Entries ---------------------------------------------------------------------------- */

static weft_err read_entry(wf_store *store, struct wf_read *read)
{
    return wf_store_get(store, &read->id, &read->buf);
}

static void tell_entry(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_read *read = (const struct wf_read *)request;
    ((weft_on_entry)done)(arg, err, err == WEFT_OK ? read->buf : NULL);
}

weft_err weft_get_async(weft_node *node, const weft_id *id, weft_on_entry done, void *arg)
{
    if (id == NULL) return WEFT_INVALID;
    return begin(node, read_entry, id, NULL, tell_entry, (wf_api_done)done, arg);
}

/* -- Rights ----------------------------------------------------------------------------- */

static weft_err read_grants(wf_store *store, struct wf_read *read)
{
    weft_err err = WEFT_LIMIT;
    for (size_t room = TREES_FIRST; err == WEFT_LIMIT; room = read->count) { /* it says how many */
        err = make_room(read, room, sizeof(weft_grant));
        if (err != WEFT_OK) return err;
        read->count = room;
        err = wf_store_grants(store, &read->id, read->list, &read->count);
    }
    return err;
}

static void tell_grants(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_read *read = (const struct wf_read *)request;
    bool ok = err == WEFT_OK;
    ((weft_on_grants)done)(arg, err, ok ? read->list : NULL, ok ? read->count : 0);
}

weft_err weft_grant_list_async(weft_node *node, const weft_id *tree, weft_on_grants done, void *arg)
{
    if (tree == NULL) return WEFT_INVALID;
    return begin(node, read_grants, tree, NULL, tell_grants, (wf_api_done)done, arg);
}

static weft_err read_right(wf_store *store, struct wf_read *read)
{
    weft_err err = make_room(read, 1, sizeof(struct wf_right_now));
    return err != WEFT_OK ? err : wf_store_right(store, &read->id, &read->key, read->list);
}

static void tell_right(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    static const struct wf_right_now none = {.right = WEFT_RIGHT_NONE};
    const struct wf_right_now *now = err == WEFT_OK ? ((const struct wf_read *)request)->list
                                                    : &none;
    ((weft_on_right)done)(arg, err, now->right, now->priority);
}

weft_err weft_right_of_async(weft_node *node, const weft_id *tree, const weft_key *key,
                             weft_on_right done, void *arg)
{
    if (tree == NULL || key == NULL) return WEFT_INVALID;
    return begin(node, read_right, tree, key, tell_right, (wf_api_done)done, arg);
}
