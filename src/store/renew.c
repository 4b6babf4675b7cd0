/* SPDX-License-Identifier: Apache-2.0
 * renew.c - a damaged store becomes a new one in its place.
 * Called by: weft.c while a node opens, tests. May touch: the directory of a store that nobody
 * has open; at the end of an opening, its quarantine. Never: trusts a copy that its check does
 * not find whole but for bodies that are known to be lost. */
#include "renew.h"

#include "alloc.h"
#include "damage.h"
#include "layout.h"
#include "log.h"
#include "renew_files.h"
#include "salvage.h"
#include "store_copy.h"
#include "store_dir.h"

#define OLD_MEMORY_BYTES (UINT64_C(16) << 20)

struct renewing {
    const char *dir;
    weft_rt *rt;
    uint64_t memory_bytes;
    char part[WF_RENEW_PATH_BYTES], copy[WF_RENEW_PATH_BYTES];
    wf_kv *from;
    bool opens; /* the old store, with all that it ever wrote */
    bool lossy; /* `from` lacks what may be in the old store, and nobody can say what */
    weft_id *left_out;
    uint64_t left_out_room;
    wf_renewal done;
};

/* -- The old store ------------------------------------------------------------------------------ */

static weft_err open_old(struct renewing *r)
{
    wf_kv_rocksdb_options options = {.read_only = true, .memory_bytes = OLD_MEMORY_BYTES};
    const char *how = "as it is";
    weft_err err = r->opens ? wf_kv_rocksdb_open(r->dir, &options, &r->from) : WEFT_CORRUPT;
    if (err == WEFT_CORRUPT || err == WEFT_IO) {
        r->opens = false;
        err = wf_store_dir_copy(r->dir, r->copy);
        if (err == WEFT_OK) err = wf_kv_rocksdb_open_damaged(r->copy, &r->from, &how, &r->lossy);
    }
    if (err == WEFT_OK)
        wf_log(WEFT_LOG_WARN, "store", "path=%s is renewed: opened %s", r->dir, how);
    return err;
}

/* -- The new one ---------------------------------------------------------------------------------- */

static weft_err open_new(struct renewing *r, wf_kv **out)
{
    wf_kv_rocksdb_options options = {.create = true, .memory_bytes = r->memory_bytes};
    weft_err err = wf_store_dir_remove(r->part);
    return err == WEFT_OK ? wf_kv_rocksdb_open(r->part, &options, out) : err;
}

/* Is nothing wrong with it but that those bodies are not there? Opening it makes what the copy
 * left out. */
static weft_err judge(struct renewing *r, wf_kv *to, bool *good)
{
    static const struct wf_check_options options;
    wf_check_report report;
    wf_store *store = NULL;
    weft_err err = wf_store_open(to, r->rt, &store);
    if (err == WEFT_OK) {
        err = wf_store_check_with(store, &options, &report);
        (void)wf_store_detach(store);
    }
    *good = err == WEFT_OK && report.bad_bytes == r->done.missing &&
            wf_check_faults(&report) == report.bad_bytes;
    return err == WEFT_CORRUPT ? WEFT_OK : err;
}

static weft_err leave_out(void *arg, const weft_id *id)
{
    struct renewing *r = arg;
    if (r->done.left_out == r->left_out_room) {
        uint64_t room = r->left_out_room == 0 ? 64 : 2 * r->left_out_room;
        weft_id *ids = wf_realloc(r->left_out, room * sizeof *ids);
        if (ids == NULL) return WEFT_NO_MEMORY;
        r->left_out = ids;
        r->left_out_room = room;
    }
    r->left_out[r->done.left_out++] = *id;
    return WEFT_OK;
}

/* An entry of the shelf whose bytes are lost is named, as one that no shelf took. */
static weft_err leave_out_once(void *arg, const weft_id *id)
{
    const struct renewing *r = arg;
    for (uint64_t i = r->done.left_out; i-- > 0;)
        if (weft_id_equal(&r->left_out[i], id)) return WEFT_OK;
    return leave_out(arg, id);
}

/* Peers may have been told of arrivals that a repaired log lost: then it is a copy of an earlier
 * moment, which gets new epochs. */
static weft_err copy_rows(struct renewing *r, bool *good)
{
    wf_kv *to = NULL;
    *good = false;
    weft_err err = open_new(r, &to);
    if (err == WEFT_OK)
        err = wf_renew_copy(r->from, to, r->rt, &r->done.missing, leave_out_once, r);
    if (err == WEFT_OK && !r->opens) err = wf_copy_mark(to);
    if (err == WEFT_OK) err = judge(r, to, good);
    wf_kv_close(to);
    r->done.how = WF_RENEWED_ROWS;
    return err == WEFT_CORRUPT ? WEFT_OK : err;
}

/* No entry has this id, so a list with it is never all here, and the old store stays. */
static const weft_id never;

static weft_err keep_old(struct renewing *r)
{
    weft_err err = leave_out(r, &never);
    if (err == WEFT_OK) r->done.left_out--; /* it is behind the others */
    r->done.keep = err == WEFT_OK;
    return err;
}

/* What the door refuses has no way into the new store; of what cannot be read nobody knows whether
 * an arrival still names it. */
static weft_err salvage(struct renewing *r)
{
    wf_salvage_options options = {.orphan = leave_out, .arg = r};
    wf_kv *to = NULL;
    wf_salvage_report *report = wf_malloc(sizeof *report);
    weft_err err = report == NULL ? WEFT_NO_MEMORY : open_new(r, &to);
    r->done = (wf_renewal){.how = WF_RENEWED_SALVAGE};
    if (err == WEFT_OK) err = wf_salvage(r->from, to, r->rt, &options, report);
    r->done.shelved = report == NULL ? 0 : report->shelved;
    if (err == WEFT_OK && report->refused + report->bad + report->gaps > 0) r->lossy = true;
    /* An empty one in its place would be opened as if that were all there ever was. */
    if (err == WEFT_OK && report->kept + report->shelved + report->records + report->trees == 0)
        err = wf_fail(WEFT_CORRUPT, "store", "path=%s: nothing can be saved", r->dir);
    wf_kv_close(to);
    wf_free(report);
    return err;
}

static weft_err make_new(struct renewing *r)
{
    bool good = false;
    weft_err err = open_old(r);
    if (err == WEFT_OK) err = copy_rows(r, &good);
    if (err == WEFT_OK && !good) err = salvage(r);
    if (err == WEFT_OK && r->lossy) err = keep_old(r);
    wf_kv_close(r->from);
    return err;
}

/* -- Both ---------------------------------------------------------------------------------------- */

static weft_err remove_rests(struct renewing *r)
{
    weft_err err = wf_store_dir_remove(r->part);
    weft_err other = wf_store_dir_remove(r->copy);
    return err == WEFT_OK ? other : err;
}

static bool is_of_rocksdb(const char *dir)
{
    struct wf_store_dir found;
    char table[WF_RENEW_PATH_BYTES];
    weft_err err = wf_renew_path(table, dir, "lock.mdb");
    if (err == WEFT_OK) err = wf_store_dir_look(dir, &found);
    if (err == WEFT_CORRUPT)
        return !wf_store_dir_exists(table); /* LMDB's, which lost its one file */
    return err == WEFT_OK && found.engine == WF_ENGINE_ROCKSDB;
}

weft_err wf_renew(const char *dir, weft_rt *rt, const wf_renew_options *options, wf_renewal *out)
{
    struct wf_renew_lock lock = {0};
    unsigned number = 0;
    struct renewing *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    *r = (struct renewing){
        .dir = dir, .rt = rt, .memory_bytes = options->memory_bytes, .opens = options->opens};
    weft_err err = is_of_rocksdb(dir) ? WEFT_OK : WEFT_UNSUPPORTED;
    if (err == WEFT_OK) err = wf_renew_path(r->part, dir, "renewed.part");
    if (err == WEFT_OK) err = wf_renew_path(r->copy, dir, WF_RENEW_COPY);
    const bool half = err == WEFT_OK && wf_renew_is_half(dir);
    if (err == WEFT_OK) err = wf_renew_resume(dir); /* half of each is no store to read */
    if (half) goto done;                            /* what came in may well be sound */
    if (err == WEFT_OK) err = wf_renew_lock(dir, &lock);
    if (err != WEFT_OK) goto done;
    err = remove_rests(r);
    if (err == WEFT_OK) err = make_new(r);
    if (err == WEFT_OK)
        err = wf_renew_swap(dir, r->left_out, r->done.left_out + r->done.keep, &number);
    weft_err removed = remove_rests(r);
    if (err == WEFT_OK) err = removed;
    if (err == WEFT_OK)
        wf_log(WEFT_LOG_WARN, "store",
               "path=%s was damaged and is new: %s, %llu bodies are missing, %llu entries cannot "
               "stand, %llu of them are on its shelf; the old one is in %s/damaged-%u until %s",
               dir, r->done.how == WF_RENEWED_ROWS ? "copied" : "salvaged",
               (unsigned long long)r->done.missing, (unsigned long long)r->done.left_out,
               (unsigned long long)r->done.shelved, dir, number,
               r->done.keep ? "the operator removes it: it may hold more" : "peers have sent them");
    if (err == WEFT_OK && out != NULL) *out = r->done;
done:
    wf_renew_unlock(&lock);
    wf_free(r->left_out);
    wf_free(r);
    return err;
}

/* -- Afterwards ------------------------------------------------------------------------------------- */

static int compare(const wf_kv_iter *a, const wf_kv_iter *b)
{
    size_t a_len, b_len;
    const uint8_t *a_key = wf_kv_iter_key(a, &a_len), *b_key = wf_kv_iter_key(b, &b_len);
    if (a_len != b_len) return a_len < b_len ? -1 : 1;
    return memcmp(a_key, b_key, a_len);
}

static weft_err note(wf_store *store, const wf_kv_iter *arr)
{
    size_t key_len, len;
    const uint8_t *key = wf_kv_iter_key(arr, &key_len), *value = wf_kv_iter_value(arr, &len);
    wf_arrival arrival;
    weft_err err = wf_arrival_read(key, key_len, value, len, &arrival);
    if (err != WEFT_OK) return err;
    wf_place place = {.seq = arrival.seq, .id = arrival.id};
    wf_damage_note(store, wf_get64(key), &place, wf_damage_era(store));
    return WEFT_OK;
}

/* Arrivals and bodies have the same keys, in the same order. */
static weft_err find_missing(wf_store *store, uint64_t *missing)
{
    wf_kv *kv = wf_store_kv(store);
    wf_kv_iter *arr = NULL, *body = NULL;
    weft_err err = wf_kv_iter_create(kv, NULL, WF_CF_ARR, NULL, 0, &arr);
    if (err == WEFT_OK) err = wf_kv_iter_create(kv, NULL, WF_CF_ENTRY, NULL, 0, &body);
    if (err != WEFT_OK) goto done;
    wf_kv_iter_first(arr);
    wf_kv_iter_first(body);
    while (err == WEFT_OK && wf_kv_iter_valid(arr)) {
        int order = wf_kv_iter_valid(body) ? compare(body, arr) : 1;
        if (order > 0) {
            err = wf_kv_iter_err(body);
            if (err == WEFT_OK) err = note(store, arr);
            ++*missing;
        }
        if (order >= 0) wf_kv_iter_next(arr);
        if (order <= 0) wf_kv_iter_next(body);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(arr);
done:
    wf_kv_iter_destroy(body);
    wf_kv_iter_destroy(arr);
    return err;
}

struct settling {
    wf_store *store;
    unsigned kept, by_operator;
};

static weft_err is_here(void *arg, const weft_id *id)
{
    struct settling *s = arg;
    wf_meta_brief brief;
    if (!weft_id_equal(id, &never)) return wf_store_meta_brief(s->store, id, &brief);
    s->by_operator++;
    return WEFT_NOT_FOUND;
}

weft_err wf_renew_settle(wf_store *store, const char *dir)
{
    uint64_t missing = 0;
    unsigned newest = wf_renew_newest(dir);
    struct settling s = {.store = store};
    if (newest == 0) return WEFT_OK;
    weft_err err = find_missing(store, &missing);
    for (unsigned i = 1; i <= newest && err == WEFT_OK; i++) {
        err = missing > 0 ? WEFT_NOT_FOUND : wf_renew_left_out(dir, i, is_here, &s);
        if (err == WEFT_OK) err = wf_renew_forget(dir, i);
        if (err != WEFT_NOT_FOUND) continue;
        err = WEFT_OK;
        s.kept++;
    }
    if (err == WEFT_OK && s.kept == 0)
        wf_log(WEFT_LOG_WARN, "store",
               "path=%s is whole again: what was kept of the damaged one is "
               "removed",
               dir);
    else if (err == WEFT_OK)
        wf_log(WEFT_LOG_WARN, "store",
               "path=%s lacks %llu bodies, and %u damaged stores are kept beside it, %u of them "
               "until the operator removes them",
               dir, (unsigned long long)missing, s.kept, s.by_operator);
    return err;
}
