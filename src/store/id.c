/* SPDX-License-Identifier: Apache-2.0
 * id.c - ids and public keys: their two text forms, and lists of ids in order.
 * Called by: everybody. May touch: its arguments.
 * Never: allocates, logs, computes a hash. Any thread. */
#include <weft/id.h>

#include <assert.h>
#include <string.h>

#include "ids.h"

/* What stands before the digest in the binary form of a CID: version 1, codec
 * messagepack (0x0201) and multihash blake2b-256 (0xb220) as unsigned varints,
 * and the digest's length. */
static const uint8_t cid_prefix[] = {0x01, 0x81, 0x04, 0xa0, 0xe4, 0x02, 0x20};
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, lower case */
static const char hex_digits[] = "0123456789abcdef";
static const char key_prefix[] = "ed25519:";

enum {
    CID_BYTES = sizeof cid_prefix + WEFT_ID_BYTES,
    CID_DIGITS = (CID_BYTES * 8 + 4) / 5,
    CID_SPARE_BITS = CID_DIGITS * 5 - CID_BYTES * 8 /* of the last digit; always zero */
};
static_assert(1 + CID_DIGITS + 1 <= WEFT_ID_TEXT_BYTES, "an id's text must fit");
static_assert(sizeof key_prefix + WEFT_KEY_BYTES * 2u <= WEFT_KEY_TEXT_BYTES, "a key's must too");

void weft_id_text(const weft_id *id, char out[WEFT_ID_TEXT_BYTES])
{
    uint8_t cid[CID_BYTES];
    memcpy(cid, cid_prefix, sizeof cid_prefix);
    memcpy(cid + sizeof cid_prefix, id->bytes, WEFT_ID_BYTES);

    char *at = out;
    *at++ = 'b'; /* multibase: base32, lower case, no padding */
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < CID_BYTES; i++) {
        held = (held << 8 | cid[i]) & 0xffffu;
        for (bits += 8; bits >= 5; bits -= 5) *at++ = base32_digits[held >> (bits - 5) & 31u];
    }
    if (bits > 0) *at++ = base32_digits[held << (5 - bits) & 31u];
    *at = '\0';
}

weft_err weft_id_parse(const char *text, weft_id *out)
{
    uint8_t cid[CID_BYTES];
    size_t filled = 0;
    uint32_t held = 0;
    unsigned bits = 0;

    if (strnlen(text, WEFT_ID_TEXT_BYTES) != 1 + CID_DIGITS || text[0] != 'b') return WEFT_SYNTAX;
    for (const char *at = text + 1; *at != '\0'; at++) {
        const char *digit = strchr(base32_digits, *at);
        if (digit == NULL) return WEFT_SYNTAX;
        held = (held << 5 | (uint32_t)(digit - base32_digits)) & 0xffffu;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            cid[filled++] = (uint8_t)(held >> bits);
        }
    }
    /* Without this several texts would name one id. */
    if (bits != CID_SPARE_BITS || (held & ((1u << CID_SPARE_BITS) - 1)) != 0) return WEFT_SYNTAX;
    if (memcmp(cid, cid_prefix, sizeof cid_prefix) != 0) return WEFT_SYNTAX;
    memcpy(out->bytes, cid + sizeof cid_prefix, WEFT_ID_BYTES);
    return WEFT_OK;
}

void wf_hex_write(const uint8_t *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_digits[data[i] >> 4];
        out[2 * i + 1] = hex_digits[data[i] & 15];
    }
}

/* Plain arithmetic instead of a table: key files pass here, and a table indexed by
 * secret digits would leave traces in the cache. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

weft_err wf_hex_read(const char *text, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < 2 * len; i++) {
        if (hex_value(text[i]) < 0) return WEFT_SYNTAX;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    }
    return WEFT_OK;
}

void weft_key_text(const weft_key *key, char out[WEFT_KEY_TEXT_BYTES])
{
    memcpy(out, key_prefix, sizeof key_prefix - 1);
    wf_hex_write(key->bytes, WEFT_KEY_BYTES, out + sizeof key_prefix - 1);
    out[sizeof key_prefix - 1 + 2 * WEFT_KEY_BYTES] = '\0';
}

weft_err weft_key_parse(const char *text, weft_key *out)
{
    const size_t prefix = sizeof key_prefix - 1;
    if (strnlen(text, WEFT_KEY_TEXT_BYTES) != prefix + 2 * WEFT_KEY_BYTES) return WEFT_SYNTAX;
    if (memcmp(text, key_prefix, prefix) != 0) return WEFT_SYNTAX;
    return wf_hex_read(text + prefix, WEFT_KEY_BYTES, out->bytes);
}

/* Heap sort: in place, no allocation, and no input makes it slow. */
static void sift_down(weft_id *ids, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && weft_id_compare(&ids[child], &ids[child + 1]) < 0) child++;
        if (weft_id_compare(&ids[at], &ids[child]) >= 0) return;
        weft_id swapped = ids[at];
        ids[at] = ids[child];
        ids[child] = swapped;
        at = child;
    }
}

uint32_t wf_ids_sort_unique(weft_id *ids, uint32_t count)
{
    bool sorted = true;
    for (uint32_t i = 1; i < count && sorted; i++) {
        sorted = weft_id_compare(&ids[i - 1], &ids[i]) < 0;
    }
    if (sorted) return count; /* and so without duplicates */

    for (uint32_t i = count / 2; i-- > 0;) sift_down(ids, i, count);
    for (uint32_t end = count; end-- > 1;) {
        weft_id largest = ids[0];
        ids[0] = ids[end];
        ids[end] = largest;
        sift_down(ids, 0, end);
    }
    uint32_t kept = 1;
    for (uint32_t i = 1; i < count; i++) {
        if (!weft_id_equal(&ids[kept - 1], &ids[i])) ids[kept++] = ids[i];
    }
    return kept;
}
