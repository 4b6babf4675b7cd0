/* SPDX-License-Identifier: Apache-2.0
 * store_mixed.c - mixed: reads beside commits, in the mixes A to F of YCSB, of records that are
 * not equally popular. Called by: actor_run.c. May touch: its node, by the rooms of store_load.h.
 * Never: takes bytes for a record without checking that they are a version of it. */
#include <stdlib.h>

#include "store_load.h"
#include "zipf.h"

#define RECORDS 1000u /* there before the measurement begins */
#define SCAN_MAX 100u

enum op { READ, UPDATE, INSERT, SCAN, MODIFY, OPS };
static const struct mix {
    uint8_t percent[OPS];
    bool latest; /* the newest records are the popular ones */
} mixes[OPTIONS_MIXES] = {{{50, 50, 0, 0, 0}, false}, {{95, 5, 0, 0, 0}, false},
                          {{100, 0, 0, 0, 0}, false}, {{95, 0, 5, 0, 0}, true},
                          {{0, 0, 5, 95, 0}, false},  {{50, 0, 0, 0, 50}, false}};

struct record { /* an entry cannot change: an update commits another version */
    weft_id id;
    uint64_t key;
};
struct mixed {
    struct store_load load; /* first */
    const struct mix *mix;
    pthread_rwlock_t lock; /* of the records */
    struct record *records;
    size_t count, room;
    uint64_t keys;   /* atomic: the next one */
    uint64_t loaded; /* atomic: of the first RECORDS, those that are durable */
};
struct chooser { /* a producer's */
    struct zipf zipf;
    uint64_t done[OPS];
    struct hist reads, commits; /* delays from the actual begin */
};

/* -- Which record ----------------------------------------------------------------------------- */

static size_t choose(struct mixed *m, struct producer *p, struct record *out)
{
    struct chooser *c = p->own;
    pthread_rwlock_rdlock(&m->lock);
    uint64_t n = m->count, rank = zipf_next(&c->zipf, &p->rng, n);
    struct kit_rng scatter = kit_rng_for(m->load.w->seed, 'z', rank);
    size_t at = m->mix->latest ? n - 1 - rank : kit_rng_next(&scatter) % n;
    *out = m->records[at];
    pthread_rwlock_unlock(&m->lock);
    return at;
}

/* -- Operations ------------------------------------------------------------------------------------ */

static bool read_one(struct mixed *m, struct producer *p)
{
    struct record record;
    weft_buf *bytes;
    weft_entry entry;
    choose(m, p, &record);
    if (!store_read(&m->load, &record.id, record.key, &bytes, &entry)) return false;
    weft_buf_unref(bytes);
    return true;
}

static bool update(struct mixed *m, struct producer *p, bool reads)
{
    struct record record;
    weft_buf *bytes;
    weft_entry entry;
    size_t at = choose(m, p, &record);
    if (reads) {
        if (!store_read(&m->load, &record.id, record.key, &bytes, &entry)) return false;
        weft_buf_unref(bytes);
    }
    if (!store_commit(p, record.key, &record.id)) return false;
    pthread_rwlock_wrlock(&m->lock);
    m->records[at].id = record.id;
    pthread_rwlock_unlock(&m->lock);
    return true;
}

static bool insert(struct mixed *m, struct producer *p)
{
    struct record record = {.key = __atomic_fetch_add(&m->keys, 1, __ATOMIC_RELAXED)};
    if (!store_commit(p, record.key, &record.id)) return false;
    pthread_rwlock_wrlock(&m->lock);
    m->records = kit_grow(m->records, &m->room, m->count + 1, sizeof *m->records);
    m->records[m->count++] = record;
    pthread_rwlock_unlock(&m->lock);
    return true;
}

/* An entry and those before it, first parent by first parent: a history is what a store of
 * entries has instead of a range of keys. */
static bool scan(struct mixed *m, struct producer *p)
{
    struct record record;
    weft_buf *bytes;
    weft_entry entry;
    choose(m, p, &record);
    weft_id id = record.id;
    uint64_t left = 1 + kit_rng_below(&p->rng, SCAN_MAX), key = record.key;
    for (bool more = true; more && left > 0; left--) {
        if (!store_read(&m->load, &id, key, &bytes, &entry)) return false;
        more = !entry.is_root;
        if (more) weft_entry_parent(&entry, 0, &id);
        weft_buf_unref(bytes);
        key = UINT64_MAX;
    }
    return true;
}

static bool operate(struct producer *p)
{
    struct mixed *m = (struct mixed *)p->load;
    struct chooser *c = p->own;
    uint64_t drawn = kit_rng_below(&p->rng, 100), begun = kit_now_ns();
    enum op op = READ;
    while (drawn >= m->mix->percent[op]) drawn -= m->mix->percent[op++];
    bool good = op == READ     ? read_one(m, p)
                : op == UPDATE ? update(m, p, false)
                : op == INSERT ? insert(m, p)
                : op == SCAN   ? scan(m, p)
                               : update(m, p, true);
    c->done[op]++;
    if (work_measuring(m->load.w))
        hist_add(op == READ || op == SCAN ? &c->reads : &c->commits, kit_now_ns() - begun);
    return good;
}

/* -- Before and after --------------------------------------------------------------------------------- */

struct first { /* one of the first records */
    struct mixed *m;
    uint64_t number;
};

static void on_first(void *arg, weft_err err, const weft_id *id)
{
    const struct first *f = arg;
    struct mixed *m = f->m;
    if (err != WEFT_OK) {
        store_failed(m->load.w, "committing the first records", err);
    } else {
        m->records[f->number] = (struct record){*id, f->number};
        store_acked(&m->load, f->number, id);
    }
    __atomic_fetch_add(&m->loaded, 1, __ATOMIC_RELEASE);
}

static bool wait_loaded(struct mixed *m, uint64_t begun)
{
    uint64_t until = kit_now_ns() + STORE_TIMEOUT_NS;
    while (__atomic_load_n(&m->loaded, __ATOMIC_ACQUIRE) < begun && kit_now_ns() < until)
        kit_sleep_until(kit_now_ns() + WEFT_MS);
    return __atomic_load_n(&m->loaded, __ATOMIC_ACQUIRE) == begun;
}

/* Many at a time: one after the other each would wait for the disk. */
static bool load_first(struct mixed *m)
{
    struct store_load *s = &m->load;
    struct work *w = s->w;
    struct first *firsts = kit_alloc(RECORDS, sizeof *firsts);
    uint8_t *payload = kit_alloc(w->shape.payload, 1);
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    uint64_t begun = 0;
    weft_err err = node_keypair(w->seed, NODE_KEY_AUTHOR, 0, &author);
    if (err == WEFT_OK) err = weft_writer_open(s->node, &s->tree, author, &writer);
    while (err == WEFT_OK && begun < RECORDS && kit_signal() == 0) {
        firsts[begun] = (struct first){m, store_announce(s)};
        store_fill(s, firsts[begun].number, firsts[begun].number, payload);
        do {
            err = weft_commit_async(writer, NODE_LIVE_STORE, payload, w->shape.payload, on_first,
                                    &firsts[begun], NULL);
            if (err == WEFT_FULL) kit_sleep_until(kit_now_ns() + WEFT_MS);
        } while (err == WEFT_FULL);
        if (err == WEFT_OK) begun++;
    }
    bool good = wait_loaded(m, begun);
    if (err != WEFT_OK) store_failed(w, "committing the first records", err);
    else if (!good) work_fail(w, EXIT_UNREACHABLE, "the first records did not become durable");
    m->count = m->keys = begun;
    if (good) free(firsts); /* else their calls may still come */
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    free(payload);
    return err == WEFT_OK && good && begun == RECORDS;
}

static void start_mixed(struct work *w)
{
    struct mixed *m = w->own = kit_alloc(1, sizeof *m);
    m->mix = &mixes[w->options->mix - 'a'];
    m->load.step = operate;
    m->load.own_bytes = sizeof(struct chooser);
    m->load.filled = true;
    pthread_rwlock_init(&m->lock, NULL);
    m->records = kit_grow(NULL, &m->room, RECORDS, sizeof *m->records);
    if (store_prepare(w, &m->load) && store_open(&m->load) && load_first(m)) store_start(&m->load);
}

static void judge_mixed(struct work *w)
{
    static const char *const names[OPS] = {"reads", "updates", "inserts", "scans",
                                           "read-modify-writes"};
    struct mixed *m = w->own;
    struct chooser *sum = kit_alloc(1, sizeof *sum);
    store_join(&m->load);
    for (uint32_t i = 0; i < w->shape.producers && m->load.producers != NULL; i++) {
        const struct chooser *c = m->load.producers[i].own;
        if (c == NULL) continue;
        for (int op = 0; op < OPS; op++) sum->done[op] += c->done[op];
        hist_merge(&sum->reads, &c->reads);
        hist_merge(&sum->commits, &c->commits);
    }
    for (int op = 0; op < OPS; op++)
        if (m->mix->percent[op] > 0) work_note(w, names[op], sum->done[op]);
    if (sum->reads.count > 0) work_note(w, "read p99 ns", hist_percentile(&sum->reads, 0.99));
    if (sum->commits.count > 0) work_note(w, "commit p99 ns", hist_percentile(&sum->commits, 0.99));
    free(sum);
    store_note_batches(&m->load);
    store_judge(&m->load);
}

static void end_mixed(struct work *w)
{
    struct mixed *m = w->own;
    pthread_rwlock_destroy(&m->lock);
    free(m->records);
    store_end(w);
}

const struct load load_mixed = {
    .name = "mixed",
    .unit = "operations",
    .about = "reads beside commits, mixes A to F of YCSB (--mix), zipfian over 1,000 records",
    .stores = true,
    .shape = {.producers = 4, .payload = 512},
    .start = start_mixed,
    .pending = store_pending,
    .judge = judge_mixed,
    .end = end_mixed};
