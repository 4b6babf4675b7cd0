/* SPDX-License-Identifier: Apache-2.0
 * damage.c - the table of bodies that do not verify (damage.h).
 * Called by: find.c, writer.c, flush.c, the sync engine. May touch: its table under its
 * lock, which never nests with another. Never: the engine, a peer. */
#include "damage.h"

#include <string.h>

#include "alloc.h"
#include "block.h"
#include "lock.h"
#include "log.h"
#include "state.h"

struct item {
    uint64_t t, seq;
    weft_id id;
    uint32_t tries;
    bool asked;   /* taken by the call under way */
    bool healing; /* the open batch writes it    */
};

struct wf_damage {
    wf_counter count;   /* of items; read without the lock */
    wf_counter era;     /* moves when some are forgotten   */
    wf_lock *lock;      /* guards what follows             */
    struct item *items; /* ascending by (t, seq) */
    uint32_t room;
    weft_addr *to;               /* counted; NULL: nobody listens */
    struct wf_damage_bell *bell; /* NULL: it is with the listener */
    bool missed;                 /* something was noted while it was */
    uint32_t healing;            /* the writer alone: items of the open batch */
};

/* -- The bell ---------------------------------------------------------------------------- */

static void bell_drop(weft_msg *msg)
{
    struct wf_damage_bell *bell = (struct wf_damage_bell *)msg;
    weft_addr_put(bell->to);
    wf_free(bell);
}

const weft_kind wf_damage_kind = {
    .id = 0x0506, .name = "store.damage", .size = sizeof(struct wf_damage_bell), .drop = bell_drop};

/* Under the lock. Takes the bell out if it is here and has something to tell. */
static struct wf_damage_bell *lift(struct wf_damage *d)
{
    struct wf_damage_bell *bell = d->missed ? d->bell : NULL;
    if (bell == NULL) return NULL;
    d->bell = NULL;
    d->missed = false;
    return bell;
}

/* Without the lock. The address must outlive the bell, which may be gone at once. */
static void ring(struct wf_damage_bell *bell)
{
    if (bell == NULL) return;
    weft_addr *to = weft_addr_get(bell->to);
    if (wf_send_system(to, &bell->msg) != WEFT_OK) weft_drop(&bell->msg); /* it has ended */
    weft_addr_put(to);
}

weft_err wf_damage_listen(wf_store *store, weft_addr *to)
{
    struct wf_damage *d = store->damage;
    struct wf_damage_bell *bell = NULL;
    if (to != NULL) {
        bell = wf_calloc(1, sizeof *bell);
        if (bell == NULL) return WEFT_NO_MEMORY;
        weft_msg_init(&bell->msg, &wf_damage_kind);
        bell->to = weft_addr_get(to);
    }
    wf_lock_take(d->lock);
    weft_addr *old_to = d->to;
    struct wf_damage_bell *old_bell = d->bell;
    d->to = to == NULL ? NULL : weft_addr_get(to);
    d->bell = bell;
    d->missed = wf_counter_get(&d->count) > 0;
    bell = lift(d);
    wf_lock_give(d->lock);
    weft_addr_put(old_to);
    if (old_bell != NULL) weft_drop(&old_bell->msg);
    ring(bell);
    return WEFT_OK;
}

void wf_damage_return_take(wf_store *store, struct wf_damage_bell *bell)
{
    struct wf_damage *d = store->damage;
    struct wf_damage_bell *stale = NULL;
    wf_lock_take(d->lock);
    if (bell->to == d->to && d->bell == NULL) d->bell = bell;
    else stale = bell; /* of a listener before this one */
    bell = lift(d);
    wf_lock_give(d->lock);
    if (stale != NULL) weft_drop(&stale->msg);
    ring(bell);
}

/* -- Life -------------------------------------------------------------------------------- */

weft_err wf_damage_create(struct wf_damage **out)
{
    struct wf_damage *d = wf_calloc(1, sizeof *d);
    if (d == NULL) return WEFT_NO_MEMORY;
    d->lock = wf_lock_create();
    if (d->lock == NULL) {
        wf_free(d);
        return WEFT_NO_MEMORY;
    }
    *out = d;
    return WEFT_OK;
}

void wf_damage_destroy(struct wf_damage *d)
{
    if (d == NULL) return;
    if (d->bell != NULL) weft_drop(&d->bell->msg);
    weft_addr_put(d->to);
    wf_lock_destroy(d->lock);
    wf_free(d->items);
    wf_free(d);
}

/* -- The table ----------------------------------------------------------------------------- */

/* Where (t, seq) is, or would be. */
static uint32_t place_of(const struct wf_damage *d, uint64_t t, uint64_t seq)
{
    uint32_t low = 0, high = (uint32_t)wf_counter_get(&d->count);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct item *it = &d->items[middle];
        if (it->t < t || (it->t == t && it->seq < seq)) low = middle + 1;
        else high = middle;
    }
    return low;
}

static struct item *find(const struct wf_damage *d, uint64_t t, uint64_t seq)
{
    uint32_t at = place_of(d, t, seq);
    if (at == wf_counter_get(&d->count)) return NULL;
    struct item *it = &d->items[at];
    return it->t == t && it->seq == seq ? it : NULL;
}

static bool reserve(struct wf_damage *d, uint32_t count)
{
    if (count < d->room) return true;
    if (count == WEFT_DAMAGED_MAX) return false;
    uint32_t room = d->room == 0 ? 16 : d->room * 2;
    struct item *items = wf_realloc(d->items, room * sizeof *items);
    if (items == NULL) return false;
    d->items = items;
    d->room = room;
    return true;
}

static bool insert(struct wf_damage *d, uint64_t t, const wf_place *place)
{
    uint32_t count = (uint32_t)wf_counter_get(&d->count);
    if (find(d, t, place->seq) != NULL || !reserve(d, count)) return false;
    uint32_t at = place_of(d, t, place->seq);
    memmove(d->items + at + 1, d->items + at, (count - at) * sizeof *d->items);
    d->items[at] = (struct item){.t = t, .seq = place->seq, .id = place->id};
    wf_counter_set(&d->count, count + 1);
    return true;
}

/* -- Found --------------------------------------------------------------------------------- */

uint64_t wf_damage_era(wf_store *store) { return wf_counter_get(&store->damage->era); }

uint64_t wf_damage_count(wf_store *store) { return wf_counter_get(&store->damage->count); }

void wf_damage_note(wf_store *store, uint64_t t, const wf_place *place, uint64_t era)
{
    struct wf_damage *d = store->damage;
    struct wf_damage_bell *bell = NULL;
    wf_lock_take(d->lock);
    if (wf_counter_get(&d->era) == era && insert(d, t, place)) {
        d->missed = true;
        bell = lift(d);
    }
    wf_lock_give(d->lock);
    ring(bell);
}

bool wf_damage_has(wf_store *store, uint64_t t, uint64_t seq)
{
    struct wf_damage *d = store->damage;
    if (wf_counter_get(&d->count) == 0) return false;
    wf_lock_take(d->lock);
    bool has = find(d, t, seq) != NULL;
    wf_lock_give(d->lock);
    return has;
}

void wf_damage_forget(wf_store *store, uint64_t t)
{
    struct wf_damage *d = store->damage;
    if (wf_counter_get(&d->count) == 0) return;
    wf_lock_take(d->lock);
    uint32_t from = place_of(d, t, 0), to = place_of(d, t + 1, 0);
    uint32_t count = (uint32_t)wf_counter_get(&d->count);
    memmove(d->items + from, d->items + to, (count - to) * sizeof *d->items);
    wf_counter_set(&d->count, count - (to - from));
    wf_counter_add(&d->era, 1);
    wf_lock_give(d->lock);
}

/* -- Asked for ----------------------------------------------------------------------------- */

uint64_t wf_damage_tree_after(wf_store *store, uint64_t t)
{
    struct wf_damage *d = store->damage;
    if (wf_counter_get(&d->count) == 0 || t == UINT64_MAX) return 0;
    wf_lock_take(d->lock);
    uint32_t at = place_of(d, t + 1, 0);
    uint64_t next = at < wf_counter_get(&d->count) ? d->items[at].t : 0;
    wf_lock_give(d->lock);
    return next;
}

/* The least number of tries, from `tries` on, among items [from, to); UINT32_MAX: none. */
static uint32_t next_tries(const struct wf_damage *d, uint32_t from, uint32_t to, uint32_t tries)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = from; i < to; i++)
        if (d->items[i].tries >= tries && d->items[i].tries < least) least = d->items[i].tries;
    return least;
}

uint32_t wf_damage_take(wf_store *store, uint64_t t, weft_id *out, uint32_t room)
{
    struct wf_damage *d = store->damage;
    uint32_t taken = 0;
    wf_lock_take(d->lock);
    uint32_t from = place_of(d, t, 0), to = place_of(d, t + 1, 0);
    uint32_t tries = next_tries(d, from, to, 0);
    while (tries != UINT32_MAX && taken < room) {
        for (uint32_t i = from; i < to && taken < room; i++) {
            struct item *it = &d->items[i];
            if (it->tries != tries || it->healing) continue;
            out[taken++] = it->id;
            it->asked = true;
        }
        tries = next_tries(d, from, to, tries + 1);
    }
    for (uint32_t i = from; i < to; i++) { /* only now: a higher count is a later turn */
        d->items[i].tries += d->items[i].asked;
        d->items[i].asked = false;
    }
    wf_lock_give(d->lock);
    return taken;
}

/* -- Healed -------------------------------------------------------------------------------- */

bool wf_damage_heal(wf_store *store, uint64_t t, uint64_t seq)
{
    struct wf_damage *d = store->damage;
    if (wf_counter_get(&d->count) == 0) return false;
    wf_lock_take(d->lock);
    struct item *it = find(d, t, seq);
    bool heals = it != NULL && !it->healing;
    if (heals) it->healing = true;
    wf_lock_give(d->lock);
    d->healing += heals;
    return heals;
}

uint32_t wf_damage_settle(wf_store *store, bool written)
{
    struct wf_damage *d = store->damage;
    uint32_t healed = written ? d->healing : 0, kept = 0;
    if (d->healing == 0) return 0;
    d->healing = 0;
    wf_lock_take(d->lock);
    uint32_t count = (uint32_t)wf_counter_get(&d->count);
    for (uint32_t i = 0; i < count; i++) {
        struct item *it = &d->items[i];
        if (it->healing && written) continue;
        it->healing = false;
        d->items[kept++] = *it;
    }
    wf_counter_set(&d->count, kept);
    if (written) wf_counter_add(&d->era, 1);
    wf_lock_give(d->lock);
    return healed;
}
