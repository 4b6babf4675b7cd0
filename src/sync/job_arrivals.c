/* SPDX-License-Identifier: Apache-2.0
 * job_arrivals.c - sources that follow the arrival log: CURSOR and PUSH; and FETCH,
 * which follows a list. Called by: job.c, job_order.c. May touch: the store, reading.
 * Never: frames, transport. */
#include <string.h>

#include "job.h"
#include "log.h"

static bool peer_has(const struct wf_feed *s, const wf_arrival *a)
{
    const struct wf_job *job = s->job;
    /* No epoch was told with frames without a mark; what PUSH looks at came after OPEN, so
     * it came from the peer as it is now. CURSOR looks further back and cannot know. */
    static const uint8_t untold[sizeof job->peer_epoch];
    bool of_now = memcmp(a->source.epoch, job->peer_epoch, sizeof job->peer_epoch) == 0 ||
                  (job->op == WF_JOB_PUSH && memcmp(a->source.epoch, untold, sizeof untold) == 0);
    if (job->skip_source && of_now && weft_key_equal(&a->source.peer, &job->peer)) return true;
    if (s->held != NULL && wf_held_has(s->held, &a->id)) return true;
    uint32_t low = 0, high = job->held_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = weft_id_compare(&job->held[middle], &a->id);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

weft_err wf_held_ready(struct wf_feed *s)
{
    if (s->held == NULL || s->held_ready) return WEFT_OK;
    weft_err err = wf_held_step(s->held, WF_SLICE_READS);
    if (err == WEFT_LIMIT) { /* they get some of their own back, which is no harm */
        wf_held_destroy(s->held);
        s->held = NULL;
    } else if (err != WEFT_OK) {
        return err;
    }
    s->held_ready = true;
    return WEFT_OK;
}

weft_err wf_arrivals_next(weft_self *self, struct wf_feed *s)
{
    wf_store *store = s->reader->table->wf_store;
    wf_arrival a;
    (void)self;
    weft_err ready = wf_held_ready(s);
    if (ready != WEFT_OK) return ready;
    if (s->arr == NULL) {
        weft_err err = wf_arr_walk_create(store, s->info.t, s->arr_seq, &s->arr);
        if (err != WEFT_OK) return err;
    }
    for (;;) {
        weft_err err = wf_arr_walk_next(s->arr, &a);
        if (err != WEFT_OK) return err; /* END: the newest there was when the slice began */
        if (a.seq > s->arr_upto) return WEFT_END;
        s->arr_seq = a.seq;
        wf_mark mark = {.seq = a.seq};
        memcpy(mark.epoch, s->info.epoch, sizeof mark.epoch);
        memcpy(mark.id8, a.id.bytes, sizeof mark.id8);
        if (!peer_has(s, &a)) {
            s->item = (wf_place){.seq = a.seq, .id = a.id};
            s->item_mark = mark;
            return WEFT_OK;
        }
        s->covered = mark; /* it is there: what is passed over counts as held */
        s->marked = true;
        if (wf_feed_spent(s, 1)) return WEFT_AGAIN;
    }
}

void wf_arrivals_slice_end(struct wf_feed *s)
{
    wf_arr_walk_destroy(s->arr);
    s->arr = NULL;
}

weft_err wf_feed_init_arrivals(struct wf_feed *s)
{
    s->next = wf_arrivals_next;
    s->slice_end = wf_arrivals_slice_end;
    s->arr_seq = s->job->cursor.seq;
    s->arr_upto = s->job->op == WF_JOB_PUSH ? UINT64_MAX : s->job->upto_seq;
    s->job->reached = s->job->cursor;
    if (s->job->theirs.tips_count == 0) return WEFT_OK;
    /* What came to them over others is below their tips. */
    wf_store *store = s->reader->table->wf_store;
    struct wf_plan_tips tips;
    weft_err err = wf_plan_tips(store, s->info.t, &s->job->theirs, &tips);
    if (err != WEFT_OK || tips.count == 0) return err;
    return wf_held_create_since(store, s->arr_seq, tips.ids, tips.count, s->reader->walk_max,
                                s->reader->key, &s->held);
}

/* -- FETCH -------------------------------------------------------------------------------- */

static weft_err fetch_next(weft_self *self, struct wf_feed *s)
{
    (void)self;
    while (s->fetch_at < s->job->wanted_count) {
        wf_meta_brief meta;
        const weft_id *id = &s->job->wanted[s->fetch_at++];
        weft_err err = wf_store_meta_brief(s->reader->table->wf_store, id, &meta);
        if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
        if (err == WEFT_OK && meta.t == s->info.t) { /* another tree's is not theirs to see */
            s->item = (wf_place){meta.gen, meta.seq, *id};
            return WEFT_OK;
        }
        if (wf_feed_spent(s, 1)) return WEFT_AGAIN;
    }
    return WEFT_END;
}

static void fetch_slice_end(struct wf_feed *s) { (void)s; /* nothing is open between slices */ }

weft_err wf_feed_init_fetch(struct wf_feed *s)
{
    s->next = fetch_next;
    s->slice_end = fetch_slice_end;
    s->flags = WF_ENTRIES_RAW;
    return WEFT_OK;
}
