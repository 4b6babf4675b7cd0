/* SPDX-License-Identifier: Apache-2.0
 * keystore.c - sealed keys. The first byte says whether the rest is a file as somebody
 * gave it to us, or what was sealed: nobody guesses bytes that pass the seal.
 * Called by: libfuzzer.c, replay.c. May touch: sealed.h. Never: files. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "sealed.h"

#define WORD "a word", 6

/* Costs are bounded, but the greatest ones take a second each. */
#define LINE "weft-keys-1 argon2id 1 8192 "
#define DEAR_OPERATIONS 2u
#define DEAR_BYTES 65536u

static bool is_dear(const uint8_t *data, size_t len)
{
    char line[WF_SEALED_LINE_BYTES_MAX + 1] = "";
    unsigned long long operations, bytes;
    memcpy(line, data, len < WF_SEALED_LINE_BYTES_MAX ? len : (size_t)WF_SEALED_LINE_BYTES_MAX);
    if (sscanf(line, "weft-keys-1 argon2id %llu %llu ", &operations, &bytes) != 2) return false;
    return operations > DEAR_OPERATIONS || bytes > DEAR_BYTES;
}

static struct wf_sealed *place(unsigned number)
{
    static struct wf_sealed *places[2];
    if (places[number] == NULL) places[number] = wf_locked_alloc(sizeof **places);
    FUZZ_CHECK(places[number] != NULL);
    return places[number];
}

static bool read_file(const uint8_t *data, size_t len)
{
    struct wf_sealed *first = place(0), *second = place(1);
    weft_buf *buf = NULL;
    if (is_dear(data, len)) return false;
    if (wf_sealed_read(data, len, WORD, first) != WEFT_OK) return false;
    FUZZ_CHECK(first->count <= WEFT_KEYSTORE_KEYS_MAX);
    FUZZ_CHECK(wf_sealed_write(first, &buf) == WEFT_OK);
    FUZZ_CHECK(wf_sealed_read(weft_buf_bytes(buf), weft_buf_len(buf), WORD, second) == WEFT_OK);
    FUZZ_CHECK(first->count == second->count);
    for (uint32_t i = 0; i < first->count; i++) {
        const struct wf_sealed_pair *a = &first->pairs[i], *b = &second->pairs[i];
        FUZZ_CHECK(strcmp(a->name, b->name) == 0 && strlen(a->name) <= WEFT_KEY_NAME_BYTES_MAX);
        FUZZ_CHECK(memcmp(a->seed, b->seed, sizeof a->seed) == 0);
    }
    weft_buf_unref(buf);
    return true;
}

/* A file as its owner, and only it, could have made it: from any bytes. */
static bool read_sealed(const uint8_t *plain, size_t len)
{
    static uint8_t key[WF_SEAL_KEY_BYTES];
    static bool known;
    static const uint8_t salt[WF_SALT_BYTES], nonce[WF_SEAL_NONCE_BYTES];
    static uint8_t file[WF_SEALED_BYTES_MAX + 4096];
    char line[WF_SEALED_LINE_BYTES_MAX];
    if (!known) FUZZ_CHECK(wf_passphrase_key(WORD, salt, 1, 8192, key) == WEFT_OK);
    known = true;
    int line_len = snprintf(line, sizeof line, LINE "%032d %048d\n", 0, 0);
    FUZZ_CHECK(line_len > 0 && (size_t)line_len < sizeof line);
    if (len > sizeof file - sizeof line - WF_SEAL_TAG_BYTES) return false;
    memcpy(file, line, (size_t)line_len);
    wf_seal(key, nonce, line, (size_t)line_len, plain, len, file + line_len);
    return read_file(file, (size_t)line_len + len + WF_SEAL_TAG_BYTES);
}

bool fuzz_keystore(const uint8_t *data, size_t len)
{
    if (len < 1) return false;
    return data[0] % 2 == 0 ? read_file(data + 1, len - 1) : read_sealed(data + 1, len - 1);
}
