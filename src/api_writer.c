/* SPDX-License-Identifier: Apache-2.0
 * api_writer.c - writers: build, sign and commit on the caller's own core.
 * Called by: users (weft/node.h), each writer by one thread. May touch: reads of the
 * store, messages to it. Never: shares a writer between threads. */
#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "footing.h"
#include "ids.h"
#include "layout.h"
#include "node_internal.h"

/* Outlives the writer while commits are under way: their fate is told on notify. */
struct fate {
    wf_counter refs;
    wf_counter failed; /* commits that were not stored; what follows them has to restart */
};

/* As many tips as an entry may join, one more that may be our own last, and that one. */
#define LOOK_MAX (WEFT_ENTRY_PARENTS_MAX + 2)

struct parents {
    weft_id tree[LOOK_MAX], named[LOOK_MAX], both[2 * LOOK_MAX];
    size_t tree_count, named_count;
    wf_meta_brief briefs[2 * LOOK_MAX]; /* of both */
    weft_err errs[2 * LOOK_MAX];
};

struct weft_writer {
    weft_node *node;
    struct fate *fate;
    weft_id tree;
    uint64_t t;
    weft_height strategy;
    weft_durability durability;
    weft_keypair *author; /* a private copy */
    weft_key key;
    bool has_last; /* our own newest entry, acknowledged or not */
    weft_id last;
    uint64_t last_height;
    char last_store[WEFT_STORE_NAME_BYTES_MAX + 1];
    /* Where to go on among tips, of the tree and of the stores that it writes: more of them than an
     * entry may join are joined by its entries one after the other. */
    weft_id from, from_named;
    struct parents *parents; /* of the entry being made */
};

static void fate_drop(struct fate *fate)
{
    if (fate != NULL && wf_counter_sub(&fate->refs, 1) == 0) wf_free(fate);
}

/* Writers do not all begin with the same tips, and one that is opened anew does not begin where one
 * before it left nothing but deleted keys, which the engine would have to pass. */
static void begin_somewhere(struct weft_writer *w, uint64_t seq)
{
    uint8_t text[WEFT_ID_BYTES + 8];
    memcpy(text, w->key.bytes, WEFT_ID_BYTES);
    wf_put64(text + WEFT_ID_BYTES, seq);
    wf_blake2b_256(text, sizeof text, w->from.bytes);
    w->from_named = w->from;
}

weft_err weft_writer_open(weft_node *node, const weft_id *tree, const weft_keypair *author,
                          weft_writer **out)
{
    if (node == NULL || tree == NULL || author == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    wf_tree_info info;
    weft_err err = wf_store_tree(node->table.wf_store, tree, &info);
    if (err == WEFT_NOT_FOUND || (err == WEFT_OK && !info.has_root)) return WEFT_TREE;
    if (err != WEFT_OK) return err;
    weft_writer *w = wf_calloc(1, sizeof *w);
    if (w == NULL) return WEFT_NO_MEMORY;
    w->node = node;
    w->tree = *tree;
    w->t = info.t;
    w->strategy = info.strategy;
    w->parents = wf_malloc(sizeof *w->parents);
    w->fate = wf_calloc(1, sizeof *w->fate);
    if (w->fate != NULL) wf_counter_set(&w->fate->refs, 1); /* first: close drops it */
    err = WEFT_NO_MEMORY;
    if (w->parents == NULL || w->fate == NULL) goto done;
    uint8_t seed[32];
    wf_keypair_seed(author, seed);
    err = weft_keypair_from_seed(seed, &w->author);
    wf_crypto_wipe(seed, sizeof seed);
    if (err != WEFT_OK) goto done;
    weft_keypair_public(author, &w->key);
    begin_somewhere(w, info.seq);
    *out = w;
    w = NULL;
done:
    weft_writer_close(w);
    return err;
}

void weft_writer_close(weft_writer *w)
{
    if (w == NULL) return;
    weft_keypair_destroy(w->author);
    fate_drop(w->fate);
    wf_free(w->parents);
    wf_free(w);
}

static_assert((int)WEFT_SYNCED == WF_SYNCED && (int)WEFT_WRITTEN == WF_WRITTEN &&
                  (int)WEFT_MEMORY == WF_MEMORY,
              "the store knows them by number");

weft_err weft_writer_durability(weft_writer *w, weft_durability durability)
{
    if (w == NULL || (unsigned)durability > WEFT_MEMORY) return WEFT_INVALID;
    w->durability = durability;
    return WEFT_OK;
}

/* Puts our own last entry among `tips` unless it is there. */
static size_t with_last(const weft_writer *w, weft_id *tips, size_t count)
{
    if (!w->has_last) return count;
    for (size_t i = 0; i < count; i++)
        if (weft_id_equal(&tips[i], &w->last)) return count;
    tips[count] = w->last;
    return count + 1;
}

/* More than an entry may have as parents: our own last entry, if it is there, and of the others the
 * first ones; `from` is the first that is left. Returns the number to take. */
static size_t choose(const weft_writer *w, weft_id *tips, size_t count, weft_id *from)
{
    if (count <= WEFT_ENTRY_PARENTS_MAX) return count;
    weft_id *last_place = &tips[WEFT_ENTRY_PARENTS_MAX - 1];
    *from = tips[WEFT_ENTRY_PARENTS_MAX];
    for (size_t i = WEFT_ENTRY_PARENTS_MAX; w->has_last && i < count; i++) {
        if (!weft_id_equal(&tips[i], &w->last)) continue;
        *from = *last_place;
        *last_place = w->last;
    }
    return WEFT_ENTRY_PARENTS_MAX;
}

/* Tips of the tree (store NULL), or of the named store: those lie in the entry's own ancestry or
 * beside it, all are stored, hence known to whoever holds our parents or asks for them. */
static weft_err find_parents(weft_writer *w, const char *store, weft_id *from, weft_id *out,
                             size_t *count)
{
    bool complete;
    weft_err err = wf_store_tips_from(w->node->table.wf_store, w->t, store, from, out,
                                      WEFT_ENTRY_PARENTS_MAX + 1, count, &complete);
    if (err == WEFT_NOT_FOUND) return WEFT_TREE; /* it was removed since */
    if (err != WEFT_OK) return err;
    if (store == NULL || strcmp(w->last_store, store) == 0) *count = with_last(w, out, *count);
    *count = choose(w, out, *count, from);
    return WEFT_OK;
}

/* A named store's tip may stand higher than the parents in the tree. */
static weft_err find_top(weft_writer *w, uint64_t *top)
{
    struct parents *p = w->parents;
    memcpy(p->both, p->tree, p->tree_count * sizeof p->tree[0]);
    memcpy(p->both + p->tree_count, p->named, p->named_count * sizeof p->named[0]);
    uint32_t count = wf_ids_sort_unique(p->both, (uint32_t)(p->tree_count + p->named_count));
    wf_store_meta_briefs(w->node->table.wf_store, p->both, count, p->briefs, p->errs);
    *top = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t height = p->briefs[i].height;
        if (p->errs[i] == WEFT_NOT_FOUND && w->has_last && weft_id_equal(&p->both[i], &w->last))
            height = w->last_height;           /* on its way to the store */
        else if (p->errs[i] == WEFT_NOT_FOUND) /* a tip is stored, or its tree was removed since */
            return wf_mend_note(w->node->table.wf_store, w->t, WEFT_CORRUPT);
        else if (p->errs[i] != WEFT_OK) return p->errs[i];
        if (height > *top) *top = height;
    }
    return WEFT_OK;
}

static weft_err find_height(weft_writer *w, const char *store, uint64_t *height)
{
    struct parents *p = w->parents;
    struct wf_footing_own own = {w->last, w->last_height}, *last = w->has_last ? &own : NULL;
    wf_store *in = w->node->table.wf_store;
    uint64_t top;
    weft_err err = find_top(w, &top);
    if (err == WEFT_OK && wf_height_is_far(w->node->rt, w->strategy, top)) {
        err = wf_footing_lower(in, w->strategy, NULL, last, p->tree, &p->tree_count);
        if (err == WEFT_OK)
            err = wf_footing_lower(in, w->strategy, store, last, p->named, &p->named_count);
        if (err == WEFT_OK) err = find_top(w, &top);
    }
    return err == WEFT_OK ? wf_height_above(w->node->rt, w->strategy, top, height) : err;
}

static weft_err build(weft_writer *w, const char *store, const void *payload, size_t len,
                      weft_buf **out, weft_id *id, uint64_t *height)
{
    struct parents *p = w->parents;
    weft_err err = find_parents(w, NULL, &w->from, p->tree, &p->tree_count);
    if (err == WEFT_OK) err = find_parents(w, store, &w->from_named, p->named, &p->named_count);
    if (err == WEFT_OK) err = find_height(w, store, height);
    if (err != WEFT_OK) return err;
    weft_store_part part = {.name = store,
                            .parents = p->named,
                            .parents_count = (uint32_t)p->named_count,
                            .payload = payload,
                            .payload_len = len};
    weft_entry_spec spec = {.tree = w->tree,
                            .parents = p->tree,
                            .parents_count = (uint32_t)p->tree_count,
                            .height = *height,
                            .stores = &part,
                            .stores_count = 1};
    return weft_entry_build(&spec, w->author, out, id);
}

static weft_err prepare(weft_writer *w, const char *store, const void *payload, size_t len,
                        struct wf_commit **out, uint64_t *height)
{
    if (w == NULL || store == NULL || (payload == NULL && len != 0)) return WEFT_INVALID;
    if (!wf_node_is_ours(w->node)) return WEFT_FORKED;
    size_t name = strlen(store);
    if (name == 0 || name > WEFT_STORE_NAME_BYTES_MAX || store[0] == '_') return WEFT_INVALID;
    if (wf_counter_get(&w->fate->failed) != 0) {
        /* Our last entry may never arrive: start from the published tips again. */
        wf_counter_set(&w->fate->failed, 0);
        w->has_last = false;
    }
    struct wf_commit *commit = wf_commit_create(1);
    if (commit == NULL) return WEFT_NO_MEMORY;
    commit->durability = (uint8_t)w->durability;
    weft_err err = build(w, store, payload, len, &commit->entries[0], &commit->ids[0], height);
    if (err != WEFT_OK) {
        weft_drop(&commit->req.msg);
        return err;
    }
    *out = commit;
    return WEFT_OK;
}

static void remember(weft_writer *w, const char *store, const weft_id *id, uint64_t height)
{
    w->has_last = true;
    w->last = *id;
    w->last_height = height;
    memset(w->last_store, 0, sizeof w->last_store);
    memcpy(w->last_store, store, strlen(store));
}

static weft_err commit_once(weft_writer *w, const char *store, const void *payload, size_t len,
                            weft_ns timeout, weft_id *out_id)
{
    struct wf_commit *commit = NULL;
    uint64_t height = 0;
    weft_err err = prepare(w, store, payload, len, &commit, &height);
    if (err != WEFT_OK) return err;
    weft_id id = commit->ids[0];
    err = wf_node_call(w->node, w->node->table.store, &commit->req, timeout, NULL);
    if (err == WEFT_OK) {
        remember(w, store, &id, height);
        if (out_id != NULL) *out_id = id;
    } else {
        w->has_last = false; /* what became of it is unknown: start from the tips again */
    }
    return err;
}

weft_err weft_commit(weft_writer *w, const char *store, const void *payload, size_t len,
                     weft_ns timeout, weft_id *out_id)
{
    if (wf_in_actor()) return WEFT_DEADLK;
    bool had_last = w != NULL && w->has_last;
    weft_err err = commit_once(w, store, payload, len, timeout, out_id);
    /* Our last entry was lost with its batch, which a level below WEFT_SYNCED allows. */
    if (err == WEFT_PENDING && had_last) err = commit_once(w, store, payload, len, timeout, out_id);
    return err;
}

struct pending_commit {
    weft_on_commit done;
    void *arg;
    weft_id id;
    struct fate *fate;
};

static void on_committed(void *arg, weft_err err, weft_request *request)
{
    struct pending_commit pending = *(struct pending_commit *)arg;
    wf_free(arg);
    if (request != NULL) weft_drop(&request->msg);
    if (err != WEFT_OK) wf_counter_set(&pending.fate->failed, 1);
    fate_drop(pending.fate);
    pending.done(pending.arg, err, &pending.id);
}

weft_err weft_commit_async(weft_writer *w, const char *store, const void *payload, size_t len,
                           weft_on_commit done, void *arg, weft_id *out_id)
{
    if (done == NULL) return WEFT_INVALID;
    struct wf_commit *commit = NULL;
    uint64_t height = 0;
    weft_err err = prepare(w, store, payload, len, &commit, &height);
    if (err != WEFT_OK) return err;
    weft_id id = commit->ids[0];
    struct pending_commit *pending = wf_malloc(sizeof *pending);
    if (pending == NULL) {
        weft_drop(&commit->req.msg);
        return WEFT_NO_MEMORY;
    }
    *pending = (struct pending_commit){done, arg, id, w->fate};
    (void)wf_counter_add(&w->fate->refs, 1);
    err = wf_node_ask(w->node, w->node->table.store, &commit->req, WEFT_NEVER, on_committed,
                      pending);
    if (err != WEFT_OK) {
        fate_drop(pending->fate);
        wf_free(pending);
        return err;
    }
    remember(w, store, &id, height);
    if (out_id != NULL) *out_id = id;
    return WEFT_OK;
}
