/* SPDX-License-Identifier: Apache-2.0
 * salvage.c - weft-fsck's three ways to a new directory: salvage, checkpoint, restore.
 * Called by: main.c. May touch: the new directory, NEW.part and NEW.copy beside it until it
 * is whole; the old one reading. Never: leaves a half-made directory of the new name. */
#include "salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/actor.h>

#include "fsck.h"
#include "kv_rocksdb_logs.h"
#include "store_copy.h"
#include "store_dir.h"

#define PATH_BYTES_MAX 4096
#define ORPHANS_SHOWN 10u

static weft_err path_of(char out[PATH_BYTES_MAX], const char *dir, const char *end)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') len--; /* "new/" has its ".part" beside it */
    int all = snprintf(out, PATH_BYTES_MAX, "%.*s%s", (int)len, dir, end);
    return all > 0 && all < PATH_BYTES_MAX ? WEFT_OK : WEFT_INVALID;
}

static weft_err expect_none(const char *path)
{
    if (!wf_store_dir_exists(path)) return WEFT_OK;
    fsck_say("%s is there already", path);
    return WEFT_EXISTS;
}

static int end(const struct fsck *f, weft_err err)
{
    if (err != WEFT_OK) fsck_say("%s: %s", f->dir, weft_strerror(err));
    return fsck_code(err);
}

/* -- The key --------------------------------------------------------------------------------- */

/* A node finds its key beside its store. Without one it would be another node. */
static weft_err copy_key(const char *from, const char *to_dir, bool must)
{
    char to[PATH_BYTES_MAX];
    weft_keypair *pair = NULL;
    weft_err err = weft_keypair_load(from, &pair);
    if (err == WEFT_NOT_FOUND && !must) return WEFT_OK; /* it is kept somewhere else */
    if (err == WEFT_NOT_FOUND) err = WEFT_KEY_FILE;
    if (err == WEFT_OK) err = path_of(to, to_dir, "/device.key");
    if (err == WEFT_OK) err = weft_keypair_save(pair, to);
    weft_keypair_destroy(pair);
    if (err != WEFT_OK) fsck_say("the key of the device, %s: %s", from, weft_strerror(err));
    return err;
}

static weft_err take_key(const struct fsck *f, const char *part)
{
    char path[PATH_BYTES_MAX];
    if (f->key != NULL) return copy_key(f->key, part, true);
    weft_err err = path_of(path, f->dir, "/device.key");
    return err == WEFT_OK ? copy_key(path, part, false) : err;
}

/* -- Salvage ----------------------------------------------------------------------------------- */

static void on_progress(void *arg, uint64_t read, uint64_t kept)
{
    const struct fsck *f = arg;
    if (read % 65536 != 0 || f->quiet) return;
    fsck_say("%llu bodies read, %llu entries kept", (unsigned long long)read,
             (unsigned long long)kept);
}

/* A directory that has lost its mark or its CURRENT may have a database all the same. */
static bool may_be_store(const struct fsck *f, weft_err err)
{
    char path[PATH_BYTES_MAX];
    if (err == WEFT_CORRUPT || err == WEFT_IO) return true;
    return err == WEFT_NOT_STORE && path_of(path, f->dir, "/CURRENT") == WEFT_OK &&
           wf_store_dir_exists(path);
}

static enum wf_engine engine_of(const char *dir)
{
    struct wf_store_dir found;
    char readers[PATH_BYTES_MAX];
    if (wf_store_dir_look(dir, &found) == WEFT_OK) return found.engine;
    bool lmdb = path_of(readers, dir, "/lock.mdb") == WEFT_OK && wf_store_dir_exists(readers);
    return lmdb ? WF_ENGINE_LMDB : WF_ENGINE_AUTO; /* the first has lost its one file */
}

/* What is kept, and what nobody can say of what is not. */
struct outcome {
    const char *how; /* the old one was opened */
    bool lossy;      /* records of its logs, or tables, were passed over */
    wf_salvage_report report;
};

static weft_err open_old(const struct fsck *f, const char *copy, wf_kv **out, struct outcome *o)
{
    wf_kv_disk_options options = {.read_only = true, .salvage = true};
    o->how = "as it is";
    bool rocks = engine_of(f->dir) != WF_ENGINE_LMDB;
    weft_err err = WEFT_CORRUPT; /* of such a log more can be read in a copy */
    if (!rocks) err = wf_kv_disk_open(f->dir, &options, out);
    else if (!wf_store_dir_has_bad_record(f->dir)) err = wf_kv_rocksdb_open_salvage(f->dir, out);
    o->lossy = rocks && err == WEFT_OK && wf_store_dir_has_lost_record(f->dir);
    if (!may_be_store(f, err)) return err;
    if (!rocks) {
        fsck_say("%s is a store of LMDB: its one file is opened as it is, or not at all; peers "
                 "have what it held",
                 f->dir);
        return err;
    }
    err = wf_store_dir_copy(f->dir, copy);
    return err == WEFT_OK ? wf_kv_rocksdb_open_damaged(copy, out, &o->how, &o->lossy) : err;
}

/* What a record of a log held has no other trace, so nothing else counts it. */
static bool lost(const struct outcome *o)
{
    const wf_salvage_report *r = &o->report;
    return o->lossy || r->bad + r->refused + r->orphans + r->gaps > 0;
}

static void conclude(const struct fsck *f, const struct outcome *o)
{
    const wf_salvage_report *r = &o->report;
    uint64_t shown = r->orphans < WF_SALVAGE_ORPHANS ? r->orphans : WF_SALVAGE_ORPHANS;
    if (!f->json && shown > ORPHANS_SHOWN) shown = ORPHANS_SHOWN;
    if (f->json) printf("{\"orphan_ids\":[");
    for (uint64_t i = 0; i < shown; i++) {
        char id[WEFT_ID_TEXT_BYTES];
        weft_id_text(&r->orphan[i], id);
        if (f->json) printf("%s\"%s\"", i == 0 ? "" : ",", id);
        else printf("id=%s: its parents are lost\n", id);
    }
    if (!f->json && o->lossy)
        printf("fsck: a log or table was passed over or repaired: what else it held may be lost\n");
    printf(f->json ? "],\"opened\":\"%s\",\"read\":%llu,\"kept\":%llu,\"trees\":%llu,"
                     "\"records\":%llu,\"bad\":%llu,\"refused\":%llu,\"orphans\":%llu,"
                     "\"unreadable\":%llu,\"logs\":\"%s\",\"verdict\":\"%s\"}\n"
                   : "fsck: opened %s, read %llu bodies, kept %llu entries in %llu trees and %llu "
                     "records; %llu bad, %llu refused, %llu without parents, %llu ranges unreadable"
                     "%s%s\n",
           o->how, (unsigned long long)r->read, (unsigned long long)r->kept,
           (unsigned long long)r->trees, (unsigned long long)r->records, (unsigned long long)r->bad,
           (unsigned long long)r->refused, (unsigned long long)r->orphans,
           (unsigned long long)r->gaps,
           !f->json   ? ""
           : o->lossy ? "damaged"
                      : "whole",
           !f->json  ? ""
           : lost(o) ? "lost"
                     : "kept");
}

/* A new store in which nothing is would look like one of which nothing was lost. */
static weft_err expect_some(const struct fsck *f, const wf_salvage_report *r)
{
    if (r->kept + r->shelved + r->records + r->trees > 0) return WEFT_OK;
    fsck_say("%s: nothing can be saved", f->dir);
    return WEFT_CORRUPT;
}

static weft_err salvage_into(const struct fsck *f, wf_kv *from, const char *part,
                             wf_salvage_report *report)
{
    wf_kv_disk_options options = {.engine = engine_of(f->dir), .create = true};
    wf_salvage_options how = {.progress = on_progress, .arg = (void *)f};
    weft_rt *rt = NULL;
    wf_kv *to = NULL;
    weft_err err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = wf_kv_disk_open(part, &options, &to);
    if (err == WEFT_OK) err = wf_salvage(from, to, rt, &how, report);
    if (err == WEFT_OK) err = expect_some(f, report);
    wf_kv_close(to);
    if (err == WEFT_OK) err = take_key(f, part);
    if (rt != NULL) (void)weft_rt_destroy(rt);
    return err;
}

int fsck_salvage(const struct fsck *f)
{
    char part[PATH_BYTES_MAX], copy[PATH_BYTES_MAX];
    wf_kv *from = NULL;
    struct outcome *o = calloc(1, sizeof *o);
    if (o == NULL) return end(f, WEFT_NO_MEMORY);
    weft_err err = path_of(part, f->salvage, ".part");
    if (err == WEFT_OK) err = path_of(copy, f->salvage, ".copy");
    if (err == WEFT_OK) err = expect_none(f->salvage);
    if (err == WEFT_OK) err = expect_none(part);
    if (err == WEFT_OK) err = expect_none(copy);
    bool ours = err == WEFT_OK; /* what stands under these names is of this run */
    if (err == WEFT_OK) err = fsck_is_free(f->dir);
    if (err == WEFT_OK) err = open_old(f, copy, &from, o);
    if (err == WEFT_OK) err = salvage_into(f, from, part, &o->report);
    wf_kv_close(from);
    if (err == WEFT_OK) err = wf_store_dir_rename(part, f->salvage);
    if (ours) (void)wf_store_dir_remove(copy);
    if (ours && err != WEFT_OK) (void)wf_store_dir_remove(part);
    if (err == WEFT_OK) conclude(f, o);
    bool all = !lost(o);
    free(o);
    return err == WEFT_OK && !all ? FSCK_DAMAGED : end(f, err);
}

/* -- Checkpoint and restore ----------------------------------------------------------------------- */

int fsck_checkpoint(const struct fsck *f)
{
    wf_kv *kv = NULL;
    wf_kv_disk_options options = {0}; /* holds the lock, so that nobody opens it meanwhile */
    weft_err err = expect_none(f->checkpoint);
    if (err == WEFT_OK) err = fsck_is_free(f->dir);
    if (err == WEFT_OK) err = wf_kv_disk_open(f->dir, &options, &kv);
    if (err == WEFT_OK) err = wf_copy_checkpoint(kv, f->checkpoint);
    wf_kv_close(kv);
    return end(f, err);
}

int fsck_restore(const struct fsck *f)
{
    char part[PATH_BYTES_MAX];
    weft_err err = path_of(part, f->restore, ".part");
    if (err == WEFT_OK) err = expect_none(f->restore);
    if (err == WEFT_OK) err = expect_none(part);
    if (err == WEFT_OK) err = fsck_is_free(f->dir);
    if (err != WEFT_OK) return end(f, err);
    err = wf_store_dir_copy(f->dir, part);
    if (err == WEFT_OK) err = wf_copy_make(part);
    if (err == WEFT_OK && f->key != NULL) err = copy_key(f->key, part, true);
    if (err == WEFT_OK) err = wf_store_dir_rename(part, f->restore);
    if (err != WEFT_OK) (void)wf_store_dir_remove(part);
    return end(f, err);
}
