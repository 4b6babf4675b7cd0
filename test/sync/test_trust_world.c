/* SPDX-License-Identifier: Apache-2.0
 * test_trust_world.c - small worlds in which somebody cannot be trusted: a key that was revoked, an
 * author with two stories, readers that are let in and out.
 * WEFT_SIM_SEEDS sets how many worlds of each kind, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "trust_world.h"

#define CALL (30 * WEFT_SEC)

static void each_seed(uint64_t fallback, void (*play)(uint64_t seed))
{
    for (uint64_t i = 0; i < world_seeds(fallback); i++) play(world_first_seed(1) + i);
}

/* -- A key that was revoked ------------------------------------------------------------------------- */

enum { PLACES = 96, NODES = 4 };

struct revoked {
    struct world *w;
    weft_keypair *guest;
    weft_key key;
    struct trust_cut places[PLACES]; /* 0: of its grant; then its entries, oldest first */
    uint32_t count;
    weft_map *maps[NODES]; /* of a reader that looks from time to time */
};

static void name_of(uint32_t place, char out[16]) { snprintf(out, 16, "p%u", place); }

/* The guest writes on where it was at any time, on any node; each entry sets a path of its own. */
static void append(struct revoked *r)
{
    struct trust_cut on[2] = {r->places[world_below(r->w, r->count)],
                              r->places[world_below(r->w, r->count)]};
    uint32_t several = weft_id_equal(&on[0].id, &on[1].id) ? 1 : 1 + world_below(r->w, 2);
    char name[16];
    if (r->count == PLACES) return;
    name_of(r->count, name);
    weft_buf *entry = trust_entry(r->w, r->guest, on, several, name, r->count,
                                  &r->places[r->count]);
    weft_err err = trust_add(r->w, world_below(r->w, NODES), entry);
    cr_expect(err == WEFT_OK || err == WEFT_PENDING, "seed %lu: %s", r->w->seed, weft_errname(err));
    if (err == WEFT_OK) r->count++;
    weft_buf_unref(entry);
}

static void step(struct revoked *r)
{
    struct world *w = r->w;
    uint32_t a = world_below(w, NODES), b = world_below(w, NODES);
    switch (world_below(w, 8)) {
    case 0: world_cut(w, a, b, true); break;
    case 1: world_cut(w, a, b, false); break;
    case 2: cr_expect_eq(world_commit(w, a), WEFT_OK); break;
    case 3: (void)trust_shows(r->maps[a], "p1"); break;
    default: append(r); break;
    }
    world_run(w, world_below(w, 400) * WEFT_MS);
}

/* Above its revocation the door is shut, also for who stands on an old place beside. */
static void knock(struct revoked *r, const struct trust_cut *revocation)
{
    struct trust_cut on[2] = {*revocation, r->places[r->count - 1]}, out;
    for (uint32_t count = 1; count <= 2; count++) {
        weft_buf *entry = trust_entry(r->w, r->guest, on, count, "knock", 1, &out);
        for (uint32_t i = 0; i < NODES; i++)
            cr_expect_eq(trust_add(r->w, i, entry), WEFT_FORBIDDEN, "seed %lu: node %u", r->w->seed,
                         i);
        weft_buf_unref(entry);
    }
}

static void expect_views(struct revoked *r, uint32_t node, weft_map *map, const bool *counts)
{
    for (uint32_t i = 1; i < r->count; i++) {
        char name[16];
        name_of(i, name);
        cr_expect(trust_has(r->w, node, &r->places[i].id), "seed %lu: node %u lacks %u", r->w->seed,
                  node, i);
        cr_expect_eq(trust_counts(r->w, node, &r->places[i].id), counts[i], "seed %lu: node %u: %u",
                     r->w->seed, node, i);
        cr_expect_eq(trust_shows(map, name), counts[i] ? i : 0, "seed %lu: node %u: %u", r->w->seed,
                     node, i);
    }
}

static void revoked_writer(uint64_t seed)
{
    struct revoked r = {.w = world_create(seed, WORLD_MESH, NODES, WORLD_PLAIN), .count = 1};
    struct world *w = r.w;
    struct trust_cut revocation;
    bool counts[PLACES] = {true};
    r.guest = trust_pair(1, &r.key);
    cr_assert_eq(trust_say(w, 0, &r.key, WEFT_RIGHT_WRITE, &r.places[0]), WEFT_OK);
    trust_meet(w);
    for (uint32_t i = 0; i < NODES; i++) r.maps[i] = trust_map(w, i);
    for (int i = 0; i < 30; i++) step(&r);
    for (uint32_t i = 1; i < NODES; i++) world_cut(w, 0, i, true);
    world_run(w, WEFT_SEC);
    cr_assert_eq(trust_say(w, 0, &r.key, WEFT_RIGHT_NONE, &revocation), WEFT_OK);
    /* What node 0 has is below the revocation, and stays. Nothing came to it meanwhile. */
    uint32_t before = 0, all = r.count;
    for (uint32_t i = 1; i < all; i++) before += counts[i] = trust_has(w, 0, &r.places[i].id);
    for (int i = 0; i < 40; i++) step(&r);
    trust_meet(w);
    for (int i = 0; i < 6; i++) append(&r); /* all know of it, and it goes on */
    cr_expect(before > 0 && r.count > all, "seed %lu: %u of %u came before", seed, before, r.count);
    trust_meet(w);
    knock(&r, &revocation);
    trust_expect_same(w);
    for (uint32_t i = 0; i < NODES; i++) {
        expect_views(&r, i, r.maps[i], counts);
        weft_map_close(r.maps[i]);
    }
    world_kill(w, 1); /* and it is no matter of memory */
    world_start(w, 1);
    weft_map *map = trust_map(w, 1);
    expect_views(&r, 1, map, counts);
    weft_map_close(map);
    weft_keypair_destroy(r.guest);
    world_destroy(w);
}

Test(trust_world, a_revoked_key_that_writes_on_at_old_places_is_in_no_view)
{
    each_seed(6, revoked_writer);
}

/* -- An author with two stories --------------------------------------------------------------------- */

enum { LIAR = 4, ROUNDS = 5 };

static void only_link(struct world *w, uint32_t to)
{
    for (uint32_t i = 0; i < LIAR; i++) world_cut(w, LIAR, i, i != to);
    world_run(w, 2 * WEFT_SEC);
}

static void cut_halves(struct world *w, bool cut)
{
    for (uint32_t a = 0; a < 2; a++)
        for (uint32_t b = 2; b < 4; b++) world_cut(w, a, b, cut);
}

/* Node 4 tells a node of each half a story; both begin in one place, and go on or begin anew. */
static void tell(struct world *w, const weft_keypair *liar, const struct trust_cut *begin,
                 uint32_t half, struct trust_cut told[ROUNDS])
{
    weft_buf *story[ROUNDS];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const struct trust_cut *on = i == 0 || world_below(w, 2) == 0 ? begin : &told[i - 1];
        story[i] = trust_entry(w, liar, on, 1, "x", 1 + 2 * i + half, &told[i]);
    }
    only_link(w, 2 * half);
    weft_err err = weft_send_entries(w->nodes[LIAR].node, &w->nodes[2 * half].key, story, ROUNDS,
                                     CALL, NULL);
    cr_assert_eq(err, WEFT_OK, "seed %lu: %s", w->seed, weft_errname(err));
    for (uint32_t i = 0; i < ROUNDS; i++) weft_buf_unref(story[i]);
}

static void equivocate(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_MESH, 5, WORLD_PLAIN);
    struct trust_cut begin, told[2][ROUNDS];
    weft_key of_liar;
    weft_keypair *liar = trust_pair(2, &of_liar);
    cr_assert_eq(trust_say(w, 0, &of_liar, WEFT_RIGHT_WRITE, &begin), WEFT_OK);
    trust_meet(w);
    cut_halves(w, true);
    for (uint32_t half = 0; half < 2; half++) tell(w, liar, &begin, half, told[half]);
    only_link(w, LIAR); /* nobody */
    for (uint32_t i = 0; i < LIAR; i++) {
        cr_expect_eq(world_commit(w, i), WEFT_OK); /* they build on what they have heard */
        for (uint32_t half = 0; half < 2; half++)
            cr_assert_eq(trust_has(w, i, &told[half][0].id), i / 2 == half,
                         "seed %lu: node %u and story %u", seed, i, half);
    }
    trust_meet(w);
    for (uint32_t i = 0; i < LIAR; i++)
        for (uint32_t k = 0; k < 2 * ROUNDS; k++) {
            const weft_id *id = &told[k % 2][k / 2].id;
            cr_expect(trust_has(w, i, id), "seed %lu: node %u lacks %u", seed, i, k);
            cr_expect(trust_counts(w, i, id), "seed %lu: nobody is accused", seed);
        }
    trust_expect_same(w);
    cr_expect_eq(world_lost(w), 0, "seed %lu", seed);
    weft_keypair_destroy(liar);
    world_destroy(w);
}

Test(trust_world, an_author_that_tells_two_stories_is_heard_with_both_by_all)
{
    each_seed(6, equivocate);
}

/* -- Readers that are let in and out ------------------------------------------------------------------ */

static void restart(struct world *w, uint32_t i)
{
    world_kill(w, i);
    world_run(w, world_below(w, 500) * WEFT_MS);
    world_start(w, i);
}

/* Node 0 says who may read while all of them write, connections break and nodes die. */
static void let_in_and_out(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_MESH, 3, WORLD_PLAIN);
    const wf_net_faults slow = {
        .delay_min = 30 * WEFT_MS, .delay_max = 80 * WEFT_MS, .reset_ppm = 300};
    struct trust_model m;
    trust_judge(w, &m);
    world_faults(w, &slow);
    for (int i = 0; i < 80; i++) {
        uint32_t a = world_below(w, 3), b = 1 + world_below(w, 2);
        switch (world_below(w, 12)) {
        case 0:
        case 1: /* while much is on its way */
            for (int k = 0; k < 8; k++)
                cr_expect_eq(trust_commit(w, &m, 0, 250000), WEFT_OK, "seed %lu", seed);
            world_run(w, world_below(w, 300) * WEFT_MS);
            cr_expect_eq(trust_let(w, &m, b, world_below(w, 2) == 0), WEFT_OK, "seed %lu", seed);
            break;
        case 2: world_cut(w, a, b, true); break;
        case 3: world_cut(w, a, b, false); break;
        case 4:
            if (world_below(w, 4) == 0) restart(w, a);
            break;
        default:
            cr_expect_eq(trust_commit(w, &m, a, 1 + world_below(w, 60000)), WEFT_OK, "seed %lu",
                         seed);
            break;
        }
        world_run(w, world_below(w, 80) * WEFT_MS);
    }
    cr_expect_eq(m.wrong, 0, "seed %lu: %lu pieces went to who may not read them", seed, m.wrong);
    cr_expect_gt(m.right, 0, "seed %lu", seed);
    for (uint32_t i = 1; i < 3; i++) cr_assert_eq(trust_let(w, &m, i, true), WEFT_OK);
    world_faults(w, NULL);
    trust_meet(w);
    trust_expect_same(w);
    cr_expect_eq(world_lost(w), 0, "seed %lu", seed);
    cr_expect_eq(world_damage(w), 0, "seed %lu", seed);
    world_destroy(w);
}

Test(trust_world, nothing_goes_to_who_may_not_read_it_at_that_moment)
{
    each_seed(5, let_in_and_out);
}
