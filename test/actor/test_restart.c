/* SPDX-License-Identifier: Apache-2.0
 * test_restart.c - what a restart keeps, what it does not, and who decides.
 * Called by: the test runner. */
#include "family.h"

#include "alloc.h"
#include "self.h"

/* -- What is kept ---------------------------------------------------------------------- */

PLACES(restart, keeps_the_address_and_the_mail_in_order)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    family_start(&f);
    weft_addr *before = kid->addr;
    tell(kid->addr, 1);
    tell(kid->addr, TELL_FAIL);
    tell(kid->addr, 2);
    tell(kid->addr, 3);
    cr_assert_eq(rig_call(rig, kid->addr, 7), WEFT_OK);
    cr_assert_eq(kid->lives, 2);
    cr_assert_eq(kid->sum, 123);
    cr_assert_eq(kid->addr, before);
    cr_assert_eq(kid->fini_reason, WEFT_IO);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

static weft_verdict stash_and_fail(weft_self *self, struct kid *kid, weft_msg *msg)
{
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    if (kid->lives == 1) return ((struct note *)msg)->number < 3 ? WEFT_STASH : WEFT_DONE;
    kid->sum = kid->sum * 10 + ((struct note *)msg)->number;
    return WEFT_DONE;
}

PLACES(restart, brings_back_what_was_stashed)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = stash_and_fail;
    family_start(&f);
    for (uint64_t i = 1; i <= 3; i++) tell(kid->addr, i);
    tell(kid->addr, TELL_FAIL);
    tell(kid->addr, 4);
    cr_assert_eq(rig_call(rig, kid->addr, 7), WEFT_OK);
    cr_assert_eq(kid->sum, 124);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, is_counted)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    family_start(&f);
    tell(kid->addr, TELL_FAIL);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    weft_actor_stats stats;
    weft_addr_stats(kid->addr, &stats);
    cr_assert_eq(stats.restarts, 1);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- Which ends are followed by a restart --------------------------------------------------- */

PLACES(restart, never_of_a_temporary_child)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TEMPORARY);
    family_start(&f);
    tell(kid->addr, TELL_FAIL);
    cr_assert_eq(rig_join(rig, kid->addr), WEFT_IO);
    cr_assert_eq(rig_call(rig, f.addr, 1), WEFT_OK); /* the boss does not mind */
    cr_assert_eq(kid->lives, 1);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, of_a_transient_child_not_after_a_stop)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    family_start(&f);
    tell(kid->addr, TELL_STOP);
    cr_assert_eq(rig_join(rig, kid->addr), WEFT_OK);
    cr_assert_eq(kid->lives, 1);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, of_a_permanent_child_after_its_own_stop)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_PERMANENT);
    family_start(&f);
    tell(kid->addr, TELL_STOP);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(kid->lives, 2);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, does_not_undo_a_stop_from_outside)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_PERMANENT);
    family_start(&f);
    cr_assert_eq(weft_stop(kid->addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, kid->addr), WEFT_OK);
    cr_assert_eq(kid->lives, 1);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, that_is_still_to_come_is_ended_by_a_stop)
{
    struct family f;
    family_init(&f, rig);
    f.boss.backoff_min_ns = f.boss.backoff_max_ns = 1000 * WEFT_SEC;
    struct kid *kid = family_kid(&f, "a", WEFT_PERMANENT);
    family_start(&f);
    struct query *query = query_new(1);
    weft_request *out;
    bool taken;
    tell(kid->addr, TELL_FAIL);
    cr_assert_eq(weft_call(kid->addr, &query->req, weft_rt_after(rig->rt, WEFT_MS), &out, &taken),
                 WEFT_TIMED_OUT);
    cr_assert_eq(weft_stop(kid->addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, kid->addr), WEFT_IO);
    cr_assert_eq(kid->lives, 1);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- The message in hand ---------------------------------------------------------------------- */

static weft_verdict fail_on_query(weft_self *self, struct kid *kid, weft_msg *msg)
{
    if (msg->kind == &QUERY && kid->lives == 1) return weft_fail(self, WEFT_IO);
    return rig_echo(self, NULL, msg);
}

PLACES(restart, answers_the_request_in_hand_with_restarting)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = fail_on_query;
    family_start(&f);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_RESTARTING);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

struct dead {
    unsigned count;
    weft_err why;
};

static void on_dead(void *arg, weft_addr *to, weft_msg *msg, weft_err why)
{
    struct dead *dead = arg;
    (void)to;
    dead->count++;
    dead->why = why;
    weft_drop(msg);
}

PLACES(restart, makes_the_tell_in_hand_a_dead_letter)
{
    struct family f;
    struct dead dead = {0};
    weft_rt_on_dead_letter(rig->rt, on_dead, &dead);
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    family_start(&f);
    tell(kid->addr, TELL_FAIL);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(family_end(&f), WEFT_OK);
    cr_assert_eq(dead.count, 1);
    cr_assert_eq(dead.why, WEFT_RESTARTING);
}

static weft_request *held;

static weft_verdict hold_query(weft_self *self, struct kid *kid, weft_msg *msg)
{
    if (msg->kind != &QUERY || kid->lives > 1) return rig_echo(self, NULL, msg);
    held = (weft_request *)msg;
    tell(weft_self_addr(self), TELL_FAIL);
    return WEFT_KEPT;
}

static void drop_held(weft_self *self, struct kid *kid)
{
    (void)self;
    (void)kid;
    if (held != NULL) weft_drop(&held->msg);
    held = NULL;
}

PLACES(restart, answers_what_fini_drops_with_restarting)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = hold_query;
    kid->fini = drop_held;
    family_start(&f);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_RESTARTING);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, a_true_end_drops_without_a_word_of_it)
{
    struct family f;
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TEMPORARY);
    kid->handle = hold_query;
    kid->fini = drop_held;
    family_start(&f);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_DROPPED);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- What is not kept ----------------------------------------------------------------------------- */

struct asker {
    weft_addr *to;
    unsigned canceled, ticks;
    weft_timer timer;
    weft_err err;
};

static struct asker asker;

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    if (err == WEFT_CANCELED) asker.canceled++;
    if (req != NULL) weft_drop(&req->msg);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)state;
    (void)timer;
    (void)missed;
    asker.ticks++;
}

static weft_verdict ask_and_fail(weft_self *self, struct kid *kid, weft_msg *msg)
{
    if (msg->kind != &NOTE || kid->lives > 1) return rig_echo(self, NULL, msg);
    cr_assert_eq(weft_ask(self, asker.to, &query_new(1)->req, WEFT_NEVER, on_reply, NULL, NULL),
                 WEFT_OK);
    cr_assert_eq(weft_timer_set(self, &asker.timer, weft_now(self) + WEFT_MS, 0, on_tick), WEFT_OK);
    return weft_fail(self, WEFT_IO);
}

/* Keeps a query for ever, that is to its end. */
static weft_verdict keep(weft_self *self, void *data, weft_msg *msg)
{
    weft_msg **kept = data;
    (void)self;
    if (msg->kind != &QUERY || *kept != NULL) return rig_echo(self, NULL, msg);
    *kept = msg;
    return WEFT_KEPT;
}

PLACES(restart, cancels_asks_and_timers)
{
    struct family f;
    weft_msg *kept = NULL;
    asker = (struct asker){.to = rig_spawn(rig, keep, &kept, 0)};
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = ask_and_fail;
    family_start(&f);
    tell(kid->addr, 1);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK); /* 7.5 ms later at least */
    cr_assert_eq(asker.canceled, 1);
    cr_assert_eq(asker.ticks, 0);
    cr_assert_eq(rig_call(rig, asker.to, 1), WEFT_OK);
    weft_drop(kept);
    weft_addr_put(asker.to);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* A request that is part of the state and still with its callee when the state is renewed. */
struct embedding {
    struct kid_state head;
    weft_request req;
    uint64_t guard;
};

static const weft_kind EMBEDDED = {3, "embedded", sizeof(weft_request), NULL};

static weft_verdict keep_embedded(weft_self *self, void *data, weft_msg *msg)
{
    weft_request **kept = data;
    if (msg->kind == &EMBEDDED) {
        *kept = (weft_request *)msg;
        return WEFT_KEPT;
    }
    if (msg->kind == &NOTE && *kept != NULL) weft_reply(*kept, WEFT_OK);
    return rig_echo(self, NULL, msg);
}

static weft_verdict embed_and_fail(weft_self *self, struct kid *kid, weft_msg *msg)
{
    struct embedding *state = kid->state;
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    weft_msg_init(&state->req.msg, &EMBEDDED);
    if (kid->lives > 1) { /* the state is no part of the actor's block any more */
        asker.err = weft_ask(self, asker.to, &state->req, weft_now(self) + 3600 * WEFT_SEC,
                             on_reply, NULL, NULL);
        return WEFT_DONE;
    }
    cr_assert_eq(weft_ask(self, asker.to, &state->req, WEFT_NEVER, on_reply, NULL, NULL), WEFT_OK);
    return weft_fail(self, WEFT_IO);
}

static weft_err embedding_init(weft_self *self, void *state, void *arg)
{
    struct embedding *mine = state;
    cr_assert_eq(mine->guard, 0);
    mine->guard = 42;
    return kid_init(self, state, arg);
}

static weft_err embedding_boss_init(weft_self *self, void *state, void *arg)
{
    struct family *family = arg;
    struct kid *kid = &family->kid[0];
    *(struct family **)state = family;
    kid->family = family;
    kid->spec = (weft_spec){.name = "a",
                            .arg = kid,
                            .state_size = sizeof(struct embedding),
                            .init = embedding_init,
                            .handle = kid_handle,
                            .restart = WEFT_PERMANENT};
    family_place(family, &kid->spec, false);
    return weft_spawn_child(self, &kid->spec, &kid->addr);
}

PLACES(restart, leaves_a_state_alone_while_a_callee_holds_a_part_of_it)
{
    struct family f;
    weft_request *kept = NULL;
    asker = (struct asker){.to = rig_spawn(rig, keep_embedded, &kept, 0)};
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_PERMANENT);
    kid->handle = embed_and_fail;
    weft_spec spec = family_spec(&f);
    spec.init = embedding_boss_init;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &f.addr), WEFT_OK);
    struct embedding *before = kid->state;
    tell(kid->addr, 1);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    struct embedding *after = kid->state;
    cr_assert_neq(before, after);
    tell(asker.to, 1); /* answers into the old state, late */
    cr_assert_eq(rig_call(rig, asker.to, 1), WEFT_OK);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(before->guard, 42);
    cr_assert_eq(after->guard, 42);
    tell(kid->addr, TELL_FAIL); /* nothing is out any more: the same state again */
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(kid->state, (void *)after);
    weft_addr_put(asker.to);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

Test(restart, the_state_of_a_later_life_may_be_asked_with_until_a_deadline)
{
    struct rig opened = rig_open(true, 7), *rig = &opened;
    bool checked = wf_misuse_checks;
    struct family f;
    weft_request *kept = NULL;
    asker = (struct asker){.to = rig_spawn(rig, keep_embedded, &kept, 0), .err = WEFT_INTERNAL};
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_PERMANENT);
    kid->handle = embed_and_fail;
    weft_spec spec = family_spec(&f);
    spec.init = embedding_boss_init;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &f.addr), WEFT_OK);
    wf_misuse_checks = true;
    tell(kid->addr, 1);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    tell(asker.to, 1);
    tell(kid->addr, 1);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(asker.err, WEFT_OK);
    tell(asker.to, 1); /* an answer, so that nothing is kept */
    cr_assert_eq(rig_call(rig, asker.to, 1), WEFT_OK);
    cr_assert_eq(weft_stop(asker.to, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, asker.to), WEFT_OK);
    weft_addr_put(asker.to);
    cr_assert_eq(family_end(&f), WEFT_OK);
    wf_misuse_checks = checked;
    rig_close(rig);
}

/* -- When ---------------------------------------------------------------------------------------- */

Test(restart, waits_for_the_back_off_of_the_virtual_clock)
{
    struct rig rig = rig_open(true, 3);
    struct family f;
    family_init(&f, &rig);
    f.boss.intensity = 100;
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    family_start(&f);
    weft_ns wait = 10 * WEFT_MS;
    for (int i = 0; i < 6; i++, wait *= 2) {
        weft_ns failed_at = wf_sim_now(rig.sim);
        tell(kid->addr, TELL_FAIL);
        cr_assert_eq(rig_call(&rig, kid->addr, 1), WEFT_OK);
        weft_ns took = kid->born_at - failed_at;
        cr_assert(took >= wait - wait / 4 && took <= wait + wait / 4, "%d: %lu", i,
                  (unsigned long)took);
    }
    cr_assert_eq(family_end(&f), WEFT_OK);
    rig_close(&rig);
}

PLACES(restart, is_tried_again_while_init_fails)
{
    struct family f;
    family_init(&f, rig);
    f.boss.backoff_min_ns = 1;
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->failing_inits = 2;
    family_start(&f);
    tell(kid->addr, TELL_FAIL);
    tell(kid->addr, 5);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    cr_assert_eq(kid->lives, 4);
    cr_assert_eq(kid->sum, 5);
    JOURNAL_IS(&f, "a IO, a cannot, a cannot, a up");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- Who -------------------------------------------------------------------------------------------- */

static void four(struct family *f, struct rig *rig, weft_strategy strategy)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    family_init(f, rig);
    f->boss.strategy = strategy;
    for (int i = 0; i < 4; i++) (void)family_kid(f, names[i], WEFT_PERMANENT);
}

static void wait_for_all(struct rig *rig, struct family *f)
{
    for (int i = 0; i < f->kids; i++) (void)rig_call(rig, f->kid[i].addr, 1);
}

PLACES(restart, one_for_one_is_of_one)
{
    struct family f;
    four(&f, rig, WEFT_ONE_FOR_ONE);
    family_start(&f);
    tell(f.kid[1].addr, TELL_FAIL);
    wait_for_all(rig, &f);
    JOURNAL_IS(&f, "b IO, b up");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, rest_for_one_is_of_those_spawned_after)
{
    struct family f;
    four(&f, rig, WEFT_REST_FOR_ONE);
    family_start(&f);
    tell(f.kid[1].addr, TELL_FAIL);
    wait_for_all(rig, &f);
    cr_assert_eq(rig_call(rig, f.kid[3].addr, 1), WEFT_OK);
    JOURNAL_IS(&f, "b IO, d CANCELED, c CANCELED, b up, c up, d up");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(restart, one_for_all_is_of_all_but_the_temporary)
{
    struct family f;
    four(&f, rig, WEFT_ONE_FOR_ALL);
    f.kid[1].spec.restart = WEFT_TEMPORARY;
    family_start(&f);
    tell(f.kid[2].addr, TELL_FAIL);
    cr_assert_eq(rig_join(rig, f.kid[1].addr), WEFT_OK);
    cr_assert_eq(rig_call(rig, f.kid[2].addr, 1), WEFT_OK);
    cr_assert_eq(rig_call(rig, f.kid[3].addr, 1), WEFT_OK);
    JOURNAL_IS(&f, "c IO, d CANCELED, b OK, a CANCELED, a up, c up, d up");
    cr_assert_eq(family_end(&f), WEFT_OK);
}

Test(restart, of_a_halted_child_keeps_its_mail)
{
    struct rig rig = rig_open(true, 11);
    struct family f;
    four(&f, &rig, WEFT_ONE_FOR_ALL);
    family_start(&f);
    tell(f.kid[0].addr, TELL_FAIL);
    for (uint64_t i = 1; i <= 3; i++) {
        for (int n = 0; n < 5; n++) (void)wf_sim_step(rig.sim);
        tell(f.kid[3].addr, i);
    }
    cr_assert_eq(rig_call(&rig, f.kid[3].addr, 1), WEFT_OK);
    cr_assert_eq(f.kid[3].lives, 2);
    cr_assert_eq(f.kid[3].sum, 123);
    cr_assert_eq(family_end(&f), WEFT_OK);
    rig_close(&rig);
}

/* -- Too many --------------------------------------------------------------------------------------- */

PLACES(restart, beyond_the_intensity_fails_the_parent_with_limit)
{
    struct family f;
    family_init(&f, rig);
    f.boss.intensity = 2;
    f.boss.backoff_min_ns = 1;
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    struct kid *other = family_kid(&f, "b", WEFT_PERMANENT);
    family_start(&f);
    for (int i = 0; i < 3; i++) tell(kid->addr, TELL_FAIL);
    cr_assert_eq(rig_join(rig, f.addr), WEFT_LIMIT);
    cr_assert_eq(rig_join(rig, kid->addr), WEFT_IO);
    cr_assert_eq(rig_join(rig, other->addr), WEFT_OK);
    cr_assert_eq(kid->lives, 3);
    JOURNAL_IS(&f, "a IO, a up, a IO, a up, a IO, b OK, boss LIMIT");
    cr_assert_eq(family_end(&f), WEFT_LIMIT);
}

/* A boss that is a child itself. */
static weft_err top_init(weft_self *self, void *data)
{
    struct family *family = data;
    weft_spec spec = family_spec(family);
    spec.restart = WEFT_PERMANENT;
    return weft_spawn_child(self, &spec, &family->addr);
}

PLACES(restart, of_a_parent_ends_its_children_first_and_spawns_them_anew)
{
    struct family f;
    family_init(&f, rig);
    f.boss.intensity = 1;
    f.boss.backoff_min_ns = 1;
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    weft_addr *top = rig_spawn_init(rig, rig_echo, top_init, &f, 0);
    journal_clear(&f);
    weft_addr *before = weft_addr_get(kid->addr);
    tell(before, TELL_FAIL);
    tell(before, TELL_FAIL);
    cr_assert_eq(rig_join(rig, before), WEFT_IO);
    cr_assert_eq(rig_call(rig, f.addr, 1), WEFT_OK); /* handled in its second life */
    cr_assert_eq(f.lives, 2);
    cr_assert_neq(kid->addr, before);
    cr_assert_eq(rig_call(rig, kid->addr, 1), WEFT_OK);
    JOURNAL_IS(&f, "a IO, a up, a IO, boss LIMIT, a up, boss up");
    weft_addr_put(before);
    cr_assert_eq(weft_stop(top, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, top), WEFT_OK);
    weft_addr_put(top);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- Bad input --------------------------------------------------------------------------------------- */

static weft_err spawn_error(struct rig *rig, weft_spec spec)
{
    weft_addr *addr = NULL;
    spec.handle = boss_handle;
    weft_err err = weft_spawn(rig->rt, &spec, &addr);
    cr_assert_null(addr);
    return err;
}

BOTH(restart, rejects_specs_that_make_no_sense)
{
    cr_assert_eq(spawn_error(rig, (weft_spec){.restart = WEFT_PERMANENT}), WEFT_INVALID);
    cr_assert_eq(spawn_error(rig, (weft_spec){.strategy = (weft_strategy)3}), WEFT_INVALID);
    cr_assert_eq(spawn_error(rig, (weft_spec){.intensity = WEFT_INTENSITY_MAX + 1}), WEFT_INVALID);
    cr_assert_eq(spawn_error(rig, (weft_spec){.backoff_min_ns = 2, .backoff_max_ns = 1}),
                 WEFT_INVALID);
}

struct deep {
    unsigned depth;
    weft_err err;
};

static weft_err deep_init(weft_self *self, void *state, void *arg)
{
    struct deep *deep = arg;
    (void)state;
    weft_spec spec = {.name = "deep", .arg = deep, .init = deep_init, .handle = kid_handle};
    deep->depth++;
    weft_err err = weft_spawn_child(self, &spec, NULL);
    if (err != WEFT_OK) deep->err = err;
    return WEFT_OK;
}

Test(restart, trees_have_a_greatest_depth)
{
    struct rig rig = rig_open(true, 1);
    struct deep deep = {0};
    weft_spec spec = {.arg = &deep, .init = deep_init, .handle = kid_handle};
    weft_addr *addr;
    cr_assert_eq(weft_spawn(rig.rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(deep.err, WEFT_LIMIT);
    cr_assert_eq(deep.depth, WEFT_TREE_DEPTH_MAX + 1);
    weft_addr_put(addr);
    rig_close(&rig);
}

static weft_err late_err;

static void spawn_late(weft_self *self, struct kid *kid)
{
    weft_spec spec = {.handle = kid_handle};
    (void)kid;
    late_err = weft_spawn_child(self, &spec, NULL);
}

PLACES(restart, an_ending_actor_has_no_new_children)
{
    struct family f;
    family_init(&f, rig);
    family_kid(&f, "a", WEFT_TEMPORARY)->fini = spawn_late;
    family_start(&f);
    cr_assert_eq(family_end(&f), WEFT_OK);
    cr_assert_eq(late_err, WEFT_CLOSED);
}

Test(restart, without_memory_for_a_child_is_an_error_and_no_child)
{
    for (uint64_t nth = 1;; nth++) {
        struct rig rig = rig_open(true, 1);
        struct family f;
        family_init(&f, &rig);
        f.boss.strategy = WEFT_ONE_FOR_ALL;
        f.boss.grace_ns = WEFT_SEC;
        (void)family_kid(&f, "a", WEFT_PERMANENT);
        (void)family_kid(&f, "b", WEFT_PERMANENT);
        weft_spec spec = family_spec(&f);
        wf_alloc_fail_at(nth, 0);
        weft_err err = weft_spawn(rig.rt, &spec, &f.addr);
        bool all = wf_alloc_fail_at(0, 0) < nth;
        if (err == WEFT_OK) cr_assert_eq(family_end(&f), WEFT_OK);
        else cr_assert_eq(err, WEFT_NO_MEMORY);
        if (err != WEFT_OK) {
            for (int i = 0; i < f.kids; i++) weft_addr_put(f.kid[i].addr);
            wf_lock_destroy(f.journal.lock);
        }
        rig_close(&rig);
        if (all) break;
        cr_assert_lt(nth, 200);
    }
}

Test(restart, a_crash_of_the_node_leaves_nothing_of_a_family)
{
    struct rig rig = rig_open(true, 1);
    struct family f;
    family_init(&f, &rig);
    f.boss.strategy = WEFT_ONE_FOR_ALL;
    struct kid *a = family_kid(&f, "a", WEFT_PERMANENT);
    (void)family_kid(&f, "b", WEFT_PERMANENT);
    family_start(&f);
    tell(a->addr, TELL_FAIL);
    for (int i = 0; i < 4; i++) (void)wf_sim_step(rig.sim);
    wf_sim_kill(rig.rt);
    weft_addr_put(f.addr);
    for (int i = 0; i < f.kids; i++) weft_addr_put(f.kid[i].addr);
    wf_lock_destroy(f.journal.lock);
    wf_sim_destroy(rig.sim);
}
