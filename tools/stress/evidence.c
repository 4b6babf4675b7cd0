/* SPDX-License-Identifier: Apache-2.0
 * evidence.c - reads the bytes that a node left behind, below the store's own logic.
 * Called by: judge.c, the tests. May touch: the key-value engine, the dump's file.
 * Never: repairs; writes, except for sabotage on request. */
#include "evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/entry.h>

#include "cluster.h"
#include "kit.h"
#include "kv.h"
#include "layout.h"
#include "pack.h"
#include "proc.h"

#define FORMAT_BYTES 8u /* of the record of the format: a magic word and the number */

struct evidence {
    wf_kv *kv; /* or: */
    FILE *dump;
};

char *evidence_store_path(const char *dir, uint32_t index)
{
    char leaf[40];
    snprintf(leaf, sizeof leaf, "node%u", index);
    return proc_path(dir, leaf);
}

static weft_err kv_open(const char *dir, uint32_t index, bool read_only, wf_kv **out)
{
    wf_kv_disk_options options = {.read_only = read_only};
    char *path = evidence_store_path(dir, index);
    weft_err err = wf_kv_disk_open(path, &options, out);
    free(path);
    return err;
}

/* Bytes of another version must not be judged by the rules of this one. */
static weft_err check_format(wf_kv *kv)
{
    static const uint8_t key[] = {WF_TREE_FORMAT};
    wf_value value;
    weft_err err = wf_kv_get(kv, NULL, WF_CF_TREE, key, sizeof key, &value);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_CORRUPT : err;
    if (value.len < FORMAT_BYTES) err = WEFT_CORRUPT;
    else if (wf_get32(value.data + FORMAT_BYTES - 4) != WF_FORMAT_VERSION) err = WEFT_VERSION;
    wf_value_release(kv, &value);
    return err;
}

weft_err evidence_open(const char *dir, uint32_t index, bool memory_store, struct evidence **out)
{
    weft_err err = WEFT_OK;
    struct evidence *ev = kit_alloc(1, sizeof *ev);
    if (memory_store) {
        char *path = cluster_dump_path(dir, index);
        ev->dump = fopen(path, "re");
        if (ev->dump == NULL) err = WEFT_NOT_FOUND;
        free(path);
    } else {
        err = kv_open(dir, index, true, &ev->kv);
        if (err == WEFT_OK) err = check_format(ev->kv);
    }
    if (err == WEFT_OK) *out = ev;
    else evidence_close(ev);
    return err;
}

void evidence_close(struct evidence *ev)
{
    if (ev == NULL) return;
    wf_kv_close(ev->kv);
    if (ev->dump != NULL) fclose(ev->dump);
    free(ev);
}

/* The next record of a dump. END; CORRUPT when it is cut. */
static weft_err record_next(FILE *dump, uint8_t *room, uint32_t *len)
{
    size_t got = fread(len, 1, sizeof *len, dump);
    if (got == 0) return ferror(dump) ? WEFT_IO : WEFT_END;
    if (got != sizeof *len || *len > WEFT_ENTRY_BYTES_MAX) return WEFT_CORRUPT;
    return fread(room, 1, *len, dump) == *len ? WEFT_OK : WEFT_CORRUPT;
}

/* The id that the log of arrivals has for the key of a body; zero: none. */
static weft_id arrived_as(wf_kv_iter *arrivals, const uint8_t *key, size_t key_len)
{
    weft_id id = {{0}};
    while (wf_kv_iter_valid(arrivals)) { /* both families have the same keys in one order */
        size_t at_len, len;
        const uint8_t *at = wf_kv_iter_key(arrivals, &at_len);
        const uint8_t *value = wf_kv_iter_value(arrivals, &len);
        int order = at_len == key_len ? memcmp(at, key, key_len) : -1;
        if (order > 0) break;
        if (order == 0 && len >= sizeof id.bytes) memcpy(id.bytes, value, sizeof id.bytes);
        wf_kv_iter_next(arrivals);
        if (order == 0) break;
    }
    return id;
}

static weft_err bodies_each(wf_kv *kv,
                            weft_err (*fn)(void *arg, const weft_id *key, const uint8_t *bytes,
                                           size_t len),
                            void *arg)
{
    wf_kv_iter *it = NULL, *arrivals = NULL;
    weft_err err = wf_kv_iter_create(kv, NULL, WF_CF_ENTRY, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    err = wf_kv_iter_create(kv, NULL, WF_CF_ARR, NULL, 0, &arrivals);
    if (err != WEFT_OK) goto done;
    wf_kv_iter_first(arrivals);
    for (wf_kv_iter_first(it); err == WEFT_OK && wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *bytes = wf_kv_iter_value(it, &len);
        if (key_len != WF_KEY_SEQ_BYTES) continue; /* no part of a tree */
        weft_id id = arrived_as(arrivals, key, key_len);
        err = fn(arg, &id, bytes, len);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    if (err == WEFT_OK) err = wf_kv_iter_err(arrivals);
    wf_kv_iter_destroy(arrivals);
done:
    wf_kv_iter_destroy(it);
    return err;
}

weft_err evidence_each(struct evidence *ev,
                       weft_err (*fn)(void *arg, const weft_id *key, const uint8_t *bytes,
                                      size_t len),
                       void *arg)
{
    weft_err err = WEFT_OK;
    if (ev->dump != NULL) {
        uint8_t *room = kit_alloc(WEFT_ENTRY_BYTES_MAX, 1);
        uint32_t len;
        rewind(ev->dump);
        while (err == WEFT_OK && (err = record_next(ev->dump, room, &len)) == WEFT_OK)
            err = fn(arg, NULL, room, len);
        free(room);
        return err == WEFT_END ? WEFT_OK : err;
    }
    return bodies_each(ev->kv, fn, arg);
}

weft_err evidence_scan(struct evidence *ev, enum evidence_family family,
                       weft_err (*fn)(void *arg, const uint8_t *key, size_t key_len,
                                      const uint8_t *value, size_t len),
                       void *arg)
{
    static const enum wf_cf families[] = {[EVIDENCE_META] = WF_CF_META,
                                          [EVIDENCE_GEN] = WF_CF_GEN,
                                          [EVIDENCE_ARR] = WF_CF_ARR,
                                          [EVIDENCE_CHILD] = WF_CF_CHILD,
                                          [EVIDENCE_TIP] = WF_CF_TIP};
    if (ev->kv == NULL) return WEFT_UNSUPPORTED;
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(ev->kv, NULL, families[family], NULL, 0, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); err == WEFT_OK && wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        err = fn(arg, key, key_len, value, len);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

struct tips {
    weft_err (*fn)(void *arg, const weft_id *tip);
    void *arg;
};

static weft_err on_tip(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                       size_t len)
{
    const struct tips *tips = arg;
    weft_id id;
    (void)value;
    (void)len;
    /* Tree number, length of the store's name (0: the tree's own tips), id. */
    if (key_len != 8 + 1 + sizeof id.bytes || key[8] != 0) return WEFT_OK;
    memcpy(id.bytes, key + 9, sizeof id.bytes);
    return tips->fn(tips->arg, &id);
}

weft_err evidence_tips(struct evidence *ev, weft_err (*fn)(void *arg, const weft_id *tip),
                       void *arg)
{
    struct tips tips = {fn, arg};
    return evidence_scan(ev, EVIDENCE_TIP, on_tip, &tips);
}

static weft_err dump_lose(const char *path, const weft_id *id)
{
    char *copy = kit_alloc(strlen(path) + 5, 1);
    snprintf(copy, strlen(path) + 5, "%s.new", path);
    FILE *in = fopen(path, "re"), *to = fopen(copy, "we");
    uint8_t *room = kit_alloc(WEFT_ENTRY_BYTES_MAX, 1);
    weft_entry entry;
    uint32_t len;
    weft_err err = in == NULL || to == NULL ? WEFT_IO : WEFT_OK;
    bool lost = false;
    while (err == WEFT_OK && (err = record_next(in, room, &len)) == WEFT_OK) {
        err = weft_entry_decode(room, len, &entry);
        if (err == WEFT_OK && weft_id_equal(&entry.id, id)) {
            lost = true;
            continue;
        }
        if (err == WEFT_OK &&
            (fwrite(&len, sizeof len, 1, to) != 1 || fwrite(room, len, 1, to) != 1))
            err = WEFT_IO;
    }
    if (err == WEFT_END) err = lost ? WEFT_OK : WEFT_NOT_FOUND;
    if (in != NULL) fclose(in);
    if (to != NULL && fclose(to) != 0 && err == WEFT_OK) err = WEFT_IO;
    if (err == WEFT_OK && rename(copy, path) != 0) err = WEFT_IO;
    free(room);
    free(copy);
    return err;
}

weft_err evidence_lose(const char *dir, uint32_t index, bool memory_store, const weft_id *id)
{
    if (memory_store) {
        char *path = cluster_dump_path(dir, index);
        weft_err err = dump_lose(path, id);
        free(path);
        return err;
    }
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    wf_value value;
    weft_err err = kv_open(dir, index, false, &kv);
    if (err != WEFT_OK) return err;
    struct wf_meta_record meta;
    uint8_t key[WF_KEY_SEQ_BYTES];
    err = wf_kv_get(kv, NULL, WF_CF_META, id->bytes, sizeof id->bytes, &value);
    if (err == WEFT_OK) {
        err = wf_meta_read(value.data, value.len, &meta);
        if (err == WEFT_OK) wf_key_seq(key, meta.t, meta.seq);
        wf_value_release(kv, &value);
    }
    if (err == WEFT_OK) err = wf_batch_create(&batch);
    if (err == WEFT_OK) {
        wf_batch_delete(batch, WF_CF_ENTRY, key, sizeof key);
        err = wf_kv_write(kv, batch, true);
    }
    wf_batch_destroy(batch);
    wf_kv_close(kv);
    return err;
}

weft_err evidence_age(const char *dir, uint32_t index)
{
    static const uint8_t key[] = {WF_TREE_FORMAT};
    uint8_t record[FORMAT_BYTES] = {'w', 'e', 'f', 't'};
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    weft_err err = kv_open(dir, index, false, &kv);
    if (err != WEFT_OK) return err;
    wf_put32(record + 4, WF_FORMAT_REMOVED + 1);
    err = wf_batch_create(&batch);
    if (err == WEFT_OK) {
        wf_batch_put(batch, WF_CF_TREE, key, sizeof key, record, sizeof record);
        err = wf_kv_write(kv, batch, true);
    }
    wf_batch_destroy(batch);
    wf_kv_close(kv);
    return err;
}
