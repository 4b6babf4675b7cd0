/* SPDX-License-Identifier: Apache-2.0
 * settings_rows.c - sync settings in memory, by tree and principal, and what those of a tree come
 * to: OR, OR, MIN, UNION.
 * Called by: access_*.c. May touch: its own memory. Never: messages, clock, disk. */
#include "settings_rows.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

void wf_track_rows_fini(struct wf_track_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) wf_free(rows->rows[i]);
    wf_free(rows->rows);
    *rows = (struct wf_track_rows){0};
}

weft_err wf_track_rows_reserve(struct wf_track_rows *rows, uint32_t more)
{
    if (rows->count + more <= rows->room) return WEFT_OK;
    uint32_t room = rows->count + more;
    if (room < 2 * rows->room) room = 2 * rows->room;
    struct wf_track_row **list = wf_realloc(rows->rows, room * sizeof(*list));
    if (list == NULL) return WEFT_NO_MEMORY;
    rows->rows = list;
    rows->room = room;
    return WEFT_OK;
}

/* -- Finding ---------------------------------------------------------------------------- */

static int compare(const struct wf_track_row *row, const weft_id *tree, const weft_key *principal)
{
    int order = weft_id_compare(&row->tree, tree);
    return order != 0 ? order : weft_key_compare(&row->principal, principal);
}

/* The first position whose row is not below. */
static uint32_t lower_bound(const struct wf_track_rows *rows, const weft_id *tree,
                            const weft_key *principal)
{
    uint32_t lo = 0, hi = rows->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare(rows->rows[mid], tree, principal) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

struct wf_track_row *wf_track_rows_find(const struct wf_track_rows *rows, const weft_id *tree,
                                        const weft_key *principal)
{
    uint32_t at = lower_bound(rows, tree, principal);
    if (at == rows->count || compare(rows->rows[at], tree, principal) != 0) return NULL;
    return rows->rows[at];
}

uint32_t wf_track_rows_of(const struct wf_track_rows *rows, const weft_id *tree, uint32_t *first)
{
    static const weft_key least;
    uint32_t at = lower_bound(rows, tree, &least), end = at;
    while (end < rows->count && weft_id_equal(&rows->rows[end]->tree, tree)) end++;
    *first = at;
    return end - at;
}

/* -- Changing --------------------------------------------------------------------------- */

static void note(struct wf_track_rows *rows, const struct wf_track_row *row)
{
    rows->intervals += row->has_interval;
    if (row->change > rows->change) rows->change = row->change;
}

weft_err wf_track_rows_add_take(struct wf_track_rows *rows, struct wf_track_row *row)
{
    weft_err err = wf_track_rows_reserve(rows, 1);
    if (err != WEFT_OK) return err;
    uint32_t at = lower_bound(rows, &row->tree, &row->principal);
    memmove(&rows->rows[at + 1], &rows->rows[at], (rows->count - at) * sizeof(*rows->rows));
    rows->rows[at] = row;
    rows->count++;
    note(rows, row);
    return WEFT_OK;
}

/* Those that are here are replaced or taken out; what is left of the changes is new. */
static void replace(struct wf_track_rows *rows, struct wf_track_rows *changes)
{
    uint32_t kept = 0, left = 0, at = 0;
    for (uint32_t i = 0; i < changes->count; i++) {
        struct wf_track_row *row = changes->rows[i];
        while (at < rows->count && compare(rows->rows[at], &row->tree, &row->principal) < 0)
            rows->rows[kept++] = rows->rows[at++];
        bool here = at < rows->count && compare(rows->rows[at], &row->tree, &row->principal) == 0;
        if (here) {
            rows->intervals -= rows->rows[at]->has_interval;
            wf_free(rows->rows[at++]);
        }
        if (row->gone) {
            wf_free(row);
            continue;
        }
        note(rows, row);
        if (here) rows->rows[kept++] = row;
        else changes->rows[left++] = row;
    }
    while (at < rows->count) rows->rows[kept++] = rows->rows[at++];
    rows->count = kept;
    changes->count = left;
}

void wf_track_rows_apply_take(struct wf_track_rows *rows, struct wf_track_rows *changes)
{
    replace(rows, changes);
    WF_ASSERT(rows->count + changes->count <= rows->room);
    uint32_t old = rows->count, fresh = changes->count;
    rows->count += changes->count;
    for (uint32_t to = rows->count; fresh > 0; to--) { /* from the end, so none is in the way */
        const struct wf_track_row *row = changes->rows[fresh - 1];
        bool first = old > 0 && compare(rows->rows[old - 1], &row->tree, &row->principal) > 0;
        rows->rows[to - 1] = first ? rows->rows[--old] : changes->rows[--fresh];
    }
    changes->count = 0;
}

/* -- What they come to ------------------------------------------------------------------- */

static void sum_add(struct wf_track_sum *sum, const struct wf_track_row *row)
{
    sum->rows++;
    sum->enabled |= row->enabled;
    sum->on_commit |= row->on_commit;
    if (!row->has_interval) return;
    if (!sum->has_interval || row->interval_s < sum->interval_s) sum->interval_s = row->interval_s;
    sum->has_interval = true;
}

struct wf_track_sum wf_track_rows_sum(const struct wf_track_rows *rows,
                                      const struct wf_track_rows *changes, const weft_id *tree)
{
    struct wf_track_sum sum = {0};
    uint32_t first, count = wf_track_rows_of(rows, tree, &first);
    for (uint32_t i = first; i < first + count; i++)
        if (changes == NULL || wf_track_rows_find(changes, tree, &rows->rows[i]->principal) == NULL)
            sum_add(&sum, rows->rows[i]);
    count = changes == NULL ? 0 : wf_track_rows_of(changes, tree, &first);
    for (uint32_t i = 0; i < count; i++)
        if (!changes->rows[first + i]->gone) sum_add(&sum, changes->rows[first + i]);
    return sum;
}

/* The row that changed last before `before`; NULL: none did. */
static const struct wf_track_row *latest(const struct wf_track_rows *rows, uint32_t first,
                                         uint32_t count, uint64_t before)
{
    const struct wf_track_row *found = NULL;
    for (uint32_t i = first; i < first + count; i++) {
        const struct wf_track_row *row = rows->rows[i];
        if (row->change < before && (found == NULL || row->change > found->change)) found = row;
    }
    return found;
}

/* Those that are not there yet, in the order of their keys, while there is room. */
static void add_properties(weft_sync_settings *out, const struct wf_track_row *row)
{
    const char *text = row->text;
    for (uint32_t i = 0; i < row->properties_count; i++) {
        const char *key = text, *value = key + strlen(key) + 1;
        text = value + strlen(value) + 1;
        uint32_t at = 0;
        while (at < out->properties_count && strcmp(out->properties[at].key, key) < 0) at++;
        bool there = at < out->properties_count && strcmp(out->properties[at].key, key) == 0;
        if (there || out->properties_count == WEFT_PROPERTIES_MAX) continue;
        memmove(&out->properties[at + 1], &out->properties[at],
                (out->properties_count - at) * sizeof out->properties[at]);
        memset(&out->properties[at], 0, sizeof out->properties[at]);
        memcpy(out->properties[at].key, key, strlen(key));
        memcpy(out->properties[at].value, value, strlen(value));
        out->properties_count++;
    }
}

weft_err wf_track_rows_combined(const struct wf_track_rows *rows, const weft_id *tree,
                                weft_sync_settings *out)
{
    uint32_t first, count = wf_track_rows_of(rows, tree, &first);
    if (count == 0) return WEFT_NOT_FOUND;
    struct wf_track_sum sum = wf_track_rows_sum(rows, NULL, tree);
    memset(out, 0, sizeof *out);
    out->enabled = sum.enabled;
    out->on_commit = sum.on_commit;
    out->has_interval = sum.has_interval;
    out->interval_s = sum.interval_s;
    const struct wf_track_row *row = NULL;
    uint64_t before = UINT64_MAX;
    while ((row = latest(rows, first, count, before)) != NULL) {
        add_properties(out, row);
        before = row->change;
    }
    return WEFT_OK;
}

uint64_t wf_track_rows_interval(const struct wf_track_rows *rows)
{
    uint64_t least = 0;
    if (rows->intervals == 0) return 0;
    for (uint32_t i = 0; i < rows->count;) {
        struct wf_track_sum sum = {0};
        uint32_t first = i;
        for (; i < rows->count && weft_id_equal(&rows->rows[i]->tree, &rows->rows[first]->tree);
             i++)
            sum_add(&sum, rows->rows[i]);
        if (sum.enabled && sum.has_interval && (least == 0 || sum.interval_s < least))
            least = sum.interval_s;
    }
    return least;
}
