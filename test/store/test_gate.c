/* SPDX-License-Identifier: Apache-2.0
 * test_gate.c - answers that wait until frames of older rights cannot leave any more.
 * Called by: meson test. May touch: the store actor, in the simulator; an actor that is asked.
 * Never: a real thread. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "desk.h"
#include "rights_kit.h"

enum { ALICE = 2, BOB, CAROL, STRANGER };

static sk_node node;
static rk_tree tree;

/* -- The one that is asked -------------------------------------------------------------- */

#define ASKS_MAX 64u
static struct {
    weft_addr *addr;
    struct wf_gate *waiting; /* asked and not answered */
    uint32_t asks;
    struct {
        bool all;
        uint32_t count;
        weft_id first;
    } seen[ASKS_MAX];
    bool at_once; /* it answers by itself */
} asked;

struct answer_now {
    weft_msg msg;
};
static const weft_kind answer_kind = {
    .id = 2, .name = "test.answer", .size = sizeof(struct answer_now), .drop = weft_free_msg};

/* What is published when it is asked is what it answers for. */
#define OPS 60u
static uint8_t revoked[OPS];       /* by the nth command: the key; 0: none */
static bool seen[256], heard[256]; /* revoked when it was asked; and it has answered since */

static void look_at_rights(void)
{
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < OPS; i++)
        if (revoked[i] != 0) seen[revoked[i]] = !rk_may(&node, &tree, revoked[i]);
}

static void note_heard(void)
{
    for (unsigned key = 0; key < 256; key++) heard[key] |= seen[key];
}

static weft_verdict asked_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    if (msg->kind == &answer_kind) {
        if (asked.waiting != NULL) weft_reply(&asked.waiting->req, WEFT_OK);
        if (asked.waiting != NULL) note_heard();
        asked.waiting = NULL;
        return WEFT_DONE;
    }
    cr_assert_eq(msg->kind, &wf_gate_kind);
    cr_assert_null(asked.waiting, "one at a time");
    cr_assert_lt(asked.asks, ASKS_MAX);
    struct wf_gate *gate = (struct wf_gate *)msg;
    asked.seen[asked.asks].all = gate->all;
    asked.seen[asked.asks].count = gate->count;
    asked.seen[asked.asks++].first = gate->trees[0];
    if (asked.at_once) {
        weft_reply(&gate->req, WEFT_OK);
        return WEFT_KEPT;
    }
    asked.waiting = gate;
    look_at_rights();
    return WEFT_KEPT;
}

static void asked_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)state;
    (void)reason;
    if (asked.waiting != NULL) weft_drop(&asked.waiting->req.msg);
    asked.waiting = NULL;
}

static void subscribe(uint32_t mailbox)
{
    weft_spec spec = {
        .name = "asked", .handle = asked_handle, .fini = asked_fini, .mailbox = mailbox};
    weft_addr_put(asked.addr);
    memset(&asked, 0, sizeof asked);
    cr_assert_eq(weft_spawn(node.rt, &spec, &asked.addr), WEFT_OK);
    struct wf_gate_sub *sub = wf_gate_sub_create(asked.addr);
    cr_assert_not_null(sub);
    cr_assert_eq(weft_send(node.addr, &sub->msg), WEFT_OK);
    sk_node_settle(&node);
}

static void answer_gate(void)
{
    cr_assert_eq(weft_send(asked.addr, weft_new(&answer_kind)), WEFT_OK);
    sk_node_settle(&node);
}

static void open_node(uint64_t seed)
{
    sk_node_open(&node, seed);
    rk_open(&node, &tree, 1, WEFT_RIGHT_NONE);
    for (uint8_t key = ALICE; key <= CAROL; key++)
        cr_assert_eq(rk_grant(&node, &tree, key, "read"), WEFT_OK);
    subscribe(0);
}

static void close_node(void)
{
    weft_addr_put(asked.addr);
    asked.addr = NULL;
    sk_node_close(&node);
    rk_close(&tree);
}

static void setup(void) { open_node(1); }

static void teardown(void)
{
    close_node();
    rk_end();
}

TestSuite(gate, .init = setup, .fini = teardown);

/* -- What is asked of the store ------------------------------------------------------------ */

static void ask_it(weft_self *self, void *arg) { sk_ask(&node, self, arg); }

static void ask(weft_request *req) { sk_node_do(&node, ask_it, req); }

static struct wf_commit *saying(uint8_t key, const char *text, enum wf_durability level)
{
    rk_say say = {.key = key, .text = text};
    struct wf_commit *commit = wf_commit_create(1);
    commit->entries[0] = rk_next(&tree, RK_OWNER, &say, 1, &commit->ids[0]);
    commit->durability = (uint8_t)level;
    return commit;
}

static void say_later(uint8_t key, const char *text)
{
    ask(&saying(key, text, WF_SYNCED)->req);
    sk_node_settle(&node);
}

/* -- Waiting ---------------------------------------------------------------------------------- */

Test(gate, an_answer_waits_for_the_gate)
{
    say_later(ALICE, "none");
    cr_assert_not(rk_may(&node, &tree, ALICE), "it is published before anybody is asked");
    cr_assert_eq(asked.asks, 1);
    cr_assert_eq(asked.seen[0].count, 1);
    cr_assert_not(asked.seen[0].all);
    cr_assert(weft_id_equal(&asked.seen[0].first, &tree.tree));
    cr_assert_eq(node.sink.replies_count, 0);
    answer_gate();
    cr_assert_eq(node.sink.replies_count, 1);
    cr_assert_eq(sk_good_replies(&node), 1);
}

Test(gate, whatever_takes_a_right_away_asks)
{
    const weft_key list[] = {*rk_key(STRANGER), *rk_key(ALICE)};
    asked.at_once = true;
    cr_assert_eq(sk_follow(&node, &tree.tree, true, list, 2), WEFT_OK);
    cr_assert_eq(asked.asks, 0);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, list + 1, 1), WEFT_OK); /* who is granted */
    cr_assert_eq(asked.asks, 1, "a key leaves the list");
    cr_assert_eq(sk_follow(&node, &tree.tree, true, NULL, 0), WEFT_OK);
    cr_assert_eq(asked.asks, 1, "one leaves the list that may read by the settings");
    cr_assert_eq(rk_grant(&node, &tree, BOB, NULL), WEFT_OK);
    cr_assert_eq(asked.asks, 2, "a grant is deleted");
    cr_assert_eq(rk_grant(&node, &tree, RK_EVERYONE, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, STRANGER, "none"), WEFT_OK);
    cr_assert_eq(asked.asks, 3, "who could read as everyone is revoked");
    cr_assert_eq(rk_grant(&node, &tree, RK_EVERYONE, NULL), WEFT_OK);
    cr_assert_eq(asked.asks, 4, "everyone could");
    cr_assert_eq(sk_follow(&node, &tree.tree, false, NULL, 0), WEFT_OK);
    cr_assert_eq(asked.asks, 5, "it is served no longer");
    cr_assert_eq(sk_follow(&node, &tree.tree, false, NULL, 0), WEFT_OK);
    cr_assert_eq(asked.asks, 5, "nor was it before");
}

Test(gate, a_batch_that_takes_nothing_away_waits_for_nobody)
{
    weft_id other = kit_id(9);
    cr_assert_eq(rk_grant(&node, &tree, STRANGER, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, ALICE, "write:1"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, ALICE, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, RK_EVERYONE, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, ALICE, NULL), WEFT_OK); /* she reads as everyone */
    cr_assert_eq(sk_follow(&node, &tree.tree, true, rk_key(STRANGER), 1), WEFT_OK);
    cr_assert_eq(sk_follow(&node, &other, true, rk_key(STRANGER), 1), WEFT_OK);
    cr_assert_eq(asked.asks, 0);
}

Test(gate, what_is_answered_from_memory_waits_too_if_it_revokes)
{
    ask(&saying(ALICE, "none", WF_MEMORY)->req);
    sk_node_settle(&node);
    cr_assert_eq(asked.asks, 1);
    cr_assert_eq(node.sink.replies_count, 0);
    answer_gate();
    cr_assert_eq(sk_good_replies(&node), 1);
}

/* -- Order ---------------------------------------------------------------------------------------- */

/* A frame of one entry that says that of the key, the nth of its stream. */
static struct wf_ingest *frame_saying(uint64_t n, uint8_t key, const char *text)
{
    rk_say say = {.key = key, .text = text};
    weft_id id;
    weft_buf *buf = rk_next(&tree, RK_OWNER, &say, 1, &id);
    struct wf_ingest *frame = sk_frame(&node, 3, n, &tree.tree, &buf, &id, 1);
    weft_buf_unref(buf);
    return frame;
}

Test(gate, answers_keep_their_order)
{
    for (uint64_t n = 1; n <= 6; n++) { /* the second and the fifth take something away */
        sk_send(&node, n == 2   ? frame_saying(n, ALICE, "none")
                       : n == 5 ? frame_saying(n, BOB, "none")
                                : frame_saying(n, CAROL, "write:1"));
        sk_node_settle(&node);
    }
    struct wf_ingest *again = sk_frame(&node, 3, 2, &tree.tree, NULL, NULL, 0);
    sk_send(&node, again); /* its number was there: refused, but not before the others */
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 1);
    cr_assert_eq(asked.asks, 1);
    answer_gate();
    cr_assert_eq(asked.asks, 2, "what came meanwhile is the next question");
    cr_assert_eq(node.sink.results_count, 4);
    answer_gate();
    cr_assert_eq(asked.asks, 2);
    cr_assert_eq(node.sink.results_count, 7);
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(node.sink.results[i]->n, i + 1);
        cr_assert_eq(node.sink.results[i]->err, WEFT_OK);
    }
    cr_assert_eq(node.sink.results[6]->n, 2);
    cr_assert_neq(node.sink.results[6]->err, WEFT_OK);
}

Test(gate, more_trees_than_fit_are_told_as_all)
{
    static weft_id trees[WEFT_GATE_TREES + 2];
    say_later(ALICE, "none"); /* it is under way, so what follows is gathered */
    for (uint32_t i = 0; i < WEFT_GATE_TREES + 2; i++) {
        memset(&trees[i], (int)i + 50, sizeof trees[i]);
        struct wf_follow *follow = wf_follow_create(&trees[i], rk_key(ALICE), 1);
        ask(&follow->req);
    }
    sk_node_settle(&node);
    for (uint32_t i = 0; i < WEFT_GATE_TREES + 2; i++) {
        struct wf_follow *follow = wf_follow_create(&trees[i], NULL, 0);
        ask(&follow->req);
    }
    sk_node_settle(&node);
    cr_assert_eq(node.sink.replies_count, 0);
    answer_gate();
    cr_assert_eq(asked.asks, 2);
    cr_assert(asked.seen[1].all);
    answer_gate();
    cr_assert_eq(sk_good_replies(&node), 1 + 2 * (WEFT_GATE_TREES + 2));
    say_later(BOB, "none");
    cr_assert_eq(asked.asks, 3);
    cr_assert(!asked.seen[2].all && asked.seen[2].count == 1, "and then no longer");
    answer_gate();
}

/* -- At random ------------------------------------------------------------------------------------- */

/* Whatever comes between, no revocation is answered before the gate has, which was asked after it was
 * published; and answers come in the order of the commands. */
Test(gate, no_revocation_is_answered_before_the_gate)
{
    uint32_t held = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        kit_random r = {seed};
        uint32_t checked = 0, given = 0;
        rk_say says[OPS];
        weft_id id;
        close_node();
        open_node(seed);
        memset(heard, 0, sizeof heard);
        for (uint8_t i = 0; i < OPS; i++) {
            revoked[i] = kit_below(&r, 3) == 0 ? (uint8_t)(20 + i) : 0;
            says[i] = (rk_say){.key = (uint8_t)(20 + i), .text = "read"};
        }
        weft_buf *buf = rk_next(&tree, RK_OWNER, says, OPS, &id);
        cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
        weft_buf_unref(buf);
        const uint64_t first = tree.height + 2; /* arrival: the root is the first one */
        for (int turn = 0; turn < 2000 && node.sink.replies_count < OPS; turn++) {
            for (uint32_t more = kit_below(&r, 3); more > 0 && given < OPS; more--, given++) {
                uint8_t key = revoked[given];
                ask(&saying(key == 0 ? STRANGER : key, key == 0 ? "read" : "none", WF_SYNCED)->req);
                if (kit_below(&r, 2) == 0) wf_sim_step(node.sim); /* there is something to do */
            }
            if (kit_below(&r, 2) == 0) wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_MS);
            if (asked.waiting != NULL && kit_below(&r, 5) == 0) {
                cr_assert_eq(weft_send(asked.addr, weft_new(&answer_kind)), WEFT_OK);
                while (asked.waiting != NULL) wf_sim_step(node.sim);
            }
            for (; checked < node.sink.replies_count; checked++) {
                uint8_t key = revoked[checked];
                cr_assert_eq(node.sink.replies[checked].err, WEFT_OK);
                cr_assert_eq(node.sink.replies[checked].seq, first + checked, "in their order");
                cr_assert(key == 0 || heard[key], "seed %llu", (unsigned long long)seed);
            }
            held += node.store->desk->gate.held.count > node.store->desk->gate.given;
        }
        cr_assert_eq(node.sink.replies_count, OPS, "seed %llu", (unsigned long long)seed);
    }
    cr_assert_gt(held, 100, "else nothing was tested");
}

/* -- Ends -------------------------------------------------------------------------------------------- */

Test(gate, the_end_of_the_asked_one_answers)
{
    say_later(ALICE, "none");
    cr_assert_eq(node.sink.replies_count, 0);
    cr_assert_eq(weft_stop(asked.addr, WEFT_DRAIN), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(sk_good_replies(&node), 1);
    cr_assert_eq(rk_grant(&node, &tree, BOB, "none"), WEFT_OK, "nobody is there to be asked");
}

Test(gate, the_end_of_the_store_answers_who_waits_and_does_not_say_that_it_is_true)
{
    say_later(ALICE, "none");
    say_later(STRANGER, "read");
    cr_assert_eq(weft_stop(node.addr, WEFT_DRAIN), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.replies_count, 2);
    cr_assert_eq(node.sink.replies[0].err, WEFT_CLOSED);
    cr_assert_eq(node.sink.replies[1].err, WEFT_CLOSED);
    answer_gate(); /* too late, and nobody's any more */
    sk_node_crash(&node, 0);
    cr_assert_not(rk_may(&node, &tree, ALICE), "it was durable all the same");
    cr_assert(rk_may(&node, &tree, STRANGER));
}

Test(gate, a_kill_leaks_nothing)
{
#ifndef __SANITIZE_ADDRESS__ /* who is killed with asks under way leaves their memory */
    say_later(ALICE, "none");
    cr_assert_eq(node.store->desk->gate.held.count, 1);
#endif
    sk_send(&node, frame_saying(1, BOB, "none"));
    sk_node_settle(&node);
    cr_assert_geq(node.store->desk->gate.held.count, 1);
    weft_addr_put(asked.addr);
    asked.addr = NULL;
    sk_node_crash(&node, 0);
    weft_addr_put(asked.waiting->req.asker); /* as the end of its actor would have */
    weft_free_msg(&asked.waiting->req.msg);
    asked.waiting = NULL;
    cr_assert_not(rk_may(&node, &tree, BOB));
}

/* -- When it cannot be asked --------------------------------------------------------------------------- */

Test(gate, one_whose_mailbox_is_full_is_asked_again)
{
    bool met = false;
    for (uint64_t seed = 1; seed <= 60 && !met; seed++) {
        close_node();
        open_node(seed);
        subscribe(2);
        ask(&saying(ALICE, "none", WF_SYNCED)->req);
        for (int i = 0; i < 200 && !met; i++) {
            for (int k = 0; k < 2; k++) {
                weft_msg *msg = weft_new(&answer_kind);
                if (weft_send(asked.addr, msg) != WEFT_OK) weft_drop(msg);
            }
            wf_sim_step(node.sim);
            met |= node.store->desk->gate.again.heap_at != 0;
            if (met) cr_assert_eq(node.sink.replies_count, 0);
        }
        sk_node_settle(&node);
        answer_gate();
        cr_assert_eq(sk_good_replies(&node), 1);
    }
    cr_assert(met, "else nothing was tested");
}

/* A batch that failed may be there when the engine is open again: then it is asked too. */
Test(gate, what_a_reopened_engine_takes_away_is_asked_for)
{
    sk_quiet(true);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    ask(&saying(ALICE, "none", WF_SYNCED)->req);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.replies_count, 1);
    cr_assert_eq(node.sink.replies[0].err, WEFT_IO);
    cr_assert(rk_may(&node, &tree, ALICE));
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
    sk_quiet(false);
    cr_assert_not(rk_may(&node, &tree, ALICE));
    cr_assert_eq(asked.asks, 1);
    say_later(STRANGER, "read");
    cr_assert_eq(node.sink.replies_count, 1);
    answer_gate();
    cr_assert_eq(sk_good_replies(&node), 1);
}

/* Any one allocation fails: an answer of a revocation is never given before the gate's. */
Test(gate, short_memory_never_answers_before_the_gate)
{
    sk_quiet(true);
    for (uint64_t nth = 1; nth <= 60; nth++) {
        close_node();
        open_node(nth);
        ask(&saying(ALICE, "none", WF_SYNCED)->req);
        wf_sim_step(node.sim);
        wf_alloc_fail_at(nth, 0);
        sk_node_settle(&node);
        wf_alloc_fail_at(0, 0);
        wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        cr_assert_eq(sk_good_replies(&node), 0);
        if (node.sink.replies_count == 0) {
            cr_assert_eq(asked.asks, 1);
            answer_gate();
            cr_assert_eq(sk_good_replies(&node), 1, "allocation %llu", (unsigned long long)nth);
        } else if (asked.waiting != NULL) {
            answer_gate();
        }
    }
    sk_quiet(false);
}
