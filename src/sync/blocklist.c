/* SPDX-License-Identifier: Apache-2.0
 * blocklist.c - the keys that may not connect, readable from any thread.
 * Called by: the peer manager's rooms (write), transport through wf_peers_may_connect (reads).
 * May touch: its own memory under its lock. Never: messages. */
#include "blocklist.h"

#include <string.h>

#include "alloc.h"
#include "lock.h"

struct wf_blocklist {
    wf_rwlock *lock;
    weft_key *keys; /* ascending; at most WEFT_PEERS_MAX, as the registry */
    uint32_t count, room;
};

struct wf_blocklist *wf_blocklist_create(void)
{
    struct wf_blocklist *list = wf_calloc(1, sizeof *list);
    if (list == NULL) return NULL;
    list->lock = wf_rwlock_create();
    if (list->lock == NULL) {
        wf_free(list);
        return NULL;
    }
    return list;
}

void wf_blocklist_destroy(struct wf_blocklist *list)
{
    if (list == NULL) return;
    wf_rwlock_destroy(list->lock);
    wf_free(list->keys);
    wf_free(list);
}

static uint32_t key_at(const struct wf_blocklist *list, const weft_key *key, bool *found)
{
    uint32_t lo = 0, hi = list->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&list->keys[mid], key) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < list->count && weft_key_equal(&list->keys[lo], key);
    return lo;
}

static weft_err insert(struct wf_blocklist *list, uint32_t at, const weft_key *key)
{
    if (list->count == WEFT_PEERS_MAX) return WEFT_LIMIT;
    if (list->count == list->room) {
        uint32_t room = list->room == 0 ? 16 : list->room * 2;
        weft_key *keys = wf_realloc(list->keys, room * sizeof *keys);
        if (keys == NULL) return WEFT_NO_MEMORY;
        list->keys = keys;
        list->room = room;
    }
    memmove(&list->keys[at + 1], &list->keys[at], (list->count - at) * sizeof *key);
    list->keys[at] = *key;
    list->count++;
    return WEFT_OK;
}

weft_err wf_blocklist_set(struct wf_blocklist *list, const weft_key *key, bool blocked)
{
    weft_err err = WEFT_OK;
    wf_rwlock_write(list->lock);
    bool found;
    uint32_t at = key_at(list, key, &found);
    if (blocked && !found) {
        err = insert(list, at, key);
    } else if (!blocked && found) {
        list->count--;
        memmove(&list->keys[at], &list->keys[at + 1], (list->count - at) * sizeof *key);
    }
    wf_rwlock_give(list->lock);
    return err;
}

bool wf_blocklist_has(struct wf_blocklist *list, const weft_key *key)
{
    bool found;
    wf_rwlock_read(list->lock);
    (void)key_at(list, key, &found);
    wf_rwlock_give(list->lock);
    return found;
}
