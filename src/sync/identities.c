/* SPDX-License-Identifier: Apache-2.0
 * identities.c - the keys that this node acts with in trees, beside the device's.
 * Called by: api_access.c (writes), engine_prove.c (signs). Any thread.
 * May touch: its own memory under its lock; secrets stay in locked memory.
 * Never: messages, the disk: an identity is gone with the process. */
#include "identities.h"

#include <string.h>
#include <weft/limits.h>

#include "alloc.h"
#include "crypto.h"
#include "lock.h"

const weft_kind wf_identity_kind = {0x5502, "sync.identity", sizeof(struct wf_identity_msg),
                                    weft_free_msg};

struct identity {
    weft_id tree;
    weft_keypair *pair; /* ours: a copy */
};
struct wf_identities {
    wf_rwlock *lock;
    struct identity *items; /* ascending by tree */
    uint32_t count, room;
};

struct wf_identities *wf_identities_create(void)
{
    struct wf_identities *ids = wf_calloc(1, sizeof *ids);
    if (ids == NULL) return NULL;
    ids->lock = wf_rwlock_create();
    if (ids->lock == NULL) {
        wf_free(ids);
        return NULL;
    }
    return ids;
}

void wf_identities_destroy(struct wf_identities *ids)
{
    if (ids == NULL) return;
    for (uint32_t i = 0; i < ids->count; i++) weft_keypair_destroy(ids->items[i].pair);
    wf_rwlock_destroy(ids->lock);
    wf_free(ids->items);
    wf_free(ids);
}

static uint32_t tree_at(const struct wf_identities *ids, const weft_id *tree, bool *found)
{
    uint32_t lo = 0, hi = ids->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_id_compare(&ids->items[mid].tree, tree) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < ids->count && weft_id_equal(&ids->items[lo].tree, tree);
    return lo;
}

static weft_err insert(struct wf_identities *ids, uint32_t at, const weft_id *tree)
{
    if (ids->count == WEFT_IDENTITIES_MAX) return WEFT_LIMIT;
    if (ids->count == ids->room) {
        uint32_t room = ids->room == 0 ? 4 : ids->room * 2;
        struct identity *items = wf_realloc(ids->items, room * sizeof *items);
        if (items == NULL) return WEFT_NO_MEMORY;
        ids->items = items;
        ids->room = room;
    }
    memmove(&ids->items[at + 1], &ids->items[at], (ids->count - at) * sizeof *ids->items);
    ids->items[at] = (struct identity){.tree = *tree};
    ids->count++;
    return WEFT_OK;
}

/* *pair is taken on OK, and what it replaced is there instead. */
static weft_err put(struct wf_identities *ids, const weft_id *tree, weft_keypair **pair)
{
    bool found;
    uint32_t at = tree_at(ids, tree, &found);
    if (!found && *pair == NULL) return WEFT_OK;
    weft_err err = found ? WEFT_OK : insert(ids, at, tree);
    if (err != WEFT_OK) return err;
    weft_keypair *before = ids->items[at].pair;
    ids->items[at].pair = *pair;
    if (*pair == NULL) {
        ids->count--;
        memmove(&ids->items[at], &ids->items[at + 1], (ids->count - at) * sizeof *ids->items);
    }
    *pair = before;
    return WEFT_OK;
}

weft_err wf_identities_set(struct wf_identities *ids, const weft_id *tree, const weft_keypair *pair)
{
    uint8_t seed[32];
    weft_keypair *copy = NULL;
    weft_err err = WEFT_OK;
    if (pair != NULL) {
        wf_keypair_seed(pair, seed);
        err = weft_keypair_from_seed(seed, &copy);
        wf_crypto_wipe(seed, sizeof seed);
    }
    if (err != WEFT_OK) return err;
    wf_rwlock_write(ids->lock);
    err = put(ids, tree, &copy);
    wf_rwlock_give(ids->lock);
    weft_keypair_destroy(copy);
    return err;
}

bool wf_identities_key(struct wf_identities *ids, const weft_id *tree, weft_key *out)
{
    bool found;
    wf_rwlock_read(ids->lock);
    uint32_t at = tree_at(ids, tree, &found);
    if (found) weft_keypair_public(ids->items[at].pair, out);
    wf_rwlock_give(ids->lock);
    return found;
}

weft_err wf_identities_sign(struct wf_identities *ids, const weft_id *tree, const void *data,
                            size_t len, weft_key *key, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    bool found;
    weft_err err = WEFT_NOT_FOUND;
    weft_key signer;
    wf_rwlock_read(ids->lock);
    uint32_t at = tree_at(ids, tree, &found);
    if (found) {
        weft_keypair_public(ids->items[at].pair, &signer);
        err = wf_sign(ids->items[at].pair, WF_PURPOSE_ACCESS, data, len, out);
    }
    wf_rwlock_give(ids->lock);
    if (err == WEFT_OK) *key = signer;
    return err;
}
