/* SPDX-License-Identifier: Apache-2.0
 * layout.c - the keys and records of the store, as bytes.
 * Called by: the store's rooms. May touch: its arguments.
 * Never: an engine, the heap. */
#include "layout.h"

#include "log.h"

void wf_key_gen(uint8_t out[WF_KEY_GEN_BYTES], uint64_t t, uint64_t gen, const weft_id *id)
{
    wf_put_bytes(wf_put64(wf_put64(out, t), gen), id->bytes, WEFT_ID_BYTES);
}

void wf_key_seq(uint8_t out[WF_KEY_SEQ_BYTES], uint64_t t, uint64_t seq)
{
    wf_put64(wf_put64(out, t), seq);
}

void wf_key_dom(uint8_t out[WF_KEY_SEQ_BYTES], uint64_t t, uint64_t seq)
{
    WF_ASSERT(seq > 0);
    wf_put64(wf_put64(out, t), (seq - 1) / WF_DOM_PAGE);
}

void wf_key_child(uint8_t out[WF_KEY_CHILD_BYTES], uint64_t t, uint64_t parent_seq, uint64_t seq)
{
    wf_put64(wf_put64(wf_put64(out, t), parent_seq), seq);
}

size_t wf_key_tip(uint8_t out[WF_KEY_TIP_BYTES_MAX], uint64_t t, const void *name, size_t name_len,
                  const weft_id *id)
{
    WF_ASSERT(name_len <= WEFT_STORE_NAME_BYTES_MAX);
    uint8_t *at = wf_put64(out, t);
    *at++ = (uint8_t)name_len;
    if (name_len > 0) at = wf_put_bytes(at, name, name_len);
    if (id != NULL) at = wf_put_bytes(at, id->bytes, WEFT_ID_BYTES);
    return (size_t)(at - out);
}

size_t wf_key_trie(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t, unsigned depth,
                   const uint8_t of[WF_TRIE_KEY_BYTES])
{
    WF_ASSERT(depth <= WF_TRIE_DIGITS);
    uint8_t *at = wf_put64(out, t);
    *at++ = (uint8_t)depth;
    if (depth > 1) at = wf_put_bytes(at, of, depth / 2);
    if (depth % 2 != 0) *at++ = of[depth / 2] & 0xf0;
    return (size_t)(at - out);
}

size_t wf_key_trie_top(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t)
{
    uint8_t *at = wf_put64(out, t);
    *at++ = WF_TRIE_TOP;
    return (size_t)(at - out);
}

void wf_key_sketch(uint8_t out[WF_KEY_SKETCH_BYTES], uint64_t t) { wf_put64(out, t); }

size_t wf_key_sub(uint8_t out[WF_KEY_SUB_BYTES_MAX], uint64_t t, const void *name, size_t name_len,
                  uint64_t gen, const weft_id *id)
{
    WF_ASSERT(name_len > 0 && name_len <= WEFT_STORE_NAME_BYTES_MAX);
    uint8_t *at = wf_put64(out, t);
    *at++ = (uint8_t)name_len;
    at = wf_put_bytes(at, name, name_len);
    if (id != NULL) at = wf_put_bytes(wf_put64(at, gen), id->bytes, WEFT_ID_BYTES);
    return (size_t)(at - out);
}

void wf_key_cursor(uint8_t out[WF_KEY_CURSOR_BYTES], const weft_key *peer, uint64_t t)
{
    out[0] = WF_PEER_CURSOR;
    wf_put64(wf_put_bytes(out + 1, peer->bytes, WEFT_KEY_BYTES), t);
}

/* It says that this is a store of weft, and of which format. */
static const char format_magic[4] = {'w', 'e', 'f', 't'};
#define FORMAT_BYTES 8u

void wf_format_put(wf_batch *batch, uint32_t format)
{
    static const uint8_t key[1] = {WF_TREE_FORMAT};
    uint8_t value[FORMAT_BYTES];
    wf_put32(wf_put_bytes(value, format_magic, sizeof format_magic), format);
    wf_batch_put(batch, WF_CF_TREE, key, sizeof key, value, sizeof value);
}

weft_err wf_format_read(const void *data, size_t len, uint32_t *out)
{
    if (len < FORMAT_BYTES || memcmp(data, format_magic, sizeof format_magic) != 0)
        return wf_fail(WEFT_CORRUPT, "store", "the format record is malformed");
    *out = wf_get32((const uint8_t *)data + sizeof format_magic);
    return WEFT_OK;
}

void wf_key_removed(uint8_t out[WF_KEY_TREE_BYTES], uint64_t t)
{
    out[0] = WF_PEER_REMOVED;
    wf_put64(out + 1, t);
}

void wf_key_tree(uint8_t out[WF_KEY_TREE_BYTES], uint8_t kind, uint64_t t)
{
    out[0] = kind;
    wf_put64(out + 1, t);
}

/* -- meta ----------------------------------------------------------------------- */

#define META_HEAD_BYTES (4u * 8u + WEFT_KEY_BYTES + 4u + 2u)

size_t wf_meta_bytes(const struct wf_meta_record *meta)
{
    return META_HEAD_BYTES + (size_t)meta->parents_count * WEFT_ID_BYTES + meta->names_len;
}

void wf_meta_write(const struct wf_meta_record *meta, uint8_t *out)
{
    out = wf_put64(out, meta->t);
    out = wf_put64(out, meta->gen);
    out = wf_put64(out, meta->seq);
    out = wf_put64(out, meta->height);
    out = wf_put_bytes(out, meta->author.bytes, WEFT_KEY_BYTES);
    out = wf_put32(out, meta->policy);
    *out++ = (uint8_t)(meta->parents_count >> 8);
    *out++ = (uint8_t)meta->parents_count;
    if (meta->parents_count > 0)
        out = wf_put_bytes(out, meta->parents, (size_t)meta->parents_count * WEFT_ID_BYTES);
    if (meta->names_len > 0) wf_put_bytes(out, meta->names, meta->names_len);
}

weft_err wf_meta_read(const void *data, size_t len, struct wf_meta_record *out)
{
    const uint8_t *at = data;
    if (len < META_HEAD_BYTES) return wf_fail(WEFT_CORRUPT, "store", "meta: too short");
    struct wf_meta_record meta = {.t = wf_get64(at),
                                  .gen = wf_get64(at + 8),
                                  .seq = wf_get64(at + 16),
                                  .height = wf_get64(at + 24)};
    memcpy(meta.author.bytes, at + 32, WEFT_KEY_BYTES);
    meta.policy = wf_get32(at + 64);
    meta.parents_count = (uint32_t)at[68] << 8 | at[69];
    size_t parents = (size_t)meta.parents_count * WEFT_ID_BYTES;
    if (meta.parents_count > WEFT_ENTRY_UNION_PARENTS_MAX || len - META_HEAD_BYTES < parents)
        return wf_fail(WEFT_CORRUPT, "store", "meta: parents do not fit");
    meta.parents = at + META_HEAD_BYTES;
    meta.names = meta.parents + parents;
    meta.names_len = (uint32_t)(len - META_HEAD_BYTES - parents);
    *out = meta;
    return WEFT_OK;
}

uint32_t wf_names_find(const uint8_t *names, size_t names_len, const void *name, size_t name_len)
{
    size_t at = 0;
    for (uint32_t i = 1; at < names_len; i++) {
        size_t len = names[at++];
        if (len > names_len - at) return 0;
        if (len == name_len && memcmp(names + at, name, len) == 0) return i;
        at += len;
    }
    return 0;
}

/* -- arr -------------------------------------------------------------------------- */

static bool is_zero(const void *data, size_t len)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        if (at[i] != 0) return false;
    return true;
}

/* What an arrival does not have is left away: most entries are made here. */
size_t wf_arrival_write(const wf_arrival *arrival, uint8_t out[WF_ARR_BYTES_MAX])
{
    uint8_t *at = wf_put_bytes(out, arrival->id.bytes, WEFT_ID_BYTES);
    bool remote = !is_zero(&arrival->source, sizeof arrival->source);
    if (remote || arrival->source_seq != 0) {
        at = wf_put_bytes(at, arrival->source.peer.bytes, WEFT_KEY_BYTES);
        at = wf_put_bytes(at, arrival->source.epoch, sizeof arrival->source.epoch);
    }
    if (arrival->source_seq != 0) at = wf_put64(at, arrival->source_seq);
    return (size_t)(at - out);
}

weft_err wf_arrival_read(const void *key, size_t key_len, const void *data, size_t len,
                         wf_arrival *out)
{
    const uint8_t *at = data;
    wf_arrival arrival = {0};
    if (key_len != WF_KEY_SEQ_BYTES || (len != 32 && len != 80 && len != 88))
        return wf_fail(WEFT_CORRUPT, "store", "arrival: wrong length");
    arrival.seq = wf_get64((const uint8_t *)key + 8);
    memcpy(arrival.id.bytes, at, WEFT_ID_BYTES);
    if (len >= 80) {
        memcpy(arrival.source.peer.bytes, at + 32, WEFT_KEY_BYTES);
        memcpy(arrival.source.epoch, at + 64, sizeof arrival.source.epoch);
    }
    if (len == 88) arrival.source_seq = wf_get64(at + 80);
    *out = arrival;
    return WEFT_OK;
}

/* -- Marks ------------------------------------------------------------------------- */

void wf_mark_write(const wf_mark *mark, uint8_t out[WF_MARK_BYTES])
{
    out = wf_put_bytes(out, mark->epoch, sizeof mark->epoch);
    out = wf_put64(out, mark->seq);
    out = wf_put_bytes(out, mark->id8, sizeof mark->id8);
    *out++ = mark->partial;
    out = wf_put64(out, mark->gen);
    wf_put_bytes(out, mark->id.bytes, WEFT_ID_BYTES);
}

weft_err wf_mark_read(const void *data, size_t len, wf_mark *out)
{
    const uint8_t *at = data;
    if (len != WF_MARK_BYTES) return wf_fail(WEFT_CORRUPT, "store", "cursor: wrong length");
    memcpy(out->epoch, at, sizeof out->epoch);
    out->seq = wf_get64(at + 16);
    memcpy(out->id8, at + 24, sizeof out->id8);
    out->partial = at[32] != 0;
    out->gen = wf_get64(at + 33);
    memcpy(out->id.bytes, at + 41, WEFT_ID_BYTES);
    return WEFT_OK;
}

/* -- Trees -------------------------------------------------------------------------- */

#define TREE_HAS_ROOT 1u
#define TREE_FOLLOWED 2u

void wf_tree_write(const wf_tree_info *info, uint8_t out[WF_TREE_RECORD_BYTES])
{
    out = wf_put_bytes(out, info->tree.bytes, WEFT_ID_BYTES);
    out = wf_put_bytes(out, info->epoch, sizeof info->epoch);
    *out++ = (uint8_t)((info->has_root ? TREE_HAS_ROOT : 0) | (info->followed ? TREE_FOLLOWED : 0));
    *out = (uint8_t)info->strategy;
}

void wf_removed_write(const weft_id *tree, bool gone, uint8_t out[WF_REMOVED_BYTES])
{
    out = wf_put_bytes(out, tree->bytes, WEFT_ID_BYTES);
    *out = gone;
}

weft_err wf_removed_read(const void *data, size_t len, weft_id *tree, bool *gone)
{
    const uint8_t *at = data;
    if (len != WF_REMOVED_BYTES || at[WEFT_ID_BYTES] > 1)
        return wf_fail(WEFT_CORRUPT, "store", "a removed tree's record: malformed");
    memcpy(tree->bytes, at, WEFT_ID_BYTES);
    *gone = at[WEFT_ID_BYTES] == 1;
    return WEFT_OK;
}

weft_err wf_tree_read(const void *data, size_t len, wf_tree_info *out)
{
    const uint8_t *at = data;
    if (len != WF_TREE_RECORD_BYTES || at[49] > WEFT_HEIGHT_TIMESTAMP)
        return wf_fail(WEFT_CORRUPT, "store", "tree record: malformed");
    memcpy(out->tree.bytes, at, WEFT_ID_BYTES);
    memcpy(out->epoch, at + 32, sizeof out->epoch);
    out->has_root = (at[48] & TREE_HAS_ROOT) != 0;
    out->followed = (at[48] & TREE_FOLLOWED) != 0;
    out->strategy = (weft_height)at[49];
    return WEFT_OK;
}

void wf_counts_write(const wf_tree_info *info, uint8_t out[WF_COUNTS_BYTES])
{
    out = wf_put64(out, info->count);
    out = wf_put64(out, info->max_gen);
    out = wf_put64(out, info->seq);
    out = wf_put64(out, info->tips);
    wf_put_bytes(out, info->last_id8, sizeof info->last_id8);
}

weft_err wf_counts_read(const void *data, size_t len, wf_tree_info *out)
{
    const uint8_t *at = data;
    if (len != WF_COUNTS_BYTES) return wf_fail(WEFT_CORRUPT, "store", "counts: wrong length");
    out->count = wf_get64(at);
    out->max_gen = wf_get64(at + 8);
    out->seq = wf_get64(at + 16);
    out->tips = wf_get64(at + 24);
    memcpy(out->last_id8, at + 32, sizeof out->last_id8);
    return WEFT_OK;
}
