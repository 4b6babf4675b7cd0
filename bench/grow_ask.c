/* SPDX-License-Identifier: Apache-2.0
 * grow_ask.c - how long each question to a store takes.
 * Called by: store_grow.c. May touch: a node that it opens and closes.
 * Never: asks one question longer than a second or so, unless one answer takes longer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"

#define SAMPLES_MAX 2000u
#define SAMPLES 100u
#define COMMITS 16u /* each may join 256 tips: the smallest size has as many for all of them */
#define SPEND 0.7   /* seconds */
#define BACK 10u
#define FAR 1000u
#define TIPS 256u

const char *const grow_questions[ASK_QUESTIONS] = {
    "open",    "get",   "tips",      "view",   "base",  "between", "path",
    "tips-at", "reach", "reach-far", "digest", "range", "commit",  "commit-later"};

struct asker {
    weft_node *node;
    weft_dag *dag;
    weft_writer *writer;
    uint32_t count;
    weft_id *ids;
    uint32_t sample;
};

/* The newest entry, for this sample: a little older each time, so that nobody asks twice. */
static uint32_t newest(const struct asker *a) { return a->count - 1 - 7 * a->sample; }

static void walk(weft_iter *it)
{
    weft_position at;
    weft_err err;
    while ((err = weft_iter_next(it, &at)) == WEFT_OK) continue;
    if (err != WEFT_END) grow_must(err, "walk");
    weft_iter_close(it);
}

/* By first parents; the root if it is nearer. */
static weft_id ancestor(struct asker *a, uint32_t of)
{
    weft_position at = {.id = a->ids[of]};
    for (unsigned i = 0; i < BACK; i++) {
        weft_iter *it;
        grow_must(weft_dag_parents(a->dag, &at.id, &it), "parents");
        weft_err err = weft_iter_next(it, &at);
        weft_iter_close(it);
        if (err == WEFT_END) break;
        grow_must(err, "parents");
    }
    return at.id;
}

/* -- The questions: each returns the seconds of one answer -------------------------------------- */

static double ask_get(struct asker *a)
{
    uint64_t chance = (a->sample + 1) * UINT64_C(0x9e3779b97f4a7c15);
    weft_buf *buf;
    double began = grow_seconds();
    grow_must(weft_get(a->node, &a->ids[(chance >> 32) % a->count], &buf), "get");
    double took = grow_seconds() - began;
    weft_buf_unref(buf);
    return took;
}

static double ask_tips(struct asker *a)
{
    weft_id tips[TIPS];
    size_t count = TIPS;
    double began = grow_seconds();
    weft_err err = weft_tree_tips(a->node, &a->ids[0], tips, &count);
    double took = grow_seconds() - began;
    if (err != WEFT_LIMIT) grow_must(err, "tips");
    return took;
}

static double ask_view(struct asker *a)
{
    weft_dag *dag;
    double began = grow_seconds();
    grow_must(weft_dag_open(a->node, &a->ids[0], NULL, &dag), "view");
    double took = grow_seconds() - began;
    weft_dag_close(dag);
    return took;
}

static double ask_base(struct asker *a)
{
    weft_id two[2] = {a->ids[newest(a)], a->ids[newest(a) - 1]}, base;
    double began = grow_seconds();
    grow_must(weft_dag_merge_base(a->dag, &(weft_cut){two, 2}, &base), "merge base");
    return grow_seconds() - began;
}

static double ask_between(struct asker *a)
{
    weft_cut from = {&a->ids[newest(a) - BACK], 1}, to = {&a->ids[newest(a)], 1};
    weft_iter *it;
    double began = grow_seconds();
    grow_must(weft_dag_between(a->dag, &from, &to, &it), "between");
    walk(it);
    return grow_seconds() - began;
}

static double ask_path(struct asker *a)
{
    weft_id base = ancestor(a, newest(a));
    weft_cut to = {&a->ids[newest(a)], 1};
    weft_iter *it;
    double began = grow_seconds();
    grow_must(weft_dag_path(a->dag, &base, &to, &it), "path");
    walk(it);
    return grow_seconds() - began;
}

static double ask_tips_at(struct asker *a)
{
    weft_cut cut = {&a->ids[newest(a) - BACK], 1};
    weft_iter *it;
    double began = grow_seconds();
    grow_must(weft_dag_tips_at(a->dag, &cut, &it), "tips as of a cut");
    walk(it);
    return grow_seconds() - began;
}

static double reach(struct asker *a, const weft_id *target)
{
    weft_cut from = {&a->ids[newest(a)], 1}, to = {target, 1};
    weft_reach answer;
    double began = grow_seconds();
    grow_must(weft_dag_reaches(a->dag, &from, &to, &answer, NULL, NULL), "reach");
    return grow_seconds() - began;
}

static double ask_reach(struct asker *a)
{
    weft_id target = ancestor(a, newest(a));
    return reach(a, &target);
}

static double ask_reach_far(struct asker *a)
{
    uint32_t from = newest(a);
    return reach(a, &a->ids[from > FAR ? from - FAR : 0]);
}

static double ask_commit(struct asker *a)
{
    uint8_t payload[200] = {0};
    memcpy(payload, &a->sample, sizeof a->sample);
    double began = grow_seconds();
    grow_must(weft_commit(a->writer, "main", payload, sizeof payload, GROW_TIMEOUT, NULL),
              "commit");
    return grow_seconds() - began;
}

static double ask_digest(struct asker *a)
{
    weft_tree_info info;
    (void)ask_commit(a); /* the digest of before is void */
    double began = grow_seconds();
    grow_must(weft_tree_info_get(a->node, &a->ids[0], &info), "digest");
    return grow_seconds() - began;
}

static double ask_range(struct asker *a)
{
    weft_tree_info info;
    uint8_t digest[32];
    grow_must(weft_tree_info_get(a->node, &a->ids[0], &info), "info");
    double began = grow_seconds();
    grow_must(weft_tree_range_digest(a->node, &a->ids[0], info.max_gen / 2 + a->sample, UINT64_MAX,
                                     digest, NULL),
              "range");
    return grow_seconds() - began;
}

/* -- Asking ---------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_us(struct asker *a, double (*ask)(struct asker *), uint32_t samples)
{
    double times[SAMPLES_MAX], spent = 0;
    uint32_t n = 0;
    for (; n < samples && spent < SPEND; n++) {
        a->sample = n;
        times[n] = ask(a);
        spent += times[n];
    }
    qsort(times, n, sizeof *times, compare);
    return times[n / 2] * 1e6;
}

static void load_ids(struct asker *a, const char *path)
{
    FILE *in = fopen(path, "re");
    a->ids = calloc(a->count, sizeof *a->ids);
    bool good = in != NULL && a->ids != NULL &&
                fread(a->ids, sizeof *a->ids, a->count, in) == a->count;
    if (in != NULL) fclose(in);
    grow_must(good ? WEFT_OK : WEFT_IO, path);
}

void grow_ask(uint32_t count, const char *dir, const char *ids, double us[ASK_QUESTIONS])
{
    static const struct {
        enum grow_question which;
        double (*ask)(struct asker *);
        uint32_t samples;
    } questions[] = {{ASK_GET, ask_get, SAMPLES_MAX},         {ASK_TIPS, ask_tips, SAMPLES},
                     {ASK_VIEW, ask_view, SAMPLES},           {ASK_BASE, ask_base, SAMPLES},
                     {ASK_BETWEEN, ask_between, SAMPLES},     {ASK_PATH, ask_path, SAMPLES},
                     {ASK_TIPS_AT, ask_tips_at, SAMPLES},     {ASK_REACH, ask_reach, SAMPLES},
                     {ASK_REACH_FAR, ask_reach_far, SAMPLES}, {ASK_RANGE, ask_range, SAMPLES}};
    struct asker a = {.count = count};
    weft_node_options options = {.dir = dir};
    weft_keypair *author = grow_author();
    load_ids(&a, ids);
    double began = grow_seconds();
    grow_must(weft_node_open(&options, &a.node), "opening the node");
    us[ASK_OPEN] = (grow_seconds() - began) * 1e6;
    grow_must(weft_dag_open(a.node, &a.ids[0], NULL, &a.dag), "view");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
        us[questions[i].which] = median_us(&a, questions[i].ask, questions[i].samples);
    weft_dag_close(a.dag);
    grow_must(weft_writer_open(a.node, &a.ids[0], author, &a.writer), "writer");
    us[ASK_COMMIT] = median_us(&a, ask_commit, COMMITS);
    us[ASK_DIGEST] = median_us(&a, ask_digest, SAMPLES);
    us[ASK_LATER] = median_us(&a, ask_commit, SAMPLES);
    weft_writer_close(a.writer);
    weft_node_close(a.node);
    weft_keypair_destroy(author);
    free(a.ids);
}
