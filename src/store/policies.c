/* SPDX-License-Identifier: Apache-2.0
 * policies.c - policies by number: equal ones are kept once.
 * Called by: the writer alone. May touch: the family `policy`, its cache.
 * Never: says what a policy allows. */
#include "policies.h"

#include "crypto.h"
#include "layout.h"
#include "log.h"

static void slot_clear(struct wf_policies *p, struct wf_policy_slot *slot)
{
    if (slot->pinned) p->pinned--;
    wf_policy_destroy(slot->policy);
    *slot = (struct wf_policy_slot){0};
}

void wf_policies_fini(struct wf_policies *p)
{
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES; i++) slot_clear(p, &p->slots[i]);
}

static void key_of(uint8_t out[WF_KEY_POLICY_BYTES], uint32_t number)
{
    out[0] = WF_POLICY_NUMBER;
    wf_put32(out + 1, number);
}

weft_err wf_policies_init(struct wf_policies *p, wf_kv *kv)
{
    *p = (struct wf_policies){0};
    const uint8_t prefix = WF_POLICY_NUMBER;
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(kv, NULL, WF_CF_POLICY, &prefix, 1, &it);
    if (err != WEFT_OK) return err;
    wf_kv_iter_last(it);
    if (wf_kv_iter_valid(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len == WF_KEY_POLICY_BYTES) p->last = wf_get32(key + 1);
        else err = wf_fail(WEFT_CORRUPT, "store", "policy: wrong key");
    } else {
        err = wf_kv_iter_err(it);
    }
    p->durable = p->last;
    wf_kv_iter_destroy(it);
    return err;
}

/* The least recently asked for that the engine has. */
static struct wf_policy_slot *slot_take(struct wf_policies *p)
{
    struct wf_policy_slot *best = NULL;
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES; i++) {
        struct wf_policy_slot *slot = &p->slots[i];
        if (slot->number == 0) return slot;
        if (!slot->pinned && (best == NULL || slot->used < best->used)) best = slot;
    }
    WF_ASSERT(best != NULL); /* the writer ends a batch before all are pinned */
    slot_clear(p, best);
    return best;
}

static struct wf_policy_slot *slot_find(struct wf_policies *p, uint32_t number)
{
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES; i++)
        if (p->slots[i].number == number) return &p->slots[i];
    return NULL;
}

weft_err wf_policies_get(struct wf_policies *p, wf_kv *kv, uint32_t number, const wf_policy **out)
{
    struct wf_policy_slot *slot = slot_find(p, number);
    if (slot == NULL) {
        uint8_t key[WF_KEY_POLICY_BYTES];
        key_of(key, number);
        wf_value value;
        weft_err err = wf_kv_get(kv, NULL, WF_CF_POLICY, key, sizeof key, &value);
        if (err == WEFT_NOT_FOUND)
            return wf_fail(WEFT_CORRUPT, "store", "policy number=%u is missing", number);
        if (err != WEFT_OK) return err;
        wf_policy *policy;
        err = wf_policy_decode(value.data, value.len, &policy);
        if (err == WEFT_OK) {
            slot = slot_take(p);
            slot->number = number;
            slot->policy = policy;
            wf_blake2b_256(value.data, value.len, slot->hash);
        }
        wf_value_release(kv, &value);
        if (err != WEFT_OK) return err;
    }
    slot->used = ++p->clock;
    *out = slot->policy;
    return WEFT_OK;
}

static weft_err find_number(struct wf_policies *p, wf_kv *kv, const uint8_t hash[32],
                            uint32_t *number)
{
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES; i++) {
        struct wf_policy_slot *slot = &p->slots[i];
        if (slot->number == 0 || memcmp(slot->hash, hash, 32) != 0) continue;
        slot->used = ++p->clock;
        *number = slot->number;
        return WEFT_OK;
    }
    uint8_t key[WF_KEY_POLICY_HASH_BYTES] = {WF_POLICY_HASH};
    memcpy(key + 1, hash, 32);
    wf_value value;
    weft_err err = wf_kv_get(kv, NULL, WF_CF_POLICY, key, sizeof key, &value);
    if (err != WEFT_OK) return err;
    if (value.len == 4) *number = wf_get32(value.data);
    else err = wf_fail(WEFT_CORRUPT, "store", "policy: wrong number");
    wf_value_release(kv, &value);
    return err;
}

static void put(struct wf_policies *p, wf_batch *batch, const weft_buf *bytes,
                const uint8_t hash[32], wf_policy *policy)
{
    uint32_t number = ++p->last;
    uint8_t key[WF_KEY_POLICY_BYTES], hash_key[WF_KEY_POLICY_HASH_BYTES] = {WF_POLICY_HASH};
    uint8_t number_bytes[4];
    key_of(key, number);
    memcpy(hash_key + 1, hash, 32);
    wf_put32(number_bytes, number);
    wf_batch_put(batch, WF_CF_POLICY, key, sizeof key, weft_buf_bytes(bytes), weft_buf_len(bytes));
    wf_batch_put(batch, WF_CF_POLICY, hash_key, sizeof hash_key, number_bytes, sizeof number_bytes);
    struct wf_policy_slot *slot = slot_take(p);
    *slot = (struct wf_policy_slot){
        .number = number, .used = ++p->clock, .pinned = true, .policy = policy};
    memcpy(slot->hash, hash, 32);
    p->pinned++;
}

weft_err wf_policies_intern_take(struct wf_policies *p, wf_kv *kv, wf_batch *batch,
                                 wf_policy *policy, uint32_t *number)
{
    weft_buf *bytes;
    weft_err err = wf_policy_encode(policy, &bytes);
    if (err != WEFT_OK) return err;
    uint8_t hash[32];
    wf_blake2b_256(weft_buf_bytes(bytes), weft_buf_len(bytes), hash);
    err = find_number(p, kv, hash, number);
    if (err == WEFT_NOT_FOUND) {
        put(p, batch, bytes, hash, policy);
        *number = p->last;
        err = WEFT_OK;
    } else if (err == WEFT_OK) {
        wf_policy_destroy(policy);
    }
    weft_buf_unref(bytes);
    return err;
}

bool wf_policies_full(const struct wf_policies *p) { return p->pinned >= WEFT_STORE_POLICIES / 2; }

void wf_policies_written(struct wf_policies *p)
{
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES && p->pinned > 0; i++) {
        if (!p->slots[i].pinned) continue;
        p->slots[i].pinned = false;
        p->pinned--;
    }
    p->durable = p->last;
}

void wf_policies_forget(struct wf_policies *p)
{
    for (uint32_t i = 0; i < WEFT_STORE_POLICIES; i++) slot_clear(p, &p->slots[i]);
    p->last = p->durable;
}
