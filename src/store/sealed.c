/* SPDX-License-Identifier: Apache-2.0
 * sealed.c - named pairs of keys as bytes that only a passphrase opens (docs/keys.md).
 * Called by: keystore.c, api_keys.c. May touch: its arguments, locked memory of its own.
 * Never: touches a file, logs, believes a cost that it has not bounded. */
#include "sealed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cursor.h"
#include "ids.h"
#include "log.h"
#include "pack.h"
#include "utf8.h"

static const char line_family[] = "weft-keys-", line_prefix[] = "weft-keys-1 argon2id ";
enum {
    PREFIX_LEN = sizeof line_prefix - 1,
    SALT_DIGITS = 2 * WF_SALT_BYTES,
    NONCE_DIGITS = 2 * WF_SEAL_NONCE_BYTES,
    NUMBER_DIGITS_MAX = 20,
    PLAIN_BYTES_MAX = WF_SEALED_BYTES_MAX - WF_SEALED_LINE_BYTES_MAX - (int)WF_SEAL_TAG_BYTES
};
static_assert(PREFIX_LEN + 2 * (NUMBER_DIGITS_MAX + 1) + SALT_DIGITS + 1 + NONCE_DIGITS + 2 <=
                  WF_SEALED_LINE_BYTES_MAX,
              "the line and a NUL fit");
static_assert(WEFT_KEY_NAME_BYTES_MAX < 256 && WEFT_KEYSTORE_KEYS_MAX < 65536, "heads of 2 and 3");

#define MEMORY_MIN UINT64_C(8192)
#define OPERATIONS_DEFAULT UINT64_C(3)
#define MEMORY_DEFAULT (UINT64_C(256) << 20)

bool wf_sealed_passphrase_ok(const char *passphrase, size_t len)
{
    return passphrase != NULL && len >= 1 && len <= WEFT_PASSPHRASE_BYTES_MAX;
}

static weft_err derive(const char *passphrase, size_t len, struct wf_sealed_key *key)
{
    return wf_passphrase_key(passphrase, len, key->salt, key->operations, key->memory_bytes,
                             key->key);
}

weft_err wf_sealed_key_make(const char *passphrase, size_t len, const weft_keystore_cost *cost,
                            struct wf_sealed_key *out)
{
    if (!wf_sealed_passphrase_ok(passphrase, len)) return WEFT_INVALID;
    out->operations = cost != NULL && cost->operations != 0 ? cost->operations : OPERATIONS_DEFAULT;
    out->memory_bytes = cost != NULL && cost->memory_bytes != 0 ? cost->memory_bytes
                                                                : MEMORY_DEFAULT;
    if (out->operations > WEFT_KEYSTORE_OPERATIONS_MAX || out->memory_bytes < MEMORY_MIN ||
        out->memory_bytes > WEFT_KEYSTORE_MEMORY_MAX)
        return WEFT_INVALID;
    wf_crypto_random(out->salt, sizeof out->salt);
    return derive(passphrase, len, out);
}

/* -- The first line ------------------------------------------------------------------------- */

static size_t line_write(const struct wf_sealed_key *key, const uint8_t nonce[WF_SEAL_NONCE_BYTES],
                         char out[WF_SEALED_LINE_BYTES_MAX])
{
    char salt[SALT_DIGITS + 1] = "", random[NONCE_DIGITS + 1] = "";
    wf_hex_write(key->salt, WF_SALT_BYTES, salt);
    wf_hex_write(nonce, WF_SEAL_NONCE_BYTES, random);
    int len = snprintf(out, WF_SEALED_LINE_BYTES_MAX, "%s%" PRIu64 " %" PRIu64 " %s %s\n",
                       line_prefix, key->operations, key->memory_bytes, salt, random);
    WF_ASSERT(len > 0 && len < WF_SEALED_LINE_BYTES_MAX);
    return (size_t)len;
}

struct text {
    const char *at, *end;
    bool bad;
};

/* In the one form that line_write has: no zero in front, one blank behind. */
static uint64_t number_read(struct text *t)
{
    uint64_t value = 0;
    const char *first = t->at;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        uint64_t digit = (uint64_t)(*t->at - '0');
        if (value > (UINT64_MAX - digit) / 10) t->bad = true;
        else value = value * 10 + digit;
    }
    if (t->at == first || *first == '0' || t->at == t->end || *t->at != ' ') t->bad = true;
    else t->at++;
    return value;
}

static void hex_read(struct text *t, uint8_t *out, size_t len, char behind)
{
    if (t->bad || (size_t)(t->end - t->at) < 2 * len + 1 || t->at[2 * len] != behind ||
        wf_hex_read(t->at, len, out) != WEFT_OK) {
        t->bad = true;
        return;
    }
    t->at += 2 * len + 1;
}

size_t wf_sealed_line_len(const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(
        data, '\n', len < WF_SEALED_LINE_BYTES_MAX ? len : (size_t)WF_SEALED_LINE_BYTES_MAX);
    return end == NULL ? 0 : (size_t)(end - data) + 1;
}

static weft_err line_read(const uint8_t *data, size_t len, struct wf_sealed_key *key,
                          uint8_t nonce[WF_SEAL_NONCE_BYTES])
{
    struct text t = {.at = (const char *)data, .end = (const char *)data + len};
    const size_t family_len = sizeof line_family - 1;
    if (len < family_len || memcmp(data, line_family, family_len) != 0) return WEFT_SYNTAX;
    if (len < PREFIX_LEN || memcmp(data, line_prefix, PREFIX_LEN) != 0) return WEFT_VERSION;
    t.at += PREFIX_LEN;
    key->operations = number_read(&t);
    if (!t.bad) key->memory_bytes = number_read(&t);
    hex_read(&t, key->salt, WF_SALT_BYTES, ' ');
    hex_read(&t, nonce, WF_SEAL_NONCE_BYTES, '\n');
    if (t.bad || t.at != t.end || key->memory_bytes < MEMORY_MIN) return WEFT_SYNTAX;
    if (key->operations > WEFT_KEYSTORE_OPERATIONS_MAX ||
        key->memory_bytes > WEFT_KEYSTORE_MEMORY_MAX)
        return WEFT_LIMIT;
    return WEFT_OK;
}

/* -- What is sealed ----------------------------------------------------------------------------- */

static size_t plain_write(const struct wf_sealed *sealed, uint8_t out[PLAIN_BYTES_MAX])
{
    struct wf_pack pack = {.at = out, .end = out + PLAIN_BYTES_MAX};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, sealed->count);
    for (uint32_t i = 0; i < sealed->count; i++) {
        const struct wf_sealed_pair *pair = &sealed->pairs[i];
        msgpack_pack_array(&pk, 2);
        wf_pack_str(&pk, pair->name, strlen(pair->name));
        wf_pack_bin(&pk, pair->seed, sizeof pair->seed);
    }
    WF_ASSERT(!pack.overflow);
    return (size_t)(pack.at - out);
}

static weft_err plain_read(const uint8_t *data, size_t len, struct wf_sealed *out)
{
    if (wf_scan(data, len, 2, 1 + 3 * (size_t)WEFT_KEYSTORE_KEYS_MAX) != WEFT_OK)
        return WEFT_SYNTAX;
    wf_cursor c = wf_cursor_open(data, len, true);
    out->count = wf_cursor_array(&c, WEFT_KEYSTORE_KEYS_MAX);
    for (uint32_t i = 0; i < out->count && c.err == WEFT_OK; i++) {
        struct wf_sealed_pair *pair = &out->pairs[i];
        size_t name_len = 0;
        if (wf_cursor_array(&c, 2) != 2) return WEFT_SYNTAX;
        const char *name = wf_cursor_str(&c, 0, WEFT_KEY_NAME_BYTES_MAX, &name_len);
        const uint8_t *seed = wf_cursor_bin_fixed(&c, WF_SEALED_SEED_BYTES);
        if (c.err != WEFT_OK || memchr(name, '\0', name_len) != NULL) return WEFT_SYNTAX;
        memset(pair->name, 0, sizeof pair->name);
        memcpy(pair->name, name, name_len);
        memcpy(pair->seed, seed, WF_SEALED_SEED_BYTES);
        if (i > 0 && strcmp(out->pairs[i - 1].name, pair->name) >= 0) return WEFT_SYNTAX;
    }
    return wf_cursor_done(&c) == WEFT_OK ? WEFT_OK : WEFT_SYNTAX;
}

weft_err wf_sealed_write(const struct wf_sealed *sealed, weft_buf **out)
{
    uint8_t nonce[WF_SEAL_NONCE_BYTES];
    char line[WF_SEALED_LINE_BYTES_MAX];
    weft_buf *buf = NULL;
    uint8_t *plain = wf_locked_alloc(PLAIN_BYTES_MAX);
    if (plain == NULL) return WEFT_NO_MEMORY;

    wf_crypto_random(nonce, sizeof nonce); /* 24 bytes of chance do not come twice */
    size_t line_len = line_write(&sealed->key, nonce, line);
    size_t len = plain_write(sealed, plain);
    weft_err err = weft_buf_create(line_len + len + WF_SEAL_TAG_BYTES, &buf);
    if (err == WEFT_OK) {
        uint8_t *data = weft_buf_data(buf);
        memcpy(data, line, line_len);
        wf_seal(sealed->key.key, nonce, line, line_len, plain, len, data + line_len);
        *out = buf;
    }
    wf_locked_free(plain);
    return err;
}

weft_err wf_sealed_read(const uint8_t *data, size_t len, const char *passphrase,
                        size_t passphrase_len, struct wf_sealed *out)
{
    uint8_t nonce[WF_SEAL_NONCE_BYTES];
    const size_t line_len = wf_sealed_line_len(data, len);
    weft_err err = line_read(data, line_len, &out->key, nonce);
    if (err != WEFT_OK) return err;
    data += line_len;
    len -= line_len;
    if (len < WF_SEAL_TAG_BYTES || len - WF_SEAL_TAG_BYTES > PLAIN_BYTES_MAX) return WEFT_SYNTAX;
    uint8_t *plain = wf_locked_alloc(PLAIN_BYTES_MAX);
    if (plain == NULL) return WEFT_NO_MEMORY;
    err = derive(passphrase, passphrase_len, &out->key);
    if (err == WEFT_OK &&
        !wf_unseal(out->key.key, nonce, data - line_len, line_len, data, len, plain))
        err = WEFT_PASSPHRASE;
    if (err == WEFT_OK) err = plain_read(plain, len - WF_SEAL_TAG_BYTES, out);
    wf_locked_free(plain);
    return err;
}
