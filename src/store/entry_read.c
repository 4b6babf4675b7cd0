/* SPDX-License-Identifier: Apache-2.0
 * entry_read.c - from bytes to an entry: the one reading of the format (docs/entry.md).
 * Called by: verify, the store, applications, tools. May touch: the bytes given.
 * Never: allocates, copies payloads, accepts two encodings of one entry. */
#include "entry.h"

#include <string.h>

#include "crypto.h"
#include "cursor.h"
#include "ids.h"

enum {
    FIELDS = 9,
    STORE_FIELDS = 4,
    ID_STRIDE = 2 + WEFT_ID_BYTES, /* a bin head and an id: lists of ids are views */
    /* The most values an entry can have whose lists keep their own bounds; that all
     * parents together keep theirs is checked when they are known. */
    NODES_MAX = 1 + FIELDS + 2 + (1 + WEFT_ENTRY_STORES_MAX) * (1 + WEFT_ENTRY_PARENTS_MAX) +
                STORE_FIELDS * (1 + WEFT_ENTRY_STORES_MAX)
};

/* An array of ids, strictly ascending. *out is NULL for none. */
static weft_err read_ids(wf_cursor *c, uint32_t *count, const uint8_t **out)
{
    uint32_t n = wf_cursor_array(c, NODES_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (n > WEFT_ENTRY_PARENTS_MAX) return WEFT_BAD_ENTRY;

    const uint8_t *first = NULL, *before = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *id = wf_cursor_bin_fixed(c, WEFT_ID_BYTES);
        if (c->err != WEFT_OK) return c->err;
        if (before != NULL && memcmp(before, id, WEFT_ID_BYTES) >= 0) return WEFT_NOT_CANONICAL;
        if (first == NULL) first = id;
        before = id;
    }
    *count = n;
    *out = first;
    return WEFT_OK;
}

static weft_err read_height(wf_cursor *c, uint64_t *out)
{
    uint64_t height = wf_cursor_uint(c, UINT64_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (height > WEFT_HEIGHT_MAX) return WEFT_BAD_ENTRY;
    *out = height;
    return WEFT_OK;
}

/* Names stand in logs and in command lines: no control characters. */
static weft_err read_name(wf_cursor *c, const char **out, uint32_t *out_len)
{
    size_t len = 0;
    const char *name = wf_cursor_str(c, 0, WEFT_ENTRY_BYTES_MAX, &len);
    if (c->err != WEFT_OK) return c->err;
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_BAD_ENTRY;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return WEFT_BAD_ENTRY;
    }
    *out = name;
    *out_len = (uint32_t)len;
    return WEFT_OK;
}

static weft_err read_store(wf_cursor *c, uint64_t entry_height, weft_entry_store *out)
{
    if (wf_cursor_array(c, STORE_FIELDS) != STORE_FIELDS) return c->err ? c->err : WEFT_SYNTAX;
    weft_err err = read_name(c, &out->name, &out->name_len);
    if (err != WEFT_OK) return err;
    err = read_ids(c, &out->parents_count, &out->parents);
    if (err != WEFT_OK) return err;

    out->payload = NULL;
    out->payload_len = 0;
    if (!wf_cursor_nil(c)) {
        out->payload = wf_cursor_bin(c, 0, WEFT_ENTRY_BYTES_MAX, &out->payload_len);
        if (c->err != WEFT_OK) return c->err;
    }
    out->has_height = !wf_cursor_nil(c);
    out->height = entry_height;
    if (!out->has_height) return c->err;
    err = read_height(c, &out->height);
    /* Its own height, when it is the entry's, must be left out: one meaning, one form. */
    if (err == WEFT_OK && out->height == entry_height) err = WEFT_NOT_CANONICAL;
    return err;
}

static int compare_names(const weft_entry_store *a, const weft_entry_store *b)
{
    size_t shorter = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, shorter);
    return order != 0 ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static weft_err read_stores(wf_cursor *c, weft_entry *out)
{
    uint32_t n = wf_cursor_array(c, NODES_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (n > WEFT_ENTRY_STORES_MAX) return WEFT_BAD_ENTRY;

    for (uint32_t i = 0; i < n; i++) {
        weft_err err = read_store(c, out->height, &out->stores[i]);
        if (err != WEFT_OK) return err;
        if (i > 0 && compare_names(&out->stores[i - 1], &out->stores[i]) >= 0) {
            return WEFT_NOT_CANONICAL;
        }
    }
    out->stores_count = n;
    return WEFT_OK;
}

/* Fields two and three: which tree, and how it began. */
static weft_err read_origin(wf_cursor *c, weft_entry *out)
{
    memset(&out->tree, 0, sizeof out->tree);
    memset(out->entropy, 0, sizeof out->entropy);
    out->strategy = WEFT_HEIGHT_INCREMENTAL;
    out->is_root = wf_cursor_nil(c);
    if (!out->is_root) {
        const uint8_t *tree = wf_cursor_bin_fixed(c, WEFT_ID_BYTES);
        if (c->err != WEFT_OK) return c->err;
        memcpy(out->tree.bytes, tree, WEFT_ID_BYTES);
        if (wf_cursor_nil(c)) return WEFT_OK;
        return c->err ? c->err : WEFT_BAD_ENTRY; /* only a root has a genesis */
    }
    if (wf_cursor_peek(c) == WF_T_NIL) return WEFT_BAD_ENTRY;
    if (wf_cursor_array(c, 2) != 2) return c->err ? c->err : WEFT_SYNTAX;
    const uint8_t *entropy = wf_cursor_bin_fixed(c, sizeof out->entropy);
    uint64_t strategy = wf_cursor_uint(c, UINT64_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (strategy > WEFT_HEIGHT_TIMESTAMP) return WEFT_BAD_ENTRY;
    memcpy(out->entropy, entropy, sizeof out->entropy);
    out->strategy = (weft_height)strategy;
    return WEFT_OK;
}

static weft_err read_metadata(wf_cursor *c, weft_entry *out)
{
    out->metadata = NULL;
    out->metadata_len = 0;
    if (wf_cursor_nil(c)) return WEFT_OK;
    out->metadata = wf_cursor_bin(c, 0, WEFT_ENTRY_BYTES_MAX, &out->metadata_len);
    if (c->err != WEFT_OK) return c->err;
    /* None is nil, so an empty one would be a second form of none. */
    if (out->metadata_len == 0) return WEFT_NOT_CANONICAL;
    return out->metadata_len > WEFT_METADATA_BYTES_MAX ? WEFT_BAD_ENTRY : WEFT_OK;
}

/* The rules that hold between fields. */
static weft_err check_rules(const weft_entry *e)
{
    if (wf_entry_parents_sum(e) > WEFT_ENTRY_UNION_PARENTS_MAX) return WEFT_BAD_ENTRY;
    if (!e->is_root) return e->parents_count > 0 && e->height > 0 ? WEFT_OK : WEFT_BAD_ENTRY;

    const size_t name_len = sizeof WF_SETTINGS_NAME - 1;
    if (e->parents_count != 0 || e->height != 0 || e->stores_count != 1) return WEFT_BAD_ENTRY;
    const weft_entry_store *s = &e->stores[0];
    if (s->name_len != name_len || memcmp(s->name, WF_SETTINGS_NAME, name_len) != 0) {
        return WEFT_BAD_ENTRY;
    }
    if (s->parents_count != 0 || s->payload == NULL || s->has_height) return WEFT_BAD_ENTRY;
    return WEFT_OK;
}

static weft_err read_fields(wf_cursor *c, weft_entry *out)
{
    if (wf_cursor_array(c, FIELDS) != FIELDS) return c->err ? c->err : WEFT_SYNTAX;
    (void)wf_cursor_uint(c, WF_ENTRY_VERSION); /* looked at before */

    weft_err err = read_origin(c, out);
    if (err == WEFT_OK) err = read_ids(c, &out->parents_count, &out->parents);
    if (err == WEFT_OK) err = read_height(c, &out->height);
    if (err == WEFT_OK) err = read_metadata(c, out);
    if (err == WEFT_OK) err = read_stores(c, out);
    if (err != WEFT_OK) return err;

    const uint8_t *author = wf_cursor_bin_fixed(c, WEFT_KEY_BYTES);
    const uint8_t *signature = wf_cursor_bin_fixed(c, WEFT_SIGNATURE_BYTES);
    err = wf_cursor_done(c);
    if (err != WEFT_OK) return err;
    memcpy(out->author.bytes, author, WEFT_KEY_BYTES);
    memcpy(out->signature, signature, WEFT_SIGNATURE_BYTES);
    return check_rules(out);
}

/* Copies an entry without the places of stores that it does not have. */
static void hand_over(const weft_entry *e, weft_entry *out)
{
    memcpy(out, e, offsetof(weft_entry, stores));
    memcpy(out->stores, e->stores, e->stores_count * sizeof e->stores[0]);
    out->author = e->author;
    memcpy(out->signature, e->signature, sizeof out->signature);
}

weft_err wf_entry_parse(const void *bytes, size_t len, weft_entry *out)
{
    const uint8_t *data = bytes;
    if (len > WEFT_ENTRY_BYTES_MAX) return WEFT_LIMIT;
    if (len < 2) return WEFT_SYNTAX;
    /* Every version, past and to come, is a short array that begins with its number
     * in one byte. Looked at first: what follows in another version is unknown. */
    if ((data[0] & 0xf0) == 0x90 && data[1] < 0x80 && data[1] != WF_ENTRY_VERSION) {
        return WEFT_UNSUPPORTED;
    }
    weft_err err = wf_scan(data, len, WEFT_ENTRY_DEPTH_MAX, NODES_MAX);
    if (err != WEFT_OK) return err;

    weft_entry e; /* not cleared: only what is read is handed over */
    wf_cursor c = wf_cursor_open(data, len, true);
    e.bytes = data;
    e.len = len;
    memset(&e.id, 0, sizeof e.id);
    err = read_fields(&c, &e);
    if (err == WEFT_OK) hand_over(&e, out);
    return err;
}

weft_err weft_entry_decode(const void *bytes, size_t len, weft_entry *out)
{
    weft_err err = wf_entry_parse(bytes, len, out);
    if (err != WEFT_OK) return err;
    wf_blake2b_256(bytes, len, out->id.bytes);
    if (out->is_root) out->tree = out->id;
    return WEFT_OK;
}

weft_err weft_entry_verify(const weft_entry *entry)
{
    return wf_verify(&entry->author, WF_PURPOSE_ENTRY, entry->bytes,
                     entry->len - WF_ENTRY_SIGNATURE_BYTES, entry->signature);
}

void weft_entry_parent(const weft_entry *entry, uint32_t i, weft_id *out)
{
    memcpy(out->bytes, entry->parents + (size_t)i * ID_STRIDE, WEFT_ID_BYTES);
}

void weft_entry_store_parent(const weft_entry_store *store, uint32_t i, weft_id *out)
{
    memcpy(out->bytes, store->parents + (size_t)i * ID_STRIDE, WEFT_ID_BYTES);
}

const weft_entry_store *wf_entry_find_store(const weft_entry *entry, const char *name)
{
    size_t len = strlen(name);
    for (uint32_t i = 0; i < entry->stores_count; i++) {
        const weft_entry_store *s = &entry->stores[i];
        if (s->name_len == len && memcmp(s->name, name, len) == 0) return s;
    }
    return NULL;
}

uint32_t wf_entry_parents_sum(const weft_entry *entry)
{
    uint32_t sum = entry->parents_count; /* <= 65 * 256: no overflow */
    for (uint32_t i = 0; i < entry->stores_count; i++) sum += entry->stores[i].parents_count;
    return sum;
}

weft_err wf_entry_union_parents(const weft_entry *entry, weft_id *out, uint32_t room,
                                uint32_t *count)
{
    if (wf_entry_parents_sum(entry) > room) return WEFT_LIMIT;
    uint32_t n = 0;
    for (uint32_t i = 0; i < entry->parents_count; i++) weft_entry_parent(entry, i, &out[n++]);
    for (uint32_t s = 0; s < entry->stores_count; s++) {
        const weft_entry_store *store = &entry->stores[s];
        for (uint32_t i = 0; i < store->parents_count; i++) {
            weft_entry_store_parent(store, i, &out[n++]);
        }
    }
    *count = wf_ids_sort_unique(out, n);
    return WEFT_OK;
}
