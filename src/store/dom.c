/* SPDX-License-Identifier: Apache-2.0
 * dom.c - the trees of dominators: steps in them, and their records as bytes.
 * Called by: dom_write.c, dag_base.c, check_dom.c. May touch: the engine (reads).
 * Never: the heap; trusts a record to lead downwards. */
#include "dom.h"

#include "log.h"

static weft_err contradiction(void)
{
    return wf_fail(WEFT_CORRUPT, "store", "dominators contradict each other");
}

/* -- Steps ------------------------------------------------------------------------------------- */

/* A depth is a sum of the largest numbers 2^k - 1 that fit; the jump passes the last of them. */
uint64_t wf_dom_jump_depth(uint64_t depth)
{
    uint64_t left = depth, last = 0;
    if (depth == 0) return 0;
    for (uint64_t part = UINT64_MAX >> __builtin_clzll(depth); left > 0; part >>= 1)
        for (; left >= part; left -= part) last = part;
    return depth - last;
}

/* Each step leads to the depth that it has to: so walks end whatever the records say. */
static weft_err follow(wf_dom_get get, void *arg, struct wf_dom_at at, uint64_t depth,
                       struct wf_dom *out)
{
    struct wf_dom found = {0};
    if ((at.seq == 0) != (depth == 0)) return contradiction();
    weft_err err = at.seq == 0 ? WEFT_OK : get(arg, at, &found);
    if (err == WEFT_OK && found.depth != depth) err = contradiction();
    if (err == WEFT_OK) *out = found;
    return err;
}

weft_err wf_dom_step(wf_dom_get get, void *arg, struct wf_dom *a, struct wf_dom *b)
{
    struct wf_dom *deep = a->depth < b->depth ? b : a, *other = deep == a ? b : a;
    if (deep->depth == 0) return contradiction(); /* not known: two empty bases have met */
    uint64_t jump = wf_dom_jump_depth(deep->depth);
    if (deep->depth > other->depth)
        return jump >= other->depth ? follow(get, arg, deep->jump, jump, deep)
                                    : follow(get, arg, deep->up, deep->depth - 1, deep);
    bool far = deep->jump.seq != other->jump.seq;
    uint64_t depth = far ? jump : deep->depth - 1;
    struct wf_dom_at to = far ? other->jump : other->up;
    weft_err err = follow(get, arg, far ? deep->jump : deep->up, depth, deep);
    if (err != WEFT_OK) return err;
    if (to.seq != deep->at.seq) return follow(get, arg, to, depth, other);
    *other = *deep;
    return WEFT_OK;
}

/* -- Making a record --------------------------------------------------------------------------- */

static weft_err meet_parent(const struct wf_dom_source *source, struct wf_dom_at at, bool first,
                            struct wf_dom *base, bool *known)
{
    struct wf_dom parent;
    weft_err err = source->get(source->arg, at, &parent);
    if (err != WEFT_OK) return err;
    *known = parent.depth > 0;
    if (!*known) return WEFT_OK;
    if (first) *base = parent;
    while (err == WEFT_OK && !wf_dom_met(base, &parent))
        err = wf_dom_step(source->get, source->arg, base, &parent);
    return err;
}

/* The nearest one that all parents stand on. *known false: that of a parent is not. */
static weft_err meet_parents(const struct wf_dom_source *source, const struct wf_dom_entry *entry,
                             const weft_entry_store *store, struct wf_dom *out, bool *known)
{
    uint32_t count = store == NULL ? entry->parents_count : store->parents_count;
    uint64_t lowest = store == NULL ? 1 : 0; /* a tree has one root */
    *out = (struct wf_dom){0};
    *known = true;
    for (uint32_t i = 0; i < count && *known && (i == 0 || out->depth > lowest); i++) {
        weft_id id;
        struct wf_dom_at at;
        if (store == NULL) id = entry->parents[i];
        else weft_entry_store_parent(store, i, &id);
        weft_err err = source->find(source->arg, &id, store, &at);
        if (err == WEFT_OK) err = meet_parent(source, at, i == 0, out, known);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

/* Two jumps of the same length become one. */
static weft_err find_jump(const struct wf_dom_source *source, const struct wf_dom *base,
                          struct wf_dom_at *out)
{
    uint64_t first = wf_dom_jump_depth(base->depth), second = wf_dom_jump_depth(first);
    struct wf_dom over;
    *out = base->at;
    if (base->depth - first != first - second) return WEFT_OK;
    weft_err err = follow(source->get, source->arg, base->jump, first, &over);
    if (err == WEFT_OK) *out = over.jump;
    return err;
}

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

/* Depth; how far back the dominator is, and from there the jump; and which of the stores there
 * it is. What begins needs no more than its depth, and what is not known has none. */
static weft_err put_part(const struct wf_dom_source *source, uint64_t seq, uint32_t part,
                         const struct wf_dom *base, uint8_t **at)
{
    struct wf_dom_at jump;
    *at = put_varint(*at, base->depth + 1);
    if (base->depth == 0) return WEFT_OK;
    weft_err err = find_jump(source, base, &jump);
    if (err != WEFT_OK) return err;
    if (base->at.seq >= seq || jump.seq > base->at.seq) return contradiction();
    *at = put_varint(*at, seq - base->at.seq);
    *at = put_varint(*at, base->at.seq - jump.seq);
    if (part > 0) *(*at)++ = (uint8_t)base->at.part;
    if (part > 0 && jump.seq > 0) *(*at)++ = (uint8_t)jump.part;
    return WEFT_OK;
}

weft_err wf_dom_record(const struct wf_dom_source *source, const struct wf_dom_entry *entry,
                       uint8_t out[WF_DOM_RECORD_BYTES_MAX], size_t *len)
{
    uint8_t parts[WF_DOM_RECORD_BYTES_MAX], *at = parts;
    WF_ASSERT(entry->stores_count <= WEFT_ENTRY_STORES_MAX);
    for (uint32_t part = 0; part <= entry->stores_count; part++) {
        const weft_entry_store *store = part == 0 || entry->stores == NULL
                                            ? NULL
                                            : &entry->stores[part - 1];
        struct wf_dom base;
        bool known = part == 0 || store != NULL;
        weft_err err = known ? meet_parents(source, entry, store, &base, &known) : WEFT_OK;
        if (err == WEFT_OK && known) err = put_part(source, entry->seq, part, &base, &at);
        else *at++ = 0;
        if (err != WEFT_OK) return err;
    }
    size_t bytes = (size_t)(at - parts);
    uint8_t *body = put_varint(out, bytes);
    memcpy(body, parts, bytes);
    *len = (size_t)(body - out) + bytes;
    return WEFT_OK;
}

/* -- Reading ------------------------------------------------------------------------------------- */

static bool get_long(const uint8_t *data, size_t len, size_t *at, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; *at < len && shift < 64; shift += 7) {
        uint8_t byte = data[(*at)++];
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

static inline bool get_varint(const uint8_t *data, size_t len, size_t *at, uint64_t *out)
{
    if (*at == len || data[*at] >= 0x80) return get_long(data, len, at, out);
    *out = data[(*at)++]; /* most are short */
    return true;
}

static bool get_part(const uint8_t *data, size_t len, size_t *at, struct wf_dom *out)
{
    uint64_t back, further;
    uint32_t named = out->at.part > 0;
    out->up = out->jump = (struct wf_dom_at){0};
    if (!get_varint(data, len, at, &out->depth)) return false;
    if (out->depth <= 1) return true;
    if (!get_varint(data, len, at, &back) || !get_varint(data, len, at, &further)) return false;
    if (back == 0 || back >= out->at.seq || further > out->at.seq - back) return false;
    out->up.seq = out->at.seq - back;
    out->jump.seq = out->up.seq - further;
    if (len - *at < named + (out->jump.seq > 0 ? named : 0)) return false;
    if (named) out->up.part = data[(*at)++];
    if (named && out->jump.seq > 0) out->jump.part = data[(*at)++];
    return true;
}

weft_err wf_dom_next(const uint8_t *page, size_t len, size_t *at, const uint8_t **record,
                     size_t *record_len)
{
    uint64_t bytes;
    size_t begin = *at;
    if (begin == len) return WEFT_END;
    if (!get_varint(page, len, at, &bytes) || bytes > len - *at) return WEFT_CORRUPT;
    *at += bytes;
    *record = page + begin;
    *record_len = *at - begin;
    return WEFT_OK;
}

weft_err wf_dom_decode(const uint8_t *record, size_t len, struct wf_dom_at at, struct wf_dom *out)
{
    struct wf_dom found = {.at.seq = at.seq};
    size_t place = 0;
    uint64_t bytes;
    bool good = get_varint(record, len, &place, &bytes);
    for (; good; found.at.part++) {
        good = get_part(record, len, &place, &found);
        if (found.at.part == at.part) break;
    }
    if (!good) return wf_fail(WEFT_CORRUPT, "store", "a record of dominators is malformed");
    *out = found;
    return WEFT_OK;
}

weft_err wf_dom_find(const uint8_t *page, size_t len, struct wf_dom_at at, struct wf_dom *out)
{
    const uint8_t *record = NULL;
    size_t record_len = 0, place = 0;
    WF_ASSERT(at.seq > 0);
    weft_err err = WEFT_OK;
    for (uint64_t i = 0; i <= (at.seq - 1) % WF_DOM_PAGE && err == WEFT_OK; i++)
        err = wf_dom_next(page, len, &place, &record, &record_len);
    if (err != WEFT_OK) return wf_fail(WEFT_CORRUPT, "store", "a page of dominators is malformed");
    return wf_dom_decode(record, record_len, at, out);
}

weft_err wf_dom_read(wf_kv *kv, const wf_kv_snapshot *snap, uint64_t t, struct wf_dom_at at,
                     struct wf_dom *out)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_value value;
    wf_key_dom(key, t, at.seq);
    weft_err err = wf_kv_get(kv, snap, WF_CF_DOM, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "store", "dominators are missing");
    if (err != WEFT_OK) return err;
    err = wf_dom_find(value.data, value.len, at, out);
    wf_value_release(kv, &value);
    return err;
}
