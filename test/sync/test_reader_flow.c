/* SPDX-License-Identifier: Apache-2.0
 * test_reader_flow.c - how the reader's jobs run and end: slices, back-pressure,
 * permission, cancelling, bad disks; and its short answers.
 * Called by: meson test. Never: sockets. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "kv_faulty.h"
#include "layout.h"
#include "pair.h"

/* -- Asking several things at once -------------------------------------------------------- */

struct go { /* asks `to` each of the requests, in order */
    weft_msg msg;
    weft_addr *to;
    uint32_t count;
    weft_request *reqs[8];
};
static const weft_kind go_kind = {
    .id = 1, .name = "go", .size = sizeof(struct go), .drop = weft_free_msg};
struct answers {
    uint32_t count;
    weft_err errs[8];   /* in the order of coming */
    uintptr_t order[8]; /* which request          */
    uint64_t entries[8];
};

static void on_answer(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct answers *answers = *(struct answers **)state;
    (void)self;
    answers->errs[answers->count] = err;
    answers->order[answers->count] = (uintptr_t)arg;
    if (req != NULL && req->msg.kind == &wf_job_kind)
        answers->entries[answers->count] = ((struct wf_job *)req)->entries;
    answers->count++;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_verdict asker_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct go *go = (struct go *)msg;
    (void)state;
    for (uintptr_t i = 0; i < go->count; i++)
        cr_assert_eq(weft_ask(self, go->to, go->reqs[i], WEFT_NEVER, on_answer, (void *)i, NULL),
                     WEFT_OK);
    return WEFT_DONE;
}

static weft_err asker_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

/* A pair whose side b holds `count` entries of about 4 KiB, and an asker. */
struct flow {
    struct dag *dag;
    struct pair *pair;
    weft_addr *asker;
    struct answers answers;
};

static struct flow *flow_create(uint32_t count, uint32_t metadata)
{
    struct flow *f = calloc(1, sizeof *f);
    f->dag = dag_create_fat(DAG_CHAIN, count, 4, metadata);
    f->pair = pair_create(f->dag, 2);
    for (uint32_t i = 0; i < count; i++) pair_put(f->pair, &f->pair->b, i);
    weft_spec spec = {.name = "asker",
                      .arg = &f->answers,
                      .state_size = sizeof(void *),
                      .init = asker_init,
                      .handle = asker_handle};
    cr_assert_eq(weft_spawn(f->pair->rt, &spec, &f->asker), WEFT_OK);
    return f;
}

static void flow_destroy(struct flow *f)
{
    weft_addr_put(f->asker);
    pair_destroy(f->pair);
    dag_destroy(f->dag);
    free(f);
}

static struct wf_job *job(struct flow *f, enum wf_job_op op, uint32_t stream)
{
    struct wf_job *j = wf_job_create(op);
    j->conn = 1;
    j->stream = stream;
    j->peer = f->pair->a.key;
    j->tree = f->dag->ids[0];
    wf_tree_info info = pair_info(f->pair, &f->pair->b);
    j->upto_seq = info.seq;
    memcpy(j->upto_id8, info.last_id8, sizeof j->upto_id8);
    return j;
}

static void ask_all(struct flow *f, weft_request **reqs, uint32_t count)
{
    struct go *go = (struct go *)weft_new(&go_kind);
    go->to = f->pair->b.table.reader;
    go->count = count;
    memcpy(go->reqs, reqs, count * sizeof(*reqs));
    cr_assert_eq(weft_send(f->asker, &go->msg), WEFT_OK);
}

static void run(struct flow *f)
{
    wf_sim_run_until(f->pair->sim, wf_sim_now(f->pair->sim) + 5 * WEFT_SEC);
}

static void cancel(struct flow *f, uint32_t stream)
{
    struct wf_job_cancel *c = (struct wf_job_cancel *)weft_new(&wf_job_cancel_kind);
    c->conn = 1;
    c->stream = stream;
    cr_assert_eq(weft_send(f->pair->b.table.reader, &c->msg), WEFT_OK);
}

/* -- Flow --------------------------------------------------------------------------------- */

Test(reader_flow, a_small_job_ends_before_a_huge_one_that_came_first)
{
    struct flow *f = flow_create(6000, 4);
    struct wf_job *huge = job(f, WF_JOB_CLOSURE, 1), *small = job(f, WF_JOB_FETCH, 3);
    huge->theirs.tip_bytes = 32; /* the peer holds the root: a walk over all of it */
    huge->theirs.tips_count = 1;
    memcpy(huge->theirs.tips, f->dag->ids[0].bytes, 32);
    small->wanted = calloc(1, sizeof(weft_id));
    small->wanted[0] = f->dag->ids[5];
    small->wanted_count = 1;
    ask_all(f, (weft_request *[]){&huge->req, &small->req}, 2);
    run(f);
    cr_assert_eq(f->answers.count, 2);
    cr_expect_eq(f->answers.order[0], 1);
    cr_expect_eq(f->answers.entries[0], 1);
    cr_expect_eq(f->answers.entries[1], 5999);
    flow_destroy(f);
}

Test(reader_flow, four_frames_of_a_job_wait_at_transport_and_no_more)
{
    struct flow *f = flow_create(600, 4000);
    struct recorder *rec = f->pair->recorder;
    struct wf_job *j = job(f, WF_JOB_CLOSURE, 1);
    rec->hold = true;
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    cr_expect_eq(rec->frames_count, WEFT_JOB_FRAMES_MAX);
    weft_reply(&rec->kept[0]->req, WEFT_OK);
    rec->kept[0] = rec->kept[--rec->held];
    run(f);
    cr_expect_eq(rec->frames_count, WEFT_JOB_FRAMES_MAX + 1);
    cr_expect_eq(f->answers.count, 0);
    pair_release(f->pair);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_OK);
    cr_expect_eq(f->answers.entries[0], 600);
    flow_destroy(f);
}

Test(reader_flow, frames_fill_the_payload_they_aim_at)
{
    struct flow *f = flow_create(600, 4000);
    struct wf_job *j = job(f, WF_JOB_CURSOR, 1);
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    struct recorder *rec = f->pair->recorder;
    for (uint32_t i = 0; i + 1 < rec->frames_count; i++)
        cr_expect_geq(rec->frames[i].bytes, WEFT_FRAME_PAYLOAD_BYTES - 5000);
    flow_destroy(f);
}

Test(reader_flow, a_peer_that_may_not_read_any_more_gets_no_further_frame)
{
    struct flow *f = flow_create(600, 4000);
    struct recorder *rec = f->pair->recorder;
    struct wf_job *j = job(f, WF_JOB_CLOSURE, 1);
    rec->hold = true;
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    pair_follow(f->pair, &f->pair->b, NULL);
    pair_release(f->pair);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_FORBIDDEN);
    cr_expect_eq(rec->frames_count, WEFT_JOB_FRAMES_MAX);
    flow_destroy(f);
}

Test(reader_flow, a_cancelled_job_answers_at_once_and_sends_no_more)
{
    struct flow *f = flow_create(600, 4000);
    struct recorder *rec = f->pair->recorder;
    struct wf_job *one = job(f, WF_JOB_CLOSURE, 1), *other = job(f, WF_JOB_CLOSURE, 3);
    rec->hold = true;
    ask_all(f, (weft_request *[]){&one->req, &other->req}, 2);
    run(f);
    cancel(f, 1);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_CANCELED);
    cr_expect_eq(f->answers.order[0], 0);
    pair_release(f->pair);
    run(f);
    cr_assert_eq(f->answers.count, 2);
    cr_expect_eq(f->answers.errs[1], WEFT_OK);
    uint32_t of_one = 0;
    for (uint32_t i = 0; i < rec->frames_count; i++) of_one += rec->frames[i].stream == 1;
    cr_expect_eq(of_one, WEFT_JOB_FRAMES_MAX);
    flow_destroy(f);
}

Test(reader_flow, a_closed_stream_ends_its_job)
{
    struct flow *f = flow_create(600, 4000);
    struct wf_job *j = job(f, WF_JOB_CLOSURE, 1);
    f->pair->recorder->bulk_err = WEFT_CLOSED;
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_CLOSED);
    cr_expect_leq(f->pair->recorder->frames_count, WEFT_JOB_FRAMES_MAX);
    flow_destroy(f);
}

Test(reader_flow, stopping_the_reader_answers_every_job)
{
    struct flow *f = flow_create(600, 4000);
    struct wf_job *one = job(f, WF_JOB_CLOSURE, 1), *other = job(f, WF_JOB_CURSOR, 3);
    f->pair->recorder->hold = true;
    ask_all(f, (weft_request *[]){&one->req, &other->req}, 2);
    run(f);
    cr_assert_eq(weft_stop(f->pair->b.table.reader, WEFT_NOW), WEFT_OK);
    run(f);
    cr_assert_eq(f->answers.count, 2);
    flow_destroy(f);
}

Test(reader_flow, a_job_for_a_tree_that_the_peer_may_not_read_is_refused)
{
    struct flow *f = flow_create(5, 4);
    struct wf_job *stranger = job(f, WF_JOB_CLOSURE, 1), *unknown = job(f, WF_JOB_CLOSURE, 3);
    stranger->peer.bytes[0] ^= 1;
    unknown->tree.bytes[0] ^= 1;
    ask_all(f, (weft_request *[]){&stranger->req, &unknown->req}, 2);
    run(f);
    cr_assert_eq(f->answers.count, 2);
    cr_expect_eq(f->answers.errs[0], WEFT_TREE);
    cr_expect_eq(f->answers.errs[1], WEFT_TREE);
    cr_expect_eq(f->pair->recorder->frames_count, 0);
    flow_destroy(f);
}

Test(reader_flow, a_corrupt_body_ends_the_job_and_is_not_sent)
{
    struct flow *f = flow_create(20, 4);
    wf_batch *batch = NULL;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_meta_brief meta;
    cr_assert_eq(wf_store_meta_brief(f->pair->b.store, &f->dag->ids[7], &meta), WEFT_OK);
    wf_key_seq(key, meta.t, meta.seq);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, "garbage", 7);
    cr_assert_eq(wf_kv_write(wf_store_kv(f->pair->b.store), batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    struct wf_job *j = job(f, WF_JOB_CLOSURE, 1);
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_CORRUPT);
    for (uint32_t i = 0; i < f->pair->recorder->entries_count; i++)
        cr_expect_lt(f->pair->recorder->entries[i], 7);
    flow_destroy(f);
}

Test(reader_flow, fetch_sends_what_belongs_to_the_tree_raw_and_unmarked)
{
    struct flow *f = flow_create(20, 4);
    struct wf_job *j = job(f, WF_JOB_FETCH, 1);
    j->wanted = calloc(3, sizeof(weft_id));
    j->wanted[0] = f->dag->ids[9];
    memset(j->wanted[1].bytes, 0x77, 32); /* unknown here */
    j->wanted[2] = f->dag->ids[4];
    j->wanted_count = 3;
    ask_all(f, (weft_request *[]){&j->req}, 1);
    run(f);
    struct recorder *rec = f->pair->recorder;
    cr_assert_eq(rec->frames_count, 1);
    cr_expect_eq(rec->frames[0].flags, WF_ENTRIES_RAW);
    cr_expect_not(rec->frames[0].has_mark);
    cr_assert_eq(rec->entries_count, 2);
    cr_expect_eq(rec->entries[0], 9);
    cr_expect_eq(rec->entries[1], 4);
    flow_destroy(f);
}

Test(reader_flow, push_tells_how_far_it_came)
{
    struct flow *f = flow_create(20, 4);
    struct wf_job *j = job(f, WF_JOB_PUSH, 1);
    j->cursor.seq = 5;
    j->upto_seq = 0; /* not asked */
    weft_err err = pair_ask(f->pair, f->pair->b.table.reader, &j->req);
    cr_expect_eq(err, WEFT_OK);
    cr_expect_eq(j->reached.seq, 20);
    cr_expect_eq(j->entries, 15);
    cr_expect_eq(memcmp(j->reached.id8, f->dag->ids[19].bytes, 8), 0);
    cr_expect_eq(f->pair->recorder->frames[0].type, WF_F_PUSH);
    cr_expect_eq(wf_counter_get(&f->pair->b.counters.entries_sent), 15);
    weft_drop(&j->req.msg);
    flow_destroy(f);
}

Test(reader_flow, bits_for_a_page_that_was_not_sent_end_the_job)
{
    struct flow *f = flow_create(20, 4);
    struct wf_job *j = job(f, WF_JOB_IDS, 1);
    struct wf_job_bits *bits = (struct wf_job_bits *)weft_new(&wf_job_bits_kind);
    bits->conn = 1;
    bits->stream = 1;
    bits->ref = 9;
    ask_all(f, (weft_request *[]){&j->req}, 1);
    while (f->pair->recorder->pages == 0) cr_assert(wf_sim_step(f->pair->sim));
    cr_assert_eq(weft_send(f->pair->b.table.reader, &bits->msg), WEFT_OK);
    run(f);
    cr_assert_eq(f->answers.count, 1);
    cr_expect_eq(f->answers.errs[0], WEFT_PROTOCOL);
    flow_destroy(f);
}

Test(reader_flow, fetch_does_not_reach_into_another_tree)
{
    struct flow *f = flow_create(5, 4);
    struct pair *p = f->pair;
    struct dag *other = dag_create(DAG_CHAIN, 2, 99);
    struct wf_commit *commit = wf_commit_create(2);
    commit->create_trees = true;
    for (uint32_t i = 0; i < 2; i++) {
        commit->entries[i] = weft_buf_ref(other->bufs[i]);
        commit->ids[i] = other->ids[i];
    }
    cr_assert_eq(pair_ask(p, p->b.table.store, &commit->req), WEFT_OK);
    weft_drop(&commit->req.msg);
    struct wf_job *j = job(f, WF_JOB_FETCH, 1);
    j->wanted = calloc(1, sizeof(weft_id));
    j->wanted[0] = other->ids[1];
    j->wanted_count = 1;
    cr_expect_eq(pair_ask(p, p->b.table.reader, &j->req), WEFT_OK);
    cr_expect_eq(p->recorder->frames_count, 0);
    weft_drop(&j->req.msg);
    dag_destroy(other);
    flow_destroy(f);
}

Test(reader_flow, a_long_walk_is_cut_into_slices)
{
    struct flow *f = flow_create(6000, 4);
    weft_actor_stats before, after;
    struct wf_job *j = job(f, WF_JOB_CLOSURE, 1);
    j->upto_seq = 1; /* everything else came later: it is walked and not sent */
    j->theirs.tip_bytes = 32;
    j->theirs.tips_count = 1;
    memcpy(j->theirs.tips, f->dag->ids[0].bytes, 32);
    weft_addr_stats(f->pair->b.table.reader, &before);
    cr_assert_eq(pair_ask(f->pair, f->pair->b.table.reader, &j->req), WEFT_OK);
    weft_addr_stats(f->pair->b.table.reader, &after);
    cr_expect_eq(j->entries, 0);
    cr_expect_geq(after.handled - before.handled, 2 * 6000 / 4096 + 2);
    weft_drop(&j->req.msg);
    flow_destroy(f);
}

/* -- Short answers ------------------------------------------------------------------------ */

static weft_err look(struct flow *f, enum wf_look_op op, const weft_key *peer, const weft_id *tree,
                     struct wf_look **out)
{
    struct wf_look *l = wf_look_create(op);
    l->peer = *peer;
    l->tree = *tree;
    *out = l;
    return pair_ask(f->pair, f->pair->b.table.reader, &l->req);
}

Test(look, an_unknown_and_a_forbidden_tree_answer_the_same)
{
    struct flow *f = flow_create(5, 4);
    weft_key stranger = {{9}};
    weft_id unknown = {{9}};
    static const enum wf_look_op ops[] = {WF_LOOK_SUMMARY, WF_LOOK_PLAN, WF_LOOK_KNOWN,
                                          WF_LOOK_MATCH};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct wf_look *a, *b;
        cr_expect_eq(look(f, ops[i], &stranger, &f->dag->ids[0], &a), WEFT_TREE);
        cr_expect_eq(look(f, ops[i], &f->pair->a.key, &unknown, &b), WEFT_TREE);
        weft_drop(&a->req.msg);
        weft_drop(&b->req.msg);
    }
    flow_destroy(f);
}

Test(look, a_summary_says_what_the_store_holds)
{
    struct flow *f = flow_create(40, 4);
    struct wf_look *l;
    wf_tree_info info = pair_info(f->pair, &f->pair->b);
    cr_assert_eq(look(f, WF_LOOK_SUMMARY, &f->pair->a.key, &f->dag->ids[0], &l), WEFT_OK);
    const struct wf_summary *s = &l->ours;
    cr_expect_eq(s->count, 40);
    cr_expect_eq(s->max_gen, 39);
    cr_expect_eq(s->seq, 40);
    cr_expect_eq(memcmp(s->epoch, info.epoch, 16), 0);
    cr_expect_eq(memcmp(s->id8, f->dag->ids[39].bytes, 8), 0);
    cr_expect(s->tips_complete && s->tips_count == 1 && s->tip_bytes == 32);
    cr_expect_eq(memcmp(s->tips, f->dag->ids[39].bytes, 32), 0);
    uint8_t root[32]; /* before the trie exists: the hash of the sorted tips */
    wf_blake2b_256(f->dag->ids[39].bytes, 32, root);
    cr_expect_eq(memcmp(s->root, root, 32), 0);
    cr_expect_not(s->has_cursor);
    weft_drop(&l->req.msg);
    flow_destroy(f);
}

Test(look, offers_name_only_what_the_peer_may_read)
{
    struct flow *f = flow_create(5, 4);
    weft_key stranger = {{9}};
    weft_id none = {{0}};
    struct wf_look *l;
    cr_assert_eq(look(f, WF_LOOK_OFFERS, &f->pair->a.key, &none, &l), WEFT_OK);
    cr_expect_eq(l->trees_count, 1);
    cr_expect(weft_id_equal(&l->trees[0], &f->dag->ids[0]));
    weft_drop(&l->req.msg);
    cr_assert_eq(look(f, WF_LOOK_OFFERS, &stranger, &none, &l), WEFT_OK);
    cr_expect_eq(l->trees_count, 0);
    weft_drop(&l->req.msg);
    flow_destroy(f);
}

static struct wf_look *page_look(struct flow *f, const struct wf_ids *ids, bool exact)
{
    struct wf_look *l = wf_look_create(WF_LOOK_MATCH);
    l->peer = f->pair->a.key;
    l->tree = f->dag->ids[0];
    l->exact = exact;
    memset(l->salt, 3, sizeof l->salt);
    l->page = wf_ids_encode(ids);
    cr_assert_eq(wf_ids_decode(weft_buf_bytes(l->page) + WF_FRAME_HEAD,
                               weft_buf_len(l->page) - WF_FRAME_HEAD, &l->ids),
                 WEFT_OK);
    return l;
}

Test(look, a_page_is_matched_within_its_range_only)
{
    struct flow *f = flow_create(40, 4);
    uint8_t salt[16], bytes[3 * 8];
    static const uint32_t at[3] = {10, 20, 30}; /* a chain: their gens */
    memset(salt, 3, sizeof salt);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t v = wf_siphash(salt, f->dag->ids[at[i]].bytes, 32);
        for (uint32_t k = 0; k < 8; k++) bytes[8 * i + k] = (uint8_t)(v >> (56 - 8 * k));
    }
    struct wf_ids ids = {.stream = 1,
                         .ref = 1,
                         .lo_gen = 10,
                         .lo_id = f->dag->ids[10],
                         .hi_gen = 20,
                         .hi_id = f->dag->ids[20],
                         .last = true,
                         .id_bytes = 8,
                         .count = 3,
                         .ids = bytes};
    struct wf_look *l = page_look(f, &ids, false);
    cr_assert_eq(pair_ask(f->pair, f->pair->b.table.reader, &l->req), WEFT_OK);
    cr_expect_eq(l->bits_count, 3);
    cr_expect_eq(l->bits[0], 3, "the first and the last of the range, not what is beyond");
    weft_drop(&l->req.msg);
    flow_destroy(f);
}

Test(look, a_page_of_full_ids_is_for_exact_sessions)
{
    struct flow *f = flow_create(10, 4);
    uint8_t bytes[64];
    memcpy(bytes, f->dag->ids[3].bytes, 32);
    memset(bytes + 32, 0x11, 32);
    struct wf_ids ids = {
        .stream = 1, .ref = 1, .hi_gen = 9, .last = true, .id_bytes = 32, .count = 2, .ids = bytes};
    struct wf_look *l = page_look(f, &ids, true);
    cr_assert_eq(pair_ask(f->pair, f->pair->b.table.reader, &l->req), WEFT_OK);
    cr_expect_eq(l->bits[0], 1);
    weft_drop(&l->req.msg);
    l = page_look(f, &ids, false);
    cr_expect_eq(pair_ask(f->pair, f->pair->b.table.reader, &l->req), WEFT_PROTOCOL);
    weft_drop(&l->req.msg);
    flow_destroy(f);
}

Test(look, zero_tips_say_that_nothing_is_held_only_if_nothing_is)
{
    struct flow *f = flow_create(10, 4);
    for (uint64_t count = 0; count < 2; count++) {
        struct wf_look *l = wf_look_create(WF_LOOK_PLAN);
        l->peer = f->pair->a.key;
        l->tree = f->dag->ids[0];
        l->theirs.tips_complete = true;
        l->theirs.tip_bytes = 8;
        l->theirs.count = count;
        cr_assert_eq(pair_ask(f->pair, f->pair->b.table.reader, &l->req), WEFT_OK);
        cr_expect_eq(l->plan, count == 0 ? WF_PLAN_CLOSURE : WF_PLAN_ASK);
        weft_drop(&l->req.msg);
    }
    flow_destroy(f);
}

/* -- Short memory ------------------------------------------------------------------------- */

static struct wf_job *oom_job(struct flow *f, enum wf_job_op op)
{
    struct wf_job *j = job(f, op, 1);
    wf_tree_info info = pair_info(f->pair, &f->pair->b);
    j->theirs.tip_bytes = 32;
    j->theirs.tips_count = 1;
    memcpy(j->theirs.tips, f->dag->ids[3].bytes, 32);
    j->cursor.seq = 5;
    j->cursor.partial = op == WF_JOB_RESUME;
    j->cursor.gen = 1;
    j->cursor.id = f->dag->ids[1];
    memcpy(j->cursor.epoch, info.epoch, sizeof j->cursor.epoch);
    j->wanted = calloc(1, sizeof(weft_id));
    j->wanted[0] = f->dag->ids[4];
    j->wanted_count = 1;
    return j;
}

Test(reader_flow, every_failed_allocation_is_answered)
{
    static const enum wf_job_op ops[] = {WF_JOB_CLOSURE, WF_JOB_CURSOR, WF_JOB_RESUME,
                                         WF_JOB_FETCH};
    struct flow *f = flow_create(30, 4);
    ask_all(f, (weft_request *[]){&oom_job(f, ops[0])->req}, 1);
    run(f); /* an actor's first ask allocates: not what is claimed here */
    for (size_t op = 0; op < sizeof ops / sizeof ops[0]; op++) {
        bool ended_well = false;
        for (uint64_t nth = 1; nth < 60; nth++) {
            struct wf_job *j = oom_job(f, ops[op]);
            f->answers.count = 0;
            pair_forget(f->pair);
            ask_all(f, (weft_request *[]){&j->req}, 1);
            (void)wf_alloc_fail_at(nth, 0);
            run(f);
            (void)wf_alloc_fail_at(0, 0);
            cr_assert_eq(f->answers.count, 1, "op %d, allocation %lu", ops[op], (unsigned long)nth);
            weft_err err = f->answers.errs[0];
            cr_expect(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
            ended_well = err == WEFT_OK;
        }
        cr_expect(ended_well, "op %d needs more than 60 allocations", ops[op]);
    }
    flow_destroy(f);
}

/* A stream that ends well has sent everything, and one that does not says why. */
Test(reader_flow, every_failed_read_is_answered)
{
    static const enum wf_job_op ops[] = {WF_JOB_CLOSURE, WF_JOB_CURSOR, WF_JOB_RESUME,
                                         WF_JOB_FETCH};
    struct flow *f = flow_create(12, 4);
    wf_kv *kv = wf_store_kv(f->pair->b.store);
    uint32_t whole = 0;
    for (size_t op = 0; op < sizeof ops / sizeof ops[0]; op++) {
        bool met = true;
        uint64_t nth = 0;
        for (; met; nth++) { /* nth 0: without a failure */
            struct wf_job *j = oom_job(f, ops[op]);
            f->answers.count = 0;
            pair_forget(f->pair);
            kv_faulty_fail_at(kv, nth, WEFT_IO);
            ask_all(f, (weft_request *[]){&j->req}, 1);
            run(f);
            met = nth == 0 || kv_faulty_met(kv);
            kv_faulty_fail_at(kv, 0, WEFT_OK);
            cr_assert_eq(f->answers.count, 1, "op %d, read %lu", ops[op], (unsigned long)nth);
            uint32_t sent = f->pair->recorder->entries_count;
            if (nth == 0) whole = sent;
            if (met && nth > 0)
                cr_expect_eq(f->answers.errs[0], WEFT_IO, "op %d, read %lu: %s", ops[op],
                             (unsigned long)nth, weft_errname(f->answers.errs[0]));
            else cr_expect(f->answers.errs[0] == WEFT_OK && sent == whole && sent > 0);
        }
        cr_expect_gt(nth, 2, "op %d meets no failure", ops[op]);
    }
    flow_destroy(f);
}
