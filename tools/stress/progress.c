/* SPDX-License-Identifier: Apache-2.0
 * progress.c - says while a run goes on how far it is: one line that is rewritten on a
 * terminal, one line every five seconds elsewhere.
 * Called by: run.c. May touch: standard error. Never: standard output. */
#include <stdio.h>
#include <unistd.h>

#include "run.h"

#define FIRST_NS (1 * WEFT_SEC)
#define TERMINAL_NS (100 * WEFT_MS)
#define LINES_NS (5 * WEFT_SEC)

void progress_show(struct run *r)
{
    if (r->options->quiet || r->options->no_progress) return;
    uint64_t now = kit_now_ns();
    bool terminal = isatty(STDERR_FILENO) == 1;
    uint64_t since = r->shown_ns == 0 ? r->begun_ns : r->shown_ns;
    uint64_t wait = !terminal ? LINES_NS : r->shown_ns == 0 ? FIRST_NS : TERMINAL_NS;
    if (now - since < wait) return;
    r->shown_ns = now;

    uint64_t held = 0, goal = (r->dag.count + UINT64_C(1)) * r->plan.nodes;
    for (uint32_t i = 0; i < r->cluster.count; i++) held += r->cluster.members[i].now.entries;
    char a[32], b[32], kills[48] = "", push[48] = "";
    if (r->plan.kills_count > 0)
        snprintf(kills, sizeof kills, "  kills %u of %u", r->kills_done, r->plan.kills_count);
    if (r->cluster.push[1].count > 0)
        snprintf(push, sizeof push, "  push p50 %.1f p99 %.1f ms",
                 hist_ms(&r->cluster.push[1], 0.5), hist_ms(&r->cluster.push[1], 0.99));
    fprintf(stderr, "%s%6.1f s  %-7s %s of %s entries on %u nodes%s%s%s",
            terminal ? "\r\033[K" : "", kit_seconds(r->begun_ns, now), run_phase_names[r->phase],
            kit_commas(held, a), held > goal ? kit_commas(held, b) : kit_commas(goal, b),
            r->plan.nodes, kills, push, terminal ? "" : "\n");
    fflush(stderr);
}

void progress_end(struct run *r)
{
    if (r->shown_ns != 0 && isatty(STDERR_FILENO) == 1) fputs("\r\033[K", stderr);
    r->shown_ns = 0;
}
