/* SPDX-License-Identifier: Apache-2.0
 * history_save.c - what is remembered of syncs, from the store and to it.
 * Called by: peers_records.c. May touch: reads of records, requests that somebody else sends.
 * Never: waits; keeps a node from opening for a record that is damaged. */
#include <string.h>

#include "alloc.h"
#include "history_save.h"
#include "log.h"
#include "records.h"

#define BATCH_MAX 1024u /* records in one: the rest goes with the next */

/* -- From the store --------------------------------------------------------------------- */

struct loading {
    struct wf_history *h;
    uint32_t damaged;
};

static weft_err passed_over(struct loading *l, weft_err err)
{
    if (err != WEFT_CORRUPT) return err;
    l->damaged++;
    return WEFT_OK;
}

static weft_err load_sync(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                          size_t value_len)
{
    struct loading *l = arg;
    return passed_over(l, wf_history_load(l->h, key + 1, key_len - 1, value, value_len));
}

static weft_err load_pair(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                          size_t value_len)
{
    struct loading *l = arg;
    weft_key peer;
    weft_id tree;
    if (key_len != 1 + sizeof peer.bytes + sizeof tree.bytes) return passed_over(l, WEFT_CORRUPT);
    memcpy(peer.bytes, key + 1, sizeof peer.bytes);
    memcpy(tree.bytes, key + 1 + sizeof peer.bytes, sizeof tree.bytes);
    return passed_over(l, wf_history_load_pair(l->h, &peer, &tree, value, value_len));
}

weft_err wf_history_from(struct wf_history *h, wf_store *store)
{
    const uint8_t syncs = WF_REC_HISTORY, pairs = WF_REC_PAIR;
    struct loading l = {.h = h};
    weft_err err = wf_store_record_each(store, WF_CF_PEER, &syncs, 1, load_sync, &l);
    if (err == WEFT_OK) err = wf_store_record_each(store, WF_CF_PEER, &pairs, 1, load_pair, &l);
    if (err == WEFT_OK) err = wf_history_loaded(h);
    if (l.damaged > 0)
        wf_log(WEFT_LOG_WARN, "peers", "%u records of syncs are damaged and passed over",
               l.damaged);
    return err;
}

/* -- To the store ----------------------------------------------------------------------- */

static struct wf_record_put *sync_record(const uint8_t key[WF_PAST_KEY_BYTES], const uint8_t *value,
                                         size_t len)
{
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    put->cf = WF_CF_PEER;
    put->remove = value == NULL;
    put->key[0] = WF_REC_HISTORY;
    memcpy(put->key + 1, key, WF_PAST_KEY_BYTES);
    put->key_len = 1 + WF_PAST_KEY_BYTES;
    if (len > 0) memcpy(put->value, value, len);
    return put;
}

static struct wf_record_put *pair_record(const struct wf_past_peer *p,
                                         const struct wf_past_pair *pair)
{
    uint8_t value[WF_PAST_RECORD_MAX];
    size_t len = wf_past_pair_encode(pair, value);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    put->cf = WF_CF_PEER;
    put->key[0] = WF_REC_PAIR;
    memcpy(put->key + 1, p->peer.bytes, sizeof p->peer.bytes);
    memcpy(put->key + 1 + sizeof p->peer.bytes, pair->tree.bytes, sizeof pair->tree.bytes);
    put->key_len = 1 + (uint32_t)(sizeof p->peer.bytes + sizeof pair->tree.bytes);
    memcpy(put->value, value, len);
    return put;
}

/* False: it is full, or memory is short. */
static bool add(struct wf_records *all, struct wf_record_put *put)
{
    if (put == NULL) return false;
    all->records[all->count++] = put;
    return all->count < BATCH_MAX;
}

static bool add_gone(struct wf_history *h, struct wf_records *all)
{
    bool more = true;
    while (more && h->gone_count > 0) {
        struct wf_record_put *put = sync_record(h->gone[h->gone_count - 1].key, NULL, 0);
        if (put != NULL) h->gone_count--;
        more = add(all, put);
    }
    return more;
}

/* What is not saved stands at the new end. */
static bool add_new(struct wf_history *h, struct wf_records *all)
{
    bool more = true;
    struct wf_past *at = h->newest;
    while (at != NULL && !at->saved && at->older != NULL && !at->older->saved) at = at->older;
    for (; more && at != NULL; at = at->newer) {
        uint8_t key[WF_PAST_KEY_BYTES], value[WF_PAST_RECORD_MAX];
        if (at->saved) continue;
        wf_past_key(&at->record, key);
        struct wf_record_put *put = sync_record(key, value, wf_past_encode(&at->record, value));
        at->saved = put != NULL;
        more = add(all, put);
    }
    return more;
}

static bool add_pairs(struct wf_history *h, struct wf_records *all)
{
    bool more = true;
    for (uint32_t i = 0; more && i < h->peers_count; i++) {
        struct wf_past_peer *p = h->peers[i];
        for (uint32_t k = 0; more && k < p->pairs_count; k++) {
            if (!p->pairs[k].dirty) continue;
            struct wf_record_put *put = pair_record(p, &p->pairs[k]);
            p->pairs[k].dirty = put == NULL;
            more = add(all, put);
        }
    }
    return more;
}

struct wf_records *wf_history_batch(struct wf_history *h)
{
    if (!h->changed) return NULL;
    struct wf_records *all = wf_records_create(BATCH_MAX);
    if (all == NULL) return NULL;
    all->count = 0;
    if (add_gone(h, all) && add_new(h, all) && add_pairs(h, all)) h->changed = false;
    if (all->count > 0) return all;
    weft_drop(&all->req.msg);
    return NULL;
}
