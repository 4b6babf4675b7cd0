/* SPDX-License-Identifier: Apache-2.0
 * family.h - parents and children for tests: a boss that spawns what a table says, kids that
 * do what notes tell them, and a journal that both write.
 * Called by: test_restart.c, test_shutdown.c, test_link.c. Never: sleeps. */
#ifndef FAMILY_H
#define FAMILY_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lock.h"
#include "rig.h"
#include <weft/supervise.h>

#define KIDS_MAX 8

/* What a note's number tells a kid to do; others are only counted. */
enum { TELL_FAIL = 1001, TELL_STOP, TELL_HOLD, TELL_GO };

struct journal {
    wf_lock *lock;
    char text[16384];
};

struct family;

struct kid {
    const char *name;
    weft_spec spec; /* restart, grace, mailbox, ...; the rest is filled in */
    struct family *family;
    weft_addr *addr;
    /* Written by the kid's thread, read by the test after a call to it. */
    unsigned lives, failing_inits;
    uint64_t sum, handled;
    weft_ns born_at;
    void *state;
    weft_err fini_reason;
    weft_verdict (*handle)(weft_self *self, struct kid *kid, weft_msg *msg);
    void (*fini)(weft_self *self, struct kid *kid);
};

struct family {
    struct rig *rig;
    struct journal journal;
    weft_spec boss; /* strategy, intensity, ... */
    weft_addr *addr;
    struct kid kid[KIDS_MAX];
    int kids;
    unsigned lives;
};

/* The first thing in a kid's state: says whether the state was zeroed. */
struct kid_state {
    struct kid *kid;
    uint64_t used;
    char body[64];
};

__attribute__((format(printf, 2, 3))) static inline void journal(struct family *family,
                                                                 const char *fmt, ...)
{
    struct journal *j = &family->journal;
    va_list args;
    va_start(args, fmt);
    wf_lock_take(j->lock);
    size_t len = strlen(j->text);
    if (len > 0 && len + 2 < sizeof j->text) {
        memcpy(j->text + len, ", ", 3);
        len += 2;
    }
    if (len < sizeof j->text) (void)vsnprintf(j->text + len, sizeof j->text - len, fmt, args);
    wf_lock_give(j->lock);
    va_end(args);
}

static inline void journal_clear(struct family *family)
{
    wf_lock_take(family->journal.lock);
    family->journal.text[0] = '\0';
    wf_lock_give(family->journal.lock);
}

#define JOURNAL_IS(family, expected) cr_assert_str_eq((family)->journal.text, (expected))

static inline weft_err kid_init(weft_self *self, void *state, void *arg)
{
    struct kid_state *mine = state;
    struct kid *kid = arg;
    cr_assert_null(mine->kid);
    cr_assert_eq(mine->used, 0);
    mine->kid = kid;
    mine->used = 1;
    kid->lives++;
    kid->state = state;
    kid->born_at = weft_now(self);
    if (kid->lives > 1 && kid->failing_inits > 0) {
        kid->failing_inits--;
        journal(kid->family, "%s cannot", kid->name);
        return WEFT_IO;
    }
    journal(kid->family, "%s up", kid->name);
    return WEFT_OK;
}

static inline weft_verdict kid_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct kid *kid = ((struct kid_state *)state)->kid;
    if (kid->handle != NULL && (msg->kind != &NOTE || ((struct note *)msg)->number < TELL_FAIL))
        return kid->handle(self, kid, msg);
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    uint64_t number = ((struct note *)msg)->number;
    if (number == TELL_FAIL) return weft_fail(self, WEFT_IO);
    if (number == TELL_STOP) return WEFT_STOP;
    kid->handled++;
    kid->sum = kid->sum * 10 + number;
    return WEFT_DONE;
}

static inline void kid_fini(weft_self *self, void *state, weft_err reason)
{
    struct kid *kid = ((struct kid_state *)state)->kid;
    kid->fini_reason = reason;
    if (kid->fini != NULL) kid->fini(self, kid);
    journal(kid->family, "%s %s", kid->name, weft_errname(reason) + 5);
}

/* The family lives where the rig says: all in its group; or the boss on a thread of its own, and its
 * kids there too or on threads of their own. */
static inline void family_place(const struct family *family, weft_spec *spec, bool boss)
{
    const struct rig *rig = family->rig;
    spec->place = boss && rig->place == WEFT_PLACE_PARENT ? WEFT_PLACE_THREAD : rig->place;
    spec->group = rig->group;
}

/* The boss: spawns its kids in init, each time anew. */
static inline weft_err boss_init(weft_self *self, void *state, void *arg)
{
    struct family *family = arg;
    *(struct family **)state = family;
    family->lives++;
    for (int i = 0; i < family->kids; i++) {
        struct kid *kid = &family->kid[i];
        kid->family = family;
        kid->spec.name = kid->name;
        kid->spec.arg = kid;
        kid->spec.state_size = sizeof(struct kid_state);
        kid->spec.init = kid_init;
        kid->spec.handle = kid_handle;
        kid->spec.fini = kid_fini;
        family_place(family, &kid->spec, false);
        weft_addr_put(kid->addr);
        kid->addr = NULL;
        weft_err err = weft_spawn_child(self, &kid->spec, &kid->addr);
        if (err != WEFT_OK) return err;
    }
    journal(family, "boss up");
    return WEFT_OK;
}

static inline weft_verdict boss_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    if (msg->kind == &NOTE && ((struct note *)msg)->number == TELL_FAIL)
        return weft_fail(self, WEFT_IO);
    if (msg->kind == &NOTE && ((struct note *)msg)->number == TELL_STOP) return WEFT_STOP;
    return rig_echo(self, NULL, msg);
}

static inline void boss_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    journal(*(struct family **)state, "boss %s", weft_errname(reason) + 5);
}

static inline weft_spec family_spec(struct family *family)
{
    weft_spec spec = family->boss;
    spec.name = "boss";
    spec.arg = family;
    spec.state_size = sizeof(struct family *);
    spec.init = boss_init;
    spec.handle = boss_handle;
    spec.fini = boss_fini;
    family_place(family, &spec, true);
    return spec;
}

static inline void family_init(struct family *family, struct rig *rig)
{
    memset(family, 0, sizeof *family);
    family->rig = rig;
    family->journal.lock = wf_lock_create();
}

/* Adds a kid to the table. */
static inline struct kid *family_kid(struct family *family, const char *name, weft_restart restart)
{
    struct kid *kid = &family->kid[family->kids++];
    kid->name = name;
    kid->spec.restart = restart;
    return kid;
}

static inline void family_start(struct family *family)
{
    weft_spec spec = family_spec(family);
    cr_assert_eq(weft_spawn(family->rig->rt, &spec, &family->addr), WEFT_OK);
    journal_clear(family);
}

/* Stops the boss if it still runs, and forgets all addresses. Returns its exit reason. */
static inline weft_err family_end(struct family *family)
{
    (void)weft_stop(family->addr, WEFT_DRAIN);
    weft_err reason = rig_join(family->rig, family->addr);
    weft_addr_put(family->addr);
    for (int i = 0; i < family->kids; i++) {
        (void)rig_join(family->rig, family->kid[i].addr); /* it may have been left behind */
        weft_addr_put(family->kid[i].addr);
    }
    wf_lock_destroy(family->journal.lock);
    return reason;
}

static inline void tell(weft_addr *to, uint64_t number)
{
    struct note *note = note_new(0, number);
    if (weft_send(to, &note->msg) != WEFT_OK) weft_drop(&note->msg);
}

#endif
