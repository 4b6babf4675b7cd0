/* SPDX-License-Identifier: Apache-2.0
 * store_recover.c - recover: a process whose store is loaded is killed, started again on what is
 * left, loaded on. Called by: actor_run.c. May touch: its child by cluster.h, its directory.
 * Never: asks the child what it stored; the ledger is the parent's. */
#include <stdlib.h>

#include "cluster.h"
#include "store_load.h"

struct recover {
    struct store_load load; /* first; its node is only that of the verification */
    struct plan plan;
    struct cluster cluster;
    pthread_t thread; /* uses the cluster, alone */
    bool started;
    uint32_t kills;
    uint64_t gone; /* commits that were announced and died with the child */
    uint64_t begun_ns, opened_max_ns, opened_sum_ns;
};

static void on_ack(void *arg, const struct control_op *op)
{
    struct recover *r = arg;
    struct work *w = r->load.w;
    struct meter *m = &w->meters[0];
    const struct ledger *ledger = &r->cluster.ledger;
    __atomic_store_n(&m->ops, m->ops + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&r->load.under_way, (uint32_t)(ledger->intents - ledger->acks - r->gone),
                     __ATOMIC_RELAXED);
    if (!work_measuring(w)) return;
    hist_add(&m->latency, op->took_ns + op->late_ns);
    if (w->options->rate_given) hist_add(&m->service, op->took_ns);
}

static bool acked(struct cluster *c, void *arg)
{
    return c->members[0].acks > *(const uint64_t *)arg;
}

static bool ready(struct cluster *c, void *arg)
{
    (void)arg;
    return c->members[0].ready;
}

static bool told(struct recover *r, int code)
{
    if (kit_now_ns() > r->cluster.deadline_ns && code == EXIT_UNREACHABLE)
        work_fail(r->load.w, code, "the kills and restarts took too long");
    else if (code != EXIT_PASS) work_fail(r->load.w, code, "%s", r->cluster.why);
    return code == EXIT_PASS;
}

/* Until the drawn time, or the end of the run. */
static bool wait_for_kill(struct recover *r, uint64_t at_ns)
{
    int code = EXIT_PASS;
    while (code == EXIT_PASS && kit_now_ns() < at_ns && !work_stopping(r->load.w)) {
        uint64_t next = kit_now_ns() + 20 * WEFT_MS;
        code = cluster_wait_until(&r->cluster, next < at_ns ? next : at_ns);
    }
    return told(r, code);
}

/* A life ends by SIGKILL, at a drawn time, but not before one more commit was acknowledged: else
 * the kill would test nothing. */
static bool live_and_die(struct recover *r, uint64_t at_ns)
{
    struct cluster *c = &r->cluster;
    uint64_t acks = c->members[0].acks;
    if (!wait_for_kill(r, at_ns) || !told(r, cluster_wait(c, acked, &acks))) return false;
    if (!told(r, cluster_kill(c, 0))) return false;
    r->kills++;
    r->gone = c->ledger.intents - c->ledger.acks;
    return true;
}

static bool start_again(struct recover *r)
{
    struct cluster *c = &r->cluster;
    if (!told(r, cluster_restart(c, 0)) || !told(r, cluster_wait(c, ready, NULL))) return false;
    uint64_t took = c->members[0].open_ns;
    r->opened_sum_ns += took;
    if (took > r->opened_max_ns) r->opened_max_ns = took;
    return true;
}

static void *kill_all(void *arg)
{
    struct recover *r = arg;
    struct work *w = r->load.w;
    const struct options *o = w->options;
    uint64_t slot = o->kills == 0 ? 0
                                  : (o->warmup_seconds + o->duration_seconds) * WEFT_SEC / o->kills;
    struct kit_rng rng = kit_rng_for(w->seed, 'k', 0);
    bool good = true;
    for (uint32_t i = 0; good && i < o->kills; i++) {
        /* The last one dies when the time is over. */
        uint64_t at = i + 1 == o->kills
                          ? UINT64_MAX
                          : r->begun_ns + i * slot + kit_rng_below(&rng, slot) + slot / 4;
        good = live_and_die(r, at) && (i + 1 == o->kills || start_again(r));
    }
    if (good && o->kills == 0) wait_for_kill(r, UINT64_MAX);
    work_producing(w, -1);
    return NULL;
}

static void start_recover(struct work *w)
{
    struct recover *r = w->own = kit_alloc(1, sizeof *r);
    const struct options *o = w->options;
    if (!store_prepare(w, &r->load)) return;
    uint64_t give_up = kit_now_ns() + STORE_TIMEOUT_NS + o->kills * STORE_LIFE_NS +
                       (o->warmup_seconds + o->duration_seconds) * WEFT_SEC;
    plan_make(&r->plan, 1, TOPOLOGY_CHAIN, 0, 0, w->seed);
    r->cluster.arg = r;
    r->cluster.on_ack = on_ack;
    r->cluster.engine = o->engine;
    if (!told(r,
              cluster_start(&r->cluster, &r->plan, r->load.dir, false, false, w->seed, give_up)) ||
        !told(r, cluster_follow(&r->cluster, NULL, 0)))
        return;
    struct control_live live = {.end_ns = UINT64_MAX,
                                .begin_ns = kit_now_ns(), /* time in which it is down counts */
                                .rate = o->rate_given ? o->rate : 0,
                                .payload = (uint32_t)w->shape.payload,
                                .producers = w->shape.producers,
                                .durability = o->durability};
    r->load.tree = r->cluster.tree;
    r->load.may_lose = o->durability == WEFT_MEMORY;
    r->begun_ns = kit_now_ns();
    if (!told(r, cluster_load(&r->cluster, &live))) return;
    work_producing(w, 1);
    r->started = pthread_create(&r->thread, NULL, kill_all, r) == 0;
    if (r->started) return;
    work_producing(w, -1);
    work_fail(w, EXIT_HARNESS, "a thread cannot be started");
}

static void judge_recover(struct work *w)
{
    struct recover *r = w->own;
    if (r->started) pthread_join(r->thread, NULL);
    r->started = false;
    r->load.ledger.acks = r->cluster.ledger.acks;
    cluster_abandon(&r->cluster); /* and closes the ledger */
    work_note(w, "kills", r->kills);
    if (r->kills > 1) work_note(w, "open mean us", r->opened_sum_ns / (r->kills - 1) / 1000);
    if (r->kills > 1) work_note(w, "open max us", r->opened_max_ns / 1000);
    if (r->kills == 0) work_fail(w, EXIT_HARNESS, "no kill took place, so nothing was tested");
    store_judge(&r->load);
}

static void end_recover(struct work *w)
{
    struct recover *r = w->own;
    plan_free(&r->plan);
    store_end(w);
}

const struct load load_recover = {
    .name = "recover",
    .unit = "commits",
    .about = "a process that commits is killed (--kills) and starts again on what is left",
    .stores = true,
    .shape = {.producers = 4, .payload = 512},
    .start = start_recover,
    .judge = judge_recover,
    .end = end_recover};
