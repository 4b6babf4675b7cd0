/* SPDX-License-Identifier: Apache-2.0
 * queue_pair.c - the pairs of peer and tree: what is acknowledged, when to try again.
 * Called by: queue.c and its rooms. May touch: pairs, their records through the store
 * actor. Never: frames, connections. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "peers_load.h"
#include "queue_state.h"
#include "records.h"

#define JITTER_PARTS 4u /* the back-off varies by up to a quarter */

struct q_pair *wf_pair_find(struct queue *q, const weft_key *peer, const weft_id *tree)
{
    struct pair_key key = {*peer, *tree};
    return (struct q_pair *)wf_table_find(&q->pairs, &key);
}

static struct q_tree *tree_need(struct queue *q, const weft_id *tree)
{
    struct q_tree *t = (struct q_tree *)wf_table_find(&q->trees, tree->bytes);
    if (t != NULL) return t;
    t = wf_calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->tree = *tree;
    if (wf_table_add(&q->trees, &t->link) == WEFT_OK) return t;
    wf_free(t);
    return NULL;
}

void wf_q_tree_is(struct queue *q, struct q_tree *tree, uint64_t t)
{
    if (tree->t == t) return;
    const bool another = tree->t != 0;
    tree->t = t;
    if (!another) return;
    wf_recent_clear(q, tree);
    for (struct q_pair *p = tree->first; p != NULL; p = p->next) {
        wf_push_end(q, p);
        wf_idlog_clear(&p->held);
        wf_idlog_clear(&p->told);
        p->acked_seq = p->saved_seq = 0;
    }
}

static void tree_drop_empty(struct queue *q, struct q_tree *t)
{
    if (t->first != NULL) return;
    wf_recent_clear(q, t);
    wf_table_remove(&q->trees, &t->link);
    wf_free(t);
}

struct q_pair *wf_pair_need(struct queue *q, const weft_key *peer, const weft_id *tree)
{
    struct q_pair *p = wf_pair_find(q, peer, tree);
    if (p != NULL) return p;
    if (q->pairs.count >= WEFT_PAIRS_MAX) {
        wf_log(WEFT_LOG_WARN, "queue", "more than %u pairs: one is left out", WEFT_PAIRS_MAX);
        return NULL;
    }
    p = wf_calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->key = (struct pair_key){*peer, *tree};
    p->waits_end = &p->waits;
    wf_idlog_init(&p->held, q->salt);
    wf_idlog_init(&p->told, q->salt);
    struct q_tree *t = tree_need(q, tree);
    if (t == NULL || wf_table_add(&q->pairs, &p->link) != WEFT_OK) {
        if (t != NULL) tree_drop_empty(q, t);
        wf_free(p);
        return NULL;
    }
    p->tree = t;
    p->prev = t->last;
    if (t->last == NULL) t->first = p;
    else t->last->next = p;
    t->last = p;
    return p;
}

static void pair_free(struct q_pair *p)
{
    wf_idlog_fini(&p->held);
    wf_idlog_fini(&p->told);
    wf_free(p);
}

static void pair_remove(struct queue *q, struct q_pair *p)
{
    if (p->gone) return;
    p->gone = true;
    wf_table_remove(&q->pairs, &p->link);
    struct q_tree *t = p->tree;
    if (p->prev == NULL) t->first = p->next;
    else p->prev->next = p->next;
    if (p->next == NULL) t->last = p->prev;
    else p->next->prev = p->prev;
    tree_drop_empty(q, t);
    p->tree = NULL;
    if (p->refs == 0) pair_free(p);
}

void wf_pair_put(struct queue *q, struct q_pair *p)
{
    WF_ASSERT(p->refs > 0);
    if (--p->refs > 0) return;
    if (p->gone) pair_free(p);
    else if (!p->related && p->acked_seq == 0) pair_remove(q, p);
}

void wf_pair_drop_all(struct queue *q)
{
    while (q->pairs.first != NULL) {
        struct q_pair *p = (struct q_pair *)q->pairs.first;
        wf_push_end(q, p);
        pair_remove(q, p);
    }
}

/* -- Acknowledged positions ---------------------------------------------------------- */

void wf_pair_acked(struct queue *q, struct q_pair *p, uint64_t seq)
{
    (void)q;
    /* What follows the newest mark was skipped because the peer has it. */
    if (p->live && seq >= p->need_seq && p->pos.seq > seq) seq = p->pos.seq;
    if (seq > p->acked_seq) p->acked_seq = seq;
}

static void record_key(uint8_t out[65], const struct q_pair *p)
{
    out[0] = WF_REC_ACKED;
    memcpy(out + 1, p->key.peer.bytes, 32);
    memcpy(out + 33, p->key.tree.bytes, 32);
}

/* False: the store has no room now. */
static bool save_one(struct queue *q, struct q_pair *p, bool remove)
{
    wf_tree_info info;
    struct wf_record_put *put = wf_record_create(remove ? 0 : 24);
    if (put == NULL) return false;
    put->cf = WF_CF_PEER;
    put->remove = remove;
    put->key_len = 65;
    record_key(put->key, p);
    if (!remove) {
        if (wf_store_tree(q->table->wf_store, &p->key.tree, &info) != WEFT_OK) {
            weft_drop(&put->req.msg);
            return true; /* the tree is not kept any more */
        }
        wf_q_tree_is(q, p->tree, info.t);
        memcpy(put->value, info.epoch, 16);
        for (int i = 0; i < 8; i++) put->value[16 + i] = (uint8_t)(p->acked_seq >> (56 - 8 * i));
    }
    weft_err err = weft_send(q->table->store, &put->req.msg);
    if (err == WEFT_OK && !remove) p->saved_seq = p->acked_seq;
    if (err != WEFT_OK) weft_drop(&put->req.msg);
    if (err == WEFT_FULL && remove) /* it is a hint, and cut to what the peer says */
        wf_log(WEFT_LOG_WARN, "queue", "the position of a pair that has ended stays in the store");
    return err != WEFT_FULL;
}

void wf_pair_save(struct queue *q)
{
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next) {
        struct q_pair *p = (struct q_pair *)at;
        if (p->acked_seq != p->saved_seq && !save_one(q, p, false))
            return; /* the next tick goes on */
    }
}

static weft_err load_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct queue *q = arg;
    weft_key peer;
    weft_id tree;
    wf_tree_info info;
    if (key_len != WF_PAIR_KEY_BYTES || value_len != WF_ACKED_BYTES) {
        wf_peers_damaged(q->table, WF_WHAT_ACKED, key, key_len); /* it was a hint */
        return WEFT_OK;
    }
    memcpy(peer.bytes, key + 1, 32);
    memcpy(tree.bytes, key + 33, 32);
    /* A tree that was created anew has other arrivals: the hint is void. */
    if (wf_store_tree(q->table->wf_store, &tree, &info) != WEFT_OK ||
        memcmp(info.epoch, value, 16) != 0)
        return WEFT_OK;
    uint64_t seq = 0;
    for (int i = 0; i < 8; i++) seq = seq << 8 | value[16 + i];
    struct q_pair *p = wf_pair_need(q, &peer, &tree);
    if (p == NULL) return WEFT_OK;
    wf_q_tree_is(q, p->tree, info.t);
    p->acked_seq = p->saved_seq = seq < info.seq ? seq : info.seq;
    return WEFT_OK;
}

weft_err wf_pair_load(struct queue *q)
{
    const uint8_t prefix = WF_REC_ACKED;
    return wf_store_record_each(q->table->wf_store, WF_CF_PEER, &prefix, 1, load_one, q);
}

/* -- Relations and back-off ---------------------------------------------------------- */

static void failed(struct queue *q, struct q_pair *p)
{
    uint32_t random;
    if (p->attempts < UINT32_MAX) p->attempts++;
    uint32_t exponent = p->attempts < WEFT_BACKOFF_EXPONENT_MAX ? p->attempts
                                                                : WEFT_BACKOFF_EXPONENT_MAX;
    weft_ns wait = WEFT_SEC << exponent;
    weft_self_random(q->self, &random, sizeof random);
    wait += wait / JITTER_PARTS * (random % 1024) / 1024;
    p->next_try = weft_now(q->self) + wait;
}

static void unrelated(struct queue *q, struct q_pair *p)
{
    wf_push_end(q, p);
    save_one(q, p, true);
    p->related = false;
    p->acked_seq = p->saved_seq = 0;
    if (p->refs == 0) pair_remove(q, p);
}

static void unrelated_all(struct queue *q, const weft_key *peer)
{
    struct wf_link *next;
    for (struct wf_link *at = q->pairs.first; at != NULL; at = next) {
        struct q_pair *p = (struct q_pair *)at;
        next = at->next;
        if (weft_key_equal(&p->key.peer, peer)) unrelated(q, p);
    }
}

static void failed_all(struct queue *q, const weft_key *peer)
{
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next) {
        struct q_pair *p = (struct q_pair *)at;
        if (weft_key_equal(&p->key.peer, peer)) failed(q, p);
    }
}

void wf_pair_on_note(struct queue *q, const struct wf_q_note *note)
{
    static const weft_id all_trees;
    struct q_pair *p = wf_pair_find(q, &note->peer, &note->tree);
    switch (note->what) {
    case WF_Q_RELATED:
        if (p == NULL) p = wf_pair_need(q, &note->peer, &note->tree);
        if (p != NULL) p->related = true;
        break;
    case WF_Q_UNRELATED:
        if (p != NULL) unrelated(q, p);
        else if (weft_id_equal(&note->tree, &all_trees)) unrelated_all(q, &note->peer);
        break;
    case WF_Q_FAILED:
        if (p != NULL) failed(q, p);
        else if (weft_id_equal(&note->tree, &all_trees)) failed_all(q, &note->peer);
        break;
    case WF_Q_WORKED:
        if (p == NULL) break;
        p->attempts = 0;
        p->next_try = 0;
        wf_pair_acked(q, p, note->acked_seq);
        break;
    }
}

/* -- The list ------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    const struct wf_q_pair *x = a, *y = b;
    int order = weft_key_compare(&x->peer, &y->peer);
    return order != 0 ? order : weft_id_compare(&x->tree, &y->tree);
}

static bool is_behind(struct queue *q, struct q_pair *p)
{
    wf_tree_info info;
    if (wf_store_tree(q->table->wf_store, &p->key.tree, &info) != WEFT_OK) return false;
    wf_q_tree_is(q, p->tree, info.t);
    return info.followed && info.seq > p->acked_seq; /* else nobody is to have it now */
}

weft_verdict wf_pair_on_list(struct queue *q, struct wf_q_pairs *req)
{
    weft_ns now = weft_now(q->self);
    req->count = 0;
    req->pairs = wf_calloc(q->pairs.count == 0 ? 1 : q->pairs.count, sizeof *req->pairs);
    if (req->pairs == NULL) {
        weft_reply(&req->req, WEFT_NO_MEMORY);
        return WEFT_KEPT;
    }
    for (struct wf_link *at = q->pairs.first; at != NULL; at = at->next) {
        struct q_pair *p = (struct q_pair *)at;
        bool behind = p->related && is_behind(q, p);
        if (!p->related || (req->due_only && (p->live || p->next_try > now || !behind))) continue;
        req->pairs[req->count++] = (struct wf_q_pair){.peer = p->key.peer,
                                                      .tree = p->key.tree,
                                                      .live = p->live,
                                                      .in_backoff = p->attempts > 0,
                                                      .behind = behind,
                                                      .acked_seq = p->acked_seq,
                                                      .attempts = p->attempts,
                                                      .next_try = p->next_try};
    }
    qsort(req->pairs, req->count, sizeof *req->pairs, by_key);
    weft_reply(&req->req, WEFT_OK);
    return WEFT_KEPT;
}
