/* SPDX-License-Identifier: Apache-2.0
 * main.c - weft-hostile: the list of its roles, the honest pair without and beside them, and a
 * line for each.
 * Called by: ./dev hostile, meson test, a person. May touch: loopback, processes of its own.
 * Never: another machine, a store on disk. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto.h"
#include "hostile.h"
#include "only.h"

static const struct role {
    const char *name;
    void (*run)(ht_run *run, ht_line *line);
} roles[] = {
    {"capture", ht_capture},
    {"replay", ht_replay}, /* the second one restarts the victim */
    {"garbage", ht_garbage},
    {"amp", ht_amp},
    {"mitm", ht_mitm},
    {"truncate", ht_truncate},
    {"bomb", ht_bomb},
    {"spoof", ht_spoof},
    {"sybil", ht_sybil},
    {"idle", ht_idle},
    {"joins", ht_joins}, /* while there is a budget for proofs */
    {"oracle", ht_oracle},
    {"timing", ht_timing},
    {"proofs", ht_proofs},
    {"forbidden", ht_forbidden},
    {"fanin", ht_fanin},
    {"orphans", ht_orphans},
    {"evil-server", ht_evil_server},
    {"poison", ht_poison},
    {"revoked", ht_revoked},
    {"forge", ht_forge},
    {"http", ht_http},
    {"crowd", ht_crowd},
    {"public", ht_public},
    {"slowloris", ht_slowloris},
};
#define ROLES (sizeof roles / sizeof *roles)
#define BEFORE_SLOW 2u

static ht_run me = {.peers = 200, .seconds = 60};

static int usage(void)
{
    fputs("usage: weft-hostile [--fast] [--peers N] [--seconds S] [--only NAME,...] [--seed N] "
          "[--list]\n",
          stderr);
    return 2;
}

static const char *name_of(size_t i) { return roles[i].name; }

static void sample(void *arg)
{
    ht_run *run = arg;
    uint64_t resident = ht_resident(run->victim.pid);
    if (resident > run->most_resident) run->most_resident = resident;
}

void ht_memory_reset(ht_run *run) { run->most_resident = ht_resident(run->victim.pid); }

static void prepare(void)
{
    static char self[512];
    struct rlimit files;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) ht_die("/proc/self/exe");
    me.self = self;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* those of the nodes follow it */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < me.peers * 2 + 256) ht_die("too few descriptors for so many peers");
    if (wf_crypto_init() != WEFT_OK) ht_die("libsodium");
    ht_seed(me.seed);
    me.entries = me.fast ? 3000 : 10000;
    me.readers = 128;
    ht_node_start(&me.victim, self, true, me.entries, me.readers);
    ht_node_start(&me.friend_, self, false, me.entries, me.readers);
    ht_every(sample, &me);
    snprintf(me.address, sizeof me.address, "tcp:127.0.0.1:%u", me.victim.answer.port);
    if (me.victim.answer.http_port > 0)
        snprintf(me.http_address, sizeof me.http_address, "http:127.0.0.1:%u",
                 me.victim.answer.http_port);
    me.born = me.victim.answer;
}

/* What the pair does when nobody disturbs it; after it the friend is known. */
static void undisturbed(void)
{
    ht_pace pace;
    (void)ht_round(&me, HT_SHARED, me.address);
    (void)ht_round(&me, HT_SMALL, me.address);
    ht_memory_reset(&me);
    ht_rounds(&me, (me.fast ? 2 : 15) * WEFT_SEC, &pace);
    if (pace.rounds == 0) ht_die("the honest pair cannot sync");
    me.base_rate = pace.rate;
    me.base_resident = me.most_resident;
    me.born = *ht_facts(&me);
    printf("undisturbed: %u rounds, %.0f entries a second, %.1f MiB\n", pace.rounds, pace.rate,
           (double)me.base_resident / (1 << 20));
    fflush(stdout);
}

static bool one(const struct role *role)
{
    ht_line line = {.text = "it said nothing"};
    uint64_t began = ht_now();
    role->run(&me, &line);
    double seconds = (double)(ht_now() - began) / 1e9;
    printf("%s %s %s; %.1f s\n", line.bad ? "NOT OK" : "ok", role->name, line.text, seconds);
    if (line.bad) printf("   (--seed %llu)\n", (unsigned long long)me.seed);
    fflush(stdout);
    return !line.bad;
}

static int run(const char *only)
{
    uint32_t passed = 0, failed = 0;
    prepare();
    undisturbed();
    for (size_t i = 0; i < ROLES; i++) {
        /* They have the whole run to be slow in. */
        if (i == BEFORE_SLOW && only_has(only, "http")) ht_http_start(&me);
        if (i == BEFORE_SLOW && only_has(only, "slowloris")) ht_slowloris_start(&me);
        if (!only_has(only, roles[i].name)) continue;
        if (one(&roles[i])) passed++;
        else failed++;
    }
    ht_node_stop(&me.friend_);
    ht_node_stop(&me.victim);
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "--node") == 0) return ht_node_main(argc, argv);
    me.seed = ht_now() ^ (uint64_t)getpid() << 32;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--fast") == 0) me.fast = true, me.peers = 50, me.seconds = 6;
        else if (strcmp(argv[i], "--peers") == 0 && more) me.peers = (uint32_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && more) me.seconds = (uint32_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--only") == 0 && more) only = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0 && more) me.seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--list") == 0) {
            for (size_t r = 0; r < ROLES; r++) puts(roles[r].name);
            return 0;
        } else return usage();
    }
    if (me.peers < 12 || me.peers > 3000 || me.seconds == 0) return usage();
    return only_known(only, name_of, ROLES) ? run(only) : 2;
}
