/* SPDX-License-Identifier: Apache-2.0
 * feed.c - a change feed: a place in a tree's order of arrival and what is read from there.
 * Called by: api_feed.c (weft_feed_next), notify_feed.c (callbacks); one thread at a time.
 * May touch: the feed, reads of the store. Never: waits, or tells of what the disk may lose. */
#include "feed.h"

#include <string.h>

#include "alloc.h"
#include "utf8.h"

/* -- Cursors: tree, epoch, seq, the first 8 bytes of that arrival's id --------------------- */

static void put64(uint8_t *out, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8) out[i] = (uint8_t)v;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v = v << 8 | at[i];
    return v;
}

void weft_feed_cursor(const weft_feed *feed, weft_cursor *out)
{
    if (feed == NULL || out == NULL) return;
    memcpy(out->bytes, feed->tree.bytes, WEFT_ID_BYTES);
    memcpy(out->bytes + 32, feed->epoch, sizeof feed->epoch);
    put64(out->bytes + 48, feed->at);
    memcpy(out->bytes + 56, feed->at_id8, sizeof feed->at_id8);
}

/* Behind arrival `seq`, whatever it is. */
static weft_err stand_at(weft_feed *feed, uint64_t seq)
{
    wf_arrival arrival = {0};
    weft_err err = seq == 0 ? WEFT_OK : wf_store_arrival(feed->store, feed->t, seq, &arrival);
    if (err != WEFT_OK) return err;
    feed->at = seq;
    memcpy(feed->at_id8, arrival.id.bytes, sizeof feed->at_id8);
    return WEFT_OK;
}

/* An arrival number says something only within the history that it was counted in. */
static weft_err stand_at_cursor(weft_feed *feed, const weft_cursor *cursor)
{
    if (memcmp(cursor->bytes, feed->tree.bytes, WEFT_ID_BYTES) != 0) return WEFT_INVALID;
    if (memcmp(cursor->bytes + 32, feed->epoch, sizeof feed->epoch) != 0) return WEFT_NOT_FOUND;
    uint64_t seq = get64(cursor->bytes + 48);
    if (seq > wf_store_durable(feed->store, feed->t)) return WEFT_NOT_FOUND;
    weft_err err = stand_at(feed, seq);
    if (err != WEFT_OK) return err;
    return memcmp(cursor->bytes + 56, feed->at_id8, 8) == 0 ? WEFT_OK : WEFT_NOT_FOUND;
}

/* -- Opening ---------------------------------------------------------------------------------- */

static weft_err choose(weft_feed *feed, const weft_feed_options *options)
{
    feed->local = !options->remote_only;
    feed->remote = !options->local_only;
    if (!feed->local && !feed->remote) return WEFT_INVALID;
    if (options->store == NULL) return WEFT_OK;
    size_t len = strlen(options->store);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    if (!wf_utf8_valid((const uint8_t *)options->store, len)) return WEFT_INVALID;
    memcpy(feed->named, options->store, len + 1);
    feed->named_len = (uint8_t)len;
    return WEFT_OK;
}

static weft_err stand(weft_feed *feed, const weft_feed_options *options)
{
    if (options->after != NULL) return stand_at_cursor(feed, options->after);
    return stand_at(feed, options->from_start ? 0 : wf_store_durable(feed->store, feed->t));
}

weft_err wf_feed_create(wf_store *store, const weft_id *tree, const weft_feed_options *options,
                        weft_feed **out)
{
    wf_tree_info info;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err;
    weft_feed *feed = wf_calloc(1, sizeof *feed);
    if (feed == NULL) return WEFT_NO_MEMORY;
    feed->store = store;
    feed->t = info.t;
    feed->tree = *tree;
    memcpy(feed->epoch, info.epoch, sizeof feed->epoch);
    err = choose(feed, options);
    if (err == WEFT_OK) err = stand(feed, options);
    if (err == WEFT_OK) *out = feed;
    else wf_feed_destroy(feed);
    return err;
}

void wf_feed_destroy(weft_feed *feed)
{
    if (feed == NULL) return;
    weft_buf_unref(feed->held);
    wf_free(feed);
}

/* -- Reading ------------------------------------------------------------------------------------ */

bool wf_feed_has_news(const weft_feed *feed, uint64_t at)
{
    /* That its tree was removed is to be told as well. */
    return wf_store_durable(feed->store, feed->t) > at || wf_store_is_removed(feed->store, feed->t);
}

/* A page at a time, so that no view of the engine outlives the call. */
static weft_err turn_page(weft_feed *feed)
{
    uint64_t durable = wf_store_durable(feed->store, feed->t);
    wf_arr_walk *walk = NULL;
    uint32_t count = 0;
    if (durable <= feed->at) return WEFT_END;
    weft_err err = wf_arr_walk_create(feed->store, feed->t, feed->at, &walk);
    while (err == WEFT_OK && count < WF_FEED_PAGE) {
        err = wf_arr_walk_next(walk, &feed->page[count]);
        if (err != WEFT_OK || feed->page[count].seq > durable) break;
        if (feed->page[count].seq != feed->at + count + 1) break;
        count++;
    }
    wf_arr_walk_destroy(walk);
    if (err != WEFT_OK && err != WEFT_END) return err;
    feed->page_at = 0;
    feed->page_count = count;
    return count > 0 ? WEFT_OK : WEFT_CORRUPT; /* an arrival is missing */
}

static bool comes_from_here(const wf_arrival *arrival)
{
    static const wf_source nobody;
    return memcmp(&arrival->source, &nobody, sizeof nobody) == 0;
}

static bool is_wanted(const weft_feed *feed, const wf_arrival *arrival)
{
    return comes_from_here(arrival) ? feed->local : feed->remote;
}

/* What it holds now is the last event's no longer. */
static void advance(weft_feed *feed, const wf_arrival *arrival, weft_buf *held)
{
    weft_buf_unref(feed->held);
    feed->held = held;
    feed->at = arrival->seq;
    memcpy(feed->at_id8, arrival->id.bytes, sizeof feed->at_id8);
    feed->page_at++;
}

weft_err wf_feed_step(weft_feed *feed, weft_feed_event *out)
{
    if (wf_store_is_removed(feed->store, feed->t)) return WEFT_TREE;
    weft_err err = feed->page_at < feed->page_count ? WEFT_OK : turn_page(feed);
    if (err != WEFT_OK) return err;
    const wf_arrival *arrival = &feed->page[feed->page_at];
    bool wanted = is_wanted(feed, arrival);
    weft_buf *entry = NULL;
    if (wanted && feed->named_len != 0)
        err = wf_store_writes(feed->store, &arrival->id, feed->named, feed->named_len, &wanted);
    if (err == WEFT_OK && wanted) err = wf_store_get(feed->store, &arrival->id, &entry);
    if (err != WEFT_OK && (err != WEFT_CORRUPT || !wanted)) return err;
    if (wanted)
        *out = (weft_feed_event){.seq = arrival->seq,
                                 .id = arrival->id,
                                 .local = comes_from_here(arrival),
                                 .peer = arrival->source.peer,
                                 .entry = entry,
                                 .err = err};
    advance(feed, arrival, entry);
    return wanted ? WEFT_OK : WEFT_AGAIN;
}
