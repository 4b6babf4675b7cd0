/* SPDX-License-Identifier: Apache-2.0
 * commands_raw.c - exactly these entries (C01), a raw request (C10), what a peer offers.
 * Called by: commands.c, engine_frame.c, engine_over.c. May touch: ops, raw sessions.
 * Never: interprets the answer to a raw request. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "engine_state.h"

#define REQUEST_DEPTH 8u

/* -- C01 ----------------------------------------------------------------------------- */

void wf_cmd_raw_ended(struct engine *e, struct op *op, weft_err err, uint64_t sent)
{
    if (err != WEFT_OK && op->first_err == WEFT_OK)
        op->first_err = err == WEFT_TREE ? WEFT_FORBIDDEN : err;
    if (op->cmd != NULL) op->cmd->result.sent += sent;
    if (--op->raw_open == 0) wf_op_finish(e, op, op->first_err);
    wf_op_put(op);
}

static weft_err tree_of(const weft_buf *entry, weft_id *out)
{
    weft_entry *decoded = wf_malloc(sizeof *decoded);
    if (decoded == NULL) return WEFT_NO_MEMORY;
    weft_err err = weft_entry_decode(weft_buf_bytes(entry), weft_buf_len(entry), decoded);
    if (err == WEFT_OK) *out = decoded->tree;
    wf_free(decoded);
    return err;
}

/* Brings the entries of the same tree together, in their order; trees[i] is that of
 * entries[i]. Few trees are sent at once, so the plain way is good enough. */
static void gather(weft_buf **entries, weft_id *trees, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t to = i;
        for (uint32_t k = i; k > 0 && !weft_id_equal(&trees[k - 1], &trees[i]); k--) to = k - 1;
        if (to == 0 || to == i) continue; /* first of its tree, or in its place */
        weft_buf *entry = entries[i];
        weft_id tree = trees[i];
        memmove(&entries[to + 1], &entries[to], (i - to) * sizeof *entries);
        memmove(&trees[to + 1], &trees[to], (i - to) * sizeof *trees);
        entries[to] = entry;
        trees[to] = tree;
    }
}

static weft_err open_raw(struct engine *e, struct op *op, struct conn *c, const weft_id *tree,
                         uint32_t from, uint32_t count)
{
    struct esession *es = NULL;
    weft_err err = wf_es_open(e, c, tree, WF_OPEN_RAW, &es);
    if (err != WEFT_OK) return err;
    es->raw = op;
    es->raw_from = from;
    es->raw_count = count;
    op->raw_open++;
    op->refs++;
    return WEFT_OK;
}

static void on_connected(struct engine *e, struct conn_wait *wait, weft_err err, struct conn *c)
{
    struct op *op = (struct op *)wait;
    struct wf_cmd *cmd = op->cmd;
    uint32_t count = cmd->entries_count;
    weft_id *trees = NULL;
    if (err != WEFT_OK) goto done;
    err = WEFT_NO_MEMORY;
    trees = wf_calloc(count == 0 ? 1 : count, sizeof *trees);
    if (trees == NULL) goto done;
    err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < count; i++)
        err = tree_of(cmd->entries[i], &trees[i]);
    if (err != WEFT_OK) goto done;
    gather(cmd->entries, trees, count);
    for (uint32_t from = 0, to; err == WEFT_OK && from < count; from = to) {
        for (to = from + 1; to < count && weft_id_equal(&trees[to], &trees[from]);) to++;
        err = open_raw(e, op, c, &trees[from], from, to - from);
    }
done:
    wf_free(trees);
    if (err != WEFT_OK || op->raw_open == 0) wf_op_finish(e, op, err);
}

void wf_cmd_send_entries(struct engine *e, struct op *op)
{
    op->wait.fn = on_connected;
    wf_e_connect(e, &op->cmd->peer, &op->wait);
}

/* -- C10 ----------------------------------------------------------------------------- */

/* The shortest form: the peer refuses any other. */
static size_t put_uint(uint8_t out[5], uint32_t v)
{
    if (v < 128) {
        out[0] = (uint8_t)v;
        return 1;
    }
    unsigned bytes = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : 4;
    out[0] = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : 0xce;
    for (unsigned i = 0; i < bytes; i++) out[1 + i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    return 1 + bytes;
}

/* `message` with its second element replaced by `stream`, as a frame. INVALID: it is not
 * a msgpack array of at least a type and a stream number. */
static weft_err patch(const weft_buf *message, uint32_t stream, weft_buf **out)
{
    const uint8_t *bytes = weft_buf_bytes(message);
    size_t len = weft_buf_len(message);
    if (wf_scan(bytes, len, REQUEST_DEPTH, len) != WEFT_OK) return WEFT_INVALID;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    uint32_t fields = wf_cursor_array(&c, UINT32_MAX);
    (void)wf_cursor_uint(&c, WF_F_TYPES * 8u - 1u);
    size_t from = (size_t)(c.at - bytes);
    (void)wf_cursor_uint(&c, UINT64_MAX);
    if (c.err != WEFT_OK || fields < 2) return WEFT_INVALID;
    size_t to = (size_t)(c.at - bytes);
    uint8_t number[5];
    size_t number_len = put_uint(number, stream);
    size_t size = len - (to - from) + number_len;
    if (size > WEFT_MESSAGE_BYTES_MAX) return WEFT_INVALID;
    weft_err err = weft_buf_create(WF_FRAME_HEAD + size, out);
    if (err != WEFT_OK) return err;
    uint8_t *at = weft_buf_data(*out) + WF_FRAME_HEAD;
    memcpy(at, bytes, from);
    memcpy(at + from, number, number_len);
    memcpy(at + from + number_len, bytes + to, len - to);
    return WEFT_OK;
}

weft_err wf_op_listen(struct engine *e, struct op *op, struct conn *c, uint32_t stream,
                      weft_buf *frame)
{
    op->key = (struct session_key){c->id, stream};
    weft_err err = wf_table_add(&e->requests, &op->by_stream);
    if (err != WEFT_OK) {
        weft_buf_unref(frame);
        return err;
    }
    op->listening = true;
    wf_e_control(e, c->id, stream, frame);
    return WEFT_OK;
}

static weft_err send_request(struct engine *e, struct op *op, struct conn *c)
{
    weft_buf *frame = NULL;
    uint32_t stream = wf_econn_stream(c);
    if (stream == 0) return WEFT_LIMIT;
    weft_err err = patch(op->cmd->message, stream, &frame);
    return err != WEFT_OK ? err : wf_op_listen(e, op, c, stream, frame);
}

void wf_cmd_request_answer(struct engine *e, struct op *op, const struct wf_tp_frame *f)
{
    struct wf_cmd *cmd = op->cmd;
    weft_err err = WEFT_OK;
    struct wf_trees trees;
    struct wf_err_frame bad;
    if (cmd->op == WF_CMD_JOIN) {
        wf_cmd_join_answer(e, op, f);
        return;
    }
    if (cmd->op == WF_CMD_SEND_REQUEST) {
        weft_buf_unref(cmd->message);
        cmd->message = NULL;
        err = weft_buf_create_copy(f->bytes, f->len, &cmd->message);
    } else if (wf_trees_decode(f->bytes, f->len, &trees) == WEFT_OK) {
        cmd->ids = wf_memdup(trees.ids, (size_t)trees.count * sizeof *cmd->ids);
        cmd->count = trees.count;
        if (cmd->ids == NULL && trees.count > 0) {
            cmd->count = 0;
            err = WEFT_NO_MEMORY;
        }
    } else {
        err = wf_err_decode(f->bytes, f->len, &bad) == WEFT_OK ? wf_wire_err(bad.code)
                                                               : WEFT_PROTOCOL;
        if (err == WEFT_OK) err = WEFT_PROTOCOL;
    }
    wf_op_finish(e, op, err);
}

void wf_cmd_requests_down(struct engine *e, const struct conn *c, weft_err why)
{
    struct wf_link *next;
    for (struct wf_link *at = e->requests.first; at != NULL; at = next) {
        struct op *op = (struct op *)((char *)at - offsetof(struct op, by_stream));
        next = at->next;
        if (op->key.conn == c->id && !wf_cmd_join_again(e, op, why)) wf_op_finish(e, op, why);
    }
}

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_tp_dial *dial = (const struct wf_tp_dial *)req;
    e->order++;
    if (op->cmd != NULL) {
        struct conn *c = err == WEFT_OK ? wf_econn_find(e, dial->conn) : NULL;
        if (err == WEFT_OK) err = c == NULL ? WEFT_CLOSED : send_request(e, op, c);
        if (err != WEFT_OK) wf_op_finish(e, op, err);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

struct conn *wf_econn_at(struct engine *e, const char *address)
{
    for (struct wf_link *at = e->conns.first; at != NULL; at = at->next) {
        struct conn *c = (struct conn *)((char *)at - offsetof(struct conn, link));
        if (c->up->dialled && strcmp(c->up->address, address) == 0) return c;
    }
    return NULL;
}

void wf_cmd_send_request(struct engine *e, struct op *op)
{
    weft_buf *trial = NULL;
    weft_err err = patch(op->cmd->message, 1, &trial); /* before anything is dialled */
    weft_buf_unref(trial);
    struct conn *c = wf_econn_at(e, op->cmd->text);
    if (err == WEFT_OK && c != NULL) {
        err = send_request(e, op, c);
        if (err == WEFT_OK) return;
    }
    struct wf_tp_dial *dial = err == WEFT_OK ? wf_tp_new(&wf_tp_dial_kind) : NULL;
    if (dial == NULL) {
        wf_op_finish(e, op, err == WEFT_OK ? WEFT_NO_MEMORY : err);
        return;
    }
    memcpy(dial->address, op->cmd->text, sizeof dial->address);
    op->refs++;
    if (wf_e_ask(e, e->table->transport, &dial->req, on_dialled, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

/* -- Offers -------------------------------------------------------------------------- */

static void on_conn_for_offers(struct engine *e, struct conn_wait *wait, weft_err err,
                               struct conn *c)
{
    struct op *op = (struct op *)wait;
    if (err == WEFT_OK) {
        uint32_t stream = wf_econn_stream(c);
        weft_buf *frame = stream == 0 ? NULL : wf_trees_req_encode(stream);
        err = stream == 0 ? WEFT_LIMIT : frame == NULL ? WEFT_NO_MEMORY : WEFT_OK;
        if (err == WEFT_OK) err = wf_op_listen(e, op, c, stream, frame);
    }
    if (err != WEFT_OK) wf_op_finish(e, op, err);
}

void wf_cmd_offers(struct engine *e, struct op *op)
{
    op->wait.fn = on_conn_for_offers;
    wf_e_connect(e, &op->cmd->peer, &op->wait);
}
