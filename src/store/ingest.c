/* SPDX-License-Identifier: Apache-2.0
 * ingest.c - frames of entries from peers: in their order, through the door.
 * Called by: store_actor.c, on the store's thread. May touch: the open batch, the
 * pool, the streams. Never: sockets, sessions; verifies nothing again. */
#include "alloc.h"
#include "block.h"
#include "desk.h"
#include "log.h"

void wf_desk_result_take(struct wf_ingest *frame)
{
    if (frame->results_to == NULL || wf_send_system(frame->results_to, &frame->msg) != WEFT_OK)
        weft_drop(&frame->msg); /* whoever asked has ended */
}

/* -- What a stream may still write --------------------------------------------------------- */

static void write_held_mark(struct wf_desk *desk, struct wf_stream *stream)
{
    if (!stream->has_held || stream->pending > 0 || stream->broken) return;
    stream->has_held = false;
    weft_err err = wf_writer_cursor(desk->store, &stream->held_peer, stream->held_t, &stream->held);
    if (err == WEFT_OK) desk->must_sync = true;
}

void wf_desk_item_gone(struct wf_desk *desk, const struct wf_pending_item *item, bool stored)
{
    struct wf_stream *stream = wf_order_find(&desk->order, item->conn, item->stream);
    if (stream == NULL) return;
    if (stream->pending > 0) stream->pending--;
    if (stored) write_held_mark(desk, stream);
    else stream->broken = true;
}

void wf_desk_break_streams(struct wf_desk *desk)
{
    for (struct wf_stream *s = desk->order.oldest; s != NULL; s = s->newer) {
        s->broken = true;
        s->has_held = false;
    }
}

/* No cursor passes an entry that is not here: a mark is written at once, or when the
 * pool has given up all entries of its stream to the store, or never. Who was told that what is on
 * the shelf is here passes over it, so as long as anything is there no mark of that stream is true.
 * The frame says whether its mark is written: no other is acknowledged, or who sent it would forget
 * what it owes. */
static void apply_mark(struct wf_desk *desk, struct wf_stream *stream, struct wf_ingest *f,
                       uint64_t t)
{
    const struct wf_tree *tree = wf_trees_at(&desk->store->trees, t);
    bool owes = tree != NULL && (tree->now.shelved > 0 || tree->unmarked);
    if (f->leans && owes) f->has_mark = false;
    if (f->err != WEFT_OK) stream->broken = true; /* the rest of the frame is not here */
    if (stream->broken || t == 0) f->has_mark = false;
    if (!f->has_mark) return;
    stream->has_held = true;
    stream->held = f->mark;
    stream->held_peer = f->source.peer;
    stream->held_t = t;
    if (stream->pending > 0) f->has_mark = false;
    write_held_mark(desk, stream);
}

/* -- One entry ------------------------------------------------------------------------------- */

static void note_missing(struct wf_desk *desk, struct wf_ingest *frame, const weft_id *id)
{
    if (wf_pending_find(&desk->pool, id) != NULL) return; /* it waits itself and was asked for */
    for (uint32_t i = 0; i < frame->missing_count; i++)
        if (weft_id_equal(&frame->missing[i], id)) return;
    if (frame->missing_count == WEFT_WANT_IDS_MAX) return;
    frame->missing[frame->missing_count++] = *id;
}

#define MISSING_LOOK 64u /* parents of one entry that are asked for at once */

static weft_err put_pending(struct wf_desk *desk, struct wf_stream *stream, struct wf_ingest *frame,
                            const struct wf_add *add)
{
    if (frame->missing == NULL) {
        frame->missing = wf_malloc(WEFT_WANT_IDS_MAX * sizeof *frame->missing);
        if (frame->missing == NULL) return WEFT_NO_MEMORY;
    }
    for (uint32_t i = 0; i < add->missing_count; i++) note_missing(desk, frame, &add->missing[i]);
    struct wf_pending_item like = {.id = add->id,
                                   .tree = frame->tree,
                                   .waits_for = add->missing[0],
                                   .source = frame->source,
                                   .source_seq = frame->source_seq,
                                   .conn = frame->conn,
                                   .stream = frame->stream,
                                   .taken_ns = add->taken_ns};
    struct wf_pending_item *waiting = wf_pending_find(&desk->pool, &add->id);
    if (waiting != NULL) { /* another stream brought it; its marks wait no longer for it */
        if (waiting->conn == frame->conn && waiting->stream == frame->stream) return WEFT_OK;
        wf_desk_item_gone(desk, waiting, false);
        waiting->conn = frame->conn;
        waiting->stream = frame->stream;
        stream->pending++;
        return WEFT_OK;
    }
    stream->pending++; /* first: the put itself may push it out again */
    weft_err err = wf_pending_put(&desk->pool, &like, add->bytes, add->len, weft_now(desk->self));
    if (err != WEFT_OK) stream->pending--;
    if (err == WEFT_OK) wf_desk_arm_sweep(desk);
    return err;
}

/* Returns what ends the frame. */
static weft_err add_entry(struct wf_desk *desk, struct wf_stream *stream, struct wf_ingest *frame,
                          struct wf_ingest_entry *entry)
{
    weft_id missing[MISSING_LOOK];
    struct wf_add add = {.holder = frame->frame,
                         .bytes = entry->bytes,
                         .len = entry->len,
                         .id = entry->id,
                         .asked = &frame->tree,
                         .source = frame->source,
                         .source_seq = frame->source_seq,
                         .taken_ns = weft_now(desk->self),
                         .missing = missing,
                         .missing_room = MISSING_LOOK};
    weft_err err = wf_writer_add(desk->store, &add);
    if (err == WEFT_OK) {
        entry->result = add.healed ? WF_IN_HEALED : add.known ? WF_IN_KNOWN : WF_IN_STORED;
        entry->seq = add.seq;
        entry->gen = add.gen;
        if (add.known) entry->known_from = add.known_from;
        else wf_desk_wake(desk, add.t, &entry->id);
        *(add.known ? &frame->known : &frame->stored) += 1;
        return desk->failed;
    }
    if (err == WEFT_PENDING) {
        err = put_pending(desk, stream, frame, &add);
        if (err == WEFT_OK) {
            entry->result = WF_IN_PENDING;
            frame->pending++;
            return frame->raw ? WEFT_OK : WEFT_PENDING;
        }
    }
    entry->result = WF_IN_REFUSED;
    wf_counter_add(&desk->store->counters.refused, 1);
    return err;
}

/* -- One frame --------------------------------------------------------------------------------- */

static void apply(struct wf_desk *desk, struct wf_stream *stream, struct wf_ingest *frame)
{
    struct wf_tree *tree = wf_trees_find(&desk->store->trees, &frame->tree);
    uint64_t lost = desk->lost;
    weft_err err = WEFT_OK;
    if (tree == NULL || !tree->now.followed || (frame->t != 0 && frame->t != tree->now.t))
        err = WEFT_TREE;
    for (uint32_t i = 0; i < frame->count; i++) frame->entries[i].result = WF_IN_REFUSED;
    for (uint32_t i = 0; i < frame->count && err == WEFT_OK; i++) {
        if (wf_writer_is_full(desk->store)) wf_desk_flush(desk);
        err = desk->failed;
        if (err == WEFT_OK) err = add_entry(desk, stream, frame, &frame->entries[i]);
    }
    if (desk->lost != lost) err = desk->lost_err; /* a batch with some of its entries */
    frame->err = err == WEFT_OK ? frame->verdict : err;
    tree = wf_trees_find(&desk->store->trees, &frame->tree); /* it may have gone with a batch */
    apply_mark(desk, stream, frame, tree == NULL ? 0 : tree->now.t);
    frame->tree_seq = tree == NULL ? 0 : tree->now.seq;
}

/* -- Order ---------------------------------------------------------------------------------------- */

static void give_up(struct wf_desk *desk, struct wf_stream *stream)
{
    struct wf_ingest *frame;
    while ((frame = wf_stream_next(stream, true)) != NULL) {
        frame->err = WEFT_CANCELED;
        if (wf_desk_reserve(desk)) /* behind the answers of the frames before it */
            wf_desk_answer_take(desk, &frame->msg, WEFT_CANCELED, false);
        else wf_desk_result_take(frame);
    }
    wf_order_forget(&desk->order, stream);
}

void wf_desk_sweep_streams(struct wf_desk *desk, uint64_t now)
{
    for (struct wf_stream *s = desk->order.oldest, *next; s != NULL; s = next) {
        next = s->newer;
        if (s->parked != NULL && now - s->parked_since_ns >= WEFT_PENDING_TTL_NS) give_up(desk, s);
    }
}

/* Applies the frame whose turn it is. True: it was the stream's end. */
static bool take_turn(struct wf_desk *desk, struct wf_stream *stream, struct wf_ingest *frame)
{
    stream->next_n++;
    if (!frame->end) apply(desk, stream, frame);
    bool end = frame->end;
    if (wf_desk_reserve(desk)) {
        wf_desk_answer_take(desk, &frame->msg, frame->err, true);
    } else {
        frame->err = WEFT_NO_MEMORY; /* its entries may be stored: known the next time */
        stream->broken = true;
        wf_desk_result_take(frame);
    }
    return end;
}

void wf_desk_ingest_take(struct wf_desk *desk, struct wf_ingest *frame)
{
    struct wf_stream *stream;
    weft_err err = frame->end && frame->n == 0 ? WEFT_OK : desk->failed;
    if (err == WEFT_OK) err = wf_order_stream(&desk->order, frame->conn, frame->stream, &stream);
    if (err != WEFT_OK) {
        frame->err = err;
        wf_gate_result_take(desk, frame);
        return;
    }
    if (frame->end && frame->n == 0) { /* at once: what is behind a gap never comes */
        give_up(desk, stream);
        frame->err = WEFT_OK;
        if (wf_desk_reserve(desk)) wf_desk_answer_take(desk, &frame->msg, WEFT_OK, false);
        else wf_desk_result_take(frame);
        return;
    }
    if (frame->n != stream->next_n) {
        err = wf_stream_park_take(stream, frame, weft_now(desk->self));
        if (err == WEFT_OK) {
            wf_desk_arm_sweep(desk);
        } else {
            frame->err = err;
            wf_gate_result_take(desk, frame);
        }
        return;
    }
    bool end = take_turn(desk, stream, frame);
    while (!end && (frame = wf_stream_next(stream, false)) != NULL) {
        stream->parked_since_ns = weft_now(desk->self);
        end = take_turn(desk, stream, frame);
    }
    if (end) give_up(desk, stream);
}
