/* SPDX-License-Identifier: Apache-2.0
 * report.c - what a run found out, as a table for people and as JSON for programs.
 * Called by: main.c. May touch: the stream or file it is given.
 * Never: prints a number that was not measured in this run. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

static const struct {
    const char *name;
    double share;
} marks[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

struct sums {
    uint64_t duplicates, redundant, refused, wire_out, round_trips, rss_kb;
};

static struct sums sum_up(const struct run *r)
{
    struct sums s = {0};
    for (uint32_t i = 0; i < r->cluster.count; i++) {
        const struct member *m = &r->cluster.members[i];
        weft_node_stats stats = cluster_stats(m);
        s.duplicates += stats.duplicates;
        s.redundant += stats.redundant;
        s.refused += stats.refused;
        s.wire_out += stats.wire_out;
        s.round_trips += stats.round_trips;
        if (m->rss_peak_kb > s.rss_kb) s.rss_kb = m->rss_peak_kb;
    }
    return s;
}

static const char *verdict(const struct run *r)
{
    return r->code == EXIT_PASS ? "pass" : r->code == EXIT_BROKEN ? "fail" : "error";
}

/* -- Table --------------------------------------------------------------------------------------- */

static void delays(FILE *to, const char *name, const struct hist *h)
{
    if (h->count == 0) return;
    char n[32];
    fprintf(to, "  %-16s %10s", name, kit_commas(h->count, n));
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        fprintf(to, " %9.2f", hist_ms(h, marks[i].share));
    fprintf(to, " %9.2f\n", (double)h->max / 1e6);
}

static void table_nodes(const struct run *r, FILE *to)
{
    fprintf(to, "\n  node    entries   received       sent   dup  redund     wire out  peak RSS  "
                "restarts  address\n");
    for (uint32_t i = 0; i < r->cluster.count; i++) {
        const struct member *m = &r->cluster.members[i];
        weft_node_stats stats = cluster_stats(m);
        char a[32], b[32], c[32];
        uint64_t entries = r->verified ? r->judged.node[i].entries : m->now.entries;
        fprintf(to, "  %4u %10s %10s %10s %5llu %7llu %9.1f MB %6.1f MB %9u  %s\n", i,
                kit_commas(entries, a), kit_commas(stats.entries_received, b),
                kit_commas(stats.entries_sent, c), (unsigned long long)stats.duplicates,
                (unsigned long long)stats.redundant, (double)stats.wire_out / 1e6,
                (double)m->rss_peak_kb * 1024 / 1e6, m->restarts, m->address);
    }
    if (r->cluster.mem) fprintf(to, "  (all nodes are in one process: the peak is that of all)\n");
}

static void table_delays(const struct run *r, FILE *to)
{
    if (r->cluster.commit.count == 0) return;
    fprintf(to,
            "\n  delay in ms           count       p50       p90       p99     p99.9       max\n");
    delays(to, "commit, durable", &r->cluster.commit);
    struct hist all = {0};
    for (uint32_t hops = 1; hops <= r->plan.hops_max; hops++) {
        char name[32];
        snprintf(name, sizeof name, "push, %u hop%s", hops, hops == 1 ? "" : "s");
        delays(to, name, &r->cluster.push[hops]);
        hist_merge(&all, &r->cluster.push[hops]);
    }
    if (r->plan.hops_max > 1) delays(to, "push, all", &all);
    fprintf(to, "  (from the beginning of a commit until another node holds it durably)\n");
}

static void table_verdict(const struct run *r, FILE *to)
{
    const struct judge_result *j = &r->judged;
    struct sums s = sum_up(r);
    char a[32], b[32];
    if (r->verified) {
        fprintf(to,
                "\n  verified from the bytes on disk: %s entries expected on each of %u nodes, %s "
                "live commits acknowledged\n",
                kit_commas(j->entries, a), r->plan.nodes, kit_commas(j->acked_live, b));
        fprintf(to,
                "  lost %llu  duplicates %llu  redundant %llu  bad bytes %llu  bad ids %llu  bad "
                "signatures %llu\n",
                (unsigned long long)j->lost, (unsigned long long)s.duplicates,
                (unsigned long long)s.redundant, (unsigned long long)j->bad_bytes,
                (unsigned long long)j->bad_ids, (unsigned long long)j->bad_signatures);
        fprintf(to,
                "  missing parents %llu  unexpected %llu  bad tips %llu  bad indexes %llu  tips "
                "equal: %s\n",
                (unsigned long long)j->missing_parents, (unsigned long long)j->unexpected,
                (unsigned long long)j->bad_tips, (unsigned long long)j->bad_indexes,
                j->tips_equal ? "yes" : "no");
    }
    if (r->plan.kills_count > 0)
        fprintf(to, "  kills %u of %u, each followed by a restart on the same port and store\n",
                r->kills_done, r->plan.kills_count);
    fprintf(to, "\n%s%s%s\n",
            r->code == EXIT_PASS     ? "PASS"
            : r->code == EXIT_BROKEN ? "FAIL"
                                     : "ERROR",
            r->code == EXIT_PASS ? "" : ": ", r->code == EXIT_PASS ? "" : r->why);
}

void report_table(const struct run *r, FILE *to)
{
    const struct options *o = r->options;
    char a[32], b[32], c[32];
    fprintf(to, "weft-stress %s  seed %llu  %u nodes  %s  %s  %s\n", weft_version(),
            (unsigned long long)o->seed, o->nodes, plan_topology_names[o->topology],
            options_transport_names[o->transport], options_store_name(o));
    if (r->dag.count > 0)
        fprintf(to, "  history     %s: %s entries, %s authors, %.1f MB of payload\n",
                o->dag != NULL ? o->dag : o->git, kit_commas(r->dag.count, a),
                kit_commas(r->dag.authors, b), (double)r->dag.payload_bytes / 1e6);
    fprintf(to, "  seconds    ");
    for (int i = 0; i < PHASE_COUNT; i++)
        fprintf(to, " %s %.2f", run_phase_names[i], r->seconds[i]);
    fprintf(to, "\n");
    if (r->received_in_sync > 0 && r->dag.count > 0) {
        fprintf(
            to,
            "  sync        %s entries received and verified per second, all nodes together: %.2f "
            "of the\n              %s raw signature checks per second that %u cores can do (%s of "
            "whole entries)\n",
            kit_commas((uint64_t)run_sync_rate(r), a),
            r->rate.raw_per_second > 0 ? run_sync_rate(r) / r->rate.raw_per_second : 0,
            kit_commas((uint64_t)r->rate.raw_per_second, b), r->rate.cores,
            kit_commas((uint64_t)r->rate.entries_per_second, c));
        fprintf(
            to,
            "              %.1f us of a core for each, sending and receiving; a raw check alone "
            "takes %.1f us\n",
            run_sync_cpu_us(r), r->rate.raw_cpu_us);
    }
    if (r->cluster.commit.count > 0)
        fprintf(to,
                "  live        %s commits, %.0f a second; asked for %.0f a second, begun up to "
                "%.1f ms late\n",
                kit_commas(r->cluster.commit.count, a),
                r->seconds[PHASE_LIVE] > 0
                    ? (double)r->cluster.commit.count / r->seconds[PHASE_LIVE]
                    : 0,
                (double)o->rate * o->nodes, (double)r->cluster.late_max_ns / 1e6);
    if (r->cluster.count > 0) table_nodes(r, to);
    table_delays(r, to);
    table_verdict(r, to);
}

/* -- JSON ------------------------------------------------------------------------------------------ */

static json_t *json_count(uint64_t value) { return json_integer((json_int_t)value); }

static json_t *json_delays(const struct hist *h)
{
    json_t *out = json_object();
    json_object_set_new(out, "count", json_count(h->count));
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        json_object_set_new(out, marks[i].name,
                            h->count == 0 ? json_null() : json_real(hist_ms(h, marks[i].share)));
    json_object_set_new(out, "max", h->count == 0 ? json_null() : json_real((double)h->max / 1e6));
    return out;
}

static json_t *json_latency(const struct run *r)
{
    json_t *out = json_object(), *hops = json_array();
    struct hist all = {0};
    for (uint32_t i = 1; i <= r->plan.hops_max; i++) {
        json_t *one = json_delays(&r->cluster.push[i]);
        json_object_set_new(one, "hops", json_count(i));
        json_array_append_new(hops, one);
        hist_merge(&all, &r->cluster.push[i]);
    }
    json_object_set_new(out, "push", json_delays(&all));
    json_object_set_new(out, "push_by_hops", hops);
    json_object_set_new(out, "commit", json_delays(&r->cluster.commit));
    json_object_set_new(out, "commit_late_max", json_real((double)r->cluster.late_max_ns / 1e6));
    return out;
}

static json_t *json_nodes(const struct run *r)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < r->cluster.count; i++) {
        const struct member *m = &r->cluster.members[i];
        weft_node_stats s = cluster_stats(m);
        char key[WEFT_KEY_TEXT_BYTES];
        weft_key_text(&m->key, key);
        json_t *node = json_pack(
            "{s:i, s:s, s:s, s:I, s:I, s:I, s:i, s:I}", "node", (int)i, "key", key, "address",
            m->address, "entries",
            (json_int_t)(r->verified ? r->judged.node[i].entries : m->now.entries), "lost",
            (json_int_t)r->judged.node[i].lost, "acknowledged", (json_int_t)m->acks, "restarts",
            (int)m->restarts, "peak_rss_kb", (json_int_t)m->rss_peak_kb);
        const struct {
            const char *name;
            uint64_t value;
        } counters[] = {{"entries_stored", s.entries_stored},
                        {"entries_received", s.entries_received},
                        {"entries_sent", s.entries_sent},
                        {"duplicates", s.duplicates},
                        {"redundant", s.redundant},
                        {"refused", s.refused},
                        {"verified", s.verified},
                        {"wire_in", s.wire_in},
                        {"wire_out", s.wire_out},
                        {"round_trips", s.round_trips},
                        {"sessions_ok", s.sessions_ok},
                        {"sessions_failed", s.sessions_failed},
                        {"sessions_exact", s.sessions_exact},
                        {"batches", s.batches},
                        {"synced", s.synced},
                        {"events_coalesced", m->past.coalesced + m->now.coalesced}};
        for (size_t k = 0; k < sizeof counters / sizeof *counters; k++)
            json_object_set_new(node, counters[k].name, json_count(counters[k].value));
        json_array_append_new(out, node);
    }
    return out;
}

static json_t *json_kills(const struct run *r)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < r->plan.kills_count; i++) {
        const struct plan_kill *kill = &r->plan.kills[i];
        const struct fired *fired = &r->fired[i];
        if (!fired->done) continue;
        json_array_append_new(out, json_pack("{s:i, s:s, s:f, s:f, s:f}", "node", (int)kill->victim,
                                             "phase", run_phase_names[fired->phase], "drawn_share",
                                             kill->permille / 1e3, "held_share", fired->held / 1e3,
                                             "at_seconds", fired->at_seconds));
    }
    return out;
}

static json_t *json_verification(const struct run *r)
{
    const struct judge_result *j = &r->judged;
    return json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "done", (int)r->verified,
        "acknowledged_live", (json_int_t)j->acked_live, "unacknowledged", (json_int_t)j->unacked,
        "unexpected", (json_int_t)j->unexpected, "bad_bytes", (json_int_t)j->bad_bytes, "bad_ids",
        (json_int_t)j->bad_ids, "bad_signatures", (json_int_t)j->bad_signatures, "bad_shapes",
        (json_int_t)j->bad_shapes, "missing_parents", (json_int_t)j->missing_parents, "bad_tips",
        (json_int_t)j->bad_tips, "bad_indexes", (json_int_t)j->bad_indexes, "tips_equal",
        (int)(r->verified && j->tips_equal));
}

static json_t *json_options(const struct run *r)
{
    const struct options *o = r->options;
    return json_pack(
        "{s:s?, s:s?, s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:b, s:s}", "dag", o->dag, "git", o->git,
        "nodes", (int)o->nodes, "topology", plan_topology_names[o->topology], "transport",
        options_transport_names[o->transport], "store", options_store_name(o), "live",
        (int)o->live_seconds, "rate", (int)o->rate, "kill9", (int)o->kills, "sabotage_lose",
        (int)(o->sabotage == SPOIL_LOSE), "sabotage", spoil_names[o->sabotage]);
}

static json_t *json_seconds(const struct run *r)
{
    json_t *out = json_object();
    double total = 0;
    for (int i = 0; i < PHASE_COUNT; i++) {
        json_object_set_new(out, run_phase_names[i], json_real(r->seconds[i]));
        total += r->seconds[i];
    }
    json_object_set_new(out, "total", json_real(total));
    return out;
}

int report_json(const struct run *r, const char *path)
{
    struct sums s = sum_up(r);
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "schema", "weft.stress/1",
        "version", weft_version(), "verdict", verdict(r), "exit_code", r->code, "reason", r->why,
        "seed", (json_int_t)r->options->seed, "entries", (json_int_t)r->judged.entries, "lost",
        (json_int_t)r->judged.lost, "duplicates", (json_int_t)s.duplicates, "redundant",
        (json_int_t)s.redundant, "bytes", (json_int_t)r->judged.bytes);
    json_object_set_new(out, "kills", json_count(r->kills_done));
    json_object_set_new(out, "wire_bytes", json_count(s.wire_out));
    json_object_set_new(out, "round_trips", json_count(s.round_trips));
    json_object_set_new(out, "refused", json_count(s.refused));
    json_object_set_new(out, "peak_rss_kb", json_count(s.rss_kb));
    json_object_set_new(out, "seconds", json_seconds(r));
    json_object_set_new(out, "latency_ms", json_latency(r));
    json_object_set_new(
        out, "rate",
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "synced_per_second", run_sync_rate(r),
                  "raw_checks_per_second", r->rate.raw_per_second, "entry_checks_per_second",
                  r->rate.entries_per_second, "ratio",
                  r->rate.raw_per_second > 0 ? run_sync_rate(r) / r->rate.raw_per_second : 0.0,
                  "cpu_us_per_entry", run_sync_cpu_us(r), "cpu_us_per_raw_check",
                  r->rate.raw_cpu_us, "cores", (int)r->rate.cores));
    json_object_set_new(out, "verification", json_verification(r));
    json_object_set_new(out, "options", json_options(r));
    json_object_set_new(out, "kill_list", json_kills(r));
    json_object_set_new(out, "nodes", json_nodes(r));
    FILE *to = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    int result = -1;
    if (to != NULL && out != NULL)
        result = json_dumpf(out, to, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    if (to != NULL) fputc('\n', to);
    if (to == stdout) {
        if (fflush(to) != 0) result = -1;
    } else if (to != NULL && fclose(to) != 0) {
        result = -1;
    }
    json_decref(out);
    return result;
}
