/* SPDX-License-Identifier: Apache-2.0
 * peers_actor.c - the peer manager's thread: who is known, how to reach them, how they
 * fare. Every change is in the store before it is answered.
 * Called by: weft.c (spawn), the scheduler (handlers).
 * May touch: its registry, the blocklist, the penalties, records through the store actor.
 * Never: sockets, sessions; it decides nothing about syncing. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "blocklist.h"
#include "history_save.h"
#include "log.h"
#include "peers.h"
#include "penalties.h"
#include "records.h"
#include "registry.h"
#include "store_actor.h"

#define SAVE_INTERVAL_NS (5 * WEFT_SEC) /* statistics reach the disk at most this often */

struct peers { /* only the handlers below touch this */
    const struct wf_node_table *table;
    struct wf_registry reg;
    struct wf_history history;
    weft_timer save;
};

/* One change on its way to the disk; its request is answered when all its records are
 * written. Lives until the last of them is answered. */
struct change {
    struct wf_peer_req *req; /* NULL: nobody waits */
    uint32_t open;           /* record requests under way, plus one while it is built */
    weft_err err;
};

static void drop_peer_req(weft_msg *msg)
{
    struct wf_peer_req *req = (struct wf_peer_req *)msg;
    for (uint32_t i = 0; req->views != NULL && i < req->count; i++) wf_free(req->views[i].trees);
    wf_free(req->views);
    wf_free(req->keys);
    wf_free(req->ids);
    wf_free(req->addresses);
    wf_free(req->about);
    wf_free(req->syncs);
    weft_free_msg(msg);
}

const weft_kind wf_peer_req_kind = {0x301, "peers.req", sizeof(struct wf_peer_req), drop_peer_req};
const weft_kind wf_peer_note_kind = {0x302, "peers.note", sizeof(struct wf_peer_note),
                                     weft_free_msg};
const weft_kind wf_peer_changed_kind = {0x303, "peers.changed", sizeof(struct wf_peer_changed),
                                        weft_free_msg};

struct wf_peer_req *wf_peer_req_create(enum wf_peer_op op)
{
    struct wf_peer_req *req = (struct wf_peer_req *)weft_new(&wf_peer_req_kind);
    if (req != NULL) req->op = op;
    return req;
}

weft_err wf_peers_may_connect(void *table, const weft_key *key, weft_ns now)
{
    const struct wf_node_table *t = table;
    if (wf_blocklist_has(t->blocked, key)) return WEFT_BLOCKED;
    if (wf_penalties_left(t->penalties, key, now) == 0) return WEFT_OK;
    wf_counter_add(&t->counters->penalised, 1);
    return WEFT_PENALISED;
}

void wf_peers_on_breach(void *table, const weft_key *key, weft_err why, weft_ns now)
{
    const struct wf_node_table *t = table;
    if (!wf_penalties_is_offence(why)) return;
    wf_counter_add(&t->counters->offences, 1);
    if (!wf_penalties_note(t->penalties, key, now))
        wf_log(WEFT_LOG_WARN, "peers", "out of memory: an offence is not remembered");
}

/* -- Records -------------------------------------------------------------------------- */

static void change_close(struct change *change)
{
    if (--change->open != 0) return;
    if (change->req != NULL) weft_reply(&change->req->req, change->err);
    wf_free(change);
}

static void on_written(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct change *change = arg;
    if (err != WEFT_OK) change->err = err;
    weft_drop(req == NULL ? NULL : &req->msg);
    change_close(change);
}

/* NULL when memory is short; `req` may be NULL. */
static struct change *change_open(struct wf_peer_req *req)
{
    struct change *change = wf_calloc(1, sizeof *change);
    if (change == NULL) return NULL;
    change->req = req;
    change->open = 1;
    return change;
}

static void change_put(weft_self *self, struct peers *p, struct change *change,
                       struct wf_record_put *put)
{
    if (put == NULL) {
        change->err = WEFT_NO_MEMORY;
        return;
    }
    /* The store always answers; how long the disk takes is not for us to judge. */
    weft_err err = weft_ask(self, p->table->store, &put->req, WEFT_NEVER, on_written, change, NULL);
    if (err == WEFT_OK) {
        change->open++;
    } else {
        change->err = err == WEFT_FULL ? WEFT_BUSY : err;
        weft_drop(&put->req.msg);
    }
}

static void set_key(struct wf_record_put *put, uint8_t prefix, const weft_key *peer,
                    const weft_id *tree)
{
    put->cf = WF_CF_PEER;
    put->key[0] = prefix;
    memcpy(put->key + 1, peer->bytes, sizeof peer->bytes);
    put->key_len = 1 + (uint32_t)sizeof peer->bytes;
    if (tree == NULL) return;
    memcpy(put->key + put->key_len, tree->bytes, sizeof tree->bytes);
    put->key_len += (uint32_t)sizeof tree->bytes;
}

static struct wf_record_put *row_record(const struct wf_peer_row *row)
{
    uint8_t bytes[WF_ROW_RECORD_MAX];
    size_t len = wf_row_encode(row, bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    set_key(put, WF_REC_PEER, &row->info.key, NULL);
    memcpy(put->value, bytes, len);
    return put;
}

static struct wf_record_put *relation_record(const weft_key *peer, const weft_id *tree, bool remove)
{
    struct wf_record_put *put = wf_record_create(0);
    if (put == NULL) return NULL;
    set_key(put, WF_REC_RELATION, peer, tree);
    put->remove = remove;
    return put;
}

static void save_row(weft_self *self, struct peers *p, struct change *change,
                     struct wf_peer_row *row)
{
    struct wf_record_put *put = row_record(row);
    if (put != NULL) row->dirty = false;
    change_put(self, p, change, put);
}

static void save_relation(weft_self *self, struct peers *p, struct change *change,
                          const weft_key *peer, const weft_id *tree, bool remove)
{
    change_put(self, p, change, relation_record(peer, tree, remove));
}

static void tell_sync(struct peers *p, const weft_key *peer, const weft_id *tree,
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

/* -- Loading ------------------------------------------------------------------------------ */

static weft_err load_row(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct peers *p = arg;
    weft_key peer;
    if (key_len != 1 + sizeof peer.bytes) return WEFT_CORRUPT;
    memcpy(peer.bytes, key + 1, sizeof peer.bytes);
    struct wf_peer_row *row;
    weft_err err = wf_registry_add(&p->reg, &peer, &row);
    if (err != WEFT_OK) return err;
    err = wf_row_decode(value, value_len, row);
    if (err == WEFT_OK && wf_row_expire(row, wf_wall_ms(p->table->rt))) row->dirty = true;
    if (err == WEFT_OK && row->info.status == WEFT_PEER_BLOCKED)
        err = wf_blocklist_set(p->table->blocked, &peer, true);
    return err;
}

static weft_err load_relation(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                              size_t value_len)
{
    (void)value;
    (void)value_len;
    struct peers *p = arg;
    weft_key peer;
    weft_id tree;
    if (key_len != 1 + sizeof peer.bytes + sizeof tree.bytes) return WEFT_CORRUPT;
    memcpy(peer.bytes, key + 1, sizeof peer.bytes);
    memcpy(tree.bytes, key + 1 + sizeof peer.bytes, sizeof tree.bytes);
    struct wf_peer_row *row = wf_registry_find(&p->reg, &peer);
    if (row == NULL) return WEFT_CORRUPT;
    weft_err err = wf_row_relate(row, &tree);
    return err == WEFT_EXISTS ? WEFT_OK : err;
}

static void on_history_saved(weft_self *self, void *state, weft_err err, weft_request *req,
                             void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    if (err != WEFT_OK && err != WEFT_CANCELED)
        wf_log(WEFT_LOG_WARN, "peers", "the last syncs are not remembered on the disk: %s",
               weft_strerror(err));
    weft_drop(req == NULL ? NULL : &req->msg);
}

static void save_history(weft_self *self, struct peers *p)
{
    struct wf_records *all = wf_history_batch(&p->history);
    if (all == NULL) return;
    if (weft_ask(self, p->table->store, &all->req, WEFT_NEVER, on_history_saved, NULL, NULL) !=
        WEFT_OK)
        weft_drop(&all->req.msg);
}

static void on_save(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)timer;
    (void)missed;
    struct peers *p = state;
    save_history(self, p);
    for (uint32_t i = 0; i < p->reg.count; i++) {
        if (!p->reg.rows[i]->dirty) continue;
        struct change *change = change_open(NULL);
        if (change == NULL) return;
        save_row(self, p, change, p->reg.rows[i]);
        change_close(change);
    }
}

static weft_verdict on_wire(weft_self *self, struct peers *p, const struct wf_wire *wire)
{
    p->table = wire->table;
    const uint8_t rows = WF_REC_PEER, relations = WF_REC_RELATION;
    weft_err err = wf_store_record_each(p->table->wf_store, WF_CF_PEER, &rows, 1, load_row, p);
    if (err == WEFT_OK)
        err = wf_store_record_each(p->table->wf_store, WF_CF_PEER, &relations, 1, load_relation, p);
    if (err == WEFT_OK) err = wf_history_from(&p->history, p->table->wf_store);
    if (err != WEFT_OK)
        return weft_fail(self, wf_fail(err, "peers", "the peer records cannot be read"));
    for (uint32_t i = 0; i < p->reg.count; i++)
        for (uint32_t k = 0; k < p->reg.rows[i]->info.trees_count; k++)
            tell_sync(p, &p->reg.rows[i]->info.key, &p->reg.rows[i]->trees[k], WF_CHANGED_RELATED);
    return WEFT_DONE;
}

/* -- Requests: changes ----------------------------------------------------------------------- */

static weft_err op_register(struct peers *p, struct wf_peer_req *req, struct wf_peer_row **out)
{
    if (wf_registry_find(&p->reg, &req->peer) != NULL) return WEFT_EXISTS;
    weft_err err = wf_registry_add(&p->reg, &req->peer, out);
    if (err != WEFT_OK) return err;
    weft_peer_info *info = &(*out)->info;
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
        weft_err err = wf_registry_add(&p->reg, &req->peer, &row);
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

static weft_err op_status(struct peers *p, struct wf_peer_req *req, struct wf_peer_row *row)
{
    weft_err err = wf_blocklist_set(p->table->blocked, &req->peer,
                                    req->status == WEFT_PEER_BLOCKED);
    if (err != WEFT_OK) return err;
    row->info.status = req->status;
    row->info.last_seen_ms = wf_wall_ms(p->table->rt);
    tell_sync(p, &req->peer, NULL,
              req->status == WEFT_PEER_ACTIVE ? WF_CHANGED_ACTIVE : WF_CHANGED_BLOCKED);
    return WEFT_OK;
}

/* Blocked, and out of every tree's list; unknown is not an error. */
static weft_err op_remove(weft_self *self, struct peers *p, struct wf_peer_req *req,
                          struct change *change, struct wf_peer_row *row)
{
    req->status = WEFT_PEER_BLOCKED;
    weft_err err = op_status(p, req, row);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < row->info.trees_count; i++)
        save_relation(self, p, change, &req->peer, &row->trees[i], true);
    row->info.trees_count = 0;
    return WEFT_OK;
}

static weft_err op_relate(weft_self *self, struct peers *p, struct wf_peer_req *req,
                          struct change *change, struct wf_peer_row *row, bool relate)
{
    weft_err err = relate ? wf_row_relate(row, &req->tree) : wf_row_unrelate(row, &req->tree);
    if (err == WEFT_EXISTS || err == WEFT_NOT_FOUND) return WEFT_OK; /* as it was */
    if (err != WEFT_OK) return err;
    save_relation(self, p, change, &req->peer, &req->tree, !relate);
    tell_sync(p, &req->peer, &req->tree, relate ? WF_CHANGED_RELATED : WF_CHANGED_UNRELATED);
    return WEFT_OK;
}

/* All of it is in one batch, so that a crash leaves all or nothing. */
static weft_err save_declared(weft_self *self, struct peers *p, struct change *change,
                              struct wf_peer_row *row, const weft_id *tree)
{
    struct wf_records *all = wf_records_create(2);
    if (all == NULL) return WEFT_NO_MEMORY;
    all->records[0] = row_record(row);
    all->records[1] = relation_record(&row->info.key, tree, false);
    weft_err err = all->records[0] == NULL || all->records[1] == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    if (err == WEFT_OK)
        err = weft_ask(self, p->table->store, &all->req, WEFT_NEVER, on_written, change, NULL);
    if (err == WEFT_OK) {
        change->open++;
        row->dirty = false;
        return WEFT_OK;
    }
    weft_drop(&all->req.msg);
    return err == WEFT_FULL ? WEFT_BUSY : err;
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
static weft_err op_declare(weft_self *self, struct peers *p, struct wf_peer_req *req,
                           struct change *change)
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
    if (err == WEFT_OK) err = save_declared(self, p, change, row, &req->tree);
    if (err == WEFT_OK) {
        if (!related) tell_sync(p, &req->peer, &req->tree, WF_CHANGED_RELATED);
    } else if (before != NULL) {
        if (!related) (void)wf_row_unrelate(row, &req->tree);
        row->info = before->info;
        memcpy(row->about, before->about, sizeof row->about);
    }
    if (err != WEFT_OK && fresh) wf_registry_remove(&p->reg, row);
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

static weft_verdict change_peer(weft_self *self, struct peers *p, struct wf_peer_req *req)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
    if (row == NULL && req->op == WF_PEER_REMOVE) return answer(req, WEFT_OK);
    if (row == NULL && req->op != WF_PEER_REGISTER && req->op != WF_PEER_ENSURE &&
        req->op != WF_PEER_DECLARE)
        return answer(req, WEFT_NOT_FOUND);
    struct change *change = change_open(req);
    if (change == NULL) return answer(req, WEFT_NO_MEMORY);
    weft_err err = WEFT_OK;
    bool save = true;
    switch (req->op) {
    case WF_PEER_REGISTER: err = op_register(p, req, &row); break;
    case WF_PEER_ENSURE:
        err = op_ensure(p, req, &row);
        save = err == WEFT_OK && row->dirty;
        break;
    case WF_PEER_DECLARE:
        err = op_declare(self, p, req, change);
        save = false;
        break;
    case WF_PEER_STATUS: err = op_status(p, req, row); break;
    case WF_PEER_REMOVE: err = op_remove(self, p, req, change, row); break;
    case WF_PEER_RELATE: err = op_relate(self, p, req, change, row, true); break;
    case WF_PEER_UNRELATE: err = op_relate(self, p, req, change, row, false); break;
    default: err = op_address(p, req, row); break;
    }
    if (err == WEFT_OK && save) save_row(self, p, change, row);
    if (err != WEFT_OK) change->err = err;
    change_close(change);
    return WEFT_KEPT;
}

/* -- Requests: look-ups ------------------------------------------------------------------------- */

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
static weft_verdict trim(weft_self *self, struct peers *p, struct wf_peer_req *req)
{
    struct change *change = change_open(req);
    if (change == NULL) return answer(req, WEFT_NO_MEMORY);
    req->count = wf_history_trim(&p->history, req->before_ms);
    for (struct wf_records *all; (all = wf_history_batch(&p->history)) != NULL;) {
        weft_err err = weft_ask(self, p->table->store, &all->req, WEFT_NEVER, on_written, change,
                                NULL);
        if (err == WEFT_OK) {
            change->open++;
        } else {
            change->err = err == WEFT_FULL ? WEFT_BUSY : err;
            weft_drop(&all->req.msg);
        }
    }
    change_close(change);
    return WEFT_KEPT;
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

static weft_verdict on_request(weft_self *self, struct peers *p, struct wf_peer_req *req)
{
    if (req->op == WF_PEER_GET || req->op == WF_PEER_ADDRESSES) expire(p, &req->peer);
    switch (req->op) {
    case WF_PEER_GET: {
        const struct wf_peer_row *row = wf_registry_find(&p->reg, &req->peer);
        if (row == NULL || !visible(row)) return answer(req, WEFT_NOT_FOUND);
        if (req->by_worth) wf_row_by_worth(row, &req->info);
        else req->info = row->info;
        req->info.penalty_ns = wf_penalties_left(p->table->penalties, &req->peer, weft_now(self));
        return answer(req, WEFT_OK);
    }
    case WF_PEER_HISTORY: return answer(req, list_syncs(p, req));
    case WF_PEER_REMEMBERED: return answer(req, list_remembered(p, req));
    case WF_PEER_PAIR: return answer(req, sum_pair(p, req));
    case WF_PEER_TRIM: return trim(self, p, req);
    case WF_PEER_ADDRESSES: return answer(req, list_addresses(p, req));
    case WF_PEER_LIST: return answer(req, list_keys(p, req, false));
    case WF_PEER_TREE_PEERS: return answer(req, list_keys(p, req, true));
    case WF_PEER_TREES: return answer(req, list_trees(p, req));
    case WF_PEER_ALL: return answer(req, list_all(p, req));
    default: return change_peer(self, p, req);
    }
}

/* -- Notes from sync -------------------------------------------------------------------------------- */

/* Trees that are not followed here are no business of ours, however often somebody asks. */
static void remember(struct peers *p, const struct wf_peer_note *note, int64_t now)
{
    wf_tree_info info;
    if (wf_store_tree(p->table->wf_store, &note->tree, &info) != WEFT_OK || !info.followed) return;
    weft_sync_record record = {.peer = note->peer,
                               .tree = note->tree,
                               .began_ms = now - (int64_t)(note->took_ns / WEFT_MS),
                               .took_ns = note->took_ns,
                               .err = note->err,
                               .sent = note->sent,
                               .received = note->received,
                               .bytes_sent = note->bytes_sent,
                               .bytes_received = note->bytes_received};
    if (wf_history_add(&p->history, &record) != WEFT_OK)
        wf_log(WEFT_LOG_WARN, "peers", "out of memory: a sync is not remembered");
}

static void on_note(struct peers *p, const struct wf_peer_note *note)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &note->peer);
    if (row == NULL) return; /* an unknown peer leaves no trace */
    if (note->sync) remember(p, note, wf_wall_ms(p->table->rt));
    weft_peer_info *info = &row->info;
    int64_t now = wf_wall_ms(p->table->rt);
    row->dirty = true;
    switch (note->what) {
    case WF_NOTE_CONNECTING:
        info->connection = WEFT_CONNECTING;
        info->attempts++;
        break;
    case WF_NOTE_CONNECTED:
        info->connection = WEFT_CONNECTED;
        info->last_seen_ms = now;
        if (info->name[0] == '\0') memcpy(info->name, note->name, sizeof info->name);
        for (uint32_t i = 0; i < note->addresses_count; i++)
            (void)wf_row_tell_address(row, note->addresses[i], now); /* full: those stay */
        if (note->worked[0] != '\0') wf_row_address_worked(row, note->worked, now);
        break;
    case WF_NOTE_DISCONNECTED:
        info->connection = WEFT_DISCONNECTED;
        info->last_seen_ms = now;
        if (note->err != WEFT_OK) info->last_error = note->err;
        break;
    case WF_NOTE_FAILED:
        info->connection = WEFT_CONN_FAILED;
        info->failures++;
        info->last_error = note->err;
        break;
    case WF_NOTE_SYNCED:
        info->syncs_ok++;
        info->last_success_ms = info->last_seen_ms = now;
        break;
    case WF_NOTE_SYNC_FAILED:
        info->syncs_failed++;
        info->last_error = note->err;
        break;
    }
    info->entries_sent += note->sent;
    info->entries_received += note->received;
    info->bytes_sent += note->bytes_sent;
    info->bytes_received += note->bytes_received;
}

/* -- The actor ----------------------------------------------------------------------------------------- */

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)arg;
    struct peers *p = state;
    return weft_timer_set(self, &p->save, weft_now(self) + SAVE_INTERVAL_NS, SAVE_INTERVAL_NS,
                          on_save);
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct peers *p = state;
    if (msg->kind == &wf_wire_kind) return on_wire(self, p, (const struct wf_wire *)msg);
    if (p->table == NULL) return WEFT_DONE; /* before the wire message nobody knows us */
    if (msg->kind == &wf_peer_req_kind) return on_request(self, p, (struct wf_peer_req *)msg);
    if (msg->kind == &wf_peer_note_kind) on_note(p, (const struct wf_peer_note *)msg);
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)reason;
    struct peers *p = state;
    uint32_t lost = 0;
    /* The store still runs: it stops after us. Nobody waits for these writes, and what
     * an actor asked before its end is handled by the callee all the same. */
    if (p->table != NULL)
        for (uint32_t i = 0; i < p->reg.count; i++) {
            if (!p->reg.rows[i]->dirty) continue;
            uint8_t bytes[WF_ROW_RECORD_MAX];
            size_t len = wf_row_encode(p->reg.rows[i], bytes);
            struct wf_record_put *put = wf_record_create((uint32_t)len);
            if (put != NULL) {
                set_key(put, WF_REC_PEER, &p->reg.rows[i]->info.key, NULL);
                memcpy(put->value, bytes, len);
                if (weft_send(p->table->store, &put->req.msg) == WEFT_OK) continue;
                weft_drop(&put->req.msg);
            }
            lost++;
        }
    if (lost > 0)
        wf_log(WEFT_LOG_WARN, "peers", "of %u peers the last counts and times are not saved", lost);
    (void)self;
    for (struct wf_records *all; p->table != NULL && (all = wf_history_batch(&p->history)) != NULL;)
        if (weft_send(p->table->store, &all->req.msg) != WEFT_OK) weft_drop(&all->req.msg);
    wf_history_fini(&p->history);
    wf_registry_fini(&p->reg);
}

weft_err wf_peers_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "peers",
                      .state_size = sizeof(struct peers),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
