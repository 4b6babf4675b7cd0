/* SPDX-License-Identifier: Apache-2.0
 * join_decide.c - what becomes of requests to join here: granted, rejected, expired, told.
 * Called by: join_desk.c, join_judge.c. May touch: the desk's requests; asks to the store.
 * Never: grants without its record; says who is an admin: the door and the rights do. */
#include <string.h>

#include "alloc.h"
#include "join_desk.h"
#include "log.h"
#include "records.h"

/* -- Telling ---------------------------------------------------------------------------- */

static weft_err event_of(weft_join_state state)
{
    switch (state) {
    case WEFT_JOIN_GRANTED: return WEFT_EXISTS;
    case WEFT_JOIN_REJECTED: return WEFT_REJECTED;
    case WEFT_JOIN_EXPIRED: return WEFT_EXPIRED;
    default: return WEFT_OK;
    }
}

/* A row that does not wait any more: told to who waits on a stream, and to the feed. */
static void tell_end(struct wf_join_desk *desk, struct wf_join_row *row)
{
    struct wf_join_said *said = row->stream == 0
                                    ? NULL
                                    : (struct wf_join_said *)weft_new(&wf_join_said_kind);
    if (said != NULL) { /* else it asks again */
        wf_join_say(&said->said, &row->r);
        said->conn = row->conn;
        said->said.stream = row->stream;
        if (weft_send(desk->table->sync, &said->msg) != WEFT_OK) weft_drop(&said->msg);
    }
    row->stream = 0;
    wf_join_event(desk, &row->r.tree, &row->r.key, row->r.id, event_of(row->r.state));
}

/* -- Decisions -------------------------------------------------------------------------- */

struct decision { /* on its way to the disk */
    struct wf_join_desk *desk;
    uint8_t id[16];
    weft_join_state state;
    weft_key by;
    int64_t at_ms;
    struct wf_join_req *req; /* who decides; NULL: nobody did, or it was automatic */
    struct wf_join_in *in;   /* automatic: who asks */
};

static void end_decision(struct decision *d, struct wf_join_row *row, weft_err err)
{
    struct wf_join_desk *desk = d->desk;
    row->deciding = false;
    if (err == WEFT_CANCELED) err = WEFT_CLOSED;
    if (err == WEFT_OK) {
        bool by_somebody = d->req != NULL || d->in != NULL;
        row->saved = true;
        wf_joins_end(&desk->joins, row, d->state, d->at_ms, by_somebody ? &d->by : NULL);
        tell_end(desk, row);
    }
    if (d->in != NULL) wf_judge_on_decided(desk, row, d->in, err);
    if (d->req != NULL) weft_reply(&d->req->req, err);
    wf_free(d);
    if (err == WEFT_OK) wf_decide_on_tick(desk); /* what is one too many goes at once */
}

static void on_decided(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct decision *d = arg;
    struct wf_join_row *row = wf_joins_find(&d->desk->joins, d->id);
    weft_drop(req == NULL ? NULL : &req->msg);
    end_decision(d, row, err);
}

/* The record of the row as it will be; NULL: memory is short. */
static struct wf_record_put *record_of(const struct wf_join_row *row, const struct decision *d)
{
    weft_join_request *r = wf_memdup(&row->r, sizeof row->r);
    if (r == NULL) return NULL;
    r->state = d->state;
    r->decided_ms = d->at_ms;
    r->decided_by = d->by;
    struct wf_record_put *put = wf_join_row_record(r);
    wf_free(r);
    return put;
}

/* The operations that give the key its right and its name. */
static weft_err grant_payload(const weft_join_request *r, weft_buf **out)
{
    struct wf_settings_text grant_text, name_text;
    wf_grant grant = {r->right, r->right >= WEFT_RIGHT_WRITE ? r->priority : 0};
    wf_map_op ops[2];
    uint8_t bytes[1024];
    size_t len;
    wf_settings_grant(&r->key, &grant, &grant_text, &ops[0]);
    ops[1] = (wf_map_op){.set = true, .value = weft_map_text(r->name)};
    wf_settings_name_path(&r->key, &name_text, &ops[1].path);
    weft_err err = wf_map_ops_encode(ops, 2, bytes, sizeof bytes, &len);
    return err != WEFT_OK ? err : weft_buf_create_copy(bytes, len, out);
}

/* Of what the tree has spent; NULL: memory is short. */
static struct wf_record_put *record_of_spent(struct wf_join_desk *desk, const weft_id *tree)
{
    uint32_t left = wf_join_modes_left(&desk->modes, tree, weft_now(desk->self));
    uint8_t bytes[WF_JOIN_SPENT_RECORD_MAX];
    size_t len = wf_join_spent_encode(left, wf_join_now(desk), bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    wf_join_key(put, WF_REC_JOIN_SPENT, tree->bytes, sizeof tree->bytes, NULL, 0);
    memcpy(put->value, bytes, len);
    return put;
}

/* False: memory is short. */
static bool add_records(struct wf_settings_commit *commit, const struct decision *d,
                        const struct wf_join_row *row)
{
    uint32_t count = d->in != NULL ? 2 : 1; /* nobody decided: what that costs is written too */
    commit->records = wf_calloc(count, sizeof(struct wf_record_put *));
    if (commit->records == NULL) return false;
    commit->records_count = count;
    commit->records[0] = record_of(row, d);
    if (count == 2) commit->records[1] = record_of_spent(d->desk, &row->r.tree);
    return commit->records[0] != NULL && commit->records[count - 1] != NULL;
}

/* One batch: the entry that grants, if one is needed, and the records that say so. The store judges
 * who decides, and whether the key was revoked, where that batch stands: between here and there
 * somebody may take both rights away. */
static weft_err ask_judged(struct decision *d, const struct wf_join_row *row,
                           const weft_keypair *admin, bool grants)
{
    weft_buf *payload = NULL;
    weft_err err = grants ? grant_payload(&row->r, &payload) : WEFT_OK;
    if (err != WEFT_OK) return err;
    struct wf_settings_commit *commit = wf_settings_commit_create(&row->r.tree, admin, payload);
    weft_buf_unref(payload);
    if (commit == NULL) return WEFT_NO_MEMORY;
    commit->has_whom = d->state == WEFT_JOIN_GRANTED;
    commit->whom = row->r.key;
    if (!add_records(commit, d, row)) {
        weft_drop(&commit->req.msg);
        return WEFT_NO_MEMORY;
    }
    return wf_join_ask_store(d->desk, &commit->req, on_decided, d) ? WEFT_OK : WEFT_CLOSED;
}

/* It has expired: nobody's right is asked for that. */
static weft_err ask_record(struct decision *d, const struct wf_join_row *row)
{
    struct wf_record_put *put = record_of(row, d);
    if (put == NULL) return WEFT_NO_MEMORY;
    return wf_join_ask_store(d->desk, &put->req, on_decided, d) ? WEFT_OK : WEFT_CLOSED;
}

/* Begins; `admin` NULL: nobody decides. On an error nothing has begun, and req and in are the
 * caller's. */
static weft_err decide(struct wf_join_desk *desk, struct wf_join_row *row, weft_join_state state,
                       const weft_keypair *admin, bool grants, struct decision how)
{
    struct decision *d = wf_malloc(sizeof *d);
    if (d == NULL) return WEFT_NO_MEMORY;
    *d = how;
    d->desk = desk;
    d->state = state;
    d->at_ms = wf_join_now(desk);
    memcpy(d->id, row->r.id, sizeof d->id);
    if (admin != NULL) weft_keypair_public(admin, &d->by);
    weft_err err = admin != NULL ? ask_judged(d, row, admin, grants) : ask_record(d, row);
    if (err != WEFT_OK) wf_free(d);
    else row->deciding = true;
    return err;
}

weft_err wf_decide_automatically(struct wf_join_desk *desk, struct wf_join_row *row,
                                 const weft_keypair *admin, struct wf_join_in *in)
{
    return decide(desk, row, WEFT_JOIN_GRANTED, admin, true, (struct decision){.in = in});
}

/* -- Those who decide ------------------------------------------------------------------- */

static weft_verdict reply(struct wf_join_req *req, weft_err err)
{
    weft_reply(&req->req, err);
    return WEFT_KEPT;
}

weft_verdict wf_decide_on_req(struct wf_join_desk *desk, struct wf_join_req *req)
{
    static const wf_grant any;
    struct wf_join_row *row = wf_joins_find(&desk->joins, req->id);
    struct decision how = {.req = req};
    if (row == NULL || !row->saved) return reply(req, WEFT_NOT_FOUND);
    const weft_join_request *r = &row->r;
    if (r->state != WEFT_JOIN_PENDING || row->deciding ||
        wf_join_now(desk) - r->asked_ms >= WEFT_JOIN_TTL_MS)
        return reply(req, WEFT_STATE);
    weft_key by;
    weft_keypair_public(req->pair, &by);
    const wf_grant asked = {r->right, r->priority};
    struct wf_join_facts f = wf_join_facts_of(desk, &r->tree, &r->key);
    bool approve = req->op == WF_JOIN_APPROVE;
    bool enough = wf_grant_compare(&f.has, &asked) >= 0;
    if (approve && !f.served) return reply(req, WEFT_TREE);
    if (approve && f.now.revoked)
        return reply(req, WEFT_STATE); /* a grant undoes that, said aloud */
    /* Only a grant shows at the door what its author may do. */
    bool grants = approve && !enough;
    if (!grants && !wf_join_is_admin(desk, &r->tree, &by, &any)) return reply(req, WEFT_FORBIDDEN);
    weft_err err = decide(desk, row, approve ? WEFT_JOIN_GRANTED : WEFT_JOIN_REJECTED, req->pair,
                          grants, how);
    return err == WEFT_OK ? WEFT_KEPT : reply(req, err);
}

/* -- Time ------------------------------------------------------------------------------- */

static void forget(struct wf_join_desk *desk, struct wf_join_row *row)
{
    struct wf_record_put *put = wf_record_create(0);
    if (put == NULL) return; /* the next opening finds it, and forgets it then */
    wf_join_key(put, WF_REC_JOIN, row->r.id, sizeof row->r.id, NULL, 0);
    put->remove = true;
    if (weft_send(desk->table->store, &put->req.msg) != WEFT_OK) weft_drop(&put->req.msg);
}

void wf_decide_on_tick(struct wf_join_desk *desk)
{
    struct wf_join_row *row;
    bool old;
    while ((row = wf_joins_due(&desk->joins, wf_join_now(desk), &old)) != NULL) {
        if (old) {
            forget(desk, row);
            wf_joins_remove(&desk->joins, row);
        } else if (decide(desk, row, WEFT_JOIN_EXPIRED, NULL, false, (struct decision){0}) !=
                   WEFT_OK) {
            return; /* at the next tick */
        }
    }
}
