/* SPDX-License-Identifier: Apache-2.0
 * history_code.c - the bytes of a sync's record and of a pair's sums (history.h).
 * Called by: history.c, peers_look.c. May touch: its arguments.
 * Never: memory of its own. */
#include <msgpack.h>
#include <string.h>

#include "cursor.h"
#include "history.h"
#include "log.h"

enum { RECORD_VERSION = 1, PAST_FIELDS = 9, PAIR_FIELDS = 8 };

struct sink {
    uint8_t *at;
    size_t len;
};

static int sink_write(void *data, const char *bytes, size_t len)
{
    struct sink *sink = data;
    WF_ASSERT(sink->len + len <= WF_PAST_RECORD_MAX); /* all fields are bounded */
    memcpy(sink->at + sink->len, bytes, len);
    sink->len += len;
    return 0;
}

static void put_be(uint8_t *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_be(const uint8_t *at)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) v = v << 8 | at[i];
    return v;
}

void wf_past_key(const weft_sync_record *r, uint8_t out[WF_PAST_KEY_BYTES])
{
    memcpy(out, r->peer.bytes, sizeof r->peer.bytes);
    put_be(out + 32, (uint64_t)r->began_ms);
    put_be(out + 40, r->number);
}

size_t wf_past_encode(const weft_sync_record *r, uint8_t out[WF_PAST_RECORD_MAX])
{
    struct sink sink = {.at = out};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &sink, sink_write);
    msgpack_pack_array(&pk, PAST_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_bin(&pk, sizeof r->tree.bytes);
    msgpack_pack_bin_body(&pk, r->tree.bytes, sizeof r->tree.bytes);
    msgpack_pack_int64(&pk, r->began_ms);
    msgpack_pack_uint64(&pk, r->took_ns);
    msgpack_pack_int64(&pk, r->err);
    msgpack_pack_uint64(&pk, r->sent);
    msgpack_pack_uint64(&pk, r->received);
    msgpack_pack_uint64(&pk, r->bytes_sent);
    msgpack_pack_uint64(&pk, r->bytes_received);
    return sink.len;
}

weft_err wf_past_decode(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
                        weft_sync_record *out)
{
    weft_sync_record r = {0};
    if (key_len != WF_PAST_KEY_BYTES || wf_scan(value, len, 1, 16) != WEFT_OK) return WEFT_CORRUPT;
    memcpy(r.peer.bytes, key, sizeof r.peer.bytes);
    r.number = get_be(key + 40);
    wf_cursor c = wf_cursor_open(value, len, true);
    if (wf_cursor_array(&c, PAST_FIELDS) != PAST_FIELDS) return WEFT_CORRUPT;
    if (wf_cursor_uint(&c, UINT64_MAX) != RECORD_VERSION) return WEFT_CORRUPT;
    const uint8_t *tree = wf_cursor_bin_fixed(&c, sizeof r.tree.bytes);
    if (tree != NULL) memcpy(r.tree.bytes, tree, sizeof r.tree.bytes);
    r.began_ms = wf_cursor_int(&c);
    r.took_ns = wf_cursor_uint(&c, UINT64_MAX);
    r.err = (weft_err)wf_cursor_int(&c);
    r.sent = wf_cursor_uint(&c, UINT64_MAX);
    r.received = wf_cursor_uint(&c, UINT64_MAX);
    r.bytes_sent = wf_cursor_uint(&c, UINT64_MAX);
    r.bytes_received = wf_cursor_uint(&c, UINT64_MAX);
    if (wf_cursor_done(&c) != WEFT_OK || (uint64_t)r.began_ms != get_be(key + 32))
        return WEFT_CORRUPT;
    *out = r;
    return WEFT_OK;
}

size_t wf_past_pair_encode(const struct wf_past_pair *pair, uint8_t out[WF_PAST_RECORD_MAX])
{
    struct sink sink = {.at = out};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &sink, sink_write);
    msgpack_pack_array(&pk, PAIR_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_int64(&pk, pair->last_ms);
    msgpack_pack_uint64(&pk, pair->last_count);
    msgpack_pack_uint64(&pk, pair->sent);
    msgpack_pack_uint64(&pk, pair->received);
    msgpack_pack_uint64(&pk, pair->ok);
    msgpack_pack_uint64(&pk, pair->failed);
    msgpack_pack_uint64(&pk, pair->mean_ns);
    return sink.len;
}

weft_err wf_past_pair_decode(const uint8_t *value, size_t len, struct wf_past_pair *pair)
{
    if (wf_scan(value, len, 1, 16) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(value, len, true);
    if (wf_cursor_array(&c, PAIR_FIELDS) != PAIR_FIELDS) return WEFT_CORRUPT;
    if (wf_cursor_uint(&c, UINT64_MAX) != RECORD_VERSION) return WEFT_CORRUPT;
    pair->last_ms = wf_cursor_int(&c);
    pair->last_count = wf_cursor_uint(&c, UINT64_MAX);
    pair->sent = wf_cursor_uint(&c, UINT64_MAX);
    pair->received = wf_cursor_uint(&c, UINT64_MAX);
    pair->ok = wf_cursor_uint(&c, UINT64_MAX);
    pair->failed = wf_cursor_uint(&c, UINT64_MAX);
    pair->mean_ns = wf_cursor_uint(&c, UINT64_MAX);
    return wf_cursor_done(&c) == WEFT_OK ? WEFT_OK : WEFT_CORRUPT;
}
