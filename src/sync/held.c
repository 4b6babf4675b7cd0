/* SPDX-License-Identifier: Apache-2.0
 * held.c - the closure of some entries above a place in the order.
 * Called by: the reader's jobs. May touch: the store, reading; the heap.
 * Never: recurses, looks below the place. */
#include "held.h"

#include "alloc.h"
#include "idset.h"
#include "log.h"

struct wf_held {
    wf_store *store;
    uint64_t reads;
    bool since; /* the place is an arrival, not a place in the order */
    uint64_t seq;
    uint64_t gen;
    weft_id id;
    struct wf_idset set; /* members are looked at in the order of their coming */
    uint32_t at;
    weft_id *parents; /* of the entry being looked at */
    uint32_t parents_count, parents_room;
};

/* Adds an entry if it is above the place. */
static weft_err put(wf_held *h, const weft_id *id)
{
    wf_meta_brief meta;
    uint32_t at;
    bool added;
    if (wf_idset_find(&h->set, id, &at)) return WEFT_OK;
    h->reads++;
    weft_err err = wf_store_meta_brief(h->store, id, &meta);
    if (err == WEFT_NOT_FOUND)
        return wf_fail(WEFT_CORRUPT, "held", "an entry that is named here is not stored");
    if (err != WEFT_OK) return err;
    bool above = meta.gen > h->gen || (meta.gen == h->gen && weft_id_compare(id, &h->id) > 0);
    if (h->since) above = meta.seq > h->seq;
    return above ? wf_idset_add(&h->set, id, &at, &added) : WEFT_OK;
}

/* Takes `h`, which knows its place. */
static weft_err begin(wf_held *h, const weft_id *tips, uint32_t count, uint32_t max,
                      const uint8_t key[16], wf_held **out)
{
    wf_idset_init(&h->set, max + count, key);
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++) err = put(h, &tips[i]);
    if (err == WEFT_OK) {
        *out = h;
        h = NULL; /* the caller's now */
    }
    wf_held_destroy(h);
    return err;
}

weft_err wf_held_create(wf_store *store, uint64_t gen, const weft_id *id, const weft_id *tips,
                        uint32_t count, uint32_t max, const uint8_t key[16], wf_held **out)
{
    wf_held *h = wf_calloc(1, sizeof *h);
    if (h == NULL) return WEFT_NO_MEMORY;
    h->store = store;
    h->gen = gen;
    h->id = *id;
    return begin(h, tips, count, max, key, out);
}

weft_err wf_held_create_since(wf_store *store, uint64_t seq, const weft_id *tips, uint32_t count,
                              uint32_t max, const uint8_t key[16], wf_held **out)
{
    wf_held *h = wf_calloc(1, sizeof *h);
    if (h == NULL) return WEFT_NO_MEMORY;
    h->store = store;
    h->since = true;
    h->seq = seq;
    return begin(h, tips, count, max, key, out);
}

void wf_held_destroy(wf_held *h)
{
    if (h == NULL) return;
    wf_idset_fini(&h->set);
    wf_free(h->parents);
    wf_free(h);
}

/* Looking a parent up while the store walks the list would read within a read. */
static weft_err collect(void *arg, const weft_id *parent)
{
    wf_held *h = arg;
    if (h->parents_count == h->parents_room) {
        uint32_t room = h->parents_room == 0 ? 64 : h->parents_room * 2;
        weft_id *bigger = wf_realloc(h->parents, room * sizeof *bigger);
        if (bigger == NULL) return WEFT_NO_MEMORY;
        h->parents = bigger;
        h->parents_room = room;
    }
    h->parents[h->parents_count++] = *parent;
    return WEFT_OK;
}

weft_err wf_held_step(wf_held *h, uint32_t budget)
{
    uint64_t until = h->reads + budget;
    weft_err err = WEFT_OK;
    while (h->at < h->set.count && err == WEFT_OK) {
        if (h->reads >= until) return WEFT_AGAIN;
        wf_meta_brief meta;
        weft_id id = h->set.ids[h->at++]; /* the array moves when it grows */
        h->parents_count = 0;
        h->reads++;
        err = wf_store_parents(h->store, &id, &meta, collect, h);
        for (uint32_t i = 0; i < h->parents_count && err == WEFT_OK; i++)
            err = put(h, &h->parents[i]);
    }
    return err;
}

bool wf_held_has(const wf_held *h, const weft_id *id)
{
    uint32_t at;
    return wf_idset_find(&h->set, id, &at);
}
