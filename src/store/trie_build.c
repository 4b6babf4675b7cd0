/* SPDX-License-Identifier: Apache-2.0
 * trie_build.c - a trie, or a part of one, from its keys in ascending order.
 * Called by: migrate.c, check.c, trie_write.c. May touch: its own memory.
 * Never: an engine, or more keys at once than a bucket may have. */
#include "trie_build.h"

#include "alloc.h"
#include "log.h"

/* The nodes that the last key lies in are open, one below the other; below them is the
 * bucket that grows. When it has too many keys it becomes the next open node. */
struct wf_trie_build {
    uint64_t t;
    wf_trie_put *put;
    wf_trie_bucket *bucket; /* NULL: nobody wants to know */
    void *arg;
    weft_err err;            /* sticky */
    struct wf_trie_key last; /* of all keys, if any */
    bool any;
    unsigned base, open, count;
    struct wf_trie_key keys[WF_TRIE_BUCKET + 1];
    struct wf_trie_slot out;                   /* what lies below `base`, in the end */
    struct wf_trie_node nodes[WF_TRIE_DIGITS]; /* nodes[i]: of the first base + i digits */
};

weft_err wf_trie_build_create(uint64_t t, wf_trie_put *put, void *arg, struct wf_trie_build **out)
{
    struct wf_trie_build *build = wf_malloc(sizeof *build);
    if (build == NULL) return WEFT_NO_MEMORY;
    build->put = put;
    build->bucket = NULL;
    build->arg = arg;
    wf_trie_build_begin(build, t, 0);
    *out = build;
    return WEFT_OK;
}

size_t wf_trie_build_bytes(void) { return sizeof(struct wf_trie_build); }

void wf_trie_build_destroy(struct wf_trie_build *build) { wf_free(build); }

void wf_trie_build_watch(struct wf_trie_build *build, wf_trie_bucket *fn) { build->bucket = fn; }

void wf_trie_build_begin(struct wf_trie_build *build, uint64_t t, unsigned base)
{
    build->t = t;
    build->base = base;
    build->open = build->count = 0;
    build->any = false;
    build->err = WEFT_OK;
    build->out = (struct wf_trie_slot){0};
}

/* Where the digest of the first `depth` digits of `key` belongs. */
static struct wf_trie_slot *slot_of(struct wf_trie_build *build, const struct wf_trie_key *key,
                                    unsigned depth)
{
    if (depth == build->base) return &build->out;
    return &build->nodes[depth - 1 - build->base].slots[wf_trie_digit(key, depth - 1)];
}

/* `count` keys from `from` are all that share their first `depth` digits. */
static void close_bucket(struct wf_trie_build *build, unsigned depth, unsigned from, unsigned count)
{
    const struct wf_trie_key *keys = &build->keys[from];
    if (count == 0) return;
    wf_trie_bucket_slot(keys, count, slot_of(build, keys, depth));
    struct wf_trie_prefix prefix = {depth, *keys};
    if (build->bucket != NULL) build->bucket(build->arg, &prefix, keys, count);
}

static void close_node(struct wf_trie_build *build)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX], value[WF_TRIE_NODE_BYTES_MAX];
    const struct wf_trie_node *node = &build->nodes[--build->open];
    struct wf_trie_prefix prefix = {build->base + build->open, build->last};
    wf_trie_node_slot(node, slot_of(build, &build->last, prefix.depth));
    size_t key_len = wf_trie_record_key(key, build->t, &prefix);
    size_t len = wf_trie_node_write(node, value);
    if (build->err == WEFT_OK) build->err = build->put(build->arg, key, key_len, value, len);
}

/* The growing bucket becomes a node: of its keys those below the last digit met stay. */
static void split(struct wf_trie_build *build)
{
    unsigned depth = build->base + build->open++, from = 0;
    WF_ASSERT(build->open <= WF_TRIE_DIGITS);
    build->nodes[build->open - 1] = (struct wf_trie_node){0};
    for (unsigned i = 1; i < build->count; i++) {
        if (wf_trie_digit(&build->keys[i], depth) == wf_trie_digit(&build->keys[from], depth))
            continue;
        close_bucket(build, depth + 1, from, i - from);
        from = i;
    }
    build->count -= from;
    memmove(build->keys, build->keys + from, build->count * sizeof *build->keys);
}

/* Everything below what the last key shares with the next one is whole. */
static void close_below(struct wf_trie_build *build, unsigned shared)
{
    unsigned depth = build->base + build->open;
    if (shared >= depth) return;
    close_bucket(build, depth, 0, build->count);
    build->count = 0;
    while (build->open > 0 && build->base + build->open - 1 > shared) close_node(build);
}

weft_err wf_trie_build_add(struct wf_trie_build *build, uint64_t gen, const weft_id *id)
{
    struct wf_trie_key key = {gen, *id};
    if (build->any && wf_trie_compare(&build->last, &key) >= 0 && build->err == WEFT_OK)
        build->err = wf_fail(WEFT_CORRUPT, "store", "trie: keys are not in their order");
    if (build->err != WEFT_OK) return build->err;
    if (build->any) close_below(build, wf_trie_common(&build->last, &key));
    build->last = key;
    build->any = true;
    build->keys[build->count++] = key;
    while (build->count > WF_TRIE_BUCKET) split(build);
    return build->err;
}

weft_err wf_trie_build_finish(struct wf_trie_build *build, struct wf_trie_slot *out)
{
    close_bucket(build, build->base + build->open, 0, build->count);
    build->count = 0;
    while (build->open > 0) close_node(build);
    if (build->err != WEFT_OK) return build->err;
    *out = build->out;
    return WEFT_OK;
}

weft_err wf_trie_build_end(struct wf_trie_build *build, uint8_t root[32])
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX], value[WF_TRIE_TOP_BYTES];
    struct wf_trie_slot top;
    weft_err err = wf_trie_build_finish(build, &top);
    if (err != WEFT_OK) return err;
    if (top.count > 0) {
        size_t key_len = wf_key_trie_top(key, build->t);
        wf_trie_top_write(&top, value);
        err = build->put(build->arg, key, key_len, value, sizeof value);
        if (err != WEFT_OK) return err;
    }
    memcpy(root, top.digest, sizeof top.digest);
    return WEFT_OK;
}
