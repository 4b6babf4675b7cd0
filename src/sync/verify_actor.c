/* SPDX-License-Identifier: Apache-2.0
 * verify_actor.c - one verifier: pure checks of entries, on a core of their own.
 * Called by: transport (bulk frames), weft.c (spawn). May touch: the store, reading.
 * Never: passes a frame on twice or not at all, keeps anything of a frame. */
#include "verify.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "log.h"

struct verify { /* only the handlers below touch this */
    const struct wf_node_table *table;
    struct wf_ingest *oldest, *newest; /* waiting for room at the store, in order */
    struct room *room;                 /* ours; NULL while the store has it       */
    weft_entry entry;                  /* the one being checked: too large for a stack */
};

/* Comes back from the store's mailbox when it has room again. */
struct room {
    weft_msg msg;
};
static const weft_kind room_kind = {
    .id = 0x5311, .name = "verify.room", .size = sizeof(struct room), .drop = weft_free_msg};

static void ingest_discard(struct wf_ingest *in) { weft_drop(&in->msg); }

/* -- Passing on ------------------------------------------------------------------------- */

static void append(struct verify *v, struct wf_ingest *in)
{
    in->msg.next = NULL;
    if (v->newest == NULL) v->oldest = in;
    else v->newest->msg.next = &in->msg;
    v->newest = in;
}

/* Sends what waits, in order, until the store is full. What waits is bounded by the
 * bytes that transport granted. */
static void drain(weft_self *self, struct verify *v)
{
    while (v->oldest != NULL) {
        struct wf_ingest *in = v->oldest, *after = (struct wf_ingest *)in->msg.next;
        weft_err err = weft_send(v->table->store, &in->msg);
        if (err == WEFT_FULL) {
            if (v->room == NULL) return;
            err = weft_notify_credit(self, v->table->store, &v->room->msg);
            if (err == WEFT_OK) {
                v->room = NULL;
                return;
            }
        }
        v->oldest = after;
        if (after == NULL) v->newest = NULL;
        if (err != WEFT_OK) ingest_discard(in); /* CLOSED: the node is stopping */
    }
}

static void pass_on(weft_self *self, struct verify *v, struct wf_ingest *in)
{
    append(v, in);
    if (v->oldest == in) drain(self, v);
}

/* -- Checking --------------------------------------------------------------------------- */

/* What the store holds was checked when it came in; its id says that it is the same. */
static bool is_stored(struct verify *v, const weft_id *id)
{
    wf_meta_brief brief;
    return wf_store_meta_brief(v->table->wf_store, id, &brief) == WEFT_OK;
}

static weft_err check_entry(struct verify *v, const weft_id *tree, const uint8_t *bytes, size_t len)
{
    weft_err err = weft_entry_decode(bytes, len, &v->entry);
    if (err != WEFT_OK) return err;
    if (!weft_id_equal(&v->entry.tree, tree)) return WEFT_BAD_ENTRY;
    if (is_stored(v, &v->entry.id)) return WEFT_OK;
    err = weft_entry_verify(&v->entry);
    if (err == WEFT_OK) (void)wf_counter_add(&v->table->counters->verified, 1);
    return err;
}

static void check_entries(struct verify *v, struct wf_ingest *in, struct wf_entries *frame)
{
    const uint8_t *bytes;
    size_t len;
    while (wf_entries_next(frame, &bytes, &len) == WEFT_OK) {
        in->verdict = check_entry(v, &in->tree, bytes, len);
        if (in->verdict != WEFT_OK) {
            (void)wf_counter_add(&v->table->counters->refused, 1);
            return;
        }
        struct wf_ingest_entry *e = &in->entries[in->count++];
        e->bytes = bytes;
        e->len = (uint32_t)len;
        e->id = v->entry.id;
    }
}

static void set_mark(struct wf_ingest *in, const wf_mark *mark)
{
    in->has_mark = true;
    in->mark = *mark;
    memcpy(in->source.epoch, mark->epoch, sizeof in->source.epoch);
    in->source_seq = mark->seq;
}

static void fill(struct wf_ingest *in, struct wf_bulk_note *note, const struct wf_tp_bulk_in *bulk,
                 const struct verify *v)
{
    in->results_to = weft_addr_get(v->table->queue);
    in->cookie = note;
    in->conn = bulk->conn;
    in->stream = bulk->stream;
    in->n = bulk->n;
    in->end = bulk->end;
    in->arrived_ns = bulk->arrived_ns;
    in->tree = bulk->cookie_id;
    in->leans = bulk->cookie_bit;
    in->t = (uint64_t)(uintptr_t)bulk->cookie;
    in->source.peer = bulk->key;
    in->frame = bulk->buf == NULL ? NULL : weft_buf_ref(bulk->buf);
    in->frame_bytes = bulk->frame_bytes;
    in->count = 0;
    note->peer = bulk->key;
    note->type = bulk->end ? 0 : bulk->type;
    note->frame_bytes = bulk->frame_bytes;
}

/* The frame as one ingest: exactly one for each n, whatever the frame is worth. */
static weft_err build(struct verify *v, const struct wf_tp_bulk_in *bulk, struct wf_ingest **out)
{
    struct wf_entries frame;
    weft_err verdict = WEFT_OK;
    bool carries = !bulk->end && bulk->type != WF_F_DONE;
    if (carries) verdict = wf_entries_decode(bulk->bytes, bulk->len, &frame);
    bool good = carries && verdict == WEFT_OK;

    struct wf_bulk_note *note = wf_calloc(1, sizeof *note);
    struct wf_ingest *in = note == NULL ? NULL : wf_ingest_create(good ? frame.count : 0);
    if (in == NULL) {
        wf_free(note);
        return WEFT_NO_MEMORY;
    }
    fill(in, note, bulk, v);
    in->verdict = verdict;
    if (good) {
        in->raw = (frame.flags & WF_ENTRIES_RAW) != 0;
        note->seen = frame.seen;
        if (frame.has_mark) set_mark(in, &frame.mark);
        check_entries(v, in, &frame);
    } else if (!bulk->end && !carries) {
        in->verdict = wf_done_decode(bulk->bytes, bulk->len, &note->done);
        if (in->verdict == WEFT_OK) set_mark(in, &note->done.mark);
    }
    *out = in;
    return WEFT_OK;
}

static weft_verdict on_bulk(weft_self *self, struct verify *v, const struct wf_tp_bulk_in *bulk)
{
    struct wf_ingest *in;
    if (v->table == NULL) return WEFT_DONE; /* before wire: nothing can be registered yet */
    weft_err err = build(v, bulk, &in);
    if (err != WEFT_OK) {
        /* A gap in the order would hold the stream up for ever, so the node stops. */
        wf_log(WEFT_LOG_ERROR, "verify", "no memory for frame %llu of stream %u",
               (unsigned long long)bulk->n, bulk->stream);
        return weft_fail(self, err);
    }
    pass_on(self, v, in);
    return WEFT_DONE;
}

/* -- The actor -------------------------------------------------------------------------- */

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct verify *v = state;
    (void)self;
    (void)arg;
    v->room = (struct room *)weft_new(&room_kind);
    return v->room == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct verify *v = state;
    if (msg->kind == &wf_tp_bulk_in_kind) return on_bulk(self, v, (struct wf_tp_bulk_in *)msg);
    if (msg->kind == &room_kind) {
        v->room = (struct room *)msg;
        drain(self, v);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_wire_kind) v->table = ((struct wf_wire *)msg)->table;
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    struct verify *v = state;
    (void)self;
    (void)reason;
    while (v->oldest != NULL) {
        struct wf_ingest *in = v->oldest;
        v->oldest = (struct wf_ingest *)in->msg.next;
        ingest_discard(in);
    }
    if (v->room != NULL) weft_drop(&v->room->msg);
}

weft_err wf_verify_spawn(weft_rt *rt, uint32_t number, weft_addr **out)
{
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    (void)snprintf(name, sizeof name, "verify-%u", number);
    weft_spec spec = {.name = name,
                      .state_size = sizeof(struct verify),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED}; /* bounded by the bytes granted to peers */
    return weft_spawn(rt, &spec, out);
}
