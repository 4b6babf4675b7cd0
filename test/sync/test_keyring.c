/* SPDX-License-Identifier: Apache-2.0
 * test_keyring.c - the keys that peers have proven, and those that we act with.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "identities.h"
#include "keyring.h"

static weft_key key_of(uint32_t number)
{
    weft_key key = {{0}};
    /* The last bytes too, so that an order by some of them is not enough. */
    for (unsigned i = 0; i < 4; i++) key.bytes[i] = key.bytes[28 + i] = (uint8_t)(number >> 8 * i);
    return key;
}

static weft_id tree_of(uint32_t number)
{
    weft_id id = {{0}};
    memcpy(id.bytes, &number, sizeof number);
    return id;
}

static weft_err add(struct wf_keyring *ring, uint32_t peer, uint32_t key)
{
    weft_key p = key_of(peer), k = key_of(key);
    return wf_keyring_add(ring, &p, &k);
}

static uint32_t count(struct wf_keyring *ring, uint32_t peer)
{
    weft_key p = key_of(peer), keys[WEFT_PROVEN_KEYS_MAX];
    return wf_keyring_get(ring, &p, keys);
}

/* -- The keyring ------------------------------------------------------------------------ */

Test(keyring, keeps_for_each_peer_what_it_has_proven_in_its_order)
{
    struct wf_keyring *ring = wf_keyring_create();
    weft_key one = key_of(1), keys[WEFT_PROVEN_KEYS_MAX], a = key_of(30), b = key_of(20);
    cr_assert_eq(add(ring, 1, 30), WEFT_OK);
    cr_assert_eq(add(ring, 2, 40), WEFT_OK);
    cr_assert_eq(add(ring, 1, 20), WEFT_OK);
    cr_expect_eq(add(ring, 1, 30), WEFT_EXISTS);
    cr_assert_eq(wf_keyring_get(ring, &one, keys), 2);
    cr_expect(weft_key_equal(&keys[0], &a) && weft_key_equal(&keys[1], &b));
    cr_expect_eq(count(ring, 2), 1);
    cr_expect_eq(count(ring, 3), 0);
    cr_expect_eq(wf_keyring_get(NULL, &one, keys), 0, "a table without one");
    wf_keyring_destroy(ring);
}

Test(keyring, has_room_for_so_many_keys_of_a_peer)
{
    struct wf_keyring *ring = wf_keyring_create();
    for (uint32_t i = 0; i < WEFT_PROVEN_KEYS_MAX; i++) cr_assert_eq(add(ring, 1, 10 + i), WEFT_OK);
    cr_expect_eq(add(ring, 1, 99), WEFT_LIMIT);
    cr_expect_eq(add(ring, 1, 10), WEFT_EXISTS, "which is there already");
    cr_expect_eq(count(ring, 1), WEFT_PROVEN_KEYS_MAX);
    cr_expect_eq(add(ring, 2, 99), WEFT_OK, "another's");
    wf_keyring_destroy(ring);
}

Test(keyring, agrees_with_a_list_of_who_has_proven_what)
{
    enum { PEERS = 40, STEPS = 4000 };
    struct wf_keyring *ring = wf_keyring_create();
    uint32_t proven[PEERS] = {0}; /* key k: bit k */
    srand(7);
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t peer = (uint32_t)rand() % PEERS, key = (uint32_t)rand() % WEFT_PROVEN_KEYS_MAX;
        if (rand() % 8 == 0) {
            weft_key p = key_of(peer);
            wf_keyring_drop(ring, &p);
            proven[peer] = 0;
        } else {
            bool had = (proven[peer] >> key & 1u) != 0;
            cr_assert_eq(add(ring, peer, 1000 + key), had ? WEFT_EXISTS : WEFT_OK);
            proven[peer] |= 1u << key;
        }
        for (uint32_t p = 0; p < PEERS; p++)
            cr_assert_eq(count(ring, p), (uint32_t)__builtin_popcount(proven[p]), "step %u", i);
    }
    wf_keyring_destroy(ring);
}

Test(keyring, without_memory_nothing_is_proven)
{
    struct wf_keyring *ring = NULL;
    for (uint64_t nth = 1; ring == NULL; nth++) {
        (void)wf_alloc_fail_at(nth, 0);
        ring = wf_keyring_create();
        (void)wf_alloc_fail_at(0, 0);
        cr_assert_lt(nth, 9);
    }
    (void)wf_alloc_fail_at(1, 0);
    cr_expect_eq(add(ring, 1, 2), WEFT_NO_MEMORY);
    (void)wf_alloc_fail_at(0, 0);
    cr_expect_eq(count(ring, 1), 0);
    cr_expect_eq(add(ring, 1, 2), WEFT_OK);
    wf_keyring_destroy(ring);
}

/* -- Identities ------------------------------------------------------------------------- */

static weft_keypair *pair_of(uint8_t number)
{
    uint8_t seed[32] = {number, 1};
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    return pair;
}

/* By whom the tree's signature is; zero: nobody signs. */
static weft_key signer(struct wf_identities *ids, const weft_id *tree)
{
    weft_key by_sign = {{0}}, by_key = {{0}};
    uint8_t sig[WEFT_SIGNATURE_BYTES];
    weft_err err = wf_identities_sign(ids, tree, "text", 4, &by_sign, sig);
    bool has = wf_identities_key(ids, tree, &by_key);
    cr_assert_eq(err, has ? WEFT_OK : WEFT_NOT_FOUND);
    cr_assert(weft_key_equal(&by_sign, &by_key));
    if (has) {
        cr_expect_eq(wf_verify(&by_key, WF_PURPOSE_ACCESS, "text", 4, sig), WEFT_OK);
        cr_expect_eq(wf_verify(&by_key, WF_PURPOSE_ENTRY, "text", 4, sig), WEFT_BAD_SIGNATURE);
    }
    return by_key;
}

Test(identities, sign_with_the_key_of_the_tree)
{
    struct wf_identities *ids = wf_identities_create();
    weft_keypair *a = pair_of(1), *b = pair_of(2);
    weft_key of_a, of_b, nobody = {{0}}, got;
    weft_id one = tree_of(1), two = tree_of(2), none = tree_of(3);
    weft_keypair_public(a, &of_a);
    weft_keypair_public(b, &of_b);
    cr_assert_eq(wf_identities_set(ids, &two, b), WEFT_OK);
    cr_assert_eq(wf_identities_set(ids, &one, a), WEFT_OK);
    weft_keypair_destroy(a); /* it was copied */
    got = signer(ids, &one);
    cr_expect(weft_key_equal(&got, &of_a));
    got = signer(ids, &two);
    cr_expect(weft_key_equal(&got, &of_b));
    got = signer(ids, &none);
    cr_expect(weft_key_equal(&got, &nobody));
    cr_assert_eq(wf_identities_set(ids, &one, b), WEFT_OK);
    got = signer(ids, &one);
    cr_expect(weft_key_equal(&got, &of_b), "a later one takes its place");
    cr_assert_eq(wf_identities_set(ids, &one, NULL), WEFT_OK);
    cr_assert_eq(wf_identities_set(ids, &none, NULL), WEFT_OK);
    got = signer(ids, &one);
    cr_expect(weft_key_equal(&got, &nobody));
    got = signer(ids, &two);
    cr_expect(weft_key_equal(&got, &of_b));
    weft_keypair_destroy(b);
    wf_identities_destroy(ids);
}

Test(identities, have_a_bound)
{
    struct wf_identities *ids = wf_identities_create();
    weft_keypair *pair = pair_of(1);
    weft_id tree;
    for (uint32_t i = 0; i < WEFT_IDENTITIES_MAX; i++) {
        tree = tree_of(i * 2654435761u);
        cr_assert_eq(wf_identities_set(ids, &tree, pair), WEFT_OK);
    }
    cr_expect_eq(wf_identities_set(ids, &tree, pair), WEFT_OK, "a tree that has one");
    weft_id other = tree_of(5);
    cr_expect_eq(wf_identities_set(ids, &other, pair), WEFT_LIMIT);
    cr_assert_eq(wf_identities_set(ids, &tree, NULL), WEFT_OK);
    cr_expect_eq(wf_identities_set(ids, &other, pair), WEFT_OK);
    weft_keypair_destroy(pair);
    wf_identities_destroy(ids);
}

Test(identities, without_memory_are_as_they_were)
{
    struct wf_identities *ids = wf_identities_create();
    weft_keypair *a = pair_of(1), *b = pair_of(2);
    weft_key of_a, of_b, got;
    weft_id tree = tree_of(1), other = tree_of(2);
    weft_keypair_public(a, &of_a);
    weft_keypair_public(b, &of_b);
    cr_assert_eq(wf_identities_set(ids, &tree, a), WEFT_OK);
    weft_err err = WEFT_NO_MEMORY;
    for (uint64_t nth = 1; err != WEFT_OK; nth++) {
        cr_assert_lt(nth, 20);
        (void)wf_alloc_fail_at(nth, 0);
        err = wf_identities_set(ids, &tree, b);
        (void)wf_alloc_fail_at(0, 0);
        got = signer(ids, &tree);
        cr_expect(weft_key_equal(&got, err == WEFT_OK ? &of_b : &of_a));
    }
    err = WEFT_NO_MEMORY;
    for (uint64_t nth = 1; err != WEFT_OK; nth++) {
        cr_assert_lt(nth, 20);
        (void)wf_alloc_fail_at(nth, 0);
        err = wf_identities_set(ids, &other, a);
        (void)wf_alloc_fail_at(0, 0);
    }
    weft_keypair_destroy(a);
    weft_keypair_destroy(b);
    wf_identities_destroy(ids);
}
