/* SPDX-License-Identifier: Apache-2.0
 * api_store.c - public calls that look after the store of a node.
 * Called by: users (weft/store.h). May touch: the engine, through calls that any thread may
 * make. Never: entries, indexes. */
#include <weft/store.h>

#include "kv_rocksdb_copy.h"
#include "node_internal.h"

weft_err weft_store_checkpoint(weft_node *node, const char *dir)
{
    if (node == NULL || dir == NULL || dir[0] == '\0') return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_copy_checkpoint(wf_store_kv(node->table.wf_store), dir);
}
