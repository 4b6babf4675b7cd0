/* SPDX-License-Identifier: Apache-2.0
 * join_said.c - what follows here from what another node said about a request to join: it is kept,
 * or the tree is followed, related and synced, or it is over.
 * Called by: join_asking.c. May touch: the desk's asked rows, the node's identities; asks to the engine,
 * the store and the peer manager.
 * Never: forgets a request before its end is durable here. */
#include <string.h>

#include "access_actor.h"
#include "alloc.h"
#include "engine.h"
#include "identities.h"
#include "join_asking.h"
#include "log.h"
#include "peers.h"
#include "records.h"

#define POLL_TIMEOUT_NS (30 * WEFT_SEC)

/* Another request for the same tree and key may have taken its place. */
static bool is_row_of(const struct asking *a, const struct wf_asked_row *row)
{
    return memcmp(row->id, a->row.id, sizeof row->id) == 0 &&
           weft_key_equal(&row->server, &a->row.server);
}

/* -- The end of it ---------------------------------------------------------------------- */

void wf_asking_finish(struct asking *a, weft_err err)
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

weft_ns wf_asking_deadline(const struct asking *a)
{
    return a->req != NULL ? weft_deadline(&a->req->req) : weft_now(a->desk->self) + POLL_TIMEOUT_NS;
}

/* The next step; if it cannot be asked that is the end. */
void wf_asking_step(struct asking *a, weft_addr *to, weft_request *req, weft_ns deadline,
                    weft_on_reply fn)
{
    weft_err err = req == NULL ? WEFT_NO_MEMORY
                               : weft_ask(a->desk->self, to, req, deadline, fn, a, NULL);
    if (err == WEFT_OK) return;
    if (req != NULL) weft_drop(&req->msg);
    wf_asking_finish(a, err);
}

static void on_synced(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_asking_finish(arg, err);
}

/* What was granted is here once it was synced; where nobody waits that comes by itself. */
static void sync_tree(struct asking *a)
{
    if (a->req == NULL) {
        wf_asking_finish(a, WEFT_OK);
        return;
    }
    struct wf_cmd *cmd = wf_cmd_create(WF_CMD_SYNC_TREE);
    if (cmd != NULL) {
        cmd->has_peer = true;
        cmd->peer = a->row.server;
        cmd->tree = a->row.tree;
    }
    wf_asking_step(a, a->desk->table->sync, cmd == NULL ? NULL : &cmd->req, wf_asking_deadline(a),
                   on_synced);
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
    else wf_asking_finish(a, end);
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
        wf_asking_finish(a, err); /* it is asked again */
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
    wf_asking_step(a, a->desk->table->store, put == NULL ? NULL : &put->req, WEFT_NEVER,
                   on_forgotten);
}

/* -- Granted ---------------------------------------------------------------------------- */

static void on_related(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err != WEFT_OK) wf_asking_finish(a, err);
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
    wf_asking_step(a, a->desk->table->peers, relate == NULL ? NULL : &relate->req, WEFT_NEVER,
                   on_related);
}

static void on_followed(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) relate(a);
    else wf_asking_finish(a, err);
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
        wf_asking_finish(a, WEFT_NO_MEMORY);
        return;
    }
    req->tree = a->row.tree;
    req->add = true;
    req->joins = a->again; /* it may wait there behind the change that lets go of the tree */
    req->principal = a->row.key;
    req->readers = reader;
    req->readers_count = !here;
    wf_asking_step(a, a->desk->table->access, &req->req, WEFT_NEVER, on_followed);
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

/* What could not be written is not here either: whoever asked asks again, and what was kept before
 * is asked for again as before. */
static void take_back(struct asking *a)
{
    struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    if (row == NULL || !is_row_of(a, row)) return; /* it is over already */
    if (!a->replaced) {
        wf_asked_remove(&a->desk->asked, row);
        return;
    }
    *row = a->before;
    row->asking = false; /* who asked about it meanwhile did not find it */
}

static void on_kept(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct asking *a = arg;
    struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err != WEFT_OK) {
        take_back(a);
        wf_asking_finish(a, err);
        return;
    }
    if (row != NULL && is_row_of(a, row)) row->saved = true;
    wf_join_event(a->desk, &a->row.tree, &a->row.key, a->row.id, WEFT_AWAITING);
    wf_asking_finish(a, WEFT_AWAITING);
}

static weft_err ask_to_keep(struct asking *a)
{
    struct wf_record_put *put = wf_asked_row_record(&a->row);
    if (put == NULL) return WEFT_NO_MEMORY;
    return wf_join_ask_store(a->desk, &put->req, on_kept, a) ? WEFT_OK : WEFT_CLOSED;
}

static void keep(struct asking *a)
{
    struct wf_asked_row *there = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    if (there != NULL && memcmp(there->id, a->said.id, sizeof there->id) == 0 &&
        weft_key_equal(&there->server, &a->row.server)) {
        wf_asking_finish(a, WEFT_AWAITING); /* as it was */
        return;
    }
    if (there != NULL && !there->saved) { /* which of the two is kept the disk has yet to say */
        wf_asking_finish(a, WEFT_BUSY);
        return;
    }
    a->replaced = there != NULL;
    if (a->replaced) a->before = *there;
    memcpy(a->row.id, a->said.id, sizeof a->row.id);
    a->row.asked_ms = wf_join_now(a->desk);
    a->row.asking = a->row.saved = false;
    /* In memory first: the decision may come while the disk is waited for. */
    weft_err err = wf_asked_put(&a->desk->asked, &a->row);
    if (err == WEFT_OK) {
        err = ask_to_keep(a);
        if (err == WEFT_OK) return;
        take_back(a);
    }
    wf_asking_finish(a, err);
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

/* It was told before, by another answer; or the tree was let go of since that was asked, or is just
 * now, and does not come back for it. */
static void end_late(struct asking *a)
{
    wf_tree_info info;
    bool here = !wf_join_desk_is_leaving(a->desk, &a->row.tree) &&
                wf_store_tree(a->desk->table->wf_store, &a->row.tree, &info) == WEFT_OK;
    if (here && info.followed) relate(a);
    else wf_asking_finish(a, WEFT_NOT_FOUND);
}

void wf_asking_settle(struct asking *a)
{
    const struct wf_asked_row *row = wf_asked_find(&a->desk->asked, &a->row.tree, &a->row.key);
    const bool late = a->again && (row == NULL || wf_join_desk_is_leaving(a->desk, &a->row.tree));
    bool lets_in = a->said.state == WEFT_JOIN_GRANTED || a->said.state == WEFT_JOIN_PENDING;
    weft_err err = lets_in ? use_key(a) : WEFT_OK;
    a->kept = row != NULL && is_answer_to(a, row);
    if (a->kept) memcpy(a->row.id, row->id, sizeof a->row.id);
    if (err != WEFT_OK) wf_asking_finish(a, err);
    else if (a->said.state == WEFT_JOIN_GRANTED && late) end_late(a);
    else if (a->said.state == WEFT_JOIN_GRANTED) follow(a);
    else if (a->said.state == WEFT_JOIN_PENDING && a->again && !a->kept)
        wf_asking_finish(a, WEFT_AWAITING);
    else if (a->said.state == WEFT_JOIN_PENDING) keep(a);
    else if (a->kept) forget(a);
    else wf_asking_finish(a, end_of(a));
}
