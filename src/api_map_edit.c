/* SPDX-License-Identifier: Apache-2.0
 * api_map_edit.c - public edits of maps: operations, gathered and committed as one entry.
 * Called by: users (weft/map.h), each edit by one thread. May touch: the heap.
 * Never: the store but through a writer. */
#include <weft/map.h>

#include "alloc.h"
#include "map_codec.h"

/* An operation with the texts and bytes that it points to. */
struct kept {
    wf_map_op op;
    size_t cost; /* what it takes encoded, at most */
    char bytes[];
};

struct weft_map_edit {
    struct kept **ops; /* ascending by path */
    uint32_t count, room;
    size_t cost;
};

#define EDIT_HEAD_BYTES 5u /* of the list of operations */

weft_map_path weft_map_path_of(const char *const *texts)
{
    weft_map_path path;
    memset(&path, 0, sizeof path);
    for (uint32_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        size_t len = strlen(texts[i]);
        if (i == WEFT_MAP_PATH_MAX || len > WEFT_MAP_COMPONENT_BYTES_MAX) {
            path.depth = 0;
            break;
        }
        path.part[i].text = texts[i];
        path.part[i].len = (uint32_t)len;
        path.depth = i + 1;
    }
    return path;
}

int weft_map_path_compare(const weft_map_path *a, const weft_map_path *b)
{
    return wf_map_path_compare(a, b);
}

weft_err weft_map_edit_create(weft_map_edit **out)
{
    if (out == NULL) return WEFT_INVALID;
    weft_map_edit *edit = wf_calloc(1, sizeof *edit);
    if (edit == NULL) return WEFT_NO_MEMORY;
    edit->cost = EDIT_HEAD_BYTES;
    *out = edit;
    return WEFT_OK;
}

void weft_map_edit_clear(weft_map_edit *edit)
{
    if (edit == NULL) return;
    for (uint32_t i = 0; i < edit->count; i++) wf_free(edit->ops[i]);
    edit->count = 0;
    edit->cost = EDIT_HEAD_BYTES;
}

void weft_map_edit_destroy(weft_map_edit *edit)
{
    if (edit == NULL) return;
    weft_map_edit_clear(edit);
    wf_free(edit->ops);
    wf_free(edit);
}

uint32_t weft_map_edit_count(const weft_map_edit *edit) { return edit->count; }

/* -- Adding ------------------------------------------------------------------------------ */

static size_t value_bytes(const wf_map_op *op)
{
    bool has = op->set && (op->value.type == WEFT_MAP_STR || op->value.type == WEFT_MAP_BIN);
    return has ? op->value.as.bytes.len : 0;
}

static struct kept *keep(const wf_map_op *op)
{
    const size_t value = value_bytes(op);
    size_t bytes = value;
    for (uint32_t i = 0; i < op->path.depth; i++) bytes += op->path.part[i].len;
    struct kept *k = wf_malloc(sizeof *k + bytes);
    if (k == NULL) return NULL;
    k->op = *op;
    /* Heads: the operation, its path, the kind; two bytes of each component, nine of the value. */
    k->cost = 3 + 2 * op->path.depth + 9 + bytes;
    char *at = k->bytes;
    for (uint32_t i = 0; i < op->path.depth; i++) {
        memcpy(at, op->path.part[i].text, op->path.part[i].len);
        k->op.path.part[i].text = at;
        at += op->path.part[i].len;
    }
    if (value > 0) {
        memcpy(at, op->value.as.bytes.data, value);
        k->op.value.as.bytes.data = at;
    }
    return k;
}

/* The first operation whose path is not before `path`. */
static uint32_t find(const weft_map_edit *edit, const weft_map_path *path)
{
    uint32_t low = 0, high = edit->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (wf_map_path_compare(&edit->ops[middle]->op.path, path) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static weft_err grow(weft_map_edit *edit)
{
    if (edit->count < edit->room) return WEFT_OK;
    uint32_t room = edit->room == 0 ? 16 : edit->room * 2;
    struct kept **ops = wf_realloc(edit->ops, room * sizeof *ops);
    if (ops == NULL) return WEFT_NO_MEMORY;
    edit->ops = ops;
    edit->room = room;
    return WEFT_OK;
}

/* A leaf that the edit set above a path that it sets is gone; what stood below it, too. */
static void uncover(weft_map_edit *edit, const weft_map_path *path)
{
    weft_map_path above = *path;
    while (--above.depth > 0) {
        uint32_t i = find(edit, &above);
        if (i == edit->count || wf_map_path_compare(&edit->ops[i]->op.path, &above) != 0) continue;
        edit->ops[i]->op.set = false;
    }
}

/* Operations of one entry count in the order of their paths: what was said before about this
 * path or one below would undo it, so it goes. */
static weft_err add(weft_map_edit *edit, const wf_map_op *op)
{
    const uint32_t from = find(edit, &op->path);
    uint32_t to = from;
    size_t dropped = 0;
    for (; to < edit->count; to++) {
        const wf_map_path *path = &edit->ops[to]->op.path;
        bool here = wf_map_path_compare(path, &op->path) == 0;
        if (!here && !wf_map_path_below(path, &op->path)) break;
        dropped += edit->ops[to]->cost;
    }
    weft_err err = grow(edit);
    if (err != WEFT_OK) return err;
    struct kept *k = keep(op);
    if (k == NULL) return WEFT_NO_MEMORY;
    if ((to == from && edit->count == WEFT_MAP_OPS_MAX) ||
        edit->cost - dropped + k->cost > WEFT_ENTRY_BYTES_MAX) {
        wf_free(k);
        return WEFT_LIMIT;
    }
    for (uint32_t i = from; i < to; i++) wf_free(edit->ops[i]);
    memmove(edit->ops + from + 1, edit->ops + to, (edit->count - to) * sizeof *edit->ops);
    edit->ops[from] = k;
    edit->count = edit->count - (to - from) + 1;
    edit->cost = edit->cost - dropped + k->cost;
    if (op->set) uncover(edit, &op->path);
    return WEFT_OK;
}

weft_err weft_map_edit_set(weft_map_edit *edit, const weft_map_path *path, weft_map_value value)
{
    if (edit == NULL || path == NULL || !wf_map_path_valid(path)) return WEFT_INVALID;
    if (value.type == WEFT_MAP_INT) value = weft_map_int(value.as.sint);
    bool bytes = value.type == WEFT_MAP_STR || value.type == WEFT_MAP_BIN;
    if (bytes && value.as.bytes.data == NULL && value.as.bytes.len > 0) return WEFT_INVALID;
    if (bytes && value.as.bytes.len > WEFT_ENTRY_BYTES_MAX) return WEFT_LIMIT;
    if (!wf_map_value_valid(&value)) return WEFT_INVALID;
    return add(edit, &(wf_map_op){.path = *path, .set = true, .value = value});
}

weft_err weft_map_edit_delete(weft_map_edit *edit, const weft_map_path *path)
{
    if (edit == NULL || path == NULL || !wf_map_path_valid(path)) return WEFT_INVALID;
    return add(edit, &(wf_map_op){.path = *path, .set = false});
}

/* -- Committing ------------------------------------------------------------------------------ */

weft_err weft_map_edit_encode(const weft_map_edit *edit, weft_buf **out)
{
    weft_buf *buf = NULL;
    wf_map_op *ops = NULL;
    size_t len = 0;
    if (edit == NULL || out == NULL || edit->count == 0) return WEFT_INVALID;
    weft_err err = WEFT_NO_MEMORY;
    ops = wf_malloc(edit->count * sizeof *ops);
    if (ops == NULL) goto done;
    for (uint32_t i = 0; i < edit->count; i++) ops[i] = edit->ops[i]->op;
    err = weft_buf_create(edit->cost, &buf);
    if (err == WEFT_OK)
        err = wf_map_ops_encode(ops, edit->count, weft_buf_data(buf), edit->cost, &len);
    if (err != WEFT_OK) goto done;
    weft_buf_truncate(buf, len);
    *out = buf;
    buf = NULL; /* the caller's now */
done:
    weft_buf_unref(buf);
    wf_free(ops);
    return err;
}

weft_err weft_map_commit(weft_writer *writer, const char *store, const weft_map_edit *edit,
                         weft_ns timeout, weft_id *out_id)
{
    weft_buf *payload = NULL;
    weft_err err = weft_map_edit_encode(edit, &payload);
    if (err == WEFT_OK)
        err = weft_commit(writer, store, weft_buf_bytes(payload), weft_buf_len(payload), timeout,
                          out_id);
    weft_buf_unref(payload);
    return err;
}
