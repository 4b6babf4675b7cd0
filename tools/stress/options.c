/* SPDX-License-Identifier: Apache-2.0
 * options.c - reads the command line of weft-stress and refuses what makes no sense.
 * Called by: main.c. May touch: nothing else.
 * Never: files; starts anything; prints. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

const char *const options_transport_names[2] = {"tcp", "mem"};
const char *const options_store_names[2] = {"rocksdb", "memory"};
static const char *const durability_names[] = {"synced", "written", "memory"}; /* weft_durability */
static const char *const engine_names[] = {"auto", "rocksdb", "lmdb"};         /* as weft_engine */
const char *const options_load_names[OPTIONS_LOADS] = {
    "pingpong", "fanin", "fanout", "mesh",     "ring", "big",   "spawn",
    "bounded",  "timer", "crash",  "priority", "put",  "mixed", "recover"};
const char *const options_mix_names[OPTIONS_MIXES] = {"a", "b", "c", "d", "e", "f"};
const char *const options_overflow_names[OVERFLOW_COUNT] = {"block", "fail", "drop-new",
                                                            "drop-old"};
const char *const options_place_names[PLACE_COUNT] = {"thread", "parent", "group"};
const char *const options_sabotage_names[SABOTAGE_COUNT] = {"none", "lose", "dup", "reorder",
                                                            "corrupt"};

#define OPEN_LOOPS                                                             \
    (1u << LOAD_FANIN | 1u << LOAD_FANOUT | 1u << LOAD_MESH | 1u << LOAD_BIG | \
     1u << LOAD_BOUNDED | OPTIONS_LOADS_STORE)
#define STORE_PAYLOAD_LEAST 32u      /* the stamp of store_load.h */
#define STORE_PAYLOAD_MAX (1u << 19) /* an entry is at most WEFT_ENTRY_BYTES_MAX, all of it */
#define RECOVER_KILLS 5u

const char *const options_help =
    "usage: weft-stress [options]\n"
    "Runs several whole weft nodes, lets one import a history and the others fetch it over the\n"
    "wire, lets all of them commit, kills some of them, and then reads every store from the disk\n"
    "and checks that nothing is lost, forged, sent twice or torn.\n"
    "With --workload it loads the actor runtime instead, without nodes, and checks that every\n"
    "message arrives once, whole and in order; or the store of one node, and checks that what it\n"
    "acknowledged is there when it is opened again.\n"
    "\n"
    "history\n"
    "  --dag FILE             a table of entries (see test/data/redis.dag)\n"
    "  --git DIR              the history of HEAD in a local git repository\n"
    "nodes\n"
    "  --nodes N              2 to 32 (default 3)\n"
    "  --topology T           chain, ring, star or mesh (default chain)\n"
    "  --transport T          tcp: a process for each node; mem: all in one (default tcp)\n"
    "  --store S              rocksdb or memory (default rocksdb)\n"
    "  --engine E             of stores on disk: rocksdb, lmdb or auto (default auto)\n"
    "load\n"
    "  --live SECONDS         all nodes commit for so long (default 0)\n"
    "  --rate N               commits per second and node while live (default 50)\n"
    "  --kill9 N              kill nodes N times with SIGKILL and restart them on the same port\n"
    "                         and store; needs tcp and rocksdb\n"
    "  --seed N               equal seeds draw equal histories, keys and kills\n"
    "  --sabotage S           spoil the run, which must then fail: lose an acknowledged entry\n"
    "                         before the verification (exit 5); let nodes expect a stranger's\n"
    "                         key (6); flip a byte of a store (7); make a store a newer one (8)\n"
    "workloads\n"
    "  --workload NAME[,NAME] actors: all, or of pingpong, fanin, fanout, mesh, ring, big, spawn, "
    "bounded,\n"
    "                         timer, crash, priority; stores: store, or of put, mixed, recover\n"
    "                         (--list says what each does)\n"
    "  --duration SECONDS     of each workload (default 10)\n"
    "  --warmup SECONDS       before it, not measured (default 0)\n"
    "  --actors N             1 to 1024; --producers N, 1 to 64: instead of the workload's own\n"
    "  --payload BYTES        0 to 67108864, of each message; 32 to 524288, of each commit\n"
    "  --mailbox N            messages that fit into a mailbox\n"
    "  --overflow O           block: wait for room; fail: count the refusal and go on; drop-new,\n"
    "                         drop-old: the mailbox drops, and every dropped one is counted\n"
    "  --place P              thread: every actor on a thread of its own; parent: all on that of\n"
    "                         one parent; group: on --workers N threads (default: one a core)\n"
    "  --rate N               messages or operations per second of all senders; delays count from\n"
    "                         the time at which one was due (without it each sends when it can)\n"
    "  --interval MS          of the live line and the samples (default 1000)\n"
    "  --hgrm PREFIX          write PREFIX-NAME.hgrm, an HdrHistogram percentile file\n"
    "  --sabotage S           lose, dup, reorder or corrupt one message; lose one entry that was\n"
    "                         acknowledged: the checks must say so (exit 5)\n"
    "  --mix M                of mixed, as YCSB: a to f (default a)\n"
    "  --kills N              of recover (default 5)\n"
    "  --durability D         of commits: synced (default), written, memory\n"
    "  --store S, --engine E  as above; recover has no --store memory\n"
    "  --list                 the workloads\n"
    "output\n"
    "  --json FILE|-          write the result as JSON, schema weft.stress/1 (- puts the table\n"
    "                         on standard error)\n"
    "  --dir DIR              work in a new directory below DIR (default $TMPDIR or /tmp);\n"
    "                         removed after a pass, kept and named after a failure\n"
    "  --timeout SECONDS      give up after so long (default 600)\n"
    "  --quiet                no table and no progress\n"
    "  --no-progress          no progress\n"
    "  --help, --version\n"
    "\n"
    "exit codes: 0 pass, 1 harness error or nothing was tested, 2 usage, 3 not found,\n"
    "4 a peer is unreachable or a deadline passed, 5 an invariant is broken, 6 refused,\n"
    "7 store corrupt, 8 version not supported, 130 and 143 interrupted\n";

enum {
    OPT_DAG = 256,
    OPT_GIT,
    OPT_NODES,
    OPT_TOPOLOGY,
    OPT_TRANSPORT,
    OPT_STORE,
    OPT_ENGINE,
    OPT_LIVE,
    OPT_RATE,
    OPT_KILL9,
    OPT_SEED,
    OPT_SABOTAGE,
    OPT_WORKLOAD,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_ACTORS,
    OPT_PRODUCERS,
    OPT_PAYLOAD,
    OPT_MAILBOX,
    OPT_OVERFLOW,
    OPT_PLACE,
    OPT_WORKERS,
    OPT_INTERVAL,
    OPT_HGRM,
    OPT_MIX,
    OPT_KILLS,
    OPT_DURABILITY,
    OPT_LIST,
    OPT_JSON,
    OPT_DIR,
    OPT_TIMEOUT,
    OPT_QUIET,
    OPT_NO_PROGRESS,
    OPT_HELP,
    OPT_VERSION
};

static const struct option table[] = {
    {"dag", required_argument, NULL, OPT_DAG},
    {"git", required_argument, NULL, OPT_GIT},
    {"nodes", required_argument, NULL, OPT_NODES},
    {"topology", required_argument, NULL, OPT_TOPOLOGY},
    {"transport", required_argument, NULL, OPT_TRANSPORT},
    {"store", required_argument, NULL, OPT_STORE},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"live", required_argument, NULL, OPT_LIVE},
    {"rate", required_argument, NULL, OPT_RATE},
    {"kill9", required_argument, NULL, OPT_KILL9},
    {"seed", required_argument, NULL, OPT_SEED},
    {"sabotage", required_argument, NULL, OPT_SABOTAGE},
    {"workload", required_argument, NULL, OPT_WORKLOAD},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"actors", required_argument, NULL, OPT_ACTORS},
    {"producers", required_argument, NULL, OPT_PRODUCERS},
    {"payload", required_argument, NULL, OPT_PAYLOAD},
    {"mailbox", required_argument, NULL, OPT_MAILBOX},
    {"overflow", required_argument, NULL, OPT_OVERFLOW},
    {"place", required_argument, NULL, OPT_PLACE},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"interval", required_argument, NULL, OPT_INTERVAL},
    {"hgrm", required_argument, NULL, OPT_HGRM},
    {"mix", required_argument, NULL, OPT_MIX},
    {"kills", required_argument, NULL, OPT_KILLS},
    {"durability", required_argument, NULL, OPT_DURABILITY},
    {"list", no_argument, NULL, OPT_LIST},
    {"json", required_argument, NULL, OPT_JSON},
    {"dir", required_argument, NULL, OPT_DIR},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"no-progress", no_argument, NULL, OPT_NO_PROGRESS},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

struct why {
    char *text;
    size_t len;
};

static bool number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
                   struct why *why)
{
    uint64_t value = 0;
    bool good = *text != '\0' && strlen(text) <= 20;
    for (const char *c = text; good && *c != '\0'; c++) {
        uint64_t add = (uint64_t)(*c - '0');
        good = *c >= '0' && *c <= '9' && value <= (UINT64_MAX - add) / 10;
        value = value * 10 + add;
    }
    if (good && value >= min && value <= max) {
        *out = value;
        return true;
    }
    snprintf(why->text, why->len, "--%s takes a number from %llu to %llu, not \"%s\"", name,
             (unsigned long long)min, (unsigned long long)max, text);
    return false;
}

static bool choice(const char *name, const char *text, const char *const *names, int count,
                   int *out, struct why *why)
{
    char all[128] = "";
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
        strncat(all, i == 0 ? "" : i == count - 1 ? " or " : ", ", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    snprintf(why->text, why->len, "--%s is %s, not \"%s\"", name, all, text);
    return false;
}

static bool number32(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out,
                     struct why *why)
{
    uint64_t n = 0;
    bool good = number(name, text, min, max, &n, why);
    if (good) *out = (uint32_t)n;
    return good;
}

static bool workloads(char *text, uint32_t *out, struct why *why)
{
    uint32_t all = 0;
    char *rest = text;
    for (char *one = strsep(&rest, ","); one != NULL; one = strsep(&rest, ",")) {
        int which = -1;
        bool group = strcmp(one, "all") == 0 || strcmp(one, "store") == 0;
        if (group) all |= *one == 'a' ? OPTIONS_LOADS_ACTORS : OPTIONS_LOADS_STORE;
        for (int i = 0; i < OPTIONS_LOADS; i++)
            if (strcmp(one, options_load_names[i]) == 0) which = i;
        if (which >= 0) all |= 1u << which;
        if (which >= 0 || group) continue;
        snprintf(why->text, why->len, "--workload knows no \"%s\" (see --list)", one);
        return false;
    }
    *out = all;
    return true;
}

/* What only --workload has. */
static bool take_load(int opt, const char *name, char *text, struct options *o, struct why *why)
{
    int which = 0;
    bool good = true;
    switch (opt) {
    case OPT_WORKLOAD: return workloads(text, &o->loads, why);
    case OPT_DURATION: return number32(name, text, 1, 86400, &o->duration_seconds, why);
    case OPT_WARMUP: return number32(name, text, 0, 3600, &o->warmup_seconds, why);
    case OPT_ACTORS: return number32(name, text, 1, OPTIONS_ACTORS_MAX, &o->shape.actors, why);
    case OPT_PRODUCERS:
        return number32(name, text, 1, OPTIONS_PRODUCERS_MAX, &o->shape.producers, why);
    case OPT_PAYLOAD:
        o->payload_given = true;
        return number(name, text, 0, OPTIONS_PAYLOAD_MAX, &o->shape.payload, why);
    case OPT_MAILBOX: return number32(name, text, 1, WEFT_MAILBOX_MAX, &o->shape.mailbox, why);
    case OPT_WORKERS: return number32(name, text, 1, WEFT_GROUP_WORKERS_MAX, &o->workers, why);
    case OPT_KILLS: return number32(name, text, 0, PLAN_KILLS_MAX, &o->kills, why);
    case OPT_MIX:
        good = choice(name, text, options_mix_names, OPTIONS_MIXES, &which, why);
        o->mix = *options_mix_names[which];
        return good;
    case OPT_INTERVAL: return number32(name, text, 10, 3600000, &o->interval_ms, why);
    case OPT_OVERFLOW:
        good = choice(name, text, options_overflow_names, OVERFLOW_COUNT, &which, why);
        o->overflow = (enum overflow)which;
        return good;
    case OPT_PLACE:
        good = choice(name, text, options_place_names, PLACE_COUNT, &which, why);
        o->place = (enum place)which;
        return good;
    default: o->hgrm = text; return true;
    }
}

static bool take(int opt, const char *name, char *text, struct options *o, struct why *why)
{
    uint64_t n = 0;
    int which = 0;
    bool good = true;
    switch (opt) {
    case OPT_DAG: o->dag = text; break;
    case OPT_GIT: o->git = text; break;
    case OPT_NODES:
        good = number(name, text, 2, PLAN_NODES_MAX, &n, why);
        o->nodes = (uint32_t)n;
        break;
    case OPT_TOPOLOGY:
        good = choice(name, text, plan_topology_names, TOPOLOGY_COUNT, &which, why);
        o->topology = (enum topology)which;
        break;
    case OPT_TRANSPORT:
        good = choice(name, text, options_transport_names, 2, &which, why);
        o->transport = (enum transport)which;
        break;
    case OPT_STORE:
        good = choice(name, text, options_store_names, 2, &which, why);
        o->store = (enum store)which;
        break;
    case OPT_ENGINE:
        good = choice(name, text, engine_names, 3, &which, why);
        o->engine = (weft_engine)which;
        break;
    case OPT_DURABILITY:
        good = choice(name, text, durability_names, 3, &which, why);
        o->durability = (weft_durability)which;
        break;
    case OPT_LIVE:
        good = number(name, text, 0, 86400, &n, why);
        o->live_seconds = (uint32_t)n;
        break;
    case OPT_RATE:
        good = number32(name, text, 1, 100000000, &o->rate, why);
        o->rate_given = true;
        break;
    case OPT_KILL9:
        good = number(name, text, 0, PLAN_KILLS_MAX, &n, why);
        o->kills = (uint32_t)n;
        break;
    case OPT_SEED:
        good = number(name, text, 0, INT64_MAX, &o->seed, why); /* JSON integers are signed */
        o->seed_given = true;
        break;
    case OPT_SABOTAGE:
        o->sabotage_text = text; /* what it may be depends on --workload */
        break;
    case OPT_JSON: o->json = text; break;
    case OPT_DIR: o->dir = text; break;
    case OPT_TIMEOUT:
        good = number(name, text, 1, 604800, &n, why);
        o->timeout_seconds = (uint32_t)n;
        break;
    case OPT_QUIET: o->quiet = true; break;
    case OPT_NO_PROGRESS: o->no_progress = true; break;
    case OPT_HELP: o->help = true; break;
    case OPT_VERSION: o->version = true; break;
    case OPT_LIST: o->list = true; break;
    default: good = take_load(opt, name, text, o, why); break;
    }
    return good;
}

static bool take_sabotage(struct options *o, struct why *why)
{
    int which = -1;
    bool actors = o->loads != 0;
    if (o->sabotage_text == NULL) return true;
    if (!choice("sabotage", o->sabotage_text, actors ? options_sabotage_names + 1 : spoil_names + 1,
                actors ? SABOTAGE_COUNT - 1 : SPOIL_COUNT - 1, &which, why))
        return false;
    if (actors) o->broken = (enum sabotage)(which + 1);
    else o->sabotage = (enum spoil)(which + 1);
    return true;
}

/* Each option belongs to runs of nodes, to those of workloads, or to both. */
static bool belongs(int opt, uint32_t loads)
{
    bool stores = (loads & OPTIONS_LOADS_STORE) != 0;
    if (opt >= OPT_WORKLOAD && opt < OPT_LIST) return loads != 0;
    if (loads == 0 || opt == OPT_SEED || opt == OPT_RATE) return true;
    if (opt == OPT_STORE || opt == OPT_ENGINE || opt == OPT_DIR) return stores;
    return opt >= OPT_SABOTAGE && opt != OPT_TIMEOUT;
}

/* Is there a workload that the option is for? Names it if not. */
static const char *wanting(int opt, uint32_t loads)
{
    switch (opt) {
    case OPT_ACTORS:
    case OPT_MAILBOX:
    case OPT_OVERFLOW:
    case OPT_PLACE:
    case OPT_WORKERS: return (loads & OPTIONS_LOADS_ACTORS) != 0 ? NULL : "a workload of actors";
    case OPT_MIX: return (loads & 1u << LOAD_MIXED) != 0 ? NULL : "--workload mixed";
    case OPT_DURABILITY: return (loads & OPTIONS_LOADS_STORE) != 0 ? NULL : "a workload of stores";
    case OPT_KILLS: return (loads & 1u << LOAD_RECOVER) != 0 ? NULL : "--workload recover";
    default: return NULL;
    }
}

static const char *sense_of_stores(const struct options *o)
{
    if ((o->loads & OPTIONS_LOADS_STORE) == 0) return NULL;
    if (o->broken != SABOTAGE_NONE && o->broken != SABOTAGE_LOSE)
        return "--sabotage of put, mixed and recover is lose";
    if (o->payload_given && o->shape.payload > STORE_PAYLOAD_MAX)
        return "--payload of put, mixed and recover is at most 524288";
    if (o->payload_given && o->shape.payload < STORE_PAYLOAD_LEAST)
        return "--payload of put, mixed and recover is at least 32";
    if ((o->loads & 1u << LOAD_RECOVER) != 0 && o->store != STORE_ROCKSDB)
        return "recover needs --store rocksdb, because memory does not survive a kill";
    if ((o->loads & 1u << LOAD_RECOVER) != 0 && o->durability == WEFT_MEMORY &&
        o->broken != SABOTAGE_NONE)
        return "--sabotage lose is not for recover --durability memory, where a kill may lose";
    if (o->dir != NULL && *o->dir == '\0') return "a path is empty";
    return NULL;
}

const char *options_durability_name(const struct options *o)
{
    return durability_names[o->durability];
}

const char *options_store_name(const struct options *o)
{
    bool lmdb = o->store == STORE_ROCKSDB && o->engine == WEFT_ENGINE_LMDB;
    return lmdb ? engine_names[WEFT_ENGINE_LMDB] : options_store_names[o->store];
}

static bool sense(const struct options *o, const char *const given[], struct why *why)
{
    const char *text = NULL;
    for (int opt = OPT_DAG; opt <= OPT_VERSION; opt++)
        if (given[opt - OPT_DAG] != NULL && !belongs(opt, o->loads)) {
            snprintf(why->text, why->len,
                     o->loads != 0 ? "--%s is for runs of nodes, not for --workload"
                                   : "--%s needs --workload",
                     given[opt - OPT_DAG]);
            return false;
        }
    for (int opt = OPT_WORKLOAD; opt < OPT_LIST; opt++) {
        const char *lacks = given[opt - OPT_DAG] == NULL ? NULL : wanting(opt, o->loads);
        if (lacks == NULL) continue;
        snprintf(why->text, why->len, "--%s needs %s", given[opt - OPT_DAG], lacks);
        return false;
    }
    if (o->loads != 0) text = sense_of_stores(o);
    if (text == NULL && o->store == STORE_MEMORY && o->engine != WEFT_ENGINE_AUTO)
        text = "--engine is for stores on disk, not for --store memory";
    if (text != NULL) {
        snprintf(why->text, why->len, "%s", text);
        return false;
    }
    if (o->loads != 0 && o->rate_given && (o->loads & ~OPEN_LOOPS) != 0)
        text = "--rate works with fanin, fanout, mesh, big, bounded, put, mixed and recover";
    else if (o->loads != 0 && o->hgrm != NULL && *o->hgrm == '\0') text = "a path is empty";
    else if (o->loads == 0 && o->rate > 100000) text = "--rate is at most 100000 commits a second";
    else if (o->workers != 0 && o->place != PLACE_GROUP) text = "--workers needs --place group";
    if (text != NULL) snprintf(why->text, why->len, "%s", text);
    if (text != NULL || o->loads != 0) return text == NULL;
    if (o->dag != NULL && o->git != NULL) text = "--dag and --git exclude each other";
    else if (o->dag == NULL && o->git == NULL && o->live_seconds == 0)
        text = "give a history (--dag FILE or --git DIR), --live SECONDS or --workload NAME (see "
               "--help)";
    else if (o->kills > 0 && o->transport != TRANSPORT_TCP)
        text = "--kill9 needs --transport tcp, where every node is a process of its own";
    else if (o->kills > 0 && o->store != STORE_ROCKSDB)
        text = "--kill9 needs --store rocksdb, because memory does not survive a kill";
    else if (o->sabotage == SPOIL_NEWER && o->store != STORE_ROCKSDB)
        text = "--sabotage newer needs --store rocksdb: what memory leaves has no version";
    else if (o->sabotage == SPOIL_FLIP && o->engine == WEFT_ENGINE_LMDB)
        text = "--sabotage flip is not for --engine lmdb, which has no checksums to find it by";
    else if ((o->dag != NULL && *o->dag == '\0') || (o->git != NULL && *o->git == '\0') ||
             (o->json != NULL && *o->json == '\0') || (o->dir != NULL && *o->dir == '\0'))
        text = "a path is empty";
    if (text != NULL) snprintf(why->text, why->len, "%s", text);
    return text == NULL;
}

bool options_read(int argc, char *const argv[], struct options *out, char *why_text, size_t why_len)
{
    struct why why = {why_text, why_len};
    struct options o = {.nodes = 3,
                        .rate = 50,
                        .timeout_seconds = 600,
                        .duration_seconds = 10,
                        .interval_ms = 1000,
                        .mix = 'a'};
    const char *given[OPT_VERSION - OPT_DAG + 1] = {NULL};
    optind = 0; /* tests read several command lines */
    opterr = 0;
    for (;;) {
        int index = -1, before = optind == 0 ? 1 : optind;
        int opt = getopt_long(argc, argv, ":", table, &index);
        if (opt == -1) break;
        if (opt == ':') {
            snprintf(why.text, why.len, "%s needs a value (see --help)", argv[optind - 1]);
            return false;
        }
        if (opt == '?') {
            snprintf(why.text, why.len, "unknown option \"%s\" (see --help)", argv[before]);
            return false;
        }
        given[opt - OPT_DAG] = table[index].name;
        if (!take(opt, table[index].name, optarg, &o, &why)) return false;
        if (o.help || o.version || o.list) break;
    }
    bool told = o.help || o.version || o.list; /* and nothing else */
    if (optind < argc && !told) {
        snprintf(why.text, why.len, "unexpected argument \"%s\" (see --help)", argv[optind]);
        return false;
    }
    if (!told && (!take_sabotage(&o, &why) || !sense(&o, given, &why))) return false;
    if (o.loads != 0 && given[OPT_KILLS - OPT_DAG] == NULL) o.kills = RECOVER_KILLS;
    *out = o;
    return true;
}
