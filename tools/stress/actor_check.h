/* SPDX-License-Identifier: Apache-2.0
 * actor_check.h - does every message between actors arrive once, whole and in order?
 * Memory is that of the pairs, however long a run is. For each pair one thread at a time sends and
 * one receives; the counters may be read by any. */
#ifndef STRESS_ACTOR_CHECK_H
#define STRESS_ACTOR_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/actor.h>

struct load_msg { /* what all workloads send; `payload` follows */
    weft_msg msg;
    uint64_t check; /* over all that follows                        */
    uint32_t from, to;
    uint64_t seq;    /* within its pair, from 0                      */
    uint64_t due_ns; /* when it should have been sent                */
    uint64_t sent_ns;
    uint64_t len; /* of the payload, a multiple of 8              */
    uint64_t payload[];
};

struct check_sum { /* of hashes, so that the order does not matter */
    uint64_t a, b;
};
struct pair {
    _Alignas(64) uint64_t sent; /* by the sender */
    struct check_sum sent_sum;
    _Alignas(64) uint64_t received; /* by the receiver: everything that came */
    struct check_sum received_sum;
    uint64_t next, duplicated, reordered;
    _Alignas(64) uint64_t dead; /* by anybody: left over, or dropped by a policy */
    struct check_sum dead_sum;
};
struct check {
    uint32_t senders, receivers;
    struct pair *pairs;
    uint64_t corrupt; /* by anybody */
};
struct check_result {
    uint64_t sent, received, dead, lost, duplicated, reordered, corrupt;
    bool sums_differ; /* although the counts agree: others came than were sent */
};

void check_init(struct check *c, uint32_t senders, uint32_t receivers);
void check_fini(struct check *c);
/* Puts the check over a message that is filled in. */
void check_seal(struct load_msg *m);
/* The number of the next message of a pair. Its sender. */
uint64_t check_next(const struct check *c, uint32_t from, uint32_t to);
/* Its sender, after WEFT_OK; the message itself is gone. */
void check_sent(struct check *c, uint32_t from, uint32_t to, uint64_t seq);
/* Receiver `me`. false: the bytes are not those that were sent. */
bool check_received(struct check *c, uint32_t me, const struct load_msg *m);
/* Whoever dropped it instead of handling it. */
void check_dead(struct check *c, const struct load_msg *m);
/* Sent and neither received nor dead so far, all pairs or those of one receiver. */
uint64_t check_pending(const struct check *c);
uint64_t check_pending_at(const struct check *c, uint32_t to);
/* When all actors have ended. */
void check_total(const struct check *c, struct check_result *out);
/* Is nothing wrong? If something is, `why` gets the first fault in words. */
bool check_clean(const struct check_result *r, char *why, size_t why_len);

#endif
