/* SPDX-License-Identifier: Apache-2.0
 * test_verify.c - what a verifier passes on to the store, and what it refuses.
 * Called by: meson test. Never: sockets; the store actor is a recorder. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "pair.h"
#include "verify.h"

#define CONN 5u
#define STREAM 3u

struct taken { /* by the actor in the store's place */
    uint32_t count;
    struct wf_ingest *in[32];
};

static void taken_forget(struct taken *t)
{
    for (uint32_t i = 0; i < t->count; i++) { weft_drop(&t->in[i]->msg); }
    t->count = 0;
}

static weft_verdict take(weft_self *self, void *state, weft_msg *msg)
{
    struct taken *t = *(struct taken **)state;
    (void)self;
    if (msg->kind != &wf_ingest_kind) return WEFT_DONE;
    t->in[t->count++] = (struct wf_ingest *)msg;
    return WEFT_KEPT;
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

struct rig {
    struct dag *dag;
    struct pair *pair; /* side b is the receiver; its store actor is used to fill it */
    struct taken taken;
    struct wf_node_counters counters;
    struct wf_node_table table;
    weft_addr *verify, *door;
    uint64_t n;
};

static struct rig *rig_create(uint32_t mailbox)
{
    struct rig *r = calloc(1, sizeof *r);
    r->dag = dag_create(DAG_CHAIN, 20, 6);
    r->pair = pair_create(r->dag, 1);
    weft_spec spec = {.name = "door",
                      .arg = &r->taken,
                      .state_size = sizeof(void *),
                      .init = init,
                      .handle = take,
                      .mailbox = mailbox};
    cr_assert_eq(weft_spawn(r->pair->rt, &spec, &r->door), WEFT_OK);
    cr_assert_eq(wf_verify_spawn(r->pair->rt, 0, &r->verify), WEFT_OK);
    r->table = r->pair->b.table;
    r->table.store = r->door;
    r->table.queue = r->pair->transport; /* anybody: only its address is passed on */
    r->table.counters = &r->counters;
    cr_assert_eq(wf_send_system(r->verify, &wf_wire_create(&r->table)->msg), WEFT_OK);
    return r;
}

static void rig_destroy(struct rig *r)
{
    weft_addr_put(r->verify);
    weft_addr_put(r->door);
    struct pair *pair = r->pair;
    struct dag *dag = r->dag;
    taken_forget(&r->taken);
    pair_destroy(pair); /* stops all actors of the world */
    taken_forget(&r->taken);
    dag_destroy(dag);
    free(r);
}

static struct wf_tp_bulk_in *bulk(struct rig *r, uint32_t type, weft_buf *frame_take)
{
    struct wf_tp_bulk_in *b = (struct wf_tp_bulk_in *)weft_new(&wf_tp_bulk_in_kind);
    b->conn = CONN;
    b->stream = STREAM;
    b->n = ++r->n;
    b->key = r->pair->a.key;
    b->type = type;
    b->cookie_id = r->dag->ids[0];
    b->arrived_ns = 99;
    b->end = frame_take == NULL;
    b->buf = frame_take;
    if (frame_take == NULL) return b;
    b->bytes = weft_buf_bytes(frame_take) + WF_FRAME_HEAD;
    b->len = weft_buf_len(frame_take) - WF_FRAME_HEAD;
    b->frame_bytes = (uint32_t)weft_buf_len(frame_take);
    return b;
}

static void send(struct rig *r, struct wf_tp_bulk_in *b)
{
    cr_assert_eq(weft_send(r->verify, &b->msg), WEFT_OK);
}

static void run(struct rig *r)
{
    wf_sim_run_until(r->pair->sim, wf_sim_now(r->pair->sim) + WEFT_SEC);
}

static weft_buf *frame_of(struct rig *r, uint32_t flags, const uint32_t *entries, uint32_t count,
                          const wf_mark *mark)
{
    struct wf_entries_builder b;
    weft_buf *out = NULL;
    cr_assert_eq(wf_entries_begin(&b, WF_F_ENTRIES, STREAM, flags, 4), WEFT_OK);
    for (uint32_t i = 0; i < count; i++) {
        const weft_buf *e = r->dag->bufs[entries[i]];
        cr_assert_eq(wf_entries_add(&b, weft_buf_bytes(e), weft_buf_len(e)), WEFT_OK);
    }
    cr_assert_eq(wf_entries_finish(&b, mark, &out), WEFT_OK);
    return out;
}

static struct wf_ingest *only(struct rig *r)
{
    run(r);
    cr_assert_eq(r->taken.count, 1);
    return r->taken.in[0];
}

Test(verify, a_good_frame_becomes_one_ingest)
{
    struct rig *r = rig_create(0);
    wf_mark mark = {.seq = 12, .partial = true, .gen = 2};
    memset(mark.epoch, 7, sizeof mark.epoch);
    weft_buf *frame = frame_of(r, WF_ENTRIES_RAW, (uint32_t[]){0, 1, 2}, 3, &mark);
    struct wf_tp_bulk_in *b = bulk(r, WF_F_ENTRIES, frame);
    uint32_t bytes = b->frame_bytes;
    b->cookie = (void *)(uintptr_t)17;
    send(r, b);
    struct wf_ingest *in = only(r);
    cr_expect_eq(in->verdict, WEFT_OK);
    cr_assert_eq(in->count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect(weft_id_equal(&in->entries[i].id, &r->dag->ids[i]));
        cr_expect_eq(in->entries[i].len, weft_buf_len(r->dag->bufs[i]));
        cr_expect_eq(
            memcmp(in->entries[i].bytes, weft_buf_bytes(r->dag->bufs[i]), in->entries[i].len), 0);
    }
    cr_expect(in->raw && in->has_mark && in->mark.seq == 12 && in->source_seq == 12);
    cr_expect_eq(memcmp(in->source.epoch, mark.epoch, 16), 0);
    cr_expect(weft_key_equal(&in->source.peer, &r->pair->a.key));
    cr_expect(in->conn == CONN && in->stream == STREAM && in->n == 1 && in->arrived_ns == 99);
    cr_expect_eq(in->t, 17, "the number of its tree when the stream began");
    cr_expect_eq(in->results_to, r->table.queue);
    const struct wf_bulk_note *note = in->cookie;
    cr_expect(note->type == WF_F_ENTRIES && note->seen == 4 && note->frame_bytes == bytes);
    cr_expect_eq(wf_counter_get(&r->counters.verified), 3);
    rig_destroy(r);
}

Test(verify, a_bad_signature_keeps_the_prefix_only)
{
    struct rig *r = rig_create(0);
    weft_buf *frame = frame_of(r, 0, (uint32_t[]){0, 1, 2, 3}, 4, NULL);
    /* The last byte of the third entry is the last of its signature. */
    uint8_t *data = weft_buf_data(frame);
    size_t third = weft_buf_len(frame) - 1 - (weft_buf_len(r->dag->bufs[3]) + 2) - 1;
    data[third] ^= 1;
    send(r, bulk(r, WF_F_ENTRIES, frame));
    struct wf_ingest *in = only(r);
    cr_expect_eq(in->verdict, WEFT_BAD_SIGNATURE, "%s", weft_errname(in->verdict));
    cr_expect_eq(in->count, 2);
    cr_expect_eq(wf_counter_get(&r->counters.refused), 1);
    rig_destroy(r);
}

Test(verify, an_entry_of_another_tree_is_bad)
{
    struct rig *r = rig_create(0);
    struct wf_tp_bulk_in *b = bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){1}, 1, NULL));
    b->cookie_id.bytes[0] ^= 1;
    send(r, b);
    cr_expect_eq(only(r)->verdict, WEFT_BAD_ENTRY);
    cr_expect_eq(r->taken.in[0]->count, 0);
    rig_destroy(r);
}

Test(verify, the_root_of_another_tree_is_bad)
{
    struct rig *r = rig_create(0);
    struct wf_tp_bulk_in *b = bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){0}, 1, NULL));
    b->cookie_id = r->dag->ids[1];
    send(r, b);
    cr_expect_eq(only(r)->verdict, WEFT_BAD_ENTRY);
    rig_destroy(r);
}

Test(verify, a_malformed_frame_is_passed_on_empty)
{
    struct rig *r = rig_create(0);
    weft_buf *frame = frame_of(r, 0, (uint32_t[]){0, 1}, 2, NULL);
    weft_buf_truncate(frame, weft_buf_len(frame) - 1);
    send(r, bulk(r, WF_F_PUSH, frame));
    struct wf_ingest *in = only(r);
    cr_expect(in->verdict == WEFT_SYNTAX && in->count == 0 && in->n == 1 && !in->has_mark);
    rig_destroy(r);
}

Test(verify, what_is_stored_is_not_verified_again)
{
    struct rig *r = rig_create(0);
    for (uint32_t i = 0; i < 3; i++) pair_put(r->pair, &r->pair->b, i);
    send(r, bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){0, 1, 2, 3}, 4, NULL)));
    struct wf_ingest *in = only(r);
    cr_expect(in->verdict == WEFT_OK && in->count == 4);
    cr_expect_eq(wf_counter_get(&r->counters.verified), 1);
    rig_destroy(r);
}

/* The content is the id: a known entry with another signature is another entry. */
Test(verify, a_changed_copy_of_a_stored_entry_is_verified)
{
    struct rig *r = rig_create(0);
    for (uint32_t i = 0; i < 2; i++) pair_put(r->pair, &r->pair->b, i);
    weft_buf *frame = frame_of(r, 0, (uint32_t[]){1}, 1, NULL);
    weft_buf_data(frame)[weft_buf_len(frame) - 2] ^= 1;
    send(r, bulk(r, WF_F_ENTRIES, frame));
    cr_expect_eq(only(r)->verdict, WEFT_BAD_SIGNATURE);
    rig_destroy(r);
}

Test(verify, done_carries_its_mark_in_the_streams_order)
{
    struct rig *r = rig_create(0);
    struct wf_done done = {.stream = STREAM, .round = 2, .mark.seq = 44, .count = 9};
    send(r, bulk(r, WF_F_DONE, wf_done_encode(&done)));
    struct wf_ingest *in = only(r);
    const struct wf_bulk_note *note = in->cookie;
    cr_expect(in->verdict == WEFT_OK && in->count == 0 && in->has_mark && in->mark.seq == 44);
    cr_expect(note->type == WF_F_DONE && note->done.round == 2 && note->done.count == 9);
    rig_destroy(r);
}

Test(verify, a_malformed_done_is_refused)
{
    struct rig *r = rig_create(0);
    struct wf_done done = {.stream = STREAM, .round = 2};
    weft_buf *frame = wf_done_encode(&done);
    weft_buf_truncate(frame, weft_buf_len(frame) - 1);
    send(r, bulk(r, WF_F_DONE, frame));
    cr_expect(only(r)->verdict == WEFT_SYNTAX && !r->taken.in[0]->has_mark);
    rig_destroy(r);
}

Test(verify, the_end_of_a_stream_is_passed_on)
{
    struct rig *r = rig_create(0);
    send(r, bulk(r, WF_F_ENTRIES, NULL));
    struct wf_ingest *in = only(r);
    cr_expect(in->end && in->count == 0 && in->verdict == WEFT_OK);
    cr_expect_eq(((struct wf_bulk_note *)in->cookie)->type, 0);
    rig_destroy(r);
}

Test(verify, a_full_store_gets_everything_later_and_in_order)
{
    struct rig *r = rig_create(2);
    for (uint32_t i = 0; i < 20; i++)
        send(r, bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){i}, 1, NULL)));
    run(r);
    cr_assert_eq(r->taken.count, 20);
    for (uint32_t i = 0; i < 20; i++) cr_expect_eq(r->taken.in[i]->n, i + 1);
    rig_destroy(r);
}

Test(verify, a_store_that_has_ended_costs_nothing)
{
    struct rig *r = rig_create(0);
    cr_assert_eq(weft_stop(r->door, WEFT_NOW), WEFT_OK);
    run(r);
    send(r, bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){0}, 1, NULL)));
    run(r);
    cr_expect_eq(r->taken.count, 0);
    rig_destroy(r);
}

Test(verify, short_memory_stops_the_verifier_rather_than_leaving_a_gap)
{
    struct rig *r = rig_create(0);
    weft_err reason = WEFT_OK;
    send(r, bulk(r, WF_F_ENTRIES, frame_of(r, 0, (uint32_t[]){0}, 1, NULL)));
    (void)wf_alloc_fail_at(1, 1);
    run(r);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(weft_join(r->verify, weft_rt_after(r->pair->rt, WEFT_SEC), &reason), WEFT_OK);
    cr_expect_eq(reason, WEFT_NO_MEMORY);
    rig_destroy(r);
}
