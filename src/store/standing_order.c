/* SPDX-License-Identifier: Apache-2.0
 * standing_order.c - the orders of a tree's statements: by place, by the key that a word is about, by
 * the strength of their authors.
 * Called by: standing.c, standing_ways.c. May touch: the heap. Never: judges; the store. */
#include <stdlib.h>

#include "alloc.h"
#include "standing.h"

struct placed {
    wf_stamp at;
    weft_key key;
    wf_grant strength;
    uint32_t index;
};

static int by_place(const void *a, const void *b)
{
    return wf_stamp_compare(&((const struct placed *)a)->at, &((const struct placed *)b)->at);
}

static int by_key_and_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = weft_key_compare(&x->key, &y->key);
    return order != 0 ? order : wf_stamp_compare(&x->at, &y->at);
}

static int strongest_first(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = wf_grant_compare(&y->strength, &x->strength);
    return order != 0 ? order : wf_stamp_compare(&x->at, &y->at);
}

static struct placed placed(const struct wf_standing *s, uint32_t statement, uint32_t index)
{
    const struct wf_statement *st = &s->list[statement];
    return (struct placed){
        .at = {st->place.gen, st->place.id}, .strength = st->strength, .index = index};
}

static void put_keys(struct wf_standing *s, const struct placed *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wf_standing_key *last = s->keys_count == 0 ? NULL : &s->keys[s->keys_count - 1];
        if (last == NULL || !weft_key_equal(&last->key, &list[i].key)) {
            last = &s->keys[s->keys_count++];
            *last = (struct wf_standing_key){.key = list[i].key, .first = i};
        }
        s->by_key[i] = list[i].index;
        last->count++;
    }
}

void wf_standing_order_fini(struct wf_standing *s)
{
    wf_free(s->order);
    wf_free(s->by_key);
    wf_free(s->keys);
    s->order = s->by_key = NULL;
    s->keys = NULL;
    s->keys_count = 0;
}

static weft_err make(struct wf_standing *s, struct placed *list)
{
    uint32_t count = 0;
    wf_standing_order_fini(s);
    s->order = wf_malloc((s->count + 1) * sizeof *s->order);
    s->by_key = wf_malloc((s->words_count + 1) * sizeof *s->by_key);
    s->keys = wf_malloc((s->words_count + 1) * sizeof *s->keys);
    if (s->order == NULL || s->by_key == NULL || s->keys == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < s->count; i++) list[i] = placed(s, i, i);
    qsort(list, s->count, sizeof *list, by_place);
    for (uint32_t i = 0; i < s->count; i++) s->order[i] = list[i].index;
    for (uint32_t i = 0; i < s->words_count; i++) {
        if (s->words[i].everyone) continue;
        list[count] = placed(s, s->words[i].statement, i);
        list[count++].key = s->words[i].key;
    }
    qsort(list, count, sizeof *list, by_key_and_place);
    put_keys(s, list, count);
    return WEFT_OK;
}

static uint32_t sort_strongest(const struct wf_standing *s, struct placed *list, uint32_t *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->list[i].revokes) list[count++] = placed(s, i, i);
    qsort(list, count, sizeof *list, strongest_first);
    for (uint32_t i = 0; i < count; i++) out[i] = list[i].index;
    return count;
}

weft_err wf_standing_order(struct wf_standing *s, uint32_t *strongest, uint32_t *count)
{
    const uint32_t room = (s->count > s->words_count ? s->count : s->words_count) + 1;
    struct placed *list = wf_malloc(room * sizeof *list);
    if (list == NULL) return WEFT_NO_MEMORY;
    weft_err err = make(s, list);
    if (err == WEFT_OK) *count = sort_strongest(s, list, strongest);
    wf_free(list);
    return err;
}

uint32_t wf_standing_key_of(const struct wf_standing *s, const weft_key *key)
{
    uint32_t low = 0, high = s->keys_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (weft_key_compare(&s->keys[middle].key, key) < 0) low = middle + 1;
        else high = middle;
    }
    return low < s->keys_count && weft_key_equal(&s->keys[low].key, key) ? low : WF_NONE;
}
