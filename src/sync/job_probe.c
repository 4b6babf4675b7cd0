/* SPDX-License-Identifier: Apache-2.0
 * job_probe.c - a sample before a long list. When many ids would have to be listed, a
 * first page asks about a few of them: close together near the newest, ever further
 * apart below, and some evenly spread. What the peer has of them, it has with the whole
 * closure, so a fork of k entries costs about 2k ids instead of all.
 * Called by: job_ids.c. May touch: the store, reading. Never: sends. */
#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "job.h"

#define EVEN 64u /* evenly spread ones */
#define SAMPLE_MAX (64u + EVEN)
static_assert(SAMPLE_MAX <= WEFT_IDS_PER_MESSAGE_MAX, "a sample is one page");

/* Puts an entry in its place; once is enough. */
static void put(struct wf_page *p, const wf_place *place)
{
    uint32_t at = p->count;
    for (; at > 0; at--) {
        const wf_place *before = &p->places[at - 1];
        int order = weft_id_compare(&before->id, &place->id);
        if (before->gen == place->gen && order == 0) return;
        if (before->gen < place->gen || (before->gen == place->gen && order < 0)) break;
    }
    memmove(p->places + at + 1, p->places + at, (p->count - at) * sizeof *p->places);
    p->places[at] = *place;
    p->count++;
}

/* The entry that is `distance` below the newest of `n`. */
static weft_err pick(struct wf_feed *s, struct wf_page *p, uint64_t n, uint64_t distance)
{
    wf_store *store = s->reader->table->wf_store;
    wf_arrival arrival;
    wf_meta_brief meta;
    wf_place place;
    if (s->order.diff != NULL) {
        wf_diff_at(s->order.diff, (uint32_t)(n - 1 - distance), &place);
        put(p, &place);
        return WEFT_OK;
    }
    weft_err err = wf_store_arrival(store, s->info.t, n - distance, &arrival);
    if (err == WEFT_OK) err = wf_store_meta_brief(store, &arrival.id, &meta);
    if (err == WEFT_OK) put(p, &(wf_place){meta.gen, meta.seq, arrival.id});
    return err == WEFT_NOT_FOUND ? WEFT_OK : err; /* it is a sample: one less is no matter */
}

static weft_err fill(struct wf_feed *s, struct wf_page *p, uint64_t n)
{
    weft_err err = WEFT_OK;
    p->room = SAMPLE_MAX + 1;
    p->places = wf_calloc(p->room, sizeof *p->places);
    if (p->places == NULL) return WEFT_NO_MEMORY;
    for (uint64_t d = 1; d < n && err == WEFT_OK && p->count < SAMPLE_MAX - EVEN; d *= 2)
        err = pick(s, p, n, d);
    for (uint64_t i = 0; i < EVEN && err == WEFT_OK; i++) err = pick(s, p, n, i * (n / EVEN));
    return err;
}

weft_err wf_probe_make(struct wf_feed *s, struct wf_page **out)
{
    weft_err err = wf_order_ready(s);
    if (err == WEFT_LIMIT) wf_order_drop_diff(s);
    else if (err != WEFT_OK) return err;
    uint64_t n = s->order.diff != NULL ? wf_diff_count(s->order.diff) : s->job->upto_seq;
    *out = NULL;
    if (n < WEFT_PROBE_IDS_MIN) return WEFT_OK;
    struct wf_page *p = wf_calloc(1, sizeof *p);
    if (p == NULL) return WEFT_NO_MEMORY;
    err = fill(s, p, n);
    if (err == WEFT_OK && p->count > 0) {
        *out = p;
        p = NULL; /* the caller's now */
    }
    wf_page_destroy(p);
    return err;
}

weft_err wf_probe_learn(struct wf_feed *s, const struct wf_page *p)
{
    wf_store *store = s->reader->table->wf_store;
    struct wf_plan_tips tips;
    weft_id held[WF_PLAN_TIPS_MAX + SAMPLE_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->count; i++)
        if (wf_page_has(p, i)) held[count++] = p->places[i].id;
    if (count == 0 || (s->order.diff == NULL && s->reader->diffs == WEFT_DIFFS_MAX))
        return WEFT_OK; /* as it was */
    weft_err err = wf_plan_tips(store, s->info.t, &s->job->theirs, &tips);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < tips.count; i++) held[count++] = tips.ids[i];
    wf_order_drop_diff(s);
    s->order.ready = false;
    err = wf_diff_create(store, s->info.t, s->job->upto_seq, held, count, s->reader->walk_max,
                         s->reader->key, &s->order.diff);
    if (err == WEFT_OK) s->reader->diffs++;
    return err;
}
