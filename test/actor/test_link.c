/* SPDX-License-Identifier: Apache-2.0
 * test_link.c - actors that end together, and histories of links and monitors at random.
 * Called by: the test runner. */
#include "family.h"

#include "alloc.h"

/* What a node does to its peers, as notes tell it: the number is what * 16 + whom. */
enum { LINK = 1, UNLINK, WATCH, TRAP, FAIL, STOP, RANDOM };

#define PEERS 6

struct peers;

struct node {
    struct peers *peers;
    int index;
    unsigned downs;
    weft_err err, reason;
    uint64_t tag;
};

struct peers {
    weft_addr *addr[PEERS];
    struct node node[PEERS];
};

static weft_verdict act(weft_self *self, struct node *n, uint64_t what, weft_addr *whom)
{
    switch (what) {
    case LINK: n->err = weft_link(self, whom); break;
    case UNLINK: n->err = weft_unlink(self, whom); break;
    case WATCH: n->err = weft_monitor(self, whom, &n->tag); break;
    case TRAP: weft_trap_exits(self, true); break;
    case FAIL: return weft_fail(self, WEFT_IO);
    case STOP: return WEFT_STOP;
    default: break;
    }
    return WEFT_DONE;
}

static weft_verdict node_handle(weft_self *self, void *data, weft_msg *msg)
{
    struct node *n = data;
    if (msg->kind == &weft_kind_down) {
        n->downs++;
        n->reason = ((weft_down *)msg)->reason;
        return WEFT_DONE;
    }
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    uint64_t number = ((struct note *)msg)->number;
    return act(self, n, number / 16, n->peers->addr[number % 16]);
}

static void open_peers(struct peers *p, struct rig *rig, int count)
{
    *p = (struct peers){0};
    for (int i = 0; i < count; i++) {
        p->node[i].peers = p;
        p->node[i].index = i;
        p->addr[i] = rig_spawn(rig, node_handle, &p->node[i], 0);
    }
}

static void close_peers(struct peers *p)
{
    for (int i = 0; i < PEERS; i++) weft_addr_put(p->addr[i]);
}

static void told(struct rig *rig, struct peers *p, int who, uint64_t what, int whom)
{
    tell(p->addr[who], what * 16 + (uint64_t)whom);
    if (what < FAIL) cr_assert_eq(rig_call(rig, p->addr[who], 0), WEFT_OK);
}

PLACES(link, a_failure_of_either_side_fails_the_other)
{
    for (int which = 0; which < 2; which++) {
        struct peers p;
        open_peers(&p, rig, 2);
        told(rig, &p, 0, LINK, 1);
        cr_assert_eq(rig_call(rig, p.addr[1], 0), WEFT_OK);
        told(rig, &p, which, FAIL, 0);
        cr_assert_eq(rig_join(rig, p.addr[which]), WEFT_IO);
        cr_assert_eq(rig_join(rig, p.addr[1 - which]), WEFT_IO);
        close_peers(&p);
    }
}

PLACES(link, goes_on_from_one_to_the_next)
{
    struct peers p;
    open_peers(&p, rig, 4);
    for (int i = 0; i < 3; i++) told(rig, &p, i, LINK, i + 1);
    told(rig, &p, 3, FAIL, 0);
    for (int i = 0; i < 4; i++) cr_assert_eq(rig_join(rig, p.addr[i]), WEFT_IO);
    close_peers(&p);
}

PLACES(link, an_end_with_ok_is_not_felt)
{
    struct peers p;
    open_peers(&p, rig, 2);
    told(rig, &p, 0, LINK, 1);
    told(rig, &p, 1, STOP, 0);
    cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_OK);
    cr_assert_eq(rig_call(rig, p.addr[0], 0), WEFT_OK);
    close_peers(&p);
}

PLACES(link, is_a_message_to_one_who_traps_it)
{
    struct peers p;
    open_peers(&p, rig, 2);
    told(rig, &p, 0, TRAP, 0);
    told(rig, &p, 0, LINK, 1);
    told(rig, &p, 1, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_IO);
    cr_assert_eq(rig_call(rig, p.addr[0], 0), WEFT_OK);
    cr_assert_eq(p.node[0].downs, 1);
    cr_assert_eq(p.node[0].reason, WEFT_IO);
    close_peers(&p);
}

PLACES(link, of_two_at_once_is_felt_once)
{
    struct peers p;
    open_peers(&p, rig, 2);
    told(rig, &p, 0, TRAP, 0);
    tell(p.addr[0], LINK * 16 + 1);
    tell(p.addr[1], LINK * 16);
    for (int i = 0; i < 4; i++) cr_assert_eq(rig_call(rig, p.addr[i % 2], 0), WEFT_OK);
    told(rig, &p, 1, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_IO);
    cr_assert_eq(rig_call(rig, p.addr[0], 0), WEFT_OK);
    cr_assert_eq(p.node[0].downs, 1);
    close_peers(&p);
}

PLACES(link, twice_is_once)
{
    struct peers p;
    open_peers(&p, rig, 2);
    told(rig, &p, 0, TRAP, 0);
    told(rig, &p, 0, LINK, 1);
    told(rig, &p, 0, LINK, 1);
    cr_assert_eq(p.node[0].err, WEFT_OK);
    told(rig, &p, 1, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_IO);
    cr_assert_eq(rig_call(rig, p.addr[0], 0), WEFT_OK);
    cr_assert_eq(p.node[0].downs, 1);
    close_peers(&p);
}

PLACES(link, ended_by_either_side_is_not_felt)
{
    for (int which = 0; which < 2; which++) {
        struct peers p;
        open_peers(&p, rig, 2);
        told(rig, &p, 0, LINK, 1);
        cr_assert_eq(rig_call(rig, p.addr[1], 0), WEFT_OK);
        told(rig, &p, which, UNLINK, 1 - which);
        cr_assert_eq(p.node[which].err, WEFT_OK);
        cr_assert_eq(rig_call(rig, p.addr[1 - which], 0), WEFT_OK);
        told(rig, &p, which, UNLINK, 1 - which);
        cr_assert_eq(p.node[which].err, WEFT_NOT_FOUND);
        told(rig, &p, 1 - which, UNLINK, which);
        cr_assert_eq(p.node[1 - which].err, WEFT_NOT_FOUND);
        told(rig, &p, 1, FAIL, 0);
        cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_IO);
        cr_assert_eq(rig_call(rig, p.addr[0], 0), WEFT_OK);
        close_peers(&p);
    }
}

PLACES(link, to_one_that_has_ended_is_closed)
{
    struct peers p;
    open_peers(&p, rig, 2);
    told(rig, &p, 1, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[1]), WEFT_IO);
    told(rig, &p, 0, LINK, 1);
    cr_assert_eq(p.node[0].err, WEFT_CLOSED);
    told(rig, &p, 0, LINK, 0);
    cr_assert_eq(p.node[0].err, WEFT_INVALID);
    close_peers(&p);
}

/* -- Links and restarts ------------------------------------------------------------------------ */

static weft_addr *partner;
static weft_err link_err;

static weft_verdict link_partner(weft_self *self, struct kid *kid, weft_msg *msg)
{
    (void)kid;
    if (msg->kind == &NOTE) link_err = weft_link(self, partner);
    return rig_echo(self, NULL, msg);
}

PLACES(link, fails_a_child_that_then_starts_again)
{
    struct family f;
    struct peers p;
    open_peers(&p, rig, 1);
    partner = p.addr[0];
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = link_partner;
    family_start(&f);
    tell(kid->addr, 1);
    cr_assert_eq(rig_call(rig, kid->addr, 0), WEFT_OK);
    cr_assert_eq(link_err, WEFT_OK);
    told(rig, &p, 0, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[0]), WEFT_IO);
    (void)rig_call(rig, kid->addr, 0);
    (void)rig_call(rig, kid->addr, 0);
    cr_assert_eq(kid->lives, 2);
    cr_assert_eq(kid->fini_reason, WEFT_IO);
    close_peers(&p);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

PLACES(link, survives_a_restart)
{
    struct family f;
    struct peers p;
    open_peers(&p, rig, 1);
    partner = p.addr[0];
    family_init(&f, rig);
    struct kid *kid = family_kid(&f, "a", WEFT_TRANSIENT);
    kid->handle = link_partner;
    family_start(&f);
    tell(kid->addr, 1);
    tell(kid->addr, TELL_FAIL);
    cr_assert_eq(rig_call(rig, kid->addr, 0), WEFT_OK);
    cr_assert_eq(rig_call(rig, partner, 0), WEFT_OK); /* a restart is no end */
    told(rig, &p, 0, FAIL, 0);
    cr_assert_eq(rig_join(rig, p.addr[0]), WEFT_IO);
    (void)rig_call(rig, kid->addr, 0);
    (void)rig_call(rig, kid->addr, 0);
    cr_assert_eq(kid->lives, 3);
    close_peers(&p);
    cr_assert_eq(family_end(&f), WEFT_OK);
}

/* -- At random ------------------------------------------------------------------------------------ */

static weft_verdict wander(weft_self *self, void *data, weft_msg *msg)
{
    struct node *n = data;
    uint8_t dice[2];
    if (msg->kind == &weft_kind_down) {
        n->downs++;
        return WEFT_DONE;
    }
    weft_self_random(self, dice, sizeof dice);
    if (dice[0] % 8 == 0) (void)weft_demonitor(self, n->tag);
    return act(self, n, dice[0] % 40 == 39 ? FAIL : 1 + dice[0] % 4,
               n->peers->addr[dice[1] % PEERS]);
}

/* Some trap, some do not; some end, some are stopped at the end: nothing may be left, nothing
 * freed twice. What the sanitizers see is the point of it. */
static void random_history(struct rig *rig, unsigned notes)
{
    struct peers p = {0};
    for (int i = 0; i < PEERS; i++) {
        p.node[i].peers = &p;
        p.addr[i] = rig_spawn(rig, wander, &p.node[i], 0);
    }
    for (unsigned n = 0; n < notes; n++) tell(p.addr[n % PEERS], 0);
    for (int i = 0; i < PEERS; i += 2) (void)weft_stop(p.addr[i], WEFT_DRAIN);
    for (int i = 0; i < PEERS; i += 2) (void)rig_join(rig, p.addr[i]);
    for (int i = 1; i < PEERS; i += 2) (void)weft_stop(p.addr[i], WEFT_NOW);
    for (int i = 1; i < PEERS; i += 2) (void)rig_join(rig, p.addr[i]);
    close_peers(&p);
}

Test(link, random_histories_of_links_and_monitors_leave_nothing)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct rig rig = rig_open(true, seed);
        random_history(&rig, 120);
        rig_close(&rig);
    }
}

Test(link, random_histories_on_threads_leave_nothing)
{
    for (int n = 0; n < 40; n++) {
        struct rig rig = rig_open(false, 0);
        random_history(&rig, 200);
        rig_close(&rig);
    }
}

Test(link, without_memory_is_an_error_and_no_link)
{
    struct rig rig = rig_open(true, 1);
    struct peers p;
    open_peers(&p, &rig, 2);
    cr_assert_eq(weft_send(p.addr[0], &note_new(0, LINK * 16 + 1)->msg), WEFT_OK);
    wf_alloc_fail_at(1, 0);
    while (wf_sim_step(rig.sim)) {}
    wf_alloc_fail_at(0, 0);
    cr_assert_eq(p.node[0].err, WEFT_NO_MEMORY);
    told(&rig, &p, 1, FAIL, 0);
    cr_assert_eq(rig_join(&rig, p.addr[1]), WEFT_IO);
    cr_assert_eq(rig_call(&rig, p.addr[0], 0), WEFT_OK);
    close_peers(&p);
    rig_close(&rig);
}
