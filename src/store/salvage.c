/* SPDX-License-Identifier: Apache-2.0
 * salvage.c - what can still be read of a damaged store, into a new one.
 * Called by: weft-fsck, tests; one thread, no actor on either store. May touch: the old
 * engine (reads), the new store through its writer. Never: writes to the old store;
 * takes anything that does not verify. */
#include "salvage.h"

#include "alloc.h"
#include "crypto.h"
#include "entry.h"
#include "log.h"
#include "removal.h"
#include "scan.h"
#include "shelf.h"
#include "writer.h"

#define PROGRESS_BODIES 1024u

/* A tree as the old store knew it. */
struct old_tree {
    wf_tree_info info;
    weft_key *readers;
    uint32_t readers_count;
};

struct salvage {
    wf_kv *from;
    wf_store *to;
    const wf_salvage_options *options;
    wf_salvage_report *report;
    weft_entry *entry;
    struct old_tree *trees;
    uint32_t trees_count, trees_room;
    uint64_t shelf_bytes;
    uint64_t removed_t; /* the tree that was looked for last among those that were removed */
    bool removed;
};

/* -- The batch that is open ---------------------------------------------------------------- */

static weft_err flush(struct salvage *s, bool sync)
{
    uint64_t fresh = s->to->fresh_count;
    weft_err err = wf_writer_flush(s->to, sync);
    wf_writer_clear(s->to);
    if (err == WEFT_OK) s->report->kept += fresh;
    return err;
}

static weft_err flush_if_full(struct salvage *s)
{
    return wf_writer_is_full(s->to) ? flush(s, false) : WEFT_OK;
}

/* -- Entries ---------------------------------------------------------------------------------- */

/* What the arrival says; zero when there is none that can be read. */
static wf_arrival arrival_of(struct salvage *s, const uint8_t *key)
{
    wf_arrival arrival = {0};
    wf_value value;
    if (wf_kv_get(s->from, NULL, WF_CF_ARR, key, WF_KEY_SEQ_BYTES, &value) != WEFT_OK)
        return arrival;
    if (wf_arrival_read(key, WF_KEY_SEQ_BYTES, value.data, value.len, &arrival) != WEFT_OK)
        arrival = (wf_arrival){0};
    wf_value_release(s->from, &value);
    return arrival;
}

/* An id that an arrival names was verified when it arrived, and bytes that hash to it are
 * those that were. Without an arrival the author's signature decides. */
static bool is_sound(struct salvage *s, const uint8_t *key, struct wf_add *add)
{
    wf_arrival arrival = arrival_of(s, key);
    wf_blake2b_256(add->bytes, add->len, add->id.bytes);
    if (weft_id_equal(&arrival.id, &add->id)) {
        add->source = arrival.source;
        return true;
    }
    if (weft_entry_decode(add->bytes, add->len, s->entry) != WEFT_OK ||
        weft_entry_verify(s->entry) != WEFT_OK)
        return false;
    s->report->verified++;
    return true;
}

static weft_err tell_orphan(struct salvage *s, const weft_id *id)
{
    wf_salvage_report *report = s->report;
    if (report->orphans < WF_SALVAGE_ORPHANS) report->orphan[report->orphans] = *id;
    report->orphans++;
    return s->options->orphan == NULL ? WEFT_OK : s->options->orphan(s->options->arg, id);
}

/* Parents arrive first, so what does not fit stands above what does: of a shelf that is full the
 * lower part is there. */
static weft_err put_aside(struct salvage *s, const struct wf_add *add)
{
    uint32_t most = s->options->shelf_entries;
    bool full = s->report->shelved >= (most == 0 ? WEFT_SHELF_ENTRIES_MAX : most) ||
                s->shelf_bytes + add->len > WEFT_SHELF_BYTES_MAX;
    weft_err err = full ? WEFT_LIMIT : wf_shelf_put(s->to, add);
    if (err == WEFT_NO_MEMORY) return err;
    if (err == WEFT_OK) {
        s->report->shelved++;
        s->shelf_bytes += add->len;
        err = flush_if_full(s);
    } else {
        err = WEFT_OK; /* it names too many parents, say */
    }
    return err == WEFT_OK ? tell_orphan(s, &add->id) : err;
}

/* The batch reads its entries once more when it is written, and a walk's bytes are gone then. */
static weft_err add_copy(struct salvage *s, struct wf_add *add)
{
    weft_buf *copy = NULL;
    const uint8_t *bytes = add->bytes;
    weft_err err = weft_buf_create_copy(bytes, add->len, &copy);
    if (err != WEFT_OK) return err;
    add->holder = copy;
    add->bytes = weft_buf_bytes(copy);
    err = wf_writer_add(s->to, add);
    weft_buf_unref(copy);
    add->holder = NULL;
    add->bytes = bytes;
    return err;
}

/* What is left of a removed tree is not taken up again. */
static bool is_removed(struct salvage *s, uint64_t t)
{
    if (s->removed_t != t) {
        s->removed_t = t;
        s->removed = wf_removed_is(s->from, t);
    }
    return s->removed;
}

static void tell_progress(struct salvage *s)
{
    wf_salvage_report *report = s->report;
    report->read++;
    if (s->options->progress != NULL && report->read % PROGRESS_BODIES == 0)
        s->options->progress(s->options->arg, report->read, report->kept);
}

static weft_err take_sound(struct salvage *s, struct wf_add *add)
{
    weft_err err = add_copy(s, add);
    switch (err) {
    case WEFT_OK: return flush_if_full(s);
    case WEFT_PENDING: /* parents arrive first, so this one's were lost */
    case WEFT_TREE: /* and here the root of its tree */ return put_aside(s, add);
    case WEFT_NO_MEMORY:
    case WEFT_IO:
    case WEFT_CORRUPT:
    case WEFT_NO_SPACE: return err; /* the new store's */
    default: s->report->refused++; return WEFT_OK;
    }
}

static weft_err take_body(struct salvage *s, const uint8_t *key, const uint8_t *bytes, size_t len)
{
    struct wf_add add = {.bytes = bytes, .len = (uint32_t)len, .create_tree = true};
    if (is_removed(s, wf_get64(key))) return WEFT_OK;
    tell_progress(s);
    if (len > WEFT_ENTRY_BYTES_MAX || !is_sound(s, key, &add)) {
        s->report->bad++;
        return WEFT_OK;
    }
    return take_sound(s, &add);
}

/* What an earlier salvage put aside was verified by that. Their order is no order of arrival: one
 * that could stand here may go to the shelf again, and leaves it when the store is opened. */
static weft_err take_shelved(struct salvage *s, const struct wf_scan *scan)
{
    struct wf_shelved item;
    tell_progress(s);
    if (wf_shelf_read(scan->key, scan->key_len, scan->value, scan->value_len, &item) != WEFT_OK) {
        s->report->bad++;
        return WEFT_OK;
    }
    struct wf_add add = {
        .bytes = item.bytes, .len = item.len, .id = item.id, .source = item.source};
    return take_sound(s, &add);
}

/* Bodies strictly between two keys that a walk could not enter: one block is damaged, but a newer
 * table may have some of its rows, which a look-up by the key finds. Which those are the arrivals
 * say. `to` NULL: to the end. */
static weft_err take_gap(struct salvage *s, const uint8_t from[WF_KEY_SEQ_BYTES], const uint8_t *to)
{
    wf_kv_iter *it;
    wf_value body;
    weft_err err = wf_kv_iter_create(s->from, NULL, WF_CF_ARR, NULL, 0, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_seek(it, from, WF_KEY_SEQ_BYTES); err == WEFT_OK && wf_kv_iter_valid(it);
         wf_kv_iter_next(it)) {
        uint8_t key[WF_KEY_SEQ_BYTES];
        size_t len;
        const uint8_t *at = wf_kv_iter_key(it, &len);
        if (len != sizeof key || memcmp(at, from, sizeof key) == 0) continue;
        if (to != NULL && memcmp(at, to, sizeof key) >= 0) break;
        memcpy(key, at, sizeof key);
        if (wf_kv_get(s->from, NULL, WF_CF_ENTRY, key, sizeof key, &body) != WEFT_OK) continue;
        err = take_body(s, key, body.data, body.len);
        wf_value_release(s->from, &body);
    }
    wf_kv_iter_destroy(it); /* where it cannot go on either, that is all that is known */
    return err;
}

static weft_err take_entries(struct salvage *s)
{
    struct wf_scan scan;
    uint8_t last[WF_KEY_SEQ_BYTES] = {0};
    uint64_t gaps = 0;
    weft_err err;
    wf_scan_init(&scan, s->from, NULL, WF_CF_ENTRY, true);
    while ((err = wf_scan_next(&scan)) == WEFT_OK) {
        if (wf_shelf_is_row(scan.key, scan.key_len)) {
            err = take_shelved(s, &scan);
            if (err != WEFT_OK) break;
            continue;
        }
        if (scan.key_len != WF_KEY_SEQ_BYTES) continue;
        if (scan.gaps > gaps) err = take_gap(s, last, scan.key);
        if (err == WEFT_OK) err = take_body(s, scan.key, scan.value, scan.value_len);
        if (err != WEFT_OK) break;
        gaps = scan.gaps;
        memcpy(last, scan.key, sizeof last);
    }
    if (err == WEFT_END && scan.gaps > gaps) {
        err = take_gap(s, last, NULL);
        if (err == WEFT_OK) err = WEFT_END;
    }
    s->report->gaps += scan.gaps;
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

/* -- Trees and records ------------------------------------------------------------------------ */

static struct old_tree *tree_of(struct salvage *s, uint64_t t)
{
    for (uint32_t i = 0; i < s->trees_count; i++)
        if (s->trees[i].info.t == t) return &s->trees[i];
    return NULL;
}

static weft_err keep_tree(struct salvage *s, const struct wf_scan *scan)
{
    struct old_tree tree = {.info.t = wf_get64(scan->key + 1)};
    if (wf_tree_read(scan->value, scan->value_len, &tree.info) != WEFT_OK) return WEFT_OK;
    if (s->trees_count == s->trees_room) {
        uint32_t room = s->trees_room == 0 ? 64 : s->trees_room * 2;
        struct old_tree *trees = wf_realloc(s->trees, room * sizeof *trees);
        if (trees == NULL) return WEFT_NO_MEMORY;
        s->trees = trees;
        s->trees_room = room;
    }
    s->trees[s->trees_count++] = tree;
    return WEFT_OK;
}

/* Readers stand behind all tree records. */
static weft_err keep_readers(struct salvage *s, const struct wf_scan *scan)
{
    struct old_tree *tree = tree_of(s, wf_get64(scan->key + 1));
    uint64_t count = scan->value_len / sizeof(weft_key);
    if (tree == NULL || tree->readers != NULL || scan->value_len % sizeof(weft_key) != 0 ||
        count == 0 || count > WEFT_READERS_PER_TREE_MAX)
        return WEFT_OK;
    tree->readers = wf_memdup(scan->value, scan->value_len);
    if (tree->readers == NULL) return WEFT_NO_MEMORY;
    tree->readers_count = (uint32_t)count;
    return WEFT_OK;
}

static weft_err keep_record(struct salvage *s, const struct wf_scan *scan)
{
    struct wf_record_put *put = wf_record_create((uint32_t)scan->value_len);
    if (put == NULL) return WEFT_NO_MEMORY;
    weft_err err = WEFT_OK;
    if (scan->key_len <= sizeof put->key) {
        put->cf = scan->cf;
        put->key_len = (uint32_t)scan->key_len;
        memcpy(put->key, scan->key, scan->key_len);
        memcpy(put->value, scan->value, scan->value_len);
        err = wf_writer_record(s->to, put);
        if (err == WEFT_OK) s->report->records++;
    }
    weft_drop(&put->req.msg);
    return err == WEFT_OK ? flush_if_full(s) : err;
}

/* Bodies, trees and records are the same in all of these; the rest is made anew. */
static weft_err check_format(const struct wf_scan *scan)
{
    uint32_t format;
    if (wf_format_read(scan->value, scan->value_len, &format) != WEFT_OK) return WEFT_OK;
    if (format >= WF_FORMAT_OLDEST && format <= WF_FORMAT_REMOVED) return WEFT_OK;
    return wf_fail(WEFT_VERSION, "store", "format=%u is not %u to %u", format, WF_FORMAT_OLDEST,
                   WF_FORMAT_REMOVED);
}

static weft_err keep(struct salvage *s, const struct wf_scan *scan)
{
    if (scan->key_len == 0) return WEFT_OK;
    if (scan->key[0] >= WF_UPPER_KEYS) return keep_record(s, scan);
    if (scan->cf != WF_CF_TREE) return WEFT_OK; /* cursors: peers negotiate afresh */
    if (scan->key_len == 1 && scan->key[0] == WF_TREE_FORMAT) return check_format(scan);
    if (scan->key_len != WF_KEY_TREE_BYTES) return WEFT_OK;
    if (scan->key[0] == WF_TREE_RECORD) return keep_tree(s, scan);
    if (scan->key[0] == WF_TREE_READERS) return keep_readers(s, scan);
    return WEFT_OK;
}

static weft_err take_family(struct salvage *s, enum wf_cf cf)
{
    struct wf_scan scan;
    weft_err err;
    wf_scan_init(&scan, s->from, NULL, cf, true);
    while ((err = wf_scan_next(&scan)) == WEFT_OK) {
        err = keep(s, &scan);
        if (err != WEFT_OK) break;
    }
    s->report->gaps += scan.gaps;
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

/* After the entries: the door takes none for a tree that is not followed. A tree whose record
 * was lost is followed and read by nobody, until its owner says otherwise. */
static weft_err follow_trees(struct salvage *s)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < s->trees_count && err == WEFT_OK; i++) {
        const struct old_tree *tree = &s->trees[i];
        struct wf_follow *follow = wf_follow_create(&tree->info.tree, tree->readers,
                                                    tree->readers_count);
        if (follow == NULL) return WEFT_NO_MEMORY;
        follow->follow = tree->info.followed;
        err = wf_writer_follow(s->to, follow);
        weft_drop(&follow->req.msg);
        if (err == WEFT_OK) err = flush_if_full(s);
    }
    return err;
}

/* -- The whole ---------------------------------------------------------------------------------- */

static weft_err expect_empty(wf_kv *kv)
{
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) {
        wf_kv_iter *it;
        weft_err err = wf_kv_iter_create(kv, NULL, (enum wf_cf)cf, NULL, 0, &it);
        if (err != WEFT_OK) return err;
        wf_kv_iter_first(it);
        bool empty = !wf_kv_iter_valid(it);
        err = wf_kv_iter_err(it);
        wf_kv_iter_destroy(it);
        if (err != WEFT_OK) return err;
        if (!empty) return WEFT_EXISTS;
    }
    return WEFT_OK;
}

static weft_err run(struct salvage *s)
{
    weft_err err = take_family(s, WF_CF_TREE);
    if (err == WEFT_OK) err = take_entries(s);
    if (err == WEFT_OK) err = follow_trees(s);
    if (err == WEFT_OK) err = take_family(s, WF_CF_PEER);
    if (err == WEFT_OK) err = flush(s, true);
    s->report->trees = s->to->trees.count;
    return err;
}

weft_err wf_salvage(wf_kv *from, wf_kv *to, weft_rt *rt, const wf_salvage_options *options,
                    wf_salvage_report *out)
{
    static const wf_salvage_options plain = {0};
    struct salvage s = {.from = from, .options = options == NULL ? &plain : options, .report = out};
    *out = (wf_salvage_report){0};
    weft_err err = expect_empty(to);
    if (err == WEFT_OK) err = wf_store_open(to, rt, &s.to);
    if (err != WEFT_OK) return err;
    s.entry = wf_malloc(sizeof *s.entry);
    err = s.entry == NULL ? WEFT_NO_MEMORY : run(&s);
    for (uint32_t i = 0; i < s.trees_count; i++) wf_free(s.trees[i].readers);
    wf_free(s.trees);
    wf_free(s.entry);
    (void)wf_store_detach(s.to); /* both engines stay the caller's */
    return err;
}
