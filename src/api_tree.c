/* SPDX-License-Identifier: Apache-2.0
 * api_tree.c - public calls about trees and finished entries.
 * Called by: users (weft/node.h). May touch: reads of the store, messages to it.
 * Never: writes to the database. */
#include <string.h>

#include "access_actor.h"
#include "alloc.h"
#include "api_async.h"

static weft_err commit_now(weft_node *node, struct wf_commit *commit, weft_ns timeout,
                           uint32_t *applied)
{
    weft_request *answer = NULL;
    weft_err err = wf_node_call(node, node->table.store, &commit->req, timeout, &answer);
    if (answer != NULL) {
        if (applied != NULL) *applied = ((struct wf_commit *)answer)->applied;
        weft_drop(&answer->msg);
    }
    return err;
}

static weft_err make_root(weft_node *node, const weft_keypair *author, const weft_root_spec *spec,
                          struct wf_commit **out)
{
    if (node == NULL || author == NULL || spec == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    weft_root_spec root = *spec;
    static const uint8_t zero[16];
    /* From the runtime, so that a simulated world repeats itself. */
    if (memcmp(root.entropy, zero, sizeof zero) == 0)
        wf_random(node->rt, root.entropy, sizeof root.entropy);
    weft_buf *entry = NULL;
    weft_id id;
    weft_err err = weft_root_build(&root, author, &entry, &id);
    if (err != WEFT_OK) return err;
    struct wf_commit *commit = wf_commit_create(1);
    if (commit == NULL) {
        weft_buf_unref(entry);
        return WEFT_NO_MEMORY;
    }
    commit->create_trees = true;
    commit->entries[0] = entry;
    commit->ids[0] = id;
    *out = commit;
    return WEFT_OK;
}

weft_err weft_tree_create(weft_node *node, const weft_keypair *author, const weft_root_spec *spec,
                          weft_ns timeout, weft_id *out_tree)
{
    struct wf_commit *commit;
    if (node == NULL || out_tree == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = make_root(node, author, spec, &commit);
    if (err != WEFT_OK) return err;
    weft_id id = commit->ids[0];
    err = commit_now(node, commit, timeout, NULL);
    if (err == WEFT_OK) *out_tree = id;
    return err;
}

static void tell_tree(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_commit *commit = (const struct wf_commit *)request;
    ((weft_on_tree)done)(arg, err, err == WEFT_OK ? &commit->ids[0] : NULL);
}

weft_err weft_tree_create_async(weft_node *node, const weft_keypair *author,
                                const weft_root_spec *spec, weft_on_tree done, void *arg)
{
    struct wf_commit *commit;
    weft_err err = make_root(node, author, spec, &commit);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.store, &commit->req, WEFT_NEVER, tell_tree,
                        (wf_api_done)done, arg);
}

static weft_err make_follow(weft_node *node, const weft_id *tree, bool follows,
                            const weft_key *readers, uint32_t count, struct wf_access_req **out)
{
    if (node == NULL || tree == NULL || (readers == NULL && count != 0)) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (count > WEFT_READERS_PER_TREE_MAX) return WEFT_LIMIT;
    struct wf_access_req *req = wf_access_req_create(follows ? WF_ACC_FOLLOW : WF_ACC_UNFOLLOW);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->tree = *tree;
    req->readers_count = count;
    if (count > 0) req->readers = wf_memdup(readers, count * sizeof *readers);
    if (count > 0 && req->readers == NULL) {
        weft_drop(&req->req.msg);
        return WEFT_NO_MEMORY;
    }
    *out = req;
    return WEFT_OK;
}

static weft_err follow(weft_node *node, const weft_id *tree, bool follows, const weft_key *readers,
                       uint32_t count, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_follow(node, tree, follows, readers, count, &req);
    if (err != WEFT_OK) return err;
    if (!wf_in_actor()) return wf_node_call(node, node->table.access, &req->req, timeout, NULL);
    weft_drop(&req->req.msg);
    return WEFT_DEADLK;
}

static weft_err begin_follow(weft_node *node, const weft_id *tree, bool follows,
                             const weft_key *readers, uint32_t count, weft_on_result done,
                             void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_follow(node, tree, follows, readers, count, &req);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

weft_err weft_tree_follow(weft_node *node, const weft_id *tree, const weft_key *readers,
                          uint32_t readers_count, weft_ns timeout)
{
    return follow(node, tree, true, readers, readers_count, timeout);
}

weft_err weft_tree_follow_async(weft_node *node, const weft_id *tree, const weft_key *readers,
                                uint32_t readers_count, weft_on_result done, void *arg)
{
    return begin_follow(node, tree, true, readers, readers_count, done, arg);
}

weft_err weft_tree_unfollow(weft_node *node, const weft_id *tree, weft_ns timeout)
{
    return follow(node, tree, false, NULL, 0, timeout);
}

weft_err weft_tree_unfollow_async(weft_node *node, const weft_id *tree, weft_on_result done,
                                  void *arg)
{
    return begin_follow(node, tree, false, NULL, 0, done, arg);
}

/* Takes nothing; *out is the caller's. */
static weft_err make_removal(weft_node *node, const weft_id *tree, struct wf_access_req **out)
{
    if (node == NULL || tree == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_access_req *req = wf_access_req_create(WF_ACC_DROP);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->tree = *tree;
    *out = req;
    return WEFT_OK;
}

weft_err weft_tree_remove(weft_node *node, const weft_id *tree, weft_ns timeout)
{
    struct wf_access_req *req;
    weft_err err = make_removal(node, tree, &req);
    if (err != WEFT_OK) return err;
    if (wf_in_actor()) {
        weft_drop(&req->req.msg);
        return WEFT_DEADLK;
    }
    return wf_node_call(node, node->table.access, &req->req, timeout, NULL);
}

weft_err weft_tree_remove_async(weft_node *node, const weft_id *tree, weft_on_result done,
                                void *arg)
{
    struct wf_access_req *req;
    weft_err err = make_removal(node, tree, &req);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.access, &req->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

weft_err wf_api_tree_info(wf_store *store, const weft_id *tree, weft_tree_info *out)
{
    wf_tree_info info;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err;
    weft_tree_info got = {.tree = *tree};
    struct wf_trie_slot all;
    err = wf_store_trie_root(store, info.t, &all, &info);
    if (err != WEFT_OK) return err;
    memcpy(got.root_digest, all.digest, sizeof got.root_digest);
    got.has_root = info.has_root;
    got.followed = info.followed;
    got.entries = info.count;
    got.max_gen = info.max_gen;
    got.arrivals = info.seq;
    got.tips = info.tips;
    got.shelved = info.shelved;
    *out = got;
    return WEFT_OK;
}

weft_err weft_tree_info_get(weft_node *node, const weft_id *tree, weft_tree_info *out)
{
    if (node == NULL || tree == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_api_tree_info(node->table.wf_store, tree, out);
}

weft_err weft_tree_range_digest(weft_node *node, const weft_id *tree, uint64_t lo, uint64_t hi,
                                uint8_t out[32], uint64_t *count)
{
    if (node == NULL || tree == NULL || out == NULL || lo > hi) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    wf_tree_info info;
    struct wf_trie_slot range;
    weft_err err = wf_store_tree(node->table.wf_store, tree, &info);
    if (err == WEFT_OK) err = wf_store_range(node->table.wf_store, info.t, lo, hi, &range);
    if (err != WEFT_OK) return err;
    memcpy(out, range.digest, sizeof range.digest);
    if (count != NULL) *count = range.count;
    return WEFT_OK;
}

weft_err weft_tree_list(weft_node *node, weft_id *out, size_t *count)
{
    if (node == NULL || count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    size_t room = *count;
    wf_tree_info *infos = wf_calloc(room + 1, sizeof *infos);
    if (infos == NULL) return WEFT_NO_MEMORY;
    size_t got = room;
    weft_err err = wf_store_trees(node->table.wf_store, infos, &got);
    for (size_t i = 0; (err == WEFT_OK || err == WEFT_LIMIT) && i < got && i < room; i++)
        out[i] = infos[i].tree;
    wf_free(infos);
    if (err == WEFT_OK || err == WEFT_LIMIT) *count = got;
    return err;
}

weft_err weft_tree_tips(weft_node *node, const weft_id *tree, weft_id *out, size_t *count)
{
    if (node == NULL || tree == NULL || out == NULL || count == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    wf_tree_info info;
    bool complete = false;
    weft_err err = wf_store_tree(node->table.wf_store, tree, &info);
    if (err == WEFT_OK)
        err = wf_store_tips(node->table.wf_store, info.t, out, *count, count, &complete);
    return err == WEFT_OK && !complete ? WEFT_LIMIT : err;
}

/* One entry of a walk: read, decoded, shown. */
static weft_err show(weft_node *node, uint64_t t, const wf_place *place, weft_entry *entry,
                     weft_err (*fn)(void *arg, const weft_entry *entry), void *arg)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get_at(node->table.wf_store, t, place, &buf);
    if (err == WEFT_OK) err = weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), entry);
    if (err == WEFT_OK) err = fn(arg, entry);
    weft_buf_unref(buf);
    return err;
}

weft_err weft_tree_walk(weft_node *node, const weft_id *tree,
                        weft_err (*fn)(void *arg, const weft_entry *entry), void *arg)
{
    if (node == NULL || tree == NULL || fn == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    wf_tree_info info;
    weft_err err = wf_store_tree(node->table.wf_store, tree, &info);
    if (err != WEFT_OK) return err;
    wf_gen_walk *walk = NULL;
    weft_entry *entry = wf_malloc(sizeof *entry); /* large: not on the caller's stack */
    if (entry == NULL) return WEFT_NO_MEMORY;
    err = wf_gen_walk_create(node->table.wf_store, info.t, 0, NULL, &walk);
    while (err == WEFT_OK) {
        wf_place place;
        err = wf_gen_walk_next(walk, &place);
        if (err == WEFT_OK) err = show(node, info.t, &place, entry, fn, arg);
        else if (err == WEFT_END) break;
    }
    bool ended = err == WEFT_END && walk != NULL;
    wf_gen_walk_destroy(walk);
    wf_free(entry);
    return ended ? WEFT_OK : err;
}

weft_err weft_get(weft_node *node, const weft_id *id, weft_buf **out)
{
    if (node == NULL || id == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_store_get(node->table.wf_store, id, out);
}

/* The finished entries up to the first bad one, and what is wrong with that. */
static weft_err make_add(weft_node *node, weft_buf *const *entries, uint32_t count, bool trusted,
                         struct wf_commit **out, weft_err *bad)
{
    if (node == NULL || (entries == NULL && count != 0)) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_commit *commit = wf_commit_create(count);
    weft_entry *entry = wf_malloc(sizeof *entry);
    weft_err err = WEFT_NO_MEMORY;
    *bad = WEFT_OK;
    if (commit == NULL || entry == NULL) goto done;
    commit->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        *bad = weft_entry_decode(weft_buf_bytes(entries[i]), weft_buf_len(entries[i]), entry);
        if (*bad == WEFT_OK && !trusted) *bad = weft_entry_verify(entry);
        if (*bad != WEFT_OK) break;
        commit->entries[i] = weft_buf_ref(entries[i]);
        commit->ids[i] = entry->id;
        commit->count++;
    }
    err = commit->count == 0 ? *bad : WEFT_OK;
    if (err != WEFT_OK) goto done;
    *out = commit;
    commit = NULL;
done:
    if (commit != NULL) weft_drop(&commit->req.msg);
    wf_free(entry);
    return err;
}

weft_err weft_add(weft_node *node, weft_buf *const *entries, uint32_t count, bool trusted,
                  weft_ns timeout, uint32_t *applied)
{
    struct wf_commit *commit;
    weft_err bad = WEFT_OK;
    if (node == NULL || (entries == NULL && count != 0)) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    if (applied != NULL) *applied = 0;
    if (count == 0) return WEFT_OK;
    weft_err err = make_add(node, entries, count, trusted, &commit, &bad);
    if (err == WEFT_OK) err = commit_now(node, commit, timeout, applied);
    return err == WEFT_OK ? bad : err; /* the valid prefix is kept */
}

struct adding {
    weft_on_count done;
    void *arg;
    weft_err bad;
};

static void tell_added(wf_api_done unused, void *arg, weft_err err, weft_request *request)
{
    const struct adding a = *(struct adding *)arg;
    (void)unused;
    wf_free(arg);
    a.done(a.arg, err == WEFT_OK ? a.bad : err,
           request == NULL ? 0 : ((const struct wf_commit *)request)->applied);
}

weft_err weft_add_async(weft_node *node, weft_buf *const *entries, uint32_t count, bool trusted,
                        weft_on_count done, void *arg)
{
    struct wf_commit *commit;
    weft_err bad = WEFT_OK;
    if (done == NULL || count == 0) return WEFT_INVALID;
    weft_err err = make_add(node, entries, count, trusted, &commit, &bad);
    if (err != WEFT_OK) return err;
    struct adding *a = wf_malloc(sizeof *a);
    if (a == NULL) {
        weft_drop(&commit->req.msg);
        return WEFT_NO_MEMORY;
    }
    *a = (struct adding){done, arg, bad};
    err = wf_api_later(node, node->table.store, &commit->req, WEFT_NEVER, tell_added,
                       (wf_api_done)done, a);
    if (err != WEFT_OK) wf_free(a);
    return err;
}
