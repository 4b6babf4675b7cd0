/* SPDX-License-Identifier: Apache-2.0
 * memtree.c - keys in order: a B+-tree with wide nodes over records of a map.
 * Called by: memmap.c, and kv_memory.c for reading; under the engine's lock.
 * May touch: its pages. Never: frees a record, looks at its versions, takes a lock. */
#include <string.h>

#include "alloc.h"
#include "layout.h"
#include "log.h"
#include "memmap.h"
#include "memtree.h"

/* A search through memory costs what it misses in the caches. So a page keeps a number
 * for each of its keys, the four bytes behind what all of them begin with, and a key
 * itself is only looked at when that number is equal. */
#define SLOTS 64u
#define SHARED_MAX 16u
#define DEPTH_MAX 16u /* a page splits after SLOTS / 2 splits below it: 32^16 keys */
#define SPARSE (SLOTS / 8u)

struct wf_tree_page {
    uint16_t count; /* keys */
    uint16_t skip;  /* bytes that all keys begin with, as far as they are of use */
    bool is_leaf;
    uint8_t shared[SHARED_MAX]; /* those bytes */
    uint32_t heads[SLOTS];
    void *items[SLOTS]; /* leaf: records; inner: separators */
};

struct wf_tree_leaf { /* never empty */
    struct wf_tree_page page;
    struct wf_tree_leaf *prev, *next;
};

struct separator { /* the keys to the left are less, those to the right are not */
    size_t len;
    uint8_t key[];
};

struct inner {
    struct wf_tree_page page;
    struct wf_tree_page *below[SLOTS + 1]; /* one more than separators */
};

struct step { /* of the way from the root to a leaf */
    struct inner *inner;
    unsigned slot;
};

/* -- Keys -------------------------------------------------------------------------- */

static struct wf_tree_leaf *leaf_of(struct wf_tree_page *page)
{
    WF_ASSERT(page->is_leaf);
    return (struct wf_tree_leaf *)page;
}

static struct inner *inner_of(struct wf_tree_page *page)
{
    WF_ASSERT(!page->is_leaf);
    return (struct inner *)page;
}

static const uint8_t *key_at(const struct wf_tree_page *page, unsigned slot, size_t *len)
{
    if (page->is_leaf) {
        const struct wf_mem_node *node = page->items[slot];
        *len = node->key_len;
        return wf_mem_key(node);
    }
    const struct separator *sep = page->items[slot];
    *len = sep->len;
    return sep->key;
}

/* Short keys are filled up with zeros: what they tie with is compared in full. */
static uint32_t head_of(const uint8_t *key, size_t len, size_t skip)
{
    if (len - skip >= 4) return wf_get32(key + skip);
    uint32_t head = 0;
    for (size_t i = skip; i < skip + 4; i++) head = head << 8 | (i < len ? key[i] : 0);
    return head;
}

static size_t common_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t max = a_len < b_len ? a_len : b_len, n = 0;
    while (n < max && a[n] == b[n]) n++;
    return n;
}

static int compare(const struct wf_tree_page *page, unsigned slot, const uint8_t *key, size_t len)
{
    size_t there_len;
    const uint8_t *there = key_at(page, slot, &there_len);
    int order = memcmp(there, key, there_len < len ? there_len : len);
    return order != 0 ? order : (there_len > len) - (there_len < len);
}

/* Asks for all lines of the numbers at once: one wait instead of one for each step of
 * the search. */
static void prefetch(const struct wf_tree_page *page)
{
    for (size_t at = 0; at < sizeof page->heads; at += 64)
        __builtin_prefetch((const uint8_t *)page->heads + at);
}

/* How many keys of the page are less than `key`, and whether the next one equals it. */
static unsigned search(const struct wf_tree_page *page, const uint8_t *key, size_t len, bool *equal)
{
    *equal = false;
    size_t skip = page->skip;
    int order = memcmp(key, page->shared, len < skip ? len : skip);
    if (order != 0) return order < 0 ? 0 : page->count;
    if (len < skip) return 0;
    uint32_t head = head_of(key, len, skip);
    unsigned low = 0, high = page->count;
    for (unsigned left = high; left > 0;) { /* without a branch that could be foretold wrong */
        unsigned half = (left + 1) / 2;
        low += half & (0u - (unsigned)(page->heads[low + half - 1] < head));
        left -= half;
    }
    if (low == high || page->heads[low] != head) return low;
    for (unsigned at = low;;) { /* a tie, most often of one: by halves after that */
        order = page->heads[at] != head ? 1 : compare(page, at, key, len);
        if (order == 0) {
            *equal = true;
            return at;
        }
        if (order < 0) low = at + 1;
        else high = at;
        if (low == high) return low;
        at = low + (high - low) / 2;
    }
}

static unsigned child_slot(const struct wf_tree_page *page, const uint8_t *key, size_t len)
{
    bool equal;
    unsigned slot = search(page, key, len, &equal);
    return slot + equal;
}

/* The leaf where `key` is or would be; the tree must not be empty. */
static struct wf_tree_leaf *leaf_for(const struct wf_memtree *tree, const uint8_t *key, size_t len)
{
    struct wf_tree_page *page = tree->root;
    while (!page->is_leaf) {
        page = inner_of(page)->below[child_slot(page, key, len)];
        prefetch(page);
    }
    return leaf_of(page);
}

/* -- Pages ------------------------------------------------------------------------- */

static struct wf_tree_page *make_page(struct wf_memtree *tree, bool is_leaf)
{
    size_t size = is_leaf ? sizeof(struct wf_tree_leaf) : sizeof(struct inner);
    struct wf_tree_page *page = wf_calloc(1, size);
    if (page == NULL) return NULL;
    page->is_leaf = is_leaf;
    tree->bytes += size;
    return page;
}

static void free_page(struct wf_memtree *tree, struct wf_tree_page *page)
{
    tree->bytes -= page->is_leaf ? sizeof(struct wf_tree_leaf) : sizeof(struct inner);
    wf_free(page);
}

static void free_separator(struct wf_memtree *tree, struct separator *sep)
{
    tree->bytes -= sizeof *sep + sep->len;
    wf_free(sep);
}

/* Reads the numbers of a page again, now that its keys have `skip` bytes in common. */
static void refit(struct wf_tree_page *page, size_t skip)
{
    size_t len;
    const uint8_t *key = key_at(page, 0, &len);
    WF_ASSERT(skip <= SHARED_MAX && skip <= len);
    page->skip = (uint16_t)skip;
    memcpy(page->shared, key, skip);
    for (unsigned i = 0; i < page->count; i++) {
        key = key_at(page, i, &len);
        page->heads[i] = head_of(key, len, skip);
    }
}

static void insert_item(struct wf_tree_page *page, unsigned slot, void *item)
{
    WF_ASSERT(page->count < SLOTS && slot <= page->count);
    unsigned behind = page->count - slot;
    memmove(&page->heads[slot + 1], &page->heads[slot], behind * sizeof page->heads[0]);
    memmove(&page->items[slot + 1], &page->items[slot], behind * sizeof page->items[0]);
    page->items[slot] = item;
    page->count++;
    size_t len;
    const uint8_t *key = key_at(page, slot, &len);
    if (page->count == 1) {
        refit(page, len < SHARED_MAX ? len : SHARED_MAX);
        return;
    }
    size_t skip = common_bytes(key, len, page->shared, page->skip);
    if (skip < page->skip) refit(page, skip);
    else page->heads[slot] = head_of(key, len, skip);
}

static void remove_item(struct wf_tree_page *page, unsigned slot)
{
    WF_ASSERT(slot < page->count);
    unsigned behind = page->count - slot - 1;
    memmove(&page->heads[slot], &page->heads[slot + 1], behind * sizeof page->heads[0]);
    memmove(&page->items[slot], &page->items[slot + 1], behind * sizeof page->items[0]);
    page->count--;
}

/* Keys that share half of their numbers would soon tie: shares more. Not sooner, since
 * it has to look at each key. */
static void grow_shared(struct wf_tree_page *page)
{
    if (page->count < 2 || page->skip == SHARED_MAX) return;
    unsigned last = page->count - 1u;
    if ((page->heads[0] ^ page->heads[last]) >> 16 != 0) return;
    size_t len, last_len;
    const uint8_t *key = key_at(page, 0, &len), *last_key = key_at(page, last, &last_len);
    size_t skip = common_bytes(key, len, last_key, last_len);
    refit(page, skip < SHARED_MAX ? skip : SHARED_MAX);
}

/* Moves what is at `at` and behind it to an empty page. */
static void move_half(struct wf_tree_page *from, unsigned at, struct wf_tree_page *to)
{
    unsigned count = from->count - at;
    memcpy(to->heads, &from->heads[at], count * sizeof from->heads[0]);
    memcpy(to->items, &from->items[at], count * sizeof from->items[0]);
    memcpy(to->shared, from->shared, sizeof from->shared);
    to->skip = from->skip;
    to->count = (uint16_t)count;
    from->count = (uint16_t)at;
}

/* -- Adding ------------------------------------------------------------------------ */

/* The shortest key that parts the keys before `at` from those behind. */
static struct separator *make_separator(struct wf_memtree *tree, const struct wf_tree_page *page,
                                        unsigned at)
{
    size_t before_len, len;
    const uint8_t *before = key_at(page, at - 1, &before_len), *key = key_at(page, at, &len);
    size_t need = common_bytes(before, before_len, key, len) + 1;
    WF_ASSERT(need <= len);
    struct separator *sep = wf_malloc(sizeof *sep + need);
    if (sep == NULL) return NULL;
    sep->len = need;
    memcpy(sep->key, key, need);
    tree->bytes += sizeof *sep + need;
    return sep;
}

static void link_leaf(struct wf_memtree *tree, struct wf_tree_leaf *before,
                      struct wf_tree_leaf *leaf)
{
    leaf->prev = before;
    leaf->next = before == NULL ? NULL : before->next;
    *(leaf->prev == NULL ? &tree->first : &leaf->prev->next) = leaf;
    *(leaf->next == NULL ? &tree->last : &leaf->next->prev) = leaf;
}

/* Parts the full page below `slot` in two. The parent has room. NO_MEMORY: as before. */
static weft_err split(struct wf_memtree *tree, struct inner *parent, unsigned slot, bool append)
{
    struct wf_tree_page *left = parent->below[slot];
    struct wf_tree_page *right = make_page(tree, left->is_leaf);
    if (right == NULL) return WEFT_NO_MEMORY;
    struct separator *sep;
    if (left->is_leaf) {
        unsigned at = append ? SLOTS - 1 : SLOTS / 2; /* keys that grow fill their pages */
        sep = make_separator(tree, left, at);
        if (sep == NULL) {
            free_page(tree, right);
            return WEFT_NO_MEMORY;
        }
        move_half(left, at, right);
        link_leaf(tree, leaf_of(left), leaf_of(right));
    } else { /* the separator in the middle moves up */
        unsigned at = SLOTS / 2;
        sep = left->items[at];
        move_half(left, at + 1, right);
        memcpy(inner_of(right)->below, &inner_of(left)->below[at + 1],
               (right->count + 1u) * sizeof(struct wf_tree_page *));
        left->count--;
    }
    grow_shared(left);
    grow_shared(right);
    unsigned behind = parent->page.count - slot;
    memmove(&parent->below[slot + 2], &parent->below[slot + 1], behind * sizeof parent->below[0]);
    parent->below[slot + 1] = right;
    insert_item(&parent->page, slot, sep);
    return WEFT_OK;
}

static bool is_behind_all(const struct wf_memtree *tree, const uint8_t *key, size_t len)
{
    const struct wf_tree_page *last = &tree->last->page;
    return compare(last, last->count - 1u, key, len) < 0;
}

/* The leaf for `key`, with room. Splits each full page on its way down, so that the tree
 * is whole at any time and memory may run out at any of them. */
static weft_err leaf_with_room(struct wf_memtree *tree, const uint8_t *key, size_t len,
                               struct wf_tree_leaf **out)
{
    bool append = is_behind_all(tree, key, len);
    if (tree->root->count == SLOTS) {
        struct wf_tree_page *root = make_page(tree, false);
        if (root == NULL) return WEFT_NO_MEMORY;
        inner_of(root)->below[0] = tree->root;
        tree->root = root;
    }
    struct wf_tree_page *page = tree->root;
    while (!page->is_leaf) {
        struct inner *inner = inner_of(page);
        unsigned slot = child_slot(page, key, len);
        if (inner->below[slot]->count == SLOTS) {
            weft_err err = split(tree, inner, slot, append);
            if (err != WEFT_OK) return err;
            slot = child_slot(page, key, len);
        }
        page = inner->below[slot];
    }
    *out = leaf_of(page);
    return WEFT_OK;
}

weft_err wf_memtree_add(struct wf_memtree *tree, struct wf_mem_node *node,
                        const struct wf_tree_place *place)
{
    struct wf_tree_leaf *leaf = place->leaf;
    unsigned slot = place->slot;
    WF_ASSERT(place->changes == tree->changes);
    if (leaf == NULL) {
        WF_ASSERT(tree->root == NULL);
        tree->root = make_page(tree, true);
        if (tree->root == NULL) return WEFT_NO_MEMORY;
        leaf = leaf_of(tree->root);
        link_leaf(tree, NULL, leaf);
    }
    tree->changes++; /* before the splits, which move places even if one of them fails */
    if (leaf->page.count == SLOTS) {
        const uint8_t *key = wf_mem_key(node);
        weft_err err = leaf_with_room(tree, key, node->key_len, &leaf);
        if (err != WEFT_OK) return err;
        bool equal;
        slot = search(&leaf->page, key, node->key_len, &equal);
        WF_ASSERT(!equal);
    }
    insert_item(&leaf->page, slot, node);
    return WEFT_OK;
}

/* -- Removing ---------------------------------------------------------------------- */

static void drop_child(struct wf_memtree *tree, struct inner *inner, unsigned slot)
{
    unsigned sep = slot == 0 ? 0 : slot - 1;
    free_separator(tree, inner->page.items[sep]);
    memmove(&inner->below[slot], &inner->below[slot + 1],
            (inner->page.count - slot) * sizeof inner->below[0]);
    remove_item(&inner->page, sep);
}

static void free_leaf(struct wf_memtree *tree, struct wf_tree_leaf *leaf)
{
    *(leaf->prev == NULL ? &tree->first : &leaf->prev->next) = leaf->next;
    *(leaf->next == NULL ? &tree->last : &leaf->next->prev) = leaf->prev;
    free_page(tree, &leaf->page);
}

/* Two neighbours that are nearly empty become one. */
static void merge(struct wf_memtree *tree, struct inner *parent, unsigned slot)
{
    struct wf_tree_page *left = parent->below[slot], *right = parent->below[slot + 1];
    if (!left->is_leaf || left->count + right->count > SLOTS / 2) return;
    for (unsigned i = 0; i < right->count; i++) insert_item(left, left->count, right->items[i]);
    free_leaf(tree, leaf_of(right));
    drop_child(tree, parent, slot + 1);
}

/* The last key of a leaf went: so do the leaf and the pages that led to it alone. */
static void free_way(struct wf_memtree *tree, const struct step *way, unsigned depth,
                     struct wf_tree_leaf *leaf)
{
    free_leaf(tree, leaf);
    while (depth > 0 && way[depth - 1].inner->page.count == 0)
        free_page(tree, &way[--depth].inner->page);
    if (depth == 0) tree->root = NULL;
    else drop_child(tree, way[depth - 1].inner, way[depth - 1].slot);
}

void wf_memtree_remove(struct wf_memtree *tree, const struct wf_mem_node *node)
{
    const uint8_t *key = wf_mem_key(node);
    struct step way[DEPTH_MAX];
    unsigned depth = 0;
    struct wf_tree_page *page = tree->root;
    WF_ASSERT(page != NULL);
    while (!page->is_leaf) {
        WF_ASSERT(depth < DEPTH_MAX);
        unsigned slot = child_slot(page, key, node->key_len);
        way[depth++] = (struct step){inner_of(page), slot};
        page = inner_of(page)->below[slot];
    }
    bool equal;
    unsigned slot = search(page, key, node->key_len, &equal);
    WF_ASSERT(equal && page->items[slot] == node);
    tree->changes++;
    remove_item(page, slot);
    if (page->count == 0) {
        free_way(tree, way, depth, leaf_of(page));
    } else if (page->count <= SPARSE && depth > 0 && way[depth - 1].inner->page.count > 0) {
        const struct step *up = &way[depth - 1];
        merge(tree, up->inner, up->slot == 0 ? 0 : up->slot - 1);
    }
    while (tree->root != NULL && !tree->root->is_leaf && tree->root->count == 0) {
        struct wf_tree_page *root = tree->root; /* it leads one way only */
        tree->root = inner_of(root)->below[0];
        free_page(tree, root);
    }
}

/* -- The whole --------------------------------------------------------------------- */

void wf_memtree_init(struct wf_memtree *tree) { memset(tree, 0, sizeof *tree); }

static void free_below(struct wf_memtree *tree, struct wf_tree_page *page)
{
    for (unsigned i = 0; !page->is_leaf && i <= page->count; i++) {
        free_below(tree, inner_of(page)->below[i]);
        if (i < page->count) free_separator(tree, page->items[i]);
    }
    free_page(tree, page);
}

void wf_memtree_fini(struct wf_memtree *tree)
{
    if (tree->root != NULL) free_below(tree, tree->root);
    WF_ASSERT(tree->bytes == 0);
    memset(tree, 0, sizeof *tree);
}

void wf_memtree_each(struct wf_memtree *tree, void (*fn)(void *arg, struct wf_mem_node *node),
                     void *arg)
{
    for (struct wf_tree_leaf *leaf = tree->first; leaf != NULL; leaf = leaf->next)
        for (unsigned i = 0; i < leaf->page.count; i++) fn(arg, leaf->page.items[i]);
}

/* -- Finding ----------------------------------------------------------------------- */

struct wf_mem_node *wf_memtree_get(const struct wf_memtree *tree, const void *key, size_t len)
{
    if (tree->root == NULL) return NULL;
    bool equal;
    struct wf_tree_leaf *leaf = leaf_for(tree, key, len);
    unsigned slot = search(&leaf->page, key, len, &equal);
    return equal ? leaf->page.items[slot] : NULL;
}

struct wf_mem_node *wf_memtree_find(const struct wf_memtree *tree, const void *key, size_t len,
                                    struct wf_tree_place *place)
{
    *place = (struct wf_tree_place){.changes = tree->changes};
    if (tree->root == NULL) return NULL;
    bool equal = false;
    if (is_behind_all(tree, key, len)) { /* keys that grow need no search */
        place->leaf = tree->last;
        place->slot = tree->last->page.count;
        return NULL;
    }
    place->leaf = leaf_for(tree, key, len);
    place->slot = search(&place->leaf->page, key, len, &equal);
    return equal ? place->leaf->page.items[place->slot] : NULL;
}

/* The record at `slot`, which may be one behind the leaf. */
static struct wf_mem_node *stand(const struct wf_memtree *tree, struct wf_tree_leaf *leaf,
                                 unsigned slot, struct wf_tree_place *place)
{
    if (slot == leaf->page.count) {
        leaf = leaf->next;
        slot = 0;
    }
    *place = (struct wf_tree_place){leaf, tree->changes, slot};
    return leaf == NULL ? NULL : leaf->page.items[slot];
}

static struct wf_mem_node *stand_before(const struct wf_memtree *tree, struct wf_tree_leaf *leaf,
                                        unsigned slot, struct wf_tree_place *place)
{
    if (slot > 0) return stand(tree, leaf, slot - 1, place);
    leaf = leaf->prev;
    return leaf == NULL ? NULL : stand(tree, leaf, leaf->page.count - 1u, place);
}

struct wf_mem_node *wf_memtree_at_or_after(const struct wf_memtree *tree, const void *key,
                                           size_t len, struct wf_tree_place *place)
{
    if (tree->root == NULL) return NULL;
    bool equal;
    struct wf_tree_leaf *leaf = leaf_for(tree, key, len);
    return stand(tree, leaf, search(&leaf->page, key, len, &equal), place);
}

struct wf_mem_node *wf_memtree_at_or_before(const struct wf_memtree *tree, const void *key,
                                            size_t len, bool strict, struct wf_tree_place *place)
{
    if (tree->root == NULL) return NULL;
    bool equal;
    struct wf_tree_leaf *leaf = leaf_for(tree, key, len);
    unsigned slot = search(&leaf->page, key, len, &equal);
    if (equal && !strict) return stand(tree, leaf, slot, place);
    return stand_before(tree, leaf, slot, place);
}

struct wf_mem_node *wf_memtree_last(const struct wf_memtree *tree, struct wf_tree_place *place)
{
    struct wf_tree_leaf *leaf = tree->last;
    return leaf == NULL ? NULL : stand(tree, leaf, leaf->page.count - 1u, place);
}

static void refresh(const struct wf_memtree *tree, const struct wf_mem_node *node,
                    struct wf_tree_place *place)
{
    if (place->changes != tree->changes)
        (void)wf_memtree_at_or_after(tree, wf_mem_key(node), node->key_len, place);
    WF_ASSERT(place->leaf != NULL && place->leaf->page.items[place->slot] == node);
}

struct wf_mem_node *wf_memtree_next(const struct wf_memtree *tree, const struct wf_mem_node *node,
                                    struct wf_tree_place *place)
{
    refresh(tree, node, place);
    return stand(tree, place->leaf, place->slot + 1, place);
}

struct wf_mem_node *wf_memtree_prev(const struct wf_memtree *tree, const struct wf_mem_node *node,
                                    struct wf_tree_place *place)
{
    refresh(tree, node, place);
    return stand_before(tree, place->leaf, place->slot, place);
}
