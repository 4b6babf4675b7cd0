/* SPDX-License-Identifier: Apache-2.0
 * map_ops.c - the operations of a map's payload, written and read in their one form.
 * Called by: settings.c, map.c, views. May touch: its arguments.
 * Never: allocates, keeps what it read, accepts two encodings of one list. */
#include "map_codec.h"

#include <math.h>

#include "utf8.h"

enum {
    OP_FIELDS = 3,
    OP_NODES = 2 + OP_FIELDS - 1 + WEFT_MAP_PATH_MAX, /* values of one operation at most */
    NODES_MAX = 1 + OP_NODES * WEFT_MAP_OPS_MAX
};

int wf_map_path_compare(const wf_map_path *a, const wf_map_path *b)
{
    uint32_t shared = a->depth < b->depth ? a->depth : b->depth;
    for (uint32_t i = 0; i < shared; i++) {
        uint32_t la = a->part[i].len, lb = b->part[i].len;
        int order = memcmp(a->part[i].text, b->part[i].text, la < lb ? la : lb);
        if (order != 0) return order;
        if (la != lb) return la < lb ? -1 : 1;
    }
    return (a->depth > b->depth) - (a->depth < b->depth);
}

bool wf_map_path_below(const wf_map_path *path, const wf_map_path *above)
{
    if (path->depth <= above->depth) return false;
    wf_map_path start = *path;
    start.depth = above->depth;
    return wf_map_path_compare(&start, above) == 0;
}

/* -- Checks and codecs of the pieces ---------------------------------------------- */

bool wf_map_path_valid(const wf_map_path *path)
{
    if (path->depth == 0 || path->depth > WEFT_MAP_PATH_MAX) return false;
    for (uint32_t i = 0; i < path->depth; i++) {
        uint32_t len = path->part[i].len;
        if (len == 0 || len > WEFT_MAP_COMPONENT_BYTES_MAX) return false;
        if (!wf_utf8_valid((const uint8_t *)path->part[i].text, len)) return false;
    }
    return true;
}

bool wf_map_value_valid(const wf_map_value *value)
{
    switch (value->type) {
    case WEFT_MAP_NIL:
    case WEFT_MAP_BOOL:
    case WEFT_MAP_UINT: return true;
    case WEFT_MAP_INT: return value->as.sint < 0;
    case WEFT_MAP_FLOAT: return !isnan(value->as.real);
    case WEFT_MAP_STR:
        return value->as.bytes.len <= WEFT_ENTRY_BYTES_MAX &&
               wf_utf8_valid(value->as.bytes.data, value->as.bytes.len);
    case WEFT_MAP_BIN: return value->as.bytes.len <= WEFT_ENTRY_BYTES_MAX;
    }
    return false;
}

void wf_map_path_pack(msgpack_packer *pk, const wf_map_path *path)
{
    msgpack_pack_array(pk, path->depth);
    for (uint32_t i = 0; i < path->depth; i++) {
        wf_pack_str(pk, path->part[i].text, path->part[i].len);
    }
}

void wf_map_value_pack(msgpack_packer *pk, const wf_map_value *value)
{
    switch (value->type) {
    case WEFT_MAP_NIL: msgpack_pack_nil(pk); break;
    case WEFT_MAP_BOOL:
        if (value->as.truth) msgpack_pack_true(pk);
        else msgpack_pack_false(pk);
        break;
    case WEFT_MAP_UINT: msgpack_pack_uint64(pk, value->as.uint); break;
    case WEFT_MAP_INT: msgpack_pack_int64(pk, value->as.sint); break;
    case WEFT_MAP_FLOAT: msgpack_pack_double(pk, value->as.real); break;
    case WEFT_MAP_STR: wf_pack_str(pk, value->as.bytes.data, value->as.bytes.len); break;
    case WEFT_MAP_BIN: wf_pack_bin(pk, value->as.bytes.data, value->as.bytes.len); break;
    }
}

weft_err wf_map_path_read(wf_cursor *c, wf_map_path *out)
{
    uint32_t depth = wf_cursor_array(c, NODES_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (depth == 0 || depth > WEFT_MAP_PATH_MAX) return WEFT_BAD_ENTRY;
    for (uint32_t i = 0; i < depth; i++) {
        size_t len = 0;
        out->part[i].text = wf_cursor_str(c, 0, WEFT_ENTRY_BYTES_MAX, &len);
        if (c->err != WEFT_OK) return c->err;
        if (len == 0 || len > WEFT_MAP_COMPONENT_BYTES_MAX) return WEFT_BAD_ENTRY;
        out->part[i].len = (uint32_t)len;
    }
    out->depth = depth;
    return WEFT_OK;
}

weft_err wf_map_value_read(wf_cursor *c, wf_map_value *out)
{
    size_t len = 0;
    memset(out, 0, sizeof *out);
    switch (wf_cursor_peek(c)) {
    case WF_T_NIL:
        out->type = WEFT_MAP_NIL;
        (void)wf_cursor_nil(c);
        break;
    case WF_T_BOOL:
        out->type = WEFT_MAP_BOOL;
        out->as.truth = wf_cursor_bool(c);
        break;
    case WF_T_UINT:
        out->type = WEFT_MAP_UINT;
        out->as.uint = wf_cursor_uint(c, UINT64_MAX);
        break;
    case WF_T_INT:
        out->type = WEFT_MAP_INT;
        out->as.sint = wf_cursor_int(c);
        /* The signed codes can also hold numbers that have an unsigned, shorter form. */
        if (c->err == WEFT_OK && out->as.sint >= 0) return WEFT_NOT_CANONICAL;
        break;
    case WF_T_FLOAT:
        out->type = WEFT_MAP_FLOAT;
        out->as.real = wf_cursor_float(c);
        if (c->err == WEFT_OK && isnan(out->as.real)) return WEFT_NOT_CANONICAL;
        break;
    case WF_T_STR:
        out->type = WEFT_MAP_STR;
        out->as.bytes.data = wf_cursor_str(c, 0, WEFT_ENTRY_BYTES_MAX, &len);
        out->as.bytes.len = len;
        break;
    case WF_T_BIN:
        out->type = WEFT_MAP_BIN;
        out->as.bytes.data = wf_cursor_bin(c, 0, WEFT_ENTRY_BYTES_MAX, &len);
        out->as.bytes.len = len;
        break;
    case WF_T_NONE:
    case WF_T_ARRAY: return c->err ? c->err : WEFT_SYNTAX;
    }
    return c->err;
}

/* -- Payloads --------------------------------------------------------------------------- */

weft_err wf_map_ops_encode(const wf_map_op *ops, uint32_t count, uint8_t *out, size_t room,
                           size_t *len)
{
    if (count > WEFT_MAP_OPS_MAX) return WEFT_LIMIT;
    struct wf_pack pack = {out, out + room, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++) {
        const wf_map_op *op = &ops[i];
        if (!wf_map_path_valid(&op->path)) return WEFT_INVALID;
        if (op->set && !wf_map_value_valid(&op->value)) return WEFT_INVALID;
        if (i > 0 && wf_map_path_compare(&ops[i - 1].path, &op->path) >= 0) return WEFT_INVALID;
        msgpack_pack_array(&pk, OP_FIELDS);
        wf_map_path_pack(&pk, &op->path);
        msgpack_pack_uint64(&pk, op->set ? 1 : 0);
        if (op->set) wf_map_value_pack(&pk, &op->value);
        else msgpack_pack_nil(&pk);
    }
    if (pack.overflow) return WEFT_LIMIT;
    *len = (size_t)(pack.at - out);
    return WEFT_OK;
}

static weft_err read_op(wf_cursor *c, wf_map_op *out)
{
    if (wf_cursor_array(c, OP_FIELDS) != OP_FIELDS) return c->err ? c->err : WEFT_SYNTAX;
    weft_err err = wf_map_path_read(c, &out->path);
    if (err != WEFT_OK) return err;
    uint64_t kind = wf_cursor_uint(c, UINT64_MAX);
    if (c->err != WEFT_OK) return c->err;
    if (kind > 1) return WEFT_BAD_ENTRY;
    out->set = kind == 1;
    err = wf_map_value_read(c, &out->value);
    if (err != WEFT_OK) return err;
    return out->set || out->value.type == WEFT_MAP_NIL ? WEFT_OK : WEFT_BAD_ENTRY;
}

weft_err wf_map_ops_each(const void *payload, size_t len,
                         weft_err (*fn)(void *arg, const wf_map_op *op), void *arg)
{
    weft_err err = wf_scan(payload, len, WF_MAP_DEPTH, NODES_MAX);
    if (err != WEFT_OK) return err;
    wf_cursor c = wf_cursor_open(payload, len, true);
    uint32_t count = wf_cursor_array(&c, NODES_MAX);
    if (c.err != WEFT_OK) return c.err;
    if (count > WEFT_MAP_OPS_MAX) return WEFT_BAD_ENTRY;

    wf_map_op ops[2]; /* this one and the one before, in turn */
    for (uint32_t i = 0; i < count; i++) {
        wf_map_op *op = &ops[i & 1];
        err = read_op(&c, op);
        if (err != WEFT_OK) return err;
        if (i > 0 && wf_map_path_compare(&ops[(i - 1) & 1].path, &op->path) >= 0) {
            return WEFT_NOT_CANONICAL;
        }
        if (fn != NULL) err = fn(arg, op);
        if (err != WEFT_OK) return err;
    }
    return wf_cursor_done(&c);
}
