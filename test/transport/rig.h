/* SPDX-License-Identifier: Apache-2.0
 * rig.h - nodes for the tests of the transport: a manager, its resolver and one actor
 * that plays the layers above (owner and verifier), on the machine or in a simulator.
 * Called by: the tests of this folder. */
#ifndef RIG_H
#define RIG_H

#include <criterion/criterion.h>

#include "noise.h"
#include "transport.h"

#define RIG_EVENTS 4096u

/* What the owner has heard; counted, and waited for with rig_wait. */
enum rig_what {
    RIG_UPS,
    RIG_DOWNS,
    RIG_FRAMES,
    RIG_BULKS,
    RIG_ENDS,
    RIG_WRONG,
    RIG_SENT,
    RIG_REFUSED,
    RIG_DIALS,
    RIG_WHATS
};

/* The test's own copy, taken by each of its calls. */
struct rig_log {
    uint64_t count[RIG_WHATS];
    uint64_t bulk_bytes;
    uint64_t held_bytes, held_frames; /* arrived, and the owner did not release them */
    struct wf_tp_up up[16];
    struct wf_tp_down down[16];
    struct {
        uint32_t type, stream, frame_bytes;
        uint64_t code; /* of CLOSE and ERR */
    } frame[RIG_EVENTS];
    uint64_t last_n[64]; /* per stream below 64 */
    weft_err dial_err[16];
    uint64_t dial_conn[16];
    weft_err sent_err; /* of the last bulk that was answered with an error */
};

struct rig_node {
    weft_rt *rt;
    weft_addr *transport, *resolver, *owner;
    struct wf_identity identity;
    struct rig_log *log;
    struct rig_live *live; /* the owner's */
    weft_ns wait_ns;
};

/* An identity from a number; the same number, the same key. */
void rig_identity(unsigned number, struct wf_identity *out);
/* Key numbers in ascending order of the keys. */
unsigned rig_lower(unsigned a, unsigned b);

struct rig_options {
    unsigned identity;
    bool release; /* give consumed bytes back at once */
    weft_err (*may_connect)(void *arg, const weft_key *key, weft_ns now);
    void (*on_breach)(void *arg, const weft_key *key, weft_err why, weft_ns now);
    void (*on_encrypt)(void *arg, const weft_key *key, const weft_id *cookie_id, uint32_t type);
    void *arg;
};
void rig_start(struct rig_node *n, weft_rt *rt, const struct rig_options *o);
void rig_stop(struct rig_node *n); /* the transport, then the rest */

/* A network over HTTP, in a build that has it. */
bool rig_has_http(void);
wf_net *rig_http(void);

weft_err rig_add(struct rig_node *n, const char *name, wf_net *net, const char *listen);
weft_err rig_server(struct rig_node *n, const char *name, bool start);
/* The first running address, with its scheme. */
void rig_address(struct rig_node *n, char out[WEFT_ADDRESS_BYTES_MAX]);
/* `key` NULL: any. */
weft_err rig_dial(struct rig_node *n, const char *address, const weft_key *key, uint64_t *conn);
/* The same in two steps, for dials that cross: the owner asks, the end waits for it. */
struct rig_dialling {
    uint64_t number;
};
struct rig_dialling rig_dial_begin(struct rig_node *n, const char *address);
weft_err rig_dial_end(struct rig_node *n, const struct rig_dialling *d, uint64_t *conn);
weft_err rig_stream(struct rig_node *n, uint64_t conn, uint32_t stream, bool open);
/* Has the owner send `count` bulk frames of `bytes` each, two under way at a time. */
void rig_bulk(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t count, uint32_t bytes);
/* One control frame of about `bytes`. */
void rig_send(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t type, uint32_t bytes);
void rig_release(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t bytes);
void rig_close(struct rig_node *n, uint64_t conn, weft_err why);
void rig_stats(struct rig_node *n, uint64_t conn, struct wf_tp_stats *out);
/* Waits until `what` was counted `at_least` times. TIMED_OUT. */
weft_err rig_wait(struct rig_node *n, enum rig_what what, uint64_t at_least);
void rig_look(struct rig_node *n); /* takes a new copy of the log */

/* A frame of `bytes` in all with a pattern that the owner checks; number is in it. */
weft_buf *rig_frame(uint32_t type, uint32_t stream, uint32_t number, uint32_t bytes);

#endif
