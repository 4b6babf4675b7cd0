/* SPDX-License-Identifier: Apache-2.0
 * api_access.c - public calls about who may do what (weft/access.h).
 * Called by: users. May touch: reads of the store, messages to the actors, the node's identities.
 * Never: decides about a right. */
#include <weft/access.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "identities.h"
#include "map_codec.h"
#include "node_internal.h"
#include "settings.h"

/* -- Grants as operations ------------------------------------------------------------------ */

struct saying { /* two operations may stand for one grant */
    struct wf_settings_text *texts;
    wf_map_op *ops;
    uint32_t count;
};

static void saying_fini(struct saying *s)
{
    wf_free(s->texts);
    wf_free(s->ops);
}

static bool is_valid(const weft_grant *grant)
{
    if (grant->right < WEFT_RIGHT_NONE || grant->right > WEFT_RIGHT_ADMIN) return false;
    if (memchr(grant->name, '\0', sizeof grant->name) == NULL) return false;
    return !grant->everyone || (grant->right != WEFT_RIGHT_ADMIN && grant->name[0] == '\0');
}

static weft_err add(struct saying *s, const weft_grant *grant)
{
    const bool has_priority = grant->right >= WEFT_RIGHT_WRITE;
    const wf_grant given = {grant->right, has_priority ? grant->priority : 0};
    if (!is_valid(grant)) return WEFT_INVALID;
    wf_settings_grant(grant->everyone ? NULL : &grant->key, &given, &s->texts[s->count],
                      &s->ops[s->count]);
    s->count++;
    if (grant->name[0] == '\0') return WEFT_OK;
    wf_map_op *name = &s->ops[s->count];
    *name = (wf_map_op){
        .set = true,
        .value = {.type = WEFT_MAP_STR, .as.bytes = {grant->name, strlen(grant->name)}}};
    wf_settings_name_path(&grant->key, &s->texts[s->count], &name->path);
    s->count++;
    return wf_map_value_valid(&name->value) ? WEFT_OK : WEFT_INVALID;
}

static int compare_ops(const void *a, const void *b)
{
    const wf_map_op *x = a, *y = b;
    return wf_map_path_compare(&x->path, &y->path);
}

/* The operations in their order. *out is ended by the caller, whatever the answer. */
static weft_err say_all(const weft_grant *grants, uint32_t count, struct saying *out)
{
    uint32_t ops = count;
    if (count > WEFT_MAP_OPS_MAX) return WEFT_LIMIT;
    for (uint32_t i = 0; i < count; i++) ops += grants[i].name[0] != '\0';
    if (ops > WEFT_MAP_OPS_MAX) return WEFT_LIMIT;
    out->texts = wf_malloc(ops * sizeof *out->texts);
    out->ops = wf_malloc(ops * sizeof *out->ops);
    if (out->texts == NULL || out->ops == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        weft_err err = add(out, &grants[i]);
        if (err != WEFT_OK) return err;
    }
    qsort(out->ops, out->count, sizeof *out->ops, compare_ops);
    for (uint32_t i = 1; i < out->count; i++)
        if (compare_ops(&out->ops[i - 1], &out->ops[i]) == 0) return WEFT_INVALID;
    return WEFT_OK;
}

/* Of one operation: "auth", a key in hex, "grant", a name, and a head of at most 2 for each. */
#define OP_BYTES_MAX (4u + 2u * WEFT_KEY_BYTES + 5u + WEFT_KEY_NAME_BYTES_MAX + 2u * 7u)

static weft_err payload_of(const weft_grant *grants, uint32_t count, weft_buf **out)
{
    struct saying s = {0};
    weft_buf *buf = NULL;
    size_t len = 0;
    weft_err err = say_all(grants, count, &s);
    if (err == WEFT_OK) err = weft_buf_create(5 + s.count * (size_t)OP_BYTES_MAX, &buf);
    if (err == WEFT_OK)
        err = wf_map_ops_encode(s.ops, s.count, weft_buf_data(buf), weft_buf_len(buf), &len);
    if (err == WEFT_OK) {
        weft_buf_truncate(buf, len);
        *out = buf;
        buf = NULL; /* the caller's now */
    }
    weft_buf_unref(buf);
    saying_fini(&s);
    return err;
}

/* -- Granting ------------------------------------------------------------------------------- */

static weft_err make_put(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                         const weft_grant *grants, uint32_t count, struct wf_settings_commit **out)
{
    if (node == NULL || tree == NULL || admin == NULL || grants == NULL || count == 0)
        return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    weft_buf *payload = NULL;
    weft_err err = payload_of(grants, count, &payload);
    if (err != WEFT_OK) return err;
    *out = wf_settings_commit_create(tree, admin, payload);
    weft_buf_unref(payload);
    return *out == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

weft_err weft_grant_put(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                        const weft_grant *grants, uint32_t count, weft_ns timeout, weft_id *out_id)
{
    struct wf_settings_commit *commit = NULL;
    weft_request *answer = NULL;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = make_put(node, tree, admin, grants, count, &commit);
    if (err != WEFT_OK) return err;
    err = wf_node_call(node, node->table.store, &commit->req, timeout, &answer);
    if (answer == NULL) return err;
    if (err == WEFT_OK && out_id != NULL) *out_id = ((struct wf_settings_commit *)answer)->id;
    weft_drop(&answer->msg);
    return err;
}

struct completion {
    weft_on_result done;
    void *arg;
};

static void on_done(void *arg, weft_err err, weft_request *request)
{
    const struct completion c = *(struct completion *)arg;
    static const weft_result nothing;
    wf_free(arg);
    c.done(c.arg, err, &nothing);
    if (request != NULL) weft_drop(&request->msg);
}

weft_err weft_grant_put_async(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                              const weft_grant *grants, uint32_t count, weft_on_result done,
                              void *arg)
{
    struct wf_settings_commit *commit = NULL;
    if (done == NULL) return WEFT_INVALID;
    weft_err err = make_put(node, tree, admin, grants, count, &commit);
    if (err != WEFT_OK) return err;
    struct completion *c = wf_malloc(sizeof *c);
    if (c == NULL) {
        weft_drop(&commit->req.msg);
        return WEFT_NO_MEMORY;
    }
    *c = (struct completion){done, arg};
    err = wf_node_ask(node, node->table.store, &commit->req, WEFT_NEVER, on_done, c);
    if (err != WEFT_OK) wf_free(c);
    return err;
}

weft_err weft_grant_replace(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                            const weft_key *before, const weft_key *now, weft_ns timeout,
                            weft_id *out_id)
{
    weft_grant grants[2];
    if (node == NULL || tree == NULL || admin == NULL || before == NULL || now == NULL)
        return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    if (weft_key_equal(before, now)) return WEFT_INVALID;
    weft_err err = wf_store_grant(node->table.wf_store, tree, before, &grants[0]);
    if (err == WEFT_OK && grants[0].right == WEFT_RIGHT_NONE) err = WEFT_NOT_FOUND;
    if (err != WEFT_OK) return err;
    grants[0].key = *now;
    grants[1] = (weft_grant){.key = *before, .right = WEFT_RIGHT_NONE};
    return weft_grant_put(node, tree, admin, grants, 2, timeout, out_id);
}

/* -- Looking ----------------------------------------------------------------------------------- */

weft_err weft_grant_list(weft_node *node, const weft_id *tree, weft_grant *out, size_t *count)
{
    if (node == NULL || tree == NULL || count == NULL || (out == NULL && *count != 0))
        return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_store_grants(node->table.wf_store, tree, out, count);
}

weft_err weft_right_of(weft_node *node, const weft_id *tree, const weft_key *key, weft_right *right,
                       uint32_t *priority)
{
    struct wf_right_now now;
    if (node == NULL || tree == NULL || key == NULL || right == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_err err = wf_store_right(node->table.wf_store, tree, key, &now);
    if (err != WEFT_OK) return err;
    *right = now.right;
    if (priority != NULL) *priority = now.priority;
    return WEFT_OK;
}

weft_err weft_entry_counts(weft_node *node, const weft_id *entry, bool *out)
{
    if (node == NULL || entry == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    return wf_store_counts(node->table.wf_store, entry, out);
}

/* -- Keys beside the device's -------------------------------------------------------------------- */

weft_err weft_tree_use_key(weft_node *node, const weft_id *tree, const weft_keypair *user)
{
    if (node == NULL || tree == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_msg *changed = weft_new(&wf_identity_kind);
    if (changed == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_identities_set(node->table.identities, tree, user);
    if (err == WEFT_OK) err = weft_send(node->table.sync, changed);
    if (err != WEFT_OK) weft_drop(changed);
    return err;
}
