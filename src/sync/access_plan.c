/* SPDX-License-Identifier: Apache-2.0
 * access_plan.c - what a request of sync settings changes: rows, and which trees are served.
 * Called by: access_actor.c, access_change.c. May touch: the change; reads the rows and what the
 * store has published. Never: changes the actor's rows, writes.
 *
 * A tree that is followed and has no row is the node's own, enabled and on commit: stores of before
 * have no rows, and creating a tree needs none. Such a row is written down with the first one that
 * somebody else has for the tree. */
#include <stdlib.h>
#include <string.h>

#include "access_state.h"
#include "alloc.h"

enum { TREES_FIRST = 64 };

static const weft_key the_node;
static const weft_sync_settings plain = {.enabled = true, .on_commit = true};

static bool is_node(const weft_key *principal) { return weft_key_equal(principal, &the_node); }

static bool is_served(const struct access *a, const weft_id *tree)
{
    wf_tree_info info;
    return wf_store_tree(a->table->wf_store, tree, &info) == WEFT_OK && info.followed;
}

static bool has_rows(const struct access *a, const weft_id *tree)
{
    uint32_t first;
    return wf_track_rows_of(&a->rows, tree, &first) > 0;
}

/* The node tracks it, and no row says so. */
static bool is_unwritten(const struct access *a, const weft_id *tree)
{
    return !has_rows(a, tree) && is_served(a, tree);
}

void wf_acc_change_free(struct change *c)
{
    if (c == NULL) return;
    wf_track_rows_fini(&c->rows);
    wf_free(c->flips);
    wf_free(c->key);
    wf_free(c);
}

/* -- Rows ------------------------------------------------------------------------------- */

static weft_err add_row(struct access *a, struct change *c, struct wf_track_row *row)
{
    row->change = a->rows.change + c->rows.count + 1;
    weft_err err = wf_track_rows_add_take(&c->rows, row);
    if (err != WEFT_OK) wf_free(row);
    return err;
}

static weft_err set_row(struct access *a, struct change *c, const weft_id *tree,
                        const weft_key *principal, const weft_sync_settings *settings)
{
    const struct wf_track_row *now = wf_track_rows_find(&a->rows, tree, principal);
    struct wf_track_row *row = NULL, *unwritten = NULL;
    weft_err err = wf_track_row_create(tree, principal, settings, &row);
    if (err == WEFT_OK && now == NULL && is_unwritten(a, tree)) {
        err = wf_track_row_create(tree, &the_node, &plain, &unwritten);
        if (err == WEFT_OK && is_node(principal)) now = unwritten;
    }
    bool same = err == WEFT_OK && now != NULL && wf_track_row_equal(now, row);
    if (err == WEFT_OK && unwritten != NULL && !is_node(principal)) {
        err = add_row(a, c, unwritten);
        unwritten = NULL;
    }
    if (err == WEFT_OK && !same) {
        err = add_row(a, c, row);
        row = NULL;
    }
    wf_free(unwritten);
    wf_free(row);
    return err;
}

/* The tree is to be served or not, if that is not so yet. */
static weft_err flip(struct access *a, struct change *c, const weft_id *tree, bool serve)
{
    if (is_served(a, tree) == serve) return WEFT_OK;
    struct wf_follow_also *flips = wf_realloc(c->flips, (c->flips_count + 1) * sizeof *flips);
    if (flips == NULL) return WEFT_NO_MEMORY;
    c->flips = flips;
    flips[c->flips_count++] = (struct wf_follow_also){*tree, serve};
    c->served |= serve;
    return WEFT_OK;
}

static weft_err remove_row(struct access *a, struct change *c, const struct wf_track_row *now)
{
    struct wf_track_row *gone = wf_track_row_gone(now);
    return gone == NULL ? WEFT_NO_MEMORY : add_row(a, c, gone);
}

/* -- Requests --------------------------------------------------------------------------- */

static weft_err plan_follow(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    const struct wf_track_row *now = wf_track_rows_find(&a->rows, &req->tree, &the_node);
    c->listed = c->follows = true;
    c->served = !is_served(a, &req->tree);
    if (req->joins && c->served &&
        wf_asked_find(&a->joins.asked, &req->tree, &req->principal) == NULL)
        return WEFT_NOT_FOUND;
    if (now == NULL) /* without rows, that it is followed says enough */
        return has_rows(a, &req->tree) ? set_row(a, c, &req->tree, &the_node, &plain) : WEFT_OK;
    if (now->enabled) return WEFT_OK;
    weft_sync_settings *settings = wf_malloc(sizeof *settings);
    if (settings == NULL) return WEFT_NO_MEMORY;
    wf_track_row_settings(now, settings);
    settings->enabled = true;
    weft_err err = set_row(a, c, &req->tree, &the_node, settings);
    wf_free(settings);
    return err;
}

static weft_err plan_unfollow(struct access *a, struct change *c)
{
    const weft_id *tree = &c->req->tree;
    const struct wf_track_row *now = wf_track_rows_find(&a->rows, tree, &the_node);
    weft_err err = now == NULL ? WEFT_OK : remove_row(a, c, now);
    c->listed = true;
    c->follows = wf_track_rows_sum(&a->rows, &c->rows, tree).enabled;
    return err;
}

static weft_err plan_enable(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    weft_sync_settings *settings = wf_malloc(sizeof *settings);
    if (settings == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_acc_get(a, &req->tree, &req->principal, settings);
    settings->enabled = req->on;
    if (err == WEFT_OK) err = set_row(a, c, &req->tree, &req->principal, settings);
    wf_free(settings);
    return err;
}

static weft_err plan_remove(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    const struct wf_track_row *now = wf_track_rows_find(&a->rows, &req->tree, &req->principal);
    if (now != NULL) return remove_row(a, c, now);
    if (!is_node(&req->principal) || !is_unwritten(a, &req->tree)) return WEFT_NOT_FOUND;
    return flip(a, c, &req->tree, false);
}

/* Whatever anybody here has said about it goes too, so that nothing of that holds for the tree when
 * it is taken up again. */
static weft_err plan_drop(struct access *a, struct change *c)
{
    const weft_id *tree = &c->req->tree;
    wf_tree_info info;
    uint32_t first, count = wf_track_rows_of(&a->rows, tree, &first);
    weft_err err = wf_store_tree(a->table->wf_store, tree, &info);
    if (err == WEFT_OK && wf_join_desk_is_asking(&a->joins, tree)) err = WEFT_BUSY;
    for (uint32_t i = 0; err == WEFT_OK && i < count; i++)
        err = remove_row(a, c, a->rows.rows[first + i]);
    c->drops = err == WEFT_OK;
    return err;
}

static int by_tree(const void *x, const void *y)
{
    const weft_tracked *const *a = x, *const *b = y;
    return weft_id_compare(&(*a)->tree, &(*b)->tree);
}

/* Those that the principal tracks and the list does not name. Both ascend. */
static weft_err remove_others(struct access *a, struct change *c, const weft_tracked **list,
                              uint32_t count)
{
    weft_id *trees;
    uint32_t trees_count, at = 0;
    weft_err err = wf_acc_trees(a, &c->req->principal, &trees, &trees_count);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; err == WEFT_OK && i < trees_count; i++) {
        while (at < count && weft_id_compare(&list[at]->tree, &trees[i]) < 0) at++;
        if (at < count && weft_id_equal(&list[at]->tree, &trees[i])) continue;
        const struct wf_track_row *now = wf_track_rows_find(&a->rows, &trees[i],
                                                            &c->req->principal);
        err = now != NULL ? remove_row(a, c, now) : flip(a, c, &trees[i], false);
    }
    wf_free(trees);
    return err;
}

static weft_err plan_sync(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    const weft_tracked **list = wf_calloc(req->tracked_count + 1u, sizeof(*list));
    if (list == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < req->tracked_count; i++) list[i] = &req->tracked[i];
    qsort(list, req->tracked_count, sizeof(*list), by_tree);
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < req->tracked_count; i++) {
        bool twice = i > 0 && weft_id_equal(&list[i]->tree, &list[i - 1]->tree);
        err = twice ? WEFT_INVALID
                    : set_row(a, c, &list[i]->tree, &req->principal, &list[i]->settings);
    }
    if (err == WEFT_OK) err = remove_others(a, c, list, req->tracked_count);
    wf_free(list);
    return err;
}

static weft_err plan_setting(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    bool found;
    (void)wf_acc_key_at(a, req->key, &found);
    c->setting = req->on || found;
    if (!req->on || found) return WEFT_OK;
    if (a->keys_count == WEFT_SETTINGS_MAX) return WEFT_LIMIT;
    c->key = wf_strdup(req->key);
    return c->key == NULL ? WEFT_NO_MEMORY : wf_acc_keys_reserve(a);
}

/* What the changed rows mean for their trees, and whether they fit. */
static weft_err look_at_trees(struct access *a, struct change *c)
{
    weft_err err = WEFT_OK;
    uint32_t rows = a->rows.count;
    for (uint32_t i = 0; i < c->rows.count && err == WEFT_OK; i++) {
        const struct wf_track_row *row = c->rows.rows[i];
        if (row->gone) rows--;
        else if (wf_track_rows_find(&a->rows, &row->tree, &row->principal) == NULL) rows++;
        if (i > 0 && weft_id_equal(&row->tree, &c->rows.rows[i - 1]->tree)) continue;
        struct wf_track_sum sum = wf_track_rows_sum(&a->rows, &c->rows, &row->tree);
        if (sum.rows > WEFT_PRINCIPALS_PER_TREE_MAX) err = WEFT_LIMIT;
        else if (!c->listed && !c->drops) err = flip(a, c, &row->tree, sum.enabled);
    }
    return err == WEFT_OK && rows > WEFT_TRACKS_MAX ? WEFT_LIMIT : err;
}

weft_err wf_acc_plan(struct access *a, struct change *c)
{
    const struct wf_access_req *req = c->req;
    weft_err err = WEFT_INVALID;
    switch (req->op) {
    case WF_ACC_FOLLOW: err = plan_follow(a, c); break;
    case WF_ACC_UNFOLLOW: err = plan_unfollow(a, c); break;
    case WF_ACC_PUT: err = set_row(a, c, &req->tree, &req->principal, &req->settings); break;
    case WF_ACC_ENABLE: err = plan_enable(a, c); break;
    case WF_ACC_REMOVE: err = plan_remove(a, c); break;
    case WF_ACC_SYNC: err = plan_sync(a, c); break;
    case WF_ACC_DROP: err = plan_drop(a, c); break;
    case WF_ACC_SETTING: err = plan_setting(a, c); break;
    default: break;
    }
    return err == WEFT_OK ? look_at_trees(a, c) : err;
}

/* -- Look-ups --------------------------------------------------------------------------- */

weft_err wf_acc_get(const struct access *a, const weft_id *tree, const weft_key *principal,
                    weft_sync_settings *out)
{
    const struct wf_track_row *row = wf_track_rows_find(&a->rows, tree, principal);
    if (row != NULL) wf_track_row_settings(row, out);
    else if (is_node(principal) && is_unwritten(a, tree)) *out = plain;
    else return WEFT_NOT_FOUND;
    return WEFT_OK;
}

weft_err wf_acc_combined(const struct access *a, const weft_id *tree, weft_sync_settings *out)
{
    if (!is_unwritten(a, tree)) return wf_track_rows_combined(&a->rows, tree, out);
    *out = plain;
    return WEFT_OK;
}

/* Adds the trees that are followed and have no rows. */
static weft_err add_unwritten(const struct access *a, weft_id **ids, uint32_t *count)
{
    wf_tree_info *infos = NULL;
    size_t got = 0;
    weft_err err = WEFT_LIMIT;
    for (size_t room = TREES_FIRST; err == WEFT_LIMIT; room *= 4) {
        wf_free(infos);
        infos = wf_malloc(room * sizeof *infos);
        if (infos == NULL) return WEFT_NO_MEMORY;
        got = room;
        err = wf_store_trees(a->table->wf_store, infos, &got);
    }
    weft_id *all = err == WEFT_OK ? wf_realloc(*ids, (*count + got + 1) * sizeof *all) : NULL;
    if (err == WEFT_OK && all == NULL) err = WEFT_NO_MEMORY;
    if (all != NULL) *ids = all;
    for (size_t i = 0; err == WEFT_OK && i < got; i++)
        if (infos[i].followed && !has_rows(a, &infos[i].tree)) all[(*count)++] = infos[i].tree;
    wf_free(infos);
    return err;
}

static int by_id(const void *a, const void *b) { return weft_id_compare(a, b); }

weft_err wf_acc_trees(const struct access *a, const weft_key *principal, weft_id **out,
                      uint32_t *count)
{
    weft_id *ids = wf_malloc((a->rows.count + 1u) * sizeof *ids);
    uint32_t n = 0;
    if (ids == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < a->rows.count; i++)
        if (weft_key_equal(&a->rows.rows[i]->principal, principal))
            ids[n++] = a->rows.rows[i]->tree;
    weft_err err = is_node(principal) ? add_unwritten(a, &ids, &n) : WEFT_OK;
    if (err != WEFT_OK) {
        wf_free(ids);
        return err;
    }
    qsort(ids, n, sizeof *ids, by_id);
    *out = ids;
    *count = n;
    return WEFT_OK;
}
