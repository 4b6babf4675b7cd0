/* SPDX-License-Identifier: Apache-2.0
 * cursor.h - reading msgpack bytes from outside without trusting them.
 * Two steps: wf_scan checks the structure of a whole message in one bounded pass
 * without allocating; then a cursor reads its fields in order, by position, with
 * no object tree. A strict cursor takes only the canonical (shortest) forms.
 * Called by: transport (frames), store (entries), sync (wire). May touch: the
 * bytes it was given. Never: allocates, logs, recurses. */
#ifndef WF_CURSOR_H
#define WF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

/* Checks that `data` holds exactly one msgpack value, nested at most `depth`
 * deep (a scalar has depth 0, an array of scalars 1), with at most `nodes` values
 * in all; every declared length and count must fit in the bytes that remain, and
 * the running total over all nesting too. Maps, ext and reserved codes are
 * refused. OK, or WEFT_SYNTAX. O(len), no allocation. */
weft_err wf_scan(const uint8_t *data, size_t len, unsigned depth, size_t nodes);

typedef struct wf_cursor {
    const uint8_t *at, *end;
    bool strict;  /* refuse longer forms than needed: NOT_CANONICAL */
    weft_err err; /* the first error; every later read does nothing */
} wf_cursor;

wf_cursor wf_cursor_open(const uint8_t *data, size_t len, bool strict);

/* Each reads one value of its type; a mismatch sets err and yields zero, NULL or
 * false. Check `err` once, at the end. Pointers point into the bytes. */
uint32_t wf_cursor_array(wf_cursor *c, uint32_t max); /* count <= max, else SYNTAX */
uint64_t wf_cursor_uint(wf_cursor *c, uint64_t max);
int64_t wf_cursor_int(wf_cursor *c);
bool wf_cursor_bool(wf_cursor *c);
double wf_cursor_float(wf_cursor *c); /* float64 only              */
const uint8_t *wf_cursor_bin(wf_cursor *c, size_t min, size_t max, size_t *len);
const uint8_t *wf_cursor_bin_fixed(wf_cursor *c, size_t len);
const char *wf_cursor_str(wf_cursor *c, size_t min, size_t max, size_t *len); /* valid UTF-8 */
bool wf_cursor_nil(wf_cursor *c); /* true and consumed if nil   */
typedef enum wf_type {
    WF_T_NONE,
    WF_T_NIL,
    WF_T_BOOL,
    WF_T_UINT,
    WF_T_INT,
    WF_T_FLOAT,
    WF_T_STR,
    WF_T_BIN,
    WF_T_ARRAY
} wf_type;
wf_type wf_cursor_peek(const wf_cursor *c);
void wf_cursor_skip(wf_cursor *c); /* one value, iterative       */
/* OK if no error happened and all bytes were read; else the error or SYNTAX. */
weft_err wf_cursor_done(wf_cursor *c);

#endif
