/* SPDX-License-Identifier: Apache-2.0
 * test_identity.c - whose store it is: a good key of the wrong node is refused, and a device's
 * new key takes the old one's place or does not.
 * Called by: the test runner. May touch: directories of its own below /tmp. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/keys.h>
#include <weft/node.h>

#include "alloc.h"

#define CALL (20 * WEFT_SEC)

struct place {
    char dir[32], key[64];
};

static void place_make(struct place *p)
{
    strcpy(p->dir, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(p->dir));
    snprintf(p->key, sizeof p->key, "%s/device.key", p->dir);
}

static void place_remove(const struct place *p)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    cr_assert_eq(system(command), 0);
}

static weft_err opens(const struct place *p, bool use)
{
    weft_node *node = NULL;
    weft_keypair *author = NULL;
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_id tree;
    weft_err err = weft_node_open(&(weft_node_options){.dir = p->dir}, &node);
    if (err == WEFT_OK && use) {
        cr_assert_eq(weft_keypair_create(&author), WEFT_OK);
        cr_assert_eq(weft_tree_create(node, author, &root, CALL, &tree), WEFT_OK);
        weft_keypair_destroy(author);
    }
    weft_node_close(node);
    return err;
}

Test(identity, a_store_in_use_with_the_key_of_another_node_is_refused)
{
    struct place a, b;
    char own[80];
    place_make(&a);
    place_make(&b);
    cr_assert_eq(opens(&a, true), WEFT_OK);
    cr_assert_eq(opens(&b, false), WEFT_OK);
    snprintf(own, sizeof own, "%s.own", a.key);
    cr_assert_eq(rename(a.key, own), 0);
    cr_assert_eq(rename(b.key, a.key), 0);
    cr_expect_eq(opens(&a, false), WEFT_KEY_FILE);
    /* Nothing was changed by that: with its own key it opens as before. */
    cr_assert_eq(rename(own, a.key), 0);
    cr_expect_eq(opens(&a, false), WEFT_OK);
    place_remove(&a);
    place_remove(&b);
}

Test(identity, a_store_that_nobody_has_used_takes_another_key)
{
    struct place a, b;
    place_make(&a);
    place_make(&b);
    cr_assert_eq(opens(&a, false), WEFT_OK);
    cr_assert_eq(opens(&b, false), WEFT_OK);
    cr_assert_eq(rename(b.key, a.key), 0);
    cr_expect_eq(opens(&a, true), WEFT_OK);
    cr_expect_eq(opens(&a, false), WEFT_OK); /* and is its node's from then on */
    place_remove(&a);
    place_remove(&b);
}

Test(identity, a_store_that_knows_peers_is_in_use_though_it_has_no_tree)
{
    struct place a;
    weft_node *node = NULL;
    weft_key peer = {{7}};
    place_make(&a);
    cr_assert_eq(weft_node_open(&(weft_node_options){.dir = a.dir}, &node), WEFT_OK);
    cr_assert_eq(weft_peer_register(node, &peer, "seven", CALL), WEFT_OK);
    weft_node_close(node);
    cr_assert_eq(unlink(a.key), 0);
    cr_expect_eq(opens(&a, false), WEFT_KEY_FILE);
    cr_expect_neq(access(a.key, F_OK), 0, "no key is made for it");
    place_remove(&a);
}

/* -- A new key ----------------------------------------------------------------------------- */

static weft_key key_in(const char *path)
{
    weft_keypair *pair = NULL;
    weft_key key = {{0}};
    if (weft_keypair_load(path, &pair) == WEFT_OK) weft_keypair_public(pair, &key);
    weft_keypair_destroy(pair);
    return key;
}

static weft_key public_of(const weft_keypair *pair)
{
    weft_key key;
    weft_keypair_public(pair, &key);
    return key;
}

static bool equal(weft_key a, weft_key b) { return weft_key_equal(&a, &b); }

/* A node that has a peer and a tree, closed. */
static void place_use(const struct place *p)
{
    weft_node *node = NULL;
    weft_key peer = {{7}};
    cr_assert_eq(opens(p, true), WEFT_OK);
    cr_assert_eq(weft_node_open(&(weft_node_options){.dir = p->dir}, &node), WEFT_OK);
    cr_assert_eq(weft_peer_register(node, &peer, "seven", CALL), WEFT_OK);
    weft_node_close(node);
}

/* Opens with `key`, and all that place_use made is there. */
static void expect_node(const struct place *p, weft_key key)
{
    weft_node *node = NULL;
    weft_peer_info info;
    weft_key self, peer = {{7}};
    weft_id tree;
    size_t trees = 1;
    cr_assert_eq(weft_node_open(&(weft_node_options){.dir = p->dir}, &node), WEFT_OK);
    weft_node_key(node, &self);
    cr_expect(weft_key_equal(&self, &key));
    cr_expect_eq(weft_peer_get(node, &peer, CALL, &info), WEFT_OK);
    cr_expect_eq(weft_tree_list(node, &tree, &trees), WEFT_OK);
    cr_expect_eq(trees, 1);
    weft_node_close(node);
}

Test(identity, a_rotated_device_opens_with_its_new_key_and_all_it_had)
{
    struct place a;
    char kept[80];
    weft_keypair *before = NULL, *now = NULL;
    place_make(&a);
    place_use(&a);
    snprintf(kept, sizeof kept, "%s.before", a.key);
    weft_key old = key_in(a.key);
    weft_node_options where = {.dir = a.dir};
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    cr_expect(equal(public_of(before), old), "the old key is returned");
    cr_expect(equal(key_in(kept), old), "and kept");
    cr_expect_not(equal(public_of(now), old));
    cr_expect(equal(key_in(a.key), public_of(now)));
    expect_node(&a, public_of(now));
    cr_assert_eq(unlink(kept), 0); /* nobody needs it any more but the caller */
    expect_node(&a, public_of(now));
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    place_remove(&a);
}

Test(identity, the_key_of_an_earlier_rotation_is_not_overwritten)
{
    struct place a;
    char kept[80];
    weft_keypair *before = NULL, *now = NULL;
    place_make(&a);
    place_use(&a);
    snprintf(kept, sizeof kept, "%s.before", a.key);
    weft_key first = key_in(a.key);
    weft_node_options where = {.dir = a.dir};
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    weft_keypair_destroy(before);
    weft_key second = public_of(now);
    weft_keypair_destroy(now);
    before = now = NULL;
    cr_expect_eq(weft_device_rotate(&where, &before, &now), WEFT_EXISTS);
    cr_expect(before == NULL && now == NULL);
    cr_expect(equal(key_in(kept), first));
    expect_node(&a, second);
    cr_assert_eq(unlink(kept), 0);
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    cr_expect(equal(public_of(before), second));
    expect_node(&a, public_of(now));
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    place_remove(&a);
}

/* What a crash between the two leaves: the file has the new pair, the store knows the old one. */
static weft_key crash_half_way(const struct place *p)
{
    char kept[80];
    weft_keypair *now = NULL;
    snprintf(kept, sizeof kept, "%s.before", p->key);
    cr_assert_eq(rename(p->key, kept), 0);
    cr_assert_eq(weft_keypair_create(&now), WEFT_OK);
    cr_assert_eq(weft_keypair_save(now, p->key), WEFT_OK);
    weft_key key = public_of(now);
    weft_keypair_destroy(now);
    return key;
}

Test(identity, a_crash_between_the_file_and_the_store_is_made_up_for_by_the_next_opening)
{
    struct place a;
    char kept[80];
    place_make(&a);
    place_use(&a);
    snprintf(kept, sizeof kept, "%s.before", a.key);
    weft_key now = crash_half_way(&a);
    expect_node(&a, now);
    cr_assert_eq(unlink(kept), 0); /* it is written down now */
    expect_node(&a, now);
    place_remove(&a);
}

Test(identity, a_crash_between_the_file_and_the_store_is_made_up_for_by_the_next_rotation)
{
    struct place a;
    weft_keypair *before = NULL, *now = NULL;
    place_make(&a);
    place_use(&a);
    weft_key old = key_in(a.key), fresh = crash_half_way(&a);
    weft_node_options where = {.dir = a.dir};
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    cr_expect(equal(public_of(before), old), "not rotated twice");
    cr_expect(equal(public_of(now), fresh));
    expect_node(&a, fresh);
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    place_remove(&a);
}

/* Before the new pair is in the file nothing has happened but that the old one is kept twice. */
Test(identity, a_crash_before_the_new_key_is_in_the_file_changes_nothing)
{
    struct place a;
    char kept[80];
    weft_keypair *pair = NULL, *before = NULL, *now = NULL;
    place_make(&a);
    place_use(&a);
    snprintf(kept, sizeof kept, "%s.before", a.key);
    cr_assert_eq(weft_keypair_load(a.key, &pair), WEFT_OK);
    cr_assert_eq(weft_keypair_save(pair, kept), WEFT_OK);
    expect_node(&a, public_of(pair));
    weft_node_options where = {.dir = a.dir};
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    cr_expect(equal(public_of(before), public_of(pair)));
    expect_node(&a, public_of(now));
    weft_keypair_destroy(pair);
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    place_remove(&a);
}

Test(identity, another_nodes_key_is_refused_also_beside_the_pair_of_a_rotation)
{
    struct place a, b;
    weft_keypair *before = NULL, *now = NULL;
    place_make(&a);
    place_make(&b);
    place_use(&a);
    cr_assert_eq(opens(&b, false), WEFT_OK);
    weft_node_options where = {.dir = a.dir};
    cr_assert_eq(weft_device_rotate(&where, &before, &now), WEFT_OK);
    cr_assert_eq(rename(b.key, a.key), 0); /* .before is not whose the store is any more */
    cr_expect_eq(opens(&a, false), WEFT_KEY_FILE);
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
    place_remove(&a);
    place_remove(&b);
}

/* A failure leaves the old pair in the file, or the new one and the old one beside it. On a store
 * in memory, so that all of them can be tried. */
Test(identity, each_allocation_of_a_rotation_may_fail, .timeout = 120)
{
    struct place a;
    char kept[80];
    unsigned failed = 0;
    bool refused = true;
    place_make(&a);
    snprintf(kept, sizeof kept, "%s.before", a.key);
    weft_node_options where = {.key_file = a.key, .verifiers = 1};
    for (unsigned nth = 1; refused; nth++) {
        weft_keypair *pair = NULL, *before = NULL, *now = NULL;
        unlink(a.key);
        unlink(kept);
        cr_assert_eq(weft_keypair_create(&pair), WEFT_OK);
        cr_assert_eq(weft_keypair_save(pair, a.key), WEFT_OK);
        wf_alloc_fail_at(nth, 0);
        weft_err err = weft_device_rotate(&where, &before, &now);
        refused = wf_alloc_fail_at(0, 0) >= nth;
        cr_assert(refused || err == WEFT_OK);
        failed += err != WEFT_OK;
        cr_assert(err == WEFT_OK || (before == NULL && now == NULL), "%u", nth);
        if (!equal(key_in(a.key), public_of(pair)))
            cr_expect(equal(key_in(kept), public_of(pair)), "%u", nth);
        else cr_expect_neq(err, WEFT_OK);
        weft_keypair_destroy(pair);
        weft_keypair_destroy(before);
        weft_keypair_destroy(now);
    }
    cr_expect_gt(failed, 10);
    place_remove(&a);
}

Test(identity, only_a_closed_node_with_a_key_in_a_file_is_rotated)
{
    struct place a;
    char none[64];
    weft_node *node = NULL;
    weft_keypair *before = NULL, *now = NULL, *pair = NULL;
    place_make(&a);
    snprintf(none, sizeof none, "%s/none", a.dir);
    cr_expect_eq(weft_device_rotate(&(weft_node_options){.dir = none}, &before, &now),
                 WEFT_NOT_FOUND);
    cr_expect_neq(access(none, F_OK), 0, "nothing is made");
    cr_assert_eq(weft_keypair_create(&pair), WEFT_OK);
    weft_node_options where = {.dir = a.dir, .device = pair};
    cr_expect_eq(weft_device_rotate(&where, &before, &now), WEFT_INVALID);
    where = (weft_node_options){.dir = NULL};
    cr_expect_eq(weft_device_rotate(&where, &before, &now), WEFT_INVALID);
    cr_expect_eq(weft_device_rotate(NULL, &before, &now), WEFT_INVALID);
    where = (weft_node_options){.dir = a.dir};
    cr_assert_eq(weft_node_open(&where, &node), WEFT_OK);
    weft_key key = key_in(a.key);
    cr_expect_eq(weft_device_rotate(&where, NULL, &now), WEFT_INVALID);
    cr_expect_eq(weft_device_rotate(&where, &before, NULL), WEFT_INVALID);
    cr_expect_eq(weft_device_rotate(&where, &before, &now), WEFT_LOCKED);
    cr_expect(equal(key_in(a.key), key));
    weft_node_close(node);
    cr_expect(before == NULL && now == NULL);
    weft_keypair_destroy(pair);
    place_remove(&a);
}

/* -- From inside an actor -------------------------------------------------------------------- */

static weft_err inside[8];
static weft_keystore *store_inside;
static weft_keypair *pair_inside;

static weft_err try_inside(weft_self *self, void *state, void *arg)
{
    weft_keypair *a = NULL, *b = NULL;
    weft_keystore *s = NULL;
    weft_buf *buf = NULL;
    (void)self;
    (void)state;
    inside[0] = weft_device_rotate(&(weft_node_options){.key_file = arg}, &a, &b);
    inside[1] = weft_keystore_create(arg, "p", 1, NULL, &s);
    inside[2] = weft_keystore_open(arg, "p", 1, &s);
    inside[3] = weft_keystore_put(store_inside, "a", pair_inside);
    inside[4] = weft_keystore_remove(store_inside, "a");
    inside[5] = weft_keystore_passphrase(store_inside, "q", 1);
    inside[6] = weft_keypair_export(pair_inside, "p", 1, &buf);
    inside[7] = weft_keypair_import("x", 1, "p", 1, &a);
    return WEFT_BUSY;
}

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(identity, what_takes_its_time_with_keys_is_refused_inside_an_actor)
{
    static const weft_keystore_cost cheap = {.operations = 1, .memory_bytes = 8192};
    struct place a;
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    place_make(&a);
    cr_assert_eq(weft_keystore_create(a.key, "p", 1, &cheap, &store_inside), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&pair_inside), WEFT_OK);
    const weft_spec spec = {.name = "inside", .init = try_inside, .handle = ignore, .arg = a.key};
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_BUSY);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        cr_expect_eq(inside[i], WEFT_DEADLK, "%zu: %s", i, weft_errname(inside[i]));
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    weft_keystore_close(store_inside);
    weft_keypair_destroy(pair_inside);
    place_remove(&a);
}
