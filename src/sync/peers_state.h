/* SPDX-License-Identifier: Apache-2.0
 * peers_state.h - what the rooms of the peer manager share: its state, and changes on their way to
 * the disk.
 * Called by: peers_actor.c and its rooms only. Only that actor's thread touches any of it. */
#ifndef WF_PEERS_STATE_H
#define WF_PEERS_STATE_H

#include "history_save.h"
#include "peers.h"
#include "registry.h"
#include "store_actor.h"

struct peers { /* only the handlers of its rooms touch this */
    weft_self *self;
    const struct wf_node_table *table; /* NULL: not wired yet */
    struct wf_registry reg;
    struct wf_history history;
    weft_timer save;
};

/* peers_records.c */
/* One change on its way to the disk; its request is answered when all its records are
 * written, and who else has to hear of it has. Lives until the last of them is answered. */
struct wf_peer_saving {
    struct wf_peer_req *req; /* NULL: nobody waits */
    uint32_t open;           /* requests under way, plus one while it is built */
    weft_err err;
};
struct wf_peer_saving *wf_saving_open(struct wf_peer_req *req); /* NULL: short memory */
void wf_saving_close(struct wf_peer_saving *saving);            /* it is built */
/* Takes a request that has to be answered too, NULL: NO_MEMORY. */
weft_err wf_saving_ask(struct peers *p, struct wf_peer_saving *saving, weft_addr *to,
                       weft_request *req);
/* The same for records; what fails is the answer. */
void wf_saving_put(struct peers *p, struct wf_peer_saving *saving, weft_request *req);
void wf_saving_row(struct peers *p, struct wf_peer_saving *saving, struct wf_peer_row *row);
void wf_saving_relation(struct peers *p, struct wf_peer_saving *saving, const weft_key *peer,
                        const weft_id *tree, bool remove);
/* Row and relation in one batch, so that a crash leaves both or neither. On an error nothing of
 * it is under way. */
weft_err wf_saving_declared(struct peers *p, struct wf_peer_saving *saving, struct wf_peer_row *row,
                            const weft_id *tree);
void wf_peers_save(struct peers *p);  /* what has changed since; nobody waits */
void wf_peers_leave(struct peers *p); /* the same at the end, and lets go of all of it */

/* A new row, whose key is known from now on unless nobody has named it; and the end of both. LIMIT,
 * NO_MEMORY. */
weft_err wf_peers_add(struct peers *p, const weft_key *key, bool unnamed, struct wf_peer_row **out);
void wf_peers_remove(struct peers *p, struct wf_peer_row *row);
/* Somebody here has, or a grant: its key is known from now on. NO_MEMORY: it is as it was. */
weft_err wf_peers_named(struct peers *p, struct wf_peer_row *row);

/* peers_load.c */
/* What the store has, once the table is there; what of it cannot be read is told and left aside.
 * CORRUPT: the engine itself cannot read them. IO, NO_MEMORY, LIMIT. */
weft_err wf_peers_load(struct peers *p);

/* peers_change.c */
weft_verdict wf_peers_change(struct peers *p, struct wf_peer_req *req);
void wf_peers_tell_sync(struct peers *p, const weft_key *peer, const weft_id *tree,
                        enum wf_peer_change what);

/* peers_look.c */
/* The request is answered; or else it is none that only looks, and nothing was done with it. */
bool wf_peers_look(struct peers *p, struct wf_peer_req *req);

/* peers_note.c */
void wf_peers_note(struct peers *p, const struct wf_peer_note *note);

#endif
