/* SPDX-License-Identifier: Apache-2.0
 * record.c - what is read back from a disk that may be damaged: records of the store and of
 * the peers. The first byte says which. What is written after it was read reads as the same.
 * Called by: libfuzzer.c, replay.c. May touch: pure readers and writers. Never: an engine. */
#include <string.h>

#include "alloc.h"
#include "asked.h"
#include "dom.h"
#include "fuzz.h"
#include "history.h"
#include "join_modes.h"
#include "joins.h"
#include "layout.h"
#include "records.h"
#include "registry.h"
#include "settings_rows.h"
#include "sketch.h"
#include "trie.h"

enum {
    ROW,
    FORMAT,
    META,
    ARRIVAL,
    MARK,
    TREE,
    COUNTS,
    NODE,
    TOP,
    SKETCH,
    DOM,
    TRACK,
    JOIN,
    MODE,
    ASKED,
    SYNC,
    PAIR,
    KINDS
};

static bool row(const uint8_t *data, size_t len)
{
    static struct wf_peer_row first, second;
    static uint8_t once[WF_ROW_RECORD_MAX], twice[WF_ROW_RECORD_MAX];
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    if (wf_row_decode(data, len, &first) != WEFT_OK) return false;
    FUZZ_CHECK(first.info.addresses_count <= WEFT_ADDRESSES_PER_PEER_MAX);
    size_t once_len = wf_row_encode(&first, once);
    FUZZ_CHECK(wf_row_decode(once, once_len, &second) == WEFT_OK);
    size_t twice_len = wf_row_encode(&second, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    return true;
}

static bool meta(const uint8_t *data, size_t len)
{
    static uint8_t again[65536 + 256];
    struct wf_meta_record m;
    if (wf_meta_read(data, len, &m) != WEFT_OK || len > sizeof again) return false;
    FUZZ_CHECK(wf_meta_bytes(&m) == len);
    wf_meta_write(&m, again);
    FUZZ_CHECK(memcmp(data, again, len) == 0);
    (void)wf_names_find(m.names, m.names_len, "log", 3);
    return true;
}

static bool arrival(const uint8_t *data, size_t len)
{
    wf_arrival a, b;
    uint8_t again[WF_ARR_BYTES_MAX];
    if (len < WF_KEY_SEQ_BYTES) return false;
    const uint8_t *value = data + WF_KEY_SEQ_BYTES;
    if (wf_arrival_read(data, WF_KEY_SEQ_BYTES, value, len - WF_KEY_SEQ_BYTES, &a) != WEFT_OK)
        return false;
    size_t written = wf_arrival_write(&a, again);
    FUZZ_CHECK(wf_arrival_read(data, WF_KEY_SEQ_BYTES, again, written, &b) == WEFT_OK);
    FUZZ_CHECK(memcmp(&a, &b, sizeof a) == 0);
    return true;
}

static bool mark(const uint8_t *data, size_t len)
{
    wf_mark m, n;
    uint8_t again[WF_MARK_BYTES];
    memset(&m, 0, sizeof m);
    memset(&n, 0, sizeof n);
    if (wf_mark_read(data, len, &m) != WEFT_OK) return false;
    wf_mark_write(&m, again);
    FUZZ_CHECK(wf_mark_read(again, sizeof again, &n) == WEFT_OK && memcmp(&m, &n, sizeof m) == 0);
    return true;
}

static bool tree(const uint8_t *data, size_t len, bool counts)
{
    wf_tree_info info, again;
    uint8_t bytes[WF_TREE_RECORD_BYTES + WF_COUNTS_BYTES];
    memset(&info, 0, sizeof info);
    memset(&again, 0, sizeof again);
    if ((counts ? wf_counts_read : wf_tree_read)(data, len, &info) != WEFT_OK) return false;
    (counts ? wf_counts_write : wf_tree_write)(&info, bytes);
    FUZZ_CHECK((counts ? wf_counts_read : wf_tree_read)(bytes, len, &again) == WEFT_OK);
    FUZZ_CHECK(memcmp(&info, &again, sizeof info) == 0);
    return true;
}

static bool node(const uint8_t *data, size_t len)
{
    struct wf_trie_node n;
    struct wf_trie_slot slot;
    uint8_t again[WF_TRIE_NODE_BYTES_MAX];
    memset(&n, 0, sizeof n);
    if (wf_trie_node_read(data, len, &n) != WEFT_OK) return false;
    wf_trie_node_slot(&n, &slot);
    size_t written = wf_trie_node_write(&n, again);
    struct wf_trie_node back;
    memset(&back, 0, sizeof back);
    FUZZ_CHECK(wf_trie_node_read(again, written, &back) == WEFT_OK);
    FUZZ_CHECK(memcmp(&n, &back, sizeof n) == 0);
    return true;
}

static bool top(const uint8_t *data, size_t len)
{
    struct wf_trie_slot slot;
    uint8_t again[WF_TRIE_TOP_BYTES];
    memset(&slot, 0, sizeof slot);
    if (wf_trie_top_read(data, len, &slot) != WEFT_OK) return false;
    wf_trie_top_write(&slot, again);
    FUZZ_CHECK(len == sizeof again && memcmp(data, again, len) == 0);
    return true;
}

/* Two sketches, or one against nothing: peers do not send them, but a disk may lie. */
static bool sketch(const uint8_t *data, size_t len)
{
    struct wf_sketch a, b;
    struct wf_sketch_ids ids;
    uint8_t again[WF_SKETCH_BYTES];
    size_t half = len < WF_SKETCH_BYTES ? len : WF_SKETCH_BYTES;
    memset(&b, 0, sizeof b);
    if (wf_sketch_read(data, half, &a) != WEFT_OK) return false;
    wf_sketch_write(&a, again);
    FUZZ_CHECK(memcmp(data, again, sizeof again) == 0);
    if (wf_sketch_read(data + half, len - half, &b) == WEFT_OK) wf_sketch_subtract(&a, &b);
    (void)wf_sketch_peel(&a, &ids);
    FUZZ_CHECK(ids.mine_count <= WF_SKETCH_CELLS && ids.others_count <= WF_SKETCH_CELLS);
    return true;
}

static bool dom(const uint8_t *data, size_t len)
{
    struct wf_dom_at at = {0};
    struct wf_dom found;
    if (len < 3) return false;
    at.seq = 1 + ((uint64_t)data[0] << 8 | data[1]);
    at.part = data[2] % (1 + WEFT_ENTRY_STORES_MAX);
    if (wf_dom_find(data + 3, len - 3, at, &found) != WEFT_OK) return false;
    FUZZ_CHECK(found.at.seq == at.seq && found.at.part == at.part);
    FUZZ_CHECK(found.up.seq < at.seq && found.jump.seq <= found.up.seq);
    return true;
}

static bool track(const uint8_t *data, size_t len)
{
    struct wf_track_row *a = NULL, *b = NULL;
    uint8_t key[WF_TRACK_KEY_BYTES] = {WF_REC_TRACK}, back[WF_TRACK_KEY_BYTES];
    static uint8_t once[WF_TRACK_RECORD_MAX], twice[WF_TRACK_RECORD_MAX];
    if (len < 2) return false;
    memset(key + 1, data[0], WEFT_ID_BYTES);
    memset(key + 1 + WEFT_ID_BYTES, data[1], WEFT_KEY_BYTES);
    if (wf_track_row_decode(key, sizeof key, data + 2, len - 2, &a) != WEFT_OK) return false;
    wf_track_row_key(a, back);
    FUZZ_CHECK(memcmp(key, back, sizeof key) == 0);
    size_t once_len = wf_track_row_encode(a, once);
    FUZZ_CHECK(wf_track_row_decode(key, sizeof key, once, once_len, &b) == WEFT_OK);
    size_t twice_len = wf_track_row_encode(b, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    FUZZ_CHECK(wf_track_row_equal(a, b));
    wf_free(a);
    wf_free(b);
    return true;
}

static bool join(const uint8_t *data, size_t len)
{
    static weft_join_request a, b;
    static uint8_t once[WF_JOIN_RECORD_MAX], twice[WF_JOIN_RECORD_MAX];
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (wf_join_record_decode(data, len, &a) != WEFT_OK) return false;
    size_t once_len = wf_join_record_encode(&a, once);
    FUZZ_CHECK(wf_join_record_decode(once, once_len, &b) == WEFT_OK);
    size_t twice_len = wf_join_record_encode(&b, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    return true;
}

static bool mode(const uint8_t *data, size_t len)
{
    struct wf_join_mode a, b;
    uint8_t once[WF_JOIN_MODE_RECORD_MAX];
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (wf_join_mode_decode(data, len, &a) != WEFT_OK) return false;
    size_t once_len = wf_join_mode_encode(&a, once);
    FUZZ_CHECK(wf_join_mode_decode(once, once_len, &b) == WEFT_OK);
    FUZZ_CHECK(a.mode == b.mode && a.right == b.right && a.priority == b.priority);
    return true;
}

static bool asked(const uint8_t *data, size_t len)
{
    struct wf_asked_row a, b;
    uint8_t once[WF_ASKED_RECORD_MAX], twice[WF_ASKED_RECORD_MAX];
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (wf_asked_record_decode(data, len, &a) != WEFT_OK) return false;
    size_t once_len = wf_asked_record_encode(&a, once);
    FUZZ_CHECK(wf_asked_record_decode(once, once_len, &b) == WEFT_OK);
    size_t twice_len = wf_asked_record_encode(&b, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    return true;
}

/* Its key comes first. */
static bool sync_of(const uint8_t *data, size_t len)
{
    weft_sync_record a, b;
    uint8_t key[WF_PAST_KEY_BYTES], once[WF_PAST_RECORD_MAX], twice[WF_PAST_RECORD_MAX];
    if (len < sizeof key) return false;
    const uint8_t *value = data + sizeof key;
    if (wf_past_decode(data, sizeof key, value, len - sizeof key, &a) != WEFT_OK) return false;
    wf_past_key(&a, key);
    FUZZ_CHECK(memcmp(key, data, sizeof key) == 0);
    size_t once_len = wf_past_encode(&a, once);
    FUZZ_CHECK(wf_past_decode(key, sizeof key, once, once_len, &b) == WEFT_OK);
    size_t twice_len = wf_past_encode(&b, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    return true;
}

static bool pair(const uint8_t *data, size_t len)
{
    struct wf_past_pair a = {.dirty = false}, b = {.dirty = false};
    uint8_t once[WF_PAST_RECORD_MAX], twice[WF_PAST_RECORD_MAX];
    if (wf_past_pair_decode(data, len, &a) != WEFT_OK) return false;
    size_t once_len = wf_past_pair_encode(&a, once);
    FUZZ_CHECK(wf_past_pair_decode(once, once_len, &b) == WEFT_OK);
    size_t twice_len = wf_past_pair_encode(&b, twice);
    FUZZ_CHECK(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    return true;
}

bool fuzz_record(const uint8_t *data, size_t len)
{
    uint32_t format;
    if (len < 1) return false;
    const uint8_t *at = data + 1;
    len--;
    switch (data[0] % KINDS) {
    case ROW: return row(at, len);
    case FORMAT: return wf_format_read(at, len, &format) == WEFT_OK;
    case META: return meta(at, len);
    case ARRIVAL: return arrival(at, len);
    case MARK: return mark(at, len);
    case TREE: return tree(at, len, false);
    case COUNTS: return tree(at, len, true);
    case NODE: return node(at, len);
    case TOP: return top(at, len);
    case SKETCH: return sketch(at, len);
    case DOM: return dom(at, len);
    case TRACK: return track(at, len);
    case JOIN: return join(at, len);
    case MODE: return mode(at, len);
    case ASKED: return asked(at, len);
    case SYNC: return sync_of(at, len);
    default: return pair(at, len);
    }
}
