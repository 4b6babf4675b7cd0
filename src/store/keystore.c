/* SPDX-License-Identifier: Apache-2.0
 * keystore.c - many pairs of keys in one file, by name, under a passphrase.
 * Called by: programs (weft/keys.h). May touch: the file, by secret_file.c; locked memory.
 * Never: keeps a passphrase, has a secret in memory that is not locked, logs one. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "fork.h"
#include "log.h"
#include "sealed.h"
#include "secret_file.h"
#include "utf8.h"

/* All of it in locked memory. A change is made in a copy, which takes the place of the old one
 * when the file has it. */
struct content {
    struct wf_sealed sealed;
    weft_key keys[WEFT_KEYSTORE_KEYS_MAX]; /* of the pair of the same number */
};

struct weft_keystore {
    uint64_t born; /* wf_fork_count() then: a child has no locked memory */
    char *path;
    struct content *content;
    uint8_t line[WF_SEALED_LINE_BYTES_MAX]; /* the first one of the file as we know it */
    size_t line_len;
    bool walking; /* weft_keystore_each is calling */
};

/* -- Opening and closing --------------------------------------------------------------------- */

void weft_keystore_close(weft_keystore *s)
{
    if (s == NULL) return;
    wf_locked_free(s->content);
    wf_free(s->path);
    wf_free(s);
}

static weft_err create_struct(const char *path, weft_keystore **out)
{
    weft_err err = wf_crypto_init();
    if (err != WEFT_OK) return err;
    weft_keystore *s = wf_calloc(1, sizeof *s);
    if (s == NULL) return WEFT_NO_MEMORY;
    s->born = wf_fork_count();
    s->path = wf_strdup(path);
    s->content = wf_locked_alloc(sizeof *s->content);
    if (s->path == NULL || s->content == NULL) {
        weft_keystore_close(s);
        return WEFT_NO_MEMORY;
    }
    memset(s->content, 0, sizeof *s->content);
    *out = s;
    return WEFT_OK;
}

static void remember_line(weft_keystore *s, const uint8_t *data, size_t len)
{
    s->line_len = wf_sealed_line_len(data, len);
    memcpy(s->line, data, s->line_len);
}

/* Makes `next` what the file has, and takes it then: by what *there says, not by the answer. */
static weft_err save(weft_keystore *s, struct content *next, bool fresh, bool *there)
{
    weft_buf *buf = NULL;
    *there = false;
    weft_err err = wf_sealed_write(&next->sealed, &buf);
    if (err != WEFT_OK) return err;
    err = wf_secret_write(s->path, fresh ? NULL : s->line, s->line_len, weft_buf_bytes(buf),
                          weft_buf_len(buf), there);
    if (*there) {
        remember_line(s, weft_buf_bytes(buf), weft_buf_len(buf));
        if (next != s->content) wf_locked_free(s->content);
        s->content = next;
    }
    weft_buf_unref(buf);
    return err;
}

weft_err weft_keystore_create(const char *path, const char *passphrase, size_t len,
                              const weft_keystore_cost *cost, weft_keystore **out)
{
    weft_keystore *s = NULL;
    bool there;
    if (path == NULL || out == NULL || !wf_sealed_passphrase_ok(passphrase, len))
        return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = create_struct(path, &s);
    if (err == WEFT_OK) err = wf_sealed_key_make(passphrase, len, cost, &s->content->sealed.key);
    if (err == WEFT_OK) err = save(s, s->content, true, &there);
    if (err != WEFT_OK) {
        weft_keystore_close(s);
        return err;
    }
    *out = s;
    return WEFT_OK;
}

static weft_err public_of(const uint8_t seed[WF_SEALED_SEED_BYTES], weft_key *out)
{
    weft_keypair *pair = NULL;
    weft_err err = weft_keypair_from_seed(seed, &pair);
    if (err != WEFT_OK) return err;
    weft_keypair_public(pair, out);
    weft_keypair_destroy(pair);
    return WEFT_OK;
}

static weft_err read_content(weft_keystore *s, const uint8_t *data, size_t len,
                             const char *passphrase, size_t passphrase_len)
{
    struct wf_sealed *sealed = &s->content->sealed;
    weft_err err = len > WF_SEALED_BYTES_MAX
                       ? WEFT_SYNTAX
                       : wf_sealed_read(data, len, passphrase, passphrase_len, sealed);
    if (err == WEFT_OK && sealed->count > 0 && sealed->pairs[0].name[0] == '\0') err = WEFT_SYNTAX;
    if (err == WEFT_SYNTAX)
        return wf_fail(WEFT_KEY_FILE, "keys", "the file %s is no key store", s->path);
    if (err != WEFT_OK && err != WEFT_NO_MEMORY)
        return wf_fail(err, "keys", "the key store %s cannot be opened", s->path);
    for (uint32_t i = 0; err == WEFT_OK && i < sealed->count; i++)
        err = public_of(sealed->pairs[i].seed, &s->content->keys[i]);
    if (err == WEFT_OK) remember_line(s, data, len);
    return err;
}

weft_err weft_keystore_open(const char *path, const char *passphrase, size_t len,
                            weft_keystore **out)
{
    weft_keystore *s = NULL;
    size_t got = 0;
    if (path == NULL || out == NULL || !wf_sealed_passphrase_ok(passphrase, len))
        return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    uint8_t *data = wf_malloc(WF_SEALED_BYTES_MAX + 1);
    weft_err err = data == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    if (err == WEFT_OK) err = wf_secret_read(path, data, WF_SEALED_BYTES_MAX + 1, &got);
    if (err == WEFT_OK) err = create_struct(path, &s);
    if (err == WEFT_OK) err = read_content(s, data, got, passphrase, len);
    wf_free(data);
    if (err != WEFT_OK) {
        weft_keystore_close(s);
        return err;
    }
    *out = s;
    return WEFT_OK;
}

/* -- Pairs ------------------------------------------------------------------------------------- */

static bool name_ok(const char *name)
{
    size_t len = strnlen(name, WEFT_KEY_NAME_BYTES_MAX + 1);
    return len >= 1 && len <= WEFT_KEY_NAME_BYTES_MAX && wf_utf8_valid((const uint8_t *)name, len);
}

/* The place of the name, or the one where it belongs. */
static uint32_t find(const struct content *c, const char *name, bool *found)
{
    uint32_t at = 0;
    while (at < c->sealed.count && strcmp(c->sealed.pairs[at].name, name) < 0) at++;
    *found = at < c->sealed.count && strcmp(c->sealed.pairs[at].name, name) == 0;
    return at;
}

static weft_err may_change(const weft_keystore *s)
{
    if (s->born != wf_fork_count()) return WEFT_FORKED;
    return s->walking || wf_in_actor() ? WEFT_DEADLK : WEFT_OK;
}

static struct content *copy_of(const struct content *c)
{
    struct content *copy = wf_locked_alloc(sizeof *copy);
    if (copy != NULL) memcpy(copy, c, sizeof *copy);
    return copy;
}

static weft_err save_take(weft_keystore *s, struct content *next)
{
    bool there;
    weft_err err = save(s, next, false, &there);
    if (!there) wf_locked_free(next);
    return err;
}

weft_err weft_keystore_put(weft_keystore *s, const char *name, const weft_keypair *pair)
{
    bool found;
    if (s == NULL || name == NULL || pair == NULL || !name_ok(name)) return WEFT_INVALID;
    weft_err err = may_change(s);
    if (err != WEFT_OK) return err;
    uint32_t at = find(s->content, name, &found);
    if (found) return WEFT_EXISTS;
    if (s->content->sealed.count == WEFT_KEYSTORE_KEYS_MAX) return WEFT_LIMIT;
    struct content *next = copy_of(s->content);
    if (next == NULL) return WEFT_NO_MEMORY;

    struct wf_sealed_pair *place = &next->sealed.pairs[at];
    uint32_t behind = next->sealed.count++ - at;
    memmove(place + 1, place, behind * sizeof *place);
    memmove(&next->keys[at + 1], &next->keys[at], behind * sizeof next->keys[0]);
    memset(place, 0, sizeof *place);
    memcpy(place->name, name, strlen(name));
    wf_keypair_seed(pair, place->seed);
    weft_keypair_public(pair, &next->keys[at]);
    return save_take(s, next);
}

weft_err weft_keystore_get(weft_keystore *s, const char *name, weft_keypair **out)
{
    bool found;
    if (s == NULL || name == NULL || out == NULL || !name_ok(name)) return WEFT_INVALID;
    if (s->born != wf_fork_count()) return WEFT_FORKED;
    uint32_t at = find(s->content, name, &found);
    return found ? weft_keypair_from_seed(s->content->sealed.pairs[at].seed, out) : WEFT_NOT_FOUND;
}

weft_err weft_keystore_remove(weft_keystore *s, const char *name)
{
    bool found;
    if (s == NULL || name == NULL || !name_ok(name)) return WEFT_INVALID;
    weft_err err = may_change(s);
    if (err != WEFT_OK) return err;
    uint32_t at = find(s->content, name, &found);
    if (!found) return WEFT_NOT_FOUND;
    struct content *next = copy_of(s->content);
    if (next == NULL) return WEFT_NO_MEMORY;

    struct wf_sealed_pair *place = &next->sealed.pairs[at];
    uint32_t behind = --next->sealed.count - at;
    memmove(place, place + 1, behind * sizeof *place);
    memmove(&next->keys[at], &next->keys[at + 1], behind * sizeof next->keys[0]);
    memset(&next->sealed.pairs[next->sealed.count], 0,
           sizeof *place); /* the last one's old place */
    return save_take(s, next);
}

weft_err weft_keystore_each(weft_keystore *s,
                            void (*fn)(void *arg, const char *name, const weft_key *key), void *arg)
{
    if (s == NULL || fn == NULL) return WEFT_INVALID;
    if (s->born != wf_fork_count()) return WEFT_FORKED;
    if (s->walking) return WEFT_DEADLK;
    s->walking = true;
    for (uint32_t i = 0; i < s->content->sealed.count; i++)
        fn(arg, s->content->sealed.pairs[i].name, &s->content->keys[i]);
    s->walking = false;
    return WEFT_OK;
}

weft_err weft_keystore_passphrase(weft_keystore *s, const char *passphrase, size_t len)
{
    if (s == NULL || !wf_sealed_passphrase_ok(passphrase, len)) return WEFT_INVALID;
    weft_err err = may_change(s);
    if (err != WEFT_OK) return err;
    struct content *next = copy_of(s->content);
    if (next == NULL) return WEFT_NO_MEMORY;
    const weft_keystore_cost cost = {.operations = next->sealed.key.operations,
                                     .memory_bytes = next->sealed.key.memory_bytes};
    err = wf_sealed_key_make(passphrase, len, &cost, &next->sealed.key);
    if (err == WEFT_OK) return save_take(s, next);
    wf_locked_free(next);
    return err;
}
