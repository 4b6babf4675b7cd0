/* SPDX-License-Identifier: Apache-2.0
 * plan.h - facts about our copy of a tree for a peer, and how to serve it.
 * Called by: look.c, the reader's jobs. May touch: the store, reading.
 * Never: sends, keeps anything. */
#ifndef WF_PLAN_H
#define WF_PLAN_H

#include "nodes.h"
#include "wire.h"

/* As many tips as a summary has bytes for. */
#define WF_PLAN_TIPS_MAX (WEFT_OPEN_TIPS_MAX * WEFT_ID_BYTES / 8u)

/* OK if the tree is followed here and `peer` may read it; else TREE, after the same
 * look-ups. */
weft_err wf_plan_authorise(const struct wf_node_table *table, const weft_id *tree,
                           const weft_key *peer, wf_tree_info *out);

/* Ours, with full tips; our cursor into `peer` unless `exact`. *info is what it was
 * made from. `lean`: if anything is on the shelf (shelf.h) the peer is to list what it has. */
weft_err wf_plan_summary(wf_store *store, uint64_t t, const weft_key *peer, bool exact, bool lean,
                         struct wf_summary *out, wf_tree_info *info);

/* Which of a summary's tips are stored in tree `t` (bit i: mask 1 << (i % 8) of byte
 * i / 8), and their ids; `room` for both is WF_PLAN_TIPS_MAX. A short id that fits
 * several entries counts as unknown. *all: every one, and the list is complete. */
struct wf_plan_tips {
    uint32_t count; /* ids found */
    bool all;
    uint8_t bits[WF_PLAN_TIPS_MAX / 8u];
    weft_id ids[WF_PLAN_TIPS_MAX];
};
weft_err wf_plan_tips(wf_store *store, uint64_t t, const struct wf_summary *theirs,
                      struct wf_plan_tips *out);

/* The cheapest plan (docs/wire.md, "Plans") to serve `peer`. `all_known` as wf_plan_tips
 * found before `ours` was read, so that what they name has seq <= ours->seq. *fits: their
 * cursor, if they have one, names an arrival of ours (not looked at when roots are equal
 * or the session is exact). */
weft_err wf_plan_choose(wf_store *store, uint64_t t, const weft_key *peer,
                        const struct wf_summary *ours, const struct wf_summary *theirs,
                        bool all_known, bool exact, bool *fits, enum wf_plan *out);

#endif
