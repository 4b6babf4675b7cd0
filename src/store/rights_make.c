/* SPDX-License-Identifier: Apache-2.0
 * rights_make.c - the rights of a tree (rights.h), made when its settings change.
 * Called by: the writer, and whoever opens the store. May touch: the engine (reads), the caches of
 * the writer, the published part of the trees under the store's lock.
 * Never: a peer. */
#include "alloc.h"
#include "entry.h"
#include "log.h"
#include "rights_fold.h"
#include "state.h"

#define RETRY_NS WEFT_SEC

/* -- From policies ----------------------------------------------------------------------------- */

struct sizes {
    const wf_policy *policy;
    uint32_t keys;
    size_t names;
};

/* A longer one than may be granted is not a name to show. */
static const char *name_of(const wf_policy *policy, const weft_key *key, size_t *len)
{
    const char *name = wf_policy_name(policy, key, len);
    if (name == NULL || *len > WEFT_KEY_NAME_BYTES_MAX) *len = 0;
    return name;
}

static void add_sizes(void *arg, const weft_key *key, const wf_grant *grant)
{
    struct sizes *s = arg;
    size_t len;
    (void)grant;
    if (key == NULL) return;
    (void)name_of(s->policy, key, &len);
    s->keys++;
    s->names += len;
}

struct filling {
    const wf_policy *policy;
    struct wf_rights *rights;
    char *names; /* where the next one goes */
};

static void add_grant(void *arg, const weft_key *key, const wf_grant *grant)
{
    struct filling *f = arg;
    if (key == NULL) {
        f->rights->everyone = *grant;
        return;
    }
    size_t len;
    const char *name = name_of(f->policy, key, &len);
    if (len > 0) memcpy(f->names, name, len);
    f->names += len;
    f->rights->by_key[f->rights->count++] = (struct wf_granted){.key = *key,
                                                                .priority = grant->priority,
                                                                .right = (uint8_t)grant->right,
                                                                .name_len = (uint8_t)len};
}

static weft_err from_policy(wf_store *store, const wf_policy *policy, struct wf_rights **out)
{
    struct sizes s = {.policy = policy};
    wf_policy_each(policy, add_sizes, &s);
    struct wf_rights *rights;
    size_t fixed = sizeof *rights + s.keys * sizeof rights->by_key[0], bytes = fixed + s.names;
    if (wf_counter_get(&store->counters.rights) + bytes > WEFT_RIGHTS_NODE_BYTES) return WEFT_LIMIT;
    rights = wf_malloc(bytes);
    if (rights == NULL) return WEFT_NO_MEMORY;
    *rights = (struct wf_rights){.bytes = bytes};
    struct filling f = {policy, rights, (char *)rights + fixed};
    rights->names = f.names;
    wf_policy_each(policy, add_grant, &f);
    *out = rights;
    return WEFT_OK;
}

void wf_rights_destroy(struct wf_rights *rights) { wf_free(rights); }

static weft_err new_standing(wf_store *store, uint64_t t, const weft_id *tree,
                             struct wf_standing **out)
{
    weft_err err = wf_standing_create(store, t, tree, out);
    if (err != WEFT_OK) return err;
    (*out)->folds = true;
    if (store->pairs_max > 0) (*out)->pairs_max = store->pairs_max;
    return WEFT_OK;
}

/* What the tips of the settings know together. */
struct joining {
    uint32_t number;   /* of the only policy so far; 0: none */
    wf_policy *joined; /* of several; owned                  */
};

static weft_err join_tip(wf_store *store, struct joining *j, const weft_id *tip)
{
    struct wf_brief *brief;
    const wf_policy *policy, *first = j->joined;
    weft_err err = wf_briefs_find(&store->briefs, store->kv, tip, &brief);
    if (err == WEFT_NOT_FOUND) err = wf_fail(WEFT_CORRUPT, "store", "a tip of settings is missing");
    if (err != WEFT_OK) return err;
    if (brief->policy == j->number) return WEFT_OK;
    uint32_t number = brief->policy;
    if (j->number == 0) {
        j->number = number;
        return WEFT_OK;
    }
    wf_policy *both = NULL, *alone = NULL;
    if (first ==
        NULL) { /* what is borrowed ends with the next one: keep it as a join with itself */
        err = wf_policies_get(&store->policies, store->kv, j->number, &policy);
        if (err == WEFT_OK) err = wf_policy_join(policy, policy, &alone);
        first = alone;
    }
    if (err == WEFT_OK) err = wf_policies_get(&store->policies, store->kv, number, &policy);
    if (err == WEFT_OK) err = wf_policy_join(first, policy, &both);
    wf_policy_destroy(alone);
    if (err != WEFT_OK) return err;
    wf_policy_destroy(j->joined);
    j->joined = both;
    j->number = number;
    return WEFT_OK;
}

static weft_err join_tips(wf_store *store, uint64_t t, struct joining *j)
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, t, WF_SETTINGS_NAME, sizeof WF_SETTINGS_NAME - 1, NULL);
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_TIP, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); err == WEFT_OK && wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        weft_id tip;
        if (len != prefix_len + sizeof tip.bytes) continue;
        memcpy(tip.bytes, key + prefix_len, sizeof tip.bytes);
        err = join_tip(store, j, &tip);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err make_of_tips(wf_store *store, uint64_t t, struct wf_rights **out)
{
    struct joining j = {0};
    const wf_policy *policy = NULL;
    weft_err err = join_tips(store, t, &j);
    if (err == WEFT_OK && j.joined == NULL && j.number != 0)
        err = wf_policies_get(&store->policies, store->kv, j.number, &policy);
    if (j.joined != NULL) policy = j.joined;
    if (err == WEFT_OK && policy != NULL) err = from_policy(store, policy, out);
    wf_policy_destroy(j.joined);
    return err;
}

/* Most trees: then nobody has to look at it. */
static weft_err has_more_than_root(wf_store *store, uint64_t t, bool *out)
{
    wf_gen_walk *walk = NULL;
    wf_place place;
    *out = false;
    if (store->format < WF_FORMAT_VERSION) return WEFT_OK; /* an older one, only read */
    weft_err err = wf_gen_walk_create_named(store, t, WF_SETTINGS_NAME, true, 0, NULL, &walk);
    if (err == WEFT_OK) err = wf_gen_walk_next(walk, &place);
    if (err == WEFT_OK) *out = place.gen > 0;
    wf_gen_walk_destroy(walk);
    return err == WEFT_END ? WEFT_OK : err;
}

/* All of it, as the engine has it. */
static weft_err make_all(wf_store *store, uint64_t t, const weft_id *tree, struct wf_rights **out,
                         struct wf_standing **standing)
{
    struct wf_standing *s = NULL;
    bool more;
    weft_err err = has_more_than_root(store, t, &more);
    if (err == WEFT_OK && more) err = new_standing(store, t, tree, &s);
    if (err == WEFT_OK && more) err = wf_standing_read(s, UINT64_MAX);
    if (err == WEFT_OK && s != NULL && s->revocations > 0) err = wf_rights_fold(store, s, out);
    else if (err == WEFT_OK) err = make_of_tips(store, t, out);
    if (err == WEFT_OK && s != NULL && s->revocations > 0) {
        *standing = s;
        s = NULL; /* the caller's now */
    }
    wf_standing_destroy(s);
    return err;
}

static void tell(uint64_t t, weft_err err)
{
    if (err == WEFT_OK) return;
    wf_log(WEFT_LOG_WARN, "store",
           "who may read is not known, so nobody may, until it can be made t=%llu err=%s",
           (unsigned long long)t, weft_errname(err));
}

weft_err wf_rights_make(wf_store *store, uint64_t t, const weft_id *tree, struct wf_rights **out,
                        struct wf_standing **standing)
{
    *out = NULL;
    *standing = NULL;
    weft_err err = make_all(store, t, tree, out, standing);
    tell(t, err);
    return err;
}

/* -- With the batch --------------------------------------------------------------------------- */

/* What the open batch says of keys is added to what was said before. */
static weft_err add_fresh(wf_store *store, uint64_t t, struct wf_standing *s)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < store->fresh_count; i++) {
        const struct wf_fresh *fresh = &store->fresh[i];
        const wf_place place = {fresh->gen, fresh->seq, fresh->id};
        if (fresh->t != t) continue;
        if (!wf_names_have(store->arena + fresh->names, fresh->names_len, WF_SETTINGS_NAME,
                           sizeof WF_SETTINGS_NAME - 1))
            continue;
        err = wf_entry_parse(fresh->bytes, fresh->len, store->entry);
        if (err == WEFT_OK) err = wf_standing_take_in(s, &place, store->entry);
    }
    return err;
}

static weft_err make_next(wf_store *store, struct wf_tree *tree, struct wf_rights **out)
{
    const bool known = tree->rights_err == WEFT_OK;
    const bool calm = known && (tree->rights == NULL || !tree->rights->revocations);
    struct wf_standing *s = tree->standing;
    weft_err err = WEFT_OK;
    tree->standing = NULL;
    if (s == NULL && calm) { /* nobody was revoked so far: does the batch? */
        err = new_standing(store, tree->now.t, &tree->now.tree, &s);
        if (err == WEFT_OK) err = add_fresh(store, tree->now.t, s);
        const bool still = err == WEFT_OK && s->revocations == 0;
        wf_standing_destroy(s);
        s = NULL;
        if (err != WEFT_OK) return err;
        if (still) return make_of_tips(store, tree->now.t, out);
    }
    if (s == NULL || !known) {
        wf_standing_destroy(s);
        return make_all(store, tree->now.t, &tree->now.tree, out, &tree->standing);
    }
    err = add_fresh(store, tree->now.t, s);
    if (err == WEFT_OK) err = wf_rights_fold(store, s, out);
    if (err == WEFT_OK) tree->standing = s;
    else wf_standing_destroy(s);
    if (err != WEFT_LIMIT) return err; /* what was found out long ago may be too much to keep */
    return make_all(store, tree->now.t, &tree->now.tree, out, &tree->standing);
}

void wf_rights_stage(wf_store *store)
{
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (!tree->settings_touched && !tree->readers_touched) continue;
        struct wf_rights_view after = wf_rights_of(tree);
        if (tree->settings_touched) {
            tree->rights_staged = NULL;
            after.unknown = make_next(store, tree, &tree->rights_staged);
            tell(tree->now.t, after.unknown);
            if (after.unknown == WEFT_NO_MEMORY) store->rights_retry = 0; /* that may be over */
            after.rights = tree->rights_staged;
            tree->staged_err = after.unknown;
        }
        if (tree->readers_touched) {
            after.readers = tree->staged;
            after.readers_count = tree->staged_count;
        }
        after.served = tree->now.followed;
        wf_rights_compare(store, tree, &after);
    }
}

void wf_rights_publish(wf_store *store, struct wf_tree *tree, struct wf_rights *rights,
                       weft_err unknown)
{
    uint64_t more = rights == NULL ? 0 : rights->bytes;
    uint64_t less = tree->rights == NULL ? 0 : tree->rights->bytes;
    wf_counter_add(&store->counters.rights, more - less);
    store->rights_unknown += (unknown != WEFT_OK) - (uint32_t)(tree->rights_err != WEFT_OK);
    wf_rights_destroy(tree->rights);
    tree->rights = rights;
    tree->rights_err = unknown;
}

/* Who could not read may now: this takes nothing away. */
void wf_rights_retry(wf_store *store)
{
    weft_ns now = weft_rt_now(store->rt);
    if (store->rights_unknown == 0 || now < store->rights_retry) return;
    store->rights_retry = now + RETRY_NS;
    for (uint32_t i = 0; i < store->trees.count; i++) {
        struct wf_tree *tree = store->trees.list[i];
        struct wf_rights *rights;
        if (tree->rights_err == WEFT_OK) continue;
        wf_standing_destroy(tree->standing);
        weft_err err = wf_rights_make(store, tree->now.t, &tree->now.tree, &rights,
                                      &tree->standing);
        wf_rwlock_write(store->lock);
        wf_rights_publish(store, tree, rights, err);
        wf_rwlock_give(store->lock);
    }
}
