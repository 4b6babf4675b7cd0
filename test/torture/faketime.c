/* SPDX-License-Identifier: Apache-2.0
 * faketime.c - two nodes whose clocks run a hundred times too fast: they agree all the same, and
 * nothing is lost.
 * Called by: main.c. May touch: faketime, which does it to a process of ours.
 * Never: the machine's own clock. */
#include <stdio.h>
#include <unistd.h>

#include "torture.h"

#define FASTER 100u

/* `monotonic`: not only the wall clock. */
static bool one_race(tt_pair *p, bool monotonic, uint32_t *acked, char *why)
{
    static const char *const both[] = {"faketime", "-f", "+0 x100", NULL};
    static const char *const wall[] = {"faketime", "--exclude-monotonic", "-f", "+0 x100", NULL};
    tt_pair_said said = {0};
    uint64_t began = tt_now();
    tt_dir_make(p->dir);
    tt_pair_start(p, monotonic ? both : wall, "live");
    if (write(p->go, "g", 1) != 1) tt_die("the pair");
    if (!tt_pair_end(p, &said, why)) return false;
    uint64_t took = tt_now() - began;
    *acked += said.acked;
    /* It began to count some time after us, on a slow machine much later. */
    if (said.wall_ns < took) snprintf(why, 200, "its wall clock did not run");
    else if ((said.mono_ns > took) != monotonic)
        snprintf(why, 200, "its monotonic clock %s", monotonic ? "did not run" : "ran");
    else return tt_pair_look(p, why);
    return false;
}

void tt_faketime(tt_torture *t, const tt_work *work, tt_line *line)
{
    const char *probe[] = {"faketime", "-f", "+0 x100", "true", NULL};
    char why[200] = "";
    uint32_t done = 0, acked = 0;
    tt_pair p;
    bool good = true;
    if (!tt_has_program("faketime") || tt_run(t, probe) != 0) {
        tt_skip(line, "there is no faketime");
        return;
    }
    tt_pair_init(&p, t, "faketime", work->extra);
    while (good && tt_go_on(t, done, work->rounds, work->least)) {
        good = one_race(&p, done % 2 == 1, &acked, why);
        done += good;
    }
    if (!good)
        tt_bad(line, "after %u rounds, %s: %s", done,
               done % 2 == 1 ? "all clocks running" : "the wall clock running", why);
    else
        tt_ok(line,
              "%u pairs whose wall clocks run %u times too fast, %u of them with all clocks, %u "
              "commits "
              "acknowledged, 0 lost",
              done, FASTER, done / 2, acked);
}
