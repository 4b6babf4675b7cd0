/* SPDX-License-Identifier: Apache-2.0
 * registry.c - the peers that are known, in memory, and the bytes of their records.
 * Called by: peers_*.c. May touch: its own memory.
 * Never: messages, clock, disk. */
#include "registry.h"

#include <msgpack.h>
#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "log.h"

void wf_registry_fini(struct wf_registry *reg)
{
    for (uint32_t i = 0; i < reg->count; i++) {
        wf_free(reg->rows[i]->trees);
        wf_free(reg->rows[i]);
    }
    wf_free(reg->rows);
    *reg = (struct wf_registry){0};
}

/* The first position whose key is not below `key`. */
static uint32_t lower_bound(const struct wf_registry *reg, const weft_key *key)
{
    uint32_t lo = 0, hi = reg->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&reg->rows[mid]->info.key, key) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

struct wf_peer_row *wf_registry_find(const struct wf_registry *reg, const weft_key *key)
{
    uint32_t at = lower_bound(reg, key);
    if (at == reg->count || !weft_key_equal(&reg->rows[at]->info.key, key)) return NULL;
    return reg->rows[at];
}

weft_err wf_registry_add(struct wf_registry *reg, const weft_key *key, struct wf_peer_row **out)
{
    if (reg->count == WEFT_PEERS_MAX) return WEFT_LIMIT;
    if (reg->count == reg->room) {
        uint32_t room = reg->room == 0 ? 16 : reg->room * 2;
        struct wf_peer_row **rows = wf_realloc(reg->rows, room * sizeof(struct wf_peer_row *));
        if (rows == NULL) return WEFT_NO_MEMORY;
        reg->rows = rows;
        reg->room = room;
    }
    struct wf_peer_row *row = wf_calloc(1, sizeof *row);
    if (row == NULL) return WEFT_NO_MEMORY;
    row->info.key = *key;
    uint32_t at = lower_bound(reg, key);
    memmove(&reg->rows[at + 1], &reg->rows[at], (reg->count - at) * sizeof(struct wf_peer_row *));
    reg->rows[at] = row;
    reg->count++;
    *out = row;
    return WEFT_OK;
}

void wf_registry_remove(struct wf_registry *reg, struct wf_peer_row *row)
{
    uint32_t at = lower_bound(reg, &row->info.key), after = --reg->count - at;
    memmove(&reg->rows[at], &reg->rows[at + 1], after * sizeof(struct wf_peer_row *));
    wf_free(row->trees);
    wf_free(row);
}

static uint32_t address_at(const struct wf_peer_row *row, const char *address)
{
    uint32_t i = 0;
    while (i < row->info.addresses_count && strcmp(row->info.addresses[i], address) != 0) i++;
    return i;
}

static void take_out(struct wf_peer_row *row, uint32_t at)
{
    uint32_t after = --row->info.addresses_count - at;
    memmove(row->info.addresses[at], row->info.addresses[at + 1],
            (size_t)after * WEFT_ADDRESS_BYTES_MAX);
    memmove(&row->about[at], &row->about[at + 1], after * sizeof *row->about);
}

/* The told one that is worth least and was last told before `told_ms`. */
static bool make_room(struct wf_peer_row *row, int64_t told_ms)
{
    const struct wf_row_address *worst = NULL;
    if (row->info.addresses_count < WEFT_ADDRESSES_PER_PEER_MAX) return true;
    for (uint32_t i = 0; i < row->info.addresses_count; i++) {
        const struct wf_row_address *a = &row->about[i];
        if (a->by_hand || a->told_ms >= told_ms) continue;
        if (worst == NULL || a->worked_ms < worst->worked_ms ||
            (a->worked_ms == worst->worked_ms && a->told_ms < worst->told_ms))
            worst = a;
    }
    if (worst == NULL) return false;
    take_out(row, (uint32_t)(worst - row->about));
    return true;
}

static void append(struct wf_peer_row *row, const char *address, struct wf_row_address about)
{
    uint32_t at = row->info.addresses_count++;
    memset(row->info.addresses[at], 0, WEFT_ADDRESS_BYTES_MAX);
    strncpy(row->info.addresses[at], address, WEFT_ADDRESS_BYTES_MAX - 1);
    row->about[at] = about;
}

weft_err wf_row_add_address(struct wf_peer_row *row, const char *address)
{
    uint32_t at = address_at(row, address);
    if (at < row->info.addresses_count) {
        row->about[at].by_hand = true;
        return WEFT_EXISTS;
    }
    if (!make_room(row, INT64_MAX)) return WEFT_LIMIT;
    append(row, address, (struct wf_row_address){.by_hand = true});
    return WEFT_OK;
}

weft_err wf_row_tell_address(struct wf_peer_row *row, const char *address, int64_t now_ms)
{
    uint32_t at = address_at(row, address);
    if (at < row->info.addresses_count) {
        row->about[at].told_ms = now_ms;
        return WEFT_EXISTS;
    }
    if (!make_room(row, now_ms)) return WEFT_LIMIT;
    append(row, address, (struct wf_row_address){.told_ms = now_ms});
    return WEFT_OK;
}

weft_err wf_row_remove_address(struct wf_peer_row *row, const char *address)
{
    uint32_t at = address_at(row, address);
    if (at == row->info.addresses_count) return WEFT_NOT_FOUND;
    take_out(row, at);
    return WEFT_OK;
}

void wf_row_address_worked(struct wf_peer_row *row, const char *address, int64_t now_ms)
{
    uint32_t at = address_at(row, address);
    if (at < row->info.addresses_count) row->about[at].worked_ms = now_ms;
}

bool wf_row_expire(struct wf_peer_row *row, int64_t now_ms)
{
    uint32_t before = row->info.addresses_count;
    for (uint32_t i = before; i-- > 0;) {
        const struct wf_row_address *a = &row->about[i];
        int64_t last = a->told_ms > a->worked_ms ? a->told_ms : a->worked_ms;
        if (!a->by_hand && now_ms - last > WEFT_ADDRESS_TTL_MS) take_out(row, i);
    }
    return row->info.addresses_count < before;
}

static bool worth_more(const struct wf_row_address *a, const struct wf_row_address *b)
{
    if (a->worked_ms != b->worked_ms) return a->worked_ms > b->worked_ms;
    return a->by_hand && !b->by_hand;
}

void wf_row_by_worth(const struct wf_peer_row *row, weft_peer_info *out)
{
    uint32_t order[WEFT_ADDRESSES_PER_PEER_MAX], count = row->info.addresses_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && worth_more(&row->about[i], &row->about[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    *out = row->info;
    for (uint32_t i = 0; i < count; i++)
        memcpy(out->addresses[i], row->info.addresses[order[i]], WEFT_ADDRESS_BYTES_MAX);
}

static uint32_t tree_at(const struct wf_peer_row *row, const weft_id *tree)
{
    uint32_t i = 0;
    while (i < row->info.trees_count && weft_id_compare(&row->trees[i], tree) < 0) i++;
    return i;
}

bool wf_row_related(const struct wf_peer_row *row, const weft_id *tree)
{
    uint32_t at = tree_at(row, tree);
    return at < row->info.trees_count && weft_id_equal(&row->trees[at], tree);
}

weft_err wf_row_relate(struct wf_peer_row *row, const weft_id *tree)
{
    if (wf_row_related(row, tree)) return WEFT_EXISTS;
    if (row->info.trees_count == WEFT_SESSIONS_PER_CONNECTION_MAX) return WEFT_LIMIT;
    if (row->info.trees_count == row->trees_room) {
        uint32_t room = row->trees_room == 0 ? 4 : row->trees_room * 2;
        weft_id *trees = wf_realloc(row->trees, room * sizeof *trees);
        if (trees == NULL) return WEFT_NO_MEMORY;
        row->trees = trees;
        row->trees_room = room;
    }
    uint32_t at = tree_at(row, tree);
    memmove(&row->trees[at + 1], &row->trees[at], (row->info.trees_count - at) * sizeof *tree);
    row->trees[at] = *tree;
    row->info.trees_count++;
    return WEFT_OK;
}

weft_err wf_row_unrelate(struct wf_peer_row *row, const weft_id *tree)
{
    if (!wf_row_related(row, tree)) return WEFT_NOT_FOUND;
    uint32_t at = tree_at(row, tree);
    uint32_t after = --row->info.trees_count - at;
    memmove(&row->trees[at], &row->trees[at + 1], after * sizeof *tree);
    return WEFT_OK;
}

/* -- Records ------------------------------------------------------------------------ */

enum { RECORD_TEXTS = 1, RECORD_VERSION = 2, RECORD_FIELDS = 18, ADDRESS_FIELDS = 4 };

struct sink {
    uint8_t *at;
    size_t len;
};

static int sink_write(void *data, const char *bytes, size_t len)
{
    struct sink *sink = data;
    /* The fields are bounded, so that the record always fits. */
    WF_ASSERT(sink->len + len <= WF_ROW_RECORD_MAX);
    memcpy(sink->at + sink->len, bytes, len);
    sink->len += len;
    return 0;
}

static void pack_text(msgpack_packer *pk, const char *text)
{
    size_t len = strlen(text);
    msgpack_pack_str(pk, len);
    msgpack_pack_str_body(pk, text, len);
}

size_t wf_row_encode(const struct wf_peer_row *row, uint8_t out[WF_ROW_RECORD_MAX])
{
    const weft_peer_info *info = &row->info;
    struct sink sink = {.at = out};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &sink, sink_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    pack_text(&pk, info->name);
    msgpack_pack_uint64(&pk, (uint64_t)info->status);
    msgpack_pack_int64(&pk, info->first_seen_ms);
    msgpack_pack_int64(&pk, info->last_seen_ms);
    msgpack_pack_int64(&pk, info->last_success_ms);
    msgpack_pack_uint64(&pk, info->attempts);
    msgpack_pack_uint64(&pk, info->failures);
    msgpack_pack_int64(&pk, info->last_error);
    msgpack_pack_array(&pk, info->addresses_count);
    for (uint32_t i = 0; i < info->addresses_count; i++) {
        msgpack_pack_array(&pk, ADDRESS_FIELDS);
        pack_text(&pk, info->addresses[i]);
        if (row->about[i].by_hand) msgpack_pack_true(&pk);
        else msgpack_pack_false(&pk);
        msgpack_pack_int64(&pk, row->about[i].told_ms);
        msgpack_pack_int64(&pk, row->about[i].worked_ms);
    }
    msgpack_pack_uint64(&pk, info->entries_sent);
    msgpack_pack_uint64(&pk, info->entries_received);
    msgpack_pack_uint64(&pk, info->bytes_sent);
    msgpack_pack_uint64(&pk, info->bytes_received);
    msgpack_pack_uint64(&pk, info->syncs_ok);
    msgpack_pack_uint64(&pk, info->syncs_failed);
    if (row->unnamed) msgpack_pack_true(&pk);
    else msgpack_pack_nil(&pk); /* as versions write it that do not ask */
    msgpack_pack_nil(&pk);      /* room for what a later version adds, kept nil by this one */
    return sink.len;
}

static void read_text(wf_cursor *c, char *out, size_t room)
{
    size_t len = 0;
    const char *text = wf_cursor_str(c, 0, room - 1, &len);
    memset(out, 0, room);
    if (text != NULL) memcpy(out, text, len);
}

static void read_address(wf_cursor *c, char *text, struct wf_row_address *about)
{
    if (wf_cursor_array(c, ADDRESS_FIELDS) != ADDRESS_FIELDS && c->err == WEFT_OK)
        c->err = WEFT_SYNTAX;
    read_text(c, text, WEFT_ADDRESS_BYTES_MAX);
    about->by_hand = wf_cursor_bool(c);
    about->told_ms = wf_cursor_int(c);
    about->worked_ms = wf_cursor_int(c);
}

weft_err wf_row_decode(const uint8_t *bytes, size_t len, struct wf_peer_row *row)
{
    weft_peer_info *info = &row->info;
    if (wf_scan(bytes, len, 3, 96) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, true);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS) return WEFT_CORRUPT;
    uint64_t version = wf_cursor_uint(&c, UINT64_MAX);
    if (version != RECORD_VERSION && version != RECORD_TEXTS) return WEFT_CORRUPT;
    read_text(&c, info->name, sizeof info->name);
    info->status = (weft_peer_status)wf_cursor_uint(&c, WEFT_PEER_BLOCKED);
    info->first_seen_ms = wf_cursor_int(&c);
    info->last_seen_ms = wf_cursor_int(&c);
    info->last_success_ms = wf_cursor_int(&c);
    info->attempts = wf_cursor_uint(&c, UINT64_MAX);
    info->failures = wf_cursor_uint(&c, UINT64_MAX);
    info->last_error = (weft_err)wf_cursor_int(&c);
    info->addresses_count = wf_cursor_array(&c, WEFT_ADDRESSES_PER_PEER_MAX);
    for (uint32_t i = 0; i < info->addresses_count; i++) {
        row->about[i] = (struct wf_row_address){.by_hand = true};
        if (version == RECORD_TEXTS) read_text(&c, info->addresses[i], WEFT_ADDRESS_BYTES_MAX);
        else read_address(&c, info->addresses[i], &row->about[i]);
    }
    info->entries_sent = wf_cursor_uint(&c, UINT64_MAX);
    info->entries_received = wf_cursor_uint(&c, UINT64_MAX);
    info->bytes_sent = wf_cursor_uint(&c, UINT64_MAX);
    info->bytes_received = wf_cursor_uint(&c, UINT64_MAX);
    info->syncs_ok = wf_cursor_uint(&c, UINT64_MAX);
    info->syncs_failed = wf_cursor_uint(&c, UINT64_MAX);
    row->unnamed = !wf_cursor_nil(&c) && wf_cursor_bool(&c);
    wf_cursor_skip(&c);
    return wf_cursor_done(&c) == WEFT_OK ? WEFT_OK : WEFT_CORRUPT;
}
