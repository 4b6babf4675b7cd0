/* SPDX-License-Identifier: Apache-2.0
 * main.c - weft-torture: the list of its rooms, how much each does within the time of the lane,
 * and a line for each.
 * Called by: ./dev torture, meson test, a person. May touch: a directory of its own below
 * $TMPDIR. Never: a store that it did not make. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto.h"
#include "only.h"
#include "torture.h"

enum lane { FAST, DEFAULT, FULL, LANES };
static const char *const lane_names[LANES] = {"--fast", "--default", "--full"};

/* All of a lane: so many seconds are dealt out, and after the later ones no round begins. Between
 * them are the least rounds of who was slow, and what the last round takes comes on top. */
static struct {
    uint32_t dealt, last;
} lane_seconds[LANES] = {{28, 33}, {210, 240}, {UINT32_MAX, UINT32_MAX}};

static const struct room {
    const char *name;
    void (*run)(tt_torture *t, const tt_work *work, tt_line *line);
    uint32_t seconds[LANES]; /* its share of the time, and alone its time */
    uint32_t least[LANES];   /* rounds, also when that time is over */
    uint32_t rounds[LANES], extra[LANES];
    enum wf_engine engine; /* AUTO: the one in memory */
} rooms[] = {
    {"kill9", tt_kill9, {5, 60, 400}, {10, 40, 40}, {40, 200, 1000}, {0}, WF_ENGINE_ROCKSDB},
    {"powercut", tt_powercut, {8, 45, 240}, {1, 3, 3}, {3, 20, 100}, {1, 4, 10}, WF_ENGINE_ROCKSDB},
    {"syscalls", tt_syscalls, {4, 25, 120}, {2, 3, 3}, {3, 3, 3}, {25, 5, 1}, WF_ENGINE_ROCKSDB},
    {"flip", tt_flip, {8, 90, 2700}, {6, 30, 30}, {30, 200, 1000}, {5, 1, 1}, WF_ENGINE_ROCKSDB},
    {"full", tt_full, {3, 9, 120}, {1, 1, 1}, {1, 3, 20}, {0}, WF_ENGINE_ROCKSDB},
    {"alloc", tt_alloc, {8, 60, 150}, {1, 1, 1}, {1, 1, 1}, {3, 1, 1}, WF_ENGINE_AUTO},
    {"ops", tt_ops, {5, 20, 60}, {1, 1, 1}, {1, 1, 1}, {3, 1, 1}, WF_ENGINE_AUTO},
    {"eintr", tt_eintr, {2, 8, 60}, {1, 1, 1}, {1, 2, 5}, {20, 100, 500}, WF_ENGINE_ROCKSDB},
    {"faketime", tt_faketime, {2, 6, 60}, {1, 2, 2}, {2, 4, 10}, {20, 100, 500}, WF_ENGINE_ROCKSDB},
    {"lmdb-kill9", tt_kill9, {2, 20, 240}, {5, 10, 10}, {10, 100, 1000}, {0}, WF_ENGINE_LMDB},
    {"lmdb-powercut",
     tt_powercut,
     {2, 15, 240},
     {1, 1, 1},
     {1, 8, 100},
     {1, 2, 10},
     WF_ENGINE_LMDB},
    {"lmdb-syscalls", tt_syscalls, {2, 10, 120}, {1, 2, 2}, {2, 3, 3}, {9, 2, 1}, WF_ENGINE_LMDB},
    {"lmdb-flip", tt_flip, {2, 20, 240}, {5, 10, 10}, {10, 100, 1000}, {0}, WF_ENGINE_LMDB},
    {"lmdb-full", tt_full, {1, 5, 60}, {1, 1, 1}, {1, 2, 20}, {0}, WF_ENGINE_LMDB},
};
#define ROOMS (sizeof rooms / sizeof *rooms)

static tt_torture me;

static int usage(void)
{
    fputs("usage: weft-torture [--fast|--default|--full] [--seconds N] [--engine rocksdb|lmdb]\n"
          "                    [--only NAME,NAME...] [--seed N] [--list]\n",
          stderr);
    return 2;
}

static const char *name_of(size_t i) { return rooms[i].name; }

static bool is_chosen(const struct room *room, const char *only, const char *engine)
{
    if (engine != NULL && (strcmp(engine, "lmdb") == 0) != (room->engine == WF_ENGINE_LMDB))
        return false;
    return only_has(only, room->name);
}

static void prepare(void)
{
    static char self[512];
    const char *base = getenv("TMPDIR");
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) tt_die("/proc/self/exe");
    me.self = self;
    snprintf(me.dir, sizeof me.dir, "%s/weft-torture-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(me.dir) == NULL) tt_die(me.dir);
    if (wf_crypto_init() != WEFT_OK) tt_die("libsodium");
    tt_history_build(&me.history, me.seed);
    char path[160];
    tt_path(path, sizeof path, me.dir, "history");
    tt_history_save(&me.history, path);
}

/* Its chance depends on the seed and its name alone, so that `--only` repeats it. */
static enum tt_outcome run_room(const struct room *room, enum lane lane, uint64_t time)
{
    tt_line line = {.outcome = TT_BAD, .text = "it said nothing"};
    tt_work work = {
        .rounds = room->rounds[lane], .least = room->least[lane], .extra = room->extra[lane]};
    uint64_t began = tt_now();
    me.random = me.seed;
    for (const char *c = room->name; *c != '\0'; c++) me.random = me.random * 31 + (uint8_t)*c;
    me.deadline = began + time;
    me.cut_short = 0;
    me.engine = room->engine;
    if (began >= me.stop) tt_skip(&line, "the time of the lane is over");
    else if (me.engine == WF_ENGINE_LMDB && !wf_kv_lmdb_is_built())
        tt_skip(&line, "this build has no LMDB");
    else room->run(&me, &work, &line);
    double seconds = (double)(tt_now() - began) / 1e9;
    switch (line.outcome) {
    case TT_OK:
        printf("ok %s %s; %.1f s", room->name, line.text, seconds);
        if (me.cut_short == UINT32_MAX) printf(", out of time");
        else if (me.cut_short > 0) printf(", out of time before %u rounds", me.cut_short);
        printf("\n");
        break;
    case TT_SKIP: printf("skip %s: %s\n", room->name, line.text); break;
    default:
        printf("NOT OK %s %s; %.1f s, --seed %llu, kept: %s\n", room->name, line.text, seconds,
               (unsigned long long)me.seed, me.dir);
        break;
    }
    fflush(stdout);
    return line.outcome;
}

/* What is left is dealt to those that are still to come: who was quick leaves some, who was slow
 * takes from all of them. */
static uint64_t share(const struct room *room, enum lane lane, uint32_t to_come, uint64_t until)
{
    uint64_t now = tt_now(), left = now < until ? until - now : 0;
    return left / to_come * room->seconds[lane];
}

static int run(enum lane lane, const char *only, const char *engine)
{
    uint32_t count[3] = {0}, to_come = 0;
    uint64_t began = tt_now();
    prepare();
    for (size_t i = 0; i < ROOMS; i++)
        if (is_chosen(&rooms[i], only, engine)) to_come += rooms[i].seconds[lane];
    uint32_t dealt = to_come < lane_seconds[lane].dealt ? to_come : lane_seconds[lane].dealt;
    me.stop = lane == FULL ? UINT64_MAX : began + lane_seconds[lane].last * WEFT_SEC;
    for (size_t i = 0; i < ROOMS; i++) {
        if (!is_chosen(&rooms[i], only, engine)) continue;
        uint64_t time = share(&rooms[i], lane, to_come, began + dealt * WEFT_SEC);
        count[run_room(&rooms[i], lane, time)]++;
        to_come -= rooms[i].seconds[lane];
    }
    if (count[TT_BAD] == 0) tt_dir_remove(me.dir);
    if (count[TT_OK] + count[TT_BAD] == 0) count[TT_BAD] = 1; /* nothing ran */
    printf("%u passed, %u failed", count[TT_OK], count[TT_BAD]);
    if (count[TT_SKIP] > 0) printf(", %u skipped", count[TT_SKIP]);
    printf("\n");
    return count[TT_BAD] > 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--victim") == 0) return tt_victim_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--healer") == 0) return tt_healer_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--pair") == 0) return tt_pair_main(argc, argv);
    enum lane lane = DEFAULT;
    uint32_t seconds = 0; /* as the lane has it */
    const char *only = NULL, *engine = NULL;
    me.seed = tt_now() ^ (uint64_t)getpid() << 32;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc, taken = false;
        for (enum lane l = FAST; l < LANES; l++)
            if (strcmp(argv[i], lane_names[l]) == 0) lane = l, taken = true;
        if (taken) continue;
        if (strcmp(argv[i], "--only") == 0 && more) only = argv[++i];
        else if (strcmp(argv[i], "--engine") == 0 && more) engine = argv[++i];
        else if (strcmp(argv[i], "--seconds") == 0 && more) seconds = (uint32_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && more) me.seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--list") == 0) {
            for (size_t r = 0; r < ROOMS; r++) puts(rooms[r].name);
            return 0;
        } else return usage();
    }
    if (engine != NULL && strcmp(engine, "rocksdb") != 0 && strcmp(engine, "lmdb") != 0)
        return usage();
    if (seconds > 0) lane_seconds[lane].dealt = seconds, lane_seconds[lane].last = seconds + 30;
    return only_known(only, name_of, ROOMS) ? run(lane, only, engine) : 2;
}
