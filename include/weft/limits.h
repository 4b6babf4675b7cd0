/* SPDX-License-Identifier: Apache-2.0
 * weft/limits.h - every bound of weft, in one place.
 *
 * Reaching a bound is an answer (WEFT_FULL, WEFT_BUSY, WEFT_LIMIT), never a
 * crash, a hang or a silent drop. The first group belongs to the version of the
 * entry format and must never be configurable, or replicas would split. */
#ifndef WEFT_LIMITS_H
#define WEFT_LIMITS_H

/* -- Entries, version 1: part of the format ------------------------------- */
#define WEFT_ENTRY_BYTES_MAX (1u << 20)     /* one encoded entry               */
#define WEFT_ENTRY_DEPTH_MAX 8u             /* nesting of its encoding         */
#define WEFT_ENTRY_PARENTS_MAX 256u         /* tree parents; per store as well */
#define WEFT_ENTRY_STORES_MAX 64u           /* named stores in one entry       */
#define WEFT_STORE_NAME_BYTES_MAX 64u       /* UTF-8 name of a named store     */
#define WEFT_HEIGHT_MAX (UINT64_C(1) << 53) /* heights stay exact in a double  */
/* In trees by time: entries built here do not stand on what is further ahead of this clock, a year. */
#define WEFT_HEIGHT_AHEAD_MS (UINT64_C(366) * 24 * 3600 * 1000)
#define WEFT_METADATA_BYTES_MAX 4096u      /* an entry's metadata             */
#define WEFT_ENTRY_UNION_PARENTS_MAX 4096u /* tree and store parents together */

/* -- Sizes fixed by the algorithms ----------------------------------------- */
#define WEFT_ID_BYTES 32u
#define WEFT_KEY_BYTES 32u
#define WEFT_SIGNATURE_BYTES 64u

/* -- Wire -------------------------------------------------------------------- */
#define WEFT_RECORD_BYTES_MAX 65535u                      /* one Noise record             */
#define WEFT_MESSAGE_BYTES_MAX ((1u << 20) + (64u << 10)) /* one message              */
#define WEFT_FRAME_PAYLOAD_BYTES (256u << 10)             /* a bulk frame aims at this    */
#define WEFT_TIPS_PER_MESSAGE_MAX 1024u
#define WEFT_OPEN_TIPS_MAX 32u /* tips in OPEN and STATE       */
#define WEFT_IDS_PER_MESSAGE_MAX 16384u
#define WEFT_WANT_IDS_MAX 1024u
#define WEFT_FRAMED_ENTRY_BYTES_MIN 128u /* no entry of any version is shorter */
#define WEFT_FRAMED_ENTRIES_MAX 8192u    /* entries in one bulk frame    */
#define WEFT_SESSIONS_PER_CONNECTION_MAX 1024u
#define WEFT_SESSIONS_PER_PEER_MAX 2048u /* over all its connections, ended ones too */
#define WEFT_SESSIONS_NODE_MAX 65536u    /* of all peers                             */
#define WEFT_CONNECTIONS_MAX 4096u
#define WEFT_CONNECTIONS_DIALLED_MIN 256u     /* of them, left for our own dials      */
#define WEFT_CONNECTIONS_ACCEPTED_MAX 3584u   /* that others dialled: the next hear BUSY */
#define WEFT_CONNECTIONS_PER_ADDRESS_MAX 256u /* and of these, from one address       */
#define WEFT_STREAMS_MAX 65536u               /* the store keeps the order of */
#define WEFT_PENDING_HANDSHAKES_MAX 64u
#define WEFT_PENDING_HANDSHAKES_PER_ADDRESS_MAX 8u
#define WEFT_ADDRESSES_PER_PEER_MAX 8u
#define WEFT_ADDRESS_BYTES_MAX 256u    /* text of one address          */
#define WEFT_ERROR_TEXT_BYTES_MAX 256u /* text in CLOSE and ERR        */
#define WEFT_DIAL_ENDPOINTS_MAX 8u     /* tried per dial, in turn          */
#define WEFT_ENDED_STREAMS_MAX \
    1024u /* remembered per connection: their
                                                       * late bulk is dropped             */
#define WEFT_OUTBOUND_CIPHER_BYTES \
    (256u << 10)                               /* encrypted, not yet taken by the
                                                       * socket, per connection           */
#define WEFT_OUTBOUND_URGENT_BYTES (64u << 10) /* the transport's own frames       */
#define WEFT_READ_TURN_BYTES \
    (256u << 10)                                  /* read from one connection before
                                                       * others have a turn               */
#define WEFT_UNCHARGED_FRAME_BYTES_MAX (4u << 10) /* a frame that needs no credit      */
#define WEFT_FRAMES_HELD_MAX 256u                 /* with the layers above: no more is read    */
#define WEFT_FRAMES_HELD_ENDED_MAX 16384u         /* of ended connections: nobody is let in   */
#define WEFT_PEERS_MAX 4096u      /* known ones, in all                                    */
#define WEFT_PEERS_CAME_MAX 3072u /* beyond so many nobody is known for having come by itself */
#define WEFT_TRANSPORTS_MAX 16u
#define WEFT_TREES_MAX 65536u
#define WEFT_READERS_PER_TREE_MAX 1024u

/* -- Deadlines (nanoseconds) --------------------------------------------------- */
#define WEFT_MS UINT64_C(1000000)
#define WEFT_SEC UINT64_C(1000000000)
#define WEFT_HANDSHAKE_TIMEOUT_NS (5 * WEFT_SEC)
#define WEFT_FRAME_TIMEOUT_NS (30 * WEFT_SEC) /* a begun message must end       */
#define WEFT_PING_INTERVAL_NS (15 * WEFT_SEC)
#define WEFT_PING_TIMEOUT_NS (45 * WEFT_SEC)
#define WEFT_IDLE_TIMEOUT_NS (120 * WEFT_SEC)
#define WEFT_CREDIT_TIMEOUT_NS (30 * WEFT_SEC)  /* a stream without credit closes */
#define WEFT_SESSION_TIMEOUT_NS (30 * WEFT_SEC) /* a sync session without progress */
#define WEFT_SETTLE_NS (10 * WEFT_SEC)          /* for what ended streams brought    */
#define WEFT_DIAL_TIMEOUT_NS (10 * WEFT_SEC)    /* one address, names and handshake  */
#define WEFT_PENDING_TTL_NS (60 * WEFT_SEC)     /* an entry without its parents   */
#define WEFT_LAZY_SYNC_NS (100 * WEFT_MS)       /* unsynced commits are durable by */
#define WEFT_ROOM_WAIT_NS (60 * WEFT_SEC)       /* for openings on a nearly full disk */

/* -- Timers of the sync engine (defaults) ----------------------------------------- */
#define WEFT_SYNC_INTERVAL_NS (300 * WEFT_SEC)
#define WEFT_QUEUE_TICK_NS (5 * WEFT_SEC)
#define WEFT_RETRY_TICK_NS (1 * WEFT_SEC)
#define WEFT_CONNECTION_TICK_NS (60 * WEFT_SEC)
#define WEFT_SETTINGS_TICK_NS (60 * WEFT_SEC)
#define WEFT_BACKOFF_EXPONENT_MAX 6u /* 2^min(attempts,6) seconds      */

/* -- Memory ------------------------------------------------------------------------- */
#define WEFT_WINDOW_BYTES (8u << 10)           /* a connection's own receive window */
#define WEFT_ACCOUNT_PEER_BYTES (4u << 20)     /* lent to one peer                  */
#define WEFT_ACCOUNT_NODE_BYTES (64u << 20)    /* lent in all                       */
#define WEFT_LOAN_BYTES (1u << 20)             /* one CREDIT at most                */
#define WEFT_OUTBOUND_CONTROL_BYTES (4u << 20) /* queued control bytes per connection */
#define WEFT_OUTBOUND_FRAME_COST 128u          /* counted for each of them beyond its bytes */
#define WEFT_OPENING_STREAM_BYTES (16u << 10)  /* asked for a stream that nobody here knows */
#define WEFT_OPENING_PEER_BYTES (64u << 10)    /* lent for such streams: on a connection,   */
#define WEFT_OPENING_NODE_BYTES (8u << 20)     /* and in all                                */
#define WEFT_PENDING_PEER_BYTES (4u << 20)
#define WEFT_PENDING_PEER_ENTRIES 1024u
#define WEFT_PENDING_NODE_BYTES (64u << 20)
#define WEFT_HOLDERS_MAX 4096u   /* known ids kept per (peer, tree)   */
#define WEFT_COMMANDS_MAX 4096u  /* commands of the engine under way */
#define WEFT_PAIRS_MAX 65536u    /* (peer, tree) pairs in the queue   */
#define WEFT_PUSH_FRAMES_MAX 2u  /* live frames of a pair at transport */
#define WEFT_RECENT_ENTRIES 256u /* of a tree, kept for pushing them on */
#define WEFT_RECENT_TREE_BYTES (1u << 20)
#define WEFT_RECENT_NODE_BYTES (16u << 20)
#define WEFT_WALK_STEPS_MAX \
    65536u                               /* index reads of one planning walk
                                                 * before it yields to the next job  */
#define WEFT_FEEDS_MAX 256u              /* change feeds open at one node        */
#define WEFT_FEED_TURN 64u               /* arrivals of one feed between others  */
#define WEFT_SUBSCRIBERS_MAX 16u         /* event feeds of one node              */
#define WEFT_FOOTING_LOOKS_MAX 4096u     /* below tips of a far future, to stand on      */
#define WEFT_OFFERS_UNDER_WAY_MAX 8u     /* look-ups for one peer's TREES_REQ    */
#define WEFT_OFFERS_NODE_MAX 1024u       /* and for all peers'                   */
#define WEFT_PLAN_ARRIVALS_MAX 4096u     /* looked at to choose a plan          */
#define WEFT_DIFF_ENTRIES_MAX (1u << 18) /* entries that one difference walk may find */
#define WEFT_DAG_TIPS_MAX (1u << 20)     /* tips of a view of a tree             */
#define WEFT_DAG_CUT_MAX (1u << 20)      /* entries named as a cut               */
#define WEFT_DAG_WAITING_MAX (1u << 20)  /* edges that a walk has yet to follow  */
#define WEFT_DAG_APART_MAX 65536u        /* entries outside a cut, found by a difference walk */
#define WEFT_DAG_MARKS_BYTES (64u << 20) /* one bit for each arrival             */
#define WEFT_DAG_TURN_READS 1024u        /* before another way of asking has its turn */
#define WEFT_PROBE_IDS_MIN 4096u         /* a shorter list of ids is sent at once   */
#define WEFT_DIFFS_MAX 16u               /* such walks kept at the same time  */
#define WEFT_JOB_FRAMES_MAX 4u           /* frames of one job waiting at the transport */
#define WEFT_DAMAGED_MAX 4096u           /* bodies in quarantine of one store   */
#define WEFT_SHELF_ENTRIES_MAX 65536u    /* saved by one salvage although they cannot stand, */
#define WEFT_SHELF_BYTES_MAX (64u << 20) /* and their bodies; what is beyond peers send */
#define WEFT_SHELF_PARENTS_MAX 256u      /* that one of them may name */
#define WEFT_SHELF_SESSIONS_MAX 3u       /* begun with a peer that spare it what is there; */
#define WEFT_SHELF_PAIRS_MAX 4096u       /* peers and trees of which that is remembered */
#define WEFT_STORE_ASIDES_MAX 8u         /* damaged stores kept beside one; more: CORRUPT */
#define WEFT_MAP_VIEW_BYTES (256u << 20) /* paths and values of one open map     */
#define WEFT_MAP_AUTHORS_MAX 4096u       /* of a map that are known apart        */
#define WEFT_MAP_REVOCATIONS_MAX 65536u  /* of a tree, while a map of it is open */
#define WEFT_DOORBELL_ENTRIES 64u        /* carried by one STORED             */
#define WEFT_DOORBELL_BYTES (256u << 10)
#define WEFT_DOORBELL_TREES 64u
#define WEFT_GROUP_COMMIT_BYTES (4u << 20)       /* one write batch of the store      */
#define WEFT_GROUP_COMMIT_ENTRIES 16384u         /* and as many entries               */
#define WEFT_STORE_TRIE_NODES_BYTES (3u << 20)   /* of the tries, kept in memory */
#define WEFT_STORE_TRIE_BUCKETS_BYTES (6u << 20) /* and of what lies below them  */
#define WEFT_STORE_DOM_PAGES 4096u               /* of dominators: a power of 4        */
#define WEFT_STORE_DOM_BYTES 512u                /* of one; larger ones are not kept   */
#define WEFT_STORE_BRIEFS_MAX \
    65536u /* entries whose facts the store keeps
                                                 * in memory: a power of two         */

/* -- A store --------------------------------------------------------------------------- */
/* Bytes of RocksDB's caches and write buffers, unless weft_node_options says otherwise; and what
 * is taken when it says less. */
#define WEFT_STORE_MEMORY_BYTES (UINT64_C(96) << 20)
#define WEFT_STORE_MEMORY_BYTES_MIN (UINT64_C(8) << 20)
/* Free bytes of the volume below which writes answer NO_SPACE while reads go on; with RocksDB twice
 * its write buffers, if that is more; of a small volume a quarter. Removals of trees may have half
 * of it. */
#define WEFT_STORE_FREE_FLOOR_BYTES (UINT64_C(64) << 20)
/* Bytes of an LMDB store: beyond them writes answer NO_SPACE. 1 GiB where pointers have 32 bits. */
#define WEFT_STORE_LMDB_BYTES_MAX (UINT64_C(256) << 30)
/* Places in the table of an LMDB store's readers, of which its head takes a few: one for each value,
 * iterator and view at one time. The next read answers LIMIT. */
#define WEFT_STORE_LMDB_READERS 2048u
#define WEFT_STORE_LMDB_READERS_IDLE 64u /* kept for the next ones; more are ended       */
/* Trees and named stores whose tips are in memory: a newcomer takes another's place. Tips of one,
 * of which more are read from the engine each time; and ids that all have room for: when there
 * are more, all are forgotten and read again when they are asked for. */
#define WEFT_STORE_TIPS_SETS 1024u
#define WEFT_STORE_TIPS_SET_MAX 4096u
#define WEFT_STORE_TIPS_MAX 65536u
#define WEFT_MEND_CHILDREN_MAX 8192u     /* asked whether they follow an entry in one named store */
#define WEFT_STORE_PLACES_MAX (1u << 18) /* of entries, 8 bytes each: a newcomer takes another's */
#define WEFT_STORE_SKETCHES 256u         /* kept, a KiB each: others are read for each batch */
#define WEFT_STORE_POLICIES 64u /* kept: others are read again; new ones of a batch: half */

/* -- Trust: keys, grants, joining, tickets ------------------------------------------------- */
#define WEFT_PROVEN_KEYS_MAX 8u             /* keys beside the device's, proven on one connection */
#define WEFT_PROOFS_PER_CONNECTION 16u      /* checked at once; each costs a verification   */
#define WEFT_PROOF_EVERY_NS (10 * WEFT_SEC) /* and one more                              */
#define WEFT_PROOFS_NODE 256u               /* of all connections                        */
#define WEFT_PROOF_NODE_EVERY_NS (WEFT_SEC / 64)
#define WEFT_PROOFS_KNOWN (WEFT_PROOFS_NODE / 4) /* of these for registered peers alone  */
#define WEFT_IDENTITIES_MAX 4096u   /* trees in which a node acts with another key       */
#define WEFT_KEY_NAME_BYTES_MAX 63u /* of a key in a tree's settings                     */
#define WEFT_PRINCIPALS_PER_TREE_MAX 256u
#define WEFT_TRACKS_MAX 65536u      /* (tree, principal) rows of one node                */
#define WEFT_PROPERTIES_MAX 16u     /* of one such row                                   */
#define WEFT_SETTINGS_MAX 1024u     /* of the node itself                                */
#define WEFT_JOINS_MAX 64u          /* requests to join that wait for a decision          */
#define WEFT_JOINS_PER_PEER_MAX 8u  /* of one device                                     */
#define WEFT_JOINS_DECIDED_MAX 256u /* kept for those who ask later: the oldest goes      */
#define WEFT_JOIN_META_BYTES_MAX 4096u
#define WEFT_JOIN_TTL_MS INT64_C(604800000) /* of a request: 7 days (weft/join.h: by which clock) */
#define WEFT_JOIN_DOWN_MAX_MS INT64_C(86400000) /* that it ages while a node is down: a day */
#define WEFT_JOIN_POLL_NS (60 * WEFT_SEC)       /* who waits for a decision asks again         */
#define WEFT_JOIN_AUTO_BURST 64u /* granted to one tree at once without a decision    */
#define WEFT_JOIN_AUTO_EVERY_NS (60 * WEFT_SEC) /* and one more                              */
#define WEFT_ASKED_MAX 1024u                /* requests of ours that wait elsewhere              */
#define WEFT_TICKET_BYTES_MAX 16384u        /* of a ticket's text, with its NUL                  */
#define WEFT_TICKET_HINTS_MAX 16u           /* addresses in a ticket: others are passed over     */
#define WEFT_INTERFACES_BYTES_MAX 255u      /* of weft_node_options.interfaces                   */
#define WEFT_DECLARED_MAX 4096u             /* trees that are kept with a peer by handles        */
#define WEFT_TICKET_TRY_NS (30 * WEFT_SEC)  /* for one of them                              */
#define WEFT_GATE_TREES 64u                 /* whose rights changed: more are told as all        */
#define WEFT_STANDING_PAIRS_MAX 65536u      /* questions of ancestry for one tree's rights       */
#define WEFT_STANDING_WORDS_MAX (1u << 18)  /* said of keys by one tree's settings         */
#define WEFT_RIGHTS_NODE_BYTES (256u << 20) /* of the rights of all trees, in memory       */
#define WEFT_HISTORY_PER_PEER_MAX 256u      /* syncs that are remembered: the oldest goes        */
#define WEFT_HISTORY_MAX 65536u             /* and of all peers                                  */
#define WEFT_PAIR_SUMS_MAX 65536u           /* (peer, tree) pairs whose syncs are added up      */
#define WEFT_ADDRESS_TTL_MS INT64_C(604800000) /* of a told address that did not work since */
#define WEFT_TRANSPORT_STATE_BYTES_MAX 4096u
#define WEFT_TRANSPORT_TYPE_BYTES_MAX 16u /* of the scheme of a network's addresses, with its NUL */
#define WEFT_TRANSPORTS_SAVED_MAX 64u     /* remembered by one store                      */
#define WEFT_ENDPOINT_BYTES_MAX 384u      /* an address that was looked up                */
#define WEFT_KEYSTORE_KEYS_MAX 256u
#define WEFT_KEYSTORE_OPERATIONS_MAX 32u             /* passes that one try may cost       */
#define WEFT_KEYSTORE_MEMORY_MAX (UINT64_C(1) << 30) /* and bytes                          */
#define WEFT_PASSPHRASE_BYTES_MAX 1024u
#define WEFT_PENALTIES_MAX 4096u            /* keys that are refused for a time: the oldest goes  */
#define WEFT_PENALTY_MAX_NS (64 * WEFT_SEC) /* the longest of these times               */
#define WEFT_PENALTY_MEMORY_NS (10 * 60 * WEFT_SEC) /* without an offence all is forgotten */
#define WEFT_HTTP_HEAD_BYTES_MAX 4096u
#define WEFT_HTTP_PENDING_MAX 64u /* requests whose head is not here yet               */
#define WEFT_HTTP_PENDING_PER_ADDRESS_MAX 8u
#define WEFT_HTTP_TIMEOUT_NS (5 * WEFT_SEC)
#define WEFT_HTTP_PROXIES_MAX 16u /* whose word for an address is taken             */

/* -- Sync settings of principals, settings of the node ----------------------------------------- */
#define WEFT_INTERVAL_S_MAX UINT64_C(315360000) /* of a periodic sync: ten years     */
#define WEFT_PROPERTY_KEY_BYTES_MAX 63u
#define WEFT_PROPERTY_VALUE_BYTES_MAX 255u
#define WEFT_SETTING_KEY_BYTES_MAX 127u
#define WEFT_SETTING_VALUE_BYTES_MAX 255u
#define WEFT_CHANGES_WAITING_MAX 1024u /* of either, behind the one that is written now */

/* -- Actors --------------------------------------------------------------------------- */
#define WEFT_MAILBOX_DEFAULT 1024u
#define WEFT_MAILBOX_MAX (1u << 30)
#define WEFT_TURN_MESSAGES 64u       /* user messages before timers are looked at */
#define WEFT_TURN_MESSAGES_MAX 1024u /* of one actor before others of its thread  */
#define WEFT_TURN_NS UINT64_C(50000) /* and so long, about                        */
#define WEFT_SPIN_NS 20000u          /* of looking for mail before a sleep, by default */
#define WEFT_SPIN_YIELDS 8u          /* turns given to other threads before that sleep */
#define WEFT_GROUP_WORKERS_MAX 64u   /* threads of a group                        */
#define WEFT_GROUPS_MAX 64u          /* of a runtime                              */
#define WEFT_CHILDREN_MAX (1u << 20) /* of one parent                             */
#define WEFT_INTENSITY_MAX 1024u     /* restarts that a parent allows in a period */
#define WEFT_TREE_DEPTH_MAX 64u      /* parents above a child                     */
#define WEFT_MONITORS_MAX 65536u     /* of one actor                              */
#define WEFT_STASH_DEFAULT 64u       /* messages put back                         */
#define WEFT_NAMES_MAX 65536u        /* registered                                */
#define WEFT_TOPICS_MAX 65536u
#define WEFT_SUBSCRIBERS_PER_TOPIC_MAX 65536u
#define WEFT_RESTART_BLOCKS_MAX 8u  /* states of one actor kept for its callees  */
#define WEFT_POOL_BYTES_MAX 1024u   /* larger messages are not pooled            */
#define WEFT_BURST_MAX 64u          /* missed ticks served in one turn           */
#define WEFT_OUTBOX_BATCH_MAX 1024u /* messages sent by one compare-and-swap     */
#define WEFT_CLASSES_MAX 4096u      /* kinds of actors that are told apart       */
#define WEFT_ACTOR_NAME_BYTES_MAX 64u
#define WEFT_WATCHES_MAX 8192u   /* watched descriptors per actor     */
#define WEFT_TIMERS_MAX 65536u   /* armed timers per actor            */
#define WEFT_ASKS_MAX (1u << 20) /* unanswered asks per actor         */
#define WEFT_LOG_LINE_BYTES_MAX 512u
#define WEFT_SIM_DEPTH_MAX 16u            /* orderings that a PCT schedule aims at */
#define WEFT_LOG_FACILITIES_MAX 64u       /* with a level of their own         */
#define WEFT_FLIGHT_EVENTS_MAX (1u << 20) /* kept per thread              */

/* -- weft_map and _settings: part of the format of entries too ---------------------------- */
#define WEFT_MAP_PATH_MAX 6u              /* components of a path              */
#define WEFT_MAP_COMPONENT_BYTES_MAX 255u /* UTF-8 bytes of one path component */
#define WEFT_MAP_OPS_MAX 4096u            /* operations in one payload         */
#define WEFT_POLICY_GRANTS_MAX \
    4096u                                  /* paths of one tree's settings, at most
                                                 * so many keys: an entry adds no more */
#define WEFT_SETTINGS_VALUE_BYTES_MAX 255u /* a str or bin in `_settings`       */

#endif
