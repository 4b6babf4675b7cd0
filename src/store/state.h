/* SPDX-License-Identifier: Apache-2.0
 * state.h - what an open store holds in memory, and which thread may touch it.
 * Called by: the rooms of the store (trees, find, walk, writer, check).
 * Never: included by anybody outside the store layer. */
#ifndef WF_STATE_H
#define WF_STATE_H

#include "briefs.h"
#include "dom_cache.h"
#include "layout.h"
#include "lock.h"
#include "places.h"
#include "policies.h"
#include "rights.h"
#include "sketch.h"
#include "store_actor.h"
#include "tips.h"

enum wf_tree_life {
    WF_TREE_LIVES,
    WF_TREE_GOING, /* it was removed, and some of its rows may be there yet */
    WF_TREE_GONE,  /* and they are not                                      */
    WF_TREE_FREE   /* nor were they when the store was opened: nobody here knows the number, and a
                    * new tree may have it */
};

struct wf_tree {
    /* Any thread, under store->lock. */
    enum wf_tree_life life; /* not LIVES: pub.t is 0, and the index does not have it */
    wf_tree_info pub;       /* as last published; pub.t is 0 before the first time */
    weft_key *readers;      /* ascending */
    uint32_t readers_count;
    struct wf_rights *rights;     /* by its settings; NULL: none are here          */
    weft_err rights_err;          /* not OK: they are not known, so nobody may read */
    struct wf_trie_slot trie_pub; /* of the entries of `pub` */
    uint64_t published;           /* the number of the batch that it grew by last */
    uint64_t mid_seq, mid_batch;  /* pub.seq as the sync under way found it, after that batch; 0: */
    uint64_t durable_seq;         /* as the disk had it before: that of the two may still be lost */
    uint64_t digest_seq;          /* of the cached root digest; UINT64_MAX: none */
    uint8_t digest[32];
    /* The writer alone; now.tree and now.t never change and may be read by anyone. */
    wf_tree_info now;             /* with what the open batch holds */
    struct wf_trie_slot trie_now; /* the same, once the batch is being written */
    bool touched;                 /* the open batch has to write its counts */
    bool record_touched;          /* and its record */
    bool removed;                 /* no: it removes the tree, and has nothing else of it */
    bool reused;                  /* it gives the tree a number that was free            */
    bool stuck;                   /* some of what is left of it cannot be read: removal.h */
    bool readers_touched;         /* and `staged` takes the place of `readers` */
    weft_key *staged;
    uint32_t staged_count;
    bool settings_touched;           /* the open batch has an entry of its settings   */
    struct wf_rights *rights_staged; /* made when that is written, not published yet */
    struct wf_standing *standing;    /* with that; NULL: nobody was revoked, or it is not read */
    weft_err staged_err;
    struct wf_sketch *sketch; /* with what the open batch holds; NULL: not read yet */
    bool sketch_changed;
    bool unmarked; /* something was dropped from its shelf that who leans on it passed over */
    struct wf_dom_tail *dom; /* what the open batch adds: dom_write.c. NULL: nothing */
};

struct wf_trees {
    struct wf_tree **list; /* by local number, from 1: list[t - 1] */
    uint32_t count, room;
    uint32_t *index; /* open addressing by id; local numbers, 0: empty */
    uint32_t index_room;
    uint32_t free, free_at; /* numbers that are; below free_at there is none */
    uint32_t reused;        /* by the open batch                             */
};

/* An entry that the open batch adds. */
struct wf_fresh {
    weft_id id;
    uint64_t t, seq, gen;
    wf_source source;
    bool tip;       /* nothing in the batch follows it                       */
    uint64_t named; /* bit i: it is a tip of the i-th store that it writes   */
    uint32_t names; /* where those stores' names lie in the writer's arena   */
    uint32_t names_len;
    weft_buf *holder; /* counted; keeps bytes                                */
    const uint8_t *bytes;
    uint32_t len;
    uint64_t taken_ns;
    bool shelved; /* it comes from the shelf */
};

struct wf_store {
    wf_kv *kv;
    weft_rt *rt;
    uint32_t format;     /* an older one than WF_FORMAT_VERSION: the engine only reads */
    wf_counter made;     /* odd while what is made of the entries is made again: remake.h */
    wf_counter made_bad; /* times that a reader found it damaged                        */
    wf_counter base_bad; /* and facts, orders, children or tips: mend.h                 */
    weft_addr *noted_to; /* under the lock: who hears of it, counted; NULL: nobody      */
    weft_msg *noted;     /* and by what; NULL: it is on its way, or with that one       */
    wf_rwlock *lock;     /* guards trees (the table and the parts named above) */
    struct wf_trees trees;
    uint64_t published, durable; /* batches, under the lock: the last, and the last synced */
    uint64_t sync_mark;  /* the last batch that the sync under way finds. The writer alone */
    struct wf_tips tips; /* under the lock: tips.h */
    wf_counter removed;  /* trees that were, since ever                      */
    bool has_removed;    /* the format record says so. The writer alone      */
    struct {
        wf_counter batches, synced, entries, known, refused, pending_now, pending_bytes, write_ns;
        wf_counter healed, outages, commits, synced_commits, sync_ns;
        wf_counter writer_bytes; /* what the writer keeps in memory, as of its last batch */
        wf_counter readers;      /* keys of all trees' readers                            */
        wf_counter rights;       /* bytes of all trees' rights                            */
        wf_counter mended;       /* rows of indexes that were put right: mend.h               */
        wf_counter shelved;      /* entries on the shelf, and those that have left it: shelf.h */
        wf_counter unshelved;
    } counters;
    struct wf_damage *damage; /* any thread: damage.h */
    struct wf_places places;  /* any thread: places.h */
    /* The writer alone. */
    wf_batch *batch; /* the open batch; empty: none is open */
    weft_err poison; /* why the open batch cannot be written any more */
    struct wf_briefs briefs;
    struct wf_policies policies;
    struct wf_fresh *fresh;
    uint32_t fresh_count, fresh_room;
    uint8_t *arena; /* names of the stores that fresh entries write */
    uint32_t arena_len, arena_room;
    uint32_t *touched; /* local numbers, in the order of first touch */
    uint32_t touched_count, touched_room;
    uint32_t trees_before;    /* trees.count when the batch was opened */
    weft_id *parents;         /* room for the union of one entry's parents */
    weft_entry *entry;        /* room for one decoded entry: too large for a stack */
    uint8_t *scratch;         /* room for one `meta` value */
    struct wf_trie *trie;     /* NULL: nothing was added yet */
    struct wf_dom_cache doms; /* pages of dominators, as they were written */
    uint32_t sketches_kept;
    bool has_shelf;              /* as of the last opening: trees may have entries there */
    uint64_t settings_taken;     /* entries of settings, over all                          */
    struct wf_narrowed narrowed; /* by what is published                                   */
    uint32_t pairs_max;          /* WEFT_STANDING_PAIRS_MAX; tests choose a smaller one    */
    uint32_t rights_unknown;     /* trees of which they are not known                      */
    weft_ns rights_retry;        /* when those are made again at the soonest               */
    /* What the store actor holds. It frees it itself when it ends, but an actor that a
     * simulated kill took away cannot: then whoever frees the store calls desk_free. */
    struct wf_desk *desk;
    void (*desk_free)(struct wf_desk *desk);
};

/* trees.c. Under the lock, or by the writer. NULL: unknown. */
struct wf_tree *wf_trees_find(const struct wf_trees *trees, const weft_id *id);
struct wf_tree *wf_trees_at(const struct wf_trees *trees, uint64_t t);
/* The writer: a tree that nobody sees until it is published. LIMIT, NO_MEMORY. */
weft_err wf_trees_add(wf_store *store, const weft_id *id, struct wf_tree **out);
/* The writer, as the batch ends: the trees that it made stay, or are forgotten, if it failed. */
void wf_trees_keep(wf_store *store);
void wf_trees_cut(wf_store *store);
weft_err wf_trees_load(wf_store *store);
/* At the end of an opening: numbers of which nothing is left may be given again. Not later: views,
 * walks, feeds and streams keep the number of their tree, and ask by it whether that is removed. */
void wf_trees_free_gone(wf_store *store);
uint32_t wf_trees_room(const struct wf_trees *trees); /* so many more there may be */
/* The writer, after wf_kv_reopen and with no batch open: takes what the engine has for the
 * state. CORRUPT: something that was published is gone. IO, NO_MEMORY: to be tried again. */
weft_err wf_store_reload(wf_store *store);
/* The writer: all batches up to number `mark` are durable now. */
void wf_store_settle(wf_store *store, uint64_t mark);
/* The arrivals of a tree up to this one are durable. Under the lock, or by the writer. */
uint64_t wf_tree_durable(const wf_store *store, const struct wf_tree *tree);
void wf_trees_fini(struct wf_trees *trees);
/* Lets go in memory of all of a tree that was removed. Under the lock for writing. */
void wf_tree_let_go(wf_store *store, struct wf_tree *tree, enum wf_tree_life life);
/* find.c. The counts of a tree as they stand in one snapshot, into `info`. */
weft_err wf_counts_at(wf_store *store, const wf_kv_snapshot *snap, wf_tree_info *info);

/* find.c. The tips of a tree, or of a store in it, as they are published, with the tree's facts
 * of that moment; *out is the caller's to free. NOT_FOUND: they are not kept in memory. */
weft_err wf_store_kept_tips(wf_store *store, uint64_t t, const char *name, size_t name_len,
                            weft_id **out, uint32_t *count, wf_tree_info *info);

#endif
