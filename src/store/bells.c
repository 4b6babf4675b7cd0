/* SPDX-License-Identifier: Apache-2.0
 * bells.c - doorbells: who is told which trees grew, and by what.
 * Called by: the store actor's rooms. May touch: subscribers, the newest entries.
 * Never: tells of what is not durable yet, or waits for a subscriber. */
#include "bells.h"

#include "alloc.h"
#include "block.h"

/* -- The newest entries, as counted buffers ---------------------------------------------- */

static struct wf_stored_entry *recent_at(struct wf_bells *bells, uint32_t i)
{
    return &bells->recent[(bells->first + i) % WEFT_DOORBELL_ENTRIES];
}

static void forget_oldest(struct wf_bells *bells)
{
    struct wf_stored_entry *oldest = recent_at(bells, 0);
    bells->bytes -= oldest->len;
    weft_buf_unref(oldest->buf);
    bells->first = (bells->first + 1) % WEFT_DOORBELL_ENTRIES;
    bells->count--;
}

/* A frame is kept for the sake of one entry only if the entry is most of it. */
static weft_buf *keep(const struct wf_fresh *fresh, const uint8_t **bytes)
{
    if (fresh->holder != NULL && weft_buf_len(fresh->holder) <= 2 * (size_t)fresh->len + 1024) {
        *bytes = fresh->bytes;
        return weft_buf_ref(fresh->holder);
    }
    weft_buf *copy;
    if (weft_buf_create_copy(fresh->bytes, fresh->len, &copy) != WEFT_OK) return NULL;
    *bytes = weft_buf_bytes(copy);
    return copy;
}

static void remember(struct wf_bells *bells, const wf_store *store, const struct wf_fresh *fresh)
{
    const uint8_t *bytes;
    weft_buf *buf = keep(fresh, &bytes);
    if (buf == NULL || fresh->len > WEFT_DOORBELL_BYTES) { /* a gap: then none of the older */
        weft_buf_unref(buf);
        while (bells->count > 0) forget_oldest(bells);
        return;
    }
    while (bells->count == WEFT_DOORBELL_ENTRIES || bells->bytes + fresh->len > WEFT_DOORBELL_BYTES)
        forget_oldest(bells);
    *recent_at(bells, bells->count++) = (struct wf_stored_entry){
        .tree = wf_trees_at(&store->trees, fresh->t)->now.tree,
        .t = fresh->t,
        .seq = fresh->seq,
        .gen = fresh->gen,
        .id = fresh->id,
        .source = fresh->source,
        .committed_ns = fresh->taken_ns,
        .buf = buf,
        .bytes = bytes,
        .len = fresh->len,
    };
    bells->bytes += fresh->len;
}

/* -- Subscribers --------------------------------------------------------------------------- */

static void subscriber_free(struct wf_subscriber *s)
{
    if (s->bell != NULL) weft_drop(&s->bell->msg);
    weft_addr_put(s->addr);
    wf_free(s->trees);
    wf_free(s->grown);
    wf_free(s);
}

void wf_bells_fini(struct wf_bells *bells)
{
    while (bells->count > 0) forget_oldest(bells);
    for (struct wf_subscriber *s = bells->subscribers, *next; s != NULL; s = next) {
        next = s->next;
        subscriber_free(s);
    }
    bells->subscribers = NULL;
}

/* Room for all trees of the store. New ones start untold. */
static bool reserve(struct wf_subscriber *s, uint32_t trees)
{
    if (trees <= s->trees_room) return true;
    uint32_t room = s->trees_room == 0 ? 16 : s->trees_room;
    while (room < trees) room *= 2;
    struct wf_bell_tree *list = wf_realloc(s->trees, room * sizeof *list);
    if (list == NULL) return false;
    memset(list + s->trees_room, 0, (room - s->trees_room) * sizeof *list);
    s->trees = list;
    uint32_t *grown = wf_realloc(s->grown, room * sizeof *grown);
    if (grown == NULL) return false;
    s->grown = grown;
    s->trees_room = room;
    return true;
}

static void lose(struct wf_subscriber *s, const wf_store *store)
{
    if (!s->lost) s->lost_told = store->durable;
    s->lost = true;
    s->lost_at = store->published;
}

static void grow(struct wf_subscriber *s, const wf_store *store, uint32_t t)
{
    struct wf_bell_tree *tree = &s->trees[t - 1];
    if (tree->grew || store->trees.list[t - 1]->pub.seq <= tree->told) return;
    tree->grew = true;
    s->grown[s->grown_count++] = t;
}

static void join(struct wf_subscriber *s, struct wf_bells *bells, const wf_store *store,
                 weft_addr *addr)
{
    s->addr = weft_addr_get(addr);
    s->told_outages = bells->outages;
    if (!reserve(s, store->trees.count)) lose(s, store);
    for (uint32_t i = 0; i < store->trees.count && i < s->trees_room; i++) {
        s->trees[i].told = wf_tree_durable(store, store->trees.list[i]);
        grow(s, store, i + 1); /* by what the disk is still to have */
    }
}

void wf_bells_take(struct wf_bells *bells, const wf_store *store, struct wf_stored *bell)
{
    struct wf_subscriber **link = &bells->subscribers;
    wf_stored_clear(bell);
    while (*link != NULL && (*link)->addr != bell->subscriber) link = &(*link)->next;
    if (*link == NULL && bell->place != NULL) {
        *link = bell->place;
        bell->place = NULL;
        join(*link, bells, store, bell->subscriber);
    }
    struct wf_subscriber *s = *link;
    if (s == NULL) { /* its subscriber has ended, and was forgotten for that */
        weft_drop(&bell->msg);
        return;
    }
    if (s->bell != NULL) weft_drop(&s->bell->msg); /* it began anew: the old one is void */
    s->bell = bell;
    s->at_once |= bell->at_once;
}

/* -- Gathering and ringing ------------------------------------------------------------------ */

void wf_bells_gather(struct wf_bells *bells, const wf_store *store)
{
    if (bells->subscribers == NULL) return;
    uint32_t from = store->fresh_count > WEFT_DOORBELL_ENTRIES
                        ? store->fresh_count - WEFT_DOORBELL_ENTRIES
                        : 0;
    for (uint32_t i = from; i < store->fresh_count; i++) remember(bells, store, &store->fresh[i]);
    for (struct wf_subscriber *s = bells->subscribers; s != NULL; s = s->next) {
        if (!reserve(s, store->trees.count)) lose(s, store);
        for (uint32_t i = 0; i < store->touched_count; i++) {
            uint32_t t = store->touched[i];
            if (t <= s->trees_room) grow(s, store, t);
        }
    }
}

static bool is_told(const struct wf_stored_tree *tree, const struct wf_stored_entry *entry)
{
    return entry->t == tree->t && entry->seq > tree->from_seq && entry->seq <= tree->to_seq;
}

/* Do the newest entries hold all that a tree grew by? */
static bool is_complete(struct wf_bells *bells, const struct wf_stored_tree *tree)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < bells->count; i++) {
        if (is_told(tree, recent_at(bells, i))) found++;
    }
    return found == tree->to_seq - tree->from_seq;
}

static void fill_state(const struct wf_bells *bells, struct wf_subscriber *s)
{
    s->bell->store_err = s->told_err = bells->store_err;
    s->bell->outages = s->told_outages = bells->outages;
}

/* Of the trees that grew, those that the disk has something new of go into the bell. The rest
 * stays, in its order; and behind it those that grow on, so that all get their turn. */
static void take_grown(const wf_store *store, struct wf_subscriber *s)
{
    struct wf_stored *bell = s->bell;
    uint32_t kept = 0, count = 0;
    for (uint32_t i = 0; i < s->grown_count; i++) {
        uint32_t t = s->grown[i];
        const struct wf_tree *tree = store->trees.list[t - 1];
        struct wf_bell_tree *told = &s->trees[t - 1];
        uint64_t to = wf_tree_durable(store, tree);
        bool news = to > told->told;
        if (!news || count == WEFT_DOORBELL_TREES) {
            s->grown[kept++] = t;
            bell->more_trees |= news;
            continue;
        }
        bell->trees[count++] = (struct wf_stored_tree){
            .tree = tree->pub.tree, .t = t, .from_seq = told->told, .to_seq = to};
        told->told = to;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t t = (uint32_t)bell->trees[i].t;
        s->trees[t - 1].grew = store->trees.list[t - 1]->pub.seq > bell->trees[i].to_seq;
        if (s->trees[t - 1].grew) s->grown[kept++] = t;
    }
    bell->trees_count = count;
    s->grown_count = kept;
}

static void fill_trees(struct wf_bells *bells, const wf_store *store, struct wf_subscriber *s)
{
    struct wf_stored *bell = s->bell;
    bell->more_trees = s->lost;
    take_grown(store, s);
    uint32_t count = bell->trees_count;
    for (uint32_t i = 0; i < count; i++)
        bell->trees[i].complete = is_complete(bells, &bell->trees[i]);
    for (uint32_t i = 0; i < bells->count; i++) {
        const struct wf_stored_entry *entry = recent_at(bells, i);
        for (uint32_t j = 0; j < count; j++) {
            const struct wf_stored_tree *tree = &bell->trees[j];
            if (!tree->complete || !is_told(tree, entry)) continue;
            bell->entries[bell->entries_count] = *entry;
            weft_buf_ref(bell->entries[bell->entries_count++].buf);
        }
    }
    s->lost_told = store->durable;
    if (s->lost_at <= store->durable) s->lost = false;
}

static bool has_news(const wf_store *store, const struct wf_subscriber *s)
{
    if (s->lost && (s->lost_at <= store->durable || s->lost_told < store->durable)) return true;
    for (uint32_t i = 0; i < s->grown_count; i++) {
        uint32_t t = s->grown[i];
        if (wf_tree_durable(store, store->trees.list[t - 1]) > s->trees[t - 1].told) return true;
    }
    return false;
}

void wf_bells_ring(struct wf_bells *bells, const wf_store *store)
{
    struct wf_subscriber **link = &bells->subscribers;
    while (*link != NULL) {
        struct wf_subscriber *s = *link;
        bool grown = s->bell != NULL && has_news(store, s);
        bool state = s->told_err != bells->store_err || s->told_outages != bells->outages;
        if (s->bell != NULL && (grown || state || s->at_once)) {
            fill_state(bells, s);
            if (grown) fill_trees(bells, store, s);
            struct wf_stored *bell = s->bell;
            bell->at_once = s->at_once = false;
            if (wf_send_system(s->addr, &bell->msg) != WEFT_OK) { /* it has ended */
                *link = s->next;
                subscriber_free(s);
                continue;
            }
            s->bell = NULL;
        }
        link = &s->next;
    }
}

void wf_bells_reset(struct wf_bells *bells, const wf_store *store)
{
    while (bells->count > 0) forget_oldest(bells);
    for (struct wf_subscriber *s = bells->subscribers; s != NULL; s = s->next) {
        if (!reserve(s, store->trees.count)) lose(s, store);
        for (uint32_t i = 0; i < store->trees.count && i < s->trees_room; i++)
            grow(s, store, i + 1);
    }
}

void wf_bells_call(struct wf_bells *bells)
{
    for (struct wf_subscriber *s = bells->subscribers; s != NULL; s = s->next) s->at_once = true;
}
