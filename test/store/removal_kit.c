/* SPDX-License-Identifier: Apache-2.0
 * removal_kit.c - which rows of an engine belong to a tree's number.
 * Called by: tests of removal. May touch: the engine (reads). Never: the product. */
#include "removal_kit.h"

#include <criterion/criterion.h>
#include <string.h>

#include "crypto.h"
#include "layout.h"

/* The number that a row is about; 0: none. */
static uint64_t owner(enum wf_cf cf, const uint8_t *key, size_t len, const uint8_t *value,
                      size_t value_len)
{
    switch ((int)cf) {
    case WF_CF_META: return value_len < 8 ? 0 : wf_get64(value); /* else it is damaged */
    case WF_CF_PEER: return key[0] < WF_UPPER_KEYS ? wf_get64(key + len - 8) : 0;
    case WF_CF_TREE:
        return len == WF_KEY_TREE_BYTES && key[0] < WF_UPPER_KEYS ? wf_get64(key + 1) : 0;
    case WF_CF_POLICY: return 0;
    default: return wf_get64(key);
    }
}

struct rm_rows rm_rows_of(wf_kv *kv, uint64_t t)
{
    struct rm_rows rows = {0};
    wf_hash hash;
    wf_hash_init(&hash);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) {
        wf_kv_iter *it;
        cr_assert_eq(wf_kv_iter_create(kv, NULL, (enum wf_cf)cf, NULL, 0, &it), WEFT_OK);
        for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
            size_t len, value_len;
            const uint8_t *key = wf_kv_iter_key(it, &len);
            const uint8_t *value = wf_kv_iter_value(it, &value_len);
            bool format = cf == WF_CF_TREE && len == 1 && key[0] == WF_TREE_FORMAT;
            if (format || owner((enum wf_cf)cf, key, len, value, value_len) != t) continue;
            uint64_t head[3] = {cf, len, value_len};
            wf_hash_update(&hash, head, sizeof head);
            wf_hash_update(&hash, key, len);
            wf_hash_update(&hash, value, value_len);
            rows.count++;
        }
        cr_assert_eq(wf_kv_iter_err(it), WEFT_OK);
        wf_kv_iter_destroy(it);
    }
    wf_hash_final(&hash, rows.digest);
    return rows;
}

bool rm_same(const struct rm_rows *a, const struct rm_rows *b)
{
    return a->count == b->count && memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

bool rm_is_gone(wf_kv *kv, uint64_t t)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    wf_key_tree(key, WF_TREE_REMOVED, t);
    if (wf_kv_get(kv, NULL, WF_CF_TREE, key, sizeof key, &value) != WEFT_OK) return false;
    wf_value_release(kv, &value);
    return rm_rows_of(kv, t).count == 1; /* and that is this one */
}
