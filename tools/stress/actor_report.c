/* SPDX-License-Identifier: Apache-2.0
 * actor_report.c - what workloads of actors did: a live line, a table, JSON, histograms.
 * Called by: actor_run.c. May touch: the streams and files it is given.
 * Never: prints a number that was not measured in this run. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <weft/node.h>

#include "actor.h"
#include "proc.h"
#include "rate.h"

#define LINES_NS (5 * WEFT_SEC)

static const struct {
    const char *name;
    double share;
} marks[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
#define MARKS (sizeof marks / sizeof *marks)

/* 1234 as "1.2us". */
static const char *duration(uint64_t ns, char out[16])
{
    if (ns < 1000) snprintf(out, 16, "%uns", (unsigned)ns);
    else if (ns < 1000000) snprintf(out, 16, "%.1fus", (double)ns / 1e3);
    else if (ns < 1000000000) snprintf(out, 16, "%.1fms", (double)ns / 1e6);
    else snprintf(out, 16, "%.1fs", (double)ns / 1e9);
    return out;
}

static const char *verdict(int code)
{
    return code == EXIT_PASS ? "pass" : code == EXIT_BROKEN ? "fail" : "error";
}

static double per_second(const struct work *w)
{
    return w->seconds > 0 ? (double)w->ops / w->seconds : 0;
}

void load_live(const struct work *w, double at_seconds, const struct sample *s, bool last)
{
    static uint64_t shown_ns;
    if (w->options->quiet || w->options->no_progress) return;
    bool terminal = isatty(STDERR_FILENO) == 1;
    uint64_t now = kit_now_ns();
    if (!terminal && !last && now - shown_ns < LINES_NS) return;
    shown_ns = now;
    char rate[32], depth[32], most[32], p50[16], p99[16], max[16];
    fprintf(stderr,
            "%s%6.1f s  %-8s %12s %s/s  p50 %s p99 %s max %s | under way %s max %s | rss %lu MB%s",
            terminal ? "\r\033[K" : "", at_seconds, w->load->name,
            kit_commas((uint64_t)s->ops_per_second, rate), w->load->unit, duration(s->p50_ns, p50),
            duration(s->p99_ns, p99), duration(s->max_ns, max), kit_commas(s->pending, depth),
            kit_commas(w->pending_max, most), s->rss_kb / 1024, terminal ? "" : "\n");
    if (terminal && last) fputs("\r\033[K", stderr);
    fflush(stderr);
}

/* -- Table ------------------------------------------------------------------------------------- */

void load_table_head(const struct options *o, FILE *to)
{
    static const char *const places[PLACE_COUNT] = {
        "each on a thread of its own", "all on the thread of a parent", "in a worker group"};
    bool stores = (o->loads & OPTIONS_LOADS_STORE) != 0;
    fprintf(to, "weft-stress %s  seed %llu", weft_version(), (unsigned long long)o->seed);
    if ((o->loads & OPTIONS_LOADS_ACTORS) != 0) fprintf(to, "  actors %s", places[o->place]);
    if (stores) fprintf(to, "  store %s", options_store_name(o));
    fprintf(to, ", %u s each\n", o->duration_seconds);
    fprintf(to, "  %-9s %-6s %14s %8s %8s %8s %8s %8s %8s  %s\n", "workload", "loop", "per second",
            "p50", "p90", "p99", "p99.9", "p99.99", "max", "verdict");
    fflush(to);
}

void load_table_row(const struct work *w, FILE *to)
{
    char n[32], d[16];
    fprintf(to, "  %-9s %-6s %14s", w->load->name, w->options->rate_given ? "open" : "closed",
            kit_commas((uint64_t)per_second(w), n));
    for (size_t i = 0; i < MARKS; i++)
        fprintf(to, " %8s",
                w->latency.count == 0 ? "-"
                                      : duration(hist_percentile(&w->latency, marks[i].share), d));
    fprintf(to, " %8s  %s", w->latency.count == 0 ? "-" : duration(w->latency.max, d),
            verdict(w->code));
    if (w->code != EXIT_PASS) fprintf(to, ": %s", w->why);
    fprintf(to, "  (%s", w->load->unit);
    if (w->service.count > 0)
        fprintf(to, "; from the actual send p99 %s",
                duration(hist_percentile(&w->service, 0.99), d));
    if (w->refused > 0) fprintf(to, "; %s refused", kit_commas(w->refused, n));
    for (uint32_t i = 0; i < w->notes_count; i++)
        fprintf(to, "; %s %s", w->notes[i].name, kit_commas(w->notes[i].value, n));
    fprintf(to, ")\n");
    fflush(to);
}

/* Of the workloads of actors, of those of stores, or of both. */
static struct check_result sum_up(const struct work *works, uint32_t count, bool actors,
                                  bool stores)
{
    struct check_result sum = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct check_result *c = &works[i].checked;
        if (!(works[i].load->stores ? stores : actors)) continue;
        sum.sent += c->sent;
        sum.received += c->received;
        sum.dead += c->dead;
        sum.lost += c->lost;
        sum.duplicated += c->duplicated;
        sum.reordered += c->reordered;
        sum.corrupt += c->corrupt;
    }
    return sum;
}

void load_table_end(const struct work *works, uint32_t count, int code, FILE *to)
{
    uint32_t asked = count == 0 ? 0 : works[0].options->loads;
    struct check_result c = sum_up(works, count, true, false),
                        s = sum_up(works, count, false, true);
    char a[32], b[32], d[32];
    fputc('\n', to);
    if ((asked & OPTIONS_LOADS_ACTORS) != 0)
        fprintf(
            to,
            "  verified: sent %s  received %s  dead letters %s  lost %llu  duplicated %llu  out of "
            "order %llu  corrupt %llu\n",
            kit_commas(c.sent, a), kit_commas(c.received, b), kit_commas(c.dead, d),
            (unsigned long long)c.lost, (unsigned long long)c.duplicated,
            (unsigned long long)c.reordered, (unsigned long long)c.corrupt);
    if ((asked & OPTIONS_LOADS_STORE) != 0)
        fprintf(to,
                "  verified: acknowledged %s  there after closing %s  lost %llu  corrupt %llu\n",
                kit_commas(s.sent, a), kit_commas(s.received, b), (unsigned long long)s.lost,
                (unsigned long long)s.corrupt);
    const char *first = NULL, *why = "";
    for (uint32_t i = 0; i < count && first == NULL; i++)
        if (works[i].code != EXIT_PASS) {
            first = works[i].load->name;
            why = works[i].why;
        }
    if (code == EXIT_PASS) fprintf(to, "\nPASS\n");
    else if (first == NULL) fprintf(to, "\nERROR\n");
    else fprintf(to, "\n%s: %s: %s\n", code == EXIT_BROKEN ? "FAIL" : "ERROR", first, why);
    fflush(to);
}

/* -- JSON ---------------------------------------------------------------------------------------- */

static json_t *count_of(uint64_t value) { return json_integer((json_int_t)value); }

static json_t *json_latency(const struct hist *h)
{
    if (h->count == 0) return json_null();
    json_t *out = json_pack("{s:I, s:f, s:f}", "count", (json_int_t)h->count, "min",
                            (double)h->min / 1e3, "mean", (double)h->sum / (double)h->count / 1e3);
    for (size_t i = 0; i < MARKS; i++)
        json_object_set_new(out, marks[i].name,
                            json_real((double)hist_percentile(h, marks[i].share) / 1e3));
    json_object_set_new(out, "max", json_real((double)h->max / 1e3));
    json_t *slots = json_array(); /* [upper bound in ns, samples] of those that are not empty */
    for (size_t i = 0; i < HIST_SLOTS; i++)
        if (h->slots[i] > 0)
            json_array_append_new(
                slots, json_pack("[I, I]", (json_int_t)hist_slot_top(i), (json_int_t)h->slots[i]));
    json_object_set_new(out, "histogram_ns", slots);
    return out;
}

static json_t *json_samples(const struct work *w)
{
    json_t *out = json_array();
    for (size_t i = 0; i < w->samples_count; i++) {
        const struct sample *s = &w->samples[i];
        json_array_append_new(
            out, json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "at_seconds", s->at_seconds,
                           "ops_per_second", s->ops_per_second, "p50_us", (double)s->p50_ns / 1e3,
                           "p99_us", (double)s->p99_ns / 1e3, "max_us", (double)s->max_ns / 1e3,
                           "under_way", (json_int_t)s->pending, "rss_kb", (json_int_t)s->rss_kb));
    }
    return out;
}

static json_t *json_check(const struct check_result *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)c->sent, "received",
                     (json_int_t)c->received, "dead_letters", (json_int_t)c->dead, "lost",
                     (json_int_t)c->lost, "duplicated", (json_int_t)c->duplicated, "out_of_order",
                     (json_int_t)c->reordered, "corrupt", (json_int_t)c->corrupt);
}

/* What only actors have goes, what only stores have comes. */
static void json_of_store(const struct work *w, json_t *out)
{
    static const char *const others[] = {"place", "actors", "mailbox", "overflow"};
    const char mix[2] = {w->options->mix, '\0'};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) json_object_del(out, others[i]);
    json_object_set_new(out, "store", json_string(options_store_name(w->options)));
    if (w->load == &load_mixed) json_object_set_new(out, "mix", json_string(mix));
    if (w->load->stores)
        json_object_set_new(out, "durability", json_string(options_durability_name(w->options)));
}

static json_t *json_work(const struct work *w)
{
    const struct options *o = w->options;
    json_t *notes = json_object(),
           *out = json_pack(
               "{s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:s, s:I, s:f, s:f, s:I}", "workload",
               w->load->name, "unit", w->load->unit, "loop", o->rate_given ? "open" : "closed",
               "place", options_place_names[o->place], "actors", (int)w->shape.actors, "producers",
               (int)w->shape.producers, "payload", (json_int_t)w->shape.payload, "mailbox",
               (json_int_t)w->shape.mailbox, "overflow", options_overflow_names[o->overflow], "ops",
               (json_int_t)w->ops, "seconds", w->seconds, "ops_per_second", per_second(w),
               "refused", (json_int_t)w->refused);
    if (w->load->stores) json_of_store(w, out);
    json_object_set_new(out, "latency_us", json_latency(&w->latency));
    if (o->rate_given) json_object_set_new(out, "service_us", json_latency(&w->service));
    json_object_set_new(out, "samples", json_samples(w));
    json_object_set_new(out, "verification", json_check(&w->checked));
    for (uint32_t i = 0; i < w->notes_count; i++)
        json_object_set_new(notes, w->notes[i].name, count_of(w->notes[i].value));
    json_object_set_new(out, "notes", notes);
    json_object_set_new(out, "faults", count_of(w->faults));
    json_object_set_new(out, "verdict", json_string(verdict(w->code)));
    json_object_set_new(out, "reason", json_string(w->why));
    return out;
}

int load_json(const struct options *o, const struct work *works, uint32_t count, int code,
              const char *path)
{
    struct utsname machine;
    struct check_result c = sum_up(works, count, true, true);
    if (uname(&machine) != 0) machine.release[0] = machine.machine[0] = '\0';
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) json_array_append_new(list, json_work(&works[i]));
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:i, s:I, s:o, s:o}", "schema", "weft.stress/1",
        "version", weft_version(), "verdict", verdict(code), "exit_code", code, "seed",
        (json_int_t)o->seed, "compiler", __VERSION__, "kernel", machine.release, "machine",
        machine.machine, "cores", (int)rate_cores(), "peak_rss_kb", (json_int_t)proc_peak_rss_kb(),
        "verification", json_check(&c), "workloads", list);
    FILE *to = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    int result = -1;
    if (to != NULL && out != NULL)
        result = json_dumpf(out, to, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    if (to != NULL) fputc('\n', to);
    if (to == stdout) {
        if (fflush(to) != 0) result = -1;
    } else if (to != NULL && fclose(to) != 0) {
        result = -1;
    }
    json_decref(out);
    return result;
}

/* The percentile file that HdrHistogram's plotter reads; microseconds. */
int load_hgrm(const struct work *w, const char *prefix)
{
    char path[4096];
    const struct hist *h = &w->latency;
    snprintf(path, sizeof path, "%s-%s.hgrm", prefix, w->load->name);
    FILE *to = fopen(path, "we");
    if (to == NULL) return -1;
    fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_SLOTS; i++) {
        if (h->slots[i] == 0) continue;
        seen += h->slots[i];
        uint64_t top = hist_slot_top(i) < h->max ? hist_slot_top(i) : h->max;
        double share = (double)seen / (double)h->count;
        if (seen < h->count)
            fprintf(to, "%12.3f %14.12f %10llu %14.2f\n", (double)top / 1e3, share,
                    (unsigned long long)seen, 1 / (1 - share));
        else
            fprintf(to, "%12.3f %14.12f %10llu\n", (double)top / 1e3, share,
                    (unsigned long long)seen);
    }
    fprintf(to, "#[Mean    = %12.3f, Count = %12llu]\n#[Max     = %12.3f]\n",
            h->count == 0 ? 0 : (double)h->sum / (double)h->count / 1e3,
            (unsigned long long)h->count, (double)h->max / 1e3);
    return fclose(to) == 0 ? 0 : -1;
}
