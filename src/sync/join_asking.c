/* SPDX-License-Identifier: Apache-2.0
 * join_asking.c - what this node asks elsewhere: from the question to the tree's first sync, and
 * what is asked again until it is decided.
 * Called by: join_desk.c. May touch: the desk's asked rows, the node's identities; asks to the
 * engine, the store and the peer manager.
 * Never: forgets a request before its end is durable here. */
#include <string.h>

#include "access_actor.h"
#include "alloc.h"
#include "engine.h"
#include "identities.h"
#include "join_desk.h"
#include "log.h"
#include "peers.h"
#include "records.h"

#define POLL_TIMEOUT_NS (30 * WEFT_SEC)
#define ASK_ANYWAY 16u /* ticks: also where the decision would be told */

struct asking { /* one after the other: ask, follow, relate, forget, sync */
    struct wf_join_desk *desk;
    struct wf_join_req *req; /* who waits; NULL: nobody */
    struct wf_asked_row row;
    struct wf_joined said;
    bool again;                /* of a request that was made before */
    bool kept;                 /* the row in the desk is that of what was said */
    struct wf_join_over *over; /* made with it, so that its end cannot go untold; NULL: told */
};

/* Another request for the same tree and key may have taken its place. */
static bool is_row_of(const struct asking *a, const struct wf_asked_row *row)
{
    return memcmp(row->id, a->row.id, sizeof row->id) == 0 &&
           weft_key_equal(&row->server, &a->row.server);
}

/* -- The end of it ---------------------------------------------------------------------- */

static void finish(struct asking *a, weft_err err)
{
    struct wf_join_desk *desk = a->desk;
    struct wf_asked_row *row = wf_asked_find(&desk->asked, &a->row.tree, &a->row.key);
    struct wf_join_req *req = a->req;
    if (err == WEFT_CANCELED) err = WEFT_CLOSED;
    if (row != NULL && is_row_of(a, row)) row->asking = false;
    if (req != NULL) {
        req->outcome = (weft_join_outcome){.state = (weft_join_state)a->said.state,
                                           .right = (weft_right)a->said.right,
                                           .priority = a->said.priority,
                                           .server = a->row.server};
        memcpy(req->outcome.id, a->said.id, sizeof req->outcome.id);
        weft_reply(&req->req, err);
    }
    weft_drop(a->over == NULL ? NULL : &a->over->msg);
    wf_free(a);
    wf_join_arm(desk);
}

static weft_ns deadline_of(const struct asking *a)
{
    return a->req != NULL ? weft_deadline(&a->req->req) : weft_now(a->desk->self) + POLL_TIMEOUT_NS;
}

/* The next step; if it cannot be asked that is the end. */
static void ask(struct asking *a, weft_addr *to, weft_request *req, weft_ns deadline,
                weft_on_reply fn)
{
    weft_err err = req == NULL ? WEFT_NO_MEMORY
                               : weft_ask(a->desk->self, to, req, deadline, fn, a, NULL);
    if (err == WEFT_OK) return;
    if (req != NULL) weft_drop(&req->msg);
    finish(a, err);
}

static void on_synced(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    weft_drop(req == NULL ? NULL : &req->msg);
    finish(arg, err);
}

/* What was granted is here once it was synced; where nobody waits that comes by itself. */
static void sync_tree(struct asking *a)
{
    if (a->req == NULL) {
        finish(a, WEFT_OK);
        return;
    }
    struct wf_cmd *cmd = wf_cmd_create(WF_CMD_SYNC_TREE);
    if (cmd != NULL) {
        cmd->has_peer = true;
        cmd->peer = a->row.server;
        cmd->tree = a->row.tree;
    }
    ask(a, a->desk->table->sync, cmd == NULL ? NULL : &cmd->req, deadline_of(a), on_synced);
}

/* Somebody may keep the tree with the server and wait. */
static void tell_over(struct asking *a)
{
    struct wf_join_over *over = a->over;
    a->over = NULL;
    over->server = a->row.server;
    over->tree = a->row.tree;
    over->key = a->row.key;
    memcpy(over->id, a->row.id, sizeof over->id);
    over->state = (weft_join_state)a->said.state;
    if (weft_send(a->desk->table->sync, &over->msg) != WEFT_OK) weft_drop(&over->msg);
}

static weft_err end_of(const struct asking *a)
{
    return a->said.state == WEFT_JOIN_GRANTED    ? WEFT_EXISTS
           : a->said.state == WEFT_JOIN_REJECTED ? WEFT_REJECTED
                                                 : WEFT_EXPIRED;
}

static void go_on(struct asking *a, weft_err end)
{
    if (end == WEFT_EXISTS) sync_tree(a);
    else finish(a, end);
}

static void on_forgotten(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    struct wf_join_desk *desk = a->desk;
    weft_drop(req == NULL ? NULL : &req->msg);
    struct wf_asked_row *row = wf_asked_find(&desk->asked, &a->row.tree, &a->row.key);
    weft_err end = end_of(a);
    if (err != WEFT_OK) {
        finish(a, err); /* it is asked again */
        return;
    }
    if (row != NULL && is_row_of(a, row)) {
        wf_asked_remove(&desk->asked, row);
        wf_join_event(desk, &a->row.tree, &a->row.key, a->row.id, end);
        tell_over(a);
    }
    go_on(a, end);
}

/* It is decided, and all that follows from it is durable. */
static void forget(struct asking *a)
{
    const struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    if (row == NULL || !is_row_of(a, row)) {
        go_on(a, end_of(a));
        return;
    }
    struct wf_record_put *put = wf_record_create(0);
    if (put != NULL) {
        wf_join_key(put, WF_REC_ASKED, a->row.tree.bytes, sizeof a->row.tree.bytes,
                    a->row.key.bytes, sizeof a->row.key.bytes);
        put->remove = true;
    }
    ask(a, a->desk->table->store, put == NULL ? NULL : &put->req, WEFT_NEVER, on_forgotten);
}

/* -- Granted ---------------------------------------------------------------------------- */

static void on_related(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err != WEFT_OK) finish(a, err);
    else if (a->kept) forget(a);
    else sync_tree(a);
}

static void relate(struct asking *a)
{
    struct wf_peer_req *relate = wf_peer_req_create(WF_PEER_RELATE);
    if (relate != NULL) {
        relate->peer = a->row.server;
        relate->tree = a->row.tree;
    }
    ask(a, a->desk->table->peers, relate == NULL ? NULL : &relate->req, WEFT_NEVER, on_related);
}

static void on_followed(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) relate(a);
    else finish(a, err);
}

/* The tree is tracked here, and who let us in may read it here; but not what has been here before, followed
 * or not any more: else whoever says "granted" could read that. */
static void follow(struct asking *a)
{
    wf_tree_info info;
    bool here = wf_store_tree(a->desk->table->wf_store, &a->row.tree, &info) == WEFT_OK &&
                info.has_root;
    if (here && info.followed) {
        relate(a);
        return;
    }
    struct wf_access_req *req = wf_access_req_create(WF_ACC_FOLLOW);
    weft_key *reader = req == NULL || here ? NULL : wf_memdup(&a->row.server, sizeof *reader);
    if (req == NULL || (!here && reader == NULL)) {
        if (req != NULL) weft_drop(&req->req.msg);
        finish(a, WEFT_NO_MEMORY);
        return;
    }
    req->tree = a->row.tree;
    req->add = true;
    req->readers = reader;
    req->readers_count = !here;
    ask(a, a->desk->table->access, &req->req, WEFT_NEVER, on_followed);
}

/* Somebody else's device holds the key too: peers have to see that this one does. */
static weft_err use_key(struct asking *a)
{
    if (a->req == NULL || a->req->pair == NULL) return WEFT_OK;
    weft_msg *changed = weft_new(&wf_identity_kind);
    if (changed == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_identities_set(a->desk->table->identities, &a->row.tree, a->req->pair);
    if (err == WEFT_OK) err = weft_send(a->desk->table->sync, changed);
    if (err != WEFT_OK) weft_drop(changed);
    return err;
}

/* -- What was said ---------------------------------------------------------------------- */

static void on_kept(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) wf_join_event(a->desk, &a->row.tree, &a->row.key, a->row.id, WEFT_AWAITING);
    else if (row != NULL && memcmp(row->id, a->row.id, sizeof row->id) == 0)
        wf_asked_remove(&a->desk->asked, row); /* the caller asks again */
    finish(a, err == WEFT_OK ? WEFT_AWAITING : err);
}

static void keep(struct asking *a)
{
    struct wf_asked_row *there = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    if (there != NULL && memcmp(there->id, a->said.id, sizeof there->id) == 0 &&
        weft_key_equal(&there->server, &a->row.server)) {
        finish(a, WEFT_AWAITING); /* as it was */
        return;
    }
    memcpy(a->row.id, a->said.id, sizeof a->row.id);
    a->row.asked_ms = wf_join_now(a->desk);
    a->row.asking = false;
    /* In memory first: the decision may come while the disk is waited for. */
    weft_err err = wf_asked_put(&a->desk->asked, &a->row);
    if (err != WEFT_OK) {
        finish(a, err);
        return;
    }
    struct wf_record_put *put = wf_asked_row_record(&a->row);
    ask(a, a->desk->table->store, put == NULL ? NULL : &put->req, WEFT_NEVER, on_kept);
}

/* Does the row wait for what was said, or for no more than what was granted at once? */
static bool is_answer_to(const struct asking *a, const struct wf_asked_row *row)
{
    static const uint8_t none[16];
    const wf_grant said = {(weft_right)a->said.right, a->said.priority},
                   asked = {row->right, row->priority};
    if (!weft_key_equal(&row->server, &a->row.server)) return false;
    if (memcmp(row->id, a->said.id, sizeof row->id) == 0) return true;
    return !a->again && a->said.state == WEFT_JOIN_GRANTED &&
           memcmp(a->said.id, none, sizeof none) == 0 && wf_grant_compare(&said, &asked) >= 0;
}

static void settle(struct asking *a)
{
    const struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    bool lets_in = a->said.state == WEFT_JOIN_GRANTED || a->said.state == WEFT_JOIN_PENDING;
    weft_err err = lets_in ? use_key(a) : WEFT_OK;
    a->kept = row != NULL && is_answer_to(a, row);
    if (a->kept) memcpy(a->row.id, row->id, sizeof a->row.id);
    if (err != WEFT_OK) finish(a, err);
    else if (a->said.state == WEFT_JOIN_GRANTED) follow(a);
    else if (a->said.state == WEFT_JOIN_PENDING && a->again && !a->kept) finish(a, WEFT_AWAITING);
    else if (a->said.state == WEFT_JOIN_PENDING) keep(a);
    else if (a->kept) forget(a);
    else finish(a, end_of(a));
}

static void on_answer(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    const struct wf_cmd *cmd = (const struct wf_cmd *)req;
    if (err == WEFT_OK) {
        a->said = cmd->join->said;
        a->row.server = cmd->result.peer;
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err != WEFT_OK) finish(a, err);
    else settle(a);
}

/* -- Asking ----------------------------------------------------------------------------- */

static struct asking *asking_create(struct wf_join_desk *desk, const struct wf_asked_row *row,
                                    struct wf_join_req *req)
{
    struct asking *a = wf_calloc(1, sizeof *a);
    if (a == NULL) return NULL;
    a->over = (struct wf_join_over *)weft_new(&wf_join_over_kind);
    if (a->over == NULL) {
        wf_free(a);
        return NULL;
    }
    a->desk = desk;
    a->req = req;
    a->again = memcmp(row->id, (const uint8_t[16]){0}, sizeof row->id) != 0;
    a->row = *row;
    return a;
}

static struct wf_cmd *command_of(const struct asking *a, bool again)
{
    const struct wf_join_req *req = a->req;
    struct wf_cmd *cmd = wf_cmd_create(WF_CMD_JOIN);
    if (cmd == NULL) return NULL;
    struct wf_join_cmd *join = cmd->join = wf_calloc(1, sizeof *join);
    if (join == NULL) goto failed;
    join->ask = (struct wf_join_ask){.tree = a->row.tree,
                                     .key = a->row.key,
                                     .right = (uint32_t)a->row.right,
                                     .priority = a->row.priority,
                                     .has_id = again,
                                     .meta = join->meta};
    memcpy(join->ask.name, a->row.name, sizeof join->ask.name);
    cmd->has_peer = true;
    cmd->peer = a->row.server;
    if (again) {
        /* A decision that somebody had no memory to tell is found in the end. */
        join->idle = req == NULL && a->desk->ticks % ASK_ANYWAY != 0;
        memcpy(join->ask.id, a->row.id, sizeof join->ask.id);
        return cmd;
    }
    cmd->has_peer = req->has_server;
    memcpy(cmd->text, req->address, sizeof cmd->text);
    memcpy(join->meta, req->meta, req->meta_len);
    join->ask.meta_len = req->meta_len;
    if (req->pair == NULL || wf_join_pair_copy(req->pair, &join->pair) == WEFT_OK) return cmd;
failed:
    weft_drop(&cmd->req.msg);
    return NULL;
}

static void begin(struct asking *a, bool again)
{
    struct wf_cmd *cmd = command_of(a, again);
    ask(a, a->desk->table->sync, cmd == NULL ? NULL : &cmd->req, deadline_of(a), on_answer);
}

weft_verdict wf_asking_on_req(struct wf_join_desk *desk, struct wf_join_req *req)
{
    struct wf_asked_row row = {.tree = req->tree,
                               .key = req->key,
                               .server = req->server,
                               .right = req->right,
                               .priority = req->priority};
    bool again = req->op == WF_JOIN_CHECK;
    const struct wf_asked_row *there = wf_asked_find(&desk->asked, &req->tree, &req->key);
    memcpy(row.name, req->name, sizeof row.name);
    if (again && there != NULL) row = *there;
    struct asking *a = again && there == NULL ? NULL : asking_create(desk, &row, req);
    if (a == NULL) weft_reply(&req->req, again && there == NULL ? WEFT_NOT_FOUND : WEFT_NO_MEMORY);
    else begin(a, again);
    return WEFT_KEPT;
}

/* -- Asking again ----------------------------------------------------------------------- */

static void poll(struct wf_join_desk *desk, uint32_t i)
{
    struct wf_asked_row *row = &desk->asked.rows[i];
    struct asking *a = row->asking ? NULL : asking_create(desk, row, NULL);
    if (a == NULL) return; /* at the next tick */
    row->asking = true;
    begin(a, true);
}

void wf_asking_on_said(struct wf_join_desk *desk, const struct wf_join_said *said)
{
    const struct wf_asked_row *row = wf_asked_of(&desk->asked, &said->device, said->said.id);
    if (row == NULL || said->said.state == WEFT_JOIN_PENDING) return;
    struct asking *a = asking_create(desk, row, NULL);
    if (a == NULL) return; /* it is asked for later */
    a->said = said->said;
    settle(a);
}

void wf_asking_on_up(struct wf_join_desk *desk, const weft_key *peer)
{
    for (uint32_t i = 0; i < desk->asked.count; i++)
        if (weft_key_equal(&desk->asked.rows[i].server, peer)) poll(desk, i);
}

/* What nobody has told the end of in all the time that it has over there is over here too. */
static bool is_over(const struct wf_asked_row *row, int64_t now_ms)
{
    return now_ms > row->asked_ms &&
           now_ms - row->asked_ms >= WEFT_JOIN_TTL_MS + (int64_t)(WEFT_JOIN_POLL_NS / WEFT_MS);
}

void wf_asking_on_tick(struct wf_join_desk *desk)
{
    int64_t now = wf_join_now(desk);
    desk->ticks++;
    for (uint32_t i = 0; i < desk->asked.count; i++) {
        struct wf_asked_row *row = &desk->asked.rows[i];
        struct asking *a = !row->asking && is_over(row, now) ? asking_create(desk, row, NULL)
                                                             : NULL;
        if (a == NULL) {
            poll(desk, i);
            continue;
        }
        row->asking = true;
        a->said.state = WEFT_JOIN_EXPIRED;
        memcpy(a->said.id, row->id, sizeof a->said.id);
        settle(a);
    }
}
