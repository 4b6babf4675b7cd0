/* SPDX-License-Identifier: Apache-2.0
 * keys.c - the key file of a node: one line, for its owner alone.
 * Called by: weft.c and programs, when a node opens or changes its key.
 * May touch: the key file and the one of the pair before, by secret_file.c.
 * Never: takes a key away without keeping it, logs a secret. */
#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "ids.h"
#include "key_file.h"
#include "log.h"
#include "secret_file.h"

static const char line_prefix[] = "weft-key-1 ed25519 ";
enum {
    SEED_BYTES = 32,
    PREFIX_LEN = sizeof line_prefix - 1,
    LINE_LEN = PREFIX_LEN + 2 * SEED_BYTES + 1 /* the line end */
};

static void write_line(const weft_keypair *pair, char out[LINE_LEN])
{
    uint8_t seed[SEED_BYTES];
    wf_keypair_seed(pair, seed);
    memcpy(out, line_prefix, PREFIX_LEN);
    wf_hex_write(seed, SEED_BYTES, out + PREFIX_LEN);
    out[LINE_LEN - 1] = '\n';
    wf_crypto_wipe(seed, sizeof seed);
}

weft_err weft_keypair_load(const char *path, weft_keypair **out)
{
    char line[LINE_LEN + 1];
    uint8_t seed[SEED_BYTES];
    size_t len = 0;
    weft_err err = wf_secret_read(path, line, sizeof line, &len);
    if (err == WEFT_OK && (len != LINE_LEN || line[LINE_LEN - 1] != '\n' ||
                           memcmp(line, line_prefix, PREFIX_LEN) != 0 ||
                           wf_hex_read(line + PREFIX_LEN, SEED_BYTES, seed) != WEFT_OK)) {
        err = wf_fail(WEFT_KEY_FILE, "keys",
                      "the key file %s is not one line \"%s\" and 64 lower-case hex digits", path,
                      line_prefix);
    }
    if (err == WEFT_OK) err = weft_keypair_from_seed(seed, out);
    wf_crypto_wipe(line, sizeof line);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

weft_err weft_keypair_save(const weft_keypair *pair, const char *path)
{
    char line[LINE_LEN];
    bool there;
    write_line(pair, line);
    weft_err err = wf_secret_write(path, NULL, 0, line, sizeof line, &there);
    wf_crypto_wipe(line, sizeof line);
    return err;
}

/* -- The pair before ---------------------------------------------------------------------- */

#define BEFORE ".before"

static char *path_before(const char *path)
{
    char *out = wf_malloc(strlen(path) + sizeof BEFORE);
    if (out == NULL) return NULL;
    memcpy(out, path, strlen(path));
    memcpy(out + strlen(path), BEFORE, sizeof BEFORE);
    return out;
}

weft_err wf_key_file_before(const char *path, weft_keypair **out)
{
    char *name = path_before(path);
    weft_err err = name == NULL ? WEFT_NO_MEMORY : weft_keypair_load(name, out);
    wf_free(name);
    return err;
}

/* A call that ended half way may have kept this very pair already. */
static weft_err keep(const char *path, const weft_keypair *pair)
{
    weft_keypair *kept = NULL;
    weft_key a, b;
    weft_err err = wf_key_file_before(path, &kept);
    if (err == WEFT_OK) {
        weft_keypair_public(pair, &a);
        weft_keypair_public(kept, &b);
        weft_keypair_destroy(kept);
        return weft_key_equal(&a, &b) ? WEFT_OK : WEFT_EXISTS;
    }
    if (err != WEFT_NOT_FOUND) return err;
    char *name = path_before(path);
    err = name == NULL ? WEFT_NO_MEMORY : weft_keypair_save(pair, name);
    wf_free(name);
    return err;
}

weft_err wf_key_file_rotate(const char *path, const weft_keypair *before, const weft_keypair *now)
{
    char line_before[LINE_LEN], line_now[LINE_LEN];
    bool there;
    weft_err err = keep(path, before);
    if (err != WEFT_OK) return err;
    write_line(before, line_before);
    write_line(now, line_now);
    err = wf_secret_write(path, line_before, sizeof line_before, line_now, sizeof line_now, &there);
    wf_crypto_wipe(line_before, sizeof line_before);
    wf_crypto_wipe(line_now, sizeof line_now);
    return err;
}
