/* SPDX-License-Identifier: Apache-2.0
 * weft/dag.h - questions about the history of one tree: orders, cuts, reachability.
 *
 * A weft_dag is a fixed view: what arrives after it was opened does not show. It and its
 * iterators belong to one thread at a time and hold nothing of the engine between calls,
 * so they may live long; close them before the node. All calls read on the caller's
 * thread and block on the disk: from inside an actor they answer DEADLK. Beside the
 * errors named below each may answer NO_MEMORY, IO and CORRUPT.
 *
 * The order is (height, id), in which parents come first and which is the same on every
 * replica. Heights are those of the entries; what an entry claims for one of its stores
 * is not looked at. */
#ifndef WEFT_DAG_H
#define WEFT_DAG_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_dag weft_dag;
typedef struct weft_iter weft_iter;

/* Some entries, in any order; repeats do no harm. At most WEFT_DAG_CUT_MAX: LIMIT. */
typedef struct weft_cut {
    const weft_id *ids;
    uint32_t count;
} weft_cut;

/* Where an entry stands. */
typedef struct weft_position {
    weft_id id;
    uint64_t gen;    /* edges of the longest way down to the root */
    uint64_t height; /* by the tree's strategy                    */
    uint64_t seq;    /* number of its arrival here                */
} weft_position;

/* Opens a view of the tree as it is now. `store` NULL: every entry, and the edges are tree
 * and store parents together. Otherwise the entries that write this store, and the edges
 * are their parents in it; without a common first entry all begin on the empty base.
 * Everything else is as if it did not exist: NOT_FOUND. Closing takes NULL too; iterators
 * may outlive it. TREE: no such tree is here. LIMIT: a store with more than WEFT_DAG_TIPS_MAX
 * tips. One read of a tree, however many tips it has. */
weft_err weft_dag_open(weft_node *node, const weft_id *tree, const char *store, weft_dag **out);
void weft_dag_close(weft_dag *dag);

/* About so many index reads may one call do from now on, but for one read of each entry
 * that it names; 0, as at first: as many as it takes. A call that used them up answers
 * AGAIN; repeated, it goes on from there. For weft_iter_next, weft_dag_reaches and
 * weft_dag_merge_base. */
void weft_dag_budget(weft_dag *dag, uint64_t reads);

/* Where the entry stands. NOT_FOUND; TREE: it belongs to another tree. */
weft_err weft_dag_place(weft_dag *dag, const weft_id *id, weft_position *out);

/* Each of these opens an iterator: close it with weft_iter_close. NOT_FOUND, TREE (of an
 * entry that is named), LIMIT. */
weft_err weft_dag_parents(weft_dag *dag, const weft_id *id, weft_iter **out); /* in order    */
/* What nothing here follows, by id. Reads the tips, and what the tree has grown by since the
 * view was opened. LIMIT: more than WEFT_DAG_TIPS_MAX. */
weft_err weft_dag_tips(weft_dag *dag, weft_iter **out);
weft_err weft_dag_all(weft_dag *dag, weft_iter **out); /* in order. Costs the same per entry */
/* The cut and all its ancestors, in order. Reads what is not below it if that is at most
 * WEFT_DAG_APART_MAX entries, else what is; and the tree's index up to the cut's heights. */
weft_err weft_dag_below(weft_dag *dag, const weft_cut *cut, weft_iter **out);
/* What is at or below `to` and not at or below `from`, in order. Reads about twice the
 * smaller of: the entries from the newest down to the lowest of the difference; those that
 * arrived outside `from`'s ancestry. Nothing else, however long the history is. */
weft_err weft_dag_between(weft_dag *dag, const weft_cut *from, const weft_cut *to, weft_iter **out);

/* What is above `base` and at or below the cut, in order, on every side: an entry shows if
 * some way down from the cut passes it and comes to `base`, which itself does not show.
 * `base` NULL: the empty base, on which all histories begin. Nothing if no way comes to it.
 * Reads twice the entries above the base's gen; if those are too many to keep, what is
 * below the cut. */
weft_err weft_dag_path(weft_dag *dag, const weft_id *base, const weft_cut *to, weft_iter **out);
/* The tips as they were at a past cut: the entries of the view at or below the cut that
 * none of them follows, in order. The cut may name any entries of the tree, also in a view
 * of a store. Of a tree it reads the entries down to the lowest of the cut; of a store the
 * smaller of: what is below the cut, and what is not with all children of what that hangs
 * on. weft_iter_next answers LIMIT for more than WEFT_DAG_TIPS_MAX. */
weft_err weft_dag_tips_at(weft_dag *dag, const weft_cut *cut, weft_iter **out);

/* The nearest entry that every way down from every entry of the cut passes: the common
 * dominator, which may lie deeper than the nearest common ancestor. Of one entry it is that
 * entry. INVALID: an empty cut. NOT_FOUND: there is none, because a store begins more than
 * once and the base is the empty one; or an entry that is named is not here, which
 * weft_dag_place tells apart. Reads each entry of the cut, and for each at most about seven
 * times as many records as the number of entries that all its ways down pass has binary digits.
 * TREE, LIMIT (WEFT_DAG_CUT_MAX), AGAIN (budget; repeated with the same cut it goes on). */
weft_err weft_dag_merge_base(weft_dag *dag, const weft_cut *cut, weft_id *out);

typedef enum weft_reach {
    WEFT_REACH_YES,
    WEFT_REACH_NO,
    WEFT_REACH_UNKNOWN /* entries that are named are not here */
} weft_reach;
/* Is every target at or below `from`? No targets: YES; else none in `from`: NO; else, if
 * any that is named is not here: UNKNOWN, and `missing` (may be NULL) holds their ids,
 * ascending; *count (NULL only with it) in: room, out: how many there are, which may be
 * more. Looks only at gens between those of the targets and those of `from`. TREE, AGAIN
 * (budget; repeated with the same cuts it goes on). */
weft_err weft_dag_reaches(weft_dag *dag, const weft_cut *from, const weft_cut *targets,
                          weft_reach *out, weft_id *missing, size_t *count);

/* The next entry. END; AGAIN: the budget is used up, ask again. LIMIT: the walk would need
 * more memory than the bounds in limits.h give it. A failure and LIMIT end an iterator:
 * every later call answers the same. */
weft_err weft_iter_next(weft_iter *it, weft_position *out);
/* The bytes of the entry that weft_iter_next gave last, a new reference. INVALID: none yet.
 * CORRUPT: damaged; the iterator goes on. */
weft_err weft_iter_entry(weft_iter *it, weft_buf **out);
void weft_iter_close(weft_iter *it); /* NULL is fine */

/* Commits `payload` to the named store above exactly these entries, whatever the newest tips
 * are; its parents in the store are the store's tips as of them, or if an entry may not name
 * so many, the highest. Durable when it returns OK. Where heights are incremental, the same
 * payload above the same parents is the same entry, stored once. Any thread; `author` is
 * borrowed. INVALID: no parents. NOT_FOUND: one is not here. TREE. LIMIT: more than
 * WEFT_ENTRY_PARENTS_MAX of them. Otherwise it answers what weft_commit does. */
weft_err weft_commit_at(weft_node *node, const weft_keypair *author, const weft_id *tree,
                        const weft_cut *parents, const char *store, const void *payload, size_t len,
                        weft_ns timeout, weft_id *out_id);

/* The roots of all trees that have one here, by id. */
weft_err weft_roots(weft_node *node, weft_iter **out);

#ifdef __cplusplus
}
#endif
#endif
