/* SPDX-License-Identifier: Apache-2.0
 * join_mode_set.c - who may ask to join a tree here, as its operator says; and who is an admin.
 * Called by: join_desk.c, join_decide.c. May touch: the desk's modes; asks to the store.
 * Never: writes a secret down; holds before it is durable. */
#include <string.h>

#include "alloc.h"
#include "join_desk.h"
#include "records.h"

bool wf_join_is_admin(const struct wf_join_desk *desk, const weft_id *tree, const weft_key *key,
                      const wf_grant *at_least)
{
    struct wf_right_now now;
    if (wf_store_right(desk->table->wf_store, tree, key, &now) != WEFT_OK) return false;
    const wf_grant has = {now.right, now.priority};
    return now.right == WEFT_RIGHT_ADMIN && wf_grant_compare(&has, at_least) >= 0;
}

struct setting { /* of a mode, on its way to the disk */
    struct wf_join_desk *desk;
    struct wf_join_req *req;
};

static weft_verdict reply(struct wf_join_req *req, weft_err err)
{
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

static void on_mode_kept(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct setting *setting = arg;
    struct wf_join_desk *desk = setting->desk;
    struct wf_join_req *ask = setting->req;
    wf_free(setting);
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) {
        struct wf_join_mode mode = {.tree = ask->tree,
                                    .mode = ask->mode,
                                    .right = ask->right,
                                    .priority = ask->priority,
                                    .admin = ask->pair};
        ask->pair = NULL;
        err = wf_join_modes_put_take(&desk->modes, &mode);
    }
    (void)reply(ask, err == WEFT_CANCELED ? WEFT_CLOSED : err);
}

/* Where the record stands: the tree may have been removed since the mode was asked for. */
static weft_err is_followed(wf_store *store, const struct wf_record_put *put)
{
    weft_id tree;
    wf_tree_info info;
    memcpy(tree.bytes, put->key + 1, sizeof tree.bytes);
    weft_err err = wf_store_tree(store, &tree, &info);
    return err == WEFT_OK && info.followed ? WEFT_OK : WEFT_TREE;
}

/* Of a closed tree it is kept what it has spent, until all of that has come back. NULL: memory is
 * short. */
static weft_request *records_of_mode(const struct wf_join_desk *desk, const struct wf_join_req *req)
{
    static const uint8_t prefixes[] = {WF_REC_JOIN_MODE, WF_REC_JOIN_SPENT};
    struct wf_join_mode mode = {
        .tree = req->tree, .mode = req->mode, .right = req->right, .priority = req->priority};
    uint8_t bytes[WF_JOIN_MODE_RECORD_MAX];
    bool closed = req->mode == WEFT_JOIN_CLOSED, made = true;
    bool spent = wf_join_modes_left(&desk->modes, &req->tree, weft_now(desk->self)) > 0;
    size_t len = closed ? 0 : wf_join_mode_encode(&mode, bytes);
    struct wf_records *all = wf_records_create(closed && !spent ? 2 : 1);
    for (uint32_t i = 0; all != NULL && i < all->count; i++) {
        struct wf_record_put *put = all->records[i] = wf_record_create((uint32_t)len);
        made = made && put != NULL;
        if (put == NULL) continue;
        wf_join_key(put, prefixes[i], req->tree.bytes, sizeof req->tree.bytes, NULL, 0);
        put->remove = closed;
        if (len > 0) memcpy(put->value, bytes, len);
    }
    if (all != NULL && made && !closed) { /* alone, since it is judged */
        struct wf_record_put *put = all->records[0];
        all->count = 0;
        weft_drop(&all->req.msg);
        put->admit = is_followed;
        return &put->req;
    }
    if (all == NULL || made) return all == NULL ? NULL : &all->req;
    weft_drop(&all->req.msg);
    return NULL;
}

weft_verdict wf_join_mode_on_req(struct wf_join_desk *desk, struct wf_join_req *req)
{
    weft_key by;
    wf_tree_info info;
    bool closed = req->mode == WEFT_JOIN_CLOSED;
    weft_err err = wf_store_tree(desk->table->wf_store, &req->tree, &info);
    if (!closed && (err != WEFT_OK || !info.followed)) return reply(req, WEFT_TREE);
    if (req->mode == WEFT_JOIN_AUTO) {
        const wf_grant most = {req->right, req->right >= WEFT_RIGHT_WRITE ? req->priority : 0};
        weft_keypair_public(req->pair, &by);
        if (!wf_join_is_admin(desk, &req->tree, &by, &most)) return reply(req, WEFT_FORBIDDEN);
    } else {
        weft_keypair_destroy(req->pair);
        req->pair = NULL;
        req->right = WEFT_RIGHT_NONE;
        req->priority = 0;
    }
    weft_request *ask = records_of_mode(desk, req);
    struct setting *setting = ask == NULL ? NULL : wf_calloc(1, sizeof *setting);
    if (setting == NULL) {
        if (ask != NULL) weft_drop(&ask->msg);
        return reply(req, WEFT_NO_MEMORY);
    }
    *setting = (struct setting){desk, req};
    if (wf_join_ask_store(desk, ask, on_mode_kept, setting)) return WEFT_KEPT;
    wf_free(setting);
    return reply(req, WEFT_CLOSED);
}
