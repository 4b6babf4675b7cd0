/* SPDX-License-Identifier: Apache-2.0
 * catalog.c - every distinct entry of a run, found by its id. Equal ids are equal bytes,
 * so that each is kept, decoded and verified once, however many nodes hold it.
 * Called by: judge.c. May touch: its struct. Never: believes an id that it was told. */
#include "catalog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

static size_t slot_of(const struct catalog *cat, const weft_id *id)
{
    uint64_t key;
    memcpy(&key, id->bytes, sizeof key);
    size_t at = (size_t)key & (cat->slots_size - 1);
    while (cat->slots[at] != 0 && !weft_id_equal(&cat->items[cat->slots[at] - 1].id, id))
        at = (at + 1) & (cat->slots_size - 1);
    return at;
}

int64_t catalog_find(const struct catalog *cat, const weft_id *id)
{
    if (cat->slots_size == 0) return -1;
    return (int64_t)cat->slots[slot_of(cat, id)] - 1;
}

static void slots_grow(struct catalog *cat)
{
    free(cat->slots);
    cat->slots_size = cat->slots_size == 0 ? 4096 : cat->slots_size * 2;
    cat->slots = kit_alloc(cat->slots_size, sizeof *cat->slots);
    for (size_t i = 0; i < cat->count; i++)
        cat->slots[slot_of(cat, &cat->items[i].id)] = (uint32_t)i + 1;
}

uint32_t catalog_put(struct catalog *cat, const weft_id *id)
{
    if (cat->count >= cat->slots_size / 2) slots_grow(cat);
    size_t at = slot_of(cat, id);
    if (cat->slots[at] != 0) return cat->slots[at] - 1;
    cat->items = kit_grow(cat->items, &cat->room, cat->count + 1, sizeof *cat->items);
    cat->items[cat->count] = (struct item){.id = *id, .number = UINT64_MAX};
    cat->slots[at] = (uint32_t)++cat->count;
    return (uint32_t)cat->count - 1;
}

static void parent_add(struct catalog *cat, struct item *item, const weft_id *parent)
{
    for (uint32_t i = 0; i < item->parents_count; i++)
        if (weft_id_equal(&cat->parents[item->parents_at + i], parent)) return;
    cat->parents = kit_grow(cat->parents, &cat->parents_room, cat->parents_len + 1,
                            sizeof *cat->parents);
    cat->parents[cat->parents_len++] = *parent;
    item->parents_count++;
}

uint32_t catalog_found(struct catalog *cat, const weft_entry *entry)
{
    uint32_t index = catalog_put(cat, &entry->id);
    struct item *item = &cat->items[index];
    if (item->found) return index;
    weft_id parent;
    item->found = true;
    item->len = (uint32_t)entry->len;
    item->bytes_at = cat->bytes_len;
    cat->bytes = kit_grow(cat->bytes, &cat->bytes_room, cat->bytes_len + entry->len, 1);
    memcpy(cat->bytes + cat->bytes_len, entry->bytes, entry->len);
    cat->bytes_len += entry->len;
    item->parents_at = cat->parents_len;
    for (uint32_t i = 0; i < entry->parents_count; i++) {
        weft_entry_parent(entry, i, &parent);
        parent_add(cat, item, &parent);
    }
    for (uint32_t s = 0; s < entry->stores_count; s++)
        for (uint32_t i = 0; i < entry->stores[s].parents_count; i++) {
            weft_entry_store_parent(&entry->stores[s], i, &parent);
            parent_add(cat, item, &parent);
        }
    return index;
}

struct verifier {
    struct catalog *cat;
    pthread_t thread;
    size_t first, step;
    uint64_t bad;
};

static void *verify(void *arg)
{
    struct verifier *v = arg;
    weft_entry entry;
    for (size_t i = v->first; i < v->cat->count && kit_signal() == 0; i += v->step) {
        struct item *item = &v->cat->items[i];
        if (!item->found) continue;
        item->sound = weft_entry_decode(v->cat->bytes + item->bytes_at, item->len, &entry) ==
                          WEFT_OK &&
                      weft_entry_verify(&entry) == WEFT_OK;
        if (!item->sound) v->bad++;
    }
    return NULL;
}

uint64_t catalog_verify(struct catalog *cat, uint32_t threads)
{
    struct verifier *all = kit_alloc(threads, sizeof *all);
    uint64_t bad = 0;
    for (uint32_t i = 0; i < threads; i++) {
        all[i] = (struct verifier){.cat = cat, .first = i, .step = threads};
        if (pthread_create(&all[i].thread, NULL, verify, &all[i]) != 0) {
            verify(&all[i]); /* no thread to be had: do its share here */
            all[i].step = 0;
        }
    }
    for (uint32_t i = 0; i < threads; i++) {
        if (all[i].step != 0) pthread_join(all[i].thread, NULL);
        bad += all[i].bad;
    }
    free(all);
    return bad;
}

void catalog_free(struct catalog *cat)
{
    free(cat->items);
    free(cat->slots);
    free(cat->bytes);
    free(cat->parents);
    *cat = (struct catalog){0};
}
