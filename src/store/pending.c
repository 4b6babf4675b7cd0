/* SPDX-License-Identifier: Apache-2.0
 * pending.c - entries that wait for parents: a bounded pool in memory.
 * Called by: the store actor's rooms. May touch: its own items.
 * Never: the engine, a tip, a cursor. */
#include "pending.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

#define BUCKET_BITS 14u
#define BUCKETS (1u << BUCKET_BITS)

struct wf_pending_peer { /* what one peer has here; gone with its last item */
    struct wf_pending_peer *next;
    weft_key key;
    struct wf_pending_item *oldest, *newest;
    uint64_t bytes;
    uint32_t count;
};

void wf_pending_init(struct wf_pending *pool, uint64_t secret,
                     void (*dropped)(void *arg, const struct wf_pending_item *item), void *arg)
{
    *pool = (struct wf_pending){
        .secret = secret | 1, .ttl_ns = WEFT_PENDING_TTL_NS, .dropped = dropped, .arg = arg};
}

/* Peers choose ids, but not the secret: they cannot fill one chain on purpose. */
static uint32_t bucket(const struct wf_pending *pool, const uint8_t bytes[32])
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return (uint32_t)((word * pool->secret) >> (64 - BUCKET_BITS));
}

static uint64_t cost(const struct wf_pending_item *item)
{
    return sizeof *item + weft_buf_len(item->buf);
}

void wf_pending_item_free(struct wf_pending_item *item)
{
    if (item == NULL) return;
    weft_buf_unref(item->buf);
    wf_free(item);
}

/* -- Links --------------------------------------------------------------------------- */

static struct wf_pending_peer *peer_find(const struct wf_pending *pool, const weft_key *key)
{
    struct wf_pending_peer *peer = pool->peers[bucket(pool, key->bytes)];
    while (peer != NULL && !weft_key_equal(&peer->key, key)) peer = peer->next;
    return peer;
}

static struct wf_pending_peer *peer_make(struct wf_pending *pool, const weft_key *key)
{
    struct wf_pending_peer *peer = peer_find(pool, key);
    if (peer != NULL) return peer;
    peer = wf_calloc(1, sizeof *peer);
    if (peer == NULL) return NULL;
    peer->key = *key;
    struct wf_pending_peer **head = &pool->peers[bucket(pool, key->bytes)];
    peer->next = *head;
    *head = peer;
    return peer;
}

static void peer_release(struct wf_pending *pool, struct wf_pending_peer *peer)
{
    if (peer->count > 0) return;
    struct wf_pending_peer **link = &pool->peers[bucket(pool, peer->key.bytes)];
    while (*link != peer) link = &(*link)->next;
    *link = peer->next;
    wf_free(peer);
}

/* At the end of its chain: those that wait for one parent leave in order of arrival. */
static void wait_link(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_wait *wait = &pool->by_wait[bucket(pool, item->waits_for.bytes)];
    item->next_wait = NULL;
    *(wait->first == NULL ? &wait->first : &wait->last->next_wait) = item;
    wait->last = item;
}

static void wait_unlink(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_wait *wait = &pool->by_wait[bucket(pool, item->waits_for.bytes)];
    struct wf_pending_item *before = NULL, *at = wait->first;
    for (; at != item; at = at->next_wait) before = at;
    *(before == NULL ? &wait->first : &before->next_wait) = item->next_wait;
    if (wait->last == item) wait->last = before;
}

static void id_link(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_item **head = &pool->by_id[bucket(pool, item->id.bytes)];
    item->next_id = *head;
    *head = item;
}

static void id_unlink(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_item **link = &pool->by_id[bucket(pool, item->id.bytes)];
    while (*link != item) link = &(*link)->next_id;
    *link = item->next_id;
}

/* Into both lists by age. An item that comes back goes where its age belongs; that is
 * near the old end, so the search is short from there. */
static void age_link(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_item *at = pool->newest;
    if (at != NULL && at->expires_ns > item->expires_ns) {
        at = pool->oldest;
        while (at != NULL && at->expires_ns <= item->expires_ns) at = at->newer;
        at = at == NULL ? pool->newest : at->older; /* the last one not younger */
    }
    item->older = at;
    item->newer = at == NULL ? pool->oldest : at->newer;
    *(item->older == NULL ? &pool->oldest : &item->older->newer) = item;
    *(item->newer == NULL ? &pool->newest : &item->newer->older) = item;

    struct wf_pending_peer *peer = item->peer;
    at = peer->newest;
    while (at != NULL && at->expires_ns > item->expires_ns) at = at->peer_older;
    item->peer_older = at;
    item->peer_newer = at == NULL ? peer->oldest : at->peer_newer;
    *(item->peer_older == NULL ? &peer->oldest : &item->peer_older->peer_newer) = item;
    *(item->peer_newer == NULL ? &peer->newest : &item->peer_newer->peer_older) = item;
}

static void age_unlink(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_peer *peer = item->peer;
    *(item->older == NULL ? &pool->oldest : &item->older->newer) = item->newer;
    *(item->newer == NULL ? &pool->newest : &item->newer->older) = item->older;
    *(item->peer_older == NULL ? &peer->oldest : &item->peer_older->peer_newer) = item->peer_newer;
    *(item->peer_newer == NULL ? &peer->newest : &item->peer_newer->peer_older) = item->peer_older;
}

static void link_in(struct wf_pending *pool, struct wf_pending_item *item)
{
    wait_link(pool, item);
    id_link(pool, item);
    age_link(pool, item);
    pool->bytes += cost(item);
    pool->count++;
    item->peer->bytes += cost(item);
    item->peer->count++;
}

/* The peer's account stays open: see peer_release. */
static void link_out(struct wf_pending *pool, struct wf_pending_item *item)
{
    wait_unlink(pool, item);
    id_unlink(pool, item);
    age_unlink(pool, item);
    pool->bytes -= cost(item);
    pool->count--;
    item->peer->bytes -= cost(item);
    item->peer->count--;
}

static void drop(struct wf_pending *pool, struct wf_pending_item *item)
{
    struct wf_pending_peer *peer = item->peer;
    link_out(pool, item);
    if (pool->dropped != NULL) pool->dropped(pool->arg, item);
    wf_pending_item_free(item);
    peer_release(pool, peer);
}

/* -- The pool ---------------------------------------------------------------------------- */

void wf_pending_clear(struct wf_pending *pool)
{
    while (pool->oldest != NULL) drop(pool, pool->oldest);
}

void wf_pending_fini(struct wf_pending *pool)
{
    pool->dropped = NULL;
    wf_pending_clear(pool);
    wf_free(pool->by_id);
    wf_free(pool->by_wait);
    wf_free(pool->peers);
    *pool = (struct wf_pending){0};
}

static weft_err make_buckets(struct wf_pending *pool)
{
    if (pool->peers != NULL) return WEFT_OK;
    if (pool->by_id == NULL) pool->by_id = wf_calloc(BUCKETS, sizeof(*pool->by_id));
    if (pool->by_wait == NULL) pool->by_wait = wf_calloc(BUCKETS, sizeof(*pool->by_wait));
    if (pool->by_id == NULL || pool->by_wait == NULL) return WEFT_NO_MEMORY;
    pool->peers = wf_calloc(BUCKETS, sizeof(*pool->peers));
    return pool->peers == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

struct wf_pending_item *wf_pending_find(const struct wf_pending *pool, const weft_id *id)
{
    if (pool->count == 0) return NULL;
    struct wf_pending_item *item = pool->by_id[bucket(pool, id->bytes)];
    while (item != NULL && !weft_id_equal(&item->id, id)) item = item->next_id;
    return item;
}

static bool over_peer(const struct wf_pending_peer *peer)
{
    return peer->bytes > WEFT_PENDING_PEER_BYTES || peer->count > WEFT_PENDING_PEER_ENTRIES;
}

weft_err wf_pending_put(struct wf_pending *pool, const struct wf_pending_item *like,
                        const uint8_t *bytes, size_t len, uint64_t now)
{
    if (sizeof *like + len > WEFT_PENDING_PEER_BYTES) return WEFT_LIMIT;
    if (wf_pending_find(pool, &like->id) != NULL) return WEFT_EXISTS;
    weft_err err = make_buckets(pool);
    if (err != WEFT_OK) return err;
    struct wf_pending_item *item = wf_malloc(sizeof *item);
    if (item == NULL) return WEFT_NO_MEMORY;
    *item = *like;
    item->expires_ns = now + pool->ttl_ns;
    err = weft_buf_create_copy(bytes, len, &item->buf);
    if (err == WEFT_OK) {
        item->peer = peer_make(pool, &like->source.peer);
        if (item->peer == NULL) {
            weft_buf_unref(item->buf);
            err = WEFT_NO_MEMORY;
        }
    }
    if (err != WEFT_OK) {
        wf_free(item);
        return err;
    }
    link_in(pool, item);
    while (over_peer(item->peer)) drop(pool, item->peer->oldest);
    while (pool->bytes > WEFT_PENDING_NODE_BYTES) drop(pool, pool->oldest);
    return WEFT_OK;
}

struct wf_pending_item *wf_pending_take(struct wf_pending *pool, const weft_id *parent)
{
    if (pool->count == 0) return NULL;
    struct wf_pending_item *item = pool->by_wait[bucket(pool, parent->bytes)].first;
    while (item != NULL && !weft_id_equal(&item->waits_for, parent)) item = item->next_wait;
    if (item == NULL) return NULL;
    struct wf_pending_peer *peer = item->peer;
    link_out(pool, item);
    item->peer = NULL;
    peer_release(pool, peer);
    return item;
}

void wf_pending_return(struct wf_pending *pool, struct wf_pending_item *item)
{
    item->peer = peer_make(pool, &item->source.peer);
    if (item->peer == NULL) { /* memory is short: what waits is what can go */
        if (pool->dropped != NULL) pool->dropped(pool->arg, item);
        wf_pending_item_free(item);
        return;
    }
    link_in(pool, item);
}

uint64_t wf_pending_expire(struct wf_pending *pool, uint64_t now)
{
    while (pool->oldest != NULL && pool->oldest->expires_ns <= now) drop(pool, pool->oldest);
    return pool->oldest == NULL ? WEFT_NEVER : pool->oldest->expires_ns;
}
