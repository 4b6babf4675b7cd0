/* SPDX-License-Identifier: Apache-2.0
 * test_crypto.c - hashes against published values, signatures against forgery.
 * Called by: meson test. May touch: crypto.c, wholly: it is compiled in here, because the path for
 * a library with the cofactored equation cannot be reached through another kind of library. */
#include "crypto.c"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "entry_kit.h"

Test(crypto, blake2b_256_equals_other_implementations)
{
    uint8_t out[32], expected[32];
    /* hashlib.blake2b(b'', digest_size=32) */
    kit_bytes("0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8", expected, 32);
    wf_blake2b_256("", 0, out);
    cr_assert_eq(memcmp(out, expected, 32), 0);
}

Test(crypto, hashing_in_pieces_equals_hashing_at_once)
{
    kit_random r = {4};
    static uint8_t data[5000];
    kit_fill(&r, data, sizeof data);
    for (int round = 0; round < 50; round++) {
        uint8_t whole[32], pieces[32];
        wf_hash h;
        size_t len = kit_below(&r, sizeof data), done = 0;
        wf_blake2b_256(data, len, whole);
        wf_hash_init(&h);
        while (done < len) {
            size_t n = 1 + kit_below(&r, (uint32_t)(len - done));
            wf_hash_update(&h, data + done, n);
            done += n;
        }
        wf_hash_final(&h, pieces);
        cr_assert_eq(memcmp(whole, pieces, 32), 0);
    }
}

Test(crypto, siphash_equals_the_vector_of_its_paper)
{
    uint8_t key[16], data[15]; /* Aumasson and Bernstein, SipHash, appendix A */
    for (uint8_t i = 0; i < 16; i++) key[i] = i;
    for (uint8_t i = 0; i < 15; i++) data[i] = i;
    cr_assert_eq(wf_siphash(key, data, sizeof data), UINT64_C(0xa129ca6149be45e5));
}

static weft_keypair *known_pair(void)
{
    uint8_t seed[32];
    weft_keypair *pair = NULL;
    for (uint8_t i = 0; i < 32; i++) seed[i] = i;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    return pair;
}

Test(crypto, a_signature_equals_that_of_another_implementation)
{
    uint8_t signature[64];
    weft_keypair *pair = known_pair();
    cr_assert_eq(wf_sign(pair, WF_PURPOSE_ENTRY, "weft known answer", 17, signature), WEFT_OK);
    cr_assert_eq(memcmp(signature, known_signature, 64), 0);
    weft_keypair_destroy(pair);
}

/* Each round signs and asks for every pair of purposes; WEFT_PURPOSE_ROUNDS=16667 makes 10^5 of
 * pairs that differ. */
Test(crypto, a_signature_of_one_purpose_never_verifies_as_another, .timeout = 600)
{
    kit_random r = {5};
    const char *given = getenv("WEFT_PURPOSE_ROUNDS");
    const long rounds = given != NULL ? strtol(given, NULL, 10) : 200;
    for (long round = 0; round < rounds; round++) {
        uint8_t data[64], signature[64];
        weft_keypair *pair = kit_pair((uint8_t)(round % 7 + 1));
        weft_key key;
        weft_keypair_public(pair, &key);
        size_t len = kit_below(&r, sizeof data);
        kit_fill(&r, data, len);
        for (unsigned p = 0; p < WF_PURPOSE_COUNT; p++) {
            cr_assert_eq(wf_sign(pair, (enum wf_purpose)p, data, len, signature), WEFT_OK);
            for (unsigned q = 0; q < WF_PURPOSE_COUNT; q++) {
                cr_assert_eq(wf_verify(&key, (enum wf_purpose)q, data, len, signature),
                             p == q ? WEFT_OK : WEFT_BAD_SIGNATURE);
            }
        }
        weft_keypair_destroy(pair);
    }
}

Test(crypto, no_purpose_is_the_beginning_of_another)
{
    for (unsigned p = 0; p < WF_PURPOSE_COUNT; p++) {
        for (unsigned q = 0; q < WF_PURPOSE_COUNT; q++) {
            const char *a = wf_purpose_tag((enum wf_purpose)p);
            const char *b = wf_purpose_tag((enum wf_purpose)q);
            /* With its NUL each tag ends where no other does: differing is enough. */
            cr_assert(p == q || strcmp(a, b) != 0);
        }
    }
}

/* The message that the purpose ENTRY and "weft known answer" give. */
static const uint8_t *const message = known_message;
enum { MESSAGE_LEN = sizeof known_message - 1 };

static bool good(const uint8_t key[32], const uint8_t signature[64], bool cofactored)
{
    return verify_plain(key, message, MESSAGE_LEN, signature, cofactored);
}

Test(crypto, every_bit_of_a_signature_counts)
{
    for (size_t bit = 0; bit < 512; bit++) {
        uint8_t signature[64];
        memcpy(signature, known_signature, 64);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert(!good(known_key, signature, false), "bit %zu", bit);
    }
}

Test(crypto, s_at_or_above_the_order_is_refused_before_the_library_sees_it)
{
    uint8_t s[32];
    cr_assert(!number_below(group_order, group_order));
    memcpy(s, group_order, 32);
    s[0]--;
    cr_assert(number_below(s, group_order));
    memset(s, 0xff, 32);
    cr_assert(!number_below(s, group_order));
    memset(s, 0, 32);
    cr_assert(number_below(s, group_order));
}

Test(crypto, small_order_points_and_their_other_encodings_are_refused)
{
    uint8_t point[32];
    size_t n = sizeof small_order_y / sizeof small_order_y[0];
    for (size_t i = 0; i < n; i++) {
        for (unsigned sign = 0; sign < 2; sign++) {
            memcpy(point, small_order_y[i], 32);
            point[31] |= (uint8_t)(sign << 7);
            cr_assert(!point_allowed(point), "y %zu sign %u", i, sign);
        }
    }
    for (unsigned above = 0; above < 19; above++) { /* p .. 2^255-1: a second form of 0 .. 18 */
        memset(point, 0xff, 32);
        point[0] = (uint8_t)(0xed + above);
        cr_assert(!point_allowed(point), "with sign, p + %u", above);
        point[31] = 0x7f;
        cr_assert(!point_allowed(point), "p + %u", above);
    }
    memset(point, 0xff, 32);
    point[0] = 0xeb; /* p - 2 */
    point[31] = 0x7f;
    cr_assert(point_allowed(point));
    cr_assert(point_allowed(known_key));
}

Test(crypto, a_small_order_key_signs_nothing)
{
    uint8_t signature[64] = {0};
    for (size_t i = 0; i < sizeof small_order_y / sizeof small_order_y[0]; i++) {
        memcpy(signature, small_order_y[i], 32);
        weft_key key;
        memcpy(key.bytes, small_order_y[i], 32);
        cr_assert_eq(wf_verify(&key, WF_PURPOSE_ENTRY, "x", 1, signature), WEFT_BAD_SIGNATURE);
    }
}

Test(crypto, a_key_off_the_curve_is_refused)
{
    uint8_t key[32] = {2}; /* no x belongs to y = 2 */
    cr_assert(!good(key, known_signature, false));
    cr_assert(!good(key, known_signature, true));
}

/* A key with a part of order 8, and two signatures by it: in the first, k is a multiple
 * of 8, so that S*B == R + k*A; in the second only 8*S*B == 8*(R + k*A). Made with an
 * independent implementation. */
static const char mixed_key[] = "b502ff3d92e31d8190b4aa4ea0414005167fad089c4de9dac8a2fc850fed4f58";
static const char mixed_exact[] =
    "5742346c0cfbf2c214022dd398b6e9dd586b0b56d85b3b24c09bda746435b46c"
    "f731581940ac447f9ceed63dfe8282cd8b5a41066d5c92c25d131e7aec64cb0d";
static const char mixed_cofactored[] =
    "df6a43357dffd20091a233628d0e72cd5ee7d9bf1ad3538af98f342dc3d0b1ab"
    "f9ebcea5e4b60b8c0e3def1fdda1c711043bce53316d6cf53edb5ad4e572af05";

Test(crypto, both_kinds_of_library_give_the_same_answer_about_torsion)
{
    uint8_t key[32], exact[64], loose[64];
    kit_bytes(mixed_key, key, 32);
    kit_bytes(mixed_exact, exact, 64);
    kit_bytes(mixed_cofactored, loose, 64);

    /* What this library says, and what is added after a cofactored one said yes. */
    cr_assert(good(key, exact, false));
    cr_assert(without_torsion(key, message, MESSAGE_LEN, exact));
    cr_assert(!good(key, loose, false));
    cr_assert(!without_torsion(key, message, MESSAGE_LEN, loose));
    cr_assert(!good(known_key, torsion_signature, false));
    cr_assert(!without_torsion(known_key, message, MESSAGE_LEN, torsion_signature));
    cr_assert(without_torsion(known_key, message, MESSAGE_LEN, known_signature));
}

Test(crypto, every_honest_signature_passes_the_check_of_a_cofactored_library)
{
    kit_random r = {6};
    for (int round = 0; round < 100; round++) {
        uint8_t data[100], signature[64];
        weft_keypair *pair = kit_pair((uint8_t)(1 + round % 9));
        size_t len = kit_below(&r, sizeof data), tagged_len;
        kit_fill(&r, data, len);
        cr_assert_eq(wf_sign(pair, WF_PURPOSE_ENTRY, data, len, signature), WEFT_OK);
        uint8_t stack[ON_STACK_BYTES], *heap;
        const uint8_t *m = tagged(WF_PURPOSE_ENTRY, data, len, stack, &heap, &tagged_len);
        cr_assert(verify_plain(pair->key.bytes, m, tagged_len, signature, true));
        weft_keypair_destroy(pair);
    }
}

Test(crypto, long_data_verifies_and_short_memory_is_not_a_bad_signature)
{
    static uint8_t data[100000];
    uint8_t signature[64];
    weft_key key;
    weft_keypair *pair = kit_pair(1);
    weft_keypair_public(pair, &key);
    cr_assert_eq(wf_sign(pair, WF_PURPOSE_ENTRY, data, sizeof data, signature), WEFT_OK);
    cr_assert_eq(wf_verify(&key, WF_PURPOSE_ENTRY, data, sizeof data, signature), WEFT_OK);
    wf_alloc_fail_at(1, 0);
    cr_assert_eq(wf_verify(&key, WF_PURPOSE_ENTRY, data, sizeof data, signature), WEFT_NO_MEMORY);
    wf_alloc_fail_at(1, 0);
    cr_assert_eq(wf_sign(pair, WF_PURPOSE_ENTRY, data, sizeof data, signature), WEFT_NO_MEMORY);
    wf_alloc_fail_at(0, 0);
    weft_keypair_destroy(pair);
}

Test(crypto, a_pair_that_cannot_be_made_leaves_the_output_alone)
{
    uint8_t seed[32] = {1};
    weft_keypair *pair = NULL;
    cr_assert_eq(wf_crypto_init(), WEFT_OK);
    wf_alloc_fail_at(1, 0);
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_NO_MEMORY);
    wf_alloc_fail_at(0, 0);
    cr_assert_null(pair);
    weft_keypair_destroy(NULL);
}

Test(crypto, fresh_pairs_differ)
{
    weft_keypair *a = NULL, *b = NULL;
    weft_key ka, kb;
    cr_assert_eq(weft_keypair_create(&a), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&b), WEFT_OK);
    weft_keypair_public(a, &ka);
    weft_keypair_public(b, &kb);
    cr_assert(!weft_key_equal(&ka, &kb));
    weft_keypair_destroy(a);
    weft_keypair_destroy(b);
}
