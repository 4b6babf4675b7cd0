/* SPDX-License-Identifier: Apache-2.0
 * actor_run.c - runs workloads one after the other and judges them.
 * Called by: main.c. May touch: everything through the other rooms.
 * Never: passes a workload that did nothing, or whose planted fault did not take place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor.h"

#define LOOK_NS (5 * WEFT_MS)
#define SETTLE_NS (2 * WEFT_SEC) /* for what is under way when the senders have stopped */
#define STOP_NS (20 * WEFT_SEC)
#define STORE_SETTLE_NS (90 * WEFT_SEC) /* a commit waits for a disk */

const struct load *const loads[OPTIONS_LOADS] = {
    [LOAD_PINGPONG] = &load_pingpong, [LOAD_FANIN] = &load_fanin,
    [LOAD_FANOUT] = &load_fanout,     [LOAD_MESH] = &load_mesh,
    [LOAD_RING] = &load_ring,         [LOAD_BIG] = &load_big,
    [LOAD_SPAWN] = &load_spawn,       [LOAD_BOUNDED] = &load_bounded,
    [LOAD_TIMER] = &load_timer,       [LOAD_CRASH] = &load_crash,
    [LOAD_PRIORITY] = &load_priority, [LOAD_PUT] = &load_put,
    [LOAD_MIXED] = &load_mixed,       [LOAD_RECOVER] = &load_recover};

static void fail(struct work *w, int code, const char *why)
{
    if (w->code != EXIT_PASS) return;
    w->code = code;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static void on_dead_letter(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    (void)to, (void)why;
    struct work *w = arg;
    if (msg->kind == &w->kind) check_dead(&w->check, (const struct load_msg *)msg);
    weft_drop(msg);
}

/* What was asked for, else the workload's own. */
static struct load_shape shape_of(const struct options *o, const struct load *load)
{
    struct load_shape s = load->shape;
    if (o->shape.actors != 0) s.actors = o->shape.actors;
    if (o->shape.producers != 0) s.producers = o->shape.producers;
    if (o->shape.mailbox != 0) s.mailbox = o->shape.mailbox;
    if (o->payload_given) s.payload = o->shape.payload;
    if (s.mailbox == 0) s.mailbox = WEFT_MAILBOX_DEFAULT;
    if (!load->stores) s.payload = (s.payload + 7) / 8 * 8;
    return s;
}

static void begin(struct work *w, const struct options *o, const struct load *load)
{
    *w = (struct work){.options = o, .load = load, .shape = shape_of(o, load), .seed = o->seed};
    w->kind = (weft_kind){.id = 0x6c00,
                          .name = "stress.load",
                          .size = sizeof(struct load_msg) + w->shape.payload,
                          .drop = weft_free_msg};
    w->sabotage_left = o->broken != SABOTAGE_NONE;
    w->meters_count = w->shape.actors + w->shape.producers + 2; /* mesh and ring may add one */
    w->meters = aligned_alloc(64, w->meters_count * sizeof *w->meters);
    if (w->meters == NULL || weft_rt_create(&w->rt) != WEFT_OK) {
        fail(w, EXIT_HARNESS, "out of memory");
        return;
    }
    memset(w->meters, 0, w->meters_count * sizeof *w->meters);
    weft_rt_on_dead_letter(w->rt, on_dead_letter, w);
    if (!load->stores) work_open(w);
    if (w->faults == 0) load->start(w);
}

/* -- Watching -------------------------------------------------------------------------------- */

static uint64_t ops_now(const struct work *w)
{
    uint64_t ops = 0;
    for (uint32_t i = 0; i < w->meters_count; i++)
        ops += __atomic_load_n(&w->meters[i].ops, __ATOMIC_RELAXED);
    return ops;
}

static unsigned long rss_kb(void)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%lu %lu", &size, &pages) != 2) pages = 0;
    fclose(file);
    return pages * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

static void merge(const struct work *w, struct hist *latency)
{
    *latency = (struct hist){0};
    for (uint32_t i = 0; i < w->meters_count; i++) hist_merge(latency, &w->meters[i].latency);
}

struct watch { /* what the sample before saw */
    struct hist before, now, since;
    uint64_t begun_ns, last_ns, ops;
};

static void look(struct work *w, struct watch *at, bool last)
{
    uint64_t now = kit_now_ns(), ops = ops_now(w);
    uint64_t pending = w->load->pending != NULL ? w->load->pending(w) : check_pending(&w->check);
    merge(w, &at->now);
    hist_since(&at->now, &at->before, &at->since);
    if (pending > w->pending_max) w->pending_max = pending;
    double seconds = kit_seconds(at->last_ns, now);
    w->samples = kit_grow(w->samples, &w->samples_room, w->samples_count + 1, sizeof *w->samples);
    struct sample *s = &w->samples[w->samples_count++];
    *s = (struct sample){.at_seconds = kit_seconds(at->begun_ns, now),
                         .ops_per_second = seconds > 0 ? (double)(ops - at->ops) / seconds : 0,
                         .p50_ns = hist_percentile(&at->since, 0.5),
                         .p99_ns = hist_percentile(&at->since, 0.99),
                         .max_ns = at->since.max,
                         .pending = pending,
                         .rss_kb = rss_kb()};
    load_live(w, s->at_seconds, s, last);
    at->before = at->now;
    at->last_ns = now;
    at->ops = ops;
}

static bool interrupted(struct work *w)
{
    if (kit_signal() != 0) fail(w, kit_signal(), "interrupted");
    return w->code != EXIT_PASS || __atomic_load_n(&w->faults, __ATOMIC_ACQUIRE) != 0;
}

static void wait_until(struct work *w, uint64_t at_ns)
{
    while (!interrupted(w) && kit_now_ns() < at_ns) {
        uint64_t next = kit_now_ns() + LOOK_NS;
        kit_sleep_until(next < at_ns ? next : at_ns);
    }
}

static void watch(struct work *w)
{
    const struct options *o = w->options;
    struct watch *at = kit_alloc(1, sizeof *at);
    wait_until(w, kit_now_ns() + o->warmup_seconds * WEFT_SEC);
    uint64_t ops = ops_now(w);
    at->ops = ops;
    at->begun_ns = at->last_ns = kit_now_ns();
    __atomic_store_n(&w->measuring, 1, __ATOMIC_RELAXED);
    uint64_t end = at->begun_ns + o->duration_seconds * WEFT_SEC;
    for (uint64_t next = at->begun_ns; next < end && !interrupted(w);) {
        next += o->interval_ms * WEFT_MS;
        wait_until(w, next < end ? next : end);
        look(w, at, next >= end);
    }
    __atomic_store_n(&w->measuring, 0, __ATOMIC_RELAXED);
    w->ops = ops_now(w) - ops;
    w->seconds = kit_seconds(at->begun_ns, kit_now_ns());
    free(at);
}

/* -- The end ----------------------------------------------------------------------------------- */

/* Below zero when a token was doubled: that is for the checks to say. */
static bool producing(const struct work *w)
{
    return (int32_t)__atomic_load_n(&w->producing, __ATOMIC_ACQUIRE) > 0;
}

/* Senders first, then what is under way. What still is then is not lost yet: the actors have their
 * stop before them, which lets them handle what is queued. */
static void settle(struct work *w)
{
    __atomic_store_n(&w->stopping, 1, __ATOMIC_RELEASE);
    uint64_t kills_ns = w->options->kills * STORE_LIFE_NS;
    uint64_t until = kit_now_ns() + (w->load->stores ? STORE_SETTLE_NS + kills_ns : SETTLE_NS);
    while (producing(w) && kit_now_ns() < until) kit_sleep_until(kit_now_ns() + WEFT_MS);
    bool stuck = producing(w);
    while (check_pending(&w->check) != 0 && kit_now_ns() < until)
        kit_sleep_until(kit_now_ns() + WEFT_MS);
    weft_err err = weft_rt_stop(w->rt, weft_rt_after(w->rt, STOP_NS));
    if (err != WEFT_OK || (stuck && w->load->stores)) {
        fail(w, EXIT_UNREACHABLE,
             err != WEFT_OK ? "the actors did not stop" : "an operation of the store did not end");
        w->code = EXIT_UNREACHABLE; /* also after a signal: nothing may be freed */
        return;
    }
    if (stuck && check_pending(&w->check) == 0)
        work_fault(w, "a sender did not hear that it should stop");
}

static void judge(struct work *w)
{
    char why[300];
    for (uint32_t i = 0; i < w->meters_count; i++) {
        hist_merge(&w->latency, &w->meters[i].latency);
        hist_merge(&w->service, &w->meters[i].service);
        w->refused += w->meters[i].refused;
    }
    check_total(&w->check, &w->checked);
    if (w->load->judge != NULL) w->load->judge(w);
    if (w->load->stores && w->faults != 0) fail(w, w->fault_code, w->fault);
    if (!check_clean(&w->checked, why, sizeof why)) fail(w, EXIT_BROKEN, why);
    bool drops = w->options->overflow >= OVERFLOW_DROP_NEW;
    if (w->checked.dead != 0 && !w->load->may_die && !drops)
        fail(w, EXIT_BROKEN, "messages to actors that had not been stopped became dead letters");
    if (w->faults != 0) fail(w, w->fault_code, w->fault);
    if (w->ops == 0) fail(w, EXIT_HARNESS, "nothing was done, so nothing was tested");
    if (w->sabotage_left != 0 && w->options->broken != SABOTAGE_REORDER)
        fail(w, EXIT_HARNESS,
             w->load->stores ? "nothing was there to be taken away"
                             : "the message that was to be broken was never sent");
    else if (w->code == EXIT_PASS && w->options->broken != SABOTAGE_NONE)
        fail(w, EXIT_HARNESS,
             w->load->stores ? "an entry was taken away and no check saw it"
                             : "a message was broken and no check saw it");
}

static void end(struct work *w)
{
    if (w->rt == NULL) return;
    if (w->code != EXIT_UNREACHABLE) {
        judge(w);
        if (w->load->end != NULL) w->load->end(w);
        weft_addr_put(w->host);
        weft_rt_destroy(w->rt); /* and the group */
    }
    check_fini(&w->check);
    free(w->meters);
    w->meters = NULL;
    w->meters_count = 0;
}

static void say(const struct options *o, const struct work *works, uint32_t count, int *code)
{
    bool json_out = o->json != NULL && strcmp(o->json, "-") == 0;
    if (!o->quiet) load_table_end(works, count, *code, json_out ? stderr : stdout);
    else if (*code != EXIT_PASS)
        kit_say("%s: %s", works[count - 1].load->name, works[count - 1].why);
    if (o->json != NULL && load_json(o, works, count, *code, o->json) != 0) {
        kit_say("%s: %s", o->json, strerror(errno));
        if (*code == EXIT_PASS) *code = EXIT_HARNESS;
    }
}

int loads_run(const struct options *o)
{
    struct work *works = kit_alloc(OPTIONS_LOADS, sizeof *works);
    uint32_t count = 0;
    int code = EXIT_PASS;
    FILE *table = o->json != NULL && strcmp(o->json, "-") == 0 ? stderr : stdout;
    if (!o->quiet) load_table_head(o, table);
    for (uint32_t i = 0; i < OPTIONS_LOADS && kit_signal() == 0; i++) {
        if ((o->loads >> i & 1u) == 0) continue;
        struct work *w = &works[count++];
        begin(w, o, loads[i]);
        if (w->code == EXIT_PASS) {
            watch(w);
            settle(w);
        }
        end(w);
        if (!o->quiet) load_table_row(w, table);
        if (code == EXIT_PASS) code = w->code;
        if (o->hgrm != NULL && load_hgrm(w, o->hgrm) != 0) {
            kit_say("%s: %s", o->hgrm, strerror(errno));
            if (code == EXIT_PASS) code = EXIT_HARNESS;
        }
        if (w->code == EXIT_UNREACHABLE) break; /* its actors may still run */
    }
    say(o, works, count, &code);
    for (uint32_t i = 0; i < count; i++) free(works[i].samples);
    free(works);
    return code;
}
