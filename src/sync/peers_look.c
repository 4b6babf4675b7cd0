/* SPDX-License-Identifier: Apache-2.0
 * peers_look.c - requests that only look: at peers, their addresses, trees and past syncs.
 * Called by: peers_actor.c. May touch: the registry and the history.
 * Never: writes, but for the end of what is too old and of a history that is trimmed. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "peers_state.h"
#include "penalties.h"

static bool visible(const struct wf_peer_row *row) { return row->info.status != WEFT_PEER_BLOCKED; }

static weft_err list_keys(const struct peers *p, struct wf_peer_req *req, bool of_tree)
{
    req->keys = wf_calloc(p->reg.count + 1, sizeof *req->keys);
    if (req->keys == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < p->reg.count; i++) {
        const struct wf_peer_row *row = p->reg.rows[i];
        if (!visible(row) || (of_tree && !wf_row_related(row, &req->tree))) continue;
        req->keys[req->count++] = row->info.key;
    }
    return WEFT_OK;
}

static weft_err list_trees(const struct peers *p, struct wf_peer_req *req)
{
    const struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row == NULL || !visible(row)) return WEFT_NOT_FOUND;
    req->ids = wf_calloc(row->info.trees_count + 1u, sizeof *req->ids);
    if (req->ids == NULL) return WEFT_NO_MEMORY;
    if (row->info.trees_count > 0)
        memcpy(req->ids, row->trees, row->info.trees_count * sizeof *req->ids);
    req->count = row->info.trees_count;
    return WEFT_OK;
}

static weft_err list_addresses(const struct peers *p, struct wf_peer_req *req)
{
    const struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row == NULL || !visible(row)) return WEFT_NOT_FOUND;
    req->about = wf_calloc(row->info.addresses_count + 1u, sizeof *req->about);
    if (req->about == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < row->info.addresses_count; i++) {
        weft_address_info *out = &req->about[req->count++];
        memcpy(out->text, row->info.addresses[i], sizeof out->text);
        out->by_hand = row->about[i].by_hand;
        out->told_ms = row->about[i].told_ms;
        out->worked_ms = row->about[i].worked_ms;
    }
    return WEFT_OK;
}

static weft_err list_syncs(const struct peers *p, struct wf_peer_req *req)
{
    const struct wf_past_peer *past = wf_history_peer(&p->history, &req->peer);
    if (wf_registry_find(&p->reg, &req->peer) == NULL) return WEFT_NOT_FOUND;
    uint32_t count = past == NULL ? 0 : past->count;
    req->syncs = wf_calloc(count + 1u, sizeof *req->syncs);
    if (req->syncs == NULL) return WEFT_NO_MEMORY;
    req->count = wf_history_list(&p->history, &req->peer, req->syncs, count);
    return WEFT_OK;
}

static weft_err list_remembered(const struct peers *p, struct wf_peer_req *req)
{
    req->keys = wf_calloc(p->history.peers_count + 1u, sizeof *req->keys);
    if (req->keys == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < p->history.peers_count; i++)
        if (p->history.peers[i]->count > 0) req->keys[req->count++] = p->history.peers[i]->peer;
    return WEFT_OK;
}

static weft_err sum_pair(const struct peers *p, struct wf_peer_req *req)
{
    const struct wf_past_pair *pair = wf_history_pair(&p->history, &req->peer, &req->tree);
    if (wf_registry_find(&p->reg, &req->peer) == NULL) return WEFT_NOT_FOUND;
    if (pair == NULL) return WEFT_OK; /* never synced: all is zero */
    req->pair = (weft_pair_info){.last_sync_ms = pair->last_ms,
                                 .last_count = pair->last_count,
                                 .sent = pair->sent,
                                 .received = pair->received,
                                 .syncs_ok = pair->ok,
                                 .syncs_failed = pair->failed,
                                 .took_ns_mean = pair->mean_ns};
    uint64_t all = pair->ok + pair->failed;
    if (all > 0) req->pair.success = (double)pair->ok / (double)all;
    return WEFT_OK;
}

/* Durable when it is answered. */
static void trim(struct peers *p, struct wf_peer_req *req)
{
    struct wf_peer_saving *saving = wf_saving_open(req);
    if (saving == NULL) {
        weft_reply(&req->req, WEFT_NO_MEMORY);
        return;
    }
    req->count = wf_history_trim(&p->history, req->before_ms);
    for (struct wf_records *all; (all = wf_history_batch(&p->history)) != NULL;)
        wf_saving_put(p, saving, &all->req);
    wf_saving_close(saving);
}

static weft_err list_all(const struct peers *p, struct wf_peer_req *req)
{
    req->views = wf_calloc(p->reg.count + 1, sizeof *req->views);
    if (req->views == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < p->reg.count; i++) {
        const struct wf_peer_row *row = p->reg.rows[i];
        if (row->info.status != WEFT_PEER_ACTIVE) continue;
        struct wf_peer_view *view = &req->views[req->count];
        view->trees = wf_calloc(row->info.trees_count + 1u, sizeof *view->trees);
        if (view->trees == NULL) return WEFT_NO_MEMORY;
        view->info = row->info;
        if (row->info.trees_count > 0)
            memcpy(view->trees, row->trees, row->info.trees_count * sizeof *view->trees);
        req->count++;
    }
    return WEFT_OK;
}

/* What a peer told long ago is forgotten when somebody looks. */
static void expire(struct peers *p, const weft_key *peer)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, peer);
    if (row != NULL && wf_row_expire(row, wf_wall_ms(p->table->rt))) row->dirty = true;
}

static weft_err get(const struct peers *p, struct wf_peer_req *req)
{
    const struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row == NULL || !visible(row)) return WEFT_NOT_FOUND;
    if (req->by_worth) wf_row_by_worth(row, &req->info);
    else req->info = row->info;
    req->info.penalty_ns = wf_penalties_left(p->table->penalties, &req->peer, weft_now(p->self));
    return WEFT_OK;
}

bool wf_peers_look(struct peers *p, struct wf_peer_req *req)
{
    weft_err err;
    if (req->op == WF_PEER_GET || req->op == WF_PEER_ADDRESSES) expire(p, &req->peer);
    switch (req->op) {
    case WF_PEER_GET: err = get(p, req); break;
    case WF_PEER_HISTORY: err = list_syncs(p, req); break;
    case WF_PEER_REMEMBERED: err = list_remembered(p, req); break;
    case WF_PEER_PAIR: err = sum_pair(p, req); break;
    case WF_PEER_TRIM: return trim(p, req), true;
    case WF_PEER_ADDRESSES: err = list_addresses(p, req); break;
    case WF_PEER_LIST: err = list_keys(p, req, false); break;
    case WF_PEER_TREE_PEERS: err = list_keys(p, req, true); break;
    case WF_PEER_TREES: err = list_trees(p, req); break;
    case WF_PEER_ALL: err = list_all(p, req); break;
    default: return false;
    }
    weft_reply(&req->req, err);
    return true;
}
