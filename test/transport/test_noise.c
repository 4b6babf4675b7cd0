/* SPDX-License-Identifier: Apache-2.0
 * test_noise.c - the secure session: published vectors, forged bytes, replays, keys.
 * Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noise_core.h"
#include "rig.h"
#include "session.h"

/* -- Published vectors ------------------------------------------------------------------ */

#define MESSAGES_MAX 6u
#define MESSAGE_MAX 4096u

struct vector {
    const char *source;
    enum wf_noise_pattern pattern;
    const char *init_prologue, *init_static, *init_ephemeral;
    const char *resp_prologue, *resp_static, *resp_ephemeral;
    const char *handshake_hash; /* empty: not published */
    struct {
        const char *payload, *ciphertext;
    } messages[MESSAGES_MAX];
    unsigned count;
};
#include "noise_vectors.h"

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

static void side(struct wf_handshake *hs, const struct vector *v, bool initiator)
{
    uint8_t prologue[256], s[32], e[32], remote[32], remote_public[32];
    size_t len = unhex(initiator ? v->init_prologue : v->resp_prologue, prologue);
    unhex(initiator ? v->init_static : v->resp_static, s);
    unhex(initiator ? v->init_ephemeral : v->resp_ephemeral, e);
    unhex(v->resp_static, remote);
    wf_dh_public(remote, remote_public);
    wf_handshake_init(hs, v->pattern, initiator, prologue, len, s,
                      initiator && v->pattern == WF_NOISE_IK ? remote_public : NULL);
    wf_handshake_ephemeral(hs, e);
}

static void handshake_message(struct wf_handshake *from, struct wf_handshake *to,
                              const struct vector *v, unsigned i)
{
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX], out[MESSAGE_MAX], back[MESSAGE_MAX];
    size_t keys, sealed, used, opened, len = unhex(v->messages[i].payload, payload);
    size_t expected_len = unhex(v->messages[i].ciphertext, expected);
    cr_assert_eq(wf_handshake_write_begin(from, out, &keys), WEFT_OK);
    cr_assert_eq(wf_handshake_write_end(from, payload, len, out + keys, &sealed), WEFT_OK);
    cr_assert_eq(keys + sealed, expected_len, "%s message %u", v->source, i);
    cr_assert_arr_eq(out, expected, expected_len, "%s message %u", v->source, i);
    cr_assert_eq(wf_handshake_read_begin(to, out, expected_len, &used), WEFT_OK);
    cr_assert_eq(wf_handshake_read_end(to, out + used, expected_len - used, back, &opened),
                 WEFT_OK);
    cr_assert_eq(opened, len);
    cr_assert_arr_eq(back, payload, len);
}

static void transport_message(struct wf_cipher *from, struct wf_cipher *to, const struct vector *v,
                              unsigned i)
{
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX], out[MESSAGE_MAX];
    size_t len = unhex(v->messages[i].payload, payload);
    size_t expected_len = unhex(v->messages[i].ciphertext, expected);
    cr_assert_eq(len + WF_NOISE_TAG_BYTES, expected_len);
    cr_assert_eq(wf_cipher_encrypt(from, NULL, 0, payload, len, out), WEFT_OK);
    cr_assert_arr_eq(out, expected, expected_len, "%s message %u", v->source, i);
    cr_assert_eq(wf_cipher_decrypt(to, NULL, 0, out, expected_len, out), WEFT_OK);
    cr_assert_arr_eq(out, payload, len);
}

Test(noise, published_vectors_of_xx_and_ik_match)
{
    for (size_t n = 0; n < sizeof vectors / sizeof vectors[0]; n++) {
        const struct vector *v = &vectors[n];
        struct wf_handshake hs[2];
        struct wf_cipher send[2], receive[2];
        unsigned i = 0;
        uint8_t hash[64];
        side(&hs[0], v, true);
        side(&hs[1], v, false);
        for (; !wf_handshake_done(&hs[0]); i++) handshake_message(&hs[i % 2], &hs[1 - i % 2], v, i);
        cr_assert_arr_eq(hs[0].symmetric.hash, hs[1].symmetric.hash, 64);
        if (v->handshake_hash[0] != '\0') {
            unhex(v->handshake_hash, hash);
            cr_assert_arr_eq(hs[0].symmetric.hash, hash, 64, "%s", v->source);
        }
        wf_handshake_split(&hs[0], &send[0], &receive[0]);
        wf_handshake_split(&hs[1], &send[1], &receive[1]);
        /* These sources let the sides alternate by the index, also after the handshake. */
        for (; i < v->count; i++) transport_message(&send[i % 2], &receive[1 - i % 2], v, i);
    }
}

/* -- The vectors of another implementation ------------------------------------------------ */

/* What Debian's golang-github-flynn-noise-dev brings; WEFT_FLYNN_VECTORS names another place. */
#define FLYNN_VECTORS "/usr/share/gocode/src/github.com/flynn/noise/vectors.txt"

/* One block of the file: `name=hexadecimal digits` lines. */
struct block {
    char text[40][2048];
    unsigned lines;
};

static const char *value(const struct block *b, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < b->lines; i++)
        if (strncmp(b->text[i], name, len) == 0 && b->text[i][len] == '=')
            return b->text[i] + len + 1;
    return "";
}

static bool read_block(FILE *file, struct block *b)
{
    char line[2048];
    b->lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' && b->lines > 0) return true;
        if (line[0] == '\0' || line[0] == '#') continue;
        cr_assert_lt(b->lines, sizeof b->text / sizeof b->text[0]);
        memcpy(b->text[b->lines++], line, sizeof line);
    }
    return b->lines > 0;
}

static void block_vector(const struct block *b, enum wf_noise_pattern pattern, struct vector *v)
{
    char name[32];
    memset(v, 0, sizeof *v);
    v->source = value(b, "handshake");
    v->pattern = pattern;
    v->init_prologue = v->resp_prologue = value(b, "prologue");
    v->init_static = value(b, "init_static");
    v->resp_static = value(b, "resp_static");
    v->init_ephemeral = value(b, "gen_init_ephemeral");
    v->resp_ephemeral = value(b, "gen_resp_ephemeral");
    v->handshake_hash = "";
    for (; v->count < MESSAGES_MAX; v->count++) {
        snprintf(name, sizeof name, "msg_%u_ciphertext", v->count);
        v->messages[v->count].ciphertext = value(b, name);
        snprintf(name, sizeof name, "msg_%u_payload", v->count);
        v->messages[v->count].payload = value(b, name);
        if (v->messages[v->count].ciphertext[0] == '\0') break;
    }
}

/* In this source the initiator sends the first message behind the handshake. */
static void run_block(const struct vector *v)
{
    struct wf_handshake hs[2];
    struct wf_cipher send[2], receive[2];
    unsigned i = 0;
    side(&hs[0], v, true);
    side(&hs[1], v, false);
    for (; !wf_handshake_done(&hs[0]); i++) handshake_message(&hs[i % 2], &hs[1 - i % 2], v, i);
    wf_handshake_split(&hs[0], &send[0], &receive[0]);
    wf_handshake_split(&hs[1], &send[1], &receive[1]);
    cr_assert_eq(v->count, i + 2, "%s", v->source);
    transport_message(&send[0], &receive[1], v, i);
    transport_message(&send[1], &receive[0], v, i + 1);
}

Test(noise, the_vectors_of_flynn_noise_match)
{
    static struct block b;
    struct vector v;
    const char *path = getenv("WEFT_FLYNN_VECTORS");
    FILE *file = fopen(path == NULL ? FLYNN_VECTORS : path, "r");
    unsigned xx = 0, ik = 0;
    if (file == NULL) cr_skip_test("golang-github-flynn-noise-dev is not installed");
    while (read_block(file, &b)) {
        const char *name = value(&b, "handshake");
        bool is_xx = strcmp(name, "Noise_XX_25519_ChaChaPoly_BLAKE2b") == 0;
        if (!is_xx && strcmp(name, "Noise_IK_25519_ChaChaPoly_BLAKE2b") != 0) continue;
        block_vector(&b, is_xx ? WF_NOISE_XX : WF_NOISE_IK, &v);
        run_block(&v);
        if (is_xx) xx++;
        else ik++;
    }
    (void)fclose(file);
    cr_expect(xx >= 4 && ik >= 4, "%u of XX, %u of IK", xx, ik);
}

/* -- Sessions --------------------------------------------------------------------------- */

struct ends { /* [0] the initiator, [1] the responder */
    struct wf_identity identity[2];
    wf_noise_static *s[2];
    wf_noise *n[2];
    uint8_t message[3][WF_NOISE_HANDSHAKE_MAX];
    size_t len[3];
};

static void ends_begin(struct ends *e, const weft_key *expected)
{
    memset(e, 0, sizeof *e);
    for (unsigned i = 0; i < 2; i++) {
        rig_identity(i + 1, &e->identity[i]);
        cr_assert_eq(wf_noise_static_create(&e->identity[i], &e->s[i]), WEFT_OK);
        cr_assert_eq(
            wf_noise_create(&e->identity[i], e->s[i], i == 0, i == 0 ? expected : NULL, &e->n[i]),
            WEFT_OK);
    }
}

static void ends_free(struct ends *e)
{
    for (unsigned i = 0; i < 2; i++) {
        wf_noise_destroy(e->n[i]);
        wf_noise_static_destroy(e->s[i]);
        free(e->identity[i].arg);
    }
}

/* Runs the handshake; byte `at` of message `m` is flipped (m 3: none). The first error. */
static weft_err run(struct ends *e, unsigned m, size_t at)
{
    for (unsigned i = 0; i < 3; i++) {
        weft_err err = wf_noise_write(e->n[i % 2], e->message[i], &e->len[i]);
        if (err != WEFT_OK) return err;
        if (i == m && at < e->len[i]) e->message[i][at] ^= 1;
        err = wf_noise_read(e->n[1 - i % 2], e->message[i], e->len[i]);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

static void ends_ready(struct ends *e)
{
    ends_begin(e, NULL);
    cr_assert_eq(run(e, 3, 0), WEFT_OK);
}

Test(noise, both_sides_prove_their_device_keys)
{
    struct ends e;
    weft_key key;
    uint8_t channel[2][64];
    struct wf_identity second;
    rig_identity(2, &second);
    ends_begin(&e, &second.key);
    cr_assert_eq(run(&e, 3, 0), WEFT_OK);
    for (unsigned i = 0; i < 2; i++) {
        cr_expect(wf_noise_done(e.n[i]));
        wf_noise_peer(e.n[i], &key);
        cr_expect(weft_key_equal(&key, &e.identity[1 - i].key));
        wf_noise_channel(e.n[i], channel[i]);
    }
    cr_expect_arr_eq(channel[0], channel[1], 64);
    ends_free(&e);
    free(second.arg);
}

Test(noise, another_key_than_the_expected_is_told_apart)
{
    struct ends e;
    struct wf_identity third;
    rig_identity(3, &third);
    ends_begin(&e, &third.key);
    cr_expect_eq(run(&e, 3, 0), WEFT_PEER_KEY);
    cr_expect(!wf_noise_done(e.n[0]) && !wf_noise_done(e.n[1]));
    ends_free(&e);
    free(third.arg);
}

Test(noise, a_flipped_byte_anywhere_in_the_handshake_is_refused)
{
    static const size_t len[3] = {32, 193, 161};
    for (unsigned m = 0; m < 3; m++) {
        for (size_t at = 0; at < len[m]; at++) {
            struct ends e;
            ends_begin(&e, NULL);
            cr_expect_neq(run(&e, m, at), WEFT_OK, "message %u byte %zu", m, at);
            cr_expect(!wf_noise_done(e.n[1]), "the responder believed message %u byte %zu", m, at);
            ends_free(&e);
        }
    }
}

Test(noise, a_message_cut_or_lengthened_is_refused)
{
    for (unsigned m = 0; m < 3; m++) {
        for (int change = -1; change <= 1; change += 2) {
            struct ends e;
            weft_err err = WEFT_OK;
            ends_begin(&e, NULL);
            for (unsigned i = 0; i < 3 && err == WEFT_OK; i++) {
                cr_assert_eq(wf_noise_write(e.n[i % 2], e.message[i], &e.len[i]), WEFT_OK);
                size_t len = i == m ? e.len[i] + (size_t)change : e.len[i];
                err = wf_noise_read(e.n[1 - i % 2], e.message[i], len);
            }
            cr_expect_neq(err, WEFT_OK, "message %u, %d bytes", m, change);
            ends_free(&e);
        }
    }
}

Test(noise, a_recorded_handshake_cannot_be_replayed)
{
    struct ends e;
    wf_noise *again = NULL;
    uint8_t answer[WF_NOISE_HANDSHAKE_MAX];
    size_t len;
    ends_ready(&e);
    cr_assert_eq(wf_noise_create(&e.identity[1], e.s[1], false, NULL, &again), WEFT_OK);
    cr_expect_eq(wf_noise_read(again, e.message[0], e.len[0]), WEFT_OK);
    cr_expect_eq(wf_noise_write(again, answer, &len), WEFT_OK);
    cr_expect_eq(wf_noise_read(again, e.message[2], e.len[2]), WEFT_AUTH);
    cr_expect(!wf_noise_done(again));
    wf_noise_destroy(again);
    ends_free(&e);
}

Test(noise, a_key_without_a_share_in_the_secret_is_refused)
{
    struct ends e;
    uint8_t zero[32] = {0}; /* a point of small order: the shared secret would be known */
    size_t len;
    ends_begin(&e, NULL);
    cr_expect_eq(wf_noise_read(e.n[1], zero, sizeof zero), WEFT_OK);
    cr_expect_eq(wf_noise_write(e.n[1], e.message[1], &len), WEFT_AUTH);
    ends_free(&e);
}

/* One message of a raw handshake, without weft's payload rules. */
static size_t raw_write(struct wf_handshake *hs, const uint8_t *payload, size_t len, uint8_t *out)
{
    size_t keys, sealed;
    cr_assert_eq(wf_handshake_write_begin(hs, out, &keys), WEFT_OK);
    cr_assert_eq(wf_handshake_write_end(hs, payload, len, out + keys, &sealed), WEFT_OK);
    return keys + sealed;
}

static size_t raw_read(struct wf_handshake *hs, const uint8_t *data, size_t len, uint8_t *payload)
{
    size_t used, opened;
    cr_assert_eq(wf_handshake_read_begin(hs, data, len, &used), WEFT_OK);
    cr_assert_eq(wf_handshake_read_end(hs, data + used, len - used, payload, &opened), WEFT_OK);
    return opened;
}

static void raw_side(struct wf_handshake *hs, bool initiator, uint8_t secret)
{
    uint8_t s[32] = {secret}, e[32] = {secret, 1};
    wf_handshake_init(hs, WF_NOISE_XX, initiator, "weft/1", 6, s, NULL);
    wf_handshake_ephemeral(hs, e);
}

Test(noise, a_certificate_of_one_session_is_worth_nothing_in_another)
{
    /* The thief dials the honest responder, keeps its certificate and shows it to a
     * victim together with a static key of its own. */
    struct ends e;
    struct wf_handshake dial, answer;
    uint8_t out[WF_NOISE_HANDSHAKE_MAX], certificate[WF_NOISE_HANDSHAKE_MAX], none[1];
    size_t len;
    ends_begin(&e, NULL);
    raw_side(&dial, true, 9);
    raw_side(&answer, false, 9);
    cr_assert_eq(wf_noise_read(e.n[1], out, raw_write(&dial, NULL, 0, out)), WEFT_OK);
    cr_assert_eq(wf_noise_write(e.n[1], out, &len), WEFT_OK);
    size_t certificate_len = raw_read(&dial, out, len, certificate);
    cr_assert_eq(certificate_len, 97);
    cr_assert_eq(wf_noise_write(e.n[0], out, &len), WEFT_OK);
    cr_assert_eq(raw_read(&answer, out, len, none), 0);
    len = raw_write(&answer, certificate, certificate_len, out);
    cr_expect_eq(wf_noise_read(e.n[0], out, len), WEFT_AUTH);
    ends_free(&e);
}

/* -- Records ---------------------------------------------------------------------------- */

Test(noise, a_flipped_byte_anywhere_in_a_record_is_refused)
{
    uint8_t plain[40] = "forty bytes of which nothing may change", sealed[56], back[40];
    for (size_t at = 0; at < sizeof sealed; at++) {
        struct ends e;
        ends_ready(&e);
        cr_assert_eq(wf_noise_encrypt(e.n[0], plain, sizeof plain, sealed), WEFT_OK);
        sealed[at] ^= 0x80;
        cr_expect_eq(wf_noise_decrypt(e.n[1], sealed, sizeof sealed, back), WEFT_AUTH, "at %zu",
                     at);
        sealed[at] ^= 0x80;
        cr_expect_eq(wf_noise_decrypt(e.n[1], sealed, sizeof sealed, back), WEFT_AUTH,
                     "the session went on after a forgery");
        ends_free(&e);
    }
}

Test(noise, records_repeated_swapped_or_left_out_are_refused)
{
    uint8_t sealed[3][17], back[1];
    for (unsigned c = 0; c < 3; c++) {
        static const unsigned order[3][2] = {{0, 0}, {1, 0}, {0, 2}};
        struct ends e;
        ends_ready(&e);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(wf_noise_encrypt(e.n[0], (const uint8_t *)"x", 1, sealed[i]), WEFT_OK);
        weft_err first = wf_noise_decrypt(e.n[1], sealed[order[c][0]], 17, back);
        weft_err second = wf_noise_decrypt(e.n[1], sealed[order[c][1]], 17, back);
        cr_expect(first == WEFT_AUTH || second == WEFT_AUTH, "case %u", c);
        ends_free(&e);
    }
}

static unsigned records_until_refused(struct ends *e, unsigned most)
{
    uint8_t sealed[17], back[1];
    for (unsigned i = 0; i < most; i++) {
        cr_assert_eq(wf_noise_encrypt(e->n[0], (const uint8_t *)"x", 1, sealed), WEFT_OK);
        if (wf_noise_decrypt(e->n[1], sealed, 17, back) != WEFT_OK) return i;
    }
    return most;
}

Test(noise, both_directions_rekey_and_go_on)
{
    struct ends e;
    uint8_t sealed[17], back[1];
    ends_ready(&e);
    wf_noise_rekey_every(e.n[0], 4);
    wf_noise_rekey_every(e.n[1], 4);
    cr_expect_eq(records_until_refused(&e, 21), 21);
    cr_assert_eq(wf_noise_encrypt(e.n[1], (const uint8_t *)"y", 1, sealed), WEFT_OK);
    cr_expect_eq(wf_noise_decrypt(e.n[0], sealed, 17, back), WEFT_OK);
    ends_free(&e);
}

Test(noise, a_side_that_does_not_rekey_is_cut_off)
{
    struct ends e;
    ends_ready(&e);
    wf_noise_rekey_every(e.n[0], 4);
    cr_expect_eq(records_until_refused(&e, 8), 4);
    ends_free(&e);
}

Test(noise, the_key_changes_after_two_to_the_twentieth_records)
{
    struct ends e;
    const unsigned most = 1u << 20;
    ends_ready(&e);
    wf_noise_rekey_every(e.n[1], (uint64_t)most * 2); /* one side would go on with the old key */
    cr_expect_eq(records_until_refused(&e, most + 1), most);
    ends_free(&e);
}
