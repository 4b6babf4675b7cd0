/* SPDX-License-Identifier: Apache-2.0
 * watchdog.c - a thread that looks for callbacks that do not end, and tells of them.
 * Called by: users (start, stop); its own thread. May touch: the seats of all threads, reading.
 * Never: stops, wakes or speeds up anybody. */
#include <string.h>

#include "alloc.h"
#include "hooks.h"
#include "log.h"
#include "port.h"
#include "self.h"

#define LOOKS 4u /* per limit */

static _Thread_local const weft_rt *telling; /* whose `fn` runs on this thread */

/* What the watchdog remembers of one thread. */
struct sight {
    uint64_t turn; /* of the callback that was there at the last look */
    weft_ns since; /* the first look that saw it                      */
    bool reported;
};

struct wf_watchdog {
    weft_rt *rt;
    weft_ns limit;
    void (*fn)(void *arg, const weft_stall *stall);
    void *arg;
    uintptr_t thread;
    uint32_t stop;        /* waited on */
    struct sight *sights; /* by the number of the track */
    uint32_t room;
};

/* What a seat said, copied before it is looked at: its owner goes on writing. */
struct glance {
    const weft_kind *kind;
    const weft_rt *rt;
    uint32_t actor, from;
    char name[WF_TRACK_NAME_WORDS * 8];
};

static bool glance_at(const struct wf_track *track, uint64_t *turn, struct glance *out)
{
    uint64_t words[WF_TRACK_NAME_WORDS];
    *turn = wf_load(&track->turn, WF_ACQUIRE); /* pairs with [SEAT] */
    out->kind = wf_load(&track->seat.kind, WF_RELAXED);
    out->rt = wf_load(&track->seat.rt, WF_RELAXED);
    out->actor = wf_load(&track->seat.actor, WF_RELAXED);
    out->from = wf_load(&track->seat.from, WF_RELAXED);
    wf_words_read(words, track->name, WF_TRACK_NAME_WORDS);
    memcpy(out->name, words, sizeof words);
    out->name[sizeof out->name - 1] = '\0';
    return out->kind != NULL && wf_load(&track->turn, WF_RELAXED) == *turn;
}

static struct sight *sight_of(struct wf_watchdog *dog, uint32_t number)
{
    if (number >= dog->room) {
        uint32_t room = number + 16;
        struct sight *sights = wf_realloc(dog->sights, room * sizeof *sights);
        if (sights == NULL) return NULL; /* this thread is not watched until there is memory */
        memset(sights + dog->room, 0, (room - dog->room) * sizeof *sights);
        dog->sights = sights;
        dog->room = room;
    }
    return &dog->sights[number];
}

/* The names and the depth, found by the actors' numbers; a stall is rare enough to search. */
static void look_up(weft_rt *rt, const struct glance *seen, char *sender, uint32_t *depth)
{
    const char *found = seen->from == 0 ? "" : "?";
    wf_lock_take(rt->lock);
    for (weft_addr *addr = rt->first; addr != NULL; addr = addr->next) {
        weft_actor_stats stats;
        if (seen->from != 0 && (addr->number & WF_FROM_MAX) == seen->from)
            found = weft_addr_name(addr);
        if (addr->number != seen->actor) continue;
        weft_addr_stats(addr, &stats);
        *depth = stats.depth;
    }
    (void)strncpy(sender, found, WEFT_ACTOR_NAME_BYTES_MAX);
    wf_lock_give(rt->lock);
}

static void report(struct wf_watchdog *dog, const struct glance *seen, weft_ns age)
{
    char sender[WEFT_ACTOR_NAME_BYTES_MAX + 1] = "";
    weft_stall stall = {
        .actor = seen->name, .kind = seen->kind->name, .sender = sender, .age = age};
    look_up(dog->rt, seen, sender, &stall.depth);
    if (dog->fn != NULL) {
        telling = dog->rt;
        dog->fn(dog->arg, &stall);
        telling = NULL;
        return;
    }
    const weft_log_field fields[] = {{"actor", WEFT_LOG_STR, {.s = stall.actor}},
                                     {"kind", WEFT_LOG_STR, {.s = stall.kind}},
                                     {"from", WEFT_LOG_STR, {.s = sender}},
                                     {"age", WEFT_LOG_NS, {.u = age}},
                                     {"depth", WEFT_LOG_UINT, {.u = stall.depth}}};
    weft_log_write(WEFT_LOG_WARN, "watchdog", "a callback does not end", fields, 5);
}

static void look_at(struct wf_watchdog *dog, const struct wf_track *track, weft_ns now)
{
    struct glance seen;
    uint64_t turn;
    if (!glance_at(track, &turn, &seen) || seen.rt != dog->rt) return;
    struct sight *sight = sight_of(dog, track->number);
    if (sight == NULL) return;
    if (sight->turn != turn) {
        *sight = (struct sight){.turn = turn, .since = now};
    } else if (!sight->reported && now - sight->since >= dog->limit) {
        sight->reported = true;
        report(dog, &seen, now - sight->since);
    }
}

static void watch(void *arg)
{
    struct wf_watchdog *dog = arg;
    struct wf_port *port = dog->rt->port;
    weft_ns next = wf_port_now(port);
    while (wf_load(&dog->stop, WF_ACQUIRE) == 0) {
        weft_ns now = wf_port_now(port);
        if (now < next) {
            port->ops->wait(port, &dog->stop, 0, next);
            continue;
        }
        for (struct wf_track *track = wf_track_first(); track != NULL; track = track->older)
            look_at(dog, track, now);
        next = now + dog->limit / LOOKS;
    }
}

weft_err weft_watchdog_start(weft_rt *rt, weft_ns limit, void (*fn)(void *arg, const weft_stall *),
                             void *arg)
{
    static const struct wf_thread_spec how = {.name = "weft-watchdog"};
    if (limit < WEFT_MS) return WEFT_INVALID;
    if (rt->port->sim != NULL) return WEFT_UNSUPPORTED;
    struct wf_watchdog *dog = wf_calloc(1, sizeof *dog);
    if (dog == NULL) return WEFT_NO_MEMORY;
    *dog = (struct wf_watchdog){.rt = rt, .limit = limit, .fn = fn, .arg = arg};
    weft_err err = WEFT_EXISTS;
    wf_lock_take(rt->lock);
    if (rt->watchdog == NULL)
        err = rt->port->ops->thread_start(rt->port, &how, watch, dog, &dog->thread);
    if (err == WEFT_OK) {
        rt->watchdog = dog;
        wf_hooks_want(WF_HOOK_WATCH);
        dog = NULL;
    }
    wf_lock_give(rt->lock);
    wf_free(dog);
    return err;
}

weft_err weft_watchdog_stop(weft_rt *rt)
{
    if (telling == rt) return WEFT_DEADLK; /* it would wait for itself */
    wf_lock_take(rt->lock);
    struct wf_watchdog *dog = rt->watchdog;
    rt->watchdog = NULL;
    wf_lock_give(rt->lock);
    if (dog == NULL) return WEFT_OK;
    wf_hooks_unwant(WF_HOOK_WATCH);
    wf_store(&dog->stop, 1, WF_RELEASE);
    rt->port->ops->wake(rt->port, &dog->stop);
    rt->port->ops->thread_join(rt->port, dog->thread);
    wf_free(dog->sights);
    wf_free(dog);
    return WEFT_OK;
}
