/* SPDX-License-Identifier: Apache-2.0
 * engine_exact.c - which pairs need exact sessions: kept in memory, and on disk so that
 * a crash does not forget it.
 * Called by: engine.c, engine_session.c, engine_effect.c. May touch: records.
 * Never: waits for the disk after the start. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "engine_state.h"
#include "log.h"
#include "peers_load.h"
#include "records.h"
#include "store_actor.h"

struct exact {
    struct wf_link link;
    uint8_t key[64]; /* peer, tree */
};

static void key_of(uint8_t out[64], const weft_key *peer, const weft_id *tree)
{
    memcpy(out, peer->bytes, 32);
    memcpy(out + 32, tree->bytes, 32);
}

static weft_err add(struct engine *e, const uint8_t key[64])
{
    struct exact *x = wf_calloc(1, sizeof *x);
    if (x == NULL) return WEFT_NO_MEMORY;
    memcpy(x->key, key, sizeof x->key);
    weft_err err = wf_table_add(&e->exact, &x->link);
    if (err != WEFT_OK) wf_free(x);
    return err;
}

static weft_err load_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    struct engine *e = arg;
    (void)value;
    (void)value_len;
    if (key_len == WF_PAIR_KEY_BYTES) return add(e, key + 1);
    wf_peers_damaged(e->table, WF_WHAT_EXACT, key, key_len);
    return WEFT_OK;
}

weft_err wf_exact_load(struct engine *e)
{
    const uint8_t prefix = WF_REC_EXACT;
    wf_table_init(&e->exact, offsetof(struct exact, key), 64, e->salt);
    return wf_store_record_each(e->table->wf_store, WF_CF_PEER, &prefix, 1, load_one, e);
}

void wf_exact_drop_all(struct engine *e)
{
    while (e->exact.first != NULL) {
        struct wf_link *link = e->exact.first;
        wf_table_remove(&e->exact, link);
        wf_free(link);
    }
    wf_table_fini(&e->exact);
}

bool wf_exact_is(struct engine *e, const weft_key *peer, const weft_id *tree)
{
    uint8_t key[64];
    key_of(key, peer, tree);
    return wf_table_find(&e->exact, key) != NULL;
}

void wf_exact_set(struct engine *e, const weft_key *peer, const weft_id *tree, bool on)
{
    uint8_t key[64];
    key_of(key, peer, tree);
    struct wf_link *link = wf_table_find(&e->exact, key);
    if (on == (link != NULL)) return;
    if (link != NULL) {
        wf_table_remove(&e->exact, link);
        wf_free(link);
    } else if (add(e, key) != WEFT_OK) {
        wf_log(WEFT_LOG_WARN, "sync", "out of memory: the next session is not exact");
    }
    struct wf_record_put *put = wf_record_create(on ? 1 : 0);
    if (put == NULL) return;
    put->cf = WF_CF_PEER;
    put->remove = !on;
    put->key[0] = WF_REC_EXACT;
    memcpy(put->key + 1, key, sizeof key);
    put->key_len = 65;
    if (on) put->value[0] = 1;
    wf_e_send(e, e->table->store, &put->req.msg);
}
