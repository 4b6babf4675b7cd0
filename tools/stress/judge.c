/* SPDX-License-Identifier: Apache-2.0
 * judge.c - reads what every node left on disk and says what is wrong with it.
 * Called by: run.c, the demo, the tests. May touch: the nodes' directories (reading),
 * the ledger (reading). Never: asks a node; trusts an index, a count or an id. */
#include "judge.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "cluster.h"
#include "evidence.h"
#include "indexes.h"
#include "kit.h"
#include "node.h"

struct flags { /* a growing row of yes and no */
    uint8_t *set;
    size_t room;
};

struct judge {
    const struct judge_case *jc;
    struct judge_result *out;
    struct catalog cat;
    uint32_t *history;                  /* row -> item and one; 0: never acknowledged */
    struct flags acked[PLAN_NODES_MAX]; /* a node's own numbers of live commits */
    uint64_t announced[PLAN_NODES_MAX]; /* one above the highest */
    struct flags held[PLAN_NODES_MAX];  /* node, item -> it holds it */
    struct flags *here;                 /* of the node at hand */
    struct flags parent;                /* of the node at hand: item -> it has a child */
    struct flags tip;                   /* of node 0: item -> it is a tip */
    uint32_t node;
};

static void flags_fit(struct flags *f, size_t count)
{
    size_t before = f->room;
    f->set = kit_grow(f->set, &f->room, count, 1);
    if (f->room > before) memset(f->set + before, 0, f->room - before);
}

static void flag(struct flags *f, uint64_t at)
{
    flags_fit(f, (size_t)at + 1);
    f->set[at] = 1;
}

static bool flagged(const struct flags *f, uint64_t at) { return at < f->room && f->set[at] != 0; }

static void flags_clear(struct flags *f)
{
    if (f->room > 0) memset(f->set, 0, f->room);
}

/* -- What should be there ---------------------------------------------------------------------- */

static bool on_line(void *arg, const struct ledger_line *line)
{
    struct judge *j = arg;
    if (line->node >= j->jc->nodes) return false;
    if (!line->ack) {
        if (line->origin != CONTROL_LIVE_COMMIT) return true;
        uint64_t end = line->number + line->count;
        if (end > j->announced[line->node]) j->announced[line->node] = end;
        return true;
    }
    uint32_t index = catalog_put(&j->cat, &line->id);
    j->cat.items[index].expected = true;
    if (line->origin == CONTROL_LIVE_COMMIT) {
        if (line->number >= j->announced[line->node]) return false; /* ack before intent */
        flag(&j->acked[line->node], line->number);
        j->out->acked_live++;
        return true;
    }
    if (j->jc->dag == NULL || line->number >= j->jc->dag->count) return false;
    j->cat.items[index].number = line->number;
    j->history[line->number] = index + 1;
    return true;
}

static int expect(struct judge *j, char *why, size_t why_len)
{
    j->history = kit_alloc(j->jc->dag == NULL ? 0 : j->jc->dag->count, sizeof *j->history);
    uint32_t root = catalog_put(&j->cat, &j->jc->tree);
    j->cat.items[root].expected = true;
    char *path = cluster_ledger_path(j->jc->dir);
    int read = ledger_each(path, on_line, j);
    if (read != 0) snprintf(why, why_len, "%s cannot be read or makes no sense", path);
    free(path);
    for (uint32_t i = 0; read == 0 && j->jc->dag != NULL && i < j->jc->dag->count; i++)
        if (j->history[i] == 0) {
            snprintf(why, why_len, "row %u of the history was never acknowledged", i);
            read = -1;
        }
    for (size_t i = 0; i < j->cat.count; i++)
        if (j->cat.items[i].expected) j->out->entries++;
    return read == 0 ? EXIT_PASS : EXIT_HARNESS;
}

/* Draws one acknowledged entry and one node, and takes it away; or spoils its store. */
static int sabotage(struct judge *j, char *why, size_t why_len)
{
    struct kit_rng rng = kit_rng_for(j->jc->seed, 's', 0);
    uint32_t node = (uint32_t)kit_rng_below(&rng, j->jc->nodes);
    size_t victim = 1 + (size_t)kit_rng_below(&rng, j->cat.count - 1); /* not the root */
    weft_err err = j->jc->sabotage == SPOIL_LOSE
                       ? evidence_lose(j->jc->dir, node, j->jc->memory_store,
                                       &j->cat.items[victim].id)
                       : spoil_store(j->jc->sabotage, j->jc->dir, node, j->jc->memory_store);
    if (err == WEFT_OK) return EXIT_PASS;
    snprintf(why, why_len, "cannot sabotage node %u: %s", node, weft_strerror(err));
    return EXIT_HARNESS;
}

/* -- What is there -------------------------------------------------------------------------------- */

static weft_err on_entry(void *arg, const weft_id *key, const uint8_t *bytes, size_t len)
{
    struct judge *j = arg;
    weft_entry entry;
    if (kit_signal() != 0) return WEFT_CANCELED;
    if (weft_entry_decode(bytes, len, &entry) != WEFT_OK ||
        !weft_id_equal(entry.is_root ? &entry.id : &entry.tree, &j->jc->tree)) {
        j->out->bad_bytes++;
        return WEFT_OK;
    }
    if (key != NULL && !weft_id_equal(key, &entry.id)) {
        j->out->bad_ids++;
        return WEFT_OK;
    }
    uint32_t index = catalog_found(&j->cat, &entry);
    if (!flagged(j->here, index)) j->out->node[j->node].entries++;
    flag(j->here, index);
    return WEFT_OK;
}

/* Parents, tips and completeness of the node whose entries are in `here`. */
static void weigh(struct judge *j)
{
    struct judge_node *node = &j->out->node[j->node];
    flags_clear(&j->parent);
    for (size_t i = 0; i < j->cat.count; i++) {
        const struct item *item = &j->cat.items[i];
        if (!flagged(j->here, i)) {
            if (item->expected) node->lost++;
            continue;
        }
        for (uint32_t p = 0; p < item->parents_count; p++) {
            int64_t at = catalog_find(&j->cat, &j->cat.parents[item->parents_at + p]);
            if (at < 0 || !flagged(j->here, (uint64_t)at)) j->out->missing_parents++;
            else flag(&j->parent, (uint64_t)at);
        }
    }
    for (size_t i = 0; i < j->cat.count; i++) {
        bool tip = flagged(j->here, i) && !flagged(&j->parent, i);
        if (tip) node->tips++;
        if (j->node == 0 && tip) flag(&j->tip, i);
        if (tip != flagged(&j->tip, i)) j->out->tips_equal = false;
    }
    j->out->lost += node->lost;
}

struct tips {
    struct judge *j;
    uint64_t seen;
};

static weft_err on_tip(void *arg, const weft_id *tip)
{
    struct tips *t = arg;
    int64_t at = catalog_find(&t->j->cat, tip);
    bool right = at >= 0 && flagged(t->j->here, (uint64_t)at) &&
                 !flagged(&t->j->parent, (uint64_t)at);
    if (right) t->seen++;
    else t->j->out->bad_tips++;
    return WEFT_OK;
}

static weft_err judge_node(struct judge *j)
{
    struct evidence *ev = NULL;
    struct tips tips = {.j = j};
    j->here = &j->held[j->node];
    weft_err err = evidence_open(j->jc->dir, j->node, j->jc->memory_store, &ev);
    if (err == WEFT_OK) err = evidence_each(ev, on_entry, j);
    if (err != WEFT_OK) goto done;
    weigh(j);
    err = evidence_tips(ev, on_tip, &tips);
    if (err == WEFT_OK && tips.seen != j->out->node[j->node].tips) j->out->bad_tips++;
    if (err == WEFT_UNSUPPORTED) err = WEFT_OK; /* a memory node leaves no indexes */
done:
    evidence_close(ev);
    return err;
}

/* -- The indexes of the stores -------------------------------------------------------- */

struct checks {          /* shared by the threads, under `lock` */
    struct judge *judge; /* only read */
    const uint64_t *gens;
    pthread_mutex_t lock;
    uint32_t next, failed; /* nodes */
    uint64_t faults;
    weft_err err;
};

static void *check_stores(void *arg)
{
    struct checks *all = arg;
    const struct judge_case *jc = all->judge->jc;
    for (;;) {
        pthread_mutex_lock(&all->lock);
        uint32_t node = all->next < jc->nodes && all->err == WEFT_OK ? all->next++ : UINT32_MAX;
        pthread_mutex_unlock(&all->lock);
        if (node == UINT32_MAX || kit_signal() != 0) return NULL;
        uint64_t faults = 0;
        struct evidence *ev = NULL;
        weft_err err = evidence_open(jc->dir, node, false, &ev);
        if (err == WEFT_OK)
            err = indexes_check(ev, &all->judge->cat, all->gens, all->judge->held[node].set,
                                &faults);
        evidence_close(ev);
        pthread_mutex_lock(&all->lock);
        all->faults += faults;
        if (err != WEFT_OK && all->err == WEFT_OK) {
            all->err = err;
            all->failed = node;
        }
        pthread_mutex_unlock(&all->lock);
    }
}

/* Several stores at a time. *node: the failed one. */
static weft_err judge_indexes(struct judge *j, uint32_t *node)
{
    if (j->jc->memory_store) return WEFT_OK; /* a dump has no indexes */
    /* Every row of flags has a place for every item, also for those found later. */
    for (uint32_t i = 0; i < j->jc->nodes; i++) flags_fit(&j->held[i], j->cat.count);
    uint64_t *gens = indexes_gens(&j->cat);
    struct checks all = {.judge = j, .gens = gens};
    pthread_t *threads = kit_alloc(j->jc->threads, sizeof *threads);
    uint32_t started = 1; /* this one */
    pthread_mutex_init(&all.lock, NULL);
    while (started < j->jc->threads && started < j->jc->nodes &&
           pthread_create(&threads[started], NULL, check_stores, &all) == 0)
        started++;
    check_stores(&all);
    for (uint32_t i = 1; i < started; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&all.lock);
    free(threads);
    free(gens);
    j->out->bad_indexes = all.faults;
    *node = all.failed;
    return all.err;
}

/* -- Every distinct entry once ----------------------------------------------------------------- */

/* Does the entry say what the table's row says? */
static bool shape_right(const struct judge *j, const weft_entry *entry, uint32_t row)
{
    const struct dag *dag = j->jc->dag;
    const struct dag_entry *e = &dag->entries[row];
    const weft_entry_store *store = &entry->stores[0];
    if (entry->stores_count != 1 || store->name_len != strlen(NODE_STORE) ||
        memcmp(store->name, NODE_STORE, store->name_len) != 0 || store->payload_len != e->size ||
        memcmp(store->payload == NULL ? (const uint8_t *)"" : store->payload, &row,
               e->size < sizeof row ? e->size : sizeof row) != 0 ||
        store->parents_count != e->parents_count)
        return false;
    weft_id parent;
    if (e->parents_count == 0) {
        weft_entry_parent(entry, 0, &parent);
        return entry->parents_count == 1 && weft_id_equal(&parent, &j->jc->tree);
    }
    if (entry->parents_count != e->parents_count) return false;
    for (uint32_t i = 0; i < e->parents_count; i++) {
        weft_entry_parent(entry, i, &parent);
        bool named = false;
        for (uint32_t p = 0; p < e->parents_count && !named; p++) {
            uint32_t at = j->history[dag->parents[e->parents_at + p]];
            named = at != 0 && weft_id_equal(&j->cat.items[at - 1].id, &parent);
        }
        if (!named) return false;
    }
    return true;
}

static void judge_item(struct judge *j, const struct item *item)
{
    weft_entry entry;
    struct live_stamp stamp;
    if (weft_entry_decode(j->cat.bytes + item->bytes_at, item->len, &entry) != WEFT_OK) return;
    j->out->bytes += item->len;
    if (item->number != UINT64_MAX && !shape_right(j, &entry, (uint32_t)item->number))
        j->out->bad_shapes++;
    if (item->expected) return;
    /* Not acknowledged: allowed if announced, and its number was not acknowledged for
     * another entry. */
    if (live_stamp_read(&entry, &stamp) && stamp.origin < j->jc->nodes &&
        stamp.number < j->announced[stamp.origin] &&
        !flagged(&j->acked[stamp.origin], stamp.number))
        j->out->unacked++;
    else j->out->unexpected++;
}

int judge_run(const struct judge_case *jc, struct judge_result *out, char *why, size_t why_len)
{
    struct judge *j = kit_alloc(1, sizeof *j);
    *out = (struct judge_result){.tips_equal = true};
    j->jc = jc;
    j->out = out;
    int code = expect(j, why, why_len);
    bool spoils = jc->sabotage != SPOIL_NOTHING && jc->sabotage != SPOIL_STRANGER;
    if (code == EXIT_PASS && spoils) code = sabotage(j, why, why_len);
    if (code == EXIT_PASS) {
        weft_err err = WEFT_OK;
        uint32_t at = 0;
        for (; err == WEFT_OK && at < jc->nodes; at++) {
            j->node = at;
            err = judge_node(j);
        }
        at = j->node;
        if (err == WEFT_OK) err = judge_indexes(j, &at);
        if (err != WEFT_OK) {
            snprintf(why, why_len, "the store of node %u: %s (%s)%s", at, weft_strerror(err),
                     weft_errname(err), node_log_first());
            code = cluster_exit_code(err);
        }
    }
    if (code == EXIT_PASS) out->bad_signatures = catalog_verify(&j->cat, jc->threads);
    for (size_t i = 0; code == EXIT_PASS && i < j->cat.count; i++)
        if (j->cat.items[i].found) judge_item(j, &j->cat.items[i]);
    if (kit_signal() != 0) {
        snprintf(why, why_len, "interrupted");
        code = kit_signal();
    }
    catalog_free(&j->cat);
    free(j->history);
    free(j->parent.set);
    free(j->tip.set);
    for (uint32_t i = 0; i < jc->nodes; i++) {
        free(j->acked[i].set);
        free(j->held[i].set);
    }
    free(j);
    return code;
}

bool judge_clean(const struct judge_result *r, char *why, size_t why_len)
{
    const struct {
        uint64_t count;
        const char *text;
    } faults[] = {
        {r->lost, "acknowledged entries are missing"},
        {r->bad_bytes, "stored entries cannot be decoded"},
        {r->bad_ids, "entries are stored under the wrong id"},
        {r->bad_signatures, "signatures do not verify"},
        {r->missing_parents, "parents are missing"},
        {r->bad_shapes, "entries differ from the history"},
        {r->unexpected, "entries are stored that nobody announced"},
        {r->tips_equal ? 0u : 1u, "the tips of the nodes differ"},
        {r->bad_tips, "tips in the index are wrong"},
        {r->bad_indexes, "records of the indexes are wrong or missing"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i].count > 0) {
            snprintf(why, why_len, "%llu: %s", (unsigned long long)faults[i].count, faults[i].text);
            return false;
        }
    return true;
}
