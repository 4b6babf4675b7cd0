/* SPDX-License-Identifier: Apache-2.0
 * job_order.c - sources in (gen, id) order: CLOSURE, the first half of RESUME, and the
 * order that IDS lists. Called by: job.c, job_ids.c. May touch: the store, reading.
 * Never: frames, transport. */
#include <string.h>

#include "job.h"
#include "log.h"

/* -- The order itself --------------------------------------------------------------------- */

weft_err wf_order_ready(struct wf_feed *s)
{
    struct wf_order *o = &s->order;
    if (o->diff == NULL || o->ready) return WEFT_OK;
    uint64_t before = wf_diff_reads(o->diff);
    weft_err err = wf_diff_step(o->diff, WF_SLICE_READS - s->reads);
    uint64_t reads = wf_diff_reads(o->diff) - before;
    (void)wf_feed_spent(s, reads < WF_SLICE_READS ? (uint32_t)reads : WF_SLICE_READS);
    o->ready = err == WEFT_OK;
    return err;
}

static weft_err walk_next(struct wf_feed *s, wf_place *out)
{
    struct wf_order *o = &s->order;
    if (o->walk == NULL) {
        weft_err err = wf_gen_walk_create(s->reader->table->wf_store, s->info.t, o->last.gen,
                                          o->begun ? &o->last.id : NULL, &o->walk);
        if (err != WEFT_OK) return err;
    }
    for (;;) {
        weft_err err = wf_gen_walk_next(o->walk, &o->last);
        if (err != WEFT_OK) return err;
        o->begun = true;
        bool spent = wf_feed_spent(s, 1);
        if (o->last.seq <= o->upto) {
            *out = o->last;
            return WEFT_OK;
        }
        if (spent) return WEFT_AGAIN;
    }
}

weft_err wf_order_next(struct wf_feed *s, wf_place *out)
{
    struct wf_order *o = &s->order;
    if (o->diff == NULL) return walk_next(s, out);
    weft_err err = wf_order_ready(s);
    if (err != WEFT_OK) return err;
    if (o->at == wf_diff_count(o->diff)) return WEFT_END;
    wf_diff_at(o->diff, o->at++, out);
    return WEFT_OK;
}

void wf_order_slice_end(struct wf_feed *s)
{
    wf_gen_walk_destroy(s->order.walk);
    s->order.walk = NULL;
}

void wf_order_drop_diff(struct wf_feed *s)
{
    if (s->order.diff == NULL) return;
    wf_diff_destroy(s->order.diff);
    s->order.diff = NULL;
    s->reader->diffs--;
}

void wf_order_mark(const struct wf_feed *s, const wf_place *place, wf_mark *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->epoch, s->info.epoch, sizeof out->epoch);
    out->seq = s->job->upto_seq;
    memcpy(out->id8, s->job->upto_id8, sizeof out->id8);
    out->partial = true;
    out->gen = place->gen;
    out->id = place->id;
}

/* -- CLOSURE ------------------------------------------------------------------------------ */

static weft_err closure_next(weft_self *self, struct wf_feed *s)
{
    (void)self;
    weft_err err = wf_order_next(s, &s->item);
    if (err == WEFT_OK) wf_order_mark(s, &s->item, &s->item_mark);
    return err;
}

weft_err wf_feed_init_order(struct wf_feed *s)
{
    wf_store *store = s->reader->table->wf_store;
    struct wf_plan_tips tips;
    s->next = closure_next;
    s->slice_end = wf_order_slice_end;
    s->order.upto = s->job->upto_seq;
    weft_err err = wf_plan_tips(store, s->info.t, &s->job->theirs, &tips);
    /* A peer that holds nothing gets the whole order, however long, without a list. */
    if (err != WEFT_OK || tips.count == 0) return err;
    if (s->reader->diffs == WEFT_DIFFS_MAX) return WEFT_LIMIT;
    err = wf_diff_create(store, s->info.t, s->job->upto_seq, tips.ids, tips.count,
                         s->reader->walk_max, s->reader->key, &s->order.diff);
    if (err == WEFT_OK) s->reader->diffs++;
    return err;
}

/* -- RESUME ------------------------------------------------------------------------------- */

/* The order goes on behind the cursor, as far as it was promised then (cursor.seq);
 * what arrived after that follows from the arrival log. */
static weft_err resume_next(weft_self *self, struct wf_feed *s)
{
    const wf_mark *cursor = &s->job->cursor;
    weft_err ready = wf_held_ready(s);
    if (ready != WEFT_OK) return ready;
    for (;;) {
        wf_mark mark = *cursor;
        weft_err err = walk_next(s, &s->item);
        if (err == WEFT_END) break;
        if (err != WEFT_OK) return err;
        mark.gen = s->item.gen;
        mark.id = s->item.id;
        s->item_mark = mark;
        if (s->held == NULL || !wf_held_has(s->held, &s->item.id)) return WEFT_OK;
        s->covered = mark; /* they hold it already */
        s->marked = true;
        if (s->reads > WF_SLICE_READS) return WEFT_AGAIN;
    }
    wf_order_slice_end(s);
    s->covered = *cursor;
    s->covered.partial = false;
    s->covered.gen = 0;
    memset(&s->covered.id, 0, sizeof s->covered.id);
    s->marked = true;
    s->next = wf_arrivals_next;
    return wf_arrivals_next(self, s);
}

static void resume_slice_end(struct wf_feed *s)
{
    wf_order_slice_end(s);
    wf_arrivals_slice_end(s);
}

weft_err wf_feed_init_resume(struct wf_feed *s)
{
    wf_store *store = s->reader->table->wf_store;
    const wf_mark *cursor = &s->job->cursor;
    struct wf_plan_tips tips;
    if (!cursor->partial) return WEFT_INVALID;
    s->next = resume_next;
    s->slice_end = resume_slice_end;
    s->order.upto = cursor->seq;
    s->order.begun = true;
    s->order.last = (wf_place){.gen = cursor->gen, .id = cursor->id};
    s->arr_seq = cursor->seq;
    s->arr_upto = s->job->upto_seq;
    s->job->reached = *cursor;
    weft_err err = wf_plan_tips(store, s->info.t, &s->job->theirs, &tips);
    if (err != WEFT_OK || tips.count == 0) return err;
    return wf_held_create(store, cursor->gen, &cursor->id, tips.ids, tips.count,
                          s->reader->walk_max, s->reader->key, &s->held);
}
