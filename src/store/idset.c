/* SPDX-License-Identifier: Apache-2.0
 * idset.c - a set of ids that numbers its members in the order of their coming.
 * Called by: diff.c, the sync layer's held.c. May touch: the heap.
 * Never: shows an order that depends on hashes. One thread. */
#include "idset.h"

#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "log.h"

#define ROOM_FIRST 64u

void wf_idset_init(struct wf_idset *set, uint32_t max, const uint8_t key[16])
{
    memset(set, 0, sizeof *set);
    set->max = max;
    memcpy(set->key, key, sizeof set->key);
}

void wf_idset_fini(struct wf_idset *set)
{
    wf_free(set->ids);
    wf_free(set->table);
    set->ids = NULL;
    set->table = NULL;
    set->count = set->room = set->table_size = 0;
}

/* The slot of the id, or the free one where it belongs. The table is never full. */
static uint32_t slot_of(const struct wf_idset *set, const weft_id *id)
{
    uint32_t mask = set->table_size - 1;
    uint32_t slot = (uint32_t)wf_siphash(set->key, id->bytes, sizeof id->bytes) & mask;
    while (set->table[slot] != 0 && !weft_id_equal(&set->ids[set->table[slot] - 1], id))
        slot = (slot + 1) & mask;
    return slot;
}

static weft_err grow(struct wf_idset *set)
{
    uint32_t room = set->room == 0 ? ROOM_FIRST : set->room * 2;
    weft_id *ids = wf_realloc(set->ids, room * sizeof *ids);
    if (ids == NULL) return WEFT_NO_MEMORY;
    set->ids = ids;
    uint32_t *table = wf_calloc((size_t)room * 2, sizeof *table);
    if (table == NULL) return WEFT_NO_MEMORY;
    wf_free(set->table);
    set->table = table;
    set->table_size = room * 2;
    set->room = room;
    for (uint32_t i = 0; i < set->count; i++) set->table[slot_of(set, &set->ids[i])] = i + 1;
    return WEFT_OK;
}

weft_err wf_idset_add(struct wf_idset *set, const weft_id *id, uint32_t *at, bool *added)
{
    if (wf_idset_find(set, id, at)) {
        *added = false;
        return WEFT_OK;
    }
    if (set->count >= set->max) return WEFT_LIMIT;
    if (set->count == set->room) {
        weft_err err = grow(set);
        if (err != WEFT_OK) return err;
    }
    set->ids[set->count] = *id;
    set->table[slot_of(set, id)] = set->count + 1;
    *at = set->count++;
    *added = true;
    return WEFT_OK;
}

bool wf_idset_find(const struct wf_idset *set, const weft_id *id, uint32_t *at)
{
    if (set->count == 0) return false;
    uint32_t member = set->table[slot_of(set, id)];
    if (member == 0) return false;
    *at = member - 1;
    return true;
}
