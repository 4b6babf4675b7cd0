/* SPDX-License-Identifier: Apache-2.0
 * diff.c - the walk that finds what a peer lacks (diff.h has the idea).
 * Called by: the reader's jobs, dag_*.c. May touch: the store, reading; the heap.
 * Never: recurses, goes below the difference, shows an order by hashes. */
#include "diff.h"

#include <string.h>

#include "alloc.h"
#include "idset.h"
#include "log.h"

enum state { WAITING, MISSING, LATE, HELD };
enum phase { HELD_TIPS, OUR_TIPS, WALK, FINISHED };

struct member { /* beside each id of `seen` */
    uint64_t gen, seq;
    uint8_t state; /* enum state */
};

struct wf_diff {
    wf_store *store;
    uint64_t t, upto_seq, reads;
    uint32_t max; /* entries that may be missing */
    enum phase phase;
    struct wf_idset held; /* what the peer named; with what it means below upto_seq */
    uint32_t held_at;     /* the next of them to look at                            */
    struct wf_idset seen; /* everything that was ever put into the heap             */
    struct member *members;
    uint32_t members_room;
    uint32_t *heap; /* members that wait, the one of highest (gen, id) first  */
    uint32_t heap_count, heap_room;
    uint32_t *missing; /* members, descending by (gen, id)                       */
    uint32_t missing_count, missing_room;
    weft_id *parents; /* of the entry being looked at                           */
    uint32_t parents_count, parents_room;
};

weft_err wf_diff_create(wf_store *store, uint64_t t, uint64_t upto_seq, const weft_id *held,
                        uint32_t count, uint32_t max, const uint8_t key[16], wf_diff **out)
{
    wf_diff *d = wf_calloc(1, sizeof *d);
    if (d == NULL) return WEFT_NO_MEMORY;
    d->store = store;
    d->t = t;
    d->upto_seq = upto_seq;
    d->max = max;
    /* Seen: what is missing, the edge below it, and what arrived too late. */
    wf_idset_init(&d->held, count + 2 * max, key);
    wf_idset_init(&d->seen, 2 * max, key);
    weft_err err = WEFT_OK;
    for (uint32_t i = 0, at; i < count && err == WEFT_OK; i++) {
        bool added;
        err = wf_idset_add(&d->held, &held[i], &at, &added);
    }
    if (err == WEFT_OK) {
        *out = d;
        d = NULL; /* the caller's now */
    }
    wf_diff_destroy(d);
    return err;
}

void wf_diff_destroy(wf_diff *d)
{
    if (d == NULL) return;
    wf_idset_fini(&d->held);
    wf_idset_fini(&d->seen);
    wf_free(d->members);
    wf_free(d->heap);
    wf_free(d->missing);
    wf_free(d->parents);
    wf_free(d);
}

/* Makes room for one more in an array that doubles. */
static weft_err make_room(void **array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room) return WEFT_OK;
    uint32_t more = *room == 0 ? 64 : *room * 2;
    void *bigger = wf_realloc(*array, more * size);
    if (bigger == NULL) return WEFT_NO_MEMORY;
    *array = bigger;
    *room = more;
    return WEFT_OK;
}

/* -- The heap ----------------------------------------------------------------------------- */

static bool above(const wf_diff *d, uint32_t a, uint32_t b)
{
    if (d->members[a].gen != d->members[b].gen) return d->members[a].gen > d->members[b].gen;
    return weft_id_compare(&d->seen.ids[a], &d->seen.ids[b]) > 0;
}

static weft_err heap_push(wf_diff *d, uint32_t member)
{
    weft_err err = make_room((void **)&d->heap, d->heap_count, &d->heap_room, sizeof *d->heap);
    if (err != WEFT_OK) return err;
    uint32_t at = d->heap_count++;
    for (; at > 0 && above(d, member, d->heap[(at - 1) / 2]); at = (at - 1) / 2)
        d->heap[at] = d->heap[(at - 1) / 2];
    d->heap[at] = member;
    return WEFT_OK;
}

static uint32_t heap_pop(wf_diff *d)
{
    uint32_t top = d->heap[0], last = d->heap[--d->heap_count], at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= d->heap_count) break;
        if (child + 1 < d->heap_count && above(d, d->heap[child + 1], d->heap[child])) child++;
        if (!above(d, d->heap[child], last)) break;
        d->heap[at] = d->heap[child];
        at = child;
    }
    if (d->heap_count > 0) d->heap[at] = last;
    return top;
}

/* -- Reading the index -------------------------------------------------------------------- */

static weft_err brief(wf_diff *d, const weft_id *id, wf_meta_brief *out)
{
    d->reads++;
    weft_err err = wf_store_meta_brief(d->store, id, out);
    if (err == WEFT_NOT_FOUND)
        return wf_mend_note(
            d->store, d->t,
            wf_fail(WEFT_CORRUPT, "diff", "an entry that is named here is not stored"));
    return err;
}

static weft_err collect_parent(void *arg, const weft_id *parent)
{
    wf_diff *d = arg;
    weft_err err = make_room((void **)&d->parents, d->parents_count, &d->parents_room,
                             sizeof *d->parents);
    if (err == WEFT_OK) d->parents[d->parents_count++] = *parent;
    return err;
}

static weft_err read_parents(wf_diff *d, const weft_id *id)
{
    wf_meta_brief meta;
    d->parents_count = 0;
    d->reads++;
    return wf_store_parents(d->store, id, &meta, collect_parent, d);
}

/* Puts an entry into the heap unless it was there before. */
static weft_err put(wf_diff *d, const weft_id *id)
{
    uint32_t at;
    bool added;
    wf_meta_brief meta;
    weft_err err = wf_idset_add(&d->seen, id, &at, &added);
    if (err != WEFT_OK || !added) return err;
    err = make_room((void **)&d->members, at, &d->members_room, sizeof *d->members);
    if (err == WEFT_OK) err = brief(d, id, &meta);
    if (err != WEFT_OK) return err;
    d->members[at].gen = meta.gen;
    d->members[at].seq = meta.seq;
    d->members[at].state = meta.seq > d->upto_seq ? LATE : WAITING;
    return heap_push(d, at);
}

static weft_err put_parents(wf_diff *d, uint32_t member)
{
    weft_id id = d->seen.ids[member]; /* the array moves when it grows */
    weft_err err = read_parents(d, &id);
    for (uint32_t i = 0; i < d->parents_count && err == WEFT_OK; i++) err = put(d, &d->parents[i]);
    return err;
}

/* -- The walk ----------------------------------------------------------------------------- */

/* A named entry that arrived after upto_seq stands for its parents, and so on. */
static weft_err lower_held(wf_diff *d, uint64_t until)
{
    weft_err err = WEFT_OK;
    while (d->held_at < d->held.count && err == WEFT_OK) {
        if (d->reads >= until) return WEFT_AGAIN;
        weft_id id = d->held.ids[d->held_at++];
        wf_meta_brief meta;
        err = brief(d, &id, &meta);
        if (err != WEFT_OK || meta.seq <= d->upto_seq) continue;
        err = read_parents(d, &id);
        for (uint32_t i = 0, at; i < d->parents_count && err == WEFT_OK; i++) {
            bool added;
            err = wf_idset_add(&d->held, &d->parents[i], &at, &added);
        }
    }
    return err;
}

static weft_err put_our_tips(wf_diff *d)
{
    wf_tree_info info;
    bool complete = false;
    size_t count = 0;
    weft_id *tips = NULL;
    weft_err err = wf_store_tree_by_number(d->store, d->t, &info);
    /* A little more room than there are now: the tree may grow in between. */
    size_t room = info.tips + 64;
    if (err == WEFT_OK && info.tips > d->max + d->held.count) err = WEFT_LIMIT;
    if (err == WEFT_OK && (tips = wf_malloc(room * sizeof *tips)) == NULL) err = WEFT_NO_MEMORY;
    if (err == WEFT_OK) err = wf_store_tips(d->store, d->t, tips, room, &count, &complete);
    if (err == WEFT_OK && !complete) err = WEFT_LIMIT;
    for (size_t i = 0; i < count && err == WEFT_OK; i++) err = put(d, &tips[i]);
    wf_free(tips);
    return err;
}

/* END: this child is held, and so is what it builds on. */
static weft_err look_at_child(void *arg, const weft_id *child, uint64_t seq)
{
    wf_diff *d = arg;
    uint32_t at;
    d->reads++;
    if (wf_idset_find(&d->seen, child, &at)) {
        uint8_t state = d->members[at].state;
        WF_ASSERT(state != WAITING); /* its gen is higher: it was looked at before */
        return state == HELD ? WEFT_END : WEFT_OK;
    }
    return seq <= d->upto_seq ? WEFT_END
                              : WEFT_OK; /* it came later: it says nothing about the peer */
}

static weft_err is_held(wf_diff *d, uint32_t member, bool *out)
{
    uint32_t at;
    weft_id id = d->seen.ids[member];
    if (wf_idset_find(&d->held, &id, &at)) {
        *out = true;
        return WEFT_OK;
    }
    d->reads++;
    weft_err err = wf_store_children(d->store, d->t, d->members[member].seq, look_at_child, d);
    *out = err == WEFT_END;
    return err == WEFT_END ? WEFT_OK : err;
}

static weft_err visit(wf_diff *d, uint32_t member)
{
    if (d->members[member].state != LATE) {
        bool held = false;
        weft_err err = is_held(d, member, &held);
        if (err != WEFT_OK) return err;
        d->members[member].state = held ? HELD : MISSING;
        if (held) return WEFT_OK;
        if (d->missing_count == d->max) return WEFT_LIMIT;
        err = make_room((void **)&d->missing, d->missing_count, &d->missing_room,
                        sizeof *d->missing);
        if (err != WEFT_OK) return err;
        d->missing[d->missing_count++] = member;
    }
    return put_parents(d, member);
}

weft_err wf_diff_step(wf_diff *d, uint32_t budget)
{
    uint64_t until = d->reads + budget;
    weft_err err = WEFT_OK;
    if (d->phase == HELD_TIPS) {
        err = lower_held(d, until);
        if (err != WEFT_OK) return err;
        d->phase = OUR_TIPS;
    }
    if (d->phase == OUR_TIPS) {
        err = put_our_tips(d);
        if (err != WEFT_OK) return err;
        d->phase = WALK;
    }
    while (d->heap_count > 0 && err == WEFT_OK) {
        if (d->reads >= until) return WEFT_AGAIN;
        err = visit(d, heap_pop(d));
    }
    if (err == WEFT_OK) d->phase = FINISHED;
    return err;
}

uint32_t wf_diff_count(const wf_diff *d)
{
    WF_ASSERT(d->phase == FINISHED);
    return d->missing_count;
}

void wf_diff_at(const wf_diff *d, uint32_t i, wf_place *out)
{
    WF_ASSERT(d->phase == FINISHED && i < d->missing_count);
    uint32_t member = d->missing[d->missing_count - 1 - i];
    *out = (wf_place){d->members[member].gen, d->members[member].seq, d->seen.ids[member]};
}

uint64_t wf_diff_reads(const wf_diff *d) { return d->reads; }
