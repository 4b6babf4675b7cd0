/* SPDX-License-Identifier: Apache-2.0
 * raw.h - a peer that does whatever a test tells it: it speaks the handshake (or not) and
 * then sends the bytes it is given. In the simulator only.
 * Called by: test_answers.c, test_hostile.c, test_penalties.c, test_proofs.c. */
#ifndef RAW_H
#define RAW_H

#include "bytes.h"
#include "rig.h"

/* What it has seen; read between the test's calls. */
struct raw_seen {
    bool connected, secure, ended; /* ended: the other side closed */
    weft_ns ended_ns;
    uint64_t bytes_in;   /* on the wire */
    bool hello, up;      /* HELLO arrived */
    uint64_t close_code; /* of CLOSE; UINT64_MAX: none came */
    uint64_t err_code;
    uint64_t frames[32]; /* by type */
    struct {
        size_t len;
        uint8_t body[64]; /* its beginning */
    } last[32];           /* of each type */
    uint64_t granted;     /* by CREDIT for streams */
    uint8_t channel[64];  /* once it is secure */
};

struct raw {
    weft_addr *addr;
    struct raw_seen seen;
};

enum raw_stop { RAW_SILENT, RAW_AFTER_FIRST, RAW_SECURE }; /* how far its handshake goes */

/* Connects to `to` ("a:1") as key `identity`. */
void raw_start(struct raw *r, weft_rt *rt, wf_net *net, const char *to, unsigned identity,
               enum raw_stop stop);
/* Listens at `at` ("x:1") instead, and takes the first that comes. */
void raw_listen(struct raw *r, weft_rt *rt, wf_net *net, const char *at, unsigned identity,
                enum raw_stop stop);
void raw_stop(struct raw *r, weft_rt *rt);
/* Bytes into the session (encrypted as one record), or as they are. */
void raw_frames(struct raw *r, const void *plain, size_t len);
void raw_wire(struct raw *r, const void *data, size_t len);
void raw_end(struct raw *r);  /* closes its socket without a word */
void raw_deaf(struct raw *r); /* reads nothing any more */

#endif
