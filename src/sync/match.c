/* SPDX-License-Identifier: Apache-2.0
 * match.c - which ids of a peer's page are stored here (WF_LOOK_MATCH).
 * Short ids are salted, so they cannot be looked up: our own entries of the page's
 * range are hashed and looked for in the page. Sliced, since a range may be long.
 * What waits on the shelf is here, too, and need not be sent.
 * Called by: reader.c. May touch: the store, reading. Never: sends a frame. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "job.h"
#include "log.h"
#include "shelf.h"

struct place { /* one short id of the page */
    uint64_t value;
    uint32_t at;
};

struct match {
    struct wf_task task;
    struct wf_look *look;
    uint64_t t;
    struct place *places; /* ascending by value; NULL: full ids */
    bool begun;           /* (gen, id) was looked at last */
    uint64_t gen;
    weft_id id;
    uint32_t at; /* full ids: the next one */
    bool shelf;  /* it is to be looked through, from: */
    struct wf_shelf_at shelf_at;
};

static int by_value(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void set_bit(struct wf_look *look, uint32_t i)
{
    look->bits[i / 8] = (uint8_t)(look->bits[i / 8] | 1u << (i % 8));
}

static void mark_value(struct match *m, uint64_t value)
{
    uint32_t lo = 0, hi = m->look->ids.count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (m->places[mid].value < value) lo = mid + 1;
        else hi = mid;
    }
    for (; lo < m->look->ids.count && m->places[lo].value == value; lo++)
        set_bit(m->look, m->places[lo].at);
}

static weft_err sort_page(struct match *m)
{
    const struct wf_ids *ids = &m->look->ids;
    m->places = wf_malloc((ids->count + 1) * sizeof *m->places);
    if (m->places == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < ids->count; i++) {
        const uint8_t *at = ids->ids + (size_t)i * ids->id_bytes;
        uint64_t value = 0;
        for (uint32_t k = 0; k < 8; k++) value = value << 8 | at[k];
        m->places[i] = (struct place){value, i};
    }
    if (ids->count > 1) qsort(m->places, ids->count, sizeof *m->places, by_value);
    return WEFT_OK;
}

/* The place right before (gen, id), so that the walk begins with it. False: there is
 * none. */
static bool step_back(uint64_t *gen, weft_id *id)
{
    for (size_t i = WEFT_ID_BYTES; i-- > 0;)
        if (id->bytes[i]-- != 0) return true; /* no borrow */
    return (*gen)-- != 0;                     /* the id was zero and is the highest now */
}

static weft_err on_shelved(void *arg, const weft_id *id)
{
    struct match *m = arg;
    mark_value(m, wf_siphash(m->look->salt, id->bytes, WEFT_ID_BYTES));
    return WEFT_OK;
}

/* Before the entries of the tree: one that changes places meanwhile is met there. Returns AGAIN at
 * the end of a slice. */
static weft_err match_shelf(struct match *m, wf_store *store)
{
    weft_err err = wf_shelf_each(store, &m->look->tree, NULL, &m->shelf_at, WF_SLICE_READS,
                                 on_shelved, m);
    if (err == WEFT_OK || err == WEFT_CORRUPT) m->shelf = false; /* the peer sends the others */
    return m->shelf ? err : WEFT_AGAIN;
}

/* Returns AGAIN at the end of a slice, OK at the end. */
static weft_err match_short(struct match *m, wf_store *store)
{
    const struct wf_ids *ids = &m->look->ids;
    wf_gen_walk *walk = NULL;
    weft_err err = wf_gen_walk_create(store, m->t, m->begun ? m->gen : 0, m->begun ? &m->id : NULL,
                                      &walk);
    for (uint32_t n = 0; err == WEFT_OK; n++) {
        wf_place place;
        err = n == WF_SLICE_READS ? WEFT_AGAIN : wf_gen_walk_next(walk, &place);
        if (err != WEFT_OK) break;
        m->gen = place.gen;
        m->id = place.id;
        m->begun = true;
        if (m->gen > ids->hi_gen ||
            (m->gen == ids->hi_gen && weft_id_compare(&m->id, &ids->hi_id) > 0))
            err = WEFT_END;
        else mark_value(m, wf_siphash(m->look->salt, m->id.bytes, WEFT_ID_BYTES));
    }
    wf_gen_walk_destroy(walk);
    return err == WEFT_END ? WEFT_OK : err;
}

static weft_err match_full(struct match *m, wf_store *store)
{
    const struct wf_ids *ids = &m->look->ids;
    for (uint32_t n = 0; m->at < ids->count; n++, m->at++) {
        wf_meta_brief meta;
        weft_id id;
        if (n == WF_SLICE_READS) return WEFT_AGAIN;
        memcpy(id.bytes, ids->ids + (size_t)m->at * WEFT_ID_BYTES, sizeof id.bytes);
        weft_err err = wf_store_meta_brief(store, &id, &meta);
        if (err == WEFT_OK && meta.t == m->t) set_bit(m->look, m->at);
        if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    }
    return WEFT_OK;
}

static void end(struct reader *r, struct wf_task *task, weft_err err)
{
    struct match *m = (struct match *)task;
    weft_reply(&m->look->req, err);
    wf_task_remove(r, task);
    wf_free(m->places);
    wf_free(m);
}

static void run(weft_self *self, struct reader *r, struct wf_task *task)
{
    struct match *m = (struct match *)task;
    weft_err err = WEFT_CANCELED;
    if (!weft_abandoned(&m->look->req))
        err = m->shelf            ? match_shelf(m, r->table->wf_store)
              : m->places != NULL ? match_short(m, r->table->wf_store)
                                  : match_full(m, r->table->wf_store);
    if (err == WEFT_AGAIN) err = wf_task_again(self, task);
    else if (err == WEFT_OK) err = WEFT_END;
    if (err != WEFT_OK) end(r, task, err == WEFT_END ? WEFT_OK : err);
}

static void abort_task(struct reader *r, struct wf_task *task) { end(r, task, WEFT_CLOSED); }

static const struct wf_task_ops ops = {run, abort_task};

/* The first page may be a sample, whose answer is taken for that of the whole closure; what is on
 * the shelf has none. A sample is never the last page. And an exact session trusts nothing, nor
 * does one with a peer that was asked in vain. */
static bool asks_shelf(const struct wf_look *look, const wf_tree_info *info)
{
    return info->shelved > 0 && look->lean && !look->exact && (look->ids.ref > 1 || look->ids.last);
}

static weft_err begin(struct match *m)
{
    struct wf_look *look = m->look;
    const struct wf_ids *ids = &look->ids;
    if (ids->count > WEFT_IDS_PER_MESSAGE_MAX) return WEFT_LIMIT;
    if (look->exact != (ids->id_bytes == WEFT_ID_BYTES)) return WEFT_PROTOCOL;
    look->bits = wf_calloc(ids->count / 8 + 1, 1);
    if (look->bits == NULL) return WEFT_NO_MEMORY;
    look->bits_count = ids->count;
    if (look->exact) return WEFT_OK;
    m->gen = ids->lo_gen;
    m->id = ids->lo_id;
    m->begun = step_back(&m->gen, &m->id);
    return sort_page(m);
}

void wf_match_start(weft_self *self, struct reader *r, struct wf_look *look)
{
    wf_tree_info info;
    weft_err err = wf_plan_authorise(r->table, &look->tree, &look->peer, &info);
    struct match *m = err == WEFT_OK ? wf_calloc(1, sizeof *m) : NULL;
    if (m == NULL) {
        weft_reply(&look->req, err == WEFT_OK ? WEFT_NO_MEMORY : err);
        return;
    }
    m->look = look;
    m->t = info.t;
    m->shelf = asks_shelf(look, &info);
    wf_task_add(r, &m->task, &ops);
    err = begin(m);
    if (err == WEFT_OK) run(self, r, &m->task); /* mostly one slice is enough */
    else end(r, &m->task, err);
}
