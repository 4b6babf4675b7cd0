/* SPDX-License-Identifier: Apache-2.0
 * peer.c - a peer on a plain socket that speaks the handshake (or not) and then sends what a
 * role gives it. It keeps the books of credit, so that a role breaks them only on purpose.
 * Called by: the roles. May touch: sockets, the secure session of the product.
 * Never: a node, the network table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "crypto.h"
#include "hostile.h"

uint64_t ht_said;
static ht_peer *peers;
static uint32_t peers_count;
static wf_noise_static *our_static; /* one for all: only its certificate is by the key */

uint32_t ht_peers(void) { return peers_count; }

static weft_err sign(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    return wf_sign(((ht_peer *)arg)->pair, WF_PURPOSE_NOISE_STATIC, data, len, out);
}

static weft_err verify(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    weft_err err = wf_verify(key, WF_PURPOSE_NOISE_STATIC, data, len, signature);
    ht_peer *p = arg;
    if (err == WEFT_OK) memcpy(p->proof, signature, sizeof p->proof);
    return err;
}

static void random_bytes(void *arg, void *out, size_t len)
{
    (void)arg;
    wf_crypto_random(out, len);
}

/* -- Sending ------------------------------------------------------------------------------ */

static void interest(ht_peer *p)
{
    uint32_t events = p->deaf ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP;
    if (p->item.fd < 0) return;
    if (!p->connected || wf_bytes_len(&p->out) > 0) events |= EPOLLOUT;
    ht_watch(&p->item, events);
}

static void gone(ht_peer *p)
{
    if (p->ended) return;
    p->ended = true;
    p->ended_at = ht_now();
    ht_close(&p->item);
    if (p->manner->end != NULL) p->manner->end(p);
}

static void flush(ht_peer *p)
{
    while (p->connected && p->item.fd >= 0 && wf_bytes_len(&p->out) > 0) {
        ssize_t n = send(p->item.fd, wf_bytes_front(&p->out), wf_bytes_len(&p->out), MSG_NOSIGNAL);
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR) gone(p);
            break;
        }
        p->bytes_out += (uint64_t)n;
        ht_said += (uint64_t)n;
        wf_bytes_take(&p->out, (size_t)n);
    }
    interest(p);
}

void ht_peer_raw(ht_peer *p, const void *bytes, size_t len)
{
    if (p->ended) return;
    if (wf_bytes_append(&p->out, bytes, len) != WEFT_OK) ht_die("memory");
    flush(p);
}

void ht_peer_record(ht_peer *p, const void *plain, size_t len, size_t flip)
{
    uint8_t *sealed;
    if (p->ended || !p->secure) return;
    if (wf_bytes_reserve(&p->out, 2 + len + WF_NOISE_TAG_BYTES, &sealed) != WEFT_OK)
        ht_die("memory");
    size_t record = len + WF_NOISE_TAG_BYTES;
    sealed[0] = (uint8_t)(record >> 8);
    sealed[1] = (uint8_t)record;
    if (wf_noise_encrypt(p->noise, plain, len, sealed + 2) != WEFT_OK) ht_die("encrypt");
    if (flip != SIZE_MAX) sealed[2 + flip % record] ^= (uint8_t)(1u << flip % 8);
    wf_bytes_added(&p->out, 2 + record);
    flush(p);
}

void ht_peer_plain(ht_peer *p, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t part = len - at < WF_NOISE_PLAIN_MAX ? len - at : WF_NOISE_PLAIN_MAX;
        ht_peer_record(p, (const uint8_t *)bytes + at, part, SIZE_MAX);
        at += part;
    }
}

void ht_peer_say(ht_peer *p, weft_buf *frame)
{
    if (frame == NULL) ht_die("a frame");
    uint8_t *data = weft_buf_data(frame);
    size_t len = weft_buf_len(frame), body = len - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++) data[i] = (uint8_t)(body >> (24 - 8 * i));
    ht_peer_plain(p, data, len);
    p->window -= len < p->window ? len : p->window;
    weft_buf_unref(frame);
}

void ht_peer_ping(ht_peer *p, uint64_t token)
{
    uint8_t ping[] = {0, 0, 0, 13, 0x93, WF_F_PING, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    memcpy(ping + 9, &token, sizeof token);
    ht_peer_plain(p, ping, sizeof ping);
}

void ht_peer_hello(ht_peer *p, const struct wf_hello *hello)
{
    struct wf_bytes b = {0};
    if (wf_frame_put_hello(&b, hello) != WEFT_OK) ht_die("HELLO");
    ht_peer_plain(p, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
}

/* -- Receiving ---------------------------------------------------------------------------- */

static void credit(ht_peer *p, uint32_t stream, uint64_t bytes, bool loan)
{
    struct wf_bytes b = {0};
    if (wf_frame_put_credit(&b, stream, bytes, loan) != WEFT_OK) ht_die("CREDIT");
    ht_peer_plain(p, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
}

static void lend(ht_peer *p, uint32_t stream, uint64_t need, uint64_t back)
{
    uint32_t i = 0;
    while (i < HT_LOANS && p->loans[i].stream != stream) i++;
    if (i == HT_LOANS)
        for (i = 0; i < HT_LOANS && p->loans[i].bytes > 0;) i++;
    if (i == HT_LOANS) return; /* it waits, and we do not care */
    p->loans[i].stream = stream;
    p->loans[i].bytes -= back < p->loans[i].bytes ? back : p->loans[i].bytes;
    if (need == 0) return;
    p->loans[i].bytes += need;
    credit(p, stream, need, true);
}

/* A charged frame has come: what it took of the window goes back. */
static void charged(ht_peer *p, uint32_t stream, uint64_t bytes)
{
    for (uint32_t i = 0; i < HT_LOANS; i++) {
        if (p->loans[i].stream != stream || p->loans[i].bytes == 0) continue;
        uint64_t lent = bytes < p->loans[i].bytes ? bytes : p->loans[i].bytes;
        p->loans[i].bytes -= lent;
        bytes -= lent;
    }
    p->owed += bytes;
    if (p->owed < WEFT_WINDOW_BYTES / 4) return;
    credit(p, 0, p->owed, false);
    p->owed = 0;
}

static void frame(ht_peer *p, const uint8_t *body, size_t len)
{
    uint64_t type = p->frame_in.type, a, b;
    uint32_t stream = p->frame_in.stream;
    bool loan;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
    uint8_t token[8];
    if (type < 32) p->frames[type]++;
    if (wf_frame_charged(type)) charged(p, stream, len + WF_FRAME_HEAD);
    if (type == WF_F_HELLO) p->hello = true;
    if (type == WF_F_CLOSE && stream == 0)
        (void)wf_frame_get_close(body, len, &p->close_code, text);
    if (type == WF_F_ERR) (void)wf_frame_get_close(body, len, &p->err_code, text);
    if (type == WF_F_CREDIT && wf_frame_get_credit(body, len, &a, &loan) == WEFT_OK) {
        if (loan) p->granted += a;
        else p->window += a;
    }
    if (type == WF_F_BLOCKED && wf_frame_get_blocked(body, len, &a, &b) == WEFT_OK)
        lend(p, stream, a, b);
    if (type == WF_F_PING && wf_frame_get_ping(body, len, token) == WEFT_OK) {
        uint8_t pong[] = {0, 0, 0, 13, 0x93, WF_F_PONG, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
        memcpy(pong + 9, token, sizeof token);
        ht_peer_plain(p, pong, sizeof pong);
    }
    if (p->manner->frame != NULL) p->manner->frame(p, type, stream, body, len);
}

static void plain(ht_peer *p, const uint8_t *data, size_t len)
{
    p->plain_in += len;
    if (p->heard != NULL && wf_bytes_append(p->heard, data, len) != WEFT_OK) ht_die("memory");
    for (size_t at = 0, used; at < len && !p->ended; at += used) {
        weft_err err = wf_frame_in_feed(&p->frame_in, data + at, len - at, &used);
        if (err != WEFT_OK && err != WEFT_AGAIN) ht_die("the node speaks nonsense");
        if (!wf_frame_in_whole(&p->frame_in)) continue;
        frame(p, weft_buf_bytes(p->frame_in.buf), p->frame_in.len);
        weft_buf_unref(wf_frame_in_take(&p->frame_in));
    }
}

static void speak(ht_peer *p)
{
    uint8_t message[2 + WF_NOISE_HANDSHAKE_MAX];
    size_t len;
    if (!wf_noise_my_turn(p->noise)) return;
    if (wf_noise_write(p->noise, message + 2, &len) != WEFT_OK) ht_die("the handshake");
    message[0] = (uint8_t)(len >> 8);
    message[1] = (uint8_t)len;
    ht_peer_raw(p, message, 2 + len);
}

static void shake(ht_peer *p, const uint8_t *data, size_t len)
{
    static const struct wf_hello hello = {
        .ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS, .name = "hostile"};
    if (wf_noise_read(p->noise, data, len) != WEFT_OK) {
        p->broken = true;
        return;
    }
    speak(p);
    if (!wf_noise_done(p->noise)) return;
    p->secure = true;
    wf_noise_channel(p->noise, p->channel);
    wf_noise_peer(p->noise, &p->other);
    if (!p->manner->mute) ht_peer_hello(p, &hello);
    if (p->manner->up != NULL) p->manner->up(p);
}

static void records(ht_peer *p)
{
    while (wf_bytes_len(&p->in) >= 2 && p->manner->depth == HT_SECURE && !p->broken) {
        uint8_t *at = wf_bytes_front(&p->in);
        size_t len = (size_t)at[0] << 8 | at[1];
        if (wf_bytes_len(&p->in) < 2 + len) return;
        if (!p->secure) {
            shake(p, at + 2, len);
        } else if (wf_noise_decrypt(p->noise, at + 2, len, at + 2) != WEFT_OK) {
            p->broken = true;
            return;
        } else {
            plain(p, at + 2, len - WF_NOISE_TAG_BYTES);
        }
        wf_bytes_take(&p->in, 2 + len);
    }
}

static void ready(ht_item *item, uint32_t events)
{
    ht_peer *p = (ht_peer *)((char *)item - offsetof(ht_peer, item));
    static uint8_t room[65536];
    if (!p->connected && (events & EPOLLOUT) && (events & EPOLLERR) == 0) {
        p->connected = true;
        if (p->dialled && p->manner->depth != HT_SILENT) speak(p);
        if (p->manner->connected != NULL) p->manner->connected(p);
    }
    while (!p->ended && !p->deaf && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        ssize_t n = recv(item->fd, room, sizeof room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (n <= 0) {
            gone(p);
            return;
        }
        p->bytes_in += (uint64_t)n;
        if (p->manner->depth != HT_SECURE) continue; /* it listens, and that is all */
        if (wf_bytes_append(&p->in, room, (size_t)n) != WEFT_OK) ht_die("memory");
        records(p);
    }
    if (!p->ended && (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) && p->deaf) gone(p);
    if (!p->ended) flush(p);
}

/* -- Life --------------------------------------------------------------------------------- */

static void on_tick(void *arg)
{
    uint64_t now = ht_now();
    (void)arg;
    for (ht_peer *p = peers, *next; p != NULL; p = next) {
        next = p->next; /* a tick frees at most its own */
        if (now < p->wake_at) continue;
        p->wake_at = UINT64_MAX;
        if (p->manner->tick != NULL) p->manner->tick(p);
    }
}

static ht_peer *peer(int fd, bool dialled, weft_keypair *pair, const ht_manner *manner, void *arg)
{
    static bool ticking;
    ht_peer *p = calloc(1, sizeof *p);
    if (p == NULL) ht_die("memory");
    if (!ticking) ht_every(on_tick, NULL);
    ticking = true;
    p->item = (ht_item){.fd = fd, .ready = ready};
    p->manner = manner;
    p->arg = arg;
    p->pair = pair;
    p->dialled = dialled;
    p->connected = !dialled;
    p->began = ht_now();
    p->wake_at = UINT64_MAX;
    p->close_code = p->err_code = UINT64_MAX;
    p->window = WEFT_WINDOW_BYTES;
    weft_keypair_public(pair, &p->key);
    p->identity = (struct wf_identity){p->key, p, sign, verify, random_bytes};
    if (our_static == NULL && wf_noise_static_create(&p->identity, &our_static) != WEFT_OK)
        ht_die("a static key");
    if (wf_noise_create(&p->identity, our_static, dialled, NULL, &p->noise) != WEFT_OK)
        ht_die("a session");
    p->next = peers;
    if (peers != NULL) peers->prev = p;
    peers = p;
    peers_count++;
    interest(p);
    return p;
}

ht_peer *ht_peer_dial(uint16_t port, uint32_t from, weft_keypair *pair, const ht_manner *manner,
                      void *arg)
{
    int fd = ht_dial(port, from);
    if (fd < 0) ht_die("connect");
    ht_peer *p = peer(fd, true, pair, manner, arg);
    p->from = from;
    return p;
}

ht_peer *ht_peer_accept(int fd, weft_keypair *pair, const ht_manner *manner, void *arg)
{
    return peer(fd, false, pair, manner, arg);
}

/* Its place is another's; what it was told counts. */
static void leave(ht_server *s, uint32_t slot)
{
    const ht_peer *p = s->peers[slot];
    if (p != NULL) s->proven += p->secure;
    if (p != NULL && p->bytes_in > s->most) s->most = p->bytes_in;
    ht_peer_free(s->peers[slot]);
    s->peers[slot] = NULL;
}

static void on_incoming(ht_item *item, uint32_t events)
{
    ht_server *s = (ht_server *)((char *)item - offsetof(ht_server, item));
    (void)events;
    for (;;) {
        int fd = accept4(item->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        uint32_t slot = s->came++ % (sizeof s->peers / sizeof *s->peers);
        leave(s, slot);
        s->peers[slot] = ht_peer_accept(fd, ht_pair(s->whose, s->number), s->manner, s->arg);
    }
}

void ht_server_open(ht_server *s)
{
    s->item = (ht_item){.fd = ht_listen(&s->port, s->everywhere), .ready = on_incoming};
    ht_watch(&s->item, EPOLLIN);
}

void ht_server_close(ht_server *s)
{
    for (uint32_t i = 0; i < sizeof s->peers / sizeof *s->peers; i++) leave(s, i);
    ht_close(&s->item);
}

void ht_peer_free(ht_peer *p)
{
    if (p == NULL) return;
    ht_close(&p->item);
    if (p->prev != NULL) p->prev->next = p->next;
    else peers = p->next;
    if (p->next != NULL) p->next->prev = p->prev;
    peers_count--;
    wf_noise_destroy(p->noise);
    weft_keypair_destroy(p->pair);
    wf_bytes_fini(&p->in);
    wf_bytes_fini(&p->out);
    wf_frame_in_fini(&p->frame_in);
    free(p);
}
