/* SPDX-License-Identifier: Apache-2.0
 * dag_mark.c - marks what is at or below a cut, one bit for each arrival.
 * Called by: dag_order.c, dag_paint.c, dag_reach.c. May touch: the store, reading.
 * Never: recurses, keeps more than the marks and a bounded difference. */
#include <string.h>

#include "alloc.h"
#include "dag_walk.h"
#include "diff.h"
#include "log.h"

struct wf_dag_mark {
    struct wf_dag *dag;
    struct wf_dag_bits bits;
    struct wf_facts cut;
    wf_diff *diff;     /* what is not below; NULL: the marks go down from the cut */
    uint64_t diff_met; /* its reads that were counted                             */
    uint64_t at;       /* marks above this arrival have marked their parents      */
};

weft_err wf_dag_bits_create(uint64_t upto_seq, struct wf_dag_bits *out)
{
    uint64_t words = upto_seq / 64 + 1;
    if (words > WEFT_DAG_MARKS_BYTES / 8) return WEFT_LIMIT;
    out->words = wf_calloc((size_t)words, 8);
    if (out->words == NULL) return WEFT_NO_MEMORY;
    out->count = upto_seq + 1;
    return WEFT_OK;
}

void wf_dag_bits_fini(struct wf_dag_bits *bits)
{
    wf_free(bits->words);
    *bits = (struct wf_dag_bits){0};
}

static void set(struct wf_dag_bits *bits, uint64_t seq)
{
    WF_ASSERT(seq < bits->count);
    wf_dag_bits_set(bits, seq);
}

/* The highest marked arrival at or below `seq`; 0: none. */
static uint64_t highest(const struct wf_dag_bits *bits, uint64_t seq)
{
    uint64_t word = seq / 64;
    uint64_t left = bits->words[word] & (UINT64_MAX >> (63 - seq % 64));
    while (left == 0 && word > 0) left = bits->words[--word];
    if (left == 0) return 0;
    return word * 64 + 63 - (uint64_t)__builtin_clzll(left);
}

/* -- Down from the cut ------------------------------------------------------------------------ */

static void begin_down(struct wf_dag_mark *m)
{
    wf_diff_destroy(m->diff);
    m->diff = NULL;
    for (uint32_t i = 0; i < m->cut.count; i++) {
        set(&m->bits, m->cut.list[i].seq);
        if (m->cut.list[i].seq > m->at) m->at = m->cut.list[i].seq;
    }
}

/* Parents arrived before their children: one pass down the arrivals meets every edge. */
static weft_err go_down(struct wf_dag_mark *m, uint64_t until)
{
    struct wf_dag *dag = m->dag;
    while ((m->at = highest(&m->bits, m->at)) != 0) {
        wf_arrival arrival;
        const struct wf_facts *parents;
        if (dag->reads >= until) return WEFT_AGAIN;
        dag->reads++;
        weft_err err = wf_store_arrival(dag->store, dag->t, m->at, &arrival);
        if (err == WEFT_NOT_FOUND) err = wf_fail(WEFT_CORRUPT, "dag", "an arrival is missing");
        if (err != WEFT_OK) return err;
        struct wf_fact fact = {.id = arrival.id, .seq = m->at};
        err = wf_dag_parents(dag, &fact, &parents);
        if (err != WEFT_OK) return err;
        for (uint32_t i = 0; i < parents->count; i++) set(&m->bits, parents->list[i].seq);
        m->at--;
    }
    return WEFT_OK;
}

/* -- Everything but the difference --------------------------------------------------------------- */

static weft_err all_but_the_difference(struct wf_dag_mark *m, uint32_t budget)
{
    weft_err err = wf_diff_step(m->diff, budget);
    m->dag->reads += wf_diff_reads(m->diff) - m->diff_met;
    m->diff_met = wf_diff_reads(m->diff);
    if (err == WEFT_LIMIT) {
        begin_down(m);
        return WEFT_AGAIN;
    }
    if (err != WEFT_OK) return err;
    for (uint64_t seq = 1; seq < m->bits.count; seq++) set(&m->bits, seq);
    for (uint32_t i = 0; i < wf_diff_count(m->diff); i++) {
        wf_place place;
        wf_diff_at(m->diff, i, &place);
        m->bits.words[place.seq / 64] &= ~(UINT64_C(1) << (place.seq % 64));
    }
    return WEFT_OK;
}

weft_err wf_dag_mark_step(struct wf_dag_mark *m, uint32_t budget)
{
    if (m->diff != NULL) return all_but_the_difference(m, budget);
    return go_down(m, m->dag->reads + budget);
}

/* -- Beginning and end ------------------------------------------------------------------------------ */

static weft_err begin_diff(struct wf_dag_mark *m)
{
    weft_id *ids = wf_malloc((m->cut.count + 1) * sizeof *ids);
    if (ids == NULL) return WEFT_NO_MEMORY;
    for (uint32_t i = 0; i < m->cut.count; i++) ids[i] = m->cut.list[i].id;
    weft_err err = wf_diff_create(m->dag->store, m->dag->t, m->dag->upto_seq, ids, m->cut.count,
                                  m->dag->bounds.apart, m->dag->key, &m->diff);
    wf_free(ids);
    return err;
}

weft_err wf_dag_mark_create(struct wf_dag *dag, const struct wf_facts *cut,
                            struct wf_dag_mark **out)
{
    struct wf_dag_mark *m = wf_calloc(1, sizeof *m);
    if (m == NULL) return WEFT_NO_MEMORY;
    m->dag = dag;
    weft_err err = wf_dag_bits_create(dag->upto_seq, &m->bits);
    for (uint32_t i = 0; i < cut->count && err == WEFT_OK; i++)
        err = wf_facts_add(&m->cut, &cut->list[i]);
    /* The difference walk knows the edges of the whole tree only. */
    if (err == WEFT_OK && dag->name_len == 0) err = begin_diff(m);
    else if (err == WEFT_OK) begin_down(m);
    if (err == WEFT_OK) {
        *out = m;
        m = NULL; /* the caller's now */
    }
    wf_dag_mark_destroy(m);
    return err;
}

const struct wf_dag_bits *wf_dag_mark_bits(const struct wf_dag_mark *mark) { return &mark->bits; }

void wf_dag_mark_destroy(struct wf_dag_mark *m)
{
    if (m == NULL) return;
    wf_dag_bits_fini(&m->bits);
    wf_facts_fini(&m->cut);
    wf_diff_destroy(m->diff);
    wf_free(m);
}
