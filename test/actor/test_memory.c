/* SPDX-License-Identifier: Apache-2.0
 * test_memory.c - what a runtime says of its memory, and what it does at its bounds.
 * Called by: the test runner. That all of it is given back is tested by every rig_close. */
#include <string.h>

#include "pool.h"
#include "rig.h"

static size_t actors_bytes(struct rig *rig)
{
    weft_memory memory;
    weft_rt_memory(rig->rt, &memory);
    return memory.actors;
}

static uint64_t spawns_refused(struct rig *rig)
{
    weft_memory memory;
    weft_rt_memory(rig->rt, &memory);
    return memory.actors_refused;
}

static weft_err spawn_with(struct rig *rig, size_t state_size, weft_addr **out)
{
    weft_spec spec = {.name = "sized", .state_size = state_size, .handle = rig_echo};
    return weft_spawn(rig->rt, &spec, out);
}

static void end(struct rig *rig, weft_addr *addr)
{
    cr_assert_eq(weft_stop(addr, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, addr), WEFT_OK);
    weft_addr_put(addr);
}

/* -- Actors ---------------------------------------------------------------------------- */

BOTH(memory, of_an_actor_is_its_block_and_is_given_back_when_it_is_joined)
{
    static const size_t sizes[] = {0, 1, 100, 600, 5000, 100000}; /* from the pool and beyond */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        weft_addr *addr = NULL;
        cr_assert_eq(spawn_with(rig, sizes[i], &addr), WEFT_OK);
        cr_assert_geq(actors_bytes(rig), sizes[i] + sizeof(void *));
        cr_assert_leq(actors_bytes(rig), sizes[i] + 512);
        end(rig, addr);
        cr_assert_eq(actors_bytes(rig), 0, "state of %zu", sizes[i]);
    }
}

static void no_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)state;
    (void)timer;
    (void)missed;
}

static weft_err arm(weft_self *self, void *data)
{
    return weft_timer_set(self, data, weft_now(self) + 3600 * WEFT_SEC, 0, no_tick);
}

BOTH(memory, grows_when_an_actor_needs_more_than_its_mailbox)
{
    static weft_timer timer;
    timer = (weft_timer){0};
    weft_addr *plain = rig_spawn(rig, rig_echo, NULL, 0);
    size_t one = actors_bytes(rig);
    weft_addr *timed = rig_spawn_init(rig, rig_echo, arm, &timer, 0);
    cr_assert_gt(actors_bytes(rig), 2 * one);
    end(rig, timed);
    cr_assert_eq(actors_bytes(rig), one);
    weft_addr_put(plain);
}

static weft_err refuse(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    return WEFT_IO;
}

BOTH(memory, of_an_actor_whose_init_failed_is_given_back)
{
    weft_spec spec = {.name = "failing", .init = refuse, .handle = rig_echo, .stash = 4};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_IO);
    cr_assert_eq(weft_rt_stop(rig->rt, rig_soon(rig)), WEFT_OK);
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_CLOSED);
    cr_assert_eq(actors_bytes(rig), 0);
}

BOTH(memory, beyond_its_bound_a_spawn_answers_limit_and_is_counted)
{
    weft_addr *first = NULL, *second = NULL;
    cr_assert_eq(spawn_with(rig, 0, &first), WEFT_OK);
    weft_rt_memory_limit(rig->rt, 2 * actors_bytes(rig) - 1);
    cr_assert_eq(spawn_with(rig, 0, &second), WEFT_LIMIT);
    cr_assert_null(second);
    cr_assert_eq(spawns_refused(rig), 1);
    weft_rt_memory_limit(rig->rt, 2 * actors_bytes(rig));
    cr_assert_eq(spawn_with(rig, 0, &second), WEFT_OK);
    cr_assert_eq(spawns_refused(rig), 1);
    end(rig, second);
    cr_assert_eq(spawn_with(rig, 0, &second), WEFT_OK); /* the place is free again */
    weft_addr_put(first);
    weft_addr_put(second);
}

BOTH(memory, below_what_is_held_a_bound_refuses_and_harms_nobody)
{
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0), *other = NULL;
    weft_rt_memory_limit(rig->rt, 1);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    cr_assert_eq(spawn_with(rig, 0, &other), WEFT_LIMIT);
    weft_rt_memory_limit(rig->rt, 0);
    cr_assert_eq(spawn_with(rig, 0, &other), WEFT_OK);
    weft_addr_put(addr);
    weft_addr_put(other);
}

/* -- Pools --------------------------------------------------------------------------------- */

/* A build whose messages come from the heap has no pools and no bound. */
static bool has_pools(void)
{
    if (weft_pool_limit(SIZE_MAX / 2) == WEFT_UNSUPPORTED) return false;
    cr_assert_eq(weft_pool_limit(0), WEFT_OK);
    return true;
}

struct big {
    weft_msg msg;
    char body[2 * WEFT_POOL_BYTES_MAX];
};

static const weft_kind BIG = {2, "big", sizeof(struct big), weft_free_msg};

Test(memory, of_the_pools_beyond_its_bound_makes_no_message)
{
    if (!has_pools()) return;
    weft_msg *first = weft_new(&BIG), *none;
    uint64_t before = wf_pool_refused();
    cr_assert_eq(weft_pool_limit(wf_pool_bytes() + sizeof(struct big) - 1), WEFT_OK);
    none = weft_new(&BIG);
    cr_assert_null(none);
    cr_assert_eq(wf_pool_refused(), before + 1);
    weft_drop(first); /* makes room */
    first = weft_new(&BIG);
    cr_assert_not_null(first);
    weft_drop(first);
    cr_assert_eq(weft_pool_limit(0), WEFT_OK);
}

Test(memory, of_small_messages_grows_by_slabs_up_to_the_bound)
{
    enum { SLABS = 2, MOST = SLABS * 65536 / sizeof(struct note) };
    static weft_msg *notes[MOST + 1];
    if (!has_pools()) return;
    weft_drop(weft_new(&NOTE)); /* this thread's pool and its first slab are there */
    size_t begin = wf_pool_bytes(), count = 0;
    cr_assert_eq(weft_pool_limit(begin + (SLABS - 1) * 65536), WEFT_OK);
    while (count <= MOST && (notes[count] = weft_new(&NOTE)) != NULL) count++;
    cr_assert_leq(count, MOST); /* it came to an end */
    cr_assert_eq(wf_pool_bytes(), begin + (SLABS - 1) * 65536);
    while (count > 0) weft_drop(notes[--count]);
    cr_assert_not_null(notes[0] = weft_new(&NOTE)); /* from what came back */
    weft_drop(notes[0]);
    cr_assert_eq(weft_pool_limit(0), WEFT_OK);
}
