/* SPDX-License-Identifier: Apache-2.0
 * look.c - the reader's short answers: what we hold, how to serve a peer, which tips
 * are known, which trees a peer may read. Also the kinds of the reader's messages.
 * Called by: reader.c; anyone creates messages. May touch: the store, reading.
 * Never: tells a peer apart that asks for an unknown tree from one that may not read. */
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "job.h"
#include "log.h"

#define TREES_FIRST 64u

static void look_drop(weft_msg *msg)
{
    struct wf_look *look = (struct wf_look *)msg;
    weft_buf_unref(look->page);
    wf_free(look->bits);
    wf_free(look->trees);
    weft_free_msg(msg);
}

static void read_drop(weft_msg *msg)
{
    struct wf_read *read = (struct wf_read *)msg;
    weft_buf_unref(read->buf);
    wf_free(read->list);
    weft_free_msg(msg);
}

static void job_drop(weft_msg *msg)
{
    struct wf_job *job = (struct wf_job *)msg;
    wf_free(job->wanted);
    wf_free(job->held);
    weft_free_msg(msg);
}

const weft_kind wf_look_kind = {0x5321, "reader.look", sizeof(struct wf_look), look_drop};
const weft_kind wf_job_kind = {0x5322, "reader.job", sizeof(struct wf_job), job_drop};
const weft_kind wf_job_bits_kind = {0x5323, "reader.bits", sizeof(struct wf_job_bits),
                                    weft_free_msg};
const weft_kind wf_job_cancel_kind = {0x5324, "reader.cancel", sizeof(struct wf_job_cancel),
                                      weft_free_msg};

const weft_kind wf_read_kind = {0x5326, "reader.read", sizeof(struct wf_read), read_drop};

struct wf_read *wf_read_create(weft_err (*run)(wf_store *store, struct wf_read *read))
{
    struct wf_read *read = (struct wf_read *)weft_new(&wf_read_kind);
    if (read != NULL) read->run = run;
    return read;
}

struct wf_look *wf_look_create(enum wf_look_op op)
{
    struct wf_look *look = (struct wf_look *)weft_new(&wf_look_kind);
    if (look != NULL) look->op = op;
    return look;
}

struct wf_job *wf_job_create(enum wf_job_op op)
{
    struct wf_job *job = (struct wf_job *)weft_new(&wf_job_kind);
    if (job != NULL) job->op = op;
    return job;
}

/* -- Answers ------------------------------------------------------------------------------- */

static weft_err look_summary(wf_store *store, struct wf_look *look, const wf_tree_info *tree)
{
    wf_tree_info info;
    weft_err err = wf_plan_summary(store, tree->t, &look->peer, look->exact, look->lean,
                                   &look->ours, &info);
    look->shelved = err == WEFT_OK && look->lean ? info.shelved : 0;
    return err;
}

static weft_err look_plan(wf_store *store, struct wf_look *look, const wf_tree_info *tree)
{
    struct wf_plan_tips tips;
    weft_err err = wf_plan_tips(store, tree->t, &look->theirs, &tips);
    if (err == WEFT_OK) err = look_summary(store, look, tree);
    if (err != WEFT_OK) return err;
    look->all_known = tips.all;
    return wf_plan_choose(store, tree->t, &look->peer, &look->ours, &look->theirs, tips.all,
                          look->exact, &look->cursor_fits, &look->plan);
}

static weft_err look_known(wf_store *store, struct wf_look *look, const wf_tree_info *tree)
{
    struct wf_plan_tips tips;
    weft_err err = wf_plan_tips(store, tree->t, &look->theirs, &tips);
    if (err != WEFT_OK) return err;
    look->bits = wf_memdup(tips.bits, sizeof tips.bits);
    if (look->bits == NULL) return WEFT_NO_MEMORY;
    look->bits_count = look->theirs.tips_count;
    look->all_known = tips.all;
    return WEFT_OK;
}

/* All trees here; the caller frees *out. */
static weft_err all_trees(wf_store *store, wf_tree_info **out, size_t *count)
{
    for (size_t room = TREES_FIRST;; room *= 4) {
        wf_tree_info *infos = wf_malloc(room * sizeof *infos);
        if (infos == NULL) return WEFT_NO_MEMORY;
        *count = room;
        weft_err err = wf_store_trees(store, infos, count);
        if (err == WEFT_OK) {
            *out = infos;
            return WEFT_OK;
        }
        wf_free(infos);
        if (err != WEFT_LIMIT || room > WEFT_TREES_MAX) return err;
    }
}

static weft_err look_offers(const struct wf_node_table *table, struct wf_look *look)
{
    wf_tree_info *infos = NULL;
    size_t count = 0;
    uint32_t n = 0;
    weft_err err = all_trees(table->wf_store, &infos, &count);
    if (err != WEFT_OK) return err;
    look->trees = wf_malloc((count + 1) * sizeof *look->trees);
    if (look->trees == NULL) err = WEFT_NO_MEMORY;
    for (size_t i = 0; i < count && err == WEFT_OK; i++) {
        if (!infos[i].followed || !infos[i].has_root) continue;
        if (!wf_access_may_read(table, &infos[i].tree, &look->peer)) continue;
        if (n == WEFT_IDS_PER_MESSAGE_MAX) err = WEFT_LIMIT; /* one answer is one message */
        else look->trees[n++] = infos[i].tree;
    }
    wf_free(infos);
    if (err == WEFT_OK) look->trees_count = n;
    return err;
}

void wf_look_answer(struct reader *r, struct wf_look *look)
{
    wf_store *store = r->table->wf_store;
    wf_tree_info info;
    weft_err err;
    if (look->op == WF_LOOK_OFFERS) {
        weft_reply(&look->req, look_offers(r->table, look));
        return;
    }
    err = wf_plan_authorise(r->table, &look->tree, &look->peer, &info);
    if (err == WEFT_OK && look->op == WF_LOOK_SUMMARY) err = look_summary(store, look, &info);
    else if (err == WEFT_OK && look->op == WF_LOOK_PLAN) err = look_plan(store, look, &info);
    else if (err == WEFT_OK && look->op == WF_LOOK_KNOWN) err = look_known(store, look, &info);
    weft_reply(&look->req, err);
}
