/* SPDX-License-Identifier: Apache-2.0
 * keyset.c - a set of keys of peers, readable from any thread (keyset.h).
 * Called by: the peer manager's rooms (write), transport through wf_peers_may_connect and the engine
 * (read). May touch: its own memory under its lock. Never: messages. */
#include "keyset.h"

#include <string.h>

#include "alloc.h"
#include "lock.h"

struct wf_keyset {
    wf_rwlock *lock;
    weft_key *keys; /* ascending; at most WEFT_PEERS_MAX, as the registry */
    uint32_t count, room;
};

struct wf_keyset *wf_keyset_create(void)
{
    struct wf_keyset *set = wf_calloc(1, sizeof *set);
    if (set == NULL) return NULL;
    set->lock = wf_rwlock_create();
    if (set->lock == NULL) {
        wf_free(set);
        return NULL;
    }
    return set;
}

void wf_keyset_destroy(struct wf_keyset *set)
{
    if (set == NULL) return;
    wf_rwlock_destroy(set->lock);
    wf_free(set->keys);
    wf_free(set);
}

static uint32_t key_at(const struct wf_keyset *set, const weft_key *key, bool *found)
{
    uint32_t lo = 0, hi = set->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&set->keys[mid], key) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < set->count && weft_key_equal(&set->keys[lo], key);
    return lo;
}

static weft_err insert(struct wf_keyset *set, uint32_t at, const weft_key *key)
{
    if (set->count == WEFT_PEERS_MAX) return WEFT_LIMIT;
    if (set->count == set->room) {
        uint32_t room = set->room == 0 ? 16 : set->room * 2;
        weft_key *keys = wf_realloc(set->keys, room * sizeof *keys);
        if (keys == NULL) return WEFT_NO_MEMORY;
        set->keys = keys;
        set->room = room;
    }
    memmove(&set->keys[at + 1], &set->keys[at], (set->count - at) * sizeof *key);
    set->keys[at] = *key;
    set->count++;
    return WEFT_OK;
}

weft_err wf_keyset_set(struct wf_keyset *set, const weft_key *key, bool in)
{
    weft_err err = WEFT_OK;
    wf_rwlock_write(set->lock);
    bool found;
    uint32_t at = key_at(set, key, &found);
    if (in && !found) {
        err = insert(set, at, key);
    } else if (!in && found) {
        set->count--;
        memmove(&set->keys[at], &set->keys[at + 1], (set->count - at) * sizeof *key);
    }
    wf_rwlock_give(set->lock);
    return err;
}

bool wf_keyset_has(struct wf_keyset *set, const weft_key *key)
{
    bool found;
    wf_rwlock_read(set->lock);
    (void)key_at(set, key, &found);
    wf_rwlock_give(set->lock);
    return found;
}
