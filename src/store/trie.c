/* SPDX-License-Identifier: Apache-2.0
 * trie.c - the trie's digits, digests and records.
 * Called by: the rooms of the trie. May touch: its arguments.
 * Never: an engine, the heap. */
#include "trie.h"

#include "crypto.h"
#include "log.h"

enum { HASH_BUCKET = 0, HASH_NODE = 1 };

/* -- Digits ----------------------------------------------------------------------------- */

static unsigned gen_digits(uint64_t gen)
{
    return gen < 16 ? 1 : (67u - (unsigned)__builtin_clzll(gen)) / 4;
}

unsigned wf_trie_digits(const struct wf_trie_key *key)
{
    return 1 + gen_digits(key->gen) + 2 * WEFT_ID_BYTES;
}

int wf_trie_compare(const struct wf_trie_key *a, const struct wf_trie_key *b)
{
    if (a->gen != b->gen) return a->gen < b->gen ? -1 : 1;
    return memcmp(a->id.bytes, b->id.bytes, WEFT_ID_BYTES);
}

static unsigned half(uint8_t byte, unsigned second) { return second ? byte & 15u : byte >> 4; }

unsigned wf_trie_digit(const struct wf_trie_key *key, unsigned at)
{
    unsigned len = gen_digits(key->gen);
    WF_ASSERT(at < wf_trie_digits(key));
    if (at == 0) return len - 1;
    if (at <= len) return (unsigned)(key->gen >> (4 * (len - at))) & 15u;
    at -= 1 + len;
    return half(key->id.bytes[at / 2], at % 2);
}

unsigned wf_trie_common(const struct wf_trie_key *a, const struct wf_trie_key *b)
{
    unsigned len = gen_digits(a->gen), at = 0;
    if (len != gen_digits(b->gen)) return 0;
    if (a->gen != b->gen) return 1 + len - gen_digits(a->gen ^ b->gen);
    while (at + 1 < WEFT_ID_BYTES && a->id.bytes[at] == b->id.bytes[at]) at++;
    return 1 + len + 2 * at + (half(a->id.bytes[at], 0) == half(b->id.bytes[at], 0));
}

/* -- Prefixes --------------------------------------------------------------------------- */

bool wf_trie_in(const struct wf_trie_prefix *prefix, const struct wf_trie_key *key)
{
    return wf_trie_compare(&prefix->key, key) == 0 ||
           wf_trie_common(&prefix->key, key) >= prefix->depth;
}

void wf_trie_gens(const struct wf_trie_prefix *prefix, uint64_t *first, uint64_t *last)
{
    uint64_t gen = prefix->key.gen;
    unsigned len = gen_digits(gen), known = prefix->depth;
    *first = 0;
    *last = UINT64_MAX;
    if (known == 0) return;
    unsigned free_bits = known > len ? 0 : 4 * (len + 1 - known);
    uint64_t below = free_bits == 64 ? UINT64_MAX : (UINT64_C(1) << free_bits) - 1;
    *last = gen | below;
    *first = gen & ~below;
    if (known == 1 && len > 1) *first = UINT64_C(1) << (4 * (len - 1)); /* no leading zero */
}

void wf_trie_lowest(const struct wf_trie_prefix *prefix, struct wf_trie_key *out)
{
    struct wf_trie_key lowest = {0};
    uint64_t last;
    unsigned before_id = 1 + gen_digits(prefix->key.gen);
    wf_trie_gens(prefix, &lowest.gen, &last);
    if (prefix->depth > before_id) {
        unsigned digits = prefix->depth - before_id;
        memcpy(lowest.id.bytes, prefix->key.id.bytes, (digits + 1) / 2);
        if (digits % 2 != 0) lowest.id.bytes[digits / 2] &= 0xf0;
    }
    *out = lowest;
}

void wf_trie_longer(const struct wf_trie_prefix *prefix, unsigned digit, struct wf_trie_prefix *out)
{
    struct wf_trie_prefix longer = {.depth = prefix->depth + 1};
    wf_trie_lowest(prefix, &longer.key);
    unsigned len = gen_digits(longer.key.gen), at = prefix->depth;
    if (at == 0) {
        longer.key.gen = digit == 0 ? 0 : UINT64_C(1) << (4 * digit);
    } else if (at <= len) {
        unsigned shift = 4 * (len - at);
        longer.key.gen = (longer.key.gen & ~(UINT64_C(15) << shift)) | (uint64_t)digit << shift;
    } else {
        at -= 1 + len;
        WF_ASSERT(at < 2 * WEFT_ID_BYTES);
        longer.key.id.bytes[at / 2] |= (uint8_t)(at % 2 == 0 ? digit << 4 : digit);
    }
    *out = longer;
}

size_t wf_trie_record_key(uint8_t out[WF_KEY_TRIE_BYTES_MAX], uint64_t t,
                          const struct wf_trie_prefix *prefix)
{
    uint8_t digits[WF_TRIE_KEY_BYTES] = {0};
    for (unsigned i = 0; i < prefix->depth; i++) {
        unsigned digit = wf_trie_digit(&prefix->key, i);
        digits[i / 2] |= (uint8_t)(i % 2 == 0 ? digit << 4 : digit);
    }
    return wf_key_trie(out, t, prefix->depth, digits);
}

/* -- Digests ---------------------------------------------------------------------------- */

void wf_trie_bucket_slot(const struct wf_trie_key *keys, unsigned count, struct wf_trie_slot *out)
{
    uint8_t text[1 + WF_TRIE_BUCKET * (WF_GEN_BYTES + WEFT_ID_BYTES)], *at = text;
    WF_ASSERT(count <= WF_TRIE_BUCKET);
    *out = (struct wf_trie_slot){.count = count};
    if (count == 0) return;
    *at++ = HASH_BUCKET;
    for (unsigned i = 0; i < count; i++)
        at = wf_put_bytes(wf_put64(at, keys[i].gen), keys[i].id.bytes, WEFT_ID_BYTES);
    wf_blake2b_256(text, (size_t)(at - text), out->digest);
}

uint64_t wf_trie_node_count(const struct wf_trie_node *node)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < 16; i++) count += node->slots[i].count;
    return count;
}

void wf_trie_node_slot(const struct wf_trie_node *node, struct wf_trie_slot *out)
{
    uint8_t text[11 + 16 * WF_TRIE_DIGEST_BYTES], *at = text + 11;
    uint64_t count = 0;
    unsigned bitmap = 0;
    for (unsigned i = 0; i < 16; i++) {
        if (node->slots[i].count == 0) continue;
        count += node->slots[i].count;
        bitmap |= 1u << i;
        at = wf_put_bytes(at, node->slots[i].digest, WF_TRIE_DIGEST_BYTES);
    }
    text[0] = HASH_NODE;
    wf_put64(text + 1, count);
    text[9] = (uint8_t)(bitmap >> 8);
    text[10] = (uint8_t)bitmap;
    out->count = count;
    wf_blake2b_256(text, (size_t)(at - text), out->digest);
}

/* -- Records ---------------------------------------------------------------------------- */

size_t wf_trie_node_write(const struct wf_trie_node *node, uint8_t out[WF_TRIE_NODE_BYTES_MAX])
{
    uint64_t largest = 0;
    unsigned bitmap = 0, width = 1;
    for (unsigned i = 0; i < 16; i++) {
        if (node->slots[i].count == 0) continue;
        largest |= node->slots[i].count;
        bitmap |= 1u << i;
    }
    while (width < 8 && largest >> (8 * width) != 0) width++;
    out[0] = (uint8_t)(bitmap >> 8);
    out[1] = (uint8_t)bitmap;
    out[2] = (uint8_t)width;
    uint8_t *at = out + 3;
    for (unsigned i = 0; i < 16; i++) {
        const struct wf_trie_slot *slot = &node->slots[i];
        if (slot->count == 0) continue;
        for (unsigned b = width; b > 0; b--) *at++ = (uint8_t)(slot->count >> (8 * (b - 1)));
        at = wf_put_bytes(at, slot->digest, WF_TRIE_DIGEST_BYTES);
    }
    return (size_t)(at - out);
}

weft_err wf_trie_node_read(const void *data, size_t len, struct wf_trie_node *out)
{
    const uint8_t *at = data;
    struct wf_trie_node node = {0};
    bool good = len >= 3 && at[2] >= 1 && at[2] <= 8;
    unsigned bitmap = good ? (unsigned)at[0] << 8 | at[1] : 0, width = good ? at[2] : 0, slots = 0;
    for (unsigned i = 0; i < 16; i++) slots += bitmap >> i & 1;
    if (!good || len != 3 + (size_t)slots * (width + WF_TRIE_DIGEST_BYTES))
        return wf_fail(WEFT_CORRUPT, "store", "trie: a node is malformed");
    at += 3;
    for (unsigned i = 0; i < 16; i++) {
        struct wf_trie_slot *slot = &node.slots[i];
        if ((bitmap >> i & 1) == 0) continue;
        for (unsigned b = 0; b < width; b++) slot->count = slot->count << 8 | *at++;
        if (slot->count == 0) return wf_fail(WEFT_CORRUPT, "store", "trie: a node is malformed");
        memcpy(slot->digest, at, WF_TRIE_DIGEST_BYTES);
        at += WF_TRIE_DIGEST_BYTES;
    }
    *out = node;
    return WEFT_OK;
}

void wf_trie_top_write(const struct wf_trie_slot *top, uint8_t out[WF_TRIE_TOP_BYTES])
{
    wf_put_bytes(wf_put64(out, top->count), top->digest, WF_TRIE_DIGEST_BYTES);
}

weft_err wf_trie_top_read(const void *data, size_t len, struct wf_trie_slot *out)
{
    const uint8_t *at = data;
    if (len != WF_TRIE_TOP_BYTES)
        return wf_fail(WEFT_CORRUPT, "store", "trie: the top is malformed");
    out->count = wf_get64(at);
    memcpy(out->digest, at + 8, WF_TRIE_DIGEST_BYTES);
    return WEFT_OK;
}
