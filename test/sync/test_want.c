/* SPDX-License-Identifier: Apache-2.0
 * test_want.c - an entry whose parent was never sent: it waits, its parent is asked for by
 * WANT and comes raw, over the same session.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine_state.h"
#include "self.h"
#include "transport.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define WAY (50 * WEFT_MS) /* from one node to the other */

struct answer {
    int calls;
    weft_err err;
};

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    struct answer *answer = arg;
    (void)result;
    answer->calls++;
    answer->err = err;
}

/* Two nodes; the first has opened a session, and the second begins a long answer. */
static struct world *in_session(uint64_t seed, struct answer *answer)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    wf_net_faults slow = {.delay_min = WAY, .delay_max = WAY};
    world_faults(w, &slow);
    for (int i = 0; i < 12; i++) cr_assert_eq(world_commit_bytes(w, 1, 500000), WEFT_OK);
    cr_assert_eq(
        weft_sync_tree_async(w->nodes[0].node, &w->nodes[1].key, &w->tree, CALL, on_answer, answer),
        WEFT_OK);
    world_run(w, WAY + 10 * WEFT_MS);
    return w;
}

static weft_buf *child_of(struct world *w, const weft_id *parent, uint64_t height, weft_id *id)
{
    weft_buf *buf = NULL;
    weft_entry_spec spec = {
        .tree = w->tree, .parents = parent, .parents_count = 1, .height = height};
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, id), WEFT_OK);
    return buf;
}

static bool holds(struct world *w, uint32_t node, const weft_id *id)
{
    weft_buf *buf = NULL;
    weft_err err = weft_get(w->nodes[node].node, id, &buf);
    weft_buf_unref(buf);
    return err == WEFT_OK;
}

/* As if the first node's reader sent exactly this entry on the session. */
static void send(struct world *w, const weft_buf *entry)
{
    struct wf_node_table *table = &w->nodes[0].node->table;
    const struct engine *e = (const void *)table->sync->self->state; /* the world stands still */
    cr_assert_eq(e->sessions.count, 1);
    const struct session_key *key = &((const struct esession *)((const char *)e->sessions.first -
                                                                offsetof(struct esession, link)))
                                         ->key;
    struct wf_entries_builder b = {0};
    struct wf_tp_bulk *bulk = wf_tp_new(&wf_tp_bulk_kind);
    bulk->conn = key->conn;
    bulk->stream = (uint32_t)key->stream;
    cr_assert_eq(wf_entries_begin(&b, WF_F_ENTRIES, bulk->stream, 0, 0), WEFT_OK);
    cr_assert_eq(wf_entries_add(&b, weft_buf_bytes(entry), weft_buf_len(entry)), WEFT_OK);
    cr_assert_eq(wf_entries_finish(&b, NULL, &bulk->frame), WEFT_OK);
    cr_assert_eq(wf_node_call(w->nodes[0].node, table->transport, &bulk->req, CALL, NULL), WEFT_OK);
}

static weft_node_stats stats(struct world *w, uint32_t node)
{
    weft_node_stats s;
    cr_assert_eq(weft_node_stats_get(w->nodes[node].node, &s), WEFT_OK);
    return s;
}

Test(want, missing_parents_are_fetched_from_who_sent_the_child)
{
    struct answer answer = {0};
    struct world *w = in_session(31, &answer);
    weft_id ids[3], parent = w->tree;
    weft_buf *bufs[3];
    for (uint64_t i = 0; i < 3; i++) {
        bufs[i] = child_of(w, &parent, i + 1, &ids[i]);
        parent = ids[i];
    }
    /* Too late for what the session carries by itself: its bounds were told in OPEN. */
    cr_assert_eq(weft_add(w->nodes[0].node, bufs, 3, true, CALL, NULL), WEFT_OK);
    uint64_t exact = stats(w, 1).sessions_exact;
    send(w, bufs[2]); /* one parent is asked for after the other */
    world_run(w, WAY + 5 * WEFT_MS);
    cr_expect_eq(stats(w, 1).pending, 1);
    world_run(w, 4 * WAY);
    cr_expect_eq(stats(w, 1).pending, 2, "the first parent came, and waits for its own");
    world_run(w, 4 * WAY);
    for (int i = 0; i < 3; i++) cr_expect(holds(w, 1, &ids[i]), "entry %d", i);
    cr_expect_eq(stats(w, 1).pending, 0);
    cr_expect_eq(stats(w, 1).sessions_exact, exact, "not by a session that looks at everything");
    world_run(w, 10 * WEFT_SEC);
    cr_expect(answer.calls == 1 && answer.err == WEFT_OK, "%s", weft_errname(answer.err));
    cr_expect(world_equal(w));
    cr_expect_eq(stats(w, 1).refused, 0);
    for (int i = 0; i < 3; i++) weft_buf_unref(bufs[i]);
    world_destroy(w);
}

Test(want, a_parent_that_the_sender_lacks_is_waited_for_until_it_comes)
{
    struct answer answer = {0};
    struct world *w = in_session(32, &answer);
    weft_id first, second;
    weft_buf *a = child_of(w, &w->tree, 1, &first), *b = child_of(w, &first, 2, &second);
    send(w, b); /* nobody has its parent */
    world_run(w, 4 * WAY);
    cr_expect_eq(stats(w, 1).pending, 1);
    cr_expect_eq(stats(w, 1).connections, 1, "asking for what is not there is no offence");
    cr_expect_not(holds(w, 1, &second), "closed below");
    cr_assert_eq(weft_add(w->nodes[1].node, &a, 1, true, CALL, NULL), WEFT_OK);
    world_run(w, 10 * WEFT_MS);
    cr_expect(holds(w, 1, &second));
    weft_buf_unref(a);
    weft_buf_unref(b);
    world_destroy(w);
}

Test(want, an_entry_whose_parent_never_comes_is_forgotten)
{
    struct answer answer = {0};
    struct world *w = in_session(33, &answer);
    weft_id first, second;
    weft_buf *a = child_of(w, &w->tree, 1, &first), *b = child_of(w, &first, 2, &second);
    send(w, b);
    world_run(w, WEFT_PENDING_TTL_NS + 2 * WEFT_SEC);
    cr_expect_eq(stats(w, 1).pending, 0);
    cr_assert_eq(weft_add(w->nodes[1].node, &a, 1, true, CALL, NULL), WEFT_OK);
    cr_expect_not(holds(w, 1, &second));
    weft_buf_unref(a);
    weft_buf_unref(b);
    world_destroy(w);
}
