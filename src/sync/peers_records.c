/* SPDX-License-Identifier: Apache-2.0
 * peers_records.c - the records of peers: written after each change, and from time to time.
 * Called by: peers_actor.c, peers_change.c, peers_look.c. May touch: the registry, the history, records
 * through the store actor.
 * Never: decides what changes. */
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "keyset.h"
#include "log.h"
#include "peers_state.h"
#include "records.h"

/* -- A change on its way ------------------------------------------------------------------ */

void wf_saving_close(struct wf_peer_saving *saving)
{
    if (--saving->open != 0) return;
    if (saving->req != NULL) weft_reply(&saving->req->req, saving->err);
    wf_free(saving);
}

static void on_answered(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct wf_peer_saving *saving = arg;
    if (err != WEFT_OK) saving->err = err;
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_saving_close(saving);
}

struct wf_peer_saving *wf_saving_open(struct wf_peer_req *req)
{
    struct wf_peer_saving *saving = wf_calloc(1, sizeof *saving);
    if (saving == NULL) return NULL;
    saving->req = req;
    saving->open = 1;
    return saving;
}

weft_err wf_saving_ask(struct peers *p, struct wf_peer_saving *saving, weft_addr *to,
                       weft_request *req)
{
    /* The actors of a node always answer; how long the disk takes is not for us to judge. */
    weft_err err = req == NULL ? WEFT_NO_MEMORY
                               : weft_ask(p->self, to, req, WEFT_NEVER, on_answered, saving, NULL);
    if (err == WEFT_OK) saving->open++;
    else if (req != NULL) weft_drop(&req->msg);
    return err == WEFT_FULL ? WEFT_BUSY : err;
}

void wf_saving_put(struct peers *p, struct wf_peer_saving *saving, weft_request *req)
{
    weft_err err = wf_saving_ask(p, saving, p->table->store, req);
    if (err != WEFT_OK) saving->err = err;
}

/* -- Records ---------------------------------------------------------------------------- */

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

void wf_saving_row(struct peers *p, struct wf_peer_saving *saving, struct wf_peer_row *row)
{
    struct wf_record_put *put = row_record(row);
    if (put != NULL) row->dirty = row->aside = false;
    wf_saving_put(p, saving, put == NULL ? NULL : &put->req);
}

void wf_saving_relation(struct peers *p, struct wf_peer_saving *saving, const weft_key *peer,
                        const weft_id *tree, bool remove)
{
    struct wf_record_put *put = relation_record(peer, tree, remove);
    wf_saving_put(p, saving, put == NULL ? NULL : &put->req);
}

weft_err wf_saving_declared(struct peers *p, struct wf_peer_saving *saving, struct wf_peer_row *row,
                            const weft_id *tree)
{
    struct wf_records *all = wf_records_create(2);
    if (all == NULL) return WEFT_NO_MEMORY;
    all->records[0] = row_record(row);
    all->records[1] = relation_record(&row->info.key, tree, false);
    if (all->records[0] == NULL || all->records[1] == NULL) {
        weft_drop(&all->req.msg);
        return WEFT_NO_MEMORY;
    }
    weft_err err = wf_saving_ask(p, saving, p->table->store, &all->req);
    if (err == WEFT_OK) row->dirty = false;
    return err;
}

/* -- Rows ------------------------------------------------------------------------------- */

weft_err wf_peers_add(struct peers *p, const weft_key *key, bool unnamed, struct wf_peer_row **out)
{
    struct wf_peer_row *row;
    weft_err err = wf_registry_add(&p->reg, key, &row);
    if (err != WEFT_OK) return err;
    if (!unnamed) err = wf_keyset_set(p->table->known, key, true);
    row->unnamed = unnamed;
    if (err == WEFT_OK) *out = row;
    else wf_registry_remove(&p->reg, row);
    return err;
}

void wf_peers_remove(struct peers *p, struct wf_peer_row *row)
{
    (void)wf_keyset_set(p->table->known, &row->info.key, false);
    wf_registry_remove(&p->reg, row);
}

weft_err wf_peers_named(struct peers *p, struct wf_peer_row *row)
{
    if (!row->unnamed) return WEFT_OK;
    weft_err err = wf_keyset_set(p->table->known, &row->info.key, true);
    if (err != WEFT_OK) return err;
    row->unnamed = false;
    row->dirty = !row->aside;
    return WEFT_OK;
}

/* -- Statistics and history ------------------------------------------------------------------ */

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

static void save_history(struct peers *p)
{
    struct wf_records *all = wf_history_batch(&p->history);
    if (all == NULL) return;
    if (weft_ask(p->self, p->table->store, &all->req, WEFT_NEVER, on_history_saved, NULL, NULL) !=
        WEFT_OK)
        weft_drop(&all->req.msg);
}

void wf_peers_save(struct peers *p)
{
    save_history(p);
    for (uint32_t i = 0; i < p->reg.count; i++) {
        if (!p->reg.rows[i]->dirty) continue;
        struct wf_peer_saving *saving = wf_saving_open(NULL);
        if (saving == NULL) return;
        wf_saving_row(p, saving, p->reg.rows[i]);
        wf_saving_close(saving);
    }
}

/* The store still runs: it stops after us. Nobody waits for these writes, and what
 * an actor asked before its end is handled by the callee all the same. */
static void save_rest(struct peers *p)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < p->reg.count; i++) {
        if (!p->reg.rows[i]->dirty) continue;
        struct wf_record_put *put = row_record(p->reg.rows[i]);
        if (put != NULL && weft_send(p->table->store, &put->req.msg) == WEFT_OK) continue;
        if (put != NULL) weft_drop(&put->req.msg);
        lost++;
    }
    if (lost > 0)
        wf_log(WEFT_LOG_WARN, "peers", "of %u peers the last counts and times are not saved", lost);
    for (struct wf_records *all; (all = wf_history_batch(&p->history)) != NULL;)
        if (weft_send(p->table->store, &all->req.msg) != WEFT_OK) weft_drop(&all->req.msg);
}

void wf_peers_leave(struct peers *p)
{
    if (p->table != NULL) save_rest(p);
    wf_history_fini(&p->history);
    wf_registry_fini(&p->reg);
}
