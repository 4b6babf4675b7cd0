/* SPDX-License-Identifier: Apache-2.0
 * is_tip.c - whether entries are tips of their tree, asked of one or of many at once.
 * Called by: writer.c. May touch: the writer's cache of facts, the engine (reads).
 * Never: changes what is a tip. */
#include "is_tip.h"

#include <string.h>

#include "layout.h"
#include "log.h"

#define TIPS_CHUNK 64u
#define TIP_KEY_BYTES (9u + WEFT_ID_BYTES) /* of a tip of the tree */

weft_err wf_is_tip(wf_store *store, struct wf_brief *parent, bool *out)
{
    if (parent->tip == WF_TIP_UNKNOWN) {
        uint8_t key[WF_KEY_TIP_BYTES_MAX];
        size_t len = wf_key_tip(key, parent->t, NULL, 0, &parent->id);
        wf_value value;
        weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TIP, key, len, &value);
        if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
        if (err == WEFT_OK) wf_value_release(store->kv, &value);
        parent->tip = err == WEFT_OK ? WF_TIP_YES : WF_TIP_NO;
    }
    *out = parent->tip == WF_TIP_YES;
    return WEFT_OK;
}

struct tips_look { /* of parents that nothing is known of */
    const weft_id *ids[TIPS_CHUNK];
    uint8_t keys[TIPS_CHUNK][TIP_KEY_BYTES];
    size_t count;
};

static void look_up_tips(wf_store *store, struct tips_look *look)
{
    wf_value values[TIPS_CHUNK];
    weft_err errs[TIPS_CHUNK];
    struct wf_brief *parent;
    if (wf_kv_multi_get(store->kv, NULL, WF_CF_TIP, look->keys, TIP_KEY_BYTES, look->count, values,
                        errs) != WEFT_OK)
        return;
    for (size_t i = 0; i < look->count; i++) {
        if (errs[i] == WEFT_OK) wf_value_release(store->kv, &values[i]);
        if ((errs[i] != WEFT_OK && errs[i] != WEFT_NOT_FOUND) ||
            wf_briefs_find(&store->briefs, store->kv, look->ids[i], &parent) != WEFT_OK)
            continue;
        parent->tip = errs[i] == WEFT_OK ? WF_TIP_YES : WF_TIP_NO;
    }
}

void wf_is_tip_look(wf_store *store, const weft_id *parents, uint32_t count)
{
    struct tips_look look = {.count = 0};
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[WF_KEY_TIP_BYTES_MAX];
        struct wf_brief *parent;
        if (wf_briefs_find(&store->briefs, store->kv, &parents[i], &parent) == WEFT_OK &&
            parent->tip == WF_TIP_UNKNOWN) {
            size_t len = wf_key_tip(key, parent->t, NULL, 0, &parents[i]);
            WF_ASSERT(len == TIP_KEY_BYTES);
            memcpy(look.keys[look.count], key, len);
            look.ids[look.count++] = &parents[i];
        }
        if (look.count < TIPS_CHUNK && i + 1 < count) continue;
        if (look.count > 0) look_up_tips(store, &look);
        look.count = 0;
    }
}
