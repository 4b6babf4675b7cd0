/* SPDX-License-Identifier: Apache-2.0
 * access.h - may this peer read this tree? The one place where the layer asks.
 * Called by: reader, queue, engine, join_judge.c. May touch: the rights and the keyring, in memory.
 * Never: the disk; an answer that tells an unknown tree from a forbidden one. */
#ifndef WF_ACCESS_H
#define WF_ACCESS_H

#include "nodes.h"

/* True if the tree is followed here and its rights let `peer` read it, by the key of its device
 * or by one that it has proven on its connections. Asked before each frame that tells of the
 * tree; memory only, any thread. */
bool wf_access_may_read(const struct wf_node_table *table, const weft_id *tree,
                        const weft_key *peer);
/* Does a grant, or the list of readers, name one of these keys? Else only everyone's right lets it
 * read, which is also that of all strangers. */
bool wf_access_is_named(const struct wf_node_table *table, const weft_id *tree,
                        const weft_key *peer);
/* The same as the first of one key, whoever holds it. */
bool wf_access_may_key_read(const struct wf_node_table *table, const weft_id *tree,
                            const weft_key *key);

#endif
