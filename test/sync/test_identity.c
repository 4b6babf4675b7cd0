/* SPDX-License-Identifier: Apache-2.0
 * test_identity.c - whose store it is: a good key of the wrong node is refused.
 * Called by: the test runner. May touch: directories of its own below /tmp. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/node.h>

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
