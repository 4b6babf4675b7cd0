/* SPDX-License-Identifier: Apache-2.0
 * main.c - weft-demo: what weft does, in ten seconds or a minute, with true numbers.
 * Called by: ./dev demo, people, itself (--node). May touch: standard streams, a
 * temporary directory. Never: writes outside it; leaves a child behind. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "demo.h"
#include "node.h"
#include "proc.h"

#ifndef WEFT_DEMO_DAG
#define WEFT_DEMO_DAG NULL
#endif

static const char help[] =
    "usage: weft-demo [--fast] [--keep] [--dag FILE] [--json FILE|-] [--seed N]\n"
    "Shows three nodes that fetch a real history from each other, commit, survive kill -9 and\n"
    "refuse forgeries. Every line is checked; the exit code is 0 only if all of them are true.\n"
    "\n"
    "  --fast         about ten seconds instead of a minute\n"
    "  --keep         keep the stores\n"
    "  --dag FILE     the history to import\n"
    "  --json FILE|-  write the numbers as JSON, schema weft.demo/1\n"
    "  --seed N       draw the same keys and payloads again\n"
    "  --help, --version\n";

/* EXIT_PASS: go on; -1: done already. */
static int read_options(int argc, char *argv[], struct demo *d)
{
    static const struct option table[] = {
        {"fast", no_argument, NULL, 'f'},       {"keep", no_argument, NULL, 'k'},
        {"dag", required_argument, NULL, 'd'},  {"json", required_argument, NULL, 'j'},
        {"seed", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},    {NULL, 0, NULL, 0},
    };
    char *end;
    for (int opt; (opt = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (opt) {
        case 'f': d->fast = true; break;
        case 'k': d->keep = true; break;
        case 'd': d->dag_path = optarg; break;
        case 'j': d->json = optarg; break;
        case 's':
            errno = 0;
            d->seed = strtoull(optarg, &end, 10);
            if (errno == 0 && *end == '\0' && *optarg >= '0' && *optarg <= '9' &&
                d->seed <= INT64_MAX)
                break;
            kit_say("--seed takes a whole number, not \"%s\"", optarg);
            return EXIT_USAGE;
        case 'h': fputs(help, stdout); return -1;
        case 'v': printf("weft-demo %s\n", weft_version()); return -1;
        default: return EXIT_USAGE; /* getopt has said why */
        }
    }
    if (optind < argc) {
        kit_say("unexpected argument \"%s\"", argv[optind]);
        return EXIT_USAGE;
    }
    if (d->dag_path == NULL) {
        kit_say("no history was built in: give --dag FILE");
        return EXIT_USAGE;
    }
    return EXIT_PASS;
}

static int write_json(const struct demo *d)
{
    json_t *nodes = json_array();
    for (uint32_t i = 0; i < d->cluster.count; i++) {
        const struct member *m = &d->cluster.members[i];
        weft_node_stats s = cluster_stats(m);
        json_array_append_new(
            nodes, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:i}", "address", m->address,
                             "entries", (json_int_t)d->judged.node[i].entries, "received",
                             (json_int_t)s.entries_received, "acknowledged", (json_int_t)m->acks,
                             "wire_out", (json_int_t)s.wire_out, "peak_rss_kb",
                             (json_int_t)m->rss_peak_kb, "restarts", (int)m->restarts));
    }
    json_t *out = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:i, s:i, s:f, s:o}", "schema",
                            "weft.demo/1", "version", weft_version(), "verdict",
                            d->code == EXIT_PASS     ? "pass"
                            : d->code == EXIT_BROKEN ? "fail"
                                                     : "error",
                            "exit_code", d->code, "seed", (json_int_t)d->seed, "entries",
                            (json_int_t)d->judged.entries, "lost", (json_int_t)d->judged.lost,
                            "attacks", (int)d->acts, "refused", (int)d->refused, "seconds",
                            kit_seconds(d->begun_ns, kit_now_ns()), "nodes", nodes);
    bool to_stdout = strcmp(d->json, "-") == 0;
    FILE *to = to_stdout ? stdout : fopen(d->json, "we");
    int result = to == NULL ? -1 : json_dumpf(out, to, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    if (to != NULL) fputc('\n', to);
    if (to != NULL && (to_stdout ? fflush(to) : fclose(to)) != 0) result = -1;
    json_decref(out);
    return result;
}

static int play(struct demo *d)
{
    kit_signals_catch();
    d->out = d->json != NULL && strcmp(d->json, "-") == 0 ? stderr : stdout;
    d->terminal = isatty(fileno(d->out)) == 1 && isatty(STDERR_FILENO) == 1;
    d->begun_ns = kit_now_ns();
    int loaded = dag_load(d->dag_path, &d->dag, d->why, sizeof d->why);
    if (loaded != 0) {
        kit_say("%s", d->why);
        return loaded == -2 ? EXIT_NOT_FOUND : EXIT_USAGE;
    }
    d->dir = proc_dir_make(NULL, "weft-demo");
    if (d->dir == NULL) {
        kit_say("no temporary directory: %s", strerror(errno));
        return EXIT_HARNESS;
    }
    demo_play(d);
    if (d->code == EXIT_PASS)
        fprintf(d->out, "\nOK  %.1f s\n", kit_seconds(d->begun_ns, kit_now_ns()));
    else kit_say("%s", d->why);
    if (d->json != NULL && write_json(d) != 0) {
        kit_say("%s: %s", d->json, strerror(errno));
        if (d->code == EXIT_PASS) d->code = EXIT_HARNESS;
    }
    bool interrupted = d->code == EXIT_INT || d->code == EXIT_TERM;
    cluster_abandon(&d->cluster);
    if (d->keep || (d->code != EXIT_PASS && !interrupted))
        fprintf(stderr, "the stores and logs are kept in %s\n", d->dir);
    else proc_dir_remove(d->dir);
    return d->code;
}

int main(int argc, char *argv[])
{
    kit_program = "weft-demo";
    bool orphan;
    if (proc_is_node(argc, argv, &orphan)) return orphan ? EXIT_HARNESS : node_run(3, NULL);
    struct demo *d = kit_alloc(1, sizeof *d);
    d->dag_path = WEFT_DEMO_DAG;
    if (getrandom(&d->seed, sizeof d->seed, 0) > 0) d->seed &= INT64_MAX;
    int code = read_options(argc, argv, d);
    if (code == EXIT_PASS) code = play(d);
    free(d->dir);
    dag_free(&d->dag);
    plan_free(&d->plan);
    free(d);
    return code < 0 ? EXIT_PASS : code;
}
