/* SPDX-License-Identifier: Apache-2.0
 * noise.c - the handshake and the records of the secure session. The first byte says which
 * message somebody on the way, or a peer that lies, has its hands on.
 * Called by: libfuzzer.c, replay.c. May touch: noise.h, noise_core.h. Never: sockets.
 *
 * Everything random is fixed here, so the honest messages are always the same: they are made
 * once, and an input says what is changed of them. Signatures are made up, too: Ed25519 has
 * its own tests, and would take most of the time. */
#include "noise.h"

#include <string.h>

#include "fuzz.h"
#include "noise_core.h"

enum { FIRST, SECOND, THIRD, LIAR, RECORDS, KINDS };
#define PAYLOAD (1u + WEFT_KEY_BYTES + WEFT_SIGNATURE_BYTES)

/* -- A world without chance ------------------------------------------------------------------ */

static void mix(const weft_key *key, const uint8_t *data, size_t len,
                uint8_t out[WEFT_SIGNATURE_BYTES])
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) h = (h ^ key->bytes[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < len; i++) h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < WEFT_SIGNATURE_BYTES; i++) {
        h = (h ^ i) * UINT64_C(0x100000001b3);
        out[i] = (uint8_t)(h >> 32);
    }
}

struct side {
    struct wf_identity identity;
    uint8_t next; /* of what stands for chance */
};

static weft_err sign(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    mix(&((struct side *)arg)->identity.key, data, len, out);
    return WEFT_OK;
}

static weft_err verify(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    uint8_t own[WEFT_SIGNATURE_BYTES];
    (void)arg;
    mix(key, data, len, own);
    return memcmp(own, signature, sizeof own) == 0 ? WEFT_OK : WEFT_BAD_SIGNATURE;
}

static void chance(void *arg, void *out, size_t len)
{
    struct side *s = arg;
    memset(out, s->next++, len);
}

static wf_noise *start(struct side *s, bool initiator, wf_noise_static **own)
{
    wf_noise *n = NULL;
    memset(s, 0, sizeof *s);
    s->next = initiator ? 0x10 : 0x20;
    memset(s->identity.key.bytes, initiator ? 0xa1 : 0xb2, WEFT_KEY_BYTES);
    s->identity.arg = s;
    s->identity.sign = sign;
    s->identity.verify = verify;
    s->identity.random = chance;
    FUZZ_CHECK(wf_noise_static_create(&s->identity, own) == WEFT_OK);
    FUZZ_CHECK(wf_noise_create(&s->identity, *own, initiator, NULL, &n) == WEFT_OK);
    return n;
}

/* -- The honest handshake, and a peer's that speaks Noise well ---------------------------------- */

struct message {
    uint8_t bytes[WF_NOISE_HANDSHAKE_MAX];
    size_t len;
};

static struct honest {
    struct message first, second, third;
    struct message liars; /* its first message, and ours */
    struct message to_liar;
    struct wf_handshake liar; /* that has read our answer and written the keys of the third */
    uint8_t keys[WF_NOISE_HANDSHAKE_MAX];
    size_t keys_len;
    uint8_t transcript[WF_NOISE_HASH_BYTES], liar_static[WF_NOISE_DH_BYTES];
    struct wf_cipher send, receive;
} honest;

static void write_to(wf_noise *n, struct message *m)
{
    FUZZ_CHECK(wf_noise_my_turn(n) && wf_noise_write(n, m->bytes, &m->len) == WEFT_OK);
}

static void make_liar(void)
{
    static const uint8_t s[32] = {7}, e[32] = {9};
    struct wf_handshake *l = &honest.liar;
    struct side us;
    wf_noise_static *own;
    uint8_t payload[WF_NOISE_HANDSHAKE_MAX];
    size_t keys, sealed, used, opened;
    wf_handshake_init(l, WF_NOISE_XX, true, "weft/1", 6, s, NULL);
    wf_handshake_ephemeral(l, e);
    FUZZ_CHECK(wf_handshake_write_begin(l, honest.liars.bytes, &keys) == WEFT_OK);
    FUZZ_CHECK(wf_handshake_write_end(l, NULL, 0, honest.liars.bytes + keys, &sealed) == WEFT_OK);
    honest.liars.len = keys + sealed;
    wf_noise *n = start(&us, false, &own);
    FUZZ_CHECK(wf_noise_read(n, honest.liars.bytes, honest.liars.len) == WEFT_OK);
    write_to(n, &honest.to_liar);
    wf_noise_destroy(n);
    wf_noise_static_destroy(own);
    FUZZ_CHECK(wf_handshake_read_begin(l, honest.to_liar.bytes, honest.to_liar.len, &used) ==
               WEFT_OK);
    FUZZ_CHECK(wf_handshake_read_end(l, honest.to_liar.bytes + used, honest.to_liar.len - used,
                                     payload, &opened) == WEFT_OK);
    FUZZ_CHECK(wf_handshake_write_begin(l, honest.keys, &honest.keys_len) == WEFT_OK);
    memcpy(honest.transcript, l->symmetric.hash, sizeof honest.transcript);
    memcpy(honest.liar_static, l->s_public, sizeof honest.liar_static);
}

static void make_honest(void)
{
    static bool made;
    struct side a, b;
    wf_noise_static *sa, *sb;
    if (made) return;
    made = true;
    wf_noise *i = start(&a, true, &sa), *r = start(&b, false, &sb);
    write_to(i, &honest.first);
    FUZZ_CHECK(wf_noise_read(r, honest.first.bytes, honest.first.len) == WEFT_OK);
    write_to(r, &honest.second);
    FUZZ_CHECK(wf_noise_read(i, honest.second.bytes, honest.second.len) == WEFT_OK);
    write_to(i, &honest.third);
    FUZZ_CHECK(wf_noise_read(r, honest.third.bytes, honest.third.len) == WEFT_OK);
    FUZZ_CHECK(wf_noise_done(i) && wf_noise_done(r));
    wf_noise_destroy(i);
    wf_noise_destroy(r);
    wf_noise_static_destroy(sa);
    wf_noise_static_destroy(sb);
    memset(honest.send.key, 0x5e, sizeof honest.send.key);
    honest.send.keyed = true;
    honest.receive = honest.send;
    make_liar();
}

/* -- What an input changes ----------------------------------------------------------------------- */

/* `m` with the bytes of the input laid over it, longer or shorter by what its first says. */
static bool change(const struct message *m, const uint8_t *data, size_t len, struct message *out)
{
    int more = len > 0 ? (int8_t)data[0] : 0;
    *out = *m;
    if (more < 0 && (size_t)-more > m->len) more = -(int)m->len;
    out->len = (size_t)((int)m->len + more);
    if (more > 0) memset(out->bytes + m->len, 0, (size_t)more);
    for (size_t i = 1; i < len && i - 1 < out->len; i++) out->bytes[i - 1] ^= data[i];
    return out->len != m->len || memcmp(out->bytes, m->bytes, m->len) != 0;
}

/* The reader took exactly what was sent. */
static bool judge(wf_noise *n, const struct message *m, bool changed)
{
    weft_err err = wf_noise_read(n, m->bytes, m->len);
    FUZZ_CHECK((err == WEFT_OK) == !changed);
    FUZZ_CHECK(!changed || !wf_noise_done(n));
    return err == WEFT_OK;
}

static bool second_or_third(bool third, const uint8_t *data, size_t len)
{
    struct side s;
    wf_noise_static *own;
    struct message m;
    wf_noise *n = start(&s, !third, &own);
    bool changed = change(third ? &honest.third : &honest.second, data, len, &m);
    if (third) FUZZ_CHECK(wf_noise_read(n, honest.first.bytes, honest.first.len) == WEFT_OK);
    write_to(n, &(struct message){.len = 0});
    bool good = judge(n, &m, changed);
    if (good) {
        weft_key peer;
        wf_noise_peer(n, &peer);
        FUZZ_CHECK(peer.bytes[0] == (third ? 0xa1 : 0xb2));
    }
    wf_noise_destroy(n);
    wf_noise_static_destroy(own);
    return good;
}

/* Anything may come first; what cannot be a key is not answered. */
static bool first(const uint8_t *data, size_t len)
{
    struct side s;
    wf_noise_static *own;
    struct message m;
    wf_noise *n = start(&s, false, &own);
    weft_err err = wf_noise_read(n, data, len);
    FUZZ_CHECK(err == WEFT_OK ? len == WF_NOISE_DH_BYTES : err == WEFT_SYNTAX);
    if (err == WEFT_OK) err = wf_noise_write(n, m.bytes, &m.len);
    FUZZ_CHECK(!wf_noise_done(n));
    wf_noise_destroy(n);
    wf_noise_static_destroy(own);
    return err == WEFT_OK;
}

/* A third message that Noise takes, with a certificate of the input's choice. */
static bool liar(const uint8_t *data, size_t len)
{
    struct side s;
    wf_noise_static *own;
    struct message m;
    struct wf_handshake hs = honest.liar;
    uint8_t payload[256], said[1 + WF_NOISE_DH_BYTES + WF_NOISE_HASH_BYTES];
    uint8_t signature[WEFT_SIGNATURE_BYTES];
    size_t sealed;
    weft_key key;
    if (len < 1) return false;
    bool signs = data[0] & 1;
    len = len - 1 < sizeof payload ? len - 1 : sizeof payload;
    memcpy(payload, data + 1, len);
    said[0] = 1; /* an initiator */
    memcpy(said + 1, honest.liar_static, WF_NOISE_DH_BYTES);
    memcpy(said + 1 + WF_NOISE_DH_BYTES, honest.transcript, WF_NOISE_HASH_BYTES);
    bool whole = len == PAYLOAD && payload[0] == 1;
    if (whole) {
        memcpy(key.bytes, payload + 1, WEFT_KEY_BYTES);
        mix(&key, said, sizeof said, signature);
        if (signs) memcpy(payload + 1 + WEFT_KEY_BYTES, signature, sizeof signature);
        whole = memcmp(payload + 1 + WEFT_KEY_BYTES, signature, sizeof signature) == 0;
    }
    memcpy(m.bytes, honest.keys, honest.keys_len);
    FUZZ_CHECK(wf_handshake_write_end(&hs, payload, len, m.bytes + honest.keys_len, &sealed) ==
               WEFT_OK);
    m.len = honest.keys_len + sealed;
    wf_noise *n = start(&s, false, &own);
    FUZZ_CHECK(wf_noise_read(n, honest.liars.bytes, honest.liars.len) == WEFT_OK);
    write_to(n, &(struct message){.len = 0});
    bool good = judge(n, &m, !whole);
    wf_noise_destroy(n);
    wf_noise_static_destroy(own);
    return good;
}

/* Records: sent, swapped, cut and changed. What was opened is what was sent, in its order. */
static bool records(struct fuzz_bytes b)
{
    struct wf_cipher send = honest.send, receive = honest.receive;
    uint8_t plain[256], sealed[256 + WF_NOISE_TAG_BYTES], back[256 + WF_NOISE_TAG_BYTES];
    uint64_t sent = 0, opened = 0;
    while (fuzz_more(&b)) {
        size_t len = fuzz_byte(&b), cut = fuzz_byte(&b);
        unsigned at = fuzz_byte(&b), flip = fuzz_byte(&b);
        memset(plain, (int)(sent & 0xff), sizeof plain);
        FUZZ_CHECK(wf_cipher_encrypt(&send, NULL, 0, plain, len, sealed) == WEFT_OK);
        size_t whole = len + WF_NOISE_TAG_BYTES;
        bool changed = cut > 0 || flip > 0 || sent != opened;
        sent++;
        sealed[at % whole] ^= (uint8_t)flip;
        weft_err err = wf_cipher_decrypt(&receive, NULL, 0, sealed, cut < whole ? whole - cut : 0,
                                         back);
        FUZZ_CHECK((err == WEFT_OK) == !changed);
        if (err != WEFT_OK) continue;
        FUZZ_CHECK(memcmp(plain, back, len) == 0);
        opened++;
    }
    return opened > 0;
}

bool fuzz_noise(const uint8_t *data, size_t len)
{
    if (len < 1) return false;
    make_honest();
    switch (data[0] % KINDS) {
    case FIRST: return first(data + 1, len - 1);
    case SECOND: return second_or_third(false, data + 1, len - 1);
    case THIRD: return second_or_third(true, data + 1, len - 1);
    case LIAR: return liar(data + 1, len - 1);
    default: return records((struct fuzz_bytes){data + 1, data + len});
    }
}
