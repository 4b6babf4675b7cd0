/* SPDX-License-Identifier: Apache-2.0
 * access.c - may this peer read this tree? The one place where the layer asks.
 * Called by: reader, queue, engine, join_judge.c. May touch: the rights and the keyring, in memory.
 * Never: the disk; an answer that tells an unknown tree from a forbidden one. */
#include "access.h"

#include "keyring.h"

bool wf_access_may_read(const struct wf_node_table *table, const weft_id *tree,
                        const weft_key *peer)
{
    weft_key keys[1 + WEFT_PROVEN_KEYS_MAX];
    keys[0] = *peer; /* the channel has proven it */
    uint32_t count = 1 + wf_keyring_get(table->keyring, peer, &keys[1]);
    return wf_store_may_read_as(table->wf_store, tree, keys, count);
}

bool wf_access_is_named(const struct wf_node_table *table, const weft_id *tree,
                        const weft_key *peer)
{
    weft_key keys[1 + WEFT_PROVEN_KEYS_MAX];
    struct wf_right_now now;
    bool named = false;
    keys[0] = *peer;
    uint32_t count = 1 + wf_keyring_get(table->keyring, peer, &keys[1]);
    for (uint32_t i = 0; i < count && !named; i++)
        named = wf_store_right(table->wf_store, tree, &keys[i], &now) == WEFT_OK && !now.revoked &&
                (now.own || now.listed);
    return named;
}

bool wf_access_may_key_read(const struct wf_node_table *table, const weft_id *tree,
                            const weft_key *key)
{
    return wf_store_may_read(table->wf_store, tree, key);
}
