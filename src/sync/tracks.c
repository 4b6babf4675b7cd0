/* SPDX-License-Identifier: Apache-2.0
 * tracks.c - what the sync settings of all trees come to, for those who act on them.
 * Called by: the access actor (writes), engine and queue (read). Any thread.
 * May touch: its own memory under its lock. Never: messages, the store. */
#include "tracks.h"

#include <string.h>

#include "alloc.h"
#include "lock.h"
#include "log.h"

struct wf_tracks {
    wf_rwlock *lock;
    wf_counter interval;
    wf_counter waiting; /* their number; most nodes have none, and ask for no lock */
    weft_id *trees;     /* whose entries wait, ascending */
    uint32_t count, room;
};

struct wf_tracks *wf_tracks_create(void)
{
    struct wf_tracks *t = wf_calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->lock = wf_rwlock_create();
    if (t->lock != NULL) return t;
    wf_free(t);
    return NULL;
}

void wf_tracks_destroy(struct wf_tracks *t)
{
    if (t == NULL) return;
    wf_rwlock_destroy(t->lock);
    wf_free(t->trees);
    wf_free(t);
}

weft_ns wf_tracks_interval(struct wf_tracks *t)
{
    return t == NULL ? 0 : wf_counter_get(&t->interval);
}

bool wf_tracks_set_interval(struct wf_tracks *t, weft_ns interval)
{
    bool changed = wf_counter_get(&t->interval) != interval;
    wf_counter_set(&t->interval, interval);
    return changed;
}

static uint32_t tree_at(const struct wf_tracks *t, const weft_id *tree, bool *found)
{
    uint32_t lo = 0, hi = t->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_id_compare(&t->trees[mid], tree) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < t->count && weft_id_equal(&t->trees[lo], tree);
    return lo;
}

bool wf_tracks_on_commit(struct wf_tracks *t, const weft_id *tree)
{
    bool waits;
    if (t == NULL || wf_counter_get(&t->waiting) == 0) return true;
    wf_rwlock_read(t->lock);
    (void)tree_at(t, tree, &waits);
    wf_rwlock_give(t->lock);
    return !waits;
}

weft_err wf_tracks_reserve(struct wf_tracks *t, uint32_t more)
{
    weft_err err = WEFT_OK;
    wf_rwlock_write(t->lock);
    uint32_t want = t->count + more;
    if (want > t->room) {
        uint32_t room = want < 2 * t->room ? 2 * t->room : want;
        weft_id *trees = wf_realloc(t->trees, room * sizeof *trees);
        if (trees == NULL) err = WEFT_NO_MEMORY;
        else {
            t->trees = trees;
            t->room = room;
        }
    }
    wf_rwlock_give(t->lock);
    return err;
}

bool wf_tracks_set(struct wf_tracks *t, const weft_id *tree, bool on_commit)
{
    bool waits;
    wf_rwlock_write(t->lock);
    uint32_t at = tree_at(t, tree, &waits);
    if (waits && on_commit) {
        t->count--;
        memmove(&t->trees[at], &t->trees[at + 1], (t->count - at) * sizeof *t->trees);
    } else if (!waits && !on_commit) {
        WF_ASSERT(t->count < t->room);
        memmove(&t->trees[at + 1], &t->trees[at], (t->count - at) * sizeof *t->trees);
        t->trees[at] = *tree;
        t->count++;
    }
    wf_counter_set(&t->waiting, t->count);
    wf_rwlock_give(t->lock);
    return waits == on_commit;
}

void wf_tracks_replace_take(struct wf_tracks *t, weft_id *waiting, uint32_t count)
{
    wf_rwlock_write(t->lock);
    wf_free(t->trees);
    t->trees = waiting;
    t->count = t->room = count;
    wf_counter_set(&t->waiting, count);
    wf_rwlock_give(t->lock);
}
