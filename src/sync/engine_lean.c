/* SPDX-License-Identifier: Apache-2.0
 * engine_lean.c - with whom a session still leans on the shelf: the peer is told that what lies
 * there is here, so that it sends what that waits for and nothing else. Such a session is slow
 * and has no cursor, so it is begun a few times with each peer and ends well once.
 * Called by: engine.c, engine_effect.c, engine_over.c, engine_session.c. May touch: sessions.
 * Never: asks the same peer again while the node runs; what is new there comes as all news. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "engine_state.h"
#include "log.h"

struct leant { /* a peer and a tree; oldest first, and the oldest leaves when there are too many */
    struct wf_link link;
    uint8_t key[64];
    uint32_t begun;
};

static void key_of(uint8_t out[64], const struct esession *es)
{
    memcpy(out, es->s.peer.bytes, 32);
    memcpy(out + 32, es->s.tree.bytes, 32);
}

static struct leant *find(const struct engine *e, const struct esession *es)
{
    uint8_t key[64];
    key_of(key, es);
    return (struct leant *)wf_table_find(&e->leant, key);
}

static void drop_oldest(struct engine *e)
{
    struct wf_link *link = e->leant.first;
    wf_table_remove(&e->leant, link);
    wf_free(link);
}

void wf_lean_init(struct engine *e)
{
    wf_table_init(&e->leant, offsetof(struct leant, key), 64, e->salt);
}

void wf_lean_drop_all(struct engine *e)
{
    while (e->leant.first != NULL) drop_oldest(e);
    wf_table_fini(&e->leant);
}

bool wf_lean_may(const struct engine *e, const struct esession *es)
{
    if (es->s.flags & (WF_OPEN_EXACT | WF_OPEN_RAW)) return false;
    const struct leant *l = find(e, es);
    return l == NULL || l->begun < WEFT_SHELF_SESSIONS_MAX;
}

/* Where memory is short it is not counted, and so one more may lean. */
void wf_lean_looked(struct engine *e, struct esession *es, uint64_t shelved)
{
    if (es->looked) return;
    es->looked = true;
    es->leans = shelved > 0;
    if (!es->leans) return;
    struct leant *l = find(e, es);
    if (l == NULL) {
        if (e->leant.count == WEFT_SHELF_PAIRS_MAX) drop_oldest(e);
        l = wf_calloc(1, sizeof *l);
        if (l == NULL) return;
        key_of(l->key, es);
        if (wf_table_add(&e->leant, &l->link) != WEFT_OK) {
            wf_free(l);
            return;
        }
    }
    l->begun++;
}

void wf_lean_synced(struct engine *e, const struct esession *es)
{
    if (!es->leans) return;
    struct leant *l = find(e, es);
    if (l != NULL) l->begun = WEFT_SHELF_SESSIONS_MAX;
    if (es->in_vain)
        wf_log(WEFT_LOG_WARN, "sync",
               "entries on the shelf wait for others that a peer does not have: it is not asked "
               "again, and they stay");
}

/* A live session that leans would never have a mark. The next one does not, and has little to say:
 * both hold the same. */
void wf_lean_anew(struct engine *e, struct esession *es)
{
    struct conn *c = es->conn;
    if (!es->in_vain || es->s.phase != WF_S_LIVE || !es->s.live) return;
    es->in_vain = false;
    c->refs++;
    wf_es_stop(e, es, WEFT_CANCELED, true, WF_W_OK);
    /* Who waits for it may have opened one already. */
    if (!c->gone && wf_es_by_tree(e, c, &es->s.tree) == NULL)
        (void)wf_es_open(e, c, &es->s.tree, 0, NULL);
    wf_econn_put(e, c);
}
