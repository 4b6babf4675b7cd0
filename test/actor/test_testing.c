/* SPDX-License-Identifier: Apache-2.0
 * test_testing.c - the public test kit: schedules, exploration, replay by seed, the trace.
 * Called by: the test runner. May touch: public headers only, as a user's test would. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/testing.h>

/* -- Small actors --------------------------------------------------------------------- */

struct note {
    weft_msg msg;
    uint64_t number;
};

static const weft_kind NOTE = {1, "note", sizeof(struct note), weft_free_msg};

static void tell(weft_addr *to, uint64_t number)
{
    struct note *note = (struct note *)weft_new(&NOTE);
    cr_assert_not_null(note);
    note->number = number;
    cr_assert_eq(weft_send(to, &note->msg), WEFT_OK);
}

static weft_err keep_arg(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

static weft_addr *spawn(weft_rt *rt, const char *name,
                        weft_verdict (*handle)(weft_self *, void *, weft_msg *), void *arg)
{
    weft_addr *addr = NULL;
    weft_spec spec = {
        .name = name, .arg = arg, .state_size = sizeof(void *), .init = keep_arg, .handle = handle};
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    return addr;
}

static void end(weft_rt *rt)
{
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

static weft_sim *world(uint64_t seed, weft_schedule schedule, uint32_t depth, uint32_t steps)
{
    weft_sim *sim = NULL;
    weft_sim_spec spec = {.seed = seed, .schedule = schedule, .depth = depth, .steps = steps};
    cr_assert_eq(weft_sim_create(&spec, &sim), WEFT_OK);
    return sim;
}

/* -- A planted race: the settings come later than a long conversation --------------------- */

enum { ROUNDS = 40, SETTINGS = 1000 };

struct late {
    weft_addr *server, *client;
    bool settled, bug;
};

/* Hands the settings on: one step that usually runs long before the conversation is over. */
static weft_verdict settings_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    tell((*(struct late **)state)->server, SETTINGS);
    return WEFT_DONE;
}

/* The bug: the last round assumes that the settings have come. */
static weft_verdict server_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct late *late = *(struct late **)state;
    uint64_t number = ((struct note *)msg)->number;
    (void)self;
    if (number == SETTINGS) late->settled = true;
    else if (number < ROUNDS) tell(late->client, number + 1);
    else if (!late->settled) late->bug = true;
    return WEFT_DONE;
}

static weft_verdict client_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    tell((*(struct late **)state)->server, ((struct note *)msg)->number);
    return WEFT_DONE;
}

static bool settings_come_first(weft_sim *sim, void *arg)
{
    weft_rt *rt = NULL;
    struct late late = {0};
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    late.server = spawn(rt, "server", server_handle, &late);
    late.client = spawn(rt, "client", client_handle, &late);
    weft_addr *settings = spawn(rt, "settings", settings_handle, &late);
    tell(settings, 0);
    tell(late.client, 0);
    weft_sim_run_until(sim, weft_sim_now(sim) + WEFT_SEC);
    weft_addr_put(settings);
    weft_addr_put(late.client);
    weft_addr_put(late.server);
    end(rt);
    if (arg != NULL) *(uint64_t *)arg = weft_sim_digest(sim);
    return !late.bug;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)level;
    snprintf(arg, 200, "%s: %s", facility, line);
}

Test(explore, a_planted_race_is_found_by_pct_and_not_by_the_uniform_schedule)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        weft_sim *sim = world(seed, WEFT_SCHEDULE_UNIFORM, 0, 0);
        cr_assert(settings_come_first(sim, NULL), "uniform found it with seed %u", (unsigned)seed);
        weft_sim_destroy(sim);
    }
    char line[200] = "", wanted[200];
    weft_log_to(quiet, line, WEFT_LOG_ERROR);
    weft_explore found = weft_sim_explore(1, 300, settings_come_first, NULL);
    cr_assert(found.failed);
    cr_assert_eq(found.schedule, WEFT_SCHEDULE_PCT);
    cr_assert_eq(found.runs, 2 * found.seed);
    snprintf(wanted, sizeof wanted, "explore: failed: seed %u schedule pct", (unsigned)found.seed);
    cr_assert_str_eq(line, wanted);
}

struct text {
    char bytes[16384];
    size_t len;
};

static void collect(void *arg, const char *bytes, size_t len)
{
    struct text *text = arg;
    cr_assert(len > 0 && bytes[len - 1] == '\n');
    cr_assert(text->len + len < sizeof text->bytes);
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

Test(explore, a_failure_is_replayed_by_its_seed_and_schedule)
{
    char line[200];
    weft_log_to(quiet, line, WEFT_LOG_ERROR);
    uint64_t digests[3] = {0};
    struct text *texts = calloc(2, sizeof *texts);
    weft_explore found = weft_sim_explore(1, 300, settings_come_first, &digests[2]);
    cr_assert(found.failed);
    for (int i = 0; i < 2; i++) {
        weft_sim *sim = NULL;
        weft_sim_spec spec = {.seed = found.seed,
                              .schedule = found.schedule,
                              .trace = collect,
                              .trace_arg = &texts[i]};
        cr_assert_eq(weft_sim_create(&spec, &sim), WEFT_OK);
        cr_assert_not(settings_come_first(sim, &digests[i]));
        cr_assert_eq(digests[i], digests[2]);
        weft_sim_destroy(sim);
    }
    cr_assert(texts[0].len > 1000);
    cr_assert_eq(texts[0].len, texts[1].len);
    cr_assert_arr_eq(texts[0].bytes, texts[1].bytes, texts[0].len);
    free(texts);
}

/* -- What passes ------------------------------------------------------------------------------ */

static weft_verdict count_one(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    ++*(*(uint64_t **)state);
    return WEFT_DONE;
}

static bool counts_five(weft_sim *sim, void *arg)
{
    uint64_t count = 0;
    weft_rt *rt = NULL;
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    weft_addr *addr = spawn(rt, "count", count_one, &count);
    for (int i = 0; i < 5; i++) tell(addr, 0);
    weft_sim_run_until(sim, WEFT_NEVER);
    weft_addr_put(addr);
    end(rt);
    ++*(unsigned *)arg;
    return count == 5;
}

Test(explore, runs_every_seed_under_both_schedules_when_all_is_well)
{
    unsigned runs = 0;
    weft_explore found = weft_sim_explore(7, 20, counts_five, &runs);
    cr_assert_not(found.failed);
    cr_assert_eq(runs, 40);
    cr_assert_eq(found.runs, 40);
    cr_assert(found.steps >= 40 * 5, "%u", (unsigned)found.steps);
}

Test(explore, short_memory_is_a_failure_and_no_crash)
{
    char line[200];
    weft_log_to(quiet, line, WEFT_LOG_ERROR);
    unsigned runs = 0;
    weft_test_alloc_fail_at(1, true);
    weft_explore found = weft_sim_explore(7, 20, counts_five, &runs);
    weft_test_alloc_fail_at(0, false);
    cr_assert(found.failed);
    cr_assert_eq(found.seed, 7);
    cr_assert_eq(runs, 0);
}

/* -- The schedules ------------------------------------------------------------------------------ */

struct order {
    char said[32];
    size_t len;
};

struct speaker {
    struct order *order;
    char letter;
};

static weft_verdict say(weft_self *self, void *state, weft_msg *msg)
{
    struct speaker *speaker = *(struct speaker **)state;
    (void)self, (void)msg;
    speaker->order->said[speaker->order->len++] = speaker->letter;
    return WEFT_DONE;
}

/* Three actors with four messages each: who spoke when. */
static struct order conversation(weft_sim *sim)
{
    weft_rt *rt = NULL;
    struct order order = {.len = 0};
    struct speaker speakers[3] = {{&order, 'a'}, {&order, 'b'}, {&order, 'c'}};
    weft_addr *addrs[3];
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    for (int i = 0; i < 3; i++) addrs[i] = spawn(rt, "speaker", say, &speakers[i]);
    for (int n = 0; n < 4; n++)
        for (int i = 0; i < 3; i++) tell(addrs[i], 0);
    weft_sim_run_until(sim, WEFT_NEVER);
    cr_assert_eq(order.len, 12);
    for (int i = 0; i < 3; i++) weft_addr_put(addrs[i]);
    end(rt);
    return order;
}

static unsigned switches(const struct order *order)
{
    unsigned count = 0;
    for (size_t i = 1; i < order->len; i++) count += order->said[i] != order->said[i - 1];
    return count;
}

/* With depth d the schedule switches where somebody is done, and at most twice for each of
 * the d - 1 changes: away and back. */
Test(schedule, pct_of_depth_one_never_interrupts)
{
    bool first[3] = {false};
    for (uint64_t seed = 0; seed < 40; seed++) {
        weft_sim *sim = world(seed, WEFT_SCHEDULE_PCT, 1, 100);
        struct order order = conversation(sim);
        weft_sim_destroy(sim);
        cr_assert_eq(switches(&order), 2, "%.12s", order.said);
        first[order.said[0] - 'a'] = true;
    }
    cr_assert(first[0] && first[1] && first[2], "anybody may be the first");
}

Test(schedule, pct_of_depth_three_interrupts_seldom)
{
    unsigned interrupted = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        weft_sim *sim = world(seed, WEFT_SCHEDULE_PCT, 3, 15);
        struct order order = conversation(sim);
        weft_sim_destroy(sim);
        cr_assert(switches(&order) <= 6, "%.12s", order.said);
        interrupted += switches(&order) > 2;
    }
    cr_assert(interrupted >= 20, "%u", interrupted);
}

Test(schedule, uniform_interrupts_often)
{
    unsigned sum = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        weft_sim *sim = world(seed, WEFT_SCHEDULE_UNIFORM, 0, 0);
        struct order order = conversation(sim);
        weft_sim_destroy(sim);
        sum += switches(&order);
    }
    cr_assert(sum > 40 * 5, "%u", sum);
}

Test(schedule, fields_out_of_range_are_refused)
{
    weft_sim *sim = NULL;
    weft_sim_spec deep = {.schedule = WEFT_SCHEDULE_PCT, .depth = WEFT_SIM_DEPTH_MAX + 1};
    weft_sim_spec strange = {.schedule = (weft_schedule)2};
    cr_assert_eq(weft_sim_create(&deep, &sim), WEFT_INVALID);
    cr_assert_eq(weft_sim_create(&strange, &sim), WEFT_INVALID);
    cr_assert_null(sim);
}

/* -- Nobody starves, also under PCT ------------------------------------------------------------ */

struct pair {
    weft_addr *other;
    bool *over;
};

static weft_verdict play_until_over(weft_self *self, void *state, weft_msg *msg)
{
    struct pair *pair = *(struct pair **)state;
    (void)self;
    if (*pair->over) return WEFT_DONE;
    return weft_send(pair->other, msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

static weft_verdict finish(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)msg;
    **(bool **)state = true;
    return WEFT_DONE;
}

static bool is_over(void *arg) { return *(bool *)arg; }

static bool somebody_ends_the_game(weft_sim *sim, void *arg)
{
    weft_rt *rt = NULL;
    bool over = false;
    struct pair pairs[2] = {{NULL, &over}, {NULL, &over}};
    (void)arg;
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    weft_addr *ping = spawn(rt, "ping", play_until_over, &pairs[0]);
    weft_addr *pong = spawn(rt, "pong", play_until_over, &pairs[1]);
    weft_addr *umpire = spawn(rt, "umpire", finish, &over);
    pairs[0].other = pong;
    pairs[1].other = ping;
    tell(ping, 0);
    tell(umpire, 0);
    bool done = weft_sim_run_while_not(sim, is_over, &over, weft_sim_now(sim) + WEFT_SEC);
    weft_addr_put(ping);
    weft_addr_put(pong);
    weft_addr_put(umpire);
    end(rt);
    return done;
}

Test(schedule, nobody_starves_for_ever)
{
    weft_explore found = weft_sim_explore(1, 100, somebody_ends_the_game, NULL);
    cr_assert_not(found.failed, "seed %u", (unsigned)found.seed);
}

/* An event that is due waits for nobody for ever either. */
static void set_over(void *arg) { *(bool *)arg = true; }

static bool an_event_ends_the_game(weft_sim *sim, void *arg)
{
    weft_rt *rt = NULL;
    bool over = false;
    struct pair pair = {NULL, &over};
    (void)arg;
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    weft_addr *alone = spawn(rt, "alone", play_until_over, &pair);
    pair.other = alone;
    tell(alone, 0);
    cr_assert_eq(weft_sim_at(sim, 0, set_over, &over), WEFT_OK);
    bool done = weft_sim_run_while_not(sim, is_over, &over, weft_sim_now(sim) + WEFT_SEC);
    weft_addr_put(alone);
    end(rt);
    return done;
}

Test(schedule, an_event_is_not_put_off_for_ever)
{
    weft_explore found = weft_sim_explore(1, 30, an_event_ends_the_game, NULL);
    cr_assert_not(found.failed, "seed %u", (unsigned)found.seed);
}

/* -- The trace ----------------------------------------------------------------------------------- */

static void nothing(void *arg) { (void)arg; }

static weft_verdict fail_at_once(weft_self *self, void *state, weft_msg *msg)
{
    (void)state, (void)msg;
    return weft_fail(self, WEFT_IO);
}

static weft_verdict hand_on(weft_self *self, void *state, weft_msg *msg)
{
    weft_addr *child = *(weft_addr **)state;
    (void)self;
    cr_assert_eq(weft_send(child, msg), WEFT_OK);
    weft_addr_put(child);
    return WEFT_KEPT;
}

Test(trace, says_when_who_and_what)
{
    struct text *text = calloc(1, sizeof *text);
    weft_sim *sim = NULL;
    weft_sim_spec spec = {.trace = collect, .trace_arg = text};
    cr_assert_eq(weft_sim_create(&spec, &sim), WEFT_OK);
    uint64_t count = 0;
    weft_rt *rt = NULL;
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    weft_addr *addr = spawn(rt, "count", count_one, &count);
    tell(addr, 0);
    cr_assert_eq(weft_sim_at(sim, weft_sim_now(sim) + 1500, nothing, NULL), WEFT_OK);
    weft_sim_run_until(sim, WEFT_NEVER);
    weft_addr_put(addr);
    end(rt);
    weft_sim_destroy(sim);
    cr_assert_str_eq(text->bytes, "1.000000000 count#1 begin count\n"
                                  "1.000000000 count#1 user note\n"
                                  "1.000001500 - event\n"
                                  "1.000001500 count#1 stop\n"
                                  "1.000001500 count#1 end WEFT_OK\n");
    free(text);
}

static weft_err have_child(weft_self *self, void *state, void *arg)
{
    weft_spec child = {.name = "child", .handle = fail_at_once, .restart = WEFT_TRANSIENT};
    (void)arg;
    return weft_spawn_child(self, &child, state);
}

Test(trace, tells_of_a_restart)
{
    char quieted[200];
    weft_log_to(quiet, quieted, WEFT_LOG_OFF);
    struct text *text = calloc(1, sizeof *text);
    weft_sim *sim = NULL;
    weft_sim_spec spec = {.trace = collect, .trace_arg = text};
    cr_assert_eq(weft_sim_create(&spec, &sim), WEFT_OK);
    weft_rt *rt = NULL;
    weft_addr *parent = NULL;
    cr_assert_eq(weft_sim_rt_create(sim, &rt), WEFT_OK);
    weft_spec above = {.name = "parent",
                       .state_size = sizeof(weft_addr *),
                       .init = have_child,
                       .handle = hand_on,
                       .backoff_min_ns = WEFT_MS};
    cr_assert_eq(weft_spawn(rt, &above, &parent), WEFT_OK);
    tell(parent, 0); /* hands the note on to the child, which fails */
    weft_sim_run_until(sim, weft_sim_now(sim) + WEFT_SEC);
    cr_assert_not_null(strstr(text->bytes, " child#2 user note\n"));
    cr_assert_not_null(strstr(text->bytes, " child#2 restart child\n"), "%s", text->bytes);
    weft_addr_put(parent);
    end(rt);
    weft_sim_destroy(sim);
    free(text);
}

/* -- Memory that is short --------------------------------------------------------------------------- */

Test(memory, the_nth_allocation_fails_once_or_for_good)
{
    weft_test_alloc_fail_at(2, false);
    weft_msg *first = weft_new(&NOTE), *second = weft_new(&NOTE), *third = weft_new(&NOTE);
    cr_assert_not_null(first);
    cr_assert_null(second);
    cr_assert_not_null(third);
    weft_test_alloc_fail_at(1, true);
    cr_assert_null(weft_new(&NOTE));
    cr_assert_null(weft_new(&NOTE));
    weft_test_alloc_fail_at(0, false);
    second = weft_new(&NOTE);
    cr_assert_not_null(second);
    weft_drop(first);
    weft_drop(second);
    weft_drop(third);
}
