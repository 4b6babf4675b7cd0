/* SPDX-License-Identifier: Apache-2.0
 * settings_rows.h - sync settings in memory: a row for each tree and principal, what the rows of a
 * tree come to, and the bytes of their records.
 * Called by: access_*.c. May touch: its own memory. Never: messages, clock, disk. */
#ifndef WF_SETTINGS_ROWS_H
#define WF_SETTINGS_ROWS_H

#include <weft/access.h>

struct wf_track_row {
    weft_id tree;
    weft_key principal; /* zero: the node itself */
    uint64_t change;    /* its number: of what two rows say of one property the later counts */
    bool gone;          /* in a list of changes: the row is to go */
    bool enabled, on_commit, has_interval;
    uint64_t interval_s;
    uint32_t properties_count, text_len;
    char text[]; /* of each property the key and the value, with their NULs, by key */
};
/* INVALID: the settings are not of the form that weft/access.h asks for. NO_MEMORY. */
weft_err wf_track_row_create(const weft_id *tree, const weft_key *principal,
                             const weft_sync_settings *settings, struct wf_track_row **out);
struct wf_track_row *wf_track_row_gone(const struct wf_track_row *row); /* NULL: no memory */
bool wf_track_row_equal(const struct wf_track_row *a, const struct wf_track_row *b); /* settings */
void wf_track_row_settings(const struct wf_track_row *row, weft_sync_settings *out);

enum { WF_TRACK_KEY_BYTES = 1 + 32 + 32, WF_TRACK_RECORD_MAX = 6144 };
void wf_track_row_key(const struct wf_track_row *row, uint8_t out[WF_TRACK_KEY_BYTES]);
size_t wf_track_row_encode(const struct wf_track_row *row, uint8_t out[WF_TRACK_RECORD_MAX]);
/* CORRUPT, NO_MEMORY. */
weft_err wf_track_row_decode(const uint8_t *key, size_t key_len, const uint8_t *value,
                             size_t value_len, struct wf_track_row **out);

struct wf_track_rows {
    struct wf_track_row **rows; /* ascending by tree, then principal */
    uint32_t count, room;
    uint32_t intervals; /* rows that have one */
    uint64_t change;    /* the last number   */
};
void wf_track_rows_fini(struct wf_track_rows *rows);
weft_err wf_track_rows_reserve(struct wf_track_rows *rows, uint32_t more); /* NO_MEMORY */
/* Puts a row that is not there yet to its place; takes it on OK. NO_MEMORY. */
weft_err wf_track_rows_add_take(struct wf_track_rows *rows, struct wf_track_row *row);
struct wf_track_row *wf_track_rows_find(const struct wf_track_rows *rows, const weft_id *tree,
                                        const weft_key *principal);
/* The rows of a tree are rows->rows[*first] and those after it; returns how many. */
uint32_t wf_track_rows_of(const struct wf_track_rows *rows, const weft_id *tree, uint32_t *first);
/* Changed rows take the place of others or come in, those that are gone go. Empties `changes`; for
 * as many as those there must be room (reserve). */
void wf_track_rows_apply_take(struct wf_track_rows *rows, struct wf_track_rows *changes);

/* What the rows of one tree come to, without their properties. */
struct wf_track_sum {
    uint32_t rows;
    bool enabled, on_commit, has_interval;
    uint64_t interval_s;
};
/* As it will be with `changes`; NULL: as it is. */
struct wf_track_sum wf_track_rows_sum(const struct wf_track_rows *rows,
                                      const struct wf_track_rows *changes, const weft_id *tree);
/* The same with the properties. NOT_FOUND: it has no rows. */
weft_err wf_track_rows_combined(const struct wf_track_rows *rows, const weft_id *tree,
                                weft_sync_settings *out);
/* Seconds: the least of all trees that are enabled; 0: none has one. */
uint64_t wf_track_rows_interval(const struct wf_track_rows *rows);

#endif
