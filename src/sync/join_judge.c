/* SPDX-License-Identifier: Apache-2.0
 * join_judge.c - what others ask to join here: answered by what is known, or kept until somebody
 * decides.
 * Called by: join_desk.c, join_decide.c. May touch: the desk's requests; asks to the store.
 * Never: tells a tree that is not here from one that is closed. */
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "block.h"
#include "join_desk.h"
#include "log.h"

/* -- What is known of a tree and a key -------------------------------------------------- */

/* Is there anything to be said to the key about the tree? The same steps for one that is not here,
 * one that is not served, and one that is closed to it (rights.h). */
static bool may_hear(const struct wf_join_desk *desk, const weft_id *tree, const weft_key *key)
{
    bool reads = wf_access_may_key_read(desk->table, tree, key);
    bool may_ask = wf_join_modes_find(&desk->modes, tree) != NULL;
    return reads || may_ask;
}

struct wf_join_facts wf_join_facts_of(const struct wf_join_desk *desk, const weft_id *tree,
                                      const weft_key *key)
{
    static const wf_grant read = {WEFT_RIGHT_READ, 0};
    struct wf_join_facts f = {0};
    wf_tree_info info = {0};
    weft_err here = wf_store_tree(desk->table->wf_store, tree, &info);
    weft_err known = wf_store_right(desk->table->wf_store, tree, key, &f.now);
    f.mode = wf_join_modes_find(&desk->modes, tree);
    f.served = here == WEFT_OK && known == WEFT_OK && info.followed && info.has_root;
    f.has = (wf_grant){f.now.right, f.now.priority};
    if (f.now.listed && !f.now.revoked && wf_grant_compare(&read, &f.has) > 0) f.has = read;
    return f;
}

/* -- Answers ---------------------------------------------------------------------------- */

void wf_join_say(struct wf_joined *said, const weft_join_request *r)
{
    *said = (struct wf_joined){.state = (uint32_t)r->state,
                               .right = (uint32_t)r->right,
                               .priority = r->priority,
                               .expires_ms = (uint64_t)r->expires_ms};
    memcpy(said->id, r->id, sizeof said->id);
}

static weft_verdict answer(struct wf_join_in *in, weft_err err)
{
    weft_reply(&in->req, err);
    return WEFT_KEPT;
}

static weft_verdict answer_row(struct wf_join_in *in, struct wf_join_row *row)
{
    wf_join_say(&in->said, &row->r);
    if (row->r.state == WEFT_JOIN_PENDING) {
        row->conn = in->conn;
        row->stream = in->join.stream;
    }
    return answer(in, WEFT_OK);
}

/* It has the right: as much as was asked for, or what there is if nothing was. */
static weft_verdict answer_granted(struct wf_join_in *in, const wf_grant *has)
{
    bool any = in->join.right == WEFT_RIGHT_NONE;
    in->said = (struct wf_joined){.state = WEFT_JOIN_GRANTED,
                                  .right = any ? (uint32_t)has->right : in->join.right,
                                  .priority = any ? has->priority : in->join.priority};
    return answer(in, WEFT_OK);
}

/* -- Requests to join ------------------------------------------------------------------- */

struct saving { /* of a new row */
    struct wf_join_desk *desk;
    uint8_t id[16];
    struct wf_join_in *in;
};

static void on_saved(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct saving *s = arg;
    struct wf_join_desk *desk = s->desk;
    struct wf_join_row *row = wf_joins_find(&desk->joins, s->id);
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) {
        row->saved = true;
        row->deciding = false;
        wf_join_event(desk, &row->r.tree, &row->r.key, row->r.id, WEFT_OK);
        (void)answer_row(s->in, row);
    } else {
        wf_joins_remove(&desk->joins, row);
        (void)answer(s->in, err == WEFT_CANCELED ? WEFT_CLOSED : err);
    }
    wf_free(s);
}

/* Nobody is answered before it is durable; until then it cannot be decided. */
static weft_verdict save_new(struct wf_join_desk *desk, struct wf_join_row *row,
                             struct wf_join_in *in)
{
    struct saving *s = wf_malloc(sizeof *s);
    struct wf_record_put *put = s == NULL ? NULL : wf_join_row_record(&row->r);
    weft_err err = put == NULL ? WEFT_NO_MEMORY : WEFT_CLOSED;
    if (put != NULL) {
        *s = (struct saving){.desk = desk, .in = in};
        memcpy(s->id, row->r.id, sizeof s->id);
        row->deciding = true;
        if (wf_join_ask_store(desk, &put->req, on_saved, s)) return WEFT_KEPT;
    }
    wf_free(s);
    wf_joins_remove(&desk->joins, row);
    return answer(in, err);
}

static weft_err add_row(struct wf_join_desk *desk, const struct wf_join_in *in,
                        struct wf_join_row **out)
{
    weft_join_request *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    wf_random(desk->table->rt, r->id, sizeof r->id);
    r->tree = in->join.tree;
    r->key = in->join.key;
    r->device = in->device;
    memcpy(r->name, in->join.name, sizeof r->name);
    memcpy(r->from, in->from, sizeof r->from);
    r->right = (weft_right)in->join.right;
    r->priority = in->join.right >= WEFT_RIGHT_WRITE ? in->join.priority : 0;
    r->state = WEFT_JOIN_PENDING;
    r->asked_ms = wf_join_now(desk);
    r->expires_ms = r->asked_ms + WEFT_JOIN_TTL_MS;
    r->meta_len = in->join.meta_len;
    memcpy(r->meta, in->meta, r->meta_len);
    weft_err err = wf_joins_add(&desk->joins, r, out);
    wf_free(r);
    wf_join_arm(desk);
    return err;
}

/* May it be granted without anybody's decision? */
static bool is_automatic(const struct wf_join_mode *mode, const wf_grant *asked)
{
    const wf_grant most = {mode->right, mode->priority};
    return mode->mode == WEFT_JOIN_AUTO && mode->admin != NULL &&
           wf_grant_compare(asked, &most) <= 0;
}

/* What the admin may not grant any more waits for another, like any request; else it was bad luck
 * here, and is asked for again. */
static void refuse_new(struct wf_join_desk *desk, struct wf_join_row *row, struct wf_join_in *in,
                       weft_err err)
{
    if (err == WEFT_FORBIDDEN || err == WEFT_BAD_ENTRY) {
        (void)save_new(desk, row, in);
        return;
    }
    wf_joins_remove(&desk->joins, row);
    /* Revoked just now: as if it had come after that. */
    (void)answer(in, err == WEFT_STATE ? WEFT_TREE : err);
}

void wf_judge_on_decided(struct wf_join_desk *desk, struct wf_join_row *row, struct wf_join_in *in,
                         weft_err err)
{
    if (err == WEFT_OK) (void)answer_row(in, row);
    else refuse_new(desk, row, in, err);
}

/* A request that nobody has made yet. */
static weft_verdict on_new(struct wf_join_desk *desk, struct wf_join_in *in,
                           const struct wf_join_mode *mode, const wf_grant *asked)
{
    struct wf_join_row *row;
    if (!wf_joins_room(&desk->joins, &in->device)) return answer(in, WEFT_BUSY);
    weft_err err = add_row(desk, in, &row);
    if (err != WEFT_OK) return answer(in, err);
    if (!is_automatic(mode, asked) ||
        !wf_join_modes_spend(&desk->modes, &in->join.tree, weft_now(desk->self)))
        return save_new(desk, row, in);
    err = wf_decide_automatically(desk, row, mode->admin, in);
    if (err != WEFT_OK) refuse_new(desk, row, in, err);
    return WEFT_KEPT;
}

/* What became of the request that it names. One that is known is its own; of others it hears no
 * more than somebody who asks anew. */
static weft_verdict on_named(struct wf_join_desk *desk, struct wf_join_in *in)
{
    struct wf_join_row *row = wf_joins_find(&desk->joins, in->join.id);
    bool own = row != NULL && row->saved && weft_id_equal(&row->r.tree, &in->join.tree) &&
               weft_key_equal(&row->r.key, &in->join.key);
    if (!own && !may_hear(desk, &in->join.tree, &in->join.key)) return answer(in, WEFT_TREE);
    struct wf_join_facts f = wf_join_facts_of(desk, &in->join.tree, &in->join.key);
    if (!f.served) return answer(in, WEFT_TREE);
    if (own) return answer_row(in, row);
    in->said = (struct wf_joined){
        .state = WEFT_JOIN_EXPIRED, .right = in->join.right, .priority = in->join.priority};
    memcpy(in->said.id, in->join.id, sizeof in->said.id);
    return answer(in, WEFT_OK);
}

weft_verdict wf_judge_on_in(struct wf_join_desk *desk, struct wf_join_in *in)
{
    wf_grant asked = {(weft_right)in->join.right, in->join.priority};
    if (asked.right < WEFT_RIGHT_WRITE) asked.priority = 0;
    if (in->join.has_id) return on_named(desk, in);
    if (!may_hear(desk, &in->join.tree, &in->join.key)) return answer(in, WEFT_TREE);
    struct wf_join_facts f = wf_join_facts_of(desk, &in->join.tree, &in->join.key);
    if (!f.served || f.now.revoked) return answer(in, WEFT_TREE);
    bool enough = asked.right == WEFT_RIGHT_NONE ? f.has.right >= WEFT_RIGHT_READ
                                                 : wf_grant_compare(&f.has, &asked) >= 0;
    if (enough) return answer_granted(in, &f.has);
    if (f.mode == NULL || asked.right == WEFT_RIGHT_NONE) return answer(in, WEFT_TREE);
    struct wf_join_row *row = wf_joins_same(&desk->joins, &in->join.tree, &in->join.key,
                                            &in->device);
    if (row == NULL) return on_new(desk, in, f.mode, &asked);
    return row->saved ? answer_row(in, row) : answer(in, WEFT_BUSY); /* it is being written */
}
