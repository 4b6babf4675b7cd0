/* SPDX-License-Identifier: Apache-2.0
 * asked.c - what this node has asked elsewhere, in memory, and the bytes of its records.
 * Called by: join_desk.c, join_asking.c, join_said.c. May touch: its own memory.
 * Never: messages, clock, disk. */
#include "asked.h"

#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "log.h"
#include "pack.h"

void wf_asked_fini(struct wf_asked *asked)
{
    wf_free(asked->rows);
    *asked = (struct wf_asked){0};
}

static int compare(const struct wf_asked_row *row, const weft_id *tree, const weft_key *key)
{
    int order = weft_id_compare(&row->tree, tree);
    return order != 0 ? order : weft_key_compare(&row->key, key);
}

static uint32_t place_of(const struct wf_asked *asked, const weft_id *tree, const weft_key *key)
{
    uint32_t lo = 0, hi = asked->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare(&asked->rows[mid], tree, key) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

struct wf_asked_row *wf_asked_find(const struct wf_asked *asked, const weft_id *tree,
                                   const weft_key *key)
{
    uint32_t at = place_of(asked, tree, key);
    return at < asked->count && compare(&asked->rows[at], tree, key) == 0 ? &asked->rows[at] : NULL;
}

struct wf_asked_row *wf_asked_of(const struct wf_asked *asked, const weft_key *server,
                                 const uint8_t id[16])
{
    for (uint32_t i = 0; i < asked->count; i++)
        if (weft_key_equal(&asked->rows[i].server, server) &&
            memcmp(asked->rows[i].id, id, sizeof asked->rows[i].id) == 0)
            return &asked->rows[i];
    return NULL;
}

weft_err wf_asked_put(struct wf_asked *asked, const struct wf_asked_row *row)
{
    struct wf_asked_row *there = wf_asked_find(asked, &row->tree, &row->key);
    if (there != NULL) {
        *there = *row;
        return WEFT_OK;
    }
    if (asked->count == WEFT_ASKED_MAX) return WEFT_LIMIT;
    if (asked->count == asked->room) {
        uint32_t room = asked->room == 0 ? 4 : asked->room * 2;
        struct wf_asked_row *rows = wf_realloc(asked->rows, room * sizeof *rows);
        if (rows == NULL) return WEFT_NO_MEMORY;
        asked->rows = rows;
        asked->room = room;
    }
    uint32_t at = place_of(asked, &row->tree, &row->key);
    memmove(&asked->rows[at + 1], &asked->rows[at], (asked->count - at) * sizeof *row);
    asked->rows[at] = *row;
    asked->count++;
    return WEFT_OK;
}

void wf_asked_remove(struct wf_asked *asked, struct wf_asked_row *row)
{
    uint32_t at = (uint32_t)(row - asked->rows);
    WF_ASSERT(at < asked->count);
    asked->count--;
    memmove(row, row + 1, (asked->count - at) * sizeof *row);
}

/* -- Records ---------------------------------------------------------------------------- */

enum { RECORD_VERSION = 1, RECORD_FIELDS = 7 };

size_t wf_asked_record_encode(const struct wf_asked_row *row, uint8_t out[WF_ASKED_RECORD_MAX])
{
    struct wf_pack pack = {out, out + WF_ASKED_RECORD_MAX, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    wf_pack_bin(&pk, row->server.bytes, sizeof row->server.bytes);
    wf_pack_bin(&pk, row->id, sizeof row->id);
    wf_pack_str(&pk, row->name, strlen(row->name));
    msgpack_pack_uint64(&pk, (uint64_t)row->right);
    msgpack_pack_uint64(&pk, row->priority);
    msgpack_pack_int64(&pk, row->asked_ms);
    WF_ASSERT(!pack.overflow); /* each field is bounded */
    return (size_t)(pack.at - out);
}

weft_err wf_asked_record_decode(const uint8_t *bytes, size_t len, struct wf_asked_row *out)
{
    size_t name_len = 0;
    if (wf_scan(bytes, len, 1, RECORD_FIELDS + 1) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS ||
        wf_cursor_uint(&c, RECORD_VERSION) != RECORD_VERSION)
        return WEFT_CORRUPT;
    const uint8_t *server = wf_cursor_bin_fixed(&c, sizeof out->server.bytes);
    const uint8_t *id = wf_cursor_bin_fixed(&c, sizeof out->id);
    const char *name = wf_cursor_str(&c, 1, WEFT_KEY_NAME_BYTES_MAX, &name_len);
    out->right = (weft_right)wf_cursor_uint(&c, WEFT_RIGHT_ADMIN);
    out->priority = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    out->asked_ms = wf_cursor_int(&c);
    if (wf_cursor_done(&c) != WEFT_OK || out->asked_ms < 0) return WEFT_CORRUPT;
    if (memchr(name, '\0', name_len) != NULL) return WEFT_CORRUPT;
    memcpy(out->server.bytes, server, sizeof out->server.bytes);
    memcpy(out->id, id, sizeof out->id);
    memcpy(out->name, name, name_len);
    out->name[name_len] = '\0';
    return WEFT_OK;
}
