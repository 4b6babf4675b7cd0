/* SPDX-License-Identifier: Apache-2.0
 * entry_build.c - from a description to the signed bytes of an entry (docs/entry.md).
 * Called by: writers, weft.c, tests; any thread. May touch: what it was given, the heap.
 * Never: asks a store or a clock whether the entry makes sense there: that is the door's work. */
#include "entry.h"

#include <stdlib.h>

#include "alloc.h"
#include "crypto.h"
#include "ids.h"
#include "log.h"
#include "pack.h"
#include "settings.h"
#include "utf8.h"

enum {
    HEAD_BYTES = 5, /* the longest head of a str, bin or array */
    UINT_BYTES = 9,
    IDS_GIVEN_MAX = 65536 /* ids a caller may list before duplicates are removed */
};

struct part { /* one store, its parents sorted */
    const weft_store_part *given;
    size_t name_len;
    weft_id *parents;
    uint32_t parents_count;
};

struct draft { /* all that will be written; ids in one block */
    const weft_entry_spec *spec;
    const weft_root_spec *root; /* NULL: not a root */
    weft_id *ids;
    uint32_t parents_count; /* ids[0 .. parents_count-1] */
    struct part parts[WEFT_ENTRY_STORES_MAX];
};

/* Names stand in logs and in command lines: no control characters. */
static bool name_valid(const char *name, size_t len)
{
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    }
    return wf_utf8_valid((const uint8_t *)name, len);
}

static weft_err check_part(const weft_store_part *p, size_t *name_len)
{
    if (p->name == NULL) return WEFT_INVALID;
    size_t len = strnlen(p->name, WEFT_STORE_NAME_BYTES_MAX + 1);
    if (!name_valid(p->name, len)) return WEFT_INVALID;
    if (p->name[0] == '_' && strcmp(p->name, WF_SETTINGS_NAME) != 0) return WEFT_INVALID;
    if (p->has_height && p->height > WEFT_HEIGHT_MAX) return WEFT_INVALID;
    if (p->parents_count > 0 && p->parents == NULL) return WEFT_INVALID;
    if (p->payload == NULL && p->payload_len != 0) return WEFT_INVALID;
    if (p->payload_len > WEFT_ENTRY_BYTES_MAX || p->parents_count > IDS_GIVEN_MAX)
        return WEFT_LIMIT;
    *name_len = len;
    return WEFT_OK;
}

static weft_err check_spec(const weft_entry_spec *s, bool is_root)
{
    if (!is_root && (s->parents_count == 0 || s->parents == NULL || s->height == 0)) {
        return WEFT_INVALID;
    }
    if (s->height > WEFT_HEIGHT_MAX) return WEFT_INVALID;
    if (s->metadata == NULL && s->metadata_len != 0) return WEFT_INVALID;
    if (s->stores == NULL && s->stores_count != 0) return WEFT_INVALID;
    if (s->metadata_len > WEFT_METADATA_BYTES_MAX) return WEFT_LIMIT;
    if (s->stores_count > WEFT_ENTRY_STORES_MAX) return WEFT_LIMIT;
    if (s->parents_count > IDS_GIVEN_MAX) return WEFT_LIMIT;
    return WEFT_OK;
}

/* Sorts `count` ids into `to`; more than an entry may name is LIMIT. */
static weft_err take_ids(const weft_id *ids, uint32_t count, weft_id *to, uint32_t *kept)
{
    if (count > 0) memcpy(to, ids, count * sizeof *ids);
    *kept = wf_ids_sort_unique(to, count);
    return *kept > WEFT_ENTRY_PARENTS_MAX ? WEFT_LIMIT : WEFT_OK;
}

/* The stores by name. Insertion: there are at most 64. INVALID: a name twice. */
static weft_err place_part(struct draft *d, uint32_t filled, const struct part *part)
{
    uint32_t at = filled;
    for (; at > 0; at--) {
        const struct part *before = &d->parts[at - 1];
        size_t shorter = before->name_len < part->name_len ? before->name_len : part->name_len;
        int order = memcmp(before->given->name, part->given->name, shorter);
        if (order == 0 && before->name_len == part->name_len) return WEFT_INVALID;
        if (order < 0 || (order == 0 && before->name_len < part->name_len)) break;
        d->parts[at] = *before;
    }
    d->parts[at] = *part;
    return WEFT_OK;
}

static weft_err draft_init(struct draft *d, const weft_entry_spec *spec, const weft_root_spec *root)
{
    size_t name_lens[WEFT_ENTRY_STORES_MAX];
    d->spec = spec;
    d->root = root;
    d->ids = NULL;

    weft_err err = check_spec(spec, root != NULL);
    if (err != WEFT_OK) return err;
    size_t total = spec->parents_count;
    for (uint32_t i = 0; i < spec->stores_count; i++) {
        err = check_part(&spec->stores[i], &name_lens[i]);
        if (err != WEFT_OK) return err;
        total += spec->stores[i].parents_count;
    }
    d->ids = wf_malloc((total + 1) * sizeof *d->ids);
    if (d->ids == NULL) return WEFT_NO_MEMORY;

    err = take_ids(spec->parents, spec->parents_count, d->ids, &d->parents_count);
    size_t sum = d->parents_count;
    weft_id *free_ids = d->ids + spec->parents_count;
    for (uint32_t i = 0; i < spec->stores_count && err == WEFT_OK; i++) {
        struct part part = {&spec->stores[i], name_lens[i], free_ids, 0};
        err = take_ids(part.given->parents, part.given->parents_count, free_ids,
                       &part.parents_count);
        if (err == WEFT_OK) err = place_part(d, i, &part);
        free_ids += part.given->parents_count;
        sum += part.parents_count;
    }
    return err == WEFT_OK && sum > WEFT_ENTRY_UNION_PARENTS_MAX ? WEFT_LIMIT : err;
}

/* Never less than what will be written. */
static size_t bytes_at_most(const struct draft *d)
{
    const size_t id = HEAD_BYTES + WEFT_ID_BYTES;
    size_t bytes = 2 + id + (4 + HEAD_BYTES + 16) + HEAD_BYTES + d->parents_count * id +
                   UINT_BYTES + HEAD_BYTES + d->spec->metadata_len + HEAD_BYTES + id +
                   WF_ENTRY_SIGNATURE_BYTES;
    for (uint32_t i = 0; i < d->spec->stores_count; i++) {
        const struct part *p = &d->parts[i];
        bytes += 1 + HEAD_BYTES + p->name_len + HEAD_BYTES + p->parents_count * id + HEAD_BYTES +
                 p->given->payload_len + UINT_BYTES;
    }
    return bytes;
}

static void pack_ids(msgpack_packer *pk, const weft_id *ids, uint32_t count)
{
    msgpack_pack_array(pk, count);
    for (uint32_t i = 0; i < count; i++) wf_pack_bin(pk, ids[i].bytes, WEFT_ID_BYTES);
}

static void pack_part(msgpack_packer *pk, const struct part *p, uint64_t entry_height)
{
    msgpack_pack_array(pk, 4);
    wf_pack_str(pk, p->given->name, p->name_len);
    pack_ids(pk, p->parents, p->parents_count);
    if (p->given->payload == NULL) msgpack_pack_nil(pk);
    else wf_pack_bin(pk, p->given->payload, p->given->payload_len);
    if (p->given->has_height && p->given->height != entry_height) {
        msgpack_pack_uint64(pk, p->given->height);
    } else {
        msgpack_pack_nil(pk); /* inherited: the one form of an equal height */
    }
}

/* All fields but the signature. */
static void pack_fields(msgpack_packer *pk, const struct draft *d, const weft_key *author)
{
    const weft_entry_spec *s = d->spec;
    msgpack_pack_array(pk, 9);
    msgpack_pack_uint64(pk, WF_ENTRY_VERSION);
    if (d->root == NULL) {
        wf_pack_bin(pk, s->tree.bytes, WEFT_ID_BYTES);
        msgpack_pack_nil(pk);
    } else {
        msgpack_pack_nil(pk);
        msgpack_pack_array(pk, 2);
        wf_pack_bin(pk, d->root->entropy, sizeof d->root->entropy);
        msgpack_pack_uint64(pk, (uint64_t)d->root->height);
    }
    pack_ids(pk, d->ids, d->parents_count);
    msgpack_pack_uint64(pk, s->height);
    if (s->metadata_len == 0) msgpack_pack_nil(pk);
    else wf_pack_bin(pk, s->metadata, s->metadata_len);
    msgpack_pack_array(pk, s->stores_count);
    for (uint32_t i = 0; i < s->stores_count; i++) pack_part(pk, &d->parts[i], s->height);
    wf_pack_bin(pk, author->bytes, WEFT_KEY_BYTES);
}

static weft_err build(const weft_entry_spec *spec, const weft_root_spec *root,
                      const weft_keypair *author, weft_buf **out, weft_id *out_id)
{
    struct draft d;
    weft_buf *buf = NULL;
    weft_err err = draft_init(&d, spec, root);
    if (err != WEFT_OK) goto done;

    size_t room = bytes_at_most(&d);
    if (room > WEFT_ENTRY_BYTES_MAX) room = WEFT_ENTRY_BYTES_MAX;
    err = weft_buf_create(room, &buf);
    if (err != WEFT_OK) goto done;
    uint8_t *bytes = weft_buf_data(buf);
    struct wf_pack pack = {bytes, bytes + room, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    weft_key key;
    weft_keypair_public(author, &key);
    pack_fields(&pk, &d, &key);

    /* Only what exceeds the bound of an entry does not fit. */
    uint8_t signature[WEFT_SIGNATURE_BYTES] = {0};
    size_t len = (size_t)(pack.at - bytes);
    if (!pack.overflow) err = wf_sign(author, WF_PURPOSE_ENTRY, bytes, len, signature);
    if (err != WEFT_OK) goto done;
    wf_pack_bin(&pk, signature, sizeof signature);
    if (pack.overflow) err = WEFT_LIMIT;
    if (err != WEFT_OK) goto done;
    WF_ASSERT((size_t)(pack.at - bytes) == len + WF_ENTRY_SIGNATURE_BYTES);

    weft_buf_truncate(buf, len + WF_ENTRY_SIGNATURE_BYTES);
    wf_blake2b_256(bytes, len + WF_ENTRY_SIGNATURE_BYTES, out_id->bytes);
    *out = buf;
    buf = NULL; /* the caller's now */
done:
    wf_free(d.ids);
    weft_buf_unref(buf);
    return err;
}

weft_err weft_entry_build(const weft_entry_spec *spec, const weft_keypair *author, weft_buf **out,
                          weft_id *out_id)
{
    return build(spec, NULL, author, out, out_id);
}

weft_err weft_root_build(const weft_root_spec *spec, const weft_keypair *author, weft_buf **out,
                         weft_id *out_id)
{
    static const uint8_t zero[16];
    weft_root_spec root = *spec;
    uint8_t settings[WF_SETTINGS_ROOT_BYTES];
    size_t settings_len;
    weft_key key;

    if (root.height != WEFT_HEIGHT_INCREMENTAL && root.height != WEFT_HEIGHT_TIMESTAMP) {
        return WEFT_INVALID;
    }
    weft_keypair_public(author, &key);
    const wf_grant everyone = {root.everyone, root.everyone_priority};
    weft_err err = wf_settings_root(&key, &everyone, settings, &settings_len);
    if (err != WEFT_OK) return err;
    if (memcmp(root.entropy, zero, sizeof zero) == 0) {
        wf_crypto_random(root.entropy, sizeof root.entropy);
    }
    weft_store_part part = {
        .name = WF_SETTINGS_NAME, .payload = settings, .payload_len = settings_len};
    weft_entry_spec entry = {.stores = &part, .stores_count = 1};
    return build(&entry, &root, author, out, out_id);
}
