/* SPDX-License-Identifier: Apache-2.0
 * supervision.c - a worker that fails is started again, until it fails too often.
 *
 * The boss has one child, the worker. A bad job makes the worker fail; the boss waits a little and
 * starts it again, at the same address and with the same mailbox, so that its clients notice
 * nothing but the answer RESTARTING to the one job that was in hand. More than two failures
 * in ten seconds are too many: then the boss fails itself, and whoever watches it hears why.
 *
 * The program runs in the simulator, so its waits take no time and its output is always the
 * same; with weft_rt_create instead of weft_sim_rt_create it runs on threads. */
#include <stdio.h>

#include <weft/actor.h>
#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/testing.h>
#include <weft/topic.h>

enum { BAD = 13 };

struct job {
    weft_request req;
    int number;
};

static const weft_kind JOB = {1, "job", sizeof(struct job), weft_free_msg};

/* -- The worker: its state is new after each start -------------------------------------- */

struct worker {
    unsigned done;
};

static weft_err worker_init(weft_self *self, void *state, void *arg)
{
    (void)state, (void)arg;
    /* After a restart it has its name already: OK again. */
    return weft_register(weft_self_rt(self), "worker", weft_self_addr(self));
}

static weft_verdict worker_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct worker *worker = state;
    struct job *job = (struct job *)msg;
    if (job->number == BAD) return weft_fail(self, WEFT_CORRUPT); /* answers RESTARTING for us */
    worker->done++;
    job->number *= job->number;
    weft_reply(&job->req, WEFT_OK);
    return WEFT_KEPT;
}

/* -- The boss: what may be restarted how often stands in the two specs -------------------- */

static weft_err boss_init(weft_self *self, void *state, void *arg)
{
    weft_spec worker = {.name = "worker",
                        .state_size = sizeof(struct worker),
                        .init = worker_init,
                        .handle = worker_handle,
                        .restart = WEFT_TRANSIENT}; /* after a failure, not after an orderly end */
    (void)state, (void)arg;
    return weft_spawn_child(self, &worker, NULL); /* the boss keeps its address */
}

static weft_verdict boss_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

static const weft_spec boss_spec = {.name = "boss",
                                    .init = boss_init,
                                    .handle = boss_handle,
                                    .strategy = WEFT_ONE_FOR_ONE,
                                    .intensity = 2, /* so many restarts ... */
                                    .period_ns = 10 * WEFT_SEC,
                                    .backoff_min_ns = 100 * WEFT_MS,
                                    .backoff_max_ns = WEFT_SEC};

/* -- A watcher: hears of the boss's end as of any other message ----------------------------- */

struct watcher {
    weft_addr *boss;
    weft_err *reason;
};

static weft_err watcher_init(weft_self *self, void *state, void *arg)
{
    *(struct watcher *)state = *(struct watcher *)arg;
    return weft_monitor(self, ((struct watcher *)state)->boss, NULL);
}

static weft_verdict watcher_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    if (msg->kind != &weft_kind_down) return WEFT_DONE;
    const weft_down *down = (const weft_down *)msg;
    *((struct watcher *)state)->reason = down->reason;
    printf("watcher: %s has ended: %s\n", weft_addr_name(down->addr), weft_errname(down->reason));
    return WEFT_STOP;
}

/* -- A client ---------------------------------------------------------------------------------- */

static weft_err square(weft_rt *rt, weft_addr *worker, int number)
{
    struct job *job = (struct job *)weft_new(&JOB);
    weft_request *reply = NULL;
    bool taken = false;
    if (job == NULL) return WEFT_NO_MEMORY;
    job->number = number;
    weft_err err = weft_call(worker, &job->req, weft_rt_after(rt, 5 * WEFT_SEC), &reply, &taken);
    if (err == WEFT_OK) printf("%d: %d\n", number, ((struct job *)reply)->number);
    else printf("%d: %s\n", number, weft_errname(err));
    if (reply != NULL) weft_drop(&reply->msg);
    else if (!taken) weft_drop(&job->req.msg);
    return err;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level; /* failures are logged; here they are part of the show */
    printf("log: %s: %s\n", facility, line);
}

int main(void)
{
    static const int jobs[] = {7, BAD, 8, BAD, 9, BAD, 10};
    static const weft_err answers[] = {WEFT_OK, WEFT_RESTARTING, WEFT_OK,    WEFT_RESTARTING,
                                       WEFT_OK, WEFT_RESTARTING, WEFT_CLOSED};
    weft_sim_spec world = {.seed = 1};
    weft_sim *sim = NULL;
    weft_rt *rt = NULL;
    weft_err reason = WEFT_OK;
    weft_addr *worker = NULL, *watching = NULL;
    struct watcher watcher = {.reason = &reason};
    weft_spec watcher_spec = {.name = "watcher",
                              .arg = &watcher,
                              .state_size = sizeof(struct watcher),
                              .init = watcher_init,
                              .handle = watcher_handle};
    weft_log_to(quiet, NULL, WEFT_LOG_ERROR);
    if (weft_sim_create(&world, &sim) != WEFT_OK) return 1;
    if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return 1;
    if (weft_spawn(rt, &boss_spec, &watcher.boss) != WEFT_OK) return 1;
    if (weft_spawn(rt, &watcher_spec, &watching) != WEFT_OK) return 1;
    if (weft_whereis_ref(rt, "worker", &worker) != WEFT_OK) return 1;
    int wrong = 0;
    /* A fault from outside, which its client does not notice: the job waits in the mailbox. */
    if (weft_sim_fail(worker, WEFT_IO) != WEFT_OK) return 1;
    wrong += square(rt, worker, 6) != WEFT_OK;
    weft_sim_run_until(sim, weft_sim_now(sim) + 10 * WEFT_SEC); /* it no longer counts */
    for (int i = 0; i < 7; i++) wrong += square(rt, worker, jobs[i]) != answers[i];
    weft_join(watching, weft_rt_after(rt, 10 * WEFT_SEC), NULL);
    weft_addr_put(worker);
    weft_addr_put(watching);
    weft_addr_put(watcher.boss);
    weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC));
    weft_rt_destroy(rt);
    weft_sim_destroy(sim);
    return wrong == 0 && reason == WEFT_LIMIT ? 0 : 1;
}
