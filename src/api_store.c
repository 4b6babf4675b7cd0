/* SPDX-License-Identifier: Apache-2.0
 * api_store.c - public calls that look after the store of a node.
 * Called by: users (weft/store.h). May touch: the engine, through calls that any thread may
 * make, messages to the store. Never: entries, indexes. */
#include <weft/store.h>

#include "api_async.h"
#include "stats.h"
#include "store_copy.h"

weft_err weft_store_checkpoint(weft_node *node, const char *dir)
{
    if (node == NULL || dir == NULL || dir[0] == '\0') return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_copy_checkpoint(wf_store_kv(node->table.wf_store), dir);
}

weft_err weft_store_stats_get(weft_node *node, weft_store_stats *out)
{
    if (node == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    wf_store_stats_read(node->table.wf_store, out);
    return WEFT_OK;
}

static bool may_write(const weft_node *node, char *out, size_t room)
{
    if (out != NULL && room > 0) out[0] = '\0';
    return node != NULL && (out != NULL || room == 0) && wf_node_is_ours(node) && !wf_in_actor();
}

size_t weft_store_prometheus(weft_node *node, char *out, size_t room)
{
    if (!may_write(node, out, room)) return 0;
    weft_store_stats stats;
    wf_store_stats_read(node->table.wf_store, &stats);
    return wf_store_stats_text(&stats, out, room);
}

size_t weft_store_engine_text(weft_node *node, char *out, size_t room)
{
    if (!may_write(node, out, room)) return 0;
    return wf_kv_text(wf_store_kv(node->table.wf_store), out, room);
}

/* A commit of nothing: answered when what came before it is durable. */
static weft_err make_sync(const weft_node *node, struct wf_commit **out)
{
    if (node == NULL) return WEFT_INVALID;
    *out = wf_commit_create(0);
    return *out == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

weft_err weft_store_sync(weft_node *node, weft_ns timeout)
{
    struct wf_commit *nothing;
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = make_sync(node, &nothing);
    return err != WEFT_OK ? err
                          : wf_node_call(node, node->table.store, &nothing->req, timeout, NULL);
}

weft_err weft_store_sync_async(weft_node *node, weft_on_result done, void *arg)
{
    struct wf_commit *nothing;
    weft_err err = make_sync(node, &nothing);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.store, &nothing->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}
