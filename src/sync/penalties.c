/* SPDX-License-Identifier: Apache-2.0
 * penalties.c - the keys that are refused for a time because they broke the rules (penalties.h).
 * Called by: peers_actor.c, for transport's hooks, and peers_look.c.
 * May touch: its own memory under its lock. Never: messages, clocks: the caller says when. */
#include "penalties.h"

#include <assert.h>
#include <string.h>
#include <weft/limits.h>

#include "alloc.h"
#include "lock.h"

static_assert(WEFT_PENALTY_MEMORY_NS > WEFT_PENALTY_MAX_NS, "refused and not remembered");

struct penalty {
    weft_key key;
    uint32_t offences; /* since it was forgotten the last time       */
    weft_ns last;      /* when the last of them was                  */
    weft_ns until;     /* it is refused before that                  */
};
struct wf_penalties {
    wf_rwlock *lock;
    struct penalty *rows; /* ascending by key */
    uint32_t count, room;
};

struct wf_penalties *wf_penalties_create(void)
{
    struct wf_penalties *all = wf_calloc(1, sizeof *all);
    if (all == NULL) return NULL;
    all->lock = wf_rwlock_create();
    if (all->lock == NULL) {
        wf_free(all);
        return NULL;
    }
    return all;
}

void wf_penalties_destroy(struct wf_penalties *all)
{
    if (all == NULL) return;
    wf_rwlock_destroy(all->lock);
    wf_free(all->rows);
    wf_free(all);
}

bool wf_penalties_is_offence(weft_err why)
{
    switch (why) {
    case WEFT_PROTOCOL: /* a frame that may not come there */
    case WEFT_SYNTAX:
    case WEFT_NOT_CANONICAL:
    case WEFT_LIMIT: /* more than was granted */
    case WEFT_AUTH:  /* a proof that is none  */
    case WEFT_BAD_ID:
    case WEFT_BAD_SIGNATURE:
    case WEFT_BAD_ENTRY:
    case WEFT_FORBIDDEN: return true; /* an entry that no honest node has stored */
    default: return false;
    }
}

static uint32_t place_of(const struct wf_penalties *all, const weft_key *key, bool *found)
{
    uint32_t lo = 0, hi = all->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&all->rows[mid].key, key) < 0) lo = mid + 1;
        else hi = mid;
    }
    *found = lo < all->count && weft_key_equal(&all->rows[lo].key, key);
    return lo;
}

static void remove_at(struct wf_penalties *all, uint32_t at)
{
    all->count--;
    memmove(&all->rows[at], &all->rows[at + 1], (all->count - at) * sizeof *all->rows);
}

static void remove_oldest(struct wf_penalties *all)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < all->count; i++)
        if (all->rows[i].last < all->rows[oldest].last) oldest = i;
    remove_at(all, oldest);
}

/* NULL: memory is short. */
static struct penalty *row_of(struct wf_penalties *all, const weft_key *key)
{
    bool found;
    uint32_t at = place_of(all, key, &found);
    if (found) return &all->rows[at];
    if (all->count == WEFT_PENALTIES_MAX) {
        remove_oldest(all);
        at = place_of(all, key, &found);
    }
    if (all->count == all->room) {
        uint32_t room = all->room == 0 ? 16 : all->room * 2;
        struct penalty *rows = wf_realloc(all->rows, room * sizeof *rows);
        if (rows == NULL) return NULL;
        all->rows = rows;
        all->room = room;
    }
    memmove(&all->rows[at + 1], &all->rows[at], (all->count - at) * sizeof *all->rows);
    all->rows[at] = (struct penalty){.key = *key};
    all->count++;
    return &all->rows[at];
}

/* One mistake may be that of a good peer, so the first costs nothing. */
static weft_ns refused_for(uint32_t offences)
{
    if (offences < 2) return 0;
    uint32_t doubled = offences - 2;
    weft_ns time = WEFT_SEC;
    while (doubled-- > 0 && time < WEFT_PENALTY_MAX_NS) time *= 2;
    return time < WEFT_PENALTY_MAX_NS ? time : WEFT_PENALTY_MAX_NS;
}

bool wf_penalties_note(struct wf_penalties *all, const weft_key *key, weft_ns now)
{
    wf_rwlock_write(all->lock);
    struct penalty *row = row_of(all, key);
    if (row != NULL) {
        if (row->offences > 0 && now - row->last >= WEFT_PENALTY_MEMORY_NS) row->offences = 0;
        if (row->offences < UINT32_MAX) row->offences++;
        row->last = now;
        row->until = now + refused_for(row->offences);
    }
    wf_rwlock_give(all->lock);
    return row != NULL;
}

weft_ns wf_penalties_left(struct wf_penalties *all, const weft_key *key, weft_ns now)
{
    bool found;
    wf_rwlock_read(all->lock);
    uint32_t at = place_of(all, key, &found);
    weft_ns until = found ? all->rows[at].until : 0;
    wf_rwlock_give(all->lock);
    return until > now ? until - now : 0;
}
