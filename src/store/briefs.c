/* SPDX-License-Identifier: Apache-2.0
 * briefs.c - a bounded cache of the facts of entries that the door asks for.
 * Called by: the writer alone. May touch: the engine, to read `meta`.
 * Never: writes, or drops what the open batch changed. */
#include "briefs.h"

#include "alloc.h"
#include "layout.h"
#include "log.h"

#define FETCH_CHUNK 64u
#define ROOM_FIRST 256u

weft_err wf_briefs_init(struct wf_briefs *b, uint64_t secret)
{
    *b = (struct wf_briefs){.secret = secret | 1, .batch = 1};
    return WEFT_OK;
}

static void names_free(struct wf_briefs *b, struct wf_brief *brief)
{
    if (brief->names_len > WF_BRIEF_NAMES_INLINE) {
        b->away_bytes -= brief->names_len;
        wf_free(brief->names.away);
    }
    brief->names_len = 0;
}

void wf_briefs_clear(struct wf_briefs *b)
{
    for (uint32_t i = 0; i < b->count; i++) names_free(b, &b->slots[i]);
    if (b->heads != NULL) memset(b->heads, 0, b->room * sizeof *b->heads);
    b->count = 0;
    b->hand = 0;
    b->pinned = 0;
}

void wf_briefs_fini(struct wf_briefs *b)
{
    wf_briefs_clear(b);
    wf_free(b->slots);
    wf_free(b->heads);
    *b = (struct wf_briefs){0};
}

const uint8_t *wf_brief_names(const struct wf_brief *brief)
{
    return brief->names_len > WF_BRIEF_NAMES_INLINE ? brief->names.away : brief->names.here;
}

/* Multiplying by a secret odd number and keeping the top bits: whoever grinds ids
 * does not know which of them meet. room is a power of two, at least 2. */
static uint32_t place(const struct wf_briefs *b, const weft_id *id)
{
    uint64_t word;
    memcpy(&word, id->bytes, sizeof word);
    return (uint32_t)((word * b->secret) >> (64 - __builtin_ctz(b->room)));
}

static struct wf_brief *lookup(struct wf_briefs *b, const weft_id *id)
{
    if (b->room == 0) return NULL;
    uint32_t at = b->heads[place(b, id)];
    while (at != 0) {
        struct wf_brief *brief = &b->slots[at - 1];
        if (weft_id_equal(&brief->id, id)) return brief;
        at = brief->next;
    }
    return NULL;
}

static void link_in(struct wf_briefs *b, uint32_t slot)
{
    uint32_t *head = &b->heads[place(b, &b->slots[slot].id)];
    b->slots[slot].next = *head;
    *head = slot + 1;
}

static void link_out(struct wf_briefs *b, uint32_t slot)
{
    uint32_t *link = &b->heads[place(b, &b->slots[slot].id)];
    while (*link != slot + 1) link = &b->slots[*link - 1].next;
    *link = b->slots[slot].next;
}

static weft_err grow(struct wf_briefs *b)
{
    uint32_t room = b->room == 0 ? ROOM_FIRST : b->room * 2;
    struct wf_brief *slots = wf_realloc(b->slots, room * sizeof *slots);
    if (slots == NULL) return WEFT_NO_MEMORY;
    b->slots = slots;
    uint32_t *heads = wf_calloc(room, sizeof *heads);
    if (heads == NULL) return WEFT_NO_MEMORY;
    wf_free(b->heads);
    b->heads = heads;
    b->room = room;
    for (uint32_t i = 0; i < b->count; i++) link_in(b, i);
    return WEFT_OK;
}

/* The clock: goes round until it meets one that was not used since the last time
 * and that the open batch does not need. */
static uint32_t evict(struct wf_briefs *b)
{
    WF_ASSERT(b->slots != NULL && b->pinned < b->count);
    for (;;) {
        uint32_t slot = b->hand;
        struct wf_brief *brief = &b->slots[slot];
        b->hand = (b->hand + 1) % b->count;
        if (brief->batch == b->batch) continue;
        if (brief->used) {
            brief->used = false;
            continue;
        }
        link_out(b, slot);
        names_free(b, brief);
        return slot;
    }
}

weft_err wf_briefs_add(struct wf_briefs *b, const struct wf_brief *brief, const uint8_t *names,
                       struct wf_brief **out)
{
    uint8_t *away = NULL;
    if (brief->names_len > WF_BRIEF_NAMES_INLINE) {
        away = wf_memdup(names, brief->names_len);
        if (away == NULL) return WEFT_NO_MEMORY;
    }
    uint32_t slot = b->count;
    if (b->count == b->room && b->room < WEFT_STORE_BRIEFS_MAX && grow(b) != WEFT_OK &&
        b->pinned >= b->count) {
        wf_free(away);
        return WEFT_NO_MEMORY;
    }
    if (b->count < b->room) b->count++;
    else slot = evict(b);
    WF_ASSERT(b->slots != NULL); /* there is room: it was grown or freed above */
    struct wf_brief *at = &b->slots[slot];
    *at = *brief;
    at->used = true;
    at->batch = 0;
    at->fresh = WF_NOT_FRESH;
    if (away != NULL) {
        at->names.away = away;
        b->away_bytes += brief->names_len;
    } else if (brief->names_len > 0) {
        memcpy(at->names.here, names, brief->names_len);
    }
    link_in(b, slot);
    *out = at;
    return WEFT_OK;
}

size_t wf_briefs_bytes(const struct wf_briefs *b)
{
    return b->room * (sizeof *b->slots + sizeof *b->heads) + b->away_bytes;
}

/* What was read of it goes into the cache. */
static weft_err take(struct wf_briefs *b, const weft_id *id, const wf_value *value,
                     struct wf_brief **out)
{
    struct wf_meta_record meta;
    weft_err err = wf_meta_read(value->data, value->len, &meta);
    if (err == WEFT_OK && b->is_removed != NULL && b->is_removed(b->arg, meta.t))
        err = WEFT_NOT_FOUND;
    if (err != WEFT_OK) return err;
    struct wf_brief brief = {.id = *id,
                             .t = meta.t,
                             .gen = meta.gen,
                             .seq = meta.seq,
                             .height = meta.height,
                             .policy = meta.policy,
                             .names_len = meta.names_len};
    return wf_briefs_add(b, &brief, meta.names, out);
}

weft_err wf_briefs_find(struct wf_briefs *b, wf_kv *kv, const weft_id *id, struct wf_brief **out)
{
    struct wf_brief *found = lookup(b, id);
    if (found != NULL) {
        found->used = true;
        *out = found;
        return WEFT_OK;
    }
    wf_value value;
    weft_err err = wf_kv_get(kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return err;
    err = take(b, id, &value, out);
    wf_value_release(kv, &value);
    return err;
}

static void fetch_some(struct wf_briefs *b, wf_kv *kv, const weft_id *ids, size_t count)
{
    wf_value values[FETCH_CHUNK];
    weft_err errs[FETCH_CHUNK];
    struct wf_brief *brief;
    if (wf_kv_multi_get(kv, NULL, WF_CF_META, ids, WEFT_ID_BYTES, count, values, errs) != WEFT_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (errs[i] != WEFT_OK) continue;
        (void)take(b, &ids[i], &values[i], &brief);
        wf_value_release(kv, &values[i]);
    }
}

void wf_briefs_fetch(struct wf_briefs *b, wf_kv *kv, const weft_id *ids, uint32_t count)
{
    weft_id missing[FETCH_CHUNK];
    size_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (lookup(b, &ids[i]) == NULL) missing[n++] = ids[i];
        if (n < FETCH_CHUNK && i + 1 < count) continue;
        if (n > 0) fetch_some(b, kv, missing, n);
        n = 0;
    }
}

uint32_t wf_brief_fresh(const struct wf_briefs *b, const struct wf_brief *brief)
{
    return brief->batch == b->batch ? brief->fresh : WF_NOT_FRESH;
}

void wf_briefs_pin(struct wf_briefs *b, struct wf_brief *brief)
{
    if (brief->batch == b->batch) return;
    brief->batch = b->batch;
    brief->fresh = WF_NOT_FRESH;
    b->pinned++;
}

void wf_briefs_next_batch(struct wf_briefs *b)
{
    b->batch++;
    if (b->batch == 0) b->batch = 1; /* 0 is never open */
    b->pinned = 0;
}
