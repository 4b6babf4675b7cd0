/* SPDX-License-Identifier: Apache-2.0
 * policy.c - the rights that settings give, and the rule that judges an entry by them.
 * Called by: the door, the store. May touch: the heap.
 * Never: a clock, a peer, configuration; changes a policy once it is made. */
#include "policy.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "entry.h"

struct granted {
    weft_key key;
    wf_grant grant;
};

struct wf_policy {
    wf_map *map;       /* all that was said, with stamps; owned            */
    wf_grant everyone; /* NONE: no grant                                   */
    uint32_t count;
    uint32_t names;          /* keys that have one */
    struct granted by_key[]; /* ascending by key: the map's order of hex digits */
};

/* -- Making policies -------------------------------------------------------------- */

/* The door lets nothing be written above or below a grant, so each record stands for
 * itself and need not be asked whether it is visible. */
static bool read_record(const wf_map_record *r, wf_settings_op *out)
{
    wf_map_op op = {.path = r->path, .set = r->set, .value = r->value};
    return wf_settings_read(&op, out) == WEFT_OK && out->set;
}

/* Takes `map` also when it fails. */
static weft_err policy_of_take(wf_map *map, wf_policy **out)
{
    const uint32_t records = wf_map_count(map);
    wf_policy *p = wf_malloc(sizeof *p + records * sizeof p->by_key[0]);
    if (p == NULL) {
        wf_map_destroy(map);
        return WEFT_NO_MEMORY;
    }
    p->map = map;
    p->everyone = (wf_grant){WEFT_RIGHT_NONE, 0};
    p->count = p->names = 0;
    for (uint32_t i = 0; i < records; i++) {
        wf_settings_op found;
        if (!read_record(wf_map_at(map, i), &found)) continue;
        p->names += found.kind == WF_SETTINGS_NAME_OF_KEY;
        if (found.kind != WF_SETTINGS_GRANT) continue;
        if (found.everyone) p->everyone = found.grant;
        else p->by_key[p->count++] = (struct granted){found.key, found.grant};
    }
    *out = p;
    return WEFT_OK;
}

weft_err wf_policy_create_empty(wf_policy **out)
{
    wf_map *map;
    weft_err err = wf_map_create_empty(&map);
    return err == WEFT_OK ? policy_of_take(map, out) : err;
}

void wf_policy_destroy(wf_policy *policy)
{
    if (policy == NULL) return;
    wf_map_destroy(policy->map);
    wf_free(policy);
}

weft_err wf_policy_encode(const wf_policy *policy, weft_buf **out)
{
    return wf_map_encode(policy->map, out);
}

weft_err wf_policy_decode(const void *bytes, size_t len, wf_policy **out)
{
    wf_map *map;
    weft_err err = wf_map_decode(bytes, len, &map);
    if (err == WEFT_NO_MEMORY) return err;
    return err == WEFT_OK ? policy_of_take(map, out) : WEFT_CORRUPT; /* we wrote these bytes */
}

weft_err wf_policy_join(const wf_policy *a, const wf_policy *b, wf_policy **out)
{
    wf_map *map;
    weft_err err = wf_map_join(a->map, b->map, &map);
    return err == WEFT_OK ? policy_of_take(map, out) : err;
}

weft_err wf_policy_apply(const wf_policy *policy, const void *payload, size_t len, uint64_t gen,
                         const weft_id *id, wf_policy **out)
{
    const wf_stamp at = {gen, *id};
    wf_map *written, *joined;
    weft_err err = wf_map_create(payload, len, &at, &written);
    if (err == WEFT_NO_MEMORY) return err;
    if (err != WEFT_OK) return WEFT_BAD_ENTRY;
    err = wf_map_join(policy->map, written, &joined);
    wf_map_destroy(written);
    return err == WEFT_OK ? policy_of_take(joined, out) : err;
}

/* -- Rights --------------------------------------------------------------------------- */

static int compare_granted(const void *key, const void *granted)
{
    return weft_key_compare(key, &((const struct granted *)granted)->key);
}

/* The key's own grant; NULL: it has none. */
static const wf_grant *grant_of(const wf_policy *policy, const weft_key *key)
{
    const struct granted *g = bsearch(key, policy->by_key, policy->count, sizeof policy->by_key[0],
                                      compare_granted);
    return g == NULL ? NULL : &g->grant;
}

static wf_grant right_of(const wf_policy *policy, const weft_key *key)
{
    const wf_grant *own = grant_of(policy, key);
    if (own == NULL) return policy->everyone;
    if (own->right == WEFT_RIGHT_NONE) return *own; /* revoked: "*" does not help either */
    return wf_grant_compare(own, &policy->everyone) >= 0 ? *own : policy->everyone;
}

void wf_policy_right(const wf_policy *policy, const weft_key *key, weft_right *right,
                     uint32_t *priority)
{
    const wf_grant grant = right_of(policy, key);
    *right = grant.right;
    *priority = grant.priority;
}

bool wf_policy_said(const wf_policy *policy, const weft_key *key, wf_said *out)
{
    const wf_grant none = {WEFT_RIGHT_NONE, 0};
    struct wf_settings_text text;
    wf_settings_op found;
    wf_map_op op;
    wf_settings_grant(key, &none, &text, &op);
    const wf_map_record *record = wf_map_find(policy->map, &op.path);
    if (record == NULL) return false;
    *out = (wf_said){.at = record->at, .set = read_record(record, &found)};
    if (out->set) out->grant = found.grant;
    return true;
}

weft_err wf_policy_ops_of(const wf_policy *policy, const wf_stamp *at,
                          weft_err (*fn)(void *arg, const wf_map_op *op), void *arg)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < wf_map_count(policy->map); i++) {
        const wf_map_record *r = wf_map_at(policy->map, i);
        if (wf_stamp_compare(&r->at, at) != 0) continue;
        const wf_map_op op = {.path = r->path, .set = r->set, .value = r->value};
        err = fn(arg, &op);
    }
    return err;
}

void wf_policy_each(const wf_policy *policy,
                    void (*fn)(void *arg, const weft_key *key, const wf_grant *grant), void *arg)
{
    if (policy->everyone.right != WEFT_RIGHT_NONE) fn(arg, NULL, &policy->everyone);
    for (uint32_t i = 0; i < policy->count; i++)
        fn(arg, &policy->by_key[i].key, &policy->by_key[i].grant);
}

const char *wf_policy_name(const wf_policy *policy, const weft_key *key, size_t *len)
{
    struct wf_settings_text text;
    wf_map_path path;
    wf_map_value value;
    if (policy->names == 0) return NULL; /* mostly */
    wf_settings_name_path(key, &text, &path);
    if (wf_map_get(policy->map, &path, &value) != WEFT_OK || value.type != WEFT_MAP_STR)
        return NULL;
    *len = value.as.bytes.len;
    return value.as.bytes.data;
}

/* -- The rule ----------------------------------------------------------------------------- */

struct judging {
    const wf_policy *policy; /* NULL: of a root */
    const weft_key *author;
    wf_grant mine;  /* the author's right, by the policy */
    uint32_t added; /* paths that the policy does not have */
    bool owned;     /* a root's settings name its author */
};

/* What every settings operation must be, wherever it stands. */
static weft_err check_form(void *arg, const wf_map_op *op)
{
    struct judging *j = arg;
    wf_settings_op found;
    if (op->set && (op->value.type == WEFT_MAP_STR || op->value.type == WEFT_MAP_BIN) &&
        op->value.as.bytes.len > WEFT_SETTINGS_VALUE_BYTES_MAX) {
        return WEFT_BAD_ENTRY;
    }
    weft_err err = wf_settings_read(op, &found);
    if (err != WEFT_OK) return err;
    if (j->policy != NULL) {
        j->added += !wf_map_has(j->policy->map, &op->path);
        return WEFT_OK;
    }
    j->added++;
    if (found.kind != WF_SETTINGS_GRANT) return WEFT_OK;
    bool owner = found.set && found.grant.right == WEFT_RIGHT_ADMIN && found.grant.priority == 0;
    bool author = !found.everyone && weft_key_equal(&found.key, j->author);
    j->owned |= owner && author;
    return owner == author ? WEFT_OK : WEFT_BAD_ENTRY;
}

/* What this author may change, with the right that it has. */
static weft_err check_right(void *arg, const wf_map_op *op)
{
    const struct judging *j = arg;
    wf_settings_op found;
    weft_err err = wf_settings_read(op, &found);
    if (err != WEFT_OK || found.kind == WF_SETTINGS_OTHER) return err;

    const wf_grant *before = found.everyone ? &j->policy->everyone
                                            : grant_of(j->policy, &found.key);
    if (before != NULL && wf_grant_compare(before, &j->mine) > 0) return WEFT_FORBIDDEN;
    if (found.kind != WF_SETTINGS_GRANT || !found.set) return WEFT_OK;
    if (wf_grant_compare(&found.grant, &j->mine) > 0) return WEFT_FORBIDDEN;
    /* Only a root makes an Admin(0), and only of its author. */
    bool owner = found.grant.right == WEFT_RIGHT_ADMIN && found.grant.priority == 0;
    return owner && !weft_key_equal(&found.key, j->author) ? WEFT_FORBIDDEN : WEFT_OK;
}

static weft_err judge_settings(struct judging *j, const weft_entry_store *settings)
{
    if (settings->payload == NULL) return WEFT_BAD_ENTRY;
    if (wf_map_ops_each(settings->payload, settings->payload_len, check_form, j) != WEFT_OK) {
        return WEFT_BAD_ENTRY;
    }
    uint32_t had = j->policy == NULL ? 0 : wf_map_count(j->policy->map);
    /* Joins may exceed the bound, or merging two full branches would be impossible;
     * then what is there can still be changed, revoked above all, but not grow. */
    if (j->added > 0 && had + j->added > WEFT_POLICY_GRANTS_MAX) return WEFT_BAD_ENTRY;
    if (j->policy == NULL) return j->owned ? WEFT_OK : WEFT_BAD_ENTRY;
    if (j->mine.right != WEFT_RIGHT_ADMIN) return WEFT_FORBIDDEN;
    return wf_map_ops_each(settings->payload, settings->payload_len, check_right, j);
}

weft_err wf_policy_allows(const wf_policy *policy, const weft_entry *entry)
{
    struct judging j = {.author = &entry->author, .policy = entry->is_root ? NULL : policy};
    const weft_entry_store *settings = wf_entry_find_store(entry, WF_SETTINGS_NAME);
    if (!entry->is_root) j.mine = right_of(policy, &entry->author);
    if (settings != NULL) return judge_settings(&j, settings);
    return j.mine.right >= WEFT_RIGHT_WRITE ? WEFT_OK : WEFT_FORBIDDEN;
}
