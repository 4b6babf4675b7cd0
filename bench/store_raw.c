/* SPDX-License-Identifier: Apache-2.0
 * store_raw.c - the store beside its own engine without it, in one run.
 * What weft writes is recorded, batch by batch, and then given to the engine directly: the same
 * families, keys, bytes and batch sizes. Rounds alternate, so both meet the same noise.
 *
 *     bench-store-raw [--engine rocksdb|lmdb] [--dir PATH] [--rounds N] [--scale X]
 *
 * Called by: a person. May touch: directories under PATH that it creates and removes.
 * Never: signs or verifies inside the measured time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto.h"
#include "raw_engine.h"
#include "store_history.h"
#include "writer.h"

#define ROUNDS_MAX 21u
#define FRAME_ENTRIES 100u

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* -- Directories ---------------------------------------------------------------------- */

static char base[200];
static unsigned made;
static const struct raw_engine *raw_engine = &raw_rocksdb;

static void fresh_dir(char *out, size_t room, const char *what)
{
    snprintf(out, room, "%s/%s-%u", base, what, made++);
}

static void remove_dir(const char *dir)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) must(WEFT_IO, dir);
}

static wf_kv *open_engine(const char *dir)
{
    wf_kv *kv = NULL;
    wf_kv_disk_options options = {.create = true, .engine = WF_ENGINE_ROCKSDB};
    if (raw_engine == raw_lmdb) options.engine = WF_ENGINE_LMDB;
    must(wf_kv_disk_open(dir, &options, &kv), dir);
    return kv;
}

/* -- Recording ------------------------------------------------------------------------- */

struct record {
    uint32_t count;
    wf_batch **batches;
};

static weft_err copy_op(void *arg, const wf_batch_op *op)
{
    if (op->is_delete) wf_batch_delete(arg, op->cf, op->key, op->key_len);
    else wf_batch_put(arg, op->cf, op->key, op->key_len, op->value, op->value_len);
    return wf_batch_err(arg);
}

static void keep(struct record *r, const wf_batch *batch)
{
    r->batches = realloc(r->batches, (r->count + 1) * sizeof *r->batches);
    must(r->batches == NULL ? WEFT_NO_MEMORY : WEFT_OK, "record");
    must(wf_batch_create(&r->batches[r->count]), "record");
    must(wf_batch_each(batch, copy_op, r->batches[r->count]), "record");
    r->count++;
}

/* What the writer puts into `batches` batches of about equal size. */
static struct record record(weft_rt *rt, const struct history *h, uint32_t batches)
{
    struct record r = {0};
    wf_kv *kv;
    wf_store *store;
    must(wf_kv_memory_open(&kv), "memory engine");
    must(wf_store_open(kv, rt, &store), "store");
    for (uint32_t i = 0, at = 0; i < batches; i++) {
        uint32_t end = (uint32_t)((uint64_t)h->count * (i + 1) / batches);
        for (; at < end; at++) {
            struct wf_add add = {.holder = h->bufs[at],
                                 .bytes = weft_buf_bytes(h->bufs[at]),
                                 .len = (uint32_t)weft_buf_len(h->bufs[at]),
                                 .id = h->ids[at],
                                 .create_tree = true};
            must(wf_writer_add(store, &add), "entry");
        }
        if (!wf_writer_is_open(store)) continue;
        must(wf_writer_flush(store, false), "flush");
        keep(&r, store->batch);
        wf_writer_clear(store);
    }
    wf_store_close(store);
    return r;
}

static void record_free(struct record *r)
{
    for (uint32_t i = 0; i < r->count; i++) wf_batch_destroy(r->batches[i]);
    free(r->batches);
}

static double replay(const struct record *r, const char *like, bool sync)
{
    char dir[256];
    fresh_dir(dir, sizeof dir, "raw");
    struct raw *raw = raw_engine->open(dir, like);
    double begin = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < r->count; i++) raw_engine->write(raw, r->batches[i], sync);
    double took = seconds(CLOCK_MONOTONIC) - begin;
    raw_engine->close(raw);
    remove_dir(dir);
    return took;
}

/* -- The store under load --------------------------------------------------------------- */

struct shop { /* an open store with its actor */
    weft_rt *rt;
    wf_store *store;
    weft_addr *addr;
    char dir[256];
};

static void shop_open(struct shop *s, bool sync)
{
    fresh_dir(s->dir, sizeof s->dir, "weft");
    must(weft_rt_create(&s->rt), "runtime");
    must(wf_store_open(open_engine(s->dir), s->rt, &s->store), "store");
    struct wf_store_actor_options options = {.store = s->store, .sync = sync};
    must(wf_store_actor_spawn(s->rt, &options, &s->addr), "store actor");
}

/* The directory stays: its options are the raw engine's model. */
static void shop_close(struct shop *s)
{
    weft_addr_put(s->addr);
    must(weft_rt_stop(s->rt, weft_rt_after(s->rt, 60 * WEFT_SEC)), "stop");
    wf_store_close(s->store);
    must(weft_rt_destroy(s->rt), "runtime");
}

static void commit(struct shop *s, const struct history *h, uint32_t from, uint32_t count)
{
    struct wf_commit *msg = wf_commit_create(count);
    weft_request *back = NULL;
    must(msg == NULL ? WEFT_NO_MEMORY : WEFT_OK, "commit");
    msg->create_trees = from == 0;
    for (uint32_t i = 0; i < count; i++) {
        msg->entries[i] = weft_buf_ref(h->bufs[from + i]);
        msg->ids[i] = h->ids[from + i];
    }
    must(weft_call(s->addr, &msg->req, WEFT_NEVER, &back, NULL), "commit");
    weft_drop(&back->msg);
}

struct committer {
    struct shop *shop;
    const struct history *history;
    uint32_t first, step;
    pthread_t thread;
};

static void *commit_all(void *arg)
{
    struct committer *c = arg;
    for (uint32_t i = c->first; i < c->history->count; i += c->step)
        commit(c->shop, c->history, i, 1);
    return NULL;
}

/* One root, then `threads` threads, each of which commits the entries of one writer and waits
 * for each to be durable. */
static double commit_by(struct shop *s, const struct history *h, uint32_t threads)
{
    struct committer *all = calloc(threads, sizeof *all);
    must(all == NULL ? WEFT_NO_MEMORY : WEFT_OK, "threads");
    commit(s, h, 0, 1);
    double begin = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < threads; i++) {
        all[i] = (struct committer){s, h, i + 1, threads, 0};
        if (pthread_create(&all[i].thread, NULL, commit_all, &all[i]) != 0)
            must(WEFT_NO_MEMORY, "thread");
    }
    for (uint32_t i = 0; i < threads; i++) pthread_join(all[i].thread, NULL);
    free(all);
    return seconds(CLOCK_MONOTONIC) - begin;
}

static uint64_t batches_of(const struct shop *s)
{
    struct wf_store_counters counters;
    wf_store_counters_read(s->store, &counters);
    return counters.batches;
}

static void durable(uint32_t threads, uint32_t entries, unsigned rounds)
{
    struct history h;
    double ratios[ROUNDS_MAX], rates[ROUNDS_MAX], raws[ROUNDS_MAX], size = 0;
    history_build(&h, entries + 1, threads, false);
    for (unsigned i = 0; i < rounds; i++) {
        struct shop shop;
        shop_open(&shop, true);
        double took = commit_by(&shop, &h, threads);
        uint64_t batches = batches_of(&shop);
        shop_close(&shop);
        weft_rt *rt;
        must(weft_rt_create(&rt), "runtime");
        struct record r = record(rt, &h, (uint32_t)batches);
        must(weft_rt_destroy(rt), "runtime");
        double raw = replay(&r, shop.dir, true);
        record_free(&r);
        remove_dir(shop.dir);
        rates[i] = entries / took;
        raws[i] = entries / raw;
        ratios[i] = raw / took;
        size = (double)entries / (double)batches;
    }
    printf("durable commits, %2u committers: weft_per_s=%.0f raw_per_s=%.0f ratio=%.2f "
           "commits_per_batch=%.1f\n",
           threads, median(rates, rounds), median(raws, rounds), median(ratios, rounds), size);
    fflush(stdout);
    history_free(&h);
}

/* -- Ingest without waiting for the disk ----------------------------------------------------- */

static void ingest(uint32_t entries, unsigned rounds)
{
    struct history h;
    double ratios[ROUNDS_MAX], rates[ROUNDS_MAX], raws[ROUNDS_MAX];
    history_build(&h, entries, 16, true);
    weft_rt *rt;
    must(weft_rt_create(&rt), "runtime");
    struct record r = record(rt, &h, entries / FRAME_ENTRIES);
    must(weft_rt_destroy(rt), "runtime");
    size_t keys = 0;
    for (uint32_t i = 0; i < r.count; i++) keys += wf_batch_count(r.batches[i]);
    for (unsigned i = 0; i < rounds; i++) {
        struct shop shop;
        shop_open(&shop, false);
        double begin = seconds(CLOCK_MONOTONIC);
        for (uint32_t at = 0; at < entries; at += FRAME_ENTRIES)
            commit(&shop, &h, at, entries - at < FRAME_ENTRIES ? entries - at : FRAME_ENTRIES);
        double took = seconds(CLOCK_MONOTONIC) - begin;
        shop_close(&shop);
        double raw = replay(&r, shop.dir, false);
        remove_dir(shop.dir);
        rates[i] = entries / took;
        raws[i] = entries / raw;
        ratios[i] = raw / took;
    }
    printf("unsynced ingest of verified entries: weft_per_s=%.0f raw_per_s=%.0f ratio=%.2f "
           "keys_per_entry=%.1f\n",
           median(rates, rounds), median(raws, rounds), median(ratios, rounds),
           (double)keys / entries);
    fflush(stdout);
    record_free(&r);
    history_free(&h);
}

/* -- Reading one entry by its id ---------------------------------------------------------------- */

static double read_weft(wf_store *store, const struct history *h, const uint32_t *order)
{
    double begin = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < h->count; i++) {
        weft_buf *buf;
        must(wf_store_get(store, &h->ids[order[i]], &buf), "read");
        weft_buf_unref(buf);
    }
    return seconds(CLOCK_MONOTONIC) - begin;
}

/* A program without weft that calls entries by their hashes needs the same two look-ups: the
 * place by the id, the body by the place. */
static double read_raw(struct raw *raw, const struct history *h, const uint32_t *order, bool hashed)
{
    uint8_t key[WF_KEY_SEQ_BYTES], hash[32];
    double begin = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < h->count; i++) {
        raw_engine->read_begin(raw);
        if (raw_engine->get(raw, WF_CF_META, h->ids[order[i]].bytes, WEFT_ID_BYTES, NULL) == 0)
            must(WEFT_NOT_FOUND, "raw read");
        wf_key_seq(key, 1, order[i] + UINT64_C(1));
        if (raw_engine->get(raw, WF_CF_ENTRY, key, sizeof key, hashed ? hash : NULL) == 0)
            must(WEFT_NOT_FOUND, "raw read");
        raw_engine->read_end(raw);
    }
    return seconds(CLOCK_MONOTONIC) - begin;
}

/* Every entry once, in an order by chance. */
static uint32_t *shuffled(uint32_t count)
{
    uint32_t *order = calloc(count, sizeof *order);
    must(order == NULL ? WEFT_NO_MEMORY : WEFT_OK, "order");
    uint64_t chance = 1;
    for (uint32_t i = 0; i < count; i++) {
        chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t at = (uint32_t)((chance >> 33) % (i + 1));
        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

struct reads {
    double ratios[ROUNDS_MAX], hashed[ROUNDS_MAX], rates[ROUNDS_MAX];
};

static void note_reads(struct reads *reads, unsigned round, uint32_t count, double weft, double raw,
                       double raw_hashed)
{
    reads->ratios[round] = raw / weft;
    reads->hashed[round] = raw_hashed / weft;
    reads->rates[round] = count / weft;
}

static void show_reads(const char *what, struct reads *reads, unsigned rounds)
{
    printf("reads of an entry by its id, %s: weft_per_s=%.0f ratio=%.2f ratio_with_hash=%.2f\n",
           what, median(reads->rates, rounds), median(reads->ratios, rounds),
           median(reads->hashed, rounds));
    fflush(stdout);
}

static void reading(uint32_t entries, unsigned rounds)
{
    struct history h;
    struct reads first, later;
    char dir[256];
    history_build(&h, entries, 16, true);
    uint32_t *order = shuffled(entries);
    struct shop shop;
    shop_open(&shop, false);
    for (uint32_t at = 0; at < entries; at += FRAME_ENTRIES)
        commit(&shop, &h, at, entries - at < FRAME_ENTRIES ? entries - at : FRAME_ENTRIES);
    struct record r = record(shop.rt, &h, entries / FRAME_ENTRIES);
    fresh_dir(dir, sizeof dir, "raw");
    struct raw *raw = raw_engine->open(dir, shop.dir);
    for (uint32_t i = 0; i < r.count; i++) raw_engine->write(raw, r.batches[i], false);
    weft_addr_put(shop.addr);
    must(weft_rt_stop(shop.rt, weft_rt_after(shop.rt, 60 * WEFT_SEC)), "stop");
    for (unsigned i = 0; i < rounds; i++) {
        /* A new store on the open engine has not read anything yet. */
        must(wf_store_open(wf_store_detach(shop.store), shop.rt, &shop.store), "store");
        double once = read_weft(shop.store, &h, order);
        double again = read_weft(shop.store, &h, order);
        double plain = read_raw(raw, &h, order, false), hashed = read_raw(raw, &h, order, true);
        note_reads(&first, i, entries, once, plain, hashed);
        note_reads(&later, i, entries, again, plain, hashed);
    }
    show_reads("first after an opening", &first, rounds);
    show_reads("written or read since", &later, rounds);
    record_free(&r);
    raw_engine->close(raw);
    wf_store_close(shop.store);
    must(weft_rt_destroy(shop.rt), "runtime");
    remove_dir(shop.dir);
    remove_dir(dir);
    free(order);
    history_free(&h);
}

/* False: this build has no such engine. */
static bool choose_engine(const char *name)
{
    if (raw_lmdb != NULL && strcmp(name, "lmdb") == 0) raw_engine = raw_lmdb;
    return strcmp(name, raw_engine->name) == 0;
}

int main(int argc, char **argv)
{
    unsigned rounds = 5;
    double scale = 1;
    snprintf(base, sizeof base, "%s", "bench-store-raw.dir");
    for (int i = 1; i < argc; i += 2) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--dir") == 0) snprintf(base, sizeof base, "%s", argv[i + 1]);
        else if (more && strcmp(argv[i], "--rounds") == 0) rounds = (unsigned)atoi(argv[i + 1]);
        else if (more && strcmp(argv[i], "--scale") == 0) scale = atof(argv[i + 1]);
        else if (!more || strcmp(argv[i], "--engine") != 0 || !choose_engine(argv[i + 1]))
            rounds = 0;
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || scale < 0.01 || strchr(base, '\'') != NULL) {
        fprintf(stderr,
                "usage: %s [--engine rocksdb%s] [--dir PATH] [--rounds 1..%u] [--scale X]\n",
                argv[0], raw_lmdb == NULL ? "" : "|lmdb", ROUNDS_MAX);
        return 2;
    }
    if (mkdir(base, 0700) != 0) {
        perror(base); /* only what was made here is removed */
        return 1;
    }
    must(wf_crypto_init(), "crypto");
    printf("engine: %s\n", raw_engine->name);
    durable(1, (uint32_t)(1500 * scale), rounds);
    durable(8, (uint32_t)(8000 * scale), rounds);
    durable(64, (uint32_t)(32000 * scale), rounds);
    ingest((uint32_t)(50000 * scale), rounds);
    reading((uint32_t)(100000 * scale), rounds);
    return rmdir(base) == 0 ? 0 : 1;
}
