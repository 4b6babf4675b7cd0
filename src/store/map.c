/* SPDX-License-Identifier: Apache-2.0
 * map.c - what payloads resolve to: one record for each path that was ever written.
 * Called by: policy.c, views. May touch: the heap.
 * Never: changes a map once it is made, forgets a tombstone, depends on the order of joins.
 *
 * A record keeps the newest operation on its path, and when the path was last set.
 * Both only grow, path by path, so a join is a maximum: associative, commutative and
 * idempotent. Which leaves are visible is computed from them when somebody asks. */
#include "map.h"

#include <string.h>

#include "alloc.h"
#include "log.h"
#include "map_codec.h"

struct wf_map {
    uint32_t count;
    size_t text_bytes;       /* of all paths and values */
    wf_map_record records[]; /* after them, the texts that they point into */
};

struct size { /* what a map needs before it is made */
    size_t count, text;
};

struct filler { /* a map being made, its texts behind its records */
    wf_map *map;
    char *text;
};

int wf_stamp_compare(const wf_stamp *a, const wf_stamp *b)
{
    if (a->gen != b->gen) return a->gen < b->gen ? -1 : 1;
    return weft_id_compare(&a->id, &b->id);
}

static bool has_bytes(const wf_map_value *value)
{
    return value->type == WEFT_MAP_STR || value->type == WEFT_MAP_BIN;
}

static void measure(struct size *size, const wf_map_record *r)
{
    size->count++;
    for (uint32_t i = 0; i < r->path.depth; i++) size->text += r->path.part[i].len;
    if (has_bytes(&r->value)) size->text += r->value.as.bytes.len;
}

static weft_err start(struct filler *f, const struct size *size)
{
    const size_t records = size->count * sizeof(wf_map_record);
    f->map = wf_malloc(sizeof *f->map + records + size->text);
    if (f->map == NULL) return WEFT_NO_MEMORY;
    f->map->count = 0;
    f->map->text_bytes = size->text;
    f->text = (char *)f->map + sizeof *f->map + records;
    return WEFT_OK;
}

static const char *keep(struct filler *f, const void *text, size_t len)
{
    char *kept = f->text;
    if (len > 0) memcpy(kept, text, len);
    f->text += len;
    return kept;
}

static void append(struct filler *f, const wf_map_record *r)
{
    wf_map_record *to = &f->map->records[f->map->count++];
    *to = *r;
    for (uint32_t i = 0; i < r->path.depth; i++) {
        to->path.part[i].text = keep(f, r->path.part[i].text, r->path.part[i].len);
    }
    if (has_bytes(&r->value)) {
        to->value.as.bytes.data = keep(f, r->value.as.bytes.data, r->value.as.bytes.len);
    }
}

weft_err wf_map_create_empty(wf_map **out)
{
    struct filler f;
    struct size none = {0, 0};
    weft_err err = start(&f, &none);
    if (err == WEFT_OK) *out = f.map;
    return err;
}

void wf_map_destroy(wf_map *map) { wf_free(map); }

/* -- From operations ---------------------------------------------------------------- */

struct reading {
    const wf_stamp *at;
    struct size size;
    struct filler filler;
    bool filling;
};

static weft_err on_op(void *arg, const wf_map_op *op)
{
    struct reading *r = arg;
    wf_map_record record = {
        .path = op->path, .set = op->set, .value = op->value, .at = *r->at, .was_set = op->set};
    if (op->set) record.set_at = *r->at;
    if (r->filling) append(&r->filler, &record);
    else measure(&r->size, &record);
    return WEFT_OK;
}

weft_err wf_map_create(const void *payload, size_t len, const wf_stamp *at, wf_map **out)
{
    struct reading r = {.at = at};
    weft_err err = wf_map_ops_each(payload, len, on_op, &r);
    if (err != WEFT_OK) return err;
    err = start(&r.filler, &r.size);
    if (err != WEFT_OK) return err;
    r.filling = true;
    err = wf_map_ops_each(payload, len, on_op, &r);
    WF_ASSERT(err == WEFT_OK && r.filler.map->count == r.size.count); /* the same bytes */
    *out = r.filler.map;
    return WEFT_OK;
}

/* -- Join -------------------------------------------------------------------------------- */

/* Two records of one path become the one that knows what both know. */
static wf_map_record newest(const wf_map_record *a, const wf_map_record *b)
{
    wf_map_record r = wf_stamp_compare(&a->at, &b->at) >= 0 ? *a : *b;
    r.was_set = a->was_set || b->was_set;
    if (a->was_set) r.set_at = a->set_at;
    if (b->was_set && (!a->was_set || wf_stamp_compare(&b->set_at, &a->set_at) > 0)) {
        r.set_at = b->set_at;
    }
    return r;
}

struct merge {
    const wf_map *a, *b;
    uint32_t i, j;
};

static bool merge_next(struct merge *m, wf_map_record *out)
{
    const wf_map_record *a = m->i < m->a->count ? &m->a->records[m->i] : NULL;
    const wf_map_record *b = m->j < m->b->count ? &m->b->records[m->j] : NULL;
    if (a == NULL && b == NULL) return false;

    int order = a == NULL ? 1 : b == NULL ? -1 : wf_map_path_compare(&a->path, &b->path);
    if (order <= 0) m->i++;
    if (order >= 0) m->j++;
    *out = order < 0 ? *a : order > 0 ? *b : newest(a, b);
    return true;
}

weft_err wf_map_join(const wf_map *a, const wf_map *b, wf_map **out)
{
    struct size size = {0, 0};
    struct filler f;
    wf_map_record r;

    for (struct merge m = {a, b, 0, 0}; merge_next(&m, &r);) measure(&size, &r);
    weft_err err = start(&f, &size);
    if (err != WEFT_OK) return err;
    for (struct merge m = {a, b, 0, 0}; merge_next(&m, &r);) append(&f, &r);
    *out = f.map;
    return WEFT_OK;
}

/* -- As bytes ------------------------------------------------------------------------------ */

enum { SHORT_FIELDS = 5, LONG_FIELDS = 7 };

/* A delete that hides an older set keeps the time of both; of a set they are one. */
static bool has_two_stamps(const wf_map_record *r) { return !r->set && r->was_set; }

static void pack_stamp(msgpack_packer *pk, const wf_stamp *at)
{
    msgpack_pack_uint64(pk, at->gen);
    wf_pack_bin(pk, at->id.bytes, WEFT_ID_BYTES);
}

static void pack_record(msgpack_packer *pk, const wf_map_record *r)
{
    msgpack_pack_array(pk, has_two_stamps(r) ? LONG_FIELDS : SHORT_FIELDS);
    wf_map_path_pack(pk, &r->path);
    msgpack_pack_uint64(pk, r->set ? 1 : 0);
    if (r->set) wf_map_value_pack(pk, &r->value);
    else msgpack_pack_nil(pk);
    pack_stamp(pk, &r->at);
    if (has_two_stamps(r)) pack_stamp(pk, &r->set_at);
}

weft_err wf_map_encode(const wf_map *map, weft_buf **out)
{
    /* Heads of at most 5 bytes: the record, kind, path, its parts, the value; two stamps. */
    const size_t per_record = 5 * (4 + WEFT_MAP_PATH_MAX) + 9 + 2 * (9 + 2 + WEFT_ID_BYTES);
    const size_t room = 5 + map->count * per_record + map->text_bytes;
    weft_buf *buf;
    weft_err err = weft_buf_create(room, &buf);
    if (err != WEFT_OK) return err;

    uint8_t *bytes = weft_buf_data(buf);
    struct wf_pack pack = {bytes, bytes + room, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, map->count);
    for (uint32_t i = 0; i < map->count; i++) pack_record(&pk, &map->records[i]);
    WF_ASSERT(!pack.overflow);
    weft_buf_truncate(buf, (size_t)(pack.at - bytes));
    *out = buf;
    return WEFT_OK;
}

static weft_err read_stamp(wf_cursor *c, wf_stamp *out)
{
    out->gen = wf_cursor_uint(c, UINT64_MAX);
    const uint8_t *id = wf_cursor_bin_fixed(c, WEFT_ID_BYTES);
    if (c->err != WEFT_OK) return c->err;
    memcpy(out->id.bytes, id, WEFT_ID_BYTES);
    return WEFT_OK;
}

static weft_err read_record(wf_cursor *c, wf_map_record *out)
{
    uint32_t fields = wf_cursor_array(c, LONG_FIELDS);
    if (c->err != WEFT_OK) return c->err;
    if (fields != SHORT_FIELDS && fields != LONG_FIELDS) return WEFT_SYNTAX;
    memset(out, 0, sizeof *out);
    weft_err err = wf_map_path_read(c, &out->path);
    if (err != WEFT_OK) return WEFT_SYNTAX;
    out->set = wf_cursor_uint(c, 1) == 1;
    err = wf_map_value_read(c, &out->value);
    if (err != WEFT_OK) return err;
    err = read_stamp(c, &out->at);
    if (err != WEFT_OK) return err;
    if (!out->set && out->value.type != WEFT_MAP_NIL) return WEFT_SYNTAX;
    if (fields == SHORT_FIELDS) {
        out->was_set = out->set;
        if (out->set) out->set_at = out->at;
        return WEFT_OK;
    }
    out->was_set = true;
    err = read_stamp(c, &out->set_at);
    if (err != WEFT_OK) return err;
    return !out->set && wf_stamp_compare(&out->set_at, &out->at) < 0 ? WEFT_OK : WEFT_NOT_CANONICAL;
}

/* One pass over the bytes; `f` NULL: only measures. */
static weft_err read_records(const void *bytes, size_t len, struct size *size, struct filler *f)
{
    wf_cursor c = wf_cursor_open(bytes, len, true);
    uint32_t count = wf_cursor_array(&c, UINT32_MAX);
    if (c.err != WEFT_OK) return c.err;

    wf_map_record two[2]; /* this one and the one before, in turn */
    for (uint32_t i = 0; i < count; i++) {
        wf_map_record *r = &two[i & 1];
        weft_err err = read_record(&c, r);
        if (err != WEFT_OK) return err;
        if (i > 0 && wf_map_path_compare(&two[(i - 1) & 1].path, &r->path) >= 0) {
            return WEFT_NOT_CANONICAL;
        }
        if (f != NULL) append(f, r);
        else measure(size, r);
    }
    return wf_cursor_done(&c);
}

weft_err wf_map_decode(const void *bytes, size_t len, wf_map **out)
{
    struct size size = {0, 0};
    struct filler f;
    weft_err err = wf_scan(bytes, len, WF_MAP_DEPTH, len);
    if (err == WEFT_OK) err = read_records(bytes, len, &size, NULL);
    if (err == WEFT_OK) err = start(&f, &size);
    if (err != WEFT_OK) return err;
    err = read_records(bytes, len, &size, &f);
    WF_ASSERT(err == WEFT_OK && f.map->count == size.count); /* the same bytes */
    *out = f.map;
    return WEFT_OK;
}

/* -- Reading ---------------------------------------------------------------------------------- */

uint32_t wf_map_count(const wf_map *map) { return map->count; }

const wf_map_record *wf_map_at(const wf_map *map, uint32_t i)
{
    WF_ASSERT(i < map->count);
    return &map->records[i];
}

const wf_map_record *wf_map_find(const wf_map *map, const wf_map_path *path)
{
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = wf_map_path_compare(&map->records[middle].path, path);
        if (order == 0) return &map->records[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

bool wf_map_has(const wf_map *map, const wf_map_path *path)
{
    return wf_map_find(map, path) != NULL;
}

bool wf_map_visible(const wf_map *map, uint32_t i)
{
    const wf_map_record *r = wf_map_at(map, i);
    if (!r->set) return false;

    /* Whatever was done above later took this away. Of one entry's operations the one
     * above came first, so an equal stamp there did not. */
    wf_map_path above = r->path;
    for (above.depth = 1; above.depth < r->path.depth; above.depth++) {
        const wf_map_record *a = wf_map_find(map, &above);
        if (a != NULL && wf_stamp_compare(&a->at, &r->at) > 0) return false;
    }
    /* Whatever was set below later made this a branch; an equal stamp came later. */
    for (uint32_t k = i + 1; k < map->count; k++) {
        const wf_map_record *below = &map->records[k];
        if (!wf_map_path_below(&below->path, &r->path)) break;
        if (below->was_set && wf_stamp_compare(&below->set_at, &r->at) >= 0) return false;
    }
    return true;
}

weft_err wf_map_get(const wf_map *map, const wf_map_path *path, wf_map_value *out)
{
    const wf_map_record *r = wf_map_find(map, path);
    if (r == NULL || !wf_map_visible(map, (uint32_t)(r - map->records))) return WEFT_NOT_FOUND;
    *out = r->value;
    return WEFT_OK;
}
