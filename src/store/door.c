/* SPDX-License-Identifier: Apache-2.0
 * door.c - the one door: what an entry must satisfy to be stored.
 * Called by: writer.c. May touch: its arguments.
 * Never: a clock, a peer, this node's configuration, the engine. */
#include "door.h"

weft_err wf_door_tree(const weft_entry *entry, const weft_id *asked, const wf_tree_info *tree,
                      bool may_create)
{
    /* An entry of another tree than the one that was asked for is injected. */
    if (asked != NULL && !weft_id_equal(&entry->tree, asked)) return WEFT_BAD_ENTRY;
    if (tree == NULL) return entry->is_root && may_create ? WEFT_OK : WEFT_TREE;
    /* What is written here goes on while the tree is not shown to peers. */
    return tree->followed || (asked == NULL && !may_create) ? WEFT_OK : WEFT_TREE;
}

static bool height_fits(const weft_entry *entry, const struct wf_door_facts *facts)
{
    if (entry->is_root) return entry->height == 0;
    if (entry->height > WEFT_HEIGHT_MAX) return false;
    if (facts->strategy == WEFT_HEIGHT_INCREMENTAL)
        return entry->height == facts->max_height + 1; /* both are below 2^54 */
    return entry->height > facts->max_height;
}

weft_err wf_door_place(const weft_entry *entry, const struct wf_door_facts *facts)
{
    if (facts->foreign_parent || facts->stray_parent) return WEFT_BAD_ENTRY;
    if (!height_fits(entry, facts)) return WEFT_BAD_ENTRY;
    return wf_policy_allows(facts->policy, entry);
}
