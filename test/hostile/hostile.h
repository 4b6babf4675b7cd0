/* SPDX-License-Identifier: Apache-2.0
 * hostile.h - what the rooms of weft-hostile share: the loop, raw peers, the proxy, the honest
 * nodes in processes of their own, and a line for each role.
 * Called by: the rooms of weft-hostile. Never: the product. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/entry.h>
#include <weft/limits.h>

#include "frame.h"
#include "noise.h"
#include "wire.h"

/* -- kit.c: time, chance, keys, figures of a process ------------------------------------- */

uint64_t ht_now(void); /* nanoseconds, monotonic */
void ht_seed(uint64_t seed);
uint64_t ht_random(void);
uint32_t ht_below(uint32_t bound);
_Noreturn void ht_die(const char *what); /* this program itself cannot go on */

enum ht_whose { HT_VICTIM = 1, HT_FRIEND, HT_SECOND, HT_AUTHOR, HT_READER, HT_STRANGER, HT_FORGER };
/* The pair of the n-th of them: the same in all processes of a run. The caller's. */
weft_keypair *ht_pair(enum ht_whose whose, uint32_t n);
weft_key ht_key(enum ht_whose whose, uint32_t n);

uint64_t ht_resident(pid_t pid); /* bytes */
uint32_t ht_descriptors(pid_t pid);
uint64_t ht_processor(pid_t pid); /* nanoseconds of its threads so far */

/* -- The line of a role -------------------------------------------------------------------- */

typedef struct ht_line {
    bool bad;
    char text[600];
} ht_line;
void ht_ok(ht_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps the first complaint, and wins over ht_ok. */
void ht_bad(ht_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -- loop.c: one thread, one epoll --------------------------------------------------------- */

typedef struct ht_item {
    int fd; /* -1: none */
    uint32_t events;
    void (*ready)(struct ht_item *item, uint32_t events);
} ht_item;
void ht_watch(ht_item *item, uint32_t events); /* 0: it is only told of errors */
void ht_close(ht_item *item);                  /* its descriptor too */
/* Runs until `done` says so or the time has come. True: it was `done`. */
bool ht_loop(uint64_t until, bool (*done)(void *arg), void *arg);
void ht_pass(uint64_t time);
/* Something that is called every few milliseconds; at most 8. */
void ht_every(void (*fn)(void *arg), void *arg);

/* From 127.0.0.0/8, one of 65,536 that are not 127.0.x.x. */
int ht_dial(uint16_t port, uint32_t from);
int ht_listen(uint16_t *port, bool everywhere); /* at 127.0.0.1, or each of 127.0.0.0/8 */

/* -- peer.c: a peer that does whatever a role tells it --------------------------------------- */

typedef struct ht_peer ht_peer;
enum ht_depth { HT_SILENT, HT_FIRST, HT_SECURE }; /* how far its handshake goes by itself */
typedef struct ht_manner {                        /* each may be NULL */
    void (*connected)(ht_peer *p);
    void (*up)(ht_peer *p); /* both keys are proven and our HELLO is on its way */
    void (*frame)(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len);
    void (*tick)(ht_peer *p); /* at wake_at */
    void (*end)(ht_peer *p);  /* the other side closed */
    enum ht_depth depth;
    bool mute; /* says no HELLO */
} ht_manner;

#define HT_LOANS 16u
struct ht_peer {
    ht_item item;
    ht_peer *prev, *next;
    const ht_manner *manner;
    void *arg;
    uint32_t number, from, step; /* step: the role's own */
    weft_keypair *pair;
    weft_key key, other; /* our own, and the one that it has proven */
    struct wf_identity identity;
    wf_noise *noise;
    bool dialled, connected, secure, ended, deaf, broken, over; /* over: the role is done with it */
    struct wf_bytes in, out;
    struct wf_frame_in frame_in;
    uint64_t began, ended_at, wake_at; /* wake_at: UINT64_MAX never */
    uint64_t bytes_in, bytes_out, plain_in;
    bool hello;
    uint64_t close_code, err_code; /* UINT64_MAX: none came */
    uint64_t frames[32];
    uint64_t window, granted; /* what we may send, and what we were lent for streams */
    uint64_t owed;            /* what we have to give back */
    struct {
        uint32_t stream;
        uint64_t bytes;
    } loans[HT_LOANS]; /* that we have given */
    uint8_t channel[64];
    struct wf_bytes *heard;              /* all that it decrypts is added here; NULL: nothing */
    uint8_t proof[WEFT_SIGNATURE_BYTES]; /* of the other side, in the handshake */
};
/* Dials `port` from the address `from` (0: the ordinary one) with the pair, which is taken.
 * `state` is `arg` of the peer. */
ht_peer *ht_peer_dial(uint16_t port, uint32_t from, weft_keypair *pair, const ht_manner *manner,
                      void *arg);
/* A server that is one of them: each who comes is a peer of `manner`. */
typedef struct ht_server {
    ht_item item;
    uint16_t port;
    enum ht_whose whose;
    uint32_t number; /* of its key */
    bool everywhere; /* at all addresses that begin with 127 */
    const ht_manner *manner;
    void *arg;
    uint32_t came, proven; /* connections, and those whose other side has shown its key */
    uint64_t most;         /* bytes that one of them brought */
    ht_peer *peers[16];
} ht_server;
void ht_server_open(ht_server *s);
void ht_server_close(ht_server *s);
ht_peer *ht_peer_accept(int fd, weft_keypair *pair, const ht_manner *manner, void *arg);
void ht_peer_free(ht_peer *p); /* closes it without a word; NULL is fine */
/* Bytes into the session, or as they are. */
void ht_peer_plain(ht_peer *p, const void *bytes, size_t len);
void ht_peer_raw(ht_peer *p, const void *bytes, size_t len);
/* One record whose byte at `flip` is turned (SIZE_MAX: none). */
void ht_peer_record(ht_peer *p, const void *plain, size_t len, size_t flip);
/* A frame of wire.h's, with its length filled in; its reference is taken. */
void ht_peer_say(ht_peer *p, weft_buf *frame);
void ht_peer_ping(ht_peer *p, uint64_t token);
void ht_peer_hello(ht_peer *p, const struct wf_hello *hello);
uint32_t ht_peers(void); /* that are there */
extern uint64_t ht_said; /* bytes that all hostile peers have sent */

/* So many of them one after the other, some at a time. A slot is begun by `begin`; it is over
 * when its peer has ended, has set `over`, or `patience` has passed; then `judge` looks at it. */
#define HT_WIDTH_MAX 64u
typedef struct ht_crew {
    uint32_t wanted, width;
    uint64_t patience;
    ht_peer *(*begin)(struct ht_crew *crew, uint32_t i);
    void (*judge)(struct ht_crew *crew, ht_peer *p);
    void *arg;
    uint32_t begun, over, ended; /* ended: by the other side */
    uint64_t slowest;            /* of those, from their beginning */
    ht_peer *peers[HT_WIDTH_MAX];
} ht_crew;
/* False: the time was over before all were. */
bool ht_crew_run(ht_crew *crew, uint64_t until);

/* -- proxy.c: somebody in the middle ---------------------------------------------------------- */

enum { HT_TO_SERVER, HT_TO_CLIENT };
typedef struct ht_plan { /* of one connection */
    enum { HT_PASS, HT_FLIP, HT_CUT } what;
    uint32_t way, record, offset; /* the n-th record (from 0) of that way, its length word too */
    uint8_t mask;
} ht_plan;
typedef struct ht_pipe ht_pipe;
typedef struct ht_proxy {
    ht_item item;
    uint16_t port, to;
    const ht_plan *plans; /* by order of coming; the last one counts for all that come later */
    uint32_t plans_count, came;
    uint32_t from;
    struct wf_bytes *tap; /* of two ways; NULL: nobody listens */
    /* What became of those whose plan was carried out: */
    uint32_t done, closed, answered; /* closed: by one of the two; answered: by whom it reached */
    uint64_t slowest;                /* until it was closed */
    uint32_t records[2];             /* of the last connection */
    ht_pipe *pipes;
} ht_proxy;
void ht_proxy_open(ht_proxy *x, uint16_t to);
void ht_proxy_close(ht_proxy *x);
void ht_proxy_plan(ht_proxy *x, const ht_plan *plans, uint32_t count);
bool ht_proxy_idle(const ht_proxy *x); /* no connection is there */

/* -- nodes.c: honest nodes, in processes of their own ----------------------------------------- */

enum ht_tree {
    HT_SHARED,    /* the victim's and the friend's; what throughput is measured with   */
    HT_SMALL,     /* likewise: few and large entries                                    */
    HT_FORBIDDEN, /* nobody may read it: its payloads are marks                         */
    HT_LISTED,    /* the readers of HT_READER and both friends; its author writes       */
    HT_ASKED,     /* nobody reads it, everybody may ask to                              */
    HT_PUBLIC,    /* everybody reads it                                                 */
    HT_TREES
};
#define HT_MARK "THIS/NOBODY/MAY/READ/" /* has no 8 bytes of the other one */
#define HT_SHARED_MARK "weft-shared-payload-mark:"

enum ht_op {
    HT_FACTS,   /* victim: what it holds                                                */
    HT_ROUND,   /* friend: a new node syncs `tree` from `address`; times and entries    */
    HT_SHORT,   /* the same, with an end after a second; what came is looked at         */
    HT_DIAL,    /* friend: `count` connects at once to `address`; how many came up      */
    HT_ASK,     /* friend: connects and asks for the trees that are offered             */
    HT_REACH,   /* victim: syncs `tree` with `key`, whose addresses are added before; with
                 * `count` 0 it is unknown again afterwards                             */
    HT_OFFER,   /* victim: `count` addresses of impostors at the port `right` for `key`, by
                 * tickets of which the last one has the true `address` too, and by hand */
    HT_RIGHT,   /* victim: gives the reader `count` the right `right` in `tree`         */
    HT_REJECT,  /* victim: refuses all who have asked to join                           */
    HT_COMMIT,  /* victim: `count` entries in `tree`                                    */
    HT_RESTART, /* victim: ends and begins anew, its clock moved by `seconds`           */
    HT_QUIT
};
typedef struct ht_ask {
    enum ht_op op;
    enum ht_tree tree;
    uint32_t count, right;
    int64_t seconds;
    weft_key key;
    char address[WEFT_ADDRESS_BYTES_MAX];
} ht_ask;
typedef struct ht_answer {
    int32_t err;
    uint64_t count, entries, tries, dial_ns, sync_ns;
    uint64_t connections, pending, refused, peers;
    uint64_t joins;       /* requests that wait */
    uint8_t store[32];    /* over everything but the records of peers */
    uint8_t registry[32]; /* over the keys, names and addresses of known peers and their trees */
    uint16_t port, http_port; /* http_port 0: this build has no HTTP */
    weft_id trees[HT_TREES], tips[HT_TREES];
    bool closed;   /* nothing is without its parents */
    int32_t ended; /* HT_SHORT: why the first connection ended; OK: it did not, or in order */
} ht_answer;
typedef struct ht_node {
    ht_item item;
    pid_t pid;
    bool asked;
    ht_answer answer;
    size_t have;
} ht_node;
#define HT_SMALL_ENTRIES 200u
#define HT_FEW_ENTRIES 50u
/* Starts one; the victim with that many entries in HT_SHARED, and `friend_` readers. */
void ht_node_start(ht_node *n, const char *self, bool victim, uint32_t entries, uint32_t readers);
void ht_node_stop(ht_node *n);
void ht_node_ask(ht_node *n, const ht_ask *ask); /* and goes on */
const ht_answer *ht_node_wait(ht_node *n);       /* the loop runs meanwhile */
const ht_answer *ht_node_call(ht_node *n, const ht_ask *ask);
int ht_node_main(int argc, char **argv); /* of the process */

/* -- The roles ---------------------------------------------------------------------------------- */

typedef struct ht_run {
    const char *self;
    uint32_t peers, seconds, entries, readers;
    bool fast;
    uint64_t seed;
    ht_node victim, friend_;
    ht_answer born; /* the victim's, when nothing had happened yet */
    char address[WEFT_ADDRESS_BYTES_MAX], http_address[WEFT_ADDRESS_BYTES_MAX];
    uint64_t base_resident; /* the most that the undisturbed rounds took */
    uint64_t most_resident; /* since ht_memory_reset */
    double base_rate;       /* entries a second, undisturbed */
} ht_run;
void ht_memory_reset(ht_run *run); /* the victim's, sampled from now on */
/* The honest pair, `for_ns` long: rounds, their rate, and the worst time to get in. */
typedef struct ht_pace {
    uint32_t rounds, failed;
    double rate;                  /* entries a second, connecting aside */
    uint64_t slowest_dial, tries; /* connects that a round needed beyond the first */
} ht_pace;
void ht_rounds(ht_run *run, uint64_t for_ns, ht_pace *out);
const ht_answer *ht_facts(ht_run *run); /* the victim's, of now */
/* One round of the pair by `address` with `tree`; the answer is the friend's. */
const ht_answer *ht_round(ht_run *run, enum ht_tree tree, const char *address);
/* Complains if the store is not as it was; readers that came are known from then on. */
void ht_same_store(ht_run *run, const ht_answer *before, ht_line *line);
/* Likewise, and if what is known of peers is not as it was. */
void ht_unchanged(ht_run *run, const ht_answer *before, ht_line *line);
/* Complains if the pair cannot sync any more. */
void ht_still_serves(ht_run *run, ht_line *line);
uint32_t ht_amount(const ht_run *run, uint32_t fast, uint32_t full);

void ht_garbage(ht_run *run, ht_line *line);
void ht_amp(ht_run *run, ht_line *line);
void ht_mitm(ht_run *run, ht_line *line);
void ht_truncate(ht_run *run, ht_line *line);
void ht_replay(ht_run *run, ht_line *line);
void ht_capture(ht_run *run, ht_line *line);
void ht_bomb(ht_run *run, ht_line *line);
void ht_spoof(ht_run *run, ht_line *line);
void ht_sybil(ht_run *run, ht_line *line);
void ht_idle(ht_run *run, ht_line *line);
void ht_slowloris_start(ht_run *run);
void ht_slowloris(ht_run *run, ht_line *line);
void ht_http_start(ht_run *run);
void ht_http(ht_run *run, ht_line *line);
void ht_crowd(ht_run *run, ht_line *line);
/* For the crowd: asks to send entries to HT_LISTED, and then sends a forged one. */
void ht_forge_open(ht_peer *p, const ht_answer *of);
void ht_forge_send(ht_peer *p, const ht_answer *of, uint32_t number);
#define HT_FORGERS 24u /* readers that do so */
void ht_forge(ht_run *run, ht_line *line);
void ht_orphans(ht_run *run, ht_line *line);
void ht_fanin(ht_run *run, ht_line *line);
void ht_evil_server(ht_run *run, ht_line *line);
void ht_oracle(ht_run *run, ht_line *line);
void ht_timing(ht_run *run, ht_line *line);
void ht_poison(ht_run *run, ht_line *line);
void ht_public(ht_run *run, ht_line *line);
void ht_joins(ht_run *run, ht_line *line);
void ht_proofs(ht_run *run, ht_line *line);
void ht_forbidden(ht_run *run, ht_line *line);
void ht_revoked(ht_run *run, ht_line *line);

#endif
