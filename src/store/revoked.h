/* SPDX-License-Identifier: Apache-2.0
 * revoked.h - whose entries views leave out: the revocations of a tree, and the rule.
 * Called by: view_source.c. May touch: the store, reading; the heap.
 * Never: depends on the order in which entries came. One thread at a time.
 *
 * A revocation R of a key is an entry, not the root, whose settings set the key's grant to
 * `none`. An entry X of that key stays in views with R if X is R or below it; or if what was
 * said last, below X, of the key's grant was said above R, by an entry that stays itself. X stays
 * if it does with every revocation of its author that is in force. R is in force if it stays
 * itself with all those that are in force and whose authors were stronger than its own, each by
 * what is below it. Strength only grows from one to the next and what is below gets less, so
 * this is well-founded, and it speaks of the set of entries alone. */
#ifndef WF_REVOKED_H
#define WF_REVOKED_H

#include "dag_walk.h"
#include "policy.h"

struct wf_revocation {
    weft_key key, author; /* whose it is; who made it                  */
    wf_place place;
    wf_grant strength;  /* of its author, as what is below it has it   */
    bool judged;        /* has it ever been?                           */
    bool in_force, was; /* now; when it was last settled               */
    struct wf_dag *dag; /* while what is below it is being marked      */
    struct wf_dag_mark *mark;
    struct wf_dag_bits below; /* none: nobody has asked                */
    bool asked, answer;       /* is it below the entry of this stamp?  */
    wf_stamp about;
};

struct wf_revoked {
    wf_store *store;
    uint64_t t;
    weft_id tree;
    uint64_t upto;              /* all settings that arrived up to this one are in */
    bool dirty;                 /* something was added since it was settled        */
    struct wf_revocation *list; /* by key, then place, unless dirty                */
    uint32_t count, room;
    uint64_t marks_bytes;
    weft_key *met; /* ascending: whose entries, or grants under them, were judged for the view */
    uint32_t met_count, met_room;
    bool met_many; /* too many to tell */
    wf_meta *meta; /* room for one     */
    uint32_t policy_number;
    wf_policy *policy; /* the last one that was asked for */
};

weft_err wf_revoked_create(wf_store *store, uint64_t t, const weft_id *tree,
                           struct wf_revoked **out);
void wf_revoked_destroy(struct wf_revoked *revoked); /* NULL is fine */
/* The revocations of one entry, all or none: each entry once. LIMIT: there are too many.
 * CORRUPT, IO, NO_MEMORY. */
weft_err wf_revoked_take_in(struct wf_revoked *revoked, const wf_place *place,
                            const weft_entry *entry);
/* Works out which are in force. *left is what it may read; at least one step is made whatever it
 * is. AGAIN: not done. *changed: for a key that was met, others are than when it last was done. */
weft_err wf_revoked_settle(struct wf_revoked *revoked, uint64_t *left, bool *changed);
/* Does the entry stay out of views? Settle first. */
weft_err wf_revoked_leaves_out(struct wf_revoked *revoked, const wf_place *place,
                               const weft_entry *entry, uint64_t *left, bool *out);

/* -- What the history says (revoked_ways.c) -------------------------------------------------- */

/* An entry that is judged. */
struct wf_subject {
    wf_place place;
    weft_key author;
    bool settings; /* it writes them: its own are not what it stands on */
};
weft_err wf_revoked_subject(struct wf_revoked *revoked, const weft_id *settings,
                            struct wf_subject *out);
/* What was said last of `key`'s grant below the entry. *any false: nothing. */
weft_err wf_revoked_said(struct wf_revoked *revoked, const weft_id *id, bool settings,
                         const weft_key *key, bool *any, wf_stamp *out);
/* What `key` might do by what is below this entry, which writes settings. */
weft_err wf_revoked_right(struct wf_revoked *revoked, const weft_id *id, const weft_key *key,
                          wf_grant *out);
/* Is the revocation below the entry of this stamp, which says something of the same key? */
weft_err wf_revocation_is_below(struct wf_revoked *revoked, struct wf_revocation *r,
                                const wf_stamp *entry, bool *out);
/* Is the entry below the revocation? */
weft_err wf_revocation_is_above(struct wf_revoked *revoked, struct wf_revocation *r,
                                const wf_place *entry, uint64_t *left, bool *out);
void wf_revocation_fini(struct wf_revoked *revoked, struct wf_revocation *r);

#endif
