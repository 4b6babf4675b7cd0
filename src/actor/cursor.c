/* SPDX-License-Identifier: Apache-2.0
 * cursor.c - reading msgpack values in order, by position.
 * Called by: transport, store, sync. May touch: the bytes it was given.
 * Never: allocates, logs, recurses, reads past the end. */
#include "cursor.h"

#include <string.h>

#include "head.h"
#include "utf8.h"

wf_cursor wf_cursor_open(const uint8_t *data, size_t len, bool strict)
{
    return (wf_cursor){.at = data, .end = data + len, .strict = strict, .err = WEFT_OK};
}

static void fail(wf_cursor *c, weft_err err)
{
    if (c->err == WEFT_OK) c->err = err;
}

/* Reads the head of one value of class `want` and steps over it. */
static bool take(wf_cursor *c, enum wf_class want, struct wf_head *head)
{
    if (c->err != WEFT_OK) return false;
    if (!wf_head_read(c->at, (size_t)(c->end - c->at), head) || head->class != want) {
        fail(c, WEFT_SYNTAX);
        return false;
    }
    if (c->strict && !head->shortest) {
        fail(c, WEFT_NOT_CANONICAL);
        return false;
    }
    c->at += head->len;
    return true;
}

uint32_t wf_cursor_array(wf_cursor *c, uint32_t max)
{
    struct wf_head head;
    if (!take(c, WF_CLASS_ARRAY, &head)) return 0;
    /* Each element takes a byte at least: more cannot be here. */
    if (head.value > max || head.value > (uint64_t)(c->end - c->at)) {
        fail(c, WEFT_SYNTAX);
        return 0;
    }
    return (uint32_t)head.value;
}

uint64_t wf_cursor_uint(wf_cursor *c, uint64_t max)
{
    struct wf_head head;
    if (!take(c, WF_CLASS_UINT, &head)) return 0;
    if (head.value > max) {
        fail(c, WEFT_SYNTAX);
        return 0;
    }
    return head.value;
}

int64_t wf_cursor_int(wf_cursor *c)
{
    struct wf_head head;
    if (wf_cursor_peek(c) == WF_T_UINT) return (int64_t)wf_cursor_uint(c, INT64_MAX);
    if (!take(c, WF_CLASS_INT, &head)) return 0;
    int64_t value;
    memcpy(&value, &head.value, sizeof value); /* two's complement, as on the wire */
    return value;
}

bool wf_cursor_bool(wf_cursor *c)
{
    struct wf_head head;
    return take(c, WF_CLASS_BOOL, &head) && head.value != 0;
}

double wf_cursor_float(wf_cursor *c)
{
    struct wf_head head;
    if (!take(c, WF_CLASS_FLOAT, &head)) return 0;
    if (head.len != 9) { /* a float32 is well-formed, but nobody writes it */
        fail(c, WEFT_SYNTAX);
        return 0;
    }
    double value;
    memcpy(&value, &head.value, sizeof value);
    return value;
}

/* The body that follows a str or bin head. */
static const uint8_t *take_body(wf_cursor *c, enum wf_class want, size_t min, size_t max,
                                size_t *len)
{
    struct wf_head head;
    if (!take(c, want, &head)) return NULL;
    if (head.value > (uint64_t)(c->end - c->at) || head.value < min || head.value > max) {
        fail(c, WEFT_SYNTAX);
        return NULL;
    }
    const uint8_t *body = c->at;
    c->at += head.value;
    *len = (size_t)head.value;
    return body;
}

const uint8_t *wf_cursor_bin(wf_cursor *c, size_t min, size_t max, size_t *len)
{
    size_t got = 0;
    const uint8_t *body = take_body(c, WF_CLASS_BIN, min, max, &got);
    if (len != NULL) *len = got;
    return body;
}

const uint8_t *wf_cursor_bin_fixed(wf_cursor *c, size_t len)
{
    size_t got;
    return take_body(c, WF_CLASS_BIN, len, len, &got);
}

const char *wf_cursor_str(wf_cursor *c, size_t min, size_t max, size_t *len)
{
    size_t got = 0;
    const uint8_t *body = take_body(c, WF_CLASS_STR, min, max, &got);
    if (body != NULL && !wf_utf8_valid(body, got)) {
        fail(c, WEFT_SYNTAX);
        body = NULL;
        got = 0;
    }
    if (len != NULL) *len = got;
    return (const char *)body;
}

bool wf_cursor_nil(wf_cursor *c)
{
    struct wf_head head;
    return wf_cursor_peek(c) == WF_T_NIL && take(c, WF_CLASS_NIL, &head);
}

wf_type wf_cursor_peek(const wf_cursor *c)
{
    static const wf_type types[] = {
        [WF_CLASS_NIL] = WF_T_NIL,     [WF_CLASS_BOOL] = WF_T_BOOL,  [WF_CLASS_UINT] = WF_T_UINT,
        [WF_CLASS_INT] = WF_T_INT,     [WF_CLASS_STR] = WF_T_STR,    [WF_CLASS_BIN] = WF_T_BIN,
        [WF_CLASS_ARRAY] = WF_T_ARRAY, [WF_CLASS_FLOAT] = WF_T_FLOAT};
    struct wf_head head;
    if (c->err != WEFT_OK || !wf_head_read(c->at, (size_t)(c->end - c->at), &head))
        return WF_T_NONE;
    return types[head.class];
}

/* Steps over one value and adds what it announces to `owed`. */
static weft_err step_over(wf_cursor *c, uint64_t *owed)
{
    struct wf_head head;
    uint64_t left = (uint64_t)(c->end - c->at);
    if (!wf_head_read(c->at, (size_t)left, &head)) return WEFT_SYNTAX;
    if (c->strict && !head.shortest) return WEFT_NOT_CANONICAL;
    left -= head.len;
    size_t body = 0;
    if (head.class == WF_CLASS_ARRAY) {
        *owed += head.value;
    } else if (head.class == WF_CLASS_STR || head.class == WF_CLASS_BIN) {
        if (head.value > left) return WEFT_SYNTAX;
        body = (size_t)head.value;
    }
    if (head.class == WF_CLASS_STR && !wf_utf8_valid(c->at + head.len, body)) return WEFT_SYNTAX;
    c->at += head.len + body;
    return WEFT_OK;
}

void wf_cursor_skip(wf_cursor *c)
{
    /* Each value takes a byte at least, so more than the bytes that are left cannot be
     * owed, and the loop ends with the input at the latest. */
    for (uint64_t owed = 1; owed > 0 && c->err == WEFT_OK; owed--) {
        weft_err err = step_over(c, &owed);
        if (err == WEFT_OK && owed - 1 > (uint64_t)(c->end - c->at)) err = WEFT_SYNTAX;
        if (err != WEFT_OK) fail(c, err);
    }
}

weft_err wf_cursor_done(wf_cursor *c)
{
    if (c->at != c->end) fail(c, WEFT_SYNTAX);
    return c->err;
}
