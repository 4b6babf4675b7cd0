/* SPDX-License-Identifier: Apache-2.0
 * history.c - the syncs that are remembered of each peer (history.h).
 * Called by: peers_*.c. May touch: its own memory.
 * Never: messages, clock, disk. */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* -- Peers and pairs -------------------------------------------------------------------- */

static uint32_t peer_at(const struct wf_history *h, const weft_key *peer)
{
    uint32_t lo = 0, hi = h->peers_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (weft_key_compare(&h->peers[mid]->peer, peer) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

struct wf_past_peer *wf_history_peer(const struct wf_history *h, const weft_key *peer)
{
    uint32_t at = peer_at(h, peer);
    bool found = at < h->peers_count && weft_key_equal(&h->peers[at]->peer, peer);
    return found ? h->peers[at] : NULL;
}

static struct wf_past_peer *need_peer(struct wf_history *h, const weft_key *peer)
{
    uint32_t at = peer_at(h, peer);
    if (at < h->peers_count && weft_key_equal(&h->peers[at]->peer, peer)) return h->peers[at];
    if (h->peers_count == h->peers_room) {
        uint32_t room = h->peers_room == 0 ? 16 : h->peers_room * 2;
        struct wf_past_peer **peers = wf_realloc(h->peers, room * sizeof(struct wf_past_peer *));
        if (peers == NULL) return NULL;
        h->peers = peers;
        h->peers_room = room;
    }
    struct wf_past_peer *p = wf_calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->peer = *peer;
    memmove(&h->peers[at + 1], &h->peers[at],
            (h->peers_count - at) * sizeof(struct wf_past_peer *));
    h->peers[at] = p;
    h->peers_count++;
    return p;
}

static uint32_t pair_at(const struct wf_past_peer *p, const weft_id *tree)
{
    uint32_t i = 0;
    while (i < p->pairs_count && weft_id_compare(&p->pairs[i].tree, tree) < 0) i++;
    return i;
}

struct wf_past_pair *wf_history_pair(const struct wf_history *h, const weft_key *peer,
                                     const weft_id *tree)
{
    struct wf_past_peer *p = wf_history_peer(h, peer);
    uint32_t at = p == NULL ? 0 : pair_at(p, tree);
    if (p == NULL || at == p->pairs_count || !weft_id_equal(&p->pairs[at].tree, tree)) return NULL;
    return &p->pairs[at];
}

/* NULL: memory is short, or there are WEFT_PAIR_SUMS_MAX. */
static struct wf_past_pair *need_pair(struct wf_history *h, struct wf_past_peer *p,
                                      const weft_id *tree)
{
    uint32_t at = pair_at(p, tree);
    if (at < p->pairs_count && weft_id_equal(&p->pairs[at].tree, tree)) return &p->pairs[at];
    if (h->pairs_count == WEFT_PAIR_SUMS_MAX) return NULL;
    if (p->pairs_count == p->pairs_room) {
        uint32_t room = p->pairs_room == 0 ? 2 : p->pairs_room * 2;
        struct wf_past_pair *pairs = wf_realloc(p->pairs, room * sizeof *pairs);
        if (pairs == NULL) return NULL;
        p->pairs = pairs;
        p->pairs_room = room;
    }
    memmove(&p->pairs[at + 1], &p->pairs[at], (p->pairs_count - at) * sizeof *p->pairs);
    p->pairs[at] = (struct wf_past_pair){.tree = *tree};
    p->pairs_count++;
    h->pairs_count++;
    return &p->pairs[at];
}

static void add_up(struct wf_past_pair *pair, const weft_sync_record *r)
{
    pair->dirty = true;
    pair->sent += r->sent;
    pair->received += r->received;
    if (r->err != WEFT_OK) {
        pair->failed++;
        return;
    }
    pair->ok++;
    pair->last_ms = r->began_ms + (int64_t)(r->took_ns / WEFT_MS);
    pair->last_count = r->sent + r->received;
    /* The mean of n from that of n - 1, in steps that cannot overflow. */
    if (r->took_ns >= pair->mean_ns) pair->mean_ns += (r->took_ns - pair->mean_ns) / pair->ok;
    else pair->mean_ns -= (pair->mean_ns - r->took_ns) / pair->ok;
}

/* -- Syncs ------------------------------------------------------------------------------ */

/* At the new end: numbers only grow. */
static void link_in(struct wf_history *h, struct wf_past_peer *p, struct wf_past *past)
{
    past->of = p;
    past->older = h->newest;
    past->newer = NULL;
    if (h->newest == NULL) h->oldest = past;
    else h->newest->newer = past;
    h->newest = past;
    h->count++;
    past->peer_older = p->newest;
    past->peer_newer = NULL;
    if (p->newest == NULL) p->oldest = past;
    else p->newest->peer_newer = past;
    p->newest = past;
    p->count++;
}

static void take_out(struct wf_history *h, struct wf_past *past)
{
    struct wf_past_peer *p = past->of;
    if (past->older == NULL) h->oldest = past->newer;
    else past->older->newer = past->newer;
    if (past->newer == NULL) h->newest = past->older;
    else past->newer->older = past->older;
    h->count--;
    if (past->peer_older == NULL) p->oldest = past->peer_newer;
    else past->peer_older->peer_newer = past->peer_newer;
    if (past->peer_newer == NULL) p->newest = past->peer_older;
    else past->peer_newer->peer_older = past->peer_older;
    p->count--;
}

/* Room for one more record to remove, so that dropping cannot fail. */
static weft_err reserve_gone(struct wf_history *h)
{
    if (h->gone_count < h->gone_room) return WEFT_OK;
    uint32_t room = h->gone_room == 0 ? 16 : h->gone_room * 2;
    struct wf_past_gone *gone = wf_realloc(h->gone, room * sizeof *gone);
    if (gone == NULL) return WEFT_NO_MEMORY;
    h->gone = gone;
    h->gone_room = room;
    return WEFT_OK;
}

static weft_err drop(struct wf_history *h, struct wf_past *past)
{
    if (past->saved) {
        weft_err err = reserve_gone(h);
        if (err != WEFT_OK) return err;
        wf_past_key(&past->record, h->gone[h->gone_count++].key);
        h->changed = true;
    }
    take_out(h, past);
    wf_free(past);
    return WEFT_OK;
}

static weft_err keep_bounds(struct wf_history *h, const struct wf_past_peer *p)
{
    weft_err err = WEFT_OK;
    while (err == WEFT_OK && p->count > WEFT_HISTORY_PER_PEER_MAX) err = drop(h, p->oldest);
    while (err == WEFT_OK && h->count > WEFT_HISTORY_MAX) err = drop(h, h->oldest);
    return err;
}

weft_err wf_history_add(struct wf_history *h, const weft_sync_record *record)
{
    struct wf_past_peer *p = need_peer(h, &record->peer);
    if (p == NULL) return WEFT_NO_MEMORY;
    struct wf_past_pair *pair = need_pair(h, p, &record->tree);
    h->changed = true;
    if (pair != NULL) add_up(pair, record);
    struct wf_past *past = wf_calloc(1, sizeof *past);
    if (past == NULL) return WEFT_NO_MEMORY;
    past->record = *record;
    past->record.number = ++h->number;
    link_in(h, p, past);
    return keep_bounds(h, p);
}

uint32_t wf_history_list(const struct wf_history *h, const weft_key *peer, weft_sync_record *out,
                         uint32_t room)
{
    const struct wf_past_peer *p = wf_history_peer(h, peer);
    uint32_t count = 0;
    for (const struct wf_past *at = p == NULL ? NULL : p->newest; at != NULL && count < room;
         at = at->peer_older)
        out[count++] = at->record;
    return count;
}

uint32_t wf_history_trim(struct wf_history *h, int64_t before_ms)
{
    uint32_t count = 0;
    struct wf_past *next;
    for (struct wf_past *at = h->oldest; at != NULL; at = next) {
        next = at->newer;
        if (at->record.began_ms < before_ms && drop(h, at) == WEFT_OK) count++;
    }
    return count;
}

void wf_history_fini(struct wf_history *h)
{
    struct wf_past *newer;
    for (struct wf_past *at = h->oldest; at != NULL; at = newer) {
        newer = at->newer;
        wf_free(at);
    }
    for (uint32_t i = 0; i < h->peers_count; i++) {
        wf_free(h->peers[i]->pairs);
        wf_free(h->peers[i]);
    }
    wf_free(h->peers);
    wf_free(h->gone);
    *h = (struct wf_history){0};
}

/* -- What was on the disk --------------------------------------------------------------- */

/* In its own list until all of them are there. */
weft_err wf_history_load(struct wf_history *h, const uint8_t *key, size_t key_len,
                         const uint8_t *value, size_t len)
{
    weft_sync_record record;
    weft_err err = wf_past_decode(key, key_len, value, len, &record);
    if (err != WEFT_OK) return err;
    struct wf_past_peer *p = need_peer(h, &record.peer);
    struct wf_past *past = p == NULL ? NULL : wf_calloc(1, sizeof *past);
    if (past == NULL) return WEFT_NO_MEMORY;
    past->record = record;
    past->saved = true;
    if (record.number > h->number) h->number = record.number;
    link_in(h, p, past);
    return WEFT_OK;
}

weft_err wf_history_load_pair(struct wf_history *h, const weft_key *peer, const weft_id *tree,
                              const uint8_t *value, size_t len)
{
    struct wf_past_pair read = {.tree = *tree};
    weft_err err = wf_past_pair_decode(value, len, &read);
    if (err != WEFT_OK) return err;
    struct wf_past_peer *p = need_peer(h, peer);
    struct wf_past_pair *pair = p == NULL ? NULL : need_pair(h, p, tree);
    if (pair == NULL) return h->pairs_count == WEFT_PAIR_SUMS_MAX ? WEFT_OK : WEFT_NO_MEMORY;
    *pair = read;
    return WEFT_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(struct wf_past *const *)a)->record.number;
    uint64_t y = (*(struct wf_past *const *)b)->record.number;
    return x < y ? -1 : x > y;
}

weft_err wf_history_loaded(struct wf_history *h)
{
    uint32_t count = h->count;
    struct wf_past **all = wf_calloc(count + 1u, sizeof(struct wf_past *));
    if (all == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        all[i] = h->oldest;
        take_out(h, h->oldest);
    }
    qsort(all, count, sizeof(struct wf_past *), by_number);
    for (uint32_t i = 0; i < count; i++) link_in(h, all[i]->of, all[i]);
    wf_free(all);
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < h->peers_count; i++)
        err = keep_bounds(h, h->peers[i]);
    return err;
}
