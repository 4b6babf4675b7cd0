/* SPDX-License-Identifier: Apache-2.0
 * test_fault.c - faults that a user's test injects: a runtime that crashes, an actor that fails.
 * Called by: the test runner. May touch: public headers only, as a user's test would. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include <weft/group.h>
#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/testing.h>

/* -- A world with a runtime that is to crash and one that looks on -------------------------- */

static weft_sim *sim;
static weft_rt *here, *there;

static void silent(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

static void open_world(void)
{
    weft_sim_spec spec = {.seed = 7};
    weft_log_to(silent, NULL, WEFT_LOG_OFF);
    cr_assert_eq(weft_sim_create(&spec, &sim), WEFT_OK);
    cr_assert_eq(weft_sim_rt_create(sim, &here), WEFT_OK);
    cr_assert_eq(weft_sim_rt_create(sim, &there), WEFT_OK);
}

static void end(weft_rt *rt)
{
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

/* `there` has crashed, or not. */
static void close_world(bool crashed)
{
    if (!crashed) end(there);
    end(here);
    weft_sim_destroy(sim);
}

static void run(weft_ns ns) { weft_sim_run_until(sim, weft_sim_now(sim) + ns); }

/* -- An actor that counts what happens to it ------------------------------------------------- */

struct seen {
    int inits, notes, ticks, finis, downs, replies, kept;
    weft_err reason, reply, answer; /* of its fini or of a down; of its ask; of its attempt    */
    weft_request *held;             /* asked, and never answered           */
    weft_addr *peer;                /* for what it does when it is told to */
};

struct state {
    struct seen *seen;
    weft_timer tick;
    int notes; /* of this life */
};

struct note {
    weft_request req;
    int number;
};

enum { COUNT, HOLD, ASK, WATCH, KILL, SPAWN_AND_KILL };

static const weft_kind NOTE = {1, "note", sizeof(struct note), weft_free_msg};

static struct note *note_new(int number)
{
    struct note *note = (struct note *)weft_new(&NOTE);
    cr_assert_not_null(note);
    note->number = number;
    return note;
}

static void tell(weft_addr *to, int number)
{
    cr_assert_eq(weft_send(to, &note_new(number)->req.msg), WEFT_OK);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)timer, (void)missed;
    ((struct state *)state)->seen->ticks++;
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct state *s = state;
    s->seen = arg;
    s->seen->inits++;
    return weft_timer_set(self, &s->tick, weft_now(self) + WEFT_MS, WEFT_MS, on_tick);
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct seen *seen = arg;
    (void)self, (void)state;
    seen->replies++;
    seen->reply = err;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_err init_that_kills(weft_self *self, void *state, void *arg)
{
    (void)self, (void)state;
    ((struct seen *)arg)->answer = weft_sim_kill(there);
    return WEFT_OK;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct state *s = state;
    struct seen *seen = s->seen;
    if (msg->kind == &weft_kind_down) {
        seen->downs++;
        seen->reason = ((weft_down *)msg)->reason;
        return WEFT_DONE;
    }
    seen->notes++;
    seen->kept = ++s->notes;
    weft_spec child = {.name = "child", .arg = seen, .init = init_that_kills, .handle = handle};
    weft_addr *addr = NULL;
    switch (((struct note *)msg)->number) {
    case HOLD: seen->held = (weft_request *)msg; return WEFT_KEPT;
    case ASK:
        cr_assert_eq(weft_ask(self, seen->peer, &note_new(COUNT)->req, weft_now(self) + WEFT_SEC,
                              on_reply, seen, NULL),
                     WEFT_OK);
        break;
    case WATCH: cr_assert_eq(weft_monitor(self, seen->peer, NULL), WEFT_OK); break;
    case KILL: seen->answer = weft_sim_kill(there); break;
    case SPAWN_AND_KILL:
        cr_assert_eq(weft_spawn(here, &child, &addr), WEFT_OK);
        weft_addr_put(addr);
        break;
    default: break;
    }
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    struct seen *seen = ((struct state *)state)->seen;
    (void)self;
    seen->finis++;
    seen->reason = reason;
}

static weft_spec spec_of(struct seen *seen)
{
    return (weft_spec){.name = "node",
                       .arg = seen,
                       .state_size = sizeof(struct state),
                       .init = init,
                       .handle = handle,
                       .fini = fini};
}

static weft_addr *spawn(weft_rt *rt, struct seen *seen)
{
    weft_addr *addr = NULL;
    weft_spec spec = spec_of(seen);
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    return addr;
}

/* -- The crash of a runtime -------------------------------------------------------------------- */

TestSuite(crash, .init = open_world);

Test(crash, actors_vanish_without_fini)
{
    struct seen node = {0};
    weft_addr *addr = spawn(there, &node);
    run(5 * WEFT_MS);
    for (int i = 0; i < 4; i++) tell(addr, COUNT);
    cr_assert_eq(weft_sim_kill(there), WEFT_OK);
    run(WEFT_SEC);
    cr_expect_eq(node.ticks, 5);
    cr_expect_eq(node.notes, 0);
    cr_expect_eq(node.finis, 0);
    weft_addr_put(addr);
    close_world(true);
}

Test(crash, looks_like_an_end_to_who_sends_and_joins)
{
    struct seen node = {0};
    weft_err reason = WEFT_OK;
    weft_addr *addr = spawn(there, &node);
    cr_assert_eq(weft_sim_kill(there), WEFT_OK);
    struct note *note = note_new(COUNT);
    cr_expect_eq(weft_send(addr, &note->req.msg), WEFT_CLOSED);
    weft_drop(&note->req.msg);
    cr_expect_eq(weft_join(addr, 0, &reason), WEFT_OK);
    cr_expect_eq(reason, WEFT_CANCELED);
    weft_addr_put(addr);
    close_world(true);
}

Test(crash, tells_who_watches_and_asks_from_another_runtime)
{
    struct seen node = {0}, asker = {0};
    asker.peer = spawn(there, &node);
    weft_addr *addr = spawn(here, &asker);
    tell(addr, WATCH);
    run(WEFT_MS / 2);
    tell(addr, ASK);
    while (asker.notes < 2) cr_assert(weft_sim_step(sim)); /* asked, and not yet handled */
    cr_assert_eq(node.notes, 0);
    cr_assert_eq(weft_sim_kill(there), WEFT_OK);
    run(WEFT_MS);
    cr_expect_eq(asker.replies, 1);
    cr_expect_eq(asker.reply, WEFT_CLOSED);
    cr_expect_eq(asker.downs, 1);
    cr_expect_eq(asker.reason, WEFT_CANCELED);
    weft_addr_put(asker.peer);
    weft_addr_put(addr);
    close_world(true);
}

static void kill_there(void *arg) { *(weft_err *)arg = weft_sim_kill(there); }

static void plan(weft_ns in, weft_err *err)
{
    *err = WEFT_INTERNAL;
    cr_assert_eq(weft_sim_at(sim, weft_sim_now(sim) + in, kill_there, err), WEFT_OK);
}

Test(crash, ends_the_wait_of_who_joins)
{
    struct seen node = {0};
    weft_err err, reason = WEFT_OK;
    weft_addr *addr = spawn(there, &node);
    plan(10 * WEFT_MS, &err);
    cr_expect_eq(weft_join(addr, WEFT_NEVER, &reason), WEFT_OK);
    cr_expect_eq(reason, WEFT_CANCELED);
    cr_expect_eq(err, WEFT_OK);
    weft_addr_put(addr);
    close_world(true);
}

Test(crash, leaves_a_held_request_without_an_answer)
{
    struct seen node = {0};
    weft_err err;
    weft_request *reply = NULL;
    bool taken = false;
    weft_addr *addr = spawn(there, &node);
    plan(10 * WEFT_MS, &err);
    cr_expect_eq(
        weft_call(addr, &note_new(HOLD)->req, weft_sim_now(sim) + WEFT_SEC, &reply, &taken),
        WEFT_TIMED_OUT);
    cr_expect(taken);
    cr_expect_eq(err, WEFT_OK);
    cr_assert_not_null(node.held);
    weft_drop(&node.held->msg); /* the test's, as it is whose state points to it */
    weft_addr_put(addr);
    close_world(true);
}

Test(crash, takes_groups_and_names_along)
{
    struct seen node = {0};
    weft_group *group = NULL;
    weft_addr *addr = NULL;
    cr_assert_eq(weft_group_create(there, &(weft_group_spec){.workers = 2}, &group), WEFT_OK);
    weft_spec spec = spec_of(&node);
    spec.place = WEFT_PLACE_GROUP;
    spec.group = group;
    cr_assert_eq(weft_spawn(there, &spec, &addr), WEFT_OK);
    cr_expect_eq(weft_sim_kill(there), WEFT_OK);
    cr_expect_eq(weft_stop(addr, WEFT_NOW), WEFT_CLOSED);
    weft_addr_put(addr);
    close_world(true);
}

Test(crash, is_followed_by_another_life)
{
    struct seen node = {0};
    weft_addr_put(spawn(there, &node));
    run(3 * WEFT_MS);
    cr_assert_eq(weft_sim_kill(there), WEFT_OK);
    cr_assert_eq(weft_sim_rt_create(sim, &there), WEFT_OK);
    weft_addr_put(spawn(there, &node));
    run(3 * WEFT_MS);
    cr_expect_eq(node.ticks, 6);
    cr_expect_eq(node.inits, 2);
    close_world(false);
    cr_expect_eq(node.finis, 1);
}

Test(crash, from_inside_one_of_its_own_actors_is_refused)
{
    struct seen node = {0};
    weft_addr *addr = spawn(there, &node);
    tell(addr, KILL);
    run(WEFT_MS);
    cr_expect_eq(node.answer, WEFT_DEADLK);
    node.answer = WEFT_OK;
    tell(addr, SPAWN_AND_KILL); /* the one who asks is another's, but one of these spawns it */
    run(WEFT_MS);
    cr_expect_eq(node.answer, WEFT_DEADLK);
    weft_addr_put(addr);
    close_world(false);
    cr_expect_eq(node.finis, 1, "nothing was done");
}

Test(crash, from_an_actor_of_another_runtime_is_fine)
{
    struct seen node = {0}, chaos = {.answer = WEFT_INTERNAL};
    weft_addr_put(spawn(there, &node));
    weft_addr *addr = spawn(here, &chaos);
    tell(addr, KILL);
    run(WEFT_MS);
    cr_expect_eq(chaos.answer, WEFT_OK);
    weft_addr_put(addr);
    close_world(true);
    cr_expect_eq(node.finis, 0);
}

Test(crash, of_a_runtime_that_is_being_stopped_is_refused)
{
    struct seen node = {0};
    weft_err err = WEFT_INTERNAL;
    for (int i = 0; i < 64; i++) weft_addr_put(spawn(there, &node)); /* the stop takes a while */
    plan(0, &err);
    end(there);
    cr_expect_eq(err, WEFT_BUSY);
    cr_expect_eq(node.finis, 64);
    close_world(true);
}

Test(crash, needs_a_simulation)
{
    weft_rt *rt = NULL;
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_expect_eq(weft_sim_kill(rt), WEFT_INVALID);
    cr_expect_eq(weft_sim_kill(NULL), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    close_world(false);
}

static void collect(void *arg, const char *text, size_t len)
{
    char *all = arg;
    size_t at = strlen(all);
    if (at + len < 4096) memcpy(all + at, text, len), all[at + len] = '\0';
}

Test(crash, and_failures_stand_in_the_trace)
{
    struct seen node = {0}, other = {0};
    char *text = calloc(1, 4096);
    weft_sim *traced = NULL;
    weft_rt *rt = NULL;
    cr_assert_not_null(text);
    weft_sim_spec spec = {.trace = collect, .trace_arg = text};
    cr_assert_eq(weft_sim_create(&spec, &traced), WEFT_OK);
    cr_assert_eq(weft_sim_rt_create(traced, &rt), WEFT_OK);
    weft_addr *addr = spawn(rt, &node);
    weft_addr_put(spawn(rt, &other));
    cr_assert_eq(weft_sim_fail(addr, WEFT_IO), WEFT_OK);
    weft_sim_run_until(traced, weft_sim_now(traced));
    cr_assert_eq(weft_sim_kill(rt), WEFT_OK);
    cr_expect_not_null(strstr(text, "1.000000000 node#1 fail WEFT_IO\n"), "%s", text);
    cr_expect_not_null(strstr(text, "1.000000000 node#1 end WEFT_IO\n"), "%s", text);
    cr_expect_not_null(strstr(text, "1.000000000 node#2 kill\n"), "%s", text);
    weft_addr_put(addr);
    weft_sim_destroy(traced);
    free(text);
    close_world(false);
}

/* -- The failure of one actor -------------------------------------------------------------------- */

TestSuite(failure, .init = open_world);

Test(failure, ends_an_actor_with_its_reason_before_its_mail)
{
    struct seen node = {0};
    weft_err reason = WEFT_OK;
    weft_addr *addr = spawn(here, &node);
    tell(addr, COUNT);
    cr_assert_eq(weft_sim_fail(addr, WEFT_IO), WEFT_OK);
    cr_expect_eq(node.finis, 0, "at its next turn");
    cr_expect_eq(weft_join(addr, weft_rt_after(here, WEFT_SEC), &reason), WEFT_OK);
    cr_expect_eq(reason, WEFT_IO);
    cr_expect_eq(node.reason, WEFT_IO, "and fini was told");
    cr_expect_eq(node.finis, 1);
    cr_expect_eq(node.notes, 0);
    weft_addr_put(addr);
    close_world(false);
}

Test(failure, wakes_an_actor_that_has_nothing_to_do)
{
    weft_addr *addr = NULL;
    weft_spec idle = {.name = "idle", .handle = handle};
    cr_assert_eq(weft_spawn(here, &idle, &addr), WEFT_OK);
    run(0);
    cr_assert_not(weft_sim_step(sim));
    cr_assert_eq(weft_sim_fail(addr, WEFT_IO), WEFT_OK);
    cr_expect(weft_sim_step(sim));
    cr_expect_eq(weft_join(addr, 0, NULL), WEFT_OK);
    weft_addr_put(addr);
    close_world(false);
}

static weft_err parent_init(weft_self *self, void *state, void *arg)
{
    struct seen *seen = arg;
    weft_spec child = spec_of(seen);
    (void)state;
    child.restart = WEFT_TRANSIENT;
    return weft_spawn_child(self, &child, &seen->peer);
}

static weft_addr *spawn_parent(struct seen *seen)
{
    weft_addr *parent = NULL;
    weft_spec spec = {.name = "parent",
                      .arg = seen,
                      .init = parent_init,
                      .handle = handle,
                      .backoff_min_ns = 100 * WEFT_MS};
    cr_assert_eq(weft_spawn(here, &spec, &parent), WEFT_OK);
    return parent;
}

Test(failure, is_what_a_supervisor_mends)
{
    struct seen node = {0};
    weft_addr *parent = spawn_parent(&node);
    tell(node.peer, COUNT);
    run(WEFT_MS / 2);
    tell(node.peer, COUNT);
    cr_assert_eq(weft_sim_fail(node.peer, WEFT_IO), WEFT_OK);
    run(WEFT_SEC);
    cr_expect_eq(node.inits, 2);
    cr_expect_eq(node.finis, 1);
    cr_expect_eq(node.notes, 2, "its mail is kept");
    cr_expect_eq(node.kept, 1, "the state is new");
    weft_addr_put(node.peer);
    weft_addr_put(parent);
    close_world(false);
}

Test(failure, between_two_lives_or_after_the_last_is_refused)
{
    struct seen node = {0};
    weft_addr *parent = spawn_parent(&node);
    cr_assert_eq(weft_sim_fail(node.peer, WEFT_IO), WEFT_OK);
    run(10 * WEFT_MS);
    cr_assert_eq(node.finis, 1);
    cr_expect_eq(weft_sim_fail(node.peer, WEFT_IO), WEFT_RESTARTING);
    run(WEFT_SEC);
    cr_assert_eq(weft_stop(parent, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(weft_join(parent, weft_rt_after(here, WEFT_SEC), NULL), WEFT_OK);
    cr_expect_eq(weft_sim_fail(node.peer, WEFT_IO), WEFT_CLOSED);
    weft_addr_put(node.peer);
    weft_addr_put(parent);
    close_world(false);
}

Test(failure, needs_a_reason_and_a_simulation)
{
    struct seen node = {0}, real = {0};
    weft_rt *rt = NULL;
    weft_addr *addr = spawn(here, &node);
    cr_expect_eq(weft_sim_fail(addr, WEFT_OK), WEFT_INVALID);
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    addr = spawn(rt, &real);
    cr_expect_eq(weft_sim_fail(addr, WEFT_IO), WEFT_INVALID);
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    cr_expect_eq(real.reason, WEFT_OK);
    close_world(false);
}
