/* SPDX-License-Identifier: Apache-2.0
 * tips.c - sets of tips in memory (tips.h): kept as read, moved on with each batch.
 * Called by: tips_read.c, flush.c, trees.c, under store->lock. May touch: its sets.
 * Never: the engine; keeps half of a set. */
#include "tips.h"

#include <string.h>

#include "alloc.h"

void wf_tips_init(struct wf_tips *tips, uint64_t secret)
{
    *tips = (struct wf_tips){.secret = secret | 1};
}

static void drop(struct wf_tips *tips, uint32_t slot)
{
    struct wf_tip_set *set = tips->slots[slot];
    if (set == NULL) return;
    tips->slots[slot] = NULL;
    tips->sets--;
    tips->rooms -= set->room;
    wf_free(set->ids);
    wf_free(set->prefix);
    wf_free(set);
}

void wf_tips_clear(struct wf_tips *tips)
{
    for (uint32_t i = 0; i < WEFT_STORE_TIPS_SETS; i++) drop(tips, i);
    tips->version++;
}

static uint32_t slot_of(const struct wf_tips *tips, const uint8_t *prefix, size_t len)
{
    uint64_t hash = tips->secret;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ prefix[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32) % WEFT_STORE_TIPS_SETS;
}

const struct wf_tip_set *wf_tips_find(const struct wf_tips *tips, const uint8_t *prefix,
                                      size_t prefix_len)
{
    const struct wf_tip_set *set = tips->slots[slot_of(tips, prefix, prefix_len)];
    bool hit = set != NULL && set->prefix_len == prefix_len &&
               memcmp(set->prefix, prefix, prefix_len) == 0;
    return hit ? set : NULL;
}

uint32_t wf_tips_place(const struct wf_tip_set *set, const weft_id *id, bool *there)
{
    uint32_t low = 0, high = set->count;
    *there = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = weft_id_compare(&set->ids[middle], id);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool reserve(struct wf_tips *tips, struct wf_tip_set *set, uint32_t count)
{
    uint32_t room = set->room == 0 ? 8 : set->room;
    while (room < count) room *= 2;
    if (room == set->room) return true;
    weft_id *ids = wf_realloc(set->ids, room * sizeof *ids);
    if (ids == NULL) return false;
    tips->rooms += room - set->room;
    set->ids = ids;
    set->room = room;
    return true;
}

void wf_tips_keep(struct wf_tips *tips, uint64_t version, const uint8_t *prefix, size_t prefix_len,
                  const weft_id *ids, size_t count, size_t lowest)
{
    if (version != tips->version || count > WEFT_STORE_TIPS_SET_MAX) return;
    if (tips->rooms + 2 * count > WEFT_STORE_TIPS_MAX) wf_tips_clear(tips);
    uint32_t slot = slot_of(tips, prefix, prefix_len);
    drop(tips, slot);
    struct wf_tip_set *set = wf_calloc(1, sizeof *set);
    if (set == NULL) return;
    tips->slots[slot] = set;
    tips->sets++;
    set->prefix = wf_memdup(prefix, prefix_len);
    if (set->prefix == NULL || !reserve(tips, set, (uint32_t)count)) {
        drop(tips, slot);
        return;
    }
    set->prefix_len = prefix_len;
    set->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) set->ids[i] = ids[(lowest + i) % count];
}

static void add(struct wf_tips *tips, uint32_t slot, uint32_t at, const weft_id *id)
{
    struct wf_tip_set *set = tips->slots[slot];
    if (set->count == WEFT_STORE_TIPS_SET_MAX || !reserve(tips, set, set->count + 1)) {
        drop(tips, slot); /* rather none than a part */
        return;
    }
    memmove(set->ids + at + 1, set->ids + at, (set->count - at) * sizeof *set->ids);
    set->ids[at] = *id;
    set->count++;
}

static weft_err publish_one(void *arg, const wf_batch_op *op)
{
    struct wf_tips *tips = arg;
    if (op->cf != WF_CF_TIP || op->key_len < WEFT_ID_BYTES) return WEFT_OK;
    size_t prefix_len = op->key_len - WEFT_ID_BYTES;
    if (wf_tips_find(tips, op->key, prefix_len) == NULL) return WEFT_OK;
    uint32_t slot = slot_of(tips, op->key, prefix_len);
    struct wf_tip_set *set = tips->slots[slot];
    weft_id id;
    bool there;
    memcpy(id.bytes, op->key + prefix_len, WEFT_ID_BYTES);
    uint32_t at = wf_tips_place(set, &id, &there);
    if (!there && !op->is_delete) add(tips, slot, at, &id);
    if (there && op->is_delete) {
        set->count--;
        memmove(set->ids + at, set->ids + at + 1, (set->count - at) * sizeof *set->ids);
    }
    return WEFT_OK;
}

void wf_tips_publish(struct wf_tips *tips, const wf_batch *batch)
{
    if (tips->sets > 0) (void)wf_batch_each(batch, publish_one, tips);
    if (tips->rooms > WEFT_STORE_TIPS_MAX) wf_tips_clear(tips);
}

size_t wf_tips_bytes(const struct wf_tips *tips)
{
    return sizeof tips->slots + tips->sets * sizeof(struct wf_tip_set) +
           tips->rooms * sizeof(weft_id);
}
