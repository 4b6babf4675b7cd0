/* SPDX-License-Identifier: Apache-2.0
 * view.c - a map that takes in one payload after the other, in any order.
 * Called by: api_map.c, view_source.c. May touch: the heap.
 * Never: reads a store, forgets a tombstone, recurses.
 *
 * Each path is a node, the paths right below it are a treap of their own (Seidel and Aragon,
 * 1996): a search tree by component that is also a heap by chance, so that its depth is
 * logarithmic whatever order the components come in. Nodes are never removed. */
#include "view.h"

#include <string.h>

#include "alloc.h"
#include "log.h"
#include "map_codec.h"

struct wf_view_node {
    struct wf_view_node *above, *made_before;
    wf_stamp at;        /* of the newest operation here               */
    wf_stamp below;     /* of the newest set of any path below        */
    wf_map_value value; /* its bytes are owned                        */
    void *staged;       /* bytes of the value that is being taken in  */
    bool written, set;  /* was anything done here; newest: a set      */
    bool set_below;     /* was any path below ever set                */
    /* What a search looks at lies together. */
    uint32_t len;
    uint64_t chance;
    struct wf_view_node *kids, *left, *right; /* below it; beside it, in the treap */
    char text[];
};

struct wf_view {
    struct wf_view_node *top; /* the path of no components: never written */
    struct wf_view_node *last_made;
    uint64_t chance, paths;
    size_t bytes, bytes_max;
};

/* -- Siblings -------------------------------------------------------------------------------- */

static int compare(const struct wf_view_node *n, const char *text, uint32_t len)
{
    int order = memcmp(n->text, text, n->len < len ? n->len : len);
    return order != 0 ? order : (n->len > len) - (n->len < len);
}

static struct wf_view_node *kid(const struct wf_view_node *above, const char *text, uint32_t len)
{
    struct wf_view_node *n = above->kids;
    while (n != NULL) {
        int order = compare(n, text, len);
        if (order == 0) break;
        n = order < 0 ? n->right : n->left;
    }
    return n;
}

/* The first one after the component. NULL: none. */
static const struct wf_view_node *kid_after(const struct wf_view_node *above, const char *text,
                                            uint32_t len)
{
    const struct wf_view_node *found = NULL;
    for (const struct wf_view_node *n = above->kids; n != NULL;) {
        bool after = compare(n, text, len) > 0;
        if (after) found = n;
        n = after ? n->left : n->right;
    }
    return found;
}

/* Puts `n` where the heap wants it and splits what was there into what is left and right. */
static void insert(struct wf_view_node *above, struct wf_view_node *n)
{
    struct wf_view_node **at = &above->kids;
    while (*at != NULL && (*at)->chance >= n->chance)
        at = compare(*at, n->text, n->len) < 0 ? &(*at)->right : &(*at)->left;
    struct wf_view_node *rest = *at, **left = &n->left, **right = &n->right;
    while (rest != NULL) {
        if (compare(rest, n->text, n->len) < 0) {
            *left = rest;
            left = &rest->right;
            rest = rest->right;
        } else {
            *right = rest;
            right = &rest->left;
            rest = rest->left;
        }
    }
    *left = NULL;
    *right = NULL;
    *at = n;
}

/* SplitMix64: a heap's order needs no more than that it is not the author's choice. */
static uint64_t next_chance(wf_view *view)
{
    uint64_t z = view->chance += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static weft_err reserve(wf_view *view, size_t bytes)
{
    if (bytes > view->bytes_max - view->bytes) return WEFT_LIMIT;
    view->bytes += bytes;
    return WEFT_OK;
}

static weft_err make(wf_view *view, struct wf_view_node *above, const char *text, uint32_t len,
                     struct wf_view_node **out)
{
    const size_t size = sizeof(struct wf_view_node) + len;
    weft_err err = reserve(view, size);
    if (err != WEFT_OK) return err;
    struct wf_view_node *n = wf_calloc(1, size);
    if (n == NULL) {
        view->bytes -= size;
        return WEFT_NO_MEMORY;
    }
    n->above = above;
    n->chance = next_chance(view);
    n->len = len;
    if (len > 0) memcpy(n->text, text, len);
    n->made_before = view->last_made;
    view->last_made = n;
    if (above != NULL) {
        insert(above, n);
        view->paths++;
    }
    *out = n;
    return WEFT_OK;
}

/* -- Making and ending -------------------------------------------------------------------------- */

static bool has_bytes(const wf_map_value *value)
{
    return value->type == WEFT_MAP_STR || value->type == WEFT_MAP_BIN;
}

weft_err wf_view_create(uint64_t seed, size_t bytes_max, wf_view **out)
{
    wf_view *view = wf_calloc(1, sizeof *view);
    if (view == NULL) return WEFT_NO_MEMORY;
    view->chance = seed;
    view->bytes_max = bytes_max;
    weft_err err = make(view, NULL, NULL, 0, &view->top);
    if (err != WEFT_OK) {
        wf_free(view);
        return err;
    }
    *out = view;
    return WEFT_OK;
}

void wf_view_destroy(wf_view *view)
{
    if (view == NULL) return;
    for (struct wf_view_node *n = view->last_made, *before; n != NULL; n = before) {
        before = n->made_before;
        if (has_bytes(&n->value)) wf_free((void *)n->value.as.bytes.data);
        wf_free(n);
    }
    wf_free(view);
}

uint64_t wf_view_paths(const wf_view *view) { return view->paths; }

size_t wf_view_bytes(const wf_view *view) { return view->bytes; }

/* -- Taking in ------------------------------------------------------------------------------------ */

/* A payload is gone through twice: first everything that may fail is made ready, out of
 * readers' sight, then the operations take effect. A third pass undoes the first. */
struct taking {
    wf_view *view;
    const wf_stamp *at;
};

static struct wf_view_node *node_at(const wf_view *view, const wf_map_path *path)
{
    struct wf_view_node *n = view->top;
    for (uint32_t i = 0; i < path->depth && n != NULL; i++)
        n = kid(n, path->part[i].text, path->part[i].len);
    return n;
}

static bool is_news(const struct wf_view_node *n, const wf_stamp *at)
{
    return !n->written || wf_stamp_compare(&n->at, at) < 0;
}

static bool brings_bytes(const wf_map_op *op)
{
    return op->set && has_bytes(&op->value) && op->value.as.bytes.len > 0;
}

static weft_err stage(void *arg, const wf_map_op *op)
{
    struct taking *t = arg;
    struct wf_view_node *n = t->view->top;
    for (uint32_t i = 0; i < op->path.depth; i++) {
        struct wf_view_node *above = n;
        n = kid(above, op->path.part[i].text, op->path.part[i].len);
        if (n != NULL) continue;
        weft_err err = make(t->view, above, op->path.part[i].text, op->path.part[i].len, &n);
        if (err != WEFT_OK) return err;
    }
    if (!brings_bytes(op) || !is_news(n, t->at)) return WEFT_OK;
    weft_err err = reserve(t->view, op->value.as.bytes.len);
    if (err != WEFT_OK) return err;
    n->staged = wf_memdup(op->value.as.bytes.data, op->value.as.bytes.len);
    if (n->staged != NULL) return WEFT_OK;
    t->view->bytes -= op->value.as.bytes.len;
    return WEFT_NO_MEMORY;
}

static weft_err unstage(void *arg, const wf_map_op *op)
{
    struct taking *t = arg;
    struct wf_view_node *n = node_at(t->view, &op->path);
    if (n == NULL || n->staged == NULL) return WEFT_OK;
    t->view->bytes -= op->value.as.bytes.len;
    wf_free(n->staged);
    n->staged = NULL;
    return WEFT_OK;
}

static weft_err take(void *arg, const wf_map_op *op)
{
    struct taking *t = arg;
    struct wf_view_node *n = node_at(t->view, &op->path);
    WF_ASSERT(n != NULL);
    for (struct wf_view_node *up = n->above; op->set && up != NULL; up = up->above) {
        if (up->set_below && wf_stamp_compare(&up->below, t->at) >= 0) continue;
        up->set_below = true;
        up->below = *t->at;
    }
    if (!is_news(n, t->at)) return WEFT_OK;
    if (has_bytes(&n->value)) {
        t->view->bytes -= n->value.as.bytes.len;
        wf_free((void *)n->value.as.bytes.data);
    }
    n->written = true;
    n->at = *t->at;
    n->set = op->set;
    n->value = op->value;
    if (has_bytes(&n->value)) n->value.as.bytes.data = n->staged;
    n->staged = NULL;
    return WEFT_OK;
}

weft_err wf_view_apply(wf_view *view, const void *payload, size_t len, const wf_stamp *at)
{
    struct taking t = {view, at};
    weft_err err = wf_map_ops_each(payload, len, NULL, NULL);
    if (err != WEFT_OK) return err;
    err = wf_map_ops_each(payload, len, stage, &t);
    if (err != WEFT_OK) {
        (void)wf_map_ops_each(payload, len, unstage, &t);
        return err;
    }
    err = wf_map_ops_each(payload, len, take, &t);
    WF_ASSERT(err == WEFT_OK); /* the same bytes */
    return WEFT_OK;
}

/* -- Looking ---------------------------------------------------------------------------------------- */

/* As wf_map_visible. */
static bool visible(const struct wf_view_node *n)
{
    if (!n->written || !n->set) return false;
    if (n->set_below && wf_stamp_compare(&n->below, &n->at) >= 0) return false;
    for (const struct wf_view_node *up = n->above; up != NULL; up = up->above)
        if (up->written && wf_stamp_compare(&up->at, &n->at) > 0) return false;
    return true;
}

static void show(const struct wf_view_node *n, weft_map_item *out)
{
    uint32_t depth = 0;
    for (const struct wf_view_node *up = n; up->above != NULL; up = up->above) depth++;
    memset(out, 0, sizeof *out);
    out->path.depth = depth;
    out->value = n->value;
    if (has_bytes(&n->value) && n->value.as.bytes.len == 0) out->value.as.bytes.data = "";
    out->gen = n->at.gen;
    out->entry = n->at.id;
    for (const struct wf_view_node *up = n; up->above != NULL; up = up->above) {
        depth--;
        out->path.part[depth].text = up->text;
        out->path.part[depth].len = up->len;
    }
}

weft_err wf_view_get(const wf_view *view, const wf_map_path *path, weft_map_item *out)
{
    const struct wf_view_node *n = node_at(view, path);
    if (n == NULL || !visible(n)) return WEFT_NOT_FOUND;
    show(n, out);
    return WEFT_OK;
}

/* What follows `n` and all below it, under `top`. NULL: nothing. */
static const struct wf_view_node *beyond(const struct wf_view_node *n,
                                         const struct wf_view_node *top)
{
    for (; n != top; n = n->above) {
        const struct wf_view_node *next = kid_after(n->above, n->text, n->len);
        if (next != NULL) return next;
    }
    return NULL;
}

/* What follows `n`, in the order of paths: the first below it, else what is beyond. */
static const struct wf_view_node *following(const struct wf_view_node *n,
                                            const struct wf_view_node *top)
{
    const struct wf_view_node *first = n->kids;
    while (first != NULL && first->left != NULL) first = first->left;
    return first != NULL ? first : beyond(n, top);
}

/* The first node after `after`, which lies below `top` or is it. */
static const struct wf_view_node *seek(const struct wf_view_node *top, uint32_t depth,
                                       const wf_map_path *after)
{
    const struct wf_view_node *n = top;
    for (uint32_t i = depth; i < after->depth; i++) {
        const struct wf_view_node *below = kid(n, after->part[i].text, after->part[i].len);
        if (below == NULL) {
            const struct wf_view_node *next = kid_after(n, after->part[i].text, after->part[i].len);
            return next != NULL ? next : beyond(n, top);
        }
        n = below;
    }
    return following(n, top);
}

void wf_view_walk_begin(const wf_view *view, const wf_map_path *prefix, const wf_map_path *after,
                        struct wf_view_walk *out)
{
    const struct wf_view_node *top = prefix == NULL ? view->top : node_at(view, prefix);
    *out = (struct wf_view_walk){top, top};
    if (top == NULL || after == NULL) return;
    int order = prefix == NULL ? 1 : wf_map_path_compare(after, prefix);
    if (order < 0) return; /* all of it comes after */
    bool inside = prefix == NULL || order == 0 || wf_map_path_below(after, prefix);
    out->at = inside ? seek(top, prefix == NULL ? 0 : prefix->depth, after) : NULL;
}

bool wf_view_walk_next(struct wf_view_walk *walk, weft_map_item *out)
{
    while (walk->at != NULL) {
        const struct wf_view_node *n = walk->at;
        walk->at = following(n, walk->top);
        if (!visible(n)) continue;
        show(n, out);
        return true;
    }
    return false;
}
