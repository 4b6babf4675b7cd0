/* SPDX-License-Identifier: Apache-2.0
 * standing_words.c - what one entry of settings says of keys, and what of it revokes.
 * Called by: view_source.c, standing_read.c, rights_make.c. May touch: the heap, the store through
 * standing_ways.c.
 * Never: says what counts. */
#include <string.h>

#include "alloc.h"
#include "entry.h"
#include "standing.h"

/* -- Reading ---------------------------------------------------------------------------------- */

struct reading {
    struct wf_standing *s;
    bool fill; /* else they are counted */
    uint32_t words, names;
};

static void put_word(struct reading *r, const wf_settings_op *op)
{
    struct wf_standing *s = r->s;
    s->words[s->words_count + r->words] = (struct wf_word){
        .key = op->key,
        .everyone = op->everyone,
        .kind = !op->set                             ? WF_WORD_DELETED
                : op->grant.right == WEFT_RIGHT_NONE ? WF_WORD_NONE
                                                     : WF_WORD_GRANT,
        .grant = op->set ? op->grant : (wf_grant){WEFT_RIGHT_NONE, 0},
        .statement = s->count,
        .next_kept = WF_NONE,
        .next_out = WF_NONE};
}

/* A longer one than may be granted is not a name to show. */
static void put_name(struct reading *r, const wf_settings_op *op, const wf_map_op *raw)
{
    struct wf_standing *s = r->s;
    struct wf_name *name = &s->names[s->names_count + r->names];
    *name = (struct wf_name){.key = op->key, .statement = s->count, .set = op->set};
    if (!op->set || raw->value.as.bytes.len > sizeof name->text) return;
    name->len = (uint8_t)raw->value.as.bytes.len;
    memcpy(name->text, raw->value.as.bytes.data, name->len);
}

static weft_err on_op(void *arg, const wf_map_op *raw)
{
    struct reading *r = arg;
    wf_settings_op op = {.kind = WF_SETTINGS_OTHER};
    if (wf_settings_read(raw, &op) != WEFT_OK) return WEFT_OK;
    if (op.kind == WF_SETTINGS_GRANT && (!op.everyone || r->s->folds)) {
        if (r->fill) put_word(r, &op);
        r->words++;
    } else if (op.kind == WF_SETTINGS_NAME_OF_KEY && r->s->folds) {
        if (r->fill) put_name(r, &op, raw);
        r->names++;
    }
    return WEFT_OK;
}

/* -- Room --------------------------------------------------------------------------------------- */

static weft_err grow(void **list, uint32_t *room, uint32_t need, size_t size)
{
    if (need > WEFT_STANDING_WORDS_MAX) return WEFT_LIMIT;
    if (need <= *room) return WEFT_OK;
    const uint32_t more = need < 16 ? 16 : 2 * need;
    void *grown = wf_realloc(*list, more * size);
    if (grown == NULL) return WEFT_NO_MEMORY;
    *list = grown;
    *room = more;
    return WEFT_OK;
}

static weft_err reserve(struct wf_standing *s, uint32_t words, uint32_t names)
{
    void *list = s->list, *all = s->words, *named = s->names;
    weft_err err = grow(&list, &s->room, s->count + 1, sizeof *s->list);
    s->list = list;
    if (err == WEFT_OK) err = grow(&all, &s->words_room, s->words_count + words, sizeof *s->words);
    s->words = all;
    if (err == WEFT_OK)
        err = grow(&named, &s->names_room, s->names_count + names, sizeof *s->names);
    s->names = named;
    return err;
}

/* -- What was before ------------------------------------------------------------------------------ */

struct before { /* of each word's key, then of the author and of everyone */
    struct wf_standing *s;
    const weft_key *author;
    uint32_t words;
    wf_said *list;
    bool *any;
};

static void note(struct before *b, uint32_t i, const wf_policy *policy, const weft_key *key)
{
    wf_said said;
    if (!wf_policy_said(policy, key, &said)) return;
    if (!b->any[i] || wf_stamp_compare(&said.at, &b->list[i].at) > 0) b->list[i] = said;
    b->any[i] = true;
}

static void look(void *arg, const wf_policy *policy)
{
    struct before *b = arg;
    const struct wf_word *words = b->s->words + b->s->words_count;
    for (uint32_t i = 0; i < b->words; i++)
        if (!words[i].everyone) note(b, i, policy, &words[i].key);
    note(b, b->words, policy, b->author);
    note(b, b->words + 1, policy, NULL);
}

static wf_grant granted(const struct before *b, uint32_t i)
{
    const wf_grant nothing = {WEFT_RIGHT_NONE, 0};
    return b->any[i] && b->list[i].set ? b->list[i].grant : nothing;
}

/* The author's right by what is below: as wf_policy_right of the join. */
static wf_grant strength(const struct before *b)
{
    const wf_grant own = granted(b, b->words), all = granted(b, b->words + 1);
    const bool revoked = b->any[b->words] && b->list[b->words].set &&
                         b->list[b->words].grant.right == WEFT_RIGHT_NONE;
    return revoked || wf_grant_compare(&own, &all) >= 0 ? own : all;
}

static weft_err compare(struct wf_standing *s, struct wf_statement *st)
{
    struct before b = {.s = s, .author = &st->author, .words = st->words};
    weft_err err = WEFT_NO_MEMORY;
    b.list = wf_calloc(st->words + 2, sizeof *b.list);
    b.any = wf_calloc(st->words + 2, sizeof *b.any);
    if (b.list == NULL || b.any == NULL) goto done;
    err = wf_standing_each_below(s, &st->place.id, look, &b);
    if (err != WEFT_OK) goto done;
    for (uint32_t i = 0; i < st->words; i++) {
        struct wf_word *w = &s->words[st->word + i];
        const wf_grant had = granted(&b, i);
        w->has_before = b.any[i];
        if (b.any[i]) w->before = b.list[i].at;
        w->revokes = !w->everyone &&
                     (w->kind != WF_WORD_GRANT || wf_grant_compare(&w->grant, &had) < 0);
        st->revokes |= w->revokes;
    }
    st->strength = strength(&b);
done:
    wf_free(b.list);
    wf_free(b.any);
    return err;
}

/* -- Taking in -------------------------------------------------------------------------------------- */

/* They are read; nothing was counted yet. */
static weft_err take(struct wf_standing *s, const wf_place *place, const weft_key *author,
                     const struct reading *r)
{
    struct wf_statement st = {.place = *place,
                              .author = *author,
                              .word = r->words == 0 ? WF_NONE : s->words_count,
                              .words = r->words};
    uint32_t revocations = s->revocations;
    weft_err err = WEFT_OK;
    if (place->gen > 0 && r->words > 0) err = compare(s, &st); /* nothing is before a root */
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < r->words; i++) revocations += s->words[s->words_count + i].revokes;
    if (revocations > WEFT_MAP_REVOCATIONS_MAX) return WEFT_LIMIT;
    s->revocations = revocations;
    s->list[s->count++] = st;
    s->words_count += r->words;
    s->names_count += r->names;
    s->dirty = true;
    return WEFT_OK;
}

weft_err wf_standing_take_in(struct wf_standing *s, const wf_place *place, const weft_entry *entry)
{
    const weft_entry_store *part = wf_entry_find_store(entry, WF_SETTINGS_NAME);
    struct reading r = {.s = s};
    if (part == NULL || wf_map_ops_each(part->payload, part->payload_len, on_op, &r) != WEFT_OK)
        return WEFT_OK;
    if (r.words + r.names == 0) return WEFT_OK;
    weft_err err = reserve(s, r.words, r.names);
    if (err != WEFT_OK) return err;
    r = (struct reading){.s = s, .fill = true};
    (void)wf_map_ops_each(part->payload, part->payload_len, on_op, &r); /* the same bytes */
    return take(s, place, &entry->author, &r);
}

weft_err wf_standing_take_in_unread(struct wf_standing *s, const wf_place *place)
{
    const wf_stamp at = {place->gen, place->id};
    struct reading r = {.s = s};
    const wf_policy *policy;
    weft_key author;
    weft_err err = wf_standing_author(s, &place->id, &author);
    if (err == WEFT_OK) err = wf_standing_policy(s, &place->id, &policy);
    if (err == WEFT_OK) err = wf_policy_ops_of(policy, &at, on_op, &r);
    if (err != WEFT_OK || r.words + r.names == 0) return err;
    err = reserve(s, r.words, r.names);
    if (err != WEFT_OK) return err;
    r = (struct reading){.s = s, .fill = true};
    (void)wf_policy_ops_of(policy, &at, on_op, &r);
    return take(s, place, &author, &r);
}
