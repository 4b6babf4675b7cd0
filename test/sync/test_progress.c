/* SPDX-License-Identifier: Apache-2.0
 * test_progress.c - a node that opens says how far it is with the log of a process that was killed.
 * Called by: meson test. May touch: a directory of its own. Never: waits for a clock. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/node.h>

#include "kv_kit.h"
#include "replay.h"
#include "store_dir.h"

#define COMMITS 40
#define PAYLOAD (64u << 10)

TestSuite(progress, .init = kk_setup, .fini = kk_teardown);

static void make_log(const char *name, size_t len)
{
    char path[128];
    static const uint8_t bytes[4096];
    snprintf(path, sizeof path, "%s/%s", kk_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

Test(progress, what_was_read_are_the_logs_before_and_a_part_of_the_one_that_is_open)
{
    char path[128], part[1000];
    cr_assert_eq(mkdir(kk_dir, 0700), 0);
    make_log("000009.log", 500);
    make_log("000011.log", 4000);
    make_log("000012.log", 3000);
    make_log("other.log", 2000);
    cr_expect_eq(wf_replay_bytes(kk_dir), 0, "none is open");
    snprintf(path, sizeof path, "%s/000011.log", kk_dir);
    int fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, part, sizeof part), (ssize_t)sizeof part);
    cr_expect_eq(wf_replay_bytes(kk_dir), 1500);
    close(fd);
}

struct told {
    uint64_t calls, first, done, of_all;
    bool back;
};

static void on_progress(void *arg, uint64_t done, uint64_t of_all)
{
    struct told *told = arg;
    if (told->calls++ == 0) told->first = done;
    told->back = told->back || done < told->done || done > of_all;
    told->done = done;
    told->of_all = of_all;
}

static weft_node *open_node(struct told *told)
{
    weft_node *node = NULL;
    weft_node_options options = {.dir = kk_dir, .on_progress = on_progress, .progress_arg = told};
    return weft_node_open(&options, &node) == WEFT_OK ? node : NULL;
}

/* In a process that ends as if killed: all of it is in the log. */
static int commit_and_die(void)
{
    static uint8_t payload[PAYLOAD];
    struct told told = {0};
    weft_root_spec spec = {.everyone = WEFT_RIGHT_NONE};
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    weft_id tree;
    weft_node *node = open_node(&told);
    if (node == NULL || told.calls != 0) return 1;
    if (weft_keypair_create(&author) != WEFT_OK) return 2;
    if (weft_tree_create(node, author, &spec, WEFT_NEVER, &tree) != WEFT_OK) return 3;
    if (weft_writer_open(node, &tree, author, &writer) != WEFT_OK) return 4;
    for (uint8_t i = 0; i < COMMITS; i++) {
        payload[0] = i;
        if (weft_commit(writer, "main", payload, sizeof payload, WEFT_NEVER, NULL) != WEFT_OK)
            return 5;
    }
    return 0;
}

Test(progress, a_node_tells_how_much_of_a_log_it_has_read_again)
{
    int status;
    struct told told = {0};
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) _exit(commit_and_die());
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    uint64_t bytes = wf_store_dir_log_bytes(kk_dir);
    cr_assert_gt(bytes, COMMITS * PAYLOAD);
    weft_node *node = open_node(&told);
    cr_assert_not_null(node);
    cr_expect_geq(told.calls, 2);
    cr_expect_eq(told.first, 0, "before it begins");
    cr_expect_eq(told.done, bytes, "and when it is over");
    cr_expect_eq(told.of_all, bytes);
    cr_expect_not(told.back);
    weft_node_close(node);
    told = (struct told){0};
    node = open_node(&told);
    cr_assert_not_null(node);
    cr_expect_eq(told.calls, 0, "it has left none");
    weft_node_close(node);
}
