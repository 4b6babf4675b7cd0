/* SPDX-License-Identifier: Apache-2.0
 * rights.c - who may read a tree now (rights.h): made from the tips of its settings.
 * Called by: the writer, trees.c, any thread that asks. May touch: the engine (reads, on the
 * writer's thread), the published part of the trees under the store's lock.
 * Never: an entry's body, a peer. */
#include "rights.h"

#include "alloc.h"
#include "entry.h"
#include "log.h"
#include "state.h"

#define RETRY_NS WEFT_SEC

/* -- Making ----------------------------------------------------------------------------- */

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

weft_err wf_rights_make(wf_store *store, uint64_t t, struct wf_rights **out)
{
    struct joining j = {0};
    const wf_policy *policy = NULL;
    *out = NULL;
    weft_err err = join_tips(store, t, &j);
    if (err == WEFT_OK && j.joined == NULL && j.number != 0)
        err = wf_policies_get(&store->policies, store->kv, j.number, &policy);
    if (j.joined != NULL) policy = j.joined;
    if (err == WEFT_OK && policy != NULL) err = from_policy(store, policy, out);
    wf_policy_destroy(j.joined);
    if (err != WEFT_OK)
        wf_log(WEFT_LOG_WARN, "store",
               "who may read is not known, so nobody may, until it can be made t=%llu err=%s",
               (unsigned long long)t, weft_errname(err));
    return err;
}

/* -- Asking ----------------------------------------------------------------------------- */

/* How many of the ascending keys, `stride` bytes apart, are below `key`. The width of the search
 * does not follow their number unless that is huge, and what is not there is compared too. */
static bool find(const void *list, size_t stride, uint32_t count, const weft_key *key,
                 uint32_t *steps, uint32_t *at)
{
    static const weft_key nobody;
    uint32_t below = 0, width = 1u << 15;
    while (count >> 1 >= width) width <<= 1;
    for (; width > 0; width >>= 1, ++*steps) {
        uint32_t probe = below + width - 1;
        bool there = probe < count;
        const void *with = there ? (const uint8_t *)list + probe * stride : nobody.bytes;
        bool less = memcmp(with, key->bytes, sizeof key->bytes) < 0;
        if (there && less) below += width;
    }
    ++*steps;
    bool there = below < count;
    const void *with = there ? (const uint8_t *)list + below * stride : nobody.bytes;
    *at = below;
    return memcmp(with, key->bytes, sizeof key->bytes) == 0 && there;
}

static const struct wf_granted *own_grant(const struct wf_rights *rights, const weft_key *key,
                                          uint32_t *steps)
{
    uint32_t at;
    bool found = find(rights == NULL ? NULL : rights->by_key, sizeof rights->by_key[0],
                      rights == NULL ? 0 : rights->count, key, steps, &at);
    return found ? &rights->by_key[at] : NULL;
}

static bool is_listed(const struct wf_rights_view *view, const weft_key *key, uint32_t *steps)
{
    uint32_t at;
    return find(view->readers, sizeof *view->readers, view->readers_count, key, steps, &at);
}

bool wf_rights_read(const struct wf_rights_view *view, const weft_key *key, uint32_t *steps)
{
    static const struct wf_rights_view empty;
    const struct wf_rights_view *v = view->served && view->unknown == WEFT_OK ? view : &empty;
    const struct wf_granted *own = own_grant(v->rights, key, steps);
    bool listed = is_listed(v, key, steps);
    bool revoked = own != NULL && own->right == WEFT_RIGHT_NONE;
    bool granted = own != NULL && own->right >= WEFT_RIGHT_READ;
    bool everyone = v->rights != NULL && v->rights->everyone.right >= WEFT_RIGHT_READ;
    return !revoked && (granted || everyone || listed);
}

static struct wf_rights_view published(const struct wf_tree *tree)
{
    if (tree == NULL) return (struct wf_rights_view){0};
    return (struct wf_rights_view){.served = tree->pub.t != 0 && tree->pub.followed,
                                   .unknown = tree->rights_err,
                                   .rights = tree->rights,
                                   .readers = tree->readers,
                                   .readers_count = tree->readers_count};
}

bool wf_rights_ask(wf_store *store, const weft_id *id, const weft_key *keys, uint32_t count,
                   uint32_t *steps)
{
    bool may = false;
    wf_rwlock_read(store->lock);
    const struct wf_rights_view view = published(wf_trees_find(&store->trees, id));
    for (uint32_t i = 0; i < count; i++) may |= wf_rights_read(&view, &keys[i], steps);
    wf_rwlock_give(store->lock);
    return may;
}

bool wf_store_may_read_as(wf_store *store, const weft_id *id, const weft_key *keys, uint32_t count)
{
    uint32_t steps = 0;
    return wf_rights_ask(store, id, keys, count, &steps);
}

bool wf_store_may_read(wf_store *store, const weft_id *id, const weft_key *key)
{
    return wf_store_may_read_as(store, id, key, 1);
}

static weft_err open_view(const wf_store *store, const weft_id *id, struct wf_rights_view *out)
{
    const struct wf_tree *tree = wf_trees_find(&store->trees, id);
    if (tree == NULL || tree->pub.t == 0) return WEFT_TREE;
    *out = published(tree);
    return out->unknown;
}

weft_err wf_store_right(wf_store *store, const weft_id *id, const weft_key *key,
                        struct wf_right_now *out)
{
    struct wf_rights_view view;
    uint32_t steps = 0;
    wf_rwlock_read(store->lock);
    weft_err err = open_view(store, id, &view);
    if (err == WEFT_OK) {
        const struct wf_granted *own = own_grant(view.rights, key, &steps);
        wf_grant grant = view.rights == NULL ? (wf_grant){0} : view.rights->everyone;
        if (own != NULL) {
            const wf_grant mine = {(weft_right)own->right, own->priority};
            if (mine.right == WEFT_RIGHT_NONE || wf_grant_compare(&mine, &grant) >= 0) grant = mine;
        }
        *out = (struct wf_right_now){.right = grant.right,
                                     .priority = grant.priority,
                                     .listed = is_listed(&view, key, &steps),
                                     .revoked = own != NULL && own->right == WEFT_RIGHT_NONE};
    }
    wf_rwlock_give(store->lock);
    return err;
}

static void list_grants(const struct wf_rights *rights, bool everyone, weft_grant *out)
{
    const char *name = rights->names;
    if (everyone)
        *out++ = (weft_grant){.everyone = true,
                              .right = rights->everyone.right,
                              .priority = rights->everyone.priority};
    for (uint32_t i = 0; i < rights->count; i++, out++) {
        const struct wf_granted *g = &rights->by_key[i];
        *out = (weft_grant){.key = g->key,
                            .right = (weft_right)g->right,
                            .priority = g->priority,
                            .revoked = g->right == WEFT_RIGHT_NONE};
        memcpy(out->name, name, g->name_len);
        name += g->name_len;
    }
}

weft_err wf_store_grants(wf_store *store, const weft_id *id, weft_grant *out, size_t *count)
{
    struct wf_rights_view view;
    wf_rwlock_read(store->lock);
    weft_err err = open_view(store, id, &view);
    if (err == WEFT_OK) {
        bool everyone = view.rights != NULL && view.rights->everyone.right != WEFT_RIGHT_NONE;
        size_t need = view.rights == NULL ? 0 : view.rights->count + (size_t)everyone;
        if (need > *count) err = WEFT_LIMIT;
        else if (need > 0) list_grants(view.rights, everyone, out);
        *count = need;
    }
    wf_rwlock_give(store->lock);
    return err;
}

/* -- Before and after --------------------------------------------------------------------- */

static bool loses(const struct wf_rights_view *before, const struct wf_rights_view *after,
                  const weft_key *key)
{
    uint32_t steps = 0;
    return wf_rights_read(before, key, &steps) && !wf_rights_read(after, key, &steps);
}

static bool everyone_reads(const struct wf_rights_view *v)
{
    return v->served && v->unknown == WEFT_OK && v->rights != NULL &&
           v->rights->everyone.right >= WEFT_RIGHT_READ;
}

static bool one_loses(const struct wf_rights_view *before, const struct wf_rights_view *after,
                      const struct wf_rights *of)
{
    for (uint32_t i = 0; of != NULL && i < of->count; i++)
        if (loses(before, after, &of->by_key[i].key)) return true;
    return false;
}

bool wf_rights_narrow(const struct wf_rights_view *before, const struct wf_rights_view *after)
{
    if (!before->served || before->unknown != WEFT_OK) return false; /* nobody could read */
    if (everyone_reads(before) && !everyone_reads(after)) return true;
    for (uint32_t i = 0; i < before->readers_count; i++)
        if (loses(before, after, &before->readers[i])) return true;
    if (one_loses(before, after, before->rights)) return true;
    return after->rights != before->rights && one_loses(before, after, after->rights);
}

/* -- With the batch --------------------------------------------------------------------------- */

static void note(struct wf_narrowed *n, const weft_id *tree)
{
    n->number++;
    for (uint32_t i = 0; i < n->count; i++)
        if (weft_id_equal(&n->trees[i], tree)) return;
    if (n->count == WEFT_GATE_TREES) n->all = true;
    else n->trees[n->count++] = *tree;
}

void wf_rights_compare(wf_store *store, const struct wf_tree *tree,
                       const struct wf_rights_view *after)
{
    const struct wf_rights_view before = published(tree);
    if (wf_rights_narrow(&before, after)) note(&store->narrowed, &tree->now.tree);
}

void wf_rights_stage(wf_store *store)
{
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (!tree->settings_touched && !tree->readers_touched) continue;
        struct wf_rights_view after = published(tree);
        if (tree->settings_touched) {
            after.unknown = wf_rights_make(store, tree->now.t, &tree->rights_staged);
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
        weft_err err = wf_rights_make(store, tree->now.t, &rights);
        wf_rwlock_write(store->lock);
        wf_rights_publish(store, tree, rights, err);
        wf_rwlock_give(store->lock);
    }
}
