/* SPDX-License-Identifier: Apache-2.0
 * plan.c - facts about our copy of a tree for a peer, and how to serve it.
 * Called by: look.c, the reader's jobs. May touch: the store, reading.
 * Never: sends, keeps anything. */
#include "plan.h"

#include <string.h>

#include "access.h"
#include "log.h"

#define READ_TRIES 4u
#define SHORT_BYTES 8u

weft_err wf_plan_authorise(const struct wf_node_table *table, const weft_id *tree,
                           const weft_key *peer, wf_tree_info *out)
{
    weft_err err = wf_store_tree(table->wf_store, tree, out);
    bool may = wf_access_may_read(table, tree, peer); /* also for an unknown tree: same work */
    if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    return err == WEFT_OK && out->followed && may ? WEFT_OK : WEFT_TREE;
}

static weft_err read_tips(wf_store *store, uint64_t t, struct wf_summary *s)
{
    weft_id tips[WEFT_OPEN_TIPS_MAX];
    size_t count = 0;
    weft_err err = wf_store_tips(store, t, tips, WEFT_OPEN_TIPS_MAX, &count, &s->tips_complete);
    if (err != WEFT_OK) return err;
    s->tips_count = (uint32_t)count;
    s->tip_bytes = WEFT_ID_BYTES;
    for (size_t i = 0; i < count; i++)
        memcpy(s->tips + i * WEFT_ID_BYTES, tips[i].bytes, WEFT_ID_BYTES);
    return WEFT_OK;
}

weft_err wf_plan_summary(wf_store *store, uint64_t t, const weft_key *peer, bool exact, bool lean,
                         struct wf_summary *out, wf_tree_info *info)
{
    struct wf_summary s;
    memset(&s, 0, sizeof s);
    weft_err err = wf_store_tree_by_number(store, t, info);
    if (err != WEFT_OK) return err;
    /* The writer goes on meanwhile. Tips older than the rest are tips of a smaller set,
     * which only costs copies, so a few tries to catch a still moment are enough. */
    for (uint32_t i = 0; i < READ_TRIES; i++) {
        uint64_t before = info->seq;
        err = read_tips(store, t, &s);
        if (err == WEFT_OK) err = wf_store_root_digest(store, t, s.root, info);
        if (err != WEFT_OK) return err;
        if (info->seq == before) break;
    }
    /* What waits on the shelf is not in our tips' closure, so a peer that went by those would send it.
     * It is to list its entries instead, and match.c says of each of these that it is here. */
    bool leans = lean && info->shelved > 0;
    if (leans) s.tips_complete = false;
    s.count = info->count;
    s.max_gen = info->max_gen;
    memcpy(s.epoch, info->epoch, sizeof s.epoch);
    s.seq = info->seq;
    memcpy(s.id8, info->last_id8, sizeof s.id8);
    if (!exact && !leans) {
        err = wf_store_cursor(store, peer, t, &s.cursor);
        if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
        s.has_cursor = err == WEFT_OK;
    }
    *out = s;
    return WEFT_OK;
}

static weft_err find_tip(wf_store *store, uint64_t t, const uint8_t *bytes, uint32_t size,
                         weft_id *out)
{
    if (size == SHORT_BYTES) {
        weft_err err = wf_store_find_short(store, t, bytes, out);
        return err == WEFT_LIMIT ? WEFT_NOT_FOUND : err;
    }
    wf_meta_brief meta;
    memcpy(out->bytes, bytes, sizeof out->bytes);
    weft_err err = wf_store_meta_brief(store, out, &meta);
    return err == WEFT_OK && meta.t != t ? WEFT_NOT_FOUND : err;
}

weft_err wf_plan_tips(wf_store *store, uint64_t t, const struct wf_summary *theirs,
                      struct wf_plan_tips *out)
{
    memset(out->bits, 0, sizeof out->bits);
    out->count = 0;
    out->all = false;
    WF_ASSERT((size_t)theirs->tips_count * theirs->tip_bytes <= sizeof theirs->tips);
    for (uint32_t i = 0; i < theirs->tips_count; i++) {
        weft_id *id = &out->ids[out->count];
        weft_err err = find_tip(store, t, theirs->tips + i * theirs->tip_bytes, theirs->tip_bytes,
                                id);
        if (err == WEFT_NOT_FOUND) continue;
        if (err != WEFT_OK) return err;
        out->bits[i / 8] = (uint8_t)(out->bits[i / 8] | 1u << (i % 8));
        out->count++;
    }
    /* A set that is not empty has tips: a list without any then says nothing. */
    out->all = theirs->tips_complete && out->count == theirs->tips_count &&
               (theirs->tips_count > 0 || theirs->count == 0);
    return WEFT_OK;
}

/* Does the cursor name an arrival of ours? */
static weft_err cursor_fits(wf_store *store, uint64_t t, const struct wf_summary *ours,
                            const wf_mark *cursor, bool *out)
{
    wf_arrival arrival;
    *out = false;
    if (memcmp(cursor->epoch, ours->epoch, sizeof cursor->epoch) != 0) return WEFT_OK;
    if (cursor->seq == 0 || cursor->seq > ours->seq) return WEFT_OK;
    weft_err err = wf_store_arrival(store, t, cursor->seq, &arrival);
    if (err == WEFT_NOT_FOUND) return WEFT_OK;
    if (err != WEFT_OK) return err;
    *out = memcmp(arrival.id.bytes, cursor->id8, sizeof cursor->id8) == 0;
    return WEFT_OK;
}

/* May what arrived after the cursor have reached the peer by another way? Not if all of it
 * was committed here or came from the peer. A long log is not searched to its end. */
static weft_err others_since(wf_store *store, uint64_t t, const weft_key *peer, uint64_t seq,
                             bool *out)
{
    static const weft_key nobody;
    wf_arr_walk *walk = NULL;
    wf_arrival a;
    weft_err err = wf_arr_walk_create(store, t, seq, &walk);
    *out = false;
    for (uint32_t steps = 0; err == WEFT_OK && !*out; steps++) {
        err = wf_arr_walk_next(walk, &a);
        if (err != WEFT_OK) break;
        bool own = weft_key_equal(&a.source.peer, &nobody) || weft_key_equal(&a.source.peer, peer);
        *out = !own || steps == WEFT_PLAN_ARRIVALS_MAX;
    }
    wf_arr_walk_destroy(walk);
    return err == WEFT_END ? WEFT_OK : err;
}

weft_err wf_plan_choose(wf_store *store, uint64_t t, const weft_key *peer,
                        const struct wf_summary *ours, const struct wf_summary *theirs,
                        bool all_known, bool exact, bool *fits, enum wf_plan *out)
{
    bool others = false;
    *fits = false;
    if (ours->count == theirs->count && memcmp(ours->root, theirs->root, sizeof ours->root) == 0) {
        *out = WF_PLAN_EQUAL;
        return WEFT_OK;
    }
    weft_err err = WEFT_OK;
    if (theirs->has_cursor && !exact) err = cursor_fits(store, t, ours, &theirs->cursor, fits);
    bool partial = theirs->cursor.partial;
    /* Tips that we do not know tell of entries that the peer may have from others: a cursor
     * cannot spare it those, a list can. Part of a transfer may lack any arrival. */
    if (err == WEFT_OK && *fits && !all_known && theirs->tips_complete)
        err = others_since(store, t, peer, partial ? 0 : theirs->cursor.seq, &others);
    if (err != WEFT_OK) return err;
    if (*fits && !partial && !others) *out = WF_PLAN_CURSOR;
    else if (all_known) *out = WF_PLAN_CLOSURE;
    else *out = *fits && partial && !others ? WF_PLAN_RESUME : WF_PLAN_ASK;
    return WEFT_OK;
}
