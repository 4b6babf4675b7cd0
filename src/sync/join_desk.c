/* SPDX-License-Identifier: Apache-2.0
 * join_desk.c - the door of joining: its messages, its records, its clock.
 * Called by: access_actor.c, on its thread. May touch: the desk; records through the store.
 * Never: decides; the other join_*.c do. */
#include "join_desk.h"

#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "crypto.h"
#include "join_records.h"
#include "log.h"
#include "notify.h"
#include "records.h"

/* -- Messages --------------------------------------------------------------------------- */

static void drop_req(weft_msg *msg)
{
    struct wf_join_req *req = (struct wf_join_req *)msg;
    weft_keypair_destroy(req->pair);
    wf_free(req->joins);
    weft_free_msg(msg);
}

const weft_kind wf_join_req_kind = {0x5608, "access.join", sizeof(struct wf_join_req), drop_req};
const weft_kind wf_join_in_kind = {0x5609, "access.join_in", sizeof(struct wf_join_in),
                                   weft_free_msg};
const weft_kind wf_join_said_kind = {0x560a, "access.join_said", sizeof(struct wf_join_said),
                                     weft_free_msg};
const weft_kind wf_join_up_kind = {0x560b, "access.join_up", sizeof(struct wf_join_up),
                                   weft_free_msg};

const weft_kind wf_join_over_kind = {0x560c, "access.join_over", sizeof(struct wf_join_over),
                                     weft_free_msg};

struct wf_join_req *wf_join_req_create(enum wf_join_op op)
{
    struct wf_join_req *req = (struct wf_join_req *)weft_new(&wf_join_req_kind);
    if (req != NULL) req->op = op;
    return req;
}

struct wf_join_req *wf_join_req_copy(const struct wf_join_req *ask)
{
    struct wf_join_req *req = wf_join_req_create(WF_JOIN_ASK);
    if (req == NULL) return NULL;
    req->tree = ask->tree;
    req->right = ask->right;
    req->priority = ask->priority;
    memcpy(req->address, ask->address, sizeof req->address);
    req->has_server = ask->has_server;
    req->server = ask->server;
    req->key = ask->key;
    memcpy(req->name, ask->name, sizeof req->name);
    req->meta_len = ask->meta_len;
    memcpy(req->meta, ask->meta, ask->meta_len);
    if (ask->pair == NULL || wf_join_pair_copy(ask->pair, &req->pair) == WEFT_OK) return req;
    weft_drop(&req->req.msg);
    return NULL;
}

void wf_join_cmd_free(struct wf_join_cmd *join)
{
    if (join == NULL) return;
    weft_keypair_destroy(join->pair);
    wf_free(join);
}

weft_err wf_join_pair_copy(const weft_keypair *pair, weft_keypair **out)
{
    uint8_t seed[32];
    wf_keypair_seed(pair, seed);
    weft_err err = weft_keypair_from_seed(seed, out);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

/* -- Shared ----------------------------------------------------------------------------- */

int64_t wf_join_now(struct wf_join_desk *desk)
{
    int64_t wall = wf_wall_ms(desk->table->rt);
    weft_ns now = weft_now(desk->self);
    if (desk->joins.count + desk->asked.count == 0) wf_join_clock_set(&desk->clock, wall, now);
    return wf_join_clock_ms(&desk->clock, wall, now);
}

bool wf_join_ask_store(struct wf_join_desk *desk, weft_request *req, weft_on_reply fn, void *arg)
{
    weft_err err = weft_ask(desk->self, desk->table->store, req, WEFT_NEVER, fn, arg, NULL);
    if (err != WEFT_OK) weft_drop(&req->msg);
    return err == WEFT_OK;
}

void wf_join_key(struct wf_record_put *put, uint8_t prefix, const void *a, size_t a_len,
                 const void *b, size_t b_len)
{
    put->cf = WF_CF_PEER;
    put->key[0] = prefix;
    if (a_len > 0) memcpy(put->key + 1, a, a_len);
    if (b_len > 0) memcpy(put->key + 1 + a_len, b, b_len);
    put->key_len = (uint32_t)(1 + a_len + b_len);
}

struct wf_record_put *wf_join_row_record(const weft_join_request *request)
{
    uint8_t bytes[WF_JOIN_RECORD_MAX];
    size_t len = wf_join_record_encode(request, bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    wf_join_key(put, WF_REC_JOIN, request->id, sizeof request->id, NULL, 0);
    memcpy(put->value, bytes, len);
    return put;
}

struct wf_record_put *wf_asked_row_record(const struct wf_asked_row *row)
{
    uint8_t bytes[WF_ASKED_RECORD_MAX];
    size_t len = wf_asked_record_encode(row, bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    wf_join_key(put, WF_REC_ASKED, row->tree.bytes, sizeof row->tree.bytes, row->key.bytes,
                sizeof row->key.bytes);
    memcpy(put->value, bytes, len);
    return put;
}

void wf_join_event(struct wf_join_desk *desk, const weft_id *tree, const weft_key *key,
                   const uint8_t id[16], weft_err err)
{
    struct wf_notify_event *msg = (struct wf_notify_event *)weft_new(&wf_notify_event_kind);
    if (msg == NULL) return; /* the feed may leave out; the lists do not */
    msg->event = (weft_event){.kind = WEFT_EV_JOIN, .err = err, .tree = *tree, .peer = *key};
    memcpy(msg->event.request, id, sizeof msg->event.request);
    if (wf_send_system(desk->table->notify, &msg->msg) != WEFT_OK) weft_drop(&msg->msg);
}

/* -- Time ------------------------------------------------------------------------------- */

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)state;
    (void)missed;
    struct wf_join_desk *desk = (struct wf_join_desk *)((char *)timer -
                                                        offsetof(struct wf_join_desk, tick));
    wf_decide_on_tick(desk);
    wf_asking_on_tick(desk);
    wf_join_arm(desk);
}

/* What a crash takes of it the wall clock gives back at the next opening. */
static void save_clock(struct wf_join_desk *desk)
{
    int64_t wall = wf_wall_ms(desk->table->rt);
    struct wf_join_saved saved = {wf_join_now(desk), wall > 0 ? wall : 0};
    uint8_t bytes[WF_JOIN_CLOCK_RECORD_MAX];
    size_t len = wf_join_saved_encode(&saved, bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return;
    wf_join_key(put, WF_REC_JOIN_CLOCK, NULL, 0, NULL, 0);
    memcpy(put->value, bytes, len);
    if (weft_send(desk->table->store, &put->req.msg) != WEFT_OK) weft_drop(&put->req.msg);
}

void wf_join_arm(struct wf_join_desk *desk)
{
    if (desk->tick.heap_at != 0 || desk->joins.count + desk->asked.count == 0) return;
    save_clock(desk);
    (void)weft_timer_set(desk->self, &desk->tick, weft_now(desk->self) + WEFT_JOIN_POLL_NS, 0,
                         on_tick);
}

/* -- Begin and end ---------------------------------------------------------------------- */

weft_err wf_join_desk_start(struct wf_join_desk *desk, weft_self *self,
                            const struct wf_node_table *table)
{
    desk->self = self;
    desk->saved.ms = -1;
    weft_err err = wf_join_records_load(desk, table);
    if (err != WEFT_OK) return wf_fail(err, "access", "the records of joining cannot be read");
    desk->table = table;
    wf_join_clock_resume(&desk->clock, &desk->saved, wf_wall_ms(table->rt), weft_now(self));
    wf_join_modes_resume(&desk->modes, wf_join_now(desk), weft_now(self));
    wf_join_arm(desk);
    return WEFT_OK;
}

void wf_join_desk_fini(struct wf_join_desk *desk)
{
    wf_joins_fini(&desk->joins);
    wf_join_modes_fini(&desk->modes);
    wf_asked_fini(&desk->asked);
    desk->table = NULL;
}

/* -- Hearing ---------------------------------------------------------------------------- */

static weft_verdict look(const struct wf_join_desk *desk, struct wf_join_req *req)
{
    const struct wf_join_row *row = NULL;
    if (req->op == WF_JOIN_GET) row = wf_joins_find(&desk->joins, req->id);
    if (row != NULL && !row->saved) row = NULL;
    uint32_t count = req->op == WF_JOIN_GET ? row != NULL
                                            : wf_joins_list(&desk->joins, req->state, NULL);
    weft_err err = req->op == WF_JOIN_GET && row == NULL ? WEFT_NOT_FOUND : WEFT_OK;
    if (count > 0) {
        req->joins = wf_calloc(count, sizeof *req->joins);
        if (req->joins == NULL) err = WEFT_NO_MEMORY;
        else if (row != NULL) req->joins[0] = row->r;
        else (void)wf_joins_list(&desk->joins, req->state, req->joins);
    }
    if (err == WEFT_OK) req->count = count;
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static weft_verdict on_req(struct wf_join_desk *desk, struct wf_join_req *req)
{
    switch (req->op) {
    case WF_JOIN_MODE: return wf_join_mode_on_req(desk, req);
    case WF_JOIN_APPROVE:
    case WF_JOIN_REJECT: return wf_decide_on_req(desk, req);
    case WF_JOIN_ASK:
    case WF_JOIN_CHECK: return wf_asking_on_req(desk, req);
    default: return look(desk, req);
    }
}

bool wf_join_desk_handle(struct wf_join_desk *desk, weft_msg *msg, weft_verdict *verdict)
{
    const weft_kind *kind = msg->kind;
    *verdict = WEFT_DONE;
    if (kind != &wf_join_req_kind && kind != &wf_join_in_kind && kind != &wf_join_said_kind &&
        kind != &wf_join_up_kind)
        return false;
    if (desk->table == NULL) return true; /* not wired: it is dropped */
    if (kind == &wf_join_req_kind) *verdict = on_req(desk, (struct wf_join_req *)msg);
    else if (kind == &wf_join_in_kind) *verdict = wf_judge_on_in(desk, (struct wf_join_in *)msg);
    else if (kind == &wf_join_said_kind) wf_asking_on_said(desk, (struct wf_join_said *)msg);
    else wf_asking_on_up(desk, &((struct wf_join_up *)msg)->peer);
    return true;
}

/* -- A tree that is let go of ------------------------------------------------------------- */

bool wf_join_desk_is_asking(const struct wf_join_desk *desk, const weft_id *tree)
{
    for (uint32_t i = 0; i < desk->asked.count; i++)
        if (desk->asked.rows[i].asking && weft_id_equal(&desk->asked.rows[i].tree, tree))
            return true;
    return false;
}

void wf_join_desk_leave(struct wf_join_desk *desk, const weft_id *tree)
{
    desk->leaving = tree == NULL ? (weft_id){{0}} : *tree;
}

bool wf_join_desk_is_leaving(const struct wf_join_desk *desk, const weft_id *tree)
{
    return weft_id_equal(&desk->leaving, tree);
}

static struct wf_record_put *gone(uint8_t prefix, const weft_id *tree, const weft_key *key)
{
    struct wf_record_put *put = wf_record_create(0);
    if (put == NULL) return NULL;
    wf_join_key(put, prefix, tree->bytes, sizeof tree->bytes, key == NULL ? NULL : key->bytes,
                key == NULL ? 0 : sizeof key->bytes);
    put->remove = true;
    return put;
}

uint32_t wf_join_desk_drop_records(const struct wf_join_desk *desk, const weft_id *tree,
                                   struct wf_record_put **out)
{
    static const uint8_t kinds[] = {WF_REC_JOIN_MODE, WF_REC_JOIN_SPENT};
    uint32_t count = 0;
    /* Also where there is none yet: one may be on its way to the store, before this. */
    for (; count < sizeof kinds; count++) {
        if (out != NULL) out[count] = gone(kinds[count], tree, NULL);
        if (out != NULL && out[count] == NULL) return count;
    }
    for (uint32_t i = 0; i < desk->asked.count; i++) {
        const struct wf_asked_row *row = &desk->asked.rows[i];
        if (!weft_id_equal(&row->tree, tree)) continue;
        if (out != NULL) out[count] = gone(WF_REC_ASKED, tree, &row->key);
        if (out != NULL && out[count] == NULL) return count;
        count++;
    }
    return count;
}

/* Whose answer comes later finds no row (wf_asking_settle). */
void wf_join_desk_drop(struct wf_join_desk *desk, const weft_id *tree)
{
    wf_join_modes_forget(&desk->modes, tree);
    for (uint32_t i = desk->asked.count; i-- > 0;) {
        struct wf_asked_row *row = &desk->asked.rows[i];
        if (weft_id_equal(&row->tree, tree)) wf_asked_remove(&desk->asked, row);
    }
}
