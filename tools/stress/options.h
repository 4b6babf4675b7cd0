/* SPDX-License-Identifier: Apache-2.0
 * options.h - what the command line of weft-stress asks for. */
#ifndef STRESS_OPTIONS_H
#define STRESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/limits.h>
#include <weft/node.h>

#include "plan.h"
#include "spoil.h"

enum transport { TRANSPORT_TCP, TRANSPORT_MEM };
enum store { STORE_ROCKSDB, STORE_MEMORY };
extern const char *const options_transport_names[2];
extern const char *const options_store_names[2];
struct options;
const char *options_store_name(const struct options *o);
const char *options_durability_name(const struct options *o); /* lmdb, if that was asked for */

#define OPTIONS_ACTORS_MAX 1024u
#define OPTIONS_PRODUCERS_MAX 64u
#define OPTIONS_PAYLOAD_MAX (64u << 20)

enum { /* the workloads, as bits of options.loads */
       LOAD_PINGPONG,
       LOAD_FANIN,
       LOAD_FANOUT,
       LOAD_MESH,
       LOAD_RING,
       LOAD_BIG,
       LOAD_SPAWN,
       LOAD_BOUNDED,
       LOAD_TIMER,
       LOAD_CRASH,
       LOAD_PRIORITY,
       LOAD_PUT, /* from here on: of a store */
       LOAD_MIXED,
       LOAD_RECOVER,
       OPTIONS_LOADS
};
#define OPTIONS_LOADS_ACTORS ((1u << LOAD_PUT) - 1u)                               /* "all"   */
#define OPTIONS_LOADS_STORE (((1u << OPTIONS_LOADS) - 1u) & ~OPTIONS_LOADS_ACTORS) /* "store" */
extern const char *const options_load_names[OPTIONS_LOADS];
#define OPTIONS_MIXES 6
extern const char *const options_mix_names[OPTIONS_MIXES];
enum overflow {
    OVERFLOW_BLOCK,
    OVERFLOW_FAIL,
    OVERFLOW_DROP_NEW,
    OVERFLOW_DROP_OLD,
    OVERFLOW_COUNT
};
extern const char *const options_overflow_names[OVERFLOW_COUNT];
enum place { PLACE_THREAD, PLACE_PARENT, PLACE_GROUP, PLACE_COUNT };
extern const char *const options_place_names[PLACE_COUNT];
enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_LOSE,
    SABOTAGE_DUP,
    SABOTAGE_REORDER,
    SABOTAGE_CORRUPT,
    SABOTAGE_COUNT
};
extern const char *const options_sabotage_names[SABOTAGE_COUNT];

struct load_shape { /* of a workload; 0: its default */
    uint32_t actors, producers, mailbox;
    uint64_t payload; /* bytes */
};

struct options {
    uint32_t loads;          /* not 0: workloads of actors or a store instead of nodes */
    struct load_shape shape; /* of these */
    bool payload_given;
    uint32_t duration_seconds; /* of each */
    uint32_t warmup_seconds;   /* before it, not measured */
    uint32_t interval_ms;      /* of live lines and samples */
    enum overflow overflow;
    enum place place;
    uint32_t workers;      /* of a group; 0: as many as CPUs */
    const char *hgrm;      /* prefix of histogram files, or NULL */
    const char *dag, *git; /* at most one; NULL: no history */
    uint32_t nodes;
    enum topology topology;
    enum transport transport;
    enum store store;
    weft_engine engine; /* of ROCKSDB, which stands for both on disk */
    uint32_t live_seconds;
    uint32_t rate; /* commits per second and node in the live phase; messages per second */
    bool rate_given;
    uint32_t kills;
    char mix;                   /* of mixed: 'a' to 'f' */
    weft_durability durability; /* of the commits of stores */
    uint64_t seed;
    bool seed_given;
    const char *json; /* NULL: none; "-": standard output */
    const char *dir;  /* NULL: a temporary one */
    uint32_t timeout_seconds;
    bool quiet, no_progress;
    enum spoil sabotage;  /* of nodes */
    enum sabotage broken; /* of workloads: one message, one entry (LOSE) */
    const char *sabotage_text;
    bool help, version, list;
};

/* Reads the command line. false: `why` says in one sentence what is wrong with it. */
bool options_read(int argc, char *const argv[], struct options *out, char *why, size_t why_len);
extern const char *const options_help;

#endif
