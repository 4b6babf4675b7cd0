/* SPDX-License-Identifier: Apache-2.0
 * test_judge.c - the judge sees every kind of loss and forgery in what nodes left.
 * Called by: meson test. May touch: a directory of its own. Never: nodes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "evidence.h"
#include "judge.h"
#include "node.h"
#include "proc.h"

#define ROWS 4u

/* Two nodes and a history: rows 0 and 1 are roots, 2 follows 0, 3 joins 2 and 1. */
static struct world {
    char *dir;
    struct dag dag;
    weft_buf *root, *row[ROWS], *live;
    weft_id tree, id[ROWS], live_id;
    struct ledger ledger;
    FILE *dump[2];
    struct judge_result result;
} w;

static weft_buf *build(const weft_id *parents, uint32_t count, bool in_store, uint64_t height,
                       const char *store, const void *payload, size_t len, weft_id *out_id)
{
    weft_keypair *author;
    weft_buf *out;
    weft_store_part part = {.name = store,
                            .parents = in_store ? parents : NULL,
                            .parents_count = in_store ? count : 0,
                            .payload = payload,
                            .payload_len = len};
    weft_entry_spec spec = {.tree = w.tree,
                            .parents = parents,
                            .parents_count = count,
                            .height = height,
                            .stores = &part,
                            .stores_count = 1};
    cr_assert_eq(node_keypair(1, NODE_KEY_AUTHOR, 0, &author), WEFT_OK);
    cr_assert_eq(weft_entry_build(&spec, author, &out, out_id), WEFT_OK);
    weft_keypair_destroy(author);
    return out;
}

static weft_buf *build_row(uint32_t row, const weft_id *parents, uint32_t count, weft_id *out_id)
{
    uint8_t payload[8] = {0};
    memcpy(payload, &row, sizeof row);
    return build(count == 0 ? &w.tree : parents, count == 0 ? 1 : count, count > 0, row + 1,
                 NODE_STORE, payload, sizeof payload, out_id);
}

static weft_buf *build_live(uint64_t number, weft_id *out_id)
{
    struct live_stamp stamp = {LIVE_MAGIC, 1, number, 5};
    return build(&w.id[3], 1, false, 9, NODE_LIVE_STORE, &stamp, sizeof stamp, out_id);
}

static void setup(void)
{
    const uint32_t of2[] = {0}, of3[] = {2, 1};
    weft_keypair *author;
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE};
    w.dir = proc_dir_make(NULL, "weft-judge");
    cr_assert_not_null(w.dir);
    cr_assert_eq(node_keypair(1, NODE_KEY_ROOT, 0, &author), WEFT_OK);
    cr_assert_eq(weft_root_build(&spec, author, &w.root, &w.tree), WEFT_OK);
    weft_keypair_destroy(author);
    dag_append(&w.dag, NULL, 0, 0, 1, 8);
    dag_append(&w.dag, NULL, 0, 0, 1, 8);
    dag_append(&w.dag, of2, 1, 0, 1, 8);
    dag_append(&w.dag, of3, 2, 0, 1, 8);
    w.row[0] = build_row(0, NULL, 0, &w.id[0]);
    w.row[1] = build_row(1, NULL, 0, &w.id[1]);
    w.row[2] = build_row(2, &w.id[0], 1, &w.id[2]);
    const weft_id parents3[] = {w.id[2], w.id[1]};
    w.row[3] = build_row(3, parents3, 2, &w.id[3]);
    w.live = build_live(0, &w.live_id);
    char *path = cluster_ledger_path(w.dir);
    cr_assert_eq(ledger_open(&w.ledger, path), 0);
    free(path);
    struct control_op op = {.origin = CONTROL_HISTORY, .count = ROWS};
    ledger_intent(&w.ledger, 0, &op);
    ledger_ack(&w.ledger, 0, &op, w.id);
    op = (struct control_op){.origin = CONTROL_LIVE_COMMIT, .count = 1};
    ledger_intent(&w.ledger, 1, &op);
    ledger_ack(&w.ledger, 1, &op, &w.live_id);
    for (uint32_t i = 0; i < 2; i++) {
        path = cluster_dump_path(w.dir, i);
        w.dump[i] = fopen(path, "w");
        cr_assert_not_null(w.dump[i]);
        free(path);
    }
}

static void teardown(void)
{
    proc_dir_remove(w.dir);
    free(w.dir);
    weft_buf_unref(w.root);
    weft_buf_unref(w.live);
    for (uint32_t i = 0; i < ROWS; i++) weft_buf_unref(w.row[i]);
    dag_free(&w.dag);
}

static void leave(uint32_t node, const weft_buf *bytes)
{
    uint32_t len = (uint32_t)weft_buf_len(bytes);
    fwrite(&len, sizeof len, 1, w.dump[node]);
    fwrite(weft_buf_bytes(bytes), len, 1, w.dump[node]);
}

/* Everything, but for one row at one node. */
static void leave_all_but(uint32_t node, const weft_buf *without)
{
    const weft_buf *all[] = {w.root, w.row[0], w.row[1], w.row[2], w.row[3], w.live};
    for (size_t i = 0; i < 6; i++)
        if (all[i] != without) leave(node, all[i]);
}

static int judge(bool sabotage)
{
    struct judge_case jc = {.dir = w.dir,
                            .nodes = 2,
                            .memory_store = true,
                            .tree = w.tree,
                            .dag = &w.dag,
                            .seed = 1,
                            .sabotage = sabotage ? SPOIL_LOSE : SPOIL_NOTHING,
                            .threads = 2};
    char why[400] = "";
    ledger_close(&w.ledger);
    for (uint32_t i = 0; i < 2; i++)
        if (w.dump[i] != NULL) fclose(w.dump[i]);
    int code = judge_run(&jc, &w.result, why, sizeof why);
    cr_log_info("%s", why);
    return code;
}

static bool clean(void)
{
    char why[400] = "";
    return judge_clean(&w.result, why, sizeof why);
}

TestSuite(judge, .init = setup, .fini = teardown);

Test(judge, passes_what_is_whole)
{
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert(clean());
    cr_assert_eq(w.result.entries, 6u);
    cr_assert_eq(w.result.acked_live, 1u);
    cr_assert_eq(w.result.node[1].entries, 6u);
    cr_assert_eq(w.result.node[1].tips, 1u);
}

Test(judge, counts_a_missing_entry_at_the_node_that_lost_it)
{
    leave_all_but(0, NULL);
    leave_all_but(1, w.live);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.lost, 1u);
    cr_assert_eq(w.result.node[1].lost, 1u);
    cr_assert_not(w.result.tips_equal);
    cr_assert_not(clean());
}

Test(judge, sees_a_parent_that_is_missing)
{
    leave_all_but(0, w.row[2]);
    leave_all_but(1, NULL);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.missing_parents, 1u);
    cr_assert_eq(w.result.lost, 1u);
}

Test(judge, sabotage_is_always_seen)
{
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    cr_assert_eq(judge(true), EXIT_PASS);
    cr_assert_eq(w.result.lost, 1u);
}

Test(judge, sees_a_flipped_signature)
{
    weft_id id;
    weft_buf *forged = build_live(0, &id);
    uint8_t *bytes = weft_buf_data(forged);
    size_t len = weft_buf_len(forged);
    bytes[len - 1] ^= 1; /* the signature is the last field */
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    leave(1, forged);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.bad_signatures, 1u);
    cr_assert_not(clean());
    weft_buf_unref(forged);
}

Test(judge, sees_bytes_that_are_no_entry)
{
    leave_all_but(0, w.row[3]);
    uint8_t *bytes = weft_buf_data(w.row[3]);
    bytes[0] ^= 0xff;
    leave(0, w.row[3]);
    bytes[0] ^= 0xff;
    leave_all_but(1, NULL);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.bad_bytes, 1u);
    cr_assert_eq(w.result.lost, 1u);
}

Test(judge, sees_an_entry_that_nobody_announced)
{
    weft_id id;
    weft_buf *stranger = build_live(1, &id); /* node 1 announced number 0 only */
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    leave(0, stranger);
    leave(1, stranger);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.unexpected, 1u);
    weft_buf_unref(stranger);
}

Test(judge, lets_pass_what_was_announced_and_not_acknowledged)
{
    weft_id id;
    weft_buf *torn = build_live(1, &id);
    struct control_op op = {.origin = CONTROL_LIVE_COMMIT, .count = 1, .first = 1};
    ledger_intent(&w.ledger, 1, &op);
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    leave(0, torn);
    leave(1, torn);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.unacked, 1u);
    cr_assert(clean());
    weft_buf_unref(torn);
}

Test(judge, sees_a_history_of_another_shape)
{
    w.dag.parents[w.dag.entries[3].parents_at] = 0; /* the table now says 3 joins 0 and 1 */
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    cr_assert_eq(judge(false), EXIT_PASS);
    cr_assert_eq(w.result.bad_shapes, 1u);
}

Test(judge, refuses_a_ledger_that_acknowledges_too_little)
{
    char *path = cluster_ledger_path(w.dir);
    ledger_close(&w.ledger);
    cr_assert_eq(ledger_open(&w.ledger, path), 0); /* empty again */
    free(path);
    leave_all_but(0, NULL);
    leave_all_but(1, NULL);
    cr_assert_eq(judge(false), EXIT_HARNESS);
}

Test(judge, names_a_store_that_is_not_there)
{
    char *path = cluster_dump_path(w.dir, 1);
    leave_all_but(0, NULL);
    fclose(w.dump[1]);
    w.dump[1] = NULL;
    remove(path);
    free(path);
    cr_assert_eq(judge(false), EXIT_NOT_FOUND);
}
