/* SPDX-License-Identifier: Apache-2.0
 * access_state.h - what the access actor's rooms share.
 * Called by: access_actor.c and its rooms only. Only that actor's thread touches any of it. */
#ifndef WF_ACCESS_STATE_H
#define WF_ACCESS_STATE_H

#include "access_actor.h"
#include "join_desk.h"
#include "settings_rows.h"
#include "store_actor.h"
#include "tracks.h"

struct change;
struct access {
    weft_self *self;
    const struct wf_node_table *table;
    struct wf_track_rows rows;
    char **keys; /* of the node's settings, ascending */
    uint32_t keys_count, keys_room;
    bool stale;            /* a change failed, and what the store has of it is not known */
    struct change *change; /* on its way to the store; NULL: none                        */
    struct wf_access_req *first, *last; /* changes that wait for it                      */
    uint32_t waiting;
    struct wf_join_desk joins; /* apart from all that: what is asked and decided about joining */
};

/* access_load.c */
/* Takes what the store has for the state, and publishes what it comes to. CORRUPT, IO, NO_MEMORY:
 * all is as it was. */
weft_err wf_acc_load(struct access *a);
void wf_acc_unload(struct access *a);
/* At its place among the keys; *found: it is there. */
uint32_t wf_acc_key_at(const struct access *a, const char *key, bool *found);
weft_err wf_acc_keys_reserve(struct access *a); /* for one more; NO_MEMORY */
/* The shortest interval as it is now, published. True: it is another one than before. */
bool wf_acc_publish_interval(struct access *a);

/* access_plan.c */
/* A change: what is to be in the store and here when it is made. */
struct change {
    struct wf_access_req *req;    /* ours until it is answered                             */
    struct wf_track_rows rows;    /* as they are to be, those that go too                  */
    struct wf_follow_also *flips; /* trees that are served from then on, or no longer    */
    uint32_t flips_count;
    bool listed; /* the list of readers of req->tree is given too, and it is followed or not: */
    bool follows;
    bool served;  /* some tree is served that was not                                    */
    bool setting; /* of the node: req->key changes                                       */
    bool drops;   /* the store lets go of req->tree                                      */
    char *key;    /* a new one                                                           */
};
/* What the request asks for, as changes of what is here; none: it is so already. INVALID,
 * NOT_FOUND, LIMIT, NO_MEMORY, IO. */
weft_err wf_acc_plan(struct access *a, struct change *c);
void wf_acc_change_free(struct change *c);
/* The settings of a principal; NOT_FOUND. */
weft_err wf_acc_get(const struct access *a, const weft_id *tree, const weft_key *principal,
                    weft_sync_settings *out);
weft_err wf_acc_combined(const struct access *a, const weft_id *tree, weft_sync_settings *out);
weft_err wf_acc_trees(const struct access *a, const weft_key *principal, weft_id **out,
                      uint32_t *count);

/* access_change.c */
/* Makes the changes of requests, one after the other, and answers them. Takes the request. */
void wf_acc_change_take(struct access *a, struct wf_access_req *req);
void wf_acc_change_end(struct access *a); /* answers CLOSED to who still waits */

#endif
