/* SPDX-License-Identifier: Apache-2.0
 * peers_load.c - the records of peers as the store has them (peers_load.h).
 * Called by: peers_actor.c, engine_exact.c and queue_pair.c (what is damaged), weft-fsck. May touch: the
 * registry, until the node begins; the store (reads).
 * Never: writes; removes what it cannot read; lets a peer in of which it does not know whether it is
 * blocked. */
#include "peers_load.h"

#include <string.h>

#include "block.h"
#include "keyset.h"
#include "log.h"
#include "peers_state.h"
#include "records.h"

typedef void (*on_bad)(void *arg, const char *what, const uint8_t *key, size_t key_len);

struct reading {
    struct peers *p; /* NULL: only whether it can be read */
    wf_store *store;
    const struct kind *kind;
    on_bad bad;
    void *arg;
};

/* -- One record -------------------------------------------------------------------------- */

/* Nobody can say any more whether it is blocked, so it is, until somebody says what it is. */
static weft_err set_aside(struct peers *p, struct wf_peer_row *row)
{
    const weft_key peer = row->info.key;
    *row = (struct wf_peer_row){.unnamed = true, .aside = true};
    row->info.key = peer;
    row->info.status = WEFT_PEER_BLOCKED;
    weft_err err = wf_keyset_set(p->table->blocked, &peer, true);
    return err == WEFT_OK ? WEFT_CORRUPT : err;
}

/* On an error the row may stay: then the node does not open. */
static weft_err read_peer(const struct reading *r, const uint8_t *key, size_t key_len,
                          const uint8_t *value, size_t value_len)
{
    struct wf_peer_row spare = {0}, *row = &spare;
    struct peers *p = r->p;
    weft_key peer;
    if (key_len != 1 + sizeof peer.bytes) return WEFT_CORRUPT;
    memcpy(peer.bytes, key + 1, sizeof peer.bytes);
    if (p != NULL) {
        weft_err err = wf_registry_add(&p->reg, &peer, &row);
        if (err != WEFT_OK) return err;
    }
    weft_err err = wf_row_decode(value, value_len, row);
    if (p == NULL) return err;
    if (err == WEFT_CORRUPT) return set_aside(p, row);
    if (err == WEFT_OK && wf_row_expire(row, wf_wall_ms(p->table->rt))) row->dirty = true;
    if (err == WEFT_OK && !row->unnamed) err = wf_keyset_set(p->table->known, &peer, true);
    if (err == WEFT_OK && row->info.status == WEFT_PEER_BLOCKED)
        err = wf_keyset_set(p->table->blocked, &peer, true);
    return err;
}

/* Behind the peers, and of no use without its own. */
static weft_err read_relation(const struct reading *r, const uint8_t *key, size_t key_len,
                              const uint8_t *value, size_t value_len)
{
    weft_key peer;
    weft_id tree;
    (void)value;
    (void)value_len;
    if (key_len != WF_PAIR_KEY_BYTES) return WEFT_CORRUPT;
    memcpy(peer.bytes, key + 1, sizeof peer.bytes);
    memcpy(tree.bytes, key + 1 + sizeof peer.bytes, sizeof tree.bytes);
    if (r->p == NULL) {
        uint8_t row_key[1 + sizeof peer.bytes] = {WF_REC_PEER};
        size_t len = 0;
        memcpy(row_key + 1, peer.bytes, sizeof peer.bytes);
        weft_err err = wf_store_record_get(r->store, WF_CF_PEER, row_key, sizeof row_key, NULL,
                                           &len);
        if (err == WEFT_NOT_FOUND) return WEFT_CORRUPT;
        return err == WEFT_LIMIT ? WEFT_OK : err; /* it is there: that is all we ask */
    }
    struct wf_peer_row *row = wf_registry_find(&r->p->reg, &peer);
    if (row == NULL) return WEFT_CORRUPT;
    weft_err err = wf_row_relate(row, &tree);
    return err == WEFT_EXISTS ? WEFT_OK : err;
}

static weft_err read_exact(const struct reading *r, const uint8_t *key, size_t key_len,
                           const uint8_t *value, size_t value_len)
{
    (void)r;
    (void)key;
    (void)value;
    (void)value_len;
    return key_len == WF_PAIR_KEY_BYTES ? WEFT_OK : WEFT_CORRUPT;
}

static weft_err read_acked(const struct reading *r, const uint8_t *key, size_t key_len,
                           const uint8_t *value, size_t value_len)
{
    (void)r;
    (void)key;
    (void)value;
    return key_len == WF_PAIR_KEY_BYTES && value_len == WF_ACKED_BYTES ? WEFT_OK : WEFT_CORRUPT;
}

static weft_err read_sync(const struct reading *r, const uint8_t *key, size_t key_len,
                          const uint8_t *value, size_t value_len)
{
    weft_sync_record record;
    (void)r;
    return wf_past_decode(key + 1, key_len - 1, value, value_len, &record);
}

static weft_err read_sums(const struct reading *r, const uint8_t *key, size_t key_len,
                          const uint8_t *value, size_t value_len)
{
    struct wf_past_pair pair;
    (void)r;
    (void)key;
    if (key_len != WF_PAIR_KEY_BYTES) return WEFT_CORRUPT;
    return wf_past_pair_decode(value, value_len, &pair);
}

/* -- All of them -------------------------------------------------------------------------- */

struct kind {
    uint8_t prefix;
    const char *what;
    weft_err (*read)(const struct reading *r, const uint8_t *key, size_t key_len,
                     const uint8_t *value, size_t value_len);
};
static const struct kind registry_kinds[] = {
    {WF_REC_PEER, "a peer", read_peer},
    {WF_REC_RELATION, "a tree that is shared with a peer", read_relation},
};
static const struct kind other_kinds[] = {
    /* The rooms that these belong to read them by themselves. */
    {WF_REC_EXACT, WF_WHAT_EXACT, read_exact},
    {WF_REC_ACKED, WF_WHAT_ACKED, read_acked},
    {WF_REC_HISTORY, "a sync of before", read_sync},
    {WF_REC_PAIR, "what syncs with a peer came to", read_sums},
};
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static weft_err read_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    const struct reading *r = arg;
    weft_err err = r->kind->read(r, key, key_len, value, value_len);
    if (err != WEFT_CORRUPT) return err;
    r->bad(r->arg, r->kind->what, key, key_len);
    return WEFT_OK;
}

static weft_err read_all(struct reading r, const struct kind *list, size_t count)
{
    weft_err err = WEFT_OK;
    for (size_t i = 0; err == WEFT_OK && i < count; i++) {
        r.kind = &list[i];
        err = wf_store_record_each(r.store, WF_CF_PEER, &list[i].prefix, 1, read_one, &r);
    }
    return err;
}

void wf_peers_damaged(const struct wf_node_table *table, const char *what, const uint8_t *key,
                      size_t key_len)
{
    char text[WF_KEY_SHOWN_TEXT];
    wf_counter_add(&table->counters->peers_damaged, 1);
    wf_log(WEFT_LOG_WARN, "peers", "a record is damaged and left aside: %s, key %s..", what,
           wf_key_shown(key, key_len, text));
}

static void note_bad(void *arg, const char *what, const uint8_t *key, size_t key_len)
{
    wf_peers_damaged(arg, what, key, key_len);
}

weft_err wf_peers_load(struct peers *p)
{
    struct reading r = {
        .p = p, .store = p->table->wf_store, .bad = note_bad, .arg = (void *)(uintptr_t)p->table};
    weft_err err = read_all(r, registry_kinds, COUNT_OF(registry_kinds));
    return err == WEFT_OK ? wf_history_from(&p->history, p->table->wf_store) : err;
}

weft_err wf_peers_check(wf_store *store, on_bad fn, void *arg)
{
    struct reading r = {.store = store, .bad = fn, .arg = arg};
    weft_err err = read_all(r, registry_kinds, COUNT_OF(registry_kinds));
    return err == WEFT_OK ? read_all(r, other_kinds, COUNT_OF(other_kinds)) : err;
}
