/* SPDX-License-Identifier: Apache-2.0
 * options.h - what the command line of weft-stress asks for. */
#ifndef STRESS_OPTIONS_H
#define STRESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"
#include "spoil.h"

enum transport { TRANSPORT_TCP, TRANSPORT_MEM };
enum store { STORE_ROCKSDB, STORE_MEMORY };
extern const char *const options_transport_names[2];
extern const char *const options_store_names[2];

struct options {
    const char *dag, *git; /* at most one; NULL: no history */
    uint32_t nodes;
    enum topology topology;
    enum transport transport;
    enum store store;
    uint32_t live_seconds;
    uint32_t rate; /* commits per second and node in the live phase */
    uint32_t kills;
    uint64_t seed;
    bool seed_given;
    const char *json; /* NULL: none; "-": standard output */
    const char *dir;  /* NULL: a temporary one */
    uint32_t timeout_seconds;
    bool quiet, no_progress;
    enum spoil sabotage;
    bool help, version;
};

/* Reads the command line. false: `why` says in one sentence what is wrong with it. */
bool options_read(int argc, char *const argv[], struct options *out, char *why, size_t why_len);
extern const char *const options_help;

#endif
