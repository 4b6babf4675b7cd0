/* SPDX-License-Identifier: Apache-2.0
 * standing_ways.c - what the history says of words and statements: who is below them and above, and
 * what was said before.
 * Called by: standing.c. May touch: the store, reading.
 * Never: judges; leaves anything of the engine open. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "standing.h"
#include "state.h"

static weft_err missing(weft_err err)
{
    if (err != WEFT_NOT_FOUND) return err;
    return wf_fail(WEFT_CORRUPT, "store", "an entry that others stand on is missing");
}

/* -- Policies ------------------------------------------------------------------------------- */

/* Borrowed until the next call. */
static weft_err policy_at(struct wf_standing *s, uint32_t number, const wf_policy **out)
{
    if (s->policy == NULL || s->policy_number != number) {
        uint8_t key[WF_KEY_POLICY_BYTES] = {WF_POLICY_NUMBER};
        wf_value value;
        wf_policy *policy = NULL;
        wf_put32(key + 1, number);
        weft_err err = wf_kv_get(s->store->kv, NULL, WF_CF_POLICY, key, sizeof key, &value);
        if (err != WEFT_OK) return missing(err);
        err = wf_policy_decode(value.data, value.len, &policy);
        wf_value_release(s->store->kv, &value);
        if (err != WEFT_OK) return err;
        wf_policy_destroy(s->policy);
        s->policy = policy;
        s->policy_number = number;
    }
    *out = s->policy;
    return WEFT_OK;
}

weft_err wf_standing_policy(struct wf_standing *s, const weft_id *id, const wf_policy **out)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = wf_kv_get(s->store->kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return missing(err);
    err = wf_meta_read(value.data, value.len, &meta);
    const uint32_t number = err == WEFT_OK ? meta.policy : 0;
    wf_value_release(s->store->kv, &value);
    return err == WEFT_OK ? policy_at(s, number, out) : err;
}

/* Facts of an entry, into s->meta: one is often asked about several times. */
static weft_err look_up(struct wf_standing *s, const weft_id *id)
{
    if (s->has_meta && weft_id_equal(&s->meta_id, id)) return WEFT_OK;
    if (s->meta == NULL) s->meta = wf_malloc(sizeof *s->meta);
    if (s->meta == NULL) return WEFT_NO_MEMORY;
    s->has_meta = false;
    weft_err err = wf_store_meta(s->store, id, s->meta);
    if (err != WEFT_OK) return missing(err);
    s->meta_id = *id;
    s->has_meta = true;
    return WEFT_OK;
}

weft_err wf_standing_author(struct wf_standing *s, const weft_id *id, weft_key *out)
{
    weft_err err = look_up(s, id);
    if (err == WEFT_OK) *out = s->meta->author;
    return err;
}

weft_err wf_standing_each_below(struct wf_standing *s, const weft_id *id,
                                void (*fn)(void *arg, const wf_policy *policy), void *arg)
{
    weft_err err = look_up(s, id);
    for (uint32_t i = 0; err == WEFT_OK && i < s->meta->parents_count; i++) {
        const wf_policy *policy = NULL;
        err = wf_standing_policy(s, &s->meta->parents[i], &policy);
        if (err == WEFT_OK) fn(arg, policy);
    }
    return err;
}

struct asking {
    const weft_key *key;
    bool any;
    wf_said said;
};

/* The join of several policies has what the newest of them says. */
static void ask(void *arg, const wf_policy *policy)
{
    struct asking *a = arg;
    wf_said said;
    if (!wf_policy_said(policy, a->key, &said)) return;
    if (!a->any || wf_stamp_compare(&said.at, &a->said.at) > 0) a->said = said;
    a->any = true;
}

weft_err wf_standing_said(struct wf_standing *s, const weft_id *id, bool settings,
                          const weft_key *key, bool *any, wf_said *out)
{
    struct asking a = {.key = key};
    weft_err err;
    if (settings) {
        err = wf_standing_each_below(s, id, ask, &a);
    } else { /* it says nothing itself, so it has what its parents have */
        const wf_policy *policy = NULL;
        err = wf_standing_policy(s, id, &policy);
        if (err == WEFT_OK) ask(&a, policy);
    }
    if (err != WEFT_OK) return err;
    *any = a.any;
    if (a.any) *out = a.said;
    return WEFT_OK;
}

weft_err wf_standing_said_below(struct wf_standing *s, struct wf_subject *x, bool everyone,
                                bool *any, wf_said *out)
{
    if (!x->asked[everyone]) {
        weft_err err = wf_standing_said(s, &x->place.id, x->settings, everyone ? NULL : &x->author,
                                        &x->any[everyone], &x->said[everyone]);
        if (err != WEFT_OK) return err;
        x->asked[everyone] = true;
    }
    *any = x->any[everyone];
    if (*any) *out = x->said[everyone];
    return WEFT_OK;
}

/* -- Reaching ------------------------------------------------------------------------------------ */

static weft_err reaches(struct wf_standing *s, const weft_id *from, const weft_id *target,
                        bool *out)
{
    struct wf_dag *dag = NULL;
    struct wf_dag_reach *reach = NULL;
    struct wf_facts above = {0}, below = {0};
    weft_err err = wf_dag_open_written(s->store, &s->tree, s->t, &dag);
    if (err == WEFT_OK) err = missing(wf_dag_cut(dag, &(weft_cut){from, 1}, &above, NULL, NULL));
    if (err == WEFT_OK) err = missing(wf_dag_cut(dag, &(weft_cut){target, 1}, &below, NULL, NULL));
    if (err == WEFT_OK) err = wf_dag_reach_take(dag, &above, &below, &reach);
    if (err == WEFT_OK) do
            err = wf_dag_reach_step(reach, out);
        while (err == WEFT_AGAIN);
    wf_dag_reach_destroy(reach);
    wf_facts_fini(&above);
    wf_facts_fini(&below);
    wf_dag_unref(dag);
    return err;
}

/* Who goes on above an entry that is known to be above it is found there, soon. */
static weft_err walk(struct wf_standing *s, struct wf_statement *st, const struct wf_subject *x,
                     bool *out)
{
    weft_err err = WEFT_OK;
    *out = false;
    if (st->has_above && st->above.gen < x->place.gen)
        err = reaches(s, &x->place.id, &st->above.id, out);
    if (err == WEFT_OK && !*out) err = reaches(s, &x->place.id, &st->place.id, out);
    if (err != WEFT_OK || !*out) return err;
    st->has_above = true;
    st->above = (wf_stamp){x->place.gen, x->place.id};
    return WEFT_OK;
}

/* -- A word below an entry ---------------------------------------------------------------------- */

#define KNOWN (UINT64_C(1) << 63)

static uint64_t pair_of(uint32_t word, uint32_t statement)
{
    return KNOWN | (uint64_t)word << 31 | (uint64_t)statement << 1;
}

/* Its place; it is there if the slot is not 0. */
static uint32_t pair_place(const struct wf_standing *s, uint64_t pair)
{
    uint32_t at = (uint32_t)(pair * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (s->pairs_room - 1);
    while (s->pairs[at] != 0 && (s->pairs[at] & ~UINT64_C(1)) != pair)
        at = (at + 1) & (s->pairs_room - 1);
    return at;
}

static weft_err pairs_grow(struct wf_standing *s)
{
    struct wf_standing more = {.pairs_room = s->pairs_room == 0 ? 64 : 2 * s->pairs_room};
    if (s->pairs_count >= s->pairs_max) return WEFT_LIMIT;
    if (2 * (s->pairs_count + 1) <= s->pairs_room) return WEFT_OK;
    more.pairs = wf_calloc(more.pairs_room, sizeof *more.pairs);
    if (more.pairs == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < s->pairs_room; i++)
        if (s->pairs[i] != 0)
            more.pairs[pair_place(&more, s->pairs[i] & ~UINT64_C(1))] = s->pairs[i];
    wf_free(s->pairs);
    s->pairs = more.pairs;
    s->pairs_room = more.pairs_room;
    return WEFT_OK;
}

/* The word of a key at this place. WF_NONE: it is not here. */
static uint32_t word_at(const struct wf_standing *s, const weft_key *key, const wf_stamp *at)
{
    const uint32_t k = wf_standing_key_of(s, key);
    if (k == WF_NONE) return WF_NONE;
    uint32_t low = s->keys[k].first, high = low + s->keys[k].count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct wf_statement *st = &s->list[s->words[s->by_key[middle]].statement];
        const wf_stamp then = {st->place.gen, st->place.id};
        const int order = wf_stamp_compare(&then, at);
        if (order == 0) return s->by_key[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return WF_NONE;
}

/* From one word of a key to the newest below it, and so on: where nobody forked, that leads to all
 * that are below, without a look at the disk. */
static bool follows(const struct wf_standing *s, const struct wf_word *w, const wf_stamp *from)
{
    const struct wf_statement *st = &s->list[w->statement];
    const wf_stamp at = {st->place.gen, st->place.id};
    wf_stamp next = *from;
    while (wf_stamp_compare(&next, &at) > 0) {
        const uint32_t word = word_at(s, &w->key, &next);
        if (word == WF_NONE || !s->words[word].has_before) return false;
        next = s->words[word].before;
    }
    return wf_stamp_compare(&next, &at) == 0;
}

/* When the key of a word was spoken of last below the entry. */
static weft_err newest_below(struct wf_standing *s, const struct wf_word *w, struct wf_subject *x,
                             bool *any, wf_stamp *out)
{
    const wf_stamp at = {x->place.gen, x->place.id};
    const bool listed = x->statement != WF_NONE && !w->everyone;
    const uint32_t own = listed ? word_at(s, &w->key, &at) : WF_NONE;
    wf_said said;
    weft_err err = WEFT_OK;
    if (own != WF_NONE) { /* it says something itself, and it was seen then */
        *any = s->words[own].has_before;
        *out = s->words[own].before;
        return WEFT_OK;
    }
    if (w->everyone || weft_key_equal(&w->key, &x->author))
        err = wf_standing_said_below(s, x, w->everyone, any, &said);
    else err = wf_standing_said(s, &x->place.id, x->settings, &w->key, any, &said);
    if (err == WEFT_OK && *any) *out = said.at;
    return err;
}

/* If it is below, what was said last there of its key is the word or newer: nearly always that
 * decides. Only what was said of one key on both sides of a fork has to be asked for. */
static weft_err find_out(struct wf_standing *s, const struct wf_word *w, struct wf_subject *x,
                         bool *out)
{
    struct wf_statement *st = &s->list[w->statement];
    const wf_stamp at = {st->place.gen, st->place.id};
    bool any = false;
    wf_stamp last;
    weft_err err = newest_below(s, w, x, &any, &last);
    if (err != WEFT_OK) return err;
    const int order = any ? wf_stamp_compare(&last, &at) : -1;
    *out = order == 0 || (order > 0 && !w->everyone && follows(s, w, &last));
    return order > 0 && !*out ? walk(s, st, x, out) : WEFT_OK;
}

weft_err wf_standing_is_below(struct wf_standing *s, uint32_t word, struct wf_subject *x, bool *out)
{
    const struct wf_word *w = &s->words[word];
    const wf_place *place = &s->list[w->statement].place;
    *out = false;
    if (place->seq >= x->place.seq || place->gen >= x->place.gen) return WEFT_OK;
    if (x->statement == WF_NONE) return find_out(s, w, x, out);
    const uint64_t pair = pair_of(word, x->statement);
    if (s->pairs_room > 0) {
        const uint64_t known = s->pairs[pair_place(s, pair)];
        if (known != 0) {
            *out = (known & 1) != 0;
            return WEFT_OK;
        }
    }
    weft_err err = pairs_grow(s);
    if (err == WEFT_OK) err = find_out(s, w, x, out);
    if (err != WEFT_OK) return err;
    s->pairs[pair_place(s, pair)] = pair | (uint64_t)*out;
    s->pairs_count++;
    return WEFT_OK;
}

/* -- An entry below a statement ------------------------------------------------------------------- */

static void forget_marks(struct wf_standing *s, struct wf_statement *st)
{
    if (st->below.words == NULL) return;
    s->marks_bytes -= (st->below.count + 63) / 64 * 8;
    wf_dag_bits_fini(&st->below);
}

static void end_marking(struct wf_statement *st)
{
    wf_dag_mark_destroy(st->mark);
    wf_dag_unref(st->dag);
    st->mark = NULL;
    st->dag = NULL;
}

void wf_statement_fini(struct wf_standing *s, struct wf_statement *st)
{
    end_marking(st);
    forget_marks(s, st);
}

static weft_err begin_marking(struct wf_standing *s, struct wf_statement *st)
{
    struct wf_facts cut = {0};
    weft_err err = wf_dag_open_written(s->store, &s->tree, s->t, &st->dag);
    if (err == WEFT_OK)
        err = missing(wf_dag_cut(st->dag, &(weft_cut){&st->place.id, 1}, &cut, NULL, NULL));
    if (err == WEFT_OK) err = wf_dag_mark_create(st->dag, &cut, &st->mark);
    wf_facts_fini(&cut);
    if (err != WEFT_OK) end_marking(st);
    return err;
}

/* Nothing that arrived after it is below it, so its marks end there. */
static weft_err keep_marks(struct wf_standing *s, struct wf_statement *st)
{
    const uint64_t bytes = (st->place.seq / 64 + 1) * 8;
    for (uint32_t i = 0; i < s->count && s->marks_bytes + bytes > WEFT_DAG_MARKS_BYTES; i++)
        forget_marks(s, &s->list[i]); /* to be marked again if anybody asks */
    weft_err err = wf_dag_bits_create(st->place.seq, &st->below);
    if (err == WEFT_OK) {
        memcpy(st->below.words, wf_dag_mark_bits(st->mark)->words, bytes);
        s->marks_bytes += bytes;
    }
    end_marking(st);
    return err;
}

static weft_err mark(struct wf_standing *s, struct wf_statement *st, uint64_t *left)
{
    weft_err err = WEFT_OK;
    if (st->below.words == NULL && st->mark == NULL) err = begin_marking(s, st);
    while (st->below.words == NULL && err == WEFT_OK) {
        const uint64_t before = st->dag->reads, may = *left == 0 ? 1 : *left;
        err = wf_dag_mark_step(st->mark, may > UINT32_MAX ? UINT32_MAX : (uint32_t)may);
        const uint64_t reads = st->dag->reads - before;
        *left -= reads < *left ? reads : *left;
        if (err == WEFT_OK) err = keep_marks(s, st);
        else if (err != WEFT_AGAIN) end_marking(st); /* it cannot go on */
        else if (*left > 0) err = WEFT_OK;
    }
    return err;
}

weft_err wf_standing_is_above(struct wf_standing *s, uint32_t statement, const struct wf_subject *x,
                              uint64_t *left, bool *out)
{
    struct wf_statement *st = &s->list[statement];
    *out = false;
    if (x->place.seq >= st->place.seq || x->place.gen >= st->place.gen) return WEFT_OK;
    if (x->statement != WF_NONE && s->list[x->statement].word != WF_NONE) {
        struct wf_subject above = {
            .place = st->place, .author = st->author, .settings = true, .statement = statement};
        return wf_standing_is_below(s, s->list[x->statement].word, &above, out);
    }
    if (!s->marks) return reaches(s, &st->place.id, &x->place.id, out);
    weft_err err = mark(s, st, left);
    if (err == WEFT_OK) *out = wf_dag_bits_has(&st->below, x->place.seq);
    return err;
}
