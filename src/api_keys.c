/* SPDX-License-Identifier: Apache-2.0
 * api_keys.c - a pair of keys to be carried elsewhere, and a device's new one (weft/keys.h).
 * Called by: users, from plain threads. May touch: sealed.h, the key file by key_file.h.
 * Never: loses a pair: the old one is kept before the new one takes its place. */
#include <weft/keys.h>

#include "crypto.h"
#include "key_file.h"
#include "log.h"
#include "node_internal.h"
#include "sealed.h"

/* -- Export ---------------------------------------------------------------------------------- */

weft_err weft_keypair_export(const weft_keypair *pair, const char *passphrase, size_t len,
                             weft_buf **out)
{
    if (pair == NULL || out == NULL || !wf_sealed_passphrase_ok(passphrase, len))
        return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    struct wf_sealed *sealed = wf_locked_alloc(sizeof *sealed);
    if (sealed == NULL) return WEFT_NO_MEMORY;
    sealed->count = 1;
    sealed->pairs[0].name[0] = '\0';
    wf_keypair_seed(pair, sealed->pairs[0].seed);
    weft_err err = wf_sealed_key_make(passphrase, len, NULL, &sealed->key);
    if (err == WEFT_OK) err = wf_sealed_write(sealed, out);
    wf_locked_free(sealed);
    return err;
}

weft_err weft_keypair_import(const void *data, size_t len, const char *passphrase,
                             size_t passphrase_len, weft_keypair **out)
{
    if (data == NULL || out == NULL || !wf_sealed_passphrase_ok(passphrase, passphrase_len))
        return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = wf_crypto_init();
    if (err != WEFT_OK) return err;
    struct wf_sealed *sealed = wf_locked_alloc(sizeof *sealed);
    if (sealed == NULL) return WEFT_NO_MEMORY;
    err = wf_sealed_read(data, len, passphrase, passphrase_len, sealed);
    if (err == WEFT_OK && (sealed->count != 1 || sealed->pairs[0].name[0] != '\0'))
        err = WEFT_SYNTAX; /* a key store, perhaps */
    if (err == WEFT_OK) err = weft_keypair_from_seed(sealed->pairs[0].seed, out);
    else if (err != WEFT_NO_MEMORY && err != WEFT_LIMIT)
        err = wf_fail(err, "keys", "the exported key cannot be read");
    wf_locked_free(sealed);
    return err;
}

/* -- Rotation ---------------------------------------------------------------------------------- */

/* With the store held open: so nobody else opens it while it and the file differ. */
static weft_err rotate(weft_node *node, const char *path, weft_keypair **out_before,
                       weft_keypair **out_now)
{
    weft_keypair *before = NULL, *now = NULL;
    weft_key key;
    weft_err err;
    if (node->rotated) { /* this opening ended an earlier call, which made the pair */
        err = wf_key_file_before(path, &before);
        if (err == WEFT_OK) err = weft_keypair_load(path, &now);
    } else {
        err = weft_keypair_load(path, &before);
        if (err == WEFT_OK) err = weft_keypair_create(&now);
        if (err == WEFT_OK) err = wf_key_file_rotate(path, before, now);
        /* Between these two lines only the file knows: wf_node_open_kv makes up for it. */
        if (err == WEFT_OK) weft_keypair_public(now, &key);
        if (err == WEFT_OK) err = wf_node_claim(node, &key);
    }
    if (err == WEFT_OK) {
        *out_before = before;
        *out_now = now;
        return WEFT_OK;
    }
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    return err;
}

weft_err weft_device_rotate(const weft_node_options *where, weft_keypair **out_before,
                            weft_keypair **out_now)
{
    char path[WF_KEY_PATH_BYTES];
    weft_keypair *there = NULL;
    weft_node *node = NULL;
    if (where == NULL || out_before == NULL || out_now == NULL) return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = wf_node_key_path(where, path);
    /* Opening makes what is missing; a node that never was has no key to change. */
    if (err == WEFT_OK) err = weft_keypair_load(path, &there);
    weft_keypair_destroy(there);
    if (err == WEFT_OK) err = weft_node_open(where, &node);
    if (err == WEFT_OK) err = rotate(node, path, out_before, out_now);
    weft_node_close(node);
    return err;
}
