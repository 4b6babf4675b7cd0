/* SPDX-License-Identifier: Apache-2.0
 * script.c - what the demo shows, step by step, with measured numbers only.
 * Called by: main.c. May touch: the nodes through cluster.h, the demo's output.
 * Never: prints a line without checking that it is true. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "node.h"
#include "proc.h"
#include "rate.h"

#define TIMEOUT_NS (180 * WEFT_SEC)
#define VICTIM 1u /* the middle of the chain: everything between the others goes through it */

static const char *const names[] = {"A", "B", "C"};

bool demo_line(struct demo *d, bool holds, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(d->out, format, args);
    va_end(args);
    fprintf(d->out, "%s\n", holds ? "" : "   <- NOT TRUE");
    fflush(d->out);
    if (!holds) d->untrue = true;
    return holds;
}

static int on_news(void *arg)
{
    struct demo *d = arg;
    uint64_t now = kit_now_ns(), held = 0;
    if (!d->terminal || !d->bar || now - d->shown_ns < 100 * WEFT_MS) return EXIT_PASS;
    d->shown_ns = now;
    for (uint32_t i = 0; i < d->cluster.count; i++) held += d->cluster.members[i].now.entries;
    uint64_t goal = (d->dag.count + UINT64_C(1)) * d->cluster.count;
    unsigned width = goal == 0 ? 0 : (unsigned)(held * 40 / goal);
    char bar[41];
    for (unsigned i = 0; i < 40; i++) bar[i] = i < width ? '#' : '.';
    bar[40] = '\0';
    fprintf(stderr, "\r      %s %3llu %%", bar,
            (unsigned long long)(goal == 0 ? 0 : held * 100 / goal));
    return EXIT_PASS;
}

static void bar(struct demo *d, bool on)
{
    d->bar = on;
    if (!on && d->terminal) fputs("\r\033[K", stderr);
}

static uint64_t acked(const struct demo *d)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < d->cluster.count; i++) sum += d->cluster.members[i].acks;
    return sum;
}

/* -- Steps ------------------------------------------------------------------------------------- */

static int step_nodes(struct demo *d)
{
    weft_key hostile;
    char *log = proc_path(d->dir, "weft.log");
    node_log_to(log); /* of the hostile nodes and the judge */
    free(log);
    plan_make(&d->plan, 3, TOPOLOGY_CHAIN, 0, 0, d->seed);
    d->cluster.on_news = on_news;
    d->cluster.arg = d;
    int code = cluster_start(&d->cluster, &d->plan, d->dir, false, false, d->seed,
                             d->begun_ns + TIMEOUT_NS);
    if (code == EXIT_PASS) code = demo_attacker_open(d, &hostile);
    if (code == EXIT_PASS) code = cluster_follow(&d->cluster, &hostile, 1);
    d->cluster.extra = NULL;
    d->cluster.extra_count = 0;
    for (uint32_t i = 0; code == EXIT_PASS && i < 3; i++) {
        const struct member *m = &d->cluster.members[i];
        char key[9];
        kit_hex(m->key.bytes, 4, key);
        demo_line(d, m->ready && m->pid > 0,
                  "%s node %s  %s..  %s  process %d, store open in %.0f ms",
                  i == 0 ? "[1/7]" : "     ", names[i], key, m->address, (int)m->pid,
                  (double)m->open_ns / 1e6);
    }
    return code;
}

static bool all_hold(struct cluster *c, void *arg)
{
    const struct demo *d = arg;
    return cluster_equal(c, d->dag.count + UINT64_C(1));
}

static int step_history(struct demo *d)
{
    char *path = proc_path(d->dir, "history.dag"), n[32], m[32];
    uint64_t begun = kit_now_ns();
    int code = EXIT_PASS;
    bar(d, true);
    if (dag_save(&d->dag, path) != 0) {
        snprintf(d->cluster.why, sizeof d->cluster.why, "%s: %s", path, strerror(errno));
        code = EXIT_HARNESS;
    }
    if (code == EXIT_PASS) code = cluster_import(&d->cluster, path);
    d->cluster.history = NULL;
    free(path);
    uint64_t imported = kit_now_ns();
    uint64_t wire = 0;
    if (code == EXIT_PASS) code = cluster_connect(&d->cluster);
    if (code == EXIT_PASS) code = cluster_wait(&d->cluster, all_hold, d);
    uint64_t ended = kit_now_ns();
    bar(d, false);
    if (code != EXIT_PASS) return code;
    for (uint32_t i = 0; i < 3; i++) wire += d->cluster.members[i].now.stats.wire_out;
    uint64_t all = d->dag.count + UINT64_C(1);
    demo_line(
        d, d->cluster.members[0].now.entries == all,
        "[2/7] A imports a real history: %s commits by %s authors, signed and stored in %.1f s",
        kit_commas(d->dag.count, n), kit_commas(d->dag.authors, m), kit_seconds(begun, imported));
    double took = kit_seconds(imported, ended);
    demo_line(d, cluster_equal(&d->cluster, all),
              "      B fetches it from A, and C from B meanwhile: 2 x %s entries in %.1f s, %s a "
              "second, %.1f MB on the wire",
              kit_commas(all, n), took,
              kit_commas((uint64_t)(took > 0 ? 2.0 * (double)all / took : 0), m),
              (double)wire / 1e6);
    return EXIT_PASS;
}

static void delays(struct demo *d, const char *name, const struct hist *h)
{
    demo_line(d, h->count > 0, "      %-28s %6llu   p50 %6.1f  p90 %6.1f  p99 %6.1f  max %6.1f ms",
              name, (unsigned long long)h->count, hist_ms(h, 0.5), hist_ms(h, 0.9),
              hist_ms(h, 0.99), (double)h->max / 1e6);
}

static int step_live(struct demo *d)
{
    unsigned seconds = d->fast ? 2 : 20;
    cluster_live(&d->cluster, kit_now_ns() + seconds * WEFT_SEC, 50, 200);
    int code = cluster_wait_orders(&d->cluster);
    uint64_t all = d->dag.count + UINT64_C(1) + acked(d);
    if (code == EXIT_PASS) code = cluster_settle(&d->cluster, all);
    if (code != EXIT_PASS) return code;
    char n[32];
    demo_line(d, acked(d) > 0 && cluster_equal(&d->cluster, all),
              "[3/7] all three commit for %u s: %s commits, all nodes hold all of them", seconds,
              kit_commas(acked(d), n));
    delays(d, "durable at home after", &d->cluster.commit);
    delays(d, "durable at a neighbour after", &d->cluster.push[1]);
    delays(d, "durable two hops away after", &d->cluster.push[2]);
    return EXIT_PASS;
}

struct goal {
    uint64_t entries;
    uint64_t first; /* what it held when it was back */
};

static bool victim_back(struct cluster *c, void *arg)
{
    (void)arg;
    return c->members[VICTIM].ready && c->members[VICTIM].now.has_root;
}

static bool victim_even(struct cluster *c, void *arg)
{
    const struct goal *goal = arg;
    return c->members[VICTIM].ready && c->members[VICTIM].now.entries >= goal->entries;
}

static int step_kill(struct demo *d)
{
    struct cluster *c = &d->cluster;
    struct member *victim = &c->members[VICTIM];
    uint64_t before = victim->acks;
    unsigned part_ms = d->fast ? 700 : 4000;
    uint64_t burst_ns = 4 * part_ms * WEFT_MS, begun = kit_now_ns();
    cluster_live(c, begun + burst_ns, 200, 200);
    int code = cluster_wait_until(c, begun + part_ms * WEFT_MS);
    if (code == EXIT_PASS) code = cluster_kill(c, VICTIM);
    if (code != EXIT_PASS) return code;
    uint64_t killed = kit_now_ns(), others = acked(d) - victim->acks;
    d->acked_before_kill = victim->acks;
    demo_line(d, victim->acks > before && victim->orders_count > 0,
              "[4/7] kill -9 of B in the middle of a burst: it had acknowledged %llu commits",
              (unsigned long long)victim->acks);
    code = cluster_wait_until(c, killed + part_ms * WEFT_MS);
    others = acked(d) - victim->acks - others;
    if (code == EXIT_PASS)
        demo_line(d, others > 0, "      A and C go on alone for %.1f s and acknowledge %llu more",
                  kit_seconds(killed, kit_now_ns()), (unsigned long long)others);
    uint64_t restarted = kit_now_ns();
    if (code == EXIT_PASS) code = cluster_restart(c, VICTIM);
    if (code == EXIT_PASS) code = cluster_wait(c, victim_back, NULL);
    if (code != EXIT_PASS) return code;
    uint64_t back = kit_now_ns();
    struct goal goal = {0, victim->now.entries};
    for (uint32_t i = 0; i < 3; i++)
        if (c->members[i].now.entries > goal.entries) goal.entries = c->members[i].now.entries;
    code = cluster_wait(c, victim_even, &goal);
    uint64_t even = kit_now_ns();
    if (code != EXIT_PASS) return code;
    demo_line(d, victim->restarts == 1,
              "      B is back on the same port and store in %.0f ms, at least %llu entries "
              "behind, and caught up "
              "%.0f ms later",
              kit_seconds(restarted, back) * 1e3, (unsigned long long)(goal.entries - goal.first),
              kit_seconds(back, even) * 1e3);
    code = cluster_wait_orders(c);
    uint64_t all = d->dag.count + UINT64_C(1) + acked(d);
    if (code == EXIT_PASS) code = cluster_settle(c, all);
    if (code == EXIT_PASS)
        demo_line(d, cluster_equal(c, all), "      the burst ends; all nodes are equal again");
    return code;
}

static int step_attack(struct demo *d)
{
    uint64_t entries = d->cluster.members[2].now.entries;
    demo_line(d, true, "[5/7] C is attacked");
    int code = demo_attack(d);
    demo_attacker_close();
    if (code == EXIT_PASS) code = cluster_settle(&d->cluster, entries);
    if (code != EXIT_PASS) return code;
    demo_line(d, d->cluster.members[2].now.entries == entries && d->refused == d->acts,
              "      %u of %u refused; C serves on and holds what it held", d->refused, d->acts);
    return EXIT_PASS;
}

static int step_verify(struct demo *d)
{
    struct judge_case jc = {.dir = d->dir,
                            .nodes = 3,
                            .tree = d->cluster.tree,
                            .dag = &d->dag,
                            .seed = d->seed,
                            .threads = rate_cores()};
    uint64_t begun = kit_now_ns();
    int code = judge_run(&jc, &d->judged, d->cluster.why, sizeof d->cluster.why);
    if (code != EXIT_PASS) return code;
    char why[300] = "", n[32];
    uint64_t duplicates = 0, redundant = 0;
    for (uint32_t i = 0; i < 3; i++) {
        weft_node_stats stats = cluster_stats(&d->cluster.members[i]);
        duplicates += stats.duplicates;
        redundant += stats.redundant;
    }
    bool clean = judge_clean(&d->judged, why, sizeof why);
    demo_line(
        d, clean,
        "[7/7] the three stores, read from the disk and checked in %.1f s: %s entries each%s%s",
        kit_seconds(begun, kit_now_ns()), kit_commas(d->judged.entries + d->judged.unacked, n),
        clean ? "" : ": ", why);
    demo_line(
        d, d->judged.lost == 0 && d->judged.bad_signatures == 0 && d->judged.unexpected == 0,
        "      acknowledged and lost %llu, bad signatures %llu, entries nobody announced %llu",
        (unsigned long long)d->judged.lost, (unsigned long long)d->judged.bad_signatures,
        (unsigned long long)d->judged.unexpected);
    demo_line(d, d->judged.lost == 0,
              "      every commit that B acknowledged before the kill is there: %llu of %llu",
              (unsigned long long)(d->acked_before_kill - d->judged.node[VICTIM].lost),
              (unsigned long long)d->acked_before_kill);
    demo_line(d, duplicates == 0 && redundant == 0,
              "      sent to a node that had it: %llu; tips equal: %s",
              (unsigned long long)(duplicates + redundant), d->judged.tips_equal ? "yes" : "no");
    return EXIT_PASS;
}

static void table(struct demo *d)
{
    fprintf(d->out,
            "\n      node    entries   received   committed   sent on wire   peak memory\n");
    for (uint32_t i = 0; i < 3; i++) {
        const struct member *m = &d->cluster.members[i];
        weft_node_stats stats = cluster_stats(m);
        char a[32], b[32], c[32];
        fprintf(d->out, "      %s    %9s  %9s   %9s     %7.1f MB    %7.1f MB\n", names[i],
                kit_commas(d->judged.node[i].entries, a), kit_commas(stats.entries_received, b),
                kit_commas(m->acks, c), (double)stats.wire_out / 1e6,
                (double)m->rss_peak_kb * 1024 / 1e6);
    }
}

void demo_play(struct demo *d)
{
    static int (*const steps[])(struct demo *) = {step_nodes, step_history, step_live,
                                                  step_kill,  step_attack,  demo_actors};
    fprintf(d->out,
            "weft %s  three nodes, one machine, real TCP, real RocksDB, Ed25519 identities\n"
            "stores  %s%s\n\n",
            weft_version(), d->dir, d->keep ? "" : "  (kept with --keep)");
    int code = EXIT_PASS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && code == EXIT_PASS; i++)
        code = steps[i](d);
    if (code == EXIT_PASS) code = cluster_stop(&d->cluster);
    if (code == EXIT_PASS) code = step_verify(d);
    demo_attacker_close();
    d->code = code;
    if (code != EXIT_PASS && d->why[0] == '\0')
        snprintf(d->why, sizeof d->why, "%s", d->cluster.why);
    if (code == EXIT_PASS) table(d);
    if (code == EXIT_PASS && d->untrue) {
        d->code = EXIT_BROKEN;
        snprintf(d->why, sizeof d->why, "a line above is not true");
    }
}
