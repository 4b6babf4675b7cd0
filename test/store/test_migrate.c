/* SPDX-License-Identifier: Apache-2.0
 * test_migrate.c - a store of the format before this one becomes what the writer of today
 * would have made of its entries, also when it is killed meanwhile.
 * Called by: meson test. May touch: directories of its own, test/data/store_v2 (reading).
 * Never: sleeps. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "dag_walk.h"
#include "kv_kit.h"
#include "layout.h"
#include "salvage.h"
#include "store_copy.h"
#include "store_kit.h"
#include "writer.h"

static const enum wf_cf made[] = {WF_CF_TRIE, WF_CF_SKETCH, WF_CF_SUB, WF_CF_DOM};
#define MADE (sizeof made / sizeof *made)

static weft_keypair *author;
static sk_node node; /* lends its runtime */
static sk_dag *many, *few;
static char dir[64];

static void setup(void)
{
    author = kit_pair(1);
    many = sk_dag_create(SK_MERGES, 300, author, 3);
    few = sk_dag_create(SK_STAR, 100, author, 4);
    sk_node_open(&node, 1);
    kk_dir_create(dir);
}

static void teardown(void)
{
    sk_quiet(false);
    kk_dir_remove(dir);
    sk_node_close(&node);
    sk_dag_destroy(many);
    sk_dag_destroy(few);
    weft_keypair_destroy(author);
}

TestSuite(migrate, .init = setup, .fini = teardown);

/* -- Stores of either format --------------------------------------------------------------- */

static void add(wf_store *store, const sk_dag *dag, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct wf_add one = {.bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(store, &one), WEFT_OK);
        if (i % 50 != 0 && i + 1 != to) continue;
        cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
        wf_writer_clear(store);
    }
}

static wf_kv *filled(wf_kv *kv, uint32_t entries)
{
    wf_store *store;
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    add(store, many, 0, entries);
    add(store, few, 0, entries / 3);
    return wf_store_detach(store);
}

static wf_kv *store_of(uint32_t entries) { return filled(kk_open(&kk_memory, NULL), entries); }

static void each_key(wf_kv *kv, enum wf_cf cf,
                     void (*fn)(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                                size_t len),
                     void *arg)
{
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        fn(arg, key, key_len, value, len);
    }
    cr_assert_eq(wf_kv_iter_err(it), WEFT_OK);
    wf_kv_iter_destroy(it);
}

struct emptying {
    wf_batch *batch;
    enum wf_cf cf;
};

static void delete_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                       size_t len)
{
    struct emptying *e = arg;
    (void)value;
    (void)len;
    wf_batch_delete(e->batch, e->cf, key, key_len);
}

/* What format 2 had is what format 3 has, without the four families and with its number. */
static void make_old(wf_kv *kv)
{
    struct emptying e;
    cr_assert_eq(wf_batch_create(&e.batch), WEFT_OK);
    for (unsigned i = 0; i < MADE; i++) {
        e.cf = made[i];
        each_key(kv, e.cf, delete_one, &e);
    }
    wf_format_put(e.batch, 2);
    cr_assert_eq(wf_kv_write(kv, e.batch, true), WEFT_OK);
    wf_batch_destroy(e.batch);
}

struct dump {
    uint64_t keys;
    uint8_t digest[32];
    wf_hash hash;
};

static void dump_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                     size_t len)
{
    struct dump *d = arg;
    uint8_t lens[16];
    wf_put64(wf_put64(lens, key_len), len);
    wf_hash_update(&d->hash, lens, sizeof lens);
    wf_hash_update(&d->hash, key, key_len);
    wf_hash_update(&d->hash, value, len);
    d->keys++;
}

static struct dump dump(wf_kv *kv, enum wf_cf cf)
{
    struct dump d = {0};
    wf_hash_init(&d.hash);
    each_key(kv, cf, dump_one, &d);
    wf_hash_final(&d.hash, d.digest);
    return d;
}

static void expect_same(wf_kv *a, wf_kv *b)
{
    for (unsigned i = 0; i < MADE; i++) {
        struct dump x = dump(a, made[i]), y = dump(b, made[i]);
        cr_assert_gt(x.keys, 0);
        cr_assert_eq(x.keys, y.keys, "%s: %lu and %lu records", wf_cf_names[made[i]],
                     (unsigned long)x.keys, (unsigned long)y.keys);
        cr_assert_eq(memcmp(x.digest, y.digest, sizeof x.digest), 0, "%s", wf_cf_names[made[i]]);
    }
}

static uint32_t format_of(wf_kv *kv)
{
    const uint8_t key = WF_TREE_FORMAT;
    uint32_t format = 0;
    wf_value value;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_TREE, &key, 1, &value), WEFT_OK);
    cr_assert_eq(wf_format_read(value.data, value.len, &format), WEFT_OK);
    wf_value_release(kv, &value);
    return format;
}

/* -- In memory ------------------------------------------------------------------------------------ */

struct told {
    uint64_t calls, done, of_all;
};

static void on_progress(void *arg, uint64_t done, uint64_t of_all)
{
    struct told *told = arg;
    cr_assert_geq(done, told->done);
    *told = (struct told){told->calls + 1, done, of_all};
}

Test(migrate, an_older_store_becomes_what_the_writer_makes)
{
    wf_kv *fresh = store_of(300), *kv = store_of(300);
    struct told told = {0};
    wf_store_options options = {.progress = on_progress, .arg = &told};
    wf_store *store;
    make_old(kv);
    cr_assert_eq(wf_store_open_with(kv, node.rt, &options, &store), WEFT_OK);
    cr_assert_eq(wf_store_format(store), WF_FORMAT_VERSION);
    cr_assert_eq(format_of(kv), WF_FORMAT_VERSION);
    expect_same(fresh, kv);
    sk_expect_clean(store);
    sk_expect_dag(store, many, NULL);
    cr_assert_geq(told.calls, 1);
    cr_assert_eq(told.done, told.of_all);
    cr_assert_eq(told.done, 2 * 400, "each entry in its order and by its id");
    wf_store_close(store);
    wf_kv_close(fresh);
}

Test(migrate, what_is_added_afterwards_goes_on_from_there)
{
    wf_kv *fresh = store_of(300), *kv = store_of(150);
    wf_store *store;
    make_old(kv);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    add(store, many, 150, 300);
    add(store, few, 50, 100);
    expect_same(fresh, kv);
    sk_expect_clean(store);
    wf_store_close(store);
    wf_kv_close(fresh);
}

Test(migrate, a_store_of_no_entries_is_one_too)
{
    wf_kv *kv;
    wf_store *store;
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    kv = wf_store_detach(store);
    make_old(kv);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    cr_assert_eq(format_of(kv), WF_FORMAT_VERSION);
    sk_expect_clean(store);
    wf_store_close(store);
}

static void put(wf_kv *kv, enum wf_cf cf, const void *key, size_t key_len)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, cf, key, key_len, "stray", 5);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* A migration that was killed may have left what the next one does not write again. */
Test(migrate, what_lies_in_the_new_families_is_swept_out)
{
    wf_kv *fresh = store_of(60), *kv = store_of(60);
    wf_store *store;
    make_old(kv);
    for (unsigned i = 0; i < MADE; i++) put(kv, made[i], "\0\0\0\0\0\0\0\x09", 8);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    expect_same(fresh, kv);
    wf_store_close(store);
    wf_kv_close(fresh);
}

/* Power is lost at each write in turn, with any number of the unsynced ones on disk. */
Test(migrate, a_kill_at_each_batch_is_made_up_for_by_the_next_opening)
{
    wf_kv *fresh = store_of(120), *kv = store_of(120);
    wf_store_options options = {.migration_bytes = 300};
    wf_store *store = NULL;
    kit_random r = {5};
    uint64_t nth = 0;
    sk_quiet(true);
    for (weft_err err = WEFT_IO; err != WEFT_OK;) {
        make_old(kv);
        wf_kv_memory_fail_at(kv, ++nth, WEFT_IO, true);
        err = wf_store_open_with(kv, node.rt, &options, &store);
        if (err == WEFT_OK) break;
        cr_assert_eq(err, WEFT_IO);
        wf_kv_memory_crash(kv, kit_below(&r, (uint32_t)wf_kv_memory_unsynced(kv) + 1));
        cr_assert_eq(format_of(kv), 2, "write %lu", (unsigned long)nth);
        cr_assert_eq(wf_store_open_with(kv, node.rt, &options, &store), WEFT_OK);
        expect_same(fresh, kv);
        kv = wf_store_detach(store);
    }
    cr_assert_gt(nth, 20, "%lu batches", (unsigned long)nth);
    expect_same(fresh, kv);
    wf_kv_memory_fail_at(kv, 0, WEFT_OK, false);
    sk_expect_clean(store);
    wf_store_close(store);
    wf_kv_close(fresh);
}

Test(migrate, a_full_disk_leaves_it_as_it_was)
{
    wf_kv *fresh = store_of(60), *kv = store_of(60);
    wf_store *store;
    make_old(kv);
    sk_quiet(true);
    wf_kv_memory_fail_at(kv, 2, WEFT_NO_SPACE, false);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_NO_SPACE);
    cr_assert_eq(format_of(kv), 2);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    expect_same(fresh, kv);
    wf_store_close(store);
    wf_kv_close(fresh);
}

Test(migrate, each_allocation_that_fails_is_no_memory_and_can_be_tried_again)
{
    wf_kv *fresh = store_of(60), *kv = store_of(60);
    wf_store *store = NULL;
    sk_quiet(true);
    for (uint64_t nth = 1;; nth++) {
        make_old(kv);
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = wf_store_open(kv, node.rt, &store);
        (void)wf_alloc_fail_at(0, 0);
        if (err != WEFT_OK) wf_kv_memory_crash(kv, wf_kv_memory_unsynced(kv)); /* no batch less */
        if (err == WEFT_OK) {
            cr_assert_gt(nth, 20);
            break;
        }
        cr_assert_eq(err, WEFT_NO_MEMORY, "allocation %lu: %s", (unsigned long)nth,
                     weft_errname(err));
        if (format_of(kv) != 2) expect_same(fresh, kv); /* it was done, and the loading failed */
    }
    expect_same(fresh, kv);
    wf_store_close(store);
    wf_kv_close(fresh);
}

/* -- What only a body says ------------------------------------------------------------------------ */

static weft_err base_of(wf_store *store, const sk_dag *dag, const char *name, uint32_t newest)
{
    struct wf_dag *view;
    struct wf_dag_base *base = NULL;
    struct wf_facts cut = {0};
    weft_id got;
    cr_assert_eq(wf_dag_open(store, &dag->tree, name, &view), WEFT_OK);
    wf_dag_begin(view);
    cr_assert_eq(wf_dag_cut(view, &(weft_cut){&dag->ids[newest - 1], 2}, &cut, NULL, NULL),
                 WEFT_OK);
    weft_err err = wf_dag_base_create(view, &cut, &base);
    if (err == WEFT_OK) err = wf_dag_base_step(base, &got);
    cr_expect(err != WEFT_OK || weft_id_equal(&got, &dag->ids[newest - 1]));
    wf_dag_base_destroy(base);
    wf_facts_fini(&cut);
    wf_dag_unref(view);
    return err;
}

/* An entry's parents in the store are lost, so the ways down from what stands on it are; those
 * of the tree, and of what is below, are not. */
Test(migrate, a_damaged_body_ends_no_migration_and_what_stands_on_it_says_so)
{
    wf_store *store;
    wf_batch *batch;
    uint8_t key[WF_KEY_SEQ_BYTES];
    sk_dag *chain = sk_dag_create(SK_CHAIN, 80, author, 9);
    cr_assert_eq(wf_store_open(kk_open(&kk_memory, NULL), node.rt, &store), WEFT_OK);
    add(store, chain, 0, 60);
    wf_kv *kv = wf_store_detach(store);
    sk_quiet(true);
    make_old(kv);
    wf_key_seq(key, 1, 21);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, "damaged", 7);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    add(store, chain, 60, 80);
    cr_expect_eq(base_of(store, chain, NULL, 79), WEFT_OK);
    cr_expect_eq(base_of(store, chain, "main", 19), WEFT_OK);
    cr_expect_eq(base_of(store, chain, "main", 59), WEFT_CORRUPT);
    cr_expect_eq(base_of(store, chain, "main", 79), WEFT_CORRUPT);
    wf_store_close(store);
    sk_dag_destroy(chain);
}

/* -- On disk --------------------------------------------------------------------------------------- */

/* In batches that are small, after the engine was closed; and what is there then is durable. */
static void migrate_on(const struct kk_engine *engine)
{
    kk_need(engine);
    wf_store_options options = {.migration_bytes = 4096};
    wf_store *store;
    wf_kv *fresh = store_of(300), *kv = filled(kk_open(engine, dir), 300);
    make_old(kv);
    wf_kv_close(kv);
    cr_assert_eq(wf_store_open_with(kk_open(engine, dir), node.rt, &options, &store), WEFT_OK);
    expect_same(fresh, wf_store_kv(store));
    wf_store_close(store);
    cr_assert_eq(kk_try(engine, dir, false, true, &kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    cr_assert_eq(wf_store_format(store), WF_FORMAT_VERSION);
    expect_same(fresh, kv);
    sk_expect_clean(store);
    wf_store_close(store);
    wf_kv_close(fresh);
}

Test(migrate, it_is_the_same_on_rocksdb) { migrate_on(&kk_rocksdb); }

Test(migrate, it_is_the_same_on_lmdb) { migrate_on(&kk_lmdb); }

/* -- A store that the last version of format 2 has left -------------------------------------------- */

#define OLD_ENTRIES 200u

static void copy_fixture(void)
{
    char from[512];
    const char *data = getenv("WEFT_TEST_DATA");
    snprintf(from, sizeof from, "%s/store_v2", data == NULL ? "test/data" : data);
    cr_assert_eq(wf_store_dir_copy(from, dir), WEFT_OK);
}

static wf_store *open_fixture(bool read_only)
{
    wf_kv_rocksdb_options options = {.memory_bytes = 16 << 20, .read_only = read_only};
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    cr_assert_eq(wf_kv_rocksdb_open(dir, &options, &kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    return store;
}

static void expect_fixture(wf_store *store)
{
    static const uint64_t entries[] = {139, 61, 0};
    wf_check_report report;
    wf_mark mark;
    weft_key reader;
    cr_assert_eq(wf_store_check(store, true, &report), WEFT_OK);
    cr_assert_eq(report.entries, OLD_ENTRIES);
    cr_assert_eq(wf_check_faults(&report), 0);
    for (uint64_t t = 1; t <= 3; t++) {
        wf_tree_info info;
        cr_assert_eq(wf_store_tree_by_number(store, t, &info), WEFT_OK);
        cr_assert_eq(info.count, entries[t - 1]);
        cr_assert(info.followed);
        weft_grant grants[8]; /* who may read is made from what format 2 had */
        size_t count = 8;
        cr_assert_eq(wf_store_grants(store, &info.tree, grants, &count), WEFT_OK);
        cr_assert_eq(count > 0, info.has_root);
        for (size_t i = 0; i < count; i++)
            if (!grants[i].everyone)
                cr_assert(wf_store_may_read(store, &info.tree, &grants[i].key));
    }
    memset(reader.bytes, 3, sizeof reader.bytes);
    cr_assert_eq(wf_store_cursor(store, &reader, 1, &mark), WEFT_OK);
    cr_assert_eq(mark.seq, 12);
}

/* The entries of a named store of tree `t` in their order, and how many reads they took. */
static uint32_t order_of(wf_store *store, uint64_t t, const char *name, uint64_t *reads)
{
    wf_tree_info info;
    struct wf_dag *dag;
    struct wf_dag_walk *walk;
    struct wf_fact fact;
    weft_err err;
    uint32_t entries = 0;
    cr_assert_eq(wf_store_tree_by_number(store, t, &info), WEFT_OK);
    cr_assert_eq(wf_dag_open(store, &info.tree, name, &dag), WEFT_OK);
    cr_assert_eq(wf_dag_order_create(dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    wf_dag_begin(dag);
    while ((err = walk->next(walk, &fact)) == WEFT_OK) entries++;
    cr_assert_eq(err, WEFT_END);
    *reads = dag->reads;
    wf_dag_walk_destroy(walk);
    wf_dag_unref(dag);
    return entries;
}

Test(migrate, who_only_reads_an_older_store_leaves_it_as_it_is)
{
    uint8_t sketch[WF_SKETCH_BYTES];
    struct wf_trie_slot slot;
    wf_tree_info info;
    wf_gen_walk *walk;
    uint64_t reads;
    struct wf_dag *dag;
    struct wf_dag_base *base;
    copy_fixture();
    for (int times = 0; times < 2; times++) {
        wf_store *store = open_fixture(true);
        cr_assert_eq(wf_store_format(store), 2);
        expect_fixture(store);
        cr_assert_eq(order_of(store, 1, "main", &reads), 138);
        cr_assert_eq(order_of(store, 2, "notes", &reads), 30);
        cr_assert_eq(wf_store_sketch(store, 1, sketch), WEFT_VERSION);
        cr_assert_eq(wf_store_trie_root(store, 1, &slot, &info), WEFT_VERSION);
        cr_assert_eq(wf_store_range(store, 1, 0, 9, &slot), WEFT_VERSION);
        cr_assert_eq(wf_store_tree_by_number(store, 1, &info), WEFT_OK);
        cr_assert_eq(wf_dag_open(store, &info.tree, NULL, &dag), WEFT_OK);
        cr_assert_eq(wf_dag_base_create(dag, &(struct wf_facts){0}, &base), WEFT_VERSION);
        wf_dag_unref(dag);
        cr_assert_eq(wf_gen_walk_create_named(store, 1, "main", false, 0, NULL, &walk),
                     WEFT_VERSION);
        wf_store_close(store);
    }
}

Test(migrate, a_store_of_the_last_version_of_format_2_becomes_one_of_format_3)
{
    uint64_t asked, listed;
    copy_fixture();
    wf_store *store = open_fixture(true);
    wf_tree_info before, after;
    cr_assert_eq(wf_store_tree_by_number(store, 1, &before), WEFT_OK);
    cr_assert_eq(order_of(store, 1, "main", &asked), 138);
    wf_store_close(store);
    for (int times = 0; times < 2; times++) {
        store = open_fixture(false);
        cr_assert_eq(wf_store_format(store), WF_FORMAT_VERSION);
        expect_fixture(store);
        cr_assert_eq(wf_store_tree_by_number(store, 1, &after), WEFT_OK);
        cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "the epoch is the same, too");
        cr_assert_eq(order_of(store, 1, "main", &listed), 138);
        cr_assert_eq(order_of(store, 2, "notes", &listed), 30);
        cr_assert_lt(order_of(store, 1, "main", &listed), asked);
        wf_store_close(store);
    }
}

/* Every body of it through the door of today, into a store that was never old. */
Test(migrate, the_old_store_is_salvaged_into_what_its_migration_makes)
{
    static wf_salvage_report report;
    wf_kv_rocksdb_options options = {.read_only = true, .salvage = true};
    wf_kv *from, *to;
    wf_store *store;
    copy_fixture();
    cr_assert_eq(wf_kv_memory_open(&to), WEFT_OK);
    cr_assert_eq(wf_kv_rocksdb_open(dir, &options, &from), WEFT_OK);
    cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_OK);
    wf_kv_close(from);
    cr_assert_eq(report.kept, OLD_ENTRIES);
    store = open_fixture(false);
    expect_same(to, wf_store_kv(store));
    wf_store_close(store);
    wf_kv_close(to);
}
