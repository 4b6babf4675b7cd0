/* SPDX-License-Identifier: Apache-2.0
 * control.h - what the parent and its nodes say to each other over a socket pair.
 * Both ends are the same program on the same machine, so structs travel as they are.
 * A node carries out one command after the other and answers each with DONE, FAILED or
 * the answer that is named; the other messages come whenever there is something to say. */
#ifndef STRESS_CONTROL_H
#define STRESS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/node.h>

#define CONTROL_PATH_BYTES 1024u
#define CONTROL_FRAME_MAX (1u << 20)
#define CONTROL_BATCH_MAX 256u /* entries of a history added at once */
#define CONTROL_SAMPLES_MAX 4096u

enum control_type {
    /* parent to node */
    CONTROL_OPEN = 1, /* control_open -> READY                                   */
    CONTROL_CREATE,   /* -> TREE                                                 */
    CONTROL_FOLLOW,   /* control_follow and keys                                 */
    CONTROL_CONNECT,  /* control_link: know the peer, relate the tree, dial      */
    CONTROL_IMPORT,   /* control_import; INTENT and ACK meanwhile                */
    CONTROL_LIVE,     /* control_live; INTENT, ACK, SAMPLES meanwhile            */
    CONTROL_DUMP,     /* a path: every entry of the tree to this file            */
    CONTROL_STOP,     /* -> FAREWELL; the node ends                              */
    /* node to parent */
    CONTROL_DONE,
    CONTROL_FAILED,   /* control_failed                                          */
    CONTROL_READY,    /* control_ready                                           */
    CONTROL_TREE,     /* weft_id                                                 */
    CONTROL_INTENT,   /* control_op: from now on these may be in the store       */
    CONTROL_ACK,      /* control_op and ids: from now on they must be            */
    CONTROL_PROGRESS, /* control_progress                                        */
    CONTROL_SAMPLES,  /* control_sample[]                                        */
    CONTROL_FAREWELL  /* control_progress, the last one                          */
};

struct control_open {
    uint64_t seed;
    uint32_t index;
    bool memory; /* no directory              */
    weft_engine engine;
    char dir[CONTROL_PATH_BYTES];
    char listen[WEFT_ADDRESS_BYTES_MAX];
};
struct control_ready {
    weft_key key;
    uint64_t open_ns; /* how long it took to open  */
    char address[WEFT_ADDRESS_BYTES_MAX];
};
struct control_follow {
    weft_id tree;
    uint32_t count; /* keys behind it            */
};
struct control_link {
    weft_key key;
    char address[WEFT_ADDRESS_BYTES_MAX];
};
struct control_import {
    char path[CONTROL_PATH_BYTES]; /* of the table          */
};
struct control_live {
    uint64_t first;     /* number of the first commit of this node */
    uint64_t end_ns;    /* kit_now_ns when it is over */
    uint64_t begin_ns;  /* when its commit 0 was due, in whichever life; 0: counts from now */
    uint32_t rate;      /* of the node; 0: as fast as it can */
    uint32_t payload;   /* bytes                      */
    uint32_t producers; /* threads, each with a writer of its own; 0: one */
    weft_durability durability;
};
struct control_failed {
    int32_t err;    /* weft_err                   */
    char text[700]; /* what was tried, and why it failed */
};
enum control_origin { CONTROL_HISTORY = 'h', CONTROL_LIVE_COMMIT = 'l' };
struct control_op {
    uint32_t origin; /* enum control_origin        */
    uint32_t count;
    uint64_t first;   /* index in the history, or the node's own numbers */
    uint64_t took_ns; /* ACK of a live commit       */
    uint64_t late_ns; /* ACK of a live commit: begun so long after its time */
};
struct control_progress {
    uint64_t entries, tips;
    uint8_t digest[32];
    bool has_root;
    uint64_t rss_kb;    /* peak; 0: not looked at this time        */
    uint64_t cpu_ns;    /* of the node's process, all threads      */
    uint64_t coalesced; /* events that carried no entry: no sample */
    weft_node_stats stats;
};
struct control_sample { /* a live commit of `origin` became durable here */
    uint32_t origin, reserved;
    uint64_t took_ns;
};

/* Writes one whole frame; waits for room. false: the other end is gone. */
bool control_send(int fd, enum control_type type, const void *head, size_t head_len,
                  const void *tail, size_t tail_len);

struct control_in { /* zero-initialise */
    uint8_t *bytes;
    size_t room, from, to;
};
struct control_frame {
    enum control_type type;
    const uint8_t *body; /* until the next call */
    size_t len;
};
/* Reads what there is (`wait`: at least something). 1; 0 at the end; -1 nothing now. */
int control_fill(struct control_in *in, int fd, bool wait);
/* The next whole frame, if there is one. */
bool control_next(struct control_in *in, struct control_frame *out);
/* Has the other side ended, with nothing left to read? */
bool control_ended(int fd);
void control_fini(struct control_in *in);
/* Copies a body of exactly this size. */
bool control_body(const struct control_frame *frame, void *out, size_t len);

#endif
