/* SPDX-License-Identifier: Apache-2.0
 * rig.h - what the actor tests share: a runtime on threads or in the simulator, places for
 * actors, and small actors whose handler and data a test supplies.
 * Called by: test/actor. Never: sleeps; waits only for an answer or an end. */
#ifndef RIG_H
#define RIG_H

#include <criterion/criterion.h>

#include "sim.h"
#include <weft/actor.h>
#include <weft/group.h>
#include <weft/supervise.h>

struct rig {
    weft_rt *rt;
    wf_sim *sim;      /* NULL on threads                           */
    weft_place place; /* of the actors that the rig spawns         */
    weft_group *group;
    weft_addr *host; /* the parent of those on its thread, or NULL */
};

static inline struct rig rig_open(bool simulated, uint64_t seed)
{
    struct rig rig = {0};
    if (simulated) {
        cr_assert_eq(wf_sim_create(seed, &rig.sim), WEFT_OK);
        cr_assert_eq(wf_sim_rt_create(rig.sim, &rig.rt), WEFT_OK);
    } else {
        cr_assert_eq(weft_rt_create(&rig.rt), WEFT_OK);
    }
    return rig;
}

static inline weft_ns rig_soon(const struct rig *rig)
{
    return weft_rt_after(rig->rt, 20 * WEFT_SEC);
}

static inline void rig_close(struct rig *rig)
{
    weft_addr_put(rig->host);
    cr_assert_eq(weft_rt_stop(rig->rt, rig_soon(rig)), WEFT_OK);
    weft_memory memory;
    weft_rt_memory(rig->rt, &memory);
    cr_assert_eq(memory.actors, 0, "what is counted is given back: %zu bytes", memory.actors);
    cr_assert_eq(weft_rt_destroy(rig->rt), WEFT_OK);
    wf_sim_destroy(rig->sim);
}

/* One claim, tested on threads and in the simulator. */
#define BOTH(suite, name)                        \
    static void suite##_##name(struct rig *rig); \
    Test(suite, name##_on_threads)               \
    {                                            \
        struct rig rig = rig_open(false, 0);     \
        suite##_##name(&rig);                    \
        rig_close(&rig);                         \
    }                                            \
    Test(suite, name##_in_the_simulator)         \
    {                                            \
        struct rig rig = rig_open(true, 7);      \
        suite##_##name(&rig);                    \
        rig_close(&rig);                         \
    }                                            \
    static void suite##_##name(struct rig *rig)

/* The same for each place where an actor may run. */
#define PLACES(suite, name)                                                                       \
    static void suite##_##name(struct rig *rig);                                                  \
    static void suite##_##name##_at(bool simulated, weft_place place)                             \
    {                                                                                             \
        struct rig rig = rig_open_at(simulated, place);                                           \
        suite##_##name(&rig);                                                                     \
        rig_close(&rig);                                                                          \
    }                                                                                             \
    Test(suite, name##_on_threads) { suite##_##name##_at(false, WEFT_PLACE_THREAD); }             \
    Test(suite, name##_in_a_group) { suite##_##name##_at(false, WEFT_PLACE_GROUP); }              \
    Test(suite, name##_on_a_parents_thread) { suite##_##name##_at(false, WEFT_PLACE_PARENT); }    \
    Test(suite, name##_in_the_simulator) { suite##_##name##_at(true, WEFT_PLACE_THREAD); }        \
    Test(suite, name##_in_a_simulated_group) { suite##_##name##_at(true, WEFT_PLACE_GROUP); }     \
    Test(suite, name##_with_a_simulated_parent) { suite##_##name##_at(true, WEFT_PLACE_PARENT); } \
    static void suite##_##name(struct rig *rig)

typedef weft_verdict (*rig_handle)(weft_self *self, void *data, weft_msg *msg);

struct rig_actor {
    void *data;
    rig_handle handle;
    weft_err (*init)(weft_self *self, void *data);
};

static inline weft_err rig_actor_init(weft_self *self, void *state, void *arg)
{
    struct rig_actor *actor = state;
    *actor = *(struct rig_actor *)arg;
    return actor->init == NULL ? WEFT_OK : actor->init(self, actor->data);
}

static inline weft_verdict rig_actor_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct rig_actor *actor = state;
    return actor->handle(self, actor->data, msg);
}

/* What a plain thread asks of the host: a child. It lies on the stack of who waits for it. */
struct rig_birth {
    weft_request req;
    const weft_spec *spec;
    weft_addr *addr;
};

static const weft_kind RIG_BIRTH = {9, "birth", sizeof(struct rig_birth), NULL};

static inline weft_verdict rig_host_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    if (msg->kind != &RIG_BIRTH) return WEFT_DONE;
    struct rig_birth *birth = (struct rig_birth *)msg;
    weft_reply(&birth->req, weft_spawn_child(self, birth->spec, &birth->addr));
    return WEFT_KEPT;
}

static inline struct rig rig_open_at(bool simulated, weft_place place)
{
    struct rig rig = rig_open(simulated, 7);
    weft_spec host = {.name = "host", .handle = rig_host_handle};
    weft_group_spec group = {.name = "rig", .workers = 2};
    rig.place = place;
    if (place == WEFT_PLACE_PARENT) cr_assert_eq(weft_spawn(rig.rt, &host, &rig.host), WEFT_OK);
    if (place == WEFT_PLACE_GROUP)
        cr_assert_eq(weft_group_create(rig.rt, &group, &rig.group), WEFT_OK);
    return rig;
}

/* Starts what a test specified, in the place of the rig. */
static inline weft_err rig_start(struct rig *rig, weft_spec *spec, weft_addr **out)
{
    spec->place = rig->place;
    spec->group = rig->group;
    if (rig->host == NULL) return weft_spawn(rig->rt, spec, out);
    struct rig_birth birth = {.spec = spec};
    weft_request *back = NULL;
    weft_msg_init(&birth.req.msg, &RIG_BIRTH);
    weft_err err = weft_call(rig->host, &birth.req, WEFT_NEVER, &back, NULL);
    if (err == WEFT_OK) *out = birth.addr;
    return err;
}

/* An actor around the test's `data`; room 0 is the default capacity. */
static inline weft_addr *rig_spawn_init(struct rig *rig, rig_handle handle,
                                        weft_err (*init)(weft_self *, void *), void *data,
                                        uint32_t room)
{
    struct rig_actor actor = {.data = data, .handle = handle, .init = init};
    weft_spec spec = {.name = "rig",
                      .arg = &actor,
                      .state_size = sizeof actor,
                      .init = rig_actor_init,
                      .handle = rig_actor_handle,
                      .mailbox = room};
    weft_addr *addr = NULL;
    cr_assert_eq(rig_start(rig, &spec, &addr), WEFT_OK);
    return addr;
}

static inline weft_addr *rig_spawn(struct rig *rig, rig_handle handle, void *data, uint32_t room)
{
    return rig_spawn_init(rig, handle, NULL, data, room);
}

/* -- Messages -- */

struct note {
    weft_msg msg;
    uint64_t from, number;
};

static const weft_kind NOTE = {1, "note", sizeof(struct note), weft_free_msg};

static inline struct note *note_new(uint64_t from, uint64_t number)
{
    struct note *note = (struct note *)weft_new(&NOTE);
    cr_assert_not_null(note);
    note->from = from;
    note->number = number;
    return note;
}

struct query {
    weft_request req;
    uint64_t number;
};

static const weft_kind QUERY = {2, "query", sizeof(struct query), weft_free_msg};

static inline struct query *query_new(uint64_t number)
{
    struct query *query = (struct query *)weft_new(&QUERY);
    cr_assert_not_null(query);
    query->number = number;
    return query;
}

/* Replies to queries with number + 1; drops everything else. */
static inline weft_verdict rig_echo(weft_self *self, void *data, weft_msg *msg)
{
    (void)self;
    (void)data;
    if (msg->kind != &QUERY) return WEFT_DONE;
    ((struct query *)msg)->number++;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

/* Sends a query and waits: all that was sent before it has been handled then. */
static inline weft_err rig_call(struct rig *rig, weft_addr *to, uint64_t number)
{
    struct query *query = query_new(number);
    weft_request *out = NULL;
    bool taken = false;
    weft_err err = weft_call(to, &query->req, rig_soon(rig), &out, &taken);
    if (out != NULL) weft_drop(&out->msg);
    else if (!taken) weft_drop(&query->req.msg);
    return err;
}

static inline weft_err rig_join(struct rig *rig, weft_addr *addr)
{
    weft_err reason = WEFT_INTERNAL;
    cr_assert_eq(weft_join(addr, rig_soon(rig), &reason), WEFT_OK);
    return reason;
}

#endif
