/* SPDX-License-Identifier: Apache-2.0
 * table.c - the hash table of table.h.
 * Called by: engine, queue; one thread each. May touch: links and slots.
 * Never: walks in the order of slots. */
#include "table.h"

#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "log.h"

#define TABLE_ROOM_FIRST 16u

void wf_table_init(struct wf_table *table, size_t key_offset, size_t key_len,
                   const uint8_t salt[16])
{
    memset(table, 0, sizeof *table);
    table->key_offset = key_offset;
    table->key_len = key_len;
    memcpy(table->salt, salt, sizeof table->salt);
}

void wf_table_fini(struct wf_table *table)
{
    wf_free(table->slots);
    table->slots = NULL;
    table->room = table->count = 0;
    table->first = table->last = NULL;
}

static const uint8_t *key_of(const struct wf_table *table, const struct wf_link *link)
{
    return (const uint8_t *)link + table->key_offset;
}

static struct wf_link **slot_of(const struct wf_table *table, uint64_t hash)
{
    return &table->slots[hash & (table->room - 1)];
}

struct wf_link *wf_table_find(const struct wf_table *table, const void *key)
{
    if (table->room == 0) return NULL;
    uint64_t hash = wf_siphash(table->salt, key, table->key_len);
    for (struct wf_link *link = *slot_of(table, hash); link != NULL; link = link->chain)
        if (link->hash == hash && memcmp(key_of(table, link), key, table->key_len) == 0)
            return link;
    return NULL;
}

static weft_err grow(struct wf_table *table)
{
    size_t room = table->room == 0 ? TABLE_ROOM_FIRST : table->room * 2;
    struct wf_link **slots = wf_calloc(room, sizeof(struct wf_link *));
    if (slots == NULL) return WEFT_NO_MEMORY;
    wf_free(table->slots);
    table->slots = slots;
    table->room = room;
    for (struct wf_link *link = table->first; link != NULL; link = link->next) {
        struct wf_link **slot = slot_of(table, link->hash);
        link->chain = *slot;
        *slot = link;
    }
    return WEFT_OK;
}

weft_err wf_table_add(struct wf_table *table, struct wf_link *link)
{
    if (table->count >= table->room) {
        weft_err err = grow(table);
        if (err != WEFT_OK) return err;
    }
    link->hash = wf_siphash(table->salt, key_of(table, link), table->key_len);
    struct wf_link **slot = slot_of(table, link->hash);
    link->chain = *slot;
    *slot = link;
    link->prev = table->last;
    link->next = NULL;
    if (table->last == NULL) table->first = link;
    else table->last->next = link;
    table->last = link;
    table->count++;
    return WEFT_OK;
}

void wf_table_remove(struct wf_table *table, struct wf_link *link)
{
    WF_ASSERT(table->count > 0);
    struct wf_link **at = slot_of(table, link->hash);
    while (*at != link) {
        WF_ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = link->chain;
    if (link->prev == NULL) table->first = link->next;
    else link->prev->next = link->next;
    if (link->next == NULL) table->last = link->prev;
    else link->next->prev = link->prev;
    link->chain = link->prev = link->next = NULL;
    table->count--;
}
