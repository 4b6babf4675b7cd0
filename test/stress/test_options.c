/* SPDX-License-Identifier: Apache-2.0
 * test_options.c - the command line of weft-stress: what it takes and what it refuses.
 * Called by: meson test. May touch: memory. Never: starts anything. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

/* Words are separated by single blanks. */
static bool read_line(const char *line, struct options *out, char *why, size_t why_len)
{
    static char text[512];
    static char *argv[64];
    int argc = 0;
    snprintf(text, sizeof text, "%s", line);
    argv[argc++] = "weft-stress";
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return options_read(argc, argv, out, why, why_len);
}

Test(options, defaults_are_three_nodes_in_a_chain_over_tcp_and_rocksdb)
{
    struct options o;
    char why[300];
    cr_assert(read_line("--dag x", &o, why, sizeof why));
    cr_assert_eq(o.nodes, 3u);
    cr_assert_eq(o.topology, TOPOLOGY_CHAIN);
    cr_assert_eq(o.transport, TRANSPORT_TCP);
    cr_assert_eq(o.store, STORE_ROCKSDB);
    cr_assert_eq(o.kills, 0u);
    cr_assert_not(o.seed_given);
}

Test(options, takes_every_flag)
{
    struct options o;
    char why[300];
    cr_assert(
        read_line("--git d --nodes 5 --topology mesh --transport tcp --store rocksdb --live 9 "
                  "--rate 7 --kill9 4 --seed 11 --sabotage lose --json - --dir w --timeout 60 "
                  "--quiet --no-progress",
                  &o, why, sizeof why),
        "%s", why);
    cr_assert_str_eq(o.git, "d");
    cr_assert_eq(o.nodes, 5u);
    cr_assert_eq(o.topology, TOPOLOGY_MESH);
    cr_assert_eq(o.live_seconds, 9u);
    cr_assert_eq(o.rate, 7u);
    cr_assert_eq(o.kills, 4u);
    cr_assert_eq(o.seed, 11u);
    cr_assert(o.seed_given && o.sabotage == SPOIL_LOSE && o.quiet && o.no_progress);
    cr_assert_str_eq(o.json, "-");
    cr_assert_str_eq(o.dir, "w");
    cr_assert_eq(o.timeout_seconds, 60u);
}

static const struct {
    const char *line, *why;
} bad[] = {
    {"",
     "give a history (--dag FILE or --git DIR), --live SECONDS or --workload NAME (see --help)"},
    {"--dag a --git b", "--dag and --git exclude each other"},
    {"--dag a --kill9 1 --transport mem",
     "--kill9 needs --transport tcp, where every node is a process of its own"},
    {"--dag a --kill9 1 --store memory",
     "--kill9 needs --store rocksdb, because memory does not survive a kill"},
    {"--dag a --nodes 1", "--nodes takes a number from 2 to 32, not \"1\""},
    {"--dag a --nodes three", "--nodes takes a number from 2 to 32, not \"three\""},
    {"--dag a --nodes -3", "--nodes takes a number from 2 to 32, not \"-3\""},
    {"--dag a --rate 0", "--rate takes a number from 1 to 100000000, not \"0\""},
    {"--dag a --seed 99999999999999999999",
     "--seed takes a number from 0 to 9223372036854775807, not \"99999999999999999999\""},
    {"--dag a --topology line", "--topology is chain, ring, star or mesh, not \"line\""},
    {"--dag a --transport udp", "--transport is tcp or mem, not \"udp\""},
    {"--dag a --store disk", "--store is rocksdb or memory, not \"disk\""},
    {"--dag a --engine bdb", "--engine is auto, rocksdb or lmdb, not \"bdb\""},
    {"--dag a --store memory --engine lmdb",
     "--engine is for stores on disk, not for --store memory"},
    {"--dag a --engine lmdb --sabotage flip",
     "--sabotage flip is not for --engine lmdb, which has no checksums to find it by"},
    {"--workload ring --engine lmdb", "--engine is for runs of nodes, not for --workload"},
    {"--dag a --sabotage win", "--sabotage is lose, flip, newer or stranger, not \"win\""},
    {"--dag a --store memory --sabotage newer",
     "--sabotage newer needs --store rocksdb: what memory leaves has no version"},
    {"--workload ring --sabotage flip",
     "--sabotage is lose, dup, reorder or corrupt, not \"flip\""},
    {"--dag a --rate 100001", "--rate is at most 100000 commits a second"},
    {"--dag a --mailbox 5", "--mailbox needs --workload"},
    {"--workload ring --nodes 3", "--nodes is for runs of nodes, not for --workload"},
    {"--workload ring --dir x", "--dir is for runs of nodes, not for --workload"},
    {"--workload ring,rang", "--workload knows no \"rang\" (see --list)"},
    {"--workload ring --rate 5",
     "--rate works with fanin, fanout, mesh, big, bounded, put, mixed and recover"},
    {"--workload ring --store memory", "--store is for runs of nodes, not for --workload"},
    {"--workload put --place parent", "--place needs a workload of actors"},
    {"--workload put --mix a", "--mix needs --workload mixed"},
    {"--workload mixed --mix g", "--mix is a, b, c, d, e or f, not \"g\""},
    {"--workload put --kills 3", "--kills needs --workload recover"},
    {"--workload put --durability much", "--durability is synced, written or memory, not \"much\""},
    {"--workload fanin --durability memory", "--durability needs a workload of stores"},
    {"--workload recover --durability memory --sabotage lose",
     "--sabotage lose is not for recover --durability memory, where a kill may lose"},
    {"--workload recover --store memory",
     "recover needs --store rocksdb, because memory does not survive a kill"},
    {"--workload fanin,put --sabotage dup", "--sabotage of put, mixed and recover is lose"},
    {"--workload put --payload 31", "--payload of put, mixed and recover is at least 32"},
    {"--workload put --payload 524289", "--payload of put, mixed and recover is at most 524288"},
    {"--workload fanin --overflow wait",
     "--overflow is block, fail, drop-new or drop-old, not \"wait\""},
    {"--workload fanin --workers 2", "--workers needs --place group"},
    {"--workload fanin --actors 1025", "--actors takes a number from 1 to 1024, not \"1025\""},
    {"--dag", "--dag needs a value (see --help)"},
    {"--dag a --frobnicate", "unknown option \"--frobnicate\" (see --help)"},
    {"--dag a extra", "unexpected argument \"extra\" (see --help)"},
};

Test(options, refuses_nonsense_in_one_clear_sentence)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o = {.nodes = 77};
        char why[300] = "";
        cr_expect_not(read_line(bad[i].line, &o, why, sizeof why), "%s", bad[i].line);
        cr_expect_str_eq(why, bad[i].why);
        cr_expect_eq(o.nodes, 77u, "nothing is handed out");
    }
}

Test(options, takes_every_flag_of_the_actors)
{
    struct options o;
    char why[300];
    cr_assert(
        read_line(
            "--workload fanin,mesh --duration 3 --warmup 1 --actors 9 --producers 2 "
            "--payload 0 --mailbox 16 --overflow fail --place group --workers 2 --rate 500000 "
            "--interval 100 --hgrm h --sabotage corrupt --seed 5 --json j --quiet",
            &o, why, sizeof why),
        "%s", why);
    cr_assert_eq(o.loads, 1u << LOAD_FANIN | 1u << LOAD_MESH);
    cr_assert_eq(o.duration_seconds, 3u);
    cr_assert_eq(o.warmup_seconds, 1u);
    cr_assert_eq(o.shape.actors, 9u);
    cr_assert_eq(o.shape.producers, 2u);
    cr_assert(o.payload_given && o.shape.payload == 0 && o.rate_given);
    cr_assert_eq(o.shape.mailbox, 16u);
    cr_assert_eq(o.overflow, OVERFLOW_FAIL);
    cr_assert_eq(o.place, PLACE_GROUP);
    cr_assert_eq(o.workers, 2u);
    cr_assert_eq(o.rate, 500000u);
    cr_assert_eq(o.interval_ms, 100u);
    cr_assert_str_eq(o.hgrm, "h");
    cr_assert_eq(o.broken, SABOTAGE_CORRUPT);
    cr_assert(read_line("--workload all", &o, why, sizeof why));
    cr_assert_eq(o.loads, (1u << LOAD_PRIORITY << 1) - 1, "all of the actors'");
    cr_assert_eq(o.shape.mailbox, 0u, "each workload has its own");
}

Test(options, takes_every_flag_of_the_stores)
{
    struct options o;
    char why[300];
    cr_assert(
        read_line("--workload store --mix e --kills 9 --duration 2 --producers 3 --payload 100 "
                  "--rate 50 --dir d --sabotage lose",
                  &o, why, sizeof why),
        "%s", why);
    cr_assert_eq(o.loads, 1u << LOAD_PUT | 1u << LOAD_MIXED | 1u << LOAD_RECOVER);
    cr_assert_eq(o.mix, 'e');
    cr_assert_eq(o.kills, 9u);
    cr_assert_eq(o.shape.producers, 3u);
    cr_assert_str_eq(o.dir, "d");
    cr_assert_eq(o.broken, SABOTAGE_LOSE);
    cr_assert(read_line("--workload put,mixed --store memory", &o, why, sizeof why), "%s", why);
    cr_assert_eq(o.store, STORE_MEMORY);
    cr_assert_eq(o.mix, 'a');
    cr_assert(read_line("--workload recover --kills 0", &o, why, sizeof why), "%s", why);
    cr_assert_eq(o.kills, 0u, "which the run itself refuses to pass");
}

Test(options, help_wins_over_what_is_missing)
{
    struct options o;
    char why[300];
    cr_assert(read_line("--help", &o, why, sizeof why));
    cr_assert(o.help);
    cr_assert(read_line("--version", &o, why, sizeof why));
    cr_assert(o.version);
}
