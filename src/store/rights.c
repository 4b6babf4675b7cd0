/* SPDX-License-Identifier: Apache-2.0
 * rights.c - who may read a tree now (rights.h): questions, and what a change takes away.
 * Called by: any thread that asks; the writer and trees.c, which compare. May touch: the published
 * part of the trees under the store's lock. Never: the engine. */
#include "rights.h"

#include "state.h"

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

struct wf_rights_view wf_rights_of(const struct wf_tree *tree)
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
    const struct wf_rights_view view = wf_rights_of(wf_trees_find(&store->trees, id));
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
    *out = wf_rights_of(tree);
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
                                     .own = own != NULL && own->right >= WEFT_RIGHT_READ,
                                     .listed = is_listed(&view, key, &steps),
                                     .revoked = own != NULL && own->right == WEFT_RIGHT_NONE};
    }
    wf_rwlock_give(store->lock);
    return err;
}

static void show(const struct wf_granted *g, const char *name, weft_grant *out)
{
    *out = (weft_grant){.key = g->key,
                        .right = (weft_right)g->right,
                        .priority = g->priority,
                        .revoked = g->right == WEFT_RIGHT_NONE};
    memcpy(out->name, name, g->name_len);
}

static void list_grants(const struct wf_rights *rights, bool everyone, weft_grant *out)
{
    const char *name = rights->names;
    if (everyone)
        *out++ = (weft_grant){.everyone = true,
                              .right = rights->everyone.right,
                              .priority = rights->everyone.priority};
    for (uint32_t i = 0; i < rights->count; i++) {
        show(&rights->by_key[i], name, out++);
        name += rights->by_key[i].name_len;
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

weft_err wf_store_grant(wf_store *store, const weft_id *id, const weft_key *key, weft_grant *out)
{
    struct wf_rights_view view;
    uint32_t steps = 0;
    wf_rwlock_read(store->lock);
    weft_err err = open_view(store, id, &view);
    if (err == WEFT_OK) {
        const struct wf_granted *own = own_grant(view.rights, key, &steps);
        const char *name = view.rights == NULL ? NULL : view.rights->names;
        for (uint32_t i = 0; own != NULL && &view.rights->by_key[i] != own; i++)
            name += view.rights->by_key[i].name_len;
        if (own == NULL) err = WEFT_NOT_FOUND;
        else show(own, name, out);
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
    const struct wf_rights_view before = wf_rights_of(tree);
    if (wf_rights_narrow(&before, after)) note(&store->narrowed, &tree->now.tree);
}
