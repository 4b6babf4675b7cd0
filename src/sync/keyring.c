/* SPDX-License-Identifier: Apache-2.0
 * keyring.c - the keys that a connected peer has proven beside its device's.
 * Called by: engine_prove.c, engine_join.c, engine_conn.c (write), access.c from any thread (reads).
 * May touch: its own memory under its lock. Never: messages, the store. */
#include "keyring.h"

#include <string.h>

#include "alloc.h"
#include "lock.h"

struct ring { /* of one peer */
    weft_key peer;
    uint32_t count;
    weft_key keys[WEFT_PROVEN_KEYS_MAX];
};
struct wf_keyring {
    wf_rwlock *lock;
    struct ring *rings; /* ascending by peer; only of connected ones, so bounded as they are */
    uint32_t count, room;
};

struct wf_keyring *wf_keyring_create(void)
{
    struct wf_keyring *ring = wf_calloc(1, sizeof *ring);
    if (ring == NULL) return NULL;
    ring->lock = wf_rwlock_create();
    if (ring->lock == NULL) {
        wf_free(ring);
        return NULL;
    }
    return ring;
}

void wf_keyring_destroy(struct wf_keyring *ring)
{
    if (ring == NULL) return;
    wf_rwlock_destroy(ring->lock);
    wf_free(ring->rings);
    wf_free(ring);
}

static uint32_t peer_at(const struct wf_keyring *ring, const weft_key *peer, bool *found)
{
    uint32_t lo = 0, hi = ring->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&ring->rings[mid].peer, peer) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < ring->count && weft_key_equal(&ring->rings[lo].peer, peer);
    return lo;
}

static weft_err insert(struct wf_keyring *ring, uint32_t at, const weft_key *peer)
{
    if (ring->count == WEFT_CONNECTIONS_MAX) return WEFT_LIMIT;
    if (ring->count == ring->room) {
        uint32_t room = ring->room == 0 ? 4 : ring->room * 2;
        struct ring *rings = wf_realloc(ring->rings, room * sizeof *rings);
        if (rings == NULL) return WEFT_NO_MEMORY;
        ring->rings = rings;
        ring->room = room;
    }
    memmove(&ring->rings[at + 1], &ring->rings[at], (ring->count - at) * sizeof *ring->rings);
    ring->rings[at] = (struct ring){.peer = *peer};
    ring->count++;
    return WEFT_OK;
}

static weft_err add(struct wf_keyring *ring, const weft_key *peer, const weft_key *key)
{
    bool found;
    uint32_t at = peer_at(ring, peer, &found);
    if (!found) {
        weft_err err = insert(ring, at, peer);
        if (err != WEFT_OK) return err;
    }
    struct ring *r = &ring->rings[at];
    for (uint32_t i = 0; i < r->count; i++)
        if (weft_key_equal(&r->keys[i], key)) return WEFT_EXISTS;
    if (r->count == WEFT_PROVEN_KEYS_MAX) return WEFT_LIMIT;
    r->keys[r->count++] = *key;
    return WEFT_OK;
}

weft_err wf_keyring_add(struct wf_keyring *ring, const weft_key *peer, const weft_key *key)
{
    wf_rwlock_write(ring->lock);
    weft_err err = add(ring, peer, key);
    wf_rwlock_give(ring->lock);
    return err;
}

bool wf_keyring_room(struct wf_keyring *ring, const weft_key *peer, const weft_key *key,
                     uint32_t others)
{
    weft_key keys[WEFT_PROVEN_KEYS_MAX];
    uint32_t count = wf_keyring_get(ring, peer, keys);
    for (uint32_t i = 0; i < count; i++)
        if (weft_key_equal(&keys[i], key)) return true;
    return count + others < WEFT_PROVEN_KEYS_MAX;
}

void wf_keyring_drop(struct wf_keyring *ring, const weft_key *peer)
{
    bool found;
    wf_rwlock_write(ring->lock);
    uint32_t at = peer_at(ring, peer, &found);
    if (found) {
        ring->count--;
        memmove(&ring->rings[at], &ring->rings[at + 1], (ring->count - at) * sizeof *ring->rings);
    }
    if (ring->count == 0) { /* most nodes have nobody who proves anything */
        wf_free(ring->rings);
        ring->rings = NULL;
        ring->room = 0;
    }
    wf_rwlock_give(ring->lock);
}

uint32_t wf_keyring_get(struct wf_keyring *ring, const weft_key *peer,
                        weft_key out[WEFT_PROVEN_KEYS_MAX])
{
    bool found;
    uint32_t count = 0;
    if (ring == NULL) return 0;
    wf_rwlock_read(ring->lock);
    uint32_t at = peer_at(ring, peer, &found);
    if (found) {
        count = ring->rings[at].count;
        memcpy(out, ring->rings[at].keys, count * sizeof *out);
    }
    wf_rwlock_give(ring->lock);
    return count;
}
