/* SPDX-License-Identifier: Apache-2.0
 * test_sim.c - the simulator: one seed, one history; time that jumps; crashes.
 * Called by: the test runner. */
#include "rig.h"

#include "block.h"

/* A world of actors that pass notes at random for a while. */
enum { ACTORS = 5 };

struct world {
    weft_addr *peers[ACTORS];
    uint64_t handled;
};

static weft_verdict gossip(weft_self *self, void *data, weft_msg *msg)
{
    struct world *world = data;
    struct note *note = (struct note *)msg;
    uint8_t to;
    world->handled++;
    if (note->number == 0) return WEFT_DONE;
    note->number--;
    weft_self_random(self, &to, 1);
    return weft_send(world->peers[to % ACTORS], msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

static uint64_t trace_of(uint64_t seed)
{
    struct rig rig = rig_open(true, seed);
    struct world world = {0};
    for (int i = 0; i < ACTORS; i++) world.peers[i] = rig_spawn(&rig, gossip, &world, 0);
    for (int i = 0; i < ACTORS; i++)
        cr_assert_eq(weft_send(world.peers[i], &note_new(0, 50)->msg), WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(world.handled, ACTORS * 51);
    uint64_t trace = wf_sim_trace(rig.sim);
    for (int i = 0; i < ACTORS; i++) weft_addr_put(world.peers[i]);
    rig_close(&rig);
    return trace;
}

Test(sim, equal_seeds_give_equal_traces)
{
    for (uint64_t seed = 0; seed < 5; seed++) cr_assert_eq(trace_of(seed), trace_of(seed));
}

Test(sim, different_seeds_give_different_traces)
{
    for (uint64_t seed = 0; seed < 5; seed++) cr_assert_neq(trace_of(seed), trace_of(seed + 1));
}

Test(sim, the_order_of_independent_actors_depends_on_the_seed)
{
    unsigned first[2] = {0};
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct rig rig = rig_open(true, seed);
        struct world a = {0}, b = {0};
        weft_addr *one = rig_spawn(&rig, gossip, &a, 0), *two = rig_spawn(&rig, gossip, &b, 0);
        cr_assert_eq(weft_send(one, &note_new(0, 0)->msg), WEFT_OK);
        cr_assert_eq(weft_send(two, &note_new(0, 0)->msg), WEFT_OK);
        while (a.handled + b.handled == 0) cr_assert(wf_sim_step(rig.sim));
        first[a.handled == 0]++;
        weft_addr_put(one);
        weft_addr_put(two);
        rig_close(&rig);
    }
    cr_assert(first[0] > 10 && first[1] > 10, "%u %u", first[0], first[1]);
}

/* -- Order of one sender to one receiver -- */

static weft_verdict in_order(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    uint64_t *next = data;
    cr_assert_eq(((struct note *)msg)->number, *next);
    ++*next;
    return WEFT_DONE;
}

Test(sim, one_sender_stays_in_order_under_every_seed)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rig rig = rig_open(true, seed);
        uint64_t next = 0;
        weft_addr *addr = rig_spawn(&rig, in_order, &next, 0);
        for (uint64_t i = 0; i < 100; i++) {
            cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
            if (wf_sim_below(rig.sim, 3) == 0) (void)wf_sim_step(rig.sim);
        }
        wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
        cr_assert_eq(next, 100);
        weft_addr_put(addr);
        rig_close(&rig);
    }
}

/* -- Time -- */

struct event {
    wf_sim *sim;
    weft_ns at;
    unsigned runs;
};

static void on_event(void *arg)
{
    struct event *event = arg;
    event->at = wf_sim_now(event->sim);
    event->runs++;
    cr_assert_not(wf_in_actor());
}

Test(sim, an_event_runs_at_its_time_and_the_clock_jumps)
{
    struct rig rig = rig_open(true, 1);
    struct event event = {.sim = rig.sim};
    weft_ns at = wf_sim_now(rig.sim) + 3600 * WEFT_SEC;
    cr_assert_eq(wf_sim_at(rig.sim, at, on_event, &event), WEFT_OK);
    cr_assert(wf_sim_step(rig.sim));
    cr_assert_eq(event.runs, 1);
    cr_assert_eq(event.at, at);
    cr_assert_not(wf_sim_step(rig.sim), "nothing is left");
    rig_close(&rig);
}

Test(sim, run_until_stops_before_what_is_later)
{
    struct rig rig = rig_open(true, 1);
    struct event event = {.sim = rig.sim};
    weft_ns at = wf_sim_now(rig.sim) + 100;
    cr_assert_eq(wf_sim_at(rig.sim, at, on_event, &event), WEFT_OK);
    wf_sim_run_until(rig.sim, at - 1);
    cr_assert_eq(event.runs, 0);
    cr_assert_eq(wf_sim_now(rig.sim), at - 1);
    wf_sim_run_until(rig.sim, at);
    cr_assert_eq(event.runs, 1);
    cr_assert_eq(wf_sim_at(rig.sim, at + 100, on_event, &event), WEFT_OK); /* freed unrun */
    rig_close(&rig);
}

static bool has_run(void *arg) { return ((struct event *)arg)->runs > 0; }

Test(sim, run_while_not_tells_whether_it_happened)
{
    struct rig rig = rig_open(true, 1);
    struct event event = {.sim = rig.sim};
    weft_ns now = wf_sim_now(rig.sim);
    cr_assert_not(wf_sim_run_while_not(rig.sim, has_run, &event, now + 50));
    cr_assert_eq(wf_sim_at(rig.sim, now + 100, on_event, &event), WEFT_OK);
    cr_assert(wf_sim_run_while_not(rig.sim, has_run, &event, now + 1000));
    cr_assert_eq(wf_sim_now(rig.sim), now + 100);
    rig_close(&rig);
}

/* Sends itself the note for ever: time must pass all the same. */
static weft_verdict spin_for_ever(weft_self *self, void *data, weft_msg *msg)
{
    (void)data;
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

Test(sim, a_busy_loop_does_not_stop_the_clock)
{
    struct rig rig = rig_open(true, 1);
    struct event event = {.sim = rig.sim};
    weft_addr *addr = rig_spawn(&rig, spin_for_ever, NULL, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(wf_sim_at(rig.sim, wf_sim_now(rig.sim) + 100000, on_event, &event), WEFT_OK);
    cr_assert(wf_sim_run_while_not(rig.sim, has_run, &event, wf_sim_now(rig.sim) + WEFT_SEC));
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(sim, below_is_in_range_and_even)
{
    struct rig rig = rig_open(true, 9);
    unsigned seen[5] = {0};
    for (int i = 0; i < 5000; i++) seen[wf_sim_below(rig.sim, 5)]++;
    for (int i = 0; i < 5; i++) cr_assert(seen[i] > 850 && seen[i] < 1150, "%u", seen[i]);
    cr_assert_eq(wf_sim_below(rig.sim, 1), 0);
    rig_close(&rig);
}

Test(sim, the_wall_clock_follows_the_virtual_one)
{
    struct rig rig = rig_open(true, 9);
    int64_t begin = wf_wall_ms(rig.rt);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 5 * WEFT_SEC);
    cr_assert_eq(wf_wall_ms(rig.rt), begin + 5000);
    cr_assert_eq(wf_sim_of(rig.rt), rig.sim);
    rig_close(&rig);
}

Test(sim, the_wall_clock_may_jump_and_the_virtual_one_does_not)
{
    struct rig rig = rig_open(true, 9);
    int64_t begin = wf_wall_ms(rig.rt);
    weft_ns now = wf_sim_now(rig.sim);
    for (int64_t jump = -5000; jump <= 5000; jump += 5000) {
        wf_sim_wall_shift(rig.sim, jump);
        cr_expect_eq(wf_wall_ms(rig.rt), begin + jump);
        cr_expect_eq(wf_sim_now(rig.sim), now);
    }
    rig_close(&rig);
}

/* -- A crash of one runtime -- */

struct node {
    weft_addr *callee;
    weft_timer timer;
    unsigned finis, ticks, replies;
    weft_err err;
};

struct node_state {
    weft_timer timer;
    struct node *node;
};

static void node_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self, (void)timer, (void)missed;
    ((struct node_state *)state)->node->ticks++;
}

static weft_err node_init(weft_self *self, void *state, void *arg)
{
    struct node_state *s = state;
    s->node = arg;
    return weft_timer_set(self, &s->timer, weft_now(self) + WEFT_MS, WEFT_MS, node_tick);
}

static void node_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self, (void)reason;
    ((struct node_state *)state)->node->finis++;
}

static weft_addr *node_spawn(weft_rt *rt, struct node *node)
{
    weft_addr *addr = NULL;
    weft_spec spec = {.name = "node",
                      .arg = node,
                      .state_size = sizeof(struct node_state),
                      .init = node_init,
                      .fini = node_fini,
                      .handle = rig_echo};
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    return addr;
}

Test(kill, actors_vanish_without_fini_and_their_mail_is_freed)
{
    struct rig rig = rig_open(true, 2);
    struct node node = {0};
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    weft_addr *addr = node_spawn(doomed, &node);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 5 * WEFT_MS);
    cr_assert_eq(node.ticks, 5);
    for (unsigned i = 0; i < 4; i++) cr_assert_eq(weft_send(addr, &note_new(0, i)->msg), WEFT_OK);
    wf_sim_kill(doomed);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(node.ticks, 5);
    cr_assert_eq(node.finis, 0);
    struct note *note = note_new(0, 0);
    cr_assert_eq(weft_send(addr, &note->msg), WEFT_CLOSED);
    weft_drop(&note->msg);
    weft_err reason = WEFT_OK;
    cr_assert_eq(weft_join(addr, 0, &reason), WEFT_OK);
    cr_assert_eq(reason, WEFT_CANCELED);
    weft_addr_put(addr);
    rig_close(&rig);
}

static void node_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct node *node = arg;
    (void)self, (void)state;
    node->replies++;
    node->err = err;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_verdict ask_now(weft_self *self, void *data, weft_msg *msg)
{
    struct node *node = data;
    (void)msg;
    struct query *query = query_new(0);
    cr_assert_eq(weft_ask(self, node->callee, &query->req, weft_now(self) + WEFT_SEC, node_reply,
                          node, NULL),
                 WEFT_OK);
    return WEFT_DONE;
}

Test(kill, an_asker_of_another_runtime_hears_closed)
{
    struct rig rig = rig_open(true, 2);
    struct node callee = {0}, asker = {0};
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    asker.callee = node_spawn(doomed, &callee);
    /* Keep the callee from running: the request must still be in its mailbox. */
    weft_addr *addr = rig_spawn(&rig, ask_now, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert(wf_sim_step(rig.sim)); /* the only one with mail is the asker */
    wf_sim_kill(doomed);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(asker.replies, 1);
    cr_assert_eq(asker.err, WEFT_CLOSED);
    weft_addr_put(asker.callee);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(kill, an_ask_of_a_killed_asker_is_abandoned)
{
    struct rig rig = rig_open(true, 2);
    struct node asker = {0};
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    struct rig other = {.rt = doomed, .sim = rig.sim};
    asker.callee = rig_spawn(&rig, rig_echo, NULL, 0);
    weft_addr *addr = rig_spawn(&other, ask_now, &asker, 0);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert(wf_sim_step(rig.sim));
    wf_sim_kill(doomed);
    cr_assert_eq(rig_call(&rig, asker.callee, 0), WEFT_OK);
    cr_assert_eq(asker.replies, 0);
    weft_addr_put(asker.callee);
    weft_addr_put(addr);
    rig_close(&rig);
}

static void kill_it(void *arg) { wf_sim_kill(arg); }

Test(kill, may_be_planned_as_an_event)
{
    struct rig rig = rig_open(true, 2);
    struct node node = {0};
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    weft_addr_put(node_spawn(doomed, &node));
    cr_assert_eq(wf_sim_at(rig.sim, wf_sim_now(rig.sim) + 10 * WEFT_MS + 1, kill_it, doomed),
                 WEFT_OK);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(node.ticks, 10);
    rig_close(&rig);
}
