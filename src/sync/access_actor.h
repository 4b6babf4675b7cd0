/* SPDX-License-Identifier: Apache-2.0
 * access_actor.h - the messages that the access actor understands: who tracks a tree here, and
 * how.
 * Owns the sync settings of each principal and tree and the settings of the node, and so decides
 * which trees are served. Every change is in the store, and the store's gate has heard of it,
 * before it is answered; changes are made one after the other.
 * Called by: weft.c (spawn), api_*.c (requests). */
#ifndef WF_ACCESS_ACTOR_H
#define WF_ACCESS_ACTOR_H

#include <weft/access.h>

#include "nodes.h"

/* The table's runtime, store and tracks are there already; the rows are read before this returns.
 * CORRUPT, IO, NO_MEMORY. */
weft_err wf_access_spawn(weft_rt *rt, const struct wf_node_table *table, weft_addr **out);

extern const weft_kind wf_access_req_kind, wf_tracks_changed_kind;

enum wf_access_op {
    WF_ACC_FOLLOW,   /* the node tracks the tree, enabled; readers, add                     */
    WF_ACC_UNFOLLOW, /* the node does not; the list of readers is emptied                  */
    WF_ACC_PUT,      /* settings. INVALID, LIMIT                                            */
    WF_ACC_ENABLE,   /* on; NOT_FOUND                                                       */
    WF_ACC_REMOVE,   /* NOT_FOUND                                                           */
    WF_ACC_GET,      /* out: settings; NOT_FOUND                                            */
    WF_ACC_COMBINED, /* out: settings; NOT_FOUND: nobody tracks it                          */
    WF_ACC_SYNC,     /* the principal tracks exactly `tracked`. INVALID: a tree twice; LIMIT */
    WF_ACC_TREES,    /* out: ids, ascending                                                 */
    WF_ACC_DROP,     /* the store lets go of the tree, and nobody tracks it any more. NOT_FOUND;
                      * BUSY: somebody is just asked to let us in                       */
    WF_ACC_SETTING   /* key, value; not on: it goes. LIMIT                                  */
};
struct wf_access_req {
    weft_request req;
    struct wf_access_req *next; /* the actor's: it waits for the changes before it        */
    enum wf_access_op op;
    weft_id tree;
    weft_key principal; /* zero: the node itself                                          */
    bool on;
    weft_sync_settings settings;
    uint32_t tracked_count;
    weft_tracked *tracked; /* wf_free'd with the message                                   */
    bool add;              /* FOLLOW: the readers join the list, else they are the list     */
    bool joins;            /* FOLLOW: for what was asked elsewhere with the key `principal`.
                            * NOT_FOUND: the tree was let go of since, and that with it      */
    uint32_t readers_count;
    weft_key *readers; /* wf_free'd with the message                   */
    char key[WEFT_SETTING_KEY_BYTES_MAX + 1];
    char value[WEFT_SETTING_VALUE_BYTES_MAX + 1];
    uint32_t count; /* out */
    weft_id *ids;   /* out: wf_free'd with the message                                      */
};
struct wf_access_req *wf_access_req_create(enum wf_access_op op); /* NULL when memory is short */

/* access -> engine and queue, when what tracks.h tells has changed, or trees are served again. */
struct wf_tracks_changed {
    weft_msg msg;
    weft_id tree;  /* zero: several                                                       */
    bool interval; /* engine: the shortest is another one                                 */
    bool served;   /* engine: open sessions of it                                         */
    bool pushed;   /* queue: what waited of it goes out                                   */
};

#endif
