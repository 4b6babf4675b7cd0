/* SPDX-License-Identifier: Apache-2.0
 * standing.h - whose entries count: the revocations of a tree, and the one rule that rights and views
 * go by.
 * Called by: rights_make.c, view_source.c, standing_read.c. May touch: the store, reading; the heap.
 * Never: depends on the order in which entries came. One thread at a time.
 *
 * A *word* is what an entry of settings says of a key's own grant: it sets or deletes it. A word
 * *permits* an entry of that key if it grants what the entry needs (Admin if it writes settings,
 * else Write), or if it is not `none` and everyone has that by what is below the entry. A
 * *revocation* is a word, not the root's, that sets `none`, deletes, or grants less than the key
 * itself had by what is below it.
 * An entry X *stays* with a revocation R of its author if R permits it; if X is R or below it; or if
 * a word of that key permits it that is above R and below X, in an entry that counts itself. X
 * counts if it stays with each revocation of its author that is in force, and it is the root, or
 * everyone has what it needs by what is below it, or a word below it that counts permits it. R is
 * in force if it counts by those that are in force and whose authors were stronger than its own,
 * each by what is below it; and for that all entries between need to count by those alone.
 * Strength only grows from one to the next and what is below gets less, so this is well-founded,
 * and it speaks of the set of entries alone.
 */
#ifndef WF_STANDING_H
#define WF_STANDING_H

#include "dag_walk.h"
#include "policy.h"

#define WF_NONE UINT32_MAX

enum wf_word_kind { WF_WORD_NONE, WF_WORD_DELETED, WF_WORD_GRANT };

struct wf_word {
    weft_key key;  /* unless everyone: of those there are no revocations        */
    bool everyone; /* only kept for who folds the rights                        */
    bool revokes;
    uint8_t kind;
    wf_grant grant;  /* of GRANT; else NONE                             */
    bool has_before; /* the newest word of its key below it, and its place:     */
    wf_stamp before;
    uint32_t statement;           /* by its number                                   */
    uint32_t next_kept, next_out; /* in the lists of their key; WF_NONE: the last    */
};

struct wf_statement { /* an entry of settings that says something of keys */
    wf_place place;
    weft_key author;
    wf_grant strength;     /* of the author, as what is below it has it; if it revokes     */
    uint32_t word;         /* the first of its words; WF_NONE: it only names               */
    uint32_t words;        /* how many                                                     */
    bool revokes;          /* one of them does                                             */
    bool counts, in_force; /* now, unless dirty                                            */
    bool settled;          /* it was judged before, and then it was:                       */
    bool counted, in_force_then;
    bool has_above; /* this entry is above it: others, above that one, are soon found */
    wf_stamp above;
    struct wf_dag *dag; /* while what is below it is being marked */
    struct wf_dag_mark *mark;
    struct wf_dag_bits below; /* none: nobody has asked           */
};

struct wf_name { /* what a statement calls a key; kept for who folds the rights */
    weft_key key;
    uint32_t statement;
    bool set;
    uint8_t len;
    char text[WEFT_KEY_NAME_BYTES_MAX];
};

struct wf_standing_key { /* of whom something was said */
    weft_key key;
    uint32_t first, count; /* its words: by_key[first ..], by the order of their statements */
    uint32_t kept, out;    /* words that count and are not `none`; revocations in force    */
    bool lost;             /* a word of it does not count                                  */
};

struct wf_standing {
    wf_store *store;
    uint64_t t;
    weft_id tree;
    bool marks;    /* many will be judged: what is below a revocation is marked once  */
    bool folds;    /* everyone's words and names are kept, too                         */
    uint64_t upto; /* all settings that arrived up to this one are in                  */
    bool dirty;    /* something was added since it was settled                          */
    struct wf_statement *list;
    struct wf_word *words;
    struct wf_name *names;
    uint32_t count, room, words_count, words_room, names_count, names_room;
    uint32_t revocations; /* words that revoke */
    /* Of the last settling. */
    uint32_t *order;              /* the statements, by (gen, id) */
    uint32_t *by_key;             /* the words of keys            */
    struct wf_standing_key *keys; /* ascending */
    uint32_t keys_count;
    uint64_t *pairs; /* what is known of a word and a statement: a set of numbers */
    uint32_t pairs_count, pairs_room, pairs_max;
    uint64_t marks_bytes;
    weft_key *met; /* ascending: whose entries were judged for the view */
    uint32_t met_count, met_room;
    bool met_many; /* too many to tell */
    wf_meta *meta; /* room for one; NULL: nobody has asked */
    bool has_meta; /* it is of                             */
    weft_id meta_id;
    uint32_t policy_number;
    wf_policy *policy; /* the last one that was asked for */
};

weft_err wf_standing_create(wf_store *store, uint64_t t, const weft_id *tree,
                            struct wf_standing **out);
void wf_standing_destroy(struct wf_standing *standing); /* NULL is fine */
uint64_t wf_standing_bytes(const struct wf_standing *standing);
/* What one entry of settings says, all or nothing: each entry once. LIMIT: there is too much.
 * CORRUPT, IO, NO_MEMORY. */
weft_err wf_standing_take_in(struct wf_standing *standing, const wf_place *place,
                             const weft_entry *entry);
/* The same of one whose body cannot be read: by the policy that holds after it. */
weft_err wf_standing_take_in_unread(struct wf_standing *standing, const wf_place *place);
/* Works out what counts and is in force. *changed: of a key that was met, other than when it was
 * done last. LIMIT: more than WEFT_STANDING_PAIRS_MAX questions of ancestry. */
weft_err wf_standing_settle(struct wf_standing *standing, bool *changed);
/* Does the entry not count? Settle first. *left is what it may read; at least one step is made
 * whatever it is. AGAIN: not done. */
weft_err wf_standing_leaves_out(struct wf_standing *standing, const wf_place *place,
                                const weft_key *author, bool settings, uint64_t *left, bool *out);
/* Is the word's statement below that one? Settle first. */
weft_err wf_standing_between(struct wf_standing *standing, uint32_t word, uint32_t statement,
                             bool *out);

/* -- All settings of a tree (standing_read.c) ------------------------------------------------ */

/* Takes in what is listed and arrived up to `upto`. VERSION: the store has no lists. */
weft_err wf_standing_read(struct wf_standing *standing, uint64_t upto);

/* -- Its orders (standing_order.c) ------------------------------------------------------------- */

/* Makes `order`, `by_key` and `keys` anew. `strongest` has room for all statements: those that
 * revoke, the strongest authors' first. NO_MEMORY. */
weft_err wf_standing_order(struct wf_standing *standing, uint32_t *strongest, uint32_t *count);
void wf_standing_order_fini(struct wf_standing *standing);
/* The number of a key among those of the last settling; WF_NONE: nothing was said of it. */
uint32_t wf_standing_key_of(const struct wf_standing *standing, const weft_key *key);

/* -- What the history says (standing_ways.c) ------------------------------------------------- */

struct wf_subject { /* an entry that is judged */
    wf_place place;
    weft_key author;
    bool settings;      /* it writes them: its own are not what it stands on */
    uint32_t statement; /* WF_NONE: it is none of the list                   */
    bool asked[2], any[2];
    wf_said said[2]; /* below it: of its author's grant, of everyone's       */
};
/* What was said last, below an entry, of `key` (NULL: everyone). *any false: nothing. */
weft_err wf_standing_said(struct wf_standing *standing, const weft_id *id, bool settings,
                          const weft_key *key, bool *any, wf_said *out);
/* Of the subject's author, or of everyone. */
weft_err wf_standing_said_below(struct wf_standing *standing, struct wf_subject *x, bool everyone,
                                bool *any, wf_said *out);
weft_err wf_standing_author(struct wf_standing *standing, const weft_id *id, weft_key *out);
/* The policies that hold after the parents of an entry, one after the other. */
weft_err wf_standing_each_below(struct wf_standing *standing, const weft_id *id,
                                void (*fn)(void *arg, const wf_policy *policy), void *arg);
/* The policy that holds after an entry; borrowed until the next call here. */
weft_err wf_standing_policy(struct wf_standing *standing, const weft_id *id, const wf_policy **out);
/* Is the word's statement below the entry? LIMIT. */
weft_err wf_standing_is_below(struct wf_standing *standing, uint32_t word, struct wf_subject *x,
                              bool *out);
/* Is the entry below the statement? AGAIN. */
weft_err wf_standing_is_above(struct wf_standing *standing, uint32_t statement,
                              const struct wf_subject *x, uint64_t *left, bool *out);
void wf_statement_fini(struct wf_standing *standing, struct wf_statement *statement);

#endif
