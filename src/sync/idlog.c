/* SPDX-License-Identifier: Apache-2.0
 * idlog.c - a bounded memory of ids (idlog.h).
 * Called by: queue. May touch: its own memory.
 * Never: holds more than WEFT_HOLDERS_MAX ids. */
#include "idlog.h"

#include <stddef.h>

#include "alloc.h"
#include "ids.h"

struct item {
    struct wf_link link;
    weft_id id;
    uint64_t number;
};

void wf_idlog_init(struct wf_idlog *log, const uint8_t salt[16])
{
    wf_table_init(&log->ids, offsetof(struct item, id), sizeof(weft_id), salt);
    log->max = 0;
}

static void forget(struct wf_idlog *log, struct wf_link *link)
{
    wf_table_remove(&log->ids, link);
    wf_free(link);
}

void wf_idlog_clear(struct wf_idlog *log)
{
    while (log->ids.first != NULL) forget(log, log->ids.first);
    log->max = 0;
}

void wf_idlog_fini(struct wf_idlog *log)
{
    wf_idlog_clear(log);
    wf_table_fini(&log->ids);
}

void wf_idlog_put(struct wf_idlog *log, const weft_id *id, uint64_t number)
{
    if (number > log->max) log->max = number;
    struct item *item = (struct item *)wf_table_find(&log->ids, id->bytes);
    if (item != NULL) {
        item->number = number;
        return;
    }
    if (log->ids.count >= WEFT_HOLDERS_MAX) forget(log, log->ids.first);
    item = wf_calloc(1, sizeof *item);
    if (item == NULL) return;
    item->id = *id;
    item->number = number;
    if (wf_table_add(&log->ids, &item->link) != WEFT_OK) wf_free(item);
}

uint64_t wf_idlog_get(const struct wf_idlog *log, const weft_id *id)
{
    const struct item *item = (const struct item *)wf_table_find(&log->ids, id->bytes);
    return item == NULL ? 0 : item->number;
}

uint32_t wf_idlog_copy(const struct wf_idlog *log, weft_id *out)
{
    uint32_t count = 0;
    for (const struct wf_link *at = log->ids.first; at != NULL; at = at->next)
        out[count++] = ((const struct item *)at)->id;
    return wf_ids_sort_unique(out, count);
}
