/* SPDX-License-Identifier: Apache-2.0
 * door.h - the one door: what an entry must satisfy to be stored.
 * Called by: writer.c, for entries from peers and from here alike.
 * Never: a clock, a peer, this node's configuration, the engine: all honest nodes
 * come to the same answer about every entry.
 *
 * Size, structure, id and signature were judged before (weft_entry_decode and
 * weft_entry_verify, by the verify actor or by the builder). The rest follows in this
 * order: tree, parents stored, parents of the right tree and stores, height, author. */
#ifndef WF_DOOR_H
#define WF_DOOR_H

#include "policy.h"
#include "store.h"

/* What the store knows of an entry's parents, when all of them are stored. */
struct wf_door_facts {
    weft_height strategy;
    uint64_t max_height;     /* of the parents                                     */
    bool foreign_parent;     /* one belongs to another tree                        */
    bool stray_parent;       /* one does not write the store that it is named for  */
    const wf_policy *policy; /* the join of the parents' policies              */
};

/* Is the entry for `tree`, and is that one known and followed? NULL: unknown. A root
 * opens a tree that is followed and has none, or a new one if `may_create`. What was made here
 * (`asked` NULL) and creates nothing needs no more than a known tree. TREE,
 * BAD_ENTRY (`asked`, if not NULL, is another tree). */
weft_err wf_door_tree(const weft_entry *entry, const weft_id *asked, const wf_tree_info *tree,
                      bool may_create);
/* Everything that needs the parents. BAD_ENTRY, FORBIDDEN. */
weft_err wf_door_place(const weft_entry *entry, const struct wf_door_facts *facts);

#endif
