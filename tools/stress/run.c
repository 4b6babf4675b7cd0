/* SPDX-License-Identifier: Apache-2.0
 * run.c - the phases of one run, one after the other.
 * Called by: main.c. May touch: the working directory; everything through the other
 * rooms. Never: passes a run that tested nothing. */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "git.h"
#include "node.h"
#include "proc.h"

#define LIVE_PAYLOAD 200u
#define RATE_SECONDS 0.5

const char *const run_phase_names[PHASE_COUNT] = {"prepare", "import", "sync",  "live",
                                                  "settle",  "stop",   "verify"};

static int fail(struct run *r, int code, const char *why)
{
    if (r->code == EXIT_PASS) {
        r->code = code;
        snprintf(r->why, sizeof r->why, "%s", why);
    }
    return r->code;
}

/* Takes over what a call of the cluster returned. */
static int took(struct run *r, int code)
{
    return code == EXIT_PASS ? EXIT_PASS : fail(r, code, r->cluster.why);
}

static void enter(struct run *r, enum phase phase)
{
    uint64_t now = kit_now_ns();
    if (r->phase_ns != 0) r->seconds[r->phase] = kit_seconds(r->phase_ns, now);
    r->phase = phase;
    r->phase_ns = now;
}

static uint64_t history(const struct run *r)
{
    return r->dag.count + UINT64_C(1); /* and the tree's root */
}

/* -- Kills ---------------------------------------------------------------------------------- */

static int kill_one(struct run *r, uint32_t at)
{
    struct member *m = &r->cluster.members[r->plan.kills[at].victim];
    if (!m->ready) return EXIT_PASS; /* it is starting: at the next news */
    uint64_t held = m->now.entries * 1000 / history(r);
    r->fired[at] = (struct fired){.done = true,
                                  .phase = r->phase,
                                  .held = held > 1000 ? 1000 : (uint32_t)held,
                                  .at_seconds = kit_seconds(r->begun_ns, kit_now_ns())};
    int code = cluster_kill(&r->cluster, m->index);
    if (code == EXIT_PASS) code = cluster_restart(&r->cluster, m->index);
    r->kills_done++;
    r->kill_at_ns = 0;
    return code;
}

/* While the history travels: a victim that holds its drawn share dies. */
static int kill_by_share(struct run *r)
{
    int code = EXIT_PASS;
    for (uint32_t i = 0; i < r->plan.kills_count && code == EXIT_PASS; i++) {
        const struct member *m = &r->cluster.members[r->plan.kills[i].victim];
        uint64_t held = m->now.entries;
        if (r->fired[i].done || !m->ready || held >= history(r) ||
            held * 1000 < history(r) * r->plan.kills[i].permille)
            continue;
        code = kill_one(r, i);
    }
    return code;
}

/* Afterwards: one after the other, after the pauses that were drawn. */
static int kill_by_time(struct run *r)
{
    uint32_t at = 0;
    while (at < r->plan.kills_count && r->fired[at].done) at++;
    if (at == r->plan.kills_count) return EXIT_PASS;
    uint64_t now = kit_now_ns();
    if (r->kill_at_ns == 0) r->kill_at_ns = now + r->plan.kills[at].pause_ns;
    return now < r->kill_at_ns ? EXIT_PASS : kill_one(r, at);
}

static int on_news(void *arg)
{
    struct run *r = arg;
    progress_show(r);
    switch (r->phase) {
    case PHASE_IMPORT:
    case PHASE_SYNC: return kill_by_share(r);
    case PHASE_LIVE:
    case PHASE_SETTLE: return kill_by_time(r);
    default: return EXIT_PASS;
    }
}

/* -- Phases ----------------------------------------------------------------------------------- */

static int load_history(struct run *r)
{
    const struct options *o = r->options;
    char why[1000];
    int code = EXIT_PASS;
    if (o->dag != NULL) {
        int loaded = dag_load(o->dag, &r->dag, why, sizeof why);
        code = loaded == 0 ? EXIT_PASS : loaded == -2 ? EXIT_NOT_FOUND : EXIT_USAGE;
    } else if (o->git != NULL) {
        code = git_load(o->git, r->dir, &r->dag, why, sizeof why);
    }
    if (code != EXIT_PASS) return fail(r, code, why);
    if ((o->dag != NULL || o->git != NULL) && r->dag.count == 0)
        return fail(r, EXIT_HARNESS, "the history is empty, so nothing would be tested");
    return EXIT_PASS;
}

static uint32_t payload_mean(const struct run *r)
{
    return r->dag.count == 0 ? LIVE_PAYLOAD : (uint32_t)(r->dag.payload_bytes / r->dag.count);
}

static int prepare(struct run *r)
{
    const struct options *o = r->options;
    char *log = proc_path(r->dir, "weft.log");
    node_log_to(log); /* of the judge, and of nodes in this process */
    free(log);
    if (load_history(r) != EXIT_PASS) return r->code;
    if (!rate_measure(o->seed, payload_mean(r), RATE_SECONDS, &r->rate))
        return fail(r, EXIT_HARNESS, "the speed of signature checks cannot be measured");
    plan_make(&r->plan, o->nodes, o->topology, o->kills, o->live_seconds * WEFT_SEC, o->seed);
    r->fired = kit_alloc(o->kills, sizeof *r->fired);
    r->cluster.on_news = on_news;
    r->cluster.arg = r;
    r->cluster.engine = o->engine;
    r->cluster.wrong_keys = o->sabotage == SPOIL_STRANGER;
    int code = cluster_start(&r->cluster, &r->plan, r->dir, o->transport == TRANSPORT_MEM,
                             o->store == STORE_MEMORY, o->seed,
                             r->begun_ns + o->timeout_seconds * WEFT_SEC);
    if (code == EXIT_PASS) code = cluster_follow(&r->cluster, NULL, 0);
    return took(r, code);
}

static int import(struct run *r)
{
    if (r->dag.count == 0) return EXIT_PASS;
    char *path = proc_path(r->dir, "history.dag");
    int code = EXIT_PASS;
    if (dag_save(&r->dag, path) != 0) {
        snprintf(r->cluster.why, sizeof r->cluster.why, "%s: %s", path, strerror(errno));
        code = EXIT_HARNESS;
    } else {
        code = cluster_import(&r->cluster, path);
    }
    free(path); /* an import that a kill interrupts ends before this */
    r->cluster.history = NULL;
    return took(r, code);
}

static bool all_hold(struct cluster *c, void *arg) { return cluster_equal(c, history(arg)); }

static int sync_all(struct run *r)
{
    uint64_t cpu_ns = cluster_cpu_ns(&r->cluster);
    int code = cluster_connect(&r->cluster);
    if (code == EXIT_PASS) code = cluster_wait(&r->cluster, all_hold, r);
    if (code == EXIT_PASS) {
        r->received_in_sync = (r->plan.nodes - 1) * history(r);
        r->cpu_in_sync_ns = cluster_cpu_ns(&r->cluster) - cpu_ns;
    }
    return took(r, code);
}

static int live(struct run *r)
{
    const struct options *o = r->options;
    if (o->live_seconds == 0) return EXIT_PASS;
    r->kill_at_ns = 0;
    int code = cluster_live(&r->cluster, kit_now_ns() + o->live_seconds * WEFT_SEC, o->rate,
                            LIVE_PAYLOAD);
    if (code == EXIT_PASS) code = cluster_wait_orders(&r->cluster);
    return took(r, code);
}

static bool kills_done(struct cluster *c, void *arg)
{
    (void)c;
    const struct run *r = arg;
    return r->kills_done == r->plan.kills_count;
}

static int settle(struct run *r)
{
    int code = cluster_wait(&r->cluster, kills_done, r);
    if (code == EXIT_PASS) code = cluster_wait_orders(&r->cluster);
    uint64_t expected = history(r);
    for (uint32_t i = 0; i < r->plan.nodes; i++) expected += r->cluster.members[i].acks;
    if (code == EXIT_PASS) code = cluster_settle(&r->cluster, expected);
    return took(r, code);
}

/* The machine is measured a second time: others may use it more or less than before. */
static int stop(struct run *r)
{
    struct rate after;
    int code = cluster_stop(&r->cluster);
    if (code == EXIT_PASS && rate_measure(r->options->seed, payload_mean(r), RATE_SECONDS, &after))
        rate_merge(&r->rate, &after);
    return took(r, code);
}

static int verify(struct run *r)
{
    struct judge_case jc = {.dir = r->dir,
                            .nodes = r->plan.nodes,
                            .memory_store = r->options->store == STORE_MEMORY,
                            .tree = r->cluster.tree,
                            .dag = r->dag.count == 0 ? NULL : &r->dag,
                            .seed = r->options->seed,
                            .sabotage = r->options->sabotage,
                            .threads = r->rate.cores};
    char why[1000];
    int code = judge_run(&jc, &r->judged, why, sizeof why);
    if (code != EXIT_PASS) return fail(r, code, why);
    r->verified = true;
    if (!judge_clean(&r->judged, why, sizeof why)) return fail(r, EXIT_BROKEN, why);
    for (uint32_t i = 0; i < r->plan.nodes; i++) {
        weft_node_stats stats = cluster_stats(&r->cluster.members[i]);
        if (stats.duplicates > 0)
            return fail(r, EXIT_BROKEN, "a peer sent entries although it had been told of them");
        if (stats.redundant > 0 && plan_is_tree(&r->plan))
            return fail(r, EXIT_BROKEN, "copies crossed where there is only one way");
        if (stats.refused > 0) return fail(r, EXIT_BROKEN, "a node refused entries of its peers");
    }
    return EXIT_PASS;
}

/* A run that did not do what was asked must not pass. */
static int meaningful(struct run *r)
{
    const struct options *o = r->options;
    if (r->judged.entries < 2)
        return fail(r, EXIT_HARNESS, "nothing was stored, so nothing was tested");
    if (o->live_seconds > 0 && r->judged.acked_live == 0)
        return fail(r, EXIT_HARNESS, "no live commit was made, so nothing was tested");
    if (o->live_seconds > 0 && r->cluster.push[1].count == 0)
        return fail(r, EXIT_HARNESS, "no live commit was seen by a neighbour in time");
    if (r->kills_done != o->kills) return fail(r, EXIT_HARNESS, "not all kills took place");
    return EXIT_PASS;
}

double run_sync_rate(const struct run *r)
{
    return r->seconds[PHASE_SYNC] > 0 ? (double)r->received_in_sync / r->seconds[PHASE_SYNC] : 0;
}

double run_sync_cpu_us(const struct run *r)
{
    return r->received_in_sync > 0 ? (double)r->cpu_in_sync_ns / 1e3 / (double)r->received_in_sync
                                   : 0;
}

void run_all(struct run *r)
{
    static int (*const phases[PHASE_COUNT])(struct run *) = {prepare, import, sync_all, live,
                                                             settle,  stop,   verify};
    r->begun_ns = kit_now_ns();
    for (int i = 0; i < PHASE_COUNT && r->code == EXIT_PASS; i++) {
        enter(r, (enum phase)i);
        phases[i](r);
    }
    enter(r, r->phase);
    progress_end(r);
    if (r->code == EXIT_PASS) meaningful(r);
}
