/* SPDX-License-Identifier: Apache-2.0
 * check.h - what the rooms of a check share: what is looked at, and how a fault is told.
 * Called by: check.c, check_dom.c, check_made.c, check_tips.c, check_report.c. Never: included by
 * anybody else. */
#ifndef WF_CHECK_H
#define WF_CHECK_H

#include "scan.h"
#include "state.h"

enum wf_check_life {
    WF_CHECK_LIVES,
    WF_CHECK_GOING, /* it was removed, and what is left of it is no fault */
    WF_CHECK_GONE   /* nothing of it may be there                         */
};

/* Counts of one tree, as its `meta` records give them. */
struct wf_totals {
    uint64_t count, max_gen, tips;
};

struct wf_check {
    wf_store *store;
    wf_kv *kv;
    wf_kv_snapshot *snap;
    const struct wf_check_options *options;
    wf_check_report *report;
    wf_check_fault at; /* the entry at hand: t, seq and id */
    weft_entry *entry, *child;
    weft_id *parents; /* of the entry at hand */
    uint32_t parents_count;
    weft_id *trees; /* their ids by local number, from 1 */
    enum wf_check_life *lives; /* of each */
    uint64_t trees_count;
    struct wf_totals *totals;               /* of each */
    uint64_t entries, children, named_tips; /* found in bodies */
    uint64_t subs;                          /* too */
    uint64_t nodes, sketches;               /* made of `gen` */
    uint64_t pages;                         /* of dominators, of all entries that there are */
    uint64_t order_faults;                  /* of `gen` */
    uint64_t of_all;                        /* entries that the trees say they have */
    uint64_t shelf_waits;                   /* asked for by the shelf, less those found */
    bool shelf_bad;                         /* nobody knows what some of it asks for */
    uint32_t policy;                        /* a number that was found to be there  */
    bool gaps;                              /* some `meta` could not be read        */
};

/* check_report.c. Counts a fault of the entry at hand, or `times` at once of none. */
void wf_check_fail(struct wf_check *c, enum wf_check_kind kind, enum wf_cf cf, const char *what)
    __attribute__((nonnull));
void wf_check_fail_of(struct wf_check *c, enum wf_check_kind kind, enum wf_cf cf, uint64_t t,
                      uint64_t times, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* check.c. *found false: nothing is there, or the engine calls it corrupt: then that was
 * told and *told is true. On OK and *found the caller releases *out. */
weft_err wf_check_get(struct wf_check *c, enum wf_cf cf, const void *key, size_t len, wf_value *out,
                      bool *found, bool *told);

/* The value of an index must be there and begin with these bytes. */
weft_err wf_check_expect(struct wf_check *c, enum wf_cf cf, const void *key, size_t key_len,
                         const void *want, size_t len);
/* Reads the whole family; more records than `want` are a fault. */
weft_err wf_check_count(struct wf_check *c, enum wf_cf cf, uint64_t want);

/* Is the key, which begins with the number of a tree, one that is going? */
bool wf_check_is_going(const struct wf_check *c, uint64_t t);

/* check_made.c. The entry at hand in the lists of the stores that it writes; and, at the end,
 * tries and sketches. */
weft_err wf_check_subs(struct wf_check *c, const struct wf_meta_record *meta);
weft_err wf_check_made(struct wf_check *c);

/* check_dom.c. The dominators of the entry at hand, made of those of its parents; and, at the
 * end, the pages of a tree. */
weft_err wf_check_dominators(struct wf_check *c, const struct wf_meta_record *meta);
weft_err wf_check_pages(struct wf_check *c, uint64_t t);

/* check_shelf.c. A record of `entry` or `child` that belongs to the shelf; and, at the end, whether
 * those of the two fit. */
weft_err wf_check_shelf_row(struct wf_check *c, enum wf_cf cf, const struct wf_scan *scan);
void wf_check_shelf(struct wf_check *c);

/* check_tips.c. The tips that the entry at hand is, or is not. */
weft_err wf_check_tips(struct wf_check *c, const struct wf_meta_record *meta);

#endif
