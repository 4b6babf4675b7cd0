/* SPDX-License-Identifier: Apache-2.0
 * test_upgrade.c - a node opens the store that an older version has left, and goes on with it.
 * Called by: meson test. May touch: a directory of its own, test/data/store_v2 (reading).
 * Never: sleeps. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/node.h>

#include "kv_kit.h"
#include "store_copy.h"

struct told {
    uint64_t calls, done, of_all;
};

static void on_progress(void *arg, uint64_t done, uint64_t of_all)
{
    struct told *told = arg;
    *told = (struct told){told->calls + 1, done, of_all};
}

static weft_node *open_node(const char *dir, const weft_keypair *device, struct told *told)
{
    weft_node *node = NULL;
    weft_node_options options = {
        .dir = dir, .device = device, .on_progress = on_progress, .progress_arg = told};
    weft_err err = weft_node_open(&options, &node);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return node;
}

static weft_tree_info info_of(weft_node *node, const weft_id *tree)
{
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node, tree, &info), WEFT_OK);
    return info;
}

Test(upgrade, a_node_takes_over_a_store_of_format_2_and_says_how_far_it_is)
{
    char dir[64], from[512];
    uint8_t seed[32];
    const char *data = getenv("WEFT_TEST_DATA");
    weft_keypair *author = NULL;
    weft_writer *writer;
    weft_id trees[4];
    size_t count = 4;
    struct told told = {0};
    memset(seed, 1, sizeof seed);
    cr_assert_eq(weft_keypair_from_seed(seed, &author), WEFT_OK);
    kk_dir_create(dir);
    snprintf(from, sizeof from, "%s/store_v2", data == NULL ? "test/data" : data);
    cr_assert_eq(wf_store_dir_copy(from, dir), WEFT_OK);
    weft_node *node = open_node(dir, author, &told);
    cr_assert_geq(told.calls, 1);
    cr_assert_eq(told.done, told.of_all);
    cr_assert_eq(told.of_all, 400, "each of 200 entries in its order and by its id");
    cr_assert_eq(weft_tree_list(node, trees, &count), WEFT_OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(info_of(node, &trees[0]).entries, 139);
    cr_assert_eq(weft_writer_open(node, &trees[0], author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "main", "x", 1, WEFT_NEVER, NULL), WEFT_OK);
    weft_writer_close(writer);
    weft_node_close(node);
    told = (struct told){0};
    node = open_node(dir, author, &told);
    cr_assert_eq(told.calls, 0, "it is done");
    cr_assert_eq(info_of(node, &trees[0]).entries, 140);
    weft_node_close(node);
    weft_keypair_destroy(author);
    kk_dir_remove(dir);
}
