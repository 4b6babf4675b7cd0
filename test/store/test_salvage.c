/* SPDX-License-Identifier: Apache-2.0
 * test_salvage.c - of a damaged store everything is kept that can still be read and judged.
 * Called by: meson test. May touch: directories of its own, bytes of the files in them.
 * Never: the salvage's rooms other than through its header. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "kv_kit.h"
#include "layout.h"
#include "salvage.h"
#include "scan.h"
#include "store_copy.h"
#include "store_kit.h"
#include "writer.h"

#define ENTRIES 400u

static weft_keypair *author;
static sk_node node; /* lends its runtime */
static sk_dag *dag;
static char old[64], new[64], copy[80];
static wf_salvage_report report;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    kk_dir_create(old);
    kk_dir_create(new);
    snprintf(copy, sizeof copy, "%s.copy", new);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    kk_dir_remove(old);
    kk_dir_remove(new);
    kk_dir_remove(copy);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(salvage, .init = setup, .fini = teardown);

/* -- Stores --------------------------------------------------------------------------------- */

static void put(wf_kv *kv, enum wf_cf cf, const void *key, size_t key_len, const void *value,
                size_t len)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (value == NULL) wf_batch_delete(batch, cf, key, key_len);
    else wf_batch_put(batch, cf, key, key_len, value, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* The whole history, a cursor, a record of the layers above, two readers. */
static void fill(wf_kv *kv)
{
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        memset(add.source.peer.bytes, i % 3 == 0 ? 0 : 7, sizeof add.source.peer.bytes);
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    }
    weft_key readers[2];
    for (uint8_t i = 0; i < 2; i++) memset(readers[i].bytes, 3 + i, sizeof readers[i].bytes);
    struct wf_follow *follow = wf_follow_create(&dag->tree, readers, 2);
    follow->follow = true;
    cr_assert_eq(wf_writer_follow(store, follow), WEFT_OK);
    weft_drop(&follow->req.msg);
    cr_assert_eq(wf_writer_cursor(store, &readers[0], 1, &(wf_mark){.seq = 5}), WEFT_OK);
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
    put(kv, WF_CF_PEER, "\x81peer", 5, "row", 3);
    cr_assert_eq(wf_store_detach(store), kv);
}

/* A store on disk; `closed` false: as a kill leaves it, all of it in the log. */
static void make_old(bool closed)
{
    wf_kv *kv = kk_open(&kk_rocksdb, old);
    fill(kv);
    if (!closed) cr_assert_eq(wf_store_dir_copy(old, copy), WEFT_OK);
    wf_kv_close(kv);
    if (closed) return;
    kk_dir_remove(old);
    cr_assert_eq(wf_store_dir_rename(copy, old), WEFT_OK);
}

static wf_kv *open_lenient(const char *dir)
{
    wf_kv_rocksdb_options options = {.read_only = true, .salvage = true};
    wf_kv *kv = NULL;
    cr_assert_eq(wf_kv_rocksdb_open(dir, &options, &kv), WEFT_OK);
    return kv;
}

/* Salvages `from` (closed here) into memory, and looks at what came out. */
static void expect_salvaged(wf_kv *from, const bool *have)
{
    wf_kv *to = kk_open(&kk_memory, NULL);
    cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_OK);
    wf_kv_close(from);
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(to, node.rt, &store), WEFT_OK);
    if (have != NULL) sk_expect_dag(store, dag, have);
    sk_expect_clean(store);
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_OK);
    cr_assert_eq(info.count, report.kept);
    wf_store_close(store);
}

/* -- Damage ---------------------------------------------------------------------------------- */

static void whole(bool *have)
{
    for (uint32_t i = 0; i < ENTRIES; i++) have[i] = true;
}

/* What cannot stay when entry `lost` is gone. */
static uint32_t without(bool *have, uint32_t lost)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        have[i] = i != lost;
        for (uint32_t p = 0; p < dag->parents_count[i]; p++)
            if (!have[dag->parents[i][p]]) have[i] = false;
        count += have[i];
    }
    return count;
}

static bool is_kind(const char *name, const char *kind)
{
    size_t len = strlen(name), end = strlen(kind);
    return strncmp(name, kind, end) == 0 || (len > end && strcmp(name + len - end, kind) == 0);
}

/* The largest file of a kind ("MANIFEST", ".log", ".sst"). */
static void largest(const char *dir, const char *kind, char out[256])
{
    DIR *handle = opendir(dir);
    off_t most = -1;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        struct stat info;
        char path[256];
        snprintf(path, sizeof path, "%.80s/%.160s", dir, item->d_name);
        if (!is_kind(item->d_name, kind) || stat(path, &info) != 0 || info.st_size <= most)
            continue;
        most = info.st_size;
        memcpy(out, path, sizeof path);
    }
    closedir(handle);
    cr_assert_geq(most, 0, "no %s in %s", kind, dir);
}

/* Flips one bit at `percent` of a file. */
static void flip(const char *path, unsigned percent)
{
    int fd = open(path, O_RDWR);
    struct stat info;
    cr_assert_eq(fstat(fd, &info), 0);
    off_t at = info.st_size * percent / 100;
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* -- Bodies -------------------------------------------------------------------------------------- */

Test(salvage, a_sound_store_is_kept_whole)
{
    bool have[ENTRIES];
    whole(have);
    make_old(true);
    expect_salvaged(open_lenient(old), have);
    cr_assert_eq(report.kept, ENTRIES);
    cr_assert_eq(report.verified + report.bad + report.orphans + report.refused + report.gaps, 0,
                 "arrivals vouched for all of them");
}

Test(salvage, a_flipped_body_takes_only_its_descendants_along)
{
    bool have[ENTRIES];
    uint32_t kept = without(have, 30);
    cr_assert(kept < ENTRIES - 1 && kept > ENTRIES / 4);
    wf_kv *kv = kk_open(&kk_memory, NULL);
    fill(kv);
    uint8_t body[2048], key[WF_KEY_SEQ_BYTES];
    size_t len = weft_buf_len(dag->bufs[30]);
    memcpy(body, weft_buf_bytes(dag->bufs[30]), len);
    body[len / 2] ^= 1;
    wf_key_seq(key, 1, 31);
    put(kv, WF_CF_ENTRY, key, sizeof key, body, len);
    expect_salvaged(kv, have);
    cr_assert_eq(report.bad, 1);
    cr_assert_eq(report.orphans, ENTRIES - 1 - kept);
    for (uint32_t i = 0; i < report.orphans; i++)
        for (uint32_t e = 0; e < ENTRIES; e++)
            cr_assert(!have[e] || !weft_id_equal(&dag->ids[e], &report.orphan[i]));
}

Test(salvage, an_entry_without_its_arrival_is_judged_by_its_signature)
{
    bool have[ENTRIES];
    whole(have);
    wf_kv *kv = kk_open(&kk_memory, NULL);
    fill(kv);
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_seq(key, 1, 31);
    put(kv, WF_CF_ARR, key, sizeof key, NULL, 0);
    wf_key_seq(key, 1, 32);
    put(kv, WF_CF_ARR, key, sizeof key, dag->ids[3].bytes, 32);
    expect_salvaged(kv, have);
    cr_assert_eq(report.verified, 2);
}

Test(salvage, an_entry_that_nobody_signed_is_not_taken)
{
    bool have[ENTRIES];
    without(have, 30);
    wf_kv *kv = kk_open(&kk_memory, NULL);
    fill(kv);
    uint8_t body[2048], key[WF_KEY_SEQ_BYTES];
    size_t len = weft_buf_len(dag->bufs[30]);
    memcpy(body, weft_buf_bytes(dag->bufs[30]), len);
    body[len - 1] ^= 1; /* of the signature: canonical, and hashes to another id */
    wf_key_seq(key, 1, 31);
    put(kv, WF_CF_ENTRY, key, sizeof key, body, len);
    put(kv, WF_CF_ARR, key, sizeof key, NULL, 0);
    expect_salvaged(kv, have);
    cr_assert_eq(report.bad, 1);
}

/* The indexes of the old store are not even looked at. */
Test(salvage, lost_indexes_cost_nothing)
{
    bool have[ENTRIES];
    whole(have);
    wf_kv *kv = kk_open(&kk_memory, NULL);
    fill(kv);
    uint8_t key[WF_KEY_TREE_BYTES];
    for (uint32_t i = 0; i < ENTRIES; i += 2) put(kv, WF_CF_META, dag->ids[i].bytes, 32, NULL, 0);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    put(kv, WF_CF_TREE, key, sizeof key, NULL, 0);
    expect_salvaged(kv, have);
    cr_assert_eq(report.kept, ENTRIES);
}

Test(salvage, readers_and_records_are_kept_and_marks_are_not)
{
    wf_kv *from = kk_open(&kk_memory, NULL), *to = kk_open(&kk_memory, NULL);
    fill(from);
    wf_tree_info was, is;
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(from, node.rt, &store), WEFT_OK);
    cr_assert_eq(wf_store_tree(store, &dag->tree, &was), WEFT_OK);
    from = wf_store_detach(store);
    cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_OK);
    wf_kv_close(from);
    cr_assert_eq(wf_store_open(to, node.rt, &store), WEFT_OK);
    weft_key reader;
    memset(reader.bytes, 4, sizeof reader.bytes);
    cr_assert(wf_store_may_read(store, &dag->tree, &reader));
    reader.bytes[0]++;
    cr_assert(!wf_store_may_read(store, &dag->tree, &reader));
    uint8_t row[8];
    size_t len = sizeof row;
    cr_assert_eq(wf_store_record_get(store, WF_CF_PEER, "\x81peer", 5, row, &len), WEFT_OK);
    cr_assert_eq(len, 3);
    wf_mark mark;
    memset(reader.bytes, 3, sizeof reader.bytes);
    cr_assert_eq(wf_store_cursor(store, &reader, 1, &mark), WEFT_NOT_FOUND);
    cr_assert_eq(wf_store_tree(store, &dag->tree, &is), WEFT_OK);
    cr_assert_neq(memcmp(was.epoch, is.epoch, sizeof is.epoch), 0, "the epoch is new");
    wf_arrival arrival;
    cr_assert_eq(wf_store_arrival(store, 1, 2, &arrival), WEFT_OK);
    cr_assert_eq(arrival.source.peer.bytes[0], 7, "who has an entry is still known");
    wf_store_close(store);
}

Test(salvage, a_store_that_is_not_empty_is_refused)
{
    wf_kv *from = kk_open(&kk_memory, NULL), *to = kk_open(&kk_memory, NULL);
    fill(from);
    put(to, WF_CF_PEER, "\x81x", 2, "", 0);
    cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_EXISTS);
    wf_kv_close(to);
    wf_kv_close(from);
}

Test(salvage, another_format_is_refused)
{
    wf_kv *from = kk_open(&kk_memory, NULL), *to = kk_open(&kk_memory, NULL);
    fill(from);
    put(from, WF_CF_TREE, "\x01", 1, "weft\0\0\0\x63", 8);
    cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_VERSION);
    wf_kv_close(to);
    wf_kv_close(from);
}

Test(salvage, a_failed_write_of_the_new_store_is_the_answer)
{
    wf_kv *from = kk_open(&kk_memory, NULL);
    fill(from);
    for (uint64_t nth = 1; nth <= 2; nth++) { /* its format, then everything else */
        wf_kv *to = kk_open(&kk_memory, NULL);
        wf_kv_memory_fail_at(to, nth, WEFT_NO_SPACE, true);
        cr_assert_eq(wf_salvage(from, to, node.rt, NULL, &report), WEFT_NO_SPACE);
        cr_assert_eq(report.kept, 0);
        wf_kv_close(to);
    }
    wf_kv_close(from);
}

Test(salvage, each_allocation_that_fails_is_no_memory_or_no_matter)
{
    wf_kv *from = kk_open(&kk_memory, NULL);
    fill(from);
    uint64_t all = 0;
    unsigned failed = 0;
    for (uint64_t nth = 0; nth <= all; nth += 1 + nth / 64) { /* 0: none, to count them */
        wf_kv *to = kk_open(&kk_memory, NULL);
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = wf_salvage(from, to, node.rt, NULL, &report);
        uint64_t asked = wf_alloc_fail_at(0, 0);
        if (nth == 0) all = asked;
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        failed += err == WEFT_NO_MEMORY;
        if (err == WEFT_OK)
            cr_assert_eq(report.kept, ENTRIES, "allocation %llu", (unsigned long long)nth);
        wf_kv_close(to);
    }
    cr_assert_gt(failed, 20);
    wf_kv_close(from);
}

/* -- Files --------------------------------------------------------------------------------------- */

/* Reads by key, one by one, say what can be read. */
static uint32_t readable(wf_kv *kv, bool *have)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint8_t key[WF_KEY_SEQ_BYTES];
        wf_value value;
        wf_key_seq(key, 1, i + 1);
        have[i] = wf_kv_get(kv, NULL, WF_CF_ENTRY, key, sizeof key, &value) == WEFT_OK;
        if (have[i]) wf_value_release(kv, &value);
        count += have[i];
    }
    return count;
}

Test(salvage, a_walk_finds_all_that_single_reads_find)
{
    make_old(true);
    char path[256];
    largest(old, ".sst", path);
    unsigned gaps = 0;
    for (unsigned percent = 5; percent < 100; percent += 15) {
        bool have[ENTRIES], found[ENTRIES] = {false};
        flip(path, percent);
        wf_kv *kv = open_lenient(old);
        uint32_t want = readable(kv, have), got = 0;
        struct wf_scan scan;
        wf_scan_init(&scan, kv, NULL, WF_CF_ENTRY, true);
        uint64_t before = 0;
        while (wf_scan_next(&scan) == WEFT_OK) {
            uint64_t seq = wf_get64(scan.key + 8);
            cr_assert(seq > before && seq <= ENTRIES);
            before = seq;
            found[seq - 1] = true;
            got++;
        }
        gaps += scan.gaps > 0;
        wf_scan_fini(&scan);
        wf_kv_close(kv);
        flip(path, percent);
        cr_assert_eq(got, want, "at %u %%: %u walked, %u read", percent, got, want);
        cr_assert_arr_eq(found, have, sizeof have);
    }
    cr_assert_geq(gaps, 3, "the damage was met");
}

Test(salvage, a_damaged_table_loses_only_what_is_in_its_blocks)
{
    make_old(true);
    char path[256];
    largest(old, ".sst", path);
    flip(path, 40);
    bool have[ENTRIES];
    wf_kv *kv = open_lenient(old);
    uint32_t read = readable(kv, have);
    cr_assert(read < ENTRIES && read > ENTRIES / 2);
    for (uint32_t i = 0; i < ENTRIES; i++)
        for (uint32_t p = 0; p < dag->parents_count[i]; p++)
            if (!have[dag->parents[i][p]]) have[i] = false;
    expect_salvaged(kv, have);
    cr_assert_gt(report.gaps, 0);
    cr_assert_eq(report.kept + report.orphans, read);
}

Test(salvage, a_flipped_log_loses_what_that_record_held)
{
    wf_kv *kv = kk_open(&kk_rocksdb, old);
    fill(kv); /* one batch, one record */
    kk_put(kv, WF_CF_PEER, "\x81later", "kept", true);
    cr_assert_eq(wf_store_dir_copy(old, copy), WEFT_OK);
    wf_kv_close(kv);
    char path[256];
    largest(copy, ".log", path);
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    int fd = open(path, O_RDWR);
    cr_assert_eq(pwrite(fd, "\xff", 1, info.st_size - 4), 1); /* in the last record's value */
    close(fd);
    bool have[ENTRIES];
    whole(have);
    const char *how;
    cr_assert_eq(wf_kv_rocksdb_open_damaged(copy, &kv, &how, NULL), WEFT_OK);
    cr_assert_str_eq(how, "as it is");
    expect_salvaged(kv, have);
    cr_assert_eq(report.records, 1, "all but the one that was hit");
}

/* What open_damaged says, and that nothing is lost. */
static void expect_opened(const char *want)
{
    bool have[ENTRIES];
    whole(have);
    cr_assert_eq(wf_store_dir_copy(old, copy), WEFT_OK);
    wf_kv *kv = NULL;
    const char *how = "";
    cr_assert_eq(wf_kv_rocksdb_open_damaged(copy, &kv, &how, NULL), WEFT_OK);
    cr_assert_str_eq(how, want);
    expect_salvaged(kv, have);
    cr_assert_eq(report.kept, ENTRIES);
}

Test(salvage, a_lost_current_costs_nothing)
{
    make_old(true);
    char path[256];
    largest(old, "CURRENT", path);
    cr_assert_eq(unlink(path), 0);
    expect_opened("with its newest manifest");
}

Test(salvage, a_broken_manifest_costs_nothing)
{
    make_old(true);
    char path[256];
    largest(old, "MANIFEST", path);
    flip(path, 50);
    expect_opened("from its tables and logs");
}

Test(salvage, a_broken_manifest_over_a_log_alone_costs_nothing)
{
    make_old(false);
    char path[256];
    largest(old, "MANIFEST", path);
    flip(path, 50);
    expect_opened("from its tables and logs");
}

Test(salvage, the_original_is_left_as_it_is)
{
    make_old(true);
    char path[256];
    largest(old, "MANIFEST", path);
    flip(path, 50);
    char command[256], before[128] = "", after[128] = "";
    FILE *sum;
    snprintf(command, sizeof command, "cd %s && ls | cksum && cat * | cksum", old);
    sum = popen(command, "r");
    cr_assert_gt(fread(before, 1, sizeof before - 1, sum), 0);
    pclose(sum);
    expect_opened("from its tables and logs");
    sum = popen(command, "r");
    cr_assert_gt(fread(after, 1, sizeof after - 1, sum), 0);
    pclose(sum);
    cr_assert_str_eq(before, after);
}

Test(salvage, a_copy_is_whole_or_not_there)
{
    make_old(true);
    cr_assert_eq(wf_store_dir_copy(old, copy), WEFT_OK);
    cr_assert_eq(wf_store_dir_copy(old, copy), WEFT_EXISTS);
    cr_assert_eq(wf_store_dir_rename(copy, old), WEFT_EXISTS);
    cr_assert_eq(wf_store_dir_remove(copy), WEFT_OK);
    cr_assert(!wf_store_dir_exists(copy));
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere", old);
    cr_assert_eq(wf_store_dir_copy(nowhere, copy), WEFT_NOT_STORE);
    cr_assert(!wf_store_dir_exists(copy));
}
