/* SPDX-License-Identifier: Apache-2.0
 * main.c - weft-stress: reads the command line, runs, reports, cleans up.
 * Called by: people, CI, itself (--node: one node as a process of its own).
 * May touch: standard streams, the JSON file. Never: leaves a child behind. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "actor.h"
#include "node.h"
#include "proc.h"
#include "run.h"

static void speak(struct run *r)
{
    const struct options *o = r->options;
    bool json_out = o->json != NULL && strcmp(o->json, "-") == 0, told = false;
    if (!o->quiet && r->cluster.members != NULL) {
        report_table(r, json_out ? stderr : stdout);
        fflush(stdout);
        told = json_out;
    }
    if (r->code != EXIT_PASS && !told) kit_say("%s", r->why); /* where people look for errors */
    if (o->json == NULL || r->code == EXIT_USAGE) return;
    if (report_json(r, o->json) != 0) {
        kit_say("%s: %s", o->json, strerror(errno));
        if (r->code == EXIT_PASS) r->code = EXIT_HARNESS;
    }
}

/* The nodes' bytes are the evidence of a failure; a pass or an interruption leaves none. */
static void clean(struct run *r)
{
    bool keep = r->code != EXIT_PASS && r->code != EXIT_INT && r->code != EXIT_TERM &&
                r->cluster.members != NULL;
    bool threads = cluster_abandon(&r->cluster);
    if (r->dir != NULL && keep) kit_say("the stores, logs and the ledger are kept in %s", r->dir);
    else if (r->dir != NULL) proc_dir_remove(r->dir);
    int code = r->code;
    free(r->dir);
    free(r->fired);
    dag_free(&r->dag);
    plan_free(&r->plan);
    free(r);
    fflush(NULL);
    if (threads) _exit(code); /* nodes in memory still run on threads of this process */
}

/* Asked before the run: its result would be lost after it. */
static bool json_can_be_written(const char *path)
{
    if (path == NULL || strcmp(path, "-") == 0) return true;
    bool there = access(path, F_OK) == 0;
    FILE *file = fopen(path, "a");
    if (file == NULL) {
        kit_say("%s: %s", path, strerror(errno));
        return false;
    }
    fclose(file);
    if (!there) unlink(path); /* a usage error, found later, leaves no file */
    return true;
}

static void list(void)
{
    for (int i = 0; i < OPTIONS_LOADS; i++) {
        const struct load_shape *s = &loads[i]->shape;
        if (loads[i]->stores) {
            printf("%-9s %s\n%-9s %s a second; producers %u, payload %llu\n", loads[i]->name,
                   loads[i]->about, "", loads[i]->unit, s->producers,
                   (unsigned long long)s->payload);
            continue;
        }
        printf("%-9s %s\n%-9s %s a second; actors %u, producers %u, payload %llu, mailbox %u\n",
               loads[i]->name, loads[i]->about, "", loads[i]->unit, s->actors, s->producers,
               (unsigned long long)s->payload, s->mailbox == 0 ? WEFT_MAILBOX_DEFAULT : s->mailbox);
    }
}

int main(int argc, char *argv[])
{
    kit_program = "weft-stress";
    bool orphan;
    if (proc_is_node(argc, argv, &orphan)) return orphan ? EXIT_HARNESS : node_run(3, NULL);
    struct options options;
    char why[300];
    if (!options_read(argc, argv, &options, why, sizeof why)) {
        kit_say("%s", why);
        return EXIT_USAGE;
    }
    if (options.help) {
        fputs(options_help, stdout);
        return EXIT_PASS;
    }
    if (options.version) {
        printf("weft-stress %s\n", weft_version());
        return EXIT_PASS;
    }
    if (options.list) {
        list();
        return EXIT_PASS;
    }
    if (!json_can_be_written(options.json)) return EXIT_HARNESS;
    kit_signals_catch();
    if (!options.seed_given && getrandom(&options.seed, sizeof options.seed, 0) > 0)
        options.seed &= INT64_MAX; /* JSON integers are signed */
    if (options.loads != 0) return loads_run(&options);
    struct run *r = kit_alloc(1, sizeof *r);
    r->options = &options;
    r->dir = proc_dir_make(options.dir, "weft-stress");
    if (r->dir == NULL) {
        r->code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_HARNESS;
        snprintf(r->why, sizeof r->why, "no working directory in %s: %s",
                 options.dir != NULL ? options.dir : "$TMPDIR", strerror(errno));
    } else {
        run_all(r);
    }
    speak(r);
    int code = r->code;
    clean(r);
    return code;
}
