/* SPDX-License-Identifier: Apache-2.0
 * rights.h - who may read a tree now, in memory: what its settings say, and the list of readers.
 * Called by: the writer (makes and publishes them), trees.c (loads), any thread (asks).
 * Never: judges an entry, which policy.c does by the entry's own ancestry; reads the engine
 * when it is asked.
 *
 * The rights of now are a function of the set of the tree's settings entries: of those that count
 * (standing.h) the last writer of a grant wins, by (gen, id); but a revocation in force holds a key
 * down to what it left it, or to the most that was granted above it. While nobody was ever revoked
 * all count: each entry names the policy that holds after it, and every settings entry is a tip of
 * the store `_settings` or stands below one; so the join of those tips' policies knows all that
 * was ever said, and there are few of them. */
#ifndef WF_RIGHTS_H
#define WF_RIGHTS_H

#include "policy.h"
#include "store.h"

struct wf_tree;

struct wf_granted { /* 40 bytes of one key */
    weft_key key;
    uint32_t priority;
    uint8_t right; /* enum weft_right; NONE: revoked */
    uint8_t name_len;
};

struct wf_standing;

struct wf_rights {    /* immutable once it is made                                 */
    size_t bytes;     /* of all of it, and of what the writer keeps to make the next */
    bool revocations; /* somebody was revoked                                      */
    wf_grant everyone;
    const char *names; /* one after the other, in the order of the keys */
    uint32_t count;
    struct wf_granted by_key[]; /* ascending */
};

/* What a tree's rights are at one moment; all of it is borrowed. */
struct wf_rights_view {
    bool served;                    /* published, and followed                 */
    weft_err unknown;               /* OK: `rights` says it. Else nobody reads */
    const struct wf_rights *rights; /* NULL: no settings are here              */
    const weft_key *readers;        /* ascending */
    uint32_t readers_count;
};

/* As published; NULL: of a tree that is not there. Under the lock, or by the writer. */
struct wf_rights_view wf_rights_of(const struct wf_tree *tree);

/* The rights of tree `t` as the engine has it. *out is NULL if no settings are here; *standing if
 * nobody was revoked: else it is what the writer keeps. NO_MEMORY, IO, CORRUPT; LIMIT:
 * WEFT_RIGHTS_NODE_BYTES, WEFT_STANDING_PAIRS_MAX, WEFT_STANDING_WORDS_MAX. The writer, or whoever
 * opens the store. */
weft_err wf_rights_make(wf_store *store, uint64_t t, const weft_id *tree, struct wf_rights **out,
                        struct wf_standing **standing);
void wf_rights_destroy(struct wf_rights *rights); /* NULL is fine */

/* May the key read? `steps` counts the keys that it was compared with: as many for every tree
 * with at most 65535 grants and readers, and for one that is not served. */
bool wf_rights_read(const struct wf_rights_view *view, const weft_key *key, uint32_t *steps);
/* May somebody read by `before` who may not by `after`? */
bool wf_rights_narrow(const struct wf_rights_view *before, const struct wf_rights_view *after);

/* Trees of which somebody may read less than before, since the gate was asked last. */
struct wf_narrowed {
    uint64_t number; /* of all that were noted: each is a higher one */
    bool all;        /* more than fit */
    uint32_t count;
    weft_id trees[WEFT_GATE_TREES];
};
/* Notes that the tree is to be read by `after` from now on, if that is by fewer: for the gate.
 * Before what is published changes. The writer, or whoever opens the store. */
void wf_rights_compare(wf_store *store, const struct wf_tree *tree,
                       const struct wf_rights_view *after);
/* The writer, of the open batch that is written and not published yet: makes the rights of the
 * trees whose settings it changed, and notes of whom somebody may read less. */
void wf_rights_stage(wf_store *store);
/* Under the lock for writing: what was staged, or loaded, becomes what is asked. Takes `rights`.
 */
void wf_rights_publish(wf_store *store, struct wf_tree *tree, struct wf_rights *rights,
                       weft_err unknown);
/* Makes those that are not known, if it is time to try again. No batch is open. */
void wf_rights_retry(wf_store *store);

/* wf_store_may_read_as, counting. */
bool wf_rights_ask(wf_store *store, const weft_id *tree, const weft_key *keys, uint32_t count,
                   uint32_t *steps);

#endif
