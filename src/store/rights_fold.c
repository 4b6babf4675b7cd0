/* SPDX-License-Identifier: Apache-2.0
 * rights_fold.c - the rights of a tree of which somebody was revoked: the last word that counts, and
 * what the revocations in force leave of it.
 * Called by: rights_make.c. May touch: the heap, the store through standing.c.
 * Never: an entry that does not count. */
#include "rights_fold.h"

#include <string.h>

#include "alloc.h"
#include "state.h"

static wf_stamp stamp_of(const struct wf_standing *s, uint32_t statement)
{
    return (wf_stamp){s->list[statement].place.gen, s->list[statement].place.id};
}

/* -- One key ------------------------------------------------------------------------------------ */

struct left {     /* of what a key was granted */
    bool said;    /* a word counts, or a revocation is in force */
    bool revoked; /* what everyone has does not help it          */
    wf_grant grant;
};

/* A revocation leaves what it grants, or the most that was granted above it. */
static weft_err hold_down(struct wf_standing *s, const struct wf_standing_key *key, uint32_t word,
                          struct left *out)
{
    wf_grant most = s->words[word].grant;
    bool lifted = s->words[word].kind != WF_WORD_NONE;
    for (uint32_t i = key->first + key->count; i-- > key->first;) { /* mostly the newest lifts it */
        const struct wf_word *w = &s->words[s->by_key[i]];
        bool above = false;
        if (lifted && wf_grant_compare(&most, &out->grant) >= 0) break;
        if (!s->list[w->statement].counts || w->kind == WF_WORD_NONE) continue;
        weft_err err = wf_standing_between(s, word, w->statement, &above);
        if (err != WEFT_OK) return err;
        if (!above) continue;
        lifted = true;
        if (wf_grant_compare(&w->grant, &most) > 0) most = w->grant;
    }
    out->said = true;
    out->revoked |= !lifted;
    if (wf_grant_compare(&out->grant, &most) > 0) out->grant = most;
    return WEFT_OK;
}

static weft_err fold(struct wf_standing *s, const struct wf_standing_key *key, struct left *out)
{
    weft_err err = WEFT_OK;
    *out = (struct left){.said = false};
    for (uint32_t i = key->first; i < key->first + key->count; i++) {
        const struct wf_word *w = &s->words[s->by_key[i]]; /* the last one is the newest */
        if (!s->list[w->statement].counts) continue;
        *out = (struct left){true, w->kind == WF_WORD_NONE, w->grant};
    }
    for (uint32_t i = key->first; err == WEFT_OK && i < key->first + key->count; i++) {
        const struct wf_word *w = &s->words[s->by_key[i]];
        if (out->revoked) break;
        if (w->revokes && s->list[w->statement].in_force)
            err = hold_down(s, key, s->by_key[i], out);
    }
    if (out->revoked) out->grant = (wf_grant){WEFT_RIGHT_NONE, 0};
    return err;
}

/* -- Names and everyone --------------------------------------------------------------------------- */

/* The newest name that counts, beside each key. */
static void find_names(const struct wf_standing *s, const struct wf_name **out)
{
    for (uint32_t i = 0; i < s->names_count; i++) {
        const struct wf_name *name = &s->names[i];
        uint32_t low = 0, high = s->keys_count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (weft_key_compare(&s->keys[middle].key, &name->key) < 0) low = middle + 1;
            else high = middle;
        }
        if (low == s->keys_count || !weft_key_equal(&s->keys[low].key, &name->key)) continue;
        if (!s->list[name->statement].counts) continue;
        const wf_stamp then = stamp_of(s, name->statement);
        const wf_stamp at = out[low] == NULL ? then : stamp_of(s, out[low]->statement);
        if (wf_stamp_compare(&then, &at) >= 0) out[low] = name;
    }
}

static wf_grant of_everyone(const struct wf_standing *s)
{
    wf_grant grant = {WEFT_RIGHT_NONE, 0};
    wf_stamp at = {0};
    bool any = false;
    for (uint32_t i = 0; i < s->words_count; i++) {
        const struct wf_word *w = &s->words[i];
        const wf_stamp then = stamp_of(s, w->statement);
        if (!w->everyone || !s->list[w->statement].counts) continue;
        if (any && wf_stamp_compare(&then, &at) < 0) continue;
        any = true;
        at = then;
        grant = w->grant;
    }
    return grant;
}

/* -- All ------------------------------------------------------------------------------------------ */

static weft_err fill(struct wf_standing *s, const struct wf_name **names, struct wf_rights *rights,
                     char *text)
{
    rights->names = text;
    rights->everyone = of_everyone(s);
    find_names(s, names);
    for (uint32_t i = 0; i < s->keys_count; i++) {
        struct left left;
        weft_err err = fold(s, &s->keys[i], &left);
        if (err != WEFT_OK) return err;
        if (!left.said) continue;
        if (!left.revoked && left.grant.right == WEFT_RIGHT_NONE) continue; /* as everyone */
        const uint8_t len = names[i] == NULL || !names[i]->set ? 0 : names[i]->len;
        if (len > 0) memcpy(text, names[i]->text, len);
        text += len;
        rights->by_key[rights->count++] = (struct wf_granted){.key = s->keys[i].key,
                                                              .priority = left.grant.priority,
                                                              .right = (uint8_t)left.grant.right,
                                                              .name_len = len};
    }
    return WEFT_OK;
}

weft_err wf_rights_fold(wf_store *store, struct wf_standing *s, struct wf_rights **out)
{
    struct wf_rights *rights = NULL;
    bool changed;
    weft_err err = wf_standing_settle(s, &changed);
    if (err != WEFT_OK) return err;
    const size_t fixed = sizeof *rights + s->keys_count * sizeof rights->by_key[0];
    const size_t text = s->names_count * (size_t)WEFT_KEY_NAME_BYTES_MAX;
    const size_t bytes = fixed + text + wf_standing_bytes(s);
    if (wf_counter_get(&store->counters.rights) + bytes > WEFT_RIGHTS_NODE_BYTES) return WEFT_LIMIT;
    const struct wf_name **names = wf_calloc(s->keys_count + 1, sizeof(*names));
    rights = wf_malloc(fixed + text);
    err = WEFT_NO_MEMORY;
    if (names == NULL || rights == NULL) goto done;
    *rights = (struct wf_rights){.bytes = bytes, .revocations = true};
    err = fill(s, names, rights, (char *)rights + fixed);
    if (err != WEFT_OK) goto done;
    *out = rights;
    rights = NULL; /* the caller's now */
done:
    wf_free(names);
    wf_rights_destroy(rights);
    return err;
}
