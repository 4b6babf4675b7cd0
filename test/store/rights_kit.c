/* SPDX-License-Identifier: Apache-2.0
 * rights_kit.c - trees whose settings change.
 * Called by: the tests of rights. May touch: a simulated node of one store.
 * Never: a real clock, a real thread. */
#include "rights_kit.h"

#include <criterion/criterion.h>
#include <string.h>

#include "map.h"
#include "settings.h"

static weft_keypair *pairs[256];
static weft_key keys[256];

const weft_keypair *rk_pair(uint8_t number)
{
    if (pairs[number] == NULL) {
        pairs[number] = kit_pair(number);
        weft_keypair_public(pairs[number], &keys[number]);
    }
    return pairs[number];
}

const weft_key *rk_key(uint8_t number)
{
    (void)rk_pair(number);
    return &keys[number];
}

void rk_end(void)
{
    for (unsigned i = 0; i < 256; i++) {
        weft_keypair_destroy(pairs[i]);
        pairs[i] = NULL;
    }
}

#define OPS_MAX 300u

static void op_of(const rk_say *say, struct wf_settings_text *text, wf_map_op *out)
{
    const weft_key *key = say->key == RK_EVERYONE ? NULL : rk_key(say->key);
    wf_grant grant = {WEFT_RIGHT_NONE, 0};
    if (say->name != NULL) {
        *out = (wf_map_op){.set = true};
        wf_settings_name_path(key, text, &out->path);
        out->value = (wf_map_value){.type = WEFT_MAP_STR,
                                    .as.bytes = {say->name, strlen(say->name)}};
        return;
    }
    if (say->text != NULL)
        cr_assert_eq(wf_grant_read(say->text, strlen(say->text), &grant), WEFT_OK);
    wf_settings_grant(key, &grant, text, out);
    if (say->text == NULL) out->set = false;
}

weft_buf *rk_payload(const rk_say *says, uint32_t count)
{
    static struct wf_settings_text texts[OPS_MAX];
    static wf_map_op ops[OPS_MAX];
    static uint8_t bytes[128 * OPS_MAX];
    size_t len;
    cr_assert_leq(count, OPS_MAX);
    for (uint32_t i = 0; i < count; i++) { /* ascending by path */
        wf_map_op op;
        uint32_t at = i;
        op_of(&says[i], &texts[i], &op);
        for (; at > 0 && wf_map_path_compare(&ops[at - 1].path, &op.path) > 0; at--)
            ops[at] = ops[at - 1];
        ops[at] = op;
    }
    cr_assert_eq(wf_map_ops_encode(ops, count, bytes, sizeof bytes, &len), WEFT_OK);
    weft_buf *out;
    cr_assert_eq(weft_buf_create(len, &out), WEFT_OK);
    memcpy(weft_buf_data(out), bytes, len);
    return out;
}

void rk_root(rk_tree *tree, uint8_t entropy, weft_right everyone)
{
    *tree = (rk_tree){0};
    tree->root = sk_root(rk_pair(RK_OWNER), entropy, WEFT_HEIGHT_INCREMENTAL, everyone,
                         &tree->tree);
    tree->tip = tree->settings_tip = tree->tree;
}

weft_buf *rk_next(rk_tree *tree, uint8_t author, const rk_say *says, uint32_t count, weft_id *id)
{
    weft_buf *payload = rk_payload(says, count);
    sk_entry e = {.tree = tree->tree,
                  .parents = &tree->tip,
                  .parents_count = 1,
                  .height = ++tree->height,
                  .name = "_settings",
                  .store_parents = &tree->settings_tip,
                  .store_parents_count = 1,
                  .payload = weft_buf_bytes(payload),
                  .payload_len = weft_buf_len(payload)};
    weft_buf *buf = sk_build(&e, rk_pair(author), id);
    weft_buf_unref(payload);
    tree->tip = tree->settings_tip = *id;
    return buf;
}

void rk_open(sk_node *node, rk_tree *tree, uint8_t entropy, weft_right everyone)
{
    rk_root(tree, entropy, everyone);
    cr_assert_eq(sk_follow(node, &tree->tree, true, NULL, 0), WEFT_OK);
    cr_assert_eq(sk_commit(node, &tree->root, &tree->tree, 1, false, NULL), WEFT_OK);
}

weft_err rk_grant(sk_node *node, rk_tree *tree, uint8_t key, const char *text)
{
    weft_id id;
    rk_tree before = *tree;
    rk_say say = {.key = key, .text = text};
    weft_buf *buf = rk_next(tree, RK_OWNER, &say, 1, &id);
    weft_err err = sk_commit(node, &buf, &id, 1, false, NULL);
    weft_buf_unref(buf);
    if (err != WEFT_OK) *tree = before;
    return err;
}

void rk_close(rk_tree *tree) { weft_buf_unref(tree->root); }

bool rk_may(sk_node *node, const rk_tree *tree, uint8_t key)
{
    return wf_store_may_read(node->store, &tree->tree, rk_key(key));
}
