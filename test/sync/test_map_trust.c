/* SPDX-License-Identifier: Apache-2.0
 * test_map_trust.c - maps and rights on several nodes, while Admins grant, revoke and renew apart.
 * Called by: meson test. May touch: nodes in the simulator.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/access.h>
#include <weft/map.h>

#include "world.h"

#define DOC "doc"
#define CALL (30 * WEFT_SEC)
#define LONG (2400 * WEFT_SEC)

enum { GUESTS = 4 };

static weft_keypair *guests[GUESTS];
static weft_key keys[GUESTS];

static void setup(void)
{
    for (uint8_t i = 0; i < GUESTS; i++) {
        const uint8_t seed[32] = {(uint8_t)(150 + i)};
        cr_assert_eq(weft_keypair_from_seed(seed, &guests[i]), WEFT_OK);
        weft_keypair_public(guests[i], &keys[i]);
    }
}

static void teardown(void)
{
    for (int i = 0; i < GUESTS; i++) weft_keypair_destroy(guests[i]);
}

TestSuite(map_trust, .init = setup, .fini = teardown);

/* -- Short ways --------------------------------------------------------------------------------- */

static weft_err says(struct world *w, uint32_t node, const weft_keypair *admin, int guest,
                     weft_right right, uint32_t priority)
{
    const weft_grant grant = {.key = keys[guest], .right = right, .priority = priority};
    weft_err err = weft_grant_put(w->nodes[node].node, &w->tree, admin, &grant, 1, CALL, NULL);
    cr_assert(err == WEFT_OK || err == WEFT_FORBIDDEN, "seed %lu: %s", w->seed, weft_errname(err));
    return err;
}

/* A guest sets a path of its own to that, if the door of the node lets it. */
static weft_err writes(struct world *w, uint32_t node, int guest, uint64_t number)
{
    const char name[2] = {(char)('a' + guest), '\0'};
    weft_writer *writer = NULL;
    weft_map_edit *edit = NULL;
    cr_assert_eq(weft_writer_open(w->nodes[node].node, &w->tree, guests[guest], &writer), WEFT_OK);
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(name), weft_map_uint(number)), WEFT_OK);
    weft_err err = weft_map_commit(writer, DOC, edit, CALL, NULL);
    cr_assert(err == WEFT_OK || err == WEFT_FORBIDDEN, "seed %lu: %s", w->seed, weft_errname(err));
    weft_map_edit_destroy(edit);
    weft_writer_close(writer);
    return err;
}

static weft_map *open_map(struct world *w, uint32_t node)
{
    weft_map *map = NULL;
    cr_assert_eq(weft_map_open(w->nodes[node].node, &w->tree, DOC, &map), WEFT_OK);
    return map;
}

/* What the map shows of the guest; 0: nothing. */
static uint64_t shows(weft_map *map, int guest)
{
    const char name[2] = {(char)('a' + guest), '\0'};
    weft_map_value value = {.as.uint = 0};
    cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
    weft_err err = weft_map_get(map, WEFT_MAP_PATH(name), &value);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
    return err == WEFT_OK ? value.as.uint : 0;
}

static void cut_all(struct world *w, bool cut)
{
    for (uint32_t a = 0; a < w->count; a++)
        for (uint32_t b = a + 1; b < w->count; b++) world_cut(w, a, b, cut);
}

static void meet(struct world *w)
{
    cut_all(w, false);
    cr_assert(world_converges(w, LONG), "seed %lu", w->seed);
}

/* -- Claims ------------------------------------------------------------------------------------- */

Test(map_trust, a_revoked_writer_leaves_the_map_of_each_node_and_comes_back_with_a_new_grant)
{
    struct world *w = world_create(1, WORLD_MESH, 3, WORLD_PLAIN);
    weft_map *maps[3];
    cr_assert_eq(says(w, 0, w->author, 0, WEFT_RIGHT_WRITE, 5), WEFT_OK);
    meet(w);
    cr_assert_eq(writes(w, 1, 0, 1), WEFT_OK);
    meet(w);
    for (uint32_t i = 0; i < 3; i++) maps[i] = open_map(w, i);
    for (uint32_t i = 0; i < 3; i++) cr_expect_eq(shows(maps[i], 0), 1, "node %u", i);
    cut_all(w, true);
    cr_assert_eq(says(w, 0, w->author, 0, WEFT_RIGHT_NONE, 0), WEFT_OK);
    cr_assert_eq(writes(w, 1, 0, 2), WEFT_OK, "it has not heard of that");
    cr_expect_eq(shows(maps[1], 0), 2);
    meet(w);
    for (uint32_t i = 0; i < 3; i++) cr_expect_eq(shows(maps[i], 0), 1, "node %u", i);
    cr_expect_eq(writes(w, 1, 0, 3), WEFT_FORBIDDEN);
    cr_assert_eq(says(w, 2, w->author, 0, WEFT_RIGHT_WRITE, 5), WEFT_OK);
    meet(w);
    cr_assert_eq(writes(w, 1, 0, 4), WEFT_OK);
    meet(w);
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect_eq(shows(maps[i], 0), 4, "node %u", i);
        weft_map_close(maps[i]);
    }
    world_destroy(w);
}

Test(map_trust, an_admin_that_is_revoked_while_it_renews_itself_is_out_on_each_node)
{
    struct world *w = world_create(2, WORLD_MESH, 3, WORLD_PLAIN);
    cr_assert_eq(says(w, 0, w->author, 0, WEFT_RIGHT_ADMIN, 5), WEFT_OK);
    meet(w);
    cut_all(w, true);
    cr_assert_eq(says(w, 0, w->author, 0, WEFT_RIGHT_NONE, 0), WEFT_OK);
    for (int i = 0; i < 4; i++) /* a longer history than the revocation has */
        cr_assert_eq(says(w, 1, guests[0], i % 2, WEFT_RIGHT_ADMIN, 5), WEFT_OK);
    meet(w);
    cr_expect_eq(says(w, 1, guests[0], 2, WEFT_RIGHT_READ, 0), WEFT_OK,
                 "the door goes by the last");
    meet(w);
    for (uint32_t i = 0; i < 3; i++) {
        weft_right right[GUESTS];
        for (int k = 0; k < GUESTS; k++)
            cr_assert_eq(weft_right_of(w->nodes[i].node, &w->tree, &keys[k], &right[k], NULL),
                         WEFT_OK);
        cr_expect_eq(right[0], WEFT_RIGHT_NONE, "node %u", i);
        for (int k = 1; k < GUESTS; k++)
            cr_expect_lt(right[k], WEFT_RIGHT_ADMIN, "node %u, guest %d: as everyone", i, k);
        cr_expect_eq(right[1], right[3], "node %u: nobody spoke of that one", i);
    }
    world_destroy(w);
}

/* -- Whoever says what ----------------------------------------------------------------------------- */

static void step(struct world *w)
{
    static const weft_right rights[] = {WEFT_RIGHT_NONE, WEFT_RIGHT_NONE, WEFT_RIGHT_READ,
                                        WEFT_RIGHT_WRITE, WEFT_RIGHT_ADMIN};
    const uint32_t node = world_below(w, w->count), who = world_below(w, GUESTS + 1);
    const weft_keypair *admin = who == GUESTS ? w->author : guests[who];
    if (world_below(w, 3) == 0)
        (void)says(w, node, admin, (int)world_below(w, GUESTS), rights[world_below(w, 5)],
                   1 + world_below(w, 3));
    else (void)writes(w, node, (int)world_below(w, GUESTS), 1 + world_below(w, 1000));
    world_run(w, world_below(w, 200) * WEFT_MS);
}

/* All that a node knows of who may do what, and of what counts. */
struct told {
    struct world *w;
    uint32_t node;
    FILE *out;
    uint32_t left_out;
};

static weft_err tell_entry(void *arg, const weft_entry *entry)
{
    struct told *t = arg;
    bool counts = false;
    weft_err err = weft_entry_counts(t->w->nodes[t->node].node, &entry->id, &counts);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    fprintf(t->out, "%d", counts);
    t->left_out += !counts;
    return WEFT_OK;
}

static weft_err tell_item(void *arg, const weft_map_item *item)
{
    fprintf(arg, " %.*s=%d", (int)item->path.part[0].len, item->path.part[0].text,
            (int)item->value.as.uint);
    return WEFT_OK;
}

static char *told_by(struct world *w, uint32_t node, weft_map *map, uint32_t *left_out)
{
    char *bytes = NULL;
    size_t len = 0, count = 16;
    weft_grant list[16];
    struct told t = {w, node, open_memstream(&bytes, &len), 0};
    cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
    cr_assert_eq(weft_map_each(map, NULL, tell_item, t.out), WEFT_OK);
    cr_assert_eq(weft_grant_list(w->nodes[node].node, &w->tree, list, &count), WEFT_OK);
    for (size_t i = 0; i < count; i++)
        fprintf(t.out, "\n%02x%02x %d:%d", list[i].key.bytes[0], list[i].key.bytes[1],
                (int)list[i].right, (int)list[i].priority);
    fprintf(t.out, "\n");
    cr_assert_eq(weft_tree_walk(w->nodes[node].node, &w->tree, tell_entry, &t), WEFT_OK);
    fclose(t.out);
    *left_out = t.left_out;
    return bytes;
}

Test(map_trust, nodes_that_hold_the_same_agree_on_maps_rights_and_what_counts)
{
    uint32_t left_out = 0, all = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world *w = world_create(seed, WORLD_MESH, 3, WORLD_PLAIN);
        weft_map *maps[3];
        for (int i = 0; i < GUESTS; i++)
            cr_assert_eq(says(w, 0, w->author, i, WEFT_RIGHT_ADMIN, 1 + (uint32_t)i / 2), WEFT_OK);
        meet(w);
        for (uint32_t i = 0; i < 3; i++) maps[i] = open_map(w, i);
        for (int part = 0; part < 4; part++) { /* they part and meet */
            cut_all(w, part % 2 == 0);
            for (int i = 0; i < 12; i++) step(w);
            cr_assert_eq(weft_map_refresh(maps[world_below(w, 3)], NULL), WEFT_OK);
        }
        meet(w);
        char *first = told_by(w, 0, maps[0], &left_out);
        all += left_out;
        for (uint32_t i = 1; i < 3; i++) {
            char *other = told_by(w, i, maps[i], &left_out);
            cr_assert_str_eq(other, first, "seed %lu, node %u", seed, i);
            free(other);
        }
        free(first);
        for (uint32_t i = 0; i < 3; i++) weft_map_close(maps[i]);
        world_destroy(w);
    }
    cr_expect_gt(all, 20, "%u left out", all);
}
