/* SPDX-License-Identifier: Apache-2.0
 * join_modes.c - who may ask to join which tree, in memory, and the bytes of the records.
 * Called by: join_*.c. May touch: its own memory.
 * Never: messages, clock, disk; writes a secret down. */
#include "join_modes.h"

#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "log.h"
#include "pack.h"

void wf_join_modes_fini(struct wf_join_modes *modes)
{
    for (uint32_t i = 0; i < modes->count; i++) weft_keypair_destroy(modes->items[i].admin);
    wf_free(modes->items);
    *modes = (struct wf_join_modes){0};
}

static uint32_t place_of(const struct wf_join_modes *modes, const weft_id *tree, bool *found)
{
    uint32_t lo = 0, hi = modes->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_id_compare(&modes->items[mid].tree, tree) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < modes->count && weft_id_equal(&modes->items[lo].tree, tree);
    return lo;
}

const struct wf_join_mode *wf_join_modes_find(const struct wf_join_modes *modes,
                                              const weft_id *tree)
{
    bool found;
    uint32_t at = place_of(modes, tree, &found);
    return found && modes->items[at].mode != WEFT_JOIN_CLOSED ? &modes->items[at] : NULL;
}

/* -- What was spent --------------------------------------------------------------------- */

static void come_back(struct wf_join_mode *item, weft_ns now)
{
    uint64_t back = (now - item->since) / WEFT_JOIN_AUTO_EVERY_NS;
    if (back >= item->spent) {
        item->spent = 0;
        item->since = now;
    } else {
        item->spent -= (uint32_t)back;
        item->since += back * WEFT_JOIN_AUTO_EVERY_NS;
    }
}

bool wf_join_modes_spend(struct wf_join_modes *modes, const weft_id *tree, weft_ns now)
{
    bool found;
    uint32_t at = place_of(modes, tree, &found);
    if (!found || modes->items[at].mode == WEFT_JOIN_CLOSED) return false;
    struct wf_join_mode *item = &modes->items[at];
    come_back(item, now);
    if (item->spent >= WEFT_JOIN_AUTO_BURST) return false;
    item->spent++;
    return true;
}

uint32_t wf_join_modes_left(const struct wf_join_modes *modes, const weft_id *tree, weft_ns now)
{
    bool found;
    uint32_t at = place_of(modes, tree, &found);
    if (!found) return 0;
    struct wf_join_mode item = modes->items[at];
    come_back(&item, now);
    return item.spent;
}

static void take_out(struct wf_join_modes *modes, uint32_t at)
{
    struct wf_join_mode *item = &modes->items[at];
    weft_keypair_destroy(item->admin);
    modes->count--;
    memmove(item, item + 1, (modes->count - at) * sizeof *item);
}

void wf_join_modes_resume(struct wf_join_modes *modes, int64_t now_ms, weft_ns now)
{
    const int64_t every = (int64_t)(WEFT_JOIN_AUTO_EVERY_NS / WEFT_MS);
    for (uint32_t i = modes->count; i-- > 0;) {
        struct wf_join_mode *item = &modes->items[i];
        int64_t back = now_ms > item->spent_ms ? (now_ms - item->spent_ms) / every : 0;
        item->spent = back >= item->spent ? 0 : item->spent - (uint32_t)back;
        item->since = now;
        if (item->spent == 0 && item->mode == WEFT_JOIN_CLOSED) take_out(modes, i);
    }
}

/* -- Changes ---------------------------------------------------------------------------- */

/* A place for the tree, closed and with nothing spent; valid until the next one. */
static weft_err make_item(struct wf_join_modes *modes, uint32_t at, const weft_id *tree)
{
    if (modes->count == WEFT_TREES_MAX) return WEFT_LIMIT;
    if (modes->count == modes->room) {
        uint32_t room = modes->room == 0 ? 4 : modes->room * 2;
        struct wf_join_mode *items = wf_realloc(modes->items, room * sizeof *items);
        if (items == NULL) return WEFT_NO_MEMORY;
        modes->items = items;
        modes->room = room;
    }
    struct wf_join_mode *item = &modes->items[at];
    memmove(item + 1, item, (modes->count - at) * sizeof *item);
    *item = (struct wf_join_mode){.tree = *tree, .mode = WEFT_JOIN_CLOSED};
    modes->count++;
    return WEFT_OK;
}

weft_err wf_join_modes_spent(struct wf_join_modes *modes, const weft_id *tree, uint32_t spent,
                             int64_t spent_ms)
{
    bool found;
    uint32_t at = place_of(modes, tree, &found);
    weft_err err = found ? WEFT_OK : make_item(modes, at, tree);
    if (err != WEFT_OK) return err;
    modes->items[at].spent = spent;
    modes->items[at].spent_ms = spent_ms;
    return WEFT_OK;
}

weft_err wf_join_modes_put_take(struct wf_join_modes *modes, const struct wf_join_mode *mode)
{
    bool found, closed = mode->mode == WEFT_JOIN_CLOSED;
    uint32_t at = place_of(modes, &mode->tree, &found);
    weft_err err = found || closed ? WEFT_OK : make_item(modes, at, &mode->tree);
    if (err != WEFT_OK || (!found && closed)) {
        weft_keypair_destroy(mode->admin);
        return err;
    }
    struct wf_join_mode *item = &modes->items[at];
    weft_keypair_destroy(item->admin);
    item->mode = mode->mode;
    item->right = mode->right;
    item->priority = mode->priority;
    item->admin = mode->admin;
    if (closed && item->spent == 0) take_out(modes, at);
    return WEFT_OK;
}

void wf_join_modes_forget(struct wf_join_modes *modes, const weft_id *tree)
{
    bool found;
    uint32_t at = place_of(modes, tree, &found);
    if (found) take_out(modes, at);
}

/* -- Records ---------------------------------------------------------------------------- */

enum { RECORD_VERSION = 1, RECORD_FIELDS = 4, SPENT_FIELDS = 3 };

size_t wf_join_mode_encode(const struct wf_join_mode *mode, uint8_t out[WF_JOIN_MODE_RECORD_MAX])
{
    struct wf_pack pack = {out, out + WF_JOIN_MODE_RECORD_MAX, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_uint64(&pk, (uint64_t)mode->mode);
    msgpack_pack_uint64(&pk, (uint64_t)mode->right);
    msgpack_pack_uint64(&pk, mode->priority);
    WF_ASSERT(!pack.overflow);
    return (size_t)(pack.at - out);
}

weft_err wf_join_mode_decode(const uint8_t *bytes, size_t len, struct wf_join_mode *out)
{
    if (wf_scan(bytes, len, 1, RECORD_FIELDS + 1) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS ||
        wf_cursor_uint(&c, RECORD_VERSION) != RECORD_VERSION)
        return WEFT_CORRUPT;
    out->mode = (weft_join_mode)wf_cursor_uint(&c, WEFT_JOIN_AUTO);
    out->right = (weft_right)wf_cursor_uint(&c, WEFT_RIGHT_ADMIN);
    out->priority = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    return wf_cursor_done(&c) == WEFT_OK && out->mode != WEFT_JOIN_CLOSED ? WEFT_OK : WEFT_CORRUPT;
}

size_t wf_join_spent_encode(uint32_t spent, int64_t spent_ms, uint8_t out[WF_JOIN_SPENT_RECORD_MAX])
{
    struct wf_pack pack = {out, out + WF_JOIN_SPENT_RECORD_MAX, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, SPENT_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_uint64(&pk, spent);
    msgpack_pack_int64(&pk, spent_ms);
    WF_ASSERT(!pack.overflow);
    return (size_t)(pack.at - out);
}

weft_err wf_join_spent_decode(const uint8_t *bytes, size_t len, uint32_t *spent, int64_t *spent_ms)
{
    if (wf_scan(bytes, len, 1, SPENT_FIELDS + 1) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    if (wf_cursor_array(&c, SPENT_FIELDS) != SPENT_FIELDS ||
        wf_cursor_uint(&c, RECORD_VERSION) != RECORD_VERSION)
        return WEFT_CORRUPT;
    uint64_t count = wf_cursor_uint(&c, WEFT_JOIN_AUTO_BURST);
    int64_t ms = wf_cursor_int(&c);
    if (wf_cursor_done(&c) != WEFT_OK || ms < 0) return WEFT_CORRUPT;
    *spent = (uint32_t)count;
    *spent_ms = ms;
    return WEFT_OK;
}
