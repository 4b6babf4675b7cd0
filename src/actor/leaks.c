/* SPDX-License-Identifier: Apache-2.0
 * leaks.c - the count of messages that were made and not dropped, by kind.
 * Called by: msg.c for each message, rt.c for each runtime; in debug builds only. May touch: its
 * table. Never: a message; orders anybody's accesses, or it would hide the races of others. */
#include "leaks.h"

#if WF_TRACK

#include <string.h>

#include "atomic.h"
#include "log.h"

#define KINDS_MAX 1024u /* those beyond are not counted */

/* All of it relaxed: kinds are static objects, and the rest are counts. */
static struct row {
    const weft_kind *kind;
    int64_t left;
} rows[KINDS_MAX];
static uint32_t runtimes;

/* NULL: the table is full. */
static struct row *row_of(const weft_kind *kind)
{
    uint32_t at = (uint32_t)((uintptr_t)kind / sizeof(void *)) * 2654435761u;
    for (uint32_t n = 0; n < KINDS_MAX; n++) {
        struct row *row = &rows[(at + n) % KINDS_MAX];
        const weft_kind *seen = wf_load(&row->kind, WF_RELAXED);
        if (seen == kind) return row;
        if (seen == NULL && (wf_cas(&row->kind, &seen, kind, WF_RELAXED) || seen == kind))
            return row;
    }
    return NULL;
}

void wf_leaks_made(const weft_kind *kind)
{
    struct row *row = row_of(kind);
    if (row != NULL) (void)wf_add(&row->left, 1, WF_RELAXED);
}

void wf_leaks_dropped(const weft_kind *kind)
{
    struct row *row = row_of(kind);
    if (row != NULL) (void)wf_sub(&row->left, 1, WF_RELAXED);
}

/* In the order of names, then of numbers: where a kind lies in memory must not show. */
static bool is_after(const weft_kind *kind, const weft_kind *last)
{
    if (last == NULL) return true;
    int order = strcmp(kind->name, last->name);
    return order > 0 || (order == 0 && kind->id > last->id);
}

static const struct row *next_after(const weft_kind *last)
{
    const struct row *best = NULL;
    for (uint32_t n = 0; n < KINDS_MAX; n++) {
        const weft_kind *kind = wf_load(&rows[n].kind, WF_RELAXED);
        if (kind == NULL || !is_after(kind, last)) continue;
        if (best == NULL || is_after(best->kind, kind)) best = &rows[n];
    }
    return best;
}

static void name_left(void)
{
    const struct row *row = NULL;
    while ((row = next_after(row == NULL ? NULL : row->kind)) != NULL) {
        int64_t left = wf_load(&row->left, WF_RELAXED);
        if (left <= 0) continue;
        const weft_log_field fields[] = {{"kind", WEFT_LOG_STR, {.s = row->kind->name}},
                                         {"count", WEFT_LOG_INT, {.i = left}}};
        weft_log_write(WEFT_LOG_WARN, "messages", "never dropped", fields, 2);
    }
}

void wf_leaks_begin(void) { (void)wf_add(&runtimes, 1, WF_RELAXED); }

void wf_leaks_end(void)
{
    if (wf_sub(&runtimes, 1, WF_RELAXED) == 1) name_left();
}

#else

void wf_leaks_begin(void) {}

void wf_leaks_end(void) {}

#endif
