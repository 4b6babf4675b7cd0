/* SPDX-License-Identifier: Apache-2.0
 * places.c - a lossy table of places (places.h), one word for each.
 * Called by: find.c, flush.c, any thread. May touch: its own words, which are counters so that
 * nobody reads half of one. Never: waits, but for whoever makes a larger table. */
#include "places.h"

#include <assert.h>
#include <string.h>

#include "alloc.h"

/* tag16 t16 seq32; what does not fit is not remembered. t begins at 1, seq at 1: no word is 0. */
#define T_MAX UINT64_C(65536)
#define SEQ_MAX UINT64_C(0xffffffff)
static_assert(WEFT_TREES_MAX <= T_MAX, "a tree's number less one fits into 16 bits");

static const uint32_t rooms[WF_PLACES_SIZES] = {1u << 12, 1u << 15, WEFT_STORE_PLACES_MAX};

struct wf_places_table {
    uint32_t room; /* a power of two */
    wf_counter words[];
};

static size_t bytes_of(uint32_t room)
{
    return sizeof(struct wf_places_table) + room * sizeof(wf_counter);
}

weft_err wf_places_init(struct wf_places *places)
{
    places->lock = wf_lock_create();
    return places->lock == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

void wf_places_fini(struct wf_places *places)
{
    for (unsigned i = 0; i < WF_PLACES_SIZES; i++) wf_free(places->made[i]);
    wf_lock_destroy(places->lock);
}

static struct wf_places_table *current(const struct wf_places *places)
{
    return (struct wf_places_table *)(uintptr_t)wf_counter_get(&places->current);
}

/* Ids are hashes: any of their bits will do. Whoever grinds some that share a slot makes reads
 * of those cost what they cost without a table. */
static wf_counter *word_of(struct wf_places_table *table, const weft_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->bytes, sizeof hash);
    return &table->words[hash & (table->room - 1)];
}

static uint64_t tag_of(const weft_id *id) { return (uint64_t)id->bytes[30] << 8 | id->bytes[31]; }

bool wf_places_guess(const struct wf_places *places, const weft_id *id, uint64_t *t, uint64_t *seq)
{
    struct wf_places_table *table = current(places);
    uint64_t word = table == NULL ? 0 : wf_counter_get(word_of(table, id));
    if (word == 0 || word >> 48 != tag_of(id)) return false;
    *t = (word >> 32 & 0xffff) + 1;
    *seq = word & SEQ_MAX;
    return true;
}

/* One that suits a tree of `seq` entries; what there is, if memory is short. */
static struct wf_places_table *make(struct wf_places *places, uint64_t seq)
{
    unsigned size = 0;
    while (size + 1 < WF_PLACES_SIZES && rooms[size] < seq) size++;
    wf_lock_take(places->lock);
    struct wf_places_table *table = current(places);
    if (table == NULL || table->room < rooms[size]) {
        struct wf_places_table *larger = wf_calloc(1, bytes_of(rooms[size]));
        if (larger != NULL) {
            larger->room = rooms[size];
            places->made[size] = larger;
            wf_counter_set(&places->current, (uintptr_t)larger);
            table = larger;
        }
    }
    wf_lock_give(places->lock);
    return table;
}

void wf_places_note(struct wf_places *places, const weft_id *id, uint64_t t, uint64_t seq)
{
    if (t > T_MAX || seq > SEQ_MAX) return;
    struct wf_places_table *table = current(places);
    bool small = table == NULL || (table->room < seq && table->room < rooms[WF_PLACES_SIZES - 1]);
    if (small) table = make(places, seq);
    if (table != NULL) wf_counter_set(word_of(table, id), tag_of(id) << 48 | (t - 1) << 32 | seq);
}

size_t wf_places_bytes(const struct wf_places *places)
{
    size_t bytes = 0;
    wf_lock_take(places->lock);
    for (unsigned i = 0; i < WF_PLACES_SIZES; i++)
        if (places->made[i] != NULL) bytes += bytes_of(rooms[i]);
    wf_lock_give(places->lock);
    return bytes;
}
