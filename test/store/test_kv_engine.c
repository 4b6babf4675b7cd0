/* SPDX-License-Identifier: Apache-2.0
 * test_kv_engine.c - which engine a directory gets, and what a build without LMDB answers.
 * Called by: meson test, of each build. May touch: directories of its own.
 * Never: LMDB by itself, so that it is the same program where there is none. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include <weft/node.h>

#include "kv_kit.h"

static char *const dir = kk_dir;

TestSuite(kv_engine, .init = kk_setup, .fini = kk_teardown);

static weft_err open_as(enum wf_engine engine, wf_kv **out)
{
    wf_kv_disk_options options = {.engine = engine, .create = true, .memory_bytes = 16 << 20};
    return wf_kv_disk_open(dir, &options, out);
}

/* Opened by choice, the directory has this engine whoever opens it by itself. */
static void expect_kept(enum wf_engine engine, const char *name, enum wf_engine other)
{
    wf_kv *kv = NULL;
    cr_assert_eq(open_as(engine, &kv), WEFT_OK);
    cr_assert_str_eq(kv->ops->name, name);
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    wf_kv_close(kv);
    cr_assert_eq(open_as(other, &kv), WEFT_NOT_STORE, "it is the other engine's");
    cr_assert_eq(open_as(WF_ENGINE_AUTO, &kv), WEFT_OK);
    cr_assert_str_eq(kv->ops->name, name);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "1");
    wf_kv_close(kv);
}

Test(kv_engine, a_store_of_lmdb_stays_one)
{
    kk_need(&kk_lmdb);
    expect_kept(WF_ENGINE_LMDB, "lmdb", WF_ENGINE_ROCKSDB);
}

Test(kv_engine, a_store_of_rocksdb_stays_one)
{
    kk_need(&kk_lmdb);
    expect_kept(WF_ENGINE_ROCKSDB, "rocksdb", WF_ENGINE_LMDB);
}

Test(kv_engine, a_new_store_without_a_choice_has_rocksdb)
{
    wf_kv *kv = NULL;
    cr_assert_eq(open_as(WF_ENGINE_AUTO, &kv), WEFT_OK);
    cr_assert_str_eq(kv->ops->name, "rocksdb");
    wf_kv_close(kv);
}

Test(kv_engine, a_node_has_the_engine_that_it_was_asked_for)
{
    kk_need(&kk_lmdb);
    weft_node *node = NULL;
    weft_node_options options = {.dir = dir, .engine = WEFT_ENGINE_LMDB};
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_node_close(node);
    char path[80];
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    cr_assert_eq(access(path, F_OK), 0);
    options.engine = WEFT_ENGINE_ROCKSDB;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_NOT_STORE);
    options.engine = WEFT_ENGINE_AUTO;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    weft_node_close(node);
    options.engine = (weft_engine)99;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_INVALID);
}

Test(kv_engine, a_build_without_lmdb_says_so_and_makes_nothing)
{
    if (wf_kv_lmdb_is_built()) cr_skip_test("this build has LMDB");
    weft_node *node = NULL;
    weft_node_options options = {.dir = dir, .engine = WEFT_ENGINE_LMDB};
    cr_assert_eq(weft_node_open(&options, &node), WEFT_UNSUPPORTED);
    cr_assert_neq(access(dir, F_OK), 0);
}
