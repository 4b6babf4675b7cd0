/* SPDX-License-Identifier: Apache-2.0
 * store_ingest.c - how fast the store actor takes entries, and what it costs.
 * Called by: a person: bench-store-ingest [--engine memory|rocksdb] [--entries N]
 * [--dir PATH] [--shape NAME] [--unsynced] [--commits] [--check]. May touch: one directory that it creates.
 * Never: signs or verifies inside the measured time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weft/entry.h>

#include "block.h"
#include "crypto.h"
#include "store_actor.h"
#include "store_history.h"

#define FRAMES_UNDER_WAY 16u
#define COMMITS_UNDER_WAY 256u

struct options {
    const char *engine, *dir, *shape;
    uint32_t entries;
    unsigned rounds;
    bool synced, commits, check;
};

/* -- The actor that feeds the store ----------------------------------------------------- */

struct feeder {
    const struct history *history;
    const struct options *options;
    weft_addr *store;
    uint32_t next, done, frame_no;
    weft_err err;
};

static void feed_frame(weft_self *self, struct feeder *f)
{
    const struct history *h = f->history;
    uint32_t count = 0;
    size_t bytes = 0;
    while (f->next + count < h->count && bytes < WEFT_FRAME_PAYLOAD_BYTES)
        bytes += weft_buf_len(h->bufs[f->next + count++]);
    if (count == 0) return;
    struct wf_ingest *frame = wf_ingest_create(count);
    if (frame == NULL) must(WEFT_NO_MEMORY, "frame");
    must(weft_buf_create(bytes, &frame->frame), "frame");
    frame->results_to = weft_addr_get(weft_self_addr(self));
    frame->conn = 1;
    frame->stream = 1;
    frame->n = ++f->frame_no;
    frame->tree = h->ids[0];
    memset(frame->source.peer.bytes, 9, sizeof frame->source.peer.bytes);
    uint8_t *at = weft_buf_data(frame->frame);
    for (uint32_t i = 0; i < count; i++, f->next++) {
        size_t len = weft_buf_len(h->bufs[f->next]);
        memcpy(at, weft_buf_bytes(h->bufs[f->next]), len);
        frame->entries[i].bytes = at;
        frame->entries[i].len = (uint32_t)len;
        frame->entries[i].id = h->ids[f->next];
        at += len;
    }
    must(weft_send(f->store, &frame->msg), "send");
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static void feed_commit(weft_self *self, struct feeder *f)
{
    if (f->next == f->history->count) return;
    struct wf_commit *commit = wf_commit_create(1);
    if (commit == NULL) must(WEFT_NO_MEMORY, "commit");
    commit->entries[0] = weft_buf_ref(f->history->bufs[f->next]);
    commit->ids[0] = f->history->ids[f->next++];
    must(weft_ask(self, f->store, &commit->req, WEFT_NEVER, on_reply, NULL, NULL), "ask");
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct feeder *f = *(struct feeder **)state;
    (void)arg;
    must(err, "commit");
    weft_drop(&req->msg);
    if (++f->done == f->history->count) weft_stop(weft_self_addr(self), WEFT_NOW);
    feed_commit(self, f);
}

static weft_verdict feeder_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct feeder *f = *(struct feeder **)state;
    if (msg->kind != &wf_ingest_kind) { /* go */
        unsigned many = f->options->commits ? COMMITS_UNDER_WAY : FRAMES_UNDER_WAY;
        for (unsigned i = 0; i < many; i++)
            f->options->commits ? feed_commit(self, f) : feed_frame(self, f);
        return WEFT_DONE;
    }
    const struct wf_ingest *frame = (const struct wf_ingest *)msg;
    must(frame->err, "frame");
    f->done += frame->stored + frame->known;
    if (f->done == f->history->count) return WEFT_STOP;
    feed_frame(self, f);
    return WEFT_DONE;
}

static weft_err feeder_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct feeder **)state = arg;
    return WEFT_OK;
}

/* -- Measuring ------------------------------------------------------------------------------- */

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0, resident = 0;
    if (file != NULL && fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    if (file != NULL) fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static wf_kv *open_engine(const struct options *o)
{
    wf_kv *kv;
    if (strcmp(o->engine, "memory") == 0) {
        must(wf_kv_memory_open(&kv), "memory engine");
        return kv;
    }
    wf_kv_rocksdb_options options = {.create = true};
    must(wf_kv_rocksdb_open(o->dir, &options, &kv), o->dir);
    return kv;
}

static void follow(weft_rt *rt, weft_addr *store, const weft_id *tree)
{
    struct wf_follow *msg = wf_follow_create(tree, NULL, 0);
    weft_request *back = NULL;
    must(weft_call(store, &msg->req, weft_rt_after(rt, 10 * WEFT_SEC), &back, NULL), "follow");
    weft_drop(&back->msg);
}

static const weft_kind go_kind = {
    .id = 1, .name = "bench.go", .size = sizeof(weft_msg), .drop = weft_free_msg};

static void measure(const struct options *o, const struct history *h)
{
    weft_rt *rt;
    wf_store *store;
    struct feeder feeder = {.history = h, .options = o};
    double resident = resident_mib();
    must(weft_rt_create(&rt), "runtime");
    must(wf_store_open(open_engine(o), rt, &store), "store");
    struct wf_store_actor_options options = {.store = store, .sync = o->synced};
    must(wf_store_actor_spawn(rt, &options, &feeder.store), "store actor");
    follow(rt, feeder.store, &h->ids[0]);
    weft_spec spec = {.name = "feeder",
                      .arg = &feeder,
                      .state_size = sizeof(struct feeder *),
                      .init = feeder_init,
                      .handle = feeder_handle};
    weft_addr *addr;
    must(weft_spawn(rt, &spec, &addr), "feeder");
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    must(weft_send(addr, weft_new(&go_kind)), "go");
    must(weft_join(addr, WEFT_NEVER, NULL), "join");
    wall = seconds(CLOCK_MONOTONIC) - wall;
    double cpu_ingest = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    struct wf_store_counters counters;
    wf_store_counters_read(store, &counters);
    double checked = 0;
    if (o->check) {
        wf_check_report report;
        checked = seconds(CLOCK_MONOTONIC);
        must(wf_store_check(store, false, &report), "check");
        checked = seconds(CLOCK_MONOTONIC) - checked;
        if (report.entries != h->count || report.bad_indexes + report.bad_tips != 0) exit(1);
    }
    double grown = resident_mib() - resident, engine = (double)wf_kv_memory(wf_store_kv(store));
    weft_addr_put(addr);
    weft_addr_put(feeder.store);
    must(weft_rt_stop(rt, weft_rt_after(rt, 60 * WEFT_SEC)), "stop");
    wf_store_close(store);
    double cpu_all = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    must(weft_rt_destroy(rt), "runtime");
    printf("%-9s %-8s %-8s %-8s entries=%u entries_per_s=%.0f cpu_us_per_entry=%.1f "
           "with_close=%.1f batches=%llu rss_grown_mib=%.0f engine_mib=%.0f check_s=%.1f\n",
           o->shape, o->engine, o->synced ? "synced" : "unsynced",
           o->commits ? "commits" : "frames", h->count, h->count / wall,
           cpu_ingest / h->count * 1e6, cpu_all / h->count * 1e6,
           (unsigned long long)counters.batches, grown, engine / (1 << 20), checked);
}

int main(int argc, char **argv)
{
    struct options o = {.engine = "memory",
                        .dir = "bench-store.dir",
                        .shape = "wide",
                        .entries = 20000,
                        .rounds = 1,
                        .synced = true};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--engine") == 0 && more) o.engine = argv[++i];
        else if (strcmp(argv[i], "--dir") == 0 && more) o.dir = argv[++i];
        else if (strcmp(argv[i], "--rounds") == 0 && more) o.rounds = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--shape") == 0 && more) o.shape = argv[++i];
        else if (strcmp(argv[i], "--entries") == 0 && more)
            o.entries = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--unsynced") == 0) o.synced = false;
        else if (strcmp(argv[i], "--commits") == 0) o.commits = true;
        else if (strcmp(argv[i], "--check") == 0) o.check = true;
        else {
            fprintf(stderr,
                    "usage: %s [--engine memory|rocksdb] [--dir PATH] [--entries N] "
                    "[--shape chain|wide|scattered|star] [--rounds N] [--unsynced] [--commits] "
                    "[--check]\n",
                    argv[0]);
            return 2;
        }
    }
    if (o.entries < 1 || o.entries > 10000000) return 2;
    must(wf_crypto_init(), "crypto");
    struct history h;
    if (!history_build_shape(&h, o.entries, o.shape)) {
        fprintf(stderr, "%s: no such shape\n", o.shape);
        return 2;
    }
    for (unsigned i = 0; i < o.rounds; i++) {
        char dir[300];
        struct options round = o;
        snprintf(dir, sizeof dir, o.rounds > 1 ? "%s-%u" : "%s", o.dir, i);
        round.dir = dir;
        measure(&round, &h);
    }
    history_free(&h);
    return 0;
}
