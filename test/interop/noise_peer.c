/* SPDX-License-Identifier: Apache-2.0
 * noise_peer.c - weft's Noise at the end of a pipe, for a handshake with somebody else's.
 * Called by: run.py, as: noise_peer XX|IK initiator|responder COUNT PROLOGUE. May touch:
 * noise_core.h, standard input and output. Never: sockets, weft's certificates.
 *
 * What the peers of this folder do alike: messages are u16 big-endian length and bytes. The
 * static secrets are 32 times 0x11 (initiator) and 0x22. The payload of a handshake message is
 * its number as text. Then the initiator sends COUNT messages, each of which comes back. Both
 * end with two lines on standard error: `hash HEX` and `echoed COUNT`. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noise_core.h"

enum { MESSAGE_MAX = 65535, TAG = 16 };

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static void send_bytes(const uint8_t *data, size_t len)
{
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    if (fwrite(head, 1, 2, stdout) != 2 || fwrite(data, 1, len, stdout) != len ||
        fflush(stdout) != 0)
        fail("writing");
}

static size_t receive_bytes(uint8_t out[MESSAGE_MAX])
{
    uint8_t head[2];
    if (fread(head, 1, 2, stdin) != 2) fail("reading");
    size_t len = (size_t)head[0] << 8 | head[1];
    if (fread(out, 1, len, stdin) != len) fail("reading");
    return len;
}

static void handshake(struct wf_handshake *hs)
{
    static uint8_t message[MESSAGE_MAX], payload[MESSAGE_MAX];
    for (unsigned i = 0; !wf_handshake_done(hs); i++) {
        size_t keys = 0, rest = 0;
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        if (wf_handshake_my_turn(hs)) {
            if (wf_handshake_write_begin(hs, message, &keys) != WEFT_OK ||
                wf_handshake_write_end(hs, (const uint8_t *)number, strlen(number), message + keys,
                                       &rest) != WEFT_OK)
                fail("writing the handshake");
            send_bytes(message, keys + rest);
            continue;
        }
        size_t len = receive_bytes(message);
        if (wf_handshake_read_begin(hs, message, len, &keys) != WEFT_OK ||
            wf_handshake_read_end(hs, message + keys, len - keys, payload, &rest) != WEFT_OK)
            fail("reading the handshake");
        if (rest != strlen(number) || memcmp(payload, number, rest) != 0) fail("the payload");
    }
}

static size_t pattern(unsigned i, uint8_t *out)
{
    size_t len = i * 37 % 1200;
    for (size_t k = 0; k < len; k++) out[k] = (uint8_t)(i + k);
    return len;
}

static void seal(struct wf_cipher *c, const uint8_t *plain, size_t len)
{
    static uint8_t sealed[MESSAGE_MAX];
    if (wf_cipher_encrypt(c, NULL, 0, plain, len, sealed) != WEFT_OK) fail("encrypting");
    send_bytes(sealed, len + TAG);
}

static size_t open_next(struct wf_cipher *c, uint8_t *plain)
{
    static uint8_t sealed[MESSAGE_MAX];
    size_t len = receive_bytes(sealed);
    if (wf_cipher_decrypt(c, NULL, 0, sealed, len, plain) != WEFT_OK) fail("decrypting");
    return len - TAG;
}

int main(int argc, char **argv)
{
    static uint8_t plain[MESSAGE_MAX], back[MESSAGE_MAX];
    uint8_t own[32], theirs[32], remote[32], ephemeral[32];
    struct wf_handshake hs;
    struct wf_cipher out, in;
    if (argc != 5 || sodium_init() < 0) fail("usage");
    bool initiator = strcmp(argv[2], "initiator") == 0;
    bool ik = strcmp(argv[1], "IK") == 0;
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    memset(own, initiator ? 0x11 : 0x22, sizeof own);
    memset(theirs, initiator ? 0x22 : 0x11, sizeof theirs);
    wf_dh_public(theirs, remote);
    randombytes_buf(ephemeral, sizeof ephemeral);
    wf_handshake_init(&hs, ik ? WF_NOISE_IK : WF_NOISE_XX, initiator, argv[4], strlen(argv[4]), own,
                      ik && initiator ? remote : NULL);
    wf_handshake_ephemeral(&hs, ephemeral);
    handshake(&hs);
    if (memcmp(hs.rs, remote, sizeof remote) != 0) fail("the other's static key");
    wf_handshake_split(&hs, &out, &in);
    for (unsigned i = 0; i < count; i++) {
        size_t len = initiator ? pattern(i, plain) : open_next(&in, plain);
        seal(&out, plain, len);
        if (initiator && (open_next(&in, back) != len || memcmp(plain, back, len) != 0))
            fail("an echo");
    }
    fprintf(stderr, "hash ");
    for (size_t i = 0; i < sizeof hs.symmetric.hash; i++)
        fprintf(stderr, "%02x", hs.symmetric.hash[i]);
    fprintf(stderr, "\nechoed %u\n", count);
    return 0;
}
