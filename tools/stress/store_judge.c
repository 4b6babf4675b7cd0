/* SPDX-License-Identifier: Apache-2.0
 * store_judge.c - is everything that a store acknowledged there after it was closed, and nothing
 * else? Called by: the workloads of stores. May touch: the store's directory, the ledger.
 * Never: believes a counter of the node that wrote it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "judge.h"
#include "rate.h"
#include "store.h"
#include "store_load.h"

/* -- Through the node ------------------------------------------------------------------------- */

static bool read_back(void *arg, const struct ledger_line *line)
{
    struct store_load *s = arg;
    weft_buf *bytes = NULL;
    weft_entry entry;
    if (!line->ack) return true;
    if (s->may_lose && weft_get(s->node, &line->id, &bytes) == WEFT_NOT_FOUND) {
        s->taken++;
        return true;
    }
    weft_buf_unref(bytes);
    if (kit_signal() != 0 || !store_read(s, &line->id, UINT64_MAX, &bytes, &entry)) return false;
    s->checked_at++;
    bool right = true;
    if (s->filled) {
        const weft_entry_store *part = &entry.stores[0];
        struct store_stamp stamp = {0};
        memcpy(&stamp, part->payload, sizeof stamp); /* store_read saw that it is there */
        store_fill(s, line->number, stamp.key, s->fill);
        right = part->payload_len == s->w->shape.payload &&
                memcmp(part->payload, s->fill, part->payload_len) == 0;
    }
    weft_buf_unref(bytes);
    if (!right) {
        s->w->checked.corrupt++;
        work_fault(s->w, "commit %llu has other bytes than were committed",
                   (unsigned long long)line->number);
    }
    return right;
}

/* What it promised, read from the node that is open. */
static void read_all(struct store_load *s)
{
    char *path = cluster_ledger_path(s->dir);
    s->checked_at = 0;
    if (ledger_each(path, read_back, s) != 0 && kit_signal() == 0)
        work_fail(s->w, EXIT_HARNESS, "%s cannot be read", path);
    free(path);
}

static void reopen(struct store_load *s)
{
    weft_node_options options = {.dir = s->store_dir, .name = kit_program};
    weft_err err = weft_node_open(&options, &s->node);
    if (err != WEFT_OK) store_failed(s->w, "opening the node again", err);
    else read_all(s);
    weft_node_close(s->node);
    s->node = NULL;
}

static weft_err dump_one(void *arg, const weft_entry *entry)
{
    uint32_t len = (uint32_t)entry->len;
    if (fwrite(&len, sizeof len, 1, arg) != 1 || fwrite(entry->bytes, len, 1, arg) != 1)
        return WEFT_IO;
    return WEFT_OK;
}

/* Memory cannot be opened again: it is read while it is there, and written down. */
static void dump(struct store_load *s)
{
    char *path = cluster_dump_path(s->dir, 0);
    FILE *to = fopen(path, "we");
    weft_err err = to == NULL ? WEFT_IO : weft_tree_walk(s->node, &s->tree, dump_one, to);
    if (to != NULL && fclose(to) != 0 && err == WEFT_OK) err = WEFT_IO;
    if (err != WEFT_OK) store_failed(s->w, "writing down what is stored", err);
    free(path);
}

/* -- From the bytes ------------------------------------------------------------------------------- */

static void judge_bytes(struct store_load *s)
{
    struct work *w = s->w;
    struct judge_result *found = kit_alloc(1, sizeof *found);
    struct judge_case jc = {.dir = s->dir,
                            .nodes = 1,
                            .memory_store = w->options->store == STORE_MEMORY,
                            .tree = s->tree,
                            .seed = w->seed,
                            .sabotage = w->options->broken == SABOTAGE_LOSE ? SPOIL_LOSE
                                                                            : SPOIL_NOTHING,
                            .threads = rate_cores()};
    char why[250];
    int code = judge_run(&jc, found, why, sizeof why);
    if (code != EXIT_PASS) {
        work_fail(w, code, "%s", why);
        goto done;
    }
    w->sabotage_left = 0;
    if (s->may_lose) { /* those are counted, and nobody promised them */
        found->acked_live -= found->lost;
        s->lost = found->lost;
        found->lost = 0;
    }
    w->checked.sent = found->acked_live;
    w->checked.lost = found->lost;
    w->checked.received = found->acked_live -
                          (found->lost < found->acked_live ? found->lost : found->acked_live);
    w->checked.corrupt = found->bad_bytes + found->bad_ids + found->bad_signatures;
    s->unacked = found->unacked;
    if (!judge_clean(found, why, sizeof why)) work_fault(w, "%s", why);
    else if (s->filled && found->unacked != 0) /* nobody was killed: every commit has its answer */
        work_fault(w, "%llu: entries are stored that were not acknowledged",
                   (unsigned long long)found->unacked);
done:
    free(found);
}

/* The store's own opinion; it builds its indexes anew and compares. */
static void check_store(struct store_load *s)
{
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    wf_check_report r = {0};
    wf_kv_disk_options options = {.create = false};
    weft_err err = wf_kv_disk_open(s->store_dir, &options, &kv);
    if (err == WEFT_OK) err = wf_store_open(kv, s->w->rt, &store);
    if (err != WEFT_OK) wf_kv_close(kv);
    else err = wf_store_check(store, false, &r); /* the signatures are checked already */
    wf_store_close(store);
    uint64_t faults = r.bad_bytes + r.bad_ids + r.missing_parents + r.bad_tips + r.bad_indexes;
    if (err != WEFT_OK) store_failed(s->w, "checking the store", err);
    else if (faults != 0)
        work_fault(s->w, "the store's own check finds %llu faults", (unsigned long long)faults);
}

void store_judge(struct store_load *s)
{
    struct work *w = s->w;
    bool memory = w->options->store == STORE_MEMORY;
    if (w->faults != 0 || w->code != EXIT_PASS) return; /* it did not run to its end */
    if (s->ledger.acks == 0) return;                    /* which is no pass */
    if (ledger_close(&s->ledger) != 0)
        work_fail(w, EXIT_HARNESS, "the ledger: %s", strerror(errno));
    if (memory) {
        read_all(s);
        dump(s);
    }
    weft_err err = s->node == NULL ? WEFT_OK : weft_shutdown(s->node, STORE_TIMEOUT_NS);
    if (err != WEFT_OK) store_failed(w, "shutting down", err);
    if (w->faults != 0) return;
    weft_node_close(s->node);
    s->node = NULL;
    judge_bytes(s);
    if (!memory && w->faults == 0) check_store(s);
    if (!memory && w->faults == 0) reopen(s);
    if (w->faults == 0 && s->taken != s->lost && kit_signal() == 0)
        work_fault(w, "kills took %llu entries back, and %llu cannot be read",
                   (unsigned long long)s->lost, (unsigned long long)s->taken);
    if (s->may_lose) work_note(w, "taken back", s->taken);
    if (w->faults == 0 && s->checked_at != w->checked.sent && kit_signal() == 0)
        work_fault(w, "%llu entries could be read back of %llu", (unsigned long long)s->checked_at,
                   (unsigned long long)w->checked.sent);
    if (w->faults == 0 && kit_signal() != 0) work_fail(w, kit_signal(), "interrupted");
    work_note(w, "unacknowledged", s->unacked);
}
