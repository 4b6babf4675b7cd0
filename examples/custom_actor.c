/* SPDX-License-Identifier: Apache-2.0
 * custom_actor.c - an actor of your own: state, messages, a timer, a front door, a test.
 *
 * The shelf keeps numbers by name and forgets what nobody asked for in a while. Others see
 * three functions (shelf_spawn, shelf_put, shelf_get) and neither its messages nor its
 * state. main uses it on threads, and then lets the simulator try it under 100 seeds. */
#include <stdio.h>
#include <string.h>

#include <weft/actor.h>
#include <weft/testing.h>

enum { SHELF_ITEMS = 16, SHELF_NAME = 24 };
#define SHELF_TICK (10 * WEFT_SEC) /* how often old items are looked for */
#define SHELF_KEEP (60 * WEFT_SEC) /* how long an unused one stays       */

/* -- Messages: one struct is the request and the reply ---------------------------------- */

struct shelf_msg {
    weft_request req; /* a weft_msg that can be answered */
    char name[SHELF_NAME];
    long value;
};

static const weft_kind SHELF_PUT = {1, "shelf.put", sizeof(struct shelf_msg), weft_free_msg};
static const weft_kind SHELF_GET = {2, "shelf.get", sizeof(struct shelf_msg), weft_free_msg};

/* -- The actor: only the functions of this section touch the state ---------------------- */

struct item {
    char name[SHELF_NAME]; /* empty: a free place */
    long value;
    weft_ns used;
};

struct shelf {
    struct item items[SHELF_ITEMS];
    weft_timer tick; /* embedded: setting it allocates nothing of its own */
};

/* The item of that name, or a free place for "", or NULL. */
static struct item *find(struct shelf *shelf, const char *name)
{
    for (int i = 0; i < SHELF_ITEMS; i++)
        if (strcmp(shelf->items[i].name, name) == 0) return &shelf->items[i];
    return NULL;
}

static weft_verdict shelf_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct shelf_msg *m = (struct shelf_msg *)msg;
    struct item *item = find(state, m->name);
    weft_err err = WEFT_OK;
    if (msg->kind == &SHELF_PUT) {
        if (item == NULL) item = find(state, "");
        if (item == NULL) err = WEFT_FULL;
        else *item = (struct item){.value = m->value, .used = weft_now(self)};
        if (item != NULL) memcpy(item->name, m->name, SHELF_NAME);
    } else if (item == NULL) {
        err = WEFT_NOT_FOUND;
    } else {
        m->value = item->value;
        item->used = weft_now(self);
    }
    weft_reply(&m->req, err); /* sends the request itself back */
    return WEFT_KEPT;         /* so it is not the runtime's to drop */
}

static void shelf_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct shelf *shelf = state;
    (void)timer, (void)missed;
    for (int i = 0; i < SHELF_ITEMS; i++)
        if (shelf->items[i].used + SHELF_KEEP < weft_now(self)) shelf->items[i].name[0] = '\0';
}

static weft_err shelf_init(weft_self *self, void *state, void *arg)
{
    struct shelf *shelf = state; /* zeroed */
    (void)arg;
    return weft_timer_set(self, &shelf->tick, weft_now(self) + SHELF_TICK, SHELF_TICK, shelf_tick);
}

/* -- The front door ------------------------------------------------------------------------ */

static weft_err shelf_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "shelf",
                      .state_size = sizeof(struct shelf),
                      .init = shelf_init,
                      .handle = shelf_handle};
    return weft_spawn(rt, &spec, out);
}

/* For plain threads, which may wait. An actor would weft_ask and go on. */
static weft_err call(weft_rt *rt, weft_addr *shelf, const weft_kind *kind, const char *name,
                     long *value)
{
    struct shelf_msg *m = (struct shelf_msg *)weft_new(kind);
    weft_request *reply = NULL;
    bool taken = false;
    if (m == NULL) return WEFT_NO_MEMORY;
    snprintf(m->name, sizeof m->name, "%s", name);
    m->value = *value;
    weft_err err = weft_call(shelf, &m->req, weft_rt_after(rt, WEFT_SEC), &reply, &taken);
    if (err == WEFT_OK) *value = ((struct shelf_msg *)reply)->value;
    if (reply != NULL) weft_drop(&reply->msg);
    else if (!taken) weft_drop(&m->req.msg);
    return err;
}

static weft_err shelf_put(weft_rt *rt, weft_addr *shelf, const char *name, long value)
{
    return call(rt, shelf, &SHELF_PUT, name, &value);
}

static weft_err shelf_get(weft_rt *rt, weft_addr *shelf, const char *name, long *value)
{
    return call(rt, shelf, &SHELF_GET, name, value);
}

/* -- Its test: an hour of virtual time under any seed ---------------------------------------- */

static bool shelf_keeps_what_is_used(weft_sim *sim, void *arg)
{
    weft_rt *rt = NULL;
    weft_addr *shelf = NULL;
    long value = 0;
    (void)arg;
    if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return false;
    bool fine = shelf_spawn(rt, &shelf) == WEFT_OK && shelf_put(rt, shelf, "used", 1) == WEFT_OK &&
                shelf_put(rt, shelf, "unused", 2) == WEFT_OK;
    for (int minute = 0; fine && minute < 60; minute++) {
        weft_sim_run_until(sim, weft_sim_now(sim) + 59 * WEFT_SEC);
        fine = shelf_get(rt, shelf, "used", &value) == WEFT_OK && value == 1;
    }
    fine = fine && shelf_get(rt, shelf, "unused", &value) == WEFT_NOT_FOUND;
    weft_addr_put(shelf);
    weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC));
    return weft_rt_destroy(rt) == WEFT_OK && fine;
}

/* A shelf is memory: after a crash of its process it is empty. */
static bool shelf_is_empty_after_a_crash(weft_sim *sim, void *arg)
{
    weft_rt *rt = NULL;
    weft_addr *before = NULL, *after = NULL;
    long value = 0;
    (void)arg;
    if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return false;
    bool fine = shelf_spawn(rt, &before) == WEFT_OK && shelf_put(rt, before, "key", 1) == WEFT_OK;
    weft_sim_kill(rt); /* no handler, no fini, no answer any more */
    if (weft_sim_rt_create(sim, &rt) != WEFT_OK) return false;
    fine = fine && weft_stop(before, WEFT_NOW) == WEFT_CLOSED;
    fine = fine && shelf_spawn(rt, &after) == WEFT_OK &&
           shelf_get(rt, after, "key", &value) == WEFT_NOT_FOUND;
    weft_addr_put(before);
    weft_addr_put(after);
    weft_rt_stop(rt, weft_rt_after(rt, WEFT_SEC));
    return weft_rt_destroy(rt) == WEFT_OK && fine;
}

int main(void)
{
    weft_rt *rt = NULL;
    weft_addr *shelf = NULL;
    long value = 0;
    weft_err err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = shelf_spawn(rt, &shelf);
    if (err == WEFT_OK) err = shelf_put(rt, shelf, "answer", 42);
    if (err == WEFT_OK) err = shelf_get(rt, shelf, "answer", &value);
    if (err == WEFT_OK) printf("answer: %ld\n", value);
    else fprintf(stderr, "custom_actor: %s\n", weft_strerror(err));
    weft_addr_put(shelf);
    if (rt != NULL) weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);

    weft_explore found = weft_sim_explore(1, 100, shelf_keeps_what_is_used, NULL);
    printf("%llu simulated hours, %s\n", (unsigned long long)found.runs,
           found.failed ? "one failed" : "all fine");
    weft_explore crashed = weft_sim_explore(1, 100, shelf_is_empty_after_a_crash, NULL);
    return value == 42 && !found.failed && !crashed.failed ? 0 : 1;
}
