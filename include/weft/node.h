/* SPDX-License-Identifier: Apache-2.0
 * weft/node.h - a node: a store of signed entries that syncs itself with peers.
 *
 * Threads: every call may be made from any thread unless it says otherwise; none
 * from inside weft's callbacks except where it says so. Blocking calls take a
 * timeout in nanoseconds (WEFT_NEVER: none) and answer TIMED_OUT when it passes;
 * what was begun goes on then. From inside an actor blocking calls answer DEADLK. In a child
 * process (fork) each call answers FORKED, and closing does nothing.
 *
 * Every call that waits for the node's actors has an asynchronous twin with the suffix _async:
 * it returns at once (FULL, CLOSED, NO_MEMORY, or what its arguments lack: not begun) and calls
 * `done` exactly once on the node's notify thread, with the answer that the blocking form would
 * have returned and its result, which is valid during the call; a list or a row is NULL after a
 * failure. `done` must not block; it may call _async forms, and so may the handlers of your actors.
 * Without a twin are walks, views, maps and copies, which read the store for long on the thread
 * that calls, weft_entry_counts and weft_pair_get; what first looks and then commits
 * (weft_grant_replace, weft_commit_at); weft_map_commit, for which there are weft_map_edit_encode
 * and weft_commit_async; feeds, which have weft_feed_start; what is saved of a node's set-up
 * (weft_setting_get, weft_transport_load, weft_http_restore); statistics; and opening and closing. */
#ifndef WEFT_NODE_H
#define WEFT_NODE_H

#include <weft/actor.h>
#include <weft/buf.h>
#include <weft/entry.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_node weft_node;
typedef struct weft_hub weft_hub; /* joins nodes of one process in memory */

/* -- Opening and closing ------------------------------------------------------------- */

typedef enum weft_engine {                   /* of a store on disk */
                           WEFT_ENGINE_AUTO, /* the one it has; RocksDB for a new one */
                           WEFT_ENGINE_ROCKSDB,
                           WEFT_ENGINE_LMDB /* UNSUPPORTED in a build without LMDB */
} weft_engine;

typedef struct weft_node_options {
    const char *dir;             /* directory of the store and the key file; NULL: memory     */
    const char *key_file;        /* NULL: "<dir>/device.key"; created on first run; a store
                             * that is not empty and has no key, or another node's, is
                             * refused (KEY_FILE)                                        */
    const weft_keypair *device;  /* used instead of a key file; borrowed during open      */
    const char *name;            /* shown to peers; may be NULL                               */
    weft_rt *rt;                 /* run on this runtime (the simulator's); NULL: an own one   */
    uint64_t store_memory_bytes; /* 0: 96 MiB for caches and write buffers               */
    uint32_t verifiers;          /* 0: one per core                                           */
    bool unsynced;               /* benchmarks only: acknowledge before the disk has it       */
    bool no_live_push;           /* entries travel by sync commands and timers only           */
    weft_ns sync_interval;       /* of the periodic sync; 0: WEFT_SYNC_INTERVAL_NS            */
    weft_ns queue_tick;          /* 0: WEFT_QUEUE_TICK_NS                                     */
    weft_ns retry_tick;          /* 0: WEFT_RETRY_TICK_NS                                     */
    weft_ns connection_tick;     /* 0: WEFT_CONNECTION_TICK_NS                               */
    weft_ns settings_tick;       /* 0: WEFT_SETTINGS_TICK_NS                                  */
    weft_engine engine;          /* of the store in `dir`; another one there: NOT_STORE       */
    /* While weft_node_open works for long, once a second and at the end, on the thread that opens. While
     * it reads again what a killed process has left in RocksDB's logs, if that is a MiB or more: bytes
     * read, of how many; told at the beginning, too. While it brings a store of an older format to this
     * one: records read, of how many. NULL: nobody is told. */
    void (*on_progress)(void *arg, uint64_t done, uint64_t of_all);
    void *progress_arg;
    /* Transports of weft_add_transport are remembered in the store, and opening it again adds
     * them; they are not started (weft/net.h). */
    bool restore_transports;
    /* A damaged store of RocksDB is made anew when it is opened, of what can be read of it: one
     * that does not open, and one of which a block could not be read while it was open. What
     * was lost is asked of peers; the damaged one is kept in `dir`/damaged-N until all of it is
     * here again, or until the operator removes it, where nobody can say what else was in it, as
     * after damage to a log (docs/store.md, Renewal). Needs as much room again, and time for a copy of
     * all. Without it such a store is CORRUPT and left as it is, for weft-fsck. */
    bool renew;
    /* Which of the machine's interfaces tickets name of a server that listens on all of them: names with
     * commas between them, "*" at the end of one for any that begins so, "!" before one for all but
     * these; the last that fits an interface counts. "eth0,wlan*", "!docker*,!br-*". Of those that are
     * not said by name the ones that nobody elsewhere can use (without a carrier, of the link only, a
     * loopback) are named only if there is no other. NULL, "": all are alike. INVALID: another form, or
     * longer than WEFT_INTERFACES_BYTES_MAX. */
    const char *interfaces;
} weft_node_options;

/* Opens or creates a node. Nothing listens yet. NOT_STORE, LOCKED, VERSION, CORRUPT,
 * KEY_FILE, IO, NO_SPACE, NO_MEMORY, INVALID, UNSUPPORTED. BUSY: the disk is nearly full, and the
 * stores on it are opened one after the other; another process has held the lock for that during
 * all of WEFT_ROOM_WAIT_NS (the log says on which folder). `options` may be NULL: a memory node. */
weft_err weft_node_open(const weft_node_options *options, weft_node **out);

/* Stops everything: listeners and connections closed, acknowledged work on disk, all
 * threads joined. TIMED_OUT names the stragglers in the log and may be called again; with
 * a timeout of 0 it only begins (there is no _async: the notify thread stops too). */
weft_err weft_shutdown(weft_node *node, weft_ns timeout);
/* Frees a node after weft_shutdown; shuts it down without a deadline if it was not.
 * NULL is fine. */
void weft_node_close(weft_node *node);

void weft_node_key(const weft_node *node, weft_key *out);

typedef struct weft_result weft_result; /* below: what a command found out */
typedef void (*weft_on_result)(void *arg, weft_err err, const weft_result *result);
typedef void (*weft_on_count)(void *arg, weft_err err, uint64_t count);
typedef void (*weft_on_ids)(void *arg, weft_err err, const weft_id *ids, size_t count);

/* -- Trees --------------------------------------------------------------------------------- */

/* Creates a tree here and follows it. *out_tree is its id. */
weft_err weft_tree_create(weft_node *node, const weft_keypair *author, const weft_root_spec *spec,
                          weft_ns timeout, weft_id *out_tree);
typedef void (*weft_on_tree)(void *arg, weft_err err, const weft_id *tree);
weft_err weft_tree_create_async(weft_node *node, const weft_keypair *author,
                                const weft_root_spec *spec, weft_on_tree done, void *arg);
/* Follows a tree: accept and serve it. `readers` are the device keys of peers that may
 * read it here (and so exchange it with us); replaces the list. Keys to which the tree's settings
 * give Read or more, themselves or as everyone, may read it too; one that they revoke may not,
 * though it is in the list. It is created empty if nothing of it is here. LIMIT, IO. */
weft_err weft_tree_follow(weft_node *node, const weft_id *tree, const weft_key *readers,
                          uint32_t readers_count, weft_ns timeout);
weft_err weft_tree_follow_async(weft_node *node, const weft_id *tree, const weft_key *readers,
                                uint32_t readers_count, weft_on_result done, void *arg);
/* The node itself tracks the tree no longer, and its list of readers is empty. It is not served or
 * accepted any more, unless another principal has it enabled (weft_settings_put in access.h).
 * Entries stay, and writing here goes on. */
weft_err weft_tree_unfollow(weft_node *node, const weft_id *tree, weft_ns timeout);
weft_err weft_tree_unfollow_async(weft_node *node, const weft_id *tree, weft_on_result done,
                                  void *arg);
/* Lets go of a tree and of all that is kept of it, so that its room on the disk comes back. When it
 * returns OK that is durable: the tree is absent here for everybody, peers are not served it any
 * more, nobody tracks it (weft/access.h) and nobody may ask to join it; readers that are under way
 * see it whole or are told NOT_FOUND, feeds of it and its writers TREE. Its rows are deleted
 * afterwards, little by little, also by the next process. Peers keep what they have, and relations
 * to them stay: who takes the tree up again, by weft_tree_follow, gets all of it from them anew,
 * as a history that was never here: cursors of feeds of before are refused. Entries that nobody
 * else has are lost. A removed tree counts among WEFT_TREES_MAX until its rows are deleted and
 * the store is opened again. A nearly full disk, on which commits are refused, lets a tree go.
 * NOT_FOUND: it is not here. BUSY: a peer is just asked again whether it lets us in (a first join that
 * is granted later takes the tree up anew). NO_SPACE (half of the room that commits ask for is needed
 * here), NO_MEMORY: it is here as before. IO: it is here or it is not, as of a commit. */
weft_err weft_tree_remove(weft_node *node, const weft_id *tree, weft_ns timeout);
weft_err weft_tree_remove_async(weft_node *node, const weft_id *tree, weft_on_result done,
                                void *arg);

typedef struct weft_tree_info {
    weft_id tree;
    bool has_root, followed;
    uint64_t entries, max_gen, arrivals, tips;
    uint8_t root_digest[32]; /* over the entries: equal digests, equal histories */
    uint64_t shelved;        /* none of them: saved, and waiting for what was lost below
                              * them, which peers may send (weft/store.h)            */
} weft_tree_info;
weft_err weft_tree_info_get(weft_node *node, const weft_id *tree, weft_tree_info *out);
typedef void (*weft_on_tree_info)(void *arg, weft_err err, const weft_tree_info *info);
weft_err weft_tree_info_get_async(weft_node *node, const weft_id *tree, weft_on_tree_info done,
                                  void *arg);
/* The digest and the number of the entries of lo <= gen < hi (a gen is one more than the highest
 * of the parents'; UINT64_MAX: no upper end). Two nodes with equal digests of a range have the
 * same entries in it. A few reads, whatever the tree holds. NOT_FOUND, INVALID (lo > hi),
 * CORRUPT, IO, NO_MEMORY. `count` may be NULL. */
weft_err weft_tree_range_digest(weft_node *node, const weft_id *tree, uint64_t lo, uint64_t hi,
                                uint8_t out[32], uint64_t *count);
/* `*count` in: room, out: filled. LIMIT when there are more. */
weft_err weft_tree_list(weft_node *node, weft_id *out, size_t *count);
weft_err weft_tree_list_async(weft_node *node, weft_on_ids done, void *arg);
/* Current tips, ascending; LIMIT when there are more than `room`. */
weft_err weft_tree_tips(weft_node *node, const weft_id *tree, weft_id *out, size_t *count);
/* LIMIT: there are more than WEFT_IDS_PER_MESSAGE_MAX, or about so many. */
weft_err weft_tree_tips_async(weft_node *node, const weft_id *tree, weft_on_ids done, void *arg);
/* Calls fn for every entry, parents first, in the order (gen, id) that is the same on
 * every replica. The entry is valid during the call. A value other than OK ends the
 * walk and is returned. Blocking reads: not from inside an actor. */
weft_err weft_tree_walk(weft_node *node, const weft_id *tree,
                        weft_err (*fn)(void *arg, const weft_entry *entry), void *arg);

/* -- Entries ---------------------------------------------------------------------------------- */

/* The canonical bytes of an entry; *out is a new reference. NOT_FOUND, CORRUPT, IO. */
weft_err weft_get(weft_node *node, const weft_id *id, weft_buf **out);
/* `entry` is borrowed: weft_buf_ref to keep it. */
typedef void (*weft_on_entry)(void *arg, weft_err err, weft_buf *entry);
weft_err weft_get_async(weft_node *node, const weft_id *id, weft_on_entry done, void *arg);

/* Adds finished entries (weft_entry_build) through the one door and waits until they
 * are durable. Their signatures are checked on the calling thread unless `trusted`
 * (signed by this process a moment ago). Applied in order; *applied (may be NULL) says
 * how many are stored; the answer is the first failure. A missing parent: PENDING. */
weft_err weft_add(weft_node *node, weft_buf *const *entries, uint32_t count, bool trusted,
                  weft_ns timeout, uint32_t *applied);
/* The signatures are checked before it returns; a first entry that is bad, or none at all, is
 * answered at once, INVALID if there is none. `count` of `done`: how many are stored. */
weft_err weft_add_async(weft_node *node, weft_buf *const *entries, uint32_t count, bool trusted,
                        weft_on_count done, void *arg);

/* A writer belongs to one thread. It takes the published tips plus its own last
 * entry as parents, builds, signs and commits. */
typedef struct weft_writer weft_writer;
weft_err weft_writer_open(weft_node *node, const weft_id *tree, const weft_keypair *author,
                          weft_writer **out);
void weft_writer_close(weft_writer *writer); /* NULL is fine */
/* What OK from a commit promises. What comes later is never weaker: each entry is written soon
 * and durable within WEFT_LAZY_SYNC_NS, unless the store fails. Peers hear of it when it is. */
typedef enum weft_durability {
    WEFT_SYNCED,  /* it survives a power cut                                              */
    WEFT_WRITTEN, /* it survives the end of the process, kill -9 too; a power cut takes
                   * back at most what was written in the last WEFT_LAZY_SYNC_NS         */
    WEFT_MEMORY   /* it is a good entry and its parents are here, no more: the end of the
                   * process takes back the last batch, and if that cannot be written
                   * nobody is told but by WEFT_EV_STORE and the log. Reads find it once
                   * it is written                                                       */
} weft_durability;
/* For the commits of `writer` from now on; WEFT_SYNCED at first. INVALID. */
weft_err weft_writer_durability(weft_writer *writer, weft_durability durability);

/* Commits `payload` to the named store, above the tips of the tree and of that store: of more than
 * WEFT_ENTRY_PARENTS_MAX the writer's last entry and the next others, which each commit goes on
 * among. With OK it is as durable as the writer's level says.
 * *out_id may be NULL. FORBIDDEN, LIMIT, FULL (many writers), TIMED_OUT. NO_SPACE: the disk is nearly full.
 * IO: the disk failed, and whether the entry is stored is known only after WEFT_EV_STORE says
 * that writes are taken again: then it may turn up, as an entry like any other. */
weft_err weft_commit(weft_writer *writer, const char *store, const void *payload, size_t len,
                     weft_ns timeout, weft_id *out_id);
/* Begins a commit and returns; `done` runs on the notify thread once it is as durable as the
 * writer's level says. PENDING: an entry that it stands on was lost with a batch.
 * At most WEFT_MAILBOX_DEFAULT are under way per node: FULL. */
typedef void (*weft_on_commit)(void *arg, weft_err err, const weft_id *id);
weft_err weft_commit_async(weft_writer *writer, const char *store, const void *payload, size_t len,
                           weft_on_commit done, void *arg, weft_id *out_id);

/* -- Events -------------------------------------------------------------------------------------- */

typedef enum weft_event_kind {
    WEFT_EV_ENTRIES, /* a tree grew; entry fields are set once per entry while the
                          * feed keeps up, else `coalesced` and only tree and seq    */
    WEFT_EV_PEER_UP,
    WEFT_EV_PEER_DOWN, /* err says why */
    WEFT_EV_SYNC_STARTED,
    WEFT_EV_SYNC_DONE,   /* counts are set */
    WEFT_EV_SYNC_FAILED, /* err says why */
    WEFT_EV_STOPPED,     /* the node failed and stops: err says why */
    WEFT_EV_STORE,       /* err: why writes are refused from now on; OK: they are taken again */
    WEFT_EV_JOIN         /* weft/join.h: tree, peer (the key that asks) and request are set. err
                          * OK: a request waits for a decision here; AWAITING: one of this node
                          * waits elsewhere. Else how one has ended, here or where this node
                          * asked: REJECTED, EXPIRED; EXISTS: it was granted                   */
} weft_event_kind;
typedef struct weft_event {
    weft_event_kind kind;
    weft_err err;
    weft_id tree;
    weft_key peer; /* whom it came from or is about; zero: local */
    bool local;    /* ENTRIES: committed here                    */
    bool coalesced;
    uint64_t seq; /* the tree's arrival number                  */
    weft_id id;
    const uint8_t *bytes; /* the entry, valid during the call; NULL if coalesced */
    size_t len;
    uint64_t sent, received; /* SYNC_DONE: entries in this session        */
    uint8_t request[16];     /* JOIN */
} weft_event;
/* Runs on the node's notify thread; it must not block. The feed is bounded and coalesces, it never
 * holds the node up. */
typedef void (*weft_on_event)(void *arg, const weft_event *event);
/* Everything that is stored after this has returned is told to `fn` once the disk has it, by itself
 * or within a coalesced event: what a look at the node afterwards does not find comes as an event.
 * What was stored shortly before may be told too, and `fn` may run before this returns. While
 * writes are refused it hears of that at once. Waits until the store has taken note, behind the
 * batch that it writes just now. LIMIT: WEFT_SUBSCRIBERS_MAX are there. CLOSED: the node stops,
 * or its store has ended. FULL, NO_MEMORY. */
weft_err weft_subscribe(weft_node *node, weft_on_event fn, void *arg, uint64_t *out_handle);
/* `count` of `done` is the handle. */
weft_err weft_subscribe_async(weft_node *node, weft_on_event fn, void *fn_arg, weft_on_count done,
                              void *arg);
/* After it returns `fn` does not run any more (not from inside it: DEADLK). */
weft_err weft_unsubscribe(weft_node *node, uint64_t handle);
/* Also from inside `fn`, which may run until `done` has been called. */
weft_err weft_unsubscribe_async(weft_node *node, uint64_t handle, weft_on_result done, void *arg);

/* -- Peers and relations ----------------------------------------------------------------------------- */

typedef enum weft_peer_status {
    WEFT_PEER_ACTIVE,
    WEFT_PEER_INACTIVE,
    WEFT_PEER_BLOCKED
} weft_peer_status;
typedef enum weft_connection {
    WEFT_DISCONNECTED,
    WEFT_CONNECTING,
    WEFT_CONNECTED,
    WEFT_CONN_FAILED
} weft_connection;
typedef struct weft_peer_info {
    weft_key key;
    char name[WEFT_ACTOR_NAME_BYTES_MAX]; /* given here, else what it first called itself */
    weft_peer_status status;
    weft_connection connection;
    int64_t first_seen_ms, last_seen_ms, last_success_ms; /* wall clock; 0: never */
    uint64_t attempts, failures;                          /* connections */
    weft_err last_error;
    uint32_t addresses_count;
    char addresses[WEFT_ADDRESSES_PER_PEER_MAX][WEFT_ADDRESS_BYTES_MAX];
    uint32_t trees_count;
    uint64_t entries_sent, entries_received, bytes_sent, bytes_received;
    uint64_t syncs_ok, syncs_failed;
    weft_ns penalty_ns; /* for so long it is refused yet because it broke the rules; 0: it is not */
} weft_peer_info;

/* EXISTS when it is known already (blocked too). LIMIT. One whose record is damaged (peers_damaged in
 * weft_node_stats) nobody can say whether it was blocked: it is, until this call begins with it anew, or
 * weft_peer_set_status says what it is; other changes of it before that write it down as a blocked one. */
weft_err weft_peer_register(weft_node *node, const weft_key *peer, const char *name,
                            weft_ns timeout);
/* Marks it blocked, as by the next call, and drops its relations; never an error if unknown. */
weft_err weft_peer_remove(weft_node *node, const weft_key *peer, weft_ns timeout);
/* Blocked: it is refused in both directions from now on, and when this answers OK it has no connection,
 * and no frame of it is heard or sent any more; what had come before may still be stored. NOT_FOUND. */
weft_err weft_peer_set_status(weft_node *node, const weft_key *peer, weft_peer_status status,
                              weft_ns timeout);
/* "tcp:host:port", "http:host:port[/path]", "mem:host:port", or of a network of your own
 * (weft/net.h), which need not be there yet. Appended if not there. NOT_FOUND, ADDRESS, LIMIT. */
weft_err weft_peer_add_address(weft_node *node, const weft_key *peer, const char *address,
                               weft_ns timeout);
weft_err weft_peer_remove_address(weft_node *node, const weft_key *peer, const char *address,
                                  weft_ns timeout); /* NOT_FOUND: not there */
/* Blocked peers read as NOT_FOUND. */
weft_err weft_peer_get(weft_node *node, const weft_key *peer, weft_ns timeout, weft_peer_info *out);
/* All but blocked ones, by key. `*count` in: room, out: filled; LIMIT: there are more. */
weft_err weft_peer_list(weft_node *node, weft_ns timeout, weft_key *out, size_t *count);
/* Relates a tree to a peer: it is synced with it from now on. NOT_FOUND: no such peer. */
weft_err weft_peer_relate(weft_node *node, const weft_key *peer, const weft_id *tree,
                          weft_ns timeout);
weft_err weft_peer_unrelate(weft_node *node, const weft_key *peer, const weft_id *tree,
                            weft_ns timeout);
weft_err weft_peer_trees(weft_node *node, const weft_key *peer, weft_ns timeout, weft_id *out,
                         size_t *count);
weft_err weft_tree_peers(weft_node *node, const weft_id *tree, weft_ns timeout, weft_key *out,
                         size_t *count);

/* The same, asynchronously; `done` as for the commands below. Changes set nothing in the
 * result; look-ups hand over a list or a row that is valid during the call. */
typedef void (*weft_on_peer)(void *arg, weft_err err, const weft_peer_info *info);
typedef void (*weft_on_keys)(void *arg, weft_err err, const weft_key *keys, size_t count);
weft_err weft_peer_register_async(weft_node *node, const weft_key *peer, const char *name,
                                  weft_on_result done, void *arg);
weft_err weft_peer_remove_async(weft_node *node, const weft_key *peer, weft_on_result done,
                                void *arg);
weft_err weft_peer_set_status_async(weft_node *node, const weft_key *peer, weft_peer_status status,
                                    weft_on_result done, void *arg);
weft_err weft_peer_add_address_async(weft_node *node, const weft_key *peer, const char *address,
                                     weft_on_result done, void *arg);
weft_err weft_peer_remove_address_async(weft_node *node, const weft_key *peer, const char *address,
                                        weft_on_result done, void *arg);
weft_err weft_peer_relate_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                                weft_on_result done, void *arg);
weft_err weft_peer_unrelate_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                                  weft_on_result done, void *arg);
weft_err weft_peer_get_async(weft_node *node, const weft_key *peer, weft_on_peer done, void *arg);
weft_err weft_peer_list_async(weft_node *node, weft_on_keys done, void *arg);
weft_err weft_peer_trees_async(weft_node *node, const weft_key *peer, weft_on_ids done, void *arg);
weft_err weft_tree_peers_async(weft_node *node, const weft_id *tree, weft_on_keys done, void *arg);

/* -- Commands of the engine (REFERENCE C01 to C12) --------------------------------------------------------- */

struct weft_result { /* what a command found out; which fields are set is said there */
    weft_key peer;
    char text[WEFT_ADDRESS_BYTES_MAX];
    uint64_t sent, received; /* entries */
    uint64_t retry_failures, new_failures;
    weft_buf *message; /* borrowed in callbacks, the caller's in blocking forms */
};

/* C01: sends exactly these entries to the peer over a connection to it and waits until
 * it holds them durably. Only what it may read: FORBIDDEN. PENDING: it lacks parents. */
weft_err weft_send_entries(weft_node *node, const weft_key *peer, weft_buf *const *entries,
                           uint32_t count, weft_ns timeout, weft_result *out);
weft_err weft_send_entries_async(weft_node *node, const weft_key *peer, weft_buf *const *entries,
                                 uint32_t count, weft_ns timeout, weft_on_result done, void *arg);
/* C02: syncs every tree related to the peer, both directions. The first failure is the
 * answer; the other trees are still tried. sent, received. */
weft_err weft_sync_with_peer(weft_node *node, const weft_key *peer, weft_ns timeout,
                             weft_result *out);
weft_err weft_sync_with_peer_async(weft_node *node, const weft_key *peer, weft_ns timeout,
                                   weft_on_result done, void *arg);
/* One tree with one peer, both directions: OK when both hold the union of what they had
 * when it began. TREE: the peer does not serve it to us. sent, received. */
weft_err weft_sync_tree(weft_node *node, const weft_key *peer, const weft_id *tree, weft_ns timeout,
                        weft_result *out);
weft_err weft_sync_tree_async(weft_node *node, const weft_key *peer, const weft_id *tree,
                              weft_ns timeout, weft_on_result done, void *arg);
/* C04: adds or replaces a named transport. `listen` is "tcp:host:port" (port 0: any) or
 * "mem:name:port"; NULL: "tcp" without a listener. It is not started. A running one of that name
 * is stopped; its connections stay. Remembered (`restore_transports`) when this returns; IO and
 * NO_SPACE are of that alone: the transport is there. weft/net.h has more of transports. */
weft_err weft_add_transport(weft_node *node, const char *name, const char *listen, weft_ns timeout);
weft_err weft_add_transport_async(weft_node *node, const char *name, const char *listen,
                                  weft_on_result done, void *arg);
/* Likewise over `hub`, in memory, as `host` ("a:1" is then "mem:a:1" to others). */
weft_err weft_add_transport_mem(weft_node *node, const char *name, weft_hub *hub, const char *host,
                                const char *listen, weft_ns timeout);
weft_err weft_add_transport_mem_async(weft_node *node, const char *name, weft_hub *hub,
                                      const char *host, const char *listen, weft_on_result done,
                                      void *arg);
weft_err weft_hub_create(weft_hub **out);
void weft_hub_destroy(weft_hub *hub); /* after its nodes were closed */
/* C05, C06: one transport, or all (NULL). A host name to listen at is looked up when the
 * server starts; the first of its addresses that is this machine's counts. Start: NOT_FOUND,
 * EXISTS (it runs, or the address is in use), ADDRESS (not this machine's), UNREACHABLE (no
 * such host), NETWORK; of all: OK if one started or there is none. Stop: NOT_FOUND. */
weft_err weft_start_server(weft_node *node, const char *name, weft_ns timeout);
weft_err weft_start_server_async(weft_node *node, const char *name, weft_on_result done, void *arg);
weft_err weft_stop_server(weft_node *node, const char *name, weft_ns timeout);
weft_err weft_stop_server_async(weft_node *node, const char *name, weft_on_result done, void *arg);
/* C07: the bound address of a transport ("tcp:127.0.0.1:4711"); C08: of all that run,
 * by name. NOT_FOUND: no such transport or not running. */
weft_err weft_server_address(weft_node *node, const char *name, weft_ns timeout,
                             char out[WEFT_ADDRESS_BYTES_MAX]);
weft_err weft_server_address_async(weft_node *node, const char *name, weft_on_result done,
                                   void *arg); /* result.text */
typedef struct weft_server {
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    char address[WEFT_ADDRESS_BYTES_MAX];
} weft_server;
weft_err weft_server_addresses(weft_node *node, weft_ns timeout, weft_server *out, size_t *count);
typedef void (*weft_on_servers)(void *arg, weft_err err, const weft_server *servers, size_t count);
weft_err weft_server_addresses_async(weft_node *node, weft_on_servers done, void *arg);
/* C09: connects, proves keys, registers the peer and remembers the address. result.peer is
 * the proven key; `expect` (may be NULL) is the only one accepted. NO_TRANSPORT: no transport of
 * this node is of the address's type. PENALISED: the key has broken the rules more than once and is
 * refused for a time, which weft_peer_get tells. */
weft_err weft_connect(weft_node *node, const char *address, const weft_key *expect, weft_ns timeout,
                      weft_key *out);
weft_err weft_connect_async(weft_node *node, const char *address, const weft_key *expect,
                            weft_ns timeout, weft_on_result done, void *arg);
/* C10: opens a stream to the peer at `address`, sends one raw protocol message (a msgpack
 * array whose first element is a type of docs/wire.md; its stream number is filled in) and
 * returns the first message that comes back on it, uninterpreted, in result.message. */
weft_err weft_send_request(weft_node *node, const char *address, const void *message, size_t len,
                           weft_ns timeout, weft_buf **out);
weft_err weft_send_request_async(weft_node *node, const char *address, const void *message,
                                 size_t len, weft_ns timeout, weft_on_result done, void *arg);
/* C11: pushes what every related peer has not acknowledged, (peer, tree) pairs in back-off
 * first, then the others; OK when all of them acknowledged everything that was stored when
 * it was called. Otherwise NETWORK, with the pairs that failed counted in retry_failures
 * and new_failures. */
weft_err weft_flush(weft_node *node, weft_ns timeout, weft_result *out);
weft_err weft_flush_async(weft_node *node, weft_ns timeout, weft_on_result done, void *arg);
/* The trees that a connected peer offers us: only those that we may read. */
weft_err weft_peer_offers(weft_node *node, const weft_key *peer, weft_ns timeout, weft_id *out,
                          size_t *count);
weft_err weft_peer_offers_async(weft_node *node, const weft_key *peer, weft_ns timeout,
                                weft_on_ids done, void *arg);

/* -- Statistics ---------------------------------------------------------------------------------------------- */
typedef struct weft_node_stats {
    uint64_t entries_stored;   /* by any way                                       */
    uint64_t entries_received; /* from peers, stored                               */
    uint64_t entries_sent;
    uint64_t duplicates;        /* received although the peer had been told         */
    uint64_t redundant;         /* received twice because copies crossed            */
    uint64_t refused;           /* entries that the door or a check refused         */
    uint64_t pending;           /* waiting for parents now                          */
    uint64_t wire_in, wire_out; /* bytes on connections, encrypted                  */
    uint64_t round_trips;       /* of negotiation                                   */
    uint64_t sessions_ok, sessions_failed, sessions_exact;
    uint64_t connections;     /* up now                                           */
    uint64_t batches, synced; /* store writes                                     */
    uint64_t verified;        /* signatures checked                               */
    uint64_t live_pairs;      /* (peer, tree) pairs in live push now              */
    uint64_t offences;        /* connections ended because the peer broke the rules */
    uint64_t penalised;       /* times that a key was refused for that, either way  */
    uint64_t joins_damaged;   /* records of joining that were left aside when it was opened */
    uint64_t peers_damaged;   /* likewise of peers; weft_peer_register says what is then      */
} weft_node_stats;
weft_err weft_node_stats_get(weft_node *node, weft_node_stats *out);

const char *weft_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
