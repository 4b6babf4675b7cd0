/* SPDX-License-Identifier: Apache-2.0
 * ledger.h - what the nodes said that they would store and that they have stored, in a
 * file of the parent's own that is on the disk before anything is concluded from it.
 *
 * A line is "intent <origin> <node> <first> <count>" or "ack <origin> <node> <number>
 * <id in hexadecimal>"; origin h: the history (numbers are its indexes), l: live. */
#ifndef STRESS_LEDGER_H
#define STRESS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/id.h>

#include "control.h"

struct ledger {
    FILE *file;
    bool dirty;
    uint64_t intents, acks; /* live commits only */
};
/* 0, or -1 with errno. */
int ledger_open(struct ledger *ledger, const char *path);
void ledger_intent(struct ledger *ledger, uint32_t node, const struct control_op *op);
void ledger_ack(struct ledger *ledger, uint32_t node, const struct control_op *op,
                const weft_id *ids);
/* Puts what was written on the disk. 0, or -1 with errno. */
int ledger_sync(struct ledger *ledger);
int ledger_close(struct ledger *ledger); /* one that is not open is fine */

/* Calls `fn` for each line, in order. false from it, or a line that cannot be read,
 * ends it: -1. */
struct ledger_line {
    bool ack;
    enum control_origin origin;
    uint32_t node;
    uint64_t number;
    uint64_t count; /* intent */
    weft_id id;     /* ack    */
};
int ledger_each(const char *path, bool (*fn)(void *arg, const struct ledger_line *line), void *arg);

#endif
