/* SPDX-License-Identifier: Apache-2.0
 * join_asking.c - what this node asks elsewhere: the questions, and what is asked again until it is
 * decided.
 * Called by: join_desk.c. May touch: the desk's asked rows; asks to the engine.
 * Never: decides what follows from an answer: join_said.c does. */
#include <string.h>

#include "alloc.h"
#include "engine.h"
#include "join_asking.h"

#define ASK_ANYWAY 16u /* ticks: also where the decision would be told */

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
    if (err != WEFT_OK) wf_asking_finish(a, err);
    else wf_asking_settle(a);
}

static void begin(struct asking *a, bool again)
{
    struct wf_cmd *cmd = command_of(a, again);
    wf_asking_step(a, a->desk->table->sync, cmd == NULL ? NULL : &cmd->req, wf_asking_deadline(a),
                   on_answer);
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
    wf_asking_settle(a);
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
        wf_asking_settle(a);
    }
}
