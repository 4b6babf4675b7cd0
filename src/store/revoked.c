/* SPDX-License-Identifier: Apache-2.0
 * revoked.c - the revocations of a tree, which of them are in force, and whom they leave out.
 * Called by: view_source.c. May touch: the heap, the store through revoked_ways.c.
 * Never: recurses, asks a clock or the order of arrival. */
#include "revoked.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "entry.h"
#include "log.h"

weft_err wf_revoked_create(wf_store *store, uint64_t t, const weft_id *tree,
                           struct wf_revoked **out)
{
    struct wf_revoked *rv = wf_calloc(1, sizeof *rv);
    if (rv == NULL) return WEFT_NO_MEMORY;
    rv->store = store;
    rv->t = t;
    rv->tree = *tree;
    rv->meta = wf_malloc(sizeof *rv->meta);
    if (rv->meta == NULL) {
        wf_free(rv);
        return WEFT_NO_MEMORY;
    }
    *out = rv;
    return WEFT_OK;
}

void wf_revoked_destroy(struct wf_revoked *rv)
{
    if (rv == NULL) return;
    for (uint32_t i = 0; i < rv->count; i++) wf_revocation_fini(rv, &rv->list[i]);
    wf_policy_destroy(rv->policy);
    wf_free(rv->list);
    wf_free(rv->met);
    wf_free(rv->meta);
    wf_free(rv);
}

/* -- Adding ------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    const struct wf_revocation *x = a, *y = b;
    int order = weft_key_compare(&x->key, &y->key);
    if (order != 0) return order;
    if (x->place.gen != y->place.gen) return x->place.gen < y->place.gen ? -1 : 1;
    return weft_id_compare(&x->place.id, &y->place.id);
}

struct adding {
    struct wf_revoked *rv; /* NULL: only counts */
    struct wf_revocation like;
    uint32_t count;
};

static weft_err on_op(void *arg, const wf_map_op *op)
{
    struct adding *a = arg;
    wf_settings_op found;
    if (wf_settings_read(op, &found) != WEFT_OK || found.kind != WF_SETTINGS_GRANT) return WEFT_OK;
    if (!found.set || found.everyone || found.grant.right != WEFT_RIGHT_NONE) return WEFT_OK;
    a->count++;
    if (a->rv == NULL) return WEFT_OK;
    a->like.key = found.key;
    a->rv->list[a->rv->count++] = a->like;
    return WEFT_OK;
}

static weft_err reserve(struct wf_revoked *rv, uint32_t more)
{
    const uint32_t need = rv->count + more;
    if (need > WEFT_MAP_REVOCATIONS_MAX) return WEFT_LIMIT;
    if (need <= rv->room) return WEFT_OK;
    const uint32_t room = need < 16 ? 16 : 2 * need;
    struct wf_revocation *list = wf_realloc(rv->list, room * sizeof *list);
    if (list == NULL) return WEFT_NO_MEMORY;
    rv->list = list;
    rv->room = room;
    return WEFT_OK;
}

weft_err wf_revoked_take_in(struct wf_revoked *rv, const wf_place *place, const weft_entry *entry)
{
    const weft_entry_store *part = wf_entry_find_store(entry, WF_SETTINGS_NAME);
    struct adding a = {.like = {.author = entry->author, .place = *place}};
    if (entry->is_root || part == NULL) return WEFT_OK; /* nothing can be beside a root */
    if (wf_map_ops_each(part->payload, part->payload_len, on_op, &a) != WEFT_OK) return WEFT_OK;
    if (a.count == 0) return WEFT_OK;
    weft_err err = reserve(rv, a.count);
    if (err == WEFT_OK) err = wf_revoked_right(rv, &place->id, &entry->author, &a.like.strength);
    if (err != WEFT_OK) return err;
    a.rv = rv;
    (void)wf_map_ops_each(part->payload, part->payload_len, on_op, &a); /* the same bytes */
    rv->dirty = true;
    return WEFT_OK;
}

/* -- Who was met ------------------------------------------------------------------------------- */

/* The first that is not before `key`. */
static uint32_t place_of(const struct wf_revoked *rv, const weft_key *key, bool *met)
{
    uint32_t low = 0, high = rv->met_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (weft_key_compare(&rv->met[middle], key) < 0) low = middle + 1;
        else high = middle;
    }
    *met = low < rv->met_count && weft_key_equal(&rv->met[low], key);
    return low;
}

static bool has_met(const struct wf_revoked *rv, const weft_key *key)
{
    bool met;
    (void)place_of(rv, key, &met);
    return met || rv->met_many;
}

static weft_err meet(struct wf_revoked *rv, const weft_key *key)
{
    bool met;
    const uint32_t at = place_of(rv, key, &met);
    if (met || rv->met_many) return WEFT_OK;
    rv->met_many = rv->met_count == WEFT_MAP_AUTHORS_MAX;
    if (rv->met_many) return WEFT_OK;
    if (rv->met_count == rv->met_room) {
        const uint32_t room = rv->met_room == 0 ? 16 : 2 * rv->met_room;
        weft_key *list = wf_realloc(rv->met, room * sizeof *list);
        if (list == NULL) return WEFT_NO_MEMORY;
        rv->met = list;
        rv->met_room = room;
    }
    memmove(rv->met + at + 1, rv->met + at, (rv->met_count - at) * sizeof *rv->met);
    rv->met[at] = *key;
    rv->met_count++;
    return WEFT_OK;
}

/* -- The rule --------------------------------------------------------------------------------- */

static uint32_t first_of(const struct wf_revoked *rv, const weft_key *key)
{
    uint32_t low = 0, high = rv->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (weft_key_compare(&rv->list[middle].key, key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

struct judging {
    const struct wf_grant *level; /* only revocations by who was stronger; NULL: all */
    uint64_t *left;
    bool asked, any;
    wf_stamp said; /* what was said last of the author's grant, if any */
};

/* Does `x` stay with this revocation of its author? *by_grant: because of what was said. */
static weft_err stays(struct wf_revoked *rv, struct wf_revocation *r, const struct wf_subject *x,
                      struct judging *j, bool *out, bool *by_grant)
{
    *out = true;
    if (!r->in_force || weft_id_equal(&r->place.id, &x->place.id)) return WEFT_OK;
    if (j->level != NULL && wf_grant_compare(&r->strength, j->level) <= 0) return WEFT_OK;
    if (x->place.seq < r->place.seq) /* nothing that came before it is above it */
        return wf_revocation_is_above(rv, r, &x->place, j->left, out);
    weft_err err = WEFT_OK;
    if (!j->asked)
        err = wf_revoked_said(rv, &x->place.id, x->settings, &x->author, &j->any, &j->said);
    j->asked = err == WEFT_OK;
    *out = false;
    if (err == WEFT_OK && j->any) err = wf_revocation_is_below(rv, r, &j->said, out);
    *by_grant |= err == WEFT_OK && *out;
    return err;
}

static weft_err judge(struct wf_revoked *rv, struct wf_subject x, const wf_grant *level,
                      uint64_t *left, bool *out)
{
    for (;;) {
        struct judging j = {.level = level, .left = left};
        bool by_grant = false, stay = true;
        weft_err err = level == NULL ? meet(rv, &x.author) : WEFT_OK;
        if (err != WEFT_OK) return err;
        for (uint32_t i = first_of(rv, &x.author); stay && i < rv->count; i++) {
            if (!weft_key_equal(&rv->list[i].key, &x.author)) break;
            err = stays(rv, &rv->list[i], &x, &j, &stay, &by_grant);
            if (err != WEFT_OK) return err;
        }
        if (!stay || !by_grant) {
            *out = !stay;
            return WEFT_OK;
        }
        const uint64_t gen = x.place.gen;
        err = wf_revoked_subject(rv, &j.said.id, &x); /* it must stay, too */
        if (err == WEFT_OK && x.place.gen >= gen)
            err = wf_fail(WEFT_CORRUPT, "map", "a grant is above what stands on it");
        if (err != WEFT_OK) return err;
    }
}

/* -- In force ------------------------------------------------------------------------------------ */

struct ranked {
    wf_grant strength;
    uint32_t index;
};

static int strongest_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = wf_grant_compare(&y->strength, &x->strength);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* One that was judged before is again only if a stronger one has changed since: whoever is
 * revoked may add void ones without end. */
static weft_err judge_all(struct wf_revoked *rv, const struct ranked *ranked, uint64_t *left)
{
    bool stronger_moved = false, equal_moved = false;
    for (uint32_t i = 0; i < rv->count; i++) {
        struct wf_revocation *r = &rv->list[ranked[i].index];
        if (i > 0 && wf_grant_compare(&ranked[i - 1].strength, &r->strength) != 0) {
            stronger_moved |= equal_moved;
            equal_moved = false;
        }
        if (!r->judged || stronger_moved) {
            const struct wf_subject x = {r->place, r->author, true};
            bool out = false;
            weft_err err = judge(rv, x, &r->strength, left, &out);
            if (err != WEFT_OK) return err;
            r->judged = true;
            r->in_force = !out;
        }
        equal_moved |= r->in_force != r->was;
    }
    return WEFT_OK;
}

weft_err wf_revoked_settle(struct wf_revoked *rv, uint64_t *left, bool *changed)
{
    struct ranked *ranked = wf_malloc((rv->count + 1) * sizeof *ranked);
    if (ranked == NULL) return WEFT_NO_MEMORY;
    if (rv->count > 1) qsort(rv->list, rv->count, sizeof *rv->list, by_key);
    for (uint32_t i = 0; i < rv->count; i++) ranked[i] = (struct ranked){rv->list[i].strength, i};
    qsort(ranked, rv->count, sizeof *ranked, strongest_first);
    weft_err err = judge_all(rv, ranked, left);
    wf_free(ranked);
    if (err != WEFT_OK) return err;
    *changed = false;
    for (uint32_t i = 0; i < rv->count; i++) {
        if (rv->list[i].in_force == rv->list[i].was) continue;
        *changed |= has_met(rv, &rv->list[i].key);
        rv->list[i].was = rv->list[i].in_force;
    }
    rv->dirty = false;
    return WEFT_OK;
}

weft_err wf_revoked_leaves_out(struct wf_revoked *rv, const wf_place *place,
                               const weft_entry *entry, uint64_t *left, bool *out)
{
    *out = false;
    if (rv->count == 0) return meet(rv, &entry->author);
    const bool settings = wf_entry_find_store(entry, WF_SETTINGS_NAME) != NULL;
    return judge(rv, (struct wf_subject){*place, entry->author, settings}, NULL, left, out);
}
