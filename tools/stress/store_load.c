/* SPDX-License-Identifier: Apache-2.0
 * store_load.c - threads that load the store of one node, and the ledger of what they were told.
 * Called by: store_put.c, store_mixed.c, store_recover.c. May touch: weft's public interface, its
 * working directory. Never: commits before the ledger has the intent. */
#include "store_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/store.h>

#include "cluster.h"
#include "evidence.h"
#include "proc.h"

#define SOON_SECONDS 30u      /* on a disk that is busy with others, too */
#define NAP_NS (20 * WEFT_MS) /* at most, before a producer looks whether it is to stop */

void store_failed(struct work *w, const char *what, weft_err err)
{
    work_fail(w, cluster_exit_code(err), "%s: %s (%s)%s", what, weft_strerror(err),
              weft_errname(err), node_log_first());
}

bool store_prepare(struct work *w, struct store_load *s)
{
    s->w = w;
    pthread_mutex_init(&s->lock, NULL);
    if (w->shape.payload < STORE_PAYLOAD_MIN) w->shape.payload = STORE_PAYLOAD_MIN;
    s->fill = kit_alloc(w->shape.payload, 1);
    s->dir = proc_dir_make(w->options->dir, "weft-stress");
    if (s->dir == NULL) {
        work_fail(w, errno == ENOENT ? EXIT_NOT_FOUND : EXIT_HARNESS,
                  "no working directory in %s: %s",
                  w->options->dir != NULL ? w->options->dir : "$TMPDIR", strerror(errno));
        return false;
    }
    s->store_dir = evidence_store_path(s->dir, 0);
    return true;
}

static bool create_tree(struct store_load *s)
{
    weft_keypair *author = NULL;
    weft_root_spec spec = {
        .height = WEFT_HEIGHT_INCREMENTAL, .everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    struct kit_rng rng = kit_rng_for(s->w->seed, 'e', 0);
    kit_rng_fill(&rng, spec.entropy, sizeof spec.entropy);
    weft_err err = node_keypair(s->w->seed, NODE_KEY_ROOT, 0, &author);
    if (err == WEFT_OK) err = weft_tree_create(s->node, author, &spec, STORE_TIMEOUT_NS, &s->tree);
    weft_keypair_destroy(author);
    if (err != WEFT_OK) store_failed(s->w, "creating the tree", err);
    return err == WEFT_OK;
}

bool store_open(struct store_load *s)
{
    struct work *w = s->w;
    bool memory = w->options->store == STORE_MEMORY;
    char *path = cluster_ledger_path(s->dir);
    bool good = ledger_open(&s->ledger, path) == 0 && mkdir(s->store_dir, 0700) == 0;
    if (!good) work_fail(w, EXIT_HARNESS, "%s: %s", s->dir, strerror(errno));
    free(path);
    weft_node_options options = {
        .dir = memory ? NULL : s->store_dir, .name = kit_program, .engine = w->options->engine};
    weft_err err = good ? weft_node_open(&options, &s->node) : WEFT_OK;
    if (err != WEFT_OK) store_failed(w, "opening the node", err);
    return good && err == WEFT_OK && create_tree(s);
}

/* -- Commits ---------------------------------------------------------------------------------- */

uint64_t store_announce(struct store_load *s)
{
    struct control_op op = {.origin = CONTROL_LIVE_COMMIT, .count = 1};
    pthread_mutex_lock(&s->lock);
    op.first = s->next++;
    ledger_intent(&s->ledger, 0, &op);
    pthread_mutex_unlock(&s->lock);
    return op.first;
}

void store_acked(struct store_load *s, uint64_t number, const weft_id *id)
{
    struct control_op op = {.origin = CONTROL_LIVE_COMMIT, .count = 1, .first = number};
    pthread_mutex_lock(&s->lock);
    ledger_ack(&s->ledger, 0, &op, id);
    pthread_mutex_unlock(&s->lock);
}

void store_fill(const struct store_load *s, uint64_t number, uint64_t key, uint8_t *payload)
{
    struct store_stamp stamp = {.live = {LIVE_MAGIC, 0, number, 0}, .key = key};
    struct kit_rng rng = kit_rng_for(s->w->seed, 'f', number);
    memcpy(payload, &stamp, sizeof stamp);
    kit_rng_fill(&rng, payload + sizeof stamp, s->w->shape.payload - sizeof stamp);
}

bool store_commit(struct producer *p, uint64_t key, weft_id *out)
{
    struct store_load *s = p->load;
    uint64_t number = store_announce(s);
    store_fill(s, number, key == UINT64_MAX ? number : key, p->payload);
    weft_err err = weft_commit(p->writer, NODE_LIVE_STORE, p->payload, s->w->shape.payload,
                               STORE_TIMEOUT_NS, out);
    if (err == WEFT_OK) store_acked(s, number, out);
    else store_failed(s->w, "committing", err);
    return err == WEFT_OK;
}

bool store_read(struct store_load *s, const weft_id *id, uint64_t key, weft_buf **bytes,
                weft_entry *entry)
{
    struct store_stamp stamp;
    weft_err err = weft_get(s->node, id, bytes);
    /* What is only in memory can be read once it is written, which is soon. */
    bool soon = s->w->options->durability == WEFT_MEMORY && !s->may_lose;
    for (uint64_t end = kit_now_ns() + WEFT_SEC * SOON_SECONDS;
         soon && err == WEFT_NOT_FOUND && kit_now_ns() < end; err = weft_get(s->node, id, bytes))
        kit_sleep_until(kit_now_ns() + WEFT_MS);
    if (err == WEFT_NOT_FOUND) work_fault(s->w, "an acknowledged entry is missing");
    else if (err != WEFT_OK) store_failed(s->w, "reading an entry", err);
    if (err != WEFT_OK) return false;
    bool right = weft_entry_decode(weft_buf_bytes(*bytes), weft_buf_len(*bytes), entry) ==
                     WEFT_OK &&
                 weft_id_equal(&entry->id, id);
    if (right && !entry->is_root && s->filled) {
        const weft_entry_store *part = &entry->stores[0];
        right = live_stamp_read(entry, &stamp.live) && part->payload_len >= sizeof stamp;
        if (right) memcpy(&stamp, part->payload, sizeof stamp);
        right = right && (key == UINT64_MAX || stamp.key == key);
    }
    if (right) return true;
    weft_buf_unref(*bytes);
    work_fault(s->w, "an entry that was read is not the one that was committed");
    return false;
}

/* -- Threads ------------------------------------------------------------------------------------- */

static void operate(struct producer *p)
{
    struct store_load *s = p->load;
    struct work *w = s->w;
    const struct options *o = w->options;
    uint64_t period = o->rate_given ? WEFT_SEC * w->shape.producers / o->rate : 0;
    uint64_t due = kit_now_ns() + p->me * (period / w->shape.producers);
    while (!work_stopping(w)) {
        uint64_t now = kit_now_ns();
        if (o->rate_given && now < due) {
            kit_sleep_until(due - now > NAP_NS ? now + NAP_NS : due);
            continue;
        }
        __atomic_fetch_add(&s->under_way, 1, __ATOMIC_RELAXED);
        bool good = s->step(p);
        __atomic_fetch_sub(&s->under_way, 1, __ATOMIC_RELAXED);
        if (!good) return;
        work_done(w, p->meter, o->rate_given ? due : now, now);
        due += period;
    }
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    struct store_load *s = p->load;
    weft_keypair *author = NULL;
    weft_err err = node_keypair(s->w->seed, NODE_KEY_LIVE, p->me, &author);
    if (err == WEFT_OK) err = weft_writer_open(s->node, &s->tree, author, &p->writer);
    if (err == WEFT_OK) err = weft_writer_durability(p->writer, s->w->options->durability);
    if (err != WEFT_OK) store_failed(s->w, "opening a writer", err);
    else operate(p);
    weft_writer_close(p->writer);
    weft_keypair_destroy(author);
    work_producing(s->w, -1);
    return NULL;
}

void store_start(struct store_load *s)
{
    struct work *w = s->w;
    s->producers = kit_alloc(w->shape.producers, sizeof *s->producers);
    for (uint32_t i = 0; i < w->shape.producers; i++) {
        struct producer *p = &s->producers[i];
        *p = (struct producer){.load = s,
                               .meter = &w->meters[i],
                               .me = i,
                               .rng = kit_rng_for(w->seed, 'm', i),
                               .payload = kit_alloc(w->shape.payload, 1),
                               .own = s->own_bytes > 0 ? kit_alloc(1, s->own_bytes) : NULL};
        work_producing(w, 1);
        if (pthread_create(&p->thread, NULL, produce, p) != 0) {
            work_producing(w, -1);
            work_fail(w, EXIT_HARNESS, "a thread cannot be started");
            free(p->payload);
            return;
        }
        s->started++;
    }
}

void store_join(struct store_load *s)
{
    for (uint32_t i = 0; i < s->started; i++) {
        pthread_join(s->producers[i].thread, NULL);
        free(s->producers[i].payload);
    }
    s->started = 0;
}

uint64_t store_pending(const struct work *w)
{
    const struct store_load *s = w->own;
    return s == NULL ? 0 : __atomic_load_n(&s->under_way, __ATOMIC_RELAXED);
}

void store_note_batches(struct store_load *s)
{
    weft_store_stats stats;
    if (s->node == NULL || weft_store_stats_get(s->node, &stats) != WEFT_OK) return;
    work_note(s->w, "batches", stats.batches);
    work_note(s->w, "sync_ns_mean", stats.sync_ns_mean);
    work_note(s->w, "store_memory_bytes", stats.memory_bytes);
    work_note(s->w, "store_disk_bytes", stats.disk_bytes);
}

void store_end(struct work *w)
{
    struct store_load *s = w->own;
    if (s == NULL) return;
    bool keep = w->code != EXIT_PASS && w->code != EXIT_INT && w->code != EXIT_TERM;
    store_join(s);
    weft_node_close(s->node);
    ledger_close(&s->ledger);
    if (s->dir != NULL && keep) kit_say("the store and the ledger are kept in %s", s->dir);
    else if (s->dir != NULL) proc_dir_remove(s->dir);
    pthread_mutex_destroy(&s->lock);
    for (uint32_t i = 0; s->producers != NULL && i < w->shape.producers; i++)
        free(s->producers[i].own);
    free(s->producers);
    free(s->fill);
    free(s->store_dir);
    free(s->dir);
    free(s);
    w->own = NULL;
}
