/* SPDX-License-Identifier: Apache-2.0
 * settings_record.c - one row of sync settings: made, compared, and the bytes of its record.
 * Called by: access_*.c, settings_rows.c. May touch: its arguments, the heap.
 * Never: other rows, messages, disk. */
#include <assert.h>
#include <msgpack.h>
#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "log.h"
#include "records.h"
#include "settings_rows.h"
#include "utf8.h"

enum { RECORD_VERSION = 1, RECORD_FIELDS = 6, RECORD_DEPTH = 3, RECORD_NODES = 64 };

static_assert(WF_TRACK_RECORD_MAX > 64 + WEFT_PROPERTIES_MAX * (sizeof(weft_property) + 8),
              "a record has room for all properties");
static_assert(RECORD_NODES > RECORD_FIELDS + 1 + 3 * WEFT_PROPERTIES_MAX,
              "and its check for all their parts");

/* -- Making ----------------------------------------------------------------------------- */

static bool text_fits(const char *text, size_t room, size_t *len)
{
    const char *end = memchr(text, 0, room);
    if (end == NULL) return false;
    *len = (size_t)(end - text);
    return wf_utf8_valid((const uint8_t *)text, *len);
}

/* The properties by their keys. False: they are not of the form. */
static bool sort_properties(const weft_sync_settings *s,
                            const weft_property *order[WEFT_PROPERTIES_MAX], size_t *bytes)
{
    for (uint32_t i = 0; i < s->properties_count; i++) {
        const weft_property *p = &s->properties[i];
        size_t key_len, value_len;
        if (!text_fits(p->key, sizeof p->key, &key_len) || key_len == 0) return false;
        if (!text_fits(p->value, sizeof p->value, &value_len)) return false;
        uint32_t at = i;
        while (at > 0 && strcmp(order[at - 1]->key, p->key) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = p;
        if (at > 0 && strcmp(order[at - 1]->key, p->key) == 0) return false;
        *bytes += key_len + value_len + 2;
    }
    return true;
}

weft_err wf_track_row_create(const weft_id *tree, const weft_key *principal,
                             const weft_sync_settings *s, struct wf_track_row **out)
{
    const weft_property *order[WEFT_PROPERTIES_MAX];
    size_t bytes = 0;
    if (s->properties_count > WEFT_PROPERTIES_MAX || !sort_properties(s, order, &bytes))
        return WEFT_INVALID;
    if (s->has_interval && (s->interval_s == 0 || s->interval_s > WEFT_INTERVAL_S_MAX))
        return WEFT_INVALID;
    struct wf_track_row *row = wf_calloc(1, sizeof *row + bytes);
    if (row == NULL) return WEFT_NO_MEMORY;
    row->tree = *tree;
    row->principal = *principal;
    row->enabled = s->enabled;
    row->on_commit = s->on_commit;
    row->has_interval = s->has_interval;
    row->interval_s = s->has_interval ? s->interval_s : 0;
    row->properties_count = s->properties_count;
    for (uint32_t i = 0; i < s->properties_count; i++) {
        const char *texts[] = {order[i]->key, order[i]->value};
        for (unsigned k = 0; k < 2; k++) {
            size_t len = strlen(texts[k]) + 1;
            memcpy(row->text + row->text_len, texts[k], len);
            row->text_len += (uint32_t)len;
        }
    }
    *out = row;
    return WEFT_OK;
}

struct wf_track_row *wf_track_row_gone(const struct wf_track_row *row)
{
    struct wf_track_row *gone = wf_calloc(1, sizeof *gone);
    if (gone == NULL) return NULL;
    gone->tree = row->tree;
    gone->principal = row->principal;
    gone->gone = true;
    return gone;
}

bool wf_track_row_equal(const struct wf_track_row *a, const struct wf_track_row *b)
{
    return a->enabled == b->enabled && a->on_commit == b->on_commit &&
           a->has_interval == b->has_interval && a->interval_s == b->interval_s &&
           a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
}

void wf_track_row_settings(const struct wf_track_row *row, weft_sync_settings *out)
{
    const char *text = row->text;
    memset(out, 0, sizeof *out);
    out->enabled = row->enabled;
    out->on_commit = row->on_commit;
    out->has_interval = row->has_interval;
    out->interval_s = row->interval_s;
    out->properties_count = row->properties_count;
    for (uint32_t i = 0; i < row->properties_count; i++) {
        size_t key_len = strlen(text) + 1, value_len = strlen(text + key_len) + 1;
        memcpy(out->properties[i].key, text, key_len);
        memcpy(out->properties[i].value, text + key_len, value_len);
        text += key_len + value_len;
    }
}

/* -- Records ---------------------------------------------------------------------------- */

void wf_track_row_key(const struct wf_track_row *row, uint8_t out[WF_TRACK_KEY_BYTES])
{
    out[0] = WF_REC_TRACK;
    memcpy(out + 1, row->tree.bytes, sizeof row->tree.bytes);
    memcpy(out + 1 + sizeof row->tree.bytes, row->principal.bytes, sizeof row->principal.bytes);
}

struct sink {
    uint8_t *at;
    size_t len;
};

static int sink_write(void *data, const char *bytes, size_t len)
{
    struct sink *sink = data;
    WF_ASSERT(sink->len + len <= WF_TRACK_RECORD_MAX);
    memcpy(sink->at + sink->len, bytes, len);
    sink->len += len;
    return 0;
}

static const char *pack_text(msgpack_packer *pk, const char *text)
{
    size_t len = strlen(text);
    msgpack_pack_str(pk, len);
    msgpack_pack_str_body(pk, text, len);
    return text + len + 1;
}

size_t wf_track_row_encode(const struct wf_track_row *row, uint8_t out[WF_TRACK_RECORD_MAX])
{
    struct sink sink = {.at = out};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &sink, sink_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_uint64(&pk, row->change);
    if (row->enabled) msgpack_pack_true(&pk);
    else msgpack_pack_false(&pk);
    if (row->on_commit) msgpack_pack_true(&pk);
    else msgpack_pack_false(&pk);
    if (row->has_interval) msgpack_pack_uint64(&pk, row->interval_s);
    else msgpack_pack_nil(&pk);
    msgpack_pack_array(&pk, row->properties_count);
    const char *text = row->text;
    for (uint32_t i = 0; i < row->properties_count; i++) {
        msgpack_pack_array(&pk, 2);
        text = pack_text(&pk, text);
        text = pack_text(&pk, text);
    }
    return sink.len;
}

/* False: there is none, or one with a NUL inside. */
static bool read_text(wf_cursor *c, size_t min, char *out, size_t room)
{
    size_t len = 0;
    const char *text = wf_cursor_str(c, min, room - 1, &len);
    if (text == NULL || memchr(text, 0, len) != NULL) return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool read_settings(wf_cursor *c, weft_sync_settings *s)
{
    s->enabled = wf_cursor_bool(c);
    s->on_commit = wf_cursor_bool(c);
    s->has_interval = !wf_cursor_nil(c);
    if (s->has_interval) s->interval_s = wf_cursor_uint(c, WEFT_INTERVAL_S_MAX);
    s->properties_count = wf_cursor_array(c, WEFT_PROPERTIES_MAX);
    for (uint32_t i = 0; i < s->properties_count; i++) {
        weft_property *p = &s->properties[i];
        if (wf_cursor_array(c, 2) != 2) return false;
        if (!read_text(c, 1, p->key, sizeof p->key) || !read_text(c, 0, p->value, sizeof p->value))
            return false;
    }
    return wf_cursor_done(c) == WEFT_OK;
}

weft_err wf_track_row_decode(const uint8_t *key, size_t key_len, const uint8_t *value,
                             size_t value_len, struct wf_track_row **out)
{
    weft_id tree;
    weft_key principal;
    if (key_len != WF_TRACK_KEY_BYTES || key[0] != WF_REC_TRACK) return WEFT_CORRUPT;
    memcpy(tree.bytes, key + 1, sizeof tree.bytes);
    memcpy(principal.bytes, key + 1 + sizeof tree.bytes, sizeof principal.bytes);
    if (wf_scan(value, value_len, RECORD_DEPTH, RECORD_NODES) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(value, value_len, true);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS) return WEFT_CORRUPT;
    if (wf_cursor_uint(&c, UINT64_MAX) != RECORD_VERSION) return WEFT_CORRUPT;
    uint64_t change = wf_cursor_uint(&c, UINT64_MAX - 1);
    weft_sync_settings *s = wf_calloc(1, sizeof *s); /* large: not on a stack */
    if (s == NULL) return WEFT_NO_MEMORY;
    weft_err err = read_settings(&c, s) ? wf_track_row_create(&tree, &principal, s, out)
                                        : WEFT_CORRUPT;
    if (err == WEFT_OK) (*out)->change = change;
    wf_free(s);
    return err == WEFT_INVALID ? WEFT_CORRUPT : err;
}
