/* SPDX-License-Identifier: Apache-2.0
 * peers_change.c - requests that change what is known of a peer.
 * Called by: peers_actor.c. May touch: the registry, the sets of keys; records through peers_records.c.
 * Never: answers before it is durable, and before who is blocked has no connection any more. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "keyset.h"
#include "log.h"
#include "peers_state.h"
#include "transport.h"

void wf_peers_tell_sync(struct peers *p, const weft_key *peer, const weft_id *tree,
                        enum wf_peer_change what)
{
    struct wf_peer_changed *msg = (struct wf_peer_changed *)weft_new(&wf_peer_changed_kind);
    if (msg == NULL) {
        /* The connection check finds the change later. */
        wf_log(WEFT_LOG_WARN, "peers", "out of memory: a change reaches sync late");
        return;
    }
    msg->peer = *peer;
    if (tree != NULL) msg->tree = *tree;
    msg->what = what;
    if (wf_send_system(p->table->sync, &msg->msg) != WEFT_OK) weft_drop(&msg->msg);
}

/* -- The changes ------------------------------------------------------------------------------ */

/* One whose record is damaged begins again, and is not blocked any more. */
static weft_err op_register(struct peers *p, struct wf_peer_req *req, struct wf_peer_row **out)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row != NULL && !row->aside) return WEFT_EXISTS;
    weft_err err = row == NULL ? wf_peers_add(p, &req->peer, false, &row)
                               : wf_keyset_set(p->table->blocked, &req->peer, false);
    if (err != WEFT_OK) return err;
    if (row->aside) wf_peers_tell_sync(p, &req->peer, NULL, WF_CHANGED_ACTIVE);
    row->info.status = WEFT_PEER_ACTIVE;
    *out = row;
    weft_peer_info *info = &row->info;
    info->first_seen_ms = info->last_seen_ms = wf_wall_ms(p->table->rt);
    memcpy(info->name, req->text, sizeof info->name - 1); /* longer names are cut */
    return WEFT_OK;
}

/* Registers an unknown peer and adds the address; for peers that proved their key. */
static weft_err op_ensure(struct peers *p, struct wf_peer_req *req, struct wf_peer_row **out)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row != NULL && row->info.status == WEFT_PEER_BLOCKED) return WEFT_BLOCKED;
    if (row == NULL) {
        /* Of a tree that everybody may read each key of an attacker is an authorised peer: they do
         * not take the places of those whom somebody will want to name. */
        if (req->came && p->reg.count >= WEFT_PEERS_CAME_MAX) return WEFT_LIMIT;
        weft_err err = wf_peers_add(p, &req->peer, req->unnamed, &row);
        if (err != WEFT_OK) return err;
        row->info.first_seen_ms = wf_wall_ms(p->table->rt);
        row->dirty = true;
    }
    row->info.last_seen_ms = wf_wall_ms(p->table->rt);
    if (req->text[0] != '\0' && wf_row_add_address(row, req->text) == WEFT_OK) row->dirty = true;
    if (req->worked) {
        wf_row_address_worked(row, req->text, row->info.last_seen_ms);
        row->dirty = true;
    }
    *out = row;
    return WEFT_OK;
}

/* In both directions: who knocks is refused from now on, and what there is of connections is
 * closed before that is answered. */
static weft_err block(struct peers *p, const weft_key *peer, struct wf_peer_saving *saving)
{
    bool before = wf_keyset_has(p->table->blocked, peer);
    struct wf_peer_part *part = (struct wf_peer_part *)weft_new(&wf_peer_part_kind);
    if (part != NULL) part->close = wf_tp_new(&wf_tp_part_kind);
    if (part == NULL || part->close == NULL) {
        weft_drop(part == NULL ? NULL : &part->req.msg);
        return WEFT_NO_MEMORY;
    }
    part->peer = *peer;
    weft_err err = wf_keyset_set(p->table->blocked, peer, true);
    if (err != WEFT_OK) {
        weft_drop(&part->req.msg);
        return err;
    }
    err = wf_saving_ask(p, saving, p->table->sync, &part->req);
    if (err != WEFT_OK && !before) (void)wf_keyset_set(p->table->blocked, peer, false);
    return err;
}

static weft_err op_status(struct peers *p, struct wf_peer_req *req, struct wf_peer_saving *saving,
                          struct wf_peer_row *row)
{
    weft_err err = req->status == WEFT_PEER_BLOCKED
                       ? block(p, &req->peer, saving)
                       : wf_keyset_set(p->table->blocked, &req->peer, false);
    if (err != WEFT_OK) return err;
    row->info.status = req->status;
    row->info.last_seen_ms = wf_wall_ms(p->table->rt);
    if (req->status != WEFT_PEER_BLOCKED)
        wf_peers_tell_sync(p, &req->peer, NULL,
                           req->status == WEFT_PEER_ACTIVE ? WF_CHANGED_ACTIVE
                                                           : WF_CHANGED_INACTIVE);
    return WEFT_OK;
}

/* Blocked, and out of every tree's list; unknown is not an error. */
static weft_err op_remove(struct peers *p, struct wf_peer_req *req, struct wf_peer_saving *saving,
                          struct wf_peer_row *row)
{
    req->status = WEFT_PEER_BLOCKED;
    weft_err err = op_status(p, req, saving, row);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < row->info.trees_count; i++)
        wf_saving_relation(p, saving, &req->peer, &row->trees[i], true);
    row->info.trees_count = 0;
    return WEFT_OK;
}

static weft_err op_relate(struct peers *p, struct wf_peer_req *req, struct wf_peer_saving *saving,
                          struct wf_peer_row *row, bool relate)
{
    weft_err err = relate ? wf_row_relate(row, &req->tree) : wf_row_unrelate(row, &req->tree);
    if (err == WEFT_EXISTS || err == WEFT_NOT_FOUND) return WEFT_OK; /* as it was */
    if (err != WEFT_OK) return err;
    wf_saving_relation(p, saving, &req->peer, &req->tree, !relate);
    wf_peers_tell_sync(p, &req->peer, &req->tree,
                       relate ? WF_CHANGED_RELATED : WF_CHANGED_UNRELATED);
    return WEFT_OK;
}

static weft_err add_addresses(struct wf_peer_row *row, const struct wf_peer_req *req)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < req->addresses_count; i++) {
        err = wf_row_add_address(row, req->addresses[i]);
        if (err == WEFT_EXISTS) err = WEFT_OK;
    }
    return err;
}

/* A peer with addresses that keeps a tree with us. What fails leaves the row as it was. */
static weft_err op_declare(struct peers *p, struct wf_peer_req *req, struct wf_peer_saving *saving)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row != NULL && row->info.status == WEFT_PEER_BLOCKED) return WEFT_BLOCKED;
    bool fresh = row == NULL;
    weft_err err = fresh ? op_register(p, req, &row) : WEFT_OK;
    if (err != WEFT_OK) return err;
    struct wf_peer_row *before = wf_memdup(row, sizeof *row);
    err = before == NULL ? WEFT_NO_MEMORY : add_addresses(row, req);
    bool related = wf_row_related(row, &req->tree);
    if (err == WEFT_OK && !related) err = wf_row_relate(row, &req->tree);
    if (err == WEFT_OK) err = wf_saving_declared(p, saving, row, &req->tree);
    if (err == WEFT_OK) {
        if (!related) wf_peers_tell_sync(p, &req->peer, &req->tree, WF_CHANGED_RELATED);
    } else if (before != NULL) {
        if (!related) (void)wf_row_unrelate(row, &req->tree);
        row->info = before->info;
        memcpy(row->about, before->about, sizeof row->about);
    }
    if (err != WEFT_OK && fresh) wf_peers_remove(p, row);
    wf_free(before);
    return err;
}

static weft_err op_address(struct peers *p, struct wf_peer_req *req, struct wf_peer_row *row)
{
    weft_err err = req->op == WF_PEER_ADD_ADDRESS ? wf_row_add_address(row, req->text)
                                                  : wf_row_remove_address(row, req->text);
    if (err == WEFT_EXISTS) return WEFT_OK;
    row->info.last_seen_ms = wf_wall_ms(p->table->rt);
    return err;
}

static weft_verdict answer(struct wf_peer_req *req, weft_err err)
{
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

/* *row: that of the peer, NULL if there is none yet. */
static weft_err change(struct peers *p, struct wf_peer_req *req, struct wf_peer_saving *saving,
                       struct wf_peer_row **row)
{
    weft_err err = *row == NULL || req->unnamed ? WEFT_OK : wf_peers_named(p, *row);
    if (err != WEFT_OK) return err;
    switch (req->op) {
    case WF_PEER_REGISTER: return op_register(p, req, row);
    case WF_PEER_ENSURE: return op_ensure(p, req, row);
    case WF_PEER_DECLARE: return op_declare(p, req, saving);
    case WF_PEER_STATUS: return op_status(p, req, saving, *row);
    case WF_PEER_REMOVE: return op_remove(p, req, saving, *row);
    case WF_PEER_RELATE: return op_relate(p, req, saving, *row, true);
    case WF_PEER_UNRELATE: return op_relate(p, req, saving, *row, false);
    default: return op_address(p, req, *row);
    }
}

weft_verdict wf_peers_change(struct peers *p, struct wf_peer_req *req)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row == NULL && req->op == WF_PEER_REMOVE) return answer(req, WEFT_OK);
    if (row == NULL && req->op != WF_PEER_REGISTER && req->op != WF_PEER_ENSURE &&
        req->op != WF_PEER_DECLARE)
        return answer(req, WEFT_NOT_FOUND);
    struct wf_peer_saving *saving = wf_saving_open(req);
    if (saving == NULL) return answer(req, WEFT_NO_MEMORY);
    weft_err err = change(p, req, saving, &row);
    bool saves = err == WEFT_OK && req->op != WF_PEER_DECLARE &&
                 (req->op != WF_PEER_ENSURE || row->dirty);
    if (saves) wf_saving_row(p, saving, row);
    if (err != WEFT_OK) saving->err = err;
    wf_saving_close(saving);
    return WEFT_KEPT;
}
