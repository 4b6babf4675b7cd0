/* SPDX-License-Identifier: Apache-2.0
 * stats.c - what a store counts: gathered, and as text for Prometheus.
 * Called by: api_store.c, any thread. May touch: counters, the engine's figures, the table of
 * trees under the store's lock for two numbers. Never: the writer's side, an entry. */
#include "stats.h"

#include "prometheus.h"
#include "state.h"

static uint64_t tree_bytes(wf_store *store)
{
    wf_rwlock_read(store->lock);
    uint64_t bytes = store->trees.count * sizeof(struct wf_tree) +
                     store->trees.room * sizeof *store->trees.list +
                     store->trees.index_room * sizeof *store->trees.index +
                     wf_tips_bytes(&store->tips);
    wf_rwlock_give(store->lock);
    return bytes + wf_counter_get(&store->counters.readers) * sizeof(weft_key) +
           wf_counter_get(&store->counters.rights);
}

static void read_engine(wf_store *store, weft_store_stats *out)
{
    wf_kv_stats kv;
    wf_kv_stats_read(store->kv, &kv);
    out->engine = store->kv->ops->name;
    out->iterators = kv.iterators;
    out->snapshots = kv.snapshots;
    out->values = kv.values;
    out->cache_bytes = kv.cache_bytes;
    out->memtable_bytes = kv.memtable_bytes;
    out->disk_bytes = kv.disk_bytes;
}

void wf_store_stats_read(wf_store *store, weft_store_stats *out)
{
    struct wf_store_counters c;
    wf_store_counters_read(store, &c);
    *out = (weft_store_stats){
        .entries = c.entries,
        .commits = c.commits,
        .known = c.known,
        .refused = c.refused,
        .batches = c.batches,
        .synced = c.synced,
        .write_ns = c.write_ns,
        .sync_ns_mean = c.synced == 0 ? 0 : c.sync_ns / c.synced,
        .commits_per_batch = c.synced == 0 ? 0 : (double)c.synced_commits / (double)c.synced,
        .damaged = c.damaged,
        .healed = c.healed,
        .outages = c.outages,
        .mended = c.mended,
        .shelved = c.shelved,
        .unshelved = c.unshelved,
        .pending = c.pending_now,
        .pending_bytes = c.pending_bytes,
        .writer_bytes = wf_counter_get(&store->counters.writer_bytes),
        .reader_bytes = wf_places_bytes(&store->places),
        .tree_bytes = tree_bytes(store),
    };
    read_engine(store, out);
    out->memory_bytes = out->cache_bytes + out->memtable_bytes + out->writer_bytes +
                        out->reader_bytes + out->tree_bytes + out->pending_bytes;
}

/* -- Text ------------------------------------------------------------------------------------ */

static const struct metric {
    const char *name, *type, *help;
    size_t at;
    bool seconds;
} metrics[] = {
#define AT(field) offsetof(weft_store_stats, field)
    {"weft_store_entries_total", "counter", "Entries stored.", AT(entries), false},
    {"weft_store_commits_total", "counter", "Of them committed or added here.", AT(commits), false},
    {"weft_store_known_total", "counter", "Entries that came again.", AT(known), false},
    {"weft_store_refused_total", "counter", "Entries that the door refused.", AT(refused), false},
    {"weft_store_batches_total", "counter", "Writes to the engine.", AT(batches), false},
    {"weft_store_synced_batches_total", "counter", "Of them waited for the disk.", AT(synced),
     false},
    {"weft_store_write_seconds_total", "counter", "Time in all writes.", AT(write_ns), true},
    {"weft_store_sync_seconds_mean", "gauge", "Time of one synced write.", AT(sync_ns_mean), true},
    {"weft_store_damaged", "gauge", "Bodies in quarantine.", AT(damaged), false},
    {"weft_store_healed_total", "counter", "Bodies that were damaged and are written anew.",
     AT(healed), false},
    {"weft_store_outages_total", "counter", "Times that writes were refused for a while.",
     AT(outages), false},
    {"weft_store_mended_total", "counter", "Records of indexes that were put right.", AT(mended),
     false},
    {"weft_store_shelved", "gauge", "Saved entries whose ancestors are lost.", AT(shelved), false},
    {"weft_store_unshelved_total", "counter", "Saved entries that stand again.", AT(unshelved),
     false},
    {"weft_store_pending", "gauge", "Entries that wait for their parents.", AT(pending), false},
    {"weft_store_pending_bytes", "gauge", "Their memory.", AT(pending_bytes), false},
    {"weft_store_iterators", "gauge", "Iterators of the engine that are open.", AT(iterators),
     false},
    {"weft_store_snapshots", "gauge", "Snapshots of the engine that are held.", AT(snapshots),
     false},
    {"weft_store_values", "gauge", "Values of the engine in use.", AT(values), false},
    {"weft_store_cache_bytes", "gauge", "Memory of cached blocks.", AT(cache_bytes), false},
    {"weft_store_memtable_bytes", "gauge", "Memory of what is not in tables yet.",
     AT(memtable_bytes), false},
    {"weft_store_writer_bytes", "gauge", "Memory of the writer.", AT(writer_bytes), false},
    {"weft_store_reader_bytes", "gauge",
     "Memory of where entries lie that were written or read lately.", AT(reader_bytes), false},
    {"weft_store_tree_bytes", "gauge", "Memory of the table of trees.", AT(tree_bytes), false},
    {"weft_store_memory_bytes", "gauge", "All memory that the store accounts for.",
     AT(memory_bytes), false},
    {"weft_store_disk_bytes", "gauge", "Bytes of the store's files.", AT(disk_bytes), false},
#undef AT
};

size_t wf_store_stats_text(const weft_store_stats *stats, char *out, size_t room)
{
    struct wf_metrics text;
    wf_metrics_begin(&text, out, room);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const struct metric *m = &metrics[i];
        uint64_t value;
        memcpy(&value, (const char *)stats + m->at, sizeof value);
        if (m->seconds) wf_metrics_seconds(&text, m->name, m->type, m->help, value);
        else wf_metrics_sum(&text, m->name, m->type, m->help, value);
    }
    return wf_metrics_end(&text);
}
