/* SPDX-License-Identifier: Apache-2.0
 * store_actor.h - the messages that the store's one writer understands.
 * The store actor is the only writer of the database. It batches what its mailbox
 * holds into one synced write (group commit) and answers after that. Everything
 * passes the one door (door.h). Its handlers may wait for the disk. */
#ifndef WF_STORE_ACTOR_H
#define WF_STORE_ACTOR_H

#include "store.h"

struct wf_store_actor_options {
    wf_store *store; /* borrowed; outlives the actor */
    bool sync;       /* false only for benchmarks: acknowledged = written */
    uint32_t herd;   /* so many waiters have the next batch gathered while the disk is waited
                      * for; 0: as many as make it pay, for this disk    */
};
/* One at a time for a store: LOCKED. NO_MEMORY. */
weft_err wf_store_actor_spawn(weft_rt *rt, const struct wf_store_actor_options *options,
                              weft_addr **out);

/* -- verify -> store: one frame of entries, or the end of a stream -------------- */
extern const weft_kind wf_ingest_kind;
enum wf_ingest_result { WF_IN_STORED, WF_IN_KNOWN, WF_IN_PENDING, WF_IN_REFUSED, WF_IN_HEALED };
struct wf_ingest_entry {
    const uint8_t *bytes; /* inside frame */
    uint32_t len;
    weft_id id; /* checked by verify */
    /* set by the store: */
    uint8_t result; /* enum wf_ingest_result */
    uint64_t seq;   /* arrival number here (stored now, or before if known) */
    uint64_t gen;
    wf_source known_from; /* if KNOWN: who it came from when it was stored */
};
struct wf_ingest { /* from wf_ingest_create; dropped with weft_drop */
    weft_msg msg;
    weft_addr *results_to; /* counted; the message goes there, by the system lane,
                            * when the batch is durable                           */
    void *cookie;          /* the sender's, untouched; wf_free'd with the message  */
    /* Order: the store applies a (conn, stream) strictly by n, from 1. */
    uint64_t conn;
    uint32_t stream;
    uint64_t n;
    bool end;            /* no entries: the stream's order state is forgotten    */
    uint64_t arrived_ns; /* when its frame was complete, for latency             */
    weft_id tree;
    uint64_t t; /* its number when the stream began, 0: not known. By another one it was
                            * removed since and is taken up again: TREE            */
    wf_source source;
    weft_buf *frame;    /* counted; holds the bytes                             */
    size_t frame_bytes; /* on the wire, for the byte accounts                   */
    bool raw;           /* entries pushed by themselves: missing parents go to
                            * the pending pool instead of ending the frame         */
    bool leans;         /* the peer of the stream was told that what is on the shelf is here */
    bool has_mark;       /* answered: the mark is written                        */
    wf_mark mark;        /* written with the batch if all entries before it hold */
    uint64_t source_seq; /* recorded with the arrivals; 0: unknown               */
    uint32_t count;
    weft_err verdict; /* of verify: not OK: entries[count] was the first bad
                            * one; the prefix is valid and the rest is not here    */
    /* -- set by the store: */
    weft_err err; /* OK; or what stopped it: verdict, BAD_ENTRY, FORBIDDEN,
                            * PENDING quota (LIMIT), IO, NO_SPACE                  */
    uint32_t stored, known, pending;
    uint64_t tree_seq; /* of the tree after this frame                          */
    uint32_t missing_count;
    weft_id *missing; /* parents that are not here, <= WEFT_WANT_IDS_MAX; freed
                            * with the message                                      */
    struct wf_ingest_entry entries[];
};
/* A message with room for `count` entries. NULL when memory is short. */
struct wf_ingest *wf_ingest_create(uint32_t count);

/* -- anyone -> store: entries made here ----------------------------------------- */
enum wf_durability {             /* the numbers are those of weft_durability */
                     WF_SYNCED,  /* answered when it is durable                          */
                     WF_WRITTEN, /* when it is written; durable within WEFT_LAZY_SYNC_NS */
                     WF_MEMORY   /* when it has passed the door; written with its batch  */
};
extern const weft_kind wf_commit_kind;
struct wf_commit { /* asked; answered after the synced batch */
    weft_request req;
    uint32_t count;     /* applied in order; the first failure ends it and is the
                          * answer: BAD_ENTRY, FORBIDDEN, TREE, PENDING (a parent is
                          * missing), IO, NO_SPACE. Entries before it are kept.   */
    uint32_t applied;   /* out */
    bool create_trees;  /* roots may create their tree (followed, no readers)     */
    uint8_t durability; /* enum wf_durability: what has to be before it is answered */
    uint64_t seq;       /* out: arrival number of the last one                    */
    weft_buf **entries; /* counted references; freed with the message             */
    weft_id *ids;       /* as built or checked by the caller; freed too           */
    /* In the batch of the last entry, if all were applied; else none of them is written.
     * Taken: freed with the message (wf_records_free). INVALID: a key is not one of theirs;
     * then nothing was applied. */
    uint32_t records_count;
    struct wf_record_put **records;
};
/* Entries must have been verified or signed by this process: the store does not
 * check signatures again. NULL when memory is short. */
struct wf_commit *wf_commit_create(uint32_t count);

/* -- anyone -> store: follow, unfollow, readers --------------------------------------- */
extern const weft_kind wf_follow_kind;
struct wf_follow_also {
    weft_id tree;
    bool follow;
};
struct wf_follow {
    weft_request req; /* drop frees; LIMIT, IO */
    weft_id tree;
    bool follow;       /* false: serve and accept it no longer; entries stay */
    bool keep_readers; /* the list stays as it is, and `readers` is not looked at  */
    uint32_t readers_count;
    weft_key *readers; /* who may read; replaces the list; freed with the message */
    uint32_t add_count;
    weft_key *add; /* added to either; freed with the message                 */
    uint32_t also_count;
    struct wf_follow_also *also; /* other trees, which keep their lists; freed with the message */
    uint32_t records_count;
    struct wf_record_put **records; /* in the same batch; as those of a commit */
};
struct wf_follow *wf_follow_create(const weft_id *tree, const weft_key *readers, uint32_t count);

/* -- anyone -> store: a tree is let go of (removal.h) ----------------------------------- */
/* Answered when that is durable, and the gate has heard of it: from then on the tree is absent for
 * everybody. Its rows are deleted afterwards, between other work. */
extern const weft_kind wf_remove_kind;
struct wf_remove {
    weft_request req; /* NOT_FOUND; INVALID (a record), NO_MEMORY, IO, NO_SPACE */
    weft_id tree;
    uint32_t records_count;
    struct wf_record_put **records; /* in the same batch; as those of a commit */
};
struct wf_remove *wf_remove_create(const weft_id *tree);

/* -- upper layers -> store: records (store.h) ------------------------------------------ */
extern const weft_kind wf_record_kind;
struct wf_record_put {
    weft_request req;
    enum wf_cf cf;
    bool remove;
    /* Of one that is sent by itself: asked on the store's thread when all that came before it is
     * written, so that nothing comes between the look and the record. May it be? What this answers
     * instead of OK is the answer. NULL: it may. */
    weft_err (*admit)(wf_store *store, const struct wf_record_put *put);
    uint8_t key[128];
    uint32_t key_len;
    uint32_t value_len;
    uint8_t value[];
};
struct wf_record_put *wf_record_create(uint32_t value_len);
/* Several in one batch. INVALID: then none of them is written. */
extern const weft_kind wf_records_kind;
struct wf_records {
    weft_request req;
    uint32_t count;
    struct wf_record_put **records; /* taken: freed with the message */
};
struct wf_records *wf_records_create(uint32_t count); /* with room for them, none is there yet */
/* Frees a list and what is in it; NULL is fine, inside too. */
void wf_records_free(struct wf_record_put **records, uint32_t count);

/* -- anyone -> store: settings that are made here --------------------------------------- */
/* One entry of `_settings` on all tips of the tree, built, signed and through the door in one
 * step, so that nothing comes between the tips and the entry. With its records it is one batch.
 * Answered when it is durable and the gate has heard of it. */
extern const weft_kind wf_settings_commit_kind;
struct wf_settings_commit {
    weft_request req; /* TREE: unknown, not followed, or without its root. FORBIDDEN: `admin`
                       * may not say that. STATE: as below. BAD_ENTRY: no settings, or too
                       * many. LIMIT, INVALID (a record), NO_MEMORY, IO, NO_SPACE       */
    weft_id tree;
    weft_keypair *admin; /* a copy of the sender's, destroyed with the message      */
    weft_buf *payload;   /* counted: operations on the map `_settings`, encoded. NULL:
                          * there is no entry, only records; FORBIDDEN: `admin` is none
                          * of the tree where the batch stands                        */
    bool has_whom;
    weft_key whom; /* STATE: it is revoked where the batch stands                  */
    uint32_t records_count;
    struct wf_record_put **records; /* in the same batch; as those of a commit      */
    weft_id id;                     /* out */
    uint64_t seq;                   /* out */
};
/* Copies the key and takes a reference of the payload (NULL: none). NULL when memory is short. */
struct wf_settings_commit *wf_settings_commit_create(const weft_id *tree, const weft_keypair *admin,
                                                     weft_buf *payload);

/* -- the gate: who is asked before a batch that takes a right away is answered ------------- */
/* Whoever has frames on their way that were made under older rights (sync) subscribes once: it
 * is asked after each batch by which somebody may read a tree no longer, when that is published,
 * and answers when nothing of before can leave any more. Until then no answer of that batch and
 * of those after it is given; they keep their order. A batch that takes nothing away waits for
 * nobody. One ask is under way at a time, and while it is what comes is gathered in the next. An
 * asked one that has ended answers at once. */
extern const weft_kind wf_gate_sub_kind;
struct wf_gate_sub { /* to the store; a later one takes its place */
    weft_msg msg;
    weft_addr *to; /* counted */
};
struct wf_gate_sub *wf_gate_sub_create(weft_addr *to);
extern const weft_kind wf_gate_kind;
struct wf_gate { /* the store asks `to`; borrowed until it is answered, whatever the answer */
    weft_request req;
    bool all; /* more trees than fit: any may have changed */
    uint32_t count;
    weft_id trees[WEFT_GATE_TREES]; /* of whom somebody may read less than before */
};

/* -- subscribers <-> store: the doorbell -------------------------------------------------- */
/* A subscriber sends its one doorbell to the store (wf_stored_create, weft_send or
 * wf_send_system). The store keeps it until a tree grew, fills it after the durable
 * batch and sends it back through the system lane; the subscriber hands it back the
 * same way after reading. What happens meanwhile is gathered in the next ring. A first
 * bell tells nothing of what was durable when the store took it: who has looked by itself before
 * that sets `at_once`, and looks again when the bell comes back. The store always takes it: what
 * it needs for that is made with the bell. */
extern const weft_kind wf_stored_kind;
struct wf_stored_entry {
    weft_id tree;
    uint64_t t, seq, gen;
    weft_id id;
    wf_source source;
    uint64_t committed_ns; /* weft_now when the store took it */
    weft_buf *buf;         /* counted; bytes live inside */
    const uint8_t *bytes;
    uint32_t len;
};
struct wf_stored_tree {
    weft_id tree;
    uint64_t t;
    uint64_t from_seq, to_seq; /* grew from (exclusive) to (inclusive) */
    bool complete;             /* entries[] holds all of (from_seq, to_seq] */
};
struct wf_stored {
    weft_msg msg;
    weft_addr *subscriber;       /* counted */
    struct wf_subscriber *place; /* the store's record of a new one; NULL once it has it */
    weft_err store_err;          /* why writes are refused now; OK: they are taken    */
    uint64_t outages;            /* how often they were refused so far                */
    bool more_trees;             /* more trees grew than fit: look at all of them */
    bool at_once;                /* to the store: ring when you take it, also without news */
    uint32_t trees_count;
    struct wf_stored_tree trees[WEFT_DOORBELL_TREES];
    uint32_t entries_count;
    struct wf_stored_entry entries[WEFT_DOORBELL_ENTRIES];
};
struct wf_stored *wf_stored_create(weft_addr *subscriber);
/* Empties it (drops the buffers) before it is handed back. */
void wf_stored_clear(struct wf_stored *bell);

/* Counters for statistics: any thread. */
struct wf_store_counters {
    uint64_t batches, synced, entries, known, refused, pending_now, pending_bytes, write_ns;
    uint64_t healed;  /* bodies that were damaged and are written anew */
    uint64_t damaged; /* bodies in quarantine now                      */
    uint64_t outages; /* how often writes were refused until the engine was open again */
    uint64_t commits; /* of the entries: by nobody else                                */
    uint64_t synced_commits, sync_ns; /* of the synced batches alone                   */
    uint64_t mended;                  /* rows of indexes, put right: mend.h           */
    uint64_t shelved, unshelved;      /* on the shelf now; that were taken from it     */
};
void wf_store_counters_read(wf_store *store, struct wf_store_counters *out);

#endif
