/* SPDX-License-Identifier: Apache-2.0
 * test_registry.c - actors by name: counted, unique, gone with their actor.
 * Called by: the test runner. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include <weft/topic.h>

#include "alloc.h"
#include "lookup.h"

static weft_addr *whereis(struct rig *rig, const char *name)
{
    weft_addr *addr = NULL;
    weft_err err = weft_whereis_ref(rig->rt, name, &addr);
    cr_assert(err == WEFT_OK ? addr != NULL : err == WEFT_NOT_FOUND && addr == NULL);
    return addr;
}

static bool names(struct rig *rig, const char *name, const weft_addr *wanted)
{
    weft_addr *addr = whereis(rig, name);
    weft_addr_put(addr);
    return addr == wanted;
}

static void stop(struct rig *rig, weft_addr *addr)
{
    (void)weft_stop(addr, WEFT_NOW);
    (void)rig_join(rig, addr);
    weft_addr_put(addr);
}

BOTH(registry, a_name_finds_its_actor)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_null(whereis(rig, "echo"));
    cr_assert_eq(weft_register(rig->rt, "echo", addr), WEFT_OK);
    weft_addr *found = whereis(rig, "echo");
    cr_assert_eq(found, addr);
    cr_assert_null(whereis(rig, "ech"));
    cr_assert_null(whereis(rig, "echo2"));
    stop(rig, addr);
    /* What was found is a reference of its own. */
    struct note *note = note_new(0, 0);
    cr_assert_eq(weft_send(found, &note->msg), WEFT_CLOSED);
    weft_drop(&note->msg);
    weft_addr_put(found);
}

BOTH(registry, a_taken_name_is_refused_but_to_its_own_actor)
{
    weft_addr *one = rig_spawn(rig, rig_echo, NULL, 0), *two = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_register(rig->rt, "name", one), WEFT_OK);
    cr_assert_eq(weft_register(rig->rt, "name", two), WEFT_EXISTS);
    cr_assert_eq(weft_register(rig->rt, "name", one), WEFT_OK);
    cr_assert(names(rig, "name", one));
    cr_assert_eq(weft_unregister(rig->rt, "name"), WEFT_OK);
    cr_assert_eq(weft_unregister(rig->rt, "name"), WEFT_NOT_FOUND);
    cr_assert_eq(weft_register(rig->rt, "name", two), WEFT_OK);
    cr_assert(names(rig, "name", two));
    stop(rig, one);
    cr_assert(names(rig, "name", two), "the end of its former actor is nothing to it");
    stop(rig, two);
}

BOTH(registry, all_names_of_an_actor_end_with_it)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0), *other = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_register(rig->rt, "a", addr), WEFT_OK);
    cr_assert_eq(weft_register(rig->rt, "b", other), WEFT_OK);
    cr_assert_eq(weft_register(rig->rt, "c", addr), WEFT_OK);
    cr_assert_eq(weft_register(rig->rt, "d", addr), WEFT_OK);
    cr_assert_eq(weft_unregister(rig->rt, "c"), WEFT_OK);
    weft_addr *kept = weft_addr_get(addr);
    stop(rig, addr);
    cr_assert_null(whereis(rig, "a"));
    cr_assert_null(whereis(rig, "d"));
    cr_assert(names(rig, "b", other));
    cr_assert_eq(weft_register(rig->rt, "a", kept), WEFT_CLOSED);
    cr_assert_null(whereis(rig, "a"));
    cr_assert_eq(weft_register(rig->rt, "a", other), WEFT_OK);
    weft_addr_put(kept);
    stop(rig, other);
}

static weft_err register_itself(weft_self *self, void *data)
{
    cr_assert_eq(weft_register(weft_self_rt(self), "itself", weft_self_addr(self)), WEFT_OK);
    return data == NULL ? WEFT_OK : WEFT_IO;
}

BOTH(registry, init_may_register_and_a_failed_init_leaves_no_name)
{
    struct rig_actor actor = {.data = rig, .handle = rig_echo, .init = register_itself};
    weft_spec spec = {.name = "rig",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle};
    weft_addr *failed = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &failed), WEFT_IO);
    cr_assert_null(whereis(rig, "itself"));
    weft_addr *addr = rig_spawn_init(rig, rig_echo, register_itself, NULL, 0);
    cr_assert(names(rig, "itself", addr));
    stop(rig, addr);
}

BOTH(registry, bad_names_and_strangers_are_refused)
{
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[WEFT_ACTOR_NAME_BYTES_MAX + 1] = '\0';
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    cr_assert_eq(weft_register(rig->rt, NULL, addr), WEFT_INVALID);
    cr_assert_eq(weft_register(rig->rt, "", addr), WEFT_INVALID);
    cr_assert_eq(weft_register(rig->rt, name, addr), WEFT_INVALID);
    cr_assert_null(whereis(rig, name));
    name[WEFT_ACTOR_NAME_BYTES_MAX] = '\0';
    cr_assert_eq(weft_register(rig->rt, name, addr), WEFT_OK);
    cr_assert(names(rig, name, addr));
    struct rig other = rig_open(false, 0);
    weft_addr *stranger = rig_spawn(&other, rig_echo, NULL, 0);
    cr_assert_eq(weft_register(rig->rt, "stranger", stranger), WEFT_INVALID);
    stop(&other, stranger);
    rig_close(&other);
    stop(rig, addr);
}

static void numbered(char out[16], unsigned i) { snprintf(out, 16, "name %u", i); }

Test(registry, has_a_bound)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    char name[16];
    for (unsigned i = 0; i < WEFT_NAMES_MAX; i++) {
        numbered(name, i);
        cr_assert_eq(weft_register(rig.rt, name, addr), WEFT_OK);
    }
    cr_assert_eq(weft_register(rig.rt, "one more", addr), WEFT_LIMIT);
    cr_assert_eq(weft_unregister(rig.rt, name), WEFT_OK);
    cr_assert_eq(weft_register(rig.rt, "one more", addr), WEFT_OK);
    stop(&rig, addr);
    rig_close(&rig);
}

/* An actor that registers another one again and again while that one ends. */
static weft_verdict name_it(weft_self *self, void *data, weft_msg *msg)
{
    weft_addr *addr = data;
    (void)msg;
    weft_err err = weft_register(weft_self_rt(self), "victim", addr);
    cr_assert(err == WEFT_OK || err == WEFT_CLOSED);
    if (err == WEFT_CLOSED) return WEFT_STOP;
    (void)weft_unregister(weft_self_rt(self), "victim");
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

Test(registry, no_name_survives_its_actor_whoever_is_faster)
{
    struct rig rig = rig_open(false, 0);
    for (int i = 0; i < 50; i++) {
        weft_addr *victim = rig_spawn(&rig, rig_echo, NULL, 0);
        weft_addr *namer = rig_spawn(&rig, name_it, victim, 0);
        cr_assert_eq(weft_send(namer, &note_new(0, 0)->msg), WEFT_OK);
        cr_assert_eq(rig_call(&rig, victim, 0), WEFT_OK);
        cr_assert_eq(weft_stop(victim, WEFT_NOW), WEFT_OK);
        cr_assert_eq(rig_join(&rig, namer), WEFT_OK);
        stop(&rig, victim);
        weft_addr_put(namer);
        cr_assert_null(whereis(&rig, "victim"));
    }
    rig_close(&rig);
}

Test(registry, short_memory_is_told_and_leaves_nothing)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    unsigned failures = 0;
    for (uint64_t nth = 1;; nth++) {
        wf_alloc_fail_at(nth, 0);
        weft_err err = weft_register(rig.rt, "name", addr);
        wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) break;
        cr_assert_eq(err, WEFT_NO_MEMORY);
        cr_assert_null(whereis(&rig, "name"));
        failures++;
    }
    cr_assert(failures >= 3, "%u", failures);
    cr_assert(names(&rig, "name", addr));
    stop(&rig, addr);
    rig_close(&rig);
}

Test(registry, a_killed_runtime_leaves_nothing)
{
    struct rig rig = rig_open(true, 1);
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    struct rig other = {.rt = doomed, .sim = rig.sim};
    weft_addr *addr = rig_spawn(&other, rig_echo, NULL, 0);
    cr_assert_eq(weft_register(doomed, "a", addr), WEFT_OK);
    cr_assert_eq(weft_register(doomed, "b", addr), WEFT_OK);
    wf_sim_kill(doomed);
    weft_addr_put(addr);
    rig_close(&rig);
}

/* -- The table under it ------------------------------------------------------------------ */

struct thing {
    struct wf_lookup_item item;
    unsigned number;
    bool in;
};

static bool same_number(const struct wf_lookup_item *item, const void *key)
{
    return ((const struct thing *)item)->number == *(const unsigned *)key;
}

/* Few hashes, so that runs of slots are long and overlap, also over the end of the table. */
Test(lookup, finds_what_is_in_it_and_nothing_else_after_any_changes)
{
    struct rig rig = rig_open(true, 5);
    enum { THINGS = 200 };
    struct thing things[THINGS];
    struct wf_lookup lookup = {.count = 0};
    for (unsigned i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.number = i};
        things[i].item.hash = wf_sim_below(rig.sim, 40) + (i % 2 ? 490 : 0);
    }
    for (unsigned step = 0; step < 4000; step++) {
        struct thing *thing = &things[wf_sim_below(rig.sim, THINGS)];
        if (thing->in) {
            wf_lookup_remove(&lookup, &thing->item);
        } else {
            cr_assert_eq(wf_lookup_reserve(&lookup), WEFT_OK);
            wf_lookup_add(&lookup, &thing->item);
        }
        thing->in = !thing->in;
        for (unsigned i = 0; i < THINGS; i++)
            cr_assert_eq(wf_lookup_find(&lookup, things[i].item.hash, same_number, &i),
                         things[i].in ? &things[i].item : NULL);
    }
    wf_lookup_fini(&lookup);
    rig_close(&rig);
}
