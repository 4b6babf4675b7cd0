/* SPDX-License-Identifier: Apache-2.0
 * standing.c - the statements of a tree's settings: which count, which revocations are in force, and
 * whom they leave out.
 * Called by: rights_make.c, view_source.c, standing_read.c. May touch: the heap, the store through
 * standing_ways.c. Never: recurses, asks a clock or the order of arrival. */
#include "standing.h"

#include <string.h>

#include "alloc.h"
#include "entry.h"

weft_err wf_standing_create(wf_store *store, uint64_t t, const weft_id *tree,
                            struct wf_standing **out)
{
    struct wf_standing *s = wf_calloc(1, sizeof *s);
    if (s == NULL) return WEFT_NO_MEMORY;
    s->store = store;
    s->t = t;
    s->tree = *tree;
    s->pairs_max = WEFT_STANDING_PAIRS_MAX;
    *out = s;
    return WEFT_OK;
}

void wf_standing_destroy(struct wf_standing *s)
{
    if (s == NULL) return;
    for (uint32_t i = 0; i < s->count; i++) wf_statement_fini(s, &s->list[i]);
    wf_standing_order_fini(s);
    wf_policy_destroy(s->policy);
    wf_free(s->list);
    wf_free(s->words);
    wf_free(s->names);
    wf_free(s->pairs);
    wf_free(s->met);
    wf_free(s->meta);
    wf_free(s);
}

uint64_t wf_standing_bytes(const struct wf_standing *s)
{
    return sizeof *s + sizeof *s->meta + s->room * (sizeof *s->list + sizeof *s->order) +
           s->words_room * (sizeof *s->words + sizeof *s->by_key + sizeof *s->keys) +
           s->names_room * sizeof *s->names + s->pairs_room * sizeof *s->pairs + s->marks_bytes;
}

/* -- Who was met ------------------------------------------------------------------------------- */

/* The first that is not before `key`. */
static uint32_t place_of(const struct wf_standing *s, const weft_key *key, bool *met)
{
    uint32_t low = 0, high = s->met_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (weft_key_compare(&s->met[middle], key) < 0) low = middle + 1;
        else high = middle;
    }
    *met = low < s->met_count && weft_key_equal(&s->met[low], key);
    return low;
}

static bool has_met(const struct wf_standing *s, const weft_key *key)
{
    bool met;
    (void)place_of(s, key, &met);
    return met || s->met_many;
}

static weft_err meet(struct wf_standing *s, const weft_key *key)
{
    bool met;
    const uint32_t at = place_of(s, key, &met);
    if (met || s->met_many) return WEFT_OK;
    s->met_many = s->met_count == WEFT_MAP_AUTHORS_MAX;
    if (s->met_many) return WEFT_OK;
    if (s->met_count == s->met_room) {
        const uint32_t room = s->met_room == 0 ? 16 : 2 * s->met_room;
        weft_key *list = wf_realloc(s->met, room * sizeof *list);
        if (list == NULL) return WEFT_NO_MEMORY;
        s->met = list;
        s->met_room = room;
    }
    memmove(s->met + at + 1, s->met + at, (s->met_count - at) * sizeof *s->met);
    s->met[at] = *key;
    s->met_count++;
    return WEFT_OK;
}

/* -- The rule --------------------------------------------------------------------------------- */

static weft_err permits(struct wf_standing *s, const struct wf_word *w, struct wf_subject *x,
                        bool *out)
{
    const weft_right need = x->settings ? WEFT_RIGHT_ADMIN : WEFT_RIGHT_WRITE;
    *out = w->grant.right >= need;
    if (*out || w->kind == WF_WORD_NONE || x->settings) return WEFT_OK; /* nobody is all Admin */
    bool any;
    wf_said said;
    weft_err err = wf_standing_said_below(s, x, true, &any, &said);
    *out = err == WEFT_OK && any && said.set && said.grant.right >= need;
    return err;
}

/* Does `x` stay with this revocation of its author, which is in force? */
static weft_err stays(struct wf_standing *s, uint32_t revocation, struct wf_subject *x,
                      uint64_t *left, bool *out)
{
    const struct wf_word *r = &s->words[revocation];
    const wf_place *place = &s->list[r->statement].place;
    *out = true;
    if (weft_id_equal(&place->id, &x->place.id)) return WEFT_OK;
    weft_err err = permits(s, r, x, out);
    if (err != WEFT_OK || *out) return err;
    if (x->place.seq < place->seq) /* nothing that came before it is above it */
        return wf_standing_is_above(s, r->statement, x, left, out);
    const uint32_t key = wf_standing_key_of(s, &r->key);
    for (uint32_t i = s->keys[key].kept; i != WF_NONE && !*out; i = s->words[i].next_kept) {
        const struct wf_statement *between = &s->list[s->words[i].statement];
        struct wf_subject w = {.place = between->place,
                               .author = between->author,
                               .settings = true,
                               .statement = s->words[i].statement};
        err = permits(s, &s->words[i], x, out);
        if (err == WEFT_OK && *out) err = wf_standing_is_below(s, revocation, &w, out);
        if (err == WEFT_OK && *out) err = wf_standing_is_below(s, i, x, out);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

/* What is below one revocation is below those above it: theirs need not be marked. */
static weft_err is_known(struct wf_standing *s, uint32_t below, uint32_t revocation, bool *out)
{
    *out = false;
    if (below == WF_NONE) return WEFT_OK;
    return wf_standing_between(s, below, s->words[revocation].statement, out);
}

/* Where all words of its key count, the door has seen to it. */
static weft_err has_authority(struct wf_standing *s, const struct wf_standing_key *key,
                              struct wf_subject *x, bool *out)
{
    const struct wf_word nothing = {.kind = WF_WORD_DELETED};
    *out = !key->lost || x->place.gen == 0;
    if (*out) return WEFT_OK;
    weft_err err = permits(s, &nothing, x, out);
    for (uint32_t i = key->kept; err == WEFT_OK && !*out && i != WF_NONE;
         i = s->words[i].next_kept) {
        err = permits(s, &s->words[i], x, out);
        if (err == WEFT_OK && *out) err = wf_standing_is_below(s, i, x, out);
    }
    return err;
}

static weft_err judge(struct wf_standing *s, struct wf_subject *x, uint64_t *left, bool *stay)
{
    const uint32_t key = wf_standing_key_of(s, &x->author);
    uint32_t below = WF_NONE; /* a revocation that x is below */
    *stay = true;
    if (key == WF_NONE) return WEFT_OK;
    for (uint32_t i = s->keys[key].out; *stay && i != WF_NONE; i = s->words[i].next_out) {
        const wf_place *place = &s->list[s->words[i].statement].place;
        bool known;
        weft_err err = is_known(s, below, i, &known);
        if (err == WEFT_OK && known) continue;
        if (err == WEFT_OK) err = stays(s, i, x, left, stay);
        if (err != WEFT_OK) return err;
        /* `none` permits nothing, so that was the only way to stay with it. */
        if (x->place.seq < place->seq && s->words[i].kind == WF_WORD_NONE) below = i;
    }
    return *stay ? has_authority(s, &s->keys[key], x, stay) : WEFT_OK;
}

/* -- What counts ------------------------------------------------------------------------------------ */

static void note_words(struct wf_standing *s, const struct wf_statement *st)
{
    for (uint32_t i = st->word; i != WF_NONE && i < st->word + st->words; i++) {
        struct wf_word *w = &s->words[i];
        if (w->everyone) continue;
        struct wf_standing_key *key = &s->keys[wf_standing_key_of(s, &w->key)];
        key->lost |= !st->counts;
        if (!st->counts || w->kind == WF_WORD_NONE) continue; /* that permits nothing */
        w->next_kept = key->kept;
        key->kept = i;
    }
}

/* The lists of keys, all empty but those of revocations in force: these each by the order of their statements. */
static void list_revocations(struct wf_standing *s)
{
    for (uint32_t i = 0; i < s->keys_count; i++) {
        s->keys[i].kept = s->keys[i].out = WF_NONE;
        s->keys[i].lost = false;
    }
    for (uint32_t at = s->count; at-- > 0;) {
        const struct wf_statement *st = &s->list[s->order[at]];
        for (uint32_t i = st->word; st->in_force && i < st->word + st->words; i++) {
            struct wf_word *w = &s->words[i];
            if (!w->revokes) continue;
            struct wf_standing_key *key = &s->keys[wf_standing_key_of(s, &w->key)];
            w->next_out = key->out;
            key->out = i;
        }
    }
}

/* By the revocations that are in force so far. What an entry stands on comes before it. */
static weft_err count_again(struct wf_standing *s)
{
    list_revocations(s);
    for (uint32_t i = 0; i < s->count; i++) {
        struct wf_statement *st = &s->list[s->order[i]];
        struct wf_subject x = {
            .place = st->place, .author = st->author, .settings = true, .statement = s->order[i]};
        uint64_t left = UINT64_MAX;
        weft_err err = judge(s, &x, &left, &st->counts);
        if (err != WEFT_OK) return err;
        note_words(s, st);
    }
    return WEFT_OK;
}

/* Round by round: those of the strongest authors first, equals together. */
static weft_err go_rounds(struct wf_standing *s, const uint32_t *strongest, uint32_t count)
{
    bool more = true;
    for (uint32_t i = 0; i < s->count; i++) s->list[i].in_force = false;
    for (uint32_t i = 0; i < count; i++) {
        struct wf_statement *st = &s->list[strongest[i]];
        const struct wf_statement *before = i == 0 ? NULL : &s->list[strongest[i - 1]];
        bool weaker = i > 0 && wf_grant_compare(&before->strength, &st->strength) != 0;
        if (i == 0 || (weaker && more)) {
            weft_err err = count_again(s);
            if (err != WEFT_OK) return err;
            more = false;
        }
        st->in_force = st->counts;
        more |= st->in_force;
    }
    return more ? count_again(s) : WEFT_OK;
}

static bool has_changed(struct wf_standing *s)
{
    bool changed = false;
    for (uint32_t i = 0; i < s->words_count && !changed; i++) {
        const struct wf_word *w = &s->words[i];
        const struct wf_statement *st = &s->list[w->statement];
        bool differs = w->revokes && st->in_force != st->in_force_then;
        differs |= st->settled && st->counts != st->counted;
        changed = differs && !w->everyone && has_met(s, &w->key);
    }
    for (uint32_t i = 0; i < s->count; i++) {
        struct wf_statement *st = &s->list[i];
        st->settled = true;
        st->counted = st->counts;
        st->in_force_then = st->in_force;
    }
    return changed;
}

weft_err wf_standing_settle(struct wf_standing *s, bool *changed)
{
    uint32_t *strongest = wf_malloc((s->count + 1) * sizeof *strongest), count = 0;
    if (strongest == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_standing_order(s, strongest, &count);
    if (err == WEFT_OK) err = go_rounds(s, strongest, count);
    wf_free(strongest);
    if (err != WEFT_OK) return err;
    *changed = has_changed(s);
    s->dirty = false;
    return WEFT_OK;
}

weft_err wf_standing_leaves_out(struct wf_standing *s, const wf_place *place,
                                const weft_key *author, bool settings, uint64_t *left, bool *out)
{
    struct wf_subject x = {
        .place = *place, .author = *author, .settings = settings, .statement = WF_NONE};
    bool stay = true;
    *out = false;
    weft_err err = meet(s, author);
    if (err == WEFT_OK && s->revocations > 0) err = judge(s, &x, left, &stay);
    if (err == WEFT_OK) *out = !stay;
    return err;
}

weft_err wf_standing_between(struct wf_standing *s, uint32_t word, uint32_t statement, bool *out)
{
    struct wf_subject x = {.place = s->list[statement].place,
                           .author = s->list[statement].author,
                           .settings = true,
                           .statement = statement};
    return wf_standing_is_below(s, word, &x, out);
}
