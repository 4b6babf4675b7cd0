/* SPDX-License-Identifier: Apache-2.0
 * weft/join.h - asking to be let into a tree, and deciding about it.
 *
 * Who wants into a tree asks a node that serves it, with a key, its name and the right that it
 * would like. A key that may do so already is let in at once. Else it depends on the tree's mode
 * there: the request is refused like one for a tree that nobody knows (CLOSED), waits for the
 * decision of an admin (ASK), or is granted at once within bounds (AUTO). A grant is one entry of
 * the tree's settings, in one batch with the decision: after a crash there are both or neither.
 * Requests and decisions outlive both nodes, for WEFT_JOIN_TTL_MS. Their clock follows the wall clock,
 * and a wall clock that jumps ends none of them: while a node runs theirs goes at most a tenth faster or
 * slower than time does, and of each time that it was down it counts at most WEFT_JOIN_DOWN_MAX_MS.
 *
 * Any thread may call. Calls that wait answer DEADLK from inside an actor, FORKED in a child of
 * the process, TIMED_OUT, and CLOSED once the node stops. */
#ifndef WEFT_JOIN_H
#define WEFT_JOIN_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Where the tree is served ---------------------------------------------------------------- */

typedef enum weft_join_mode {
    WEFT_JOIN_CLOSED, /* as at first: nobody is heard who has no right yet                */
    WEFT_JOIN_ASK,    /* requests wait for weft_join_approve and _reject                  */
    WEFT_JOIN_AUTO    /* up to a right and a number they are granted at once; others wait */
} weft_join_mode;

/* Who may ask for the tree from now on, also after a restart. AUTO grants up to (right, priority)
 * with `admin`, which is copied to locked memory and gone with the process: after a restart all
 * wait, as with ASK, until this is called again. It grants WEFT_JOIN_AUTO_BURST times, and once
 * more each WEFT_JOIN_AUTO_EVERY_NS; what is beyond waits, too. What was granted counts until then,
 * also after a restart, however often this is called, and while the tree is CLOSED. The others look at neither.
 * A tree that is not CLOSED tells everybody who knows its id that it is here. Requests that wait stay as they are.
 * TREE: it is not followed here. FORBIDDEN: `admin` is none of the tree's, or weaker than what it
 * is to grant. INVALID: AUTO without an admin or with the right NONE. NO_MEMORY, IO, NO_SPACE. */
weft_err weft_join_mode_set(weft_node *node, const weft_id *tree, weft_join_mode mode,
                            const weft_keypair *admin, weft_right right, uint32_t priority,
                            weft_ns timeout);
weft_err weft_join_mode_set_async(weft_node *node, const weft_id *tree, weft_join_mode mode,
                                  const weft_keypair *admin, weft_right right, uint32_t priority,
                                  weft_on_result done, void *arg);

typedef enum weft_join_state {
    WEFT_JOIN_GRANTED,
    WEFT_JOIN_PENDING,
    WEFT_JOIN_REJECTED,
    WEFT_JOIN_EXPIRED
} weft_join_state;

typedef struct weft_join_request {
    uint8_t id[16];
    weft_id tree;
    weft_key key, device;                   /* who asks, and over whose connection          */
    char name[WEFT_KEY_NAME_BYTES_MAX + 1]; /* of the key, as it calls itself               */
    char from[WEFT_ADDRESS_BYTES_MAX];      /* where the connection came from               */
    weft_right right;                       /* asked for                                    */
    uint32_t priority;
    weft_join_state state;
    int64_t asked_ms, expires_ms, decided_ms; /* by that clock; decided 0: not yet          */
    weft_key decided_by;                      /* zero: nobody, it expired                   */
    uint32_t meta_len;
    uint8_t meta[WEFT_JOIN_META_BYTES_MAX]; /* what it sent with it, as it came           */
} weft_join_request;

/* The requests in a state, the oldest first. `*count` in: room, out: filled; LIMIT: there are
 * more. At most WEFT_JOINS_MAX wait, WEFT_JOINS_PER_PEER_MAX of them of one device: more hear BUSY.
 * Of those that do not wait any more the last WEFT_JOINS_DECIDED_MAX are kept. */
weft_err weft_join_list(weft_node *node, weft_join_state state, weft_ns timeout,
                        weft_join_request *out, size_t *count);
typedef void (*weft_on_joins)(void *arg, weft_err err, const weft_join_request *requests,
                              size_t count);
weft_err weft_join_list_async(weft_node *node, weft_join_state state, weft_on_joins done,
                              void *arg);
weft_err weft_join_get(weft_node *node, const uint8_t id[16], weft_ns timeout,
                       weft_join_request *out); /* NOT_FOUND */
/* To a list of one. */
weft_err weft_join_get_async(weft_node *node, const uint8_t id[16], weft_on_joins done, void *arg);

/* Grants the right that was asked for, and names the key, by one entry of `admin`; a key that has
 * as much by now is only marked as let in. Who asked is told on its connection, if that is still
 * there. Durable when it returns OK. NOT_FOUND. STATE: it was decided, has expired, or is being
 * decided; or the key was revoked while it waited: weft_grant_put undoes that, an approval does not.
 * FORBIDDEN: `admin` may not grant that. After a revocation and FORBIDDEN the request goes on
 * waiting, as after each other failure: TREE (not served any more), BAD_ENTRY
 * (WEFT_POLICY_GRANTS_MAX), NO_MEMORY, IO, NO_SPACE. */
weft_err weft_join_approve(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                           weft_ns timeout);
weft_err weft_join_approve_async(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                                 weft_on_result done, void *arg);
/* Refuses it; the tree is not written. Who asks again afterwards makes a new request. FORBIDDEN:
 * `admin` is none of the tree's. Else as above. */
weft_err weft_join_reject(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                          weft_ns timeout);
weft_err weft_join_reject_async(weft_node *node, const uint8_t id[16], const weft_keypair *admin,
                                weft_on_result done, void *arg);

/* -- Where somebody wants in ------------------------------------------------------------------ */

typedef struct weft_join_spec {
    weft_id tree;
    const weft_keypair *key; /* that asks; NULL: the device's                             */
    const char *name;        /* of the key: 1 .. WEFT_KEY_NAME_BYTES_MAX bytes of UTF-8   */
    weft_right right;        /* NONE: whatever the key has there already                  */
    uint32_t priority;       /* of WRITE and ADMIN                                        */
    const void *meta;        /* for who decides; at most WEFT_JOIN_META_BYTES_MAX bytes   */
    size_t meta_len;
} weft_join_spec;

typedef struct weft_join_outcome {
    weft_join_state state;
    uint8_t id[16];   /* of the request over there; zero: none was needed */
    weft_right right; /* granted, or asked for                            */
    uint32_t priority;
    weft_key server;
} weft_join_outcome;

/* Connects to `address` (and to nobody but `server`, unless that is NULL), registers the peer
 * and asks. OK: it was granted; the tree is followed here, the server may read it here, it is
 * related to the server and was synced with it. A tree of which there are entries here, followed or
 * not, gets no new reader: it is synced as it is (TREE, if nothing else lets the server read it).
 * AWAITING: it waits for a decision; WEFT_EV_JOIN
 * tells how it ends, and after a grant all of that is done by itself. The decision comes over the
 * connection, or is asked for every WEFT_JOIN_POLL_NS and whenever the server is connected, also
 * after a restart. A key other than the device's then has to be given again by
 * weft_tree_use_key; until the process ends the node acts in the tree with it, as by that call.
 * TREE: the server does not have the tree, or does not let this key ask for it. BUSY: too much
 * waits there. UNSUPPORTED: it does not know how to. LIMIT: WEFT_ASKED_MAX requests wait,
 * or WEFT_PROVEN_KEYS_MAX other keys were proven on the connection: then nothing was granted.
 * INVALID, also for a name that is none. And what weft_connect and, after the grant,
 * weft_sync_tree answer. `out` may be NULL; it is set with OK and AWAITING. */
weft_err weft_tree_join(weft_node *node, const char *address, const weft_key *server,
                        const weft_join_spec *spec, weft_ns timeout, weft_join_outcome *out);
/* `outcome` is NULL unless err is OK or AWAITING, and valid during the call. */
typedef void (*weft_on_join)(void *arg, weft_err err, const weft_join_outcome *outcome);
weft_err weft_tree_join_async(weft_node *node, const char *address, const weft_key *server,
                              const weft_join_spec *spec, weft_ns timeout, weft_on_join done,
                              void *arg);
/* Asks now what became of the request of this key (NULL: the device's) for the tree, and goes on
 * as weft_tree_join: OK, AWAITING, REJECTED, EXPIRED. After the last two it is forgotten here.
 * NOT_FOUND: no request of it waits, or the key is not here any more (weft_tree_use_key). And what weft_connect and weft_sync_tree answer. */
weft_err weft_tree_join_check(weft_node *node, const weft_id *tree, const weft_key *key,
                              weft_ns timeout, weft_join_outcome *out);
weft_err weft_tree_join_check_async(weft_node *node, const weft_id *tree, const weft_key *key,
                                    weft_ns timeout, weft_on_join done, void *arg);

#ifdef __cplusplus
}
#endif
#endif
