/* SPDX-License-Identifier: Apache-2.0
 * test_lost_files.c - a file of RocksDB that is gone is damage, which a renewal mends, and no disk
 * that fails now and may not later.
 * Called by: meson test. May touch: a directory of its own, names of the files in it.
 * Never: the bytes of a file. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "damage.h"
#include "kv_kit.h"
#include "renew.h"
#include "store_copy.h"
#include "store_kit.h"
#include "writer.h"

#define ENTRIES 60u
#define PATH_BYTES 512

static char *const dir = kk_dir;

TestSuite(lost_files, .init = kk_setup, .fini = kk_teardown);

/* Removes the largest file whose name has `part` in it. */
static void lose(const char *part)
{
    char path[PATH_BYTES], found[PATH_BYTES] = "";
    off_t most = -1;
    DIR *listing = opendir(dir);
    for (struct dirent *item; (item = readdir(listing)) != NULL;) {
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        if (strstr(item->d_name, part) == NULL || stat(path, &info) != 0 || info.st_size <= most)
            continue;
        most = info.st_size;
        strcpy(found, path);
    }
    closedir(listing);
    cr_assert_eq(unlink(found), 0, "%s", part);
}

/* One key in one table. */
static void make_table(void)
{
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    kk_put(kv, WF_CF_ENTRY, "k", "v", true);
    wf_kv_close(kv);
}

static weft_err read_of_salvage(const char *lost_later)
{
    wf_kv *kv = NULL;
    wf_value value;
    lose(".sst");
    cr_assert_eq(wf_kv_rocksdb_open_salvage(dir, &kv), WEFT_OK);
    if (lost_later != NULL) lose(lost_later);
    weft_err err = wf_kv_get(kv, NULL, WF_CF_ENTRY, "k", 1, &value);
    wf_kv_close(kv);
    return err;
}

Test(lost_files, a_lost_table_is_damage_to_who_reads_it)
{
    make_table();
    cr_expect_eq(read_of_salvage(NULL), WEFT_CORRUPT);
}

/* As when a disk is taken away: it may come back. */
Test(lost_files, a_table_that_is_gone_with_its_store_is_a_disk_that_fails)
{
    make_table();
    cr_expect_eq(read_of_salvage("CURRENT"), WEFT_IO);
}

Test(lost_files, a_lost_manifest_is_damage)
{
    wf_kv *kv = NULL;
    make_table();
    lose("MANIFEST-");
    cr_expect_eq(kk_try(&kk_rocksdb, dir, false, false, &kv), WEFT_CORRUPT);
}

static void put_all(wf_store *store, const sk_dag *dag)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    }
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
}

Test(lost_files, a_lost_table_of_bodies_costs_those_bodies_and_nothing_else)
{
    weft_keypair *author = kit_pair(1);
    sk_dag *dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    sk_node node; /* lends its runtime */
    wf_store *store = NULL;
    wf_renewal done;
    sk_node_open(&node, 1);
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), node.rt, &store), WEFT_OK);
    put_all(store, dag);
    wf_store_close(store);
    lose(".sst"); /* nothing is as large as the bodies */
    cr_assert_eq(wf_renew(dir, node.rt, &(wf_renew_options){0}, &done), WEFT_OK);
    cr_expect_eq(done.how, WF_RENEWED_ROWS);
    cr_expect_eq(done.missing, ENTRIES);
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), node.rt, &store), WEFT_OK);
    cr_assert_eq(wf_renew_settle(store, dir), WEFT_OK);
    cr_expect_eq(wf_damage_count(store), ENTRIES, "they are asked of peers");
    put_all(store, dag); /* as a session would */
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    wf_store_close(store);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}
