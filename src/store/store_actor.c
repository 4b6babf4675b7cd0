/* SPDX-License-Identifier: Apache-2.0
 * store_actor.c - the store's thread: the only writer of the database.
 * Hands what its mailbox holds to the open batch, which group_commit.c writes.
 * Called by: weft.c (spawn), the scheduler (handlers). May touch: wf_store.
 * Never: sockets, sessions, the machine's clock. */
#include "store_actor.h"

#include "alloc.h"
#include "block.h"
#include "compose.h"
#include "desk.h"
#include "log.h"

/* -- Pending entries ------------------------------------------------------------------------------ */

bool wf_desk_push_woken(struct wf_desk *desk, const weft_id *id)
{
    if (desk->woken_count == desk->woken_room) {
        uint32_t room = desk->woken_room == 0 ? 64 : desk->woken_room * 2;
        weft_id *woken = wf_realloc(desk->woken, room * sizeof *woken);
        if (woken == NULL) return false; /* its children stay until they are too old */
        desk->woken = woken;
        desk->woken_room = room;
    }
    desk->woken[desk->woken_count++] = *id;
    return true;
}

static void try_again(struct wf_desk *desk, struct wf_pending_item *item)
{
    weft_id missing;
    struct wf_add add = {.holder = item->buf,
                         .bytes = weft_buf_bytes(item->buf),
                         .len = (uint32_t)weft_buf_len(item->buf),
                         .id = item->id,
                         .asked = &item->tree,
                         .source = item->source,
                         .source_seq = item->source_seq,
                         .taken_ns = item->taken_ns,
                         .missing = &missing,
                         .missing_room = 1};
    weft_err err = desk->failed;
    if (err == WEFT_OK && wf_writer_is_full(desk->store)) {
        wf_desk_flush(desk);
        err = desk->failed;
    }
    if (err == WEFT_OK) err = wf_writer_add(desk->store, &add);
    if (err == WEFT_PENDING) { /* for another parent now */
        item->waits_for = missing;
        wf_pending_return(&desk->pool, item);
        return;
    }
    if (err == WEFT_OK) desk->must_sync = true;
    if (err == WEFT_OK && !add.known) wf_desk_push_woken(desk, &item->id);
    if (err != WEFT_OK) wf_counter_add(&desk->store->counters.refused, 1);
    wf_desk_item_gone(desk, item, err == WEFT_OK);
    wf_pending_item_free(item);
}

/* A list instead of recursion: a chain of a thousand may wait for one entry. */
void wf_desk_drain(struct wf_desk *desk, uint64_t t)
{
    for (uint32_t i = 0; i < desk->woken_count; i++) {
        weft_id id = desk->woken[i];
        struct wf_pending_item *item;
        while ((item = wf_pending_take(&desk->pool, &id)) != NULL) try_again(desk, item);
        wf_desk_unshelve(desk, t, &id);
    }
    desk->woken_count = 0;
}

void wf_desk_wake(struct wf_desk *desk, uint64_t t, const weft_id *stored)
{
    const struct wf_tree *tree = wf_trees_at(&desk->store->trees, t);
    bool shelf = tree != NULL && tree->now.shelved > 0;
    if (desk->pool.count == 0 && !shelf) return;
    if (wf_desk_push_woken(desk, stored)) wf_desk_drain(desk, t);
    else wf_desk_shelf_failed(desk, WEFT_NO_MEMORY);
}

static void item_dropped(void *arg, const struct wf_pending_item *item)
{
    wf_desk_item_gone(arg, item, false);
}

static void on_sweep(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)timer;
    (void)missed;
    desk->self = self;
    uint64_t now = weft_now(self);
    wf_pending_expire(&desk->pool, now);
    wf_desk_sweep_streams(desk, now);
    wf_counter_set(&desk->store->counters.pending_now, desk->pool.count);
    wf_counter_set(&desk->store->counters.pending_bytes, desk->pool.bytes);
    wf_desk_arm_sweep(desk);
    if (desk->answers.count > 0) wf_desk_ask_flush(desk);
}

/* Only while something can grow too old: an idle store does not wake. */
void wf_desk_arm_sweep(struct wf_desk *desk)
{
    if (desk->sweep.heap_at != 0) return;
    uint64_t next = desk->pool.oldest == NULL ? WEFT_NEVER : desk->pool.oldest->expires_ns;
    for (const struct wf_stream *s = desk->order.oldest; s != NULL; s = s->newer)
        if (s->parked != NULL && s->parked_since_ns + WEFT_PENDING_TTL_NS < next)
            next = s->parked_since_ns + WEFT_PENDING_TTL_NS;
    if (next != WEFT_NEVER) weft_timer_set(desk->self, &desk->sweep, next, 0, on_sweep);
}

/* -- Handlers --------------------------------------------------------------------------------------- */

static weft_err apply_commit(struct wf_desk *desk, struct wf_commit *commit)
{
    uint64_t lost = desk->lost;
    weft_err err = WEFT_OK;
    commit->applied = 0;
    if (!wf_writer_records_valid(commit->records, commit->records_count)) return WEFT_INVALID;
    if (commit->count == 0)
        return wf_writer_records(desk->store, commit->records, commit->records_count);
    for (uint32_t i = 0; i < commit->count; i++) {
        if (wf_writer_is_full(desk->store)) wf_desk_flush(desk);
        if (desk->lost != lost || desk->failed != WEFT_OK) break;
        struct wf_add add = {.holder = commit->entries[i],
                             .bytes = weft_buf_bytes(commit->entries[i]),
                             .len = (uint32_t)weft_buf_len(commit->entries[i]),
                             .id = commit->ids[i],
                             .create_tree = commit->create_trees,
                             .taken_ns = weft_now(desk->self)};
        err = wf_writer_add(desk->store, &add);
        if (err != WEFT_OK) return err;
        commit->applied++;
        commit->seq = add.seq;
        if (commit->applied == commit->count) /* before who waits for it may end the batch */
            err = wf_writer_records(desk->store, commit->records, commit->records_count);
        if (err != WEFT_OK) return err;
        if (!add.known) wf_desk_wake(desk, add.t, &commit->ids[i]);
    }
    if (desk->lost != lost || desk->failed != WEFT_OK) {
        commit->applied = 0; /* of a large commit some parts may have been written before */
        err = desk->failed != WEFT_OK ? desk->failed : desk->lost_err;
    }
    return err;
}

/* What was looked at before it was asked for may have changed since. No batch is open, so what is
 * published is what the next one stands on. */
static weft_err judge_settings(wf_store *store, const struct wf_settings_commit *commit)
{
    struct wf_right_now now;
    weft_key admin;
    weft_err err = WEFT_OK;
    if (commit->has_whom) err = wf_store_right(store, &commit->tree, &commit->whom, &now);
    if (err == WEFT_OK && commit->has_whom && now.revoked) err = WEFT_STATE;
    if (err != WEFT_OK || commit->payload != NULL) return err; /* the door judges an entry */
    weft_keypair_public(commit->admin, &admin);
    err = wf_store_right(store, &commit->tree, &admin, &now);
    return err == WEFT_OK && now.right != WEFT_RIGHT_ADMIN ? WEFT_FORBIDDEN : err;
}

/* Nothing comes between the tips that it stands on and its own place: this is the only writer. */
static weft_err apply_settings(struct wf_desk *desk, struct wf_settings_commit *commit)
{
    weft_buf *bytes = NULL;
    wf_store *store = desk->store;
    if (!wf_writer_records_valid(commit->records, commit->records_count)) return WEFT_INVALID;
    if (wf_writer_is_open(store)) wf_desk_flush(desk);
    if (desk->failed != WEFT_OK) return desk->failed;
    weft_err err = judge_settings(store, commit);
    if (err == WEFT_OK && commit->payload == NULL)
        return wf_writer_records(store, commit->records, commit->records_count);
    if (err == WEFT_OK)
        err = wf_compose_settings(store, &commit->tree, commit->admin, commit->payload, &bytes,
                                  &commit->id);
    if (err != WEFT_OK) return err;
    struct wf_add add = {.holder = bytes,
                         .bytes = weft_buf_bytes(bytes),
                         .len = (uint32_t)weft_buf_len(bytes),
                         .id = commit->id,
                         .asked = &commit->tree,
                         .taken_ns = weft_now(desk->self)};
    err = wf_writer_add(store, &add);
    if (err == WEFT_OK) err = wf_writer_records(store, commit->records, commit->records_count);
    if (err == WEFT_OK) commit->seq = add.seq;
    weft_buf_unref(bytes);
    return err;
}

/* Alone in its batch: nothing that goes to the tree is written with what takes it away. */
static weft_err apply_remove(struct wf_desk *desk, const struct wf_remove *remove)
{
    if (wf_writer_is_open(desk->store)) wf_desk_flush(desk);
    return desk->failed == WEFT_OK ? wf_writer_remove(desk->store, remove) : desk->failed;
}

static void write_removal(struct wf_desk *desk)
{
    wf_bells_call(&desk->bells); /* who waits for news of the tree waits in vain */
    wf_desk_flush(desk);
    wf_desk_reap(desk);
}

static weft_err apply_commit_of_level(struct wf_desk *desk, struct wf_commit *commit,
                                      uint8_t *durability)
{
    uint64_t settings = desk->store->settings_taken;
    weft_err err = apply_commit(desk, commit);
    *durability = commit->durability;
    /* Who may read does not change before the batch is written, and is not said to. */
    if (settings != desk->store->settings_taken && *durability == WF_MEMORY)
        *durability = WF_WRITTEN;
    return err;
}

static weft_err apply_record(struct wf_desk *desk, const struct wf_record_put *put)
{
    weft_err err = WEFT_OK;
    if (put->admit != NULL) {
        if (wf_writer_is_open(desk->store)) wf_desk_flush(desk); /* else it would not see all */
        err = desk->failed == WEFT_OK ? put->admit(desk->store, put) : desk->failed;
    }
    return err == WEFT_OK ? wf_writer_record(desk->store, put) : err;
}

static weft_verdict on_request(struct wf_desk *desk, weft_msg *msg)
{
    weft_err err = desk->failed;
    uint8_t durability = WF_SYNCED;
    if (err == WEFT_OK && !wf_desk_reserve(desk)) err = WEFT_NO_MEMORY;
    if (err != WEFT_OK) {
        weft_reply((weft_request *)msg, err);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_commit_kind) {
        err = apply_commit_of_level(desk, (struct wf_commit *)msg, &durability);
    } else if (msg->kind == &wf_follow_kind) {
        err = wf_writer_follow(desk->store, (struct wf_follow *)msg);
        wf_desk_shelf_due(desk);
    } else if (msg->kind == &wf_settings_commit_kind) {
        err = apply_settings(desk, (struct wf_settings_commit *)msg);
    } else if (msg->kind == &wf_remove_kind) {
        err = apply_remove(desk, (struct wf_remove *)msg);
    } else if (msg->kind == &wf_records_kind) {
        struct wf_records *several = (struct wf_records *)msg;
        err = wf_writer_records(desk->store, several->records, several->count);
    } else {
        err = apply_record(desk, (const struct wf_record_put *)msg);
    }
    const bool removes = err == WEFT_OK && msg->kind == &wf_remove_kind;
    /* A flush in between gave all answers up to here, so there is room for this one. */
    if (durability == WF_MEMORY) weft_reply((weft_request *)msg, err);
    else wf_desk_answer_take(desk, msg, err, durability == WF_SYNCED);
    if (removes) write_removal(desk);
    return WEFT_KEPT;
}

static weft_verdict on_message(struct wf_desk *desk, weft_msg *msg)
{
    if (msg->kind == &wf_ingest_kind) {
        wf_desk_ingest_take(desk, (struct wf_ingest *)msg);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_mend_kind) {
        wf_desk_on_noted_take(desk, msg);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_stored_kind) {
        wf_bells_take(&desk->bells, desk->store, (struct wf_stored *)msg);
        wf_bells_ring(&desk->bells, desk->store);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_gate_sub_kind) {
        wf_gate_subscribe_take(desk, (struct wf_gate_sub *)msg);
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_commit_kind || msg->kind == &wf_follow_kind ||
        msg->kind == &wf_settings_commit_kind || msg->kind == &wf_remove_kind ||
        msg->kind == &wf_record_kind || msg->kind == &wf_records_kind)
        return on_request(desk, msg);
    wf_log(WEFT_LOG_WARN, "store", "unknown message kind=%s", msg->kind->name);
    return WEFT_DONE;
}

static weft_verdict store_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    desk->self = self;
    if (msg->kind == &wf_flush_kind) {
        desk->flush = msg;
        wf_desk_flush_due(desk);
        if (desk->phase != WF_DESK_ENDING) return WEFT_KEPT;
        desk->flush = NULL; /* the runtime drops it */
        return weft_fail(self, desk->failed);
    }
    weft_verdict verdict = on_message(desk, msg);
    if (wf_writer_is_full(desk->store)) wf_desk_flush(desk);
    if (desk->flush_due || wf_desk_may_flush(desk)) wf_desk_ask_flush(desk);
    return verdict;
}

/* -- Life --------------------------------------------------------------------------------------------- */

/* Of an actor that was killed: frees what it held, answers nobody. */
static void desk_free(struct wf_desk *desk)
{
    wf_desk_group_fini(desk);
    wf_order_fini(&desk->order);
    wf_pending_fini(&desk->pool);
    wf_bells_fini(&desk->bells);
    wf_desk_reap_fini(desk);
    wf_desk_listen_end(desk);
    wf_free(desk->woken);
    desk->store->desk = NULL;
    wf_free(desk);
}

static weft_err store_init(weft_self *self, void *state, void *arg)
{
    const struct wf_store_actor_options *options = arg;
    if (options->store->desk != NULL) return WEFT_LOCKED; /* a store has one writer */
    struct wf_desk *desk = wf_calloc(1, sizeof *desk);
    if (desk == NULL) return WEFT_NO_MEMORY;
    desk->self = self;
    desk->flush = weft_new(&wf_flush_kind);
    if (desk->flush == NULL || wf_desk_prepare(desk) != WEFT_OK) {
        if (desk->flush != NULL) weft_drop(desk->flush);
        wf_free(desk);
        return WEFT_NO_MEMORY;
    }
    desk->store = options->store;
    if (wf_desk_listen(desk) != WEFT_OK) {
        weft_drop(desk->flush);
        wf_free(desk);
        return WEFT_NO_MEMORY;
    }
    desk->sync = options->sync;
    desk->herd = options->herd;
    uint64_t secret;
    weft_self_random(self, &secret, sizeof secret);
    wf_pending_init(&desk->pool, secret, item_dropped, desk);
    desk->store->desk = desk;
    desk->store->desk_free = desk_free;
    *(struct wf_desk **)state = desk;
    wf_desk_shelf_due(desk);
    wf_desk_reap(desk); /* what an earlier life has left of removed trees */
    return WEFT_OK;
}

static void store_fini(weft_self *self, void *state, weft_err reason)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)reason;
    desk->self = self;
    desk->must_sync = true;
    wf_gate_end(desk);
    wf_desk_flush(desk);
    wf_gate_refuse(desk);
    weft_timer_stop(self, &desk->sweep);
    weft_timer_stop(self, &desk->lazy_timer);
    weft_timer_stop(self, &desk->recover);
    weft_timer_stop(self, &desk->remake);
    weft_timer_stop(self, &desk->shelf);
    weft_timer_stop(self, &desk->reap);
    desk_free(desk);
}

weft_err wf_store_actor_spawn(weft_rt *rt, const struct wf_store_actor_options *options,
                              weft_addr **out)
{
    weft_spec spec = {.name = "store",
                      .arg = (void *)(uintptr_t)options,
                      .state_size = sizeof(struct wf_desk *),
                      .init = store_init,
                      .handle = store_handle,
                      .fini = store_fini,
                      .mailbox = WEFT_MAILBOX_DEFAULT};
    return weft_spawn(rt, &spec, out);
}
