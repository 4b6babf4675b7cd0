/* SPDX-License-Identifier: Apache-2.0
 * deadline.c - request and reply with a deadline: every ask gets exactly one answer.
 *
 * A client asks a slow server five times with half a second for each. The server takes 200 ms
 * for one, so the first two are answered in time. The others time out; the server sees that
 * nobody waits any more and does not work for nothing. A request that is dropped, or whose
 * server has ended, is answered too: no ask ever hangs.
 *
 * The program runs in the simulator, so its seconds take no time and its output is always the
 * same; with weft_rt_create instead of weft_sim_rt_create it runs on threads. */
#include <stdio.h>

#include <weft/actor.h>
#include <weft/testing.h>

#define PATIENCE (500 * WEFT_MS) /* how long the client waits   */
#define WORK (200 * WEFT_MS)     /* how long the server takes   */

struct question {
    weft_request req;
    int number, answer;
};

/* From weft_new, because the server may hold one after its deadline has passed. */
static const weft_kind QUESTION = {1, "question", sizeof(struct question), weft_free_msg};
static const weft_kind RIDDLE = {2, "riddle", sizeof(struct question), weft_free_msg};

/* -- The server: one at a time, the others wait in a short queue of its own --------------- */

enum { QUEUE = 8 };

struct server {
    struct question *queue[QUEUE]; /* [0] is being worked on */
    int count;
    weft_timer done;
    unsigned skipped;
};

static void server_done(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void server_next(weft_self *self, struct server *server)
{
    while (server->count > 0 && weft_abandoned(&server->queue[0]->req)) {
        weft_drop(&server->queue[0]->req.msg); /* its deadline has passed: nobody would hear */
        server->skipped++;
        for (int i = 1; i < server->count; i++) server->queue[i - 1] = server->queue[i];
        server->count--;
    }
    if (server->count > 0)
        weft_timer_set(self, &server->done, weft_now(self) + WORK, 0, server_done);
}

static void server_done(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct server *server = state;
    struct question *question = server->queue[0];
    (void)timer, (void)missed;
    for (int i = 1; i < server->count; i++) server->queue[i - 1] = server->queue[i];
    server->count--;
    question->answer = question->number * question->number;
    weft_reply(&question->req, WEFT_OK); /* if it came too late, it is freed and counted */
    server_next(self, server);
}

static weft_verdict server_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct server *server = state;
    if (msg->kind != &QUESTION || server->count == QUEUE)
        return WEFT_DONE; /* dropped without an answer: the asker hears DROPPED */
    server->queue[server->count++] = (struct question *)msg;
    if (server->count == 1) server_next(self, server);
    return WEFT_KEPT;
}

static void server_fini(weft_self *self, void *state, weft_err reason)
{
    struct server *server = state;
    (void)self, (void)reason;
    for (int i = 0; i < server->count; i++) weft_drop(&server->queue[i]->req.msg);
    printf("server: skipped %u that nobody waited for\n", server->skipped);
}

/* -- The client ------------------------------------------------------------------------------ */

struct client {
    weft_addr *server;
    unsigned *heard; /* how often each answer came: OK, TIMED_OUT, DROPPED, CLOSED */
};

static void client_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct client *client = state;
    (void)self;
    printf("%s: %s", (const char *)arg, weft_errname(err));
    if (err == WEFT_OK) printf(" %d", ((struct question *)req)->answer);
    printf("\n");
    client->heard[err == WEFT_OK ? 0 : err == WEFT_TIMED_OUT ? 1 : err == WEFT_DROPPED ? 2 : 3]++;
    if (req != NULL) weft_drop(&req->msg); /* ours again; NULL: the server still has it */
}

static weft_err client_ask(weft_self *self, struct client *client, const weft_kind *kind,
                           int number, const char *what)
{
    struct question *question = (struct question *)weft_new(kind);
    if (question == NULL) return WEFT_NO_MEMORY;
    question->number = number;
    weft_err err = weft_ask(self, client->server, &question->req, weft_now(self) + PATIENCE,
                            client_reply, (void *)what, NULL);
    if (err != WEFT_OK) weft_drop(&question->req.msg); /* not taken, and no callback */
    return err;
}

static weft_err client_init(weft_self *self, void *state, void *arg)
{
    struct client *client = state;
    *client = *(struct client *)arg;
    static const char *const names[] = {"first", "second", "third", "fourth", "fifth"};
    weft_err err = WEFT_OK;
    for (int i = 0; i < 5 && err == WEFT_OK; i++)
        err = client_ask(self, client, &QUESTION, i + 2, names[i]);
    if (err == WEFT_OK) err = client_ask(self, client, &RIDDLE, 0, "riddle");
    return err;
}

/* A message to the client: it asks once more. */
static weft_verdict client_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)msg;
    weft_err err = client_ask(self, state, &QUESTION, 9, "once more");
    if (err != WEFT_OK) printf("once more: %s at once\n", weft_errname(err));
    ((struct client *)state)->heard[3] += err == WEFT_CLOSED;
    return WEFT_DONE;
}

int main(void)
{
    weft_sim *sim = NULL;
    weft_rt *rt = NULL;
    unsigned heard[4] = {0};
    struct client client = {.heard = heard};
    weft_addr *asker = NULL;
    weft_sim_spec world = {.seed = 1};
    weft_spec server_spec = {.name = "server",
                             .state_size = sizeof(struct server),
                             .handle = server_handle,
                             .fini = server_fini};
    weft_spec client_spec = {.name = "client",
                             .arg = &client,
                             .state_size = sizeof(struct client),
                             .init = client_init,
                             .handle = client_handle};
    if (weft_sim_create(&world, &sim) != WEFT_OK) return 1;
    if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return 1;
    if (weft_spawn(rt, &server_spec, &client.server) != WEFT_OK) return 1;
    if (weft_spawn(rt, &client_spec, &asker) != WEFT_OK) return 1;
    weft_sim_run_until(sim, weft_sim_now(sim) + 5 * WEFT_SEC);

    weft_stop(client.server, WEFT_DRAIN);
    weft_join(client.server, weft_rt_after(rt, WEFT_SEC), NULL);
    static const weft_kind nudge = {3, "nudge", sizeof(weft_msg), weft_free_msg};
    weft_msg *msg = weft_new(&nudge);
    if (msg != NULL && weft_send(asker, msg) != WEFT_OK) weft_drop(msg);

    weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC));
    weft_addr_put(asker);
    weft_addr_put(client.server);
    weft_rt_destroy(rt);
    weft_sim_destroy(sim);
    return heard[0] == 2 && heard[1] == 3 && heard[2] == 1 && heard[3] == 1 ? 0 : 1;
}
