/* SPDX-License-Identifier: Apache-2.0
 * joins.c - requests to join trees of this node, in memory, and the bytes of their records.
 * Called by: join_desk.c, join_judge.c, join_decide.c. May touch: its own memory.
 * Never: messages, clock, disk. */
#include "joins.h"

#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "log.h"
#include "pack.h"

void wf_joins_fini(struct wf_joins *joins)
{
    for (uint32_t i = 0; i < joins->count; i++) wf_free(joins->rows[i]);
    wf_free(joins->rows);
    *joins = (struct wf_joins){0};
}

/* At most a few hundred rows are there: a walk is good enough. */
struct wf_join_row *wf_joins_find(const struct wf_joins *joins, const uint8_t id[16])
{
    for (uint32_t i = 0; i < joins->count; i++)
        if (memcmp(joins->rows[i]->r.id, id, sizeof joins->rows[i]->r.id) == 0)
            return joins->rows[i];
    return NULL;
}

struct wf_join_row *wf_joins_same(const struct wf_joins *joins, const weft_id *tree,
                                  const weft_key *key, const weft_key *device)
{
    for (uint32_t i = 0; i < joins->count; i++) {
        const weft_join_request *r = &joins->rows[i]->r;
        if (r->state == WEFT_JOIN_PENDING && weft_id_equal(&r->tree, tree) &&
            weft_key_equal(&r->key, key) && weft_key_equal(&r->device, device))
            return joins->rows[i];
    }
    return NULL;
}

bool wf_joins_room(const struct wf_joins *joins, const weft_key *device)
{
    uint32_t of_device = 0;
    if (joins->pending >= WEFT_JOINS_MAX) return false;
    for (uint32_t i = 0; i < joins->count; i++) {
        const weft_join_request *r = &joins->rows[i]->r;
        of_device += r->state == WEFT_JOIN_PENDING && weft_key_equal(&r->device, device);
    }
    return of_device < WEFT_JOINS_PER_PEER_MAX;
}

static int compare(const weft_join_request *a, const weft_join_request *b)
{
    if (a->asked_ms != b->asked_ms) return a->asked_ms < b->asked_ms ? -1 : 1;
    return memcmp(a->id, b->id, sizeof a->id);
}

weft_err wf_joins_add(struct wf_joins *joins, const weft_join_request *request,
                      struct wf_join_row **out)
{
    if (wf_joins_find(joins, request->id) != NULL) return WEFT_EXISTS;
    if (joins->count == joins->room) {
        uint32_t room = joins->room == 0 ? 8 : joins->room * 2;
        struct wf_join_row **rows = wf_realloc(joins->rows, room * sizeof(struct wf_join_row *));
        if (rows == NULL) return WEFT_NO_MEMORY;
        joins->rows = rows;
        joins->room = room;
    }
    struct wf_join_row *row = wf_calloc(1, sizeof *row);
    if (row == NULL) return WEFT_NO_MEMORY;
    row->r = *request;
    uint32_t at = joins->count++;
    for (; at > 0 && compare(&joins->rows[at - 1]->r, request) > 0; at--)
        joins->rows[at] = joins->rows[at - 1];
    joins->rows[at] = row;
    joins->pending += request->state == WEFT_JOIN_PENDING;
    *out = row;
    return WEFT_OK;
}

void wf_joins_end(struct wf_joins *joins, struct wf_join_row *row, weft_join_state state,
                  int64_t now_ms, const weft_key *by)
{
    static const weft_key nobody;
    WF_ASSERT(row->r.state == WEFT_JOIN_PENDING && state != WEFT_JOIN_PENDING);
    joins->pending--;
    row->r.state = state;
    row->r.decided_ms = now_ms;
    row->r.decided_by = by == NULL ? nobody : *by;
}

void wf_joins_remove(struct wf_joins *joins, struct wf_join_row *row)
{
    uint32_t at = 0;
    while (joins->rows[at] != row) at++;
    joins->pending -= row->r.state == WEFT_JOIN_PENDING;
    joins->count--;
    memmove(&joins->rows[at], &joins->rows[at + 1],
            (joins->count - at) * sizeof(struct wf_join_row *));
    wf_free(row);
}

/* Since `then`, which may be later by a clock that was turned back. */
static bool is_over(int64_t then_ms, int64_t now_ms)
{
    return now_ms > then_ms && now_ms - then_ms >= WEFT_JOIN_TTL_MS;
}

struct wf_join_row *wf_joins_due(const struct wf_joins *joins, int64_t now_ms, bool *forget)
{
    struct wf_join_row *oldest = NULL;
    bool too_many = joins->count - joins->pending > WEFT_JOINS_DECIDED_MAX;
    for (uint32_t i = 0; i < joins->count; i++) {
        struct wf_join_row *row = joins->rows[i];
        if (row->deciding) continue;
        *forget = row->r.state != WEFT_JOIN_PENDING;
        if (is_over(*forget ? row->r.decided_ms : row->r.asked_ms, now_ms)) return row;
        if (*forget && (oldest == NULL || row->r.decided_ms < oldest->r.decided_ms)) oldest = row;
    }
    *forget = true;
    return too_many ? oldest : NULL;
}

uint32_t wf_joins_list(const struct wf_joins *joins, weft_join_state state, weft_join_request *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < joins->count; i++) {
        const struct wf_join_row *row = joins->rows[i];
        if (row->r.state != state || !row->saved) continue;
        if (out != NULL) out[count] = row->r;
        count++;
    }
    return count;
}

/* -- Records ---------------------------------------------------------------------------- */

enum { RECORD_VERSION = 1, RECORD_FIELDS = 13 };

size_t wf_join_record_encode(const weft_join_request *r, uint8_t out[WF_JOIN_RECORD_MAX])
{
    struct wf_pack pack = {out, out + WF_JOIN_RECORD_MAX, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    wf_pack_bin(&pk, r->tree.bytes, sizeof r->tree.bytes);
    wf_pack_bin(&pk, r->key.bytes, sizeof r->key.bytes);
    wf_pack_bin(&pk, r->device.bytes, sizeof r->device.bytes);
    wf_pack_str(&pk, r->name, strlen(r->name));
    wf_pack_str(&pk, r->from, strlen(r->from));
    msgpack_pack_uint64(&pk, (uint64_t)r->right);
    msgpack_pack_uint64(&pk, r->priority);
    msgpack_pack_uint64(&pk, (uint64_t)r->state);
    msgpack_pack_int64(&pk, r->asked_ms);
    msgpack_pack_int64(&pk, r->decided_ms);
    wf_pack_bin(&pk, r->decided_by.bytes, sizeof r->decided_by.bytes);
    wf_pack_bin(&pk, r->meta, r->meta_len);
    WF_ASSERT(!pack.overflow); /* each field is bounded */
    return (size_t)(pack.at - out);
}

static void read_fixed(wf_cursor *c, uint8_t *out, size_t len)
{
    const uint8_t *bytes = wf_cursor_bin_fixed(c, len);
    if (bytes != NULL) memcpy(out, bytes, len);
}

static void read_text(wf_cursor *c, size_t min, char *out, size_t room)
{
    size_t len = 0;
    const char *text = wf_cursor_str(c, min, room - 1, &len);
    if (text == NULL || c->err != WEFT_OK) return;
    if (memchr(text, '\0', len) != NULL) { /* no version of weft wrote this */
        c->err = WEFT_CORRUPT;
        return;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}

weft_err wf_join_record_decode(const uint8_t *bytes, size_t len, weft_join_request *out)
{
    size_t meta_len = 0;
    if (wf_scan(bytes, len, 1, RECORD_FIELDS + 1) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS ||
        wf_cursor_uint(&c, RECORD_VERSION) != RECORD_VERSION)
        return WEFT_CORRUPT;
    read_fixed(&c, out->tree.bytes, sizeof out->tree.bytes);
    read_fixed(&c, out->key.bytes, sizeof out->key.bytes);
    read_fixed(&c, out->device.bytes, sizeof out->device.bytes);
    read_text(&c, 1, out->name, sizeof out->name);
    read_text(&c, 0, out->from, sizeof out->from);
    out->right = (weft_right)wf_cursor_uint(&c, WEFT_RIGHT_ADMIN);
    out->priority = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    out->state = (weft_join_state)wf_cursor_uint(&c, WEFT_JOIN_EXPIRED);
    out->asked_ms = wf_cursor_int(&c);
    out->decided_ms = wf_cursor_int(&c);
    read_fixed(&c, out->decided_by.bytes, sizeof out->decided_by.bytes);
    const uint8_t *meta = wf_cursor_bin(&c, 0, sizeof out->meta, &meta_len);
    if (wf_cursor_done(&c) != WEFT_OK || out->asked_ms < 0 || out->decided_ms < 0 ||
        out->asked_ms > INT64_MAX - WEFT_JOIN_TTL_MS)
        return WEFT_CORRUPT;
    if (meta_len > 0) memcpy(out->meta, meta, meta_len);
    out->meta_len = (uint32_t)meta_len;
    out->expires_ms = out->asked_ms + WEFT_JOIN_TTL_MS;
    return WEFT_OK;
}
