/* SPDX-License-Identifier: Apache-2.0
 * test_queue.c - the queue alone: a real store and reader, a recorder for the transport,
 * nobody in the place of the engine.
 * Called by: the test runner. Never: sockets, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "block.h"
#include "idlog.h"
#include "pair.h"
#include "queue.h"

#define CONN 1u
#define STREAM 3u

struct rig {
    struct dag *dag;
    struct pair *p;
    weft_addr *queue, *nobody;
};

static weft_verdict swallow(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

static void run(struct rig *r, weft_ns time)
{
    wf_sim_run_until(r->p->sim, wf_sim_now(r->p->sim) + time);
}

static void spawn_queue(struct rig *r)
{
    struct wf_node_table *t = &r->p->b.table;
    cr_assert_eq(wf_queue_spawn(r->p->rt, &r->queue), WEFT_OK);
    t->queue = r->queue;
    struct wf_wire *wire = wf_wire_create(t);
    cr_assert_eq(wf_send_system(r->queue, &wire->msg), WEFT_OK);
    run(r, WEFT_MS);
}

static void stop_queue(struct rig *r)
{
    (void)weft_stop(r->queue, WEFT_DRAIN);
    cr_assert_eq(weft_join(r->queue, weft_rt_after(r->p->rt, WEFT_SEC), NULL), WEFT_OK);
    weft_addr_put(r->queue);
}

/* Side b, whose peer is a; b holds the root. */
static struct rig rig_up(void)
{
    struct rig r = {.dag = dag_create(DAG_CHAIN, 200, 4)};
    r.p = pair_create(r.dag, 1);
    weft_spec spec = {.name = "nobody", .handle = swallow, .mailbox = WEFT_UNBOUNDED};
    cr_assert_eq(weft_spawn(r.p->rt, &spec, &r.nobody), WEFT_OK);
    r.p->b.table.sync = r.nobody;
    r.p->b.table.timers.queue_tick = WEFT_QUEUE_TICK_NS;
    pair_put(r.p, &r.p->b, 0);
    spawn_queue(&r);
    return r;
}

static void rig_down(struct rig *r)
{
    stop_queue(r);
    (void)weft_stop(r->nobody, WEFT_NOW);
    cr_assert_eq(weft_join(r->nobody, weft_rt_after(r->p->rt, WEFT_SEC), NULL), WEFT_OK);
    weft_addr_put(r->nobody);
    pair_destroy(r->p);
    dag_destroy(r->dag);
}

static void note(struct rig *r, enum wf_q_news what, uint64_t acked)
{
    struct wf_q_note *n = wf_q_new(&wf_q_note_kind);
    n->peer = r->p->a.key;
    n->tree = r->dag->ids[0];
    n->what = what;
    n->acked_seq = acked;
    cr_assert_eq(weft_send(r->queue, &n->msg), WEFT_OK);
    run(r, WEFT_MS);
}

static void stream(struct rig *r, bool open)
{
    struct wf_q_stream *s = wf_q_new(&wf_q_stream_kind);
    s->conn = CONN;
    s->stream = STREAM;
    s->open = open;
    s->peer = r->p->a.key;
    s->tree = r->dag->ids[0];
    cr_assert_eq(weft_send(r->queue, &s->msg), WEFT_OK);
    run(r, WEFT_MS);
}

/* Push what arrives after what is here now. */
static void live(struct rig *r)
{
    wf_tree_info info = pair_info(r->p, &r->p->b);
    struct wf_q_live *l = wf_q_new(&wf_q_live_kind);
    l->conn = CONN;
    l->stream = STREAM;
    l->peer = r->p->a.key;
    l->tree = r->dag->ids[0];
    l->from.seq = info.seq;
    memcpy(l->from.epoch, info.epoch, sizeof l->from.epoch);
    cr_assert_eq(weft_send(r->queue, &l->msg), WEFT_OK);
    run(r, WEFT_MS);
}

static void ack(struct rig *r, uint64_t n, uint64_t seq)
{
    struct wf_q_ack *a = wf_q_new(&wf_q_ack_kind);
    a->peer = r->p->a.key;
    a->conn = CONN;
    a->ack = (struct wf_ack){.stream = STREAM, .n = n, .seq = seq};
    cr_assert_eq(weft_send(r->queue, &a->msg), WEFT_OK);
    run(r, WEFT_MS);
}

/* How the one pair stands; false: it is not listed. */
static bool pair_of(struct rig *r, bool due_only, struct wf_q_pair *out)
{
    struct wf_q_pairs *pairs = wf_q_new(&wf_q_pairs_kind);
    pairs->due_only = due_only;
    cr_assert_eq(pair_ask(r->p, r->queue, &pairs->req), WEFT_OK);
    bool found = pairs->count == 1;
    cr_assert_leq(pairs->count, 1);
    if (found) *out = pairs->pairs[0];
    weft_drop(&pairs->req.msg);
    return found;
}

Test(queue, what_arrives_is_pushed_at_once_with_a_mark)
{
    struct rig r = rig_up();
    note(&r, WF_Q_RELATED, 0);
    stream(&r, true);
    live(&r);
    pair_forget(r.p);
    pair_put(r.p, &r.p->b, 1);
    run(&r, WEFT_MS);
    cr_assert_eq(r.p->recorder->frames_count, 1);
    const struct sent_frame *f = &r.p->recorder->frames[0];
    cr_expect(f->type == WF_F_PUSH && f->count == 1 && f->has_mark && f->mark.seq == 2);
    cr_expect(f->conn == CONN && f->stream == STREAM);
    cr_expect_eq(r.p->recorder->entries[0], 1);
    rig_down(&r);
}

Test(queue, a_slow_transport_holds_two_frames_and_gets_the_rest_in_order)
{
    struct rig r = rig_up();
    note(&r, WF_Q_RELATED, 0);
    stream(&r, true);
    live(&r);
    pair_forget(r.p);
    r.p->recorder->hold = true;
    for (uint32_t i = 1; i < 100; i++) {
        pair_put(r.p, &r.p->b, i);
        run(&r, WEFT_MS);
    }
    cr_expect_eq(r.p->recorder->frames_count, WEFT_PUSH_FRAMES_MAX);
    pair_release(r.p);
    run(&r, 10 * WEFT_MS);
    cr_assert_eq(r.p->recorder->entries_count, 99);
    for (uint32_t i = 0; i < 99; i++) cr_expect_eq(r.p->recorder->entries[i], i + 1);
    rig_down(&r);
}

Test(queue, a_peer_that_may_not_read_any_more_gets_nothing)
{
    struct rig r = rig_up();
    note(&r, WF_Q_RELATED, 0);
    stream(&r, true);
    live(&r);
    pair_forget(r.p);
    pair_follow(r.p, &r.p->b, NULL);
    pair_put(r.p, &r.p->b, 1);
    run(&r, 2 * WEFT_QUEUE_TICK_NS);
    cr_expect_eq(r.p->recorder->frames_count, 0);
    rig_down(&r);
}

Test(queue, an_acknowledged_pair_is_not_behind_and_a_restart_remembers_it)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    note(&r, WF_Q_RELATED, 0);
    stream(&r, true);
    live(&r);
    pair_put(r.p, &r.p->b, 1);
    run(&r, WEFT_MS);
    cr_assert(pair_of(&r, false, &q));
    cr_expect(q.live && q.behind && q.acked_seq == 0);
    ack(&r, 1, 2);
    cr_assert(pair_of(&r, false, &q));
    cr_expect(!q.behind && q.acked_seq == 2);
    ack(&r, 2, 99); /* more than there is */
    cr_assert(pair_of(&r, false, &q));
    cr_expect_eq(q.acked_seq, 2);
    stream(&r, false);
    run(&r, 2 * WEFT_QUEUE_TICK_NS); /* written by the tick */
    stop_queue(&r);
    spawn_queue(&r);
    note(&r, WF_Q_RELATED, 0);
    cr_assert(pair_of(&r, false, &q));
    cr_expect(!q.live && !q.behind && q.acked_seq == 2);
    rig_down(&r);
}

Test(queue, a_frame_that_did_not_go_out_is_owed_still)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    note(&r, WF_Q_RELATED, 0);
    stream(&r, true);
    live(&r);
    ack(&r, 1, 1);
    r.p->recorder->bulk_err = WEFT_CLOSED;
    pair_put(r.p, &r.p->b, 1);
    run(&r, WEFT_MS);
    cr_assert(pair_of(&r, false, &q));
    cr_expect(!q.live && q.behind && q.acked_seq == 1);
    rig_down(&r);
}

Test(queue, failures_double_the_wait_up_to_64_seconds_and_a_success_ends_it)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    note(&r, WF_Q_RELATED, 0);
    cr_expect(pair_of(&r, true, &q), "behind and due");
    for (uint32_t i = 1; i < 10; i++) {
        weft_ns before = wf_sim_now(r.p->sim);
        note(&r, WF_Q_FAILED, 0);
        cr_assert(pair_of(&r, false, &q));
        cr_expect(q.in_backoff && q.attempts == i);
        weft_ns least = WEFT_SEC << (i < 6 ? i : 6);
        cr_expect_geq(q.next_try - before, least);
        cr_expect_leq(q.next_try - before, least + least / 4 + 2 * WEFT_MS, "attempt %u", i);
        cr_expect_not(pair_of(&r, true, &q), "not due");
    }
    run(&r, 81 * WEFT_SEC);
    cr_expect(pair_of(&r, true, &q), "due again");
    note(&r, WF_Q_WORKED, 1);
    cr_assert(pair_of(&r, false, &q));
    cr_expect(!q.in_backoff && q.attempts == 0 && !q.behind);
    rig_down(&r);
}

Test(queue, a_pair_that_fails_again_and_again_is_tried_for_ever)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    note(&r, WF_Q_RELATED, 0);
    for (uint32_t i = 1; i <= 200; i++) {
        cr_assert(pair_of(&r, true, &q), "attempt %u is not due", i);
        note(&r, WF_Q_FAILED, 0);
        run(&r, 81 * WEFT_SEC);
    }
    cr_assert(pair_of(&r, true, &q));
    cr_expect(q.behind && q.attempts == 200);
    rig_down(&r);
}

Test(queue, waits_of_one_length_differ_by_up_to_a_quarter_at_random)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    weft_ns first = 0, least = UINT64_MAX, most = 0;
    note(&r, WF_Q_RELATED, 0);
    for (uint32_t i = 0; i < 40; i++) {
        weft_ns before = wf_sim_now(r.p->sim);
        note(&r, WF_Q_WORKED, 0);
        note(&r, WF_Q_FAILED, 0);
        cr_assert(pair_of(&r, false, &q));
        cr_assert_eq(q.attempts, 1, "from the beginning, after a success");
        weft_ns wait = q.next_try - before;
        if (i == 0) first = wait;
        if (wait < least) least = wait;
        if (wait > most) most = wait;
        cr_expect_lt(wait, 2500 * WEFT_MS + 5 * WEFT_MS);
    }
    cr_expect(first >= 2 * WEFT_SEC && most - least > 250 * WEFT_MS, "%lu to %lu ms",
              (unsigned long)(least / WEFT_MS), (unsigned long)(most / WEFT_MS));
    rig_down(&r);
}

Test(queue, an_unrelated_pair_is_forgotten)
{
    struct rig r = rig_up();
    struct wf_q_pair q;
    note(&r, WF_Q_RELATED, 0);
    note(&r, WF_Q_WORKED, 1);
    run(&r, 2 * WEFT_QUEUE_TICK_NS); /* it is written down */
    note(&r, WF_Q_UNRELATED, 0);
    cr_expect_not(pair_of(&r, false, &q));
    stop_queue(&r);
    spawn_queue(&r);
    note(&r, WF_Q_RELATED, 0);
    cr_assert(pair_of(&r, false, &q));
    cr_expect_eq(q.acked_seq, 0, "on disk, too");
    rig_down(&r);
}

/* -- Ids that passed --------------------------------------------------------------------------- */

static weft_id id_of(uint32_t number)
{
    weft_id id = {{(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
    return id;
}

Test(idlog, keeps_the_newest_up_to_its_bound)
{
    static weft_id all[WEFT_HOLDERS_MAX];
    const uint8_t salt[16] = {1};
    struct wf_idlog log;
    wf_idlog_init(&log, salt);
    for (uint32_t i = 1; i <= WEFT_HOLDERS_MAX + 10; i++) {
        weft_id id = id_of(i);
        wf_idlog_put(&log, &id, i);
    }
    weft_id oldest = id_of(10), kept = id_of(11);
    cr_expect_eq(wf_idlog_get(&log, &oldest), 0);
    cr_expect_eq(wf_idlog_get(&log, &kept), 11);
    wf_idlog_put(&log, &kept, 99999); /* renumbered: nothing goes for it */
    cr_expect_eq(wf_idlog_get(&log, &kept), 99999);
    cr_assert_eq(wf_idlog_copy(&log, all), WEFT_HOLDERS_MAX);
    for (uint32_t i = 1; i < WEFT_HOLDERS_MAX; i++)
        cr_assert_lt(weft_id_compare(&all[i - 1], &all[i]), 0);
    wf_idlog_clear(&log);
    cr_expect_eq(wf_idlog_get(&log, &kept), 0);
    wf_idlog_fini(&log);
}
