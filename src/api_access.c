/* SPDX-License-Identifier: Apache-2.0
 * api_access.c - public calls about who may do what (weft/access.h).
 * Called by: users. May touch: messages to the actors, the node's identities.
 * Never: decides about a right. */
#include <weft/access.h>

#include "identities.h"
#include "node_internal.h"

weft_err weft_tree_use_key(weft_node *node, const weft_id *tree, const weft_keypair *user)
{
    if (node == NULL || tree == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_msg *changed = weft_new(&wf_identity_kind);
    if (changed == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_identities_set(node->table.identities, tree, user);
    if (err == WEFT_OK) err = weft_send(node->table.sync, changed);
    if (err != WEFT_OK) weft_drop(changed);
    return err;
}
